/* Input, dense, activation, dropout, and the layers that change shapes. */
#include "nn/layers.h"

/* ---- input --------------------------------------------------------------------------------------- */

/* Without an input of its own it makes one of the net; behind another it only checks. */
static ath_tensor *build_input(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                               const char *name) {
    const ath_ints *sizes = &((const ath_input_opts *)opts)->shape;
    athi_shape shape = {(int)sizes->n, {0}}, whole = {(int)sizes->n + 1, {ATHI_DYN}};
    if (sizes->n >= ATHI_MAX_RANK)
        return athi_layer_error(net, ATH_E_OPTION, "input", name, "shape may have %d dimensions, got %lld",
                                ATHI_MAX_RANK - 1, (long long)sizes->n);
    for (int64_t i = 0; i < sizes->n; i++) {
        if (sizes->v[i] < 1 && sizes->v[i] != -1)
            return athi_layer_error(net, ATH_E_OPTION, "input", name,
                                    "shape is made of sizes >= 1, or -1 where they vary, got %lld",
                                    (long long)sizes->v[i]);
        shape.dim[i] = whole.dim[i + 1] = sizes->v[i];
    }
    if (n_in == 0) return athi_net_input_add(net, name, shape, ATH_F32);
    bool fits = in[0]->shape.rank == whole.rank;
    for (int i = 1; i < whole.rank && fits; i++)
        fits = whole.dim[i] == ATHI_DYN || whole.dim[i] == in[0]->shape.dim[i];
    char a[96], b[96];
    if (fits) return in[0];
    return athi_layer_error(net, ATH_E_SHAPE, "input", name,
                            "expected data of shape %s, got %s; change shape, or leave "
                            "the layer away",
                            athi_shape_str(whole, a), athi_shape_str(in[0]->shape, b));
}
const athi_layer_impl athi_layer_input = {0, 1, build_input};
const athi_option athi_options_input[] = {
    {.name = "shape",
     .type = ATHI_OPT_INTS,
     .offset = offsetof(ath_input_opts, shape),
     .doc = "sizes behind the batch, -1 where they vary"},
    {0},
};

/* ---- dense --------------------------------------------------------------------------------------- */

static ath_tensor *build_dense(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                               const char *name) {
    (void)n_in;
    const ath_dense_opts *o = opts;
    athi_graph *g = net->graph;
    athi_shape shape = in[0]->shape;
    int64_t features = shape.rank ? shape.dim[shape.rank - 1] : 0;
    char text[96];
    if (shape.rank < 2)
        return athi_layer_error(
            net, ATH_E_SHAPE, "dense", name,
            "expected input of rank 2 or more [batch, ..., features], got %s; add reshape",
            athi_shape_str(shape, text));
    if (features == ATHI_DYN)
        return athi_layer_error(
            net, ATH_E_SHAPE, "dense", name,
            "the last dimension of its input must be known, got %s; use a global pooling layer "
            "before it",
            athi_shape_str(shape, text));
    int64_t rest = 1;
    for (int i = 1; i < shape.rank - 1; i++) rest = shape.dim[i] == ATHI_DYN ? ATHI_DYN : rest * shape.dim[i];
    if (shape.rank > 2 && rest < 0)
        return athi_layer_error(
            net, ATH_E_SHAPE, "dense", name,
            "at most the batch of its input may vary in size, got %s; use conv2d with kernel_size 1",
            athi_shape_str(shape, text));
    ath_tensor *kernel = athi_param_add(net, name, "kernel", athi_dims(features, o->units), true,
                                        o->kernel_initializer, o->kernel_regularizer, features, o->units);
    ath_tensor *x = shape.rank > 2 ? athi_reshape(g, in[0], athi_dims(ATHI_DYN, features)) : in[0];
    x = athi_op2(g, ATHI_OP_MATMUL, x, kernel, NULL);
    if (o->use_bias == ATH_ON)
        x = athi_op2(g, ATHI_OP_ADD, x,
                     athi_param_add(net, name, "bias", athi_dims(o->units), true, o->bias_initializer,
                                    o->bias_regularizer, o->units, o->units),
                     NULL);
    if (shape.rank > 2) {
        shape.dim[0] = ATHI_DYN, shape.dim[shape.rank - 1] = o->units;
        x = athi_reshape(g, x, shape);
    }
    return athi_activate(net, x, o->activation);
}
const athi_layer_impl athi_layer_dense = {1, 1, build_dense};
const athi_option athi_options_dense[] = {
    ATHI_ROW_INT(ath_dense_opts, units, NULL, 1, 0, 16, 1024, ATHI_LOG, "number of outputs"),
    ATHI_ROW_ACTIVATION(ath_dense_opts),
    ATHI_ROW_SWITCH(ath_dense_opts, use_bias, "add a bias"),
    ATHI_ROW_INITIALIZER(ath_dense_opts, kernel_initializer, "kernel", "glorot_uniform"),
    ATHI_ROW_INITIALIZER(ath_dense_opts, bias_initializer, "bias", "zeros"),
    ATHI_ROW_REGULARIZER(ath_dense_opts, kernel_regularizer, "kernel"),
    ATHI_ROW_REGULARIZER(ath_dense_opts, bias_regularizer, "bias"),
    {0},
};
ath_tensor *ath_dense_with(ath_tensor *x, const ath_dense_opts *opts) {
    return athi_layer_call("dense", &x, 1, opts);
}

