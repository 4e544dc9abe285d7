/* What stands around the products of int8 models: floats to bytes, and pooling of bytes. Compiled like int8.c. */
#include "backends/cpu/int8_simd.h"

/* ---- floats to bytes ------------------------------------------------------------------------------ */

static void quantize_some(int64_t n, const float *x, float scale, int8_t *q) {
    for (int64_t i = 0; i < n; i += LANES) store_bytes(q + i, to_bytes(vload_n(x + i, n - i) * scale), n - i);
}

/* What the parts of a call below share. */
typedef struct around {
    const float *x;
    int8_t *q;
    float scale, *scales;
    int64_t K;
    const athi_pool *pool;
    const int8_t *bytes;
} around;

static void quantize_part(const void *body, int64_t lo, int64_t hi, int part) {
    const around *a = body;
    (void)part;
    quantize_some(hi - lo, a->x + lo, a->scale, a->q + lo);
}
void ATHI_INSTANCE(athi_int8_quantize)(int threads, int64_t n, const float *x, float scale, int8_t *q) {
    athi_cpu_for(threads, n, 16384, 64, quantize_part, &(around){.x = x, .scale = scale, .q = q});
}

/* x [M, K]: each row by its own largest magnitude, as graph/quantize.h has it. */
static void rows_part(const void *body, int64_t lo, int64_t hi, int part) {
    const around *a = body;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *row = a->x + i * a->K;
        vf most = {0};
        for (int64_t k = 0; k < a->K; k += VW) most = vraise(vabs(vload_n(row + k, a->K - k)), most);
        a->scales[i] = athi_quantize_scale(vmax_lane(most));
        quantize_some(a->K, row, a->scales[i], a->q + i * a->K);
    }
}
void ATHI_INSTANCE(athi_int8_quantize_rows)(int threads, int64_t M, int64_t K, const float *x, int8_t *q,
                                            float *scales) {
    athi_cpu_for(threads, M, 1 + 16384 / K, 1, rows_part, &(around){.x = x, .q = q, .scales = scales, .K = K});
}

static void pool_part(const void *body, int64_t lo, int64_t hi, int part) {
    const around *a = body;
    (void)part;
    ATHI_INSTANCE(athi_int8_pool_lines)(a->pool, a->bytes, lo, hi, a->q);
}
void ATHI_INSTANCE(athi_int8_max_pool)(int threads, const athi_pool *p, const int8_t *x, int8_t *y) {
    athi_cpu_for(threads, p->N * p->out_h, 1 + 16384 / (p->out_w * p->C), 1, pool_part,
                 &(around){.pool = p, .bytes = x, .q = y});
}

/* ---- pooling of bytes ----------------------------------------------------------------------------- */

/* to = the larger of both, C bytes */
ATHI_INLINE void take_larger(int64_t C, const int8_t *from, int8_t *to) {
    int64_t c = 0;
#if VW >= 8
    for (; c + 32 <= C; c += 32) {
        const __m256i a = _mm256_loadu_si256((const void *)(from + c)),
                      b = _mm256_loadu_si256((const void *)(to + c));
        _mm256_storeu_si256((void *)(to + c), _mm256_max_epi8(a, b));
    }
#endif
    for (; c < C; c++) to[c] = from[c] > to[c] ? from[c] : to[c];
}

/* Windows that reach beyond the image take what lies inside. */
void ATHI_INSTANCE(athi_int8_pool_lines)(const athi_pool *p, const int8_t *x, int64_t lo, int64_t hi, int8_t *y) {
    for (int64_t line = lo; line < hi; line++) {
        const int64_t image = line / p->out_h, top = line % p->out_h * p->stride_h - p->pad_top;
        const int64_t h0 = ATHI_MAX(top, 0), h1 = ATHI_MIN(top + p->kernel_h, p->H);
        for (int64_t q = 0; q < p->out_w; q++) {
            const int64_t left = q * p->stride_w - p->pad_left, w0 = ATHI_MAX(left, 0),
                          w1 = ATHI_MIN(left + p->kernel_w, p->W);
            int8_t *to = y + (line * p->out_w + q) * p->C;
            const int8_t *first = x + ((image * p->H + h0) * p->W + w0) * p->C;
            memcpy(to, first, (size_t)p->C);
            for (int64_t h = 0; h < h1 - h0; h++)
                for (int64_t w = h == 0; w < w1 - w0; w++) take_larger(p->C, first + (h * p->W + w) * p->C, to);
        }
    }
}
