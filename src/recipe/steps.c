/* A bound recipe's layers and training section, read by their rows: what can be checked without the data. */
#include "recipe/internal.h"

#include "nn/net.h"
#include "zoo/zoo.h"

#include <stdio.h>

/* ---- layers -------------------------------------------------------------------------------------- */

/* A dtype policy at a key of `v`; without one *compute stays. */
static ath_status read_policy(ath_ctx *ctx, const athi_value *v, const char *key, const char *where,
                              ath_dtype *compute) {
    const athi_value *policy = athi_value_get(v, key);
    if (!policy) return ATH_OK;
    if (policy->type != ATHI_STRING || policy->tag)
        return athi_fail_at(ctx, policy, "%s must be float32 or mixed_bfloat16, got %s", where,
                            athi_value_type_name(policy->type));
    return athi_placed(ctx, athi_policy_find(ctx, policy->text, where, compute), policy);
}

static ath_status read_from(ath_ctx *ctx, const athi_value *v, athi_step *step) {
    const athi_value *from = athi_value_get(v, "from"), *name = athi_value_get(v, "name");
    bool fits = !from || from->type == ATHI_STRING || (from->type == ATHI_LIST && from->n > 0);
    for (int64_t i = 0; fits && from && from->type == ATHI_LIST && i < from->n; i++)
        fits = from->items[i]->type == ATHI_STRING;
    if (!fits)
        return athi_fail_at(ctx, from, "%s: from must be the name of a layer or a list of names", step->row->name);
    if (name && name->type != ATHI_STRING)
        return athi_fail_at(ctx, name, "%s: name must be a text, got %s", step->row->name,
                            athi_value_type_name(name->type));
    step->from = from, step->name = name ? name->text : NULL;
    return ATH_OK;
}

/* The sentence for what is neither layer nor composite, with the nearest name of either. */
static ath_status no_layer(ath_ctx *ctx, athi_arena *arena, const athi_value *v, const char *name) {
    const athi_row *none;
    void *no_opts;
    bool composite = name && athi_kind_nearest(&athi_composites, name) && !athi_kind_nearest(&athi_layers, name);
    return athi_spec_read(ctx, arena, composite ? &athi_composites : &athi_layers, v, "model", &none, &no_opts);
}

static ath_status read_step(ath_ctx *ctx, athi_arena *arena, const athi_value *v, ath_dtype policy, athi_step *step) {
    static const char *const also[] = {"name", "from", "dtype", NULL};
    const athi_value *given = v->type == ATHI_MAP && v->n == 1 ? v->items[0] : NULL;
    if (v->type == ATHI_MAP && v->n > 1 && !v->tag)
        return athi_fail_at(ctx, v,
                            "a layer is a name or a map with one key, got the keys '%.60s' and '%.60s'; options "
                            "stand inside: {%.60s: {%.60s: …}}",
                            v->keys[0], v->keys[1], v->keys[0], v->keys[1]);
    const char *name = given ? v->keys[0] : v->type == ATHI_STRING ? v->text : NULL;
    step->at = v;
    step->row = name && !v->tag ? athi_row_find(&athi_layers, name) : NULL;
    if (!step->row && name && !v->tag) {
        step->row = athi_row_find(&athi_composites, name);
        step->composite = step->row != NULL;
    }
    if (!step->row) return no_layer(ctx, arena, v, name);
    void *opts = athi_arena_alloc(arena, (int64_t)ATHI_MAX(step->row->opts_size, sizeof(void *)));
    if (!opts) return ATH_E_NOMEM;
    step->opts = step->row->opts_size ? opts : NULL;
    ATH_TRY(athi_options_read(ctx, arena, step->row, given, also, step->row->name, opts));
    char where[96];
    snprintf(where, sizeof where, "%s: dtype", step->row->name);
    step->compute = policy;
    ATH_TRY(read_policy(ctx, given, "dtype", where, &step->compute));
    return read_from(ctx, given, step);
}

ath_status athi_steps_read(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_steps *out) {
    const athi_value *model = athi_value_get(bound, "model");
    ath_dtype policy = ATH_F32;
    ATH_TRY(read_policy(ctx, bound, "dtype_policy", "dtype_policy", &policy));
    if (!model || model->type != ATHI_LIST) return athi_fail_at(ctx, model, "model: expected a list of layers");
    if (model->n < 1) return athi_fail_at(ctx, model, "model: expected at least one layer");
    out->steps = athi_arena_array(arena, model->n, (int64_t)sizeof *out->steps);
    if (!out->steps) return ATH_E_NOMEM;
    for (out->n = 0; out->n < model->n; out->n++) {
        ath_status status = read_step(ctx, arena, model->items[out->n], policy, &out->steps[out->n]);
        if (status != ATH_OK) return athi_placed(ctx, status, model->items[out->n]);
    }
    return ATH_OK;
}

