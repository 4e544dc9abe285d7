/* Every op of the table against its shape rule, finite differences and the other backends; and that these
 * checks can fail. */
#include "backends/sweep.h"
#include "test.h"

#include <math.h>

static const sweep_family *const families[] = {&sweep_unary, &sweep_elementwise, &sweep_reduce,
                                               &sweep_shape, &sweep_window,      &sweep_norm,
                                               &sweep_loss,  &sweep_metric,      &sweep_effect, &sweep_quant};

static ath_ctx *open_ctx(void) {
    ath_ctx *ctx = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    return ctx;
}

/* Runs a check on every case and prints every failure. */
typedef bool check_fn(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]);
static void each_case(check_fn *check, const void *more) {
    ath_ctx *ctx = open_ctx();
    int failures = 0;
    for (int f = 0; f < ATHI_COUNT(families); f++)
        for (int i = 0; i < families[f]->n; i++) {
            char message[SWEEP_MESSAGE] = "";
            if (check(ctx, &families[f]->cases[i], more, message)) continue;
            print_error("%s case %d: %s\n", families[f]->name, i, message);
            failures++;
        }
    ath_ctx_destroy(ctx);
    assert_int_equal(failures, 0);
}

static bool shapes(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]) {
    (void)more;
    return sweep_check_shapes(ctx, c, message);
}
static bool types(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]) {
    (void)more;
    return sweep_check_types(ctx, c, message);
}
static bool gradients(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]) {
    (void)more;
    return sweep_check_gradients(ctx, c, 1, message);
}
static bool bf16(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]) {
    return sweep_check_bf16(ctx, c, more, message);
}
static bool backend(ath_ctx *ctx, const sweep_case *c, const void *more, char message[SWEEP_MESSAGE]) {
    return sweep_check_backend(ctx, c, more, message);
}

static void every_op_has_a_case(void **state) {
    (void)state;
    int count[ATHI_OP_COUNT_OF] = {0}, missing = 0;
    for (int f = 0; f < ATHI_COUNT(families); f++)
        for (int i = 0; i < families[f]->n; i++) count[families[f]->cases[i].op]++;
    for (int op = 0; op < ATHI_OP_COUNT_OF; op++) {
        if (count[op] || athi_op_is_source((athi_op)op)) continue;
        print_error("%s has no case\n", athi_op_name((athi_op)op));
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void shape_rules(void **state) {
    (void)state;
    each_case(shapes, NULL);
}
static void f32_like_f64(void **state) {
    (void)state;
    each_case(types, NULL);
}
static void gradient_rules(void **state) {
    (void)state;
    each_case(gradients, NULL);
}
static void bf16_like_f32(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++)
        if (!athi_backends[i]->unavailable()) {
            athi_backends[i]->enter(1);
            each_case(bf16, athi_backends[i]);
        }
}
static void other_backends(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++)
        if (strcmp(athi_backends[i]->name, "ref") != 0 && !athi_backends[i]->unavailable()) {
            athi_backends[i]->enter(1);
            each_case(backend, athi_backends[i]);
        }
}

/* ---- the checks can fail ------------------------------------------------------------------------- */

static const sweep_case square = {.op = ATHI_OP_SQUARE, INPUTS(1, FROM(0.5, 1, 3, 5)), .any_shape = true};

static void a_wrong_gradient_is_caught(void **state) {
    (void)state;
    ath_ctx *ctx = open_ctx();
    char message[SWEEP_MESSAGE] = "";
    assert_true(sweep_check_gradients(ctx, &square, 1, message));
    assert_false(sweep_check_gradients(ctx, &square, 1.0001, message));
    assert_non_null(strstr(message, "differences give"));
    ath_ctx_destroy(ctx);
}

/* A backend that is ref but for a square that is wrong by one part in a thousand. */
static void wrong_square(const athi_call *call) {
    const float *x = call->in[0];
    float *y = call->out[0];
    const int64_t n = athi_shape_count(call->unit->nodes[0]->in[0]->shape);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] * 1.001f;
}
static bool accepts_all(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    (void)unit;
    snprintf(why, ATHI_WHY_MAX, "test");
    return true;
}
static ath_status make_wrong_square(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)m, (void)unit;
    call->run = wrong_square;
    return ATH_OK;
}

static void a_wrong_kernel_is_caught(void **state) {
    (void)state;
    ath_ctx *ctx = open_ctx();
    const athi_backend *ref = NULL;
    assert_ok(ctx, athi_backend_find(ctx, "ref", &ref));
    static const athi_kernel wrong[] = {{"test:square", accepts_all, make_wrong_square, ATHI_LAYOUT_PLAIN},
                                        {0}};
    const athi_kernel *kernels[ATHI_OP_COUNT_OF];
    memcpy(kernels, ref->kernels, sizeof kernels);
    kernels[ATHI_OP_SQUARE] = wrong;
    athi_backend bad = *ref;
    bad.name = "bad";
    bad.kernels = kernels;
    char message[SWEEP_MESSAGE] = "";
    assert_true(sweep_check_backend(ctx, &square, ref, message));
    assert_false(sweep_check_backend(ctx, &square, &bad, message));
    assert_non_null(strstr(message, "expected"));
    ath_ctx_destroy(ctx);
}

static void a_missing_refusal_is_caught(void **state) {
    (void)state;
    ath_ctx *ctx = open_ctx();
    sweep_case c = {.op = ATHI_OP_ADD, INPUTS(2, REAL(3, 5), REAL(3, 5)), WRONG(1, 5)};
    char message[SWEEP_MESSAGE] = "";
    assert_false(sweep_check_shapes(ctx, &c, message)); /* [5] does broadcast to [3, 5] */
    assert_non_null(strstr(message, "the wrong shape gave success"));
    ath_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_case),
        cmocka_unit_test(shape_rules),
        cmocka_unit_test(f32_like_f64),
        cmocka_unit_test(gradient_rules),
        cmocka_unit_test(bf16_like_f32),
        cmocka_unit_test(other_backends),
        cmocka_unit_test(a_wrong_gradient_is_caught),
        cmocka_unit_test(a_wrong_kernel_is_caught),
        cmocka_unit_test(a_missing_refusal_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
