/* Sums over rows, over columns and of squares. Long sums are cut into a fixed number of pieces that are
 * added in order, so the bits do not depend on the number of threads. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum {
    PIECES = 32,      /* of a long sum over rows */
    PIECE_ROWS = 256, /* none is shorter, but the last */
    COLUMNS = 4 * VW, /* summed at a time, in registers */
    NARROW = 64,      /* columns below which several rows are taken as one */
    SQUARE_PIECES = 64,
};

typedef struct {
    int64_t M, N, rows;  /* rows of a piece */
    const stored *x, *y; /* y: where positive x counts, else as 0; NULL: everywhere */
    stored *masked;      /* x with that done, or NULL */
    float *sums;         /* [pieces, N] */
} column_work;

/* Rows [0, rows) of up to COLUMNS columns, n of them; ld floats from row to row. */
ATHI_INLINE void sum_strip(const column_work *w, int64_t at, int64_t rows, int64_t ld, int64_t n, float *sums) {
    vf sum[COLUMNS / VW] = {0};
    for (int64_t i = 0; i < rows; i++, at += ld) ATHI_UNROLL
    for (int j = 0; j < COLUMNS / VW; j++) {
        int64_t left = n - j * VW;
        if (left <= 0) break;
        vf x = sload_n(w->x + at + j * VW, left);
        if (w->y) x = vsel(sload_n(w->y + at + j * VW, left) > 0.0f, x, (vf){0});
        if (w->masked) sstore_n(w->masked + at + j * VW, x, left);
        sum[j] += x;
    }
    ATHI_UNROLL
    for (int j = 0; j < COLUMNS / VW; j++)
        if (n > j * VW) vstore_n(sums + j * VW, sum[j], n - j * VW);
}

static void sum_rows(const column_work *w, int64_t at, int64_t rows, int64_t N, float *sums) {
    int64_t j = 0;
    for (; j + COLUMNS <= N; j += COLUMNS) sum_strip(w, at + j, rows, N, COLUMNS, sums + j);
    if (j < N) sum_strip(w, at + j, rows, N, N - j, sums + j);
}

/* Narrow matrices are read as if VW rows were one, so that vectors are full; the parts are then added. */
static void sum_narrow(const column_work *w, int64_t first, int64_t rows, float *sums) {
    float wide[NARROW * VW], rest[NARROW];
    int64_t N = w->N, whole = rows / VW;
    sum_rows(w, first * N, whole, N * VW, wide);
    sum_rows(w, (first + whole * VW) * N, rows - whole * VW, N, rest);
    for (int64_t j = 0; j < N; j++) {
        float sum = rest[j];
        for (int r = 0; r < VW; r++) sum += wide[r * N + j];
        sums[j] = sum;
    }
}

static void column_piece(const void *work, int64_t lo, int64_t hi, int part) {
    const column_work *w = work;
    (void)part;
    for (int64_t p = lo; p < hi; p++) {
        int64_t first = p * w->rows, rows = ATHI_MIN(w->rows, w->M - first);
        if (w->N < NARROW && w->N % VW)
            sum_narrow(w, first, rows, w->sums + p * w->N);
        else
            sum_rows(w, first * w->N, rows, w->N, w->sums + p * w->N);
    }
}

static int64_t column_sums_workspace(int64_t N) { return PIECES * N * (int64_t)sizeof(float); }

static void column_sums_of(int threads, column_work w, float *sums, void *workspace) {
    w.rows = ATHI_MAX((w.M + PIECES - 1) / PIECES, PIECE_ROWS);
    int64_t pieces = (w.M + w.rows - 1) / w.rows;
    w.sums = pieces > 1 ? workspace : sums;
    if (!pieces) memset(sums, 0, (size_t)w.N * sizeof *sums);
    athi_cpu_for(threads, pieces, 1, 1, column_piece, &w);
    if (pieces < 2) return;
    for (int64_t j = 0; j < w.N; j++) {
        float sum = 0;
        for (int64_t p = 0; p < pieces; p++) sum += w.sums[p * w.N + j];
        sums[j] = sum;
    }
}

static void column_sums(int threads, int64_t M, int64_t N, const void *x, float *sums, void *workspace) {
    column_sums_of(threads, (column_work){.M = M, .N = N, .x = x}, sums, workspace);
}

static void relu_grad_column_sums(int threads, int64_t M, int64_t N, const void *dy, const void *y, void *dx,
                                  float *sums, void *workspace) {
    column_sums_of(threads, (column_work){.M = M, .N = N, .x = dy, .y = y, .masked = dx}, sums, workspace);
}

typedef struct {
    int64_t N;
    const stored *x;
    float *sums;
} row_work;

static void row_part(const void *work, int64_t lo, int64_t hi, int part) {
    const row_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const stored *x = w->x + i * w->N;
        vf sum = {0};
        for (int64_t j = 0; j < w->N; j += VW) sum += sload_n(x + j, w->N - j);
        w->sums[i] = vsum(sum);
    }
}

static void row_sums(int threads, int64_t M, int64_t N, const void *x, float *sums) {
    athi_cpu_for(threads, M, 16384 / ATHI_MAX(N, 1) + 1, 16, row_part, &(row_work){.N = N, .x = x, .sums = sums});
}

typedef struct {
    int64_t n, piece;
    const float *x;
    double *sums;
} square_work;

static void square_part(const void *work, int64_t lo, int64_t hi, int part) {
    const square_work *w = work;
    (void)part;
    for (int64_t p = lo; p < hi; p++) {
        int64_t end = ATHI_MIN(w->n, (p + 1) * w->piece);
        double sum[8] = {0};
        int64_t i = p * w->piece;
        for (; i + 8 <= end; i += 8)
            for (int j = 0; j < 8; j++) sum[j] += (double)w->x[i + j] * (double)w->x[i + j];
        for (; i < end; i++) sum[0] += (double)w->x[i] * (double)w->x[i];
        w->sums[p] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    }
}

static double sum_of_squares(int threads, int64_t n, const float *x) {
    double sums[SQUARE_PIECES], total = 0;
    int64_t piece = ATHI_MAX((n + SQUARE_PIECES - 1) / SQUARE_PIECES, 4096), pieces = (n + piece - 1) / piece;
    athi_cpu_for(threads, pieces, 4, 1, square_part, &(square_work){.n = n, .piece = piece, .x = x, .sums = sums});
    for (int64_t p = 0; p < pieces; p++) total += sums[p];
    return total;
}

void ATHI_INSTANCE(athi_cpu_fill_reduce)(athi_cpu_kernels *k) {
    k->column_sums_workspace = column_sums_workspace;
    k->column_sums = column_sums;
    k->relu_grad_column_sums = relu_grad_column_sums;
    k->row_sums = row_sums;
    k->sum_of_squares = sum_of_squares;
}
