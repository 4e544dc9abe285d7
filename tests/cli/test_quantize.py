#!/usr/bin/env python3
"""int8 models through the program: the verb, the stage of a run, and the verbs that take what they wrote.
Usage: test_quantize.py ATHANOR. The data is made here: 200 images of two classes, bright above or below."""
import json
import os
import random
import struct
import sys
import unittest

from arrays import npy
from program_test import ProgramTest

ATHANOR = os.path.abspath(sys.argv[1])

RECIPE = """name: bright
seed: 3
data: {source: files, train: {x: x.npy, y: y.npy}, test: {x: x.npy, y: y.npy}, validation: 40, batch: 20}
model:
  - conv2d: {filters: 8, kernel_size: 3, padding: same, kernel_regularizer: {l2: 0.001}}
  - batch_normalization: {momentum: 0.5}
  - activation: relu
  - max_pooling2d: 2
  - conv2d: {filters: 8, kernel_size: 3, groups: 2, activation: relu}
  - flatten
  - dense: {units: 2, activation: softmax}
train: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 3}
quantize: {to: int8, samples: 64}
"""


def floats(path):
    data = path.read_bytes()
    begin = 10 + struct.unpack("<H", data[8:10])[0]
    return struct.unpack(f"<{(len(data) - begin) // 4}f", data[begin:])


