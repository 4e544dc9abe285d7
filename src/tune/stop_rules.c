/* The table of stop rules. Several objectives: none applies, since no single trial is the best. */
#include "tune/stop_rules.h"

#include "tune/posterior.h"

#include <math.h>

/* ---- target ------------------------------------------------------------------------------------------ */

typedef struct target_opts {
    size_t struct_size;
    bool exact;
    double value;
} target_opts;

static double loss_of(const athi_view *view, const athi_trial *t) {
    if (t->state != ATHI_TRIAL_COMPLETE || !t->values || isnan(t->values[0])) return INFINITY;
    return view->maximize[0] ? -t->values[0] : t->values[0];
}

static ath_status target(ath_ctx *ctx, const void *opts, const athi_view *view, bool *stop) {
    const target_opts *o = opts;
    (void)ctx;
    double goal = view->maximize[0] ? -o->value : o->value;
    for (int64_t i = 0; i < view->n; i++) *stop = *stop || loss_of(view, view->trials[i]) <= goal;
    return ATH_OK;
}

/* ---- stagnation -------------------------------------------------------------------------------------- */

typedef struct stagnation_opts {
    size_t struct_size;
    bool exact;
    int64_t patience;
    double min_delta;
} stagnation_opts;

static ath_status stagnation(ath_ctx *ctx, const void *opts, const athi_view *view, bool *stop) {
    const stagnation_opts *o = opts;
    (void)ctx;
    double best = INFINITY;
    int64_t since = 0; /* trials that ended without an improvement */
    for (int64_t i = 0; i < view->n; i++) {
        if (view->trials[i]->state < ATHI_TRIAL_COMPLETE) continue;
        double loss = loss_of(view, view->trials[i]);
        since = loss < best - o->min_delta ? 0 : since + 1;
        best = fmin(best, loss);
    }
    *stop = isfinite(best) && since >= o->patience;
    return ATH_OK;
}

/* ---- regret bound ------------------------------------------------------------------------------------ */

/* Makarova et al. 2022, "Automatic termination for hyperparameter optimization": with high probability the regret of
 * the incumbent is at most  min over trials of (mean + sqrt(beta) s)  -  min over the space of (mean - sqrt(beta) s);
 * when that is less than what one evaluation's noise can tell apart, nothing is to be gained. */
typedef struct regret_opts {
    size_t struct_size;
    bool exact;
    double tolerance;
    int64_t min_trials;
    double delta;
} regret_opts;

enum { DRAWS = 2000, TOP = 5, MUTATIONS = 40 };

typedef struct bound {
    athi_posterior *posterior;
    double width; /* sqrt(beta) */
    double lowest, highest;
} bound;

/* In the sense of a loss, whichever way the objective goes. */
static void look(bound *b, const double *point, bool tried) {
    double mean, deviation;
    athi_posterior_at(b->posterior, point, &mean, &deviation);
    if (b->posterior->view->maximize[0]) mean = -mean;
    b->lowest = fmin(b->lowest, mean - b->width * deviation);
    if (tried) b->highest = fmin(b->highest, mean + b->width * deviation);
}

/* The space is looked at where draws from the priors fall, and around the best trial. */
static ath_status look_around(athi_arena *arena, const athi_view *view, bound *b) {
    const athi_space *space = view->space;
    double *point = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *point), mean, deviation;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, (UINT64_C(1) << 38) + (uint64_t)view->n));
    int64_t best;
    if (!point) return ATH_E_NOMEM;
    for (int64_t i = 0; i < view->n; i++) {
        if (view->trials[i]->state != ATHI_TRIAL_COMPLETE || !view->trials[i]->point) continue;
        athi_trial_point(view, i, point);
        look(b, point, true);
    }
    for (int i = 0; i < DRAWS; i++) {
        athi_space_sample(space, &rng, point);
        look(b, point, false);
    }
    ATH_TRY(athi_posterior_best(b->posterior, &best, &mean, &deviation));
    for (int64_t i = 0; best >= 0 && i < MUTATIONS * space->n; i++) {
        athi_trial_point(view, best, point);
        int64_t k = i % space->n;
        if (isnan(point[k])) continue;
        double u = athi_param_to_unit(&space->params[k], point[k]) + 0.2 * (athi_rng_uniform(&rng) - 0.5);
        point[k] = athi_param_from_unit(&space->params[k], fmin(fmax(u, 0), 1));
        athi_space_normalize(space, point);
        if (athi_space_allows(space, point)) look(b, point, false);
    }
    return ATH_OK;
}

