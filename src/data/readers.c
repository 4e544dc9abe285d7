/* The reader table, and loading through the cache: what costs time to decode is decoded once into a
 * safetensors file that every worker maps. */
#include "data/readers.h"

#include "base/file.h"
#include "tensor/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

const athi_kind athi_readers = {
    "reader", "readers",
    (const athi_row[]){{"idx", "IDX files (MNIST's format), plain or gzipped", NULL, 0, &athi_reader_idx, NULL},
                       {"npy", "NumPy arrays, plain or gzipped", NULL, 0, &athi_reader_npy, NULL},
                       {"csv", "comma-separated values with a header line; one column is the label", NULL, 0,
                        &athi_reader_csv, NULL},
                       {0}}};

int64_t athi_array_row_bytes(const athi_array *a) {
    int64_t bytes = athi_dtype_size(a->dtype);
    for (int d = 1; d < a->shape.rank; d++) bytes *= a->shape.dim[d];
    return bytes;
}

static const athi_reader_impl *reader_of(const char *path, const char *data, int64_t size) {
    char name[4096];
    snprintf(name, sizeof name, "%s", path);
    size_t length = strlen(name);
    if (length > 3 && strcmp(name + length - 3, ".gz") == 0) name[length -= 3] = 0;
    for (const athi_row *r = athi_readers.rows; r->name; r++) {
        const athi_reader_impl *impl = r->impl;
        for (const char *const *s = impl->suffixes; *s; s++)
            if (length >= strlen(*s) && strcmp(name + length - strlen(*s), *s) == 0) return impl;
    }
    for (const athi_row *r = athi_readers.rows; r->name; r++) {
        const athi_reader_impl *impl = r->impl;
        if (impl->sniff && impl->sniff(data, size)) return impl;
    }
    return NULL;
}

/* Samples in front, each of at least one number, and sizes that can be multiplied from here on. */
static ath_status check_rows(ath_ctx *ctx, const char *path, const athi_array *a) {
    char shape[96];
    int64_t bytes = athi_dtype_size(a->dtype);
    if (a->shape.rank == 0)
        return athi_fail(ctx, ATH_E_DATA, "%s: a single number, expected an array with samples in front", path);
    for (int d = 0; d < a->shape.rank; d++)
        if (a->shape.dim[d] < 1 || !athi_mul(bytes, a->shape.dim[d], &bytes))
            return athi_fail(ctx, ATH_E_DATA,
                             "%s: its shape is %s, expected at least one sample of at least one number", path,
                             athi_shape_str(a->shape, shape));
    return ATH_OK;
}

/* NaN or an infinity in the data would only show as a loss of NaN much later. */
static ath_status check_finite(ath_ctx *ctx, const char *path, const athi_array *a) {
    int64_t count = athi_shape_count(a->shape),
            row = ATHI_MAX(athi_array_row_bytes(a) / athi_dtype_size(a->dtype), 1);
    for (int64_t i = 0; i < count; i++) {
        double v = a->dtype == ATH_F32   ? (double)((const float *)a->data)[i]
                   : a->dtype == ATH_F64 ? ((const double *)a->data)[i]
                                         : 0;
        if (!isfinite(v))
            return athi_fail(ctx, ATH_E_DATA, "%s: sample %lld holds %s at element %lld; remove or replace it", path,
                             (long long)(i / row), isnan(v) ? "NaN" : "an infinity", (long long)(i % row));
    }
    return ATH_OK;
}

ath_status athi_table_check(ath_ctx *ctx, const char *path, const athi_table *table) {
    ATH_TRY(check_rows(ctx, path, &table->x));
    ATH_TRY(check_finite(ctx, path, &table->x));
    return table->y.data ? check_finite(ctx, path, &table->y) : ATH_OK;
}

static ath_status decode(ath_ctx *ctx, athi_arena *arena, const char *path, const char *label, athi_table *table) {
    char *file = NULL;
    int64_t size = 0;
    ATH_TRY(athi_file_read(ctx, path, true, (int64_t)1 << 40, &file, &size));
    const athi_reader_impl *reader = reader_of(path, file, size);
    ath_status status = ATH_OK;
    char *copy = NULL;
    if (!reader)
        status = athi_fail(ctx, ATH_E_SYNTAX, "%s: neither IDX, NPY nor CSV; see `athanor list readers`", path);
    else if (!(copy = athi_arena_alloc(arena, size + 64)))
        status = ATH_E_NOMEM;
    if (status == ATH_OK) {
        memcpy(copy, file, (size_t)size); /* the parsed arrays point into the file, which so lives in the arena */
        status = reader->parse(ctx, arena, path, copy, size, label, table);
    }
    athi_free(ctx, file);
    return status == ATH_OK ? athi_table_check(ctx, path, table) : status;
}

/* ---- the cache ----------------------------------------------------------------------------------- */

