/* The rules of a parameter's definition, each broken one a sentence with its place and remedy. */
#include "tune/space_internal.h"

#include <math.h>
#include <stdio.h>

static const char *const prior_names[] = {"uniform", "log", "reverse_log", "normal"};
static const double LARGEST_INT = 0x1p53; /* beyond it doubles are not exact; nor are numbers of a grid */

/* "line 3, column 7: parameter 'units'" */
static void place(const athi_space_param *p, char out[160]) {
    if (p->line > 0)
        snprintf(out, 160, "line %d, column %d: parameter '%.100s'", p->line, p->column, p->name);
    else
        snprintf(out, 160, "parameter '%.100s'", p->name);
}

#define BAD(...) bad(ctx, p, __VA_ARGS__)
static ATHI_PRINTF(3, 4) ath_status bad(ath_ctx *ctx, const athi_space_param *p, const char *fmt, ...) {
    char where[160], what[512];
    place(p, where);
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return athi_fail(ctx, ATH_E_OPTION, "%s: %s", where, what);
}

static bool is_whole(double v) { return v == nearbyint(v) && fabs(v) <= LARGEST_INT; }

static ath_status check_int(ath_ctx *ctx, athi_space_param *p) {
    if (!is_whole(p->min) || !is_whole(p->max))
        return BAD("min and max of an int must be whole numbers up to 2^53, got %s and %s", ATHI_SHORTEST(p->min),
                   ATHI_SHORTEST(p->max));
    if (!is_whole(p->step)) return BAD("step of an int must be a whole number, got %g", p->step);
    bool is_log = p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG;
    if (p->step == 0 && !is_log) p->step = 1;
    return ATH_OK;
}

static bool too_fine(const athi_space_param *p) {
    const bool is_log = p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG;
    const double steps = is_log ? log(p->max / p->min) / log(p->step) : (p->max - p->min) / p->step;
    return p->step != 0 && !(steps < LARGEST_INT);
}

static ath_status check_range(ath_ctx *ctx, athi_space_param *p) {
    if (!isfinite(p->min) || !isfinite(p->max))
        return BAD("min and max must be finite numbers, got %g and %g", p->min, p->max);
    if (p->min > p->max)
        return BAD("min %s is greater than max %s; swap them", ATHI_SHORTEST(p->min), ATHI_SHORTEST(p->max));
    if (!isfinite(p->max - p->min)) return BAD("the range %g..%g is too wide", p->min, p->max);
    if (!(p->step >= 0) || !isfinite(p->step)) return BAD("step must be positive, got %g", p->step);
    if (p->type == ATHI_PARAM_INT) ATH_TRY(check_int(ctx, p));
    if (p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG) {
        if (p->min <= 0)
            return BAD("prior %s needs min > 0, got %g; use a small positive min or prior uniform",
                       prior_names[p->prior], p->min);
        if (p->step != 0 && p->step <= 1)
            return BAD("with prior %s a step multiplies and must be greater than 1, got %g; leave it out for none",
                       prior_names[p->prior], p->step);
    }
    if (too_fine(p))
        return BAD("step %g is too small for min %s and max %s: there would be more than 2^53 values; leave it out "
                   "for any number",
                   p->step, ATHI_SHORTEST(p->min), ATHI_SHORTEST(p->max));
    if (p->prior == ATHI_PRIOR_NORMAL) {
        if (!(p->std > 0) || !isfinite(p->std)) return BAD("the normal prior's std must be positive, got %g", p->std);
        if (!(p->mean >= p->min && p->mean <= p->max))
            return BAD("the normal prior's mean must lie within min %s and max %s, got %s", ATHI_SHORTEST(p->min),
                       ATHI_SHORTEST(p->max), ATHI_SHORTEST(p->mean));
    } else {
        p->mean = p->std = 0; /* so that equal definitions have equal fields */
    }
    p->boolean = p->ordered = false;
    p->n_branches = 0;
    return ATH_OK;
}

static ath_status check_range_default(ath_ctx *ctx, athi_space_param *p) {
    if (isnan(p->fallback)) {
        p->fallback = athi_param_nth(p, 0);
        return ATH_OK;
    }
    if (p->fallback < p->min || p->fallback > p->max)
        return BAD("default %s lies outside min %s and max %s", ATHI_SHORTEST(p->fallback), ATHI_SHORTEST(p->min),
                   ATHI_SHORTEST(p->max));
    double near = athi_param_snap(p, p->fallback);
    if (fabs(near - p->fallback) > 1e-9 * fmax(fabs(near), p->step > 0 ? p->step : fabs(near)))
        return BAD("default %s is not one of its values; the nearest is %s", ATHI_SHORTEST(p->fallback),
                   ATHI_SHORTEST(near));
    p->fallback = near;
    return ATH_OK;
}

static ath_status check_weights(ath_ctx *ctx, athi_space_param *p) {
    double sum = 0;
    bool given = false;
    for (int i = 0; i < p->n_branches; i++) given = given || p->branches[i].weight != 0;
    for (int i = 0; i < p->n_branches; i++) {
        athi_branch *b = &p->branches[i];
        if (!given) b->weight = 1;
        if (!(b->weight > 0) || !isfinite(b->weight))
            return BAD("the weight of '%s' must be positive, got %g; take the branch out instead", b->key, b->weight);
        sum += b->weight;
    }
    for (int i = 0; i < p->n_branches; i++) p->branches[i].weight /= sum;
    return ATH_OK;
}

