/* Normalisations: of images over the batch by our own loops, with relu, its gradient and the sums of a bias's
 * gradient taken along; all others by oneDNN. */
#include "backends/cpu/onednn.h"

typedef struct norm_state {
    athi_cpu_base base;
    athi_images images;
    float epsilon;
    bool relu;
    int x, gamma, beta, y, mean, variance; /* places; forward */
    int dy, dx, dgamma, dbeta, sums;       /* backward; y and sums -1: none */
    bool rounds_sums;                      /* to bf16 */
} norm_state;

static bool accepts(const athi_unit *unit, const ath_tensor *x, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_norm(unit, why)) return false;
    const int width = athi_cpu()->width;
    if (x->shape.rank != 4 || x->shape.dim[3] % width != 0) return athi_cpu_no(why, "no image of whole vectors");
    if (x->layout != ATHI_PLAIN && athi_layout_block(x->layout) != width) return athi_cpu_no(why, "other blocks");
    return athi_cpu_yes(why, "two passes, %d channels at a time", width);
}

/* ---- batch_norm_train (+ relu): x, gamma, beta -> y, mean, variance ------------------------------- */

static bool accepts_train(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    if (node->op != ATHI_OP_BATCH_NORM_TRAIN) return athi_cpu_no(why, "not of training");
    return accepts(unit, node->in[0], why);
}
static void run_train(const athi_call *call) {
    const norm_state *s = call->state;
    float *unused = call->scratch; /* statistics that nobody reads */
    s->base.k->batch_norm(s->base.threads, &s->images, call->in[0], call->in[1], call->in[2], s->epsilon, s->relu,
                          call->out[s->y], s->mean < 0 ? unused : call->out[s->mean],
                          s->variance < 0 ? unused + s->images.C : call->out[s->variance], unused + 2 * s->images.C);
}
static ath_status make_train(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    norm_state *s = athi_cpu_state(m, call, sizeof *s, run_train);
    if (!s) return ATH_E_NOMEM;
    s->images = athi_cpu_images(node->in[0]);
    s->epsilon = (float)node->attr.norm.epsilon;
    s->relu = unit->n_nodes > 1;
    s->y = athi_cpu_out_index(unit, &unit->nodes[unit->n_nodes - 1]->out[0]);
    s->mean = athi_cpu_out_index(unit, &node->out[1]), s->variance = athi_cpu_out_index(unit, &node->out[2]);
    m->scratch_bytes = s->base.k->batch_norm_workspace(&s->images) + 2 * s->images.C * (int64_t)sizeof(float);
    return ATH_OK;
}

/* ---- (relu_grad +) batch_norm_grad (+ sum_to): dy, (y,) x, gamma, mean, variance -> dx, dgamma, dbeta (, sums) --- */

static const athi_node *member(const athi_unit *unit, athi_op op) {
    for (int i = 0; i < unit->n_nodes; i++)
        if (unit->nodes[i]->op == op) return unit->nodes[i];
    return NULL;
}

