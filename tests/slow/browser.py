#!/usr/bin/env python3
"""report.html in a browser (headless Chromium, from Debian): everything is drawn, a keyboard reaches it, names are texts,
and 28,000 trials stay usable. Usage: browser.py ATHANOR MAKE_STUDY.

Each page gets a script behind its own, which uses it as a person would and leaves what it saw in an attribute."""
import html
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ATHANOR, MAKE_STUDY = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]
HOSTILE = "</script><script>alerted = 1</script><img src=x onerror='alerted = 1'>\"\n&"

CATCH = "<script>var faults = [], alerted = 0; addEventListener('error', e => faults.push(e.message));</script>"
USE = """<script>
"use strict";
const seen = {failures: faults, drawn: performance.now()};
const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const all = selector => [...document.querySelectorAll(selector)];
try {
  seen.sections = all("main section").map(s => s.id);
  seen.marks = Object.fromEntries(all("main section").map(s => [s.id, s.querySelectorAll("[data-trial]").length]));
  seen.stops = Object.fromEntries(all("main section").map(s => [s.id, s.querySelectorAll('svg [tabindex="0"]').length]));
  seen.pictures = all("main svg[role=group]").length;
  seen.unnamed = all("svg [tabindex]").filter(e => !e.getAttribute("aria-label")).length;
  seen.notes = all(".note").map(e => e.textContent);
  seen.heading = document.querySelector("h1").textContent;
  seen.images = all("img").length;
  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  const first = document.querySelector("#history svg [tabindex='0']");
  if (first) {
    first.focus();
    const trial = document.activeElement.dataset.trial;
    press(document.activeElement, "ArrowRight");
    seen.moved = document.activeElement.dataset.trial !== trial;
    seen.tip = document.getElementById("tip").hidden ? "" : document.getElementById("tip").textContent;
    press(document.activeElement, "End");
    const last = document.activeElement;
    press(last, "Enter");
    seen.dialog = document.getElementById("detail").open ? document.getElementById("detail").textContent : "";
    document.getElementById("detail").close();
    seen.hot = all(".hot").length;
  }
  const table = document.querySelector("#trials table");
  if (!table) throw "no table";
  const head = table.tHead.rows[0].cells[2].querySelector("button");
  const column = () => [...table.tBodies[0].rows].map(r => r.cells[2].textContent);
  seen.rows = column().length;
  head.click();
  seen.up = [column(), table.tHead.rows[0].cells[2].getAttribute("aria-sort")];
  head.click();
  seen.down = [column(), table.tHead.rows[0].cells[2].getAttribute("aria-sort")];
  const search = document.getElementById("table-search"), states = document.getElementById("table-state");
  states.value = "failed";
  states.dispatchEvent(new Event("change"));
  seen.failed = table.tBodies[0].rows.length;
  states.value = "";
  states.dispatchEvent(new Event("change"));
  search.value = "no such text";
  search.dispatchEvent(new Event("input"));
  seen.searched = table.tBodies[0].rows.length;
  seen.caption = table.caption.textContent;
  const scale = document.getElementById("history-scale"), height = () => all("#history .mark").map(e => e.getAttribute("transform"));
  if (scale) {
    const linear = height();
    scale.value = "log";
    scale.dispatchEvent(new Event("change"));
    seen.log = [linear.length === height().length, String(linear) !== String(height())];
  }
  const theme = document.documentElement.dataset.theme;
  document.getElementById("theme").click();
  seen.themes = [theme, document.documentElement.dataset.theme];
  seen.again = Object.fromEntries(all("main section").map(s => [s.id, s.querySelectorAll("[data-trial]").length]));
} catch (e) { faults.push(String(e)); }
setTimeout(() => {
  seen.alerted = alerted;
  document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
}, 50);
</script>"""


