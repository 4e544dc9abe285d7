/* What the parameters do: importances, parallel coordinates, slices, contours. */
"use strict";

const MOST_WAYS = 400, MOST_SLICE = 500;

/* ---- importance ---------------------------------------------------------------------------------- */

const KINDS = [
  ["ped_anova", "PED-ANOVA: what the best tenth has in common", "--complete"],
  ["fanova", "fANOVA: variance that it explains alone", "--bar-2"]
];

function importance(body) {
  const controls = objectivePicker("importance-of", () => {
    body.textContent = "";
    importance(body);
  }), k = objectiveOf("importance-of");
  if (controls) body.append(controls);
  const found = study.importance[k], kinds = KINDS.filter(([key]) => found[key] && found[key].some(v => v > 0));
  if (!kinds.length) return body.append(make("p", {}, "Too few trials are complete to say what matters."));
  const order = byImportance(k).filter(p => kinds.some(([key]) => found[key][p.index] !== null)).slice(0, 30);
  const row = 17 * kinds.length + 9, left = Math.min(210, 20 + 7 * d3.max(order, p => Math.min(p.short.length, 27)));
  const pic =
    picture(body, order.length * row + 30, {left, right: 60, top: 4, bottom: 24}, "Importance of each parameter.");
  const x = d3.scale.linear().domain([0, 1]).range([0, pic.width]);
  const axis = d3.svg.axis()
                 .scale(x)
                 .orient("bottom")
                 .ticks(5)
                 .tickSize(-pic.height)
                 .tickFormat(v => `${Math.round(100 * v)} %`);
  pic.g.append("g").attr({class: "axis", transform: `translate(0,${pic.height})`, "aria-hidden": true}).call(axis);
  order.forEach((p, j) => {
    const g = pic.g.append("g").attr("transform", `translate(0,${j * row + 4})`);
    g.append("text")
      .attr({x: -8, y: (row - 9) / 2, dy: ".35em", "text-anchor": "end", class: "title", "aria-hidden": true})
      .text(cut(p.short, 27))
      .append("title")
      .text(p.name);
    kinds.forEach(([key, , color], m) => {
      const v = found[key][p.index];
      if (v === null) return;
      g.append("rect").attr({y: m * 17, width: Math.max(1, x(v)), height: 14, rx: 2}).style("fill", css(color));
      g.append("text")
        .attr({x: x(v) + 6, y: m * 17 + 7, dy: ".35em", "aria-hidden": true})
        .text(`${(100 * v).toFixed(v < .1 ? 1 : 0)} %`);
    });
  });
  body.append(make(
    "ul", {class: "legend"},
    kinds.map(([, name, color]) => make("li", {}, make("i", {style: `background: var(${color})`}), name))));
  const details = make(
    "details", {}, make("summary", {}, "The same as a table"),
    make(
      "table", {}, make("caption", {}, `Importance for ${study.objectives[k].name}`),
      make(
        "thead", {},
        make(
          "tr", {}, make("th", {scope: "col"}, "Parameter"),
          kinds.map(([, name]) => make("th", {scope: "col", class: "number"}, name.split(":")[0])))),
      make(
        "tbody", {},
        order.map(
          p => make(
            "tr", {}, make("th", {scope: "row"}, p.name),
            kinds.map(
              ([key]) => make(
                "td", {class: "number"},
                found[key][p.index] === null ? "–" : `${(100 * found[key][p.index]).toFixed(1)} %`)))))));
  body.append(details);
}
function byImportance(k) {
  const found = study.importance[k], weight = p => (found.ped_anova[p.index] || 0) + (found.fanova[p.index] || 0);
  return study.params.slice().sort((a, b) => weight(b) - weight(a) || a.index - b.index);
}
/* What a pruned trial reached is of fewer steps, and is not compared with the others. */
const complete = k => withValue(k).filter(i => state(i) === "complete");
const varied = p => p.choices ? p.choices.length > 1 : p.min < p.max;

