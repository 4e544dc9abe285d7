/* Convolutions of bytes by 3 x 3 through Winograd's F(2 x 2, 3 x 3) with taps rounded to bytes, for VNNI: 16 multiplications
 * a tile of 4 sums where the direct way needs 36.
 *
 *     Y = A' [ (G g G') * (B' d B) ] A       d 4 x 4 bytes, g 3 x 3 weights, Y 2 x 2 sums (Lavin, Gray 2016, section 4.1)
 *
 * A transformed input lies in 4 * 127 and G's fractions are quarters, so neither is a byte: both are rounded once more, the
 * input's taps under a scale for each image and position, the weights' under one for each filter and position, which follow
 * from the largest magnitudes that are there. So a sample's result depends on nothing else of its batch. The result is off by
 * 1.2 % of its root mean square, about as much as rounding inputs and weights to bytes makes of it in the first place.
 * Products of bytes are summed exactly; scales and A are applied in float32. */
#include "backends/cpu/int8_simd.h"

enum {
    TILE_OUT = 2,
    TILE_IN = 4,
    POSITIONS = TILE_IN * TILE_IN,
    STEP = 4 /* bytes of a sum that one instruction takes */
};
enum { CHANNELS = 2 * VW }; /* of a vector of 16-bit integers */
enum { TILES = 48, PIXELS = 6, VECTORS = 4, PANELS = 8, FILTERS = PANELS * LANES }; /* multiplied at a time */
/* From one position to the next: a line more than is needed, else they compete for the same sets of the cache. */
enum { LINE = 64, M_STRIDE = TILES * FILTERS + LINE / 4 };
enum {
    OFFSET = 128,
    FRACTION = 9,
    LIFT = 6
}; /* a tap's byte is tap * multiplier / 2^9, by way of a product's upper half */

typedef __m512i vs; /* 16-bit integers */
typedef struct scales {
    int16_t multiplier[POSITIONS];
    float inverse[POSITIONS];
} scales;

typedef struct work {
    const athi_int8 *c;
    const athi_int8_call *k;
    int64_t across, tiles; /* of an image */
    scales *scales;        /* of each image */
} work;

/* ---- which convolutions -------------------------------------------------------------------------- */

/* What the transforms cost beside a multiplication of each tap, as measured with 160 to 640 channels; and what must be
 * gained, since the result is not exact. */
static const double INPUT_PRICE = 45, OUTPUT_PRICE = 27, GAIN = 1.2;

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

/* 2 G g */
ATHI_INLINE void weight_transform(const vi g[], int step, vi o[TILE_IN]) {
    const vi ends = g[0] + g[2 * step];
    o[0] = g[0] * 2, o[1] = ends + g[step], o[2] = ends - g[step], o[3] = g[2 * step] * 2;
}

/* 4 G g G' of one channel and LANES filters from f on, n of which there are */
ATHI_INLINE void weight_taps(const athi_int8 *c, const int8_t *w, int64_t channel, int64_t f, int64_t n,
                             vi u[POSITIONS]) {
    vi g[9], column[TILE_IN], half[3 * TILE_IN];
    ATHI_UNROLL
    for (int i = 0; i < 9; i++)
        g[i] = (vi)_mm512_cvtepi8_epi32(
            _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), w + (i * c->C + channel) * c->F + f));
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
    vi u[POSITIONS], most[POSITIONS], sums[POSITIONS] = {0};
    vf scale[POSITIONS];
    for (int i = 0; i < POSITIONS; i++) most[i] = vseti(1);
    for (int64_t channel = 0; channel < c->C; channel++) {
        weight_taps(c, w, channel, f, n, u);
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) most[i] = larger(most[i], larger(u[i], -u[i]));
    }
    for (int i = 0; i < POSITIONS; i++) {
        scale[i] = 127.0f / __builtin_convertvector(most[i], vf);
        vstore(rates + i * LANES, __builtin_convertvector(most[i], vf) / (4 * 127.0f));
    }
    for (int64_t channel = 0; channel < c->C; channel++) {
        weight_taps(c, w, channel, f, n, u);
        for (int i = 0; i < POSITIONS; i++) {
            const vi tap = to_bytes(__builtin_convertvector(u[i], vf) * scale[i]);
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

/* B' d */
ATHI_INLINE void input_transform(const vs d[], int step, vs o[TILE_IN]) {
    o[0] = _mm512_sub_epi16(d[0], d[2 * step]), o[1] = _mm512_add_epi16(d[step], d[2 * step]);
    o[2] = _mm512_sub_epi16(d[2 * step], d[step]), o[3] = _mm512_sub_epi16(d[step], d[3 * step]);
}

/* The taps of a tile of an image over CHANNELS channels. */
ATHI_INLINE void input_taps(const work *w, const int8_t *x, int64_t place, int64_t channel, vs taps[POSITIONS]) {
    const athi_int8 *c = w->c;
    const int64_t top = place / w->across * TILE_OUT - c->pad_top, left = place % w->across * TILE_OUT - c->pad_left;
    const bool whole = top >= 0 && left >= 0 && top + TILE_IN <= c->H && left + TILE_IN <= c->W;
    vs d[POSITIONS], column[TILE_IN], half[POSITIONS];
    for (int i = 0; i < TILE_IN; i++) ATHI_UNROLL
    for (int j = 0; j < TILE_IN; j++) {
        const int64_t row = top + i, at = left + j;
        d[i * TILE_IN + j] =
            whole || (row >= 0 && row < c->H && at >= 0 && at < c->W)
                ? _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(x + (row * c->W + at) * c->C + channel)))
                : _mm512_setzero_si512();
    }
    ATHI_UNROLL
    for (int j = 0; j < TILE_IN; j++) {
        input_transform(d + j, TILE_IN, column);
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) half[i * TILE_IN + j] = column[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_IN; i++) input_transform(half + i * TILE_IN, 1, taps + i * TILE_IN);
}

