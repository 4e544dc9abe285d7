#!/usr/bin/env python3
"""report.html from outside: what stands in it, whoever made the study, and that nothing in the data becomes markup.
What a browser makes of it is in the slow tests. Usage: test_report.py ATHANOR."""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

from study_test import HOSTILE, StudyTest

StudyTest.athanor = os.path.abspath(sys.argv.pop(1))


class Page(html.parser.HTMLParser):
    """Elements, their attributes, and the texts of title and scripts."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.title, self.inside = [], [], [], "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attributes]
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside == "script":
            self.scripts[-1] += text
        if self.inside == "title":
            self.title += text


class Report(StudyTest):
    def page(self, study, name, *options):
        self.succeeds("report", study, "--out", name, *options)
        return Page(self.folder / name)

    def test_the_page_was_written_by_the_search(self):
        data = Page(self.folder / "small/report.html").data
        self.assertEqual((data["study"], data["running"], data["ended"]), ("small", False, "max_trials reached"))
        self.assertEqual(len(data["trials"]["number"]), 12)

    def test_it_has_what_the_study_has(self):
        data = self.page("small", "own.html").data
        trials = json.loads(self.succeeds("export", "small", "--format", "json"))["trials"]
        columns = data["trials"]
        for i, t in enumerate(trials):
            self.assertEqual((columns["number"][i], data["states"][columns["state"][i]]), (t["trial"], t["state"]))
            self.assertEqual(columns["message"].get(str(i)), t.get("message"))
            self.assertEqual(columns["reason"].get(str(i)), t.get("reason"))
            for k, p in enumerate(data["params"]):
                value = columns["params"][k][i]
                shown = p["choices"][value] if "choices" in p else value
                self.assertEqual(shown, t["params"][p["name"]]) if "choices" in p else self.assertAlmostEqual(
                    shown, t["params"][p["name"]], places=5)
            if t["state"] == "complete":
                self.assertAlmostEqual(columns["values"][0][i], t["values"]["loss"], places=7)
        best = json.loads(self.succeeds("best", "small", "--json"))
        self.assertEqual(data["best"], [best["trial"]])
        self.assertEqual(data["commands"][str(best["trial"])] + "\n", self.succeeds("best", "small", "--command"))
        curve = next(c for c in data["curves"] if c["trial"] == best["trial"])
        self.assertEqual(curve["steps"], [1, 2])
        importance, = data["importance"]
        self.assertAlmostEqual(sum(importance["ped_anova"]), 1, places=3)

    def test_it_needs_no_other_file(self):
        page = self.page("small", "alone.html")
        for tag, name, value in page.attributes:
            self.assertNotIn(name, ("src", "onload", "onerror", "onclick"), (tag, value))
            if name == "href":
                self.assertTrue(value.startswith("#"), value)
        self.assertEqual(page.tags.count("link"), 0)
        text = (self.folder / "alone.html").read_text()
        style = text[text.index("<style>"):text.index("</style>")]
        self.assertNotRegex(style, r"url\(|@import")
        self.assertNotRegex(page.scripts[2], r"https?://|fetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|\.html\(")
        self.assertTrue({"main", "nav", "header", "dialog"} <= set(page.tags))
        self.assertEqual([v for t, n, v in page.attributes if n == "class" and v == "skip"], ["skip"] * 2)

    def test_hostile_names_are_texts(self):
        page = self.page(self.hostile("hostile"), "hostile.html")
        self.assertEqual(page.tags.count("script"), 3)
        self.assertEqual(page.tags.count("img"), 0)
        self.assertEqual(page.title, HOSTILE + " – Athanor")
        self.assertNotIn("<", page.scripts[0])
        self.assertEqual(page.data["study"], HOSTILE)
        self.assertIn("../../" + HOSTILE, [p["name"] for p in page.data["params"]])
        self.assertIn(HOSTILE, page.data["trials"]["message"].values())

    def test_several_objectives_and_other_programs(self):
        path = self.two_objectives("objectives")
        data = self.page(path, "objectives.html").data
        self.assertEqual(data["objectives"], [{"name": "loss", "max": False}, {"name": "speed", "max": True}])
        front = [t["trial"] for t in json.loads(self.succeeds("best", path, "--json"))["front"]]
        self.assertEqual(data["best"], front)
        self.assertEqual(len(data["importance"]), 2)
        self.assertEqual(data["commands"], {})

    def test_states_that_are_not_finished_and_odd_numbers(self):
        path, connection = self.copy("odd")
        with connection as db:
            db.execute("UPDATE trials SET state='RUNNING', datetime_complete=NULL WHERE number=1")
            db.execute("UPDATE trials SET state='WAITING', datetime_start=NULL, datetime_complete=NULL WHERE number=2")
            db.execute("UPDATE trials SET state='PRUNED' WHERE number=3")
            db.execute("UPDATE trial_values SET value=NULL, value_type='INF_POS' WHERE trial_id=5")
            db.execute("DELETE FROM trial_params WHERE trial_id=3")
            db.commit()
        columns = self.page(path, "odd.html").data["trials"]
        self.assertEqual([columns["end"][1], columns["start"][2]], [None, None])
        self.assertEqual([column[2] for column in columns["params"]], [None] * 3)
        if columns["values"][0][4] is not None:
            self.assertEqual(columns["values"][0][4], float("inf"))

    def test_an_empty_study(self):
        path, connection = self.copy("empty")
        with connection as db:
            for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes",
                          "athanor_executions", "athanor_reports", "athanor_trials", "trials"):
                db.execute(f"DELETE FROM {table}")
            db.commit()
        data = self.page(path, "empty.html").data
        self.assertEqual((data["trials"]["number"], data["best"], data["curves"]), ([], [], []))

    def test_it_is_the_same_every_time(self):
        first = self.page("small", "first.html")
        time.sleep(0.01)
        self.assertEqual(first.scripts, self.page("small", "second.html").scripts)

    def test_where_it_goes(self):
        self.succeeds("report", "small")
        path = self.foreign("beside")
        self.succeeds("report", path)
        self.assertTrue((self.folder / "beside.html").exists())
        self.refused("none/r.html: there is no folder none; make it first", "report", "small", "--out", "none/r.html")
        self.refused("none: there is no such folder or file; give a run's folder or a study.db", "report", "none")

    def test_a_study_elsewhere(self):
        """With --study the page is still in the run's folder, of the study that bears the run's name."""
        for name in ("one", "other"):
            self.succeeds("tune", "--param", "x=!int {min: 1, max: 2}", "--set", "objective=loss", "--set", f"name={name}",
                          "--study", "both.db", "--dir", f"runs/{name}", "--", "./program.sh", "plain", "{x}")
        self.assertEqual([Page(self.folder / f"runs/{name}/report.html").data["study"] for name in ("one", "other")],
                         ["one", "other"])

    def test_a_page_that_cannot_be_written_stops_nothing(self):
        (self.folder / "blocked/report.html/in the way").mkdir(parents=True)
        done = self.call("tune", "--param", "x=!int {min: 1, max: 2}", "--set", "objective=loss", "--dir", "blocked", "--",
                         "./program.sh", "plain", "{x}")
        self.assertEqual(done.returncode, 0, done.stderr)
        warnings = [line for line in done.stderr.decode().splitlines() if line.startswith("athanor: ")]
        self.assertEqual(len(warnings), 1, warnings)  # told once
        self.assertTrue(warnings[0].startswith("athanor: the page of the study cannot be written: blocked/report.html: "))
        self.assertIn("best of 2 trials", done.stdout.decode())

    def test_while_it_runs(self):
        self.watch_a_run()

    def test_while_it_runs_on_a_study_elsewhere(self):
        self.watch_a_run("--study", f"sqlite:///{self.folder}/elsewhere.db")
        self.assertFalse((self.folder / "live/study.db").exists())

    def watch_a_run(self, *arguments):
        shutil.rmtree(self.folder / "live", ignore_errors=True)
        slow = self.folder / "slow.sh"
        slow.write_text("#!/bin/sh\nsleep 0.8\necho '{\"loss\": '$1'}'\n")
        slow.chmod(0o755)
        command = [self.athanor, "tune", "--param", "x=!int {min: 1, max: 6}", "--set", "objective=loss", "--set",
                   "max_trials=6", "--dir", "live", *arguments, "--", "./slow.sh", "{x}"]
        with subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
            self.assertIn("trial 0: loss", run.stderr.readline())
            self.assertFalse((self.folder / "live/report.html").exists())  # not in the first two seconds
            for _ in range(1000):
                if (self.folder / "live/report.html").exists():
                    break
                time.sleep(0.01)
            data = Page(self.folder / "live/report.html").data  # renamed, so it is whole at any time
            self.assertTrue(data["running"])
            run.communicate(timeout=60)
        data = Page(self.folder / "live/report.html").data
        self.assertEqual((data["running"], len(data["trials"]["number"])), (False, 6))
        self.assertFalse([p for p in (self.folder / "live").iterdir() if re.search(r"report\.html.", p.name)])


if __name__ == "__main__":
    unittest.main()
