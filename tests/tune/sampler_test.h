/* Whole studies in memory for the tests of samplers: ask, tell, three functions, and how often one beats random search. */
#ifndef ATH_SAMPLER_TEST_H
#define ATH_SAMPLER_TEST_H

#include "tune/space_test.h"

enum { MOST = 256, WIDTH = 8 };

typedef struct study {
    athi_view view;
    athi_trial trials[MOST];
    const athi_trial *list[MOST];
    double points[MOST][WIDTH], values[MOST];
    bool maximize;
} study;

static inline void begin(study *s, const athi_space *space, uint64_t seed, bool maximize) {
    memset(s, 0, sizeof *s);
    s->maximize = maximize;
    s->view = (athi_view){
        .space = space, .trials = s->list, .n_objectives = 1, .maximize = &s->maximize, .seed = seed, .budget = 40};
}

static inline athi_trial *ask(fixture *f, study *s, const char *sampler, const void *opts) {
    const athi_sampler_impl *impl = athi_row_find(&athi_samplers, sampler)->impl;
    int64_t n = s->view.n;
    bool exhausted;
    s->view.trial = n;
    s->values[n] = NAN;
    assert_ok(f->ctx, impl->suggest(f->ctx, opts, &s->view, s->points[n], &exhausted));
    assert_false(exhausted);
    s->trials[n] =
        (athi_trial){.number = n, .state = ATHI_TRIAL_RUNNING, .point = s->points[n], .values = &s->values[n]};
    s->list[n] = &s->trials[n];
    s->view.n++;
    return &s->trials[n];
}

static inline void tell(athi_trial *t, double value) {
    t->state = ATHI_TRIAL_COMPLETE;
    t->values[0] = value;
}

/* ---- three functions, all minimised -------------------------------------------------------------------- */

static inline double branin(const double *p) {
    double x = p[0], y = p[1], a = y - 5.1 / (4 * M_PI * M_PI) * x * x + 5 / M_PI * x - 6;
    return a * a + 10 * (1 - 1 / (8 * M_PI)) * cos(x) + 10;
}
static inline void branin_space(fixture *f) {
    add(f, float_param("x", -5, 10, 0, ATHI_PRIOR_UNIFORM));
    add(f, float_param("y", 0, 15, 0, ATHI_PRIOR_UNIFORM));
}

/* An optimiser with a learning rate of its own for each branch, and a width. */
static inline double training(const double *p) {
    double rate = p[1] == 0 ? log10(p[2]) + 3 : p[1] == 1 ? log10(p[3]) + 1.5 : 1;
    return 0.1 * p[1] + 0.3 * rate * rate + 0.002 * fabs(p[0] - 96);
}
static inline void training_space(fixture *f) {
    athi_branch b[6];
    add(f, int_param("units", 16, 128, 16, ATHI_PRIOR_UNIFORM));
    int c = add(f, choice_param("optimizer", 3, b));
    add_under(f, float_param("a.rate", 1e-5, 1, 0, ATHI_PRIOR_LOG), c, 0, 0);
    add_under(f, float_param("b.rate", 1e-5, 1, 0, ATHI_PRIOR_LOG), c, 1, 1);
}

static inline double valley(const double *p) {
    double sum = 0;
    for (int i = 0; i < 5; i++) sum += (i + 1) * pow(p[i] - 0.15 * (i + 1), 2);
    return log(1e-4 + sum);
}
static inline void valley_space(fixture *f) {
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++) add(f, float_param(names[i], 0, 1, 0, ATHI_PRIOR_UNIFORM));
}

static inline double best_of(fixture *f, study *s, const char *sampler, double (*function)(const double *),
                             uint64_t seed, int trials) {
    double best = INFINITY;
    begin(s, f->space, seed, seed % 2);
    for (int i = 0; i < trials; i++) {
        athi_trial *t = ask(f, s, sampler, NULL);
        double y = function(t->point);
        tell(t, s->maximize ? -y : y);
        best = fmin(best, y);
    }
    return best;
}

static inline int wins_of(fixture *f, const char *sampler, int trials) {
    const struct {
        void (*space)(fixture *f);
        double (*function)(const double *p);
    } cases[] = {{branin_space, branin}, {training_space, training}, {valley_space, valley}};
    study *s = malloc(sizeof *s);
    int wins = 0, of[3] = {0};
    for (int k = 0; k < 3; k++) {
        assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
        cases[k].space(f);
        for (uint64_t seed = 0; seed < 8; seed++)
            of[k] += best_of(f, s, sampler, cases[k].function, seed, trials) <
                     best_of(f, s, "random", cases[k].function, seed, trials);
        wins += of[k];
    }
    print_message("%s: better in %d of 24: %d, %d, %d\n", sampler, wins, of[0], of[1], of[2]);
    free(s);
    return wins;
}

#endif
