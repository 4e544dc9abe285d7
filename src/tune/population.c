/* Folding trials into a population, and keeping it between suggestions. */
#include "tune/population.h"

#include "tune/observed.h"

/* In the cache. */
typedef struct kept {
    athi_arena *arena;
    athi_population *population;
    const athi_space *space;
    uint64_t seed;
} kept;

static void destroy(void *data) { athi_arena_destroy(((kept *)data)->arena); }

/* A trial that appeared among the covered ones since would move the last of them. */
static bool fits(const athi_view *v, const kept *k, int64_t size) {
    const athi_population *p = k->population;
    return k->seed == v->seed && k->space == v->space && p->size == size && p->covered <= v->n &&
           (p->covered == 0 || v->trials[p->covered - 1]->number == p->last);
}

static bool begin(athi_arena *arena, const athi_population_kind *kind, int64_t size, athi_population *p) {
    memset(p, 0, (size_t)kind->bytes);
    p->size = size;
    return kind->make(arena, p);
}

/* The population in the view's cache; one of another sampler or study makes room for a new one. */
static ath_status recall(ath_ctx *ctx, const athi_view *view, const athi_population_kind *kind, int64_t size,
                         athi_population **out) {
    athi_cache *cache = view->cache;
    if (cache->owner != kind->sampler || !fits(view, cache->data, size)) {
        athi_cache_clear(cache);
        athi_arena *arena = athi_arena_create(ctx);
        kept *k = arena ? athi_arena_alloc(arena, sizeof *k) : NULL;
        athi_population *p = k ? athi_arena_alloc(arena, kind->bytes) : NULL;
        if (!p || !begin(arena, kind, size, p)) {
            athi_arena_destroy(arena);
            return ATH_E_NOMEM;
        }
        *k = (kept){arena, p, view->space, view->seed};
        *cache = (athi_cache){kind->sampler, k, destroy};
    }
    *out = ((kept *)cache->data)->population;
    return ATH_OK;
}

/* Until the end of the view, or the first trial that has not ended. */
static ath_status fold(athi_arena *scratch, const athi_view *view, const athi_population_kind *kind,
                       athi_population *p, bool to_the_end) {
    for (; p->covered < view->n; p->covered++) {
        const athi_trial *t = view->trials[p->covered];
        if (!to_the_end && athi_trial_evidence(view, t) == ATHI_SAYS_PENDING) return ATH_OK;
        ATH_TRY(kind->join(scratch, view, p, p->covered));
        p->last = t->number;
    }
    return ATH_OK;
}

ath_status athi_populate(ath_ctx *ctx, athi_arena *arena, athi_arena *scratch, const athi_view *view,
                         const athi_population_kind *kind, int64_t size, athi_population *p) {
    if (!begin(arena, kind, size, p)) return ATH_E_NOMEM;
    if (view->cache) {
        athi_population *known;
        ATH_TRY(recall(ctx, view, kind, size, &known));
        ath_status status = fold(scratch, view, kind, known, false);
        if (status != ATH_OK) return athi_cache_clear(view->cache), status; /* a trial may have joined by half */
        *p = (athi_population){.size = size, .covered = known->covered, .last = known->last};
        kind->copy(p, known);
    }
    return fold(scratch, view, kind, p, true);
}
