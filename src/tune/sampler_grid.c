/* Grid search: every point once, the default first, the last parameters changing fastest. Floats without a
 * step, and log ints without one, give ten values spread by their prior (as in KerasTuner). Ends when all
 * were tried. */
#include "tune/sampler_internal.h"

enum { LEVELS = 10 };

static ath_status search(athi_arena *arena, const athi_view *view, double *point, bool *exhausted) {
    athi_walk walk;
    athi_tried_set set;
    ATH_TRY(athi_walk_create(arena, view->space, LEVELS, &walk));
    ATH_TRY(athi_tried_set_create(arena, view, &set));
    *exhausted = false;
    athi_walk_first(&walk, point);
    while (athi_tried_set_has(&set, point))
        if (!athi_walk_next(&walk, point)) {
            *exhausted = true;
            break;
        }
    return ATH_OK;
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point,
                          bool *exhausted) {
    (void)opts;
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = search(arena, view, point, exhausted);
    athi_arena_destroy(arena);
    return status;
}

const athi_sampler_impl athi_sampler_grid = {suggest};
