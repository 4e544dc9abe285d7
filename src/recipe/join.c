/* One more worker on a study: what a study keeps of the search that began it, and how another program takes part.
 *
 *   {"recipe": {…} or "space": {…}, "file": "net.yaml", "folder": "/home/…", "name": "net", "jobs": 2, "command": […]}
 *
 * stands in the study under "setup", written at every start of the search. Budgets and sampler come from there, so
 * that all who take part decide alike. */
#include "recipe/internal.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

#define SETUP "setup"

/* ---- keeping ------------------------------------------------------------------------------------- */

static ath_status put_text(athi_arena *arena, athi_value *map, const char *key, const char *text) {
    return text ? athi_value_set(arena, map, key, athi_value_string(arena, text)) : ATH_OK;
}

/* The other study of a warm start is needed once, by who began; its URL may hold a password. */
static void drop_warm_start(athi_value *map) {
    int64_t kept = 0;
    for (int64_t i = 0; map && map->type == ATHI_MAP && i < map->n; i++) {
        if (!strcmp(map->keys[i], "warm_start")) continue;
        map->keys[kept] = map->keys[i], map->items[kept] = map->items[i];
        map->key_lines[kept] = map->key_lines[i], map->key_columns[kept++] = map->key_columns[i];
    }
    if (map && map->type == ATHI_MAP) map->n = kept;
}

static ath_status setup_value(athi_arena *arena, const athi_setup *s, athi_value **out) {
    athi_value *map = athi_value_new(arena, ATHI_MAP), *list = athi_value_new(arena, ATHI_LIST);
    char *folder = realpath(*s->folder ? s->folder : ".", NULL);
    if (!map || !list) return free(folder), ATH_E_NOMEM;
    ath_status status = put_text(arena, map, "folder", folder ? folder : s->folder);
    free(folder); /* the C library's, not ours */
    ATH_TRY(status);
    athi_value *root = athi_value_copy(arena, s->root);
    drop_warm_start(s->command ? root : athi_value_get(root, "tune"));
    ATH_TRY(athi_value_push(arena, map, s->command ? "space" : "recipe", root));
    ATH_TRY(put_text(arena, map, "file", s->file));
    ATH_TRY(put_text(arena, map, "name", s->name));
    ATH_TRY(athi_value_set(arena, map, "jobs", athi_value_int(arena, s->jobs)));
    for (int i = 0; s->command && s->command[i]; i++)
        ATH_TRY(athi_value_append(arena, list, athi_value_string(arena, s->command[i])));
    if (s->command) ATH_TRY(athi_value_set(arena, map, "command", list));
    *out = map;
    return ATH_OK;
}

ath_status athi_setup_keep(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_setup *setup) {
    athi_value *map = NULL;
    athi_text text = {.ctx = ctx};
    ATH_TRY(setup_value(arena, setup, &map));
    ath_status status = athi_json_write(&text, map, 0);
    if (status == ATH_OK) status = text.failed ? ATH_E_NOMEM : athi_store_put(store, SETUP, text.text);
    athi_text_free(&text);
    return status;
}

void athi_folder_unmake(ath_ctx *ctx, const char *folder) {
    char sentence[ATHI_ERRMSG_MAX];
    memcpy(sentence, ctx->errmsg, sizeof sentence);
    ath_status removed = athi_remove_tree(ctx, folder);
    (void)removed; /* an empty folder that stays harms nobody */
    memcpy(ctx->errmsg, sentence, sizeof sentence);
}

const char *athi_driver_name(athi_arena *arena, const char *locked_folder) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (!locked_folder) return athi_arena_printf(arena, "%s:%lld:%.6f", host, (long long)getpid(), athi_now());
    char *folder = realpath(locked_folder, NULL);
    const char *name = athi_arena_printf(arena, "%s:%s", host, folder ? folder : locked_folder);
    free(folder); /* the C library's, not ours */
    return name;
}

/* ---- taking part --------------------------------------------------------------------------------- */

static const char *text_of(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : NULL;
}

