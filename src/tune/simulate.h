/* A search on a simulated clock: recorded learning curves stand for the trainings, so that what a sampler, a scheduler and
 * so many workers would have done in hours is known in seconds. It drives a search as runner.h does, with an event for
 * each step of each worker in place of processes. */
#ifndef ATHI_SIMULATE_H
#define ATHI_SIMULATE_H

#include "tune/search.h"

typedef struct athi_curve {
    const double *point;  /* in the search's space */
    const double *values; /* the objective after each step; not finite from where the training failed */
    double seconds;       /* of one step, >= 0 */
    int64_t row;          /* what it is called */
} athi_curve;

typedef struct athi_simulate_opts {
    athi_search *search; /* of at most n_curves trials of one execution; its points become the curves' */
    const athi_space *space;
    const char *objective;
    bool maximize;
    const athi_curve *curves;
    int64_t n_curves, steps; /* of each curve */
    int64_t workers;
    double *clock;                   /* the search's, which this moves; or NULL */
    const volatile int *interrupted; /* or NULL */
} athi_simulate_opts;

typedef struct athi_improvement {
    int64_t steps;  /* of all workers together */
    double seconds; /* of the simulated clock */
    double value;   /* the best report so far */
} athi_improvement;

typedef struct athi_simulated {
    int64_t steps;
    double seconds;         /* when the last worker had ended */
    const athi_curve *best; /* the one with the best report, NULL: there was none */
    athi_improvement *improvements;
    int64_t n_improvements;
    const char *why; /* the search ended */
} athi_simulated;

/** Until the search is done. A new trial takes the nearest curve that none has taken, equal ones in their order; a step takes
 *  the curve's seconds, and who is due at the same time goes in the order of beginnings. The result lies in the arena. */
ath_status athi_simulate(ath_ctx *ctx, athi_arena *arena, const athi_simulate_opts *opts, athi_simulated *out);

#endif
