/* The table at the end of a run: its sweeps, its search, its models, what it cost. */
#include "report/table.h"

#include "report/grid.h"
#include "report/sweep.h"

#include <stdio.h>

/* ---- numbers of a report ------------------------------------------------------------------------- */

static bool number_in(const athi_value *map, const char *part, const char *key, double *out) {
    return athi_number_at(athi_value_get(map, part), key, out);
}

/* Accuracy in percent where there is one, else the loss. */
static bool put_score(const athi_value *scores, char out[ATHI_CELL_MAX]) {
    double v;
    if (athi_number_at(scores, "accuracy", &v))
        snprintf(out, ATHI_CELL_MAX, "%.2f %%", 100 * v);
    else if (athi_number_at(scores, "loss", &v))
        snprintf(out, ATHI_CELL_MAX, "%.5g", v);
    else
        return false;
    return true;
}

/* ---- columns ------------------------------------------------------------------------------------- */

static void put_int(const athi_value *model, const char *key, char out[ATHI_CELL_MAX]) {
    double v;
    if (athi_number_at(model, key, &v)) snprintf(out, ATHI_CELL_MAX, "%.0f", v);
}
static void cell_rank(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_int(model, "rank", out);
}
static void cell_trial(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_int(model, "trial", out);
}
static void cell_best_epoch(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_int(model, "best_epoch", out);
}
static void cell_epochs(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_int(model, "epochs", out);
}
static void cell_validation(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_score(athi_value_get(model, "validation"), out);
}
static void cell_test(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    put_score(athi_value_get(model, "test"), out);
}
static void cell_weight(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    (void)s;
    double v;
    if (athi_number_at(model, "weight", &v)) snprintf(out, ATHI_CELL_MAX, "%.3f", v);
}
/* The ensemble with the member against the ensemble without it, on validation; a gain is positive. */
static void cell_adds(const athi_source *s, const athi_value *model, char out[ATHI_CELL_MAX]) {
    double without, with;
    const athi_value *ensemble = athi_value_get(s->report, "ensemble");
    if (number_in(model, "without", "accuracy", &without) && number_in(ensemble, "validation", "accuracy", &with))
        snprintf(out, ATHI_CELL_MAX, "%+.2f %%", 100 * (with - without));
    else if (number_in(model, "without", "loss", &without) && number_in(ensemble, "validation", "loss", &with))
        snprintf(out, ATHI_CELL_MAX, "%+.3g", without - with);
}

static const athi_column columns[] = {
    {"#", false, cell_rank},
    {"trial", false, cell_trial},
    {"parameters", true, athi_cell_params},
    {"best epoch", false, cell_best_epoch},
    {"trained", false, cell_epochs},
    {"validation", false, cell_validation},
    {"test", false, cell_test},
    {"weight", false, cell_weight},
    {"adds", false, cell_adds},
};
static_assert(ATHI_COUNT(columns) <= ATHI_COLUMNS_MAX, "more columns than a row has cells");

/* ---- the models ---------------------------------------------------------------------------------- */

/* The last row: what all of them give together. */
static void fill_ensemble(athi_grid *g, const athi_source *s, const athi_value *ensemble) {
    for (int i = 0; i < g->n; i++) {
        g->cells[i][0] = '\0';
        if (columns[i].cell == athi_cell_params)
            snprintf(g->cells[i], ATHI_CELL_MAX, "ensemble (%s)", athi_text_at(ensemble, "method", "average"));
        if (columns[i].cell == cell_validation || columns[i].cell == cell_test)
            columns[i].cell(s, ensemble, g->cells[i]);
    }
}

static void put_models(athi_text *out, const athi_value *report, bool utf8) {
    const athi_value *models = athi_value_get(report, "models"), *ensemble = athi_value_get(report, "ensemble");
    athi_grid g = {.out = out, .utf8 = utf8, .columns = columns, .n = ATHI_COUNT(columns)};
    athi_source s = {out->ctx, report};
    if (!models || models->type != ATHI_LIST || models->n == 0) return;
    for (int64_t i = 0; i < models->n; i++) athi_grid_fill(&g, &s, models->items[i]), athi_grid_measure(&g);
    if (ensemble) fill_ensemble(&g, &s, ensemble), athi_grid_measure(&g);
    athi_grid_titles(&g);
    for (int64_t i = 0; i < models->n; i++) athi_grid_fill(&g, &s, models->items[i]), athi_grid_row(&g);
    if (ensemble) {
        athi_grid_between(&g);
        fill_ensemble(&g, &s, ensemble);
        athi_grid_row(&g);
    }
    athi_grid_end(&g);
}

