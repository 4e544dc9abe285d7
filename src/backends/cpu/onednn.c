/* All that calls oneDNN: convolutions, normalisations, changes of layout. (Version 2.6's C interface; version 3
 * changes every descriptor, so no dnnl_ name stands in any other file.)
 *
 * A call is a few primitives that run one after the other over memories whose addresses come from the unit's inputs
 * and outputs or from the call's scratch. Weights lie in the block as Keras has them, [kh, kw, in, out]; a reorder to
 * and from the format that the primitive likes is part of the call. Primitives whose implementation is a reference
 * loop are refused: our own or ref's is no slower. */
#include "backends/cpu/onednn.h"

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <threads.h>

typedef dnnl_memory_desc_t desc;

/* ---- the engine ---------------------------------------------------------------------------------- */

static dnnl_engine_t engine; /* NULL: none could be made */
static once_flag engine_made = ONCE_FLAG_INIT;
static void make_engine(void) {
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}
static dnnl_engine_t get_engine(void) {
    call_once(&engine_made, make_engine);
    return engine;
}

void athi_onednn_describe(athi_text *out) {
    const dnnl_version_t *v = dnnl_version();
    athi_text_printf(out, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

bool athi_onednn_limit(athi_cpu_isa highest) {
    static const dnnl_cpu_isa_t isa[] = {[ATHI_CPU_BASELINE] = dnnl_cpu_isa_sse41,
                                         [ATHI_CPU_AVX2] = dnnl_cpu_isa_avx2,
                                         [ATHI_CPU_AVX512] = dnnl_cpu_isa_all};
    return dnnl_set_max_cpu_isa(isa[highest]) == dnnl_success;
}

static dnnl_primitive_attr_t new_attr(bool relu) {
    dnnl_primitive_attr_t attr = NULL;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
    dnnl_post_ops_t ops = NULL;
    bool good = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;
    if (good && relu)
        good = dnnl_post_ops_create(&ops) == dnnl_success &&
               dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) == dnnl_success &&
               dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    if (ops) dnnl_post_ops_destroy(ops);
    if (good) return attr;
    dnnl_primitive_attr_destroy(attr);
    return NULL;
}

/* The descriptor of a primitive that is worth running; NULL: none, the reason in `why`. */
static dnnl_primitive_desc_t describe(const void *op, bool relu, dnnl_primitive_desc_t hint, int threads,
                                      char why[ATHI_WHY_MAX]) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = get_engine() ? new_attr(relu) : NULL;
    if (threads > 0 && omp_get_max_threads() != threads) omp_set_num_threads(threads);
    if (!attr || dnnl_primitive_desc_create(&pd, op, attr, get_engine(), hint) != dnnl_success) pd = NULL;
    if (attr) dnnl_primitive_attr_destroy(attr);
    const char *name = "";
    if (!pd) {
        athi_cpu_no(why, "not implemented");
        return NULL;
    }
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name);
    if (strncmp(name, "ref", 3) != 0 && strncmp(name, "gemm:ref", 8) != 0 && strncmp(name, "simple:any", 10) != 0) {
        athi_cpu_yes(why, "%s", name);
        return pd;
    }
    athi_cpu_no(why, "only %s", name);
    dnnl_primitive_desc_destroy(pd);
    return NULL;
}

/* ---- calls --------------------------------------------------------------------------------------- */

enum { MAX_MEMORIES = 16, MAX_STEPS = 3, MAX_ARGS = 10 };

typedef enum source { FROM_IN, FROM_OUT, FROM_SCRATCH } source;

typedef struct memory {
    dnnl_memory_t memory;
    source from;
    int64_t at; /* which input or output, or the offset in scratch */
} memory;

typedef struct step {
    dnnl_primitive_t primitive;
    int n_args;
    dnnl_exec_arg_t args[MAX_ARGS];
} step;

typedef struct onednn_state {
    athi_cpu_base base;
    dnnl_stream_t stream;
    memory memories[MAX_MEMORIES];
    step steps[MAX_STEPS];
    int n_memories, n_steps;
    int64_t scratch_bytes;
    bool failed;
} onednn_state;

