/* Random search: a draw from the prior. A point that was tried is drawn again; where that keeps happening (a
 * space nearly full), the nearest untried point is taken, so that a finite space is exhausted exactly. */
#include "tune/sampler_internal.h"

enum { REDRAWS = 32 };

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point,
                          bool *exhausted) {
    (void)opts;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    *exhausted = false;
    for (int i = 0; i < REDRAWS; i++) {
        athi_space_sample(view->space, &rng, point);
        if (!athi_tried(view, point)) return ATH_OK;
    }
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_random = {suggest};
