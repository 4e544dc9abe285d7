/* What training adds to a net: targets and sample weights, the loss with its penalties, metrics, sums, the
 * optimiser's slots; and, behind the gradients, clipping and the update.
 *
 *   predictions ─┐                 ┌─ x weights ─ reduction ─ + penalties ─> loss (differentiated)
 *   targets ─────┴─ loss row ──────┴─> train/sum/loss {Σ batch loss · batch size, Σ batch size}
 *                  metric rows ──────> train/sum/<metric> {Σ values, number of values} */
#include "athanor/losses.h"
#include "nn/build.h"
#include "nn/optimizers.h"

/* One compilation's intermediate results. */
typedef struct compiling {
    athi_net *net;
    const athi_net_compile_opts *opts;
    athi_target target;
    athi_compared compared;
    ath_tensor *weights; /* [B] or NULL */
} compiling;

/* ---- targets --------------------------------------------------------------------------------------- */

static bool same_dim(int64_t a, int64_t b) { return a == b || a == ATHI_DYN || b == ATHI_DYN; }

static bool same_shape(athi_shape a, athi_shape b) {
    bool same = a.rank == b.rank;
    for (int i = 0; i < a.rank && same; i++) same = same_dim(a.dim[i], b.dim[i]);
    return same;
}

/* What the target must look like for predictions of a shape. */
static athi_shape wanted_shape(athi_shape predictions, athi_target target) {
    if (target == ATHI_TARGET_CLASS) predictions.rank--;
    return predictions;
}

/* Keras takes or leaves a last dimension of 1. */
static athi_shape without_ones(athi_shape s, int rank) {
    while (s.rank > rank && s.dim[s.rank - 1] == 1) s.rank--;
    return s;
}
static athi_shape with_ones(athi_shape s, int rank) {
    while (s.rank < rank) s.dim[s.rank++] = 1;
    return s;
}

static const char *target_remedy(const char *loss, athi_target target, athi_shape given,
                                 athi_shape predictions) {
    bool categorical = strstr(loss, "categorical_crossentropy") != NULL;
    if (categorical && target == ATHI_TARGET_CLASS && same_shape(given, predictions))
        return "use categorical_crossentropy for one-hot targets";
    if (categorical && target != ATHI_TARGET_CLASS && given.rank < predictions.rank)
        return "use sparse_categorical_crossentropy for class numbers";
    return "change the last layer or the targets";
}

/* The input of the targets, in the shape that the loss wants. */
static ath_status add_targets(compiling *c) {
    athi_net *net = c->net;
    ath_tensor *predictions = c->compared.predictions;
    athi_shape given = {c->opts->target_shape.rank + 1, {ATHI_DYN}};
    if (given.rank > ATHI_MAX_RANK)
        return athi_fail(net->ctx, ATH_E_SHAPE, "loss '%s': targets may have %d dimensions at most",
                         c->opts->loss->name, ATHI_MAX_RANK - 1);
    memcpy(given.dim + 1, c->opts->target_shape.dim, sizeof(int64_t) * (size_t)c->opts->target_shape.rank);
    athi_shape want = wanted_shape(predictions->shape, c->target);
    athi_shape fitted = with_ones(without_ones(given, want.rank), want.rank);
    if (!same_shape(fitted, want)) {
        char w[96], p[96], g[96];
        return athi_fail(net->ctx, ATH_E_SHAPE,
                         "loss '%s': expected targets of shape %s for predictions %s, got %s; %s",
                         c->opts->loss->name, athi_shape_str(want, w), athi_shape_str(predictions->shape, p),
                         athi_shape_str(given, g),
                         target_remedy(c->opts->loss->name, c->target, given, predictions->shape));
    }
    net->target_slot = (int)net->n_inputs;
    net->target_shape = given;
    net->target_dtype = c->target == ATHI_TARGET_CLASS ? ATH_I32 : ATH_F32;
    ath_tensor *t = athi_input(net->graph, net->target_slot, "target", given, net->target_dtype);
    if (given.rank != fitted.rank) t = athi_reshape(net->graph, t, fitted);
    c->compared.targets = t;
    if (c->opts->sample_weights) {
        net->weight_slot = net->target_slot + 1;
        c->weights = athi_input(net->graph, net->weight_slot, "sample_weight", athi_dims(ATHI_DYN), ATH_F32);
    }
    return athi_graph_check(net->graph);
}

