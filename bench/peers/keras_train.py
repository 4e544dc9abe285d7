"""How fast Keras trains the benchmark nets on TensorFlow or JAX, with the fastest of its own settings.

    keras_train.py CASE THREADS ROUNDS --backend tensorflow|jax [--wait]        CASE: mlp64, mlp512, cnn

Settings: `fit` is Model.fit on arrays, `fit_50` the same with steps_per_execution=50, `step` the training step written by
hand on the backend (tf.function, jax.jit), `step_xla` TensorFlow's compiled by XLA. Every one is tried first, the fastest
is kept. Rounds and --wait are those of torch_train.py."""
import argparse
import json
import os
import sys
import time

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("case", choices=["mlp64", "mlp512", "cnn"])
ARGS.add_argument("threads", type=int)
ARGS.add_argument("rounds", type=int)
ARGS.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
ARGS.add_argument("--wait", action="store_true")
ARGS = ARGS.parse_args()
os.environ["KERAS_BACKEND"] = ARGS.backend
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)  # NPROC: what XLA takes for the number of cores
if ARGS.threads == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import numpy as np

if ARGS.backend == "tensorflow":
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(ARGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
else:
    import jax
import keras
from keras import layers

from common import fashion


def mlp(*units):
    return [keras.Input((28, 28)), layers.Flatten(), *(layers.Dense(u, activation="relu") for u in units),
            layers.Dense(10)]


def cnn():
    return [keras.Input((28, 28)), layers.Reshape((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(128, activation="relu"), layers.Dense(10)]


CASES = {  # layers, optimiser, batch, steps a round
    "mlp64": (lambda: mlp(64), "rmsprop", 128, 400),
    "mlp512": (lambda: mlp(512, 512), "adam", 128, 150),
    "cnn": (cnn, "adam", 64, 50),
}
SETTINGS = {"tensorflow": ["fit", "fit_50", "step", "step_xla"], "jax": ["fit", "fit_50", "step"]}


class Training:
    """One net in training under one setting; the data stays the same."""

    def __init__(self, setting, x, y):
        make, optimizer, self.batch, self.steps = CASES[ARGS.case]
        keras.utils.set_random_seed(0)
        self.x, self.y, self.at = x, y, 0
        self.order = np.random.permutation(len(x))
        self.model = keras.Sequential(make())
        self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, self.loss, steps_per_execution=50 if setting == "fit_50" else 1)
        self.model.optimizer.build(self.model.trainable_variables)
        self.step = None if setting.startswith("fit") else self.jax_step() if ARGS.backend == "jax" else \
            self.tensorflow_step(setting == "step_xla")

    def tensorflow_step(self, compiled):
        @tf.function(jit_compile=compiled)
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = self.loss(y, self.model(x, training=True))
            variables = self.model.trainable_variables
            self.model.optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        return step

    def jax_step(self):
        model, optimizer = self.model, self.model.optimizer
        fixed = [v.value for v in model.non_trainable_variables]
        self.state = [v.value for v in model.trainable_variables], [v.value for v in optimizer.variables]

        def loss_of(weights, x, y):
            return self.loss(y, model.stateless_call(weights, fixed, x, training=True)[0])

        def update(state, x, y):
            loss, gradients = jax.value_and_grad(loss_of)(state[0], x, y)
            return loss, optimizer.stateless_apply(state[1], gradients, state[0])

        update = jax.jit(update, donate_argnums=0)

        def step(x, y):
            loss, self.state = update(self.state, x, y)
            return loss

        return step

    def rows(self, n):
        if self.at + n > len(self.x):
            self.at = 0
        rows = self.order[self.at:self.at + n]
        self.at += n
        return self.x[rows], self.y[rows]

    def run(self, steps):
        if not self.step:
            self.model.fit(*self.rows(steps * self.batch), batch_size=self.batch, epochs=1, verbose=0, shuffle=False)
            return
        for _ in range(steps):
            loss = self.step(*self.rows(self.batch))
        np.asarray(loss)

    def seconds_per_step(self, steps):
        start = time.perf_counter()
        self.run(steps)
        return (time.perf_counter() - start) / steps


def choose(x, y):
    """The fastest setting, and what each took."""
    tried, best = {}, None
    for setting in SETTINGS[ARGS.backend]:
        training = Training(setting, x, y)
        training.run(training.steps)  # compiles
        seconds = min(training.seconds_per_step(training.steps) for _ in range(2))
        tried[setting] = round(seconds * 1e3, 4)
        if best is None or seconds < best[0]:
            best = (seconds, setting, training)
    return best[1], best[2], tried


def main():
    x, y = fashion()
    x = (x.astype("float32") / 255).reshape(-1, 28, 28)
    setting, training, tried = choose(x, y.astype("int32"))
    if ARGS.wait:
        print(json.dumps({"ready": ARGS.case, "settings": setting, "tried_ms": tried}), flush=True)
    for _ in range(ARGS.rounds):
        if ARGS.wait and sys.stdin.readline().strip() != "go":
            break
        seconds = training.seconds_per_step(training.steps)
        print(json.dumps({"case": ARGS.case, "threads": ARGS.threads, "ms_per_step": round(seconds * 1e3, 4),
                          "samples_per_second": round(training.batch / seconds), "settings": setting, "tried_ms": tried,
                          "versions": {"keras": keras.__version__}}), flush=True)


if __name__ == "__main__":
    main()
