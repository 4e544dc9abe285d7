/* Option structs back to values: for bound recipes, model files and `athanor explain`. */
#include "base/options_internal.h"

size_t athi_option_size(athi_option_type type) {
    static const size_t sizes[] = {
        [ATHI_OPT_INT] = sizeof(int64_t),         [ATHI_OPT_FLOAT] = sizeof(double),
        [ATHI_OPT_BOOL] = sizeof(bool),           [ATHI_OPT_SWITCH] = sizeof(ath_switch),
        [ATHI_OPT_STRING] = sizeof(const char *), [ATHI_OPT_ENUM] = sizeof(int),
        [ATHI_OPT_INTS] = sizeof(athi_ints),      [ATHI_OPT_FLOATS] = sizeof(athi_floats),
        [ATHI_OPT_SPEC] = sizeof(ath_spec),       [ATHI_OPT_VALUE] = sizeof(const athi_value *),
    };
    return sizes[type];
}

bool athi_option_is_zero(const athi_option *o, const void *opts) {
    const void *field = (const char *)opts + o->offset;
    switch (o->type) {
    case ATHI_OPT_INT: return *(const int64_t *)field == 0;
    case ATHI_OPT_FLOAT: return *(const double *)field == 0;
    case ATHI_OPT_SWITCH: return *(const ath_switch *)field == ATH_DEFAULT;
    case ATHI_OPT_BOOL: return !*(const bool *)field;
    case ATHI_OPT_ENUM: return *(const int *)field == 0;
    case ATHI_OPT_STRING: return !*(const char *const *)field;
    case ATHI_OPT_INTS: return ((const athi_ints *)field)->n == 0;
    case ATHI_OPT_FLOATS: return ((const athi_floats *)field)->n == 0;
    case ATHI_OPT_SPEC: return !((const ath_spec *)field)->name;
    case ATHI_OPT_VALUE: return !*(const athi_value *const *)field;
    }
    return true;
}

static athi_value *write_switch(athi_arena *arena, ath_switch value) {
    if (value == ATH_ON || value == ATH_OFF) return athi_value_bool(arena, value == ATH_ON);
    return athi_value_int(arena, (int)value); /* the reader says what it should be */
}

static athi_value *write_enum(athi_arena *arena, const athi_option *o, int index) {
    for (int i = 0; o->names[i]; i++)
        if (i == index) return athi_value_string(arena, o->names[i]);
    return athi_value_int(arena, index); /* not a value of the enum: the reader names it */
}

static athi_value *write_ints(athi_arena *arena, const athi_option *o, const athi_ints *ints) {
    const int64_t most = ATHI_COUNT(ints->v);
    bool single = o->repeat > 1 && ints->n == o->repeat;
    for (int64_t i = 1; i < ATHI_MIN(ints->n, most); i++) single &= ints->v[i] == ints->v[0];
    if (single || (o->repeat > 1 && ints->n == 1)) return athi_value_int(arena, ints->v[0]);
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    int64_t n = ATHI_MIN(ints->n, most + 1); /* too many stay too many, for the reader to refuse */
    for (int64_t i = 0; list && i < n; i++)
        if (athi_value_append(arena, list, athi_value_int(arena, ints->v[ATHI_MIN(i, most - 1)])) != ATH_OK)
            return NULL;
    return list;
}

static athi_value *write_floats(athi_arena *arena, const athi_floats *floats) {
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    for (int64_t i = 0; list && i < floats->n; i++)
        if (athi_value_append(arena, list, athi_value_float(arena, floats->v[i])) != ATH_OK) return NULL;
    return list;
}

/* "relu", {l2: {l2: 0.1}}, or the number of a constant. */
static athi_value *write_spec(athi_arena *arena, const athi_option *o, const ath_spec *spec, bool all) {
    const athi_row *row = athi_row_find(o->kind, spec->name);
    athi_value *inner = NULL;
    if (row && spec->opts && athi_options_write(arena, row, spec->opts, all, &inner) != ATH_OK) return NULL;
    if (!inner || inner->n == 0) return athi_value_string(arena, spec->name);
    if (strcmp(row->name, "constant") == 0 && row->main_option && inner->n == 1) {
        athi_value *number = athi_value_get(inner, row->main_option);
        double ignored;
        if (athi_value_number(number, &ignored)) return number;
    }
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    return map && athi_value_set(arena, map, spec->name, inner) == ATH_OK ? map : NULL;
}

ath_status athi_option_write(athi_arena *arena, const athi_option *o, const void *opts, bool all,
                             athi_value **v) {
    const void *field = (const char *)opts + o->offset;
    bool none = athi_option_is_zero(o, opts);
    bool pointer = o->type == ATHI_OPT_STRING || o->type == ATHI_OPT_SPEC || o->type == ATHI_OPT_VALUE;
    if (none && (pointer || athi_option_takes_null(o))) {
        *v = athi_value_new(arena, ATHI_NULL);
        return *v ? ATH_OK : ATH_E_NOMEM;
    }
    switch (o->type) {
    case ATHI_OPT_INT: *v = athi_value_int(arena, *(const int64_t *)field); break;
    case ATHI_OPT_FLOAT: *v = athi_value_float(arena, *(const double *)field); break;
    case ATHI_OPT_SWITCH: *v = write_switch(arena, *(const ath_switch *)field); break;
    case ATHI_OPT_BOOL: *v = athi_value_bool(arena, *(const bool *)field); break;
    case ATHI_OPT_ENUM: *v = write_enum(arena, o, *(const int *)field); break;
    case ATHI_OPT_STRING: *v = athi_value_string(arena, *(const char *const *)field); break;
    case ATHI_OPT_INTS: *v = write_ints(arena, o, field); break;
    case ATHI_OPT_FLOATS: *v = write_floats(arena, field); break;
    case ATHI_OPT_SPEC: *v = write_spec(arena, o, field, all); break;
    case ATHI_OPT_VALUE: *v = athi_value_copy(arena, *(const athi_value *const *)field); break;
    }
    return *v ? ATH_OK : ATH_E_NOMEM;
}

/* Whether a written value is what the default would be written as. */
static ath_status is_default(athi_arena *arena, const athi_row *row, const athi_option *o,
                             const athi_value *v, bool *same) {
    *same = false;
    if (!o->fallback) return ATH_OK;
    const athi_option only[] = {*o, {0}};
    const athi_row alone = {.name = row->name, .options = only, .opts_size = row->opts_size};
    void *opts = athi_arena_alloc(arena, (int64_t)row->opts_size);
    if (!opts) return ATH_E_NOMEM;
    ATH_TRY(athi_options_read(athi_arena_ctx(arena), arena, &alone, NULL, NULL, NULL, opts));
    athi_value *usual;
    ATH_TRY(athi_option_write(arena, o, opts, false, &usual));
    *same = athi_value_equal(v, usual);
    return ATH_OK;
}

ath_status athi_options_write(athi_arena *arena, const athi_row *row, const void *opts, bool all,
                              athi_value **map) {
    *map = athi_value_new(arena, ATHI_MAP);
    if (!*map) return ATH_E_NOMEM;
    for (int i = 0; opts && i < athi_row_options(row); i++) {
        const athi_option *o = &row->options[i];
        athi_value *v;
        bool same = false;
        ATH_TRY(athi_option_write(arena, o, opts, all, &v));
        if (!all) ATH_TRY(is_default(arena, row, o, v, &same));
        if (!same) ATH_TRY(athi_value_set(arena, *map, o->name, v));
    }
    return ATH_OK;
}
