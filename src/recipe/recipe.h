/* Recipes: a model whose constants may be ranges. The only part that knows both training and tuning.
 *
 *   file ─ yaml.c ─> athi_value ─ set.c (--set) ─ ranges.c ─> space + checked recipe
 *   (recipe, point) ─ bind.c ─> bound recipe: the same tree with every range a value
 *   (bound recipe, data) ─ build.c ─> model ─ train.c ─> weights, reports
 *
 * A bound recipe is what trials, checkpoints and model files carry; it is itself a recipe without ranges. */
#ifndef ATHI_RECIPE_H
#define ATHI_RECIPE_H

#include "train/train.h"
#include "tune/runner.h"
#include "tune/stop_rules.h"

/* ---- reading (yaml.c, set.c) --------------------------------------------------------------------- */

/** One YAML document (JSON is one too): YAML 1.2 core schema scalars (`1e-4` a number, `no` a string),
 * duplicate keys are errors, tags of ours are kept, aliases are expanded (with a limit). `name` is for the
 * sentences. */
ath_status athi_yaml_read(ath_ctx *ctx, athi_arena *arena, const char *name, const char *text, int64_t n,
                          athi_value **out);
/** Sets one value by its path: "train.epochs=3", "model.1.dense.units=!int {min: 8, max: 64}". List elements by
 * number; a map key that does not exist yet is made, a list element or a step into a scalar is an error. */
ath_status athi_value_set_path(ath_ctx *ctx, athi_arena *arena, athi_value *root, const char *assignment);
/** The same below `option` ("--param"), which begins the sentences. */
ath_status athi_value_set_option(ath_ctx *ctx, athi_arena *arena, const char *option, athi_value *root,
                                 const char *assignment);

/* ---- sections (sections.c) ----------------------------------------------------------------------- */

typedef struct athi_train_opts {
    size_t struct_size;
    bool exact;
    ath_spec optimizer;             /* rmsprop */
    ath_spec loss;                  /* required */
    const athi_value *metrics;      /* list of metric names or maps */
    int64_t epochs;                 /* 1 */
    const athi_value *callbacks;    /* list */
    const athi_value *class_weight; /* map of class number to weight, or null */
    int64_t steps;                  /* updates in all, 0: no limit */
    int64_t steps_per_execution;    /* 1 */
} athi_train_opts;

typedef struct athi_tune_opts {
    size_t struct_size;
    bool exact;
    ath_spec sampler;             /* auto */
    const athi_value *objective;  /* "val_loss"; {metric, direction}; a list of these */
    const athi_value *constraints; /* between parameters: list of expressions, or NULL */
    const athi_value *points;      /* to be tried first: list of maps, or NULL */
    const athi_value *warm_start;  /* another study, or NULL */
    int64_t max_trials;           /* 10 */
    double max_seconds;           /* of running trials, 0: any */
    int64_t max_pending;          /* trials under way at a time, 0: any */
    ath_spec scheduler;           /* of athi_schedulers */
    ath_spec prune;               /* of these, one that only stops */
    ath_spec stop;                /* of athi_stop_rules */
    int64_t rescore;              /* trials of the winner after the search */
    int64_t executions_per_trial; /* 1 */
    int64_t folds;                /* of cross-validation, 0: none */
    int64_t jobs;                 /* 1; 0 and the threads too: see athi_tune_jobs */
    int64_t threads;              /* of each job */
    bool deterministic;
    int value;               /* best | last */
    int64_t keep;            /* state of how many best trials is kept */
    double timeout;          /* seconds an execution may take, 0: any */
    double kill_after;       /* seconds between SIGTERM and SIGKILL */
    double memory_limit;     /* MiB an execution may use, 0: any */
    double output_limit;     /* MiB of each log, 0: all */
    const athi_value *cores; /* none, auto or a list */
    const athi_value *gpus;  /* a list, or NULL */
    int64_t retries;
    bool resumable; /* of a command */
} athi_tune_opts;
/** Puts "incumbent" (the best by the model) and "rescored" (the winner on fresh seeds) into `out`, where there is
 *  something to say; the same goes to `say` as lines for people, unless this start has handed out no trial. */
ath_status athi_tune_verdict(ath_ctx *ctx, athi_arena *arena, athi_search *search, athi_value *out,
                             void (*say)(void *user, const char *line), void *user);

typedef struct athi_retrain_opts {
    size_t struct_size;
    bool exact;
    int64_t top;          /* 1 */
    int64_t patience;     /* 10 */
    double epochs_factor; /* 1.2 */
    int64_t max_epochs;   /* while looking for the best epoch; 0: train.epochs */
} athi_retrain_opts;

