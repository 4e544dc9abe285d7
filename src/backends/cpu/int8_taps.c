/* Convolutions of bytes by 3 x 3 through Winograd's F(4 x 4, 3 x 3) with taps rounded to bytes, for VNNI: 36 multiplications
 * a tile of 16 sums where the direct way needs 144.
 *
 *     Y = A' [ (G g G') * (B' d B) ] A       d 6 x 6 bytes, g 3 x 3 weights, Y 4 x 4 sums (Lavin, Gray 2016, section 4.3)
 *
 * A transformed input is no byte any more, nor is a weight: both are rounded once more, the inputs' taps under a scale for
 * each tile and position, the weights' under one for each filter and position, which follow from the largest magnitudes
 * that are there. So a sample's result depends on nothing else of its batch. How far off it is depends on the points of the
 * transform: with 0, +-1, +-2 and infinity 10 % of its root mean square, with 0, +-1/sqrt(2), +-sqrt(2) and infinity (Alam,
 * Anderson, Barabasz, Gregg 2022, "Winograd convolution for deep neural networks: efficient point selection") 4 to 5 %, where
 * rounding inputs and weights to bytes has made 1.3 % in the first place; docs/design/precision.md has what nets make of it.
 * Products of bytes are summed exactly; scales and A are applied in float32. */
#include "backends/cpu/int8_simd.h"

enum {
    TILE_OUT = 4,
    TILE_IN = 6,
    POSITIONS = TILE_IN * TILE_IN,
    SCALES = (POSITIONS + LANES - 1) / LANES * LANES,
    STEP = 4 /* bytes of a sum that one instruction takes */
};
enum { CHANNELS = 2 * VW };                                              /* of a vector of 16-bit integers */
enum { TILES = 48, PIXELS = 6, VECTORS = 4, FILTERS = VECTORS * LANES }; /* multiplied at a time */
/* From one position to the next: a line more than is needed, else they compete for the same sets of the cache. */
enum { LINE = 64, M_STRIDE = TILES * FILTERS + LINE / 4 };
enum {
    OFFSET = 128,     /* makes a tap's byte unsigned */
    FRACTION = 3,     /* bits of an input's tap; it lies in 26.3 * 127 */
    ROOT_HALF = 23170 /* sqrt(1/2) in 2^15ths */
};

typedef int16_t vs __attribute__((vector_size(4 * VW)));

typedef struct work {
    const athi_int8 *c;
    const athi_int8_call *k;
    int64_t across, tiles; /* of an image */
} work;

/* What one part of the threads works in. */
typedef struct part {
    vs *taps;                 /* of a tile: [C / CHANNELS][POSITIONS] */
    float (*inverse)[SCALES]; /* of each tile's scales */
    uint8_t *v;               /* taps as bytes [position][TILES][C] with OFFSET added, positions v_stride apart */
    int32_t *m;               /* products [position][TILES][FILTERS], positions M_STRIDE apart */
} part;

/* ---- which convolutions -------------------------------------------------------------------------- */

/* What the transforms cost beside a multiplication of each tap, as measured with 32 to 640 channels; and what must be
 * gained, since the result is not exact. */
static const double INPUT_PRICE = 45, OUTPUT_PRICE = 94, GAIN = 1.3;

static bool fits(const athi_int8 *c) {
    const double price = 1 + INPUT_PRICE / (double)c->F + OUTPUT_PRICE / (double)c->C;
    return winograd_pays(c, TILE_OUT, POSITIONS, CHANNELS, GAIN * price);
}

/* ---- weights ------------------------------------------------------------------------------------- */

/* Packed: panels [position][C / 4][LANES][4], then of each panel [position][LANES] starts of sums, then scales. */
static int64_t panels_of(const athi_int8 *c) { return (c->F + LANES - 1) / LANES; }
static int64_t panel_bytes(const athi_int8 *c) { return POSITIONS * c->C * LANES; }
static int64_t packed_bytes(const athi_int8 *c) {
    return panels_of(c) * (panel_bytes(c) + POSITIONS * LANES * (int64_t)(sizeof(int32_t) + sizeof(float)));
}
static int32_t *starts_of(const athi_int8 *c, void *packed) {
    return (int32_t *)(void *)((char *)packed + panels_of(c) * panel_bytes(c));
}
static float *rates_of(const athi_int8 *c, void *packed) {
    return (float *)(void *)(starts_of(c, packed) + panels_of(c) * POSITIONS * LANES);
}

