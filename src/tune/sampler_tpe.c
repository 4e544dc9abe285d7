/* Tree-structured Parzen estimator, by the rules of Optuna 5 (multivariate): of candidates drawn from the density of
 * the good trials, the one that the good make most likely against the bad.
 *
 *   first points   draws from the priors
 *   good           the best tenth of those with a value, at most 25; complete ones before pruned ones
 *   bad            all others: also the failed (crash, memory, timeout, nan) and, as a pessimistic guess that keeps
 *                  parallel suggestions apart, the running; the older count less
 *   silent         lost trials, those without a point */
#include "tune/parzen.h"

#include <math.h>

enum { MOST_GOOD = 25, RECENT = 25, REDRAWS = 32 };

typedef enum part { SILENT, VALUED, BAD, RUNNING, GOOD } part;

typedef struct split {
    int64_t *good, *bad; /* trials, in order */
    int64_t n_good, n_bad, finished;
} split;

/* ---- good and bad -------------------------------------------------------------------------------------- */

static part part_of(const athi_view *view, const athi_trial *t) {
    if (!t->point || t->outside) return SILENT;
    switch (t->state) {
    case ATHI_TRIAL_WAITING:
    case ATHI_TRIAL_RUNNING:
    case ATHI_TRIAL_PAUSED: return RUNNING;
    case ATHI_TRIAL_FAILED: return t->reason == ATHI_REASON_LOST || t->reason == ATHI_REASON_NONE ? SILENT : BAD;
    case ATHI_TRIAL_PRUNED: return VALUED;
    case ATHI_TRIAL_COMPLETE: break;
    }
    for (int k = 0; k < view->n_objectives; k++)
        if (!t->values || !isfinite(t->values[k])) return BAD;
    return VALUED;
}

static bool dominates(const athi_view *view, const athi_trial *a, const athi_trial *b) {
    bool better = false;
    for (int k = 0; k < view->n_objectives; k++) {
        double x = view->maximize[k] ? -a->values[k] : a->values[k];
        double y = view->maximize[k] ? -b->values[k] : b->values[k];
        if (x > y) return false;
        better = better || x < y;
    }
    return better;
}

/* How trials are ranked, less is better: complete ones by value (several objectives: by how many dominate them), then
 * pruned ones by how far they came and their last report. */
typedef struct rank {
    double first, second;
    bool pruned;
} rank;

static rank rank_of(const athi_view *view, const athi_trial *t) {
    if (t->state == ATHI_TRIAL_PRUNED) {
        if (t->n_reports == 0) return (rank){0, INFINITY, true};
        const athi_report *r = &t->reports[t->n_reports - 1];
        double value = isnan(r->value) ? INFINITY : view->maximize[0] ? -r->value : r->value;
        return (rank){-(double)r->step, value, true};
    }
    if (view->n_objectives == 1) return (rank){view->maximize[0] ? -t->values[0] : t->values[0], 0, false};
    rank r = {0};
    for (int64_t i = 0; i < view->n; i++) {
        const athi_trial *other = view->trials[i];
        if (other->state != ATHI_TRIAL_COMPLETE || part_of(view, other) != VALUED) continue;
        r.first += dominates(view, other, t);
    }
    return r;
}

static bool before(const rank *a, const rank *b) {
    if (a->pruned != b->pruned) return !a->pruned;
    return a->first != b->first ? a->first < b->first : a->second < b->second;
}

/* Marks the best `most`, the older of equals first. */
static void mark_good(const athi_view *view, part *parts, int64_t most) {
    rank best[MOST_GOOD];
    int64_t trial[MOST_GOOD], n = 0;
    for (int64_t t = 0; t < view->n && most > 0; t++) {
        if (parts[t] != VALUED) continue;
        rank r = rank_of(view, view->trials[t]);
        if (n == most && !before(&r, &best[n - 1])) continue;
        int64_t at = n < most ? n++ : n - 1;
        for (; at > 0 && before(&r, &best[at - 1]); at--) best[at] = best[at - 1], trial[at] = trial[at - 1];
        best[at] = r, trial[at] = t;
    }
    for (int64_t k = 0; k < n; k++) parts[trial[k]] = GOOD;
}

static ath_status split_trials(athi_arena *arena, const athi_view *view, split *s) {
    int64_t n = ATHI_MAX(view->n, 1), valued = 0;
    *s = (split){0};
    s->good = athi_arena_array(arena, n, sizeof *s->good);
    s->bad = athi_arena_array(arena, n, sizeof *s->bad);
    part *parts = athi_arena_array(arena, n, sizeof *parts);
    if (!s->good || !s->bad || !parts) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        parts[t] = part_of(view, view->trials[t]);
        valued += parts[t] == VALUED;
        s->finished += parts[t] == VALUED || parts[t] == BAD;
    }
    mark_good(view, parts, ATHI_MIN((valued + 9) / 10, MOST_GOOD));
    for (int64_t t = 0; t < view->n; t++)
        if (parts[t] == GOOD)
            s->good[s->n_good++] = t;
        else if (parts[t] != SILENT)
            s->bad[s->n_bad++] = t;
    return ATH_OK;
}

