/* Units over bfloat16 that no kernel of that type takes: a kernel over float32 runs them, on widened copies of what
 * they read, and what it gives is rounded. So a shape that a library serves badly in bfloat16 costs little more than
 * in float32, in place of the reference's plain loops. */
#include "backends/cpu/cpu.h"

enum { TWIN_TENSORS = 2 * ATHI_UNIT_IO_MAX };

/* The unit as it would be in float32. */
typedef struct twin {
    athi_unit unit;
    athi_node nodes[ATHI_PATTERN_MAX];
    ath_tensor tensors[TWIN_TENSORS];
    const ath_tensor *of[TWIN_TENSORS]; /* whose twin each is */
    int n_tensors;
    ath_tensor *node_in[TWIN_TENSORS], *in[ATHI_UNIT_IO_MAX], *out[ATHI_UNIT_IO_MAX];
} twin;

static ath_tensor *twin_of(twin *t, const ath_tensor *of) {
    for (int i = 0; i < t->n_tensors; i++)
        if (t->of[i] == of) return &t->tensors[i];
    if (t->n_tensors == TWIN_TENSORS) return NULL;
    ath_tensor *made = &t->tensors[t->n_tensors];
    t->of[t->n_tensors++] = of;
    *made = *of;
    if (made->dtype == ATH_BF16) made->dtype = ATH_F32;
    return made;
}

static bool copy_node(twin *t, athi_node *to, const athi_node *from, int *n_in) {
    if (*n_in + from->n_in > TWIN_TENSORS || t->n_tensors + from->n_out > TWIN_TENSORS) return false;
    *to = *from;
    to->in = t->node_in + *n_in;
    to->out = t->tensors + t->n_tensors; /* not met before: they lie together */
    for (int k = 0; k < from->n_out; k++) twin_of(t, &from->out[k])->node = to;
    for (int k = 0; k < from->n_in; k++)
        if (!(to->in[k] = twin_of(t, from->in[k]))) return false;
    *n_in += from->n_in;
    return true;
}

static bool make_twin(twin *t, const athi_unit *unit) {
    int n_in = 0;
    t->n_tensors = 0;
    t->unit = *unit;
    t->unit.in = t->in, t->unit.out = t->out;
    for (int m = 0; m < unit->n_nodes; m++) {
        if (!copy_node(t, &t->nodes[m], unit->nodes[m], &n_in)) return false;
        t->unit.nodes[m] = &t->nodes[m];
    }
    for (int i = 0; i < unit->n_in; i++)
        if (!(t->in[i] = twin_of(t, unit->in[i]))) return false;
    for (int i = 0; i < unit->n_out; i++)
        if (!(t->out[i] = twin_of(t, unit->out[i]))) return false;
    return true;
}

/* The first kernel that takes the twin, where there is bfloat16 at all. */
static const athi_kernel *find(const athi_unit *unit, twin *t, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_uses_bf16(unit)) {
        athi_cpu_no(why, "nothing to widen");
        return NULL;
    }
    if (!athi_cpu_has_bf16(why)) return NULL;
    if (!make_twin(t, unit)) {
        athi_cpu_no(why, "too many values");
        return NULL;
    }
    const athi_kernel *k = unit->pattern ? unit->pattern->kernels : athi_cpu_backend.kernels[unit->nodes[0]->op];
    char said[ATHI_WHY_MAX] = "";
    for (; k->name; k++)
        if (k->accepts != athi_cpu_accepts_widened && k->accepts(&t->unit, said)) {
            athi_cpu_yes(why, "in float32 by %s: %.100s", k->name, said);
            return k;
        }
    athi_cpu_no(why, "in float32 neither");
    return NULL;
}

bool athi_cpu_accepts_widened(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    twin t;
    return find(unit, &t, why) != NULL;
}

typedef struct widened_state {
    athi_cpu_base base;
    twin twin;
    athi_call call; /* of the twin */
    const void *in[ATHI_UNIT_IO_MAX];
    void *out[ATHI_UNIT_IO_MAX];
    /* Where float32 copies lie in the scratch, behind what the kernel has of it; -1: none. */
    int64_t in_offset[ATHI_UNIT_IO_MAX], out_offset[ATHI_UNIT_IO_MAX];
} widened_state;

static void bind_widened(athi_call *call) {
    widened_state *s = call->state;
    char *scratch = call->scratch;
    for (int i = 0; i < call->unit->n_in; i++)
        s->in[i] = s->in_offset[i] < 0 ? call->in[i] : scratch + s->in_offset[i];
    for (int i = 0; i < call->unit->n_out; i++)
        s->out[i] = s->out_offset[i] < 0 ? call->out[i] : scratch + s->out_offset[i];
    s->call.scratch = scratch;
    s->call.spaces = call->spaces;
    if (s->call.bind) s->call.bind(&s->call);
}

static void run_widened(const athi_call *call) {
    const widened_state *s = call->state;
    const athi_unit *unit = call->unit;
    const int threads = s->base.threads;
    for (int i = 0; i < unit->n_in; i++)
        if (s->in_offset[i] >= 0)
            s->base.k->widen(threads, athi_cpu_count(unit->in[i]), call->in[i],
                             (float *)(void *)((char *)call->scratch + s->in_offset[i]));
    s->call.run(&s->call);
    for (int i = 0; i < unit->n_out; i++)
        if (s->out_offset[i] >= 0) s->base.k->narrow(threads, athi_cpu_count(unit->out[i]), s->out[i], call->out[i]);
}

static void destroy_widened(athi_call *call) {
    widened_state *s = call->state;
    if (s->call.destroy) s->call.destroy(&s->call);
}

/* Room for a float32 copy of `t` behind `*end`, or -1 where it needs none. */
static int64_t place(const ath_tensor *t, int64_t *end) {
    if (t->dtype != ATH_BF16) return -1;
    const int64_t at = *end;
    *end = athi_aligned(at + athi_cpu_count(t) * (int64_t)sizeof(float));
    return at;
}

ath_status athi_cpu_make_widened(athi_make *m, const athi_unit *unit, athi_call *call) {
    widened_state *s = athi_cpu_state(m, call, sizeof *s, run_widened);
    char why[ATHI_WHY_MAX];
    if (!s) return ATH_E_NOMEM;
    const athi_kernel *kernel = find(unit, &s->twin, why);
    if (!kernel) return athi_fail(m->ctx, ATH_E_UNSUPPORTED, "%s: %s", unit->nodes[0]->layer, why);
    s->call = (athi_call){.unit = &s->twin.unit, .in = s->in, .out = s->out};
    call->bind = bind_widened, call->destroy = destroy_widened;
    ATH_TRY(kernel->make(m, &s->twin.unit, &s->call));
    int64_t end = athi_aligned(m->scratch_bytes);
    for (int i = 0; i < unit->n_in; i++) s->in_offset[i] = place(unit->in[i], &end);
    for (int i = 0; i < unit->n_out; i++) s->out_offset[i] = place(unit->out[i], &end);
    m->scratch_bytes = end;
    return ATH_OK;
}
