/* Sequential model-based optimisation with a random forest, after SMAC (Hutter et al. 2011, Lindauer et al. 2022): the
 * point of the largest log expected improvement, found by local searches from the best trials and the best draws.
 *
 *   first points   the default, then a scrambled Sobol sequence
 *   values         the logarithms of their ranks: the model spends its cuts on the best, whatever the scale (SMAC takes
 *                  logarithms of the values); several objectives are standardised and summed
 *   failed         a second forest over labels gives the probability that a point neither fails nor breaks a constraint
 *   running        believed to give what the model expects, so that parallel suggestions keep apart; a pessimistic
 *                  guess would spoil the leaves around the best
 *   many trials    the model sees MOST_MODELLED of them: the best and the latest
 *
 * A share of the suggestions are plain draws, since a forest knows nothing of what it never saw. */
#include "tune/forest.h"
#include "tune/observed.h"

#include <math.h>

enum { MOST_MODELLED = 2000, MOST_INITIAL = 20, ENOUGH_VALUES = 3, SMALL_SPACE = 1000 };
enum { DRAWS = 1000, STARTS = 10, MOVES = 4, MOST_STEPS = 6, MOST_BRANCHES = 16 };
enum { VALUE_FOREST = 1, FEASIBLE_FOREST = 2 }; /* streams apart from the trials' numbers */
static const double LEAST_PROBABILITY = 0.01, LEAST_DEVIATION = 1e-6, LABEL_LEAF = 3;
/* Trees agree more than they should, since bootstrap samples share most rows: deviations are taken larger by a factor,
 * chosen with the size of the leaves on six analytic functions. */
static const double VALUE_LEAF = 1, DEVIATION = 1.5;

typedef struct model {
    const athi_observed *seen;
    athi_forest value, feasible;
    double best;   /* to improve upon: the least mean at a trial */
    double weight; /* of the logarithm of the probability that a point does not fail; 0: nothing failed */
} model;

/* Points of one step of a search, with their rows. */
typedef struct batch {
    double *points, *rows, *score, *mean, *variance;
    int64_t n, cap;
} batch;

typedef struct search {
    const model *model;
    const athi_space *space;
    const athi_encoder *encoder;
    const athi_tried_set *tried;
    athi_rng *rng;
    batch batch;
    double *best, *scratch; /* the best untried point; a point */
    double score;           /* of best */
    bool found;
} search;

static size_t point_bytes(const search *s) { return (size_t)s->space->n * sizeof(double); }

/* ---- the model ----------------------------------------------------------------------------------------- */

static uint64_t purpose(const athi_view *view, int stream) {
    return ATHI_PURPOSE(ATHI_RNG_SAMPLER, (uint64_t)view->trial | (uint64_t)stream << 37);
}

/* Which trials with a value the model sees. */
static ath_status choose(athi_arena *arena, const athi_observed *o, bool **taken, int64_t *count) {
    *taken = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof **taken);
    if (!*taken) return ATH_E_NOMEM;
    int64_t n = ATHI_MIN(o->n, MOST_MODELLED), best = n < o->n ? n / 2 : n;
    for (*count = 0; *count < best; ++*count) (*taken)[o->order[*count]] = true;
    for (int64_t i = o->n - 1; *count < n; i--)
        if (!(*taken)[i]) (*taken)[i] = true, ++*count;
    return ATH_OK;
}

/* Rows and values of the trials that the model sees, and then of the running ones. */
typedef struct sample {
    double *x, *y;
    int64_t n, pending;
} sample;

static ath_status collect(athi_arena *arena, const athi_observed *o, const bool *taken, int64_t count, sample *s) {
    int64_t d = o->encoder.d, pending = ATHI_MIN(o->n_pending, MOST_MODELLED);
    *s = (sample){.pending = pending};
    s->x = athi_arena_array(arena, (count + pending) * d, sizeof *s->x);
    s->y = athi_arena_array(arena, count + pending, sizeof *s->y);
    if (!s->x || !s->y) return ATH_E_NOMEM;
    for (int64_t i = 0; i < o->n; i++) {
        if (!taken[i]) continue;
        memcpy(s->x + s->n * d, o->x + i * d, (size_t)d * sizeof *s->x);
        s->y[s->n++] = o->log_rank[i];
    }
    memcpy(s->x + s->n * d, o->pending + (o->n_pending - pending) * d, (size_t)(pending * d) * sizeof *s->x);
    return ATH_OK;
}

