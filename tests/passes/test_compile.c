/* Whole programs through all passes on the reference backend: gradients against finite differences, effects,
 * predictions, binding again, and what bad input gets. */
#include "fixture.h"

#include <math.h>

static const athi_backend *reference(ath_ctx *ctx) {
    const athi_backend *b = NULL;
    assert_ok(ctx, athi_backend_find(ctx, "ref", &b));
    return b;
}

/* conv -> batch_norm -> relu -> max_pool -> flatten -> dense -> loss, with the loss summed into a variable */
static void build_cnn(net *n) {
    athi_graph *g = n->graph;
    ath_tensor *x = athi_input(g, 0, "x", athi_dims(ATHI_DYN, 6, 6, 2), ATH_F32);
    ath_tensor *labels = athi_input(g, 1, "labels", athi_dims(ATHI_DYN), ATH_I32);
    g->layer = "conv2d";
    ath_tensor *k = athi_variable_tensor(g, weights(n, "conv2d/kernel", athi_dims(3, 3, 2, 4)));
    ath_tensor *y = athi_op2(g, ATHI_OP_CONV2D, x, k, &(athi_attr){.window = {.same = true}});
    g->layer = "batch_normalization";
    ath_tensor *gamma = athi_variable_tensor(g, weights(n, "bn/gamma", athi_dims(4)));
    ath_tensor *beta = athi_variable_tensor(g, weights(n, "bn/beta", athi_dims(4)));
    ath_tensor *mean =
        athi_variable_tensor(g, athi_variable_add(g, "bn/moving_mean", athi_dims(4), ATH_F32, ATHI_STATISTIC));
    ath_tensor *var =
        athi_variable_tensor(g, athi_variable_add(g, "bn/moving_variance", athi_dims(4), ATH_F32, ATHI_STATISTIC));
    y = athi_node_add(g, ATHI_OP_BATCH_NORM, (ath_tensor *[]){y, gamma, beta, mean, var}, 5,
                      &(athi_attr){.norm = {1e-3, 0.9, false}});
    y = athi_op1(g, ATHI_OP_TANH, y, NULL);
    y = athi_op1(g, ATHI_OP_AVERAGE_POOL2D, y, &(athi_attr){.window = {.size = {2, 2}, .stride = {2, 2}}});
    y = athi_op1(g, ATHI_OP_RESHAPE, y, &(athi_attr){.shape = {athi_dims(0, -1)}});
    y = dense(n, y, 5, "dense");
    weights(n, "unused", athi_dims(3));
    g->outputs = athi_arena_array(g->arena, 1, sizeof(ath_tensor *));
    g->outputs[0] = athi_op1(g, ATHI_OP_SOFTMAX, y, NULL);
    g->n_outputs = 1;
    g->modes = ATHI_MODE_TRAIN | ATHI_MODE_EVALUATE;
    ath_tensor *loss = athi_op2(g, ATHI_OP_SPARSE_XENT, y, labels, NULL);
    g->loss = athi_op1(g, ATHI_OP_MEAN, loss, &(athi_attr){.axes = {1, false}});
    athi_variable *sum = athi_variable_add(g, "train/loss", athi_dims(2), ATH_F64, ATHI_TRAIN);
    athi_op2(g, ATHI_OP_ACCUMULATE, athi_variable_tensor(g, sum), loss, NULL);
    g->modes = ATHI_MODE_ALL;
    assert_ok(n->ctx, athi_graph_check(g));
}

static athi_variable *find(const net *n, const char *name) {
    for (int64_t i = 0; i < n->graph->n_variables; i++)
        if (!strcmp(n->graph->variables[i]->name, name)) return n->graph->variables[i];
    fail_msg("no variable %s", name);
    return NULL;
}

static float *values(const net *n, const char *name) { return (float *)(void *)(n->block + find(n, name)->offset); }

