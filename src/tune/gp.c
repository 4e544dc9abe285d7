/* The Gaussian process: kernel, conditioning, predictions and their gradients (see gp.h). */
#include "tune/gp.h"
#include "tune/gp_internal.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

ath_status athi_gp_create(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                          int64_t n, double mean, athi_gp *gp) {
    *gp = (athi_gp){.dims = dims, .d = d, .n = n, .x = x, .y = y, .mean = mean};
    int64_t optional = 0;
    gp->plain = true;
    for (int64_t j = 0; j < d; j++) {
        optional += dims[j].optional;
        gp->plain = gp->plain && !dims[j].optional && !dims[j].category;
    }
    gp->n_theta = d + optional + 2;
    gp->theta = athi_arena_array(arena, gp->n_theta, sizeof *gp->theta);
    gp->weight = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->weight);
    gp->gap = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->gap);
    if (!gp->theta || !gp->weight || !gp->gap) return ATH_E_NOMEM;
    athi_gp_prior_mode(gp, gp->theta);
    return ATH_OK;
}

/* ---- kernel --------------------------------------------------------------------------------------------- */

/* What 1 / length^2 is multiplied with; *absent: one of the two values is. */
static inline double coefficient(athi_gp_dim dim, double a, double b, bool *absent) {
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

double athi_gp_coefficient(athi_gp_dim dim, double a, double b, bool *absent) {
    return coefficient(dim, a, b, absent);
}

static double distance(const athi_gp *gp, const double *a, const double *b) {
    double sum = 0;
    if (gp->plain) { /* numbers that always exist: without branches, several at a time */
        for (int64_t j = 0; j < gp->d; j++) sum += gp->weight[j] * (a[j] - b[j]) * (a[j] - b[j]);
        return sum;
    }
    for (int64_t j = 0; j < gp->d; j++) {
        bool absent;
        sum += gp->weight[j] * coefficient(gp->dims[j], a[j], b[j], &absent);
        if (absent) sum += gp->gap[j];
    }
    return sum;
}

/* Covariances of a row with all points; slope (may be NULL): derivatives by the squared distance. */
static void covariances(const athi_gp *gp, const double *row, double *k, double *slope) {
    for (int64_t i = 0; i < gp->n; i++) {
        double unused, *s = slope ? &slope[i] : &unused;
        k[i] = gp->signal * athi_matern(distance(gp, row, gp->x + i * gp->d), s);
        *s *= gp->signal;
    }
}

static void read_theta(athi_gp *gp) {
    const double *t = gp->theta + gp->d;
    for (int64_t j = 0; j < gp->d; j++) {
        gp->weight[j] = exp(-2 * gp->theta[j]);
        gp->gap[j] = gp->dims[j].optional ? exp(*t++) : 0;
    }
    gp->signal = exp(t[0]);
    gp->noise = exp(t[1]);
}

/* ---- conditioning -------------------------------------------------------------------------------------- */

static bool factorise(athi_gp *gp, double jitter) {
    int64_t n = gp->n;
    for (int64_t j = 0; j < n; j++) {
        double slope;
        for (int64_t i = j + 1; i < n; i++)
            gp->factor[j * n + i] =
                gp->signal * athi_matern(distance(gp, gp->x + i * gp->d, gp->x + j * gp->d), &slope);
        gp->factor[j * n + j] = gp->signal + gp->noise + jitter;
    }
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, gp->factor, (lapack_int)n) == 0;
}

static void mirror(double *matrix, int64_t n) {
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++) matrix[i * n + j] = matrix[j * n + i];
}

ath_status athi_gp_condition(ath_ctx *ctx, athi_arena *arena, athi_gp *gp) {
    int64_t n = gp->n, cells;
    if (!athi_mul(n, n, &cells) || n > INT32_MAX) return athi_nomem(ctx, INT64_MAX);
    gp->factor = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof *gp->factor);
    gp->inverse = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof *gp->inverse);
    gp->alpha = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *gp->alpha);
    if (!gp->factor || !gp->inverse || !gp->alpha) return ATH_E_NOMEM;
    read_theta(gp);
    if (n == 0) return ATH_OK;
    double jitter = 0;
    for (int tries = 0; !factorise(gp, jitter); tries++) {
        if (tries == 8)
            return athi_fail(ctx, ATH_E_FAILED,
                             "gaussian process: the covariance of %lld points cannot be factorised", (long long)n);
        jitter = jitter > 0 ? 10 * jitter : 1e-8 * gp->signal;
    }
    memcpy(gp->inverse, gp->factor, (size_t)cells * sizeof *gp->inverse);
    if (LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, gp->inverse, (lapack_int)n) != 0)
        return athi_fail(ctx, ATH_E_FAILED, "gaussian process: the covariance cannot be inverted");
    mirror(gp->inverse, n);
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

/* From the covariances in `work`, which are overwritten. */
static void predict_variance(const athi_gp *gp, int64_t m, double *variance, double *work) {
    int64_t n = gp->n;
    if (n > 0)
        cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)m, 1, gp->factor,
                    (int)n, work, (int)n);
    for (int64_t k = 0; k < m; k++) {
        double sum = gp->signal;
        for (int64_t i = 0; i < n; i++) sum -= work[k * n + i] * work[k * n + i];
        variance[k] = clip_variance(gp, sum);
    }
}

void athi_gp_predict(const athi_gp *gp, const double *rows, int64_t m, double *mean, double *variance, double *work) {
    athi_gp_predict_with(gp, gp->alpha, 1, rows, m, mean, variance, work);
}

void athi_gp_predict_with(const athi_gp *gp, const double *alphas, int n_alphas, const double *rows, int64_t m,
                          double *means, double *variance, double *work) {
    int64_t n = gp->n;
    for (int64_t k = 0; k < m; k++) {
        covariances(gp, rows + k * gp->d, work + k * n, NULL);
        for (int a = 0; a < n_alphas; a++) {
            double sum = gp->mean;
            for (int64_t i = 0; i < n; i++) sum += work[k * n + i] * alphas[a * n + i];
            means[k * n_alphas + a] = sum;
        }
    }
    predict_variance(gp, m, variance, work);
}

/* Half the derivative of the coefficient by its first value. */
static double half_derivative(athi_gp_dim dim, double a, double b) {
    if (isnan(b)) return 0;
    return dim.optional ? 2 / M_PI * sin(M_PI / 2 * (a - b)) : a - b;
}

void athi_gp_gradient(const athi_gp *gp, const double *row, const int *free, int n_free, double *mean,
                      double *variance, double *d_mean, double *d_variance, double *work) {
    int64_t n = gp->n, d = gp->d;
    double *k = work, *slope = work + n, *v = work + 2 * n, sum = gp->mean, var = gp->signal;
    covariances(gp, row, k, slope);
    if (n > 0) cblas_dsymv(CblasColMajor, CblasLower, (int)n, 1, gp->inverse, (int)n, k, 1, 0, v, 1);
    for (int64_t i = 0; i < n; i++) sum += k[i] * gp->alpha[i], var -= k[i] * v[i];
    *mean = sum;
    *variance = clip_variance(gp, var);
    for (int f = 0; f < n_free; f++) {
        int j = free[f];
        double dm = 0, dv = 0;
        for (int64_t i = 0; i < n; i++) {
            double dk = slope[i] * half_derivative(gp->dims[j], row[j], gp->x[i * d + j]);
            dm += dk * gp->alpha[i], dv += dk * v[i];
        }
        d_mean[f] = 2 * gp->weight[j] * dm;
        d_variance[f] = *variance > var ? 0 : -4 * gp->weight[j] * dv;
    }
}
