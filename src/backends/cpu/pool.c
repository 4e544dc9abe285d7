/* Pooling over [N, H, W, C]. A blocked layout nChwXc is the same thing with N * C / X images of X channels, so this
 * one form serves both. One vector of channels of one output pixel is computed at a time; padding is what a window
 * does not reach. Images are split over threads: a gradient never crosses from one to another. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

typedef struct {
    const athi_pool *p;
    const stored *x, *y, *dy;
    uint8_t *index;
    const uint8_t *from;
    bool relu;
    stored *out;
} pool_work;

/* The part of a window that lies in the image: rows [i0, i1) and columns [j0, j1) of it. */
typedef struct {
    int64_t i0, i1, j0, j1;
} window;

static window window_at(const athi_pool *p, int64_t oi, int64_t oj) {
    int64_t top = oi * p->stride_h - p->pad_top, left = oj * p->stride_w - p->pad_left;
    return (window){ATHI_MAX(top, 0), ATHI_MIN(top + p->kernel_h, p->H), ATHI_MAX(left, 0),
                    ATHI_MIN(left + p->kernel_w, p->W)};
}

/* Which of the window's kernel_h x kernel_w places pixel (i, j) is. */
static int place(const athi_pool *p, int64_t oi, int64_t oj, int64_t i, int64_t j) {
    return (int)((i - oi * p->stride_h + p->pad_top) * p->kernel_w + (j - oj * p->stride_w + p->pad_left));
}

static int64_t image_in(const athi_pool *p) { return p->H * p->W * p->C; }
static int64_t image_out(const athi_pool *p) { return p->out_h * p->out_w * p->C; }

ATHI_INLINE void store_places(uint8_t *to, vi places, int64_t n) {
    vb narrow = vnarrow(places);
    if (n >= VW)
        vstoreb(to, narrow);
    else
        memcpy(to, &narrow, (size_t)n);
}
ATHI_INLINE vi load_places(const uint8_t *from, int64_t n) {
    vb narrow = {0};
    if (n >= VW)
        narrow = vloadb(from);
    else
        memcpy(&narrow, from, (size_t)n);
    return vwiden(narrow);
}

/* Replaces best where x is larger, or is the first NaN. */
ATHI_INLINE void take_larger(vf *best, vi *at, vf x, int where) {
    vi larger = (x > *best) | ((x != x) & (*best == *best));
    *best = vsel(larger, x, *best);
    *at = (larger & where) | (~larger & *at);
}

/* ---- maximum ------------------------------------------------------------------------------------- */

static void max_window(const athi_pool *p, const stored *x, int64_t oi, int64_t oj, stored *y, uint8_t *index) {
    window w = window_at(p, oi, oj);
    for (int64_t c = 0; c < p->C; c += VW) {
        vf best = vset(-__builtin_inff());
        vi at = vseti(place(p, oi, oj, w.i0, w.j0));
        for (int64_t i = w.i0; i < w.i1; i++)
            for (int64_t j = w.j0; j < w.j1; j++)
                take_larger(&best, &at, sload_n(x + (i * p->W + j) * p->C + c, p->C - c), place(p, oi, oj, i, j));
        sstore_n(y + c, best, p->C - c);
        if (index) store_places(index + c, at, p->C - c);
    }
}

/* The common case, windows of 2 x 2 that tile the image and whole vectors of channels. */
static bool is_2x2(const athi_pool *p) {
    return p->kernel_h == 2 && p->kernel_w == 2 && p->stride_h == 2 && p->stride_w == 2 && !p->pad_top &&
           !p->pad_left && p->out_h <= p->H / 2 && p->out_w <= p->W / 2 && p->C % VW == 0;
}

