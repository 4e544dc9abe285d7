/* PED-ANOVA: on a grid of each parameter, the Pearson divergence between a Parzen estimate of the best trials and one of
 * all. Every constant is that of Optuna 5 (importance/_ped_anova), so that both print the same figures. */
#include "tune/importance.h"

#include <math.h>
#include <stdlib.h>

enum { GRID = 50, FEWEST = 2 };                /* steps of a continuous parameter; trials that have it */
static const double QUANTILE = 0.1;            /* which trials are the best */
static const double PRIOR_WEIGHT = 1;          /* of the flat kernel, in trials */
static const double DENSITY_FLOOR = 1e-12;     /* keeps the quotient finite */
static const double SCOTT = 1.059, IQR = 1.34; /* Scott 1992's width: 1.059 min(sigma, iqr / 1.34) n^(-1/5) */
static const double WIDTH_FLOOR = 0.5 / 1.64;  /* 90 % of a kernel lie in its cell */

ath_status athi_importance_trials(athi_arena *arena, const athi_importance_task *task, const athi_trial ***out,
                                  int64_t *n) {
    const athi_trial **list = athi_arena_array(arena, task->n + 1, (int64_t)sizeof *list);
    if (!list) return ATH_E_NOMEM;
    *n = 0;
    for (int64_t i = 0; i < task->n; i++) {
        const athi_trial *t = task->trials[i];
        if (t->state == ATHI_TRIAL_COMPLETE && isfinite(t->values[task->objective])) list[(*n)++] = t;
    }
    *out = list;
    return ATH_OK;
}

/* ---- the grid ------------------------------------------------------------------------------------ */

typedef struct grid {
    const athi_space_param *param;
    int64_t size;
    double low, high; /* as the cells see it: logarithms of a log range */
} grid;

/* The last value of an additive grid. */
static double last_value(const athi_space_param *p) {
    return p->step > 0 && p->prior != ATHI_PRIOR_LOG ? p->min + floor((p->max - p->min) / p->step + 1e-9) * p->step
                                                     : p->max;
}

static grid make_grid(const athi_space_param *p) {
    bool is_log = p->prior == ATHI_PRIOR_LOG;
    double high = last_value(p);
    grid g = {p, GRID, is_log ? log(p->min) : p->min, is_log ? log(high) : high};
    if (p->type == ATHI_PARAM_CHOICE)
        g.size = p->n_branches;
    else if (p->type == ATHI_PARAM_INT && is_log)
        g.size = ATHI_MIN((int64_t)ceil(log(high - p->min + 1) / log(2)) + 1, GRID);
    else if (p->step > 0 && !is_log)
        g.size = (int64_t)fmin(nearbyint((high - p->min) / p->step) + 1, GRID);
    return g;
}

static int64_t cell_of(const grid *g, double value) {
    if (g->param->type == ATHI_PARAM_CHOICE) return (int64_t)value;
    double v = g->param->prior == ATHI_PRIOR_LOG ? log(value) : value;
    double cell = ceil((v - g->low) / ((g->high - g->low) / (double)(g->size - 1)) - 0.5);
    return (int64_t)fmin(fmax(cell, 0), (double)(g->size - 1));
}

/* ---- Parzen estimates ---------------------------------------------------------------------------- */

/* Trials counted by cell. */
typedef struct counts {
    const grid *grid;
    double *count;
    double total;
} counts;

/* The mass of a normal between a and b, without cancellation far out. */
static double normal_mass(double a, double b) {
    if (a > 0) return 0.5 * (erfc(a * M_SQRT1_2) - erfc(b * M_SQRT1_2));
    if (b < 0) return 0.5 * (erfc(-b * M_SQRT1_2) - erfc(-a * M_SQRT1_2));
    return 0.5 * (erf(b * M_SQRT1_2) - erf(a * M_SQRT1_2));
}

/* The first cell at which the running count reaches `wanted`, or passes it; the last that has any if none does. */
static double count_quantile(const counts *c, double wanted, bool passes) {
    double sum = 0, last = 0;
    for (int64_t i = 0; i < c->grid->size; i++) {
        if (c->count[i] == 0) continue;
        sum += c->count[i], last = (double)i;
        if (passes ? sum > wanted : sum >= wanted) break;
    }
    return last;
}

static double scott_width(const counts *c) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < c->grid->size; i++) mean += c->count[i] * (double)i / c->total;
    for (int64_t i = 0; i < c->grid->size; i++) variance += c->count[i] * ((double)i - mean) * ((double)i - mean);
    double sigma = sqrt(variance / fmax(1, c->total - 1));
    double quartiles =
        count_quantile(c, floor(c->total * 3 / 4), true) - count_quantile(c, floor(c->total / 4), false);
    return fmax(SCOTT * fmin(quartiles / IQR, sigma) * pow(c->total, -0.2), WIDTH_FLOOR);
}

