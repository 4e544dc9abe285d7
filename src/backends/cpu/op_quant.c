/* int8 inference: products of bytes with what follows them, and the changes between float and int8 around them. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/int8.h"

/* ---- products ------------------------------------------------------------------------------------ */

typedef struct int8_state {
    athi_cpu_base base;
    athi_int8 c;
    athi_pool pool;                                       /* of one image */
    bool dense, relu, pools;                              /* pools: by other windows than the products' own 2 x 2 */
    int x, w, x_scale, kernel_scale, bias, q_scale, y, q; /* places among inputs and outputs; -1: none */
    void *packed;
    int64_t version, workspace; /* of the weights that are packed; bytes */
} int8_state;

/* Packed weights stay while the block's do. */
static void pack_weights(const athi_call *call, int8_state *s) {
    const int64_t *version = call->spaces->version;
    if (version && *version == s->version) return;
    s->base.k->int8->pack(&s->c, call->in[s->w], s->packed);
    s->version = version ? *version : 0;
}

static void run_int8(const athi_call *call) {
    int8_state *s = call->state;
    float *rates = (float *)(void *)((char *)call->scratch + s->workspace);
    const float *scales = call->in[s->kernel_scale], *x_scale = call->in[s->x_scale];
    pack_weights(call, s);
    for (int64_t f = 0; f < s->c.F && !s->dense; f++) rates[f] = 1.0f / (*x_scale * scales[f]);
    s->base.k->int8->run(s->base.threads, &s->c,
                         &(athi_int8_call){.x = call->in[s->x],
                                           .packed = s->packed,
                                           .row_scales = s->dense ? x_scale : NULL,
                                           .kernel_scale = scales,
                                           .rates = rates,
                                           .bias = s->bias < 0 ? NULL : call->in[s->bias],
                                           .relu = s->relu,
                                           .y = s->y < 0 ? NULL : call->out[s->y],
                                           .q = s->q < 0 ? NULL : call->out[s->q],
                                           .q_scale = s->q_scale < 0 ? NULL : call->in[s->q_scale],
                                           .pool = s->c.pools_bytes ? &s->pool : NULL,
                                           .workspace = call->scratch});
}

static athi_int8 dense_of(const athi_node *node) {
    const int64_t M = node->in[0]->shape.dim[0], K = node->in[0]->shape.dim[1];
    return (athi_int8){.N = 1,
                       .H = 1,
                       .W = M,
                       .C = K,
                       .F = node->out[0].shape.dim[1],
                       .kernel_h = 1,
                       .kernel_w = 1,
                       .stride_h = 1,
                       .stride_w = 1,
                       .dilation_h = 1,
                       .dilation_w = 1,
                       .out_h = 1,
                       .out_w = M,
                       .pool = 1};
}

static athi_int8 conv_of(const athi_node *node) {
    const int64_t *x = node->in[0]->shape.dim, *y = node->out[0].shape.dim, *size = node->attr.window.size,
                  *stride = node->attr.window.stride, *dilation = node->attr.window.dilation;
    const bool same = node->attr.window.same;
    return (athi_int8){.N = x[0],
                       .H = x[1],
                       .W = x[2],
                       .C = x[3],
                       .F = y[3],
                       .kernel_h = size[0],
                       .kernel_w = size[1],
                       .stride_h = stride[0],
                       .stride_w = stride[1],
                       .dilation_h = dilation[0],
                       .dilation_w = dilation[1],
                       .out_h = y[1],
                       .out_w = y[2],
                       .pad_top = athi_window_pad(x[1], size[0], stride[0], dilation[0], same),
                       .pad_left = athi_window_pad(x[2], size[1], stride[1], dilation[1], same),
                       .pool = 1};
}

/* One image's pooling. */
static athi_pool pool_of(const athi_node *node) {
    athi_pool p = athi_cpu_pool_of(node, node->in[0], &node->out[0]);
    p.N = 1;
    return p;
}

/* Windows of 2 x 2 side by side, as far as whole ones go, are pooled before anything else is done to the sums. */
static bool pools_sums(const athi_pool *p) {
    return p->kernel_h == 2 && p->kernel_w == 2 && p->stride_h == 2 && p->stride_w == 2 && !p->pad_top &&
           !p->pad_left && p->out_h == p->H / 2 && p->out_w == p->W / 2;
}

static const ath_tensor *bias_of(const athi_node *product, const athi_node *add) {
    return add->in[add->in[0] == &product->out[0] ? 1 : 0];
}