def chromium():
    if not shutil.which("chromium"):
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "apt-get", "-qq", "-y", "install", "--no-install-recommends", "chromium"], check=True,
                       stdout=subprocess.DEVNULL)
    return "chromium"


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-browser-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.study = cls.folder / "made.db"
        subprocess.run([MAKE_STUDY, cls.study], check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def seen(self, study, name, *options, width=1280):
        page = self.folder / f"{name}.html"
        subprocess.run([ATHANOR, "report", study, "--out", page, *options], check=True, capture_output=True)
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("<head>", "<head>" + CATCH, 1).replace("</body>", USE + "</body>"), encoding="utf-8")
        done = subprocess.run([chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
                               f"--user-data-dir={self.folder}/profile-{name}", "--virtual-time-budget=20000", "--dump-dom",
                               f"file://{page}"], capture_output=True, text=True, timeout=300)
        found = re.search(r'<html[^>]* data-seen="([^"]*)"', done.stdout)
        self.assertTrue(found, done.stderr[-500:])
        seen = json.loads(html.unescape(found.group(1)))
        if seen["failures"] == ["no table"] and seen["sections"] == ["summary"]:
            return seen  # there is no trial
        self.assertEqual(seen["failures"], [])
        self.assertEqual(seen["unnamed"], 0)
        self.assertEqual(seen["again"], seen["marks"])  # drawn again in the other palette
        self.assertEqual(len(set(seen["themes"])), 2)
        self.assertEqual(seen["searched"], 0)
        return seen

    def trials(self, name):
        done = subprocess.run([ATHANOR, "show", self.study, "--study", name, "--json"], check=True, capture_output=True)
        return json.loads(done.stdout)["trials"]

    def test_one_objective(self):
        seen, trials = self.seen(self.study, "curves", "--study", "curves"), self.trials("curves")
        self.assertEqual(seen["sections"], ["summary", "history", "importance", "parallel", "slices", "contours", "curves",
                                            "timeline", "trials"])
        states = [t["state"] for t in trials]
        complete = states.count("complete")
        self.assertEqual(seen["marks"]["history"], sum("values" in t for t in trials) + states.count("failed"))
        self.assertEqual(seen["marks"]["parallel"], complete)
        self.assertEqual(seen["marks"]["slices"], 4 * complete)  # a parameter a picture
        self.assertEqual(seen["marks"]["curves"], len(trials))
        self.assertEqual(seen["marks"]["timeline"], len(trials))
        for section, pictures in (("history", 1), ("parallel", 1), ("slices", 4), ("contours", 1), ("timeline", 1)):
            self.assertEqual(seen["stops"][section], pictures)  # each is one stop of the tab key
        self.assertTrue(seen["moved"])
        self.assertRegex(seen["tip"], r"^Trial \d+: \w+")
        self.assertRegex(seen["dialog"], r"Trial \d+State")
        self.assertGreater(seen["hot"], 1)  # the same trial in other pictures
        self.assertEqual(seen["rows"], len(trials))
        values = [float(v) for v in seen["up"][0] if v]
        self.assertEqual((values, seen["up"][1]), (sorted(values), "ascending"))
        values = [float(v) for v in seen["down"][0] if v]
        self.assertEqual((values, seen["down"][1]), (sorted(values, reverse=True), "descending"))
        self.assertEqual(seen["failed"], states.count("failed"))
        self.assertEqual(seen["notes"], [])
        self.assertEqual(seen["log"], [True, True])  # as many marks, elsewhere

    def test_two_objectives_on_a_narrow_screen(self):
        seen, trials = self.seen(self.study, "front", "--study", "front", width=500), self.trials("front")
        self.assertIn("pareto", seen["sections"])
        self.assertNotIn("curves", seen["sections"])
        self.assertEqual(seen["marks"]["pareto"], sum("values" in t for t in trials))
        self.assertLessEqual(seen["overflow"], 0)  # the page does not scroll sideways

    def test_hostile_names(self):
        path = self.folder / "hostile.db"
        shutil.copy(self.study, path)
        db = sqlite3.connect(path)
        db.execute("UPDATE studies SET study_name=? WHERE study_name='curves'", (HOSTILE,))
        db.execute("UPDATE trial_params SET param_name=? WHERE param_name='lr'", (HOSTILE,))
        db.execute("UPDATE trial_params SET distribution_json=replace(distribution_json, 'adam', '<img src=x onerror=alerted=1>')")
        db.execute("UPDATE athanor_trials SET message=? WHERE message IS NOT NULL", (HOSTILE,))
        db.execute("UPDATE study_system_attributes SET value_json=?", (json.dumps(["<b>loss</b>"]),))
        db.commit()
        db.close()
        seen = self.seen(path, "hostile", "--study", HOSTILE)
        self.assertEqual((seen["alerted"], seen["images"], seen["heading"]), (0, 0, HOSTILE))

    def test_odd_studies(self):
        """What leaves a picture with nothing, or with one thing, to draw."""
        children = ("trial_params", "trial_values", "trial_intermediate_values")
        changes = {
            "empty": [f"DELETE FROM {table}" for table in children + ("trials",)],
            "alone": [f"DELETE FROM {table} WHERE trial_id<>1" for table in children + ("trials",)],
            "bare": ["DELETE FROM trial_params"],
            "failed": ["UPDATE trials SET state='FAIL'", "DELETE FROM trial_values"],
            "asked": ["UPDATE trials SET state='WAITING', datetime_start=NULL, datetime_complete=NULL",
                      "DELETE FROM trial_values", "DELETE FROM trial_params", "DELETE FROM trial_intermediate_values"],
            "infinite": ["UPDATE trial_values SET value=NULL, value_type='INF_POS' WHERE trial_id % 2=0"],
            "equal": ["UPDATE trial_values SET value=0"],
        }
        for name, statements in changes.items():
            path = self.folder / f"odd-{name}.db"
            shutil.copy(self.study, path)
            db = sqlite3.connect(path)
            for statement in statements:
                db.execute(statement)
            db.commit()
            db.close()
            for study in ("curves", "front"):
                if name == "alone" and study == "front":
                    continue
                with self.subTest(name=name, study=study):
                    seen = self.seen(path, f"odd-{name}-{study}", "--study", study)
                    self.assertEqual("trials" in seen["sections"], name != "empty")

    def test_28000_trials(self):
        path = self.folder / "many.db"
        shutil.copy(self.study, path)
        db = sqlite3.connect(path)
        study, = db.execute("SELECT study_id FROM studies WHERE study_name='curves'").fetchone()
        for table in ("trial_params", "trial_values", "trial_intermediate_values"):
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")][2:]  # behind the row's own id and trial_id
            names = ", ".join(f'"{c}"' for c in columns)
            db.execute(f"""WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 699)
                INSERT INTO {table}(trial_id, {names}) SELECT 1000 + 40 * k.i + t.number, {names} FROM k, {table} x
                JOIN trials t ON t.trial_id=x.trial_id WHERE t.study_id=?""", (study,))
        db.execute("""WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 699)
            INSERT INTO trials(trial_id, number, study_id, state, datetime_start, datetime_complete)
            SELECT 1000 + 40 * k.i + t.number, 40 * k.i + t.number, study_id, state, datetime_start, datetime_complete
            FROM k, trials t WHERE t.study_id=?""", (study,))
        db.commit()
        db.close()
        seen = self.seen(path, "many", "--study", "curves")
        self.assertLess(max(v for k, v in seen["marks"].items() if k != "slices"), 2000)
        self.assertIn("Drawn are 1,500 of 28,000 trials: the best quarter of these, and evenly many of the others.",
                      [n.replace("27,300", "28,000") for n in seen["notes"]])
        self.assertTrue(any("300 of 28,000 curves" in n for n in seen["notes"]), seen["notes"])
        self.assertEqual(seen["rows"], 100)
        self.assertLess(seen["drawn"], 10000)  # milliseconds, on a busy machine


if __name__ == "__main__":
    unittest.main()
