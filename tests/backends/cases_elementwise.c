/* Cases of the elementwise ops of two values, of dropout, and of the rows of unary.def, which follow from a
 * table of where each function is smooth. */
#include "backends/sweep.h"

/* clang-format off */
#define BINARY(id, a, b) {.op = ATHI_OP_##id, INPUTS(2, a, b), WRONG(1, 2, 4)}
/* The shapes: equal, a row, a scalar, and both broadcast. */
#define BINARY_CASES(id, lo, hi) \
    BINARY(id, REAL(3, 5), FROM(lo, hi, 3, 5)), \
    BINARY(id, REAL(33, 17), FROM(lo, hi, 17)), \
    {.op = ATHI_OP_##id, .note = "scalar", .n_in = 2, .in = {REAL(7, 3), {.low = lo, .high = hi}}, WRONG(1, 2)}, \
    {.op = ATHI_OP_##id, .note = "both broadcast", INPUTS(2, REAL(4, 1, 3), FROM(lo, hi, 5, 1)), WRONG(1, 5, 2)}, \
    {.op = ATHI_OP_##id, .note = "first broadcast", INPUTS(2, REAL(9), FROM(lo, hi, 2, 3, 9)), WRONG(0, 8)}
#define GRID_CASES(id) \
    BINARY(id, FILLED(GRID, 3, 5), FILLED(GRID, 3, 5)), \
    BINARY(id, FILLED(GRID, 33, 17), FILLED(GRID, 17)), \
    BINARY(id, FILLED(GRID, 7, 1), FILLED(GRID, 7, 3))

static const sweep_case elementwise[] = {
    BINARY_CASES(ADD, -1, 1), BINARY_CASES(SUB, -1, 1), BINARY_CASES(MUL, -1, 1), BINARY_CASES(DIV, 0.5, 2),
    GRID_CASES(MAXIMUM), GRID_CASES(MINIMUM), GRID_CASES(GREATER_EQUAL),
    {.op = ATHI_OP_DROPOUT, INPUTS(2, REAL(3, 7), COUNTERS), .attr.dropout = {0.3, 2}, WRONG(1, 3)},
    {.op = ATHI_OP_DROPOUT, .note = "long", INPUTS(2, REAL(37, 29), COUNTERS), .attr.dropout = {0.5, 0}, WRONG(1, 1)},
    {.op = ATHI_OP_DROPOUT, .note = "rate 1", INPUTS(2, REAL(3, 3), COUNTERS), .attr.dropout = {1, 0}, WRONG(1, 1)},
};

/* Where an elementwise function is tested: low to high but for its kinks, and for the gradient the range of what it
 * keeps. Functions that stand not here: -2 to 2. */
#define UNARY_RANGES(X) \
    X(RELU, -2, 2, 1, 0, 0, 0, 0) \
    X(RELU6, -2, 8, 2, 0, 6, 0, 0) \
    X(LEAKY_RELU, -2, 2, 1, 0, 0, 0.2, 0) \
    X(ELU, -2, 2, 1, 0, 0, 1, 0) \
    X(SELU, -2, 2, 1, 0, 0, 0, 0) \
    X(GELU, -3, 3, 0, 0, 0, 0, 0) \
    X(SILU, -3, 3, 0, 0, 0, 0, 0) \
    X(SIGMOID, -3, 3, 0, 0, 0, 0, 0) \
    X(HARD_SIGMOID, -4, 4, 2, -3, 3, 0, 0) \
    X(HARD_SILU, -4, 4, 2, -3, 3, 0, 0) \
    X(TANH, -3, 3, 0, 0, 0, 0, 0) \
    X(SOFTPLUS, -3, 3, 0, 0, 0, 0, 0) \
    X(SOFTSIGN, -3, 3, 1, 0, 0, 0, 0) \
    X(MISH, -3, 3, 0, 0, 0, 0, 0) \
    X(EXP, -2, 2, 0, 0, 0, 0, 0) \
    X(LOG, 0.3, 3, 0, 0, 0, 0, 0) \
    X(SQRT, 0.3, 3, 0, 0, 0, 0, 0) \
    X(SQUARE, -2, 2, 0, 0, 0, 0, 0) \
    X(NEG, -2, 2, 0, 0, 0, 0, 0) \
    X(ABS, -2, 2, 1, 0, 0, 0, 0) \
    X(CLIP, -2, 2, 2, -1, 1, -1, 1) \
    X(HUBER, -2, 2, 2, -1, 1, 1, 0) \
    X(SCALE, -2, 2, 0, 0, 0, 1.5, -0.5)

#define IN_RANGE(lo, hi, n, k1, k2, ...) {.shape = DIMS(__VA_ARGS__), .low = lo, .high = hi, .n_kinks = n, .kinks = {k1, k2}}
/* Forward and gradient, small and odd, and longer than any vector; the gradient's second input is wrong by a row. */
#define UNARY(id, lo, hi, n, k1, k2, a, b) \
    {.op = ATHI_OP_##id, INPUTS(1, IN_RANGE(lo, hi, n, k1, k2, 3, 5, 1)), .attr.alpha = {a, b}, .any_shape = true}, \
    {.op = ATHI_OP_##id, .note = "long", INPUTS(1, IN_RANGE(lo, hi, n, k1, k2, 37, 29)), .attr.alpha = {a, b}, .any_shape = true}, \
    {.op = ATHI_OP_##id##_GRAD, INPUTS(2, REAL(3, 5), IN_RANGE(lo, hi, n, k1, k2, 3, 5)), .attr.alpha = {a, b}, WRONG(1, 4, 5)}, \
    {.op = ATHI_OP_##id##_GRAD, .note = "long", INPUTS(2, REAL(37, 29), IN_RANGE(lo, hi, n, k1, k2, 37, 29)), .attr.alpha = {a, b}, WRONG(1, 37)},

static const sweep_case unary[] = {
    UNARY_RANGES(UNARY)
};
/* clang-format on */

const sweep_family sweep_elementwise = {"elementwise", elementwise, ATHI_COUNT(elementwise)};
const sweep_family sweep_unary = {"unary", unary, ATHI_COUNT(unary)};
