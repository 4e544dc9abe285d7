/* bfloat16, emulated: values are widened to float32, the float kernel computes, its results are rounded. And cast. */
#include "backends/ref/ref.h"

static int64_t count(const ath_tensor *t) { return athi_shape_count(t->shape); }

static void widen(const uint16_t *from, float *to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = athi_bf16_value(from[i]);
}

static void round_off(const float *from, uint16_t *to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = athi_bf16_of(from[i]);
}

/* ---- kernels in float over bf16 values -------------------------------------------------------------- */

enum { MAX_IO = ATHI_UNIT_IO_MAX };

typedef struct emulation {
    athi_ref_run run;
} emulation;

bool athi_ref_is_bf16(const athi_node *node) {
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i]->dtype == ATH_BF16) return true;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i].dtype == ATH_BF16) return true;
    return false;
}

static void run_emulated(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const void *in[MAX_IO];
    void *out[MAX_IO];
    float *scratch = call->scratch;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = call->in[i];
        if (node->in[i]->dtype != ATH_BF16) continue;
        widen(in[i], scratch, count(node->in[i]));
        in[i] = scratch, scratch += count(node->in[i]);
    }
    for (int i = 0; i < node->n_out; i++) {
        out[i] = call->out[i];
        if (node->out[i].dtype != ATH_BF16 || !out[i]) continue;
        out[i] = scratch, scratch += count(&node->out[i]);
    }
    athi_call inner = *call;
    inner.in = in, inner.out = out;
    ((const emulation *)call->state)->run(&inner);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i].dtype == ATH_BF16 && out[i]) round_off(out[i], call->out[i], count(&node->out[i]));
}

ath_status athi_ref_bf16_make(athi_make *m, const athi_unit *unit, athi_call *call, athi_ref_run run) {
    const athi_node *node = unit->nodes[0];
    emulation *state = athi_arena_alloc(m->arena, sizeof *state);
    if (!state) return ATH_E_NOMEM;
    int64_t n = 0;
    for (int i = 0; i < node->n_in; i++) n += node->in[i]->dtype == ATH_BF16 ? count(node->in[i]) : 0;
    for (int i = 0; i < node->n_out; i++) n += node->out[i].dtype == ATH_BF16 ? count(&node->out[i]) : 0;
    m->scratch_bytes = n * (int64_t)sizeof(float);
    state->run = run;
    call->state = state;
    call->run = run_emulated;
    return ATH_OK;
}

/* ---- cast -------------------------------------------------------------------------------------------- */

static double value_of(const void *data, ath_dtype dtype, int64_t i) {
    switch (dtype) {
    case ATH_I32: return ((const int32_t *)data)[i];
    case ATH_I64: return (double)((const int64_t *)data)[i];
    case ATH_U8: return ((const uint8_t *)data)[i];
    case ATH_I8: return ((const int8_t *)data)[i];
    default: return athi_ref_read(data, dtype, i);
    }
}

void athi_ref_cast(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const ath_dtype from = node->in[0]->dtype, to = node->out[0].dtype;
    const int64_t n = count(node->in[0]);
    for (int64_t i = 0; i < n; i++)
        athi_ref_write(athi_ref_out(call, 0), to, i, value_of(athi_ref_in(call, 0), from, i));
}
