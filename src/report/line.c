/* The command line that does a trial again. Of a command it is the command; of a recipe, `athanor train` with every
 * range set to what the trial had. */
#include "report/study.h"

#include "base/file.h"
#include "tune/command.h"

/* ---- a command ----------------------------------------------------------------------------------- */

static ath_status command_line(const athi_study *s, athi_arena *arena, const athi_value *words, uint64_t seed,
                               const athi_trial *t, athi_text *out) {
    const char **argv = athi_arena_array(arena, words->n + 1, (int64_t)sizeof *argv), *const *filled = NULL;
    const char *folder =
        athi_arena_printf(arena, "%s/trials/%lld/0", s->folder ? s->folder : ".", (long long)t->number);
    if (!argv || !folder) return ATH_E_NOMEM;
    for (int64_t i = 0; i < words->n; i++)
        argv[i] = words->items[i]->type == ATHI_STRING ? words->items[i]->text : "";
    athi_command command = {.argv = argv,
                            .space = s->space,
                            .objectives = s->info->objective_names,
                            .n_objectives = s->info->n_objectives};
    athi_task task = {.trial = t->number, .seed = athi_seed_derive(seed, t->number, 0), .point = t->point};
    ATH_TRY(athi_command_argv(s->ctx, arena, &command, &task, folder, &filled));
    for (int64_t i = 0; filled[i]; i++) {
        athi_text_printf(out, i ? " " : "");
        athi_command_quote(filled[i], out);
    }
    return ATH_OK;
}

/* ---- a recipe ------------------------------------------------------------------------------------ */

typedef struct sets {
    athi_arena *arena;
    athi_text *out;
} sets;

static ath_status put_set(const sets *s, const char *path, const athi_value *bound) {
    athi_text word = {.ctx = s->out->ctx};
    athi_text_printf(&word, "%s=", path);
    ath_status status = athi_json_write(&word, bound, 0);
    if (status == ATH_OK && word.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) {
        athi_text_printf(s->out, " --set ");
        athi_command_quote(word.text, s->out);
    }
    athi_text_free(&word);
    return status;
}

/* Can what differs inside be set alone? Not below a range, and not in a list whose elements are ranges, which may have
 * become another list (a branch of layers, no layer). */
static bool settable(const athi_value *written, const athi_value *bound) {
    if (written->tag || written->type != bound->type || written->n != bound->n) return false;
    for (int64_t i = 0; written->type == ATHI_MAP && i < written->n; i++)
        if (!athi_value_get(bound, written->keys[i])) return false;
    for (int64_t i = 0; written->type == ATHI_LIST && i < written->n; i++)
        if (written->items[i]->tag) return false;
    return written->type == ATHI_MAP || written->type == ATHI_LIST;
}

/* Sets what the recipe's file says differently: its ranges, and what the run was started with. */
static ath_status put_sets(const sets *s, const char *path, const athi_value *written, const athi_value *bound) {
    if (written && !written->tag && athi_value_equal(written, bound)) return ATH_OK;
    if (!written || !settable(written, bound)) return put_set(s, path, bound);
    for (int64_t i = 0; i < written->n; i++) {
        bool map = written->type == ATHI_MAP;
        const char *below = map ? athi_arena_printf(s->arena, "%s.%s", path, written->keys[i])
                                : athi_arena_printf(s->arena, "%s.%lld", path, (long long)i);
        if (!below) return ATH_E_NOMEM;
        ATH_TRY(
            put_sets(s, below, written->items[i], map ? athi_value_get(bound, written->keys[i]) : bound->items[i]));
    }
    return ATH_OK;
}

/* The recipe's file, as the run that made the study called it. */
static const char *recipe_file(const athi_study *s, athi_arena *arena) {
    char *text = NULL;
    int64_t size = 0;
    athi_value *setup = NULL;
    const char *path = s->folder ? athi_arena_printf(arena, "%s/worker.json", s->folder) : NULL, *file = "RECIPE";
    if (!path || !athi_file_exists(path) || athi_file_read(s->ctx, path, false, INT64_MAX, &text, &size) != ATH_OK)
        return file;
    if (athi_json_read(s->ctx, arena, text, size, &setup) == ATH_OK) {
        const athi_value *given = athi_value_get(setup, "file");
        if (given && given->type == ATHI_STRING) file = given->text;
    }
    athi_free(s->ctx, text);
    return file;
}

static ath_status recipe_line(const athi_study *s, athi_arena *arena, const athi_trial *t, athi_text *out) {
    const char *path = recipe_file(s, arena);
    athi_recipe *file = NULL;
    athi_value *bound = NULL;
    sets all = {arena, out};
    ATH_TRY(athi_recipe_bind(s->recipe, arena, t->point, athi_seed_derive(s->recipe->seed, t->number, 0), &bound));
    if (athi_recipe_read(s->ctx, path, NULL, 0, &file) == ATH_E_NOMEM) return ATH_E_NOMEM;
    const athi_value *written = file ? file->root : s->recipe->root; /* the file may have gone */
    athi_text_printf(out, "athanor train ");
    athi_command_quote(path, out);
    ath_status status = ATH_OK;
    for (int64_t i = 0; status == ATH_OK && i < bound->n; i++)
        status = put_sets(&all, bound->keys[i], athi_value_get(written, bound->keys[i]), bound->items[i]);
    athi_recipe_destroy(file);
    return status;
}

ath_status athi_study_line(const athi_study *s, const athi_trial *t, athi_text *out) {
    const athi_value *words = athi_value_get(s->info->definition, "command"),
                     *seed = athi_value_get(s->info->definition, "seed");
    athi_arena *arena = athi_arena_create(s->ctx);
    ath_status status = ATH_OK;
    if (!arena) return ATH_E_NOMEM;
    if (words && words->type == ATHI_LIST)
        status = command_line(s, arena, words, seed ? (uint64_t)seed->integer : 0, t, out);
    else if (s->recipe)
        status = recipe_line(s, arena, t, out);
    athi_arena_destroy(arena);
    return status == ATH_OK && out->failed ? ATH_E_NOMEM : status;
}
