/* The study store: Optuna 5.0's tables (alembic_version v3.2.0.a) in SQLite (in WAL mode) or PostgreSQL, so that Optuna
 * and optuna-dashboard open a study unchanged; what those have no column for lies in tables named athanor_*.
 * Every call is one transaction: after a crash it happened or it did not. Finished rows never change. */
#ifndef ATHI_STORE_H
#define ATHI_STORE_H

#include "tune/sampler.h"

typedef struct athi_store athi_store;

/* What has changed where a study's definition differs. */
typedef struct athi_growth {
    const athi_space *was; /* nothing but the space, which was this one; NULL: something else */
    const double *past;    /* a value a parameter of the new space: what trials before it had; NaN: its default */
    const char *path;      /* where that else stands, with what was and is there; NULL: nothing */
    const athi_value *before, *now;
} athi_growth;

typedef struct athi_study_info {
    const char *name;
    int n_objectives;
    const bool *maximize;
    const char *const *objective_names; /* "val_accuracy" */
    const athi_value *definition;       /* what must not change between starts: seed, data, …; any map; NULL: whatever */
    const athi_space *space;            /* of the definition, kept in the study; NULL: it is found while running */
    /* Compares another definition with this one; NULL: nothing may change. */
    ath_status (*grown)(const void *user, athi_arena *arena, const athi_value *was, athi_growth *growth);
    const void *user;
    const char *owner; /* of the leases that are none of others', or NULL */
    bool alone;        /* no other study lies beside it: the file belongs to the folder of one run */
} athi_study_info;

/** Does a path or URL name a file (path, sqlite:///path)? *path is it then. */
bool athi_store_is_file(const char *url, const char **path);
/** A path or URL for sentences and reports: without the password in it. NULL: out of memory. */
const char *athi_store_shown(athi_arena *arena, const char *url);
/** Opens or creates the tables and the study, in a file or in a database that is there (postgresql://user@host/db; the
 * password may stand in the URL, in PGPASSWORD or in ~/.pgpass, and in no sentence). A study that exists is compared: another definition is
 * ATH_E_STATE with the first difference ("tune.seed was 1, is 2"), unless it is a space that has grown (space_edit.c):
 * then its trials become points of the new one (ATH_E_BUSY while others have trials under way). Foreign or newer schemas
 * are refused with a sentence. */
ath_status athi_store_open(ath_ctx *ctx, const char *path, const athi_study_info *info, athi_store **store);
/** Opens the only (or the named) study of a file to look at it: definition and objectives come from the file. */
ath_status athi_store_open_existing(ath_ctx *ctx, const char *path, const char *study, athi_store **store);
void athi_store_close(athi_store *store);
enum { ATHI_PATIENCE_MS = 20000 };
/** How long a call waits while other processes hold the database or its server is away, before it is ATH_E_BUSY.
 * ATHI_PATIENCE_MS unless told. */
void athi_store_patience(athi_store *store, int milliseconds);
const athi_study_info *athi_store_info(const athi_store *store);
/** What of the space was changed when the study was opened, as a line for people; NULL: nothing. */
const char *athi_store_changes(const athi_store *store);

/** All trials by number, read again where the database changed since (Optuna may have added some). Owned by
 * the store, valid until the next call; a finished trial stays where it is until the store is closed, as long
 * as the space does not grow. The points need the space; a parameter that a trial does not have is NaN in its
 * point. */
ath_status athi_store_trials(athi_store *store, const athi_space *space, const athi_trial *const **trials,
                             int64_t *n);
/** The space of a study that another program made, from the distributions of its trials, without conditions. */
ath_status athi_store_space(athi_store *store, athi_arena *arena, athi_space **space);
typedef struct athi_beginning {
    const double *point;
    int64_t seen; /* how many finished trials its suggestion had seen, -1: it was none of ours */
    athi_relation relation;
    int64_t relative;      /* to which trial */
    int64_t relative_step; /* of a child: the other's reports up to this step become its own */
    bool optimistic;  /* only if no trial has come since athi_store_trials, which gave `after` trials */
    int64_t after;
} athi_beginning;
/** Records a new RUNNING trial. An optimistic one that came too late: *number is -1, nothing was changed. */
ath_status athi_store_begin(athi_store *store, const athi_space *space, const athi_beginning *beginning,
                            int64_t *number);
