/* train: one training of a recipe with its ranges at their defaults. */
#include "base/file.h"
#include "cli/cli.h"
#include "recipe/recipe.h"

#include <math.h>

const athi_flag athi_flags_train[] = {
    {"dir", ATHI_FLAG_TEXT, "FOLDER",
     "state and log go there (default: runs/<name>); the same training goes on there"},
    {"out", ATHI_FLAG_TEXT, "FILE", "the model goes there (default: model.safetensors in the folder)"},
    {"init", ATHI_FLAG_TEXT, "FILE", "weights to begin with (safetensors)"},
    {"steps", ATHI_FLAG_COUNT, "N", "updates in all"},
    {"no-shuffle", ATHI_FLAG_SWITCH, NULL, "samples in the order of the file"},
    ATHI_FLAG_THREADS_ROW,
    ATHI_FLAG_BACKEND_ROW,
    ATHI_FLAG_SET_ROW,
    {"overwrite", ATHI_FLAG_SWITCH, NULL, "begin from nothing: an earlier training in the folder is removed"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

typedef struct training {
    athi_cli *cli;
    athi_recipe *recipe;
    athi_data *data;
    athi_value *bound;
    const char *directory, *out;
    athi_job job;
    int64_t epochs;
} training;

/* ---- what is seen -------------------------------------------------------------------------------- */

static ath_status on_epoch(void *user, const athi_epoch *e, bool *stop) {
    training *t = user;
    (void)stop;
    t->cli->started = true;
    athi_text line = {.ctx = t->cli->ctx};
    athi_text_printf(&line, "epoch %lld:", (long long)e->epoch);
    for (int i = 0; i < e->n; i++) {
        if (strcmp(e->names[i], "epoch") == 0 || strcmp(e->names[i], "step") == 0) continue;
        bool rate = strcmp(e->names[i], "samples_per_second") == 0;
        athi_text_printf(&line, rate ? "  %s %.0f" : "  %s %.4g", e->names[i], e->values[i]);
    }
    if (!line.failed) athi_cli_line("%s", line.text);
    athi_text_free(&line);
    return ATH_OK;
}

static void on_batch(void *user, int64_t epoch, int64_t batch, int64_t batches) {
    training *t = user;
    t->cli->started = true;
    athi_cli_progress("epoch %lld: batch %lld of %lld", (long long)epoch, (long long)batch, (long long)batches);
}

/* ---- the folder ---------------------------------------------------------------------------------- */

/* Where two definitions first differ, as "train.loss was mse, is mae". */
static bool find_difference(athi_cli *cli, const char *path, const athi_value *was, const athi_value *is, char *out,
                            size_t size) {
    if (was && is && athi_value_equal(was, is)) return false;
    if (was && is && was->type == is->type && (was->type == ATHI_MAP || was->type == ATHI_LIST)) {
        for (int64_t i = 0; i < ATHI_MAX(was->n, is->n); i++) {
            bool list = was->type == ATHI_LIST;
            const athi_value *from = i < is->n ? is : was;
            const char *key = list ? athi_arena_printf(cli->arena, "%lld", (long long)i) : from->keys[i];
            const char *below = athi_arena_printf(cli->arena, "%s%s%s", path, *path ? "." : "", key ? key : "");
            const athi_value *a = list ? (i < was->n ? was->items[i] : NULL) : athi_value_get(was, key);
            const athi_value *b = list ? (i < is->n ? is->items[i] : NULL) : athi_value_get(is, key);
            if (below && find_difference(cli, below, a, b, out, size)) return true;
        }
    }
    athi_text old = {.ctx = cli->ctx}, new = {.ctx = cli->ctx};
    if (was) athi_json_write(&old, was, 0);
    if (is) athi_json_write(&new, is, 0);
    snprintf(out, size, "%s was %.200s, is %.200s", path, was && old.text ? old.text : "not there",
             is && new.text ? new.text : "not there");
    athi_text_free(&old);
    athi_text_free(&new);
    return true;
}

/* The bound recipe without budgets, and what else decides about the weights. */
static ath_status definition(const training *t, athi_value **out) {
    static const char *const budgets[] = {"epochs", "steps"};
    athi_arena *a = t->cli->arena;
    athi_value *copy = athi_value_copy(a, t->bound), *train = athi_value_get(t->bound, "train");
    athi_value *kept = athi_value_new(a, ATHI_MAP);
    *out = athi_value_new(a, ATHI_MAP);
    if (!copy || !kept || !*out) return ATH_E_NOMEM;
    for (int64_t i = 0; train && i < train->n; i++)
        if (strcmp(train->keys[i], budgets[0]) != 0 && strcmp(train->keys[i], budgets[1]) != 0)
            ATH_TRY(athi_value_set(a, kept, train->keys[i], train->items[i]));
    ATH_TRY(athi_value_set(a, copy, "train", kept));
    ATH_TRY(athi_value_set(a, *out, "recipe", copy));
    ATH_TRY(athi_value_set(a, *out, "shuffle", athi_value_bool(a, !athi_cli_has(t->cli, "no-shuffle"))));
    if (athi_cli_has(t->cli, "init"))
        ATH_TRY(athi_value_set(a, *out, "init", athi_value_string(a, athi_cli_text(t->cli, "init", ""))));
    return ATH_OK;
}

/* Another training's folder is refused; ours goes on. */
static ath_status claim_folder(const training *t) {
    athi_cli *cli = t->cli;
    athi_value *now = NULL, *before = NULL;
    char *file = NULL, difference[600];
    int64_t size = 0;
    athi_text text = {.ctx = cli->ctx};
    const char *path = athi_arena_printf(cli->arena, "%s/training.json", t->directory);
    const char *state = athi_arena_printf(cli->arena, "%s/state.safetensors", t->directory);
    if (!path || !state) return ATH_E_NOMEM;
    ATH_TRY(definition(t, &now));
    ath_status status = athi_json_write(&text, now, 2);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK && athi_file_exists(path) && athi_file_exists(state)) {
        status = athi_file_read(cli->ctx, path, false, 0, &file, &size);
        if (status == ATH_OK) status = athi_json_read(cli->ctx, cli->arena, file, size, &before);
        athi_free(cli->ctx, file);
        athi_value *read_back = NULL; /* as the file would give it, so that 1 and 1.0 do not differ */
        if (status == ATH_OK) status = athi_json_read(cli->ctx, cli->arena, text.text, text.length, &read_back);
        if (status == ATH_OK && find_difference(cli, "", before, read_back, difference, sizeof difference))
            status =
                athi_fail(cli->ctx, ATH_E_STATE, "%s holds another training: %s; use another --dir, or --overwrite",
                          t->directory, difference);
    } else if (status == ATH_OK)
        status = athi_file_write(cli->ctx, path, text.text, text.length);
    athi_text_free(&text);
    return status;
}

static ath_status empty_folder(const training *t) {
    static const char *const files[] = {"training.json", "state.safetensors", "log.jsonl", "model.safetensors"};
    for (int i = 0; i < ATHI_COUNT(files); i++) {
        const char *path = athi_arena_printf(t->cli->arena, "%s/%s", t->directory, files[i]);
        if (!path) return ATH_E_NOMEM;
        ATH_TRY(athi_remove_tree(t->cli->ctx, path));
    }
    return ATH_OK;
}

/* ---- the end ------------------------------------------------------------------------------------- */

/* The model file depends on recipe, data and weights alone. */
static ath_status save(training *t) {
    athi_value *metadata = NULL;
    ATH_TRY(athi_bound_metadata(t->cli->ctx, t->cli->arena, t->bound, t->data, &metadata));
    ATH_TRY(athi_model_save(t->job.model, t->out, metadata, -1));
    athi_cli_line("model: %s", t->out);
    return ATH_OK;
}

static ath_status show_test(training *t) {
    athi_cli *cli = t->cli;
    const athi_net *net = t->job.model->net;
    double *values = athi_arena_array(cli->arena, net->n_sums + 1, sizeof *values);
    athi_value *map = athi_value_new(cli->arena, ATHI_MAP), *test = athi_value_new(cli->arena, ATHI_MAP);
    if (!values || !map || !test) return ATH_E_NOMEM;
    if (t->data->test.n) {
        ATH_TRY(athi_evaluate(t->job.model, &t->data->test, &t->data->preprocess, t->data->batch, values));
        for (int64_t i = 0; i < net->n_sums; i++)
            ATH_TRY(athi_value_set(cli->arena, test, net->sums[i].name, athi_value_float(cli->arena, values[i])));
        ATH_TRY(athi_value_set(cli->arena, map, "test", test));
    }
    if (athi_cli_has(cli, "json")) {
        ATH_TRY(
            athi_value_set(cli->arena, map, "epochs", athi_value_int(cli->arena, athi_epochs_done(t->job.model))));
        ATH_TRY(athi_value_set(cli->arena, map, "model", athi_value_string(cli->arena, t->out)));
        return athi_cli_json(cli, map);
    }
    if (!test->n) return ATH_OK;
    printf("test:");
    for (int64_t i = 0; i < test->n; i++) printf("%s %s %.6g", i ? "," : "", test->keys[i], test->items[i]->number);
    printf("\n");
    return ATH_OK;
}

/* ---- the verb ------------------------------------------------------------------------------------ */

/* All that can be wrong is found here, before an earlier training is touched. */
static ath_status open_and_check(training *t) {
    athi_cli *cli = t->cli;
    athi_job job = {0};
    ATH_TRY(athi_bound_data(cli->ctx, t->bound, t->recipe->folder, athi_cli_cache(cli->arena), &t->data));
    ATH_TRY(athi_bound_build(cli->ctx, cli->arena, t->bound, t->data, &job));
    athi_model_destroy(job.model);
    return athi_cli_check_output(cli, t->out);
}

static ath_status train(training *t) {
    athi_cli *cli = t->cli;
    ATH_TRY(athi_place_in(cli->ctx, open_and_check(t), t->recipe->path));
    if (athi_cli_has(cli, "overwrite")) ATH_TRY(empty_folder(t));
    ATH_TRY(claim_folder(t));
    athi_training_opts opts = {.bound = t->bound,
                               .data = t->data,
                               .directory = t->directory,
                               .init = athi_cli_text(cli, "init", NULL),
                               .n_callbacks = -1,
                               .max_steps = athi_cli_count(cli, "steps", 0),
                               .no_shuffle = athi_cli_has(cli, "no-shuffle"),
                               .on_epoch = on_epoch,
                               .on_batch = on_batch,
                               .user = t,
                               .interrupted = cli->interrupted};
    ATH_TRY(athi_train_one(cli->ctx, cli->arena, &opts, &t->job));
    cli->started = true;
    ATH_TRY(save(t));
    return show_test(t);
}

static ath_status in_folder(training *t) {
    athi_cli *cli = t->cli;
    int lock = -1;
    ATH_TRY(athi_recipe_bind(t->recipe, cli->arena, NULL, t->recipe->seed, &t->bound));
    const char *otherwise = athi_arena_printf(cli->arena, "runs/%s", t->recipe->name);
    t->directory = athi_cli_text(cli, "dir", otherwise);
    if (!t->directory) return ATH_E_NOMEM;
    const char *model = athi_arena_printf(cli->arena, "%s/model.safetensors", t->directory);
    const char *lock_path = athi_arena_printf(cli->arena, "%s/lock", t->directory);
    if (!model || !lock_path) return ATH_E_NOMEM;
    t->out = athi_cli_text(cli, "out", model);
    ATH_TRY(athi_make_dirs(cli->ctx, t->directory));
    ATH_TRY(athi_lock_take(cli->ctx, lock_path, &lock));
    ath_status status = train(t);
    athi_model_destroy(t->job.model);
    athi_data_close(t->data);
    athi_lock_release(lock);
    return status;
}

ath_status athi_verb_train(athi_cli *cli) {
    training t = {.cli = cli};
    ATH_TRY(athi_recipe_read(cli->ctx, cli->arguments[0], cli->sets, cli->n_sets, &t.recipe));
    ath_status status = in_folder(&t);
    athi_recipe_destroy(t.recipe);
    return status;
}
