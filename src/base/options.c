/* Options from rows: maps and C structs -> checked option structs, and back.
 * There is one path for checking: what C code gives is first written as values (athi_option_write), then read
 * as a recipe's values are. */
#include "base/options_internal.h"

#include <math.h>

const athi_row *athi_row_find(const athi_kind *kind, const char *name) {
    for (const athi_row *row = kind->rows; row->name; row++)
        if (strcmp(row->name, name) == 0) return row;
    return NULL;
}

const char *athi_kind_nearest(const athi_kind *kind, const char *name) {
    int n = 0;
    while (kind->rows[n].name) n++;
    return athi_nearest(name, kind->rows, n, sizeof *kind->rows);
}

int athi_row_options(const athi_row *row) {
    int n = 0;
    while (row->options && row->options[n].name) n++;
    return n;
}

bool athi_option_takes_null(const athi_option *o) {
    return o->nullable || (o->fallback && strcmp(o->fallback, "null") == 0);
}

/* ---- one field ----------------------------------------------------------------------------------- */

static ath_status read_int(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    if (v->type != ATHI_INT || !athi_option_in_range(o, v->number)) return athi_option_mismatch(r, o, v);
    *(int64_t *)field = v->integer;
    return ATH_OK;
}

static ath_status read_float(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    double number;
    if (!athi_value_number(v, &number) || !athi_option_in_range(o, number))
        return athi_option_mismatch(r, o, v);
    *(double *)field = number;
    return ATH_OK;
}

static ath_status read_bool(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    if (v->type != ATHI_BOOL) return athi_option_mismatch(r, o, v);
    *(bool *)field = v->boolean;
    return ATH_OK;
}

static ath_status read_switch(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    if (v->type != ATHI_BOOL) return athi_option_mismatch(r, o, v);
    *(ath_switch *)field = v->boolean ? ATH_ON : ATH_OFF;
    return ATH_OK;
}

static ath_status read_string(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    if (v->type != ATHI_STRING) return athi_option_mismatch(r, o, v);
    char *copy = athi_arena_strdup(r->arena, v->text);
    *(const char **)field = copy;
    return copy ? ATH_OK : ATH_E_NOMEM;
}

static ath_status read_enum(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    for (int i = 0; v->type == ATHI_STRING && o->names[i]; i++) {
        if (strcmp(o->names[i], v->text) != 0) continue;
        *(int *)field = i;
        return ATH_OK;
    }
    return athi_option_mismatch(r, o, v);
}

static ath_status read_ints(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    athi_ints ints = {0};
    if (v->type == ATHI_INT && athi_option_in_range(o, v->number)) {
        ints.n = ATHI_MAX(o->repeat, 1);
        for (int64_t i = 0; i < ints.n; i++) ints.v[i] = v->integer;
    } else if (v->type != ATHI_LIST || v->n > ATHI_COUNT(ints.v) || (o->repeat > 1 && v->n != o->repeat)) {
        return athi_option_mismatch(r, o, v);
    } else {
        for (; ints.n < v->n; ints.n++) {
            const athi_value *item = v->items[ints.n];
            if (item->type != ATHI_INT || !athi_option_in_range(o, item->number))
                return athi_option_mismatch(r, o, item);
            ints.v[ints.n] = item->integer;
        }
    }
    *(athi_ints *)field = ints;
    return ATH_OK;
}

static ath_status read_floats(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    bool single = v->type == ATHI_INT || v->type == ATHI_FLOAT;
    if (!single && v->type != ATHI_LIST) return athi_option_mismatch(r, o, v);
    int64_t n = single ? 1 : v->n;
    double *numbers = athi_arena_array(r->arena, n, (int64_t)sizeof *numbers);
    if (!numbers) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        const athi_value *item = single ? v : v->items[i];
        if (!athi_value_number(item, &numbers[i]) || !athi_option_in_range(o, numbers[i]))
            return athi_option_mismatch(r, o, item);
    }
    *(athi_floats *)field = (athi_floats){n, numbers};
    return ATH_OK;
}

static ath_status read_spec(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    const athi_row *row;
    void *opts;
    const char *where = athi_where(r->arena, r->where, o->name);
    if (!where) return ATH_E_NOMEM;
    ATH_TRY(athi_spec_read(r->ctx, r->arena, o->kind, v, where, &row, &opts));
    *(ath_spec *)field = (ath_spec){row->name, opts};
    return ATH_OK;
}

static ath_status read_value(const athi_reading *r, const athi_option *o, const athi_value *v, void *field) {
    (void)o;
    const athi_value *copy = athi_value_copy(r->arena, v);
    *(const athi_value **)field = copy;
    return copy ? ATH_OK : ATH_E_NOMEM;
}

