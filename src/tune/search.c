/* The search: which trials are under way, what is run next, and what a trial is worth when its executions are
 * done. All that must survive is in the store; this is rebuilt from it at every start. */
#include "tune/search_internal.h"

#include "base/file.h"

enum { FAILURES_DEFAULT = 3 };
static const double LATE_SECONDS = 1; /* of trying again where other drivers were quicker */
enum { SHARED_PATIENCE_MS = 2000 };   /* a driver that waits for longer could not renew its leases */

/* ---- opening ------------------------------------------------------------------------------------- */

static ath_status check(ath_ctx *ctx, const athi_search_opts *o) {
    const athi_study_info *info = athi_store_info(o->store);
    if (info->n_objectives < 1 || info->n_objectives > ATHI_OBJECTIVES_MAX)
        return athi_fail(ctx, ATH_E_UNSUPPORTED, "tune: the study has %d objectives, expected 1 to %d",
                         info->n_objectives, ATHI_OBJECTIVES_MAX);
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
    s->ctx = ctx;
    s->info = athi_store_info(opts->store);
    s->opened = athi_store_clock(), s->rule_seen = -1;
    s->opts = *opts;
    s->opts.jobs = ATHI_MAX(opts->jobs, 1);
    if (s->opts.max_failures <= 0) s->opts.max_failures = FAILURES_DEFAULT;
    s->sampler = opts->sampler->impl;
    s->scratch = athi_arena_create(ctx);
    ath_status status = s->scratch ? ATH_OK : ATH_E_NOMEM;
    if (opts->owner) athi_store_patience(opts->store, SHARED_PATIENCE_MS);
    if (status == ATH_OK) status = athi_search_check_schedule(s);
    if (status == ATH_OK && opts->owner) status = athi_store_own(opts->store, opts->owner, ATHI_LEASE_SECONDS);
    if (status == ATH_OK) status = athi_search_record(s);
    if (status == ATH_OK) status = athi_search_adopt(s, true);
    if (status != ATH_OK) return athi_search_close(s), status;
    *search = s;
    return ATH_OK;
}

void athi_search_close(athi_search *s) {
    if (!s) return;
    ath_status left = s->opts.owner ? athi_store_release(s->opts.store) : ATH_OK; /* else they run out */
    (void)left;
    if (s->opts.owner) athi_store_patience(s->opts.store, ATHI_PATIENCE_MS);
    for (int64_t i = 0; i < s->n; i++) athi_active_free(s, s->actives[i]);
    for (int64_t i = 0; i < s->n_queue; i++) athi_free(s->ctx, s->queue[i]);
    athi_free(s->ctx, s->actives);
    athi_free(s->ctx, s->queue);
    athi_cache_clear(&s->cache);
    if (s->scratch) athi_arena_destroy(s->scratch);
    athi_free(s->ctx, s);
}

ath_status athi_search_enqueue(athi_search *s, const double *point) {
    ATH_TRY(ATHI_GROW(s->ctx, s->queue, s->n_queue, s->cap_queue));
    double *copy = athi_alloc_array(s->ctx, s->opts.space->n, sizeof(double));
    if (!copy) return ATH_E_NOMEM;
    if (s->opts.space->n) memcpy(copy, point, (size_t)s->opts.space->n * sizeof(double));
    s->queue[s->n_queue++] = copy;
    return ATH_OK;
}

/* ---- what is next -------------------------------------------------------------------------------- */

/* The row of the points to be tried first that it is this trial's turn to take, NULL: none is left. */
static const double *given_point(const athi_search *s, const athi_view *view) {
    int64_t ours = 0;
    if (s->n_queue) return s->queue[0];
    for (int64_t i = 0; i < view->n; i++)
        ours += view->trials[i]->seen >= 0 && view->trials[i]->relation != ATHI_RELATION_RESCORE;
    return ours < s->opts.n_points ? s->opts.points + ours * s->opts.space->n : NULL;
}

ath_status athi_search_suggest(athi_search *s, const athi_view *view, double *point) {
    const double *given = given_point(s, view);
    if (!given) return s->sampler->suggest(s->ctx, s->opts.sampler_opts, view, point, &s->exhausted);
    if (s->opts.space->n) memcpy(point, given, (size_t)s->opts.space->n * sizeof(double));
    return ATH_OK;
}

