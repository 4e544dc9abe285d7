/* Batch and layer normalisation. */
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
                     "expected input of rank 2 or more with a known last dimension, got %s",
                     athi_shape_str(s, text));
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
        athi_param_add(net, name, "moving_variance", athi_dims(n), false, o->moving_variance_initializer,
                       none, n, n),
    };
    athi_attr attr = {.norm = {.epsilon = o->epsilon, .momentum = o->momentum}};
    return athi_node_add(net->graph, ATHI_OP_BATCH_NORM, inputs, ATHI_COUNT(inputs), &attr);
}
const athi_layer_impl athi_layer_batch_normalization = {1, 1, build_batch_normalization};

#define EPSILON(T) ATHI_ROW_FLOAT(T, epsilon, "0.001", 0, -1, 1e-6, 1e-2, ATHI_LOG, "added to the variance")
#define CENTER_SCALE(T)                                                                                      \
    ATHI_ROW_SWITCH(T, center, "add a learned beta"),                                                        \
        ATHI_ROW_SWITCH(T, scale, "multiply by a learned gamma"),                                            \
        ATHI_ROW_INITIALIZER(T, beta_initializer, "beta", "zeros"),                                          \
        ATHI_ROW_INITIALIZER(T, gamma_initializer, "gamma", "ones")
#define REGULARIZERS(T)                                                                                      \
    ATHI_ROW_REGULARIZER(T, beta_regularizer, "beta"), ATHI_ROW_REGULARIZER(T, gamma_regularizer, "gamma")

const athi_option athi_options_batch_normalization[] = {
    ATHI_ROW_FLOAT(ath_batch_normalization_opts, momentum, "0.99", 0, 1, 0.8, 0.999, ATHI_LINEAR,
                   "part of the moving statistics that each batch leaves"),
    EPSILON(ath_batch_normalization_opts),
    CENTER_SCALE(ath_batch_normalization_opts),
    ATHI_ROW_INITIALIZER(ath_batch_normalization_opts, moving_mean_initializer, "moving mean", "zeros"),
    ATHI_ROW_INITIALIZER(ath_batch_normalization_opts, moving_variance_initializer, "moving variance",
                         "ones"),
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
    ath_tensor *gamma =
        vector(net, name, "gamma", n, o->scale, 1, o->gamma_initializer, o->gamma_regularizer);
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
