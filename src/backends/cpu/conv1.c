/* Convolution of images of one channel, where the general code has nothing to vectorise over: forward and
 * weight gradient (the input of a first layer needs none). Vectors run over the output channels; a padded
 * image is copied with its border first, so no inner loop knows of edges.
 *
 *     y[n, i, j, k] = bias[k] + sum over (r, s) of x[n, i sh + r, j sw + s] w[r, s, k]                     */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum {
    PIXELS = 4,  /* of a row at a time, twice as many with a single vector of channels */
    VECTORS = 2, /* of channels at a time: weights of a tap are loaded once for all pixels */
    TAPS = 9,    /* gradients of as many taps are held in registers together */
    PIECES = 16, /* of the batch, in the weight gradient's sum */
};

static int64_t padded_h(const athi_conv1 *c) {
    return ATHI_MAX((c->out_h - 1) * c->stride_h + c->kernel_h, c->pad_top + c->H);
}
static int64_t padded_w(const athi_conv1 *c) {
    return ATHI_MAX((c->out_w - 1) * c->stride_w + c->kernel_w, c->pad_left + c->W);
}
static bool has_border(const athi_conv1 *c) { return padded_h(c) > c->H || padded_w(c) > c->W; }
static int64_t padded_floats(const athi_conv1 *c) { return has_border(c) ? padded_h(c) * padded_w(c) : 0; }
static int64_t row_floats(const athi_conv1 *c) { return has_border(c) ? padded_w(c) : c->W; }
static int64_t block_of(const athi_conv1 *c) { return c->block ? c->block : c->K; }

/* Image n, with its border if it has one (in `room`). */
static const float *image(const athi_conv1 *c, const float *x, int64_t n, float *room) {
    x += n * c->H * c->W;
    if (!has_border(c)) return x;
    memset(room, 0, (size_t)padded_floats(c) * sizeof *room);
    for (int64_t i = 0; i < c->H; i++)
        memcpy(room + (i + c->pad_top) * padded_w(c) + c->pad_left, x + i * c->W, (size_t)c->W * sizeof *x);
    return room;
}

/* Where channel k of output row i of image n begins: floats between its pixels are block_of(c). */
static int64_t output_row(const athi_conv1 *c, int64_t n, int64_t i, int64_t k) {
    int64_t block = block_of(c);
    return ((n * (c->K / block) + k / block) * c->out_h + i) * c->out_w * block + k % block;
}

typedef struct {
    const athi_conv1 *c;
    const float *x, *w, *bias, *dy;
    float *y, *borders, *sums;
    bool relu;
    int64_t pieces;
} conv_work;

/* ---- forward ------------------------------------------------------------------------------------- */

/* `pixels` pixels x `vectors` vectors of channels; n channels are left, of which the last vector may be part. */
ATHI_INLINE void forward_tile(const conv_work *f, const float *x, int64_t k, int64_t n, float *y, const int pixels,
                              const int vectors) {
    const athi_conv1 *c = f->c;
    const int64_t ld = row_floats(c), step = c->stride_w;
    vf sum[2 * PIXELS][VECTORS];
    ATHI_UNROLL
    for (int p = 0; p < pixels; p++) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) sum[p][v] = f->bias ? vload_n(f->bias + k + v * VW, n - v * VW) : (vf){0};
    const float *w = f->w + k;
    for (int64_t r = 0; r < c->kernel_h; r++)
        for (int64_t s = 0; s < c->kernel_w; s++, w += c->K) {
            vf weight[VECTORS];
            ATHI_UNROLL
            for (int v = 0; v < vectors; v++) weight[v] = vload_n(w + v * VW, n - v * VW);
            ATHI_UNROLL
            for (int p = 0; p < pixels; p++) {
                vf pixel = vset(x[r * ld + s + p * step]);
                ATHI_UNROLL
                for (int v = 0; v < vectors; v++) sum[p][v] += pixel * weight[v];
            }
        }
    ATHI_UNROLL
    for (int p = 0; p < pixels; p++) ATHI_UNROLL
    for (int v = 0; v < vectors; v++) {
        vf out = f->relu ? vsel(sum[p][v] < 0.0f, (vf){0}, sum[p][v]) : sum[p][v];
        vstore_n(y + p * block_of(c) + v * VW, out, n - v * VW);
    }
}

/* A strip of channels that lies together: n of them, whole vectors unless it is the last. */
static void forward_row(const conv_work *f, const float *x, int64_t k, int64_t n, float *y) {
    const athi_conv1 *c = f->c;
    const int64_t pixel = block_of(c), step = c->stride_w;
    int64_t j = 0;
    /* The number of channels is a constant wherever vectors are whole, so that no load asks for it. */
    if (n == VW) {
        for (; j + 2 * PIXELS <= c->out_w; j += 2 * PIXELS)
            forward_tile(f, x + j * step, k, VW, y + j * pixel, 2 * PIXELS, 1);
        for (; j + 2 <= c->out_w; j += 2) forward_tile(f, x + j * step, k, VW, y + j * pixel, 2, 1);
        for (; j < c->out_w; j++) forward_tile(f, x + j * step, k, VW, y + j * pixel, 1, 1);
    } else if (n >= VECTORS * VW) {
        for (; j + PIXELS <= c->out_w; j += PIXELS)
            forward_tile(f, x + j * step, k, VECTORS * VW, y + j * pixel, PIXELS, VECTORS);
        for (; j < c->out_w; j++) forward_tile(f, x + j * step, k, VECTORS * VW, y + j * pixel, 1, VECTORS);
    } else {
        for (; j + PIXELS <= c->out_w; j += PIXELS) forward_tile(f, x + j * step, k, n, y + j * pixel, PIXELS, 1);
        for (; j < c->out_w; j++) forward_tile(f, x + j * step, k, n, y + j * pixel, 1, 1);
    }
}

