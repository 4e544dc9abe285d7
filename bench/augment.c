/* What augmenting a batch costs: shifts, flips and normalisation of 32 Fashion-MNIST images, in CPU time of one thread.
 *
 *     bench_augment ROUNDS          one JSON line: medians in milliseconds a batch, of the plain gather and of both */
#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 32, REPEATS = 200 };

static void check(ath_ctx *ctx, ath_status status) {
    if (status == ATH_OK) return;
    fprintf(stderr, "bench: %s\n", ath_errmsg(ctx));
    exit(1);
}

static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static athi_data *open_data(ath_ctx *ctx, athi_arena *arena) {
    const char json[] = "{\"source\": \"fashion-mnist\", \"normalize\": \"featurewise\", \"augment\": "
                        "{\"width_shift_range\": 0.1, \"height_shift_range\": 0.1, \"horizontal_flip\": true}}";
    athi_value *map = NULL;
    athi_data_opts opts;
    athi_data *data = NULL;
    check(ctx, athi_json_read(ctx, arena, json, sizeof json - 1, &map));
    check(ctx, athi_options_read(ctx, arena, &athi_data_row, map, NULL, "data", &opts));
    check(ctx, athi_data_open(ctx, &opts, NULL, NULL, &data));
    return data;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 0;
    if (rounds < 1 || rounds > 1000) return fprintf(stderr, "usage: bench_augment ROUNDS\n"), 2;
    ath_ctx *ctx = NULL;
    check(NULL, ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx));
    athi_arena *arena = athi_arena_create(ctx);
    athi_data *data = open_data(ctx, arena);
    int64_t *order = athi_arena_array(arena, data->train.n, sizeof *order);
    float *x = athi_arena_array(arena, BATCH * 28 * 28, sizeof *x),
          *scratch = athi_arena_array(arena, athi_augment_scratch(&data->augment, BATCH, 1), sizeof *scratch);
    double *times[2] = {athi_arena_array(arena, rounds, sizeof(double)),
                        athi_arena_array(arena, rounds, sizeof(double))};
    if (!order || !x || !scratch || !times[0] || !times[1]) return 1;
    athi_epoch_order(1, 0, data->train.n, true, order);
    for (int round = 0; round < rounds; round++)
        for (int augmented = 0; augmented < 2; augmented++) {
            double begin = cpu_ms();
            for (int64_t b = 0; b < REPEATS; b++) {
                const int64_t *samples = order + b * BATCH;
                athi_batch_key key = {1, round, b * BATCH};
                if (augmented)
                    athi_batch_augmented(&data->train, &data->preprocess, &data->augment, &key, samples, BATCH, x,
                                         NULL, 1, scratch);
                else
                    athi_batch_x(&data->train, &data->preprocess, samples, BATCH, x);
            }
            times[augmented][round] = (cpu_ms() - begin) / REPEATS;
        }
    printf("{\"gather_ms\": %.5f, \"augmented_ms\": %.5f}\n", median(times[0], rounds), median(times[1], rounds));
    athi_data_close(data);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
