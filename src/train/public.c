/* The public calls of athanor/model.h, over the parts below. */
#include "athanor/model.h"

#include "train/train.h"

struct ath_data {
    athi_data *inner;
};

/* ---- data ---------------------------------------------------------------------------------------- */

static ath_status file_pair(athi_arena *arena, const char *x, const char *y, const athi_value **out) {
    if (!x && !y) return ATH_OK;
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    if (x) ATH_TRY(athi_value_set(arena, map, "x", athi_value_string(arena, x)));
    if (y) ATH_TRY(athi_value_set(arena, map, "y", athi_value_string(arena, y)));
    *out = map;
    return ATH_OK;
}

/* What the recipe's data.augment is, from specs. */
static ath_status add_augmentations(ath_ctx *ctx, athi_data *d, const ath_data_opts *o) {
    enum { MOST = ATHI_COUNT(o->augment) };
    athi_augment *items = athi_arena_array(d->arena, MOST, (int64_t)sizeof *items);
    athi_augment_list list = {.items = items};
    if (!items) return ATH_E_NOMEM;
    for (; list.n < MOST && o->augment[list.n].name; list.n++) {
        athi_augment *item = &items[list.n];
        void *opts = NULL;
        ATH_TRY(athi_spec_resolve(ctx, d->arena, &athi_augments, o->augment[list.n], "data: augment", &item->row, &opts));
        item->opts = opts;
    }
    ATH_TRY(athi_augment_fit(ctx, &list, d->sample_shape));
    d->augment = list;
    return ATH_OK;
}

static ath_status open_data(ath_ctx *ctx, athi_arena *arena, const ath_data_opts *o, athi_data **data) {
    athi_data_opts inner;
    ATH_TRY(athi_options_read(ctx, arena, &athi_data_row, NULL, NULL, "data", &inner));
    if (o->source) inner.source = o->source;
    ATH_TRY(file_pair(arena, o->train_x, o->train_y, &inner.train));
    ATH_TRY(file_pair(arena, o->test_x, o->test_y, &inner.test));
    if (o->validation != 0) {
        athi_value *v = o->validation < 1 ? athi_value_float(arena, o->validation)
                                          : athi_value_int(arena, (int64_t)o->validation);
        if (!v) return ATH_E_NOMEM;
        inner.validation = v;
    }
    inner.samples = o->samples, inner.shuffle = !o->no_shuffle;
    if (o->batch) inner.batch = o->batch;
    if (o->scale != 0) inner.scale = o->scale;
    inner.one_hot = o->one_hot;
    if (o->standardize) inner.normalize = ATHI_NORMALIZE_FEATUREWISE;
    if (inner.batch < 1)
        return athi_fail(ctx, ATH_E_OPTION, "data: batch must be >= 1, got %lld", (long long)inner.batch);
    ATH_TRY(athi_data_open(ctx, &inner, NULL, o->cache, data));
    ath_status status = add_augmentations(ctx, *data, o);
    if (status != ATH_OK) athi_data_close(*data);
    return status;
}

ath_status ath_data_open_with(ath_ctx *ctx, ath_data **data, const ath_data_opts *opts) {
    ath_data_opts o = {0};
    memcpy(&o, opts, ATHI_MIN(opts->struct_size, sizeof o));
    ath_data *d = athi_alloc(ctx, sizeof *d);
    athi_arena *arena = athi_arena_create(ctx);
    ath_status status = d && arena ? open_data(ctx, arena, &o, &d->inner) : ATH_E_NOMEM;
    athi_arena_destroy(arena);
    if (status != ATH_OK)
        athi_free(ctx, d);
    else
        *data = d;
    return status;
}

void ath_data_close(ath_data *data) {
    if (!data) return;
    ath_ctx *ctx = athi_arena_ctx(data->inner->arena);
    athi_data_close(data->inner);
    athi_free(ctx, data);
}

