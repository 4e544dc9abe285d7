/* Convolution and pooling over images [batch, height, width, channels]. */
#include "nn/layers.h"

#include <stdio.h>

static bool is_image(athi_net *net, const char *row, const char *name, const ath_tensor *x) {
    char text[96];
    athi_shape s = x->shape;
    if (s.rank == 4 && s.dim[3] != ATHI_DYN) return true;
    if (s.rank == 4)
        athi_layer_error(net, ATH_E_SHAPE, row, name, "the number of channels must be known, got %s",
                         athi_shape_str(s, text));
    else if (s.rank == 3)
        athi_layer_error(net, ATH_E_SHAPE, row, name,
                         "expected input of rank 4 [batch, height, width, channels], got %s; add reshape: "
                         "{target_shape: [%lld, %lld, 1]}",
                         athi_shape_str(s, text), (long long)s.dim[1], (long long)s.dim[2]);
    else
        athi_layer_error(net, ATH_E_SHAPE, row, name,
                         "expected input of rank 4 [batch, height, width, channels], got %s; add reshape before it",
                         athi_shape_str(s, text));
    return false;
}

/* A window must fit into the image where padding is valid. */
static bool window_fits(athi_net *net, const char *row, const char *name, const ath_tensor *x,
                        const athi_attr *attr) {
    for (int i = 0; i < 2; i++) {
        int64_t n = x->shape.dim[1 + i], span = (attr->window.size[i] - 1) * attr->window.dilation[i] + 1;
        if (attr->window.same || n == ATHI_DYN || span <= n) continue;
        char text[96];
        athi_layer_error(
            net, ATH_E_SHAPE, row, name,
            "its window spans %lld cells of %s %lld of the input %s; make it smaller or use padding: same",
            (long long)span, i == 0 ? "height" : "width", (long long)n, athi_shape_str(x->shape, text));
        return false;
    }
    return true;
}

static void set_pair(int64_t pair[2], const ath_ints *ints, int64_t otherwise) {
    pair[0] = ints->n > 0 ? ints->v[0] : otherwise;
    pair[1] = ints->n > 1 ? ints->v[1] : pair[0];
}

/* ---- convolution ----------------------------------------------------------------------------------- */

static const char *stride_mistake(const athi_attr *a) {
    bool strided = a->window.stride[0] > 1 || a->window.stride[1] > 1;
    bool dilated = a->window.dilation[0] > 1 || a->window.dilation[1] > 1;
    return strided && dilated ? "strides and dilation_rate cannot both be above 1; leave one of them at 1" : NULL;
}

static const char *conv_mistake(const ath_conv2d_opts *o, const athi_attr *a, int64_t channels, char text[160]) {
    const char *mistake = stride_mistake(a);
    if (mistake) return mistake;
    if (channels % o->groups == 0 && o->filters % o->groups == 0) return NULL;
    snprintf(text, 160, "groups %lld must divide the input's %lld channels and the %lld filters",
             (long long)o->groups, (long long)channels, (long long)o->filters);
    return text;
}

/* A bias over the channels where it is wanted. */
static ath_tensor *biased(athi_net *net, ath_tensor *x, const char *name, int64_t n, ath_switch use_bias,
                          ath_spec initializer, ath_spec regularizer) {
    if (use_bias != ATH_ON) return x;
    ath_tensor *bias = athi_param_add(net, name, "bias", athi_dims(n), true, initializer, regularizer, n, n);
    return athi_op2(net->graph, ATHI_OP_ADD, x, bias, NULL);
}