static void run_onednn(const athi_call *call) {
    const onednn_state *s = call->state;
    if (omp_get_max_threads() != s->base.threads) omp_set_num_threads(s->base.threads);
    for (int i = 0; i < s->n_steps; i++) {
        dnnl_status_t status =
            dnnl_primitive_execute(s->steps[i].primitive, s->stream, s->steps[i].n_args, s->steps[i].args);
        assert(status == dnnl_success); /* what it complains of is missing arguments */
        (void)status;
    }
}

static void bind_onednn(athi_call *call) {
    onednn_state *s = call->state;
    for (int i = 0; i < s->n_memories; i++) {
        const memory *m = &s->memories[i];
        const void *p = m->from == FROM_IN    ? call->in[m->at]
                        : m->from == FROM_OUT ? call->out[m->at]
                                              : (char *)call->scratch + m->at;
        dnnl_memory_set_data_handle(m->memory, (void *)(uintptr_t)p);
    }
}

static void destroy_onednn(athi_call *call) {
    onednn_state *s = call->state;
    if (!s) return;
    for (int i = 0; i < s->n_steps; i++) dnnl_primitive_destroy(s->steps[i].primitive);
    for (int i = 0; i < s->n_memories; i++) dnnl_memory_destroy(s->memories[i].memory);
    if (s->stream) dnnl_stream_destroy(s->stream);
    s->n_steps = s->n_memories = 0, s->stream = NULL;
}

static onednn_state *new_state(athi_make *m, athi_call *call) {
    onednn_state *s = athi_cpu_state(m, call, sizeof *s, run_onednn);
    if (!s) return NULL;
    call->bind = bind_onednn;
    call->destroy = destroy_onednn;
    if (dnnl_stream_create(&s->stream, get_engine(), dnnl_stream_default_flags) != dnnl_success) {
        s->stream = NULL;
        s->failed = true;
    }
    return s;
}

/* A call that could not be made is not destroyed by the plan, so what it has goes here. */
static ath_status finish(athi_make *m, athi_call *call) {
    const onednn_state *s = call->state;
    m->scratch_bytes = s->scratch_bytes;
    if (!s->failed) return ATH_OK;
    destroy_onednn(call);
    return athi_fail(m->ctx, ATH_E_NOMEM, "oneDNN could not make a primitive; is there memory left?");
}

static dnnl_memory_t add_memory(onednn_state *s, const desc *md, source from, int64_t at) {
    memory *m = &s->memories[s->n_memories];
    if (s->failed || dnnl_memory_create(&m->memory, md, engine, DNNL_MEMORY_NONE) != dnnl_success) {
        s->failed = true;
        return NULL;
    }
    m->from = from, m->at = at;
    s->n_memories++;
    return m->memory;
}
static dnnl_memory_t add_scratch(onednn_state *s, const desc *md) {
    int64_t at = s->scratch_bytes;
    s->scratch_bytes += ((int64_t)dnnl_memory_desc_get_size(md) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
    return add_memory(s, md, FROM_SCRATCH, at);
}
/* An output, or scratch when nobody reads it. */
static dnnl_memory_t add_out(onednn_state *s, const desc *md, int at) {
    return at < 0 ? add_scratch(s, md) : add_memory(s, md, FROM_OUT, at);
}

static void add_arg(step *to, int key, dnnl_memory_t m) { to->args[to->n_args++] = (dnnl_exec_arg_t){key, m}; }

/* Takes pd; its scratchpad becomes an argument. */
static step *add_step(onednn_state *s, dnnl_primitive_desc_t pd) {
    step *to = &s->steps[s->n_steps];
    if (!pd || s->failed || dnnl_primitive_create(&to->primitive, pd) != dnnl_success) {
        s->failed = true;
        if (pd) dnnl_primitive_desc_destroy(pd);
        return to; /* not counted, so never run */
    }
    s->n_steps++;
    const desc *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    if (pad && dnnl_memory_desc_get_size(pad)) add_arg(to, DNNL_ARG_SCRATCHPAD, add_scratch(s, pad));
    dnnl_primitive_desc_destroy(pd);
    return to;
}

static void add_reorder(onednn_state *s, const desc *from, dnnl_memory_t a, const desc *to, dnnl_memory_t b) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = new_attr(false);
    if (!attr || dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, attr) != dnnl_success) pd = NULL;
    if (attr) dnnl_primitive_attr_destroy(attr);
    step *st = add_step(s, pd);
    add_arg(st, DNNL_ARG_FROM, a);
    add_arg(st, DNNL_ARG_TO, b);
}

