/* What the int8 sources share: floats to bytes in vectors, and the functions that one instruction set's sources call of
 * each other. */
#ifndef ATHI_CPU_INT8_SIMD_H
#define ATHI_CPU_INT8_SIMD_H

#include "backends/cpu/instance.h"
#include "backends/cpu/int8.h"
#include "backends/cpu/parallel.h"

enum { LANES = VW };

/* As athi_quantize: to the nearest, half to even, within -127 .. 127; NaN gives -127. */
#if VW == 16
ATHI_INLINE vi to_bytes(vf x) { /* what is no number stays so in min, and converts to the least integer */
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(127), (__m512)x));
    return (vi)_mm512_max_epi32(rounded, _mm512_set1_epi32(-127));
}
#elif VW == 8
ATHI_INLINE vi to_bytes(vf x) {
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(127), (__m256)x));
    return (vi)_mm256_max_epi32(rounded, _mm256_set1_epi32(-127));
}
#else
ATHI_INLINE vi to_bytes(vf x) { /* adding 1.5 * 2^23 leaves no place for a fraction, and rounds half to even */
    const vf limited = vlower(vsel(x > -127.0f, x, vset(-127.0f)), vset(127.0f));
    return (vi)(limited + 12582912.0f) - 0x4b400000;
}
#endif

ATHI_INLINE void store_bytes(int8_t *to, vi x, int64_t n) {
#if VW == 16
    _mm_mask_storeu_epi8(to, (__mmask16)(n >= LANES ? 0xffff : (1 << n) - 1), _mm512_cvtepi32_epi8((__m512i)x));
#else
    const vb narrow = vnarrow(x & 0xff);
    if (n >= LANES)
        vstoreb((uint8_t *)to, narrow);
    else
        memcpy(to, &narrow, (size_t)n);
#endif
}

#if VW == 16
ATHI_INLINE vi larger(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
#elif VW == 8
ATHI_INLINE vi larger(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
#else
ATHI_INLINE vi larger(vi a, vi b) { return ((a > b) & a) | (~(a > b) & b); }
#endif

/* LANES filters from f on, of one pixel: out of sums comes what the call asks for. */
ATHI_INLINE void finish_sum(const athi_int8 *c, const athi_int8_call *k, vf y, int64_t pixel, int64_t f, bool whole) {
    const int64_t n = whole ? LANES : c->F - f, at = pixel * c->F + f;
    if (k->row_scales)
        y = y / (k->row_scales[pixel] * vload_n(k->kernel_scale + f, n));
    else
        y = y * vload_n(k->rates + f, n);
    if (k->bias) y = y + vload_n(k->bias + f, n);
    if (k->relu) y = vsel(y > 0.0f, y, vset(0));
    if (k->y) vstore_n(k->y + at, y, n);
    if (k->q) store_bytes(k->q + at, to_bytes(y * *k->q_scale), n);
}
ATHI_INLINE void finish(const athi_int8 *c, const athi_int8_call *k, vi sum, int64_t pixel, int64_t f, bool whole) {
    finish_sum(c, k, __builtin_convertvector(sum, vf), pixel, f, whole);
}

/* Winograd's tiles of side x side sums of an image; of those that are pooled only whole squares count. */
ATHI_INLINE void count_tiles(const athi_int8 *c, int side, int64_t *across, int64_t *down) {
    *across = (c->out_w / c->pool * c->pool + side - 1) / side;
    *down = (c->out_h / c->pool * c->pool + side - 1) / side;
}

/* Where the sums of tile `tile` of all images go, pooled if they are: rows x columns pixels from `first` on, lines `width`
 * apart. */
typedef struct outputs {
    int64_t first, width, rows, columns;
} outputs;
ATHI_INLINE outputs outputs_of(const athi_int8 *c, int side, int64_t across, int64_t tiles, int64_t tile) {
    const int64_t image = tile / tiles, place = tile % tiles, height = c->out_h / c->pool, width = c->out_w / c->pool;
    const int64_t step = side / c->pool, top = place / across * step, left = place % across * step;
    return (outputs){(image * height + top) * width + left, width, ATHI_MIN(step, height - top),
                     ATHI_MIN(step, width - left)};
}

/* Is it a convolution by 3 x 3 over whole vectors of channels, and do its tiles take fewer multiplications than int8.c's way?
 * price: what one of `positions` a tile costs in those of int8.c, transforms included. */
ATHI_INLINE bool winograd_pays(const athi_int8 *c, int side, int positions, int channels, double price) {
    int64_t across, down;
    if (c->kernel_h != 3 || c->kernel_w != 3 || c->stride_h != 1 || c->stride_w != 1 || c->dilation_h != 1 ||
        c->dilation_w != 1 || c->C % channels != 0 || c->pools_bytes)
        return false;
    count_tiles(c, side, &across, &down);
    const int64_t windows = (c->out_h / c->pool) * (c->out_w / c->pool) * c->pool * c->pool;
    return (double)(across * down * positions) * price <= (double)(windows * 9);
}

/* A faster way to do some convolutions; `pack` may find that it cannot be gone with these weights. */
typedef struct athi_int8_way {
    bool (*fits)(const athi_int8 *c);
    int64_t (*packed_bytes)(const athi_int8 *c);
    int64_t (*workspace)(int threads, const athi_int8 *c);
    bool (*pack)(const athi_int8 *c, const int8_t *w, void *packed);
    void (*run)(int threads, const athi_int8 *c, const athi_int8_call *k);
} athi_int8_way;

/* int8_winograd.c for AVX2, int8_taps.c for VNNI */
extern const athi_int8_way ATHI_INSTANCE(athi_int8_winograd);
/* int8.c; and int8_either.c: that or Winograd's way */
extern const struct athi_int8_kernels ATHI_INSTANCE(athi_int8_direct), ATHI_INSTANCE(athi_int8_either);

/* int8_bytes.c */
void ATHI_INSTANCE(athi_int8_pool_lines)(const athi_pool *p, const int8_t *x, int64_t lo, int64_t hi, int8_t *y);
void ATHI_INSTANCE(athi_int8_quantize)(int threads, int64_t n, const float *x, float scale, int8_t *q);
void ATHI_INSTANCE(athi_int8_quantize_rows)(int threads, int64_t M, int64_t K, const float *x, int8_t *q,
                                            float *scales);
void ATHI_INSTANCE(athi_int8_max_pool)(int threads, const athi_pool *p, const int8_t *x, int8_t *y);

#endif
