/* Gaussian process regression over mixed, conditional inputs.
 *
 * k(a, b) = signal * Matern 5/2 of r + trend * ((1 + z_a . z_b) / (1 + m / 3))^2,  r^2 = sum over dimensions of
 *     both absent      0
 *     numeric          (a - b)^2 / length^2; for one that may be absent the chord of an arc of a right angle,
 *                      (16 / pi^2) sin^2(pi (a - b) / 4) / length^2
 *     category         1 / length^2 if the branches differ
 *     one is absent    radius / length^2 + gap, with `gap` learned
 * where `radius` is that of the arc (4 / pi^2) or of the simplex of the branches (at most 1/2). Absence is
 * thus the centre of what the values lie on, lifted by `gap`: distances in a Euclidean space, so the kernel
 * is positive definite (Swersky et al. 2014, "Raiders of the lost architecture").
 *
 * The trend, which athi_gp_add_trend asks for, is a polynomial of the second degree over the m numbers that always exist,
 * z = 2 u - 1: bowls and ridges that lie askew, which lengths along the axes would need many points for (universal
 * kriging: Rasmussen & Williams 2006, 2.7, as a prior of finite variance).
 *
 * Hyperparameters are the maximum a posteriori under length ~ LogNormal(sqrt 2 + ln(d) / 2, sqrt 3) (Hvarfner
 * et al. 2024), signal ~ Gamma(2, 1), noise ~ LogNormal(-4, 1), gap and trend ~ LogNormal. All of them as logarithms in
 * `theta`: lengths, gaps of the dimensions that may be absent, signal, noise, trend if there is one, shapes of the warps
 * if there are any. */
#ifndef ATHI_GP_H
#define ATHI_GP_H

#include "base/base.h"

typedef struct athi_gp_dim {
    bool category, optional;
} athi_gp_dim;

typedef struct athi_gp {
    const struct athi_gp_kernel *kernel; /* vector code for this processor */
    const athi_gp_dim *dims;
    int64_t d, n, n_gaps, n_theta;
    const double *x; /* n rows of d, NaN: absent; a category's branch number; a numeric's unit value */
    const double *y; /* n */
    double mean;     /* of the prior */
    bool has_trend, has_warp;
    double trend_scale; /* 1 + m / 3 */
    double *theta;
    /* made by athi_gp_condition: */
    double *weight, *gap; /* per dimension: 1 / length^2, gap */
    double signal, noise, trend;
    double *shape;                         /* per dimension: a and b of its warp */
    double *columns, *warped, *warped_row; /* x, a dimension after the other; as it is warped; room for two rows */
    double *factor;                        /* Cholesky, column by column, lower */
    double *inverse;                       /* of the covariance of y, both triangles */
    double *alpha;                         /* inverse * (y - mean) */
} athi_gp;

/** x and y are borrowed. theta starts at the prior's mode. */
ath_status athi_gp_create(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                          int64_t n, double mean, athi_gp *gp);
/** To a process that was just created. */
void athi_gp_add_trend(athi_gp *gp);
/** Likewise: numbers that always exist are warped for the Matern part (gp_input.h). */
void athi_gp_add_warp(athi_gp *gp);
/** Finds theta. `noise_floor`: the least noise variance; `shortest`: the least length. `starts` >= 1,
 * `evaluations` of each at most. */
ath_status athi_gp_fit(ath_ctx *ctx, athi_arena *arena, athi_gp *gp, double noise_floor, double shortest, int starts,
                       int evaluations);
/** Factorises for the present theta. ATH_E_FAILED if the covariance is not positive definite even with jitter. */
ath_status athi_gp_condition(ath_ctx *ctx, athi_arena *arena, athi_gp *gp);

/** Weights, gaps, signal, noise, trend and shapes from theta; a process that was conditioned has them. */
void athi_gp_read_theta(athi_gp *gp);
/** Squared distance of two rows in lengths; of a process that has read its theta. */
double athi_gp_distance(const athi_gp *gp, const double *a, const double *b);
/** inverse * each of m vectors of n, in place; for a process of mean 0. */
void athi_gp_solve(const athi_gp *gp, double *vectors, int m);
/** Mean and variance (of the function, without noise) at m rows; work: n * m doubles. */
void athi_gp_predict(const athi_gp *gp, const double *rows, int64_t m, double *mean, double *variance, double *work);
/** Means by `n_alphas` other vectors alpha (n apart), all means of a row side by side, and the variance. */
void athi_gp_predict_with(const athi_gp *gp, const double *alphas, int n_alphas, const double *rows, int64_t m,
                          double *means, double *variance, double *work);
/** One row, and the derivatives by the dimensions free[0..n_free) (numeric and present); work: 4 * n doubles. */
void athi_gp_gradient(const athi_gp *gp, const double *row, const int *free, int n_free, double *mean,
                      double *variance, double *d_mean, double *d_variance, double *work);

/* ---- for fits in turn, and for tests --------------------------------------------------------------------- */

typedef struct athi_gp_pairs {
    int64_t n;                  /* pairs of points: 0 with 1, 0 with 2, ... */
    double *coefficient;        /* per dimension, of each pair: what 1 / length^2 is multiplied with */
    double *absent;             /* per optional dimension, of each pair: 1 if absent in one of the two */
    double *trend, *trend_self; /* per pair, per point: what `trend` is multiplied with; NULL: there is none */
    double *bent; /* what is warped: a dimension after the other, and two columns of scratch; NULL: nothing is */
    double *slope, *covariance, *by_covariance, *matrix, *alpha; /* scratch */
} athi_gp_pairs;
ath_status athi_gp_pairs_create(athi_arena *arena, const athi_gp *gp, athi_gp_pairs *pairs);
/** As athi_gp_fit, with pairs that several fits on the same rows share. *loss: the negative log posterior, without constants
 * that do not depend on y. */
ath_status athi_gp_fit_pairs(ath_ctx *ctx, athi_arena *arena, athi_gp *gp, const athi_gp_pairs *pairs,
                             double noise_floor, double shortest, int starts, int evaluations, double *loss);
/** Negative log posterior at theta, and its gradient (n_theta); infinity where it cannot be factorised. */
double athi_gp_objective(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta, double *gradient);

#endif
