#!/usr/bin/env python3
"""Runs optimisers on the suites of problems.py and keeps their raw curves in curves/<suite>/<optimiser>.csv.

    quality.py --suite tables --optimiser optuna-tpe,hebo --seeds 20       # what is not there yet is run and appended
    quality.py --suite tables --optimiser athanor:auto --only car,kc1 --seeds 5 --quick
    quality.py --suite bbob --optimiser 'athanor:{"bayesian": {"explore": 0.01}}' --quick

--quick writes nothing and prints the mean best value of each problem and its regret: 0 is the least observation in any kept
curve, 1 what random search reaches. Seeds are the outer loop, so that a run can be stopped at any time. athanor:SAMPLER is this program (ATHANOR names another build), athanor8:SAMPLER
the same with eight suggestions pending."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import argparse
import json
import math
import sys
import time
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import peers
import problems

CURVES = HERE / "curves"
PACKAGES = {"optuna": "optuna", "rustuna": "rustuna", "hyperopt": "hyperopt", "hebo": "HEBO", "smac": "smac",
            "random": "numpy"}


def adapter(name):
    kind, _, sampler = name.partition(":")
    if kind in ("athanor", "athanor8"):
        sampler = json.loads(sampler) if sampler.startswith("{") else sampler
        return peers.athanor_with(sampler, 8 if kind == "athanor8" else 1)
    return peers.PEERS[kind]


def version(name):
    for key, package in PACKAGES.items():
        if name.startswith(key):
            return f"{package} {metadata.version(package)}"
    return "this tree"


def file_of(suite, name):
    return CURVES / suite / (name.replace(":", "-").replace('"', "").replace(" ", "") + ".csv")


def done(path):
    if not path.exists():
        return set()
    lines = [line.split(",", 3) for line in path.read_text().splitlines() if line and line[0] != "#"]
    return {(line[0], int(line[1])) for line in lines if len(line) == 4}


def run_one(name, suite, problem, seed, evaluations):
    """The observations in order, None for a crash; and the seconds of it all."""
    p, seen = problems.problem(suite, problem, seed), []

    def record(params):
        try:
            seen.append(p.evaluate(params))
        except problems.Crash:
            seen.append(None)
        return seen[-1]

    begin = time.perf_counter()
    adapter(name)(p, record, seed, evaluations)
    return seen, time.perf_counter() - begin


def text_of(seen):
    return ",".join("x" if v is None else "|".join(f"{x:.6g}" for x in v) for v in seen)


def applies(name, suite):
    base = name.partition(":")[0]
    if suite == "multi":
        return base not in peers.ONE_OBJECTIVE
    return base not in peers.SEVERAL_ONLY


def keep(names, suites, seeds, only, until):
    for seed in range(seeds):
        for suite in suites:
            every, evaluations, most = problems.SUITES[suite]
            for problem in (n for n in every if seed < most and (not only or n in only)):
                for name in (n for n in names if applies(n, suite)):
                    if until and time.time() > until:
                        return
                    path = file_of(suite, name)
                    if (problem, seed) in done(path):
                        continue
                    path.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        seen, seconds = run_one(name, suite, problem, seed, evaluations)
                    except Exception as e:  # one that cannot does not keep the others from running for hours
                        print(f"{name} on {suite}/{problem}, seed {seed}: {e}", file=sys.stderr, flush=True)
                        continue
                    if not path.exists():
                        path.write_text(f"# {name}, {version(name)}; bench/tune/quality.py; problem, seed, seconds, "
                                        f"observations (x: crashed)\n")
                    with path.open("a") as f:
                        f.write(f"{problem},{seed},{seconds:.2f},{text_of(seen)}\n")


def regret(suite, problem, value):
    """In units of random search's mean regret; None without its curves."""
    least, bests = math.inf, []
    for path in (CURVES / suite).glob("*.csv"):
        for line in path.read_text().splitlines():
            cells = line.split(",")
            if cells[0] == problem:
                best = min(float(v.partition("|")[0]) for v in cells[3:] if v != "x")
                least = min(least, best)
                bests += [best] if path.stem == "random" else []
    scale = sum(bests) / len(bests) - least if bests else 0
    return (value - least) / scale if scale > 0 else None


def quick(names, suites, seeds, only, evaluations):
    import numpy as np

    for name in names:
        for suite in suites:
            every, usual, most = problems.SUITES[suite]
            for problem in (n for n in every if not only or n in only):
                best, seconds, lost = [], 0, 0
                for seed in range(min(seeds, most)):
                    seen, took = run_one(name, suite, problem, seed, evaluations or usual)
                    best.append(min(v[0] for v in seen if v is not None))
                    lost += sum(v is None for v in seen[30:])
                    seconds += took
                of_random = regret(suite, problem, np.mean(best))
                print(f"{name:20} {suite}/{problem:26} best {np.mean(best):12.6g} +- {np.std(best):9.3g}  " +
                      ("" if of_random is None else f"regret {of_random:.3f}  ") + f"{seconds / len(best):6.2f} s" + (f"  lost after the 30th {lost / len(best):.1f}" if lost else ""),
                      flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default=",".join(problems.SUITES))
    parser.add_argument("--optimiser", required=True)
    parser.add_argument("--only", default="", help="problems, joined by commas")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="start nothing new after so long")
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    names = [o.optimiser] if "{" in o.optimiser else o.optimiser.split(",")
    suites, only = o.suite.split(","), [n for n in o.only.split(",") if n]
    if o.quick:
        quick(names, suites, o.seeds, only, o.evaluations)
    else:
        keep(names, suites, o.seeds, only, time.time() + 60 * o.minutes if o.minutes else 0)


if __name__ == "__main__":
    main()
