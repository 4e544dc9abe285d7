/* Option rows: sentences, defaults, the C way, writing back, the check of rows, failing allocations. */
#include "oom.h"

#include "base/options.h"

#include <math.h>

/* ---- rows to test with ---------------------------------------------------------------------------- */

typedef struct l2_opts {
    size_t struct_size;
    bool exact;
    double l2;
} l2_opts;
static const athi_option l2_options[] = {{.name = "l2",
                                          .type = ATHI_OPT_FLOAT,
                                          .offset = offsetof(l2_opts, l2),
                                          .fallback = "0.01",
                                          .max = 10,
                                          .doc = "factor"},
                                         {0}};
static const athi_row regularizer_rows[] = {{.name = "l2",
                                             .doc = "sum of squares",
                                             .options = l2_options,
                                             .opts_size = sizeof(l2_opts),
                                             .main_option = "l2"},
                                            {.name = "none_at_all", .doc = "nothing"},
                                            {0}};
static const athi_kind regularizers = {"regularizer", "regularizers", regularizer_rows};

typedef struct rate_opts {
    size_t struct_size;
    bool exact;
    double value;
} rate_opts;
static const athi_option rate_options[] = {{.name = "value",
                                            .type = ATHI_OPT_FLOAT,
                                            .offset = offsetof(rate_opts, value),
                                            .max = 10,
                                            .doc = "the rate"},
                                           {0}};
static const athi_row schedule_rows[] = {{.name = "constant",
                                          .doc = "always the same",
                                          .options = rate_options,
                                          .opts_size = sizeof(rate_opts),
                                          .main_option = "value"},
                                         {0}};
static const athi_kind schedules = {"schedule", "schedules", schedule_rows};

static const char *const paddings[] = {"valid", "same", NULL};

