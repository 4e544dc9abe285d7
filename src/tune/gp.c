/* The Gaussian process: conditioning, predictions and their gradients (see gp.h). */
#include "tune/gp.h"
#include "tune/gp_input.h"
#include "tune/gp_internal.h"
#include "backends/cpu/kernels.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

static const athi_gp_kernel *kernel_here(void) {
    static const athi_gp_kernel *const kernels[] = {[ATHI_CPU_BASELINE] = &athi_gp_kernel_baseline,
                                                    [ATHI_CPU_AVX2] = &athi_gp_kernel_avx2,
                                                    [ATHI_CPU_AVX512] = &athi_gp_kernel_avx512};
    return kernels[athi_cpu_best_isa()];
}

ath_status athi_gp_create(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                          int64_t n, double mean, athi_gp *gp) {
    *gp = (athi_gp){.dims = dims, .d = d, .n = n, .x = x, .y = y, .mean = mean, .kernel = kernel_here()};
    for (int64_t j = 0; j < d; j++) gp->n_gaps += dims[j].optional;
    gp->trend_scale = 1;
    for (int64_t j = 0; j < d; j++) gp->trend_scale += athi_gp_in_trend(dims[j]) ? 1.0 / 3 : 0;
    gp->n_theta = d + gp->n_gaps + 2;
    gp->theta = athi_arena_array(arena, gp->n_theta + 1 + 2 * d, /* a trend, warps */ sizeof *gp->theta);
    gp->weight = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->weight);
    gp->gap = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->gap);
    gp->shape = athi_arena_array(arena, ATHI_MAX(2 * d, 1), sizeof *gp->shape);
    gp->warped_row = athi_arena_array(arena, ATHI_MAX(2 * d, 1), sizeof *gp->warped_row);
    if (!gp->theta || !gp->weight || !gp->gap || !gp->shape || !gp->warped_row) return ATH_E_NOMEM;
    athi_gp_prior_mode(gp, gp->theta);
    return ATH_OK;
}

void athi_gp_add_trend(athi_gp *gp) {
    gp->has_trend = true;
    gp->n_theta++;
    athi_gp_prior_mode(gp, gp->theta);
}

void athi_gp_add_warp(athi_gp *gp) {
    gp->has_warp = true;
    for (int64_t j = 0; j < gp->d; j++) gp->n_theta += 2 * athi_gp_in_trend(gp->dims[j]);
    athi_gp_prior_mode(gp, gp->theta);
}

/* A row as the Matern part sees it; `room`, which is the process's own, where something is warped. */
static const double *warp_row(const athi_gp *gp, const double *row, double *room) {
    double slope;
    if (!gp->has_warp) return row;
    for (int64_t j = 0; j < gp->d; j++)
        room[j] = athi_gp_in_trend(gp->dims[j]) ? athi_gp_bend(row[j], gp->shape + 2 * j, &slope) : row[j];
    return room;
}

double athi_gp_distance(const athi_gp *gp, const double *a, const double *b) {
    double r2;
    const double *wa = warp_row(gp, a, gp->warped_row), *wb = warp_row(gp, b, gp->warped_row + gp->d);
    gp->kernel->distances(gp, wa, wb, 1, 1, &r2);
    return r2;
}

static void covariances(const athi_gp *gp, const double *row, int64_t first, double *k, double *slope,
                        double *product) {
    gp->kernel->covariances(gp, row, warp_row(gp, row, gp->warped_row), first, k, slope, product);
}

static double trend_at(const athi_gp *gp, const double *row) {
    double product;
    if (!gp->has_trend) return 0;
    gp->kernel->trend_products(gp, row, row, 1, 1, &product);
    return gp->trend * product * product;
}

static double prior_variance(const athi_gp *gp, const double *row) { return gp->signal + trend_at(gp, row); }

void athi_gp_read_theta(athi_gp *gp) {
    const double *t = gp->theta + gp->d;
    for (int64_t j = 0; j < gp->d; j++) {
        gp->weight[j] = exp(-2 * gp->theta[j]);
        gp->gap[j] = gp->dims[j].optional ? exp(*t++) : 0;
    }
    gp->signal = exp(t[0]);
    gp->noise = exp(t[1]);
    gp->trend = gp->has_trend ? exp(t[2]) : 0;
    t = gp->theta + athi_gp_at_warp(gp);
    for (int64_t j = 0; gp->has_warp && j < gp->d; j++)
        if (athi_gp_in_trend(gp->dims[j])) gp->shape[2 * j] = exp(*t++), gp->shape[2 * j + 1] = exp(*t++);
}

