/* The kernel of the Gaussian process, a row against many points at a time (see gp.h): a dimension after the other over points
 * that lie side by side, and an exponential of our own, so that the compiler makes vector code of it. Compiled once per
 * instruction set (meson.build); nothing is reordered or contracted, so all give the same bits. */
#include "tune/gp_internal.h"

/* exp(-s) for 0 <= s <= FARTHEST, to an ulp or two: 2^k times the Taylor series up to half of ln 2 on either side, where its
 * remainder after the twelfth degree is below 2e-16. The halves of ln 2 are fdlibm's: k times the first is exact. */
static const double FARTHEST = 700; /* the result is still a normal number */
static inline double exp_minus(double s) {
    const double shift = 0x1.8p52; /* its sum with a small number has that number, rounded, in its lowest bits */
    const double log2e = 1.4426950408889634074, ln2_high = 0x1.62e42feep-1, ln2_low = 1.90821492927058770002e-10;
    double shifted = -s * log2e + shift, k = shifted - shift, r = -s - k * ln2_high - k * ln2_low,
           p = 1.0 / 479001600;
    uint64_t exponent, bits;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    memcpy(&exponent, &shifted, sizeof exponent);
    memcpy(&bits, &p, sizeof bits);
    bits += exponent << 52;
    memcpy(&p, &bits, sizeof p);
    return p;
}

static void matern(double signal, const double *r2, int64_t n, double *restrict value, double *restrict slope) {
    for (int64_t i = 0; i < n; i++) {
        double s = sqrt(5 * r2[i]);
        s = s < FARTHEST ? s : FARTHEST;
        double e = signal * exp_minus(s);
        slope[i] = -5.0 / 6 * (1 + s) * e;
        value[i] = (1 + s + s * s / 3) * e;
    }
}

/* ---- distances ------------------------------------------------------------------------------------------ */

/* What 1 / length^2 is multiplied with; *absent: one of the two values is. */
static double coefficient(athi_gp_dim dim, double a, double b, bool *absent) {
    bool no_a = isnan(a), no_b = isnan(b);
    *absent = no_a != no_b;
    if (no_a && no_b) return 0;
    if (*absent) return dim.category ? ATHI_GP_SIMPLEX_RADIUS : ATHI_GP_ARC_RADIUS;
    if (dim.category) return a != b;
    double delta = a - b;
    if (!dim.optional) return delta * delta;
    double s = sin(M_PI / 4 * delta);
    return 4 * ATHI_GP_ARC_RADIUS * s * s;
}

static void coefficients(athi_gp_dim dim, double a, const double *b, int64_t n, double *restrict c,
                         double *restrict absent) {
    bool one_is;
    if (!dim.optional && !dim.category)
        for (int64_t i = 0; i < n; i++) c[i] = (a - b[i]) * (a - b[i]);
    else if (!dim.optional)
        for (int64_t i = 0; i < n; i++) c[i] = a != b[i];
    else
        for (int64_t i = 0; i < n; i++) c[i] = coefficient(dim, a, b[i], &one_is), absent[i] = one_is;
}

/* ---- covariances ---------------------------------------------------------------------------------------- */

static void trend_products(const athi_gp *gp, const double *row, const double *columns, int64_t stride, int64_t n,
                           double *restrict product) {
    double scale = gp->trend_scale;
    for (int64_t i = 0; i < n; i++) product[i] = 1;
    for (int64_t j = 0; j < gp->d; j++) {
        if (!athi_gp_in_trend(gp->dims[j])) continue;
        const double *b = columns + j * stride;
        double z = 2 * row[j] - 1;
        for (int64_t i = 0; i < n; i++) product[i] += z * (2 * b[i] - 1);
    }
    for (int64_t i = 0; i < n; i++) product[i] /= scale;
}

static void distances(const athi_gp *gp, const double *row, const double *columns, int64_t stride, int64_t n,
                      double *restrict r2) {
    double c[ATHI_GP_BLOCK], absent[ATHI_GP_BLOCK] = {0};
    memset(r2, 0, (size_t)n * sizeof *r2);
    for (int64_t j = 0; j < gp->d; j++) {
        double weight = gp->weight[j], gap = gp->gap[j];
        coefficients(gp->dims[j], row[j], columns + j * stride, n, c, absent);
        for (int64_t i = 0; i < n; i++) r2[i] += weight * c[i];
        for (int64_t i = 0; gp->dims[j].optional && i < n; i++) r2[i] += gap * absent[i];
    }
}

static void covariances(const athi_gp *gp, const double *row, const double *warped_row, int64_t first, double *k,
                        double *slope, double *product) {
    double r2[ATHI_GP_BLOCK], slopes[ATHI_GP_BLOCK], products[ATHI_GP_BLOCK];
    for (int64_t from = first, n; from < gp->n; from += n) {
        n = ATHI_MIN(gp->n - from, ATHI_GP_BLOCK);
        distances(gp, warped_row, gp->warped + from, gp->n, n, r2);
        matern(gp->signal, r2, n, k + from, slope ? slope + from : slopes);
        if (!gp->has_trend) continue;
        double *p = product ? product + from : products;
        trend_products(gp, row, gp->columns + from, gp->n, n, p);
        for (int64_t i = 0; i < n; i++) k[from + i] += gp->trend * p[i] * p[i];
    }
}

const athi_gp_kernel ATHI_GP_KERNEL_INSTANCE = {matern, coefficients, distances, trend_products, covariances};
