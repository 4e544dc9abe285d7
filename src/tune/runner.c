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
    for (bool more = true, ended = false; more && !ended && w->alive;) {
        int64_t before = w->process.output.length - w->process.taken;
        ATH_TRY(athi_process_read(&w->process, &ended));
        more = w->process.output.length > before;
        ATH_TRY(athi_slot_take_lines(r, w));
    }
    return ATH_OK;
}

/* It leaves, or has closed what we hear it by; a command may go on in silence. */
static ath_status wait_for_end(athi_runner *r, athi_slot *w) {
    athi_ending ending = {0};
    bool command = r->opts->command;
    double until = athi_now() + (command ? BRIEF_SECONDS : LEAVE_SECONDS);
    while (!athi_process_reap(&w->process, &ending)) {
        if (athi_now() <= until) {
            poll(NULL, 0, 1);
            continue;
        }
        if (command) return ATH_OK;
        if (w->busy && !w->kill_at)
            athi_slot_ask_to_end(r, w, ATHI_REASON_CRASH,
                                 "the worker closed its standard output before its task was done");
        athi_process_signal(&w->process, SIGKILL);
    }
    return athi_slot_gone(r, w, &ending);
}

static ath_status serve(athi_runner *r, athi_slot *w) {
    bool ended = false;
    if (!w->alive) return ATH_OK;
    athi_process_flush(&w->process);
    athi_process_read_errors(&w->process);
    ATH_TRY(athi_process_read(&w->process, &ended));
    ATH_TRY(athi_slot_take_lines(r, w));
    if (!w->alive) return ATH_OK;
    if (ended) return wait_for_end(r, w);
    athi_ending ending = {0};
    if (!athi_process_reap(&w->process, &ending)) return ATH_OK;
    ATH_TRY(read_all(r, w));
    return w->alive ? athi_slot_gone(r, w, &ending) : ATH_OK;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static void wait_for_events(athi_runner *r, struct pollfd *polled) {
    nfds_t n = 0;
    for (int i = 0; i < r->n; i++) {
        const athi_process *p = &r->slots[i].process;
        if (!r->slots[i].alive) continue;
        polled[n++] = (struct pollfd){.fd = p->out, .events = POLLIN};
        if (p->err >= 0) polled[n++] = (struct pollfd){.fd = p->err, .events = POLLIN};
        if (p->in >= 0 && p->input.length) polled[n++] = (struct pollfd){.fd = p->in, .events = POLLOUT};
    }
    poll(polled, n, r->opts->limits.memory > 0 ? LOOK_MS : POLL_MS);
}

static ath_status turn(athi_runner *r, struct pollfd *polled) {
    wait_for_events(r, polled);
    athi_runner_watch(r);
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
    while (athi_runner_count(r, false) && athi_now() < until) ATH_TRY(turn(r, polled));
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
        if (!athi_runner_count(r, true)) {
            if (r->done) return ATH_OK;
            if (waiting)
                return athi_fail(r->ctx, ATH_E_STATE,
                                 "the search waits for trials of another process in this study; end "
                                 "it, or start again when it has ended");
        }
        ATH_TRY(turn(r, polled));
    }
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static ath_status check(ath_ctx *ctx, const athi_runner_opts *o) {
    const athi_limits *l = &o->limits;
    if (o->command) ATH_TRY(athi_command_check(ctx, o->command));
    if (!o->command && (!o->argv || !o->argv[0])) return athi_fail(ctx, ATH_E_OPTION, "the worker command is empty");
    if (o->jobs < 1 || o->jobs > 1024)
        return athi_fail(ctx, ATH_E_OPTION, "jobs: expected 1 to 1024, got %d", o->jobs);
    if (l->timeout < 0 || l->kill_after < 0 || l->memory < 0 || l->output < 0 || l->retries < 0)
        return athi_fail(ctx, ATH_E_OPTION,
                         "a limit (timeout, kill_after, memory, output, retries) is negative; "
                         "expected at least 0");
    for (int i = 0; i < l->n_cores; i++)
        if (l->cores[i] < 0 || l->cores[i] >= CPU_SETSIZE)
            return athi_fail(ctx, ATH_E_OPTION, "cores: expected 0 to %d, got %d", CPU_SETSIZE - 1, l->cores[i]);
    return ATH_OK;
}

static ath_status verdict(const athi_runner *r, ath_status status) {
    if (status != ATH_OK || !r->result->why || strcmp(r->result->why, "failures")) return status;
    return athi_fail(r->ctx, ATH_E_FAILED, "every trial so far has failed, so the search ends; the last one: %s",
                     athi_search_last_failure(r->opts->search));
}

static ath_status run(athi_runner *r) {
    for (int i = 0; i < r->n; i++) r->slots[i].log.fd = r->slots[i].process.log.fd = -1;
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
