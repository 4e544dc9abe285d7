/* YAML text -> values: the core schema, tags and their JSON form, places, aliases, and the exact sentences of
 * what is no recipe. And single values set by their path. */
#include "recipe_test.h"

static athi_arena *arena;

static int make(void **state) {
    if (make_ctx(state)) return 1;
    arena = athi_arena_create(ctx);
    return !arena;
}

static int drop(void **state) {
    athi_arena_destroy(arena);
    return drop_ctx(state);
}

static athi_value *read_ok(const char *text) {
    athi_value *v = NULL;
    assert_ok(ctx, athi_yaml_read(ctx, arena, "f.yaml", text, (int64_t)strlen(text), &v));
    return v;
}

static void test_values(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"1e-4", "0.0001"},
        {"no", "\"no\""},
        {"[yes, on, off, True, ~, null, '1', \"true\"]", "[\"yes\",\"on\",\"off\",true,null,null,\"1\",\"true\"]"},
        {"[0x1F, 0o17, 017, 1_000, 1., .5, +3, -0.0]", "[31,15,17,\"1_000\",1.0,0.5,3,-0.0]"},
        {"[.inf, -.INF, .nan]", "[\"inf\",\"-inf\",\"nan\"]"},
        {"[2026-11-23, 12:30:45]", "[\"2026-11-23\",\"12:30:45\"]"},
        {"[!!str 1, !!float 1, !!int 7, ! 5]", "[\"1\",1.0,7,\"5\"]"},
        {"a: {b: [1, {c: d}]}\ne: |\n  two\n  lines\n", "{\"a\":{\"b\":[1,{\"c\":\"d\"}]},\"e\":\"two\\nlines\\n\"}"},
        {"- &x {k: [1, 2]}\n- *x\n- {n: *x}\n", "[{\"k\":[1,2]},{\"k\":[1,2]},{\"n\":{\"k\":[1,2]}}]"},
        {"{\"a\": [1, 2.5, \"x\\u00e9\\/\"], \"b\": null}", "{\"a\":[1,2.5,\"x\xc3\xa9/\"],\"b\":null}"},
        {"!int {min: 1, max: 2}", "{\"!int\":{\"min\":1,\"max\":2}}"},
        {"{\"!choice\": [1, {\"!bool\": {}}]}", "{\"!choice\":[1,{\"!bool\":{}}]}"},
        {"a: !bool\nb: !expr 2", "{\"a\":{\"!bool\":null},\"b\":{\"!expr\":\"2\"}}"},
        {"", "null"},
        {"# nothing\n", "null"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) assert_json(read_ok(rows[i].yaml), rows[i].json);
    assert_true(athi_value_equal(read_ok("x: !float {min: 0, max: 1}"),
                                 read_ok("{\"x\": {\"!float\": {\"min\": 0, \"max\": 1}}}")));
}

