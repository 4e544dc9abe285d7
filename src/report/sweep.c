/* Sweeps for people: a table, a CSV and a chart each. */
#include "report/sweep.h"

#include "base/file.h"
#include "report/chart.h"
#include "report/grid.h"

#include <math.h>
#include <stdio.h>

/* ---- tables -------------------------------------------------------------------------------------- */

static bool is_timed(const athi_value *sweep) { return athi_value_get(sweep, "steps") != NULL; }

static void cell_value(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    double v;
    if (athi_number_at(row, "value", &v)) snprintf(out, ATHI_CELL_MAX, is_timed(s->report) ? "%.1f" : "%.4f", v);
}
static void cell_step(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    (void)s;
    double v;
    if (athi_number_at(row, "step_seconds", &v)) snprintf(out, ATHI_CELL_MAX, "%.2f ms", 1e3 * v);
}
static void cell_reached(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    (void)s;
    const athi_value *training = athi_value_get(row, "training"), *reached = athi_value_get(training, "reached");
    double epoch, seconds;
    if (athi_number_at(reached, "epoch", &epoch) && athi_number_at(reached, "seconds", &seconds))
        snprintf(out, ATHI_CELL_MAX, "%.1f s, epoch %.0f", seconds, epoch);
    else if (athi_value_get(training, "target"))
        snprintf(out, ATHI_CELL_MAX, "not");
}
/* As a share of the best. */
static void cell_share(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    const athi_value *trials = athi_value_get(s->report, "trials");
    double best = 0, v;
    if (!is_timed(s->report) || !athi_number_at(row, "value", &v)) return;
    for (int64_t i = 0; i < trials->n; i++) {
        double other;
        if (athi_number_at(trials->items[i], "value", &other)) best = fmax(best, other);
    }
    if (best > 0) snprintf(out, ATHI_CELL_MAX, "%.0f %%", 100 * v / best);
}
static void cell_failure(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    (void)s;
    if (strcmp(athi_text_at(row, "state", ""), "failed") == 0)
        snprintf(out, ATHI_CELL_MAX, "failed: %s", athi_text_at(row, "reason", ""));
}

static void put_table(athi_text *out, const athi_value *sweep, bool utf8) {
    const char *metric = athi_text_at(sweep, "objective", "value");
    const athi_column columns[] = {{"value", true, athi_cell_params},       {metric, false, cell_value},
                                   {"of the best", false, cell_share},      {"a step", false, cell_step},
                                   {"target reached", false, cell_reached}, {"", true, cell_failure}};
    athi_grid g = {.out = out, .utf8 = utf8, .columns = columns, .n = ATHI_COUNT(columns)};
    athi_source s = {out->ctx, sweep};
    const athi_value *trials = athi_value_get(sweep, "trials");
    double steps = 0, warm_up = 0, epochs = 0;
    athi_number_at(sweep, "steps", &steps), athi_number_at(sweep, "warm_up", &warm_up);
    athi_number_at(sweep, "epochs", &epochs);
    athi_text_printf(out, "sweep %s: ", athi_text_at(sweep, "name", ""));
    if (is_timed(sweep))
        athi_text_printf(out, "%.0f timed steps after %.0f\n", steps, warm_up);
    else
        athi_text_printf(out, "trainings of %.0f epochs, the best epoch of each\n", epochs);
    for (int64_t i = 0; i < trials->n; i++) athi_grid_fill(&g, &s, trials->items[i]), athi_grid_measure(&g);
    athi_grid_titles(&g);
    for (int64_t i = 0; i < trials->n; i++) athi_grid_fill(&g, &s, trials->items[i]), athi_grid_row(&g);
    athi_grid_end(&g);
}

