/* Convolution by 3 x 3 with a quarter of the products: Winograd's F(4 x 4, 3 x 3). An image is cut into tiles of
 * 4 x 4 outputs, which are over 6 x 6 inputs; transformed, a tile's 36 positions are independent, and each of them is
 * a matrix product over all tiles:
 *
 *     inputs  --B' d B-->  V [36][tiles, C]  |
 *                                             > M [36][tiles, K]  --A' m A-->  outputs
 *     weights --G g G'-->  U [36][C, K]      |
 *
 * The gradient of the input is the same with the weights turned and transposed. The gradient of the weights is
 * dU [36][C, K] = V' dM over all tiles, with dM = A dy A'.
 *
 * Over bfloat16 V, U and dM are rounded to that, and products are of cells of two channels or, in the weight gradient,
 * two tiles (simd.h); M, dU and all transforms are float.
 *
 * Tiles, and channels on one side, are taken in blocks for which V, U and M stay in the third-level cache; the size of
 * a block depends on the shape alone. Within a block the phases follow one another, each split over threads by what
 * it writes. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/winograd_tiles.h"

enum {
    PANEL = ATHI_GEMM_PANEL,
    CACHE_FLOATS = 1024 * 1024,     /* of a block's V where U is at hand as a whole: 4 MB */
    NEAR_FLOATS = CACHE_FLOATS / 4, /* of V where U is no larger: both stay nearer than the third level */
    WHOLE_U = 2 * CACHE_FLOATS,     /* at most */
    PART_V = 3 * CACHE_FLOATS,      /* of V where U comes in parts */
    V_AND_DM = 4 * CACHE_FLOATS,    /* of both in the weight gradient, where dU is larger than NEAR_FLOATS */
    PANELS_FORWARD = 64 / VW,       /* of output channels in a part: 128 */
    C_GRADIENT = 320,               /* input channels in a block of the weight gradient */
    K_GRADIENT = 160,               /* output channels there */
    CHUNK = 16,                     /* input channels whose weights are transformed together */
    LINE = 16,                      /* cells of a cache line: rows are longer by one, else they compete for sets */
};

static int64_t pieces(int64_t n, int64_t most) { return (n + most - 1) / most; }
static int64_t up(int64_t n, int64_t unit) { return pieces(n, unit) * unit; }

/* A batch of images: from pixel to pixel there are `block` values, which is all channels where they lie plain. */
typedef struct {
    const stored *p;
    int64_t H, W, channels, block;
} images;
/* Where channel c of pixel (0, 0) of image n lies. */
static int64_t first_pixel(const images *im, int64_t n, int64_t c) {
    return (n * (im->channels / im->block) + c / im->block) * im->H * im->W * im->block + c % im->block;
}

typedef struct {
    const athi_winograd *c;
    images in, out;
    const stored *w, *bias;
    float *dw;
    stored *y;
    bool turned, relu;
    int64_t tiles_h, tiles_w, tiles; /* of an image down and across, of all */
    int64_t block_tiles, block_c, block_k;
    int64_t v_row, m_row;           /* cells of a tile (or, in the weight gradient, CELL tiles) in V, floats in M */
    int64_t v_size, u_size, m_size; /* cells or floats of a position */
    float *v, *u, *m;
    int64_t t0, t1, c0, c1, k0, k1; /* the block at hand */
    bool first;                     /* of the blocks that are added up */
} winograd;

