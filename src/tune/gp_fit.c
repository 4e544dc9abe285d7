/* Hyperparameters of the Gaussian process: log posterior with its gradient, maximised by L-BFGS from fixed
 * starts.
 *
 * With K = signal * C + noise * I and B = inverse(K) - alpha alpha', the derivative of -log p(y) by a
 * parameter is 1/2 tr(B dK). What does not depend on theta is computed once per pair of points. */
#include "tune/gp_sample.h"
#include "tune/gp_input.h"
#include "tune/gp_internal.h"

#include <cblas.h>
#include <lapacke.h>
#include <nlopt.h>

static const double LENGTH_SD = 1.7320508075688772, NOISE_MEAN = -4, TREND_SD = 2;
static const double WARP_SD = 0.7; /* of the logarithms of a and b: Snoek et al. 2014, 4.1, for "no idea" */
static const double TREND_MEAN = -2.302585092994046; /* ln 0.1: of the variance of the values */

static double length_mean(const athi_gp *gp) { return M_SQRT2 + 0.5 * log((double)ATHI_MAX(gp->d, 1)); }

/* Half the weight that a difference of 1 has at the lengths' mode. */
static double gap_mean(const athi_gp *gp) { return log(0.5) - 2 * (length_mean(gp) - LENGTH_SD * LENGTH_SD); }

void athi_gp_prior_mode(const athi_gp *gp, double *theta) {
    for (int64_t j = 0; j < gp->d; j++) theta[j] = length_mean(gp) - LENGTH_SD * LENGTH_SD;
    for (int64_t j = gp->d; j < gp->d + gp->n_gaps; j++) theta[j] = gap_mean(gp);
    theta[athi_gp_at_signal(gp)] = 0;
    theta[athi_gp_at_noise(gp)] = NOISE_MEAN - 1;
    if (gp->has_trend) theta[athi_gp_at_trend(gp)] = TREND_MEAN;
    for (int64_t j = athi_gp_at_warp(gp); j < gp->n_theta; j++) theta[j] = 0;
}

/* Adds -log of the prior density (constants left out) and its derivative by the logarithm. */
static double normal_prior(double t, double mean, double sd, double *gradient) {
    double z = (t - mean) / sd;
    *gradient += z / sd;
    return z * z / 2;
}
static double lognormal_prior(double t, double mean, double sd, double *gradient) {
    *gradient += 1;
    return t + normal_prior(t, mean, sd, gradient);
}

static double prior(const athi_gp *gp, const double *theta, double *gradient) {
    int64_t s = athi_gp_at_signal(gp), noise = athi_gp_at_noise(gp), trend = athi_gp_at_trend(gp);
    double sum = 0, signal = exp(theta[s]);
    for (int64_t j = 0; j < gp->d; j++) sum += lognormal_prior(theta[j], length_mean(gp), LENGTH_SD, &gradient[j]);
    for (int64_t j = gp->d; j < s; j++) sum += normal_prior(theta[j], gap_mean(gp), 1, &gradient[j]);
    sum += signal - theta[s]; /* Gamma(2, 1) */
    gradient[s] += signal - 1;
    if (gp->has_trend) sum += normal_prior(theta[trend], TREND_MEAN, TREND_SD, &gradient[trend]);
    for (int64_t j = athi_gp_at_warp(gp); j < gp->n_theta; j++)
        sum += normal_prior(theta[j], 0, WARP_SD, &gradient[j]);
    return sum + lognormal_prior(theta[noise], NOISE_MEAN, 1, &gradient[noise]);
}

/* ---- likelihood ---------------------------------------------------------------------------------------- */

