"""fit.json and fit_*.safetensors: three short real trainings on the first Fashion-MNIST images, not shuffled.

Each is trained twice, in float32 and in float64 from the same weights: the difference is what rounding alone does,
which is what a test's tolerance has to allow."""
import gzip
import json
import struct
from pathlib import Path

from common import FOLDER, keras, np, short, write

L = keras.layers
DATA = Path("/usr/share/datasets/fashion-mnist")
EPOCHS, VALIDATION = 3, 200
MODELS = [
    dict(name="mlp", samples=500, batch=128, optimizer=lambda: keras.optimizers.RMSprop(),
         layers=lambda: [L.Flatten(), L.Dense(16, activation="relu"), L.Dense(10, activation="softmax")],
         recipe={"model": ["flatten", {"dense": {"units": 16, "activation": "relu"}},
                           {"dense": {"units": 10, "activation": "softmax"}}],
                 "optimizer": "rmsprop"}),
    dict(name="cnn", samples=512, batch=64, optimizer=lambda: keras.optimizers.Adam(0.003),
         layers=lambda: [L.Reshape((28, 28, 1)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(),
                         L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Flatten(),
                         L.Dense(10, activation="softmax")],
         recipe={"model": [{"reshape": {"target_shape": [28, 28, 1]}},
                           {"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, "max_pooling2d",
                           {"conv2d": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "max_pooling2d",
                           "flatten", {"dense": {"units": 10, "activation": "softmax"}}],
                 "optimizer": {"adam": {"learning_rate": 0.003}}}),
    dict(name="bn", samples=512, batch=96, optimizer=lambda: keras.optimizers.SGD(0.05, momentum=0.9),
         layers=lambda: [L.Flatten(), L.Dense(16, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.001)),
                         L.BatchNormalization(), L.Activation("relu"), L.Dropout(0.0),
                         L.Dense(10, activation="softmax", kernel_regularizer=keras.regularizers.L2(0.001))],
         recipe={"model": ["flatten",
                           {"dense": {"units": 16, "use_bias": False, "kernel_regularizer": {"l2": 0.001}}},
                           "batch_normalization", {"activation": {"activation": "relu"}}, {"dropout": {"rate": 0.0}},
                           {"dense": {"units": 10, "activation": "softmax", "kernel_regularizer": {"l2": 0.001}}}],
                 "optimizer": {"sgd": {"learning_rate": 0.05, "momentum": 0.9}}}),
]


def idx(name, offset):
    return np.frombuffer(gzip.open(DATA / name).read(), np.uint8, offset=offset)


def variables(model):
    """{"dense/kernel": variable}: Keras's paths without the model's name; no seed generators."""
    return {v.path.split("/", 1)[-1]: v for v in model.weights if "seed_generator" not in v.path}


def safetensors(path, named):
    head, at = {}, 0
    for name, value in named.items():
        head[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in named.values()))


def train(row, x, y, init, dtype):
    keras.backend.clear_session()
    keras.config.set_floatx(dtype)
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((28, 28)), *row["layers"]()])
    if init:
        for name, v in variables(model).items():
            v.assign(init[name])
    init = {k: np.asarray(v, np.float32) for k, v in variables(model).items()}
    model.compile(row["optimizer"](), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    n = row["samples"]
    x = (x.astype(dtype) / np.asarray(255, dtype)).astype(dtype)
    history = model.fit(x[:n], y[:n], batch_size=row["batch"], epochs=EPOCHS, shuffle=False, verbose=0,
                        validation_data=(x[n:n + VALIDATION], y[n:n + VALIDATION])).history
    first = model.predict(x[:4], verbose=0)
    return init, history, {k: np.asarray(v) for k, v in variables(model).items()}, first


def case(row, x, y):
    init, history, after, first = train(row, x, y, None, "float32")
    _, history64, after64, first64 = train(row, x, y, init, "float64")
    safetensors(FOLDER / f"fit_{row['name']}_init.safetensors", init)
    safetensors(FOLDER / f"fit_{row['name']}_after.safetensors", after)
    keys = ["loss", "accuracy", "val_loss", "val_accuracy"]
    train_options = {"optimizer": row["recipe"]["optimizer"], "loss": "sparse_categorical_crossentropy",
                     "metrics": ["accuracy"], "epochs": EPOCHS}
    recipe = {"name": f"fit-{row['name']}",
              "data": {"train": {"x": "x.npy", "y": "y.npy"}, "validation": VALIDATION, "batch": row["batch"]},
              "model": row["recipe"]["model"], "train": train_options}
    return {"name": row["name"], "samples": row["samples"], "validation": VALIDATION, "recipe": recipe,
            "epochs": [{k: short(history[k][e]) for k in keys} for e in range(EPOCHS)],
            "epochs_f64": [{k: float(history64[k][e]) for k in keys} for e in range(EPOCHS)],
            "norms": {k: short(np.linalg.norm(v)) for k, v in after.items()},
            "rounding": {k: short(np.abs(v - after64[k]).max()) for k, v in after.items()},
            "predict_first_4": [[short(p) for p in r] for r in first],
            "predict_rounding": short(np.abs(first - first64).max())}


def main():
    x = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:1000]
    y = idx("train-labels-idx1-ubyte.gz", 8)[:1000].astype(np.int32)
    write("fit.json", [case(row, x, y) for row in MODELS])


if __name__ == "__main__":
    main()
