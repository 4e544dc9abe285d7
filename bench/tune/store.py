#!/usr/bin/env python3
"""How fast the study store is: trials that are on the disk when they are told, a large study opened, many drivers at once.

    store.py [--folder F]      F: where the studies lie; a real disk, or the figures say nothing (default: the build folder)

Everything goes through the program: trials through ask-tell, as any other program would, opening through `athanor best`."""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ATHANOR = os.environ.get("ATHANOR", str(ROOT / "build" / "athanor"))
SPACE = {"space": {f"x{k}": {"!float": {"min": 0, "max": 1}} for k in range(5)},
         "objective": {"metric": "y", "direction": "min"}, "sampler": "random", "max_trials": 1000000, "name": "bench"}


class Server:
    """One ask-tell process on a study."""

    def __init__(self, folder, study, **more):
        path = folder / f"space-{threading.get_ident()}-{time.monotonic_ns()}.json"
        path.write_text(json.dumps({**SPACE, **more}))
        self.process = subprocess.Popen([ATHANOR, "ask-tell", str(path), "--study", str(study)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def bare(folder, n):
    """Commits a second of a loop that does nothing else: five rows a commit, synchronous=FULL."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(a, b)")
    begin = time.perf_counter()
    for i in range(n):
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO t VALUES(?, ?)", [(i, k) for k in range(5)])
        db.execute("COMMIT")
    return n / (time.perf_counter() - begin)


def durable(folder, n, name):
    server = Server(folder, folder / name)
    begin = time.perf_counter()
    for _ in range(n):
        trial = server.call(op="ask")["trial"]
        server.call(op="tell", trial=trial, values={"y": 0.5})
    seconds = time.perf_counter() - begin
    server.close()
    return n / seconds


def one_by_one(folder):
    """In turn, three rounds each; the median of the ratios."""
    rounds = []
    for k in range(3):
        ours, theirs = durable(folder, 300, f"one{k}.db"), bare(folder, 300)
        os.unlink(folder / "bare.db")
        rounds.append((ours / theirs, ours, theirs))
    ratio, ours, theirs = sorted(rounds)[1]
    return ("durable trials on SQLite, one by one, through ask-tell", f"{ours:.0f}/s", f"bare commits {theirs:.0f}/s",
            f"{100 * ratio:.0f} %", "80 %", ratio >= 0.8)


def large(folder, trials=28000, parameters=10):
    """The tables are filled directly; what is timed is a fresh process that reads all of them."""
    space = {f"x{k}": {"!float": {"min": 0, "max": 1}} for k in range(parameters)}
    study = folder / "large.db"
    server = Server(folder, study, space=space)
    server.call(op="tell", trial=server.call(op="ask")["trial"], values={"y": 2.0})
    server.close()
    db = sqlite3.connect(study)
    [(study_id,)] = db.execute("SELECT study_id FROM studies")
    [(distribution,)] = db.execute("SELECT distribution_json FROM trial_params WHERE param_name='x0'")
    for n in range(1, trials):
        at = "2026-01-01 00:00:00.000000"
        trial = db.execute("INSERT INTO trials(number, study_id, state, datetime_start, datetime_complete) "
                           "VALUES(?, ?, 'COMPLETE', ?, ?)", (n, study_id, at, at)).lastrowid
        db.executemany("INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES(?,?,?,?)",
                       [(trial, f"x{k}", (n * (k + 7)) % 1009 / 1009, distribution) for k in range(parameters)])
        db.execute("INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?, 0, ?, 'FINITE')",
                   (trial, 1 + n / trials))
        db.execute("INSERT INTO athanor_trials(trial_id, seen, finished) VALUES(?, ?, ?)", (trial, n, n + 1))
    db.commit()
    db.close()
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([ATHANOR, "best", str(study), "--json"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    seconds = sorted(times)[1]
    return (f"a study of {trials} trials of {parameters} parameters opened", f"{seconds:.2f} s", "", f"{seconds:.2f} s",
            "0.5 s", seconds < 0.5)


def many(folder, drivers=8, trials=2000):
    """Each driver asks, works a millisecond, tells, until the study has its trials."""
    study, errors = folder / "many.db", []

    def drive():
        try:
            server = Server(folder, study, max_trials=trials)
            while True:
                answer = server.call(op="ask")
                if "trial" in answer:
                    time.sleep(0.001)
                    server.call(op="tell", trial=answer["trial"], values={"y": 0.5})
                elif "done" in answer:
                    break
                else:
                    time.sleep(0.01)
            server.close()
        except Exception as e:  # noqa: BLE001: any of them is what is looked for
            errors.append(str(e))

    begin = time.perf_counter()
    threads = [threading.Thread(target=drive) for _ in range(drivers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rate = trials / (time.perf_counter() - begin)
    db = sqlite3.connect(study)
    [(complete, numbers)] = db.execute("SELECT SUM(state='COMPLETE'), COUNT(DISTINCT number) FROM trials")
    whole = complete == trials and numbers == trials and not errors
    return (f"{drivers} drivers, {trials} trials of 1 ms on one SQLite file", f"{rate:.0f}/s", "",
            f"{complete} complete, {len(errors)} errors" + (f" ({errors[0][:80]})" if errors else ""),
            "300/s, none lost", whole and rate >= 300)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=str(ROOT / "build"))
    o = parser.parse_args()
    print("| what | Athanor | the other side | figure | at least | reached |\n|---|---|---|---|---|---|")
    for measure in (one_by_one, large, many):
        with tempfile.TemporaryDirectory(dir=o.folder, prefix="bench-store-") as folder:
            row = measure(Path(folder))
        print("| " + " | ".join(map(str, row[:-1])) + f" | {'yes' if row[-1] else 'no'} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
