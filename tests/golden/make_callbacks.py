"""callbacks.json: when Keras's EarlyStopping stops and restores, what ReduceLROnPlateau makes of the learning rate."""
from common import keras, np, short, write

SERIES = {
    "improves": [1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1],
    "plateau": [1.0, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7],
    "creeps": [1.0, 0.99995, 0.9999, 0.99985, 0.9998, 0.99975, 0.9997, 0.9, 0.89995, 0.8999],
    "bounces": [1.0, 0.5, 0.9, 0.6, 0.8, 0.45, 0.9, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9, 0.9, 0.3],
    "nan": [1.0, 0.5, None, None, 0.4, None, None, None, None],
}
STOPPING = [{}, {"patience": 2}, {"patience": 3, "min_delta": 0.0001}, {"patience": 3, "min_delta": 0.06},
            {"patience": 2, "start_from_epoch": 3}, {"patience": 2, "baseline": 0.45}, {"patience": 2, "mode": "max"}]
PLATEAU = [{"patience": 2}, {"patience": 2, "factor": 0.5, "cooldown": 2}, {"patience": 1, "min_lr": 0.002},
           {"patience": 2, "min_delta": 0.06}, {"patience": 0, "factor": 0.9}, {"patience": 2, "mode": "max"}]


def model_of_one_weight():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def run(cls, options, series):
    """Play the series as val_loss; the weight holds the epoch's number, so a restored weight names its epoch."""
    model, rates = model_of_one_weight(), []
    callback = cls(monitor="val_loss", **options, **({"restore_best_weights": True} if "Early" in cls.__name__ else {}))
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(series):
        callback.on_epoch_begin(epoch)
        model.weights[0].assign([[float(epoch + 1)]])
        callback.on_epoch_end(epoch, {"val_loss": np.nan if value is None else value})
        rates.append(short(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return len(rates), int(np.asarray(model.weights[0]).item()), rates


def main():
    cases = []
    for series, values in SERIES.items():
        for options in STOPPING:
            epochs, restored, _ = run(keras.callbacks.EarlyStopping, options, values)
            cases.append({"name": f"early_stopping_{series}_{len(cases)}", "callback": "early_stopping",
                          "options": options, "val_loss": values, "epochs": epochs, "restored_epoch": restored})
        for options in PLATEAU:
            _, _, rates = run(keras.callbacks.ReduceLROnPlateau, options, values)
            cases.append({"name": f"reduce_lr_on_plateau_{series}_{len(cases)}", "callback": "reduce_lr_on_plateau",
                          "options": options, "val_loss": values, "initial_learning_rate": 0.1, "learning_rates": rates})
    write("callbacks.json", cases)


if __name__ == "__main__":
    main()