typedef struct athi_ensemble_opts {
    size_t struct_size;
    bool exact;
    ath_spec method; /* weighted | average | geometric: rows of ensemble */
} athi_ensemble_opts;

typedef struct athi_quantize_opts {
    size_t struct_size;
    bool exact;
    int to;                   /* int8 */
    int64_t samples;          /* of calibration */
    ath_spec calibration;     /* abs_max | percentile: rows of calibration */
    const athi_value *except; /* list of layers, or NULL */
} athi_quantize_opts;

/** The limits of an execution that the options name, in the arena. ATH_E_OPTION: cores or gpus are no such list. */
ath_status athi_tune_limits(ath_ctx *ctx, athi_arena *arena, const athi_tune_opts *opts, athi_limits *limits);

extern const athi_row athi_train_row, athi_tune_row, athi_retrain_row, athi_ensemble_row, athi_quantize_row;
/** Executions of a trial: executions_per_trial for each fold. */
int64_t athi_tune_executions(const athi_tune_opts *tune);
/** What runs at a time: `jobs` (0: as the section says), and where that is 0 as many as there are processors for with so
 *  many threads each (0: as the section says, else one). Trials side by side train more than threads inside of one. */
int athi_tune_jobs(const athi_tune_opts *tune, int jobs, int threads);
/** Threads of each of these jobs: `threads`, else what the section says, else its share of `all`, at least one. */
int athi_tune_threads(const athi_tune_opts *tune, int jobs, int threads, int all);
/** May this key of a tune section change between two starts of one study? */
bool athi_tune_key_is_free(const char *key);

/** What a tune section says about its search. `where` begins the sentences ("tune."); jobs are the caller's to set. */
ath_status athi_tune_search(ath_ctx *ctx, athi_arena *arena, const athi_tune_opts *tune, const char *where,
                            const athi_space *space, uint64_t seed, athi_store *store, athi_search_opts *search);

/* ---- recipes (recipe.c, ranges.c, bind.c) -------------------------------------------------------- */

typedef struct athi_recipe {
    ath_ctx *ctx;
    athi_arena *arena;
    const char *path, *folder; /* of the file; folder "" : the current one */
    const char *name;
    uint64_t seed;
    athi_value *root;                /* as read, --set applied, ranges in place */
    athi_space *space;               /* of its ranges, n = 0: none */
    bool tunes, retrains, ensembles, quantizes; /* which stages it names */
    athi_tune_opts tune;             /* zero where the section is absent */
    athi_limits limits;              /* of an execution */
    athi_retrain_opts retrain;
    athi_ensemble_opts ensemble;
    athi_quantize_opts quantize;
    struct athi_sweep_opts *sweeps; /* recipe/sweep.h */
    int n_sweeps;
} athi_recipe;

/** Reads, applies `sets`, collects the space, and checks all that can be checked without the data: keys, types,
 * ranges of every option, in every branch of every choice. The sentence begins with "file:line:column: ". */
ath_status athi_recipe_read(ath_ctx *ctx, const char *path, const char *const *sets, int n_sets,
                            athi_recipe **recipe);
/** The same from a text in memory (a model file's metadata). */
ath_status athi_recipe_parse(ath_ctx *ctx, const char *name, const char *text, int64_t n, const char *const *sets,
                             int n_sets, athi_recipe **recipe);
void athi_recipe_destroy(athi_recipe *recipe);
/** The recipe with every range replaced by the point's value (point NULL: the defaults), the seed set, and
 * the sections tune, retrain, ensemble and quantize left out. In the given arena. */
ath_status athi_recipe_bind(const athi_recipe *recipe, athi_arena *arena, const double *point, uint64_t seed,
                            athi_value **bound);
/** Makes the i-th of k equal pieces of the training data the validation data. */
ath_status athi_bound_fold(athi_arena *arena, athi_value *bound, int64_t fold, int64_t of);
/* What a search optimises. */
typedef struct athi_objectives {
    int n; /* >= 1 */
    const char *names[ATHI_OBJECTIVES_MAX];
    bool maximize[ATHI_OBJECTIVES_MAX];
} athi_objectives;
/** tune.objective: a metric or a list of them, and directions, known as KerasTuner knows them; val_loss where nothing is
 *  said. */
ath_status athi_recipe_objective(const athi_recipe *recipe, athi_objectives *out);
/** The same of a value; `where` begins the sentence. */
ath_status athi_objective_read(ath_ctx *ctx, const athi_value *objective, const char *where, athi_objectives *out);
/** What must be the same when a folder is used again: the recipe without budgets, sampler, reports. */
ath_status athi_recipe_definition(const athi_recipe *recipe, athi_arena *arena, athi_value **definition);
/** Where a sentence has a place in a recipe ("line 3, column 7: "), "name:3:7: " in front of it; others stay, since
 *  they name another file. Returns the status. */