static winograd start(const athi_winograd *c) {
    winograd w = {.c = c,
                  .in = {NULL, c->H, c->W, c->C, c->x_block ? c->x_block : c->C},
                  .out = {NULL, c->out_h, c->out_w, c->K, c->y_block ? c->y_block : c->K},
                  .tiles_h = pieces(c->out_h, TILE_OUT),
                  .tiles_w = pieces(c->out_w, TILE_OUT)};
    w.tiles = c->N * w.tiles_h * w.tiles_w;
    return w;
}
/* As few blocks as `most` allows, all about as large. */
static int64_t even_block(int64_t n, int64_t most, int64_t unit) {
    return up(pieces(n, pieces(n, ATHI_MAX(most, unit))), unit);
}
static winograd forward_blocks(const athi_winograd *c) {
    winograd w = start(c);
    w.block_c = c->C;
    const int64_t rows = pieces(c->C, CELL), u = POSITIONS * rows * up(c->K, PANEL),
                  v = u <= NEAR_FLOATS ? NEAR_FLOATS : CACHE_FLOATS;
    const bool whole = u <= WHOLE_U;
    w.block_k = even_block(c->K, whole ? c->K : PANELS_FORWARD * PANEL, PANEL);
    w.v_row = up(pieces(c->C, CELL), LINE) + LINE, w.m_row = w.block_k;
    w.block_tiles = even_block(w.tiles, (whole ? v : PART_V) / (POSITIONS * w.v_row), 1);
    w.v_size = w.block_tiles * w.v_row;
    w.u_size = w.block_k * rows + LINE;
    w.m_size = w.block_tiles * w.m_row + LINE;
    return w;
}
static winograd gradient_blocks(const athi_winograd *c) {
    winograd w = start(c);
    w.block_c = even_block(c->C, C_GRADIENT, LINE);
    w.block_k = even_block(c->K, K_GRADIENT, PANEL);
    w.v_row = w.block_c + LINE, w.m_row = w.block_k;
    w.u_size = w.block_c * w.block_k + LINE;
    const int64_t v_and_m = POSITIONS * w.u_size <= NEAR_FLOATS ? 2 * NEAR_FLOATS : V_AND_DM;
    w.block_tiles = even_block(w.tiles, CELL * v_and_m / (POSITIONS * (w.v_row + w.m_row)), CELL);
    w.v_size = pieces(w.block_tiles, CELL) * w.v_row;
    w.m_size = pieces(w.block_tiles, CELL) * w.m_row + LINE;
    return w;
}
static int64_t bytes(const winograd *w) {
    return POSITIONS * (w->v_size + w->u_size + w->m_size) * (int64_t)sizeof(float);
}
static void set_workspace(winograd *w, void *workspace) {
    w->v = workspace;
    w->u = w->v + POSITIONS * w->v_size;
    w->m = w->u + POSITIONS * w->u_size;
}

/* ---- tiles --------------------------------------------------------------------------------------- */

/* Tiles of the block that stand beside each other in an image: the first is tile t of the block, its first output pixel
 * (y, x) of image n. Within such a strip the transforms take one vector of channels after the other, since then pixels
 * are read and written as they lie in memory. */
typedef struct {
    int64_t t, count, n, y, x;
} strip;
static strip strip_at(const winograd *w, int64_t t, int64_t end) {
    const int64_t in_image = (w->t0 + t) % (w->tiles_h * w->tiles_w), column = in_image % w->tiles_w;
    return (strip){.t = t,
                   .count = ATHI_MIN(end - t, w->tiles_w - column),
                   .n = (w->t0 + t) / (w->tiles_h * w->tiles_w),
                   .y = in_image / w->tiles_w * TILE_OUT,
                   .x = column * TILE_OUT};
}

/* A size x size patch whose first pixel is (y, x) of the image at p; n channels, zeros beyond the image. */
ATHI_INLINE void load_patch(const images *im, const stored *p, int64_t y, int64_t x, const int size, int64_t n,
                            vf d[]) {
    const int64_t step = im->block, row = im->W * step;
    if (y >= 0 && x >= 0 && y + size <= im->H && x + size <= im->W) {
        p += y * row + x * step;
        ATHI_UNROLL
        for (int i = 0; i < size; i++) ATHI_UNROLL
        for (int j = 0; j < size; j++) d[i * size + j] = sload_n(p + i * row + j * step, n);
        return;
    }
    for (int i = 0; i < size; i++) ATHI_UNROLL
    for (int j = 0; j < size; j++) {
        bool inside = y + i >= 0 && y + i < im->H && x + j >= 0 && x + j < im->W;
        d[i * size + j] = inside ? sload_n(p + (y + i) * row + (x + j) * step, n) : (vf){0};
    }
}

