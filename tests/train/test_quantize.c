/* int8 models: which layers, what the graph becomes, and that predictions stay near the float model's. */
#include "athanor/athanor.h"
#include "athanor/nn.h"
#include "test.h"
#include "train/quantize.h"

#include <math.h>
#include <stdio.h>

enum { SAMPLES = 24, SIDE = 12, CHANNELS = 3, CLASSES = 5 };

typedef struct sample_data {
    float x[SAMPLES * SIDE * SIDE * CHANNELS];
} sample_data;

static athi_part make_part(sample_data *d) {
    for (int64_t i = 0; i < ATHI_COUNT(d->x); i++) d->x[i] = sinf((float)i * 0.37f) + 0.3f * cosf((float)i * 0.011f);
    return (athi_part){.x = {ATH_F32, athi_dims(SAMPLES, SIDE, SIDE, CHANNELS), d->x}, .n = SAMPLES};
}

/* A convolution with a normalisation, a pool that works on bytes, groups that stay in float, a residual, two dense. */
static ath_model *make_model(ath_ctx *ctx, const char *policy) {
    ath_model *m = NULL;
    assert_ok(ctx, ath_model_create(ctx, &m));
    assert_ok(ctx, ath_model_set_dtype_policy(m, policy));
    ath_tensor *x = ath_input(m, .shape = ATH_INTS(SIDE, SIDE, CHANNELS));
    x = ath_conv2d(x, .filters = 16, .kernel_size = ATH_INTS(3), .padding = ATH_SAME, .use_bias = ATH_OFF);
    x = ath_activation(ath_batch_normalization(x, .momentum = 0.9), .activation = ATH_RELU);
    x = ath_max_pooling2d(ath_dropout(x, .rate = 0.5), .pool_size = ATH_INTS(2));
    ath_tensor *y =
        ath_conv2d(x, .filters = 16, .kernel_size = ATH_INTS(3), .padding = ATH_SAME, .activation = ATH_RELU);
    ath_tensor *z = ath_conv2d(x, .filters = 16, .kernel_size = ATH_INTS(1));
    x = ath_conv2d(ath_add(y, z), .filters = 8, .kernel_size = ATH_INTS(3), .groups = 4);
    x = ath_dense(ath_flatten(x), .units = 20, .activation = ATH_TANH);
    ath_dense(x, .units = CLASSES, .activation = ATH_SOFTMAX);
    assert_ok(ctx, athi_net_compile(m->net, &(athi_net_compile_opts){0}));
    return m;
}

/* Statistics that are not 0 and 1, so that folding them matters. */
static void disturb_statistics(ath_model *m) {
    for (int64_t i = 0; i < m->net->graph->n_variables; i++) {
        const athi_variable *v = m->net->graph->variables[i];
        float *w = athi_state_at(m->state, v);
        if (strncmp(v->name, "batch_normalization/", 20) != 0) continue;
        for (int64_t k = 0; k < athi_shape_count(v->shape); k++) w[k] += 0.2f * sinf((float)(i * 7 + k)) + 0.1f;
    }
}

static int64_t count_ops(const athi_graph *g, athi_op op, ath_dtype type) {
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op && g->nodes[i]->out[0].dtype == type;
    return n;
}

static void scale_weights(ath_model *m, float by) {
    for (int64_t i = 0; i < m->net->graph->n_variables; i++) {
        const athi_variable *v = m->net->graph->variables[i];
        float *w = athi_state_at(m->state, v);
        for (int64_t k = 0; v->role == ATHI_TRAINABLE && k < athi_shape_count(v->shape); k++) w[k] *= by;
    }
}

static void fill_and_compare(ath_ctx *ctx, ath_model *from, ath_model *to, const athi_quantizable *list, int64_t n,
                             const athi_part *part) {
    float ranges[8], before[SAMPLES * CLASSES], after[SAMPLES * CLASSES];
    const athi_preprocess none = {.scale = 1};
    athi_arena *arena = athi_arena_create(ctx);
    assert_ok(ctx, athi_predict(from, part, &none, 7, before));
    const athi_calibration_data data = {part, &none, SAMPLES};
    assert_ok(ctx, athi_model_calibrate(from, arena, list, n, &data, (ath_spec){"abs_max", NULL}, ranges));
    assert_ok(ctx, athi_model_fill_int8(to, from, arena, list, n, ranges));
    assert_ok(ctx, athi_predict(to, part, &none, 7, after));
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        if (fabsf(before[i] - after[i]) > 0.02f)
            fail_msg("prediction %d was %.4g, is %.4g", i, (double)before[i], (double)after[i]);
    athi_arena_destroy(arena);
}

