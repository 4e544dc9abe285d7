/* The acquisition function and its gradient (see acquisition.h). */
#include "tune/acquisition.h"

#include <math.h>

static const double LOG_SQRT_2PI = 0.91893853320467274178;
static const double FAR = -6; /* below it the tail's continued fraction takes over from erfc */

/* For t >= 6: c with Phi(-t) = phi(t) / (t + c), by the continued fraction 1/(t + 2/(t + 3/(t + ...))). */
static double tail_fraction(double t) {
    double c = 0;
    for (int k = 24; k >= 1; k--) c = k / (t + c);
    return c;
}

static double log_density(double z) { return -z * z / 2 - LOG_SQRT_2PI; }

double athi_log_improvement(double z, double *slope) {
    if (z > FAR) {
        double cdf = 0.5 * erfc(-z * M_SQRT1_2), sum = exp(log_density(z)) + z * cdf;
        *slope = cdf / sum;
        return log(sum);
    }
    /* phi (1 - t / (t + c)) = phi c / (t + c): nothing cancels */
    double t = -z, c = tail_fraction(t);
    *slope = 1 / c;
    return log_density(z) + log(c / (t + c));
}

double athi_log_cdf(double z, double *slope) {
    if (z > FAR) {
        double cdf = 0.5 * erfc(-z * M_SQRT1_2);
        *slope = exp(log_density(z)) / cdf;
        return log(cdf);
    }
    double t = -z, c = tail_fraction(t);
    *slope = t + c;
    return log_density(z) - log(t + c);
}

ath_status athi_acquisition_create(athi_arena *arena, athi_acquisition *a) {
    int64_t n = ATHI_MAX(a->value->n, a->feasible ? a->feasible->n : 0);
    a->work = athi_arena_array(arena, ATHI_MAX(n, 1) * ATHI_ACQUISITION_BATCH, sizeof *a->work);
    return a->work ? ATH_OK : ATH_E_NOMEM;
}

double athi_acquisition_at(const athi_acquisition *a, const double *row, const int *free, int n_free,
                           double *gradient) {
    double mean, variance, h, p, dm[ATHI_ACQUISITION_MAX_FREE], dv[ATHI_ACQUISITION_MAX_FREE];
    athi_gp_gradient(a->value, row, free, n_free, &mean, &variance, dm, dv, a->work);
    double sd = sqrt(variance), z = (a->best - mean) / sd, sum = log(sd) + athi_log_improvement(z, &h);
    for (int f = 0; f < n_free; f++) {
        double d_sd = dv[f] / (2 * sd);
        gradient[f] = ((1 - h * z) * d_sd - h * dm[f]) / sd;
    }
    if (!a->feasible) return sum;
    athi_gp_gradient(a->feasible, row, free, n_free, &mean, &variance, dm, dv, a->work);
    double s2 = variance + a->feasible->noise, s = sqrt(s2);
    sum += a->exponent * athi_log_cdf(mean / s, &p);
    for (int f = 0; f < n_free; f++) gradient[f] += a->exponent * p * (dm[f] - mean * dv[f] / (2 * s2)) / s;
    return sum;
}

void athi_acquisition_many(const athi_acquisition *a, const double *rows, int64_t m, double *values) {
    double mean[ATHI_ACQUISITION_BATCH], variance[ATHI_ACQUISITION_BATCH], unused;
    int64_t d = a->value->d;
    for (int64_t from = 0, count; from < m; from += count) {
        count = ATHI_MIN(m - from, ATHI_ACQUISITION_BATCH);
        athi_gp_predict(a->value, rows + from * d, count, mean, variance, a->work);
        for (int64_t k = 0; k < count; k++) {
            double sd = sqrt(variance[k]);
            values[from + k] = log(sd) + athi_log_improvement((a->best - mean[k]) / sd, &unused);
        }
        if (!a->feasible) continue;
        athi_gp_predict(a->feasible, rows + from * d, count, mean, variance, a->work);
        for (int64_t k = 0; k < count; k++)
            values[from + k] +=
                a->exponent * athi_log_cdf(mean[k] / sqrt(variance[k] + a->feasible->noise), &unused);
    }
}

/* ---- points as rows ------------------------------------------------------------------------------------ */

ath_status athi_encoder_create(athi_arena *arena, const athi_space *space, athi_encoder *e) {
    *e = (athi_encoder){.space = space};
    e->param = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *e->param);
    e->dims = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *e->dims);
    if (!e->param || !e->dims) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        if (athi_param_count(p) == 1) continue; /* whether it exists follows from its parents */
        e->dims[e->d] = (athi_gp_dim){.category = p->type == ATHI_PARAM_CHOICE && !p->ordered,
                                      .optional = p->n_conditions > 0};
        e->param[e->d++] = (int)i;
    }
    return ATH_OK;
}

void athi_encode(const athi_encoder *e, const double *point, double *row) {
    for (int64_t j = 0; j < e->d; j++) {
        double v = point[e->param[j]];
        row[j] = isnan(v) || e->dims[j].category ? v : athi_param_to_unit(&e->space->params[e->param[j]], v);
    }
}
