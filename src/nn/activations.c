/* Activations: one row each, most of them one elementwise op (graph/unary.def holds their equations). */
#include "athanor/activations.h"
#include "nn/build.h"
#include "nn/rows.h"

ath_tensor *athi_activate(athi_net *net, ath_tensor *x, ath_spec activation) {
    if (!activation.name || athi_is_poison(x)) return x;
    const athi_row *row;
    void *opts;
    ath_status status = athi_spec_resolve(net->ctx, net->arena, &athi_activations, activation,
                                          net->graph->layer, &row, &opts);
    if (status != ATH_OK) return athi_net_fail(net, status);
    return ((const athi_activation_impl *)row->impl)->build(net, x, opts);
}

static ath_tensor *build_linear(athi_net *net, ath_tensor *x, const void *opts) {
    (void)net, (void)opts;
    return x;
}

/* The activations that are an op without attributes. */
#define SIMPLE(name, op)                                                                                     \
    static ath_tensor *build_##name(athi_net *net, ath_tensor *x, const void *opts) {                        \
        (void)opts;                                                                                          \
        return athi_op1(net->graph, ATHI_OP_##op, x, NULL);                                                  \
    }                                                                                                        \
    static const athi_activation_impl name##_impl = {build_##name};
SIMPLE(relu6, RELU6)
SIMPLE(selu, SELU)
SIMPLE(silu, SILU)
SIMPLE(sigmoid, SIGMOID)
SIMPLE(hard_sigmoid, HARD_SIGMOID)
SIMPLE(hard_silu, HARD_SILU)
SIMPLE(tanh, TANH)
SIMPLE(softplus, SOFTPLUS)
SIMPLE(softsign, SOFTSIGN)
SIMPLE(mish, MISH)
SIMPLE(exponential, EXP)
#undef SIMPLE
static const athi_activation_impl linear_impl = {build_linear};

/* ---- with options -------------------------------------------------------------------------------- */

/* x from `threshold` to max_value, negative_slope (x - threshold) below it. */
static ath_tensor *build_relu(athi_net *net, ath_tensor *x, const void *opts) {
    const ath_relu_opts *o = opts;
    athi_graph *g = net->graph;
    ath_tensor *y;
    if (o->threshold == 0 && o->negative_slope == 0 && o->max_value == 6)
        return athi_op1(g, ATHI_OP_RELU6, x, NULL);
    if (o->threshold == 0) {
        y = o->negative_slope == 0
                ? athi_op1(g, ATHI_OP_RELU, x, NULL)
                : athi_op1(g, ATHI_OP_LEAKY_RELU, x, (&(athi_attr){.alpha = {o->negative_slope, 0}}));
        return o->max_value > 0
                   ? athi_op2(g, ATHI_OP_MINIMUM, y, athi_constant(g, o->max_value, ATHI_SCALAR), NULL)
                   : y;
    }
    /* A step at the threshold: above = 1 where x >= threshold. */
    ath_tensor *above =
        athi_op2(g, ATHI_OP_GREATER_EQUAL, x, athi_constant(g, o->threshold, ATHI_SCALAR), NULL);
    y = athi_op2(g, ATHI_OP_MUL, x, above, NULL);
    if (o->max_value > 0)
        y = athi_op2(g, ATHI_OP_MINIMUM, y, athi_constant(g, o->max_value, ATHI_SCALAR), NULL);
    if (o->negative_slope == 0) return y;
    ath_tensor *low = athi_affine(g, x, o->negative_slope, -o->negative_slope * o->threshold);
    return athi_op2(g, ATHI_OP_ADD, y, athi_op2(g, ATHI_OP_MUL, low, athi_affine(g, above, -1, 1), NULL),
                    NULL);
}
static const athi_activation_impl relu_impl = {build_relu};
static const athi_option relu_options[] = {
    ATHI_ROW_FLOAT(ath_relu_opts, negative_slope, "0", 0, -1, 0, 0, ATHI_LINEAR, "slope below the threshold"),
    ATHI_ROW_FLOAT(ath_relu_opts, max_value, "null", 0, -1, 0, 0, ATHI_LINEAR,
                   "largest result; null: no bound"),
    ATHI_ROW_FLOAT(ath_relu_opts, threshold, "0", 0, -1, 0, 0, ATHI_LINEAR,
                   "smallest value that is let through"),
    {0},
};

