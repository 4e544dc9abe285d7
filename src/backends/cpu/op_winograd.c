/* Winograd's convolution as kernels of conv2d (+ add (+ relu)) and its two gradients: 3 x 3, stride 1, and shapes on
 * which it gains. */
#include "backends/cpu/cpu.h"

enum {
    /* Fewer tiles: the weights' transform is not paid back, nor are products of so few rows quick. */
    LEAST_TILES = 32,
    TILE = 4,
};

/* How much less work Winograd is than the direct convolution: 4 times fewer products, less what tiles reach beyond the
 * image, and the transforms, which cost as much as the products with so many channels (measured with AVX-512). In bf16
 * products take half of their time and transforms nearly all of it. */
static const double CHANNELS_OF_TRANSFORMS = 40, CHANNELS_OF_TRANSFORMS_BF16 = 70, LEAST_GAIN = 1.15;
static double gain(int64_t out_h, int64_t out_w, int64_t tiles_h, int64_t tiles_w, int64_t C, int64_t K, bool bf16) {
    const double covered = (double)(out_h * out_w) / (double)(tiles_h * tiles_w * TILE * TILE);
    const double transforms = bf16 ? CHANNELS_OF_TRANSFORMS_BF16 : CHANNELS_OF_TRANSFORMS;
    return 4 * covered / (1 + transforms * (1 / (double)C + 1 / (double)K));
}

typedef struct winograd_state {
    athi_cpu_base base;
    athi_winograd c;
    bool relu;
    int x, w, bias, y; /* places among inputs and outputs; bias -1: none */
    int64_t rounded;   /* weight gradients that become bf16; 0: they stay float */
} winograd_state;

static int64_t block_of(const ath_tensor *t) { return t->layout == ATHI_PLAIN ? 0 : athi_layout_block(t->layout); }

/* Of x to y by the node's window; for the input's gradient the caller turns it round. */
static athi_winograd geometry(const athi_node *node, const ath_tensor *x, const ath_tensor *y) {
    const bool same = node->attr.window.same;
    return (athi_winograd){.N = x->shape.dim[0],
                           .H = x->shape.dim[1],
                           .W = x->shape.dim[2],
                           .C = x->shape.dim[3],
                           .K = y->shape.dim[3],
                           .pad_top = athi_window_pad(x->shape.dim[1], 3, 1, 1, same),
                           .pad_left = athi_window_pad(x->shape.dim[2], 3, 1, 1, same),
                           .out_h = y->shape.dim[1],
                           .out_w = y->shape.dim[2],
                           .x_block = block_of(x),
                           .y_block = block_of(y)};
}
static athi_winograd turned(athi_winograd c) {
    return (athi_winograd){.N = c.N,
                           .H = c.out_h,
                           .W = c.out_w,
                           .C = c.K,
                           .K = c.C,
                           .pad_top = 2 - c.pad_top,
                           .pad_left = 2 - c.pad_left,
                           .out_h = c.H,
                           .out_w = c.W,
                           .x_block = c.y_block,
                           .y_block = c.x_block};
}

static bool accepts(const athi_unit *unit, const athi_node *node, const ath_tensor *x, athi_shape kernel,
                    const ath_tensor *y, char why[ATHI_WHY_MAX]) {
    const int64_t *stride = node->attr.window.stride, *dilation = node->attr.window.dilation;
    if (kernel.dim[0] != 3 || kernel.dim[1] != 3) return athi_cpu_no(why, "not 3 x 3");
    if (stride[0] != 1 || stride[1] != 1 || dilation[0] != 1 || dilation[1] != 1 || node->attr.window.groups != 1)
        return athi_cpu_no(why, "strides, dilation or groups");
    const int64_t h = y->shape.dim[1], w = y->shape.dim[2], C = x->shape.dim[3], K = y->shape.dim[3];
    const int64_t tiles_h = (h + TILE - 1) / TILE, tiles_w = (w + TILE - 1) / TILE;
    const long long tiles = x->shape.dim[0] * tiles_h * tiles_w;
    const double gained = gain(h, w, tiles_h, tiles_w, C, K, athi_cpu_uses_bf16(unit));
    if (tiles < LEAST_TILES) return athi_cpu_no(why, "%lld tiles, under %d", tiles, LEAST_TILES);
    if (gained < LEAST_GAIN) return athi_cpu_no(why, "its transforms would eat up the gain");
    return athi_cpu_yes(why, "F(4x4, 3x3), %lld tiles, %.1f times less work", tiles, gained);
}

