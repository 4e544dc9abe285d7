/* How tasks end: what the end of a process means, what is tried again and when, and what the study is told. */
#include "tune/runner_internal.h"

#include "base/file.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LOST_RETRIES = 3 };
static const double KILL_SECONDS = 10, RETRY_SECONDS = 0.5, RETRY_SECONDS_MAX = 60;
static const double ROOM_BYTES = 1 << 20; /* less is a full disk */

void athi_runner_tell(const athi_runner *r, const athi_task *task, const athi_value *event) {
    if (r->opts->progress) r->opts->progress(r->opts->user, r->opts->search, task, event);
}

void athi_runner_count_peak(athi_runner *r, int64_t bytes) {
    r->result->peak_worker_bytes = ATHI_MAX(r->result->peak_worker_bytes, bytes);
}

/* ---- slots --------------------------------------------------------------------------------------- */

/* The file goes first: whoever opens it now waits for nobody. A trial has one driver, so nobody else wants it yet. */
static void unlock(athi_slot *w) {
    char path[PATH_MAX];
    if (w->lock < 0) return;
    snprintf(path, sizeof(path), "%s.lock", w->folder);
    unlink(path);
    athi_lock_release(w->lock);
    w->lock = -1;
}

void athi_slot_free(athi_runner *r, athi_slot *w) {
    athi_capture_close(&w->log);
    athi_capture_close(&w->process.log);
    unlock(w);
    athi_free(r->ctx, w->folder);
    athi_free(r->ctx, w->errors_path);
    athi_free(r->ctx, w->log_path);
    athi_free(r->ctx, w->request);
    w->folder = w->errors_path = w->log_path = w->request = NULL;
    w->state = ATHI_SLOT_IDLE;
    w->deadline = w->kill_at = 0;
    w->stop = ATHI_ACTION_CONTINUE;
    w->force_at = 0;
}

void athi_slot_end(athi_runner *r, athi_slot *w, double patience) {
    athi_ending ending = {0};
    if (!w->alive) return;
    athi_process_end(&w->process, patience, &ending);
    athi_runner_count_peak(r, ending.peak_bytes);
    w->alive = w->reaped = false;
    w->served = 0;
}

double athi_runner_patience(const athi_runner *r) {
    return r->opts->limits.kill_after > 0 ? r->opts->limits.kill_after : KILL_SECONDS;
}

void athi_slot_ask_to_end(athi_runner *r, athi_slot *w, athi_reason reason, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(w->why, sizeof(w->why), fmt, args);
    va_end(args);
    w->reason = reason;
    w->kill_at = athi_now() + athi_runner_patience(r);
    athi_process_signal(&w->process, SIGTERM);
}

/* ---- ends of tasks ------------------------------------------------------------------------------------ */

static ath_status event_of(athi_runner *r, const char *key, athi_reason reason, const char *message,
                           athi_value **event) {
    athi_arena *a = r->scratch;
    if (!(*event = athi_value_new(a, ATHI_MAP))) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(a, *event, key, athi_value_string(a, athi_reason_name(reason))));
    return athi_value_set(a, *event, "message", athi_value_string(a, message));
}

/* Half a second, one, two, …: what takes workers away (a reboot, a full queue) may last. */
static ath_status try_later(athi_runner *r, athi_slot *w, athi_reason reason, const char *message) {
    double first = r->opts->limits.retry_after > 0 ? r->opts->limits.retry_after : RETRY_SECONDS;
    double seconds = ATHI_MIN(first * (double)((int64_t)1 << ATHI_MIN(w->tries, 30)), RETRY_SECONDS_MAX);
    athi_value *event = NULL;
    ATH_TRY(event_of(r, "retry", reason, message, &event));
    ATH_TRY(athi_value_set(r->scratch, event, "seconds", athi_value_float(r->scratch, seconds)));
    athi_slot_end(r, w, 0);
    athi_capture_close(&w->log);
    w->tries++;
    w->deadline = w->kill_at = 0;
    w->state = ATHI_SLOT_WAITING;
    w->again_at = athi_now() + seconds;
    athi_runner_tell(r, &w->task, event);
    return ATH_OK;
}

