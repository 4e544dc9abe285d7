/* How the search went: history, learning curves, the time line, the Pareto front. */
"use strict";

const MOST_MARKS = 1500; /* of a picture */

/* ---- history ------------------------------------------------------------------------------------- */

/* The best of the complete trials so far, as [trial's place, value] where it changes. */
function bestSoFar(k) {
  const o = study.objectives[k], line = [];
  let best = null;
  everyTrial.forEach(i => {
    const v = value(i, k);
    if (state(i) !== "complete" || v === null || broken.has(i) || repeats(i)) return;
    if (best === null || (o.max ? v > best : v < best)) line.push([i, best = v]);
  });
  if (best !== null) line.push([n - 1, best]);
  return line;
}

function historyOf(body, k) {
  const o = study.objectives[k], valued = withValue(k),
        others = everyTrial.filter(i => value(i, k) === null && state(i) === "failed");
  if (!valued.length) return body.append(make("p", {}, `No trial has a value of ${o.name} yet.`));
  const pic = picture(
    body, 330, {left: 62, right: 16, top: 22, bottom: 42},
    `${o.name} of each trial, and the best so far. Arrow keys go from trial to trial.`);
  const isLog = chosen["history-scale"] === "log", values = valued.map(i => value(i, k));
  const domain = isLog ? d3.extent(values) : robust(values, o.max), x = d3.scale.linear().domain([-.5, n - .5]);
  const y =
    isLog ? d3.scale.log().domain([domain[0] / 1.1, domain[1] * 1.1]) : d3.scale.linear().domain(padded(domain));
  x.range([0, pic.width]);
  y.range([pic.height - (others.length ? 14 : 0), 0]);
  xAxis(pic, x, "trial", 8, v => Number.isInteger(v) ? many(v) : "");
  yAxis(pic, y, o.name);
  const all = valued.concat(others).sort(d3.ascending), drawn = thin(all, MOST_MARKS, k),
        out = i => value(i, k) === null || value(i, k) < domain[0] || value(i, k) > domain[1];
  const held = v => Math.max(domain[0], Math.min(domain[1], v));
  marks(
    pic, drawn, i => x(i), i => value(i, k) === null ? pic.height : y(held(value(i, k))),
    {size: n > 400 ? 22 : 42, open: i => out(i) && value(i, k) !== null});
  pic.g.append("path")
    .attr({class: "bestline", "aria-hidden": true})
    .style("pointer-events", "none")
    .attr("d", d3.svg.line().interpolate("step-after").x(d => x(d[0])).y(d => y(held(d[1])))(bestSoFar(k)));
  const beyond = valued.filter(out).length;
  legend(
    body, statesOf(all),
    ["━ best so far"]
      .concat(beyond ? [`${plural(beyond, "trial")} beyond the edge, drawn hollow on it`] : [])
      .concat(others.length ? ["failed trials without a value stand below"] : []));
  thinned(body, drawn.length, all.length, "trials");
}
function history(body) {
  const again = () => {
    body.textContent = "";
    history(body);
  };
  const positive = T.values.every(column => column.every(v => v === null || v > 0));
  const scales = [["linear", "linear"], ["log", "logarithmic"]];
  if (positive)
    body.append(make("div", {class: "controls"}, picker("history-scale", "Scale", scales, "linear", again)));
  study.objectives.forEach((o, k) => historyOf(body, k));
}

/* ---- learning curves ----------------------------------------------------------------------------- */

