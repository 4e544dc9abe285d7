/* How fast this machine can be at best: multiply-adds in registers, and bytes through caches and memory. What kernels
 * are held against by `bench` and `explain --profile`; nothing is ever chosen by it. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"

#include "base/file.h"

#include <time.h>

enum { ROUNDS = 5 };

/* ---- arithmetic ---------------------------------------------------------------------------------- */

typedef struct chains {
    const athi_cpu_kernels *k;
    int64_t rounds;
    double rates[64]; /* by worker */
} chains;

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* By the thread's own time: what other programs take is not this machine's limit. */
static void chains_part(const void *work, int64_t lo, int64_t hi, int part) {
    chains *c = (chains *)(uintptr_t)work; /* each worker writes its own place */
    float values[3] = {0.5f, 1, 0};
    for (int64_t i = lo; i < hi; i++) {
        double begin = thread_seconds(), flops = c->k->multiply_add(c->rounds, values);
        double seconds = thread_seconds() - begin;
        c->rates[part] = seconds > 0 ? flops / seconds : 0;
    }
}

static double measure_flops(int threads, const athi_cpu_kernels *k) {
    chains c = {.k = k, .rounds = 100000};
    double best = 0;
    threads = ATHI_MIN(threads, ATHI_COUNT(c.rates));
    for (int round = 0; round <= ROUNDS; round++) { /* the first warms up */
        double rate = 0;
        athi_cpu_for(threads, threads, 1, 1, chains_part, &c);
        for (int t = 0; t < threads; t++) rate += c.rates[t];
        if (round) best = ATHI_MAX(best, rate);
    }
    return best;
}

/* ---- memory -------------------------------------------------------------------------------------- */

/* y = a + b over three arrays that are `bytes` together, as often as takes some milliseconds. */
static double measure_rate(int threads, float *memory, int64_t bytes) {
    const athi_cpu_kernels *k = athi_cpu();
    int64_t n = bytes / 3 / (int64_t)sizeof(float);
    float *a = memory, *b = a + n, *y = b + n;
    int64_t times = ATHI_MAX((32 << 20) / bytes, 1);
    double best = 0;
    for (int round = 0; round <= ROUNDS; round++) {
        double begin = athi_now();
        for (int64_t i = 0; i < times; i++) k->binary[ATHI_BINARY_ADD](threads, n, a, b, y);
        double seconds = athi_now() - begin;
        if (round && seconds > 0) best = ATHI_MAX(best, (double)(times * 3 * n) * sizeof(float) / seconds);
    }
    return best;
}

ath_status athi_cpu_measure(ath_ctx *ctx, int threads, athi_machine *out) {
    static const int64_t sizes[ATHI_MACHINE_LEVELS] = {192 << 10, 6 << 20, 192 << 20};
    int64_t largest = sizes[ATHI_MACHINE_LEVELS - 1];
    float *memory = athi_alloc(ctx, largest);
    if (!memory) return ATH_E_NOMEM;
    *out = (athi_machine){.threads = threads, .flops = measure_flops(threads, athi_cpu())};
    if (athi_cpu_bf16()) out->flops_bf16 = measure_flops(threads, athi_cpu_bf16());
    for (int i = 0; i < ATHI_MACHINE_LEVELS; i++) {
        out->levels[i].bytes = (double)sizes[i];
        out->levels[i].rate = measure_rate(threads, memory, sizes[i]);
    }
    athi_free(ctx, memory);
    return ATH_OK;
}
