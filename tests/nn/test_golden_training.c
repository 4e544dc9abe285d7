/* Losses, metrics, optimisers and schedules against Keras. */
#include "golden.h"

/* Rows with options of a case: {name: options}. */
static const athi_row *row_of(fixture *f, const athi_kind *kind, const char *name, const athi_value *options,
                              const void **opts) {
    const athi_row *row = athi_row_find(kind, name);
    if (!row) return NULL;
    void *p = athi_arena_alloc(f->arena, (int64_t)row->opts_size + 1);
    assert_ok(f->ctx, athi_options_read(f->ctx, f->arena, row, options, NULL, "golden", p));
    *opts = p;
    return row;
}

static void feed(const machine *m, int slot, const athi_value *tensor, int64_t from, int64_t count) {
    const ath_tensor *t;
    void *to = athi_plan_input(m->plan, slot, &t);
    const athi_value *data = data_of(tensor);
    int64_t each = data->n / shape_of(tensor).dim[0];
    if (!to) return; /* weights do not reach metrics */
    for (int64_t i = 0; i < count * each; i++) {
        double v = number(data->items[from * each + i]);
        if (t->dtype == ATH_I32)
            ((int32_t *)to)[i] = (int32_t)v;
        else
            ((float *)to)[i] = (float)v;
    }
}

/* The shape of one sample of a tensor. */
static athi_shape sample_of(const athi_value *tensor) {
    athi_shape s = shape_of(tensor);
    for (int i = 1; i < s.rank; i++) s.dim[i - 1] = s.dim[i];
    s.rank--;
    return s;
}

/* ---- losses ---------------------------------------------------------------------------------------- */

/* Predictions are a trainable variable, so that their gradient can be read. With `activation` the net's
 * output is that of the activation on the logarithms (softmax) of the predictions, which takes the fused way.
 */
static void loss_case(const athi_backend *backend, const athi_value *c, bool *skipped) {
    fixture f = fixture_begin();
    athi_graph *g = f.net->graph;
    const athi_value *p = athi_value_get(c, "prediction"), *y = athi_value_get(c, "target"),
                     *w = athi_value_get(c, "sample_weight");
    const void *opts;
    athi_net_compile_opts o = {.target_shape = sample_of(y), .sample_weights = w != NULL};
    const athi_value *options = athi_value_get(c, "options");
    if (athi_value_get(options, "ignore_class"))
        *skipped = true;
    else if (!athi_row_find(&athi_losses, text_of(c, "loss")))
        *skipped = true;
    if (*skipped) {
        fixture_end(&f);
        return;
    }
    o.loss = row_of(&f, &athi_losses, text_of(c, "loss"), options, &opts), o.loss_opts = opts;
    athi_variable *v = athi_variable_add(g, "p", shape_of(p), ATH_F32, ATHI_TRAINABLE);
    o.output = athi_variable_tensor(g, v);
    assert_ok(f.ctx, athi_net_compile(f.net, &o));
    int64_t batch = shape_of(p).dim[0];
    machine m = machine_start(&f, backend, ATHI_MODE_TRAIN, batch);
    fill(at(&m, "p"), p);
    feed(&m, f.net->target_slot, y, 0, batch);
    if (w) feed(&m, f.net->weight_slot, w, 0, batch);
    athi_plan_run(m.plan);
    const double *sum = at(&m, "train/sum/loss");
    char what[128];
    snprintf(what, sizeof what, "%s loss %s", backend->name, text_of(c, "name"));
    assert_near(what, sum[0] / sum[1], number(athi_value_get(c, "value")), 2e-6, 1e-6);
    assert_near("number of samples", sum[1], (double)batch, 0, 0);
    assert_values(what, gradient_at(&m, "p"), athi_value_get(c, "gradient"), 1e-4, 1e-6);
    machine_end(&m);
    fixture_end(&f);
}

static void losses_on(const athi_backend *backend) {
    fixture f = fixture_begin();
    const athi_value *cases = athi_value_get(golden(&f, "losses.json"), "cases");
    int64_t skipped = 0;
    for (int64_t i = 0; i < cases->n; i++) {
        bool skip = false;
        loss_case(backend, cases->items[i], &skip);
        skipped += skip;
    }
    assert_int_equal(skipped, 2);
    fixture_end(&f);
}
static void losses(void **state) {
    (void)state;
    on_backends(losses_on);
}

