/* What of a recipe or a SPACE file may have changed at the next start, and what past trials then count as having. */
#include "recipe/recipe_test.h"

#include "recipe/internal.h"

#include <math.h>

static const char before[] = "data: {source: fashion-mnist, batch: 128}\n"
                             "model:\n"
                             "  - flatten\n"
                             "  - dense: {units: 32, activation: !choice [relu, tanh]}\n"
                             "  - dropout: {rate: !float {min: 0, max: 0.5, name: rate}}\n"
                             "  - repeat: {times: 2, body: [dense: {units: 8}]}\n"
                             "  - dropout: {rate: 0.1}\n"
                             "  - dense: {units: 10}\n"
                             "train: {optimizer: {sgd: {learning_rate: 0.01}}, loss: mean_squared_error, epochs: "
                             "!int {min: 1, max: 4, name: epochs}}\n"
                             "tune: {objective: val_loss, constraints: [\"epochs < 9\"], max_trials: 5}\n";

static athi_growth growth_of(athi_arena *arena, const char *set, athi_recipe **recipe, ath_status *status) {
    athi_recipe *old;
    athi_value *definition, *normal;
    athi_text text = {.ctx = ctx};
    athi_growth growth = {0};
    assert_ok(ctx, parse(before, &old));
    assert_ok(ctx, athi_recipe_definition(old, arena, &definition));
    assert_ok(ctx, athi_json_write(&text, definition, 0));
    assert_ok(ctx, athi_json_read(ctx, arena, text.text, text.length, &normal)); /* as a study gives it back */
    athi_text_free(&text);
    assert_ok(ctx, athi_recipe_parse(ctx, "t.yaml", before, (int64_t)strlen(before), &set, 1, recipe));
    *status = athi_recipe_grown(*recipe, arena, normal, &growth);
    athi_recipe_destroy(old);
    return growth;
}