static const int8_t *image_of(const work *w, int64_t image) { return w->k->x + image * w->c->H * w->c->W * w->c->C; }

/* Images lo .. hi: the scales of their taps. */
static void scales_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    (void)part;
    for (int64_t image = lo; image < hi; image++) {
        vs most[POSITIONS], taps[POSITIONS];
        for (int i = 0; i < POSITIONS; i++) most[i] = _mm512_setzero_si512();
        for (int64_t place = 0; place < w->tiles; place++)
            for (int64_t channel = 0; channel < w->c->C; channel += CHANNELS) {
                input_taps(w, image_of(w, image), place, channel, taps);
                ATHI_UNROLL
                for (int i = 0; i < POSITIONS; i++) most[i] = _mm512_max_epi16(most[i], _mm512_abs_epi16(taps[i]));
            }
        for (int i = 0; i < POSITIONS; i++) {
            int16_t lane[CHANNELS], largest = 1;
            memcpy(lane, &most[i], sizeof lane);
            for (int j = 0; j < CHANNELS; j++) largest = ATHI_MAX(largest, lane[j]);
            const int32_t multiplier = ATHI_MIN((127 << FRACTION) / largest, INT16_MAX);
            w->scales[image].multiplier[i] = (int16_t)multiplier;
            w->scales[image].inverse[i] = (float)(1 << FRACTION) / (float)multiplier;
        }
    }
}

static int64_t v_stride(const athi_int8 *c) { return TILES * c->C + LINE; }

