/* The one place where kernels meet threads: a static split of [0, n).
 * A kernel gives independent pieces of work, so what a piece computes never depends on who computes it,
 * and the result has the same bits for every number of threads. */
#ifndef ATHI_CPU_PARALLEL_H
#define ATHI_CPU_PARALLEL_H

#include <omp.h>
#include <stdint.h>

/** Work on [lo, hi) as worker `part` (0 <= part < threads; for scratch memory of one's own). */
typedef void athi_cpu_body(const void *work, int64_t lo, int64_t hi, int part);

/* Calls body over [0, n) in at most `threads` pieces; none but the last is smaller than `grain`, and all
 * begin at multiples of `align`. One thread never enters OpenMP. */
static inline void athi_cpu_for(int threads, int64_t n, int64_t grain, int64_t align, athi_cpu_body *body,
                                const void *work) {
    if (n <= 0) return;
    int64_t most = n / (grain > 1 ? grain : 1);
    int pieces = most < threads ? (int)most : threads;
    if (pieces <= 1 || omp_in_parallel()) {
        body(work, 0, n, 0);
        return;
    }
    int64_t units = (n + align - 1) / align;
#pragma omp parallel for schedule(static, 1) num_threads(pieces)
    for (int part = 0; part < pieces; part++) {
        int64_t lo = units * part / pieces * align, hi = units * (part + 1) / pieces * align;
        if (hi > n) hi = n;
        if (lo < hi) body(work, lo, hi, part);
    }
}

#endif
