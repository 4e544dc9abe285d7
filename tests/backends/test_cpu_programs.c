/* Whole programs on the cpu backend against the reference: fused groups equal their members, for every instruction
 * set that runs here, and repeated runs give the same bits. */
#include "backends/cpu/cpu.h"
#include "backends/program.h"
#include "backends/ref/ref.h"

static athi_attr axes(uint32_t mask) { return (athi_attr){.axes = {.mask = mask}}; }

static ath_tensor *dense(program *p, ath_tensor *x, const char *kernel, const char *bias, int64_t units,
                         athi_op activation) {
    athi_graph *g = p->graph;
    ath_tensor *w = program_weight(p, kernel, athi_dims(x->shape.dim[1], units));
    ath_tensor *b = program_weight(p, bias, athi_dims(units));
    ath_tensor *y = athi_op2(g, ATHI_OP_ADD, athi_op2(g, ATHI_OP_MATMUL, x, w, NULL), b, NULL);
    return activation == ATHI_OP_COPY ? y : athi_op1(g, activation, y, &(athi_attr){.alpha = {1, 0}});
}

static void classify(program *p, ath_tensor *logits, ath_tensor *labels) {
    ath_tensor *loss = athi_op2(p->graph, ATHI_OP_SPARSE_XENT, logits, labels, NULL);
    ath_tensor *correct = athi_op2(p->graph, ATHI_OP_SPARSE_CORRECT, &loss->node->out[1], labels, NULL);
    athi_variable *sum = athi_variable_add(p->graph, "train/accuracy", athi_dims(2), ATH_F64, ATHI_TRAIN);
    athi_op2(p->graph, ATHI_OP_ACCUMULATE, athi_variable_tensor(p->graph, sum), correct, NULL);
    program_mean_loss(p, loss);
}

static void build_mlp(program *p) {
    ath_tensor *x = program_input(p, 0, athi_dims(37, 53), ATH_F32),
               *labels = program_input(p, 1, athi_dims(37), ATH_I32);
    ath_tensor *h = dense(p, x, "dense/kernel", "dense/bias", 19, ATHI_OP_RELU);
    h = dense(p, h, "dense_1/kernel", "dense_1/bias", 33, ATHI_OP_RELU);
    classify(p, dense(p, h, "dense_2/kernel", "dense_2/bias", 7, ATHI_OP_COPY), labels);
}

/* Other activations, a dropout, a residual sum, weights per sample. */
static void build_mixed(program *p) {
    athi_graph *g = p->graph;
    ath_tensor *x = program_input(p, 0, athi_dims(21, 30), ATH_F32),
               *labels = program_input(p, 1, athi_dims(21), ATH_I32);
    ath_tensor *weights = program_input(p, 2, athi_dims(21), ATH_F32);
    ath_tensor *h = dense(p, x, "dense/kernel", "dense/bias", 30, ATHI_OP_GELU);
    ath_tensor *sum = athi_op1(g, ATHI_OP_RELU, athi_op2(g, ATHI_OP_ADD, h, x, NULL), NULL);
    athi_variable *counters = athi_variable_add(g, "dropout/counters", athi_dims(2), ATH_I64, ATHI_TRAIN);
    sum = athi_op2(g, ATHI_OP_DROPOUT, sum, athi_variable_tensor(g, counters), &(athi_attr){.dropout = {0.4, 3}});
    h = dense(p, sum, "dense_1/kernel", "dense_1/bias", 12, ATHI_OP_TANH);
    ath_tensor *logits = dense(p, h, "dense_2/kernel", "dense_2/bias", 9, ATHI_OP_COPY);
    ath_tensor *loss = athi_op2(g, ATHI_OP_SPARSE_XENT, logits, labels, NULL);
    athi_variable *total = athi_variable_add(g, "train/weighted", athi_dims(2), ATH_F64, ATHI_TRAIN);
    athi_op3(g, ATHI_OP_ACCUMULATE, athi_variable_tensor(g, total), loss, weights, NULL);
    program_mean_loss(p, athi_op2(g, ATHI_OP_MUL, loss, weights, NULL));
}

