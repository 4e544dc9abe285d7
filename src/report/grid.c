/* Drawing tables. */
#include "report/grid.h"

#include <stdio.h>

/* ---- texts --------------------------------------------------------------------------------------- */

/* "train.optimizer.rmsprop.learning_rate" is shown by its last part, unless two of them end alike. */
static const char *short_name(const athi_value *params, int64_t index) {
    const char *dot = strrchr(params->keys[index], '.'), *name = dot ? dot + 1 : params->keys[index];
    for (int64_t i = 0; i < params->n; i++) {
        const char *other = strrchr(params->keys[i], '.');
        if (i != index && strcmp(other ? other + 1 : params->keys[i], name) == 0) return params->keys[index];
    }
    return name;
}

void athi_put_params(const athi_value *params, athi_text *out) {
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

void athi_cell_params(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]) {
    athi_text text = {.ctx = s->ctx};
    athi_put_params(athi_value_get(row, "params"), &text);
    if (text.text) {
        bool cut = snprintf(out, ATHI_CELL_MAX, "%s", text.text) >= ATHI_CELL_MAX;
        if (cut) memcpy(out + ATHI_CELL_MAX - 4, "...", 4);
    }
    athi_text_free(&text);
}
/* ---- drawing ------------------------------------------------------------------------------------- */

/* Characters, not bytes. */
static int width_of(const char *text) {
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_repeated(athi_text *out, const char *text, int n) {
    for (int i = 0; i < n; i++) athi_text_printf(out, "%s", text);
}

void athi_grid_fill(athi_grid *g, const athi_source *s, const athi_value *row) {
    for (int i = 0; i < g->n; i++) {
        g->cells[i][0] = '\0';
        g->columns[i].cell(s, row, g->cells[i]);
    }
}

void athi_grid_measure(athi_grid *g) {
    for (int i = 0; i < g->n; i++) {
        g->shown[i] = g->shown[i] || g->cells[i][0];
        g->width[i] = ATHI_MAX(g->width[i], width_of(g->cells[i]));
    }
}

/* Left end, crossing, right end. */
static void put_rule(const athi_grid *g, const char *left, const char *cross, const char *right) {
    bool first = true;
    for (int i = 0; i < g->n; i++) {
        if (!g->shown[i]) continue;
        athi_text_printf(g->out, "%s", first ? (g->utf8 ? left : "+") : g->utf8 ? cross : "+");
        put_repeated(g->out, g->utf8 ? "─" : "-", g->width[i] + 2);
        first = false;
    }
    athi_text_printf(g->out, "%s\n", g->utf8 ? right : "+");
}

void athi_grid_row(const athi_grid *g) {
    const char *bar = g->utf8 ? "│" : "|";
    for (int i = 0; i < g->n; i++) {
        if (!g->shown[i]) continue;
        int pad = g->width[i] - width_of(g->cells[i]);
        athi_text_printf(g->out, "%s %*s%s%*s ", bar, g->columns[i].left ? 0 : pad, "", g->cells[i],
                         g->columns[i].left ? pad : 0, "");
    }
    athi_text_printf(g->out, "%s\n", bar);
}

void athi_grid_titles(athi_grid *g) {
    for (int i = 0; i < g->n; i++) {
        snprintf(g->cells[i], ATHI_CELL_MAX, "%s", g->columns[i].title);
        g->width[i] = ATHI_MAX(g->width[i], width_of(g->cells[i]));
    }
    put_rule(g, "┌", "┬", "┐");
    athi_grid_row(g);
    athi_grid_between(g);
}

void athi_grid_between(const athi_grid *g) { put_rule(g, "├", "┼", "┤"); }
void athi_grid_end(const athi_grid *g) { put_rule(g, "└", "┴", "┘"); }
