/* What the recipe tests share: short recipes, and values as JSON. */
#ifndef ATH_RECIPE_TEST_H
#define ATH_RECIPE_TEST_H

#include "test.h"

#include "recipe/recipe.h"

static ath_ctx *ctx;

static inline int make_ctx(void **state) {
    (void)state;
    return ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx) != ATH_OK;
}

static inline int drop_ctx(void **state) {
    (void)state;
    ath_ctx_destroy(ctx);
    ctx = NULL;
    return 0;
}

/** The value as JSON on one line equals `expected`. */
static inline void assert_json(const athi_value *v, const char *expected) {
    athi_text text = {.ctx = ctx};
    assert_ok(ctx, athi_json_write(&text, v, 0));
    assert_string_equal(text.text, expected);
    athi_text_free(&text);
}

/* Sections that the tests of others need around them. */
#define DATA  "data: {source: fashion-mnist, batch: 128}\n"
#define TRAIN "train: {loss: mean_squared_error}\n"
#define MODEL "model: [flatten, dense: {units: 10}]\n"

static inline ath_status parse(const char *text, athi_recipe **recipe) {
    return athi_recipe_parse(ctx, "t.yaml", text, (int64_t)strlen(text), NULL, 0, recipe);
}

#endif
