/* Vectors of a width that the build chooses. Every kernel source is compiled once per instruction set with
 * ATHI_SIMD_WIDTH (lanes of float) and ATHI_SIMD_SUFFIX (a name) set by meson.build, and is written once
 * in the compiler's vector extensions: `vf` is a vector of floats, `vi` of 32-bit integers.
 * Comparisons of vf give a vi of all ones or all zeros per lane, which `vsel` takes. */
#ifndef ATHI_CPU_SIMD_H
#define ATHI_CPU_SIMD_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define VW ATHI_SIMD_WIDTH

#define ATHI_PASTE_(a, b)   a##_##b
#define ATHI_PASTE(a, b)    ATHI_PASTE_(a, b)
#define ATHI_INSTANCE(name) ATHI_PASTE(name, ATHI_SIMD_SUFFIX) /* name_avx2, name_avx512, … */

#define ATHI_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define ATHI_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATHI_UNROLL _Pragma("GCC unroll 64")
#endif

typedef float vf __attribute__((vector_size(4 * VW)));
typedef int32_t vi __attribute__((vector_size(4 * VW)));
typedef uint8_t vb __attribute__((vector_size(VW)));
typedef float vf_memory __attribute__((vector_size(4 * VW), aligned(4), may_alias));
typedef uint8_t vb_memory __attribute__((vector_size(VW), aligned(1), may_alias));

/* One number in every lane; x - 0 keeps -0, x + 0 would not. */
ATHI_INLINE vf vset(float x) { return x - (vf){0}; }
ATHI_INLINE vi vseti(int32_t x) { return x - (vi){0}; }

/* Loads and stores need no alignment. */
ATHI_INLINE vf vload(const float *p) { return *(const vf_memory *)p; }
ATHI_INLINE void vstore(float *p, vf x) { *(vf_memory *)p = x; }
ATHI_INLINE vb vloadb(const uint8_t *p) { return *(const vb_memory *)p; }
ATHI_INLINE void vstoreb(uint8_t *p, vb x) { *(vb_memory *)p = x; }

/* Bytes to integers and back (of 0 .. 255). gcc 12 takes the general form apart into scalars, at four times the cost. */
#if VW == 16 && defined(__AVX512F__)
ATHI_INLINE vi vwiden(vb x) { return (vi)_mm512_cvtepu8_epi32((__m128i)x); }
ATHI_INLINE vb vnarrow(vi x) { return (vb)_mm512_cvtepi32_epi8((__m512i)x); }
#elif VW == 8 && defined(__AVX2__)
ATHI_INLINE vi vwiden(vb x) {
    int64_t bytes;
    memcpy(&bytes, &x, sizeof bytes);
    return (vi)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes));
}
ATHI_INLINE vb vnarrow(vi x) {
    __m256i all = (__m256i)x;
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    vb narrow;
    memcpy(&narrow, &bytes, sizeof narrow);
    return narrow;
}
#else
ATHI_INLINE vi vwiden(vb x) { return __builtin_convertvector(x, vi); }
ATHI_INLINE vb vnarrow(vi x) { return __builtin_convertvector(x, vb); }
#endif

/* The first n < VW lanes; the others are zero, or are not written. Nothing beyond is touched in memory. */
#if VW == 16 && defined(__AVX512F__)
ATHI_INLINE vf vload_part(const float *p, int64_t n) {
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
ATHI_INLINE void vstore_part(float *p, vf x, int64_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
}
#elif VW == 8 && defined(__AVX2__)
ATHI_INLINE __m256i vfirst(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ATHI_INLINE vf vload_part(const float *p, int64_t n) { return (vf)_mm256_maskload_ps(p, vfirst(n)); }
ATHI_INLINE void vstore_part(float *p, vf x, int64_t n) { _mm256_maskstore_ps(p, vfirst(n), (__m256)x); }
#else
ATHI_INLINE vf vload_part(const float *p, int64_t n) {
    vf x = {0};
    memcpy(&x, p, (size_t)n * sizeof(float));
    return x;
}
ATHI_INLINE void vstore_part(float *p, vf x, int64_t n) { memcpy(p, &x, (size_t)n * sizeof(float)); }
#endif

/* The first n of 1 .. VW lanes, where the end of an array may come first. */
ATHI_INLINE vf vload_n(const float *p, int64_t n) { return n >= VW ? vload(p) : vload_part(p, n); }
ATHI_INLINE void vstore_n(float *p, vf x, int64_t n) {
    if (n >= VW)
        vstore(p, x);
    else
        vstore_part(p, x, n);
}

/* What activations, weights and their gradients are stored as: floats, or in the instance for bfloat16 the upper halves
 * of floats, rounded to the nearest (half to even; denormals are zero). Arithmetic is on floats either way. */
#ifdef ATHI_STORE_BF16
typedef uint16_t stored;
enum { CELL = 2 }; /* values in a cell */
ATHI_INLINE vf sload(const stored *p) {
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)p)), 16);
}
ATHI_INLINE void sstore(stored *p, vf x) {
    _mm256_storeu_si256((__m256i_u *)p, (__m256i)_mm512_cvtneps_pbh((__m512)x));
}
ATHI_INLINE vf sload_part(const stored *p, int64_t n) {
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)), 16);
}
ATHI_INLINE void sstore_part(stored *p, vf x, int64_t n) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh((__m512)x));
}
#else
typedef float stored;
enum { CELL = 1 };
ATHI_INLINE vf sload(const stored *p) { return vload(p); }
ATHI_INLINE void sstore(stored *p, vf x) { vstore(p, x); }
ATHI_INLINE vf sload_part(const stored *p, int64_t n) { return vload_part(p, n); }
ATHI_INLINE void sstore_part(stored *p, vf x, int64_t n) { vstore_part(p, x, n); }
#endif

