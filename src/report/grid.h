/* Tables on the terminal, as wide as their contents: cells first, then widths, then lines; and what of a report stands in
 * cells. For src/report only. */
#ifndef ATHI_REPORT_GRID_H
#define ATHI_REPORT_GRID_H

#include "base/value.h"

enum { ATHI_COLUMNS_MAX = 12, ATHI_CELL_MAX = 96 };

/* Of what the rows are. */
typedef struct athi_source {
    ath_ctx *ctx;
    const athi_value *report;
} athi_source;

typedef struct athi_column {
    const char *title;
    bool left; /* texts; numbers stand right */
    void (*cell)(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]);
} athi_column;

/* Rows are measured, then drawn. A column without content is left out. */
typedef struct athi_grid {
    athi_text *out;
    bool utf8; /* lines drawn with box characters */
    const athi_column *columns;
    int n;
    bool shown[ATHI_COLUMNS_MAX];
    int width[ATHI_COLUMNS_MAX];
    char cells[ATHI_COLUMNS_MAX][ATHI_CELL_MAX]; /* of the row at hand */
} athi_grid;

/** Fills the cells from a row of the report. */
void athi_grid_fill(athi_grid *g, const athi_source *s, const athi_value *row);
/** Takes the cells at hand into the widths. */
void athi_grid_measure(athi_grid *g);
/** Draws the line above the titles, the titles and the line below them. */
void athi_grid_titles(athi_grid *g);
void athi_grid_row(const athi_grid *g);
/** A line between rows. */
void athi_grid_between(const athi_grid *g);
void athi_grid_end(const athi_grid *g);

/* ---- numbers and texts of a report --------------------------------------------------------------- */

static inline bool athi_number_at(const athi_value *map, const char *key, double *out) {
    return athi_value_number(athi_value_get(map, key), out);
}
static inline const char *athi_text_at(const athi_value *map, const char *key, const char *otherwise) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : otherwise;
}
/** "units 16, optimizer adam": parameters by the last part of their names, unless two end alike. */
void athi_put_params(const athi_value *params, athi_text *out);
/** The same of row.params as a cell. */
void athi_cell_params(const athi_source *s, const athi_value *row, char out[ATHI_CELL_MAX]);

#endif
