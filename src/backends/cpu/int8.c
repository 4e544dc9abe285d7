/* Sums of products of bytes: convolutions and dense layers of int8 models, and what stands around them. Compiled once
 * for AVX-512 with VNNI, AVX2 and the baseline; all give the same bits, and the reference's (meson.build turns
 * contraction off, so multiplications and additions round one by one).
 *
 *   image [H, W, C] ─ pad ─> bytes [rows, row_bytes]      a window is kernel_h runs of kernel_w C contiguous bytes
 *   weights [kh, kw, C, F] ─ pack ─> panels of LANES filters, [run][step][LANES][4]
 *   tile: PIXELS windows x VECTORS panels, 4 bytes of each a step
 *
 * VNNI multiplies unsigned by signed bytes, so pixels are stored with 128 added, and sums begin at -128 times the sum
 * of their filter's weights. On AVX2 pairs of products are added in 16 bits, where two of 127 * 127 fit (oneDNN halves
 * the weights there instead); the signs of pixels go to the weights first. */
#include "backends/cpu/int8.h"
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum { LANES = VW, PIXELS = 8, VECTORS = 4, STEP = 4 /* bytes of a sum that one instruction takes */ };

/* ---- one step: sum[i] += a . w[i] over four bytes ------------------------------------------------- */

#if VW == 16
enum { OFFSET = 128 };
typedef __m512i bytes;
ATHI_INLINE bytes load(const int8_t *p) { return _mm512_loadu_si512(p); }
ATHI_INLINE bytes spread(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}
ATHI_INLINE vi dot(vi sum, bytes a, bytes w) { return (vi)_mm512_dpbusd_epi32((__m512i)sum, a, w); }
#elif VW == 8
enum { OFFSET = 0 };
typedef __m256i bytes;
ATHI_INLINE bytes load(const int8_t *p) { return _mm256_loadu_si256((const void *)p); }
ATHI_INLINE bytes spread(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}
ATHI_INLINE vi dot(vi sum, bytes a, bytes w) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(w, a));
    return (vi)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
enum { OFFSET = 0 };
typedef struct bytes {
    int8_t b[LANES * STEP];
} bytes;
ATHI_INLINE bytes load(const int8_t *p) {
    bytes v;
    memcpy(&v, p, sizeof v);
    return v;
}
ATHI_INLINE bytes spread(const uint8_t *p) {
    bytes v;
    for (int i = 0; i < LANES; i++) memcpy(v.b + i * STEP, p, STEP);
    return v;
}
ATHI_INLINE vi dot(vi sum, bytes a, bytes w) {
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < STEP; k++) sum[i] += a.b[i * STEP + k] * w.b[i * STEP + k];
    return sum;
}
#endif

/* ---- sizes --------------------------------------------------------------------------------------- */

/* How windows lie in a padded image, and weights in panels. */
typedef struct layout {
    int64_t runs, run_bytes, steps;          /* of a window; run_bytes <= steps * STEP */
    int64_t rows, columns, row_bytes, bytes; /* of a padded image */
    int64_t panels, panel_bytes;
} layout;

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* A dilated window's columns are no contiguous run: each of its cells is one. */
static layout layout_of(const athi_int8 *c) {
    const bool whole = c->dilation_w == 1;
    layout l = {.runs = c->kernel_h * (whole ? 1 : c->kernel_w), .run_bytes = (whole ? c->kernel_w : 1) * c->C};
    l.steps = (l.run_bytes + STEP - 1) / STEP;
    l.rows = (c->out_h - 1) * c->stride_h + (c->kernel_h - 1) * c->dilation_h + 1;
    l.columns = (c->out_w - 1) * c->stride_w + (c->kernel_w - 1) * c->dilation_w + 1;
    l.row_bytes = l.columns * c->C;
    l.bytes = round_up(l.rows * l.row_bytes + STEP, 64); /* the last step may look beyond the end */
    l.panels = (c->F + LANES - 1) / LANES;
    l.panel_bytes = l.runs * l.steps * LANES * STEP;
    return l;
}

