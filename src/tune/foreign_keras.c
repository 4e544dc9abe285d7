/* KerasTuner's project folders: oracle.json, which names the trials in their order, and trial_<id>/trial.json. Which metric
 * was the objective stands nowhere; a trial's score is the best of that metric's means, so it can be found out. */
#include "tune/foreign.h"

#include "base/file.h"
#include "tune/command.h"
#include "tune/space_internal.h"
#include "tune/store_internal.h"

#include <math.h>
#include <stdio.h>

#define SCORE   "keras_tuner:score" /* attributes of a trial: what its trial.json said */
#define METRICS "keras_tuner:metrics"

static const struct {
    const char *status;
    athi_trial_state state;
    athi_reason reason;
} states[] = {
    {"COMPLETED", ATHI_TRIAL_COMPLETE, ATHI_REASON_NONE}, {"INVALID", ATHI_TRIAL_FAILED, ATHI_REASON_NAN},
    {"FAILED", ATHI_TRIAL_FAILED, ATHI_REASON_CRASH},     {"STOPPED", ATHI_TRIAL_PRUNED, ATHI_REASON_NONE},
    {"RUNNING", ATHI_TRIAL_RUNNING, ATHI_REASON_NONE},    {"IDLE", ATHI_TRIAL_WAITING, ATHI_REASON_NONE},
};

static const char *text_of(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : NULL;
}

static ath_status damaged(const athi_foreign *f, const char *what) {
    return athi_fail(f->ctx, ATH_E_DATA, "%s: expected %s", f->source, what);
}

/* ---- hyperparameters ----------------------------------------------------------------------------- */

static const athi_value *find_hyperparameter(const athi_value *space, const char *name) {
    for (int64_t i = 0; i < space->n; i++) {
        const athi_value *config = athi_value_get(space->items[i], "config");
        const char *own = text_of(config, "name");
        if (own && !strcmp(own, name)) return config;
    }
    return NULL;
}

/* Every parent exists and has one of the values. The depth is that of scopes within scopes. */
static bool is_active(const athi_value *space, const athi_value *values, const athi_value *config, int depth) {
    enum { DEPTH_MAX = 32 };
    const athi_value *conditions = athi_value_get(config, "conditions");
    if (depth > DEPTH_MAX) return false;
    for (int64_t i = 0; conditions && conditions->type == ATHI_LIST && i < conditions->n; i++) {
        const athi_value *c = athi_value_get(conditions->items[i], "config"), *allowed = athi_value_get(c, "values");
        const char *name = text_of(c, "name");
        const athi_value *parent = name ? find_hyperparameter(space, name) : NULL,
                         *value = name ? athi_value_get(values, name) : NULL;
        bool taken = false;
        for (int64_t k = 0; value && allowed && allowed->type == ATHI_LIST && k < allowed->n; k++)
            taken |= athi_value_equal(allowed->items[k], value);
        if (!taken || !parent || !is_active(space, values, parent, depth + 1)) return false;
    }
    return true;
}

/* Log ranges without a step are ours; with one it multiplies there and here. */
static ath_status read_range(athi_foreign *f, const athi_value *config, athi_param_type type, athi_space_param *p) {
    const char *sampling = text_of(config, "sampling");
    *p = (athi_space_param){.type = type, .min = NAN, .max = NAN, .fallback = NAN};
    athi_value_number(athi_value_get(config, "min_value"), &p->min);
    athi_value_number(athi_value_get(config, "max_value"), &p->max);
    athi_value_number(athi_value_get(config, "step"), &p->step);
    if (sampling && !strcmp(sampling, "log")) p->prior = ATHI_PRIOR_LOG;
    if (sampling && !strcmp(sampling, "reverse_log")) p->prior = ATHI_PRIOR_REVERSE_LOG;
    if (p->prior != ATHI_PRIOR_UNIFORM && p->step <= 1) p->step = 0;
    return isfinite(p->min) && isfinite(p->max) ? ATH_OK : damaged(f, "min_value and max_value to be numbers");
}

static ath_status branch_of(athi_foreign *f, const athi_value *v, athi_branch *out) {
    athi_text text = {.ctx = f->ctx};
    ath_status status = athi_json_write(&text, v, 0);
    out->value = v;
    out->key = status == ATH_OK && !text.failed
                   ? athi_arena_strdup(f->arena, v->type == ATHI_STRING ? v->text : text.text)
                   : NULL;
    athi_text_free(&text);
    return out->key ? ATH_OK : ATH_E_NOMEM;
}

