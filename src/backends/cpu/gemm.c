/* Matrix product of cells (simd.h): floats, or pairs of bfloat16, with sums in float either way. The result is computed in register tiles of TILE_ROWS x (2 VW) columns:
 *
 *            B: one panel of 2 VW columns, copied     The copy is [kc][2 VW], contiguous, zero beyond N, small
 *              +----+                                 enough for the first-level cache, and used for all rows.
 *              |    | kc                              A is read where it lies: a tile needs one float of each
 *              +----+                                 of its rows per step of k, broadcast, so packing it would
 *      kc                                             cost more than it gives.
 *    +-----+   +----+
 *    |  A  |   | C  | <= TILE_ROWS                    For k = 0, kc, 2 kc, …: C = or += A(:, k..) B(k.., :),
 *    +-----+   +----+                                 the epilogue rides on the last store.
 *
 * Each element is a sum in the order of k whatever the tile, so splitting M and N over threads in any way gives the
 * same bits. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum {
    TILE_ROWS = VW == 16  ? 12
                : VW == 8 ? 6
                          : 4, /* accumulators that fit the registers, beside B and A */
    TILE_VECTORS = ATHI_GEMM_PANEL / VW,
    PANEL = ATHI_GEMM_PANEL, /* columns */
    KC = 320,                /* panel of 20 (40) KB */
    MC_FLOATS = 80 * 1024,   /* rows of A in one pass: what stays in the second-level cache */
    BLOCK = 8,               /* of the transposing copy */
    LINE = 16,               /* floats of a cache line */
};

/* One tile: where its operands lie and what becomes of the sums. */
typedef struct {
    int64_t k;      /* steps */
    const float *a; /* element (row i, step k) at a[i * lda + k], or a[k * lda + i] if transposed */
    int64_t lda;
    bool far;           /* A lies beyond the second-level cache */
    const float *panel; /* [k][PANEL] */
    float *c;
    int64_t ldc;
    int columns;       /* of C, 1 .. PANEL */
    bool add;          /* to what C holds */
    const float *bias; /* [columns] or NULL */
    bool relu;
    const float *mask; /* [rows, columns] with ldmask, or NULL */
    int64_t ldmask;
} tile;

/* Sums that need more than a plain store pass through memory: 1 % of the time, and one copy of this code. */
static __attribute__((noinline)) void finish(const tile *t, int rows, const float *sums) {
    for (int i = 0; i < rows; i++) {
        const float *s = sums + i * PANEL;
        float *c = t->c + i * t->ldc;
        const float *mask = t->mask ? t->mask + i * t->ldmask : NULL;
        for (int j = 0; j < t->columns; j += VW) {
            int n = t->columns - j < VW ? t->columns - j : VW;
            vf x = vload(s + j);
            if (t->add) x += n == VW ? vload(c + j) : vload_part(c + j, n);
            if (t->bias) x += n == VW ? vload(t->bias + j) : vload_part(t->bias + j, n);
            if (t->relu) x = vsel(x < 0.0f, (vf){0}, x);
            if (mask) x = vsel((n == VW ? vload(mask + j) : vload_part(mask + j, n)) > 0.0f, x, (vf){0});
            if (n == VW)
                vstore(c + j, x);
            else
                vstore_part(c + j, x, n);
        }
    }
}

ATHI_INLINE void compute(const tile *t, const int rows, const int vectors, const bool transposed) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    ATHI_UNROLL
    for (int i = 0; i < rows; i++) ATHI_UNROLL
    for (int j = 0; j < vectors; j++) sum[i][j] = (vf){0};

    const float *a = t->a, *b = t->panel;
    const int64_t lda = t->lda;
    const float *next = t->a + rows * lda; /* of the next tile, fetched meanwhile: a line of each row in turn */
#ifdef __clang__
#pragma clang loop unroll_count(4)
#else
#pragma GCC unroll 4
#endif
    for (int64_t k = 0; k < t->k; k++, b += PANEL, a += transposed ? lda : 1) {
        if (t->far)
            __builtin_prefetch(transposed ? a + 2 * rows - 1 : next + (k & (LINE - 1)) * lda + (k & ~(LINE - 1)));
        vf right[TILE_VECTORS];
        ATHI_UNROLL
        for (int j = 0; j < vectors; j++) right[j] = vload(b + j * VW);
        ATHI_UNROLL
        for (int i = 0; i < rows; i++) {
            vf left = vset_cell(a + (transposed ? i : i * lda));
            ATHI_UNROLL
            for (int j = 0; j < vectors; j++) sum[i][j] = vadd_products(sum[i][j], left, right[j]);
        }
    }

    if (t->columns == vectors * VW && !t->bias && !t->relu && !t->mask) {
        ATHI_UNROLL
        for (int i = 0; i < rows; i++) {
            float *c = t->c + i * t->ldc;
            ATHI_UNROLL
            for (int j = 0; j < vectors; j++) vstore(c + j * VW, t->add ? sum[i][j] + vload(c + j * VW) : sum[i][j]);
        }
        return;
    }
    float sums[TILE_ROWS * PANEL];
    ATHI_UNROLL
    for (int i = 0; i < rows; i++) ATHI_UNROLL
    for (int j = 0; j < vectors; j++) vstore(sums + i * PANEL + j * VW, sum[i][j]);
    finish(t, rows, sums);
}

