/* Initialisers: ranges, variances by the fans, orthogonality, and the same bits for the same seed. */
#include "nn_test.h"

#include <math.h>

typedef struct moments {
    double mean, variance, low, high;
} moments;

static moments moments_of(const float *w, int64_t n) {
    moments m = {.low = w[0], .high = w[0]};
    for (int64_t i = 0; i < n; i++) {
        m.mean += w[i] / (double)n;
        m.low = ATHI_MIN(m.low, w[i]), m.high = ATHI_MAX(m.high, w[i]);
    }
    for (int64_t i = 0; i < n; i++) m.variance += (w[i] - m.mean) * (w[i] - m.mean) / (double)n;
    return m;
}

/* A dense kernel [in, units] of the initialiser; returns its values, from the fixture's arena. */
static float *kernel(fixture *f, const char *initializer, int64_t in, int64_t units, uint64_t seed) {
    char text[256];
    snprintf(text, sizeof text, "{\"dense\": {\"units\": %d, \"kernel_initializer\": %s}}", (int)units,
             initializer);
    char name[32];
    snprintf(name, sizeof name, "x%d", (int)f->net->n_inputs);
    int64_t param = f->net->n_params;
    layer(f, athi_net_input_add(f->net, name, athi_dims(in), ATH_F32), text);
    assert_ok(f->ctx, athi_graph_check(f->net->graph));
    float *w = athi_arena_array(f->arena, in * units, (int64_t)sizeof *w);
    assert_non_null(w);
    assert_ok(f->ctx, athi_param_init(f->ctx, f->net, param, seed, w));
    return w;
}

typedef struct expectation {
    const char *initializer;
    double mean, variance, bound; /* bound: no value lies beyond it; 0: not checked */
} expectation;

enum { IN = 200, UNITS = 100 };

static void distributions(void **state) {
    (void)state;
    const double truncated = 0.87962566103423978;
    const expectation all[] = {
        {"\"zeros\"", 0, 0, 1e-9},
        {"\"ones\"", 1, 0, 1.1},
        {"{\"constant\": 0.5}", 0.5, 0, 0.51},
        {"\"random_uniform\"", 0, 0.01 / 12, 0.05},
        {"{\"random_uniform\": {\"minval\": 1, \"maxval\": 3}}", 2, 4.0 / 12, 3},
        {"\"random_normal\"", 0, 0.0025, 0},
        {"\"truncated_normal\"", 0, 0.0025 * truncated * truncated, 0.1},
        {"\"glorot_uniform\"", 0, 2.0 / (IN + UNITS), sqrt(6.0 / (IN + UNITS))},
        {"\"glorot_normal\"", 0, 2.0 / (IN + UNITS), 2 * sqrt(2.0 / (IN + UNITS)) / truncated},
        {"\"he_uniform\"", 0, 2.0 / IN, sqrt(6.0 / IN)},
        {"\"he_normal\"", 0, 2.0 / IN, 2 * sqrt(2.0 / IN) / truncated},
        {"\"lecun_uniform\"", 0, 1.0 / IN, sqrt(3.0 / IN)},
        {"\"lecun_normal\"", 0, 1.0 / IN, 2 * sqrt(1.0 / IN) / truncated},
        {"{\"variance_scaling\": {\"scale\": 3, \"mode\": \"fan_out\", \"distribution\": \"uniform\"}}", 0,
         3.0 / UNITS, sqrt(9.0 / UNITS)},
        {"{\"variance_scaling\": {\"distribution\": \"untruncated_normal\"}}", 0, 1.0 / IN, 0},
    };
    for (int i = 0; i < ATHI_COUNT(all); i++) {
        fixture f = fixture_begin();
        moments m = moments_of(kernel(&f, all[i].initializer, IN, UNITS, 7), IN * UNITS);
        double error = sqrt(all[i].variance / (IN * UNITS)); /* of the mean */
        if (fabs(m.mean - all[i].mean) > 5 * error + 1e-7)
            fail_msg("%s: mean %g", all[i].initializer, m.mean);
        if (fabs(m.variance - all[i].variance) > 0.06 * all[i].variance + 1e-12)
            fail_msg("%s: variance %g, not %g", all[i].initializer, m.variance, all[i].variance);
        if (all[i].bound > 0 && (m.high > all[i].bound * 1.000001 || m.low < -all[i].bound * 1.000001))
            fail_msg("%s: values %g to %g", all[i].initializer, m.low, m.high);
        fixture_end(&f);
    }
}

static void matrices(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{7, 7}, {12, 5}, {5, 12}};
    for (int k = 0; k < ATHI_COUNT(sizes); k++) {
        fixture f = fixture_begin();
        int64_t rows = sizes[k][0], cols = sizes[k][1], thin = ATHI_MIN(rows, cols);
        const float *q = kernel(&f, "{\"orthogonal\": {\"gain\": 2}}", rows, cols, 3);
        for (int64_t a = 0; a < thin; a++)
            for (int64_t b = 0; b < thin; b++) {
                double dot = 0;
                for (int64_t i = 0; i < ATHI_MAX(rows, cols); i++)
                    dot += rows < cols ? (double)q[a * cols + i] * q[b * cols + i]
                                       : (double)q[i * cols + a] * q[i * cols + b];
                assert_float_equal(dot, (a == b ? 4 : 0), 1e-5);
            }
        const float *e = kernel(&f, "\"identity\"", rows, cols, 3);
        for (int64_t i = 0; i < rows * cols; i++) assert_true(e[i] == (i / cols == i % cols ? 1 : 0));
        fixture_end(&f);
    }
}

/* The bits follow from the seed and the number of the param, not from what was drawn before. */
static void repeatable(void **state) {
    (void)state;
    fixture f = fixture_begin(), g = fixture_begin();
    const float *a = kernel(&f, "\"glorot_uniform\"", 30, 20, 11),
                *b = kernel(&g, "\"glorot_uniform\"", 30, 20, 11);
    assert_memory_equal(a, b, 600 * sizeof *a);
    float again[600], other[600];
    assert_ok(g.ctx, athi_param_init(g.ctx, g.net, 0, 11, again));
    assert_memory_equal(a, again, sizeof again);
    assert_ok(g.ctx, athi_param_init(g.ctx, g.net, 0, 12, other));
    assert_memory_not_equal(a, other, sizeof other);
    assert_memory_not_equal(a, kernel(&f, "\"glorot_uniform\"", 30, 20, 11),
                            sizeof other); /* another param */
    fixture_end(&f);
    fixture_end(&g);
}

static void mistakes(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(3), ATH_F32);
    layer(&f, x, "{\"dense\": {\"units\": 2, \"bias_initializer\": \"identity\"}}");
    float w[6];
    assert_fails(f.ctx, athi_param_init(f.ctx, f.net, 1, 1, w), ATH_E_SHAPE,
                 "dense/bias: identity: expected a matrix");
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(matrices),
        cmocka_unit_test(repeatable),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
