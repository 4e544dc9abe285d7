/* Every public layer function and macro once, and what comes out of it. */
#include "nn_test.h"

#include "athanor/augment.h"
#include "athanor/losses.h"
#include "athanor/optimizers.h"

static void images(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(28, 28), ATH_F32);
    x = ath_rescaling(x, .scale = 2, .offset = -1);
    x = ath_reshape(x, .target_shape = ATH_INTS(28, 28, -1));
    assert_shape(x, "[batch, 28, 28, 1]");
    x = ath_conv2d(x, .filters = 8, .kernel_size = ATH_INTS(3, 5), .strides = ATH_INTS(2),
                   .padding = ATH_SAME, .activation = ATH_TANH, .use_bias = ATH_OFF);
    assert_shape(x, "[batch, 14, 14, 8]");
    x = ath_batch_normalization(x, .momentum = 0.9, .scale = ATH_OFF);
    x = ath_activation(x, .activation = ATH_GELU);
    x = ath_max_pooling2d(x, .pool_size = ATH_INTS(3), .strides = ATH_INTS(2));
    assert_shape(x, "[batch, 6, 6, 8]");
    x = ath_conv2d(x, .filters = 16, .kernel_size = ATH_INTS(3), .groups = 4, .dilation_rate = ATH_INTS(2));
    assert_shape(x, "[batch, 2, 2, 16]");
    assert_shape(ath_average_pooling2d(x, .padding = ATH_SAME), "[batch, 1, 1, 16]");
    ath_tensor *y = ath_depthwise_conv2d(x, .kernel_size = ATH_INTS(2), .depth_multiplier = 3, .name = "depthwise");
    assert_shape(y, "[batch, 1, 1, 48]");
    y = ath_separable_conv2d(x, .filters = 5, .kernel_size = ATH_INTS(3), .padding = ATH_SAME, .name = "separable");
    assert_shape(ath_group_normalization(y, .groups = 5, .name = "groups"), "[batch, 2, 2, 5]");
    assert_shape(ath_global_max_pooling2d(x, .keepdims = true), "[batch, 1, 1, 16]");
    x = ath_global_average_pooling2d(x, .name = "mean");
    assert_shape(x, "[batch, 16]");
    /* kernel 3·5·1·8; beta and statistics 3·8; grouped kernel 3·3·2·16 and bias 16; depthwise 2·2·16·3 and 48;
     * separable 3·3·16, 16·5 and 5; gamma and beta 2·5 */
    int64_t n = 0;
    for (int64_t i = 0; i < f.net->n_layers; i++) n += f.net->layers[i].n_params;
    assert_int_equal(n, 120 + 24 + 288 + 16 + 240 + 229 + 10);
    fixture_end(&f);
}

static void vectors(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *a = athi_net_input_add(f.net, "a", athi_dims(4, 6), ATH_F32);
    ath_tensor *b = ath_permute(ath_layer_normalization(a, .epsilon = 1e-5), .dims = ATH_INTS(2, 1));
    assert_shape(b, "[batch, 6, 4]");
    assert_shape(ath_concatenate(((ath_tensor *[]){a, ath_permute(b, .dims = ATH_INTS(2, 1))}), 2, .axis = 1),
                 "[batch, 8, 6]");
    ath_tensor *c = ath_relu_with(a, &(ath_relu_opts){.struct_size = sizeof(ath_relu_opts), .max_value = 3});
    c = ath_leaky_relu_with(c, NULL);
    c = ath_elu_with(c, NULL);
    c = ath_prelu(c, .shared_axes = ATH_INTS(1), .name = "slope");
    assert_shape(c, "[batch, 4, 6]");
    assert_int_equal(f.net->layers[f.net->n_layers - 1].n_params, 6);
    c = ath_softmax_with(c, NULL);
    ath_tensor *(*const joins[])(ath_tensor *, ath_tensor *) = {ath_add,     ath_subtract, ath_multiply,
                                                                ath_average, ath_maximum,  ath_minimum};
    for (int i = 0; i < ATHI_COUNT(joins); i++) assert_shape(joins[i](a, c), "[batch, 4, 6]");
    ath_tensor *d = ath_dense(ath_flatten(a), .units = 6, .activation = ATH_SIGMOID,
                              .kernel_regularizer = ATH_L1(0.1), .bias_regularizer = ATH_L2(0.1));
    assert_shape(ath_add(a, d), "[batch, 4, 6]"); /* [batch, 6] counts as [batch, 1, 6] */
    assert_shape(ath_dropout(d, .rate = 0.5), "[batch, 6]");
    ath_tensor *open = layer_n(&f, NULL, 0, "{\"input\": [2, -1]}");
    assert_shape(open, "[batch, 2, ?]");
    assert_shape(ath_prelu(open, .shared_axes = ATH_INTS(2)), "[batch, 2, ?]");
    ath_prelu(open, .alpha_initializer = {"ones", NULL});
    assert_poisoned(&f, ATH_E_SHAPE, "the size of axis 2 must be known, got [batch, 2, ?]; name it in shared_axes");
    fixture_end(&f);
}

