/* Between the files of the search: trials under way, and what their executions have reported.
 *
 *   search.c          open, close, what is next        search_trials.c   trials under way, taken over at a start
 *   search_limits.c   when no new trial begins     search_schedule.c who pauses, goes on, is stopped
 *   search_view.c     what a suggestion may see        search_results.c  reports, ends, failures
 *   search_ranking.c  who is best                  search_drivers.c  several drivers on one study
 *   search_group.c    several calls in one commit  search_replay.c   suggestions done again
 *   search_fork.c     trials that begin from another's state           search_round.c  several decisions at once */
#ifndef ATHI_SEARCH_INTERNAL_H
#define ATHI_SEARCH_INTERNAL_H

#include "tune/search.h"

typedef enum athi_phase { ATHI_PHASE_READY, ATHI_PHASE_RUNNING, ATHI_PHASE_PAUSED, ATHI_PHASE_DONE } athi_phase;

typedef struct athi_execution {
    athi_phase phase;
    bool resumed;
    int64_t n_reports, last_step, best_step; /* best_step 0: nothing finite so far */
    double seconds, began;                   /* run time at its last report; when it began or went on after that */
    int64_t begin;      /* of a child: its reports up to this step are its parent's, and not what it is worth */
    athi_report before; /* its report before the last one; step 0: none */
    double best;        /* of the first objective */
    double last[ATHI_OBJECTIVES_MAX], final[ATHI_OBJECTIVES_MAX];
    bool has_final;
    char *final_json; /* its report of step 0, which the study gets with its end; NULL: it gave none */
    double values[ATHI_OBJECTIVES_MAX]; /* DONE */
    int64_t until, judged_step; /* where it pauses, as its scheduler counts; its last report that one has judged */
    double *constraints;        /* its last word, NULL: none */
    int n_constraints;
} athi_execution;

/* A trial that has begun and not ended. */
typedef struct athi_active {
    int64_t number;
    double *point;
    int64_t n;          /* executions */
    int64_t parent;     /* a child that has not been handed out: of which trial; -1: it is none */
    bool child;         /* it began from another's state */
    bool rescored;      /* it scores the winner again, and no scheduler judges it */
    int64_t unrecorded; /* the index + 1 of one whose result the study gets with the trial's end, 0: none */
    athi_execution *executions;
} athi_active;

struct athi_search {
    ath_ctx *ctx;
    athi_search_opts opts;
    const athi_study_info *info;
    const athi_sampler_impl *sampler;
    const athi_scheduler_impl *scheduler; /* NULL: none */
    athi_active **actives;                /* by number */
    int64_t n, cap;
    double **queue; /* enqueued points, first in first out */
    int64_t n_queue, cap_queue;
    int64_t failures;           /* without a single success so far */
    bool any_success, any_came; /* of trials: one ended well or came to a pause; one came to an end or a pause */
    bool exhausted, stopped;    /* stopped: by the rule */
    bool in_rounds;             /* it decides while nothing runs (search_round.c) */
    int64_t handed_out;         /* tasks of this start */
    int64_t rule_seen;          /* finished trials when the rule was last asked */
    double opened;
    double renewed, looked; /* with an owner: its leases; for trials of dead ones */
    athi_arena *scratch;
    athi_cache cache; /* the sampler's */
    int64_t cache_step;   /* it knows trials as they were at this step, 0: as they ended */
    int64_t cache_failed; /* of those that came there, so many have failed since */
    char last_failure[ATHI_ERRMSG_MAX];
};

/* ---- search.c ------------------------------------------------------------------------------------ */

/** The point of the next trial: one that was given, else the sampler's; or s->exhausted is set. */
ath_status athi_search_suggest(athi_search *s, const athi_view *view, double *point);

typedef struct athi_decision {
    athi_next next; /* where nothing became ready: WAIT or DONE, and why */
    const char *why;
    bool late; /* another driver was quicker */
} athi_decision;
/** One decision by the study as it is: a trial that waits becomes ready to go on, or a new one to begin, or neither. */
ath_status athi_search_decide(athi_search *s, athi_decision *d);
/** Executions that could be handed out. */
int64_t athi_search_ready(const athi_search *s);

/* ---- search_round.c ------------------------------------------------------------------------------ */

/** As many decisions as there are jobs if nothing is under way, else none. */
ath_status athi_search_round(athi_search *s, athi_decision *d);

/* ---- search_replay.c ----------------------------------------------------------------------------- */

/** Writes down what this start searches with, if that is news. */
ath_status athi_search_record(athi_search *s);

/* ---- search_trials.c ----------------------------------------------------------------------------- */

athi_active *athi_active_find(const athi_search *s, int64_t number);
ath_status athi_active_add(athi_search *s, int64_t number, const double *point, int64_t n, athi_active **out);
void athi_active_drop(athi_search *s, athi_active *a);
void athi_active_free(athi_search *s, athi_active *a);
ath_status athi_active_set_point(athi_search *s, athi_active *a, const double *point);
/** The execution of a task if it is under way, and its trial; NULL: it has ended. */
athi_execution *athi_execution_running(const athi_search *s, const athi_task *task, athi_active **owner);
/** A report arrived, of a step from 1, or of 0 for the final values; one value an objective. */
void athi_execution_take(const athi_search *s, athi_execution *e, const athi_report *report, const double *values);
/** Nothing of it is known any more. */
void athi_execution_clear(athi_search *s, athi_execution *e);
/** What it is worth so far; NaN: nothing. */
void athi_execution_result(const athi_search *s, const athi_execution *e, double *values);
/** A trial that somebody else has begun: finished executions count, the others go on where their reports end. */
ath_status athi_active_take_over(athi_search *s, const athi_trial *trial);

