/* Shapes, broadcasting, types and layouts. */
#include "test.h"

#include "tensor/tensor.h"

static void counts(void **state) {
    (void)state;
    assert_int_equal(athi_shape_count(ATHI_SCALAR), 1);
    assert_int_equal(athi_shape_count(athi_dims(3, 4, 5)), 60);
    assert_int_equal(athi_shape_count(athi_dims(ATHI_DYN, 4)), -1);
    assert_int_equal(athi_shape_count(athi_dims(INT64_MAX / 2, 3)), -1);
    assert_true(athi_shape_equal(athi_dims(2, 3), athi_dims(2, 3)));
    assert_false(athi_shape_equal(athi_dims(2, 3), athi_dims(2, 3, 1)));
    assert_false(athi_shape_equal(athi_dims(2, 3), athi_dims(3, 2)));
}

static void texts(void **state) {
    (void)state;
    char text[96];
    assert_string_equal(athi_shape_str(athi_dims(ATHI_DYN, 28, ATHI_DYN, 1), text), "[batch, 28, ?, 1]");
    assert_string_equal(athi_shape_str(ATHI_SCALAR, text), "[]");
    int64_t huge = INT64_MAX;
    const char *s = athi_shape_str(athi_dims(huge, huge, huge, huge, huge, huge), text);
    assert_true(strlen(s) < 96); /* cut, not overrun */
}

static void broadcasting(void **state) {
    (void)state;
    static const struct {
        athi_shape a, b, out;
        bool fits;
    } rows[] = {
        {{2, {3, 4}}, {1, {4}}, {2, {3, 4}}, true},
        {{2, {3, 1}}, {2, {1, 5}}, {2, {3, 5}}, true},
        {{0, {0}}, {2, {3, 5}}, {2, {3, 5}}, true},
        {{2, {ATHI_DYN, 4}}, {1, {4}}, {2, {ATHI_DYN, 4}}, true},
        {{2, {ATHI_DYN, 4}}, {2, {1, 4}}, {2, {ATHI_DYN, 4}}, true},
        {{1, {ATHI_DYN}}, {1, {7}}, {1, {7}}, true},
        {{1, {ATHI_DYN}}, {1, {ATHI_DYN}}, {1, {ATHI_DYN}}, true},
        {{2, {3, 4}}, {1, {3}}, {0, {0}}, false},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_shape out = {0}, swapped = {0};
        assert_int_equal(athi_shape_broadcast(rows[i].a, rows[i].b, &out), rows[i].fits);
        assert_int_equal(athi_shape_broadcast(rows[i].b, rows[i].a, &swapped), rows[i].fits);
        if (!rows[i].fits) continue;
        assert_true(athi_shape_equal(out, rows[i].out));
        assert_true(athi_shape_equal(swapped, rows[i].out));
    }
}

static void types(void **state) {
    (void)state;
    static const struct {
        ath_dtype t;
        int64_t bytes;
        const char *name, *file;
    } rows[] = {{ATH_F32, 4, "f32", "F32"}, {ATH_F64, 8, "f64", "F64"}, {ATH_BF16, 2, "bf16", "BF16"},
                {ATH_F16, 2, "f16", "F16"}, {ATH_I32, 4, "i32", "I32"}, {ATH_I64, 8, "i64", "I64"},
                {ATH_U8, 1, "u8", "U8"},    {ATH_I8, 1, "i8", "I8"}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        ath_dtype t;
        assert_int_equal(athi_dtype_size(rows[i].t), rows[i].bytes);
        assert_string_equal(athi_dtype_name(rows[i].t), rows[i].name);
        assert_true(athi_dtype_from_file_name(rows[i].file, &t) && t == rows[i].t);
        assert_true(athi_dtype_from_name(rows[i].name, &t) && t == rows[i].t);
    }
    ath_dtype t;
    assert_false(athi_dtype_from_file_name("F8", &t));
    assert_false(athi_dtype_from_name("F32", &t));
    assert_int_equal(athi_layout_block(ATHI_BLOCKED16), 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts), cmocka_unit_test(texts),
                                       cmocka_unit_test(broadcasting), cmocka_unit_test(types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