static void test_places(void **state) {
    (void)state;
    const athi_value *v = read_ok("a: 1\nb:\n  - c\n  - d: [x, é, y]\n");
    const athi_value *list = athi_value_get(v, "b"), *d = athi_value_get(list->items[1], "d");
    assert_int_equal(v->key_lines[1], 2);
    assert_int_equal(list->items[1]->key_lines[0], 4);
    assert_int_equal(list->items[1]->key_columns[0], 5);
    assert_int_equal(d->items[2]->line, 4);
    assert_int_equal(d->items[2]->column, 15); /* characters, not bytes */
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *sentence;
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' stands twice, first in line 1; leave one out"},
        {"a: !foat {min: 1}", "f.yaml:1:4: '!foat' is no tag, did you mean !float?; there are !int, !float, !bool, "
                              "!choice, !expr"},
        {"{\"a\": {\"!it\": {}}}", "f.yaml:1:8: '!it' is no tag, did you mean !int?; there are !int, !float, !bool, "
                                   "!choice, !expr"},
        {"a: {b: !bool}\n", "between brackets a tag needs a value: write `!bool {}`"},
        {"a: [1, 2\nb: 3\n", "f.yaml:2:2: not YAML: did not find expected ',' or ']' (while parsing a flow sequence "
                             "from line 1 on)"},
        {"a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context"},
        {"a: @x\n", "; put a text that begins with this character in quotes"},
        {"a:\n\t- b\n", "f.yaml:2:1: not YAML: found character that cannot start any token"},
        {"a: *x\n", "f.yaml:1:4: the alias *x has no anchor &x before it, outside itself"},
        {"a: &x [*x]\n", "f.yaml:1:8: the alias *x has no anchor &x before it, outside itself"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here; one file holds one"},
        {"? [a]\n: b\n", "f.yaml:1:3: a key must be a text"},
        {"a: \"x\\0y\"\n", "f.yaml:1:4: a text must not hold a zero byte (\\0); take it out"},
        {"a: x\ny\xff: z\n", "f.yaml:2:2: not YAML: invalid leading UTF-8 octet; save the file as UTF-8 text"},
        {"a: !!int x", "f.yaml:1:4: !!int must stand before an integer, got a text"},
        {"a: !int {\"!int\": {}}", "f.yaml:1:10: a value has one tag; leave out one of them"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_value *v;
        assert_fails(ctx, athi_yaml_read(ctx, arena, "f.yaml", rows[i].yaml, (int64_t)strlen(rows[i].yaml), &v),
                     ATH_E_SYNTAX, rows[i].sentence);
        assert_memory_equal(ath_errmsg(ctx), "f.yaml:", 7);
        assert_null(v);
    }
}

/* Nine lists of nine aliases each would be 9^9 values. */
static void test_limits(void **state) {
    (void)state;
    char text[4096] = "- &a0 x\n";
    for (int i = 1; i < 10; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "- &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    athi_value *v;
    assert_fails(ctx, athi_yaml_read(ctx, arena, "f.yaml", text, (int64_t)strlen(text), &v), ATH_E_SYNTAX,
                 "with aliases expanded; use fewer aliases");
    char deep[300];
    memset(deep, '[', 100), memset(deep + 100, ']', 100), deep[200] = 0;
    assert_fails(ctx, athi_yaml_read(ctx, arena, "f.yaml", deep, 200, &v), ATH_E_SYNTAX,
                 "f.yaml:1:65: lists and maps are nested deeper than 64");
    /* each anchor nests the one before it: deeper than the text itself */
    char *chain = text;
    size_t n = 0;
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(chain + n, sizeof text - n, i ? "- &b%d [[[*b%d]]]\n" : "- &b%d x\n", i, i - 1);
    assert_fails(ctx, athi_yaml_read(ctx, arena, "f.yaml", text, (int64_t)n, &v), ATH_E_SYNTAX,
                 "nested deeper than 64");
}

static void test_set(void **state) {
    (void)state;
    athi_value *v = read_ok("train: {epochs: 3, loss: mse, optimizer: !choice [{sgd: {momentum: 0}}, adam]}\n"
                            "model: [flatten, {dense: {units: 3}}, !choice {of: [{as: big, value: [x]}, null]}]\n");
    static const char *const good[] = {"train.epochs=1e1",
                                       "model.1.dense.units=!int {min: 8, max: 64}",
                                       "seed=7",
                                       "tune.sampler=random",
                                       "train.optimizer.sgd.momentum=0.9",
                                       "model.2.big.0=y=z",
                                       "train.optimizer.adam.beta_1=0.8",
                                       "train.loss.mse.x=1"};
    for (int i = 0; i < ATHI_COUNT(good); i++) assert_ok(ctx, athi_value_set_path(ctx, arena, v, good[i]));
    assert_json(v, "{\"train\":{\"epochs\":10.0,\"loss\":{\"mse\":{\"x\":1}},"
                   "\"optimizer\":{\"!choice\":[{\"sgd\":{\"momentum\":0.9}},{\"adam\":{\"beta_1\":0.8}}]}},"
                   "\"model\":[\"flatten\",{\"dense\":{\"units\":{\"!int\":{\"min\":8,\"max\":64}}}},"
                   "{\"!choice\":{\"of\":[{\"as\":\"big\",\"value\":[\"y=z\"]},null]}}],"
                   "\"seed\":7,\"tune\":{\"sampler\":\"random\"}}");
    static const struct {
        const char *set, *sentence;
    } bad[] = {
        {"train.epochs", "--set train.epochs: expected path=value, such as train.epochs=3"},
        {"=3", "expected path=value"},
        {"model.9.dense=3", "--set model.9.dense=3: model has 3 elements, numbered from 0"},
        {"model.x=3", "--set model.x=3: model is a list: expected a number, got 'x'"},
        {"train.optimizer.sdg.momentum=1", "optimizer is a list: expected a number or a branch's name, got 'sdg'"},
        {"seed.x=3", "--set seed.x=3: seed is an integer: nothing stands inside it"},
        {"train..x=3", "the path has an empty step"},
        {"seed=[1", "--set seed:2:1: not YAML: did not find expected ',' or ']'"},
    };
    for (int i = 0; i < ATHI_COUNT(bad); i++) {
        ath_status status = athi_value_set_path(ctx, arena, v, bad[i].set);
        assert_true(status == ATH_E_OPTION || status == ATH_E_SYNTAX);
        if (!strstr(ath_errmsg(ctx), bad[i].sentence))
            fail_msg("'%s', wanted '%s'", ath_errmsg(ctx), bad[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_places), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_set),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
