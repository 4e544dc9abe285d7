/* The reference kernels against values computed by hand, where finite differences say nothing: which cell
 * wins, what is counted, where padding goes, how layouts lie, which elements are dropped. */
#include "ref_test.h"

#include "base/philox.h"

#include <math.h>

static void backends_by_name(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    const athi_backend *found = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    assert_ok(ctx, athi_backend_find(ctx, "ref", &found));
    assert_string_equal(found->name, "ref");
    assert_ok(ctx, athi_backend_find(ctx, "", &found));
    assert_null(found->unavailable());
    assert_fails(ctx, athi_backend_find(ctx, "reff", &found), ATH_E_OPTION, "did you mean 'ref'");
    assert_fails(ctx, athi_backend_find(ctx, "abacus", &found), ATH_E_OPTION, "there are ");
    ath_ctx_destroy(ctx);
}

static void reorder_between_layouts(void **state) {
    (void)state;
    enum { N = 2, H = 3, W = 5, C = 16, COUNT = N * H * W * C };
    ref_graph r = ref_open();
    static float plain[COUNT], blocked[COUNT], wide[COUNT], back[COUNT];
    for (int i = 0; i < COUNT; i++) plain[i] = (float)i;
    const athi_layout layouts[] = {ATHI_PLAIN, ATHI_BLOCKED8, ATHI_BLOCKED16, ATHI_PLAIN};
    float *data[] = {plain, blocked, wide, back};
    ath_tensor *x = ref_input(&r, athi_dims(N, H, W, C), ATH_F32);
    for (int i = 0; i < 3; i++) {
        ath_tensor *y = athi_op1(r.graph, ATHI_OP_REORDER, x, NULL);
        y->layout = layouts[i + 1];
        ref_run(&r, y->node, (const void *[]){data[i]}, (void *[]){data[i + 1]});
        x = y;
    }
    assert_memory_equal(back, plain, sizeof plain);
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++)
                for (int c = 0; c < C; c++) {
                    const float value = plain[((n * H + h) * W + w) * C + c];
                    assert_true(blocked[(((n * 2 + c / 8) * H + h) * W + w) * 8 + c % 8] == value);
                    assert_true(wide[((n * H + h) * W + w) * 16 + c] == value);
                }
    ref_close(&r);
}

/* 'same' over 3 x 3 with a window of 2 and stride 2 pads after the last row and column. */
static void pooling_at_the_border(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    float y[4];
    uint8_t index[4];
    const athi_attr attr = {.window = {.size = {2, 2}, .stride = {2, 2}, .same = true}};
    ath_tensor *in = ref_input(&r, athi_dims(1, 3, 3, 1), ATH_F32);
    ref_run(&r, athi_op1(r.graph, ATHI_OP_MAX_POOL2D, in, &attr)->node, (const void *[]){x},
            (void *[]){y, index});
    assert_memory_equal(y, ((float[]){5, 6, 8, 9}), sizeof y);
    assert_memory_equal(index, ((uint8_t[]){3, 2, 1, 0}), sizeof index);
    ref_run(&r, athi_op1(r.graph, ATHI_OP_AVERAGE_POOL2D, in, &attr)->node, (const void *[]){x},
            (void *[]){y});
    assert_memory_equal(y, ((float[]){3, 4.5f, 7.5f, 9}), sizeof y);
    ref_close(&r);
}

static void first_of_equal_cells_wins(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const float x[] = {2, 2, 2, NAN, 1, 1, 1, 1}; /* two windows of four cells, side by side in channels */
    float y[2];
    uint8_t index[2];
    const athi_attr attr = {.window = {.size = {2, 2}}};
    ath_tensor *in = ref_input(&r, athi_dims(1, 2, 2, 2), ATH_F32);
    ref_run(&r, athi_op1(r.graph, ATHI_OP_MAX_POOL2D, in, &attr)->node, (const void *[]){x},
            (void *[]){y, index});
    assert_true(y[0] == 2 && isnan(y[1]));
    assert_int_equal(index[0], 0);
    assert_int_equal(index[1], 1);
    ref_close(&r);
}

/* Runs dropout over ones. */
static void drop(ref_graph *r, double rate, int64_t step, float *y, int64_t n) {
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = 1;
    const int64_t counters[] = {42, step};
    ath_tensor *in = ref_input(r, athi_dims(n), ATH_F32), *c = ref_input(r, athi_dims(2), ATH_I64);
    ath_tensor *out = athi_op2(r->graph, ATHI_OP_DROPOUT, in, c, &(athi_attr){.dropout = {rate, 3}});
    ref_run(r, out->node, (const void *[]){x, counters}, (void *[]){y});
    free(x);
}