static void put_training(athi_text *out, const athi_value *training) {
    const athi_value *reached = athi_value_get(training, "reached"), *epochs = athi_value_get(training, "epochs");
    const char *monitor = athi_text_at(training, "monitor", "");
    double target, epoch, seconds, rate;
    if (!athi_number_at(training, "target", &target) || !epochs || !epochs->n) return;
    if (athi_number_at(reached, "epoch", &epoch) && athi_number_at(reached, "seconds", &seconds))
        athi_text_printf(out, "%s %g: reached after %.1f s, in epoch %.0f\n", monitor, target, seconds, epoch);
    else
        athi_text_printf(out, "%s %g: not reached in %lld epochs\n", monitor, target, (long long)epochs->n);
    const athi_value *last = epochs->items[epochs->n - 1];
    if (athi_number_at(last, "samples_per_second", &rate))
        athi_text_printf(out, "last epoch: %.1f samples/s of training", rate);
    if (athi_number_at(last, "throughput", &rate)) athi_text_printf(out, ", %.1f with validation", rate);
    athi_text_printf(out, "\n");
}

void athi_sweep_tables(athi_text *out, const athi_value *report, bool utf8) {
    const athi_value *sweeps = athi_value_get(report, "sweeps");
    for (int64_t i = 0; sweeps && i < sweeps->n; i++) put_table(out, sweeps->items[i], utf8);
    put_training(out, athi_value_get(report, "training"));
}

/* ---- files --------------------------------------------------------------------------------------- */

typedef struct files {
    ath_ctx *ctx;
    athi_arena *arena;
    const char *folder;
} files;

static ath_status write_file(const files *f, const char *name, athi_text *text, ath_status status) {
    const char *path = athi_arena_printf(f->arena, "%s/%s", f->folder, name);
    if (status == ATH_OK && (text->failed || !path)) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_write(f->ctx, path, text->text, text->length);
    athi_text_free(text);
    return status;
}

static ath_status write_json(const files *f, const athi_value *sweep) {
    athi_text text = {.ctx = f->ctx};
    ath_status status = athi_json_write(&text, sweep, 2);
    athi_text_add(&text, "\n", 1);
    return write_file(f, "sweep.json", &text, status);
}

/* RFC 4180: what holds a comma, a quote or a line's end stands in quotes. */
static void put_field(athi_text *out, const char *field) {
    bool quoted = strpbrk(field, ",\"\r\n") != NULL;
    if (quoted) athi_text_add(out, "\"", 1);
    for (; *field; field++) athi_text_printf(out, *field == '"' ? "\"\"" : "%c", *field);
    if (quoted) athi_text_add(out, "\"", 1);
}

static void put_cell(athi_text *out, const athi_value *v) {
    athi_text one = {.ctx = out->ctx};
    if (v && v->type == ATHI_STRING)
        put_field(out, v->text);
    else if (v && athi_json_write(&one, v, 0) == ATH_OK && one.text)
        put_field(out, one.text);
    athi_text_free(&one);
}

static ath_status write_csv(const files *f, const athi_value *sweep) {
    athi_text text = {.ctx = f->ctx};
    const athi_value *over = athi_value_get(sweep, "over"), *trials = athi_value_get(sweep, "trials");
    for (int64_t k = 0; k < over->n; k++) put_field(&text, over->keys[k]), athi_text_add(&text, ",", 1);
    athi_text_printf(&text, "state,%s,step_seconds,seconds_to_target,seconds\n",
                     athi_text_at(sweep, "objective", "value"));
    for (int64_t i = 0; i < trials->n; i++) {
        const athi_value *t = trials->items[i], *reached = athi_value_get(athi_value_get(t, "training"), "reached");
        const athi_value *const cells[] = {athi_value_get(t, "state"), athi_value_get(t, "value"),
                                           athi_value_get(t, "step_seconds"), athi_value_get(reached, "seconds"),
                                           athi_value_get(t, "seconds")};
        for (int64_t k = 0; k < over->n; k++) {
            put_cell(&text, athi_value_get(athi_value_get(t, "params"), over->keys[k]));
            athi_text_add(&text, ",", 1);
        }
        for (int k = 0; k < ATHI_COUNT(cells); k++) {
            if (k) athi_text_add(&text, ",", 1);
            put_cell(&text, cells[k]);
        }
        athi_text_add(&text, "\n", 1);
    }
    return write_file(f, "sweep.csv", &text, ATH_OK);
}

/* ---- charts -------------------------------------------------------------------------------------- */

