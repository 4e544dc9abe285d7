/* Options of the losses and metrics: Keras 3's names and defaults in snake case.
 *
 *     ath_spec loss = {"categorical_crossentropy", &(ath_crossentropy_opts){
 *                         .struct_size = sizeof(ath_crossentropy_opts), .label_smoothing = 0.1}};
 *
 * Zero means the default, unless `.exact = true`. `athanor list losses` and `athanor list metrics` print them all. */
#ifndef ATHANOR_LOSSES_H
#define ATHANOR_LOSSES_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How the losses of a batch's elements become one number. */
typedef enum ath_reduction {
    /* their sum over their number; sample weights multiply, and count nowhere else */
    ATH_SUM_OVER_BATCH_SIZE,
    ATH_SUM,                     /* their sum */
    ATH_MEAN_WITH_SAMPLE_WEIGHT, /* their sum over the sum of the sample weights */
} ath_reduction;

/** What all losses have; every struct below that a loss uses begins with these fields. */
typedef struct ath_loss_opts {
    size_t struct_size;
    bool exact;
    ath_reduction reduction; /* ATH_SUM_OVER_BATCH_SIZE */
} ath_loss_opts;

/** sparse_categorical_crossentropy (without label_smoothing), categorical_crossentropy, binary_crossentropy. */
typedef struct ath_crossentropy_opts {
    size_t struct_size;
    bool exact;
    ath_reduction reduction;
    bool from_logits; /* false: the model's output are probabilities. After a softmax or sigmoid the logits
                         are used anyway, which is the same number, safer and faster. */
    double label_smoothing; /* 0: targets become y (1 - s) + s / classes, or y (1 - s) + s / 2 for binary */
} ath_crossentropy_opts;

/** huber: quadratic up to |error| = delta, linear beyond. */
typedef struct ath_huber_opts {
    size_t struct_size;
    bool exact;
    ath_reduction reduction;
    double delta; /* 1 */
} ath_huber_opts;

/** binary_accuracy: a prediction above the threshold counts as 1. */
typedef struct ath_binary_accuracy_opts {
    size_t struct_size;
    bool exact;
    double threshold; /* 0.5 */
} ath_binary_accuracy_opts;

/** top_k_categorical_accuracy, sparse_top_k_categorical_accuracy. */
typedef struct ath_top_k_opts {
    size_t struct_size;
    bool exact;
    int64_t k; /* 5 */
} ath_top_k_opts;

#ifdef __cplusplus
}
#endif
#endif
