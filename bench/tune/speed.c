/* How long a sampler takes over a whole study in memory, a suggestion a trial, with the view growing and a cache kept as
 * in a search; and how good the study gets. One JSON line.
 *     ninja -C build bench/bench_speed && build/bench/bench_speed SAMPLER FUNCTION DIMENSIONS TRIALS SEED
 * bench/tune/speed_peers.py is the same in Optuna and Rustuna. */
#include "base/file.h"
#include "tune/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_OBJECTIVES = 2 };

typedef struct function {
    const char *name;
    double min, max;
    int objectives;
    void (*value)(const double *x, int64_t d, double *y);
} function;

/* The optimum is not in the middle, where evolution strategies begin. */
static void sphere(const double *x, int64_t d, double *y) {
    *y = 0;
    for (int64_t i = 0; i < d; i++) *y += (x[i] - 1) * (x[i] - 1);
}

static void rosenbrock(const double *x, int64_t d, double *y) {
    *y = 0;
    for (int64_t i = 0; i + 1 < d; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        *y += 100 * a * a + b * b;
    }
}

/* Zitzler, Deb and Thiele 2000, T1. */
static void zdt1(const double *x, int64_t d, double *y) {
    double g = 0;
    for (int64_t i = 1; i < d; i++) g += x[i];
    g = 1 + 9 * g / (double)(d - 1);
    y[0] = x[0], y[1] = g * (1 - sqrt(x[0] / g));
}

static const function functions[] = {{"sphere", -5, 5, 1, sphere},
                                     {"rosenbrock", -5, 5, 1, rosenbrock},
                                     {"zdt1", 0, 1, 2, zdt1}};

static void check(ath_ctx *ctx, ath_status status) {
    if (status == ATH_OK) return;
    fprintf(stderr, "bench: %s\n", ath_errmsg(ctx));
    exit(1);
}

static athi_space *make_space(ath_ctx *ctx, athi_arena *arena, const function *f, int dimensions) {
    athi_space *space;
    check(ctx, athi_space_create(arena, &space));
    for (int i = 0; i < dimensions; i++) {
        athi_space_param p = {.name = athi_arena_printf(arena, "x%d", i),
                              .type = ATHI_PARAM_FLOAT,
                              .min = f->min,
                              .max = f->max,
                              .fallback = NAN};
        check(ctx, athi_space_add(ctx, space, &p, NULL));
    }
    return space;
}

static int by_first(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* The best value; of two objectives the hypervolume below (1.1, 1.1). */
static double result(double *values, int64_t n, int objectives) {
    double best = INFINITY, volume = 0, low = 1.1;
    if (objectives == 1) {
        for (int64_t t = 0; t < n; t++) best = fmin(best, values[t]);
        return best;
    }
    qsort(values, (size_t)n, 2 * sizeof *values, by_first);
    for (int64_t t = 0; t < n && values[2 * t] < 1.1; t++) {
        if (values[2 * t + 1] >= low) continue;
        volume += (1.1 - values[2 * t]) * (low - values[2 * t + 1]);
        low = values[2 * t + 1];
    }
    return volume;
}

static void *defaults(ath_ctx *ctx, athi_arena *arena, const athi_row *row) {
    if (!row->options) return NULL;
    void *opts = athi_arena_alloc(arena, (int64_t)row->opts_size);
    check(ctx, opts ? athi_options_read(ctx, arena, row, NULL, NULL, row->name, opts) : ATH_E_NOMEM);
    return opts;
}

int main(int argc, char **argv) {
    const function *f = NULL;
    const athi_row *row = argc == 6 ? athi_row_find(&athi_samplers, argv[1]) : NULL;
    for (int i = 0; argc == 6 && i < ATHI_COUNT(functions); i++)
        if (!strcmp(functions[i].name, argv[2])) f = &functions[i];
    int dimensions = f ? atoi(argv[3]) : 0, n = f ? atoi(argv[4]) : 0;
    if (dimensions < 2 || n < 1 || !row)
        return fprintf(stderr, "usage: bench_speed SAMPLER sphere|rosenbrock|zdt1 DIMENSIONS TRIALS SEED\n"), 2;
    ath_ctx *ctx = NULL;
    check(NULL, ath_ctx_create(NULL, &ctx));
    athi_arena *arena = athi_arena_create(ctx);
    const athi_space *space = make_space(ctx, arena, f, dimensions);
    const athi_sampler_impl *impl = row->impl;
    const void *opts = defaults(ctx, arena, row);
    athi_trial *trials = athi_arena_array(arena, n, sizeof *trials);
    const athi_trial **list = athi_arena_array(arena, n, sizeof(*list));
    double *points = athi_arena_array(arena, (int64_t)n * space->n, sizeof *points);
    double *values = athi_arena_array(arena, (int64_t)n * f->objectives, sizeof *values);
    if (!trials || !list || !points || !values) check(ctx, ATH_E_NOMEM);
    const bool maximize[MOST_OBJECTIVES] = {0};
    athi_cache cache = {0};
    athi_view view = {
        .space = space, .trials = list, .n_objectives = f->objectives, .maximize = maximize, .budget = n};
    view.seed = (uint64_t)strtoull(argv[5], NULL, 10), view.cache = &cache;
    double begin = athi_now();
    for (int64_t t = 0; t < n; t++) {
        double *point = points + t * space->n, *y = values + t * f->objectives;
        bool exhausted;
        view.n = view.trial = t;
        check(ctx, impl->suggest(ctx, opts, &view, point, &exhausted));
        f->value(point, space->n, y);
        trials[t] = (athi_trial){.number = t, .state = ATHI_TRIAL_COMPLETE, .point = point, .values = y};
        list[t] = &trials[t];
    }
    double seconds = athi_now() - begin;
    athi_cache_clear(&cache);
    printf("{\"sampler\": \"%s\", \"function\": \"%s\", \"dimensions\": %d, \"trials\": %d, \"seconds\": %.4f, "
           "\"value\": %.6g}\n",
           row->name, f->name, dimensions, n, seconds, result(values, n, f->objectives));
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
