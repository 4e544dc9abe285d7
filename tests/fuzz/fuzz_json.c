/* Any bytes as JSON: what is read must be written as JSON that reads as the same value; what is not read must
 * leave a sentence. */
#include "fuzz.h"

#include "base/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ath_ctx *ctx = fuzz_ctx();
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *v, *again;
    ath_status status = athi_json_read(ctx, arena, (const char *)data, (int64_t)size, &v);
    if (status != ATH_OK) {
        FUZZ_CHECK(!v && ath_errmsg(ctx)[0]);
    } else {
        for (int indent = 0; indent <= 2; indent += 2) {
            athi_text text = {.ctx = ctx};
            FUZZ_CHECK(athi_json_write(&text, v, indent) == ATH_OK);
            FUZZ_CHECK(athi_json_read(ctx, arena, text.text, text.length, &again) == ATH_OK);
            FUZZ_CHECK(athi_value_equal(v, again));
            athi_text_free(&text);
        }
        athi_value *copy = athi_value_copy(arena, v);
        FUZZ_CHECK(athi_value_equal(v, copy));
    }
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
