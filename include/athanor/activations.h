/* Options of the activations that have any, of the initialisers and of the regularisers.
 *
 *     x = ath_dense(x, .units = 64, .activation = {"leaky_relu", &(ath_leaky_relu_opts){
 *                                       .struct_size = sizeof(ath_leaky_relu_opts), .negative_slope = 0.1}},
 *                   .kernel_regularizer = ATH_L2(0.001));
 *
 * Names, defaults and equations are those of Keras 3; `athanor list activations` prints them. Zero means the
 * default unless `.exact = true`. */
#ifndef ATHANOR_ACTIVATIONS_H
#define ATHANOR_ACTIVATIONS_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** relu: x from threshold to max_value, negative_slope (x - threshold) below. */
typedef struct ath_relu_opts {
    size_t struct_size;
    bool exact;
    const char *name;      /* of the layer, where it is one */
    double negative_slope; /* 0 */
    double max_value;      /* 0: no bound */
    double threshold;      /* 0 */
} ath_relu_opts;

/** leaky_relu: x above 0, negative_slope x below. */
typedef struct ath_leaky_relu_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double negative_slope; /* 0.2 as an activation, 0.3 as a layer */
} ath_leaky_relu_opts;

/** elu: alpha (exp(x) - 1) below 0; celu: alpha (exp(x / alpha) - 1). */
typedef struct ath_elu_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    double alpha; /* 1 */
} ath_elu_opts;

/** gelu: exact, or by tanh. */
typedef struct ath_gelu_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    bool approximate;
} ath_gelu_opts;

/** softmax, log_softmax. */
typedef struct ath_softmax_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t axis; /* -1; the batch is axis 0 */
} ath_softmax_opts;

/* ---- initialisers -------------------------------------------------------------------------------- */

/** constant: every element is `value` (0). */
typedef struct ath_constant_opts {
    size_t struct_size;
    bool exact;
    double value;
} ath_constant_opts;

/** random_uniform in [minval, maxval). */
typedef struct ath_random_uniform_opts {
    size_t struct_size;
    bool exact;
    double minval; /* -0.05 */
    double maxval; /* 0.05 */
} ath_random_uniform_opts;

/** random_normal; truncated_normal draws again beyond two standard deviations. */
typedef struct ath_random_normal_opts {
    size_t struct_size;
    bool exact;
    double mean;   /* 0 */
    double stddev; /* 0.05 */
} ath_random_normal_opts;

/** variance_scaling: variance scale / n, where n is the number that `mode` names. */
typedef struct ath_variance_scaling_opts {
    size_t struct_size;
    bool exact;
    double scale;     /* 1 */
    int mode;         /* 0 fan_in, 1 fan_out, 2 fan_avg */
    int distribution; /* 0 truncated_normal, 1 untruncated_normal, 2 uniform */
} ath_variance_scaling_opts;

/** orthogonal, identity: times gain (1). */
typedef struct ath_gain_opts {
    size_t struct_size;
    bool exact;
    double gain;
} ath_gain_opts;

/* ---- regularisers -------------------------------------------------------------------------------- */

/** l1: l1 Σ|w|. */
typedef struct ath_l1_opts {
    size_t struct_size;
    bool exact;
    double l1; /* 0.01 */
} ath_l1_opts;
/** l2: l2 Σw². */
typedef struct ath_l2_opts {
    size_t struct_size;
    bool exact;
    double l2; /* 0.01 */
} ath_l2_opts;
/** l1_l2: both, 0 each by default. */
typedef struct ath_l1_l2_opts {
    size_t struct_size;
    bool exact;
    double l1, l2;
} ath_l1_l2_opts;
#define ATH_L1(factor) ((ath_spec){"l1", &(ath_l1_opts){.struct_size = sizeof(ath_l1_opts), .l1 = (factor)}})
#define ATH_L2(factor) ((ath_spec){"l2", &(ath_l2_opts){.struct_size = sizeof(ath_l2_opts), .l2 = (factor)}})

#ifdef __cplusplus
}
#endif
#endif
