/* The space: adding parameters under the rules, and what follows from conditions (existence, order, size, draws). */
#include "tune/space.h"
#include "tune/space_internal.h"

#include <math.h>

enum { DRAWS = 1000 }; /* for a point that keeps the constraints */

ath_status athi_space_create(athi_arena *arena, athi_space **space) {
    athi_space *s = athi_arena_alloc(arena, sizeof *s);
    if (!s) return ATH_E_NOMEM;
    s->arena = arena;
    *space = s;
    return ATH_OK;
}

int athi_space_find(const athi_space *space, const char *name) {
    for (int64_t i = 0; i < space->n; i++)
        if (!strcmp(space->params[i].name, name)) return (int)i;
    return -1;
}

/* ---- adding ------------------------------------------------------------------------------------------- */

static ath_status copy_param(athi_arena *arena, const athi_space_param *from, athi_space_param *to) {
    *to = *from;
    to->name = athi_arena_strdup(arena, from->name);
    to->branches =
        athi_arena_memdup(arena, from->branches, from->n_branches * (int64_t)sizeof *from->branches);
    to->conditions =
        athi_arena_memdup(arena, from->conditions, from->n_conditions * (int64_t)sizeof *from->conditions);
    if (!to->name || (from->n_branches && !to->branches) || (from->n_conditions && !to->conditions))
        return ATH_E_NOMEM;
    for (int i = 0; i < to->n_branches; i++) {
        athi_branch *b = &to->branches[i];
        const athi_value *value = b->value;
        b->key = athi_arena_strdup(arena, b->key);
        b->value = value ? athi_value_copy(arena, value) : NULL;
        if (!b->key || (value && !b->value)) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

/* Parents before children, otherwise as added. A circle of conditions is an error. */
static ath_status sort_params(ath_ctx *ctx, athi_space *space) {
    int64_t done = 0, n = space->n;
    bool *placed = athi_arena_array(space->arena, n, sizeof *placed);
    if (!placed) return ATH_E_NOMEM;
    for (int64_t before = -1; done < n;) {
        if (before == done) break;
        before = done;
        for (int64_t i = 0; i < n; i++) {
            const athi_space_param *p = &space->params[i];
            bool ready = !placed[i];
            for (int k = 0; ready && k < p->n_conditions; k++) ready = placed[p->conditions[k].parent];
            if (ready) placed[i] = true, space->order[done++] = (int)i;
        }
    }
    if (done == n) return ATH_OK;
    int64_t i = 0;
    while (placed[i]) i++;
    return athi_fail(ctx, ATH_E_OPTION,
                     "parameter '%s' stands inside a branch that exists only through itself; give one of "
                     "them another name",
                     space->params[i].name);
}

static bool same_condition(const athi_condition *a, const athi_condition *b) {
    return a->parent == b->parent && a->low == b->low && a->high == b->high;
}

/* The parameter exists where either definition made it exist. */
static ath_status gain_conditions(ath_ctx *ctx, athi_space *space, athi_space_param *p,
                                  const athi_space_param *more) {
    if (p->n_conditions == 0) return ATH_OK;
    if (more->n_conditions == 0) {
        p->n_conditions = 0;
        return sort_params(ctx, space);
    }
    athi_condition *all =
        athi_arena_array(space->arena, (int64_t)p->n_conditions + more->n_conditions, sizeof *all);
    if (!all) return ATH_E_NOMEM;
    int n = p->n_conditions;
    memcpy(all, p->conditions, (size_t)n * sizeof *all);
    for (int k = 0; k < more->n_conditions; k++) {
        bool known = false;
        for (int j = 0; j < n; j++) known = known || same_condition(&all[j], &more->conditions[k]);
        if (!known) all[n++] = more->conditions[k];
    }
    athi_condition *old = p->conditions;
    int old_n = p->n_conditions;
    p->conditions = all, p->n_conditions = n;
    ath_status status = sort_params(ctx, space);
    if (status != ATH_OK) { /* leave the space as it was */
        p->conditions = old, p->n_conditions = old_n;
        ath_status again = sort_params(NULL, space);
        if (again != ATH_OK) return again;
    }
    return status;
}

static ath_status grow(athi_space *space) {
    if (space->n < space->cap) return ATH_OK;
    int64_t cap = space->cap ? 2 * space->cap : 16;
    athi_space_param *params = athi_arena_array(space->arena, cap, sizeof *params);
    int *order = athi_arena_array(space->arena, cap, sizeof *order);
    if (!params || !order) return ATH_E_NOMEM;
    if (space->n) {
        memcpy(params, space->params, (size_t)space->n * sizeof *params);
        memcpy(order, space->order, (size_t)space->n * sizeof *order);
    }
    space->params = params, space->order = order, space->cap = cap;
    return ATH_OK;
}

ath_status athi_space_append(athi_space *space, const athi_space_param *param) {
    ATH_TRY(grow(space));
    ATH_TRY(copy_param(space->arena, param, &space->params[space->n]));
    space->order[space->n] = (int)space->n;
    space->n++;
    return ATH_OK;
}

ath_status athi_space_sort(ath_ctx *ctx, athi_space *space) { return sort_params(ctx, space); }

ath_status athi_space_add(ath_ctx *ctx, athi_space *space, const athi_space_param *param, int *index) {
    athi_space_param checked;
    ATH_TRY(athi_param_check(ctx, space->arena, param, &checked));
    ATH_TRY(athi_conditions_check(ctx, space, &checked, space->n));
    int known = athi_space_find(space, param->name);
    if (known >= 0) {
        ATH_TRY(athi_param_same(ctx, &space->params[known], &checked));
        ATH_TRY(gain_conditions(ctx, space, &space->params[known], &checked));
    } else {
        known = (int)space->n;
        ATH_TRY(athi_space_append(space, &checked));
    }
    if (index) *index = known;
    return ATH_OK;
}

/* ---- existence ---------------------------------------------------------------------------------------- */

bool athi_space_exists(const athi_space *space, const double *point, int64_t param) {
    const athi_space_param *p = &space->params[param];
    for (int k = 0; k < p->n_conditions; k++) {
        double v = point[p->conditions[k].parent]; /* NaN, of a parent that does not exist, fails both */
        if (v >= p->conditions[k].low && v <= p->conditions[k].high) return true;
    }
    return p->n_conditions == 0;
}

void athi_space_normalize(const athi_space *space, double *point) {
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        const athi_space_param *p = &space->params[i];
        if (!athi_space_exists(space, point, i))
            point[i] = NAN;
        else
            point[i] = (isnan(point[i]) ? p->fallback : athi_param_snap(p, point[i])) + 0.0; /* no -0 */
    }
}

void athi_space_default(const athi_space *space, double *point) {
    for (int64_t i = 0; i < space->n; i++) point[i] = NAN;
    athi_space_normalize(space, point);
}

static void draw(const athi_space *space, athi_rng *rng, double *point) {
    for (int64_t i = 0; i < space->n; i++) point[i] = NAN;
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        double u = athi_rng_uniform(rng); /* drawn in any case, so that siblings do not shift one another */
        if (athi_space_exists(space, point, i)) point[i] = athi_param_from_unit(&space->params[i], u);
    }
    athi_space_normalize(space, point);
}

void athi_space_sample(const athi_space *space, athi_rng *rng, double *point) {
    for (int i = 0; i < DRAWS; i++) {
        draw(space, rng, point);
        if (athi_space_allows(space, point)) return;
    }
}
