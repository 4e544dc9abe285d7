/* The walk over all points of a space (see sampler_internal.h). */
#include "tune/sampler_internal.h"

#include <math.h>

/* About `n` values spread by the prior, the default first in place of the one nearest to it. */
static ath_status make_levels(athi_arena *arena, const athi_space_param *p, int n, const double **levels,
                              int64_t *count) {
    double *values = athi_arena_array(arena, n, sizeof *values);
    if (!values) return ATH_E_NOMEM;
    double home = athi_param_to_unit(p, p->fallback), best = INFINITY;
    int nearest = 0;
    for (int i = 0; i < n; i++) {
        double distance = fabs((i + 0.5) / n - home);
        if (distance < best - 1e-12) best = distance, nearest = i;
    }
    int64_t used = 0;
    values[used++] = p->fallback;
    for (int i = 0; i < n; i++) {
        double v = athi_param_from_unit(p, (i + 0.5) / n);
        bool known = i == nearest;
        for (int64_t k = 0; k < used; k++) known = known || values[k] == v;
        if (!known) values[used++] = v;
    }
    *levels = values, *count = used;
    return ATH_OK;
}

ath_status athi_walk_create(athi_arena *arena, const athi_space *space, int levels, athi_walk *walk) {
    *walk = (athi_walk){.space = space};
    walk->levels = athi_arena_array(arena, space->n, sizeof *walk->levels);
    walk->count = athi_arena_array(arena, space->n, sizeof *walk->count);
    walk->at = athi_arena_array(arena, space->n, sizeof *walk->at);
    if (!walk->levels || !walk->count || !walk->at) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        walk->count[i] = athi_param_count(p);
        bool unstepped = p->type != ATHI_PARAM_CHOICE && p->step == 0;
        if (levels > 0 && unstepped && (walk->count[i] == 0 || walk->count[i] > levels))
            ATH_TRY(make_levels(arena, p, levels, &walk->levels[i], &walk->count[i]));
    }
    return ATH_OK;
}

static double value_at(const athi_walk *walk, int i) {
    const athi_space_param *p = &walk->space->params[i];
    if (walk->levels[i]) return walk->levels[i][walk->at[i]];
    int64_t k = walk->at[i];
    if (k == 0) return p->fallback + 0.0;
    /* the grid without the default: which comes before it keeps its place, moved up by one */
    double v = athi_param_nth(p, k - 1);
    return (v < p->fallback ? v : athi_param_nth(p, k)) + 0.0;
}

static void restart(athi_walk *walk, double *point, int64_t from) {
    const athi_space *space = walk->space;
    for (int64_t k = from; k < space->n; k++) point[space->order[k]] = NAN;
    for (int64_t k = from; k < space->n; k++) {
        int i = space->order[k];
        walk->at[i] = 0;
        if (athi_space_exists(space, point, i)) point[i] = value_at(walk, i);
    }
}

void athi_walk_first(athi_walk *walk, double *point) { restart(walk, point, 0); }

bool athi_walk_next(athi_walk *walk, double *point) {
    const athi_space *space = walk->space;
    for (int64_t k = space->n - 1; k >= 0; k--) {
        int i = space->order[k];
        if (isnan(point[i]) || walk->at[i] + 1 >= walk->count[i]) continue;
        walk->at[i]++;
        point[i] = value_at(walk, i);
        restart(walk, point, k + 1);
        return true;
    }
    return false;
}