static ath_status fill_boolean(athi_arena *arena, athi_space_param *p) {
    static const char *const keys[] = {"false", "true"};
    p->branches = athi_arena_array(arena, 2, sizeof *p->branches);
    if (!p->branches) return ATH_E_NOMEM;
    p->n_branches = 2;
    for (int i = 0; i < 2; i++) {
        p->branches[i] = (athi_branch){.key = keys[i], .value = athi_value_bool(arena, i == 1)};
        if (!p->branches[i].value) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

static ath_status check_choice(ath_ctx *ctx, athi_arena *arena, athi_space_param *p) {
    if (p->boolean && p->n_branches == 0) ATH_TRY(fill_boolean(arena, p));
    if (p->n_branches < 1) return BAD("a choice needs at least one branch");
    /* the weights are written: not into the caller's array */
    p->branches = athi_arena_memdup(arena, p->branches, p->n_branches * (int64_t)sizeof *p->branches);
    if (!p->branches) return ATH_E_NOMEM;
    for (int i = 0; i < p->n_branches; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(p->branches[i].key, p->branches[k].key))
                return BAD("two branches are called '%s'; give one another name with {as: NAME, value: ...}",
                           p->branches[i].key);
    ATH_TRY(check_weights(ctx, p));
    if (isnan(p->fallback)) p->fallback = 0;
    if (!is_whole(p->fallback) || p->fallback < 0 || p->fallback >= p->n_branches)
        return BAD("the default must be one of its %d branches, got number %g", p->n_branches, p->fallback);
    p->min = p->max = p->step = p->mean = p->std = 0;
    p->prior = ATHI_PRIOR_UNIFORM;
    return ATH_OK;
}

ath_status athi_param_check(ath_ctx *ctx, athi_arena *arena, const athi_space_param *param, athi_space_param *p) {
    *p = *param;
    if (!p->name || !*p->name) return athi_fail(ctx, ATH_E_OPTION, "a parameter needs a name");
    if (p->type == ATHI_PARAM_CHOICE) return check_choice(ctx, arena, p);
    ATH_TRY(check_range(ctx, p));
    return check_range_default(ctx, p);
}

ath_status athi_conditions_check(ath_ctx *ctx, const athi_space *space, const athi_space_param *p, int64_t n) {
    for (int k = 0; k < p->n_conditions; k++) {
        const athi_condition *c = &p->conditions[k];
        if (c->parent < 0 || c->parent >= n)
            return BAD("its condition names parameter number %d of %lld", c->parent, (long long)n);
        if (!(c->low <= c->high))
            return BAD("its condition on '%s' is empty: %g..%g", space->params[c->parent].name, c->low, c->high);
    }
    return ATH_OK;
}

/* ---- two definitions of one name ---------------------------------------------------------------------------- */

/* The first difference as a sentence's tail, "" if there is none. */
static void first_difference(const athi_space_param *a, const athi_space_param *b, char out[256]) {
    static const char *const types[] = {"int", "float", "choice"};
    const struct {
        const char *name;
        double a, b;
    } numbers[] = {{"min", a->min, b->min},
                   {"max", a->max, b->max},
                   {"step", a->step, b->step},
                   {"mean", a->mean, b->mean},
                   {"std", a->std, b->std},
                   {"the number of branches", a->n_branches, b->n_branches},
                   {"ordered", a->ordered, b->ordered},
                   {"boolean", a->boolean, b->boolean},
                   {"the default", a->fallback, b->fallback}};
    out[0] = 0;
    if (a->type != b->type) {
        snprintf(out, 256, "%s against %s", types[a->type], types[b->type]);
        return;
    }
    if (a->prior != b->prior) {
        snprintf(out, 256, "prior %s against %s", prior_names[a->prior], prior_names[b->prior]);
        return;
    }
    for (int i = 0; i < ATHI_COUNT(numbers); i++)
        if (numbers[i].a != numbers[i].b) {
            snprintf(out, 256, "%s %.12g against %.12g", numbers[i].name, numbers[i].a, numbers[i].b);
            return;
        }
    for (int i = 0; i < a->n_branches; i++) {
        const athi_branch *x = &a->branches[i], *y = &b->branches[i];
        bool same_value = x->value && y->value ? athi_value_equal(x->value, y->value) : x->value == y->value;
        if (strcmp(x->key, y->key)) {
            snprintf(out, 256, "branch '%.80s' against '%.80s'", x->key, y->key);
            return;
        }
        if (x->weight != y->weight || !same_value) {
            snprintf(out, 256, "the %s of branch '%.80s'", same_value ? "weight" : "content", x->key);
            return;
        }
    }
}

ath_status athi_param_same(ath_ctx *ctx, const athi_space_param *old, const athi_space_param *new) {
    char difference[256], where[160], first[64] = "";
    first_difference(old, new, difference);
    if (!difference[0]) return ATH_OK;
    place(new, where);
    if (old->line > 0) snprintf(first, sizeof first, " at line %d, column %d", old->line, old->column);
    return athi_fail(ctx, ATH_E_OPTION,
                     "%s: its name is taken%s by another definition (%s); give one of them another name", where,
                     first, difference);
}
