/* Samplers with several objectives: better than random search by hypervolume, constraints kept, the cache without effect. */
#include "tune/hypervolume.h"
#include "tune/sampler_test.h"
#include "tune/volume_gain.h"

enum { OBJECTIVES = 3, INPUTS = 6 };

typedef struct moo {
    study study;
    double values[MOST][OBJECTIVES];
    bool maximize[OBJECTIVES];
    int m;
} moo;

/* Zitzler, Deb and Thiele 2000, T1 and T3. */
static void zdt1(const double *x, double *y) {
    double g = 0;
    for (int i = 1; i < INPUTS; i++) g += x[i];
    g = 1 + 9 * g / (INPUTS - 1);
    y[0] = x[0], y[1] = g * (1 - sqrt(x[0] / g));
}

/* Deb et al. 2002, "Scalable multi-objective optimization test problems": an eighth of a sphere. */
static void dtlz2(const double *x, double *y) {
    double g = 1, a = x[0] * M_PI_2, b = x[1] * M_PI_2;
    for (int i = 2; i < INPUTS; i++) g += (x[i] - 0.5) * (x[i] - 0.5);
    y[0] = g * cos(a) * cos(b), y[1] = g * cos(a) * sin(b), y[2] = g * sin(a);
}

typedef struct problem {
    const char *name;
    int m;
    void (*value)(const double *x, double *y);
    double reference[OBJECTIVES];
} problem;
static const problem problems[] = {{"zdt1", 2, zdt1, {1.1, 6}}, {"dtlz2", 3, dtlz2, {1.5, 1.5, 1.5}}};

static void inputs(fixture *f) {
    static const char *const names[INPUTS] = {"a", "b", "c", "d", "e", "f"};
    assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
    for (int i = 0; i < INPUTS; i++) add(f, float_param(names[i], 0, 1, 0, ATHI_PRIOR_UNIFORM));
}

static void begin_several(moo *s, const athi_space *space, uint64_t seed, int m, int budget) {
    begin(&s->study, space, seed, false);
    s->m = m;
    for (int k = 0; k < m; k++) s->maximize[k] = (seed + (uint64_t)k) % 2;
    s->study.view.n_objectives = m, s->study.view.maximize = s->maximize, s->study.view.budget = budget;
}

static athi_trial *ask_several(fixture *f, moo *s, const char *sampler) {
    athi_trial *t = ask(f, &s->study, sampler, NULL);
    t->values = s->values[t->number];
    for (int k = 0; k < s->m; k++) t->values[k] = NAN;
    return t;
}

static void tell_several(moo *s, athi_trial *t, const double *losses) {
    t->state = ATHI_TRIAL_COMPLETE;
    for (int k = 0; k < s->m; k++) t->values[k] = s->maximize[k] ? -losses[k] : losses[k];
}

static double volume_of(fixture *f, moo *s, const problem *p, const char *sampler, uint64_t seed, int trials) {
    double losses[MOST * OBJECTIVES], v;
    begin_several(s, f->space, seed, p->m, trials);
    for (int i = 0; i < trials; i++) {
        athi_trial *t = ask_several(f, s, sampler);
        p->value(t->point, losses + i * p->m);
        tell_several(s, t, losses + i * p->m);
    }
    assert_ok(f->ctx, athi_hypervolume(f->arena, losses, trials, p->m, p->reference, &v));
    return v;
}

typedef struct candidate {
    const char *name;
    int trials, seeds, problems;
} candidate;
static const candidate candidates[] = {{"nsga2", 200, 10, 2}, {"tpe", 200, 10, 1}, {"ehvi", 80, 5, 2}};

/* By the sign test: with 10 pairs, 9 or more by chance have a probability of 0.011; of 5, all: 0.031. */
static void better_than_random(void **state) {
    fixture *f = *state;
    moo *s = malloc(sizeof *s);
    for (int c = 0; c < ATHI_COUNT(candidates); c++)
        for (int k = 0; k < candidates[c].problems; k++) {
            const candidate *one = &candidates[c];
            int wins = 0;
            inputs(f);
            for (int seed = 0; seed < one->seeds; seed++)
                wins += volume_of(f, s, &problems[k], one->name, (uint64_t)seed, one->trials) >
                        volume_of(f, s, &problems[k], "random", (uint64_t)seed, one->trials);
            print_message("%s on %s: better in %d of %d\n", one->name, problems[k].name, wins, one->seeds);
            assert_true(10 * wins >= 9 * one->seeds);
        }
    free(s);
}

