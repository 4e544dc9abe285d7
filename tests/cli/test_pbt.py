#!/usr/bin/env python3
"""Population-based training from outside: over a recipe, over a command, killed in between, and what it does not fit.
Usage: test_pbt.py ATHANOR."""
import csv
import io
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from arrays import npy

ATHANOR = os.path.abspath(sys.argv[1])

RECIPE = """name: points
seed: 3
data:
  source: files
  train: {x: x.npy, y: y.npy}
  validation: 60
  batch: !int {min: 5, max: 40, prior: log, name: batch}
model:
  - dense: {units: !int {min: 4, max: 8, step: 4, name: units}, activation: relu}
  - dropout: {rate: !float {min: 0, max: 0.5, name: dropout}}
  - dense: {units: 3, activation: softmax}
train:
  optimizer: !choice
    - adam: {learning_rate: !float {min: 1e-4, max: 1e-1, prior: log, name: lr}}
    - sgd
  loss: sparse_categorical_crossentropy
  epochs: 12
tune: {sampler: random, max_trials: 6, jobs: 2, deterministic: true, scheduler: {pbt: {perturbation_interval: 3}}}
"""

# Its state is one number, which falls as its rate allows; it ends by itself where it is to pause.
PROGRAM = """import json, math, os, sys, time
def report(step):
    print(json.dumps({"step": step, "loss": math.log(errors[step - 1])}), flush=True)
rate, state = float(sys.argv[1]), os.environ["ATHANOR_DIR"] + "/state"
errors, rates = [], []
if os.environ["ATHANOR_RESUMED"] and os.path.exists(state):
    errors, rates = json.load(open(state))
for step in range(1, len(errors) + 1):
    report(step)  # again: it may have been lost with who read it
while len(errors) < int(os.environ["ATHANOR_BUDGET"]):
    errors.append((errors[-1] if errors else 1) * (1 - rate) ** 2 + 0.1 * rate ** 2)
    rates.append(rate)
    with open(state + ".new", "w") as f:
        json.dump([errors, rates], f)
    os.rename(state + ".new", state)
    report(len(errors))
    time.sleep(float(os.environ.get("PAUSE", 0)))
"""


