/* The objective of a search and its direction. */
#include "recipe/recipe.h"

ath_status athi_objective_read(ath_ctx *ctx, const athi_value *v, const char *where, const char **metric,
                               bool *maximize) {
    const athi_value *name = v, *direction = NULL;
    char place[48];
    athi_value_place(v, place);
    *metric = "val_loss", *maximize = false;
    if (!v || v->type == ATHI_NULL) return ATH_OK;
    if (v->type == ATHI_MAP) {
        name = athi_value_get(v, "metric"), direction = athi_value_get(v, "direction");
        if (v->n != (name != NULL) + (direction != NULL)) name = NULL;
    }
    if (!name || name->type != ATHI_STRING)
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s%s: expected a report's name (val_accuracy) or "
                         "{metric: NAME, direction: min | max}",
                         place, where);
    *metric = name->text;
    if (direction) {
        bool known = direction->type == ATHI_STRING;
        *maximize = known && strcmp(direction->text, "max") == 0;
        if (!known || (!*maximize && strcmp(direction->text, "min") != 0))
            return athi_fail(ctx, ATH_E_OPTION, "%s%s: direction must be min or max", place, where);
        return ATH_OK;
    }
    bool known = false;
    *maximize = athi_metric_direction(*metric, &known);
    if (!known)
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s%s: is a larger %s better? Write {metric: %s, "
                         "direction: max}, or min",
                         place, where, *metric, *metric);
    return ATH_OK;
}

ath_status athi_recipe_objective(const athi_recipe *recipe, const char **metric, bool *maximize) {
    return athi_place_in(recipe->ctx,
                         athi_objective_read(recipe->ctx, recipe->tune.objective, "tune.objective", metric, maximize),
                         recipe->path);
}
