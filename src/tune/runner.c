/* Runs a search on worker processes: one loop over their pipes, until the search is done or somebody interrupts. */
#include "tune/runner.h"

#include "base/file.h"
#include "tune/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { POLL_MS = 200, SENTENCE = 1024, LINE_MAX_BYTES = 1 << 20 };
static const double BRIEF_SECONDS = 0.05;                 /* between the end of a command's output and its own */
static const double GRACE_SECONDS = 10, KILL_SECONDS = 2; /* to save state; after a timeout's SIGTERM */

typedef struct slot {
    athi_process process;
    bool alive, busy;
    athi_task task;
    int64_t served, lines;    /* tasks before this one; lines of this one */
    double deadline, kill_at; /* 0: none */
    int64_t oom_kills;        /* when the task began */
    char *log_path;
    char *request;
    athi_output output; /* of a command */
    int log;            /* what it prints besides reports, -1: not open */
} slot;

typedef struct runner {
    ath_ctx *ctx;
    const athi_runner_opts *opts;
    athi_runner_result *result;
    athi_arena *arena, *scratch;
    char **environment;
    slot *slots;
    int n;
    bool done, stopping;
} runner;

/* ---- tasks --------------------------------------------------------------------------------------- */

static void free_task(runner *r, slot *w) {
    athi_free(r->ctx, w->log_path);
    athi_free(r->ctx, w->request);
    w->log_path = w->request = NULL;
    if (w->log >= 0) close(w->log);
    w->log = -1;
    w->process.log_path = NULL;
    w->busy = false;
    w->deadline = w->kill_at = 0;
}

static void count_peak(runner *r, int64_t bytes) {
    r->result->peak_worker_bytes = ATHI_MAX(r->result->peak_worker_bytes, bytes);
}

/* Ends the worker. The context's sentence is left alone: it may be what the caller reports. */
static void end_worker(runner *r, slot *w, double patience) {
    athi_ending ending = {0};
    if (!w->alive) return;
    athi_process_end(&w->process, patience, &ending);
    count_peak(r, ending.peak_bytes);
    w->alive = false;
    w->served = 0;
}

static void tell(runner *r, const athi_task *task, const athi_value *event) {
    if (r->opts->progress) r->opts->progress(r->opts->user, r->opts->search, task, event);
}

/* The trial failed: it is recorded, its worker replaced, and the workers of its other executions stopped. */
static ath_status fail_task(runner *r, slot *w, athi_reason reason, const char *message) {
    athi_task task = w->task;
    athi_value *event = athi_value_new(r->scratch, ATHI_MAP);
    if (!event) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(r->scratch, event, "failed", athi_value_string(r->scratch, athi_reason_name(reason))));
    ATH_TRY(athi_value_set(r->scratch, event, "message", athi_value_string(r->scratch, message)));
    end_worker(r, w, 0);
    free_task(r, w);
    ATH_TRY(athi_search_fail(r->opts->search, &task, reason, message));
    tell(r, &task, event);
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].busy && !athi_search_wanted(r->opts->search, &r->slots[i].task)) {
            end_worker(r, &r->slots[i], 0);
            free_task(r, &r->slots[i]);
        }
    return ATH_OK;
}

static ath_status write_request(runner *r, slot *w, const char *folder) {
    athi_arena *a = r->scratch;
    athi_value *map = athi_value_new(a, ATHI_MAP), *params = NULL;
    char seed[32];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)w->task.seed); /* as text: JSON numbers end at 2^53 */
    ATH_TRY(athi_space_point_write(a, r->opts->space, w->task.point, &params));
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(a, map, "op", athi_value_string(a, "run")));
    ATH_TRY(athi_value_set(a, map, "trial", athi_value_int(a, w->task.trial)));
    ATH_TRY(athi_value_set(a, map, "execution", athi_value_int(a, w->task.execution)));
    ATH_TRY(athi_value_set(a, map, "seed", athi_value_string(a, seed)));
    ATH_TRY(athi_value_set(a, map, "dir", athi_value_string(a, folder)));
    ATH_TRY(athi_value_set(a, map, "params", params));
    ATH_TRY(athi_value_set(a, map, "resumed", athi_value_bool(a, w->task.resumed)));
    athi_text text = {.ctx = r->ctx};
    ath_status status = athi_json_write(&text, map, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK)
        w->request = text.text;
    else
        athi_text_free(&text);
    return status;
}

