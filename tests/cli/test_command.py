#!/usr/bin/env python3
"""tune [SPACE] -- COMMAND from outside: what commands are given, what is read of them, and what bad ones get.
Usage: test_command.py ATHANOR OBJECTIVE, the latter objective.c of this folder as a program."""
import json
import os
import pathlib
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ATHANOR, OBJECTIVE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PYTHON = sys.executable
X = ("--param", "x=!float {min: 0, max: 1}")
LOSS = ("--set", "objective=loss")
REPORT = "echo '{{\"loss\": {x}}'"  # a brace itself is {{

SPACE = """space:
  x: !float {min: 0, max: 1}
  net:
    units: !int {min: 1, max: 4}
  kind: !choice [plain, {as: fancy, value: {depth: !int {min: 2, max: 3}}}]
objective: {metric: score, direction: max}
sampler: random
seed: 5
max_trials: 6
"""


class Command(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="athanor-command-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def call(self, *arguments, env=None):
        return subprocess.run([ATHANOR, "tune", *arguments], cwd=self.folder, env={**os.environ, **(env or {})},
                              capture_output=True, text=True, timeout=120)

    def tunes(self, *arguments, env=None):
        done = self.call(*arguments, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def fails(self, code, part, *arguments):
        done = self.call(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(part, done.stderr.splitlines()[-1])
        self.assertTrue(done.stderr.splitlines()[-1].startswith("athanor: "))
        return done

    def sh(self, script, *arguments, trials=3):
        """A command of one script, and the program's options."""
        return (*X, *LOSS, "--set", f"max_trials={trials}", "--dir", "run", *arguments, "--", "sh", "-c", script)

    def study(self, folder="run"):
        """{number: (state, value)}"""
        with sqlite3.connect(f"file:{self.folder / folder}/study.db?mode=ro", uri=True) as db:
            return {n: (state, value) for n, state, value in db.execute(
                "select number, state, value from trials left join trial_values using(trial_id) order by number")}

    def steps(self, trial, folder="run"):
        with sqlite3.connect(f"file:{self.folder / folder}/study.db?mode=ro", uri=True) as db:
            return db.execute("select step, intermediate_value from trial_intermediate_values join trials"
                              " using(trial_id) where number=? order by step", (trial,)).fetchall()

    def log(self, trial, name="stdout.log", folder="run"):
        return (self.folder / folder / f"trials/{trial}/0" / name).read_text()

    def report(self, folder="run"):
        return json.loads((self.folder / folder / "report.json").read_text())

    # ---- programs of three languages

    def test_a_full_disk_in_the_first_trial(self):
        """Nothing was refused: exit 1. The disk is one of memory, in a mount namespace of its own."""
        inside = "mount -t tmpfs -o size=300k none full 2>/dev/null || exit 77; exec \"$@\""
        (self.folder / "full").mkdir()
        script = 'head -c 400000 /dev/zero > {dir}/big; echo "{{\\"loss\\": {x}}"'
        arguments = self.sh(script, "--dir", "full/run", trials=4)
        done = subprocess.run(["unshare", "-rm", "sh", "-c", inside, "sh", ATHANOR, "tune", *arguments],
                              cwd=self.folder, capture_output=True, text=True, timeout=60)
        if done.returncode == 77 or "unshare" in done.stderr:
            self.skipTest("no mount namespaces here")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.splitlines()[-1], f"athanor: {self.folder.resolve()}/full/run/study.db: no space left on "
                         "the disk; free some and start again; no finished trial is lost")

    def test_a_python_script(self):
        (self.folder / "train.py").write_text(
            "import argparse, json\n"
            "p = argparse.ArgumentParser()\n"
            "p.add_argument('--lr', type=float); p.add_argument('--out')\n"
            "a = p.parse_args()\n"
            "open(a.out + '/weights', 'w').write('w')\n"
            "print('epoch 1 of 2')\n"
            "for step in range(2):\n"
            "    print(json.dumps({'step': step, 'loss': abs(a.lr - 0.3) + 1 - step, 'note': '<b>\"x\"</b>'}), flush=True)\n")
        done = self.tunes("--param", "lr=!float {min: 1e-5, max: 1, prior: log}", *LOSS, "--set", "max_trials=8",
                          "--dir", "run", "--", PYTHON, "train.py", "--lr", "{lr}", "--out={dir}")
        self.assertRegex(done.stdout, r"^best of 8 trials: trial \d, loss [\d.e-]+\n  lr: [\d.e-]+\n$")
        self.assertEqual(len(self.study()), 8)
        self.assertEqual([s for s, _ in self.steps(0)], [1, 2])  # a program that counts from 0
        self.assertEqual(self.log(3), "epoch 1 of 2\n")
        self.assertEqual((self.folder / "run/trials/3/0/weights").read_text(), "w")
        best = self.report()["best"]
        self.assertAlmostEqual(best["values"]["loss"], abs(best["params"]["lr"] - 0.3))
        self.assertEqual(best["values"]["loss"], min(v for _, v in self.study().values()))

    def test_a_shell_script(self):
        script = self.folder / "train.sh"
        script.write_text("#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --x) x=$2;; esac; shift 2; done\n"
                          "echo \"{\\\"loss\\\": $x}\"\n")
        script.chmod(0o755)
        self.tunes(*X, *LOSS, "--set", "max_trials=3", "--dir", "run", "--jobs", "2", "--", "./train.sh", "{args}")
        self.assertEqual({state for state, _ in self.study().values()}, {"COMPLETE"})

    def test_a_c_program(self):
        (self.folder / "space.yaml").write_text("space: {x: !float {min: 0, max: 1}, n: !int {min: 0, max: 3}}\n"
                                                "objective: loss\nmax_trials: 12\nvalue: last\n")
        done = self.tunes("space.yaml", "--json", "--", OBJECTIVE, "{args}")
        best = json.loads(done.stdout)["best"]
        self.assertEqual(best["params"]["n"], 0)
        self.assertAlmostEqual(best["values"]["loss"], (best["params"]["x"] - 0.5) ** 2 + 1 / 3)
        self.assertEqual(len(self.study("runs/space")), 12)

    # ---- what a command is given

    def test_templates_and_environment(self):
        (self.folder / "space.yaml").write_text(SPACE)
        script = ("printf '%s\\n' \"$@\" > $ATHANOR_DIR/arguments; env | grep ^ATHANOR_ | sort > $ATHANOR_DIR/env;"
                  " echo '{{\"score\": {x}}'")
        self.tunes("space.yaml", "--dir", "run", "--", "sh", "-c", script, "0", "{x}", "u{net.units}-{trial}", "{seed}",
                   "{dir}", "{{}", "{{x}", "a b'\"c\n<i>", "{kind.fancy.depth}", "{args}")
        depths = set()
        for trial in range(6):
            where = self.folder / f"run/trials/{trial}/0"
            environment = dict(line.split("=", 1) for line in (where / "env").read_text().splitlines())
            x, units, kind = (environment[f"ATHANOR_PARAM_{n}"] for n in ("X", "NET_UNITS", "KIND"))
            depth = environment.get("ATHANOR_PARAM_KIND_FANCY_DEPTH")
            depths.add(depth)
            self.assertEqual(environment["ATHANOR_TRIAL"], str(trial))
            self.assertEqual(environment["ATHANOR_DIR"], str(where.resolve()))
            self.assertLess(int(environment["ATHANOR_SEED"]), 2 ** 31)
            inner = ["--kind.fancy.depth", depth] if depth else []
            self.assertEqual((where / "arguments").read_text(), "\n".join(
                [x, f"u{units}-{trial}", environment["ATHANOR_SEED"], str(where.resolve()), "{}", "{x}", "a b'\"c\n<i>",
                 depth or "", "--x", x, "--net.units", units, "--kind", kind, *inner]) + "\n")
            self.assertEqual(float(x), self.study()[trial][1])
        self.assertGreater(len(depths), 1)  # with and without
        self.assertIn(None, depths)

    def test_threads_and_standard_input(self):
        script = "cat; echo $OMP_NUM_THREADS; " + REPORT
        plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        for arguments, extra, expected in ((("--jobs", "2"), {}, "1\n"), ((), {}, "\n"), (("--threads", "3"), {}, "3\n"),
                                           (("--jobs", "2"), {"OMP_NUM_THREADS": "7"}, "7\n")):
            subprocess.run([ATHANOR, "tune", *self.sh(script, "--overwrite", *arguments)], cwd=self.folder,
                           env={**plain, **extra}, capture_output=True, check=True, stdin=subprocess.PIPE, timeout=60)
            self.assertEqual(self.log(1), expected)

    def test_dry_run(self):
        done = self.tunes("--param", "x=!float {min: 0, max: 1, default: 0.25}", *LOSS, "--dir", "run", "--dry-run",
                          "--", "sh", "-c", "echo '{{\"step\": 1, \"loss\": {x}}'; echo it\\'s '<b>'")
        said = done.stderr
        self.assertIn("""command: sh -c 'echo '\\''{"step": 1, "loss": 0.25}'\\''; echo it\\'\\''s '\\''<b>'\\'''""", said)
        self.assertIn("environment: ATHANOR_PARAM_X=0.25\n", said)
        self.assertIn("objective: loss, which is made small\n", said)
        self.assertIn('report of step 1: {"loss":0.25}\n', said)
        self.assertIn("trial 0: loss 0.25  (x 0.25)\n", said)
        self.assertFalse((self.folder / "run/study.db").exists())
        self.fails(1, "no trial succeeded (max_trials): the command exited with status 4 before its task was done: no GPU", *X, *LOSS,
                   "--dir", "run", "--dry-run", "--", "sh", "-c", "echo no GPU >&2; exit 4")

    # ---- what is read of it

    def test_reports(self):
        lines = "\\n".join(['{{"step": 1, "loss": 3, "acc": 1}', 'loss: 5', '{{"other": 1}', '{{"step": 2, "loss": 0.5}',
                            ' {{"step": 3, "loss": 1e3}', '{{"step": 2, "loss": -9}', '[1]', '{{"loss"', '', 'last'])
        self.tunes(*self.sh(f"printf '{lines}'", trials=1))  # the last line without an end
        self.assertEqual(self.steps(0), [(1, 3), (2, 0.5), (3, 1000)])  # a step that was reported stays as it was
        self.assertEqual(self.study()[0], ("COMPLETE", 0.5))
        self.assertEqual(self.log(0), 'loss: 5\n{"other": 1}\n[1]\n{"loss"\n\nlast\n')
        self.tunes(*self.sh(f"printf '{lines}'", "--set", "value=last", "--overwrite", trials=1))
        self.assertEqual(self.study()[0], ("COMPLETE", 1000))
        final = lines + '\\n{{"loss": 7}\\n{{"loss": 8}\\n{{"step": 4, "loss": 0}\\n'
        self.tunes(*self.sh(f"printf '{final}'", "--overwrite", trials=1))
        self.assertEqual(self.study()[0], ("COMPLETE", 8))  # the last one without a step outranks all steps

    def test_numbers_that_json_has_no_words_for(self):
        self.tunes(*self.sh("""echo '{{"step": 1, "loss": NaN, "s": "NaN\\"nan"}'; echo '{{"step": 2, "loss": 2}';"""
                            """ echo '{{"step": 3, "loss": Infinity}'"""))
        self.assertEqual(self.study()[2], ("COMPLETE", 2))
        done = self.call(*self.sh("""echo '{{"loss": nan}'""", "--overwrite"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("trial 2 failed (nan): the objective 'loss' was not a number", done.stderr)

    def test_reports_that_cannot_be_ones(self):
        for line, sentence in (('{{"step": 1.5, "loss": 1}', "a report's \"step\" is a number, expected an integer from 1"),
                               ('{{"step": -1, "loss": 1}', "\"step\""), ('{{"loss": "low"}', "gives 'loss' as a text"),
                               ('{{"loss": [1]}', "gives 'loss' as a list")):
            done = self.fails(1, sentence, *self.sh(f"echo '{line}'", "--overwrite"))
            self.assertEqual(done.stderr.count("failed (crash)"), 3)

    def test_texts_are_shown_as_text(self):
        """Quotes, newlines, HTML and a terminal's codes, in names, values and last words."""
        (self.folder / "space.yaml").write_text('space: {"a\\"<b>": !choice ["x\\ny", "<script>", "\\e[31m"]}\n'
                                                "objective: loss\nsampler: grid\nmax_trials: 3\n")
        done = self.tunes("space.yaml", "--dir", "run", "--", "sh", "-c", "echo '{{\"loss\": 1, \"t\": \"<p>\\\"\"}'")
        self.assertNotIn("\033", done.stderr + done.stdout)
        self.assertEqual(len([l for l in done.stderr.splitlines() if l.startswith("tune  ")]), 3)
        self.assertIn(json.loads(json.dumps(self.report()["best"]["params"]))['a"<b>'], ("x\ny", "<script>", "\033[31m"))
        done = self.call(*self.sh("printf 'a\\033[31m<b>\\tred' >&2; exit 1", "--overwrite"))
        self.assertNotIn("\033", done.stderr)
        self.assertIn("<b>", done.stderr)
        names = ("--set", 'name="\\e[32mstudy"', "--set", 'objective={metric: "\\e[31mred", direction: min}')
        done = self.tunes(*X, *names, "--set", "max_trials=2", "--dir", "red", "--", "printf", '{{"\\\\u001b[31mred": {x}}')
        self.assertNotIn("\033", done.stdout + done.stderr)
        for verb in ("show", "best"):
            shown = subprocess.run([ATHANOR, verb, self.folder / "red"], capture_output=True, text=True, timeout=60).stdout
            self.assertNotIn("\033", shown)
            self.assertIn("\\u001b[31mred", shown)

    # ---- what the program is started with

    def test_whoever_ignores_the_ends_of_children(self):
        """Else a command's exit status would be unknown, and taken for 0."""
        done = subprocess.run([ATHANOR, "tune", *self.sh(REPORT + "; exit 3")], cwd=self.folder, capture_output=True,
                              text=True, timeout=120, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("the command exited with status 3", done.stderr)

    def test_standard_streams_that_are_closed(self):
        line = shlex.join([ATHANOR, "tune", *self.sh("cat; " + REPORT)])
        done = subprocess.run(f"{line} <&-", shell=True, cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = subprocess.run(f"{line} --overwrite >&-", shell=True, cwd=self.folder, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("standard output cannot be written", done.stderr)
        self.assertEqual(self.study()[0][0], "COMPLETE")
        server = shlex.join([ATHANOR, "ask-tell", *X, *LOSS])
        for stream in ("<&-", "< /"):
            done = subprocess.run(f"{server} {stream}", shell=True, cwd=self.folder, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("athanor: ask-tell: standard input cannot be read: ", done.stderr)

    def test_an_interrupt_of_what_keeps_nothing(self):
        with subprocess.Popen([ATHANOR, "ask-tell", *X, *LOSS], cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as server:
            server.stdin.write('{"op": "best"}\n')
            server.stdin.flush()
            self.assertIn("no trial is complete yet", server.stdout.readline())
            server.send_signal(signal.SIGINT)
            self.assertEqual(server.stderr.read(), "athanor: interrupted; nothing of it is kept\n")
        self.assertEqual(server.returncode, 130)
        with subprocess.Popen([ATHANOR, "bench", "--threads", "1"], stdout=subprocess.DEVNULL) as bench:
            time.sleep(0.2)
            bench.send_signal(signal.SIGINT)
            self.assertEqual(bench.wait(timeout=60), -signal.SIGINT)

    # ---- what bad ones get

    def test_what_is_refused_before_anything_starts(self):
        for sentence, arguments in (
            ("the command 'no-such-program' was found in no folder of PATH; a program of this folder is written ./NAME; "
             "nothing was started", (*X, *LOSS, "--", "no-such-program")),
            ("the command './none' does not exist", (*X, *LOSS, "--", "./none")),
            ("is there, but is no program that can be executed (chmod +x?)", (*X, *LOSS, "--", "/etc/passwd")),
            ("a command must follow --", (*X, *LOSS, "--")),
            ("the command has {xx}, but no parameter is called so; did you mean {x}?", (*X, *LOSS, "--", "true", "{xx}")),
            ("the command has {args} within 'a{args}'", (*X, *LOSS, "--", "true", "a{args}")),
            ("a brace that is not closed in '{x'", (*X, *LOSS, "--", "true", "{x")),
            ("a parameter is called 'seed', which is what {seed} stands for", ("--param", "seed=!int {min: 0, max: 9}",
                                                                               *LOSS, "--", "true")),
            ("the parameters 'a.b' and 'a_b' would both be ATHANOR_PARAM_A_B", (
                "--param", "a.b=!int {min: 0, max: 9}", "--param", "a_b=!int {min: 0, max: 9}", *LOSS, "--", "true")),
            ("there is nothing to search", (*LOSS, "--", "true")),
            ("--param x stands twice; leave one out", (*X, *X, *LOSS, "--", "true")),
            ("--overwrite empties the run's folder, but the trials lie where --study says", (
                *X, *LOSS, "--study", "s.db", "--overwrite", "--", "true")),
            ("--param lr: expected NAME=RANGE, such as 'lr=!float", ("--param", "lr", *LOSS, "--", "true")),
            ("space: x: expected !int, !float, !bool, !choice or a map of these, got an integer; a constant belongs into the "
             "command", ("--param", "x=3", *LOSS, "--", "true")),
            ("is a larger speed better?", (*X, "--set", "objective=speed", "--", "true")),
            ("max_trails", (*X, *LOSS, "--set", "max_trails=3", "--", "true")),
            ("cores: expected none, auto or a list", (*X, *LOSS, "--set", "cores=two", "--", "true")),
            ("gpus: expected a list of devices", (*X, *LOSS, "--set", "gpus=0", "--", "true")),
            ("tune: --dry-run is for commands", ("--dry-run", "recipe.yaml")),
            ("points.1: parameter 'x': expected 0..1, got 3", (*X, *LOSS, "--set", "points=[{x: 0.5}, {x: 3}]", "--", "true")),
            ("constraints.1: at character 1 of \"y < 3\": 'y' is no parameter", (
                *X, *LOSS, "--set", "constraints=['x < 2', 'y < 3']", "--", "true")),
            ("asha: how many steps a whole trial takes is unknown", (*X, *LOSS, "--set", "scheduler=asha", "--", "true")),
            ("a study cannot lie in mysql://: expected a file (study.db or sqlite:///study.db) or a PostgreSQL database "
             "(postgresql://user@host/database)", (*X, *LOSS, "--study", "mysql://me:secret@host/study", "--", "true")),
            ("port 1 failed", (*X, *LOSS, "--study", "postgresql://127.0.0.1:1/study", "--", "true")),
        ):
            done = self.fails(2, sentence, *arguments)
            self.assertNotIn("secret", done.stderr)
        self.assertEqual(list(self.folder.glob("runs/*")), [])

    def test_a_processor_that_is_not_there(self):
        self.fails(2, "cores: processor 1023 is none of those that may be used here", *self.sh(REPORT, "--set", "cores=[1023]"))

    def test_three_failures_from_the_start_end_the_search(self):
        done = self.fails(1, "every trial so far has failed, so the search ends; the last one: the command exited with "
                             "status 7 before its task was done: no such data: /data/x",
                          *self.sh("echo reading; echo no such data: /data/x >&2; exit 7", "--jobs", "2", trials=50))
        self.assertLessEqual(len(self.study()), 4)
        self.assertIn("trial 0 failed (crash)", done.stderr.splitlines()[0])
        self.assertEqual(self.log(0), "reading\n")
        self.assertEqual(self.log(0, "stderr.log"), "no such data: /data/x\n")
        self.fails(1, "before its task was done: said on standard output", *self.sh("echo said on standard output; exit 7",
                                                                                    "--overwrite"))
        # a success before: they are failures of points
        self.tunes(*self.sh("[ {trial} = 0 ] || exit 1; " + REPORT, "--overwrite", trials=5))
        self.assertEqual([s for s, _ in self.study().values()], ["COMPLETE"] + 4 * ["FAIL"])

    def test_a_metric_that_is_never_reported(self):
        self.fails(1, "the command ended well but never reported 'loss': let it print a line {\"loss\": 0.5}, or "
                      "{\"step\": 1, \"loss\": 0.5} as it goes, on standard output (2 other lines)", *self.sh("echo a; echo b"))
        self.fails(1, "the command ended well but never reported 'loss': this line is not JSON: {\"loss\": .5}",
                   *self.sh("""echo '{{"loss": .5}'""", "--overwrite"))
        self.fails(1, "the command ended well but never reported 'loss'; its JSON lines have: step, val_loss, acc; name one "
                      "of these as the objective", *self.sh("""echo '{{"step": 1, "val_loss": 1, "acc": 0}'""", "--overwrite"))

    def test_the_first_trial_runs_alone(self):
        script = "date +%s%N > $ATHANOR_DIR/begin; sleep 0.15; date +%s%N > $ATHANOR_DIR/end; " + REPORT
        self.tunes(*self.sh(script, "--jobs", "3", trials=4))
        times = [[int((self.folder / f"run/trials/{t}/0/{e}").read_text()) for e in ("begin", "end")] for t in range(4)]
        self.assertGreaterEqual(min(begin for begin, _ in times[1:]), times[0][1])
        self.assertLess(max(begin for begin, _ in times[1:]), min(end for _, end in times[1:]))  # the others do not

    def test_limits(self):
        done = self.tunes(*self.sh("[ {trial} = 1 ] && sleep 60; " + REPORT, "--set", "timeout=0.5"))
        self.assertIn("trial 1 failed (timeout): no end within 0.5 seconds", done.stderr)
        hold = "[ {trial} = 1 ] && {{ head -c 400000000 /dev/zero | tail -c 400000000 >&2 || exit 1; }; " + REPORT
        done = self.tunes(*self.sh(hold, "--set", "memory_limit=300", "--overwrite"))
        self.assertIn("trial 1 failed (memory): ", done.stderr)
        flood = "[ {trial} = 1 ] && yes 'a line of a log' | head -c 20000000; " + REPORT
        self.tunes(*self.sh(flood, "--set", "output_limit=0.01", "--overwrite"))
        self.assertEqual(self.log(1).splitlines()[-1], "[cut by athanor: more than output_limit, 0.01 MiB]")
        self.assertLess(len(self.log(1)), 11000)
        self.assertEqual({state for state, _ in self.study().values()}, {"COMPLETE"})

    def test_what_was_lost_is_tried_again(self):
        once = "[ -e {dir}/once ] || {{ touch {dir}/once; kill -9 $$; }; " + REPORT
        done = self.tunes(*self.sh(once, trials=2))
        self.assertRegex(done.stderr, r"trial 1: the command was ended by signal 9 \(SIGKILL, Killed\) \(lost\); it is tried "
                                      r"again in 0\.5 s")
        self.assertEqual({state for state, _ in self.study().values()}, {"COMPLETE"})

    # ---- going on

    def start(self, *arguments):
        process = subprocess.Popen([ATHANOR, "tune", *arguments], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, path):
        for _ in range(6000):
            if (self.folder / path).exists():
                return
            time.sleep(0.005)
        self.fail(f"{path} was never made")

    def test_interrupt(self):
        slow = self.sh("[ {trial} = 2 ] && ! [ -e go ] && {{ trap 'touch {dir}/told; exit 1' TERM; touch at2; sleep 60 & wait; }; "
                       + REPORT, trials=5)
        process = self.start(*slow)
        self.wait_for("at2")
        second = self.call(*slow)
        self.assertEqual(second.returncode, 2)
        self.assertIn(f"in use by process {process.pid}", second.stderr)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130)
        self.assertEqual(said.splitlines()[-1],
                         "athanor: interrupted; the state is saved, the same command goes on from there")
        self.assertTrue((self.folder / "run/trials/2/0/told").exists())
        self.assertEqual([s for s, _ in self.study().values()], ["COMPLETE", "COMPLETE", "RUNNING"])
        before = self.study()
        (self.folder / "go").touch()
        self.tunes(*slow)
        after = self.study()
        self.assertEqual([s for s, _ in after.values()], 5 * ["COMPLETE"])
        self.assertEqual([before[t] for t in range(2)], [after[t] for t in range(2)])

    def test_killed(self):
        slow = self.sh("[ {trial} = 2 ] && ! [ -e go ] && {{ touch at2; sleep 60; }; " + REPORT, trials=5)
        process = self.start(*slow)
        self.wait_for("at2")
        process.kill()
        process.wait()
        (self.folder / "go").touch()
        self.tunes(*slow)
        killed = self.study()
        self.tunes(*slow, )
        self.assertEqual(killed, self.study())  # complete: nothing is done
        self.tunes(*self.sh(slow[-1], "--overwrite", trials=5))
        self.assertEqual(killed, self.study())  # as if nobody had killed it

    def test_a_resumable_command(self):
        """Killed at step 3, it goes on from its own file; what it reported before counts."""
        script = ('n=0; [ "$ATHANOR_RESUMED" ] && read n < {dir}/n; while [ $n -lt 5 ]; do n=$((n+1)); '
                  'echo "{{\\"step\\": $n, \\"loss\\": 1.$n, \\"again\\": \\"$ATHANOR_RESUMED\\"}"; echo $n > {dir}/n; '
                  'echo line $n; [ $n = 3 ] && [ {trial} = 1 ] && ! [ "$ATHANOR_RESUMED" ] && kill -9 $$; done; true')
        self.tunes(*self.sh(script, "--set", "resumable=true", trials=2))
        self.assertEqual(self.steps(1), [(n, 1 + n / 10) for n in range(1, 6)])
        self.assertEqual(self.log(1), "".join(f"line {n}\n" for n in range(1, 6)))
        end = '[ "$ATHANOR_RESUMED" ] || {{ echo \'{{"loss": 2}\'; kill -9 $$; }; true'  # nothing was left to do
        self.tunes(*self.sh(end, "--overwrite", "--set", "resumable=true", trials=1))
        self.assertEqual(self.study()[0], ("COMPLETE", 2))
        self.tunes(*self.sh(script, "--overwrite", trials=2))  # without, it begins anew
        self.assertEqual(self.steps(1), [(n, 1 + n / 10) for n in range(1, 4)])

    def test_a_command_is_paused_and_goes_on(self):
        """asha: every trial gets to step 1, a third of them to step 3, a third of those to step 9."""
        script = ('n=0; [ "$ATHANOR_RESUMED" ] && read n < {dir}/n; echo from $n to {budget} >> {dir}/parts; '
                  'while [ $n -lt 9 ]; do n=$((n+1)); echo $n > {dir}/n; echo "{{\\"step\\": $n, \\"loss\\": {x}}"; '
                  '[ $n = 9 ] || sleep 0.05; done')  # it does not pause by itself
        self.tunes(*self.sh(script, "--set", "resumable=true", "--set", "scheduler={asha: {max_t: 9, grace_period: 1}}",
                            "--set", "sampler=random", "--set", "timeout=5", trials=9))
        lasts = [len(self.steps(trial)) for trial in range(9)]
        self.assertEqual(set(lasts), {1, 3, 9})
        self.assertGreaterEqual(lasts.count(1), 5)  # how many exactly depends on the order of the good ones
        for trial in range(9):
            parts = (self.folder / f"run/trials/{trial}/0/parts").read_text()
            self.assertEqual(parts, {1: "from 0 to 1\n", 3: "from 0 to 1\nfrom 1 to 3\n",
                                     9: "from 0 to 1\nfrom 1 to 3\nfrom 3 to 9\n"}[len(self.steps(trial))])
        complete = [trial for trial, (state, _) in self.study().items() if state == "COMPLETE"]
        self.assertEqual(complete, [trial for trial in range(9) if lasts[trial] == 9])
        self.assertIn(min(range(9), key=lambda trial: self.steps(trial)[0][1]), complete)

    def test_a_command_is_stopped(self):
        """By SIGTERM, and by SIGKILL where it takes no notice; what it reports then comes too late."""
        for trap, trials in (("", 6), ("trap '' TERM; ", 3)):
            script = (trap + 'for n in 1 2 3 4; do echo "{{\\"step\\": $n, \\"loss\\": {trial}.$n}"; sleep 0.05; done; '
                      '[ {trial} -lt 2 ] || sleep 30; true')
            begin = time.monotonic()
            done = self.tunes(*self.sh(script, "--overwrite", "--set", "scheduler={threshold: {upper: 1.9}}", "--set",
                                       "kill_after=0.5", trials=trials))
            self.assertLess(time.monotonic() - begin, 20)
            self.assertEqual([s for s, _ in self.study().values()], ["COMPLETE"] * 2 + ["PRUNED"] * (trials - 2))
            self.assertEqual(self.steps(2), [(1, 2.1)])
            self.assertIn("trial 2", done.stderr)

    def test_executions_after_the_first_are_for_trials_that_come_to_the_end(self):
        """Of 9 trials those that asha leaves behind run once, in parts; the others three times, and are worth the mean."""
        script = ('n=0; [ "$ATHANOR_RESUMED" ] && read n < {dir}/n; while [ $n -lt {budget} ]; do n=$((n+1)); echo $n > {dir}/n; '
                  'echo "{{\\"step\\": $n, \\"loss\\": $(( $(basename {dir}) + 1 ))}"; done')  # an execution's loss is its number
        for jobs in "1", "2":
            self.tunes(*self.sh(script, "--overwrite", "--set", "resumable=true", "--set", "executions_per_trial=3", "--set",
                                "scheduler={asha: {max_t: 9, grace_period: 1}}", "--set", "sampler=random", "--jobs", jobs, trials=9))
            states = []
            for trial, (state, value) in self.study().items():
                ran = sorted(path.name for path in (self.folder / f"run/trials/{trial}").iterdir())
                self.assertEqual((ran, value), (["0", "1", "2"], 2) if state == "COMPLETE" else (["0"], 1))
                self.assertEqual(len(self.steps(trial)) == 9, state == "COMPLETE")
                states.append(state)
            self.assertEqual(set(states), {"COMPLETE", "PRUNED"})
        self.assertIn("pbt takes one execution a trial", self.call(*self.sh(
            script, "--overwrite", "--set", "resumable=true", "--set", "executions_per_trial=3", "--set",
            "scheduler={pbt: {max_t: 9, perturbation_interval: 3}}")).stderr)

    def test_a_paused_trial_whose_folder_is_gone(self):
        """It begins anew: nobody has what it had left."""
        script = ('[ {trial} = 5 ] && ! [ -e go ] && {{ touch at5; sleep 60; }; n=0; '
                  '[ "$ATHANOR_RESUMED" ] && {{ read n < {dir}/n || exit 1; }; while [ $n -lt "$ATHANOR_BUDGET" ]; do '
                  'n=$((n+1)); echo $n > {dir}/n; echo "{{\\"step\\": $n, \\"loss\\": {x}}"; done')
        line = self.sh(script, "--set", "resumable=true", "--set", "scheduler={asha: {max_t: 9, grace_period: 1}}", "--set",
                       "sampler=random", trials=9)
        process = self.start(*line)
        self.wait_for("at5")
        process.kill()
        process.wait()
        shutil.rmtree(self.folder / "run/trials")
        (self.folder / "go").touch()
        self.tunes(*line)
        self.assertEqual({state for state, _ in self.study().values()}, {"COMPLETE", "PRUNED"})
        self.assertIn("COMPLETE", {state for state, _ in self.study().values()})

    def test_a_command_that_runs_past_max_t(self):
        """It is told to end there, and complete with what it was worth by then; one that ends by itself has its time."""
        script = ('trap "touch {dir}/told; exit 1" TERM; for n in 1 2 3 4 5 6; do echo "{{\\"step\\": $n, \\"loss\\": -$n.{trial}}"; '
                  'sleep 0.05; done; sleep 30 & wait')
        asha = ("--set", "scheduler={asha: {max_t: 3, type: stopping}}")
        self.tunes(*self.sh(script, *asha, trials=2))
        self.assertEqual(self.study(), {0: ("COMPLETE", -3), 1: ("COMPLETE", -3.1)})
        self.assertEqual(self.steps(1), [(1, -1.1), (2, -2.1), (3, -3.1)])
        self.assertTrue((self.folder / "run/trials/1/0/told").exists())
        script = 'for n in 1 2 3; do echo "{{\\"step\\": $n, \\"loss\\": $n}"; done; sleep 0.2; echo \'{{"loss": 7}\''
        self.tunes(*self.sh(script, "--overwrite", *asha, trials=1))
        self.assertEqual(self.study()[0], ("COMPLETE", 7))

    def test_several_drivers(self):
        """worker joins, does its part, and leaves when all is done; so does one that comes too late."""
        process = self.start(*self.sh("sleep 0.1; " + REPORT, trials=14))
        self.wait_for("run/trials/1")
        joined = subprocess.run([ATHANOR, "worker", "run", "--jobs", "2"], cwd=self.folder, capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(joined.returncode, 0, joined.stderr)
        self.assertRegex(joined.stderr.splitlines()[-1], r"the search has ended \(max_trials\); executions that ran here: \d+")
        self.assertGreater(int(joined.stderr.split()[-1]), 2)
        self.assertEqual(process.wait(), 0)
        self.assertEqual(list(self.study()), list(range(14)))
        self.assertEqual({state for state, _ in self.study().values()}, {"COMPLETE"})
        self.assertEqual(list(self.folder.glob("run/trials/*/*.lock")), [])
        late = subprocess.run([ATHANOR, "worker", "run/study.db", "--json"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(json.loads(late.stdout), {"name": "command", "executions": 0, "ended": "max_trials"})

    def test_a_study_of_its_own_place(self):
        self.tunes(*X, *LOSS, "--set", "max_trials=2", "--study", "s.db", "--dir", "run", "--", "sh", "-c", REPORT)
        self.assertFalse((self.folder / "run/study.db").exists())
        self.tunes(*X, *LOSS, "--set", "max_trials=4", "--study", "s.db", "--dir", "other", "--", "sh", "-c", REPORT)
        self.assertEqual({p.name for p in (self.folder / "other/trials").iterdir()}, {"2", "3"})
        done = subprocess.run([ATHANOR, "worker", "nothing.db"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("nothing.db: no such file", done.stderr)

    def test_what_may_change_between_starts(self):
        self.tunes(*self.sh(REPORT, trials=2))
        self.tunes(*self.sh(REPORT, "--set", "timeout=9", "--set", "retries=1", "--set", "sampler=random", trials=4))
        self.assertEqual(len(self.study()), 4)
        self.fails(2, "command.2 was", *self.sh(REPORT + "; true"))
        self.fails(2, "choose another folder (--dir, or --set name=NAME), or start over", *self.sh(REPORT + "; true"))
        self.assertEqual(len(self.study()), 4)  # the folder was there before
        self.fails(2, "seed was absent, is 4", *self.sh(REPORT, "--set", "seed=4"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