/* A value as text, in the arena; one with options by its name, as trials have it. */
static const char *value_text(const files *f, const athi_value *v) {
    if (v && v->type == ATHI_STRING) return v->text;
    if (v && v->type == ATHI_MAP && v->n == 1) return v->keys[0];
    athi_text one = {.ctx = f->ctx};
    const char *text =
        v && athi_json_write(&one, v, 0) == ATH_OK && one.text ? athi_arena_strdup(f->arena, one.text) : NULL;
    athi_text_free(&one);
    return text;
}

/* Which of a constant's values a trial has; -1: none. */
static int64_t index_of(const files *f, const athi_value *values, const athi_value *v) {
    const char *text = value_text(f, v);
    for (int64_t k = 0; text && k < values->n; k++) {
        const char *other = value_text(f, values->items[k]);
        if (other && strcmp(text, other) == 0) return k;
    }
    return -1;
}

/* "data.batch 8, train.optimizer sgd": what line l has of the constants behind the first, in the arena. */
static const char *line_name(const files *f, const athi_value *over, int64_t l, int64_t n_lines) {
    athi_text name = {.ctx = f->ctx};
    for (int64_t k = 1; k < over->n; k++) {
        n_lines /= over->items[k]->n;
        const char *text = value_text(f, over->items[k]->items[l / n_lines]);
        athi_text_printf(&name, "%s%s %s", k > 1 ? ", " : "", over->keys[k], text ? text : "");
        l %= n_lines;
    }
    const char *kept = name.text ? athi_arena_strdup(f->arena, name.text) : NULL;
    athi_text_free(&name);
    return kept;
}

/* The place of a trial's value: the line of the constants behind the first, and in it the first's. */
static int64_t place_of(const files *f, const athi_value *over, const athi_value *params) {
    int64_t line = 0, first = index_of(f, over->items[0], athi_value_get(params, over->keys[0]));
    for (int64_t k = 1; k < over->n && first >= 0; k++) {
        int64_t i = index_of(f, over->items[k], athi_value_get(params, over->keys[k]));
        if (i < 0) return -1;
        line = line * over->items[k]->n + i;
    }
    return first < 0 ? -1 : line * over->items[0]->n + first;
}

/* The value by the first constant; every combination of the others is a line of its own. */
static ath_status value_chart(const files *f, const athi_value *sweep) {
    const athi_value *over = athi_value_get(sweep, "over"), *trials = athi_value_get(sweep, "trials"),
                     *first = over->items[0];
    int64_t n = first->n, n_lines = 1;
    for (int64_t k = 1; k < over->n; k++) n_lines *= over->items[k]->n;
    const char **names = athi_arena_array(f->arena, n, (int64_t)sizeof *names);
    athi_chart_line *lines = athi_arena_array(f->arena, n_lines, (int64_t)sizeof *lines);
    double *x = athi_arena_array(f->arena, n, (int64_t)sizeof *x),
           *y = athi_arena_array(f->arena, n * n_lines, (int64_t)sizeof *y);
    if (!names || !lines || !x || !y) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)i;
        if (!(names[i] = value_text(f, first->items[i]))) return ATH_E_NOMEM;
    }
    for (int64_t i = 0; i < n * n_lines; i++) y[i] = (double)NAN;
    for (int64_t l = 0; l < n_lines; l++)
        lines[l] = (athi_chart_line){line_name(f, over, l, n_lines), x, y + l * n, n};
    for (int64_t i = 0; i < trials->n; i++) {
        int64_t at = place_of(f, over, athi_value_get(trials->items[i], "params"));
        if (at >= 0) athi_number_at(trials->items[i], "value", &y[at]);
    }
    bool timed = is_timed(sweep);
    const char *metric = athi_text_at(sweep, "objective", "value");
    const char *title = timed ? athi_arena_printf(f->arena, "Throughput by %s", over->keys[0])
                              : athi_arena_printf(f->arena, "%s by %s", metric, over->keys[0]);
    athi_chart chart = {.title = title,
                        .x_title = over->keys[0],
                        .y_title = timed ? "samples a second" : metric,
                        .lines = lines,
                        .n_lines = n_lines,
                        .names = names,
                        .n_names = n,
                        .from_zero = timed};
    athi_text text = {.ctx = f->ctx};
    if (title) athi_chart_svg(&text, &chart);
    return write_file(f, timed ? "throughput.svg" : "values.svg", &text, title ? ATH_OK : ATH_E_NOMEM);
}

