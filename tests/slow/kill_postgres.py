#!/usr/bin/env python3
"""Connections to a PostgreSQL server are killed in a loop, and the server is restarted, stopped and made to crash, while
several drivers work on one study: no trial is lost, counted twice or worth what it is not. Below with_postgres.sh.
Usage: kill_postgres.py ATHANOR OBJECTIVE KILLS [SEED]"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

import killing

ATHANOR, OBJECTIVE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
KILLS = int(sys.argv[3])
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1
URL, PG_CTL = os.environ["ATHANOR_TEST_POSTGRES"], os.environ["ATHANOR_TEST_PG_CTL"]
DRIVERS = 4

SPACE = "space: {x: !float {min: 0, max: 1}, n: !int {min: 0, max: 3}}\nobjective: loss\nsampler: random\nseed: 3\n"
KILL = """SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
          WHERE application_name='athanor' ORDER BY random() LIMIT 1) AS one"""


def sql(query):
    return subprocess.run(["psql", "-XAtq", URL, "-c", query], check=True, capture_output=True, text=True).stdout.strip()


def server(*words):
    subprocess.run([PG_CTL, *words], check=True)


class Connections(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-postgres-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.random = random.Random(SEED)

    def begin(self, name, trials):
        """A search and workers beside it on a study of its own."""
        (self.folder / "space.yaml").write_text(SPACE + f"name: {name}\n")
        tune = [ATHANOR, "tune", "space.yaml", "--study", URL + "?options=-csearch_path%3D" + name, "--dir", name,
                "--set", f"max_trials={trials}", "--", OBJECTIVE, "{args}"]
        sql(f"CREATE SCHEMA {name}")
        drivers = [killing.start(self, tune, self.folder)]
        killing.wait_until((self.folder / name / "trials").exists)
        worker = [ATHANOR, "worker", URL + "?options=-csearch_path%3D" + name]
        return drivers + [killing.start(self, [*worker, "--dir", f"{name}-{k}"], self.folder)
                          for k in range(1, DRIVERS)]

    def end(self, drivers):
        """What all of them said."""
        said = [d.communicate(timeout=300)[1] for d in drivers]
        for driver, words in zip(drivers, said):
            self.assertEqual(driver.returncode, 0, words)
        return said

    def check(self, name, trials, reports=True):
        """Each trial is there once, ended well, and is worth what its point is."""
        found = json.loads(sql(f"""SET search_path TO {name}; SELECT json_agg(json_build_array(number, state, value,
            (SELECT json_object_agg(param_name, param_value) FROM trial_params p WHERE p.trial_id=t.trial_id),
            (SELECT count(*) FROM trial_intermediate_values i WHERE i.trial_id=t.trial_id)) ORDER BY number)
            FROM trials t LEFT JOIN trial_values v ON v.trial_id=t.trial_id"""))
        self.assertEqual([n for n, *_ in found], list(range(trials)))
        for _, state, value, params, steps in found:
            self.assertEqual(state, "COMPLETE")
            self.assertAlmostEqual(value, (params["x"] - 0.5) ** 2 + params["n"] + 1 / 3)
            if reports:
                self.assertEqual(steps, 3)
        for table in ("athanor_leases", "athanor_commits"):
            self.assertEqual(sql(f"SELECT count(*) FROM {name}.{table}"), "0", table)

    def test_connections_are_killed(self):
        kills = rounds = 0
        begin = time.monotonic()
        while kills < KILLS:
            name, trials = f"killed{rounds}", 600
            drivers = self.begin(name, trials)
            while any(d.poll() is None for d in drivers) and kills < KILLS:
                time.sleep(self.random.random() * 0.05)
                kills += int(sql(KILL))
            self.end(drivers)
            self.check(name, trials)
            rounds += 1
        print(f"{kills} kills of connections in {rounds} rounds, {time.monotonic() - begin:.0f} s", flush=True)

    def test_the_server_restarts(self):
        drivers = self.begin("restarted", 800)
        for _ in range(4):
            time.sleep(0.5 + self.random.random())
            server("restart", "-m", "fast")
        server("stop", "-m", "fast")
        time.sleep(8)  # longer than a call waits
        server("start")
        said = self.end(drivers)
        self.check("restarted", 800)
        away = [words.count("asked again every second, for ten minutes at most") for words in said]
        self.assertGreater(sum(away), 0)
        self.assertEqual(away, [words.count("the study can be reached again") for words in said])

    def test_the_server_crashes(self):
        """What was begun is known to its driver, so the server must know it too; a report may be lost."""
        drivers = self.begin("crashed", 800)
        for _ in range(5):
            time.sleep(0.5 + self.random.random())
            server("restart", "-m", "immediate")
        self.end(drivers)
        self.check("crashed", 800, reports=False)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
