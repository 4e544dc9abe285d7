/* All kernels that depend on the element type T, and their table ATHI_REF_TABLE. f32.c and f64.c define both
 * and include this once each. */
#include "backends/ref/ref.h"
#include "base/philox.h"
#include "graph/scalar.h"

static int64_t count_in(const athi_call *call, int k) {
    return athi_shape_count(athi_ref_node(call)->in[k]->shape);
}
static int64_t count_out(const athi_call *call, int k) {
    return athi_shape_count(athi_ref_node(call)->out[k].shape);
}

#include "backends/ref/elementwise.h"
#include "backends/ref/reduce.h"
#include "backends/ref/matmul.h"
#include "backends/ref/conv.h"
#include "backends/ref/pool.h"
#include "backends/ref/norm.h"
#include "backends/ref/loss.h"
#include "backends/ref/metric.h"

#define ROW(id) [ATHI_OP_##id] = run_##id
/* clang-format off */
const athi_ref_run ATHI_REF_TABLE[ATHI_OP_COUNT_OF] = {
#define ATH_UNARY(id, name, keeps, forward, derivative) ROW(id), ROW(id##_GRAD),
#include "graph/unary.def"
#undef ATH_UNARY
    ROW(ADD), ROW(SUB), ROW(MUL), ROW(DIV), ROW(MAXIMUM), ROW(MINIMUM), ROW(GREATER_EQUAL), ROW(DROPOUT),
    ROW(SUM), ROW(MEAN), ROW(MAX), ROW(MAX_GRAD), ROW(SUM_TO), ROW(MATMUL),
    ROW(CONV2D), ROW(CONV2D_GRAD_X), ROW(CONV2D_GRAD_W),
    ROW(MAX_POOL2D), ROW(MAX_POOL2D_GRAD), ROW(AVERAGE_POOL2D), ROW(AVERAGE_POOL2D_GRAD),
    ROW(BATCH_NORM_TRAIN), ROW(BATCH_NORM_INFER), ROW(BATCH_NORM_GRAD), ROW(LAYER_NORM), ROW(LAYER_NORM_GRAD),
    ROW(SOFTMAX), ROW(SOFTMAX_GRAD), ROW(SPARSE_XENT), ROW(SPARSE_XENT_GRAD), ROW(DENSE_XENT), ROW(DENSE_XENT_GRAD),
    ROW(SIGMOID_XENT), ROW(SIGMOID_XENT_GRAD),
    ROW(SPARSE_CORRECT), ROW(DENSE_CORRECT), ROW(SPARSE_TOP_K), ROW(DENSE_TOP_K), ROW(BINARY_CORRECT),
};
/* clang-format on */
#undef ROW
