/* The readers that the table in readers.c lists. */
#ifndef ATHI_READERS_H
#define ATHI_READERS_H

#include "data/data.h"

extern const athi_reader_impl athi_reader_idx, athi_reader_npy, athi_reader_csv;

#endif
