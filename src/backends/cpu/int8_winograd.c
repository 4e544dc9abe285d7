/* Convolutions of bytes by 3 x 3 through Winograd's F(4 x 4, 3 x 3) in exact integers: a quarter of the multiplications,
 * and the same bits as int8.c gives. For AVX2, which multiplies pairs of 16 bits as fast as bytes; VNNI multiplies bytes
 * twice as fast, and there it was no faster than int8.c on any layer of a WideResNet (int8_taps.c is, and rounds).
 *
 *     Y = A' [ (G g G') * (B' d B) ] A       d 6 x 6 bytes, g 3 x 3 weights, Y 4 x 4 sums
 *
 * With the points 0, 1, -1, 2, -2 and infinity (Lavin, Gray 2016, section 4.3) B is made of integers, and so is G with
 * its rows multiplied by 4, -6, -6, 24, 24 and 1; A's rows are multiplied by what is missing to 24. Inputs then lie in
 * 100 * 127 and weights in 49 * 127, 16 bits, and sums of their products are added modulo 2^32, which loses nothing: what
 * comes out is 24^2 = 9 * 64 times the sum that is wanted. 9 has an inverse modulo 2^32, 64 is shifted away. The sum must
 * lie below 2^25, so that of many channels is made of parts, and `pack` sees to it that no input can make a larger one of
 * these weights. */
#include "backends/cpu/int8_simd.h"

#include <stdlib.h>

enum { TILE_OUT = 4, TILE_IN = 6, POSITIONS = TILE_IN * TILE_IN, PAIR = 2 };
enum { CHANNELS = 2 * VW }; /* of a vector of 16-bit integers */
/* Tiles that are multiplied at a time, and in registers; filters that are summed up at a time; channels of a part. */
enum { TILES = 48, PIXELS = 6, FILTERS = 64, PANELS = FILTERS / LANES, VECTORS = 2, PART = 320 };
/* From one position to the next, in pairs and sums: a cache line more than is needed, since all 36 are read at once and
 * at multiples of 4096 bytes they would take each other's places in the cache. */
enum { LINE = 64, M_STRIDE = TILES * FILTERS + LINE / 4, M_SIZE = POSITIONS * M_STRIDE };
enum { INVERSE_OF_9 = 954437177, SHIFT = 6, MOST = (1 << 25) - 1 };

typedef int16_t vs __attribute__((vector_size(4 * VW)));

ATHI_INLINE vs widen(const int8_t *p) { return (vs)_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p)); }
ATHI_INLINE vi dot(vi sum, vs a, vs w) {
    return (vi)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)a, (__m256i)w));
}

/* A pair of channels in all lanes. */
ATHI_INLINE vs spread(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (vs)vseti(pair);
}

typedef struct work {
    const athi_int8 *c;
    const athi_int8_call *k;
    int64_t across, tiles; /* of an image */
} work;

/* ---- transforms ---------------------------------------------------------------------------------- */

/* B' d */
ATHI_INLINE void input_transform(const vs d[], int step, vs o[TILE_IN]) {
    const vs even = d[4 * step] - d[2 * step] * 4, odd = d[3 * step] - d[step] * 4;
    const vs far = d[4 * step] - d[2 * step], near = (d[3 * step] - d[step]) * 2;
    o[0] = d[0] * 4 - d[2 * step] * 5 + d[4 * step];
    o[1] = even + odd, o[2] = even - odd;
    o[3] = far + near, o[4] = far - near;
    o[5] = d[step] * 4 - d[3 * step] * 5 + d[5 * step];
}

/* G g, its rows multiplied */
static void weight_transform(const int32_t g[], int step, int32_t o[TILE_IN]) {
    const int32_t ends = g[0] + g[2 * step], far = g[0] + 4 * g[2 * step];
    o[0] = g[0];
    o[1] = ends + g[step], o[2] = ends - g[step];
    o[3] = far + 2 * g[step], o[4] = far - 2 * g[step];
    o[5] = g[2 * step];
}

