/* The readers that the table in readers.c lists. */
#ifndef ATHI_READERS_H
#define ATHI_READERS_H

#include "data/data.h"

/* ---- lines of CSV (csv.c) ------------------------------------------------------------------------ */

typedef struct athi_csv_cursor {
    ath_ctx *ctx;
    athi_arena *arena; /* fields are copied into it */
    const char *path, *p, *end;
    int64_t line;
} athi_csv_cursor;

/* Its list is used again for the next line; the fields stay. */
typedef struct athi_csv_row {
    const char **fields;
    int64_t n, cap;
    int64_t line;
} athi_csv_row;

/** The fields of the line at the cursor, quotes taken off (RFC 4180). To be called while p < end. */
ath_status athi_csv_read_row(athi_csv_cursor *c, athi_csv_row *r);

/* ---- tables -------------------------------------------------------------------------------------- */

/** What holds for every table before it is used: at least one sample of at least one number, sizes that can be
 * multiplied, no NaN and no infinity. */
ath_status athi_table_check(ath_ctx *ctx, const char *path, const athi_table *table);

extern const athi_reader_impl athi_reader_idx, athi_reader_npy, athi_reader_csv;

#endif