/* Sums and broadcasts of several kinds. */
static void build_broadcasts(program *p) {
    athi_graph *g = p->graph;
    ath_tensor *x = program_input(p, 0, athi_dims(6, 5, 4, 9), ATH_F32);
    ath_tensor *scale = program_weight(p, "scale", athi_dims(9)),
               *shift = program_weight(p, "shift", athi_dims(1, 5, 1, 1));
    ath_tensor *number = program_weight(p, "number", ATHI_SCALAR);
    ath_tensor *y = athi_op2(g, ATHI_OP_SUB, number, athi_op2(g, ATHI_OP_MUL, x, scale, NULL), NULL);
    y = athi_op2(g, ATHI_OP_ADD, y, shift, NULL);
    y = athi_op1(g, ATHI_OP_SIGMOID, y, NULL);
    athi_attr image = axes(6), last = axes(8);
    ath_tensor *pooled = athi_op1(g, ATHI_OP_MEAN, y, &image), *rows = athi_op1(g, ATHI_OP_SUM, y, &last);
    program_keep(p, "kept/pooled", pooled);
    program_keep(p, "kept/rows", rows);
    ath_tensor *z = athi_op1(g, ATHI_OP_SQUARE, pooled, NULL);
    program_mean_loss(p, athi_op1(g, ATHI_OP_SCALE, z, &(athi_attr){.alpha = {3, 0.5}}));
}

/* ---- images -------------------------------------------------------------------------------------- */

typedef struct conv_spec {
    int64_t filters, size, stride, groups;
    bool same, bias;
} conv_spec;

static ath_tensor *conv(program *p, ath_tensor *x, int number, conv_spec c) {
    athi_graph *g = p->graph;
    char kernel[32], bias[32];
    snprintf(kernel, sizeof kernel, "conv2d_%d/kernel", number);
    snprintf(bias, sizeof bias, "conv2d_%d/bias", number);
    ath_tensor *w = program_weight(p, kernel, athi_dims(c.size, c.size, x->shape.dim[3] / c.groups, c.filters));
    athi_attr attr = {.window = {.stride = {c.stride, c.stride}, .groups = c.groups, .same = c.same}};
    ath_tensor *y = athi_op2(g, ATHI_OP_CONV2D, x, w, &attr);
    return c.bias ? athi_op2(g, ATHI_OP_ADD, y, program_weight(p, bias, athi_dims(c.filters)), NULL) : y;
}
static ath_tensor *relu(program *p, ath_tensor *x) { return athi_op1(p->graph, ATHI_OP_RELU, x, NULL); }
static ath_tensor *pool(program *p, athi_op op, ath_tensor *x, int64_t size, int64_t stride, bool same) {
    return athi_op1(p->graph, op, x,
                    &(athi_attr){.window = {.size = {size, size}, .stride = {stride, stride}, .same = same}});
}
static ath_tensor *flatten(program *p, ath_tensor *x) {
    return athi_op1(p->graph, ATHI_OP_RESHAPE, x, &(athi_attr){.shape = {athi_dims(x->shape.dim[0], -1)}});
}
static ath_tensor *norm(program *p, ath_tensor *x, int number) {
    athi_graph *g = p->graph;
    char name[4][32];
    static const char *const parts[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    athi_shape channels = athi_dims(athi_cpu_last(x->shape));
    ath_tensor *in[5] = {x};
    for (int i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "norm_%d/%s", number, parts[i]);
        in[1 + i] = i < 2 ? program_weight(p, name[i], channels) : program_statistic(p, name[i], channels);
    }
    return athi_node_add(g, ATHI_OP_BATCH_NORM, in, 5, &(athi_attr){.norm = {.epsilon = 1e-3, .momentum = 0.9}});
}

