"""The 8-configuration search by KerasTuner and Keras on TensorFlow; prints one JSON object."""
import argparse
import json
import os
import tempfile
import time

ARGS = argparse.ArgumentParser(description=__doc__)
ARGS.add_argument("--epochs", type=int, default=5)
ARGS.add_argument("--samples", type=int, default=60000, help="the last sixth of these validates")
ARGS.add_argument("--threads", type=int, default=0, help="0: as TensorFlow likes it")
ARGS.add_argument("--steps-per-execution", type=int, default=1)
ARGS.add_argument("--backend", default="tensorflow")
ARGS = ARGS.parse_args()
os.environ["KERAS_BACKEND"] = ARGS.backend
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

start = time.perf_counter()
import keras
import keras_tuner
if ARGS.backend == "tensorflow":
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(ARGS.threads)
IMPORT_SECONDS = time.perf_counter() - start

from common import OPTIMIZERS, UNITS, fashion, peak_mb, process_seconds


def build(hp):
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(hp.Choice("units", UNITS), activation="relu"),
                              keras.layers.Dense(10, activation="softmax")])
    model.compile(hp.Choice("optimizer", OPTIMIZERS), "sparse_categorical_crossentropy", metrics=["accuracy"],
                  steps_per_execution=ARGS.steps_per_execution)
    return model


def main():
    x, y = fashion()
    x, y = x[:ARGS.samples].astype("float32") / 255, y[:ARGS.samples].astype("int32")
    n = ARGS.samples * 5 // 6
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.GridSearch(build, "val_accuracy", max_trials=8, directory=folder, project_name="search")
        tuner.search(x[:n], y[:n], validation_data=(x[n:], y[n:]), epochs=ARGS.epochs, batch_size=128, verbose=0)
        trials = tuner.oracle.get_best_trials(8)
    versions = {"keras": keras.__version__, "keras_tuner": keras_tuner.__version__}
    if ARGS.backend == "tensorflow":
        versions["tensorflow"] = tf.__version__
    print(json.dumps({"system": "keras_tuner", "backend": ARGS.backend, "configurations": len(trials),
                      "epochs": ARGS.epochs, "steps_per_execution": ARGS.steps_per_execution, "threads": ARGS.threads,
                      "import_seconds": round(IMPORT_SECONDS, 2),
                      "search_seconds": round(time.perf_counter() - begin, 2),
                      "total_seconds": round(process_seconds(), 2), "peak_rss_mb": peak_mb(),
                      "best_val_accuracy": round(trials[0].score, 4), "best": trials[0].hyperparameters.values,
                      "versions": versions}))


if __name__ == "__main__":
    main()
