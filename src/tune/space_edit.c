/* A space that has grown: what may change between two starts of one study. Ranges become wider, grids finer, choices and
 * parameters more; every value that a trial can have stays one. Priors, defaults and weights may be any. */
#include "tune/space_internal.h"

#include <math.h>

static const char *const type_names[] = {"an int", "a float", "a choice"};

enum { VALUES_MAX = 1 << 20 }; /* of a grid that are looked at one by one */

/* The first difference; the caller says what to do about it. */
#define NARROWER(...) athi_fail(ctx, ATH_E_STATE, __VA_ARGS__)

/* ---- ranges -------------------------------------------------------------------------------------------- */

static bool multiplies(const athi_space_param *p) {
    return p->step > 1 && (p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG);
}

static bool holds(const athi_space_param *p, double v) {
    const double near = athi_param_snap(p, v);
    return fabs(near - v) <= 1e-9 * fmax(fabs(v), p->step);
}

/* The values `from`, from + 1, … `to` of a grid; the first that the other lacks becomes *gone. */
static bool holds_all(const athi_space_param *was, const athi_space_param *is, int64_t from, int64_t to,
                      double *gone) {
    for (int64_t i = from; i <= to; i++) {
        *gone = athi_param_nth(was, i);
        if (!holds(is, *gone)) return false;
    }
    return true;
}

static ath_status check_grid(ath_ctx *ctx, const athi_space_param *was, const athi_space_param *is) {
    const int64_t n = athi_param_count(was);
    double gone;
    if (athi_param_count(is) == 0) return ATH_OK; /* any number */
    if (n == 0)
        return NARROWER("parameter '%s': it was any number, is a grid of step %s", is->name, ATHI_SHORTEST(is->step));
    /* Of evenly spaced values in an evenly spaced grid two neighbours and the last one tell about all. */
    const bool even = !multiplies(was) && !multiplies(is);
    if (!even && n > VALUES_MAX)
        return NARROWER("parameter '%s': step was %s, is %s: too many values to compare", is->name,
                        ATHI_SHORTEST(was->step), ATHI_SHORTEST(is->step));
    if (holds_all(was, is, 0, even ? ATHI_MIN(n - 1, 1) : n - 1, &gone) && holds_all(was, is, n - 1, n - 1, &gone))
        return ATH_OK;
    return NARROWER(
        "parameter '%s': its values leave out %s, which was one of them; keep the step %s, or a part of it "
        "from the same min",
        is->name, ATHI_SHORTEST(gone), ATHI_SHORTEST(was->step));
}

static ath_status check_range(ath_ctx *ctx, const athi_space_param *was, const athi_space_param *is,
                              athi_text *changes) {
    if (is->min > was->min)
        return NARROWER("parameter '%s': min was %s, is %s", is->name, ATHI_SHORTEST(was->min),
                        ATHI_SHORTEST(is->min));
    if (is->max < was->max)
        return NARROWER("parameter '%s': max was %s, is %s", is->name, ATHI_SHORTEST(was->max),
                        ATHI_SHORTEST(is->max));
    ATH_TRY(check_grid(ctx, was, is));
    if (is->min != was->min || is->max != was->max)
        athi_text_printf(changes, "%s%s: %s..%s became %s..%s", changes->length ? "; " : "", is->name,
                         ATHI_SHORTEST(was->min), ATHI_SHORTEST(was->max), ATHI_SHORTEST(is->min),
                         ATHI_SHORTEST(is->max));
    return ATH_OK;
}

/* ---- choices ------------------------------------------------------------------------------------------- */

static int find_branch(const athi_space_param *p, const char *key) {
    for (int i = 0; i < p->n_branches; i++)
        if (!strcmp(p->branches[i].key, key)) return i;
    return -1;
}

/* What stands behind a branch that is no scalar is for those who know what it means. */
static bool same_scalar(const athi_value *a, const athi_value *b) {
    const bool scalars = a && b && a->type < ATHI_LIST && b->type < ATHI_LIST;
    return !scalars || athi_value_equal(a, b);
}

static ath_status check_choice(ath_ctx *ctx, const athi_space_param *was, const athi_space_param *is,
                               athi_text *changes) {
    for (int i = 0; i < was->n_branches; i++) {
        const athi_branch *b = &was->branches[i];
        const int at = find_branch(is, b->key);
        if (at < 0) return NARROWER("parameter '%s': the choice '%s' is gone", is->name, b->key);
        if (!same_scalar(b->value, is->branches[at].value))
            return NARROWER("parameter '%s': another value is called '%s'", is->name, b->key);
    }
    for (int i = 0; i < is->n_branches; i++)
        if (find_branch(was, is->branches[i].key) < 0)
            athi_text_printf(changes, "%s%s: %s is new", changes->length ? "; " : "", is->name, is->branches[i].key);
    return ATH_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static ath_status check_rules(ath_ctx *ctx, const athi_space *was, const athi_space *is) {
    for (int i = 0; i < is->n_rules; i++) {
        bool known = false;
        for (int k = 0; k < was->n_rules; k++) known |= !strcmp(is->rules[i], was->rules[k]);
        if (!known) return NARROWER("the constraint \"%s\" is new", is->rules[i]);
    }
    return ATH_OK;
}

ath_status athi_space_extends(ath_ctx *ctx, const athi_space *was, const athi_space *is, athi_text *changes) {
    for (int64_t i = 0; i < was->n; i++) {
        const athi_space_param *p = &was->params[i];
        const int at = athi_space_find(is, p->name);
        if (at < 0) return NARROWER("parameter '%s' is gone", p->name);
        const athi_space_param *q = &is->params[at];
        if (p->type != q->type)
            return NARROWER("parameter '%s' was %s, is %s", p->name, type_names[p->type], type_names[q->type]);
        ATH_TRY(p->type == ATHI_PARAM_CHOICE ? check_choice(ctx, p, q, changes) : check_range(ctx, p, q, changes));
    }
    for (int64_t i = 0; i < is->n; i++)
        if (athi_space_find(was, is->params[i].name) < 0)
            athi_text_printf(changes, "%s%s is new", changes->length ? "; " : "", is->params[i].name);
    ATH_TRY(check_rules(ctx, was, is));
    return changes->failed ? ATH_E_NOMEM : ATH_OK;
}
