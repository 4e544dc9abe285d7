"""What Optuna says of importances: importance.json, studies of random trials with PED-ANOVA's figures (not scaled to a
sum of 1) and those of its fANOVA. Run with the Python of .venv-bench, which has Optuna and scikit-learn."""
import json
import math
import warnings
from pathlib import Path

import optuna
import sklearn
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def plain(trial):
    x = trial.suggest_float("x", -3, 5)
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    n = trial.suggest_int("n", 1, 9)
    units = trial.suggest_int("units", 16, 512, step=16)
    wide = trial.suggest_int("wide", 2, 4096, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    trial.suggest_float("grid", 0, 1, step=0.25)
    trial.suggest_categorical("only", ["one"])
    return (x - 1) ** 2 + 2 * abs(math.log10(lr) + 3) + 0.1 * n + units / 400 + math.log(wide) / 9 + (kind == "b")


def conditional(trial):
    kind = trial.suggest_categorical("kind", ["adam", "sgd", "rare"])
    lr = trial.suggest_float("lr", 1e-4, 1, log=True)
    y = abs(math.log10(lr) + 2)
    if kind == "sgd":
        y += 3 * (trial.suggest_float("momentum", 0, 1) - 0.7) ** 2
    if kind == "adam":
        y += 0.4 * trial.suggest_float("beta", 0, 1) + 0.2 * trial.suggest_int("slots", 1, 3)
    return y if trial.number % 9 else float("inf")  # what is not finite does not count


def ties(trial):
    a, b = trial.suggest_int("a", 0, 3), trial.suggest_int("b", 0, 200)
    return float(a + (b > 150))


def two(trial):
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    return x + 0.1 * y, y * y


def describe(distribution):
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return {"type": "choice", "choices": list(distribution.choices)}
    kind = "int" if isinstance(distribution, optuna.distributions.IntDistribution) else "float"
    step = 0 if distribution.log or distribution.step is None else distribution.step
    return {"type": kind, "min": distribution.low, "max": distribution.high, "step": step, "log": distribution.log}


def place(distribution, value):
    return distribution.to_internal_repr(value)


def case(name, objective, directions, trials, seed):
    study = optuna.create_study(directions=directions, sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    distributions = {}
    for t in study.trials:
        distributions.update(t.distributions)
    out = {"name": name, "maximize": [d == "maximize" for d in directions],
           "params": [{"name": n, **describe(d)} for n, d in distributions.items()],
           "trials": [{"values": ["inf" if math.isinf(v) else v for v in t.values],
                       "point": [place(d, t.params[n]) if n in t.params else None for n, d in distributions.items()]}
                      for t in study.trials],
           "ped_anova": [], "fanova": []}
    for k, direction in enumerate(directions):
        sign = -1 if direction == "maximize" else 1
        target = (lambda t, k=k, sign=sign: sign * t.values[k]) if len(directions) > 1 else None
        out["ped_anova"].append(PedAnovaImportanceEvaluator().evaluate(study, target=target))
        if name in ("plain", "two"):  # it judges parameters that all trials have
            shares = FanovaImportanceEvaluator(seed=0).evaluate(study, target=target)
            out["fanova"].append({n: round(float(v), 3) for n, v in shares.items()})
    return out


CASES = [case("plain", plain, ["minimize"], 150, 1), case("few", plain, ["minimize"], 12, 2),
         case("conditional", conditional, ["minimize"], 90, 3), case("maximized", conditional, ["maximize"], 60, 4),
         case("ties", ties, ["maximize"], 80, 5), case("two", two, ["minimize", "maximize"], 70, 6)]
VERSIONS = {"optuna": optuna.__version__, "scikit-learn": sklearn.__version__}
text = ",\n".join(json.dumps(c) for c in CASES)
Path(__file__).with_name("importance.json").write_text(
    f'{{"versions": {json.dumps(VERSIONS)}, "cases": [\n{text}\n]}}\n')
