#!/usr/bin/env python3
"""What measures: explain --profile, bench, sweep, and the lab's recipe on a small net.
Usage: test_lab.py ATHANOR ROOT. The data is made here: 96 random images of three classes."""
import csv
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from arrays import npy
from program_test import ProgramTest

ATHANOR, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()

RECIPE = """name: images
seed: 3
data:
  train: {x: x.npy, y: y.npy}
  test: {x: x.npy, y: y.npy}
  validation: 24
  batch: 12
model:
  - reshape: {target_shape: [8, 8, 1]}
  - conv2d: {filters: 4, kernel_size: 3, activation: relu}
  - max_pooling2d
  - flatten
  - dense: {units: 3, activation: softmax}
train:
  optimizer: {sgd: {learning_rate: 0.05}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 4
"""


class Lab(ProgramTest):
    athanor = ATHANOR

    @classmethod
    def fill(cls, folder):
        rng = random.Random(1)
        y = [rng.randrange(3) for _ in range(96)]
        x = [rng.gauss(label, 1) for label in y for _ in range(64)]
        (folder / "x.npy").write_bytes(npy("<f4", (96, 8, 8), x))
        (folder / "y.npy").write_bytes(npy("<i4", (96,), y))
        (folder / "images.yaml").write_text(RECIPE)

    # ---- profile and bench

    def test_profile(self):
        """Every call of the step has its time, and the table its bound."""
        p = json.loads(self.done("explain", "images.yaml", "--profile", "--steps", "3", "--json", "--threads", "1").stdout)
        self.assertEqual((p["batch"], p["threads"]), (12, 1))
        timed = [u for u in p["units"] if "seconds" in u]
        self.assertTrue(any("conv2d" in u["ops"] for u in timed))
        self.assertTrue(any(u["ops"] == "update" for u in timed))
        for u in timed:
            self.assertGreater(u["of_bound"], 0)
            self.assertAlmostEqual(u["bound_seconds"] / u["seconds"], u["of_bound"], 6)
            self.assertIn(u["bound_by"], ("memory", "flops"))
            self.assertTrue(u["kernel"])
        self.assertGreater(p["machine"]["flops"], 1e8)
        # a dense layer of 36 x 3 weights and the convolution's 36 + 4: read, written, and their gradients read
        update = next(u for u in timed if u["ops"] == "update")
        self.assertEqual(update["bytes"], 3 * 4 * (36 + 4 + 36 * 3 + 3))
        table = self.done("explain", "images.yaml", "--profile", "--steps", "2", "--threads", "1").stdout
        self.assertIn("calls of one kind", table)
        self.assertIn("step of batch 12", table)

    def test_profile_says_why(self):
        """What is a large part of a step and below half of its bound has a line that says why."""
        (self.folder / "drop.yaml").write_text((self.folder / "images.yaml").read_text().replace(
            "model:\n", "model:\n  - dropout: 0.5\n", 1))
        table = self.done("explain", "drop.yaml", "--profile", "--steps", "2", "--threads", "1").stdout
        lines = table[table.index("calls of one kind"):table.index("calls that take")].splitlines()
        low = [i for i, line in enumerate(lines) if (m := re.match(r" +([\d.]+) % +[\d.]+ ms +(\d+) %", line))
               and float(m[1]) > 2 and int(m[2]) < 49]
        self.assertTrue(low, table)
        for i in low:
            self.assertIn("below half of its bound: ", lines[i + 1])
            if "own:dropout" in lines[i]:
                self.assertIn("Philox", lines[i + 1])

    def test_calls_without_times(self):
        p = json.loads(self.done("explain", "images.yaml", "--json").stdout)
        self.assertTrue(all("seconds" not in u and u["bytes"] >= 0 for u in p["units"]))
        self.assertNotIn("machine", p)

    @unittest.skipIf(any(name in pathlib.Path(ATHANOR).read_bytes() for name in (b"__asan_init", b"__tsan_init")),
                     "a sanitizer keeps memory of its own")
    def test_memory_is_foretold(self):
        """The peak that explain names is that of a training which reads every sample, within a tenth."""
        small = ["--set", "data.samples=5000", "--set", "train.epochs=1", "--threads", "1"]
        wide = ["--set", "model.1.wide_resnet.depth=10", "--set", "model.1.wide_resnet.width=2", "--set", "data.samples=800",
                "--set", "data.validation=100", "--set", "train.epochs=1", "--threads", "1"]
        for recipe, sets in (("fashion-cnn", [*small, "--set", "data.validation=1000"]), ("fashion-wrn-lab", wide)):
            path = str(ROOT / f"recipes/{recipe}.yaml")
            self.done("explain", path, *sets)  # decodes the images into the cache
            memory = json.loads(self.done("explain", path, *sets, "--json").stdout)["memory"]
            with self.subTest(recipe):
                self.assertEqual(memory["peak"], sum(v for k, v in memory.items() if k != "peak"))
                peak = self.peak_of("train", path, *sets, "--dir", recipe)
                self.assertLess(abs(peak / memory["peak"] - 1), 0.1, (peak, memory))

    def peak_of(self, *arguments):
        p = subprocess.Popen([ATHANOR, *arguments], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=self.environment())
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = status
        self.assertEqual(status, 0)
        return usage.ru_maxrss * 1024

    def test_reference_has_no_bounds(self):
        table = self.done("explain", "images.yaml", "--profile", "--steps", "1", "--backend", "ref").stdout
        self.assertIn("not measured by this backend", table)
        self.assertIn("ref:conv2d", table)

    def test_bench(self):
        b = json.loads(self.done("bench", "--steps", "1", "--threads", "1", "--json").stdout)
        run, = b["runs"]
        self.assertEqual(run["machine"]["threads"], 1)
        self.assertTrue(all(level["rate"] > 1e8 for level in run["machine"]["rates"]))
        has_bf16 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text() and not os.environ.get("ATHANOR_CPU")
        self.assertEqual("flops_bf16" in run["machine"], has_bf16)
        if has_bf16:
            self.assertGreater(run["machine"]["flops_bf16"], run["machine"]["flops"])
        cases = {c["case"].split(" ")[0]: c for c in run["cases"]}
        self.assertTrue({"dense", "convolution", "depthwise", "max-pooling", "rows"} <= set(cases))
        for c in run["cases"]:
            self.assertTrue(c["calls"], c["case"])
            self.assertTrue(all(call["seconds"] > 0 and call["of_bound"] > 0 for call in c["calls"]))

    # ---- sweep

    def sweep(self, *arguments, code=0):
        return self.done("sweep", "images.yaml", "--threads", "1", *arguments, code=code)

    def rows(self, folder):
        return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))

    def test_sweep_times_every_combination(self):
        done = self.sweep("--over", "data.batch=8,24", "--over", "model.1.conv2d.filters=2,4,8", "--steps", "3")
        self.assertIn("3 timed steps after 2", done.stdout)
        folder = self.folder / "runs/images/sweeps/data.batch+model.1.conv2d.filters"
        rows = self.rows(folder)
        self.assertEqual([(r["data.batch"], r["model.1.conv2d.filters"]) for r in rows],
                         [("8", "2"), ("8", "4"), ("8", "8"), ("24", "2"), ("24", "4"), ("24", "8")])
        for r in rows:
            self.assertAlmostEqual(float(r["samples_per_second"]) * float(r["step_seconds"]), float(r["data.batch"]), 6)
        chart = xml.etree.ElementTree.parse(folder / "throughput.svg").getroot()
        lines = chart.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual([len(line.get("points").split()) for line in lines], [2, 2, 2])
        self.assertEqual(json.loads((folder / "sweep.json").read_text())["trials"][5]["params"],
                         {"data.batch": 24, "model.1.conv2d.filters": 8})
        # the same again runs nothing; a value more runs what is new alone
        again = self.sweep("--over", "data.batch=8,24", "--over", "model.1.conv2d.filters=2,4,8", "--steps", "3")
        self.assertNotIn("trial", again.stderr)
        self.assertEqual(again.stdout, done.stdout)
        self.sweep("--over", "data.batch=8,24", "--over", "model.1.conv2d.filters=2,4,8,16", "--steps", "3")
        more = self.rows(folder)
        self.assertEqual(more[:6], rows)
        self.assertEqual([(r["data.batch"], r["model.1.conv2d.filters"]) for r in more[6:]], [("8", "16"), ("24", "16")])
        self.refused_with('it was begun with {"data.batch":8,"model.1.conv2d.filters":2}, which is not among its values now',
                          "sweep", "images.yaml", "--over", "data.batch=8,24", "--over", "model.1.conv2d.filters=4,8",
                          "--steps", "3")
        self.assertEqual(self.rows(folder), more)
        chart = xml.etree.ElementTree.parse(folder / "throughput.svg").getroot()
        self.assertEqual([len(line.get("points").split()) for line in chart.findall("{http://www.w3.org/2000/svg}polyline")],
                         [2, 2, 2, 2])

    def test_sweep_trains(self):
        done = json.loads(self.sweep("--over", "train.optimizer=sgd,adam", "--epochs", "3", "--objective", "val_accuracy",
                                     "--set", "train.callbacks=[stop_at_accuracy: 0.1]", "--name", "optimizers",
                                     "--json").stdout)
        sweep, = done["sweeps"]
        self.assertEqual((sweep["objective"], sweep["epochs"]), ("val_accuracy", 3))
        self.assertEqual([t["params"] for t in sweep["trials"]],
                         [{"train.optimizer": "sgd"}, {"train.optimizer": "adam"}])
        for t in sweep["trials"]:
            epochs = t["training"]["epochs"]
            self.assertTrue(2 <= len(epochs) <= 3)
            self.assertEqual(t["value"], max(e["value"] for e in epochs))
            self.assertEqual([e["seconds"] for e in epochs], sorted(e["seconds"] for e in epochs))
            self.assertEqual(t["training"]["target"], 0.1)
        folder = self.folder / "runs/images/sweeps/optimizers"
        self.assertTrue((folder / "time-to-accuracy.svg").exists() and (folder / "values.svg").exists())

    def test_sweep_goes_on_after_a_kill(self):
        over = ["--over", "data.batch=4,6,8,12", "--steps", "40", "--dir", "killed"]
        database = self.folder / "killed/sweeps/data.batch/study.db"
        started = subprocess.Popen([ATHANOR, "sweep", "images.yaml", "--threads", "1", *over], cwd=self.folder,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        for line in started.stderr:
            if "trial 1" in line:
                break
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        started.stderr.close()
        self.assertTrue(database.exists())
        done = self.sweep(*over)
        self.assertNotIn("trial 0:", done.stderr)
        self.assertIn("trial 3:", done.stderr)
        rows = self.rows(self.folder / "killed/sweeps/data.batch")
        self.assertEqual([(r["data.batch"], r["state"]) for r in rows],
                         [(b, "complete") for b in ("4", "6", "8", "12")])

    def test_sweep_refuses(self):
        for arguments, sentence in (
                (["data.bacth=8"], "images.yaml: sweep data.bacth: data: 'bacth' is not an option of data; did you mean "
                                   "'batch'?"),
                (["data.batch=8,73"], "sweep data.batch: data: batch must not be larger than the 72 training samples, got 73"),
                (["model.0.reshape.target_shape=[8,8,1],[2,32,1]"], "its window spans 3 cells of height 2 of the input"),
                (["model.9.flatten=1"], "images.yaml: sweep: over: model.9.flatten: model has 5 elements"),
                (["data.batch"], "sweep: --over is PATH=A,B,C such as data.batch=8,16,32, got 'data.batch'"),
                (["data.batch=8,8"], "sweep: over: a value of data.batch stands twice"),
                (["data.batch=8", "--objective", "val_acuracy", "--epochs", "1"], "is a larger val_acuracy better?"),
                ([], "has no section `sweep`")):
            done = self.sweep(*(["--over"] if arguments else []), *arguments, code=2)
            self.assertIn(sentence, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertFalse((self.folder / "runs/images").exists(), sentence)

    # ---- the lab

    def test_lab_with_a_small_net(self):
        """The lab's recipe on 8x8 images: throughput by batch, a training with its target, table and both charts."""
        data = f"{{train: {{x: {self.folder}/x.npy, y: {self.folder}/y.npy}}, validation: 24, batch: 12, " \
               "normalize: featurewise}"
        sets = [f"data={data}", "model.0.reshape.target_shape=[8, 8, 1]", "model.1.wide_resnet.depth=10",
                "model.1.wide_resnet.width=1", "model.1.wide_resnet.classes=3", "sweep.over={data.batch: [6, 12]}",
                "sweep.steps=2", "train.epochs=4", "train.callbacks.1.stop_at_accuracy.target=0.1"]
        recipe = ROOT / "recipes/fashion-wrn-lab.yaml"
        arguments = ["run", str(recipe), "--dir", "lab", "--threads", "1"]
        for s in sets:
            arguments += ["--set", s]
        done = self.done(*arguments)
        self.assertIn("sweep throughput: 2 timed steps after 2", done.stdout)
        self.assertRegex(done.stdout, r"val_accuracy 0.1: reached after [0-9.]+ s, in epoch 1\n")
        self.assertRegex(done.stdout, r"samples/s of training, [0-9.]+ with validation\n")
        report = json.loads((self.folder / "lab/report.json").read_text())
        self.assertEqual([t["params"] for t in report["sweeps"][0]["trials"]], [{"data.batch": 6}, {"data.batch": 12}])
        self.assertEqual(len(report["training"]["epochs"]), 2)  # twice in a row at the target
        self.assertEqual(report["training"]["reached"]["epoch"], 1)
        for chart in ("lab/sweeps/throughput/throughput.svg", "lab/time-to-accuracy.svg"):
            xml.etree.ElementTree.parse(self.folder / chart)
        page = (self.folder / "lab/report.html").read_text()
        data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S).group(1))
        self.assertEqual(data["sweeps"], report["sweeps"])
        self.assertEqual(data["training"], report["training"])
        again = self.done(*arguments)
        self.assertNotIn("trial", again.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
