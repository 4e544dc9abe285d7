/* The first points of a study: the default, then a Latin hypercube over the priors. */
#ifndef ATHI_DESIGN_H
#define ATHI_DESIGN_H

#include "tune/sampler_internal.h"

/** How many points before a model of `dims` dimensions: one more than the dimensions, 6 to 20, enough to meet each branch
 * with parameters of its own twice, and at most a fifth of the budget (but 3). */
int64_t athi_design_size(const athi_view *view, int64_t dims);
/** Point number view->trial of n; beyond the n-th the next hypercube begins. */
ath_status athi_design_point(athi_arena *arena, const athi_view *view, int64_t n, athi_rng *rng, double *point);

#endif
