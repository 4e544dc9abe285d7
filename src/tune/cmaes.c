/* Drawing and adapting (see cmaes.h). */
#include "tune/cmaes.h"
#include "tune/space_internal.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>

enum { REDRAWS = 8, FLAT_GENERATIONS = 10 };
static const double LEAST_SPREAD = 1e-12, WORST_CONDITION = 1e14;

/* Learning rates for lambda members and n numbers, table 1. */
typedef struct rates {
    double mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi;
} rates;

/* ---- weights ------------------------------------------------------------------------------------------- */

/* Raw weight of a rank (from 0, halves are ties), equation 49. */
static double raw_weight(int64_t k, double rank) { return log(((double)k + 1) / 2) - log(rank + 1); }

static double sum_of_ranks(int64_t k, bool positive, bool squared) {
    double sum = 0;
    for (int64_t i = 0; i < k; i++) {
        double w = raw_weight(k, (double)i);
        if ((w > 0) == positive) sum += squared ? w * w : fabs(w);
    }
    return sum;
}

static double effective(int64_t k, bool positive) {
    double sum = sum_of_ranks(k, positive, false), squares = sum_of_ranks(k, positive, true);
    return squares > 0 ? sum * sum / squares : 0;
}

static rates rates_for(int64_t k, int64_t dimensions) {
    double n = (double)ATHI_MAX(dimensions, 1), m = effective(k, true);
    rates r = {.mu_eff = m};
    r.c_sigma = (m + 2) / (n + m + 5);
    r.d_sigma = 1 + 2 * fmax(0, sqrt((m - 1) / (n + 1)) - 1) + r.c_sigma;
    r.c_c = (4 + m / n) / (n + 4 + 2 * m / n);
    r.c_1 = 2 / ((n + 1.3) * (n + 1.3) + m);
    r.c_mu = fmin(1 - r.c_1, 2 * (0.25 + m + 1 / m - 2) / ((n + 2) * (n + 2) + m));
    r.chi = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
    return r;
}

/* Weights of the members, equations 50 to 53: positive ones sum to 1. */
static void weigh(const athi_cmaes_member *members, int64_t k, const rates *r, int64_t n, double *w) {
    double above = 0, below = 0, other = effective(k, false);
    double limit = 1 + r->c_1 / r->c_mu;
    limit = fmin(limit, 1 + 2 * other / (r->mu_eff + 2));
    limit = fmin(limit, (1 - r->c_1 - r->c_mu) / ((double)ATHI_MAX(n, 1) * r->c_mu));
    for (int64_t i = 0; i < k; i++) {
        w[i] = raw_weight(k, members[i].rank);
        *(w[i] > 0 ? &above : &below) += fabs(w[i]);
    }
    for (int64_t i = 0; i < k; i++) {
        double sum = w[i] > 0 ? above : below;
        if (sum > 0) w[i] *= (w[i] > 0 ? 1 : fmax(limit, 0)) / sum;
    }
}

/* ---- the state ----------------------------------------------------------------------------------------- */

static bool allocate(athi_arena *arena, athi_cmaes *s) {
    int64_t n = ATHI_MAX(s->shape->n, 1);
    double **vectors[] = {&s->mean, &s->scale, &s->path, &s->step, &s->axes};
    double **matrices[] = {&s->covariance, &s->vectors, &s->root};
    for (int i = 0; i < ATHI_COUNT(vectors); i++)
        if (!(*vectors[i] = athi_arena_array(arena, n, sizeof(double)))) return false;
    for (int i = 0; i < ATHI_COUNT(matrices); i++)
        if (!(*matrices[i] = athi_arena_array(arena, n * n, sizeof(double)))) return false;
    s->chance = athi_arena_array(arena, ATHI_MAX(s->shape->n_branches, 1), sizeof(double));
    s->recent = athi_arena_array(arena, ATHI_CMAES_RECENT, sizeof(double));
    return s->chance && s->recent;
}

ath_status athi_cmaes_create(athi_arena *arena, const athi_cmaes_shape *shape, int64_t lambda, double sigma,
                             athi_cmaes *s) {
    *s = (athi_cmaes){.shape = shape};
    if (shape->n > 4096) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *middle = athi_arena_array(arena, ATHI_MAX(shape->n, 1), sizeof *middle);
    if (!middle || !allocate(arena, s)) return ATH_E_NOMEM;
    for (int64_t i = 0; i < shape->n; i++) middle[i] = 0.5;
    if (lambda == 0) lambda = 4 + (int64_t)(2.5 * log((double)ATHI_MAX(shape->n + shape->n_choices, 1)));
    athi_cmaes_restart(s, lambda, sigma, middle);
    return ATH_OK;
}