/* ---- descriptors of values ----------------------------------------------------------------------- */

/* What oneDNN calls the type of a value that accepts functions let through. */
static dnnl_data_type_t type_of(const ath_tensor *t) {
    return t->dtype == ATH_U8 ? dnnl_u8 : t->dtype == ATH_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* An image in its layout. With one channel height-width-channels and channels-height-width are the same; oneDNN has
 * fast kernels for the second. */
static bool image_desc(const ath_tensor *t, desc *md) {
    const int64_t *d = t->shape.dim;
    dnnl_dims_t dims = {d[0], d[3], d[1], d[2]};
    dnnl_format_tag_t tag = t->layout == ATHI_BLOCKED8    ? dnnl_nChw8c
                            : t->layout == ATHI_BLOCKED16 ? dnnl_nChw16c
                            : d[3] == 1                   ? dnnl_nchw
                                                          : dnnl_nhwc;
    return dnnl_memory_desc_init_by_tag(md, 4, dims, type_of(t), tag) == dnnl_success;
}

static bool vector_desc(int64_t n, dnnl_data_type_t type, desc *md) {
    return dnnl_memory_desc_init_by_tag(md, 1, (dnnl_dims_t){n}, type, dnnl_a) == dnnl_success;
}

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
    const dnnl_data_type_t type = type_of(kernel);
    const int64_t groups = node->attr.window.groups;
    for (int i = 0; i < 2; i++) {
        const int64_t size = k.dim[i], n = x->shape.dim[1 + i], out = y->shape.dim[1 + i];
        const int64_t stride = node->attr.window.stride[i], dilation = node->attr.window.dilation[i];
        c->stride[i] = stride;
        c->dilation[i] = dilation - 1;
        c->pad_l[i] = athi_window_pad(n, size, stride, dilation, node->attr.window.same);
        c->pad_r[i] = ATHI_MAX((out - 1) * stride + (size - 1) * dilation + 1 - n - c->pad_l[i], 0);
    }
    bool good = image_desc(x, &c->x) && image_desc(y, &c->y) && vector_desc(k.dim[3], type, &c->bias);
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
    return describe(&d, relu, NULL, threads, why);
}

/* The forward primitive that the backward ones take as a hint; any implementation will do. Its weights have the type of
 * x, which a gradient of them that stays f32 has not. */
static dnnl_primitive_desc_t describe_hint(const convolution *c) {
    dnnl_convolution_desc_t d;
    desc w = c->w_any;
    w.data_type = c->x.data_type;
    dnnl_primitive_desc_t pd = NULL;
    if (!get_engine() ||
        dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &c->x,
                                                   &w, NULL, &c->y, c->stride, c->dilation, c->pad_l,
                                                   c->pad_r) != dnnl_success ||
        dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL) != dnnl_success)
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
        pd = describe(&d, false, hint, threads, why);
    else
        athi_cpu_no(why, "not describable");
    if (hint) dnnl_primitive_desc_destroy(hint);
    return pd;
}

static bool is_described(dnnl_primitive_desc_t pd) {
    if (pd) dnnl_primitive_desc_destroy(pd);
    return pd != NULL;
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
    return is_described(describe_forward(&c, u.bias != NULL, u.relu, 0, why));
}

/* The weights as the primitive wants them: a reorder of the input `at`, unless it takes the block's format. */
static dnnl_memory_t add_weights(onednn_state *s, const convolution *c, const desc *wanted, int at) {
    dnnl_memory_t w = add_memory(s, &c->w, FROM_IN, at);
    if (s->failed || dnnl_memory_desc_equal(&c->w, wanted)) return w;
    dnnl_memory_t ordered = add_scratch(s, wanted);
    add_reorder(s, &c->w, w, wanted, ordered);
    return ordered;
}

