/* One reader on any bytes: what is parsed lies inside its memory and can be fed; what is not leaves a sentence. */
#ifndef ATH_FUZZ_READER_H
#define ATH_FUZZ_READER_H

#include "fuzz.h"

#include "data/readers.h"

/* Reads every element the way training does: a wrong size would be seen by the sanitizer. */
static void feed_all(const athi_table *t, const athi_array *y) {
    athi_preprocess p = {.scale = 1};
    athi_part part = {.x = t->x, .y = *y, .n = t->x.shape.dim[0]};
    int64_t row = athi_array_row_bytes(&t->x) / athi_dtype_size(t->x.dtype),
            width = athi_array_row_bytes(y) / athi_dtype_size(y->dtype);
    float *x = malloc((size_t)row * sizeof *x), *target = malloc((size_t)width * sizeof *target);
    FUZZ_CHECK(x && target);
    for (int64_t i = 0; i < part.n; i++) {
        int32_t label;
        athi_batch_x(&part, &p, &i, 1, x);
        athi_batch_classes(&part, &i, 1, &label);
        athi_batch_targets(&part, &i, 1, 1, target);
    }
    free(x);
    free(target);
}

static void fuzz_reader(const athi_reader_impl *reader, const uint8_t *data, size_t size, const char *label) {
    ath_ctx *ctx = fuzz_ctx();
    athi_arena *arena = athi_arena_create(ctx);
    char *file = malloc(size ? size : 1); /* exactly so large */
    FUZZ_CHECK(arena && file);
    memcpy(file, data, size);
    athi_table table = {0};
    ath_status status = reader->parse(ctx, arena, "fuzz", file, (int64_t)size, label, &table);
    if (status == ATH_OK) status = athi_table_check(ctx, "fuzz", &table);
    if (status != ATH_OK)
        FUZZ_CHECK(ath_errmsg(ctx)[0]);
    else
        feed_all(&table, table.y.data ? &table.y : &table.x);
    for (int64_t i = 0; status == ATH_OK && i < table.n_classes; i++) FUZZ_CHECK(table.class_names[i]);
    free(file);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

#endif
