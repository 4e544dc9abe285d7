/* How long the tpe sampler takes over a whole study in memory: the sphere in D dimensions, a suggestion a trial, with
 * the view growing as it does in a search. One JSON line a round.
 *     ninja -C build bench/bench_tpe && build/bench/bench_tpe [DIMENSIONS TRIALS ROUNDS [SAMPLER]] */
#include "base/file.h"
#include "tune/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check(ath_ctx *ctx, ath_status status) {
    if (status == ATH_OK) return;
    fprintf(stderr, "bench: %s\n", ath_errmsg(ctx));
    exit(1);
}

static athi_space *make_space(ath_ctx *ctx, athi_arena *arena, int dimensions) {
    athi_space *space;
    check(ctx, athi_space_create(arena, &space));
    for (int i = 0; i < dimensions; i++) {
        athi_space_param p = {.name = athi_arena_printf(arena, "x%d", i),
                              .type = ATHI_PARAM_FLOAT,
                              .min = -5,
                              .max = 5,
                              .fallback = NAN};
        check(ctx, athi_space_add(ctx, space, &p, NULL));
    }
    return space;
}

/* Returns the best value. */
static double search(ath_ctx *ctx, const athi_row *row, const athi_space *space, int64_t n, uint64_t seed) {
    athi_arena *arena = athi_arena_create(ctx);
    const athi_sampler_impl *impl = row->impl;
    athi_trial *trials = athi_arena_array(arena, n, sizeof *trials);
    const athi_trial **list = athi_arena_array(arena, n, sizeof *list);
    double *points = athi_arena_array(arena, n * space->n, sizeof *points), best = INFINITY;
    double *values = athi_arena_array(arena, n, sizeof *values);
    if (!trials || !list || !points || !values) check(ctx, ATH_E_NOMEM);
    for (int64_t t = 0; t < n; t++) {
        athi_view view = {.space = space,
                          .trials = list,
                          .n = t,
                          .n_objectives = 1,
                          .maximize = &(bool){false},
                          .seed = seed,
                          .trial = t,
                          .budget = n};
        double *point = points + t * space->n;
        bool exhausted;
        check(ctx, impl->suggest(ctx, NULL, &view, point, &exhausted));
        for (int64_t i = 0; i < space->n; i++) values[t] += point[i] * point[i];
        best = fmin(best, values[t]);
        trials[t] = (athi_trial){.number = t, .state = ATHI_TRIAL_COMPLETE, .point = point, .values = &values[t]};
        list[t] = &trials[t];
    }
    athi_arena_destroy(arena);
    return best;
}

int main(int argc, char **argv) {
    int dimensions = argc > 1 ? atoi(argv[1]) : 40, trials = argc > 2 ? atoi(argv[2]) : 1000;
    int rounds = argc > 3 ? atoi(argv[3]) : 3;
    const athi_row *row = athi_row_find(&athi_samplers, argc > 4 ? argv[4] : "tpe");
    if (dimensions < 1 || trials < 1 || !row)
        return fprintf(stderr, "usage: bench_tpe [DIMENSIONS TRIALS ROUNDS [SAMPLER]]\n"), 2;
    ath_ctx *ctx = NULL;
    check(NULL, ath_ctx_create(NULL, &ctx));
    athi_arena *arena = athi_arena_create(ctx);
    athi_space *space = make_space(ctx, arena, dimensions);
    for (int round = 0; round < rounds; round++) {
        double begin = athi_now(), best = search(ctx, row, space, trials, (uint64_t)round);
        printf("{\"sampler\": \"%s\", \"dimensions\": %d, \"trials\": %d, \"seconds\": %.4f, \"best\": %.6g}\n",
               row->name, dimensions, trials, athi_now() - begin, best);
        fflush(stdout);
    }
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