function curves(body) {
  const list = study.curves,
        domain = robust(list.flatMap(c => c.values).filter(v => v !== null), study.objectives[0].max);
  const pic = picture(
    body, 330, {left: 62, right: 16, top: 22, bottom: 42},
    `${study.objectives[0].name} at each step of each trial. Arrow keys go from curve to curve.`);
  const low = d3.min(list, c => d3.min(c.steps)), high = d3.max(list, c => d3.max(c.steps));
  const x = d3.scale.linear().domain(low === high ? [low - 1, high + 1] : [low, high]).range([0, pic.width]),
        y = d3.scale.linear().domain(padded(domain)).range([pic.height, 0]).clamp(true);
  xAxis(pic, x, "step", 8, v => Number.isInteger(v) ? many(v) : "");
  yAxis(pic, y, study.objectives[0].name);
  const good = goodness(0), color = ramp(true),
        points = c => c.steps.map((s, j) => [s, c.values[j]]).filter(p => p[1] !== null);
  const tint = c => value(c.trial, 0) === null ? css("--" + state(c.trial)) : color(good(c.trial));
  const sorted = list.slice().sort(
    (a, b) => (value(a.trial, 0) === null ? -1 : good(a.trial)) - (value(b.trial, 0) === null ? -1 : good(b.trial)));
  const line = d3.svg.line().x(p => x(p[0])).y(p => y(p[1]));
  const all = pic.g.append("g")
                .selectAll("path")
                .data(sorted)
                .enter()
                .append("path")
                .attr({
                  class: c => `curve ${state(c.trial)}${isBest.has(c.trial) ? " front" : ""}`,
                  d: c => line(points(c)) || "M0,0"
                })
                .style("stroke", c => isBest.has(c.trial) ? null : tint(c));
  reachable(all, c => c.trial, c => describe(c.trial));
  const ends = sorted.filter(c => ["pruned", "failed"].includes(state(c.trial)) && points(c).length)
                 .map(c => ({c, p: points(c)[points(c).length - 1]}));
  pic.g.append("g")
    .attr("aria-hidden", true)
    .selectAll("path")
    .data(ends)
    .enter()
    .append("path")
    .attr({
      class: e => `mark ${state(e.c.trial)}`,
      d: e => shape(state(e.c.trial), 30),
      transform: e => `translate(${x(e.p[0])},${y(e.p[1])})`
    })
    .style("pointer-events", "none");
  body.append(scaleLegend(0, color));
  legend(
    body, ["pruned", "failed"].filter(s => ends.some(e => state(e.c.trial) === s)),
    ["dashed: pruned", "heavy: the best"]);
  if (list.length < study.curves_of)
    body.append(make(
      "p", {class: "note"},
      `Drawn are ${many(list.length)} of ${
        many(study.curves_of)} curves: the best, those that run, and evenly many of the others.`));
}

/* ---- the Pareto front ---------------------------------------------------------------------------- */

function pareto(body) {
  const names = study.objectives.map((o, k) => [k, o.name]), again = () => {
    body.textContent = "";
    pareto(body);
  };
  const controls = study.objectives.length > 2 ?
    make(
      "div", {class: "controls"}, picker("front-x", "Across", names, 0, again),
      picker("front-y", "Up", names, 1, again)) :
    null;
  if (controls) body.append(controls);
  const a = controls ? +chosen["front-x"] : 0, b = controls ? +chosen["front-y"] : 1;
  const all = withValue(a).filter(i => value(i, b) !== null && isFinite(value(i, b))),
        drawn = thin(all, MOST_MARKS, a);
  if (!all.length) return body.append(make("p", {}, "No trial has values of both yet."));
  const pic = picture(
    body, 400, {left: 66, right: 16, top: 22, bottom: 42},
    `${names[a][1]} against ${names[b][1]}. Arrow keys go from trial to trial.`);
  const x = d3.scale.linear()
              .domain(padded(robust(all.map(i => value(i, a)), study.objectives[a].max)))
              .range([0, pic.width])
              .clamp(true);
  const y = d3.scale.linear()
              .domain(padded(robust(all.map(i => value(i, b)), study.objectives[b].max)))
              .range([pic.height, 0])
              .clamp(true);
  xAxis(pic, x, `${names[a][1]} (${study.objectives[a].max ? "larger" : "smaller"} is better)`, 7, text);
  yAxis(pic, y, `${names[b][1]} (${study.objectives[b].max ? "larger" : "smaller"} is better)`);
  const front = all.filter(i => isBest.has(i)).sort((p, q) => value(p, a) - value(q, a));
  if (study.objectives.length === 2)
    pic.g.append("path")
      .attr({class: "bestline", "aria-hidden": true})
      .style({"stroke-opacity": .5, "stroke-width": 1})
      .attr(
        "d",
        d3.svg.line()
          .interpolate(study.objectives[a].max ? "step-before" : "step-after")
          .x(i => x(value(i, a)))
          .y(i => y(value(i, b)))(front));
  marks(
    pic, drawn.sort((p, q) => value(p, a) - value(q, a)), i => x(value(i, a)), i => y(value(i, b)),
    {size: n > 400 ? 22 : 42, open: i => broken.has(i)});
  legend(
    body, statesOf(drawn),
    ["outlined: on the Pareto front"].concat(broken.size ? ["hollow: a constraint is broken"] : []));
  thinned(body, drawn.length, all.length, "trials");
  body.append(
    make("h3", {}, "The front"),
    make(
      "div", {class: "scroll"},
      make(
        "table", {},
        make(
          "thead", {},
          make(
            "tr", {},
            ["Trial"]
              .concat(names.map(o => o[1]))
              .concat(study.params.map(p => p.short))
              .map((h, k) => make("th", {scope: "col", class: k <= names.length ? "number" : null}, h)))),
        make(
          "tbody", {},
          front.slice(0, 40).map(
            i => make(
              "tr", {}, make("th", {scope: "row", class: "number"}, text(T.number[i])),
              names.map((o, k) => make("td", {class: "number"}, text(value(i, k)))),
              study.params.map(p => make("td", {}, paramText(p, T.params[p.index][i])))))))));
  if (front.length > 40)
    body.append(
      make("p", {class: "note"}, `The first 40 of ${many(front.length)}; the table of trials marks all with ★.`));
}