static ath_status read_setup(ath_ctx *ctx, athi_arena *arena, const char *study, athi_value **setup) {
    athi_store *store = NULL;
    const char *text = NULL, *shown = athi_store_shown(arena, study);
    if (!shown) return ATH_E_NOMEM;
    ATH_TRY(athi_store_open_existing(ctx, study, NULL, &store));
    ath_status status = athi_store_get(store, arena, SETUP, &text);
    athi_store_close(store);
    ATH_TRY(status);
    if (!text)
        return athi_fail(
            ctx, ATH_E_NOTFOUND,
            "%s: the study does not say what is tuned: no `athanor tune` has worked on it; start one with "
            "--study, then others can join",
            shown);
    status = athi_json_read(ctx, arena, text, (int64_t)strlen(text), setup);
    if (status != ATH_OK) return athi_fail_prefix(ctx, status, "%s: how its search was set up", shown);
    if (text_of(*setup, "file") && text_of(*setup, "folder") && text_of(*setup, "name")) return ATH_OK;
    return athi_fail(ctx, ATH_E_DATA, "%s: how its search was set up is not what this version writes", shown);
}

static ath_status join_recipe(ath_ctx *ctx, athi_arena *arena, const athi_value *setup, const char *text,
                              const athi_run_opts *opts, athi_value **report) {
    athi_recipe *recipe = NULL;
    ATH_TRY(athi_recipe_parse(ctx, text_of(setup, "file"), text, (int64_t)strlen(text), NULL, 0, &recipe));
    recipe->folder = text_of(setup, "folder"), recipe->name = text_of(setup, "name");
    ath_status status = athi_run(recipe, arena, opts, report);
    athi_recipe_destroy(recipe);
    return status;
}

static ath_status join_command(ath_ctx *ctx, athi_arena *arena, const athi_value *setup, const char *text,
                               const athi_run_opts *opts, athi_value **report) {
    const athi_value *list = athi_value_get(setup, "command");
    athi_space_file *file = NULL;
    int64_t n = list && list->type == ATHI_LIST ? list->n : 0;
    const char **command = athi_arena_array(arena, n + 1, (int64_t)sizeof *command);
    if (!command) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) command[i] = list->items[i]->type == ATHI_STRING ? list->items[i]->text : "";
    ATH_TRY(athi_space_file_parse(ctx, text_of(setup, "file"), text_of(setup, "name"), text, (int64_t)strlen(text),
                                  &file));
    ath_status status = athi_tune_command(file, arena, opts, command, false, report);
    athi_space_file_destroy(file);
    return status;
}

ath_status athi_join(ath_ctx *ctx, athi_arena *arena, const athi_run_opts *opts, athi_value **report) {
    athi_value *setup = NULL;
    athi_text text = {.ctx = ctx};
    athi_run_opts o = *opts;
    const char *shown = athi_store_shown(arena, opts->study);
    if (!shown) return ATH_E_NOMEM;
    ATH_TRY(read_setup(ctx, arena, opts->study, &setup));
    const athi_value *recipe = athi_value_get(setup, "recipe"), *space = athi_value_get(setup, "space"),
                     *jobs = athi_value_get(setup, "jobs");
    const athi_value *root = recipe ? recipe : space;
    o.joins = o.only_tune = true, o.overwrite = false;
    o.study_jobs = jobs && jobs->type == ATHI_INT ? (int)jobs->integer : 0;
    ath_status status = root ? athi_json_write(&text, root, 0) : ATH_E_DATA;
    if (!root) athi_fail(ctx, status, "%s: how its search was set up is not what this version writes", shown);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK)
        status = recipe ? join_recipe(ctx, arena, setup, text.text, &o, report)
                        : join_command(ctx, arena, setup, text.text, &o, report);
    athi_text_free(&text);
    return status;
}

ath_status athi_join_report(athi_arena *arena, const athi_search *search, const char *name, const char *why,
                            athi_value **report) {
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(put_text(arena, map, "name", name));
    ATH_TRY(athi_value_set(arena, map, "executions", athi_value_int(arena, athi_search_handed_out(search))));
    ATH_TRY(put_text(arena, map, "ended", why ? why : ""));
    *report = map;
    return ATH_OK;
}