/* A task begins: nothing of the one before is left. */
static void begin_task(runner *r, slot *w) {
    w->lines = 0;
    w->process.log_path = w->log_path;
    w->process.n_words = 0, w->process.words[0] = 0;
    if (w->process.log >= 0) close(w->process.log), w->process.log = -1;
    w->oom_kills = athi_oom_kills();
    w->deadline = r->opts->timeout_seconds > 0 ? athi_now() + r->opts->timeout_seconds : 0;
}

/* On a worker that lives, or on a new one. */
static ath_status send_task(runner *r, slot *w) {
    if (!w->alive) {
        ATH_TRY(athi_process_start(r->ctx, &w->process, r->opts->argv, r->environment, r->opts->memory_limit));
        w->alive = true;
        w->served = 0;
    }
    begin_task(r, w);
    return athi_process_send(&w->process, w->request);
}

/* A process of its own, whose logs begin empty. */
static ath_status start_command(runner *r, slot *w, const char *folder) {
    const char *const *argv = NULL;
    char **own = NULL, **environment;
    int64_t n = 0;
    const char *log = athi_arena_printf(r->scratch, "%s/stdout.log", folder);
    if (!log) return ATH_E_NOMEM;
    if (w->task.resumed) ATH_TRY(athi_search_restart(r->opts->search, &w->task));
    ATH_TRY(athi_command_argv(r->ctx, r->scratch, r->opts->command, &w->task, folder, &argv));
    ATH_TRY(athi_command_variables(r->ctx, r->scratch, r->opts->command, &w->task, folder, &own, &n));
    if (!(environment = athi_environment_with(r->scratch, r->environment, own, n))) return ATH_E_NOMEM;
    unlink(w->log_path);
    w->log = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    w->output = (athi_output){0};
    w->process.noun = "command";
    ATH_TRY(athi_process_start(r->ctx, &w->process, argv, environment, r->opts->memory_limit));
    athi_process_close_input(&w->process);
    w->alive = true;
    begin_task(r, w);
    return ATH_OK;
}

static ath_status give_task(runner *r, slot *w, const athi_task *task) {
    athi_arena_reset(r->scratch);
    w->task = *task;
    w->busy = true;
    const char *folder = athi_arena_printf(r->scratch, "%s/trials/%lld/%lld", r->opts->directory,
                                           (long long)task->trial, (long long)task->execution);
    const char *log = folder ? athi_arena_printf(r->scratch, "%s/stderr.log", folder) : NULL;
    if (!log) return ATH_E_NOMEM;
    ATH_TRY(athi_make_dirs(r->ctx, folder));
    if (!(w->log_path = athi_strdup(r->ctx, log))) return ATH_E_NOMEM;
    if (r->opts->command) return start_command(r, w, folder);
    ATH_TRY(write_request(r, w, folder));
    return send_task(r, w);
}

static int count(const runner *r, bool only_busy) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += only_busy ? r->slots[i].busy : r->slots[i].alive;
    return n;
}

static ath_status give_tasks(runner *r, bool *waiting) {
    *waiting = false;
    for (int i = 0; i < r->n && !r->done; i++) {
        athi_task task;
        athi_next next;
        const char *why = NULL;
        if (r->opts->command && count(r, true) && !athi_search_any_ended(r->opts->search)) return ATH_OK;
        if (r->slots[i].busy) continue;
        ATH_TRY(athi_search_next(r->opts->search, &task, &next, &why));
        if (next == ATHI_NEXT_WAIT) {
            *waiting = true;
            return ATH_OK;
        }
        if (next == ATHI_NEXT_DONE) {
            r->done = true;
            r->result->why = why;
            return ATH_OK;
        }
        ATH_TRY(give_task(r, &r->slots[i], &task));
    }
    return ATH_OK;
}

/* ---- answers ------------------------------------------------------------------------------------- */

static ath_status garbage(runner *r, slot *w, const char *line) {
    char message[SENTENCE];
    snprintf(message, sizeof(message),
             "the worker wrote a line that is not an answer: '%.80s'; expected a JSON object with "
             "\"values\", \"done\" or \"failed\"",
             line);
    return fail_task(r, w, ATHI_REASON_CRASH, message);
}

static ath_status take_report(runner *r, slot *w, const athi_value *event, const char *line) {
    const athi_value *step = athi_value_get(event, "step"), *values = athi_value_get(event, "values");
    if (!values || values->type != ATHI_MAP || (step && step->type != ATHI_INT)) return garbage(r, w, line);
    ath_status status = athi_search_report(r->opts->search, &w->task, step ? step->integer : 0, values);
    if (status != ATH_E_DATA) return status;
    char message[SENTENCE]; /* a wrong report fails its task, not the search */
    snprintf(message, sizeof(message), "%s", ath_errmsg(r->ctx));
    return fail_task(r, w, ATHI_REASON_CRASH, message);
}

