#!/usr/bin/env python3
"""What others make of our files: TensorBoard and MLflow of our exports, optuna-dashboard of our study.
Usage: others_read.py ATHANOR MAKE_STUDY."""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import peers

ATHANOR, MAKE_STUDY = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]
MLFLOW = """
import json, os, sys
from mlflow.tracking import MlflowClient
client = MlflowClient("file://" + sys.argv[1])
experiment, = client.search_experiments()
runs = client.search_runs([experiment.experiment_id], max_results=1000)
print(json.dumps({"name": experiment.name, "runs": [{"name": r.info.run_name, "status": r.info.status,
    "start": r.info.start_time, "end": r.info.end_time, "params": r.data.params, "metrics": r.data.metrics,
    "tags": r.data.tags, "loss": [[m.step, m.value] for m in client.get_metric_history(r.info.run_id, "val_loss")]}
    for r in runs]}))
"""


class OthersRead(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="athanor-others-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.study = cls.folder / "made.db"
        subprocess.run([MAKE_STUDY, cls.study], check=True, capture_output=True)
        cls.trials = {name: json.loads(cls.athanor("export", cls.study, "--study", name, "--format", "json"))["trials"]
                      for name in ("curves", "front")}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def athanor(cls, *arguments):
        return subprocess.run([ATHANOR, *map(str, arguments)], check=True, capture_output=True, text=True).stdout

    def reports(self, t):
        return [[r["step"], r["values"]["val_loss"]] for e in t["executions"] for r in e["reports"]]

    # ---- TensorBoard

    def test_tensorboard(self):
        for name in self.trials:
            folder = self.folder / f"board-{name}"
            self.athanor("export", self.study, "--study", name, "--format", "tensorboard", "--out", folder)
            with peers.Server(["tensorboard", "--logdir", folder, "--load_fast=false", "--reload_interval=1"]) as board:
                self.look_at_board(board, name)

    def look_at_board(self, board, name):
        ask = lambda path, body=None: json.loads(board.get(path, json.dumps(body).encode() if body else None))
        trials = self.trials[name]
        experiment = ask("/data/plugin/hparams/experiment", {"experimentName": ""})
        self.assertEqual(experiment["name"], name)
        self.assertEqual({p["name"] for p in experiment["hparamInfos"]}, {"lr", "units", "optimizer", "momentum"})
        objectives = ["val_loss", "speed"] if name == "front" else ["val_loss"]
        self.assertEqual({m["name"]["tag"] for m in experiment["metricInfos"]}, {"objective/" + o for o in objectives})
        states = ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING", "STATUS_UNKNOWN"]
        groups = ask("/data/plugin/hparams/session_groups",
                     {"experimentName": "", "allowedStatuses": states, "colParams": [], "startIndex": 0,
                      "sliceSize": 1000})["sessionGroups"]
        status = {"complete": states[0], "pruned": states[0], "failed": states[1], "running": states[3]}
        self.assertEqual(len(groups), len(trials))
        for group in groups:
            t = trials[int(group["name"].split("-")[1])]
            self.assertEqual(group["hparams"], t["params"])
            self.assertEqual(group["sessions"][0]["status"], status[t["state"]])
            values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
            for o, value in t.get("values", {}).items():
                self.assertAlmostEqual(values["objective/" + o], value, places=5)
        if name == "curves":
            t = trials[0]
            scalars = ask("/data/plugin/scalars/scalars?tag=val_loss&run=trial-0000")
            self.assertEqual([s[1] for s in scalars], [step for step, _ in self.reports(t)])
            for s, (_, value) in zip(scalars, self.reports(t)):
                self.assertAlmostEqual(s[2], value, places=5)

    # ---- MLflow

    def test_mlflow(self):
        for name in self.trials:
            folder = self.folder / f"mlruns-{name}"
            self.athanor("export", self.study, "--study", name, "--format", "mlflow", "--out", folder)
            done = subprocess.run([peers.python(), "-c", MLFLOW, folder], capture_output=True, text=True,
                                  env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"})
            self.assertEqual(done.returncode, 0, done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual((found["name"], len(found["runs"])), (name, len(self.trials[name])))
            status = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "running": "RUNNING"}
            for run in found["runs"]:
                t = self.trials[name][int(run["name"].split()[1])]
                self.assertEqual(run["status"], status[t["state"]])
                self.assertEqual(set(run["params"]), set(t["params"]))
                for key, value in t["params"].items():
                    shown = run["params"][key]
                    self.assertEqual(float(shown) if isinstance(value, (int, float)) else shown, value)
                for o, value in t.get("values", {}).items():
                    self.assertEqual(run["metrics"]["objective " + o], value)
                if name == "curves":
                    self.assertEqual(run["loss"], self.reports(t))
                if "message" in t:
                    self.assertEqual(run["tags"]["mlflow.note.content"], t["message"])

    # ---- optuna-dashboard

    def test_dashboard(self):
        with peers.Server(["optuna-dashboard", f"sqlite:///{self.study}"]) as dashboard:
            ask = lambda path: json.loads(dashboard.get(path))
            studies = {s["study_name"]: s for s in ask("/api/studies")["study_summaries"]}
            self.assertEqual(set(studies), {"curves", "front"})
            self.assertEqual(studies["front"]["directions"], ["minimize", "maximize"])
            for name, trials in self.trials.items():
                self.look_at_dashboard(ask(f"/api/studies/{studies[name]['study_id']}?after=0"), name, trials)
            importance = ask(f"/api/studies/{studies['curves']['study_id']}/param_importances")["param_importances"]
            self.assertIn("lr", {p["name"] for p in importance[0]})
            self.assertEqual(dashboard.get("/dashboard/studies/1")[:9].lower(), b"<!doctype")

    def look_at_dashboard(self, detail, name, trials):
        states = {"complete": "Complete", "pruned": "Pruned", "failed": "Fail", "running": "Running"}
        self.assertEqual(len(detail["trials"]), len(trials))
        self.assertEqual(detail["objective_names"], ["val_loss", "speed"] if name == "front" else ["val_loss"])
        self.assertIn("momentum", {p["name"] for p in detail["union_search_space"]})
        self.assertNotIn("momentum", {p["name"] for p in detail["intersection_search_space"]})
        for shown, t in zip(detail["trials"], trials):
            self.assertEqual((shown["number"], shown["state"]), (t["trial"], states[t["state"]]))
            params = {p["name"]: p["param_external_value"] for p in shown["params"]}
            self.assertEqual(set(params), set(t["params"]))
            self.assertEqual(params["optimizer"], t["params"]["optimizer"])
            if t["state"] == "complete":
                self.assertEqual(shown["values"], list(t["values"].values()))
            if name == "curves":
                self.assertEqual([[v["step"], v["value"]] for v in shown["intermediate_values"]], self.reports(t))
            if "message" in t:
                attributes = {a["key"]: a["value"] for a in shown["user_attrs"]}
                self.assertIn("out of memory", attributes["message"])
        self.assertTrue({t["state"] for t in trials} >= {"complete", "pruned", "failed", "running"})
        if name == "front":
            front = json.loads(self.athanor("best", self.study, "--study", "front", "--json"))["front"]
            feasible = {t["number"] for t in detail["best_trials"] if all(c <= 0 for c in t["constraints"])}
            self.assertEqual(feasible, {t["trial"] for t in front})  # the dashboard's front has infeasible ones too
        self.assertTrue(all(math.isfinite(v) for t in trials for v in t.get("values", {}).values()))


if __name__ == "__main__":
    unittest.main()
