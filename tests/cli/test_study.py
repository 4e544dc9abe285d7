#!/usr/bin/env python3
"""show, best and export on small studies, ours and others'. Usage: test_study.py ATHANOR."""
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import resource
import shlex
import signal
import sqlite3
import struct
import subprocess
import sys
import unittest

from study_test import HOSTILE, StudyTest

StudyTest.athanor = os.path.abspath(sys.argv.pop(1))


class Looking(StudyTest):
    def test_show(self):
        lines = self.succeeds("show", "small").splitlines()
        self.assertRegex(lines[0], r"^small: 12 trials, \d+ complete, \d+ failed$")
        self.assertEqual(len(lines), 15)
        self.assertEqual(sum(line.startswith("*") for line in lines), 1)
        shown = json.loads(self.succeeds("show", "small", "--json"))
        self.assertEqual((shown["study"], len(shown["trials"])), ("small", 12))
        self.assertEqual(shown["objectives"], [{"name": "loss", "direction": "min"}])
        self.assertNotIn("reports", json.dumps(shown))

    def test_the_suggestions_are_done_again(self):
        self.assertIn("small: 12 suggestions done again: 12 have the same bits\n", self.succeeds("show", "small", "--replay"))
        self.assertEqual(json.loads(self.succeeds("show", "small", "--replay", "--json")),
                         {"same": 12, "different": [], "unknown": 0})
        path, connection = self.copy("changed")
        with connection as db:
            db.execute("UPDATE trial_params SET param_value=101-param_value WHERE trial_id=4 AND param_name='n'")
            db.commit()
        done = self.call("show", path, "--replay")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"11 have the same bits\ntrial 3: n is \d+, was \d+\n")
        self.assertIn("1 suggestions are not what they were", done.stderr.decode())

    def test_best(self):
        trials = json.loads(self.succeeds("show", "small", "--json"))["trials"]
        complete = [t for t in trials if t["state"] == "complete"]
        best = json.loads(self.succeeds("best", "small", "--json"))
        self.assertEqual(best, min(complete, key=lambda t: t["values"]["loss"]))
        self.assertEqual(best["executions"], [{"value": best["values"]["loss"], "best_step": 2}])
        self.assertIn(f"trial {best['trial']}: loss ", self.succeeds("best", "small"))

    def test_the_command_of_the_best_trial_does_it_again(self):
        best = json.loads(self.succeeds("best", "small", "--json", "--command"))
        line = self.succeeds("best", "small", "--command")
        self.assertEqual(line, best["command"] + "\n")
        self.assertEqual(shlex.split(line)[:2], ["./program.sh", best["params"]["kind"]])
        again = subprocess.run(line, shell=True, cwd=self.folder, capture_output=True, text=True, check=True).stdout
        self.assertAlmostEqual(json.loads(again.splitlines()[-1])["loss"], best["values"]["loss"], places=6)

    def test_a_study_that_optuna_made(self):
        path = self.foreign("optuna")
        own, other = (json.loads(self.succeeds("show", p, "--json"))["trials"] for p in ("small", path))
        self.assertEqual([t["params"] for t in own], [t["params"] for t in other])
        self.assertEqual([t.get("values") for t in own], [t.get("values") for t in other])
        self.assertIn("kind", self.succeeds("best", path))
        self.refused("study 'small' was made neither by a command nor by a recipe, so no command line does its trials "
                     "again; leave --command away for the parameters", "best", path, "--command")

    def test_ranges_that_grew_are_joined(self):
        path, connection = self.copy("grown")
        with connection as db:
            db.execute("DELETE FROM athanor_study")
            db.execute("UPDATE trial_params SET param_value=77, distribution_json='{\"name\": \"FloatDistribution\", "
                       "\"attributes\": {\"step\": null, \"low\": 50.0, \"high\": 90.0, \"log\": false}}' "
                       "WHERE param_name='x' AND trial_id=2")
            db.execute("UPDATE trial_params SET distribution_json='{\"name\": \"CategoricalDistribution\", "
                       "\"attributes\": {\"choices\": [[1, 2], \"plain\", null]}}', param_value=0 "
                       "WHERE param_name='kind' AND trial_id=2")
            db.commit()
        exported = json.loads(self.succeeds("export", path, "--format", "json"))
        self.assertEqual(exported["trials"][1]["params"]["x"], 77)
        self.assertEqual(exported["trials"][1]["params"]["kind"], "[1,2]")
        self.assertNotIn("outside_the_space", exported["trials"][1])

    def test_a_distribution_that_cannot_be_read(self):
        path, connection = self.copy("damaged")
        with connection as db:
            db.execute("DELETE FROM athanor_study")
            db.execute("UPDATE trial_params SET distribution_json='{\"name\": \"Odd\"}' WHERE param_name='x'")
            db.commit()
        self.refused(f"{path}: the distribution of parameter 'x' cannot be read: {{\"name\": \"Odd\"}}", "show", path)

    def test_several_objectives(self):
        path = self.two_objectives("two")
        trials = json.loads(self.succeeds("show", path, "--json"))["trials"]
        points = {t["trial"]: (t["values"]["loss"], -t["values"]["speed"]) for t in trials if t["state"] == "complete"}
        front = {a for a, p in points.items() if not any(
            q != p and q[0] <= p[0] and q[1] <= p[1] for q in points.values())}
        self.assertEqual({t["trial"] for t in json.loads(self.succeeds("best", path, "--json"))["front"]}, front)
        text = self.succeeds("show", path)
        self.assertIn(f"; {len(front)} on the Pareto front (*)", text)
        self.assertEqual({int(line[1:].split()[0]) for line in text.splitlines() if line.startswith("*")}, front)
        for trial in front:
            self.assertIn(f"trial {trial}: loss ", self.succeeds("best", path))

    def test_constraints_of_optuna(self):
        """As a list under one key, as its constraints_func leaves them, and each under its own, as set_constraint does."""
        best = json.loads(self.succeeds("best", "small", "--json"))["trial"]
        path, connection = self.copy("constrained")
        with connection as db:
            db.execute("DELETE FROM athanor_study")
            db.executemany('INSERT INTO trial_system_attributes(trial_id, "key", value_json) VALUES(?, ?, ?)',
                           [(best + 1, "constraints:memory", "0.5"), (best + 1, "constraints:time", "-1"),
                            (1, "constraints", "[-3, 0]"), (2, "constraintsless", "7")])
            db.commit()
        trials = json.loads(self.succeeds("show", path, "--json"))["trials"]
        self.assertEqual((trials[best]["constraints"], trials[best]["feasible"]), ([0.5, -1], False))
        self.assertEqual((trials[0]["constraints"], trials[0]["feasible"]), ([-3, 0], True))
        self.assertNotIn("constraints", trials[1])
        self.assertNotEqual(json.loads(self.succeeds("best", path, "--json"))["trial"], best)
        header = self.succeeds("export", path).splitlines()[0]
        self.assertIn("loss,constraint_0,constraint_1,", header)

    def test_the_luckiest_repeat_is_not_the_best(self):
        """With one objective a trial and its repeats are worth their mean, and a repeat is never the best itself."""
        trials = [t for t in json.loads(self.succeeds("show", "small", "--json"))["trials"] if t["state"] == "complete"]
        first, second, third = sorted(trials, key=lambda t: t["values"]["loss"])[:3]
        path, connection = self.copy("repeats")
        with connection as db:
            db.execute("UPDATE trial_values SET value=1000 WHERE trial_id=?", (third["trial"] + 1,))
            db.execute("UPDATE athanor_trials SET relation=1, relative=? WHERE trial_id=?", (first["trial"], third["trial"] + 1))
            db.commit()
        self.assertEqual(json.loads(self.succeeds("best", path, "--json"))["trial"], second["trial"])
        shown = json.loads(self.succeeds("show", path, "--json"))["trials"][third["trial"]]
        self.assertEqual(shown["repeat_of"], first["trial"])

    def test_no_trial_is_best(self):
        path, connection = self.copy("none")
        with connection as db:
            db.execute("UPDATE trials SET state='RUNNING'")
            db.commit()
        self.refused("study 'small' has no complete trial yet; `athanor show` lists them", "best", path)