static ath_tensor *build_leaky_relu(athi_net *net, ath_tensor *x, const void *opts) {
    const ath_leaky_relu_opts *o = opts;
    return athi_op1(net->graph, ATHI_OP_LEAKY_RELU, x, (&(athi_attr){.alpha = {o->negative_slope, 0}}));
}
static const athi_activation_impl leaky_relu_impl = {build_leaky_relu};
static const athi_option leaky_relu_options[] = {
    ATHI_ROW_FLOAT(ath_leaky_relu_opts, negative_slope, "0.2", 0, -1, 0.01, 0.5, ATHI_LINEAR,
                   "slope below zero"),
    {0},
};

static ath_tensor *build_elu(athi_net *net, ath_tensor *x, const void *opts) {
    const ath_elu_opts *o = opts;
    return athi_op1(net->graph, ATHI_OP_ELU, x, (&(athi_attr){.alpha = {o->alpha, 0}}));
}
static const athi_activation_impl elu_impl = {build_elu};
static const athi_option elu_options[] = {
    ATHI_ROW_FLOAT(ath_elu_opts, alpha, "1", 0, -1, 0.1, 2, ATHI_LINEAR,
                   "minus the limit for very negative values"),
    {0},
};

/* alpha elu(x / alpha) */
static ath_tensor *build_celu(athi_net *net, ath_tensor *x, const void *opts) {
    const ath_elu_opts *o = opts;
    athi_graph *g = net->graph;
    const athi_attr unit = {.alpha = {1, 0}};
    if (o->alpha == 1) return athi_op1(g, ATHI_OP_ELU, x, &unit);
    return athi_affine(g, athi_op1(g, ATHI_OP_ELU, athi_affine(g, x, 1 / o->alpha, 0), &unit), o->alpha, 0);
}
static const athi_activation_impl celu_impl = {build_celu};
static const athi_option celu_options[] = {
    ATHI_ROW_FLOAT(ath_elu_opts, alpha, "1", 1e-6, -1, 0.1, 2, ATHI_LINEAR,
                   "minus the limit for very negative values"),
    {0},
};

/* The tanh form: x sigmoid(2 sqrt(2/pi) (x + 0.044715 x³)). */
static ath_tensor *build_gelu(athi_net *net, ath_tensor *x, const void *opts) {
    athi_graph *g = net->graph;
    if (!((const ath_gelu_opts *)opts)->approximate) return athi_op1(g, ATHI_OP_GELU, x, NULL);
    const double twice_root = 1.5957691216057308; /* 2 sqrt(2 / pi) */
    ath_tensor *inner =
        athi_affine(g, athi_op1(g, ATHI_OP_SQUARE, x, NULL), 0.044715 * twice_root, twice_root);
    ath_tensor *gate = athi_op1(g, ATHI_OP_SIGMOID, athi_op2(g, ATHI_OP_MUL, x, inner, NULL), NULL);
    return athi_op2(g, ATHI_OP_MUL, x, gate, NULL);
}
static const athi_activation_impl gelu_impl = {build_gelu};
static const athi_option gelu_options[] = {
    ATHI_ROW_BOOL(ath_gelu_opts, approximate, "the tanh approximation in place of the error function"),
    {0},
};

/* ---- over an axis -------------------------------------------------------------------------------- */

/* x with `axis` moved to the end (or back: the permutation is a swap, its own inverse). */
static ath_tensor *swap_with_last(athi_graph *g, ath_tensor *x, int axis) {
    athi_attr attr = {0};
    int last = x->shape.rank - 1;
    for (int i = 0; i <= last; i++) attr.perm.axis[i] = i;
    attr.perm.axis[axis] = last, attr.perm.axis[last] = axis;
    return athi_op1(g, ATHI_OP_TRANSPOSE, x, &attr);
}

/* log softmax as x - max - log Σ exp(x - max): no underflow for improbable classes. */
static ath_tensor *log_softmax_last(athi_graph *g, ath_tensor *x) {
    ath_tensor *centred = athi_op2(g, ATHI_OP_SUB, x, athi_reduce_last(g, ATHI_OP_MAX, x, true), NULL);
    if (athi_is_poison(centred)) return centred;
    ath_tensor *sum = athi_reduce_last(g, ATHI_OP_SUM, athi_op1(g, ATHI_OP_EXP, centred, NULL), true);
    return athi_op2(g, ATHI_OP_SUB, centred, athi_op1(g, ATHI_OP_LOG, sum, NULL), NULL);
}