/* The CNN of the benchmark in small: `channels` says whether blocks divide them. */
static void build_cnn(program *p, int64_t first, int64_t second) {
    ath_tensor *x = program_input(p, 0, athi_dims(5, 15, 13, 1), ATH_F32),
               *labels = program_input(p, 1, athi_dims(5), ATH_I32);
    ath_tensor *h =
        pool(p, ATHI_OP_MAX_POOL2D, relu(p, conv(p, x, 0, (conv_spec){first, 3, 1, 1, false, true})), 2, 2, false);
    h = pool(p, ATHI_OP_MAX_POOL2D, relu(p, conv(p, h, 1, (conv_spec){second, 3, 1, 1, false, true})), 2, 2, false);
    h = dense(p, flatten(p, h), "dense/kernel", "dense/bias", 20, ATHI_OP_RELU);
    classify(p, dense(p, h, "dense_1/kernel", "dense_1/bias", 7, ATHI_OP_COPY), labels);
}
static void build_cnn_blocked(program *p) { build_cnn(p, 16, 32); }
static void build_cnn_odd(program *p) { build_cnn(p, 5, 11); }
static void build_cnn_mixed(program *p) { build_cnn(p, 16, 12); }

/* A small residual net: normalisations, a projection, groups, strides, padding, both poolings, no bias. */
static void build_resnet(program *p, int64_t channels) {
    athi_graph *g = p->graph;
    ath_tensor *x = program_input(p, 0, athi_dims(4, 11, 9, 3), ATH_F32),
               *labels = program_input(p, 1, athi_dims(4), ATH_I32);
    ath_tensor *h = relu(p, norm(p, conv(p, x, 0, (conv_spec){channels, 3, 1, 1, true, false}), 0));
    ath_tensor *a = relu(p, norm(p, conv(p, h, 1, (conv_spec){2 * channels, 3, 2, 2, true, false}), 1));
    a = norm(p, conv(p, a, 2, (conv_spec){2 * channels, 3, 1, 1, true, false}), 2);
    ath_tensor *b = conv(p, h, 3, (conv_spec){2 * channels, 1, 2, 1, true, true});
    h = relu(p, athi_op2(g, ATHI_OP_ADD, a, b, NULL));
    h = pool(p, ATHI_OP_AVERAGE_POOL2D, h, 3, 2, true);
    h = athi_op1(g, ATHI_OP_SIGMOID, h, NULL);
    athi_attr image = axes(6);
    h = athi_op1(g, ATHI_OP_MEAN, h, &image);
    classify(p, dense(p, h, "dense/kernel", "dense/bias", 6, ATHI_OP_COPY), labels);
}
static void build_resnet_blocked(program *p) { build_resnet(p, 16); }
static void build_resnet_odd(program *p) { build_resnet(p, 6); }

/* Channels and tiles enough for Winograd: the lab's block, with pooling and a projection behind. */
static void build_wide(program *p) {
    athi_graph *g = p->graph;
    ath_tensor *x = program_input(p, 0, athi_dims(2, 15, 16, 1), ATH_F32),
               *labels = program_input(p, 1, athi_dims(2), ATH_I32);
    ath_tensor *h = relu(p, norm(p, conv(p, x, 0, (conv_spec){48, 3, 1, 1, true, true}), 0));
    ath_tensor *a = relu(p, norm(p, conv(p, h, 1, (conv_spec){64, 3, 1, 1, true, true}), 1));
    a = relu(p, norm(p, conv(p, a, 2, (conv_spec){64, 3, 1, 1, true, true}), 2));
    h = athi_op2(g, ATHI_OP_ADD, conv(p, h, 3, (conv_spec){64, 1, 1, 1, true, true}), a, NULL);
    h = pool(p, ATHI_OP_MAX_POOL2D, h, 2, 2, false);
    athi_attr image = axes(6);
    h = athi_op1(g, ATHI_OP_MEAN, h, &image);
    classify(p, dense(p, h, "dense/kernel", "dense/bias", 6, ATHI_OP_COPY), labels);
}

