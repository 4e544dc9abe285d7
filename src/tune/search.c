/* The search: which trials are under way, what is run next, and what a trial is worth when its executions are
 * done. All that must survive is in the store; this is rebuilt from it at every start. */
#include "tune/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAILURES_DEFAULT = 3 };

typedef enum phase { READY, RUNNING, DONE } phase;

typedef struct execution {
    phase phase;
    bool resumed;
    int64_t n_reports, last_step, best_step; /* best_step 0: nothing but NaN so far */
    double best, last, final;
    bool has_final;
    double value; /* DONE */
} execution;

/* A trial that has begun and not ended. */
typedef struct active {
    int64_t number;
    double *point;
    int64_t n; /* executions */
    execution *executions;
} active;

struct athi_search {
    ath_ctx *ctx;
    athi_search_opts opts;
    const athi_sampler_impl *sampler;
    const char *objective;
    bool maximize;
    active **actives; /* by number */
    int64_t n, cap;
    double **queue; /* enqueued points, first in first out */
    int64_t n_queue, cap_queue;
    int64_t failures; /* without a single success so far */
    bool any_complete, any_ended, exhausted;
    athi_arena *scratch;
    char last_failure[ATHI_ERRMSG_MAX];
};

/* ---- executions ---------------------------------------------------------------------------------- */

static void take_value(const athi_search *s, execution *e, int64_t step, double value) {
    e->n_reports++;
    if (step == 0) {
        e->has_final = true, e->final = value;
        return;
    }
    e->last_step = step, e->last = value;
    if (isnan(value)) return;
    if (e->best_step && !(s->maximize ? value > e->best : value < e->best)) return;
    e->best = value, e->best_step = step;
}

static double result(const athi_search *s, const execution *e) {
    if (e->has_final) return e->final;
    if (s->opts.last_value) return e->last;
    return e->best_step ? e->best : NAN;
}

/* ---- trials under way ---------------------------------------------------------------------------- */

static active *find(const athi_search *s, int64_t number) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->actives[i]->number == number) return s->actives[i];
    return NULL;
}

static void free_active(athi_search *s, active *a) {
    if (!a) return;
    athi_free(s->ctx, a->point);
    athi_free(s->ctx, a->executions);
    athi_free(s->ctx, a);
}

static void drop(athi_search *s, active *a) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->actives[i] == a) {
            memmove(&s->actives[i], &s->actives[i + 1], (size_t)(s->n - i - 1) * sizeof(*s->actives));
            s->n--;
            break;
        }
    free_active(s, a);
}

static double *copy_point(athi_search *s, const double *point) {
    double *copy = athi_alloc_array(s->ctx, s->opts.space->n, sizeof(double));
    if (copy && s->opts.space->n) memcpy(copy, point, (size_t)s->opts.space->n * sizeof(double));
    return copy;
}

static ath_status add_active(athi_search *s, int64_t number, const double *point, int64_t n, active **out) {
    ATH_TRY(ATHI_GROW(s->ctx, s->actives, s->n, s->cap));
    active *a = athi_alloc(s->ctx, sizeof(*a));
    if (!a) return ATH_E_NOMEM;
    a->number = number, a->n = n;
    a->point = copy_point(s, point);
    a->executions = a->point ? athi_alloc_array(s->ctx, n, sizeof(execution)) : NULL;
    if (!a->executions) return free_active(s, a), ATH_E_NOMEM;
    s->actives[s->n++] = a;
    if (out) *out = a;
    return ATH_OK;
}