/* f1 = x, f2 = 1 - x, plus the distance of the others from a half; allowed is 0.3 <= x <= 0.6 only. */
static void constraints(void **state) {
    fixture *f = *state;
    moo *s = malloc(sizeof *s);
    static double told[MOST][2];
    for (int c = 0; c < ATHI_COUNT(candidates); c++) {
        int kept = 0, trials = ATHI_MAX(candidates[c].trials, 60);
        inputs(f);
        begin_several(s, f->space, 2, 2, trials);
        for (int i = 0; i < trials; i++) {
            athi_trial *t = ask_several(f, s, candidates[c].name);
            double far = 0, losses[2];
            for (int k = 1; k < INPUTS; k++) far += fabs(t->point[k] - 0.5);
            losses[0] = t->point[0] + far, losses[1] = 1 - t->point[0] + far;
            told[i][0] = 0.3 - t->point[0], told[i][1] = t->point[0] - 0.6;
            tell_several(s, t, losses);
            t->constraints = told[i], t->n_constraints = 2;
            kept += i >= trials - 40 && told[i][0] <= 0 && told[i][1] <= 0;
        }
        print_message("%s: %d of the last 40 keep the constraints\n", candidates[c].name, kept);
        assert_true(kept >= 25); /* random search: 12 */
    }
    free(s);
}

/* Eight at once, of which some fail, are lost or go on for long: as with one view, so with another. */
static void cache_changes_nothing(void **state) {
    fixture *f = *state;
    moo *s = malloc(sizeof *s);
    athi_cache cache = {0};
    athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 63));
    const athi_sampler_impl *impl = athi_row_find(&athi_samplers, "nsga2")->impl;
    const athi_nsga2_opts opts = {.population = 12, .crossover = 0.9};
    inputs(f);
    begin_several(s, f->space, 5, 2, 200);
    for (int i = 0; i < 200; i++) {
        double point[WIDTH];
        bool exhausted;
        s->study.view.cache = &cache, s->study.view.trial = i;
        assert_ok(f->ctx, impl->suggest(f->ctx, &opts, &s->study.view, point, &exhausted));
        s->study.view.cache = NULL;
        athi_trial *t = ask(f, &s->study, "nsga2", &opts);
        t->values = s->values[i], t->values[0] = t->values[1] = NAN;
        assert_memory_equal(point, t->point, INPUTS * sizeof *point);
        for (int k = 0; k < i; k++) {
            athi_trial *old = &s->study.trials[k];
            double losses[2];
            if (old->state != ATHI_TRIAL_RUNNING || (k > i - 8 && athi_rng_below(&rng, 3)) ||
                (k % 17 == 5 && k > i - 60))
                continue;
            zdt1(old->point, losses);
            tell_several(s, old, losses);
            if (k % 5 == 3) old->state = ATHI_TRIAL_FAILED, old->values[0] = NAN, old->reason = ATHI_REASON_CRASH;
        }
    }
    athi_cache_clear(&cache);
    free(s);
}