/* G g */
ATHI_INLINE void weight_transform(const vf g[], int step, vf o[TILE_IN]) {
    const float root = 0.707106781f;
    const vf near = (g[0] + g[2 * step] * 0.5f) / -1.5f, far = (g[0] + g[2 * step] * 2) / 6;
    const vf near_odd = g[step] * (root / -1.5f), far_odd = g[step] * (2 * root / 6);
    o[0] = g[0], o[5] = g[2 * step];
    o[1] = near + near_odd, o[2] = near - near_odd;
    o[3] = far + far_odd, o[4] = far - far_odd;
}

/* G g G' of one channel and LANES filters from f on, n of which there are */
ATHI_INLINE void weight_taps(const athi_int8 *c, const int8_t *w, int64_t channel, int64_t f, int64_t n,
                             vf u[POSITIONS]) {
    vf g[9], column[TILE_IN], half[3 * TILE_IN];
    ATHI_UNROLL
    for (int i = 0; i < 9; i++) {
        const __m128i b = _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), w + (i * c->C + channel) * c->F + f);
        g[i] = __builtin_convertvector((vi)_mm512_cvtepi8_epi32(b), vf);
    }
    ATHI_UNROLL
    for (int j = 0; j < 3; j++) {
        weight_transform(g + j, 3, column);
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) half[i * 3 + j] = column[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_IN; i++) weight_transform(half + i * 3, 1, u + i * TILE_IN);
}

/* A panel: its taps, the starts of its sums and its scales. */
static void pack_panel(const athi_int8 *c, const int8_t *w, int64_t f, int8_t *to, int32_t *starts, float *rates) {
    const int64_t n = ATHI_MIN(LANES, c->F - f);
    vf u[POSITIONS], most[POSITIONS];
    vi sums[POSITIONS] = {0};
    for (int i = 0; i < POSITIONS; i++) most[i] = vset(1e-6f); /* less than any tap but 0 */
    for (int64_t channel = 0; channel < c->C; channel++) {
        weight_taps(c, w, channel, f, n, u);
        for (int i = 0; i < POSITIONS; i++) most[i] = vraise(most[i], vraise(u[i], -u[i]));
    }
    for (int i = 0; i < POSITIONS; i++) vstore(rates + i * LANES, most[i] / 127);
    for (int64_t channel = 0; channel < c->C; channel++) {
        weight_taps(c, w, channel, f, n, u);
        for (int i = 0; i < POSITIONS; i++) {
            const vi tap = to_bytes(u[i] * (127 / most[i]));
            int8_t bytes[LANES], *at = to + (i * c->C + channel / STEP * STEP) * LANES + channel % STEP;
            store_bytes(bytes, tap, LANES);
            ATHI_UNROLL
            for (int k = 0; k < LANES; k++) at[k * STEP] = bytes[k];
            sums[i] += tap;
        }
    }
    for (int i = 0; i < POSITIONS; i++) _mm512_storeu_si512(starts + i * LANES, (__m512i)(sums[i] * -OFFSET));
}

static bool pack(const athi_int8 *c, const int8_t *w, void *packed) {
    for (int64_t p = 0; p < panels_of(c); p++)
        pack_panel(c, w, p * LANES, (int8_t *)packed + p * panel_bytes(c),
                   starts_of(c, packed) + p * POSITIONS * LANES, rates_of(c, packed) + p * POSITIONS * LANES);
    return true;
}

/* ---- inputs -------------------------------------------------------------------------------------- */

ATHI_INLINE vs times(vs a, int16_t b) { return (vs)_mm512_mulhrs_epi16((__m512i)a, _mm512_set1_epi16(b)); }
ATHI_INLINE vs larger_size(vs most, vs a) {
    return (vs)_mm512_max_epi16((__m512i)most, _mm512_abs_epi16((__m512i)a));
}

