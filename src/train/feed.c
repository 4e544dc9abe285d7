/* Batches into input slots; evaluation and prediction, which are feeding without updates. */
#include "train/internal.h"

#include <math.h>

/* ---- feeding ------------------------------------------------------------------------------------- */

/* Numbers of a sample's target as the loss takes it, which last of them are a row of classes. */
static int64_t target_width(const athi_net *net, int64_t *classes) {
    int64_t width = 1;
    for (int d = 1; d < net->target_shape.rank; d++) width *= net->target_shape.dim[d];
    *classes = net->target_shape.rank > 1 ? net->target_shape.dim[net->target_shape.rank - 1] : 1;
    return width;
}

ath_status athi_augment_fits_model(const ath_model *m, const athi_augment_list *list) {
    if (!list || !list->mixes || m->net->target_slot < 0 || m->net->target_dtype == ATH_F32) return ATH_OK;
    return athi_fail(m->ctx, ATH_E_OPTION,
                     "data.augment: mixing images mixes their targets, but this loss takes class numbers; write "
                     "data.one_hot: true and loss: categorical_crossentropy");
}

ath_status athi_feed_check(ath_ctx *ctx, const athi_feed *f, const char *what) {
    const athi_net *net = f->model->net;
    char a[96], b[96];
    if (net->n_inputs != 1)
        return athi_fail(ctx, ATH_E_UNSUPPORTED, "data.%s feeds one input, but the model has %lld", what,
                         (long long)net->n_inputs);
    athi_shape want = net->inputs[0].shape, have = f->part->x.shape;
    have.dim[0] = want.dim[0];
    if (!athi_shape_equal(want, have))
        return athi_fail(ctx, ATH_E_SHAPE, "data.%s: its samples are %s, but the model's input is %s", what,
                         athi_shape_str(have, a), athi_shape_str(want, b));
    ATH_TRY(athi_augment_fits_model(f->model, f->augment));
    if (net->target_slot < 0) return ATH_OK;
    if (!f->part->y.data) return athi_fail(ctx, ATH_E_DATA, "data.%s: has no targets", what);
    if (net->target_dtype == ATH_I32)
        return athi_part_check_classes(ctx, f->part, what,
                                       net->graph->outputs[0]->shape.dim[net->graph->outputs[0]->shape.rank - 1]);
    int64_t classes, wanted = target_width(net, &classes),
                     width = athi_array_row_bytes(&f->part->y) / athi_dtype_size(f->part->y.dtype);
    if (width == 1 && wanted > 1) return athi_part_check_classes(ctx, f->part, what, wanted);
    if (width != wanted)
        return athi_fail(ctx, ATH_E_SHAPE, "data.%s: each target has %lld numbers, but the loss needs %s", what,
                         (long long)width, athi_shape_str(net->target_shape, a));
    return ATH_OK;
}

static void feed_weights(const athi_feed *f, const int64_t *order, int64_t n, float *w) {
    int32_t label;
    for (int64_t i = 0; i < n; i++) {
        w[i] = 1;
        if (!f->class_weight) continue;
        athi_batch_classes(f->part, &order[i], 1, &label);
        w[i] = (float)f->class_weight[label];
    }
}

int64_t athi_feed_scratch(const athi_feed *f, int64_t batch) {
    int64_t classes;
    return f->augment ? athi_augment_scratch(f->augment, batch, target_width(f->model->net, &classes)) : 0;
}

athi_slots athi_feed_slots(const athi_feed *f, athi_plan *plan) {
    const athi_net *net = f->model->net;
    return (athi_slots){athi_plan_input(plan, 0, NULL),
                        net->target_slot >= 0 ? athi_plan_input(plan, net->target_slot, NULL) : NULL,
                        net->weight_slot >= 0 ? athi_plan_input(plan, net->weight_slot, NULL) : NULL};
}

