/* Layers: functions that append to a model.
 *
 *     ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28, 1));
 *     x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
 *     x = ath_flatten(x);
 *     x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
 *
 * Layers, options, defaults and semantics are those of Keras 3 in snake case. A zero option means its default, unless
 * `.exact = true`, which takes every field as written. Option structs only grow at their end.
 * After an error a call returns a poison that later calls pass on; ath_model_compile reports the first error. */
#ifndef ATHANOR_NN_H
#define ATHANOR_NN_H

#include "athanor/activations.h"
#include "athanor/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ath_model ath_model;

#define ATH_RELU    ((ath_spec){"relu", NULL})
#define ATH_SOFTMAX ((ath_spec){"softmax", NULL})
#define ATH_SIGMOID ((ath_spec){"sigmoid", NULL})
#define ATH_TANH    ((ath_spec){"tanh", NULL})
#define ATH_GELU    ((ath_spec){"gelu", NULL})

/** An input of the model. The data's x is there without it; a recipe that names one says what shape it wants. */
typedef struct ath_input_opts {
    size_t struct_size;
    bool exact;
    const char *name; /* "input", "input_1", … */
    ath_ints shape;   /* required: sizes behind the batch, -1 where they vary */
} ath_input_opts;

/** Fully connected layer on the last axis: y = activation(x · kernel + bias).
 *  x [..., in] f32, returns [..., units]. Variables: <name>/kernel [in, units], <name>/bias [units].
 *  Errors: ATH_E_OPTION units < 1; ATH_E_SHAPE x of rank 1 or with an unknown last dimension. */
typedef struct ath_dense_opts {
    size_t struct_size;
    bool exact;
    const char *name;            /* NULL: "dense", "dense_1", … */
    int64_t units;               /* required, >= 1 */
    ath_spec activation;         /* none */
    ath_switch use_bias;         /* on */
    ath_spec kernel_initializer; /* glorot_uniform */
    ath_spec bias_initializer;   /* zeros */
    ath_spec kernel_regularizer; /* none */
    ath_spec bias_regularizer;   /* none */
} ath_dense_opts;
ATH_API ath_tensor *ath_dense_with(ath_tensor *x, const ath_dense_opts *opts);
#define ath_dense(x, ...)                                                                                    \
    ath_dense_with((x), &(ath_dense_opts){.struct_size = sizeof(ath_dense_opts), __VA_ARGS__})

/** An activation as a layer of its own. x of any shape, returned in the same. */
typedef struct ath_activation_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_spec activation; /* required */
} ath_activation_opts;
ATH_API ath_tensor *ath_activation_with(ath_tensor *x, const ath_activation_opts *opts);
#define ath_activation(x, ...)                                                                               \
    ath_activation_with((x), &(ath_activation_opts){.struct_size = sizeof(ath_activation_opts), __VA_ARGS__})

/** Dropout (Srivastava et al. 2014): in training each value is 0 with probability `rate`, else multiplied by
 *  1 / (1 - rate); otherwise nothing happens. x of any shape. Which values is a function of (seed, step, layer). */
typedef struct ath_dropout_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double rate; /* required, 0 to 1 */
} ath_dropout_opts;
ATH_API ath_tensor *ath_dropout_with(ath_tensor *x, const ath_dropout_opts *opts);
#define ath_dropout(x, ...)                                                                                  \
    ath_dropout_with((x), &(ath_dropout_opts){.struct_size = sizeof(ath_dropout_opts), __VA_ARGS__})

/** x [batch, a, b, ...] -> [batch, a * b * ...], row-major. Errors: ATH_E_SHAPE a size behind the batch varies. */
ATH_API ath_tensor *ath_flatten(ath_tensor *x);

/** The same elements in other sizes. Errors: ATH_E_SHAPE the counts differ. */
typedef struct ath_reshape_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_ints
        target_shape; /* required: sizes behind the batch, ATH_INTS(28, 28, 1); one may be -1, the rest */
} ath_reshape_opts;
ATH_API ath_tensor *ath_reshape_with(ath_tensor *x, const ath_reshape_opts *opts);
#define ath_reshape(x, ...)                                                                                  \
    ath_reshape_with((x), &(ath_reshape_opts){.struct_size = sizeof(ath_reshape_opts), __VA_ARGS__})

/** The axes behind the batch in another order: dims = (2, 1) swaps two. */
typedef struct ath_permute_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_ints dims; /* required: the input's axes, counted from 1 */
} ath_permute_opts;
ATH_API ath_tensor *ath_permute_with(ath_tensor *x, const ath_permute_opts *opts);
#define ath_permute(x, ...)                                                                                  \
    ath_permute_with((x), &(ath_permute_opts){.struct_size = sizeof(ath_permute_opts), __VA_ARGS__})