/* The least mean at a trial that keeps its constraints, if any does. */
static ath_status least_mean(athi_arena *arena, const athi_observed *o, const bool *taken, const sample *s,
                             model *m) {
    double *mean = athi_arena_array(arena, s->n, sizeof *mean),
           *variance = athi_arena_array(arena, s->n, sizeof *mean);
    if (!mean || !variance) return ATH_E_NOMEM;
    athi_forest_predict(&m->value, s->x, s->n, mean, variance);
    m->best = INFINITY;
    for (int64_t i = 0, k = 0; i < o->n; i++) {
        if (!taken[i]) continue;
        if (o->feasible[i] || !o->feasible[o->order[0]]) m->best = fmin(m->best, mean[k]);
        k++;
    }
    return ATH_OK;
}

static ath_status model_values(athi_arena *arena, const athi_forest_sampler_opts *opts, const athi_observed *o,
                               const bool *taken, int64_t count, model *m) {
    const athi_forest_opts how = {opts->trees, VALUE_LEAF, o->view->seed, purpose(o->view, VALUE_FOREST)};
    sample s;
    ATH_TRY(collect(arena, o, taken, count, &s));
    ATH_TRY(athi_forest_fit(arena, o->encoder.dims, o->encoder.d, s.x, s.y, s.n, &how, &m->value));
    ATH_TRY(least_mean(arena, o, taken, &s, m));
    if (s.pending == 0) return ATH_OK;
    double *variance = athi_arena_array(arena, s.pending, sizeof *variance);
    if (!variance) return ATH_E_NOMEM;
    athi_forest_predict(&m->value, s.x + s.n * o->encoder.d, s.pending, s.y + s.n, variance);
    return athi_forest_fit(arena, o->encoder.dims, o->encoder.d, s.x, s.y, s.n + s.pending, &how, &m->value);
}

/* Labels: 1 for a trial that went well, 0 for one that failed or broke a constraint. */
static ath_status model_failures(athi_arena *arena, const athi_forest_sampler_opts *opts, const athi_observed *o,
                                 const bool *taken, int64_t count, model *m) {
    int64_t d = o->encoder.d, n = 0, bad, failed = ATHI_MIN(o->n_failed, MOST_MODELLED);
    double *x = athi_arena_array(arena, (count + failed) * d, sizeof *x);
    double *y = athi_arena_array(arena, count + failed, sizeof *y);
    if (!x || !y) return ATH_E_NOMEM;
    memcpy(x, o->failed + (o->n_failed - failed) * d, (size_t)(failed * d) * sizeof *x);
    n = bad = failed;
    for (int64_t i = 0; i < o->n; i++) {
        if (!taken[i]) continue;
        memcpy(x + n * d, o->x + i * d, (size_t)d * sizeof *x);
        y[n++] = o->feasible[i], bad += !o->feasible[i];
    }
    if (bad == 0) return ATH_OK;
    m->weight = opts->feasibility;
    const athi_forest_opts how = {opts->trees, LABEL_LEAF, o->view->seed, purpose(o->view, FEASIBLE_FOREST)};
    return athi_forest_fit(arena, o->encoder.dims, d, x, y, n, &how, &m->feasible);
}

static void score(const model *m, batch *b) {
    double unused;
    athi_forest_predict(&m->value, b->rows, b->n, b->mean, b->variance);
    for (int64_t i = 0; i < b->n; i++) {
        double sd = fmax(DEVIATION * sqrt(b->variance[i]), LEAST_DEVIATION);
        b->score[i] = log(sd) + athi_log_improvement((m->best - b->mean[i]) / sd, &unused);
    }
    if (m->weight == 0) return;
    athi_forest_predict(&m->feasible, b->rows, b->n, b->mean, b->variance);
    for (int64_t i = 0; i < b->n; i++) b->score[i] += m->weight * log(fmax(b->mean[i], LEAST_PROBABILITY));
}

/* ---- the search ---------------------------------------------------------------------------------------- */

