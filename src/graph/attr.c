/* What the attributes of each kind are called and how they lie in the union: one row a field. Printing and reading
 * follow from the rows; a field that is zero is not printed. */
#include "graph/text.h"

#include "base/options.h"

#include <errno.h>
#include <stdlib.h>

typedef enum field_type {
    DOUBLE,
    BOOL,
    INT,
    INT64,
    MASK,   /* uint32_t */
    SHAPE,  /* athi_shape */
    INTS,   /* int [ATHI_MAX_RANK] */
    INT64S, /* int64_t [ATHI_MAX_RANK] */
    PAIR,   /* int64_t [2] */
    DTYPE,
    NAME,     /* const char * */
    VARIABLE, /* athi_variable *, by name */
    CLIP_MODE,
    ROW, /* const athi_row *: printed by name, cannot be read */
} field_type;

typedef struct field {
    athi_attr_kind kind;
    const char *name;
    field_type type;
    size_t offset;
} field;

#define FIELD(kind, member, field_name, type)                                                                        \
    { ATHI_ATTR_##kind, #field_name, type, offsetof(athi_attr, member.field_name) }
static const field fields[] = {
    FIELD(ALPHA, alpha, alpha, DOUBLE),
    FIELD(ALPHA, alpha, beta, DOUBLE),
    FIELD(MATMUL, matmul, transpose_a, BOOL),
    FIELD(MATMUL, matmul, transpose_b, BOOL),
    FIELD(AXES, axes, mask, MASK),
    FIELD(AXES, axes, keep, BOOL),
    FIELD(SHAPE, shape, shape, SHAPE),
    FIELD(PERM, perm, axis, INTS),
    FIELD(AXIS, axis, axis, INT),
    FIELD(SLICE, slice, begin, INT64S),
    FIELD(SLICE, slice, size, INT64S),
    FIELD(WINDOW, window, size, PAIR),
    FIELD(WINDOW, window, stride, PAIR),
    FIELD(WINDOW, window, dilation, PAIR),
    FIELD(WINDOW, window, groups, INT64),
    FIELD(WINDOW, window, same, BOOL),
    FIELD(WINDOW, window, x, SHAPE),
    FIELD(NORM, norm, epsilon, DOUBLE),
    FIELD(NORM, norm, momentum, DOUBLE),
    FIELD(NORM, norm, frozen, BOOL),
    FIELD(DROPOUT, dropout, rate, DOUBLE),
    FIELD(DROPOUT, dropout, id, INT64),
    FIELD(INPUT, input, slot, INT),
    FIELD(INPUT, input, shape, SHAPE),
    FIELD(INPUT, input, dtype, DTYPE),
    FIELD(INPUT, input, name, NAME),
    FIELD(VARIABLE, variable, variable, VARIABLE),
    FIELD(CONSTANT, constant, value, DOUBLE),
    FIELD(CONSTANT, constant, shape, SHAPE),
    FIELD(CONSTANT, constant, dtype, DTYPE),
    FIELD(LOSS, loss, smoothing, DOUBLE),
    FIELD(LOSS, loss, threshold, DOUBLE),
    FIELD(LOSS, loss, k, INT64),
    FIELD(CLIP, clip, mode, CLIP_MODE),
    FIELD(CLIP, clip, limit, DOUBLE),
    FIELD(UPDATE, update, row, ROW),
    FIELD(AUGMENT, augment, row, ROW),
    FIELD(AUGMENT, augment, id, INT64),
    FIELD(CAST, cast, dtype, DTYPE),
};

static const char *const clip_modes[] = {"value", "norm", "global_norm"};

/* ---- printing ------------------------------------------------------------------------------------ */

void athi_text_dims(athi_text *out, const int64_t *dims, int n) {
    athi_text_printf(out, "[");
    for (int i = 0; i < n; i++) {
        if (i) athi_text_printf(out, ",");
        if (dims[i] == ATHI_DYN)
            athi_text_printf(out, "?");
        else
            athi_text_printf(out, "%lld", (long long)dims[i]);
    }
    athi_text_printf(out, "]");
}

void athi_text_name(athi_text *out, const char *name) {
    athi_text_printf(out, "\"");
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        if (*c < 0x20 || *c == '"' || *c == '\\')
            athi_text_printf(out, "\\%02x", *c);
        else
            athi_text_add(out, (const char *)c, 1);
    }
    athi_text_printf(out, "\"");
}

