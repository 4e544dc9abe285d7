/* Layers and regularisers against Keras: outputs, gradients of sum(output · out_gradient) for inputs and
 * weights, and statistics. Inputs are trainable variables here, so that the gradient buffer holds their
 * gradients too. */
#include "golden.h"

static ath_tensor *source(fixture *f, const char *name, athi_shape shape, athi_role role) {
    return athi_variable_tensor(f->net->graph, athi_variable_add(f->net->graph, name, shape, ATH_F32, role));
}

static ath_tensor *build(fixture *f, const athi_value *c) {
    const athi_value *inputs = athi_value_get(c, "inputs");
    ath_tensor *in[8];
    char name[32];
    for (int64_t i = 0; i < inputs->n; i++) {
        snprintf(name, sizeof name, "in%d", (int)i);
        in[i] = source(f, name, shape_of(inputs->items[i]), ATHI_TRAINABLE);
    }
    const athi_row *row = athi_row_find(&athi_layers, text_of(c, "layer"));
    assert_non_null(row);
    void *opts = athi_arena_alloc(f->arena, (int64_t)row->opts_size + 1);
    assert_ok(f->ctx, athi_options_read(f->ctx, f->arena, row, athi_value_get(c, "options"), NULL, "golden", opts));
    return athi_layer_apply(f->net, row, opts, "layer", in, (int)inputs->n);
}

/* The output goes to a variable, and its product with out_gradient to the loss. */
static void observe(fixture *f, ath_tensor *out) {
    athi_graph *g = f->net->graph;
    athi_op2(g, ATHI_OP_MOVE_TOWARDS, source(f, "out", out->shape, ATHI_TRAIN), out, NULL);
    ath_tensor *product = athi_op2(g, ATHI_OP_MUL, out, source(f, "dy", out->shape, ATHI_TRAIN), NULL);
    athi_attr all = {.axes = {(1u << out->shape.rank) - 1, false}};
    g->loss = athi_op1(g, ATHI_OP_SUM, product, &all);
}

static void weights_in(const machine *m, const athi_value *weights) {
    char name[64];
    for (int64_t i = 0; i < weights->n; i++) {
        snprintf(name, sizeof name, "layer/%s", weights->keys[i]);
        assert_int_equal(athi_shape_count(variable(m->f, name)->shape), data_of(weights->items[i])->n);
        fill(at(m, name), weights->items[i]);
    }
}

/* How near to Keras, as parts of the value and of 1: its own sums are in another order. */
typedef struct tolerances {
    double output, output_absolute, gradient, gradient_absolute, statistic, statistic_absolute;
} tolerances;
static const tolerances in_float32 = {2e-5, 2e-6, 1e-4, 1e-5, 1e-5, 1e-6};
/* bf16 has 8 bits. ref rounds where Keras on PyTorch does: its outputs are the same bits (gelu's tail aside). A backend
 * that fuses rounds less often. Statistics stay float32. */
static const tolerances in_bf16 = {0, 1e-6, 0x1p-8, 1e-6, 1e-5, 1e-6},
                        in_bf16_fused = {0x1p-7, 0x1p-7, 0x1p-6, 0x1p-6, 1e-5, 1e-6};

static void check(const machine *m, const athi_value *c, const char *what, const tolerances *t) {
    const athi_value *inputs = athi_value_get(c, "input_gradients"), *weights = athi_value_get(c, "weight_gradients"),
                     *statistics = athi_value_get(c, "statistics_after");
    bool training = athi_value_get(c, "training")->boolean;
    char name[64], where[220];
    assert_values(what, at(m, "out"), athi_value_get(c, "output"), t->output, t->output_absolute);
    for (int64_t i = 0; training && i < inputs->n; i++) {
        snprintf(name, sizeof name, "in%d", (int)i);
        snprintf(where, sizeof where, "%s: gradient of %s", what, name);
        assert_values(where, gradient_at(m, name), inputs->items[i], t->gradient, t->gradient_absolute);
    }
    for (int64_t i = 0; training && i < weights->n; i++) {
        snprintf(name, sizeof name, "layer/%s", weights->keys[i]);
        snprintf(where, sizeof where, "%s: gradient of %s", what, name);
        assert_values(where, gradient_at(m, name), weights->items[i], t->gradient, t->gradient_absolute);
    }
    for (int64_t i = 0; statistics && i < statistics->n; i++) {
        snprintf(name, sizeof name, "layer/%s", statistics->keys[i]);
        snprintf(where, sizeof where, "%s: %s", what, name);
        assert_values(where, at(m, name), statistics->items[i], t->statistic, t->statistic_absolute);
    }
}

