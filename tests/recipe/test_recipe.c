/* Recipes as a whole: the example of the design, spaces and their conditions, binding, definitions, and the
 * sentences of what is wrong. */
#include "oom.h"

#include "recipe_test.h"

#include "recipe/internal.h"

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

/* ---- spaces ---------------------------------------------------------------------------------------- */

static void assert_bound_model(const athi_recipe *r, const double *point, const char *expected) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *bound;
    assert_ok(ctx, athi_recipe_bind(r, arena, point, 0, &bound));
    assert_json(athi_value_get(bound, "model"), expected);
    athi_arena_destroy(arena);
}

/* Null and list branches, `as`, and a parameter inside each. */
static void test_branches(void **state) {
    (void)state;
    athi_recipe *r = read_ok(DATA TRAIN "model:\n"
                                        "  - flatten\n"
                                        "  - !choice\n"
                                        "    - null\n"
                                        "    - [dense: {units: !int {min: 2, max: 4}}, flatten]\n"
                                        "    - {as: wide, value: {dense: {units: !int {min: 50, max: 60}}}}\n"
                                        "  - dense: {units: !choice [10, 20], use_bias: !bool {}}\n");
    static const char *const names[] = {"model.1", "model.1.1.0.dense.units", "model.1.wide.dense.units",
                                        "model.2.dense.units", "model.2.dense.use_bias"};
    assert_int_equal(r->space->n, ATHI_COUNT(names));
    for (int i = 0; i < ATHI_COUNT(names); i++) assert_string_equal(r->space->params[i].name, names[i]);
    assert_string_equal(r->space->params[0].branches[0].key, "null");
    assert_string_equal(r->space->params[0].branches[2].key, "wide");
    assert_true(athi_space_size(r->space) == (1 + 3 + 11) * 2 * 2);
    assert_bound_model(r, NULL, "[\"flatten\",{\"dense\":{\"units\":10,\"use_bias\":false}}]");
    assert_bound_model(
        r, (double[]){1, 3, (double)NAN, 1, 1},
        "[\"flatten\",{\"dense\":{\"units\":3}},\"flatten\",{\"dense\":{\"units\":20,\"use_bias\":true}}]");
    assert_bound_model(r, (double[]){2, (double)NAN, 55, 0, 0},
                       "[\"flatten\",{\"dense\":{\"units\":55}},{\"dense\":{\"units\":10,\"use_bias\":false}}]");
    athi_recipe_destroy(r);
}

/* With {i} a parameter a round, existing while i < times; without, one for all; and derived constants. */
static void test_repeat(void **state) {
    (void)state;
    athi_recipe *r =
        read_ok(DATA TRAIN "model:\n"
                           "  - flatten\n"
                           "  - repeat:\n"
                           "      times: !int {min: 1, max: 3, name: depth}\n"
                           "      body:\n"
                           "        - dense: {units: !int {min: 8, max: 9, name: 'units_{i}'}, name: 'd{i}'}\n"
                           "        - dropout: !float {min: 0.1, max: 0.5}\n"
                           "  - dense: {units: !expr 'depth * 2 + units_0'}\n");
    static const char *const names[] = {"depth", "units_0", "model.1.repeat.body.1.dropout", "units_1", "units_2"};
    assert_int_equal(r->space->n, ATHI_COUNT(names));
    for (int i = 0; i < ATHI_COUNT(names); i++) assert_string_equal(r->space->params[i].name, names[i]);
    assert_int_equal(r->space->params[1].n_conditions, 0);
    assert_int_equal(r->space->params[2].n_conditions, 0);
    assert_int_equal(r->space->params[4].n_conditions, 1);
    assert_true(r->space->params[4].conditions[0].parent == 0 && r->space->params[4].conditions[0].low == 3);
    assert_bound_model(r, (double[]){2, 8, 0.25, 9, (double)NAN},
                       "[\"flatten\",{\"dense\":{\"units\":8,\"name\":\"d0\"}},{\"dropout\":0.25},"
                       "{\"dense\":{\"units\":9,\"name\":\"d1\"}},{\"dropout\":0.25},{\"dense\":{\"units\":12}}]");
    athi_recipe_destroy(r);
}

