/* Constraints between parameters: expressions that must hold in every point that is proposed
 * ("layers * units <= 512 or optimizer == 'sgd'"). A constraint that names a parameter which a point does not have
 * says nothing about that point. */
#include "base/expr.h"
#include "tune/space_internal.h"

#include <math.h>

typedef struct place {
    const athi_space *space;
    const double *point;
    bool absent; /* a name had no value */
} place;

ath_status athi_space_operand(ath_ctx *ctx, const athi_space *space, const double *point, const char *name,
                              athi_operand *operand) {
    int i = athi_space_find(space, name);
    if (i < 0) {
        const char *near = athi_nearest(name, space->params, space->n, sizeof *space->params);
        return athi_fail(ctx, ATH_E_OPTION, "'%.100s' is no parameter%s%s%s", name, near ? "; did you mean '" : "",
                         near ? near : "", near ? "'?" : "");
    }
    const athi_space_param *p = &space->params[i];
    *operand = (athi_operand){.number = point[i], .whole = p->type == ATHI_PARAM_INT};
    if (isnan(point[i]))
        return athi_fail(ctx, ATH_E_NOTFOUND, "'%.100s' has no value here: its branch is not taken", name);
    if (p->type != ATHI_PARAM_CHOICE) return ATH_OK;
    const athi_branch *b = &p->branches[(int)point[i]];
    operand->whole = b->value && (b->value->type == ATHI_INT || b->value->type == ATHI_BOOL);
    if (b->value && b->value->type == ATHI_BOOL)
        operand->number = b->value->boolean;
    else if (!b->value || b->value->tag || !athi_value_number(b->value, &operand->number))
        operand->text = b->key;
    return ATH_OK;
}

static ath_status operand(void *user, ath_ctx *ctx, const char *name, athi_operand *out) {
    place *at = user;
    ath_status status = athi_space_operand(ctx, at->space, at->point, name, out);
    at->absent |= status == ATH_E_NOTFOUND;
    return status;
}

/* What cannot be computed at a point (a division by zero) does not hold there. */
bool athi_space_allows(const athi_space *space, const double *point) {
    ath_ctx *ctx = athi_arena_ctx(space->arena);
    for (int i = 0; i < space->n_rules; i++) {
        place at = {space, point, false};
        bool holds = false;
        ath_status status = athi_expr_holds(ctx, space->rules[i], &(athi_names){operand, &at}, &holds);
        if (!at.absent && (status != ATH_OK || !holds)) return false;
    }
    return true;
}

/* For a look at a constraint alone every parameter has its default, whatever branch it stands in. */
static ath_status check_rule(ath_ctx *ctx, const athi_space *space, const char *rule) {
    double *point = athi_alloc_array(ctx, space->n, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) point[i] = space->params[i].fallback;
    place at = {space, point, false};
    bool holds;
    ath_status status = athi_expr_holds(ctx, rule, &(athi_names){operand, &at}, &holds);
    athi_free(ctx, point);
    return status;
}

static ath_status check_default(ath_ctx *ctx, const athi_space *space) {
    double *point = athi_alloc_array(ctx, space->n, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    athi_space_default(space, point);
    bool allowed = athi_space_allows(space, point);
    athi_free(ctx, point);
    if (allowed) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION,
                     "the defaults break the constraint \"%.200s\"; give parameters a default that "
                     "keeps it",
                     space->rules[space->n_rules - 1]);
}

ath_status athi_space_rule(ath_ctx *ctx, athi_space *space, const char *rule) {
    const char **rules = athi_arena_array(space->arena, (int64_t)space->n_rules + 1, sizeof *rules);
    char *copy = athi_arena_strdup(space->arena, rule);
    if (!rules || !copy) return ATH_E_NOMEM;
    ATH_TRY(check_rule(ctx, space, rule));
    for (int i = 0; i < space->n_rules; i++) rules[i] = space->rules[i];
    rules[space->n_rules++] = copy;
    space->rules = rules;
    return check_default(ctx, space);
}