/* A point and those after it: their pairs lie side by side. */
static void read_pairs(const athi_gp *gp, const athi_gp_pairs *pairs, const double *columns, int64_t i,
                       int64_t first) {
    int64_t n = gp->n, rest = n - i - 1, gaps = 0;
    for (int64_t j = 0; j < gp->d; j++) {
        double *absent = gp->dims[j].optional ? pairs->absent + gaps++ * pairs->n + first : NULL;
        gp->kernel->coefficients(gp->dims[j], columns[j * n + i], columns + j * n + i + 1, rest,
                                 pairs->coefficient + j * pairs->n + first, absent);
    }
    if (!gp->has_trend) return;
    double *to = pairs->trend + first, *self = pairs->trend_self + i;
    gp->kernel->trend_products(gp, gp->x + i * gp->d, columns + i, n, 1, self);
    gp->kernel->trend_products(gp, gp->x + i * gp->d, columns + i + 1, n, rest, to);
    *self *= *self;
    for (int64_t k = 0; k < rest; k++) to[k] *= to[k];
}

ath_status athi_gp_pairs_create(athi_arena *arena, const athi_gp *gp, athi_gp_pairs *pairs) {
    int64_t n = gp->n, d = gp->d, count = n * (n - 1) / 2, room = ATHI_MAX(count, 1);
    *pairs = (athi_gp_pairs){.n = count};
    double *columns = athi_arena_array(arena, ATHI_MAX(n * d, 1), sizeof(double));
    pairs->coefficient = athi_arena_array(arena, room * ATHI_MAX(d, 1), sizeof(double));
    pairs->absent = athi_arena_array(arena, room * ATHI_MAX(gp->n_gaps, 1), sizeof(double));
    pairs->slope = athi_arena_array(arena, room, sizeof(double));
    pairs->covariance = athi_arena_array(arena, room, sizeof(double));
    pairs->by_covariance = athi_arena_array(arena, room, sizeof(double));
    pairs->matrix = athi_arena_array(arena, ATHI_MAX(n * n, 1), sizeof(double));
    pairs->alpha = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof(double));
    if (!columns || !pairs->coefficient || !pairs->absent || !pairs->slope || !pairs->covariance ||
        !pairs->by_covariance || !pairs->matrix || !pairs->alpha)
        return ATH_E_NOMEM;
    if (gp->has_trend) {
        pairs->trend = athi_arena_array(arena, room, sizeof(double));
        pairs->trend_self = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof(double));
        if (!pairs->trend || !pairs->trend_self) return ATH_E_NOMEM;
    }
    if (gp->has_warp) {
        pairs->bent = athi_arena_array(arena, ATHI_MAX(n * (d + 2), 1), sizeof(double));
        if (!pairs->bent) return ATH_E_NOMEM;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) columns[j * n + i] = gp->x[i * d + j];
    for (int64_t i = 0, first = 0; i < n; first += n - ++i) read_pairs(gp, pairs, columns, i, first);
    return ATH_OK;
}

/* `pairs->matrix`: of y. */
static void fill_covariance(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta) {
    int64_t n = gp->n, o = gp->n_gaps, count = pairs->n;
    double signal = exp(theta[athi_gp_at_signal(gp)]), noise = exp(theta[athi_gp_at_noise(gp)]);
    double trend = gp->has_trend ? exp(theta[athi_gp_at_trend(gp)]) : 0, *r2 = pairs->by_covariance;
    double *weight = gp->weight, *gap = gp->gap; /* scratch until conditioned */
    for (int64_t k = 0; k < gp->d; k++) weight[k] = exp(-2 * theta[k]);
    for (int64_t k = 0; k < o; k++) gap[k] = exp(theta[gp->d + k]);
    if (gp->has_warp) athi_gp_bend_pairs(gp, pairs, theta);
    if (count > 0)
        cblas_dgemv(CblasColMajor, CblasNoTrans, (int)count, (int)gp->d, 1, pairs->coefficient, (int)count, weight, 1,
                    0, r2, 1);
    if (count > 0 && o > 0)
        cblas_dgemv(CblasColMajor, CblasNoTrans, (int)count, (int)o, 1, pairs->absent, (int)count, gap, 1, 1, r2, 1);
    gp->kernel->matern(signal, r2, count, pairs->covariance, pairs->slope);
    for (int64_t j = 0, first = 0; j < n; first += n - ++j) {
        double *column = pairs->matrix + j * n;
        column[j] = signal + noise + (gp->has_trend ? trend * pairs->trend_self[j] : 0);
        memcpy(column + j + 1, pairs->covariance + first, (size_t)(n - j - 1) * sizeof *column);
        for (int64_t i = j + 1; gp->has_trend && i < n; i++) column[i] += trend * pairs->trend[first + i - j - 1];
    }
}

