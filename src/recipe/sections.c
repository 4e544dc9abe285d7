/* The option rows of the sections train, tune, retrain and ensemble (data's row is the data part's). */
#include "recipe/internal.h"

#include "ensemble/ensemble.h"
#include "nn/net.h"

#define OPT(field) offsetof(athi_train_opts, field)
static const athi_option train_options[] = {
    {"optimizer", ATHI_OPT_SPEC, OPT(optimizer), "rmsprop", .kind = &athi_optimizers,
     .doc = "how weights are updated"},
    {"loss", ATHI_OPT_SPEC, OPT(loss), NULL, .kind = &athi_losses, .doc = "what is made small"},
    {"metrics", ATHI_OPT_VALUE, OPT(metrics), "null", .nullable = true,
     .doc = "what else is reported: a list of metrics"},
    {"epochs", ATHI_OPT_INT, OPT(epochs), "1", .min = 1, .max = 1e9, .search_min = 1, .search_max = 100,
     .scale = ATHI_LOG, .doc = "times over the training samples"},
    {"callbacks", ATHI_OPT_VALUE, OPT(callbacks), "null", .nullable = true,
     .doc = "what happens between epochs: a list of callbacks"},
    {"class_weight", ATHI_OPT_VALUE, OPT(class_weight), "null", .nullable = true,
     .doc = "weight of each class in the loss: {class number or name: weight}, 1 where not named"},
    {"steps", ATHI_OPT_INT, OPT(steps), "0", .min = 0, .max = 1e15, .doc = "updates in all; 0: no limit"},
    {"steps_per_execution", ATHI_OPT_INT, OPT(steps_per_execution), "1", .min = 1, .max = 1e9,
     .doc = "updates in a row between two looks at progress, interruption and checkpoints; the weights are the same"},
    {0}};
const athi_row athi_train_row = {"train", "how the model is trained", train_options, sizeof(athi_train_opts), NULL,
                                 NULL};
#undef OPT

#define OPT(field) offsetof(athi_tune_opts, field)
static const char *const value_names[] = {"best", "last", NULL};
static const athi_option tune_options[] = {
    {"sampler", ATHI_OPT_SPEC, OPT(sampler), "auto", .kind = &athi_samplers, .doc = "what proposes the next point"},
    {"objective", ATHI_OPT_VALUE, OPT(objective), "val_loss",
     .doc =
         "the report that is optimised: its name, or {metric: NAME, direction: min | max}; a list of these: several "
         "objectives"},
    {"constraints", ATHI_OPT_VALUE, OPT(constraints), "null", .nullable = true,
     .doc =
         "between parameters: a list of expressions that hold in every proposed point, such as \"layers * units <= "
         "512\"; one that names a parameter which a point does not have says nothing there"},
    {"points", ATHI_OPT_VALUE, OPT(points), "null", .nullable = true,
     .doc = "points that are tried first: a list of maps of parameters to values; what is left out has its default"},
    {"warm_start", ATHI_OPT_VALUE, OPT(warm_start), "null", .nullable = true,
     .doc =
         "another study (a run's folder, a file or a URL), or {study, name, trials, as}: its best points are tried "
         "after `points` (5 of them unless said); as: observations takes its trials as if they were of this study"},
    {"max_trials", ATHI_OPT_INT, OPT(max_trials), "10", .min = 1, .max = 1e9, .doc = "trials in all"},
    {"max_seconds", ATHI_OPT_FLOAT, OPT(max_seconds), "0", .min = 0, .max = 1e9,
     .doc = "no new trial begins once trials have run for so long, over all starts; 0: no limit"},
    {"max_pending", ATHI_OPT_INT, OPT(max_pending), "0", .min = 0, .max = 1e9,
     .doc = "trials under way at a time, for ask-tell; 0: any number"},
    {"stop", ATHI_OPT_SPEC, OPT(stop), "null", .nullable = true, .kind = &athi_stop_rules,
     .doc = "when there is nothing more to be gained"},
    {"scheduler", ATHI_OPT_SPEC, OPT(scheduler), "null", .nullable = true, .kind = &athi_schedulers,
     .doc = "which trials go on, and how far: asha, hyperband, …; without one every trial runs to its end"},
    {"prune", ATHI_OPT_SPEC, OPT(prune), "null", .nullable = true, .kind = &athi_schedulers,
     .doc = "a second scheduler that only stops, beside the first: median, percentile, threshold or patience"},
    {"rescore", ATHI_OPT_INT, OPT(rescore), "0", .min = 0, .max = 1000,
     .doc = "trials of the winner on fresh seeds after the search: what it is worth without luck"},
    {"executions_per_trial", ATHI_OPT_INT, OPT(executions_per_trial), "1", .min = 1, .max = 1000,
     .doc = "trainings of each point, with different seeds; their mean counts"},
    {"folds", ATHI_OPT_INT, OPT(folds), "0", .min = 0, .max = 1000,
     .doc =
         "cross-validation: the training data in so many pieces, of which each is the validation data once; the mean "
         "counts, and every trial sees the same pieces; 0: data.validation"},
    {"jobs", ATHI_OPT_INT, OPT(jobs), "1", .min = 0, .max = 1024,
     .doc = "trainings at a time; 0: as many as there are processors for"},
    {"threads", ATHI_OPT_INT, OPT(threads), "0", .min = 0, .max = ATHI_THREADS_MAX,
     .doc = "threads of each job; 0: its share of the processors, at least one"},
    {"deterministic", ATHI_OPT_BOOL, OPT(deterministic), "false",
     .doc = "a suggestion sees the trials up to its own number - jobs only, so that a parallel search gives "
            "the same trials every time"},
    {"value", ATHI_OPT_ENUM, OPT(value), "best", .names = value_names, .doc = "which epoch of an execution counts"},
    {"keep", ATHI_OPT_INT, OPT(keep), "10", .min = 0, .max = 1e9, .doc = "of how many best trials the state is kept"},
    {"timeout", ATHI_OPT_FLOAT, OPT(timeout), "0", .min = 0, .max = 1e9,
     .doc = "seconds that an execution may take; 0: any"},
    {"kill_after", ATHI_OPT_FLOAT, OPT(kill_after), "10", .min = 0.001, .max = 1e6,
     .doc = "seconds between SIGTERM and SIGKILL for an execution that has to end"},
    {"memory_limit", ATHI_OPT_FLOAT, OPT(memory_limit), "0", .min = 0, .max = 1e9,
     .doc = "MiB that an execution and what it starts may use, mapped files and shared memory aside; 0: any"},
    {"output_limit", ATHI_OPT_FLOAT, OPT(output_limit), "64", .min = 0, .max = 1e9,
     .doc = "MiB of stdout.log and of stderr.log that are kept of an execution; 0: all"},
    {"cores", ATHI_OPT_VALUE, OPT(cores), "none",
     .doc =
         "processors of the jobs: none: the system chooses; auto: each job gets its share of those that there are; "
         "a list of numbers, shared in order"},
    {"gpus", ATHI_OPT_VALUE, OPT(gpus), "null", .nullable = true,
     .doc = "a list of devices, of which each job sees one (CUDA_VISIBLE_DEVICES), in turn"},
    {"retries", ATHI_OPT_INT, OPT(retries), "0", .min = 0, .max = 1000,
     .doc = "how often an execution that crashed is tried again; one that was lost is at least three times"},
    {"resumable", ATHI_OPT_BOOL, OPT(resumable), "false",
     .doc =
         "of a command: when it is started again with ATHANOR_RESUMED=1, it goes on from what it has left in {dir}"},
    {0}};