/* ---- around the table ---------------------------------------------------------------------------- */

const char *athi_report_why(const char *why) {
    static const struct {
        const char *why, *text;
    } reasons[] = {{"max_trials", "max_trials reached"},
                   {"exhausted", "every point of the space was tried"},
                   {"max_seconds", "max_seconds reached"},
                   {"target", "the target was reached"},
                   {"stagnation", "no trial was better for too long"},
                   {"regret_bound", "nothing more to be gained beyond the noise"},
                   {"failures", "all of the first trials failed"}};
    for (int i = 0; i < ATHI_COUNT(reasons); i++)
        if (strcmp(reasons[i].why, why) == 0) return reasons[i].text;
    return why;
}

static void put_search(athi_text *out, const athi_value *report) {
    const athi_value *search = athi_value_get(report, "search"), *trials = athi_value_get(search, "trials"),
                     *best = athi_value_get(search, "best");
    int64_t complete = 0, failed = 0, pruned = 0;
    double value, seconds, number;
    if (!search) return;
    for (int64_t i = 0; trials && i < trials->n; i++) {
        const char *state = athi_text_at(trials->items[i], "state", "");
        pruned += strcmp(state, "pruned") == 0;
        complete += strcmp(state, "complete") == 0, failed += strcmp(state, "failed") == 0;
    }
    athi_text_printf(out, "search: %lld trial%s", (long long)complete, ATHI_PLURAL(complete));
    if (pruned) athi_text_printf(out, ", %lld stopped early", (long long)pruned);
    if (failed) athi_text_printf(out, ", %lld failed", (long long)failed);
    if (athi_number_at(search, "seconds", &seconds)) athi_text_printf(out, ", %.1f s", seconds);
    const char *ended = athi_text_at(search, "ended", "");
    if (*ended) athi_text_printf(out, ", ended: %s", athi_report_why(ended));
    athi_text_printf(out, "\n");
    if (!athi_number_at(best, "value", &value) || !athi_number_at(best, "number", &number)) return;
    athi_text_printf(out, "best:   trial %.0f, %s %.4f (", number,
                     athi_text_at(athi_value_get(report, "objective"), "metric", "value"), value);
    athi_put_params(athi_value_get(best, "params"), out);
    athi_text_printf(out, ")\n");
    const athi_value *front = athi_value_get(search, "front");
    for (int64_t i = 0; front && i < front->n; i++)
        if (athi_number_at(front->items[i], "number", &number))
            athi_text_printf(out, "%s %.0f", i ? "," : "front:  trials", number);
    if (front) athi_text_printf(out, "\n");
}

static void put_costs(athi_text *out, const athi_value *report) {
    double v;
    const char *comma = "";
    static const struct {
        const char *key, *format;
        double scale;
    } costs[] = {{"seconds", "%.1f s", 1},
                 {"peak_bytes", "peak memory %.0f MiB", 1.0 / 1048576},
                 {"peak_worker_bytes", "of a worker %.0f MiB", 1.0 / 1048576}};
    for (int i = 0; i < ATHI_COUNT(costs); i++) {
        if (!athi_number_at(report, costs[i].key, &v)) continue;
        athi_text_printf(out, "%s", comma);
        athi_text_printf(out, costs[i].format, v * costs[i].scale);
        comma = ", ";
    }
    if (*comma) athi_text_printf(out, "\n");
}

void athi_report_table(athi_text *out, const athi_value *report, bool utf8) {
    athi_text_printf(out, "\n%s\n", athi_text_at(report, "name", ""));
    athi_sweep_tables(out, report, utf8);
    put_search(out, report);
    put_models(out, report, utf8);
    put_costs(out, report);
}
