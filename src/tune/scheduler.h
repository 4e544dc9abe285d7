/* Schedulers: which trials go on, and how far. Like a suggestion, a decision is a function of what the study holds
 * (trials with their reports, the seed, the options); nothing else is kept, so a killed search decides the same.
 *
 *   until    a trial that begins or goes on runs up to this step and pauses there, with its state saved
 *   promote  which of those that wait goes on
 *   keep     may a trial that has just reported go on?
 *   gives_up does one that waits end?
 *   fork     which trial begins from the state of one that waits
 *
 * Of several executions a scheduler sees the first alone; the others are spent on trials that it lets come to their end. How
 * far a trial has come is counted in steps, from 1, or in whole seconds that it has run for (`time_attr: seconds`); what is
 * called a step here is either. What a trial is worth at a step is its best report up to it. */
#ifndef ATHI_SCHEDULER_H
#define ATHI_SCHEDULER_H

#include "tune/sampler.h"

typedef enum athi_action {
    ATHI_ACTION_CONTINUE,
    ATHI_ACTION_PAUSE,
    ATHI_ACTION_PRUNE,
    ATHI_ACTION_FINISH, /* it has come to max_t: complete */
} athi_action;

/* What a decision may look at. */
typedef struct athi_schedule {
    const athi_trial *const *trials; /* of the whole study, by number */
    int64_t n;
    bool maximize;
    bool seconds;  /* steps are seconds */
    bool pauses;   /* trials can be paused and go on; else they are only stopped */
    bool forks;    /* a trial can begin from another's state */
    bool closed;   /* no new trial of the sampler will begin */
    bool over;     /* nor one from another's state */
    int64_t max_t; /* steps of a whole trial where the options do not say it, 0: unknown */
    uint64_t seed;
    int64_t max_trials; /* that the sampler proposes */
    const athi_space *space;
    const bool
        *fixed; /* per parameter: a trial that begins from another's state keeps its value, since the state would
                          not fit else; NULL: none */
} athi_schedule;

/* A trial that begins from another's state. */
typedef struct athi_fork {
    int64_t parent, step; /* parent -1: none begins */
} athi_fork;

typedef struct athi_scheduler_impl {
    /** Do the options count seconds instead of steps? NULL: no. */
    bool (*seconds)(const void *opts);
    /** Options that do not fit one another or the search: ATH_E_OPTION with a sentence. NULL: any do. */
    ath_status (*check)(ath_ctx *ctx, const void *opts, const athi_schedule *s);
    /** Steps of a whole trial, 0: unknown. NULL: unknown. */
    int64_t (*max_t)(const void *opts, const athi_schedule *s);
    /** Where trial `number` pauses next after `step`, 0: it runs to its end. NULL: always 0. */
    int64_t (*until)(const void *opts, const athi_schedule *s, int64_t number, int64_t step);
    /** The paused trial that goes on, -1: none. NULL: none ever. */
    int64_t (*promote)(const void *opts, const athi_schedule *s);
    /** May this trial go on after its report of `step`? `before`: its report before that, 0: none. NULL: yes. */
    bool (*keep)(const void *opts, const athi_schedule *s, const athi_trial *trial, int64_t before, int64_t step);
    /** The largest step at which at least `least` trials can be compared, which models learn from; 0: none yet. NULL: they
     *  learn from complete trials. */
    int64_t (*fidelity)(const void *opts, const athi_schedule *s, int64_t least);
    /** May the sampler be asked for a new trial? NULL: yes. */
    bool (*admits)(const void *opts, const athi_schedule *s);
    /** Does a paused trial end? NULL: none ever, while others could come. */
    bool (*gives_up)(const void *opts, const athi_schedule *s, const athi_trial *trial);
    /** The trial that begins from the state of one that waits, with its point; it gets number s->n. NULL: none ever. */
    athi_fork (*fork)(const void *opts, const athi_schedule *s, double *point);
} athi_scheduler_impl;

extern const athi_kind athi_schedulers; /* rows: none, asha, hyperband, … */

/** Do trials begin from the state of others? */
bool athi_scheduler_forks(const athi_row *row);
/** What a trial was worth at a step, less is better; infinity when it had failed by then (or was never a number), NaN when
 *  it did not get there. */
double athi_schedule_loss(const athi_schedule *s, const athi_trial *t, int64_t step);
/** How far a trial had come with a report. */
int64_t athi_schedule_at(const athi_schedule *s, const athi_report *report);
/** How far it has come with its last report, 0: there is none. */
int64_t athi_schedule_step(const athi_schedule *s, const athi_trial *t);

#endif
