/* safetensors: the table of contents of state blocks, models and data caches (github.com/huggingface/safetensors).
 *
 *   | 8 bytes: length of the header | header: JSON, padded with spaces | tensors, each at a multiple of 64 bytes |
 *
 * The format forbids holes, so the gaps that alignment leaves are declared as tensors named pad/<n>. */
#ifndef ATHI_SAFETENSORS_H
#define ATHI_SAFETENSORS_H

#include "base/value.h"
#include "tensor/tensor.h"

typedef struct athi_entry {
    const char *name;
    ath_dtype dtype;
    athi_shape shape; /* rank above ATHI_MAX_RANK is refused on reading */
    int64_t offset;   /* from the start of the data */
    int64_t bytes;
} athi_entry;

typedef struct athi_contents {
    athi_entry *entries; /* ascending offsets; pads are left out */
    int64_t n;
    int64_t data_bytes;         /* of all tensors and pads */
    const athi_value *metadata; /* map of strings, or NULL */
} athi_contents;

/** Sets offset and bytes of every entry, in their order, each at a multiple of 64; and data_bytes. */
ath_status athi_contents_layout(ath_ctx *ctx, athi_contents *contents);
/** The first bytes of the file: length, JSON, padding; their number is a multiple of 64. In the arena. */
ath_status athi_contents_header(ath_ctx *ctx, athi_arena *arena, const athi_contents *contents, char **header,
                                int64_t *size);
/** Reads and checks the table of contents of a file in memory: every tensor lies inside, none overlap, types
 * and shapes agree with the sizes. `path` is for the sentences. *data_offset: where the data starts. */
ath_status athi_contents_parse(ath_ctx *ctx, athi_arena *arena, const char *path, const void *file,
                               int64_t size, athi_contents *contents, int64_t *data_offset);
const athi_entry *athi_contents_find(const athi_contents *contents, const char *name);
/** Writes a file atomically; pieces[i] holds the bytes of entries[i]. */
ath_status athi_safetensors_write(ath_ctx *ctx, const char *path, athi_contents *contents,
                                  const void *const *pieces);

#endif
