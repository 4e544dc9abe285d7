/* A net: what the layer calls have built so far, and what training adds to it (loss, metrics, optimiser).
 *
 *   layer rows (layers_*.c) ──> graph nodes + params        a param is a variable with initialiser and regulariser
 *   loss, metric rows       ──> loss scalar + f64[2] sums   sums are variables train/sum/<metric>: {Σ w v, Σ w}
 *   optimiser row           ──> slot variables + update node
 *
 * Slots of the data: 0..n_inputs-1 are the inputs in order of creation, then the targets, then (if asked for) the
 * sample weights. */
#ifndef ATHI_NET_H
#define ATHI_NET_H

#include "athanor/nn.h"
#include "base/options.h"
#include "base/philox.h"
#include "graph/graph.h"

typedef struct athi_param {
    athi_variable *variable;
    const athi_row *initializer;
    const void *initializer_opts;
    const athi_row *regularizer; /* NULL: none */
    const void *regularizer_opts;
    int64_t fan_in, fan_out; /* as Keras counts them, for variance scaling */
} athi_param;

typedef struct athi_layer {
    const char *name; /* "conv2d_1" */
    const athi_row *row;
    const void *opts;
    ath_tensor *out;
    int64_t n_params; /* elements of its weights and statistics */
    bool numbered;    /* its name was made by counting */
} athi_layer;

typedef struct athi_net_input {
    const char *name;
    athi_shape shape; /* batch in front, ATHI_DYN */
    ath_dtype dtype;
} athi_net_input;

typedef struct athi_metric_sum {
    const char *name;        /* "loss", "accuracy" */
    athi_variable *variable; /* f64[2] */
    bool square_root;        /* rmse: the mean's root is reported */
} athi_metric_sum;

typedef struct athi_net {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_graph *graph;
    athi_net_input *inputs;
    int64_t n_inputs, cap_inputs;
    athi_layer *layers;
    int64_t n_layers, cap_layers;
    athi_param *params;
    int64_t n_params, cap_params;
    ath_dtype compute;       /* of the layers appended from now on */
    int64_t n_dropouts;      /* numbers given to dropout nodes */
    int64_t n_augments;      /* and to augmentations */
    athi_variable *counters; /* train/counters i64[2] {seed, step}: read by dropout and augmentations */
    /* set by athi_net_compile: */
    athi_shape target_shape; /* with the batch in front */
    ath_dtype target_dtype;
    int target_slot, weight_slot; /* -1: none */
    athi_variable *learning_rate; /* train/learning_rate f32 [] : written before each step */
    athi_metric_sum *sums;        /* loss first */
    int64_t n_sums;
    const athi_row *optimizer;
    const void *optimizer_opts;
    const athi_row *schedule; /* of the learning rate; "constant" for a number */
    const void *schedule_opts;
    bool compiled;
} athi_net;

ath_status athi_net_create(ath_ctx *ctx, athi_net **net);
void athi_net_destroy(athi_net *net);
/** shape without the batch; ATHI_DYN where it varies. */
ath_tensor *athi_net_input_add(athi_net *net, const char *name, athi_shape shape, ath_dtype dtype);
/** The net a tensor belongs to. */
athi_net *athi_net_of(const ath_tensor *t);
/** Poisons the graph with the sentence that the context holds, and returns the poison. */
ath_tensor *athi_net_fail(athi_net *net, ath_status status);
/** The same with "<row> '<layer>': <sentence>". */
ath_tensor *athi_layer_error(athi_net *net, ath_status status, const char *row, const char *layer, const char *fmt,
                             ...) ATHI_PRINTF(5, 6);
/** A variable that belongs to training: train/<name>. NULL after a failure. */
athi_variable *athi_train_variable(athi_net *net, const char *name, athi_shape shape, ath_dtype dtype);

/* ---- rows ---------------------------------------------------------------------------------------- */

extern const athi_kind athi_layers, athi_activations, athi_initializers, athi_regularizers, athi_losses, athi_metrics,
    athi_optimizers, athi_schedules, athi_policies;

/** What layers of a policy compute in. Errors: ATH_E_OPTION, a sentence that begins with `where`. */
ath_status athi_policy_find(ath_ctx *ctx, const char *name, const char *where, ath_dtype *compute);

/* impl of a layer row. `in` are not poison; a failure poisons the graph (athi_poison) and returns the poison. */
typedef struct athi_layer_impl {
    int min_in, max_in;
    ath_tensor *(*build)(athi_net *net, ath_tensor *const *in, int n_in, const void *opts, const char *name);
} athi_layer_impl;

/** Applies a layer with resolved options: numbers or checks the name (NULL: Keras's numbering), builds,
 * records it. */
ath_tensor *athi_layer_apply(athi_net *net, const athi_row *row, const void *opts, const char *name,
                             ath_tensor *const *in, int n_in);
/** Reads the options of a public call: resolves them as athi_options_resolve does, and finds the name. A failure
 * poisons the graph. */
ath_status athi_layer_opts(athi_net *net, const athi_row *row, const void *opts, const char **name, void **resolved);
/** What the public functions do: resolves `opts` as athi_options_resolve does, and applies the row of that
 * name. A field `name` stands third in every public option struct of a layer; opts may be NULL. */