static ath_status take_failure(runner *r, slot *w, const athi_value *event) {
    const athi_value *name = athi_value_get(event, "failed"), *message = athi_value_get(event, "message");
    athi_reason reason = ATHI_REASON_CRASH;
    if (name->type == ATHI_STRING && (!athi_reason_find(name->text, &reason) || reason == ATHI_REASON_NONE))
        reason = ATHI_REASON_CRASH;
    return fail_task(r, w, reason,
                     message && message->type == ATHI_STRING ? message->text : athi_reason_name(reason));
}

static ath_status take_done(runner *r, slot *w) {
    athi_task task = w->task;
    athi_process_read_errors(&w->process);
    free_task(r, w);
    w->served++;
    return athi_search_finish(r->opts->search, &task);
}

static ath_status take_line(runner *r, slot *w, const char *line, int64_t length) {
    athi_value *event = NULL;
    athi_arena_reset(r->scratch);
    w->lines++;
    ath_status status = athi_json_read(r->ctx, r->scratch, line, length, &event);
    if (status == ATH_E_NOMEM) return status;
    if (status != ATH_OK || event->type != ATHI_MAP) return garbage(r, w, line);
    const athi_value *peak = athi_value_get(event, "peak_rss");
    if (peak && peak->type == ATHI_INT) count_peak(r, peak->integer);
    athi_task task = w->task;
    if (athi_value_get(event, "failed")) {
        if (r->stopping) return ATH_OK; /* it goes on at the next start */
        return take_failure(r, w, event);
    }
    status = athi_value_get(event, "done") ? take_done(r, w) : take_report(r, w, event, line);
    if (status == ATH_OK) tell(r, &task, event);
    return status;
}

/* ---- what a command prints ----------------------------------------------------------------------- */

static ath_status wrong_report(runner *r, slot *w) {
    char message[SENTENCE];
    snprintf(message, sizeof(message), "%s", ath_errmsg(r->ctx));
    return fail_task(r, w, ATHI_REASON_CRASH, message);
}

static ath_status take_output(runner *r, slot *w, const char *line, int64_t length) {
    athi_value *values = NULL, *event;
    int64_t step = 0;
    athi_task task = w->task;
    athi_arena_reset(r->scratch);
    ath_status status =
        athi_command_line(r->ctx, r->scratch, r->opts->command, &w->output, line, length, &step, &values);
    if (status == ATH_OK && !values) {
        const bool kept =
            w->log < 0 || (write(w->log, line, (size_t)length) == length && write(w->log, "\n", 1) == 1);
        if (!kept) close(w->log), w->log = -1; /* a log is not worth a trial */
        return ATH_OK;
    }
    if (status == ATH_OK) status = athi_search_report(r->opts->search, &w->task, step, values);
    if (status == ATH_E_DATA) return wrong_report(r, w);
    ATH_TRY(status);
    if (!(event = athi_value_new(r->scratch, ATHI_MAP))) return ATH_E_NOMEM;
    if (step) ATH_TRY(athi_value_set(r->scratch, event, "step", athi_value_int(r->scratch, step)));
    ATH_TRY(athi_value_set(r->scratch, event, "values", values));
    tell(r, &task, event);
    return ATH_OK;
}

/* It has ended: status 0 and a report are a good end. */
static ath_status command_done(runner *r, slot *w) {
    char message[SENTENCE];
    athi_task task = w->task;
    athi_arena_reset(r->scratch);
    athi_value *event = athi_value_new(r->scratch, ATHI_MAP);
    if (!event) return ATH_E_NOMEM;
    if (!w->output.reports) {
        athi_command_silent(r->opts->command, &w->output, message, sizeof(message));
        return fail_task(r, w, ATHI_REASON_CRASH, message);
    }
    ATH_TRY(athi_value_set(r->scratch, event, "done", athi_value_bool(r->scratch, true)));
    free_task(r, w);
    ATH_TRY(athi_search_finish(r->opts->search, &task));
    tell(r, &task, event);
    return ATH_OK;
}

/* A line without an end: the last one, or more than anybody reads. */
static ath_status take_rest(runner *r, slot *w) {
    int64_t length;
    char *line = w->busy && !w->kill_at ? athi_process_rest(&w->process, &length) : NULL;
    if (!line) return ATH_OK;
    ath_status status = take_output(r, w, line, length);
    athi_free(r->ctx, line);
    return status;
}

