/* Sums of products of bytes: convolutions and dense layers of int8 models. Compiled once for AVX-512 with VNNI, AVX2 and
 * the baseline; all give the same bits, and the reference's (meson.build turns contraction off, so multiplications and
 * additions round one by one).
 *
 *   image [H, W, C] ─ pad ─> bytes [rows, row_bytes]      a window is kernel_h runs of kernel_w C contiguous bytes
 *   weights [kh, kw, C, F] ─ pack ─> panels of LANES filters, [run][step][LANES][4]
 *   tile: PIXELS windows x VECTORS panels, 4 bytes of each a step
 *
 * Where the result is max-pooled by 2 x 2, a tile takes whole squares of windows, and only the largest sum of each goes
 * on: scales are positive, so nothing that follows changes which one is the largest.
 *
 * VNNI multiplies unsigned by signed bytes, so pixels are stored with 128 added, and sums begin at -128 times the sum
 * of their filter's weights. On AVX2 pairs of products are added in 16 bits, where two of 127 * 127 fit (oneDNN halves
 * the weights there instead); the signs of pixels go to the weights first. */
#include "backends/cpu/int8_simd.h"

enum { PIXELS = 8, VECTORS = 4, STEP = 4 /* bytes of a sum that one instruction takes */ };

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
static int64_t part_bytes(const athi_int8 *c) {
    return layout_of(c).bytes + (c->pools_bytes ? round_up(c->out_h * c->out_w * c->F, 64) : 0);
}

static int64_t workspace(int threads, const athi_int8 *c) { return (c->N > 1 ? threads : 1) * part_bytes(c); }

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

typedef struct work {
    const athi_int8 *c;
    const athi_int8_call *k;
    layout l;
} work;

/* acc[pixel][vector], the sums of `pixels` windows that begin at at[] over `vectors` panels; or of squares of 4 windows
 * the largest, which move to the front. */
ATHI_INLINE void tile(const int pixels, const int vectors, const int square, const work *w, const uint8_t *image,
                      const int64_t *at, const int8_t *panel, const int32_t *starts, vi acc[PIXELS][VECTORS]) {
    const athi_int8 *c = w->c;
    const int64_t across = c->dilation_w == 1 ? 1 : c->kernel_w, right = across == 1 ? 0 : c->dilation_w * c->C,
                  down = c->dilation_h * w->l.row_bytes - across * right, steps = w->l.steps, next = w->l.panel_bytes;
    const uint8_t *x = image;
    ATHI_UNROLL
    for (int i = 0; i < pixels; i++) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) memcpy(&acc[i][v], starts + v * LANES, sizeof(vi));
    for (int64_t run = 0, cell = 1; run < w->l.runs; run++, cell++) {
        for (int64_t s = 0; s < steps; s++, panel += LANES * STEP) {
            bytes b[VECTORS];
            ATHI_UNROLL
            for (int v = 0; v < vectors; v++) b[v] = load(panel + v * next);
            ATHI_UNROLL
            for (int i = 0; i < pixels; i++) {
                const bytes a = spread(x + at[i] + s * STEP);
                ATHI_UNROLL
                for (int v = 0; v < vectors; v++) acc[i][v] = dot(acc[i][v], a, b[v]);
            }
        }
        x += right;
        if (cell == across) x += down, cell = 0;
    }
    ATHI_UNROLL
    for (int i = 0; i < pixels; i += square) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) {
        vi most = acc[i][v];
        ATHI_UNROLL
        for (int k = 1; k < square; k++) most = larger(most, acc[i + k][v]);
        acc[i / square][v] = most;
    }
}

/* Where the windows of the next n places of the result begin: one each, or a square of them. */
typedef struct cursor {
    int64_t row, column;
} cursor;
ATHI_INLINE void find_windows(const int square, const work *w, cursor *place, int n, int64_t *at) {
    const athi_int8 *c = w->c;
    const int64_t side = square == 1 ? 1 : 2, width = c->out_w / side, right = c->stride_w * c->C,
                  down = c->stride_h * w->l.row_bytes;
    for (int i = 0; i < n; i++, at += square) {
        at[0] = place->row * side * down + place->column * side * right;
        if (square > 1) at[1] = at[0] + right, at[2] = at[0] + down, at[3] = at[2] + right;
        if (++place->column == width) place->column = 0, place->row++;
    }
}

/* Places lo .. hi of a padded image's result over panels from p on; places count from `first` in the output. `usual`: a
 * convolution among convolutions, whose bytes are all that is wanted, behind a relu, in whole vectors. */
ATHI_INLINE void run_tiles(const int pixels, const int vectors, const int square, const bool usual, const work *from,
                           const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p) {
    const athi_int8 c = *from->c; /* local, so that no store of bytes can change it */
    athi_int8_call k = *from->k;
    if (usual) k.row_scales = NULL, k.relu = true, k.y = NULL; /* as they are, and known to the compiler */
    const work here = {&c, &k, from->l}, *w = &here;
    const int8_t *panel = (const int8_t *)k.packed + p * w->l.panel_bytes;
    const int32_t *starts =
        (const int32_t *)(const void *)((const char *)k.packed + w->l.panels * w->l.panel_bytes) + p * LANES;
    const int places = pixels / square;
    const int64_t width = c.out_w / c.pool;
    cursor place = {lo / width, lo % width};
    for (int64_t o = lo; o < hi; o += places) {
        const int n = (int)ATHI_MIN(places, hi - o);
        int64_t at[PIXELS] = {0}; /* beyond the end: anything */
        vi acc[PIXELS][VECTORS];
        find_windows(square, w, &place, n, at);
        tile(pixels, vectors, square, w, image, at, panel, starts, acc);
        if (usual) {
            ATHI_UNROLL
            for (int i = 0; i < places; i++) {
                if (i == n) break;
                ATHI_UNROLL
                for (int v = 0; v < vectors; v++) finish(&c, &k, acc[i][v], first + o + i, (p + v) * LANES, true);
            }
        } else {
            for (int i = 0; i < n; i++)
                for (int v = 0; v < vectors; v++) finish(&c, &k, acc[i][v], first + o + i, (p + v) * LANES, false);
        }
    }
}

