/* The CPU's own compute kernels: plain functions over float arrays that know nothing of graphs.
 *
 *     athi_cpu_kernels k;
 *     athi_cpu_kernels_init(&k, ATHI_CPU_BEST);
 *     k.sgemm(threads, &(athi_gemm){.M = 128, .N = 64, .K = 784, .a = x, .lda = 784, …}, workspace);
 *
 * The table is filled with the functions of the best instruction set that the processor has. All matrices
 * are row-major; pointers need no alignment beyond that of their type; outputs overlap no inputs unless
 * it is said. `threads` is how many may be used: the work is split so that the bits of the result are the
 * same for every number (but not for every instruction set). Memory that a kernel needs comes from the
 * caller: `…_workspace` says how many bytes. Kernels check nothing: shapes were checked when the graph was
 * built. */
#ifndef ATHI_CPU_KERNELS_H
#define ATHI_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum athi_cpu_isa {
    ATHI_CPU_BASELINE, /* any x86-64 */
    ATHI_CPU_AVX2,     /* AVX2 and FMA */
    ATHI_CPU_AVX512,   /* F, DQ, BW, VL */
    ATHI_CPU_BEST = ATHI_CPU_AVX512,
} athi_cpu_isa;

/** C[M, N] = relu(op(A) op(B) + C + bias) where mask > 0 and else 0; each of C, bias, relu and mask only if
 * asked for. op(A) is [M, K]: A lies as [M, K], or as [K, M] if trans_a; op(B) is [K, N]: B lies as [K, N],
 * or as [N, K] if trans_b. ld…: floats from one row to the next as the matrix lies. */
typedef struct athi_gemm {
    int64_t M, N, K; /* K = 0: a product of zeros */
    bool trans_a, trans_b;
    bool accumulate; /* add to what C holds */
    bool relu;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    const float *bias; /* [N], or NULL */
    const float *mask; /* [M, N]: the gradient passes where this is positive (relu's output); or NULL */
    int64_t ldmask;
} athi_gemm;

typedef struct athi_cpu_kernels {
    athi_cpu_isa isa;
    const char *name; /* "x86-64", "avx2", "avx512" */
    int width;        /* floats in a vector: also the channel block of blocked layouts */

    /* ---- gemm.c ---- */
    int64_t (*sgemm_workspace)(int threads);
    void (*sgemm)(int threads, const athi_gemm *g, void *workspace);
} athi_cpu_kernels;

/** The best instruction set that this processor (and the system) runs. */
athi_cpu_isa athi_cpu_best_isa(void);
/** Fills the table with the best instance that is not above `highest`. */
void athi_cpu_kernels_init(athi_cpu_kernels *k, athi_cpu_isa highest);

/** This thread treats denormal numbers as zero from now on: optimisers slow by 1.7 when moments decay into
 * them. Each thread has its own setting; threads that OpenMP starts later inherit nothing. */
void athi_cpu_flush_denormals(void);

#endif