/* ---- loss ------------------------------------------------------------------------------------------ */

/* Σ of the regularisers of all params, or NULL. */
static ath_tensor *penalties(athi_net *net) {
    athi_graph *g = net->graph;
    ath_tensor *sum = NULL;
    for (int64_t i = 0; i < net->n_params; i++) {
        const athi_param *p = &net->params[i];
        if (!p->regularizer) continue;
        const athi_regularizer_impl *impl = p->regularizer->impl;
        ath_tensor *one = impl->build(g, athi_variable_tensor(g, p->variable), p->regularizer_opts);
        sum = sum ? athi_op2(g, ATHI_OP_ADD, sum, one, NULL) : one;
    }
    return sum;
}

static ath_tensor *weighted(const compiling *c, ath_tensor *each) {
    if (!c->weights || athi_is_poison(each)) return each;
    athi_graph *g = c->net->graph;
    ath_tensor *w = c->weights;
    if (each->shape.rank > 1) w = athi_reshape(g, w, with_ones(w->shape, each->shape.rank));
    return athi_op2(g, ATHI_OP_MUL, each, w, NULL);
}

static ath_tensor *reduced(const compiling *c, ath_tensor *each, ath_reduction reduction) {
    athi_graph *g = c->net->graph;
    bool mean =
        reduction == ATH_SUM_OVER_BATCH_SIZE || (reduction == ATH_MEAN_WITH_SAMPLE_WEIGHT && !c->weights);
    if (mean) return athi_reduce_all(g, ATHI_OP_MEAN, each);
    ath_tensor *sum = athi_reduce_all(g, ATHI_OP_SUM, each);
    if (reduction == ATH_SUM) return sum;
    /* All weights 0 gives 0, as in Keras. */
    ath_tensor *weight = athi_op2(g, ATHI_OP_MAXIMUM, athi_reduce_all(g, ATHI_OP_SUM, c->weights),
                                  athi_constant(g, 1e-30, ATHI_SCALAR), NULL);
    return athi_op2(g, ATHI_OP_DIV, sum, weight, NULL);
}

/* Adds values to the sum of a name; the first is the loss. */
static ath_status add_sum(athi_net *net, const char *name, ath_tensor *values, bool square_root) {
    ATH_TRY(athi_graph_check(net->graph));
    for (int64_t i = 0; i < net->n_sums; i++)
        if (strcmp(net->sums[i].name, name) == 0)
            return athi_fail(net->ctx, ATH_E_OPTION, "metrics: '%s' stands twice; leave one away", name);
    char *path = athi_arena_printf(net->arena, "sum/%s", name);
    if (!path) return ATH_E_NOMEM;
    athi_variable *v = athi_train_variable(net, path, athi_dims(2), ATH_F64);
    athi_op2(net->graph, ATHI_OP_ACCUMULATE, athi_variable_tensor(net->graph, v), values, NULL);
    ATH_TRY(athi_graph_check(net->graph));
    net->sums[net->n_sums++] = (athi_metric_sum){name, v, square_root};
    return ATH_OK;
}

/* The epoch's loss is the mean of the batches' losses, each counted by its samples: what is accumulated is
 * one value a sample with the batch's loss as their mean. */