ath_status athi_cmaes_copy(athi_arena *arena, const athi_cmaes *from, athi_cmaes *to) {
    size_t n = (size_t)from->shape->n * sizeof(double), square = n * (size_t)from->shape->n;
    *to = *from;
    if (!allocate(arena, to)) return ATH_E_NOMEM;
    memcpy(to->mean, from->mean, n), memcpy(to->scale, from->scale, n);
    memcpy(to->path, from->path, n), memcpy(to->step, from->step, n), memcpy(to->axes, from->axes, n);
    memcpy(to->covariance, from->covariance, square), memcpy(to->vectors, from->vectors, square);
    memcpy(to->root, from->root, square);
    memcpy(to->chance, from->chance, (size_t)from->shape->n_branches * sizeof(double));
    memcpy(to->recent, from->recent, ATHI_CMAES_RECENT * sizeof(double));
    return ATH_OK;
}

void athi_cmaes_restart(athi_cmaes *s, int64_t lambda, double sigma, const double *mean) {
    int64_t n = s->shape->n;
    size_t square = (size_t)(n * n) * sizeof(double);
    s->lambda = lambda, s->sigma = sigma, s->generation = s->decomposed = 0;
    memset(s->covariance, 0, square), memset(s->vectors, 0, square), memset(s->root, 0, square);
    for (int64_t i = 0; i < n; i++) {
        s->mean[i] = mean[i], s->scale[i] = s->axes[i] = 1, s->path[i] = s->step[i] = 0;
        s->covariance[i * n + i] = s->vectors[i * n + i] = s->root[i * n + i] = 1;
    }
    for (int64_t c = 0, at = 0; c < s->shape->n_choices; c++)
        for (int b = 0; b < s->shape->choices[c]->n_branches; b++)
            s->chance[at++] = s->shape->choices[c]->branches[b].weight;
}

/* ---- drawing ------------------------------------------------------------------------------------------- */

static bool continuous(const athi_space_param *p) { return athi_param_count(p) == 0; }

void athi_cmaes_draw(const athi_cmaes *s, athi_rng *rng, double *numbers, int *branches) {
    int64_t n = s->shape->n;
    for (int64_t c = 0, at = 0; c < s->shape->n_choices; at += s->shape->choices[c++]->n_branches) {
        double u = athi_rng_uniform(rng), below = s->chance[at];
        int last = s->shape->choices[c]->n_branches - 1;
        for (branches[c] = 0; branches[c] < last && u >= below;) below += s->chance[at + ++branches[c]];
    }
    bool inside = false;
    for (int k = 0; k < REDRAWS && !inside; k++) {
        for (int64_t i = 0; i < n; i++) numbers[i] = s->mean[i];
        for (int64_t j = 0; j < n; j++) {
            double z = s->sigma * athi_rng_normal(rng);
            for (int64_t i = 0; i < n; i++) numbers[i] += s->scale[i] * s->root[j * n + i] * z;
        }
        inside = true;
        for (int64_t i = 0; i < n && inside; i++)
            inside = !continuous(s->shape->numbers[i]) || (numbers[i] >= 0 && numbers[i] <= 1);
    }
    for (int64_t i = 0; i < n && !inside; i++)
        if (continuous(s->shape->numbers[i])) numbers[i] = fmin(fmax(numbers[i], 0), 1);
}

/* ---- adapting ------------------------------------------------------------------------------------------ */

/* y' C^-1 y and, in `white`, C^-1/2 y. work: n. */
static double whiten(const athi_cmaes *s, const double *y, double *white, double *work) {
    int64_t n = s->shape->n;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double along = 0;
        for (int64_t k = 0; k < n; k++) along += s->vectors[i * n + k] * y[k];
        work[i] = along / s->axes[i];
        sum += work[i] * work[i];
    }
    if (!white) return sum;
    for (int64_t k = 0; k < n; k++) white[k] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++) white[k] += s->vectors[i * n + k] * work[i];
    return sum;
}

/* matrix += factor * v v', the lower triangle of rows. */
static void add_outer(double *matrix, int64_t n, double factor, const double *v) {
    for (int64_t i = 0; i < n; i++) {
        double f = factor * v[i];
        for (int64_t k = 0; k <= i; k++) matrix[i * n + k] += f * v[k];
    }
}

