/* Bound recipes become models: numbering, graphs, parameter counts, and what cannot be built. The data lies in
 * memory. */
#include "recipe_test.h"

enum { SAMPLES = 128, CLASSES = 10 };
static uint8_t pixels[SAMPLES * 28 * 28];
static int32_t labels[SAMPLES];

/* Images of 28x28 with ten classes. */
static athi_data images(void) {
    for (int i = 0; i < SAMPLES; i++) labels[i] = i % CLASSES;
    athi_data d = {.sample_shape = athi_dims(28, 28),
                   .n_classes = CLASSES,
                   .preprocess = {.scale = 1.0 / 255},
                   .batch = 8};
    d.train = (athi_part){.x = {ATH_U8, athi_dims(SAMPLES, 28, 28), pixels},
                          .y = {ATH_I32, athi_dims(SAMPLES), labels},
                          .n = SAMPLES};
    return d;
}

typedef struct built {
    athi_arena *arena;
    athi_recipe *recipe;
    athi_job job;
} built;

static built build_ok(const char *text, const athi_data *data) {
    built b = {.arena = athi_arena_create(ctx)};
    athi_value *bound;
    assert_ok(ctx, parse(text, &b.recipe));
    assert_ok(ctx, athi_recipe_check(b.recipe, data));
    assert_ok(ctx, athi_recipe_bind(b.recipe, b.arena, NULL, 5, &bound));
    assert_ok(ctx, athi_bound_build(ctx, b.arena, bound, data, &b.job));
    return b;
}

static void drop_built(built *b) {
    athi_model_destroy(b->job.model);
    athi_recipe_destroy(b->recipe);
    athi_arena_destroy(b->arena);
}

static void assert_layers(const built *b, const char *expected) {
    athi_text text = {.ctx = ctx};
    const athi_net *net = b->job.model->net;
    for (int64_t i = 0; i < net->n_layers; i++)
        athi_text_printf(&text, "%s%s:%lld", i ? " " : "", net->layers[i].name, (long long)net->layers[i].n_params);
    assert_string_equal(text.text, expected);
    athi_text_free(&text);
}

#define SPARSE "train: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}\n"

static void test_chain(void **state) {
    (void)state;
    athi_data d = images();
    built b = build_ok(DATA "model:\n  - reshape: {target_shape: [28, 28, 1]}\n"
                            "  - conv2d: {filters: 32, kernel_size: 3, activation: relu}\n"
                            "  - max_pooling2d: {pool_size: 2}\n"
                            "  - conv2d: {filters: 64, kernel_size: 3, activation: relu}\n"
                            "  - max_pooling2d: {pool_size: 2}\n"
                            "  - flatten\n  - dense: {units: 128, activation: relu}\n"
                            "  - dense: {units: 10, activation: softmax}\n" SPARSE,
                       &d);
    assert_layers(&b, "reshape:0 conv2d:320 max_pooling2d:0 conv2d_1:18496 max_pooling2d_1:0 flatten:0 dense:204928 "
                      "dense_1:1290");
    assert_int_equal(b.job.seed, 5);
    assert_int_equal(b.job.model->net->n_sums, 2);
    drop_built(&b);
}

static void test_graph(void **state) {
    (void)state;
    athi_data d = images();
    built b = build_ok(DATA "model:\n  - flatten: {name: flat}\n"
                            "  - dense: {units: 8, name: a}\n"
                            "  - dense: {units: 8, from: flat}\n"
                            "  - add: {from: [a, dense]}\n"
                            "  - repeat:\n      times: 2\n      body:\n"
                            "        - dense: {units: 8, name: 'block_{i}'}\n"
                            "        - !choice {of: [null, [activation: relu]], default: [activation: relu]}\n"
                            "  - concatenate: {from: [block_1, flat]}\n"
                            "  - dense: {units: 10, activation: softmax}\n" SPARSE,
                       &d);
    assert_layers(&b,
                  "flat:0 a:6280 dense:6280 add:0 block_0:72 activation:0 block_1:72 activation_1:0 concatenate:0 "
                  "dense_1:7930");
    drop_built(&b);
}

