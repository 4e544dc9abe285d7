/* Batch, layer and group normalisation. */
#include "nn/layers.h"

/* gamma or beta: a variable where it is wanted, else a constant. */
static ath_tensor *vector(athi_net *net, const char *name, const char *suffix, int64_t n, ath_switch wanted,
                          double constant, ath_spec initializer, ath_spec regularizer) {
    if (wanted != ATH_ON) return athi_constant(net->graph, constant, athi_dims(n));
    return athi_param_add(net, name, suffix, athi_dims(n), true, initializer, regularizer, n, n);
}

static bool has_channels(athi_net *net, const char *row, const char *name, athi_shape s) {
    if (s.rank >= 2 && s.dim[s.rank - 1] != ATHI_DYN) return true;
    char text[96];
    athi_layer_error(net, ATH_E_SHAPE, row, name,
                     "expected input of rank 2 or more with a known last dimension, got %s", athi_shape_str(s, text));
    return false;
}

static ath_tensor *build_batch_normalization(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                             const char *name) {
    (void)n_in;
    const ath_batch_normalization_opts *o = opts;
    athi_shape s = in[0]->shape;
    if (!has_channels(net, "batch_normalization", name, s)) return &net->graph->poison;
    int64_t n = s.dim[s.rank - 1];
    const ath_spec none = {0};
    ath_tensor *inputs[] = {
        in[0],
        vector(net, name, "gamma", n, o->scale, 1, o->gamma_initializer, o->gamma_regularizer),
        vector(net, name, "beta", n, o->center, 0, o->beta_initializer, o->beta_regularizer),
        athi_param_add(net, name, "moving_mean", athi_dims(n), false, o->moving_mean_initializer, none, n, n),
        athi_param_add(net, name, "moving_variance", athi_dims(n), false, o->moving_variance_initializer, none, n, n),
    };
    athi_attr attr = {.norm = {.epsilon = o->epsilon, .momentum = o->momentum}};
    return athi_node_add(net->graph, ATHI_OP_BATCH_NORM, inputs, ATHI_COUNT(inputs), &attr);
}
const athi_layer_impl athi_layer_batch_normalization = {1, 1, build_batch_normalization};

#define EPSILON(T) ATHI_ROW_FLOAT(T, epsilon, "0.001", 0, -1, 1e-6, 1e-2, ATHI_LOG, "added to the variance")
#define CENTER_SCALE(T)                                                                                              \
    ATHI_ROW_SWITCH(T, center, "add a learned beta"), ATHI_ROW_SWITCH(T, scale, "multiply by a learned gamma"),      \
        ATHI_ROW_INITIALIZER(T, beta_initializer, "beta", "zeros"),                                                  \
        ATHI_ROW_INITIALIZER(T, gamma_initializer, "gamma", "ones")
#define REGULARIZERS(T)                                                                                              \
    ATHI_ROW_REGULARIZER(T, beta_regularizer, "beta"), ATHI_ROW_REGULARIZER(T, gamma_regularizer, "gamma")

const athi_option athi_options_batch_normalization[] = {
    ATHI_ROW_FLOAT(ath_batch_normalization_opts, momentum, "0.99", 0, 1, 0.8, 0.999, ATHI_LINEAR,
                   "part of the moving statistics that each batch leaves"),
    EPSILON(ath_batch_normalization_opts),
    CENTER_SCALE(ath_batch_normalization_opts),
    ATHI_ROW_INITIALIZER(ath_batch_normalization_opts, moving_mean_initializer, "moving mean", "zeros"),
    ATHI_ROW_INITIALIZER(ath_batch_normalization_opts, moving_variance_initializer, "moving variance", "ones"),
    REGULARIZERS(ath_batch_normalization_opts),
    {0},
};
ath_tensor *ath_batch_normalization_with(ath_tensor *x, const ath_batch_normalization_opts *opts) {
    return athi_layer_call("batch_normalization", &x, 1, opts);
}

static ath_tensor *build_layer_normalization(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                             const char *name) {
    (void)n_in;
    const ath_layer_normalization_opts *o = opts;
    athi_shape s = in[0]->shape;
    if (!has_channels(net, "layer_normalization", name, s)) return &net->graph->poison;
    int64_t n = s.dim[s.rank - 1];
    ath_tensor *gamma = vector(net, name, "gamma", n, o->scale, 1, o->gamma_initializer, o->gamma_regularizer);
    ath_tensor *beta = vector(net, name, "beta", n, o->center, 0, o->beta_initializer, o->beta_regularizer);
    athi_attr attr = {.norm = {.epsilon = o->epsilon}};
    return athi_op3(net->graph, ATHI_OP_LAYER_NORM, in[0], gamma, beta, &attr);
}
const athi_layer_impl athi_layer_layer_normalization = {1, 1, build_layer_normalization};
const athi_option athi_options_layer_normalization[] = {
    EPSILON(ath_layer_normalization_opts),
    CENTER_SCALE(ath_layer_normalization_opts),
    REGULARIZERS(ath_layer_normalization_opts),
    {0},
};
ath_tensor *ath_layer_normalization_with(ath_tensor *x, const ath_layer_normalization_opts *opts) {
    return athi_layer_call("layer_normalization", &x, 1, opts);
}

