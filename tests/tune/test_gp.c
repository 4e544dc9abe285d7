/* The Gaussian process and its acquisition: gradients against finite differences, the posterior against the
 * formula computed with plain loops, the kernel's definiteness, and the stable branches against each other.
 */
#include "tune/space_test.h"
#include "backends/cpu/kernels.h"
#include "tune/acquisition.h"
#include "tune/gp_sample.h"
#include "tune/gp_input.h"
#include "tune/gp_internal.h"
#include "tune/gp_warp.h"

enum { N = 14, D = 4 };

/* Two plain numbers, a category that may be absent, a number that may be absent. */
static const athi_gp_dim dims[D] = {{false, false}, {false, false}, {true, true}, {false, true}};

static void make_row(athi_rng *rng, double *row) {
    row[0] = athi_rng_uniform(rng), row[1] = athi_rng_uniform(rng);
    row[2] = athi_rng_below(rng, 3) ? (double)athi_rng_below(rng, 3) : NAN;
    row[3] = athi_rng_below(rng, 3) ? athi_rng_uniform(rng) : NAN;
}

static void make_data(double x[N * D], double y[N], uint64_t seed) {
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_TEST, 10));
    for (int i = 0; i < N; i++) {
        make_row(&rng, x + i * D);
        y[i] = sin(5 * x[i * D]) + x[i * D + 1] + 0.1 * athi_rng_normal(&rng);
    }
}

static void vary(athi_gp *gp, uint64_t seed) {
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_TEST, 11));
    for (int64_t k = 0; k < gp->n_theta; k++) gp->theta[k] += 0.4 * athi_rng_normal(&rng);
}

static void objective_gradient(void **state) {
    fixture *f = *state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        double x[N * D], y[N], g[13], ignored[13];
        athi_gp gp;
        athi_gp_pairs pairs;
        make_data(x, y, seed);
        assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, N, 0.3, &gp));
        if (seed % 2) athi_gp_add_trend(&gp);
        if (seed >= 2) athi_gp_add_warp(&gp);
        assert_int_equal(gp.n_theta, D + 2 + 2 + (int)(seed % 2) + 4 * (seed >= 2));
        vary(&gp, seed);
        assert_ok(f->ctx, athi_gp_pairs_create(f->arena, &gp, &pairs));
        athi_gp_objective(&gp, &pairs, gp.theta, g);
        for (int64_t k = 0; k < gp.n_theta; k++) {
            double h = 1e-5, old = gp.theta[k];
            gp.theta[k] = old + h;
            double up = athi_gp_objective(&gp, &pairs, gp.theta, ignored);
            gp.theta[k] = old - h;
            double down = athi_gp_objective(&gp, &pairs, gp.theta, ignored);
            gp.theta[k] = old;
            double expected = (up - down) / (2 * h);
            if (fabs(g[k] - expected) > 1e-6 * fmax(1, fabs(expected)))
                fail_msg("theta %d: %.10g, finite difference %.10g", (int)k, g[k], expected);
        }
    }
}

/* The kernel once more, from its definition in gp.h. */
static double kernel(const athi_gp *gp, const double *a, const double *b) {
    double r2 = 0;
    int64_t optional = 0;
    for (int j = 0; j < D; j++) {
        double w = exp(-2 * gp->theta[j]), gap = 0;
        if (dims[j].optional) gap = exp(gp->theta[D + optional++]);
        if (isnan(a[j]) && isnan(b[j])) continue;
        if (isnan(a[j]) || isnan(b[j]))
            r2 += w * (dims[j].category ? 0.5 : 4 / (M_PI * M_PI)) + gap;
        else if (dims[j].category)
            r2 += w * (a[j] != b[j]);
        else if (dims[j].optional)
            r2 += w * 16 / (M_PI * M_PI) * pow(sin(M_PI * (a[j] - b[j]) / 4), 2);
        else
            r2 += w * (a[j] - b[j]) * (a[j] - b[j]);
    }
    double r = sqrt(r2), trend = 1 + (2 * a[0] - 1) * (2 * b[0] - 1) + (2 * a[1] - 1) * (2 * b[1] - 1);
    trend = gp->has_trend ? exp(gp->theta[D + optional + 2]) * pow(trend / (1 + 2.0 / 3), 2) : 0;
    return trend + exp(gp->theta[D + optional]) * (1 + sqrt(5) * r + 5 * r2 / 3) * exp(-sqrt(5) * r);
}

