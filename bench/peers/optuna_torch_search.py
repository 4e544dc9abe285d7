"""The 8-configuration search by Optuna and a hand-written PyTorch loop; prints one JSON object.

With --jobs N the trials are shared by N processes over one SQLite study, as Optuna's manual advises."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--threads", type=int, default=1, help="of PyTorch, in each process")
ARGS.add_argument("--jobs", type=int, default=1)
ARGS.add_argument("--epochs", type=int, default=5)
ARGS.add_argument("--samples", type=int, default=60000, help="the last sixth of these validates")
ARGS.add_argument("--worker", metavar="URL", help=argparse.SUPPRESS)
ARGS = ARGS.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(ARGS.threads)

start = time.perf_counter()
import optuna
if ARGS.worker or ARGS.jobs == 1:
    import torch
    from torch import nn
    import torch.nn.functional as F
IMPORT_SECONDS = time.perf_counter() - start

from common import OPTIMIZERS, UNITS, fashion, peak_mb, process_seconds

BATCH = 128


def data():
    x, y = fashion()
    x = torch.from_numpy(x[:ARGS.samples].astype("float32") / 255)
    y = torch.from_numpy(y[:ARGS.samples].astype("int64"))
    n = ARGS.samples * 5 // 6
    return (x[:n], y[:n]), (x[n:], y[n:])


def objective(trial, train, validation):
    """The best epoch's validation accuracy, as KerasTuner takes it."""
    units = trial.suggest_categorical("units", UNITS)
    net = nn.Sequential(nn.Linear(784, units), nn.ReLU(), nn.Linear(units, 10))
    kind = torch.optim.RMSprop if trial.suggest_categorical("optimizer", OPTIMIZERS) == "rmsprop" else torch.optim.Adam
    optimizer, best = kind(net.parameters(), 1e-3), 0.0
    for epoch in range(ARGS.epochs):
        for rows in torch.randperm(len(train[0])).split(BATCH):
            loss = F.cross_entropy(net(train[0][rows]), train[1][rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            accuracy = (net(validation[0]).argmax(1) == validation[1]).float().mean().item()
        trial.report(accuracy, epoch + 1)
        best = max(best, accuracy)
    return best


def work(study):
    """Take enqueued configurations until none is left."""
    torch.set_num_threads(ARGS.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    train, validation = data()
    while any(t.state == optuna.trial.TrialState.WAITING for t in study.get_trials(deepcopy=False)):
        trial = study.ask()
        if trial.number >= len(UNITS) * len(OPTIMIZERS):  # another process took the last one meanwhile
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            break
        study.tell(trial, objective(trial, train, validation))


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if ARGS.worker:
        return work(optuna.load_study(study_name="search", storage=ARGS.worker))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db" if ARGS.jobs > 1 else None
        study = optuna.create_study(study_name="search", storage=url, direction="maximize")
        for units in UNITS:
            for optimizer in OPTIMIZERS:
                study.enqueue_trial({"units": units, "optimizer": optimizer})
        if ARGS.jobs == 1:
            work(study)
        else:
            command = [sys.executable, __file__, "--threads", str(ARGS.threads), "--epochs", str(ARGS.epochs),
                       "--samples", str(ARGS.samples), "--worker", url]
            workers = [subprocess.Popen(command) for _ in range(ARGS.jobs)]
            if any([w.wait() for w in workers]):
                raise SystemExit("optuna_torch_search.py: a worker failed")
        done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        best = study.best_trial
    print(json.dumps({"system": "optuna_torch", "configurations": len(done), "epochs": ARGS.epochs,
                      "threads": ARGS.threads, "jobs": ARGS.jobs, "import_seconds": round(IMPORT_SECONDS, 2),
                      "search_seconds": round(time.perf_counter() - begin, 2),
                      "total_seconds": round(process_seconds(), 2),
                      "peak_rss_mb": max(peak_mb(), peak_mb(children=True)),
                      "best_val_accuracy": round(best.value, 4), "best": best.params,
                      "versions": {"optuna": optuna.__version__}}))


if __name__ == "__main__":
    main()
