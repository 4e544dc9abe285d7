/* What compiling adds, run: fusing, sample weights, penalties, dropout, the update's effects; and failing
 * allocations. */
#include "golden.h"
#include "oom.h"

static const athi_backend *reference(fixture *f) {
    const athi_backend *backend;
    assert_ok(f->ctx, athi_backend_find(f->ctx, "ref", &backend));
    return backend;
}

static void initialise(const machine *m, uint64_t seed) {
    const athi_net *net = m->f->net;
    for (int64_t i = 0; i < net->n_params; i++)
        assert_ok(m->f->ctx, athi_param_init(m->f->ctx, net, i, seed, at(m, net->params[i].variable->name)));
    ((int64_t *)at(m, "train/counters"))[0] = (int64_t)seed;
}

static void feed_x(const machine *m, int64_t n) {
    float *x = athi_plan_input(m->plan, 0, NULL);
    for (int64_t i = 0; i < n; i++) x[i] = (float)sin((double)i * 1.7);
}

/* Four samples of three features, dense to `units` with the activation; the loss's sum after one run. */
typedef struct setting {
    const char *loss, *activation;
    bool explicit_activation; /* a linear layer behind it hides the activation from the loss: no fusing */
    const float *weights;     /* of samples, or NULL */
    const char *regularizer;
} setting;

static double loss_of(const setting *s, float *gradient) {
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(3), ATH_F32);
    char text[256];
    bool binary = strstr(s->loss, "binary") != NULL;
    int units = binary ? 1 : 4;
    snprintf(text, sizeof text, "{\"dense\": {\"units\": %d, \"activation\": %s, \"kernel_regularizer\": %s}}", units,
             s->activation, s->regularizer ? s->regularizer : "null");
    x = layer(&f, x, text);
    if (s->explicit_activation) x = layer(&f, x, "{\"rescaling\": 1}");
    assert_ok(f.ctx, compile(&f, s->loss, NULL, NULL, ATHI_SCALAR, s->weights != NULL));
    machine m = machine_start(&f, reference(&f), ATHI_MODE_TRAIN, 4);
    initialise(&m, 5);
    feed_x(&m, 12);
    void *y = athi_plan_input(m.plan, f.net->target_slot, NULL);
    for (int i = 0; i < 4; i++)
        if (binary)
            ((float *)y)[i] = (float)(i % 2);
        else
            ((int32_t *)y)[i] = 3 - i;
    if (s->weights) memcpy(athi_plan_input(m.plan, f.net->weight_slot, NULL), s->weights, 4 * sizeof(float));
    athi_plan_run(m.plan);
    const double *sum = at(&m, "train/sum/loss");
    assert_float_equal(sum[1], 4, 0);
    double loss = sum[0] / sum[1];
    if (gradient) memcpy(gradient, gradient_at(&m, "dense/kernel"), (size_t)(3 * units) * sizeof(float));
    machine_end(&m);
    fixture_end(&f);
    return loss;
}

/* The fused way and the way over probabilities agree. */
static void fused_and_plain_agree(void **state) {
    (void)state;
    static const setting pairs[][2] = {
        {{"\"sparse_categorical_crossentropy\"", "\"softmax\"", false, NULL, NULL},
         {"\"sparse_categorical_crossentropy\"", "\"softmax\"", true, NULL, NULL}},
        {{"\"binary_crossentropy\"", "\"sigmoid\"", false, NULL, NULL},
         {"\"binary_crossentropy\"", "\"sigmoid\"", true, NULL, NULL}},
        {{"{\"sparse_categorical_crossentropy\": {\"from_logits\": true}}", "null", false, NULL, NULL},
         {"\"sparse_categorical_crossentropy\"", "\"softmax\"", false, NULL, NULL}},
        {{"{\"binary_crossentropy\": {\"from_logits\": true, \"label_smoothing\": 0.2}}", "null", false, NULL, NULL},
         {"{\"binary_crossentropy\": {\"label_smoothing\": 0.2}}", "\"sigmoid\"", true, NULL, NULL}},
    };
    for (int i = 0; i < ATHI_COUNT(pairs); i++) {
        float a[12] = {0}, b[12] = {0};
        assert_float_equal(loss_of(&pairs[i][0], a), loss_of(&pairs[i][1], b), 1e-6);
        for (int k = 0; k < 12; k++) assert_float_equal(a[k], b[k], 1e-6);
    }
}

/* Σ w l / B, and a weight of 0 takes its sample out. */
static void sample_weights(void **state) {
    (void)state;
    static const float ones[] = {1, 1, 1, 1}, twos[] = {2, 2, 2, 2}, first[] = {1, 0, 0, 0}, rest[] = {0, 1, 1, 1};
    setting s = {"\"sparse_categorical_crossentropy\"", "\"softmax\"", false, NULL, NULL};
    double plain = loss_of(&s, NULL);
    s.weights = ones;
    assert_float_equal(loss_of(&s, NULL), plain, 1e-9);
    s.weights = twos;
    assert_float_equal(loss_of(&s, NULL), 2 * plain, 1e-6);
    s.weights = first;
    double a = loss_of(&s, NULL);
    s.weights = rest;
    assert_float_equal(a + loss_of(&s, NULL), plain, 1e-6);
}

