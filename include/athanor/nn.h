/* Layers: functions that append to a model.
 *
 *     ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28, 1));
 *     x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
 *     x = ath_flatten(x);
 *     x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
 *
 * Layers, options, defaults and semantics are those of Keras 3 in snake case. A zero option means its default, unless
 * `.exact = true` takes every field as written. Option structs only grow at their end.
 * After an error a call returns a poison that later calls pass on; ath_model_compile reports the first error. */
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
    const char *name;             /* NULL: "dense", "dense_1", … */
    int64_t units;                /* required, >= 1 */
    ath_spec activation;          /* none */
    ath_switch use_bias;          /* on */
    ath_spec kernel_initializer;  /* glorot_uniform */
    ath_spec bias_initializer;    /* zeros */
    ath_spec kernel_regularizer;  /* none */
    ath_spec bias_regularizer;    /* none */
} ath_dense_opts;
ATH_API ath_tensor *ath_dense_with(ath_tensor *x, const ath_dense_opts *opts);
#define ath_dense(x, ...) ath_dense_with((x), &(ath_dense_opts){.struct_size = sizeof(ath_dense_opts), __VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
