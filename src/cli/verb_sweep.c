/* sweep: every value of one constant of a recipe, or every combination of several, timed or trained. */
#include "cli/cli.h"

#include "base/file.h"
#include "recipe/sweep.h"
#include "report/sweep.h"

#include <unistd.h>

const athi_flag athi_flags_sweep[] = {
    {"over", ATHI_FLAG_TEXTS, "PATH=A,B,C",
     "a constant and its values (YAML): data.batch=8,16,32; several: every combination (default: the recipe's "
     "sweeps)"},
    {"steps", ATHI_FLAG_COUNT, "N", "updates that are timed for each value (default: 8)"},
    {"warm-up", ATHI_FLAG_COUNT, "N", "updates before them (default: 2)"},
    {"epochs", ATHI_FLAG_COUNT, "N", "in place of timed steps: whole trainings of so many epochs"},
    {"objective", ATHI_FLAG_TEXT, "REPORT",
     "what a whole training is worth: its best epoch's (default: tune.objective)"},
    {"name", ATHI_FLAG_TEXT, "NAME", "of the sweep's folder (default: the paths, joined by +)"},
    {"dir", ATHI_FLAG_TEXT, "FOLDER", "of the run (default: runs/<name>); the sweep lies below it, in sweeps/"},
    {"jobs", ATHI_FLAG_COUNT, "N", "values at a time (default: 1)"},
    {"threads", ATHI_FLAG_COUNT, "N", "threads of each (default: its share of the processors)"},
    ATHI_FLAG_SET_ROW,
    {"overwrite", ATHI_FLAG_SWITCH, NULL, "begin from nothing: what the sweep's folder holds is removed"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

static void on_event(void *user, const athi_run_event *event) {
    athi_cli *cli = user;
    cli->started = true;
    athi_cli_line("%-9s %s", event->stage, event->what);
}

/* ---- what was asked for -------------------------------------------------------------------------- */

/* "data.batch=8,16" -> a key and a list. */
static ath_status add_over(athi_cli *cli, const char *given, athi_value *over) {
    const char *equals = strchr(given, '=');
    if (!equals || equals == given || !equals[1])
        return athi_fail(cli->ctx, ATH_E_OPTION, "sweep: --over is PATH=A,B,C such as data.batch=8,16,32, got '%s'",
                         given);
    char *path = athi_arena_strndup(cli->arena, given, equals - given);
    char *list = athi_arena_printf(cli->arena, "[%s]", equals + 1);
    athi_value *values = NULL;
    if (!path || !list) return ATH_E_NOMEM;
    if (athi_value_get(over, path))
        return athi_fail(cli->ctx, ATH_E_OPTION, "sweep: --over %s stands twice; give its values at once", path);
    ATH_TRY(athi_yaml_read(cli->ctx, cli->arena, "--over", list, (int64_t)strlen(list), &values));
    return athi_value_set(cli->arena, over, path, values);
}

static ath_status put_count(athi_cli *cli, athi_value *map, const char *flag, const char *key) {
    if (!athi_cli_has(cli, flag)) return ATH_OK;
    return athi_value_set(cli->arena, map, key, athi_value_int(cli->arena, athi_cli_count(cli, flag, 0)));
}

/* The options as the recipe would say them. */
static ath_status from_flags(athi_cli *cli, const char *const *overs, int n, athi_sweep_opts *sweep) {
    static const struct {
        const char *flag, *key;
    } counts[] = {
        {"steps", "steps"}, {"warm-up", "warm_up"}, {"epochs", "epochs"}, {"jobs", "jobs"}, {"threads", "threads"}};
    static const char *const texts[] = {"objective", "name"};
    athi_value *map = athi_value_new(cli->arena, ATHI_MAP), *over = athi_value_new(cli->arena, ATHI_MAP);
    if (!map || !over) return ATH_E_NOMEM;
    for (int i = 0; i < n; i++) ATH_TRY(add_over(cli, overs[i], over));
    ATH_TRY(athi_value_set(cli->arena, map, "over", over));
    for (int i = 0; i < ATHI_COUNT(counts); i++) ATH_TRY(put_count(cli, map, counts[i].flag, counts[i].key));
    for (int i = 0; i < ATHI_COUNT(texts); i++)
        if (athi_cli_has(cli, texts[i]))
            ATH_TRY(athi_value_set(cli->arena, map, texts[i],
                                   athi_value_string(cli->arena, athi_cli_text(cli, texts[i], ""))));
    return athi_sweep_read(cli->ctx, cli->arena, map, sweep);
}

static ath_status choose(athi_cli *cli, const athi_recipe *recipe, const athi_sweep_opts **sweeps, int *n_sweeps) {
    static const char *const of_one[] = {"steps", "warm-up", "epochs", "objective", "name"};
    int n;
    const char *const *overs = athi_cli_texts(cli, "over", &n);
    athi_sweep_opts *one = athi_arena_alloc(cli->arena, (int64_t)sizeof *one);
    if (!overs || !one) return ATH_E_NOMEM;
    *sweeps = n ? one : recipe->sweeps, *n_sweeps = n ? 1 : recipe->n_sweeps;
    if (n) return from_flags(cli, overs, n, one);
    for (int i = 0; i < ATHI_COUNT(of_one); i++)
        if (athi_cli_has(cli, of_one[i]))
            return athi_fail(cli->ctx, ATH_E_OPTION, "sweep: --%s is for a sweep that --over names", of_one[i]);
    if (recipe->n_sweeps) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_OPTION,
                     "sweep: %s has no section `sweep`: say what to change, such as --over data.batch=8,16,32",
                     recipe->path);
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static ath_status run_all(athi_cli *cli, const athi_recipe *recipe, const athi_sweep_opts *sweeps, int n,
                          athi_run_opts *opts, athi_value *report) {
    athi_value *list = athi_value_new(cli->arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int i = 0; i < n; i++) {
        athi_value *entry = NULL;
        ATH_TRY(athi_sweep_run(recipe, cli->arena, &sweeps[i], opts, &entry));
        cli->started = true;
        ATH_TRY(athi_value_append(cli->arena, list, entry));
    }
    ATH_TRY(athi_value_set(cli->arena, report, "name", athi_value_string(cli->arena, recipe->name)));
    ATH_TRY(athi_value_set(cli->arena, report, "sweeps", list));
    return athi_sweep_files(cli->ctx, cli->arena, opts->directory, report);
}

/* The run's folder is this process's alone: neither a run nor another sweep works in it meanwhile. */
static ath_status in_folder(athi_cli *cli, const athi_recipe *recipe, const athi_sweep_opts *sweeps, int n,
                            athi_run_opts *opts, athi_value *report) {
    int lock = -1;
    const bool made = !athi_file_exists(opts->directory);
    const char *lock_path = athi_arena_printf(cli->arena, "%s/lock", opts->directory);
    if (!lock_path) return ATH_E_NOMEM;
    ATH_TRY(athi_make_dirs(cli->ctx, opts->directory));
    ATH_TRY(athi_lock_take(cli->ctx, lock_path, &lock));
    ath_status status = run_all(cli, recipe, sweeps, n, opts, report);
    if (status != ATH_OK && made && !cli->started) unlink(lock_path), rmdir(opts->directory);
    athi_lock_release(lock);
    return status;
}

static ath_status sweep(athi_cli *cli, const athi_recipe *recipe) {
    const athi_sweep_opts *sweeps = NULL;
    int n = 0;
    ATH_TRY(choose(cli, recipe, &sweeps, &n));
    athi_run_opts opts;
    ATH_TRY(athi_cli_run_opts(cli, recipe->name, &opts));
    opts.event = on_event, opts.user = cli;
    athi_value *report = athi_value_new(cli->arena, ATHI_MAP);
    if (!report) return ATH_E_NOMEM;
    ATH_TRY(in_folder(cli, recipe, sweeps, n, &opts, report));
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
    ATH_TRY(athi_cli_table(cli, report));
    for (int i = 0; i < n; i++) athi_cli_line("table and charts: %s/sweeps/%s", opts.directory, sweeps[i].name);
    return ATH_OK;
}

ath_status athi_verb_sweep(athi_cli *cli) {
    athi_recipe *recipe = NULL;
    int n;
    const char *const *sets = athi_cli_texts(cli, "set", &n);
    if (!sets) return ATH_E_NOMEM;
    ATH_TRY(athi_recipe_read(cli->ctx, cli->arguments[0], sets, n, &recipe));
    ath_status status = sweep(cli, recipe);
    athi_recipe_destroy(recipe);
    return status;
}
