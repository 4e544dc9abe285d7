/* CSV with a header line (RFC 4180: quotes, embedded commas and newlines). All columns but the label are
 * numbers and become x [n, columns - 1]; the label column (a name, or a number from 0) becomes y: integers,
 * floats, or, when it holds text, class numbers of the sorted distinct texts. */
#include "data/readers.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One field; *last is set at the end of the line. */
static ath_status read_field(athi_csv_cursor *c, const char **field, bool *last) {
    const char *start = c->p;
    char *text;
    if (c->p < c->end && *c->p == '"') {
        text = athi_arena_alloc(c->arena, c->end - c->p); /* quotes only shrink a field */
        if (!text) return ATH_E_NOMEM;
        int64_t n = 0;
        for (c->p++;; c->p++) {
            if (c->p >= c->end)
                return athi_fail(c->ctx, ATH_E_SYNTAX, "%s: line %lld: a quoted field is never closed", c->path,
                                 (long long)c->line);
            if (*c->p == '"') {
                c->p++;
                if (c->p >= c->end || *c->p != '"') break; /* two quotes stand for one */
            }
            c->line += *c->p == '\n';
            text[n++] = *c->p;
        }
        start = NULL;
    } else {
        while (c->p < c->end && *c->p != ',' && *c->p != '\n') c->p++;
        int64_t n = c->p - start;
        if (n && start[n - 1] == '\r') n--;
        text = athi_arena_strndup(c->arena, start, n);
        if (!text) return ATH_E_NOMEM;
    }
    if (c->p < c->end && *c->p == '\r') c->p++;
    *last = c->p >= c->end || *c->p == '\n';
    if (!*last && *c->p != ',')
        return athi_fail(c->ctx, ATH_E_SYNTAX, "%s: line %lld: expected a comma after a quoted field", c->path,
                         (long long)c->line);
    if (c->p < c->end) c->p++;
    *field = text;
    return ATH_OK;
}

ath_status athi_csv_read_row(athi_csv_cursor *c, athi_csv_row *r) {
    r->n = 0, r->line = c->line;
    for (bool last = false; !last;) {
        if (r->n == r->cap) {
            int64_t cap = r->cap ? 2 * r->cap : 64;
            const char **grown = athi_arena_array(c->arena, cap, sizeof *grown);
            if (!grown) return ATH_E_NOMEM;
            if (r->n) memcpy(grown, r->fields, (size_t)r->n * sizeof *grown);
            r->fields = grown, r->cap = cap;
        }
        ATH_TRY(read_field(c, &r->fields[r->n], &last));
        r->n++;
    }
    c->line++;
    return ATH_OK;
}

static ath_status to_number(const athi_csv_cursor *c, const athi_csv_row *r, int64_t column, const char *name,
                            float *out) {
    const char *text = r->fields[column];
    char *end;
    double value = athi_strtod(text, &end);
    while (isspace((unsigned char)*end)) end++;
    if (end == text || *end)
        return athi_fail(c->ctx, ATH_E_DATA, "%s: line %lld, column '%s': expected a number, got \"%.40s\"", c->path,
                         (long long)r->line, name, text);
    *out = (float)value;
    return ATH_OK;
}

