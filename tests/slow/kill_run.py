#!/usr/bin/env python3
"""A run that is killed and started again ends with the bits of one left alone, and says what stands in its way.
Usage: kill_run.py ATHANOR KILLS [SEED]. The data is made here; every stage of a run is named in the recipe."""
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

import killing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from arrays import npy

ATHANOR, KILLS = os.path.abspath(sys.argv[1]), int(sys.argv[2])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
SAMPLES, FEATURES = 3000, 16

RECIPE = """name: killed
seed: 3
data:
  source: files
  train: {x: x.npy, y: y.npy}
  test: {x: x.npy, y: y.npy}
  validation: 600
  batch: 20
model:
  - dense: {units: !int {min: 16, max: 64, step: 16, name: units}, activation: relu}
  - dropout: 0.2
  - dense: {units: 3, activation: softmax}
train:
  optimizer: !choice
    - adam: {learning_rate: !float {min: 1e-3, max: 1e-1, prior: log}}
    - sgd
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 12
  callbacks:
    - early_stopping: {monitor: val_loss, patience: 8}
tune: {sampler: bayesian, objective: val_accuracy, max_trials: 6, executions_per_trial: 2, jobs: 2, deterministic: true}
retrain: {top: 2, patience: 8, epochs_factor: 1.2, max_epochs: 20}
ensemble: {method: weighted}
"""


def make_data(folder):
    rng = random.Random(1)
    y = [rng.randrange(3) for _ in range(SAMPLES)]
    x = [rng.gauss(label * (feature % 3 - 1) / 2, 1) for label in y for feature in range(FEATURES)]
    (folder / "x.npy").write_bytes(npy("<f4", (SAMPLES, FEATURES), x))
    (folder / "y.npy").write_bytes(npy("<i4", (SAMPLES,), y))


def without_costs(value):
    """What must be the same: all but times, rates and memory."""
    if isinstance(value, list):
        return [without_costs(v) for v in value]
    if isinstance(value, dict):
        return {k: without_costs(v) for k, v in value.items()
                if k not in ("seconds", "peak_rss") and not k.endswith(("_per_second", "_bytes"))}
    return value


def outcome(folder):
    """All that a run leaves and that is no cost of it: {what: value}."""
    found = {"report.json": without_costs(json.loads((folder / "report.json").read_text()))}
    for path in sorted(folder.glob("models/*")):
        found[str(path.relative_to(folder))] = path.read_bytes()
    for path in sorted(folder.rglob("log.jsonl")):
        found[str(path.relative_to(folder))] = [without_costs(json.loads(line)) for line in path.read_text().splitlines()]
    study = sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True)
    for table, columns in (("trials", "number, state"), ("trial_params", "trial_id, param_name, param_value"),
                           ("trial_values", "trial_id, objective, value"),
                           ("trial_intermediate_values", "trial_id, step, intermediate_value")):
        found[table] = study.execute(f"select {columns} from {table} order by {columns}").fetchall()
    for table in ("athanor_executions", "athanor_reports"):
        rows = study.execute(f"select * from {table}")
        names = [column[0] for column in rows.description]
        found[table] = sorted(repr(without_costs({k: json.loads(v) if isinstance(v, str) and v[:1] == "{" else v
                                                  for k, v in zip(names, row)})) for row in rows)
    study.close()
    return found


