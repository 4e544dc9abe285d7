/* Convolutions: which kernel takes which. oneDNN has the work in blocked layouts first and in
 * plain ones for channels that no block divides; images of one channel go to our own loops. */
#include "backends/cpu/onednn.h"
#include "backends/cpu/parallel.h"

/* ---- one channel --------------------------------------------------------------------------------- */

typedef struct conv1_state {
    athi_cpu_base base;
    athi_conv1 c;
    bool relu;
    int x, w, bias, y; /* places among inputs and outputs; bias -1: none */
} conv1_state;

static athi_conv1 conv1_of(const athi_node *node, const ath_tensor *x, const ath_tensor *y) {
    const int64_t *size = node->attr.window.size, *stride = node->attr.window.stride,
                  *dilation = node->attr.window.dilation;
    const bool same = node->attr.window.same;
    return (athi_conv1){.N = x->shape.dim[0],
                        .H = x->shape.dim[1],
                        .W = x->shape.dim[2],
                        .K = y->shape.dim[3],
                        .kernel_h = size[0],
                        .kernel_w = size[1],
                        .stride_h = stride[0],
                        .stride_w = stride[1],
                        .pad_top = athi_window_pad(x->shape.dim[1], size[0], stride[0], dilation[0], same),
                        .pad_left = athi_window_pad(x->shape.dim[2], size[1], stride[1], dilation[1], same),
                        .out_h = y->shape.dim[1],
                        .out_w = y->shape.dim[2],
                        .block = y->layout == ATHI_PLAIN ? 0 : athi_layout_block(y->layout)};
}

static bool is_conv1(const athi_unit *unit, const athi_node *node, const ath_tensor *x, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_f32(unit, why)) return false; /* in bf16 oneDNN has a kernel for most */
    if (x->shape.dim[3] != 1) return athi_cpu_no(why, "%lld channels, not one", (long long)x->shape.dim[3]);
    if (node->attr.window.dilation[0] != 1 || node->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    return athi_cpu_yes(why, "one channel");
}

static bool accepts_conv1(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *conv = unit->nodes[0];
    const ath_tensor *bias = athi_cpu_conv_bias(unit);
    const int64_t k = conv->out[0].shape.dim[3];
    if (bias && (athi_cpu_count(bias) != k || athi_cpu_last(bias->shape) != k))
        return athi_cpu_no(why, "what is added is no vector of %lld channels", (long long)k);
    return is_conv1(unit, conv, conv->in[0], why);
}

