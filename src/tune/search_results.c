/* What comes back: reports, ends, failures, and trials that others run. */
#include "tune/search_internal.h"

#include <math.h>
#include <stdio.h>

bool athi_search_wanted(const athi_search *s, const athi_task *task) {
    athi_active *a;
    return athi_execution_running(s, task, &a) != NULL;
}

bool athi_search_any_came(const athi_search *s) { return s->any_came; }

int64_t athi_search_handed_out(const athi_search *s) { return s->handed_out; }

const char *athi_search_last_failure(const athi_search *s) { return s->last_failure; }

/* ---- reports ------------------------------------------------------------------------------------- */

bool athi_report_number(const athi_value *v, double *out) {
    static const struct {
        const char *text;
        double value;
    } names[] = {{"nan", NAN}, {"inf", INFINITY}, {"-inf", -INFINITY}};
    if (athi_value_number(v, out)) return true;
    for (int i = 0; v && v->type == ATHI_STRING && i < ATHI_COUNT(names); i++)
        if (!strcmp(v->text, names[i].text)) return *out = names[i].value, true;
    return false;
}

static ath_status no_objective(athi_search *s, const athi_task *task, int64_t step, const athi_value *values,
                               const char *name) {
    athi_text keys = {.ctx = s->ctx};
    for (int64_t i = 0; values && values->type == ATHI_MAP && i < values->n; i++)
        athi_text_printf(&keys, "%s%s", i ? ", " : "", values->keys[i]);
    const athi_value *given = athi_value_get(values, name);
    ath_status status =
        given
            ? athi_fail(s->ctx, ATH_E_DATA, "trial %lld: the report of step %lld gives '%s' as %s, expected a number",
                        (long long)task->trial, (long long)step, name, athi_value_type_name(given->type))
            : athi_fail(s->ctx, ATH_E_DATA,
                        "trial %lld: the report of step %lld has no '%s'; it has: %s; name one of "
                        "these as the objective",
                        (long long)task->trial, (long long)step, name, keys.text ? keys.text : "nothing");
    athi_text_free(&keys);
    return status;
}

ath_status athi_search_read_values(athi_search *s, const athi_task *task, int64_t step, const athi_value *map,
                                   double *values) {
    for (int k = 0; k < s->info->n_objectives; k++) {
        const char *name = s->info->objective_names[k];
        if (!athi_report_number(athi_value_get(map, name), &values[k])) return no_objective(s, task, step, map, name);
    }
    return ATH_OK;
}

ath_status athi_search_constrain(athi_search *s, const athi_task *task, const double *constraints, int n) {
    athi_active *a = athi_active_find(s, task->trial);
    if (!a || task->execution >= a->n || n == 0) return ATH_OK;
    athi_execution *e = &a->executions[task->execution];
    double *copy = athi_alloc_array(s->ctx, n, sizeof *copy);
    if (!copy) return ATH_E_NOMEM;
    memcpy(copy, constraints, (size_t)n * sizeof *copy);
    athi_free(s->ctx, e->constraints);
    e->constraints = copy, e->n_constraints = n;
    return ATH_OK;
}

/* Of a trial: the worst that one of its executions said. Lives in the scratch arena. */
static ath_status add_constraints(athi_search *s, const athi_active *a, athi_outcome *outcome) {
    int n = 0;
    for (int64_t i = 0; i < a->n; i++) n = ATHI_MAX(n, a->executions[i].n_constraints);
    if (!n) return ATH_OK;
    athi_arena_reset(s->scratch);
    double *worst = athi_arena_array(s->scratch, n, sizeof *worst);
    if (!worst) return ATH_E_NOMEM;
    for (int k = 0; k < n; k++) worst[k] = -INFINITY;
    for (int64_t i = 0; i < a->n; i++)
        for (int k = 0; k < a->executions[i].n_constraints; k++)
            worst[k] = fmax(worst[k], a->executions[i].constraints[k]);
    outcome->constraints = worst, outcome->n_constraints = n;
    return ATH_OK;
}

ath_status athi_constraints_read(ath_ctx *ctx, const athi_value *list, double constraints[ATHI_CONSTRAINTS_MAX],
                                 int *n) {
    *n = 0;
    if (!list) return ATH_OK;
    if (list->type != ATHI_LIST || list->n < 1 || list->n > ATHI_CONSTRAINTS_MAX)
        return athi_fail(ctx, ATH_E_DATA, "\"constraints\": expected a list of 1 to %d numbers, got %s",
                         ATHI_CONSTRAINTS_MAX,
                         list->type == ATHI_LIST ? "another length" : athi_value_type_name(list->type));
    for (; *n < (int)list->n; ++*n)
        if (!athi_report_number(list->items[*n], &constraints[*n]) || isnan(constraints[*n]))
            return athi_fail(ctx, ATH_E_DATA,
                             "\"constraints\": expected numbers, which are kept where none is above 0");
    return ATH_OK;
}