static ath_tensor *build_conv2d(athi_net *net, ath_tensor *const *in, int n_in, const void *opts, const char *name) {
    (void)n_in;
    const ath_conv2d_opts *o = opts;
    athi_graph *g = net->graph;
    athi_attr attr = {.window = {.groups = o->groups, .same = o->padding == ATH_SAME}};
    set_pair(attr.window.size, &o->kernel_size, 1);
    set_pair(attr.window.stride, &o->strides, 1);
    set_pair(attr.window.dilation, &o->dilation_rate, 1);
    if (!is_image(net, "conv2d", name, in[0])) return &g->poison;
    int64_t channels = in[0]->shape.dim[3], cells = attr.window.size[0] * attr.window.size[1];
    char text[160];
    const char *mistake = conv_mistake(o, &attr, channels, text);
    if (mistake) return athi_layer_error(net, ATH_E_OPTION, "conv2d", name, "%s", mistake);
    if (!window_fits(net, "conv2d", name, in[0], &attr)) return &g->poison;
    int64_t inner = channels / o->groups;
    ath_tensor *kernel =
        athi_param_add(net, name, "kernel", athi_dims(attr.window.size[0], attr.window.size[1], inner, o->filters),
                       true, o->kernel_initializer, o->kernel_regularizer, inner * cells, o->filters * cells);
    ath_tensor *x = athi_op2(g, ATHI_OP_CONV2D, in[0], kernel, &attr);
    x = biased(net, x, name, o->filters, o->use_bias, o->bias_initializer, o->bias_regularizer);
    return athi_activate(net, x, o->activation);
}
const athi_layer_impl athi_layer_conv2d = {1, 1, build_conv2d};

static const char *const paddings[] = {"valid", "same", NULL};
#define PADDING(T)                                                                                                   \
    ATHI_ROW_ENUM(T, padding, "valid", paddings,                                                                     \
                  "valid: windows inside the image only; same: output = input / strides")
#define KERNEL_SIZE(T)                                                                                               \
    {                                                                                                                \
        .name = "kernel_size", .type = ATHI_OPT_INTS, .offset = offsetof(T, kernel_size), .min = 1, .max = 0,        \
        .repeat = 2, .doc = "height and width of the window"                                                         \
    }
#define STRIDES(T)  ATHI_ROW_PAIR(T, strides, "1", "steps of the window")
#define DILATION(T) ATHI_ROW_PAIR(T, dilation_rate, "1", "distance of the window's cells")
const athi_option athi_options_conv2d[] = {
    ATHI_ROW_INT(ath_conv2d_opts, filters, NULL, 1, 0, 8, 512, ATHI_LOG, "number of output channels"),
    KERNEL_SIZE(ath_conv2d_opts),
    STRIDES(ath_conv2d_opts),
    PADDING(ath_conv2d_opts),
    DILATION(ath_conv2d_opts),
    ATHI_ROW_INT(ath_conv2d_opts, groups, "1", 1, 0, 0, 0, ATHI_LINEAR, "channels are split into so many parts"),
    ATHI_ROW_ACTIVATION(ath_conv2d_opts),
    ATHI_ROW_SWITCH(ath_conv2d_opts, use_bias, "add a bias"),
    ATHI_ROW_INITIALIZER(ath_conv2d_opts, kernel_initializer, "kernel", "glorot_uniform"),
    ATHI_ROW_INITIALIZER(ath_conv2d_opts, bias_initializer, "bias", "zeros"),
    ATHI_ROW_REGULARIZER(ath_conv2d_opts, kernel_regularizer, "kernel"),
    ATHI_ROW_REGULARIZER(ath_conv2d_opts, bias_regularizer, "bias"),
    {0},
};
ath_tensor *ath_conv2d_with(ath_tensor *x, const ath_conv2d_opts *opts) {
    return athi_layer_call("conv2d", &x, 1, opts);
}

/* ---- depthwise and separable convolution ------------------------------------------------------------ */

/* A kernel [kh, kw, channels, multiplier] is, row by row, one of a convolution in as many groups as there are channels:
 * [kh, kw, 1, channels multiplier]. */