/* ---- metrics --------------------------------------------------------------------------------------- */

static void metric_case(const athi_backend *backend, const athi_value *c, const athi_value *batches) {
    fixture f = fixture_begin();
    const athi_value *p = athi_value_get(c, "prediction"), *y = athi_value_get(c, "target");
    const void *opts;
    void *loss_opts;
    const athi_row *row =
        row_of(&f, &athi_metrics, text_of(c, "metric"), athi_value_get(c, "options"), &opts);
    assert_non_null(row);
    bool classes = ((const athi_metric_impl *)row->impl)->target == ATHI_TARGET_CLASS;
    athi_net_compile_opts o = {.target_shape = sample_of(y),
                               .metrics = &row,
                               .metric_opts = &opts,
                               .n_metrics = 1};
    o.loss = spec(&f, &athi_losses, classes ? "\"sparse_categorical_crossentropy\"" : "\"mse\"", &loss_opts);
    o.loss_opts = loss_opts;
    o.output = athi_net_input_add(f.net, "p", sample_of(p), ATH_F32);
    assert_ok(f.ctx, athi_net_compile(f.net, &o));
    const athi_value *results = athi_value_get(c, "results");
    double sum[2] = {0};
    int64_t from = 0;
    for (int64_t b = 0; b < batches->n; b++) {
        int64_t n = (int64_t)number(batches->items[b]);
        machine m = machine_start(&f, backend, ATHI_MODE_EVALUATE, n);
        double *total = at(&m, f.net->sums[1].variable->name);
        total[0] = sum[0], total[1] = sum[1];
        feed(&m, 0, p, from, n);
        feed(&m, f.net->target_slot, y, from, n);
        athi_plan_run(m.plan);
        sum[0] = total[0], sum[1] = total[1];
        double value = sum[0] / sum[1];
        assert_near(text_of(c, "name"), f.net->sums[1].square_root ? sqrt(value) : value,
                    number(results->items[b]), 2e-6, 1e-7);
        from += n;
        machine_end(&m);
    }
    fixture_end(&f);
}

static void metrics_on(const athi_backend *backend) {
    fixture f = fixture_begin();
    const athi_value *file = golden(&f, "metrics.json"), *cases = athi_value_get(file, "cases");
    int64_t compared = 0;
    for (int64_t i = 0; i < cases->n; i++) {
        const athi_value *c = cases->items[i];
        if (athi_value_get(c, "sample_weight")) continue; /* `metrics` are not weighted */
        metric_case(backend, c, athi_value_get(file, "batches"));
        compared++;
    }
    assert_true(compared >= 12);
    fixture_end(&f);
}
static void metrics(void **state) {
    (void)state;
    on_backends(metrics_on);
}

/* ---- optimisers ------------------------------------------------------------------------------------ */

/* A loss whose gradients are the file's: Σ v0 g0 + Σ v1 g1. */
static ath_tensor *dot(athi_graph *g, ath_tensor *a, ath_tensor *b) {
    athi_attr all = {.axes = {(1u << a->shape.rank) - 1, false}};
    return athi_op1(g, ATHI_OP_SUM, athi_op2(g, ATHI_OP_MUL, a, b, NULL), &all);
}
static ath_tensor *named(athi_graph *g, const char *name) {
    for (int64_t i = 0; i < g->n_variables; i++)
        if (strcmp(g->variables[i]->name, name) == 0) return athi_variable_tensor(g, g->variables[i]);
    return NULL;
}
static ath_tensor *given_gradients(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    ath_tensor *sum = athi_op2(g, ATHI_OP_ADD, dot(g, named(g, "v0"), named(g, "g0")),
                               dot(g, named(g, "v1"), named(g, "g1")), NULL);
    ath_tensor *each = athi_op2(g, ATHI_OP_SUB, c->predictions, c->targets, NULL); /* 0, [1, 1] */
    return athi_op2(g, ATHI_OP_ADD, each, sum, NULL);
}
static const athi_loss_impl given_impl = {ATHI_TARGET_LIKE_OUTPUT, given_gradients};
static const athi_row given_row = {.name = "given", .impl = &given_impl};

