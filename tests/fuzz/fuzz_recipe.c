/* Any bytes as a recipe: what is read must bind, and bind again to the same; what is not must leave a sentence
 * that begins with the file. */
#include "fuzz.h"

#include "recipe/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ath_ctx *ctx = fuzz_ctx();
    athi_recipe *recipe, *again;
    if (athi_recipe_parse(ctx, "fuzz.yaml", (const char *)data, (int64_t)size, NULL, 0, &recipe) != ATH_OK) {
        FUZZ_CHECK(!recipe && strncmp(ath_errmsg(ctx), "fuzz.yaml", 9) == 0);
    } else {
        athi_arena *arena = athi_arena_create(ctx);
        athi_value *bound, *twice;
        athi_text text = {.ctx = ctx};
        FUZZ_CHECK(athi_recipe_bind(recipe, arena, NULL, recipe->seed, &bound) == ATH_OK);
        FUZZ_CHECK(athi_json_write(&text, bound, 0) == ATH_OK);
        if (athi_recipe_parse(ctx, "bound", text.text, text.length, NULL, 0, &again) == ATH_OK) {
            FUZZ_CHECK(again->space->n == 0);
            FUZZ_CHECK(athi_recipe_bind(again, arena, NULL, recipe->seed, &twice) == ATH_OK);
            athi_recipe_destroy(again);
        }
        athi_text_free(&text);
        athi_arena_destroy(arena);
        athi_recipe_destroy(recipe);
    }
    ath_ctx_destroy(ctx);
    return 0;
}
