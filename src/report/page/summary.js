/* What is read first: figures, the best trial, why trials failed, the models of a run; and the dialog of one trial. */
"use strict";

const everyTrial = d3.range(n);
const withValue = k => everyTrial.filter(i => value(i, k) !== null && isFinite(value(i, k)));

/* ---- a trial ------------------------------------------------------------------------------------- */

function pairs(caption, rows) {
  return make(
    "table", {}, caption ? make("caption", {}, caption) : null,
    make(
      "tbody", {},
      rows.map(([name, v]) => make("tr", {}, make("th", {scope: "row"}, name), make("td", {class: "text"}, v)))));
}
function paramRows(i) {
  return study.params.filter(p => T.params[p.index][i] !== null)
    .map(p => [p.name, paramText(p, T.params[p.index][i])]);
}
function command(i) {
  if (!study.commands[i]) return null;
  const button = make("button", {type: "button"}, "Copy"),
        line = make("pre", {tabindex: 0, "aria-label": "Command line"}, study.commands[i]);
  button.addEventListener("click", () => {
    const done = ok => {
      button.textContent = ok ? "Copied" : "Marked: copy it by hand";
    };
    getSelection().selectAllChildren(line);
    navigator.clipboard ? navigator.clipboard.writeText(study.commands[i]).then(() => done(true), () => done(false)) :
                          done(document.execCommand("copy"));
  });
  return make("div", {}, make("h3", {}, "The command that does it again"), line, button);
}

const RELATIONS = {
  repeat_of: "Repeats",
  rescore_of: "Fresh seed of",
  child_of: "Goes on from"
};

function open(i) {
  const box = document.getElementById("detail"), back = document.activeElement;
  const close = make("button", {type: "button", class: "close"}, "Close");
  close.addEventListener("click", () => box.close());
  const facts = [["State", state(i) + (T.reason[i] ? ` (${T.reason[i]})` : "")]];
  study.objectives.forEach((o, k) => {
    if (value(i, k) !== null) facts.push([o.name, text(value(i, k))]);
  });
  if (T.message[i]) facts.push(["Message", T.message[i]]);
  if (broken.has(i)) facts.push(["Constraints", "one of them is broken"]);
  if (T.relation[i]) {
    const [kind, other, step] = T.relation[i];
    facts.push([RELATIONS[kind], `trial ${other}` + (step ? ` at step ${step}` : "")]);
  }
  if (T.executions[i]) facts.push(["Executions", T.executions[i].map(v => v.map(text).join(" / ")).join(", ")]);
  if (T.start[i] !== null) facts.push(["Started", clock(T.start[i])]);
  if (seconds(i) !== null) facts.push(["Time", duration(seconds(i))]);
  box.replaceChildren(
    close, make("h2", {id: "detail-title"}, `Trial ${T.number[i]}`), pairs(null, facts), make("h3", {}, "Parameters"),
    pairs(null, paramRows(i)), command(i) || "");
  box.onclose = () => {
    if (back) back.focus();
  };
  box.showModal();
}

/* ---- figures ------------------------------------------------------------------------------------- */

function tile(name, figure, small) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, figure, small ? make("small", {}, small) : null));
}
function summary(body) {
  const count = s => T.state.filter(v => STATES[v] === s).length;
  const starts = T.start.filter(v => v !== null), ends = T.end.filter(v => v !== null);
  const tiles = [tile("Trials", many(n), study.running ? "the study runs" : study.ended || null)];
  if (study.objectives.length === 1 && study.best.length)
    tiles.push(tile(
      `Best ${study.objectives[0].name}`, text(value(study.best[0], 0)),
      `trial ${T.number[study.best[0]]}, ${study.objectives[0].max ? "the largest" : "the smallest"}`));
  if (study.objectives.length > 1)
    tiles.push(tile(
      "Pareto front", plural(study.best.length, "trial"),
      study.objectives.map(o => `${o.name} ${o.max ? "↑" : "↓"}`).join(", ")));
  const spans = everyTrial.map(seconds).filter(v => v !== null);
  if (starts.length && ends.length)
    tiles.push(tile(
      "Wall time", duration(d3.max(ends) - d3.min(starts)),
      spans.length ? `${duration(d3.sum(spans))} of trials` : null));
  for (const s of STATES)
    if (count(s))
      tiles.push(make(
        "div", {}, make("dt", {}, make("span", {class: s}, make("span", {class: "dot", "aria-hidden": true})), s),
        make("dd", {}, many(count(s)), make("small", {}, `${Math.round(100 * count(s) / n)} %`))));
  body.append(make("dl", {class: "tiles"}, tiles));
  if (!n) return body.append(make("p", {}, study.sweeps || study.training ? "Nothing was searched." : "There is no trial yet."));
  if (study.best.length === 0)
    body.append(make("p", {}, "No trial has succeeded yet."));
  else if (study.objectives.length === 1) {
    const i = study.best[0];
    body.append(make(
      "div", {class: "columns"},
      make("div", {}, make("h3", {}, `The best: trial ${T.number[i]}`), pairs(null, paramRows(i))),
      make("div", {}, command(i), failures())));
  }
  if (study.objectives.length > 1 || !study.best.length) body.append(failures() || "");
  verdict(body);
  models(body);
}