/** scale x + offset. */
typedef struct ath_rescaling_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double scale;  /* required */
    double offset; /* 0 */
} ath_rescaling_opts;
ATH_API ath_tensor *ath_rescaling_with(ath_tensor *x, const ath_rescaling_opts *opts);
#define ath_rescaling(x, ...)                                                                                \
    ath_rescaling_with((x), &(ath_rescaling_opts){.struct_size = sizeof(ath_rescaling_opts), __VA_ARGS__})

/** How a window meets the border of an image. */
typedef enum ath_padding {
    ATH_VALID, /* only where it lies inside: out = floor((n - window) / stride) + 1 */
    ATH_SAME,  /* out = ceil(n / stride); what is missing is added around, the odd cell behind */
} ath_padding;

/** Convolution (cross-correlation) over images: y = activation(x * kernel + bias).
 *  x [batch, height, width, channels] f32, returns [batch, height', width', filters].
 *  Variables: <name>/kernel [kh, kw, channels / groups, filters], <name>/bias [filters].
 *  Errors: ATH_E_SHAPE x of another rank, or smaller than the window; ATH_E_OPTION groups that do not divide,
 *  strides and dilation_rate both above 1. */
typedef struct ath_conv2d_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t filters;             /* required, >= 1 */
    ath_ints kernel_size;        /* required: ATH_INTS(3) or ATH_INTS(3, 5) */
    ath_ints strides;            /* 1 */
    ath_padding padding;         /* valid */
    ath_ints dilation_rate;      /* 1 */
    int64_t groups;              /* 1 */
    ath_spec activation;         /* none */
    ath_switch use_bias;         /* on */
    ath_spec kernel_initializer; /* glorot_uniform */
    ath_spec bias_initializer;   /* zeros */
    ath_spec kernel_regularizer; /* none */
    ath_spec bias_regularizer;   /* none */
} ath_conv2d_opts;
ATH_API ath_tensor *ath_conv2d_with(ath_tensor *x, const ath_conv2d_opts *opts);
#define ath_conv2d(x, ...)                                                                                   \
    ath_conv2d_with((x), &(ath_conv2d_opts){.struct_size = sizeof(ath_conv2d_opts), __VA_ARGS__})

/** Depthwise convolution: each channel by itself is convolved with depth_multiplier windows, y[c depth_multiplier + m] =
 *  x[c] * kernel[c, m]. x [batch, height, width, channels], returns [batch, height', width', channels depth_multiplier].
 *  Variables: <name>/kernel [kh, kw, channels, depth_multiplier], <name>/bias [channels depth_multiplier].
 *  Errors: as conv2d. */
typedef struct ath_depthwise_conv2d_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_ints kernel_size;           /* required */
    ath_ints strides;               /* 1 */
    ath_padding padding;            /* valid */
    int64_t depth_multiplier;       /* 1: results of each channel */
    ath_ints dilation_rate;         /* 1 */
    ath_spec activation;            /* none */
    ath_switch use_bias;            /* on */
    ath_spec depthwise_initializer; /* glorot_uniform */
    ath_spec bias_initializer;      /* zeros */
    ath_spec depthwise_regularizer; /* none */
    ath_spec bias_regularizer;      /* none */
} ath_depthwise_conv2d_opts;
ATH_API ath_tensor *ath_depthwise_conv2d_with(ath_tensor *x, const ath_depthwise_conv2d_opts *opts);
#define ath_depthwise_conv2d(x, ...)                                                                         \
    ath_depthwise_conv2d_with((x), &(ath_depthwise_conv2d_opts){                                             \
                                       .struct_size = sizeof(ath_depthwise_conv2d_opts), __VA_ARGS__})

/** Depthwise convolution, then a 1x1 convolution to `filters` channels, a bias and the activation.
 *  x [batch, height, width, channels], returns [batch, height', width', filters]. Variables: <name>/depthwise_kernel
 *  [kh, kw, channels, depth_multiplier], <name>/pointwise_kernel [1, 1, channels depth_multiplier, filters],
 *  <name>/bias [filters]. Errors: as conv2d. */
