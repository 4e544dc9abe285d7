/* What the samplers with a Gaussian process know of a study: a process for the values, one for failures, one for each
 * constraint that trials told, and the acquisition over all of them.
 *
 *   failed         crash, memory, timeout, nan: labels of a process of their own; lost ones say nothing
 *   constraints    the probability that each lies at or below 0
 *   running        what they may give is drawn several times from the model: suggestions keep apart, and reckon with it
 *   many trials    hyperparameters from MOST_FITTED of them, the posterior from MOST_MODELLED: the best and the latest */
#ifndef ATHI_GP_SURROGATE_H
#define ATHI_GP_SURROGATE_H

#include "tune/acquisition.h"
#include "tune/observed.h"

typedef struct athi_gp_surrogate {
    const athi_observed *seen;
    athi_gp value;
    athi_acquisition acquisition;
    int64_t n;         /* finished trials in `value`; believed ones follow */
    int64_t *chosen;   /* which of the observed ones they are */
    double *log_score; /* of each, as predicted by the others */
    double *mean;      /* posterior mean at each */
} athi_gp_surrogate;

/** ATH_E_FAILED: a covariance cannot be factorised. */
ath_status athi_gp_surrogate_fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                                 const athi_observed *seen, athi_gp_surrogate *s);
/** The best untried point that a search from draws and the best trials finds. *found false: there is none. */
ath_status athi_gp_surrogate_search(ath_ctx *ctx, athi_arena *arena, athi_gp_surrogate *s, athi_rng *rng,
                                    double *point, bool *found);

#endif
