/* Several objectives by Gaussian processes, one each: the point that is expected to add most hypervolume.
 *
 *   first points   as for bayesian
 *   values         signed so that less is better, the bad tail compressed, standardised, per objective: an order in each
 *                  objective is kept, so dominance is
 *   front          posterior means at the trials that keep their constraints: noise makes nobody a member
 *   reference      a little worse than the worst of all, in each objective
 *   running        believed to give what the models expect
 *   failed, told constraints   probabilities, as for bayesian
 *   many           more than ATHI_BOXES_OBJECTIVES_MAX objectives, or MOST_TRIALS: one process over a random scalar, the
 *                  augmented Chebyshev distance (ParEGO, Knowles 2006, doi 10.1109/TEVC.2005.851274) */
#include "tune/design.h"
#include "tune/gp_surrogate.h"
#include "tune/pareto.h"
#include "tune/volume_gain.h"

#include <math.h>

enum { ENOUGH_VALUES = 3, MOST_TRIALS = 300, MOST_TOP = 10 };
static const double BEYOND = 0.1;        /* of a standard deviation */
static const double AUGMENTATION = 0.05; /* rho of ParEGO, equation 2 */

/* ---- views of one value a trial ------------------------------------------------------------------------ */

typedef double scalar_of(const void *how, const athi_view *view, const athi_trial *t);

/* The same trials, in which `scalar` is the only objective and is minimised; what says nothing is left out. */
static ath_status make_scalar_view(athi_arena *arena, const athi_view *view, scalar_of *scalar, const void *how,
                                   athi_view *out) {
    static const bool minimise = false;
    int64_t rows = ATHI_MAX(view->n, 1);
    athi_trial *trials = athi_arena_array(arena, rows, sizeof *trials);
    const athi_trial **list = athi_arena_array(arena, rows, sizeof *list);
    double *values = athi_arena_array(arena, rows, sizeof *values);
    if (!trials || !list || !values) return ATH_E_NOMEM;
    *out = *view;
    out->trials = list, out->n = 0, out->n_objectives = 1, out->maximize = &minimise, out->cache = NULL;
    for (int64_t t = 0; t < view->n; t++) {
        athi_evidence says = athi_trial_evidence(view, view->trials[t]);
        if (says == ATHI_SAYS_NOTHING) continue;
        athi_trial *copy = &trials[out->n];
        *copy = *view->trials[t];
        copy->values = &values[out->n];
        values[out->n] = says == ATHI_SAYS_VALUE ? scalar(how, view, view->trials[t]) : NAN;
        if (says == ATHI_SAYS_FAILED) copy->state = ATHI_TRIAL_FAILED;
        if (says == ATHI_SAYS_FAILED && copy->reason == ATHI_REASON_NONE) copy->reason = ATHI_REASON_NAN;
        list[out->n++] = copy;
    }
    return ATH_OK;
}

static double one_objective(const void *how, const athi_view *view, const athi_trial *t) {
    return athi_trial_loss(view, t, *(const int *)how);
}

/* ---- hypervolume --------------------------------------------------------------------------------------- */

typedef struct model {
    athi_observed seen[ATHI_BOXES_OBJECTIVES_MAX];
    athi_gp_surrogate surrogate[ATHI_BOXES_OBJECTIVES_MAX];
    const athi_gp *gps[ATHI_BOXES_OBJECTIVES_MAX];
    double *front;   /* losses of its rows as the models see them */
    int64_t *member; /* which observed trial each is */
    int64_t n_front;
} model;

/* What limits the points is a matter of the first objective's surrogate: the others are of values alone. */
static ath_status fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, const athi_view *view,
                      model *m) {
    for (int k = 0; k < view->n_objectives; k++) {
        athi_bayesian_opts own = *opts;
        athi_view *scalar = athi_arena_alloc(arena, sizeof *scalar);
        if (!scalar) return ATH_E_NOMEM;
        ATH_TRY(make_scalar_view(arena, view, one_objective, &k, scalar));
        if (k > 0) own.feasibility = 0;
        for (int64_t t = 0; k > 0 && t < scalar->n; t++)
            ((athi_trial *)(uintptr_t)scalar->trials[t])->n_constraints = 0;
        ATH_TRY(athi_observe(arena, scalar, &m->seen[k]));
        ATH_TRY(athi_gp_surrogate_fit(ctx, arena, &own, (athi_gp_turn){0}, &m->seen[k], &m->surrogate[k]));
        m->gps[k] = &m->surrogate[k].value;
    }
    return ATH_OK;
}