ath_status athi_onednn_make_conv(athi_make *m, const athi_unit *unit, athi_call *call) {
    conv_unit u;
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    read_conv(unit, &u, why);
    set_convolution(u.conv, u.conv->in[0], u.conv->in[1], u.y, &c);
    dnnl_primitive_desc_t pd = describe_forward(&c, u.bias != NULL, u.relu, m->threads, why);
    dnnl_memory_t w = NULL;
    if (pd) {
        desc wanted = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        w = add_weights(s, &c, &wanted, athi_cpu_in_index(unit, u.conv->in[1]));
    }
    step *st = add_step(s, pd);
    add_arg(st, DNNL_ARG_SRC, add_memory(s, &c.x, FROM_IN, athi_cpu_in_index(unit, u.conv->in[0])));
    add_arg(st, DNNL_ARG_WEIGHTS, w);
    if (u.bias) add_arg(st, DNNL_ARG_BIAS, add_memory(s, &c.bias, FROM_IN, athi_cpu_in_index(unit, u.bias)));
    add_arg(st, DNNL_ARG_DST, add_memory(s, &c.y, FROM_OUT, athi_cpu_out_index(unit, u.y)));
    return finish(m, call);
}

/* conv2d_grad_x: dy, kernel -> dx */
bool athi_onednn_accepts_conv_grad_x(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    if (!athi_cpu_is_float(unit, why)) return false;
    if (!set_convolution(node, &node->out[0], node->in[1], node->in[0], &c))
        return athi_cpu_no(why, "not describable");
    return is_described(describe_backward(&c, true, 0, why));
}
ath_status athi_onednn_make_conv_grad_x(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    set_convolution(node, &node->out[0], node->in[1], node->in[0], &c);
    dnnl_primitive_desc_t pd = describe_backward(&c, true, m->threads, why);
    dnnl_memory_t w = NULL;
    if (pd) {
        desc wanted = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        w = add_weights(s, &c, &wanted, 1);
    }
    step *st = add_step(s, pd);
    add_arg(st, DNNL_ARG_DIFF_DST, add_memory(s, &c.y, FROM_IN, 0));
    add_arg(st, DNNL_ARG_WEIGHTS, w);
    add_arg(st, DNNL_ARG_DIFF_SRC, add_memory(s, &c.x, FROM_OUT, 0));
    return finish(m, call);
}

/* conv2d_grad_w (+ cast): x, dy -> dw */
bool athi_onednn_accepts_conv_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    if (!athi_cpu_is_weight_gradient(unit, why)) return false;
    if (!set_convolution(node, node->in[0], athi_cpu_result(unit), node->in[1], &c))
        return athi_cpu_no(why, "not describable");
    return is_described(describe_backward(&c, false, 0, why));
}
ath_status athi_onednn_make_conv_grad_w(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    convolution c;
    char why[ATHI_WHY_MAX];
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    set_convolution(node, node->in[0], athi_cpu_result(unit), node->in[1], &c);
    dnnl_primitive_desc_t pd = describe_backward(&c, false, m->threads, why);
    desc given = c.w;
    if (pd) given = *dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    const bool direct = dnnl_memory_desc_equal(&given, &c.w);
    dnnl_memory_t dw = add_memory(s, &c.w, FROM_OUT, 0), made = direct ? dw : add_scratch(s, &given);
    step *st = add_step(s, pd);
    add_arg(st, DNNL_ARG_SRC, add_memory(s, &c.x, FROM_IN, 0));
    add_arg(st, DNNL_ARG_DIFF_DST, add_memory(s, &c.y, FROM_IN, 1));
    add_arg(st, DNNL_ARG_DIFF_WEIGHTS, made);
    if (!direct && !s->failed) add_reorder(s, &given, made, &c.w, dw);
    return finish(m, call);
}

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
    if (!vector_desc(n, dnnl_f32, &d->params) || !vector_desc(is_layer_norm(node) ? rows : n, dnnl_f32, &d->stats))
        return false;
    if (is_layer_norm(node))
        return x->layout == ATHI_PLAIN &&
               dnnl_memory_desc_init_by_tag(&d->x, 2, (dnnl_dims_t){rows, n}, type_of(x), dnnl_ab) == dnnl_success;
    if (x->shape.rank == 4) return image_desc(x, &d->x);
    return dnnl_memory_desc_init_by_tag(&d->x, 4, (dnnl_dims_t){rows, n, 1, 1}, type_of(x), dnnl_nhwc) ==
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
    if (dnnl_primitive_desc_create(hint, op, NULL, engine, NULL) != dnnl_success) {
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
    if (get_engine() && set_norm_op(node, d, relu, &op, &hint))
        pd = describe(&op, false, hint, threads, why);
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
    if (!is_described(describe_norm(node, &d, unit->n_nodes > 1, 0, why))) return false;
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
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    set_norm(node, &d);
    dnnl_primitive_desc_t pd = describe_norm(node, &d, unit->n_nodes > 1, m->threads, why);
    const desc *given = pd ? dnnl_primitive_desc_query_md(pd, dnnl_query_workspace_md, 0) : NULL;
    const bool has_workspace = given && dnnl_memory_desc_get_size(given);
    desc workspace = {0};
    if (has_workspace) workspace = *given;
    step *st = add_step(s, pd);
    add_arg(st, DNNL_ARG_SRC, add_memory(s, &d.x, FROM_IN, 0));
    add_arg(st, DNNL_ARG_SCALE, add_memory(s, &d.params, FROM_IN, 1));
    add_arg(st, DNNL_ARG_SHIFT, add_memory(s, &d.params, FROM_IN, 2));
    add_arg(st, DNNL_ARG_DST, add_memory(s, &d.x, FROM_OUT, athi_cpu_out_index(unit, y)));
    for (int i = 0; i < 2; i++) {
        const int key = i ? DNNL_ARG_VARIANCE : DNNL_ARG_MEAN;
        add_arg(st, key,
                infer ? add_memory(s, &d.stats, FROM_IN, 3 + i)
                      : add_out(s, &d.stats, athi_cpu_out_index(unit, &node->out[1 + i])));
    }
    if (has_workspace) add_arg(st, DNNL_ARG_WORKSPACE, add_scratch(s, &workspace));
    return finish(m, call);
}