/* C = B D^2 B', and its square root B D B'. */
static ath_status decompose(athi_arena *scratch, athi_cmaes *s) {
    int64_t n = s->shape->n, size = 1 + 6 * n + 2 * n * n, sizes = 3 + 5 * n;
    double *work = athi_arena_array(scratch, size + n * n, sizeof *work), *half = work ? work + size : NULL;
    lapack_int *integers = athi_arena_array(scratch, sizes, sizeof *integers);
    if (!work || !integers) return ATH_E_NOMEM;
    memcpy(s->vectors, s->covariance, (size_t)(n * n) * sizeof *work); /* rows' lower triangle is columns' upper */
    if (LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, s->vectors, (lapack_int)n, s->axes, work,
                            (lapack_int)size, integers, (lapack_int)sizes) != 0)
        return ATH_E_FAILED;
    if (!(s->axes[0] > 0) || s->axes[n - 1] > WORST_CONDITION * s->axes[0]) return ATH_E_FAILED;
    for (int64_t i = 0; i < n; i++) {
        s->axes[i] = sqrt(s->axes[i]);
        for (int64_t k = 0; k < n; k++) half[i * n + k] = s->vectors[i * n + k] * sqrt(s->axes[i]);
    }
    int m = (int)n;
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, m, m, 1, half, m, 0, s->root, m);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) s->root[k * n + i] = s->root[i * n + k];
    s->decomposed = s->generation;
    return ATH_OK;
}

/* Each branch towards its share of the better members. Its least chance is that of CatCMA, section 4.2. */
static void adapt_choices(athi_cmaes *s, const athi_cmaes_member *members, int64_t k, const double *w,
                          double mu_eff) {
    const athi_cmaes_shape *shape = s->shape;
    double rate = mu_eff / (mu_eff + (double)(shape->n_branches - shape->n_choices));
    for (int64_t c = 0, at = 0; c < shape->n_choices; at += shape->choices[c++]->n_branches) {
        int count = shape->choices[c]->n_branches;
        double least = (1 - pow(0.73, 1 / (double)shape->n_choices)) / (double)(count - 1), over = 0;
        for (int b = 0; b < count; b++) {
            double share = 0;
            for (int64_t i = 0; i < k; i++)
                if (w[i] > 0 && members[i].branches[c] == b) share += w[i];
            s->chance[at + b] = fmax(s->chance[at + b] + rate * (share - s->chance[at + b]), least);
            over += s->chance[at + b] - least;
        }
        double left = 1 - (double)count * least; /* what the least chances leave is shared out */
        for (int b = 0; b < count; b++)
            s->chance[at + b] = over > 0 ? least + (s->chance[at + b] - least) * left / over : 1 / (double)count;
    }
}

/* Equations 9 to 15 of the margin's paper: alpha = 1 / (lambda * n) of a value's neighbours' probability stays. */
static void keep_margin(athi_cmaes *s, int64_t j) {
    const athi_space_param *p = s->shape->numbers[j];
    int64_t n = s->shape->n, count = athi_param_count(p);
    double alpha = 1 / ((double)s->lambda * (double)n), low, high;
    double sd = s->sigma * s->scale[j] * sqrt(s->covariance[j * n + j]), m = s->mean[j];
    double value = athi_param_from_unit(p, m);
    athi_param_cell(p, value, &low, &high);
    bool first = value == athi_param_nth(p, 0), last = value == athi_param_nth(p, count - 1);
    if (first || last) {
        double reach = sd * athi_normal_quantile(1 - alpha);
        s->mean[j] = first ? fmax(m, high - reach) : fmin(m, low + reach);
        return;
    }
    double below = athi_normal_cdf((low - m) / sd), above = athi_normal_cdf((m - high) / sd),
           within = 1 - below - above;
    double b = fmax(below, alpha / 2), a = fmax(above, alpha / 2);
    if (b == below && a == above) return;
    double excess = 1 - b - a - within, divisor = b + a + within - 1.5 * alpha;
    b += excess / divisor * (b - alpha / 2), a += excess / divisor * (a - alpha / 2);
    double to_low = athi_normal_quantile(1 - b), to_high = athi_normal_quantile(1 - a);
    if (!(to_low + to_high > 0)) return;
    s->mean[j] = (low * to_high + high * to_low) / (to_low + to_high);
    s->scale[j] *= (high - low) / (to_low + to_high) / sd;
}

/* y of each member in units of sigma and the margin's scale; an injected one that lies far out is brought near (Hansen
 * 2011, "Injecting external solutions into CMA-ES", equation 4). */
