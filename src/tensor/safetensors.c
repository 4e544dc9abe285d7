/* Reading and writing the safetensors table of contents. */
#include "tensor/safetensors.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEADER_MAX = 100 << 20 }; /* the format's own limit */

static int64_t align_up(int64_t n) { return (n + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN; }

ath_status athi_contents_layout(ath_ctx *ctx, athi_contents *contents) {
    int64_t offset = 0;
    for (int64_t i = 0; i < contents->n; i++) {
        athi_entry *e = &contents->entries[i];
        int64_t count = athi_shape_count(e->shape);
        if (count < 0 || !athi_mul(count, athi_dtype_size(e->dtype), &e->bytes) ||
            !athi_add(offset, e->bytes + 2 * ATHI_ALIGN, &(int64_t){0}))
            return athi_fail(ctx, ATH_E_SHAPE, "tensor '%s': its size does not fit into 63 bits", e->name);
        e->offset = offset;
        offset = align_up(offset + e->bytes);
    }
    contents->data_bytes = offset;
    return ATH_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static ath_status put_tensor(athi_arena *arena, athi_value *root, const char *name, const char *dtype,
                             int rank, const int64_t *dims, int64_t begin, int64_t end) {
    athi_value *t = athi_value_new(arena, ATHI_MAP), *shape = athi_value_new(arena, ATHI_LIST),
               *offsets = athi_value_new(arena, ATHI_LIST);
    if (!t || !shape || !offsets) return ATH_E_NOMEM;
    for (int d = 0; d < rank; d++) ATH_TRY(athi_value_append(arena, shape, athi_value_int(arena, dims[d])));
    ATH_TRY(athi_value_append(arena, offsets, athi_value_int(arena, begin)));
    ATH_TRY(athi_value_append(arena, offsets, athi_value_int(arena, end)));
    ATH_TRY(athi_value_set(arena, t, "dtype", athi_value_string(arena, dtype)));
    ATH_TRY(athi_value_set(arena, t, "shape", shape));
    ATH_TRY(athi_value_set(arena, t, "data_offsets", offsets));
    return athi_value_set(arena, root, name, t);
}

ath_status athi_contents_header(ath_ctx *ctx, athi_arena *arena, const athi_contents *contents, char **header,
                                int64_t *size) {
    athi_value *root = athi_value_new(arena, ATHI_MAP);
    if (!root) return ATH_E_NOMEM;
    if (contents->metadata)
        ATH_TRY(athi_value_set(arena, root, "__metadata__", athi_value_copy(arena, contents->metadata)));
    int64_t n_pads = 0;
    for (int64_t i = 0; i < contents->n; i++) {
        const athi_entry *e = &contents->entries[i];
        ATH_TRY(put_tensor(arena, root, e->name, athi_dtype_file_name(e->dtype), e->shape.rank, e->shape.dim,
                           e->offset, e->offset + e->bytes));
        int64_t end = e->offset + e->bytes, next = align_up(end), gap = next - end;
        if (!gap) continue;
        const char *name = athi_arena_printf(arena, "pad/%lld", (long long)n_pads++);
        if (!name) return ATH_E_NOMEM;
        ATH_TRY(put_tensor(arena, root, name, "U8", 1, &gap, end, next));
    }
    athi_text text = {.ctx = ctx};
    ath_status status = athi_json_write(&text, root, 0);
    if (status == ATH_OK) {
        while ((8 + text.length) % ATHI_ALIGN != 0 && !text.failed) athi_text_add(&text, " ", 1);
        *size = 8 + text.length;
        *header = text.failed ? NULL : athi_arena_alloc(arena, *size);
        if (*header) {
            for (int i = 0; i < 8; i++) (*header)[i] = (char)((uint64_t)text.length >> 8 * i & 0xff);
            memcpy(*header + 8, text.text, (size_t)text.length);
        } else
            status = ATH_E_NOMEM;
    }
    athi_text_free(&text);
    return status;
}

ath_status athi_safetensors_write(ath_ctx *ctx, const char *path, athi_contents *contents,
                                  const void *const *pieces) {
    static const char zeros[ATHI_ALIGN];
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status;
    char *header = NULL;
    int64_t size = 0;
    athi_piece *parts = athi_arena_array(arena, 1 + 2 * contents->n, sizeof *parts);
    ATH_GOTO(status, done, parts ? ATH_OK : ATH_E_NOMEM);
    ATH_GOTO(status, done, athi_contents_layout(ctx, contents));
    ATH_GOTO(status, done, athi_contents_header(ctx, arena, contents, &header, &size));
    int n = 0;
    parts[n++] = (athi_piece){header, size};
    for (int64_t i = 0; i < contents->n; i++) {
        int64_t bytes = contents->entries[i].bytes;
        parts[n++] = (athi_piece){pieces[i], bytes};
        parts[n++] = (athi_piece){zeros, align_up(bytes) - bytes};
    }
    status = athi_file_write_pieces(ctx, path, parts, n, true);
done:
    athi_arena_destroy(arena);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------- */

static ath_status read_entry(ath_ctx *ctx, const char *path, const char *name, const athi_value *v,
                             int64_t data_bytes, athi_entry *e) {
    const athi_value *dtype = athi_value_get(v, "dtype"), *shape = athi_value_get(v, "shape"),
                     *offsets = athi_value_get(v, "data_offsets");
    if (!dtype || dtype->type != ATHI_STRING || !shape || shape->type != ATHI_LIST || !offsets ||
        offsets->type != ATHI_LIST || offsets->n != 2 || offsets->items[0]->type != ATHI_INT ||
        offsets->items[1]->type != ATHI_INT)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s': expected dtype, shape and two data_offsets",
                         path, name);
    e->name = name;
    if (!athi_dtype_from_file_name(dtype->text, &e->dtype))
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s': dtype %s is not one that can be read", path,
                         name, dtype->text);
    if (shape->n > ATHI_MAX_RANK)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s': rank %lld is above %d", path, name,
                         (long long)shape->n, ATHI_MAX_RANK);
    e->shape.rank = (int)shape->n;
    int64_t count = 1;
    for (int64_t i = 0; i < shape->n; i++) {
        const athi_value *d = shape->items[i];
        if (d->type != ATHI_INT || d->integer < 0 || !athi_mul(count, d->integer, &count))
            return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s': its shape is not a list of sizes", path,
                             name);
        e->shape.dim[i] = d->integer;
    }
    int64_t begin = offsets->items[0]->integer, end = offsets->items[1]->integer;
    if (begin < 0 || end < begin || end > data_bytes)
        return athi_fail(
            ctx, ATH_E_DATA,
            "%s: tensor '%s' ends at byte %lld of the data, but the file has %lld; it is cut short or "
            "damaged",
            path, name, (long long)end, (long long)data_bytes);
    if (!athi_mul(count, athi_dtype_size(e->dtype), &e->bytes) || e->bytes != end - begin)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s': its shape and its %lld bytes do not agree",
                         path, name, (long long)(end - begin));
    e->offset = begin;
    return ATH_OK;
}