static ath_status take_lines(runner *r, slot *w) {
    int64_t length;
    char *line;
    while (w->alive && (line = athi_process_line(&w->process, &length))) {
        ath_status status = ATH_OK;
        if (w->busy && !w->kill_at)
            status = r->opts->command ? take_output(r, w, line, length) : take_line(r, w, line, length);
        else if (!w->busy) /* nobody asked: it cannot be trusted with a task */
            end_worker(r, w, 0);
        athi_free(r->ctx, line);
        ATH_TRY(status);
    }
    bool long_one = w->alive && w->process.output.length - w->process.taken > LINE_MAX_BYTES;
    return r->opts->command && long_one ? take_rest(r, w) : ATH_OK;
}

/* ---- endings ------------------------------------------------------------------------------------- */

static ath_status explain(runner *r, slot *w, const athi_ending *ending) {
    char message[SENTENCE];
    athi_arena_reset(r->scratch);
    if (w->kill_at) {
        snprintf(message, sizeof(message), "no end within %g seconds", r->opts->timeout_seconds);
        return fail_task(r, w, ATHI_REASON_TIMEOUT, message);
    }
    athi_reason reason =
        athi_ending_explain(&w->process, ending, athi_oom_kills() > w->oom_kills, message, sizeof(message));
    return fail_task(r, w, reason, message);
}

/* A worker is gone. One that left between tasks (a program that takes only so many) is replaced without a word. */
static ath_status gone(runner *r, slot *w, const athi_ending *ending) {
    bool left = w->served > 0 && !w->lines && ending->how == 0 && !w->kill_at;
    count_peak(r, ending->peak_bytes);
    ath_status status = r->opts->command ? take_rest(r, w) : ATH_OK;
    athi_process_free(&w->process);
    w->alive = false;
    ATH_TRY(status);
    if (!w->busy || r->stopping) {
        free_task(r, w);
        return ATH_OK;
    }
    if (r->opts->command) {
        if (!w->process.n_words) /* its last words stand elsewhere */
            w->process.n_words = snprintf(w->process.words, sizeof(w->process.words), "%s", w->output.last);
        return ending->how == 0 && !w->kill_at ? command_done(r, w) : explain(r, w, ending);
    }
    return left ? send_task(r, w) : explain(r, w, ending);
}

/* All that it wrote before it died. */
static ath_status read_all(runner *r, slot *w) {
    for (bool more = true, ended = false; more && !ended && w->alive;) {
        int64_t before = w->process.output.length - w->process.taken;
        ATH_TRY(athi_process_read(&w->process, &ended));
        more = w->process.output.length > before;
        ATH_TRY(take_lines(r, w));
    }
    return ATH_OK;
}

static ath_status serve(runner *r, slot *w) {
    bool ended = false;
    if (!w->alive) return ATH_OK;
    athi_process_flush(&w->process);
    athi_process_read_errors(&w->process);
    ATH_TRY(athi_process_read(&w->process, &ended));
    ATH_TRY(take_lines(r, w));
    if (!w->alive) return ATH_OK;
    athi_ending ending = {0};
    if (ended) { /* it leaves, or has closed what we hear it by; a command may go on in silence */
        double until = athi_now() + (r->opts->command ? BRIEF_SECONDS : KILL_SECONDS);
        while (!athi_process_reap(&w->process, &ending)) {
            if (athi_now() > until && r->opts->command) return ATH_OK;
            if (athi_now() > until)
                athi_process_signal(&w->process, SIGKILL);
            else
                poll(NULL, 0, 1);
        }
        return gone(r, w, &ending);
    }
    if (!athi_process_reap(&w->process, &ending)) return ATH_OK;
    ATH_TRY(read_all(r, w));
    return w->alive ? gone(r, w, &ending) : ATH_OK;
}

