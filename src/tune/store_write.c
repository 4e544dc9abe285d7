/* Every change of a trial, each in one transaction or within that of a group. What is finished stays as it is, and what
 * is another driver's too. */
#include "tune/store_internal.h"

#include <math.h>
#include <stdlib.h>

/* What a change is about; each uses what it needs. */
typedef struct change {
    int64_t number, execution, step;
    athi_report report;
    int64_t paused; /* athanor_trials.paused */
    const char *json;
    const double *point, *values;
    const athi_beginning *beginning;
    const athi_outcome *outcome;
    int64_t id;   /* of the trial that was begun */
    char now[32]; /* when */
} change;

ath_status athi_store_id(athi_store *s, int64_t number, int64_t *id) {
    if (number >= 0 && number < s->n) {
        *id = s->cached[number].id;
        return ATH_OK;
    }
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_ID, &q, "ii", s->study_id, number));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row) return athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: there is no trial %lld", s->path, (long long)number);
    *id = athi_sql_int(q, 0);
    athi_sql_reset(q);
    return ATH_OK;
}

static ath_status read_running(athi_store *s, athi_rows *q, bool *running) {
    bool row;
    ATH_TRY(athi_sql_step(s, q, &row));
    *running = row && !strcmp(athi_sql_text(q, 0), "RUNNING");
    if (row) athi_sql_reset(q);
    return ATH_OK;
}

ath_status athi_store_is_running(athi_store *s, int64_t id, bool *running) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_STATE, &q, "i", id));
    return read_running(s, q, running);
}

/* Both are asked in one exchange. */
static ath_status running_id(athi_store *s, int64_t number, int64_t *id) {
    bool running;
    athi_rows *state, *lease;
    ATH_TRY(athi_store_id(s, number, id));
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_STATE, &state, "i", *id));
    ATH_TRY(athi_lease_ask(s, *id, &lease));
    ATH_TRY(read_running(s, state, &running));
    if (running) return athi_lease_check(s, number, lease);
    return athi_fail(s->ctx, ATH_E_STATE, "%s: trial %lld is not running: a finished trial does not change", s->path,
                     (long long)number);
}

/* Makes the change; the cached copy then no longer tells what the database does. */
static ath_status perform(athi_store *s, athi_simple kind, athi_work work, change *c) {
    ATH_TRY(athi_sql_transaction(s, kind, work, c));
    if (c->number < s->n) s->cached[c->number].stale = true, s->cached[c->number].grouped = s->group != NULL;
    return ATH_OK;
}

/* ---- beginnings ---------------------------------------------------------------------------------- */

static ath_status insert_params(athi_store *s, int64_t id, const double *point) {
    for (int64_t i = 0; i < s->space_n; i++)
        if (!isnan(point[i]))
            ATH_TRY(athi_sql_run(s, SQL_PARAM_INSERT, "itdt", id, s->space->params[i].name, point[i],
                                 s->distributions[i]));
    return ATH_OK;
}

/* In the same look: is the space still the one that the study was opened with? */
static ath_status read_number(athi_store *s, athi_rows *q, int64_t *number) {
    bool row;
    ATH_TRY(athi_sql_step(s, q, &row));
    *number = row && !athi_sql_null(q, 0) ? athi_sql_int(q, 0) : 0;
    const int64_t edits = row && !athi_sql_null(q, 1) ? strtoll(athi_sql_text(q, 1), NULL, 10) : 0;
    if (row) athi_sql_reset(q);
    if (edits == s->edits) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_STATE,
                     "%s: another program has changed the study's space meanwhile; start again with the new one",
                     s->path);
}

/* Up to where it begins a child's curve is its parent's: its state is. */
static ath_status inherit_reports(athi_store *s, int64_t id, const athi_beginning *b) {
    int64_t parent = 0;
    ATH_TRY(athi_store_id(s, b->relative, &parent));
    ATH_TRY(athi_sql_run(s, SQL_REPORTS_COPY, "iii", id, parent, b->relative_step));
    return athi_sql_run(s, SQL_INTERMEDIATES_COPY, "iii", id, parent, b->relative_step);
}

static ath_status insert_trial(athi_store *s, void *args) {
    change *c = args;
    const athi_beginning *b = c->beginning;
    athi_rows *next, *inserted;
    athi_optuna_time(athi_store_clock(), c->now);
    ATH_TRY(athi_sql_query(s, SQL_NEXT_NUMBER, &next, "i", s->study_id));
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_INSERT, &inserted, "iti", s->study_id, c->now,
                           b->optimistic ? b->after : (int64_t)-1));
    ATH_TRY(read_number(s, next, &c->number));
    if (b->optimistic && c->number != b->after)
        return c->number = -1, ATH_E_STATE; /* a commit would cost, for nothing */
    ATH_TRY(athi_sql_inserted(s, inserted, &c->id));
    ATH_TRY(athi_lease_take(s, c->id));
    ATH_TRY(athi_sql_run(s, SQL_TRIAL_EXTRA_INSERT, "iiiii", c->id, b->seen, (int64_t)b->relation, b->relative,
                         b->relative_step));
    if (b->relation == ATHI_RELATION_CHILD) ATH_TRY(inherit_reports(s, c->id, b));
    return insert_params(s, c->id, b->point);
}

