/* The walk over a recipe's ranges that gathers its space: every range a parameter, with the branch or the
 * repeat that it stands in as its condition. bind.c takes the same way with a point in hand. */
#include "recipe/internal.h"

enum { TIMES_MAX = 1000 };

/* Where the walk is. The conditions are alternatives; an outer branch's are implied by its parameter's. */
typedef struct place {
    const char *path;
    int64_t index; /* of the innermost repeat, -1: none */
    bool again;    /* inside a repeat, not for the first time */
    const athi_condition *conditions;
    int n_conditions;
} place;

typedef struct walker {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_space *space;
    athi_origins *origins; /* NULL: nobody asks */
    int64_t values;
} walker;

static ath_status walk(walker *w, const athi_value *v, place at);

static ath_status walk_branches(walker *w, const athi_range *range, int index, place at) {
    const char *path = at.path;
    for (int k = 0; k < range->param.n_branches; k++) {
        athi_condition taken = {index, k, k};
        at.conditions = &taken, at.n_conditions = 1;
        at.path = athi_branch_path(w->arena, range, k, path);
        if (!at.path) return ATH_E_NOMEM;
        ATH_TRY(walk(w, range->branches[k], at));
    }
    return ATH_OK;
}

static ath_status note_origin(walker *w, const athi_value *v, int param) {
    athi_origins *o = w->origins;
    if (!o) return ATH_OK;
    if (o->n == o->cap) {
        const int64_t cap = o->cap ? 2 * o->cap : 16;
        struct athi_origin *list = athi_arena_array(w->arena, cap, (int64_t)sizeof *list);
        if (!list) return ATH_E_NOMEM;
        if (o->n) memcpy(list, o->list, (size_t)o->n * sizeof *list);
        o->list = list, o->cap = cap;
    }
    o->list[o->n++] = (struct athi_origin){v, param};
    return ATH_OK;
}

static ath_status walk_range(walker *w, const athi_value *v, place at) {
    athi_range range;
    ATH_TRY(athi_range_read(w->ctx, w->arena, v, at.path, at.index, &range));
    athi_space_param *p = &range.param;
    p->conditions = (athi_condition *)(uintptr_t)at.conditions, p->n_conditions = at.n_conditions;
    int index = athi_space_find(w->space, p->name);
    /* Inside a repeat what has no {i} in its name was added by the first time around, under the weakest condition. */
    if (!at.again || index < 0) ATH_TRY(athi_placed(w->ctx, athi_space_add(w->ctx, w->space, p, &index), v));
    ATH_TRY(note_origin(w, v, index));
    if (athi_range_of(v) != ATHI_RANGE_CHOICE) return ATH_OK;
    return walk_branches(w, &range, index, at);
}

/* ---- repeat -------------------------------------------------------------------------------------- */

/* How often at most, and the parameter that says how often (-1: a constant). */
static ath_status read_times(walker *w, const athi_value *times, place at, int64_t *most, int *param) {
    *param = -1, *most = -1;
    if (times->type == ATHI_INT && !times->tag) *most = times->integer;
    if (athi_range_of(times) != ATHI_RANGE_NONE && athi_range_of(times) != ATHI_RANGE_EXPR) {
        at.path = athi_key_path(w->arena, at.path, "times");
        if (!at.path) return ATH_E_NOMEM;
        athi_range range;
        ATH_TRY(athi_range_read(w->ctx, w->arena, times, at.path, at.index, &range));
        ATH_TRY(walk_range(w, times, at));
        *param = athi_space_find(w->space, range.param.name);
        const athi_space_param *p = &w->space->params[*param];
        if (p->type == ATHI_PARAM_INT && p->min >= 0) *most = (int64_t)p->max;
        for (int k = 0; p->type == ATHI_PARAM_CHOICE && k < p->n_branches; k++) {
            const athi_value *b = p->branches[k].value;
            if (b->type != ATHI_INT || b->tag || b->integer < 0) {
                *most = -1;
                break;
            }
            *most = ATHI_MAX(*most, b->integer);
        }
    }
    if (*most >= 0 && *most <= TIMES_MAX) return ATH_OK;
    return athi_fail_at(w->ctx, times,
                        "repeat: times must be an integer in 0..%d, or !int or !choice of such integers", TIMES_MAX);
}

