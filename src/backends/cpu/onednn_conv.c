/* Convolutions by oneDNN and their gradients, with a bias and a ReLU. */
#include "backends/cpu/onednn_internal.h"

/* ---- convolution --------------------------------------------------------------------------------- */

typedef struct convolution {
    desc x, w, y, bias; /* w in the format of the block */
    desc w_any;
    dnnl_dims_t stride, dilation, pad_l, pad_r;
} convolution;

/* x [N, H, W, C], kernel [kh, kw, C / groups, K], y [N, P, Q, K]. */
static bool set_convolution(const athi_node *node, const ath_tensor *x, const ath_tensor *kernel, const ath_tensor *y,
                            convolution *c) {
    const athi_shape k = kernel->shape;
    const dnnl_data_type_t type = athi_onednn_type(kernel);
    const int64_t groups = node->attr.window.groups;
    for (int i = 0; i < 2; i++) {
        const int64_t size = k.dim[i], n = x->shape.dim[1 + i], out = y->shape.dim[1 + i];
        const int64_t stride = node->attr.window.stride[i], dilation = node->attr.window.dilation[i];
        c->stride[i] = stride;
        c->dilation[i] = dilation - 1;
        c->pad_l[i] = athi_window_pad(n, size, stride, dilation, node->attr.window.same);
        c->pad_r[i] = ATHI_MAX((out - 1) * stride + (size - 1) * dilation + 1 - n - c->pad_l[i], 0);
    }
    bool good =
        athi_onednn_image(x, &c->x) && athi_onednn_image(y, &c->y) && athi_onednn_vector(k.dim[3], type, &c->bias);
    if (groups == 1) {
        dnnl_dims_t w = {k.dim[3], k.dim[2], k.dim[0], k.dim[1]};
        good = good && dnnl_memory_desc_init_by_tag(&c->w, 4, w, type, dnnl_hwio) == dnnl_success;
        return good && dnnl_memory_desc_init_by_tag(&c->w_any, 4, w, type, dnnl_format_tag_any) == dnnl_success;
    }
    dnnl_dims_t w = {groups, k.dim[3] / groups, k.dim[2], k.dim[0], k.dim[1]};
    good = good && dnnl_memory_desc_init_by_tag(&c->w, 5, w, type, dnnl_hwigo) == dnnl_success;
    return good && dnnl_memory_desc_init_by_tag(&c->w_any, 5, w, type, dnnl_format_tag_any) == dnnl_success;
}

static dnnl_primitive_desc_t describe_forward(const convolution *c, bool bias, bool relu, int threads,
                                              char why[ATHI_WHY_MAX]) {
    dnnl_convolution_desc_t d;
    if (dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &c->x,
                                                   &c->w_any, bias ? &c->bias : NULL, &c->y, c->stride, c->dilation,
                                                   c->pad_l, c->pad_r) != dnnl_success) {
        athi_cpu_no(why, "not describable");
        return NULL;
    }
    return athi_onednn_primitive(&d, relu, NULL, threads, why);
}

/* The forward primitive that the backward ones take as a hint; any implementation will do. Its weights have the type of
 * x, which a gradient of them that stays f32 has not. */
static dnnl_primitive_desc_t describe_hint(const convolution *c) {
    dnnl_convolution_desc_t d;
    desc w = c->w_any;
    w.data_type = c->x.data_type;
    dnnl_primitive_desc_t pd = NULL;
    if (!athi_onednn_engine() ||
        dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &c->x, &w,
                                                   NULL, &c->y, c->stride, c->dilation, c->pad_l,
                                                   c->pad_r) != dnnl_success ||
        dnnl_primitive_desc_create(&pd, &d, NULL, athi_onednn_engine(), NULL) != dnnl_success)
        return NULL;
    return pd;
}

static dnnl_primitive_desc_t describe_backward(const convolution *c, bool data, int threads, char why[ATHI_WHY_MAX]) {
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t hint = describe_hint(c), pd = NULL;
    dnnl_status_t status =
        data
            ? dnnl_dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &c->x, &c->w_any, &c->y,
                                                               c->stride, c->dilation, c->pad_l, c->pad_r)
            : dnnl_dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &c->x, &c->w_any, NULL,
                                                                  &c->y, c->stride, c->dilation, c->pad_l, c->pad_r);
    if (hint && status == dnnl_success)
        pd = athi_onednn_primitive(&d, false, hint, threads, why);
    else
        athi_cpu_no(why, "not describable");
    if (hint) dnnl_primitive_desc_destroy(hint);
    return pd;
}

/* conv2d, or conv2d + add of a bias, or that + relu. */
typedef struct conv_unit {
    const athi_node *conv;
    const ath_tensor *bias, *y;
    bool relu;
} conv_unit;
static bool read_conv(const athi_unit *unit, conv_unit *c, char why[ATHI_WHY_MAX]) {
    *c =
        (conv_unit){.conv = unit->nodes[0], .y = &unit->nodes[unit->n_nodes - 1]->out[0], .relu = unit->n_nodes == 3};
    if (unit->n_nodes == 1) return true;
    const athi_node *add = unit->nodes[1];
    const int64_t k = c->conv->in[1]->shape.dim[3];
    c->bias = add->in[add->in[0] == &c->conv->out[0] ? 1 : 0];
    if (athi_cpu_count(c->bias) == k && athi_cpu_last(c->bias->shape) == k) return true;
    return athi_cpu_no(why, "what is added is no vector of %lld channels", (long long)k);
}

