#!/usr/bin/env python3
"""The program from outside: sentences, exit codes, and every verb on a small study of its own.
Usage: test_cli.py ATHANOR ROOT. The data is made here: 240 points of three classes."""
import csv
import io
import json
import os
import pathlib
import random
import shlex
import signal
import struct
import subprocess
import sys
import time
import unittest

from arrays import npy
from program_test import ProgramTest

ATHANOR, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])

RECIPE = """name: points
seed: 3
data:
  source: files
  train: {x: x.npy, y: y.npy}
  test: {x: x.npy, y: y.npy}
  validation: 60
  batch: 20
model:
  - dense: {units: !int {min: 4, max: 8, step: 4, name: units}, activation: relu}
  - dense: {units: 3, activation: softmax}
train:
  optimizer: !choice
    - adam: {learning_rate: !float {min: 1e-3, max: 1e-1, prior: log}}
    - sgd
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 3
tune: {sampler: random, objective: val_accuracy, max_trials: 3}
retrain: {top: 2, patience: 2}
ensemble: {method: weighted}
"""


def make_data(folder):
    rng = random.Random(1)
    y = [rng.randrange(3) for _ in range(240)]
    x = [v for label in y for v in (rng.gauss(2 * label, 1), rng.gauss(-label, 1), rng.gauss(0, 1), 1.0)]
    (folder / "x.npy").write_bytes(npy("<f4", (240, 4), x))
    (folder / "y.npy").write_bytes(npy("<i4", (240,), y))


