/* JSON: read with jansson, written by hand (shortest numbers, no locale, tags).
 * jansson keeps its own allocator, since its hooks are shared by the whole process; its trees live only
 * inside athi_json_read. */
#include "base/value.h"

#include <jansson.h>
#include <math.h>

enum { DEPTH_MAX = 128 };

/* ---- reading ------------------------------------------------------------------------------------- */

static athi_value *convert(athi_arena *arena, const json_t *json, int depth);

static athi_value *convert_list(athi_arena *arena, const json_t *json, int depth) {
    athi_value *v = athi_value_new(arena, ATHI_LIST);
    for (size_t i = 0; v && i < json_array_size(json); i++)
        if (athi_value_append(arena, v, convert(arena, json_array_get(json, i), depth + 1)) != ATH_OK)
            return NULL;
    return v;
}

static athi_value *convert_map(athi_arena *arena, json_t *json, int depth) {
    athi_value *v = athi_value_new(arena, ATHI_MAP);
    for (void *it = json_object_iter(json); v && it; it = json_object_iter_next(json, it)) {
        athi_value *item = convert(arena, json_object_iter_value(it), depth + 1);
        if (athi_value_push(arena, v, json_object_iter_key(it), item) != ATH_OK) return NULL;
    }
    return v;
}

static athi_value *convert(athi_arena *arena, const json_t *json, int depth) {
    if (depth > DEPTH_MAX) {
        athi_fail(athi_arena_ctx(arena), ATH_E_SYNTAX, "JSON: lists and maps are nested deeper than %d",
                  DEPTH_MAX);
        return NULL;
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT: return convert_map(arena, (json_t *)(uintptr_t)json, depth);
    case JSON_ARRAY: return convert_list(arena, json, depth);
    case JSON_STRING: return athi_value_string(arena, json_string_value(json));
    case JSON_INTEGER: return athi_value_int(arena, json_integer_value(json));
    case JSON_REAL: return athi_value_float(arena, json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE: return athi_value_bool(arena, json_is_true(json));
    case JSON_NULL: break;
    }
    return athi_value_new(arena, ATHI_NULL);
}

static ath_status read_failed(ath_ctx *ctx, const json_error_t *error, int64_t n) {
    if (json_error_code(error) == json_error_out_of_memory) return athi_nomem(ctx, n);
    return athi_fail(ctx, ATH_E_SYNTAX, "line %d, column %d: not JSON: %s", error->line, error->column,
                     error->text);
}

ath_status athi_json_read(ath_ctx *ctx, athi_arena *arena, const char *text, int64_t n, athi_value **out) {
    *out = NULL;
    json_error_t error = {0};
    json_t *json = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json) return read_failed(ctx, &error, n);
    ctx->errmsg[0] = 0;
    *out = convert(arena, json, 1);
    json_decref(json);
    if (*out) return ATH_OK;
    return strncmp(ctx->errmsg, "JSON: ", 6) == 0 ? ATH_E_SYNTAX : ATH_E_NOMEM;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void add(athi_text *out, const char *text) { athi_text_add(out, text, (int64_t)strlen(text)); }

/* Length of the well-formed UTF-8 character at p (RFC 3629), 0 if there is none. */
static int utf8_length(const unsigned char *p) {
    static const struct {
        unsigned char first, last, second_min, second_max;
        int length;
    } rows[] = {{0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
                {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        if (*p < rows[i].first || *p > rows[i].last) continue;
        if (rows[i].length > 1 && (p[1] < rows[i].second_min || p[1] > rows[i].second_max)) return 0;
        for (int k = 2; k < rows[i].length; k++)
            if ((p[k] & 0xC0) != 0x80) return 0;
        return rows[i].length;
    }
    return 0;
}

bool athi_is_utf8(const char *text) {
    int n = 1;
    for (const unsigned char *p = (const unsigned char *)text; *p && n; p += n) n = utf8_length(p);
    return n > 0;
}

/* Bytes that are not UTF-8 become U+FFFD: the result is always JSON. */
static void write_string(athi_text *out, const char *text) {
    static const char *const escapes[] = {['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\t'] = "\\t",
                                          ['\r'] = "\\r", ['\b'] = "\\b",  ['\f'] = "\\f"};
    add(out, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int n = utf8_length(p);
        if (*p < ATHI_COUNT(escapes) && escapes[*p])
            add(out, escapes[*p]);
        else if (*p < 0x20)
            athi_text_printf(out, "\\u%04x", *p);
        else if (n)
            athi_text_add(out, (const char *)p, n);
        else
            add(out, "\xEF\xBF\xBD");
        p += n ? n : 1;
    }
    add(out, "\"");
}

static void write_float(athi_text *out, double f) {
    char text[32];
    athi_format_double(f, text);
    if (!isfinite(f)) {
        athi_text_printf(out, "\"%s\"", text);
        return;
    }
    add(out, text);
    if (!strpbrk(text, ".e")) add(out, ".0"); /* 1.0 stays a float when it is read again */
}

static void new_line(athi_text *out, int indent, int depth) {
    if (indent > 0) athi_text_printf(out, "\n%*s", indent * depth, "");
}

static bool is_flat(const athi_value *v) {
    for (int64_t i = 0; i < v->n; i++)
        if (v->items[i]->type == ATHI_LIST || v->items[i]->type == ATHI_MAP || v->items[i]->tag) return false;
    return true;
}

static ath_status write_value(athi_text *out, const athi_value *v, int indent, int depth, bool tagged);

/* Maps have a line a key; lists of scalars stand on one line. */
static ath_status write_items(athi_text *out, const athi_value *v, int indent, int depth) {
    bool map = v->type == ATHI_MAP, lines = indent > 0 && v->n > 0 && (map || !is_flat(v));
    add(out, map ? "{" : "[");
    for (int64_t i = 0; i < v->n; i++) {
        if (i) add(out, lines || indent == 0 ? "," : ", ");
        if (lines) new_line(out, indent, depth + 1);
        if (map) {
            write_string(out, v->keys[i]);
            add(out, indent > 0 ? ": " : ":");
        }
        ATH_TRY(write_value(out, v->items[i], indent, depth + 1, true));
    }
    if (lines) new_line(out, indent, depth);
    add(out, map ? "}" : "]");
    return ATH_OK;
}

static ath_status write_value(athi_text *out, const athi_value *v, int indent, int depth, bool tagged) {
    if (depth > 2 * DEPTH_MAX)
        return athi_fail(out->ctx, ATH_E_STATE, "JSON: the value is nested deeper than %d", 2 * DEPTH_MAX);
    if (tagged && v->tag) {
        add(out, "{");
        write_string(out, v->tag);
        add(out, indent > 0 ? ": " : ":");
        ATH_TRY(write_value(out, v, indent, depth, false));
        add(out, "}");
        return ATH_OK;
    }
    switch (v->type) {
    case ATHI_NULL: add(out, "null"); break;
    case ATHI_BOOL: add(out, v->boolean ? "true" : "false"); break;
    case ATHI_INT: athi_text_printf(out, "%lld", (long long)v->integer); break;
    case ATHI_FLOAT: write_float(out, v->number); break;
    case ATHI_STRING: write_string(out, v->text); break;
    case ATHI_LIST:
    case ATHI_MAP: return write_items(out, v, indent, depth);
    }
    return ATH_OK;
}

ath_status athi_json_write(athi_text *out, const athi_value *v, int indent) {
    ATH_TRY(write_value(out, v, indent, 0, true));
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}