/* A trial that an earlier start left: finished executions count, the others go on where their reports end. */
static ath_status take_over(athi_search *s, const athi_trial *t) {
    active *a = NULL;
    ATH_TRY(add_active(s, t->number, t->point, ATHI_MAX(s->opts.executions, t->n_executions), &a));
    for (int64_t i = 0; i < a->n; i++) {
        execution *e = &a->executions[i];
        if (i < t->n_executions && !isnan(t->execution_values[i])) {
            e->phase = DONE, e->value = t->execution_values[i], e->best_step = t->execution_best[i];
            continue;
        }
        athi_report *reports = NULL;
        const char **json = NULL;
        int64_t n = 0;
        ATH_TRY(athi_store_reports(s->opts.store, s->scratch, t->number, i, &reports, &json, &n));
        for (int64_t k = 0; k < n; k++) take_value(s, e, reports[k].step, reports[k].value);
        e->resumed = true;
    }
    return ATH_OK;
}

static bool ours_running(const athi_trial *t) {
    return t->seen >= 0 && !t->outside && (t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_PAUSED);
}

static ath_status take_over_all(athi_search *s) {
    const athi_trial *const *trials;
    int64_t n;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    for (int64_t i = 0; i < n; i++) {
        if (trials[i]->state == ATHI_TRIAL_COMPLETE) s->any_complete = true;
        if (trials[i]->ended > 0) s->any_ended = true;
        if (ours_running(trials[i])) ATH_TRY(take_over(s, trials[i]));
    }
    return ATH_OK;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static ath_status check(ath_ctx *ctx, const athi_search_opts *o) {
    const athi_study_info *info = athi_store_info(o->store);
    if (info->n_objectives != 1)
        return athi_fail(ctx, ATH_E_UNSUPPORTED,
                         "tune: the study has %d objectives, expected one: name one metric as the "
                         "objective",
                         info->n_objectives);
    if (o->max_trials < 1)
        return athi_fail(ctx, ATH_E_OPTION, "tune: max_trials: expected at least 1, got %lld",
                         (long long)o->max_trials);
    if (o->executions < 1)
        return athi_fail(ctx, ATH_E_OPTION, "tune: executions_per_trial: expected at least 1, got %lld",
                         (long long)o->executions);
    return ATH_OK;
}

ath_status athi_search_open(ath_ctx *ctx, const athi_search_opts *opts, athi_search **search) {
    *search = NULL;
    ATH_TRY(check(ctx, opts));
    athi_search *s = athi_alloc(ctx, sizeof(*s));
    if (!s) return ATH_E_NOMEM;
    const athi_study_info *info = athi_store_info(opts->store);
    s->ctx = ctx;
    s->opts = *opts;
    s->opts.jobs = ATHI_MAX(opts->jobs, 1);
    if (s->opts.max_failures <= 0) s->opts.max_failures = FAILURES_DEFAULT;
    s->sampler = opts->sampler->impl;
    s->objective = info->objective_names[0];
    s->maximize = info->maximize[0];
    s->scratch = athi_arena_create(ctx);
    ath_status status = s->scratch ? take_over_all(s) : ATH_E_NOMEM;
    if (status != ATH_OK) return athi_search_close(s), status;
    *search = s;
    return ATH_OK;
}

void athi_search_close(athi_search *s) {
    if (!s) return;
    for (int64_t i = 0; i < s->n; i++) free_active(s, s->actives[i]);
    for (int64_t i = 0; i < s->n_queue; i++) athi_free(s->ctx, s->queue[i]);
    athi_free(s->ctx, s->actives);
    athi_free(s->ctx, s->queue);
    if (s->scratch) athi_arena_destroy(s->scratch);
    athi_free(s->ctx, s);
}

ath_status athi_search_enqueue(athi_search *s, const double *point) {
    ATH_TRY(ATHI_GROW(s->ctx, s->queue, s->n_queue, s->cap_queue));
    double *copy = copy_point(s, point);
    if (!copy) return ATH_E_NOMEM;
    s->queue[s->n_queue++] = copy;
    return ATH_OK;
}

/* ---- what is next -------------------------------------------------------------------------------- */

static bool finished(const athi_trial *t) {
    return t->state == ATHI_TRIAL_COMPLETE || t->state == ATHI_TRIAL_PRUNED || t->state == ATHI_TRIAL_FAILED;
}

static bool in_order(const athi_search *s) { return s->opts.deterministic || s->opts.jobs == 1; }

/* In order, suggestion `next` may see results up to trial next - jobs, and must have them. */
static bool must_wait(const athi_search *s, int64_t next) {
    for (int64_t i = 0; in_order(s) && i < s->n; i++)
        if (s->actives[i]->number <= next - s->opts.jobs) return true;
    return false;
}

/* The trial as it looks to a suggestion that may not know yet how it went. */
static const athi_trial *hide(athi_search *s, const athi_trial *t) {
    double *unknown = athi_arena_array(s->scratch, 1, sizeof(double));
    athi_trial *copy = athi_arena_memdup(s->scratch, t, sizeof(*t));
    if (!copy || !unknown) return NULL;
    unknown[0] = NAN;
    copy->state = ATHI_TRIAL_RUNNING, copy->reason = ATHI_REASON_NONE, copy->message = NULL;
    copy->values = unknown, copy->reports = NULL, copy->n_reports = 0, copy->n_executions = 0, copy->ended = 0;
    copy->execution_values = NULL, copy->execution_best = NULL;
    return copy;
}

static ath_status make_view(athi_search *s, const athi_trial *const *trials, int64_t n, athi_view *view,
                            int64_t *seen) {
    const athi_trial **list = athi_arena_array(s->scratch, n, sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    int64_t kept = 0;
    *seen = 0;
    for (int64_t i = 0; i < n; i++) {
        const athi_trial *t = trials[i];
        if (t->outside || t->state == ATHI_TRIAL_WAITING) continue;
        if (in_order(s) && t->number > n - s->opts.jobs) t = hide(s, t);
        if (!t) return ATH_E_NOMEM;
        if (finished(t)) ++*seen;
        list[kept++] = t;
    }
    const athi_study_info *info = athi_store_info(s->opts.store);
    *view = (athi_view){.space = s->opts.space,
                        .trials = list,
                        .n = kept,
                        .n_objectives = info->n_objectives,
                        .maximize = info->maximize,
                        .seed = s->opts.seed,
                        .trial = n,
                        .budget = s->opts.max_trials};
    return ATH_OK;
}

static ath_status suggest(athi_search *s, const athi_trial *const *trials, int64_t n, double *point, int64_t *seen) {
    athi_view view;
    ATH_TRY(make_view(s, trials, n, &view, seen));
    if (!s->n_queue) return s->sampler->suggest(s->ctx, s->opts.sampler_opts, &view, point, &s->exhausted);
    if (s->opts.space->n) memcpy(point, s->queue[0], (size_t)s->opts.space->n * sizeof(double));
    return ATH_OK;
}

static void dequeue(athi_search *s) {
    if (!s->n_queue) return;
    athi_free(s->ctx, s->queue[0]);
    memmove(s->queue, s->queue + 1, (size_t)--s->n_queue * sizeof(*s->queue));
}

static ath_status begin_trial(athi_search *s, const athi_trial *const *trials, int64_t n) {
    athi_arena_reset(s->scratch);
    double *point = athi_arena_array(s->scratch, s->opts.space->n, sizeof(double));
    if (!point) return ATH_E_NOMEM;
    int64_t seen = 0, number = 0;
    ATH_TRY(suggest(s, trials, n, point, &seen));
    if (s->exhausted) return ATH_OK;
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, point, seen, &number));
    dequeue(s);
    return add_active(s, number, point, s->opts.executions, NULL);
}