/* ---- activation, dropout ------------------------------------------------------------------------- */

static ath_tensor *build_activation(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                    const char *name) {
    (void)n_in, (void)name;
    return athi_activate(net, in[0], ((const ath_activation_opts *)opts)->activation);
}
const athi_layer_impl athi_layer_activation = {1, 1, build_activation};
const athi_option athi_options_activation[] = {
    {.name = "activation",
     .type = ATHI_OPT_SPEC,
     .offset = offsetof(ath_activation_opts, activation),
     .kind = &athi_activations,
     .doc = "the function"},
    {0},
};
ath_tensor *ath_activation_with(ath_tensor *x, const ath_activation_opts *opts) {
    return athi_layer_call("activation", &x, 1, opts);
}

static ath_tensor *build_dropout(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                 const char *name) {
    (void)n_in, (void)name;
    double rate = ((const ath_dropout_opts *)opts)->rate;
    int64_t id = net->n_dropouts++; /* counted at rate 0 too: the others keep their random numbers */
    if (rate == 0) return in[0];
    athi_attr attr = {.dropout = {rate, id}};
    return athi_op2(net->graph, ATHI_OP_DROPOUT, in[0], athi_variable_tensor(net->graph, net->counters),
                    &attr);
}
const athi_layer_impl athi_layer_dropout = {1, 1, build_dropout};
const athi_option athi_options_dropout[] = {
    ATHI_ROW_FLOAT(ath_dropout_opts, rate, NULL, 0, 1, 0, 0.7, ATHI_LINEAR,
                   "part of the values that become 0"),
    {0},
};
ath_tensor *ath_dropout_with(ath_tensor *x, const ath_dropout_opts *opts) {
    return athi_layer_call("dropout", &x, 1, opts);
}

/* ---- shapes -------------------------------------------------------------------------------------- */

/* Elements of one sample, ATHI_DYN if a dimension varies. */
static int64_t sample_size(athi_shape s) {
    athi_shape sample = {s.rank ? s.rank - 1 : 0, {0}};
    for (int i = 1; i < s.rank; i++) sample.dim[i - 1] = s.dim[i];
    return athi_shape_count(sample);
}

static ath_tensor *build_flatten(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                 const char *name) {
    (void)n_in, (void)opts;
    int64_t n = sample_size(in[0]->shape);
    char text[96];
    if (n < 0)
        return athi_layer_error(
            net, ATH_E_SHAPE, "flatten", name,
            "the sizes behind the batch must be known, got %s; use a global pooling layer",
            athi_shape_str(in[0]->shape, text));
    if (in[0]->shape.rank == 2) return in[0];
    return athi_reshape(net->graph, in[0], athi_dims(ATHI_DYN, n));
}
const athi_layer_impl athi_layer_flatten = {1, 1, build_flatten};
ath_tensor *ath_flatten(ath_tensor *x) { return athi_layer_call("flatten", &x, 1, NULL); }