static void test_shared(void **state) {
    (void)state;
    athi_recipe *r = read_ok(DATA TRAIN "model: [flatten, dense: {units: &u !int {min: 2, max: 4, name: w}}, dense: "
                                        "{units: *u}]\n");
    assert_int_equal(r->space->n, 1);
    assert_bound_model(r, (double[]){3}, "[\"flatten\",{\"dense\":{\"units\":3}},{\"dense\":{\"units\":3}}]");
    athi_recipe_destroy(r);
}

static void test_definition(void **state) {
    (void)state;
    static const struct {
        const char *set;
        bool same;
    } rows[] = {{"tune.max_trials=3", true},
                {"tune.sampler=random", true},
                {"tune.jobs=4", true},
                {"train.epochs=9", false},
                {"tune.objective=val_loss", false},
                {"model.1.dense.units=3", false},
                {"seed=2", false}};
    athi_arena *arena = athi_arena_create(ctx);
    athi_recipe *r = read_ok(example), *other;
    athi_value *definition, *changed;
    assert_ok(ctx, athi_recipe_definition(r, arena, &definition));
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        assert_ok(ctx, athi_recipe_parse(ctx, "t.yaml", example, (int64_t)strlen(example), &rows[i].set, 1, &other));
        assert_ok(ctx, athi_recipe_definition(other, arena, &changed));
        if (athi_value_equal(definition, changed) != rows[i].same) fail_msg("%s", rows[i].set);
        athi_recipe_destroy(other);
    }
    athi_recipe_destroy(r);
    athi_arena_destroy(arena);
}

/* The policy is a constant like others, of the recipe and of each layer. */
static void test_policy(void **state) {
    (void)state;
    athi_arena *arena = athi_arena_create(ctx);
    athi_recipe *r = read_ok(DATA TRAIN "dtype_policy: !choice [float32, mixed_bfloat16]\n"
                                        "model: [flatten, dense: {units: 3, dtype: !choice [mixed_bfloat16, float32]}]\n");
    assert_int_equal(r->space->n, 2);
    assert_string_equal(r->space->params[0].name, "dtype_policy");
    assert_string_equal(r->space->params[1].name, "model.1.dense.dtype");
    athi_value *bound;
    for (int k = 0; k < 2; k++) {
        assert_ok(ctx, athi_recipe_bind(r, arena, (double[]){k, 1}, 7, &bound));
        assert_string_equal(athi_value_get(bound, "dtype_policy")->text, k ? "mixed_bfloat16" : "float32");
        athi_steps steps;
        assert_ok(ctx, athi_steps_read(ctx, arena, bound, &steps));
        assert_int_equal(steps.steps[0].compute, k ? ATH_BF16 : ATH_F32);
        assert_int_equal(steps.steps[1].compute, ATH_F32); /* set apart */
    }
    athi_recipe_destroy(r);
    athi_arena_destroy(arena);
}

/* ---- what is wrong --------------------------------------------------------------------------------- */