static int by_offset(const void *a, const void *b) {
    const athi_entry *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

ath_status athi_contents_parse(ath_ctx *ctx, athi_arena *arena, const char *path, const void *file,
                               int64_t size, athi_contents *contents, int64_t *data_offset) {
    const unsigned char *p = file;
    *contents = (athi_contents){0};
    uint64_t length = 0;
    for (int i = 0; i < 8 && size >= 8; i++) length |= (uint64_t)p[i] << 8 * i;
    if (size < 8 || length > HEADER_MAX || (int64_t)length > size - 8)
        return athi_fail(ctx, ATH_E_DATA,
                         "%s: not a safetensors file, or cut short: its header does not fit into "
                         "its %lld bytes",
                         path, (long long)size);
    athi_value *root = NULL;
    ath_status status = athi_json_read(ctx, arena, (const char *)p + 8, (int64_t)length, &root);
    if (status != ATH_OK) return athi_fail_prefix(ctx, status, "%s: safetensors header", path);
    if (root->type != ATHI_MAP)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: its safetensors header is not a map of tensors", path);
    *data_offset = 8 + (int64_t)length;
    contents->data_bytes = size - *data_offset;
    contents->entries = athi_arena_array(arena, root->n + 1, sizeof *contents->entries);
    if (!contents->entries) return ATH_E_NOMEM;
    for (int64_t i = 0; i < root->n; i++) {
        if (strcmp(root->keys[i], "__metadata__") == 0) {
            contents->metadata = root->items[i];
            continue;
        }
        ATH_TRY(read_entry(ctx, path, root->keys[i], root->items[i], contents->data_bytes,
                           &contents->entries[contents->n++]));
    }
    qsort(contents->entries, (size_t)contents->n, sizeof *contents->entries, by_offset);
    int64_t kept = 0, end = 0;
    for (int64_t i = 0; i < contents->n; i++) {
        athi_entry e = contents->entries[i];
        if (e.offset < end)
            return athi_fail(ctx, ATH_E_SYNTAX, "%s: tensor '%s' overlaps the one before it", path, e.name);
        end = e.offset + e.bytes;
        if (strncmp(e.name, "pad/", 4) != 0) contents->entries[kept++] = e;
    }
    contents->n = kept;
    return ATH_OK;
}

const athi_entry *athi_contents_find(const athi_contents *contents, const char *name) {
    for (int64_t i = 0; i < contents->n; i++)
        if (strcmp(contents->entries[i].name, name) == 0) return &contents->entries[i];
    return NULL;
}