/* Overlapping windows, and normalisation of rows. */
static void build_overlap(program *p) {
    ath_tensor *x = program_input(p, 0, athi_dims(3, 9, 9, 8), ATH_F32),
               *labels = program_input(p, 1, athi_dims(3), ATH_I32);
    ath_tensor *h = relu(p, conv(p, x, 0, (conv_spec){8, 3, 1, 1, true, true}));
    h = pool(p, ATHI_OP_MAX_POOL2D, h, 3, 2, true);
    h = relu(p, norm(p, dense(p, flatten(p, h), "dense/kernel", "dense/bias", 13, ATHI_OP_COPY), 0));
    classify(p, dense(p, h, "dense_1/kernel", "dense_1/bias", 6, ATHI_OP_COPY), labels);
}

/* A softmax in the middle. */
static void build_gated(program *p) {
    ath_tensor *x = program_input(p, 0, athi_dims(11, 20), ATH_F32),
               *labels = program_input(p, 1, athi_dims(11), ATH_I32);
    ath_tensor *h = dense(p, x, "dense/kernel", "dense/bias", 18, ATHI_OP_TANH);
    h = dense(p, h, "dense_1/kernel", "dense_1/bias", 18, ATHI_OP_SOFTMAX);
    classify(p, dense(p, h, "dense_2/kernel", "dense_2/bias", 6, ATHI_OP_COPY), labels);
}

/* What moves elements: a transpose, slices, joined again; and the normalisation of rows. */
static void build_shapes(program *p) {
    athi_graph *g = p->graph;
    ath_tensor *x = program_input(p, 0, athi_dims(4, 6, 5, 7), ATH_F32);
    ath_tensor *w = program_weight(p, "w", athi_dims(4, 6, 5, 7)), *b = program_weight(p, "b", athi_dims(6, 1, 7));
    ath_tensor *y = athi_op2(g, ATHI_OP_MUL, x, w, NULL);
    y = athi_op2(g, ATHI_OP_ADD, y, athi_op1(g, ATHI_OP_BROADCAST_TO, b, &(athi_attr){.shape = {x->shape}}), NULL);
    ath_tensor *in[3] = {y, program_weight(p, "gamma", athi_dims(7)), program_weight(p, "beta", athi_dims(7))};
    y = athi_node_add(g, ATHI_OP_LAYER_NORM, in, 3, &(athi_attr){.norm = {.epsilon = 1e-3}});
    y = athi_op1(g, ATHI_OP_TRANSPOSE, y, &(athi_attr){.perm = {{2, 0, 3, 1}}}); /* [5, 4, 7, 6] */
    athi_attr left = {.slice = {.begin = {1, 0, 2, 0}, .size = {3, 4, 4, 6}}};
    athi_attr right = {.slice = {.begin = {0, 0, 1, 0}, .size = {3, 4, 6, 6}}};
    ath_tensor *parts[2] = {athi_op1(g, ATHI_OP_SLICE, y, &left), athi_op1(g, ATHI_OP_SLICE, y, &right)};
    y = athi_node_add(g, ATHI_OP_CONCAT, parts, 2, &(athi_attr){.axis = {2}});
    program_keep(p, "kept/shapes", y);
    program_mean_loss(p, athi_op1(g, ATHI_OP_SQUARE, y, NULL));
}

static const ath_rmsprop_opts rmsprop = {.rho = 0.9, .epsilon = 1e-3};
static const ath_rmsprop_opts centered = {
    .rho = 0.9, .momentum = 0.8, .epsilon = 1e-3, .centered = true, .weight_decay = 0.01};
static const ath_adam_opts adam = {.beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-3};
static const ath_adam_opts amsgrad = {.beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-3, .amsgrad = true};
static const ath_sgd_opts nesterov = {.momentum = 0.9, .nesterov = true};
static const ath_sgd_opts plain = {0};
static const ath_lamb_opts lamb = {.beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-3};
static const ath_ftrl_opts ftrl = {.learning_rate_power = -0.5, .l1_regularization_strength = 0.001, .beta = 0.1};