static void run_conv1(const athi_call *call) {
    const conv1_state *s = call->state;
    s->base.k->conv1(s->base.threads, &s->c, call->in[s->x], call->in[s->w], s->bias < 0 ? NULL : call->in[s->bias],
                     s->relu, call->out[s->y], call->scratch);
}
static ath_status make_conv1(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *conv = unit->nodes[0];
    conv1_state *s = athi_cpu_state(m, call, sizeof *s, run_conv1);
    if (!s) return ATH_E_NOMEM;
    s->c = conv1_of(conv, conv->in[0], athi_cpu_result(unit));
    s->relu = unit->n_nodes == 3;
    s->x = athi_cpu_in_index(unit, conv->in[0]), s->w = athi_cpu_in_index(unit, conv->in[1]);
    s->bias = athi_cpu_conv_bias(unit) ? athi_cpu_in_index(unit, athi_cpu_conv_bias(unit)) : -1;
    s->y = athi_cpu_out_index(unit, athi_cpu_result(unit));
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

/* ---- one channel, with the pooling behind: an image at a time, while it is in the cache ---------------- */

typedef struct conv1_pool_state {
    conv1_state conv; /* of one image */
    athi_pool pool;
    int64_t n;            /* images */
    int64_t large, small; /* floats of one image before and behind the pooling */
    int64_t workspace;    /* bytes a thread: the convolution's, then the large image */
    int index;            /* place of the pooling's index */
} conv1_pool_state;

typedef struct conv1_pool_work {
    const conv1_pool_state *s;
    const float *x, *w, *bias, *dy;
    float *y, *sums; /* sums: weight gradients of each image */
    uint8_t *index;
    const uint8_t *index_in;
    char *scratch;
} conv1_pool_work;

static float *large_image(const conv1_pool_work *w, int part) {
    return (float *)(void *)(w->scratch + (part + 1) * w->s->workspace) - (w->s->large + 15) / 16 * 16;
}

static void conv1_pool_part(const void *work, int64_t lo, int64_t hi, int part) {
    const conv1_pool_work *w = work;
    const conv1_pool_state *s = w->s;
    const athi_cpu_kernels *k = s->conv.base.k;
    float *large = large_image(w, part);
    for (int64_t i = lo; i < hi; i++) {
        k->conv1(1, &s->conv.c, w->x + i * s->conv.c.H * s->conv.c.W, w->w, w->bias, s->conv.relu, large,
                 w->scratch + part * s->workspace);
        k->max_pool(1, &s->pool, large, w->y + i * s->small, w->index ? w->index + i * s->small : NULL);
    }
}
static void run_conv1_pool(const athi_call *call) {
    const conv1_pool_state *s = call->state;
    const conv1_state *c = &s->conv;
    athi_cpu_for(c->base.threads, s->n, 1, 1, conv1_pool_part,
                 &(conv1_pool_work){.s = s,
                                    .x = call->in[c->x],
                                    .w = call->in[c->w],
                                    .bias = c->bias < 0 ? NULL : call->in[c->bias],
                                    .y = call->out[c->y],
                                    .index = call->out[s->index],
                                    .scratch = call->scratch});
}

/* dw of each image by itself, from the large gradient that never leaves the cache; then their sum. */
static void pool_conv1_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const conv1_pool_work *w = work;
    const conv1_pool_state *s = w->s;
    const athi_conv1 *c = &s->conv.c;
    const athi_cpu_kernels *k = s->conv.base.k;
    float *large = large_image(w, part);
    for (int64_t i = lo; i < hi; i++) {
        k->max_pool_grad(1, &s->pool, w->dy + i * s->small, w->index_in + i * s->small, NULL, large);
        k->conv1_grad_w(1, c, w->x + i * c->H * c->W, large, w->sums + i * c->kernel_h * c->kernel_w * c->K, NULL,
                        w->scratch + part * s->workspace);
    }
}
static void run_pool_conv1_grad(const athi_call *call) {
    const conv1_pool_state *s = call->state;
    const conv1_state *c = &s->conv;
    char *scratch = call->scratch;
    float *sums = (float *)(void *)(scratch + c->base.threads * s->workspace);
    const int64_t n = c->c.kernel_h * c->c.kernel_w * c->c.K;
    athi_cpu_for(c->base.threads, s->n, 1, 1, pool_conv1_grad_part,
                 &(conv1_pool_work){.s = s,
                                    .x = call->in[c->x],
                                    .dy = call->in[c->w],
                                    .index_in = call->in[s->index],
                                    .sums = sums,
                                    .scratch = scratch});
    c->base.k->column_sums(c->base.threads, s->n, n, sums, call->out[0], sums + s->n * n);
}