ath_status athi_search_take_constraints(athi_search *s, const athi_task *task, const athi_value *map) {
    double constraints[ATHI_CONSTRAINTS_MAX];
    int n;
    ATH_TRY(athi_constraints_read(s->ctx, athi_value_get(map, "constraints"), constraints, &n));
    return athi_search_constrain(s, task, constraints, n);
}

ath_status athi_search_report(athi_search *s, const athi_task *task, int64_t step, const athi_value *map) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    double values[ATHI_OBJECTIVES_MAX];
    if (!e) return ATH_OK; /* its trial has ended */
    ATH_TRY(athi_search_read_values(s, task, step, map, values));
    if (step < 0)
        return athi_fail(s->ctx, ATH_E_DATA, "trial %lld: expected a step from 1 (0: the final value), got %lld",
                         (long long)task->trial, (long long)step);
    ATH_TRY(athi_search_take_constraints(s, task, map));
    if (step && step <= e->last_step) return ATH_OK; /* replayed after a continuation */
    athi_text json = {.ctx = s->ctx};
    ath_status status = athi_json_write(&json, map, 0);
    if (status == ATH_OK && json.failed) status = ATH_E_NOMEM;
    const athi_report one = {step, values[0], e->seconds + (athi_search_clock(s) - e->began)};
    if (status == ATH_OK && step > 0)
        status = athi_store_report(s->opts.store, task->trial, task->execution, one, json.text);
    if (status == ATH_OK && step == 0) { /* the execution's end follows, and takes it along in its commit */
        athi_free(s->ctx, e->final_json);
        e->final_json = json.text;
        json = (athi_text){.ctx = s->ctx};
    }
    athi_text_free(&json);
    if (status == ATH_OK && step > 0) e->began = athi_search_clock(s);
    if (status == ATH_OK) athi_execution_take(s, e, &one, values);
    return athi_search_lost(s, a, status);
}

/* ---- ends ---------------------------------------------------------------------------------------- */

/* The final value that the study does not have yet. */
static void add_final(const athi_execution *e, int64_t index, athi_outcome *outcome) {
    if (!e->final_json) return;
    outcome->last_execution = index, outcome->final = e->final_json, outcome->final_value = e->final[0];
}

static bool any_nan(const athi_search *s, const double *values) {
    for (int k = 0; k < s->info->n_objectives; k++)
        if (isnan(values[k])) return true;
    return false;
}

ath_status athi_search_end_if_done(athi_search *s, athi_active *a) {
    double means[ATHI_OBJECTIVES_MAX] = {0};
    for (int64_t i = 0; i < a->n; i++) {
        if (a->executions[i].phase != ATHI_PHASE_DONE) return ATH_OK;
        for (int k = 0; k < s->info->n_objectives; k++) means[k] += a->executions[i].values[k];
    }
    for (int k = 0; k < s->info->n_objectives; k++) means[k] /= (double)a->n;
    athi_task task = {.trial = a->number};
    if (any_nan(s, means)) /* infinities of both signs */
        return athi_search_fail(s, &task, ATHI_REASON_NAN, "the mean of the executions is not a number");
    athi_outcome outcome = {.state = ATHI_TRIAL_COMPLETE, .values = means};
    ATH_TRY(add_constraints(s, a, &outcome));
    if (a->unrecorded) {
        const athi_execution *last = &a->executions[a->unrecorded - 1];
        outcome.last_execution = a->unrecorded - 1;
        outcome.last_values = last->values, outcome.last_best_step = last->best_step;
        add_final(last, a->unrecorded - 1, &outcome);
    }
    ath_status status = athi_store_finish(s->opts.store, a->number, &outcome);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    s->any_success = s->any_came = true;
    athi_active_drop(s, a);
    return ATH_OK;
}

static bool is_last(const athi_active *a, const athi_execution *e) {
    for (int64_t i = 0; i < a->n; i++)
        if (&a->executions[i] != e && a->executions[i].phase != ATHI_PHASE_DONE) return false;
    return true;
}

ath_status athi_search_finish(athi_search *s, const athi_task *task) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    if (!e) return ATH_OK;
    char message[256] = "";
    if (!e->n_reports) {
        snprintf(message, sizeof(message), "it ended without a report of '%s'", s->info->objective_names[0]);
        return athi_search_fail(s, task, ATHI_REASON_CRASH, message);
    }
    athi_execution_result(s, e, e->values);
    if (any_nan(s, e->values)) {
        int k = 0;
        while (!isnan(e->values[k])) k++;
        snprintf(message, sizeof(message), "the objective '%s' was not a number", s->info->objective_names[k]);
        return athi_search_fail(s, task, ATHI_REASON_NAN, message);
    }
    if (is_last(a, e)) { /* one commit for both ends */
        a->unrecorded = task->execution + 1;
        e->phase = ATHI_PHASE_DONE;
        return athi_search_end_if_done(s, a);
    }
    ath_status status = ATH_OK;
    if (e->final_json)
        status = athi_store_report(s->opts.store, task->trial, task->execution, (athi_report){.value = e->final[0]},
                                   e->final_json);
    if (status == ATH_OK)
        status = athi_store_execution(s->opts.store, task->trial, task->execution, e->values, e->best_step);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    e->phase = ATHI_PHASE_DONE;
    return ATH_OK;
}

