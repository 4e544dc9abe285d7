/* Batches: the order of an epoch, and the gather that converts and normalises on the way. */
#include "data/data.h"

#include "backends/cpu/cpu.h"

#include <math.h>

void athi_epoch_order(uint64_t seed, int64_t epoch, int64_t n, bool shuffle, int64_t *order) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    if (!shuffle) return;
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_SHUFFLE, epoch));
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)athi_rng_below(&rng, (uint64_t)i + 1);
        int64_t t = order[i];
        order[i] = order[j], order[j] = t;
    }
}

/* One loop per element type; the compiler vectorises each. */
#define CONVERT(T)                                                                                                   \
    for (int64_t i = 0; i < n; i++) to[i] = (float)((const T *)from)[i] * scale;                                     \
    break;
static void convert(ath_dtype dtype, const void *from, int64_t n, float scale, float *to) {
    switch (dtype) {
    case ATH_U8: CONVERT(uint8_t)
    case ATH_I8: CONVERT(int8_t)
    case ATH_I32: CONVERT(int32_t)
    case ATH_I64: CONVERT(int64_t)
    case ATH_F64: CONVERT(double)
    default: CONVERT(float)
    }
}
#undef CONVERT

/* Where the i-th sample of a part lies in its arrays, counted from the part's begin. */
static int64_t row_of(const athi_part *part, int64_t i) { return i + (i >= part->gap_at ? part->gap : 0); }

/* What the processor's kernel can do: u8 and f32, with factor and shift per channel. `order`: rows. */
static bool gather_rows(const athi_part *part, const athi_preprocess *p, const int64_t *order, int64_t n, int64_t row,
                        float *x) {
    const char *from = (const char *)part->x.data + part->begin * athi_array_row_bytes(&part->x);
    if (!p->factor) return false;
    if (part->x.dtype == ATH_U8)
        athi_cpu()->gather_u8(p->threads, n, row, (const uint8_t *)from, order, p->factor, p->shift, p->period, x);
    else if (part->x.dtype == ATH_F32)
        athi_cpu()->gather_f32(p->threads, n, row, (const float *)(const void *)from, order, p->factor, p->shift,
                               p->period, x);
    else
        return false;
    return true;
}

static bool gather_fast(const athi_part *part, const athi_preprocess *p, const int64_t *order, int64_t n, int64_t row,
                        float *x) {
    enum { CHUNK = 256 };
    int64_t rows[CHUNK];
    bool done = true;
    if (!part->gap) return gather_rows(part, p, order, n, row, x);
    for (int64_t at = 0; done && at < n; at += CHUNK) {
        int64_t m = ATHI_MIN(n - at, CHUNK);
        for (int64_t i = 0; i < m; i++) rows[i] = row_of(part, order[at + i]);
        done = gather_rows(part, p, rows, m, row, x + at * row);
    }
    return done;
}

void athi_batch_x(const athi_part *part, const athi_preprocess *p, const int64_t *order, int64_t n, float *x) {
    int64_t bytes = athi_array_row_bytes(&part->x), row = bytes / athi_dtype_size(part->x.dtype);
    if (gather_fast(part, p, order, n, row, x)) return;
    for (int64_t i = 0; i < n; i++, x += row) {
        const char *from = (const char *)part->x.data + (part->begin + row_of(part, order[i])) * bytes;
        convert(part->x.dtype, from, row, 1, x);
        athi_preprocess_apply(p, x, 1, row, x);
    }
}

static int64_t integer_at(const athi_array *a, int64_t i) {
    switch (a->dtype) {
    case ATH_U8: return ((const uint8_t *)a->data)[i];
    case ATH_I8: return ((const int8_t *)a->data)[i];
    case ATH_I32: return ((const int32_t *)a->data)[i];
    case ATH_I64: return ((const int64_t *)a->data)[i];
    case ATH_F64: return (int64_t)fmax(fmin(((const double *)a->data)[i], 1e15), -1e15);
    default: return (int64_t)fmaxf(fminf(((const float *)a->data)[i], 1e15f), -1e15f);
    }
}

static bool whole_at(const athi_array *a, int64_t i) {
    if (a->dtype != ATH_F32 && a->dtype != ATH_F64) return true;
    double v = a->dtype == ATH_F32 ? (double)((const float *)a->data)[i] : ((const double *)a->data)[i];
    return v == floor(v);
}

/* The class of a one-hot row: its largest element, the first of equal ones. */
static int32_t hottest(const athi_array *a, int64_t i, int64_t width) {
    float best = 0, v;
    int32_t at = 0;
    for (int64_t j = 0; j < width; j++) {
        convert(a->dtype, (const char *)a->data + (i * width + j) * athi_dtype_size(a->dtype), 1, 1, &v);
        if (j == 0 || v > best) best = v, at = (int32_t)j;
    }
    return at;
}

void athi_batch_classes(const athi_part *part, const int64_t *order, int64_t n, int32_t *y) {
    int64_t width = athi_array_row_bytes(&part->y) / athi_dtype_size(part->y.dtype);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = part->begin + row_of(part, order[i]);
        y[i] = width == 1 ? (int32_t)integer_at(&part->y, at) : hottest(&part->y, at, width);
    }
}

void athi_batch_targets(const athi_part *part, const int64_t *order, int64_t n, int64_t classes, float *y) {
    int64_t bytes = athi_array_row_bytes(&part->y), width = bytes / athi_dtype_size(part->y.dtype);
    bool one_hot = width == 1 && classes > 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = part->begin + row_of(part, order[i]);
        if (!one_hot) {
            convert(part->y.dtype, (const char *)part->y.data + at * bytes, width, 1, y + i * width);
            continue;
        }
        memset(y + i * classes, 0, (size_t)classes * sizeof *y);
        y[i * classes + integer_at(&part->y, at)] = 1;
    }
}

ath_status athi_part_check_classes(ath_ctx *ctx, const athi_part *part, const char *what, int64_t classes) {
    int64_t width = athi_array_row_bytes(&part->y) / athi_dtype_size(part->y.dtype);
    if (width != 1 && width != classes)
        return athi_fail(ctx, ATH_E_SHAPE, "data.%s: each target has %lld numbers, but the model gives %lld classes",
                         what, (long long)width, (long long)classes);
    for (int64_t i = 0; width == 1 && i < part->n; i++) {
        int64_t at = part->begin + row_of(part, i), label = integer_at(&part->y, at);
        if (!whole_at(&part->y, at))
            return athi_fail(ctx, ATH_E_DATA,
                             "data.%s: the label of sample %lld is not a whole number; the loss needs class numbers",
                             what, (long long)i);
        if (label < 0 || label >= classes)
            return athi_fail(ctx, ATH_E_DATA,
                             "data.%s: sample %lld has the label %lld, but the model gives classes "
                             "0..%lld; change the units of its last layer or the labels",
                             what, (long long)i, (long long)label, (long long)(classes - 1));
    }
    return ATH_OK;
}
