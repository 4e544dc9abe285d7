"""losses.json: value and gradient of every loss; regularizers.json the same; metrics.json: every metric over two batches."""
from common import keras, np, numbers, short, tensor, tf, write

RNG = np.random.default_rng(11)
N, C = 6, 4
LABELS = np.array([0, 3, 1, 2, 3, 1], np.int32)
ONE_HOT = np.eye(C, dtype=np.float32)[LABELS]
SOFT = np.array([[.7, .1, .1, .1], [0, .5, 0, .5], [1, 0, 0, 0], [.25, .25, .25, .25], [0, 0, .4, .6], [.2, .3, .5, 0]],
                np.float32)
BITS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]], np.float32)
LOGITS = numbers(RNG, (N, C), 2.0)
LOGITS[np.arange(0, N, 2), LABELS[::2]] += np.float32(4)  # half of the samples are right
PROBS = (lambda e: (e / e.sum(-1, keepdims=True)).astype(np.float32))(np.exp(LOGITS))
CONFIDENT = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [.5, .5, 0, 0], [0, 1, 0, 0]], np.float32)
BIT_LOGITS = numbers(RNG, (N, 3), 2.0)
BIT_PROBS = (1 / (1 + np.exp(-BIT_LOGITS))).astype(np.float32)
TARGETS, VALUES = numbers(RNG, (N, 3)), numbers(RNG, (N, 3), 1.5)
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0, 1.5, 1.0], np.float32)
SPATIAL_LABELS = np.array([[[0, 1], [2, 3]], [[3, 3], [1, 0]]], np.int32)
SPATIAL_LOGITS = numbers(RNG, (2, 2, 2, C))

