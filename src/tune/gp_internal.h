/* Between the process and its fit. */
#ifndef ATHI_GP_INTERNAL_H
#define ATHI_GP_INTERNAL_H

#include "tune/gp.h"

#include <math.h>

#define ATHI_GP_ARC_RADIUS     (4 / (M_PI * M_PI))
#define ATHI_GP_SIMPLEX_RADIUS 0.5

/** Matern 5/2 of a squared distance, and its derivative by that. */
static inline double athi_matern(double r2, double *slope) {
    double s = sqrt(5 * r2), e = exp(-s);
    *slope = -5.0 / 6 * (1 + s) * e;
    return (1 + s + 5.0 / 3 * r2) * e;
}

double athi_gp_coefficient(athi_gp_dim dim, double a, double b, bool *absent);
/** What `trend` is multiplied with. */
double athi_gp_trend(const athi_gp *gp, const double *a, const double *b);
/** Places in theta. */
static inline int64_t athi_gp_at_signal(const athi_gp *gp) { return gp->d + gp->n_gaps; }
static inline int64_t athi_gp_at_noise(const athi_gp *gp) { return gp->d + gp->n_gaps + 1; }
static inline int64_t athi_gp_at_trend(const athi_gp *gp) { return gp->d + gp->n_gaps + 2; }
void athi_gp_prior_mode(const athi_gp *gp, double *theta);

#endif
