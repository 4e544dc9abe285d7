/* Hyperparameter search over a function in this program, define-by-run: the function asks for its parameters
 * while it runs, and each name that it asks for becomes part of the space.
 *
 *     static ath_status run(ath_hp *hp, ath_trial *trial, void *user) {
 *         int64_t units = ath_hp_int(hp, "units", .min = 16, .max = 64, .step = 16);
 *         double lr = ath_hp_float(hp, "lr", .min = 1e-4, .max = 1e-1, .prior = ATH_PRIOR_LOG);
 *         for (int epoch = 1; epoch <= 10; epoch++) ath_trial_report(trial, epoch, train_one(units, lr));
 *         return ATH_OK;
 *     }
 *     ath_tuner *tuner = NULL;
 *     ath_tuner_create(ctx, &tuner, .directory = "runs/mine", .objective = "val_accuracy", .max_trials = 30);
 *     ath_tuner_search(tuner, run, NULL);
 *
 * The first trial runs with the defaults. A parameter that a trial did not ask for is not part of it, so a
 * parameter that is only asked for in one branch is conditional. The study lies in <directory>/study.db, in
 * Optuna's tables; the same program started again goes on where it ended. Anything that gives a number can be
 * tuned. */
#ifndef ATHANOR_TUNE_H
#define ATHANOR_TUNE_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ath_hp ath_hp;       /* the parameters of one trial */
typedef struct ath_trial ath_trial; /* one execution of it, to report to */
typedef struct ath_tuner ath_tuner;

typedef enum ath_prior {
    ATH_PRIOR_UNIFORM,
    ATH_PRIOR_LOG,        /* uniform in the logarithm: min > 0; a step multiplies */
    ATH_PRIOR_REVERSE_LOG /* denser towards max: for things like a momentum */
} ath_prior;

/* ---- parameters ---------------------------------------------------------------------------------- */
/* Each returns the trial's value. The same name must always be asked for with the same options; another
 * definition, an empty range or a missing name is an error that ends the search with a sentence (the calls
 * themselves then return the default). Names are copied. */

/** An integer in min..max. */
typedef struct ath_hp_int_opts {
    size_t struct_size;
    bool exact;       /* every field as written: a default of 0 is 0 */
    int64_t min, max; /* inclusive, min <= max */
    int64_t step;     /* 1; with ATH_PRIOR_LOG a factor, or 0 for every integer */
    ath_prior prior;  /* uniform */
    int64_t fallback; /* the default; 0: min */
} ath_hp_int_opts;
ATH_API int64_t ath_hp_int_with(ath_hp *hp, const char *name, const ath_hp_int_opts *opts);
#define ath_hp_int(hp, name, ...)                                                                                    \
    ath_hp_int_with((hp), (name), &(ath_hp_int_opts){.struct_size = sizeof(ath_hp_int_opts), __VA_ARGS__})

/** A real number in min..max. */
typedef struct ath_hp_float_opts {
    size_t struct_size;
    bool exact;
    double min, max; /* min <= max */
    double step;     /* 0: any number; else min + k * step, with ATH_PRIOR_LOG min * step^k */
    ath_prior prior; /* uniform */
    double fallback; /* the default; 0: min */
} ath_hp_float_opts;
ATH_API double ath_hp_float_with(ath_hp *hp, const char *name, const ath_hp_float_opts *opts);
#define ath_hp_float(hp, name, ...)                                                                                  \
    ath_hp_float_with((hp), (name), &(ath_hp_float_opts){.struct_size = sizeof(ath_hp_float_opts), __VA_ARGS__})

/** False or true; the default is false. */
ATH_API bool ath_hp_bool(ath_hp *hp, const char *name);

#define ATH_HP_VALUES_MAX 64

/** One of several texts; the default is the first. The text that is returned lives as long as the tuner. */
typedef struct ath_hp_choice_opts {
    size_t struct_size;
    bool exact;
    const char *values[ATH_HP_VALUES_MAX]; /* up to the first NULL; different from each other */
    bool ordered;                          /* neighbours are alike */
    int fallback;                          /* the default's index */
} ath_hp_choice_opts;
ATH_API const char *ath_hp_choice_with(ath_hp *hp, const char *name, const ath_hp_choice_opts *opts);
#define ath_hp_choice(hp, name, ...)                                                                                 \
    ath_hp_choice_with((hp), (name), &(ath_hp_choice_opts){.struct_size = sizeof(ath_hp_choice_opts), __VA_ARGS__})

/** All of them as JSON, {"units": 64, "optimizer": "adam"}; NULL when memory ran out. Lives as long as the tuner. */
ATH_API const char *ath_hp_json(ath_hp *hp);

