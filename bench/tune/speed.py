"""How fast the samplers are, and whether what they reach is as good: Athanor (speed.c) and its peers (speed_peers.py) in
turn, seed by seed, each a process of its own on one thread; the time is that of the study alone. The peers live in the
environment that bench/tune/setup makes (BENCH_TUNE_VENV names another one).

    bench/tune/speed.py [--seeds N] [SAMPLER...]      without names: all rows"""
import argparse
import json
import math
import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = Path(os.environ.get("BENCH_TUNE_VENV", ROOT / ".venv-tune")) / "bin/python"
BUILD = ROOT / "build"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# sampler, function, dimensions, trials, library, at least so many times faster, seeds at most (a GP of Optuna's takes minutes)
DUELS = [("tpe", "sphere", 40, 1000, "rustuna", 2, 20),
         ("bayesian", "sphere", 10, 300, "optuna", 20, 3),
         ("cmaes", "sphere", 40, 10000, "rustuna", 1, 20),
         ("nsga2", "zdt1", 20, 10000, "rustuna", 1, 20)]
ALONE = [("auto", "sphere", 10, 300, 10)]  # sampler, function, dimensions, trials, seconds at most


def run(command):
    return json.loads(subprocess.run([str(c) for c in command], check=True, env=ONE_THREAD, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True).stdout)


def ours(*case):
    return run([BUILD / "bench/bench_speed", *case])


def worse(mine, other, larger_is_better):
    """One-sided probability, by the normal approximation of the rank-sum test, that mine would rank so badly if both were
    alike."""
    sign = -1 if larger_is_better else 1
    beaten = sum((sign * a > sign * b) + 0.5 * (a == b) for a in mine for b in other)
    n, m = len(mine), len(other)
    z = (beaten - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2))


def duel(row, sampler, function, dimensions, trials, library, target, seeds):
    case = [sampler, function, dimensions, trials]
    pairs = [(ours(*case, s), run([PYTHON, ROOT / "bench/tune/speed_peers.py", library, *case, s])) for s in range(seeds)]
    seconds = [statistics.median(side["seconds"] for side in sides) for sides in zip(*pairs)]
    values = [[side["value"] for side in sides] for sides in zip(*pairs)]
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
    several = function == "zdt1"
    p = worse(values[0], values[1], several)
    what = "hypervolume" if several else "value"
    name = "NSGA-II" if sampler == "nsga2" else "CMA-ES" if sampler == "cmaes" else "GP" if sampler == "bayesian" else "TPE"
    middle = [f"{s:.2f} s, {what} {statistics.median(v):.3g}" for s, v in zip(seconds, values)]
    row(f"{name}, {dimensions}-D {function}, {trials} trials, medians of {seeds} seeds", middle[0],
        f"{library.capitalize()} {middle[1]}", f"{ratio:.1f}x, not worse: p = {p:.2g}", f"{target}x, p >= 0.05",
        ratio >= target and p >= 0.05)


def alone(row, sampler, function, dimensions, trials, limit):
    results = [ours(sampler, function, dimensions, trials, s) for s in range(3)]
    seconds = statistics.median(r["seconds"] for r in results)
    row(f"`{sampler}`, {dimensions}-D {function}, {trials} trials, median of 3 seeds",
        f"{seconds:.2f} s, value {statistics.median(r['value'] for r in results):.3g}", "", f"{seconds:.2f} s",
        f"{limit} s", seconds <= limit)


def measure(row, seeds=20, names=()):
    subprocess.run(["ninja", "-C", BUILD, "bench/bench_speed"], check=True, stdout=subprocess.DEVNULL)
    there = json.loads(subprocess.run([BUILD / "athanor", "list", "samplers", "--json"], check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)
    for case in DUELS + ALONE:
        if names and case[0] not in names:
            continue
        if case[0] not in there:
            row(f"`{case[0]}`, {case[2]}-D {case[1]}, {case[3]} trials", "no such sampler", "", "", "", False)
        elif case in DUELS:
            duel(row, *case[:-1], min(seeds, case[-1]))
        else:
            alone(row, *case)


def print_row(what, own, other, figure, target, reached):
    print("| " + " | ".join([what, own, other, figure, target, "yes" if reached else "no"]) + " |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--seeds", type=int, default=20)
    options = arguments.parse_args()
    print("| what | Athanor | the other side | figure | at least | reached |\n|---|---|---|---|---|---|")
    measure(print_row, options.seeds, options.names)


if __name__ == "__main__":
    main()
