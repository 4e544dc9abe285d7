/* docs/recipes.md: every block of YAML in it is read as a recipe, with what it leaves out put around it. */
#include "recipe/recipe_test.h"

#include "base/file.h"

#include <stdlib.h>

static const struct {
    const char *begins, *section;
} needed[] = {{"data:", DATA}, {"model:", MODEL}, {"train:", "train: {loss: sparse_categorical_crossentropy}\n"}};

static bool has_line(const char *text, const char *begins) {
    size_t n = strlen(begins);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, begins, n) == 0) return true;
    return false;
}

static void read_block(const char *file, const char *from, const char *to, int number) {
    athi_text text = {.ctx = ctx};
    athi_recipe *recipe = NULL;
    athi_text_add(&text, from, to - from);
    for (int i = 0; i < ATHI_COUNT(needed); i++)
        if (!has_line(text.text, needed[i].begins)) athi_text_printf(&text, "%s", needed[i].section);
    ath_status status = parse(text.text, &recipe);
    if (status != ATH_OK) print_error("%s, block %d: %s\n%s", file, number, ath_errmsg(ctx), text.text);
    assert_int_equal(status, ATH_OK);
    athi_recipe_destroy(recipe);
    athi_text_free(&text);
}

static void every_block_is_a_recipe(void **state) {
    (void)state;
    static const char fence[] = "\n```yaml\n";
    char *path = NULL, *file = NULL;
    int64_t size = 0;
    int blocks = 0;
    assert_true(asprintf(&path, "%s/docs/recipes.md", getenv("ATHANOR_SOURCE")) > 0);
    assert_ok(ctx, athi_file_read(ctx, path, false, 1 << 20, &file, &size));
    for (const char *at = file; (at = strstr(at, fence)); blocks++) {
        const char *end = strstr(at += strlen(fence), "```");
        assert_non_null(end);
        read_block(path, at, end, blocks + 1);
        at = end + 3 - 1;
    }
    assert_true(blocks > 10);
    athi_free(ctx, file);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_block_is_a_recipe)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