static int64_t packed_bytes(const athi_int8 *c) {
    const layout l = layout_of(c);
    return l.panels * (l.panel_bytes + LANES * (int64_t)sizeof(int32_t));
}

/* Of one thread: a padded image, and what of its result is pooled. */
static int64_t part_bytes(const athi_int8 *c, bool pools) {
    return layout_of(c).bytes + (pools ? round_up(c->out_h * c->out_w * c->F, 64) : 0);
}

static int64_t workspace(int threads, const athi_int8 *c, bool pools) {
    return (c->N > 1 ? threads : 1) * part_bytes(c, pools);
}

/* ---- packing ------------------------------------------------------------------------------------- */

/* Panels, and behind them where the sums of each filter begin. */
static void pack(const athi_int8 *c, const int8_t *w, void *packed) {
    const layout l = layout_of(c);
    int8_t *to = packed;
    int32_t *starts = (int32_t *)(void *)(to + l.panels * l.panel_bytes);
    memset(packed, 0, (size_t)packed_bytes(c));
    for (int64_t run = 0; run < l.runs; run++)
        for (int64_t i = 0; i < l.run_bytes; i++) {
            const int8_t *row = w + (run * l.run_bytes + i) * c->F;
            int8_t *at = to + ((run * l.steps + i / STEP) * LANES) * STEP + i % STEP;
            for (int64_t f = 0; f < c->F; f++) {
                at[f / LANES * l.panel_bytes + f % LANES * STEP] = row[f];
                starts[f] -= OFFSET * row[f];
            }
        }
}

/* One image [H, W, C] with zeros around it, as far as windows reach. */
static void pad(const athi_int8 *c, const layout *l, const int8_t *x, uint8_t *to) {
    const int64_t left = c->pad_left * c->C, within = (ATHI_MIN(c->W, l->columns - c->pad_left)) * c->C;
    memset(to, OFFSET, (size_t)l->bytes);
    for (int64_t h = 0; h < c->H && h + c->pad_top < l->rows; h++) {
        const int8_t *from = x + h * c->W * c->C;
        uint8_t *row = to + (h + c->pad_top) * l->row_bytes + left;
        for (int64_t i = 0; i < within; i++) row[i] = (uint8_t)(from[i] + OFFSET);
    }
}

/* ---- tiles --------------------------------------------------------------------------------------- */

/* sums[pixel][vector][lane] of `pixels` windows that begin at at[], over `vectors` panels. */
ATHI_INLINE void tile(const int pixels, const int vectors, const athi_int8 *c, const layout *l, const uint8_t *image,
                      const int64_t *at, const int8_t *panel, const int32_t *starts, int32_t *sums) {
    vi acc[PIXELS][VECTORS];
    ATHI_UNROLL
    for (int i = 0; i < pixels; i++) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) memcpy(&acc[i][v], starts + v * LANES, sizeof(vi));
    const int64_t across = c->dilation_w == 1 ? 1 : c->kernel_w;
    for (int64_t run = 0; run < l->runs; run++) {
        const uint8_t *x = image + run / across * c->dilation_h * l->row_bytes + run % across * c->dilation_w * c->C;
        for (int64_t s = 0; s < l->steps; s++, panel += LANES * STEP) {
            bytes w[VECTORS];
            ATHI_UNROLL
            for (int v = 0; v < vectors; v++) w[v] = load(panel + v * l->panel_bytes);
            ATHI_UNROLL
            for (int i = 0; i < pixels; i++) {
                const bytes a = spread(x + at[i] + s * STEP);
                ATHI_UNROLL
                for (int v = 0; v < vectors; v++) acc[i][v] = dot(acc[i][v], a, w[v]);
            }
        }
    }
    ATHI_UNROLL
    for (int i = 0; i < pixels; i++) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) memcpy(sums + (i * vectors + v) * LANES, &acc[i][v], sizeof(vi));
}

