/* The default: a Gaussian process and a random forest, each trusted as far as it predicted the trials so far.
 *
 *   first points   as for bayesian: the default, then a Latin hypercube that meets every branch twice
 *   weights        how likely each model finds every trial's value when it has not seen it (leave one out; out of bag):
 *                  the process is smooth and sees far, the forest finds steps, choices and conditions
 *   turns          the process looks at values as they are or warped, at all trials or closely at the best (gp_surrogate.h);
 *                  a close look needs no forest
 *   suggestion     of the process's best point, moves of the best trials and draws: the one whose ranks under both
 *                  acquisitions, weighted, are the best together
 *   noise          where it is most of what the values differ by, the last REPEATED of a known budget are repeats of the
 *                  points that look best, which is what is then worth knowing
 *   elsewhere      many trials: tpe; very many parameters: cmaes; several objectives: nsga2 */
#include "tune/design.h"
#include "tune/forest.h"
#include "tune/gp_surrogate.h"

#include <math.h>

enum { ENOUGH_VALUES = 3, MOST_TRIALS = 500, MOST_DIMS = 300 };
enum { TOP = 5, MOVES = 200, DRAWS = 200, POOL = 1 + MOVES + DRAWS, FOREST_STREAM = 37 };
/* Ties are the process's: it must be beaten by this much. A forest that is trusted less than LEAST_WEIGHT is not asked. */
static const double HANDICAP = 3, LEAST_WEIGHT = 0.02;
static const double REPEATED = 0.05, NOISY = 0.3;
enum { NOISE_VALUES = 20 }; /* among fewer any function looks like noise */

static const athi_bayesian_opts gp_opts = {.alpha = 1e-6, .feasibility = 1};

typedef struct mix {
    const athi_observed *seen;
    athi_gp_surrogate gp;
    athi_forest forest;
    double forest_weight, best; /* the forest's to improve upon */
    athi_rng *rng;
} mix;

/* ---- the forest and its weight ----------------------------------------------------------------------------- */

/* Sum over the trials of how much better the forest knew them; each counts in bounds, so that one outlier does not
 * decide. */
static double forest_lead(const mix *m, const double *mean, const double *variance) {
    const double most = 2;
    double sum = 0;
    for (int64_t i = 0; i < m->gp.n; i++) {
        if (isnan(mean[i])) continue;
        double v = variance[i] + m->gp.value.noise, off = m->gp.value.y[i] - mean[i];
        double score = -0.5 * (log(2 * M_PI * v) + off * off / v);
        sum += fmin(fmax(score - m->gp.log_score[i], -most), most);
    }
    return sum;
}

/* Over the same rows and values as the process. */
static ath_status plant(athi_arena *arena, mix *m) {
    const athi_view *view = m->seen->view;
    const athi_gp *gp = &m->gp.value;
    int64_t n = m->gp.n;
    const athi_forest_opts how = {.seed = view->seed,
                                  .purpose = ATHI_PURPOSE(ATHI_RNG_SAMPLER,
                                                          UINT64_C(1) << FOREST_STREAM | (uint64_t)view->trial)};
    double *mean = athi_arena_array(arena, n, sizeof *mean), *variance = athi_arena_array(arena, n, sizeof *mean);
    if (!mean || !variance) return ATH_E_NOMEM;
    ATH_TRY(athi_forest_fit(arena, gp->dims, gp->d, gp->x, gp->y, n, &how, &m->forest));
    athi_forest_oob(&m->forest, mean, variance);
    m->forest_weight = 1 / (1 + exp(HANDICAP - forest_lead(m, mean, variance)));
    athi_forest_predict(&m->forest, gp->x, n, mean, variance);
    m->best = INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (m->seen->feasible[m->gp.chosen[i]]) m->best = fmin(m->best, mean[i]);
    return ATH_OK;
}

/* ---- the pool ---------------------------------------------------------------------------------------------- */

/* A trial of the best with one or two of its parameters moved. */
static void move(const mix *m, const double *from, double *point) {
    const athi_encoder *e = &m->seen->encoder;
    memcpy(point, from, (size_t)e->space->n * sizeof *point);
    for (uint64_t k = 1 + athi_rng_below(m->rng, 2); k > 0; k--) {
        int i = e->param[athi_rng_below(m->rng, (uint64_t)e->d)];
        if (!isnan(point[i])) point[i] = athi_param_move(&e->space->params[i], point[i], m->rng);
    }
    athi_space_normalize(e->space, point);
}

