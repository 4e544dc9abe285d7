"""The optimisers that are compared, each as run(problem, record, seed, evaluations).

`record(params)` evaluates, keeps the curve and gives the values, or None where the program crashed; what a crash is told
as is what a user of that library would do: a failed trial where it knows one, else the worst value so far."""
import math
import os
import sys
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "clients" / "python"))


class Worst:
    """The value that stands for a crash."""

    def __init__(self):
        self.value = 1.0

    def of(self, values):
        if values is None:
            return self.value
        self.value = max(self.value, values[0])
        return values[0]


def random(problem, record, seed, evaluations):
    rng = np.random.default_rng([5, seed])
    for _ in range(evaluations):
        record(problem.sample(rng))


# ---- Optuna and Rustuna: define by run ---------------------------------------------------------------

def suggest(trial, problem):
    params = {}
    for p in problem.params:
        if not p.active(params):
            continue
        if p.kind == "cat":
            params[p.name] = trial.suggest_categorical(p.name, p.choices)
        elif p.kind == "int":
            params[p.name] = trial.suggest_int(p.name, p.low, p.high, log=p.log)
        else:
            params[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log)
    return params


def ask_tell(study, failed, problem, record, evaluations):
    for _ in range(evaluations):
        trial = study.ask()
        values = record(suggest(trial, problem))
        if values is None:
            study.tell(trial.number, state=failed)
        else:
            study.tell(trial.number, values if len(values) > 1 else values[0])


def optuna_with(make):
    def run(problem, record, seed, evaluations):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=make(optuna.samplers, seed), directions=["minimize"] * problem.objectives)
        ask_tell(study, optuna.trial.TrialState.FAIL, problem, record, evaluations)

    return run


def rustuna_with(make):
    def run(problem, record, seed, evaluations):
        import rustuna

        study = rustuna.create_study(sampler=make(rustuna.samplers, seed),
                                     directions=["minimize"] * problem.objectives)
        ask_tell(study, rustuna.trial.TrialState.FAIL, problem, record, evaluations)

    return run


# ---- HyperOpt ----------------------------------------------------------------------------------------

def hyperopt(problem, record, seed, evaluations):
    from hyperopt import STATUS_FAIL, STATUS_OK, fmin, hp, tpe

    def one(p):
        if p.kind == "cat":
            branches = [{"value": c, **{q.name: one(q) for q in problem.params if q.when == (p.name, c)}}
                        for c in p.choices]
            return hp.choice(p.name, branches)
        if p.kind == "float":
            return (hp.loguniform(p.name, math.log(p.low), math.log(p.high)) if p.log
                    else hp.uniform(p.name, p.low, p.high))
        if p.log:
            return hp.qloguniform(p.name, math.log(p.low), math.log(p.high), 1)
        return hp.uniformint(p.name, p.low, p.high)

    def flatten(point):
        params = {}
        for key, v in point.items():
            if isinstance(v, dict):
                params[key] = v["value"]
                params.update({k: w for k, w in v.items() if k != "value"})
            else:
                params[key] = v
        ints = {p.name: p for p in problem.params if p.kind == "int"}
        return {k: min(max(int(v), ints[k].low), ints[k].high) if k in ints else v for k, v in params.items()}

    def objective(point):
        values = record(flatten(point))
        return {"status": STATUS_FAIL} if values is None else {"status": STATUS_OK, "loss": values[0]}

    fmin(objective, {p.name: one(p) for p in problem.params if p.when is None}, algo=tpe.suggest,
         max_evals=evaluations, rstate=np.random.default_rng(seed), show_progressbar=False, verbose=False)


# ---- HEBO: no conditions, every parameter exists -----------------------------------------------------

def quicken_pymoo():
    """pip gives pymoo without its compiled half, and two of its loops in Python are most of HEBO's time. The same results
    with sets and matrices: which individuals equal a later one or one of `other`, and the fronts in the same order."""
    from pymoo.core.mixed import MixedVariableDuplicateElimination
    from pymoo.util.dominator import Dominator
    from pymoo.util.nds import fast_non_dominated_sort

    def mark(_self, pop, other, is_duplicate):
        def keys(individuals):
            return [tuple(one.X[name] for name in sorted(one.X)) for one in individuals]

        seen = set() if other is None else set(keys(other))
        for i, key in reversed(list(enumerate(keys(pop)))):
            is_duplicate[i] |= key in seen
            if other is None:
                seen.add(key)
        return is_duplicate

    def fronts(F, **_):
        dominates = Dominator.calc_domination_matrix(F) == 1
        above = dominates.sum(axis=0).tolist()
        below = [np.flatnonzero(row).tolist() for row in dominates]
        front, found = [i for i, n in enumerate(above) if n == 0], []
        while front:
            found.append(front)
            front = []
            for j in (j for i in found[-1] for j in below[i]):
                above[j] -= 1
                if above[j] == 0:
                    front.append(j)
        return found

    MixedVariableDuplicateElimination._do = mark
    fast_non_dominated_sort.fast_non_dominated_sort = fronts


