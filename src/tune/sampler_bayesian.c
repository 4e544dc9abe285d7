/* Bayesian optimisation: a Gaussian process over the finished trials, log expected improvement, and a second
 * process for the probability that a point fails.
 *
 *   first points   the default, then a Latin hypercube over the priors (branches are met by their weights)
 *   values         signed so that less is better, the bad tail compressed, standardised; several objectives are summed
 *   failed         crash, memory, timeout, nan: labels of the second process; lost ones say nothing
 *   running        believed to give what the model expects, so that parallel suggestions keep apart (kriging believer)
 *   many trials    hyperparameters from MOST_FITTED of them, the posterior from MOST_MODELLED: the best and the latest
 */
#include "tune/acquisition.h"

#include <math.h>

enum { MOST_FITTED = 120, MOST_MODELLED = 500, MOST_TOP = 5, MOST_INITIAL = 20 };
enum { ENOUGH_VALUES = 3 };

static const double SHORTEST = 0.01;
/* Labels jump at the edge of a failing region; a length that followed the jump would call all of it unknown again. */
static const double LABEL_SHORTEST = 0.3, LABEL_NOISE = 0.03;

typedef struct data {
    const athi_view *view;
    athi_encoder encoder;
    double *x, *y;   /* finished trials: rows, values (less is better) */
    double *failed;  /* rows */
    double *pending; /* rows */
    int64_t n, n_failed, n_pending;
    int64_t *trial; /* of each finished one */
    int64_t *order; /* finished ones, best first */
} data;

/* ---- reading the trials -------------------------------------------------------------------------------- */

/* The value of an objective; a pruned trial's is its last report. */
static double value_of(const athi_trial *t, int objective) {
    double v = t->values ? t->values[objective] : NAN;
    if (t->state == ATHI_TRIAL_PRUNED && isnan(v) && t->n_reports > 0 && objective == 0)
        v = t->reports[t->n_reports - 1].value;
    return v;
}

typedef enum kind { FINISHED, FAILED, PENDING, SILENT } kind;

static kind kind_of(const athi_view *view, const athi_trial *t) {
    if (!t->point) return SILENT;
    switch (t->state) {
    case ATHI_TRIAL_WAITING:
    case ATHI_TRIAL_RUNNING:
    case ATHI_TRIAL_PAUSED: return PENDING;
    case ATHI_TRIAL_FAILED:
        return t->reason == ATHI_REASON_LOST || t->reason == ATHI_REASON_NONE ? SILENT : FAILED;
    case ATHI_TRIAL_COMPLETE:
    case ATHI_TRIAL_PRUNED: break;
    }
    for (int k = 0; k < view->n_objectives; k++)
        if (!isfinite(value_of(t, k))) return t->state == ATHI_TRIAL_COMPLETE ? FAILED : SILENT;
    return FINISHED;
}

static void sort(const double *y, int64_t *order, int64_t n) { /* stable among equals by index */
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t gap = n / 2; gap > 0; gap /= 2)
        for (int64_t i = gap; i < n; i++) {
            int64_t t = order[i], j = i;
            for (; j >= gap; j -= gap) {
                int64_t o = order[j - gap];
                if (y[o] < y[t] || (y[o] == y[t] && o < t)) break;
                order[j] = o;
            }
            order[j] = t;
        }
}

/* Values beyond three deviations (of the better half) above the median lose their size but keep their order. */
static void standardise(double *y, int64_t *order, int64_t n) {
    sort(y, order, n);
    double median = n % 2 ? y[order[n / 2]] : (y[order[n / 2 - 1]] + y[order[n / 2]]) / 2, spread = 0,
           mean = 0, sum = 0;
    int64_t better = 0;
    for (int64_t i = 0; i < n; i++)
        if (y[i] <= median) spread += (y[i] - median) * (y[i] - median), better++;
    spread = sqrt(spread / (double)ATHI_MAX(better, 1));
    double fence = median + 3 * spread;
    for (int64_t i = 0; spread > 0 && i < n; i++)
        if (y[i] > fence) y[i] = fence + spread * log1p((y[i] - fence) / spread);
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) y[i] = sum > 0 ? (y[i] - mean) / sqrt(sum) : 0;
}