/* After the matrix became its inverse. */
static void likelihood_gradient(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta,
                                double *gradient) {
    int64_t n = gp->n, d = gp->d, o = gp->n_gaps, at_signal = athi_gp_at_signal(gp);
    int count = (int)pairs->n;
    double signal = exp(theta[at_signal]), noise = exp(theta[at_signal + 1]), trace = 0, trend = 0;
    double *b = pairs->by_covariance, *by_distance = pairs->slope; /* which is not needed again */
    for (int64_t j = 0, first = 0; j < n; first += n - ++j) {
        const double *column = pairs->matrix + j * n;
        double own = column[j] - pairs->alpha[j] * pairs->alpha[j];
        trace += own;
        trend += gp->has_trend ? own * pairs->trend_self[j] / 2 : 0;
        for (int64_t i = j + 1; i < n; i++) b[first + i - j - 1] = column[i] - pairs->alpha[i] * pairs->alpha[j];
    }
    gradient[at_signal] = cblas_ddot(count, b, 1, pairs->covariance, 1) + trace * signal / 2;
    gradient[at_signal + 1] = trace * noise / 2;
    if (gp->has_trend)
        gradient[athi_gp_at_trend(gp)] =
            exp(theta[athi_gp_at_trend(gp)]) * (trend + cblas_ddot(count, b, 1, pairs->trend, 1));
    for (int64_t i = 0; i < count; i++) by_distance[i] *= b[i];
    for (int64_t k = 0; k < d; k++)
        gradient[k] = -2 * gp->weight[k] * cblas_ddot(count, by_distance, 1, pairs->coefficient + k * pairs->n, 1);
    for (int64_t k = 0; k < o; k++)
        gradient[d + k] = gp->gap[k] * cblas_ddot(count, by_distance, 1, pairs->absent + k * pairs->n, 1);
    if (gp->has_warp) athi_gp_bend_gradient(gp, pairs, by_distance, gradient);
}

double athi_gp_objective(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta, double *gradient) {
    int64_t n = gp->n;
    double sum = 0;
    fill_covariance(gp, pairs, theta);
    if (n > 0 && LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, pairs->matrix, (lapack_int)n) != 0)
        return INFINITY;
    for (int64_t i = 0; i < n; i++) pairs->alpha[i] = gp->y[i] - gp->mean;
    if (n > 0)
        LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, 1, pairs->matrix, (lapack_int)n, pairs->alpha,
                            (lapack_int)n);
    for (int64_t i = 0; i < n; i++)
        sum += (gp->y[i] - gp->mean) * pairs->alpha[i] / 2 + log(pairs->matrix[i * n + i]);
    memset(gradient, 0, (size_t)gp->n_theta * sizeof *gradient);
    athi_gp_invert(pairs->matrix, n);
    likelihood_gradient(gp, pairs, theta, gradient);
    return sum + prior(gp, theta, gradient);
}

/* ---- the search ---------------------------------------------------------------------------------------- */

typedef struct fit {
    const athi_gp *gp;
    const athi_gp_pairs *pairs;
    double *gradient, *best;
    double value; /* of best */
} fit;

static double objective(unsigned n, const double *theta, double *gradient, void *user) {
    fit *f = user;
    double value = athi_gp_objective(f->gp, f->pairs, theta, f->gradient);
    if (value < f->value) {
        f->value = value;
        memcpy(f->best, theta, n * sizeof *theta);
    }
    if (!isfinite(value)) { /* L-BFGS backs off */
        value = 1e10;
        memset(f->gradient, 0, n * sizeof *gradient);
    }
    if (gradient) memcpy(gradient, f->gradient, n * sizeof *gradient);
    return value;
}

