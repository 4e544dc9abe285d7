/* What the programs of the kernel lab share: clocks, medians, and the FMA peak that a figure is a share of. */
#ifndef ATH_LAB_H
#define ATH_LAB_H

#include "backends/cpu/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double lab_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline double lab_cpu(void) { return lab_clock(CLOCK_THREAD_CPUTIME_ID); } /* of this thread */
static inline double lab_wall(void) { return lab_clock(CLOCK_MONOTONIC); }

/* The peak: independent chains of a = a * b + c, as many as hide the latency; empty asm keeps them apart. */
enum { LAB_CHAINS = 12, LAB_STEPS = 200000 };
#define LAB_FMA_CHAINS(name, isa, bytes)                                                                             \
    __attribute__((target(isa))) static inline double name(void) {                                                   \
        typedef float vector __attribute__((vector_size(bytes)));                                                    \
        vector a[LAB_CHAINS] = {0}, b = {0.5f}, c = {1};                                                             \
        double start = lab_cpu();                                                                                    \
        for (int i = 0; i < LAB_STEPS; i++)                                                                          \
            _Pragma("GCC unroll 12") for (int j = 0; j < LAB_CHAINS;                                                 \
                                          j++) __asm__ volatile("vfmadd213ps %2, %1, %0" : "+v"(a[j]) : "v"(b),      \
                                                                "v"(c));                                             \
        return 2.0 * LAB_CHAINS * LAB_STEPS * (bytes / 4) / (lab_cpu() - start);                                     \
    }
LAB_FMA_CHAINS(lab_peak_avx2, "avx2,fma", 32)
LAB_FMA_CHAINS(lab_peak_avx512, "avx512f", 64)
static inline double lab_peak_flops(athi_cpu_isa isa) {
    return isa == ATHI_CPU_AVX512 ? lab_peak_avx512() : lab_peak_avx2();
}

static inline int lab_ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static inline double lab_median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, lab_ascending);
    return values[n / 2];
}

#endif
