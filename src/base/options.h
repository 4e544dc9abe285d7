/* One row describes one thing: its name, documentation, option rows and functions. The same rows serve recipe
 * parsing, --help, `athanor list`, error messages, docs/options.md and the search space. */
#ifndef ATHI_OPTIONS_H
#define ATHI_OPTIONS_H

#include "base/value.h"

typedef enum athi_option_type {
    ATHI_OPT_INT,    /* int64_t */
    ATHI_OPT_FLOAT,  /* double */
    ATHI_OPT_BOOL,   /* bool */
    ATHI_OPT_SWITCH, /* ath_switch: a boolean whose default is not false; ON or OFF once resolved */
    ATHI_OPT_STRING, /* const char *; arena copy */
    ATHI_OPT_ENUM,   /* int: index into `names` (NULL-ended) */
    ATHI_OPT_INTS,   /* athi_ints: up to 8 integers; one integer stands for `repeat` equal ones */
    ATHI_OPT_FLOATS, /* athi_floats */
    ATHI_OPT_SPEC,   /* ath_spec: a row of `kind`, by name or {name: options}; for schedules also a plain number */
    ATHI_OPT_VALUE,  /* const athi_value *: checked by the owner */
} athi_option_type;

typedef ath_ints athi_ints;
typedef ath_floats athi_floats;

typedef enum athi_scale { ATHI_LINEAR, ATHI_LOG } athi_scale; /* sensible prior when it is searched */

typedef struct athi_kind athi_kind;
typedef struct athi_option {
    const char *name;
    athi_option_type type;
    size_t offset;        /* in the option struct */
    const char *fallback; /* the default as recipe text ("0.001", "glorot_uniform", "null"); NULL: required */
    double min, max; /* legal range of numbers, inclusive; max < min or infinite: no upper end; both 0: any */
    double search_min, search_max; /* sensible range for a search; both 0: none */
    athi_scale scale;
    int repeat;               /* INTS: how many a single integer stands for */
    const char *const *names; /* ENUM */
    const athi_kind *kind;    /* SPEC */
    const char *doc;
    bool nullable; /* null in a recipe is allowed and leaves the field zero */
} athi_option;

/** One thing of a kind. What the kind does with it is behind `impl`. */
typedef struct athi_row {
    const char *name;
    const char *doc;            /* one sentence; paper or equation after it */
    const athi_option *options; /* ended by a row without name; NULL: none */
    size_t opts_size;
    const void *impl;        /* the kind's function table */
    const char *main_option; /* `activation: relu`: a bare scalar is this option; NULL: none */
} athi_row;

struct athi_kind {
    const char *name;     /* "layer", "optimizer", … for sentences */
    const char *plural;   /* "layers": argument of `athanor list` and heading in docs/options.md */
    const athi_row *rows; /* ended by a row without name */
};

const athi_row *athi_row_find(const athi_kind *kind, const char *name);
/** The name of a row that `name` may have been meant for; NULL: none is near. */
const char *athi_kind_nearest(const athi_kind *kind, const char *name);

/** Fills `opts` (row->opts_size bytes, from the arena) with the row's defaults, then with `map` (may be NULL;
 * what is no map is the row's main option, if it has one). Unknown keys, wrong types and values out of range
 * are ATH_E_OPTION with place, expectation and nearest name. `where` begins the sentence, e.g. "dense". Keys
 * in `also` (NULL-ended, may be NULL) are the caller's. */
ath_status athi_options_read(ath_ctx *ctx, athi_arena *arena, const athi_row *row, const athi_value *map,
                             const char *const *also, const char *where, void *opts);
/** Reads "name", {name: options} or (if the row has main_option) {name: scalar} into row and options. */
ath_status athi_spec_read(ath_ctx *ctx, athi_arena *arena, const athi_kind *kind, const athi_value *value,
                          const char *where, const athi_row **row, void **opts);
/** The C way: copies `opts` (struct_size bytes, first field) into the arena with zero fields replaced by their
 * defaults unless `exact`, and checks ranges. opts may be NULL. The struct's second field is `bool exact`. */
ath_status athi_options_resolve(ath_ctx *ctx, athi_arena *arena, const athi_row *row, const void *opts,
                                const char *where, void **resolved);
/** A spec given in C or from a recipe -> row and resolved options; spec.name NULL gives row NULL. */
ath_status athi_spec_resolve(ath_ctx *ctx, athi_arena *arena, const athi_kind *kind, ath_spec spec,
                             const char *where, const athi_row **row, void **opts);
/** The options back as a map of the values that differ from the defaults (all: every one). */
ath_status athi_options_write(athi_arena *arena, const athi_row *row, const void *opts, bool all,
                              athi_value **map);
/** Whether a row is sound: offsets inside the struct, defaults and search ranges legal, names once, doc
 * given. For tests of the rows; athi_kind_check does it for all rows of a kind. */
ath_status athi_row_check(ath_ctx *ctx, const athi_row *row);
ath_status athi_kind_check(ath_ctx *ctx, const athi_kind *kind);
/** Place prefix of a value for sentences: "line 12, column 5: " or "". */
void athi_value_place(const athi_value *v, char out[48]);

#endif