ath_status athi_gp_fit(ath_ctx *ctx, athi_arena *arena, athi_gp *gp, double noise_floor, double shortest, int starts,
                       int evaluations) {
    athi_gp_pairs pairs;
    double loss;
    ATH_TRY(athi_gp_pairs_create(arena, gp, &pairs));
    return athi_gp_fit_pairs(ctx, arena, gp, &pairs, noise_floor, shortest, starts, evaluations, &loss);
}

ath_status athi_gp_bounds_create(athi_arena *arena, const athi_gp *gp, double noise_floor, double shortest,
                                 athi_gp_bounds *bounds) {
    int64_t p = gp->n_theta, signal = athi_gp_at_signal(gp), noise = athi_gp_at_noise(gp);
    double *low = athi_arena_array(arena, p, sizeof *low), *high = athi_arena_array(arena, p, sizeof *high);
    *bounds = (athi_gp_bounds){low, high};
    if (!low || !high) return ATH_E_NOMEM;
    for (int64_t j = 0; j < p; j++) low[j] = log(1e-2), high[j] = log(1e3);
    for (int64_t j = 0; j < gp->d; j++) low[j] = log(shortest);
    low[signal] = log(0.05), high[signal] = log(20);
    low[noise] = log(noise_floor), high[noise] = log(ATHI_MAX(2.0, 2 * noise_floor));
    for (int64_t j = athi_gp_at_warp(gp); j < p; j++) low[j] = -2, high[j] = 2;
    if (gp->has_trend) low[athi_gp_at_trend(gp)] = log(1e-6), high[athi_gp_at_trend(gp)] = log(100);
    return ATH_OK;
}

ath_status athi_gp_fit_pairs(ath_ctx *ctx, athi_arena *arena, athi_gp *gp, const athi_gp_pairs *pairs,
                             double noise_floor, double shortest, int starts, int evaluations, double *loss) {
    int64_t p = gp->n_theta;
    double *work = athi_arena_array(arena, 3 * p, sizeof *work), *start = work;
    athi_gp_bounds bounds;
    if (!work) return ATH_E_NOMEM;
    ATH_TRY(athi_gp_bounds_create(arena, gp, noise_floor, shortest, &bounds));
    const double *low = bounds.low, *high = bounds.high;
    fit f = {.gp = gp, .pairs = pairs, .gradient = work + p, .best = work + 2 * p, .value = INFINITY};
    athi_gp_prior_mode(gp, f.best); /* where nothing can be factorised */
    for (int64_t j = 0; j < p; j++) f.best[j] = fmin(fmax(f.best[j], low[j]), high[j]);
    for (int s = 0; s < starts; s++) {
        static const double shift[] = {0, -1, 1.2}; /* shorter and longer lengths */
        athi_gp_prior_mode(gp, start);
        for (int64_t j = 0; j < gp->d; j++) start[j] += shift[s % ATHI_COUNT(shift)];
        for (int64_t j = 0; j < p; j++) start[j] = fmin(fmax(start[j], low[j]), high[j]);
        nlopt_opt opt = nlopt_create(NLOPT_LD_LBFGS, (unsigned)p);
        if (!opt) return athi_nomem(ctx, 0);
        double unused;
        nlopt_set_min_objective(opt, objective, &f);
        nlopt_set_lower_bounds(opt, low);
        nlopt_set_upper_bounds(opt, high);
        nlopt_set_ftol_rel(opt, 1e-4);
        nlopt_set_maxeval(opt, evaluations);
        nlopt_result result = nlopt_optimize(opt, start, &unused); /* a failed line search leaves the best seen */
        nlopt_destroy(opt);
        if (result == NLOPT_OUT_OF_MEMORY) return athi_nomem(ctx, 0);
    }
    memcpy(gp->theta, f.best, (size_t)p * sizeof *gp->theta);
    *loss = f.value;
    return ATH_OK;
}