static ath_status bound_regret(ath_ctx *ctx, athi_arena *arena, const regret_opts *o, const athi_view *view,
                               bool *stop) {
    athi_posterior posterior;
    ath_status status = athi_posterior_fit(ctx, arena, view, &posterior);
    if (status == ATH_E_NOTFOUND || status == ATH_E_FAILED) return ATH_OK; /* no model, no verdict */
    ATH_TRY(status);
    double d = (double)posterior.encoder.d, n = (double)posterior.gp.n;
    /* the paper's section 4, divided by 5 as in its experiments (after Srinivas et al. 2010) */
    double beta = 2 * log(d * n * n * M_PI * M_PI / (6 * o->delta)) / 5;
    bound b = {&posterior, sqrt(fmax(beta, 0)), INFINITY, INFINITY};
    ATH_TRY(look_around(arena, view, &b));
    *stop = b.highest - b.lowest <= (o->tolerance > 0 ? o->tolerance : posterior.noise);
    return ATH_OK;
}

static ath_status regret_bound(ath_ctx *ctx, const void *opts, const athi_view *view, bool *stop) {
    const regret_opts *o = opts;
    int64_t complete = 0;
    for (int64_t i = 0; i < view->n; i++) complete += view->trials[i]->state == ATHI_TRIAL_COMPLETE;
    if (complete < o->min_trials) return ATH_OK;
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = bound_regret(ctx, arena, o, view, stop);
    athi_arena_destroy(arena);
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static const athi_option target_options[] = {{.name = "value",
                                              .type = ATHI_OPT_FLOAT,
                                              .offset = offsetof(target_opts, value),
                                              .doc = "what the objective must reach"},
                                             {0}};
static const athi_option stagnation_options[] = {{.name = "patience",
                                                  .type = ATHI_OPT_INT,
                                                  .offset = offsetof(stagnation_opts, patience),
                                                  .fallback = "50",
                                                  .min = 1,
                                                  .max = 1e9,
                                                  .doc = "trials without an improvement"},
                                                 {.name = "min_delta",
                                                  .type = ATHI_OPT_FLOAT,
                                                  .offset = offsetof(stagnation_opts, min_delta),
                                                  .fallback = "0",
                                                  .min = 0,
                                                  .max = 1e300,
                                                  .doc = "what counts as an improvement, in the objective's units"},
                                                 {0}};
static const athi_option regret_options[] = {
    {.name = "tolerance",
     .type = ATHI_OPT_FLOAT,
     .offset = offsetof(regret_opts, tolerance),
     .fallback = "0",
     .min = 0,
     .max = 1e300,
     .doc = "gain that is not worth another trial, in the objective's units; 0: the noise of one trial, as learned"},
    {.name = "min_trials",
     .type = ATHI_OPT_INT,
     .offset = offsetof(regret_opts, min_trials),
     .fallback = "20",
     .min = 4,
     .max = 1e9,
     .doc = "complete trials before the first verdict"},
    {.name = "delta",
     .type = ATHI_OPT_FLOAT,
     .offset = offsetof(regret_opts, delta),
     .fallback = "0.1",
     .min = 1e-6,
     .max = 0.999,
     .doc = "probability that the bound does not hold"},
    {0}};

static const athi_stop_impl impl_target = {target}, impl_stagnation = {stagnation}, impl_regret = {regret_bound};
static const athi_row rows[] = {
    {"target", "A complete trial has reached a value.", target_options, sizeof(target_opts), &impl_target, "value"},
    {"stagnation", "So many trials in a row have brought nothing.", stagnation_options, sizeof(stagnation_opts),
     &impl_stagnation, NULL},
    {"regret_bound",
     "The best trial is within the noise of the best there can be, by a Gaussian process (Makarova et al. 2022, "
     "https://arxiv.org/abs/2104.08166).",
     regret_options, sizeof(regret_opts), &impl_regret, NULL},
    {0}};
const athi_kind athi_stop_rules = {"stop rule", "stop-rules", rows};