/* ---- parallel coordinates ------------------------------------------------------------------------ */

function parallel(body) {
  const controls = objectivePicker("parallel-of", () => {
    body.textContent = "";
    parallel(body);
  }), k = objectiveOf("parallel-of"), o = study.objectives[k];
  if (controls) body.append(controls);
  const params = study.params.filter(varied), most = 16,
        shown = params.length > most ? byImportance(k).filter(varied).slice(0, most) : params;
  const all = complete(k), drawn = thin(all, MOST_WAYS, k), axes = shown.length + 1;
  if (!all.length || !shown.length) return body.append(make("p", {}, "There is nothing to draw yet."));
  const outer = make("div", {class: "scroll"}), room = body.clientWidth || 1100,
        width = Math.max(Math.min(room, 1180), axes * 84);
  body.append(outer);
  const pic = picture(
    outer, 380, {left: 84, right: 70, top: 42, bottom: 14},
    "A line a trial through its parameters. Arrow keys go from trial to trial.", width);
  const x = d3.scale.linear().domain([0, axes - 1]).range([0, pic.width]), good = goodness(k), color = ramp(true);
  const scales = shown.map(p => paramScale(p, pic.height, "end")),
        domain = padded(robust(all.map(i => value(i, k)), o.max));
  const y = d3.scale.linear().domain(o.max ? domain : domain.slice().reverse()).range([pic.height, 0]).clamp(true);
  const way = i => d3.svg.line()(
    scales.map((at, j) => [x(j), at(T.params[shown[j].index][i])]).concat([[x(axes - 1), y(value(i, k))]]));
  const ways = pic.g.append("g")
                 .selectAll("path")
                 .data(drawn.slice().sort((a, b) => good(a) - good(b)))
                 .enter()
                 .append("path")
                 .attr({class: i => `way ${isBest.has(i) ? "front" : ""}`, d: way})
                 .style({
                   stroke: i => isBest.has(i) ? null : color(good(i)),
                   "stroke-opacity": i => isBest.has(i) || drawn.length < 150 ? null : .3
                 });
  reachable(ways, i => i, describe);
  shown.forEach((p, j) => {
    const g = pic.g.append("g").attr({class: "axis plain", transform: `translate(${x(j)},0)`, "aria-hidden": true});
    g.append("line").attr({y1: 0, y2: pic.height});
    g.append("text")
      .attr({y: j % 2 && axes > 7 ? -26 : -12, "text-anchor": "middle", class: "title"})
      .text(cut(p.short, axes > 7 ? 22 : 16))
      .append("title")
      .text(p.name);
    scales[j].ticks(5).forEach(
      ([place, label]) =>
        g.append("text").attr({x: -5, y: place, dy: ".32em", "text-anchor": "end"}).text(cut(label, 11)));
  });
  const last =
    pic.g.append("g").attr({class: "axis plain", transform: `translate(${x(axes - 1)},0)`, "aria-hidden": true});
  last.call(d3.svg.axis().scale(y).orient("right").ticks(6).tickSize(4).tickFormat(text));
  last.append("text")
    .attr({y: (axes - 1) % 2 && axes > 7 ? -26 : -12, "text-anchor": "middle", class: "title"})
    .text(cut(o.name, 22));
  body.append(scaleLegend(k, color));
  if (shown.length < params.length)
    body.append(make("p", {class: "note"}, `The ${most} most important of ${params.length} parameters.`));
  thinned(body, drawn.length, all.length, "trials");
}

/* ---- slices -------------------------------------------------------------------------------------- */