/* What a point is expected to add, by two processes: against Monte Carlo, and its slopes against differences. */
static void volume_gain(void **state) {
    fixture *f = *state;
    enum { N = 5, DRAWS = 40000 };
    const double x[N] = {0, 0.2, 0.5, 0.7, 1}, y[2][N] = {{-1, -0.5, 0, 0.6, 1}, {1, 0.2, -0.2, -0.7, -1}};
    const double reference[] = {1.2, 1.2}, theta[] = {-1, 0, -3}; /* length, signal, noise */
    const athi_gp_dim dims[1] = {{false, false}};
    double front[2 * N], before;
    athi_gp gps[2];
    for (int k = 0; k < 2; k++) {
        assert_ok(f->ctx, athi_gp_create(f->arena, dims, 1, x, y[k], N, 0, &gps[k]));
        memcpy(gps[k].theta, theta, sizeof theta);
        assert_ok(f->ctx, athi_gp_condition(f->ctx, f->arena, &gps[k]));
        for (int i = 0; i < N; i++) front[2 * i + k] = y[k][i];
    }
    const athi_gp *both[] = {&gps[0], &gps[1]};
    athi_volume_gain g = {.m = 2, .gps = both};
    assert_ok(f->ctx, athi_boxes_create(f->arena, front, N, 2, reference, &g.boxes));
    assert_ok(f->ctx, athi_volume_gain_create(f->arena, &g));
    assert_ok(f->ctx, athi_hypervolume(f->arena, front, N, 2, reference, &before));
    athi_rng rng = athi_rng_at(4, ATHI_PURPOSE(ATHI_RNG_TEST, 64));
    for (double at = 0.1; at < 1; at += 0.25) {
        double mean[2], variance[2], work[3 * N], sum = 0, squares = 0, slope = 0, unused = 0, many;
        int free[] = {0};
        for (int k = 0; k < 2; k++) athi_gp_predict(&gps[k], &at, 1, &mean[k], &variance[k], work);
        for (int i = 0; i < DRAWS; i++) {
            double rows[2 * N + 2], after;
            memcpy(rows, front, sizeof front);
            for (int k = 0; k < 2; k++) rows[2 * N + k] = mean[k] + sqrt(variance[k]) * athi_rng_normal(&rng);
            athi_arena *scratch = athi_arena_create(f->ctx);
            assert_ok(f->ctx, athi_hypervolume(scratch, rows, N + 1, 2, reference, &after));
            athi_arena_destroy(scratch);
            sum += after - before, squares += (after - before) * (after - before);
        }
        double expected = sum / DRAWS, error = 4 * sqrt((squares / DRAWS - expected * expected) / DRAWS);
        double got = athi_volume_gain_at(&g, &at, free, 1, &slope), h = 1e-6, up = at + h, down = at - h;
        double difference =
            (athi_volume_gain_at(&g, &up, NULL, 0, &unused) - athi_volume_gain_at(&g, &down, NULL, 0, &unused)) /
            (2 * h);
        athi_volume_gain_many(&g, &at, 1, &many);
        if (!(fabs(exp(got) - expected) < error))
            fail_msg("at %g: %g, by Monte Carlo %g +- %g", at, exp(got), expected, error);
        if (!(fabs(slope - difference) < 1e-4 * (1 + fabs(slope))))
            fail_msg("at %g: slope %g, by differences %g", at, slope, difference);
        assert_float_equal(got, many, 1e-12);
    }
}

/* More objectives than boxes are made for, and more trials: what is suggested lies in the space and is the same again. */
static void many_objectives(void **state) {
    fixture *f = *state;
    moo *s = malloc(sizeof *s);
    inputs(f);
    begin_several(s, f->space, 7, 3, 0);
    s->study.view.n_objectives = s->m = 4;
    static double values[MOST][4];
    static const bool maximize[4] = {false, true, false, true};
    s->study.view.maximize = maximize;
    for (int i = 0; i < 24; i++) {
        athi_trial *t = ask(f, &s->study, "ehvi", NULL);
        double again[WIDTH];
        bool exhausted;
        s->study.view.n--, s->study.view.trial = i;
        assert_ok(f->ctx, athi_sampler_ehvi.suggest(f->ctx, NULL, &s->study.view, again, &exhausted));
        s->study.view.n++;
        assert_memory_equal(again, t->point, INPUTS * sizeof *again);
        t->values = values[i], t->state = ATHI_TRIAL_COMPLETE;
        for (int k = 0; k < 4; k++) t->values[k] = fabs(t->point[k] - 0.2 * k) * (maximize[k] ? -1 : 1);
    }
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(better_than_random, setup, teardown),
        cmocka_unit_test_setup_teardown(constraints, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(volume_gain, setup, teardown),
        cmocka_unit_test_setup_teardown(many_objectives, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
