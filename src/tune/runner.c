/* Runs a search on worker processes: one loop over their pipes, until the search is done or somebody interrupts. */
#include "tune/runner_internal.h"

#include "base/file.h"

#include <poll.h>
#include <signal.h>

enum { POLL_MS = 200, LOOK_MS = 100, PIPES = 3 };
static const double BRIEF_SECONDS = 0.05; /* between the end of a command's output and its own */
static const double LEAVE_SECONDS = 2;

/* ---- one slot ------------------------------------------------------------------------------------ */

/* All that it wrote before it died. */
static ath_status read_all(athi_runner *r, athi_slot *w) {
    for (bool more = true, ended = false; more && !ended && w->alive && !r->away;) {
        int64_t before = w->process.output.length - w->process.taken;
        ATH_TRY(athi_process_read(&w->process, &ended));
        more = w->process.output.length > before;
        ATH_TRY(athi_slot_take_lines(r, w));
    }
    return ATH_OK;
}

/* It is gone, and all that is left of it is read. */
static ath_status finish(athi_runner *r, athi_slot *w) {
    w->reaped = true;
    ATH_TRY(read_all(r, w));
    return w->alive && !r->away ? athi_slot_gone(r, w, &w->ending) : ATH_OK;
}

/* At the end, when the study cannot be told what it says; its state is saved, and its log says it again. */
static ath_status let_go(athi_runner *r, athi_slot *w) {
    bool ended;
    ATH_TRY(athi_process_read(&w->process, &ended));
    w->process.taken = w->process.output.length;
    if (w->reaped || athi_process_reap(&w->process, &w->ending)) athi_slot_end(r, w, 0);
    return ATH_OK;
}

/* It leaves, or has closed what we hear it by; a command may go on in silence. */
static ath_status wait_for_end(athi_runner *r, athi_slot *w) {
    bool command = r->opts->command;
    double until = athi_now() + (command ? BRIEF_SECONDS : LEAVE_SECONDS);
    while (!athi_process_reap(&w->process, &w->ending)) {
        if (athi_now() <= until) {
            poll(NULL, 0, 1);
            continue;
        }
        if (command) return ATH_OK;
        if (athi_slot_heard(w))
            athi_slot_ask_to_end(r, w, ATHI_REASON_CRASH,
                                 "the worker closed its standard output before its task was done");
        athi_process_signal(&w->process, SIGKILL);
    }
    return finish(r, w);
}

static ath_status serve(athi_runner *r, athi_slot *w) {
    bool ended = false;
    if (!w->alive) return ATH_OK;
    if (r->away) return r->stopping ? let_go(r, w) : ATH_OK;
    if (w->reaped) return finish(r, w);
    athi_process_flush(&w->process);
    athi_process_read_errors(&w->process);
    ATH_TRY(athi_process_read(&w->process, &ended));
    ATH_TRY(athi_slot_take_lines(r, w));
    if (!w->alive) return ATH_OK;
    if (ended) return wait_for_end(r, w);
    return athi_process_reap(&w->process, &w->ending) ? finish(r, w) : ATH_OK;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

/* Milliseconds until somebody has to look, whatever happens. */
static int patience(const athi_runner *r) {
    double now = athi_now(), ms = r->opts->limits.memory > 0 ? LOOK_MS : POLL_MS;
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].state == ATHI_SLOT_WAITING && !r->away)
            ms = ATHI_MIN(ms, 1000 * (r->slots[i].again_at - now));
    return (int)ATHI_MAX(ms, 1);
}

static void wait_for_events(athi_runner *r, struct pollfd *polled) {
    nfds_t n = 0;
    for (int i = 0; i < r->n; i++) {
        const athi_process *p = &r->slots[i].process;
        if (!r->slots[i].alive || r->away) continue; /* nothing is read then, whatever there is */
        polled[n++] = (struct pollfd){.fd = p->out, .events = POLLIN};
        if (p->err >= 0) polled[n++] = (struct pollfd){.fd = p->err, .events = POLLIN};
        if (p->in >= 0 && p->input.length) polled[n++] = (struct pollfd){.fd = p->in, .events = POLLOUT};
    }
    poll(polled, n, patience(r));
}

static ath_status turn(athi_runner *r, struct pollfd *polled) {
    wait_for_events(r, polled);
    athi_runner_ask_again(r);
    athi_runner_watch(r);
    ATH_TRY(athi_runner_keep_leases(r));
    for (int i = 0; i < r->n; i++) ATH_TRY(serve(r, &r->slots[i]));
    return ATH_OK;
}

/* Workers save their state and leave; what they still report is kept. */
static ath_status stop(athi_runner *r, struct pollfd *polled) {
    double until = athi_now() + athi_runner_patience(r);
    r->stopping = true;
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].alive) {
            athi_process_close_input(&r->slots[i].process);
            athi_process_signal(&r->slots[i].process, SIGTERM);
        }
    while (athi_runner_alive(r) && athi_now() < until) ATH_TRY(turn(r, polled));
    return ATH_OK;
}

