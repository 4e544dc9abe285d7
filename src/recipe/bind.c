/* (recipe, point) -> bound recipe: every range its value, derived constants computed, branches taken, repeats
 * written out. In `model:` a null branch leaves no layer and a list takes its place among the layers. */
#include "recipe/internal.h"

#include "base/expr.h"

#include <math.h>

typedef struct binder {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_space *space;
    const double *point;
    int64_t values;
} binder;

typedef struct place {
    const char *path;
    int64_t index; /* of the innermost repeat, -1: none */
} place;

static ath_status bind(binder *b, const athi_value *v, place at, athi_value **out);
static ath_status bind_layers(binder *b, const athi_value *v, place at, athi_value *list);

static ath_status count_value(binder *b, const athi_value *v) {
    if (++b->values <= ATHI_VALUES_MAX) return ATH_OK;
    return athi_fail_at(b->ctx, v, "more than %d values once every repeat is written out", ATHI_VALUES_MAX);
}

static void same_place(athi_value *v, const athi_value *at) {
    if (v) v->line = at->line, v->column = at->column;
}

/* ---- derived constants --------------------------------------------------------------------------- */

static ath_status operand(void *user, ath_ctx *ctx, const char *name, athi_operand *out) {
    const binder *b = user;
    return athi_space_operand(ctx, b->space, b->point, name, out);
}

static ath_status bind_expr(binder *b, const athi_value *v, place at, athi_value **out) {
    if (v->type != ATHI_STRING)
        return athi_fail_at(b->ctx, v, "!expr: expected a text such as !expr \"2 * width\", got %s",
                            athi_value_type_name(v->type));
    const char *text = athi_with_index(b->arena, v->text, at.index);
    if (!text) return ATH_E_NOMEM;
    ath_status status = athi_expr(b->ctx, b->arena, text, &(athi_names){operand, b}, out);
    if (status != ATH_OK && status != ATH_E_NOMEM) athi_fail_prefix(b->ctx, status, "!expr");
    same_place(*out, v);
    return athi_placed(b->ctx, status, v);
}

/* ---- ranges -------------------------------------------------------------------------------------- */

/* The range's definition and what the point says of it. */
static ath_status look_up(binder *b, const athi_value *v, place at, athi_range *range, double *value) {
    ATH_TRY(athi_range_read(b->ctx, b->arena, v, at.path, at.index, range));
    int i = athi_space_find(b->space, range->param.name);
    *value = i < 0 ? (double)NAN : b->point[i];
    if (!isnan(*value)) return ATH_OK;
    return athi_fail_at(b->ctx, v, "parameter '%s' has no value in this point", range->param.name);
}

static ath_status bind_number(binder *b, const athi_value *v, place at, athi_value **out) {
    athi_range range;
    double value;
    ATH_TRY(look_up(b, v, at, &range, &value));
    switch (athi_range_of(v)) {
    case ATHI_RANGE_INT: *out = athi_value_int(b->arena, (int64_t)value); break;
    case ATHI_RANGE_BOOL: *out = athi_value_bool(b->arena, value != 0); break;
    default: *out = athi_value_float(b->arena, value); break;
    }
    same_place(*out, v);
    return *out ? ATH_OK : ATH_E_NOMEM;
}

/* The branch that is taken, and where it stands. */
static ath_status take_branch(binder *b, const athi_value *v, place *at, const athi_value **branch) {
    athi_range range;
    double value;
    ATH_TRY(look_up(b, v, *at, &range, &value));
    int64_t k = (int64_t)value;
    *branch = range.branches[k];
    at->path = athi_branch_path(b->arena, &range, k, at->path);
    return at->path ? ATH_OK : ATH_E_NOMEM;
}

static ath_status bind_range(binder *b, const athi_value *v, place at, athi_value **out) {
    if (athi_range_of(v) == ATHI_RANGE_EXPR) return bind_expr(b, v, at, out);
    if (athi_range_of(v) != ATHI_RANGE_CHOICE) return bind_number(b, v, at, out);
    const athi_value *branch;
    ATH_TRY(take_branch(b, v, &at, &branch));
    return bind(b, branch, at, out);
}

/* ---- the tree ------------------------------------------------------------------------------------ */

static ath_status bind_map(binder *b, const athi_value *v, place at, athi_value *out) {
    const char *path = at.path;
    for (int64_t i = 0; i < v->n; i++) {
        athi_value *item;
        at.path = athi_key_path(b->arena, path, v->keys[i]);
        if (!at.path) return ATH_E_NOMEM;
        ATH_TRY(bind(b, v->items[i], at, &item));
        ATH_TRY(athi_value_push(b->arena, out, v->keys[i], item));
        out->key_lines[i] = v->key_lines[i], out->key_columns[i] = v->key_columns[i];
    }
    return ATH_OK;
}

static ath_status bind(binder *b, const athi_value *v, place at, athi_value **out) {
    *out = NULL;
    ATH_TRY(count_value(b, v));
    if (v->tag) return bind_range(b, v, at, out);
    if (v->type != ATHI_LIST && v->type != ATHI_MAP) {
        athi_value *copy = *out = athi_value_copy(b->arena, v);
        if (copy && copy->type == ATHI_STRING) copy->text = athi_with_index(b->arena, copy->text, at.index);
        return copy && (copy->type != ATHI_STRING || copy->text) ? ATH_OK : ATH_E_NOMEM;
    }
    *out = athi_value_new(b->arena, v->type);
    if (!*out) return ATH_E_NOMEM;
    same_place(*out, v);
    if (v->type == ATHI_MAP) return bind_map(b, v, at, *out);
    const char *path = at.path;
    for (int64_t i = 0; i < v->n; i++) {
        athi_value *item;
        at.path = athi_item_path(b->arena, path, i);
        if (!at.path) return ATH_E_NOMEM;
        ATH_TRY(bind(b, v->items[i], at, &item));
        ATH_TRY(athi_value_append(b->arena, *out, item));
    }
    return ATH_OK;
}