static void fill_pool(const mix *m, const double *first, double *from, double *points) {
    const athi_observed *o = m->seen;
    const athi_space *space = o->view->space;
    int64_t top = ATHI_MIN(o->n, TOP);
    memcpy(points, first, (size_t)space->n * sizeof *points);
    for (int k = 0; k < MOVES; k++) {
        athi_trial_point(o->view, o->trial[o->order[k % top]], from);
        move(m, from, points + (1 + k) * space->n);
    }
    for (int k = 0; k < DRAWS; k++) athi_space_sample(space, m->rng, points + (1 + MOVES + k) * space->n);
}

/* Adds weight * (share of the pool that is better) to each. */
static void add_ranks(const double *score, double weight, double *sum) {
    for (int i = 0; i < POOL; i++) {
        int better = 0;
        for (int j = 0; j < POOL; j++) better += score[j] > score[i];
        sum[i] += weight * better / POOL;
    }
}

static void forest_scores(const mix *m, const double *rows, const double *limits, double *mean, double *variance,
                          double *score) {
    double unused;
    athi_forest_predict(&m->forest, rows, POOL, mean, variance);
    for (int i = 0; i < POOL; i++) {
        double sd = sqrt(fmax(variance[i], 1e-12));
        score[i] = limits[i] + log(sd) + athi_log_improvement((m->best - mean[i]) / sd, &unused);
    }
}

/* `point` holds the process's choice; the best of the pool replaces it. */
static ath_status choose(athi_arena *arena, mix *m, double *point) {
    const athi_observed *o = m->seen;
    int64_t width = o->view->space->n, d = o->encoder.d;
    double *points = athi_arena_array(arena, POOL * width, sizeof *points), *from = athi_arena_array(arena, width, 8);
    double *rows = athi_arena_array(arena, POOL * d, sizeof *rows), *work = athi_arena_array(arena, 6 * POOL, 8);
    athi_tried_set tried;
    if (!points || !from || !rows || !work) return ATH_E_NOMEM;
    ATH_TRY(athi_tried_set_create(arena, o->view, &tried));
    double *process = work, *limits = work + POOL, *forest = work + 2 * POOL, *sum = work + 3 * POOL;
    fill_pool(m, point, from, points);
    for (int i = 0; i < POOL; i++) athi_encode(&o->encoder, points + i * width, rows + i * d);
    athi_acquisition_many(&m->gp.acquisition, rows, POOL, process);
    athi_acquisition only_limits = m->gp.acquisition; /* the forest improves, but keeps the same limits */
    only_limits.best = INFINITY, only_limits.n_fantasies = 0;
    athi_acquisition_many(&only_limits, rows, POOL, limits);
    forest_scores(m, rows, limits, work + 4 * POOL, work + 5 * POOL, forest);
    add_ranks(process, 1 - m->forest_weight, sum);
    add_ranks(forest, m->forest_weight, sum);
    int best = 0; /* untried: the search saw to that */
    for (int i = 1; i < POOL; i++)
        if (sum[i] < sum[best] && !athi_tried_set_has(&tried, points + i * width)) best = i;
    memcpy(point, points + best * width, (size_t)width * sizeof *point);
    return ATH_OK;
}

/* ---- repeats ----------------------------------------------------------------------------------------------- */

static int64_t times_tried(const athi_view *view, double *scratch, const double *point) {
    int64_t n = 0;
    for (int64_t t = 0; t < view->n; t++) {
        if (!view->trials[t]->point) continue;
        athi_trial_point(view, t, scratch);
        bool same = true;
        for (int64_t i = 0; i < view->space->n && same; i++)
            same = scratch[i] == point[i] || (isnan(scratch[i]) && isnan(point[i]));
        n += same;
    }
    return n;
}

/* A process that takes at least NOISY of the values' variance for noise, and its means at the trials. It holds where it
 * foretells each value from the others as well as the one that was fitted freely does: for that one a rough function and
 * noise look alike. */
static ath_status fit_noise(ath_ctx *ctx, athi_arena *arena, const mix *m, athi_gp *gp, double *mean, bool *holds) {
    const athi_gp *free = &m->gp.value;
    double lead = 0;
    ATH_TRY(athi_gp_create(arena, free->dims, free->d, free->x, free->y, m->gp.n, 0, gp));
    ATH_TRY(athi_gp_fit(ctx, arena, gp, NOISY, 0.1, 1, 30));
    ATH_TRY(athi_gp_condition(ctx, arena, gp));
    for (int64_t i = 0; i < m->gp.n; i++) {
        double precision = gp->inverse[i * gp->n + i], off = gp->alpha[i] / precision;
        lead += 0.5 * (log(precision / (2 * M_PI)) - off * off * precision) - m->gp.log_score[i];
        mean[i] = gp->y[i] - gp->noise * gp->alpha[i];
    }
    *holds = lead >= -2;
    return ATH_OK;
}

