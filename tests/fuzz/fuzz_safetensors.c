/* Any bytes as a safetensors file: every tensor of a table that is accepted lies in the file, apart from the others
 * and in ascending order; written again, the table reads the same. */
#include "fuzz.h"

#include "tensor/safetensors.h"

static void check_table(const athi_contents *c, int64_t begin, int64_t size) {
    FUZZ_CHECK(begin >= 8 && begin + c->data_bytes == size);
    int64_t end = 0;
    for (int64_t i = 0; i < c->n; i++) {
        const athi_entry *e = &c->entries[i];
        FUZZ_CHECK(e->name && e->offset >= end && e->bytes >= 0 && e->bytes <= c->data_bytes - e->offset);
        FUZZ_CHECK(athi_shape_count(e->shape) * athi_dtype_size(e->dtype) == e->bytes);
        FUZZ_CHECK(athi_contents_find(c, e->name) == e);
        end = e->offset + e->bytes;
    }
}

static void write_again(ath_ctx *ctx, athi_arena *arena, athi_contents *c) {
    char *header = NULL;
    int64_t bytes = 0, begin = 0;
    athi_contents again;
    FUZZ_CHECK(athi_contents_layout(ctx, c) == ATH_OK);
    if (c->data_bytes > 1 << 20) return;
    FUZZ_CHECK(athi_contents_header(ctx, arena, c, &header, &bytes) == ATH_OK && bytes % ATHI_ALIGN == 0);
    char *file = calloc(1, (size_t)(bytes + c->data_bytes));
    FUZZ_CHECK(file);
    memcpy(file, header, (size_t)bytes);
    FUZZ_CHECK(athi_contents_parse(ctx, arena, "fuzz", file, bytes + c->data_bytes, &again, &begin) == ATH_OK);
    FUZZ_CHECK(again.n == c->n && begin == bytes);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ath_ctx *ctx = fuzz_ctx();
    athi_arena *arena = athi_arena_create(ctx);
    FUZZ_CHECK(arena);
    athi_contents c;
    int64_t begin = 0;
    if (athi_contents_parse(ctx, arena, "fuzz", data, (int64_t)size, &c, &begin) != ATH_OK) {
        FUZZ_CHECK(ath_errmsg(ctx)[0]);
    } else {
        check_table(&c, begin, (int64_t)size);
        write_again(ctx, arena, &c);
    }
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
