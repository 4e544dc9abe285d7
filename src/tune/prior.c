/* One parameter: its grid, and the map between its values and the unit interval by the prior's distribution function.
 *
 *   even cells      uniform with a step, log and reverse_log with a (multiplying) step, unweighted choices
 *   prior's cells   ints without a step under log, reverse_log: value v owns v - 1/2 .. v + 1/2;
 *                   the normal prior with a step: v - step/2 .. v + step/2; weighted choices: their weights
 *   continuous      floats without a step */
#include "tune/space_internal.h"

#include <math.h>

static bool is_log(const athi_space_param *p) {
    return p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG;
}

/* Half the width of the cell of a grid value under the prior's own measure; 0: the cells are even. */
static double half_cell(const athi_space_param *p) {
    if (p->type == ATHI_PARAM_CHOICE) return 0;
    if (is_log(p)) return p->type == ATHI_PARAM_INT && p->step == 0 ? 0.5 : 0;
    return p->prior == ATHI_PRIOR_NORMAL ? p->step / 2 : 0;
}

/* How many whole steps fit. The quotient of two decimals such as 1 / 0.2 may come out just below the integer. */
static int64_t whole_steps(double quotient) { return (int64_t)floor(quotient * (1 + 1e-12) + 1e-9); }

int64_t athi_param_count(const athi_space_param *p) {
    if (p->type == ATHI_PARAM_CHOICE) return p->n_branches;
    if (p->min == p->max) return 1;
    if (p->step == 0) return p->type == ATHI_PARAM_INT ? (int64_t)(p->max - p->min) + 1 : 0;
    if (is_log(p)) return whole_steps(log(p->max / p->min) / log(p->step)) + 1;
    return whole_steps((p->max - p->min) / p->step) + 1;
}

/* min + i * step as the decimal that a person means: 3 * 0.2 is 0.6, not 0.6000000000000001. */
static double decimal_step(double min, double step, int64_t i) {
    double scale = 1;
    for (int digits = 0; digits <= 12; digits++, scale *= 10) {
        double a = min * scale, b = step * scale, ra = nearbyint(a), rb = nearbyint(b);
        if (fabs(ra) + fabs(rb) * (double)(i + 1) > 0x1p52) break;
        if (fabs(a - ra) <= 1e-12 * fmax(1, fabs(a)) && fabs(b - rb) <= 1e-12 * fmax(1, fabs(b)) && rb != 0)
            return (ra + rb * (double)i) / scale;
    }
    return min + step * (double)i;
}

double athi_param_nth(const athi_space_param *p, int64_t i) {
    if (p->type == ATHI_PARAM_CHOICE) return (double)i;
    if (p->step == 0 || p->min == p->max) return p->min + (double)i;
    double v;
    if (p->prior == ATHI_PRIOR_LOG)
        v = p->min * pow(p->step, (double)i);
    else if (p->prior == ATHI_PRIOR_REVERSE_LOG)
        v = p->max + p->min - p->min * pow(p->step, (double)(athi_param_count(p) - 1 - i));
    else
        v = decimal_step(p->min, p->step, i);
    if (p->type == ATHI_PARAM_INT) v = nearbyint(v);
    return fmin(fmax(v, p->min), p->max);
}

static int64_t nearest_index(const athi_space_param *p, double value) {
    int64_t n = athi_param_count(p);
    if (n <= 1) return 0;
    double i;
    if (p->type == ATHI_PARAM_CHOICE)
        i = value;
    else if (p->step == 0)
        i = value - p->min;
    else if (p->prior == ATHI_PRIOR_LOG)
        i = log(fmax(value, p->min) / p->min) / log(p->step);
    else if (p->prior == ATHI_PRIOR_REVERSE_LOG)
        i = (double)(n - 1) - log(fmax(p->max + p->min - value, p->min) / p->min) / log(p->step);
    else
        i = (value - p->min) / p->step;
    i = nearbyint(i);
    return i < 0 ? 0 : i > (double)(n - 1) ? n - 1 : (int64_t)i;
}

double athi_param_snap(const athi_space_param *p, double value) {
    if (athi_param_count(p) == 0) return fmin(fmax(value, p->min), p->max);
    return athi_param_nth(p, nearest_index(p, value));
}

/* ---- distribution functions ---------------------------------------------------------------------------- */

double athi_normal_cdf(double z) { return 0.5 * erfc(-z * 0.70710678118654752440); }

