#!/usr/bin/env python3
"""The other side of bench/tune/speed.c: a study in memory, its seconds and what it reached, as a JSON line.

    speed_peers.py rustuna|optuna SAMPLER FUNCTION DIMENSIONS TRIALS SEED"""
import json
import logging
import sys
import time
import warnings


def sphere(x):
    return sum((v - 1) * (v - 1) for v in x)


def rosenbrock(x):
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def zdt1(x):
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return x[0], g * (1 - (x[0] / g) ** 0.5)


FUNCTIONS = {"sphere": (sphere, -5, 5), "rosenbrock": (rosenbrock, -5, 5), "zdt1": (zdt1, 0, 1)}
SAMPLERS = {"random": "RandomSampler", "tpe": "TPESampler", "bayesian": "GPSampler", "cmaes": "CmaEsSampler",
            "nsga2": "NSGAIISampler"}


def hypervolume(points):
    """Below (1.1, 1.1), as speed.c has it."""
    volume, low = 0.0, 1.1
    for a, b in sorted(points):
        if a < 1.1 and b < low:
            volume += (1.1 - a) * (low - b)
            low = b
    return volume


def main():
    library, name, function_name, dimensions, trials, seed = sys.argv[1:]
    function, low, high = FUNCTIONS[function_name]
    names = [f"x{i}" for i in range(int(dimensions))]
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    tuner = __import__(library)
    sampler = getattr(tuner.samplers, SAMPLERS[name])(seed=int(seed))
    values = []

    def objective(trial):
        values.append(function([trial.suggest_float(n, low, high) for n in names]))
        return values[-1]

    several = function is zdt1
    study = tuner.create_study(sampler=sampler, directions=["minimize"] * (2 if several else 1))
    begin = time.perf_counter()
    study.optimize(objective, n_trials=int(trials))
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "value": hypervolume(values) if several else min(values)}))


main()
