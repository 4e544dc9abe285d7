/* Convolutions and batch normalisation: which kernel takes which. oneDNN has the work in blocked layouts first and in
 * plain ones for channels that no block divides; images of one channel go to our own loops. */
#include "backends/cpu/onednn.h"

/* ---- one channel --------------------------------------------------------------------------------- */

typedef struct conv1_state {
    athi_cpu_base base;
    athi_conv1 c;
    bool relu;
    int x, w, bias, y; /* places among inputs and outputs; bias -1: none */
} conv1_state;

static athi_conv1 conv1_of(const athi_node *node, const ath_tensor *x, const ath_tensor *y) {
    const int64_t *size = node->attr.window.size, *stride = node->attr.window.stride, *dilation = node->attr.window.dilation;
    const bool same = node->attr.window.same;
    return (athi_conv1){.N = x->shape.dim[0], .H = x->shape.dim[1], .W = x->shape.dim[2], .K = y->shape.dim[3],
                        .kernel_h = size[0], .kernel_w = size[1], .stride_h = stride[0], .stride_w = stride[1],
                        .pad_top = athi_window_pad(x->shape.dim[1], size[0], stride[0], dilation[0], same),
                        .pad_left = athi_window_pad(x->shape.dim[2], size[1], stride[1], dilation[1], same),
                        .out_h = y->shape.dim[1], .out_w = y->shape.dim[2],
                        .block = y->layout == ATHI_PLAIN ? 0 : athi_layout_block(y->layout)};
}

static bool is_conv1(const athi_unit *unit, const athi_node *node, const ath_tensor *x, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_f32(unit, why)) return false;
    if (x->shape.dim[3] != 1) return athi_cpu_no(why, "%lld channels, not one", (long long)x->shape.dim[3]);
    if (node->attr.window.dilation[0] != 1 || node->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    return athi_cpu_yes(why, "one channel");
}

/* conv2d (+ add (+ relu)): the bias is what is added, a vector over the filters. */
static const ath_tensor *bias_of(const athi_unit *unit) {
    if (unit->n_nodes == 1) return NULL;
    const athi_node *conv = unit->nodes[0], *add = unit->nodes[1];
    return add->in[add->in[0] == &conv->out[0] ? 1 : 0];
}
static const ath_tensor *result_of(const athi_unit *unit) { return &unit->nodes[unit->n_nodes - 1]->out[0]; }

static bool accepts_conv1(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *conv = unit->nodes[0];
    const ath_tensor *bias = bias_of(unit);
    const int64_t k = conv->out[0].shape.dim[3];
    if (bias && (athi_cpu_count(bias) != k || athi_cpu_last(bias->shape) != k))
        return athi_cpu_no(why, "what is added is no vector of %lld channels", (long long)k);
    return is_conv1(unit, conv, conv->in[0], why);
}

static void run_conv1(const athi_call *call) {
    const conv1_state *s = call->state;
    s->base.k->conv1(s->base.threads, &s->c, call->in[s->x], call->in[s->w], s->bias < 0 ? NULL : call->in[s->bias], s->relu,
                     call->out[s->y], call->scratch);
}
static ath_status make_conv1(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *conv = unit->nodes[0];
    conv1_state *s = athi_cpu_state(m, call, sizeof *s, run_conv1);
    if (!s) return ATH_E_NOMEM;
    s->c = conv1_of(conv, conv->in[0], result_of(unit));
    s->relu = unit->n_nodes == 3;
    s->x = athi_cpu_in_index(unit, conv->in[0]), s->w = athi_cpu_in_index(unit, conv->in[1]);
    s->bias = bias_of(unit) ? athi_cpu_in_index(unit, bias_of(unit)) : -1;
    s->y = athi_cpu_out_index(unit, result_of(unit));
    m->scratch_bytes = s->base.k->conv1_workspace(m->threads, &s->c);
    return ATH_OK;
}

static bool accepts_conv1_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return is_conv1(unit, unit->nodes[0], unit->nodes[0]->in[0], why);
}
static void run_conv1_grad_w(const athi_call *call) {
    const conv1_state *s = call->state;
    s->base.k->conv1_grad_w(s->base.threads, &s->c, call->in[0], call->in[1], call->out[0], NULL, call->scratch);
}
static ath_status make_conv1_grad_w(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    conv1_state *s = athi_cpu_state(m, call, sizeof *s, run_conv1_grad_w);
    if (!s) return ATH_E_NOMEM;
    s->c = conv1_of(node, node->in[0], node->in[1]);
    m->scratch_bytes = s->base.k->conv1_workspace(m->threads, &s->c);
    return ATH_OK;
}

/* ---- the rows ------------------------------------------------------------------------------------ */

const athi_kernel athi_cpu_conv[] = {
    {"own:conv1", accepts_conv1, make_conv1, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv, athi_onednn_make_conv, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv, athi_onednn_make_conv, ATHI_LAYOUT_PLAIN},
    {0},
};
const athi_kernel athi_cpu_conv_grad_x[] = {
    {"onednn:convolution", athi_onednn_accepts_conv_grad_x, athi_onednn_make_conv_grad_x, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_x, athi_onednn_make_conv_grad_x, ATHI_LAYOUT_PLAIN},
    {0},
};
const athi_kernel athi_cpu_conv_grad_w[] = {
    {"own:conv1", accepts_conv1_grad_w, make_conv1_grad_w, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_w, athi_onednn_make_conv_grad_w, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_w, athi_onednn_make_conv_grad_w, ATHI_LAYOUT_PLAIN},
    {0},
};
const athi_kernel athi_cpu_norm[] = {
    {"onednn:batch_norm", athi_onednn_accepts_norm, athi_onednn_make_norm, ATHI_LAYOUT_ANY}, {0}};
const athi_kernel athi_cpu_norm_grad[] = {
    {"onednn:batch_norm", athi_onednn_accepts_norm, athi_onednn_make_norm_grad, ATHI_LAYOUT_ANY}, {0}};
const athi_kernel athi_cpu_reorder[] = {
    {"onednn:reorder", athi_onednn_accepts_reorder, athi_onednn_make_reorder, ATHI_LAYOUT_ANY}, {0}};
