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
void ATHI_INSTANCE(athi_cpu_fill_dropout)(athi_cpu_kernels *k);
void ATHI_INSTANCE(athi_cpu_fill_optimizers)(athi_cpu_kernels *k);

#endif
