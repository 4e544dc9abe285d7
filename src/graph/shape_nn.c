/* Shape rules of normalisation, fused losses and metrics. */
#include "graph/rules.h"

/* in[from..to) are vectors over the channels, the last axis of x. */
static ath_status check_channels(const athi_node *node, athi_shape x, int from, int to) {
    char a[96], b[96];
    if (x.rank < 2)
        return athi_shape_fail(node, "expected input of rank 2 or more [batch, ..., channels], got %s",
                               athi_shape_str(x, a));
    for (int i = from; i < to; i++) {
        athi_shape v = node->in[i]->shape;
        if (v.rank != 1 || !athi_dims_agree(v.dim[0], athi_last_dim(x)))
            return athi_shape_fail(node, "expected a vector of %lld channels for the input %s, got %s",
                                   (long long)athi_last_dim(x), athi_shape_str(x, a), athi_shape_str(v, b));
    }
    return ATH_OK;
}

ath_status athi_infer_batch_norm(athi_node *node) {
    ATH_TRY(check_channels(node, node->in[0]->shape, 1, 5));
    return athi_set_out(node, 0, node->in[0]->shape, node->in[0]->dtype);
}

ath_status athi_infer_batch_norm_train(athi_node *node) {
    athi_shape x = node->in[0]->shape;
    ATH_TRY(check_channels(node, x, 1, 3));
    for (int i = 1; i < 3; i++) athi_set_out(node, i, athi_dims(athi_last_dim(x)), node->in[1]->dtype);
    return athi_set_out(node, 0, x, node->in[0]->dtype);
}

ath_status athi_infer_layer_norm(athi_node *node) {
    athi_shape x = node->in[0]->shape;
    ATH_TRY(check_channels(node, x, 1, 3));
    for (int i = 1; i < 3; i++) athi_set_out(node, i, athi_shape_without_last(x), node->in[1]->dtype);
    return athi_set_out(node, 0, x, node->in[0]->dtype);
}

/* dy, x, gamma, mean, variance -> dx, dgamma, dbeta */
ath_status athi_infer_norm_grad(athi_node *node) {
    const ath_tensor *dy = node->in[0], *x = node->in[1], *gamma = node->in[2];
    char a[96], b[96];
    ATH_TRY(check_channels(node, x->shape, 2, 3));
    if (!athi_shapes_agree(dy->shape, x->shape))
        return athi_shape_fail(node, "expected dy of the shape of x %s, got %s", athi_shape_str(x->shape, a),
                               athi_shape_str(dy->shape, b));
    for (int i = 1; i < 3; i++) athi_set_out(node, i, gamma->shape, gamma->dtype);
    return athi_set_out(node, 0, x->shape, x->dtype);
}

/* Labels: an integer a row of `scores`, or a row of numbers each. */
static ath_status check_labels(const athi_node *node, athi_shape scores, bool sparse) {
    const ath_tensor *labels = node->in[1];
    char a[96], b[96], c[96];
    if (scores.rank < 1)
        return athi_shape_fail(node, "expected predictions of rank 1 or more [batch, classes], got %s",
                               athi_shape_str(scores, a));
    athi_shape want = sparse ? athi_shape_without_last(scores) : scores;
    if (!athi_shapes_agree(want, labels->shape))
        return athi_shape_fail(node, "expected %s of shape %s for predictions %s, got %s%s",
                               sparse ? "integer labels" : "targets", athi_shape_str(want, a),
                               athi_shape_str(scores, b), athi_shape_str(labels->shape, c),
                               sparse && athi_shapes_agree(scores, labels->shape)
                                   ? "; use categorical_crossentropy and "
                                     "categorical_accuracy for one-hot labels"
                                   : "");
    if (sparse && labels->dtype != ATH_I32)
        return athi_shape_fail(node, "expected labels of type i32, got %s", athi_dtype_name(labels->dtype));
    if (!sparse && labels->dtype != node->in[0]->dtype)
        return athi_shape_fail(node, "expected targets of type %s, got %s", athi_dtype_name(node->in[0]->dtype),
                               athi_dtype_name(labels->dtype));
    return ATH_OK;
}

ath_status athi_infer_xent(athi_node *node) {
    athi_shape x = node->in[0]->shape;
    ATH_TRY(check_labels(node, x, node->op == ATHI_OP_SPARSE_XENT));
    athi_set_out(node, 1, x, node->in[0]->dtype);
    return athi_set_out(node, 0, athi_shape_without_last(x), node->in[0]->dtype);
}

ath_status athi_infer_correct_sparse(athi_node *node) {
    ATH_TRY(check_labels(node, node->in[0]->shape, true));
    return athi_set_out(node, 0, athi_shape_without_last(node->in[0]->shape), ATH_F32);
}

ath_status athi_infer_correct_dense(athi_node *node) {
    ATH_TRY(check_labels(node, node->in[0]->shape, false));
    return athi_set_out(node, 0, athi_shape_without_last(node->in[0]->shape), ATH_F32);
}
