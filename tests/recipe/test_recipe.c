/* Recipes as a whole: the example of the design, spaces and their conditions, binding, definitions, and the
 * sentences of what is wrong. */
#include "recipe_test.h"

#include <math.h>

static const char example[] =
    "name: fashion-mlp\n"
    "seed: 1\n"
    "data:\n"
    "  source: fashion-mnist            # a named set; or npy / idx / csv / folder / record with their files\n"
    "  validation: 10000                # last N training samples, or a fraction < 1; or its own files\n"
    "  batch: 128\n"
    "model:\n"
    "  - flatten\n"
    "  - dense: {units: !int {min: 16, max: 64, step: 16, name: units}, activation: relu}\n"
    "  - dense: {units: 10, activation: softmax}\n"
    "train:\n"
    "  optimizer: !choice\n"
    "    - rmsprop: {learning_rate: !float {min: 1e-4, max: 1e-2, prior: log}}\n"
    "    - adam\n"
    "  loss: sparse_categorical_crossentropy\n"
    "  metrics: [accuracy]\n"
    "  epochs: 100\n"
    "  callbacks: [early_stopping: {monitor: val_loss, patience: 5}]\n"
    "tune:      {sampler: bayesian, objective: val_accuracy, max_trials: 100, executions_per_trial: 2}\n"
    "retrain:   {top: 4, patience: 10, epochs_factor: 1.2}\n"
    "ensemble:  {method: weighted}\n";

static athi_recipe *read_ok(const char *text) {
    athi_recipe *r = NULL;
    assert_ok(ctx, parse(text, &r));
    return r;
}

static void test_example(void **state) {
    (void)state;
    athi_recipe *r = read_ok(example);
    assert_string_equal(r->name, "fashion-mlp");
    assert_int_equal(r->seed, 1);
    assert_true(r->tunes && r->retrains && r->ensembles);
    assert_int_equal(r->tune.max_trials, 100);
    assert_int_equal(r->tune.executions_per_trial, 2);
    assert_string_equal(r->tune.sampler.name, "bayesian");
    assert_int_equal(r->retrain.top, 4);
    assert_true(r->retrain.epochs_factor == 1.2);
    const athi_space *s = r->space;
    assert_int_equal(s->n, 3);
    assert_string_equal(s->params[0].name, "units");
    assert_string_equal(s->params[1].name, "train.optimizer");
    assert_string_equal(s->params[2].name, "train.optimizer.rmsprop.learning_rate");
    assert_int_equal(athi_param_count(&s->params[0]), 4);
    assert_int_equal(s->params[2].n_conditions, 1);
    assert_int_equal(s->params[2].conditions[0].parent, 1);
    assert_true(isinf(athi_space_size(s)));
    athi_recipe_destroy(r);
}

static void test_bind(void **state) {
    (void)state;
    athi_recipe *r = read_ok(example);
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *bound;
    assert_ok(ctx, athi_recipe_bind(r, arena, NULL, 7, &bound));
    assert_json(bound, "{\"name\":\"fashion-mlp\",\"seed\":7,"
                       "\"data\":{\"source\":\"fashion-mnist\",\"validation\":10000,\"batch\":128},"
                       "\"model\":[\"flatten\",{\"dense\":{\"units\":16,\"activation\":\"relu\"}},"
                       "{\"dense\":{\"units\":10,\"activation\":\"softmax\"}}],"
                       "\"train\":{\"optimizer\":{\"rmsprop\":{\"learning_rate\":0.0001}},"
                       "\"loss\":\"sparse_categorical_crossentropy\",\"metrics\":[\"accuracy\"],\"epochs\":100,"
                       "\"callbacks\":[{\"early_stopping\":{\"monitor\":\"val_loss\",\"patience\":5}}]}}");
    double point[3] = {64, 1, (double)NAN};
    assert_ok(ctx, athi_recipe_bind(r, arena, point, UINT64_MAX, &bound));
    assert_json(athi_value_get(athi_value_get(bound, "train"), "optimizer"), "\"adam\"");
    assert_json(athi_value_get(bound, "seed"), "-1");
    /* a bound recipe is a recipe, and binding it changes nothing */
    athi_text text = {.ctx = ctx};
    assert_ok(ctx, athi_json_write(&text, bound, 0));
    athi_recipe *again;
    athi_value *twice;
    assert_ok(ctx, parse(text.text, &again));
    assert_int_equal(again->space->n, 0);
    assert_ok(ctx, athi_recipe_bind(again, arena, NULL, again->seed, &twice));
    assert_true(athi_value_equal(bound, twice));
    athi_text_free(&text);
    athi_recipe_destroy(again);
    athi_arena_destroy(arena);
    athi_recipe_destroy(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_bind),
    };
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
