/* The readers that the table in readers.c lists. */
#ifndef ATHI_READERS_H
#define ATHI_READERS_H

#include "data/data.h"

/** What holds for every table before it is used: at least one sample of at least one number, sizes that can be
 * multiplied, no NaN and no infinity. */
ath_status athi_table_check(ath_ctx *ctx, const char *path, const athi_table *table);

extern const athi_reader_impl athi_reader_idx, athi_reader_npy, athi_reader_csv;

#endif
