/* Value trees, plain scalars, and JSON both ways. */
#include "oom.h"

#include "base/value.h"

#include <math.h>

static ath_ctx *ctx;
static athi_arena *arena;
static int setup(void **state) {
    (void)state;
    if (ath_ctx_create(NULL, &ctx) != ATH_OK) return -1;
    return (arena = athi_arena_create(ctx)) ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}

static ath_status read_json(const char *text, athi_value **v) {
    return athi_json_read(ctx, arena, text, (int64_t)strlen(text), v);
}
static const char *write_json(const athi_value *v, int indent) {
    athi_text t = {.ctx = ctx};
    assert_ok(ctx, athi_json_write(&t, v, indent));
    const char *text = athi_arena_strdup(arena, t.text);
    athi_text_free(&t);
    return text;
}

static void json_comes_back_as_it_was(void **state) {
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "[]",
        "{}",
        "-9223372036854775808",
        "0.1",
        "1.0",
        "1e+22",
        "\"\"",
        "{\"b\":1,\"a\":[1,2.5,\"x\",null,false,{\"c\":{}}]}", /* the order of keys stays */
        "\"quote \\\" back \\\\ line \\n tab \\t bell \\u0007 \xC3\xA9 \xF0\x9F\x94\xA5\"",
    };
    for (int i = 0; i < ATHI_COUNT(texts); i++) {
        athi_value *v, *copy;
        assert_ok(ctx, read_json(texts[i], &v));
        assert_string_equal(write_json(v, 0), texts[i]);
        copy = athi_value_copy(arena, v);
        assert_true(athi_value_equal(v, copy));
        assert_ok(ctx, read_json(write_json(v, 2), &copy));
        assert_true(athi_value_equal(v, copy));
    }
}

static void json_is_laid_out_for_people(void **state) {
    (void)state;
    athi_value *v;
    assert_ok(ctx, read_json("{\"a\":[1,2],\"b\":[{\"c\":1}],\"d\":{}}", &v));
    assert_string_equal(
        write_json(v, 2),
        "{\n  \"a\": [1, 2],\n  \"b\": [\n    {\n      \"c\": 1\n    }\n  ],\n  \"d\": {}\n}");
}

static void odd_values_are_still_json(void **state) {
    (void)state;
    athi_value *list = athi_value_new(arena, ATHI_LIST), *range = athi_value_new(arena, ATHI_LIST), *v;
    range->tag = "!choice";
    assert_ok(ctx, athi_value_append(arena, range, athi_value_int(arena, 1)));
    assert_ok(ctx, athi_value_append(arena, list, athi_value_float(arena, NAN)));
    assert_ok(ctx, athi_value_append(arena, list, athi_value_float(arena, -INFINITY)));
    assert_ok(ctx, athi_value_append(arena, list, athi_value_string(arena, "\xC3(\xED\xA0\x80")));
    assert_ok(ctx, athi_value_append(arena, list, range));
    assert_int_equal(athi_value_append(arena, list, NULL), ATH_E_NOMEM);
    const char *text = write_json(list, 0);
    assert_string_equal(
        text, "[\"nan\",\"-inf\",\"\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\",{\"!choice\":[1]}]");
    assert_ok(ctx, read_json(text, &v));
}

static void bad_json_gets_a_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"", "line 1"},
        {"{\"a\": 1,\n \"a\": 2}", "line 2, column 4: not JSON: duplicate object key"},
        {"[1,\n 2,\n x]", "line 3, column 2: not JSON"},
        {"{\"a\": 1} 2", "end of file expected"},
        {"\"\\u0000\"", "not JSON"},
        {"\"\xFF\"", "unable to decode byte 0xff"},
        {"[1e999]", "overflow"},
        {"99999999999999999999", "too big"},
        {"nan", "not JSON"},
    };
    athi_value *v;
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        assert_fails(ctx, read_json(rows[i].text, &v), ATH_E_SYNTAX, rows[i].sentence);
        assert_null(v);
    }
    char deep[401];
    memset(deep, '[', 200), memset(deep + 200, ']', 200), deep[400] = 0;
    assert_fails(ctx, read_json(deep, &v), ATH_E_SYNTAX, "nested deeper than 128");
    memset(deep, '[', 128), memset(deep + 128, ']', 128), deep[256] = 0;
    assert_ok(ctx, read_json(deep, &v));
}

