/* What forest, cmaes and de must be good at: better than random search, away from what fails, apart in parallel. */
#include "oom.h"
#include "tune/sampler_test.h"

typedef struct candidate {
    const char *name;
    int trials; /* after which it must be better than random search */
} candidate;

static const candidate candidates[] = {{"forest", 60}, {"cmaes", 80}, {"de", 250}};

/* 24 pairs: 19 or more by chance have a probability of 0.0033. */
static void better_than_random(void **state) {
    for (int k = 0; k < ATHI_COUNT(candidates); k++)
        assert_true(wins_of(*state, candidates[k].name, candidates[k].trials) >= 19);
}

/* Less is better towards x = 1, but beyond 0.7 every trial fails (0: breaks a constraint). How many lie beyond 0.8, of
 * the last 40. */
static int beyond(fixture *f, study *s, const candidate *c, athi_reason reason, double *best) {
    static const double broken = 1, kept = -1;
    int count = 0;
    begin(s, f->space, 3, false);
    for (int i = 0; i < c->trials; i++) {
        athi_trial *t = ask(f, s, c->name, NULL);
        bool bad = t->point[0] > 0.7;
        double value = -t->point[0] + pow(t->point[1] - 0.4, 2);
        if (bad && reason != ATHI_REASON_NONE) {
            t->state = ATHI_TRIAL_FAILED, t->reason = reason;
        } else {
            tell(t, value);
            t->constraints = bad ? &broken : &kept, t->n_constraints = 1;
        }
        if (!bad) *best = fmin(*best, value);
        count += i >= c->trials - 40 && t->point[0] > 0.8;
    }
    return count;
}

