/* Cases of int8 inference. Bytes are exact on every backend: test_int8.c. */
#include "backends/sweep.h"

/* clang-format off */
#define BYTES(...) {.shape = DIMS(__VA_ARGS__), .low = -127, .high = 128, .dtype = ATH_I8, .fill = SWEEP_INTEGERS, .fixed = true}
#define SCALE(lo, hi, ...) {.shape = DIMS(__VA_ARGS__), .low = (lo), .high = (hi), .fixed = true}
#define ONE_SCALE(value) {.shape = SCALAR, .low = (value), .high = (value), .fixed = true}
#define MATMUL(text, M, K, N) {.op = ATHI_OP_QUANTIZED_MATMUL, .note = text, INPUTS(4, BYTES(M, K), BYTES(K, N), SCALE(50, 200, M), SCALE(50, 200, N)), WRONG(3, M)}
#define CONV(text, x, kernel, filters, ...) {.op = ATHI_OP_QUANTIZED_CONV2D, .note = text, INPUTS(4, x, kernel, ONE_SCALE(40), SCALE(50, 200, filters)), .attr.window = {__VA_ARGS__}, WRONG(0, 784, 3)}

/* What is rounded is looked at through the product, so that a value of one backend may not be off by a step. */
static ath_tensor *quantize_rows(athi_graph *g, const sweep_case *c, ath_tensor *const *in) {
    (void)c;
    ath_tensor *x = athi_op1(g, ATHI_OP_QUANTIZE_ROWS, in[0], NULL);
    ath_tensor *all[] = {x, in[1], &x->node->out[1], in[2]};
    return athi_node_add(g, ATHI_OP_QUANTIZED_MATMUL, all, 4, NULL);
}
static ath_tensor *quantize(athi_graph *g, const sweep_case *c, ath_tensor *const *in) {
    (void)c;
    ath_tensor *all[] = {athi_op2(g, ATHI_OP_QUANTIZE, in[0], in[1], NULL), in[2], in[1], in[3]};
    return athi_node_add(g, ATHI_OP_QUANTIZED_CONV2D, all, 4, &(athi_attr){.window = {.same = true}});
}

static const sweep_case quant[] = {
    {.op = ATHI_OP_QUANTIZE, INPUTS(4, FIXED(-2, 2, 2, 5, 4, 6), ONE_SCALE(60), BYTES(3, 3, 6, 8), SCALE(50, 200, 8)), .build = quantize},
    {.op = ATHI_OP_QUANTIZE_ROWS, INPUTS(3, FIXED(-2, 2, 5, 37), BYTES(37, 11), SCALE(50, 200, 11)), .build = quantize_rows},
    MATMUL("small", 2, 2, 3), MATMUL("odd", 7, 13, 5), MATMUL("wide", 33, 70, 100),
    CONV("1x1", BYTES(2, 3, 3, 4), BYTES(1, 1, 4, 5), 5, .groups = 1),
    CONV("same", BYTES(2, 5, 7, 3), BYTES(3, 3, 3, 20), 20, .same = true),
    CONV("stride", BYTES(1, 8, 7, 5), BYTES(3, 2, 5, 7), 7, .stride = {2, 3}, .same = true),
    CONV("dilation", BYTES(1, 9, 8, 2), BYTES(3, 2, 2, 3), 3, .dilation = {2, 3}),
    CONV("image", BYTES(2, 12, 12, 1), BYTES(3, 3, 1, 32), 32, .groups = 1),
};
/* clang-format on */

const sweep_family sweep_quant = {"quant", quant, ATHI_COUNT(quant)};
