#!/usr/bin/env python3
"""clients/python/athanor.py and the protocol under it: ask-tell as another program sees it.
Usage: test_client.py ATHANOR SOURCE."""
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

ATHANOR, SOURCE = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(SOURCE / "clients" / "python"))
import athanor  # noqa: E402

LOSS = {"metric": "loss", "direction": "min"}
SPACE = {"x": athanor.Float(-2, 2), "units": athanor.Int(1, 8),
         "kind": athanor.Choice(["plain", {"fancy": {"depth": athanor.Int(2, 3)}}])}


def loss(params):
    return (params["x"] - 1) ** 2 + abs(params["units"] - 5) + params.get("kind.fancy.depth", 0)


class Client(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-client-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.study = str(self.folder / "study.db")

    def open(self, space=None, **options):
        options = {"objective": LOSS, "seed": 3, "max_trials": 12, "sampler": "random", **options}
        study = athanor.Study(SPACE if space is None else space, program=ATHANOR, **options)
        self.addCleanup(study.close)
        return study

    def test_a_server_with_many_words_does_not_block(self):
        server = self.folder / "server.sh"
        server.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' 'w' >&2\n"
                          "while read -r line; do echo '{\"trial\": 0, \"params\": {}}'; done\n")
        server.chmod(0o755)
        signal.alarm(20)  # it would wait for ever
        self.addCleanup(signal.alarm, 0)
        with athanor.Study(SPACE, program=str(server)) as study:
            self.assertEqual(study.ask().number, 0)

    def test_a_search(self):
        study = self.open(study=self.study)
        told = {}
        for trial in study:
            told[trial.number] = loss(trial.params)
            self.assertEqual("kind.fancy.depth" in trial.params, trial.params["kind"] == "fancy")
            self.assertEqual(study.report(trial, 1, {"loss": told[trial.number] + 1}), "continue")
            study.tell(trial, told[trial.number])
        self.assertEqual(study.done, "max_trials")
        self.assertEqual(sorted(told), list(range(12)))
        best = study.best()
        self.assertEqual(best["trial"], min(told, key=told.get))
        self.assertEqual(best["values"], {"loss": min(told.values())})
        self.assertEqual(loss(best["params"]), min(told.values()))

    def test_it_goes_on(self):
        study = self.open(study=self.study, max_trials=4)
        first = [t.params for t in study.ask(3)]
        study.tell(0, 1.0)
        study.close()
        study = self.open(study=self.study, max_trials=4)
        again = study.ask(4)  # the two that were not told, and a new one
        self.assertEqual([t.number for t in again], [1, 2, 3])
        self.assertEqual([t.params for t in again][:2], first[1:])

    def test_states_and_foreign_trials(self):
        study = self.open()
        a, b, c = study.ask(3)
        study.tell(a, state="failed", reason="memory", message="too big")
        study.tell(b, {"loss": 2.0}, state="pruned")
        study.tell(c, 3.0)
        number = study.add({"x": 1.0, "units": 5, "kind": "plain"}, 0.0)
        self.assertEqual(study.best()["trial"], number)

    def test_many_in_one_commit(self):
        study = self.open(study=self.study, max_trials=6)
        trials = study.ask(4)
        with self.assertRaisesRegex(athanor.Error, "trials, 2: trial 0 has ended already"):
            study.tell_many([(trials[0], 1.0), (trials[1], 2.0), (trials[0], 3.0)])
        with self.assertRaisesRegex(athanor.Error, "trials, 1: 'valus' is not a key"):
            study._call({"op": "tell", "trials": [{"trial": 0, "values": {"loss": 1}}, {"trial": 1, "valus": {"loss": 1}}]})
        with self.assertRaisesRegex(athanor.Error, "no trial is complete yet"):  # all of it was taken back
            study.best()
        study.tell_many([(trials[0], 1.0), (trials[1], {"loss": 2.0}),
                         {"trial": trials[2], "state": "failed", "reason": "memory", "message": "too big"}])
        self.assertEqual(study.best()["trial"], 0)
        study.tell(trials[3], 0.5)
        self.assertEqual([t.number for t in study.ask(4)], [4, 5])
        self.assertEqual(study.ask(4), [])
        self.assertEqual(study.done, "max_trials")
        study.close()
        again = self.open(study=self.study, max_trials=6)
        self.assertEqual([t.number for t in again.ask(9)], [4, 5])
        self.assertEqual(again.best()["trial"], 3)

    def test_errors_carry_the_sentence(self):
        study = self.open()
        trial = study.ask()
        study.tell(trial, 1.0)
        for call, part in [
            (lambda: study.tell(trial, 2.0), "trial 0 has ended already"),
            (lambda: study.tell(99, 2.0), "there is no trial 99"),
            (lambda: study.tell(study.ask(), {"los": 2.0}), "'loss'"),
            (lambda: study.report(trial, 1, {"loss": 1.0}), "has ended already"),
            (lambda: study.add({"x": 9, "units": 1, "kind": "plain"}, 1.0), "x"),
        ]:
            with self.assertRaises(athanor.Error) as caught:
                call()
            self.assertIn(part, str(caught.exception))

    def test_mistakes_in_the_space(self):
        for space, part in [({"x": athanor.Float(2, 1)}, "min"), ({}, "nothing to search"), ("x: [", "not YAML"),
                            ({"x": athanor.Float(0, 1, defualt=3)}, "did you mean 'default'?")]:
            with self.assertRaises(athanor.Error) as caught:
                self.open(space)
            self.assertIn(part, str(caught.exception))
        with self.assertRaises(athanor.Error) as caught:
            athanor.Study(SPACE, objective=LOSS, program=str(self.folder / "none"))
        self.assertIn("cannot be started", str(caught.exception))

    def test_a_file_and_a_text(self):
        text = "space:\n  x: !float {min: 0, max: 1}\nobjective: loss\nmax_trials: 2\n"
        path = self.folder / "space.yaml"
        path.write_text(text)
        for space in (text, str(path)):
            study = athanor.Study(space, objective="loss", program=ATHANOR)
            self.assertEqual(len(study.ask(5)), 2)
            study.close()

    def test_a_dead_server(self):
        study = self.open()
        study.ask()
        study._server.send_signal(signal.SIGKILL)
        study._server.wait()
        with self.assertRaises(athanor.Error) as caught:
            study.ask()
        self.assertIn("ended with status -9", str(caught.exception))
        study.close()
        with self.assertRaises(athanor.Error):
            study.ask()

    def test_no_password_in_the_list_of_processes(self):
        space = self.folder / "space.json"
        space.write_text(json.dumps({"space": SPACE, "objective": LOSS}))
        with socket.create_server(("127.0.0.1", 0)) as silent:  # the server that never answers
            url = f"postgresql://me:geheim@127.0.0.1:{silent.getsockname()[1]}/db"
            for arguments in (["show", url], ["best", url + "?password=geheim"], ["worker", url],
                              ["ask-tell", str(space), "--study", url], ["ask-tell", str(space), "--study=" + url]):
                with self.subTest(arguments=arguments), subprocess.Popen(
                        [ATHANOR, *arguments], stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
                    if not select.select([silent, process.stderr], [], [], 20)[0].count(silent):
                        self.assertIn("built without PostgreSQL", process.communicate()[1])
                        continue
                    connection = silent.accept()[0]
                    seen = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
                    connection.close()
                    self.assertNotIn("geheim", process.communicate()[1])
                    self.assertNotIn(b"geheim", seen)
                    self.assertIn(b"postgresql://me:***@127.0.0.1", seen)

    def test_garbage(self):
        """A hundred lines that are no requests: each is answered with an error, and nothing has changed."""
        rng = random.Random(1)
        known = ['{"op":"ask"}', '{"op":"tell","trial":0,"values":{"loss":1}}', '{"op":"best"}',
                 '{"op":"report","trial":0,"step":1,"values":{"loss":1}}']
        lines = ["", "null", "[]", "{}", '"ask"', "{" * 100, '{"op":"ask","op":"ask"}', '{"op":"ask","n":0}',
                 '{"op":"ask","n":1e99}', '{"op":"tell"}', '{"op":"tell","trial":-1,"values":{"loss":1}}',
                 '{"op":"tell","trial":0,"values":{"loss":"one"}}', '{"op":"tell","trial":0,"values":[1]}',
                 '{"op":"tell","trial":0,"state":"gone"}', '{"op":"tell","trial":0,"state":"failed","reason":"bored"}',
                 '{"op":"report","trial":0,"step":-3,"values":{"loss":1}}', '{"op":"add","params":{},"values":{}}',
                 '{"op":"add","params":{"x":"<b>"},"values":{"loss":1}}', '{"op":"drop table"}', "\x00\x01"]
        while len(lines) < 100:
            text = list(rng.choice(known))
            for _ in range(rng.randint(1, 4)):
                text[rng.randrange(len(text))] = chr(rng.randrange(32, 127))
            line = "".join(text)
            try:
                json.loads(line)
            except ValueError:
                lines.append(line)
        space = self.folder / "space.json"
        space.write_text(json.dumps({"space": SPACE, "objective": LOSS, "max_trials": 5}))
        command = [ATHANOR, "ask-tell", str(space), "--study", self.study]
        asked = subprocess.run(command, input='{"op":"ask"}\n', capture_output=True, text=True, check=True)
        before = self.trials()
        done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
        answers = done.stdout.splitlines()
        self.assertEqual(len(answers), len(lines), done.stderr)
        for line, answer in zip(lines, answers):
            self.assertEqual(list(json.loads(answer)), ["error"], line)
        self.assertEqual(self.trials(), before)
        again = subprocess.run(command, input='{"op":"ask"}\n', capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(again.stdout)["params"], json.loads(asked.stdout)["params"])

    def trials(self):
        shown = subprocess.run([ATHANOR, "export", self.study, "--format", "json"], capture_output=True, text=True,
                               check=True)
        return json.loads(shown.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