/* ---- training ------------------------------------------------------------------------------------ */

/* A list of specs, or one alone. */
typedef struct spec_list {
    const athi_row **rows;
    const void **opts;
    int n;
} spec_list;

static ath_status read_specs(ath_ctx *ctx, athi_arena *arena, const athi_kind *kind, const athi_value *v,
                             const char *where, spec_list *out) {
    *out = (spec_list){0};
    if (!v) return ATH_OK;
    bool list = v->type == ATHI_LIST;
    int64_t n = list ? v->n : 1;
    out->rows = athi_arena_array(arena, n, (int64_t)sizeof *out->rows);
    out->opts = athi_arena_array(arena, n, (int64_t)sizeof *out->opts);
    if (!out->rows || !out->opts) return ATH_E_NOMEM;
    for (; out->n < n; out->n++) {
        const athi_value *item = list ? v->items[out->n] : v;
        void *opts;
        ath_status status = athi_spec_read(ctx, arena, kind, item, where, &out->rows[out->n], &opts);
        if (status != ATH_OK) return athi_placed(ctx, status, item);
        out->opts[out->n] = opts;
    }
    return ATH_OK;
}

static ath_status check_class_weight(ath_ctx *ctx, const athi_value *v) {
    double w;
    if (!v) return ATH_OK;
    if (v->type != ATHI_MAP || v->tag)
        return athi_fail_at(ctx, v, "train: class_weight must be a map of classes to weights, got %s",
                            athi_value_type_name(v->type));
    for (int64_t i = 0; i < v->n; i++)
        if (!athi_value_number(v->items[i], &w) || !(w >= 0 && w <= 1e30))
            return athi_fail_at(ctx, v->items[i], "train: class_weight: the weight of '%.60s' must be a number >= 0",
                                v->keys[i]);
    return ATH_OK;
}

static ath_status read_train(ath_ctx *ctx, athi_arena *arena, const athi_value *train, athi_training_specs *s) {
    athi_train_opts *o = &s->train;
    ATH_TRY(athi_options_read(ctx, arena, &athi_train_row, train, NULL, "train", o));
    s->loss = athi_row_find(&athi_losses, o->loss.name), s->loss_opts = o->loss.opts;
    s->optimizer = athi_row_find(&athi_optimizers, o->optimizer.name), s->optimizer_opts = o->optimizer.opts;
    spec_list metrics, callbacks;
    ATH_TRY(read_specs(ctx, arena, &athi_metrics, o->metrics, "train.metrics", &metrics));
    ATH_TRY(read_specs(ctx, arena, &athi_callbacks, o->callbacks, "train.callbacks", &callbacks));
    s->metrics = metrics.rows, s->metric_opts = metrics.opts, s->n_metrics = metrics.n;
    s->callbacks = athi_arena_array(arena, callbacks.n + 1, (int64_t)sizeof *s->callbacks);
    if (!s->callbacks) return ATH_E_NOMEM;
    for (; s->n_callbacks < callbacks.n; s->n_callbacks++)
        s->callbacks[s->n_callbacks] =
            (athi_callback){callbacks.rows[s->n_callbacks], callbacks.opts[s->n_callbacks]};
    return check_class_weight(ctx, o->class_weight);
}

ath_status athi_training_read(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_training_specs *specs) {
    *specs = (athi_training_specs){0};
    const athi_value *train = athi_value_get(bound, "train");
    return athi_placed(ctx, read_train(ctx, arena, train, specs), train);
}

ath_status athi_bound_check(ath_ctx *ctx, athi_arena *arena, const athi_value *bound) {
    athi_data_opts data;
    athi_steps steps;
    athi_training_specs specs;
    const athi_value *v = athi_value_get(bound, "data");
    athi_augment_list augment;
    ATH_TRY(athi_placed(ctx, athi_options_read(ctx, arena, &athi_data_row, v, NULL, "data", &data), v));
    ATH_TRY(athi_placed(ctx, athi_augment_read(ctx, arena, data.augment, &augment, &data.normalize), data.augment));
    ATH_TRY(athi_steps_read(ctx, arena, bound, &steps));
    return athi_training_read(ctx, arena, bound, &specs);
}
