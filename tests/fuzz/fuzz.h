/* What fuzz targets share. A target is tests/fuzz/fuzz_<name>.c, a row in tests/fuzz/meson.build and a folder
 * of inputs in tests/fuzz/corpus/<name>/. */
#ifndef ATH_FUZZ_H
#define ATH_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Stops the target when something that must hold does not. */
#define FUZZ_CHECK(condition)                                                                                        \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                          \
            abort();                                                                                                 \
        }                                                                                                            \
    } while (0)

static inline ath_ctx *fuzz_ctx(void) {
    ath_ctx *ctx = NULL;
    FUZZ_CHECK(ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx) == ATH_OK);
    return ctx;
}

#endif