class Program(ProgramTest):
    athanor = ATHANOR

    @classmethod
    def fill(cls, folder):
        make_data(folder)
        (folder / "points.yaml").write_text(RECIPE)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    # ---- another processor

    def losses(self, instruction_set):
        os.environ["ATHANOR_CPU"] = instruction_set
        try:
            self.succeeds("train", "points.yaml", "--dir", f"runs/on-{instruction_set}", "--threads", "1")
        finally:
            del os.environ["ATHANOR_CPU"]
        lines = (self.folder / f"runs/on-{instruction_set}/log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    def test_older_processors_train_alike(self):
        """The same program with what is newer than AVX2, or than SSE2, left unused."""
        plain = self.losses("x86-64")
        self.assertGreater(plain[0], plain[-1])
        if "avx2" in pathlib.Path("/proc/cpuinfo").read_text():
            for a, b in zip(plain, self.losses("avx2")):
                self.assertAlmostEqual(a, b, delta=1e-4 * a)

    def test_bfloat16_where_there_is_none(self):
        """Refused before anything runs; ref emulates it."""
        os.environ["ATHANOR_CPU"] = "avx2" if "avx2" in pathlib.Path("/proc/cpuinfo").read_text() else "x86-64"
        try:
            self.refused_with("take float32, or backend ref, which emulates bfloat16", "train", "points.yaml", "--dir",
                              "runs/mixed", "--set", "dtype_policy=mixed_bfloat16")
            self.assertFalse((self.folder / "runs/mixed/training.json").exists())
            self.refused_with("(when dtype_policy is mixed_bfloat16)", "tune", "points.yaml", "--set",
                              "dtype_policy=!choice [float32, mixed_bfloat16]")
            self.succeeds("train", "points.yaml", "--dir", "runs/mixed", "--set", "dtype_policy=mixed_bfloat16",
                          "--backend", "ref")
        finally:
            del os.environ["ATHANOR_CPU"]

    def test_unknown_instruction_set(self):
        os.environ["ATHANOR_CPU"] = "mmx"
        try:
            self.refused("ATHANOR_CPU: 'mmx' is no instruction set; there are x86-64, avx2 and avx512", "doctor")
        finally:
            del os.environ["ATHANOR_CPU"]

    # ---- what was typed

    def test_no_verb_shows_the_verbs(self):
        done = self.call()
        self.assertEqual(done.returncode, 2)
        self.assertIn("train RECIPE", done.stderr)
        self.assertNotIn("worker-process", done.stderr)
        self.assertEqual(self.succeeds("--help"), done.stderr)

    def test_more_than_a_machine_has(self):
        self.refused("train: --threads takes an integer of 1 to 1024, got '99999'", "train", "points.yaml", "--threads", "99999")
        for verb in (("tune", "points.yaml"), ("tune", "--param", "x=!float {min: 0, max: 1}", "--set", "objective=loss")):
            command = ("--", "true") if len(verb) > 2 else ()
            self.refused("jobs: expected 1 to 1024, got 99999", *verb, "--jobs", "99999", "--dir", "runs/many", *command)
            self.assertFalse((self.folder / "runs/many").exists())

    def test_unknown_verb(self):
        self.refused("there is no verb 'trian', did you mean 'train'?; see `athanor --help`", "trian")
        self.refused("there is no verb 'xyzzyxyzzy'; see `athanor --help`", "xyzzyxyzzy")

    def test_unknown_option(self):
        self.refused("train: there is no option --stpes, did you mean --steps?; see `athanor train --help`", "train",
                     "--stpes", "3", "points.yaml")
        self.refused("train: --steps takes an integer of at least 1, got '0'", "train", "points.yaml", "--steps=0")
        self.refused("train: --steps needs a value: --steps N", "train", "points.yaml", "--steps")
        for empty in (("--dir", ""), ("--dir=",)):
            self.refused("run: --dir needs a value: --dir FOLDER", "run", "points.yaml", *empty)
        self.refused("run: --overwrite takes no value, got 'yes'", "run", "points.yaml", "--overwrite=yes")

    def test_arguments(self):
        self.refused("run: expected RECIPE, got 0 arguments; see `athanor run --help`", "run")
        self.refused("doctor: expected no arguments, got 1 argument; see `athanor doctor --help`", "doctor", "x")
        self.refused("predict: --input FILE is missing", "predict", "m.safetensors")

    def test_help_of_every_verb(self):
        verbs = [line.split()[0] for line in self.succeeds("--help").splitlines() if line.startswith("  ")]
        self.assertGreaterEqual(len(verbs), 11)
        for verb in verbs + ["worker-process"]:
            text = self.succeeds(verb, "--help")
            self.assertTrue(text.startswith(f"athanor {verb}"), text)
        self.assertIn("--no-shuffle", self.succeeds("train", "--help"))
        self.assertRegex(self.succeeds("--version"), r"^athanor \d+\.\d+\.\d+\n$")

    # ---- what was in the recipe

    def test_recipes_that_are_wrong(self):
        self.refused_with("missing.yaml", "run", "missing.yaml")
        self.refused_with("bad.yaml:2:5: not YAML: ", "run", self.write("bad.yaml", "name: [1, 2\nseed: }"))
        self.refused_with("epocs", "run", self.write("key.yaml", RECIPE.replace("epochs:", "epocs:")))
        self.refused_with("epochs", "run", "key.yaml")  # the nearest name is told
        self.refused_with("key.yaml:18:3: ", "train", "key.yaml")
        self.refused_with("max", "run", self.write("range.yaml", RECIPE.replace("max: 8", "max: 2")))
        self.refused_with("z.npy", "run", self.write("file.yaml", RECIPE.replace("{x: x.npy", "{x: z.npy", 1)))
        self.refused_with("units", "train", "points.yaml", "--set", "model.0.dense.units=many", "--dir", "runs/set")
        self.assertFalse((self.folder / "runs" / "set" / "state.safetensors").exists())

    # ---- what there is

    def test_every_kind_is_listed(self):
        kinds = [line.split()[0] for line in self.succeeds("list").splitlines()]
        for kind in "layers optimizers losses metrics schedules callbacks samplers ensembles sources readers backends ops".split():
            self.assertIn(kind, kinds)
        for kind in kinds:
            self.assertGreater(len(self.succeeds("list", kind)), 20, kind)
        self.assertIn("units: ", self.succeeds("list", "layers"))
        self.assertIn("learning_rate", json.loads(self.succeeds("list", "optimizers", "--json"))["adam"]["options"])
        everything = json.loads(self.succeeds("list", "--json"))
        self.assertEqual(list(everything), kinds)
        for kind in "sections", "backends", "ops", "layers":
            self.assertEqual(json.loads(self.succeeds("list", kind, "--json")), everything[kind], kind)
        self.assertIn("batch", everything["sections"]["data"]["options"])
        self.assertIsNone(everything["backends"]["ref"]["missing"])
        self.assertTrue(everything["ops"]["conv2d"]["gradient"])
        self.refused_with("no kind 'optimisers', did you mean 'optimizers'?", "list", "optimisers", "--json")
        self.refused("list: there is no kind 'optimisers', did you mean 'optimizers'?; `athanor list` shows them", "list",
                     "optimisers")

    def test_documented_options_are_current(self):
        shown = self.succeeds("list", "--markdown")
        written = (ROOT / "docs" / "options.md").read_text()
        self.assertEqual(shown, written, "write it again: build/athanor list --markdown > docs/options.md")

    def test_doctor(self):
        found = json.loads(self.succeeds("doctor", "--json"))
        self.assertIn("backend ref", found)
        self.assertIn("SQLite", self.succeeds("doctor"))

    def test_explain(self):
        text = self.succeeds("explain", "points.yaml")
        self.assertIn("units: integer 4 to 8, step 4; default 4", text)
        self.assertIn("only if train.optimizer is adam", text)
        self.assertIn("matmul", text)
        self.assertRegex(text, r"dense_1 +dense +\[batch, 3\] +15\n")
        self.assertIn("35 parameters", text)  # 4 x 4 + 4 and 4 x 3 + 3

    # ---- training

    def test_train_goes_on_and_refuses_another(self):
        text = self.succeeds("train", "points.yaml", "--dir", "runs/t", "--out", "a.safetensors")
        self.assertRegex(text, r"^test: loss [\d.]+, accuracy [\d.]+\n$")
        first = (self.folder / "a.safetensors").read_bytes()
        self.succeeds("train", "points.yaml", "--dir", "runs/t2", "--out", "a.safetensors")
        self.assertEqual(first, (self.folder / "a.safetensors").read_bytes())
        self.assertNotIn(str(self.folder).encode(), first)
        self.assertEqual(text, self.succeeds("train", "points.yaml", "--dir", "runs/t"))  # finished: nothing to do
        self.refused_with("train.optimizer", "train", "points.yaml", "--dir", "runs/t", "--set", "train.optimizer=sgd")
        self.succeeds("train", "points.yaml", "--dir", "runs/t", "--set", "train.optimizer=sgd", "--overwrite")

    def test_more_epochs_go_on(self):
        more = ("--set", "train.epochs=5", "--threads", "1")
        self.succeeds("train", "points.yaml", "--dir", "runs/e5", *more)
        self.succeeds("train", "points.yaml", "--dir", "runs/e", "--threads", "1")
        shown = json.loads(self.succeeds("train", "points.yaml", "--dir", "runs/e", *more, "--json"))
        self.assertEqual(shown["epochs"], 5)
        self.assertEqual(*((self.folder / f"runs/{name}/model.safetensors").read_bytes() for name in ("e", "e5")))
        best = ("--set", "train.callbacks=[{early_stopping: {monitor: loss, patience: 9, restore_best_weights: true}}]")
        self.succeeds("train", "points.yaml", "--dir", "runs/restored", *best)
        self.succeeds("train", "points.yaml", "--dir", "runs/restored", *best)
        done = self.call("train", "points.yaml", "--dir", "runs/restored", *best, *more)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("ended after 3 epochs with the weights of its best one (early_stopping)", done.stderr)

    def test_a_log_that_cannot_be_read(self):
        self.succeeds("train", "points.yaml", "--dir", "runs/log")
        (self.folder / "runs/log/log.jsonl").write_text("dear diary\n")
        self.refused_with("runs/log/log.jsonl: the log of the epochs so far: ", "train", "points.yaml", "--dir", "runs/log")

    def test_a_training_that_never_began_binds_nobody(self):
        self.refused_with("none.safetensors", "train", "points.yaml", "--dir", "runs/b", "--init", "none.safetensors")
        self.succeeds("train", "points.yaml", "--dir", "runs/b")

    def test_a_full_disk_under_standard_output(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([ATHANOR, "list", "layers"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, "athanor: standard output cannot be written\n"))

    def test_steps(self):
        shown = json.loads(self.succeeds("train", "points.yaml", "--dir", "runs/s", "--steps", "9", "--json"))
        log = [json.loads(line) for line in (self.folder / "runs/s/log.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in log], [9])  # an epoch is 9 updates
        self.assertIn("loss", shown["test"])

    def test_an_interrupt_while_data_is_awaited(self):
        os.mkfifo(self.folder / "pipe.csv")
        recipe = self.write("pipe.yaml", "data: {train: {file: pipe.csv, label: y}}\nmodel: [dense: 1]\ntrain: {loss: mse}\n")
        with subprocess.Popen([ATHANOR, "train", recipe], cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE,
                              text=True) as process:
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            self.assertIn("pipe.csv: reading failed: ", process.communicate(timeout=30)[1])
        self.assertEqual(process.returncode, 2)

    def test_interrupt(self):
        self.interrupted_by(signal.SIGINT, "runs/i")

    def test_a_terminal_that_hangs_up(self):
        self.interrupted_by(signal.SIGHUP, "runs/h")
        command = [ATHANOR, "train", "points.yaml", "--dir", "runs/n", "--set", "train.epochs=1000000"]
        with subprocess.Popen(["nohup", *command], cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:  # it shall survive that
            self.assertIn("epoch 1:", process.stderr.readline())
            process.send_signal(signal.SIGHUP)
            self.assertIn("epoch 2:", process.stderr.readline())
            time.sleep(0.2)
            self.assertIsNone(process.poll())
            process.terminate()
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)

    def interrupted_by(self, number, folder):
        command = [ATHANOR, "train", "points.yaml", "--dir", folder, "--set", "train.epochs=1000000"]
        heard = lambda: signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
        with subprocess.Popen(command, cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE, text=True,
                              preexec_fn=heard) as process:
            self.assertIn("epoch 1:", process.stderr.readline())
            self.refused_with(folder, "train", "points.yaml", "--dir", folder)  # a living process holds it
            process.send_signal(number)
            rest = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130)
        self.assertIn("athanor: interrupted; the state is saved, the same command goes on from there", rest)
        self.assertTrue((self.folder / folder / "state.safetensors").exists())

    def test_a_sweep_holds_its_folder(self):
        command = ["sweep", "points.yaml", "--over", "data.batch=8,16", "--epochs", "1000000", "--dir", "runs/s"]
        with subprocess.Popen([ATHANOR, *command], cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE) as process:
            while not (self.folder / "runs/s/sweeps/data.batch/study.db").exists():
                time.sleep(0.05)
            self.refused_with("runs/s", *command[:3], "data.batch=4,32", *command[4:])
            self.refused_with("runs/s", "run", "points.yaml", "--dir", "runs/s", "--overwrite")
            process.terminate()
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertTrue((self.folder / "runs/s/sweeps/data.batch/study.db").exists())

    # ---- a whole run, and what can be asked of it

    def test_run(self):
        done = self.call("run", "points.yaml")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("search: 3 trials", done.stdout)
        self.assertIn("ensemble (weighted)", done.stdout)
        again = json.loads(self.succeeds("run", "points.yaml", "--json"))
        report = json.loads((self.folder / "runs/points/report.json").read_text())
        self.assertEqual(again["models"][0]["test"], report["models"][0]["test"])
        self.assertAlmostEqual(sum(m["weight"] for m in report["models"]), 1)
        self.look_into_the_study()
        self.use_a_model(report["models"][0])
        self.refused_with("another", "run", "points.yaml", "--set", "train.epochs=2")

    def test_where_data_is_wrong(self):
        (self.folder / "named.yaml").write_text("data:\n  batch: 8\n  source: fashion-mnist\n  train: {x: x.npy, y: y.npy}\n"
                                                "model: [flatten, dense: 10]\ntrain: {loss: mse}\n")
        sentence = "named.yaml:3:11: data: source: fashion-mnist brings its own training and test files; leave out " \
                   "data.train, or write source: files"
        for verb in ("train", "explain", "run"):
            self.refused(sentence, verb, "named.yaml")
        done = self.call("train", "points.yaml", "--set", "data.samples=5000", "--dir", "runs/samples")
        self.assertRegex(done.stderr, r"^athanor: points.yaml:\d+:\d+: data.samples: 5000 asked for, but there are \d+\n$")
        self.assertEqual(done.returncode, 2)

    def test_a_state_that_is_cut_short(self):
        self.succeeds("train", "points.yaml", "--dir", "runs/cut")
        os.truncate(self.folder / "runs/cut/state.safetensors", 500)
        more = ("train", "points.yaml", "--dir", "runs/cut", "--set", "train.epochs=4")
        self.refused_with("does not fit into its 500 bytes; delete it to begin this training again", *more)
        self.refused("runs/cut/model.safetensors: this is a finished model, not a recipe; `athanor evaluate` and "
                     "`athanor predict` use models", "train", "runs/cut/model.safetensors")
        os.remove(self.folder / "runs/cut/state.safetensors")
        self.succeeds(*more)

    def test_a_full_disk_in_the_first_epoch(self):
        """The disk is one of memory, in a mount namespace of its own; the state does not fit, the rest does."""
        (self.folder / "full").mkdir()
        inside = "mount -t tmpfs -o size=12k none full 2>/dev/null || exit 77; exec \"$@\""
        done = subprocess.run(["unshare", "-rm", "sh", "-c", inside, "sh", ATHANOR, "train", "points.yaml", "--dir", "full/t",
                               "--set", "model.0.dense.units=2000"], cwd=self.folder, env=self.environment(),
                              capture_output=True, text=True, timeout=60)
        if done.returncode == 77 or "unshare" in done.stderr:
            self.skipTest("no mount namespaces here")
        self.assertIn("athanor: full/t/state.safetensors: no space left on device: free some and start again", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_a_folder_whose_name_is_no_text(self):
        for verb in ("run", "tune"):
            done = subprocess.run([ATHANOR, verb, "points.yaml", "--dir", b"runs/\xff"], cwd=self.folder, capture_output=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(b"the name of this folder is not UTF-8; rename it, or choose another", done.stderr)
            self.assertFalse(os.path.exists(os.fsencode(self.folder / "runs") + b"/\xff"))

    def test_explain_of_one_parameter(self):
        shown = self.succeeds("explain", "points.yaml", "--set", "seed=-1", "--set", "model=[dense: {units: !int {min: 3, max: 3}}]",
                              "--set", "train.optimizer=sgd")
        self.assertEqual(shown.splitlines()[:2], ["points, seed -1", "space: 1 parameter, 1 point"])

    def test_a_folder_holds_one_run(self):
        command = ("tune", "--param", "x=!float {min: 0, max: 1}", "--set", "objective={metric: loss, direction: min}",
                   "--set", "max_trials=1", "--dir", "runs/one")
        here = f"{self.folder.resolve()}/"
        echo = ("--", "echo", '{{"loss": {x}}')
        other = "{}runs/one/study.db: the folder holds the run '{}', and '{}' is another; choose another folder (--dir), "\
                "or start over with --overwrite"
        recipe = ("tune", "points.yaml", "--dir", "runs/one", "--set", "tune.max_trials=1")
        self.succeeds(*recipe)
        before = self.succeeds("show", "runs/one", "--json")
        self.refused(other.format(here, "points", "command"), *command, *echo)
        self.assertEqual(self.succeeds("show", "runs/one", "--json"), before)
        self.succeeds(*command, "--overwrite", *echo)
        self.refused(other.format("", "command", "points"), *recipe)
        self.refused(other.format(here, "command", "two"), *command, "--set", "name=two", *echo)

    def test_what_later_stages_need_is_known_before_the_search(self):
        self.succeeds("run", "points.yaml", "--dir", "runs/early")
        for part, change in (("retrain needs validation data", ("data.validation=0", "tune.objective=loss")),
                             ("tune.objective: val_accuracy needs validation data", ("data.validation=0",)),
                             ("'val_mse' is not reported", ("tune.objective=val_mse",)),
                             ("'val_mae' is not reported", ("train.callbacks=[early_stopping: {monitor: val_mae}]",))):
            sets = [word for setting in change for word in ("--set", setting)]
            self.refused_with(part, "run", "points.yaml", "--dir", "runs/early", "--overwrite", *sets)
            self.refused_with("points.yaml:", "run", "points.yaml", "--dir", "runs/early", *sets)
        self.assertTrue((self.folder / "runs/early/study.db").exists())  # a recipe that is refused removes nothing

    def test_validation_files_and_samples_without_a_label(self):
        rows = [f"{i % 7},{i % 5},{i % 3}" for i in range(60)]
        for name in ("train.csv", "valid.csv"):
            self.write(name, "\n".join(["a,b,label"] + rows) + "\n")
        self.write("new.csv", "a,b\n1,2\n3,4\n")
        recipe = RECIPE.replace("train: {x: x.npy, y: y.npy}\n", "train: {file: train.csv, label: label}\n").replace(
            "  test: {x: x.npy, y: y.npy}\n  validation: 60", "  validation: {file: valid.csv, label: label}")
        done = self.succeeds("run", self.write("files.yaml", recipe), "--dir", "runs/files")
        self.assertNotIn("nan", done)  # there is no test part to tell of
        model = "runs/files/models/1.safetensors"
        self.refused_with("there is no folder", "predict", model, "--input", "new.csv", "--output", "none/p.npy")
        for read in model, "new.csv":
            before = (self.folder / read).read_bytes()
            self.refused_with("predict would be written over the file that it reads", "predict", model, "--input", "new.csv",
                              "--output", f"./{read}")
            self.assertEqual((self.folder / read).read_bytes(), before)
        self.succeeds("predict", model, "--input", "new.csv", "--output", "p.npy")

    def test_a_search_without_a_trial_that_works(self):
        done = self.call("run", "points.yaml", "--dir", "runs/nan", "--set", "train.optimizer={sgd: {learning_rate: 1e30}}")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("athanor: tune: no trial succeeded", done.stderr.splitlines()[-1])
        self.assertIn("failed (nan)", done.stderr)

    def test_folds_under_a_scheduler(self):
        """All trials begin on the first piece; the other pieces are for those that come to the last epoch."""
        recipe = RECIPE.replace("  validation: 60\n", "").replace("max_trials: 3", "max_trials: 6, folds: 3, scheduler: asha")
        self.write("folds.yaml", recipe.replace("epochs: 3", "epochs: 9").replace("val_accuracy", "val_loss"))
        self.succeeds("tune", "folds.yaml", "--dir", "runs/folds")
        trials = json.loads(self.succeeds("show", "runs/folds", "--json"))["trials"]
        complete = [t for t in trials if t["state"] == "complete"]
        self.assertTrue(0 < len(complete) < 6)
        for t in trials:
            values = [e.get("value") for e in t["executions"]]
            if t in complete:
                self.assertEqual(len(set(values)), 3)
                self.assertAlmostEqual(t["values"]["val_loss"], sum(values) / 3)
            else:
                self.assertEqual((t["state"], values), ("pruned", []))
                self.assertFalse((self.folder / f"runs/folds/trials/{t['trial']}/1").exists())

    def test_run_goes_on_after_an_interrupt(self):
        command = [ATHANOR, "run", "points.yaml", "--jobs", "1", "--set", "tune.max_trials=8", "--set", "seed=5", "--dir"]
        with subprocess.Popen(command + ["runs/stopped"], cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE,
                              text=True) as process:
            self.assertIn("trial 0: val_accuracy", process.stderr.readline())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        self.assertIn(process.returncode, (130, 0))  # 0: it was faster than the signal
        self.succeeds(*command[1:], "runs/stopped")
        self.succeeds(*command[1:], "runs/whole")
        self.assertEqual(*(self.without_costs(self.folder / "runs" / name / "report.json") for name in ("stopped", "whole")))

    def without_costs(self, path):
        def clean(value):
            if isinstance(value, list):
                return [clean(v) for v in value]
            if isinstance(value, dict):
                return {k: clean(v) for k, v in value.items() if k != "seconds" and not k.endswith("_bytes")}
            return value
        return clean(json.loads(path.read_text()))

    def look_into_the_study(self):
        self.assertIn("points: 3 trials, 3 complete", self.succeeds("show", "runs/points"))
        best = json.loads(self.succeeds("best", "runs/points", "--json"))
        rows = list(csv.DictReader(io.StringIO(self.succeeds("export", "runs/points/study.db"))))
        self.assertEqual(len(rows), 3)
        self.assertEqual(max(float(r["val_accuracy"]) for r in rows), best["values"]["val_accuracy"])
        self.assertEqual(len(json.loads(self.succeeds("export", "runs/points", "--format", "json"))["trials"]), 3)
        self.refused_with("there is no such folder or file", "show", "runs/none")
        line = shlex.split(self.succeeds("best", "runs/points", "--command"))
        self.assertEqual(line[:3], ["athanor", "train", "points.yaml"])
        again = json.loads(self.succeeds(*line[1:], "--dir", "runs/again", "--json"))
        log = [json.loads(row) for row in (self.folder / "runs/again/log.jsonl").read_text().splitlines()]
        self.assertEqual(max(row["val_accuracy"] for row in log), best["values"]["val_accuracy"])

    def use_a_model(self, model):
        path = "runs/points/" + model["file"]
        self.succeeds("predict", path, "--input", "x.npy", "--output", "p.npy")
        data = (self.folder / "p.npy").read_bytes()
        self.assertIn(b"'descr': '<f4', 'fortran_order': False, 'shape': (240, 3), }", data[:128])
        p = struct.unpack("<720f", data[-2880:])
        for i in range(0, 720, 3):
            self.assertAlmostEqual(sum(p[i:i + 3]), 1, places=5)
        found = json.loads(self.succeeds("evaluate", path, "--json"))
        self.assertAlmostEqual(found["accuracy"], model["test"]["accuracy"], places=6)
        self.assertAlmostEqual(found["loss"], model["test"]["loss"], places=5)
        self.assertEqual(json.loads(self.succeeds("evaluate", path, "--data", "points.yaml", "--part", "validation",
                                                  "--json"))["samples"], 60)
        self.refused_with("expected samples of shape [4]", "predict", path, "--input", "y.npy", "--output", "q.npy")
        self.assertFalse((self.folder / "q.npy").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
