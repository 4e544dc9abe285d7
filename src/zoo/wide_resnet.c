/* Wide residual networks (Zagoruyko and Komodakis 2016), in the order of the throughput lab (convolution, batch
 * normalisation, ReLU; max-pooling between groups) and in the paper's (batch normalisation, ReLU, convolution; strides).
 * depth = 6 n + 4: three groups of n blocks of two convolutions, and the four that stand between and before them. */
#include "zoo/zoo.h"

#include "nn/rows.h"

enum { GROUPS = 3, STEM = 16 };

typedef struct block {
    const ath_wide_resnet_opts *o;
    int64_t filters;
    bool first;     /* of its group: the shortcut has to change the number of channels */
    int64_t stride; /* of its first convolution */
} block;

static ath_tensor *convolution(ath_tensor *x, const ath_wide_resnet_opts *o, int64_t filters, int64_t size,
                               int64_t stride) {
    return ath_conv2d(x, .filters = filters, .kernel_size = ATH_INTS(size), .strides = ATH_INTS(stride),
                      .padding = ATH_SAME, .use_bias = o->pre_activation ? ATH_OFF : ATH_ON,
                      .kernel_initializer = o->kernel_initializer, .kernel_regularizer = o->kernel_regularizer);
}

static ath_tensor *normalised(ath_tensor *x) {
    return ath_activation(ath_batch_normalization_with(x, NULL), .activation = ATH_RELU);
}

static ath_tensor *dropped(ath_tensor *x, const ath_wide_resnet_opts *o) {
    return o->dropout > 0 ? ath_dropout(x, .rate = o->dropout) : x;
}

/* ---- the lab's order ------------------------------------------------------------------------------- */

static ath_tensor *conv_bn_relu(ath_tensor *x, const ath_wide_resnet_opts *o, int64_t filters) {
    return normalised(convolution(x, o, filters, 3, 1));
}

static ath_tensor *post_block(ath_tensor *x, const block *b) {
    ath_tensor *shortcut = b->first ? convolution(x, b->o, b->filters, 1, 1) : x;
    x = dropped(conv_bn_relu(x, b->o, b->filters), b->o);
    return ath_add(shortcut, conv_bn_relu(x, b->o, b->filters));
}

/* ---- the paper's order (He et al. 2016, identity mappings) ------------------------------------------ */

/* Where the shape changes, the shortcut too starts from the activated input. */
static ath_tensor *pre_block(ath_tensor *x, const block *b) {
    ath_tensor *active = normalised(x);
    ath_tensor *shortcut = b->first ? convolution(active, b->o, b->filters, 1, b->stride) : x;
    x = convolution(active, b->o, b->filters, 3, b->stride);
    x = dropped(normalised(x), b->o);
    return ath_add(shortcut, convolution(x, b->o, b->filters, 3, 1));
}

/* ---- the network ------------------------------------------------------------------------------------ */

static ath_tensor *features(ath_tensor *x, const ath_wide_resnet_opts *o) {
    int64_t n_blocks = (o->depth - 4) / (2 * GROUPS);
    bool pre = o->pre_activation;
    x = pre ? convolution(x, o, STEM, 3, 1) : conv_bn_relu(x, o, STEM);
    for (int group = 0; group < GROUPS; group++) {
        if (group > 0 && !pre) x = ath_max_pooling2d_with(x, NULL);
        for (int64_t i = 0; i < n_blocks && !athi_is_poison(x); i++) {
            block b = {o, (STEM << group) * o->width, i == 0, group > 0 && i == 0 ? 2 : 1};
            x = pre ? pre_block(x, &b) : post_block(x, &b);
        }
    }
    return pre ? normalised(x) : x;
}

static ath_tensor *build(athi_net *net, ath_tensor *const *in, int n_in, const void *opts, const char *name) {
    (void)n_in, (void)name;
    const ath_wide_resnet_opts *o = opts;
    if ((o->depth - 4) % (2 * GROUPS) != 0) {
        int64_t below = o->depth - (o->depth - 4) % (2 * GROUPS);
        return athi_poison(net->graph, ATH_E_OPTION, "depth is 6 n + 4, got %lld; the nearest are %lld and %lld",
                           (long long)o->depth, (long long)below, (long long)below + 2 * GROUPS);
    }
    ath_tensor *x = features(in[0], o);
    if (o->classes == 0) return x;
    x = ath_global_average_pooling2d_with(x, NULL);
    return ath_dense(x, .units = o->classes, .activation = ATH_SOFTMAX);
}
const athi_layer_impl athi_composite_wide_resnet = {1, 1, build};

const athi_option athi_options_wide_resnet[] = {
    ATHI_ROW_INT(ath_wide_resnet_opts, depth, NULL, 10, 1000, 0, 0, ATHI_LINEAR, "convolutions on the way, 6 n + 4"),
    ATHI_ROW_INT(ath_wide_resnet_opts, width, "1", 1, 1000, 1, 10, ATHI_LOG, "times the channels of a plain network"),
    ATHI_ROW_INT(ath_wide_resnet_opts, classes, "0", 0, -1, 0, 0, ATHI_LINEAR,
                 "0: the features alone; else global average pooling and a softmax of so many classes behind them"),
    ATHI_ROW_BOOL(
        ath_wide_resnet_opts, pre_activation,
        "the paper's order: batch normalisation, ReLU, convolution without bias, strides in place of pooling"),
    ATHI_ROW_FLOAT(ath_wide_resnet_opts, dropout, "0.01", 0, 1, 0.01, 0.4, ATHI_LINEAR,
                   "rate between the two convolutions of a block; 0: none"),
    ATHI_ROW_INITIALIZER(ath_wide_resnet_opts, kernel_initializer, "convolutions", "glorot_uniform"),
    ATHI_ROW_REGULARIZER(ath_wide_resnet_opts, kernel_regularizer, "convolutions"),
    {0},
};

ath_tensor *ath_wide_resnet_with(ath_tensor *x, const ath_wide_resnet_opts *opts) {
    return athi_composite_call("wide_resnet", x, opts);
}
