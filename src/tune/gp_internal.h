/* Between the process, its kernel and its fit. */
#ifndef ATHI_GP_INTERNAL_H
#define ATHI_GP_INTERNAL_H

#include "tune/gp.h"

#include <math.h>

#define ATHI_GP_ARC_RADIUS     (4 / (M_PI * M_PI))
#define ATHI_GP_SIMPLEX_RADIUS 0.5
enum { ATHI_GP_BLOCK = 128 }; /* points at a time: what is computed for them stays in the nearest cache */

/* What is computed of many points at a time. Points lie as columns: a dimension after the other, `stride` apart. */
typedef struct athi_gp_kernel {
    /** signal * Matern 5/2 of n squared distances, and its derivatives by them. */
    void (*matern)(double signal, const double *r2, int64_t n, double *restrict value, double *restrict slope);
    /** Of one dimension, between a value and n others: what 1 / length^2 is multiplied with; of an optional one (else NULL), 1 where
     * one of the two is absent. */
    void (*coefficients)(athi_gp_dim dim, double a, const double *b, int64_t n, double *restrict c,
                         double *restrict absent);
    /** Squared, in lengths, between a row and at most ATHI_GP_BLOCK points. */
    void (*distances)(const athi_gp *gp, const double *row, const double *columns, int64_t stride, int64_t n,
                      double *restrict r2);
    /** (1 + z_a . z_b) / (1 + m / 3), about 1 at random points, for a row and n points. */
    void (*trend_products)(const athi_gp *gp, const double *row, const double *columns, int64_t stride, int64_t n,
                           double *restrict product);
    /** Of a process that was conditioned: covariances of a row with its points from `first` on, k[first] and so on. NULL or
     * written likewise: the Matern part's derivatives by the squared distances, the trend's products. */
    void (*covariances)(const athi_gp *gp, const double *row, const double *warped_row, int64_t first, double *k,
                        double *slope, double *product);
} athi_gp_kernel;
extern const athi_gp_kernel athi_gp_kernel_baseline, athi_gp_kernel_avx2, athi_gp_kernel_avx512;

/** Numbers that always exist: the trend is over them, and they may be warped. */
static inline bool athi_gp_in_trend(athi_gp_dim dim) { return !dim.category && !dim.optional; }

/** Cholesky factor (n by n, column by column, lower) to the inverse of what was factorised, both triangles. */
void athi_gp_invert(double *factor, int64_t n);

/** Places in theta. */
static inline int64_t athi_gp_at_signal(const athi_gp *gp) { return gp->d + gp->n_gaps; }
static inline int64_t athi_gp_at_noise(const athi_gp *gp) { return gp->d + gp->n_gaps + 1; }
static inline int64_t athi_gp_at_trend(const athi_gp *gp) { return gp->d + gp->n_gaps + 2; }
static inline int64_t athi_gp_at_warp(const athi_gp *gp) { return athi_gp_at_trend(gp) + gp->has_trend; }
void athi_gp_prior_mode(const athi_gp *gp, double *theta);

#endif
