#!/usr/bin/env python3
"""tune --simulate from outside: searches over small recorded curves, and what bad files get. Usage: test_simulate.py ATHANOR."""
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

ATHANOR = os.path.abspath(sys.argv[1])
OBJECTIVE = ("--set", "objective={metric: score, direction: max}")
ROWS, STEPS, BEST = 40, 9, 23


def curves(seconds=True, rows=ROWS):
    """Row i has lr i / 100 and rises to it from 0; the row BEST is the highest from the first step on."""
    lines = ["# remark, with, commas", ",".join(["lr", "kind", *map(str, range(1, STEPS + 1)), *["seconds"] * seconds])]
    for i in range(rows):
        top = 10 if i == BEST else i / 100
        values = [f"{top * step / STEPS:.6f}" for step in range(1, STEPS + 1)]
        lines.append(",".join([f"{i / 100}", "even" if i % 2 == 0 else "odd", *values, *["0.5"] * seconds]))
    return "\n".join(lines) + "\n"


SPACE = """space: {lr: !float {min: 0, max: 0.39}, kind: !choice [even, odd]}
objective: {metric: score, direction: max}
sampler: random
"""


class Simulate(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-simulate-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.write("curves.csv", curves())
        self.write("space.yaml", SPACE)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def call(self, *arguments):
        return subprocess.run([ATHANOR, "tune", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120)

    def simulate(self, *arguments, file="curves.csv"):
        done = self.call("--simulate", file, "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refuses(self, sentence, *arguments):
        done = self.call(*arguments)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn(sentence, done.stderr)

    def test_random_takes_every_step_of_every_row_once(self):
        report = self.simulate(*OBJECTIVE)
        self.assertEqual((report["trials"], report["complete"], report["stopped"]), (ROWS, ROWS, 0))
        self.assertEqual(report["steps"], ROWS * STEPS)
        self.assertAlmostEqual(report["seconds"], ROWS * STEPS * 0.5)
        self.assertEqual(report["best"], {"value": 10, "row": BEST, "params": {"lr": BEST / 100, "kind": "odd"}})
        steps, seconds, values = zip(*report["improvements"])
        self.assertEqual(list(values), sorted(set(values)))
        self.assertEqual([s * 0.5 for s in steps], list(seconds))  # one worker
        self.assertEqual(values[-1], 10)

    def test_asha_takes_fewer_steps_and_finds_the_best(self):
        report = self.simulate(*OBJECTIVE, "--set", "scheduler=asha")
        self.assertLess(report["steps"], ROWS * STEPS / 2)
        self.assertEqual(report["best"]["row"], BEST)
        self.assertEqual(report["complete"] + report["stopped"], ROWS)
        self.assertGreater(report["stopped"], ROWS / 2)

    def test_workers_share_the_time_not_the_steps(self):
        report = self.simulate(*OBJECTIVE, "--jobs", "8")
        self.assertEqual(report["steps"], ROWS * STEPS)
        self.assertAlmostEqual(report["seconds"], ROWS * STEPS * 0.5 / 8)
        self.assertAlmostEqual(self.simulate(*OBJECTIVE, "--jobs", "1000")["seconds"], STEPS * 0.5)

    def test_a_thousand_workers_over_a_thousand_rows_take_seconds(self):
        self.write("many.csv", curves(rows=1000))
        for scheduler in "asha", "hyperband", "median":
            begun = time.monotonic()
            report = self.simulate(*OBJECTIVE, "--jobs", "1000", "--set", f"scheduler={scheduler}", file="many.csv")
            self.assertEqual((report["trials"], report["best"]["row"]), (1000, BEST))
            self.assertLess(time.monotonic() - begun, 30)  # alone on the machine: 1

    def test_a_step_takes_a_second_where_nothing_is_said(self):
        self.write("plain.csv", curves(seconds=False))
        self.assertEqual(self.simulate(*OBJECTIVE, file="plain.csv")["seconds"], ROWS * STEPS)

    def test_the_same_twice_and_another_with_another_seed(self):
        for scheduler in "asha", "hyperband", "median":
            arguments = (*OBJECTIVE, "--jobs", "4", "--set", f"scheduler={scheduler}", "--set", "max_trials=20")
            first = self.simulate(*arguments)
            self.assertEqual(first, self.simulate(*arguments))
            self.assertNotEqual(first, self.simulate(*arguments, "--set", "seed=5"))

    def test_rows_stand_for_the_points_of_a_space(self):
        report = self.simulate("space.yaml")
        self.assertEqual((report["rows"], report["complete"], report["best"]["row"]), (ROWS, ROWS, BEST))
        points = "points=[{lr: 0.2301, kind: odd}, {lr: 0.23, kind: odd}]"  # the second finds its row taken
        report = self.simulate("space.yaml", "--set", points, "--set", "max_trials=1")
        self.assertEqual((report["steps"], report["best"]["row"]), (STEPS, BEST))
        report = self.simulate("space.yaml", "--set", points, "--set", "max_trials=2")
        self.assertEqual(report["steps"], 2 * STEPS)
        self.assertEqual(report["complete"], 2)

    def test_rows_outside_of_the_space_are_left_out(self):
        report = self.simulate("space.yaml", "--set", "space.lr=!float {min: 0, max: 0.095}")
        self.assertEqual((report["rows"], report["best"]["row"]), (10, 9))
        self.refuses("none of its 40 rows lies in the space", "--simulate", "curves.csv", "space.yaml", "--set",
                     "space.kind=!choice [red, blue]")

    def test_gzip(self):
        with gzip.open(self.folder / "curves.csv.gz", "wt") as f:
            f.write(curves())
        self.assertEqual(self.simulate(*OBJECTIVE, file="curves.csv.gz"), self.simulate(*OBJECTIVE))

    def test_a_training_that_failed(self):
        self.write("failed.csv", "lr,1,2,3\n1,0.5,,\n2,0.1,0.2,0.3\n")
        report = self.simulate(*OBJECTIVE, file="failed.csv")
        self.assertEqual((report["complete"], report["failed"], report["steps"]), (1, 1, 5))
        self.assertEqual(report["best"]["row"], 0)

    def test_one_row(self):
        self.write("one.csv", curves(rows=1))
        self.assertEqual(self.simulate(*OBJECTIVE, file="one.csv")["steps"], STEPS)

    def test_for_people(self):
        done = self.call("--simulate", "curves.csv", *OBJECTIVE)
        self.assertEqual(done.stdout.splitlines(),
                         ["40 trials on 1 simulated worker: 40 complete, 0 stopped, 0 failed (ended: max_trials)",
                          "steps: 360 of the 360 of 40 rows", "simulated seconds: 180", "best score: 10, row 23",
                          "  lr: 0.23", '  kind: "odd"'])
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["curves.csv", "space.yaml"])

    def test_bad_files(self):
        for text, sentence in (("", "bad.csv: empty"), ("# only a remark\n", "bad.csv: empty"),
                               ("lr,1,2\n", "bad.csv: no configuration follows"),
                               ("lr,seconds\n1,2\n", "bad.csv: no column is called 1, 2, 3, …"),
                               ("lr,1,3\n1,2,3\n", "there is a column '3' but no column '2'"),
                               ("lr,1,7\n1,2,3\n", "column '7': steps are numbered 1, 2, 3, … without a gap"),
                               ("lr,1,1\n1,2,3\n", "column '1' stands twice"),
                               ("lr,1,2\n1,2\n", "line 2 has 2 fields, the header has 3"),
                               ("lr,1,2\n1,2,high\n", "line 2, column '2': expected a number, got \"high\""),
                               ("lr,1,seconds\n1,2,-1\n", "line 2: a step cannot take -1 seconds")):
            self.write("bad.csv", text)
            self.refuses(sentence, "--simulate", "bad.csv", *OBJECTIVE)
        self.write("bad.csv", "lr,kind,1\nfast,odd,2\n")
        self.refuses("line 2, column 'lr': expected a number, got \"fast\"", "--simulate", "bad.csv", "space.yaml")
        self.write("bad.csv", "lrr,kind,1\n1,odd,2\n")
        self.refuses("there is no column 'lr', which is a parameter of space.yaml; did you mean 'lrr'?", "--simulate",
                     "bad.csv", "space.yaml")
        self.refuses("nowhere.csv", "--simulate", "nowhere.csv", *OBJECTIVE)

    def test_what_has_no_meaning_here(self):
        self.refuses("in place of a command", "--simulate", "curves.csv", *OBJECTIVE, "--", "true")
        self.refuses("--dir is not for --simulate", "--simulate", "curves.csv", *OBJECTIVE, "--dir", "run")
        self.refuses("say what the curves of curves.csv hold", "--simulate", "curves.csv")
        for option in "executions_per_trial=2", "rescore=1", "max_seconds=5":
            name = option.partition("=")[0]
            self.refuses(f"{name} is not for --simulate", "--simulate", "curves.csv", *OBJECTIVE, "--set", option)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
