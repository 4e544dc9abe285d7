/* The space of a study that another program made: what the distributions of its trials say. Ranges of one name that
 * differ are joined, so that every trial lies inside; conditions are unknown, a trial just lacks some parameters. */
#include "tune/store_internal.h"

#include <math.h>

/* Distributions by their names in Optuna; the last five are what versions before 3.0 wrote. */
static const struct {
    const char *name;
    athi_param_type type;
    bool is_log;
    const char *step; /* attribute that holds it */
} kinds[] = {
    {"FloatDistribution", ATHI_PARAM_FLOAT, false, "step"},
    {"IntDistribution", ATHI_PARAM_INT, false, "step"},
    {"CategoricalDistribution", ATHI_PARAM_CHOICE, false, NULL},
    {"UniformDistribution", ATHI_PARAM_FLOAT, false, NULL},
    {"LogUniformDistribution", ATHI_PARAM_FLOAT, true, NULL},
    {"DiscreteUniformDistribution", ATHI_PARAM_FLOAT, false, "q"},
    {"IntUniformDistribution", ATHI_PARAM_INT, false, "step"},
    {"IntLogUniformDistribution", ATHI_PARAM_INT, true, NULL},
};

typedef struct found {
    athi_arena *arena;
    athi_space_param *params;
    int64_t n, cap;
} found;

/* ---- one distribution ---------------------------------------------------------------------------- */

static bool has_branch(const athi_space_param *p, const athi_value *v) {
    for (int i = 0; i < p->n_branches; i++)
        if (athi_value_equal(p->branches[i].value, v)) return true;
    return false;
}

/* What a branch is called: a text by itself, anything else by its JSON, marked where a text is called so already. */
static const char *branch_key(athi_store *s, athi_arena *arena, const athi_space_param *p, const athi_value *v) {
    athi_text text = {.ctx = s->ctx};
    const char *key = NULL;
    if (v->type == ATHI_STRING)
        key = v->text;
    else if (athi_json_write(&text, v, 0) == ATH_OK && !text.failed)
        key = athi_arena_strdup(arena, text.text);
    athi_text_free(&text);
    for (int i = 0; key && i < p->n_branches; i++)
        if (strcmp(p->branches[i].key, key) == 0)
            return athi_arena_printf(arena, "%s (%s)", key, athi_value_type_name(v->type));
    return key;
}

static ath_status add_choices(athi_store *s, athi_arena *arena, athi_space_param *p, const athi_value *choices) {
    if (!choices || choices->type != ATHI_LIST) return ATH_OK;
    athi_branch *all = athi_arena_array(arena, p->n_branches + choices->n, sizeof *all);
    if (!all) return ATH_E_NOMEM;
    if (p->n_branches) memcpy(all, p->branches, (size_t)p->n_branches * sizeof *all);
    p->branches = all;
    for (int64_t i = 0; i < choices->n; i++) {
        if (has_branch(p, choices->items[i])) continue;
        athi_branch b = {.key = branch_key(s, arena, p, choices->items[i]), .value = choices->items[i]};
        if (!b.key) return ATH_E_NOMEM;
        all[p->n_branches++] = b;
    }
    return ATH_OK;
}

static ath_status join_range(athi_space_param *p, const athi_value *attributes, bool is_log, const char *step_name) {
    double low = NAN, high = NAN, step = 0;
    const athi_value *log_given = athi_value_get(attributes, "log");
    athi_value_number(athi_value_get(attributes, "low"), &low);
    athi_value_number(athi_value_get(attributes, "high"), &high);
    if (step_name) athi_value_number(athi_value_get(attributes, step_name), &step);
    is_log = is_log || (log_given && log_given->type == ATHI_BOOL && log_given->boolean);
    if (is_log) step = 0; /* Optuna's log ints have the step 1; ours would multiply by it */
    athi_prior prior = is_log ? ATHI_PRIOR_LOG : ATHI_PRIOR_UNIFORM;
    if (isnan(low) || isnan(high)) return ATH_E_DATA;
    if (isnan(p->min)) {
        p->min = low, p->max = high, p->step = step, p->prior = prior;
        return ATH_OK;
    }
    if (p->step != step || p->min != low) p->step = 0; /* two grids: any value */
    if (p->prior != prior) p->prior = ATHI_PRIOR_UNIFORM;
    p->min = fmin(p->min, low), p->max = fmax(p->max, high);
    return ATH_OK;
}

static ath_status find_param(athi_store *s, found *f, const char *name, athi_param_type type,
                             athi_space_param **out) {
    for (int64_t i = 0; i < f->n; i++)
        if (strcmp(f->params[i].name, name) == 0) {
            *out = &f->params[i];
            return ATH_OK;
        }
    ATH_TRY(ATHI_GROW(s->ctx, f->params, f->n, f->cap));
    athi_space_param *p = *out = &f->params[f->n];
    *p = (athi_space_param){.type = type, .min = NAN, .max = NAN, .fallback = NAN};
    if (!(p->name = athi_arena_strdup(f->arena, name))) return ATH_E_NOMEM;
    f->n++;
    return ATH_OK;
}

static ath_status read_one(athi_store *s, found *f, const char *name, const char *json) {
    athi_value *root = NULL;
    athi_space_param *p = NULL;
    ath_status status = athi_json_read(s->ctx, f->arena, json, (int64_t)strlen(json), &root);
    if (status == ATH_E_NOMEM) return status;
    const athi_value *kind = athi_value_get(root, "name"), *attributes = athi_value_get(root, "attributes");
    for (int i = 0; kind && kind->type == ATHI_STRING && i < ATHI_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, kind->text)) continue;
        ATH_TRY(find_param(s, f, name, kinds[i].type, &p));
        if (p->type != kinds[i].type) return ATH_OK; /* a name used for two things: its first meaning stays */
        status = p->type == ATHI_PARAM_CHOICE ? add_choices(s, f->arena, p, athi_value_get(attributes, "choices"))
                                              : join_range(p, attributes, kinds[i].is_log, kinds[i].step);
        if (status != ATH_E_DATA) return status;
        break;
    }
    return athi_fail(s->ctx, ATH_E_DATA, "%s: the distribution of parameter '%s' cannot be read: %.200s", s->path,
                     name, json);
}

/* ---- all of them --------------------------------------------------------------------------------- */

static ath_status read_all(athi_store *s, found *f) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_DISTRIBUTIONS, &q, "i", s->study_id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *name = athi_sql_text(q, 0), *json = athi_sql_text(q, 1);
        ath_status status = name && *name && json ? read_one(s, f, name, json) : ATH_OK;
        if (status != ATH_OK) {
            athi_sql_reset(q);
            return status;
        }
    }
}

ath_status athi_store_space(athi_store *s, athi_arena *arena, athi_space **out) {
    athi_space *space = NULL;
    found f = {.arena = arena};
    *out = NULL;
    ath_status status = athi_space_create(arena, &space);
    if (status == ATH_OK) status = read_all(s, &f);
    for (int64_t i = 0; status == ATH_OK && i < f.n; i++) {
        int index;
        status = athi_space_add(s->ctx, space, &f.params[i], &index);
        if (status != ATH_OK && status != ATH_E_NOMEM) status = athi_fail_prefix(s->ctx, ATH_E_DATA, "%s", s->path);
    }
    athi_free(s->ctx, f.params);
    if (status == ATH_OK) *out = space;
    return status;
}