static ath_status batch_create(athi_arena *arena, const athi_encoder *e, int64_t cap, batch *b) {
    *b = (batch){.cap = cap};
    b->points = athi_arena_array(arena, cap * e->space->n, sizeof *b->points);
    b->rows = athi_arena_array(arena, cap * e->d, sizeof *b->rows);
    b->score = athi_arena_array(arena, cap, sizeof *b->score);
    b->mean = athi_arena_array(arena, cap, sizeof *b->mean);
    b->variance = athi_arena_array(arena, cap, sizeof *b->variance);
    return b->points && b->rows && b->score && b->mean && b->variance ? ATH_OK : ATH_E_NOMEM;
}

static void put(search *s, const double *point) {
    batch *b = &s->batch;
    memcpy(b->points + b->n * s->space->n, point, point_bytes(s));
    athi_encode(s->encoder, point, b->rows + b->n++ * s->encoder->d);
}

/* Scores what was put, and keeps the best that was not tried. */
static void look(search *s) {
    batch *b = &s->batch;
    score(s->model, b);
    for (int64_t i = 0; i < b->n; i++) {
        const double *point = b->points + i * s->space->n;
        if ((s->found && b->score[i] <= s->score) || athi_tried_set_has(s->tried, point)) continue;
        memcpy(s->best, point, point_bytes(s));
        s->score = b->score[i], s->found = true;
    }
}

/* Each parameter changed alone: to every other branch, or by a few steps of several sizes. */
static void put_neighbours(search *s, const double *point) {
    s->batch.n = 0;
    for (int64_t j = 0; j < s->encoder->d; j++) {
        int i = s->encoder->param[j];
        const athi_space_param *p = &s->space->params[i];
        if (isnan(point[i])) continue;
        bool every = p->type == ATHI_PARAM_CHOICE && !p->ordered && p->n_branches <= MOST_BRANCHES;
        for (int64_t k = 0; k < (every ? p->n_branches : MOVES); k++) {
            double v = every ? (double)k : athi_param_move(p, point[i], s->rng);
            if (v == point[i]) continue;
            memcpy(s->scratch, point, point_bytes(s));
            s->scratch[i] = v;
            athi_space_normalize(s->space, s->scratch);
            put(s, s->scratch);
        }
    }
}

static int64_t best_of(const batch *b) {
    int64_t best = 0;
    for (int64_t i = 1; i < b->n; i++)
        if (b->score[i] > b->score[best]) best = i;
    return best;
}

static void climb(search *s, double *point, double value) {
    for (int step = 0; step < MOST_STEPS; step++) {
        put_neighbours(s, point);
        if (s->batch.n == 0) return;
        look(s);
        int64_t best = best_of(&s->batch);
        if (!(s->batch.score[best] > value)) return;
        value = s->batch.score[best];
        memcpy(point, s->batch.points + best * s->space->n, point_bytes(s));
    }
}

static ath_status search_all(athi_arena *arena, search *s) {
    athi_walk walk;
    ATH_TRY(athi_walk_create(arena, s->space, 0, &walk));
    athi_walk_first(&walk, s->scratch);
    for (bool more = true; more; look(s))
        for (s->batch.n = 0; more && s->batch.n < s->batch.cap;) {
            put(s, s->scratch);
            more = athi_walk_next(&walk, s->scratch);
        }
    return ATH_OK;
}

/* From the best trials, and from the best draws. */
static ath_status search_some(athi_arena *arena, search *s) {
    const athi_observed *o = s->model->seen;
    int64_t tops = ATHI_MIN(o->n, STARTS), n = tops + STARTS;
    double *starts = athi_arena_array(arena, n * s->space->n, sizeof *starts), *value = athi_arena_array(arena, n, 8);
    if (!starts || !value) return ATH_E_NOMEM;
    for (int k = 0; k < DRAWS; k++) {
        athi_space_sample(s->space, s->rng, s->scratch);
        put(s, s->scratch);
    }
    look(s);
    for (int64_t k = tops; k < n; k++) {
        int64_t best = best_of(&s->batch);
        memcpy(starts + k * s->space->n, s->batch.points + best * s->space->n, point_bytes(s));
        value[k] = s->batch.score[best], s->batch.score[best] = -INFINITY;
    }
    s->batch.n = 0;
    for (int64_t k = 0; k < tops; k++) {
        athi_trial_point(o->view, o->trial[o->order[k]], starts + k * s->space->n);
        put(s, starts + k * s->space->n);
    }
    look(s);
    memcpy(value, s->batch.score, (size_t)tops * sizeof *value);
    for (int64_t k = 0; k < n; k++) climb(s, starts + k * s->space->n, value[k]);
    return ATH_OK;
}