/* What the options leave open is shared: jobs among the processors, the processors among the jobs. */
static void test_shares(void **state) {
    (void)state;
    const int cores = athi_usable_cores();
    const athi_tune_opts open = {0}, said = {.jobs = 3, .threads = 2};
    assert_int_equal(athi_tune_jobs(&open, 0, 0), cores);
    assert_int_equal(athi_tune_jobs(&open, 0, cores), 1);
    assert_int_equal(athi_tune_jobs(&open, 0, 2 * cores), 1);
    assert_int_equal(athi_tune_jobs(&said, 0, 0), 3);
    assert_int_equal(athi_tune_jobs(&said, 5, 0), 5);
    assert_int_equal(athi_tune_threads(&open, 2, 0, 8), 4);
    assert_int_equal(athi_tune_threads(&open, 3, 0, 2), 1);
    assert_int_equal(athi_tune_threads(&said, 3, 0, 2), 2);
    assert_int_equal(athi_tune_threads(&said, 3, 1, 2), 1);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *sentence;
    } rows[] = {
        {DATA TRAIN "model:\n  - dense: {unit: 3}\n",
         "t.yaml:4:13: dense: 'unit' is not an option of dense; did you mean 'units'?"},
        {"", "t.yaml:1:1: a recipe is a map with the sections data, model and train, got nothing"},
        {DATA MODEL, "t.yaml:1:1: the section train is missing"},
        {DATA MODEL TRAIN "tun: {}\n", "t.yaml:4:1: 'tun' is not a section of a recipe; did you mean 'tune'?"},
        {DATA MODEL TRAIN "distribute: mpi\n", "t.yaml:4:1: distribute is reserved, but not available in this version"},
        {DATA MODEL TRAIN "dtype_policy: mixed_float16\n",
         "t.yaml:4:15: dtype_policy: there is no policy 'mixed_float16'; there are float32 and mixed_bfloat16"},
        {DATA MODEL TRAIN "dtype_policy: !choice [float32, float64]\n", "dtype_policy: there is no policy 'float64'"},
        {DATA MODEL TRAIN "dtype_policy: 16\n", "t.yaml:4:15: dtype_policy must be float32 or mixed_bfloat16, got an integer"},
        {DATA TRAIN "model: [flatten: {dtype: bfloat16}]\n",
         "t.yaml:3:26: flatten: dtype: there is no policy 'bfloat16'; there are float32 and mixed_bfloat16"},
        {DATA MODEL TRAIN "quantize: int3\n", "t.yaml:4:11: quantize: to must be int8, got \"int3\""},
        {DATA MODEL TRAIN "quantize: {except: dense}\n", "t.yaml:4:20: quantize: except must be a list of names of layers"},
        {DATA MODEL "train: [{loss: mean_squared_error}]\n", "t.yaml:3:8: train: a list of phases is reserved"},
        {DATA MODEL "train: {loss: mean_squarred_error}\n",
         "t.yaml:3:15: train.loss: 'mean_squarred_error' is not a loss; did you mean 'mean_squared_error'?"},
        {DATA MODEL "train: {epochs: 3}\n", "t.yaml:3:8: train: loss is required"},
        {DATA TRAIN "model: [flatten, dens: {units: 3}]\n",
         "t.yaml:3:18: model: 'dens' is not a layer; did you mean 'dense'?"},
        {DATA TRAIN "model: [{dense: {units: 3}, name: x}]\n", "t.yaml:3:9: a layer is a name or a map with one key"},
        {DATA TRAIN "model: []\n", "t.yaml:3:8: model: expected at least one layer"},
        {DATA TRAIN "model: [dense: {units: !int {min: 9, max: 3}}]\n",
         "t.yaml:3:24: parameter 'model.0.dense.units': min 9 is greater than max 3; swap them"},
        {DATA TRAIN "model: [dense: {units: !int {min: 9, mix: 3}}]\n",
         "t.yaml:3:38: parameter 'model.0.dense.units': !int: 'mix' is not an option of !int; did you mean 'min'?"},
        {DATA TRAIN "model: [dense: {units: !int 5}]\n",
         "t.yaml:3:24: parameter 'model.0.dense.units': !int: expected a map of options such as {min: …}, got 5"},
        {DATA TRAIN "model: [dense: {units: !choice [3, x]}]\n",
         "t.yaml:3:36: dense: units must be an integer >= 1, got \"x\" (when model.0.dense.units is x)"},
        {DATA TRAIN "model: [dense: {units: !choice [3, {a: 1, b: 2}]}]\n",
         "t.yaml:3:36: parameter 'model.0.dense.units': a branch that is a map has one key"},
        {DATA TRAIN "model: [dense: {units: !choice {of: [3, 4], default: 5}}]\n",
         "default '5' is none of the branches"},
        {DATA TRAIN
         "model: [dense: {units: !int {min: 1, max: 3, name: a}}, dense: {units: !int {min: 1, max: 4, name: "
         "a}}]\n",
         "parameter 'a': its name is taken at line 3, column 24 by another definition"},
        {DATA TRAIN
         "model: [dense: {units: !expr '2 * widht'}, dense: {units: !int {min: 1, max: 2, name: width}}]\n",
         "t.yaml:3:24: !expr: at character 5 of \"2 * widht\": 'widht' is no parameter; did you mean 'width'?"},
        {DATA TRAIN "model: [repeat: {times: -1, body: [flatten]}]\n",
         "t.yaml:3:25: repeat: times must be an integer in 0..1000"},
        {DATA TRAIN "model: [repeat: {time: 1, body: [flatten]}]\n", "repeat: 'time' is not an option of repeat"},
        {DATA MODEL TRAIN "tune: {max_trials: !int {min: 1, max: 2}}\n",
         "the range !int, which is not bound to one value here"},
        {DATA MODEL TRAIN "tune: {constraints: 3}\n",
         "t.yaml:4:21: constraints must be a list of expressions such as [\"layers * units <= 512\"], got"},
        {DATA TRAIN "model: [dense: {units: !int {min: 1, max: 4, name: width}}]\n"
                    "tune: {constraints: [\"width < 3\", \"widht < 9\"]}\n",
         "t.yaml:4:35: constraints.1: at character 1 of \"widht < 9\": 'widht' is no parameter; did you mean 'width'?"},
        {DATA TRAIN "model: [dense: {units: !int {min: 1, max: 4, name: width}}]\n"
                    "tune: {constraints: [\"width > 1\"]}\n",
         "t.yaml:4:22: constraints.0: the defaults break the constraint \"width > 1\"; give parameters a default that keeps it"},
        {DATA TRAIN "model: [dense: {units: !int {min: 1, max: 4, name: width}}]\n"
                    "tune: {constraints: [\"width < 3\"], points: [{width: 2}, {width: 4}]}\n",
         "t.yaml:4:57: points.1: this point breaks a constraint"},
        {DATA TRAIN "model: [dense: {units: !int {min: 1, max: 4, name: width}}]\n"
                    "tune: {points: [{widht: 2}]}\n",
         "did you mean 'width'?"},
        {DATA MODEL TRAIN "seed: x\n", "t.yaml:4:7: seed must be an integer from -2^63 to 2^63 - 1, got a text"},
        {DATA MODEL TRAIN "seed: 99999999999999999999\n", "t.yaml:4:7: seed must be an integer from -2^63 to 2^63 - 1, got 1e+20"},
        {DATA MODEL TRAIN "name: ''\n", "t.yaml:4:7: name must be a text without '/', got an empty one"},
        {"data: {batches: 3}\n" MODEL TRAIN,
         "t.yaml:1:8: data: 'batches' is not an option of data; did you mean 'batch'?"},
        {DATA MODEL "train: {loss: mean_squared_error, callbacks: [early_stoping]}\n",
         "t.yaml:3:47: train.callbacks: 'early_stoping' is not a callback; did you mean 'early_stopping'?"},
    };
    int wrong = 0;
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_recipe *r;
        ath_status status = parse(rows[i].yaml, &r);
        if (status == ATH_OK || !strstr(ath_errmsg(ctx), rows[i].sentence) || strncmp(ath_errmsg(ctx), "t.yaml:", 7))
            wrong++, print_message("row %d: '%s', wanted '%s'\n", i, ath_errmsg(ctx), rows[i].sentence);
        assert_null(r);
    }
    assert_int_equal(wrong, 0);
}

static ath_status parse_and_bind(ath_ctx *c) {
    athi_recipe *r;
    athi_value *bound;
    ATH_TRY(athi_recipe_parse(c, "t.yaml", example, (int64_t)strlen(example), NULL, 0, &r));
    athi_arena *arena = athi_arena_create(c);
    ath_status status = arena ? athi_recipe_bind(r, arena, NULL, 1, &bound) : ATH_E_NOMEM;
    athi_arena_destroy(arena);
    athi_recipe_destroy(r);
    return status;
}

static void test_oom(void **state) {
    (void)state;
    oom_sweep(parse_and_bind);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example), cmocka_unit_test(test_bind),   cmocka_unit_test(test_branches),
        cmocka_unit_test(test_repeat),  cmocka_unit_test(test_shared), cmocka_unit_test(test_definition),
        cmocka_unit_test(test_policy), cmocka_unit_test(test_shares),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_oom),
    };
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
