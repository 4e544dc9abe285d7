/* Any text as a graph: what is read prints and reads back the same, specialises and verifies; what is not read
 * leaves a sentence. */
#include "fuzz.h"

#include "passes/passes.h"

static void check_text(ath_ctx *ctx, const athi_graph *g) {
    athi_text once = {.ctx = ctx}, twice = {.ctx = ctx};
    athi_graph_print(g, &once);
    athi_graph *again = NULL;
    if (once.text) {
        FUZZ_CHECK(athi_graph_parse(ctx, once.text, &again) == ATH_OK);
        athi_graph_print(again, &twice);
        FUZZ_CHECK(strcmp(once.text, twice.text) == 0);
        athi_graph_destroy(again);
    }
    athi_text_free(&once);
    athi_text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const athi_mode modes[] = {ATHI_MODE_TRAIN, ATHI_MODE_EVALUATE, ATHI_MODE_PREDICT};
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    ath_ctx *ctx = fuzz_ctx();
    athi_graph *g = NULL, *p = NULL;
    if (athi_graph_parse(ctx, text, &g) != ATH_OK) {
        FUZZ_CHECK(!g && ath_errmsg(ctx)[0]);
    } else {
        FUZZ_CHECK(athi_graph_verify(g, 0) == ATH_OK);
        check_text(ctx, g);
        for (int i = 0; i < ATHI_COUNT(modes); i++) {
            if (athi_graph_specialize(g, modes[i], NULL, 0, &p) != ATH_OK) continue;
            FUZZ_CHECK(athi_graph_verify(p, 0) == ATH_OK);
            bool typed = athi_graph_verify(p, ATHI_INV_TYPED) == ATH_OK;
            if (typed && p->loss && p->loss->shape.rank == 0 && athi_pass_differentiate(p) != ATH_OK)
                FUZZ_CHECK(ath_errmsg(ctx)[0]);
            athi_graph_destroy(p);
        }
        athi_graph_destroy(g);
    }
    ath_ctx_destroy(ctx);
    free(text);
    return 0;
}
