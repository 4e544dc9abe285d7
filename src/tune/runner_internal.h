/* Between the files of the runner. A slot runs one task at a time, on a worker that serves task after task or on a
 * command that is started anew for each.
 *
 *   runner.c          the loop over all slots          runner_answers.c   what workers and commands write
 *   runner_tasks.c    who runs what, and its start     runner_endings.c   what an end means, and what is tried again
 *   runner_limits.c   time, memory, cores, devices */
#ifndef ATHI_RUNNER_INTERNAL_H
#define ATHI_RUNNER_INTERNAL_H

#include "tune/runner.h"
#include "tune/worker_process.h"

enum { ATHI_SENTENCE = 1024 };

typedef struct athi_slot {
    athi_process process;
    bool alive, busy;       /* busy without being alive: its task waits for another try */
    char **environment;     /* of its processes, in the runner's arena */
    const cpu_set_t *cores; /* that its processes may use, NULL: all */
    athi_task task;
    char *folder, *errors_path, *log_path; /* of the task, and its logs there */
    char *request;
    int64_t served, lines; /* tasks before this one; lines of this one */
    int tries;             /* of this task, before this one */
    double again_at;       /* when it is tried again, 0: it runs */
    double deadline;       /* 0: none */
    double kill_at;        /* it was told to end; SIGKILL comes then. 0: it was not */
    athi_reason reason;    /* why it was told to, and the sentence */
    char why[ATHI_SENTENCE];
    int64_t oom_kills;  /* when the task began */
    int64_t memory;     /* bytes, when it was last looked at */
    athi_output output; /* of a command */
    athi_capture log;   /* what it prints besides reports */
} athi_slot;

typedef struct athi_runner {
    ath_ctx *ctx;
    const athi_runner_opts *opts;
    athi_runner_result *result;
    athi_arena *arena, *scratch;
    athi_slot *slots;
    int n;
    bool done, stopping;
    double looked_at; /* memory was measured */
} athi_runner;

/* ---- runner_tasks.c ------------------------------------------------------------------------------ */

/** Starts what is due: tasks of the search on idle slots, and those that wait for another try. *waiting: the search
 *  has none now. */
ath_status athi_runner_give_tasks(athi_runner *r, bool *waiting);
/** Sends the slot's task to its worker, which is started where there is none. */
ath_status athi_slot_send(athi_runner *r, athi_slot *w);
int athi_runner_count(const athi_runner *r, bool only_busy);

/* ---- runner_answers.c ---------------------------------------------------------------------------- */

/** Takes the whole lines that the slot's process has written. */
ath_status athi_slot_take_lines(athi_runner *r, athi_slot *w);
/** Takes what is left of a command's output as a line. */
ath_status athi_slot_take_rest(athi_runner *r, athi_slot *w);
/** A command ended with status 0: well, if it has reported. */
ath_status athi_slot_command_done(athi_runner *r, athi_slot *w);

/* ---- runner_endings.c ---------------------------------------------------------------------------- */

void athi_runner_tell(const athi_runner *r, const athi_task *task, const athi_value *event);
void athi_runner_count_peak(athi_runner *r, int64_t bytes);
/** Ends the slot's process. The context's sentence is left alone: it may be what the caller reports. */
void athi_slot_end(athi_runner *r, athi_slot *w, double patience);
/** The slot has no task any more. */
void athi_slot_free(athi_runner *r, athi_slot *w);
/** The task went wrong: it is tried again, or its trial has failed. Either way its process is ended. */
ath_status athi_slot_fail(athi_runner *r, athi_slot *w, athi_reason reason, const char *message);
/** Seconds between SIGTERM and SIGKILL. */
double athi_runner_patience(const athi_runner *r);
/** Tells the process to end; when it has, its task fails for this reason. */
void athi_slot_ask_to_end(athi_runner *r, athi_slot *w, athi_reason reason, const char *fmt, ...) ATHI_PRINTF(4, 5);
/** The slot's process is gone. */
ath_status athi_slot_gone(athi_runner *r, athi_slot *w, const athi_ending *ending);

/* ---- runner_limits.c ----------------------------------------------------------------------------- */

/** The slot's environment and cores. */
ath_status athi_slot_equip(athi_runner *r, int index);
/** Ends what runs too long or uses too much. */
void athi_runner_watch(athi_runner *r);

#endif