/* Keras's epsilon of 1e-7 makes steps of near-zero gradients depend on their last bits: 1e-3 here. */
static const program_case cases[] = {
    {"mlp sgd", build_mlp, "sgd", {NULL}, &plain, .steps = 3},
    {"mlp nesterov", build_mlp, "sgd", {"momentum"}, &nesterov, .steps = 3},
    {"mlp rmsprop", build_mlp, "rmsprop", {"velocity"}, &rmsprop, .steps = 3, .tolerance = 1e-4},
    {"mlp centered",
     build_mlp,
     "rmsprop",
     {"velocity", "average_gradient", "momentum"},
     &centered,
     .steps = 3,
     .tolerance = 1e-4},
    {"mlp adam", build_mlp, "adam", {"momentum", "velocity"}, &adam, .steps = 3, .tolerance = 1e-4},
    {"mlp amsgrad",
     build_mlp,
     "adamw",
     {"momentum", "velocity", "velocity_hat"},
     &amsgrad,
     .steps = 3,
     .tolerance = 1e-4},
    {"mlp lamb", build_mlp, "lamb", {"momentum", "velocity"}, &lamb, .steps = 3, .tolerance = 1e-4},
    {"mlp ftrl", build_mlp, "ftrl", {"accumulator", "linear"}, &ftrl, .steps = 2, .tolerance = 1e-4},
    {"mixed", build_mixed, "adam", {"momentum", "velocity"}, &adam, .steps = 2, .tolerance = 1e-4},
    {"broadcasts", build_broadcasts, "sgd", {NULL}, &plain, .steps = 2},
    {"cnn blocked", build_cnn_blocked, "sgd", {NULL}, &plain, .steps = 2, .tolerance = 1e-4},
    {"cnn odd", build_cnn_odd, "sgd", {NULL}, &plain, .steps = 2, .tolerance = 1e-4},
    {"cnn mixed", build_cnn_mixed, "adam", {"momentum", "velocity"}, &adam, .steps = 2, .tolerance = 1e-4},
    {"resnet blocked", build_resnet_blocked, "sgd", {"momentum"}, &nesterov, .steps = 2, .tolerance = 3e-4},
    {"resnet odd", build_resnet_odd, "sgd", {"momentum"}, &nesterov, .steps = 2, .tolerance = 3e-4},
    {"resnet predict", build_resnet_blocked, .mode = ATHI_MODE_EVALUATE, .tolerance = 1e-4},
    {"wide", build_wide, "sgd", {"momentum"}, &nesterov, .steps = 2, .tolerance = 3e-4},
    {"overlap", build_overlap, "sgd", {NULL}, &plain, .steps = 2, .tolerance = 3e-4},
    {"gated", build_gated, "sgd", {NULL}, &plain, .steps = 2},
    {"shapes", build_shapes, "sgd", {NULL}, &plain, .steps = 2, .tolerance = 1e-4},
    {"mlp evaluate", build_mlp, .mode = ATHI_MODE_EVALUATE, .steps = 2},
};

static void one_against_ref(const program_case *c, int threads) {
    program *want = program_create(c, &athi_ref_backend, 1), *got = program_create(c, &athi_cpu_backend, threads);
    program_run(want);
    program_run(got);
    program_compare(got, want);
    program_destroy(want);
    program_destroy(got);
}
static void against_ref(athi_cpu_isa isa, int threads) {
    athi_cpu_limit(isa);
    for (int i = 0; i < ATHI_COUNT(cases); i++) one_against_ref(&cases[i], threads);
    athi_cpu_limit(ATHI_CPU_BEST);
}

static void test_against_ref(void **state) {
    (void)state;
    for (int isa = 0; isa <= (int)athi_cpu_best_isa(); isa++) against_ref((athi_cpu_isa)isa, 1);
}
static void test_threads(void **state) {
    (void)state;
    against_ref(ATHI_CPU_BEST, 3);
}

