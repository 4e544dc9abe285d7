/* What forest, cmaes and de must be good at: better than random search, away from what fails, apart in parallel. */
#include "tune/sampler_test.h"

typedef struct candidate {
    const char *name;
    int trials; /* after which it must be better than random search */
} candidate;

static const candidate candidates[] = {{"forest", 60}};

/* 24 pairs: 19 or more by chance have a probability of 0.0033. */
static void better_than_random(void **state) {
    for (int k = 0; k < ATHI_COUNT(candidates); k++)
        assert_true(wins_of(*state, candidates[k].name, candidates[k].trials) >= 19);
}

/* Less is better towards x = 1, but beyond 0.7 every trial fails (0: breaks a constraint). How many lie beyond 0.8, of
 * the last 40 of 80. */
static int beyond(fixture *f, study *s, const char *sampler, athi_reason reason, double *best) {
    static const double broken = 1, kept = -1;
    int count = 0;
    begin(s, f->space, 3, false);
    for (int i = 0; i < 80; i++) {
        athi_trial *t = ask(f, s, sampler, NULL);
        bool bad = t->point[0] > 0.7;
        double value = -t->point[0] + pow(t->point[1] - 0.4, 2);
        if (bad && reason != ATHI_REASON_NONE) {
            t->state = ATHI_TRIAL_FAILED, t->reason = reason;
        } else {
            tell(t, value);
            t->constraints = bad ? &broken : &kept, t->n_constraints = 1;
        }
        if (!bad) *best = fmin(*best, value);
        count += i >= 40 && t->point[0] > 0.8;
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
            int count = beyond(f, s, candidates[k].name, reasons[r], &best);
            print_message("%s, %s: %d of 40 in the failing region, best %.4f\n", candidates[k].name,
                          reasons[r] ? athi_reason_name(reasons[r]) : "constraint", count, best);
            assert_true(count <= 5 && best < -0.6); /* random search: 8 */
        }
    free(s);
}

/* Eight at a time: no pair of those pending together is the same, and the best is nearly that of one at a time. */
static void parallel(void **state) {
    fixture *f = *state;
    enum { TRIALS = 96, AT_ONCE = 8 };
    valley_space(f);
    study *s = malloc(sizeof *s);
    for (int c = 0; c < ATHI_COUNT(candidates); c++) {
        double together = 0, alone = 0;
        for (uint64_t seed = 0; seed < 4; seed++) {
            double best = INFINITY;
            begin(s, f->space, seed, false);
            for (int i = 0; i < TRIALS; i += AT_ONCE) {
                for (int k = 0; k < AT_ONCE; k++) ask(f, s, candidates[c].name, NULL);
                for (int k = i; k < i + AT_ONCE; k++) {
                    for (int j = i; j < k; j++)
                        assert_true(athi_point_distance(f->space, s->points[j], s->points[k]) > 0);
                    tell(&s->trials[k], valley(s->points[k]));
                    best = fmin(best, s->values[k]);
                }
            }
            together += best / 4;
            alone += best_of(f, s, candidates[c].name, valley, seed * 2, TRIALS) / 4;
        }
        print_message("%s: valley %.3f eight at a time, %.3f one by one\n", candidates[c].name, together, alone);
        assert_true(together < -2.8 && together < alone + 3); /* a logarithm; random search reaches -1.8 */
    }
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(better_than_random, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_region, setup, teardown),
        cmocka_unit_test_setup_teardown(parallel, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
