/* Any bytes as the database of a study: it is opened and read, with a space of ours and with the one that stands in it,
 * shown and exported, or leaves a sentence. */
#include "fuzz.h"

#include "base/file.h"
#include "report/export.h"
#include "report/page.h"

#include <math.h>
#include <unistd.h>

static char folder[64], path[96];

static void remove_folder(void) { rmdir(folder); }

static athi_space *make_space(ath_ctx *ctx, athi_arena *arena) {
    static athi_branch branches[] = {{.key = "adam"}, {.key = "sgd"}};
    const athi_space_param params[] = {
        {.name = "units", .type = ATHI_PARAM_INT, .min = 16, .max = 64, .step = 16, .fallback = (double)NAN},
        {.name = "lr",
         .type = ATHI_PARAM_FLOAT,
         .min = 1e-4,
         .max = 0.1,
         .prior = ATHI_PRIOR_LOG,
         .fallback = (double)NAN},
        {.name = "optimizer",
         .type = ATHI_PARAM_CHOICE,
         .branches = branches,
         .n_branches = 2,
         .fallback = (double)NAN}};
    athi_space *space = NULL;
    int index;
    FUZZ_CHECK(athi_space_create(arena, &space) == ATH_OK);
    for (int i = 0; i < ATHI_COUNT(params); i++) FUZZ_CHECK(athi_space_add(ctx, space, &params[i], &index) == ATH_OK);
    return space;
}

/* All that is read is there, and a number that is not outside lies in its range. */
static void check_trial(const athi_space *space, const athi_study_info *info, const athi_trial *t, int64_t number) {
    FUZZ_CHECK(t->number == number && (int)t->state >= 0 && t->state <= ATHI_TRIAL_FAILED);
    for (int i = 0; i < info->n_objectives; i++) FUZZ_CHECK(isnan(t->values[i]) || t->values[i] == t->values[i]);
    for (int64_t i = 0; i < space->n && !t->outside; i++)
        FUZZ_CHECK(!(t->point[i] < space->params[i].min) || space->params[i].type == ATHI_PARAM_CHOICE);
    double sum = 0;
    for (int64_t i = 0; i < t->n_reports; i++) sum += t->reports[i].value + (double)t->reports[i].step;
    for (int64_t i = 0; i < t->n_executions; i++) sum += t->execution_values[i] + (double)t->execution_best[i];
    FUZZ_CHECK(isnan(sum) || sum == sum);
    if (t->message) FUZZ_CHECK(strlen(t->message) < 1 << 30);
}

static void read_study(ath_ctx *ctx, athi_arena *arena, athi_store *store) {
    const athi_study_info *info = athi_store_info(store);
    FUZZ_CHECK(info->name && info->n_objectives >= 1);
    for (int i = 0; i < info->n_objectives; i++) FUZZ_CHECK(info->objective_names[i]);
    const athi_space *space = make_space(ctx, arena);
    const athi_trial *const *trials = NULL;
    int64_t n = 0;
    for (int again = 0; again < 2; again++) { /* the second time from what is cached */
        if (athi_store_trials(store, space, &trials, &n) != ATH_OK) {
            FUZZ_CHECK(ath_errmsg(ctx)[0]);
            return;
        }
        for (int64_t i = 0; i < n; i++) check_trial(space, info, trials[i], i);
    }
    athi_report *reports;
    const char **json, *value;
    int64_t count;
    if (n && athi_store_reports(store, arena, 0, 0, &reports, &json, &count) == ATH_OK)
        for (int64_t i = 0; i < count; i++) FUZZ_CHECK(json[i]);
    if (athi_store_get(store, arena, "seed", &value) != ATH_OK) FUZZ_CHECK(ath_errmsg(ctx)[0]);
}

/* As show, export and report do: the space is what the file says. */
static void look(ath_ctx *ctx, athi_arena *arena) {
    static ath_status (*const writers[])(const athi_study *, athi_text *) = {athi_export_csv, athi_export_json};
    athi_study s;
    const athi_trial **best;
    int64_t n;
    ath_status status = athi_study_open(ctx, arena, path, NULL, &s);
    for (int i = 0; status == ATH_OK && i < 3; i++) {
        athi_text text = {.ctx = ctx};
        status = i < 2 ? writers[i](&s, &text) : athi_page_data(&s, true, &text);
        FUZZ_CHECK(status != ATH_OK || i < 2 || !strchr(text.text, '<'));
        athi_text_free(&text);
    }
    if (status == ATH_OK) status = athi_study_best(&s, arena, &best, &n);
    FUZZ_CHECK(status == ATH_OK || ath_errmsg(ctx)[0]);
    athi_study_close(&s);
}

static void write_file(const uint8_t *data, size_t size) {
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/athanor-fuzz-XXXXXX");
        FUZZ_CHECK(mkdtemp(folder) && atexit(remove_folder) == 0);
        snprintf(path, sizeof path, "%s/study.db", folder);
    }
    write_file(data, size);
    ath_ctx *ctx = fuzz_ctx();
    athi_arena *arena = athi_arena_create(ctx);
    athi_store *store = NULL;
    FUZZ_CHECK(arena);
    if (athi_store_open_existing(ctx, path, NULL, &store) != ATH_OK)
        FUZZ_CHECK(!store && ath_errmsg(ctx)[0]);
    else
        read_study(ctx, arena, store);
    athi_store_close(store);
    look(ctx, arena);
    FUZZ_CHECK(athi_remove_tree(ctx, folder) == ATH_OK && athi_make_dirs(ctx, folder) == ATH_OK);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