static bool accepts_grad(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = member(unit, ATHI_OP_BATCH_NORM_GRAD), *relu = member(unit, ATHI_OP_RELU_GRAD);
    const athi_node *sum = member(unit, ATHI_OP_SUM_TO);
    const int64_t channels = athi_cpu_last(node->out[0].shape);
    if (relu && (node->in[0] != &relu->out[0] || node->in[1] == &relu->out[0]))
        return athi_cpu_no(why, "not the relu's gradient");
    if (relu && relu->in[0]->layout != relu->in[1]->layout) return athi_cpu_no(why, "layouts differ");
    if (sum && (athi_cpu_count(&sum->out[0]) != channels || athi_cpu_last(sum->out[0].shape) != channels))
        return athi_cpu_no(why, "the sums are not over channels");
    for (int i = 0; i < 3; i++) /* kernels know no place for what nobody reads */
        if (athi_cpu_out_index(unit, &node->out[i]) < 0) return athi_cpu_no(why, "a gradient that nobody reads");
    return accepts(unit, node->in[1], why);
}
static void run_grad(const athi_call *call) {
    const norm_state *s = call->state;
    float *sums = s->sums < 0 ? NULL : s->rounds_sums ? call->scratch : call->out[s->sums];
    s->base.k->batch_norm_grad(s->base.threads, &s->images, call->in[s->dy], s->y < 0 ? NULL : call->in[s->y],
                               call->in[s->x], call->in[s->gamma], call->in[s->mean], call->in[s->variance],
                               s->epsilon, call->out[s->dx], call->out[s->dgamma], call->out[s->dbeta], sums,
                               (float *)call->scratch + (s->rounds_sums ? s->images.C : 0));
    if (s->rounds_sums) s->base.k->narrow(1, s->images.C, sums, call->out[s->sums]);
}
static ath_status make_grad(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = member(unit, ATHI_OP_BATCH_NORM_GRAD), *relu = member(unit, ATHI_OP_RELU_GRAD);
    const athi_node *sum = member(unit, ATHI_OP_SUM_TO);
    norm_state *s = athi_cpu_state(m, call, sizeof *s, run_grad);
    if (!s) return ATH_E_NOMEM;
    s->images = athi_cpu_images(node->in[1]);
    s->epsilon = (float)node->attr.norm.epsilon;
    s->dy = athi_cpu_in_index(unit, relu ? relu->in[0] : node->in[0]);
    s->y = relu ? athi_cpu_in_index(unit, relu->in[1]) : -1;
    s->x = athi_cpu_in_index(unit, node->in[1]), s->gamma = athi_cpu_in_index(unit, node->in[2]);
    s->mean = athi_cpu_in_index(unit, node->in[3]), s->variance = athi_cpu_in_index(unit, node->in[4]);
    s->dx = athi_cpu_out_index(unit, &node->out[0]);
    s->dgamma = athi_cpu_out_index(unit, &node->out[1]), s->dbeta = athi_cpu_out_index(unit, &node->out[2]);
    s->sums = sum ? athi_cpu_out_index(unit, &sum->out[0]) : -1;
    s->rounds_sums = sum && sum->out[0].dtype == ATH_BF16;
    m->scratch_bytes = s->base.k->batch_norm_grad_workspace(&s->images) + s->images.C * (int64_t)sizeof(float);
    return ATH_OK;
}

/* ---- the rows ------------------------------------------------------------------------------------ */

#define TWICE                                                                                                        \
    "reads the batch twice, for its sums and for the values that follow from them; the bytes are counted once"
const athi_kernel athi_cpu_norm[] = {
    {"own:batch_norm", accepts_train, make_train, ATHI_LAYOUT_ANY, .bound_note = TWICE},
    {"onednn:batch_norm", athi_onednn_accepts_norm, athi_onednn_make_norm, ATHI_LAYOUT_ANY},
    ATHI_CPU_WIDENED,
    {0},
};
const athi_kernel athi_cpu_norm_grad[] = {
    {"own:batch_norm", accepts_grad, make_grad, ATHI_LAYOUT_ANY, .bound_note = TWICE},
    {"onednn:batch_norm", athi_onednn_accepts_norm, athi_onednn_make_norm_grad, ATHI_LAYOUT_ANY},
    ATHI_CPU_WIDENED,
    {0},
};
const athi_kernel athi_cpu_relu_norm_grad[] = {{"own:batch_norm", accepts_grad, make_grad, ATHI_LAYOUT_ANY,
                                                .bound_note = TWICE},
                                               {0}};
const athi_kernel athi_cpu_layer_norm[] = {
    {"onednn:layer_norm", athi_onednn_accepts_norm, athi_onednn_make_norm, ATHI_LAYOUT_PLAIN},
    ATHI_CPU_WIDENED,
    {0},
};
const athi_kernel athi_cpu_layer_norm_grad[] = {
    {"onednn:layer_norm", athi_onednn_accepts_norm, athi_onednn_make_norm_grad, ATHI_LAYOUT_PLAIN},
    ATHI_CPU_WIDENED,
    {0},
};