class Exporting(StudyTest):
    def test_csv(self):
        for path in (self.folder / "small", self.hostile("csv")):
            text = self.succeeds("export", path)
            rows = list(csv.DictReader(io.StringIO(text)))
            trials = json.loads(self.succeeds("export", path, "--format", "json"))["trials"]
            self.assertEqual(len(rows), 12)
            for row, t in zip(rows, trials):
                self.assertEqual((int(row["trial"]), row["state"], row["message"]),
                                 (t["trial"], t["state"], t.get("message", "")))
                for name, value in t["params"].items():
                    cell = row["params.state" if name == "state" else name]
                    self.assertEqual(float(cell) if isinstance(value, (int, float)) else cell, value)
                if "values" in t:
                    self.assertEqual(float(row["loss"]), t["values"]["loss"])
                    self.assertEqual(float(row["execution_values"]), t["values"]["loss"])
                self.assertRegex(row["ended"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_json_has_every_report(self):
        trials = json.loads(self.succeeds("export", "small", "--format", "json"))["trials"]
        for t in trials:
            if t["state"] == "complete":
                reports = t["executions"][0]["reports"]
                self.assertEqual([r["step"] for r in reports], [1, 2])
                self.assertEqual(reports[0]["values"]["extra"], 7)
                self.assertEqual(reports[1]["values"]["loss"], t["values"]["loss"])
            else:
                self.assertEqual((t["state"], t["reason"]), ("failed", "crash"))
                self.assertIn('<b>"no"</b>', t["message"])
        foreign = json.loads(self.succeeds("export", self.foreign("reports"), "--format", "json"))["trials"]
        self.assertEqual([[r["values"]["loss"] for e in t["executions"] for r in e["reports"]] for t in foreign],
                         [[r["values"]["loss"] for e in t["executions"] for r in e.get("reports", [])] for t in trials])

    def test_into_a_file(self):
        self.succeeds("export", "small", "--out", "a.csv")
        self.assertEqual((self.folder / "a.csv").read_text(), self.succeeds("export", "small"))
        self.refused("none/a.csv: there is no folder none; make it first", "export", "small", "--out", "none/a.csv")

    def test_what_is_refused(self):
        self.refused("export: there is no format 'tensorbord', did you mean 'tensorboard'?; there are csv, json, "
                     "tensorboard, mlflow", "export", "small", "--format", "tensorbord")
        self.refused("export: --format mlflow writes many files; name a new folder: --out FOLDER", "export", "small",
                     "--format", "mlflow")
        for name in ("tensorboard", "mlflow"):
            self.refused("small: the folder holds something already, and an export is not mixed with it; remove it or "
                         "name another", "export", "small", "--format", name, "--out", "small")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no full disk at hand")
    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.athanor, "export", "small"], cwd=self.folder, stdout=full, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (1, b"athanor: standard output cannot be written\n"))

    @unittest.skipIf(b"__tsan_init" in pathlib.Path(StudyTest.athanor).read_bytes(), "the sanitizer needs a file before main")
    def test_no_room_for_a_folder(self):
        """A limit on the size of files stands for a full disk: nothing is left behind, and the first failure is told."""
        room = 1024  # bytes: LLVM's OpenMP maps a file of this size in /dev/shm before main, and dies where it cannot
        path = self.foreign("wide")
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE trial_params SET distribution_json=replace(distribution_json, 'plain', ?)", ("x" * 2 * room,))
            db.commit()

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        for name in ("tensorboard", "mlflow"):
            done = subprocess.run([self.athanor, "export", path, "--format", name, "--out", "no-room"], cwd=self.folder,
                                  stderr=subprocess.PIPE, text=True, preexec_fn=limit)
            self.assertEqual(done.returncode, 2)
            self.assertIn("no-room", done.stderr)
            self.assertIn("too large", done.stderr)
            self.assertEqual(list(self.folder.glob("no-room*")), [])

    def test_the_study_itself_is_spared(self):
        path, connection = self.copy("spared")
        with connection:
            before = path.read_bytes()
        self.refused(f"{path}: export would be written over the file that it reads; name another file", "export", path, "--out", path)
        self.assertEqual(path.read_bytes(), before)

    # ---- TensorBoard

    def test_tensorboard(self):
        trials = json.loads(self.succeeds("export", "small", "--format", "json"))["trials"]
        self.succeeds("export", "small", "--format", "tensorboard", "--out", "tb")
        self.assertFalse((self.folder / "tb.part").exists())
        self.assertIn(("_hparams_/experiment", None), [(tag, v) for _, tag, v in scalars(self.one(self.folder / "tb"))])
        for t in trials:
            found = scalars(self.one(self.folder / "tb" / f"trial-{t['trial']:04d}"))
            tags = [tag for _, tag, _ in found]
            self.assertIn("_hparams_/session_start_info", tags)
            self.assertIn("_hparams_/session_end_info", tags)
            reports = [r for e in t["executions"] for r in e.get("reports", [])]
            self.assertEqual([(s, v) for s, tag, v in found if tag == "loss"],
                             [(r["step"], single(r["values"]["loss"])) for r in reports])
            self.assertEqual([v for _, tag, v in found if tag == "objective/loss"],
                             [single(v) for v in t.get("values", {}).values()])

    def one(self, folder):
        files = list(folder.glob("events.out.tfevents.*"))
        self.assertEqual(len(files), 1)
        return records(self, files[0].read_bytes())

    # ---- MLflow

    def test_mlflow(self):
        trials = json.loads(self.succeeds("export", "small", "--format", "json"))["trials"]
        self.succeeds("export", "small", "--format", "mlflow", "--out", "mlruns")
        experiment, = (self.folder / "mlruns").iterdir()
        self.assertIn('name: "small"', (experiment / "meta.yaml").read_text())
        runs = sorted(p for p in experiment.iterdir() if p.is_dir())
        self.assertEqual(len(runs), 12)
        status = {"complete": 3, "failed": 4}
        for run, t in zip(runs, trials):
            self.assertRegex((run / "meta.yaml").read_text(), rf"(?m)^status: {status[t['state']]}$")
            self.assertEqual((run / "tags/mlflow.runName").read_text(), f"trial {t['trial']}")
            self.assertEqual(float((run / "params/x").read_text()), t["params"]["x"])
            if t["state"] == "complete":
                lines = [line.split() for line in (run / "metrics/loss").read_text().splitlines()]
                self.assertEqual([int(step) for _, _, step in lines], [1, 2])
                self.assertEqual(float(lines[1][1]), t["values"]["loss"])

    def test_hostile_names_stay_in_their_folder(self):
        path = self.hostile("names")
        before = {p for p in self.folder.iterdir()}
        self.succeeds("export", path, "--format", "mlflow", "--out", "hostile-ml")
        self.succeeds("export", path, "--format", "tensorboard", "--out", "hostile-tb")
        self.assertEqual({p for p in self.folder.iterdir()} - before,
                         {self.folder / "hostile-ml", self.folder / "hostile-tb"})
        names = {p.name for p in (self.folder / "hostile-ml").rglob("params/*")}
        self.assertTrue(all(re.fullmatch(r"[\w\-. :]+", n) for n in names), names)
        self.assertNotIn("\x1b", self.succeeds("show", path))
        self.assertEqual(json.loads(self.succeeds("show", path, "--json"))["study"], HOSTILE)


# ---- TFRecords and protocol buffers, read by a second implementation

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(test, data):
    found = []
    while data:
        length, check = struct.unpack("<QI", data[:12])
        test.assertEqual(check, crc32c(data[:8]))
        body = data[12:12 + length]
        test.assertEqual(struct.unpack("<I", data[12 + length:16 + length])[0], crc32c(body))
        found.append(fields(body))
        data = data[16 + length:]
    test.assertEqual(found[0][3], [b"brain.Event:2"])
    return found[1:]


def fields(data):
    """{field number: [values]} of one message; bytes are left as they are."""
    at, found = 0, {}

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = data[at:at + size]
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def scalars(events):
    """(step, tag, value or None) of every summary."""
    found = []
    for event in events:
        value = fields(fields(event[5][0])[1][0])
        number = struct.unpack("<f", value[2][0])[0] if 2 in value else None
        found.append((event.get(2, [0])[0], value[1][0].decode(), number))
    return found


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


if __name__ == "__main__":
    unittest.main()