static void fill(net *n) {
    for (int64_t i = 0; i < n->graph->n_variables; i++) {
        const athi_variable *v = n->graph->variables[i];
        float *w = (float *)(void *)(n->block + v->offset);
        for (int64_t k = 0; k < athi_shape_count(v->shape) && v->role == ATHI_TRAINABLE; k++)
            w[k] = 0.5f * noise(97 * i + k);
    }
    for (int k = 0; k < 4; k++) values(n, "bn/moving_variance")[k] = 1;
    const ath_tensor *t = NULL;
    float *x = athi_plan_input(n->plan, 0, &t);
    assert_non_null(x);
    for (int64_t k = 0; k < athi_shape_count(t->shape); k++) x[k] = noise(k + 5);
    int32_t *labels = athi_plan_input(n->plan, 1, &t);
    for (int64_t k = 0; k < athi_shape_count(t->shape); k++) labels[k] = (int32_t)(k % 5);
}

static double loss_now(net *n) {
    double *sum = (double *)(void *)(n->block + find(n, "train/loss")->offset);
    sum[0] = sum[1] = 0;
    athi_plan_run(n->plan);
    return sum[0] / sum[1];
}

static void gradients_agree_with_differences(void **state) {
    (void)state;
    net n;
    net_start(&n);
    build_cnn(&n);
    net_compile(&n, ATHI_MODE_TRAIN, reference(n.ctx), 3);
    fill(&n);
    memset(n.grads, 0x7f, (size_t)n.trainable_bytes);
    loss_now(&n);
    char *kept = athi_alloc(n.ctx, n.trainable_bytes);
    memcpy(kept, n.grads, (size_t)n.trainable_bytes);
    for (int64_t i = 0; i < n.graph->n_variables; i++) {
        const athi_variable *v = n.graph->variables[i];
        if (v->role != ATHI_TRAINABLE) continue;
        float *w = (float *)(void *)(n.block + v->offset);
        const float *g = (const float *)(const void *)(kept + v->offset);
        for (int64_t k = 0; k < athi_shape_count(v->shape); k += 1 + athi_shape_count(v->shape) / 7) {
            const float h = 1e-2f, old = w[k];
            w[k] = old + h;
            double up = loss_now(&n);
            w[k] = old - h;
            double down = loss_now(&n);
            w[k] = old;
            double wanted = (up - down) / (2 * (double)h);
            if (fabs(wanted - (double)g[k]) > 2e-3)
                fail_msg("%s[%lld]: %g, differences %g", v->name, (long long)k, (double)g[k], wanted);
        }
    }
    athi_free(n.ctx, kept);
    net_end(&n);
}

static void batch_norm_moves_its_statistics(void **state) {
    (void)state;
    net n;
    net_start(&n);
    build_cnn(&n);
    net_compile(&n, ATHI_MODE_TRAIN, reference(n.ctx), 3);
    fill(&n);
    float before = values(&n, "bn/moving_variance")[0];
    athi_plan_run(n.plan);
    float once = values(&n, "bn/moving_variance")[0];
    athi_plan_run(n.plan);
    float twice = values(&n, "bn/moving_variance")[0];
    assert_true(before == 1 && once != before);
    float batch = (once - 0.9f * before) / 0.1f;
    assert_true(fabsf(twice - (0.9f * once + 0.1f * batch)) < 1e-5f);
    net_drop_plan(&n);
    net_compile(&n, ATHI_MODE_EVALUATE, reference(n.ctx), 2);
    fill(&n);
    athi_plan_run(n.plan);
    assert_true(values(&n, "bn/moving_variance")[0] == 1);
    net_end(&n);
}

