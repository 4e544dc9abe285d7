/* What the files of the option rows share: options.c reads, options_write.c writes back, options_check.c says
 * what is wrong. Nobody else includes this. */
#ifndef ATHI_OPTIONS_INTERNAL_H
#define ATHI_OPTIONS_INTERNAL_H

#include "base/options.h"

/* How every option struct begins. */
typedef struct athi_opts_head {
    size_t struct_size;
    bool exact;
} athi_opts_head;

/* One reading of one struct. */
typedef struct athi_reading {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_row *row;
    const char *where;
} athi_reading;

int athi_row_options(const athi_row *row); /* how many */
bool athi_option_takes_null(const athi_option *o);
bool athi_option_in_range(const athi_option *o, double number);
size_t athi_option_size(athi_option_type type);
bool athi_option_is_zero(const athi_option *o, const void *opts);
/** "dense" + "kernel_initializer" -> "dense.kernel_initializer". */
const char *athi_where(athi_arena *arena, const char *where, const char *name);
/** The default as a value. */
ath_status athi_option_fallback(ath_ctx *ctx, athi_arena *arena, const athi_option *o, athi_value **v);
ath_status athi_option_write(athi_arena *arena, const athi_option *o, const void *opts, bool all,
                             athi_value **v);

ath_status athi_option_mismatch(const athi_reading *r, const athi_option *o, const athi_value *v);
ath_status athi_option_missing(const athi_reading *r, const athi_option *o, const athi_value *map);
ath_status athi_option_unknown(const athi_reading *r, const athi_value *map, int64_t key,
                               const char *const *also);
ath_status athi_options_not_map(const athi_reading *r, const athi_value *v);
ath_status athi_spec_mismatch(ath_ctx *ctx, const athi_kind *kind, const athi_value *v, const char *where);

#endif
