/* A table as wide as its contents: cells first, then widths, then lines. */
#include "report/table.h"

#include <stdio.h>

enum { COLUMNS_MAX = 12, CELL_MAX = 96 };

typedef struct source {
    ath_ctx *ctx;
    const athi_value *report;
} source;

typedef struct column {
    const char *title;
    bool left; /* texts; numbers stand right */
    void (*cell)(const source *s, const athi_value *model, char out[CELL_MAX]);
} column;

/* ---- numbers of a report ------------------------------------------------------------------------- */

static bool number_at(const athi_value *map, const char *key, double *out) {
    return athi_value_number(athi_value_get(map, key), out);
}

static bool number_in(const athi_value *map, const char *part, const char *key, double *out) {
    return number_at(athi_value_get(map, part), key, out);
}

static const char *text_at(const athi_value *map, const char *key, const char *otherwise) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : otherwise;
}

/* Accuracy in percent where there is one, else the loss. */
static bool put_score(const athi_value *scores, char out[CELL_MAX]) {
    double v;
    if (number_at(scores, "accuracy", &v))
        snprintf(out, CELL_MAX, "%.2f %%", 100 * v);
    else if (number_at(scores, "loss", &v))
        snprintf(out, CELL_MAX, "%.5g", v);
    else
        return false;
    return true;
}

/* "train.optimizer.rmsprop.learning_rate" is shown by its last part, unless two of them end alike. */
static const char *short_name(const athi_value *params, int64_t index) {
    const char *dot = strrchr(params->keys[index], '.'), *name = dot ? dot + 1 : params->keys[index];
    for (int64_t i = 0; i < params->n; i++) {
        const char *other = strrchr(params->keys[i], '.');
        if (i != index && strcmp(other ? other + 1 : params->keys[i], name) == 0) return params->keys[index];
    }
    return name;
}

static void put_params(const athi_value *params, athi_text *out) {
    for (int64_t i = 0; params && params->type == ATHI_MAP && i < params->n; i++) {
        const athi_value *v = params->items[i];
        athi_text_printf(out, "%s%s ", i ? ", " : "", short_name(params, i));
        if (v->type == ATHI_STRING)
            athi_text_printf(out, "%s", v->text);
        else if (v->type == ATHI_FLOAT)
            athi_text_printf(out, "%.3g", v->number);
        else
            athi_json_write(out, v, 0);
    }
}

/* ---- columns ------------------------------------------------------------------------------------- */

static void put_int(const athi_value *model, const char *key, char out[CELL_MAX]) {
    double v;
    if (number_at(model, key, &v)) snprintf(out, CELL_MAX, "%.0f", v);
}
static void cell_rank(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_int(model, "rank", out);
}
static void cell_trial(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_int(model, "trial", out);
}
static void cell_params(const source *s, const athi_value *model, char out[CELL_MAX]) {
    athi_text text = {.ctx = s->ctx};
    put_params(athi_value_get(model, "params"), &text);
    if (text.text) {
        bool cut = snprintf(out, CELL_MAX, "%s", text.text) >= CELL_MAX;
        if (cut) memcpy(out + CELL_MAX - 4, "...", 4);
    }
    athi_text_free(&text);
}
static void cell_best_epoch(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_int(model, "best_epoch", out);
}
static void cell_epochs(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_int(model, "epochs", out);
}
static void cell_validation(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_score(athi_value_get(model, "validation"), out);
}
static void cell_test(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    put_score(athi_value_get(model, "test"), out);
}
static void cell_weight(const source *s, const athi_value *model, char out[CELL_MAX]) {
    (void)s;
    double v;
    if (number_at(model, "weight", &v)) snprintf(out, CELL_MAX, "%.3f", v);
}
/* The ensemble with the member against the ensemble without it, on validation; a gain is positive. */
static void cell_adds(const source *s, const athi_value *model, char out[CELL_MAX]) {
    double without, with;
    const athi_value *ensemble = athi_value_get(s->report, "ensemble");
    if (number_in(model, "without", "accuracy", &without) && number_in(ensemble, "validation", "accuracy", &with))
        snprintf(out, CELL_MAX, "%+.2f %%", 100 * (with - without));
    else if (number_in(model, "without", "loss", &without) && number_in(ensemble, "validation", "loss", &with))
        snprintf(out, CELL_MAX, "%+.3g", without - with);
}

static const column columns[] = {
    {"#", false, cell_rank},           {"trial", false, cell_trial},
    {"parameters", true, cell_params}, {"best epoch", false, cell_best_epoch},
    {"trained", false, cell_epochs},   {"validation", false, cell_validation},
    {"test", false, cell_test},        {"weight", false, cell_weight},
    {"adds", false, cell_adds},
};
static_assert(ATHI_COUNT(columns) <= COLUMNS_MAX, "more columns than a row has cells");

/* ---- drawing ------------------------------------------------------------------------------------- */

typedef struct drawing {
    athi_text *out;
    bool utf8;
    bool shown[COLUMNS_MAX]; /* a column without content is left out */
    int width[COLUMNS_MAX];
} drawing;

