#!/usr/bin/env python3
"""How many epochs early stopping saves: schedulers over the recorded curves of record_curves.py, one worker.

    schedulers.py [--scheduler NAME,…] [--half develop|decide] [--shuffles N]   # what is not there yet is run and kept
    schedulers.py --scheduler 'athanor:{"asha": {"reduction_factor": 3}}' --half develop --quick     # keeps nothing

Each shuffle is another order of the configurations of one half. Random search takes them in that order and trains each to
the end; its best after TRIALS of them is the target. A scheduler takes the same configurations, stops those that it does
not believe in, and is measured by the epochs that it spent until one of its reports reached the target. If none ever did,
what it spent and the whole of random search are counted. curves/schedulers/<name>.csv keeps what each one had reached
when: half, shuffle, epochs in all, then `epochs:best` for each improvement. athanor:SCHEDULER is this program through
ask-tell; there the order of the configurations is that of its sampler `random`, so the same configurations come in a
shuffle of its own, and the target is that of this order."""
import argparse
import csv
import gzip
import json
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "clients" / "python"))
CURVES = HERE / "curves"
EPOCHS, TRIALS, SHUFFLES = 27, 100, 30


@lru_cache(maxsize=2)
def curves(half):
    """Rows of EPOCHS values, larger is better; NaN where a training had failed."""
    with gzip.open(CURVES / "fashion_mlp.csv.gz", "rt") as f:
        rows = list(csv.DictReader(line for line in f if not line.startswith("#")))
    values = np.array([[float(row[str(k)] or "nan") for k in range(1, EPOCHS + 1)] for row in rows])
    middle = len(values) // 2
    return values[:middle] if half == "develop" else values[middle:]


class Meter:
    """Counts epochs and keeps what they had reached."""

    def __init__(self, values):
        self.values, self.epochs, self.best, self.steps, self.order = values, 0, -np.inf, [], []

    def train(self, row, step):
        if step == 1:
            self.order.append(row)
        value = self.values[row, step - 1]
        self.epochs += 1
        if value > self.best:
            self.best = value
            self.steps.append((self.epochs, value))
        return float(value)


def random(meter, shuffle):
    for row in np.random.default_rng([11, shuffle]).permutation(len(meter.values)):
        for step in range(1, EPOCHS + 1):
            meter.train(row, step)


def optuna_with(make):
    def run(meter, shuffle):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize", pruner=make(optuna.pruners))
        for row in np.random.default_rng([11, shuffle]).permutation(len(meter.values)):
            trial, state, best = study.ask(), None, -np.inf
            for step in range(1, EPOCHS + 1):
                value = meter.train(row, step)
                trial.report(value, step)
                best = max(best, value)
                if trial.should_prune():
                    state = optuna.trial.TrialState.PRUNED
                    break
            study.tell(trial, None if state else best, state=state)

    return run


def athanor_with(scheduler):
    """Asks for a row at a time; a paused trial comes back from a later ask and goes on after its last report."""
    def run(meter, shuffle):
        import athanor

        program, done = os.environ.get("ATHANOR", str(ROOT / "build" / "athanor")), {}
        space = {"row": athanor.Int(0, len(meter.values) - 1)}
        with athanor.Study(space, objective={"metric": "accuracy", "direction": "max"}, sampler="random",
                           scheduler=scheduler, seed=shuffle, max_trials=len(meter.values), program=program) as study:
            for trial in study:
                action = "continue"
                while action == "continue" and done.get(trial.number, 0) < EPOCHS:
                    done[trial.number] = step = done.get(trial.number, 0) + 1
                    value = meter.train(trial.params["row"], step)
                    action = study.report(trial, step, {"accuracy": value})
                if action == "prune":
                    study.tell(trial, state="pruned")
                elif action == "continue":
                    study.tell(trial, value)

    return run


SCHEDULERS = {
    "random": random,
    "optuna-halving": optuna_with(lambda p: p.SuccessiveHalvingPruner()),  # min_resource auto, reduction_factor 4
    "optuna-halving3": optuna_with(lambda p: p.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)),
    "optuna-hyperband": optuna_with(lambda p: p.HyperbandPruner(min_resource=1, max_resource=EPOCHS)),
}


def adapter(name):
    kind, _, scheduler = name.partition(":")
    if kind == "athanor":
        return athanor_with(json.loads(scheduler) if scheduler.startswith("{") else scheduler)
    return SCHEDULERS[kind]


def run_one(name, half, shuffle):
    meter = Meter(curves(half))
    adapter(name)(meter, shuffle)
    target = np.nanmax(meter.values[meter.order[:TRIALS]])
    return meter.epochs, target, meter.steps


def reached(total, target, steps):
    """Epochs until the target was reached, and whether it was."""
    found = next((epochs for epochs, value in steps if value >= target), None)
    return (total + TRIALS * EPOCHS, False) if found is None else (found, True)


def file_of(name):
    return CURVES / "schedulers" / (name.replace(":", "-").replace('"', "").replace(" ", "") + ".csv")


def load(path):
    """(half, shuffle) -> epochs in all, target, improvements."""
    runs = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if not line.startswith("#"):
            half, shuffle, total, target, *steps = line.split(",")
            runs[half, int(shuffle)] = (int(total), float(target),
                                        [(int(e), float(v)) for e, v in (s.split(":") for s in steps)])
    return runs


def version(name):
    if name.startswith("optuna"):
        from importlib import metadata
        return f"optuna {metadata.version('optuna')}"
    return "this tree"


def keep(name, half, shuffle, run):
    path = file_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(f"# {name}, {version(name)}; bench/tune/schedulers.py; half, shuffle, epochs in all, target, "
                        "epochs:best of each improvement\n")
    total, target, steps = run
    with path.open("a") as f:
        f.write(f"{half},{shuffle},{total},{target:.4f},{','.join(f'{e}:{v:.4f}' for e, v in steps)}\n")


def summary(runs):
    """Mean epochs to the target, share of the shuffles that reached it, mean epochs in all."""
    epochs, found = zip(*(reached(*run) for run in runs))
    return np.mean(epochs), np.mean(found), np.mean([total for total, _, _ in runs])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", default=",".join(SCHEDULERS))
    parser.add_argument("--half", choices=("develop", "decide"), default="decide")
    parser.add_argument("--shuffles", type=int, default=SHUFFLES)
    parser.add_argument("--quick", action="store_true", help="keep nothing")
    o = parser.parse_args()
    for name in [o.scheduler] if "{" in o.scheduler else o.scheduler.split(","):
        there, runs = {} if o.quick else load(file_of(name)), []
        for shuffle in range(o.shuffles):
            run = there.get((o.half, shuffle))
            if run is None:
                run = run_one(name, o.half, shuffle)
                if not o.quick:
                    keep(name, o.half, shuffle, run)
            runs.append(run)
        mean, share, total = summary(runs)
        print(f"{name:24} {mean:7.0f} epochs to the best of {TRIALS} full trainings ({TRIALS * EPOCHS} epochs), reached in "
              f"{100 * share:.0f} % of {len(runs)} shuffles; {total:.0f} for all configurations", flush=True)


if __name__ == "__main__":
    main()
