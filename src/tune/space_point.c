/* Points as texts and as maps of values, the way users and the store see them. */
#include "tune/space_internal.h"

#include <math.h>

static bool is_scalar(const athi_value *v) { return v && v->type != ATHI_LIST && v->type != ATHI_MAP; }

void athi_space_key(const athi_space *space, const double *point, athi_text *out) {
    athi_text_add(out, "", 0);
    for (int64_t i = 0; i < space->n; i++) {
        char number[32];
        if (isnan(point[i])) continue;
        athi_format_double(point[i] + 0.0, number);
        athi_text_printf(out, "%lld=%s;", (long long)i, number);
    }
}

static athi_value *write_one(athi_arena *arena, const athi_space_param *p, double v) {
    switch (p->type) {
    case ATHI_PARAM_INT: return athi_value_int(arena, (int64_t)v);
    case ATHI_PARAM_FLOAT: return athi_value_float(arena, v);
    case ATHI_PARAM_CHOICE: break;
    }
    const athi_branch *b = &p->branches[(int)v];
    return is_scalar(b->value) ? athi_value_copy(arena, b->value) : athi_value_string(arena, b->key);
}

ath_status athi_space_point_write(athi_arena *arena, const athi_space *space, const double *point, athi_value **map) {
    athi_value *out = athi_value_new(arena, ATHI_MAP);
    if (!out) return ATH_E_NOMEM;
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        if (isnan(point[i])) continue;
        const athi_space_param *p = &space->params[i];
        ATH_TRY(athi_value_set(arena, out, p->name, write_one(arena, p, point[i])));
    }
    *map = out;
    return ATH_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static ath_status read_number(ath_ctx *ctx, const athi_space_param *p, const athi_value *v, double *out) {
    const char *what = p->type == ATHI_PARAM_INT ? "an integer" : "a number";
    double x;
    if (!athi_value_number(v, &x))
        return athi_fail(ctx, ATH_E_DATA, "parameter '%s': expected %s, got %s", p->name, what,
                         athi_value_type_name(v->type));
    if (!(x >= p->min && x <= p->max))
        return athi_fail(ctx, ATH_E_DATA, "parameter '%s': expected %s..%s, got %s", p->name, ATHI_SHORTEST(p->min),
                         ATHI_SHORTEST(p->max), ATHI_SHORTEST(x));
    double near = athi_param_snap(p, x);
    if (fabs(near - x) > 1e-9 * fmax(fabs(near), p->step))
        return athi_fail(ctx, ATH_E_DATA, "parameter '%s': %s is not one of its values; the nearest is %s", p->name,
                         ATHI_SHORTEST(x), ATHI_SHORTEST(near));
    *out = near;
    return ATH_OK;
}

static bool branch_is(const athi_branch *b, const athi_value *v) {
    double x, y;
    if (!is_scalar(v)) return false;
    if (v->type == ATHI_STRING && !strcmp(b->key, v->text)) return true;
    if (!is_scalar(b->value)) return false;
    if (athi_value_number(v, &x) && athi_value_number(b->value, &y)) return x == y;
    return athi_value_equal(b->value, v);
}

static ath_status no_branch(ath_ctx *ctx, const athi_space_param *p, const athi_value *v) {
    athi_text list = {.ctx = ctx};
    for (int i = 0; i < p->n_branches; i++) athi_text_printf(&list, "%s%s", i ? ", " : "", p->branches[i].key);
    const char *near = v->type == ATHI_STRING
                           ? athi_nearest(v->text, &p->branches[0].key, p->n_branches, sizeof p->branches[0])
                           : NULL;
    ath_status status = list.failed ? ATH_E_NOMEM
                                    : athi_fail(ctx, ATH_E_DATA, "parameter '%s': expected one of %s; got %s%s%s%s",
                                                p->name, list.text, v->text ? v->text : athi_value_type_name(v->type),
                                                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    athi_text_free(&list);
    return status;
}

static ath_status read_choice(ath_ctx *ctx, const athi_space_param *p, const athi_value *v, double *out) {
    for (int i = 0; i < p->n_branches; i++)
        if (branch_is(&p->branches[i], v)) return *out = i, ATH_OK;
    return no_branch(ctx, p, v);
}

ath_status athi_param_value_read(ath_ctx *ctx, const athi_space_param *p, const athi_value *v, double *out) {
    return p->type == ATHI_PARAM_CHOICE ? read_choice(ctx, p, v, out) : read_number(ctx, p, v, out);
}

static ath_status check_names(ath_ctx *ctx, const athi_space *space, const athi_value *map, const double *point) {
    for (int64_t k = 0; k < map->n; k++) {
        int i = athi_space_find(space, map->keys[k]);
        if (i < 0) {
            const char *near =
                space->n ? athi_nearest(map->keys[k], &space->params[0].name, space->n, sizeof space->params[0])
                         : NULL;
            return athi_fail(ctx, ATH_E_DATA, "the space has no parameter '%s'%s%s%s", map->keys[k],
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (!athi_space_exists(space, point, i)) {
            const athi_space_param *parent = &space->params[space->params[i].conditions[0].parent];
            return athi_fail(ctx, ATH_E_DATA,
                             "parameter '%s' does not exist with this value of '%s'; leave it out or change '%s'",
                             map->keys[k], parent->name, parent->name);
        }
    }
    return ATH_OK;
}

ath_status athi_space_point_read(ath_ctx *ctx, const athi_space *space, const athi_value *map, double *point) {
    if (!map || map->type != ATHI_MAP)
        return athi_fail(ctx, ATH_E_DATA, "parameters: expected a map of names and values, got %s",
                         map ? athi_value_type_name(map->type) : "nothing");
    for (int64_t i = 0; i < space->n; i++) point[i] = NAN;
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        const athi_space_param *p = &space->params[i];
        if (!athi_space_exists(space, point, i)) continue;
        const athi_value *v = athi_value_get(map, p->name);
        if (v)
            ATH_TRY(athi_param_value_read(ctx, p, v, &point[i]));
        else
            point[i] = p->fallback;
    }
    return check_names(ctx, space, map, point);
}
