/* Combining, scoring and the search for weights, on predictions whose best combination is known. */
#include "test.h"

#include "ensemble/ensemble.h"
#include "oom.h"

#include <math.h>

static ath_ctx *ctx;

static int setup(void **state) {
    (void)state;
    return ath_ctx_create(NULL, &ctx);
}
static int teardown(void **state) {
    (void)state;
    ath_ctx_destroy(ctx);
    return 0;
}

static ath_status learn(const char *name, const char *json, const athi_members *m, uint64_t seed, double *w) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *map = NULL;
    const athi_row *row = athi_row_find(&athi_ensembles, name);
    assert_non_null(row);
    void *opts = athi_arena_alloc(arena, (int64_t)(row->opts_size ? row->opts_size : 1));
    ath_status status = athi_json_read(ctx, arena, json, (int64_t)strlen(json), &map);
    if (status == ATH_OK && row->options) status = athi_options_read(ctx, arena, row, map, NULL, name, opts);
    const athi_ensemble_impl *impl = row->impl;
    if (status == ATH_OK) status = impl->learn(ctx, opts, m, seed, w);
    athi_arena_destroy(arena);
    return status;
}

static double loss_with(const athi_members *m, const double *w, bool geometric) {
    float *p = test_malloc((size_t)(m->n * m->classes) * sizeof *p);
    athi_ensemble_combine(m, w, geometric, p);
    double loss = athi_ensemble_evaluate(m, p).loss;
    test_free(p);
    return loss;
}

/* Members with random probabilities that lean towards the label by `skill`. */
enum { N = 400, CLASSES = 5, MEMBERS = 4 };
static float predictions[MEMBERS][N * CLASSES];
static const float *pointers[MEMBERS] = {predictions[0], predictions[1], predictions[2], predictions[3]};
static int32_t labels[N];
static athi_members random_members(const double skill[MEMBERS]) {
    athi_rng rng = athi_rng_at(7, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
    for (int i = 0; i < N; i++) labels[i] = (int32_t)athi_rng_below(&rng, CLASSES);
    for (int m = 0; m < MEMBERS; m++)
        for (int i = 0; i < N; i++) {
            double e[CLASSES], sum = 0;
            for (int c = 0; c < CLASSES; c++)
                sum += e[c] = exp(athi_rng_normal(&rng) + (c == labels[i] ? skill[m] : 0));
            for (int c = 0; c < CLASSES; c++) predictions[m][i * CLASSES + c] = (float)(e[c] / sum);
        }
    return (athi_members){MEMBERS, pointers, N, CLASSES, labels, NULL};
}

static void combines_and_scores_as_by_hand(void **state) {
    (void)state;
    static const float a[] = {0.8f, 0.2f, 0.4f, 0.6f}, b[] = {0.2f, 0.8f, 0.4f, 0.6f};
    static const int32_t y[] = {0, 0};
    athi_members m = {2, (const float *[]){a, b}, 2, 2, y, NULL};
    float p[4];
    athi_ensemble_combine(&m, (double[]){0.75, 0.25}, false, p);
    assert_float_equal(p[0], 0.65, 1e-6);
    assert_float_equal(p[1], 0.35, 1e-6);
    athi_ensemble_score s = athi_ensemble_evaluate(&m, p);
    assert_float_equal(s.loss, -(log(0.65) + log(0.4)) / 2, 1e-6);
    assert_float_equal(s.accuracy, 0.5, 1e-12);
    athi_ensemble_combine(&m, (double[]){0.75, 0.25}, true, p);
    double odds = pow(4, 0.75) * pow(0.25, 0.25); /* of class 0 */
    assert_float_equal(p[0], odds / (1 + odds), 1e-6);
    assert_float_equal(p[0] + p[1], 1, 1e-6);
    assert_float_equal(p[2], 0.4, 1e-6);
}

static void certain_members_do_not_break_the_geometric_mean(void **state) {
    (void)state;
    static const float a[] = {1, 0, 0}, b[] = {0, 1, 0};
    static const int32_t y[] = {2};
    athi_members m = {2, (const float *[]){a, b}, 1, 3, y, NULL};
    float p[3];
    athi_ensemble_combine(&m, (double[]){0.5, 0.5}, true, p);
    assert_float_equal(p[0], p[1], 1e-6);
    assert_float_equal(p[0] + p[1] + p[2], 1, 1e-6);
    assert_true(isfinite(athi_ensemble_evaluate(&m, p).loss));
}

static void contributions_are_scores_without_the_member(void **state) {
    (void)state;
    athi_members m = random_members((double[]){3, 2, 1, 0});
    double w[] = {0.5, 0.3, 0.2, 0}, loss[4], accuracy[4];
    assert_ok(ctx, athi_ensemble_contributions(ctx, &m, w, false, loss, accuracy));
    assert_float_equal(loss[0], loss_with(&m, (double[]){0, 0.6, 0.4, 0}, false), 1e-9);
    assert_float_equal(loss[3], loss_with(&m, w, false), 1e-9);
    assert_true(loss[0] > loss[3]);
    assert_true(accuracy[0] < accuracy[3]);
    assert_ok(ctx, athi_ensemble_contributions(ctx, &m, (double[]){0, 1, 0, 0}, false, loss, accuracy));
    double third = 1.0 / 3;
    assert_float_equal(loss[1], loss_with(&m, (double[]){third, 0, third, third}, false), 1e-9);
    m.n_members = 1;
    assert_ok(ctx, athi_ensemble_contributions(ctx, &m, (double[]){1}, false, loss, accuracy));
    assert_true(isnan(loss[0]));
}

/* Whatever the members: not worse on validation than the plain average or any member. */
static void learned_weights_keep_their_promise(void **state) {
    (void)state;
    static const double skills[][MEMBERS] = {{3, 3, 3, 3}, {4, 0, 0, 0}, {1, 2, 3, 4}, {0, 0, 0, 0}, {-2, 3, -2, 3}};
    for (int k = 0; k < ATHI_COUNT(skills); k++)
        for (int method = 0; method < 2; method++) {
            athi_members m = random_members(skills[k]);
            double w[MEMBERS], sum = 0;
            assert_ok(ctx, learn(method ? "weighted" : "random_search", "{\"samples\": 50}", &m, 1, w));
            for (int i = 0; i < MEMBERS; i++) {
                assert_true(w[i] >= 0);
                sum += w[i];
            }
            assert_float_equal(sum, 1, 1e-9);
            double loss = loss_with(&m, w, false);
            assert_true(loss <= loss_with(&m, (double[]){0.25, 0.25, 0.25, 0.25}, false));
            for (int i = 0; i < MEMBERS; i++) {
                double one[MEMBERS] = {0};
                one[i] = 1;
                assert_true(loss <= loss_with(&m, one, false));
            }
        }
}

/* The squared error of a weighted mean has its minimum in closed form. */
static void weighted_finds_the_minimum_for_numbers(void **state) {
    (void)state;
    static float t[N], a[N], b[N];
    athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 2));
    double aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < N; i++) {
        t[i] = (float)athi_rng_normal(&rng);
        a[i] = t[i] + (float)athi_rng_normal(&rng), b[i] = t[i] + 2 * (float)athi_rng_normal(&rng);
        double ea = (double)a[i] - (double)t[i], eb = (double)b[i] - (double)t[i];
        aa += ea * ea, bb += eb * eb, ab += ea * eb;
    }
    athi_members m = {2, (const float *[]){a, b}, N, 1, NULL, t};
    double w[2];
    assert_ok(ctx, learn("weighted", "{}", &m, 1, w));
    assert_float_equal(w[0], (bb - ab) / (aa + bb - 2 * ab), 1e-3);
    assert_true(isnan(athi_ensemble_evaluate(&m, a).accuracy));
    assert_float_equal(athi_ensemble_evaluate(&m, a).loss, aa / N, 1e-6);
    assert_fails(ctx, learn("geometric", "{}", &m, 1, w), ATH_E_OPTION, "write average or weighted");
}

