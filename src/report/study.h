/* A study to look into, whoever made it: what the verbs show, best, export and report read.
 *
 *   study.c    opening, the best trials     trial.c    a trial as a value tree, its parameters as texts
 *   line.c     the command line that does a trial again */
#ifndef ATHI_REPORT_STUDY_H
#define ATHI_REPORT_STUDY_H

#include "recipe/recipe.h"
#include "tune/store.h"

typedef struct athi_study {
    ath_ctx *ctx;
    athi_arena *arena;  /* the caller's; it outlives the study */
    const char *path;   /* of the database */
    const char *folder; /* of the run that it lies in, or NULL */
    athi_store *store;
    athi_recipe *recipe; /* of a recipe's study; it owns the space then */
    const athi_space *space;
    const athi_study_info *info;
    const athi_trial *const *trials; /* by number */
    int64_t n;
} athi_study;

/** given: a run's folder, a database file, or the URL of a database. name: which study of several, NULL: the only one. A
 *  study that no program of ours made has the space that its trials' distributions say. Close it also after a failure. */
ath_status athi_study_open(ath_ctx *ctx, athi_arena *arena, const char *given, const char *name, athi_study *study);
/** Reads what has changed since. */
ath_status athi_study_refresh(athi_study *study);
void athi_study_close(athi_study *study);

/** Complete, with a finite value for every objective. */
bool athi_study_counts(const athi_study *study, const athi_trial *t);
/** None of its constraints is broken. */
bool athi_study_feasible(const athi_trial *t);
/** The best trial, or with several objectives the Pareto front by number, among the feasible ones that count; n 0: there
 *  is none. With one objective a trial is worth the mean of itself and its repeats, as in a search's ranking. */
ath_status athi_study_best(const athi_study *study, athi_arena *arena, const athi_trial ***best, int64_t *n);
/** One of the trials that athi_study_best gave? */
bool athi_study_is_best(const athi_trial *const *best, int64_t n, const athi_trial *t);

/* ---- trial.c ------------------------------------------------------------------------------------- */

/** {"trial", "state", "reason", "message", "values", "constraints", "params", "executions", "started", "ended",
 *  "seconds", …}; reports: also what it reported, an execution after the other. */
ath_status athi_study_trial(const athi_study *study, athi_arena *arena, const athi_trial *t, bool reports,
                            athi_value **out);
/** A value of a parameter as people read it: the branch's key, a number; "" where it does not exist. */
void athi_study_put_value(const athi_space_param *p, double value, athi_text *out);
/** "repeat_of", "rescore_of", "child_of"; NULL: the trial stands by itself. */
const char *athi_study_relation(const athi_trial *t);
/** Where a child's state came from, back to the beginning: "trial 3 at step 10, trial 0 at step 5"; nothing for others. */
void athi_study_put_lineage(const athi_study *study, const athi_trial *t, athi_text *out);
/** Has any trial a parent? */
bool athi_study_has_children(const athi_study *study);
/** From its start to its end, in whole microseconds as the study has them; NaN: it has not ended. */
double athi_study_seconds(const athi_trial *t);
/** "2026-11-26T11:50:29.123Z" */
void athi_study_time(double seconds, char out[32]);

/* ---- line.c -------------------------------------------------------------------------------------- */

/** The command line that does this trial again, quoted for a shell: the command with its templates filled, or `athanor
 *  train RECIPE --set …`. Nothing is added for a study that was made without either. */
ath_status athi_study_line(const athi_study *study, const athi_trial *t, athi_text *out);

#endif