static void stay_near(const char *policy, const char *backend) {
    static const char *const expected[] = {"conv2d", "conv2d_1", "conv2d_2", "dense", "dense_1"};
    static sample_data data;
    ath_ctx *ctx = NULL;
    athi_quantizable *list;
    int64_t n, n_layers = 0;
    const char *layers[8];
    assert_ok(NULL, ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .backend = backend}, &ctx));
    athi_part part = make_part(&data);
    athi_arena *arena = athi_arena_create(ctx);
    ath_model *from = make_model(ctx, policy), *to = make_model(ctx, policy);
    assert_ok(ctx, athi_model_prepare(from, 3, 0, 0, NULL));
    disturb_statistics(from);
    assert_ok(ctx, athi_quantizable_find(from->net->graph, arena, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (list[i].refusal)
            assert_string_equal(list[i].refusal, "it has groups of channels");
        else
            layers[n_layers++] = list[i].layer;
    assert_int_equal(n_layers, ATHI_COUNT(expected));
    for (int64_t i = 0; i < n_layers; i++) assert_string_equal(layers[i], expected[i]);

    assert_ok(ctx, athi_model_int8(to, layers, n_layers));
    assert_ok(ctx, athi_model_prepare(to, 0, 0, 0, NULL));
    fill_and_compare(ctx, from, to, list, n, &part);
    scale_weights(from, -0.7f); /* a plan must not keep what it made of the first weights */
    fill_and_compare(ctx, from, to, list, n, &part);

    const athi_graph *g = to->net->graph;
    assert_int_equal(count_ops(g, ATHI_OP_QUANTIZED_CONV2D, ATH_F32), 3);
    assert_int_equal(count_ops(g, ATHI_OP_CONV2D, ATH_F32), 1);
    assert_int_equal(count_ops(g, ATHI_OP_QUANTIZE, ATH_I8), 2); /* the second and third convolution share one */
    assert_int_equal(count_ops(g, ATHI_OP_MAX_POOL2D, ATH_I8), 1);
    assert_int_equal(count_ops(g, ATHI_OP_MAX_POOL2D, ATH_F32), 0);
    assert_int_equal(count_ops(g, ATHI_OP_BATCH_NORM, ATH_F32), 0);
    athi_model_destroy(from), athi_model_destroy(to);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

static void predictions_stay_near(void **state) {
    (void)state;
    stay_near("float32", NULL);
    stay_near("mixed_bfloat16", "ref"); /* what stays in float is float32 then */
}

/* Layers of another model are no layers of this one, and what cannot be int8 is not made so. */
static void other_layers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *layer, *sentence;
    } cases[] = {{"dense_7", "of 1 int8 layers the model has 0"},
                 {"conv2d_3", "layer 'conv2d_3' cannot be int8: it has groups of channels"}};
    ath_ctx *ctx = NULL;
    assert_ok(NULL, ath_ctx_create(NULL, &ctx));
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        ath_model *m = make_model(ctx, "float32");
        assert_int_equal(athi_model_int8(m, &cases[i].layer, 1), ATH_E_DATA);
        assert_string_equal(ath_errmsg(ctx), cases[i].sentence);
        athi_model_destroy(m);
    }
    ath_ctx_destroy(ctx);
}

/* What the first convolution reads is the data, so its range can be counted here: the largest magnitude exactly, a
 * percentile to the end of its bin, whose width is 1/128 of it at most. */
static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void ranges_follow_the_samples(void **state) {
    (void)state;
    static sample_data data;
    static float sizes[ATHI_COUNT(data.x)];
    ath_ctx *ctx = NULL;
    athi_quantizable *list;
    int64_t n;
    float ranges[8];
    assert_ok(NULL, ath_ctx_create(NULL, &ctx));
    athi_part part = make_part(&data);
    athi_arena *arena = athi_arena_create(ctx);
    ath_model *m = make_model(ctx, "float32");
    assert_ok(ctx, athi_model_prepare(m, 3, 0, 0, NULL));
    assert_ok(ctx, athi_quantizable_find(m->net->graph, arena, &list, &n));
    for (int i = 0; i < ATHI_COUNT(data.x); i++) sizes[i] = fabsf(data.x[i]);
    qsort(sizes, ATHI_COUNT(sizes), sizeof *sizes, by_size);
    const athi_preprocess none = {.scale = 1};
    const athi_calibration_data over = {&part, &none, SAMPLES};

    assert_ok(ctx, athi_model_calibrate(m, arena, list, n, &over, (ath_spec){"abs_max", NULL}, ranges));
    assert_true(ranges[0] == sizes[ATHI_COUNT(sizes) - 1]);
    const double percents[] = {50, 90, 99.9, 100};
    for (int i = 0; i < ATHI_COUNT(percents); i++) {
        athi_value *value = athi_value_new(arena, ATHI_MAP);
        const athi_row *row;
        void *opts;
        assert_ok(ctx, athi_value_set(arena, value, "percentile", athi_value_float(arena, percents[i])));
        assert_ok(ctx, athi_spec_read(ctx, arena, &athi_calibrations, value, "calibration", &row, &opts));
        assert_ok(ctx, athi_model_calibrate(m, arena, list, n, &over, (ath_spec){row->name, opts}, ranges));
        const float at = sizes[(int64_t)ceil(ATHI_COUNT(sizes) * percents[i] / 100) - 1];
        assert_true(ranges[0] >= at && ranges[0] <= at * (1 + 1.0f / 128));
        assert_true(ranges[0] <= sizes[ATHI_COUNT(sizes) - 1]);
        for (int k = 0; k < n; k++) /* dense layers look at their inputs in each call */
            assert_true((ranges[k] > 0) == (!list[k].refusal && list[k].product->op == ATHI_OP_CONV2D));
    }
    assert_int_equal(athi_model_calibrate(m, arena, list, n, &over, (ath_spec){"median", NULL}, ranges),
                     ATH_E_OPTION);
    athi_model_destroy(m);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

/* The rows are sound. */
static void rows_are_sound(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    assert_ok(NULL, ath_ctx_create(NULL, &ctx));
    assert_ok(ctx, athi_kind_check(ctx, &athi_calibrations));
    ath_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(predictions_stay_near),
                                       cmocka_unit_test(other_layers_are_refused),
                                       cmocka_unit_test(ranges_follow_the_samples), cmocka_unit_test(rows_are_sound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