static ath_status loop(athi_runner *r, struct pollfd *polled) {
    for (;;) {
        bool waiting = false;
        if (r->opts->interrupted && *r->opts->interrupted) {
            r->result->why = "interrupted";
            ATH_TRY(stop(r, polled));
            return athi_fail(r->ctx, ATH_E_INTERRUPTED, "interrupted: the state is saved; start again to go on");
        }
        ATH_TRY(athi_runner_give_tasks(r, &waiting));
        if (!athi_runner_busy(r)) {
            if (r->done) return ATH_OK;
            if (waiting && !athi_search_shared(r->opts->search))
                return athi_fail(r->ctx, ATH_E_STATE,
                                 "the search waits for trials of another process in this study; end "
                                 "it, or start again when it has ended");
        }
        ATH_TRY(turn(r, polled));
    }
}

/* ---- the whole ----------------------------------------------------------------------------------- */

ath_status athi_runner_jobs_check(ath_ctx *ctx, int jobs) {
    enum { JOBS_MAX = 1024 };
    if (jobs >= 1 && jobs <= JOBS_MAX) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "jobs: expected 1 to %d, got %d", JOBS_MAX, jobs);
}

static ath_status check_cores(ath_ctx *ctx, const athi_limits *l) {
    cpu_set_t usable;
    const bool known = sched_getaffinity(0, sizeof(usable), &usable) == 0;
    for (int i = 0; i < l->n_cores; i++) {
        if (l->cores[i] < 0 || l->cores[i] >= CPU_SETSIZE)
            return athi_fail(ctx, ATH_E_OPTION, "cores: expected 0 to %d, got %d", CPU_SETSIZE - 1, l->cores[i]);
        if (known && !CPU_ISSET((size_t)l->cores[i], &usable))
            return athi_fail(
                ctx, ATH_E_OPTION,
                "cores: processor %d is none of those that may be used here; leave it out, or write auto",
                l->cores[i]);
    }
    return ATH_OK;
}

static ath_status check(ath_ctx *ctx, const athi_runner_opts *o) {
    const athi_limits *l = &o->limits;
    if (o->command) ATH_TRY(athi_command_check(ctx, o->command));
    if (!o->command && (!o->argv || !o->argv[0])) return athi_fail(ctx, ATH_E_OPTION, "the worker command is empty");
    ATH_TRY(athi_runner_jobs_check(ctx, o->jobs));
    if (l->timeout < 0 || l->kill_after < 0 || l->memory < 0 || l->output < 0 || l->retries < 0)
        return athi_fail(ctx, ATH_E_OPTION,
                         "a limit (timeout, kill_after, memory, output, retries) is negative; "
                         "expected at least 0");
    return check_cores(ctx, l);
}

static ath_status verdict(const athi_runner *r, ath_status status) {
    if (status != ATH_OK || !r->result->why || strcmp(r->result->why, "failures")) return status;
    return athi_fail(r->ctx, ATH_E_FAILED, "every trial so far has failed, so the search ends; the last one: %s",
                     athi_search_last_failure(r->opts->search));
}

static ath_status run(athi_runner *r) {
    for (int i = 0; i < r->n; i++) r->slots[i].log.fd = r->slots[i].process.log.fd = r->slots[i].lock = -1;
    for (int i = 0; i < r->n; i++) ATH_TRY(athi_slot_equip(r, i));
    struct pollfd *polled = athi_arena_array(r->arena, (int64_t)PIPES * r->n, (int64_t)sizeof(*polled));
    return polled ? verdict(r, loop(r, polled)) : ATH_E_NOMEM;
}

ath_status athi_runner_run(ath_ctx *ctx, const athi_runner_opts *opts, athi_runner_result *result) {
    *result = (athi_runner_result){0};
    ATH_TRY(check(ctx, opts));
    athi_runner r = {.ctx = ctx, .opts = opts, .result = result, .n = opts->jobs};
    r.arena = athi_arena_create(ctx);
    r.scratch = athi_arena_create(ctx);
    r.slots = athi_alloc_array(ctx, r.n, (int64_t)sizeof(*r.slots));
    ath_status status = r.arena && r.scratch && r.slots ? run(&r) : ATH_E_NOMEM;
    for (int i = 0; r.slots && i < r.n; i++)
        if (r.slots[i].alive) athi_process_close_input(&r.slots[i].process);
    for (int i = 0; r.slots && i < r.n; i++) {
        athi_slot_end(&r, &r.slots[i], status == ATH_OK ? LEAVE_SECONDS : 0);
        athi_slot_free(&r, &r.slots[i]);
    }
    athi_free(ctx, r.slots);
    if (r.scratch) athi_arena_destroy(r.scratch);
    if (r.arena) athi_arena_destroy(r.arena);
    return status;
}