ath_tensor *athi_layer_call(const char *row, ath_tensor *const *in, int n_in, const void *opts);
/** Adds the variable <layer>/<suffix>, its param and its node. */
ath_tensor *athi_param_add(athi_net *net, const char *layer, const char *suffix, athi_shape shape, bool trainable,
                           ath_spec initializer, ath_spec regularizer, int64_t fan_in, int64_t fan_out);

/* impl of an activation row: appends nodes. */
typedef struct athi_activation_impl {
    ath_tensor *(*build)(athi_net *net, ath_tensor *x, const void *opts);
} athi_activation_impl;
/** Applies an activation; spec.name NULL gives x back. */
ath_tensor *athi_activate(athi_net *net, ath_tensor *x, ath_spec activation);

/* impl of an initialiser row: fills n elements, drawing from `rng`, which is a function of (seed, param) alone. */
typedef struct athi_initializer_impl {
    ath_status (*fill)(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n, float *w);
} athi_initializer_impl;
/** Initial values of a param's variable. Seeds: Philox(seed, ATHI_PURPOSE(ATHI_RNG_INIT, index of the param)). */
ath_status athi_param_init(ath_ctx *ctx, const athi_net *net, int64_t param, uint64_t seed, float *w);

/* impl of a regulariser row: appends the penalty (a scalar) of a weight. */
typedef struct athi_regularizer_impl {
    ath_tensor *(*build)(athi_graph *graph, ath_tensor *w, const void *opts);
} athi_regularizer_impl;

/* What targets a loss or a metric wants. */
typedef enum athi_target {
    ATHI_TARGET_CLASS,       /* class numbers i32 [B, ...]: the predictions' shape without its last dimension */
    ATHI_TARGET_LIKE_OUTPUT, /* f32, the predictions' shape */
    ATHI_TARGET_BY_SHAPE,    /* metrics only: stands for another row, chosen by `choose` */
} athi_target;

/* What a loss or a metric compares. */
typedef struct athi_compared {
    ath_tensor *predictions; /* the model's output [B, ..., C] */
    ath_tensor *targets;
    ath_tensor *probabilities; /* the same values as `predictions`, where the loss gave them as a by-product:
                                  metrics read these, so that the softmax itself need not run; NULL: none */
} athi_compared;

/* impl of a loss row: appends the loss of each element, [B, ...]. */
typedef struct athi_loss_impl {
    athi_target target;
    ath_tensor *(*build)(athi_net *net, athi_compared *c, const void *opts);
} athi_loss_impl;
/* impl of a metric row: appends values [B, ...] that are averaged. */
typedef struct athi_metric_impl {
    athi_target target;
    bool higher_is_better, square_root;
    ath_tensor *(*build)(athi_net *net, athi_compared *c, const void *opts);
    const char *(*choose)(athi_shape predictions,
                          athi_shape targets); /* BY_SHAPE: the name of the row it stands for */
} athi_metric_impl;
/** Is a larger value of this report better? Names as in logs ("val_accuracy"); false in *known if unknown. */
bool athi_metric_direction(const char *name, bool *known);

/* impl of an optimiser row. Slots are variables optimizer/<slot>/<variable>, slot by slot. */
enum { ATHI_MAX_SLOTS = 3 };
typedef struct athi_optimizer_impl {
    int (*slots)(const void *opts, const char *names[ATHI_MAX_SLOTS]); /* how many, and their names */
    double (*fill)(const void *opts, int slot);                        /* first value of a slot's elements; NULL: 0 */
} athi_optimizer_impl;

/* impl of a schedule row: learning rate at a step (0-based number of updates). */
typedef struct athi_schedule_impl {
    double (*rate)(const void *opts, int64_t step);
    ath_status (*check)(ath_ctx *ctx, const void *opts); /* optional: what a row of options cannot say */
} athi_schedule_impl;
double athi_learning_rate(const athi_net *net, int64_t step);

/* ---- training's additions ------------------------------------------------------------------------ */

typedef struct athi_net_compile_opts {
    ath_tensor *output;   /* predictions; NULL: the last layer's */
    const athi_row *loss; /* NULL: predict only */
    const void *loss_opts;
    const athi_row *const *metrics;
    const void *const *metric_opts;
    int n_metrics;
    const athi_row *optimizer;
    const void *optimizer_opts;
    bool sample_weights;
    bool no_penalties;       /* leaves the regularisers out of the loss: int8 kernels have none */
    athi_shape target_shape; /* of one sample in the data; rank 0: a class number or a scalar. The type is what the
                                loss wants: net->target_dtype */
} athi_net_compile_opts;
/** Appends loss (+ regularisers; softmax or sigmoid before a cross-entropy is fused by using the logits), metrics,
 * sums; declares slots and counters. "accuracy" and "crossentropy" are resolved by shapes as Keras does. */
ath_status athi_net_compile(athi_net *net, const athi_net_compile_opts *opts);
/** For athi_compile_opts.emit_update, user = the net: clipping as the optimiser's options say, UPDATE, COUNT. */
ath_status athi_net_emit_update(void *net, athi_graph *graph);

#endif