class KilledRun(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-kill-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.environment = {**os.environ, "ATHANOR_CACHE": str(cls.folder / "cache")}
        make_data(cls.folder)
        (cls.folder / "killed.yaml").write_text(RECIPE)
        begin = time.monotonic()
        done = cls.call("alone")
        cls.seconds = time.monotonic() - begin
        assert done.returncode == 0, done.stderr
        cls.alone = outcome(cls.folder / "alone")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def command(cls, folder, *more):
        return [ATHANOR, "run", "killed.yaml", "--dir", folder, *more]

    @classmethod
    def call(cls, folder, *more):
        return subprocess.run(cls.command(folder, *more), cwd=cls.folder, env=cls.environment, capture_output=True,
                              text=True, timeout=300)

    def start(self, folder, *more):
        log = open(self.folder / f"{folder}.log", "w")
        self.addCleanup(log.close)
        process = subprocess.Popen(self.command(folder, *more), cwd=self.folder, env=self.environment, stdout=log,
                                   stderr=subprocess.STDOUT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, process, folder, text):
        """Until a line of the run holds the text; false if it ended before."""
        while process.poll() is None:
            if text in (self.folder / f"{folder}.log").read_text():
                return True
            time.sleep(0.001)
        return False

    def same_as_alone(self, folder):
        found = outcome(self.folder / folder)
        self.assertEqual(sorted(found), sorted(self.alone))
        for name, value in self.alone.items():
            self.assertEqual(found[name], value, f"{name} differs in {folder}")

    def stage(self, folder):
        where = self.folder / folder
        if not (where / "trials").exists():
            return "before the search"
        if not (where / "retrain").exists():
            return "search"
        return "ensembling" if (where / "models/2.safetensors").exists() else "retraining"

    # ---- kill -9

    def test_killed_at_random_instants(self):
        rng = random.Random(SEED)
        kills, rounds, stages = 0, 0, {}
        while kills < KILLS:
            folder = f"killed{rounds}"
            rounds += 1
            while True:
                process = self.start(folder)
                # uniform in the time of a whole run; every fourth just behind a line of a late stage
                if rng.random() < 0.25:
                    self.wait_for(process, folder, rng.choice(["model 1: best", "model 2: best"]))
                    time.sleep(rng.random() * 0.003)
                else:
                    killing.ends_within(process, rng.random() * self.seconds)
                if process.poll() is not None:
                    break
                workers = killing.children_of(process.pid) if rng.random() < 0.5 else []  # or the runner alone
                for pid in (process.pid, *workers):
                    killing.kill(pid)
                if process.wait() == 0:
                    break
                kills += 1
                stages[self.stage(folder)] = stages.get(self.stage(folder), 0) + 1
            self.assertEqual(process.returncode, 0, (self.folder / f"{folder}.log").read_text())
            self.same_as_alone(folder)
            self.assertEqual([], list((self.folder / folder).rglob("*.tmp*")))
        print(f"{kills} kills in {rounds} rounds of {self.seconds:.1f} s: {stages}", flush=True)

    def test_killed_workers_are_replaced(self):
        """What they had to do is done again from its state, to the same bits."""
        process = self.start("worker")
        for trial in (1, 3):
            while process.poll() is None and not list((self.folder / "worker").glob(f"trials/{trial}/*/state.safetensors")):
                time.sleep(0.002)
            workers = killing.children_of(process.pid)
            self.assertTrue(workers)
            for pid in workers:  # one of them may be waiting for work
                killing.kill(pid)
        self.assertEqual(process.wait(), 0, (self.folder / "worker.log").read_text())
        self.same_as_alone("worker")
        self.assertRegex((self.folder / "worker.log").read_text(), r"trial \d: the worker was ended by signal 9 .*; it is tried again in 0.5 s")

    # ---- asked to stop, started twice, started again

    def test_interrupted(self):
        for text in ("trial 1:", "model 1: best"):
            folder = "interrupted" + str(len(text))
            process = self.start(folder)
            self.assertTrue(self.wait_for(process, folder, text))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(), 130)
            said = (self.folder / f"{folder}.log").read_text().splitlines()[-1]
            self.assertRegex(said, "the state is saved.*(go on|goes on)")
            self.assertEqual(self.call(folder).returncode, 0)
            self.same_as_alone(folder)

    def test_a_folder_in_use(self):
        process = self.start("used")
        self.assertTrue(self.wait_for(process, "used", "trial 0:"))
        second = self.call("used")
        self.assertEqual(second.returncode, 2)
        self.assertIn(f"in use by process {process.pid}", second.stderr)
        self.assertEqual(self.call("used", "--overwrite").returncode, 2)
        self.assertEqual(process.wait(), 0)
        self.same_as_alone("used")

    def test_started_again(self):
        shutil.copytree(self.folder / "alone", self.folder / "again")
        other = self.call("again", "--set", "train.epochs=13")
        self.assertEqual(other.returncode, 2)
        self.assertIn("train.epochs", other.stderr)
        begin = time.monotonic()
        self.assertEqual(self.call("again").returncode, 0)
        self.assertLess(time.monotonic() - begin, 0.7 * self.seconds + 1)
        self.same_as_alone("again")
        self.assertEqual(self.call("again", "--overwrite").returncode, 0)
        self.same_as_alone("again")

    def test_a_raised_budget(self):
        """Ranks may change hands: what was retrained for another trial must not serve the new one."""
        for folder, budgets in (("raised", (2, 8)), ("whole", (8,))):
            for budget in budgets:
                done = self.call(folder, "--set", f"tune.max_trials={budget}")
                self.assertEqual(done.returncode, 0, done.stderr)
        raised, whole = (outcome(self.folder / folder) for folder in ("raised", "whole"))
        for name in ("trials", "trial_values", "report.json", "models/1.safetensors", "models/2.safetensors"):
            self.assertEqual(raised[name], whole[name], name)

    # ---- damage, and a full disk

    def test_a_damaged_state(self):
        shutil.copytree(self.folder / "alone", self.folder / "damaged")
        state = self.folder / "damaged/retrain/1/final/state.safetensors"
        content = bytearray(state.read_bytes())
        content[-5] ^= 1
        state.write_bytes(content)
        done = self.call("damaged")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("state.safetensors: damaged", done.stderr.splitlines()[-1])
        self.assertIn("delete it to begin this training again", done.stderr.splitlines()[-1])
        state.unlink()
        self.assertEqual(self.call("damaged").returncode, 0)
        self.same_as_alone("damaged")

    def test_a_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        script = """mount -t tmpfs -o size="$1"k none disk || exit 77
"$2" run killed.yaml --dir disk/run 2> full.err; echo $? > full.rc; ls disk/run > full.ls
mount -o remount,size=64m disk
"$2" run killed.yaml --dir disk/run 2> full2.err; echo $? > full2.rc
cp -r disk/run filled"$1"; exit 0"""
        codes = set()
        for size in (400, 1000, 2000):
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", str(size), ATHANOR], cwd=self.folder,
                                  env=self.environment, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                self.skipTest("a file system of its own cannot be mounted here: " + done.stderr)
            said = (self.folder / "full.err").read_text()
            begun = "trials" in (self.folder / "full.ls").read_text().split()
            expected = "1" if begun else "2"  # 2: there was no room even to begin
            self.assertEqual((self.folder / "full.rc").read_text().strip(), expected, said)
            self.assertRegex(said.splitlines()[-1], "(?i)no space left|full")
            codes.add(expected)
            self.assertEqual((self.folder / "full2.rc").read_text().strip(), "0",
                             (self.folder / "full2.err").read_text())
            self.same_as_alone(f"filled{size}")
        self.assertIn("1", codes)  # at least one run had begun


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
