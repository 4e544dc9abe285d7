/* Cases of softmax, losses and metrics. */
#include "backends/sweep.h"

/* clang-format off */
#define SMOOTH(s) .attr.loss = {.smoothing = s}

static const sweep_case loss[] = {
    {.op = ATHI_OP_SOFTMAX, INPUTS(1, FROM(-3, 3, 4, 7)), .any_shape = true},
    {.op = ATHI_OP_SOFTMAX, .note = "large", INPUTS(1, FROM(-90, 90, 5, 10)), .any_shape = true},
    {.op = ATHI_OP_SOFTMAX, .note = "wide", INPUTS(1, FROM(-3, 3, 3, 2, 67)), .any_shape = true},
    {.op = ATHI_OP_SOFTMAX_GRAD, INPUTS(2, REAL(4, 7), FILLED(SIMPLEX, 4, 7)), WRONG(1, 4, 6)},
    {.op = ATHI_OP_SOFTMAX_GRAD, .note = "wide", INPUTS(2, REAL(9, 33), FILLED(SIMPLEX, 9, 33)), WRONG(1, 33)},
    {.op = ATHI_OP_SPARSE_XENT, .loss_outputs = 2, INPUTS(2, FROM(-3, 3, 6, 5), LABELS(5, 6)), WRONG(1, 5)},
    {.op = ATHI_OP_SPARSE_XENT, .note = "smoothed", INPUTS(2, FROM(-3, 3, 33, 10), LABELS(10, 33)), SMOOTH(0.1), WRONG(1, 33, 10)},
    {.op = ATHI_OP_SPARSE_XENT, .note = "images", INPUTS(2, FROM(-3, 3, 2, 3, 3, 4), LABELS(4, 2, 3, 3)), WRONG(1, 2, 3)},
    {.op = ATHI_OP_SPARSE_XENT_GRAD, INPUTS(3, REAL(33), FILLED(SIMPLEX, 33, 10), LABELS(10, 33)), WRONG(0, 32)},
    {.op = ATHI_OP_DENSE_XENT, .loss_outputs = 2, INPUTS(2, FROM(-3, 3, 6, 5), TARGETS(SIMPLEX, 6, 5)), WRONG(1, 6)},
    {.op = ATHI_OP_DENSE_XENT, .note = "smoothed", INPUTS(2, FROM(-3, 3, 33, 10), TARGETS(ONE_HOT, 33, 10)), SMOOTH(0.1), WRONG(1, 33, 9)},
    {.op = ATHI_OP_DENSE_XENT_GRAD, INPUTS(3, REAL(33), FILLED(SIMPLEX, 33, 10), TARGETS(SIMPLEX, 33, 10)), SMOOTH(0.1), WRONG(0, 33, 10)},
    {.op = ATHI_OP_SIGMOID_XENT, INPUTS(2, FROM(-3, 3, 7, 5), TARGETS(BITS, 7, 5)), WRONG(1, 7)},
    {.op = ATHI_OP_SIGMOID_XENT, .note = "smoothed, large", INPUTS(2, FROM(-60, 60, 33, 3), TARGETS(BITS, 33, 3)), SMOOTH(0.2), WRONG(1, 33, 2)},
    {.op = ATHI_OP_SIGMOID_XENT_GRAD, INPUTS(3, REAL(7, 5), FROM(-3, 3, 7, 5), TARGETS(BITS, 7, 5)), SMOOTH(0.2), WRONG(0, 7)},
};

#define PREDICTIONS FILLED(TIES, 33, 10)
static const sweep_case metric[] = {
    {.op = ATHI_OP_SPARSE_CORRECT, INPUTS(2, PREDICTIONS, LABELS(10, 33)), WRONG(1, 32)},
    {.op = ATHI_OP_DENSE_CORRECT, INPUTS(2, PREDICTIONS, TARGETS(ONE_HOT, 33, 10)), WRONG(1, 33)},
    {.op = ATHI_OP_SPARSE_TOP_K, INPUTS(2, PREDICTIONS, LABELS(10, 33)), .attr.loss = {.k = 3}, WRONG(1, 33, 10)},
    {.op = ATHI_OP_DENSE_TOP_K, INPUTS(2, PREDICTIONS, TARGETS(ONE_HOT, 33, 10)), .attr.loss = {.k = 3}, WRONG(1, 33)},
    {.op = ATHI_OP_BINARY_CORRECT, INPUTS(2, FROM(0, 1, 33, 3), TARGETS(BITS, 33, 3)), .attr.loss = {.threshold = 0.5}, WRONG(1, 33)},
    {.op = ATHI_OP_BINARY_CORRECT, .note = "one output", INPUTS(2, FROM(0, 1, 7, 1), TARGETS(BITS, 7, 1)), .attr.loss = {.threshold = 0.5}, WRONG(1, 8, 1)},
};
/* clang-format on */

const sweep_family sweep_loss = {"loss", loss, ATHI_COUNT(loss)};
const sweep_family sweep_metric = {"metric", metric, ATHI_COUNT(metric)};