/* As many windows as registers hold sums: 24 of 32 with AVX-512, 8 of 16 with AVX2. */
enum { WIDE_PIXELS = VW == 16 ? 6 : 2, MIDDLE_PIXELS = VW == 16 ? 8 : 4, NARROW_PIXELS = VW == 16 ? 8 : 4 };
static void tile_4(const athi_int8 *c, const layout *l, const uint8_t *image, const int64_t *at, const int8_t *panel,
                   const int32_t *starts, int32_t *sums) {
    tile(WIDE_PIXELS, 4, c, l, image, at, panel, starts, sums);
}
static void tile_2(const athi_int8 *c, const layout *l, const uint8_t *image, const int64_t *at, const int8_t *panel,
                   const int32_t *starts, int32_t *sums) {
    tile(MIDDLE_PIXELS, 2, c, l, image, at, panel, starts, sums);
}
static void tile_1(const athi_int8 *c, const layout *l, const uint8_t *image, const int64_t *at, const int8_t *panel,
                   const int32_t *starts, int32_t *sums) {
    tile(NARROW_PIXELS, 1, c, l, image, at, panel, starts, sums);
}

/* ---- behind the sums ----------------------------------------------------------------------------- */

/* As athi_quantize: adding 1.5 * 2^23 leaves no place for a fraction, and rounds half to even. */
ATHI_INLINE vi to_bytes(vf x) {
    const vf limited = vlower(vsel(x > -127.0f, x, vset(-127.0f)), vset(127.0f));
    return (vi)(limited + 12582912.0f) - 0x4b400000;
}
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

/* LANES filters from f on, of one pixel: out of sums comes what the call asks for. */
ATHI_INLINE void finish(const athi_int8 *c, const athi_int8_call *k, const int32_t *sums, int64_t pixel, int64_t f) {
    const int64_t n = c->F - f, at = pixel * c->F + f;
    vi sum;
    memcpy(&sum, sums, sizeof sum);
    vf y = __builtin_convertvector(sum, vf);
    if (k->row_scales)
        y = y / (k->row_scales[pixel] * vload_n(k->kernel_scale + f, n));
    else
        y = y * vload_n(k->rates + f, n);
    if (k->bias) y = y + vload_n(k->bias + f, n);
    if (k->relu) y = vsel(y > 0.0f, y, vset(0));
    if (k->y) vstore_n(k->y + at, y, n);
    if (k->q) store_bytes(k->q + at, to_bytes(y * *k->q_scale), n);
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
static void pool_lines(const athi_pool *p, const int8_t *x, int64_t lo, int64_t hi, int8_t *y) {
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
/* ---- whole calls --------------------------------------------------------------------------------- */

typedef struct work {
    const athi_int8 *c;
    const athi_int8_call *k;
    layout l;
} work;

/* Windows lo .. hi of a padded image over panels p .. p + vectors; windows count from `first` in the output. */
ATHI_INLINE void run_panels(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p,
                            int vectors, bool usual) {
    const athi_int8 copy = *w->c, *c = &copy; /* local, so that no store of bytes can change it */
    athi_int8_call call = *w->k;
    const athi_int8_call *k = &call;
    if (usual) call.row_scales = NULL, call.relu = true, call.y = NULL; /* as they are, and known to the compiler */
    const layout *l = &w->l;
    const int8_t *panel = (const int8_t *)k->packed + p * l->panel_bytes;
    const int32_t *starts =
        (const int32_t *)(const void *)((const char *)k->packed + l->panels * l->panel_bytes) + p * LANES;
    const int pixels = vectors == 4 ? WIDE_PIXELS : vectors == 2 ? MIDDLE_PIXELS : NARROW_PIXELS;
    int32_t sums[PIXELS * VECTORS * LANES];
    int64_t at[PIXELS];
    for (int64_t o = lo; o < hi; o += pixels) {
        const int here = (int)ATHI_MIN(pixels, hi - o);
        for (int i = 0; i < pixels; i++) { /* beyond the end the last one again */
            const int64_t window = o + ATHI_MIN(i, here - 1);
            at[i] = window / c->out_w * c->stride_h * l->row_bytes + window % c->out_w * c->stride_w * c->C;
        }
        (vectors == 4 ? tile_4 : vectors == 2 ? tile_2 : tile_1)(c, l, image, at, panel, starts, sums);
        for (int i = 0; i < here; i++)
            for (int v = 0; v < vectors; v++)
                finish(c, k, sums + (i * vectors + v) * LANES, first + o + i, (p + v) * LANES);
    }
}

/* A convolution among convolutions: its bytes are all that is wanted, behind a relu. */
static void run_usual(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p,
                      int vectors) {
    run_panels(w, image, lo, hi, first, p, vectors, true);
}
static void run_any(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p,
                    int vectors) {
    run_panels(w, image, lo, hi, first, p, vectors, false);
}

static void run_windows(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first) {
    const athi_int8_call *k = w->k;
    const bool usual = !k->row_scales && k->relu && !k->y;
    for (int64_t p = 0; p < w->l.panels;) {
        const int64_t left = w->l.panels - p;
        const int vectors = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        (usual ? run_usual : run_any)(w, image, lo, hi, first, p, vectors);
        p += vectors;
    }
}

static void images_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    const athi_int8 *c = w->c;
    const athi_pool *pool = w->k->pool;
    uint8_t *image = (uint8_t *)w->k->workspace + part * part_bytes(c, pool != NULL);
    const int64_t windows = c->out_h * c->out_w;
    for (int64_t i = lo; i < hi; i++) {
        pad(c, &w->l, w->k->x + i * c->H * c->W * c->C, image);
        if (!pool) {
            run_windows(w, image, 0, windows, i * windows);
            continue;
        }
        athi_int8_call one = *w->k; /* its bytes are pooled while they are in the cache */
        one.q = (int8_t *)image + w->l.bytes;
        run_windows(&(work){c, &one, w->l}, image, 0, windows, 0);
        pool_lines(pool, one.q, 0, pool->out_h, w->k->q + i * pool->out_h * pool->out_w * pool->C);
    }
}

static void windows_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    (void)part;
    run_windows(w, w->k->workspace, lo, hi, 0);
}