/* What another execution of the trial, or another driver, has decided meanwhile. */
static void end_unwanted(athi_runner *r) {
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].state != ATHI_SLOT_IDLE && !athi_search_wanted(r->opts->search, &r->slots[i].task)) {
            athi_slot_end(r, &r->slots[i], 0);
            athi_slot_free(r, &r->slots[i]);
        }
}

ath_status athi_runner_keep_leases(athi_runner *r) {
    if (r->away || !athi_search_shared(r->opts->search)) return ATH_OK;
    ATH_TRY(athi_runner_bear(r, athi_search_renew(r->opts->search)));
    if (!r->away) end_unwanted(r);
    return ATH_OK;
}

static ath_status record_done(athi_runner *r, athi_slot *w) { return athi_search_finish(r->opts->search, &w->task); }

static ath_status record_paused(athi_runner *r, athi_slot *w) { return athi_search_pause(r->opts->search, &w->task); }

static ath_status record_pruned(athi_runner *r, athi_slot *w) {
    return athi_search_prune(r->opts->search, &w->task, NULL);
}

static ath_status record_failed(athi_runner *r, athi_slot *w) {
    return athi_search_fail(r->opts->search, &w->task, w->reason, w->why);
}

static const struct {
    const char *event;
    ath_status (*record)(athi_runner *r, athi_slot *w);
} verdicts[] = {[ATHI_VERDICT_DONE] = {"done", record_done},
                [ATHI_VERDICT_FAILED] = {"failed", record_failed},
                [ATHI_VERDICT_PAUSED] = {"paused", record_paused},
                [ATHI_VERDICT_PRUNED] = {"pruned", record_pruned}};

ath_status athi_slot_settle(athi_runner *r, athi_slot *w) {
    athi_value *event = NULL;
    if (w->state != ATHI_SLOT_ENDED || r->away) return ATH_OK;
    athi_arena_reset(r->scratch);
    ATH_TRY(event_of(r, verdicts[w->verdict].event, w->reason, w->why, &event));
    ATH_TRY(athi_runner_bear(r, verdicts[w->verdict].record(r, w)));
    if (r->away) return ATH_OK;
    athi_task task = w->task;
    athi_slot_free(r, w);
    athi_runner_tell(r, &task, event);
    end_unwanted(r);
    return ATH_OK;
}

static ath_status conclude(athi_runner *r, athi_slot *w, athi_verdict verdict, athi_reason reason, const char *why) {
    w->state = ATHI_SLOT_ENDED;
    w->verdict = verdict, w->reason = reason;
    if (why != w->why) snprintf(w->why, sizeof(w->why), "%s", why);
    athi_capture_close(&w->log);
    athi_capture_close(&w->process.log);
    return athi_slot_settle(r, w);
}

ath_status athi_slot_done(athi_runner *r, athi_slot *w) {
    return conclude(r, w, ATHI_VERDICT_DONE, ATHI_REASON_NONE, "");
}

ath_status athi_slot_stop(athi_runner *r, athi_slot *w, athi_action action) {
    w->stop = action;
    w->deadline = 0;
    w->force_at = athi_now() + athi_runner_patience(r);
    if (r->opts->command) {
        athi_process_signal(&w->process, SIGTERM);
        return ATH_OK;
    }
    return w->task.budget && action != ATHI_ACTION_PRUNE ? ATH_OK /* it knows where */
                                                         : athi_process_send(&w->process, "{\"op\":\"stop\"}");
}

