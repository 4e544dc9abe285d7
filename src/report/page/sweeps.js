/* The sweeps of a run, and the course of its one training where nothing was searched. */
"use strict";

const shownValue = v => typeof v === "string" ? v : JSON.stringify(v);

/* A line through points [x, y] with a dot each, which says its figure. */
function course(pic, points, x, y, color) {
  const line = d3.svg.line().x(d => x(d[0])).y(d => y(d[1]));
  pic.g.append("path").attr({d: line(points), fill: "none", stroke: color, "stroke-width": 2, "aria-hidden": true});
  points.forEach(d => pic.g.append("circle")
    .attr({cx: x(d[0]), cy: y(d[1]), r: 3.5, fill: color, "aria-hidden": true})
    .append("title").text(text(d[1])));
}

/* The value by the first constant; each combination of the others is a line. */
function sweepPicture(body, sweep) {
  const keys = Object.keys(sweep.over), values = sweep.over[keys[0]].map(shownValue), timed = sweep.steps !== undefined,
        done = sweep.trials.filter(t => t.value !== undefined), color = d3.scale.category10();
  if (!done.length) return;
  const pic = picture(
    body, 320, {left: 70, right: 16, top: 22, bottom: 42},
    `${sweep.objective} by ${keys[0]}; the figures stand in the table.`);
  const x = d3.scale.ordinal().domain(d3.range(values.length)).rangePoints([0, pic.width], 1),
        range = d3.extent(done, t => t.value),
        y = d3.scale.linear().domain(timed ? [0, range[1] * 1.05] : padded(range)).range([pic.height, 0]);
  xAxis(pic, x, keys[0], null, k => values[k]);
  yAxis(pic, y, timed ? "samples a second" : sweep.objective);
  const lines = d3.nest().key(t => keys.slice(1).map(k => `${k} ${shownValue(t.params[k])}`).join(", ")).entries(done);
  lines.forEach(l => course(
    pic, l.values.map(t => [values.indexOf(shownValue(t.params[keys[0]])), t.value]), x, y, color(l.key)));
  if (lines.length > 1)
    body.append(make("p", {class: "legend"}, lines.map(l => make("span", {style: `color:${color(l.key)}`}, `━ ${l.key}  `))));
}

/* A report over the seconds of a training, with its target. */
function coursePicture(body, training) {
  const points = training.epochs.filter(e => e.value !== undefined).map(e => [e.seconds, e.value]);
  if (!points.length) return;
  const pic = picture(
    body, 320, {left: 62, right: 16, top: 22, bottom: 42}, `${training.monitor} over the seconds of the training.`);
  const held = points.map(d => d[1]).concat(training.target === undefined ? [] : [training.target]),
        x = d3.scale.linear().domain([0, d3.max(points, d => d[0])]).range([0, pic.width]),
        y = d3.scale.linear().domain(padded(d3.extent(held))).range([pic.height, 0]);
  xAxis(pic, x, "seconds, validation included");
  yAxis(pic, y, training.monitor);
  if (training.target !== undefined)
    pic.g.append("line").attr({
      x2: pic.width, y1: y(training.target), y2: y(training.target), stroke: "currentColor", "stroke-dasharray": "6 4",
      "aria-hidden": true});
  course(pic, points, x, y, d3.scale.category10()("training"));
}

function reached(training) {
  if (!training || training.target === undefined) return "";
  return training.reached ? `${text(training.reached.seconds)} s, epoch ${training.reached.epoch}` : "not";
}

function sweeps(body) {
  for (const sweep of study.sweeps) {
    const keys = Object.keys(sweep.over), timed = sweep.steps !== undefined;
    body.append(
      make("h3", {}, sweep.name),
      make("p", {class: "about"}, timed ? `${sweep.steps} timed steps after ${sweep.warm_up}, their median.`
                                        : `Trainings of ${sweep.epochs} epochs, the best epoch of each.`));
    sweepPicture(body, sweep);
    const cells = list => list.map(c => make("td", {}, c));
    body.append(make(
      "table", {}, make("thead", {}, make("tr", {}, keys.concat(
        [sweep.objective, timed ? "milliseconds a step" : "target reached", ""]).map(h => make("th", {scope: "col"}, h)))),
      make("tbody", {}, sweep.trials.map(t => make("tr", {}, cells(keys.map(k => shownValue(t.params[k])).concat(
        [t.value === undefined ? "" : text(t.value),
         timed ? (t.step_seconds === undefined ? "" : text(1e3 * t.step_seconds)) : reached(t.training),
         t.state === "failed" ? `failed: ${t.reason}` : ""])))))));
  }
}

function training(body) {
  const t = study.training;
  coursePicture(body, t);
  if (t.target !== undefined) body.append(make("p", {}, `${t.monitor} ${t.target} reached: ${reached(t)}.`));
}
