/* Value trees: building, looking up, copying, comparing, and what a plain scalar means. */
#include "base/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

athi_value *athi_value_new(athi_arena *arena, athi_value_type type) {
    athi_value *v = athi_arena_alloc(arena, (int64_t)sizeof *v);
    if (v) v->type = type;
    return v;
}

athi_value *athi_value_bool(athi_arena *arena, bool b) {
    athi_value *v = athi_value_new(arena, ATHI_BOOL);
    if (v) v->boolean = b;
    return v;
}

athi_value *athi_value_int(athi_arena *arena, int64_t i) {
    athi_value *v = athi_value_new(arena, ATHI_INT);
    if (v) v->integer = i, v->number = (double)i;
    return v;
}

athi_value *athi_value_float(athi_arena *arena, double f) {
    athi_value *v = athi_value_new(arena, ATHI_FLOAT);
    if (v) v->number = f;
    return v;
}

athi_value *athi_value_string(athi_arena *arena, const char *text) {
    athi_value *v = athi_value_new(arena, ATHI_STRING);
    if (v && !(v->text = athi_arena_strdup(arena, text ? text : ""))) return NULL;
    return v;
}

/* ---- lists and maps ------------------------------------------------------------------------------ */

/* A copy of an array with room for `cap` elements; what held it before stays in the arena. */
static bool regrow(athi_arena *arena, void *array, int64_t n, int64_t cap, int64_t size) {
    void *old, *grown = athi_arena_array(arena, cap, size);
    if (!grown) return false;
    memcpy(&old, array, sizeof old);
    if (n > 0) memcpy(grown, old, (size_t)(n * size));
    memcpy(array, &grown, sizeof grown);
    return true;
}

static bool make_room(athi_arena *arena, athi_value *v) {
    if (v->n < v->cap) return true;
    int64_t cap = v->cap ? v->cap * 2 : 4;
    if (!regrow(arena, &v->items, v->n, cap, (int64_t)sizeof *v->items)) return false;
    if (v->type == ATHI_MAP && (!regrow(arena, &v->keys, v->n, cap, (int64_t)sizeof *v->keys) ||
                                !regrow(arena, &v->key_lines, v->n, cap, (int64_t)sizeof(int)) ||
                                !regrow(arena, &v->key_columns, v->n, cap, (int64_t)sizeof(int))))
        return false;
    v->cap = cap;
    return true;
}

ath_status athi_value_append(athi_arena *arena, athi_value *list, athi_value *item) {
    assert(list->type == ATHI_LIST);
    if (!item || !make_room(arena, list)) return ATH_E_NOMEM;
    list->items[list->n++] = item;
    return ATH_OK;
}

static int64_t find_key(const athi_value *map, const char *key) {
    for (int64_t i = 0; i < map->n; i++)
        if (strcmp(map->keys[i], key) == 0) return i;
    return -1;
}

ath_status athi_value_push(athi_arena *arena, athi_value *map, const char *key, athi_value *item) {
    assert(map->type == ATHI_MAP);
    const char *copy = athi_arena_strdup(arena, key);
    if (!item || !copy || !make_room(arena, map)) return ATH_E_NOMEM;
    map->keys[map->n] = copy;
    map->key_lines[map->n] = map->key_columns[map->n] = 0;
    map->items[map->n++] = item;
    return ATH_OK;
}

ath_status athi_value_set(athi_arena *arena, athi_value *map, const char *key, athi_value *item) {
    assert(map->type == ATHI_MAP);
    if (!item) return ATH_E_NOMEM;
    int64_t i = find_key(map, key);
    if (i < 0) return athi_value_push(arena, map, key, item);
    map->items[i] = item;
    return ATH_OK;
}

athi_map_maker athi_map_make(athi_arena *arena) {
    athi_map_maker m = {arena, athi_value_new(arena, ATHI_MAP), ATH_OK};
    if (!m.map) m.status = ATH_E_NOMEM;
    return m;
}

void athi_map_put(athi_map_maker *m, const char *key, athi_value *value) {
    if (m->status == ATH_OK) m->status = athi_value_set(m->arena, m->map, key, value);
}

athi_value *athi_value_get(const athi_value *map, const char *key) {
    if (!map || map->type != ATHI_MAP) return NULL;
    int64_t i = find_key(map, key);
    return i < 0 ? NULL : map->items[i];
}

/* ---- whole trees --------------------------------------------------------------------------------- */

