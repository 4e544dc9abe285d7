/* What the sources of one instance share: the table that they fill, family by family. */
#ifndef ATHI_CPU_INSTANCE_H
#define ATHI_CPU_INSTANCE_H

#include "backends/cpu/kernels.h"
#include "backends/cpu/simd.h"
#include "base/base.h"

void ATHI_INSTANCE(athi_cpu_fill)(athi_cpu_kernels *k); /* all of the families below */
void ATHI_INSTANCE(athi_cpu_fill_gemm)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_gather)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_elementwise)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_reduce)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_softmax)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_pool)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_conv1)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_winograd)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_norm)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_dropout)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_peak)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_optimizers)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_int8)(athi_cpu_kernels *k); /* in instances of its own */

/* The matrix product for kernels that are made of products; over bfloat16 an athi_gemm counts K and strides in cells
 * of two values (simd.h), and C is float. What is multiplied from the right is wanted in panels:
 * column j of B [K, N] is column j % ATHI_GEMM_PANEL of panel j / ATHI_GEMM_PANEL, which is [K][ATHI_GEMM_PANEL] and
 * zero beyond N. */
enum { ATHI_GEMM_PANEL = 2 * VW };
void ATHI_INSTANCE(athi_cpu_sgemm)(int threads, const athi_gemm *g, void *workspace);
/* A panel of the first n <= ATHI_GEMM_PANEL columns of B, row-major [kc, ldb]: a copy of rows. */
void ATHI_INSTANCE(athi_cpu_pack_rows)(const float *b, int64_t ldb, int64_t kc, int n, float *to);
/* The same for B given as its transpose, row-major [n, ldb]: a transposing copy. */
void ATHI_INSTANCE(athi_cpu_pack_columns)(const float *b, int64_t ldb, int64_t kc, int n, float *to);

#endif
