/* What comes back: the answers of workers, and what commands print. */
#include "tune/runner_internal.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 1 << 20 };

/* ---- workers ------------------------------------------------------------------------------------- */

static ath_status garbage(athi_runner *r, athi_slot *w, const char *line) {
    char message[ATHI_SENTENCE];
    snprintf(message, sizeof(message),
             "the worker wrote a line that is not an answer: '%.80s'; expected a JSON object with "
             "\"values\", \"done\" or \"failed\"",
             line);
    return athi_slot_fail(r, w, ATHI_REASON_CRASH, message);
}

/* A report that cannot be one fails its task, not the search; the sentence is the context's. */
static ath_status wrong_report(athi_runner *r, athi_slot *w) {
    char message[ATHI_SENTENCE];
    snprintf(message, sizeof(message), "%s", ath_errmsg(r->ctx));
    return athi_slot_fail(r, w, ATHI_REASON_CRASH, message);
}

static ath_status report(athi_runner *r, athi_slot *w, int64_t step, athi_value *values) {
    if (athi_search_beyond(r->opts->search, &w->task, step)) return athi_slot_stop(r, w, ATHI_ACTION_FINISH);
    ath_status status = athi_search_report(r->opts->search, &w->task, step, values);
    if (status == ATH_E_DATA) return wrong_report(r, w);
    ATH_TRY(athi_runner_bear(r, status));
    if (r->away) return ATH_OK;
    athi_value *event = athi_value_new(r->scratch, ATHI_MAP);
    if (!event) return ATH_E_NOMEM;
    if (step) ATH_TRY(athi_value_set(r->scratch, event, "step", athi_value_int(r->scratch, step)));
    ATH_TRY(athi_value_set(r->scratch, event, "values", values));
    athi_runner_tell(r, &w->task, event);
    athi_action action = ATHI_ACTION_CONTINUE;
    ATH_TRY(athi_runner_bear(r, athi_search_action(r->opts->search, &w->task, &action)));
    if (r->away || action == ATHI_ACTION_CONTINUE) return ATH_OK; /* away: the line is taken again, and asked about */
    if (action == ATHI_ACTION_FINISH && r->opts->command) return ATH_OK; /* it may have something to save */
    return athi_slot_stop(r, w, action);
}

static ath_status take_report(athi_runner *r, athi_slot *w, const athi_value *event, const char *line) {
    const athi_value *step = athi_value_get(event, "step");
    athi_value *values = athi_value_get(event, "values");
    if (!values || values->type != ATHI_MAP || (step && step->type != ATHI_INT)) return garbage(r, w, line);
    return report(r, w, step ? step->integer : 0, values);
}

static ath_status take_failure(athi_runner *r, athi_slot *w, const athi_value *event) {
    const athi_value *name = athi_value_get(event, "failed"), *message = athi_value_get(event, "message");
    athi_reason reason = ATHI_REASON_CRASH;
    if (name->type == ATHI_STRING && (!athi_reason_find(name->text, &reason) || reason == ATHI_REASON_NONE))
        reason = ATHI_REASON_CRASH;
    return athi_slot_fail(r, w, reason,
                          message && message->type == ATHI_STRING ? message->text : athi_reason_name(reason));
}

static ath_status take_answer(athi_runner *r, athi_slot *w, const char *line, int64_t length) {
    athi_value *event = NULL;
    athi_arena_reset(r->scratch);
    w->lines++;
    ath_status status = athi_json_read(r->ctx, r->scratch, line, length, &event);
    if (status == ATH_E_NOMEM) return status;
    if (status != ATH_OK || event->type != ATHI_MAP) return garbage(r, w, line);
    const athi_value *peak = athi_value_get(event, "peak_rss");
    if (peak && peak->type == ATHI_INT) athi_runner_count_peak(r, peak->integer);
    const bool ended = athi_value_get(event, "done") || athi_value_get(event, "failed");
    if (athi_value_get(event, "stopped") || (w->stop != ATHI_ACTION_CONTINUE && ended)) {
        athi_process_read_errors(&w->process);
        w->served++;
        return athi_slot_stopped(r, w);
    }
    if (w->stop != ATHI_ACTION_CONTINUE) return ATH_OK; /* a report of a step too many */
    if (athi_value_get(event, "failed"))
        return r->stopping ? ATH_OK /* it goes on at the next start */
                           : take_failure(r, w, event);
    if (athi_value_get(event, "done")) {
        athi_process_read_errors(&w->process);
        w->served++;
        return athi_slot_done(r, w);
    }
    return take_report(r, w, event, line);
}

/* ---- commands ------------------------------------------------------------------------------------ */

static ath_status take_output(athi_runner *r, athi_slot *w, const char *line, int64_t length) {
    athi_value *values = NULL;
    int64_t step = 0;
    athi_arena_reset(r->scratch);
    ath_status status =
        athi_command_line(r->ctx, r->scratch, r->opts->command, &w->output, line, length, &step, &values);
    if (status == ATH_OK && !values) {
        athi_capture_write(&w->log, line, length);
        athi_capture_write(&w->log, "\n", 1);
        return ATH_OK;
    }
    if (w->stop != ATHI_ACTION_CONTINUE) return ATH_OK; /* a step too many */
    if (status == ATH_E_DATA) return wrong_report(r, w);
    return status == ATH_OK ? report(r, w, step, values) : status;
}

/* ---- lines --------------------------------------------------------------------------------------- */

bool athi_slot_heard(const athi_slot *w) { return w->state == ATHI_SLOT_RUNNING && !w->kill_at; }

static ath_status take(athi_runner *r, athi_slot *w, const char *line, int64_t length) {
    return r->opts->command ? take_output(r, w, line, length) : take_answer(r, w, line, length);
}

/* What the study could not be told stays where it is. */
static bool must_wait(const athi_runner *r, const athi_slot *w) { return r->away && athi_slot_heard(w); }

ath_status athi_slot_take_rest(athi_runner *r, athi_slot *w) {
    int64_t length;
    char *line = athi_slot_heard(w) ? athi_process_rest(&w->process, &length) : NULL;
    if (!line) return ATH_OK;
    ath_status status = r->opts->command ? take(r, w, line, length) : garbage(r, w, line);
    athi_free(r->ctx, line);
    if (must_wait(r, w)) w->process.taken -= length;
    return status;
}

ath_status athi_slot_take_lines(athi_runner *r, athi_slot *w) {
    int64_t length;
    char *line;
    while (w->alive && !r->away && (line = athi_process_line(&w->process, &length))) {
        ath_status status = ATH_OK;
        if (athi_slot_heard(w))
            status = take(r, w, line, length);
        else if (w->state == ATHI_SLOT_IDLE) /* nobody asked: it cannot be trusted with a task */
            athi_slot_end(r, w, 0);
        athi_free(r->ctx, line);
        if (must_wait(r, w)) w->process.taken -= length + 1;
        ATH_TRY(status);
    }
    if (!w->alive || r->away || w->process.output.length - w->process.taken <= LINE_MAX_BYTES) return ATH_OK;
    if (athi_slot_heard(w)) return athi_slot_take_rest(r, w);
    w->process.taken = w->process.output.length; /* of nobody's interest, and without end */
    return ATH_OK;
}