/* ---- group normalisation --------------------------------------------------------------------------- */

/* How many groups there are; 0 after an error. */
static int64_t count_groups(athi_net *net, const char *name, athi_shape s, int64_t groups) {
    int64_t channels = s.dim[s.rank - 1];
    char text[96];
    for (int i = 1; i < s.rank; i++)
        if (s.dim[i] == ATHI_DYN) {
            athi_layer_error(net, ATH_E_SHAPE, "group_normalization", name,
                             "all sizes but the batch must be known, got %s", athi_shape_str(s, text));
            return 0;
        }
    if (groups == -1) return channels;
    if (groups >= 1 && channels % groups == 0) return groups;
    athi_layer_error(net, ATH_E_OPTION, "group_normalization", name,
                     "groups must divide the %lld channels of its input, got %lld; -1 makes each channel a group",
                     (long long)channels, (long long)groups);
    return 0;
}

/* Each group of a sample is a row [positions, channels / groups] of a layer normalisation; gamma and beta, which are by
 * channel, come behind it. With one group its values lie together already. All of it is computed in float32, and its
 * result has the layer's type. */
static ath_tensor *build_group_normalization(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                             const char *name) {
    (void)n_in;
    const ath_group_normalization_opts *o = opts;
    athi_graph *g = net->graph;
    athi_shape s = in[0]->shape;
    if (!has_channels(net, "group_normalization", name, s)) return &g->poison;
    int64_t channels = s.dim[s.rank - 1], groups = count_groups(net, name, s, o->groups);
    if (!groups) return &g->poison;
    g->compute = ATH_F32;
    int64_t positions = 1, inner = channels / groups;
    for (int i = 1; i < s.rank - 1; i++) positions *= s.dim[i];
    const athi_attr swap = {.perm = {{0, 2, 1, 3}}};
    ath_tensor *x = athi_reshape(g, in[0], athi_dims(ATHI_DYN, positions, groups, inner));
    if (groups > 1 && positions > 1) x = athi_op1(g, ATHI_OP_TRANSPOSE, x, &swap);
    x = athi_reshape(g, x, athi_dims(ATHI_DYN, groups, positions * inner));
    x = athi_op3(g, ATHI_OP_LAYER_NORM, x, athi_constant(g, 1, athi_dims(positions * inner)),
                 athi_constant(g, 0, athi_dims(positions * inner)), (&(athi_attr){.norm = {.epsilon = o->epsilon}}));
    x = athi_reshape(g, x, athi_dims(ATHI_DYN, groups, positions, inner));
    if (groups > 1 && positions > 1) x = athi_op1(g, ATHI_OP_TRANSPOSE, x, &swap);
    s.dim[0] = ATHI_DYN;
    x = athi_reshape(g, x, s);
    if (o->scale == ATH_ON)
        x = athi_op2(g, ATHI_OP_MUL, x,
                     vector(net, name, "gamma", channels, ATH_ON, 1, o->gamma_initializer, o->gamma_regularizer),
                     NULL);
    if (o->center == ATH_ON)
        x = athi_op2(g, ATHI_OP_ADD, x,
                     vector(net, name, "beta", channels, ATH_ON, 0, o->beta_initializer, o->beta_regularizer), NULL);
    g->compute = net->compute;
    if (g->compute != ATH_F32) x = athi_reshape(g, x, s);
    return x;
}
const athi_layer_impl athi_layer_group_normalization = {1, 1, build_group_normalization};
const athi_option athi_options_group_normalization[] = {
    ATHI_ROW_INT(ath_group_normalization_opts, groups, "32", -1, 1e9, 0, 0, ATHI_LINEAR,
                 "parts of the channels; -1: each by itself"),
    EPSILON(ath_group_normalization_opts),
    CENTER_SCALE(ath_group_normalization_opts),
    REGULARIZERS(ath_group_normalization_opts),
    {0},
};
ath_tensor *ath_group_normalization_with(ath_tensor *x, const ath_group_normalization_opts *opts) {
    return athi_layer_call("group_normalization", &x, 1, opts);
}
