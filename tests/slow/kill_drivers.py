#!/usr/bin/env python3
"""kill -9 of runners, of commands and of workers in loops: no trial is lost or counted twice, and where the order of
suggestions is fixed the study is the one that nobody killed anything of. Then eight workers on one file.
Usage: kill_drivers.py ATHANOR OBJECTIVE KILLS TRIALS [SEED]"""
import os
import pathlib
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

import killing

ATHANOR, OBJECTIVE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
KILLS, TRIALS = int(sys.argv[3]), int(sys.argv[4])
SEED = int(sys.argv[5]) if len(sys.argv) > 5 else 1

SPACE = "space: {x: !float {min: 0, max: 1}, n: !int {min: 0, max: 3}}\nobjective: loss\nsampler: random\nseed: 3\n"


class Drivers(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-drivers-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        (self.folder / "space.yaml").write_text(SPACE)
        self.random = random.Random(SEED)

    def tune(self, folder, trials, *more):
        return [ATHANOR, "tune", "space.yaml", "--dir", folder, "--set", f"max_trials={trials}", *more, "--", OBJECTIVE,
                "{args}"]

    def start(self, command):
        return killing.start(self, command, self.folder)

    def call(self, command):
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def rows(self, folder, query):
        with sqlite3.connect(f"file:{self.folder / folder}/study.db?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    def study(self, folder):
        """What must be the same, whatever was killed: trials, points, reports, values."""
        params = "select number, param_name, param_value from trial_params join trials using(trial_id) order by 1, 2"
        reports = "select number, step, intermediate_value from trial_intermediate_values join trials using(trial_id) order by 1, 2"
        return (self.rows(folder, "select number, state, value from trials left join trial_values using(trial_id) order by 1"),
                self.rows(folder, params), self.rows(folder, reports))

    def check(self, folder, trials):
        """Each trial is there once, ended well, and is worth what its point is."""
        numbers, params, reports = self.study(folder)
        self.assertEqual([n for n, _, _ in numbers], list(range(trials)))
        self.assertEqual({state for _, state, _ in numbers}, {"COMPLETE"})
        point = {}
        for number, name, value in params:
            point.setdefault(number, {})[name] = value
        for number, _, value in numbers:
            x, n = point[number]["x"], point[number]["n"]
            self.assertAlmostEqual(value, (x - 0.5) ** 2 + n + 1 / 3)
        self.assertEqual([(n, s) for n, s, _ in reports], [(n, s) for n in range(trials) for s in (1, 2, 3)])
        self.assertEqual(self.rows(folder, "select * from athanor_leases"), [])

    def test_runners_and_commands_are_killed(self):
        self.call(self.tune("alone", 40, "--jobs", "2", "--set", "deterministic=true"))
        alone, kills, rounds = self.study("alone"), 0, 0
        while kills < KILLS:
            folder, command = f"killed{rounds}", None
            rounds += 1
            while True:
                process = self.start(self.tune(folder, 40, "--jobs", "2", "--set", "deterministic=true"))
                if killing.ends_within(process, 0.01 + self.random.random() * 0.08):
                    break
                for pid in killing.children_of(process.pid):  # a command alone is lost, and tried again
                    if self.random.random() < 0.3:
                        killing.kill(pid)
                if self.random.random() < 0.8:
                    killing.kill(process.pid)
                    process.wait()
                    kills += 1
                else:
                    process.communicate()
                    break
            self.assertEqual(process.returncode, 0)
            self.assertEqual(alone, self.study(folder))
        self.check("alone", 40)
        print(f"{kills} kills of runners in {rounds} rounds", flush=True)

    def kill_workers(self, folder, trials, most, *settings):
        """Workers come and go at random on one study while the search runs; leases of the dead run out. How many were
        killed."""
        slow = ["sh", "-c", "sleep 0.02; exec " + OBJECTIVE + " \"$@\"", "sh", "{args}"]
        search, workers, kills = self.start(self.tune(folder, trials, *settings)[:-2] + slow), [], 0
        killing.wait_until((self.folder / folder / "trials").exists)
        end = time.monotonic() + 120
        while search.poll() is None and time.monotonic() < end:
            if len(workers) < 3:
                workers.append(self.start([ATHANOR, "worker", folder]))
            time.sleep(self.random.random() * 0.05)
            if self.random.random() < 0.2 and kills < most:
                victim = workers.pop(self.random.randrange(len(workers)))
                killing.kill(victim.pid)
                victim.wait()
                kills += 1
        self.assertEqual(search.wait(), 0, search.stderr.read())
        for worker in workers:
            self.assertEqual(worker.wait(), 0, worker.stderr.read())
        self.check(folder, trials)
        return kills

    def test_workers_are_killed(self):
        """In a fixed order, where each of the dead is waited for."""
        ordered = ("--set", "deterministic=true", "--set", "jobs=4")
        self.call(self.tune("alone", 60, *ordered))
        self.kill_workers("killed", 60, 12, *ordered)
        self.assertEqual(self.study("alone"), self.study("killed"))

    def test_many_workers_are_killed(self):
        kills, rounds = 0, 0
        while kills < KILLS:
            kills += self.kill_workers(f"workers{rounds}", 200, KILLS - kills, "--set", "jobs=2")
            rounds += 1
        print(f"{kills} kills of workers in {rounds} rounds", flush=True)

    def test_eight_workers_on_one_file(self):
        first = self.start(self.tune("many", TRIALS))
        killing.wait_until((self.folder / "many/trials").exists)
        begin = time.monotonic()
        workers = [first] + [self.start([ATHANOR, "worker", "many"]) for _ in range(7)]
        for worker in workers:
            said = worker.communicate()[1]
            self.assertEqual(worker.returncode, 0, said)
            self.assertNotIn("cannot be reached", said)
        print(f"{TRIALS} trials, 8 drivers, commands: {TRIALS / (time.monotonic() - begin):.0f} trials/s", flush=True)
        self.check("many", TRIALS)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], verbosity=2)
