/* The search: what to run next, from a space, a sampler and a store. It starts no process: drivers do
 * (runner.h for worker processes, ath_tuner for a function in this process), so that all of them share one logic.
 *
 *   task = one execution of one trial.   next -> report* -> finish | fail | pause | prune
 *
 * With a scheduler each report is followed by athi_search_action. A trial that pauses is handed out again when it is
 * promoted; those that still wait when nothing more can come end as pruned. Of several executions the first decides; the
 * others are handed out when it has ended.
 *
 * With `deterministic` (or one job) suggestion n sees the results of trials up to n - jobs only, whatever
 * finished meanwhile, so that a search in parallel gives the same trials every time. */
#ifndef ATHI_SEARCH_H
#define ATHI_SEARCH_H

#include "tune/scheduler.h"
#include "tune/store.h"

typedef struct athi_search athi_search;

/* A driver that is silent for that long is taken for dead, and another takes its trials over. */
enum { ATHI_LEASE_SECONDS = 10, ATHI_RENEW_SECONDS = 3 };

typedef struct athi_search_opts {
    const athi_space *space;
    const athi_row *sampler;
    const void *sampler_opts;
    athi_store *store;
    uint64_t seed;
    const double *points; /* rows that are tried before the sampler is asked */
    int64_t n_points;
    int64_t max_trials; /* >= 1, finished ones of earlier starts included */
    int64_t executions; /* per trial, >= 1 */
    int jobs;
    bool deterministic;
    bool last_value;      /* value: last instead of best */
    int64_t max_pending;  /* trials under way at a time, 0: any */
    double max_seconds;   /* of running trials, over all starts, 0: any */
    const athi_row *stop; /* of athi_stop_rules, NULL: none */
    const void *stop_opts;
    const athi_row *scheduler; /* of athi_schedulers, NULL: every trial runs to its end */
    const void *scheduler_opts;
    const athi_row *prune; /* another of them beside it, which only stops; NULL: none */
    const void *prune_opts;
    int64_t max_t;       /* steps of a whole trial (epochs of a recipe), 0: unknown */
    const double *clock; /* the time in seconds by which run times are counted; NULL: the machine's */
    bool no_pause;       /* executions cannot be paused and go on */
    /** Makes the state of trial `parent`, which waits, the one of trial `child`, which has not begun; fresh: what lies
     *  there is of nobody, else it may have been done before. NULL: nobody can. */
    ath_status (*inherit)(void *user, int64_t child, int64_t parent, bool fresh);
    void *inherit_user;
    const bool *fixed; /* per parameter: a child keeps its parent's value; NULL: of none */
    int64_t rescore;   /* trials of the winner's point after the search */
    const char
        *owner; /* this driver's name among several on the study, leased trials are its own; NULL: it is alone */
    int64_t max_failures; /* consecutive failures from the start that end the search; 0: 3 */
} athi_search_opts;

typedef struct athi_task {
    int64_t trial, execution;
    uint64_t seed;       /* athi_seed_derive(study seed, trial, execution) */
    const double *point; /* the search's, until the trial ends or gets another point */
    bool resumed;        /* it was paused, or running when an earlier start ended: its saved state may be continued */
    int64_t until;       /* the step after which it pauses, 0: it runs to its end, or is told when to pause */
    int64_t parent;      /* it has just begun from this trial's state; -1: it has not */
    bool child;          /* it began from another's state, so it cannot begin anew */
    int64_t begin;       /* the step of that state, 0: it is no child */
    int64_t budget;      /* steps that it may take: `until`, else those of a whole trial; 0: unknown */
} athi_task;

typedef enum athi_next { ATHI_NEXT_TASK, ATHI_NEXT_WAIT, ATHI_NEXT_DONE } athi_next;

ath_status athi_search_open(ath_ctx *ctx, const athi_search_opts *opts, athi_search **search);
void athi_search_close(athi_search *search);
/** The next new trial gets this point (space->n values, copied) instead of asking the sampler. */
ath_status athi_search_enqueue(athi_search *search, const double *point);
/** DONE with why: "max_trials", "max_seconds", "exhausted", "failures", or the stop rule's name. WAIT: results must come first. */
ath_status athi_search_next(athi_search *search, athi_task *task, athi_next *next, const char **why);
/** values: the report's map, which must hold the objectives and may hold "constraints": a list of numbers. Reports of steps that were seen before are
 * dropped. step 0 is the execution's final value, which outranks its best step. */
ath_status athi_search_report(athi_search *search, const athi_task *task, int64_t step, const athi_value *values);
ath_status athi_search_finish(athi_search *search, const athi_task *task);
ath_status athi_search_fail(athi_search *search, const athi_task *task, athi_reason reason, const char *message);
/** What becomes of a task after its latest report: PAUSE, stop it with its state saved, then athi_search_pause; PRUNE, stop
 *  it, then athi_search_prune; FINISH, it may end by itself, and what it reports from now on is too much; then
 *  athi_search_finish. */
