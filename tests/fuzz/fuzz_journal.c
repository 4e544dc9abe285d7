/* Any bytes as a journal of Optuna: its studies are read, or a sentence says why not. */
#include "fuzz.h"

#include "tune/foreign.h"

#include <math.h>

static void check(const athi_foreign *f) {
    double sum = 0;
    FUZZ_CHECK(f->name && f->n_objectives >= 1 && f->n_objectives <= ATHI_OBJECTIVES_MAX);
    for (int k = 0; k < f->n_objectives; k++) FUZZ_CHECK(f->names[k]);
    for (int64_t i = 0; i < f->n; i++) {
        const athi_foreign_trial *t = &f->trials[i];
        FUZZ_CHECK((int)t->state >= 0 && t->state <= ATHI_TRIAL_FAILED);
        for (int64_t k = 0; k < t->n_params; k++) {
            FUZZ_CHECK(t->params[k].name && t->params[k].distribution);
            for (int64_t j = 0; j < k; j++) FUZZ_CHECK(strcmp(t->params[j].name, t->params[k].name) != 0);
        }
        for (int64_t k = 0; k < t->n_reports; k++) sum += t->reports[k].value;
        for (int k = 0; t->values && k < f->n_objectives; k++) sum += t->values[k];
        for (int64_t k = 0; k < t->n_user; k++) FUZZ_CHECK(t->user[k].key && t->user[k].json);
        for (int64_t k = 0; k < t->n_system; k++) FUZZ_CHECK(t->system[k].key && t->system[k].json);
    }
    FUZZ_CHECK(isnan(sum) || sum == sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const studies[] = {NULL, "one", "two"};
    ath_ctx *ctx = fuzz_ctx();
    for (int i = 0; i < ATHI_COUNT(studies); i++) {
        athi_arena *arena = athi_arena_create(ctx);
        FUZZ_CHECK(arena);
        athi_foreign f = {.ctx = ctx, .arena = arena, .source = "journal"};
        if (athi_foreign_journal_text(&f, studies[i], (const char *)data, (int64_t)size) == ATH_OK)
            check(&f);
        else
            FUZZ_CHECK(ath_errmsg(ctx)[0]);
        athi_foreign_free(&f);
        athi_arena_destroy(arena);
    }
    ath_ctx_destroy(ctx);
    return 0;
}
