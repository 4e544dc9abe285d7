#!/usr/bin/env python3
"""The table of how good the tuner is, from the curves that quality.py and schedulers.py have kept.

    report.py [--ours athanor:auto]

A rank is that of the best observation; equal ones share. On tables, whose noise is drawn anew for each run, every run of
one optimiser is compared with every run of the others; elsewhere those of the same seed, whose problems are the same.
Bootstraps draw the seeds anew. Where some of the optimisers have not run yet, a rank is `open`."""
import argparse
import csv
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import problems
import schedulers

COMPARED = ("random", "rustuna-tpe", "optuna-tpe", "hyperopt", "optuna-gp", "smac", "hebo")
BOOTSTRAPS, MOST_SEEDS = 2000, 100
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


def best(observations, _problem=""):
    return min((v[0] for v in observations if v is not None), default=np.inf)


def rank(values):
    """1 is the least; equal ones share."""
    values = np.asarray(values)
    return np.array([1 + np.sum(values < v) + (np.sum(values == v) - 1) / 2 for v in values])


def beaten(a, b, paired, counts):
    """How often the runs a (seed -> score) are beaten by the runs b, ties half: over all, and in each bootstrap (counts of
    seeds for a and for b)."""
    if paired:
        seeds = sorted(a.keys() & b.keys())
        less = np.array([(b[s] < a[s]) + 0.5 * (b[s] == a[s]) for s in seeds])
        weights = counts[0][:, seeds]
        total = weights.sum(axis=1)
        return less.mean(), np.where(total > 0, weights @ less / np.maximum(total, 1), less.mean())
    x, y = np.array(list(a.values()))[:, None], np.array(list(b.values()))[None, :]
    less = (y < x) + 0.5 * (y == x)
    weights = [c[:, :n] for c, n in zip(counts, less.shape)]
    return less.mean(), np.einsum("ka,ab,kb->k", weights[0], less, weights[1])


def standing(scores, names, ours, paired):
    """scores: optimiser -> (problem, seed) -> score. The expected rank of each optimiser is 1 + the chances that the others
    beat it, so each may have as many seeds as it has. Gives the mean ranks, the share of bootstraps in which ours is first,
    our place by mean score on each problem, and the numbers of seeds; None where ours has not run on every problem."""
    by = {o: {p: {s: v for (q, s), v in r.items() if q == p} for p in names} for o, r in scores.items()}
    everybody = [o for o in by if all(by[o].values())]
    if ours not in everybody:
        return None
    rng, places = np.random.default_rng(0), {}
    drawn, ranks = {o: np.ones(BOOTSTRAPS) for o in everybody}, dict.fromkeys(everybody, 1.0)
    for p in names:
        shared = rng.multinomial(MOST_SEEDS, np.full(MOST_SEEDS, 1 / MOST_SEEDS), BOOTSTRAPS)
        counts = {}
        for o in everybody:
            n = len(by[o][p])
            counts[o] = shared if paired else rng.multinomial(n, np.full(n, 1 / n), BOOTSTRAPS) / n
        for o in everybody:
            for other in (x for x in everybody if x != o and not (paired and by[o][p].keys().isdisjoint(by[x][p]))):
                mean, each = beaten(by[o][p], by[other][p], paired, (counts[o], counts[other]))
                ranks[o] += mean / len(names)
                drawn[o] += each / len(names)
        means = rank([np.mean(list(by[o][p].values())) for o in everybody])
        places[p] = means[everybody.index(ours)]
    won = np.mean(np.argmin([drawn[o] for o in everybody], axis=0) == everybody.index(ours))
    return ranks, won, places, {o: sorted({len(v) for v in by[o].values()}) for o in everybody}


def put_ranks(title, suite, names, ours, counts=True, compared=COMPARED, score=best):
    """The row of mean ranks. Without all of those that are compared nothing is reached."""
    runs = {o: r for o, r in load(suite).items() if o == ours or not o.startswith("athanor")}
    scores = {o: {cell: score(v, cell[0]) for cell, v in r.items()} for o, r in runs.items()}
    found = standing(scores, names, ours, suite != "tables")
    if not found:
        row(title, "", "", "not run", "first", "no" if counts else "-")
        return None
    ranks, won, places, seeds = found

    def named(o):
        n = seeds[o] if seeds[o] != seeds[ours] else []
        return f"{o} {ranks[o]:.2f}" + (f" (seeds: {'-'.join(map(str, sorted({n[0], n[-1]})))})" if n else "")

    absent = [o for o in compared if o not in ranks]
    others = ", ".join(named(o) for o in sorted(ranks, key=ranks.get) if o != ours)
    place = sorted(ranks.values()).index(ranks[ours]) + 1
    row(f"{title}: mean rank, {seeds[ours][0]} seeds", f"{ranks[ours]:.2f}",
        others + (f"; not on all problems yet: {', '.join(absent)}" if absent else ""),
        f"place {place}, first in {100 * won:.0f} % of bootstraps", "first, in 80 %",
        "-" if not counts else "open" if absent else place == 1 and won >= 0.8)
    return places