static void recipes(void **state) {
    (void)state;
    const struct {
        const char *set;
        const char *param; /* that past trials had at a value, NULL: none */
        double past;
        const char *differs; /* the path, NULL: nothing but the space */
    } rows[] = {
        {"train.epochs=!int {min: 1, max: 8, name: epochs}", NULL, 0, NULL},
        {"train.epochs=!int {min: 2, max: 3, name: epochs}", NULL, 0,
         NULL}, /* that it is narrower is for the spaces to say */
        {"model.1.dense.activation=!choice [tanh, relu, elu]", NULL, 0, NULL},
        {"tune.constraints=[]", NULL, 0, NULL},
        {"tune.max_trials=9", NULL, 0, NULL},
        {"model.1.dense.units=!int {min: 8, max: 64}", "model.1.dense.units", 32, NULL},
        {"data.batch=!choice [64, 128]", "data.batch", 1, NULL},
        {"model.3.repeat.body.0.dense.units=!int {min: 4, max: 8, name: 'u{i}'}", "u1", 8, NULL},
        {"train.optimizer=!choice [adam, sgd: {learning_rate: 0.01}]", "train.optimizer", 1, NULL},
        {"train.optimizer=!choice [sgd: {learning_rate: !float {min: 0.001, max: 0.1}}, adam]",
         "train.optimizer.sgd.learning_rate", 0.01, NULL},
        {"train.optimizer=!choice [adam, sgd: {learning_rate: 0.02}]", NULL, 0, "train.optimizer"},
        {"train.optimizer=!choice [adam, rmsprop]", NULL, 0, "train.optimizer"},
        {"model.1.dense.units=64", NULL, 0, "model.1.dense.units"},
        {"model.1.dense.activation=relu", NULL, 0, "model.1.dense.activation"},
        {"model.1.dense.use_bias=!bool {}", NULL, 0, "model.1.dense.use_bias"},
        {"model.1.dense.units=!int {min: 1, max: 4, name: units}", NULL, -1,
         "was the constant 32 in the trials so far, which is none of its values"},
        {"model.4.dropout.rate=!float {min: 0, max: 0.5, name: rate}", NULL, 0, "model.4.dropout.rate"},
        {"model.2.dropout.rate=!float {min: 0, max: 0.5, name: other}", NULL, 0, "model.2.dropout.rate"},
        {"tune.objective=loss", NULL, 0, "tune.objective"},
        {"seed=3", NULL, 0, "seed"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_arena *arena = athi_arena_create(ctx);
        athi_recipe *recipe;
        ath_status status;
        athi_growth growth = growth_of(arena, rows[i].set, &recipe, &status);
        if (rows[i].past < 0) {
            assert_int_equal(status, ATH_E_STATE);
            assert_non_null(strstr(ath_errmsg(ctx), rows[i].differs));
        } else if (rows[i].differs) {
            if (growth.was || strcmp(growth.path, rows[i].differs)) fail_msg("%s: %s", rows[i].set, growth.path);
        } else {
            if (!growth.was) fail_msg("%s: %s differs", rows[i].set, growth.path);
            for (int64_t k = 0; k < recipe->space->n; k++) {
                const char *name = recipe->space->params[k].name;
                if (!rows[i].param || strcmp(name, rows[i].param)) continue;
                if (growth.past[k] != rows[i].past) fail_msg("%s: %s was %g", rows[i].set, name, growth.past[k]);
                break;
            }
            if (rows[i].param) assert_true(athi_space_find(recipe->space, rows[i].param) >= 0);
        }
        athi_recipe_destroy(recipe);
        athi_arena_destroy(arena);
    }
}

/* ---- commands ------------------------------------------------------------------------------------ */

static athi_value *definition(athi_arena *arena, const athi_space_file *f, const char *const *command) {
    athi_value *map = athi_value_new(arena, ATHI_MAP), *list = athi_value_new(arena, ATHI_LIST);
    for (int64_t i = 0; i < f->root->n; i++) athi_value_set(arena, map, f->root->keys[i], f->root->items[i]);
    for (int i = 0; command[i]; i++) athi_value_append(arena, list, athi_value_string(arena, command[i]));
    assert_ok(ctx, athi_value_set(arena, map, "command", list));
    return map;
}

static void commands(void **state) {
    (void)state;
    static const char was[] = "space: {lr: !float {min: 0, max: 1}}\nobjective: loss\n",
                      is[] = "space: {lr: !float {min: 0, max: 2}, n: {units: !int {min: 1, max: 9, default: 4}}}\n"
                             "objective: loss\n";
    const char *const old[] = {"train", "--lr={lr}", "--units", "4", NULL};
    const struct {
        const char *command[8];
        const char *differs;
    } rows[] = {
        {{"train", "--lr={lr}", "--units", "4"}, NULL},
        {{"train", "--lr={lr}", "--units", "{n.units}"}, NULL},
        {{"train", "--lr={lr}", "--units", "4", "--n", "{n.units}"}, NULL},
        {{"nice", "train", "{args}", "--lr={lr}", "--units", "4"}, NULL},
        {{"train", "--lr={lr}", "--units", "5"}, "command"},
        {{"train", "--lr={n.units}", "--units", "4"}, "command"},
        {{"train", "--units", "4", "--lr={lr}"}, "command"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_arena *arena = athi_arena_create(ctx);
        athi_space_file *a, *b;
        athi_growth growth = {0};
        assert_ok(ctx, athi_space_file_parse(ctx, "a", "a", was, (int64_t)strlen(was), &a));
        assert_ok(ctx, athi_space_file_parse(ctx, "b", "b", is, (int64_t)strlen(is), &b));
        athi_file_definition now = {b, definition(arena, b, rows[i].command)};
        assert_ok(ctx, athi_space_file_grown(&now, arena, definition(arena, a, old), &growth));
        if (rows[i].differs ? growth.was || strcmp(growth.path, rows[i].differs) : !growth.was)
            fail_msg("row %d: %s", i, growth.path ? growth.path : "fits");
        athi_space_file_destroy(a);
        athi_space_file_destroy(b);
        athi_arena_destroy(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(recipes), cmocka_unit_test(commands)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