static bool hand_out(athi_search *s, athi_task *task) {
    for (int64_t i = 0; i < s->n; i++) {
        active *a = s->actives[i];
        for (int64_t k = 0; k < a->n; k++) {
            execution *e = &a->executions[k];
            if (e->phase != READY) continue;
            e->phase = RUNNING;
            *task = (athi_task){.trial = a->number,
                                .execution = k,
                                .point = a->point,
                                .resumed = e->resumed,
                                .seed = athi_seed_derive(s->opts.seed, (uint64_t)a->number, (uint64_t)k)};
            return true;
        }
    }
    return false;
}

/* No new trial will come: done when nothing is under way any more. */
static ath_status wind_down(const athi_search *s, athi_next *next, const char **why, const char *reason) {
    *next = s->n ? ATHI_NEXT_WAIT : ATHI_NEXT_DONE;
    *why = reason;
    return ATH_OK;
}

static bool any_running(const athi_search *s) {
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t k = 0; k < s->actives[i]->n; k++)
            if (s->actives[i]->executions[k].phase == RUNNING) return true;
    return false;
}

/* Finished trials that another program added are knowledge, not work. */
static int64_t count_begun(const athi_trial *const *trials, int64_t n) {
    int64_t begun = 0;
    for (int64_t i = 0; i < n; i++)
        begun += trials[i]->state != ATHI_TRIAL_WAITING && !(finished(trials[i]) && trials[i]->seen < 0);
    return begun;
}