static void forward_part(const void *work, int64_t lo, int64_t hi, int part) {
    const conv_work *f = work;
    const athi_conv1 *c = f->c;
    const int64_t block = block_of(c);
    for (int64_t n = lo; n < hi; n++) {
        const float *x = image(c, f->x, n, f->borders + part * padded_floats(c));
        for (int64_t k = 0, strip; k < c->K; k += strip) {
            int64_t left = block - k % block; /* of this block */
            strip = left >= VECTORS * VW ? VECTORS * VW : ATHI_MIN(left, VW);
            for (int64_t i = 0; i < c->out_h; i++)
                forward_row(f, x + i * c->stride_h * row_floats(c), k, strip, f->y + output_row(c, n, i, k));
        }
    }
}

/* ---- weight gradient ----------------------------------------------------------------------------- */

/* Sums over one image for one vector of channels (n of them) of TAPS taps from `first`, and of dy itself. */
static void image_gradient(const conv_work *g, const float *x, int64_t image_number, int64_t k, int64_t n,
                           int64_t first, vf sum[TAPS + 1]) {
    const athi_conv1 *c = g->c;
    const int64_t ld = row_floats(c), taps = c->kernel_h * c->kernel_w, step = c->stride_w, pixel = block_of(c);
    int64_t at[TAPS];
    vf total[TAPS + 1] = {0};
    for (int t = 0; t < TAPS; t++) { /* beyond the last tap: any place, the sum is dropped */
        int64_t tap = ATHI_MIN(first + t, taps - 1);
        at[t] = tap / c->kernel_w * ld + tap % c->kernel_w;
    }
    for (int64_t i = 0; i < c->out_h; i++) {
        const float *dy = g->dy + output_row(c, image_number, i, k), *from = x + i * c->stride_h * ld;
        for (int64_t j = 0; j < c->out_w; j++, dy += pixel, from += step) {
            vf d = vload_n(dy, n);
            ATHI_UNROLL
            for (int t = 0; t < TAPS; t++) total[t] += d * from[at[t]];
            total[TAPS] += d;
        }
    }
    ATHI_UNROLL
    for (int t = 0; t <= TAPS; t++) sum[t] += total[t];
}

/* One piece of the batch: sums [taps + 1, K], the bias's last. */
static void gradient_part(const void *work, int64_t lo, int64_t hi, int part) {
    const conv_work *g = work;
    const athi_conv1 *c = g->c;
    const int64_t taps = c->kernel_h * c->kernel_w, block = block_of(c);
    for (int64_t piece = lo; piece < hi; piece++) {
        float *sums = g->sums + piece * (taps + 1) * c->K;
        int64_t n0 = c->N * piece / g->pieces, n1 = c->N * (piece + 1) / g->pieces;
        memset(sums, 0, (size_t)((taps + 1) * c->K) * sizeof *sums);
        for (int64_t n = n0; n < n1; n++) {
            const float *x = image(c, g->x, n, g->borders + part * padded_floats(c));
            for (int64_t k = 0, width; k < c->K; k += width) {
                width = ATHI_MIN(block - k % block, VW);
                for (int64_t first = 0; first < taps; first += TAPS) {
                    int64_t here = ATHI_MIN(TAPS, taps - first);
                    vf sum[TAPS + 1] = {0};
                    image_gradient(g, x, n, k, width, first, sum);
                    for (int64_t t = 0; t < here; t++) {
                        float *to = sums + (first + t) * c->K + k;
                        vstore_n(to, vload_n(to, width) + sum[t], width);
                    }
                    float *to = sums + taps * c->K + k;
                    if (!first) vstore_n(to, vload_n(to, width) + sum[TAPS], width);
                }
            }
        }
    }
}

static int64_t conv1_workspace(int threads, const athi_conv1 *c) {
    int64_t sums = PIECES * (c->kernel_h * c->kernel_w + 1) * c->K;
    return (threads * padded_floats(c) + sums) * (int64_t)sizeof(float);
}

static void conv1(int threads, const athi_conv1 *c, const float *x, const float *w, const float *bias, bool relu,
                  float *y, void *workspace) {
    athi_cpu_for(threads, c->N, 65536 / (c->out_h * c->out_w * c->K) + 1, 1, forward_part,
                 &(conv_work){.c = c, .x = x, .w = w, .bias = bias, .relu = relu, .y = y, .borders = workspace});
}

static void conv1_grad_w(int threads, const athi_conv1 *c, const float *x, const float *dy, float *dw, float *db,
                         void *workspace) {
    int64_t taps = c->kernel_h * c->kernel_w, n = taps * c->K;
    conv_work g = {.c = c, .x = x, .dy = dy, .borders = workspace, .pieces = ATHI_MIN(PIECES, c->N)};
    g.sums = g.borders + threads * padded_floats(c);
    athi_cpu_for(threads, g.pieces, 1, 1, gradient_part, &g);
    for (int64_t i = 0; i < n + c->K; i++) {
        float sum = 0;
        for (int64_t p = 0; p < g.pieces; p++) sum += g.sums[p * (n + c->K) + i];
        if (i < n)
            dw[i] = sum;
        else if (db)
            db[i - n] = sum;
    }
}

void ATHI_INSTANCE(athi_cpu_fill_conv1)(athi_cpu_kernels *k) {
    k->conv1_workspace = conv1_workspace;
    k->conv1 = conv1;
    k->conv1_grad_w = conv1_grad_w;
}