ath_status athi_slot_stopped(athi_runner *r, athi_slot *w) {
    if (w->stop == ATHI_ACTION_CONTINUE) /* nobody told it to: it goes on when it can */
        return athi_slot_fail(r, w, ATHI_REASON_LOST, "the worker stopped before its task was done");
    static const athi_verdict verdict[] = {[ATHI_ACTION_PAUSE] = ATHI_VERDICT_PAUSED,
                                           [ATHI_ACTION_PRUNE] = ATHI_VERDICT_PRUNED,
                                           [ATHI_ACTION_FINISH] = ATHI_VERDICT_DONE};
    return conclude(r, w, verdict[w->stop], ATHI_REASON_NONE, "");
}

/* Nothing that would begin now could be saved. */
static bool disk_is_full(const athi_runner *r, const char *message) {
    struct statvfs about;
    if (strcasestr(message, "no space left") || strcasestr(message, "quota exceeded")) return true;
    return statvfs(r->opts->directory, &about) == 0 && (double)about.f_bavail * (double)about.f_frsize < ROOM_BYTES;
}

ath_status athi_slot_fail(athi_runner *r, athi_slot *w, athi_reason reason, const char *message) {
    int retries = reason == ATHI_REASON_CRASH  ? r->opts->limits.retries
                  : reason == ATHI_REASON_LOST ? ATHI_MAX(r->opts->limits.retries, LOST_RETRIES)
                                               : 0;
    if (reason == ATHI_REASON_LOST && disk_is_full(r, message))
        return athi_fail(r->ctx, ATH_E_IO,
                         "trial %lld was lost, since %s has no space left (%s); free some and start again to go on",
                         (long long)w->task.trial, r->opts->directory, message);
    if (w->tries < retries) return try_later(r, w, reason, message);
    athi_slot_end(r, w, 0);
    return conclude(r, w, ATHI_VERDICT_FAILED, reason, message);
}

/* ---- ends of processes --------------------------------------------------------------------------- */

static ath_status explain(athi_runner *r, athi_slot *w, const athi_ending *ending) {
    char message[ATHI_SENTENCE];
    athi_arena_reset(r->scratch);
    if (w->kill_at) return athi_slot_fail(r, w, w->reason, w->why);
    athi_reason reason =
        athi_ending_explain(&w->process, ending, athi_oom_kills() > w->oom_kills, message, sizeof(message));
    return athi_slot_fail(r, w, reason, message);
}

/* Status 0 and a report are a good end; one that went on may have had nothing left to report. */
static ath_status command_gone(athi_runner *r, athi_slot *w, const athi_ending *ending) {
    char message[ATHI_SENTENCE];
    if (!w->process.n_words) /* its last words stand elsewhere */
        w->process.n_words = snprintf(w->process.words, sizeof(w->process.words), "%s", w->output.last);
    if (ending->how != 0 || w->kill_at) return explain(r, w, ending);
    if (w->output.reports || (r->opts->command->resumable && w->task.resumed)) return athi_slot_done(r, w);
    athi_command_silent(r->opts->command, &w->output, message, sizeof(message));
    return athi_slot_fail(r, w, ATHI_REASON_CRASH, message);
}

/* A worker that left between tasks (a program that takes only so many) is replaced without a word. */
ath_status athi_slot_gone(athi_runner *r, athi_slot *w, const athi_ending *ending) {
    bool left = w->served > 0 && !w->lines && ending->how == 0 && !w->kill_at;
    athi_runner_count_peak(r, ending->peak_bytes);
    if (r->opts->command) ATH_TRY(athi_slot_take_rest(r, w));
    if (r->away) {
        w->reaped = true, w->ending = *ending;
        return ATH_OK;
    }
    athi_process_free(&w->process);
    w->alive = w->reaped = false;
    if (w->state != ATHI_SLOT_RUNNING) return ATH_OK;
    if (r->stopping) {
        athi_slot_free(r, w);
        return ATH_OK;
    }
    if (w->stop != ATHI_ACTION_CONTINUE) return athi_slot_stopped(r, w);
    if (r->opts->command) return command_gone(r, w, ending);
    return left ? athi_slot_send(r, w) : explain(r, w, ending);
}
