/* What a scheduler decides about trials under way: where they pause, which of them go on, which are stopped. */
#include "tune/search_internal.h"

#include <math.h>

static athi_schedule schedule_of(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    return (athi_schedule){.trials = trials,
                           .n = n,
                           .maximize = s->info->maximize[0],
                           .pauses = !s->opts.no_pause,
                           .forks = s->opts.inherit != NULL,
                           .max_t = s->opts.max_t,
                           .seed = s->opts.seed,
                           .max_trials = s->opts.max_trials,
                           .space = s->opts.space,
                           .fixed = s->opts.fixed};
}

ath_status athi_search_check_schedule(athi_search *s) {
    if (!s->opts.scheduler) return ATH_OK;
    s->scheduler = s->opts.scheduler->impl;
    if (s->info->n_objectives != 1)
        return athi_fail(s->ctx, ATH_E_OPTION, "scheduler: %s judges by one objective, but there are %d",
                         s->opts.scheduler->name, s->info->n_objectives);
    if (s->opts.executions > 1)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "scheduler: %s judges one execution a trial; leave out executions_per_trial, or the scheduler",
            s->opts.scheduler->name);
    if (s->scheduler->fork && s->opts.rescore > 0)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "rescore: it trains the winner's values from the beginning, but a winner of %s went through others "
            "before; leave out rescore",
            s->opts.scheduler->name);
    if (s->opts.deterministic && s->opts.jobs > 1 && !s->scheduler->fork)
        return athi_fail(s->ctx, ATH_E_OPTION,
                         "deterministic: with a scheduler what is decided depends on who was quicker; take one job");
    athi_schedule schedule = schedule_of(s, NULL, 0);
    return s->scheduler->check ? s->scheduler->check(s->ctx, s->opts.scheduler_opts, &schedule) : ATH_OK;
}

int64_t athi_search_until(const athi_search *s, const athi_active *a, const athi_execution *e) {
    if (!s->scheduler || !s->scheduler->until || a->rescored) return 0;
    athi_schedule schedule = schedule_of(s, NULL, 0);
    return s->scheduler->until(s->opts.scheduler_opts, &schedule, a->number, e->last_step);
}

bool athi_search_at_pause(const athi_search *s, const athi_active *a, const athi_execution *e) {
    const athi_execution before = {.last_step = e->last_step - 1};
    return e->last_step > 0 && athi_search_until(s, a, &before) == e->last_step;
}

int64_t athi_search_max_t(const athi_search *s) {
    athi_schedule schedule = schedule_of(s, NULL, 0);
    return s->scheduler && s->scheduler->max_t ? s->scheduler->max_t(s->opts.scheduler_opts, &schedule)
                                               : s->opts.max_t;
}

bool athi_search_beyond(const athi_search *s, int64_t step) {
    int64_t max_t = s->scheduler ? athi_search_max_t(s) : 0;
    return max_t > 0 && step > max_t;
}

ath_status athi_search_action(athi_search *s, const athi_task *task, athi_action *action) {
    const athi_trial *const *trials;
    int64_t n;
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    *action = ATHI_ACTION_CONTINUE;
    if (!e || !s->scheduler || a->rescored) return ATH_OK;
    if (athi_search_beyond(s, e->last_step + 1)) return *action = ATHI_ACTION_FINISH, ATH_OK;
    if (e->last_step == e->judged_step) return ATH_OK;
    int64_t before = e->judged_step;
    e->judged_step = e->last_step;
    if (s->scheduler->until && e->until && e->last_step >= e->until) return *action = ATHI_ACTION_PAUSE, ATH_OK;
    if (!s->scheduler->keep) return ATH_OK;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    athi_schedule schedule = schedule_of(s, trials, n);
    if (a->number < n &&
        !s->scheduler->keep(s->opts.scheduler_opts, &schedule, trials[a->number], before, e->last_step))
        *action = ATHI_ACTION_PRUNE;
    return ATH_OK;
}

ath_status athi_search_pause(athi_search *s, const athi_task *task) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    if (!e) return ATH_OK;
    ath_status status = athi_store_pause(s->opts.store, a->number, true);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    e->phase = ATHI_PHASE_PAUSED;
    s->any_success = s->any_came = true;
    return ATH_OK;
}

/* ---- who goes on ----------------------------------------------------------------------------------- */