/* Choice's values, false and true, or the one value that is fixed. */
static ath_status read_choice(athi_foreign *f, const athi_value *list, const athi_value *value, athi_space_param *p,
                              double *number) {
    *p = (athi_space_param){.type = ATHI_PARAM_CHOICE, .n_branches = (int)list->n};
    p->branches = athi_arena_array(f->arena, list->n, (int64_t)sizeof *p->branches);
    if (!p->branches) return ATH_E_NOMEM;
    *number = -1;
    for (int64_t i = 0; i < list->n; i++) {
        ATH_TRY(branch_of(f, list->items[i], &p->branches[i]));
        if (athi_value_equal(list->items[i], value)) *number = (double)i;
    }
    return *number >= 0 ? ATH_OK : damaged(f, "a hyperparameter's value to be one of its values");
}

static ath_status both_truths(athi_foreign *f, athi_value **list) {
    if (!(*list = athi_value_new(f->arena, ATHI_LIST))) return ATH_E_NOMEM;
    ATH_TRY(athi_value_append(f->arena, *list, athi_value_bool(f->arena, false)));
    return athi_value_append(f->arena, *list, athi_value_bool(f->arena, true));
}

static ath_status only(athi_foreign *f, const athi_value *v, athi_value **list) {
    if (!(*list = athi_value_new(f->arena, ATHI_LIST))) return ATH_E_NOMEM;
    return athi_value_append(f->arena, *list, athi_value_copy(f->arena, v));
}

static ath_status add_param(athi_foreign *f, athi_foreign_trial *t, const char *kind, const athi_value *config,
                            const athi_value *value) {
    athi_space_param p;
    athi_value *made = NULL;
    const athi_value *list = athi_value_get(config, "values");
    double number = 0;
    char *json = NULL;
    if (!strcmp(kind, "Int") || !strcmp(kind, "Float")) {
        ATH_TRY(read_range(f, config, kind[0] == 'I' ? ATHI_PARAM_INT : ATHI_PARAM_FLOAT, &p));
        if (!athi_value_number(value, &number)) return damaged(f, "a hyperparameter's value to be a number");
    } else {
        if (!strcmp(kind, "Boolean")) ATH_TRY(both_truths(f, &made));
        if (!strcmp(kind, "Fixed")) ATH_TRY(only(f, value, &made));
        if (made) list = made;
        if (!list || list->type != ATHI_LIST || !list->n) return damaged(f, "a hyperparameter to have values");
        ATH_TRY(read_choice(f, list, value, &p, &number));
    }
    ATH_TRY(athi_optuna_distribution(f->ctx, &p, &json));
    ath_status status = athi_foreign_param_add(f, t, text_of(config, "name"), json, number);
    athi_free(f->ctx, json);
    return status;
}

static ath_status read_hyperparameters(athi_foreign *f, athi_foreign_trial *t, const athi_value *map) {
    const athi_value *space = athi_value_get(map, "space"), *values = athi_value_get(map, "values");
    if (!space || space->type != ATHI_LIST || !values || values->type != ATHI_MAP)
        return damaged(f, "'hyperparameters' to have a space and values");
    for (int64_t i = 0; i < space->n; i++) {
        const char *kind = text_of(space->items[i], "class_name");
        const athi_value *config = athi_value_get(space->items[i], "config");
        const char *name = text_of(config, "name");
        const athi_value *value = name ? athi_value_get(values, name) : NULL;
        if (!kind || !name) return damaged(f, "hyperparameters with a class_name and a name");
        if (value && is_active(space, values, config, 0)) ATH_TRY(add_param(f, t, kind, config, value));
    }
    return ATH_OK;
}

/* ---- one trial ----------------------------------------------------------------------------------- */

static ath_status keep_json(athi_foreign *f, athi_foreign_trial *t, const char *key, const athi_value *v) {
    athi_text text = {.ctx = f->ctx};
    if (!v) return ATH_OK;
    ath_status status = athi_json_write(&text, v, 0);
    if (status == ATH_OK) status = text.failed ? ATH_E_NOMEM : athi_foreign_user_add(f, t, key, text.text);
    athi_text_free(&text);
    return status;
}