static ath_status read_values(athi_arena *arena, data *d) {
    const athi_view *view = d->view;
    double *one = athi_arena_array(arena, ATHI_MAX(d->n, 1), sizeof *one);
    if (!one) return ATH_E_NOMEM;
    memset(d->y, 0, (size_t)d->n * sizeof *d->y);
    for (int k = 0; k < view->n_objectives && d->n > 0; k++) {
        for (int64_t i = 0; i < d->n; i++) {
            double v = value_of(view->trials[d->trial[i]], k);
            one[i] = view->maximize[k] ? -v : v;
        }
        standardise(one, d->order, d->n);
        for (int64_t i = 0; i < d->n; i++) d->y[i] += one[i];
    }
    sort(d->y, d->order, d->n);
    return ATH_OK;
}

static ath_status read_trials(athi_arena *arena, const athi_view *view, data *d) {
    *d = (data){.view = view};
    ATH_TRY(athi_encoder_create(arena, view->space, &d->encoder));
    int64_t rows = ATHI_MAX(view->n, 1), cells, width = ATHI_MAX(d->encoder.d, 1);
    if (!athi_mul(rows, width, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *point = athi_arena_array(arena, ATHI_MAX(view->space->n, 1), sizeof *point);
    d->x = athi_arena_array(arena, cells, sizeof(double));
    d->failed = athi_arena_array(arena, cells, sizeof(double));
    d->pending = athi_arena_array(arena, cells, sizeof(double));
    d->y = athi_arena_array(arena, rows, sizeof(double));
    d->trial = athi_arena_array(arena, rows, sizeof *d->trial);
    d->order = athi_arena_array(arena, rows, sizeof *d->order);
    if (!point || !d->x || !d->failed || !d->pending || !d->y || !d->trial || !d->order) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        kind k = kind_of(view, view->trials[t]);
        if (k == SILENT) continue;
        if (k == FINISHED) d->trial[d->n] = t;
        double *to = k == FINISHED ? d->x + d->n++ * d->encoder.d
                     : k == FAILED ? d->failed + d->n_failed++ * d->encoder.d
                                   : d->pending + d->n_pending++ * d->encoder.d;
        athi_trial_point(view, t, point);
        athi_encode(&d->encoder, point, to);
    }
    return read_values(arena, d);
}

/* ---- the first points ---------------------------------------------------------------------------------- */

static int64_t initial_count(const athi_bayesian_opts *opts, const athi_view *view, int64_t dims) {
    if (opts->num_initial_points > 0) return opts->num_initial_points;
    int64_t n = ATHI_MIN(ATHI_MAX(3 * dims, 3), MOST_INITIAL);
    return view->budget > 0 ? ATHI_MIN(n, ATHI_MAX(view->budget / 4, 3)) : n;
}

/* Which of n strata trial `at` draws parameter i from: a permutation for each (seed, round, parameter). */
static ath_status stratum(athi_arena *arena, const athi_view *view, int64_t round, int64_t i, int64_t at,
                          int64_t n, int64_t *out) {
    int64_t *order = athi_arena_array(arena, n, sizeof *order);
    if (!order) return ATH_E_NOMEM;
    uint64_t id = UINT64_C(1) << 39 | (uint64_t)(round & 0x3fffff) << 16 | (uint64_t)(i & 0xffff);
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, id));
    for (int64_t k = 0; k < n; k++) {
        int64_t j = (int64_t)athi_rng_below(&rng, (uint64_t)k + 1);
        order[k] = order[j];
        order[j] = k;
    }
    *out = order[at];
    return ATH_OK;
}

static ath_status first_point(athi_arena *arena, const athi_view *view, int64_t n, athi_rng *rng,
                              double *point) {
    const athi_space *space = view->space;
    athi_space_default(space, point);
    if (!athi_tried(view, point)) return ATH_OK;
    int64_t strata = ATHI_MAX(n - 1, 1), at = ATHI_MAX(view->trial - 1, 0); /* the default was number 0 */
    for (int64_t i = 0; i < space->n; i++) {
        int64_t s;
        ATH_TRY(stratum(arena, view, at / strata, i, at % strata, strata, &s));
        point[i] =
            athi_param_from_unit(&space->params[i], ((double)s + athi_rng_uniform(rng)) / (double)strata);
    }
    athi_space_normalize(space, point);
    return ATH_OK;
}