static const athi_part *part_of(const ath_data *data, ath_part part) {
    const athi_part *parts[] = {&data->inner->train, &data->inner->validation, &data->inner->test};
    return parts[part];
}

int64_t ath_data_count(const ath_data *data, ath_part part) { return part_of(data, part)->n; }

/* ---- building ------------------------------------------------------------------------------------ */

ath_status ath_model_create(ath_ctx *ctx, ath_model **model) { return athi_model_create(ctx, model); }
void ath_model_destroy(ath_model *model) { athi_model_destroy(model); }

ath_status ath_model_set_dtype_policy(ath_model *model, const char *policy) {
    return athi_policy_find(model->ctx, policy, "dtype policy", &model->net->compute);
}

ath_tensor *ath_input_with(ath_model *model, const ath_input_opts *opts) {
    athi_shape shape = {(int)opts->shape.n, {0}};
    if (opts->shape.n < 1 || opts->shape.n >= ATHI_MAX_RANK)
        return athi_poison(model->net->graph, ATH_E_SHAPE,
                           "input: shape must have 1 to %d sizes behind the batch, got %lld", ATHI_MAX_RANK - 1,
                           (long long)opts->shape.n);
    for (int d = 0; d < shape.rank; d++) shape.dim[d] = opts->shape.v[d];
    return athi_net_input_add(model->net, opts->name ? opts->name : "input", shape, ATH_F32);
}

static ath_status resolve(ath_model *m, const athi_kind *kind, ath_spec spec, const char *where, const athi_row **row,
                          const void **opts) {
    void *resolved = NULL;
    ATH_TRY(athi_spec_resolve(m->ctx, m->net->arena, kind, spec, where, row, &resolved));
    *opts = resolved;
    return ATH_OK;
}

/* The list for ath_model_fit, checked against what an epoch on these data will report. */
static ath_status list_callbacks(ath_model *m, const ath_data *data, const ath_compile_opts *o) {
    enum { MOST = ATHI_COUNT(o->callbacks) };
    athi_callback *list = athi_arena_array(m->net->arena, MOST, (int64_t)sizeof *list);
    const char *const *reports = NULL;
    int n = 0, n_reports = 0;
    if (!list) return ATH_E_NOMEM;
    for (; n < MOST && o->callbacks[n].name; n++)
        ATH_TRY(resolve(m, &athi_callbacks, o->callbacks[n], "callbacks", &list[n].row, &list[n].opts));
    ATH_TRY(athi_report_names(m, m->net->arena, data->inner->validation.n > 0, list, n, &reports, &n_reports));
    ATH_TRY(athi_callbacks_check(m, list, n, reports, n_reports));
    m->listed = list, m->n_listed = n;
    return ATH_OK;
}

ath_status ath_model_compile_with(ath_model *m, const ath_data *data, const ath_compile_opts *opts) {
    ath_compile_opts o = {0};
    memcpy(&o, opts, ATHI_MIN(opts->struct_size, sizeof o));
    if (m->state) return athi_fail(m->ctx, ATH_E_STATE, "the model is compiled already; make a new one");
    ATH_TRY(athi_graph_check(m->net->graph));
    if (!o.loss.name)
        return athi_fail(m->ctx, ATH_E_OPTION,
                         "compile: loss is required: .loss = {\"sparse_categorical_crossentropy\"}");
    const athi_row *metrics[ATHI_COUNT(o.metrics)];
    const void *metric_opts[ATHI_COUNT(o.metrics)];
    athi_net_compile_opts c = {.output = o.output,
                               .metrics = metrics,
                               .metric_opts = metric_opts,
                               .target_shape = data->inner->target_shape};
    if (!o.optimizer.name) o.optimizer.name = "rmsprop";
    ATH_TRY(resolve(m, &athi_losses, o.loss, "loss", &c.loss, &c.loss_opts));
    ATH_TRY(resolve(m, &athi_optimizers, o.optimizer, "optimizer", &c.optimizer, &c.optimizer_opts));
    for (; c.n_metrics < ATHI_COUNT(o.metrics) && o.metrics[c.n_metrics].name; c.n_metrics++)
        ATH_TRY(resolve(m, &athi_metrics, o.metrics[c.n_metrics], "metrics", &metrics[c.n_metrics],
                        &metric_opts[c.n_metrics]));
    ATH_TRY(athi_net_compile(m->net, &c));
    ATH_TRY(list_callbacks(m, data, &o));
    int n_snapshots = 0;
    int64_t n_callback_state = 0;
    athi_callbacks_need(m->listed, m->n_listed, &n_snapshots, &n_callback_state);
    return athi_model_prepare(m, o.seed, n_snapshots, n_callback_state, NULL);
}

