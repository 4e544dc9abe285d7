/* The acquisition function and its gradient (see acquisition.h). */
#include "tune/acquisition.h"
#include "tune/volume_gain.h"

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
    int64_t n = ATHI_MAX(a->value->n, 1);
    for (int k = 0; k < a->n_limits; k++) n = ATHI_MAX(n, a->limits[k].gp->n);
    a->work = athi_arena_array(arena, n * ATHI_ACQUISITION_BATCH, sizeof *a->work);
    a->mixed_alpha = athi_arena_array(arena, n, sizeof *a->mixed_alpha);
    a->gradients = athi_arena_array(arena, (1 + a->n_others) * ATHI_ACQUISITION_MAX_FREE, sizeof *a->gradients);
    for (int k = 0; k < a->n_others; k++) ATH_TRY(athi_acquisition_create(arena, &a->others[k]));
    return a->work && a->mixed_alpha && a->gradients ? ATH_OK : ATH_E_NOMEM;
}

/* ---- the terms: their value, and their derivatives by mean and variance ---------------------------------- */

typedef struct term {
    double value, by_mean, by_variance;
} term;

static term improvement(double best, double mean, double variance) {
    if (isinf(best)) return (term){0};
    double sd = sqrt(variance), z = (best - mean) / sd, h, value = log(sd) + athi_log_improvement(z, &h);
    return (term){value, -h / sd, (1 - h * z) / (2 * variance)};
}

/* The logarithm of the mean improvement over the fantasies; by_mean: one derivative each. */
static term fantasised(const athi_acquisition *a, const double *means, double variance, double *by_mean) {
    term terms[ATHI_FANTASIES], sum = {0};
    double most = -INFINITY, total = 0;
    for (int f = 0; f < a->n_fantasies; f++) {
        terms[f] = improvement(a->fantasy_best[f], means[f], variance);
        most = fmax(most, terms[f].value);
    }
    for (int f = 0; f < a->n_fantasies; f++) {
        by_mean[f] = exp(terms[f].value - most);
        total += by_mean[f];
    }
    for (int f = 0; f < a->n_fantasies; f++) {
        sum.by_variance += by_mean[f] / total * terms[f].by_variance;
        by_mean[f] *= terms[f].by_mean / total;
    }
    sum.value = most + log(total / a->n_fantasies);
    return sum;
}

/* At one row. What the derivative by a dimension is made of: the mean's by a mixture of the fantasies' alphas. */
static term fantasised_at(const athi_acquisition *a, const double *row, athi_gp *mixture) {
    double means[ATHI_FANTASIES], by_mean[ATHI_FANTASIES], variance;
    int64_t n = a->value->n;
    athi_gp_predict_with(a->value, a->fantasy_alpha, a->n_fantasies, row, 1, means, &variance, a->work);
    term t = fantasised(a, means, variance, by_mean);
    memset(a->mixed_alpha, 0, (size_t)n * sizeof *a->mixed_alpha);
    for (int f = 0; f < a->n_fantasies; f++)
        for (int64_t i = 0; i < n; i++) a->mixed_alpha[i] += by_mean[f] * a->fantasy_alpha[f * n + i];
    *mixture = *a->value;
    mixture->alpha = a->mixed_alpha;
    t.by_mean = 1;
    return t;
}

static const double UNSURE = 1000; /* per unit below `sure`: outweighs any improvement */

static term kept(const athi_limit *l, double mean, double variance) {
    double s2 = variance + l->gp->noise, s = sqrt(s2), z = (mean - l->least) / s, p;
    term t = {.value = l->exponent * athi_log_cdf(z, &p)};
    t.by_mean = l->exponent * p / s, t.by_variance = -l->exponent * p * z / (2 * s2);
    if (mean < l->sure) t.value -= UNSURE * (l->sure - mean), t.by_mean += UNSURE;
    return t;
}

static void add_gradient(const term *t, const double *dm, const double *dv, int n, double *gradient) {
    for (int f = 0; f < n; f++) gradient[f] += t->by_mean * dm[f] + t->by_variance * dv[f];
}

static double improvement_at(const athi_acquisition *a, const double *row, const int *free, int n_free,
                             double *gradient) {
    double mean, variance, dm[ATHI_ACQUISITION_MAX_FREE], dv[ATHI_ACQUISITION_MAX_FREE];
    athi_gp mixture = *a->value;
    term t = {0};
    if (a->n_fantasies > 0) t = fantasised_at(a, row, &mixture);
    athi_gp_gradient(&mixture, row, free, n_free, &mean, &variance, dm, dv, a->work);
    if (a->n_fantasies == 0) t = improvement(a->best, mean, variance);
    add_gradient(&t, dm, dv, n_free, gradient);
    return t.value;
}