def hebo(problem, record, seed, evaluations):
    warnings.simplefilter("ignore")
    import pandas  # noqa: F401
    import torch
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    quicken_pymoo()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)

    def one(p):
        if p.kind == "cat":
            return {"name": p.name, "type": "cat", "categories": p.choices}
        kind = {("int", False): "int", ("int", True): "pow_int", ("float", False): "num", ("float", True): "pow"}
        entry = {"name": p.name, "type": kind[p.kind, p.log], "lb": p.low, "ub": p.high}
        return {**entry, "base": 10} if p.log else entry

    optimiser = HEBO(DesignSpace().parse([one(p) for p in problem.params]), rand_sample=None, scramble_seed=seed)
    worst = Worst()
    for _ in range(evaluations):
        asked = optimiser.suggest(1)
        row, params = asked.iloc[0], {}
        for p in problem.params:
            if p.active(params):
                params[p.name] = int(row[p.name]) if p.kind == "int" else row[p.name]
        optimiser.observe(asked, np.array([[worst.of(record(params))]]))


# ---- SMAC 3 ------------------------------------------------------------------------------------------

def smac(problem, record, seed, evaluations):
    import tempfile

    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.enumerations import StatusType
    from smac.runhistory.dataclasses import TrialValue

    space, made = ConfigurationSpace(seed=seed), {}
    for p in problem.params:
        if p.kind == "cat":
            made[p.name] = Categorical(p.name, p.choices)
        else:
            made[p.name] = (Integer if p.kind == "int" else Float)(p.name, (p.low, p.high), log=p.log)
        space.add(made[p.name])
    for p in problem.params:
        if p.when:
            space.add(EqualsCondition(made[p.name], made[p.when[0]], p.when[1]))
    worst = Worst()
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, deterministic=True, n_trials=evaluations, seed=seed, output_directory=Path(folder))
        optimiser = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, overwrite=True,
                                                     logging_level=50)
        for _ in range(evaluations):
            trial = optimiser.ask()
            values = record({k: v.item() if hasattr(v, "item") else v for k, v in dict(trial.config).items()})
            status = StatusType.MEMORYOUT if values is None else StatusType.SUCCESS
            optimiser.tell(trial, TrialValue(cost=worst.of(values), status=status))


# ---- Athanor -----------------------------------------------------------------------------------------

def range_of(p, problem):
    if p.kind == "cat":
        inner = {c: {q.name: range_of(q, problem) for q in problem.params if q.when == (p.name, c)} for c in p.choices}
        return {"!choice": {"of": [{"as": c, "value": {c: inner[c]}} if inner[c] else c for c in p.choices],
                            "name": p.name}}
    entry = {"min": p.low, "max": p.high, "name": p.name}
    if p.log:
        entry["prior"] = "log"
    return {"!int" if p.kind == "int" else "!float": entry}


def athanor_with(sampler, batch=1):
    """sampler: what stands behind `sampler:`, such as auto or {"bayesian": {…}}."""
    def run(problem, record, seed, evaluations):
        import athanor

        names = ["y"] if problem.objectives == 1 else [f"y{k}" for k in range(problem.objectives)]
        objective = [{"metric": n, "direction": "min"} for n in names]
        space = {p.name: range_of(p, problem) for p in problem.params if p.when is None}
        program = os.environ.get("ATHANOR", str(ROOT / "build" / "athanor"))
        with athanor.Study(space, objective=objective[0] if len(names) == 1 else objective, sampler=sampler, seed=seed,
                           max_trials=evaluations, program=program) as study:
            left = evaluations
            while left > 0:
                trials = study.ask(min(batch, left))
                if not trials:
                    break
                for trial in trials:
                    values = record(dict(trial.params))
                    if values is None:
                        study.tell(trial, state="failed", reason="memory")
                    else:
                        study.tell(trial, dict(zip(names, values)))
                left -= len(trials)

    return run


PEERS = {
    "random": random,
    "rustuna-tpe": rustuna_with(lambda s, seed: s.TPESampler(seed=seed)),
    "optuna-tpe": optuna_with(lambda s, seed: s.TPESampler(seed=seed)),
    "hyperopt": hyperopt,
    "optuna-gp": optuna_with(lambda s, seed: s.GPSampler(seed=seed)),
    "optuna-nsga2": optuna_with(lambda s, seed: s.NSGAIISampler(seed=seed)),
    "smac": smac,
    "hebo": hebo,
}
ONE_OBJECTIVE = ("rustuna-tpe", "hyperopt", "hebo", "smac")
SEVERAL_ONLY = ("optuna-nsga2",)