function slices(body) {
  const controls = objectivePicker("slices-of", () => {
    body.textContent = "";
    slices(body);
  }), k = objectiveOf("slices-of"), o = study.objectives[k];
  if (controls) body.append(controls);
  const all = complete(k), params = byImportance(k).filter(varied), most = 24, grid = make("div", {class: "grid"});
  if (!all.length || !params.length) return body.append(make("p", {}, "There is nothing to draw yet."));
  const drawn = thin(all, MOST_SLICE, k), domain = robust(all.map(i => value(i, k)), o.max),
        age = d3.scale.linear().domain([0, Math.max(1, n - 1)]), color = ramp(true);
  body.append(
    make("div", {class: "scale"}, "earlier", make("i", {style: `background: ${color.css}`}), "later trials"), grid);
  params.slice(0, most).forEach(p => {
    const figure = make("figure", {}, make("h3", {}, p.short));
    grid.append(figure);
    const pic = picture(
      figure, 190, {left: 52, right: 8, top: 6, bottom: 24},
      `${o.name} by ${p.name}. Arrow keys go from trial to trial.`);
    const at = paramScale(p, pic.width),
          y = d3.scale.linear().domain(padded(domain)).range([pic.height, 0]).clamp(true);
    yAxis(pic, y, null, 4);
    paramAxis(pic, at, false, 5, pic.height);
    const sorted = drawn.slice().sort((a, b) => at(T.params[p.index][a]) - at(T.params[p.index][b]));
    marks(
      pic, sorted, i => at(T.params[p.index][i]), i => y(value(i, k)),
      {size: 24, color: i => isBest.has(i) ? css("--best") : color(age(i))});
  });
  if (params.length > most)
    body.append(make("p", {class: "note"}, `The ${most} most important of ${params.length} parameters.`));
  thinned(body, drawn.length, all.length, "trials");
}

/* ---- contours ------------------------------------------------------------------------------------ */

const CELLS = 56;

/* Trials that lie together count once, with their mean: a search looks most where it is best already. */
function clusters(points) {
  const places = d3.map(), side = CELLS / 2;
  for (const p of points) {
    const key = `${Math.floor(p.u * side)},${Math.floor(p.v * side)}`,
          c = places.get(key) || {u: 0, v: 0, z: 0, n: 0};
    places.set(key, {u: c.u + p.u, v: c.v + p.v, z: c.z + p.z, n: c.n + 1});
  }
  return places.values().map(c => ({u: c.u / c.n, v: c.v / c.n, z: c.z / c.n}));
}
/* A smooth surface through the trials: at each cell the mean of the values, weighed by a Gaussian of the distance in the
 * unit square. Where no trial is near, `near` is small and the cell fades. */