/* As many windows as registers hold sums: 24 of 32 with AVX-512, 8 of 16 with AVX2; a square is 4 windows. */
typedef void tiles_fn(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p);
enum { WIDE_PIXELS = VW == 16 ? 6 : 2, OTHER_PIXELS = VW == 16 ? 8 : 4 };
#define TILES(name, ...)                                                                                             \
    static void name(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first, int64_t p) {        \
        run_tiles(__VA_ARGS__, w, image, lo, hi, first, p);                                                          \
    }
TILES(tiles_4, WIDE_PIXELS, 4, 1, false)
TILES(tiles_2, OTHER_PIXELS, 2, 1, false)
TILES(tiles_1, OTHER_PIXELS, 1, 1, false)
TILES(squares_4, 4, 4, 4, false)
TILES(squares_2, OTHER_PIXELS, 2, 4, false)
TILES(squares_1, OTHER_PIXELS, 1, 4, false)
TILES(usual_tiles_4, WIDE_PIXELS, 4, 1, true)
TILES(usual_tiles_2, OTHER_PIXELS, 2, 1, true)
TILES(usual_tiles_1, OTHER_PIXELS, 1, 1, true)
TILES(usual_squares_4, 4, 4, 4, true)
TILES(usual_squares_2, OTHER_PIXELS, 2, 4, true)
TILES(usual_squares_1, OTHER_PIXELS, 1, 4, true)

/* ---- whole calls --------------------------------------------------------------------------------- */

/* AVX2 has no registers for squares over 4 panels. */
static void run_places(const work *w, const uint8_t *image, int64_t lo, int64_t hi, int64_t first) {
    static tiles_fn *const fns[2][2][3] = {{{tiles_1, tiles_2, tiles_4}, {squares_1, squares_2, squares_4}},
                                           {{usual_tiles_1, usual_tiles_2, usual_tiles_4},
                                            {usual_squares_1, usual_squares_2, usual_squares_4}}};
    const athi_int8_call *k = w->k;
    const bool usual = !k->row_scales && k->relu && k->bias && !k->y && w->c->F % LANES == 0;
    const int64_t most = w->c->pool == 1 || VW == 16 ? 4 : 2;
    for (int64_t p = 0; p < w->l.panels;) {
        const int64_t left = ATHI_MIN(w->l.panels - p, most), log2 = left >= 4 ? 2 : left >= 2 ? 1 : 0;
        fns[usual][w->c->pool - 1][log2](w, image, lo, hi, first, p);
        p += 1 << log2;
    }
}

static int64_t places_of(const athi_int8 *c) { return (c->out_h / c->pool) * (c->out_w / c->pool); }

static void images_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    const athi_int8 *c = w->c;
    const athi_pool *pool = w->k->pool;
    uint8_t *image = (uint8_t *)w->k->workspace + part * part_bytes(c);
    const int64_t places = places_of(c);
    for (int64_t i = lo; i < hi; i++) {
        pad(c, &w->l, w->k->x + i * c->H * c->W * c->C, image);
        if (!pool) {
            run_places(w, image, 0, places, i * places);
            continue;
        }
        athi_int8_call one = *w->k; /* its bytes are pooled while they are in the cache */
        one.q = (int8_t *)image + w->l.bytes;
        run_places(&(work){c, &one, w->l}, image, 0, places, 0);
        ATHI_INSTANCE(athi_int8_pool_lines)
        (pool, one.q, 0, pool->out_h, w->k->q + i * pool->out_h * pool->out_w * pool->C);
    }
}

static void places_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    (void)part;
    run_places(w, w->k->workspace, lo, hi, 0);
}

static void run(int threads, const athi_int8 *c, const athi_int8_call *k) {
    const work w = {c, k, layout_of(c)};
    if (c->N > 1 || k->pool) {
        athi_cpu_for(threads, c->N, 1, 1, images_part, &w);
        return;
    }
    pad(c, &w.l, k->x, k->workspace);
    athi_cpu_for(threads, places_of(c), 16, PIXELS, places_part, &w);
}

/* ---- the table ----------------------------------------------------------------------------------- */

const struct athi_int8_kernels ATHI_INSTANCE(athi_int8_direct) = {
    packed_bytes,
    workspace,
    pack,
    run,
    ATHI_INSTANCE(athi_int8_quantize),
    ATHI_INSTANCE(athi_int8_quantize_rows),
    ATHI_INSTANCE(athi_int8_max_pool),
};

void ATHI_INSTANCE(athi_cpu_fill_int8)(athi_cpu_kernels *k) {
#if VW > 4
    k->int8 = &ATHI_INSTANCE(athi_int8_either);
#else
    k->int8 = &ATHI_INSTANCE(athi_int8_direct);
#endif
}
