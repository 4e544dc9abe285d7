/* The table of a run, line by line. */
#include "test.h"

#include "report/table.h"

static ath_ctx *ctx;

static int setup(void **state) {
    (void)state;
    return ath_ctx_create(NULL, &ctx);
}
static int teardown(void **state) {
    (void)state;
    ath_ctx_destroy(ctx);
    return 0;
}

static void assert_table(const char *json, bool utf8, const char *expected) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *report = NULL;
    athi_text text = {.ctx = ctx};
    assert_ok(ctx, athi_json_read(ctx, arena, json, (int64_t)strlen(json), &report));
    athi_report_table(&text, report, utf8);
    assert_false(text.failed);
    assert_string_equal(text.text, expected);
    athi_text_free(&text);
    athi_arena_destroy(arena);
}

static void a_search_with_an_ensemble(void **state) {
    (void)state;
    assert_table(
        "{\"name\": \"m\", \"objective\": {\"metric\": \"val_accuracy\", \"direction\": \"max\"}, \"search\": "
        "{\"trials\": [{\"state\": \"complete\"}, {\"state\": \"failed\"}, {\"state\": \"complete\"}], \"best\": "
        "{\"number\": 2, \"value\": 0.875, \"params\": {\"units\": 64, \"train.optimizer\": \"adam\"}}, \"ended\": "
        "\"max_trials\", \"seconds\": 1.25}, \"models\": ["
        "{\"rank\": 1, \"trial\": 2, \"params\": {\"units\": 64, \"train.optimizer\": \"adam\"}, \"best_epoch\": 10, "
        "\"epochs\": 12, \"validation\": {\"loss\": 0.5, \"accuracy\": 0.87}, \"test\": {\"loss\": 0.5, "
        "\"accuracy\": "
        "0.86}, \"weight\": 0.75, \"without\": {\"loss\": 0.6, \"accuracy\": 0.85}},"
        "{\"rank\": 2, \"trial\": 0, \"params\": {\"units\": 16, \"train.optimizer\": \"sgd\"}, \"best_epoch\": 3, "
        "\"epochs\": 3, \"validation\": {\"loss\": 0.5, \"accuracy\": 0.85}, \"test\": {\"loss\": 0.5, \"accuracy\": "
        "0.8432}, \"weight\": 0.25, \"without\": {\"loss\": 0.6, \"accuracy\": 0.885}}],"
        "\"ensemble\": {\"method\": \"weighted\", \"validation\": {\"loss\": 0.4, \"accuracy\": 0.88}, \"test\": "
        "{\"loss\": 0.4, \"accuracy\": 0.87}}, \"seconds\": 3.5, \"peak_bytes\": 31457280}",
        false,
        "\nm\n"
        "search: 2 trials, 1 failed, 1.2 s, ended: max_trials reached\n"
        "best:   trial 2, val_accuracy 0.8750 (units 64, optimizer adam)\n"
        "+---+-------+--------------------------+------------+---------+------------+---------+--------+---------+\n"
        "| # | trial | parameters               | best epoch | trained | validation |    test | weight |    adds |\n"
        "+---+-------+--------------------------+------------+---------+------------+---------+--------+---------+\n"
        "| 1 |     2 | units 64, optimizer adam |         10 |      12 |    87.00 % | 86.00 % |  0.750 | +3.00 % |\n"
        "| 2 |     0 | units 16, optimizer sgd  |          3 |       3 |    85.00 % | 84.32 % |  0.250 | -0.50 % |\n"
        "+---+-------+--------------------------+------------+---------+------------+---------+--------+---------+\n"
        "|   |       | ensemble (weighted)      |            |         |    88.00 % | 87.00 % |        |         |\n"
        "+---+-------+--------------------------+------------+---------+------------+---------+--------+---------+\n"
        "3.5 s, peak memory 30 MiB\n");
}

/* Regression without a search: losses instead of accuracies, and no empty columns. */
static void one_model_with_numbers(void **state) {
    (void)state;
    assert_table("{\"name\": \"r\", \"models\": [{\"rank\": 1, \"params\": {}, \"best_epoch\": 2, \"epochs\": 2, "
                 "\"validation\": {\"loss\": 0.123456}}]}",
                 true,
                 "\nr\n"
                 "┌───┬────────────┬─────────┬────────────┐\n"
                 "│ # │ best epoch │ trained │ validation │\n"
                 "├───┼────────────┼─────────┼────────────┤\n"
                 "│ 1 │          2 │       2 │    0.12346 │\n"
                 "└───┴────────────┴─────────┴────────────┘\n");
}

/* Two parameters that end alike keep their whole names; what is not there is not shown. */
static void names_stay_distinct(void **state) {
    (void)state;
    assert_table(
        "{\"name\": \"n\", \"objective\": {\"metric\": \"val_loss\"}, \"search\": {\"best\": {\"number\": 1, "
        "\"value\": 0.5, \"params\": {\"model.1.dense.units\": 8, \"model.2.dense.units\": 4, "
        "\"train.epochs\": 3, \"rate\": 0.00123456}}}}",
        true,
        "\nn\nsearch: 0 trials\n"
        "best:   trial 1, val_loss 0.5000 (model.1.dense.units 8, model.2.dense.units 4, epochs 3, rate "
        "0.00123)\n");
    assert_table("{}", true, "\n\n");
    assert_table("[]", true, "\n\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_with_an_ensemble),
        cmocka_unit_test(one_model_with_numbers),
        cmocka_unit_test(names_stay_distinct),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