/* ---- the model ----------------------------------------------------------------------------------- */

static ath_status bind_repeat(binder *b, const athi_value *v, place at, athi_value *list) {
    const athi_value *times, *body;
    athi_value *n;
    ATH_TRY(athi_repeat_parts(b->ctx, v, &times, &body));
    place inside = {athi_key_path(b->arena, at.path, "repeat"), at.index};
    if (!inside.path) return ATH_E_NOMEM;
    place count = {athi_key_path(b->arena, inside.path, "times"), at.index};
    inside.path = athi_key_path(b->arena, inside.path, "body");
    if (!count.path || !inside.path) return ATH_E_NOMEM;
    ATH_TRY(bind(b, times, count, &n));
    if (n->type != ATHI_INT || n->integer < 0)
        return athi_fail_at(b->ctx, times, "repeat: times must be an integer >= 0");
    for (inside.index = 0; inside.index < n->integer; inside.index++) ATH_TRY(bind_layers(b, body, inside, list));
    return ATH_OK;
}

static ath_status bind_layer_list(binder *b, const athi_value *v, place at, athi_value *list) {
    const char *path = at.path;
    for (int64_t i = 0; i < v->n; i++) {
        at.path = athi_item_path(b->arena, path, i);
        if (!at.path) return ATH_E_NOMEM;
        ATH_TRY(bind_layers(b, v->items[i], at, list));
    }
    return ATH_OK;
}

/* Appends the layers that a value stands for: none, one, or several. */
static ath_status bind_layers(binder *b, const athi_value *v, place at, athi_value *list) {
    ATH_TRY(count_value(b, v));
    if (athi_range_of(v) == ATHI_RANGE_CHOICE) {
        const athi_value *branch;
        ATH_TRY(take_branch(b, v, &at, &branch));
        if (branch->type == ATHI_NULL && !branch->tag) return ATH_OK;
        return bind_layers(b, branch, at, list);
    }
    if (v->type == ATHI_LIST && !v->tag) return bind_layer_list(b, v, at, list);
    if (athi_is_repeat(v)) return bind_repeat(b, v, at, list);
    athi_value *layer;
    ATH_TRY(bind(b, v, at, &layer));
    return athi_value_append(b->arena, list, layer);
}

static ath_status bind_section(binder *b, const char *name, const athi_value *v, athi_value **out) {
    if (strcmp(name, "model") != 0) return bind(b, v, (place){name, -1}, out);
    *out = athi_value_new(b->arena, ATHI_LIST);
    if (!*out) return ATH_E_NOMEM;
    same_place(*out, v);
    if (v->type != ATHI_LIST && !v->tag)
        return athi_fail_at(b->ctx, v, "model: expected a list of layers, got %s", athi_value_type_name(v->type));
    return bind_layers(b, v, (place){name, -1}, *out);
}

static ath_status bind_root(binder *b, const athi_recipe *recipe, uint64_t seed, athi_value *bound) {
    ATH_TRY(athi_value_set(b->arena, bound, "name", athi_value_string(b->arena, recipe->name)));
    ATH_TRY(athi_value_set(b->arena, bound, "seed", athi_value_int(b->arena, (int64_t)seed)));
    for (int i = 0; athi_ranged_sections[i]; i++) {
        const char *name = athi_ranged_sections[i];
        const athi_value *v = athi_value_get(recipe->root, name);
        athi_value *section;
        if (!v) continue;
        ATH_TRY(bind_section(b, name, v, &section));
        ATH_TRY(athi_value_set(b->arena, bound, name, section));
    }
    return ATH_OK;
}

ath_status athi_bound_fold(athi_arena *arena, athi_value *bound, int64_t fold, int64_t of) {
    athi_value *data = athi_value_get(bound, "data"), *piece = athi_value_new(arena, ATHI_MAP);
    if (!piece) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, piece, "fold", athi_value_int(arena, fold)));
    ATH_TRY(athi_value_set(arena, piece, "of", athi_value_int(arena, of)));
    return athi_value_set(arena, data, "validation", piece);
}

ath_status athi_bind_point(const athi_recipe *recipe, athi_arena *arena, const double *point, uint64_t seed,
                           athi_value **out) {
    *out = NULL;
    double *filled = athi_arena_array(arena, recipe->space->n + 1, (int64_t)sizeof *filled);
    athi_value *bound = athi_value_new(arena, ATHI_MAP);
    if (!filled || !bound) return ATH_E_NOMEM;
    athi_space_default(recipe->space, filled);
    if (point) memcpy(filled, point, sizeof *filled * (size_t)recipe->space->n);
    if (point) athi_space_normalize(recipe->space, filled);
    binder b = {recipe->ctx, arena, recipe->space, filled, 0};
    ATH_TRY(bind_root(&b, recipe, seed, bound));
    if (recipe->tune.folds) ATH_TRY(athi_bound_fold(arena, bound, 0, recipe->tune.folds));
    *out = bound;
    return ATH_OK;
}

ath_status athi_recipe_bind(const athi_recipe *recipe, athi_arena *arena, const double *point, uint64_t seed,
                            athi_value **out) {
    return athi_sentence(recipe->ctx, athi_bind_point(recipe, arena, point, seed, out), recipe->path);
}