typedef struct ath_separable_conv2d_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t filters;                /* required, >= 1 */
    ath_ints kernel_size;           /* required */
    ath_ints strides;               /* 1 */
    ath_padding padding;            /* valid */
    ath_ints dilation_rate;         /* 1 */
    int64_t depth_multiplier;       /* 1 */
    ath_spec activation;            /* none */
    ath_switch use_bias;            /* on */
    ath_spec depthwise_initializer; /* glorot_uniform */
    ath_spec pointwise_initializer; /* glorot_uniform */
    ath_spec bias_initializer;      /* zeros */
    ath_spec depthwise_regularizer; /* none */
    ath_spec pointwise_regularizer; /* none */
    ath_spec bias_regularizer;      /* none */
} ath_separable_conv2d_opts;
ATH_API ath_tensor *ath_separable_conv2d_with(ath_tensor *x, const ath_separable_conv2d_opts *opts);
#define ath_separable_conv2d(x, ...)                                                                         \
    ath_separable_conv2d_with((x), &(ath_separable_conv2d_opts){                                             \
                                       .struct_size = sizeof(ath_separable_conv2d_opts), __VA_ARGS__})

/** The largest value of each window. x [batch, height, width, channels], returns [batch, height', width',
 * channels]. Errors: ATH_E_SHAPE as conv2d; ATH_E_OPTION a window of more than 256 cells. */
typedef struct ath_max_pooling2d_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_ints pool_size;  /* 2 */
    ath_ints strides;    /* pool_size */
    ath_padding padding; /* valid */
} ath_max_pooling2d_opts;
ATH_API ath_tensor *ath_max_pooling2d_with(ath_tensor *x, const ath_max_pooling2d_opts *opts);
#define ath_max_pooling2d(x, ...)                                                                            \
    ath_max_pooling2d_with((x), &(ath_max_pooling2d_opts){.struct_size = sizeof(ath_max_pooling2d_opts),     \
                                                          __VA_ARGS__})

/** The mean of each window over the cells that lie inside the image; otherwise as max_pooling2d. */
typedef ath_max_pooling2d_opts ath_average_pooling2d_opts;
ATH_API ath_tensor *ath_average_pooling2d_with(ath_tensor *x, const ath_average_pooling2d_opts *opts);
#define ath_average_pooling2d(x, ...)                                                                        \
    ath_average_pooling2d_with((x), &(ath_average_pooling2d_opts){.struct_size =                             \
                                                                      sizeof(ath_average_pooling2d_opts),    \
                                                                  __VA_ARGS__})

/** The largest value of each channel. x [batch, height, width, channels], returns [batch, channels]. */
typedef struct ath_global_max_pooling2d_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    bool keepdims; /* returns [batch, 1, 1, channels] */
} ath_global_max_pooling2d_opts;
ATH_API ath_tensor *ath_global_max_pooling2d_with(ath_tensor *x, const ath_global_max_pooling2d_opts *opts);
#define ath_global_max_pooling2d(x, ...)                                                                     \
    ath_global_max_pooling2d_with((x), &(ath_global_max_pooling2d_opts){.struct_size = sizeof(               \
                                                                            ath_global_max_pooling2d_opts),  \
                                                                        __VA_ARGS__})

/** The mean of each channel; otherwise as global_max_pooling2d. */
typedef ath_global_max_pooling2d_opts ath_global_average_pooling2d_opts;
ATH_API ath_tensor *ath_global_average_pooling2d_with(ath_tensor *x,
                                                      const ath_global_average_pooling2d_opts *opts);
#define ath_global_average_pooling2d(x, ...)                                                                 \
    ath_global_average_pooling2d_with(                                                                       \
        (x), &(ath_global_average_pooling2d_opts){.struct_size = sizeof(ath_global_average_pooling2d_opts),  \
                                                  __VA_ARGS__})

/** Batch normalisation (Ioffe and Szegedy 2015) over all axes but the last: gamma (x - mean) / sqrt(variance +
 *  epsilon) + beta, in training with the batch's statistics, otherwise with the moving ones.
 *  x [batch, ..., channels], returns the same shape. Variables: <name>/gamma, beta, moving_mean, moving_variance,
 *  each [channels]; moving = moving momentum + batch (1 - momentum), the variance being the population's. */
typedef struct ath_batch_normalization_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double momentum;                              /* 0.99 */
    double epsilon;                               /* 0.001 */
    ath_switch center, scale;                     /* on */
    ath_spec beta_initializer;                    /* zeros */
    ath_spec gamma_initializer;                   /* ones */
    ath_spec moving_mean_initializer;             /* zeros */
    ath_spec moving_variance_initializer;         /* ones */
    ath_spec beta_regularizer, gamma_regularizer; /* none */
} ath_batch_normalization_opts;
ATH_API ath_tensor *ath_batch_normalization_with(ath_tensor *x, const ath_batch_normalization_opts *opts);
#define ath_batch_normalization(x, ...)                                                                      \
    ath_batch_normalization_with((x), &(ath_batch_normalization_opts){                                       \
                                          .struct_size = sizeof(ath_batch_normalization_opts), __VA_ARGS__})

/** Layer normalisation (Ba et al. 2016) of each sample over its last axis. x [batch, ..., features], returns
 * the same shape. Variables: <name>/gamma, beta, each [features]. */
