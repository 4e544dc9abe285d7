/* Layers that join several inputs, and activations that are layers of their own name. */
#include "nn/layers.h"

enum { MAX_INPUTS = 64 };

/* ---- elementwise joins ----------------------------------------------------------------------------- */

/* Keras brings inputs of fewer dimensions to the rank of the others by sizes of 1 behind the batch. */
static ath_tensor *widened(athi_graph *g, ath_tensor *x, int rank) {
    athi_shape from = x->shape, to = {rank, {ATHI_DYN}};
    if (from.rank == rank || from.rank == 0) return x;
    int gap = rank - from.rank;
    for (int i = 1; i < rank; i++) to.dim[i] = i <= gap ? 1 : from.dim[i - gap];
    return athi_reshape(g, x, to);
}

static ath_tensor *joined(athi_net *net, ath_tensor *const *in, int n_in, const char *row, const char *name,
                          athi_op op) {
    athi_graph *g = net->graph;
    int rank = 0;
    for (int i = 0; i < n_in; i++) rank = ATHI_MAX(rank, in[i]->shape.rank);
    ath_tensor *x = widened(g, in[0], rank);
    for (int i = 1; i < n_in && !athi_is_poison(x); i++) {
        ath_tensor *y = widened(g, in[i], rank);
        athi_shape shape;
        char a[96], b[96];
        if (!athi_is_poison(y) && !athi_shape_broadcast(x->shape, y->shape, &shape))
            return athi_layer_error(net, ATH_E_SHAPE, row, name, "its inputs do not fit together: %s and %s",
                                    athi_shape_str(x->shape, a), athi_shape_str(y->shape, b));
        x = athi_op2(g, op, x, y, NULL);
    }
    return x;
}

#define JOIN(layer, op, most)                                                                                \
    static ath_tensor *build_##layer(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,       \
                                     const char *name) {                                                     \
        (void)opts;                                                                                          \
        return joined(net, in, n_in, #layer, name, ATHI_OP_##op);                                            \
    }                                                                                                        \
    const athi_layer_impl athi_layer_##layer = {2, most, build_##layer};                                     \
    ath_tensor *ath_##layer(ath_tensor *a, ath_tensor *b) {                                                  \
        return athi_layer_call(#layer, (ath_tensor *[]){a, b}, 2, NULL);                                     \
    }
JOIN(add, ADD, MAX_INPUTS)
JOIN(multiply, MUL, MAX_INPUTS)
JOIN(subtract, SUB, 2)
JOIN(maximum, MAXIMUM, MAX_INPUTS)
JOIN(minimum, MINIMUM, MAX_INPUTS)
#undef JOIN

static ath_tensor *build_average(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                 const char *name) {
    (void)opts;
    return athi_affine(net->graph, joined(net, in, n_in, "average", name, ATHI_OP_ADD), 1.0 / n_in, 0);
}
const athi_layer_impl athi_layer_average = {2, MAX_INPUTS, build_average};
ath_tensor *ath_average(ath_tensor *a, ath_tensor *b) {
    return athi_layer_call("average", (ath_tensor *[]){a, b}, 2, NULL);
}

/* ---- concatenate ----------------------------------------------------------------------------------- */

static ath_tensor *build_concatenate(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                     const char *name) {
    int64_t axis = ((const ath_concatenate_opts *)opts)->axis;
    int rank = in[0]->shape.rank;
    int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 1 || at >= rank)
        return athi_layer_error(net, ATH_E_OPTION, "concatenate", name,
                                "axis %lld is not one of the axes 1 to %d behind the batch", (long long)axis,
                                rank - 1);
    athi_shape first = in[0]->shape;
    for (int i = 1; i < n_in; i++) {
        athi_shape s = in[i]->shape;
        bool fits = s.rank == rank;
        for (int d = 0; d < rank && fits; d++)
            fits = d == at || s.dim[d] == first.dim[d] || s.dim[d] == ATHI_DYN || first.dim[d] == ATHI_DYN;
        char a[96], b[96];
        if (!fits)
            return athi_layer_error(net, ATH_E_SHAPE, "concatenate", name,
                                    "its inputs may differ in axis %lld only, got %s and %s", (long long)at,
                                    athi_shape_str(first, a), athi_shape_str(s, b));
    }
    return athi_node_add(net->graph, ATHI_OP_CONCAT, in, n_in, (&(athi_attr){.axis = {(int)at}}));
}
const athi_layer_impl athi_layer_concatenate = {1, MAX_INPUTS, build_concatenate};
const athi_option athi_options_concatenate[] = {
    ATHI_ROW_INT(ath_concatenate_opts, axis, "-1", 0, 0, 0, 0, ATHI_LINEAR,
                 "axis that grows; the batch is axis 0"),
    {0},
};
ath_tensor *ath_concatenate_with(ath_tensor *const *in, int64_t n, const ath_concatenate_opts *opts) {
    return athi_layer_call("concatenate", in, (int)n, opts);
}

/* ---- activations as layers ------------------------------------------------------------------------- */