/* ---- training and using -------------------------------------------------------------------------- */

static ath_status on_epoch(void *user, const athi_epoch *e, bool *stop) {
    const ath_fit_opts *o = user;
    ath_epoch epoch = {e->epoch, e->step, e->n, e->names, e->values};
    if (o->on_epoch(o->user, &epoch)) *stop = true;
    return ATH_OK;
}

static ath_status check_compiled(ath_model *m) {
    if (m->state) return ATH_OK;
    return athi_fail(m->ctx, ATH_E_STATE, "the model is not compiled; call ath_model_compile first");
}

ath_status ath_model_fit_with(ath_model *m, const ath_data *data, const ath_fit_opts *opts) {
    ath_fit_opts o = {0};
    memcpy(&o, opts, ATHI_MIN(opts->struct_size, sizeof o));
    ATH_TRY(check_compiled(m));
    const athi_data *d = data->inner;
    athi_fit_opts f = {.train = &d->train,
                       .validation = &d->validation,
                       .preprocess = &d->preprocess,
                       .augment = &d->augment,
                       .batch = d->batch,
                       .epochs = o.epochs ? o.epochs : 1,
                       .shuffle = d->shuffle,
                       .callbacks = m->listed,
                       .n_callbacks = m->n_listed,
                       .stop_on_nan = !athi_callbacks_end_on_nan(m->listed, m->n_listed),
                       .seed = (uint64_t)((const int64_t *)athi_state_at(m->state, m->net->counters))[0],
                       .steps_per_execution = o.steps_per_execution,
                       .state_path = o.state,
                       .log_path = o.log,
                       .resume = true,
                       .on_epoch = o.on_epoch ? on_epoch : NULL,
                       .user = &o};
    athi_model_begin_again(m); /* unless there is a saved state, which is read over it */
    return athi_fit(m, &f);
}

ath_status ath_model_evaluate(ath_model *m, const ath_data *data, ath_part part, double *values, int n) {
    ATH_TRY(check_compiled(m));
    if (n < m->net->n_sums)
        return athi_fail(m->ctx, ATH_E_OPTION, "evaluate: %lld values are reported, but there is room for %d",
                         (long long)m->net->n_sums, n);
    return athi_evaluate(m, part_of(data, part), &data->inner->preprocess, data->inner->batch, values);
}

ath_status ath_model_predict(ath_model *m, const ath_data *data, ath_part part, float *out) {
    ATH_TRY(check_compiled(m));
    return athi_predict(m, part_of(data, part), &data->inner->preprocess, data->inner->batch, out);
}

ath_status ath_model_save_weights(ath_model *m, const char *path) {
    ATH_TRY(check_compiled(m));
    return athi_model_save(m, path, NULL, -1);
}

ath_status ath_model_load_weights(ath_model *m, const char *path) {
    ATH_TRY(check_compiled(m));
    return athi_model_load(m, path);
}

int64_t ath_model_parameters(const ath_model *m) {
    int64_t n = 0;
    for (int64_t i = 0; i < m->net->graph->n_variables; i++)
        if (m->net->graph->variables[i]->role == ATHI_TRAINABLE)
            n += athi_shape_count(m->net->graph->variables[i]->shape);
    return n;
}