typedef struct ath_layer_normalization_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double epsilon;                               /* 0.001 */
    ath_switch center, scale;                     /* on */
    ath_spec beta_initializer;                    /* zeros */
    ath_spec gamma_initializer;                   /* ones */
    ath_spec beta_regularizer, gamma_regularizer; /* none */
} ath_layer_normalization_opts;
ATH_API ath_tensor *ath_layer_normalization_with(ath_tensor *x, const ath_layer_normalization_opts *opts);
#define ath_layer_normalization(x, ...)                                                                      \
    ath_layer_normalization_with((x), &(ath_layer_normalization_opts){                                       \
                                          .struct_size = sizeof(ath_layer_normalization_opts), __VA_ARGS__})

/** Group normalisation (Wu and He 2018) of each sample over its positions and the channels of a group, then gamma and
 *  beta by channel. x [batch, ..., channels], returns the same shape. Variables: <name>/gamma, beta, each [channels].
 *  Errors: ATH_E_OPTION groups that do not divide the channels; ATH_E_SHAPE a size other than the batch is not known. */
typedef struct ath_group_normalization_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t groups;                               /* 32; -1: each channel by itself (instance normalisation) */
    double epsilon;                               /* 0.001 */
    ath_switch center, scale;                     /* on */
    ath_spec beta_initializer;                    /* zeros */
    ath_spec gamma_initializer;                   /* ones */
    ath_spec beta_regularizer, gamma_regularizer; /* none */
} ath_group_normalization_opts;
ATH_API ath_tensor *ath_group_normalization_with(ath_tensor *x, const ath_group_normalization_opts *opts);
#define ath_group_normalization(x, ...)                                                                      \
    ath_group_normalization_with((x), &(ath_group_normalization_opts){                                       \
                                          .struct_size = sizeof(ath_group_normalization_opts), __VA_ARGS__})

/** Parametric ReLU (He et al. 2015): x above 0, alpha x below, alpha being learned.
 *  x [batch, ...], returns the same shape. Variable: <name>/alpha, x's shape without the batch, 1 in shared_axes.
 *  Errors: ATH_E_SHAPE a size that alpha needs is not known; ATH_E_OPTION an axis that x has not. */
typedef struct ath_prelu_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_spec alpha_initializer; /* zeros */
    ath_spec alpha_regularizer; /* none */
    ath_ints shared_axes;       /* none; ATH_INTS(1, 2): one alpha a channel of an image */
} ath_prelu_opts;
ATH_API ath_tensor *ath_prelu_with(ath_tensor *x, const ath_prelu_opts *opts);
#define ath_prelu(x, ...) ath_prelu_with((x), &(ath_prelu_opts){.struct_size = sizeof(ath_prelu_opts), __VA_ARGS__})

/** Two tensors joined element by element; shapes broadcast. Recipes join any number by `from: [a, b, c]`.
 *  Errors: ATH_E_SHAPE they do not fit; ATH_E_STATE they belong to different models. */
ATH_API ath_tensor *ath_add(ath_tensor *a, ath_tensor *b);
ATH_API ath_tensor *ath_subtract(ath_tensor *a, ath_tensor *b);
ATH_API ath_tensor *ath_multiply(ath_tensor *a, ath_tensor *b);
ATH_API ath_tensor *ath_average(ath_tensor *a, ath_tensor *b);
ATH_API ath_tensor *ath_maximum(ath_tensor *a, ath_tensor *b);
ATH_API ath_tensor *ath_minimum(ath_tensor *a, ath_tensor *b);

/** n tensors one after another along an axis; the other sizes must agree. */
typedef struct ath_concatenate_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t axis; /* -1; the batch is axis 0 */
} ath_concatenate_opts;
ATH_API ath_tensor *ath_concatenate_with(ath_tensor *const *in, int64_t n, const ath_concatenate_opts *opts);
#define ath_concatenate(in, n, ...)                                                                          \
    ath_concatenate_with((in), (n),                                                                          \
                         &(ath_concatenate_opts){.struct_size = sizeof(ath_concatenate_opts), __VA_ARGS__})

/** Activations as layers of their own; their options stand in athanor/activations.h. opts may be NULL. */
ATH_API ath_tensor *ath_relu_with(ath_tensor *x, const ath_relu_opts *opts);
ATH_API ath_tensor *ath_leaky_relu_with(ath_tensor *x, const ath_leaky_relu_opts *opts);
ATH_API ath_tensor *ath_elu_with(ath_tensor *x, const ath_elu_opts *opts);
ATH_API ath_tensor *ath_softmax_with(ath_tensor *x, const ath_softmax_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