/* -1 without a label: every column is an input. */
static ath_status find_label(const athi_csv_cursor *c, const athi_csv_row *header, const char *label,
                             int64_t *column) {
    *column = -1;
    if (!label) return ATH_OK;
    for (int64_t i = 0; i < header->n; i++)
        if (strcmp(header->fields[i], label) == 0) return *column = i, ATH_OK;
    char *end;
    long long number = strtoll(label, &end, 10);
    if (*label && !*end && number >= 0 && number < header->n) return *column = number, ATH_OK;
    const char *near = athi_nearest(label, header->fields, header->n, sizeof *header->fields);
    if (near)
        return athi_fail(c->ctx, ATH_E_OPTION, "%s: there is no column '%s'; did you mean '%s'?", c->path, label,
                         near);
    char names[200] = "";
    size_t used = 0;
    int64_t i = 0;
    for (; i < header->n && used + strlen(header->fields[i]) + 8 < sizeof names; i++) /* room for ", …" */
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", header->fields[i]);
    return athi_fail(c->ctx, ATH_E_OPTION, "%s: there is no column '%s'; there are %s%s", c->path, label, names,
                     i < header->n ? ", …" : "");
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Labels as texts -> y: i32 if all are integers, f32 if all are numbers, else class numbers. */
static ath_status make_labels(athi_arena *arena, const char **texts, int64_t n, athi_table *table) {
    bool integers = true, numbers = true;
    for (int64_t i = 0; i < n; i++) {
        char *end;
        double v = athi_strtod(texts[i], &end);
        numbers = numbers && end != texts[i] && !*end;
        integers = integers && numbers && v == floor(v) && fabs(v) < 2e9;
    }
    table->y = (athi_array){numbers && !integers ? ATH_F32 : ATH_I32, athi_dims(n), NULL};
    int32_t *y = athi_arena_array(arena, n + 1, sizeof *y);
    const char **sorted = athi_arena_array(arena, n + 1, sizeof *sorted);
    if (!y || !sorted) return ATH_E_NOMEM;
    table->y.data = y;
    if (numbers) {
        for (int64_t i = 0; i < n; i++) {
            double v = athi_strtod(texts[i], NULL);
            if (integers)
                y[i] = (int32_t)v;
            else
                ((float *)(void *)y)[i] = (float)v;
        }
        return ATH_OK;
    }
    int64_t kinds = 0;
    memcpy(sorted, texts, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    for (int64_t i = 0; i < n; i++)
        if (!kinds || strcmp(sorted[kinds - 1], sorted[i]) != 0) sorted[kinds++] = sorted[i];
    for (int64_t i = 0; i < n; i++) {
        const char **at = bsearch(&texts[i], sorted, (size_t)kinds, sizeof *sorted, by_text);
        y[i] = (int32_t)(at - sorted);
    }
    table->class_names = sorted, table->n_classes = kinds;
    return ATH_OK;
}

static ath_status parse(ath_ctx *ctx, athi_arena *arena, const char *path, const char *file, int64_t size,
                        const char *label, athi_table *table) {
    athi_csv_cursor c = {ctx, arena, path, file, file + size, 1};
    if (memchr(file, 0, (size_t)size))
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: holds zero bytes, so it is not a CSV text", path);
    athi_csv_row header = {0}, r = {0};
    if (size == 0) return athi_fail(ctx, ATH_E_DATA, "%s: empty; expected a header line and samples", path);
    if (size >= 3 && memcmp(file, "\xEF\xBB\xBF", 3) == 0) c.p += 3; /* the mark that spreadsheets put in front */
    ATH_TRY(athi_csv_read_row(&c, &header));
    int64_t label_column, capacity = 0, n = 0;
    ATH_TRY(find_label(&c, &header, label, &label_column));
    int64_t width = label ? header.n - 1 : header.n;
    if (width == 0)
        return athi_fail(ctx, ATH_E_DATA, "%s: its only column is the label; expected columns of inputs as well",
                         path);
    for (const char *q = c.p; q < c.end; q++) capacity += *q == '\n';
    /* a sample takes at least a byte a field, so that empty lines cannot make the array much larger than the file */
    capacity = ATHI_MIN(capacity, (c.end - c.p) / header.n) + 1;
    int64_t count;
    if (!athi_mul(capacity, width, &count)) return athi_fail(ctx, ATH_E_NOMEM, "%s: too large", path);
    float *x = athi_arena_array(arena, count, sizeof *x);
    const char **labels = athi_arena_array(arena, capacity, sizeof *labels);
    if (!x || !labels) return ATH_E_NOMEM;
    while (c.p < c.end) {
        ATH_TRY(athi_csv_read_row(&c, &r));
        if (r.n == 1 && !*r.fields[0]) continue; /* an empty line */
        if (r.n != header.n)
            return athi_fail(ctx, ATH_E_DATA, "%s: line %lld has %lld fields, the header has %lld", path,
                             (long long)r.line, (long long)r.n, (long long)header.n);
        for (int64_t i = 0, k = 0; i < r.n; i++)
            if (i == label_column)
                labels[n] = r.fields[i];
            else
                ATH_TRY(to_number(&c, &r, i, header.fields[i], &x[n * width + k++]));
        n++;
    }
    if (n == 0) return athi_fail(ctx, ATH_E_DATA, "%s: no sample follows the header line", path);
    table->x = (athi_array){ATH_F32, athi_dims(n, width), x};
    return label ? make_labels(arena, labels, n, table) : ATH_OK;
}

static const char *const suffixes[] = {".csv", NULL};
const athi_reader_impl athi_reader_csv = {suffixes, NULL, parse};