typedef ath_status read_fn(const athi_reading *r, const athi_option *o, const athi_value *v, void *field);
static read_fn *const readers[] = {
    [ATHI_OPT_INT] = read_int,       [ATHI_OPT_FLOAT] = read_float, [ATHI_OPT_BOOL] = read_bool,
    [ATHI_OPT_SWITCH] = read_switch, [ATHI_OPT_ENUM] = read_enum,   [ATHI_OPT_STRING] = read_string,
    [ATHI_OPT_INTS] = read_ints,     [ATHI_OPT_SPEC] = read_spec,   [ATHI_OPT_FLOATS] = read_floats,
    [ATHI_OPT_VALUE] = read_value,
};

/* A field of zeroed memory from a value. */
static ath_status read_field(const athi_reading *r, const athi_option *o, const athi_value *v, void *opts) {
    if (v->type == ATHI_NULL && athi_option_takes_null(o)) return ATH_OK;
    if (v->tag && o->type != ATHI_OPT_VALUE)
        return athi_option_mismatch(r, o, v); /* a range that was not bound */
    return readers[o->type](r, o, v, (char *)opts + o->offset);
}

static ath_status read_fallback(const athi_reading *r, const athi_option *o, void *opts) {
    athi_value *v;
    ATH_TRY(athi_option_fallback(r->ctx, r->arena, o, &v));
    return read_field(r, o, v, opts);
}

/* ---- whole structs ------------------------------------------------------------------------------- */

static void begin(const athi_row *row, void *opts) {
    if (row->opts_size < sizeof(athi_opts_head)) return; /* a row without options */
    memset(opts, 0, row->opts_size);
    *(athi_opts_head *)opts = (athi_opts_head){.struct_size = row->opts_size, .exact = true};
}

static ath_status check_keys(const athi_reading *r, const athi_value *map, const char *const *also) {
    for (int64_t i = 0; i < map->n; i++) {
        bool known = false;
        for (int k = 0; k < athi_row_options(r->row) && !known; k++)
            known = strcmp(r->row->options[k].name, map->keys[i]) == 0;
        for (const char *const *name = also; name && *name && !known; name++)
            known = strcmp(*name, map->keys[i]) == 0;
        if (!known) return athi_option_unknown(r, map, i, also);
    }
    return ATH_OK;
}

/* A bare scalar is the row's main option: it becomes {main_option: scalar}. */
static ath_status wrap_scalar(athi_arena *arena, const athi_row *row, const athi_value **map) {
    if (!row->main_option) return ATH_OK;
    athi_value *wrapped = athi_value_new(arena, ATHI_MAP), *copy = athi_value_copy(arena, *map);
    if (!wrapped || !copy) return ATH_E_NOMEM;
    wrapped->line = copy->line, wrapped->column = copy->column;
    *map = wrapped;
    return athi_value_set(arena, wrapped, row->main_option, copy);
}

ath_status athi_options_read(ath_ctx *ctx, athi_arena *arena, const athi_row *row, const athi_value *map,
                             const char *const *also, const char *where, void *opts) {
    athi_reading r = {ctx, arena, row, where && *where ? where : row->name};
    if (map && map->type == ATHI_NULL && !map->tag) map = NULL;
    if (map && (map->type != ATHI_MAP || map->tag)) ATH_TRY(wrap_scalar(arena, row, &map));
    if (map && (map->type != ATHI_MAP || map->tag)) return athi_options_not_map(&r, map);
    if (map) ATH_TRY(check_keys(&r, map, also));
    begin(row, opts);
    for (int i = 0; i < athi_row_options(row); i++) {
        const athi_option *o = &row->options[i];
        const athi_value *v = athi_value_get(map, o->name);
        if (v)
            ATH_TRY(read_field(&r, o, v, opts));
        else if (o->fallback)
            ATH_TRY(read_fallback(&r, o, opts));
        else
            return athi_option_missing(&r, o, map);
    }
    return ATH_OK;
}

/* What C code gave, in a struct of this library's size; fields it does not know must not be used. */
static ath_status take_struct(const athi_reading *r, const void *opts, void *whole) {
    size_t given;
    memcpy(&given, opts, sizeof given);
    if (given < sizeof(athi_opts_head))
        return athi_fail(r->ctx, ATH_E_OPTION,
                         "%s: the options have no struct_size; use the macro, or set it to sizeof the struct",
                         r->where);
    memcpy(whole, opts, ATHI_MIN(given, r->row->opts_size));
    for (size_t i = r->row->opts_size; i < given; i++)
        if (((const char *)opts)[i])
            return athi_fail(
                r->ctx, ATH_E_OPTION,
                "%s: the options use a field that this version of the library (%s) does not have; "
                "update the library",
                r->where, ath_version());
    return ATH_OK;
}