/* The vector code against the mathematics library, from no distance to where nothing is left; and all instances of it that
 * run here give the same bits. */
static void vector_code(void **state) {
    enum { MANY = 203 };
    static const athi_gp_kernel *const kernels[] = {&athi_gp_kernel_baseline, &athi_gp_kernel_avx2,
                                                    &athi_gp_kernel_avx512};
    fixture *f = *state;
    double r2[MANY], value[3][MANY], slope[3][MANY], x[N * D], y[N], row[D], k[3][N];
    athi_gp gp;
    make_data(x, y, 8);
    assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, N, 0, &gp));
    athi_gp_add_trend(&gp);
    assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &gp));
    memcpy(row, x + 2 * D, sizeof row);
    for (int i = 0; i < MANY; i++) r2[i] = i == 0 ? 0 : i == 1 ? 1e12 : pow(10, -20 + 25.0 * i / MANY);
    for (int isa = 0; isa <= (int)athi_cpu_best_isa(); isa++) {
        kernels[isa]->matern(1.5, r2, MANY, value[isa], slope[isa]);
        kernels[isa]->covariances(&gp, row, row, 0, k[isa], NULL, NULL);
        assert_memory_equal(value[isa], value[0], sizeof value[0]);
        assert_memory_equal(slope[isa], slope[0], sizeof slope[0]);
        assert_memory_equal(k[isa], k[0], sizeof k[0]);
    }
    for (int i = 0; i < MANY; i++) {
        double s = sqrt(5 * r2[i]), e = 1.5 * exp(-s), v = (1 + s + s * s / 3) * e, d = -5.0 / 6 * (1 + s) * e;
        if (fabs(value[0][i] - v) > 1e-14 * v + 1e-290 || fabs(slope[0][i] - d) > 1e-14 * fabs(d) + 1e-290)
            fail_msg("at %g: %.17g and %.17g, not %.17g and %.17g", r2[i], value[0][i], slope[0][i], v, d);
    }
}

/* Solves A z = b by Gaussian elimination with pivots; A and b are overwritten. */
static void solve(double A[N][N], double b[N]) {
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k; i < N; i++)
            if (fabs(A[i][k]) > fabs(A[pivot][k])) pivot = i;
        for (int j = 0; j < N; j++) {
            double t = A[k][j];
            A[k][j] = A[pivot][j], A[pivot][j] = t;
        }
        double t = b[k];
        b[k] = b[pivot], b[pivot] = t;
        for (int i = k + 1; i < N; i++) {
            double m = A[i][k] / A[k][k];
            for (int j = k; j < N; j++) A[i][j] -= m * A[k][j];
            b[i] -= m * b[k];
        }
    }
    for (int k = N - 1; k >= 0; k--) {
        for (int j = k + 1; j < N; j++) b[k] -= A[k][j] * b[j];
        b[k] /= A[k][k];
    }
}

static void posterior(void **state) {
    fixture *f = *state;
    double x[N * D], y[N], row[D], work[4 * N];
    athi_gp gp;
    make_data(x, y, 3);
    athi_rng rng = athi_rng_at(1, ATHI_PURPOSE(ATHI_RNG_TEST, 12));
    for (int round = 0; round < 20; round++) {
        assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, N, 0.3, &gp));
        if (round % 2) athi_gp_add_trend(&gp);
        vary(&gp, 3);
        assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &gp));
        double noise = exp(gp.theta[D + 2 + 1]);
        double A[N][N], k[N], b[N], mean = 0.3, variance, got_mean, got_variance;
        make_row(&rng, row);
        for (int i = 0; i < N; i++) {
            b[i] = k[i] = kernel(&gp, x + i * D, row);
            for (int j = 0; j < N; j++) A[i][j] = kernel(&gp, x + i * D, x + j * D) + (i == j ? noise : 0);
        }
        solve(A, b);
        variance = kernel(&gp, row, row);
        for (int i = 0; i < N; i++) mean += b[i] * (y[i] - 0.3), variance -= b[i] * k[i];
        athi_gp_predict(&gp, row, 1, &got_mean, &got_variance, work);
        assert_true(fabs(got_mean - mean) < 1e-8 && fabs(got_variance - variance) < 1e-8);
        athi_gp_gradient(&gp, row, NULL, 0, &got_mean, &got_variance, NULL, NULL, work);
        assert_true(fabs(got_mean - mean) < 1e-8 && fabs(got_variance - variance) < 1e-8);
    }
}