/* ---- the model ----------------------------------------------------------------------------------------- */

/* Rows of the best and the latest finished trials, at most `most`, in the order of the trials. */
static ath_status choose(athi_arena *arena, const data *d, int64_t most, double **x, double **y, int64_t *n) {
    bool *taken = athi_arena_array(arena, ATHI_MAX(d->n, 1), sizeof *taken);
    int64_t width = d->encoder.d, count = 0;
    *n = ATHI_MIN(d->n, most);
    *x = athi_arena_array(arena, ATHI_MAX((*n + d->n_pending) * width, 1), sizeof **x);
    *y = athi_arena_array(arena, ATHI_MAX(*n + d->n_pending, 1), sizeof **y);
    if (!taken || !*x || !*y) return ATH_E_NOMEM;
    int64_t best = *n < d->n ? *n / 2 : *n;
    for (; count < best; count++) taken[d->order[count]] = true;
    for (int64_t i = d->n - 1; count < *n; i--)
        if (!taken[i]) taken[i] = true, count++;
    for (int64_t i = 0, k = 0; i < d->n; i++) {
        if (!taken[i]) continue;
        memcpy(*x + k * width, d->x + i * width, (size_t)width * sizeof(double));
        (*y)[k++] = d->y[i];
    }
    return ATH_OK;
}

static void standardise_rows(double *y, int64_t n) {
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) y[i] = sum > 0 ? (y[i] - mean) / sqrt(sum) : 0;
}

static int starts_for(int64_t n) { return n < 30 ? 3 : n < 60 ? 2 : 1; }

/* Fits on part of the trials, conditions on more of them, then on the running ones as the model expects them. */
static ath_status model_values(ath_ctx *ctx, athi_arena *arena, const data *d, double floor, athi_gp *gp,
                               double *best) {
    double *x, *y;
    int64_t n, width = d->encoder.d;
    athi_gp fitted;
    ATH_TRY(choose(arena, d, MOST_FITTED, &x, &y, &n));
    standardise_rows(y, n);
    ATH_TRY(athi_gp_create(arena, d->encoder.dims, width, x, y, n, 0, &fitted));
    ATH_TRY(athi_gp_fit(ctx, arena, &fitted, floor, SHORTEST, starts_for(n), 30));
    ATH_TRY(choose(arena, d, MOST_MODELLED, &x, &y, &n));
    standardise_rows(y, n);
    ATH_TRY(athi_gp_create(arena, d->encoder.dims, width, x, y, n, 0, gp));
    memcpy(gp->theta, fitted.theta, (size_t)gp->n_theta * sizeof *gp->theta);
    ATH_TRY(athi_gp_condition(ctx, arena, gp));
    /* to improve upon: the least mean at a finished trial, not the luckiest noise */
    *best = INFINITY;
    for (int64_t i = 0; i < n; i++) *best = fmin(*best, y[i] - gp->noise * gp->alpha[i]);
    if (d->n_pending == 0) return ATH_OK;
    int64_t q = d->n_pending;
    double *variance = athi_arena_array(arena, q, sizeof *variance);
    double *work = athi_arena_array(arena, q * n, sizeof *work);
    if (!variance || !work) return ATH_E_NOMEM;
    athi_gp_predict(gp, d->pending, q, y + n, variance, work);
    memcpy(x + n * width, d->pending, (size_t)(q * width) * sizeof *x);
    gp->n = n + q;
    return athi_gp_condition(ctx, arena, gp);
}