static ath_status course(const files *f, const athi_value *training, const char *name, athi_chart_line *line) {
    const athi_value *epochs = athi_value_get(training, "epochs");
    double *x = athi_arena_array(f->arena, epochs->n + 1, (int64_t)sizeof *x),
           *y = athi_arena_array(f->arena, epochs->n + 1, (int64_t)sizeof *y);
    if (!x || !y) return ATH_E_NOMEM;
    for (int64_t i = 0; i < epochs->n; i++) {
        x[i] = y[i] = (double)NAN;
        athi_number_at(epochs->items[i], "seconds", &x[i]);
        athi_number_at(epochs->items[i], "value", &y[i]);
    }
    *line = (athi_chart_line){name, x, y, epochs->n};
    return ATH_OK;
}

/* The monitored report over the seconds, a line a training. */
static ath_status time_chart(const files *f, const athi_value *const *trainings, const char *const *names,
                             int64_t n) {
    athi_chart_line *lines = athi_arena_array(f->arena, n + 1, (int64_t)sizeof *lines);
    if (!lines) return ATH_E_NOMEM;
    if (n == 0) return ATH_OK;
    for (int64_t i = 0; i < n; i++) ATH_TRY(course(f, trainings[i], names[i], &lines[i]));
    const char *monitor = athi_text_at(trainings[0], "monitor", "value");
    athi_chart chart = {.x_title = "seconds, validation included", .y_title = monitor, .lines = lines, .n_lines = n};
    chart.has_mark = athi_number_at(trainings[0], "target", &chart.mark);
    chart.title = chart.has_mark ? athi_arena_printf(f->arena, "Time to %s %g", monitor, chart.mark)
                                 : athi_arena_printf(f->arena, "%s over time", monitor);
    if (!chart.title) return ATH_E_NOMEM;
    athi_text text = {.ctx = f->ctx};
    athi_chart_svg(&text, &chart);
    return write_file(f, "time-to-accuracy.svg", &text, ATH_OK);
}

static ath_status sweep_courses(const files *f, const athi_value *sweep) {
    const athi_value *trials = athi_value_get(sweep, "trials");
    const athi_value **trainings = athi_arena_array(f->arena, trials->n + 1, (int64_t)sizeof *trainings);
    const char **names = athi_arena_array(f->arena, trials->n + 1, (int64_t)sizeof *names);
    int64_t n = 0;
    if (!trainings || !names) return ATH_E_NOMEM;
    for (int64_t i = 0; i < trials->n; i++) {
        athi_text name = {.ctx = f->ctx};
        trainings[n] = athi_value_get(trials->items[i], "training");
        if (!trainings[n]) continue;
        athi_put_params(athi_value_get(trials->items[i], "params"), &name);
        names[n] = name.text ? athi_arena_strdup(f->arena, name.text) : NULL;
        athi_text_free(&name);
        if (!names[n++]) return ATH_E_NOMEM;
    }
    return time_chart(f, trainings, names, n);
}

ath_status athi_sweep_files(ath_ctx *ctx, athi_arena *arena, const char *directory, const athi_value *report) {
    const athi_value *sweeps = athi_value_get(report, "sweeps"), *training = athi_value_get(report, "training");
    for (int64_t i = 0; sweeps && i < sweeps->n; i++) {
        const athi_value *sweep = sweeps->items[i];
        files f = {ctx, arena, athi_arena_printf(arena, "%s/%s", directory, athi_text_at(sweep, "folder", "."))};
        if (!f.folder) return ATH_E_NOMEM;
        ATH_TRY(write_json(&f, sweep));
        ATH_TRY(write_csv(&f, sweep));
        ATH_TRY(value_chart(&f, sweep));
        ATH_TRY(sweep_courses(&f, sweep));
    }
    const char *const unnamed[] = {NULL};
    return training ? time_chart(&(files){ctx, arena, directory}, &training, unnamed, 1) : ATH_OK;
}