/* Up to the last one that is not 0. */
static int used(const int64_t *v, int n) {
    while (n > 0 && v[n - 1] == 0) n--;
    return n;
}

static void print_list(athi_text *out, const char *name, const int64_t *v, int n) {
    if (!used(v, n)) return;
    athi_text_printf(out, " %s=", name);
    athi_text_dims(out, v, n);
}

static void print_field(const field *f, const athi_attr *attr, athi_text *out) {
    const void *p = (const char *)attr + f->offset;
    int64_t list[ATHI_MAX_RANK];
    char number[32];
    switch (f->type) {
    case DOUBLE:
        if (*(const double *)p == 0) return;
        athi_format_double(*(const double *)p, number);
        athi_text_printf(out, " %s=%s", f->name, number);
        return;
    case BOOL:
        if (*(const bool *)p) athi_text_printf(out, " %s=true", f->name);
        return;
    case INT:
        if (*(const int *)p) athi_text_printf(out, " %s=%d", f->name, *(const int *)p);
        return;
    case INT64:
        if (*(const int64_t *)p) athi_text_printf(out, " %s=%lld", f->name, (long long)*(const int64_t *)p);
        return;
    case MASK:
        if (*(const uint32_t *)p) athi_text_printf(out, " %s=%u", f->name, *(const uint32_t *)p);
        return;
    case SHAPE: {
        const athi_shape *s = p;
        if (!s->rank) return;
        athi_text_printf(out, " %s=", f->name);
        athi_text_dims(out, s->dim, s->rank);
        return;
    }
    case INTS:
        for (int i = 0; i < ATHI_MAX_RANK; i++) list[i] = ((const int *)p)[i];
        print_list(out, f->name, list, used(list, ATHI_MAX_RANK));
        return;
    case INT64S: print_list(out, f->name, p, used(p, ATHI_MAX_RANK)); return;
    case PAIR: print_list(out, f->name, p, 2); return;
    case DTYPE:
        if (*(const ath_dtype *)p) athi_text_printf(out, " %s=%s", f->name, athi_dtype_name(*(const ath_dtype *)p));
        return;
    case NAME:
        if (!*(const char *const *)p) return;
        athi_text_printf(out, " %s=", f->name);
        athi_text_name(out, *(const char *const *)p);
        return;
    case VARIABLE:
        athi_text_printf(out, " %s=", f->name);
        athi_text_name(out, (*(athi_variable *const *)p)->name);
        return;
    case CLIP_MODE:
        if (*(const athi_clip *)p) athi_text_printf(out, " %s=%s", f->name, clip_modes[*(const athi_clip *)p]);
        return;
    case ROW: {
        const athi_row *row = *(const athi_row *const *)p;
        if (row) athi_text_printf(out, " %s=%s", f->name, row->name);
        return;
    }
    }
}

void athi_attr_print(athi_attr_kind kind, const athi_attr *attr, athi_text *out) {
    for (int i = 0; i < ATHI_COUNT(fields); i++)
        if (fields[i].kind == kind) print_field(&fields[i], attr, out);
}

/* ---- reading ------------------------------------------------------------------------------------- */

bool athi_read_int(const char **at, int64_t *out) {
    char *end;
    errno = 0;
    if (**at != '-' && (**at < '0' || **at > '9')) return false;
    *out = strtoll(*at, &end, 10);
    if (end == *at || errno) return false;
    *at = end;
    return true;
}

