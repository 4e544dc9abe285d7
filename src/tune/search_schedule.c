/* What a scheduler decides about trials under way: where they pause, which of them go on, which are stopped. */
#include "tune/search_internal.h"

#include <math.h>

static bool counts_seconds(const athi_scheduler_impl *impl, const void *opts) {
    return impl && impl->seconds && impl->seconds(opts);
}

static athi_schedule schedule_of(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    return (athi_schedule){.trials = trials,
                           .n = n,
                           .maximize = s->info->maximize[0],
                           .seconds = counts_seconds(s->scheduler, s->opts.scheduler_opts),
                           .pauses = !s->opts.no_pause,
                           .forks = s->opts.inherit != NULL,
                           .max_t = s->opts.max_t,
                           .seed = s->opts.seed,
                           .max_trials = s->opts.max_trials,
                           .space = s->opts.space,
                           .fixed = s->opts.fixed};
}

/* Is it for stopping alone, by what curves look like? */
static bool only_stops(const athi_scheduler_impl *impl) { return impl->keep && !impl->until; }

/* Does any trial pause? By stopping, asha says of none where it would. */
static bool pauses(const athi_search *s, const athi_schedule *schedule) {
    return s->scheduler && s->scheduler->until && s->scheduler->until(s->opts.scheduler_opts, schedule, 0, 0) > 0;
}

static ath_status check_rows(const athi_search *s, const athi_row *row, const char *option, const void *opts) {
    const athi_scheduler_impl *impl = row->impl;
    athi_schedule schedule = schedule_of(s, NULL, 0);
    schedule.seconds = counts_seconds(impl, opts);
    if (s->info->n_objectives != 1)
        return athi_fail(s->ctx, ATH_E_OPTION, "%s: %s judges by one objective, but there are %d", option, row->name,
                         s->info->n_objectives);
    if (impl->fork && s->opts.executions > 1)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "%s: %s takes one execution a trial, since a child goes on from one state, but there are %lld "
            "(executions_per_trial, folds); leave out these, or the %s",
            option, row->name, (long long)s->opts.executions, option);
    if (impl->fork && s->opts.rescore > 0)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "rescore: it trains the winner's values from the beginning, but a winner of %s went through others "
            "before; leave out rescore",
            row->name);
    if (s->opts.deterministic && schedule.seconds)
        return athi_fail(s->ctx, ATH_E_OPTION,
                         "deterministic: with time_attr: seconds of %s the machine's pace decides; take time_attr: "
                         "steps, or leave out deterministic",
                         row->name);
    return impl->check ? impl->check(s->ctx, opts, &schedule) : ATH_OK;
}

ath_status athi_search_check_schedule(athi_search *s) {
    const athi_row *scheduler = s->opts.scheduler, *prune = s->opts.prune;
    if (scheduler) s->scheduler = scheduler->impl;
    if (scheduler) ATH_TRY(check_rows(s, scheduler, "scheduler", s->opts.scheduler_opts));
    const athi_schedule schedule = schedule_of(s, NULL, 0);
    const bool several = s->opts.deterministic && s->opts.jobs > 1, waits = several && pauses(s, &schedule);
    s->in_rounds = waits && !s->scheduler->fork; /* which waits for all anyway */
    if (!prune) return ATH_OK;
    if (!only_stops(prune->impl))
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "prune: %s says how far trials go, which is for `scheduler`; expected one that only stops: median, "
            "percentile, threshold or patience",
            prune->name);
    if (waits)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "deterministic: what prune decides beside %s depends on who was quicker; take one job, or leave out "
            "prune",
            scheduler->name);
    return check_rows(s, prune, "prune", s->opts.prune_opts);
}

bool athi_search_by_seconds(const athi_search *s) { return counts_seconds(s->scheduler, s->opts.scheduler_opts); }

/* How far an execution has come with its last report, and with the one before. */
static int64_t progress(const athi_schedule *s, const athi_execution *e) {
    return athi_schedule_at(s, &(athi_report){.step = e->last_step, .seconds = e->seconds});
}
static int64_t progress_before(const athi_schedule *s, const athi_execution *e) {
    return athi_schedule_at(s, &e->before);
}