/* Tile `tile` of all images to v[position][TILES][C] with OFFSET added, positions v_stride apart. */
static void transform_inputs(const work *w, int64_t tile, uint8_t *v) {
    const int64_t image = tile / w->tiles;
    const int16_t *multiplier = w->scales[image].multiplier;
    for (int64_t channel = 0; channel < w->c->C; channel += CHANNELS) {
        vs taps[POSITIONS];
        input_taps(w, image_of(w, image), tile % w->tiles, channel, taps);
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) {
            const vs q = _mm512_mulhrs_epi16(_mm512_slli_epi16(taps[i], LIFT), _mm512_set1_epi16(multiplier[i]));
            const __m256i b = _mm256_xor_si256(_mm512_cvtepi16_epi8(q), _mm256_set1_epi8((char)OFFSET));
            _mm256_storeu_si256((void *)(v + i * v_stride(w->c) + channel), b);
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

/* m[position][TILES][FILTERS], positions M_STRIDE apart, of the first n tiles and `panels` panels from p on */
static void multiply_all(const work *w, int64_t n, int64_t p, int64_t panels, const uint8_t *v, int32_t *m) {
    const athi_int8 *c = w->c;
    void *packed = (void *)(uintptr_t)w->k->packed;
    const int8_t *u = (const int8_t *)packed + p * panel_bytes(c);
    const int32_t *starts = starts_of(c, packed) + p * POSITIONS * LANES;
    for (int64_t position = 0; position < POSITIONS; position++)
        for (int64_t q = 0; q < panels;) {
            const int64_t left = panels - q, vectors = left >= 4 ? 4 : left >= 2 ? 2 : 1, panel = panel_bytes(c);
            const int8_t *from = u + q * panel + position * c->C * LANES;
            const int32_t *start = starts + (q * POSITIONS + position) * LANES;
            for (int64_t i = 0; i < n; i += PIXELS) {
                const uint8_t *a = v + position * v_stride(c) + i * c->C;
                int32_t *to = m + position * M_STRIDE + i * FILTERS + q * LANES;
                if (vectors == 4)
                    multiply(4, c->C, a, from, panel, start, to);
                else if (vectors == 2)
                    multiply(2, c->C, a, from, panel, start, to);
                else
                    multiply(1, c->C, a, from, panel, start, to);
            }
            q += vectors;
        }
}

/* ---- outputs ------------------------------------------------------------------------------------- */

/* A' m */
ATHI_INLINE void output_transform(const vf m[], int step, vf y[TILE_OUT]) {
    y[0] = m[0] + m[step] + m[2 * step], y[1] = m[step] - m[2 * step] - m[3 * step];
}

/* LANES filters from f on of one tile: its sums, or of a square only the largest. */
static void finish_tile(const work *w, int64_t tile, const int32_t *m, int64_t f) {
    const athi_int8 *c = w->c;
    const int64_t image = tile / w->tiles, place = tile % w->tiles, height = c->out_h / c->pool,
                  width = c->out_w / c->pool, side = TILE_OUT / c->pool;
    const int64_t top = place / w->across * side, left = place % w->across * side;
    const float *rates = rates_of(c, (void *)(uintptr_t)w->k->packed) + f * POSITIONS,
                *inverse = w->scales[image].inverse;
    vf in[POSITIONS], half[TILE_OUT * TILE_IN], column[TILE_OUT], y[TILE_OUT * TILE_OUT];
    ATHI_UNROLL
    for (int i = 0; i < POSITIONS; i++) {
        vi sum;
        memcpy(&sum, m + i * M_STRIDE, sizeof sum);
        in[i] = __builtin_convertvector(sum, vf) * (vload(rates + i * LANES) * inverse[i]);
    }
    ATHI_UNROLL
    for (int j = 0; j < TILE_IN; j++) {
        output_transform(in + j, TILE_IN, column);
        ATHI_UNROLL
        for (int i = 0; i < TILE_OUT; i++) half[i * TILE_IN + j] = column[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_OUT; i++) output_transform(half + i * TILE_IN, 1, y + i * TILE_OUT);
    if (c->pool == TILE_OUT) y[0] = vraise(vraise(y[0], y[1]), vraise(y[2], y[3]));
    for (int64_t i = 0; i < ATHI_MIN(side, height - top); i++)
        for (int64_t j = 0; j < ATHI_MIN(side, width - left); j++)
            finish_sum(c, w->k, y[i * TILE_OUT + j], (image * height + top + i) * width + left + j, f,
                       c->F % LANES == 0);
}

/* ---- whole calls --------------------------------------------------------------------------------- */

static int64_t scales_bytes(const athi_int8 *c) { return (c->N * (int64_t)sizeof(scales) + LINE - 1) / LINE * LINE; }
static int64_t v_bytes(const athi_int8 *c) { return POSITIONS * v_stride(c); }
static int64_t part_bytes(const athi_int8 *c) { return v_bytes(c) + POSITIONS * M_STRIDE * (int64_t)sizeof(int32_t); }
static int64_t workspace(int threads, const athi_int8 *c) { return scales_bytes(c) + threads * part_bytes(c); }

static void tiles_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    const athi_int8 *c = w->c;
    char *memory = (char *)w->k->workspace + scales_bytes(c) + part * part_bytes(c);
    uint8_t *v = (uint8_t *)memory;
    int32_t *m = (int32_t *)(void *)(memory + v_bytes(c));
    for (int64_t from = lo; from < hi; from += TILES) {
        const int64_t n = ATHI_MIN(TILES, hi - from), panels = panels_of(c);
        for (int64_t i = 0; i < n; i++) transform_inputs(w, from + i, v + i * c->C);
        for (int64_t p = 0; p < panels; p += PANELS) {
            const int64_t here = ATHI_MIN(PANELS, panels - p);
            multiply_all(w, n, p, here, v, m);
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < here; k++)
                    finish_tile(w, from + i, m + i * FILTERS + k * LANES, (p + k) * LANES);
        }
    }
}

static void run(int threads, const athi_int8 *c, const athi_int8_call *k) {
    work w = {.c = c, .k = k, .scales = k->workspace};
    int64_t down;
    count_tiles(c, TILE_OUT, &w.across, &down);
    w.tiles = w.across * down;
    athi_cpu_for(threads, c->N, 1, 1, scales_part, &w);
    athi_cpu_for(threads, c->N * w.tiles, 8, PIXELS, tiles_part, &w);
}

const athi_int8_way ATHI_INSTANCE(athi_int8_winograd) = {fits, packed_bytes, workspace, pack, run};