def put_tables(title, names, ours, counts=True):
    places = put_ranks(title, "tables", names, ours, counts)
    if places:
        worst = max(places, key=places.get)
        row(f"{title}: place on the worst table", worst, "", f"place {places[worst]:.0f}", "third",
            places[worst] <= 3 if counts else "-")


def put_conditional(ours):
    runs = load("conditional")
    if ours not in runs:
        return

    def lost(o):
        return np.mean([sum(v is None for v in r[30:]) / max(len(r) - 30, 1) for r in runs[o].values()])

    def value(o, seeds):
        return np.mean([best(r) for (_, s), r in runs[o].items() if s in seeds])

    peers = [o for o in runs if not o.startswith("athanor")]
    shares = ", ".join(f"{o} {100 * lost(o):.0f} %" for o in sorted(peers, key=lost))
    row("conditional space: lost after the 30th trial", f"{100 * lost(ours):.1f} %", shares, f"{100 * lost(ours):.1f} %",
        "under 10 %", lost(ours) < 0.1)
    common = {o: {s for _, s in runs[o]} & {s for _, s in runs[ours]} for o in peers}
    pairs = {o: (value(o, common[o]), value(ours, common[o])) for o in peers if common[o]}
    values = ", ".join(f"{o} {theirs:.4f} against {mine:.4f} ({len(common[o])} seeds)" for o, (theirs, mine) in
                       sorted(pairs.items(), key=lambda x: x[1]))
    row("conditional space: best value", f"{value(ours, range(MOST_SEEDS)):.4f}", values, "", "no worse than any",
        all(mine <= theirs for theirs, mine in pairs.values()))


def put_schedulers():
    """Epochs until a scheduler had what 100 full trainings give, over the shuffles of the half that decides."""
    means = {}
    for path in sorted((HERE / "curves" / "schedulers").glob("*.csv")):
        runs = [run for (half, _), run in schedulers.load(path).items() if half == "decide"]
        if runs:
            means[path.stem] = schedulers.summary(runs)
    ours = [o for o in means if o.startswith("athanor")]
    full = schedulers.TRIALS * schedulers.EPOCHS
    title = f"early stopping: epochs to the best of {schedulers.TRIALS} full trainings ({full} epochs), {schedulers.SHUFFLES} shuffles"
    text = ", ".join(f"{o} {m:.0f} (reached in {100 * f:.0f} %)" for o, (m, f, _) in
                     sorted(means.items(), key=lambda x: x[1]) if o not in ours)
    if not ours:
        row(title, "", text, "not run", "under a quarter, fewer than Optuna's", "no")
    for o in ours:
        mean, found, _ = means[o]
        row(title, f"{o} {mean:.0f} (reached in {100 * found:.0f} %)", text, f"{mean / full:.2f} of it",
            "under a quarter, fewer than Optuna's",
            mean < full / 4 and all(mean < m for p, (m, _, _) in means.items() if p not in ours))


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
    reference = {n: problems.problem("multi", n, 0).reference for n in problems.MULTI}
    put_ranks("ZDT and DTLZ, 200 evaluations: hypervolume", "multi", problems.MULTI, ours,
              compared=("random", "optuna-tpe", "optuna-nsga2", "optuna-gp"),
              score=lambda observations, name: -hypervolume([v for v in observations if v], reference[name]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="athanor:auto")
    ours = parser.parse_args().ours.replace(":", "-")
    put_tables("tables that decide (7), 60 evaluations", problems.DECIDE, ours)
    put_tables("tables of the development (8), 60 evaluations", problems.DEVELOP, ours, False)
    put_ranks("BBOB, 8 functions, 5-D, 100 evaluations", "bbob", problems.SUITES["bbob"][0], ours)
    put_ranks("bbob-mixint, 8 functions, 5-D, 100 evaluations", "mixint", problems.SUITES["mixint"][0], ours)
    put_conditional(ours)
    put_schedulers()
    put_pending(ours)
    put_multi(ours)
    print("| what | Athanor | the others | figure | at least | reached |\n|---|---|---|---|---|---|")
    for r in rows:
        print("| " + " | ".join(map(str, r)) + " |")


if __name__ == "__main__":
    main()
