/* What the stages of a run share: tune -> candidates -> members -> ensemble -> report. */
#ifndef ATHI_STAGES_H
#define ATHI_STAGES_H

#include "ensemble/ensemble.h"
#include "recipe/recipe.h"
#include "tune/runner.h"

/* A point that is trained to the end: one of the best trials, or the defaults where nothing was searched. */
typedef struct athi_member {
    int rank;                   /* from 0 */
    int64_t trial;              /* -1: none */
    const athi_value *params;   /* {} without a search */
    const athi_value *bound;    /* of the final model */
    int64_t best_epoch, epochs; /* best on validation; trained in the end */
    athi_ensemble_score validation, test;
    const float *on_validation, *on_test; /* predictions, NULL where there is no such part */
    const char *model;                    /* file, relative to the run's folder */
    double seconds;
    double weight;               /* in the ensemble */
    athi_ensemble_score without; /* of the ensemble on validation without this member */
    const athi_value *quantized; /* what its int8 form is like, or NULL */
    const float *int8_on_test;   /* predictions of that form, where the ensemble is made of them too; else NULL */
} athi_member;

typedef struct athi_stages {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_recipe *recipe;
    const athi_run_opts *opts;
    athi_objectives objectives; /* the first one is what a training watches */
    athi_data *data;            /* of the default point: parts, classes */
    athi_store *store;
    athi_search *search;
    athi_inheritance inheritance;
    const athi_trial **ranking; /* complete trials, best first */
    int64_t n_ranking;
    const char *why;           /* the search ended */
    const athi_value *verdict; /* on the search, a map */
    int64_t peak_worker_bytes;
    double tune_seconds;
    athi_member *members;
    int n_members;
    int64_t classes; /* width of a prediction */
    bool labelled;   /* targets are classes */
    athi_ensemble_score ensemble_validation, ensemble_test, ensemble_int8_test;
    athi_value *sweeps; /* their entries, a list; NULL: none */
    double begun;
    int threads;  /* of the context, before the search set its own */
    bool working; /* trials or trainings have begun */
} athi_stages;

/** Builds what every sweep will run, without running it. */
ath_status athi_stage_check_sweeps(athi_stages *s);
ath_status athi_stage_sweeps(athi_stages *s);
ath_status athi_stage_tune(athi_stages *s);
ath_status athi_stage_members(athi_stages *s);
ath_status athi_stage_ensemble(athi_stages *s);
ath_status athi_stage_quantize(athi_stages *s);
ath_status athi_stage_report(athi_stages *s, athi_value **report);

/** How many workers, and on how many threads each: the caller's word, else the recipe's, else one thread a worker when
 *  several run side by side. Retraining uses as many, so that a model's bits do not depend on the stage. */
int athi_stage_jobs(const athi_stages *s);
int athi_stage_threads(const athi_stages *s);

/** "<directory>/<what>" in the arena. */
const char *athi_stage_path(athi_stages *s, const char *fmt, ...) ATHI_PRINTF(2, 3);
/** Tells the caller a line for people. */
void athi_stage_say(athi_stages *s, const char *stage, const char *fmt, ...) ATHI_PRINTF(3, 4);
/** ", test accuracy 0.8712" or ", test loss 0.31" in the arena, "" where there is no such part. */
const char *athi_stage_score(athi_stages *s, const char *part, athi_ensemble_score score);
/** Which predictions of the members. */
typedef enum athi_predicted { ATHI_ON_VALIDATION, ATHI_ON_TEST, ATHI_INT8_ON_TEST } athi_predicted;
/** The members' predictions on a part, for the ensemble functions. */
ath_status athi_stage_predictions(athi_stages *s, const athi_part *part, athi_predicted which, athi_members *out);
/** Is there an ensemble whose int8 form can be judged? */
bool athi_stage_has_int8_ensemble(const athi_stages *s);
/** The members' int8 forms together, with the weights that the ensemble learned. */
ath_status athi_stage_int8_ensemble(athi_stages *s);

#endif
