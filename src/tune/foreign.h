/* Studies of other programs on their way into one of ours: a reader a format makes this form of it, which is Optuna's, and
 * one writer puts it into a database.
 *
 *   foreign.c            which format it is; building, writing      foreign_database.c  databases of Optuna (and ours)
 *   foreign_own.c        what only our studies have                foreign_journal.c   Optuna's JournalStorage
 *   foreign_keras.c      folders of KerasTuner */
#ifndef ATHI_FOREIGN_H
#define ATHI_FOREIGN_H

#include "tune/store.h"

typedef struct athi_foreign_param {
    const char *name, *distribution; /* as Optuna writes it */
    double value;                    /* of a choice its number */
} athi_foreign_param;

typedef struct athi_foreign_text {
    const char *key, *json;
} athi_foreign_text;

/* What only our studies have of a trial. */
typedef struct athi_foreign_execution {
    int64_t execution, objective, best_step;
    double value;
} athi_foreign_execution;
typedef struct athi_foreign_said {
    int64_t execution, step;
    double value, seconds;
    const char *json;
} athi_foreign_said;
typedef struct athi_foreign_own {
    bool ours; /* else nothing of it is known */
    int64_t seen, relative, relative_step;
    athi_relation relation;
    athi_foreign_execution *executions;
    athi_foreign_said *said; /* reports of all executions */
    int64_t n_executions, cap_executions, n_said, cap_said;
} athi_foreign_own;

typedef struct athi_foreign_trial {
    athi_trial_state state; /* RUNNING, PAUSED: nobody runs it here, unless it is ours */
    athi_foreign_own own;
    athi_reason reason; /* of FAILED */
    const char *message;
    double started, ended; /* seconds since the epoch, 0: unknown */
    athi_foreign_param *params;
    double *values; /* one an objective, NaN: none; NULL: none at all */
    athi_report *reports;
    athi_foreign_text *user, *system; /* attributes */
    int64_t n_params, cap_params, n_reports, cap_reports, n_user, cap_user, n_system, cap_system;
} athi_foreign_trial;

typedef struct athi_foreign {
    ath_ctx *ctx;
    athi_arena *arena; /* holds everything but what grows, which athi_foreign_free frees */
    const char *source, *name;
    int n_objectives;
    bool maximize[ATHI_OBJECTIVES_MAX];
    const char *names[ATHI_OBJECTIVES_MAX];
    athi_foreign_trial *trials; /* by number */
    int64_t n, cap;
    athi_foreign_text *texts; /* of our studies: definition, space, … */
    int64_t *ended;           /* numbers of trials in the order of their ends */
    int64_t n_texts, cap_texts, n_ended, cap_ended;
} athi_foreign;

typedef struct athi_import_opts {
    const char *folder; /* made before anything is written, or NULL */
    const char *source; /* database or its URL, journal, folder of KerasTuner */
    const char *study;  /* which of several there; NULL: the only one */
    const char
        *objective;     /* its name, where the source has none; of KerasTuner which metric it was; NULL: found out */
    const char *target; /* file or URL */
    const char *name;   /* of the study there; NULL: as at the source */
} athi_import_opts;

/** Copies a study. *imported: what there was (to be freed), for the words about it. Errors: what neither reader knows
 *  (ATH_E_DATA), a target that has trials already (ATH_E_STATE), the store's. */
ath_status athi_import(ath_ctx *ctx, athi_arena *arena, const athi_import_opts *opts, athi_foreign *imported);
void athi_foreign_free(athi_foreign *f);

/* ---- the readers --------------------------------------------------------------------------------- */

ath_status athi_foreign_database(athi_foreign *f, const char *study);
ath_status athi_foreign_journal(athi_foreign *f, const char *study);
ath_status athi_foreign_keras(athi_foreign *f, const char *objective);
/** The same of a journal's text. */
ath_status athi_foreign_journal_text(athi_foreign *f, const char *study, const char *text, int64_t n);
/** One trial.json with its text; the objective is not looked at. */
ath_status athi_foreign_keras_text(athi_foreign *f, const char *text, int64_t n);
/** Which metric the scores were, and what each trial is worth; once all trials are read. */
ath_status athi_foreign_keras_objective(athi_foreign *f, const char *objective);

/* ---- what only our studies have (foreign_own.c), within a transaction of the store ----------------- */

ath_status athi_foreign_own_study_read(athi_store *s, athi_foreign *f);
ath_status athi_foreign_own_trial_read(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_trial *t);
ath_status athi_foreign_own_study_write(athi_store *s, const athi_foreign *f);
ath_status athi_foreign_own_trial_write(athi_store *s, int64_t id, const athi_foreign_trial *t);

/* What they build with; texts are copied. */
ath_status athi_foreign_add(athi_foreign *f, athi_foreign_trial **trial);
ath_status athi_foreign_param_add(athi_foreign *f, athi_foreign_trial *t, const char *name, const char *distribution,
                                  double value);
ath_status athi_foreign_report_add(athi_foreign *f, athi_foreign_trial *t, int64_t step, double value);
ath_status athi_foreign_user_add(athi_foreign *f, athi_foreign_trial *t, const char *key, const char *json);
ath_status athi_foreign_system_add(athi_foreign *f, athi_foreign_trial *t, const char *key, const char *json);
/** The values of a trial, all NaN at first. */
ath_status athi_foreign_values(athi_foreign *f, athi_foreign_trial *t);

#endif