static ath_tensor *depthwise(athi_net *net, ath_tensor *x, const char *row, const char *name, const char *suffix,
                             const ath_depthwise_conv2d_opts *o) {
    athi_attr attr = {.window = {.same = o->padding == ATH_SAME}};
    set_pair(attr.window.size, &o->kernel_size, 1);
    set_pair(attr.window.stride, &o->strides, 1);
    set_pair(attr.window.dilation, &o->dilation_rate, 1);
    if (!is_image(net, row, name, x)) return &net->graph->poison;
    const char *mistake = stride_mistake(&attr);
    if (mistake) return athi_layer_error(net, ATH_E_OPTION, row, name, "%s", mistake);
    if (!window_fits(net, row, name, x, &attr)) return &net->graph->poison;
    int64_t channels = x->shape.dim[3], h = attr.window.size[0], w = attr.window.size[1];
    ath_tensor *kernel = athi_param_add(net, name, suffix, athi_dims(h, w, channels, o->depth_multiplier), true,
                                        o->depthwise_initializer, o->depthwise_regularizer, channels * h * w,
                                        o->depth_multiplier * h * w);
    kernel = athi_reshape(net->graph, kernel, athi_dims(h, w, 1, channels * o->depth_multiplier));
    attr.window.groups = channels;
    return athi_op2(net->graph, ATHI_OP_CONV2D, x, kernel, &attr);
}

static ath_tensor *build_depthwise_conv2d(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                          const char *name) {
    (void)n_in;
    const ath_depthwise_conv2d_opts *o = opts;
    ath_tensor *x = depthwise(net, in[0], "depthwise_conv2d", name, "kernel", o);
    if (athi_is_poison(x)) return x;
    x = biased(net, x, name, x->shape.dim[3], o->use_bias, o->bias_initializer, o->bias_regularizer);
    return athi_activate(net, x, o->activation);
}
const athi_layer_impl athi_layer_depthwise_conv2d = {1, 1, build_depthwise_conv2d};

static ath_tensor *build_separable_conv2d(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                          const char *name) {
    (void)n_in;
    const ath_separable_conv2d_opts *o = opts;
    const ath_depthwise_conv2d_opts first = {.kernel_size = o->kernel_size,
                                             .strides = o->strides,
                                             .padding = o->padding,
                                             .depth_multiplier = o->depth_multiplier,
                                             .dilation_rate = o->dilation_rate,
                                             .depthwise_initializer = o->depthwise_initializer,
                                             .depthwise_regularizer = o->depthwise_regularizer};
    ath_tensor *x = depthwise(net, in[0], "separable_conv2d", name, "depthwise_kernel", &first);
    if (athi_is_poison(x)) return x;
    int64_t inner = x->shape.dim[3];
    ath_tensor *kernel = athi_param_add(net, name, "pointwise_kernel", athi_dims(1, 1, inner, o->filters), true,
                                        o->pointwise_initializer, o->pointwise_regularizer, inner, o->filters);
    x = athi_op2(net->graph, ATHI_OP_CONV2D, x, kernel, (&(athi_attr){.window = {.groups = 1}}));
    x = biased(net, x, name, o->filters, o->use_bias, o->bias_initializer, o->bias_regularizer);
    return athi_activate(net, x, o->activation);
}
const athi_layer_impl athi_layer_separable_conv2d = {1, 1, build_separable_conv2d};

