/* Functions of each element against libm in double, over their whole range and at its special points; their
 * gradients against central differences of the double function; the two-operand functions exactly. */
#include "kernels_test.h"

static const double selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772;

static const double beta = 0.75;
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

static double f_neg(double x, double a) { return (void)a, -x; }
static double f_abs(double x, double a) { return (void)a, fabs(x); }
static double f_square(double x, double a) { return (void)a, x * x; }
static double f_sqrt(double x, double a) { return (void)a, sqrt(x); }
static double f_exp(double x, double a) { return (void)a, exp(x); }
static double f_log(double x, double a) { return (void)a, log(x); }
static double f_relu(double x, double a) { return (void)a, x > 0 ? x : 0; }
static double f_relu6(double x, double a) { return (void)a, clamp(x, 0, 6); }
static double f_leaky(double x, double a) { return x > 0 ? x : a * x; }
static double f_elu(double x, double a) { return x > 0 ? x : a * expm1(x); }
static double f_selu(double x, double a) { return (void)a, selu_scale * (x > 0 ? x : selu_alpha * expm1(x)); }
static double f_gelu(double x, double a) { return (void)a, 0.5 * x * (1 + erf(x / sqrt(2))); }
static double f_silu(double x, double a) { return (void)a, x * sigmoid(x); }
static double f_sigmoid(double x, double a) { return (void)a, sigmoid(x); }
static double f_hard_sigmoid(double x, double a) { return (void)a, clamp(x / 6 + 0.5, 0, 1); }
static double f_tanh(double x, double a) { return (void)a, tanh(x); }
static double f_softplus(double x, double a) { return (void)a, (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double f_hard_silu(double x, double a) { return (void)a, x * clamp(x / 6 + 0.5, 0, 1); }
static double f_mish(double x, double a) { return x * tanh(f_softplus(x, a)); }
static double f_clip(double x, double a) { return clamp(x, a, beta); }
static double f_huber(double x, double a) { return fabs(x) <= a ? 0.5 * x * x : a * fabs(x) - 0.5 * a * a; }
static double f_scale(double x, double a) { return a * x + beta; }
static double f_softsign(double x, double a) { return (void)a, x / (1 + fabs(x)); }

/* range: where values are tried; ulps: allowed, of the result; floor: an absolute error that is allowed too,
 * where a formula cancels (gelu's and elu's small values) or flushes denormals. */
enum { KEEPS_X, KEEPS_Y };
static const int keeps[] = {
#define ATH_UNARY(id, name, kept, forward, derivative) [ATHI_UNARY_##id] = KEEPS_##kept,
#include "graph/unary.def"
#undef ATH_UNARY
};

static const struct {
    const char *name;
    double (*f)(double x, double alpha);
    float lo, hi;
    double ulps, floor;
} functions[ATHI_UNARY_COUNT] = {
    [ATHI_UNARY_NEG] = {"neg", f_neg, -1e3f, 1e3f, 0, 0},
    [ATHI_UNARY_ABS] = {"abs", f_abs, -1e3f, 1e3f, 0, 0},
    [ATHI_UNARY_SQUARE] = {"square", f_square, -1e3f, 1e3f, 1, 0},
    [ATHI_UNARY_SQRT] = {"sqrt", f_sqrt, 1e-6f, 1e6f, 1, 0},
    [ATHI_UNARY_EXP] = {"exp", f_exp, -87, 88.5f, 2, 1.2e-38},
    [ATHI_UNARY_LOG] = {"log", f_log, 1e-6f, 20, 2, 0},
    [ATHI_UNARY_RELU] = {"relu", f_relu, -3, 3, 0, 0},
    [ATHI_UNARY_RELU6] = {"relu6", f_relu6, -3, 9, 0, 0},
    [ATHI_UNARY_LEAKY_RELU] = {"leaky_relu", f_leaky, -3, 3, 1, 0},
    [ATHI_UNARY_ELU] = {"elu", f_elu, -20, 20, 2, 1.2e-7},
    [ATHI_UNARY_SELU] = {"selu", f_selu, -20, 20, 3, 3e-7},
    [ATHI_UNARY_GELU] = {"gelu", f_gelu, -10, 10, 3, 5e-7},
    [ATHI_UNARY_SILU] = {"silu", f_silu, -80, 80, 4, 1.2e-38},
    [ATHI_UNARY_SIGMOID] = {"sigmoid", f_sigmoid, -80, 80, 3, 1.2e-38},
    [ATHI_UNARY_HARD_SIGMOID] = {"hard_sigmoid", f_hard_sigmoid, -4, 4, 2, 6e-8},
    [ATHI_UNARY_HARD_SILU] = {"hard_silu", f_hard_silu, -5, 5, 3, 5e-7},
    [ATHI_UNARY_MISH] = {"mish", f_mish, -20, 20, 6, 1.2e-38},
    [ATHI_UNARY_CLIP] = {"clip", f_clip, -3, 3, 1, 0},
    [ATHI_UNARY_HUBER] = {"huber", f_huber, -3, 3, 3, 3e-8},
    [ATHI_UNARY_SCALE] = {"scale", f_scale, -3, 3, 2, 6e-8},
    [ATHI_UNARY_TANH] = {"tanh", f_tanh, -12, 12, 3, 0},
    [ATHI_UNARY_SOFTPLUS] = {"softplus", f_softplus, -80, 80, 3, 1.2e-38},
    [ATHI_UNARY_SOFTSIGN] = {"softsign", f_softsign, -50, 50, 2, 0},
};

static double ulp(double x) {
    float f = fmaxf(fabsf((float)x), 1.2e-38f);
    return (double)nextafterf(f, INFINITY) - (double)f;
}

static void values(const athi_cpu_kernels *k) {
    enum { N = 20011 };
    float alpha = 0.3f;
    for (int op = 0; op < ATHI_UNARY_COUNT; op++) {
        float *x = random_floats(N, functions[op].lo, functions[op].hi), *y = floats(N);
        for (int i = 0; i < N / 4; i++) /* and near zero, over many magnitudes */
            x[i] = ldexpf(x[i], -(int)random_int(0, 40));
        k->unary[op](1, N, alpha, (float)beta, x, y);
        for (int i = 0; i < N; i++) {
            double want = functions[op].f((double)x[i], (double)alpha);
            if (fabs((double)y[i] - want) > (functions[op].ulps + 0.5) * ulp(want) + functions[op].floor)
                fail_msg("%s (%s): f(%.9g) = %.9g, wanted %.9g: %.2f ulp", functions[op].name, k->name, x[i],
                         y[i], want, fabs((double)y[i] - want) / ulp(want));
        }
        float *again = floats(N);
        k->unary[op](3, N, alpha, (float)beta, x, again);
        assert_memory_equal(y, again, N * sizeof *y);
        memcpy(again, x, N * sizeof *x);
        k->unary[op](2, N, alpha, (float)beta, again, again); /* in place */
        assert_memory_equal(y, again, N * sizeof *y);
        free_floats(x, N), free_floats(y, N), free_floats(again, N);
    }
}

static void special_points(const athi_cpu_kernels *k) {
    const float inf = INFINITY;
    const struct {
        athi_unary op;
        float x, y;
    } points[] = {
        {ATHI_UNARY_EXP, -inf, 0},
        {ATHI_UNARY_EXP, inf, inf},
        {ATHI_UNARY_EXP, NAN, NAN},
        {ATHI_UNARY_EXP, 0, 1},
        {ATHI_UNARY_EXP, 1e9f, inf},
        {ATHI_UNARY_EXP, -1e9f, 0},
        {ATHI_UNARY_LOG, 0, -inf},
        {ATHI_UNARY_LOG, inf, inf},
        {ATHI_UNARY_LOG, -1, NAN},
        {ATHI_UNARY_LOG, NAN, NAN},
        {ATHI_UNARY_LOG, 1, 0},
        {ATHI_UNARY_TANH, inf, 1},
        {ATHI_UNARY_TANH, -inf, -1},
        {ATHI_UNARY_TANH, NAN, NAN},
        {ATHI_UNARY_SIGMOID, inf, 1},
        {ATHI_UNARY_SIGMOID, -inf, 0},
        {ATHI_UNARY_SIGMOID, NAN, NAN},
        {ATHI_UNARY_SOFTPLUS, inf, inf},
        {ATHI_UNARY_SOFTPLUS, -inf, 0},
        {ATHI_UNARY_RELU, NAN, NAN},
        {ATHI_UNARY_RELU, -inf, 0},
        {ATHI_UNARY_GELU, inf, inf},
        {ATHI_UNARY_GELU, NAN, NAN},
        {ATHI_UNARY_ELU, -inf, -1},
        {ATHI_UNARY_LEAKY_RELU, NAN, NAN},
        {ATHI_UNARY_SQRT, -1, NAN},
        {ATHI_UNARY_SQRT, inf, inf},
    };
    for (int i = 0; i < ATHI_COUNT(points); i++) {
        float y;
        k->unary[points[i].op](1, 1, 1, 0, &points[i].x, &y);
        if (!(isnan(points[i].y) ? isnan(y) : y == points[i].y))
            fail_msg("%s (%s): f(%g) = %g, wanted %g", functions[points[i].op].name, k->name, points[i].x, y,
                     points[i].y);
    }
}

static void gradients(const athi_cpu_kernels *k) {
    enum { N = 1003 };
    const float alpha = 0.3f, kinks[] = {-3, -alpha, 0, alpha, (float)beta, 3, 6};
    for (int op = 0; op < ATHI_UNARY_COUNT; op++) {
        float lo = fmaxf(functions[op].lo, -6), hi = fminf(functions[op].hi, 9);
        if (lo > 0) lo = 0.05f;
        float *x = random_floats(N, lo, hi), *y = floats(N), *dy = random_floats(N, -1, 1), *dx = floats(N);
        for (int i = 0; i < N; i++) /* away from kinks */
            for (int j = 0; j < ATHI_COUNT(kinks); j++)
                if (fabsf(x[i] - kinks[j]) < 0.01f) x[i] = kinks[j] + 0.02f;
        k->unary[op](1, N, alpha, (float)beta, x, y);
        k->unary_grad[op](1, N, alpha, (float)beta, dy, keeps[op] == KEEPS_X ? x : y, dx);
        for (int i = 0; i < N; i++) {
            double e = 1e-5, up = functions[op].f((double)x[i] + e, (double)alpha);
            double want = (double)dy[i] * (up - functions[op].f((double)x[i] - e, (double)alpha)) / (2 * e);
            if (fabs((double)dx[i] - want) > 2e-5 * fmax(1, fabs(want)))
                fail_msg("%s' (%s): at x = %.9g, dy = %g: %.9g, wanted %.9g", functions[op].name, k->name,
                         x[i], dy[i], dx[i], want);
        }
        free_floats(x, N), free_floats(y, N), free_floats(dy, N), free_floats(dx, N);
    }
}

static float combined(int op, float a, float b) {
    switch (op) {
    case ATHI_BINARY_ADD: return a + b;
    case ATHI_BINARY_SUB: return a - b;
    case ATHI_BINARY_MUL: return a * b;
    case ATHI_BINARY_DIV: return a / b;
    case ATHI_BINARY_MAX: return a > b ? a : b;
    case ATHI_BINARY_MIN: return a < b ? a : b;
    case ATHI_BINARY_RSUB: return b - a;
    default: return b / a;
    }
}

static void binaries(const athi_cpu_kernels *k) {
    for (int op = 0; op < ATHI_BINARY_COUNT; op++)
        for (int repeat = 0; repeat < 40; repeat++) {
            int64_t M = random_int(1, 30), N = repeat ? random_int(1, 70) : 2001, n = M * N;
            float *a = random_floats(n, 0.1f, 2), *b = random_floats(n, 0.1f, 2), *y = floats(n);
            k->binary[op](2, n, a, b, y);
            for (int64_t i = 0; i < n; i++) assert_true(y[i] == combined(op, a[i], b[i]));
            k->binary_scalar[op](2, n, a, b[0], y);
            for (int64_t i = 0; i < n; i++) assert_true(y[i] == combined(op, a[i], b[0]));
            k->binary_row[op](2, M, N, a, b, y);
            for (int64_t i = 0; i < n; i++) assert_true(y[i] == combined(op, a[i], b[i % N]));
            free_floats(a, n), free_floats(b, n), free_floats(y, n);
        }
    float a[2] = {NAN, 1}, b[2] = {1, NAN}, y[2];
    k->binary[ATHI_BINARY_MAX](1, 2, a, b, y);
    assert_true(isnan(y[0]) && isnan(y[1]));
    k->binary[ATHI_BINARY_MIN](1, 2, a, b, y);
    assert_true(isnan(y[0]) && isnan(y[1]));
}

static void values_agree_with_libm(void **state) {
    (void)state;
    for_each_instance(values);
}
static void special_points_are_met(void **state) {
    (void)state;
    for_each_instance(special_points);
}
static void gradients_agree_with_differences(void **state) {
    (void)state;
    for_each_instance(gradients);
}
static void two_operands_agree(void **state) {
    (void)state;
    for_each_instance(binaries);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree_with_libm),
        cmocka_unit_test(special_points_are_met),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(two_operands_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