/* Augmentations keep the shape, but for crops, and are numbered. */
static void augmentations(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(10, 12, 3), ATH_F32);
    x = ath_random_flip(x, .mode = ATH_FLIP_HORIZONTAL);
    x = ath_random_rotation(x, .factor = ATH_FLOATS(0.1), .fill_mode = ATH_FILL_NEAREST, .interpolation = ATH_NEAREST);
    x = ath_random_zoom(x, .height_factor = ATH_FLOATS(-0.1, 0.2), .width_factor = ATH_FLOATS(0.1));
    x = ath_random_translation(x, .height_factor = ATH_FLOATS(0.1), .width_factor = ATH_FLOATS(0.1));
    x = ath_random_contrast(x, .factor = ATH_FLOATS(0.1), .value_range = ATH_FLOATS(-1, 1));
    x = ath_random_brightness(x, .factor = ATH_FLOATS(0.1), .value_range = ATH_FLOATS(-1, 1));
    x = ath_random_erasing(x, .factor = ATH_FLOATS(0.5), .fill_value = ATH_FLOATS(1, 2, 3));
    x = ath_cutout(x, .size = 4);
    assert_shape(x, "[batch, 10, 12, 3]");
    x = ath_random_crop(x, .height = 8, .width = 9, .name = "window");
    assert_shape(x, "[batch, 8, 9, 3]");
    assert_int_equal(f.net->n_augments, 9);
    assert_int_equal(x->node->attr.augment.id, 8);
    assert_string_equal(f.net->layers[0].name, "random_flip");
    x = ath_dense(ath_flatten(x), .units = 27 * 8);
    x = ath_random_flip(ath_reshape(x, .target_shape = ATH_INTS(8, 9, 3)), .name = "late");
    assert_poisoned(&f, ATH_E_UNSUPPORTED, "random_flip 'late': it stands behind weights, to which it lets no gradient");
    fixture_end(&f);
}

/* Sentences of what does not fit. */
static void misfits(void **state) {
    (void)state;
    static const struct {
        const char *layer, *part;
    } all[] = {
        {"{\"conv2d\": {\"filters\": 2, \"kernel_size\": 3}}",
         "conv2d 'conv2d': expected input of rank 4 [batch, height, width, channels], got [batch, 5, 5]; add "
         "reshape: "
         "{target_shape: [5, 5, 1]}"},
        {"\"max_pooling2d\"", "max_pooling2d 'max_pooling2d': expected input of rank 4"},
        {"\"global_average_pooling2d\"", "expected input of rank 4"},
        {"{\"concatenate\": 3}", "axis 3 is not one of the axes 1 to 2"},
        {"{\"prelu\": {\"shared_axes\": [3]}}", "prelu 'prelu': shared_axes are some of the axes 1 to 2 of"},
        {"\"random_flip\"", "random_flip 'random_flip': expected input of rank 4 [batch, height, width, channels] with known"},
        {"\"add\"", "add 'add': expected 2 to 64 inputs, got 1"},
    };
    for (int i = 0; i < ATHI_COUNT(all); i++) {
        fixture f = fixture_begin();
        layer(&f, athi_net_input_add(f.net, "x", athi_dims(5, 5), ATH_F32), all[i].layer);
        if (!f.net->graph->error || !strstr(f.net->graph->error, all[i].part))
            fail_msg("'%s' lacks '%s'", f.net->graph->error ? f.net->graph->error : "no error", all[i].part);
        fixture_end(&f);
    }
    static const struct {
        const char *layer, *part;
    } images[] = {
        {"{\"conv2d\": {\"filters\": 2, \"kernel_size\": 7}}", "its window spans 7 cells of height 5"},
        {"{\"conv2d\": {\"filters\": 2, \"kernel_size\": 2, \"groups\": 2}}",
         "groups 2 must divide the input's 3"},
        {"{\"conv2d\": {\"filters\": 2, \"kernel_size\": 2, \"strides\": 2, \"dilation_rate\": 2}}",
         "cannot both be above 1"},
        {"{\"depthwise_conv2d\": {\"kernel_size\": 2, \"strides\": 2, \"dilation_rate\": 2}}",
         "depthwise_conv2d 'depthwise_conv2d': strides and dilation_rate cannot both be above 1"},
        {"{\"separable_conv2d\": {\"filters\": 2, \"kernel_size\": 7}}",
         "separable_conv2d 'separable_conv2d': its window spans 7 cells of height 5"},
        {"{\"group_normalization\": {\"groups\": 2}}", "groups must divide the 3 channels of its input, got 2; -1 makes"},
        {"{\"random_crop\": {\"height\": 6, \"width\": 2}}", "a window of 6 x 2 does not fit into images of 5 x 5"},
        {"{\"random_zoom\": {\"height_factor\": -1}}", "random_zoom: height_factor must be above -1"},
        {"{\"max_pooling2d\": {\"pool_size\": 17, \"padding\": \"same\"}}", "256 cells at most"},
    };
    for (int i = 0; i < ATHI_COUNT(images); i++) {
        fixture f = fixture_begin();
        layer(&f, athi_net_input_add(f.net, "x", athi_dims(5, 5, 3), ATH_F32), images[i].layer);
        if (!f.net->graph->error || !strstr(f.net->graph->error, images[i].part))
            fail_msg("'%s' lacks '%s'", f.net->graph->error ? f.net->graph->error : "no error",
                     images[i].part);
        fixture_end(&f);
    }
}