bool athi_read_dims(const char **at, int64_t *dims, int most, int *n) {
    const char *c = *at;
    *n = 0;
    if (*c++ != '[') return false;
    while (*c != ']') {
        if (*n == most || (*n && *c++ != ',')) return false;
        while (*c == ' ') c++;
        if (*c == '?') {
            dims[(*n)++] = ATHI_DYN;
            c++;
        } else if (!athi_read_int(&c, &dims[(*n)++])) {
            return false;
        }
    }
    *at = c + 1;
    return true;
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool athi_read_name(const char **at, char *out, int size) {
    const char *c = *at;
    int n = 0;
    if (*c++ != '"') return false;
    for (; *c && *c != '"'; c++) {
        char byte = *c;
        if (*c == '\\') {
            int high = hex(c[1]), low = high < 0 ? -1 : hex(c[2]);
            if (low < 0 || high * 16 + low == 0) return false;
            byte = (char)(high * 16 + low);
            c += 2;
        }
        if (n + 1 >= size) return false;
        out[n++] = byte;
    }
    out[n] = 0;
    if (*c != '"') return false; /* the text ends inside the quotes */
    *at = c + 1;
    return true;
}

bool athi_read_word(const char **at, char *out, int size) {
    int n = 0;
    for (; (**at >= 'a' && **at <= 'z') || (**at >= '0' && **at <= '9') || **at == '_'; (*at)++) {
        if (n + 1 >= size) return false;
        out[n++] = **at;
    }
    out[n] = 0;
    return n > 0;
}

static bool read_double(const char **at, double *out) {
    char *end;
    *out = athi_strtod(*at, &end);
    if (end == *at) return false;
    *at = end;
    return true;
}

static bool read_choice(const char **at, const char *const *names, int n, int *out) {
    char word[32];
    if (!athi_read_word(at, word, sizeof word)) return false;
    for (*out = 0; *out < n; ++*out)
        if (!strcmp(names[*out], word)) return true;
    return false;
}

static bool read_variable(athi_graph *graph, const char **at, athi_variable **out) {
    char name[256];
    if (!athi_read_name(at, name, sizeof name)) return false;
    for (int64_t i = 0; i < graph->n_variables; i++) {
        if (strcmp(graph->variables[i]->name, name)) continue;
        *out = graph->variables[i];
        return true;
    }
    return false;
}

static bool read_value(athi_graph *graph, const field *f, const char **at, athi_attr *attr) {
    void *p = (char *)attr + f->offset;
    static const char *const booleans[] = {"false", "true"};
    int64_t list[ATHI_MAX_RANK] = {0};
    char text[256];
    int n = 0;
    switch (f->type) {
    case DOUBLE: return read_double(at, p);
    case BOOL:
        if (!read_choice(at, booleans, 2, &n)) return false;
        *(bool *)p = n;
        return true;
    case INT:
        if (!athi_read_int(at, list) || list[0] < INT32_MIN || list[0] > INT32_MAX) return false;
        *(int *)p = (int)list[0];
        return true;
    case INT64: return athi_read_int(at, p);
    case MASK:
        if (!athi_read_int(at, list) || list[0] < 0 || list[0] > UINT32_MAX) return false;
        *(uint32_t *)p = (uint32_t)list[0];
        return true;
    case SHAPE:
        if (!athi_read_dims(at, list, ATHI_MAX_RANK, &n)) return false;
        *(athi_shape *)p = (athi_shape){.rank = n};
        memcpy(((athi_shape *)p)->dim, list, sizeof list);
        return true;
    case INTS:
        if (!athi_read_dims(at, list, ATHI_MAX_RANK, &n)) return false;
        for (int i = 0; i < ATHI_MAX_RANK; i++) {
            if (list[i] < INT32_MIN || list[i] > INT32_MAX) return false;
            ((int *)p)[i] = (int)list[i];
        }
        return true;
    case INT64S: return athi_read_dims(at, p, ATHI_MAX_RANK, &n);
    case PAIR: return athi_read_dims(at, p, 2, &n) && n == 2;
    case DTYPE: return athi_read_word(at, text, sizeof text) && athi_dtype_from_name(text, p);
    case NAME:
        if (!athi_read_name(at, text, sizeof text)) return false;
        *(const char **)p = athi_arena_strdup(graph->arena, text);
        return *(const char **)p != NULL;
    case VARIABLE: return read_variable(graph, at, p);
    case CLIP_MODE:
        if (!read_choice(at, clip_modes, ATHI_COUNT(clip_modes), &n)) return false;
        *(athi_clip *)p = (athi_clip)n;
        return true;
    case ROW: return false; /* the rows belong to nn, above this part */
    }
    return false;
}

bool athi_attr_read(athi_graph *graph, athi_attr_kind kind, const char *name, const char **at, athi_attr *attr) {
    for (int i = 0; i < ATHI_COUNT(fields); i++)
        if (fields[i].kind == kind && !strcmp(fields[i].name, name)) return read_value(graph, &fields[i], at, attr);
    return false;
}