/** Replaces the parameters of a RUNNING trial (a define-by-run function finds them under way). */
ath_status athi_store_point(athi_store *store, const athi_space *space, int64_t number, const double *point);
/** One report of an execution: execution 0's objective becomes Optuna's intermediate value; all values of all
 * executions go to athanor_reports as JSON. */
ath_status athi_store_report(athi_store *store, int64_t number, int64_t execution, athi_report report,
                             const char *json);
/** The reports of an execution by step, with the JSON that came with each. */
ath_status athi_store_reports(athi_store *store, athi_arena *arena, int64_t number, int64_t execution,
                              athi_report **reports, const char ***json, int64_t *n);
/** The result of an execution, a value an objective. */
ath_status athi_store_execution(athi_store *store, int64_t number, int64_t execution, const double *values,
                                int64_t best_step);
typedef struct athi_outcome {
    athi_trial_state state;    /* COMPLETE, PRUNED or FAILED */
    const double *values;      /* a value an objective; needed for COMPLETE */
    const double *last_values; /* of the execution that ended with it, as athi_store_execution takes it; NULL: none */
    int64_t last_execution, last_best_step;
    const char *final; /* that execution's report of step 0, where the study does not have it yet; NULL: none */
    double final_value;
    const double *constraints; /* feasible where none is above 0; NULL: none were told */
    int n_constraints;
    athi_reason reason;  /* of FAILED */
    const char *message; /* of FAILED, or NULL */
} athi_outcome;
/** Ends a trial. */
ath_status athi_store_finish(athi_store *store, int64_t number, const athi_outcome *outcome);
/* Several changes that happen together or not at all, in one commit. */
typedef struct athi_group {
    ath_status (*work)(void *user); /* calls of this store; may be done again, after `undo` */
    void (*undo)(void *user);       /* the work did not happen: takes back what it changed outside of the store */
    void *user;
    bool durable;
} athi_group;
ath_status athi_store_group(athi_store *store, const athi_group *group);
/** Forgets the reports after last_step, and the result, of an execution that will be done again from there. */
ath_status athi_store_rewind(athi_store *store, int64_t number, int64_t execution, int64_t last_step);
/** Seconds since the epoch, as trials are timed. */
double athi_store_clock(void);
/* ---- several drivers on one study (store_lease.c) ---- */

/** From now on the trials that this store begins or takes are leased to `owner`, for so many seconds of the database's
 *  clock from the last renewal; what is leased to somebody else cannot be changed (ATH_E_STATE). Without, leases are
 *  not looked at. */
ath_status athi_store_own(athi_store *store, const char *owner, double seconds);
/** Takes a running trial: one that nobody holds, whose lease has run out, or that is ours already. */
ath_status athi_store_take(athi_store *store, int64_t number, bool *taken);
/** Renews all leases of ours. */
ath_status athi_store_renew(athi_store *store);
/** Is the trial leased to us? */
ath_status athi_store_holds(athi_store *store, int64_t number, bool *held);
/** Gives up all leases of ours. */
ath_status athi_store_release(athi_store *store);

/** A running trial waits with its state saved. Optuna sees it as running all the time. */
ath_status athi_store_pause(athi_store *store, int64_t number);
/** One that waits goes on from `step`, that of its last report: no start takes it for one that has just come there. */
ath_status athi_store_resume(athi_store *store, int64_t number, int64_t step);
/** Small named texts of the study (stages done, seeds): athanor_study. NULL value: read gives NULL. */
ath_status athi_store_put(athi_store *store, const char *key, const char *value);
ath_status athi_store_get(athi_store *store, athi_arena *arena, const char *key, const char **value);

#endif