static void joins_that_do_not_fit(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *a = athi_net_input_add(f.net, "a", athi_dims(3), ATH_F32);
    ath_tensor *b = athi_net_input_add(f.net, "b", athi_dims(4), ATH_F32);
    ath_add(a, b);
    assert_poisoned(&f, ATH_E_SHAPE, "add 'add': its inputs do not fit together: [batch, 3] and [batch, 4]");
    fixture_end(&f);
    f = fixture_begin();
    a = athi_net_input_add(f.net, "a", athi_dims(3, 2), ATH_F32);
    b = athi_net_input_add(f.net, "b", athi_dims(4, 5), ATH_F32);
    ath_concatenate(((ath_tensor *[]){a, b}), 2, .axis = 1);
    assert_poisoned(&f, ATH_E_SHAPE, "may differ in axis 1 only");
    fixture_end(&f);
    fixture g = fixture_begin();
    f = fixture_begin();
    ath_add(athi_net_input_add(f.net, "a", athi_dims(3), ATH_F32),
            athi_net_input_add(g.net, "b", athi_dims(3), ATH_F32));
    assert_poisoned(&f, ATH_E_STATE, "different models");
    fixture_end(&f);
    fixture_end(&g);
}

/* The macros for specs and lists give what they say. */
static void specs(void **state) {
    (void)state;
    const ath_adam_opts adam = {.struct_size = sizeof adam, .learning_rate = ATH_RATE(0.25)};
    const ath_piecewise_constant_decay_opts steps = {.struct_size = sizeof steps,
                                                     .boundaries = ATH_FLOATS(10, 20),
                                                     .values = ATH_FLOATS(1, 0.5, 0.25)};
    fixture f = fixture_begin();
    void *p;
    assert_ok(f.ctx,
              athi_options_resolve(f.ctx, f.arena, athi_row_find(&athi_optimizers, "adam"), &adam, "", &p));
    const ath_adam_opts *resolved = p;
    assert_float_equal(((const ath_constant_rate_opts *)resolved->learning_rate.opts)->value, 0.25, 0);
    assert_float_equal(resolved->beta_1, 0.9, 0);
    const athi_row *row = athi_row_find(&athi_schedules, "piecewise_constant_decay");
    assert_ok(f.ctx, athi_options_resolve(f.ctx, f.arena, row, &steps, "", &p));
    assert_float_equal(((const athi_schedule_impl *)row->impl)->rate(p, 15), 0.5, 0);
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images),  cmocka_unit_test(vectors),
        cmocka_unit_test(augmentations), cmocka_unit_test(misfits), cmocka_unit_test(joins_that_do_not_fit),
        cmocka_unit_test(specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