/* Root mean square of got - want as a share of want's own. */
static double rms_error(const float *got, const float *want, int64_t n) {
    double error = 0, size = 1e-9 * (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d, size += (double)want[i] * (double)want[i];
    }
    return sqrt(error / size);
}

/* Gradients in bf16 are as far from those in float32 as exact arithmetic on rounded values would bring them, or twice as
 * far: Winograd rounds more. Near kinks rounding sends single gradients elsewhere, so a small net's are not compared one
 * by one. */
static void bf16_near_f32(const program_case *f32, int threads) {
    program_case bf16 = *f32;
    bf16.bf16 = true, bf16.steps = 1;
    program_case once = *f32;
    once.steps = 1;
    program *want = program_create(&once, &athi_ref_backend, 1),
            *emulated = program_create(&bf16, &athi_ref_backend, 1),
            *got = program_create(&bf16, &athi_cpu_backend, threads);
    program_run(want), program_run(emulated), program_run(got);
    for (int64_t i = 0; i < want->graph->n_variables; i++) {
        const athi_variable *v = want->graph->variables[i];
        if (v->role != ATHI_TRAINABLE) continue;
        const float *truth = (const void *)(want->spaces.grads + v->offset);
        const int64_t n = athi_shape_count(v->shape);
        const double exact = rms_error((const void *)(emulated->spaces.grads + v->offset), truth, n);
        const double error = rms_error((const void *)(got->spaces.grads + v->offset), truth, n);
        if (!(error <= 2 * exact + 0.005))
            fail_msg("%s, gradient of %s: off by %.3g in bf16, where exact arithmetic is by %.3g", f32->name, v->name,
                     error, exact);
    }
    program_destroy(want), program_destroy(emulated), program_destroy(got);
}

static void test_bf16(void **state) {
    (void)state;
    char why[ATHI_WHY_MAX] = "";
    if (!athi_cpu_backend.computes(ATH_BF16, why)) skip();
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        if (cases[i].mode || (i && cases[i].build == cases[i - 1].build)) continue; /* optimisers are float32 */
        bf16_near_f32(&cases[i], 1);
        bf16_near_f32(&cases[i], 2);
    }
}

/* What has no kernel over bfloat16 runs on widened copies, and nothing of it is left to the reference. */
static void test_bf16_widened(void **state) {
    (void)state;
    char why[ATHI_WHY_MAX] = "";
    if (!athi_cpu_backend.computes(ATH_BF16, why)) skip();
    const program_case overlap = {"overlap", build_overlap, .bf16 = true},
                       gated = {"gated", build_gated, .bf16 = true};
    program *p = program_create(&overlap, &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "own:widened"), 3); /* both of the norm of rows, the pooling's gradient */
    assert_int_equal(program_count(p, "batch_norm_train+relu", "own:widened"), 1);
    assert_int_equal(program_count(p, NULL, "ref:max_pool2d_grad"), 0);
    program_destroy(p);
    p = program_create(&gated, &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "own:widened"), 2); /* the softmax and its gradient */
    assert_int_equal(program_count(p, NULL, "ref:softmax"), 0);
    program_destroy(p);
}

/* Held below AVX-512 its kernels are refused, and a program falls to ref; on other processors as well. */
static void test_bf16_refused(void **state) {
    (void)state;
    char why[ATHI_WHY_MAX] = "";
    athi_cpu_limit(ATHI_CPU_BASELINE);
    assert_false(athi_cpu_backend.computes(ATH_BF16, why));
    assert_non_null(strstr(why, "AVX512-BF16"));
    const program_case mlp = {"mlp", build_mlp, .bf16 = true};
    program *p = program_create(&mlp, &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "own:gemm"), 0);
    assert_true(program_count(p, NULL, "ref:matmul") > 0);
    program_destroy(p);
    const program_case overlap = {"overlap", build_overlap, .bf16 = true};
    p = program_create(&overlap, &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "own:widened"), 0); /* nothing here widens */
    assert_true(program_count(p, NULL, "ref:max_pool2d_grad") > 0);
    program_destroy(p);
    athi_cpu_limit(ATHI_CPU_BEST);
}

