/* Bounds of hyperparameters, and draws from their posterior instead of its maximum. */
#ifndef ATHI_GP_SAMPLE_H
#define ATHI_GP_SAMPLE_H

#include "base/philox.h"
#include "tune/gp.h"

typedef struct athi_gp_bounds {
    double *low, *high; /* of theta */
} athi_gp_bounds;
ath_status athi_gp_bounds_create(athi_arena *arena, const athi_gp *gp, double noise_floor, double shortest,
                                 athi_gp_bounds *bounds);

/** `count` thetas, a sweep of slice sampling apart, begun at the process's own. */
ath_status athi_gp_sample(athi_arena *arena, const athi_gp *gp, const athi_gp_pairs *pairs,
                          const athi_gp_bounds *bounds, athi_rng *rng, int64_t count, double **thetas);

#endif