/* V of a strip, n <= VW channels from c; a row is a tile's channels, or across: channels of CELL tiles */
ATHI_INLINE void input_strip(const winograd *w, const strip *s, int64_t c, int64_t n, const bool across) {
    const stored *p = w->in.p + first_pixel(&w->in, s->n, c);
    for (int64_t t = 0; t < s->count; t++) {
        const int64_t tile = s->t + t;
        float *v = w->v + (across ? tile / CELL : tile) * w->v_row + (across ? c - w->c0 : 0);
        vf d[POSITIONS];
        load_patch(&w->in, p, s->y - w->c->pad_top, s->x + t * TILE_OUT - w->c->pad_left, TILE_IN, n, d);
        TRANSFORM_2D(input_transform, d, TILE_IN, d, TILE_IN);
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) {
            if (across)
                vstore_cells(v + i * w->v_size, tile % CELL, d[i]);
            else
                sstore((stored *)(void *)(v + i * w->v_size) + c, d[i]);
        }
    }
}

/* V of tiles [lo, hi) of the block, channels [c0, c1) */
ATHI_INLINE void input_tiles(const winograd *w, int64_t lo, int64_t hi, const bool across) {
    while (lo < hi) {
        const strip s = strip_at(w, lo, hi);
        int64_t c = w->c0;
        for (; c + VW <= w->c1; c += VW) input_strip(w, &s, c, VW, across);
        if (c < w->c1) input_strip(w, &s, c, w->c1 - c, across);
        lo += s.count;
    }
}
static void input_part(const void *work, int64_t lo, int64_t hi, int part) {
    (void)part;
    input_tiles(work, lo, hi, false);
}
static void input_part_across(const void *work, int64_t lo, int64_t hi, int part) {
    (void)part;
    input_tiles(work, lo, hi, true);
}

/* A matrix [rows, K] in panels has channel k of row r here. */
static int64_t panel_place(int64_t rows, int64_t r, int64_t k) { return (k / PANEL * rows + r) * PANEL + k % PANEL; }

/* dM of a strip, n <= VW channels from k; n = 0: a vector of zeros beyond the last channel */
ATHI_INLINE void gradient_strip(const winograd *w, const strip *s, int64_t k, int64_t n) {
    const stored *p = w->out.p + (n ? first_pixel(&w->out, s->n, k) : 0);
    const int64_t rows = pieces(w->t1 - w->t0, CELL);
    for (int64_t t = 0; t < s->count; t++) {
        float *m = w->m + panel_place(rows, (s->t + t) / CELL, k - w->k0);
        vf d[TILE_OUT * TILE_OUT], o[POSITIONS];
        load_patch(&w->out, p, s->y, s->x + t * TILE_OUT, TILE_OUT, n, d);
        TRANSFORM_2D(gradient_transform, d, TILE_OUT, o, TILE_IN);
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) vstore_cells(m + i * w->m_size, (s->t + t) % CELL, o[i]);
    }
}

/* dM of tiles [lo, hi) of the block, channels [k0, k1), in panels */
static void gradient_part(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    (void)part;
    while (lo < hi) {
        const strip s = strip_at(w, lo, hi);
        int64_t k = w->k0;
        for (; k + VW <= w->k1; k += VW) gradient_strip(w, &s, k, VW);
        for (; k < w->k0 + up(w->k1 - w->k0, PANEL); k += VW) gradient_strip(w, &s, k, ATHI_MAX(w->k1 - k, 0));
        lo += s.count;
    }
}

/* Outputs of a strip, n <= VW channels from k */
ATHI_INLINE void output_strip(const winograd *w, const strip *s, int64_t k, int64_t n) {
    const int64_t step = w->out.block, row = w->out.W * step, rows = ATHI_MIN(TILE_OUT, w->out.H - s->y);
    const float *m = w->m + s->t * w->m_row + k - w->k0;
    const vf bias = w->bias ? sload_n(w->bias + k, n) : (vf){0};
    stored *y = w->y + first_pixel(&w->out, s->n, k) + s->y * row + s->x * step;
    for (int64_t t = 0; t < s->count; t++, m += w->m_row, y += TILE_OUT * step) {
        const int64_t columns = ATHI_MIN(TILE_OUT, w->out.W - s->x - t * TILE_OUT);
        vf d[POSITIONS];
        ATHI_UNROLL
        for (int i = 0; i < POSITIONS; i++) d[i] = vload(m + i * w->m_size);
        TRANSFORM_2D(output_transform, d, TILE_IN, d, TILE_OUT);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const vf x = d[i * TILE_OUT + j] + bias;
                sstore_n(y + i * row + j * step, w->relu ? vmax(x, 0.0f) : x, n);
            }
    }
}