static void run_case(const athi_backend *backend, const athi_value *c, ath_dtype compute, const tolerances *t) {
    fixture f = fixture_begin();
    f.net->compute = compute;
    char what[128];
    snprintf(what, sizeof what, "%s %s", backend->name, text_of(c, "name"));
    ath_tensor *out = build(&f, c);
    if (athi_is_poison(out)) fail_msg("%s: %s", what, f.net->graph->error);
    assert_true(athi_shape_equal(out->shape, shape_of(athi_value_get(c, "output"))));
    observe(&f, out);
    bool training = athi_value_get(c, "training")->boolean;
    machine m = machine_start(&f, backend, training ? ATHI_MODE_TRAIN : ATHI_MODE_EVALUATE, 1);
    const athi_value *inputs = athi_value_get(c, "inputs");
    char name[32];
    for (int64_t i = 0; i < inputs->n; i++) {
        snprintf(name, sizeof name, "in%d", (int)i);
        fill(at(&m, name), inputs->items[i]);
    }
    weights_in(&m, athi_value_get(c, "weights"));
    fill(at(&m, "dy"), athi_value_get(c, "out_gradient"));
    athi_plan_run(m.plan);
    check(&m, c, what, t);
    machine_end(&m);
    fixture_end(&f);
}

static void layers_on(const athi_backend *backend) {
    fixture f = fixture_begin();
    const athi_value *cases = athi_value_get(golden(&f, "layers.json"), "cases");
    assert_true(cases->n > 80);
    for (int64_t i = 0; i < cases->n; i++) run_case(backend, cases->items[i], ATH_F32, &in_float32);
    fixture_end(&f);
}
static void layers(void **state) {
    (void)state;
    on_backends(layers_on);
}

static void mixed_layers_on(const athi_backend *backend) {
    char why[ATHI_WHY_MAX];
    if (backend->computes && !backend->computes(ATH_BF16, why)) return;
    fixture f = fixture_begin();
    const athi_value *cases = athi_value_get(golden(&f, "layers_mixed.json"), "cases");
    assert_int_equal(cases->n, 25);
    bool exact = strcmp(backend->name, "ref") == 0;
    for (int64_t i = 0; i < cases->n; i++)
        run_case(backend, cases->items[i], ATH_BF16, exact ? &in_bf16 : &in_bf16_fused);
    fixture_end(&f);
}
static void mixed_layers(void **state) {
    (void)state;
    on_backends(mixed_layers_on);
}

static void regularizers_on(const athi_backend *backend) {
    fixture file = fixture_begin();
    const athi_value *cases = athi_value_get(golden(&file, "regularizers.json"), "cases");
    assert_true(cases->n >= 3);
    for (int64_t i = 0; i < cases->n; i++) {
        const athi_value *c = cases->items[i];
        fixture f = fixture_begin();
        athi_graph *g = f.net->graph;
        const athi_row *row = athi_row_find(&athi_regularizers, text_of(c, "regularizer"));
        assert_non_null(row);
        void *opts = athi_arena_alloc(f.arena, (int64_t)row->opts_size);
        assert_ok(f.ctx, athi_options_read(f.ctx, f.arena, row, athi_value_get(c, "options"), NULL, "golden", opts));
        ath_tensor *w = source(&f, "w", shape_of(athi_value_get(c, "weights")), ATHI_TRAINABLE);
        g->loss = ((const athi_regularizer_impl *)row->impl)->build(g, w, opts);
        athi_op2(g, ATHI_OP_MOVE_TOWARDS, source(&f, "value", ATHI_SCALAR, ATHI_TRAIN), g->loss, NULL);
        machine m = machine_start(&f, backend, ATHI_MODE_TRAIN, 1);
        fill(at(&m, "w"), athi_value_get(c, "weights"));
        athi_plan_run(m.plan);
        assert_near(text_of(c, "name"), *(float *)at(&m, "value"), number(athi_value_get(c, "value")), 1e-6, 0);
        assert_values(text_of(c, "name"), gradient_at(&m, "w"), athi_value_get(c, "gradient"), 1e-6, 1e-9);
        machine_end(&m);
        fixture_end(&f);
    }
    fixture_end(&file);
}
static void regularizers(void **state) {
    (void)state;
    on_backends(regularizers_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layers), cmocka_unit_test(mixed_layers),
                                       cmocka_unit_test(regularizers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
