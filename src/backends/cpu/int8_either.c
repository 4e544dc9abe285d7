/* Sums of products of bytes directly (int8.c), or by the instruction set's way through Winograd where that fits. */
#include "backends/cpu/int8_simd.h"

/* In front of packed weights: which way they are packed for. */
enum { HEADER = 64, DIRECT = 0, WINOGRAD = 1 };
#define direct   ATHI_INSTANCE(athi_int8_direct)
#define winograd ATHI_INSTANCE(athi_int8_winograd)

static int64_t packed_bytes(const athi_int8 *c) {
    return HEADER + ATHI_MAX(direct.packed_bytes(c), winograd.fits(c) ? winograd.packed_bytes(c) : 0);
}

static int64_t workspace(int threads, const athi_int8 *c) {
    return ATHI_MAX(direct.workspace(threads, c), winograd.fits(c) ? winograd.workspace(threads, c) : 0);
}

static void pack(const athi_int8 *c, const int8_t *w, void *packed) {
    char *way = packed;
    *way = winograd.fits(c) && winograd.pack(c, w, way + HEADER) ? WINOGRAD : DIRECT;
    if (*way == DIRECT) direct.pack(c, w, way + HEADER);
}

static void run(int threads, const athi_int8 *c, const athi_int8_call *call) {
    const char *way = call->packed;
    athi_int8_call k = *call;
    k.packed = way + HEADER;
    (*way == WINOGRAD ? winograd.run : direct.run)(threads, c, &k);
}

const struct athi_int8_kernels ATHI_INSTANCE(athi_int8_either) = {
    packed_bytes,
    workspace,
    pack,
    run,
    ATHI_INSTANCE(athi_int8_quantize),
    ATHI_INSTANCE(athi_int8_quantize_rows),
    ATHI_INSTANCE(athi_int8_max_pool),
};