/* Our own commits do not change data_version; if others added trials too, the next read finds all. */
static void remember(athi_store *s, const change *c, athi_trial *t) {
    if (c->number != s->n) {
        if (c->number >= 0) s->data_version = -1;
        athi_free(s->ctx, t);
        return;
    }
    if (t) t->number = c->number, t->started = athi_optuna_time_read(c->now);
    s->cached[s->n++] = (athi_cached){.id = c->id, .trial = t, .stale = !t};
}

/* Memory first: once the trial has begun, nothing may fail. */
ath_status athi_store_begin(athi_store *s, const athi_space *space, const athi_beginning *b, int64_t *number) {
    change c = {.beginning = b};
    athi_trial *trial = NULL;
    ATH_TRY(athi_store_use_space(s, space));
    ATH_TRY(ATHI_GROW(s->ctx, s->cached, s->n, s->cap));
    ATH_TRY(athi_store_foresee(s, b, &trial));
    ath_status status = athi_sql_transaction(s, ATHI_SQL_KNOWN, insert_trial, &c);
    if (status == ATH_E_STATE && c.number < 0) status = ATH_OK; /* another driver was quicker */
    if (status != ATH_OK) return athi_free(s->ctx, trial), status;
    remember(s, &c, trial);
    *number = c.number;
    return ATH_OK;
}

static ath_status replace_params(athi_store *s, void *args) {
    const change *c = args;
    int64_t id = 0;
    ATH_TRY(running_id(s, c->number, &id));
    ATH_TRY(athi_sql_run(s, SQL_PARAMS_DELETE, "i", id));
    return insert_params(s, id, c->point);
}

ath_status athi_store_point(athi_store *s, const athi_space *space, int64_t number, const double *point) {
    ATH_TRY(athi_store_use_space(s, space));
    return perform(s, ATHI_SQL_QUICK, replace_params, &(change){.number = number, .point = point});
}

/* ---- reports ------------------------------------------------------------------------------------- */

static ath_status insert_report(athi_store *s, void *args) {
    const change *c = args;
    int64_t id = 0;
    ATH_TRY(running_id(s, c->number, &id));
    const athi_report *r = &c->report;
    ATH_TRY(athi_sql_run(s, SQL_REPORT_INSERT, "iiidtd", id, c->execution, r->step, r->value, c->json, r->seconds));
    if (c->execution != 0 || r->step < 1)
        return ATH_OK; /* step 0: a final value, which Optuna keeps as the trial's */
    athi_flow flow = athi_optuna_flow(r->value);
    return athi_sql_run(s, SQL_INTERMEDIATE_INSERT, "iidt", id, r->step, flow.value, flow.type);
}

ath_status athi_store_report(athi_store *s, int64_t number, int64_t execution, athi_report report, const char *json) {
    change c = {.number = number, .execution = execution, .report = report, .json = json};
    return perform(s, ATHI_SQL_QUICK, insert_report, &c);
}

static ath_status forget_reports(athi_store *s, void *args) {
    const change *c = args;
    int64_t id = 0;
    ATH_TRY(running_id(s, c->number, &id));
    ATH_TRY(athi_sql_run(s, SQL_REPORTS_DELETE, "iii", id, c->execution, c->step));
    if (c->execution == 0) ATH_TRY(athi_sql_run(s, SQL_INTERMEDIATE_DELETE, "ii", id, c->step));
    return athi_sql_run(s, SQL_EXECUTION_DELETE, "ii", id, c->execution);
}

ath_status athi_store_rewind(athi_store *s, int64_t number, int64_t execution, int64_t last_step) {
    change c = {.number = number, .execution = execution, .step = last_step};
    return perform(s, ATHI_SQL_QUICK, forget_reports, &c);
}

static ath_status set_paused(athi_store *s, void *args) {
    const change *c = args;
    int64_t id = 0;
    ATH_TRY(running_id(s, c->number, &id));
    return athi_sql_run(s, SQL_TRIAL_PAUSE, "ii", id, c->paused);
}

/* Lost in a power cut, a pause is a trial that runs: it goes on. */
ath_status athi_store_pause(athi_store *s, int64_t number) {
    return perform(s, ATHI_SQL_QUICK, set_paused, &(change){.number = number, .paused = 1});
}

ath_status athi_store_resume(athi_store *s, int64_t number, int64_t step) {
    return perform(s, ATHI_SQL_QUICK, set_paused, &(change){.number = number, .paused = -step});
}

