#!/usr/bin/env python3
"""A space that grows between two starts of one study: recipes, commands and ask-tell, from outside.
Usage: test_growth.py ATHANOR ROOT."""
import json
import subprocess
import time
import unittest

import test_cli
from program_test import ProgramTest
from test_cli import ATHANOR

SCRIPT = ("sh", "-c", "echo \"{{\\\"loss\\\": {x}}\"", "0", "{k}")
NARROW = ("--param", "x=!float {min: 0, max: 1}", "--param", "k=!choice [a, b]")
WIDE = ("--param", "x=!float {min: -1, max: 2}", "--param", "k=!choice [c, b, a]")
LOSS = ("--set", "objective=loss")


class Growth(ProgramTest):
    athanor = ATHANOR

    @classmethod
    def fill(cls, folder):
        test_cli.make_data(folder)
        (folder / "points.yaml").write_text(test_cli.RECIPE)

    def refused(self, sentence, *arguments):
        done = self.call(*arguments)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(sentence, done.stderr.splitlines()[-1])

    def trials(self, study):
        return json.loads(self.succeeds("show", study, "--json"))["trials"]

    def tune(self, space, trials, *command, folder="runs/c"):
        return ("tune", *space, *LOSS, "--set", f"max_trials={trials}", "--dir", folder, "--", *SCRIPT, *command)

    def test_a_command(self):
        self.succeeds(*self.tune(NARROW, 4))
        before = self.trials("runs/c")
        units = ("--param", "units=!int {min: 1, max: 4, default: 2}")
        done = self.call(*self.tune((*WIDE, *units), 8, "--units", "{units}"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the space has grown: x: 0..1 became -1..2; k: c is new; units is new", done.stderr)
        after = self.trials("runs/c")
        self.assertEqual(len(after), 8)
        for was, now in zip(before, after):
            self.assertEqual({**was["params"], "units": 2}, now["params"])
            self.assertEqual(was["values"], now["values"])
        self.assertLess(min(t["values"]["loss"] for t in after), 0)
        self.refused("the space of a study can only grow: parameter 'x': min was -1, is 0; change it back, choose another "
                     "folder (--dir, or --set name=NAME), or start over with --overwrite",
                     *self.tune((*NARROW, *units), 9, "--units", "{units}"))
        self.refused("command.5 was \"--units\", is \"--other\"",
                     *self.tune((*WIDE, *units), 9, "--other", "{units}"))
        self.refused("the study is of another definition: value was absent, is \"last\"",
                     *self.tune((*WIDE, *units, "--set", "value=last"), 9, "--units", "{units}"))

    def test_a_recipe(self):
        self.succeeds("tune", "points.yaml", "--dir", "runs/r")
        before = self.trials("runs/r")
        done = self.call("tune", "points.yaml", "--dir", "runs/r", "--set", "tune.max_trials=6", "--set",
                         "model.0.dense.units=!int {min: 4, max: 16, step: 4, name: units}", "--set",
                         "data.batch=!choice [10, 20]")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the space has grown: units: 4..8 became 4..16; data.batch is new", done.stderr)
        after = self.trials("runs/r")
        self.assertEqual(len(after), 6)
        for was, now in zip(before, after):
            self.assertEqual({**was["params"], "data.batch": 20}, now["params"])
        self.refused("train.epochs was 3, is 2", "tune", "points.yaml", "--dir", "runs/r", "--set", "train.epochs=2",
                     "--set", "model.0.dense.units=!int {min: 4, max: 16, step: 4, name: units}", "--set",
                     "data.batch=!choice [10, 20]")
        self.refused("data.batch was {\"!choice\":[10,20]}, is 20", "tune", "points.yaml", "--dir", "runs/r", "--set",
                     "model.0.dense.units=!int {min: 4, max: 16, step: 4, name: units}")

    def talk(self, space, *lines):
        done = subprocess.run([ATHANOR, "ask-tell", *space, *LOSS, "--study", "told.db"], cwd=self.folder, text=True,
                              input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def test_ask_tell(self):
        tell = {"op": "tell", "trial": 0, "values": {"loss": 1.5}}
        self.assertEqual(self.talk(NARROW, {"op": "ask"}, tell)[0], 0)
        living = subprocess.Popen([ATHANOR, "ask-tell", *NARROW, *LOSS, "--study", "told.db"], cwd=self.folder,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        living.stdin.write('{"op": "ask"}\n')
        living.stdin.flush()
        living.stdout.readline()
        code, _, said = self.talk(WIDE)
        self.assertEqual(code, 2)
        self.assertIn("trial 1 is under way in another program", said)
        living.stdin.close()
        self.assertEqual(living.wait(), 0)
        living.stdout.close()
        code, answers, said = self.talk(WIDE, {"op": "best"}, {"op": "add", "params": {"x": -1, "k": "c"},
                                                              "values": {"loss": -1}}, {"op": "best"})
        self.assertEqual(code, 0, said)
        self.assertEqual(answers[0], {"trial": 0, "params": {"x": 0.0, "k": "a"}, "values": {"loss": 1.5}})
        self.assertEqual(answers[2]["params"], {"x": -1.0, "k": "c"})

    def test_killed_while_it_grows(self):
        """Whatever was reached, the next start goes on with all trials."""
        self.succeeds(*self.tune((*NARROW, "--set", "sampler=random"), 60, folder="runs/k"))
        before = self.trials("runs/k")
        for milliseconds in (1, 3, 6, 10, 15, 20, 30, 40):
            child = subprocess.Popen([ATHANOR, *self.tune((*WIDE, "--set", "sampler=random"), 60, folder="runs/k")],
                                     cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(milliseconds / 1000)
            child.kill()
            child.wait()
            self.assertEqual([t["params"] for t in self.trials("runs/k")], [t["params"] for t in before])
        self.succeeds(*self.tune((*WIDE, "--set", "sampler=random"), 61, folder="runs/k"))
        after = self.trials("runs/k")
        self.assertEqual([t["params"] for t in after[:60]], [t["params"] for t in before])
        self.assertEqual(len(after), 61)


if __name__ == "__main__":
    unittest.main(argv=["test_growth.py"])