class Quantize(ProgramTest):
    athanor = ATHANOR

    @classmethod
    def fill(cls, folder):
        rng = random.Random(1)
        y = [rng.randrange(2) for _ in range(200)]
        x = [rng.gauss(1.5 if (row < 4) == (label == 0) else 0, 1) for label in y for row in range(8) for _ in range(8)]
        (folder / "x.npy").write_bytes(npy("<f4", (200, 8, 8, 1), x))
        (folder / "y.npy").write_bytes(npy("<i4", (200,), y))
        (folder / "bright.yaml").write_text(RECIPE)
        cls.succeeds("run", "bright.yaml", "--dir", "run")

    def shown(self, *arguments):
        """All that is printed."""
        done = self.done(*arguments)
        return done.stdout + done.stderr

    def test_a_run_leaves_int8_copies_and_says_what_they_are(self):
        report = json.loads((self.folder / "run/report.json").read_text())["models"][0]["quantized"]
        self.assertEqual(report["file"], "models/1-int8.safetensors")
        self.assertEqual({l["layer"]: l["became"] for l in report["layers"]},
                         {"conv2d": "int8", "conv2d_1": "float32", "dense": "int8"})
        self.assertEqual([l.get("reason") for l in report["layers"]], [None, "it has groups of channels", None])
        self.assertLess(abs(report["float32"]["accuracy"] - report["int8"]["accuracy"]), 0.02)
        self.assertGreater(report["float32"]["accuracy"], 0.9)
        for side in ("float32", "int8"):
            self.assertGreater(report[side]["samples_per_second"], 0)
        self.assertEqual(report["int8"]["bytes"], (self.folder / "run/models/1-int8.safetensors").stat().st_size)

    def test_the_verb_writes_what_predict_and_evaluate_take(self):
        out = self.shown("quantize", "run/models/1.safetensors", "--to", "int8", "--out", "q.safetensors")
        for word in ("int8:     conv2d, dense", "float32:  conv2d_1 (it has groups of channels)", "size:", "speed:",
                     "accuracy:"):
            self.assertIn(word, out)
        values = {}
        for model in ("run/models/1.safetensors", "q.safetensors"):
            self.succeeds("predict", model, "--input", "x.npy", "--output", "p.npy")
            values[model] = floats(self.folder / "p.npy")
        for backend in ("ref", "cpu"):
            self.succeeds("predict", "q.safetensors", "--input", "x.npy", "--output", "p.npy", "--backend", backend)
            for a, b in zip(floats(self.folder / "p.npy"), values["q.safetensors"]):
                self.assertAlmostEqual(a, b, places=5)
        self.assertNotEqual(*values.values())
        for a, b in zip(*values.values()):
            self.assertAlmostEqual(a, b, delta=0.1)
        evaluated = json.loads(self.succeeds("evaluate", "q.safetensors", "--json"))
        self.assertGreater(evaluated["accuracy"], 0.9)
        header = (self.folder / "q.safetensors").read_bytes()
        size = struct.unpack("<Q", header[:8])[0]
        tensors = json.loads(header[8:8 + size])
        self.assertEqual(tensors["conv2d/kernel"]["dtype"], "I8")
        self.assertEqual(tensors["conv2d_1/kernel"]["dtype"], "F32")
        self.assertEqual(tensors["dense/kernel_scale"]["shape"], [2])
        self.assertFalse([name for name in tensors if name.startswith("batch_normalization")])

    def test_samples_of_its_own_and_layers_that_stay(self):
        out = self.shown("quantize", "run/models/1.safetensors", "--calibrate", "x.npy", "--except", "dense", "--out",
                            "e.safetensors", "--json")
        layers = json.loads(out[out.index("{"):out.rindex("}") + 1])["layers"]
        self.assertEqual(layers[2], {"layer": "dense", "became": "float32", "reason": "it was asked to stay"})

    def test_an_ensemble_has_an_int8_form_with_its_weights(self):
        out = self.shown("run", "bright.yaml", "--dir", "several", "--set",
                            "model.0.conv2d.filters=!choice [8, 4]", "--set",
                            "tune={objective: val_loss, max_trials: 2, jobs: 1}", "--set", "retrain={top: 2}", "--set",
                            "ensemble=weighted", "--set", "train.epochs=2")
        self.assertIn("ensemble of 2: int8, test accuracy", out)
        report = json.loads((self.folder / "several/report.json").read_text())
        members, ensemble = report["models"], report["ensemble"]
        for member in members:
            self.succeeds("predict", f"several/{member['quantized']['file']}", "--input", "x.npy", "--output",
                          f"{member['rank']}.npy")
        labels = struct.unpack("<200i", (self.folder / "y.npy").read_bytes()[-800:])
        several = [floats(self.folder / f"{member['rank']}.npy") for member in members]
        right = 0
        for i, label in enumerate(labels):
            sums = [sum(m["weight"] * p[2 * i + c] for m, p in zip(members, several)) for c in range(2)]
            right += (sums[1] > sums[0]) == bool(label)
        self.assertAlmostEqual(ensemble["int8_test"]["accuracy"], right / 200, places=6)
        self.assertAlmostEqual(ensemble["int8_test"]["loss"], ensemble["test"]["loss"], delta=0.05)

    def test_a_percentile_gives_finer_steps_to_most_and_the_recipe_may_ask_for_it(self):
        def input_scale(*options):
            self.succeeds("quantize", "run/models/1.safetensors", "--out", "p.safetensors", *options)
            data = (self.folder / "p.safetensors").read_bytes()
            size = struct.unpack("<Q", data[:8])[0]
            at = 8 + size + json.loads(data[8:8 + size])["conv2d/input_scale"]["data_offsets"][0]
            return struct.unpack("<f", data[at:at + 4])[0]
        usual, most, some = input_scale(), input_scale("--calibration", "percentile"), input_scale(
            "--calibration", "percentile: 90")
        self.assertEqual(input_scale("--calibration", "abs_max"), usual)
        self.assertLessEqual(usual, most)
        self.assertGreater(some, 1.5 * usual)
        self.refused_with("percent must be", "quantize", "run/models/1.safetensors", "--calibration", "percentile: 30")
        self.refused_with("median", "quantize", "run/models/1.safetensors", "--calibration", "median")
        self.refused_with("percent must be", "run", "bright.yaml", "--dir", "b", "--set",
                     "quantize.calibration={percentile: 101}")

    def test_sentences(self):
        model = "run/models/1.safetensors"
        self.refused_with("quantize: to must be int8", "quantize", model, "--to", "int3")
        self.refused_with("except: 'dens' is no convolution or dense layer; did you mean 'dense'?", "quantize", model,
                          "--except", "dens")
        self.refused_with("except: 'softmax' is no convolution or dense layer; there are: ", "quantize", model, "--except",
                          "softmax")
        self.refused_with("no layer can be int8; of 'conv2d': it was asked to stay", "quantize", model, "--except",
                     "conv2d,dense")
        self.refused_with("the model is int8 already", "quantize", "run/models/1-int8.safetensors")
        self.refused_with("expected samples of shape", "quantize", model, "--calibrate", "y.npy")
        self.refused_with("there is no folder nowhere", "quantize", model, "--out", "nowhere/q.safetensors")
        for path in model, "x.npy":
            before = (self.folder / path).read_bytes()
            self.refused_with("quantize would be written over the file that it reads", "quantize", model, "--calibrate",
                              "x.npy", "--out", f"./{path}")
            self.assertEqual((self.folder / path).read_bytes(), before)
        self.refused_with("samples must be", "run", "bright.yaml", "--dir", "b", "--set", "quantize.samples=0")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
