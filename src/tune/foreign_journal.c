/* Optuna's JournalStorage: a file of JSON lines, each an operation on the state of all studies in it, which is what
 * replaying them gives (optuna/storages/journal/_storage.py). A last line that is cut off was never finished. */
#include "tune/foreign.h"

#include "base/file.h"
#include "tune/command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* JournalOperation there. */
enum {
    CREATE_STUDY,
    DELETE_STUDY,
    SET_STUDY_USER_ATTR,
    SET_STUDY_SYSTEM_ATTR,
    CREATE_TRIAL,
    SET_TRIAL_PARAM,
    SET_TRIAL_STATE_VALUES,
    SET_TRIAL_INTERMEDIATE_VALUE,
    SET_TRIAL_USER_ATTR,
    SET_TRIAL_SYSTEM_ATTR,
    OPERATIONS
};

static const athi_trial_state states[] = {ATHI_TRIAL_RUNNING, ATHI_TRIAL_COMPLETE, ATHI_TRIAL_PRUNED,
                                          ATHI_TRIAL_FAILED, ATHI_TRIAL_WAITING}; /* optuna.trial.TrialState */

typedef struct journal {
    athi_foreign *f;
    athi_arena *line; /* of one line */
    bool *wanted;     /* studies, in the order of their creation: may it be the one that is read? */
    int64_t n_studies, cap_studies;
    int64_t study;   /* the one that is, -1: unknown yet */
    int64_t created; /* studies so far, when it is read */
    int64_t *trials; /* of all studies: the number in ours, -1 */
    int64_t n, cap;
} journal;

/* ---- values -------------------------------------------------------------------------------------- */

static int64_t integer_of(const athi_value *map, const char *key, int64_t otherwise) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_INT ? v->integer : otherwise;
}

static const char *text_of(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : NULL;
}

/* "2026-11-26T15:26:35.840094+00:00"; 0 where there is none. */
static double time_of(const athi_value *map, const char *key) {
    struct tm tm = {0};
    const char *text = text_of(map, key), *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!rest) return 0;
    char *zone = NULL;
    const double fraction = *rest == '.' ? athi_strtod(rest, &zone) : 0;
    int hours = 0, minutes = 0;
    if (!zone) zone = (char *)(uintptr_t)rest;
    const int sign = *zone == '-' ? -1 : 1;
    if (*zone) sscanf(zone + 1, "%2d:%2d", &hours, &minutes);
    return (double)timegm(&tm) + fraction - sign * (3600.0 * hours + 60.0 * minutes);
}

