/* Tree-structured Parzen estimator, by the rules of Optuna 5 (multivariate): of candidates drawn from the density of
 * the good trials, the one that the good make most likely against the bad.
 *
 *   first points   draws from the priors
 *   good           the best tenth of those with a value, at most 25: those that
 *                  keep constraints first, complete ones before pruned ones
 *   bad            all others: also the failed (crash, memory, timeout, nan) and, as a pessimistic guess that keeps
 *                  parallel suggestions apart, the running; the older count less
 *   silent         lost trials, those without a point */
#include "tune/hypervolume.h"
#include "tune/observed.h"
#include "tune/pareto.h"
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

/* How trials are ranked, less is better: those that keep their constraints before those that break them, these by how
 * far; complete ones by value (several objectives: by layer, then by what they add to its hypervolume), then pruned ones
 * by how far they came and their last report. */
typedef struct rank {
    double violation, first, second;
    bool pruned;
} rank;

static rank rank_alone(const athi_view *view, const athi_trial *t) {
    double violation = athi_trial_violation(t);
    if (t->state != ATHI_TRIAL_PRUNED) return (rank){violation, athi_trial_loss(view, t, 0), 0, false};
    if (t->n_reports == 0) return (rank){violation, 0, INFINITY, true};
    const athi_report *r = &t->reports[t->n_reports - 1];
    double value = isnan(r->value) ? INFINITY : view->maximize[0] ? -r->value : r->value;
    return (rank){violation, -(double)r->step, value, true};
}

/* Takes `most` rows one by one, each that which adds most hypervolume to those before (greedy subset selection, as in
 * Optuna 5), below 1.1 times the worst values, or 0.9 times where these are negative. What a row adds can only shrink as
 * others are taken, so few are computed anew. */
static ath_status take_greedily(athi_arena *arena, double *rows, int64_t n, int m, int64_t most, double *place) {
    double reference[ATHI_OBJECTIVES_MAX], volume = 0,
                                           *taken = athi_arena_array(arena, (most + 1) * m, sizeof *taken),
                                           *gain = athi_arena_array(arena, n, sizeof *gain);
    athi_arena *scratch = athi_arena_create(athi_arena_ctx(arena));
    ath_status status = taken && gain && scratch ? ATH_OK : ATH_E_NOMEM;
    for (int k = 0; k < m; k++) {
        double worst = -INFINITY;
        for (int64_t i = 0; i < n; i++) worst = fmax(worst, rows[i * m + k]);
        reference[k] = worst == 0 ? 1e-12 : fmax(1.1 * worst, 0.9 * worst);
    }
    for (int64_t i = 0; status == ATH_OK && i < n; i++) place[i] = gain[i] = INFINITY;
    for (int64_t round = 0; status == ATH_OK && round < most; round++) {
        double best = -1;
        int64_t which = -1;
        for (int64_t i = 0; status == ATH_OK && i < n; i++) {
            double with;
            if (place[i] < INFINITY || gain[i] <= best) continue;
            athi_arena_reset(scratch);
            memcpy(taken + round * m, rows + i * m, (size_t)m * sizeof *taken);
            status = athi_hypervolume(scratch, taken, round + 1, m, reference, &with);
            gain[i] = fmax(with - volume, 0);
            if (gain[i] > best) best = gain[i], which = i;
        }
        if (which < 0) break;
        memcpy(taken + round * m, rows + which * m, (size_t)m * sizeof *taken);
        place[which] = (double)round, volume += best;
    }
    athi_arena_destroy(scratch);
    return status;
}

/* Complete trials without violation, by layer; those of the layer where the good end also by turns. */
static ath_status rank_several(athi_arena *arena, const athi_view *view, const part *parts, int64_t most,
                               rank *ranks) {
    int m = view->n_objectives;
    int64_t rows = ATHI_MAX(view->n, 1), n = 0, at_edge = 0, sum = 0, edge = 0;
    double *losses = athi_arena_array(arena, rows * m, sizeof *losses),
           *place = athi_arena_array(arena, rows, sizeof *place);
    int64_t *trial = athi_arena_array(arena, rows, sizeof *trial),
            *layer = athi_arena_array(arena, rows, sizeof *layer),
            *count = athi_arena_array(arena, rows, sizeof *count),
            *members = athi_arena_array(arena, rows, sizeof *members);
    if (!losses || !place || !trial || !layer || !count || !members) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        if (parts[t] != VALUED || ranks[t].pruned || ranks[t].violation > 0) continue;
        for (int k = 0; k < m; k++) losses[n * m + k] = athi_trial_loss(view, view->trials[t], k);
        trial[n++] = t;
    }
    if (n == 0) return ATH_OK;
    ATH_TRY(athi_pareto_layers(arena, losses, n, m, layer));
    for (int64_t i = 0; i < n; i++) ranks[trial[i]].first = (double)layer[i], count[layer[i]]++;
    while (edge < n && sum + count[edge] <= most) sum += count[edge++];
    for (int64_t i = 0; i < n; i++)
        if (layer[i] == edge) members[at_edge++] = i;
    if (at_edge == 0 || sum == most) return ATH_OK;
    for (int64_t i = 0; i < at_edge; i++) /* in order, so that each moves forward or stays */
        memmove(losses + i * m, losses + members[i] * m, (size_t)m * sizeof *losses);
    ATH_TRY(take_greedily(arena, losses, at_edge, m, most - sum, place));
    for (int64_t i = 0; i < at_edge; i++) ranks[trial[members[i]]].second = place[i];
    return ATH_OK;
}

static bool before(const rank *a, const rank *b) {
    if (a->violation != b->violation) return a->violation < b->violation;
    if (a->pruned != b->pruned) return !a->pruned;
    return a->first != b->first ? a->first < b->first : a->second < b->second;
}

/* Marks the best `most`, the older of equals first. */
static void mark_good(const athi_view *view, const rank *ranks, part *parts, int64_t most) {
    rank best[MOST_GOOD];
    int64_t trial[MOST_GOOD], n = 0;
    for (int64_t t = 0; t < view->n && most > 0; t++) {
        if (parts[t] != VALUED) continue;
        rank r = ranks[t];
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
    rank *ranks = athi_arena_array(arena, n, sizeof *ranks);
    if (!s->good || !s->bad || !parts || !ranks) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        parts[t] = part_of(view, view->trials[t]);
        if (parts[t] == VALUED) ranks[t] = rank_alone(view, view->trials[t]), valued++;
        s->finished += parts[t] == VALUED || parts[t] == BAD;
    }
    int64_t most = ATHI_MIN((valued + 9) / 10, MOST_GOOD);
    if (view->n_objectives > 1) ATH_TRY(rank_several(arena, view, parts, most, ranks));
    mark_good(view, ranks, parts, most);
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