athi_value *athi_value_copy(athi_arena *arena, const athi_value *v) {
    if (!v) return NULL;
    athi_value *c = athi_arena_memdup(arena, v, (int64_t)sizeof *v);
    if (!c) return NULL;
    c->n = c->cap = 0;
    c->items = NULL, c->keys = NULL, c->key_lines = c->key_columns = NULL;
    if (v->tag && !(c->tag = athi_arena_strdup(arena, v->tag))) return NULL;
    if (v->text && !(c->text = athi_arena_strdup(arena, v->text))) return NULL;
    for (int64_t i = 0; i < v->n; i++) {
        athi_value *item = athi_value_copy(arena, v->items[i]);
        if (v->type == ATHI_LIST) {
            if (athi_value_append(arena, c, item) != ATH_OK) return NULL;
            continue;
        }
        if (athi_value_push(arena, c, v->keys[i], item) != ATH_OK) return NULL;
        c->key_lines[i] = v->key_lines[i];
        c->key_columns[i] = v->key_columns[i];
    }
    return c;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static bool same_items(const athi_value *a, const athi_value *b) {
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++) {
        const athi_value *other = a->type == ATHI_LIST ? b->items[i] : athi_value_get(b, a->keys[i]);
        if (!other || !athi_value_equal(a->items[i], other)) return false;
    }
    return true;
}

bool athi_value_equal(const athi_value *a, const athi_value *b) {
    if (!a || !b) return a == b;
    if (a->type != b->type || !same_text(a->tag, b->tag)) return false;
    switch (a->type) {
    case ATHI_NULL: return true;
    case ATHI_BOOL: return a->boolean == b->boolean;
    case ATHI_INT: return a->integer == b->integer;
    case ATHI_FLOAT: return a->number == b->number || (isnan(a->number) && isnan(b->number));
    case ATHI_STRING: return same_text(a->text, b->text);
    case ATHI_LIST:
    case ATHI_MAP: return same_items(a, b);
    }
    return false;
}

bool athi_value_number(const athi_value *v, double *out) {
    if (!v || (v->type != ATHI_INT && v->type != ATHI_FLOAT)) return false;
    *out = v->number;
    return true;
}

const char *athi_value_type_name(athi_value_type type) {
    static const char *const names[] = {
        [ATHI_NULL] = "null",      [ATHI_BOOL] = "true or false", [ATHI_INT] = "an integer",
        [ATHI_FLOAT] = "a number", [ATHI_STRING] = "a text",      [ATHI_LIST] = "a list",
        [ATHI_MAP] = "a map",
    };
    return names[type];
}

/* ---- plain scalars: the core schema of YAML 1.2 (section 10.3.2) ----------------------------------- */

static bool one_of(const char *text, const char *const *names) {
    for (; *names; names++)
        if (strcmp(text, *names) == 0) return true;
    return false;
}

static const char *skip_digits(const char *p) {
    while (*p >= '0' && *p <= '9') p++;
    return p;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  */
static bool is_decimal(const char *p, bool *whole) {
    if (*p == '-' || *p == '+') p++;
    const char *digits = p;
    p = skip_digits(p);
    int64_t n = p - digits;
    *whole = *p == 0;
    if (*p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p);
        n += p - fraction;
    }
    if (n == 0) return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '-' || *p == '+') p++;
        const char *exponent = p;
        p = skip_digits(p);
        if (p == exponent) return false;
    }
    return *p == 0;
}

/* 0x1F and 0o17. */
static bool is_based(const char *text, int *base) {
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'o') || !text[2]) return false;
    *base = text[1] == 'x' ? 16 : 8;
    return text[2 + strspn(text + 2, *base == 16 ? "0123456789abcdefABCDEF" : "01234567")] == 0;
}

/* An integer that 64 bits do not hold becomes a number, as JSON readers do. */
static void set_integer(athi_value *v, const char *digits, int base) {
    errno = 0;
    v->integer = strtoll(digits, NULL, base);
    v->type = errno == ERANGE ? ATHI_FLOAT : ATHI_INT;
    v->number = errno == ERANGE ? athi_strtod(v->text, NULL) : (double)v->integer;
    if (v->type == ATHI_FLOAT) v->integer = 0;
}

static void set_special(athi_value *v, const char *text) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const infs[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
    static const char *const minus_infs[] = {"-.inf", "-.Inf", "-.INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    if (one_of(text, nulls))
        v->type = ATHI_NULL;
    else if (one_of(text, trues))
        v->type = ATHI_BOOL, v->boolean = true;
    else if (one_of(text, falses))
        v->type = ATHI_BOOL;
    else if (one_of(text, infs))
        v->type = ATHI_FLOAT, v->number = (double)INFINITY;
    else if (one_of(text, minus_infs))
        v->type = ATHI_FLOAT, v->number = -(double)INFINITY;
    else if (one_of(text, nans))
        v->type = ATHI_FLOAT, v->number = (double)NAN;
}

athi_value *athi_value_scalar(athi_arena *arena, const char *text) {
    athi_value *v = athi_value_string(arena, text);
    if (!v) return NULL;
    bool whole;
    int base;
    if (is_based(text, &base)) {
        set_integer(v, text + 2, base);
    } else if (!is_decimal(text, &whole)) {
        set_special(v, text);
    } else if (whole) {
        set_integer(v, text, 10);
    } else {
        v->type = ATHI_FLOAT;
        v->number = athi_strtod(text, NULL);
    }
    return v;
}
