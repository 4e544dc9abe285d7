/* A trial as a value tree: what --json shows and export writes. */
#include "report/study.h"

#include <math.h>
#include <time.h>

void athi_study_put_value(const athi_space_param *p, double value, athi_text *out) {
    char number[32];
    if (isnan(value)) return;
    if (p->type == ATHI_PARAM_CHOICE) {
        int i = (int)value;
        if (i >= 0 && i < p->n_branches) athi_text_printf(out, "%s", p->branches[i].key);
        return;
    }
    athi_format_double(value, number);
    athi_text_printf(out, "%s", number);
}

double athi_study_seconds(const athi_trial *t) {
    if (!(t->started > 0) || !(t->ended > 0)) return NAN;
    return (double)llround((t->ended - t->started) * 1e6) / 1e6;
}

void athi_study_time(double seconds, char out[32]) {
    struct tm tm;
    int64_t milliseconds = llround(seconds * 1000);
    time_t whole = (time_t)(milliseconds / 1000);
    int milli = (int)(milliseconds % 1000);
    out[0] = 0;
    if (milliseconds < 0 || !gmtime_r(&whole, &tm)) return;
    size_t n = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &tm);
    const char tail[] = {'.', (char)('0' + milli / 100), (char)('0' + milli / 10 % 10), (char)('0' + milli % 10), 'Z',
                         0};
    memcpy(out + n, tail, sizeof tail);
}

static void put_text(athi_map_maker *m, const char *key, const char *text) {
    athi_map_put(m, key, athi_value_string(m->arena, text));
}
static void put_number(athi_map_maker *m, const char *key, double v) {
    athi_map_put(m, key, athi_value_float(m->arena, v));
}
static void put_time(athi_map_maker *m, const char *key, double seconds) {
    char text[32];
    if (!(seconds > 0)) return;
    athi_study_time(seconds, text);
    put_text(m, key, text);
}

/* {"loss": 0.3, "seconds": 2} */
static athi_value *objectives(const athi_study *s, athi_arena *arena, const double *values) {
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    for (int k = 0; map && k < s->info->n_objectives; k++)
        if (athi_value_set(arena, map, s->info->objective_names[k], athi_value_float(arena, values[k])) != ATH_OK)
            return NULL;
    return map;
}

static bool has_values(const athi_study *s, const athi_trial *t) {
    for (int k = 0; k < s->info->n_objectives; k++)
        if (!isnan(t->values[k])) return true;
    return false;
}

/* ---- executions and reports ---------------------------------------------------------------------- */

/* What a report said, or where only its value is known, the first objective. */
static ath_status add_report(const athi_study *s, athi_arena *arena, const athi_report *r, const char *json,
                             athi_value *list) {
    athi_value *values = NULL;
    athi_map_maker m = athi_map_make(arena);
    if (json && athi_json_read(s->ctx, arena, json, (int64_t)strlen(json), &values) == ATH_E_NOMEM)
        return ATH_E_NOMEM;
    if (!values || values->type != ATHI_MAP || values->n == 0) {
        if (!(values = athi_value_new(arena, ATHI_MAP))) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(arena, values, s->info->objective_names[0], athi_value_float(arena, r->value)));
    }
    athi_map_put(&m, "step", athi_value_int(arena, r->step));
    athi_map_put(&m, "values", values);
    return m.status == ATH_OK ? athi_value_append(arena, list, m.map) : m.status;
}

/* Ours with all their values; of a trial that Optuna ran, its intermediate values. */
static ath_status put_reports(const athi_study *s, athi_arena *arena, const athi_trial *t, int64_t e,
                              athi_map_maker *m) {
    athi_report *reports;
    const char **json;
    int64_t n;
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    ATH_TRY(athi_store_reports(s->store, arena, t->number, e, &reports, &json, &n));
    for (int64_t i = 0; i < n; i++) ATH_TRY(add_report(s, arena, &reports[i], json[i], list));
    for (int64_t i = 0; !n && e == 0 && i < t->n_reports; i++)
        ATH_TRY(add_report(s, arena, &t->reports[i], NULL, list));
    if (list->n) athi_map_put(m, "reports", list);
    return m->status;
}

