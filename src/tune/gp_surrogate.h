/* What the samplers with a Gaussian process know of a study: a process for the values, one for failures, one for each
 * constraint that trials told, and the acquisition over all of them.
 *
 *   failed         crash, memory, timeout, nan: labels of a process of their own; lost ones say nothing
 *   constraints    the probability that each lies at or below 0
 *   running        what they may give is drawn several times from the model: suggestions keep apart, and reckon with it
 *   many trials    hyperparameters from 120 of them, the posterior from 500: the best and the latest
 *   turns          the values as they are, or warped as the likelihood asks for; all trials, or those around the best */
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

/* How a suggestion looks at the values. No way of looking is the best on every problem or shows in time that it is not, so
 * they take turns. */
typedef struct athi_gp_turn {
    bool warped; /* values may be warped (gp_warp.h), where that makes them likelier */
    bool local;  /* only the trials around the best one are modelled, and the search stays among them */
} athi_gp_turn;
/** Which turn it is, by the trial's number. */
athi_gp_turn athi_gp_turn_of(const athi_view *view);

/** ATH_E_FAILED: a covariance cannot be factorised. */
ath_status athi_gp_surrogate_fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, athi_gp_turn turn,
                                 const athi_observed *seen, athi_gp_surrogate *s);
/** The best untried point that a search from draws and the best trials finds. *found false: there is none. */
ath_status athi_gp_surrogate_search(ath_ctx *ctx, athi_arena *arena, athi_gp_surrogate *s, athi_rng *rng,
                                    double *point, bool *found);

#endif
