/* The column of the kernel table over bfloat16, and the conversions from and to it: the sources of the families below,
 * compiled with another `stored`. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum { GRAIN = 32768, ALIGN = 64 };

typedef struct {
    const void *from;
    void *to;
} convert_work;

static void narrow_part(const void *work, int64_t lo, int64_t hi, int part) {
    const convert_work *w = work;
    const float *x = w->from;
    stored *y = w->to;
    (void)part;
    for (int64_t i = lo; i < hi; i += VW) sstore_n(y + i, vload_n(x + i, hi - i), hi - i);
}
static void narrow(int threads, int64_t n, const float *x, void *y) {
    athi_cpu_for(threads, n, GRAIN, ALIGN, narrow_part, &(convert_work){x, y});
}

static void widen_part(const void *work, int64_t lo, int64_t hi, int part) {
    const convert_work *w = work;
    const stored *x = w->from;
    float *y = w->to;
    (void)part;
    for (int64_t i = lo; i < hi; i += VW) vstore_n(y + i, sload_n(x + i, hi - i), hi - i);
}
static void widen(int threads, int64_t n, const void *x, float *y) {
    athi_cpu_for(threads, n, GRAIN, ALIGN, widen_part, &(convert_work){x, y});
}

/* ---- matrix products ------------------------------------------------------------------------------ */

typedef struct {
    int64_t rows, columns, width;
    const stored *x;
    float *cells;
} cells_work;

static int64_t cells_of(int64_t n) { return (n + CELL - 1) / CELL; }

static void along_part(const void *work, int64_t lo, int64_t hi, int part) {
    const cells_work *w = work;
    const int64_t row = cells_of(w->columns) * CELL;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        stored *to = (stored *)(void *)w->cells + i * row;
        memcpy(to, w->x + i * w->columns, (size_t)w->columns * sizeof *to);
        memset(to + w->columns, 0, (size_t)(row - w->columns) * sizeof *to);
    }
}
static void cells_along(int threads, int64_t rows, int64_t columns, const void *x, float *cells) {
    athi_cpu_for(threads, rows, GRAIN / ATHI_MAX(columns, 1) + 1, 1, along_part,
                 &(cells_work){.columns = columns, .x = x, .cells = cells});
}

/* Rows of cells [lo, hi) of all strips */
static void down_part(const void *work, int64_t lo, int64_t hi, int part) {
    const cells_work *w = work;
    (void)part;
    for (int64_t first = 0; first < w->columns; first += w->width)
        for (int64_t r = lo; r < hi; r++) {
            const stored *x = w->x + CELL * r * w->columns + first;
            float *to = w->cells + (first * cells_of(w->rows)) + r * w->width;
            const bool pair = CELL * r + 1 < w->rows;
            for (int64_t j = 0; j < w->width; j += VW) {
                const int64_t n = ATHI_MAX(ATHI_MIN(w->columns - first - j, VW), 0);
                const vi low = (vi)sload_n(x + j, n), high = pair ? (vi)sload_n(x + w->columns + j, n) : (vi){0};
                vstore_n(to + j, (vf)((low >> 16 & 0xffff) | high), w->width - j);
            }
        }
}
static void cells_down(int threads, int64_t rows, int64_t columns, int64_t width, const void *x, float *cells) {
    athi_cpu_for(threads, cells_of(rows), GRAIN / ATHI_MAX(columns, 1) + 1, 1, down_part,
                 &(cells_work){.rows = rows, .columns = columns, .width = width, .x = x, .cells = cells});
}

typedef struct {
    int64_t N;
    const float *c;
    const stored *bias, *mask;
    stored *y;
    bool relu;
} finish_work;

static void finish_part(const void *work, int64_t lo, int64_t hi, int part) {
    const finish_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++)
        for (int64_t j = 0; j < w->N; j += VW) {
            const int64_t at = i * w->N + j, n = w->N - j;
            vf x = vload_n(w->c + at, n);
            if (w->bias) x += sload_n(w->bias + j, n);
            if (w->relu) x = vmax(x, 0.0f);
            if (w->mask) x = vsel(sload_n(w->mask + at, n) > 0.0f, x, (vf){0});
            sstore_n(w->y + at, x, n);
        }
}
static void finish_product(int threads, int64_t M, int64_t N, const float *c, const void *bias, bool relu,
                           const void *mask, void *y) {
    athi_cpu_for(threads, M, GRAIN / ATHI_MAX(N, 1) + 1, 1, finish_part,
                 &(finish_work){.N = N, .c = c, .bias = bias, .mask = mask, .y = y, .relu = relu});
}

void athi_cpu_fill_bf16(athi_cpu_kernels *k) {
    k->narrow = narrow, k->widen = widen;
    k->cells_along = cells_along, k->cells_down = cells_down, k->finish_product = finish_product;
    ATHI_INSTANCE(athi_cpu_fill_gemm)(k);
    ATHI_INSTANCE(athi_cpu_fill_elementwise)(k);
    ATHI_INSTANCE(athi_cpu_fill_reduce)(k);
    ATHI_INSTANCE(athi_cpu_fill_pool)(k);
    ATHI_INSTANCE(athi_cpu_fill_winograd)(k);
    ATHI_INSTANCE(athi_cpu_fill_norm)(k);
    ATHI_INSTANCE(athi_cpu_fill_dropout)(k);
    ATHI_INSTANCE(athi_cpu_fill_peak)(k);
}