static ath_tensor *over_axis(athi_net *net, ath_tensor *x, const void *opts, const char *name,
                             bool logarithm) {
    athi_graph *g = net->graph;
    int64_t wanted = ((const ath_softmax_opts *)opts)->axis;
    int rank = x->shape.rank, axis = (int)(wanted < 0 ? wanted + rank : wanted);
    if (axis < 1 || axis >= rank)
        return athi_layer_error(net, ATH_E_OPTION, name, g->layer,
                                "axis %lld is not one of the axes 1 to %d behind the batch",
                                (long long)wanted, rank - 1);
    bool moved = axis != rank - 1;
    if (moved) x = swap_with_last(g, x, axis);
    if (athi_is_poison(x)) return x;
    ath_tensor *y = logarithm ? log_softmax_last(g, x) : athi_op1(g, ATHI_OP_SOFTMAX, x, NULL);
    return moved && !athi_is_poison(y) ? swap_with_last(g, y, axis) : y;
}
static ath_tensor *build_softmax(athi_net *net, ath_tensor *x, const void *opts) {
    return over_axis(net, x, opts, "softmax", false);
}
static ath_tensor *build_log_softmax(athi_net *net, ath_tensor *x, const void *opts) {
    return over_axis(net, x, opts, "log_softmax", true);
}
static const athi_activation_impl softmax_impl = {build_softmax}, log_softmax_impl = {build_log_softmax};
/* log_softmax has the same. */
static const athi_option softmax_options[] = {
    ATHI_ROW_INT(ath_softmax_opts, axis, "-1", 0, 0, 0, 0, ATHI_LINEAR,
                 "axis over which the results sum to 1"),
    {0},
};

/* log sigmoid(x) = -softplus(-x) */
static ath_tensor *build_log_sigmoid(athi_net *net, ath_tensor *x, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    return athi_affine(g, athi_op1(g, ATHI_OP_SOFTPLUS, athi_affine(g, x, -1, 0), NULL), -1, 0);
}
static const athi_activation_impl log_sigmoid_impl = {build_log_sigmoid};

/* ---- the rows ------------------------------------------------------------------------------------ */

#define PLAIN(row, impl_, text)                                                                              \
    { .name = row, .doc = text, .impl = &impl_##_impl }
#define WITH(row, impl_, rows_, T, main, text)                                                               \
    {                                                                                                        \
        .name = row, .doc = text, .options = rows_##_options, .opts_size = sizeof(T), .impl = &impl_##_impl, \
        .main_option = main                                                                                  \
    }

static const athi_row rows[] = {
    PLAIN("linear", linear, "x"),
    WITH("relu", relu, relu, ath_relu_opts, NULL, "max(x, 0)"),
    PLAIN("relu6", relu6, "min(max(x, 0), 6)"),
    WITH("leaky_relu", leaky_relu, leaky_relu, ath_leaky_relu_opts, "negative_slope",
         "x above 0, negative_slope x below"),
    WITH("elu", elu, elu, ath_elu_opts, "alpha", "x above 0, alpha (exp(x) - 1) below"),
    PLAIN("selu", selu, "1.0507 elu(x, 1.6733): keeps mean and variance (Klambauer et al. 2017)"),
    WITH("celu", celu, celu, ath_elu_opts, "alpha", "max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)"),
    WITH("gelu", gelu, gelu, ath_gelu_opts, "approximate", "x times the normal distribution function of x"),
    PLAIN("silu", silu, "x sigmoid(x)"),
    PLAIN("swish", silu, "another name of silu"),
    PLAIN("sigmoid", sigmoid, "1 / (1 + exp(-x))"),
    PLAIN("hard_sigmoid", hard_sigmoid, "min(max(x / 6 + 0.5, 0), 1)"),
    PLAIN("hard_silu", hard_silu, "x hard_sigmoid(x)"),
    PLAIN("hard_swish", hard_silu, "another name of hard_silu"),
    PLAIN("tanh", tanh, "hyperbolic tangent"),
    PLAIN("softplus", softplus, "log(1 + exp(x))"),
    PLAIN("softsign", softsign, "x / (1 + |x|)"),
    PLAIN("mish", mish, "x tanh(softplus(x))"),
    PLAIN("exponential", exponential, "exp(x)"),
    WITH("softmax", softmax, softmax, ath_softmax_opts, "axis", "exp(x) / sum(exp(x)) over an axis"),
    WITH("log_softmax", log_softmax, softmax, ath_softmax_opts, "axis", "log(softmax(x)) over an axis"),
    PLAIN("log_sigmoid", log_sigmoid, "log(sigmoid(x))"),
    {0},
};
#undef PLAIN
#undef WITH

const athi_kind athi_activations = {"activation", "activations", rows};
