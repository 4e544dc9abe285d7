/* Ops that change variables or the gradient buffer, but for the optimiser's step: see op_update.c. */
#include "backends/cpu/cpu.h"

#include <math.h>

static athi_variable *variable_of(const athi_node *node) { return node->in[0]->node->attr.variable.variable; }

/* ---- accumulate: total += {sum of values x weights, sum of weights} --------------------------------- */

static double sum_of(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    return sum;
}

static void run_accumulate(const athi_call *call) {
    const athi_node *node = call->unit->nodes[0];
    double *total = (double *)(void *)(call->spaces->block + variable_of(node)->offset);
    const float *v = call->in[1], *w = node->n_in > 2 ? call->in[2] : NULL;
    const int64_t n = athi_cpu_count(node->in[1]), n_weights = w ? athi_cpu_count(node->in[2]) : 0;
    double sum = 0, count = 0;
    if (!w) {
        sum = sum_of(v, n), count = (double)n;
    } else if (n == 1) { /* a mean over the batch counts with every weight */
        count = sum_of(w, n_weights), sum = (double)v[0] * count;
    } else {
        const int64_t each = n / n_weights;
        for (int64_t i = 0; i < n_weights; i++) {
            sum += sum_of(v + i * each, each) * (double)w[i];
            count += (double)w[i] * (double)each;
        }
    }
    total[0] += sum, total[1] += count;
}

static bool accepts_accumulate(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    for (int i = 1; i < node->n_in; i++) {
        if (node->in[i]->dtype != ATH_F32) return athi_cpu_no(why, "input %d is not f32", i);
        if (node->in[i]->layout != ATHI_PLAIN) return athi_cpu_no(why, "input %d is blocked", i);
    }
    const int64_t n = athi_cpu_count(node->in[1]), n_weights = node->n_in > 2 ? athi_cpu_count(node->in[2]) : 1;
    if (n != 1 && (n_weights == 0 || n % n_weights)) return athi_cpu_no(why, "a weight is shared unevenly");
    return athi_cpu_yes(why, "sums in double");
}
static ath_status make_accumulate(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_accumulate);
}
const athi_kernel athi_cpu_accumulate[] = {{"own:accumulate", accepts_accumulate, make_accumulate, ATHI_LAYOUT_PLAIN},
                                           {0}};

/* ---- gradient: the value goes where the optimiser looks for it -------------------------------------- */

static void run_gradient(const athi_call *call) {
    const athi_variable *v = variable_of(call->unit->nodes[0]);
    char *to = call->spaces->grads + (v->offset - call->spaces->trainable_offset);
    if (to != call->in[1]) memmove(to, call->in[1], (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype)));
}
static bool accepts_gradient(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return athi_cpu_is_plain(unit, why) && athi_cpu_yes(why, "memcpy");
}
static ath_status make_gradient(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_gradient);
}
const athi_kernel athi_cpu_gradient[] = {{"own:copy", accepts_gradient, make_gradient, ATHI_LAYOUT_PLAIN}, {0}};

/* ---- clip_gradients ------------------------------------------------------------------------------ */

typedef struct gradient_part {
    float *g;
    int64_t n;
} gradient_part;
static gradient_part gradient_of(const athi_spaces *s, const athi_variable *v) {
    return (gradient_part){(float *)(void *)(s->grads + (v->offset - s->trainable_offset)),
                           athi_shape_count(v->shape)};
}

/* By limit / norm where the norm is above it; NaN where it is not finite, so that it is seen. */
static float clip_factor(double norm, double limit) {
    if (!isfinite(norm)) return NAN;
    return norm > limit ? (float)(limit / norm) : 1;
}

static void run_clip(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_spaces *spaces = call->spaces;
    const athi_clip mode = call->unit->nodes[0]->attr.clip.mode;
    const double limit = call->unit->nodes[0]->attr.clip.limit;
    double squares = 0;
    for (int64_t i = 0; i < spaces->n_variables && mode == ATHI_CLIP_GLOBAL_NORM; i++) {
        if (spaces->variables[i]->role != ATHI_TRAINABLE) continue;
        gradient_part p = gradient_of(spaces, spaces->variables[i]);
        squares += s->k->sum_of_squares(s->threads, p.n, p.g);
    }
    float factor = clip_factor(sqrt(squares), limit);
    for (int64_t i = 0; i < spaces->n_variables; i++) {
        if (spaces->variables[i]->role != ATHI_TRAINABLE) continue;
        gradient_part p = gradient_of(spaces, spaces->variables[i]);
        if (mode == ATHI_CLIP_VALUE) {
            s->k->binary_scalar[ATHI_BINARY_MIN](s->threads, p.n, p.g, (float)limit, p.g);
            s->k->binary_scalar[ATHI_BINARY_MAX](s->threads, p.n, p.g, (float)-limit, p.g);
            continue;
        }
        if (mode == ATHI_CLIP_NORM) factor = clip_factor(sqrt(s->k->sum_of_squares(s->threads, p.n, p.g)), limit);
        if (factor != 1) s->k->binary_scalar[ATHI_BINARY_MUL](s->threads, p.n, p.g, factor, p.g);
    }
}

static bool accepts_clip(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_graph *graph = unit->nodes[0]->out[0].graph;
    for (int64_t i = 0; i < graph->n_variables; i++)
        if (graph->variables[i]->role == ATHI_TRAINABLE && graph->variables[i]->dtype != ATH_F32)
            return athi_cpu_no(why, "'%.60s' is not f32", graph->variables[i]->name);
    return athi_cpu_yes(why, "sums of squares in double");
}
static ath_status make_clip(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_clip);
}
const athi_kernel athi_cpu_clip_gradients[] = {{"own:clip", accepts_clip, make_clip, ATHI_LAYOUT_PLAIN}, {0}};