/* A trial with the point of an earlier one is its repeat on another seed; samplers suggest one on purpose only. */
static void relate(const athi_view *view, athi_beginning *b) {
    int64_t i = athi_tried_at(view, b->point);
    if (i < 0) return;
    b->relation = ATHI_RELATION_REPEAT, b->relative = view->trials[i]->number;
}

static void dequeue(athi_search *s) {
    if (!s->n_queue) return;
    athi_free(s->ctx, s->queue[0]);
    memmove(s->queue, s->queue + 1, (size_t)--s->n_queue * sizeof(*s->queue));
}

/* *late: another driver was quicker. */
static ath_status begin_trial(athi_search *s, const athi_trial *const *trials, int64_t n, bool *late) {
    athi_arena_reset(s->scratch);
    double *point = athi_arena_array(s->scratch, s->opts.space->n, sizeof(double));
    if (!point) return ATH_E_NOMEM;
    int64_t number = 0;
    athi_view view;
    athi_beginning beginning = {.point = point, .optimistic = s->opts.owner, .after = n};
    ATH_TRY(athi_search_view(s, trials, n, &view, &beginning.seen));
    ATH_TRY(athi_search_at_fidelity(s, &view));
    ATH_TRY(athi_search_suggest(s, &view, point));
    if (s->exhausted) return ATH_OK;
    relate(&view, &beginning);
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, &beginning, &number));
    *late = number < 0;
    if (*late) return ATH_OK;
    dequeue(s);
    return athi_active_add(s, number, point, s->opts.executions, NULL);
}

/* After the search: the winner once more, on a fresh seed, as long as it has too few such trials. */
static ath_status begin_rescoring(athi_search *s, const athi_trial *const *trials, int64_t n) {
    const athi_trial **ranking;
    int64_t n_ranking, number, done = 0;
    if (s->info->n_objectives != 1) return ATH_OK;
    athi_arena_reset(s->scratch);
    ATH_TRY(athi_search_ranking(s, s->scratch, &ranking, &n_ranking));
    if (!n_ranking) return ATH_OK;
    const athi_trial *best = ranking[0];
    for (int64_t i = 0; i < n; i++)
        done += trials[i]->relation == ATHI_RELATION_RESCORE && trials[i]->relative == best->number;
    if (done >= s->opts.rescore) return ATH_OK;
    athi_beginning beginning = {.point = best->point,
                                .seen = n,
                                .relation = ATHI_RELATION_RESCORE,
                                .relative = best->number,
                                .optimistic = s->opts.owner,
                                .after = n};
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, &beginning, &number));
    if (number < 0) return ATH_OK;
    athi_active *a = NULL;
    ATH_TRY(athi_active_add(s, number, best->point, s->opts.executions, &a));
    a->rescored = true;
    return ATH_OK;
}

double athi_search_clock(const athi_search *s) { return s->opts.clock ? *s->opts.clock : athi_now(); }

void athi_search_started(athi_search *s, const athi_task *task) {
    athi_active *a;
    athi_execution *e = athi_execution_running(s, task, &a);
    if (e) e->began = athi_search_clock(s);
}

static bool is_ready(const athi_search *s, const athi_active *a, const athi_execution *e) {
    return e->phase == ATHI_PHASE_READY && !athi_search_holds_back(s, a, e);
}

int64_t athi_search_ready(const athi_search *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t k = 0; k < s->actives[i]->n; k++) n += is_ready(s, s->actives[i], &s->actives[i]->executions[k]);
    return n;
}

static bool hand_out(athi_search *s, athi_task *task) {
    for (int64_t i = 0; i < s->n; i++) {
        athi_active *a = s->actives[i];
        for (int64_t k = 0; k < a->n; k++) {
            athi_execution *e = &a->executions[k];
            if (!is_ready(s, a, e)) continue;
            e->phase = ATHI_PHASE_RUNNING;
            e->until = athi_search_until(s, a, e), e->began = athi_search_clock(s);
            s->handed_out++;
            *task = (athi_task){.trial = a->number,
                                .execution = k,
                                .point = a->point,
                                .parent = a->parent,
                                .child = a->child,
                                .begin = e->begin,
                                .resumed = e->resumed,
                                .until = athi_search_by_seconds(s) ? 0 : e->until,
                                .budget = athi_search_budget(s, e),
                                .seed = athi_seed_derive(s->opts.seed, (uint64_t)a->number, (uint64_t)k)};
            a->parent = -1;
            return true;
        }
    }
    return false;
}

