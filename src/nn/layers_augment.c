/* Random changes of images as layers: nodes that specialize leaves out, or makes still, outside training. What they do
 * stands in augment/. */
#include "athanor/augment.h"
#include "augment/augment.h"
#include "nn/layers.h"

/* Does x depend on a weight that is trained? */
static ath_status is_behind_weights(athi_net *net, const ath_tensor *x, bool *behind) {
    int64_t last = x->node->id;
    bool *depends = athi_arena_array(net->arena, last + 1, (int64_t)sizeof *depends);
    if (!depends) return ATH_E_NOMEM;
    for (int64_t i = 0; i <= last; i++) {
        const athi_node *node = net->graph->nodes[i];
        depends[i] = node->op == ATHI_OP_VARIABLE && node->attr.variable.variable->role == ATHI_TRAINABLE;
        for (int k = 0; k < node->n_in; k++) depends[i] = depends[i] || depends[node->in[k]->node->id];
    }
    *behind = depends[last];
    return ATH_OK;
}

static ath_tensor *build(athi_net *net, const char *row_name, ath_tensor *x, const void *opts, const char *name) {
    const athi_row *row = athi_row_find(&athi_augments, row_name);
    athi_shape s = x->shape;
    char text[96];
    bool behind = false;
    int64_t id = net->n_augments++;
    if (s.rank != 4 || s.dim[1] < 1 || s.dim[2] < 1 || s.dim[3] < 1)
        return athi_layer_error(
            net, ATH_E_SHAPE, row_name, name,
            "expected input of rank 4 [batch, height, width, channels] with known sizes, got %s; add "
            "reshape",
            athi_shape_str(s, text));
    ath_status status = athi_augment_check(net->ctx, row, opts, (athi_frame){s.dim[1], s.dim[2], s.dim[3]});
    if (status == ATH_OK) status = is_behind_weights(net, x, &behind);
    if (status != ATH_OK) return athi_net_fail(net, status);
    if (behind)
        return athi_layer_error(
            net, ATH_E_UNSUPPORTED, row_name, name,
            "it stands behind weights, to which it lets no gradient through; move it before the first "
            "layer with weights");
    return athi_op2(net->graph, ATHI_OP_AUGMENT, x, athi_variable_tensor(net->graph, net->counters),
                    (&(athi_attr){.augment = {row, opts, id}}));
}

#define LAYER(row)                                                                                                   \
    static ath_tensor *build_##row(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,                 \
                                   const char *name) {                                                               \
        (void)n_in;                                                                                                  \
        return build(net, #row, in[0], opts, name);                                                                  \
    }                                                                                                                \
    const athi_layer_impl athi_layer_##row = {1, 1, build_##row};                                                    \
    ath_tensor *ath_##row##_with(ath_tensor *x, const ath_##row##_opts *opts) {                                      \
        return athi_layer_call(#row, &x, 1, opts);                                                                   \
    }

LAYER(random_flip)
LAYER(random_rotation)
LAYER(random_zoom)
LAYER(random_translation)
LAYER(random_crop)
LAYER(random_contrast)
LAYER(random_brightness)
LAYER(random_erasing)
LAYER(cutout)