/* ---- search_drivers.c ---------------------------------------------------------------------------- */

/** Has a trial been lost to another driver? Its status is ATH_E_STATE then: it is forgotten, which is no error. */
ath_status athi_search_lost(athi_search *s, athi_active *a, ath_status status);
/** Takes over what an earlier start and drivers that are dead have left; now and then, unless `at_once`. */
ath_status athi_search_adopt(athi_search *s, bool at_once);
/** Trials of other drivers that are under way, of numbers up to `last`. */
bool athi_search_others_run(const athi_search *s, const athi_trial *const *trials, int64_t n, int64_t last);

/* ---- search_view.c ------------------------------------------------------------------------------- */

static inline bool athi_trial_finished(const athi_trial *t) {
    return t->state == ATHI_TRIAL_COMPLETE || t->state == ATHI_TRIAL_PRUNED || t->state == ATHI_TRIAL_FAILED;
}
/** Does suggestion `next` see trial `number` as running, whatever has become of it? */
bool athi_search_hides(const athi_search *s, int64_t number, int64_t next);
/** The trial as it looks to a suggestion that may not know yet how it went, in the scratch arena; NULL: no memory. */
const athi_trial *athi_search_hidden(athi_search *s, const athi_trial *t);
/** In order, suggestion `next` may see results up to trial next - jobs, and must have them. */
bool athi_search_must_wait(const athi_search *s, int64_t next);
/** What the suggestion after `n` trials may see; *seen: how many finished ones. Lives in the scratch arena. */
ath_status athi_search_view(athi_search *s, const athi_trial *const *trials, int64_t n, athi_view *view,
                            int64_t *seen);

/* ---- search_limits.c ----------------------------------------------------------------------------- */

typedef struct athi_end {
    const char *why; /* no new trial of the sampler begins, NULL: one may */
    bool over;       /* nor one from another's state: no matter of numbers */
} athi_end;
ath_status athi_search_limit(athi_search *s, const athi_trial *const *trials, int64_t n, athi_end *end);

/* ---- search_schedule.c --------------------------------------------------------------------------- */

ath_status athi_search_check_schedule(athi_search *s);
/** Judges the last reports of trials that an earlier start left: it may have ended between a report and what followed from
 *  it. If they had been let go on before, they will be again, since that follows from the study. */
ath_status athi_search_judge_resumed(athi_search *s);
/** Must it wait for the first execution of its trial, by which a scheduler judges it? */
bool athi_search_holds_back(const athi_search *s, const athi_active *a, const athi_execution *e);
/** Where an execution pauses next, 0: nowhere. */
int64_t athi_search_until(const athi_search *s, const athi_active *a, const athi_execution *e);
/** Steps that a task may take, 0: unknown. */
int64_t athi_search_budget(const athi_search *s, const athi_execution *e);
/** Does the scheduler count seconds? Then nobody knows before at which step a trial will pause. */
bool athi_search_by_seconds(const athi_search *s);
/** The time by which run times are counted. */
double athi_search_clock(const athi_search *s);
/** Does with those that wait what is due: gives one up, or begins one from another's state, or makes one ready that may go
 *  on. */
ath_status athi_search_schedule(athi_search *s, const athi_trial *const *trials, int64_t n, const athi_end *end,
                                bool *given_up);
/** May the sampler be asked for a trial now? */
bool athi_search_admits(const athi_search *s, const athi_trial *const *trials, int64_t n);
/** Trials under way that do not wait for a promotion. */
int64_t athi_search_under_way(const athi_search *s);
/** Could what other drivers have under way let one of ours go on? */
bool athi_search_may_promote(const athi_search *s, const athi_trial *const *trials, int64_t n);
/** Gives up all that wait. */
ath_status athi_search_end_paused(athi_search *s);
/** The view as a sampler gets it that learns from a step which not all trials have passed. */
ath_status athi_search_at_fidelity(athi_search *s, athi_view *view);

/* ---- search_fork.c ------------------------------------------------------------------------------- */

/** Begins a trial from the state of one that waits, if the scheduler says so; *forked: it did, or another driver was
 *  quicker. */
ath_status athi_search_fork(athi_search *s, const athi_schedule *schedule, bool *forked);
/** Has a child taken over that had not begun: makes sure that its state is there. */
ath_status athi_search_inherit(athi_search *s, athi_active *a, const athi_trial *t);

/* ---- search_results.c ---------------------------------------------------------------------------- */

/** The objectives' numbers of a report; ATH_E_DATA with a sentence where one is missing. */
ath_status athi_search_read_values(athi_search *s, const athi_task *task, int64_t step, const athi_value *map,
                                   double *values);
/** Those that a report names, if it does. */
ath_status athi_search_take_constraints(athi_search *s, const athi_task *task, const athi_value *map);
/** Ends the trial if all its executions are done. */
ath_status athi_search_end_if_done(athi_search *s, athi_active *a);

#endif