/* Characters, not bytes. */
static int width_of(const char *text) {
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_repeated(athi_text *out, const char *text, int n) {
    for (int i = 0; i < n; i++) athi_text_printf(out, "%s", text);
}

/* A line between rows: left end, crossing, right end. */
static void put_rule(const drawing *d, const char *left, const char *cross, const char *right) {
    bool first = true;
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        if (!d->shown[i]) continue;
        athi_text_printf(d->out, "%s", first ? (d->utf8 ? left : "+") : d->utf8 ? cross : "+");
        put_repeated(d->out, d->utf8 ? "─" : "-", d->width[i] + 2);
        first = false;
    }
    athi_text_printf(d->out, "%s\n", d->utf8 ? right : "+");
}

static void put_row(const drawing *d, char cells[][CELL_MAX]) {
    const char *bar = d->utf8 ? "│" : "|";
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        if (!d->shown[i]) continue;
        int pad = d->width[i] - width_of(cells[i]);
        athi_text_printf(d->out, "%s %*s%s%*s ", bar, columns[i].left ? 0 : pad, "", cells[i],
                         columns[i].left ? pad : 0, "");
    }
    athi_text_printf(d->out, "%s\n", bar);
}

static void fill_row(const source *s, const athi_value *model, char cells[][CELL_MAX]) {
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        cells[i][0] = '\0';
        columns[i].cell(s, model, cells[i]);
    }
}

/* The last row: what all of them give together. */
static void fill_ensemble(const source *s, const athi_value *ensemble, char cells[][CELL_MAX]) {
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        cells[i][0] = '\0';
        if (columns[i].cell == cell_params)
            snprintf(cells[i], CELL_MAX, "ensemble (%s)", text_at(ensemble, "method", "average"));
        if (columns[i].cell == cell_validation || columns[i].cell == cell_test)
            columns[i].cell(s, ensemble, cells[i]);
    }
}

static void measure(drawing *d, char cells[][CELL_MAX]) {
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        d->shown[i] = d->shown[i] || cells[i][0];
        d->width[i] = ATHI_MAX(d->width[i], width_of(cells[i]));
    }
}

static void put_models(athi_text *out, const athi_value *report, bool utf8) {
    const athi_value *models = athi_value_get(report, "models"), *ensemble = athi_value_get(report, "ensemble");
    char cells[COLUMNS_MAX][CELL_MAX];
    drawing d = {.out = out, .utf8 = utf8};
    source s = {out->ctx, report};
    if (!models || models->type != ATHI_LIST || models->n == 0) return;
    for (int64_t i = 0; i < models->n; i++) fill_row(&s, models->items[i], cells), measure(&d, cells);
    if (ensemble) fill_ensemble(&s, ensemble, cells), measure(&d, cells);
    for (int i = 0; i < ATHI_COUNT(columns); i++) {
        snprintf(cells[i], CELL_MAX, "%s", columns[i].title);
        d.width[i] = ATHI_MAX(d.width[i], width_of(cells[i]));
    }
    put_rule(&d, "┌", "┬", "┐");
    put_row(&d, cells);
    put_rule(&d, "├", "┼", "┤");
    for (int64_t i = 0; i < models->n; i++) fill_row(&s, models->items[i], cells), put_row(&d, cells);
    if (ensemble) {
        put_rule(&d, "├", "┼", "┤");
        fill_ensemble(&s, ensemble, cells);
        put_row(&d, cells);
    }
    put_rule(&d, "└", "┴", "┘");
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
        const char *state = text_at(trials->items[i], "state", "");
        pruned += strcmp(state, "pruned") == 0;
        complete += strcmp(state, "complete") == 0, failed += strcmp(state, "failed") == 0;
    }
    athi_text_printf(out, "search: %lld trials", (long long)complete);
    if (pruned) athi_text_printf(out, ", %lld stopped early", (long long)pruned);
    if (failed) athi_text_printf(out, ", %lld failed", (long long)failed);
    if (number_at(search, "seconds", &seconds)) athi_text_printf(out, ", %.1f s", seconds);
    const char *ended = text_at(search, "ended", "");
    if (*ended) athi_text_printf(out, ", ended: %s", athi_report_why(ended));
    athi_text_printf(out, "\n");
    if (!number_at(best, "value", &value) || !number_at(best, "number", &number)) return;
    athi_text_printf(out, "best:   trial %.0f, %s %.4f (", number,
                     text_at(athi_value_get(report, "objective"), "metric", "value"), value);
    put_params(athi_value_get(best, "params"), out);
    athi_text_printf(out, ")\n");
    const athi_value *front = athi_value_get(search, "front");
    for (int64_t i = 0; front && i < front->n; i++)
        if (number_at(front->items[i], "number", &number))
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
        if (!number_at(report, costs[i].key, &v)) continue;
        athi_text_printf(out, "%s", comma);
        athi_text_printf(out, costs[i].format, v * costs[i].scale);
        comma = ", ";
    }
    if (*comma) athi_text_printf(out, "\n");
}

void athi_report_table(athi_text *out, const athi_value *report, bool utf8) {
    athi_text_printf(out, "\n%s\n", text_at(report, "name", ""));
    put_search(out, report);
    put_models(out, report, utf8);
    put_costs(out, report);
}