/* clang-format off */
#define TILES(rows)                                                                  \
    static void tile_##rows##_1n(const tile *t) { compute(t, rows, 1, false); }      \
    static void tile_##rows##_1t(const tile *t) { compute(t, rows, 1, true); }       \
    static void tile_##rows##_2n(const tile *t) { compute(t, rows, 2, false); }      \
    static void tile_##rows##_2t(const tile *t) { compute(t, rows, 2, true); }
#define TILE_ROW(rows) {{tile_##rows##_1n, tile_##rows##_1t}, {tile_##rows##_2n, tile_##rows##_2t}}
TILES(1) TILES(2) TILES(3) TILES(4)
#if VW >= 8
TILES(5) TILES(6)
#endif
#if VW >= 16
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#endif

/* [rows - 1][vectors - 1][transposed] */
static void (*const tiles[TILE_ROWS][TILE_VECTORS][2])(const tile *) = {
    TILE_ROW(1), TILE_ROW(2), TILE_ROW(3), TILE_ROW(4),
#if VW >= 8
    TILE_ROW(5), TILE_ROW(6),
#endif
#if VW >= 16
    TILE_ROW(7), TILE_ROW(8), TILE_ROW(9), TILE_ROW(10), TILE_ROW(11), TILE_ROW(12),
#endif
};
/* clang-format on */

void ATHI_INSTANCE(athi_cpu_pack_rows)(const float *b, int64_t ldb, int64_t kc, int n, float *to) {
    for (int64_t k = 0; k < kc; k++, b += ldb, to += PANEL) {
        if (n == PANEL) {
            ATHI_UNROLL
            for (int j = 0; j < PANEL; j += VW) vstore(to + j, vload(b + j));
        } else {
            for (int j = 0; j < PANEL; j++) to[j] = j < n ? b[j] : 0.0f;
        }
    }
}

typedef float v8 __attribute__((vector_size(32)));
typedef float v8_memory __attribute__((vector_size(32), aligned(4), may_alias));

