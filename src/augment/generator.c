/* Keras's ImageDataGenerator: an affine map, a shift of the values, flips, brightness, in this order.
 * Shifts are those of its documentation; its source (Keras 3.15) lets height_shift_range move columns and
 * width_shift_range rows, and turns images that are not square about another point than their middle. */
#include "augment/options.h"

#include <math.h>

/* ---- the map ----------------------------------------------------------------------------------------- */

/* [2][3] with a third row 0 0 1 */
typedef struct matrix {
    double m[6];
} matrix;

static matrix product(matrix a, matrix b) {
    matrix c;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            c.m[3 * i + j] = a.m[3 * i] * b.m[j] + a.m[3 * i + 1] * b.m[3 + j] + (j == 2 ? a.m[3 * i + 2] : 0);
    return c;
}

static double radians(double degrees) { return degrees * 0.017453292519943295; }

/* rotation · shift · shear · zoom about the middle, made in the order (column, row). */
static athi_affine_map map_of(const athi_transform *t, athi_frame f) {
    double turn = radians(t->theta), shear = radians(t->shear), x = (double)(f.width - 1) / 2,
           y = (double)(f.height - 1) / 2;
    matrix all = {{cos(turn), -sin(turn), 0, sin(turn), cos(turn), 0}};
    all = product(all, (matrix){{1, 0, t->tx, 0, 1, t->ty}});
    all = product(all, (matrix){{1, -sin(shear), 0, 0, cos(shear), 0}});
    all = product(all, (matrix){{t->zx, 0, 0, 0, t->zy, 0}});
    all = product((matrix){{1, 0, x, 0, 1, y}}, product(all, (matrix){{1, 0, -x, 0, 1, -y}}));
    const double *m = all.m;
    return (athi_affine_map){.m = {m[4], m[3], m[5], m[1], m[0], m[2]}};
}

/* Flips come after the map: they mirror the places of the output. */
static void flip_columns(athi_affine_map *a, int64_t width) {
    for (int i = 0; i < 6; i += 3) a->m[i + 2] += a->m[i + 1] * (double)(width - 1), a->m[i + 1] = -a->m[i + 1];
}
static void flip_rows(athi_affine_map *a, int64_t height) {
    for (int i = 0; i < 6; i += 3) a->m[i + 2] += a->m[i] * (double)(height - 1), a->m[i] = -a->m[i];
}

/* ---- values ------------------------------------------------------------------------------------------ */

static athi_ends ends_of_values(const float *y, int64_t n) {
    athi_ends e = {(double)y[0], (double)y[0]};
    for (int64_t i = 1; i < n; i++) e.low = fmin(e.low, (double)y[i]), e.high = fmax(e.high, (double)y[i]);
    return e;
}

static void shift_values(float *y, int64_t n, double by) {
    athi_ends e = ends_of_values(y, n);
    for (int64_t i = 0; i < n; i++) y[i] = (float)fmin(fmax((double)y[i] + by, e.low), e.high);
}

/* As Pillow does it on whole numbers 0 to 255; other values are stretched to these first and back after. */
static void brighten(float *y, int64_t n, double factor) {
    athi_ends e = ends_of_values(y, n);
    bool stretched = e.low < 0 || e.high > 255;
    double width = e.high - e.low;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)y[i];
        if (stretched) v = width > 0 ? (v - e.low) / width * 255 : 0;
        v = floor(fmin(fmax(floor(v) * factor, 0), 255));
        y[i] = (float)(stretched ? v / 255 * width + e.low : v);
    }
}

void athi_transform_apply(const athi_generator_opts *o, const athi_transform *t, const float *x, athi_frame frame,
                          float *y) {
    static const athi_border borders[] = {ATHI_BORDER_NEAREST, ATHI_BORDER_CUT, ATHI_BORDER_REFLECT,
                                          ATHI_BORDER_WRAP_LAST}; /* in the order of fill_modes */
    int64_t n = athi_frame_count(frame);
    athi_affine_map a = map_of(t, frame);
    if (t->flip_horizontal) flip_columns(&a, frame.width);
    if (t->flip_vertical) flip_rows(&a, frame.height);
    a.border = borders[o->fill_mode], a.value = (float)o->cval;
    if (athi_affine_is_identity(&a))
        memcpy(y, x, (size_t)n * sizeof *y);
    else
        athi_affine_apply(&a, x, frame, y, frame);
    if (t->shifts_channels) shift_values(y, n, t->channel_shift);
    if (t->brightens) brighten(y, n, t->brightness);
}

/* ---- what is drawn ----------------------------------------------------------------------------------- */

/* A number < 1 is a part of the size, one >= 1 pixels, an integer n one of 0 … n - 1 pixels in one of both directions, a
 * list one of its numbers in one of both directions. */
static double draw_shift(athi_rng *rng, const athi_value *range, int64_t size) {
    if (!range) return 0;
    double shift, largest = range->number;
    if (range->type == ATHI_FLOAT) {
        shift = athi_draw_between(rng, (athi_ends){-range->number, range->number});
    } else if (range->type == ATHI_INT) {
        if (range->integer == 0) return 0;
        shift = (double)athi_rng_below(rng, (uint64_t)range->integer);
    } else {
        shift = range->items[athi_rng_below(rng, (uint64_t)range->n)]->number, largest = -INFINITY;
        for (int64_t i = 0; i < range->n; i++) largest = fmax(largest, range->items[i]->number);
    }
    if (range->type != ATHI_FLOAT && athi_rng_uniform(rng) < 0.5) shift = -shift;
    return largest < 1 ? shift * (double)size : shift;
}

