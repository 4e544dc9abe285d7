"""Does Optuna see the study that Athanor wrote, and can it go on with it?

    optuna_roundtrip.py STUDY.DB DUMP.JSON [--study NAME] [--trials N] [--dashboard] [--importance]

DUMP.JSON: {"trials": [{"number", "state", "params", "values", "intermediate": {"1": value}}]}; null is NaN, and a
choice that is a list is the JSON text of it in Optuna. Every trial is compared both ways; then N (10) trials are
added by Optuna's TPE sampler. Prints one JSON object; exit status 1 and its "differences" when something differs."""
import argparse
import io
import json
import math
import sys

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

STATES = {"FAILED": "FAIL", "PAUSED": "RUNNING", "COMPLETED": "COMPLETE"}


def same(a, b):
    a, b = (math.nan if v is None else v for v in (a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool):
        return a == b or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


def same_choice(theirs, ours):
    if isinstance(ours, (list, dict)):
        return isinstance(theirs, str) and json.loads(theirs) == ours
    return theirs is ours is None or (theirs is not None and ours is not None and same(theirs, ours))


def same_map(theirs, ours, equal):
    return theirs.keys() == ours.keys() and all(equal(theirs[k], ours[k]) for k in ours)


def compare(trials, dump):
    """One sentence for each difference."""
    found = {t.number: t for t in trials}
    wrong = [f"trial {n}: in Optuna only" for n in found.keys() - {t["number"] for t in dump}]
    for ours in dump:
        t = found.get(ours["number"])
        if t is None:
            wrong.append(f"trial {ours['number']}: missing in Optuna")
            continue
        state = ours["state"].upper()
        intermediate = {int(k): v for k, v in (ours.get("intermediate") or {}).items()}
        values, their_values = ours.get("values") or [], t.values or []
        checks = [
            ("state", t.state.name, ours["state"], t.state.name == STATES.get(state, state)),
            ("params", t.params, ours["params"], same_map(t.params, ours["params"], same_choice)),
            ("values", their_values, values,
             len(values) == len(their_values) and all(map(same, their_values, values))),
            ("intermediate values", t.intermediate_values, intermediate,
             same_map(t.intermediate_values, intermediate, same)),
        ]
        wrong += [f"trial {t.number}: {what}: Optuna has {a}, the dump {b}" for what, a, b, good in checks if not good]
    return wrong


def add_trials(study, n):
    """TPE over what every trial has; what else a trial has is asked for where its choices are the same."""
    done = [t for t in study.get_trials(deepcopy=False) if t.distributions]
    common = {k: d for k, d in done[0].distributions.items() if all(k in t.distributions for t in done)}

    def objective(trial):
        taken = {k: ask(trial, k, d) for k, d in common.items()}
        choices = [k for k, d in common.items() if isinstance(d, CategoricalDistribution)]
        for like in done:
            if all(like.params[k] == taken[k] for k in choices):
                taken.update({k: ask(trial, k, d) for k, d in like.distributions.items() if k not in common})
                break
        value = sum(v for v in taken.values() if isinstance(v, float)) / (1 + len(taken))
        trial.report(value, 1)
        return [value] * len(study.directions)

    study.optimize(objective, n_trials=n)


def ask(trial, name, d):
    if isinstance(d, CategoricalDistribution):
        return trial.suggest_categorical(name, d.choices)
    whole = isinstance(d, optuna.distributions.IntDistribution)
    return (trial.suggest_int if whole else trial.suggest_float)(name, d.low, d.high, step=d.step, log=d.log)


def dashboard_trials(storage, study_id):
    """What optuna-dashboard's server answers about the study, without a socket."""
    import optuna_dashboard

    status = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/api/studies/{study_id}", "QUERY_STRING": "after=0",
               "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
               "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "HTTP_ACCEPT": "application/json"}
    body = b"".join(optuna_dashboard.wsgi(storage)(environ, lambda s, headers, *_: status.append(s)))
    if not status[0].startswith("200"):
        raise SystemExit(f"optuna-dashboard answered {status[0]}: {body[:200]!r}")
    return json.loads(body)["trials"]


def unimportant(study):
    """What keeps Optuna from saying which parameters matter."""
    found = {}
    for t in study.get_trials():
        for name, d in t.distributions.items():
            found.setdefault(name, set()).add(repr(d))
    wrong = [f"{name} has several distributions: {sorted(d)}" for name, d in found.items() if len(d) > 1]
    importances = optuna.importance.get_param_importances(study)
    common = {name for name in found if all(name in t.params for t in study.get_trials() if t.params)}
    return wrong + [f"{name} has no importance" for name in common - importances.keys()]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("database")
    args.add_argument("dump")
    args.add_argument("--study")
    args.add_argument("--trials", type=int, default=10)
    args.add_argument("--dashboard", action="store_true")
    args.add_argument("--importance", action="store_true")
    args = args.parse_args()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = args.database if "://" in args.database else f"sqlite:///{args.database}"
    url = url.replace("postgresql://", "postgresql+psycopg2://")  # which driver, else SQLAlchemy's version decides
    study = optuna.load_study(study_name=args.study, storage=url, sampler=optuna.samplers.TPESampler(seed=1))
    with open(args.dump) as f:
        dump = json.load(f)["trials"]
    before = study.get_trials()
    wrong = compare(before, dump)
    if args.dashboard:
        shown = dashboard_trials(study._storage, study._study_id)
        if [(t["number"], t["state"].upper()) for t in shown] != [(t.number, t.state.name.upper()) for t in before]:
            wrong.append(f"optuna-dashboard shows {len(shown)} trials that are not the {len(before)} of Optuna")
    if not wrong and args.trials:
        add_trials(study, args.trials)
    after = study.get_trials()
    if [t.number for t in after] != list(range(len(after))):
        wrong.append("trial numbers do not run from 0 upward")
    if args.importance:
        wrong += unimportant(study)
    best = study.best_trial.number if len(study.directions) == 1 and any(
        t.state == TrialState.COMPLETE for t in after) else None
    print(json.dumps({"optuna": optuna.__version__, "study": study.study_name, "before": len(before),
                      "added": len(after) - len(before), "after": len(after), "best": best,
                      "directions": [d.name for d in study.directions], "differences": wrong}))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