typedef struct dense_opts {
    size_t struct_size;
    bool exact;
    int64_t units;
    double momentum;
    bool bias;
    const char *label;
    int padding;
    athi_ints strides;
    athi_floats weights;
    ath_spec regularizer, rate;
    const athi_value *extra;
    double clip;
} dense_opts;
#define OPTION(field, kind_, ...)                                                                            \
    { .name = #field, .type = kind_, .offset = offsetof(dense_opts, field), .doc = "a " #field, __VA_ARGS__ }
static const athi_option dense_options[] = {
    OPTION(units, ATHI_OPT_INT, .min = 1, .max = INFINITY, .search_min = 16, .search_max = 64),
    OPTION(momentum, ATHI_OPT_FLOAT, .fallback = "0.9", .max = 1),
    OPTION(bias, ATHI_OPT_BOOL, .fallback = "true"),
    OPTION(label, ATHI_OPT_STRING, .fallback = "plain"),
    OPTION(padding, ATHI_OPT_ENUM, .fallback = "same", .names = paddings),
    OPTION(strides, ATHI_OPT_INTS, .fallback = "1", .min = 1, .max = 100, .repeat = 2),
    OPTION(weights, ATHI_OPT_FLOATS, .fallback = "[0.5, 1]"),
    OPTION(regularizer, ATHI_OPT_SPEC, .fallback = "null", .kind = &regularizers),
    OPTION(rate, ATHI_OPT_SPEC, .fallback = "0.001", .kind = &schedules),
    OPTION(extra, ATHI_OPT_VALUE, .fallback = "null"),
    OPTION(clip, ATHI_OPT_FLOAT, .fallback = "null", .min = 1e-9, .max = 1e9),
    {0}};
static const athi_row dense_row = {.name = "dense",
                                   .doc = "a layer",
                                   .options = dense_options,
                                   .opts_size = sizeof(dense_opts)};

/* ---- fixtures ------------------------------------------------------------------------------------- */

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

static athi_value *json(const char *text) {
    athi_value *v = NULL;
    assert_ok(ctx, athi_json_read(ctx, arena, text, (int64_t)strlen(text), &v));
    return v;
}
static ath_status read_text(const char *text, dense_opts *out) {
    return athi_options_read(ctx, arena, &dense_row, json(text), NULL, "dense", out);
}
static const char *written(const dense_opts *opts, bool all) {
    athi_value *map;
    assert_ok(ctx, athi_options_write(arena, &dense_row, opts, all, &map));
    athi_text t = {.ctx = ctx};
    assert_ok(ctx, athi_json_write(&t, map, 0));
    const char *text = athi_arena_strdup(arena, t.text);
    athi_text_free(&t);
    return text;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void defaults_fill_what_is_not_given(void **state) {
    (void)state;
    dense_opts o;
    assert_ok(ctx, read_text("{\"units\": 3}", &o));
    assert_int_equal(o.struct_size, sizeof o);
    assert_true(o.exact && o.bias && o.momentum == 0.9 && o.padding == 1 && o.units == 3 && o.clip == 0);
    assert_string_equal(o.label, "plain");
    assert_true(o.strides.n == 2 && o.strides.v[0] == 1 && o.strides.v[1] == 1);
    assert_true(o.weights.n == 2 && o.weights.v[0] == 0.5 && o.weights.v[1] == 1);
    assert_null(o.regularizer.name);
    assert_null(o.extra);
    assert_string_equal(o.rate.name, "constant");
    assert_true(((const rate_opts *)o.rate.opts)->value == 0.001);
}

static void bad_maps_get_a_sentence(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"{\"unit\": 3}", "dense: 'unit' is not an option of dense; did you mean 'units'?"},
        {"{\"zzzzzzzz\": 3}", "'zzzzzzzz' is not an option of dense; it has: units, momentum"},
        {"{}", "dense: units is required: write dense: {units: 64}"},
        {"{\"units\": \"many\"}", "dense: units must be an integer >= 1, got \"many\""},
        {"{\"units\": 3.0}", "units must be an integer >= 1, got 3.0"},
        {"{\"units\": \"3\"}", "units must be an integer >= 1, got \"3\""},
        {"{\"units\": 0}", "units must be an integer >= 1, got 0"},
        {"{\"units\": null}", "units must be an integer >= 1, got null"},
        {"{\"units\": 3, \"momentum\": 1.5}", "dense: momentum must be a number in 0..1, got 1.5"},
        {"{\"units\": 3, \"bias\": 1}", "bias must be true or false, got 1"},
        {"{\"units\": 3, \"label\": 1}", "label must be a text, got 1"},
        {"{\"units\": 3, \"padding\": \"sam\"}",
         "padding must be one of valid, same, got \"sam\"; did you mean 'same'?"},
        {"{\"units\": 3, \"strides\": [1, 2, 3]}",
         "strides must be an integer or a list of 2 integers in 1..100, got a list of 3"},
        {"{\"units\": 3, \"strides\": [1, 0]}", "in 1..100, got 0"},
        {"{\"units\": 3, \"weights\": [1, \"x\"]}", "weights must be a list of numbers, got \"x\""},
        {"{\"units\": 3, \"regularizer\": \"l3\"}",
         "dense.regularizer: 'l3' is not a regularizer; did you mean 'l2'?"},
        {"{\"units\": 3, \"regularizer\": [1]}", "dense.regularizer: expected a regularizer, by name or as"},
        {"{\"units\": 3, \"regularizer\": {\"l2\": {\"l2\": 11}}}",
         "dense.regularizer.l2: l2 must be a number in 0..10, got 11"},
        {"{\"units\": 3, \"regularizer\": {\"none_at_all\": {\"a\": 1}}}", "none_at_all takes no options"},
        {"{\"units\": 3, \"clip\": 0}", "clip must be a number in 1e-09..1000000000 or null, got 0"},
        {"[1]", "dense: expected a map of options such as {units: …}, got a list of 1"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        dense_opts o;
        assert_fails(ctx, read_text(rows[i].text, &o), ATH_E_OPTION, rows[i].sentence);
    }
}

static void places_and_ranges_are_named(void **state) {
    (void)state;
    dense_opts o;
    athi_value *map = json("{\"units\": 3, \"momentum\": 1.5}");
    map->items[1]->line = 3, map->items[1]->column = 9;
    assert_fails(ctx, athi_options_read(ctx, arena, &dense_row, map, NULL, "sgd", &o), ATH_E_OPTION,
                 "sgd: line 3, column 9: momentum must be a number in 0..1, got 1.5");
    map = json("{\"unit\": 3}");
    map->key_lines[0] = 12, map->key_columns[0] = 14;
    assert_fails(ctx, athi_options_read(ctx, arena, &dense_row, map, NULL, "dense", &o), ATH_E_OPTION,
                 "dense: line 12, column 14: 'unit' is not an option of dense; did you mean 'units'?");
    map = json("{\"units\": {\"min\": 1}}");
    map->items[0]->tag = "!int";
    assert_fails(ctx, athi_options_read(ctx, arena, &dense_row, map, NULL, "dense", &o), ATH_E_OPTION,
                 "!int");
    static const char *const also[] = {"name", "from", NULL};
    map = json("{\"units\": 3, \"name\": \"a\"}");
    assert_ok(ctx, athi_options_read(ctx, arena, &dense_row, map, also, "dense", &o));
    map = json("{\"units\": 3, \"nam\": \"a\"}");
    assert_fails(ctx, athi_options_read(ctx, arena, &dense_row, map, also, "dense", &o), ATH_E_OPTION,
                 "did you mean 'name'?");
}

static void specs_have_three_forms(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double l2;
    } rows[] = {{"\"l2\"", 0.01},
                {"{\"l2\": {\"l2\": 0.5}}", 0.5},
                {"{\"l2\": 0.25}", 0.25},
                {"{\"l2\": null}", 0.01}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        const athi_row *row;
        void *opts;
        assert_ok(ctx, athi_spec_read(ctx, arena, &regularizers, json(rows[i].text), "model", &row, &opts));
        assert_string_equal(row->name, "l2");
        assert_true(((l2_opts *)opts)->l2 == rows[i].l2);
    }
    const athi_row *row;
    void *opts;
    assert_fails(ctx, athi_spec_read(ctx, arena, &regularizers, json("0.5"), "model", &row, &opts),
                 ATH_E_OPTION, "model: expected a regularizer");
}