function surface(trials) {
  const points = clusters(trials), width = Math.max(.05, .4 / Math.pow(points.length, 1 / 3)), cells = [];
  for (let r = 0; r < CELLS; r++)
    for (let c = 0; c < CELLS; c++) {
      const u = (c + .5) / CELLS, v = 1 - (r + .5) / CELLS;
      let sum = 0, weight = 0;
      for (const p of points) {
        const d = ((p.u - u) ** 2 + (p.v - v) ** 2) / (2 * width * width);
        if (d > 12) continue;
        const w = Math.exp(-d);
        sum += w * p.z;
        weight += w;
      }
      cells.push({z: weight > 0 ? sum / weight : 0, near: Math.min(1, weight / .6)});
    }
  /* Its own range, so that its shape is seen: a mean is never as good or bad as a single trial. */
  const range = d3.extent(cells.filter(q => q.near >= .25), q => q.z), scale = d3.scale.linear().domain(range);
  if (range[0] < range[1]) scale.clamp(true), cells.forEach(q => q.z = scale(q.z));
  return cells;
}
/* Marching squares: the segments of one level, in cells. */
function isoline(cells, level) {
  const path = [], z = (r, c) => cells[r * CELLS + c];
  for (let r = 0; r + 1 < CELLS; r++)
    for (let c = 0; c + 1 < CELLS; c++) {
      const corner = [z(r, c), z(r, c + 1), z(r + 1, c + 1), z(r + 1, c)];
      if (corner.some(q => q.near < .25)) continue;
      const places = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]], cuts = [];
      for (let e = 0; e < 4; e++) {
        const a = corner[e].z - level, b = corner[(e + 1) % 4].z - level;
        if (a < 0 === b < 0) continue;
        const t = a / (a - b), p = places[e], q = places[(e + 1) % 4];
        cuts.push([p[0] + t * (q[0] - p[0]) + .5, p[1] + t * (q[1] - p[1]) + .5]);
      }
      for (let e = 0; e + 1 < cuts.length; e += 2) path.push(`M${cuts[e]}L${cuts[e + 1]}`);
    }
  return path.join("");
}
function shade(cells, color) {
  const canvas = make("canvas", {width: CELLS, height: CELLS}), paint = canvas.getContext("2d"),
        image = paint.createImageData(CELLS, CELLS);
  cells.forEach((q, j) => {
    const c = d3.rgb(color(q.z));
    image.data.set([c.r, c.g, c.b, Math.round(255 * q.near)], 4 * j);
  });
  paint.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function contours(body) {
  const params = study.params.filter(varied), again = () => {
    body.textContent = "";
    contours(body);
  };
  const k0 = objectiveOf("contour-of"), first = byImportance(k0).filter(varied),
        names = params.map(p => [p.index, p.name]);
  const bar = make(
    "div", {class: "controls"},
    study.objectives.length > 1 ?
      picker("contour-of", "Objective", study.objectives.map((o, k) => [k, o.name]), 0, again) :
      null,
    picker("contour-x", "Across", names, first[0].index, again),
    picker("contour-y", "Up", names, first[1].index, again));
  body.append(bar);
  const k = objectiveOf("contour-of"), px = study.params[+chosen["contour-x"]],
        py = study.params[+chosen["contour-y"]], o = study.objectives[k];
  const all = complete(k).filter(i => T.params[px.index][i] !== null && T.params[py.index][i] !== null),
        drawn = thin(all, 800, k);
  if (px === py || all.length < 3)
    return body.append(
      make("p", {}, px === py ? "Choose two different parameters." : "Fewer than three trials have both."));
  const pic = picture(
    body, 430, {left: 110, right: 16, top: 12, bottom: 44},
    `${o.name} over ${px.name} and ${py.name}. Arrow keys go from trial to trial.`,
    Math.min(760, body.clientWidth || 760));
  const plain = p => Object.assign({}, p, {absent: false}), ax = paramScale(plain(px), pic.width),
        ay = paramScale(plain(py), pic.height, "end"), good = goodness(k), color = ramp(true);
  const cells = surface(drawn.map(
    i => ({u: ax(T.params[px.index][i]) / pic.width, v: 1 - ay(T.params[py.index][i]) / pic.height, z: good(i)})));
  pic.g.append("image").attr({
    width: pic.width,
    height: pic.height,
    preserveAspectRatio: "none",
    "xlink:href": shade(cells, color),
    opacity: .8,
    "aria-hidden": true
  });
  pic.g.append("path").attr({
    class: "iso",
    "aria-hidden": true,
    d: d3.range(.1, 1, .1).map(level => isoline(cells, level)).join(""),
    transform: `scale(${pic.width / CELLS},${pic.height / CELLS})`,
    "vector-effect": "non-scaling-stroke"
  });
  pic.g.append("rect").attr({class: "frame", width: pic.width, height: pic.height, "aria-hidden": true});
  paramAxis(pic, ax, false, 7, 0);
  paramAxis(pic, ay, true, 7, 0);
  pic.g.append("text")
    .attr({x: pic.width, y: pic.height + 36, "text-anchor": "end", class: "title", "aria-hidden": true})
    .text(px.short);
  pic.g.append("text").attr({x: -106, y: 2, class: "title", "aria-hidden": true}).text(cut(py.short, 15));
  marks(
    pic, drawn.slice().sort((a, b) => ax(T.params[px.index][a]) - ax(T.params[px.index][b])),
    i => ax(T.params[px.index][i]), i => ay(T.params[py.index][i]),
    {size: 20, color: i => isBest.has(i) ? css("--best") : css("--page")});
  body.append(scaleLegend(k, color));
  thinned(body, drawn.length, all.length, "trials");
}