/* ---- the time line ------------------------------------------------------------------------------- */

/* Rows in which no two trials overlap: as many as ran side by side. */
function lanes(trials) {
  const free = [], lane = d3.map();
  trials.slice().sort((a, b) => T.start[a] - T.start[b] || a - b).forEach(i => {
    const end = T.end[i] === null ? study.now : T.end[i];
    let k = free.findIndex(t => t <= T.start[i] + 1e-4);
    if (k < 0) k = free.push(0) - 1;
    free[k] = end;
    lane.set(i, k);
  });
  return {of: i => lane.get(i), n: free.length};
}
function timeline(body) {
  const all =
    everyTrial.filter(i => T.start[i] !== null && (T.end[i] !== null || ["running", "paused"].includes(state(i))));
  const rows = lanes(all), height = Math.max(6, Math.min(24, 360 / rows.n)), drawn = thin(all, MOST_MARKS, 0);
  const pic = picture(
    body, rows.n * height + 60, {left: 62, right: 16, top: 14, bottom: 42},
    "Each trial from its start to its end, a row a worker. Arrow keys go from trial to trial.");
  const end = i => T.end[i] === null ? study.now : T.end[i], last = d3.max(all, end);
  const unit = last > 7200 ? [3600, "hours"] : last > 120 ? [60, "minutes"] : [1, "seconds"];
  const x = d3.scale.linear().domain([0, last / unit[0] || 1]).range([0, pic.width]), at = s => x(s / unit[0]);
  xAxis(pic, x, unit[1] + " since the first start", 8);
  if (height >= 11)
    pic.g.append("g")
      .attr("class", "axis")
      .selectAll("text")
      .data(d3.range(rows.n))
      .enter()
      .append("text")
      .attr({x: -8, y: k => (k + .5) * height, dy: ".35em", "text-anchor": "end", "aria-hidden": true})
      .text(k => k + 1);
  const bars = pic.g.append("g").selectAll("rect").data(drawn).enter().append("rect").attr({
    class: i => `mark ${state(i)}${isBest.has(i) ? " front" : ""}`,
    x: i => at(T.start[i]),
    y: i => rows.of(i) * height + 1,
    width: i => Math.max(1.5, at(end(i)) - at(T.start[i]) - .5),
    height: height - 2,
    rx: height > 10 ? 2 : 0
  });
  reachable(bars, i => i, describe);
  legend(body, statesOf(drawn));
  thinned(body, drawn.length, all.length, "trials");
}
