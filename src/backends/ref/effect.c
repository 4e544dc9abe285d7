/* Ops that change a variable or the gradient buffer. */
#include "backends/ref/ref.h"

#include <math.h>

/* total += {sum of values * weights, sum of weights}, where every value has its sample's weight (its first axis). */
void athi_ref_accumulate(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const ath_tensor *values = node->in[1], *weights = node->n_in > 2 ? node->in[2] : NULL;
    double *total = athi_ref_variable_data(call, athi_ref_variable(call, 0));
    const void *v = athi_ref_in(call, 1), *w = weights ? athi_ref_in(call, 2) : NULL;
    const int64_t n = athi_shape_count(values->shape),
                  n_weights = weights ? athi_shape_count(weights->shape) : 1;
    double sum = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        const double weight = w ? athi_ref_read(w, weights->dtype, i / (n / n_weights)) : 1;
        sum += athi_ref_read(v, values->dtype, i) * weight;
        count += weight;
    }
    total[0] += sum, total[1] += count;
}

/* variable = variable * momentum + value * (1 - momentum) */
void athi_ref_move_towards(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const athi_variable *variable = athi_ref_variable(call, 0);
    void *data = athi_ref_variable_data(call, variable);
    const void *value = athi_ref_in(call, 1);
    const double momentum = node->attr.norm.momentum;
    const int64_t n = athi_shape_count(variable->shape);
    for (int64_t i = 0; i < n; i++)
        athi_ref_write(data, variable->dtype, i,
                       athi_ref_read(data, variable->dtype, i) * momentum +
                           athi_ref_read(value, node->in[1]->dtype, i) * (1 - momentum));
}

/* Puts the gradient where the optimiser looks for it, unless the plan let it be computed there. */
void athi_ref_gradient(const athi_call *call) {
    const athi_variable *v = athi_ref_variable(call, 0);
    const void *from = athi_ref_in(call, 1);
    void *to = athi_ref_gradient_data(call, v);
    if (to != from) memmove(to, from, (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype)));
}

/* The last element: of {seed, step} the step. */
void athi_ref_count(const athi_call *call) {
    const athi_variable *v = athi_ref_variable(call, 0);
    int64_t *counters = athi_ref_variable_data(call, v);
    counters[athi_shape_count(v->shape) - 1] += 1;
}

/* ---- clipping ------------------------------------------------------------------------------------ */

static double square_sum(const athi_call *call, const athi_variable *v) {
    const void *g = athi_ref_gradient_data(call, v);
    const int64_t n = athi_shape_count(v->shape);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = athi_ref_read(g, v->dtype, i);
        sum += x * x;
    }
    return sum;
}

static void scale_gradient(const athi_call *call, const athi_variable *v, double factor) {
    void *g = athi_ref_gradient_data(call, v);
    const int64_t n = athi_shape_count(v->shape);
    for (int64_t i = 0; i < n; i++) athi_ref_write(g, v->dtype, i, athi_ref_read(g, v->dtype, i) * factor);
}

static void clip_value(const athi_call *call, const athi_variable *v, double limit) {
    void *g = athi_ref_gradient_data(call, v);
    const int64_t n = athi_shape_count(v->shape);
    for (int64_t i = 0; i < n; i++) {
        const double x = athi_ref_read(g, v->dtype, i);
        if (x > limit) athi_ref_write(g, v->dtype, i, limit);
        if (x < -limit) athi_ref_write(g, v->dtype, i, -limit);
    }
}

/* g limit / max(|g|, limit), over each variable or over all together; NaN where the norm is not finite. */
void athi_ref_clip_gradients(const athi_call *call) {
    const athi_clip mode = athi_ref_node(call)->attr.clip.mode;
    const double limit = athi_ref_node(call)->attr.clip.limit;
    double global = 0;
    for (int64_t i = 0; i < call->spaces->n_variables && mode == ATHI_CLIP_GLOBAL_NORM; i++)
        if (call->spaces->variables[i]->role == ATHI_TRAINABLE)
            global += square_sum(call, call->spaces->variables[i]);
    for (int64_t i = 0; i < call->spaces->n_variables; i++) {
        const athi_variable *v = call->spaces->variables[i];
        if (v->role != ATHI_TRAINABLE) continue;
        if (mode == ATHI_CLIP_VALUE) {
            clip_value(call, v, limit);
            continue;
        }
        const double norm = sqrt(mode == ATHI_CLIP_NORM ? square_sum(call, v) : global);
        if (!isfinite(norm))
            scale_gradient(call, v, NAN);
        else if (norm > limit)
            scale_gradient(call, v, limit / norm);
    }
}