static ath_tensor *build_reshape(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                 const char *name) {
    (void)n_in;
    const ath_ints *target = &((const ath_reshape_opts *)opts)->target_shape;
    int64_t have = sample_size(in[0]->shape), known = 1, open = -1;
    athi_shape shape = {(int)target->n + 1, {ATHI_DYN}};
    char from[96], to[96];
    if (target->n >= ATHI_MAX_RANK)
        return athi_layer_error(net, ATH_E_OPTION, "reshape", name,
                                "target_shape may have %d dimensions, got %lld", ATHI_MAX_RANK - 1,
                                (long long)target->n);
    for (int64_t i = 0; i < target->n; i++) {
        int64_t d = target->v[i];
        shape.dim[i + 1] = d;
        if (d > 0 && athi_mul(known, d, &known)) continue;
        if (d != -1 || open >= 0)
            return athi_layer_error(
                net, ATH_E_OPTION, "reshape", name,
                "target_shape is made of sizes >= 1, one of which may be -1 (the rest), got %lld",
                (long long)d);
        open = i + 1;
    }
    if (have >= 0 && open >= 0 && have % known == 0) shape.dim[open] = have / known, known = have;
    if (have < 0 || have != known)
        return athi_layer_error(
            net, ATH_E_SHAPE, "reshape", name,
            "%s does not fit into %s: %lld elements a sample and %lld; change target_shape",
            athi_shape_str(in[0]->shape, from), athi_shape_str(shape, to), (long long)have, (long long)known);
    return athi_reshape(net->graph, in[0], shape);
}
const athi_layer_impl athi_layer_reshape = {1, 1, build_reshape};
const athi_option athi_options_reshape[] = {
    {.name = "target_shape",
     .type = ATHI_OPT_INTS,
     .offset = offsetof(ath_reshape_opts, target_shape),
     .doc = "sizes behind the batch; one may be -1, the rest"},
    {0},
};
ath_tensor *ath_reshape_with(ath_tensor *x, const ath_reshape_opts *opts) {
    return athi_layer_call("reshape", &x, 1, opts);
}

static ath_tensor *build_permute(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                 const char *name) {
    (void)n_in;
    const ath_ints *dims = &((const ath_permute_opts *)opts)->dims;
    int n = in[0]->shape.rank - 1;
    athi_attr attr = {0};
    unsigned seen = 0;
    for (int64_t i = 0; i < dims->n && dims->n == n; i++) {
        int64_t d = dims->v[i];
        if (d >= 1 && d <= n) seen |= 1u << d;
        attr.perm.axis[i + 1] = (int)d;
    }
    char text[96];
    if (dims->n != n || seen != ((1u << n) - 1) << 1)
        return athi_layer_error(
            net, ATH_E_OPTION, "permute", name,
            "dims must name each of the axes 1 to %d of %s once; the batch is not among them", n,
            athi_shape_str(in[0]->shape, text));
    return athi_op1(net->graph, ATHI_OP_TRANSPOSE, in[0], &attr);
}
const athi_layer_impl athi_layer_permute = {1, 1, build_permute};
const athi_option athi_options_permute[] = {
    {.name = "dims",
     .type = ATHI_OPT_INTS,
     .offset = offsetof(ath_permute_opts, dims),
     .min = 1,
     .max = ATHI_MAX_RANK - 1,
     .doc = "the input's axes in their new order, counted from 1"},
    {0},
};
ath_tensor *ath_permute_with(ath_tensor *x, const ath_permute_opts *opts) {
    return athi_layer_call("permute", &x, 1, opts);
}

static ath_tensor *build_rescaling(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                   const char *name) {
    (void)n_in, (void)name;
    const ath_rescaling_opts *o = opts;
    return athi_affine(net->graph, in[0], o->scale, o->offset);
}
const athi_layer_impl athi_layer_rescaling = {1, 1, build_rescaling};
const athi_option athi_options_rescaling[] = {
    ATHI_ROW_FLOAT(ath_rescaling_opts, scale, NULL, 0, 0, 0, 0, ATHI_LINEAR, "factor"),
    ATHI_ROW_FLOAT(ath_rescaling_opts, offset, "0", 0, 0, 0, 0, ATHI_LINEAR, "summand"),
    {0},
};
ath_tensor *ath_rescaling_with(ath_tensor *x, const ath_rescaling_opts *opts) {
    return athi_layer_call("rescaling", &x, 1, opts);
}