/* dy, x, gamma, mean, variance -> dx, dgamma, dbeta */
ath_status athi_onednn_make_norm_grad(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    char why[ATHI_WHY_MAX];
    norm_descs d;
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    set_norm(node, &d);
    step *st = add_step(s, describe_norm(node, &d, false, m->threads, why));
    add_arg(st, DNNL_ARG_DIFF_DST, add_memory(s, &d.x, FROM_IN, 0));
    add_arg(st, DNNL_ARG_SRC, add_memory(s, &d.x, FROM_IN, 1));
    add_arg(st, DNNL_ARG_SCALE, add_memory(s, &d.params, FROM_IN, 2));
    add_arg(st, DNNL_ARG_SHIFT, add_scratch(s, &d.params)); /* asked for, not read */
    add_arg(st, DNNL_ARG_MEAN, add_memory(s, &d.stats, FROM_IN, 3));
    add_arg(st, DNNL_ARG_VARIANCE, add_memory(s, &d.stats, FROM_IN, 4));
    add_arg(st, DNNL_ARG_DIFF_SRC, add_memory(s, &d.x, FROM_OUT, 0));
    add_arg(st, DNNL_ARG_DIFF_SCALE, add_memory(s, &d.params, FROM_OUT, 1));
    add_arg(st, DNNL_ARG_DIFF_SHIFT, add_memory(s, &d.params, FROM_OUT, 2));
    return finish(m, call);
}

/* ---- changes of layout --------------------------------------------------------------------------- */

static bool reorder_descs(const athi_unit *unit, desc *from, desc *to) {
    const ath_tensor *in = unit->nodes[0]->in[0], *out = &unit->nodes[0]->out[0];
    return (in->dtype == ATH_F32 || in->dtype == ATH_U8 || in->dtype == ATH_BF16) && in->shape.rank == 4 &&
           image_desc(in, from) && image_desc(out, to);
}
bool athi_onednn_accepts_reorder(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    desc from, to;
    if (!get_engine() || !reorder_descs(unit, &from, &to)) return athi_cpu_no(why, "no image of f32, bf16 or u8");
    return athi_cpu_yes(why, "%s to %s", athi_layout_name(unit->nodes[0]->in[0]->layout),
                        athi_layout_name(unit->nodes[0]->out[0].layout));
}
ath_status athi_onednn_make_reorder(athi_make *m, const athi_unit *unit, athi_call *call) {
    desc from, to;
    onednn_state *s = new_state(m, call);
    if (!s) return ATH_E_NOMEM;
    reorder_descs(unit, &from, &to);
    dnnl_memory_t a = add_memory(s, &from, FROM_IN, 0), b = add_memory(s, &to, FROM_OUT, 0);
    add_reorder(s, &from, a, &to, b);
    return finish(m, call);
}
