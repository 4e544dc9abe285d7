/* One instruction set's column of the kernel table. */
#include "backends/cpu/instance.h"

void ATHI_INSTANCE(athi_cpu_fill)(athi_cpu_kernels *k) {
    k->width = VW;
    ATHI_INSTANCE(athi_cpu_fill_gemm)(k);
    ATHI_INSTANCE(athi_cpu_fill_gather)(k);
    ATHI_INSTANCE(athi_cpu_fill_elementwise)(k);
    ATHI_INSTANCE(athi_cpu_fill_reduce)(k);
    ATHI_INSTANCE(athi_cpu_fill_softmax)(k);
    ATHI_INSTANCE(athi_cpu_fill_pool)(k);
    ATHI_INSTANCE(athi_cpu_fill_conv1)(k);
    ATHI_INSTANCE(athi_cpu_fill_winograd)(k);
    ATHI_INSTANCE(athi_cpu_fill_norm)(k);
    ATHI_INSTANCE(athi_cpu_fill_dropout)(k);
    ATHI_INSTANCE(athi_cpu_fill_peak)(k);
    ATHI_INSTANCE(athi_cpu_fill_optimizers)(k);
}
