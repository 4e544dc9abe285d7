/* What the finished trials together say of a point: a Gaussian process over the first objective, in its units. For
 * questions that are not "where next": which trial is really the best, and whether anything is left to be gained. */
#ifndef ATHI_POSTERIOR_H
#define ATHI_POSTERIOR_H

#include "tune/acquisition.h"

typedef struct athi_posterior {
    const athi_view *view;
    athi_encoder encoder;
    athi_gp gp;
    double centre, scale; /* value = centre + scale * what the process models, which is minimised */
    double noise;         /* deviation of one trial's value around the function */
    double *row, *work;
    int64_t *trial; /* gp.n: the trials that it was fitted on, by their index in the view */
} athi_posterior;

/** Fits over complete trials, at most 200: the best and the latest. ATH_E_NOTFOUND without a sentence: fewer than
 * four, or nothing varies. */
ath_status athi_posterior_fit(ath_ctx *ctx, athi_arena *arena, const athi_view *view, athi_posterior *p);
/** Mean and deviation of the objective, noise not included, at a point. */
void athi_posterior_at(athi_posterior *p, const double *point, double *mean, double *deviation);
/** The trial whose posterior mean is best of those that the process was fitted on, by its index in the view: far from
 * them, where many trials left no room for others, a mean says little. */
ath_status athi_posterior_best(athi_posterior *p, int64_t *trial, double *mean, double *deviation);

#endif
