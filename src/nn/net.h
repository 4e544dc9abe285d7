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

#include "base/options.h"
#include "graph/graph.h"

typedef struct athi_param {
    athi_variable *variable;
    const athi_row *initializer;
    const void *initializer_opts;
    const athi_row *regularizer; /* NULL: none */
    const void *regularizer_opts;
    int64_t fan_in, fan_out;     /* as Keras counts them, for variance scaling */
} athi_param;

typedef struct athi_layer {
    const char *name; /* "conv2d_1" */
    const athi_row *row;
    const void *opts;
    ath_tensor *out;
    int64_t n_params; /* weights and statistics of its own */
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
    int64_t n_dropouts;          /* numbers given to dropout nodes */
    athi_variable *counters;     /* train/counters i64[2] {seed, step}: read by dropout */
    /* set by athi_net_compile: */
    athi_shape target_shape;     /* with the batch in front */
    ath_dtype target_dtype;
    int target_slot, weight_slot; /* -1: none */
    athi_variable *learning_rate; /* train/learning_rate f32 [] : written before each step */
    athi_metric_sum *sums;       /* loss first */
    int64_t n_sums;
    const athi_row *optimizer;
    const void *optimizer_opts;
    const athi_row *schedule;    /* of the learning rate; "constant" for a number */
    const void *schedule_opts;
    bool compiled;
} athi_net;

ath_status athi_net_create(ath_ctx *ctx, athi_net **net);
void athi_net_destroy(athi_net *net);
/** shape without the batch; ATHI_DYN where it varies. */
ath_tensor *athi_net_input_add(athi_net *net, const char *name, athi_shape shape, ath_dtype dtype);
/** The net a tensor belongs to. */
athi_net *athi_net_of(const ath_tensor *t);

/* ---- rows ---------------------------------------------------------------------------------------- */

extern const athi_kind athi_layers, athi_activations, athi_initializers, athi_regularizers, athi_losses, athi_metrics,
    athi_optimizers, athi_schedules;

/* impl of a layer row. `in` are not poison; a failure poisons the graph (athi_poison) and returns the poison. */
typedef struct athi_layer_impl {
    int min_in, max_in;
    ath_tensor *(*build)(athi_net *net, ath_tensor *const *in, int n_in, const void *opts, const char *name);
} athi_layer_impl;

/** Applies a layer with resolved options: numbers or checks the name (NULL: Keras's numbering), builds, records it. */
ath_tensor *athi_layer_apply(athi_net *net, const athi_row *row, const void *opts, const char *name,
                             ath_tensor *const *in, int n_in);
/** Adds the variable <layer>/<suffix>, its param and its node. */
ath_tensor *athi_param_add(athi_net *net, const char *layer, const char *suffix, athi_shape shape, bool trainable,
                           ath_spec initializer, ath_spec regularizer, int64_t fan_in, int64_t fan_out);

/* impl of an activation row: appends nodes. */
typedef ath_tensor *athi_activation_build(athi_net *net, ath_tensor *x, const void *opts);
ath_tensor *athi_activate(athi_net *net, ath_tensor *x, ath_spec activation);

/* impl of an initialiser row: fills n elements of a variable, a function of (seed, variable) alone. */
typedef ath_status athi_initializer_fill(ath_ctx *ctx, const void *opts, const athi_param *p, uint64_t seed,
                                         uint64_t variable, float *w);
/** Initial values of a param's variable. Seeds: Philox(seed, ATHI_PURPOSE(ATHI_RNG_INIT, index of the param)). */
ath_status athi_param_init(ath_ctx *ctx, const athi_net *net, int64_t param, uint64_t seed, void *w);

/* impl of a regulariser row: appends the penalty (a scalar) of a weight. */
typedef ath_tensor *athi_regularizer_build(athi_graph *graph, ath_tensor *w, const void *opts);

/* impl of a loss row: appends the loss per sample [B]; says what targets it wants. `classes`: last dim of y. */
typedef struct athi_loss_impl {
    enum { ATHI_TARGET_CLASS, ATHI_TARGET_LIKE_OUTPUT } target;
    ath_tensor *(*build)(athi_net *net, ath_tensor *predictions, ath_tensor *targets, const void *opts);
} athi_loss_impl;
/* impl of a metric row: appends values [B] (or [B, …]) that are averaged. */
typedef struct athi_metric_impl {
    ath_tensor *(*build)(athi_net *net, ath_tensor *predictions, ath_tensor *targets, const void *opts);
    bool higher_is_better, square_root;
} athi_metric_impl;
/** Is a larger value of this report better? Names as in logs ("val_accuracy"); false in *known if unknown. */
bool athi_metric_direction(const char *name, bool *known);

/* impl of an optimiser row. */
typedef struct athi_optimizer_impl {
    int (*n_slots)(const void *opts);           /* depends on options: momentum, amsgrad, centered */
    const char *const *(*slot_names)(const void *opts); /* "momentum", "velocity", … */
    double slot_fill;                           /* adagrad, ftrl: initial accumulator is an option: see fill */
    double (*fill)(const void *opts, int slot); /* initial value of a slot, or NULL: 0 */
} athi_optimizer_impl;

/* impl of a schedule row: learning rate at a step (0-based number of updates). */
typedef double athi_schedule_rate(const void *opts, int64_t step);
double athi_learning_rate(const athi_net *net, int64_t step);

/* ---- training's additions ------------------------------------------------------------------------ */

typedef struct athi_net_compile_opts {
    ath_tensor *output;              /* predictions; NULL: the last layer's */
    const athi_row *loss;            /* NULL: predict only */
    const void *loss_opts;
    const athi_row *const *metrics;
    const void *const *metric_opts;
    int n_metrics;
    const athi_row *optimizer;
    const void *optimizer_opts;
    bool sample_weights;
    athi_shape target_shape;         /* of one sample in the data; rank 0: a class number or a scalar */
    ath_dtype target_dtype;
} athi_net_compile_opts;
/** Appends loss (+ regularisers; softmax or sigmoid before a cross-entropy is fused by using the logits), metrics,
 *  sums; declares slots and counters. "accuracy" and "crossentropy" are resolved by shapes as Keras does. */
ath_status athi_net_compile(athi_net *net, const athi_net_compile_opts *opts);
/** For athi_compile_opts.emit_update, user = the net: clipping as the optimiser's options say, UPDATE, COUNT. */
ath_status athi_net_emit_update(void *net, athi_graph *graph);

#endif
