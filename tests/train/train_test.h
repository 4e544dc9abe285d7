/* What tests of training share: a context, a folder, the first Fashion-MNIST images, and a small model. */
#ifndef ATH_TRAIN_TEST_H
#define ATH_TRAIN_TEST_H

#include "test.h"

#include "base/file.h"
#include "train/train.h"

/* Options of a row from JSON text, resolved into the arena. */
static inline const athi_row *train_spec(ath_ctx *c, athi_arena *arena, const athi_kind *kind, const char *json,
                                         void **opts) {
    athi_value *v = NULL;
    const athi_row *row = NULL;
    assert_ok(c, athi_json_read(c, arena, json, (int64_t)strlen(json), &v));
    assert_ok(c, athi_spec_read(c, arena, kind, v, "test", &row, opts));
    return row;
}

/* `json`: a data section. */
static inline athi_data *train_data(ath_ctx *c, const char *json) {
    athi_arena *arena = athi_arena_create(c);
    athi_value *map = NULL;
    athi_data_opts opts;
    athi_data *data = NULL;
    assert_ok(c, athi_json_read(c, arena, json, (int64_t)strlen(json), &map));
    assert_ok(c, athi_options_read(c, arena, &athi_data_row, map, NULL, "data", &opts));
    assert_ok(c, athi_data_open(c, &opts, NULL, NULL, &data));
    athi_arena_destroy(arena);
    return data;
}

#endif
