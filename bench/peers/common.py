"""What the peers share: Fashion-MNIST, the age and the peak memory of this process, the grid of the 8 configurations."""
import gzip
import os
import resource
from pathlib import Path

UNITS, OPTIMIZERS = [16, 32, 48, 64], ["rmsprop", "adam"]
DATA = Path("/usr/share/datasets/fashion-mnist")


def fashion():
    """The 60,000 training images as uint8 [60000, 784] and their labels as uint8."""
    import numpy as np

    def idx(name, offset):
        path = DATA / name
        if not path.exists():
            raise SystemExit(f"{path} is missing; install the Debian package dataset-fashion-mnist")
        return np.frombuffer(gzip.open(path).read(), np.uint8, offset=offset)

    return idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784), idx("train-labels-idx1-ubyte.gz", 8)


def process_seconds():
    """Seconds since this process was started, the interpreter's own start included."""
    started = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def peak_mb(children=False):
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    return round(resource.getrusage(who).ru_maxrss / 1024, 1)
