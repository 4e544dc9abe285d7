/* The data, and what all pictures share: texts, colours, scales, marks that a keyboard reaches, the tooltip. */
"use strict";
const study = JSON.parse(document.getElementById("data").textContent);
const n = study.trials.number.length, T = study.trials;
const many = d3.format(","), STATES = study.states;
const isBest = new Set(study.best), broken = new Set(T.broken);

/* ---- texts --------------------------------------------------------------------------------------- */

const text = v => {
  if (v === null || v === undefined) return "";
  if (typeof v !== "number") return String(v);
  if (!isFinite(v)) return v > 0 ? "∞" : "−∞";
  if (v === 0 || Number.isInteger(v) && Math.abs(v) < 1e7) return String(v);
  const size = Math.abs(v);
  return size >= 1e-3 && size < 1e6 ? String(+v.toPrecision(5)) : v.toExponential(3).replace(/\.?0+e/, "e");
};
const duration = s => {
  if (s === null || !isFinite(s)) return "";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${+ s.toPrecision(3)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min`;
};
const plural = (k, word) => `${many(k)} ${word}${k === 1 ? "" : "s"}`;
const clock = s =>
  new Date((study.begun + s) * 1000).toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
const paramText = (p, v) => v === null ? "" : p.choices ? p.choices[v] : text(v);
const state = i => STATES[T.state[i]];
const value = (i, k) => T.values[k][i];
/* One more go at another trial's point: it takes no part in who is the best. */
const repeats = i => T.relation[i] !== undefined && T.relation[i][0] !== "child_of";
const seconds = i => T.end[i] === null || T.start[i] === null ? null : T.end[i] - T.start[i];

/* "train.optimizer.lr" is shown as "lr" where that is the only one. */
const lasts = study.params.map(p => p.name.slice(p.name.lastIndexOf(".") + 1));
const hasPoint =
  d3.range(n).map(i => T.params.some(column => column[i] !== null)); /* not yet, for one that was only asked for */
study.params.forEach((p, j) => {
  p.index = j;
  p.short = lasts[j] && lasts.filter(l => l === lasts[j]).length === 1 ? lasts[j] : p.name;
  p.absent = T.params[j].some((v, i) => v === null && hasPoint[i]);
});
const cut = (s, size) => s.length > size ? s.slice(0, size - 1) + "…" : s;

function describe(i) {
  const lines = [`Trial ${T.number[i]}: ${state(i)}${T.reason[i] ? ` (${T.reason[i]})` : ""}`];
  study.objectives.forEach((o, k) => {
    if (value(i, k) !== null) lines.push(`${o.name}: ${text(value(i, k))}`);
  });
  study.params.slice(0, 12).forEach(p => {
    const v = T.params[p.index][i];
    if (v !== null) lines.push(`${cut(p.short, 60)}: ${cut(paramText(p, v), 80)}`);
  });
  if (study.params.length > 12) lines.push("…");
  if (broken.has(i)) lines.push("breaks a constraint");
  if (T.message[i]) lines.push(cut(T.message[i], 160));
  return lines.join("\n");
}

/* ---- elements ------------------------------------------------------------------------------------ */

/* make("p", {class: "note"}, "text", child, …): texts become text nodes, so nothing in the data is markup. */
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [key, v] of Object.entries(attributes || {}))
    if (v !== null && v !== false) e.setAttribute(key, v === true ? "" : v);
  for (const c of children.flat())
    if (c !== null && c !== undefined) e.append(c);
  return e;
}

const sections = [];
/* fill(body) draws; it is called again when the width or the palette has changed. */
function section(id, title, about, fill) {
  const body = make("div");
  document.getElementById("main").append(make(
    "section", {id, "aria-labelledby": id + "-title"}, make("h2", {id: id + "-title"}, title),
    about ? make("p", {class: "about"}, about) : null, body));
  document.getElementById("contents").append(make("li", {}, make("a", {href: "#" + id}, title)));
  sections.push({body, fill});
}
function drawAll() {
  for (const s of sections) {
    s.body.textContent = "";
    s.fill(s.body);
  }
}

/* A choice that survives drawing again. */
const chosen = {};
function picker(id, label, options, otherwise, change) {
  if (!(id in chosen)) chosen[id] = otherwise;
  const select = make(
    "select", {id},
    options.map(
      ([v, shown]) => make("option", {value: v, selected: String(v) === String(chosen[id])}, cut(shown, 60))));
  select.addEventListener("change", () => {
    chosen[id] = select.value;
    change();
  });
  return make("label", {}, label, select);
}
function objectivePicker(id, change) {
  if (study.objectives.length === 1) return null;
  return make(
    "div", {class: "controls"}, picker(id, "Objective", study.objectives.map((o, k) => [k, o.name]), 0, change));
}
const objectiveOf = id => study.objectives.length === 1 ? 0 : +(chosen[id] || 0);

/* ---- colours ------------------------------------------------------------------------------------- */

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => document.documentElement.dataset.theme === "dark";
/* Cividis (Nuñez et al. 2018), the same to readers with and without a colour vision deficiency. */
const CIVIDIS =
  ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const shades = () => isDark() ? CIVIDIS.slice(3) : CIVIDIS.slice(0, 9);
/* The best end is the one that stands out from the page. */
function ramp(best) {
  const c = shades(), colors = isDark() ? c : c.slice().reverse(),
        scale = d3.scale.linear().domain(d3.range(c.length).map(k => k / (c.length - 1))).range(colors).clamp(true);
  const f = u => scale(best ? u : 1 - u);
  f.css = `linear-gradient(90deg, ${colors.join(", ")})`;
  return f;
}
/* Where a value stands between the worst that matters and the best of the complete trials: 0..1. */
function goodness(k) {
  const complete = T.values[k].filter((v, i) => v !== null && state(i) === "complete");
  const [low, high] =
    robust(complete.length ? complete : T.values[k].filter(v => v !== null), study.objectives[k].max);
  const scale =
    d3.scale.linear().domain(study.objectives[k].max ? [low, high] : [high, low]).range([0, 1]).clamp(true);
  return i => low === high ? 1 : scale(value(i, k));
}
function scaleLegend(k, color) {
  return make(
    "div", {class: "scale"}, "worse", make("i", {style: `background: ${color.css}`}),
    `better ${study.objectives[k].name}`);
}

/* ---- scales -------------------------------------------------------------------------------------- */

/* The range of the values without a far tail on the bad side, which would press all others into a line. */
function robust(values, max) {
  const v = values.filter(isFinite).sort(d3.ascending);
  if (!v.length) return [0, 1];
  const best = max ? v[v.length - 1] : v[0], q = d3.quantile(v, max ? .1 : .9), tail = max ? v[0] : v[v.length - 1];
  const edge = Math.abs(tail - best) > 4 * Math.abs(q - best) && q !== best ? q + (q - best) * .35 : tail;
  return [Math.min(best, edge), Math.max(best, edge)];
}
function padded([low, high]) {
  const pad = (high - low || Math.abs(high) || 1) * .05;
  return [low - pad, high + pad];
}

/* Where a parameter's values lie on an axis of `length` pixels; those that lack it have a place of their own at 0. */
function paramScale(p, length, from) {
  const gap = p.absent ? Math.min(46, length * .2) : 0,
        range = [gap + (p.choices ? 8 : 0), length - (p.choices ? 8 : 0)];
  let scale, ticks = null;
  if (p.choices) {
    scale = d3.scale.ordinal().domain(d3.range(p.choices.length)).rangePoints(range);
    const every = Math.ceil(p.choices.length / 12);
    ticks = d3.range(0, p.choices.length, every);
  } else {
    let low = p.min, high = p.max;
    if (low === high) {
      low -= .5;
      high += .5;
    }
    scale = (p.log && low > 0 ? d3.scale.log() : d3.scale.linear()).domain([low, high]).range(range);
  }
  const place = v => from === "end" ? length - v : v;
  const at = v => place(v === null ? 0 : scale(v));
  at.ticks = count => {
    let list = ticks ? ticks.map(v => [at(v), p.choices[v]]) : null;
    if (!list) {
      let values = scale.ticks(count);
      if (p.log && p.min > 0) values = values.filter(v => /^1/.test(v.toExponential()));
      if (p.log && values.length < 2) values = [p.min, p.max];
      while (values.length > count + 1) values = values.filter((v, k) => k % 2 === 0);
      if (p.int) values = values.filter(Number.isInteger);
      list = values.map(v => [at(v), text(v)]);
    }
    return p.absent ? [[at(null), "absent"]].concat(list) : list;
  };
  return at;
}

/* ---- pictures ------------------------------------------------------------------------------------ */

/* An SVG with margins that is as wide as its place; `label` is what a screen reader says of the whole. */
function picture(parent, height, margin, label, fixed) {
  const width = fixed || Math.max(200, Math.min(parent.clientWidth || 1100, 1180));
  const svg = d3.select(parent).append("svg").attr(
    {viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label});
  const g = svg.append("g").attr("transform", `translate(${margin.left},${margin.top})`);
  return {svg, g, width: width - margin.left - margin.right, height: height - margin.top - margin.bottom};
}

function xAxis(pic, scale, label, ticks, format) {
  const axis = d3.svg.axis().scale(scale).orient("bottom").ticks(ticks || 6).tickSize(-pic.height).tickPadding(6);
  if (format) axis.tickFormat(format);
  pic.g.append("g").attr({class: "axis", transform: `translate(0,${pic.height})`, "aria-hidden": true}).call(axis);
  if (label)
    pic.g.append("text")
      .attr({x: pic.width, y: pic.height + 34, "text-anchor": "end", "aria-hidden": true})
      .text(label);
}
function yAxis(pic, scale, label, ticks) {
  const axis = d3.svg.axis().scale(scale).orient("left").tickSize(-pic.width).tickPadding(6).tickFormat(text);
  if (scale.base) /* logarithmic: 1, 2 and 5 of each power, or 1 alone */
    axis.tickValues([/^[125]e/, /^1e/]
                      .map(kept => scale.ticks().filter(v => kept.test(v.toExponential(0))))
                      .find((list, k) => list.length <= 9 || k === 1));
  else
    axis.ticks(ticks || 6);
  pic.g.append("g").attr({class: "axis", "aria-hidden": true}).call(axis);
  if (label)
    pic.g.append("text")
      .attr({x: -pic.g.attr("transform").match(/\((\d+)/)[1], y: -10, class: "title", "aria-hidden": true})
      .text(label);
}
/* Ticks of a parameter: [place, text] each. */
function paramAxis(pic, at, vertical, count, length) {
  const all = at.ticks(count), every = vertical ? 1 : Math.max(1, Math.ceil(all.length * 40 / pic.width));
  const g = pic.g.append("g").attr({class: "axis", "aria-hidden": true}),
        list = all.filter((t, k) => k % every === 0);
  const room = vertical ? 11 : Math.floor((pic.width / Math.max(list.length, 1)) / 6.2);
  list.forEach(([place, shown]) => {
    const tick =
      g.append("g").attr("transform", vertical ? `translate(0,${place})` : `translate(${place},${pic.height})`);
    tick.append("line").attr(vertical ? {x2: length} : {y2: -length});
    tick.append("text")
      .attr(vertical ? {x: -6, dy: ".32em", "text-anchor": "end"} : {y: 16, "text-anchor": "middle"})
      .text(shown === "absent" ? shown : cut(shown, Math.max(room, 3)));
  });
}

/* Marks are one stop of the tab key; arrow keys go from one to the next, Enter opens the trial. */
function reachable(selection, trialOf, label) {
  const nodes = selection[0], list = nodes.map((node, k) => k);
  selection
    .attr({role: "button", tabindex: (d, k) => k === 0 ? 0 : -1, "aria-label": d => label(d).replace(/\n/g, ", ")})
    .on(
      "mouseenter",
      function(d) {
        tip(label(d), this);
        warm(trialOf(d));
      })
    .on(
      "mouseleave",
      () => {
        tip(null);
        warm(null);
      })
    .on(
      "focus",
      function(d) {
        nodes.forEach(x => {
          if (x.getAttribute("tabindex") === "0") x.setAttribute("tabindex", -1);
        });
        this.setAttribute("tabindex", 0);
        tip(label(d), this);
        warm(trialOf(d));
      })
    .on(
      "blur",
      () => {
        tip(null);
        warm(null);
      })
    .on(
      "click",
      d => {
        if (trialOf(d) !== null) open(trialOf(d));
      })
    .on("keydown", function(d) {
      const step = {
        ArrowRight: 1,
        ArrowDown: 1,
        ArrowLeft: -1,
        ArrowUp: -1,
        Home: -Infinity,
        End: Infinity,
        PageDown: 10,
        PageUp: -10
      }[d3.event.key];
      if (d3.event.key === "Enter" || d3.event.key === " ") {
        d3.event.preventDefault();
        if (trialOf(d) !== null) open(trialOf(d));
      } else if (step !== undefined) {
        d3.event.preventDefault();
        const k = list.find(j => nodes[j] === this);
        nodes[Math.max(0, Math.min(nodes.length - 1, k + step))].focus();
      }
    });
  return selection.attr("data-trial", trialOf);
}

const SHAPES = {
  complete: "circle",
  pruned: "triangle-up",
  failed: "cross",
  running: "diamond",
  paused: "square",
  waiting: "square"
};
function shape(s, size) {
  return d3.svg.symbol().type(SHAPES[s]).size(size || 42)();
}

/* Trials as marks at (x(i), y(i)). */
function marks(pic, trials, x, y, options) {
  const o = options || {};
  const all = pic.g.append("g").selectAll("path").data(trials).enter().append("path").attr({
    class: i => `mark ${state(i)}${isBest.has(i) ? " front" : ""}${o.open && o.open(i) ? " open" : ""}`,
    d: i => shape(state(i), isBest.has(i) ? 75 : o.size),
    transform: i => `translate(${x(i)},${y(i)})`
  });
  if (o.color) all.style("fill", o.color);
  return reachable(all, i => i, describe);
}

function legend(parent, states, more) {
  const list = make("ul", {class: "legend"});
  for (const s of states) {
    const item = make("li", {class: s});
    d3.select(item).append("svg").attr({viewBox: "-6 -6 12 12", "aria-hidden": true}).append("path").attr({
      d: shape(s, 60),
      fill: "currentColor"
    });
    item.append(make("span", {style: "color: var(--muted)"}, s));
    list.append(item);
  }
  for (const m of more || []) list.append(make("li", {}, m));
  parent.append(list);
}
const statesOf = trials => STATES.filter(s => trials.some(i => state(i) === s));

/* ---- thinning ------------------------------------------------------------------------------------ */

/* At most `most` trials: the best ones, and of the others evenly many. */
function thin(trials, most, k) {
  if (trials.length <= most) return trials;
  const sign = study.objectives[k || 0].max ? -1 : 1,
        v = i => value(i, k || 0) === null ? Infinity : sign * value(i, k || 0);
  const keep = new Set(trials.filter(i => isBest.has(i)).slice(0, most));
  for (const i of trials.slice().sort((a, b) => v(a) - v(b)).slice(0, Math.floor(most / 4))) keep.add(i);
  const rest = trials.filter(i => !keep.has(i)), room = most - keep.size;
  for (let j = 0; j < room; j++) keep.add(rest[Math.floor(j * rest.length / room)]);
  return trials.filter(i => keep.has(i));
}
function thinned(parent, drawn, all, what) {
  if (drawn < all)
    parent.append(make(
      "p", {class: "note"},
      `Drawn are ${many(drawn)} of ${many(all)} ${what}: the best quarter of these, and evenly many of the others.`));
}

/* ---- the tooltip, the highlight ------------------------------------------------------------------ */

const tipBox = document.getElementById("tip");
function tip(shown, node) {
  tipBox.hidden = shown === null;
  if (shown === null) return;
  tipBox.textContent = shown;
  const box = node.getBoundingClientRect(), own = tipBox.getBoundingClientRect();
  let x = d3.event && d3.event.clientX, y = d3.event && d3.event.clientY;
  if (!x && !y) {
    x = box.left + box.width / 2;
    y = box.top + box.height / 2;
  }
  tipBox.style.left = Math.max(8, Math.min(x + 14, innerWidth - own.width - 8)) + "px";
  tipBox.style.top = (y + 18 + own.height > innerHeight ? Math.max(8, y - own.height - 14) : y + 18) + "px";
}
/* The same trial in all pictures. */
function warm(trial) {
  document.querySelectorAll(".hot").forEach(e => e.classList.remove("hot"));
  if (trial !== null) document.querySelectorAll(`[data-trial="${trial}"]`).forEach(e => e.classList.add("hot"));
}
