/* Layers, crowding, hypervolume and the boxes below it: against known values, against all pairs and against Monte Carlo. */
#include "tune/hypervolume.h"
#include "tune/pareto.h"
#include "tune/space_test.h"

enum { MOST = 200 };

static void draw(athi_rng *rng, double *losses, int64_t n, int m, int levels) {
    for (int64_t i = 0; i < n * m; i++) /* few levels: ties and equal rows */
        losses[i] = levels ? (double)athi_rng_below(rng, (uint64_t)levels) / levels : athi_rng_uniform(rng);
}

/* By the definition: a row's layer is one more than the largest of those that dominate it. */
static void layers_by_pairs(const double *losses, int64_t n, int m, int64_t *layer) {
    for (int64_t i = 0; i < n; i++) layer[i] = 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                if (layer[i] <= layer[j] && athi_dominates(losses + j * m, losses + i * m, m))
                    layer[i] = layer[j] + 1, changed = true;
    }
}

static void layers(void **state) {
    fixture *f = *state;
    athi_rng rng = athi_rng_at(1, ATHI_PURPOSE(ATHI_RNG_TEST, 60));
    static double losses[MOST * 5];
    static int64_t got[MOST], expected[MOST];
    for (int round = 0; round < 60; round++) {
        int m = 1 + round % 5;
        int64_t n = (int64_t)athi_rng_below(&rng, MOST);
        draw(&rng, losses, n, m, round % 3 ? 0 : 6);
        assert_ok(f->ctx, athi_pareto_layers(f->arena, losses, n, m, got));
        layers_by_pairs(losses, n, m, expected);
        for (int64_t i = 0; i < n; i++)
            if (got[i] != expected[i])
                fail_msg("round %d: row %d lies in layer %d, got %d", round, (int)i, (int)expected[i], (int)got[i]);
    }
}

static void crowding(void **state) {
    fixture *f = *state;
    const double losses[] = {0, 4, 1, 2, 3, 1, 4, 0, /* a layer */ 5, 5};
    const int64_t layer[] = {0, 0, 0, 0, 1};
    double d[5];
    assert_ok(f->ctx, athi_crowding(f->arena, losses, 5, 2, layer, d));
    assert_true(isinf(d[0]) && isinf(d[3]) && isinf(d[4]));
    assert_float_equal(d[1], 3.0 / 4 + 3.0 / 4, 1e-15); /* (3 - 0) / 4 + (4 - 1) / 4 */
    assert_float_equal(d[2], 3.0 / 4 + 2.0 / 4, 1e-15);
}

/* ---- hypervolume --------------------------------------------------------------------------------------- */

static void known_volumes(void **state) {
    fixture *f = *state;
    const double reference[] = {1, 1, 1, 1}, cube[] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    const double stairs[] = {0.25, 0.75, 0.75, 0.25, 0.5, 0.5, 2, 0}; /* the last is not below the reference */
    const double three[] = {0, 0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0};
    double v, c[4];
    for (int m = 1; m <= 4; m++) {
        assert_ok(f->ctx, athi_hypervolume(f->arena, cube, 2, m, reference, &v));
        assert_float_equal(v, pow(0.5, m), 1e-15);
    }
    assert_ok(f->ctx, athi_hypervolume(f->arena, stairs, 4, 2, reference, &v));
    assert_float_equal(v, 0.0625 * 6, 1e-15);
    assert_ok(f->ctx, athi_hypervolume_contributions(f->arena, stairs, 4, 2, reference, c));
    assert_true(fabs(c[0] - 0.0625) < 1e-15 && fabs(c[2] - 0.0625) < 1e-15 && c[3] == 0);
    assert_ok(f->ctx, athi_hypervolume(f->arena, three, 3, 3, reference, &v));
    assert_float_equal(v, 0.125 + 3 * 0.125, 1e-15);
    assert_ok(f->ctx, athi_hypervolume(f->arena, three, 0, 3, reference, &v));
    assert_true(v == 0);
}

