"""What Optuna and KerasTuner leave behind, and what they themselves say stands in it: golden inputs of `athanor import`.

    make_import.py optuna     writes import/optuna.journal and import/optuna.json    (Optuna 5)
    make_import.py keras      writes import/keras/ and import/keras.json             (KerasTuner 1.4, any Keras 3 backend)"""
import json
import math
import os
import pathlib
import random
import re
import shutil
import sys

HERE = pathlib.Path(__file__).parent / "import"


def plain(v):
    """Numbers that JSON has not, as Athanor writes them."""
    if isinstance(v, float) and not math.isfinite(v):
        return "nan" if math.isnan(v) else "inf" if v > 0 else "-inf"
    return v


def make_optuna():
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = HERE / "optuna.journal"
    path.unlink(missing_ok=True)
    storage = JournalStorage(JournalFileBackend(str(path)))

    def one(trial):
        x = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        n = trial.suggest_int("units", 16, 64, step=16)
        o = trial.suggest_categorical("optimizer", ["adam", "sgd", None, 3, 0.5, True])
        if o in ("sgd", 3):
            trial.suggest_float("momentum", 0, 0.9)
        for step in range(3):
            trial.report(math.nan if trial.number == 1 and step == 1 else x * step, step)
            if trial.number == 2 and step == 1:
                raise optuna.TrialPruned()
        if trial.number == 3:
            raise RuntimeError('no "luck"\nat all')
        trial.set_user_attr("note", "a\tb \"c\"")
        return math.inf if trial.number == 4 else x * n

    def two(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("sum", x + y - 1.5)
        return x, y

    study = optuna.create_study(study_name="one", storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_metric_names(["loss"])
    study.enqueue_trial({"lr": 0.001})
    study.optimize(one, n_trials=7, catch=(RuntimeError,))
    study.ask()
    study.enqueue_trial({"lr": 0.01})
    optuna.create_study(study_name="gone", storage=storage).ask()
    optuna.delete_study(study_name="gone", storage=storage)
    optuna.create_study(study_name="two", storage=storage, directions=["minimize", "maximize"],
                        sampler=optuna.samplers.RandomSampler(seed=2)).optimize(two, n_trials=4)
    optuna.copy_study(from_study_name="one", from_storage=storage, to_storage=storage, to_study_name="copy")
    said = {}
    for name in ("one", "two", "copy"):
        said[name] = [{"state": t.state.name, "params": t.params, "values": [plain(v) for v in t.values or []],
                       "steps": {str(k): plain(v) for k, v in sorted(t.intermediate_values.items())},
                       "started": t.datetime_start and t.datetime_start.timestamp()}
                      for t in optuna.load_study(study_name=name, storage=storage).trials]
    (HERE / "optuna.json").write_text(json.dumps({"version": optuna.__version__, "studies": said}, indent=1) + "\n")


def make_keras():
    import keras_tuner

    random.seed(1)
    folder = HERE / "keras"
    shutil.rmtree(folder, ignore_errors=True)

    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial):
            hp = trial.hyperparameters
            units, rate = hp.Int("units", 16, 70, step=16), hp.Float("lr", 1e-4, 1e-1, sampling="log")
            hp.Float("dropout", 0, 0.5, step=0.1)
            hp.Boolean("bn")
            optimizer = hp.Choice("optimizer", ["adam", "sgd"])
            hp.Choice("width", [1.5, 2.5], ordered=True)
            hp.Fixed("classes", 10)
            hp.Int("filters", 8, 64, step=2, sampling="log")
            with hp.conditional_scope("optimizer", ["sgd"]):
                if optimizer == "sgd":
                    hp.Float("momentum", 0.0, 0.9)
            if trial.trial_id == "2":
                raise keras_tuner.errors.FailedTrialError("no luck")
            for epoch in range(3):
                self.oracle.update_trial(trial.trial_id, {
                    "loss": 1 / (epoch + 1), "val_accuracy": 1 - abs(units - 32) / 100 - rate * (5 - epoch)}, step=epoch)

    oracle = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=6,
                                                    seed=3)
    Tuner(oracle=oracle, directory=str(HERE), project_name="keras").search()
    trials = [oracle.trials[i] for i in oracle.start_order]
    said = [{"status": t.status, "score": t.score,
             "params": {p.name: t.hyperparameters.values[p.name] for p in t.hyperparameters.space
                        if t.hyperparameters.is_active(p)}} for t in trials]
    (HERE / "keras.json").write_text(json.dumps({"version": keras_tuner.__version__, "trials": said}, indent=1) + "\n")
    os.remove(folder / "tuner0.json")
    for path in folder.glob("trial_*/trial.json"):  # folders of this machine in a traceback say nothing
        path.write_text(re.sub(r'File \\"[^"]*/', r'File \\"', path.read_text()))


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    {"optuna": make_optuna, "keras": make_keras}[sys.argv[1]]()