/* The reported loss and the gradient include the penalties. */
static void penalties(void **state) {
    (void)state;
    setting s = {"\"sparse_categorical_crossentropy\"", "\"softmax\"", false, NULL, NULL};
    float plain[12], with[12], w[12];
    double loss = loss_of(&s, plain);
    s.regularizer = "{\"l2\": 0.5}";
    double more = loss_of(&s, with), squares = 0;
    for (int i = 0; i < 12; i++) {
        w[i] = with[i] - plain[i]; /* = 2 · 0.5 · w */
        squares += w[i] * w[i];
    }
    assert_true(squares > 0.1);
    assert_float_equal(more - loss, 0.5 * squares, 1e-5);
}

/* Training mode drops about `rate` and scales the rest, differently at the next step; evaluation changes
 * nothing. */
static void dropout(void **state) {
    (void)state;
    enum { N = 4000 };
    fixture f = fixture_begin();
    athi_graph *g = f.net->graph;
    ath_tensor *x = athi_constant(g, 1, athi_dims(1, N));
    x = layer(&f, x, "{\"dropout\": 0.25}");
    athi_variable *out = athi_variable_add(g, "out", athi_dims(1, N), ATH_F32, ATHI_TRAIN);
    athi_op2(g, ATHI_OP_MOVE_TOWARDS, athi_variable_tensor(g, out), x, NULL);
    g->loss = athi_constant(g, 0, ATHI_SCALAR);
    machine m = machine_start(&f, reference(&f), ATHI_MODE_TRAIN, 1);
    float *y = at(&m, "out"), first[N];
    int64_t *counters = at(&m, "train/counters");
    counters[0] = 42;
    athi_plan_run(m.plan);
    memcpy(first, y, sizeof first);
    int zeros = 0, same = 0;
    for (int i = 0; i < N; i++) {
        zeros += y[i] == 0;
        assert_true(y[i] == 0 || fabs(y[i] - 4.0 / 3) < 1e-6);
    }
    assert_true(abs(zeros - N / 4) < 150);
    counters[1] = 1;
    athi_plan_run(m.plan);
    for (int i = 0; i < N; i++) same += y[i] == first[i];
    assert_true(same < N * 3 / 4);
    counters[1] = 0;
    athi_plan_run(m.plan);
    assert_memory_equal(y, first, sizeof first); /* the same step, the same zeros */
    machine_end(&m);
    m = machine_start(&f, reference(&f), ATHI_MODE_EVALUATE, 1);
    athi_plan_run(m.plan);
    y = at(&m, "out");
    for (int i = 0; i < N; i++) assert_float_equal(y[i], 1, 0);
    machine_end(&m);
    fixture_end(&f);
}

/* The loss of a small classifier's batch after 60 updates, as part of the first one. */
static double descent(const athi_row *row, double rate) {
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(3), ATH_F32);
    x = layer(&f, x, "{\"dense\": {\"units\": 8, \"activation\": \"tanh\"}}");
    layer(&f, x, "{\"dense\": {\"units\": 4, \"activation\": \"softmax\"}}");
    char text[96];
    snprintf(text, sizeof text, "{\"%s\": {\"learning_rate\": %g}}", row->name, rate);
    assert_ok(f.ctx, compile(&f, "\"sparse_categorical_crossentropy\"", "[\"accuracy\"]", text, ATHI_SCALAR, false));
    machine m = machine_start(&f, reference(&f), ATHI_MODE_TRAIN, 4);
    initialise(&m, 9);
    double *sum = at(&m, "train/sum/loss"), before = 0, after = 0;
    for (int step = 0; step < 60; step++) {
        feed_x(&m, 12);
        int32_t *y = athi_plan_input(m.plan, f.net->target_slot, NULL);
        for (int i = 0; i < 4; i++) y[i] = i;
        *(float *)at(&m, "train/learning_rate") = (float)athi_learning_rate(f.net, step);
        sum[0] = sum[1] = 0;
        athi_plan_run(m.plan);
        *(step == 0 ? &before : &after) = sum[0] / sum[1];
    }
    assert_int_equal(((int64_t *)at(&m, "train/counters"))[1], 60);
    machine_end(&m);
    fixture_end(&f);
    return after / before;
}

/* Every optimiser learns at a rate of its own order: adadelta and those that scale by the weights take large ones. */
static void every_optimizer_descends(void **state) {
    (void)state;
    for (const athi_row *row = athi_optimizers.rows; row->name; row++) {
        const double small = descent(row, 0.02), large = small < 0.95 ? small : descent(row, 5);
        if (!(large < 0.95)) fail_msg("%s: of the loss %g is left at 0.02, %g at 5", row->name, small, large);
    }
}