/* A' m, with what is missing to 24 */
ATHI_INLINE void output_transform(const vi m[], int step, vi y[TILE_OUT]) {
    const vi near = (m[step] + m[2 * step]) * 4, near_odd = (m[step] - m[2 * step]) * 4;
    const vi far = m[3 * step] + m[4 * step], far_odd = (m[3 * step] - m[4 * step]) * 2;
    y[0] = m[0] * 4 + m[0] * 2 - near + far;
    y[1] = far_odd - near_odd;
    y[2] = far * 4 - near;
    y[3] = far_odd * 4 - near_odd + m[5 * step] * 16 + m[5 * step] * 8;
}

/* ---- packing ------------------------------------------------------------------------------------- */

static int64_t panels_of(const athi_int8 *c) { return (c->F + LANES - 1) / LANES; }
static int64_t panel_size(const athi_int8 *c) { return POSITIONS * c->C * LANES; } /* [position][C / 2][LANES][2] */

/* What a multiplication costs this way in multiplications of int8.c, transforms included, as measured with 32 to 640
 * channels. */
static const double PRICE = 1.5;

static int64_t parts_of(const athi_int8 *c) { return (c->C + PART - 1) / PART; }

static bool fits(const athi_int8 *c) { return winograd_pays(c, TILE_OUT, POSITIONS, CHANNELS, PRICE); }

static int64_t packed_bytes(const athi_int8 *c) { return panels_of(c) * panel_size(c) * (int64_t)sizeof(int16_t); }

/* No input makes a larger sum than this of filter f over channels lo .. hi. */
static int64_t most_of(const athi_int8 *c, const int8_t *w, int64_t f, int64_t lo, int64_t hi) {
    int64_t sum = 0;
    for (int64_t cell = 0; cell < 9; cell++)
        for (int64_t channel = lo; channel < hi; channel++) sum += 127 * llabs(w[(cell * c->C + channel) * c->F + f]);
    return sum;
}

static bool sums_stay_small(const athi_int8 *c, const int8_t *w) {
    for (int64_t f = 0; f < c->F; f++)
        for (int64_t lo = 0; lo < c->C; lo += PART)
            if (most_of(c, w, f, lo, ATHI_MIN(lo + PART, c->C)) > MOST) return false;
    return true;
}

/* false: sums could grow too large */
static bool pack(const athi_int8 *c, const int8_t *w, void *packed) {
    int16_t *to = packed;
    if (!sums_stay_small(c, w)) return false;
    memset(packed, 0, (size_t)packed_bytes(c));
    for (int64_t channel = 0; channel < c->C; channel++)
        for (int64_t f = 0; f < c->F; f++) {
            int32_t g[9], columns[3 * TILE_IN], u[TILE_IN];
            int16_t *at =
                to + f / LANES * panel_size(c) + (channel / PAIR * LANES + f % LANES) * PAIR + channel % PAIR;
            for (int i = 0; i < 9; i++) g[i] = w[(i * c->C + channel) * c->F + f];
            for (int j = 0; j < 3; j++) weight_transform(g + j, 3, columns + j * TILE_IN);
            for (int i = 0; i < TILE_IN; i++) {
                weight_transform(columns + i, TILE_IN, u);
                for (int j = 0; j < TILE_IN; j++) at[(i * TILE_IN + j) * c->C * LANES] = (int16_t)u[j];
            }
        }
    return true;
}

/* ---- steps of a block of tiles ------------------------------------------------------------------- */

static int64_t v_stride(const athi_int8 *c) { return TILES * c->C + LINE / 2; }

