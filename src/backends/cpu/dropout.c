/* Dropout whose mask is a function of (seed, purpose, place): element i uses word i % 4 of the Philox block
 * base + i / 4, whoever computes it, so the backward pass makes the same mask anew and nothing is stored.
 * The rounds of athi_philox are written here over LANES counters, one of each per lane. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "base/philox.h"

enum { LANES = 2 * VW, STEP = 4 * LANES, GRAIN = 4096 };

typedef struct {
    const athi_images *im;
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

/* Where element i of the plain order lies. */
static int64_t place(const athi_images *im, int64_t i) {
    if (!im->block) return i;
    const int64_t c = i % im->C, pixel = i / im->C % im->pixels, n = i / im->C / im->pixels;
    return ((n * (im->C / im->block) + c / im->block) * im->pixels + pixel) * im->block + c % im->block;
}

static void dropout_part(const void *work, int64_t lo, int64_t hi, int part) {
    const dropout_work *w = work;
    /* What lies together: everything, or a block of channels. Blocks divide a step, which begins at one. */
    const int64_t together = w->im->block ? w->im->block : STEP;
    (void)part;
    for (int64_t i = lo; i < hi; i += STEP) { /* lo is a multiple of STEP */
        uint32_t words[4][LANES];
        float keep[STEP];
        philox_lanes(w->seed, w->purpose, w->base + (uint64_t)i / 4, words);
        for (int l = 0; l < LANES; l++)
            for (int j = 0; j < 4; j++) keep[4 * l + j] = words[j][l] < w->threshold ? 0.0f : w->scale;
        const int64_t n = ATHI_MIN(hi - i, STEP);
        for (int64_t from = 0; from < n; from += together) {
            const int64_t at = place(w->im, i + from), end = ATHI_MIN(together, n - from);
            for (int64_t j = 0; j < end; j++) w->y[at + j] = w->x[at + j] * keep[from + j];
        }
    }
}

static void dropout(int threads, const athi_images *im, float rate, uint64_t seed, uint64_t purpose, uint64_t base,
                    const float *x, float *y) {
    double threshold = (double)rate * 4294967296.0;
    dropout_work w = {.im = im,
                      .seed = seed,
                      .purpose = purpose,
                      .base = base,
                      .x = x,
                      .y = y,
                      .threshold = threshold < 4294967295.0 ? (uint32_t)threshold : 0xffffffffu,
                      .scale = rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f};
    athi_cpu_for(threads, im->N * im->pixels * im->C, GRAIN, STEP, dropout_part, &w);
}

void ATHI_INSTANCE(athi_cpu_fill_dropout)(athi_cpu_kernels *k) { k->dropout = dropout; }
