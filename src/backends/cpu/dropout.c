/* Dropout whose mask is a function of (seed, purpose, place): element i uses word i % 4 of the Philox block
 * base + i / 4, whoever computes it, so the backward pass makes the same mask anew and nothing is stored.
 * The rounds of athi_philox are written here over LANES counters, one of each per lane. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "base/philox.h"

enum { LANES = 2 * VW, GRAIN = 4096 };

typedef struct {
    uint64_t seed, purpose, base;
    uint32_t threshold; /* words below it drop */
    float scale;
    const float *x;
    float *y;
} dropout_work;

/* words[w][l] = word w of block base + l. Counter arithmetic is 32 x 32 -> 64 bits, which vectorises. */
ATHI_INLINE void philox_lanes(uint64_t seed, uint64_t purpose, uint64_t base, uint32_t words[4][LANES]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int l = 0; l < LANES; l++) {
        words[0][l] = (uint32_t)(base + (uint64_t)l);
        words[1][l] = (uint32_t)((base + (uint64_t)l) >> 32);
        words[2][l] = (uint32_t)purpose;
        words[3][l] = (uint32_t)(purpose >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < LANES; l++) {
            uint32_t c[4] = {words[0][l], words[1][l], words[2][l], words[3][l]};
            athi_philox_round(c, k0, k1);
            words[0][l] = c[0], words[1][l] = c[1], words[2][l] = c[2], words[3][l] = c[3];
        }
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
}

static void dropout_part(const void *work, int64_t lo, int64_t hi, int part) {
    const dropout_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i += 4 * LANES) { /* lo is a multiple of 4 LANES */
        uint32_t words[4][LANES];
        float keep[4 * LANES];
        philox_lanes(w->seed, w->purpose, w->base + (uint64_t)i / 4, words);
        for (int l = 0; l < LANES; l++)
            for (int j = 0; j < 4; j++) keep[4 * l + j] = words[j][l] < w->threshold ? 0.0f : w->scale;
        int64_t n = ATHI_MIN(hi - i, 4 * LANES);
        for (int64_t j = 0; j < n; j++) w->y[i + j] = w->x[i + j] * keep[j];
    }
}

static void dropout(int threads, int64_t n, float rate, uint64_t seed, uint64_t purpose, uint64_t base,
                    const float *x, float *y) {
    double threshold = (double)rate * 4294967296.0;
    dropout_work w = {.seed = seed,
                      .purpose = purpose,
                      .base = base,
                      .x = x,
                      .y = y,
                      .threshold = threshold < 4294967295.0 ? (uint32_t)threshold : 0xffffffffu,
                      .scale = rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f};
    athi_cpu_for(threads, n, GRAIN, 4 * LANES, dropout_part, &w);
}

void ATHI_INSTANCE(athi_cpu_fill_dropout)(athi_cpu_kernels *k) { k->dropout = dropout; }