/* Labels of the latest finished and failed trials. A finished one counts 1, a failed one -1; 0.5 without evidence. */
static ath_status model_failures(ath_ctx *ctx, athi_arena *arena, const data *d, athi_gp *gp) {
    int64_t width = d->encoder.d, failed = ATHI_MIN(d->n_failed, MOST_MODELLED / 2), n;
    double *x, *y, *chosen, *ignored;
    ATH_TRY(choose(arena, d, MOST_FITTED, &chosen, &ignored, &n));
    x = athi_arena_array(arena, ATHI_MAX((n + failed) * width, 1), sizeof *x);
    y = athi_arena_array(arena, n + failed, sizeof *y);
    if (!x || !y) return ATH_E_NOMEM;
    memcpy(x, chosen, (size_t)(n * width) * sizeof *x);
    memcpy(x + n * width, d->failed + (d->n_failed - failed) * width, (size_t)(failed * width) * sizeof *x);
    for (int64_t i = 0; i < n + failed; i++) y[i] = i < n ? 1 : -1;
    ATH_TRY(athi_gp_create(arena, d->encoder.dims, width, x, y, n + failed, 0.5, gp));
    ATH_TRY(athi_gp_fit(ctx, arena, gp, LABEL_NOISE, LABEL_SHORTEST, 1, 20));
    return athi_gp_condition(ctx, arena, gp);
}

static ath_status modelled_point(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                                 const data *d, athi_rng *rng, double *point, bool *found) {
    const athi_space *space = d->view->space;
    athi_gp value, feasible;
    athi_acquisition a = {.value = &value, .exponent = opts->feasibility};
    ATH_TRY(model_values(ctx, arena, d, fmax(opts->alpha, 1e-8), &value, &a.best));
    a.best -= opts->explore;
    if (d->n_failed > 0 && opts->feasibility > 0) {
        ATH_TRY(model_failures(ctx, arena, d, &feasible));
        a.feasible = &feasible;
    }
    ATH_TRY(athi_acquisition_create(arena, &a));
    athi_tried_set tried;
    ATH_TRY(athi_tried_set_create(arena, d->view, &tried));
    int64_t n_top = ATHI_MIN(d->n, MOST_TOP);
    double *top = athi_arena_array(arena, ATHI_MAX(n_top * space->n, 1), sizeof *top);
    if (!top) return ATH_E_NOMEM;
    for (int64_t k = 0; k < n_top; k++) athi_trial_point(d->view, d->trial[d->order[k]], top + k * space->n);
    return athi_acquisition_search(ctx, arena, &a, &d->encoder, &tried, top, n_top, rng, point, found);
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

static const athi_bayesian_opts defaults = {.alpha = 1e-4, .feasibility = 1};

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *opts, const athi_view *view, double *point,
                         bool *exhausted) {
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    data d;
    ATH_TRY(read_trials(arena, view, &d));
    int64_t first = initial_count(opts, view, d.encoder.d);
    bool found = false;
    if (d.n + d.n_failed + d.n_pending >= first && d.n >= ATHI_MIN(ENOUGH_VALUES, first) && d.encoder.d > 0) {
        ath_status status = modelled_point(ctx, arena, opts, &d, &rng, point, &found);
        if (status != ATH_OK && status != ATH_E_FAILED)
            return status; /* without a model, a first point will do */
    }
    if (!found) ATH_TRY(first_point(arena, view, first, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_bayesian = {suggest};

#define AT(field) offsetof(athi_bayesian_opts, field)
const athi_option athi_sampler_bayesian_options[] = {
    {.name = "num_initial_points",
     .type = ATHI_OPT_INT,
     .offset = AT(num_initial_points),
     .fallback = "null",
     .min = 1,
     .max = 1000000,
     .nullable = true,
     .doc = "trials before the model is used; by default 3 per parameter, at most 20 and a quarter of "
            "max_trials"},
    {.name = "alpha",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(alpha),
     .fallback = "1e-4",
     .min = 1e-8,
     .max = 1,
     .doc = "least variance of the noise, which is learned, in units of the variance of the values"},
    {.name = "explore",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(explore),
     .fallback = "0",
     .min = 0,
     .max = 10,
     .doc = "improvement asked for beyond the best, in units of the values' standard deviation"},
    {.name = "feasibility",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(feasibility),
     .fallback = "1",
     .min = 0,
     .max = 10,
     .doc = "weight of the probability that a point does not fail; 0: failed trials are ignored"},
    {0},
};