/* Many points, hardly any noise, lengths from tiny to huge: factorised without help, so the kernel is
 * definite. */
static void definite(void **state) {
    fixture *f = *state;
    enum { MANY = 60 };
    static double x[MANY * D], y[MANY], g[8];
    athi_rng rng = athi_rng_at(2, ATHI_PURPOSE(ATHI_RNG_TEST, 13));
    for (int i = 0; i < MANY; i++) make_row(&rng, x + i * D);
    for (int round = 0; round < 40; round++) {
        athi_gp gp;
        athi_gp_pairs pairs;
        assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, MANY, 0, &gp));
        for (int64_t k = 0; k < gp.n_theta; k++) gp.theta[k] = 2 * athi_rng_normal(&rng);
        gp.theta[gp.n_theta - 1] = gp.theta[gp.n_theta - 2] + log(1e-10);
        assert_ok(f->ctx, athi_gp_pairs_create(f->arena, &gp, &pairs));
        assert_true(isfinite(athi_gp_objective(&gp, &pairs, gp.theta, g)));
    }
}

static void acquisition_gradient(void **state) {
    fixture *f = *state;
    double x[N * D], y[N], labels[N];
    athi_gp gp, ok;
    make_data(x, y, 5);
    for (int i = 0; i < N; i++) labels[i] = x[i * D] > 0.6 ? -1 : 1;
    assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, N, 0, &gp));
    athi_gp_add_trend(&gp);
    athi_gp_add_warp(&gp);
    vary(&gp, 5);
    assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, labels, N, 0.5, &ok));
    assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &gp));
    assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &ok));
    const athi_limit limits[] = {{&ok, 0.1, 1.5, -INFINITY},
                                 {&ok, 0, 1, 0.7}}; /* the second is broken here and there */
    athi_gp second;
    assert_ok(f->ctx, athi_gp_create(f->arena, dims, D, x, y, N, 0, &second));
    vary(&second, 6);
    assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &second));
    athi_acquisition other = {.value = &second, .best = -0.7};
    athi_acquisition a = {
        .value = &gp, .best = -0.9, .limits = limits, .n_limits = 2, .others = &other, .n_others = 1};
    assert_ok(f->ctx, athi_acquisition_create(f->arena, &a));
    athi_rng rng = athi_rng_at(4, ATHI_PURPOSE(ATHI_RNG_TEST, 14));
    for (int round = 0; round < 20; round++) {
        double row[D], g[3], many;
        make_row(&rng, row);
        const int free[3] = {0, 1, 3};
        int n = isnan(row[3]) ? 2 : 3;
        double value = athi_acquisition_at(&a, row, free, n, g);
        athi_acquisition_many(&a, row, 1, &many);
        assert_true(fabs(value - many) < 1e-8 * fmax(1, fabs(value)));
        for (int k = 0; k < n; k++) {
            double h = 1e-6, old = row[free[k]];
            row[free[k]] = old + h;
            double up = athi_acquisition_at(&a, row, NULL, 0, NULL);
            row[free[k]] = old - h;
            double down = athi_acquisition_at(&a, row, NULL, 0, NULL);
            row[free[k]] = old;
            double expected = (up - down) / (2 * h);
            if (fabs(g[k] - expected) > 1e-4 * fmax(1, fabs(expected)))
                fail_msg("dimension %d: %.10g, finite difference %.10g", free[k], g[k], expected);
        }
    }
}

static double warped(const athi_gp_warp *w, double y) {
    return isinf(w->offset) ? y : log(w->offset + (y - w->least) / w->scale);
}

