/* A value tree: what a recipe, a JSON line or a bound set of constants is once read.
 * Every value knows where it stood, so that an error can name line and column. Trees live in an arena and
 * are changed only by whoever built them. */
#ifndef ATHI_VALUE_H
#define ATHI_VALUE_H

#include "base/base.h"

typedef enum athi_value_type {
    ATHI_NULL,
    ATHI_BOOL,
    ATHI_INT,
    ATHI_FLOAT,
    ATHI_STRING,
    ATHI_LIST,
    ATHI_MAP
} athi_value_type;

typedef struct athi_value athi_value;
struct athi_value {
    athi_value_type type;
    int line, column; /* from 1; 0 when it was not read from a file */
    const char *tag;  /* "!int", "!choice", …; NULL when untagged */
    bool boolean;     /* BOOL */
    int64_t integer;  /* INT */
    double number;    /* FLOAT, and INT as a double */
    const char *text; /* STRING; for other scalars the text as written, or NULL */
    int64_t n, cap;   /* LIST, MAP: elements */
    athi_value **items;
    const char **keys; /* MAP: n keys in the order of the file */
    int *key_lines, *key_columns;
};

athi_value *athi_value_new(athi_arena *arena, athi_value_type type);
athi_value *athi_value_bool(athi_arena *arena, bool b);
athi_value *athi_value_int(athi_arena *arena, int64_t i);
athi_value *athi_value_float(athi_arena *arena, double f);
athi_value *athi_value_string(athi_arena *arena, const char *text);
/** Appends to a LIST / sets in a MAP (replacing an equal key). item NULL counts as out of memory. */
ath_status athi_value_append(athi_arena *arena, athi_value *list, athi_value *item);
ath_status athi_value_set(athi_arena *arena, athi_value *map, const char *key, athi_value *item);
/** As athi_value_set for a key that is known to be new: no search. */
ath_status athi_value_push(athi_arena *arena, athi_value *map, const char *key, athi_value *item);
/** What a plain (unquoted) scalar means by YAML 1.2's core schema; `text` is kept as written. */
athi_value *athi_value_scalar(athi_arena *arena, const char *text);
/** The value of a key, or NULL. map may be NULL or of another type. */
athi_value *athi_value_get(const athi_value *map, const char *key);
/** Deep copy into another arena; positions and tags are kept. */
athi_value *athi_value_copy(athi_arena *arena, const athi_value *v);
/** Same type and content (1 and 1.0 differ; the order of map keys does not count). */
bool athi_value_equal(const athi_value *a, const athi_value *b);
/** Number of an INT or FLOAT. */
bool athi_value_number(const athi_value *v, double *out);
const char *athi_value_type_name(athi_value_type type); /* "an integer", "a map", … for sentences */

/** One JSON text, numbers as the shortest that read back; NaN and infinities as strings; tags as {"!tag": …}. */
ath_status athi_json_write(athi_text *out, const athi_value *v, int indent /* 0: one line */);
/** Reads one JSON text of n bytes. Errors: ATH_E_SYNTAX with line and column. */
ath_status athi_json_read(ath_ctx *ctx, athi_arena *arena, const char *text, int64_t n, athi_value **out);
/** Can the text stand in JSON as it is? */
bool athi_is_utf8(const char *text);

/* A map under construction; the first failure stays, and what follows it does nothing. */
typedef struct athi_map_maker {
    athi_arena *arena;
    athi_value *map;
    ath_status status;
} athi_map_maker;
athi_map_maker athi_map_make(athi_arena *arena);
/** Sets a key; value NULL is a failure. */
void athi_map_put(athi_map_maker *m, const char *key, athi_value *value);

#endif
