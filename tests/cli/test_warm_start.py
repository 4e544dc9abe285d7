#!/usr/bin/env python3
"""Searches that begin with what another study knows: its points, its trials as observations, and what cannot be taken.
Usage: test_warm_start.py ATHANOR."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ATHANOR = os.path.abspath(sys.argv[1])
LOSS = ("--set", "objective=loss")
SPACE = ("--param", "x=!float {min: 0, max: 1}", "--param", "k=!choice [a, b]")
SCRIPT = ("sh", "-c", "echo '{{\"loss\": '{x}'}'")


class WarmStart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-warm-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.tunes("old", SPACE, "--set", "max_trials=8", "--set", "sampler=random")
        cls.known = sorted(cls.trials("old"), key=lambda t: t["values"]["loss"])

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def call(cls, *arguments, text=None):
        return subprocess.run([ATHANOR, *map(str, arguments)], cwd=cls.folder, input=text, capture_output=True, text=True,
                              timeout=120)

    @classmethod
    def tunes(cls, folder, space, *arguments):
        done = cls.call("tune", *space, *LOSS, *arguments, "--dir", folder, "--", *SCRIPT)
        assert done.returncode == 0, done.stderr

    @classmethod
    def trials(cls, study):
        return json.loads(cls.call("show", study, "--json").stdout)["trials"]

    def refused(self, sentence, *arguments, code=2):
        done = self.call(*arguments)
        self.assertEqual((done.returncode, done.stderr.strip()), (code, "athanor: " + sentence))

    def test_the_best_points_come_first_and_are_remembered(self):
        shutil.copytree(self.folder / "old", self.folder / "moved")
        wide = ("--param", "x=!float {min: 0, max: 1}", "--param", "k=!choice [c, b, a]", "--param",
                "n=!int {min: 1, max: 4, default: 3}")
        warm = ("--set", "warm_start={study: moved, trials: 3}", "--set", "points=[{x: 0.25, k: c, n: 1}]")
        self.tunes("new", wide, *warm, "--set", "max_trials=2")
        shutil.rmtree(self.folder / "moved")
        self.tunes("new", wide, *warm, "--set", "max_trials=6")
        found = [t["params"] for t in self.trials("new")]
        self.assertEqual(found[0], {"x": 0.25, "k": "c", "n": 1})
        self.assertEqual(found[1:4], [{**t["params"], "n": 3} for t in self.known[:3]])
        self.assertNotIn({k: v for k, v in found[4].items() if k != "n"}, [t["params"] for t in self.known])
        self.refused("warm_start: the study was begun with what moved knew, and begins once: leave warm_start as it was, or "
                     "out", "tune", *wide, *LOSS, "--set", "warm_start=old", "--set", "max_trials=7", "--dir", "new", "--",
                     *SCRIPT, code=2)

    def test_points_outside_are_left_out(self):
        inside = [t["params"] for t in self.known if t["params"]["x"] >= 0.3]
        self.tunes("part", ("--param", "x=!float {min: 0.3, max: 1}"), "--set", "warm_start=old", "--set", "max_trials=3")
        self.assertEqual([t["params"]["x"] for t in self.trials("part")], [p["x"] for p in inside[:3]])

    def test_a_search_that_has_begun(self):
        self.tunes("begun", SPACE, "--set", "max_trials=2")
        self.refused("warm_start: old: the search has begun already, so there are no first points; take what is known there "
                     "as observations, or start over with --overwrite", "tune", *SPACE, *LOSS, "--set", "warm_start=old",
                     "--set", "max_trials=4", "--dir", "begun", "--", *SCRIPT)
        self.tunes("begun", SPACE, "--set", "warm_start={study: old, as: observations}", "--set", "max_trials=3")
        self.assertEqual(len(self.trials("begun")), 2 + 8 + 1)

    def test_observations(self):
        self.tunes("seen", SPACE, "--set", "warm_start={study: old/study.db, as: observations}", "--set", "max_trials=2")
        found = self.trials("seen")
        self.assertEqual(len(found), 10)  # they take nothing from max_trials
        for old, new in zip(sorted(self.known, key=lambda t: t["trial"]), found):
            self.assertEqual((old["params"], old["values"]), (new["params"], new["values"]))
        self.tunes("seen", SPACE, "--set", "warm_start={study: old/study.db, as: observations}", "--set", "max_trials=3")
        self.assertEqual(len(self.trials("seen")), 11)  # once

    def test_ask_tell_and_a_study_of_another_program(self):
        path = self.folder / "foreign.db"
        shutil.copy(self.folder / "old/study.db", path)
        with sqlite3.connect(path) as db:
            for table in ("study", "trials", "executions", "reports", "leases"):
                db.execute(f"drop table athanor_{table}")
            db.execute("delete from study_system_attributes")  # no name of the objective
        done = self.call("ask-tell", *SPACE, *LOSS, "--set", f"warm_start=sqlite:///{path}", text='{"op":"ask","n":2}\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        asked = [t["params"] for t in json.loads(done.stdout)["trials"]]
        self.assertEqual(asked, [t["params"] for t in self.known[:2]])

    def test_a_front(self):
        two = ("--set", "objective=[{metric: p, direction: min}, {metric: q, direction: max}]", "--set", "sampler=random")
        script = ("sh", "-c", "echo '{{\"p\": '{x}', \"q\": '{y}'}'")
        space = ("--param", "x=!float {min: 0, max: 1}", "--param", "y=!float {min: 0, max: 1}")
        for folder, more in (("front", ("--set", "max_trials=15")), ("after", ("--set", "warm_start={study: front, trials: 9}",
                                                                              "--set", "max_trials=9"))):
            done = self.call("tune", *space, *two, *more, "--dir", folder, "--", *script)
            self.assertEqual(done.returncode, 0, done.stderr)
        front = json.loads(self.call("best", "front", "--json").stdout)["front"]
        taken = [t["params"] for t in self.trials("after")]
        for t in front[:9]:
            self.assertIn(t["params"], taken[:len(front)])

    def test_a_worker_needs_no_other_study_and_no_password_stays(self):
        self.tunes("shared", SPACE, "--set", "warm_start=old", "--set", "max_trials=3")
        with sqlite3.connect(self.folder / "shared/study.db") as db:
            (setup,), = db.execute("select value from athanor_study where key='setup'")
        self.assertNotIn("warm_start", setup)
        self.assertIn("max_trials", setup)

    def test_what_cannot_be_taken(self):
        for sentence, space, value in (
            ("warm_start: none: no such file; expected the study.db of a run's folder", SPACE, "none"),
            ("space: warm_start: 'studdy' is not an option of warm_start; did you mean 'study'?", SPACE, "{studdy: old}"),
            ("warm_start: old: none of the study's parameters is one of this space", ("--param", "z=!float {min: 0, max: 1}"),
             "old"),
            ("warm_start: old: none of the study's 8 complete trials lies in this space",
             ("--param", "x=!float {min: 5, max: 6}"), "old"),
            ("warm_start: old: the study has no parameter 'z', so its values are not of this space; take its points",
             (*SPACE, "--param", "z=!bool {}"), "{study: old, as: observations}"),
            ("warm_start: old: the study has a parameter 'k' more, so its values are not of this space; take its points",
             SPACE[:2], "{study: old, as: observations}"),
        ):
            self.refused(sentence, "tune", *space, *LOSS, "--set", f"warm_start={value}", "--dir", "not", "--", "true")
        self.refused("warm_start: old: the objective of the study is 'loss', of this one 'accuracy'", "tune", *SPACE, "--set",
                     "objective=accuracy", "--set", "warm_start=old", "--dir", "not", "--", "true")
        self.refused("warm_start: old: the study makes 'loss' small, this one large", "tune", *SPACE, "--set",
                     "objective={metric: loss, direction: max}", "--set", "warm_start=old", "--dir", "not", "--", "true")
        self.assertFalse((self.folder / "not").exists())


if __name__ == "__main__":
    unittest.main(argv=["test_warm_start.py"])