/* A truncated normal on the cells; added with a weight. */
static void add_normal(double mu, double sigma, double weight, int64_t size, double *density) {
    double all = normal_mass((-0.5 - mu) / sigma, ((double)size - 0.5 - mu) / sigma);
    for (int64_t k = 0; k < size; k++)
        density[k] += weight * normal_mass(((double)k - 0.5 - mu) / sigma, ((double)k + 0.5 - mu) / sigma) / all;
}

static void number_density(const counts *c, double *density) {
    int64_t size = c->grid->size;
    double width = scott_width(c), all = c->total + PRIOR_WEIGHT;
    for (int64_t i = 0; i < size; i++)
        if (c->count[i] > 0) add_normal((double)i, width, c->count[i] / all, size, density);
    add_normal((double)(size - 1) / 2, (double)size, PRIOR_WEIGHT / all, size, density);
}

/* A kernel a branch that was seen: the branch once, and the prior in 1 / kernels. */
static void choice_density(const counts *c, double *density) {
    int64_t size = c->grid->size;
    double kernels = 1, all = c->total + PRIOR_WEIGHT;
    for (int64_t i = 0; i < size; i++) kernels += c->count[i] > 0;
    double flat = PRIOR_WEIGHT / kernels, mass = 1 + flat * (double)size;
    for (int64_t i = 0; i < size; i++)
        for (int64_t k = 0; c->count[i] > 0 && k < size; k++)
            density[k] += c->count[i] / all * (flat + (k == i)) / mass;
    for (int64_t k = 0; k < size; k++) density[k] += PRIOR_WEIGHT / all / (double)size;
}

static void estimate(const counts *c, double *density) {
    for (int64_t k = 0; k < c->grid->size; k++) density[k] = 0;
    c->grid->param->type == ATHI_PARAM_CHOICE ? choice_density(c, density) : number_density(c, density);
    for (int64_t k = 0; k < c->grid->size; k++) density[k] += DENSITY_FLOOR;
}

/* ---- importances --------------------------------------------------------------------------------- */

typedef struct best {
    const athi_trial **trials;
    bool *is_best;
    int64_t n, n_best;
} best;

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The trials up to the quantile's value: ties at it count too. */
static ath_status find_best(athi_arena *arena, const athi_importance_task *task, best *b) {
    ATH_TRY(athi_importance_trials(arena, task, &b->trials, &b->n));
    double *losses = athi_arena_array(arena, 2 * b->n + 1, (int64_t)sizeof *losses), *sorted = losses + b->n;
    b->is_best = athi_arena_array(arena, b->n + 1, (int64_t)sizeof *b->is_best);
    if (!losses || !b->is_best) return ATH_E_NOMEM;
    for (int64_t i = 0; i < b->n; i++) {
        double v = b->trials[i]->values[task->objective];
        losses[i] = sorted[i] = task->maximize ? -v : v;
    }
    qsort(sorted, (size_t)b->n, sizeof *sorted, ascending);
    for (int64_t i = 0; i < b->n; i++) {
        b->is_best[i] = losses[i] <= sorted[(int64_t)ceil(QUANTILE * (double)b->n) - 1];
        b->n_best += b->is_best[i];
    }
    return ATH_OK;
}

/* alpha^2 / beta * divergence, of the trials that have the parameter (theorem 4.2 of arXiv 2601.20800). */
static ath_status judge(athi_arena *arena, const best *b, const athi_space_param *p, int64_t param, double *out) {
    grid g = make_grid(p);
    double *work = athi_arena_array(arena, 4 * g.size, (int64_t)sizeof *work);
    if (!work) return ATH_E_NOMEM;
    counts all = {&g, work, 0}, top = {&g, work + g.size, 0};
    double *all_density = work + 2 * g.size, *top_density = work + 3 * g.size, divergence = 0;
    bool single = athi_param_count(p) == 1;
    for (int64_t i = 0; i < b->n; i++) {
        double v = b->trials[i]->point[param];
        if (isnan(v)) continue;
        *out = 0;
        if (single) continue;
        int64_t cell = cell_of(&g, v);
        all.count[cell]++, all.total++;
        if (b->is_best[i]) top.count[cell]++, top.total++;
    }
    if (all.total < FEWEST || top.total == 0) return ATH_OK;
    estimate(&all, all_density);
    estimate(&top, top_density);
    for (int64_t k = 0; k < g.size; k++) divergence += all_density[k] * pow(top_density[k] / all_density[k] - 1, 2);
    double alpha = top.total / (double)b->n_best, beta = all.total / (double)b->n;
    *out = alpha * alpha / beta * divergence * pow((double)b->n_best / (double)b->n, 2);
    return ATH_OK;
}

ath_status athi_importance_ped_anova(athi_arena *arena, const athi_importance_task *task, double *importance) {
    best b = {0};
    for (int64_t i = 0; i < task->space->n; i++) importance[i] = NAN;
    ATH_TRY(find_best(arena, task, &b));
    for (int64_t i = 0; b.n > 1 && i < task->space->n; i++)
        ATH_TRY(judge(arena, &b, &task->space->params[i], i, &importance[i]));
    return ATH_OK;
}