/* A trial is judged by its first execution; the others run to their end, and only once that one has come to its own. */
static bool is_first(const athi_active *a, const athi_execution *e) { return e == a->executions; }

static bool judged(const athi_search *s, const athi_active *a) {
    return (s->scheduler || s->opts.prune) && !a->rescored;
}

bool athi_search_holds_back(const athi_search *s, const athi_active *a, const athi_execution *e) {
    return judged(s, a) && !is_first(a, e) && a->executions[0].phase != ATHI_PHASE_DONE;
}

static int64_t until(const athi_search *s, const athi_schedule *schedule, const athi_active *a,
                     const athi_execution *e, int64_t at) {
    if (!s->scheduler || !s->scheduler->until || a->rescored || !is_first(a, e)) return 0;
    return s->scheduler->until(s->opts.scheduler_opts, schedule, a->number, at);
}

int64_t athi_search_until(const athi_search *s, const athi_active *a, const athi_execution *e) {
    athi_schedule schedule = schedule_of(s, NULL, 0);
    return until(s, &schedule, a, e, progress(&schedule, e));
}

/* How far a whole trial goes, 0: unknown. */
static int64_t whole(const athi_search *s, const athi_schedule *schedule) {
    return s->scheduler && s->scheduler->max_t ? s->scheduler->max_t(s->opts.scheduler_opts, schedule)
                                               : s->opts.max_t;
}

int64_t athi_search_budget(const athi_search *s, const athi_execution *e) {
    athi_schedule schedule = schedule_of(s, NULL, 0);
    if (schedule.seconds) return 0;
    return e->until ? e->until : whole(s, &schedule);
}

/* In seconds only a report tells how far a trial has come. */
static bool is_beyond(const athi_search *s, const athi_execution *e, int64_t step) {
    athi_schedule schedule = schedule_of(s, NULL, 0);
    int64_t max_t = s->scheduler ? whole(s, &schedule) : 0;
    return max_t > 0 && (schedule.seconds ? progress(&schedule, e) >= max_t : step > max_t);
}

bool athi_search_beyond(const athi_search *s, const athi_task *task, int64_t step) {
    athi_active *a;
    const athi_execution *e = athi_execution_running(s, task, &a);
    return e && is_beyond(s, e, step);
}

/* In order a trial is compared with those alone that had ended when it began: then nobody's pace decides. */
static int64_t visible(const athi_search *s, int64_t number, int64_t n) {
    return s->opts.deterministic ? ATHI_MAX(number - s->opts.jobs + 1, 0) : n;
}

/* How far a trial had come with its reports up to a step. */
static int64_t at_step(const athi_schedule *s, const athi_trial *t, int64_t step) {
    int64_t at = 0;
    for (int64_t i = 0; i < t->n_reports && t->reports[i].step <= step; i++) at = athi_schedule_at(s, &t->reports[i]);
    return at;
}

static ath_status judge(athi_search *s, const athi_row *row, const void *opts, const athi_active *a, int64_t before,
                        int64_t step, athi_action *action) {
    const athi_trial *const *trials;
    int64_t n;
    const athi_scheduler_impl *impl = row ? row->impl : NULL;
    if (!impl || !impl->keep) return ATH_OK;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    athi_schedule schedule = schedule_of(s, trials, visible(s, a->number, n));
    schedule.seconds = counts_seconds(impl, opts);
    if (a->number >= n) return ATH_OK;
    const athi_trial *t = trials[a->number];
    if (!impl->keep(opts, &schedule, t, at_step(&schedule, t, before), at_step(&schedule, t, step)))
        *action = ATHI_ACTION_PRUNE;
    return ATH_OK;
}