static void c_structs_are_resolved(void **state) {
    (void)state;
    char label[] = "mine";
    l2_opts l2 = {.struct_size = sizeof l2, .l2 = 0.5};
    dense_opts in = {.struct_size = sizeof in, .units = 8, .label = label, .regularizer = {"l2", &l2}};
    void *out;
    assert_ok(ctx, athi_options_resolve(ctx, arena, &dense_row, &in, "dense 'a'", &out));
    dense_opts *o = out;
    label[0] = 'x', l2.l2 = 9;
    assert_string_equal(o->label, "mine");
    assert_true(((const l2_opts *)o->regularizer.opts)->l2 == 0.5);
    assert_true(o->momentum == 0.9 && o->bias && o->padding == 1 && o->strides.n == 2);
    in = (dense_opts){.struct_size = sizeof in, .exact = true, .units = 8, .strides = {2, {3, 3}}};
    assert_ok(ctx, athi_options_resolve(ctx, arena, &dense_row, &in, "dense", &out));
    o = out;
    assert_true(o->momentum == 0 && !o->bias && o->padding == 0 && !o->label && !o->rate.name);
    /* an older caller, whose struct ends after units */
    struct {
        size_t struct_size;
        bool exact;
        int64_t units;
    } old = {sizeof old, false, 5};
    assert_ok(ctx, athi_options_resolve(ctx, arena, &dense_row, &old, "dense", &out));
    assert_true(((dense_opts *)out)->units == 5 && ((dense_opts *)out)->momentum == 0.9);
    static const struct {
        dense_opts in;
        const char *sentence;
    } bad[] = {
        {{.struct_size = sizeof(dense_opts)}, "dense: units is required"},
        {{.struct_size = 0, .units = 1}, "struct_size"},
        {{.struct_size = sizeof(dense_opts), .units = -2}, "units must be an integer >= 1, got -2"},
        {{.struct_size = sizeof(dense_opts), .units = 2, .momentum = NAN}, "momentum must be"},
        {{.struct_size = sizeof(dense_opts), .units = 2, .padding = 7},
         "padding must be one of valid, same, got 7"},
        {{.struct_size = sizeof(dense_opts), .units = 2, .strides = {9, {1}}}, "strides must be"},
        {{.struct_size = sizeof(dense_opts), .units = 2, .regularizer = {"l1", NULL}}, "did you mean 'l2'?"},
    };
    for (int i = 0; i < ATHI_COUNT(bad); i++)
        assert_fails(ctx, athi_options_resolve(ctx, arena, &dense_row, &bad[i].in, "dense", &out),
                     ATH_E_OPTION, bad[i].sentence);
    assert_fails(ctx, athi_options_resolve(ctx, arena, &dense_row, NULL, "dense", &out), ATH_E_OPTION,
                 "required");
}

