/* tune --simulate: the search of a SPACE file, or over the rows alone, on recorded learning curves. */
#include "cli/cli.h"
#include "recipe/recipe.h"

static void print_best(const athi_cli *cli, const athi_value *report) {
    const athi_value *best = athi_value_get(report, "best"), *params = athi_value_get(best, "params");
    printf("best %s: %.6g, row %lld\n", athi_value_get(report, "objective")->text,
           athi_value_get(best, "value")->number, (long long)athi_value_get(best, "row")->integer);
    athi_cli_params(cli, params);
}

static ath_status show(athi_cli *cli, const athi_recorded *recorded, const athi_value *report) {
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
#define COUNT(key) (long long)athi_value_get(report, key)->integer
    printf("%lld trial%s on %lld simulated worker%s: %lld complete, %lld stopped, %lld failed (ended: %s)\n",
           COUNT("trials"), ATHI_PLURAL(COUNT("trials")), COUNT("workers"), ATHI_PLURAL(COUNT("workers")),
           COUNT("complete"), COUNT("stopped"), COUNT("failed"), athi_value_get(report, "ended")->text);
    printf("steps: %lld of the %lld of %lld row%s\n", COUNT("steps"), COUNT("rows") * (long long)recorded->steps,
           COUNT("rows"), ATHI_PLURAL(COUNT("rows")));
#undef COUNT
    printf("simulated seconds: %.6g\n", athi_value_get(report, "seconds")->number);
    print_best(cli, report);
    return ATH_OK;
}

/* The space of rows: drawn at random, each once. What --set says comes behind and prevails. */
static ath_status read_row_space(athi_cli *cli, const athi_recorded *recorded, const char *const *sets, int n_sets,
                                 athi_space_file **file) {
    const char *row = athi_arena_printf(cli->arena, "row=!int {min: 0, max: %lld}", (long long)recorded->n_rows - 1);
    const char **all = athi_arena_array(cli->arena, n_sets + 1, sizeof *all);
    if (!row || !all) return ATH_E_NOMEM;
    all[0] = "sampler=random";
    for (int i = 0; i < n_sets; i++) all[i + 1] = sets[i];
    ATH_TRY(athi_space_file_read(cli->ctx, NULL, all, n_sets + 1, &row, 1, file));
    if (athi_value_get((*file)->root, "objective")) return ATH_OK;
    athi_space_file_destroy(*file);
    *file = NULL;
    return athi_fail(
        cli->ctx, ATH_E_OPTION,
        "tune: say what the curves of %s hold, e.g. --set objective=val_accuracy, or name a SPACE file that "
        "does",
        recorded->path);
}

static ath_status simulate(athi_cli *cli, const athi_recorded *recorded, const athi_space_file *file) {
    const char *folder;
    athi_value *report = NULL;
    cli->forgets = true;
    ATH_TRY(athi_cli_temporary(cli, true, &folder));
    ATH_TRY(athi_cli_remove(cli, folder,
                            athi_tune_simulate(file, cli->arena, recorded, athi_cli_count(cli, "jobs", 0), folder,
                                               cli->interrupted, &report)));
    return show(cli, recorded, report);
}

ath_status athi_tune_simulated(athi_cli *cli) {
    static const char *const others[] = {"dir", "threads", "study", "param", "dry-run", "overwrite"};
    athi_recorded recorded;
    athi_space_file *file = NULL;
    int n_sets;
    const char *const *sets = athi_cli_texts(cli, "set", &n_sets);
    if (!sets) return ATH_E_NOMEM;
    if (cli->command)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "tune: --simulate takes recorded curves in place of a command; leave out "
                         "what follows --, or --simulate");
    for (int i = 0; i < ATHI_COUNT(others); i++)
        if (athi_cli_has(cli, others[i]))
            return athi_fail(cli->ctx, ATH_E_OPTION,
                             "tune: --%s is not for --simulate, which keeps nothing and runs no "
                             "program",
                             others[i]);
    ATH_TRY(athi_recorded_read(cli->ctx, cli->arena, athi_cli_text(cli, "simulate", NULL), &recorded));
    if (cli->n_arguments)
        ATH_TRY(athi_space_file_read(cli->ctx, cli->arguments[0], sets, n_sets, NULL, 0, &file));
    else
        ATH_TRY(read_row_space(cli, &recorded, sets, n_sets, &file));
    ath_status status = simulate(cli, &recorded, file);
    athi_space_file_destroy(file);
    return status;
}
