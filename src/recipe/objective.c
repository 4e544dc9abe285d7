/* The objectives of a search and their directions. */
#include "recipe/recipe.h"

static ath_status read_direction(ath_ctx *ctx, const athi_value *v, const char *place, const char *where,
                                 const char *metric, bool *maximize) {
    bool known = false;
    if (!v) {
        *maximize = athi_metric_direction(metric, &known);
        if (known) return ATH_OK;
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s%s: is a larger %s better? Write {metric: %s, "
                         "direction: max}, or min",
                         place, where, metric, metric);
    }
    known = v->type == ATHI_STRING;
    *maximize = known && strcmp(v->text, "max") == 0;
    if (known && (*maximize || strcmp(v->text, "min") == 0)) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "%s%s: direction must be min or max", place, where);
}

static ath_status read_one(ath_ctx *ctx, const athi_value *v, const char *where, athi_objectives *out) {
    const athi_value *name = v, *direction = NULL;
    char place[48];
    athi_value_place(v, place);
    if (v->type == ATHI_MAP) {
        name = athi_value_get(v, "metric"), direction = athi_value_get(v, "direction");
        if (v->n != (name != NULL) + (direction != NULL)) name = NULL;
    }
    if (!name || name->type != ATHI_STRING)
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s%s: expected a report's name (val_accuracy), "
                         "{metric: NAME, direction: min | max}, or a list of these",
                         place, where);
    for (int k = 0; k < out->n; k++)
        if (strcmp(out->names[k], name->text) == 0)
            return athi_fail(ctx, ATH_E_OPTION, "%s%s: %s stands twice in the list", place, where, name->text);
    out->names[out->n] = name->text;
    ATH_TRY(read_direction(ctx, direction, place, where, name->text, &out->maximize[out->n]));
    out->n++;
    return ATH_OK;
}

ath_status athi_objective_read(ath_ctx *ctx, const athi_value *v, const char *where, athi_objectives *out) {
    *out = (athi_objectives){.n = 0};
    if (!v || v->type == ATHI_NULL) {
        out->names[out->n++] = "val_loss";
        return ATH_OK;
    }
    if (v->type != ATHI_LIST) return read_one(ctx, v, where, out);
    char place[48];
    athi_value_place(v, place);
    if (v->n < 1 || v->n > ATHI_OBJECTIVES_MAX)
        return athi_fail(ctx, ATH_E_OPTION, "%s%s: expected a list of 1 to %d objectives, got %lld", place, where,
                         ATHI_OBJECTIVES_MAX, (long long)v->n);
    for (int64_t i = 0; i < v->n; i++) ATH_TRY(read_one(ctx, v->items[i], where, out));
    return ATH_OK;
}

ath_status athi_recipe_objective(const athi_recipe *recipe, athi_objectives *out) {
    return athi_place_in(recipe->ctx, athi_objective_read(recipe->ctx, recipe->tune.objective, "tune.objective", out),
                         recipe->path);
}