ath_status athi_place_in(ath_ctx *ctx, ath_status status, const char *name);
/** Builds and compiles (without training) the default point, every branch of every choice, and both ends of
 * every range against the data's shapes, and sees that callbacks and objective watch what is reported: what cannot work is an
 * error before any time is spent. */
ath_status athi_recipe_check(const athi_recipe *recipe, const athi_data *data);

/* ---- spaces of other programs (space_file.c, tune_command.c) ------------------------------------- */

/* SPACE: the ranges below `space:`, and what a recipe says in its section tune at the top. */
typedef struct athi_space_file {
    ath_ctx *ctx;
    athi_arena *arena;
    const char *path, *name;
    uint64_t seed;
    athi_value *root; /* as read, with what --set and --param say */
    athi_space *space;
    athi_tune_opts tune;
    athi_limits limits;
    athi_objectives objectives;
} athi_space_file;
/** path NULL: nothing but what `params` ("lr=!float {…}") and `sets` ("max_trials=20") say. */
ath_status athi_space_file_read(ath_ctx *ctx, const char *path, const char *const *sets, int n_sets,
                                const char *const *params, int n_params, athi_space_file **file);
/** The same from a text in memory; `path` and `name` are what it is called. */
ath_status athi_space_file_parse(ath_ctx *ctx, const char *path, const char *name, const char *text, int64_t n,
                                 athi_space_file **file);
void athi_space_file_destroy(athi_space_file *file);
/** The study at `path`, with the space stored in it. `command`: its command line, NULL: none. `owner`: who may change the
 *  space of a study that is there already, to a larger one; NULL: it must be the same. `alone`: refused where the file
 *  holds another study. */
ath_status athi_space_file_study(const athi_space_file *file, const char *path, const char *const *command,
                                 const char *owner, bool alone, athi_store **store);

/* ---- recorded learning curves (curves.c, tune_simulate.c) ----------------------------------------- */

/* Columns in any order: parameters, the objective after steps 1, 2, 3, …, and `seconds` of one step. Lines that begin with
 * # are remarks; a row is a configuration. */
typedef struct athi_recorded {
    const char *path;
    const char **columns, **cells; /* rows of n_columns */
    int64_t n_columns, n_rows, cap_rows;
    int64_t *lines;       /* of the file, for sentences */
    int64_t *step_column; /* of step i + 1 */
    int64_t steps, seconds_column; /* -1: there is none, a step takes 1 */
    double *values;       /* rows of steps; NaN from where a training failed */
} athi_recorded;
ath_status athi_recorded_read(ath_ctx *ctx, athi_arena *arena, const char *path, athi_recorded *out);
/** What a SPACE file says, run over recorded curves on so many simulated workers (0: the file's jobs), with the study in
 *  `folder`. Its parameters are columns; one that is called "row" and is no column is the number of the row, from 0. */
ath_status athi_tune_simulate(const athi_space_file *file, athi_arena *arena, const athi_recorded *recorded, int64_t workers,
                              const char *folder, const volatile int *interrupted, athi_value **report);

/* ---- from a bound recipe to a model (build.c) ---------------------------------------------------- */

/* Everything that a bound recipe says about one training. Owned by its arena but for the model. */
typedef struct athi_job {
    ath_model *model; /* compiled, not prepared */
    athi_train_opts train;
    athi_callback *callbacks;
    int n_callbacks;
    double *class_weight; /* per class, or NULL */
    uint64_t seed;
    const athi_value *bound;
} athi_job;
/** The data that a bound recipe names. cache: folder of decoded data, or NULL. */
ath_status athi_bound_data(ath_ctx *ctx, const athi_value *bound, const char *folder, const char *cache,
                           athi_data **data);
/** sample_shape and targets come from the data. */
ath_status athi_bound_build(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                            athi_job *job);
/** The metadata of a state or model file: {"recipe": JSON, "preprocess": JSON, "classes": JSON}. */
ath_status athi_bound_metadata(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                               athi_value **metadata);
/** A model file -> a model that predicts; its preprocessing and class names. Everything comes from the file alone. */
typedef struct athi_loaded {
    athi_arena *arena;
    athi_value *bound;
    ath_model *model;
    athi_preprocess preprocess;
    athi_shape sample_shape, target_shape;
    const athi_value *metadata; /* of the file */
    bool int8;                  /* its kernels are */
    const char *const *class_names;
    int64_t n_classes;
} athi_loaded;
ath_status athi_model_open(ath_ctx *ctx, const char *path, athi_loaded **loaded);
void athi_model_close(athi_loaded *loaded);

