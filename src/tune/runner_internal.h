/* Between the files of the runner. A slot runs one task at a time, on a worker that serves task after task or on a
 * command that is started anew for each.
 *
 *   runner.c          the loop over all slots          runner_answers.c   what workers and commands write
 *   runner_tasks.c    who runs what, and its start     runner_endings.c   what an end means, and what is tried again
 *   runner_limits.c   time, memory, cores, devices     runner_away.c      when the study cannot be reached */
#ifndef ATHI_RUNNER_INTERNAL_H
#define ATHI_RUNNER_INTERNAL_H

#include "tune/runner.h"
#include "tune/worker_process.h"

enum { ATHI_SENTENCE = 1024 };

/* What a slot is doing. */
typedef enum athi_slot_state {
    ATHI_SLOT_IDLE,
    ATHI_SLOT_RUNNING,
    ATHI_SLOT_WAITING, /* its task is tried again at `again_at` */
    ATHI_SLOT_ENDED,   /* its task has ended; the study does not know it yet */
} athi_slot_state;

/* How a task ended. */
typedef enum athi_verdict {
    ATHI_VERDICT_DONE,
    ATHI_VERDICT_FAILED,
    ATHI_VERDICT_PAUSED,
    ATHI_VERDICT_PRUNED
} athi_verdict;

typedef struct athi_slot {
    athi_slot_state state;
    athi_process process;
    bool alive;  /* a process is there: the task's, or a worker without one */
    bool reaped; /* it is gone, but the study has not heard all that it wrote */
    athi_ending ending;
    char **environment;     /* of its processes, in the runner's arena */
    const cpu_set_t *cores; /* that its processes may use, NULL: all */
    int64_t memory;         /* bytes, when it was last looked at */
    int64_t served;         /* tasks before this one */
    /* of the task */
    athi_task task;
    char *folder, *errors_path, *log_path; /* where it works, and its logs there */
    int lock;                              /* of the folder, -1: not taken */
    char *request;
    athi_output output; /* of a command */
    athi_capture log;   /* what it prints besides reports */
    int64_t lines;
    int64_t oom_kills;    /* when it began */
    int tries;            /* before this one */
    double again_at;      /* WAITING */
    double deadline;      /* 0: none */
    double kill_at;       /* it was told to end, and fails for `reason`; SIGKILL comes then. 0: it was not */
    athi_action stop;     /* PAUSE or PRUNE: the scheduler stops it, and its end is that */
    double force_at;      /* with SIGKILL, where it does not */
    athi_verdict verdict; /* ENDED */
    athi_reason reason;
    char why[ATHI_SENTENCE];
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
    bool away;        /* the study cannot be reached */
    double since;     /* when, 0: it can */
    double ask_at;    /* when it is asked again */
} athi_runner;

/* ---- runner_tasks.c ------------------------------------------------------------------------------ */

/** Starts what is due: tasks of the search on idle slots, and those that wait for another try. *waiting: the search
 *  has none now. */
ath_status athi_runner_give_tasks(athi_runner *r, bool *waiting);
/** Sends the slot's task to its worker, which is started where there is none. */
ath_status athi_slot_send(athi_runner *r, athi_slot *w);
int athi_runner_alive(const athi_runner *r);
int athi_runner_busy(const athi_runner *r);

/* ---- runner_answers.c ---------------------------------------------------------------------------- */

/** Takes the whole lines that the slot's process has written. */
ath_status athi_slot_take_lines(athi_runner *r, athi_slot *w);
/** Takes what is left of a command's output as a line. */
ath_status athi_slot_take_rest(athi_runner *r, athi_slot *w);
/** May the slot's process be heard? Not when its task has ended or was told to. */
bool athi_slot_heard(const athi_slot *w);

/* ---- runner_endings.c ---------------------------------------------------------------------------- */

void athi_runner_tell(const athi_runner *r, const athi_task *task, const athi_value *event);
void athi_runner_count_peak(athi_runner *r, int64_t bytes);
/** Ends the slot's process. The context's sentence is left alone: it may be what the caller reports. */
void athi_slot_end(athi_runner *r, athi_slot *w, double patience);
/** The slot has no task any more. */
void athi_slot_free(athi_runner *r, athi_slot *w);
/** The task has ended well; its worker lives on. */
ath_status athi_slot_done(athi_runner *r, athi_slot *w);
/** The scheduler stops the task: its process is told, and however it ends then, the trial is paused or pruned. */
ath_status athi_slot_stop(athi_runner *r, athi_slot *w, athi_action action);
/** The task that the scheduler stops has stopped. */
ath_status athi_slot_stopped(athi_runner *r, athi_slot *w);
/** The task went wrong: it is tried again, or its trial has failed. Either way its process is ended. */
ath_status athi_slot_fail(athi_runner *r, athi_slot *w, athi_reason reason, const char *message);
/** Seconds between SIGTERM and SIGKILL. */
double athi_runner_patience(const athi_runner *r);
/** Tells the process to end; when it has, its task fails for this reason. */
void athi_slot_ask_to_end(athi_runner *r, athi_slot *w, athi_reason reason, const char *fmt, ...) ATHI_PRINTF(4, 5);
/** The slot's process is gone. */
ath_status athi_slot_gone(athi_runner *r, athi_slot *w, const athi_ending *ending);
/** Renews the leases on our trials; what another driver has taken over ends here. */
ath_status athi_runner_keep_leases(athi_runner *r);
/** Tells the study how the task of an ENDED slot ended. */
ath_status athi_slot_settle(athi_runner *r, athi_slot *w);

/* ---- runner_away.c ------------------------------------------------------------------------------- */

/** Takes the status of a call to the search. A study that cannot be reached for now is none of the trials' business:
 *  they go on, what they write stays in their pipes, and ends wait in their slots. Such a failure becomes ATH_OK with
 *  r->away set, for ten minutes at most; any other status passes. */
ath_status athi_runner_bear(athi_runner *r, ath_status status);
/** Lets the study be asked again when it is time to. */
void athi_runner_ask_again(athi_runner *r);

/* ---- runner_limits.c ----------------------------------------------------------------------------- */

/** The slot's environment and cores. */
ath_status athi_slot_equip(athi_runner *r, int index);
/** Ends what runs too long or uses too much. */
void athi_runner_watch(athi_runner *r);

#endif
