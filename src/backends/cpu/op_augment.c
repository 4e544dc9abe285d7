/* Augmentation: the rows' own functions, images shared among the threads. */
#include "augment/augment.h"
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"

typedef struct work {
    const athi_node *node;
    const float *x;
    float *y;
    const int64_t *counters;
} work;

static void images(const void *all, int64_t from, int64_t to, int part) {
    const work *w = all;
    const athi_shape s = w->node->in[0]->shape;
    (void)part;
    athi_augment_images(w->node->attr.augment.row, w->node->attr.augment.opts, w->counters, w->node->attr.augment.id,
                        w->x, (athi_frame){s.dim[1], s.dim[2], s.dim[3]}, w->y, from, to);
}

static void run(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    work w = {node, call->in[0], call->out[0], node->n_in > 1 ? call->in[1] : NULL};
    athi_cpu_for(s->threads, node->in[0]->shape.dim[0], 8, 1, images, &w);
}

static bool accepts(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return athi_cpu_is_f32(unit, why) && athi_cpu_is_plain(unit, why) && athi_cpu_yes(why, "an image a piece");
}
static ath_status make(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run);
}
const athi_kernel athi_cpu_augment[] = {{"own:augment", accepts, make, ATHI_LAYOUT_PLAIN}, {0}};
