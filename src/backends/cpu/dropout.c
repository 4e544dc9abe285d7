/* Dropout whose mask is a function of (seed, purpose, place): element i uses word i % 4 of the Philox block
 * base + i / 4, whoever computes it, so the backward pass makes the same mask anew and nothing is stored. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "base/philox.h"

enum {
    COUNTERS = VW / 2,            /* in a vector: a counter's word has 64 bits, of which the low ones count */
    CHAINS = 4,                   /* vectors of them in flight */
    STEP = 4 * COUNTERS * CHAINS, /* elements */
    GRAIN = 4096,
};

typedef struct {
    const athi_images *im;
    uint64_t seed, purpose, base;
    uint32_t threshold; /* words below it drop */
    float scale;
    const stored *x;
    stored *y;
} dropout_work;

/* ---- the rounds of athi_philox over vectors ------------------------------------------------------- */

typedef uint64_t vw __attribute__((vector_size(4 * VW)));
typedef uint32_t vu __attribute__((vector_size(4 * VW)));

/* The products of the low halves. gcc 12 does not see the instruction for it in the general form. */
#if VW == 16 && defined(__AVX512F__)
ATHI_INLINE vw multiply(vw a, vw b) { return (vw)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif VW == 8 && defined(__AVX2__)
ATHI_INLINE vw multiply(vw a, vw b) { return (vw)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#elif VW == 4
ATHI_INLINE vw multiply(vw a, vw b) { return (vw)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#else
ATHI_INLINE vw multiply(vw a, vw b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
#endif

/* Which counter stands in a lane: the even lanes hold the first half of them, so that pairs(…) has them in order. */
#if VW == 16
static const vw counter_of_lane = {0, 4, 1, 5, 2, 6, 3, 7};
#define PAIRS(a, b, odd)                                                                                             \
    __builtin_shufflevector(a, b, odd, 8 + odd, 2 + odd, 10 + odd, 4 + odd, 12 + odd, 6 + odd, 14 + odd)
#elif VW == 8
static const vw counter_of_lane = {0, 2, 1, 3};
#define PAIRS(a, b, odd) __builtin_shufflevector(a, b, odd, 4 + odd, 2 + odd, 6 + odd)
#else
static const vw counter_of_lane = {0, 1};
#define PAIRS(a, b, odd) __builtin_shufflevector(a, b, odd, 2 + odd)
#endif

ATHI_INLINE vw splat(uint64_t x) { return x - (vw){0}; }

/* The words of blocks base … base + COUNTERS CHAINS - 1 in their order. */
ATHI_INLINE void philox_words(const dropout_work *w, uint64_t base, vu words[2 * CHAINS]) {
    vw c[4][CHAINS];
    ATHI_UNROLL
    for (int j = 0; j < CHAINS; j++) {
        const vw counter = splat(base + (uint64_t)j * COUNTERS) + counter_of_lane;
        c[0][j] = counter, c[1][j] = counter >> 32;
        c[2][j] = splat(w->purpose & 0xffffffffu), c[3][j] = splat(w->purpose >> 32);
    }
    uint32_t k0 = (uint32_t)w->seed, k1 = (uint32_t)(w->seed >> 32);
    for (int round = 0; round < ATHI_PHILOX_ROUNDS; round++) {
        ATHI_UNROLL
        for (int j = 0; j < CHAINS; j++) {
            const vw a = multiply(c[0][j], splat(ATHI_PHILOX_M0)), b = multiply(c[2][j], splat(ATHI_PHILOX_M1));
            c[0][j] = (b >> 32) ^ c[1][j] ^ splat(k0), c[1][j] = b;
            c[2][j] = (a >> 32) ^ c[3][j] ^ splat(k1), c[3][j] = a;
        }
        k0 += ATHI_PHILOX_W0, k1 += ATHI_PHILOX_W1;
    }
    ATHI_UNROLL
    for (int j = 0; j < CHAINS; j++) {
        const vw first = (c[0][j] & 0xffffffffu) | c[1][j] << 32, second = (c[2][j] & 0xffffffffu) | c[3][j] << 32;
        words[2 * j] = (vu)PAIRS(first, second, 0), words[2 * j + 1] = (vu)PAIRS(first, second, 1);
    }
}

/* ---- dropout ------------------------------------------------------------------------------------- */

/* The first element of a block, which lies together: [N, C / block, pixels, block]. */
typedef struct {
    int64_t n, pixel, c;
} cursor;
static cursor cursor_at(const athi_images *im, int64_t i) {
    return (cursor){i / im->C / im->pixels, i / im->C % im->pixels, i % im->C};
}
static int64_t place(const athi_images *im, const cursor *at) {
    return (at->n * im->C + at->c) * im->pixels + at->pixel * im->block;
}
static void next_block(const athi_images *im, cursor *at) {
    if ((at->c += im->block) < im->C) return;
    at->c = 0;
    if (++at->pixel < im->pixels) return;
    at->pixel = 0, at->n++;
}

ATHI_INLINE void keep_run(const stored *x, const float *keep, int64_t n, stored *y) {
    for (int64_t j = 0; j < n; j += VW) sstore_n(y + j, sload_n(x + j, n - j) * vload(keep + j), n - j);
}

static void dropout_part(const void *work, int64_t lo, int64_t hi, int part) {
    const dropout_work *w = work;
    cursor at = cursor_at(w->im, lo);
    (void)part;
    for (int64_t i = lo; i < hi; i += STEP) { /* lo is a multiple of STEP, and blocks divide that */
        vu words[2 * CHAINS];
        float keep[STEP];
        philox_words(w, w->base + (uint64_t)i / 4, words);
        ATHI_UNROLL
        for (int j = 0; j < 2 * CHAINS; j++)
            vstore(keep + j * VW, vsel((vi)(words[j] < w->threshold), (vf){0}, vset(w->scale)));
        const int64_t n = ATHI_MIN(hi - i, STEP);
        if (!w->im->block) keep_run(w->x + i, keep, n, w->y + i);
        for (int64_t from = 0; w->im->block && from < n; from += w->im->block, next_block(w->im, &at)) {
            const int64_t to = place(w->im, &at);
            keep_run(w->x + to, keep + from, w->im->block, w->y + to);
        }
    }
}

static void dropout(int threads, const athi_images *im, float rate, uint64_t seed, uint64_t purpose, uint64_t base,
                    const void *x, void *y) {
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
