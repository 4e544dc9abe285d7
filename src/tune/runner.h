/* Runs a search on worker processes. A worker is a program started by exec that takes tasks as JSON lines on
 * standard input and answers on standard output, one after the other:
 *
 *   -> {"op":"run","trial":3,"execution":0,"seed":"…","dir":"…/trials/3/0","params":{…},"resumed":false}
 *   <- {"step":1,"values":{"val_accuracy":0.81,…},"peak_rss":…}      any number; without step: a final value
 *   <- {"done":true,…}  or  {"failed":"reason name","message":"…"}
 *   -> {"op":"stop"}   the scheduler stops the task: its state is saved, and it answers {"stopped":true}, as it does by
 *                      itself after the step that the task gives as "until", if it has not ended there
 *   -> end of file: the worker leaves
 *
 * Standard error goes to <dir>/stderr.log. A worker that dies, runs out of memory, hangs or answers with
 * anything else fails its task (exit status and last words as the reason), and is replaced; one that leaves
 * with status 0 between two tasks is started again. A task that was lost (killed from outside, no space left)
 * is tried again, later each time. Each worker has a process group of its own: an interrupt closes its input
 * and sends SIGTERM, and `kill_after` seconds later SIGKILL. When the runner dies, its workers do
 * (PR_SET_PDEATHSIG and end of file).
 *
 * With `command` there are no workers: each execution is one process of that program, its output is read as
 * command.h says, what is no report goes to <dir>/stdout.log, and status 0 is its good end. The first trial of
 * a study runs alone, so that a command that cannot work fails once and not many times. An execution that was
 * interrupted begins anew, unless the command is resumable. */
#ifndef ATHI_RUNNER_H
#define ATHI_RUNNER_H

#include "tune/command.h"

/* What one execution may use. Zero: no limit, or the default that is told. */
typedef struct athi_limits {
    double timeout;     /* seconds */
    double kill_after;  /* seconds between SIGTERM and SIGKILL, 0: 10 */
    int64_t memory;     /* bytes that its processes may have written: private ones together; RLIMIT_DATA of each */
    int64_t output;     /* bytes of each of its logs */
    int retries;        /* how often a crashed execution is tried again; a lost one at least three times */
    double retry_after; /* seconds before the first of these, twice as many each time; 0: 0.5 */
    /* Processors that the slots share, in order; n_cores 0: whatever there is. */
    const int *cores;
    int n_cores;
    /* CUDA_VISIBLE_DEVICES of the slots in turn; n_gpus 0: as it is. */
    const char *const *gpus;
    int n_gpus;
} athi_limits;

typedef struct athi_runner_opts {
    athi_search *search;
    const athi_space *space;
    const char *const *argv;     /* of a worker, NULL-ended */
    const athi_command *command; /* instead of argv; NULL: workers */
    const char *directory;       /* of the run: trials/<n>/<execution> below it */
    int jobs;
    int threads; /* of each worker: OMP_NUM_THREADS; 0: 1, or for a command what it is */
    athi_limits limits;
    /** After every event, for progress lines: a report, {"done":…}, {"paused":…}, {"pruned":…}, {"child_of":number}, {"failed":reason,"message":…},
     *  {"retry":reason,"message":…,"seconds":…}; {"away":message} and {"back":message} (of no trial: -1) when the
     *  study cannot be reached for a while. May be NULL. */
    void (*progress)(void *user, const athi_search *search, const athi_task *task, const athi_value *event);
    void *user;
    const volatile int *interrupted; /* set by the program's signal handler */
    bool *begun; /* set when a task begins; NULL: nobody asks */
} athi_runner_opts;

typedef struct athi_runner_result {
    const char *why;           /* "max_trials", "exhausted", "failures", "interrupted" */
    int64_t peak_worker_bytes; /* largest reported resident size of a worker */
} athi_runner_result;

/* Of a search whose trials begin from the state of others: its athi_search_opts.inherit_user. */
typedef struct athi_inheritance {
    ath_ctx *ctx;
    const char *directory; /* as in athi_runner_opts */
} athi_inheritance;
/** athi_search_opts.inherit for the runner: the child's folder becomes a copy of its parent's. */
ath_status athi_runner_inherit(void *inheritance, int64_t child, int64_t parent, bool fresh);

/** Can as many run at a time? */
ath_status athi_runner_jobs_check(ath_ctx *ctx, int jobs);
/** ATH_E_INTERRUPTED: state saved, running trials stay so. ATH_E_FAILED: a worker cannot be started, or the first
 *  trials all failed (why "failures", with the last one's message). */
ath_status athi_runner_run(ath_ctx *ctx, const athi_runner_opts *opts, athi_runner_result *result);

#endif