class Pbt(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-pbt-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        rng = random.Random(1)
        y = [rng.randrange(3) for _ in range(240)]
        x = [v for label in y for v in (rng.gauss(2 * label, 1), rng.gauss(-label, 1), rng.gauss(0, 1), 1.0)]
        (self.folder / "x.npy").write_bytes(npy("<f4", (240, 4), x))
        (self.folder / "y.npy").write_bytes(npy("<i4", (240,), y))
        (self.folder / "points.yaml").write_text(RECIPE)
        (self.folder / "program.py").write_text(PROGRAM)

    def start(self, *arguments, pause=0):
        environment = {**os.environ, "ATHANOR_CACHE": str(self.folder / "cache"), "PAUSE": str(pause)}
        process = subprocess.Popen([ATHANOR, *arguments], cwd=self.folder, env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def call(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def succeeds(self, *arguments):
        code, out, err = self.call(*arguments)
        self.assertEqual(code, 0, err)
        return out

    def refused(self, part, *arguments):
        code, _, err = self.call(*arguments)
        self.assertEqual(code, 2, err)
        self.assertIn(part, err.splitlines()[-1])

    def command(self, *options, folder="run"):
        return ("tune", "--param", "rate=!float {min: 1e-3, max: 1, prior: log}", "--set", "objective=loss", "--set",
                "sampler=random", "--set", "max_trials=6", "--set", "resumable=true", "--set",
                "scheduler={pbt: {max_t: 12, perturbation_interval: 4}}", "--dir", folder, *options, "--", sys.executable,
                "-SE", "program.py", "{rate}")

    def trials(self, folder):
        """[(state, params, curve, parent, step)]"""
        trials = json.loads(self.succeeds("export", folder, "--format", "json"))["trials"]
        return [(t["state"], t["params"], [(r["step"], r["values"].get("loss"), r["values"].get("val_loss"))
                                           for r in t["executions"][0]["reports"]], t.get("child_of"), t.get("from_step"))
                for t in trials]

    # ---- over a recipe

    def test_a_recipe(self):
        said = self.call("tune", "points.yaml", "--dir", "run")
        self.assertEqual(said[0], 0, said[2])
        self.assertRegex(said[2], r"trial 6 goes on from trial \d, with other values")
        trials = self.trials("run")
        self.assertEqual(len(trials), 6 + 3 * 2)
        for number, (state, params, curve, parent, step) in enumerate(trials):
            self.assertEqual([s for s, *_ in curve], list(range(1, len(curve) + 1)))
            self.assertEqual(state == "complete", len(curve) == 12)
            if parent is None:
                continue
            self.assertEqual(step, (number - 6) // 2 * 3 + 3)
            self.assertEqual(curve[:step], trials[parent][2][:step])
            self.assertNotEqual(curve[step:step + 3], trials[parent][2][step:step + 3])
            for kept in ("units", "train.optimizer"):  # other tensors would not fit the state
                self.assertEqual(params[kept], trials[parent][1][kept])
        self.assertTrue(any(p["lr"] != trials[parent][1]["lr"] for _, p, _, parent, _ in trials if parent and "lr" in p))
        child, parent = next((i, t[3]) for i, t in enumerate(trials) if t[3] is not None)
        self.assertIn(f"(from trial {parent} at step 3)", self.succeeds("show", "run").splitlines()[child + 3])
        best = self.succeeds("best", "run")
        winner = trials[int(best.split()[1].rstrip(":"))]
        while winner[3] is not None:
            self.assertIn(f"  up to step {winner[4]} as trial {winner[3]}: ", best)
            winner = trials[winner[3]]
        if "up to step" in best:
            self.assertTrue(self.succeeds("best", "run", "--command").startswith("# trial "))
        self.exports(trials)
        self.succeeds("tune", "points.yaml", "--dir", "again", "--jobs", "1")  # one job gives the same
        self.assertEqual(trials, self.trials("again"))

    def exports(self, trials):
        """Each names a child's parent, and what lies before it."""
        rows = list(csv.DictReader(io.StringIO(self.succeeds("export", "run"))))
        self.succeeds("export", "run", "--format", "mlflow", "--out", "mlruns")
        self.succeeds("export", "run", "--format", "tensorboard", "--out", "tb")
        tags = {tag.parent.parent.name: tag for tag in (self.folder / "mlruns").glob("*/*/tags/mlflow.runName")}
        runs = {tag.read_text(): run for run, tag in tags.items()}
        self.assertEqual(len(runs), len(trials))
        for number, (*_, parent, step) in enumerate(trials):
            self.assertEqual((rows[number]["parent"], rows[number]["parent_step"]),
                             ("", "") if parent is None else (str(parent), str(step)))
            tag = tags[runs[f"trial {number}"]].parent / "mlflow.parentRunId"
            events = b"".join(f.read_bytes() for f in (self.folder / f"tb/trial-{number:04d}").iterdir())
            self.assertEqual(tag.exists(), parent is not None)
            if parent is None:
                self.assertNotIn(b"lineage", events)
                continue
            self.assertEqual(tag.read_text(), runs[f"trial {parent}"])
            lineage = f"trial {parent} at step {step}"
            while trials[parent][3] is not None:
                lineage += f", trial {trials[parent][3]} at step {trials[parent][4]}"
                parent = trials[parent][3]
            self.assertEqual((tag.parent / "athanor.lineage").read_text(), lineage)
            self.assertIn(lineage.encode(), events)

    def test_max_t_is_less_than_the_epochs(self):
        self.succeeds("tune", "points.yaml", "--dir", "run", "--set", "tune.scheduler={pbt: {max_t: 4, perturbation_interval: 2}}")
        trials = self.trials("run")
        self.assertEqual(sum(state == "complete" for state, *_ in trials), 6)
        self.assertEqual({len(curve) for state, _, curve, *_ in trials if state == "complete"}, {4})

    def test_a_recipe_that_nothing_can_change(self):
        fixed = RECIPE
        for line, instead in (("!int {min: 5, max: 40, prior: log, name: batch}", "20"),
                              ("!float {min: 0, max: 0.5, name: dropout}", "0.1"),
                              ("!float {min: 1e-4, max: 1e-1, prior: log, name: lr}", "0.01")):
            fixed = fixed.replace(line, instead)
        (self.folder / "fixed.yaml").write_text(fixed)
        self.refused("pbt: no parameter can change while a model is trained", "tune", "fixed.yaml")
        self.refused("perturbation_interval 12 is not below max_t 12", "tune", "points.yaml", "--set",
                     "tune.scheduler.pbt.perturbation_interval=12")
        self.refused("leave out rescore", "tune", "points.yaml", "--set", "tune.rescore=2")

    # ---- over a command

    def test_a_command(self):
        self.succeeds(*self.command("--jobs", "2", "--set", "deterministic=true"))
        trials = self.trials("run")
        self.assertEqual(len(trials), 6 + 2 * 2)
        for number, (state, params, curve, parent, step) in enumerate(trials):
            errors, rates = json.loads((self.folder / f"run/trials/{number}/0/state").read_text())
            self.assertEqual(len(errors), len(curve))
            begin = step or 0
            self.assertEqual(rates[begin:], [params["rate"]] * (len(rates) - begin))
            if parent is not None:  # its state is its parent's at that step, which went on by itself
                rates_there = json.loads((self.folder / f"run/trials/{parent}/0/state").read_text())[1]
                self.assertEqual(rates[:begin], rates_there[:begin])
        final = min(curve[-1][1] for *_, curve, _, _ in trials if len(curve) == 12)
        first = min(curve[-1][1] for *_, curve, parent, _ in trials if len(curve) == 12 and parent is None)
        self.assertLessEqual(final, first)

    def test_killed_again_and_again(self):
        """With all that it had started, in the middle of its steps: the same trials in the end."""
        self.succeeds(*self.command("--jobs", "2", "--set", "deterministic=true"))
        killed = self.command("--jobs", "2", "--set", "deterministic=true", folder="killed")
        for i in range(3):
            process = self.start(*killed, pause=0.02)
            time.sleep(0.3 + 0.2 * i)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.succeeds(*killed)
        self.assertEqual(self.trials("run"), self.trials("killed"))

    def test_two_drivers(self):
        """One on each side of a population: both wait for all, and what one leaves paused is gone on with."""
        process = self.start(*self.command(), pause=0.02)
        while not (self.folder / "run/trials/1").exists():
            time.sleep(0.01)
        self.succeeds("worker", "run")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        trials = self.trials("run")
        self.assertEqual(len(trials), 6 + 2 * 2)
        self.assertEqual(sum(state == "complete" for state, *_ in trials), 6)
        for state, _, curve, parent, step in trials:
            self.assertEqual([s for s, *_ in curve], list(range(1, len(curve) + 1)))
            self.assertTrue(parent is None or curve[:step] == trials[parent][2][:step])

    def test_what_does_not_fit(self):
        self.refused("pbt pauses trials, and their children go on", *self.command("--set", "resumable=false"))
        self.refused("how many steps a whole trial takes is unknown", *self.command("--set", "scheduler=pbt"))
        (self.folder / "curves.csv").write_text("rate,1,2,3\n0.1,3,2,1\n0.2,3,2,1\n")
        (self.folder / "space.yaml").write_text("space: {rate: !float {min: 0, max: 1}}\nobjective: loss\nscheduler: pbt\n")
        self.refused("pbt: a child goes on from its parent's state, which nobody copies here", "tune", "--simulate",
                     "curves.csv", "space.yaml")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