/* Products are made of cells of 32 bits: a float, or two values of bfloat16 that follow each other in a sum. A cell is
 * only moved, never computed with, and its type is float. */
#ifdef ATHI_STORE_BF16
ATHI_INLINE vf vset_cell(const float *cell) {
    int32_t pair;
    memcpy(&pair, cell, sizeof pair);
    return (vf)vseti(pair);
}
/* sum + a b of all values of the cells */
ATHI_INLINE vf vadd_products(vf sum, vf a, vf b) {
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
/* Value number `which` of each cell; the first is stored first, with zeros in the place of the others. */
ATHI_INLINE void vstore_cells(float *cells, int64_t which, vf x) {
    const __m512i bits = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)x));
    if (which)
        _mm512_mask_storeu_epi16(cells, 0xAAAAAAAAu, _mm512_slli_epi32(bits, 16));
    else
        _mm512_storeu_si512(cells, bits);
}
#else
ATHI_INLINE vf vset_cell(const float *cell) { return vset(*cell); }
ATHI_INLINE vf vadd_products(vf sum, vf a, vf b) { return sum + a * b; }
ATHI_INLINE void vstore_cells(float *cells, int64_t which, vf x) {
    (void)which;
    vstore(cells, x);
}
#endif
ATHI_INLINE vf sload_n(const stored *p, int64_t n) { return n >= VW ? sload(p) : sload_part(p, n); }
ATHI_INLINE void sstore_n(stored *p, vf x, int64_t n) {
    if (n >= VW)
        sstore(p, x);
    else
        sstore_part(p, x, n);
}

ATHI_INLINE vf vsel(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
/* x, but not below (above) the limit, a vector or a number; a NaN in x stays. */
#define VSPLAT(limit)  ((limit) - (vf){0})
#define vmax(x, limit) vraise(x, VSPLAT(limit))
#define vmin(x, limit) vlower(x, VSPLAT(limit))
ATHI_INLINE vf vraise(vf x, vf limit) { return vsel(x < limit, limit, x); }
ATHI_INLINE vf vlower(vf x, vf limit) { return vsel(x > limit, limit, x); }
ATHI_INLINE vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }
ATHI_INLINE vf vsign_of(vf magnitude, vf sign) {
    return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & (vi)vset(-0.0f)));
}

#if VW == 16 && defined(__AVX512F__)
ATHI_INLINE vf vsqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif VW == 8 && defined(__AVX2__)
ATHI_INLINE vf vsqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#else
ATHI_INLINE vf vsqrt(vf x) { /* in fours, which every x86-64 has */
    __m128 quarter[VW / 4];
    memcpy(quarter, &x, sizeof x);
    ATHI_UNROLL
    for (int i = 0; i < VW / 4; i++) quarter[i] = _mm_sqrt_ps(quarter[i]);
    memcpy(&x, quarter, sizeof x);
    return x;
}
#endif

/* Over the lanes, in a fixed order. */
ATHI_INLINE float vsum(vf x) {
    float lane[VW];
    memcpy(lane, &x, sizeof lane);
    ATHI_UNROLL
    for (int half = VW / 2; half; half /= 2) ATHI_UNROLL
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
ATHI_INLINE float vmax_lane(vf x) {
    float best = x[0];
    ATHI_UNROLL
    for (int i = 1; i < VW; i++) best = x[i] > best ? x[i] : best;
    return best;
}

#endif
