/* Shape rules of int8 inference. */
#include "graph/rules.h"

static ath_status check_float(const athi_node *node, int k) {
    if (node->in[k]->dtype == ATH_F32 || node->in[k]->dtype == ATH_F64) return ATH_OK;
    return athi_shape_fail(node, "expected input %d of type f32, got %s", k + 1, athi_dtype_name(node->in[k]->dtype));
}

static ath_status check_int8(const athi_node *node, int k) {
    if (node->in[k]->dtype == ATH_I8) return ATH_OK;
    return athi_shape_fail(node, "expected input %d of type i8, got %s", k + 1, athi_dtype_name(node->in[k]->dtype));
}

/* Input k is a vector of n numbers, or (n = 0) one number. */
static ath_status check_scale(const athi_node *node, int k, int64_t n) {
    const ath_tensor *t = node->in[k];
    char a[96], b[96];
    athi_shape want = n ? athi_dims(n) : ATHI_SCALAR;
    ATH_TRY(check_float(node, k));
    if (athi_shapes_agree(want, t->shape)) return ATH_OK;
    return athi_shape_fail(node, "expected a scale of shape %s, got %s", athi_shape_str(want, a),
                           athi_shape_str(t->shape, b));
}

ath_status athi_infer_quantize(athi_node *node) {
    ATH_TRY(check_float(node, 0));
    ATH_TRY(check_scale(node, 1, 0));
    return athi_set_out(node, 0, node->in[0]->shape, ATH_I8);
}

ath_status athi_infer_quantize_rows(athi_node *node) {
    athi_shape x = node->in[0]->shape;
    char text[96];
    ATH_TRY(check_float(node, 0));
    if (x.rank != 2) return athi_shape_fail(node, "expected input of rank 2, got %s", athi_shape_str(x, text));
    athi_set_out(node, 1, athi_dims(x.dim[0]), node->in[0]->dtype);
    return athi_set_out(node, 0, x, ATH_I8);
}

ath_status athi_infer_quantized_matmul(athi_node *node) {
    ATH_TRY(athi_infer_matmul(node));
    for (int k = 0; k < 2; k++) ATH_TRY(check_int8(node, k));
    ATH_TRY(check_scale(node, 2, node->in[0]->shape.dim[0]));
    ATH_TRY(check_scale(node, 3, node->in[1]->shape.dim[1]));
    return athi_set_out(node, 0, node->out[0].shape, node->in[2]->dtype);
}

ath_status athi_infer_quantized_conv2d(athi_node *node) {
    ATH_TRY(athi_infer_conv2d(node));
    for (int k = 0; k < 2; k++) ATH_TRY(check_int8(node, k));
    if (node->attr.window.groups != 1)
        return athi_shape_fail(node, "expected one group, got %lld", (long long)node->attr.window.groups);
    ATH_TRY(check_scale(node, 2, 0));
    ATH_TRY(check_scale(node, 3, node->in[1]->shape.dim[3]));
    return athi_set_out(node, 0, node->out[0].shape, node->in[2]->dtype);
}