static void weighted_is_better_than_random_search_and_repeats(void **state) {
    (void)state;
    athi_members m = random_members((double[]){2.2, 2.3, 2.4, 2.5});
    double drawn[MEMBERS], w[MEMBERS], again[MEMBERS];
    assert_ok(ctx, learn("random_search", "{\"samples\": 1000}", &m, 5, drawn));
    assert_ok(ctx, learn("weighted", "{}", &m, 5, w));
    assert_ok(ctx, learn("weighted", "{}", &m, 5, again));
    assert_memory_equal(w, again, sizeof w);
    assert_true(loss_with(&m, w, false) < loss_with(&m, drawn, false));
    assert_ok(ctx, learn("random_search", "{\"samples\": 1000}", &m, 6, again));
    assert_memory_not_equal(drawn, again, sizeof w);
}

static void one_member_gets_all_the_weight(void **state) {
    (void)state;
    athi_members m = random_members((double[]){1, 0, 0, 0});
    m.n_members = 1;
    for (const athi_row *row = athi_ensembles.rows; row->name; row++) {
        double w[1] = {0};
        assert_ok(ctx, learn(row->name, "{}", &m, 1, w));
        assert_float_equal(w[0], 1, 0);
    }
    m.n = 0;
    double w[1];
    assert_fails(ctx, learn("weighted", "{}", &m, 1, w), ATH_E_DATA, "at least one validation sample");
}

static void rows_are_sound(void **state) {
    (void)state;
    assert_ok(ctx, athi_kind_check(ctx, &athi_ensembles));
}

static athi_members few;
static ath_status learn_and_judge(ath_ctx *failing) {
    struct {
        size_t struct_size;
        bool exact;
        int64_t samples, evaluations;
    } opts = {sizeof opts, true, 10, 20};
    double w[MEMBERS], loss[MEMBERS], accuracy[MEMBERS];
    const athi_ensemble_impl *impl = athi_row_find(&athi_ensembles, "weighted")->impl;
    ATH_TRY(impl->learn(failing, &opts, &few, 1, w));
    return athi_ensemble_contributions(failing, &few, w, false, loss, accuracy);
}
static void failing_allocations(void **state) {
    (void)state;
    few = random_members((double[]){1, 2, 3, 4});
    few.n = 20;
    oom_sweep(learn_and_judge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combines_and_scores_as_by_hand),
        cmocka_unit_test(certain_members_do_not_break_the_geometric_mean),
        cmocka_unit_test(contributions_are_scores_without_the_member),
        cmocka_unit_test(learned_weights_keep_their_promise),
        cmocka_unit_test(weighted_finds_the_minimum_for_numbers),
        cmocka_unit_test(weighted_is_better_than_random_search_and_repeats),
        cmocka_unit_test(one_member_gets_all_the_weight),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