static ath_status end_if_done(athi_search *s, active *a);

/* An earlier start may have ended between a trial's last execution and its end. */
static ath_status end_complete_ones(athi_search *s) {
    for (int64_t i = s->n - 1; i >= 0; i--) ATH_TRY(end_if_done(s, s->actives[i]));
    return ATH_OK;
}

ath_status athi_search_next(athi_search *s, athi_task *task, athi_next *next, const char **why) {
    *next = ATHI_NEXT_TASK, *why = NULL;
    ATH_TRY(end_complete_ones(s));
    if (!s->any_complete && s->failures >= s->opts.max_failures) {
        *next = any_running(s) ? ATHI_NEXT_WAIT : ATHI_NEXT_DONE; /* what has not started stays for another start */
        *why = "failures";
        return ATH_OK;
    }
    if (hand_out(s, task)) return ATH_OK;
    const athi_trial *const *trials;
    int64_t n;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    if (count_begun(trials, n) >= s->opts.max_trials) return wind_down(s, next, why, "max_trials");
    if (s->exhausted) return wind_down(s, next, why, "exhausted");
    if (must_wait(s, n)) {
        *next = ATHI_NEXT_WAIT;
        return ATH_OK;
    }
    ATH_TRY(begin_trial(s, trials, n));
    if (s->exhausted) return wind_down(s, next, why, "exhausted");
    hand_out(s, task);
    return ATH_OK;
}

/* ---- results ------------------------------------------------------------------------------------- */

static execution *running(const athi_search *s, const athi_task *task, active **owner) {
    active *a = find(s, task->trial);
    *owner = a;
    return a && task->execution < a->n && a->executions[task->execution].phase == RUNNING
               ? &a->executions[task->execution]
               : NULL;
}

bool athi_search_wanted(const athi_search *s, const athi_task *task) {
    active *a;
    return running(s, task, &a) != NULL;
}

const char *athi_search_last_failure(const athi_search *s) { return s->last_failure; }

/* JSON has no NaN: a report writes it as text. */
static bool read_number(const athi_value *v, double *out) {
    static const struct {
        const char *text;
        double value;
    } names[] = {{"nan", NAN}, {"inf", INFINITY}, {"-inf", -INFINITY}};
    if (athi_value_number(v, out)) return true;
    for (int i = 0; v && v->type == ATHI_STRING && i < ATHI_COUNT(names); i++)
        if (!strcmp(v->text, names[i].text)) return *out = names[i].value, true;
    return false;
}