/* An 8 x 8 block in registers: rows of `from` become columns of `to`. */
ATHI_INLINE void transpose_block(const float *from, int64_t ldfrom, float *to, int64_t ldto) {
    v8 r[BLOCK], s[BLOCK];
    ATHI_UNROLL
    for (int i = 0; i < BLOCK; i++) r[i] = *(const v8_memory *)(from + i * ldfrom);
    ATHI_UNROLL
    for (int i = 0; i < BLOCK; i += 2) { /* pairs */
        s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    ATHI_UNROLL
    for (int i = 0; i < BLOCK; i++) /* quads */
        r[i] = (i & 2) ? __builtin_shufflevector(s[i - 2], s[i], 2, 3, 10, 11, 6, 7, 14, 15)
                       : __builtin_shufflevector(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    ATHI_UNROLL
    for (int i = 0; i < BLOCK; i++) /* halves */
        s[i] = (i & 4) ? __builtin_shufflevector(r[i - 4], r[i], 4, 5, 6, 7, 12, 13, 14, 15)
                       : __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    ATHI_UNROLL
    for (int i = 0; i < BLOCK; i++) *(v8_memory *)(to + i * ldto) = s[i];
}

void ATHI_INSTANCE(athi_cpu_pack_columns)(const float *b, int64_t ldb, int64_t kc, int n, float *to) {
    int64_t whole_k = kc - kc % BLOCK;
    int whole_n = n - n % BLOCK;
    for (int64_t k = 0; k < whole_k; k += BLOCK)
        for (int j = 0; j < whole_n; j += BLOCK) transpose_block(b + j * ldb + k, ldb, to + k * PANEL + j, PANEL);
    for (int64_t k = 0; k < kc; k++)
        for (int j = k < whole_k ? whole_n : 0; j < PANEL; j++) to[k * PANEL + j] = j < n ? b[j * ldb + k] : 0.0f;
}

/* B(rows [k, k + kc), columns [j, j + n)) as a panel. */
static const float *pack(const athi_gemm *g, int64_t k, int64_t kc, int64_t j, int n, float *to) {
    if (g->trans_b)
        ATHI_INSTANCE(athi_cpu_pack_columns)(g->b + j * g->ldb + k, g->ldb, kc, n, to);
    else
        ATHI_INSTANCE(athi_cpu_pack_rows)(g->b + k * g->ldb + j, g->ldb, kc, n, to);
    return to;
}

static int64_t pieces(int64_t n, int64_t most) { return (n + most - 1) / most; }
static int64_t lower(int64_t a, int64_t b) { return a < b ? a : b; }

/* Rows [i, i + mc) x one panel; rows are dealt to tiles as evenly as they go, so that no tile is a stub. */
static void panel_times_rows(const athi_gemm *g, tile t, int64_t k, int64_t i, int64_t mc) {
    int vectors = (t.columns + VW - 1) / VW;
    int64_t n_tiles = pieces(mc, TILE_ROWS);
    float *c = t.c;
    const float *mask = t.mask;
    for (int64_t n = 0; n < n_tiles; n++) {
        int64_t lo = i + mc * n / n_tiles, hi = i + mc * (n + 1) / n_tiles;
        t.a = g->trans_a ? g->a + k * g->lda + lo : g->a + lo * g->lda + k;
        t.c = c + lo * g->ldc;
        t.mask = mask ? mask + lo * g->ldmask : NULL;
        tiles[hi - lo - 1][vectors - 1][g->trans_a](&t);
    }
}

/* C(rows [m0, m1), columns [n0, n1)) with a panel buffer of one's own. */
static void region(const athi_gemm *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1, float *panel) {
    int64_t n_k = g->K > 0 ? pieces(g->K, KC) : 1;
    for (int64_t p = 0; p < n_k; p++) {
        int64_t k = g->K * p / n_k, kc = g->K * (p + 1) / n_k - k;
        bool last = p == n_k - 1;
        int64_t n_m = pieces(m1 - m0, kc ? ATHI_MAX(MC_FLOATS / kc, TILE_ROWS) : m1 - m0);
        for (int64_t q = 0; q < n_m; q++) {
            int64_t i = m0 + (m1 - m0) * q / n_m, mc = m0 + (m1 - m0) * (q + 1) / n_m - i;
            for (int64_t j = n0; j < n1; j += PANEL) {
                int columns = (int)lower(n1 - j, PANEL);
                tile t = {.k = kc,
                          .lda = g->lda,
                          .far = g->panels != NULL,
                          .panel = g->panels ? g->panels + j * g->K + k * PANEL : pack(g, k, kc, j, columns, panel),
                          .ldc = g->ldc,
                          .columns = columns,
                          .c = g->c + j,
                          .add = p > 0 || g->accumulate,
                          .ldmask = g->ldmask};
                if (last) {
                    t.bias = g->bias ? g->bias + j : NULL;
                    t.relu = g->relu;
                    t.mask = g->mask ? g->mask + j : NULL;
                }
                panel_times_rows(g, t, k, i, mc);
            }
        }
    }
}

/* Threads in a grid over C: as many along N as there are panels to share evenly (a panel is packed by
 * whoever uses it), the rest along M. */
typedef struct {
    const athi_gemm *g;
    float *panels;
    int along_m, along_n;
} grid;

static void grid_cell(const void *work, int64_t lo, int64_t hi, int part) {
    const grid *s = work;
    const athi_gemm *g = s->g;
    int64_t panels = pieces(g->N, PANEL), row_tiles = pieces(g->M, TILE_ROWS);
    (void)part;
    for (int64_t cell = lo; cell < hi; cell++) {
        int64_t y = cell / s->along_n, x = cell % s->along_n;
        region(g, row_tiles * y / s->along_m * TILE_ROWS, lower(g->M, row_tiles * (y + 1) / s->along_m * TILE_ROWS),
               panels * x / s->along_n * PANEL, lower(g->N, panels * (x + 1) / s->along_n * PANEL),
               s->panels + cell * KC * PANEL);
    }
}

static int64_t sgemm_workspace(int threads) { return (int64_t)threads * KC * PANEL * (int64_t)sizeof(float); }

void ATHI_INSTANCE(athi_cpu_sgemm)(int threads, const athi_gemm *g, void *workspace) {
    if (g->M <= 0 || g->N <= 0) return;
    grid s = {.g = g, .panels = workspace, .along_m = 1, .along_n = 1};
    int64_t panels = pieces(g->N, PANEL), row_tiles = pieces(g->M, TILE_ROWS);
    /* Below 0.2 Mflop a thread, waking one costs more than it does. */
    int64_t useful = 2 * g->M * g->N * g->K / 200000;
    int n = (int)ATHI_MAX(1, lower(threads, useful));
    /* The divisor of n whose largest share of work is smallest; on a tie the most along N. */
    int64_t best = INT64_MAX;
    for (int x = n; x >= 1; x--) {
        if (n % x) continue;
        int64_t share = pieces(panels, x) * pieces(row_tiles, n / x);
        if (share < best) best = share, s.along_n = x, s.along_m = n / x;
    }
    athi_cpu_for(n, n, 1, 1, grid_cell, &s);
}

void ATHI_INSTANCE(athi_cpu_fill_gemm)(athi_cpu_kernels *k) {
    k->sgemm_workspace = sgemm_workspace;
    k->sgemm = ATHI_INSTANCE(athi_cpu_sgemm);
}