static void dropout_is_a_function(void **state) {
    (void)state;
    enum { N = 40003 };
    ref_graph r = ref_open();
    static float y[N], again[N], later[N];
    drop(&r, 0.25, 5, y, N);
    drop(&r, 0.25, 5, again, N);
    drop(&r, 0.25, 6, later, N);
    assert_memory_equal(y, again, sizeof y);
    int kept = 0, changed = 0;
    for (int i = 0; i < N; i++) {
        uint32_t words[4];
        athi_philox(42, ATHI_PURPOSE(ATHI_RNG_DROPOUT, 3), (UINT64_C(5) << 32) + (uint64_t)i / 4, words);
        assert_true(y[i] == (words[i % 4] >= UINT32_C(1) << 30 ? (float)(1 / 0.75) : 0));
        kept += y[i] != 0, changed += y[i] != later[i];
    }
    assert_close(kept / (double)N, 0.75, 0.01);
    assert_close(changed / (double)N, 2 * 0.75 * 0.25, 0.01);
    drop(&r, 1, 5, y, N);
    for (int i = 0; i < N; i++) assert_true(y[i] == 0);
    ref_close(&r);
}

static void metrics_count(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const float p[] = {1, 3, 3, 0, /**/ 5, 4, 4, 2, /**/ NAN, 1, 0, 0};
    const int32_t labels[] = {2, 1, 0};
    const float one_hot[] = {0, 1, 0, 0, /**/ 0, 0, 0, 1, /**/ 0, 1, 0, 0};
    float y[3];
    ath_tensor *x = ref_input(&r, athi_dims(3, 4), ATH_F32), *l = ref_input(&r, athi_dims(3), ATH_I32);
    ath_tensor *t = ref_input(&r, athi_dims(3, 4), ATH_F32);
    ref_run(&r, athi_op2(r.graph, ATHI_OP_SPARSE_CORRECT, x, l, NULL)->node, (const void *[]){p, labels},
            (void *[]){y});
    assert_memory_equal(y, ((float[]){0, 0, 1}), sizeof y); /* of the two 3s the first is taken */
    ref_run(&r, athi_op2(r.graph, ATHI_OP_DENSE_CORRECT, x, t, NULL)->node, (const void *[]){p, one_hot},
            (void *[]){y});
    assert_memory_equal(y, ((float[]){1, 0, 0}), sizeof y);
    const athi_attr two = {.loss = {.k = 2}};
    ref_run(&r, athi_op2(r.graph, ATHI_OP_SPARSE_TOP_K, x, l, &two)->node, (const void *[]){p, labels},
            (void *[]){y});
    assert_memory_equal(y, ((float[]){1, 1, 0}), sizeof y); /* equal predictions are both in; NaN never is */
    ref_run(&r, athi_op2(r.graph, ATHI_OP_DENSE_TOP_K, x, t, &two)->node, (const void *[]){p, one_hot},
            (void *[]){y});
    assert_memory_equal(y, ((float[]){1, 0, 1}), sizeof y);
    const athi_attr threshold = {.loss = {.threshold = 0.5}};
    ref_run(&r, athi_op2(r.graph, ATHI_OP_BINARY_CORRECT, x, t, &threshold)->node,
            (const void *[]){one_hot, one_hot}, (void *[]){y});
    assert_memory_equal(y, ((float[]){1, 1, 1}), sizeof y);
    ref_close(&r);
}

/* -log(softmax) of two classes by hand; and a label that is none shows as NaN instead of being read past the
 * row. */
static void cross_entropy_by_hand(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const float z[] = {0, 1, /**/ 1000, 0, /**/ 0, 0};
    const int32_t labels[] = {1, 1, 7};
    float loss[3], p[6];
    ath_tensor *x = ref_input(&r, athi_dims(3, 2), ATH_F32), *l = ref_input(&r, athi_dims(3), ATH_I32);
    ref_run(&r, athi_op2(r.graph, ATHI_OP_SPARSE_XENT, x, l, NULL)->node, (const void *[]){z, labels},
            (void *[]){loss, p});
    assert_close(loss[0], log1p(exp(-1)), 1e-6);
    assert_close(loss[1], 1000, 1e-3);
    assert_true(isnan(loss[2]));
    assert_close(p[1], 1 / (1 + exp(-1)), 1e-6);
    assert_close(p[2], 1, 1e-6);
    ref_close(&r);
}

/* ---- effects ------------------------------------------------------------------------------------- */

static ath_tensor *variable(ref_graph *r, const char *name, athi_shape shape, ath_dtype dtype, athi_role role,
                            int64_t offset) {
    athi_variable *v = athi_variable_add(r->graph, name, shape, dtype, role);
    assert_non_null(v);
    v->offset = offset;
    return athi_variable_tensor(r->graph, v);
}