static ath_status no_objective(athi_search *s, const athi_task *task, int64_t step, const athi_value *values) {
    athi_text keys = {.ctx = s->ctx};
    for (int64_t i = 0; values && values->type == ATHI_MAP && i < values->n; i++)
        athi_text_printf(&keys, "%s%s", i ? ", " : "", values->keys[i]);
    ath_status status =
        athi_value_get(values, s->objective)
            ? athi_fail(s->ctx, ATH_E_DATA, "trial %lld: the report of step %lld gives '%s' as %s, expected a number",
                        (long long)task->trial, (long long)step, s->objective,
                        athi_value_type_name(athi_value_get(values, s->objective)->type))
            : athi_fail(s->ctx, ATH_E_DATA,
                        "trial %lld: the report of step %lld has no '%s'; it has: %s; name one of "
                        "these as the objective",
                        (long long)task->trial, (long long)step, s->objective, keys.text ? keys.text : "nothing");
    athi_text_free(&keys);
    return status;
}

ath_status athi_search_report(athi_search *s, const athi_task *task, int64_t step, const athi_value *values) {
    active *a;
    execution *e = running(s, task, &a);
    double value;
    if (!e) return ATH_OK; /* its trial has ended */
    if (!read_number(athi_value_get(values, s->objective), &value)) return no_objective(s, task, step, values);
    if (step < 0)
        return athi_fail(s->ctx, ATH_E_DATA, "trial %lld: expected a step from 1 (0: the final value), got %lld",
                         (long long)task->trial, (long long)step);
    if (step && step <= e->last_step) return ATH_OK; /* replayed after a continuation */
    athi_text json = {.ctx = s->ctx};
    ath_status status = athi_json_write(&json, values, 0);
    if (status == ATH_OK && json.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK)
        status = athi_store_report(s->opts.store, task->trial, task->execution, step, value, json.text);
    athi_text_free(&json);
    if (status == ATH_OK) take_value(s, e, step, value);
    return status;
}

static ath_status end_if_done(athi_search *s, active *a) {
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++) {
        if (a->executions[i].phase != DONE) return ATH_OK;
        sum += a->executions[i].value;
    }
    double value = sum / (double)a->n;
    if (isnan(value)) { /* infinities of both signs */
        athi_task task = {.trial = a->number};
        return athi_search_fail(s, &task, ATHI_REASON_NAN, "the mean of the executions is not a number");
    }
    ATH_TRY(athi_store_finish(s->opts.store, a->number, ATHI_TRIAL_COMPLETE, &value, ATHI_REASON_NONE, NULL));
    s->any_complete = s->any_ended = true;
    drop(s, a);
    return ATH_OK;
}

ath_status athi_search_finish(athi_search *s, const athi_task *task) {
    active *a;
    execution *e = running(s, task, &a);
    if (!e) return ATH_OK;
    char message[256] = "";
    if (!e->n_reports) {
        snprintf(message, sizeof(message), "it ended without a report of '%s'", s->objective);
        return athi_search_fail(s, task, ATHI_REASON_CRASH, message);
    }
    double value = result(s, e);
    if (isnan(value)) {
        snprintf(message, sizeof(message), "the objective '%s' was not a number", s->objective);
        return athi_search_fail(s, task, ATHI_REASON_NAN, message);
    }
    ATH_TRY(athi_store_execution(s->opts.store, task->trial, task->execution, value, e->best_step));
    e->phase = DONE, e->value = value;
    return end_if_done(s, a);
}

ath_status athi_search_fail(athi_search *s, const athi_task *task, athi_reason reason, const char *message) {
    active *a = find(s, task->trial);
    if (!a) return ATH_OK;
    ATH_TRY(athi_store_finish(s->opts.store, task->trial, ATHI_TRIAL_FAILED, NULL, reason, message));
    s->failures++;
    s->any_ended = true;
    snprintf(s->last_failure, sizeof(s->last_failure), "%s", message ? message : athi_reason_name(reason));
    drop(s, a);
    return ATH_OK;
}