/* ---- ends ---------------------------------------------------------------------------------------- */

static ath_status insert_values(athi_store *s, int64_t id, int64_t execution, const double *values,
                                int64_t best_step) {
    for (int64_t k = 0; k < s->info.n_objectives; k++)
        ATH_TRY(athi_sql_run(s, SQL_EXECUTION_INSERT, "iiidi", id, execution, k, values[k], best_step));
    return ATH_OK;
}

static ath_status insert_execution(athi_store *s, void *args) {
    const change *c = args;
    int64_t id = 0;
    ATH_TRY(running_id(s, c->number, &id));
    return insert_values(s, id, c->execution, c->values, c->step);
}

ath_status athi_store_execution(athi_store *s, int64_t number, int64_t execution, const double *values,
                                int64_t best_step) {
    change c = {.number = number, .execution = execution, .values = values, .step = best_step};
    return perform(s, ATHI_SQL_DURABLE, insert_execution, &c);
}

/* Shown by Optuna's dashboard beside a failed trial. */
static ath_status insert_attribute(athi_store *s, int64_t id, const char *key, const char *text) {
    char *json = NULL;
    ATH_TRY(athi_optuna_string(s->ctx, text, &json));
    ath_status status = athi_sql_run(s, SQL_TRIAL_ATTR_INSERT, "itt", id, key, json);
    athi_free(s->ctx, json);
    return status;
}

/* Where Optuna's samplers and dashboard look for them. */
static ath_status insert_constraints(athi_store *s, int64_t id, const athi_outcome *o) {
    athi_text json = {.ctx = s->ctx};
    if (!o->n_constraints) return ATH_OK;
    for (int i = 0; i < o->n_constraints; i++) athi_text_printf(&json, "%s%.17g", i ? ", " : "[", o->constraints[i]);
    athi_text_printf(&json, "]");
    ath_status status =
        json.failed ? ATH_E_NOMEM : athi_sql_run(s, SQL_TRIAL_SYSTEM_INSERT, "itt", id, "constraints", json.text);
    athi_text_free(&json);
    return status;
}

static bool has_values(const athi_outcome *o) {
    return o->values && (o->state == ATHI_TRIAL_COMPLETE || o->state == ATHI_TRIAL_PRUNED);
}

static ath_status end_trial(athi_store *s, void *args) {
    const change *c = args;
    const athi_outcome *o = c->outcome;
    int64_t id = 0;
    char now[32];
    athi_optuna_time(athi_store_clock(), now);
    ATH_TRY(running_id(s, c->number, &id));
    if (o->final)
        ATH_TRY(athi_sql_run(s, SQL_REPORT_INSERT, "iiidtd", id, o->last_execution, (int64_t)0, o->final_value,
                             o->final, (double)NAN));
    if (o->last_values) ATH_TRY(insert_values(s, id, o->last_execution, o->last_values, o->last_best_step));
    for (int i = 0; has_values(o) && i < s->info.n_objectives; i++) {
        athi_flow flow = athi_optuna_flow(o->values[i]);
        ATH_TRY(athi_sql_run(s, SQL_VALUE_INSERT, "iidt", id, (int64_t)i, flow.value, flow.type));
    }
    bool failed = o->state == ATHI_TRIAL_FAILED;
    if (failed) ATH_TRY(insert_attribute(s, id, "reason", athi_reason_name(o->reason)));
    if (failed && o->message) ATH_TRY(insert_attribute(s, id, "message", o->message));
    ATH_TRY(insert_constraints(s, id, o));
    ATH_TRY(athi_sql_run(s, SQL_TRIAL_FINISH, "itt", id, athi_optuna_state(o->state), now));
    ATH_TRY(athi_lease_drop(s, id));
    return athi_sql_run(s, SQL_TRIAL_EXTRA_FINISH, "itt", id, athi_reason_name(o->reason), o->message);
}

ath_status athi_store_finish(athi_store *s, int64_t number, const athi_outcome *o) {
    if (o->state != ATHI_TRIAL_COMPLETE && o->state != ATHI_TRIAL_PRUNED && o->state != ATHI_TRIAL_FAILED)
        return athi_fail(s->ctx, ATH_E_STATE,
                         "%s: trial %lld: expected an end (complete, pruned or failed), got state %d", s->path,
                         (long long)number, (int)o->state);
    if (o->state == ATHI_TRIAL_COMPLETE)
        for (int i = 0; i < s->info.n_objectives; i++)
            if (!o->values || isnan(o->values[i]))
                return athi_fail(s->ctx, ATH_E_STATE, "%s: trial %lld: a complete trial needs a value of '%s'",
                                 s->path, (long long)number, s->info.objective_names[i]);
    return perform(s, ATHI_SQL_DURABLE, end_trial, &(change){.number = number, .outcome = o});
}
