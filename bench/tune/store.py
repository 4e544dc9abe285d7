#!/usr/bin/env python3
"""How fast the study store is: trials that are on the disk when they are told, a large study opened, many drivers at once.

    store.py [--folder F]      F: where the studies lie; a real disk, or the figures say nothing (default: the build folder)

Durable trials are measured in one process (durable.c), a bare SQLite loop of the same rows and commits in turn with them;
all else goes through the program: trials through ask-tell, as any other program would, opening through `athanor best`. The
PostgreSQL server is one that tests/tune/with_postgres.sh starts, with fsync on."""
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


def in_process(folder, trials, group):
    return json.loads(subprocess.run([ROOT / "build/bench/bench_durable", folder, str(trials), str(group)], check=True,
                                     stdout=subprocess.PIPE).stdout)


def one_by_one(folder):
    found = in_process(folder, 300, 1)
    return ("durable trials on SQLite, one by one", f"{found['athanor']:.0f}/s", f"bare commits {found['bare']:.0f}/s",
            f"{100 * found['ratio']:.0f} %", "80 %", found["ratio"] >= 0.8)


def in_groups(folder):
    found = in_process(folder, 4000, 100)
    return ("durable trials on SQLite, 100 a commit", f"{found['athanor']:.0f}/s", f"bare commits {found['bare']:.0f}/s",
            f"{found['athanor']:.0f}/s", "5000/s", found["athanor"] >= 5000)


def asked_and_told(folder, trials, group):
    """Trials a second through a pipe and JSON."""
    server = Server(folder, folder / f"asked{group}.db")
    begin = time.perf_counter()
    for _ in range(0, trials, group):
        if group == 1:
            server.call(op="tell", trial=server.call(op="ask")["trial"], values={"y": 0.5})
        else:
            asked = server.call(op="ask", n=group)["trials"]
            server.call(op="tell", trials=[{"trial": t["trial"], "values": {"y": 0.5}} for t in asked])
    seconds = time.perf_counter() - begin
    server.close()
    return trials / seconds


def ask_tell(folder):
    rates = [asked_and_told(folder, n, group) for n, group in ((300, 1), (2000, 100))]
    return ("the same through ask-tell: one by one, in groups", f"{rates[0]:.0f}/s, {rates[1]:.0f}/s", "", "", "", None)


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


def drive(folder, study, trials, errors):
    """Asks, works a millisecond, tells, until the study has its trials."""
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


def many(folder, study, where, drivers=8, trials=2000):
    errors = []
    begin = time.perf_counter()
    threads = [threading.Thread(target=drive, args=(folder, study, trials, errors)) for _ in range(drivers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rate = trials / (time.perf_counter() - begin)
    found = json.loads(subprocess.run([ATHANOR, "export", str(study), "--format", "json"], check=True,
                                      stdout=subprocess.PIPE).stdout)["trials"]
    complete = sum(t["state"] == "complete" for t in found)
    whole = complete == trials and {t["trial"] for t in found} == set(range(trials)) and not errors
    return (f"{drivers} drivers, {trials} trials of 1 ms on {where}", f"{rate:.0f}/s", "",
            f"{complete} complete, {len(errors)} errors" + (f" ({errors[0][:80]})" if errors else ""),
            "300/s, none lost", whole and rate >= 300)


def many_on_sqlite(folder):
    return many(folder, folder / "many.db", "one SQLite file")


def many_on_postgres(folder):
    """This program once more, below a server that goes when it ends."""
    url = os.environ.get("ATHANOR_TEST_POSTGRES")
    if url:
        return many(folder, url, "PostgreSQL")
    done = subprocess.run([ROOT / "tests/tune/with_postgres.sh", sys.executable, __file__, "--folder", folder, "--only",
                           "many_on_postgres", "--json"], check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "ATHANOR_TEST_FSYNC": "on"})
    return json.loads(done.stdout.splitlines()[-1])


MEASURES = (one_by_one, in_groups, ask_tell, large, many_on_sqlite, many_on_postgres)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=str(ROOT / "build"))
    parser.add_argument("--only", choices=[m.__name__ for m in MEASURES], help="one row")
    parser.add_argument("--json", action="store_true", help="rows as JSON lists")
    o = parser.parse_args()
    subprocess.run(["ninja", "-C", str(ROOT / "build"), "--quiet", "bench/bench_durable"], check=True)
    if not o.json:
        print("| what | Athanor | the other side | figure | at least | reached |\n|---|---|---|---|---|---|")
    for measure in MEASURES:
        if o.only not in (None, measure.__name__):
            continue
        with tempfile.TemporaryDirectory(dir=o.folder, prefix="bench-store-") as folder:
            row = measure(Path(folder))
        reached = {True: "yes", False: "no", None: ""}[row[-1]]
        print(json.dumps(row) if o.json else "| " + " | ".join(map(str, row[:-1])) + f" | {reached} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