static void scalars_follow_the_core_schema(void **state) {
    (void)state;
    static const struct {
        const char *text;
        athi_value_type type;
        double number;
    } rows[] = {
        {"1", ATHI_INT, 1},
        {"-12", ATHI_INT, -12},
        {"+7", ATHI_INT, 7},
        {"0x1F", ATHI_INT, 31},
        {"0o17", ATHI_INT, 15},
        {"010", ATHI_INT, 10},
        {"1e-4", ATHI_FLOAT, 1e-4},
        {".5", ATHI_FLOAT, .5},
        {"1.", ATHI_FLOAT, 1},
        {"-2.5E+3", ATHI_FLOAT, -2500},
        {".inf", ATHI_FLOAT, INFINITY},
        {"-.INF", ATHI_FLOAT, -INFINITY},
        {"no", ATHI_STRING, 0},
        {"yes", ATHI_STRING, 0},
        {"1e", ATHI_STRING, 0},
        {"1_000", ATHI_STRING, 0},
        {"0x", ATHI_STRING, 0},
        {".", ATHI_STRING, 0},
        {"-", ATHI_STRING, 0},
        {"inf", ATHI_STRING, 0},
        {"1 2", ATHI_STRING, 0},
        {"null", ATHI_NULL, 0},
        {"~", ATHI_NULL, 0},
        {"", ATHI_NULL, 0},
        {"true", ATHI_BOOL, 0},
        {"False", ATHI_BOOL, 0},
        {"tRUE", ATHI_STRING, 0},
        {"9223372036854775807", ATHI_INT, 9223372036854775807.0},
        {"9223372036854775808", ATHI_FLOAT, 9223372036854775808.0},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_value *v = athi_value_scalar(arena, rows[i].text);
        if (v->type != rows[i].type) fail_msg("'%s' became %s", rows[i].text, athi_value_type_name(v->type));
        assert_true(v->number == rows[i].number);
        assert_string_equal(v->text, rows[i].text);
    }
    assert_true(athi_value_scalar(arena, "TRUE")->boolean);
    assert_true(isnan(athi_value_scalar(arena, ".nan")->number));
}

static void maps_find_replace_and_compare(void **state) {
    (void)state;
    athi_value *a = athi_value_new(arena, ATHI_MAP), *b = athi_value_new(arena, ATHI_MAP);
    char key[8];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_ok(ctx, athi_value_set(arena, a, key, athi_value_int(arena, i)));
        snprintf(key, sizeof key, "k%d", 49 - i);
        assert_ok(ctx, athi_value_set(arena, b, key, athi_value_int(arena, 49 - i)));
    }
    assert_true(athi_value_equal(a, b));
    assert_ok(ctx, athi_value_set(arena, b, "k7", athi_value_float(arena, 7)));
    assert_int_equal(b->n, 50);
    assert_false(athi_value_equal(a, b)); /* 7 and 7.0 differ */
    assert_int_equal(athi_value_get(a, "k31")->integer, 31);
    assert_null(athi_value_get(a, "k50"));
    assert_null(athi_value_get(NULL, "k"));
    assert_null(athi_value_get(athi_value_int(arena, 1), "k"));
    double number;
    assert_true(athi_value_number(athi_value_get(b, "k7"), &number) && number == 7);
    assert_false(athi_value_number(a, &number));
    a->key_lines[3] = 9, a->items[3]->line = 4, a->items[3]->tag = "!int";
    athi_value *copy = athi_value_copy(arena, a);
    assert_true(copy->key_lines[3] == 9 && copy->items[3]->line == 4);
    assert_string_equal(copy->items[3]->tag, "!int");
    copy->items[3]->tag = NULL;
    assert_false(athi_value_equal(a, copy));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_comes_back_as_it_was),      cmocka_unit_test(json_is_laid_out_for_people),
        cmocka_unit_test(odd_values_are_still_json),      cmocka_unit_test(bad_json_gets_a_place),
        cmocka_unit_test(scalars_follow_the_core_schema), cmocka_unit_test(maps_find_replace_and_compare),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
