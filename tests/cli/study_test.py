"""Studies for the tests of show, best, export and report: small ones that the program makes, and what they become in
other hands (without Athanor's tables, as Optuna leaves them; with a second objective; with hostile texts)."""
import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

# Reports two steps; fails for some, is slow for none. Arguments: kind, x, and y where it exists.
PROGRAM = """#!/bin/sh
case "$1" in
bad) echo "the disk said <b>\\"no\\"</b> & left" >&2; exit 3;;
esac
awk -v x="$2" -v y="${3:-0}" 'BEGIN {
    print "{\\"step\\": 1, \\"loss\\": " x * x + y + 1 ", \\"extra\\": 7}"
    print "{\\"step\\": 2, \\"loss\\": " x * x + y "}" }'
"""
HOSTILE = "</script><script>alert('x')</script>\"\n&<!--"


class StudyTest(unittest.TestCase):
    athanor = None

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-study-")
        cls.folder = pathlib.Path(cls.temporary.name)
        program = cls.folder / "program.sh"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        (cls.folder / "space.yaml").write_text("""name: small
seed: 2
objective: {metric: loss, direction: min}
sampler: random
max_trials: 12
space:
  kind: !choice {of: [plain, {as: two words, value: two words}, bad], weights: [2, 2, 1]}
  x: !float {min: -2, max: 2}
  n: !int {min: 1, max: 100, prior: log}
""")
        cls.run_tune("small")

    @classmethod
    def run_tune(cls, name):
        done = subprocess.run([cls.athanor, "tune", "space.yaml", "--dir", name, "--", "./program.sh", "{kind}", "{x}"],
                              cwd=cls.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def call(self, *arguments):
        return subprocess.run([self.athanor, *map(str, arguments)], cwd=self.folder, env=os.environ,
                              capture_output=True, timeout=120)

    def succeeds(self, *arguments):
        done = self.call(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def refused(self, sentence, *arguments, code=2):
        done = self.call(*arguments)
        self.assertEqual(done.stderr.decode().strip(), "athanor: " + sentence)
        self.assertEqual(done.returncode, code)

    def copy(self, name):
        """A copy of the study to change: (path, a context with its connection)."""
        path = self.folder / f"{name}.db"
        for suffix in ("", "-wal", "-shm"):
            source = self.folder / "small" / ("study.db" + suffix)
            if source.exists():
                shutil.copy(source, str(path) + suffix)
        return path, contextlib.closing(sqlite3.connect(path))

    def foreign(self, name):
        """The study as Optuna would have left it: without a table of ours."""
        path, connection = self.copy(name)
        with connection as db:
            for table in ("study", "trials", "executions", "reports"):
                db.execute(f"DROP TABLE athanor_{table}")
            db.commit()
        return path

    def two_objectives(self, name):
        path = self.foreign(name)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("INSERT INTO study_directions(direction, study_id, objective) SELECT 'MAXIMIZE', study_id, 1"
                       " FROM studies")
            db.execute("UPDATE study_system_attributes SET value_json='[\"loss\", \"speed\"]'"
                       " WHERE \"key\"='study:metric_names'")
            db.execute("INSERT INTO trial_values(trial_id, objective, value, value_type)"
                       " SELECT trial_id, 1, value * 2 - trial_id, 'FINITE' FROM trial_values")
            db.commit()
        return path

    def hostile(self, name):
        """Names and messages that would be markup, a path or another cell if anything took them for more than texts."""
        path, connection = self.copy(name)
        with connection as db:
            db.execute("DELETE FROM athanor_study")
            db.execute("UPDATE studies SET study_name=?", (HOSTILE,))
            db.execute("UPDATE trial_params SET param_name=? WHERE param_name='x'", ("../../" + HOSTILE,))
            db.execute("UPDATE trial_params SET param_name='state' WHERE param_name='n'")
            db.execute("UPDATE trial_params SET distribution_json=replace(distribution_json, 'plain', ?)",
                       ("<img src=x onerror=alert(1)>",))
            db.execute("UPDATE athanor_trials SET message=? WHERE reason='crash'", (HOSTILE,))
            db.commit()
        return path
