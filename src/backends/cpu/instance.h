/* What the sources of one instance share: the table that they fill, family by family. */
#ifndef ATHI_CPU_INSTANCE_H
#define ATHI_CPU_INSTANCE_H

#include "backends/cpu/kernels.h"
#include "backends/cpu/simd.h"
#include "base/base.h"

void ATHI_INSTANCE(athi_cpu_fill)(athi_cpu_kernels *k); /* all of the families below */
void ATHI_INSTANCE(athi_cpu_fill_gemm)(athi_cpu_kernels *k);

#endif