static ath_status find_front(athi_arena *arena, int objectives, model *m) {
    const athi_gp_surrogate *s = m->surrogate;
    int64_t n = 0, most = s->value.n; /* finished trials, then those that run, as they are believed */
    double *losses = athi_arena_array(arena, ATHI_MAX(most, 1) * objectives, sizeof *losses);
    int64_t *layer = athi_arena_array(arena, ATHI_MAX(most, 1), sizeof *layer);
    m->front = athi_arena_array(arena, ATHI_MAX(most, 1) * objectives, sizeof *m->front);
    m->member = athi_arena_array(arena, ATHI_MAX(most, 1), sizeof *m->member);
    int64_t *which = athi_arena_array(arena, ATHI_MAX(most, 1), sizeof *which);
    if (!losses || !layer || !which || !m->front || !m->member) return ATH_E_NOMEM;
    for (int64_t i = 0; i < most; i++) {
        if (i < s->n && !m->seen[0].feasible[i]) continue;
        for (int k = 0; k < objectives; k++)
            losses[n * objectives + k] = i < s->n ? m->surrogate[k].mean[i] : m->surrogate[k].value.y[i];
        which[n++] = i;
    }
    ATH_TRY(athi_pareto_layers(arena, losses, n, objectives, layer));
    m->n_front = 0;
    for (int64_t i = 0; i < n; i++) {
        if (layer[i] > 0) continue;
        memcpy(m->front + m->n_front * objectives, losses + i * objectives, (size_t)objectives * sizeof *losses);
        m->member[m->n_front++] = which[i];
    }
    return ATH_OK;
}

/* Near the front's own worst values, what lies beyond its ends would be worth nothing, and a front that has shrunk to a
 * corner stayed there. */
static void place_reference(const model *m, int objectives, double *reference) {
    for (int k = 0; k < objectives; k++) {
        double worst = -INFINITY;
        for (int64_t i = 0; i < m->surrogate[k].n; i++) worst = fmax(worst, m->surrogate[k].mean[i]);
        reference[k] = worst + BEYOND;
    }
}

/* Points of the front, evenly through it, to search from; of what was observed where there is none. */
static ath_status make_top(athi_arena *arena, const model *m, double **top, int64_t *n) {
    const athi_observed *o = &m->seen[0];
    const athi_space *space = o->view->space;
    int64_t done = 0;
    for (int64_t i = 0; i < m->n_front; i++) done += m->member[i] < o->n;
    *n = ATHI_MIN(done ? done : o->n, MOST_TOP);
    *top = athi_arena_array(arena, ATHI_MAX(*n * space->n, 1), sizeof **top);
    if (!*top) return ATH_E_NOMEM;
    for (int64_t i = 0; i < *n; i++) {
        int64_t which = done ? m->member[i * done / *n] : o->order[i]; /* those that run come last */
        athi_trial_point(o->view, o->trial[which], *top + i * space->n);
    }
    return ATH_OK;
}

static ath_status by_volume(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, const athi_view *view,
                            athi_rng *rng, double *point, bool *found) {
    model *m = athi_arena_alloc(arena, sizeof *m);
    double reference[ATHI_BOXES_OBJECTIVES_MAX], *top;
    int64_t n_top;
    athi_tried_set tried;
    if (!m) return ATH_E_NOMEM;
    ATH_TRY(fit(ctx, arena, opts, view, m));
    ATH_TRY(find_front(arena, view->n_objectives, m));
    place_reference(m, view->n_objectives, reference);
    athi_volume_gain gain = {.m = view->n_objectives, .gps = m->gps};
    ATH_TRY(athi_boxes_create(arena, m->front, m->n_front, view->n_objectives, reference, &gain.boxes));
    ATH_TRY(athi_volume_gain_create(arena, &gain));
    athi_acquisition a = m->surrogate[0].acquisition;
    if (m->n_front > 0) a.gain = &gain; /* before one trial keeps its constraints, they alone count */
    ATH_TRY(athi_tried_set_create(arena, view, &tried));
    ATH_TRY(make_top(arena, m, &top, &n_top));
    return athi_acquisition_search(ctx, arena, &a, &m->seen[0].encoder, &tried, top, n_top, rng, point, found);
}