ath_status athi_search_fail(athi_search *s, const athi_task *task, athi_reason reason, const char *message) {
    athi_active *a = athi_active_find(s, task->trial);
    if (!a) return ATH_OK;
    athi_outcome outcome = {.state = ATHI_TRIAL_FAILED, .reason = reason, .message = message};
    if (task->execution < a->n) add_final(&a->executions[task->execution], task->execution, &outcome);
    ath_status status = athi_store_finish(s->opts.store, task->trial, &outcome);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    s->failures++;
    s->any_came = true;
    snprintf(s->last_failure, sizeof(s->last_failure), "%s", message ? message : athi_reason_name(reason));
    athi_active_drop(s, a);
    return ATH_OK;
}

ath_status athi_search_prune(athi_search *s, const athi_task *task, const double *values) {
    double own[ATHI_OBJECTIVES_MAX];
    athi_active *a = athi_active_find(s, task->trial);
    if (!a) return ATH_OK;
    if (!values) athi_execution_result(s, &a->executions[0], own), values = own;
    athi_outcome outcome = {.state = ATHI_TRIAL_PRUNED, .values = any_nan(s, values) ? NULL : values};
    ATH_TRY(add_constraints(s, a, &outcome));
    add_final(&a->executions[0], 0, &outcome);
    ath_status status = athi_store_finish(s->opts.store, task->trial, &outcome);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    s->any_came = true;
    athi_active_drop(s, a);
    return ATH_OK;
}

/* ---- changes of trials under way ----------------------------------------------------------------- */

ath_status athi_search_set_point(athi_search *s, const athi_task *task, const double *point) {
    athi_active *a = athi_active_find(s, task->trial);
    if (!a) return ATH_OK;
    ATH_TRY(athi_store_point(s->opts.store, s->opts.space, task->trial, point));
    return athi_active_set_point(s, a, point);
}

ath_status athi_search_restart(athi_search *s, const athi_task *task) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    if (!e) return ATH_OK;
    const int64_t until = e->until, begin = e->begin;
    athi_execution_clear(s, e);
    e->phase = ATHI_PHASE_RUNNING, e->until = until, e->begin = begin, e->began = athi_search_clock(s);
    return athi_search_lost(s, a, athi_store_rewind(s->opts.store, task->trial, task->execution, 0));
}

/* ---- trials that others run ---------------------------------------------------------------------- */

ath_status athi_search_add(athi_search *s, const double *point, const double *values, const double *constraints,
                           int n_constraints, int64_t *number) {
    athi_beginning beginning = {.point = point, .seen = -1 /* no suggestion of ours */};
    athi_outcome outcome = {.state = ATHI_TRIAL_COMPLETE,
                            .values = values,
                            .constraints = constraints,
                            .n_constraints = n_constraints};
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, &beginning, number));
    ATH_TRY(athi_store_execution(s->opts.store, *number, 0, values, 0));
    ATH_TRY(athi_store_finish(s->opts.store, *number, &outcome));
    s->any_success = s->any_came = true;
    return ATH_OK;
}

ath_status athi_search_claim(athi_search *s, int64_t trial, athi_task *task) {
    athi_active *a = athi_active_find(s, trial);
    if (!a) {
        const athi_trial *const *trials;
        int64_t n;
        ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
        if (trial < 0 || trial >= n)
            return athi_fail(s->ctx, ATH_E_NOTFOUND, "there is no trial %lld; the study has %lld, numbered from 0",
                             (long long)trial, (long long)n);
        if (!athi_trial_finished(trials[trial]))
            return athi_fail(s->ctx, ATH_E_NOTFOUND, "trial %lld is not this driver's: another one has it under way",
                             (long long)trial);
        return athi_fail(s->ctx, ATH_E_NOTFOUND, "trial %lld has ended already; what it is worth stays",
                         (long long)trial);
    }
    if (a->executions[0].phase == ATHI_PHASE_READY) a->executions[0].began = athi_search_clock(s);
    a->executions[0].phase = ATHI_PHASE_RUNNING;
    *task = (athi_task){.trial = trial,
                        .parent = -1,
                        .point = a->point,
                        .resumed = a->executions[0].resumed,
                        .seed = athi_seed_derive(s->opts.seed, (uint64_t)trial, 0)};
    return ATH_OK;
}
