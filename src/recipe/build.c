/* (bound recipe, data's shapes) -> compiled model: layers in a chain or joined by `from:`, then loss, metrics
 * and optimiser. */
#include "recipe/internal.h"

#include "nn/net.h"
#include "zoo/zoo.h"

#include <stdlib.h>

typedef struct builder {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_net *net;
    ath_tensor *input, *last; /* the data, and what the layers so far make of it */
} builder;

/* ---- layers -------------------------------------------------------------------------------------- */

/* A layer that `from:` names, one inside a composite too. */
static ath_status find_input(const builder *b, const athi_step *step, const athi_value *v, ath_tensor **in) {
    static const char *const data[] = {"input"};
    const athi_net *net = b->net;
    *in = strcmp(v->text, data[0]) == 0 ? b->input : NULL;
    for (int64_t i = net->n_layers - 1; i >= 0 && !*in; i--)
        if (strcmp(net->layers[i].name, v->text) == 0) *in = net->layers[i].out;
    if (*in) return ATH_OK;
    const char *near = athi_nearest(v->text, net->layers, net->n_layers, sizeof *net->layers);
    if (!near) near = athi_nearest(v->text, data, 1, sizeof data[0]);
    return athi_fail_at(b->ctx, v, "%s: from: '%.60s' is no layer before this one%s%s%s", step->row->name, v->text,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* What a layer reads: the layers that `from:` names, else the one before. */
static ath_status find_inputs(builder *b, const athi_step *step, ath_tensor ***in, int *n) {
    const athi_value *from = step->from;
    bool list = from && from->type == ATHI_LIST;
    *n = list ? (int)from->n : 1;
    *in = athi_arena_array(b->arena, *n, (int64_t)sizeof **in);
    if (!*in) return ATH_E_NOMEM;
    if (!from) (*in)[0] = b->last;
    for (int i = 0; from && i < *n; i++) ATH_TRY(find_input(b, step, list ? from->items[i] : from, &(*in)[i]));
    return ATH_OK;
}

static ath_status add_step(builder *b, const athi_step *step) {
    ath_tensor **in;
    int n;
    ATH_TRY(find_inputs(b, step, &in, &n));
    b->net->compute = step->compute;
    b->last = step->composite ? athi_composite_apply(b->net, step->row, step->opts, step->name, in, n)
                              : athi_layer_apply(b->net, step->row, step->opts, step->name, in, n);
    return athi_graph_check(b->net->graph);
}

static ath_status add_steps(builder *b, const athi_steps *steps, athi_shape sample_shape) {
    b->input = b->last = athi_net_input_add(b->net, "input", sample_shape, ATH_F32);
    ATH_TRY(athi_graph_check(b->net->graph));
    for (int64_t i = 0; i < steps->n; i++)
        ATH_TRY(athi_placed(b->ctx, add_step(b, &steps->steps[i]), steps->steps[i].at));
    return ATH_OK;
}

/* ---- the model ----------------------------------------------------------------------------------- */

/* For the place of an error in what training adds. */
static const athi_value *training_place(const athi_value *bound) {
    const athi_value *train = athi_value_get(bound, "train"), *loss = athi_value_get(train, "loss");
    return loss ? loss : train;
}

static ath_status build(builder *b, const athi_value *bound, athi_shape sample, athi_shape target,
                        const athi_training_specs *s, bool trains) {
    athi_steps steps;
    ATH_TRY(athi_steps_read(b->ctx, b->arena, bound, &steps));
    ATH_TRY(add_steps(b, &steps, sample));
    athi_net_compile_opts o = {
        .output = b->last,
        .loss = s->loss,
        .loss_opts = s->loss_opts,
        .metrics = s->metrics,
        .metric_opts = s->metric_opts,
        .n_metrics = s->n_metrics,
        .optimizer = trains ? s->optimizer : NULL,
        .optimizer_opts = trains ? s->optimizer_opts : NULL,
        .sample_weights = trains && s->train.class_weight && s->train.class_weight->n > 0,
        .target_shape = target,
        .no_penalties = s->no_penalties,
    };
    return athi_placed(b->ctx, athi_net_compile(b->net, &o), training_place(bound));
}

ath_status athi_bound_model(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_shape sample,
                            athi_shape target, const athi_training_specs *specs, bool trains, ath_model **out) {
    ath_model *model;
    *out = NULL;
    ATH_TRY(athi_model_create(ctx, &model));
    builder b = {.ctx = ctx, .arena = arena, .net = model->net};
    ath_status status = build(&b, bound, sample, target, specs, trains);
    if (status == ATH_OK && trains)
        status = athi_placed(ctx, athi_model_check_compute(model), athi_value_get(bound, "dtype_policy"));
    if (status != ATH_OK)
        athi_model_destroy(model);
    else
        *out = model;
    return status;
}

/* ---- with the data ------------------------------------------------------------------------------- */

/* "data.samples: …" or "data: source: …": where that stands. What begins otherwise speaks of a file. */
static ath_status place_data(ath_ctx *ctx, ath_status status, const athi_value *data) {
    const char *rest = ath_errmsg(ctx);
    if (status == ATH_OK || strncmp(rest, "data", 4) != 0 || !strchr(".:", rest[4])) return status;
    rest += 4 + strspn(rest + 4, ".: ");
    for (int64_t i = 0; data && i < data->n; i++)
        if (strncmp(rest, data->keys[i], strlen(data->keys[i])) == 0 && rest[strlen(data->keys[i])] == ':')
            return athi_placed(ctx, status, data->items[i]->line ? data->items[i] : data); /* none: from --set */
    return athi_placed(ctx, status, data);
}

ath_status athi_bound_data(ath_ctx *ctx, const athi_value *bound, const char *folder, const char *cache,
                           athi_data **data) {
    *data = NULL;
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    athi_data_opts opts;
    const athi_value *v = athi_value_get(bound, "data");
    ath_status status = athi_options_read(ctx, arena, &athi_data_row, v, NULL, "data", &opts);
    if (status == ATH_OK) status = place_data(ctx, athi_data_open(ctx, &opts, folder, cache, data), v);
    athi_arena_destroy(arena);
    return status;
}

/* A class by its name or number. */
static ath_status find_class(ath_ctx *ctx, const athi_data *data, const athi_value *map, int64_t key, int64_t *c) {
    const char *name = map->keys[key];
    char *end;
    for (*c = 0; data->class_names && *c < data->n_classes; ++*c)
        if (strcmp(data->class_names[*c], name) == 0) return ATH_OK;
    *c = strtoll(name, &end, 10);
    if (*name && !*end && *c >= 0 && *c < data->n_classes) return ATH_OK;
    return athi_fail_key(ctx, map, key, "train: class_weight: '%.60s' is no class; there are 0..%lld", name,
                         (long long)data->n_classes - 1);
}

static ath_status read_class_weight(ath_ctx *ctx, athi_arena *arena, const athi_data *data, athi_job *job) {
    const athi_value *map = job->train.class_weight;
    job->class_weight = NULL;
    if (!map || map->n == 0) return ATH_OK;
    if (data->n_classes < 1)
        return athi_fail_at(ctx, map, "train: class_weight needs targets that are classes; these are numbers");
    double *w = athi_arena_array(arena, data->n_classes, (int64_t)sizeof *w);
    if (!w) return ATH_E_NOMEM;
    for (int64_t c = 0; c < data->n_classes; c++) w[c] = 1;
    for (int64_t i = 0; i < map->n; i++) {
        int64_t c;
        ATH_TRY(find_class(ctx, data, map, i, &c));
        w[c] = map->items[i]->number;
    }
    job->class_weight = w;
    return ATH_OK;
}

static ath_status check_labels(ath_ctx *ctx, const athi_data *data, const ath_model *model) {
    const struct {
        const char *name;
        const athi_part *part;
    } parts[] = {{"train", &data->train}, {"validation", &data->validation}, {"test", &data->test}};
    athi_shape out = model->net->graph->outputs[0]->shape;
    if (model->net->target_dtype != ATH_I32) return ATH_OK;
    for (int i = 0; i < ATHI_COUNT(parts); i++)
        if (parts[i].part->n)
            ATH_TRY(athi_part_check_classes(ctx, parts[i].part, parts[i].name, out.dim[out.rank - 1]));
    return ATH_OK;
}

/* What the bound recipe says, which the opened data may have with other ends of its ranges. */
static ath_status check_augment(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                                const ath_model *model) {
    const athi_value *v = athi_value_get(athi_value_get(bound, "data"), "augment");
    athi_augment_list list;
    int normalize = ATHI_NORMALIZE_NONE;
    ath_status status = athi_augment_read(ctx, arena, v, &list, &normalize);
    if (status == ATH_OK) status = athi_augment_fit(ctx, &list, data->sample_shape);
    if (status == ATH_OK) status = athi_augment_fits_model(model, &list);
    return athi_placed(ctx, status, v);
}

static ath_status check_callbacks(ath_ctx *ctx, athi_arena *arena, const athi_data *data, const athi_job *job) {
    const char *const *reports = NULL;
    int n = 0;
    ATH_TRY(
        athi_report_names(job->model, arena, data->validation.n > 0, job->callbacks, job->n_callbacks, &reports, &n));
    return athi_placed(ctx, athi_callbacks_check(job->model, job->callbacks, job->n_callbacks, reports, n),
                       athi_value_get(athi_value_get(job->bound, "train"), "callbacks"));
}

/* A batch that somebody asked for must be there; the default one may be larger than a small set. */
static ath_status check_batch(ath_ctx *ctx, const athi_value *bound, const athi_data *data) {
    const athi_value *batch = athi_value_get(athi_value_get(bound, "data"), "batch");
    if (!batch || batch->type != ATHI_INT || batch->integer <= data->train.n) return ATH_OK;
    return athi_fail_at(ctx, batch, "data: batch must not be larger than the %lld training samples, got %lld",
                        (long long)data->train.n, (long long)batch->integer);
}

ath_status athi_bound_build(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                            athi_job *job) {
    *job = (athi_job){.bound = bound};
    athi_training_specs specs;
    const athi_value *seed = athi_value_get(bound, "seed");
    ATH_TRY(check_batch(ctx, bound, data));
    ATH_TRY(athi_training_read(ctx, arena, bound, &specs));
    job->seed = seed && seed->type == ATHI_INT ? (uint64_t)seed->integer : 0;
    job->train = specs.train, job->callbacks = specs.callbacks, job->n_callbacks = specs.n_callbacks;
    ATH_TRY(read_class_weight(ctx, arena, data, job));
    ATH_TRY(athi_bound_model(ctx, arena, bound, data->sample_shape, data->target_shape, &specs, true, &job->model));
    ath_status status = athi_placed(ctx, check_labels(ctx, data, job->model), athi_value_get(bound, "data"));
    if (status == ATH_OK) status = check_augment(ctx, arena, bound, data, job->model);
    if (status == ATH_OK) status = check_callbacks(ctx, arena, data, job);
    if (status == ATH_OK) return ATH_OK;
    athi_model_destroy(job->model);
    job->model = NULL;
    return status;
}
