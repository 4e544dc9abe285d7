/* Derived constants: values, types, and the sentences of errors with their column. */
#include "recipe/recipe_test.h"

#include "base/expr.h"

static ath_status operand(void *user, ath_ctx *c, const char *name, athi_operand *out) {
    (void)user;
    bool whole = strcmp(name, "rate") != 0;
    *out = (athi_operand){.number = whole ? 16 : 0.5, .whole = whole, .text = strcmp(name, "kind") ? NULL : "adam"};
    if (out->text) return ATH_OK;
    if (!strcmp(name, "width") || !strcmp(name, "rate") || !strcmp(name, "model.1.dense.units")) return ATH_OK;
    return athi_fail(c, ATH_E_OPTION, "'%s' is no parameter", name);
}

static ath_status compute(athi_arena *arena, const char *text, athi_value **out) {
    return athi_expr(ctx, arena, text, &(athi_names){operand, NULL}, out);
}

static void test_values(void **state) {
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"2 * width", "32"},
        {"width / 2", "8.0"},
        {"width // 3", "5"},
        {"-7 // 2", "-4"},
        {"-7 % 3", "2"},
        {"7.5 % 2", "1.5"},
        {"2 + 3 * 4 ** 2", "50"},
        {"-2 ** 2", "-4"},
        {"2 ** 3 ** 2", "512"},
        {"2 ** -1", "0.5"},
        {"(2 + 3) * 4 - 1", "19"},
        {"10 - 3 - 2", "5"},
        {"rate * width", "8.0"},
        {"round(rate * 7)", "4"},
        {"floor(2.7) + ceil(2.1)", "5"},
        {"min(width, 8, 3.5)", "3.5"},
        {"max(1, width)", "16"},
        {"abs(-3)", "3"},
        {"sqrt(width)", "4.0"},
        {"log(exp(1))", "1.0"},
        {"model.1.dense.units*2", "32"},
        {"width >= 16", "true"},
        {"width != 16", "false"},
        {"1e-3", "0.001"},
        {" ( ( .5 ) ) ", "0.5"},
        {"kind == 'adam'", "true"},
        {"kind != \"adam\"", "false"},
        {"kind == 'adamw'", "false"},
        {"kind == 16", "false"},
        {"width < 3 or kind == 'adam' and rate > 0", "true"},
        {"not width < 3 and not not rate", "true"},
        {"not (width < 3 or rate)", "false"},
        {"2 * (width > 3 and rate < 1)", "2"},
    };
    athi_arena *arena = athi_arena_create(ctx);
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_value *v;
        assert_ok(ctx, compute(arena, rows[i].text, &v));
        assert_json(v, rows[i].json);
    }
    athi_arena_destroy(arena);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"2 *", "at character 4 of \"2 *\": expected a number or a name, but it ends"},
        {"2 $ 3", "at character 3 of \"2 $ 3\": expected an operator or the end"},
        {"(1 + 2", "at character 7 of \"(1 + 2\": expected ')' for the '(' at character 1"},
        {"system(1)", "at character 1 of \"system(1)\": 'system' is no function"},
        {"sqr(4)", "did you mean sqrt?"},
        {"sqrt(1, 2)", "at character 7 of \"sqrt(1, 2)\": expected ')': sqrt takes one argument"},
        {"1 / (2 - 2)", "at character 3 of \"1 / (2 - 2)\": division by zero"},
        {"3 + depth", "at character 5 of \"3 + depth\": 'depth' is no parameter"},
        {"log(0)", "log has no finite value here"},
        {"10 ** 400", "** has no finite value here"},
        {"3 ** 60", "gives an integer beyond 2^53"},
        {"2x", "expected an operator after the number"},
        {"width = 3", "expected an operator or the end"},
        {"", "but it ends"},
        {"kind + 1", "at character 6 of \"kind + 1\": a text can be compared by == and != only"},
        {"kind < 'b'", "a text can be compared by == and != only"},
        {"-kind", "a text has no sign"},
        {"kind ** 2", "** takes numbers, not texts"},
        {"max(1, kind)", "max takes numbers, not texts"},
        {"kind and 1", "a text is neither true nor false"},
        {"not 'x'", "a text is neither true nor false"},
        {"kind", "expected a number or a comparison, got a text"},
        {"kind == 'adam", "the text has no end; expected a second '"},
        {"1 or", "but it ends"},
    };
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *v;
    for (int i = 0; i < ATHI_COUNT(rows); i++)
        assert_fails(ctx, compute(arena, rows[i].text, &v), ATH_E_OPTION, rows[i].sentence);
    char deep[400];
    memset(deep, '(', 200), strcpy(deep + 200, "1");
    assert_fails(ctx, compute(arena, deep, &v), ATH_E_OPTION, "nested deeper than 64");
    memset(deep, '-', 200);
    assert_fails(ctx, compute(arena, deep, &v), ATH_E_OPTION, "nested deeper than 64");
    athi_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