/* When round i takes place; false: whenever the repeat is there. */
static bool round_conditions(const athi_space_param *p, int param, int64_t i, athi_condition *out, int *n) {
    *n = 0;
    if (p->type == ATHI_PARAM_INT) {
        out[(*n)++] = (athi_condition){param, (double)(i + 1), p->max};
        return p->min < (double)(i + 1);
    }
    for (int k = 0; k < p->n_branches; k++)
        if (p->branches[k].value->integer > i) out[(*n)++] = (athi_condition){param, k, k};
    return *n < p->n_branches;
}

static ath_status walk_repeat(walker *w, const athi_value *v, place at) {
    const athi_value *times, *body;
    int64_t most;
    int param;
    ATH_TRY(athi_repeat_parts(w->ctx, v, &times, &body));
    at.path = athi_key_path(w->arena, at.path, "repeat");
    if (!at.path) return ATH_E_NOMEM;
    ATH_TRY(read_times(w, times, at, &most, &param));
    int n = param >= 0 ? ATHI_MAX(w->space->params[param].n_branches, 1) : 0;
    athi_condition *conditions = n ? athi_arena_array(w->arena, n, (int64_t)sizeof *conditions) : NULL;
    if (n && !conditions) return ATH_E_NOMEM;
    place inside = at;
    inside.path = athi_key_path(w->arena, at.path, "body");
    if (!inside.path) return ATH_E_NOMEM;
    for (int64_t i = 0; i < most; i++) {
        inside.index = i, inside.again = at.again || i > 0;
        inside.conditions = at.conditions, inside.n_conditions = at.n_conditions;
        int n_round;
        if (param >= 0 && round_conditions(&w->space->params[param], param, i, conditions, &n_round))
            inside.conditions = conditions, inside.n_conditions = n_round;
        ATH_TRY(walk(w, body, inside));
    }
    return ATH_OK;
}

/* ---- the tree ------------------------------------------------------------------------------------ */

static ath_status walk(walker *w, const athi_value *v, place at) {
    if (++w->values > ATHI_VALUES_MAX)
        return athi_fail_at(w->ctx, v, "more than %d values once every repeat is written out", ATHI_VALUES_MAX);
    athi_range_kind kind = athi_range_of(v);
    if (kind == ATHI_RANGE_EXPR) return ATH_OK;
    if (kind != ATHI_RANGE_NONE) return walk_range(w, v, at);
    if (athi_is_repeat(v) && strncmp(at.path, "model", 5) == 0) return walk_repeat(w, v, at);
    const char *path = at.path;
    for (int64_t i = 0; i < v->n; i++) {
        at.path =
            v->type == ATHI_LIST ? athi_item_path(w->arena, path, i) : athi_key_path(w->arena, path, v->keys[i]);
        if (!at.path) return ATH_E_NOMEM;
        ATH_TRY(walk(w, v->items[i], at));
    }
    return ATH_OK;
}

ath_status athi_ranges_origins(ath_ctx *ctx, athi_arena *arena, const athi_value *root, athi_space **space,
                               athi_origins *origins) {
    walker w = {.ctx = ctx, .arena = arena, .origins = origins};
    ATH_TRY(athi_space_create(arena, &w.space));
    for (int i = 0; athi_ranged_sections[i]; i++) {
        const athi_value *section = athi_value_get(root, athi_ranged_sections[i]);
        if (section) ATH_TRY(walk(&w, section, (place){.path = athi_ranged_sections[i], .index = -1}));
    }
    *space = w.space;
    return ATH_OK;
}

ath_status athi_ranges_walk(ath_ctx *ctx, athi_arena *arena, const athi_value *root, athi_space **space) {
    return athi_ranges_origins(ctx, arena, root, space, NULL);
}

ath_status athi_ranges_gather(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_space **space) {
    walker w = {.ctx = ctx, .arena = arena};
    ATH_TRY(athi_space_create(arena, &w.space));
    ATH_TRY(walk(&w, v, (place){.path = "", .index = -1}));
    *space = w.space;
    return ATH_OK;
}