static ath_status add_loss(compiling *c) {
    athi_net *net = c->net;
    athi_graph *g = net->graph;
    const ath_loss_opts *o = c->opts->loss_opts;
    const athi_loss_impl *impl = c->opts->loss->impl;
    ath_tensor *each = weighted(c, impl->build(net, &c->compared, o));
    if (athi_is_poison(each)) return athi_graph_check(g);
    ath_tensor *loss = reduced(c, each, o->reduction), *value = each,
               *penalty = c->opts->no_penalties ? NULL : penalties(net);
    if (each->shape.rank > 1)
        value = athi_reduce(g, ATHI_OP_MEAN, each, athi_axes_from(1, each->shape.rank), false);
    if (o->reduction != ATH_SUM_OVER_BATCH_SIZE)
        value = athi_op2(g, ATHI_OP_ADD, athi_affine(g, value, 0, 0), loss, NULL);
    if (penalty) {
        loss = athi_op2(g, ATHI_OP_ADD, loss, penalty, NULL);
        value = athi_op2(g, ATHI_OP_ADD, value, penalty, NULL);
    }
    g->loss = athi_is_poison(loss) ? NULL : loss;
    return add_sum(net, "loss", value, false);
}

/* ---- metrics --------------------------------------------------------------------------------------- */

static ath_status add_metric(compiling *c, const athi_row *row, const void *opts) {
    athi_net *net = c->net;
    const char *name = row->name;
    const athi_metric_impl *impl = row->impl;
    if (impl->target == ATHI_TARGET_BY_SHAPE) {
        void *resolved;
        row = athi_row_find(&athi_metrics,
                            impl->choose(c->compared.predictions->shape, c->compared.targets->shape));
        ATH_TRY(athi_options_resolve(net->ctx, net->arena, row, NULL, name, &resolved));
        opts = resolved, impl = row->impl;
    }
    if (impl->target != c->target)
        return athi_fail(net->ctx, ATH_E_OPTION, "metrics: '%s' needs %s, but the loss '%s' takes %s; %s",
                         name,
                         impl->target == ATHI_TARGET_CLASS ? "class numbers"
                                                           : "targets like the model's output",
                         c->opts->loss->name,
                         c->target == ATHI_TARGET_CLASS ? "class numbers" : "targets like the model's output",
                         strstr(name, "accuracy") ? "use accuracy, which fits itself to the targets"
                                                  : "leave it away or change the loss");
    return add_sum(net, name, impl->build(net, &c->compared, opts), impl->square_root);
}

/* ---- optimiser ------------------------------------------------------------------------------------- */

static ath_status check_optimizer(athi_net *net) {
    const ath_optimizer_opts *o = athi_optimizer_common(net->optimizer_opts);
    const char *name = net->optimizer->name;
    if ((o->clipnorm > 0) + (o->clipvalue > 0) + (o->global_clipnorm > 0) > 1)
        return athi_fail(
            net->ctx, ATH_E_OPTION,
            "%s: only one of clipnorm, clipvalue and global_clipnorm may be given; leave the others away",
            name);
    net->schedule = o->learning_rate.name ? athi_row_find(&athi_schedules, o->learning_rate.name) : NULL;
    if (!net->schedule) return athi_fail(net->ctx, ATH_E_OPTION, "%s: it needs a learning_rate", name);
    net->schedule_opts = o->learning_rate.opts;
    const athi_schedule_impl *impl = net->schedule->impl;
    return impl->check ? impl->check(net->ctx, net->schedule_opts) : ATH_OK;
}

static ath_status add_optimizer(compiling *c) {
    athi_net *net = c->net;
    athi_graph *g = net->graph;
    net->optimizer = c->opts->optimizer, net->optimizer_opts = c->opts->optimizer_opts;
    ATH_TRY(check_optimizer(net));
    net->learning_rate = athi_train_variable(net, "learning_rate", ATHI_SCALAR, ATH_F32);
    const char *names[ATHI_MAX_SLOTS];
    int n = ((const athi_optimizer_impl *)net->optimizer->impl)->slots(net->optimizer_opts, names);
    int64_t variables = g->n_variables;
    for (int s = 0; s < n; s++)
        for (int64_t i = 0; i < variables; i++) {
            const athi_variable *v = g->variables[i];
            if (v->role != ATHI_TRAINABLE) continue;
            char *path = athi_arena_printf(net->arena, "optimizer/%s/%s", names[s], v->name);
            if (!path) return ATH_E_NOMEM;
            athi_variable_add(g, path, v->shape, v->dtype, ATHI_SLOT);
        }
    return athi_graph_check(g);
}

