/* Training: the state block, the model with its plans, the loop, callbacks, evaluation, prediction.
 *
 *   net (graph, params) ─ athi_model_prepare ─> state block + plans by (mode, batch)
 *   data parts ─ gather ─> input slots ─ plan ─> sums in the block ─> epoch records ─> log.jsonl, callbacks
 *
 * A run killed at any instant and resumed from its last state file replays to the same bits: everything that
 * the loop reads lies in the block or is a function of (seed, epoch, step). */
#ifndef ATHI_TRAIN_H
#define ATHI_TRAIN_H

#include "data/data.h"
#include "graph/backend.h"
#include "athanor/nn.h"
#include "nn/net.h"
#include "tensor/safetensors.h"

/* ---- the state block (state.c) ------------------------------------------------------------------- */
/*
 *  memory ─┬─ safetensors header (length, JSON, padding)
 *   data ──┴─ trainable | optimizer/<slot>/<variable> … | statistics | best/… | train/…     64-byte aligned each
 *             └ trainable_bytes; the gradient buffer has the same layout
 */
typedef struct athi_state {
    ath_ctx *ctx;
    athi_arena *arena;
    char *memory; /* the whole: writing it is a checkpoint */
    int64_t bytes;
    char *data;             /* what variable offsets count from */
    athi_contents contents; /* one entry a variable, in block order */
    int64_t trainable_bytes;
    const athi_graph *graph;
} athi_state;

/** Lays the variables of a graph out by role, sets their offsets, and allocates the block, zeroed. */
ath_status athi_state_create(ath_ctx *ctx, athi_graph *graph, const athi_value *metadata, athi_state **state);
void athi_state_destroy(athi_state *state);
void *athi_state_at(const athi_state *state, const athi_variable *variable);
ath_status athi_state_save(ath_ctx *ctx, const athi_state *state, const char *path);
/** Reads a state file of the same layout into the block. A damaged one, or one of another model, is refused
 * with a sentence and the block stays as it was. */
ath_status athi_state_load(ath_ctx *ctx, athi_state *state, const char *path);

/* ---- the model (model.c) ------------------------------------------------------------------------- */

enum { ATHI_PLANS_MAX = 12 };

struct ath_model {
    ath_ctx *ctx;
    athi_net *net;
    const athi_backend *backend;
    athi_state *state;        /* after athi_model_prepare */
    athi_variable *progress;  /* train/progress i64[4]: see athi_progress */
    athi_variable *values;    /* train/values f64[2]: see athi_values */
    athi_variable *callbacks; /* train/callbacks f64[n]: what callbacks remember */
    int64_t first_copy[2];    /* per snapshot: index of its first variable; they follow the weights' order */
    struct athi_plan_slot {
        athi_mode mode;
        int64_t batch;
        struct athi_plan *plan;
        int64_t used; /* clock of the last use */
    } plans[ATHI_PLANS_MAX];
    int64_t clock;
    char *slab, *grads;
    int64_t slab_bytes;
    int64_t version; /* counts the changes of the weights: see athi_spaces */
    int n_snapshots; /* how many copies of the weights best/… holds */
    /* Those that ath_model_compile took, for ath_model_fit; a recipe gives its own to athi_fit. */
    const struct athi_callback *listed;
    int n_listed;
};

/* The places of train/progress. */
enum athi_progress { ATHI_EPOCHS_DONE, ATHI_BATCHES_DONE, ATHI_BEST_EPOCH, ATHI_FINISHED, ATHI_PROGRESS_SIZE };
/* ATHI_FINISHED: after the last of its epochs, with more of which it would go on, or because a callback said so. */
enum athi_finished { ATHI_UNFINISHED, ATHI_STOPPED, ATHI_ALL_EPOCHS };

enum athi_values { ATHI_BEST_VALUE, ATHI_RATE /* set by callbacks, 0: the schedule's */, ATHI_VALUES_SIZE };

/* The copies of weights and statistics in the block: best/<variable> is of the run's monitor,
 * best/1/<variable> of an early_stopping that restores its own. */
typedef enum athi_snapshot { ATHI_SNAPSHOT_MONITOR, ATHI_SNAPSHOT_EARLY_STOPPING } athi_snapshot;

/** An empty model on the context's backend and threads; nn's calls build its net. */
ath_status athi_model_create(ath_ctx *ctx, ath_model **model);
void athi_model_destroy(ath_model *model);
/** Lays out the block and initialises the weights from `seed`. Once per model, after athi_net_compile.
 * n_callback_state: doubles for callbacks (athi_callbacks_need); metadata: of the state file, may be NULL. */
/** Can the model's backend compute as its layers want to? ATH_E_UNSUPPORTED; athi_model_prepare asks too. */
ath_status athi_model_check_compute(const ath_model *model);
ath_status athi_model_prepare(ath_model *model, uint64_t seed, int n_snapshots, int64_t n_callback_state,
                              const athi_value *metadata);
/** The plan of a mode and batch size: cached; the least recently used is dropped. */
ath_status athi_model_plan(ath_model *model, athi_mode mode, int64_t batch, struct athi_plan **plan);
void athi_model_keep(ath_model *model, athi_snapshot snapshot);
void athi_model_restore(ath_model *model, athi_snapshot snapshot);
/** Weights and statistics (from a snapshot, or -1: the current ones) as a model file with this metadata; and
 * from one, by name: every variable must be there in its shape. */