static void optimizer_case(const athi_backend *backend, const athi_value *file, const athi_value *c) {
    fixture f = fixture_begin();
    const athi_value *init = athi_value_get(file, "init"), *grads = athi_value_get(file, "grads"),
                     *after = athi_value_get(c, "after");
    static const char *const names[] = {"v0", "v1"}, *const gradients[] = {"g0", "g1"};
    for (int i = 0; i < 2; i++) {
        athi_variable_add(f.net->graph, names[i], shape_of(init->items[i]), ATH_F32, ATHI_TRAINABLE);
        athi_variable_add(f.net->graph, gradients[i], shape_of(init->items[i]), ATH_F32, ATHI_TRAIN);
    }
    const int zero[8] = {0}; /* the reduction of the loss */
    const void *opts;
    athi_net_compile_opts o = {.loss = &given_row, .loss_opts = zero, .target_shape = athi_dims(1)};
    o.optimizer = row_of(&f, &athi_optimizers, text_of(c, "optimizer"), athi_value_get(c, "options"), &opts);
    o.optimizer_opts = opts;
    o.output = athi_net_input_add(f.net, "x", athi_dims(1), ATH_F32);
    assert_ok(f.ctx, athi_net_compile(f.net, &o));
    machine m = machine_start(&f, backend, ATHI_MODE_TRAIN, 1);
    for (int i = 0; i < 2; i++) fill(at(&m, names[i]), init->items[i]);
    const athi_optimizer_impl *impl = o.optimizer->impl;
    const char *slots[ATHI_MAX_SLOTS];
    int n_slots = impl->slots(opts, slots);
    for (int s = 0; s < n_slots && impl->fill; s++)
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "optimizer/%s/%s", slots[s], names[i]);
            float *slot = at(&m, name);
            for (int64_t k = 0; k < data_of(init->items[i])->n; k++) slot[k] = (float)impl->fill(opts, s);
        }
    char what[128];
    for (int64_t step = 0; step < grads->n; step++) {
        for (int i = 0; i < 2; i++) fill(at(&m, gradients[i]), grads->items[step]->items[i]);
        *(float *)at(&m, "train/learning_rate") = (float)athi_learning_rate(f.net, step);
        athi_plan_run(m.plan);
        for (int i = 0; i < 2; i++) {
            snprintf(what, sizeof what, "%s %s after %lld: v%d", backend->name, text_of(c, "name"),
                     (long long)step + 1, i);
            assert_values(what, at(&m, names[i]), after->items[step]->items[i], 2e-5, 2e-6);
        }
    }
    assert_int_equal(((const int64_t *)at(&m, "train/counters"))[1], grads->n);
    machine_end(&m);
    fixture_end(&f);
}

static void optimizers_on(const athi_backend *backend) {
    fixture f = fixture_begin();
    const athi_value *file = golden(&f, "optimizers.json"), *cases = athi_value_get(file, "cases");
    assert_true(cases->n >= 38);
    for (int64_t i = 0; i < cases->n; i++) optimizer_case(backend, file, cases->items[i]);
    fixture_end(&f);
}
static void optimizers(void **state) {
    (void)state;
    on_backends(optimizers_on);
}

/* ---- schedules ------------------------------------------------------------------------------------- */

static void schedules(void **state) {
    (void)state;
    fixture f = fixture_begin();
    const athi_value *file = golden(&f, "schedules.json"), *cases = athi_value_get(file, "cases"),
                     *steps = athi_value_get(file, "steps");
    assert_true(cases->n >= 13);
    for (int64_t i = 0; i < cases->n; i++) {
        const athi_value *c = cases->items[i], *values = athi_value_get(c, "values");
        const void *opts;
        const athi_row *row =
            row_of(&f, &athi_schedules, text_of(c, "schedule"), athi_value_get(c, "options"), &opts);
        assert_non_null(row);
        const athi_schedule_impl *impl = row->impl;
        for (int64_t k = 0; k < steps->n; k++)
            assert_near(text_of(c, "name"), impl->rate(opts, (int64_t)number(steps->items[k])),
                        number(values->items[k]), 2e-6, 1e-8);
    }
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses),
        cmocka_unit_test(metrics),
        cmocka_unit_test(optimizers),
        cmocka_unit_test(schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
