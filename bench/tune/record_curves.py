#!/usr/bin/env python3
"""Records the learning curves that schedulers are compared on: 1,000 random configurations of an MLP, 27 epochs each.

    record_curves.py [FOLDER] [--trials N]      # about ten minutes of one core; goes on where it was stopped

`athanor tune` with the sampler `random` trains them on one thread: 10,000 images of Fashion-MNIST, validated on the next
5,000. What comes out is curves/fashion_mlp.csv.gz, with curves/fashion_mlp.yaml, the space, beside it. The first half of
the rows is there to develop on, the second half decides.

Format of recorded curves: CSV, compressed with gzip or not. Lines that begin with # are remarks. The first other line
names the columns, in any order:
    a parameter's name   its value in this configuration; empty where it does not exist
    1, 2, 3, …           the objective after so many steps; empty from where a training failed
    seconds              of one step (a mean)
A row is a configuration, and no configuration stands twice."""
import argparse
import csv
import gzip
import io
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CURVES = Path(__file__).resolve().parent / "curves"
ATHANOR = os.environ.get("ATHANOR", ROOT / "build" / "athanor")
EPOCHS = 27
SPACE = {  # name: range, in the order of the columns
    "batch": "!int {min: 32, max: 512, step: 2, prior: log, name: batch}",
    "layers": "!int {min: 1, max: 3, name: layers}",
    "units": "!int {min: 16, max: 128, prior: log, name: units}",
    "dropout": "!float {min: 0, max: 0.6, name: dropout}",
    "optimizer": "!choice {of: [sgd, rmsprop, adam], name: optimizer}",
    "lr": "!float {min: 1e-4, max: 0.1, prior: log, name: lr}",
}
RECIPE = f"""name: fashion-curves
seed: 1
data: {{source: fashion-mnist, samples: 15000, validation: 5000, batch: {SPACE["batch"]}}}
model:
  - flatten
  - repeat:
      times: {SPACE["layers"]}
      body:
        - dense: {{units: {SPACE["units"]}, activation: relu}}
        - dropout: {{rate: {SPACE["dropout"]}}}
  - dense: {{units: 10, activation: softmax}}
train:
  optimizer: !choice
    name: optimizer
    of:
      - sgd: {{momentum: 0.9, learning_rate: {SPACE["lr"]}}}
      - rmsprop: {{learning_rate: {SPACE["lr"]}}}
      - adam: {{learning_rate: {SPACE["lr"]}}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: {EPOCHS}
tune: {{sampler: random, objective: val_accuracy, threads: 1, jobs: 1}}
"""


def curve(folder):
    """Objective and seconds of each epoch."""
    with (folder / "0" / "log.jsonl").open() as f:
        lines = [json.loads(line) for line in f]
    return [line["val_accuracy"] for line in lines], [line["seconds"] for line in lines]


def write(trials, run):
    text = io.StringIO()
    text.write("# Athanor, bench/tune/record_curves.py: val_accuracy of MLPs on Fashion-MNIST (10,000 images, 5,000 for "
               "validation)\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*SPACE, *range(1, EPOCHS + 1), "seconds"])
    for trial in sorted(trials, key=lambda t: t["trial"]):
        values, seconds = curve(run / "trials" / str(trial["trial"]))
        params = [f"{v:.6g}" if isinstance(v, float) else v for v in (trial["params"][name] for name in SPACE)]
        values = [f"{v:.4f}" for v in values] + [""] * (EPOCHS - len(values))
        table.writerow([*params, *values, f"{sum(seconds) / max(len(seconds), 1):.4f}"])
    CURVES.mkdir(exist_ok=True)
    (CURVES / "fashion_mlp.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    (CURVES / "fashion_mlp.yaml").write_text(
        "# The space of fashion_mlp.csv.gz (record_curves.py).\nobjective: {metric: val_accuracy, direction: max}\nspace:\n" +
        "".join(f"  {name}: {text}\n" for name, text in SPACE.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "runs" / "fashion-curves")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    recipe = options.folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    run = options.folder / "run"
    subprocess.run([ATHANOR, "tune", recipe, "--dir", run, "--jobs", str(options.jobs), "--set",
                    f"tune.max_trials={options.trials}"], check=True, stdout=subprocess.DEVNULL)
    trials = json.loads(subprocess.run([ATHANOR, "export", run, "--format", "json"], check=True,
                                       stdout=subprocess.PIPE, text=True).stdout)
    write(trials["trials"] if isinstance(trials, dict) else trials, run)


if __name__ == "__main__":
    main()
