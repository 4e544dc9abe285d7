"""What the tests that kill have in common: processes below a process, signals that may come too late, random instants."""
import os
import pathlib
import signal
import subprocess
import time


def children_of(pid):
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def ends_within(process, seconds):
    """Does it end by itself before?"""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    return process.poll() is not None


def wait_until(true, seconds=60, pause=0.002):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited for {seconds} s in vain")
        time.sleep(pause)


def start(case, command, cwd, **options):
    """A process that the test case ends, whatever happens."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    case.addCleanup(process.stderr.close)
    case.addCleanup(process.wait)
    case.addCleanup(process.kill)
    return process
