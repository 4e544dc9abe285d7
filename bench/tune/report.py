#!/usr/bin/env python3
"""The table of how good the tuner is, from the curves that quality.py has kept.

    report.py [--ours athanor:auto]

Ranks are taken within each (problem, seed) by the best observation, equal ones share; only seeds that every optimiser of
the line has are compared, and who lacks a suite is named. `first` is the share of bootstraps over seeds in which ours has
the least mean rank."""
import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import problems

BOOTSTRAPS = 2000
rows = []


def row(what, ours, others, figure, least, reached):
    rows.append((what, ours, others, figure, least, {True: "yes", False: "no"}.get(reached, reached)))


def load(suite):
    """optimiser -> (problem, seed) -> observations, None for a crash."""
    runs = {}
    for path in sorted((HERE / "curves" / suite).glob("*.csv")):
        runs[path.stem] = {}
        with path.open() as f:
            for line in csv.reader(f):
                if line and not line[0].startswith("#"):
                    runs[path.stem][line[0], int(line[1])] = [
                        None if v == "x" else [float(x) for x in v.split("|")] for v in line[3:]]
    return runs


def best(observations):
    return min((v[0] for v in observations if v is not None), default=np.inf)


def rank(values):
    """1 is the least; equal ones share."""
    values = np.asarray(values)
    return np.array([1 + np.sum(values < v) + (np.sum(values == v) - 1) / 2 for v in values])


def standing(runs, names, ours, score=best):
    """Mean ranks over what all have: (mean rank per optimiser, share of bootstraps won, rank per problem, seeds)."""
    everybody = [o for o in runs if any(p in names for p, _ in runs[o])]
    cells = set.intersection(*({c for c in runs[o] if c[0] in names} for o in everybody))
    if ours not in everybody or not cells:
        return None
    seeds = sorted({s for _, s in cells})
    by_seed = defaultdict(list)
    values = defaultdict(list)
    for problem, seed in sorted(cells):
        v = [score(runs[o][problem, seed]) for o in everybody]
        by_seed[seed].append(rank(v))
        values[problem].append(v)
    means = {s: np.mean(r, axis=0) for s, r in by_seed.items()}
    rng, at = np.random.default_rng(0), everybody.index(ours)
    won = np.mean([np.argmin(np.mean([means[s] for s in rng.choice(seeds, len(seeds))], axis=0)) == at
                   for _ in range(BOOTSTRAPS)])
    overall = np.mean([r for rs in by_seed.values() for r in rs], axis=0)
    table_rank = {p: rank(np.mean(v, axis=0))[at] for p, v in values.items()}
    return dict(zip(everybody, overall)), won, table_rank, len(seeds)


def list_ranks(ranks, ours):
    return ", ".join(f"{o} {r:.2f}" for o, r in sorted(ranks.items(), key=lambda x: x[1]) if o != ours)


def put_ranks(title, suite, names, ours, counts=True, leave=()):
    runs = {o: r for o, r in load(suite).items() if not o.startswith("athanor8") and
            (o == ours or not o.startswith("athanor")) and o not in leave}
    found = standing(runs, names, ours)
    if not found:
        row(title, "", "", "not run", "first", "no")
        return
    ranks, won, tables, seeds = found
    worst = max(tables, key=tables.get)
    place = sorted(ranks.values()).index(ranks[ours]) + 1
    row(f"{title}: mean rank, {seeds} seeds", f"{ranks[ours]:.2f}", list_ranks(ranks, ours),
        f"place {place}, first in {100 * won:.0f} % of bootstraps", "first, 80 %",
        (place == 1 and won >= 0.8) if counts else "-")
    if suite == "tables":
        row(f"{title}: worst table", f"{worst} {tables[worst]:.0f}", "", f"place {tables[worst]:.0f}", "third",
            tables[worst] <= 3 if counts else "-")


