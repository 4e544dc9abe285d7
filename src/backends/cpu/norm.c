/* Batch normalisation of images, VW channels at a time whether they lie in such blocks or plain, with what stands around
 * it in a network: the relu behind, and backwards the relu's gradient before and the sums of dx behind, which are the
 * gradient of the bias of the convolution below. Each of the two passes forward and backward reads an image once.
 *
 * A piece is VW channels of one image. Its mean and sum of squared differences are taken while it is in the cache, and
 * the pieces' are then put together in order (Chan, Golub, LeVeque 1983, eq. 2.1), so nothing cancels and the bits do
 * not depend on the number of threads. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum { UNROLL = 4, SUMS = 3 }; /* vectors in flight; of a piece at most */

typedef struct {
    const athi_images *im;
    const stored *x, *y, *dy;
    stored *out;
    float *sums;                              /* [C / VW][N][SUMS][VW] */
    const float *scale, *shift, *mean, *rest; /* by channel: see the passes */
    bool relu;
} norm_work;

static int64_t blocks(const athi_images *im) { return im->C / VW; }
/* Floats from pixel to pixel, and where piece i begins. */
static int64_t step_of(const athi_images *im) { return im->block ? im->block : im->C; }
static int64_t first_of(const athi_images *im, int64_t i) {
    return im->block ? i * im->pixels * VW : i / blocks(im) * im->pixels * im->C + i % blocks(im) * VW;
}
static float *sums_of(const norm_work *w, int64_t n, int64_t block) {
    return w->sums + (block * w->im->N + n) * SUMS * VW;
}
static int64_t floats_of(const athi_images *im) { return im->N * im->C * SUMS; }

/* ---- forward ------------------------------------------------------------------------------------- */

/* Sums of piece i: its mean, and the squares of the differences from that. */
static void statistics_part(const void *work, int64_t lo, int64_t hi, int part) {
    const norm_work *w = work;
    const int64_t pixels = w->im->pixels, step = step_of(w->im);
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const stored *x = w->x + first_of(w->im, i);
        float *sums = sums_of(w, i / blocks(w->im), i % blocks(w->im));
        vf sum[UNROLL] = {0}, squares[UNROLL] = {0};
        int64_t p = 0;
        for (; p + UNROLL <= pixels; p += UNROLL) ATHI_UNROLL
        for (int j = 0; j < UNROLL; j++) sum[j] += sload(x + (p + j) * step);
        for (; p < pixels; p++) sum[0] += sload(x + p * step);
        const vf mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * vset(1.0f / (float)pixels);
        for (p = 0; p + UNROLL <= pixels; p += UNROLL) ATHI_UNROLL
        for (int j = 0; j < UNROLL; j++) {
            const vf d = sload(x + (p + j) * step) - mean;
            squares[j] += d * d;
        }
        for (; p < pixels; p++) {
            const vf d = sload(x + p * step) - mean;
            squares[0] += d * d;
        }
        vstore(sums, mean);
        vstore(sums + VW, (squares[0] + squares[1]) + (squares[2] + squares[3]));
    }
}

static void batch_norm_statistics(const norm_work *w, float *mean, float *variance) {
    const int64_t N = w->im->N, pixels = w->im->pixels;
    for (int64_t b = 0; b < blocks(w->im); b++) {
        vf m = {0}, squares = {0};
        for (int64_t n = 0; n < N; n++) {
            const float *sums = sums_of(w, n, b);
            const vf d = vload(sums) - m;
            m += d * vset(1.0f / (float)(n + 1));
            squares += vload(sums + VW) + d * d * vset((float)((double)n * (double)pixels / (double)(n + 1)));
        }
        vstore(mean + b * VW, m);
        vstore(variance + b * VW, squares * vset(1.0f / ((float)N * (float)pixels)));
    }
}

/* y = x scale + shift, perhaps not below zero */
static void apply_part(const void *work, int64_t lo, int64_t hi, int part) {
    const norm_work *w = work;
    const int64_t pixels = w->im->pixels, step = step_of(w->im);
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t c = i % blocks(w->im) * VW;
        const vf scale = vload(w->scale + c), shift = vload(w->shift + c);
        const stored *x = w->x + first_of(w->im, i);
        stored *y = w->out + first_of(w->im, i);
        for (int64_t p = 0; p < pixels * step; p += step) {
            const vf v = sload(x + p) * scale + shift;
            sstore(y + p, w->relu ? vmax(v, 0.0f) : v);
        }
    }
}

static int64_t batch_norm_workspace(const athi_images *im) {
    return (floats_of(im) + 2 * im->C) * (int64_t)sizeof(float);
}

static void batch_norm(int threads, const athi_images *im, const void *x, const float *gamma, const float *beta,
                       float epsilon, bool relu, void *y, float *mean, float *variance, void *workspace) {
    float *scale = workspace, *shift = scale + im->C;
    norm_work w = {.im = im, .x = x, .out = y, .relu = relu, .scale = scale, .shift = shift, .sums = shift + im->C};
    athi_cpu_for(threads, im->N * blocks(im), 1, 1, statistics_part, &w);
    batch_norm_statistics(&w, mean, variance);
    for (int64_t c = 0; c < im->C; c += VW) {
        const vf s = vload(gamma + c) / vsqrt(vload(variance + c) + epsilon);
        vstore(scale + c, s);
        vstore(shift + c, vload(beta + c) - vload(mean + c) * s);
    }
    athi_cpu_for(threads, im->N * blocks(im), 1, 1, apply_part, &w);
}

