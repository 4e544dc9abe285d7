/* Batch and layer normalisation by oneDNN, and their gradients. */
#include "backends/cpu/onednn_internal.h"

/* ---- batch and layer normalisation ---------------------------------------------------------------- */

/* What the descriptors of a normalisation are made of: x, the statistics, gamma and beta. */
typedef struct norm_descs {
    desc x, stats, params;
} norm_descs;

static bool is_layer_norm(const athi_node *node) {
    return node->op == ATHI_OP_LAYER_NORM || node->op == ATHI_OP_LAYER_NORM_GRAD;
}

/* Over the batch what is not [N, H, W, C] is [rows, 1, 1, C]; over rows all is [rows, C]. */
static bool set_norm(const athi_node *node, norm_descs *d) {
    const ath_tensor *x = &node->out[0];
    const int64_t n = athi_cpu_last(x->shape), rows = athi_cpu_rows(x);
    if (!athi_onednn_vector(n, dnnl_f32, &d->params) ||
        !athi_onednn_vector(is_layer_norm(node) ? rows : n, dnnl_f32, &d->stats))
        return false;
    if (is_layer_norm(node))
        return x->layout == ATHI_PLAIN && dnnl_memory_desc_init_by_tag(&d->x, 2, (dnnl_dims_t){rows, n},
                                                                       athi_onednn_type(x), dnnl_ab) == dnnl_success;
    if (x->shape.rank == 4) return athi_onednn_image(x, &d->x);
    return dnnl_memory_desc_init_by_tag(&d->x, 4, (dnnl_dims_t){rows, n, 1, 1}, athi_onednn_type(x), dnnl_nhwc) ==
           dnnl_success;
}

/* The operation's descriptor, and for a gradient the forward primitive that it wants as a hint. */
typedef union norm_op {
    dnnl_batch_normalization_desc_t batch;
    dnnl_layer_normalization_desc_t layer;
} norm_op;
static bool set_norm_op(const athi_node *node, const norm_descs *d, bool relu, norm_op *op,
                        dnnl_primitive_desc_t *hint) {
    const bool layer = is_layer_norm(node), infer = node->op == ATHI_OP_BATCH_NORM_INFER;
    const bool backward = node->op == ATHI_OP_BATCH_NORM_GRAD || node->op == ATHI_OP_LAYER_NORM_GRAD;
    const float epsilon = (float)node->attr.norm.epsilon;
    const dnnl_prop_kind_t kind = infer ? dnnl_forward_inference : dnnl_forward_training;
    const unsigned flags = (unsigned)dnnl_use_scale | (unsigned)dnnl_use_shift |
                           (relu ? (unsigned)dnnl_fuse_norm_relu : 0) | (infer ? (unsigned)dnnl_use_global_stats : 0);
    dnnl_status_t status =
        layer ? dnnl_layer_normalization_forward_desc_init(&op->layer, kind, &d->x, &d->stats, epsilon, flags)
              : dnnl_batch_normalization_forward_desc_init(&op->batch, kind, &d->x, epsilon, flags);
    if (status != dnnl_success || !backward) return status == dnnl_success;
    if (dnnl_primitive_desc_create(hint, op, NULL, athi_onednn_engine(), NULL) != dnnl_success) {
        *hint = NULL;
        return false;
    }
    status =
        layer ? dnnl_layer_normalization_backward_desc_init(&op->layer, dnnl_backward, &d->x, &d->x, &d->stats,
                                                            epsilon, flags)
              : dnnl_batch_normalization_backward_desc_init(&op->batch, dnnl_backward, &d->x, &d->x, epsilon, flags);
    return status == dnnl_success;
}

static dnnl_primitive_desc_t describe_norm(const athi_node *node, const norm_descs *d, bool relu, int threads,
                                           char why[ATHI_WHY_MAX]) {
    norm_op op;
    dnnl_primitive_desc_t hint = NULL, pd = NULL;
    if (athi_onednn_engine() && set_norm_op(node, d, relu, &op, &hint))
        pd = athi_onednn_primitive(&op, false, hint, threads, why);
    else
        athi_cpu_no(why, "not describable");
    if (hint) dnnl_primitive_desc_destroy(hint);
    return pd;
}