static void effects_change_the_block(void **state) {
    (void)state;
    ref_graph r = ref_open();
    _Alignas(64) char block[256] = {0};
    r.spaces.block = block;
    double *total = (double *)block;
    int64_t *counters = (int64_t *)(block + 64);
    float *moving = (float *)(block + 128);
    total[0] = 1, total[1] = 2, counters[0] = 9, counters[1] = 4, moving[0] = 10, moving[1] = -10;
    ath_tensor *t = variable(&r, "total", athi_dims(2), ATH_F64, ATHI_TRAIN, 0);
    ath_tensor *c = variable(&r, "counters", athi_dims(2), ATH_I64, ATHI_TRAIN, 64);
    ath_tensor *m = variable(&r, "moving", athi_dims(2), ATH_F32, ATHI_STATISTIC, 128);
    ath_tensor *values = ref_input(&r, athi_dims(2, 3), ATH_F32),
               *weights = ref_input(&r, athi_dims(2), ATH_F32);
    ath_tensor *value = ref_input(&r, athi_dims(2), ATH_F32);
    const float six[] = {1, 2, 3, 4, 5, 6}, w[] = {1, 2}, v[] = {0, 10};
    ref_run(&r, athi_op3(r.graph, ATHI_OP_ACCUMULATE, t, values, weights, NULL)->node,
            (const void *[]){total, six, w}, NULL);
    assert_close(total[0], 1 + 6 + 30, 0);
    assert_close(total[1], 2 + 3 + 6, 0);
    ref_run(&r, athi_op2(r.graph, ATHI_OP_ACCUMULATE, t, values, NULL)->node, (const void *[]){total, six},
            NULL);
    assert_close(total[0], 37 + 21, 0);
    assert_close(total[1], 11 + 6, 0);
    ref_run(&r, athi_op1(r.graph, ATHI_OP_COUNT, c, NULL)->node, (const void *[]){counters}, NULL);
    assert_int_equal(counters[0], 9);
    assert_int_equal(counters[1], 5);
    ref_run(&r,
            athi_op2(r.graph, ATHI_OP_MOVE_TOWARDS, m, value, &(athi_attr){.norm = {0, 0.75, false}})->node,
            (const void *[]){moving, v}, NULL);
    assert_close(moving[0], 7.5, 0);
    assert_close(moving[1], -5, 0);
    ref_close(&r);
}

/* Of gradients (3, 4) and (12, -84). */
static void clip(athi_clip mode, double limit, float out[4]) {
    ref_graph r = ref_open();
    _Alignas(64) char block[128] = {0}, grads[128] = {0};
    variable(&r, "a", athi_dims(2), ATH_F32, ATHI_TRAINABLE, 0);
    variable(&r, "b", athi_dims(2), ATH_F32, ATHI_TRAINABLE, 64);
    float *a = (float *)grads, *b = (float *)(grads + 64);
    a[0] = 3, a[1] = 4, b[0] = 12, b[1] = -84;
    r.spaces = (athi_spaces){.block = block,
                             .grads = grads,
                             .trainable_bytes = 128,
                             .variables = r.graph->variables,
                             .n_variables = r.graph->n_variables};
    ath_tensor *t =
        athi_node_add(r.graph, ATHI_OP_CLIP_GRADIENTS, NULL, 0, &(athi_attr){.clip = {mode, limit}});
    ref_run(&r, t->node, NULL, NULL);
    out[0] = a[0], out[1] = a[1], out[2] = b[0], out[3] = b[1];
    ref_close(&r);
}

static void clipping(void **state) {
    (void)state;
    float g[4];
    clip(ATHI_CLIP_VALUE, 3.5, g);
    assert_memory_equal(g, ((float[]){3, 3.5f, 3.5f, -3.5f}), sizeof g);
    clip(ATHI_CLIP_NORM, 10, g); /* a is short enough */
    assert_memory_equal(g, ((float[]){3, 4}), 2 * sizeof *g);
    assert_close(hypot(g[2], g[3]), 10, 1e-5);
    assert_close(g[2] / g[3], -12.0 / 84, 1e-6);
    const double norm = sqrt(9 + 16 + 144 + 84 * 84);
    clip(ATHI_CLIP_GLOBAL_NORM, norm / 2, g);
    assert_close(g[0], 1.5, 1e-6);
    assert_close(g[3], -42, 1e-5);
    clip(ATHI_CLIP_GLOBAL_NORM, norm * 2, g);
    assert_memory_equal(g, ((float[]){3, 4, 12, -84}), sizeof g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_by_name),
        cmocka_unit_test(reorder_between_layouts),
        cmocka_unit_test(pooling_at_the_border),
        cmocka_unit_test(first_of_equal_cells_wins),
        cmocka_unit_test(dropout_is_a_function),
        cmocka_unit_test(metrics_count),
        cmocka_unit_test(cross_entropy_by_hand),
        cmocka_unit_test(effects_change_the_block),
        cmocka_unit_test(clipping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
