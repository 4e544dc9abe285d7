/* Spaces for the tests of this part. */
#ifndef ATH_SPACE_TEST_H
#define ATH_SPACE_TEST_H

#include <math.h>

#include "test.h"
#include "tune/sampler_internal.h"

typedef struct fixture {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_space *space;
} fixture;

static inline int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (ath_ctx_create(NULL, &f->ctx) != ATH_OK) return 1;
    f->arena = athi_arena_create(f->ctx);
    if (!f->arena || athi_space_create(f->arena, &f->space) != ATH_OK) return 1;
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    fixture *f = *state;
    athi_arena_destroy(f->arena);
    ath_ctx_destroy(f->ctx);
    free(f);
    return 0;
}

static inline athi_space_param int_param(const char *name, double min, double max, double step,
                                         athi_prior prior) {
    return (athi_space_param){.name = name,
                              .type = ATHI_PARAM_INT,
                              .min = min,
                              .max = max,
                              .step = step,
                              .prior = prior,
                              .fallback = NAN};
}

static inline athi_space_param float_param(const char *name, double min, double max, double step,
                                           athi_prior prior) {
    athi_space_param p = int_param(name, min, max, step, prior);
    p.type = ATHI_PARAM_FLOAT;
    return p;
}

/* A choice of up to six branches a, b, c, ... */
static inline athi_space_param choice_param(const char *name, int n, athi_branch branches[6]) {
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < n; i++) branches[i] = (athi_branch){.key = keys[i]};
    return (athi_space_param){
        .name = name, .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = n, .fallback = NAN};
}

static inline int add(fixture *f, athi_space_param p) {
    int index;
    assert_ok(f->ctx, athi_space_add(f->ctx, f->space, &p, &index));
    return index;
}

/* Exists where `parent` lies in low..high. */
static inline int add_under(fixture *f, athi_space_param p, int parent, double low, double high) {
    athi_condition c = {parent, low, high};
    p.conditions = &c;
    p.n_conditions = 1;
    return add(f, p);
}

/* A conditional space drawn at random: 2 to 6 parameters, finite when `finite`. */
static inline void random_space(fixture *f, athi_rng *rng, bool finite) {
    static const char *const names[] = {"p0", "p1", "p2", "p3", "p4", "p5"};
    int n = 2 + (int)athi_rng_below(rng, 5);
    for (int i = 0; i < n; i++) {
        athi_branch branches[6];
        athi_space_param p;
        switch (athi_rng_below(rng, finite ? 3 : 5)) {
        case 0: p = choice_param(names[i], 1 + (int)athi_rng_below(rng, 4), branches); break;
        case 1: p = int_param(names[i], 1, 1 + (double)athi_rng_below(rng, 4), 0, ATHI_PRIOR_LOG); break;
        case 2: p = float_param(names[i], 0, 0.6, 0.2, ATHI_PRIOR_UNIFORM); break;
        case 3: p = float_param(names[i], 1e-4, 1, 0, ATHI_PRIOR_LOG); break;
        default: p = float_param(names[i], -1, 1, 0, ATHI_PRIOR_UNIFORM); break;
        }
        if (i > 0 && athi_rng_below(rng, 2)) { /* under one or two earlier ones */
            athi_condition c[2];
            for (int k = 0; k < 2; k++) {
                int parent = (int)athi_rng_below(rng, (uint64_t)i);
                const athi_space_param *q = &f->space->params[parent];
                int64_t count = athi_param_count(q);
                double v = count ? athi_param_nth(q, (int64_t)athi_rng_below(rng, (uint64_t)count)) : 0.1;
                c[k] = (athi_condition){parent, v, count ? v : INFINITY};
            }
            p.conditions = c;
            p.n_conditions = 1 + (int)athi_rng_below(rng, 2);
            add(f, p);
        } else {
            add(f, p);
        }
    }
}

/* On the grid, in range, NaN exactly where it does not exist. */
static inline void assert_valid(const athi_space *space, const double *point) {
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        if (!athi_space_exists(space, point, i)) {
            assert_true(isnan(point[i]));
            continue;
        }
        assert_false(isnan(point[i]));
        assert_true(athi_param_snap(p, point[i]) == point[i]);
        if (p->type != ATHI_PARAM_CHOICE) assert_true(point[i] >= p->min && point[i] <= p->max);
    }
}

#endif