/* B' d */
ATHI_INLINE void input_transform(const vs d[], int step, vs o[TILE_IN]) {
    const vs d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const vs near = d4 - d2 * 2, near_odd = times(d3 - d1 * 2, ROOT_HALF);
    const vs far = d4 - (d2 >> 1), far_odd = times(d3 * 2 - d1, ROOT_HALF);
    o[0] = d[0] + near - (d2 >> 1), o[5] = d1 - d3 * 2 - (d3 >> 1) + d[5 * step];
    o[1] = near + near_odd, o[2] = near - near_odd;
    o[3] = far + far_odd, o[4] = far - far_odd;
}

/* The taps over CHANNELS channels of the tile whose first input is x; where its image has no such row or column they are 0. */
ATHI_INLINE void input_taps(const athi_int8 *c, const int8_t *x, uint32_t rows, uint32_t columns,
                            vs taps[POSITIONS]) {
    vs d[TILE_IN], column[TILE_IN], half[POSITIONS];
    for (int j = 0; j < TILE_IN; j++) {
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) {
            const int8_t *at = x + (i * c->W + j) * c->C;
            const bool there = rows >> i & columns >> j & 1;
            d[i] = there ? (vs)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)at)) << FRACTION : (vs){0};
        }
        input_transform(d, 1, column);
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) half[i * TILE_IN + j] = column[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_IN; i++) input_transform(half + i * TILE_IN, 1, taps + i * TILE_IN);
}

/* Of TILE_IN rows or columns from `first` on: those that there are, a bit each. */
enum { ALL = (1 << TILE_IN) - 1 };
static uint32_t inside(int64_t first, int64_t size) {
    uint32_t bits = 0;
    for (int i = 0; i < TILE_IN; i++) bits |= (uint32_t)(first + i >= 0 && first + i < size) << i;
    return bits;
}

/* All taps of a tile, and the largest magnitudes at each position. */
ATHI_INLINE void tile_taps(const athi_int8 *c, const int8_t *x, uint32_t rows, uint32_t columns, vs *taps,
                           vs most[POSITIONS]) {
    for (int64_t channel = 0; channel < c->C; channel += CHANNELS, taps += POSITIONS) {
        input_taps(c, x + channel, rows, columns, taps);
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) most[i] = larger_size(most[i], taps[i]);
    }
}

/* The largest of a vector of magnitudes. */
ATHI_INLINE int32_t largest(vs magnitudes) {
    const __m256i half = _mm256_max_epi16(_mm512_castsi512_si256((__m512i)magnitudes),
                                          _mm512_extracti64x4_epi64((__m512i)magnitudes, 1));
    const __m128i quarter = _mm_max_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return INT16_MAX - _mm_extract_epi16(_mm_minpos_epu16(_mm_sub_epi16(_mm_set1_epi16(INT16_MAX), quarter)), 0);
}

/* What taps are multiplied by in 2^15ths, and what that and FRACTION have to be undone by. */
static void make_scales(const vs most[POSITIONS], int32_t multiplier[SCALES], float inverse[SCALES]) {
    int32_t size[SCALES] = {0};
    for (int i = 0; i < POSITIONS; i++) size[i] = largest(most[i]);
    ATHI_UNROLL
    for (int i = 0; i < SCALES; i += LANES) {
        vi m;
        memcpy(&m, size + i, sizeof m);
        m = __builtin_convertvector(vlower(127 * 32768.0f / __builtin_convertvector(m, vf), vset(INT16_MAX)), vi);
        memcpy(multiplier + i, &m, sizeof m);
        vstore(inverse + i, 32768.0f / (1 << FRACTION) / __builtin_convertvector(m, vf));
    }
}

static int64_t v_stride(const athi_int8 *c) { return TILES * c->C + LINE; }