/* No new trial will come: done when nothing is under way any more, here or elsewhere. */
static ath_status wind_down(const athi_search *s, const athi_trial *const *trials, int64_t n, const char *why,
                            athi_decision *d) {
    d->next = s->n || athi_search_others_run(s, trials, n, n) ? ATHI_NEXT_WAIT : ATHI_NEXT_DONE;
    d->why = why;
    return ATH_OK;
}

static bool any_running(const athi_search *s) {
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t k = 0; k < s->actives[i]->n; k++)
            if (s->actives[i]->executions[k].phase == ATHI_PHASE_RUNNING) return true;
    return false;
}

/* An earlier start may have ended between a trial's last execution and its end. */
static ath_status end_complete_ones(athi_search *s) {
    for (int64_t i = s->n - 1; i >= 0; i--) ATH_TRY(athi_search_end_if_done(s, s->actives[i]));
    return ATH_OK;
}

/* The study as it is, after what was due with those that wait; whom the scheduler gives up changes both. */
static ath_status look(athi_search *s, const athi_trial *const **trials, int64_t *n, athi_end *end) {
    bool given_up;
    do {
        ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, trials, n));
        ATH_TRY(athi_search_limit(s, *trials, *n, end));
        ATH_TRY(athi_search_schedule(s, *trials, *n, end, &given_up));
    } while (given_up);
    return ATH_OK;
}

/* Must results come before the next suggestion? */
static bool too_early(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    return athi_search_must_wait(s, n) || !athi_search_admits(s, trials, n) ||
           (s->opts.deterministic && athi_search_others_run(s, trials, n, n - s->opts.jobs)) ||
           (s->opts.max_pending > 0 && athi_search_under_way(s) >= s->opts.max_pending);
}

ath_status athi_search_decide(athi_search *s, athi_decision *d) {
    const athi_trial *const *trials;
    int64_t n;
    athi_end end;
    const int64_t ready = athi_search_ready(s);
    *d = (athi_decision){.next = ATHI_NEXT_WAIT};
    ATH_TRY(look(s, &trials, &n, &end));
    if (athi_search_ready(s) > ready) return ATH_OK;
    if (end.why && !athi_search_under_way(s) && !athi_search_may_promote(s, trials, n))
        ATH_TRY(athi_search_end_paused(s));
    if (end.why && s->n == 0 && s->opts.rescore > 0 && !athi_search_others_run(s, trials, n, n)) {
        ATH_TRY(begin_rescoring(s, trials, n));
        if (athi_search_ready(s)) return ATH_OK;
    }
    if (end.why) return wind_down(s, trials, n, end.why, d);
    if (too_early(s, trials, n)) return ATH_OK;
    ATH_TRY(begin_trial(s, trials, n, &d->late));
    return s->exhausted ? wind_down(s, trials, n, "exhausted", d) : ATH_OK;
}

ath_status athi_search_next(athi_search *s, athi_task *task, athi_next *next, const char **why) {
    *next = ATHI_NEXT_TASK, *why = NULL;
    ATH_TRY(end_complete_ones(s));
    ATH_TRY(athi_search_adopt(s, false));
    ATH_TRY(athi_search_judge_resumed(s));
    if (!s->any_success && s->failures >= s->opts.max_failures) {
        *next = any_running(s) ? ATHI_NEXT_WAIT : ATHI_NEXT_DONE; /* what has not started stays for another start */
        *why = "failures";
        return ATH_OK;
    }
    if (hand_out(s, task)) return ATH_OK;
    const double since = athi_now();
    athi_decision d;
    do ATH_TRY(s->in_rounds ? athi_search_round(s, &d) : athi_search_decide(s, &d));
    while (d.late && !athi_search_ready(s) && athi_now() < since + LATE_SECONDS);
    if (!hand_out(s, task)) *next = d.next, *why = d.why;
    return ATH_OK;
}
