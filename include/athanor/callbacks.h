/* Callbacks: what happens between the epochs of a training. They are given to ath_model_compile, since what they remember
 * is part of the state that a killed training goes on from, and run in every ath_model_fit of that model.
 *
 *     ath_model_compile(model, data, .loss = {"sparse_categorical_crossentropy"}, .metrics = {{"accuracy"}},
 *                       .callbacks = {ATH_CALLBACK(early_stopping, .patience = 5, .restore_best_weights = true),
 *                                     ATH_CALLBACK(model_checkpoint, .file = "epoch-{epoch}.safetensors"),
 *                                     ATH_CALLBACK(csv_logger, .separator = ";"),
 *                                     {"terminate_on_nan"}});
 *     ath_model_fit(model, data, .epochs = 50, .state = "state.safetensors");
 *
 * They are asked in their order after each epoch, before on_epoch. What they watch is a report by its name: loss, a metric,
 * the same with val_ before it where the data has a validation part, learning_rate, seconds, samples_per_second. Names,
 * defaults and semantics are those of Keras 3 but where the comment says otherwise; `athanor list callbacks` prints them.
 * Zero means the default unless `.exact = true`. Without options:
 *     terminate_on_nan    ends the training after an epoch whose loss is NaN or infinite, where ath_model_fit would fail
 *     throughput          adds the report throughput: training samples a second of the epoch, its validation included
 *     total_time          adds the report total_seconds: of all epochs so far, over all starts */
#ifndef ATHANOR_CALLBACKS_H
#define ATHANOR_CALLBACKS_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A callback with options, as an element of .callbacks: ATH_CALLBACK(early_stopping, .patience = 5). */
#define ATH_CALLBACK(row, ...)                                                                                       \
    ((ath_spec){#row, &(ath_##row##_opts){.struct_size = sizeof(ath_##row##_opts), __VA_ARGS__}})

/** Which values of a report are better. */
typedef enum ath_monitor_mode {
    ATH_MONITOR_AUTO, /* the metric's own direction; a loss and what is not known: smaller ones */
    ATH_MONITOR_MIN,
    ATH_MONITOR_MAX,
} ath_monitor_mode;

/** early_stopping: ends the training when a report no longer improves. */
typedef struct ath_early_stopping_opts {
    size_t struct_size;
    bool exact;
    const char *monitor;       /* "val_loss" */
    double min_delta;          /* 0; the smallest change that counts as an improvement */
    int64_t patience;          /* 0; epochs without improvement after which it stops */
    ath_monitor_mode mode;     /* auto */
    ath_floats baseline;       /* none, or one number: only values better than it renew the patience */
    bool restore_best_weights; /* end with the weights of the best epoch; a copy of them lies in the state */
    int64_t start_from_epoch;  /* 0; epochs before it begins to watch */
} ath_early_stopping_opts;

/** reduce_lr_on_plateau: lowers the learning rate when a report no longer improves. The optimizer's must be a constant one. */
typedef struct ath_reduce_lr_on_plateau_opts {
    size_t struct_size;
    bool exact;
    const char *monitor;   /* "val_loss" */
    double factor;         /* 0.1; new rate = rate factor; 0 to 1 */
    int64_t patience;      /* 10; epochs without improvement after which the rate is reduced */
    ath_monitor_mode mode; /* auto */
    double min_delta;      /* 0.0001; the smallest change that counts as an improvement */
    int64_t cooldown;      /* 0; epochs to wait after a reduction before it watches again */
    double min_lr;         /* 0; the rate never goes below this */
} ath_reduce_lr_on_plateau_opts;

/** model_checkpoint: weights and statistics after each epoch, in a file that ath_model_load_weights reads. {epoch} in its
 *  name becomes the epoch's number of two digits or more, the name of a report in braces that report with four decimals. A
 *  relative name starts in the current folder. */
typedef struct ath_model_checkpoint_opts {
    size_t struct_size;
    bool exact;
    const char *file;      /* "model.safetensors" */
    const char *monitor;   /* "val_loss"; watched with save_best_only */
    bool save_best_only;   /* write only after an epoch that was better than all before */
    ath_monitor_mode mode; /* auto */
} ath_model_checkpoint_opts;

/** csv_logger: a line of names, then for each epoch a line of its number and its reports. A training that begins writes the
 *  file anew, one that goes on from a saved state goes on with it. A relative name starts in the current folder. */
typedef struct ath_csv_logger_opts {
    size_t struct_size;
    bool exact;
    const char *file;      /* "log.csv" */
    const char *separator; /* "," */
} ath_csv_logger_opts;

/** stop_at_accuracy: ends the training when a report has reached a target for several epochs. Not of Keras. */
typedef struct ath_stop_at_accuracy_opts {
    size_t struct_size;
    bool exact;
    double target;          /* required */
    const char *monitor;    /* "val_accuracy" */
    int64_t patience;       /* 2, >= 1; epochs at the target or beyond */
    ath_switch consecutive; /* on: only epochs in a row count */
    ath_monitor_mode mode;  /* auto; max: the target lies above, min: below */
} ath_stop_at_accuracy_opts;

/** learning_rate_scheduler: the optimizer's learning rate, a constant one, times factors[i] from epoch epochs[i - 1] + 1 to
 *  epochs[i]; the last factor holds to the end. Keras takes a function here. */
typedef struct ath_learning_rate_scheduler_opts {
    size_t struct_size;
    bool exact;
    ath_floats epochs;  /* required, ascending, >= 1: ATH_FLOATS(15, 25, 35) */
    ath_floats factors; /* required, one more than epochs, > 0: ATH_FLOATS(1, 0.1, 0.01, 0.001) */
} ath_learning_rate_scheduler_opts;

#ifdef __cplusplus
}
#endif
#endif