/* Tile `tile` of all images, the `slot`th of those that are multiplied at a time: its bytes and its scales' inverses. */
static void transform_inputs(const work *w, int64_t tile, int64_t slot, const part *p) {
    const athi_int8 *c = w->c;
    const int64_t image = tile / w->tiles, place = tile % w->tiles;
    const int64_t top = place / w->across * TILE_OUT - c->pad_top, left = place % w->across * TILE_OUT - c->pad_left;
    const int8_t *x = w->k->x + ((image * c->H + top) * c->W + left) * c->C;
    const uint32_t rows = inside(top, c->H), columns = inside(left, c->W);
    vs most[POSITIONS] = {0};
    int32_t multiplier[SCALES];
    if (rows == ALL && columns == ALL)
        tile_taps(c, x, ALL, ALL, p->taps, most);
    else
        tile_taps(c, x, rows, columns, p->taps, most);
    make_scales(most, multiplier, p->inverse[slot]);
    for (int64_t channel = 0; channel < c->C; channel += CHANNELS) {
        const vs *taps = p->taps + channel / CHANNELS * POSITIONS;
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) {
            const __m256i b = _mm512_cvtepi16_epi8((__m512i)times(taps[i], (int16_t)multiplier[i]));
            _mm256_storeu_si256((void *)(p->v + i * v_stride(c) + slot * c->C + channel),
                                _mm256_xor_si256(b, _mm256_set1_epi8((char)OFFSET)));
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------ */

/* PIXELS tiles, rows of C, x `vectors` panels at one position */
ATHI_INLINE void multiply(const int vectors, int64_t C, const uint8_t *v, const int8_t *u, int64_t panel,
                          const int32_t *starts, int32_t *m) {
    __m512i acc[PIXELS][VECTORS];
    ATHI_UNROLL
    for (int i = 0; i < PIXELS; i++) ATHI_UNROLL
    for (int k = 0; k < vectors; k++) acc[i][k] = _mm512_loadu_si512(starts + k * POSITIONS * LANES);
    for (int64_t channel = 0; channel < C; channel += STEP) {
        __m512i b[VECTORS];
        ATHI_UNROLL
        for (int k = 0; k < vectors; k++) b[k] = _mm512_loadu_si512(u + k * panel + channel * LANES);
        ATHI_UNROLL
        for (int i = 0; i < PIXELS; i++) {
            int32_t four;
            memcpy(&four, v + i * C + channel, sizeof four);
            const __m512i a = _mm512_set1_epi32(four);
            ATHI_UNROLL
            for (int k = 0; k < vectors; k++) acc[i][k] = _mm512_dpbusd_epi32(acc[i][k], a, b[k]);
        }
    }
    ATHI_UNROLL
    for (int i = 0; i < PIXELS; i++) ATHI_UNROLL
    for (int k = 0; k < vectors; k++) _mm512_storeu_si512(m + i * FILTERS + k * LANES, acc[i][k]);
}

/* Products of the first n tiles with VECTORS panels from `panel` on, or as many as there are */
static void multiply_all(const work *w, int64_t n, int64_t panel, const part *p) {
    const athi_int8 *c = w->c;
    void *packed = (void *)(uintptr_t)w->k->packed;
    const int64_t bytes = panel_bytes(c), vectors = ATHI_MIN(VECTORS, panels_of(c) - panel);
    for (int64_t position = 0; position < POSITIONS; position++) {
        const int8_t *u = (const int8_t *)packed + panel * bytes + position * c->C * LANES;
        const int32_t *starts = starts_of(c, packed) + (panel * POSITIONS + position) * LANES;
        for (int64_t i = 0; i < n; i += PIXELS) {
            const uint8_t *v = p->v + position * v_stride(c) + i * c->C;
            int32_t *m = p->m + position * M_STRIDE + i * FILTERS;
            switch (vectors) {
            case 4: multiply(4, c->C, v, u, bytes, starts, m); break;
            case 3: multiply(3, c->C, v, u, bytes, starts, m); break;
            case 2: multiply(2, c->C, v, u, bytes, starts, m); break;
            default: multiply(1, c->C, v, u, bytes, starts, m);
            }
        }
    }
}

/* ---- outputs ------------------------------------------------------------------------------------- */

/* A' m */
ATHI_INLINE void output_transform(const vf m[], int step, vf y[TILE_OUT]) {
    const vf near = m[step] + m[2 * step], far = m[3 * step] + m[4 * step];
    const vf near_odd = (m[step] - m[2 * step]) * 0.707106781f, far_odd = (m[3 * step] - m[4 * step]) * 1.41421356f;
    y[0] = m[0] + near + far, y[1] = near_odd + far_odd;
    y[2] = near * 0.5f + far * 2, y[3] = near_odd * 0.5f + far_odd * 2 + m[5 * step];
}

/* The sums of a tile of LANES filters from their products. */
ATHI_INLINE void tile_sums(const float *rates, const float inverse[SCALES], const int32_t *m,
                           vf y[TILE_OUT * TILE_OUT]) {
    vf in[TILE_IN], column[TILE_OUT], half[TILE_OUT * TILE_IN];
    ATHI_UNROLL
    for (int j = 0; j < TILE_IN; j++) {
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) {
            const int position = i * TILE_IN + j;
            vi sum;
            memcpy(&sum, m + position * M_STRIDE, sizeof sum);
            in[i] = __builtin_convertvector(sum, vf) * (vload(rates + position * LANES) * inverse[position]);
        }
        output_transform(in, 1, column);
        ATHI_UNROLL
        for (int i = 0; i < TILE_OUT; i++) half[i * TILE_IN + j] = column[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_OUT; i++) output_transform(half + i * TILE_IN, 1, y + i * TILE_OUT);
}

/* LANES filters from f on of one tile: its sums, or of squares only the largest. */
static void finish_tile(const work *w, int64_t tile, const float inverse[SCALES], const int32_t *m, int64_t f) {
    const athi_int8 c = *w->c; /* local, so that no store of bytes can change it */
    athi_int8_call k = *w->k;
    k.row_scales = NULL; /* of dense layers */
    const outputs to = outputs_of(&c, TILE_OUT, w->across, w->tiles, tile);
    vf y[TILE_OUT * TILE_OUT];
    tile_sums(rates_of(&c, (void *)(uintptr_t)k.packed) + f * POSITIONS, inverse, m, y);
    for (int64_t i = 0; i < to.rows; i++)
        for (int64_t j = 0; j < to.columns; j++) {
            const vf *at = y + (i * TILE_OUT + j) * c.pool;
            const vf sum = c.pool == 1 ? *at : vraise(vraise(at[0], at[1]), vraise(at[TILE_OUT], at[TILE_OUT + 1]));
            finish_sum(&c, &k, sum, to.first + i * to.width + j, f, c.F % LANES == 0);
        }
}

/* ---- whole calls --------------------------------------------------------------------------------- */

static int64_t taps_bytes(const athi_int8 *c) { return c->C * POSITIONS * (int64_t)sizeof(int16_t); }
static int64_t v_bytes(const athi_int8 *c) { return POSITIONS * v_stride(c); }
enum { M_BYTES = POSITIONS * M_STRIDE * 4, INVERSE_BYTES = TILES * SCALES * 4 };
static int64_t part_bytes(const athi_int8 *c) { return taps_bytes(c) + v_bytes(c) + M_BYTES + INVERSE_BYTES; }
static int64_t workspace(int threads, const athi_int8 *c) { return threads * part_bytes(c); }

static part part_at(const athi_int8 *c, void *memory) {
    char *taps = memory, *v = taps + taps_bytes(c), *m = v + v_bytes(c), *inverse = m + M_BYTES;
    return (part){(void *)taps, (void *)inverse, (uint8_t *)v, (void *)m};
}

static void tiles_part(const void *body, int64_t lo, int64_t hi, int index) {
    const work *w = body;
    const part p = part_at(w->c, (char *)w->k->workspace + index * part_bytes(w->c));
    for (int64_t from = lo; from < hi; from += TILES) {
        const int64_t n = ATHI_MIN(TILES, hi - from), panels = panels_of(w->c);
        for (int64_t i = 0; i < n; i++) transform_inputs(w, from + i, i, &p);
        for (int64_t panel = 0; panel < panels; panel += VECTORS) {
            multiply_all(w, n, panel, &p);
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < ATHI_MIN(VECTORS, panels - panel); k++)
                    finish_tile(w, from + i, p.inverse[i], p.m + i * FILTERS + k * LANES, (panel + k) * LANES);
        }
    }
}

static void run(int threads, const athi_int8 *c, const athi_int8_call *k) {
    work w = {.c = c, .k = k};
    int64_t down;
    count_tiles(c, TILE_OUT, &w.across, &down);
    w.tiles = w.across * down;
    athi_cpu_for(threads, c->N * w.tiles, 8, PIXELS, tiles_part, &w);
}

const athi_int8_way ATHI_INSTANCE(athi_int8_winograd) = {fits, packed_bytes, workspace, pack, run};