/* ---- one training (train_one.c) ------------------------------------------------------------------ */

typedef struct athi_training_opts {
    const athi_value *bound;
    const athi_data *data;
    const athi_part *train, *validation; /* NULL: the data's; validation may be an empty part */
    const char *directory;               /* state.safetensors and log.jsonl go there; NULL: nowhere */
    const char *init;                    /* weights to begin with, or NULL */
    const char *monitor;                 /* best epoch of it is kept; NULL: none */
    bool maximize;
    int64_t inherited;              /* epochs of the state in `directory` that are another trial's: none is the best */
    int64_t epochs;                 /* 0: the recipe's */
    const athi_callback *callbacks; /* in place of the recipe's, if n_callbacks >= 0 */
    int n_callbacks;                /* -1: the recipe's */
    int64_t max_steps;
    bool no_shuffle;
    ath_status (*on_epoch)(void *user, const athi_epoch *e, bool *stop);
    void (*on_batch)(void *user, int64_t epoch, int64_t batch, int64_t batches);
    void *user;
    const volatile int *interrupted;
} athi_training_opts;
/** Builds, prepares, trains (continuing what the directory holds). On success *job holds the trained model,
 * to be destroyed by the caller with athi_model_destroy. */
ath_status athi_train_one(ath_ctx *ctx, athi_arena *arena, const athi_training_opts *opts, athi_job *job);

/** Trains warm_up + steps updates and says how fast the last ones were (time_one.c). */
ath_status athi_time_one(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data, int64_t warm_up,
                         int64_t steps, const volatile int *interrupted, double *samples_per_second);

/* ---- stages (worker.c, stages.c) ----------------------------------------------------------------- */

/** The worker's side of runner.h: takes tasks from `in`, trains, reports to `out`, until end of file. `setup` is a file
 *  that stages.c wrote: {"recipe": text, "file": its name, "folder", "cache", "objective", "maximize"}, and "timed_steps", "warm_up" of a sweep. */
ath_status athi_worker_serve(ath_ctx *ctx, const char *setup, int in, int out, const volatile int *interrupted);

typedef struct athi_run_event {
    const char *stage;        /* "tune", "sweep", "retrain", "ensemble", "evaluate" */
    const char *what;         /* a line for people */
    const athi_value *detail; /* the same for programs, or NULL */
} athi_run_event;

typedef struct athi_run_opts {
    const char *directory; /* of the run */
    const char *cache;     /* of decoded data */
    const char *program;   /* path of athanor, for workers */
    const char *study;     /* where the trials are kept; NULL: study.db in the directory */
    int jobs, threads;     /* 0: the recipe's */
    bool only_tune, overwrite;
    const struct athi_sweep_opts *sweep; /* it is the search of this sweep; NULL: one of its own */
    bool joins;     /* one of several on the study: the directory is not locked, no report is written */
    int study_jobs; /* of all of them together, where the order of suggestions depends on it; 0: as jobs */
    void (*event)(void *user, const athi_run_event *event);
    void *user;
    const volatile int *interrupted;
    bool *begun; /* set when a trial or training has begun, before the first event of it; NULL: nobody asks */
} athi_run_opts;

/** All stages that the recipe names, each continued where it stopped; `report` is report.json's content, also
 * written there. Errors: ATH_E_STATE another recipe's folder, ATH_E_BUSY a living process holds it,
 * ATH_E_INTERRUPTED. */
ath_status athi_run(const athi_recipe *recipe, athi_arena *arena, const athi_run_opts *opts, athi_value **report);
/** Tunes a command (argv with templates, NULL-ended); opts->threads 0 leaves its environment as it is. dry: the
 *  defaults once, in <directory>/dry-run. `report`: trials, the best one, why the search ended. */
ath_status athi_tune_command(const athi_space_file *file, athi_arena *arena, const athi_run_opts *opts,
                             const char *const *command, bool dry, athi_value **report);
/** A driver's name among those on a study, in the arena: its own, or (where the lock of a folder says that there is but
 *  one) the folder's. NULL: no memory. */
const char *athi_driver_name(athi_arena *arena, const char *locked_folder);
/** Takes part in the study opts->study, which a search over a recipe or a command has set up, until it is done.
 *  `report`: what was done here. ATH_E_NOTFOUND: no search has. */
ath_status athi_join(ath_ctx *ctx, athi_arena *arena, const athi_run_opts *opts, athi_value **report);

#endif
