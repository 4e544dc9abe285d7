/* Recorded learning curves from a CSV file, compressed or not. */
#include "recipe/internal.h"

#include "base/file.h"
#include "data/readers.h"

#include <math.h>
#include <stdlib.h>

#define SECONDS_COLUMN "seconds"

/* "12" -> 12; 0: it is no number of a step. */
static int64_t step_of(const char *name) {
    int64_t step = 0;
    if (*name == '0') return 0;
    for (const char *c = name; *c; c++) {
        if (*c < '0' || *c > '9' || step > INT32_MAX) return 0;
        step = 10 * step + (*c - '0');
    }
    return step;
}

static ath_status place_step(ath_ctx *ctx, athi_recorded *r, int64_t column) {
    int64_t step = step_of(r->columns[column]);
    if (!step) return ATH_OK;
    if (step > r->n_columns)
        return athi_fail(ctx, ATH_E_DATA, "%s: column '%s': steps are numbered 1, 2, 3, … without a gap", r->path,
                         r->columns[column]);
    if (r->step_column[step - 1] >= 0)
        return athi_fail(ctx, ATH_E_DATA, "%s: column '%s' stands twice", r->path, r->columns[column]);
    r->step_column[step - 1] = column;
    r->steps = ATHI_MAX(r->steps, step);
    return ATH_OK;
}

static ath_status read_columns(ath_ctx *ctx, athi_arena *arena, const athi_csv_row *header, athi_recorded *r) {
    r->n_columns = header->n, r->seconds_column = -1;
    r->columns = athi_arena_memdup(arena, header->fields, header->n * (int64_t)sizeof *r->columns);
    r->step_column = athi_arena_array(arena, header->n, sizeof *r->step_column);
    if (!r->columns || !r->step_column) return ATH_E_NOMEM;
    for (int64_t i = 0; i < r->n_columns; i++) r->step_column[i] = -1;
    for (int64_t i = 0; i < r->n_columns; i++) {
        if (strcmp(r->columns[i], SECONDS_COLUMN) == 0) r->seconds_column = i;
        ATH_TRY(place_step(ctx, r, i));
    }
    if (!r->steps)
        return athi_fail(
            ctx, ATH_E_DATA,
            "%s: no column is called 1, 2, 3, …; expected the objective after each step in columns of these "
            "names",
            r->path);
    for (int64_t i = 0; i < r->steps; i++)
        if (r->step_column[i] < 0)
            return athi_fail(ctx, ATH_E_DATA, "%s: there is a column '%lld' but no column '%lld'", r->path,
                             (long long)r->steps, (long long)(i + 1));
    return ATH_OK;
}

/* The values of a row; an empty one: the training had failed. */
static ath_status read_values(ath_ctx *ctx, athi_recorded *r, int64_t row) {
    double *values = r->values + row * r->steps;
    for (int64_t k = 0; k < r->steps; k++) {
        const char *text = r->cells[row * r->n_columns + r->step_column[k]];
        char *end;
        values[k] = *text ? athi_strtod(text, &end) : (double)NAN;
        if (*text && (end == text || *end))
            return athi_fail(ctx, ATH_E_DATA, "%s: line %lld, column '%lld': expected a number, got \"%.40s\"",
                             r->path, (long long)r->lines[row], (long long)(k + 1), text);
    }
    return ATH_OK;
}

static ath_status read_line(ath_ctx *ctx, const athi_csv_row *line, athi_recorded *r) {
    if (line->n == 1 && r->n_columns > 1 && !*line->fields[0]) return ATH_OK; /* an empty line */
    if (line->n != r->n_columns)
        return athi_fail(ctx, ATH_E_DATA, "%s: line %lld has %lld fields, the header has %lld", r->path,
                         (long long)line->line, (long long)line->n, (long long)r->n_columns);
    memcpy(r->cells + r->n_rows * r->n_columns, line->fields, (size_t)line->n * sizeof *r->cells);
    r->lines[r->n_rows] = line->line;
    return read_values(ctx, r, r->n_rows++);
}

/* Room for as many rows as there are lines, each of at least a byte a field. */
static ath_status make_room(athi_arena *arena, const athi_csv_cursor *c, athi_recorded *r) {
    int64_t lines = 1, cells, values;
    for (const char *p = c->p; p < c->end; p++) lines += *p == '\n';
    r->cap_rows = ATHI_MIN(lines, (c->end - c->p) / r->n_columns + 1);
    if (!athi_mul(r->cap_rows, r->n_columns, &cells) || !athi_mul(r->cap_rows, r->steps, &values)) return ATH_E_NOMEM;
    r->cells = athi_arena_array(arena, cells, sizeof *r->cells);
    r->lines = athi_arena_array(arena, r->cap_rows, sizeof *r->lines);
    r->values = athi_arena_array(arena, values, sizeof *r->values);
    return r->cells && r->lines && r->values ? ATH_OK : ATH_E_NOMEM;
}

static bool skip_remarks(athi_csv_cursor *c) {
    while (c->p < c->end && *c->p == '#') {
        const char *end = memchr(c->p, '\n', (size_t)(c->end - c->p));
        c->p = end ? end + 1 : c->end, c->line++;
    }
    return c->p < c->end;
}

static ath_status parse(athi_csv_cursor *c, athi_recorded *r) {
    athi_csv_row line = {0};
    if (memchr(c->p, 0, (size_t)(c->end - c->p)))
        return athi_fail(c->ctx, ATH_E_SYNTAX, "%s: holds zero bytes, so it is not a CSV text", c->path);
    if (!skip_remarks(c))
        return athi_fail(c->ctx, ATH_E_DATA,
                         "%s: empty; expected a line of column names, and a line for each "
                         "configuration",
                         c->path);
    ATH_TRY(athi_csv_read_row(c, &line));
    ATH_TRY(read_columns(c->ctx, c->arena, &line, r));
    ATH_TRY(make_room(c->arena, c, r));
    while (skip_remarks(c)) {
        ATH_TRY(athi_csv_read_row(c, &line));
        ATH_TRY(read_line(c->ctx, &line, r));
    }
    if (r->n_rows) return ATH_OK;
    return athi_fail(c->ctx, ATH_E_DATA, "%s: no configuration follows the line of column names", c->path);
}

ath_status athi_recorded_read(ath_ctx *ctx, athi_arena *arena, const char *path, athi_recorded *out) {
    char *text;
    int64_t size;
    *out = (athi_recorded){.path = path};
    ATH_TRY(athi_file_read(ctx, path, true, 0, &text, &size));
    athi_csv_cursor cursor = {ctx, arena, path, text, text + size, 1};
    ath_status status = parse(&cursor, out);
    athi_free(ctx, text);
    return status;
}