static void max_2x2_row(const athi_pool *p, const stored *x, stored *y, uint8_t *index) {
    const int64_t down = p->W * p->C, right = p->C;
    for (int64_t oj = 0; oj < p->out_w; oj++, x += 2 * right, y += p->C, index += index ? p->C : 0)
        for (int64_t c = 0; c < p->C; c += VW) {
            vf best = sload(x + c);
            vi at = {0};
            take_larger(&best, &at, sload(x + c + right), 1);
            take_larger(&best, &at, sload(x + c + down), 2);
            take_larger(&best, &at, sload(x + c + down + right), 3);
            sstore(y + c, best);
            if (index) vstoreb(index + c, vnarrow(at));
        }
}

static void max_part(const void *work, int64_t lo, int64_t hi, int part) {
    const pool_work *w = work;
    const athi_pool *p = w->p;
    (void)part;
    for (int64_t n = lo; n < hi; n++) {
        const stored *x = w->x + n * image_in(p);
        for (int64_t oi = 0; oi < p->out_h; oi++) {
            int64_t at = n * image_out(p) + oi * p->out_w * p->C;
            if (is_2x2(p)) {
                max_2x2_row(p, x + 2 * oi * p->W * p->C, w->out + at, w->index ? w->index + at : NULL);
                continue;
            }
            for (int64_t oj = 0; oj < p->out_w; oj++, at += p->C)
                max_window(p, x, oi, oj, w->out + at, w->index ? w->index + at : NULL);
        }
    }
}

/* dy where y, if it is given, is positive. */
ATHI_INLINE vf masked(const pool_work *w, int64_t at, int64_t n) {
    vf dy = sload_n(w->dy + at, n);
    return w->relu ? vsel(sload_n(w->y + at, n) > 0.0f, dy, (vf){0}) : dy;
}

/* One row of 2 x 2 windows writes its two rows of dx whole. */
static void max_2x2_grad_row(const pool_work *w, int64_t at, stored *dx) {
    const athi_pool *p = w->p;
    const int64_t down = p->W * p->C, right = p->C;
    for (int64_t oj = 0; oj < p->out_w; oj++, at += p->C, dx += 2 * right)
        for (int64_t c = 0; c < p->C; c += VW) {
            vf dy = masked(w, at + c, VW);
            vi from = vwiden(vloadb(w->from + at + c));
            sstore(dx + c, vsel(from == 0, dy, (vf){0}));
            sstore(dx + c + right, vsel(from == 1, dy, (vf){0}));
            sstore(dx + c + down, vsel(from == 2, dy, (vf){0}));
            sstore(dx + c + down + right, vsel(from == 3, dy, (vf){0}));
        }
    for (int64_t j = 2 * p->out_w; j < p->W; j++, dx += right)
        for (int64_t c = 0; c < p->C; c += VW) sstore(dx + c, (vf){0}), sstore(dx + c + down, (vf){0});
}

static void max_grad_window(const pool_work *w, int64_t oi, int64_t oj, int64_t at, stored *dx) {
    const athi_pool *p = w->p;
    window in = window_at(p, oi, oj);
    for (int64_t c = 0; c < p->C; c += VW) {
        vf dy = masked(w, at + c, p->C - c);
        vi from = load_places(w->from + at + c, p->C - c);
        for (int64_t i = in.i0; i < in.i1; i++)
            for (int64_t j = in.j0; j < in.j1; j++) {
                stored *to = dx + (i * p->W + j) * p->C + c;
                vf add = vsel(from == place(p, oi, oj, i, j), dy, (vf){0});
                sstore_n(to, sload_n(to, p->C - c) + add, p->C - c);
            }
    }
}

static void max_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const pool_work *w = work;
    const athi_pool *p = w->p;
    (void)part;
    for (int64_t n = lo; n < hi; n++) {
        stored *dx = w->out + n * image_in(p);
        int64_t at = n * image_out(p);
        if (is_2x2(p)) {
            for (int64_t oi = 0; oi < p->out_h; oi++)
                max_2x2_grad_row(w, at + oi * p->out_w * p->C, dx + 2 * oi * p->W * p->C);
            int64_t done = 2 * p->out_h * p->W * p->C;
            memset(dx + done, 0, (size_t)(image_in(p) - done) * sizeof *dx);
            continue;
        }
        memset(dx, 0, (size_t)image_in(p) * sizeof *dx);
        for (int64_t oi = 0; oi < p->out_h; oi++)
            for (int64_t oj = 0; oj < p->out_w; oj++, at += p->C) max_grad_window(w, oi, oj, at, dx);
    }
}

