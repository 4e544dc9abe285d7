/* The rows of all kinds of nn are sound, and option structs of C give what recipe text gives. */
#include "nn_test.h"

#include "athanor/optimizers.h"

static void rows_are_sound(void **state) {
    (void)state;
    const athi_kind *const kinds[] = {&athi_layers, &athi_activations, &athi_initializers, &athi_regularizers,
                                      &athi_losses, &athi_metrics,     &athi_optimizers,   &athi_schedules};
    fixture f = fixture_begin();
    for (int i = 0; i < ATHI_COUNT(kinds); i++) assert_ok(f.ctx, athi_kind_check(f.ctx, kinds[i]));
    fixture_end(&f);
}

/* The fields that all optimisers share lie at the same places. */
static void optimizers_begin_alike(void **state) {
    (void)state;
    const athi_row *sgd = athi_row_find(&athi_optimizers, "sgd");
    for (const athi_row *row = athi_optimizers.rows; row->name; row++)
        for (int i = 0; i < 5; i++) {
            assert_string_equal(row->options[i].name, sgd->options[i].name);
            assert_int_equal(row->options[i].offset, sgd->options[i].offset);
        }
    assert_int_equal(sgd->options[1].offset, offsetof(ath_optimizer_opts, weight_decay));
    assert_int_equal(sgd->options[4].offset, offsetof(ath_optimizer_opts, global_clipnorm));
}

static void defaults_are_those_of_keras(void **state) {
    (void)state;
    fixture f = fixture_begin();
    void *p;
    assert_ok(f.ctx,
              athi_options_resolve(f.ctx, f.arena, athi_row_find(&athi_optimizers, "adamw"), NULL, "", &p));
    const ath_adamw_opts *adamw = p;
    assert_string_equal(adamw->learning_rate.name, "constant");
    assert_float_equal(((const ath_constant_rate_opts *)adamw->learning_rate.opts)->value, 0.001, 0);
    assert_float_equal(adamw->weight_decay, 0.004, 0);
    assert_float_equal(adamw->beta_2, 0.999, 0);
    assert_float_equal(adamw->epsilon, 1e-7, 0);
    spec(&f, &athi_optimizers,
         "{\"sgd\": {\"learning_rate\": {\"cosine_decay\": {\"initial_learning_rate\": 0.1, "
         "\"decay_steps\": 5}}, \"nesterov\": true, \"momentum\": 0.9}}",
         &p);
    const ath_sgd_opts *sgd = p;
    assert_true(sgd->nesterov);
    assert_string_equal(sgd->learning_rate.name, "cosine_decay");
    assert_int_equal(((const ath_cosine_decay_opts *)sgd->learning_rate.opts)->decay_steps, 5);
    assert_float_equal(sgd->clipnorm, 0, 0);
    fixture_end(&f);
}

static void metric_directions(void **state) {
    (void)state;
    bool known;
    assert_true(athi_metric_direction("val_accuracy", &known) && known);
    assert_true(athi_metric_direction("sparse_top_k_categorical_accuracy", &known) && known);
    assert_false(athi_metric_direction("val_loss", &known) || !known);
    assert_false(athi_metric_direction("rmse", &known) || !known);
    assert_false(athi_metric_direction("huber", &known) || !known);
    assert_false(athi_metric_direction("beauty", &known) || known);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(optimizers_begin_alike),
        cmocka_unit_test(defaults_are_those_of_keras),
        cmocka_unit_test(metric_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
