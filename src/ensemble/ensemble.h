/* Ensembles: predictions of several models on the same samples -> weights. Knows nothing of models or training. */
#ifndef ATHI_ENSEMBLE_H
#define ATHI_ENSEMBLE_H

#include "base/options.h"
#include "base/philox.h"

/* Predictions of `members` models: p[m] is [n, classes] float32. labels: class numbers [n], or NULL with
 * targets [n, classes] for regression (then the score is the mean squared error). */
typedef struct athi_members {
    int n_members;
    const float *const *p;
    int64_t n, classes;
    const int32_t *labels;
    const float *targets;
} athi_members;

typedef struct athi_ensemble_score {
    double loss;     /* cross-entropy or mean squared error */
    double accuracy; /* NaN for regression */
} athi_ensemble_score;

/** impl of a method row: weights [n_members], non-negative, sum 1, learned on these (validation) predictions only. */
typedef struct athi_ensemble_impl {
    ath_status (*learn)(ath_ctx *ctx, const void *opts, const athi_members *members, uint64_t seed, double *weights);
    bool geometric; /* combine log-probabilities instead of probabilities */
} athi_ensemble_impl;
/* rows: average, geometric, weighted (Nelder-Mead from NLopt after a random search on the simplex), random_search */
extern const athi_kind athi_ensembles;

/** Combined predictions out [n, classes]. */
void athi_ensemble_combine(const athi_members *members, const double *weights, bool geometric, float *out);
athi_ensemble_score athi_ensemble_evaluate(const athi_members *members, const float *predictions);
/** What each member adds: the ensemble's score without it (the other weights made to sum to one; equal ones where it
 * had all the weight; NaN for the only member). */
ath_status athi_ensemble_contributions(ath_ctx *ctx, const athi_members *members, const double *weights,
                                       bool geometric, double *loss_without, double *accuracy_without);

#endif
