/* Which instance of the kernels this processor runs, found once at start by what it has. */
#include "backends/cpu/kernels.h"

#include <xmmintrin.h>
#include <pmmintrin.h>

void athi_cpu_fill_baseline(athi_cpu_kernels *k);
void athi_cpu_fill_avx2(athi_cpu_kernels *k);
void athi_cpu_fill_avx512(athi_cpu_kernels *k);
void athi_cpu_fill_bf16(athi_cpu_kernels *k);
void athi_cpu_fill_int8_baseline(athi_cpu_kernels *k);
void athi_cpu_fill_int8_avx2(athi_cpu_kernels *k);
void athi_cpu_fill_int8_vnni(athi_cpu_kernels *k);

static bool has_baseline(void) { return true; }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static const struct {
    const char *name;
    bool (*runs_here)(void);
    void (*fill)(athi_cpu_kernels *k);
} instances[] = {
    [ATHI_CPU_BASELINE] = {"x86-64", has_baseline, athi_cpu_fill_baseline},
    [ATHI_CPU_AVX2] = {"avx2", has_avx2, athi_cpu_fill_avx2},
    [ATHI_CPU_AVX512] = {"avx512", has_avx512, athi_cpu_fill_avx512},
};

const char *athi_cpu_isa_name(athi_cpu_isa isa) { return instances[isa].name; }

athi_cpu_isa athi_cpu_best_isa(void) {
    int isa = ATHI_CPU_AVX512;
    while (!instances[isa].runs_here()) isa--;
    return (athi_cpu_isa)isa;
}

/* AVX-512 without VNNI (Skylake) multiplies bytes as AVX2 does. */
static void fill_int8(athi_cpu_kernels *k) {
    if (k->isa == ATHI_CPU_AVX512 && __builtin_cpu_supports("avx512vnni")) {
        k->int8_name = "vnni";
        athi_cpu_fill_int8_vnni(k);
    } else if (k->isa >= ATHI_CPU_AVX2) {
        k->int8_name = "avx2";
        athi_cpu_fill_int8_avx2(k);
    } else {
        k->int8_name = "x86-64";
        athi_cpu_fill_int8_baseline(k);
    }
}

void athi_cpu_kernels_init(athi_cpu_kernels *k, athi_cpu_isa highest) {
    athi_cpu_isa best = athi_cpu_best_isa(), isa = highest < best ? highest : best;
    *k = (athi_cpu_kernels){.isa = isa, .name = instances[isa].name};
    instances[isa].fill(k);
    fill_int8(k);
}

bool athi_cpu_kernels_init_bf16(athi_cpu_kernels *k, athi_cpu_isa highest) {
    if (highest < ATHI_CPU_AVX512 || !has_avx512() || !__builtin_cpu_supports("avx512bf16")) return false;
    athi_cpu_kernels_init(k, highest);
    athi_cpu_fill_bf16(k);
    return true;
}

void athi_cpu_flush_denormals(void) {
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
}