static ath_status resolve_spec(const athi_reading *r, const athi_option *o, const void *given, void *opts) {
    ath_spec spec;
    memcpy(&spec, (const char *)given + o->offset, sizeof spec);
    const athi_row *row;
    void *resolved;
    const char *where = athi_where(r->arena, r->where, o->name);
    if (!where) return ATH_E_NOMEM;
    ATH_TRY(athi_spec_resolve(r->ctx, r->arena, o->kind, spec, where, &row, &resolved));
    *(ath_spec *)((char *)opts + o->offset) = (ath_spec){row->name, resolved};
    return ATH_OK;
}

static ath_status resolve_field(const athi_reading *r, const athi_option *o, const void *given, bool exact,
                                void *opts) {
    bool zero = athi_option_is_zero(o, given),
         no_zero = o->type == ATHI_OPT_STRING || o->type == ATHI_OPT_SPEC || o->type == ATHI_OPT_VALUE;
    if (zero && (!exact || o->type == ATHI_OPT_SWITCH) && o->fallback) return read_fallback(r, o, opts);
    if (zero && athi_option_takes_null(o)) return ATH_OK;
    if (zero && no_zero && o->fallback) return ATH_OK;                     /* exact: none at all */
    bool choosable = o->type == ATHI_OPT_BOOL || o->type == ATHI_OPT_ENUM; /* zero is one of their values */
    if (zero && !choosable && !(exact && !no_zero)) return athi_option_missing(r, o, NULL);
    if (o->type == ATHI_OPT_SPEC) return resolve_spec(r, o, given, opts);
    athi_value *v;
    ATH_TRY(athi_option_write(r->arena, o, given, true, &v));
    return read_field(r, o, v, opts);
}

ath_status athi_options_resolve(ath_ctx *ctx, athi_arena *arena, const athi_row *row, const void *opts,
                                const char *where, void **resolved) {
    *resolved = NULL;
    athi_reading r = {ctx, arena, row, where && *where ? where : row->name};
    if (row->opts_size == 0) return ATH_OK;
    void *given = athi_arena_alloc(arena, (int64_t)row->opts_size);
    void *whole = athi_arena_alloc(arena, (int64_t)row->opts_size);
    if (!given || !whole) return ATH_E_NOMEM;
    if (opts) ATH_TRY(take_struct(&r, opts, given));
    bool exact = ((const athi_opts_head *)given)->exact;
    begin(row, whole);
    for (int i = 0; i < athi_row_options(row); i++)
        ATH_TRY(resolve_field(&r, &row->options[i], given, exact, whole));
    *resolved = whole;
    return ATH_OK;
}

/* ---- specs --------------------------------------------------------------------------------------- */

ath_status athi_spec_read(ath_ctx *ctx, athi_arena *arena, const athi_kind *kind, const athi_value *value,
                          const char *where, const athi_row **row, void **opts) {
    *row = NULL, *opts = NULL;
    const athi_value *given = NULL;
    const athi_row *found = NULL;
    bool number = value->type == ATHI_INT || value->type == ATHI_FLOAT;
    if (value->tag) return athi_spec_mismatch(ctx, kind, value, where);
    if (value->type == ATHI_STRING) {
        found = athi_row_find(kind, value->text);
    } else if (value->type == ATHI_MAP && value->n == 1) {
        found = athi_row_find(kind, value->keys[0]);
        given = value->items[0];
    } else if (number) {
        found = athi_row_find(kind, "constant");
        if (found && !found->main_option) found = NULL;
        given = value;
    }
    if (!found) return athi_spec_mismatch(ctx, kind, value, where);
    const char *inner = where && *where ? athi_where(arena, where, found->name) : found->name;
    void *filled = found->opts_size ? athi_arena_alloc(arena, (int64_t)found->opts_size) : NULL;
    if (!inner || (found->opts_size && !filled)) return ATH_E_NOMEM;
    ATH_TRY(athi_options_read(ctx, arena, found, given, NULL, inner, filled));
    *row = found, *opts = filled;
    return ATH_OK;
}

ath_status athi_spec_resolve(ath_ctx *ctx, athi_arena *arena, const athi_kind *kind, ath_spec spec,
                             const char *where, const athi_row **row, void **opts) {
    *row = NULL, *opts = NULL;
    if (!spec.name) return ATH_OK;
    const athi_row *found = athi_row_find(kind, spec.name);
    if (!found) {
        athi_value named = {.type = ATHI_STRING, .text = spec.name};
        return athi_spec_mismatch(ctx, kind, &named, where);
    }
    const char *inner = where && *where ? athi_where(arena, where, found->name) : found->name;
    if (!inner) return ATH_E_NOMEM;
    ATH_TRY(athi_options_resolve(ctx, arena, found, spec.opts, inner, opts));
    *row = found;
    return ATH_OK;
}