/* ---- failing allocations --------------------------------------------------------------------------- */

static ath_status build_and_compile(ath_ctx *ctx) {
    athi_net *net = NULL;
    ath_status status = athi_net_create(ctx, &net);
    if (status != ATH_OK) return status;
    athi_arena *arena = athi_arena_create(ctx);
    status = arena ? ATH_OK : ATH_E_NOMEM;
    void *loss_opts = NULL, *opts = NULL;
    const athi_row *loss = athi_row_find(&athi_losses, "sparse_categorical_crossentropy"),
                   *adam = athi_row_find(&athi_optimizers, "adam"),
                   *metric = athi_row_find(&athi_metrics, "accuracy");
    const void *metric_opts = NULL;
    if (status == ATH_OK) {
        ath_tensor *x = athi_net_input_add(net, "x", athi_dims(8, 8, 1), ATH_F32);
        x = ath_conv2d(x, .filters = 2, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
        x = ath_batch_normalization(x, .momentum = 0.9);
        x = ath_dropout(ath_flatten(x), .rate = 0.5);
        ath_dense(x, .units = 3, .activation = ATH_SOFTMAX, .kernel_regularizer = ATH_L2(0.01));
        status = athi_graph_check(net->graph);
    }
    if (status == ATH_OK) status = athi_options_resolve(ctx, arena, loss, NULL, "", &loss_opts);
    if (status == ATH_OK) status = athi_options_resolve(ctx, arena, adam, NULL, "", &opts);
    if (status == ATH_OK)
        status = athi_net_compile(net, &(athi_net_compile_opts){.loss = loss,
                                                                .loss_opts = loss_opts,
                                                                .metrics = &metric,
                                                                .metric_opts = &metric_opts,
                                                                .n_metrics = 1,
                                                                .optimizer = adam,
                                                                .optimizer_opts = opts});
    float w[3 * 3 * 2];
    if (status == ATH_OK) status = athi_param_init(ctx, net, 0, 1, w);
    athi_arena_destroy(arena);
    athi_net_destroy(net);
    return status;
}
static void allocations_may_fail(void **state) {
    (void)state;
    oom_sweep(build_and_compile);
}

/* The loss of a model behind an augmentation (or none), in a mode, at a step. */
static double loss_behind(const athi_backend *backend, const char *augmentation, athi_mode mode, int64_t step) {
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(6, 6, 2), ATH_F32);
    if (augmentation) x = layer(&f, x, augmentation);
    x = layer(&f, layer(&f, x, "\"global_max_pooling2d\""), "{\"dense\": 1}");
    assert_ok(f.ctx, compile(&f, "\"mse\"", NULL, NULL, athi_dims(1), false));
    machine m = machine_start(&f, backend, mode, 16);
    initialise(&m, 5);
    ((int64_t *)at(&m, "train/counters"))[1] = step;
    feed_x(&m, 16 * 72);
    memset(athi_plan_input(m.plan, f.net->target_slot, NULL), 0, 16 * sizeof(float));
    athi_plan_run(m.plan);
    double loss = *(const double *)at(&m, "train/sum/loss");
    machine_end(&m);
    fixture_end(&f);
    return loss;
}

/* In training another image every step, the same for the same step and on every backend; otherwise none at all. */
static void augmentation_on(const athi_backend *backend) {
    const char *erasing = "{\"cutout\": {\"size\": 5, \"fill_value\": -3}}";
    double first = loss_behind(backend, erasing, ATHI_MODE_TRAIN, 1);
    assert_true(loss_behind(backend, erasing, ATHI_MODE_TRAIN, 1) == first);
    assert_true(loss_behind(backend, erasing, ATHI_MODE_TRAIN, 2) != first);
    double plain = loss_behind(backend, NULL, ATHI_MODE_EVALUATE, 1);
    assert_true(first != plain);
    assert_true(loss_behind(backend, erasing, ATHI_MODE_EVALUATE, 1) == plain);
    const char *crop = "{\"random_crop\": {\"height\": 3, \"width\": 3}}"; /* still, not gone */
    double window = loss_behind(backend, crop, ATHI_MODE_EVALUATE, 1);
    assert_true(window != plain && loss_behind(backend, crop, ATHI_MODE_EVALUATE, 2) == window);
    assert_true(loss_behind(backend, crop, ATHI_MODE_TRAIN, 1) != loss_behind(backend, crop, ATHI_MODE_TRAIN, 2));
}
static void augmentation_in_training_only(void **state) {
    (void)state;
    on_backends(augmentation_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_and_plain_agree),
        cmocka_unit_test(sample_weights),
        cmocka_unit_test(penalties),
        cmocka_unit_test(dropout),
        cmocka_unit_test(every_optimizer_descends),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(augmentation_in_training_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
