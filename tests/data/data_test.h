/* What tests of data share: a context, a temporary folder, files in it, and `data:` sections written as JSON. */
#ifndef ATH_DATA_TEST_H
#define ATH_DATA_TEST_H

#include "test.h"

#include "base/file.h"
#include "data/data.h"

static ath_ctx *ctx;
static char folder[64];

static inline int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/athanor-test-XXXXXX");
    return ath_ctx_create(NULL, &ctx) || !mkdtemp(folder);
}
static inline int teardown(void **state) {
    (void)state;
    athi_remove_tree(ctx, folder);
    ath_ctx_destroy(ctx);
    return 0;
}

static inline const char *put(const char *name, const void *data, int64_t size) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(ctx, athi_file_write(ctx, path, data, size));
    return path;
}
static inline const char *put_text(const char *name, const char *text) {
    return put(name, text, (int64_t)strlen(text));
}

/* Opens what a `data:` section in JSON describes. */
static inline ath_status open_with(ath_ctx *c, const char *json, const char *cache, athi_data **data) {
    athi_arena *arena = athi_arena_create(c);
    athi_value *map = NULL;
    athi_data_opts opts;
    ath_status status = arena ? ATH_OK : ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_json_read(c, arena, json, (int64_t)strlen(json), &map);
    if (status == ATH_OK) status = athi_options_read(c, arena, &athi_data_row, map, NULL, "data", &opts);
    if (status == ATH_OK) status = athi_data_open(c, &opts, folder, cache, data);
    athi_arena_destroy(arena);
    return status;
}
static inline ath_status open_json(const char *json, athi_data **data) { return open_with(ctx, json, NULL, data); }

/* An .npy file of elements that lie in memory as numpy writes them. */
static inline void put_npy(const char *name, const char *descr, const char *order, const char *shape,
                           const void *data, int64_t bytes) {
    char file[1024];
    assert_true(bytes <= (int64_t)sizeof file - 128);
    memset(file, ' ', 128);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(file + 10, 118, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape);
    file[10 + n] = ' ';
    file[127] = '\n';
    memcpy(file + 128, data, (size_t)bytes);
    put(name, file, 128 + bytes);
}

#endif
