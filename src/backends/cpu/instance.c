/* One instruction set's column of the kernel table. */
#include "backends/cpu/instance.h"

void ATHI_INSTANCE(athi_cpu_fill)(athi_cpu_kernels *k) {
    k->width = VW;
    ATHI_INSTANCE(athi_cpu_fill_gemm)(k);
}