static athi_ends zoom_ends(ath_floats z) {
    if (z.n == 1) return (athi_ends){1 - z.v[0], 1 + z.v[0]};
    return (athi_ends){z.v[0], z.v[1]};
}

/* Every number is drawn, used or not: an option changes nothing of what the others do. */
static athi_transform draw(const athi_generator_opts *o, athi_rng *rng, athi_frame f) {
    athi_transform t;
    athi_ends zoom = zoom_ends(o->zoom_range);
    t.theta = athi_draw_between(rng, (athi_ends){-o->rotation_range, o->rotation_range});
    t.shear = athi_draw_between(rng, (athi_ends){-o->shear_range, o->shear_range});
    t.zx = athi_draw_between(rng, zoom), t.zy = athi_draw_between(rng, zoom);
    t.flip_horizontal = athi_rng_uniform(rng) < 0.5 && o->horizontal_flip;
    t.flip_vertical = athi_rng_uniform(rng) < 0.5 && o->vertical_flip;
    t.channel_shift = athi_draw_between(rng, (athi_ends){-o->channel_shift_range, o->channel_shift_range});
    t.shifts_channels = o->channel_shift_range != 0, t.brightens = o->brightness_range.n > 0;
    double u = athi_rng_uniform(rng);
    t.brightness =
        t.brightens ? o->brightness_range.v[0] + (o->brightness_range.v[1] - o->brightness_range.v[0]) * u : 1;
    t.tx = draw_shift(rng, o->width_shift_range, f.width); /* last: how much they draw depends on what they are */
    t.ty = draw_shift(rng, o->height_shift_range, f.height);
    return t;
}

static bool generate(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    (void)out;
    athi_transform t = draw(opts, rng, in);
    athi_transform_apply(opts, &t, x, in, y);
    return true;
}

/* ---- options ----------------------------------------------------------------------------------------- */

static ath_status check_shift(ath_ctx *ctx, const athi_value *v, const char *where, const char *name) {
    double number;
    bool fits = !v || v->type == ATHI_INT || v->type == ATHI_FLOAT || (v->type == ATHI_LIST && v->n > 0);
    for (int64_t i = 0; fits && v && v->type == ATHI_LIST && i < v->n; i++)
        fits = athi_value_number(v->items[i], &number) && isfinite(number);
    if (fits && v && v->type != ATHI_LIST) fits = v->number >= 0 && v->number <= 1e6;
    if (fits) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION,
                     "%s: %s must be a part of the size below 1, a number of pixels >= 1, or a list of either", where,
                     name);
}

static ath_status check(ath_ctx *ctx, const void *opts, athi_frame frame, const char *where) {
    const athi_generator_opts *o = opts;
    (void)frame;
    ATH_TRY(check_shift(ctx, o->width_shift_range, where, "width_shift_range"));
    ATH_TRY(check_shift(ctx, o->height_shift_range, where, "height_shift_range"));
    if (o->brightness_range.n == 1)
        return athi_fail(ctx, ATH_E_OPTION, "%s: brightness_range must be two numbers: [darkest, brightest]", where);
    if (zoom_ends(o->zoom_range).low <= 0)
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s: zoom_range must stay above a zoom of 0: a number below 1, or two numbers above 0",
                         where);
    return ATH_OK;
}
const athi_augment_impl athi_augment_generator = {.check = check, .image = generate};

static const char *const fill_modes[] = {"nearest", "constant", "reflect", "wrap", NULL};
#define T athi_generator_opts
const athi_option athi_options_generator[] = {
    ATHI_ROW_FLAG(T, featurewise_center, "as data.normalize: featurewise_center"),
    ATHI_ROW_FLAG(T, featurewise_std_normalization, "as data.normalize: featurewise"),
    ATHI_ROW_FLAG(T, samplewise_center, "as data.normalize: samplewise_center"),
    ATHI_ROW_FLAG(T, samplewise_std_normalization, "as data.normalize: samplewise"),
    ATHI_ROW_NUMBER(T, rotation_range, "0", 0, 360, "degrees, in both directions"),
    {"width_shift_range", ATHI_OPT_VALUE, offsetof(T, width_shift_range), "null", .nullable = true,
     .doc = "a number below 1: up to this part of the width; from 1 on: pixels; an integer n: 0 to n - 1 whole "
            "pixels; a "
            "list: one of its numbers; to either side"},
    {"height_shift_range", ATHI_OPT_VALUE, offsetof(T, height_shift_range), "null", .nullable = true,
     .doc = "the same for the height"},
    {"brightness_range", ATHI_OPT_FLOATS, offsetof(T, brightness_range), "null", .nullable = true, .min = 0,
     .max = 1e6, .doc = "[darkest, brightest]: factors of values 0 to 255"},
    ATHI_ROW_NUMBER(T, shear_range, "0", 0, 360, "degrees, in both directions"),
    ATHI_ROW_RANGE(T, zoom_range, "0", 0, 1e6,
                   "z: 1 - z to 1 + z, or [from, to]; rows and columns are drawn separately"),
    ATHI_ROW_NUMBER(T, channel_shift_range, "0", 0, 1e9,
                    "added to or subtracted from all values, cut at the image's own ends"),
    ATHI_ROW_CHOICE(T, fill_mode, "nearest", fill_modes, "what lies beyond the border"),
    ATHI_ROW_NUMBER(T, cval, "0", 0, 0, "beyond the border when fill_mode is constant"),
    ATHI_ROW_FLAG(T, horizontal_flip, "mirror every second image left to right"),
    ATHI_ROW_FLAG(T, vertical_flip, "mirror every second image upside down"),
    {0},
};
#undef T