/* ---- conv2d (+ add (+ relu)) --------------------------------------------------------------------- */

bool athi_cpu_accepts_winograd(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *conv = unit->nodes[0];
    const ath_tensor *bias = athi_cpu_conv_bias(unit);
    const int64_t k = conv->out[0].shape.dim[3];
    if (bias && (athi_cpu_count(bias) != k || athi_cpu_last(bias->shape) != k))
        return athi_cpu_no(why, "what is added is no vector of %lld channels", (long long)k);
    return athi_cpu_is_float(unit, why) &&
           accepts(unit, conv, conv->in[0], conv->in[1]->shape, athi_cpu_result(unit), why);
}
static void run_forward(const athi_call *call) {
    const winograd_state *s = call->state;
    s->base.k->winograd(s->base.threads, &s->c, call->in[s->x], call->in[s->w], false,
                        s->bias < 0 ? NULL : call->in[s->bias], s->relu, call->out[s->y], call->scratch);
}
ath_status athi_cpu_make_winograd(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *conv = unit->nodes[0];
    const ath_tensor *bias = athi_cpu_conv_bias(unit), *y = athi_cpu_result(unit);
    winograd_state *s = athi_cpu_state(m, call, sizeof *s, run_forward);
    if (!s) return ATH_E_NOMEM;
    s->c = geometry(conv, conv->in[0], y);
    s->relu = unit->n_nodes == 3;
    s->x = athi_cpu_in_index(unit, conv->in[0]), s->w = athi_cpu_in_index(unit, conv->in[1]);
    s->bias = bias ? athi_cpu_in_index(unit, bias) : -1;
    s->y = athi_cpu_out_index(unit, y);
    m->scratch_bytes = s->base.k->winograd_workspace(&s->c);
    return ATH_OK;
}

/* ---- conv2d_grad_x: dy, kernel -> dx -------------------------------------------------------------- */

bool athi_cpu_accepts_winograd_grad_x(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    return athi_cpu_is_float(unit, why) && accepts(unit, node, node->in[0], node->in[1]->shape, &node->out[0], why);
}
static void run_grad_x(const athi_call *call) {
    const winograd_state *s = call->state;
    s->base.k->winograd(s->base.threads, &s->c, call->in[0], call->in[1], true, NULL, false, call->out[0],
                        call->scratch);
}
ath_status athi_cpu_make_winograd_grad_x(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    winograd_state *s = athi_cpu_state(m, call, sizeof *s, run_grad_x);
    if (!s) return ATH_E_NOMEM;
    s->c = turned(geometry(node, &node->out[0], node->in[0]));
    m->scratch_bytes = s->base.k->winograd_workspace(&s->c);
    return ATH_OK;
}

/* ---- conv2d_grad_w (+ cast): x, dy -> dw ---------------------------------------------------------- */

bool athi_cpu_accepts_winograd_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    return athi_cpu_is_weight_gradient(unit, why) &&
           accepts(unit, node, node->in[0], node->out[0].shape, node->in[1], why);
}
static void run_grad_w(const athi_call *call) {
    const winograd_state *s = call->state;
    float *dw = s->rounded ? call->scratch : call->out[0];
    s->base.k->winograd_grad_w(s->base.threads, &s->c, call->in[0], call->in[1], dw,
                               (float *)call->scratch + s->rounded);
    if (s->rounded) s->base.k->narrow(s->base.threads, s->rounded, dw, call->out[0]);
}
ath_status athi_cpu_make_winograd_grad_w(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    winograd_state *s = athi_cpu_state(m, call, sizeof *s, run_grad_w);
    if (!s) return ATH_E_NOMEM;
    s->c = geometry(node, node->in[0], node->in[1]);
    const ath_tensor *dw = athi_cpu_result(unit);
    s->rounded = dw->dtype == ATH_BF16 ? athi_cpu_count(dw) : 0;
    m->scratch_bytes = s->base.k->winograd_grad_w_workspace(&s->c) + s->rounded * (int64_t)sizeof(float);
    return ATH_OK;
}
