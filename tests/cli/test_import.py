#!/usr/bin/env python3
"""import: journals and databases of Optuna, folders of KerasTuner; what they hold against what their makers say.
Usage: test_import.py ATHANOR ROOT. tests/golden/make_import.py made the inputs."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ATHANOR, GOLDEN = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve() / "tests/golden/import"
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "failed", "WAITING": "waiting",
          "COMPLETED": "complete", "INVALID": "failed", "FAILED": "failed"}


class Import(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-import-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def call(self, *arguments, text=None):
        return subprocess.run([ATHANOR, *map(str, arguments)], cwd=self.folder, input=text, capture_output=True, text=True,
                              timeout=120)

    def imports(self, *arguments):
        done = self.call("import", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def refused(self, sentence, *arguments):
        done = self.call("import", *arguments)
        self.assertEqual((done.returncode, done.stderr.strip()), (2, "athanor: " + sentence))

    def trials(self, study):
        return json.loads(self.call("export", study, "--format", "json").stdout)["trials"]

    def rows(self, database, sql):
        with sqlite3.connect(self.folder / database) as db:
            return db.execute(sql).fetchall()

    def compare(self, database, said, names, first_step=0):
        found = self.trials(database)
        self.assertEqual(len(found), len(said))
        for number, (ours, theirs) in enumerate(zip(found, said)):
            self.assertEqual(ours["state"], STATES[theirs["state"]], number)
            self.assertEqual(ours["params"], theirs["params"])
            values = {k: v for k, v in ours.get("values", {}).items() if v is not None}
            if theirs["state"] in ("COMPLETE", "PRUNED"):
                self.assertEqual(values, dict(zip(names, theirs["values"])))
            steps = self.rows(database, "select step, intermediate_value, intermediate_value_type from trials join "
                                        f"trial_intermediate_values using(trial_id) where number={number} order by step")
            self.assertEqual({str(s - 1 + first_step): "nan" if kind == "NAN" else v for s, v, kind in steps},
                             theirs["steps"])

    def test_journals(self):
        said = json.loads((GOLDEN / "optuna.json").read_text())["studies"]
        for name, trials in said.items():
            words = self.imports(GOLDEN / "optuna.journal", f"{name}.db", "--study-name", name)
            complete = sum(t["state"] == "COMPLETE" for t in trials)
            self.assertEqual(words, f"imported {len(trials)} trials, {complete} complete; look at them with: athanor show "
                                    f"{name}.db\n")
            self.compare(f"{name}.db", trials, ["value_0", "value_1"] if name == "two" else ["loss"])
        self.assertIn("1 on the Pareto front", self.call("show", "two.db").stdout)
        self.assertTrue(all(t["constraints"] for t in self.trials("two.db")))
        self.assertEqual(self.rows("one.db", "select value_json from trial_user_attributes where key='note'")[0],
                         ('"a\\tb \\"c\\""',))
        started = self.rows("one.db", "select strftime('%s', datetime_start, 'utc') from trials where number=0")[0][0]
        self.assertLessEqual(abs(int(started) - said["one"][0]["started"]), 1)
        self.refused(f"{GOLDEN}/optuna.journal: the journal holds 3 studies; name one with --study-name",
                     GOLDEN / "optuna.journal", "x.db")
        self.refused(f"{GOLDEN}/optuna.journal: the journal holds no study 'gone'", GOLDEN / "optuna.journal", "x.db",
                     "--study-name", "gone")
        lines = (GOLDEN / "optuna.journal").read_text()
        named = [json.loads(line)["study_name"] for line in lines.splitlines() if json.loads(line)["op_code"] == 0]
        rest = "".join(json.dumps({"op_code": 1, "worker_id": "x", "study_id": i}) + "\n"
                       for i, name in enumerate(named) if name not in ("one", "gone"))
        (self.folder / "one left.journal").write_text(lines + rest)  # the others were made, and deleted, after it
        self.imports("one left.journal", "left.db")
        self.compare("left.db", said["one"], ["loss"])
        self.refused("one.db: study 'one' has trials already; import into a new one, or under another name (--name)",
                     GOLDEN / "optuna.journal", "one.db", "--study-name", "one")

    def test_databases(self):
        said = json.loads((GOLDEN / "optuna.json").read_text())["studies"]["one"]
        self.imports(GOLDEN / "optuna.journal", "one.db", "--study-name", "one")
        with sqlite3.connect(self.folder / "one.db") as db:  # as Optuna would have left it
            for table in ("study", "trials", "executions", "reports", "leases"):
                db.execute(f"drop table athanor_{table}")
            db.execute("update trial_intermediate_values set step = step - 1")
            db.execute("update trials set state='RUNNING' where number=7")
        self.imports("one.db", "runs/again", "--name", "other")
        self.compare("runs/again/study.db", said, ["loss"])
        self.imports(f"sqlite:///{self.folder}/one.db", "third.db", "--study-name", "one", "--objective", "error")
        self.compare("third.db", said, ["error"])

    def test_a_study_of_ours_goes_on_as_it_would_have(self):
        space = ("--param", "x=!float {min: 0, max: 1}", "--set", "objective=loss", "--set", "executions_per_trial=2")
        script = ("sh", "-c", "echo '{{\"step\": 1, \"loss\": '{x}'}'; echo '{{\"step\": 2, \"loss\": '{seed}'e-9}'")

        def tune(trials, study):
            done = self.call("tune", *space, "--set", f"max_trials={trials}", "--study", study, "--dir", f"runs/{study}", "--",
                             *script)
            self.assertEqual(done.returncode, 0, done.stderr)

        tune(8, "one.db")
        self.imports("one.db", "two.db")
        self.imports("one.db", "three.db")
        tables = ("trials", "trial_params", "trial_values", "trial_intermediate_values", "athanor_trials", "athanor_executions",
                  "athanor_reports", "athanor_study")
        for table in tables:
            sql = f"select * from {table} order by 1, 2, 3"
            self.assertEqual(self.rows("one.db", sql), self.rows("two.db", sql), table)
        for study in ("one.db", "two.db"):
            tune(12, study)
        params = [[t["params"] for t in self.trials(study)] for study in ("one.db", "two.db", "three.db")]
        self.assertEqual(params[0], params[1])
        self.assertEqual((len(params[0]), params[0][:8]), (12, params[2]))

    def test_keras_tuner(self):
        said = json.loads((GOLDEN / "keras.json").read_text())["trials"]
        self.imports(GOLDEN / "keras", "runs/keras")
        found = self.trials("runs/keras")
        self.assertEqual([t["params"] for t in found], [t["params"] for t in said])
        self.assertEqual([t["state"] for t in found], [STATES[t["status"]] for t in said])
        self.assertEqual([t["values"]["val_accuracy"] if t["state"] == "complete" else None for t in found],
                         [t["score"] for t in said])
        steps = self.rows("runs/keras/study.db", "select step, intermediate_value from trial_intermediate_values join trials"
                                                 " using(trial_id) where number=0 order by step")
        metrics = json.loads((GOLDEN / "keras/trial_0/trial.json").read_text())["metrics"]["metrics"]
        self.assertEqual(steps, [(o["step"] + 1, o["value"][0]) for o in metrics["val_accuracy"]["observations"]])
        self.assertIn("FailedTrialError", next(t["message"] for t in found if t["state"] == "failed"))
        self.imports(GOLDEN / "keras", "loss.db", "--objective", "loss")  # another metric, whose scores they are not
        self.refused(f"{GOLDEN}/keras: no trial has reported a metric 'los'", GOLDEN / "keras", "x.db", "--objective", "los")
        self.assertFalse((self.folder / "x.db").exists())

    def test_tune_goes_on(self):
        self.imports(GOLDEN / "keras", "study.db", "--name", "command")
        space = ("--param", "units=!int {min: 16, max: 64, step: 16}", "--param", "lr=!float {min: 1e-4, max: 0.1, prior: log}")
        others = ("dropout=!float {min: 0, max: 0.5, step: 0.1}", "bn=!bool {}", "optimizer=!choice [adam, sgd]",
                  "width=!choice [1.5, 2.5]", "classes=!choice [10]", "filters=!int {min: 8, max: 64, step: 2, prior: log}",
                  "momentum=!float {min: 0, max: 0.9}")
        more = [word for other in others for word in ("--param", other)]
        done = self.call("tune", *space, *more, "--set", "objective=val_accuracy", "--set", "max_trials=2", "--study", "study.db",
                         "--", "sh", "-c", "echo '{{\"val_accuracy\": 0.5}'")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("best of 8 trials: trial 5", done.stdout)

    def test_what_is_refused(self):
        cut = self.folder / "cut.journal"
        lines = (GOLDEN / "optuna.journal").read_text().splitlines(keepends=True)
        cut.write_text("".join(lines[:20]) + lines[20][:30])
        self.imports(cut, "cut.db")  # whoever wrote it was killed in the middle of a line
        cut.write_text("".join(lines[:20]) + lines[20][:30] + "\n" + "".join(lines[21:]))
        done = self.call("import", cut, "damaged.db", "--study-name", "one")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{cut}: line 21: ", done.stderr)
        (self.folder / "letter").write_text("dear reader")
        (self.folder / "empty").mkdir()
        self.refused("letter: this is neither an SQLite database nor a journal of Optuna (lines of JSON)", "letter", "runs/x")
        self.refused("empty: there is neither an oracle.json of KerasTuner nor a study.db in this folder", "empty", "runs/x")
        self.refused("none: there is no such file or folder; name a study to import: "
                     "a database or a journal of Optuna, a folder of KerasTuner, or a study of ours", "none", "runs/x")
        self.assertFalse((self.folder / "runs").exists())
        shutil.copytree(GOLDEN / "keras", self.folder / "keras")
        trial = self.folder / "keras/trial_3/trial.json"
        trial.write_text(trial.read_text().replace('"sgd"', '"sgdd"', 1))
        self.refused("keras/trial_3/trial.json: expected a hyperparameter's value to be one of its values", "keras", "x.db")


if __name__ == "__main__":
    unittest.main(argv=["test_import.py"])