/* Changes whenever the path, the file or the way of reading it does. */
static ath_status cache_path(ath_ctx *ctx, athi_arena *arena, const char *path, const char *label, const char *cache,
                             char **out) {
    struct stat st;
    if (stat(path, &st) != 0)
        return athi_fail(ctx, ATH_E_NOTFOUND, "%s: no such file; check the path in `data:`", path);
    char text[4608]; /* inode and change time: unpacking and copying can keep path, size and mtime of other data */
    int n = snprintf(text, sizeof text, "2|%s|%s|%lld|%lld.%09ld|%llu:%llu|%lld.%09ld", label ? label : "", path,
                     (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                     (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)st.st_ctim.tv_sec,
                     st.st_ctim.tv_nsec);
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (int i = 0; i < n && i < (int)sizeof text - 1; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    *out = athi_arena_printf(arena, "%s/%016llx.safetensors", cache, (unsigned long long)hash);
    return *out ? ATH_OK : ATH_E_NOMEM;
}

static ath_status cache_save(ath_ctx *ctx, athi_arena *arena, const char *path, const athi_table *table) {
    athi_entry entries[2] = {{.name = "x", .dtype = table->x.dtype, .shape = table->x.shape},
                             {.name = "y", .dtype = table->y.dtype, .shape = table->y.shape}};
    athi_contents contents = {.entries = entries, .n = table->y.data ? 2 : 1};
    if (table->class_names) {
        athi_value *metadata = athi_value_new(arena, ATHI_MAP), *names = athi_value_new(arena, ATHI_LIST);
        if (!metadata || !names) return ATH_E_NOMEM;
        for (int64_t i = 0; i < table->n_classes; i++)
            ATH_TRY(athi_value_append(arena, names, athi_value_string(arena, table->class_names[i])));
        athi_text json = {.ctx = ctx};
        ath_status status = athi_json_write(&json, names, 0);
        if (status == ATH_OK)
            status = athi_value_set(arena, metadata, "classes", athi_value_string(arena, json.text));
        athi_text_free(&json);
        ATH_TRY(status);
        contents.metadata = metadata;
    }
    return athi_safetensors_write(ctx, path, &contents, (const void *[]){table->x.data, table->y.data});
}

static ath_status cached_array(ath_ctx *ctx, const char *path, const athi_entry *e, const unsigned char *data,
                               athi_array *a) {
    *a = (athi_array){e->dtype, e->shape, data + e->offset};
    if (e->dtype == ATH_F16 || e->dtype == ATH_BF16 || (uintptr_t)a->data % (uintptr_t)athi_dtype_size(e->dtype))
        return athi_fail(ctx, ATH_E_DATA, "%s: damaged: '%s' is of another type or not aligned; delete it", path,
                         e->name);
    return check_rows(ctx, path, a);
}

static ath_status cache_open(ath_ctx *ctx, athi_arena *arena, const char *path, athi_map *map, athi_table *table) {
    athi_contents contents;
    int64_t begin = 0;
    ATH_TRY(athi_file_map(ctx, path, map));
    ATH_TRY(athi_contents_parse(ctx, arena, path, map->data, map->size, &contents, &begin));
    const athi_entry *x = athi_contents_find(&contents, "x"), *y = athi_contents_find(&contents, "y");
    if (!x) return athi_fail(ctx, ATH_E_DATA, "%s: a data cache without x; delete it", path);
    ATH_TRY(cached_array(ctx, path, x, map->data + begin, &table->x));
    if (y) ATH_TRY(cached_array(ctx, path, y, map->data + begin, &table->y));
    const athi_value *classes = athi_value_get(contents.metadata, "classes");
    if (!classes || classes->type != ATHI_STRING) return ATH_OK;
    athi_value *names = NULL;
    ATH_TRY(athi_json_read(ctx, arena, classes->text, (int64_t)strlen(classes->text), &names));
    const char **list = athi_arena_array(arena, names->n + 1, sizeof *list);
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < names->n; i++) {
        if (names->type != ATHI_LIST || names->items[i]->type != ATHI_STRING)
            return athi_fail(ctx, ATH_E_DATA, "%s: damaged: its class names are not texts; delete it", path);
        list[i] = names->items[i]->text;
    }
    table->class_names = list, table->n_classes = names->n;
    return ATH_OK;
}

ath_status athi_table_load(ath_ctx *ctx, athi_arena *arena, const char *path, const char *label, const char *cache,
                           athi_map *map, athi_table *table) {
    *table = (athi_table){0};
    *map = (athi_map){0};
    if (!cache) return decode(ctx, arena, path, label, table);
    char *cached = NULL;
    ATH_TRY(cache_path(ctx, arena, path, label, cache, &cached));
    if (athi_file_exists(cached)) {
        ath_status status = cache_open(ctx, arena, cached, map, table);
        if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    }
    athi_file_unmap(map);
    *table = (athi_table){0};
    athi_arena *decoding = athi_arena_create(ctx); /* freed at once: only the mapped cache stays in memory */
    if (!decoding) return ATH_E_NOMEM;
    ath_status status = decode(ctx, decoding, path, label, table);
    ath_status kept = status == ATH_OK ? athi_make_dirs(ctx, cache) : ATH_OK;
    if (status == ATH_OK && kept == ATH_OK) kept = cache_save(ctx, decoding, cached, table);
    athi_arena_destroy(decoding);
    *table = (athi_table){0};
    ATH_TRY(status);
    if (kept == ATH_OK) return cache_open(ctx, arena, cached, map, table);
    if (kept != ATH_E_IO) return kept;
    return decode(ctx, arena, path, label, table); /* the cache folder cannot be written: work without */
}