const athi_row athi_tune_row = {"tune",       "the search over the recipe's ranges",
                                tune_options, sizeof(athi_tune_opts),
                                NULL,         NULL};
#undef OPT

typedef struct warm_opts {
    size_t struct_size;
    bool exact;
    const char *study, *name;
    int64_t trials;
    int as;
} warm_opts;
#define OPT(field) offsetof(warm_opts, field)
static const char *const as_names[] = {"points", "observations", NULL};
static const athi_option warm_options[] = {
    {"study", ATHI_OPT_STRING, OPT(study), NULL, .doc = "a run's folder, a file or a URL"},
    {"name", ATHI_OPT_STRING, OPT(name), "null", .nullable = true, .doc = "which study of several there"},
    {"trials", ATHI_OPT_INT, OPT(trials), "0", .min = 0, .max = 1e9,
     .doc = "how many of the best; 0: five points, all observations"},
    {"as", ATHI_OPT_ENUM, OPT(as), "points", .names = as_names, .doc = "points or observations"},
    {0}};
static const athi_row warm_row = {"warm_start", "what another study knows", warm_options, sizeof(warm_opts), NULL,
                                  "study"};
#undef OPT

ath_status athi_warm_start_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_warm_start *out) {
    enum { POINTS = 5 };
    warm_opts o;
    ATH_TRY(athi_placed(ctx, athi_options_read(ctx, arena, &warm_row, v, NULL, "warm_start", &o), v));
    *out = (athi_warm_start){.study = o.study,
                             .name = o.name,
                             .trials = o.trials || o.as ? o.trials : POINTS,
                             .observations = o.as != 0};
    return ATH_OK;
}

bool athi_tune_key_is_free(const char *key) {
    static const char *const free_keys[] = {
        /* budgets */ "max_trials",
        "max_seconds",
        "max_pending",
        "stop",
        "rescore",
        "points",
        "warm_start",
        "keep",
        /* means */ "sampler",
        "scheduler",
        "prune",
        "jobs",
        "threads",
        "cores",
        "gpus",
        /* limits */ "timeout",
        "memory_limit",
        "output_limit",
        "kill_after",
        "retries",
        "resumable",
    };
    for (int i = 0; i < ATHI_COUNT(free_keys); i++)
        if (strcmp(free_keys[i], key) == 0) return true;
    return false;
}

#define OPT(field) offsetof(athi_retrain_opts, field)
static const athi_option retrain_options[] = {
    {"top", ATHI_OPT_INT, OPT(top), "1", .min = 1, .max = 1000, .doc = "how many of the best trials"},
    {"patience", ATHI_OPT_INT, OPT(patience), "10", .min = 0, .max = 1e9,
     .doc = "epochs without a smaller val_loss before the search for the best epoch ends"},
    {"epochs_factor", ATHI_OPT_FLOAT, OPT(epochs_factor), "1.2", .min = 0.01, .max = 1000,
     .doc = "epochs on train + validation, as a multiple of the best epoch"},
    {"max_epochs", ATHI_OPT_INT, OPT(max_epochs), "0", .min = 0, .max = 1e9,
     .doc = "epochs at most while looking for the best one; 0: train.epochs"},
    {0}};
const athi_row athi_retrain_row = {"retrain",
                                   "fresh trainings of the best trials on train + validation",
                                   retrain_options,
                                   sizeof(athi_retrain_opts),
                                   NULL,
                                   NULL};
#undef OPT

static const athi_option ensemble_options[] = {
    {"method", ATHI_OPT_SPEC, offsetof(athi_ensemble_opts, method), "weighted", .kind = &athi_ensembles,
     .doc = "how the members' weights are learned and their predictions combined"},
    {0}};
const athi_row athi_ensemble_row = {
    "ensemble", "the retrained models together", ensemble_options, sizeof(athi_ensemble_opts), NULL, "method"};
