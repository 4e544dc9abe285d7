/* For tests of the CPU kernels: every instance that this processor runs, random data, comparisons that say
 * where two arrays differ. */
#ifndef ATH_KERNELS_TEST_H
#define ATH_KERNELS_TEST_H

#include <math.h>

#include "backends/cpu/kernels.h"
#include "base/philox.h"
#include "test.h"

void athi_cpu_fill_wide(athi_cpu_kernels *k); /* the 16-lane source as AVX2 code */

/* Calls test(k) for each instance. */
static inline void for_each_instance(void (*test)(const athi_cpu_kernels *k)) {
    athi_cpu_kernels k;
    for (int isa = 0; isa <= (int)athi_cpu_best_isa(); isa++) {
        athi_cpu_kernels_init(&k, (athi_cpu_isa)isa);
        assert_int_equal(k.isa, isa);
        test(&k);
    }
    if (athi_cpu_best_isa() < ATHI_CPU_AVX2) return;
    k = (athi_cpu_kernels){.name = "wide", .isa = ATHI_CPU_AVX2};
    athi_cpu_fill_wide(&k);
    test(&k);
}

/* Calls test(k) for the table over bfloat16, if this processor has one. */
static inline void for_bf16(void (*test)(const athi_cpu_kernels *k)) {
    athi_cpu_kernels k;
    if (!athi_cpu_kernels_init_bf16(&k, ATHI_CPU_BEST)) return;
    k.name = "bf16";
    test(&k);
}

/* A sequence of random numbers that a test walks along. */
static athi_rng test_rng = {.seed = 7, .purpose = ATHI_PURPOSE(ATHI_RNG_TEST, 1)};
static inline float random_float(float lo, float hi) {
    return lo + (hi - lo) * ((float)(athi_rng_u32(&test_rng) >> 8) * 0x1p-24f);
}
static inline int64_t random_int(int64_t lo, int64_t hi) {
    return lo + (int64_t)(athi_rng_u32(&test_rng) % (uint64_t)(hi - lo + 1));
}

/* n floats whose address is a multiple of 4 only; guard words around them are checked on freeing. */
enum { GUARD = 37 };
#define GUARD_VALUE 12345.678f
static inline float *floats(int64_t n) {
    float *p = malloc((size_t)(n + 2 * GUARD) * sizeof *p);
    for (int64_t i = 0; i < n + 2 * GUARD; i++) p[i] = GUARD_VALUE;
    return p + GUARD;
}
static inline float *random_floats(int64_t n, float lo, float hi) {
    float *p = floats(n);
    for (int64_t i = 0; i < n; i++) p[i] = random_float(lo, hi);
    return p;
}
static inline void free_floats(float *p, int64_t n) {
    for (int i = 1; i <= GUARD; i++)
        if (p[-i] != GUARD_VALUE || p[n + i - 1] != GUARD_VALUE)
            fail_msg("a kernel wrote outside its array, at element %lld",
                     (long long)(p[-i] != GUARD_VALUE ? -i : n + i - 1));
    free(p - GUARD);
}

/* The n floats of x as the table's kernels take them: x itself, or its copy in bfloat16, to which x is rounded. */
static inline void *stored(const athi_cpu_kernels *k, float *x, int64_t n) {
    if (!k->narrow) return x;
    float *copy = floats((n + 1) / 2);
    k->narrow(1, n, x, copy);
    k->widen(1, n, copy, x);
    return copy;
}
static inline int64_t stored_floats(const athi_cpu_kernels *k, int64_t n) { return k->narrow ? (n + 1) / 2 : n; }
/* Floats again, of a result [n] that is freed. */
static inline float *as_floats(const athi_cpu_kernels *k, float *y, int64_t n) {
    if (!k->narrow) return y;
    float *wide = floats(n);
    k->widen(1, n, y, wide);
    free_floats(y, stored_floats(k, n));
    return wide;
}
static inline void free_stored(const athi_cpu_kernels *k, void *copy, int64_t n) {
    if (k->narrow) free_floats(copy, stored_floats(k, n));
}

/* |got - want| <= tolerance * scale everywhere; NaN equals NaN. */
static inline void assert_close(const char *what, const athi_cpu_kernels *k, const float *got, const float *want,
                                int64_t n, double tolerance, double scale) {
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) && isnan(got[i])) continue;
        if (want[i] == got[i]) continue;
        if (!(fabs((double)got[i] - want[i]) <= tolerance * scale))
            fail_msg("%s (%s): element %lld of %lld: got %.9g, wanted %.9g", what, k->name, (long long)i,
                     (long long)n, got[i], want[i]);
    }
}

#endif
