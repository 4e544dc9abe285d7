/* Samplers: a suggestion is a function of (seed, trial number, the trials it may see). Nothing else is kept,
 * so a study continues after any interruption with the same suggestions. What was computed from earlier trials may
 * be kept in an athi_cache, where that cannot change a result. */
#ifndef ATHI_SAMPLER_H
#define ATHI_SAMPLER_H

#include "base/options.h"
#include "tune/space.h"

typedef enum athi_trial_state {
    ATHI_TRIAL_WAITING, /* enqueued, point partly or wholly given */
    ATHI_TRIAL_RUNNING,
    ATHI_TRIAL_PAUSED,
    ATHI_TRIAL_COMPLETE,
    ATHI_TRIAL_PRUNED,
    ATHI_TRIAL_FAILED
} athi_trial_state;
enum { ATHI_STATES = ATHI_TRIAL_FAILED + 1 };
const char *athi_state_name(athi_trial_state state); /* "waiting", "running", … */

/* Why a trial failed. Crash, memory, timeout and nan say something about the point; none and lost do not. */
typedef enum athi_reason {
    ATHI_REASON_NONE,
    ATHI_REASON_CRASH,
    ATHI_REASON_MEMORY,
    ATHI_REASON_TIMEOUT,
    ATHI_REASON_NAN,
    ATHI_REASON_LOST, /* the worker vanished, the disk was full, an interrupt */
} athi_reason;
const char *athi_reason_name(athi_reason reason); /* "none", "crash", "memory", … */
bool athi_reason_find(const char *name, athi_reason *out);

/* What ties a trial to an earlier one. */
typedef enum athi_relation {
    ATHI_RELATION_NONE,
    ATHI_RELATION_REPEAT, /* the same point on another seed */
    ATHI_RELATION_RESCORE, /* the same, after the search, to see what the winner is worth without luck */
    ATHI_RELATION_CHILD,  /* it goes on from the other's state (population-based training) */
} athi_relation;

enum { ATHI_OBJECTIVES_MAX = 8 };

typedef struct athi_report {
    int64_t step;   /* from 1 */
    double value;   /* the objective's */
    double seconds; /* that the execution had run for, pauses left out; 0: unknown */
} athi_report;

typedef struct athi_trial {
    int64_t number;
    athi_trial_state state;
    athi_reason reason;
    const char *message; /* of a failure, or NULL */
    double *point;
    double *values;       /* one per objective; NaN until complete */
    athi_report *reports; /* in order of steps (of the first execution) */
    int64_t n_reports;
    int64_t n_executions;     /* the last finished one's index + 1 */
    double *execution_values; /* rows of n_objectives; NaN: that one has not finished */
    int64_t *execution_best;  /* best step of each */
    double started, ended;    /* seconds since the epoch, 0: not yet */
    int64_t finished;         /* its place in the order of endings, 0: it has not, or another program ended it */
    int64_t seen;             /* how many finished trials its suggestion had seen, -1: unknown */
    const double *constraints; /* as it was told: feasible where none is above 0 */
    int n_constraints;
    athi_relation relation;
    int64_t relative;      /* the other trial's number */
    int64_t relative_step; /* of a child: the step of the other's state that it goes on from */
    int64_t resumed_at;    /* the step of its last pause from which it goes on, 0: none */
    bool outside; /* another program added it and its point does not lie in this space: says nothing here */
} athi_trial;

/** The step after which its reports are its own: a child's curve begins with its parent's. */
static inline int64_t athi_trial_begin(const athi_trial *t) {
    return t->relation == ATHI_RELATION_CHILD ? t->relative_step : 0;
}
/** The index of its first report of its own. */
static inline int64_t athi_trial_first(const athi_trial *t) {
    int64_t i = 0;
    while (i < t->n_reports && t->reports[i].step <= athi_trial_begin(t)) i++;
    return i;
}

/* What a sampler computed from the first trials of a study, so as not to begin at the first with each suggestion. It
 * belongs to who asks for the suggestions (a search), who passes it with the views of one study only, each of which
 * knows at least what the one before knew: a trial that was finished in one is finished and the same in the next. A
 * sampler uses it only if seed, space, options and the number of trials that it covers agree, and begins anew
 * otherwise; with and without it a suggestion is the same. */
typedef struct athi_cache {
    const void *owner; /* the sampler (athi_sampler_impl) that filled it; NULL: empty */
    void *data;
    void (*destroy)(void *data);
} athi_cache;
void athi_cache_clear(athi_cache *cache);

typedef struct athi_view {
    const athi_space *space;
    const athi_trial *const *trials; /* those that the suggestion may see, by number; running ones included */
    int64_t n;
    int n_objectives;
    const bool *maximize; /* per objective */
    uint64_t seed;
    int64_t trial;  /* number that the suggestion will get */
    int64_t budget; /* max_trials, 0: unknown */
    athi_cache *cache; /* NULL: none */
} athi_view;

typedef struct athi_sampler_impl {
    /** Writes a point that is on the grid, or sets *exhausted when a finite space holds no point that was not
     * tried (failed and running ones count as tried). */
    ath_status (*suggest)(ath_ctx *ctx, const void *opts, const athi_view *view, double *point,
                          bool *exhausted);
} athi_sampler_impl;

extern const athi_kind athi_samplers; /* rows: random, grid, bayesian, … */

/** The first visible trial that has this point, by its index in the view; -1: none. */
int64_t athi_tried_at(const athi_view *view, const double *point);

/** For every sampler: `point` was proposed; if a finite space holds it already, the nearest untried point by
 * unit distance (ties by enumeration) replaces it. */
ath_status athi_avoid_duplicate(ath_ctx *ctx, const athi_view *view, double *point, bool *exhausted);

#endif