bool athi_onednn_accepts_conv(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    conv_unit u;
    convolution c;
    if (!athi_cpu_is_float(unit, why) || !read_conv(unit, &u, why)) return false;
    if (!set_convolution(u.conv, u.conv->in[0], u.conv->in[1], u.y, &c)) return athi_cpu_no(why, "not describable");
    return athi_onednn_is_described(describe_forward(&c, u.bias != NULL, u.relu, 0, why));
}

/* The weights as the primitive wants them: a reorder of the input `at`, unless it takes the block's format. NULL: there is no
 * primitive. */
static dnnl_memory_t add_weights(onednn_state *s, const convolution *c, const_dnnl_primitive_desc_t pd, int at) {
    if (!pd) return NULL;
    const desc wanted = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t w = athi_onednn_memory(s, &c->w, FROM_IN, at);
    if (s->failed || dnnl_memory_desc_equal(&c->w, &wanted)) return w;
    dnnl_memory_t ordered = athi_onednn_scratch(s, &wanted);
    athi_onednn_reorder(s, &c->w, w, &wanted, ordered);
    return ordered;
}

ath_status athi_onednn_make_conv(athi_make *m, const athi_unit *unit, athi_call *call) {
    conv_unit u;
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    read_conv(unit, &u, why);
    set_convolution(u.conv, u.conv->in[0], u.conv->in[1], u.y, &c);
    dnnl_primitive_desc_t pd = describe_forward(&c, u.bias != NULL, u.relu, m->threads, why);
    dnnl_memory_t w = add_weights(s, &c, pd, athi_cpu_in_index(unit, u.conv->in[1]));
    step *st = athi_onednn_step(s, pd);
    athi_onednn_arg(st, DNNL_ARG_SRC, athi_onednn_memory(s, &c.x, FROM_IN, athi_cpu_in_index(unit, u.conv->in[0])));
    athi_onednn_arg(st, DNNL_ARG_WEIGHTS, w);
    if (u.bias)
        athi_onednn_arg(st, DNNL_ARG_BIAS, athi_onednn_memory(s, &c.bias, FROM_IN, athi_cpu_in_index(unit, u.bias)));
    athi_onednn_arg(st, DNNL_ARG_DST, athi_onednn_memory(s, &c.y, FROM_OUT, athi_cpu_out_index(unit, u.y)));
    return athi_onednn_finish(m, call);
}

/* conv2d_grad_x: dy, kernel -> dx */
bool athi_onednn_accepts_conv_grad_x(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    if (!athi_cpu_is_float(unit, why)) return false;
    if (!set_convolution(node, &node->out[0], node->in[1], node->in[0], &c))
        return athi_cpu_no(why, "not describable");
    return athi_onednn_is_described(describe_backward(&c, true, 0, why));
}
ath_status athi_onednn_make_conv_grad_x(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    set_convolution(node, &node->out[0], node->in[1], node->in[0], &c);
    dnnl_primitive_desc_t pd = describe_backward(&c, true, m->threads, why);
    dnnl_memory_t w = add_weights(s, &c, pd, 1);
    step *st = athi_onednn_step(s, pd);
    athi_onednn_arg(st, DNNL_ARG_DIFF_DST, athi_onednn_memory(s, &c.y, FROM_IN, 0));
    athi_onednn_arg(st, DNNL_ARG_WEIGHTS, w);
    athi_onednn_arg(st, DNNL_ARG_DIFF_SRC, athi_onednn_memory(s, &c.x, FROM_OUT, 0));
    return athi_onednn_finish(m, call);
}

/* conv2d_grad_w (+ cast): x, dy -> dw */
bool athi_onednn_accepts_conv_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    if (!athi_cpu_is_weight_gradient(unit, why)) return false;
    if (!set_convolution(node, node->in[0], athi_cpu_result(unit), node->in[1], &c))
        return athi_cpu_no(why, "not describable");
    return athi_onednn_is_described(describe_backward(&c, false, 0, why));
}
ath_status athi_onednn_make_conv_grad_w(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    set_convolution(node, node->in[0], athi_cpu_result(unit), node->in[1], &c);
    dnnl_primitive_desc_t pd = describe_backward(&c, false, m->threads, why);
    desc given = c.w;
    if (pd) given = *dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    const bool direct = dnnl_memory_desc_equal(&given, &c.w);
    dnnl_memory_t dw = athi_onednn_memory(s, &c.w, FROM_OUT, 0), made = direct ? dw : athi_onednn_scratch(s, &given);
    step *st = athi_onednn_step(s, pd);
    athi_onednn_arg(st, DNNL_ARG_SRC, athi_onednn_memory(s, &c.x, FROM_IN, 0));
    athi_onednn_arg(st, DNNL_ARG_DIFF_DST, athi_onednn_memory(s, &c.y, FROM_IN, 1));
    athi_onednn_arg(st, DNNL_ARG_DIFF_WEIGHTS, made);
    if (!direct && !s->failed) athi_onednn_reorder(s, &given, made, &c.w, dw);
    return athi_onednn_finish(m, call);
}
