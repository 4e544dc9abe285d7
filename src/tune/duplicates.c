/* No point twice, and none that breaks a constraint: which points were tried (or may not be), and the nearest one that was not.
 *
 * Spaces of moderate size are walked whole, so that they are exhausted exactly. In larger ones, and in
 * infinite ones (where a branch without continuous parameters may still repeat), the neighbours of the point
 * and draws from the prior are looked at; a large finite space is walked once it is half full. */
#include "tune/sampler_internal.h"

#include <math.h>

static const double WALKED_WHOLE = 20000;
enum { DRAWS = 512, STEPS = 3, DUPLICATE_STREAM = 1 << 20 };

void athi_trial_point(const athi_view *view, int64_t i, double *point) {
    memcpy(point, view->trials[i]->point, (size_t)view->space->n * sizeof *point);
    athi_space_normalize(view->space, point);
}

/* As many trials as parameters of the space may have appeared later, a missing value is the default's. */
static bool same_point(const athi_space *space, const double *trial, const double *point) {
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        double a = trial[i], b = point[i];
        if (a == b || (isnan(a) && isnan(b))) continue;
        if (!isnan(a) || isnan(b) || b != space->params[i].fallback) return false;
        /* b is the default and a is missing: equal if the parameter exists in the trial, as it does when
         * everything above it was equal, which it was */
    }
    return true;
}

int64_t athi_tried_at(const athi_view *view, const double *point) {
    for (int64_t t = 0; t < view->n; t++)
        if (view->trials[t]->point && same_point(view->space, view->trials[t]->point, point)) return t;
    return -1;
}

bool athi_tried(const athi_view *view, const double *point) {
    return athi_tried_at(view, point) >= 0 || !athi_space_allows(view->space, point);
}

/* ---- the set ------------------------------------------------------------------------------------------- */

static uint64_t hash(const double *point, int64_t n) {
    uint64_t h = 0x9E3779B97F4A7C15u;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = 1; /* NaN, whichever */
        if (!isnan(point[i])) memcpy(&bits, &point[i], sizeof bits);
        h = (h ^ bits) * 0xBF58476D1CE4E5B9u;
        h ^= h >> 29;
    }
    return h;
}

static bool equal(const double *a, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

static int64_t find_slot(const athi_tried_set *set, const double *point) {
    int64_t d = set->space->n, at = (int64_t)(hash(point, d) & (uint64_t)set->mask);
    while (set->slots[at] && !equal(set->points + (set->slots[at] - 1) * d, point, d))
        at = (at + 1) & set->mask;
    return at;
}

ath_status athi_tried_set_create(athi_arena *arena, const athi_view *view, athi_tried_set *set) {
    int64_t d = view->space->n, cap = 16, cells;
    while (cap < 2 * view->n) cap *= 2;
    if (!athi_mul(view->n, d, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    *set = (athi_tried_set){.space = view->space, .mask = cap - 1};
    set->points = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof *set->points);
    set->slots = athi_arena_array(arena, cap, sizeof *set->slots);
    if (!set->points || !set->slots) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        if (!view->trials[t]->point) continue;
        double *row = set->points + set->n * d;
        athi_trial_point(view, t, row);
        int64_t at = find_slot(set, row);
        if (!set->slots[at]) set->slots[at] = ++set->n;
    }
    return ATH_OK;
}

bool athi_tried_set_has(const athi_tried_set *set, const double *point) {
    return set->slots[find_slot(set, point)] != 0 || !athi_space_allows(set->space, point);
}

/* ---- the nearest untried point ------------------------------------------------------------------------- */

double athi_point_distance(const athi_space *space, const double *a, const double *b) {
    double sum = 0;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        if (isnan(a[i]) && isnan(b[i])) continue;
        double d = 1;
        if (!isnan(a[i]) && !isnan(b[i]))
            d = p->type == ATHI_PARAM_CHOICE && !p->ordered
                    ? a[i] != b[i]
                    : athi_param_to_unit(p, a[i]) - athi_param_to_unit(p, b[i]);
        sum += d * d;
    }
    return sum;
}

typedef struct nearest {
    const athi_tried_set *set;
    const double *wanted;
    double *best;
    double distance;
    bool found;
} nearest;

static void consider(nearest *n, const double *point) {
    double d = athi_point_distance(n->set->space, n->wanted, point);
    if ((n->found && d >= n->distance) || athi_tried_set_has(n->set, point)) return;
    memcpy(n->best, point, (size_t)n->set->space->n * sizeof *point);
    n->distance = d, n->found = true;
}

static ath_status consider_all(athi_arena *arena, nearest *n, double *scratch) {
    athi_walk walk;
    ATH_TRY(athi_walk_create(arena, n->set->space, 0, &walk));
    athi_walk_first(&walk, scratch);
    do consider(n, scratch);
    while (athi_walk_next(&walk, scratch));
    return ATH_OK;
}

/* One parameter changed by up to STEPS grid steps (to any other branch), then draws from the prior. */
static void consider_some(nearest *n, const athi_view *view, double *scratch) {
    const athi_space *space = view->space;
    size_t bytes = (size_t)space->n * sizeof *scratch;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        int64_t count = athi_param_count(p);
        if (isnan(n->wanted[i]) || count == 1) continue;
        double u = athi_param_to_unit(p, n->wanted[i]);
        bool any = p->type == ATHI_PARAM_CHOICE && !p->ordered;
        int64_t changes = any ? count : 2 * STEPS;
        for (int64_t k = 0; k < changes; k++) {
            memcpy(scratch, n->wanted, bytes);
            double shift = (double)(k % 2 ? -(k / 2 + 1) : k / 2 + 1) / (count ? (double)count : 100.0);
            scratch[i] = any ? (double)k : athi_param_from_unit(p, u + shift);
            athi_space_normalize(space, scratch);
            consider(n, scratch);
        }
    }
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    rng.next = DUPLICATE_STREAM; /* apart from the numbers that the sampler drew */
    for (int k = 0; k < DRAWS; k++) {
        athi_space_sample(space, &rng, scratch);
        consider(n, scratch);
    }
}

static ath_status replace(athi_arena *arena, const athi_view *view, double *point, bool *exhausted) {
    const athi_space *space = view->space;
    double size = athi_space_size(space);
    athi_tried_set set;
    ATH_TRY(athi_tried_set_create(arena, view, &set));
    nearest n = {.set = &set, .wanted = point};
    n.best = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *n.best);
    double *scratch = athi_arena_array(arena, ATHI_MAX(space->n, 1), sizeof *scratch);
    if (!n.best || !scratch) return ATH_E_NOMEM;
    bool whole = size <= WALKED_WHOLE || 2 * (double)set.n > size;
    if (!whole) consider_some(&n, view, scratch);
    if (whole || (!n.found && isfinite(size))) ATH_TRY(consider_all(arena, &n, scratch));
    if (n.found)
        memcpy(point, n.best, (size_t)space->n * sizeof *point);
    else if (isfinite(size))
        *exhausted = true;
    return ATH_OK;
}

ath_status athi_avoid_duplicate(ath_ctx *ctx, const athi_view *view, double *point, bool *exhausted) {
    *exhausted = false;
    if (!athi_tried(view, point)) return ATH_OK;
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = replace(arena, view, point, exhausted);
    athi_arena_destroy(arena);
    return status;
}