static ath_status modelled_point(athi_arena *arena, const athi_forest_sampler_opts *opts, const athi_observed *o,
                                 athi_rng *rng, double *point, bool *found) {
    const athi_space *space = o->view->space;
    model m = {.seen = o};
    bool *taken;
    int64_t count;
    athi_tried_set tried;
    ATH_TRY(choose(arena, o, &taken, &count));
    ATH_TRY(model_values(arena, opts, o, taken, count, &m));
    if (opts->feasibility > 0) ATH_TRY(model_failures(arena, opts, o, taken, count, &m));
    ATH_TRY(athi_tried_set_create(arena, o->view, &tried));
    search s = {.model = &m, .space = space, .encoder = &o->encoder, .tried = &tried, .rng = rng, .best = point};
    ATH_TRY(batch_create(arena, &o->encoder, ATHI_MAX(DRAWS, MOST_BRANCHES * o->encoder.d), &s.batch));
    s.scratch = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *s.scratch);
    if (!s.scratch) return ATH_E_NOMEM;
    ATH_TRY(athi_space_size(space) <= SMALL_SPACE ? search_all(arena, &s) : search_some(arena, &s));
    *found = s.found;
    return ATH_OK;
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

static const athi_forest_sampler_opts defaults = {.trees = 64, .random_share = 0.08, .feasibility = 1};

static int64_t initial_count(const athi_forest_sampler_opts *opts, const athi_view *view, int64_t dims) {
    if (opts->num_initial_points > 0) return opts->num_initial_points;
    int64_t n = ATHI_MIN(ATHI_MAX(3 * dims, 3), MOST_INITIAL);
    return view->budget > 0 ? ATHI_MIN(n, ATHI_MAX(view->budget / 4, 3)) : n;
}

static ath_status first_point(ath_ctx *ctx, const athi_view *view, double *point, bool *exhausted) {
    athi_space_default(view->space, point);
    *exhausted = false;
    return athi_tried(view, point) ? athi_sampler_sobol.suggest(ctx, NULL, view, point, exhausted) : ATH_OK;
}

static ath_status search_point(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view,
                               double *point, bool *exhausted) {
    const athi_forest_sampler_opts *opts = options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    athi_observed o;
    bool found = false;
    ATH_TRY(athi_observe(arena, view, &o));
    int64_t first = initial_count(opts, view, o.encoder.d);
    if (o.n + o.n_failed + o.n_pending < first || o.n < ATHI_MIN(ENOUGH_VALUES, first) || o.encoder.d == 0)
        return first_point(ctx, view, point, exhausted);
    if (athi_rng_uniform(&rng) >= opts->random_share) ATH_TRY(modelled_point(arena, opts, &o, &rng, point, &found));
    if (!found) athi_space_sample(view->space, &rng, point);
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search_point};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_forest = {suggest};

#define AT(field) offsetof(athi_forest_sampler_opts, field)
const athi_option athi_sampler_forest_options[] = {
    {.name = "num_initial_points",
     .type = ATHI_OPT_INT,
     .offset = AT(num_initial_points),
     .fallback = "null",
     .min = 1,
     .max = 1000000,
     .nullable = true,
     .doc = "trials before the model is used; by default 3 per parameter, at most 20 and a quarter of max_trials"},
    {.name = "trees",
     .type = ATHI_OPT_INT,
     .offset = AT(trees),
     .fallback = "64",
     .min = 1,
     .max = 10000,
     .doc = "trees of the forest"},
    {.name = "random_share",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(random_share),
     .fallback = "0.08",
     .min = 0,
     .max = 1,
     .doc = "share of the suggestions, after the first points, that are plain draws"},
    {.name = "feasibility",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(feasibility),
     .fallback = "1",
     .min = 0,
     .max = 10,
     .doc = "weight of the probability that a point does not fail; 0: failed trials are ignored"},
    {0},
};