/* The same bits from the same start, whatever the slab held before. */
static void same_bits(const program_case *c, int threads) {
    program *a = program_create(c, &athi_cpu_backend, threads), *b = program_create(c, &athi_cpu_backend, threads);
    memset(b->spaces.slab, 0x3c, (size_t)athi_plan_slab_bytes(b->plan));
    program_run(a);
    program_run(b);
    if (memcmp(a->spaces.block, b->spaces.block, (size_t)a->block_bytes) != 0)
        fail_msg("%s, %d threads%s: two runs gave different bits", c->name, threads, c->bf16 ? ", bf16" : "");
    program_destroy(a);
    program_destroy(b);
}

static void test_same_bits(void **state) {
    (void)state;
    char why[ATHI_WHY_MAX] = "";
    for (int threads = 1; threads <= 2; threads++)
        for (int i = 0; i < ATHI_COUNT(cases); i++) {
            program_case bf16 = cases[i];
            bf16.bf16 = true;
            same_bits(&cases[i], threads);
            if (athi_cpu_backend.computes(ATH_BF16, why)) same_bits(&bf16, threads);
        }
}

/* The groups that a training step of an MLP is made of; nothing of it is left to the reference. */
static void test_mlp_groups(void **state) {
    (void)state;
    program *p = program_create(&cases[2], &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, "matmul+add+relu", "own:"), 2);
    assert_int_equal(program_count(p, "matmul+add", "own:"), 1);
    assert_int_equal(program_count(p, "matmul+relu_grad+sum_to", "own:"), 2);
    assert_int_equal(program_count(p, NULL, "own:update"), 1);
    assert_int_equal(program_count(p, NULL, "ref:"), program_count(p, NULL, "ref:count"));
    program_destroy(p);
}

static const program_case *find_case(const char *name) {
    for (int i = 0; i < ATHI_COUNT(cases); i++)
        if (strcmp(cases[i].name, name) == 0) return &cases[i];
    fail_msg("no case %s", name);
    return NULL;
}

/* A CNN's step in blocks: the relu before a pooling is not kept, and no large image changes its layout. */
static void test_cnn_groups(void **state) {
    (void)state;
    if (athi_cpu()->isa < ATHI_CPU_AVX2) skip();
    program *p = program_create(find_case("cnn blocked"), &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, "conv2d+add+relu+max_pool2d", "own:"), 1);
    assert_int_equal(program_count(p, "conv2d+add+relu", "onednn:"), 1);
    assert_int_equal(program_count(p, "max_pool2d_grad+conv2d_grad_w", "own:"), 1);
    assert_int_equal(program_count(p, "relu_grad+sum_to", "own:"), 2);
    assert_int_equal(program_count(p, NULL, "onednn:reorder"), 2); /* before and behind the flattening */
    assert_int_equal(program_count(p, NULL, "ref:"), program_count(p, NULL, "ref:count") + 2); /* and the reshapes */
    program_destroy(p);
    p = program_create(find_case("wide"), &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "own:winograd"), 6);
    assert_int_equal(program_count(p, NULL, "onednn:reorder"), 1); /* the mean's gradient, where it is spread */
    program_destroy(p);
    p = program_create(find_case("resnet predict"), &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, "batch_norm_infer+relu", "onednn:"), 2);
    program_destroy(p);
    p = program_create(find_case("shapes"), &athi_cpu_backend, 1);
    assert_int_equal(program_count(p, NULL, "onednn:layer_norm"), 2);
    assert_true(program_count(p, NULL, "own:copy") >= 7);
    program_destroy(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_ref),  cmocka_unit_test(test_bf16),       cmocka_unit_test(test_bf16_widened),
        cmocka_unit_test(test_bf16_refused), cmocka_unit_test(test_threads),    cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_mlp_groups),   cmocka_unit_test(test_cnn_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
