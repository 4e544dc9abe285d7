/* The frame of a suggestion: an arena of its own, and BLAS on one thread. What is kept between suggestions. */
#include "tune/sampler_internal.h"

#include <cblas.h>

ath_status athi_suggestion_run(ath_ctx *ctx, const athi_suggestion *s, const void *opts, const athi_view *view,
                               double *point, bool *exhausted) {
    athi_arena *arena = athi_arena_create(ctx);
    *exhausted = false;
    if (!arena || (s->room && !athi_arena_reserve(arena, s->room(opts, view)))) {
        athi_arena_destroy(arena);
        return ATH_E_NOMEM;
    }
    int threads = openblas_get_num_threads(); /* matrices this small lose by threads, and sums would differ */
    openblas_set_num_threads(1);
    ath_status status = s->search(ctx, arena, opts, view, point, exhausted);
    openblas_set_num_threads(threads);
    athi_arena_destroy(arena);
    return status;
}

void athi_cache_clear(athi_cache *cache) {
    if (cache->destroy) cache->destroy(cache->data);
    *cache = (athi_cache){0};
}