ath_status athi_search_set_point(athi_search *s, const athi_task *task, const double *point) {
    active *a = find(s, task->trial);
    if (!a) return ATH_OK;
    ATH_TRY(athi_store_point(s->opts.store, s->opts.space, task->trial, point));
    double *copy = copy_point(s, point);
    if (!copy) return ATH_E_NOMEM;
    athi_free(s->ctx, a->point);
    a->point = copy;
    return ATH_OK;
}

/* ---- trials that others run ---------------------------------------------------------------------- */

bool athi_search_any_ended(const athi_search *s) { return s->any_ended; }

ath_status athi_search_restart(athi_search *s, const athi_task *task) {
    active *a;
    execution *e = running(s, task, &a);
    if (!e) return ATH_OK;
    *e = (execution){.phase = RUNNING};
    return athi_store_rewind(s->opts.store, task->trial, task->execution, 0);
}

ath_status athi_search_prune(athi_search *s, const athi_task *task, double value) {
    active *a = find(s, task->trial);
    if (!a) return ATH_OK;
    ATH_TRY(athi_store_finish(s->opts.store, task->trial, ATHI_TRIAL_PRUNED, isnan(value) ? NULL : &value,
                              ATHI_REASON_NONE, NULL));
    s->any_ended = true;
    drop(s, a);
    return ATH_OK;
}

ath_status athi_search_add(athi_search *s, const double *point, double value, int64_t *number) {
    enum { UNSEEN = -1 }; /* no suggestion of ours */
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, point, UNSEEN, number));
    ATH_TRY(athi_store_execution(s->opts.store, *number, 0, value, 0));
    ATH_TRY(athi_store_finish(s->opts.store, *number, ATHI_TRIAL_COMPLETE, &value, ATHI_REASON_NONE, NULL));
    s->any_complete = s->any_ended = true;
    return ATH_OK;
}

ath_status athi_search_claim(athi_search *s, int64_t trial, athi_task *task) {
    active *a = find(s, trial);
    if (!a) {
        const athi_trial *const *trials;
        int64_t n;
        ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
        if (trial < 0 || trial >= n)
            return athi_fail(s->ctx, ATH_E_NOTFOUND, "there is no trial %lld; the study has %lld, numbered from 0",
                             (long long)trial, (long long)n);
        return athi_fail(s->ctx, ATH_E_NOTFOUND, "trial %lld has ended already; what it is worth stays",
                         (long long)trial);
    }
    a->executions[0].phase = RUNNING;
    *task = (athi_task){.trial = trial,
                        .point = a->point,
                        .resumed = a->executions[0].resumed,
                        .seed = athi_seed_derive(s->opts.seed, (uint64_t)trial, 0)};
    return ATH_OK;
}

/* ---- ranking ------------------------------------------------------------------------------------- */

static int better_first(const void *pa, const void *pb, bool maximize) {
    const athi_trial *a = *(const athi_trial *const *)pa, *b = *(const athi_trial *const *)pb;
    if (a->values[0] != b->values[0]) return (a->values[0] < b->values[0]) == maximize ? 1 : -1;
    return a->number < b->number ? -1 : a->number > b->number;
}
static int highest_first(const void *a, const void *b) { return better_first(a, b, true); }
static int lowest_first(const void *a, const void *b) { return better_first(a, b, false); }

ath_status athi_search_ranking(athi_search *s, athi_arena *arena, const athi_trial ***ranking, int64_t *n) {
    const athi_trial *const *trials;
    int64_t total;
    *ranking = NULL, *n = 0;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &total));
    const athi_trial **list = athi_arena_array(arena, total, sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < total; i++)
        if (trials[i]->state == ATHI_TRIAL_COMPLETE && !isnan(trials[i]->values[0])) list[(*n)++] = trials[i];
    qsort(list, (size_t)*n, sizeof(*list), s->maximize ? highest_first : lowest_first);
    *ranking = list;
    return ATH_OK;
}