ath_status athi_search_action(athi_search *search, const athi_task *task, athi_action *action);
ath_status athi_search_pause(athi_search *search, const athi_task *task);
/** Would a report of this step lie beyond the scheduler's max_t? */
bool athi_search_beyond(const athi_search *search, const athi_task *task, int64_t step);
/** The task begins to run only now, not when it was handed out: its run time is counted from here. */
void athi_search_started(athi_search *search, const athi_task *task);
/** Puts another point in place of a running trial's (a define-by-run function found new parameters). */
ath_status athi_search_set_point(athi_search *search, const athi_task *task, const double *point);
/** The execution begins anew: what it reported before is forgotten. */
ath_status athi_search_restart(athi_search *search, const athi_task *task);
/** The trial was stopped early: what it is worth, a value an objective; NULL: what its reports say. */
ath_status athi_search_prune(athi_search *search, const athi_task *task, const double *values);
/** Records a trial that was run elsewhere; it takes nothing from max_trials. */
ath_status athi_search_add(athi_search *search, const double *point, const double *values, const double *constraints,
                           int n_constraints, int64_t *number);
/** What the running trial says of its constraints, kept where none is above 0: recorded with its end. Later words replace
 *  earlier ones; of several executions the worst of each counts. */
ath_status athi_search_constrain(athi_search *search, const athi_task *task, const double *constraints, int n);
/** The task of a running trial's first execution, also of one that an earlier start handed out. ATH_E_NOTFOUND: there is
 *  no such trial, or it has ended. */
ath_status athi_search_claim(athi_search *search, int64_t trial, athi_task *task);
/** Several calls of this search in one commit: all of them happen or none. durable: it is on the disk then, as ends are;
 *  else as beginnings are. */
ath_status athi_search_group(athi_search *search, bool durable, ath_status (*calls)(void *user), void *user);
/** How many tasks this start has handed out: 0 when the study was complete already. */
int64_t athi_search_handed_out(const athi_search *search);
/** Has any trial of the study ended, well or badly, or come to where it pauses? */
bool athi_search_any_came(const athi_search *search);
/** Has it an owner, so that others may work on the study? */
bool athi_search_shared(const athi_search *search);
/** With an owner: renews the leases when it is time to, and looks whether one was lost. To be called several times in
 *  ATHI_LEASE_SECONDS, whatever the tasks do. */
ath_status athi_search_renew(athi_search *search);
/** False when the task's trial has ended meanwhile (another execution of it failed), or was taken over by another
 *  driver: its worker can be stopped. */
bool athi_search_wanted(const athi_search *search, const athi_task *task);
/** The message of the last failure of this start, "" when there was none: what to say after "failures". */
const char *athi_search_last_failure(const athi_search *search);
/** Complete trials, best first; one that was repeated counts with the mean of all, its repeats are left out. With several objectives the
 *  Pareto front by number, then the front without it, … Those that break constraints come last, by how far. */
ath_status athi_search_ranking(athi_search *search, athi_arena *arena, const athi_trial ***ranking, int64_t *n);

/** How many of the ranking are its Pareto front: those that keep their constraints (or if none does, break them least)
 *  and that no other dominates. */
int64_t athi_search_front(const athi_search *search, const athi_trial *const *ranking, int64_t n);

/** What repeated trials of one point say: their mean, and the deviation of that mean. */
typedef struct athi_rescored {
    const athi_trial *trial; /* the winner; NULL: nothing was scored again */
    int64_t n;
    double mean, deviation; /* of the fresh trials; deviation NaN for one */
    bool fitted; /* the search's value lies beyond what the fresh ones allow: luck, or validation data fitted */
} athi_rescored;
ath_status athi_search_rescored(athi_search *search, athi_rescored *out);

/** The complete trial that is the best by the posterior mean of a Gaussian process over all, which neighbours and repeats
 *  inform; trial NULL: too few, or several objectives. */
typedef struct athi_incumbent {
    const athi_trial *trial;
    double mean, deviation, noise; /* noise: deviation of one trial's value */
} athi_incumbent;
ath_status athi_search_incumbent(athi_search *search, athi_incumbent *out);

/* Each suggestion of a study done again from what the study says that it had seen. */
typedef enum athi_replayed {
    ATHI_REPLAYED_NONE,      /* the trial is no suggestion: added, scored again, a child of another */
    ATHI_REPLAYED_SAME,      /* to the last bit */
    ATHI_REPLAYED_DIFFERENT, /* `points` has what it is now */
    ATHI_REPLAYED_UNKNOWN, /* the study does not say all: the space has grown since, reports of running trials counted */
    ATHI_REPLAYED_COUNT
} athi_replayed;
typedef struct athi_replay {
    int64_t n; /* trials */
    athi_replayed *verdicts;
    double *points; /* rows of space->n */
    int64_t count[ATHI_REPLAYED_COUNT];
} athi_replay;
ath_status athi_search_replay(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_space *space,
                              athi_replay *replay);

enum { ATHI_CONSTRAINTS_MAX = 64 };
/** Reads a list of constraints; NULL is none, anything else ATH_E_DATA with a sentence. */
ath_status athi_constraints_read(ath_ctx *ctx, const athi_value *list, double constraints[ATHI_CONSTRAINTS_MAX],
                                 int *n);

/** A number as reports write it: JSON has no NaN, so "nan", "inf" and "-inf" are texts. */
bool athi_report_number(const athi_value *v, double *out);

#endif
