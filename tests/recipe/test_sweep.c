/* Sweeps as searches: what the recipe of one says, and what cannot be swept. */
#include "recipe_test.h"

#include "recipe/sweep.h"

#define SPARSE "train: {loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 7}\n"
#define BODY                                                                                                         \
    DATA "model:\n  - flatten\n"                                                                                     \
         "  - dense: {units: !int {min: 8, max: 32, name: units}, activation: relu}\n"                                 \
         "  - dense: {units: 10, activation: softmax}\n" SPARSE

static athi_recipe *read_ok(const char *text) {
    athi_recipe *r;
    assert_ok(ctx, parse(text, &r));
    return r;
}

/* The combinations in order, the last constant fastest; another range keeps its default. */
static void test_points(void **state) {
    (void)state;
    athi_recipe *r = read_ok(BODY "sweep: {over: {data.batch: [8, 16], train.optimizer: [sgd, {adam: {beta_1: 0.8}}]}}\n"),
                *s;
    assert_int_equal(r->n_sweeps, 1);
    assert_string_equal(r->sweeps[0].name, "data.batch+train.optimizer");
    assert_int_equal(r->sweeps[0].steps, 8);
    assert_int_equal(r->sweeps[0].warm_up, 2);
    assert_ok(ctx, athi_sweep_recipe(r, &r->sweeps[0], NULL, &s));
    assert_json(s->tune.points, "[{\"data.batch\":8,\"train.optimizer\":\"sgd\"},{\"data.batch\":8,\"train.optimizer\":\"adam\"},"
                                "{\"data.batch\":16,\"train.optimizer\":\"sgd\"},"
                                "{\"data.batch\":16,\"train.optimizer\":\"adam\"}]");
    assert_int_equal(s->tune.max_trials, 4);
    assert_json(s->tune.objective, "{\"metric\":\"samples_per_second\",\"direction\":\"max\"}");
    assert_int_equal(s->space->n, 3);
    assert_string_equal(s->name, "t: data.batch+train.optimizer, 8 steps after 2");
    assert_false(s->n_sweeps || s->retrains || s->ensembles);
    athi_recipe_destroy(s);
    athi_recipe_destroy(r);
}

/* Whole trainings: their epochs, and the search's own objective where none is named. */
static void test_trainings(void **state) {
    (void)state;
    athi_recipe *r = read_ok(BODY "tune: {objective: val_accuracy}\nsweep:\n"
                                  "  - {name: a, over: {model.1.dense.units: [8, 9]}, epochs: 3}\n"
                                  "  - {name: b, over: {data.batch: [8]}, epochs: 2, objective: val_loss}\n"),
                *s;
    static const char *const objectives[] = {"\"val_accuracy\"", "\"val_loss\""};
    static const int64_t epochs[] = {3, 2};
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, athi_sweep_recipe(r, &r->sweeps[i], NULL, &s));
        assert_json(s->tune.objective, objectives[i]);
        assert_int_equal(athi_value_get(athi_value_get(s->root, "train"), "epochs")->integer, epochs[i]);
        assert_int_equal(s->space->n, i + 1); /* the first takes the place of the range */
        athi_recipe_destroy(s);
    }
    /* A sweep is no part of what a search's study is about. */
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *definition;
    assert_ok(ctx, athi_recipe_definition(r, arena, &definition));
    assert_null(athi_value_get(definition, "sweep"));
    assert_non_null(athi_value_get(definition, "model"));
    athi_arena_destroy(arena);
    athi_recipe_destroy(r);
}

static void test_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *sweep, *sentence;
    } cases[] = {
        {"{over: {data.batch: 8}}", "t.yaml:7:28: sweep: over: data.batch needs a list of values"},
        {"{over: {}}", "over must be a map of paths to lists of values"},
        {"{over: {data.batch: [8, 8]}}", "a value of data.batch stands twice"},
        {"{over: {data.batch: [8]}, steps: 0}", "steps"},
        {"{over: {data.batch: [8]}, name: a/b}", "name must be the name of a folder, got 'a/b'"},
        {"[{over: {data.batch: [8]}}, {over: {data.batch: [9]}}]", "two are called 'data.batch'"},
        {"{ovr: {data.batch: [8]}}", "did you mean 'over'?"},
        {"{over: {data.batch: [8]}, objective: [a, b], epochs: 1}", "objective must be one report"},
    };
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        char text[1024];
        athi_recipe *r;
        snprintf(text, sizeof text, "%ssweep: %s\n", BODY, cases[i].sweep);
        assert_fails(ctx, parse(text, &r), ATH_E_OPTION, cases[i].sentence);
    }
    static const struct {
        const char *sweep, *sentence;
    } late[] = {
        {"{over: {data.bacth: [8]}}", "t.yaml: sweep data.bacth: data: 'bacth' is not an option of data; did you mean 'batch'?"},
        {"{over: {model.7.dense.units: [8]}}", "t.yaml: sweep: over: model.7.dense.units: model has 3 elements"},
        {"{over: {train.optimizer: [sdg]}}", "did you mean 'sgd'?"},
    };
    for (int i = 0; i < ATHI_COUNT(late); i++) {
        char text[1024];
        athi_recipe *r, *s;
        snprintf(text, sizeof text, "%ssweep: %s\n", BODY, late[i].sweep);
        assert_ok(ctx, parse(text, &r));
        assert_fails(ctx, athi_sweep_recipe(r, &r->sweeps[0], NULL, &s), ATH_E_OPTION, late[i].sentence);
        athi_recipe_destroy(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points), cmocka_unit_test(test_trainings),
                                       cmocka_unit_test(test_mistakes)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