ath_status athi_foreign_keras_text(athi_foreign *f, const char *text, int64_t n) {
    athi_value *map = NULL;
    athi_foreign_trial *t;
    ATH_TRY(athi_json_read_loose(f->ctx, f->arena, text, n, &map));
    const char *status = text_of(map, "status"), *message = text_of(map, "message");
    int i = 0;
    while (i < ATHI_COUNT(states) && (!status || strcmp(states[i].status, status))) i++;
    if (i == ATHI_COUNT(states))
        return damaged(f, "'status' to be COMPLETED, INVALID, FAILED, STOPPED, RUNNING or IDLE");
    ATH_TRY(athi_foreign_add(f, &t));
    t->state = states[i].state, t->reason = states[i].reason;
    if (message && !(t->message = athi_arena_strdup(f->arena, message))) return ATH_E_NOMEM;
    ATH_TRY(read_hyperparameters(f, t, athi_value_get(map, "hyperparameters")));
    ATH_TRY(keep_json(f, t, "trial_id", athi_value_get(map, "trial_id")));
    ATH_TRY(keep_json(f, t, SCORE, athi_value_get(map, "score")));
    return keep_json(f, t, METRICS, athi_value_get(athi_value_get(map, "metrics"), "metrics"));
}

/* ---- the objective ------------------------------------------------------------------------------- */

/* An attribute of that name, read; NULL: there is none. */
static ath_status attribute(athi_foreign *f, const athi_foreign_trial *t, const char *key, athi_value **out) {
    *out = NULL;
    for (int64_t i = 0; i < t->n_user; i++)
        if (!strcmp(t->user[i].key, key))
            return athi_json_read(f->ctx, f->arena, t->user[i].json, (int64_t)strlen(t->user[i].json), out);
    return ATH_OK;
}

/* The mean of an observation's values, one an execution. */
static bool mean_of(const athi_value *observation, double *mean) {
    const athi_value *list = athi_value_get(observation, "value");
    double sum = 0, v;
    if (!list || list->type != ATHI_LIST || !list->n) return false;
    for (int64_t i = 0; i < list->n; i++) {
        if (!athi_report_number(list->items[i], &v)) return false;
        sum += v;
    }
    *mean = sum / (double)list->n;
    return true;
}

/* Is a score the best of the metric's observations? */
static bool explains(const athi_value *metric, double score) {
    const athi_value *list = athi_value_get(metric, "observations");
    const char *direction = text_of(metric, "direction");
    double best = NAN, v;
    for (int64_t i = 0; list && list->type == ATHI_LIST && i < list->n; i++)
        if (mean_of(list->items[i], &v))
            best = isnan(best) ? v : direction && !strcmp(direction, "max") ? fmax(best, v) : fmin(best, v);
    return fabs(best - score) <= 1e-9 * fmax(1, fabs(score));
}

/* Does a metric explain the scores of all trials that have one? *any: is there such a trial? */
static ath_status fits(athi_foreign *f, const char *name, bool *all, bool *any, bool *maximize) {
    *all = true, *any = false;
    for (int64_t i = 0; i < f->n && *all; i++) {
        athi_value *score, *metrics;
        double number;
        ATH_TRY(attribute(f, &f->trials[i], SCORE, &score));
        ATH_TRY(attribute(f, &f->trials[i], METRICS, &metrics));
        if (f->trials[i].state != ATHI_TRIAL_COMPLETE || !score || !athi_report_number(score, &number)) continue;
        const athi_value *metric = athi_value_get(metrics, name);
        const char *direction = text_of(metric, "direction");
        *any = true, *maximize = direction && !strcmp(direction, "max");
        *all = metric && explains(metric, number);
    }
    return ATH_OK;
}

static ath_status no_objective(athi_foreign *f, const char *wanted) {
    athi_value *metrics = NULL;
    athi_text known = {.ctx = f->ctx};
    if (wanted) return athi_fail(f->ctx, ATH_E_OPTION, "%s: no trial has reported a metric '%s'", f->source, wanted);
    if (f->n) ATH_TRY(attribute(f, &f->trials[0], METRICS, &metrics));
    for (int64_t k = 0; metrics && metrics->type == ATHI_MAP && k < metrics->n; k++)
        athi_text_printf(&known, "%s%s", k ? ", " : "", metrics->keys[k]);
    ath_status status =
        known.failed ? ATH_E_NOMEM
                     : athi_fail(f->ctx, ATH_E_DATA,
                                 "%s: which metric was the objective cannot be told from the scores (there are: "
                                 "%s); name it with --objective",
                                 f->source, known.text ? known.text : "none");
    athi_text_free(&known);
    return status;
}