/* Judges an execution's last report, once. */
static ath_status decide(athi_search *s, const athi_active *a, athi_execution *e, athi_action *action) {
    if (!is_first(a, e) || e->last_step == e->judged_step) return ATH_OK;
    int64_t before = e->judged_step;
    e->judged_step = e->last_step;
    athi_schedule schedule = schedule_of(s, NULL, 0);
    if (e->until && progress(&schedule, e) >= e->until) *action = ATHI_ACTION_PAUSE;
    ATH_TRY(judge(s, s->opts.prune, s->opts.prune_opts, a, before, e->last_step, action));
    if (*action != ATHI_ACTION_CONTINUE) return ATH_OK;
    return judge(s, s->opts.scheduler, s->opts.scheduler_opts, a, before, e->last_step, action);
}

ath_status athi_search_action(athi_search *s, const athi_task *task, athi_action *action) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    *action = ATHI_ACTION_CONTINUE;
    if (!e || !judged(s, a)) return ATH_OK;
    if (is_beyond(s, e, e->last_step + 1)) return *action = ATHI_ACTION_FINISH, ATH_OK;
    return decide(s, a, e, action);
}

static ath_status pause_trial(athi_search *s, athi_active *a) {
    ath_status status = athi_store_pause(s->opts.store, a->number);
    if (status != ATH_OK) return athi_search_lost(s, a, status);
    a->executions[0].phase = ATHI_PHASE_PAUSED;
    s->any_success = s->any_came = true;
    return ATH_OK;
}

ath_status athi_search_pause(athi_search *s, const athi_task *task) {
    athi_active *a;
    return athi_execution_running(s, task, &a) ? pause_trial(s, a) : ATH_OK;
}

ath_status athi_search_judge_resumed(athi_search *s) {
    for (int64_t i = s->n - 1; i >= 0; i--) {
        athi_active *a = s->actives[i];
        athi_execution *e = a->executions;
        athi_action action = ATHI_ACTION_CONTINUE;
        if (e->phase != ATHI_PHASE_READY || e->last_step == e->judged_step || !judged(s, a)) continue;
        const athi_schedule schedule = schedule_of(s, NULL, 0);
        if (is_beyond(s, e, e->last_step + 1)) continue; /* it only has to end */
        e->until = until(s, &schedule, a, e, progress_before(&schedule, e));
        ATH_TRY(decide(s, a, e, &action));
        if (action == ATHI_ACTION_PAUSE) ATH_TRY(pause_trial(s, a));
        if (action == ATHI_ACTION_PRUNE) ATH_TRY(athi_search_prune(s, &(athi_task){.trial = a->number}, NULL));
    }
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
    ath_status status = athi_store_resume(s->opts.store, number, a->executions[0].last_step);
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

/* Where all wait for all, the others' ones that wait too. */
bool athi_search_may_promote(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    bool all = s->scheduler && s->scheduler->fork;
    for (int64_t i = 0; s->opts.owner && i < n; i++) {
        const athi_trial *t = trials[i];
        bool live = t->state == ATHI_TRIAL_RUNNING || (all && t->state == ATHI_TRIAL_PAUSED);
        if (live && t->seen >= 0 && !t->outside && !athi_active_find(s, t->number)) return true;
    }
    return false;
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

/* What a trial was worth changes with the step, and one that came there is complete until it fails. */
static void forget_others(athi_search *s, int64_t step, int64_t failed) {
    if (s->cache_step != step || s->cache_failed != failed) athi_cache_clear(&s->cache);
    s->cache_step = step, s->cache_failed = failed;
}

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
    int64_t failed = 0; /* that had come to the step */
    if (!list || !copies || !values) return ATH_E_NOMEM;
    for (int64_t i = 0; i < view->n; i++) {
        double loss = athi_schedule_loss(&schedule, view->trials[i], step);
        list[i] = view->trials[i];
        if (view->trials[i]->state == ATHI_TRIAL_FAILED) {
            failed += isfinite(loss);
            continue;
        }
        copies[i] = *view->trials[i];
        copies[i].state = isfinite(loss) ? ATHI_TRIAL_COMPLETE : ATHI_TRIAL_RUNNING;
        values[i] = isfinite(loss) ? (s->info->maximize[0] ? -loss : loss) : (double)NAN;
        copies[i].values = &values[i];
        list[i] = &copies[i];
    }
    view->trials = list;
    forget_others(s, step, failed);
    return ATH_OK;
}
