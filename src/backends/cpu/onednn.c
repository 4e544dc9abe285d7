/* oneDNN: its engine, calls made of its primitives, and changes of layout. */
#include "backends/cpu/onednn_internal.h"

#include <omp.h>
#include <stdio.h>
#include <threads.h>

/* ---- the engine ---------------------------------------------------------------------------------- */

static dnnl_engine_t engine; /* NULL: none could be made */
static once_flag engine_made = ONCE_FLAG_INIT;
static void make_engine(void) {
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}
dnnl_engine_t athi_onednn_engine(void) {
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

dnnl_primitive_desc_t athi_onednn_primitive(const void *op, bool relu, dnnl_primitive_desc_t hint, int threads,
                                            char why[ATHI_WHY_MAX]) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = athi_onednn_engine() ? new_attr(relu) : NULL;
    if (threads > 0 && omp_get_max_threads() != threads) omp_set_num_threads(threads);
    if (!attr || dnnl_primitive_desc_create(&pd, op, attr, athi_onednn_engine(), hint) != dnnl_success) pd = NULL;
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

bool athi_onednn_is_described(dnnl_primitive_desc_t pd) {
    if (pd) dnnl_primitive_desc_destroy(pd);
    return pd != NULL;
}

/* ---- calls --------------------------------------------------------------------------------------- */

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

onednn_state *athi_onednn_state_create(athi_make *m, athi_call *call) {
    onednn_state *s = athi_cpu_state(m, call, sizeof *s, run_onednn);
    if (!s) return NULL;
    call->bind = bind_onednn;
    call->destroy = destroy_onednn;
    if (dnnl_stream_create(&s->stream, athi_onednn_engine(), dnnl_stream_default_flags) != dnnl_success) {
        s->stream = NULL;
        s->failed = true;
    }
    return s;
}

/* A call that could not be made is not destroyed by the plan, so what it has goes here. */
ath_status athi_onednn_finish(athi_make *m, athi_call *call) {
    const onednn_state *s = call->state;
    m->scratch_bytes = s->scratch_bytes;
    if (!s->failed) return ATH_OK;
    destroy_onednn(call);
    return athi_fail(m->ctx, ATH_E_NOMEM, "oneDNN could not make a primitive; is there memory left?");
}

dnnl_memory_t athi_onednn_memory(onednn_state *s, const desc *md, source from, int64_t at) {
    memory *m = &s->memories[s->n_memories];
    if (s->failed || dnnl_memory_create(&m->memory, md, engine, DNNL_MEMORY_NONE) != dnnl_success) {
        s->failed = true;
        return NULL;
    }
    m->from = from, m->at = at;
    s->n_memories++;
    return m->memory;
}
dnnl_memory_t athi_onednn_scratch(onednn_state *s, const desc *md) {
    int64_t at = s->scratch_bytes;
    s->scratch_bytes += ((int64_t)dnnl_memory_desc_get_size(md) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
    return athi_onednn_memory(s, md, FROM_SCRATCH, at);
}
dnnl_memory_t athi_onednn_out(onednn_state *s, const desc *md, int at) {
    return at < 0 ? athi_onednn_scratch(s, md) : athi_onednn_memory(s, md, FROM_OUT, at);
}

void athi_onednn_arg(step *to, int key, dnnl_memory_t m) { to->args[to->n_args++] = (dnnl_exec_arg_t){key, m}; }

step *athi_onednn_step(onednn_state *s, dnnl_primitive_desc_t pd) {
    step *to = &s->steps[s->n_steps];
    if (!pd || s->failed || dnnl_primitive_create(&to->primitive, pd) != dnnl_success) {
        s->failed = true;
        if (pd) dnnl_primitive_desc_destroy(pd);
        return to; /* not counted, so never run */
    }
    s->n_steps++;
    const desc *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    if (pad && dnnl_memory_desc_get_size(pad)) athi_onednn_arg(to, DNNL_ARG_SCRATCHPAD, athi_onednn_scratch(s, pad));
    dnnl_primitive_desc_destroy(pd);
    return to;
}

void athi_onednn_reorder(onednn_state *s, const desc *from, dnnl_memory_t a, const desc *to, dnnl_memory_t b) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = new_attr(false);
    if (!attr || dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, attr) != dnnl_success) pd = NULL;
    if (attr) dnnl_primitive_attr_destroy(attr);
    step *st = athi_onednn_step(s, pd);
    athi_onednn_arg(st, DNNL_ARG_FROM, a);
    athi_onednn_arg(st, DNNL_ARG_TO, b);
}

/* ---- descriptors of values ----------------------------------------------------------------------- */

dnnl_data_type_t athi_onednn_type(const ath_tensor *t) {
    return t->dtype == ATH_U8 ? dnnl_u8 : t->dtype == ATH_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* An image in its layout. With one channel height-width-channels and channels-height-width are the same; oneDNN has
 * fast kernels for the second. */
bool athi_onednn_image(const ath_tensor *t, desc *md) {
    const int64_t *d = t->shape.dim;
    dnnl_dims_t dims = {d[0], d[3], d[1], d[2]};
    dnnl_format_tag_t tag = t->layout == ATHI_BLOCKED8    ? dnnl_nChw8c
                            : t->layout == ATHI_BLOCKED16 ? dnnl_nChw16c
                            : d[3] == 1                   ? dnnl_nchw
                                                          : dnnl_nhwc;
    return dnnl_memory_desc_init_by_tag(md, 4, dims, athi_onednn_type(t), tag) == dnnl_success;
}

bool athi_onednn_vector(int64_t n, dnnl_data_type_t type, desc *md) {
    return dnnl_memory_desc_init_by_tag(md, 1, (dnnl_dims_t){n}, type, dnnl_a) == dnnl_success;
}

/* ---- changes of layout --------------------------------------------------------------------------- */

static bool reorder_descs(const athi_unit *unit, desc *from, desc *to) {
    const ath_tensor *in = unit->nodes[0]->in[0], *out = &unit->nodes[0]->out[0];
    return (in->dtype == ATH_F32 || in->dtype == ATH_U8 || in->dtype == ATH_BF16) && in->shape.rank == 4 &&
           athi_onednn_image(in, from) && athi_onednn_image(out, to);
}
bool athi_onednn_accepts_reorder(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    desc from, to;
    if (!athi_onednn_engine() || !reorder_descs(unit, &from, &to))
        return athi_cpu_no(why, "no image of f32, bf16 or u8");
    return athi_cpu_yes(why, "%s to %s", athi_layout_name(unit->nodes[0]->in[0]->layout),
                        athi_layout_name(unit->nodes[0]->out[0].layout));
}
ath_status athi_onednn_make_reorder(athi_make *m, const athi_unit *unit, athi_call *call) {
    desc from, to;
    onednn_state *s = athi_onednn_state_create(m, call);
    if (!s) return ATH_E_NOMEM;
    reorder_descs(unit, &from, &to);
    dnnl_memory_t a = athi_onednn_memory(s, &from, FROM_IN, 0), b = athi_onednn_memory(s, &to, FROM_OUT, 0);
    athi_onednn_reorder(s, &from, a, &to, b);
    return athi_onednn_finish(m, call);
}
