/* A trained model -> its int8 form: the values of the variables that passes/quantize.c declares.
 *
 *   float model ─ athi_model_calibrate (calibrate.c) ─> range of each convolution's input
 *   same net, athi_model_int8 ─> int8 model ─ athi_model_fill_int8 (float weights, ranges) ─> ready to use */
#include "train/quantize.h"

#include "graph/quantize.h"
#include "train/internal.h"

#include <math.h>

/* ---- the int8 net -------------------------------------------------------------------------------- */

static bool is_named(const char *const *names, int64_t n, const char *name) {
    for (int64_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* Initial values are of no use to an int8 model, and some of their variables are gone. */
static void drop_params(athi_net *net) { net->n_params = 0; }

ath_status athi_model_int8(ath_model *m, const char *const *layers, int64_t n) {
    athi_arena *arena = athi_arena_create(m->ctx);
    athi_quantizable *list = NULL;
    int64_t found = 0, n_list = 0;
    ath_status status = arena ? athi_quantizable_find(m->net->graph, arena, &list, &n_list) : ATH_E_NOMEM;
    for (int64_t i = 0; status == ATH_OK && i < n_list; i++) {
        if (!is_named(layers, n, list[i].layer))
            list[i].refusal = "it is not among the layers";
        else if (list[i].refusal)
            status = athi_fail(m->ctx, ATH_E_DATA, "layer '%s' cannot be int8: %s", list[i].layer, list[i].refusal);
        else
            found++;
    }
    if (status == ATH_OK && found != n)
        status =
            athi_fail(m->ctx, ATH_E_DATA, "of %lld int8 layers the model has %lld", (long long)n, (long long)found);
    if (status == ATH_OK) status = athi_pass_quantize(m->net->graph, list, n_list);
    if (status == ATH_OK) drop_params(m->net);
    athi_arena_destroy(arena);
    return status;
}

/* ---- its weights --------------------------------------------------------------------------------- */

typedef struct filling {
    ath_model *to;
    const ath_model *from;
    athi_arena *arena;
} filling;

static athi_variable *find(const ath_model *m, const char *name) {
    const athi_graph *g = m->net->graph;
    for (int64_t i = 0; i < g->n_variables; i++)
        if (strcmp(g->variables[i]->name, name) == 0) return g->variables[i];
    return NULL;
}

static float *find_floats(const filling *f, const char *layer, const char *suffix) {
    const char *name = athi_arena_printf(f->arena, "%s/%s", layer, suffix);
    const athi_variable *v = name ? find(f->to, name) : NULL;
    return v && v->dtype == ATH_F32 ? athi_state_at(f->to->state, v) : NULL;
}

/* Everything that both models have in the same type. */
static void copy_common(const filling *f) {
    const athi_graph *g = f->to->net->graph;
    for (int64_t i = 0; i < g->n_variables; i++) {
        const athi_variable *v = g->variables[i], *old = find(f->from, v->name);
        if (old && old->dtype == v->dtype && athi_shape_equal(old->shape, v->shape) && v->role <= ATHI_STATISTIC)
            memcpy(athi_state_at(f->to->state, v), athi_state_at(f->from->state, old),
                   (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype)));
    }
}

/* Element c of a normalisation's vector, which is a constant where it is not learned. */
static double element(const filling *f, const ath_tensor *t, int64_t c) {
    if (t->node->op == ATHI_OP_CONSTANT) return t->node->attr.constant.value;
    const float *v = athi_state_at(f->from->state, t->node->attr.variable.variable);
    return (double)v[c];
}

/* batch_norm(x) = rate x + shift, by channel. */
static void norm_of(const filling *f, const athi_node *norm, int64_t c, double *rate, double *shift) {
    *rate = 1, *shift = 0;
    if (!norm) return;
    *rate = element(f, norm->in[1], c) / sqrt(element(f, norm->in[4], c) + norm->attr.norm.epsilon);
    *shift = element(f, norm->in[2], c) - element(f, norm->in[3], c) * *rate;
}

/* Abs-max of each output unit, the kernel's last axis, as Keras does for dense. */
static void fill_kernel(const filling *f, const athi_quantizable *q, int8_t *kernel, float *scales) {
    const athi_shape s = q->kernel->shape;
    const int64_t units = s.dim[s.rank - 1], rows = athi_shape_count(s) / units;
    const float *w = athi_state_at(f->from->state, q->kernel);
    for (int64_t c = 0; c < units; c++) {
        double rate, shift;
        float most = 0;
        norm_of(f, q->norm, c, &rate, &shift);
        for (int64_t i = 0; i < rows; i++) most = fmaxf(most, fabsf((float)(w[i * units + c] * rate)));
        scales[c] = athi_quantize_scale(most);
        for (int64_t i = 0; i < rows; i++)
            kernel[i * units + c] = athi_quantize((float)(w[i * units + c] * rate), scales[c]);
    }
}

static void fill_bias(const filling *f, const athi_quantizable *q, float *bias) {
    const int64_t units = q->kernel->shape.dim[3];
    const float *old = q->bias_variable ? athi_state_at(f->from->state, q->bias_variable) : NULL;
    for (int64_t c = 0; c < units; c++) {
        double rate, shift;
        norm_of(f, q->norm, c, &rate, &shift);
        bias[c] = (float)((old ? old[c] : 0) * rate + shift);
    }
}

ath_status athi_model_fill_int8(ath_model *to, const ath_model *from, athi_arena *arena, const athi_quantizable *list,
                                int64_t n, const float *ranges) {
    filling f = {to, from, arena};
    copy_common(&f);
    to->version++;
    for (int64_t i = 0; i < n; i++) {
        const athi_quantizable *q = &list[i];
        if (q->refusal) continue;
        const athi_variable *kernel = find(to, q->kernel->name);
        float *scales = find_floats(&f, q->layer, "kernel_scale"), *input = find_floats(&f, q->layer, "input_scale"),
              *bias = find_floats(&f, q->layer, "bias");
        if (!kernel || kernel->dtype != ATH_I8 || !scales)
            return athi_fail(to->ctx, ATH_E_STATE, "quantize: layer '%s' of the int8 model is not int8", q->layer);
        fill_kernel(&f, q, athi_state_at(to->state, kernel), scales);
        if (input) *input = athi_quantize_scale(ranges[i]);
        if (bias && q->norm) fill_bias(&f, q, bias);
    }
    return ATH_OK;
}
