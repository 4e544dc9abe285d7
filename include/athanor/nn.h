/* Layers: functions that append to a model.
 *
 *     ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28, 1));
 *     x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
 *     x = ath_flatten(x);
 *     x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
 *
 * Layers, options, defaults and semantics are those of Keras 3 in snake case. A zero option means its
 * default, unless
 * `.exact = true` takes every field as written. Option structs only grow at their end.
 * After an error a call returns a poison that later calls pass on; ath_model_compile reports the first error.
 */
#ifndef ATHANOR_NN_H
#define ATHANOR_NN_H

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
 *  1 / (1 - rate); otherwise nothing happens. x of any shape. Which values is a function of (seed, step,
 * layer). */
typedef struct ath_dropout_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double rate; /* required, 0 to 1 */
} ath_dropout_opts;
ATH_API ath_tensor *ath_dropout_with(ath_tensor *x, const ath_dropout_opts *opts);
#define ath_dropout(x, ...)                                                                                  \
    ath_dropout_with((x), &(ath_dropout_opts){.struct_size = sizeof(ath_dropout_opts), __VA_ARGS__})

/** x [batch, a, b, ...] -> [batch, a * b * ...], row-major. Errors: ATH_E_SHAPE a size behind the batch
 * varies. */
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

#ifdef __cplusplus
}
#endif
#endif
