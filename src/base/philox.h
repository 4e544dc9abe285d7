/* Randomness as a function: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC11). The same (seed, purpose, index) gives the same four words on every machine and thread count. */
#ifndef ATHI_PHILOX_H
#define ATHI_PHILOX_H

#include <stdint.h>

/* What a random number is for: the high half of the counter, so that no two uses meet.
 * `purpose` = one of these + an identity below it (variable index, layer index) in the low 40 bits. */
#define ATHI_PURPOSE(kind, id) ((uint64_t)(kind) << 40 | ((uint64_t)(id)&0xffffffffffu))
enum athi_random_use {
    ATHI_RNG_SEED = 1,    /* deriving seeds from seeds */
    ATHI_RNG_INIT = 2,    /* initial weights; id = variable */
    ATHI_RNG_SHUFFLE = 3, /* the order of an epoch; id = epoch */
    ATHI_RNG_DROPOUT = 4, /* id = layer's dropout number; index = step * blocks + block */
    ATHI_RNG_AUGMENT = 5, /* id = epoch; index = sample */
    ATHI_RNG_SAMPLER = 6, /* id = trial */
    ATHI_RNG_ENSEMBLE = 7,
    ATHI_RNG_TEST = 8,
    ATHI_RNG_SCHEDULER = 9, /* id = trial */
};

/* Multipliers, the steps of the key, rounds. */
#define ATHI_PHILOX_M0 0xD2511F53u
#define ATHI_PHILOX_M1 0xCD9E8D57u
#define ATHI_PHILOX_W0 0x9E3779B9u
#define ATHI_PHILOX_W1 0xBB67AE85u
enum { ATHI_PHILOX_ROUNDS = 10 };

static inline void athi_philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)ATHI_PHILOX_M0 * c[0], p1 = (uint64_t)ATHI_PHILOX_M1 * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p0;
}

/** Four random words: key = seed, counter = (index, purpose). */
static inline void athi_philox(uint64_t seed, uint64_t purpose, uint64_t index, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    out[0] = (uint32_t)index, out[1] = (uint32_t)(index >> 32);
    out[2] = (uint32_t)purpose, out[3] = (uint32_t)(purpose >> 32);
    for (int i = 0; i < ATHI_PHILOX_ROUNDS; i++) {
        athi_philox_round(out, k0, k1);
        k0 += ATHI_PHILOX_W0, k1 += ATHI_PHILOX_W1;
    }
}

/** A sequential reader over one (seed, purpose): numbers are drawn by index, so its whole state is `next`. */
typedef struct athi_rng {
    uint64_t seed, purpose, next; /* next: number of 32-bit words drawn */
    uint64_t block;               /* which block `words` holds, + 1; 0: none */
    uint32_t words[4];
} athi_rng;

static inline athi_rng athi_rng_at(uint64_t seed, uint64_t purpose) {
    athi_rng r = {seed, purpose, 0, 0, {0}};
    return r;
}
static inline uint32_t athi_rng_u32(athi_rng *r) {
    uint64_t block = r->next / 4;
    if (r->block != block + 1) {
        athi_philox(r->seed, r->purpose, block, r->words);
        r->block = block + 1;
    }
    return r->words[r->next++ % 4];
}
static inline uint64_t athi_rng_u64(athi_rng *r) {
    uint64_t high = athi_rng_u32(r);
    return high << 32 | athi_rng_u32(r);
}
/** Uniform in [0, 1), 53 bits. */
static inline double athi_rng_uniform(athi_rng *r) { return (double)(athi_rng_u64(r) >> 11) * 0x1p-53; }
/** Uniform integer in [0, n), unbiased (Lemire 2019, with rejection). n >= 1. */
uint64_t athi_rng_below(athi_rng *r, uint64_t n);
/** Standard normal by inversion-free Box-Muller; draws two words a call. */
double athi_rng_normal(athi_rng *r);

/** A seed for a part of something that has a seed: trial, execution, retraining, … */
static inline uint64_t athi_seed_derive(uint64_t seed, uint64_t a, uint64_t b) {
    uint32_t w[4];
    athi_philox(seed, ATHI_PURPOSE(ATHI_RNG_SEED, a), b, w);
    return (uint64_t)w[0] << 32 | w[1];
}

#endif