/* ---- a trial ------------------------------------------------------------------------------------- */

/** Reports the objective after `step` (from 1, increasing; 0: the final value, which outranks the best step).
 * What a trial is worth is the mean over executions of each one's best report. Errors: ATH_E_IO, ATH_E_BUSY
 * (the study cannot be written). */
ATH_API ath_status ath_trial_report(ath_trial *trial, int64_t step, double value);
/** The same for several objectives: a value of each, in their order. A trial is worth the last report then, since the best
 * step of one objective is not that of another. */
ATH_API ath_status ath_trial_report_values(ath_trial *trial, int64_t step, const double *values);
ATH_API int64_t ath_trial_number(const ath_trial *trial);
/** 0 .. executions_per_trial - 1. */
ATH_API int64_t ath_trial_execution(const ath_trial *trial);
/** A seed that depends on the study's seed, the trial and the execution alone. */
ATH_API uint64_t ath_trial_seed(const ath_trial *trial);

/* ---- the tuner ----------------------------------------------------------------------------------- */

typedef enum ath_direction {
    ATH_BY_NAME, /* …loss, …error and the like down; …accuracy, …auc, …score up; others must be told */
    ATH_MINIMIZE,
    ATH_MAXIMIZE
} ath_direction;

#define ATH_OBJECTIVES_MAX 8

typedef struct ath_tuner_opts {
    size_t struct_size;
    bool exact;
    const char *directory;                        /* required; made if missing; holds study.db */
    const char *objective;                        /* required: the metric's name; or .objectives */
    ath_direction direction;                      /* by name */
    int64_t max_trials;                           /* 10; trials of earlier starts included */
    int64_t executions_per_trial;                 /* 1 */
    const char *sampler;                          /* "auto"; see `athanor list samplers` */
    uint64_t seed;                                /* 0 */
    bool overwrite;                               /* forgets an earlier study in the directory */
    const char *objectives[ATH_OBJECTIVES_MAX];   /* several, up to the first NULL, in place of .objective */
    ath_direction directions[ATH_OBJECTIVES_MAX]; /* of each of them; by name */
} ath_tuner_opts;

/** Opens or makes the study. Errors: ATH_E_OPTION; ATH_E_BUSY (another process searches there); ATH_E_STATE
 * (the study there has another objective or seed); ATH_E_IO. */
ATH_API ath_status ath_tuner_create_with(ath_ctx *ctx, ath_tuner **tuner, const ath_tuner_opts *opts);
#define ath_tuner_create(ctx, tuner, ...)                                                                            \
    ath_tuner_create_with((ctx), (tuner), &(ath_tuner_opts){.struct_size = sizeof(ath_tuner_opts), __VA_ARGS__})
/** NULL is allowed. */
ATH_API void ath_tuner_destroy(ath_tuner *tuner);

/** One execution: asks for parameters, reports. What it returns other than ATH_OK is a failed trial with the
 * sentence of the context (ATH_E_NOMEM: out of memory), except ATH_E_INTERRUPTED, which ends the search; the
 * next start repeats it. */
typedef ath_status (*ath_tuner_fn)(ath_hp *hp, ath_trial *trial, void *user);

/** Runs until max_trials, or until a finite space holds no untried point. Errors: ATH_E_FAILED (the first
 * three trials failed), ATH_E_OPTION (a parameter was asked for wrongly), ATH_E_INTERRUPTED, ATH_E_IO,
 * ATH_E_NOMEM. */
ATH_API ath_status ath_tuner_search(ath_tuner *tuner, ath_tuner_fn fn, void *user);

typedef struct ath_tuner_result {
    int64_t trial;
    double value;      /* of several objectives the first one's: ath_tuner_values */
    int64_t best_step; /* of the first execution; 0: only a final value */
    ath_hp *hp;        /* asking it gives the trial's values, so that the same build function can be used */
} ath_tuner_result;

/** The trial of this rank, 0 the best. Valid until the tuner is destroyed. ATH_E_NOTFOUND: fewer are complete. */
ATH_API ath_status ath_tuner_best(ath_tuner *tuner, int64_t rank, ath_tuner_result *result);
/** How many of the ranks are the Pareto front: 0 to *n - 1, by trial number; then come the front without it, and so on.
 * With one objective *n is 1; 0 when no trial is complete. */
ATH_API ath_status ath_tuner_front(ath_tuner *tuner, int64_t *n);
/** The values of the trial of this rank, one an objective in their order. ATH_E_NOTFOUND: fewer are complete. */
ATH_API ath_status ath_tuner_values(ath_tuner *tuner, int64_t rank, double *values);

#ifdef __cplusplus
}
#endif
#endif
