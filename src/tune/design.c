/* The first points of a study (see design.h). */
#include "tune/design.h"

#include <math.h>

enum { FEWEST = 6, MOST = 20 };

/* Branches of the choices that others depend on: the largest number. */
static int64_t most_branches(const athi_space *space) {
    int64_t most = 0;
    for (int64_t i = 0; i < space->n; i++)
        for (int k = 0; k < space->params[i].n_conditions; k++) {
            const athi_space_param *parent = &space->params[space->params[i].conditions[k].parent];
            if (parent->type == ATHI_PARAM_CHOICE) most = ATHI_MAX(most, (int64_t)parent->n_branches);
        }
    return most;
}

int64_t athi_design_size(const athi_view *view, int64_t dims) {
    int64_t n = ATHI_MIN(ATHI_MAX(dims + 1, FEWEST), MOST);
    n = ATHI_MAX(n, ATHI_MIN(2 * most_branches(view->space) + 1, MOST));
    return view->budget > 0 ? ATHI_MIN(n, ATHI_MAX(view->budget / 5, 3)) : n;
}

/* Which of n strata point `at` draws parameter i from: a permutation for each (seed, round, parameter). */
static ath_status stratum(athi_arena *arena, const athi_view *view, int64_t round, int64_t i, int64_t at, int64_t n,
                          int64_t *out) {
    int64_t *order = athi_arena_array(arena, n, sizeof *order);
    if (!order) return ATH_E_NOMEM;
    uint64_t id = UINT64_C(1) << 39 | (uint64_t)(round & 0x3fffff) << 16 | (uint64_t)(i & 0xffff);
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, id));
    for (int64_t k = 0; k < n; k++) {
        int64_t j = (int64_t)athi_rng_below(&rng, (uint64_t)k + 1);
        order[k] = order[j];
        order[j] = k;
    }
    *out = order[at];
    return ATH_OK;
}

ath_status athi_design_point(athi_arena *arena, const athi_view *view, int64_t n, athi_rng *rng, double *point) {
    const athi_space *space = view->space;
    athi_space_default(space, point);
    if (!athi_tried(view, point)) return ATH_OK;
    int64_t strata = ATHI_MAX(n - 1, 1), at = ATHI_MAX(view->trial - 1, 0); /* the default was number 0 */
    for (int64_t i = 0; i < space->n; i++) {
        int64_t s;
        ATH_TRY(stratum(arena, view, at / strata, i, at % strata, strata, &s));
        point[i] = athi_param_from_unit(&space->params[i], ((double)s + athi_rng_uniform(rng)) / (double)strata);
    }
    athi_space_normalize(space, point);
    return ATH_OK;
}