/* Outputs of tiles [lo, hi) of the block, channels [k0, k1) */
static void output_part(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    (void)part;
    while (lo < hi) {
        const strip s = strip_at(w, lo, hi);
        int64_t k = w->k0;
        for (; k + VW <= w->k1; k += VW) output_strip(w, &s, k, VW);
        if (k < w->k1) output_strip(w, &s, k, w->k1 - k);
        lo += s.count;
    }
}

/* ---- weights ------------------------------------------------------------------------------------- */

/* Rows of n values each as floats: where they lie, or widened in `room`. */
ATHI_INLINE const float *widened(const stored *from, int64_t *ld, int64_t rows, int64_t n, float *room) {
#ifdef ATHI_STORE_BF16
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j += VW) vstore_n(room + i * n + j, sload_n(from + i * *ld + j, n - j), n - j);
    *ld = n;
    return room;
#else
    (void)ld, (void)rows, (void)n, (void)room;
    return from;
#endif
}

/* Tap t of input channels [c, c + n), output channels [k, k + columns), as a panel. */
static void load_tap(const winograd *w, int t, int64_t c, int64_t n, int64_t k, int columns,
                     float to[CHUNK * PANEL]) {
    float room[CHUNK * PANEL];
    int64_t ld = w->turned ? w->c->C : w->c->K;
    if (w->turned) {
        const float *from = widened(w->w + ((TAPS - 1 - t) * w->c->K + k) * ld + c, &ld, columns, n, room);
        ATHI_INSTANCE(athi_cpu_pack_columns)(from, ld, n, columns, to);
    } else {
        const float *from = widened(w->w + (t * w->c->C + c) * ld + k, &ld, n, columns, room);
        ATHI_INSTANCE(athi_cpu_pack_rows)(from, ld, n, columns, to);
    }
}

/* U of a panel of output channels and a chunk of input channels, which are item `lo` of the block. */
static void weight_part(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    const int64_t C = w->c->C, chunks = pieces(C, CHUNK);
    float taps[TAPS][CHUNK * PANEL];
    (void)part;
    for (int64_t item = lo; item < hi; item++) {
        const int64_t k = w->k0 + item / chunks * PANEL, c = item % chunks * CHUNK, n = ATHI_MIN(C - c, CHUNK);
        const int columns = (int)ATHI_MIN(w->k1 - k, PANEL);
        for (int t = 0; t < TAPS; t++) load_tap(w, t, c, n, k, columns, taps[t]);
        for (int64_t at = 0; at < n * PANEL; at += VW) {
            const int64_t row = c + at / PANEL;
            float *u = w->u + panel_place(pieces(C, CELL), row / CELL, k - w->k0 + at % PANEL);
            vf g[TAPS], o[POSITIONS];
            ATHI_UNROLL
            for (int t = 0; t < TAPS; t++) g[t] = vload(&taps[t][at]);
            TRANSFORM_2D(weight_transform, g, 3, o, TILE_IN);
            ATHI_UNROLL
            for (int i = 0; i < POSITIONS; i++) vstore_cells(u + i * w->u_size, row % CELL, o[i]);
        }
    }
}

