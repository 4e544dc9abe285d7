/* Cases of reductions, rearrangements and the matrix product. */
#include "backends/sweep.h"

/* clang-format off */
#define REDUCE(id, axes_mask, ...) {.op = ATHI_OP_##id, INPUTS(1, __VA_ARGS__), .attr.axes = {.mask = axes_mask}, .wrong_attr = true, .wrong_attrs.axes = {.mask = 1u << 5}}
#define KEEP(id, axes_mask, ...) {.op = ATHI_OP_##id, .note = "keep", INPUTS(1, __VA_ARGS__), .attr.axes = {axes_mask, true}, .wrong_attr = true, .wrong_attrs.axes = {.mask = 1u << 5}}
#define REDUCE_CASES(id, how)                                           \
    REDUCE(id, 1, FILLED(how, 5, 3)), REDUCE(id, 2, FILLED(how, 5, 3)), \
    REDUCE(id, 3, FILLED(how, 7, 9)), REDUCE(id, 5, FILLED(how, 3, 4, 5)), KEEP(id, 2, FILLED(how, 3, 4, 5)), \
    REDUCE(id, 1, FILLED(how, 129, 67)), REDUCE(id, 2, FILLED(how, 67, 129)), REDUCE(id, 6, FILLED(how, 3, 7, 7, 5))

static const sweep_case reduce[] = {
    REDUCE_CASES(SUM, UNIFORM), REDUCE_CASES(MEAN, UNIFORM), REDUCE_CASES(MAX, DISTINCT),
    {.op = ATHI_OP_MAX_GRAD, .note = "ties", INPUTS(3, REAL(5), FILLED(TIES, 5, 9), FILLED(TIES, 5)), .attr.axes = {.mask = 2}, WRONG(0, 9)},
    {.op = ATHI_OP_MAX_GRAD, .note = "keep", INPUTS(3, REAL(1, 9), FILLED(TIES, 33, 9), FILLED(TIES, 1, 9)), .attr.axes = {1, true}, WRONG(2, 9)},
    {.op = ATHI_OP_BROADCAST_TO, INPUTS(1, REAL(5)), .attr.shape.shape = DIMS(3, 5), .wrong_attr = true, .wrong_attrs.shape.shape = DIMS(5, 3)},
    {.op = ATHI_OP_BROADCAST_TO, INPUTS(1, REAL(3, 1, 2)), .attr.shape.shape = DIMS(4, 3, 7, 2), WRONG(0, 2, 1, 2)},
    {.op = ATHI_OP_SUM_TO, INPUTS(1, REAL(33, 17)), .attr.shape.shape = DIMS(17), .wrong_attr = true, .wrong_attrs.shape.shape = DIMS(16)},
    {.op = ATHI_OP_SUM_TO, INPUTS(1, REAL(4, 3, 7, 2)), .attr.shape.shape = DIMS(3, 1, 2), WRONG(0, 4, 2, 7, 2)},
    {.op = ATHI_OP_SUM_TO, .note = "scalar", INPUTS(1, REAL(3, 5)), .attr.shape.shape = SCALAR, .wrong_attr = true, .wrong_attrs.shape.shape = DIMS(2)},
};

#define MATMUL(M, K, N) {.op = ATHI_OP_MATMUL, INPUTS(2, REAL(M, K), REAL(K, N)), WRONG(1, K + 1, N)}
#define MATMUL_T(ta, tb, a0, a1, b0, b1) {.op = ATHI_OP_MATMUL, .note = "transposed", INPUTS(2, REAL(a0, a1), REAL(b0, b1)), .attr.matmul = {ta, tb}, WRONG(0, a0, a1, 2)}

static const sweep_case shape[] = {
    {.op = ATHI_OP_RESHAPE, INPUTS(1, REAL(3, 4, 5)), .attr.shape.shape = DIMS(6, 10), WRONG(0, 3, 4, 6)},
    {.op = ATHI_OP_RESHAPE, .note = "inferred", INPUTS(1, REAL(3, 4, 5)), .attr.shape.shape = DIMS(0, -1), .wrong_attr = true, .wrong_attrs.shape.shape = DIMS(-1, -1)},
    {.op = ATHI_OP_TRANSPOSE, INPUTS(1, REAL(3, 5)), .attr.perm.axis = {1, 0}, .wrong_attr = true, .wrong_attrs.perm.axis = {1, 1}},
    {.op = ATHI_OP_TRANSPOSE, INPUTS(1, REAL(2, 3, 4, 5)), .attr.perm.axis = {3, 0, 2, 1}, .wrong_attr = true, .wrong_attrs.perm.axis = {3, 0, 2, 4}},
    {.op = ATHI_OP_CONCAT, INPUTS(2, REAL(3, 2, 5), REAL(3, 4, 5)), .attr.axis.axis = 1, WRONG(1, 3, 4, 6)},
    {.op = ATHI_OP_CONCAT, .note = "last axis", INPUTS(3, REAL(7, 3), REAL(7, 1), REAL(7, 5)), .attr.axis.axis = -1, WRONG(1, 6, 1)},
    {.op = ATHI_OP_SLICE, INPUTS(1, REAL(7, 9)), .attr.slice = {{2, 0}, {3, 9}}, .wrong_attr = true, .wrong_attrs.slice = {{5, 0}, {3, 9}}},
    {.op = ATHI_OP_SLICE, INPUTS(1, REAL(3, 5, 7)), .attr.slice = {{0, 1, 2}, {3, 3, -1}}, WRONG(0, 3, 3, 7)},
    {.op = ATHI_OP_SLICE_GRAD, INPUTS(2, REAL(3, 4), REAL(7, 9)), .attr.slice = {{2, 5}, {3, 4}}, WRONG(0, 7, 4)},
    {.op = ATHI_OP_CAST, INPUTS(1, REAL(3, 5)), .attr.cast = {ATH_F64}, .wrong_attr = true, .wrong_attrs.cast = {ATH_I32}},
    {.op = ATHI_OP_CAST, .note = "from bytes", INPUTS(1, {.shape = DIMS(2, 3, 5, 8), .high = 256, .dtype = ATH_U8, .fill = SWEEP_INTEGERS, .fixed = true}), .any_shape = true},
    {.op = ATHI_OP_COPY, INPUTS(1, REAL(3, 5)), .any_shape = true},
    {.op = ATHI_OP_REORDER, .note = "plain to plain", INPUTS(1, REAL(2, 3, 5, 8)), .any_shape = true},
    MATMUL(1, 1, 1), MATMUL(3, 5, 7), MATMUL(33, 17, 9), MATMUL(16, 64, 10), MATMUL(65, 31, 67),
    MATMUL_T(true, false, 5, 3, 5, 7), MATMUL_T(false, true, 3, 5, 7, 5), MATMUL_T(true, true, 5, 3, 7, 5),
    MATMUL_T(true, false, 33, 17, 33, 19), MATMUL_T(false, true, 19, 64, 37, 64),
};
/* clang-format on */

const sweep_family sweep_reduce = {"reduce", reduce, ATHI_COUNT(reduce)};
const sweep_family sweep_shape = {"shape", shape, ATHI_COUNT(shape)};
