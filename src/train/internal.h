/* What the files of train share: feeding batches, callbacks, logs. */
#ifndef ATHI_TRAIN_INTERNAL_H
#define ATHI_TRAIN_INTERNAL_H

#include "athanor/callbacks.h"
#include "passes/passes.h"
#include "train/train.h"

/* ---- feed.c -------------------------------------------------------------------------------------- */

typedef struct athi_feed {
    ath_model *model;
    const athi_part *part;
    const athi_preprocess *preprocess;
    const double *class_weight;
    const athi_augment_list *augment; /* NULL or empty: the samples as they are */
    float *scratch;                   /* athi_feed_scratch floats; NULL: nothing is augmented */
} athi_feed;
/** Do the part's samples, targets and augmentations fit the model? */
ath_status athi_feed_check(ath_ctx *ctx, const athi_feed *feed, const char *what);
/** What augmenting batches of this size needs; 0: nothing. */
int64_t athi_feed_scratch(const athi_feed *feed, int64_t batch);

/* Where a batch lies: a plan's input slots, or memory of its own. NULL: nobody reads it. */
typedef struct athi_slots {
    void *x, *y;
    float *w;
} athi_slots;
/** The input slots of a plan; those that it does not read are NULL. */
athi_slots athi_feed_slots(const athi_feed *feed, athi_plan *plan);
/** Gathers samples order[0..n). `key`: of the random changes; NULL where there are none. */
void athi_feed_batch(const athi_feed *feed, const athi_slots *to, const athi_batch_key *key, const int64_t *order,
                     int64_t n);
/** Runs the model's program of a mode over samples order[0..n), `batch` at a time; after each one `done`, if there is
 *  one, with the place of its first sample in `order`. */
typedef void athi_batch_done(void *user, athi_plan *plan, int64_t begin, int64_t n);
ath_status athi_feed_samples(const athi_feed *feed, athi_mode mode, const int64_t *order, int64_t n, int64_t batch,
                             athi_batch_done *done, void *user);
/** Drops all plans: the graph's outputs have changed. */
void athi_model_forget_plans(ath_model *model);

/* ---- pipeline.c ------------------------------------------------------------------------------------ */

/* Makes the next batch in a thread of its own. */
typedef struct athi_pipeline athi_pipeline;
/** Starts the thread; its memory is the arena's. *pipeline NULL with ATH_OK: there is no thread to be had. The feed must
 * stay where it is. */
ath_status athi_pipeline_start(athi_arena *arena, const athi_feed *feed, int64_t batch, athi_pipeline **pipeline);
/** Asks for samples order[0..n), which must stay as they are until the batch is taken. What nobody took is given up. */
void athi_pipeline_ask(athi_pipeline *pipeline, const athi_batch_key *key, const int64_t *order, int64_t n);
/** Waits for what was asked for, and copies it. */
void athi_pipeline_take(athi_pipeline *pipeline, const athi_slots *to);
/** Ends the thread, after the batch that it may be making; NULL is allowed. */
void athi_pipeline_stop(athi_pipeline *pipeline);

/** Sums of loss and metrics in the block: to zero, and as means (a root where the metric wants one). */
void athi_sums_clear(ath_model *model);
void athi_sums_read(const ath_model *model, double *means);

/* ---- callbacks.c --------------------------------------------------------------------------------- */

typedef struct athi_callback_call {
    ath_ctx *ctx;
    ath_model *model;
    const athi_fit_opts *fit;
    const athi_epoch *epoch;
    double *state; /* the callback's own doubles, in the block */
    double *rate;  /* the learning rate that callbacks set */
    bool stop;     /* out */
} athi_callback_call;

/* What an epoch of this process took. */
typedef struct athi_epoch_costs {
    int64_t samples; /* trained on */
    double seconds;  /* with validation */
} athi_epoch_costs;

/* impl of a callback row; every function but monitor may be NULL. */
typedef struct athi_callback_impl {
    int n_state;
    const char *(*monitor)(const void *opts); /* the report it watches; NULL: none */
    bool (*restores)(const void *opts);       /* needs ATHI_SNAPSHOT_EARLY_STOPPING */
    bool needs_constant_rate;
    /* What a row of options cannot say; reports: the n names of what an epoch reports. */
    ath_status (*check)(ath_ctx *ctx, const void *opts, const char *const *reports, int n);
    const char *report; /* what it adds to every epoch's reports; NULL: nothing */
    double (*measure)(athi_callback_call *c, const void *opts, const athi_epoch_costs *costs); /* its value */
    ath_status (*begin)(athi_callback_call *c, const void *opts);                              /* fresh run only */
    ath_status (*resume)(athi_callback_call *c, const void *opts); /* cut back what lies outside the block */
    ath_status (*epoch_end)(athi_callback_call *c, const void *opts);
    void (*train_end)(athi_callback_call *c, const void *opts);
} athi_callback_impl;

typedef enum athi_callback_event {
    ATHI_CALLBACK_BEGIN,
    ATHI_CALLBACK_RESUME,
    ATHI_CALLBACK_EPOCH,
    ATHI_CALLBACK_END
} athi_callback_event;
ath_status athi_callbacks_run(ath_model *model, const athi_fit_opts *fit, athi_callback_event event,
                              const athi_epoch *epoch, bool *stop);
/** Values of the reports that callbacks add, in the order of athi_report_names. */
void athi_callbacks_measure(ath_model *model, const athi_fit_opts *fit, const athi_epoch_costs *costs,
                            double *values);

extern const athi_callback_impl athi_model_checkpoint, athi_csv_logger, athi_stop_at_accuracy,
    athi_learning_rate_scheduler, athi_throughput, athi_total_time;
extern const athi_option athi_model_checkpoint_options[], athi_csv_logger_options[], athi_stop_at_accuracy_options[],
    athi_learning_rate_scheduler_options[];

/** Does a report get better upwards? athi_modes: the names of the modes. */
bool athi_goes_up(ath_monitor_mode mode, const char *monitor);
extern const char *const athi_modes[];
/** Keras: better than the reference by more than min_delta. NaN never is. */
bool athi_improves(bool up, double value, double reference, double min_delta);
/** What every number is better than. */
double athi_worst(bool up);

/* ---- memory.c ------------------------------------------------------------------------------------ */

/** ATH_E_NOMEM with both figures where `what` needs more than the machine has free. */
ath_status athi_memory_fits(ath_ctx *ctx, int64_t bytes, const char *what);

/* ---- log.c --------------------------------------------------------------------------------------- */

ath_status athi_log_append(ath_ctx *ctx, const char *path, const athi_epoch *epoch);
/** Appends a line to a text file. */
ath_status athi_line_append(ath_ctx *ctx, const char *path, const char *line, int64_t n);
/** Keeps the first n lines of a file and cuts off the rest; a missing file is fine. */
ath_status athi_lines_keep(ath_ctx *ctx, const char *path, int64_t n);

#endif