/* ---- backward ------------------------------------------------------------------------------------ */

/* dy, or zero where the relu gave zero */
ATHI_INLINE vf gradient_at(const norm_work *w, int64_t at) {
    const vf dy = sload(w->dy + at);
    return w->y ? vsel(sload(w->y + at) > 0.0f, dy, (vf){0}) : dy;
}

/* Of a piece: sum of g, and of g (x - mean) */
static void gradient_sums_part(const void *work, int64_t lo, int64_t hi, int part) {
    const norm_work *w = work;
    const int64_t pixels = w->im->pixels, step = step_of(w->im);
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t b = i % blocks(w->im), from = first_of(w->im, i);
        const vf mean = vload(w->mean + b * VW);
        float *sums = sums_of(w, i / blocks(w->im), b);
        vf sum[UNROLL] = {0}, product[UNROLL] = {0};
        int64_t p = 0;
        for (; p + UNROLL <= pixels; p += UNROLL) ATHI_UNROLL
        for (int j = 0; j < UNROLL; j++) {
            const vf g = gradient_at(w, from + (p + j) * step);
            sum[j] += g, product[j] += g * (sload(w->x + from + (p + j) * step) - mean);
        }
        for (; p < pixels; p++) {
            const vf g = gradient_at(w, from + p * step);
            sum[0] += g, product[0] += g * (sload(w->x + from + p * step) - mean);
        }
        vstore(sums, (sum[0] + sum[1]) + (sum[2] + sum[3]));
        vstore(sums + VW, (product[0] + product[1]) + (product[2] + product[3]));
    }
}

/* dx = g scale + (x - mean) rest + shift; of a piece the sum of dx */
static void gradient_part(const void *work, int64_t lo, int64_t hi, int part) {
    const norm_work *w = work;
    const int64_t pixels = w->im->pixels, step = step_of(w->im);
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t b = i % blocks(w->im), from = first_of(w->im, i), c = b * VW;
        const vf scale = vload(w->scale + c), shift = vload(w->shift + c), mean = vload(w->mean + c),
                 rest = vload(w->rest + c);
        vf sum[2] = {0};
        for (int64_t p = 0; p < pixels; p++) {
            const int64_t at = from + p * step;
            const vf dx = gradient_at(w, at) * scale + ((sload(w->x + at) - mean) * rest + shift);
            sstore(w->out + at, dx);
            sum[p & 1] += dx;
        }
        vstore(sums_of(w, i / blocks(w->im), b) + 2 * VW, sum[0] + sum[1]);
    }
}

/* The pieces' sums number `which`, for each channel */
static void add_pieces(const norm_work *w, int which, float *to) {
    for (int64_t b = 0; b < blocks(w->im); b++) {
        vf sum = {0};
        for (int64_t n = 0; n < w->im->N; n++) sum += vload(sums_of(w, n, b) + which * VW);
        vstore(to + b * VW, sum);
    }
}

static int64_t batch_norm_grad_workspace(const athi_images *im) {
    return (floats_of(im) + 3 * im->C) * (int64_t)sizeof(float);
}

/* With r = 1 / sqrt(variance + epsilon) and m elements a channel (Ioffe, Szegedy 2015, section 3):
 * dx = gamma r (g - dbeta / m - (x - mean) r^2 sum(g (x - mean)) / m) */
static void batch_norm_grad(int threads, const athi_images *im, const void *dy, const void *y, const void *x,
                            const float *gamma, const float *mean, const float *variance, float epsilon, void *dx,
                            float *dgamma, float *dbeta, float *sums, void *workspace) {
    float *scale = workspace, *shift = scale + im->C, *rest = shift + im->C;
    norm_work w = {.im = im,
                   .x = x,
                   .y = y,
                   .dy = dy,
                   .out = dx,
                   .scale = scale,
                   .shift = shift,
                   .mean = mean,
                   .rest = rest,
                   .sums = rest + im->C};
    const vf share = vset(1.0f / ((float)im->N * (float)im->pixels));
    athi_cpu_for(threads, im->N * blocks(im), 1, 1, gradient_sums_part, &w);
    add_pieces(&w, 0, dbeta);
    add_pieces(&w, 1, rest);
    for (int64_t c = 0; c < im->C; c += VW) {
        const vf r = vset(1.0f) / vsqrt(vload(variance + c) + epsilon), product = vload(rest + c);
        const vf s = vload(gamma + c) * r;
        vstore(dgamma + c, product * r);
        vstore(scale + c, s);
        vstore(shift + c, -s * vload(dbeta + c) * share);
        vstore(rest + c, -s * r * r * product * share);
    }
    athi_cpu_for(threads, im->N * blocks(im), 1, 1, gradient_part, &w);
    if (sums) add_pieces(&w, 2, sums);
}

void ATHI_INSTANCE(athi_cpu_fill_norm)(athi_cpu_kernels *k) {
    k->batch_norm_workspace = batch_norm_workspace;
    k->batch_norm = batch_norm;
    k->batch_norm_grad_workspace = batch_norm_grad_workspace;
    k->batch_norm_grad = batch_norm_grad;
}