static void run(int threads, const athi_int8 *c, const athi_int8_call *k) {
    const work w = {c, k, layout_of(c)};
    if (c->N > 1 || k->pool) {
        athi_cpu_for(threads, c->N, 1, 1, images_part, &w);
        return;
    }
    pad(c, &w.l, k->x, k->workspace);
    athi_cpu_for(threads, c->out_h * c->out_w, 16, PIXELS, windows_part, &w);
}

/* ---- around them --------------------------------------------------------------------------------- */

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
static void quantize(int threads, int64_t n, const float *x, float scale, int8_t *q) {
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
static void quantize_rows(int threads, int64_t M, int64_t K, const float *x, int8_t *q, float *scales) {
    athi_cpu_for(threads, M, 1 + 16384 / K, 1, rows_part, &(around){.x = x, .q = q, .scales = scales, .K = K});
}

static void pool_part(const void *body, int64_t lo, int64_t hi, int part) {
    const around *a = body;
    (void)part;
    pool_lines(a->pool, a->bytes, lo, hi, a->q);
}
static void max_pool(int threads, const athi_pool *p, const int8_t *x, int8_t *y) {
    athi_cpu_for(threads, p->N * p->out_h, 1 + 16384 / (p->out_w * p->C), 1, pool_part,
                 &(around){.pool = p, .bytes = x, .q = y});
}

void ATHI_INSTANCE(athi_cpu_fill_int8)(athi_cpu_kernels *k) {
    static const struct athi_int8_kernels kernels = {packed_bytes, workspace,     pack,    run,
                                                     quantize,     quantize_rows, max_pool};
    k->int8 = &kernels;
}