/* The layer of an activation's name; both have the same option struct. */
#define ACTIVATION(layer)                                                                                    \
    static ath_tensor *build_##layer(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,       \
                                     const char *name) {                                                     \
        (void)n_in, (void)name;                                                                              \
        return athi_activate(net, in[0], (ath_spec){#layer, opts});                                          \
    }                                                                                                        \
    const athi_layer_impl athi_layer_##layer = {1, 1, build_##layer};                                        \
    ath_tensor *ath_##layer##_with(ath_tensor *x, const ath_##layer##_opts *opts) {                          \
        return athi_layer_call(#layer, &x, 1, opts);                                                         \
    }
ACTIVATION(relu)
ACTIVATION(leaky_relu)
ACTIVATION(elu)
ACTIVATION(softmax)
#undef ACTIVATION

const athi_option athi_options_relu[] = {
    ATHI_ROW_FLOAT(ath_relu_opts, max_value, "null", 0, -1, 0, 0, ATHI_LINEAR,
                   "largest result; null: no bound"),
    ATHI_ROW_FLOAT(ath_relu_opts, negative_slope, "0", 0, -1, 0, 0, ATHI_LINEAR, "slope below the threshold"),
    ATHI_ROW_FLOAT(ath_relu_opts, threshold, "0", 0, -1, 0, 0, ATHI_LINEAR,
                   "smallest value that is let through"),
    {0},
};
const athi_option athi_options_leaky_relu[] = {
    ATHI_ROW_FLOAT(ath_leaky_relu_opts, negative_slope, "0.3", 0, -1, 0.01, 0.5, ATHI_LINEAR,
                   "slope below zero"),
    {0},
};
const athi_option athi_options_elu[] = {
    ATHI_ROW_FLOAT(ath_elu_opts, alpha, "1", 0, -1, 0.1, 2, ATHI_LINEAR,
                   "minus the limit for very negative values"),
    {0},
};
const athi_option athi_options_softmax[] = {
    ATHI_ROW_INT(ath_softmax_opts, axis, "-1", 0, 0, 0, 0, ATHI_LINEAR,
                 "axis over which the results sum to 1"),
    {0},
};

/* ---- prelu ----------------------------------------------------------------------------------------- */

/* The shape of alpha: x's without the batch, 1 in the axes that share it. */
static bool alpha_shape(athi_net *net, const ath_tensor *x, const ath_ints *shared, const char *name,
                        athi_shape *alpha) {
    char text[96];
    *alpha = (athi_shape){x->shape.rank - 1, {0}};
    for (int i = 0; i < alpha->rank; i++) alpha->dim[i] = x->shape.dim[i + 1];
    for (int64_t i = 0; i < shared->n; i++) {
        if (shared->v[i] <= alpha->rank) {
            alpha->dim[shared->v[i] - 1] = 1;
            continue;
        }
        athi_layer_error(net, ATH_E_OPTION, "prelu", name,
                         "shared_axes are some of the axes 1 to %d of %s, got %lld; the batch is axis 0",
                         alpha->rank, athi_shape_str(x->shape, text), (long long)shared->v[i]);
        return false;
    }
    for (int i = 0; i < alpha->rank; i++)
        if (alpha->dim[i] == ATHI_DYN) {
            athi_layer_error(net, ATH_E_SHAPE, "prelu", name,
                             "the size of axis %d must be known, got %s; name it in shared_axes", i + 1,
                             athi_shape_str(x->shape, text));
            return false;
        }
    return true;
}

/* relu(x) - alpha relu(-x) */
static ath_tensor *build_prelu(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                               const char *name) {
    (void)n_in;
    const ath_prelu_opts *o = opts;
    athi_graph *g = net->graph;
    athi_shape shape;
    if (!alpha_shape(net, in[0], &o->shared_axes, name, &shape)) return &g->poison;
    /* fans as Keras counts them: [..., in, out] */
    int64_t r = shape.rank, n = athi_shape_count(shape);
    int64_t fan_in = r < 2 ? n : n / shape.dim[r - 1], fan_out = r < 2 ? n : n / shape.dim[r - 2];
    ath_tensor *alpha = athi_param_add(net, name, "alpha", shape, true, o->alpha_initializer,
                                       o->alpha_regularizer, fan_in, fan_out);
    ath_tensor *below = athi_op1(g, ATHI_OP_RELU, athi_op1(g, ATHI_OP_NEG, in[0], NULL), NULL);
    ath_tensor *above = athi_op1(g, ATHI_OP_RELU, in[0], NULL);
    return athi_op2(g, ATHI_OP_SUB, above, athi_op2(g, ATHI_OP_MUL, below, alpha, NULL), NULL);
}
const athi_layer_impl athi_layer_prelu = {1, 1, build_prelu};
const athi_option athi_options_prelu[] = {
    ATHI_ROW_INITIALIZER(ath_prelu_opts, alpha_initializer, "slope below zero", "zeros"),
    ATHI_ROW_REGULARIZER(ath_prelu_opts, alpha_regularizer, "slope below zero"),
    {.name = "shared_axes",
     .type = ATHI_OPT_INTS,
     .offset = offsetof(ath_prelu_opts, shared_axes),
     .fallback = "null",
     .nullable = true,
     .min = 1,
     .max = ATHI_MAX_RANK - 1,
     .doc = "axes along which the slope is the same, the batch being axis 0"},
    {0},
};
ath_tensor *ath_prelu_with(ath_tensor *x, const ath_prelu_opts *opts) {
    return athi_layer_call("prelu", &x, 1, opts);
}
