/* What the files of train share: feeding batches, callbacks, logs. */
#ifndef ATHI_TRAIN_INTERNAL_H
#define ATHI_TRAIN_INTERNAL_H

#include "passes/passes.h"
#include "train/train.h"

/* ---- feed.c -------------------------------------------------------------------------------------- */

typedef struct athi_feed {
    ath_model *model;
    const athi_part *part;
    const athi_preprocess *preprocess;
    const double *class_weight;
} athi_feed;
/** Do the part's samples and targets fit the model? */
ath_status athi_feed_check(ath_ctx *ctx, const athi_feed *feed, const char *what);
/** Gathers samples order[0..n) into the plan's input slots. */
void athi_feed_batch(const athi_feed *feed, athi_plan *plan, const int64_t *order, int64_t n);
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

/* impl of a callback row; every function but monitor may be NULL. */
typedef struct athi_callback_impl {
    int n_state;
    const char *(*monitor)(const void *opts); /* the report it watches; NULL: none */
    bool (*restores)(const void *opts);       /* needs ATHI_SNAPSHOT_EARLY_STOPPING */
    bool needs_constant_rate;
    ath_status (*begin)(athi_callback_call *c, const void *opts);  /* fresh run only */
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