SPARSE, PLAIN, BINARY = "SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy"
LOSSES = [  # name, Keras class, options, target, prediction
    ("sparse", SPARSE, {}, LABELS, PROBS),
    ("sparse_logits", SPARSE, {"from_logits": True}, LABELS, LOGITS),
    ("sparse_clipped", SPARSE, {}, LABELS, CONFIDENT),
    ("sparse_ignore_class", SPARSE, {"from_logits": True, "ignore_class": 3}, LABELS, LOGITS),
    ("sparse_spatial", SPARSE, {"from_logits": True}, SPATIAL_LABELS, SPATIAL_LOGITS),
    ("sparse_sum", SPARSE, {"from_logits": True, "reduction": "sum"}, LABELS, LOGITS),
    ("plain", PLAIN, {}, ONE_HOT, PROBS),
    ("plain_logits", PLAIN, {"from_logits": True}, ONE_HOT, LOGITS),
    ("plain_soft_targets", PLAIN, {"from_logits": True}, SOFT, LOGITS),
    ("plain_label_smoothing", PLAIN, {"label_smoothing": 0.1}, ONE_HOT, PROBS),
    ("plain_label_smoothing_logits", PLAIN, {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, LOGITS),
    ("plain_unnormalised", PLAIN, {}, ONE_HOT, PROBS * np.float32(3)),
    ("plain_mean_with_sample_weight", PLAIN, {"reduction": "mean_with_sample_weight"}, ONE_HOT, PROBS),
    ("plain_clipped", PLAIN, {}, ONE_HOT, CONFIDENT),
    ("binary", BINARY, {}, BITS, BIT_PROBS),
    ("binary_logits", BINARY, {"from_logits": True}, BITS, BIT_LOGITS),
    ("binary_label_smoothing", BINARY, {"label_smoothing": 0.1}, BITS, BIT_PROBS),
    ("binary_label_smoothing_logits", BINARY, {"from_logits": True, "label_smoothing": 0.2}, BITS, BIT_LOGITS),
    ("binary_clipped", BINARY, {}, BITS, np.round(BIT_PROBS)),
    ("mean_squared_error", "MeanSquaredError", {}, TARGETS, VALUES),
    ("mean_squared_error_sum", "MeanSquaredError", {"reduction": "sum"}, TARGETS, VALUES),
    ("mean_absolute_error", "MeanAbsoluteError", {}, TARGETS, VALUES),
    ("huber", "Huber", {}, TARGETS, VALUES),
    ("huber_delta", "Huber", {"delta": 0.5}, TARGETS, VALUES),
    ("mean_absolute_percentage_error", "MeanAbsolutePercentageError", {}, TARGETS, VALUES),
    ("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", {}, np.abs(TARGETS), np.abs(VALUES)),
    ("log_cosh", "LogCosh", {}, TARGETS, VALUES),
    ("kl_divergence", "KLDivergence", {}, SOFT, PROBS),
    ("poisson", "Poisson", {}, np.abs(TARGETS), np.abs(VALUES)),
    ("hinge", "Hinge", {}, BITS * 2 - 1, VALUES),
]
REGULARIZERS = [("l1", "L1", {"l1": 0.02}), ("l2", "L2", {"l2": 0.03}), ("l1_l2", "L1L2", {"l1": 0.02, "l2": 0.03})]
METRICS = [  # name, Keras class, options, target, prediction
    ("sparse_categorical_accuracy", "SparseCategoricalAccuracy", {}, LABELS, PROBS),
    ("categorical_accuracy", "CategoricalAccuracy", {}, ONE_HOT, PROBS),
    ("binary_accuracy", "BinaryAccuracy", {}, BITS, BIT_PROBS),
    ("binary_accuracy_threshold", "BinaryAccuracy", {"threshold": 0.7}, BITS, BIT_PROBS),
    ("top_k_categorical_accuracy", "TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, PROBS),
    ("sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, PROBS),
    ("mean_squared_error", "MeanSquaredError", {}, TARGETS, VALUES),
    ("mean_absolute_error", "MeanAbsoluteError", {}, TARGETS, VALUES),
    ("root_mean_squared_error", "RootMeanSquaredError", {}, TARGETS, VALUES),
    ("sparse_categorical_crossentropy", SPARSE, {}, LABELS, PROBS),
    ("categorical_crossentropy", PLAIN, {"label_smoothing": 0.1}, ONE_HOT, PROBS),
    ("binary_crossentropy", BINARY, {}, BITS, BIT_PROBS),
]


def snake(cls):
    return "".join("_" + c.lower() if c.isupper() else c for c in cls).lstrip("_").replace("k_l_d", "kl_d")


def loss_case(name, cls, options, target, prediction, weights):
    loss = getattr(keras.losses, cls)(**options)
    p = tf.constant(prediction)
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = loss(target, p, sample_weight=weights)
    case = {"name": name, "loss": snake(cls), "options": options, "target": tensor(target),
            "prediction": tensor(prediction), "value": short(value), "gradient": tensor(tape.gradient(value, p))}
    if weights is not None:
        case.update(name=name + "_weighted", sample_weight=tensor(weights))
    return case


def regularizer_case(name, cls, options):
    w = tf.constant(numbers(RNG, (3, 4)))
    with tf.GradientTape() as tape:
        tape.watch(w)
        value = getattr(keras.regularizers, cls)(**options)(w)
    return {"name": name, "regularizer": name, "options": options, "weights": tensor(w), "value": short(value),
            "gradient": tensor(tape.gradient(value, w))}


def metric_case(name, cls, options, target, prediction, weights):
    metric = getattr(keras.metrics, cls)(**options)
    results = []
    for part in (slice(0, 4), slice(4, N)):  # unequal batches: the mean is over samples, not over batches
        metric.update_state(target[part], prediction[part], sample_weight=None if weights is None else weights[part])
        results.append(short(metric.result()))
    case = {"name": name, "metric": snake(cls), "options": options, "target": tensor(target),
            "prediction": tensor(prediction), "results": results}
    if weights is not None:
        case.update(name=name + "_weighted", sample_weight=tensor(weights))
    return case


def main():
    cases = [loss_case(*row, None) for row in LOSSES]
    cases += [loss_case(*row, WEIGHTS) for row in LOSSES if len(row[3]) == N]
    write("losses.json", cases)
    write("regularizers.json", [regularizer_case(*row) for row in REGULARIZERS])
    write("metrics.json", [metric_case(*row, w) for row in METRICS for w in (None, WEIGHTS)], batches=[4, 2])


if __name__ == "__main__":
    main()