/* Tile `tile` of all images to v[position][TILES][C], positions v_stride apart. */
static void transform_inputs(const work *w, int64_t tile, int16_t *v) {
    const athi_int8 *c = w->c;
    const int64_t image = tile / w->tiles, place = tile % w->tiles;
    const int64_t top = place / w->across * TILE_OUT - c->pad_top, left = place % w->across * TILE_OUT - c->pad_left;
    const int8_t *x = w->k->x + image * c->H * c->W * c->C;
    for (int64_t channel = 0; channel < c->C; channel += CHANNELS) {
        vs d[POSITIONS], columns[TILE_IN], half[POSITIONS];
        for (int i = 0; i < TILE_IN; i++)
            for (int j = 0; j < TILE_IN; j++) {
                const bool inside = top + i >= 0 && top + i < c->H && left + j >= 0 && left + j < c->W;
                d[i * TILE_IN + j] = inside ? widen(x + ((top + i) * c->W + left + j) * c->C + channel) : (vs){0};
            }
        for (int j = 0; j < TILE_IN; j++) {
            input_transform(d + j, TILE_IN, columns);
            for (int i = 0; i < TILE_IN; i++) half[i * TILE_IN + j] = columns[i];
        }
        for (int i = 0; i < TILE_IN; i++) {
            input_transform(half + i * TILE_IN, 1, columns);
            for (int j = 0; j < TILE_IN; j++)
                memcpy(v + (i * TILE_IN + j) * v_stride(c) + channel, &columns[j], sizeof(vs));
        }
    }
}

/* PIXELS tiles, rows of C, x `vectors` panels at one position, over `channels` */
ATHI_INLINE void multiply(const int vectors, int64_t C, int64_t channels, const int16_t *v, const int16_t *u,
                          int64_t panel, int32_t *m) {
    vi acc[PIXELS][VECTORS] = {0};
    for (int64_t channel = 0; channel < channels; channel += PAIR) {
        vs w[VECTORS];
        ATHI_UNROLL
        for (int k = 0; k < vectors; k++) memcpy(&w[k], u + k * panel + channel * LANES, sizeof(vs));
        ATHI_UNROLL
        for (int i = 0; i < PIXELS; i++) {
            const vs a = spread(v + i * C + channel);
            ATHI_UNROLL
            for (int k = 0; k < vectors; k++) acc[i][k] = dot(acc[i][k], a, w[k]);
        }
    }
    ATHI_UNROLL
    for (int i = 0; i < PIXELS; i++) ATHI_UNROLL
    for (int k = 0; k < vectors; k++) memcpy(m + i * FILTERS + k * LANES, &acc[i][k], sizeof(vi));
}

/* m[position][TILES][FILTERS], positions M_STRIDE apart, of the first n tiles and `panels` panels from u on, over channels lo .. hi */
static void multiply_all(const athi_int8 *c, int64_t n, int64_t panels, int64_t lo, int64_t hi, const int16_t *v,
                         const int16_t *u, int32_t *m) {
    const int64_t panel = panel_size(c);
    for (int64_t position = 0; position < POSITIONS; position++)
        for (int64_t p = 0; p < panels;) {
            const int64_t left = panels - p, vectors = left >= VECTORS ? VECTORS : left >= 2 ? 2 : 1;
            const int16_t *from = u + p * panel + (position * c->C + lo) * LANES;
            for (int64_t i = 0; i < n; i += PIXELS) {
                const int16_t *a = v + position * v_stride(c) + i * c->C + lo;
                int32_t *to = m + position * M_STRIDE + i * FILTERS + p * LANES;
                if (vectors == VECTORS)
                    multiply(VECTORS, c->C, hi - lo, a, from, panel, to);
                else if (vectors == 2)
                    multiply(2, c->C, hi - lo, a, from, panel, to);
                else
                    multiply(1, c->C, hi - lo, a, from, panel, to);
            }
            p += vectors;
        }
}