/* Acklam's rational approximation (relative error 1.15e-9) and one step of Halley's method. */
double athi_normal_quantile(double q) {
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                               1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                               6.680131188771972e+01, -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                               -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00};
    if (q <= 0) return -INFINITY;
    if (q >= 1) return INFINITY;
    double tail = fmin(q, 1 - q), x;
    if (tail < 0.02425) {
        double r = sqrt(-2 * log(tail));
        x = (((((c[0] * r + c[1]) * r + c[2]) * r + c[3]) * r + c[4]) * r + c[5]) /
            ((((d[0] * r + d[1]) * r + d[2]) * r + d[3]) * r + 1);
        if (q > 0.5) x = -x;
    } else {
        double r = q - 0.5, s = r * r;
        x = (((((a[0] * s + a[1]) * s + a[2]) * s + a[3]) * s + a[4]) * s + a[5]) * r /
            (((((b[0] * s + b[1]) * s + b[2]) * s + b[3]) * s + b[4]) * s + 1);
    }
    double e = athi_normal_cdf(x) - q, u = e * 2.50662827463100050242 * exp(x * x / 2);
    return x - u / (1 + x * u / 2);
}

/* The range of values whose cells the unit interval holds. */
static void span(const athi_space_param *p, double *low, double *high) {
    double h = half_cell(p);
    *low = p->min - h;
    *high = (h > 0 ? athi_param_nth(p, athi_param_count(p) - 1) : p->max) + h;
}

static double cdf(const athi_space_param *p, double v) {
    double low, high;
    span(p, &low, &high);
    v = fmin(fmax(v, low), high);
    switch (p->prior) {
    case ATHI_PRIOR_LOG: return log(v / low) / log(high / low);
    case ATHI_PRIOR_REVERSE_LOG: return 1 - log((low + high - v) / low) / log(high / low);
    case ATHI_PRIOR_NORMAL: {
        double a = athi_normal_cdf((low - p->mean) / p->std), b = athi_normal_cdf((high - p->mean) / p->std);
        return (athi_normal_cdf((v - p->mean) / p->std) - a) / (b - a);
    }
    case ATHI_PRIOR_UNIFORM: break;
    }
    return (v - low) / (high - low);
}

static double quantile(const athi_space_param *p, double u) {
    double low, high, v;
    span(p, &low, &high);
    switch (p->prior) {
    case ATHI_PRIOR_LOG: v = low * exp(u * log(high / low)); break;
    case ATHI_PRIOR_REVERSE_LOG: v = low + high - low * exp((1 - u) * log(high / low)); break;
    case ATHI_PRIOR_NORMAL: {
        double a = athi_normal_cdf((low - p->mean) / p->std), b = athi_normal_cdf((high - p->mean) / p->std);
        v = p->mean + p->std * athi_normal_quantile(a + u * (b - a));
        break;
    }
    default: v = low + u * (high - low);
    }
    return fmin(fmax(v, p->min), p->max);
}

/* ---- the unit interval ---------------------------------------------------------------------------------- */

double athi_param_to_unit(const athi_space_param *p, double value) {
    int64_t n = athi_param_count(p);
    if (n == 1) return 0.5;
    if (p->type == ATHI_PARAM_CHOICE) {
        int64_t i = nearest_index(p, value);
        double before = 0;
        for (int64_t k = 0; k < i; k++) before += p->branches[k].weight;
        return before + p->branches[i].weight / 2;
    }
    if (n > 0 && half_cell(p) == 0) return ((double)nearest_index(p, value) + 0.5) / (double)n;
    return fmin(fmax(cdf(p, value), 0), 1);
}

double athi_param_from_unit(const athi_space_param *p, double unit) {
    int64_t n = athi_param_count(p);
    if (n == 1) return athi_param_nth(p, 0);
    double u = unit >= 0 ? fmin(unit, 1) : 0;
    if (p->type == ATHI_PARAM_CHOICE) {
        int64_t i = 0;
        for (double before = p->branches[0].weight; i < n - 1 && u >= before; before += p->branches[i].weight)
            i++;
        return (double)i;
    }
    if (n > 0 && half_cell(p) == 0) return athi_param_nth(p, ATHI_MIN((int64_t)(u * (double)n), n - 1));
    if (n > 0) return athi_param_snap(p, quantile(p, u));
    return u == 0 ? p->min : u == 1 ? p->max : quantile(p, u); /* the ends without rounding */
}

void athi_param_cell(const athi_space_param *p, double value, double *low, double *high) {
    int64_t n = athi_param_count(p);
    double h = half_cell(p);
    if (n == 0) {
        *low = *high = athi_param_to_unit(p, value);
    } else if (p->type == ATHI_PARAM_CHOICE) {
        double half = p->branches[nearest_index(p, value)].weight / 2;
        *low = athi_param_to_unit(p, value) - half, *high = *low + 2 * half;
    } else if (h > 0) {
        *low = n == 1 ? 0 : cdf(p, value - h), *high = n == 1 ? 1 : cdf(p, value + h);
    } else {
        double i = (double)nearest_index(p, value);
        *low = i / (double)n, *high = (i + 1) / (double)n;
    }
}