#define DEPTH_MULTIPLIER(T) ATHI_ROW_INT(T, depth_multiplier, "1", 1, 0, 1, 4, ATHI_LINEAR, "results of each channel")
const athi_option athi_options_depthwise_conv2d[] = {
    KERNEL_SIZE(ath_depthwise_conv2d_opts),
    STRIDES(ath_depthwise_conv2d_opts),
    PADDING(ath_depthwise_conv2d_opts),
    DEPTH_MULTIPLIER(ath_depthwise_conv2d_opts),
    DILATION(ath_depthwise_conv2d_opts),
    ATHI_ROW_ACTIVATION(ath_depthwise_conv2d_opts),
    ATHI_ROW_SWITCH(ath_depthwise_conv2d_opts, use_bias, "add a bias"),
    ATHI_ROW_INITIALIZER(ath_depthwise_conv2d_opts, depthwise_initializer, "kernel", "glorot_uniform"),
    ATHI_ROW_INITIALIZER(ath_depthwise_conv2d_opts, bias_initializer, "bias", "zeros"),
    ATHI_ROW_REGULARIZER(ath_depthwise_conv2d_opts, depthwise_regularizer, "kernel"),
    ATHI_ROW_REGULARIZER(ath_depthwise_conv2d_opts, bias_regularizer, "bias"),
    {0},
};
const athi_option athi_options_separable_conv2d[] = {
    ATHI_ROW_INT(ath_separable_conv2d_opts, filters, NULL, 1, 0, 8, 512, ATHI_LOG, "number of output channels"),
    KERNEL_SIZE(ath_separable_conv2d_opts),
    STRIDES(ath_separable_conv2d_opts),
    PADDING(ath_separable_conv2d_opts),
    DILATION(ath_separable_conv2d_opts),
    DEPTH_MULTIPLIER(ath_separable_conv2d_opts),
    ATHI_ROW_ACTIVATION(ath_separable_conv2d_opts),
    ATHI_ROW_SWITCH(ath_separable_conv2d_opts, use_bias, "add a bias"),
    ATHI_ROW_INITIALIZER(ath_separable_conv2d_opts, depthwise_initializer, "depthwise kernel", "glorot_uniform"),
    ATHI_ROW_INITIALIZER(ath_separable_conv2d_opts, pointwise_initializer, "pointwise kernel", "glorot_uniform"),
    ATHI_ROW_INITIALIZER(ath_separable_conv2d_opts, bias_initializer, "bias", "zeros"),
    ATHI_ROW_REGULARIZER(ath_separable_conv2d_opts, depthwise_regularizer, "depthwise kernel"),
    ATHI_ROW_REGULARIZER(ath_separable_conv2d_opts, pointwise_regularizer, "pointwise kernel"),
    ATHI_ROW_REGULARIZER(ath_separable_conv2d_opts, bias_regularizer, "bias"),
    {0},
};
ath_tensor *ath_depthwise_conv2d_with(ath_tensor *x, const ath_depthwise_conv2d_opts *opts) {
    return athi_layer_call("depthwise_conv2d", &x, 1, opts);
}
ath_tensor *ath_separable_conv2d_with(ath_tensor *x, const ath_separable_conv2d_opts *opts) {
    return athi_layer_call("separable_conv2d", &x, 1, opts);
}

/* ---- pooling --------------------------------------------------------------------------------------- */

/* max_pool2d keeps the place of the largest cell in 8 bits. */
enum { MAX_CELLS = 256 };

static ath_tensor *pool(athi_net *net, ath_tensor *x, const ath_max_pooling2d_opts *o, const char *row,
                        const char *name, athi_op op) {
    athi_attr attr = {.window = {.dilation = {1, 1}, .groups = 1, .same = o->padding == ATH_SAME}};
    set_pair(attr.window.size, &o->pool_size, 2);
    set_pair(attr.window.stride, &o->strides, 0);
    for (int i = 0; i < 2; i++)
        if (attr.window.stride[i] == 0) attr.window.stride[i] = attr.window.size[i];
    if (!is_image(net, row, name, x) || !window_fits(net, row, name, x, &attr)) return &net->graph->poison;
    if (op == ATHI_OP_MAX_POOL2D && attr.window.size[0] > MAX_CELLS / attr.window.size[1])
        return athi_layer_error(net, ATH_E_OPTION, row, name,
                                "pool_size may have %d cells at most, got %lld x %lld; use global_max_pooling2d",
                                MAX_CELLS, (long long)attr.window.size[0], (long long)attr.window.size[1]);
    return athi_op1(net->graph, op, x, &attr);
}
static ath_tensor *build_max_pooling2d(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                       const char *name) {
    (void)n_in;
    return pool(net, in[0], opts, "max_pooling2d", name, ATHI_OP_MAX_POOL2D);
}
static ath_tensor *build_average_pooling2d(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                           const char *name) {
    (void)n_in;
    return pool(net, in[0], opts, "average_pooling2d", name, ATHI_OP_AVERAGE_POOL2D);
}
const athi_layer_impl athi_layer_max_pooling2d = {1, 1, build_max_pooling2d};
const athi_layer_impl athi_layer_average_pooling2d = {1, 1, build_average_pooling2d};