/* ---- failures, models ---------------------------------------------------------------------------- */

function failures() {
  const by = d3.map();
  everyTrial.filter(i => state(i) === "failed").forEach(i => {
    const reason = T.reason[i] || "unknown";
    by.set(reason, (by.get(reason) || []).concat(i));
  });
  if (by.empty()) return null;
  const rows = by.entries().sort((a, b) => b.value.length - a.value.length).map(e => {
    const told = e.value.filter(i => T.message[i]), last = told[told.length - 1];
    return make(
      "tr", {}, make("th", {scope: "row"}, e.key), make("td", {class: "number"}, many(e.value.length)),
      make("td", {class: "text"}, last === undefined ? "" : cut(T.message[last], 300)));
  });
  return make(
    "div", {}, make("h3", {}, "Why trials failed"),
    make(
      "div", {class: "scroll"},
      make(
        "table", {},
        make(
          "thead", {},
          make(
            "tr", {}, make("th", {scope: "col"}, "Reason"), make("th", {scope: "col", class: "number"}, "Trials"),
            make("th", {scope: "col"}, "The last one's message"))),
        make("tbody", {}, rows))));
}

/* What the run said of its winner. */
function verdict(body) {
  const i = study.incumbent, r = study.rescored, lines = [];
  if (i && i.mean !== undefined)
    lines.push(
      `By the model trial ${i.trial} is the best: ${text(i.mean)} ± ${(i.deviation || 0).toPrecision(2)}` +
      (i.noise === undefined ? "." : `; the noise of one trial is ${i.noise.toPrecision(2)}.`));
  if (r)
    lines.push(
      `Trial ${r.trial} on ${plural(r.trials, "fresh seed")}: ${text(r.mean)}, in the search ${text(r.value)}.` +
      (r.fitted ? " The search fitted its validation data: trust the fresh figure." : ""));
  for (const line of lines) body.append(make("p", {class: "verdict"}, line));
}

const score = s => !s ? "" : s.accuracy !== undefined ? `${(100 * s.accuracy).toFixed(2)} %` : text(s.loss);
function models(body) {
  if (!study.models) return;
  const heads = ["Model", "Trial", "Best epoch", "Epochs", "Validation", "Test", "Weight"];
  const rows = study.models.map(
    m =>
      [m.rank, m.trial, m.best_epoch, m.epochs, score(m.validation), score(m.test),
       m.weight === undefined ? "" : m.weight.toFixed(3)]);
  if (study.ensemble)
    rows.push([
      `ensemble (${study.ensemble.method})`, "", "", "", score(study.ensemble.validation), score(study.ensemble.test),
      ""
    ]);
  body.append(
    make("h3", {}, "Retrained models"),
    make(
      "div", {class: "scroll"},
      make(
        "table", {},
        make(
          "thead", {},
          make("tr", {}, heads.map((h, k) => make("th", {scope: "col", class: k ? "number" : null}, h)))),
        make(
          "tbody", {},
          rows.map(
            r => make(
              "tr", {},
              r.map((v, k) => k ? make("td", {class: "number"}, text(v)) : make("th", {scope: "row"}, text(v)))))))));
}

/* ---- the table of trials ------------------------------------------------------------------------- */

const PAGE = 100;
const table = {
  sort: "number",
  down: false,
  page: 0,
  state: "",
  search: ""
};

function columns() {
  const list =
    [{key: "number", head: "Trial", get: i => T.number[i], number: true}, {key: "state", head: "State", get: state}];
  study.objectives.forEach(
    (o, k) =>
      list.push({key: "v" + k, head: o.name, get: i => value(i, k), show: i => text(value(i, k)), number: true}));
  study.params.forEach(p => list.push({
    key: "p" + p.index,
    head: p.short,
    title: p.name,
    get: i => T.params[p.index][i],
    show: i => paramText(p, T.params[p.index][i]),
    number: !p.choices,
    absent: true
  }));
  list.push({key: "seconds", head: "Time", get: seconds, show: i => duration(seconds(i)), number: true});
  list.push(
    {key: "why", head: "Reason and message", get: i => [T.reason[i], T.message[i]].filter(Boolean).join(": ")});
  return list;
}