void athi_feed_batch(const athi_feed *f, const athi_slots *to, const athi_batch_key *key, const int64_t *order,
                     int64_t n) {
    const athi_net *net = f->model->net;
    int64_t classes, width = target_width(net, &classes);
    if (to->y && net->target_dtype == ATH_I32)
        athi_batch_classes(f->part, order, n, to->y);
    else if (to->y)
        athi_batch_targets(f->part, order, n, classes, to->y);
    if (to->w) feed_weights(f, order, n, to->w);
    if (to->x && f->scratch)
        athi_batch_augmented(f->part, f->preprocess, f->augment, key, order, n, to->x, to->y, width, f->scratch);
    else if (to->x)
        athi_batch_x(f->part, f->preprocess, order, n, to->x);
}

/* ---- sums ---------------------------------------------------------------------------------------- */

void athi_sums_clear(ath_model *m) {
    for (int64_t i = 0; i < m->net->n_sums; i++)
        memset(athi_state_at(m->state, m->net->sums[i].variable), 0, 2 * sizeof(double));
}

void athi_sums_read(const ath_model *m, double *means) {
    for (int64_t i = 0; i < m->net->n_sums; i++) {
        const double *sum = athi_state_at(m->state, m->net->sums[i].variable);
        double mean = sum[1] != 0 ? sum[0] / sum[1] : 0;
        means[i] = m->net->sums[i].square_root ? sqrt(mean) : mean;
    }
}

/* ---- passes over a part -------------------------------------------------------------------------- */

ath_status athi_feed_samples(const athi_feed *f, athi_mode mode, const int64_t *order, int64_t n, int64_t batch,
                             athi_batch_done *done, void *user) {
    for (int64_t begin = 0; begin < n; begin += batch) {
        int64_t size = ATHI_MIN(batch, n - begin);
        athi_plan *plan = NULL;
        ATH_TRY(athi_model_plan(f->model, mode, size, &plan));
        athi_slots slots = athi_feed_slots(f, plan);
        athi_feed_batch(f, &slots, NULL, order + begin, size);
        athi_plan_run(plan);
        if (done) done(user, plan, begin, size);
    }
    return ATH_OK;
}

/* All samples of the part, in its order. */
static ath_status walk(ath_model *m, athi_mode mode, const athi_feed *f, int64_t batch, athi_batch_done *done,
                       void *user) {
    int64_t *order = athi_alloc_array(m->ctx, f->part->n + 1, sizeof *order);
    if (!order) return ATH_E_NOMEM;
    for (int64_t i = 0; i < f->part->n; i++) order[i] = i;
    ath_status status = athi_feed_samples(f, mode, order, f->part->n, batch, done, user);
    athi_free(m->ctx, order);
    return status;
}

ath_status athi_evaluate(ath_model *m, const athi_part *part, const athi_preprocess *p, int64_t batch,
                         double *values) {
    athi_feed feed = {.model = m, .part = part, .preprocess = p};
    ATH_TRY(athi_feed_check(m->ctx, &feed, "evaluation"));
    athi_sums_clear(m);
    ath_status status = walk(m, ATHI_MODE_EVALUATE, &feed, batch, NULL, NULL);
    athi_sums_read(m, values);
    athi_sums_clear(m);
    return status;
}

static void copy_output(void *user, athi_plan *plan, int64_t begin, int64_t n) {
    float *out = user;
    const ath_tensor *t = NULL;
    const float *y = athi_plan_output(plan, 0, &t);
    int64_t width = athi_shape_count(t->shape) / n;
    memcpy(out + begin * width, y, (size_t)(n * width) * sizeof *out);
}

ath_status athi_predict(ath_model *m, const athi_part *part, const athi_preprocess *p, int64_t batch, float *out) {
    athi_feed feed = {.model = m, .part = part, .preprocess = p};
    int target = m->net->target_slot;
    m->net->target_slot = -1; /* predicting needs no targets */
    ath_status status = athi_feed_check(m->ctx, &feed, "prediction");
    m->net->target_slot = target;
    if (status == ATH_OK) status = walk(m, ATHI_MODE_PREDICT, &feed, batch, copy_output, out);
    return status;
}
