/* NumPy's .npy files, versions 1 to 3 (numpy.lib.format): magic, header as a Python dict, C-order elements.
 * Besides the types of ours, <f2 and <i2/<u2 are widened on reading. */
#include "data/readers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char magic[] = "\x93NUMPY";

static bool sniff(const char *data, int64_t size) { return size >= 10 && memcmp(data, magic, 6) == 0; }

/* How each descr is stored; `widen` converts elements that have no type of ours. */
static float half_to_float(const unsigned char *p) {
    unsigned h = (unsigned)p[0] | (unsigned)p[1] << 8, exponent = h >> 10 & 31, mantissa = h & 1023;
    double value = exponent == 31  ? (mantissa ? (double)NAN : (double)INFINITY)
                   : exponent == 0 ? ldexp(mantissa, -24)
                                   : ldexp(1024 + mantissa, (int)exponent - 25);
    return (float)(h & 0x8000 ? -value : value);
}
static void widen_f2(const unsigned char *p, void *to, int64_t i) { ((float *)to)[i] = half_to_float(p); }
static void widen_i2(const unsigned char *p, void *to, int64_t i) {
    ((int32_t *)to)[i] = (int16_t)((unsigned)p[0] | (unsigned)p[1] << 8);
}
static void widen_u2(const unsigned char *p, void *to, int64_t i) { ((int32_t *)to)[i] = p[0] | p[1] << 8; }
static void widen_u4(const unsigned char *p, void *to, int64_t i) {
    ((int64_t *)to)[i] =
        (int64_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

static const struct descr {
    const char *text;
    ath_dtype dtype;
    int64_t bytes;
    void (*widen)(const unsigned char *p, void *to, int64_t i);
} descrs[] = {
    {"<f4", ATH_F32, 4, NULL},     {"<f8", ATH_F64, 8, NULL},     {"<f2", ATH_F32, 2, widen_f2},
    {"|u1", ATH_U8, 1, NULL},      {"|i1", ATH_I8, 1, NULL},      {"|b1", ATH_U8, 1, NULL},
    {"<i4", ATH_I32, 4, NULL},     {"<i8", ATH_I64, 8, NULL},     {"<i2", ATH_I32, 2, widen_i2},
    {"<u2", ATH_I32, 2, widen_u2}, {"<u4", ATH_I64, 4, widen_u4},
};

/* The header is the repr of a dict: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
static const char *after_key(const char *header, const char *key) {
    const char *p = strstr(header, key);
    if (!p) return NULL;
    p += strlen(key);
    while (*p == ' ' || *p == ':') p++;
    return p;
}

static ath_status parse_shape(ath_ctx *ctx, const char *path, const char *p, athi_shape *shape) {
    shape->rank = 0;
    if (!p || *p != '(') return athi_fail(ctx, ATH_E_SYNTAX, "%s: its .npy header has no shape", path);
    for (p++; *p && *p != ')';) {
        char *end;
        long long d = strtoll(p, &end, 10);
        if (end == p || d < 0 || shape->rank == ATHI_MAX_RANK)
            return athi_fail(ctx, ATH_E_SYNTAX, "%s: its .npy shape must be at most %d sizes", path, ATHI_MAX_RANK);
        shape->dim[shape->rank++] = d;
        for (p = end; *p == ',' || *p == ' ';) p++;
    }
    return ATH_OK;
}

static ath_status parse(ath_ctx *ctx, athi_arena *arena, const char *path, const char *file, int64_t size,
                        const char *label, athi_table *table) {
    (void)label;
    const unsigned char *p = (const unsigned char *)file;
    if (!sniff(file, size)) return athi_fail(ctx, ATH_E_SYNTAX, "%s: not a .npy file", path);
    int64_t start = p[6] == 1 ? 10 : 12, length = p[8] | (int64_t)p[9] << 8;
    if (p[6] != 1 && size >= 12) length |= (int64_t)p[10] << 16 | (int64_t)p[11] << 24;
    if (p[6] < 1 || p[6] > 3 || size < start || length > size - start)
        return athi_fail(ctx, ATH_E_DATA, "%s: cut short, or a .npy version that does not exist", path);
    char *header = athi_arena_strndup(arena, file + start, length);
    if (!header) return ATH_E_NOMEM;
    const char *text = after_key(header, "'descr'"), *order = after_key(header, "'fortran_order'");
    const struct descr *descr = NULL;
    for (int i = 0; text && *text == '\'' && i < ATHI_COUNT(descrs); i++)
        if (strncmp(text + 1, descrs[i].text, 3) == 0) descr = &descrs[i];
    if (!descr)
        return athi_fail(ctx, ATH_E_SYNTAX,
                         "%s: element type %.*s is not one that can be read; save it as little-endian float32, "
                         "uint8 or an integer type",
                         path, text ? (int)ATHI_MIN(strcspn(text, ",}"), 24) : 6, text ? text : "(none)");
    if (order && strncmp(order, "True", 4) == 0)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: saved in Fortran order; save numpy.ascontiguousarray(x) instead",
                         path);
    athi_array a = {.dtype = descr->dtype};
    ATH_TRY(parse_shape(ctx, path, after_key(header, "'shape'"), &a.shape));
    int64_t count = athi_shape_count(a.shape), bytes = 0, have = size - start - length;
    if (count < 0 || !athi_mul(count, descr->bytes, &bytes) || bytes != have)
        return athi_fail(ctx, ATH_E_DATA,
                         "%s: its header promises %lld elements of %lld bytes, but %lld bytes follow; "
                         "the file is cut short or damaged",
                         path, (long long)count, (long long)descr->bytes, (long long)have);
    a.data = file + start + length;
    int64_t item = athi_dtype_size(a.dtype);
    if (descr->widen || (uintptr_t)a.data % (uintptr_t)item) { /* converted, or moved to where it may be read */
        void *copy = athi_arena_array(arena, count + 1, item);
        if (!copy) return ATH_E_NOMEM;
        const unsigned char *from = a.data;
        if (descr->widen)
            for (int64_t i = 0; i < count; i++) descr->widen(from + i * descr->bytes, copy, i);
        else
            memcpy(copy, a.data, (size_t)bytes);
        a.data = copy;
    }
    table->x = a;
    return ATH_OK;
}

static const char *const suffixes[] = {".npy", NULL};
const athi_reader_impl athi_reader_npy = {suffixes, sniff, parse};