static void writing_and_reading_agree(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"units\":3}",
        ("{\"units\":3,\"momentum\":0.25,\"bias\":false,\"label\":\"x\",\"padding\":\"valid\",\"strides\":"
         "2}"),
        ("{\"units\":3,\"strides\":[1,2],\"weights\":[1.5],\"regularizer\":{\"l2\":{\"l2\":0.5}},\"rate\":0."
         "01}"),
        "{\"units\":3,\"regularizer\":\"l2\",\"extra\":{\"a\":[1,null]},\"clip\":2.5}",
    };
    for (int i = 0; i < ATHI_COUNT(texts); i++) {
        dense_opts a, b;
        assert_ok(ctx, read_text(texts[i], &a));
        assert_string_equal(written(&a, false), texts[i]);
        const char *all = written(&a, true);
        assert_ok(ctx, read_text(all, &b));
        assert_string_equal(written(&b, true), all);
        assert_string_equal(written(&b, false), texts[i]);
    }
}

static void unsound_rows_are_found(void **state) {
    (void)state;
    assert_ok(ctx, athi_row_check(ctx, &dense_row));
    assert_ok(ctx, athi_kind_check(ctx, &regularizers));
    static const struct {
        athi_option option;
        const char *fault;
    } bad[] = {
        {{.name = "a", .type = ATHI_OPT_INT, .offset = sizeof(dense_opts), .doc = "d"}, "offset"},
        {{.name = "a", .type = ATHI_OPT_INT, .offset = 0, .doc = "d"}, "offset"},
        {{.name = "a", .type = ATHI_OPT_INT, .offset = offsetof(dense_opts, units)}, "doc"},
        {OPTION(units, ATHI_OPT_INT, .fallback = "0", .min = 1, .max = 9), "got 0"},
        {OPTION(units, ATHI_OPT_INT, .fallback = "1.5"), "got 1.5"},
        {OPTION(padding, ATHI_OPT_ENUM, .fallback = "same"), "names"},
        {OPTION(regularizer, ATHI_OPT_SPEC, .fallback = "l9", .kind = &regularizers), "'l9'"},
        {OPTION(units, ATHI_OPT_INT, .min = 1, .max = 9, .search_min = 5, .search_max = 10), "search range"},
        {OPTION(momentum, ATHI_OPT_FLOAT, .search_max = 1, .scale = ATHI_LOG), "logarithmic"},
    };
    for (int i = 0; i < ATHI_COUNT(bad); i++) {
        const athi_option options[] = {bad[i].option, {0}};
        const athi_row row = {.name = "r", .doc = "d", .options = options, .opts_size = sizeof(dense_opts)};
        assert_fails(ctx, athi_row_check(ctx, &row), ATH_E_OPTION, bad[i].fault);
    }
    const athi_option twice[] = {dense_options[0], dense_options[0], {0}};
    const athi_row row = {.name = "r", .doc = "d", .options = twice, .opts_size = sizeof(dense_opts)};
    assert_fails(ctx, athi_row_check(ctx, &row), ATH_E_OPTION, "twice");
}

static ath_status read_and_write(ath_ctx *c) {
    static const char text[] =
        "{\"units\": 3, \"weights\": [1, 2, 3], \"regularizer\": {\"l2\": 0.5}, \"extra\": "
        "{\"a\": [1, \"two\", null], \"b\": {\"c\": 1.5}}, \"label\": \"x\"}";
    athi_arena *a = athi_arena_create(c);
    if (!a) return ATH_E_NOMEM;
    athi_text t = {.ctx = c};
    dense_opts o;
    void *resolved;
    athi_value *v;
    ath_status status;
    ATH_GOTO(status, done, athi_json_read(c, a, text, (int64_t)strlen(text), &v));
    ATH_GOTO(status, done, athi_options_read(c, a, &dense_row, v, NULL, "dense", &o));
    ATH_GOTO(status, done, athi_options_resolve(c, a, &dense_row, &o, "dense", &resolved));
    ATH_GOTO(status, done, athi_options_write(a, &dense_row, resolved, true, &v));
    ATH_GOTO(status, done, athi_json_write(&t, v, 2));
done:
    athi_text_free(&t);
    athi_arena_destroy(a);
    return status;
}
static void every_allocation_may_fail(void **state) {
    (void)state;
    oom_sweep(read_and_write);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_what_is_not_given), cmocka_unit_test(bad_maps_get_a_sentence),
        cmocka_unit_test(places_and_ranges_are_named),     cmocka_unit_test(specs_have_three_forms),
        cmocka_unit_test(c_structs_are_resolved),          cmocka_unit_test(writing_and_reading_agree),
        cmocka_unit_test(unsound_rows_are_found),          cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
