#!/usr/bin/env python3
"""The programs of others that the slow tests ask: from PyPI, into .venv-report at the first call (or where REPORT_VENV
says). `peers.python()` is the Python that has them.

    peers.py PROGRAM ARGUMENT…      runs it with the path of that Python as one more argument"""
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv

WANTED = ["optuna==5.0.0", "optuna-dashboard==0.21.0", "tensorboard==2.21.0", "mlflow-skinny==3.17.2",
          "psycopg2-binary==2.9.11"]
FOLDER = pathlib.Path(os.environ.get("REPORT_VENV", pathlib.Path(__file__).parents[2] / ".venv-report"))


def python():
    done = FOLDER / "installed"
    if not done.exists() or done.read_text() != "\n".join(WANTED):
        venv.create(FOLDER, with_pip=True)
        subprocess.run([FOLDER / "bin/python", "-m", "pip", "install", "--quiet", *WANTED], check=True)
        done.write_text("\n".join(WANTED))
    return FOLDER / "bin/python"


class Server:
    """A web server of a peer on a free port, until the end of the with block."""

    def __init__(self, command, **options):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        python()
        self.command = [str(FOLDER / "bin" / command[0]), *map(str, command[1:]), "--port", str(self.port)]
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        **self.options)
        for _ in range(300):
            if self.process.poll() is not None:
                raise AssertionError(f"{self.command[0]} ended: {self.process.stderr.read()}")
            try:
                self.get("/")
                return self
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"{self.command[0]} does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def get(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body,
                                         headers={"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


if __name__ == "__main__":
    os.execv(sys.argv[1], [*sys.argv[1:], str(python())])