static void failing_region(void **state) {
    static const athi_reason reasons[] = {ATHI_REASON_CRASH, ATHI_REASON_MEMORY, ATHI_REASON_TIMEOUT, ATHI_REASON_NAN,
                                          ATHI_REASON_NONE};
    fixture *f = *state;
    add(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    add(f, float_param("y", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    study *s = malloc(sizeof *s);
    for (int k = 0; k < ATHI_COUNT(candidates); k++)
        for (int r = 0; r < ATHI_COUNT(reasons); r++) {
            double best = INFINITY;
            int count = beyond(f, s, &candidates[k], reasons[r], &best);
            print_message("%s, %s: %d of 40 in the failing region, best %.4f\n", candidates[k].name,
                          reasons[r] ? athi_reason_name(reasons[r]) : "constraint", count, best);
            assert_true(count <= 5 && best < -0.6); /* random search: 8 */
        }
    free(s);
}

/* Eight at a time: no pair of those pending together is the same, and the best is nearly that of one at a time. */
static void parallel(void **state) {
    fixture *f = *state;
    enum { AT_ONCE = 8 };
    valley_space(f);
    study *s = malloc(sizeof *s);
    for (int c = 0; c < ATHI_COUNT(candidates); c++) {
        double together = 0, alone = 0;
        for (uint64_t seed = 0; seed < 4; seed++) {
            double best = INFINITY;
            begin(s, f->space, seed, false);
            for (int i = 0; i < candidates[c].trials; i += AT_ONCE) {
                for (int k = 0; k < AT_ONCE; k++) ask(f, s, candidates[c].name, NULL);
                for (int k = i; k < i + AT_ONCE; k++) {
                    for (int j = i; j < k; j++)
                        assert_true(athi_point_distance(f->space, s->points[j], s->points[k]) > 0);
                    tell(&s->trials[k], valley(s->points[k]));
                    best = fmin(best, s->values[k]);
                }
            }
            together += best / 4;
            alone += best_of(f, s, candidates[c].name, valley, seed * 2, candidates[c].trials) / 4;
        }
        print_message("%s: valley %.3f eight at a time, %.3f one by one\n", candidates[c].name, together, alone);
        assert_true(together < -1.9 && together < alone + 2.5); /* a logarithm; random search is at -1.4 after 60 */
    }
    free(s);
}

/* The same suggestions with a cache and without, whatever ends in which order: eight at once, some of which fail, are lost
 * or go on for long; cmaes restarts on the way. */
static void cache_changes_nothing(void **state) {
    fixture *f = *state;
    training_space(f);
    study *s = malloc(sizeof *s);
    for (int c = 0; c < ATHI_COUNT(candidates); c++) {
        const athi_sampler_impl *impl = athi_row_find(&athi_samplers, candidates[c].name)->impl;
        const athi_cmaes_sampler_opts quick = {.population = 4, .sigma = 1e-11, .increase = 2};
        const void *opts = strcmp(candidates[c].name, "cmaes") ? NULL : &quick;
        athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 41));
        athi_cache cache = {0};
        begin(s, f->space, 5, false);
        for (int i = 0; i < (c == 0 ? 40 : 250); i++) {
            double point[WIDTH];
            bool exhausted;
            s->view.cache = &cache, s->view.trial = i;
            assert_ok(f->ctx, impl->suggest(f->ctx, opts, &s->view, point, &exhausted));
            s->view.cache = NULL;
            const athi_trial *t = ask(f, s, candidates[c].name, opts);
            for (int64_t k = 0; k < f->space->n; k++)
                if (point[k] != t->point[k] && !(isnan(point[k]) && isnan(t->point[k])))
                    fail_msg("%s: trial %d: %.17g with a cache, %.17g without", candidates[c].name, i, point[k],
                             t->point[k]);
            for (int k = 0; k < i; k++) { /* some end now, the last eight and each seventeenth later than others */
                athi_trial *old = &s->trials[k];
                if (old->state != ATHI_TRIAL_RUNNING || (k > i - 8 && athi_rng_below(&rng, 3)) ||
                    (k % 17 == 5 && k > i - 60))
                    continue;
                tell(old, training(old->point));
                if (k % 5 == 3) old->state = ATHI_TRIAL_FAILED, old->values[0] = NAN, old->reason = ATHI_REASON_CRASH;
                if (k % 25 == 3) old->reason = ATHI_REASON_LOST;
            }
        }
        athi_cache_clear(&cache);
    }
    free(s);
}

/* A finite space of every kind of grid: 64 x 4 x 5 x 4 x 9 points, the best of which is worth 0. */
static void mixed(void **state) {
    fixture *f = *state;
    athi_branch b[6];
    add(f, int_param("units", 1, 64, 0, ATHI_PRIOR_LOG));
    add(f, int_param("layers", 1, 4, 0, ATHI_PRIOR_UNIFORM));
    athi_space_param size = choice_param("size", 5, b);
    size.ordered = true;
    add(f, size);
    add(f, choice_param("kind", 4, b));
    add(f, float_param("rate", 0, 1, 0.125, ATHI_PRIOR_UNIFORM));
    study *s = malloc(sizeof *s);
    for (int c = 0; c < ATHI_COUNT(candidates); c++) {
        double best = INFINITY;
        begin(s, f->space, 1, false);
        for (int i = 0; i < 240; i++) {
            athi_trial *t = ask(f, s, candidates[c].name, NULL);
            const double *p = t->point;
            double u = log(p[0] / 20), v = (p[1] - 3) / 2 + (p[2] - 1) / 4;
            tell(t, u * u + v * v + (p[2] - 1) * (p[2] - 1) / 16 + (p[3] != 2) + pow(p[4] - 0.625, 2));
            best = fmin(best, t->values[0]);
        }
        print_message("%s: %g of 0\n", candidates[c].name, best);
        assert_true(best < 0.05);
    }
    free(s);
}

/* Thirty trials of each sampler, a cache kept: every allocation fails once. */
static ath_status study_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_space *space;
    if (!arena) return ATH_E_NOMEM;
    ath_status status = athi_space_create(arena, &space);
    athi_branch branches[6];
    const athi_space_param params[] = {float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM),
                                       int_param("n", 1, 9, 0, ATHI_PRIOR_UNIFORM), choice_param("c", 2, branches)};
    for (int i = 0; status == ATH_OK && i < 3; i++) status = athi_space_add(ctx, space, &params[i], NULL);
    for (int c = 0; status == ATH_OK && c < ATHI_COUNT(candidates); c++) {
        const athi_sampler_impl *impl = athi_row_find(&athi_samplers, candidates[c].name)->impl;
        athi_cache cache = {0};
        athi_trial trials[30];
        const athi_trial *list[30];
        double points[30][3], values[30];
        athi_view view = {
            .space = space, .trials = list, .n_objectives = 1, .maximize = &(bool){false}, .cache = &cache};
        for (int i = 0; status == ATH_OK && i < (c == 0 ? 10 : 30); i++) {
            bool exhausted;
            view.n = view.trial = i;
            status = impl->suggest(ctx, NULL, &view, points[i], &exhausted);
            values[i] = points[i][0] + points[i][1];
            trials[i] =
                (athi_trial){.number = i, .state = ATHI_TRIAL_COMPLETE, .point = points[i], .values = &values[i]};
            list[i] = &trials[i];
        }
        athi_cache_clear(&cache);
    }
    athi_arena_destroy(arena);
    return status;
}

static void out_of_memory(void **state) {
    (void)state;
    oom_sweep(study_once);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(better_than_random, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_region, setup, teardown),
        cmocka_unit_test_setup_teardown(parallel, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(mixed, setup, teardown),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
