/* Input warping: a number's place u in the unit interval becomes w(u) = 1 - (1 - v^a)^b, the distribution function of
 * Kumaraswamy, with a and b learned per dimension (Snoek et al. 2014, "Input warping for Bayesian optimization of
 * non-stationary functions"). a = b = 1 leaves it nearly as it is. */
#ifndef ATHI_GP_INPUT_H
#define ATHI_GP_INPUT_H

#include "tune/gp.h"

/** w(u); *slope: its derivative by u. */
double athi_gp_bend(double u, const double shape[2], double *slope);
/** Its derivatives by the logarithms of a and b. */
void athi_gp_bend_by_shape(double u, const double shape[2], double by_shape[2]);

/* For gp_fit.c, where a process has `has_warp`; theta has two logarithms a warped dimension, in their order. */
/** Recomputes the coefficients of what is warped. */
void athi_gp_bend_pairs(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta);
/** The likelihood's gradient by the shapes; by_distance: that by the squared distance of each pair. Overwrites
 * pairs->matrix. */
void athi_gp_bend_gradient(const athi_gp *gp, const athi_gp_pairs *pairs, const double *by_distance,
                           double *gradient);

#endif