static ath_status clip(athi_graph *g, athi_clip mode, double limit) {
    if (!(limit > 0)) return ATH_OK;
    athi_node_add(g, ATHI_OP_CLIP_GRADIENTS, NULL, 0, &(athi_attr){.clip = {mode, limit}});
    return athi_graph_check(g);
}

ath_status athi_net_emit_update(void *user, athi_graph *graph) {
    const athi_net *net = user;
    if (!net->optimizer)
        return athi_fail(net->ctx, ATH_E_STATE, "the model was compiled without an optimizer");
    const ath_optimizer_opts *o = athi_optimizer_common(net->optimizer_opts);
    ATH_TRY(clip(graph, ATHI_CLIP_VALUE, o->clipvalue));
    ATH_TRY(clip(graph, ATHI_CLIP_NORM, o->clipnorm));
    ATH_TRY(clip(graph, ATHI_CLIP_GLOBAL_NORM, o->global_clipnorm));
    ath_tensor *counters = athi_variable_tensor(graph, net->counters);
    ath_tensor *rate = athi_variable_tensor(graph, net->learning_rate);
    athi_op2(graph, ATHI_OP_UPDATE, rate, counters,
             (&(athi_attr){.update = {net->optimizer, net->optimizer_opts}}));
    athi_op1(graph, ATHI_OP_COUNT, counters, NULL);
    return athi_graph_check(graph);
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static ath_status set_output(compiling *c) {
    athi_net *net = c->net;
    ATH_TRY(athi_graph_check(net->graph));
    ath_tensor *out = c->opts->output;
    if (!out && net->n_layers == 0)
        return athi_fail(net->ctx, ATH_E_STATE, "the model has no layers; add one");
    if (!out) out = net->layers[net->n_layers - 1].out;
    if (athi_is_poison(out)) return athi_graph_check(net->graph);
    net->graph->outputs = athi_arena_array(net->graph->arena, 1, (int64_t)sizeof out);
    if (!net->graph->outputs) return ATH_E_NOMEM;
    net->graph->outputs[0] = out, net->graph->n_outputs = 1;
    c->compared.predictions = out;
    if (c->opts->loss && out->shape.rank < 2) {
        char text[96];
        return athi_fail(net->ctx, ATH_E_SHAPE,
                         "expected an output of rank 2 or more [batch, ..., features], got %s; add "
                         "flatten or dense",
                         athi_shape_str(out->shape, text));
    }
    return ATH_OK;
}

static ath_status add_training(compiling *c) {
    athi_net *net = c->net;
    c->target = ((const athi_loss_impl *)c->opts->loss->impl)->target;
    net->sums = athi_alloc_array(net->ctx, 1 + c->opts->n_metrics, (int64_t)sizeof *net->sums);
    if (!net->sums) return ATH_E_NOMEM;
    ATH_TRY(add_targets(c));
    ATH_TRY(add_loss(c));
    for (int i = 0; i < c->opts->n_metrics; i++)
        ATH_TRY(add_metric(c, c->opts->metrics[i], c->opts->metric_opts[i]));
    return c->opts->optimizer ? add_optimizer(c) : ATH_OK;
}

ath_status athi_net_compile(athi_net *net, const athi_net_compile_opts *opts) {
    if (net->compiled)
        return athi_fail(net->ctx, ATH_E_STATE, "the model is compiled already; build a new one");
    compiling c = {.net = net, .opts = opts};
    ATH_TRY(set_output(&c));
    net->graph->modes = ATHI_MODE_TRAIN | ATHI_MODE_EVALUATE;
    ath_status status = opts->loss ? add_training(&c) : ATH_OK;
    net->graph->modes = ATHI_MODE_ALL;
    net->compiled = status == ATH_OK;
    return status;
}