/* Turns the logarithms of some improvements into the weight that each has in their mean, and returns that one's logarithm. */
static double mean_of(double *logs, int n) {
    double most = -INFINITY, sum = 0;
    for (int k = 0; k < n; k++) most = fmax(most, logs[k]);
    for (int k = 0; k < n; k++) sum += logs[k] = exp(logs[k] - most);
    for (int k = 0; k < n; k++) logs[k] /= sum;
    return most + log(sum / n);
}

static double mean_improvement_at(const athi_acquisition *a, const double *row, const int *free, int n_free,
                                  double *gradient) {
    double weight[1 + ATHI_ACQUISITION_MAX_OTHERS];
    int n = 1 + a->n_others;
    if (n == 1) return improvement_at(a, row, free, n_free, gradient);
    memset(a->gradients, 0, (size_t)(n * n_free) * sizeof *a->gradients);
    for (int k = 0; k < n; k++)
        weight[k] = improvement_at(k ? &a->others[k - 1] : a, row, free, n_free, a->gradients + k * n_free);
    double value = mean_of(weight, n);
    for (int k = 0; k < n; k++)
        for (int f = 0; f < n_free; f++) gradient[f] += weight[k] * a->gradients[k * n_free + f];
    return value;
}

double athi_acquisition_at(const athi_acquisition *a, const double *row, const int *free, int n_free,
                           double *gradient) {
    double mean, variance, dm[ATHI_ACQUISITION_MAX_FREE], dv[ATHI_ACQUISITION_MAX_FREE];
    term t;
    for (int f = 0; f < n_free; f++) gradient[f] = 0;
    double sum = a->gain ? athi_volume_gain_at(a->gain, row, free, n_free, gradient)
                         : mean_improvement_at(a, row, free, n_free, gradient);
    for (int k = 0; k < a->n_limits; k++) {
        athi_gp_gradient(a->limits[k].gp, row, free, n_free, &mean, &variance, dm, dv, a->work);
        t = kept(&a->limits[k], mean, variance);
        sum += t.value;
        add_gradient(&t, dm, dv, n_free, gradient);
    }
    return sum;
}

static void improvements(const athi_acquisition *a, const double *rows, int64_t m, double *values) {
    double means[ATHI_ACQUISITION_BATCH * ATHI_FANTASIES], variance[ATHI_ACQUISITION_BATCH], unused[ATHI_FANTASIES];
    int f = a->n_fantasies;
    if (f == 0)
        athi_gp_predict(a->value, rows, m, means, variance, a->work);
    else
        athi_gp_predict_with(a->value, a->fantasy_alpha, f, rows, m, means, variance, a->work);
    for (int64_t k = 0; k < m; k++)
        values[k] = f == 0 ? improvement(a->best, means[k], variance[k]).value
                           : fantasised(a, means + k * f, variance[k], unused).value;
}

static void mean_improvements(const athi_acquisition *a, const double *rows, int64_t m, double *values) {
    double other[(1 + ATHI_ACQUISITION_MAX_OTHERS) * ATHI_ACQUISITION_BATCH], logs[1 + ATHI_ACQUISITION_MAX_OTHERS];
    int n = 1 + a->n_others;
    for (int k = 0; k < n; k++) improvements(k ? &a->others[k - 1] : a, rows, m, other + k * m);
    for (int64_t i = 0; i < m; i++) {
        for (int k = 0; k < n; k++) logs[k] = other[k * m + i];
        values[i] = n == 1 ? logs[0] : mean_of(logs, n);
    }
}

void athi_acquisition_many(const athi_acquisition *a, const double *rows, int64_t m, double *values) {
    double mean[ATHI_ACQUISITION_BATCH], variance[ATHI_ACQUISITION_BATCH];
    int64_t d = a->value->d;
    for (int64_t from = 0, count; from < m; from += count) {
        count = ATHI_MIN(m - from, ATHI_ACQUISITION_BATCH);
        if (a->gain)
            athi_volume_gain_many(a->gain, rows + from * d, count, values + from);
        else
            mean_improvements(a, rows + from * d, count, values + from);
        for (int l = 0; l < a->n_limits; l++) {
            athi_gp_predict(a->limits[l].gp, rows + from * d, count, mean, variance, a->work);
            for (int64_t k = 0; k < count; k++) values[from + k] += kept(&a->limits[l], mean[k], variance[k]).value;
        }
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
        e->dims[e->d] =
            (athi_gp_dim){.category = p->type == ATHI_PARAM_CHOICE && !p->ordered, .optional = p->n_conditions > 0};
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
