/* Trials under way: their executions, and how those of an earlier start are taken over. */
#include "tune/search_internal.h"

#include <math.h>

/* ---- executions ---------------------------------------------------------------------------------- */

void athi_execution_take(const athi_search *s, athi_execution *e, const athi_report *report, const double *values) {
    size_t bytes = (size_t)s->info->n_objectives * sizeof(double);
    e->n_reports += report->step > e->begin || report->step == 0;
    if (report->step == 0) {
        e->has_final = true;
        memcpy(e->final, values, bytes);
        return;
    }
    e->before = (athi_report){.step = e->last_step, .seconds = e->seconds};
    e->last_step = report->step, e->seconds = ATHI_MAX(report->seconds, e->seconds);
    memcpy(e->last, values, bytes);
    if (!isfinite(values[0]) || report->step <= e->begin) return;
    if (e->best_step && !(s->info->maximize[0] ? values[0] > e->best : values[0] < e->best)) return;
    e->best = values[0], e->best_step = report->step;
}

/* With several objectives the best step of one is not that of another: the last report counts. */
void athi_execution_result(const athi_search *s, const athi_execution *e, double *values) {
    bool best = s->info->n_objectives == 1 && !s->opts.last_value;
    for (int k = 0; k < s->info->n_objectives; k++)
        values[k] = e->has_final ? e->final[k] : e->n_reports ? e->last[k] : NAN;
    if (!e->has_final && best) values[0] = e->best_step ? e->best : NAN;
}

void athi_execution_clear(athi_search *s, athi_execution *e) {
    athi_free(s->ctx, e->final_json);
    athi_free(s->ctx, e->constraints);
    *e = (athi_execution){0};
}

/* ---- the list ------------------------------------------------------------------------------------ */

athi_active *athi_active_find(const athi_search *s, int64_t number) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->actives[i]->number == number) return s->actives[i];
    return NULL;
}

void athi_active_free(athi_search *s, athi_active *a) {
    if (!a) return;
    for (int64_t i = 0; a->executions && i < a->n; i++) athi_execution_clear(s, &a->executions[i]);
    athi_free(s->ctx, a->point);
    athi_free(s->ctx, a->executions);
    athi_free(s->ctx, a);
}

void athi_active_drop(athi_search *s, athi_active *a) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->actives[i] == a) {
            memmove(&s->actives[i], &s->actives[i + 1], (size_t)(s->n - i - 1) * sizeof(*s->actives));
            s->n--;
            break;
        }
    athi_active_free(s, a);
}

ath_status athi_active_set_point(athi_search *s, athi_active *a, const double *point) {
    double *copy = athi_alloc_array(s->ctx, s->opts.space->n, sizeof(double));
    if (!copy) return ATH_E_NOMEM;
    if (s->opts.space->n) memcpy(copy, point, (size_t)s->opts.space->n * sizeof(double));
    athi_free(s->ctx, a->point);
    a->point = copy;
    return ATH_OK;
}

ath_status athi_active_add(athi_search *s, int64_t number, const double *point, int64_t n, athi_active **out) {
    ATH_TRY(ATHI_GROW(s->ctx, s->actives, s->n, s->cap));
    athi_active *a = athi_alloc(s->ctx, sizeof(*a));
    if (!a) return ATH_E_NOMEM;
    a->number = number, a->n = n, a->parent = -1;
    a->executions = athi_alloc_array(s->ctx, n, sizeof(athi_execution));
    if (!a->executions || athi_active_set_point(s, a, point) != ATH_OK) return athi_active_free(s, a), ATH_E_NOMEM;
    s->actives[s->n++] = a;
    if (out) *out = a;
    return ATH_OK;
}

athi_execution *athi_execution_running(const athi_search *s, const athi_task *task, athi_active **owner) {
    athi_active *a = athi_active_find(s, task->trial);
    *owner = a;
    return a && task->execution < a->n && a->executions[task->execution].phase == ATHI_PHASE_RUNNING
               ? &a->executions[task->execution]
               : NULL;
}

/* ---- at a start ---------------------------------------------------------------------------------- */

/* The reports of an unfinished execution count again. */
static ath_status take_reports(athi_search *s, int64_t trial, int64_t index, athi_execution *e) {
    athi_report *reports = NULL;
    const char **json = NULL;
    int64_t n = 0;
    ATH_TRY(athi_store_reports(s->opts.store, s->scratch, trial, index, &reports, &json, &n));
    for (int64_t k = 0; k < n; k++) {
        double values[ATHI_OBJECTIVES_MAX] = {reports[k].value};
        athi_value *map = NULL;
        athi_task task = {.trial = trial, .execution = index};
        bool constrained = json[k] && strstr(json[k], "\"constraints\"");
        if (s->info->n_objectives > 1 || constrained)
            ATH_TRY(athi_json_read(s->ctx, s->scratch, json[k], (int64_t)strlen(json[k]), &map));
        if (s->info->n_objectives > 1) ATH_TRY(athi_search_read_values(s, &task, reports[k].step, map, values));
        if (constrained) ATH_TRY(athi_search_take_constraints(s, &task, map));
        athi_execution_take(s, e, &reports[k], values);
    }
    return ATH_OK;
}

/* A trial that an earlier start left: finished executions count, the others go on where their reports end. */
ath_status athi_active_take_over(athi_search *s, const athi_trial *t) {
    athi_active *a = NULL;
    int m = s->info->n_objectives;
    ATH_TRY(athi_active_add(s, t->number, t->point, ATHI_MAX(s->opts.executions, t->n_executions), &a));
    a->rescored = t->relation == ATHI_RELATION_RESCORE, a->child = t->relation == ATHI_RELATION_CHILD;
    for (int64_t i = 0; i < a->n; i++) {
        athi_execution *e = &a->executions[i];
        e->begin = athi_trial_begin(t);
        if (i < t->n_executions && !isnan(t->execution_values[i * m])) {
            e->phase = ATHI_PHASE_DONE, e->best_step = t->execution_best[i];
            memcpy(e->values, t->execution_values + i * m, (size_t)m * sizeof(double));
            athi_execution unused = {0};
            ATH_TRY(take_reports(s, t->number, i, &unused)); /* for the constraints */
            continue;
        }
        ATH_TRY(take_reports(s, t->number, i, e));
        e->resumed = true;
        if (t->state == ATHI_TRIAL_PAUSED && s->scheduler && i == 0) e->phase = ATHI_PHASE_PAUSED;
        const bool begins = t->relation == ATHI_RELATION_CHILD && e->last_step == t->relative_step;
        const bool let_go = t->resumed_at && e->last_step == t->resumed_at;
        const bool decided = begins || let_go || e->phase == ATHI_PHASE_PAUSED; /* and not to be decided again */
        e->judged_step = decided ? e->last_step : e->before.step;
    }
    return t->relation == ATHI_RELATION_CHILD ? athi_search_inherit(s, a, t) : ATH_OK;
}
