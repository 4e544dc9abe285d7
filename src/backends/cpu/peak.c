/* The most that this instruction set computes: chains of a = a b + c that depend on nothing but themselves, as many as
 * hide the latency of one (two units of 4 cycles each; 12 fill them on every x86-64 so far). */
#include "backends/cpu/instance.h"

enum { CHAINS = 12 };

/* Over bfloat16 a is the sum: it is what the instruction overwrites. */
ATHI_INLINE vf step(vf a, vf b, vf c) {
#ifdef ATHI_STORE_BF16
    return vadd_products(a, b, c);
#else
    return a * b + c;
#endif
}

static double multiply_add(int64_t rounds, float *out) {
    vf a[CHAINS], b = vset(out[0]), c = vset(out[1]);
    ATHI_UNROLL
    for (int j = 0; j < CHAINS; j++) a[j] = vset((float)j);
    for (int64_t i = 0; i < rounds; i++) {
        ATHI_UNROLL
        for (int j = 0; j < CHAINS; j++) a[j] = step(a[j], b, c);
    }
    vf sum = a[0];
    ATHI_UNROLL
    for (int j = 1; j < CHAINS; j++) sum += a[j];
    out[2] = vsum(sum); /* somebody reads it, so that it is computed */
    return 2.0 * CHAINS * VW * CELL * (double)rounds;
}

void ATHI_INSTANCE(athi_cpu_fill_peak)(athi_cpu_kernels *k) { k->multiply_add = multiply_add; }