static ath_status json_of(journal *j, const athi_value *v, const char **out) {
    athi_text text = {.ctx = j->f->ctx};
    ath_status status = athi_json_write(&text, v, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    *out = status == ATH_OK ? athi_arena_strdup(j->line, text.text) : NULL;
    athi_text_free(&text);
    return *out || status != ATH_OK ? status : ATH_E_NOMEM;
}

/* ---- operations ---------------------------------------------------------------------------------- */

static ath_status damaged(const journal *j, const char *what) {
    return athi_fail(j->f->ctx, ATH_E_DATA, "expected %s", what);
}

/* The trial that a line means, where it is of our study and not finished: changes of others are of no effect. */
static athi_foreign_trial *trial_of(const journal *j, const athi_value *line) {
    const int64_t id = integer_of(line, "trial_id", -1);
    if (id < 0 || id >= j->n || j->trials[id] < 0) return NULL;
    athi_foreign_trial *t = &j->f->trials[j->trials[id]];
    return t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_WAITING ? t : NULL;
}

static ath_status set_values(journal *j, athi_foreign_trial *t, const athi_value *list) {
    if (!list || list->type == ATHI_NULL) return ATH_OK;
    ATH_TRY(athi_foreign_values(j->f, t));
    for (int k = 0; k < j->f->n_objectives; k++) {
        const athi_value *v = list->type != ATHI_LIST ? (k ? NULL : list) : k < list->n ? list->items[k] : NULL;
        if (!v || !athi_report_number(v, &t->values[k])) return damaged(j, "a number for every objective");
    }
    return ATH_OK;
}

static ath_status set_texts(journal *j, athi_foreign_trial *t, const athi_value *map,
                            ath_status (*add)(athi_foreign *f, athi_foreign_trial *t, const char *key,
                                              const char *json)) {
    for (int64_t i = 0; map && map->type == ATHI_MAP && i < map->n; i++) {
        const char *json;
        ATH_TRY(json_of(j, map->items[i], &json));
        ATH_TRY(add(j->f, t, map->keys[i], json));
    }
    return ATH_OK;
}

static ath_status set_param(journal *j, athi_foreign_trial *t, const char *name, const athi_value *value,
                            const char *distribution) {
    double number;
    if (!name || !value || !athi_report_number(value, &number) || !distribution)
        return damaged(j, "a parameter with a number and a distribution");
    return athi_foreign_param_add(j->f, t, name, distribution, number);
}

static ath_status set_state(journal *j, athi_foreign_trial *t, int64_t state) {
    if (state < 0 || state >= ATHI_COUNT(states)) return damaged(j, "a state from 0 to 4");
    t->state = states[state];
    if (t->state == ATHI_TRIAL_FAILED) t->reason = ATHI_REASON_LOST; /* it does not say why */
    return ATH_OK;
}

/* Whole trials come with study.add_trial and copy_study. */
static ath_status fill_trial(journal *j, athi_foreign_trial *t, const athi_value *line) {
    const athi_value *params = athi_value_get(line, "params"), *distributions = athi_value_get(line, "distributions"),
                     *reports = athi_value_get(line, "intermediate_values"), *values = athi_value_get(line, "values");
    t->started = time_of(line, "datetime_start"), t->ended = time_of(line, "datetime_complete");
    ATH_TRY(set_state(j, t, integer_of(line, "state", 0)));
    for (int64_t i = 0; params && params->type == ATHI_MAP && i < params->n; i++)
        ATH_TRY(set_param(j, t, params->keys[i], params->items[i], text_of(distributions, params->keys[i])));
    for (int64_t i = 0; reports && reports->type == ATHI_MAP && i < reports->n; i++) {
        double value;
        if (!athi_report_number(reports->items[i], &value)) return damaged(j, "intermediate values that are numbers");
        ATH_TRY(athi_foreign_report_add(j->f, t, strtoll(reports->keys[i], NULL, 10), value));
    }
    ATH_TRY(set_values(j, t, values && values->type == ATHI_LIST ? values : athi_value_get(line, "value")));
    ATH_TRY(set_texts(j, t, athi_value_get(line, "user_attrs"), athi_foreign_user_add));
    return set_texts(j, t, athi_value_get(line, "system_attrs"), athi_foreign_system_add);
}

static ath_status create_trial(journal *j, const athi_value *line) {
    athi_foreign_trial *t;
    ATH_TRY(ATHI_GROW(j->f->ctx, j->trials, j->n, j->cap));
    j->trials[j->n++] = -1;
    if (integer_of(line, "study_id", -1) != j->study) return ATH_OK;
    j->trials[j->n - 1] = j->f->n;
    ATH_TRY(athi_foreign_add(j->f, &t));
    return fill_trial(j, t, line);
}

static ath_status set_state_values(journal *j, athi_foreign_trial *t, const athi_value *line) {
    const int64_t state = integer_of(line, "state", -1);
    if (state == 0 && t->state == ATHI_TRIAL_RUNNING) return ATH_OK; /* somebody else was quicker */
    ATH_TRY(set_state(j, t, state));
    if (t->state == ATHI_TRIAL_RUNNING) t->started = time_of(line, "datetime_start");
    if (athi_value_get(line, "datetime_complete")) t->ended = time_of(line, "datetime_complete");
    return set_values(j, t, athi_value_get(line, "values"));
}

static ath_status set_report(journal *j, athi_foreign_trial *t, const athi_value *line) {
    const athi_value *step = athi_value_get(line, "step"), *v = athi_value_get(line, "intermediate_value");
    double value;
    if (!step || step->type != ATHI_INT || !v || !athi_report_number(v, &value))
        return damaged(j, "a step and a number");
    return athi_foreign_report_add(j->f, t, step->integer, value);
}

static ath_status name_objectives(journal *j, const athi_value *line) {
    const athi_value *names = athi_value_get(athi_value_get(line, "system_attr"), "study:metric_names");
    if (integer_of(line, "study_id", -1) != j->study || !names || names->type != ATHI_LIST) return ATH_OK;
    for (int k = 0; k < j->f->n_objectives && k < names->n; k++) {
        if (names->items[k]->type != ATHI_STRING) continue;
        if (!(j->f->names[k] = athi_arena_strdup(j->f->arena, names->items[k]->text))) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

static ath_status begin_study(journal *j, const athi_value *line) {
    const athi_value *list = athi_value_get(line, "directions");
    athi_foreign *f = j->f;
    if (!text_of(line, "study_name") || !list || list->type != ATHI_LIST || list->n < 1 ||
        list->n > ATHI_OBJECTIVES_MAX)
        return damaged(j, "a study with a name and 1 to 8 directions");
    f->n_objectives = (int)list->n;
    if (!(f->name = athi_arena_strdup(f->arena, text_of(line, "study_name")))) return ATH_E_NOMEM;
    for (int k = 0; k < f->n_objectives; k++) {
        f->maximize[k] = list->items[k]->type == ATHI_INT && list->items[k]->integer == 2;
        f->names[k] = f->n_objectives == 1 ? "value" : athi_arena_printf(f->arena, "value_%d", k);
        if (!f->names[k]) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

static ath_status apply(journal *j, const athi_value *line) {
    const int64_t op = integer_of(line, "op_code", -1);
    if (line->type != ATHI_MAP || op < 0 || op >= OPERATIONS)
        return damaged(j, "an operation with an op_code from 0 to 9");
    if (op == CREATE_STUDY) return j->created++ == j->study ? begin_study(j, line) : ATH_OK;
    if (op == CREATE_TRIAL) return create_trial(j, line);
    if (op == SET_STUDY_SYSTEM_ATTR) return name_objectives(j, line);
    athi_foreign_trial *t = op >= SET_TRIAL_PARAM ? trial_of(j, line) : NULL;
    if (!t) return ATH_OK;
    switch (op) {
    case SET_TRIAL_PARAM:
        return set_param(j, t, text_of(line, "param_name"), athi_value_get(line, "param_value_internal"),
                         text_of(line, "distribution"));
    case SET_TRIAL_STATE_VALUES: return set_state_values(j, t, line);
    case SET_TRIAL_INTERMEDIATE_VALUE: return set_report(j, t, line);
    case SET_TRIAL_USER_ATTR: return set_texts(j, t, athi_value_get(line, "user_attr"), athi_foreign_user_add);
    default: return set_texts(j, t, athi_value_get(line, "system_attr"), athi_foreign_system_add);
    }
}

/* ---- which study --------------------------------------------------------------------------------- */

/* The first pass: of the studies that were not deleted, those of that name, or all. */
static ath_status note_study(journal *j, const athi_value *line, const char *name) {
    const int64_t op = integer_of(line, "op_code", -1), id = integer_of(line, "study_id", -1);
    const char *own = text_of(line, "study_name");
    if (op == DELETE_STUDY && id >= 0 && id < j->n_studies) j->wanted[id] = false;
    if (op != CREATE_STUDY) return ATH_OK;
    ATH_TRY(ATHI_GROW(j->f->ctx, j->wanted, j->n_studies, j->cap_studies));
    j->wanted[j->n_studies++] = own && (!name || strcmp(name, own) == 0);
    return ATH_OK;
}

static ath_status choose_study(journal *j, const char *wanted) {
    const athi_foreign *f = j->f;
    int64_t left = 0;
    for (int64_t i = 0; i < j->n_studies; i++)
        if (j->wanted[i]) j->study = i, left++;
    if (left == 1) return ATH_OK;
    if (wanted) return athi_fail(f->ctx, ATH_E_NOTFOUND, "%s: the journal holds no study '%s'", f->source, wanted);
    if (left > 1)
        return athi_fail(f->ctx, ATH_E_NOTFOUND, "%s: the journal holds %lld studies; name one with --study-name",
                         f->source, (long long)left);
    return athi_fail(f->ctx, ATH_E_NOTFOUND, "%s: the journal holds no study", f->source);
}

/* ---- the file ------------------------------------------------------------------------------------ */

static ath_status read_lines(journal *j, bool replay, const char *wanted, const char *text, int64_t n) {
    int64_t number = 1;
    for (const char *at = text, *end; at < text + n; at = end + 1, number++) {
        athi_value *line = NULL;
        end = memchr(at, '\n', (size_t)(text + n - at));
        if (!end) return ATH_OK; /* whoever wrote it was killed */
        if (end == at) continue;
        athi_arena_reset(j->line);
        ath_status status = athi_json_read_loose(j->f->ctx, j->line, at, end - at, &line);
        if (status == ATH_OK) status = replay ? apply(j, line) : note_study(j, line, wanted);
        if (status == ATH_E_NOMEM) return status;
        if (status != ATH_OK)
            return athi_fail_prefix(j->f->ctx, ATH_E_DATA, "%s: line %lld", j->f->source, (long long)number);
    }
    return ATH_OK;
}

ath_status athi_foreign_journal_text(athi_foreign *f, const char *study, const char *text, int64_t n) {
    journal j = {.f = f, .study = -1, .line = athi_arena_create(f->ctx)};
    if (!j.line) return ATH_E_NOMEM;
    ath_status status = read_lines(&j, false, study, text, n);
    if (status == ATH_OK) status = choose_study(&j, study);
    if (status == ATH_OK) status = read_lines(&j, true, study, text, n);
    athi_free(f->ctx, j.wanted);
    athi_free(f->ctx, j.trials);
    athi_arena_destroy(j.line);
    return status;
}

ath_status athi_foreign_journal(athi_foreign *f, const char *study) {
    char *text = NULL;
    int64_t n;
    ATH_TRY(athi_file_read(f->ctx, f->source, false, 0, &text, &n));
    ath_status status = athi_foreign_journal_text(f, study, text, n);
    athi_free(f->ctx, text);
    return status;
}