/* One of ours that waits. */
static ath_status give_up(athi_search *s, const athi_schedule *schedule, bool *given_up) {
    for (int64_t i = 0; s->scheduler->gives_up && i < s->n; i++) {
        const athi_active *a = s->actives[i];
        athi_task task = {.trial = a->number};
        if (a->executions[0].phase != ATHI_PHASE_PAUSED || a->number >= schedule->n) continue;
        if (!s->scheduler->gives_up(s->opts.scheduler_opts, schedule, schedule->trials[a->number])) continue;
        *given_up = true;
        return athi_search_prune(s, &task, NULL);
    }
    return ATH_OK;
}

static ath_status promote(athi_search *s, const athi_schedule *schedule) {
    if (!s->scheduler->promote) return ATH_OK;
    int64_t number = s->scheduler->promote(s->opts.scheduler_opts, schedule);
    athi_active *a = number >= 0 ? athi_active_find(s, number) : NULL;
    if (!a || a->executions[0].phase != ATHI_PHASE_PAUSED) return ATH_OK; /* none, or another driver's */
    ath_status status = athi_store_pause(s->opts.store, number, false);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    a->executions[0].phase = ATHI_PHASE_READY, a->executions[0].resumed = true;
    return ATH_OK;
}

ath_status athi_search_schedule(athi_search *s, const athi_trial *const *trials, int64_t n, const athi_end *end,
                                bool *given_up) {
    bool forked = false;
    *given_up = false;
    if (!s->scheduler) return ATH_OK;
    athi_schedule schedule = schedule_of(s, trials, n);
    schedule.closed = end->why != NULL, schedule.over = end->over;
    ATH_TRY(give_up(s, &schedule, given_up));
    if (*given_up) return ATH_OK;
    if (s->scheduler->fork) ATH_TRY(athi_search_fork(s, &schedule, &forked));
    return forked ? ATH_OK : promote(s, &schedule);
}

bool athi_search_admits(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    athi_schedule schedule = schedule_of(s, trials, n);
    return !s->scheduler || !s->scheduler->admits || s->scheduler->admits(s->opts.scheduler_opts, &schedule);
}

int64_t athi_search_under_way(const athi_search *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++) n += s->actives[i]->executions[0].phase != ATHI_PHASE_PAUSED;
    return n;
}

ath_status athi_search_end_paused(athi_search *s) {
    for (int64_t i = s->n - 1; i >= 0; i--) {
        athi_task task = {.trial = s->actives[i]->number};
        if (s->actives[i]->executions[0].phase == ATHI_PHASE_PAUSED) ATH_TRY(athi_search_prune(s, &task, NULL));
    }
    return ATH_OK;
}

/* ---- what models learn from ------------------------------------------------------------------------ */

enum { LEAST_BEYOND_DIMENSIONS = 2 }; /* BOHB: d + 1 trials below, and one above */

/* Trials as they were at a step: those that came there are complete with what they were worth, the others run. */
ath_status athi_search_at_fidelity(athi_search *s, athi_view *view) {
    if (!s->scheduler || !s->scheduler->fidelity) return ATH_OK;
    athi_schedule schedule = schedule_of(s, view->trials, view->n);
    int64_t step =
        s->scheduler->fidelity(s->opts.scheduler_opts, &schedule, view->space->n + LEAST_BEYOND_DIMENSIONS);
    if (!step) return ATH_OK;
    const athi_trial **list = athi_arena_array(s->scratch, view->n, sizeof *list);
    athi_trial *copies = athi_arena_array(s->scratch, view->n, sizeof *copies);
    double *values = athi_arena_array(s->scratch, view->n, sizeof *values);
    if (!list || !copies || !values) return ATH_E_NOMEM;
    for (int64_t i = 0; i < view->n; i++) {
        double loss = athi_schedule_loss(&schedule, view->trials[i], step);
        list[i] = view->trials[i];
        if (view->trials[i]->state == ATHI_TRIAL_FAILED) continue;
        copies[i] = *view->trials[i];
        copies[i].state = isfinite(loss) ? ATHI_TRIAL_COMPLETE : ATHI_TRIAL_RUNNING;
        values[i] = isfinite(loss) ? (s->info->maximize[0] ? -loss : loss) : (double)NAN;
        copies[i].values = &values[i];
        list[i] = &copies[i];
    }
    view->trials = list;
    return ATH_OK;
}
