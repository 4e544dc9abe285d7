#!/usr/bin/env python3
"""What measures: explain --profile, bench, sweep, and the lab's recipe on a small net.
Usage: test_lab.py ATHANOR ROOT. The data is made here: 96 random images of three classes."""
import json
import os
import pathlib
import random
import subprocess
import struct
import sys
import tempfile
import unittest

ATHANOR, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])

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


def npy(kind, shape, values):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    code = {"<f4": "f", "<i4": "i"}[kind]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(
        f"<{len(values)}{code}", *values)


class Lab(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        rng = random.Random(1)
        y = [rng.randrange(3) for _ in range(96)]
        x = [rng.gauss(label, 1) for label in y for _ in range(64)]
        (self.folder / "x.npy").write_bytes(npy("<f4", (96, 8, 8), x))
        (self.folder / "y.npy").write_bytes(npy("<i4", (96,), y))
        (self.folder / "images.yaml").write_text(RECIPE)

    def tearDown(self):
        self.temporary.cleanup()

    def run_it(self, *arguments, code=0):
        done = subprocess.run([ATHANOR, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "ATHANOR_CACHE": str(self.folder / "cache")})
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done

    # ---- profile and bench

    def test_profile(self):
        """Every call of the step has its time, and the table its bound."""
        p = json.loads(self.run_it("explain", "images.yaml", "--profile", "--steps", "3", "--json", "--threads", "1").stdout)
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
        table = self.run_it("explain", "images.yaml", "--profile", "--steps", "2", "--threads", "1").stdout
        self.assertIn("calls of one kind", table)
        self.assertIn("step of batch 12", table)

    def test_calls_without_times(self):
        p = json.loads(self.run_it("explain", "images.yaml", "--json").stdout)
        self.assertTrue(all("seconds" not in u and u["bytes"] >= 0 for u in p["units"]))
        self.assertNotIn("machine", p)

    def test_reference_has_no_bounds(self):
        table = self.run_it("explain", "images.yaml", "--profile", "--steps", "1", "--backend", "ref").stdout
        self.assertIn("not measured by this backend", table)
        self.assertIn("ref:conv2d", table)

    def test_bench(self):
        b = json.loads(self.run_it("bench", "--steps", "1", "--threads", "1", "--json").stdout)
        run, = b["runs"]
        self.assertEqual(run["machine"]["threads"], 1)
        self.assertTrue(all(level["rate"] > 1e8 for level in run["machine"]["rates"]))
        cases = {c["case"].split(" ")[0]: c for c in run["cases"]}
        self.assertTrue({"dense", "convolution", "depthwise", "max-pooling", "rows"} <= set(cases))
        for c in run["cases"]:
            self.assertTrue(c["calls"], c["case"])
            self.assertTrue(all(call["seconds"] > 0 and call["of_bound"] > 0 for call in c["calls"]))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
