/* IDX files (yann.lecun.com/exdb/mnist): big-endian; two zero bytes, type, rank, sizes, elements. */
#include "data/readers.h"

static bool sniff(const char *data, int64_t size) {
    return size >= 4 && data[0] == 0 && data[1] == 0 && data[2] >= 8 && data[2] <= 14 && data[3] != 0;
}

/* Type byte -> our type; 0x0B, of 16 bits, has none. */
static const struct {
    unsigned char code;
    ath_dtype dtype;
} types[] = {{0x08, ATH_U8}, {0x09, ATH_I8}, {0x0C, ATH_I32}, {0x0D, ATH_F32}, {0x0E, ATH_F64}};

static void swap_bytes(unsigned char *to, const unsigned char *from, int64_t n, int64_t size) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t b = 0; b < size; b++) to[i * size + b] = from[i * size + size - 1 - b];
}

static ath_status parse(ath_ctx *ctx, athi_arena *arena, const char *path, const char *file, int64_t size,
                        const char *label, athi_table *table) {
    (void)label;
    const unsigned char *p = (const unsigned char *)file;
    if (!sniff(file, size))
        return athi_fail(ctx, ATH_E_SYNTAX,
                         "%s: not an IDX file: it must begin with two zero bytes, a type in "
                         "8..14 and a rank",
                         path);
    int type = -1, rank = p[3];
    for (int i = 0; i < ATHI_COUNT(types); i++)
        if (types[i].code == p[2]) type = i;
    if (type < 0) return athi_fail(ctx, ATH_E_SYNTAX, "%s: IDX element type 0x%02x is not supported", path, p[2]);
    if (rank > ATHI_MAX_RANK || size < 4 + 4 * (int64_t)rank)
        return athi_fail(ctx, ATH_E_DATA, "%s: IDX rank %d does not fit (at most %d, and the file has %lld bytes)",
                         path, rank, ATHI_MAX_RANK, (long long)size);
    athi_array a = {.dtype = types[type].dtype, .shape.rank = rank};
    int64_t count = 1, bytes = 0, item = athi_dtype_size(a.dtype);
    for (int d = 0; d < rank; d++) {
        const unsigned char *q = p + 4 + 4 * d;
        a.shape.dim[d] = (int64_t)q[0] << 24 | (int64_t)q[1] << 16 | (int64_t)q[2] << 8 | q[3];
        if (!athi_mul(count, a.shape.dim[d], &count)) count = INT64_MAX;
    }
    int64_t begin = 4 + 4 * (int64_t)rank;
    if (!athi_mul(count, item, &bytes) || bytes > size - begin)
        return athi_fail(ctx, ATH_E_DATA,
                         "%s: cut short: its header promises %lld elements of %lld bytes, but only "
                         "%lld bytes follow; fetch the file again",
                         path, (long long)count, (long long)item, (long long)(size - begin));
    if (bytes < size - begin)
        return athi_fail(ctx, ATH_E_DATA, "%s: %lld bytes follow the last element; the file is damaged", path,
                         (long long)(size - begin - bytes));
    a.data = file + begin;
    if (item > 1) {
        unsigned char *swapped = athi_arena_alloc(arena, bytes + 1);
        if (!swapped) return ATH_E_NOMEM;
        swap_bytes(swapped, p + begin, count, item);
        a.data = swapped;
    }
    table->x = a;
    return ATH_OK;
}

static const char *const suffixes[] = {"-ubyte", ".idx", NULL};
const athi_reader_impl athi_reader_idx = {suffixes, sniff, parse};