static ath_status put_executions(const athi_study *s, athi_arena *arena, const athi_trial *t, bool reports,
                                 athi_map_maker *m) {
    int k = s->info->n_objectives;
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    int64_t n = reports ? ATHI_MAX(t->n_executions + (t->state != ATHI_TRIAL_COMPLETE), 1) : t->n_executions;
    for (int64_t e = 0; e < n; e++) {
        athi_map_maker x = athi_map_make(arena);
        bool finished = e < t->n_executions && !isnan(t->execution_values[e * k]);
        if (finished && k == 1) put_number(&x, "value", t->execution_values[e]);
        if (finished && k > 1) athi_map_put(&x, "values", objectives(s, arena, t->execution_values + e * k));
        if (finished) athi_map_put(&x, "best_step", athi_value_int(arena, t->execution_best[e]));
        if (reports && x.status == ATH_OK) ATH_TRY(put_reports(s, arena, t, e, &x));
        if (x.status != ATH_OK) return x.status;
        if (x.map->n || e < t->n_executions) ATH_TRY(athi_value_append(arena, list, x.map));
    }
    athi_map_put(m, "executions", list);
    return m->status;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

const char *athi_study_relation(const athi_trial *t) {
    static const char *const names[] = {[ATHI_RELATION_REPEAT] = "repeat_of",
                                        [ATHI_RELATION_RESCORE] = "rescore_of",
                                        [ATHI_RELATION_CHILD] = "child_of"};
    return (int)t->relation >= 0 && (int)t->relation < ATHI_COUNT(names) ? names[t->relation] : NULL;
}

void athi_study_put_lineage(const athi_study *s, const athi_trial *t, athi_text *out) {
    const char *comma = "";
    while (t->relation == ATHI_RELATION_CHILD && t->relative >= 0 && t->relative < t->number) {
        athi_text_printf(out, "%strial %lld at step %lld", comma, (long long)t->relative,
                         (long long)t->relative_step);
        t = s->trials[t->relative], comma = ", ";
    }
}

bool athi_study_has_children(const athi_study *s) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->relation == ATHI_RELATION_CHILD) return true;
    return false;
}

static void put_relation(const athi_trial *t, athi_map_maker *m) {
    if (athi_study_relation(t)) athi_map_put(m, athi_study_relation(t), athi_value_int(m->arena, t->relative));
    if (t->relation == ATHI_RELATION_CHILD) athi_map_put(m, "from_step", athi_value_int(m->arena, t->relative_step));
}

static void put_constraints(const athi_trial *t, athi_map_maker *m) {
    athi_value *list = t->n_constraints ? athi_value_new(m->arena, ATHI_LIST) : NULL;
    for (int i = 0; list && m->status == ATH_OK && i < t->n_constraints; i++)
        m->status = athi_value_append(m->arena, list, athi_value_float(m->arena, t->constraints[i]));
    if (!t->n_constraints) return;
    athi_map_put(m, "constraints", list);
    athi_map_put(m, "feasible", athi_value_bool(m->arena, athi_study_feasible(t)));
}

ath_status athi_study_trial(const athi_study *s, athi_arena *arena, const athi_trial *t, bool reports,
                            athi_value **out) {
    athi_map_maker m = athi_map_make(arena);
    athi_value *params = NULL;
    ATH_TRY(athi_space_point_write(arena, s->space, t->point, &params));
    athi_map_put(&m, "trial", athi_value_int(arena, t->number));
    put_text(&m, "state", athi_state_name(t->state));
    if (t->reason != ATHI_REASON_NONE) put_text(&m, "reason", athi_reason_name(t->reason));
    if (t->message) put_text(&m, "message", t->message);
    if (has_values(s, t)) athi_map_put(&m, "values", objectives(s, arena, t->values));
    put_constraints(t, &m);
    athi_map_put(&m, "params", params);
    if (t->outside) athi_map_put(&m, "outside_the_space", athi_value_bool(arena, true));
    put_relation(t, &m);
    if (m.status == ATH_OK) ATH_TRY(put_executions(s, arena, t, reports, &m));
    put_time(&m, "started", t->started);
    put_time(&m, "ended", t->ended);
    if (!isnan(athi_study_seconds(t))) put_number(&m, "seconds", athi_study_seconds(t));
    *out = m.map;
    return m.status;
}