static void watch_time(const runner *r, slot *w, double now) {
    if (!w->busy || !w->alive || r->stopping) return;
    if (w->kill_at && now >= w->kill_at) athi_process_signal(&w->process, SIGKILL);
    if (w->kill_at || !w->deadline || now < w->deadline) return;
    athi_process_signal(&w->process, SIGTERM);
    w->kill_at = now + KILL_SECONDS;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static void wait_for_events(runner *r, struct pollfd *polled) {
    nfds_t n = 0;
    for (int i = 0; i < r->n; i++) {
        const athi_process *p = &r->slots[i].process;
        if (!r->slots[i].alive) continue;
        polled[n++] = (struct pollfd){.fd = p->out, .events = POLLIN};
        if (p->err >= 0) polled[n++] = (struct pollfd){.fd = p->err, .events = POLLIN};
        if (p->in >= 0 && p->input.length) polled[n++] = (struct pollfd){.fd = p->in, .events = POLLOUT};
    }
    poll(polled, n, POLL_MS);
}

static ath_status turn(runner *r, struct pollfd *polled) {
    wait_for_events(r, polled);
    for (int i = 0; i < r->n; i++) {
        watch_time(r, &r->slots[i], athi_now());
        ATH_TRY(serve(r, &r->slots[i]));
    }
    return ATH_OK;
}

/* Workers save their state and leave; what they still report is kept. */
static ath_status stop(runner *r, struct pollfd *polled) {
    double until = athi_now() + GRACE_SECONDS;
    r->stopping = true;
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].alive) {
            athi_process_close_input(&r->slots[i].process);
            athi_process_signal(&r->slots[i].process, SIGTERM);
        }
    while (count(r, false) && athi_now() < until) ATH_TRY(turn(r, polled));
    return ATH_OK;
}

static ath_status loop(runner *r, struct pollfd *polled) {
    for (;;) {
        bool waiting = false;
        if (r->opts->interrupted && *r->opts->interrupted) {
            r->result->why = "interrupted";
            ATH_TRY(stop(r, polled));
            return athi_fail(r->ctx, ATH_E_INTERRUPTED, "interrupted: the state is saved; start again to go on");
        }
        ATH_TRY(give_tasks(r, &waiting));
        if (!count(r, true)) {
            if (r->done) return ATH_OK;
            if (waiting)
                return athi_fail(r->ctx, ATH_E_STATE,
                                 "the search waits for trials of another process in this study; end "
                                 "it, or start again when it has ended");
        }
        ATH_TRY(turn(r, polled));
    }
}

static ath_status check(ath_ctx *ctx, const athi_runner_opts *o) {
    if (o->command) ATH_TRY(athi_command_check(ctx, o->command));
    if (!o->command && (!o->argv || !o->argv[0])) return athi_fail(ctx, ATH_E_OPTION, "the worker command is empty");
    if (o->jobs < 1 || o->jobs > 1024)
        return athi_fail(ctx, ATH_E_OPTION, "jobs: expected 1 to 1024, got %d", o->jobs);
    if (o->timeout_seconds < 0 || o->memory_limit < 0)
        return athi_fail(ctx, ATH_E_OPTION, "a timeout or a memory limit is negative; expected at least 0 (none)");
    return ATH_OK;
}

static ath_status verdict(const runner *r, ath_status status) {
    if (status != ATH_OK || !r->result->why || strcmp(r->result->why, "failures")) return status;
    return athi_fail(r->ctx, ATH_E_FAILED, "every trial so far has failed, so the search ends; the last one: %s",
                     athi_search_last_failure(r->opts->search));
}

ath_status athi_runner_run(ath_ctx *ctx, const athi_runner_opts *opts, athi_runner_result *result) {
    *result = (athi_runner_result){0};
    ATH_TRY(check(ctx, opts));
    runner r = {.ctx = ctx, .opts = opts, .result = result, .n = opts->jobs};
    struct pollfd *polled = NULL;
    ath_status status = ATH_E_NOMEM;
    r.arena = athi_arena_create(ctx);
    r.scratch = athi_arena_create(ctx);
    r.slots = athi_alloc_array(ctx, r.n, sizeof(slot));
    polled = athi_alloc_array(ctx, 3 * (int64_t)r.n, sizeof(*polled));
    if (r.arena && r.scratch && r.slots && polled)
        r.environment = athi_process_environment(r.arena, ATHI_MAX(opts->threads, opts->command ? 0 : 1));
    for (int i = 0; r.slots && i < r.n; i++) r.slots[i].log = -1;
    if (r.environment) status = verdict(&r, loop(&r, polled));
    for (int i = 0; r.slots && i < r.n; i++) athi_process_close_input(&r.slots[i].process);
    for (int i = 0; r.slots && i < r.n; i++) {
        end_worker(&r, &r.slots[i], status == ATH_OK ? KILL_SECONDS : 0);
        free_task(&r, &r.slots[i]);
    }
    athi_free(ctx, polled);
    athi_free(ctx, r.slots);
    if (r.scratch) athi_arena_destroy(r.scratch);
    if (r.arena) athi_arena_destroy(r.arena);
    return status;
}