/* ---- a random scalar ----------------------------------------------------------------------------------- */

typedef struct chebyshev {
    double weight[ATHI_OBJECTIVES_MAX], low[ATHI_OBJECTIVES_MAX], range[ATHI_OBJECTIVES_MAX];
} chebyshev;

static double distance(const void *how, const athi_view *view, const athi_trial *t) {
    const chebyshev *c = how;
    double most = -INFINITY, sum = 0;
    for (int k = 0; k < view->n_objectives; k++) {
        double v = c->weight[k] * (athi_trial_loss(view, t, k) - c->low[k]) / c->range[k];
        most = fmax(most, v), sum += v;
    }
    return most + AUGMENTATION * sum;
}

static chebyshev draw_weights(const athi_view *view, athi_rng *rng) {
    chebyshev c = {.weight = {0}};
    double sum = 0;
    for (int k = 0; k < view->n_objectives; k++) { /* even over the simplex */
        double high = -INFINITY;
        c.low[k] = INFINITY, sum += c.weight[k] = -log(1 - athi_rng_uniform(rng));
        for (int64_t t = 0; t < view->n; t++) {
            if (athi_trial_evidence(view, view->trials[t]) != ATHI_SAYS_VALUE) continue;
            double v = athi_trial_loss(view, view->trials[t], k);
            c.low[k] = fmin(c.low[k], v), high = fmax(high, v);
        }
        c.range[k] = high > c.low[k] ? high - c.low[k] : 1;
    }
    for (int k = 0; k < view->n_objectives; k++) c.weight[k] /= sum;
    return c;
}

static ath_status by_scalar(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, const athi_view *view,
                            athi_rng *rng, double *point, bool *found) {
    chebyshev c = draw_weights(view, rng);
    athi_view scalar;
    athi_observed o;
    athi_gp_surrogate surrogate;
    ATH_TRY(make_scalar_view(arena, view, distance, &c, &scalar));
    ATH_TRY(athi_observe(arena, &scalar, &o));
    ATH_TRY(athi_gp_surrogate_fit(ctx, arena, opts, (athi_gp_turn){0}, &o, &surrogate));
    return athi_gp_surrogate_search(ctx, arena, &surrogate, rng, point, found);
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    const athi_bayesian_opts *opts = options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    int64_t values = 0, others = 0;
    athi_encoder encoder;
    bool found = false;
    ATH_TRY(athi_encoder_create(arena, view->space, &encoder));
    for (int64_t t = 0; t < view->n; t++) {
        athi_evidence says = athi_trial_evidence(view, view->trials[t]);
        values += says == ATHI_SAYS_VALUE, others += says == ATHI_SAYS_FAILED || says == ATHI_SAYS_PENDING;
    }
    int64_t first = opts->num_initial_points > 0 ? opts->num_initial_points : athi_design_size(view, encoder.d);
    if (values + others >= first && values >= ATHI_MIN(ENOUGH_VALUES, first) && encoder.d > 0) {
        bool few = view->n_objectives > 1 && view->n_objectives <= ATHI_BOXES_OBJECTIVES_MAX && values <= MOST_TRIALS;
        ath_status status = few ? by_volume(ctx, arena, opts, view, &rng, point, &found)
                                : by_scalar(ctx, arena, opts, view, &rng, point, &found);
        if (status != ATH_OK && status != ATH_E_FAILED) return status; /* without a model, a first point will do */
    }
    if (!found) ATH_TRY(athi_design_point(arena, view, first, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static const athi_bayesian_opts defaults = {.alpha = 1e-4, .feasibility = 1};

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_ehvi = {suggest};

const athi_option athi_sampler_ehvi_options[] = {
    ATHI_ROW_FIRST_POINTS,
    ATHI_ROW_ALPHA("1e-4"),
    ATHI_ROW_FEASIBILITY,
    {0},
};
