/* The definition of a space as a value, and back. Every field stands in it, so that two definitions are equal
 * exactly when their values are; the place in a file is not part of a definition. */
#include "tune/space_internal.h"

#include <math.h>

static const char *const type_names[] = {"int", "float", "choice", NULL};
static const char *const prior_names[] = {"uniform", "log", "reverse_log", "normal", NULL};

static int find_name(const char *const *names, const athi_value *v) {
    for (int i = 0; v && v->type == ATHI_STRING && names[i]; i++)
        if (!strcmp(names[i], v->text)) return i;
    return -1;
}

/* JSON has no infinity: bounds that are none are left out. */
static ath_status set_bound(athi_arena *arena, athi_value *map, const char *key, double v) {
    return isinf(v) ? ATH_OK : athi_value_set(arena, map, key, athi_value_float(arena, v));
}

static ath_status write_range(athi_arena *arena, const athi_space_param *p, athi_value *m) {
    const struct {
        const char *key;
        double value;
        bool as_int;
    } rows[] = {{"min", p->min, p->type == ATHI_PARAM_INT},
                {"max", p->max, p->type == ATHI_PARAM_INT},
                {"step", p->step, p->type == ATHI_PARAM_INT},
                {"default", p->fallback, p->type == ATHI_PARAM_INT}};
    for (int i = 0; i < ATHI_COUNT(rows); i++)
        ATH_TRY(athi_value_set(arena, m, rows[i].key,
                               rows[i].as_int ? athi_value_int(arena, (int64_t)rows[i].value)
                                              : athi_value_float(arena, rows[i].value)));
    ATH_TRY(athi_value_set(arena, m, "prior", athi_value_string(arena, prior_names[p->prior])));
    if (p->prior != ATHI_PRIOR_NORMAL) return ATH_OK;
    ATH_TRY(athi_value_set(arena, m, "mean", athi_value_float(arena, p->mean)));
    return athi_value_set(arena, m, "std", athi_value_float(arena, p->std));
}

static ath_status write_choice(athi_arena *arena, const athi_space_param *p, athi_value *m) {
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int i = 0; i < p->n_branches; i++) {
        const athi_branch *b = &p->branches[i];
        athi_value *entry = athi_value_new(arena, ATHI_MAP);
        if (!entry) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(arena, entry, "key", athi_value_string(arena, b->key)));
        if (b->value) ATH_TRY(athi_value_set(arena, entry, "value", athi_value_copy(arena, b->value)));
        ATH_TRY(athi_value_set(arena, entry, "weight", athi_value_float(arena, b->weight)));
        ATH_TRY(athi_value_append(arena, list, entry));
    }
    ATH_TRY(athi_value_set(arena, m, "branches", list));
    ATH_TRY(athi_value_set(arena, m, "ordered", athi_value_bool(arena, p->ordered)));
    ATH_TRY(athi_value_set(arena, m, "boolean", athi_value_bool(arena, p->boolean)));
    return athi_value_set(arena, m, "default", athi_value_int(arena, (int64_t)p->fallback));
}

static ath_status write_conditions(athi_arena *arena, const athi_space *space, const athi_space_param *p,
                                   athi_value *m) {
    if (p->n_conditions == 0) return ATH_OK;
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int k = 0; k < p->n_conditions; k++) {
        const athi_condition *c = &p->conditions[k];
        athi_value *entry = athi_value_new(arena, ATHI_MAP);
        if (!entry) return ATH_E_NOMEM;
        const char *parent = space->params[c->parent].name;
        ATH_TRY(athi_value_set(arena, entry, "parent", athi_value_string(arena, parent)));
        ATH_TRY(set_bound(arena, entry, "low", c->low));
        ATH_TRY(set_bound(arena, entry, "high", c->high));
        ATH_TRY(athi_value_append(arena, list, entry));
    }
    return athi_value_set(arena, m, "conditions", list);
}

static ath_status write_params(athi_arena *arena, const athi_space *space, athi_value **out) {
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        athi_value *m = athi_value_new(arena, ATHI_MAP);
        if (!m) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(arena, m, "name", athi_value_string(arena, p->name)));
        ATH_TRY(athi_value_set(arena, m, "type", athi_value_string(arena, type_names[p->type])));
        ATH_TRY(p->type == ATHI_PARAM_CHOICE ? write_choice(arena, p, m) : write_range(arena, p, m));
        ATH_TRY(write_conditions(arena, space, p, m));
        ATH_TRY(athi_value_append(arena, list, m));
    }
    *out = list;
    return ATH_OK;
}

