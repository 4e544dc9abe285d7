/* The affine map of an image: every pixel of the output looks up a place in the input, between four pixels of it.
 * A place is first brought inside the image, as its border says, in each axis by itself; so a map without rotation and
 * shear needs one look-up a row and a column, not one a pixel. */
#include "augment/augment.h"

#include <math.h>

/* The two pixels around a place in one axis, and how far it is from the first to the second; -1: beyond the border. */
typedef struct tap {
    int64_t low, high;
    float part;
} tap;

/* A half turn brings the outermost pixels just outside by rounding. */
static const double ROUNDING = 1e-9;

/* ---- borders --------------------------------------------------------------------------------------- */

/* [0, period) */
static double modulo(double at, double period) {
    double rest = fmod(at, period);
    if (rest < 0) rest += period;
    return rest < period ? rest : 0; /* what is barely below 0 may round to the period */
}

/* Inside [0, n - 1], where a border of fill values is not asked for. */
static double brought_inside(athi_border border, double at, int64_t n) {
    double size = (double)n, last = size - 1;
    if (at >= 0 && at <= last) return at;
    switch (border) {
    case ATHI_BORDER_REFLECT:
        at = modulo(at, 2 * size);
        if (at >= size) at = 2 * size - 1 - at;
        break;
    case ATHI_BORDER_WRAP_LAST: /* its whole periods before the image give the last pixel, as in SciPy */
        if (n > 1) at -= last * (at < 0 ? -floor(-at / last) - 1 : floor(at / last));
        break;
    default: break;
    }
    return fmin(fmax(at, 0), last);
}

static tap tap_at(const athi_affine_map *a, double at, int64_t n) {
    double size = (double)n;
    bool wraps = a->border == ATHI_BORDER_WRAP;
    if (a->border == ATHI_BORDER_CUT && !(at >= -ROUNDING && at <= size - 1 + ROUNDING)) return (tap){-1, -1, 0};
    if (a->border == ATHI_BORDER_BLEND)
        at = fmin(fmax(at, -2), size + 1); /* far enough outside, and a safe integer */
    else
        at = wraps ? modulo(at, size) : brought_inside(a->border, at, n);
    double low = a->nearest ? round(at) : floor(at);
    tap t = {(int64_t)low, (int64_t)low, a->nearest ? 0 : (float)(at - low)};
    if (t.part > 0) t.high++;
    if (t.low < 0 || t.low >= n) t.low = wraps ? 0 : -1;
    if (t.high < 0 || t.high >= n) t.high = wraps ? 0 : -1;
    return t;
}

/* ---- pixels ---------------------------------------------------------------------------------------- */

typedef struct source {
    const float *x;
    athi_frame frame;
    float value;
} source;

static float pixel(const source *s, int64_t row, int64_t column, int64_t channel) {
    if (row < 0 || column < 0) return s->value;
    return s->x[(row * s->frame.width + column) * s->frame.channels + channel];
}

static void mixture(const source *s, tap row, tap column, float *y) {
    for (int64_t k = 0; k < s->frame.channels; k++) {
        float a = pixel(s, row.low, column.low, k), b = pixel(s, row.low, column.high, k),
              c = pixel(s, row.high, column.low, k), d = pixel(s, row.high, column.high, k);
        float top = a + column.part * (b - a), bottom = c + column.part * (d - c);
        y[k] = top + row.part * (bottom - top);
    }
}

/* A row of pixels none of which lies beyond the border, in one channel. `whole`: its columns are pixels of the input, as for
 * flips and whole shifts, which only copy. */
static void grey_line(const source *s, tap row, const tap *columns, int64_t n, bool whole, float *y) {
    const float *top = s->x + row.low * s->frame.width, *bottom = s->x + row.high * s->frame.width;
    for (int64_t j = 0; whole && row.part == 0 && j < n; j++) y[j] = top[columns[j].low];
    if (whole && row.part == 0) return;
    for (int64_t j = 0; j < n; j++) {
        tap c = columns[j];
        float upper = top[c.low] + c.part * (top[c.high] - top[c.low]),
              lower = bottom[c.low] + c.part * (bottom[c.high] - bottom[c.low]);
        y[j] = upper + row.part * (lower - upper);
    }
}

/* ---- maps ------------------------------------------------------------------------------------------ */

enum { CHUNK = 128 }; /* columns at a time: their taps lie on the stack */

static void apply_separable(const athi_affine_map *a, const source *s, float *y, athi_frame out) {
    tap columns[CHUNK];
    for (int64_t begin = 0; begin < out.width; begin += CHUNK) {
        int64_t n = ATHI_MIN(out.width - begin, CHUNK);
        bool inside = true, whole = true;
        for (int64_t j = 0; j < n; j++) {
            columns[j] = tap_at(a, a->m[4] * (double)(begin + j) + a->m[5], s->frame.width);
            inside = inside && columns[j].low >= 0 && columns[j].high >= 0;
            whole = whole && columns[j].part == 0;
        }
        for (int64_t r = 0; r < out.height; r++) {
            tap row = tap_at(a, a->m[0] * (double)r + a->m[2], s->frame.height);
            float *to = y + (r * out.width + begin) * out.channels;
            if (out.channels == 1 && inside && row.low >= 0 && row.high >= 0) {
                grey_line(s, row, columns, n, whole, to);
                continue;
            }
            for (int64_t j = 0; j < n; j++) mixture(s, row, columns[j], to + j * out.channels);
        }
    }
}

static void apply_general(const athi_affine_map *a, const source *s, float *y, athi_frame out) {
    for (int64_t r = 0; r < out.height; r++)
        for (int64_t c = 0; c < out.width; c++, y += out.channels) {
            tap row = tap_at(a, a->m[0] * (double)r + a->m[1] * (double)c + a->m[2], s->frame.height),
                column = tap_at(a, a->m[3] * (double)r + a->m[4] * (double)c + a->m[5], s->frame.width);
            mixture(s, row, column, y);
        }
}

void athi_affine_apply(const athi_affine_map *a, const float *x, athi_frame in, float *y, athi_frame out) {
    source s = {x, in, a->value};
    bool separable = a->m[1] == 0 && a->m[3] == 0;
    (separable ? apply_separable : apply_general)(a, &s, y, out);
}

bool athi_affine_is_identity(const athi_affine_map *a) {
    const double *m = a->m;
    return m[0] == 1 && m[1] == 0 && m[2] == 0 && m[3] == 0 && m[4] == 1 && m[5] == 0;
}

/* ---- the maps of Keras's layers ---------------------------------------------------------------------- */

athi_affine_map athi_affine_rotation(double degrees, athi_frame f) {
    double angle = degrees * 0.017453292519943295, cosine = cos(angle), sine = sin(angle);
    double y = (double)(f.height - 1) / 2, x = (double)(f.width - 1) / 2;
    return (athi_affine_map){
        .m = {cosine, sine, y - x * sine - y * cosine, -sine, cosine, x - x * cosine + y * sine}};
}

athi_affine_map athi_affine_zoom(double height, double width, athi_frame f) {
    return (athi_affine_map){.m = {height, 0, (double)(f.height - 1) / 2 * (1 - height), 0, width,
                                   (double)(f.width - 1) / 2 * (1 - width)}};
}

athi_affine_map athi_affine_translation(double down, double right) {
    return (athi_affine_map){.m = {1, 0, -down, 0, 1, -right}};
}