/* ---- conditioning -------------------------------------------------------------------------------------- */

static bool factorise(athi_gp *gp, double jitter) {
    int64_t n = gp->n;
    for (int64_t j = 0; j < n; j++) {
        const double *row = gp->x + j * gp->d;
        covariances(gp, row, j + 1, gp->factor + j * n, NULL, NULL);
        gp->factor[j * n + j] = prior_variance(gp, row) + gp->noise + jitter;
    }
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, gp->factor, (lapack_int)n) == 0;
}

/* Of a lower triangle within a matrix of `stride` rows, by halves: so most of it is products of matrices, where dtrtri goes
 * column by column. */
static void invert_triangle(double *a, int64_t n, int64_t stride) {
    enum { SMALL = 16 };
    if (n <= SMALL) {
        LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'L', 'N', (lapack_int)n, a, (lapack_int)stride);
        return;
    }
    int64_t half = n / 2, rest = n - half;
    double *below = a + half, *corner = a + half * stride + half;
    invert_triangle(a, half, stride);
    invert_triangle(corner, rest, stride);
    cblas_dtrmm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)rest, (int)half, -1, corner,
                (int)stride, below, (int)stride);
    cblas_dtrmm(CblasColMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, (int)rest, (int)half, 1, a,
                (int)stride, below, (int)stride);
}

void athi_gp_invert(double *factor, int64_t n) {
    invert_triangle(factor, n, n);
    LAPACKE_dlauum_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, factor, (lapack_int)n);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++) factor[i * n + j] = factor[j * n + i];
}

static ath_status read_columns(athi_arena *arena, athi_gp *gp) {
    int64_t n = gp->n, d = gp->d;
    gp->columns = gp->warped = athi_arena_array(arena, ATHI_MAX(n * d, 1), sizeof *gp->columns);
    if (gp->has_warp) gp->warped = athi_arena_array(arena, ATHI_MAX(n * d, 1), sizeof *gp->warped);
    if (!gp->columns || !gp->warped) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        const double *row = gp->x + i * d, *bent = warp_row(gp, row, gp->warped_row);
        for (int64_t j = 0; j < d; j++) gp->columns[j * n + i] = row[j], gp->warped[j * n + i] = bent[j];
    }
    return ATH_OK;
}

ath_status athi_gp_condition(ath_ctx *ctx, athi_arena *arena, athi_gp *gp) {
    int64_t n = gp->n, cells;
    if (!athi_mul(n, n, &cells) || n > INT32_MAX) return athi_nomem(ctx, INT64_MAX);
    gp->factor = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof *gp->factor);
    gp->inverse = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof *gp->inverse);
    gp->alpha = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *gp->alpha);
    if (!gp->factor || !gp->inverse || !gp->alpha) return ATH_E_NOMEM;
    athi_gp_read_theta(gp);
    ATH_TRY(read_columns(arena, gp));
    if (n == 0) return ATH_OK;
    double jitter = 0;
    for (int tries = 0; !factorise(gp, jitter); tries++) {
        if (tries == 8)
            return athi_fail(ctx, ATH_E_FAILED,
                             "gaussian process: the covariance of %lld points cannot be factorised", (long long)n);
        jitter = jitter > 0 ? 10 * jitter : 1e-8 * gp->signal;
    }
    memcpy(gp->inverse, gp->factor, (size_t)cells * sizeof *gp->inverse);
    athi_gp_invert(gp->inverse, n);
    for (int64_t i = 0; i < n; i++) gp->alpha[i] = gp->y[i] - gp->mean;
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, 1, gp->factor, (lapack_int)n, gp->alpha, (lapack_int)n);
    return ATH_OK;
}

void athi_gp_solve(const athi_gp *gp, double *vectors, int m) {
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', (lapack_int)gp->n, m, gp->factor, (lapack_int)gp->n, vectors,
                        (lapack_int)gp->n);
}

