/* Numbers as text, in any locale; and the nearest name. */
#include "decimal_comma.h"
#include "oom.h"

#include <float.h>
#include <math.h>

static ath_ctx *ctx;
static int setup(void **state) { return (void)state, (int)ath_ctx_create(NULL, &ctx); }
static int teardown(void **state) { return (void)state, ath_ctx_destroy(ctx), 0; }

static void numbers_read_back(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "1"},
                {0.1, "0.1"},
                {1e-4, "0.0001"},
                {1e22, "1e+22"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1.0 / 3, "0.3333333333333333"},
                {5e-324, "5e-324"},
                {NAN, "nan"},
                {INFINITY, "inf"},
                {-INFINITY, "-inf"},
                {DBL_MAX, "1.7976931348623157e+308"}};
    char text[32];
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_format_double(rows[i].number, text);
        assert_string_equal(text, rows[i].text);
    }
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double number;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number)) continue;
        athi_format_double(number, text);
        assert_true(athi_strtod(text, NULL) == number);
    }
}

static void a_decimal_comma_changes_nothing(void **state) {
    (void)state;
    if (!set_decimal_comma()) skip();
    char text[32];
    athi_format_double(1.5, text);
    assert_string_equal(text, "1.5");
    assert_true(athi_strtod("2.5", NULL) == 2.5);
    athi_fail(ctx, ATH_E_DATA, "%g", 3.5);
    assert_string_equal(ath_errmsg(ctx), "3.5");
    assert_string_equal(localeconv()->decimal_point, ","); /* the caller's locale is as it was */
    setlocale(LC_ALL, "C");
}

static void the_nearest_name_is_near(void **state) {
    (void)state;
    static const char *const names[] = {"dense", "conv2d", "dropout", "cosine_decay", "sgd",
                                        "adam",  "adamw",  "l2",      "run",          "tune"};
    static const struct {
        const char *wanted, *nearest;
    } rows[] = {{"dens", "dense"},
                {"desne", "dense"},
                {"Conv2D", "conv2d"},
                {"conv2", "conv2d"},
                {"adm", "adam"},
                {"l3", "l2"},
                {"tun", "tune"},
                {"rum", "run"},
                {"cosine", "cosine_decay"},
                {"xyzzy", NULL},
                {"", NULL},
                {"a", NULL},
                {"quite another thing altogether", NULL}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        const char *got = athi_nearest(rows[i].wanted, names, ATHI_COUNT(names), sizeof *names);
        if (!rows[i].nearest)
            assert_null(got);
        else
            assert_string_equal(got, rows[i].nearest);
    }
    char long_name[200];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[199] = 0;
    assert_null(athi_nearest(long_name, names, ATHI_COUNT(names), sizeof *names));
}

typedef struct heard {
    ath_log_level level;
    char line[64];
} heard;
static void hear(void *user, ath_log_level level, const char *line) {
    heard *h = user;
    h->level = level;
    snprintf(h->line, sizeof h->line, "%s", line);
}
static void log_lines_reach_the_hook(void **state) {
    (void)state;
    heard h = {ATH_LOG_DEBUG, ""};
    ath_ctx *c;
    assert_int_equal(ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .log = hear, .log_user = &h},
                                    &c),
                     ATH_OK);
    athi_log(c, ATH_LOG_WARNING, "trial %d", 3);
    assert_string_equal(h.line, "trial 3");
    assert_int_equal(h.level, ATH_LOG_WARNING);
    ath_ctx_destroy(c);
    athi_log(ctx, ATH_LOG_ERROR, "nobody listens");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(a_decimal_comma_changes_nothing),
        cmocka_unit_test(the_nearest_name_is_near),
        cmocka_unit_test(log_lines_reach_the_hook),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
