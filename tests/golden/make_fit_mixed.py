"""fit_mixed.json: the first steps of a small convolutional net under mixed_bfloat16, by Keras on PyTorch.

Everybody rounds in places of his own, and from there on trainings part. So each is run on JAX too (not on TensorFlow, whose
sums over bfloat16 lose more on a CPU), and in float32: how far these three lie apart is what a test has to allow."""
import importlib.metadata
import json
import os
import subprocess
import sys

from common import FOLDER, VERSIONS, keras, np, numbers, short, write
from make_fit import idx, safetensors, variables

L = keras.layers
BACKENDS = ["torch", "jax"]
BATCH, STEPS, VALIDATION = 32, 6, 64  # each epoch is one step over the same batch
KEYS = ["loss", "val_loss"]
LAYERS = {"reshape": L.Reshape, "conv2d": L.Conv2D, "batch_normalization": L.BatchNormalization,
          "activation": L.Activation, "max_pooling2d": L.MaxPooling2D, "flatten": L.Flatten, "dense": L.Dense}
CONV = {"kernel_size": 3, "padding": "same", "use_bias": False}
HIDDEN = [{"reshape": {"target_shape": [28, 28, 1]}},
          {"conv2d": {"filters": 16, **CONV}}, {"batch_normalization": {"momentum": 0.9}},
          {"activation": {"activation": "relu"}}, {"max_pooling2d": {"pool_size": 3, "strides": 2, "padding": "same"}},
          {"conv2d": {"filters": 32, **CONV}}, {"batch_normalization": {"momentum": 0.9}},
          {"activation": {"activation": "relu"}}, {"max_pooling2d": {"pool_size": 4}}, {"flatten": {}}]
CASES = [dict(name="all", last={}, optimizer="sgd", options={"learning_rate": 0.02, "momentum": 0.9}),
         dict(name="last_float32", last={"dtype": "float32"}, optimizer="adam", options={"learning_rate": 0.002})]


def layers(row):
    return [*HIDDEN, {"dense": {"units": 10, "activation": "softmax", **row["last"]}}]


def net(row, policy):
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)
    return keras.Sequential([keras.Input((28, 28)), *(LAYERS[k](**o) for l in layers(row) for k, o in l.items())])


def initial(model):
    """The same on every backend: scaled normal kernels, the rest as Keras begins."""
    rng = np.random.default_rng(5)
    ones = ("gamma", "moving_variance")
    return {name: numbers(rng, v.shape, np.sqrt(2 / np.prod(v.shape[:-1]))) if name.endswith("kernel")
            else np.full(v.shape, name.endswith(ones), np.float32) for name, v in variables(model).items()}


def train(row, policy, x, y):
    model = net(row, policy)
    init = initial(model)
    for name, v in variables(model).items():
        v.assign(init[name])
    model.compile(keras.optimizers.get({"class_name": row["optimizer"], "config": row["options"]}),
                  "sparse_categorical_crossentropy", jit_compile=False)
    return model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, epochs=STEPS, shuffle=False, verbose=0,
                     validation_data=(x[BATCH:], y[BATCH:])).history


def trainings():
    """On this process's backend: a history of each case and policy."""
    n = BATCH + VALIDATION
    x = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:n].astype(np.float32) / np.float32(255)
    y = idx("train-labels-idx1-ubyte.gz", 8)[:n].astype(np.int32)
    return [{p: train(row, p, x, y) for p in ["mixed_bfloat16", "float32"]} for row in CASES]


def on(backend):
    out = subprocess.run([sys.executable, __file__, "--here"], check=True, capture_output=True, text=True,
                         env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}).stdout
    return json.loads(out.splitlines()[-1])


def apart(runs, key):
    """The largest distance of any two of the runs, up to and with each step."""
    series = np.array([run[key] for run in runs])
    return [short(d) for d in np.maximum.accumulate(series.max(0) - series.min(0))]


def case(row, torch, jax):
    mixed, plain = torch["mixed_bfloat16"], torch["float32"]
    recipe = {"name": f"fit-mixed-{row['name']}", "dtype_policy": "mixed_bfloat16",
              "data": {"train": {"x": "x.npy", "y": "y.npy"}, "validation": VALIDATION, "batch": BATCH},
              "model": layers(row), "train": {"optimizer": {row["optimizer"]: row["options"]},
                                              "loss": "sparse_categorical_crossentropy", "epochs": STEPS}}
    return {"name": row["name"], "samples": BATCH, "validation": VALIDATION, "recipe": recipe,
            "epochs": [{k: short(mixed[k][e]) for k in KEYS} for e in range(STEPS)],
            "float32": [{k: short(plain[k][e]) for k in KEYS} for e in range(STEPS)],
            "apart": {k: apart([mixed, plain, jax["mixed_bfloat16"]], k) for k in KEYS}}


def main():
    if sys.argv[1:] == ["--here"]:
        print(json.dumps(trainings()))
        return
    histories = [on(b) for b in BACKENDS]
    VERSIONS.update({b: importlib.metadata.version(b) for b in BACKENDS})
    del VERSIONS["tensorflow"]
    safetensors(FOLDER / "fit_mixed_init.safetensors", initial(net(CASES[0], "float32")))
    write("fit_mixed.json", [case(*of_case) for of_case in zip(CASES, *histories)])


if __name__ == "__main__":
    main()
