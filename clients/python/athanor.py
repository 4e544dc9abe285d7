"""Athanor's samplers from Python: ask for a trial, run it however you like, tell what it was worth.

    import athanor

    space = {"lr": athanor.Float(1e-5, 0.1, prior="log"), "units": athanor.Int(16, 256, step=16)}
    with athanor.Study(space, objective={"metric": "loss", "direction": "min"}, max_trials=50) as study:
        for trial in study:                                  # asks until max_trials, exhausted, ...
            for step in range(1, 11):
                loss = train_one_epoch(**trial.params)
                if study.report(trial, step, {"loss": loss}) != "continue":
                    break                                    # the scheduler stops it: see tell(state="pruned")
            study.tell(trial, {"loss": loss})
        print(study.best())

One file over `athanor ask-tell` (docs/ask-tell.md), standard library only. `space` is a map as above, the path of a SPACE
file, or its text. `study` names a file or a URL where the trials are kept: the same one goes on, and `athanor show` looks
into it. An Error carries the server's sentence."""
import json
import os
import subprocess
import tempfile

__all__ = ["Study", "Trial", "Error", "Int", "Float", "Bool", "Choice"]


class Error(Exception):
    """What the server said, or how it ended."""


def Int(min, max, **more):
    """An integer in min..max. step, prior (uniform, log, reverse_log), default, name."""
    return {"!int": {"min": min, "max": max, **more}}


def Float(min, max, **more):
    """A number in min..max. step, prior (uniform, log, reverse_log, {"normal": {mean, std}}), default, name."""
    return {"!float": {"min": min, "max": max, **more}}


def Bool(**more):
    """True or false. default, name."""
    return {"!bool": more}


def Choice(of, **more):
    """One of a list. A branch {"sgd": {"momentum": Float(0, 1)}} has parameters of its own. weights, ordered, name."""
    return {"!choice": {"of": list(of), **more}}


class Trial:
    """number, and params: name -> value."""

    def __init__(self, answer):
        self.number, self.params = answer["trial"], answer["params"]
        self.resumed, self.until = answer.get("resumed", False), answer.get("until")

    def __repr__(self):
        return f"Trial({self.number}, {self.params})"


class Study:
    def __init__(self, space=None, objective=None, *, study=None, program="athanor", **options):
        """objective: the name of a value, {"metric": …, "direction": "min" | "max"}, or a list of these.
        options: what a SPACE file has at its top: sampler, scheduler, max_trials, seed, constraints, points, …"""
        self.done = None  # why no more trials come
        self._metric = objective.get("metric") if isinstance(objective, dict) else objective
        if not isinstance(self._metric, str):
            self._metric = None
        self._file = None
        settings = {**({"objective": objective} if objective is not None else {}), **options}
        path = space if isinstance(space, str) and "\n" not in space and os.path.exists(space) else None
        if path is None:  # a file for now; the study's name does not come from it
            settings.setdefault("name", "study")
            path = self._file = self._write(space)
        sets = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
        command = [program, "ask-tell", path, *sets, *([f"--study={study}"] if study else [])]
        self._words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # a pipe nobody reads fills up
        try:
            self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self._words, text=True, encoding="utf-8")
        except OSError as e:
            self._words.close()
            self._forget()
            raise Error(f"{program}: cannot be started: {e.strerror}; give program=PATH") from e
        first = self._ready()
        if first is not None:
            raise first

    # ---- the conversation

    def ask(self, n=None):
        """The next Trial, or None when there is no more (`done` says why) or none for now (`done` is None: results of
        running ones must come first). With n a list of at most n, which are begun in one commit."""
        answer = self._call({"op": "ask"} if n is None else {"op": "ask", "n": n})
        if "done" in answer:
            self.done = answer["done"]
        if n is None:
            return Trial(answer) if "trial" in answer else None
        return [Trial(t) for t in answer.get("trials", [])]

    def tell(self, trial, values=None, *, state=None, reason=None, message=None, constraints=None):
        """values: a number (one objective), or a map name -> number. state "failed" with a reason (crash, memory, timeout,
        nan, lost), or "pruned". constraints: numbers, the trial is feasible where none is above 0."""
        self._call({"op": "tell", **self._end(trial, values, state=state, reason=reason, message=message,
                                              constraints=constraints)})

    def tell_many(self, ends):
        """Many trials in one commit, all of them or none: (trial, values) pairs, or maps with the arguments of tell."""
        self._call({"op": "tell", "trials": [self._end(**end) if isinstance(end, dict) else self._end(*end)
                                             for end in ends]})

    def report(self, trial, step, values):
        """A value under way, steps from 1. Gives "continue", "prune" or "pause"."""
        return self._call({"op": "report", "trial": _number(trial), "step": step,
                           "values": self._values(values)})["action"]

    def add(self, params, values):
        """A trial that was run elsewhere. Gives its number."""
        return self._call({"op": "add", "params": params, "values": self._values(values)})["trial"]

    def best(self):
        """{"trial", "params", "values"}; with several objectives {"front": [these]}."""
        return self._call({"op": "best"})

    def __iter__(self):
        """Trials one after the other, until there is none."""
        while (trial := self.ask()) is not None:
            yield trial

    # ---- the end

    def close(self):
        """Ends the server; what was told is kept where `study` is."""
        if self._server.poll() is None:
            try:
                self._server.stdin.close()
                self._server.wait(timeout=30)
            except (OSError, subprocess.TimeoutExpired):
                self._server.kill()
                self._server.wait()
        for stream in (self._server.stdin, self._server.stdout, self._words):
            try:
                stream.close()
            except OSError:
                pass  # the server was gone, and with it what had not been sent
        self._forget()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- inside

    def _write(self, space):
        file = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False, encoding="utf-8")
        with file:
            file.write(space if isinstance(space, str) else json.dumps({"space": space}))
        return file.name

    def _forget(self):
        if self._file:
            os.unlink(self._file)
            self._file = None

    def _ready(self):
        """The server reads its file before it answers: a mistake in it is told here, not at the first ask."""
        try:
            self._call({"op": "best"})
        except Error as e:
            if self._server.poll() is not None or self._gone:
                self.close()
                return e
        return None

    _gone = False

    def _call(self, request):
        if self._gone or self._server.stdin.closed:
            raise Error("the study is closed: its server has ended")
        try:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            line = self._server.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._gone = True
            self._server.wait()
            self._words.seek(0)
            words = self._words.read().strip().splitlines()
            raise Error(words[-1].removeprefix("athanor: ") if words
                        else f"the server has ended with status {self._server.returncode}")
        answer = json.loads(line)
        if "error" in answer:
            raise Error(answer["error"])
        return answer

    def _end(self, trial, values=None, **more):
        request = {"trial": _number(trial), **{key: value for key, value in more.items() if value is not None}}
        if values is not None:
            request["values"] = self._values(values)
        return request

    def _values(self, values):
        if isinstance(values, dict):
            return values
        if self._metric is None:
            raise Error("a plain number was given, but Study was not told one objective; give a map name -> number")
        return {self._metric: values}


def _number(trial):
    return trial.number if isinstance(trial, Trial) else trial
