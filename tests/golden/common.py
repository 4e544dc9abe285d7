"""What every generator of this folder shares: Keras on TensorFlow, one thread, float32, and compact JSON."""
import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # plain kernels: the same sums on every processor, nearly

import keras
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

FOLDER = Path(__file__).parent
VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}


def numbers(rng, shape, scale=1.0):
    """Normal numbers with four decimals, so that a reader of the file can type them in."""
    return (rng.standard_normal(shape) * scale).round(4).astype(np.float32)


def tensor(array):
    array = np.asarray(array)
    kind = int if array.dtype.kind in "iub" else short
    return {"shape": list(array.shape), "data": [kind(x) for x in array.ravel()]}


def short(x):
    """The shortest decimal that reads back as the same float32."""
    return float(str(np.float32(x)))


def write(name, cases, **more):
    """One case a line, so that a change of one case is one line of difference."""
    head = json.dumps({"versions": VERSIONS, **more})[:-1]
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases)
    path = FOLDER / name
    path.write_text(f'{head}, "cases": [\n{lines}\n]}}\n')
    print(f"{name}: {len(cases)} cases, {path.stat().st_size} bytes")