/* Warping keeps the order and standardises, and what it returns is the sum of the logarithms of its slopes. */
static void warping(void **state) {
    fixture *f = *state;
    enum { N_VALUES = 5, LEAST = 1, MOST_OF_ALL = 2 };
    const double y[N_VALUES] = {3, 0.5, 40, 1, 7}, h = 1e-5;
    athi_gp_warp w;
    assert_ok(f->ctx, athi_gp_warp_measure(f->arena, y, N_VALUES, &w));
    assert_true(w.least == 0.5 && w.scale == 2.5 && isinf(w.offset));
    for (int k = 0; k < ATHI_GP_WARPS; k++) {
        double z[N_VALUES], expected = 0, mean = 0, squares = 0;
        w.offset = athi_gp_warp_offsets[k];
        memcpy(z, y, sizeof y);
        double got = athi_gp_warp_apply(&w, z, N_VALUES);
        double scale = (warped(&w, y[MOST_OF_ALL]) - warped(&w, y[LEAST])) / (z[MOST_OF_ALL] - z[LEAST]);
        for (int i = 0; i < N_VALUES; i++) {
            mean += z[i] / N_VALUES, squares += z[i] * z[i] / N_VALUES;
            expected += log((warped(&w, y[i] + h) - warped(&w, y[i] - h)) / (2 * h) / scale);
        }
        assert_true(z[1] < z[3] && z[3] < z[0] && z[0] < z[4] && z[4] < z[2]);
        assert_true(fabs(mean) < 1e-12 && fabs(squares - 1) < 1e-12);
        if (fabs(got - expected) > 1e-5) fail_msg("offset %g: %.8g, by differences %.8g", w.offset, got, expected);
        const double below = -3;
        memcpy(z, y, sizeof y), z[LEAST] = below;
        assert_true(isfinite(athi_gp_warp_apply(&w, z, N_VALUES)) && isfinite(z[LEAST]));
    }
}

static void stable_branches(void **state) {
    (void)state;
    const struct {
        double z, log_improvement, log_cdf;
    } known[] = {/* Python's math.erfc */
                 {0, -0.9189385332046727, -0.6931471805599453},
                 {-1, -2.4851210257126413, -1.8410216450092634},
                 {3, 1.0987396653277077, -0.0013508099647482027}};
    double slope;
    for (int i = 0; i < ATHI_COUNT(known); i++) {
        double a = athi_log_improvement(known[i].z, &slope), b = athi_log_cdf(known[i].z, &slope);
        if (fabs(a - known[i].log_improvement) > 1e-10 || fabs(b - known[i].log_cdf) > 1e-10)
            fail_msg("z %g: %.17g, %.17g", known[i].z, a, b);
    }
    /* where the branches meet, and far out: slopes are the differences, nothing underflows */
    const double at[] = {-6 - 1e-4, -6 + 1e-4, -8, -40, -1e4, -1e8};
    for (int i = 0; i < ATHI_COUNT(at); i++) {
        double h = 1e-5 * fabs(at[i]), s1, s2, unused;
        double d1 = (athi_log_improvement(at[i] + h, &unused) - athi_log_improvement(at[i] - h, &unused)) / (2 * h);
        double d2 = (athi_log_cdf(at[i] + h, &unused) - athi_log_cdf(at[i] - h, &unused)) / (2 * h);
        assert_true(isfinite(athi_log_improvement(at[i], &s1)) && isfinite(athi_log_cdf(at[i], &s2)));
        assert_true(fabs(s1 - d1) < 1e-5 * fabs(d1) && fabs(s2 - d2) < 1e-5 * fabs(d2));
    }
}

/* The fit finds that one dimension matters and another does not, and how large the noise is. */
static void fit(void **state) {
    fixture *f = *state;
    enum { MANY = 80 };
    static const athi_gp_dim two[2] = {{false, false}, {false, false}};
    double x[MANY * 2], y[MANY];
    athi_rng rng = athi_rng_at(6, ATHI_PURPOSE(ATHI_RNG_TEST, 15));
    for (int i = 0; i < MANY; i++) {
        x[2 * i] = athi_rng_uniform(&rng), x[2 * i + 1] = athi_rng_uniform(&rng);
        y[i] = 1.4 * sin(6 * x[2 * i]) + 0.3 * athi_rng_normal(&rng);
    }
    athi_gp gp;
    assert_ok(f->ctx, athi_gp_create(f->arena, two, 2, x, y, MANY, 0, &gp));
    assert_ok(f->ctx, athi_gp_fit(f->ctx, f->arena, &gp, 1e-6, 0.01, 2, 60));
    assert_true(exp(gp.theta[1]) > 3 * exp(gp.theta[0]));
    double sd = exp(gp.theta[3] / 2);
    assert_true(sd > 0.2 && sd < 0.4);
}