/* Sizes of one image from those of the batch, and scratch a thread. */
static void set_image(conv1_pool_state *s, athi_make *m) {
    s->n = s->conv.c.N;
    s->pool.N /= s->n, s->conv.c.N = 1;
    s->large = s->conv.c.out_h * s->conv.c.out_w * s->conv.c.K;
    s->small = s->pool.out_h * s->pool.out_w * s->conv.c.K;
    s->workspace = s->conv.base.k->conv1_workspace(1, &s->conv.c) + (s->large + 16) * (int64_t)sizeof(float);
    s->workspace = (s->workspace + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
    m->scratch_bytes = m->threads * s->workspace;
}

/* conv2d + add + relu + max_pool2d */
static bool accepts_conv1_pool(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    athi_unit conv = *unit;
    conv.n_nodes = 3;
    const athi_node *pool = unit->nodes[3];
    if (pool->attr.window.dilation[0] != 1 || pool->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    return accepts_conv1(&conv, why);
}
static ath_status make_conv1_pool(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *conv = unit->nodes[0], *pool = unit->nodes[3];
    const ath_tensor *large = &unit->nodes[2]->out[0], *small = &pool->out[0];
    conv1_pool_state *s = athi_cpu_state(m, call, sizeof *s, run_conv1_pool);
    if (!s) return ATH_E_NOMEM;
    s->conv.c = conv1_of(conv, conv->in[0], large);
    s->conv.relu = true;
    s->conv.x = athi_cpu_in_index(unit, conv->in[0]), s->conv.w = athi_cpu_in_index(unit, conv->in[1]);
    s->conv.bias = athi_cpu_in_index(unit, athi_cpu_conv_bias(unit));
    s->conv.y = athi_cpu_out_index(unit, small), s->index = athi_cpu_out_index(unit, &pool->out[1]);
    s->pool = athi_cpu_pool_of(pool, large, small);
    set_image(s, m);
    return ATH_OK;
}

/* max_pool2d_grad + conv2d_grad_w */
static bool accepts_pool_conv1_grad(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *pool = unit->nodes[0], *conv = unit->nodes[1];
    if (conv->in[1] != &pool->out[0] || conv->in[0] == &pool->out[0])
        return athi_cpu_no(why, "the pooling's is not dy");
    if (pool->attr.window.dilation[0] != 1 || pool->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    if (pool->in[0]->layout != pool->out[0].layout) return athi_cpu_no(why, "layouts differ");
    return is_conv1(unit, conv, conv->in[0], why);
}
static ath_status make_pool_conv1_grad(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *pool = unit->nodes[0], *conv = unit->nodes[1];
    conv1_pool_state *s = athi_cpu_state(m, call, sizeof *s, run_pool_conv1_grad);
    if (!s) return ATH_E_NOMEM;
    s->conv.c = conv1_of(conv, conv->in[0], &pool->out[0]);
    s->conv.x = athi_cpu_in_index(unit, conv->in[0]);
    s->conv.w = athi_cpu_in_index(unit, pool->in[0]), s->index = athi_cpu_in_index(unit, pool->in[1]);
    s->pool = athi_cpu_pool_of(pool, &pool->out[0], pool->in[0]);
    set_image(s, m);
    const int64_t n = s->conv.c.kernel_h * s->conv.c.kernel_w * s->conv.c.K;
    m->scratch_bytes += s->n * n * (int64_t)sizeof(float) + s->conv.base.k->column_sums_workspace(n);
    return ATH_OK;
}

/* ---- the rows ------------------------------------------------------------------------------------ */

const athi_kernel athi_cpu_conv[] = {
    {"own:conv1", accepts_conv1, make_conv1, ATHI_LAYOUT_BLOCKED},
    {"own:winograd", athi_cpu_accepts_winograd, athi_cpu_make_winograd, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv, athi_onednn_make_conv, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv, athi_onednn_make_conv, ATHI_LAYOUT_PLAIN},
    ATHI_CPU_WIDENED,
    {0},
};
#define SHORT_SUMS "sums as short as a window of one channel: loads, stores and comparisons beside few products"
const athi_kernel athi_cpu_conv1_pool[] = {
    {"own:conv1_pool", accepts_conv1_pool, make_conv1_pool, ATHI_LAYOUT_BLOCKED, .bound_note = SHORT_SUMS},
    {0},
};
const athi_kernel athi_cpu_pool_conv1_grad[] = {
    {"own:conv1_pool", accepts_pool_conv1_grad, make_pool_conv1_grad, ATHI_LAYOUT_BLOCKED, .bound_note = SHORT_SUMS},
    {0},
};
const athi_kernel athi_cpu_conv_grad_x[] = {
    {"own:winograd", athi_cpu_accepts_winograd_grad_x, athi_cpu_make_winograd_grad_x, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_x, athi_onednn_make_conv_grad_x, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_x, athi_onednn_make_conv_grad_x, ATHI_LAYOUT_PLAIN},
    ATHI_CPU_WIDENED,
    {0},
};
const athi_kernel athi_cpu_conv_grad_w[] = {
    {"own:conv1", accepts_conv1_grad_w, make_conv1_grad_w, ATHI_LAYOUT_BLOCKED},
    {"own:winograd", athi_cpu_accepts_winograd_grad_w, athi_cpu_make_winograd_grad_w, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_w, athi_onednn_make_conv_grad_w, ATHI_LAYOUT_BLOCKED},
    {"onednn:convolution", athi_onednn_accepts_conv_grad_w, athi_onednn_make_conv_grad_w, ATHI_LAYOUT_PLAIN},
    ATHI_CPU_WIDENED,
    {0},
};
const athi_kernel athi_cpu_reorder[] = {{"onednn:reorder", athi_onednn_accepts_reorder, athi_onednn_make_reorder,
                                         ATHI_LAYOUT_ANY},
                                        {0}};
