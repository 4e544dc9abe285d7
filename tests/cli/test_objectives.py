#!/usr/bin/env python3
"""Several objectives and told constraints from outside: commands, ask-tell, what the study then holds.
Usage: test_objectives.py ATHANOR"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ATHANOR = os.path.abspath(sys.argv[1])
X = ("--param", "x=!float {min: 0, max: 1}")
TWO = ("--set", "objective=[{metric: cost, direction: min}, {metric: score, direction: max}]")
# cost grows with x, so does score: every point that keeps x >= 0.25 lies on the front
REPORT = """printf '{{"cost": %s, "score": %s, "constraints": [%s]}' {x} {x} $(awk 'BEGIN {{ print 0.25 - {x} }')"""


class Objectives(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-objectives-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def call(self, *arguments, text=None):
        return subprocess.run([ATHANOR, *arguments], cwd=self.folder, input=text, capture_output=True, text=True, timeout=120)

    def tell(self, *requests, objective=TWO):
        lines = "".join(json.dumps(r) + "\n" for r in requests)
        done = self.call("ask-tell", *X, *objective, "--set", "sampler=random", "--study", "study.db", text=lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_command(self):
        done = self.call("tune", *X, *TWO, "--set", "sampler=nsga2", "--set", "max_trials=12", "--dir", "run", "--",
                         "sh", "-c", REPORT)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads((self.folder / "run/report.json").read_text())
        self.assertEqual(report["objectives"], ["cost", "score"])
        shown = self.call("export", "run", "--format", "json")
        trials = json.loads(shown.stdout)["trials"]
        kept = [t["trial"] for t in trials if t["constraints"][0] <= 0]
        self.assertTrue(0 < len(kept) < 12)
        self.assertEqual([t["trial"] for t in report["front"]], kept)
        for t in report["front"]:
            self.assertAlmostEqual(t["values"]["cost"], t["params"]["x"])
        self.assertIn("Pareto front of 12 trials", done.stdout)
        best = json.loads(self.call("best", "run", "--json").stdout)
        self.assertEqual([t["trial"] for t in best["front"]], kept)
        lines = self.call("best", "run", "--command").stdout.splitlines()
        for comment, command, number in zip(lines[::2], lines[1::2], kept, strict=True):
            self.assertRegex(comment, rf"^# trial {number}: cost [\d.e-]+, score [\d.e-]+$")
            self.assertTrue(command.startswith("sh -c "))

    def test_an_objective_is_missing(self):
        done = self.call("tune", *X, *TWO, "--set", "max_trials=3", "--dir", "run", "--", "echo", '{{"score": {x}}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no 'cost'; it has: score", done.stderr)

    def test_an_objective_is_not_a_number(self):
        done = self.call("tune", *X, "--set", "objective=[loss, val_loss, {metric: rest, direction: min}]", "--set", "max_trials=3", "--dir", "run", "--",
                         "echo", '{{"loss": {x}, "val_loss": 1, "rest": NaN}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed (nan): the objective 'rest' was not a number", done.stderr)

    def test_bad_lists(self):
        for text, part in (("[]", "expected a list of 1 to 8 objectives, got 0"), ("[loss, loss]", "loss stands twice"),
                           ("[loss, 3]", "expected a report's name"), ("[loss, flow]", "is a larger flow better?"),
                           ("[{metric: a, direction: up}]", "direction must be min or max")):
            done = self.call("tune", *X, "--set", f"objective={text}", "--", "true")
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(part, done.stderr)

    def test_ask_tell(self):
        answers = self.tell(
            {"op": "ask", "n": 4}, {"op": "tell", "trial": 0, "values": {"cost": 1}},
            {"op": "tell", "trial": 0, "values": {"cost": 1, "score": 1}, "constraints": "none"},
            {"op": "tell", "trial": 0, "values": {"cost": 1, "score": 1}, "constraints": [0, "x"]},
            {"op": "tell", "trial": 0, "values": {"cost": 0, "score": 9}, "constraints": [-1, 0.5]},
            {"op": "tell", "trial": 1, "values": {"cost": 1, "score": 1}, "constraints": [-1, 0]},
            {"op": "tell", "trial": 2, "values": {"cost": 2, "score": 2}},
            {"op": "tell", "trial": 3, "values": {"cost": 3, "score": 2}},
            {"op": "add", "params": {"x": 0.5}, "values": {"cost": 0, "score": 0}, "constraints": [-2]}, {"op": "best"})
        for i, part in ((1, "for the objective 'score', got nothing"), (2, "expected a list of 1 to 64 numbers"),
                        (3, "kept where none is above 0")):
            self.assertIn(part, answers[i]["error"])
        self.assertEqual([a.get("ok") for a in answers[4:9]], [True] * 5)
        self.assertEqual([t["trial"] for t in answers[9]["front"]], [1, 2, 4])
        self.assertEqual(answers[9]["front"][1]["values"], {"cost": 2, "score": 2})
        trials = json.loads(self.call("export", "study.db", "--format", "json").stdout)["trials"]
        self.assertEqual([t.get("constraints") for t in trials], [[-1, 0.5], [-1, 0], None, None, [-2]])

    def test_one_objective_and_constraints(self):
        one = ("--set", "objective=loss")
        answers = self.tell({"op": "ask", "n": 3}, {"op": "tell", "trial": 0, "values": {"loss": 1}, "constraints": [2]},
                            {"op": "best"}, {"op": "tell", "trial": 1, "values": {"loss": 5}, "constraints": [1]},
                            {"op": "best"}, {"op": "tell", "trial": 2, "values": {"loss": 9}, "constraints": [0]},
                            {"op": "best"}, objective=one)
        self.assertEqual([answers[i]["trial"] for i in (2, 4, 6)], [0, 1, 2])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