ath_status athi_model_save(ath_model *model, const char *path, const athi_value *metadata, int snapshot);
ath_status athi_model_load(ath_model *model, const char *path);

/* ---- the loop (fit.c) ---------------------------------------------------------------------------- */

/* What an epoch reports, in this order: epoch, step, loss, metrics, val_…, learning_rate, seconds,
 * samples_per_second, what callbacks add. */
typedef struct athi_epoch {
    int64_t epoch, step; /* from 1; updates so far */
    const char *const *names;
    const double *values;
    int n;
} athi_epoch;
double athi_epoch_value(const athi_epoch *e, const char *name, bool *found);

typedef struct athi_callback {
    const athi_row *row;
    const void *opts;
} athi_callback;
extern const athi_kind athi_callbacks;

typedef struct athi_fit_opts {
    const athi_part *train, *validation; /* validation NULL or n = 0: none */
    const athi_preprocess *preprocess;
    const athi_augment_list *augment; /* of training batches; NULL: none */
    int64_t batch, epochs;
    bool shuffle;
    uint64_t seed;
    const double *class_weight; /* per class, NULL: none */
    const athi_callback *callbacks;
    int n_callbacks;
    int64_t max_steps;          /* updates in all, 0: no limit */
    int64_t steps_per_execution; /* updates between two looks at progress, interruption and checkpoints; 0: 1 */
    const char *state_path;     /* checkpoints; NULL: none */
    const char *log_path;       /* log.jsonl; NULL: none */
    const char *folder;         /* what relative paths of callbacks start from; NULL: the current one */
    const char *monitor;        /* the report whose best epoch is kept in best/…; NULL: none */
    bool maximize;              /* of monitor */
    int64_t inherited;          /* epochs in the state that are another training's: none of them is the best */
    const athi_value *metadata; /* of model files that callbacks write */
    bool stop_on_nan;           /* a loss of NaN or infinity ends the run with ATH_E_FAILED */
    bool resume;                /* continue from state_path if it is there */
    /** After each epoch; may set *stop. */
    ath_status (*on_epoch)(void *user, const athi_epoch *e, bool *stop);
    /** Some times a second, for progress lines: batches done of this epoch. */
    void (*on_batch)(void *user, int64_t epoch, int64_t batch, int64_t batches);
    void *user;
    const volatile int *interrupted; /* not 0: save and return ATH_E_INTERRUPTED */
} athi_fit_opts;
/** ATH_E_OPTION where images are mixed and the loss takes class numbers. */
ath_status athi_augment_fits_model(const ath_model *model, const athi_augment_list *list);
/** Bytes beside block and plan that augmenting batches takes; 0: nothing is augmented. */
int64_t athi_feeding_bytes(ath_model *model, const athi_augment_list *list, int64_t batch);
/** What a training holds at its peak, in bytes, when every sample has been read once. */
typedef struct athi_memory_need {
    int64_t block, gradients, slab; /* weights, optimiser and statistics; activations and the kernels' own */
    int64_t batches;                /* athi_feeding_bytes */
    int64_t data;                   /* samples of all parts, as they are stored */
    int64_t program;                /* code, libraries, kernels made at run time */
    int64_t peak;                   /* all together */
} athi_memory_need;
/** Foretells it for a prepared model, whose plan is made. `program`: athi_memory_resident before data and model were there. */
ath_status athi_memory_of_training(ath_model *model, const athi_data *data, int64_t program, athi_memory_need *out);
/** Bytes of this process in memory now; 0 where the system does not tell. */
int64_t athi_memory_resident(void);
/** Trains. The model must be prepared. Where batches are augmented and there is a second thread to be used, the next batch
 * is made while a step computes. */
ath_status athi_fit(ath_model *model, const athi_fit_opts *opts);
/** The next athi_fit is a training of its own: none of its epochs is done, and callbacks know of none. Weights, statistics,
 * the optimiser and the learning rate that callbacks have set stay. */
void athi_model_begin_again(ath_model *model);
/** The names of what an epoch will report, in order, in the arena. */
ath_status athi_report_names(const ath_model *model, athi_arena *arena, bool validation, const athi_callback *callbacks,
                             int n_callbacks, const char *const **names, int *n);
/** Every monitor is among the n reports, options make sense, and no callback sets a rate that a schedule owns. */
ath_status athi_callbacks_check(const ath_model *model, const athi_callback *callbacks, int n_callbacks,
                                const char *const *reports, int n);
/** The target that a stop_at_accuracy among them has, and the report that it watches; false: there is none. */
bool athi_callbacks_target(const athi_callback *callbacks, int n, const char **monitor, double *target, bool *maximize);
/** Is a loss that is no number for one of them to end the training at? */
bool athi_callbacks_end_on_nan(const athi_callback *callbacks, int n);
/** What the callbacks want of athi_model_prepare. */
void athi_callbacks_need(const athi_callback *callbacks, int n, int *n_snapshots, int64_t *n_state);
/** Epochs done and the best epoch (from 1, 0: none) with its value, as the block has them. */
int64_t athi_epochs_done(const ath_model *model);
int64_t athi_best_epoch(const ath_model *model, double *value);

/** Means of loss and metrics over a part: values[n_sums of the net]. */
ath_status athi_evaluate(ath_model *model, const athi_part *part, const athi_preprocess *p, int64_t batch,
                         double *values);
/** What the last layer gives: out [part->n, …] float32. */
ath_status athi_predict(ath_model *model, const athi_part *part, const athi_preprocess *p, int64_t batch, float *out);

#endif