bool athi_onednn_accepts_norm(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    norm_descs d;
    if (!athi_cpu_is_norm(unit, why)) return false;
    if (!set_norm(node, &d)) return athi_cpu_no(why, "not describable");
    if (!athi_onednn_is_described(describe_norm(node, &d, unit->n_nodes > 1, 0, why))) return false;
    if (!athi_cpu_uses_bf16(unit) || !strstr(why, "bnorm:any")) return true;
    return athi_cpu_no(why, "in bf16 only plain loops"); /* a fiftieth of the speed of those over float32 */
}

/* x, gamma, beta -> y, mean, variance; or x, gamma, beta, mean, variance -> y; either perhaps with a relu behind. */
ath_status athi_onednn_make_norm(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    const ath_tensor *y = &unit->nodes[unit->n_nodes - 1]->out[0];
    const bool infer = node->op == ATHI_OP_BATCH_NORM_INFER;
    char why[ATHI_WHY_MAX];
    norm_descs d;
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    set_norm(node, &d);
    dnnl_primitive_desc_t pd = describe_norm(node, &d, unit->n_nodes > 1, m->threads, why);
    const desc *given = pd ? dnnl_primitive_desc_query_md(pd, dnnl_query_workspace_md, 0) : NULL;
    const bool has_workspace = given && dnnl_memory_desc_get_size(given);
    desc workspace = {0};
    if (has_workspace) workspace = *given;
    step *st = athi_onednn_step(s, pd);
    athi_onednn_arg(st, DNNL_ARG_SRC, athi_onednn_memory(s, &d.x, FROM_IN, 0));
    athi_onednn_arg(st, DNNL_ARG_SCALE, athi_onednn_memory(s, &d.params, FROM_IN, 1));
    athi_onednn_arg(st, DNNL_ARG_SHIFT, athi_onednn_memory(s, &d.params, FROM_IN, 2));
    athi_onednn_arg(st, DNNL_ARG_DST, athi_onednn_memory(s, &d.x, FROM_OUT, athi_cpu_out_index(unit, y)));
    for (int i = 0; i < 2; i++) {
        const int key = i ? DNNL_ARG_VARIANCE : DNNL_ARG_MEAN;
        athi_onednn_arg(st, key,
                        infer ? athi_onednn_memory(s, &d.stats, FROM_IN, 3 + i)
                              : athi_onednn_out(s, &d.stats, athi_cpu_out_index(unit, &node->out[1 + i])));
    }
    if (has_workspace) athi_onednn_arg(st, DNNL_ARG_WORKSPACE, athi_onednn_scratch(s, &workspace));
    return athi_onednn_finish(m, call);
}

/* dy, x, gamma, mean, variance -> dx, dgamma, dbeta */
ath_status athi_onednn_make_norm_grad(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    char why[ATHI_WHY_MAX];
    norm_descs d;
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    set_norm(node, &d);
    step *st = athi_onednn_step(s, describe_norm(node, &d, false, m->threads, why));
    athi_onednn_arg(st, DNNL_ARG_DIFF_DST, athi_onednn_memory(s, &d.x, FROM_IN, 0));
    athi_onednn_arg(st, DNNL_ARG_SRC, athi_onednn_memory(s, &d.x, FROM_IN, 1));
    athi_onednn_arg(st, DNNL_ARG_SCALE, athi_onednn_memory(s, &d.params, FROM_IN, 2));
    athi_onednn_arg(st, DNNL_ARG_SHIFT, athi_onednn_scratch(s, &d.params)); /* asked for, not read */
    athi_onednn_arg(st, DNNL_ARG_MEAN, athi_onednn_memory(s, &d.stats, FROM_IN, 3));
    athi_onednn_arg(st, DNNL_ARG_VARIANCE, athi_onednn_memory(s, &d.stats, FROM_IN, 4));
    athi_onednn_arg(st, DNNL_ARG_DIFF_SRC, athi_onednn_memory(s, &d.x, FROM_OUT, 0));
    athi_onednn_arg(st, DNNL_ARG_DIFF_SCALE, athi_onednn_memory(s, &d.params, FROM_OUT, 1));
    athi_onednn_arg(st, DNNL_ARG_DIFF_SHIFT, athi_onednn_memory(s, &d.params, FROM_OUT, 2));
    return athi_onednn_finish(m, call);
}