/* A composite is written out where it stands, its options may be ranges, and `from:` finds it and what is inside. */
static void test_composite(void **state) {
    (void)state;
    athi_data d = images();
    built b = build_ok(DATA "model:\n  - reshape: {target_shape: [28, 28, 1]}\n"
                            "  - wide_resnet: {depth: !choice [10, 16], width: !int {min: 1, max: 2}, name: body}\n"
                            "  - global_average_pooling2d\n  - dense: {units: 10, activation: softmax, name: head}\n"
                            "  - global_average_pooling2d: {from: add_1}\n"
                            "  - concatenate: {from: [head, global_average_pooling2d_1]}\n"
                            "  - dense: {units: 10, activation: softmax}\n" SPARSE,
                       &d);
    const athi_net *net = b.job.model->net;
    assert_int_equal(b.recipe->space->n, 2);
    assert_string_equal(net->layers[1].name, "conv2d");
    assert_string_equal(net->layers[net->n_layers - 6].name, "body");
    assert_int_equal(net->layers[net->n_layers - 1].n_params, (10 + 32) * 10 + 10);
    drop_built(&b);
    athi_recipe *r;
    assert_ok(ctx, parse("data: {source: fashion-mnist, batch: 129}\n" MODEL SPARSE, &r));
    assert_fails(ctx, athi_recipe_check(r, &d), ATH_E_OPTION,
                 "t.yaml:1:38: data: batch must not be larger than the 128 training samples, got 129");
    athi_recipe_destroy(r);
    assert_fails(ctx, parse(DATA "model:\n  - wide_resent: {depth: 10}\n" SPARSE, &r), ATH_E_OPTION,
                 "'wide_resent' is not a composite; did you mean 'wide_resnet'?");
    assert_fails(ctx, parse(DATA "model:\n  - wide_resnet: {depth: 10, widht: 2}\n" SPARSE, &r), ATH_E_OPTION,
                 "did you mean 'width'?");
}

/* Class weights reach the loss: the model takes a weight for each sample. */
static void test_class_weight(void **state) {
    (void)state;
    athi_data d = images();
    built b = build_ok(DATA "model: [flatten, dense: {units: 10, activation: softmax}]\n"
                            "train: {loss: sparse_categorical_crossentropy, class_weight: {3: 2}}\n",
                       &d);
    assert_true(b.job.model->net->weight_slot > b.job.model->net->target_slot);
    assert_float_equal(b.job.class_weight[3], 2, 0);
    drop_built(&b);
}

/* data.augment is checked against model and data, at both ends of its ranges. */
static void test_augment(void **state) {
    (void)state;
    static const struct {
        const char *data, *train, *part;
    } cases[] = {
        {"augment: [{random_zoom: !float {min: -1, max: 0.5}}]", "loss: sparse_categorical_crossentropy",
         "height_factor must be above -1"},
        {"augment: [mix_up]", "loss: sparse_categorical_crossentropy", "write data.one_hot: true and loss"},
        {"augment: {rotation_range: !float {min: 10, max: 500}}", "loss: sparse_categorical_crossentropy",
         "rotation_range must be a number in 0..360, got 500"},
        {"augment: !choice [null, [{random_crop: {height: 2, width: 2}}]]", "loss: sparse_categorical_crossentropy",
         "write it as a layer of the model"},
    };
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        athi_data d = images();
        athi_recipe *r = NULL;
        char text[400];
        snprintf(text, sizeof text,
                 "data: {source: fashion-mnist, %s}\nmodel: [flatten, dense: {units: 10, activation: softmax}]\ntrain: {%s}\n",
                 cases[i].data, cases[i].train);
        ath_status status = parse(text, &r);
        if (status == ATH_OK) status = athi_recipe_check(r, &d);
        if (status == ATH_OK || !strstr(ath_errmsg(ctx), cases[i].part))
            fail_msg("%s: '%s'", cases[i].data, status ? ath_errmsg(ctx) : "no error");
        athi_recipe_destroy(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chain), cmocka_unit_test(test_graph),
                                       cmocka_unit_test(test_composite), cmocka_unit_test(test_class_weight),
                                       cmocka_unit_test(test_augment)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