static void take_steps(const athi_cmaes *s, const athi_cmaes_member *members, int64_t k, double *y, double *squares,
                       double *work) {
    int64_t n = s->shape->n;
    double longest = sqrt((double)n) + 2 * (double)n / ((double)n + 2);
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < n; j++)
            y[i * n + j] = (members[i].numbers[j] - s->mean[j]) / (s->sigma * s->scale[j]);
        squares[i] = whiten(s, y + i * n, NULL, work);
        if (squares[i] <= longest * longest) continue;
        for (int64_t j = 0; j < n; j++) y[i * n + j] *= longest / sqrt(squares[i]);
        squares[i] = longest * longest;
    }
}

/* Equations 41 to 47. */
static void adapt_numbers(athi_cmaes *s, int64_t k, const rates *r, const double *w, const double *y,
                          const double *squares, double *mean, double *white, double *work) {
    int64_t n = s->shape->n;
    double length = 0, sum = 0;
    memset(mean, 0, (size_t)n * sizeof *mean);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; w[i] > 0 && j < n; j++) mean[j] += w[i] * y[i * n + j];
    whiten(s, mean, white, work);
    for (int64_t j = 0; j < n; j++) {
        s->mean[j] += s->sigma * s->scale[j] * mean[j];
        s->step[j] = (1 - r->c_sigma) * s->step[j] + sqrt(r->c_sigma * (2 - r->c_sigma) * r->mu_eff) * white[j];
        length += s->step[j] * s->step[j];
    }
    length = sqrt(length);
    double damped = sqrt(1 - pow(1 - r->c_sigma, 2 * (double)(s->generation + 1)));
    bool moving = length / damped < (1.4 + 2 / ((double)n + 1)) * r->chi;
    for (int64_t j = 0; j < n; j++)
        s->path[j] = (1 - r->c_c) * s->path[j] + moving * sqrt(r->c_c * (2 - r->c_c) * r->mu_eff) * mean[j];
    for (int64_t i = 0; i < k; i++) sum += w[i];
    double kept = 1 + r->c_1 * !moving * r->c_c * (2 - r->c_c) - r->c_1 - r->c_mu * sum;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) s->covariance[i * n + j] *= kept;
    add_outer(s->covariance, n, r->c_1, s->path);
    for (int64_t i = 0; i < k; i++) {
        double weight = w[i] >= 0 ? w[i] : w[i] * (double)n / fmax(squares[i], 1e-300);
        add_outer(s->covariance, n, r->c_mu * weight, y + i * n);
    }
    s->sigma *= exp(fmin(1, r->c_sigma / r->d_sigma * (length / r->chi - 1)));
}

ath_status athi_cmaes_update(athi_arena *scratch, athi_cmaes *s, const athi_cmaes_member *members, int64_t k) {
    int64_t n = s->shape->n;
    const rates r = rates_for(k, n);
    double *w = athi_arena_array(scratch, 2 * k, sizeof *w), best = INFINITY;
    double *y = athi_arena_array(scratch, k * n + 3 * n + 1, sizeof *y);
    if (!w || !y) return ATH_E_NOMEM;
    weigh(members, k, &r, n, w);
    adapt_choices(s, members, k, w, r.mu_eff);
    for (int64_t i = 0; i < k; i++)
        if (members[i].loss < best) best = members[i].loss;
    s->recent[s->generation % ATHI_CMAES_RECENT] = best;
    if (n > 0) {
        double *mean = y + k * n;
        take_steps(s, members, k, y, w + k, mean);
        adapt_numbers(s, k, &r, w, y, w + k, mean, mean + n, mean + 2 * n);
    }
    s->generation++;
    for (int64_t j = 0; j < n; j++)
        if (!continuous(s->shape->numbers[j])) keep_margin(s, j);
    int64_t lazy = n > 0 ? (int64_t)(1 / (10 * (double)n * (r.c_1 + r.c_mu))) : INT64_MAX;
    return s->generation - s->decomposed > lazy || (n > 0 && lazy == 0) ? decompose(scratch, s) : ATH_OK;
}

bool athi_cmaes_stalled(const athi_cmaes *s) {
    int64_t n = s->shape->n, flat = FLAT_GENERATIONS + 30 * n / s->lambda, seen = ATHI_MIN(flat, ATHI_CMAES_RECENT);
    double widest = 0, low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        widest = fmax(widest, s->sigma * s->scale[i] * fmax(sqrt(s->covariance[i * n + i]), fabs(s->path[i])));
    if (n > 0 && !(widest > LEAST_SPREAD)) return true;
    if (s->generation < seen) return false;
    for (int64_t g = s->generation - seen; g < s->generation; g++) {
        double loss = s->recent[g % ATHI_CMAES_RECENT];
        low = fmin(low, loss), high = fmax(high, loss);
    }
    return high - low <= LEAST_SPREAD * fmax(fabs(low), 1e-300);
}