/* The latest RECENT count 1, those before them from 1/n up. */
static ath_status estimate(athi_arena *arena, const athi_axes *axes, const int64_t *trials, int64_t n,
                           athi_parzen *p) {
    double *weights = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *weights);
    if (!weights) return ATH_E_NOMEM;
    int64_t ramp = n - RECENT;
    for (int64_t i = 0; i < n; i++) {
        double share = ramp > 1 ? (double)i / (double)(ramp - 1) : 0;
        weights[i] = i < ramp ? (1 - share) / (double)n + share : 1;
    }
    *p = (athi_parzen){.axes = axes, .trials = trials, .weights = weights, .n = n};
    return ATH_OK;
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

static ath_status first_point(ath_ctx *ctx, const athi_view *view, athi_rng *rng, double *point, bool *exhausted) {
    for (int i = 0; i < REDRAWS; i++) {
        athi_space_sample(view->space, rng, point);
        if (!athi_tried(view, point)) return ATH_OK;
    }
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

/* The best candidate that was not tried; if all were, the untried point nearest to the best. */
static ath_status choose(ath_ctx *ctx, const athi_view *view, const athi_candidates *c, double *scores, double *point,
                         bool *exhausted) {
    size_t bytes = (size_t)view->space->n * sizeof *point;
    int64_t first = -1;
    for (int64_t round = 0; round < c->n; round++) {
        int64_t best = 0;
        for (int64_t i = 1; i < c->n; i++)
            if (scores[i] > scores[best]) best = i;
        if (first < 0) first = best;
        memcpy(point, c->points + best * view->space->n, bytes);
        if (!athi_tried(view, point)) return ATH_OK;
        scores[best] = -INFINITY;
    }
    memcpy(point, c->points + first * view->space->n, bytes);
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    const athi_tpe_opts *opts = options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    int64_t n = opts->candidates;
    athi_axes axes;
    athi_parzen good, bad;
    athi_candidates candidates;
    split s;
    ATH_TRY(split_trials(arena, view, &s));
    if (s.finished < opts->num_initial_points) return first_point(ctx, view, &rng, point, exhausted);
    ATH_TRY(athi_axes_create(arena, view, &axes));
    ATH_TRY(estimate(arena, &axes, s.good, s.n_good, &good));
    ATH_TRY(estimate(arena, &axes, s.bad, s.n_bad, &bad));
    ATH_TRY(athi_parzen_draw(arena, &good, &rng, n, &candidates));
    double *scores = athi_arena_array(arena, n, sizeof *scores),
           *against = athi_arena_array(arena, n, sizeof *against);
    if (!scores || !against) return ATH_E_NOMEM;
    ATH_TRY(athi_parzen_score(arena, &good, &candidates, scores));
    ATH_TRY(athi_parzen_score(arena, &bad, &candidates, against));
    for (int64_t c = 0; c < n; c++) scores[c] -= against[c];
    return choose(ctx, view, &candidates, scores, point, exhausted);
}

static const athi_tpe_opts defaults = {.num_initial_points = 10, .candidates = 24};

/* About what a suggestion takes, as one piece and a power of two: the next, a little larger, then gets the same memory
 * again, rather than fresh pages from the system (a quarter of the time). */
static int64_t room_for(const void *options, const athi_view *view) {
    const athi_tpe_opts *opts = options;
    double columns = (double)view->space->n + 2 * (double)opts->candidates + 48,
           bytes = 8 * columns * (double)view->n;
    int64_t room = 1 << 16;
    while ((double)room < bytes && room < 1 << 28) room *= 2;
    return room;
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {search, room_for};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_tpe = {suggest};

#define AT(field) offsetof(athi_tpe_opts, field)
const athi_option athi_sampler_tpe_options[] = {
    {.name = "num_initial_points",
     .type = ATHI_OPT_INT,
     .offset = AT(num_initial_points),
     .fallback = "10",
     .min = 0,
     .max = 1000000,
     .doc = "finished trials, drawn from the priors, before the model is used"},
    {.name = "candidates",
     .type = ATHI_OPT_INT,
     .offset = AT(candidates),
     .fallback = "24",
     .min = 1,
     .max = 100000,
     .doc = "points drawn from the good trials' density, of which the likeliest against the bad is taken"},
    {0},
};