static ath_status make_int8(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *product = unit->nodes[0], *value = product;
    int8_state *s = athi_cpu_state(m, call, sizeof *s, run_int8);
    if (!s) return ATH_E_NOMEM;
    s->dense = product->op == ATHI_OP_QUANTIZED_MATMUL;
    s->c = s->dense ? dense_of(product) : conv_of(product);
    s->x = athi_cpu_in_index(unit, product->in[0]), s->w = athi_cpu_in_index(unit, product->in[1]);
    s->x_scale = athi_cpu_in_index(unit, product->in[2]), s->kernel_scale = athi_cpu_in_index(unit, product->in[3]);
    s->bias = s->q = s->q_scale = s->version = -1;
    for (int i = 1; i < unit->n_nodes; i++) {
        const athi_node *node = unit->nodes[i];
        switch (node->op) {
        case ATHI_OP_ADD: s->bias = athi_cpu_in_index(unit, bias_of(product, node)), value = node; break;
        case ATHI_OP_RELU: s->relu = true, value = node; break;
        case ATHI_OP_MAX_POOL2D:
            s->pool = pool_of(node);
            s->c.pools_bytes = !pools_sums(&s->pool);
            if (!s->c.pools_bytes) s->c.pool = 2;
            if (node->out[0].dtype == ATH_I8)
                s->q = athi_cpu_out_index(unit, &node->out[0]);
            else
                value = node;
            break;
        default: /* quantize */
            s->q_scale = athi_cpu_in_index(unit, node->in[1]);
            s->q = athi_cpu_out_index(unit, &node->out[0]);
        }
    }
    s->y = athi_cpu_out_index(unit, &value->out[0]);
    s->packed = athi_arena_alloc(m->arena, s->base.k->int8->packed_bytes(&s->c));
    if (!s->packed) return ATH_E_NOMEM;
    s->workspace = (s->base.k->int8->workspace(m->threads, &s->c) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
    m->scratch_bytes = s->workspace + s->c.F * (int64_t)sizeof(float);
    return ATH_OK;
}

/* Floats are pooled on the sums alone. There are no gradients, so nobody reads the places of maxima. */
static bool accepts_pool(const athi_node *node, char why[ATHI_WHY_MAX]) {
    const athi_pool pool = pool_of(node);
    if (node->attr.window.dilation[0] != 1 || node->attr.window.dilation[1] != 1)
        return athi_cpu_no(why, "dilated pooling");
    return node->out[0].dtype == ATH_I8 || pools_sums(&pool) || athi_cpu_no(why, "floats are pooled by 2 x 2 only");
}

static bool accepts_bias(const athi_node *product, const athi_node *add, char why[ATHI_WHY_MAX]) {
    const int64_t filters = product->in[3]->shape.dim[0];
    const ath_tensor *bias = bias_of(product, add);
    return (athi_cpu_count(bias) == filters && athi_cpu_last(bias->shape) == filters) ||
           athi_cpu_no(why, "what is added is no vector of %lld channels", (long long)filters);
}

static bool accepts_int8(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (unit->nodes[0]->out[0].dtype != ATH_F32) return athi_cpu_no(why, "gives f32");
    if (!athi_cpu_is_plain(unit, why)) return false;
    for (int i = 1; i < unit->n_nodes; i++) {
        if (unit->nodes[i]->op == ATHI_OP_MAX_POOL2D && !accepts_pool(unit->nodes[i], why)) return false;
        if (unit->nodes[i]->op == ATHI_OP_ADD && !accepts_bias(unit->nodes[0], unit->nodes[i], why)) return false;
    }
    return athi_cpu_yes(why, "int8, %s", athi_cpu()->int8_name);
}

/* ---- float to int8, and pooling of bytes --------------------------------------------------------- */

static bool accepts_quantize(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (unit->nodes[0]->in[0]->dtype != ATH_F32) return athi_cpu_no(why, "takes f32");
    return athi_cpu_is_plain(unit, why) && athi_cpu_yes(why, "vectors");
}

static void run_quantize(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const float *scale = call->in[1];
    s->k->int8->quantize(s->threads, athi_cpu_count(call->unit->in[0]), call->in[0], *scale, call->out[0]);
}
static ath_status make_quantize(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_quantize);
}

static void run_quantize_rows(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const int64_t *x = call->unit->in[0]->shape.dim;
    s->k->int8->quantize_rows(s->threads, x[0], x[1], call->in[0], call->out[0], call->out[1]);
}
static ath_status make_quantize_rows(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_quantize_rows);
}

bool athi_cpu_accepts_int8_pool(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    if (node->in[0]->dtype != ATH_I8) return athi_cpu_no(why, "takes i8");
    if (node->attr.window.dilation[0] != 1 || node->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    return athi_cpu_is_plain(unit, why) && athi_cpu_yes(why, "bytes; no gradients, so no places of maxima");
}
static void run_int8_pool(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_pool p = athi_cpu_pool_of(call->unit->nodes[0], call->unit->in[0], call->unit->out[0]);
    s->k->int8->max_pool(s->threads, &p, call->in[0], call->out[0]);
}
ath_status athi_cpu_make_int8_pool(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_int8_pool);
}

const athi_kernel athi_cpu_int8[] = {{"own:int8", accepts_int8, make_int8, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_quantize[] = {{"own:int8", accepts_quantize, make_quantize, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_quantize_rows[] = {{"own:int8", accepts_quantize, make_quantize_rows, ATHI_LAYOUT_PLAIN},
                                              {0}};