static void predictions_survive_a_new_slab(void **state) {
    (void)state;
    net n;
    net_start(&n);
    build_cnn(&n);
    net_compile(&n, ATHI_MODE_PREDICT, reference(n.ctx), 4);
    assert_null(athi_plan_input(n.plan, 1, NULL)); /* no labels there */
    float *x = athi_plan_input(n.plan, 0, NULL);
    for (int i = 0; i < 4 * 72; i++) x[i] = noise(i);
    for (int k = 0; k < 4; k++) values(&n, "bn/moving_variance")[k] = 1;
    for (int k = 0; k < 72; k++) values(&n, "conv2d/kernel")[k] = noise(k);
    for (int k = 0; k < 4; k++) values(&n, "bn/gamma")[k] = 1;
    for (int k = 0; k < 180; k++) values(&n, "dense/kernel")[k] = noise(k);
    athi_plan_run(n.plan);
    const ath_tensor *t = NULL;
    const float *y = athi_plan_output(n.plan, 0, &t);
    assert_int_equal(athi_shape_count(t->shape), 20);
    float kept[20];
    memcpy(kept, y, sizeof kept);
    assert_true(fabsf(kept[0] + kept[1] + kept[2] + kept[3] + kept[4] - 1) < 1e-5f);
    char *other = athi_alloc(n.ctx, athi_plan_slab_bytes(n.plan));
    athi_spaces spaces = {.slab = other, .block = n.block, .grads = n.grads, .trainable_bytes = n.trainable_bytes};
    assert_ok(n.ctx, athi_plan_bind(n.plan, &spaces));
    memcpy(athi_plan_input(n.plan, 0, NULL), x, 4 * 72 * sizeof(float));
    double seconds[64] = {0};
    assert_true(athi_plan_graph(n.plan)->n_units < 64);
    athi_plan_run_profiled(n.plan, seconds);
    assert_memory_equal(kept, athi_plan_output(n.plan, 0, NULL), sizeof kept);
    athi_free(n.ctx, other);
    net_end(&n);
}

static void bad_programs_are_refused(void **state) {
    (void)state;
    net n;
    net_start(&n);
    build_cnn(&n);
    athi_compile_opts opts = {.mode = ATHI_MODE_PREDICT, .backend = reference(n.ctx), .threads = 1};
    assert_fails(n.ctx, athi_compile(n.graph, &opts, &n.plan), ATH_E_SHAPE, "not fully known");
    athi_shape wrong = athi_dims(3, 6, 7, 2);
    opts.input_shapes = &wrong;
    opts.n_slots = 1;
    assert_fails(n.ctx, athi_compile(n.graph, &opts, &n.plan), ATH_E_SHAPE,
                 "input 'x': expected [batch, 6, 6, 2], got [3, 6, 7, 2]");
    n.graph->loss = NULL;
    athi_shape right[] = {athi_dims(3, 6, 6, 2), athi_dims(3)};
    opts = (athi_compile_opts){.mode = ATHI_MODE_TRAIN,
                               .backend = reference(n.ctx),
                               .input_shapes = right,
                               .n_slots = 2};
    assert_fails(n.ctx, athi_compile(n.graph, &opts, &n.plan), ATH_E_STATE, "no loss");
    net_end(&n);
}

/* ---- memory runs out at every allocation in turn ---------------------------------------------------- */

static int64_t left;
static void *limited_alloc(void *user, size_t size) {
    (void)user;
    if (left-- <= 0) return NULL;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}
static void limited_free(void *user, void *ptr) {
    (void)user;
    free(ptr);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const ath_allocator limited = {limited_alloc, limited_free, NULL};
    int failures = 0;
    for (int64_t k = 1;; k++) {
        net n = {0};
        left = 1000000;
        ath_ctx_opts opts = {.struct_size = sizeof opts, .allocator = &limited};
        assert_int_equal(ath_ctx_create(&opts, &n.ctx), ATH_OK);
        assert_ok(n.ctx, athi_graph_create(n.ctx, &n.graph));
        build_cnn(&n);
        athi_shape shapes[] = {athi_dims(3, 6, 6, 2), athi_dims(3)};
        athi_compile_opts compile = {.mode = ATHI_MODE_TRAIN,
                                     .backend = reference(n.ctx),
                                     .input_shapes = shapes,
                                     .n_slots = 2};
        left = k;
        ath_status status = athi_compile(n.graph, &compile, &n.plan);
        left = 1000000;
        if (status != ATH_OK) {
            assert_int_equal(status, ATH_E_NOMEM);
            failures++;
        }
        athi_plan_destroy(n.plan);
        athi_graph_destroy(n.graph);
        ath_ctx_destroy(n.ctx);
        if (status == ATH_OK) break;
    }
    assert_true(failures > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_differences), cmocka_unit_test(batch_norm_moves_its_statistics),
        cmocka_unit_test(predictions_survive_a_new_slab),   cmocka_unit_test(bad_programs_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
