/* Augmentation of images. The rows know float32; float64 goes through it. */
#include "augment/augment.h"
#include "backends/ref/ref.h"

static athi_frame frame_of(const ath_tensor *t) {
    return (athi_frame){t->shape.dim[1], t->shape.dim[2], t->shape.dim[3]};
}

ath_status athi_ref_augment_make(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    if (node->in[0]->dtype == ATH_F64)
        m->scratch_bytes =
            (athi_shape_count(node->in[0]->shape) + athi_shape_count(node->out[0].shape)) * (int64_t)sizeof(float);
    call->run = athi_ref_augment;
    return ATH_OK;
}

void athi_ref_augment(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const ath_tensor *in = node->in[0], *out = &node->out[0];
    const int64_t n = athi_shape_count(in->shape), m = athi_shape_count(out->shape);
    const int64_t *counters = node->n_in > 1 ? athi_ref_in(call, 1) : NULL;
    const bool narrows = in->dtype == ATH_F64;
    const float *x = athi_ref_in(call, 0);
    float *y = athi_ref_out(call, 0);
    if (narrows) {
        float *scratch = (float *)(void *)call->scratch;
        for (int64_t i = 0; i < n; i++) scratch[i] = (float)((const double *)athi_ref_in(call, 0))[i];
        x = scratch, y = scratch + n;
    }
    athi_augment_images(node->attr.augment.row, node->attr.augment.opts, counters, node->attr.augment.id, x,
                        frame_of(in), y, 0, in->shape.dim[0]);
    for (int64_t i = 0; narrows && i < m; i++) ((double *)athi_ref_out(call, 0))[i] = (double)y[i];
}