/* Parameters, in a list; with constraints {"params": that list, "constraints": […]}. */
ath_status athi_space_write(athi_arena *arena, const athi_space *space, athi_value **out) {
    athi_value *rules = athi_value_new(arena, ATHI_LIST), *map = athi_value_new(arena, ATHI_MAP);
    ATH_TRY(write_params(arena, space, out));
    if (!space->n_rules) return ATH_OK;
    if (!rules || !map) return ATH_E_NOMEM;
    for (int i = 0; i < space->n_rules; i++)
        ATH_TRY(athi_value_append(arena, rules, athi_value_string(arena, space->rules[i])));
    ATH_TRY(athi_value_set(arena, map, "params", *out));
    ATH_TRY(athi_value_set(arena, map, "constraints", rules));
    *out = map;
    return ATH_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static ath_status damaged(ath_ctx *ctx, int64_t i, const char *key, const char *expected) {
    return athi_fail(ctx, ATH_E_DATA,
                     "space: parameter %lld: expected '%s' to be %s; the definition is damaged", (long long)i,
                     key, expected);
}

static double number_or(const athi_value *map, const char *key, double otherwise) {
    const athi_value *v = athi_value_get(map, key);
    double x;
    return v && athi_value_number(v, &x) ? x : otherwise;
}

static bool flag(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_BOOL && v->boolean;
}

static ath_status read_branches(ath_ctx *ctx, athi_arena *arena, const athi_value *m, int64_t i,
                                athi_space_param *p) {
    const athi_value *list = athi_value_get(m, "branches");
    if (!list || list->type != ATHI_LIST || list->n < 1 || list->n > 1000000)
        return damaged(ctx, i, "branches", "a list");
    p->branches = athi_arena_array(arena, list->n, sizeof *p->branches);
    if (!p->branches) return ATH_E_NOMEM;
    p->n_branches = (int)list->n;
    for (int64_t k = 0; k < list->n; k++) {
        const athi_value *key = athi_value_get(list->items[k], "key");
        if (!key || key->type != ATHI_STRING) return damaged(ctx, i, "branches", "maps with a key");
        p->branches[k] = (athi_branch){.key = key->text,
                                       .value = athi_value_get(list->items[k], "value"),
                                       .weight = number_or(list->items[k], "weight", 0)};
    }
    p->ordered = flag(m, "ordered");
    p->boolean = flag(m, "boolean");
    return ATH_OK;
}

static ath_status read_param(ath_ctx *ctx, athi_arena *arena, const athi_value *m, int64_t i,
                             athi_space_param *p) {
    const athi_value *name = athi_value_get(m, "name"), *prior = athi_value_get(m, "prior");
    int type = find_name(type_names, athi_value_get(m, "type")),
        which = prior ? find_name(prior_names, prior) : 0;
    if (!name || name->type != ATHI_STRING) return damaged(ctx, i, "name", "a string");
    if (type < 0) return damaged(ctx, i, "type", "int, float or choice");
    if (which < 0) return damaged(ctx, i, "prior", "uniform, log, reverse_log or normal");
    *p = (athi_space_param){.name = name->text,
                            .type = (athi_param_type)type,
                            .prior = (athi_prior)which,
                            .min = number_or(m, "min", NAN),
                            .max = number_or(m, "max", NAN),
                            .step = number_or(m, "step", 0),
                            .mean = number_or(m, "mean", 0),
                            .std = number_or(m, "std", 0),
                            .fallback = number_or(m, "default", NAN)};
    return type == ATHI_PARAM_CHOICE ? read_branches(ctx, arena, m, i, p) : ATH_OK;
}

static ath_status read_conditions(ath_ctx *ctx, athi_space *space, const athi_value *m, int64_t i) {
    const athi_value *list = athi_value_get(m, "conditions");
    athi_space_param *p = &space->params[i];
    if (!list) return ATH_OK;
    if (list->type != ATHI_LIST || list->n > 1000000) return damaged(ctx, i, "conditions", "a list");
    p->conditions = athi_arena_array(space->arena, list->n, sizeof *p->conditions);
    if (!p->conditions) return ATH_E_NOMEM;
    p->n_conditions = (int)list->n;
    for (int64_t k = 0; k < list->n; k++) {
        const athi_value *parent = athi_value_get(list->items[k], "parent");
        int at = parent && parent->type == ATHI_STRING ? athi_space_find(space, parent->text) : -1;
        if (at < 0) return damaged(ctx, i, "conditions", "maps with a parent of the space");
        p->conditions[k] = (athi_condition){at, number_or(list->items[k], "low", -INFINITY),
                                            number_or(list->items[k], "high", INFINITY)};
    }
    return athi_conditions_check(ctx, space, p, space->n);
}

static ath_status read_rules(ath_ctx *ctx, const athi_value *list, athi_space *space) {
    for (int64_t i = 0; list && i < list->n; i++) {
        if (list->type != ATHI_LIST || list->items[i]->type != ATHI_STRING)
            return athi_fail(ctx, ATH_E_DATA, "space: expected 'constraints' to be texts; the definition is damaged");
        ATH_TRY(athi_space_rule(ctx, space, list->items[i]->text));
    }
    return ATH_OK;
}

ath_status athi_space_read(ath_ctx *ctx, athi_arena *arena, const athi_value *value, athi_space **out) {
    const athi_value *rules = NULL;
    if (value && value->type == ATHI_MAP)
        rules = athi_value_get(value, "constraints"), value = athi_value_get(value, "params");
    if (!value || value->type != ATHI_LIST)
        return athi_fail(ctx, ATH_E_DATA, "space: expected a list of parameters, got %s",
                         value ? athi_value_type_name(value->type) : "nothing");
    athi_space *space;
    ATH_TRY(athi_space_create(arena, &space));
    for (int64_t i = 0; i < value->n; i++) {
        athi_space_param p, checked;
        ATH_TRY(read_param(ctx, arena, value->items[i], i, &p));
        ATH_TRY(athi_param_check(ctx, arena, &p, &checked));
        if (athi_space_find(space, p.name) >= 0)
            return athi_fail(ctx, ATH_E_DATA, "space: parameter '%s' stands twice; the definition is damaged",
                             p.name);
        ATH_TRY(athi_space_append(space, &checked));
    }
    for (int64_t i = 0; i < value->n; i++) ATH_TRY(read_conditions(ctx, space, value->items[i], i));
    ATH_TRY(athi_space_sort(ctx, space));
    ATH_TRY(read_rules(ctx, rules, space));
    *out = space;
    return ATH_OK;
}