/* dw of input channels [c0 + lo, c0 + hi), output channels [k0, k1) */
static void weight_gradient_part(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    const int64_t K = w->c->K, tap = w->c->C * K;
    (void)part;
    for (int64_t c = lo; c < hi; c++) {
        const float *u = w->u + c * w->block_k;
        float *dw = w->dw + (w->c0 + c) * K;
        for (int64_t k = w->k0; k < w->k1; k += VW, u += VW) {
            vf d[POSITIONS], o[TAPS];
            ATHI_UNROLL
            for (int i = 0; i < POSITIONS; i++) d[i] = vload(u + i * w->u_size);
            TRANSFORM_2D(weight_gradient_transform, d, TILE_IN, o, 3);
            for (int t = 0; t < TAPS; t++) vstore_n(dw + t * tap + k, o[t], w->k1 - k);
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------ */

/* M = V U at positions [lo, hi) */
static void forward_products(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) ATHI_INSTANCE(athi_cpu_sgemm)
    (1,
     &(athi_gemm){.M = w->t1 - w->t0,
                  .N = w->k1 - w->k0,
                  .K = pieces(w->c->C, CELL),
                  .a = w->v + i * w->v_size,
                  .lda = w->v_row,
                  .panels = w->u + i * w->u_size,
                  .c = w->m + i * w->m_size,
                  .ldc = w->m_row},
     NULL);
}

/* dU = or += V' dM at positions [lo, hi) */
static void gradient_products(const void *work, int64_t lo, int64_t hi, int part) {
    const winograd *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) ATHI_INSTANCE(athi_cpu_sgemm)
    (1,
     &(athi_gemm){.M = w->c1 - w->c0,
                  .N = w->k1 - w->k0,
                  .K = pieces(w->t1 - w->t0, CELL),
                  .trans_a = true,
                  .accumulate = !w->first,
                  .a = w->v + i * w->v_size,
                  .lda = w->v_row,
                  .panels = w->m + i * w->m_size,
                  .c = w->u + i * w->u_size,
                  .ldc = w->block_k},
     NULL);
}

/* ---- the two convolutions ------------------------------------------------------------------------ */

static int64_t forward_workspace(const athi_winograd *c) {
    winograd w = forward_blocks(c);
    return bytes(&w);
}

static void forward(int threads, const athi_winograd *c, const void *x, const void *weights, bool turned,
                    const void *bias, bool relu, void *y, void *workspace) {
    winograd w = forward_blocks(c);
    set_workspace(&w, workspace);
    w.in.p = x, w.w = weights, w.turned = turned, w.bias = bias, w.relu = relu, w.y = y;
    w.c1 = c->C;
    for (w.t0 = 0; w.t0 < w.tiles; w.t0 = w.t1) {
        w.t1 = ATHI_MIN(w.tiles, w.t0 + w.block_tiles);
        athi_cpu_for(threads, w.t1 - w.t0, 1, 1, input_part, &w);
        for (w.k0 = 0; w.k0 < c->K; w.k0 = w.k1) {
            w.k1 = ATHI_MIN(c->K, w.k0 + w.block_k);
            if (w.t0 == 0 || w.block_k < c->K) /* else U is still there */
                athi_cpu_for(threads, pieces(w.k1 - w.k0, PANEL) * pieces(c->C, CHUNK), 1, 1, weight_part, &w);
            athi_cpu_for(threads, POSITIONS, 1, 1, forward_products, &w);
            athi_cpu_for(threads, w.t1 - w.t0, 1, 1, output_part, &w);
        }
    }
}

static int64_t grad_w_workspace(const athi_winograd *c) {
    winograd w = gradient_blocks(c);
    return bytes(&w);
}

static void grad_w(int threads, const athi_winograd *c, const void *x, const void *dy, float *dw, void *workspace) {
    winograd w = gradient_blocks(c);
    set_workspace(&w, workspace);
    w.in.p = x, w.out.p = dy, w.dw = dw;
    for (w.c0 = 0; w.c0 < c->C; w.c0 = w.c1) {
        w.c1 = ATHI_MIN(c->C, w.c0 + w.block_c);
        for (w.k0 = 0; w.k0 < c->K; w.k0 = w.k1) {
            w.k1 = ATHI_MIN(c->K, w.k0 + w.block_k);
            for (w.t0 = 0; w.t0 < w.tiles; w.t0 = w.t1) {
                w.t1 = ATHI_MIN(w.tiles, w.t0 + w.block_tiles);
                w.first = w.t0 == 0;
                if (w.k0 == 0 || w.tiles > w.block_tiles) /* else V is still there */
                    athi_cpu_for(threads, w.t1 - w.t0, 1, CELL, input_part_across, &w);
                athi_cpu_for(threads, w.t1 - w.t0, 1, CELL, gradient_part, &w);
                athi_cpu_for(threads, POSITIONS, 1, 1, gradient_products, &w);
            }
            athi_cpu_for(threads, w.c1 - w.c0, 1, 1, weight_gradient_part, &w);
        }
    }
}

void ATHI_INSTANCE(athi_cpu_fill_winograd)(athi_cpu_kernels *k) {
    k->winograd_workspace = forward_workspace;
    k->winograd = forward;
    k->winograd_grad_w_workspace = grad_w_workspace;
    k->winograd_grad_w = grad_w;
}
