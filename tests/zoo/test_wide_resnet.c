/* Wide residual networks: what they are made of, layer by layer and in all, and what cannot be built. */
#include "nn/nn_test.h"

#include "zoo/zoo.h"

/* Elements of the net's variables of a role. */
static int64_t elements(const fixture *f, athi_role role) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->net->graph->n_variables; i++) {
        const athi_variable *v = f->net->graph->variables[i];
        if (v->role == role) n += athi_shape_count(v->shape);
    }
    return n;
}

static int64_t layers_of(const fixture *f, const char *row) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->net->n_layers; i++) n += strcmp(f->net->layers[i].row->name, row) == 0;
    return n;
}

static ath_tensor *image(fixture *f, int64_t size, int64_t channels) {
    return athi_net_input_add(f->net, "x", athi_dims(size, size, channels), ATH_F32);
}

/* The figures that the lab prints for its model. */
static void the_labs_model(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = ath_wide_resnet(image(&f, 28, 1), .depth = 16, .width = 10, .classes = 10);
    assert_shape(x, "[batch, 10]");
    assert_int_equal(elements(&f, ATHI_TRAINABLE), 17121962);
    assert_int_equal(elements(&f, ATHI_STATISTIC), 8992);
    assert_int_equal(layers_of(&f, "conv2d"), 16);
    assert_int_equal(layers_of(&f, "batch_normalization"), 13);
    assert_int_equal(layers_of(&f, "dropout"), 6);
    assert_int_equal(layers_of(&f, "add"), 6);
    assert_int_equal(layers_of(&f, "max_pooling2d"), 2);
    static const char *const first[] = {"conv2d",       "batch_normalization",
                                        "activation",   "conv2d_1", /* the shortcut */
                                        "conv2d_2",     "batch_normalization_1",
                                        "activation_1", "dropout",
                                        "conv2d_3",     "batch_normalization_2",
                                        "activation_2", "add"};
    for (int i = 0; i < ATHI_COUNT(first); i++) assert_string_equal(f.net->layers[i].name, first[i]);
    fixture_end(&f);
}

/* The paper has 36.5 M parameters for WRN-28-10 on images of 32x32x3 with ten classes (its table 4). */
static void the_papers_model(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = ath_wide_resnet(image(&f, 32, 3), .depth = 28, .width = 10, .pre_activation = true,
                                    .kernel_initializer = {"he_normal", NULL});
    assert_shape(x, "[batch, 8, 8, 640]");
    x = ath_dense(ath_global_average_pooling2d(x, .keepdims = false), .units = 10, .activation = ATH_SOFTMAX);
    assert_int_equal(elements(&f, ATHI_TRAINABLE), 36479194);
    assert_int_equal(layers_of(&f, "max_pooling2d"), 0);
    for (int64_t i = 0; i < f.net->n_params; i++) assert_null(strstr(f.net->params[i].variable->name, "conv2d/bias"));
    assert_string_equal(f.net->params[0].initializer->name, "he_normal");
    static const char *const first[] = {"conv2d",   "batch_normalization",  "activation", "conv2d_1",
                                        "conv2d_2", "batch_normalization_1"};
    for (int i = 0; i < ATHI_COUNT(first); i++) assert_string_equal(f.net->layers[i].name, first[i]);
    fixture_end(&f);
}

static void numbering_runs_on(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = ath_conv2d(image(&f, 8, 1), .filters = 4, .kernel_size = ATH_INTS(1));
    x = ath_wide_resnet(x, .depth = 10, .name = "body");
    assert_string_equal(f.net->layers[1].name, "conv2d_1");
    assert_string_equal(f.net->layers[f.net->n_layers - 1].name, "body");
    assert_shape(x, "[batch, 2, 2, 64]");
    ath_conv2d(x, .filters = 4, .kernel_size = ATH_INTS(1));
    assert_string_equal(f.net->layers[f.net->n_layers - 1].name, "conv2d_11");
    fixture_end(&f);
}

static void what_cannot_be_built(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_wide_resnet(image(&f, 28, 1), .depth = 18);
    assert_poisoned(&f, ATH_E_OPTION, "wide_resnet: depth is 6 n + 4, got 18; the nearest are 16 and 22");
    fixture_end(&f);
    f = fixture_begin();
    ath_wide_resnet(image(&f, 3, 1), .depth = 10);
    assert_poisoned(&f, ATH_E_SHAPE,
                    "wide_resnet: max_pooling2d 'max_pooling2d_1': its window spans 2 cells of height 1");
    fixture_end(&f);
    f = fixture_begin();
    ath_wide_resnet(athi_net_input_add(f.net, "x", athi_dims(28, 28), ATH_F32), .depth = 10);
    assert_poisoned(&f, ATH_E_SHAPE, "wide_resnet: conv2d 'conv2d': expected input of rank 4");
    fixture_end(&f);
    f = fixture_begin();
    ath_wide_resnet(image(&f, 28, 1), .width = 2);
    assert_poisoned(&f, ATH_E_OPTION, "depth");
    fixture_end(&f);
}

static void rows_are_sound(void **state) {
    (void)state;
    fixture f = fixture_begin();
    assert_ok(f.ctx, athi_kind_check(f.ctx, &athi_composites));
    for (const athi_row *row = athi_composites.rows; row->name; row++)
        assert_null(athi_row_find(&athi_layers, row->name)); /* a recipe must know which is meant */
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_labs_model),    cmocka_unit_test(the_papers_model),
        cmocka_unit_test(numbering_runs_on), cmocka_unit_test(what_cannot_be_built),
        cmocka_unit_test(rows_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
