/* Puts the page together: theme, sections, redrawing. */
"use strict";

const root = document.documentElement, themeButton = document.getElementById("theme");
/* A page from a file may be refused a storage. */
const store = {
  get(key) {
    try {
      return sessionStorage.getItem(key) || localStorage.getItem(key);
    } catch (e) {
      return null;
    }
  },
  set(key, v) {
    try {
      sessionStorage.setItem(key, v);
      localStorage.setItem(key, v);
    } catch (e) { /* this page only */
    }
  },
};
function setTheme(theme) {
  root.dataset.theme = theme;
  themeButton.textContent = theme === "dark" ? "Light" : "Dark";
  themeButton.setAttribute("aria-pressed", theme === "dark");
}
const systemDark = matchMedia("(prefers-color-scheme: dark)");
setTheme(store.get("athanor-theme") || (systemDark.matches ? "dark" : "light"));
themeButton.addEventListener("click", () => {
  setTheme(isDark() ? "light" : "dark");
  store.set("athanor-theme", root.dataset.theme);
  drawAll();
});
systemDark.addEventListener("change", e => {
  if (store.get("athanor-theme")) return;
  setTheme(e.matches ? "dark" : "light");
  drawAll();
});

/* ---- head and foot ------------------------------------------------------------------------------- */

document.getElementById("name").textContent = study.study;
document.getElementById("lead").textContent =
  study.objectives.map(o => `${o.name}, ${o.max ? "the larger" : "the smaller"} the better`).join("; ");
document.getElementById("colophon").textContent = `The study as of ${clock(study.now)}. Made by Athanor ${
  study
    .version}, with D3 by Mike Bostock (BSD licence). The page needs no network; all its data stand in it as JSON.`;
if (study.running) {
  const live = document.getElementById("live"), box = document.getElementById("reload");
  live.hidden = false;
  box.checked = store.get("athanor-reload") === "yes";
  box.addEventListener("change", () => store.set("athanor-reload", box.checked ? "yes" : "no"));
  setInterval(() => {
    if (box.checked && !document.getElementById("detail").open) location.reload();
  }, 15000);
}

/* ---- sections ------------------------------------------------------------------------------------ */

const severalParams = study.params.filter(varied).length;
section("summary", "Summary", null, summary);
if (study.sweeps) section("sweeps", "Sweeps", "Every value of a constant on the same recipe.", sweeps);
if (study.training) section("training", "Training", "The course of the one training over time.", training);
if (n) {
  section(
    "history", "History",
    "What each trial reached, and the best so far. Every mark opens its trial, also by keyboard: Tab goes to a " +
      "picture, arrow keys through its marks, Enter opens.",
    history);
  if (study.objectives.length > 1)
    section("pareto", "Pareto front", "Trials that no other one beats in every objective.", pareto);
  if (study.params.length)
    section(
      "importance", "Importance",
      "How much each parameter matters. PED-ANOVA compares the best tenth of the trials with all and is scaled to a " +
        "sum of 100 %; fANOVA is the share of the variance that a parameter explains alone, the rest are " +
        "interactions. A parameter that only some trials have is judged within these.",
      importance);
  if (severalParams)
    section(
      "parallel", "Parallel coordinates", "A line a trial; trials that lack a parameter pass at “absent”.", parallel);
  if (severalParams)
    section("slices", "Slices", "Each parameter against the objective, the most important first.", slices);
  if (severalParams > 1)
    section(
      "contours", "Contours",
      "The mean of the values near each point of two parameters; where no trial is near, it fades.", contours);
  if (study.curves.length)
    section("curves", "Learning curves", "What the trials reported under way (of the first execution).", curves);
  if (T.start.some(v => v !== null))
    section(
      "timeline", "Time line", "When each trial ran. A row is a place among the trials that ran side by side.",
      timeline);
  section("trials", "Trials", null, trialTable);
}
drawAll();

/* ---- drawing again ------------------------------------------------------------------------------- */

let width = innerWidth, waiting = null;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 150);
});
/* Paper is white. */
let before = null;
addEventListener("beforeprint", () => {
  before = root.dataset.theme;
  if (isDark()) {
    setTheme("light");
    drawAll();
  }
});
addEventListener("afterprint", () => {
  if (before === "dark") {
    setTheme("dark");
    drawAll();
  }
});
addEventListener("keydown", e => {
  if (e.key === "Escape") tip(null);
});