/* Values that change only near one end: the warp spreads that end, and is likelier than none. */
static void input_warp(void **state) {
    fixture *f = *state;
    enum { MANY = 40 };
    static const athi_gp_dim two[2] = {{false, false}, {false, false}};
    double x[MANY * 2], y[MANY], loss[2], slope[2];
    athi_rng rng = athi_rng_at(7, ATHI_PURPOSE(ATHI_RNG_TEST, 16));
    for (int i = 0; i < MANY; i++) {
        x[2 * i] = athi_rng_uniform(&rng), x[2 * i + 1] = athi_rng_uniform(&rng);
        y[i] = sin(40 * exp(-6 * x[2 * i]));
    }
    athi_gp gp;
    athi_gp_pairs pairs;
    for (int warped = 0; warped < 2; warped++) {
        assert_ok(f->ctx, athi_gp_create(f->arena, two, 2, x, y, MANY, 0, &gp));
        if (warped) athi_gp_add_warp(&gp);
        assert_ok(f->ctx, athi_gp_pairs_create(f->arena, &gp, &pairs));
        assert_ok(f->ctx, athi_gp_fit_pairs(f->ctx, f->arena, &gp, &pairs, 1e-6, 0.01, 1, 100, &loss[warped]));
    }
    if (loss[1] > loss[0] - 5) fail_msg("loss %g with a warp, %g without", loss[1], loss[0]);
    athi_gp_read_theta(&gp);
    athi_gp_bend(0.05, gp.shape, &slope[0]), athi_gp_bend(0.8, gp.shape, &slope[1]);
    assert_true(slope[0] > 4 * slope[1]);
}

/* Draws of the noise of plain noise: around what it is, and as wide as its posterior, whose deviation is known. */
static void samples(void **state) {
    fixture *f = *state;
    enum { MANY = 60, DRAWS = 200 };
    static const athi_gp_dim one = {false, false};
    double x[MANY], y[MANY], *thetas, mean = 0, squares = 0;
    athi_rng rng = athi_rng_at(8, ATHI_PURPOSE(ATHI_RNG_TEST, 17));
    for (int i = 0; i < MANY; i++) x[i] = athi_rng_uniform(&rng), y[i] = 0.5 * athi_rng_normal(&rng);
    athi_gp gp;
    athi_gp_pairs pairs;
    athi_gp_bounds bounds;
    assert_ok(f->ctx, athi_gp_create(f->arena, &one, 1, x, y, MANY, 0, &gp));
    assert_ok(f->ctx, athi_gp_fit(f->ctx, f->arena, &gp, 1e-6, 0.01, 1, 60));
    assert_ok(f->ctx, athi_gp_pairs_create(f->arena, &gp, &pairs));
    assert_ok(f->ctx, athi_gp_bounds_create(f->arena, &gp, 1e-6, 0.01, &bounds));
    assert_ok(f->ctx, athi_gp_sample(f->arena, &gp, &pairs, &bounds, &rng, DRAWS, &thetas));
    for (int k = 0; k < DRAWS; k++) {
        for (int64_t j = 0; j < gp.n_theta; j++)
            assert_true(thetas[k * gp.n_theta + j] >= bounds.low[j] && thetas[k * gp.n_theta + j] <= bounds.high[j]);
        double noise = thetas[k * gp.n_theta + 2]; /* length, signal, noise */
        mean += noise / DRAWS, squares += noise * noise / DRAWS;
    }
    double deviation = sqrt(squares - mean * mean), expected = sqrt(2.0 / MANY);
    if (fabs(mean - log(0.25)) > 0.5 || deviation < 0.6 * expected || deviation > 1.6 * expected)
        fail_msg("mean %g, not %g; deviation %g, not %g", mean, log(0.25), deviation, expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objective_gradient, setup, teardown),
        cmocka_unit_test_setup_teardown(vector_code, setup, teardown),
        cmocka_unit_test_setup_teardown(posterior, setup, teardown),
        cmocka_unit_test_setup_teardown(definite, setup, teardown),
        cmocka_unit_test_setup_teardown(acquisition_gradient, setup, teardown),
        cmocka_unit_test_setup_teardown(warping, setup, teardown),
        cmocka_unit_test(stable_branches),
        cmocka_unit_test_setup_teardown(fit, setup, teardown),
        cmocka_unit_test_setup_teardown(input_warp, setup, teardown),
        cmocka_unit_test_setup_teardown(samples, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
