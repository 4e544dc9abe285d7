/* The Gaussian process: kernel, conditioning, predictions and their gradients (see gp.h). */
#include "tune/gp.h"
#include "tune/gp_internal.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

ath_status athi_gp_create(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                          int64_t n, double mean, athi_gp *gp) {
    *gp = (athi_gp){.dims = dims, .d = d, .n = n, .x = x, .y = y, .mean = mean};
    gp->plain = true;
    for (int64_t j = 0; j < d; j++) {
        gp->n_gaps += dims[j].optional;
        gp->plain = gp->plain && !dims[j].optional && !dims[j].category;
    }
    gp->n_theta = d + gp->n_gaps + 2;
    gp->theta = athi_arena_array(arena, gp->n_theta + 1, /* a trend */ sizeof *gp->theta);
    gp->weight = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->weight);
    gp->gap = athi_arena_array(arena, ATHI_MAX(d, 1), sizeof *gp->gap);
    if (!gp->theta || !gp->weight || !gp->gap) return ATH_E_NOMEM;
    athi_gp_prior_mode(gp, gp->theta);
    return ATH_OK;
}

void athi_gp_add_trend(athi_gp *gp) {
    gp->has_trend = true;
    gp->n_theta++;
    athi_gp_prior_mode(gp, gp->theta);
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

double athi_gp_distance(const athi_gp *gp, const double *a, const double *b) { return distance(gp, a, b); }

static bool in_trend(const athi_gp *gp, int64_t j) { return !gp->dims[j].category && !gp->dims[j].optional; }

/* (1 + z_a . z_b) / (1 + m / 3): about 1 at random points. *scale: the denominator. */
static double product(const athi_gp *gp, const double *a, const double *b, double *scale) {
    double sum = 1;
    *scale = 1;
    for (int64_t j = 0; j < gp->d; j++)
        if (in_trend(gp, j)) sum += (2 * a[j] - 1) * (2 * b[j] - 1), *scale += 1.0 / 3;
    return sum / *scale;
}

double athi_gp_trend(const athi_gp *gp, const double *a, const double *b) {
    double scale, p = product(gp, a, b, &scale);
    return p * p;
}

/* Its derivative by a_j; b itself may be a, and then it is half of it. */
static double trend_slope(const athi_gp *gp, const double *a, const double *b, int64_t j) {
    double scale, p = product(gp, a, b, &scale);
    return in_trend(gp, j) ? 4 * p * (2 * b[j] - 1) / scale : 0;
}

static double trend(const athi_gp *gp, const double *a, const double *b) {
    return gp->has_trend ? gp->trend * athi_gp_trend(gp, a, b) : 0;
}

static double prior_variance(const athi_gp *gp, const double *row) { return gp->signal + trend(gp, row, row); }

/* Covariances of a row with all points; slope (may be NULL): derivatives by the squared distance. */
static void covariances(const athi_gp *gp, const double *row, double *k, double *slope) {
    for (int64_t i = 0; i < gp->n; i++) {
        double unused, *s = slope ? &slope[i] : &unused;
        k[i] = gp->signal * athi_matern(distance(gp, row, gp->x + i * gp->d), s);
        *s *= gp->signal;
        k[i] += trend(gp, row, gp->x + i * gp->d);
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
    gp->trend = gp->has_trend ? exp(t[2]) : 0;
}

/* ---- conditioning -------------------------------------------------------------------------------------- */

static bool factorise(athi_gp *gp, double jitter) {
    int64_t n = gp->n;
    for (int64_t j = 0; j < n; j++) {
        double slope;
        const double *b = gp->x + j * gp->d;
        for (int64_t i = j + 1; i < n; i++) {
            const double *a = gp->x + i * gp->d;
            gp->factor[j * n + i] = gp->signal * athi_matern(distance(gp, a, b), &slope) + trend(gp, a, b);
        }
        gp->factor[j * n + j] = prior_variance(gp, b) + gp->noise + jitter;
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
static void predict_variance(const athi_gp *gp, const double *rows, int64_t m, double *variance, double *work) {
    int64_t n = gp->n;
    if (n > 0)
        cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)m, 1, gp->factor,
                    (int)n, work, (int)n);
    for (int64_t k = 0; k < m; k++) {
        double sum = prior_variance(gp, rows + k * gp->d);
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
    predict_variance(gp, rows, m, variance, work);
}

/* Half the derivative of the coefficient by its first value. */
static double half_derivative(athi_gp_dim dim, double a, double b) {
    if (isnan(b)) return 0;
    return dim.optional ? 2 / M_PI * sin(M_PI / 2 * (a - b)) : a - b;
}

void athi_gp_gradient(const athi_gp *gp, const double *row, const int *free, int n_free, double *mean,
                      double *variance, double *d_mean, double *d_variance, double *work) {
    int64_t n = gp->n, d = gp->d;
    double *k = work, *slope = work + n, *v = work + 2 * n, sum = gp->mean, var = prior_variance(gp, row);
    covariances(gp, row, k, slope);
    if (n > 0) cblas_dsymv(CblasColMajor, CblasLower, (int)n, 1, gp->inverse, (int)n, k, 1, 0, v, 1);
    for (int64_t i = 0; i < n; i++) sum += k[i] * gp->alpha[i], var -= k[i] * v[i];
    *mean = sum;
    *variance = clip_variance(gp, var);
    for (int f = 0; f < n_free; f++) {
        int j = free[f];
        double dm = 0, dv = 0;
        for (int64_t i = 0; i < n; i++) {
            const double *other = gp->x + i * d;
            double dk = 2 * gp->weight[j] * slope[i] * half_derivative(gp->dims[j], row[j], other[j]);
            if (gp->has_trend) dk += gp->trend * trend_slope(gp, row, other, j);
            dm += dk * gp->alpha[i], dv += dk * v[i];
        }
        d_mean[f] = dm;
        double by_prior = gp->has_trend ? 2 * gp->trend * trend_slope(gp, row, row, j) : 0;
        d_variance[f] = *variance > var ? 0 : by_prior - 2 * dv;
    }
}