/* ---- predictions --------------------------------------------------------------------------------------- */

static double clip_variance(const athi_gp *gp, double v) { return fmax(v, 1e-10 * gp->signal); }

void athi_gp_predict(const athi_gp *gp, const double *rows, int64_t m, double *mean, double *variance, double *work) {
    athi_gp_predict_with(gp, gp->alpha, 1, rows, m, mean, variance, work);
}

void athi_gp_predict_with(const athi_gp *gp, const double *alphas, int n_alphas, const double *rows, int64_t m,
                          double *means, double *variance, double *work) {
    int n = (int)gp->n, count = (int)m;
    for (int64_t k = 0; k < m * n_alphas; k++) means[k] = gp->mean;
    for (int64_t k = 0; k < m; k++) {
        covariances(gp, rows + k * gp->d, 0, work + k * n, NULL, NULL);
        variance[k] = prior_variance(gp, rows + k * gp->d);
    }
    if (n > 0 && m > 0) {
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, n_alphas, count, n, 1, alphas, n, work, n, 1, means,
                    n_alphas);
        cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, n, count, 1, gp->factor, n,
                    work, n);
    }
    for (int64_t k = 0; k < m; k++)
        variance[k] = clip_variance(gp, variance[k] - cblas_ddot(n, work + k * n, 1, work + k * n, 1));
}

/* Half the derivative of the coefficient by its first value. */
static double half_derivative(athi_gp_dim dim, double a, double b) {
    if (isnan(b)) return 0;
    return dim.optional ? 2 / M_PI * sin(M_PI / 2 * (a - b)) : a - b;
}

/* Derivatives of the covariances of a row with all points by its number j. */
static void slopes_by(const athi_gp *gp, const double *row, int j, const double *slope, const double *product,
                      double *restrict dk) {
    const double *other = gp->columns + j * gp->n, *warped = gp->warped + j * gp->n;
    double a = row[j], weight = 2 * gp->weight[j], bend = 1;
    athi_gp_dim dim = gp->dims[j];
    if (dim.optional) {
        for (int64_t i = 0; i < gp->n; i++) dk[i] = weight * slope[i] * half_derivative(dim, a, other[i]);
        return;
    }
    if (gp->has_warp) a = athi_gp_bend(a, gp->shape + 2 * j, &bend);
    for (int64_t i = 0; i < gp->n; i++) dk[i] = weight * bend * slope[i] * (a - warped[i]);
    double by_product = gp->has_trend ? 4 * gp->trend / gp->trend_scale : 0;
    for (int64_t i = 0; gp->has_trend && i < gp->n; i++) dk[i] += by_product * product[i] * (2 * other[i] - 1);
}

/* Derivative of the trend's variance at a row. */
static double trend_slope(const athi_gp *gp, const double *row, int j) {
    double product;
    if (!gp->has_trend || gp->dims[j].optional) return 0;
    gp->kernel->trend_products(gp, row, row, 1, 1, &product);
    return 8 * gp->trend * product * (2 * row[j] - 1) / gp->trend_scale;
}

void athi_gp_gradient(const athi_gp *gp, const double *row, const int *free, int n_free, double *mean,
                      double *variance, double *d_mean, double *d_variance, double *work) {
    int n = (int)gp->n;
    double *k = work, *slope = work + n, *v = work + 2 * n, *product = work + 3 * n;
    covariances(gp, row, 0, k, slope, product);
    if (n > 0) cblas_dsymv(CblasColMajor, CblasLower, n, 1, gp->inverse, n, k, 1, 0, v, 1);
    double var = prior_variance(gp, row) - cblas_ddot(n, k, 1, v, 1);
    *mean = gp->mean + cblas_ddot(n, k, 1, gp->alpha, 1);
    *variance = clip_variance(gp, var);
    for (int f = 0; f < n_free; f++) {
        slopes_by(gp, row, free[f], slope, product, k);
        d_mean[f] = cblas_ddot(n, k, 1, gp->alpha, 1);
        d_variance[f] = *variance > var ? 0 : trend_slope(gp, row, free[f]) - 2 * cblas_ddot(n, k, 1, v, 1);
    }
}