/* Adds the 4 x 4 sums of a tile over a part of the channels, LANES filters of each. */
ATHI_INLINE void add_sums(const int32_t *m, vi y[TILE_OUT * TILE_OUT]) {
    vi in[TILE_IN], columns[TILE_OUT], half[TILE_OUT * TILE_IN];
    ATHI_UNROLL
    for (int j = 0; j < TILE_IN; j++) {
        ATHI_UNROLL
        for (int i = 0; i < TILE_IN; i++) memcpy(&in[i], m + (i * TILE_IN + j) * M_STRIDE, sizeof(vi));
        output_transform(in, 1, columns);
        ATHI_UNROLL
        for (int i = 0; i < TILE_OUT; i++) half[i * TILE_IN + j] = columns[i];
    }
    ATHI_UNROLL
    for (int i = 0; i < TILE_OUT; i++) {
        output_transform(half + i * TILE_IN, 1, columns);
        ATHI_UNROLL
        for (int j = 0; j < TILE_OUT; j++) y[i * TILE_OUT + j] += (columns[j] * INVERSE_OF_9) >> SHIFT;
    }
}

static void finish_tile(const work *w, int64_t tile, const int32_t *m, int64_t f) {
    const athi_int8 c = *w->c; /* local, so that no store of bytes can change it */
    athi_int8_call k = *w->k;
    k.row_scales = NULL; /* of dense layers */
    const outputs to = outputs_of(&c, TILE_OUT, w->across, w->tiles, tile);
    vi y[TILE_OUT * TILE_OUT] = {0};
    for (int64_t part = 0; part < parts_of(&c); part++) add_sums(m + part * M_SIZE, y);
    for (int64_t i = 0; i < to.rows; i++)
        for (int64_t j = 0; j < to.columns; j++) {
            const vi *at = y + (i * TILE_OUT + j) * c.pool;
            const vi sum = c.pool == 1 ? *at : larger(larger(at[0], at[1]), larger(at[TILE_OUT], at[TILE_OUT + 1]));
            finish(&c, &k, sum, to.first + i * to.width + j, f, c.F % LANES == 0);
        }
}

/* ---- whole calls --------------------------------------------------------------------------------- */

static int64_t v_bytes(const athi_int8 *c) { return POSITIONS * v_stride(c) * (int64_t)sizeof(int16_t); }
static int64_t part_bytes(const athi_int8 *c) { return v_bytes(c) + parts_of(c) * M_SIZE * (int64_t)sizeof(int32_t); }
static void tiles_part(const void *body, int64_t lo, int64_t hi, int part) {
    const work *w = body;
    const athi_int8 *c = w->c;
    char *memory = (char *)w->k->workspace + part * part_bytes(c);
    int16_t *v = (int16_t *)(void *)memory;
    int32_t *m = (int32_t *)(void *)(memory + v_bytes(c));
    for (int64_t from = lo; from < hi; from += TILES) {
        const int64_t n = ATHI_MIN(TILES, hi - from), panels = panels_of(c);
        for (int64_t i = 0; i < n; i++) transform_inputs(w, from + i, v + i * c->C);
        for (int64_t p = 0; p < panels; p += PANELS) {
            const int64_t here = ATHI_MIN(PANELS, panels - p);
            const int16_t *u = (const int16_t *)w->k->packed + p * panel_size(c);
            for (int64_t channel = 0; channel < c->C; channel += PART)
                multiply_all(c, n, here, channel, ATHI_MIN(channel + PART, c->C), v, u, m + channel / PART * M_SIZE);
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < here; k++)
                    finish_tile(w, from + i, m + i * FILTERS + k * LANES, (p + k) * LANES);
        }
    }
}

static int64_t workspace(int threads, const athi_int8 *c) { return threads * part_bytes(c); }

static void run(int threads, const athi_int8 *c, const athi_int8_call *k) {
    work w = {.c = c, .k = k};
    int64_t down;
    count_tiles(c, TILE_OUT, &w.across, &down);
    w.tiles = w.across * down;
    athi_cpu_for(threads, c->N * w.tiles, 8, PIXELS, tiles_part, &w);
}

const athi_int8_way ATHI_INSTANCE(athi_int8_winograd) = {fits, packed_bytes, workspace, pack, run};