/* DTLZ2's front is an eighth of a sphere: a fine one leaves 1 - pi / 6 of the unit cube below it. */
static void a_sphere(void **state) {
    fixture *f = *state;
    enum { SIDE = 12 };
    double rows[SIDE * SIDE * 3], v;
    const double reference[] = {1, 1, 1};
    for (int i = 0; i < SIDE * SIDE; i++) {
        double a = (i / SIDE + 0.5) / SIDE * M_PI_2, b = (i % SIDE + 0.5) / SIDE * M_PI_2; /* NOLINT */
        rows[3 * i] = cos(a) * cos(b), rows[3 * i + 1] = cos(a) * sin(b), rows[3 * i + 2] = sin(a);
    }
    assert_ok(f->ctx, athi_hypervolume(f->arena, rows, SIDE * SIDE, 3, reference, &v));
    print_message("hypervolume %.4f, of the whole sphere %.4f\n", v, 1 - M_PI / 6);
    assert_true(v < 1 - M_PI / 6 && v > 1 - M_PI / 6 - 0.1);
}

static bool dominated(const double *losses, int64_t n, int m, const double *x) {
    for (int64_t i = 0; i < n; i++) {
        bool below = true;
        for (int k = 0; k < m; k++) below = below && losses[i * m + k] <= x[k];
        if (below) return true;
    }
    return false;
}

static void against_monte_carlo(void **state) {
    fixture *f = *state;
    enum { DRAWS = 40000 };
    athi_rng rng = athi_rng_at(2, ATHI_PURPOSE(ATHI_RNG_TEST, 61));
    double losses[20 * 4], reference[] = {0.9, 0.9, 0.9, 0.9}, x[4], v;
    for (int m = 2; m <= 4; m++)
        for (int round = 0; round < 4; round++) {
            int hits = 0;
            draw(&rng, losses, 20, m, round % 2 ? 5 : 0);
            assert_ok(f->ctx, athi_hypervolume(f->arena, losses, 20, m, reference, &v));
            for (int i = 0; i < DRAWS; i++) {
                for (int k = 0; k < m; k++) x[k] = reference[k] * athi_rng_uniform(&rng);
                hits += dominated(losses, 20, m, x);
            }
            double p = hits / (double)DRAWS, box = pow(0.9, m), error = 4 * sqrt(p * (1 - p) / DRAWS) * box;
            if (!(fabs(p * box - v) <= error))
                fail_msg("%d objectives: %g, by Monte Carlo %g +- %g", m, v, p * box, error);
        }
}

/* Every point that nothing dominates lies in one box, every other one in none. */
static void boxes(void **state) {
    fixture *f = *state;
    athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 62));
    double losses[15 * 3], reference[] = {0.8, 0.8, 0.8};
    for (int round = 0; round < 20; round++) {
        int m = 2 + round % 2;
        int64_t n = (int64_t)athi_rng_below(&rng, 16);
        athi_boxes b;
        draw(&rng, losses, n, m, round % 4 > 1 ? 7 : 0);
        assert_ok(f->ctx, athi_boxes_create(f->arena, losses, n, m, reference, &b));
        for (int i = 0; i < 500; i++) {
            double x[3];
            int found = 0;
            for (int k = 0; k < m; k++) x[k] = 0.8 * athi_rng_uniform(&rng) - 0.1 * (i % 3 == 0);
            for (int64_t j = 0; j < b.n; j++) {
                bool inside = true;
                for (int k = 0; k < m; k++) {
                    const double *c = b.coordinate + k * b.n_coordinates;
                    inside = inside && x[k] >= c[b.low[j * m + k]] && x[k] < c[b.high[j * m + k]];
                }
                found += inside;
            }
            if (found != !dominated(losses, n, m, x)) fail_msg("round %d: the point lies in %d boxes", round, found);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(layers, setup, teardown),
        cmocka_unit_test_setup_teardown(crowding, setup, teardown),
        cmocka_unit_test_setup_teardown(known_volumes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sphere, setup, teardown),
        cmocka_unit_test_setup_teardown(against_monte_carlo, setup, teardown),
        cmocka_unit_test_setup_teardown(boxes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