#define POOLING(T)                                                                                                   \
    ATHI_ROW_PAIR(T, pool_size, "2", "height and width of the window"),                                              \
        {.name = "strides",                                                                                          \
         .type = ATHI_OPT_INTS,                                                                                      \
         .offset = offsetof(T, strides),                                                                             \
         .fallback = "null",                                                                                         \
         .nullable = true,                                                                                           \
         .min = 1,                                                                                                   \
         .max = 0,                                                                                                   \
         .repeat = 2,                                                                                                \
         .doc = "steps of the window; null: pool_size"},                                                             \
        PADDING(T)
const athi_option athi_options_max_pooling2d[] = {POOLING(ath_max_pooling2d_opts), {0}};
const athi_option athi_options_average_pooling2d[] = {POOLING(ath_average_pooling2d_opts), {0}};
ath_tensor *ath_max_pooling2d_with(ath_tensor *x, const ath_max_pooling2d_opts *opts) {
    return athi_layer_call("max_pooling2d", &x, 1, opts);
}
ath_tensor *ath_average_pooling2d_with(ath_tensor *x, const ath_average_pooling2d_opts *opts) {
    return athi_layer_call("average_pooling2d", &x, 1, opts);
}

/* ---- global pooling -------------------------------------------------------------------------------- */

static ath_tensor *global_pool(athi_net *net, ath_tensor *x, const void *opts, const char *row, const char *name,
                               athi_op op) {
    if (!is_image(net, row, name, x)) return &net->graph->poison;
    return athi_reduce(net->graph, op, x, 1u << 1 | 1u << 2, ((const ath_global_max_pooling2d_opts *)opts)->keepdims);
}
static ath_tensor *build_global_max(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                    const char *name) {
    (void)n_in;
    return global_pool(net, in[0], opts, "global_max_pooling2d", name, ATHI_OP_MAX);
}
static ath_tensor *build_global_average(athi_net *net, ath_tensor *const *in, int n_in, const void *opts,
                                        const char *name) {
    (void)n_in;
    return global_pool(net, in[0], opts, "global_average_pooling2d", name, ATHI_OP_MEAN);
}
const athi_layer_impl athi_layer_global_max_pooling2d = {1, 1, build_global_max};
const athi_layer_impl athi_layer_global_average_pooling2d = {1, 1, build_global_average};

#define KEEPDIMS(T) ATHI_ROW_BOOL(T, keepdims, "leave height and width in the shape, as 1")
const athi_option athi_options_global_max_pooling2d[] = {KEEPDIMS(ath_global_max_pooling2d_opts), {0}};
const athi_option athi_options_global_average_pooling2d[] = {KEEPDIMS(ath_global_average_pooling2d_opts), {0}};
ath_tensor *ath_global_max_pooling2d_with(ath_tensor *x, const ath_global_max_pooling2d_opts *opts) {
    return athi_layer_call("global_max_pooling2d", &x, 1, opts);
}
ath_tensor *ath_global_average_pooling2d_with(ath_tensor *x, const ath_global_average_pooling2d_opts *opts) {
    return athi_layer_call("global_average_pooling2d", &x, 1, opts);
}
