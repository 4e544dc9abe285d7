/* Any bytes as a trial.json of KerasTuner, twice in one project: read, or a sentence says why not. */
#include "fuzz.h"

#include "tune/foreign.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const objectives[] = {NULL, "val_accuracy", "loss"};
    ath_ctx *ctx = fuzz_ctx();
    for (int i = 0; i < ATHI_COUNT(objectives); i++) {
        athi_arena *arena = athi_arena_create(ctx);
        FUZZ_CHECK(arena);
        athi_foreign f = {.ctx = ctx, .arena = arena, .source = "trial.json", .name = "keras"};
        ath_status status = ATH_OK;
        for (int k = 0; k < 2 && status == ATH_OK; k++)
            status = athi_foreign_keras_text(&f, (const char *)data, (int64_t)size);
        if (status == ATH_OK) status = athi_foreign_keras_objective(&f, objectives[i]);
        FUZZ_CHECK(status == ATH_OK || ath_errmsg(ctx)[0]);
        for (int64_t k = 0; status == ATH_OK && k < f.n; k++) {
            const athi_foreign_trial *t = &f.trials[k];
            FUZZ_CHECK(t->state != ATHI_TRIAL_COMPLETE || (t->values && !isnan(t->values[0])));
            for (int64_t p = 0; p < t->n_params; p++) FUZZ_CHECK(t->params[p].name && t->params[p].distribution);
        }
        athi_foreign_free(&f);
        athi_arena_destroy(arena);
    }
    ath_ctx_destroy(ctx);
    return 0;
}