function rowsOf(list) {
  const by = list.find(c => c.key === table.sort), wanted = table.search.toLowerCase();
  const shown = everyTrial.filter(
    i => (!table.state || state(i) === table.state) &&
      (!wanted || list.some(c => String((c.show || c.get)(i)).toLowerCase().includes(wanted))));
  const empty = v => v === null || v === "" || v === undefined;
  shown.sort((a, b) => {
    const x = by.get(a), y = by.get(b);
    if (empty(x) || empty(y)) return empty(x) - empty(y) || a - b; /* what lacks it stands last, either way */
    return (table.down ? -1 : 1) * d3.ascending(x, y) || a - b;
  });
  return shown;
}

function trialTable(body) {
  const list = columns(), caption = make("caption", {"aria-live": "polite"}), head = make("tr"), rows = make("tbody");
  const before = make("button", {type: "button"}, "Earlier"), after = make("button", {type: "button"}, "Later");
  const heads = list.map(c => {
    const button = make("button", {type: "button", title: c.title || c.head}, cut(c.head, 40)),
          th = make("th", {scope: "col", class: c.number ? "number" : null}, button);
    button.addEventListener("click", () => {
      table.down = table.sort === c.key && !table.down;
      table.sort = c.key;
      table.page = 0;
      fill();
    });
    head.append(th);
    return th;
  });
  function row(i) {
    const cells = list.map(c => {
      const v = c.get(i), shown = c.show ? c.show(i) : text(v);
      if (c.key === "number") {
        const button =
          make("button", {type: "button", "aria-label": `Trial ${v}, details`}, shown + (isBest.has(i) ? " ★" : ""));
        button.addEventListener("click", () => open(i));
        return make("th", {scope: "row", class: "number"}, button);
      }
      if (c.key === "state")
        return make(
          "td", {class: `state ${shown}`}, make("span", {class: "dot", "aria-hidden": true}),
          make("span", {style: "color: var(--text)"}, shown));
      return make(
        "td", {class: (c.number ? "number" : "text") + (c.absent && v === null ? " absent" : "")},
        c.absent && v === null ? "–" : cut(shown, 240));
    });
    return make("tr", {class: isBest.has(i) ? "best" : null}, cells);
  }
  function fill() {
    const shown = rowsOf(list), pages = Math.max(1, Math.ceil(shown.length / PAGE));
    table.page = Math.max(0, Math.min(table.page, pages - 1));
    const part = shown.slice(table.page * PAGE, (table.page + 1) * PAGE);
    heads.forEach(
      (th, k) => th.setAttribute(
        "aria-sort",
        table.sort !== list[k].key ? "none" :
          table.down               ? "descending" :
                                     "ascending"));
    caption.textContent = `${plural(shown.length, "trial")}${shown.length < n ? ` of ${many(n)}` : ""}, by ${
                            list.find(c => c.key === table.sort).head}` +
      (pages > 1 ? `; rows ${many(table.page * PAGE + 1)} to ${many(table.page * PAGE + part.length)}` : "") +
      "; ★ is the best.";
    before.disabled = table.page === 0;
    after.disabled = table.page >= pages - 1;
    before.hidden = after.hidden = pages === 1;
    rows.replaceChildren(...part.map(row));
  }
  const states = make(
    "select", {id: "table-state"}, make("option", {value: ""}, "all"),
    statesOf(everyTrial).map(s => make("option", {value: s, selected: s === table.state}, s)));
  const search = make("input", {type: "search", id: "table-search", value: table.search});
  states.addEventListener("change", () => {
    table.state = states.value;
    table.page = 0;
    fill();
  });
  search.addEventListener("input", () => {
    table.search = search.value;
    table.page = 0;
    fill();
  });
  before.addEventListener("click", () => {
    table.page--;
    fill();
  });
  after.addEventListener("click", () => {
    table.page++;
    fill();
  });
  fill();
  body.append(
    make(
      "div", {class: "controls"}, make("label", {}, "State", states), make("label", {}, "Search", search), before,
      after),
    make(
      "div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of trials"},
      make("table", {}, caption, make("thead", {}, head), rows)));
}