static bool may_repeat(const athi_view *view) {
    int64_t from = view->budget - (int64_t)ceil(REPEATED * (double)view->budget);
    return view->budget > 0 && view->trial >= from && view->n_objectives == 1;
}

/* The trial whose point deserves another look: the best mean, every look so far counted against it. */
static ath_status repeat(ath_ctx *ctx, athi_arena *arena, const mix *m, double *point, bool *found) {
    const athi_observed *o = m->seen;
    const athi_view *view = o->view;
    double least = INFINITY, *mean = athi_arena_array(arena, m->gp.n, sizeof *mean);
    double *other = athi_arena_array(arena, view->space->n, sizeof *other);
    double *scratch = athi_arena_array(arena, view->space->n, sizeof *other);
    athi_gp noisy;
    bool holds;
    if (!may_repeat(view) || m->gp.n < NOISE_VALUES) return ATH_OK;
    if (!mean || !other || !scratch) return ATH_E_NOMEM;
    ATH_TRY(fit_noise(ctx, arena, m, &noisy, mean, &holds));
    for (int64_t i = 0; holds && i < m->gp.n; i++) {
        if (!o->feasible[m->gp.chosen[i]] || mean[i] >= least) continue;
        athi_trial_point(view, o->trial[m->gp.chosen[i]], other);
        double value = mean[i] + 0.5 * sqrt(noisy.noise) * (double)times_tried(view, scratch, other);
        if (value >= least) continue;
        least = value, *found = true;
        memcpy(point, other, (size_t)view->space->n * sizeof *point);
    }
    return ATH_OK;
}

/* ---- the sampler ------------------------------------------------------------------------------------------- */

static ath_status modelled_point(ath_ctx *ctx, athi_arena *arena, const athi_observed *o, athi_rng *rng,
                                 double *point, bool *found, bool *repeated) {
    mix m = {.seen = o, .rng = rng};
    athi_gp_turn turn = athi_gp_turn_of(o->view);
    if (may_repeat(o->view)) turn.local = false;
    ATH_TRY(athi_gp_surrogate_fit(ctx, arena, &gp_opts, turn, o, &m.gp));
    ATH_TRY(repeat(ctx, arena, &m, point, repeated));
    if (*repeated) return ATH_OK;
    ATH_TRY(athi_gp_surrogate_search(ctx, arena, &m.gp, rng, point, found));
    if (!*found || isinf(m.gp.acquisition.best) || m.gp.acquisition.low) return ATH_OK; /* the forest sees far only */
    ATH_TRY(plant(arena, &m));
    return m.forest_weight < LEAST_WEIGHT ? ATH_OK : choose(arena, &m, point);
}

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    (void)options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    athi_observed o;
    bool found = false, repeated = false;
    ATH_TRY(athi_observe(arena, view, &o));
    int64_t first = athi_design_size(view, o.encoder.d);
    if (o.n + o.n_failed + o.n_pending >= first && o.n >= ENOUGH_VALUES && o.encoder.d > 0) {
        ath_status status = modelled_point(ctx, arena, &o, &rng, point, &found, &repeated);
        if (status != ATH_OK && status != ATH_E_FAILED) return status; /* without a model, a first point will do */
    }
    if (repeated) return ATH_OK;
    if (!found) ATH_TRY(athi_design_point(arena, view, first, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

/* ---- studies that others are better at --------------------------------------------------------------------- */

static int64_t count_values(const athi_view *view) {
    int64_t n = 0;
    for (int64_t t = 0; t < view->n; t++) n += athi_trial_evidence(view, view->trials[t]) == ATHI_SAYS_VALUE;
    return n;
}

/* By what does not change within a study, but for tpe and nsga2, which go on from any trials. */
static const athi_row *other_sampler(const athi_view *view) {
    int64_t numeric = 0;
    for (int64_t i = 0; i < view->space->n; i++) numeric += view->space->params[i].type != ATHI_PARAM_CHOICE;
    if (view->n_objectives > 1)
        return athi_row_find(&athi_samplers, count_values(view) > MOST_TRIALS ? "nsga2" : "ehvi");
    if (numeric > MOST_DIMS) return athi_row_find(&athi_samplers, "cmaes");
    return count_values(view) > MOST_TRIALS ? athi_row_find(&athi_samplers, "tpe") : NULL;
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    const athi_row *other = other_sampler(view);
    if (!other) return athi_suggestion_run(ctx, &frame, opts, view, point, exhausted);
    const athi_sampler_impl *impl = other->impl;
    return impl->suggest(ctx, NULL, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_auto = {suggest};