static ath_status find_objective(athi_foreign *f, const char *wanted) {
    for (int64_t i = 0; i < f->n; i++) {
        athi_value *metrics;
        ATH_TRY(attribute(f, &f->trials[i], METRICS, &metrics));
        for (int64_t k = 0; metrics && metrics->type == ATHI_MAP && k < metrics->n; k++) {
            bool all, any, maximize;
            if (wanted && strcmp(wanted, metrics->keys[k])) continue;
            ATH_TRY(fits(f, metrics->keys[k], &all, &any, &maximize));
            if (!any || !(all || wanted)) continue;
            f->n_objectives = 1, f->names[0] = metrics->keys[k], f->maximize[0] = maximize;
            return ATH_OK;
        }
    }
    return no_objective(f, wanted);
}

static ath_status take_reports(athi_foreign *f, athi_foreign_trial *t, const athi_value *metric) {
    const athi_value *list = athi_value_get(metric, "observations");
    double v;
    for (int64_t i = 0; list && list->type == ATHI_LIST && i < list->n; i++) {
        const athi_value *step = athi_value_get(list->items[i], "step");
        if (step && step->type == ATHI_INT && mean_of(list->items[i], &v))
            ATH_TRY(athi_foreign_report_add(f, t, step->integer, v));
    }
    return ATH_OK;
}

ath_status athi_foreign_keras_objective(athi_foreign *f, const char *objective) {
    ATH_TRY(find_objective(f, objective));
    for (int64_t i = 0; i < f->n; i++) {
        athi_foreign_trial *t = &f->trials[i];
        athi_value *score, *metrics;
        double number = NAN;
        ATH_TRY(attribute(f, t, SCORE, &score));
        ATH_TRY(attribute(f, t, METRICS, &metrics));
        const bool scored = score && athi_report_number(score, &number) && !isnan(number);
        if (scored) ATH_TRY(athi_foreign_values(f, t));
        if (scored) t->values[0] = number;
        if (!scored && t->state == ATHI_TRIAL_COMPLETE) t->state = ATHI_TRIAL_FAILED, t->reason = ATHI_REASON_NAN;
        ATH_TRY(take_reports(f, t, athi_value_get(metrics, f->names[0])));
    }
    return ATH_OK;
}

/* ---- the folder ---------------------------------------------------------------------------------- */

enum { BYTES_MAX = 64 << 20 };

static ath_status read_trial(athi_foreign *f, const char *folder, const char *id) {
    char *text = NULL;
    int64_t n;
    const char *path = athi_arena_printf(f->arena, "%s/trial_%s/trial.json", folder, id);
    if (!path) return ATH_E_NOMEM;
    f->source = path; /* in the sentences */
    ATH_TRY(athi_file_read(f->ctx, path, false, BYTES_MAX, &text, &n));
    ath_status status = athi_foreign_keras_text(f, text, n);
    athi_free(f->ctx, text);
    return status == ATH_E_SYNTAX ? athi_fail_prefix(f->ctx, ATH_E_DATA, "%s", path) : status;
}

static const char *name_of(athi_arena *arena, const char *folder) {
    int64_t n = (int64_t)strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    int64_t begin = n;
    while (begin > 0 && folder[begin - 1] != '/') begin--;
    return athi_arena_strndup(arena, folder + begin, n - begin);
}

ath_status athi_foreign_keras(athi_foreign *f, const char *objective) {
    char *text = NULL;
    int64_t n;
    const char *folder = f->source, *path = athi_arena_printf(f->arena, "%s/oracle.json", folder);
    athi_value *oracle = NULL;
    if (!path || !(f->name = name_of(f->arena, folder))) return ATH_E_NOMEM;
    ATH_TRY(athi_file_read(f->ctx, path, false, BYTES_MAX, &text, &n));
    ath_status status = athi_json_read_loose(f->ctx, f->arena, text, n, &oracle);
    athi_free(f->ctx, text);
    if (status != ATH_OK) return status == ATH_E_NOMEM ? status : athi_fail_prefix(f->ctx, ATH_E_DATA, "%s", path);
    const athi_value *order = athi_value_get(oracle, "start_order");
    if (!order || order->type != ATHI_LIST || !order->n)
        return athi_fail(f->ctx, ATH_E_DATA, "%s: expected 'start_order' to name trials", path);
    for (int64_t i = 0; i < order->n; i++) {
        const athi_value *id = order->items[i];
        if (id->type != ATHI_STRING || strchr(id->text, '/'))
            return athi_fail(f->ctx, ATH_E_DATA, "%s: expected 'start_order' to name trials", path);
        ATH_TRY(read_trial(f, folder, id->text));
    }
    f->source = folder;
    return athi_foreign_keras_objective(f, objective);
}