def put_conditional(ours):
    runs = load("conditional")
    if ours not in runs:
        return

    def lost(o):
        return np.mean([sum(v is None for v in r[30:]) / max(len(r) - 30, 1) for r in runs[o].values()])

    def value(o):
        return np.mean([best(r) for r in runs[o].values()])

    peers = [o for o in runs if not o.startswith("athanor")]
    shares = ", ".join(f"{o} {100 * lost(o):.0f} %" for o in sorted(peers, key=lost))
    row("conditional space: lost after the 30th trial", f"{100 * lost(ours):.1f} %", shares, f"{100 * lost(ours):.1f} %",
        "under 10 %", lost(ours) < 0.1)
    values = ", ".join(f"{o} {value(o):.4f}" for o in sorted(peers, key=value))
    row("conditional space: best value", f"{value(ours):.4f}", values, "", "no worse than any",
        value(ours) <= min(map(value, peers)))


def put_pending(ours):
    """The optima of BBOB are 0, so values are regrets; ratios are averaged as logarithms."""
    eight, ratios = ours.replace("athanor", "athanor8", 1), []
    for suite in ("bbob", "mixint"):
        runs = load(suite)
        for cell in set(runs.get(ours, ())) & set(runs.get(eight, ())):
            a, b = best(runs[eight][cell]), best(runs[ours][cell])
            ratios.append(np.log(max(a, 1e-6) / max(b, 1e-6)))
    if ratios:
        figure = float(np.exp(np.median(ratios)))
        row("eight suggestions pending at once, BBOB and mixint: median regret against one by one", "", "",
            f"{figure:.2f}x", "at most 1.3x", figure <= 1.3)


def area(points, reference):
    """Of what pairs dominate."""
    total, edge = 0.0, reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < edge:
            total, edge = total + (reference[0] - x) * (edge - y), y
    return total


def hypervolume(points, reference):
    points = [p for p in points if all(a < b for a, b in zip(p, reference))]
    if len(reference) == 2:
        return area(points, reference)
    points.sort(key=lambda p: p[2])
    heights = [p[2] for p in points] + [reference[2]]
    return sum((heights[k + 1] - heights[k]) * area([p[:2] for p in points[:k + 1]], reference[:2])
               for k in range(len(points)))


def put_multi(ours):
    runs = {o: r for o, r in load("multi").items() if o == ours or not o.startswith("athanor")}
    reference = {n: problems.problem("multi", n, 0).reference for n in problems.MULTI}
    names = {}

    def score(observations):
        return -hypervolume([v for v in observations if v], reference[names[id(observations)]])

    for r in runs.values():
        for (problem, _), observations in r.items():
            names[id(observations)] = problem
    found = standing(runs, problems.MULTI, ours, score)
    if not found:
        row("ZDT and DTLZ, 200 evaluations: hypervolume", "", "", "not run", "first", "no")
        return
    ranks, won, _, seeds = found
    row(f"ZDT and DTLZ, 200 evaluations: hypervolume, mean rank, {seeds} seeds", f"{ranks[ours]:.2f}",
        list_ranks(ranks, ours), f"first in {100 * won:.0f} % of bootstraps", "first",
        ranks[ours] == min(ranks.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="athanor:auto")
    ours = parser.parse_args().ours.replace(":", "-")
    put_ranks("tables that decide (7), 60 evaluations", "tables", problems.DECIDE, ours)
    put_ranks("the same, over more seeds without HEBO", "tables", problems.DECIDE, ours, False, ("hebo",))
    put_ranks("tables of the development (8)", "tables", problems.DEVELOP, ours, False)
    put_ranks("BBOB, 8 functions, 5-D, 100 evaluations", "bbob", problems.SUITES["bbob"][0], ours)
    put_ranks("bbob-mixint, 8 functions, 5-D, 100 evaluations", "mixint", problems.SUITES["mixint"][0], ours)
    put_conditional(ours)
    put_pending(ours)
    put_multi(ours)
    print("| what | Athanor | the others | figure | at least | reached |\n|---|---|---|---|---|---|")
    for r in rows:
        print("| " + " | ".join(map(str, r)) + " |")


if __name__ == "__main__":
    main()