/* ---- average ------------------------------------------------------------------------------------- */

static float one_over_area(window w) { return 1.0f / (float)((w.i1 - w.i0) * (w.j1 - w.j0)); }

static void average_part(const void *work, int64_t lo, int64_t hi, int part) {
    const pool_work *w = work;
    const athi_pool *p = w->p;
    (void)part;
    for (int64_t n = lo; n < hi; n++) {
        const stored *x = w->x + n * image_in(p);
        stored *y = w->out + n * image_out(p);
        for (int64_t oi = 0; oi < p->out_h; oi++)
            for (int64_t oj = 0; oj < p->out_w; oj++, y += p->C) {
                window in = window_at(p, oi, oj);
                for (int64_t c = 0; c < p->C; c += VW) {
                    vf sum = {0};
                    for (int64_t i = in.i0; i < in.i1; i++)
                        for (int64_t j = in.j0; j < in.j1; j++)
                            sum += sload_n(x + (i * p->W + j) * p->C + c, p->C - c);
                    sstore_n(y + c, sum * one_over_area(in), p->C - c);
                }
            }
    }
}

static void average_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const pool_work *w = work;
    const athi_pool *p = w->p;
    (void)part;
    for (int64_t n = lo; n < hi; n++) {
        stored *dx = w->out + n * image_in(p);
        const stored *dy = w->dy + n * image_out(p);
        memset(dx, 0, (size_t)image_in(p) * sizeof *dx);
        for (int64_t oi = 0; oi < p->out_h; oi++)
            for (int64_t oj = 0; oj < p->out_w; oj++, dy += p->C) {
                window in = window_at(p, oi, oj);
                for (int64_t c = 0; c < p->C; c += VW) {
                    vf share = sload_n(dy + c, p->C - c) * one_over_area(in);
                    for (int64_t i = in.i0; i < in.i1; i++)
                        for (int64_t j = in.j0; j < in.j1; j++) {
                            stored *to = dx + (i * p->W + j) * p->C + c;
                            sstore_n(to, sload_n(to, p->C - c) + share, p->C - c);
                        }
                }
            }
    }
}

/* Images a thread gets at least. */
static int64_t grain(const athi_pool *p) { return 32768 / ATHI_MAX(image_in(p), 1) + 1; }

static void max_pool(int threads, const athi_pool *p, const void *x, void *y, uint8_t *index) {
    athi_cpu_for(threads, p->N, grain(p), 1, max_part, &(pool_work){.p = p, .x = x, .out = y, .index = index});
}
static void max_pool_grad(int threads, const athi_pool *p, const void *dy, const uint8_t *index, const void *y,
                          void *dx) {
    athi_cpu_for(threads, p->N, grain(p), 1, max_grad_part,
                 &(pool_work){.p = p, .dy = dy, .from = index, .relu = y != NULL, .y = y, .out = dx});
}
static void average_pool(int threads, const athi_pool *p, const void *x, void *y) {
    athi_cpu_for(threads, p->N, grain(p), 1, average_part, &(pool_work){.p = p, .x = x, .out = y});
}
static void average_pool_grad(int threads, const athi_pool *p, const void *dy, void *dx) {
    athi_cpu_for(threads, p->N, grain(p), 1, average_grad_part, &(pool_work){.p = p, .dy = dy, .out = dx});
}

void ATHI_INSTANCE(athi_cpu_fill_pool)(athi_cpu_kernels *k) {
    k->max_pool = max_pool;
    k->max_pool_grad = max_pool_grad;
    k->average_pool = average_pool;
    k->average_pool_grad = average_pool_grad;
}
