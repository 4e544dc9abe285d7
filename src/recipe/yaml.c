/* YAML text -> value tree, by libyaml's events. JSON is YAML, and {"!int": {…}} is the tag !int.
 * libyaml allocates by itself; what it makes lives inside athi_yaml_read. */
#include "recipe/internal.h"

#include <stdio.h>
#include <yaml.h>

enum { KEYS_MAX = 4096 }; /* of one map: looking for a key twice takes their square */

typedef struct anchor {
    const char *name;
    const athi_value *value;
    int64_t size; /* values in it */
    struct anchor *next;
} anchor;

typedef struct reader {
    ath_ctx *ctx;
    athi_arena *arena;
    const char *name, *text;
    int64_t length;
    yaml_parser_t parser;
    anchor *anchors;
    int64_t values; /* made so far */
} reader;

static ath_status fail_at(reader *r, int line, int column, const char *fmt, ...) ATHI_PRINTF(4, 5);
static ath_status fail_at(reader *r, int line, int column, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return athi_fail(r->ctx, ATH_E_SYNTAX, "%s:%d:%d: %s", r->name, line, column, text);
}
#define FAIL_EVENT(r, e, ...)                                                                                        \
    fail_at((r), (int)(e)->start_mark.line + 1, (int)(e)->start_mark.column + 1, __VA_ARGS__)

/* ---- libyaml's own errors ------------------------------------------------------------------------ */

/* Reader errors have a byte offset and no mark. */
static ath_status reader_error(reader *r) {
    int line = 1, column = 1;
    int64_t at = ATHI_MIN((int64_t)r->parser.problem_offset, r->length);
    for (int64_t i = 0; i < at; i++) {
        bool end = r->text[i] == '\n';
        line += end, column = end ? 1 : column + 1;
    }
    return fail_at(r, line, column, "not YAML: %s; save the file as UTF-8 text", r->parser.problem);
}

static ath_status parse_error(reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return athi_nomem(r->ctx, 0);
    if (p->error == YAML_READER_ERROR) return reader_error(r);
    char context[160] = "";
    const char *hint = "";
    if (p->context && strstr(p->context, "scanning a tag"))
        hint = "; between brackets a tag needs a value: write `!bool {}`";
    else if (p->problem && strstr(p->problem, "cannot start any token"))
        hint = "; put a text that begins with this character in quotes, and indent with spaces, not tabs";
    if (p->context && p->context_mark.line != p->problem_mark.line)
        snprintf(context, sizeof context, " (%.80s from line %d on)", p->context, (int)p->context_mark.line + 1);
    else if (p->context)
        snprintf(context, sizeof context, " (%.80s)", p->context);
    return fail_at(r, (int)p->problem_mark.line + 1, (int)p->problem_mark.column + 1, "not YAML: %s%s%s",
                   p->problem ? p->problem : "it cannot be read", context, hint);
}

static ath_status next_event(reader *r, yaml_event_t *event) {
    return yaml_parser_parse(&r->parser, event) ? ATH_OK : parse_error(r);
}

/* ---- values -------------------------------------------------------------------------------------- */

static ath_status count_values(reader *r, int64_t n, const yaml_event_t *e) {
    r->values += n;
    if (r->values <= ATHI_VALUES_MAX) return ATH_OK;
    return FAIL_EVENT(r, e, "more than %d values, with aliases expanded; use fewer aliases", ATHI_VALUES_MAX);
}

static void set_place(athi_value *v, const yaml_event_t *e) {
    v->line = (int)e->start_mark.line + 1, v->column = (int)e->start_mark.column + 1;
}

/* Tags of YAML itself that a recipe may use; what they promise is checked. */
static const struct {
    const char *tag;
    athi_value_type type;
} core_tags[] = {{"null", ATHI_NULL},  {"bool", ATHI_BOOL}, {"int", ATHI_INT}, {"float", ATHI_FLOAT},
                 {"str", ATHI_STRING}, {"seq", ATHI_LIST},  {"map", ATHI_MAP}};
static const char core_prefix[] = "tag:yaml.org,2002:";

static ath_status unknown_tag(reader *r, int line, int column, const char *tag) {
    const char *near = athi_nearest(tag, athi_range_tags, 5, sizeof *athi_range_tags);
    return fail_at(r, line, column, "'%.40s' is no tag%s%s%s; there are !int, !float, !bool, !choice, !expr", tag,
                   near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static const char *known_tag(const char *tag) {
    for (int i = 0; athi_range_tags[i]; i++)
        if (strcmp(athi_range_tags[i], tag) == 0) return athi_range_tags[i];
    return NULL;
}

static ath_status apply_tag(reader *r, const yaml_event_t *e, const char *tag, athi_value *v) {
    size_t n = sizeof core_prefix - 1;
    if (!tag || strcmp(tag, "!") == 0) return ATH_OK;
    if (strncmp(tag, core_prefix, n) != 0) {
        v->tag = known_tag(tag);
        return v->tag ? ATH_OK : unknown_tag(r, v->line, v->column, tag);
    }
    for (int i = 0; i < ATHI_COUNT(core_tags); i++) {
        if (strcmp(core_tags[i].tag, tag + n) != 0) continue;
        athi_value_type want = core_tags[i].type;
        if (want == ATHI_FLOAT && v->type == ATHI_INT) v->type = ATHI_FLOAT;
        if (want == ATHI_STRING && v->text && v->type < ATHI_STRING) v->type = ATHI_STRING;
        if (v->type == want) return ATH_OK;
        return FAIL_EVENT(r, e, "!!%s must stand before %s, got %s", tag + n, athi_value_type_name(want),
                          athi_value_type_name(v->type));
    }
    return unknown_tag(r, v->line, v->column, tag + n);
}

static ath_status read_scalar(reader *r, const yaml_event_t *e, athi_value **out) {
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return FAIL_EVENT(r, e, "a text must not hold a zero byte (\\0); take it out");
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const char *tag = (const char *)e->data.scalar.tag;
    bool expression = tag && strcmp(tag, "!expr") == 0; /* a text in any case */
    *out = plain && !expression && !(tag && strcmp(tag, "!") == 0) ? athi_value_scalar(r->arena, text)
                                                                   : athi_value_string(r->arena, text);
    if (!*out) return ATH_E_NOMEM;
    set_place(*out, e);
    return apply_tag(r, e, tag, *out);
}

static ath_status read_node(reader *r, yaml_event_t *e, int depth, athi_value **out);

static ath_status read_list(reader *r, int depth, athi_value *list) {
    for (;;) {
        yaml_event_t e;
        athi_value *item = NULL;
        ATH_TRY(next_event(r, &e));
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        ath_status status = end ? ATH_OK : read_node(r, &e, depth + 1, &item);
        yaml_event_delete(&e);
        if (end || status != ATH_OK) return status;
        ATH_TRY(athi_value_append(r->arena, list, item));
    }
}

static ath_status read_key(reader *r, const athi_value *map, const yaml_event_t *e) {
    if (e->type != YAML_SCALAR_EVENT) return FAIL_EVENT(r, e, "a key must be a text");
    const char *key = (const char *)e->data.scalar.value;
    if (strlen(key) != e->data.scalar.length)
        return FAIL_EVENT(r, e, "a key must not hold a zero byte (\\0); take it out");
    if (map->n >= KEYS_MAX) return FAIL_EVENT(r, e, "a map may have at most %d keys", KEYS_MAX);
    for (int64_t i = 0; i < map->n; i++)
        if (strcmp(map->keys[i], key) == 0)
            return FAIL_EVENT(r, e, "the key '%.60s' stands twice, first in line %d; leave one out", key,
                              map->key_lines[i]);
    return ATH_OK;
}

static ath_status read_map(reader *r, int depth, athi_value *map) {
    for (;;) {
        yaml_event_t key, e;
        athi_value *item = NULL;
        ATH_TRY(next_event(r, &key));
        if (key.type == YAML_MAPPING_END_EVENT) return yaml_event_delete(&key), ATH_OK;
        ath_status status = read_key(r, map, &key);
        if (status == ATH_OK) status = next_event(r, &e);
        if (status == ATH_OK) {
            status = read_node(r, &e, depth + 1, &item);
            yaml_event_delete(&e);
        }
        if (status == ATH_OK) {
            status = athi_value_push(r->arena, map, (const char *)key.data.scalar.value, item);
        }
        if (status == ATH_OK) {
            map->key_lines[map->n - 1] = (int)key.start_mark.line + 1;
            map->key_columns[map->n - 1] = (int)key.start_mark.column + 1;
        }
        yaml_event_delete(&key);
        ATH_TRY(status);
    }
}

/* {"!int": {…}} -> !int {…}. */
static ath_status untag_json(reader *r, athi_value **v) {
    athi_value *map = *v;
    if (map->type != ATHI_MAP || map->n != 1 || map->keys[0][0] != '!') return ATH_OK;
    const char *tag = known_tag(map->keys[0]);
    if (!tag) return unknown_tag(r, map->key_lines[0], map->key_columns[0], map->keys[0]);
    if (map->tag || map->items[0]->tag)
        return fail_at(r, map->key_lines[0], map->key_columns[0], "a value has one tag; leave out one of them");
    athi_value *inner = map->items[0];
    inner->tag = tag, inner->line = map->line, inner->column = map->column;
    *v = inner;
    return ATH_OK;
}

static ath_status add_anchor(reader *r, const char *name, const athi_value *value, int64_t size) {
    if (!name) return ATH_OK;
    anchor *a = athi_arena_alloc(r->arena, (int64_t)sizeof *a);
    if (!a || !(a->name = athi_arena_strdup(r->arena, name))) return ATH_E_NOMEM;
    a->value = value, a->size = size, a->next = r->anchors;
    r->anchors = a;
    return ATH_OK;
}

static int height(const athi_value *v) {
    int most = 0;
    for (int64_t i = 0; i < v->n; i++) {
        int one = height(v->items[i]);
        most = ATHI_MAX(most, one);
    }
    return most + 1;
}

/* A copy, so that changing one place does not change the other. */
static ath_status read_alias(reader *r, const yaml_event_t *e, int depth, athi_value **out) {
    const char *name = (const char *)e->data.alias.anchor;
    const anchor *a = r->anchors;
    while (a && strcmp(a->name, name) != 0) a = a->next;
    if (!a) return FAIL_EVENT(r, e, "the alias *%.60s has no anchor &%.60s before it, outside itself", name, name);
    ATH_TRY(count_values(r, a->size, e));
    if (depth + height(a->value) - 1 > ATHI_DEPTH_MAX)
        return FAIL_EVENT(r, e, "lists and maps are nested deeper than %d", ATHI_DEPTH_MAX);
    *out = athi_value_copy(r->arena, a->value);
    return *out ? ATH_OK : ATH_E_NOMEM;
}

static ath_status read_collection(reader *r, const yaml_event_t *e, int depth, athi_value **out) {
    bool list = e->type == YAML_SEQUENCE_START_EVENT;
    if (depth > ATHI_DEPTH_MAX) return FAIL_EVENT(r, e, "lists and maps are nested deeper than %d", ATHI_DEPTH_MAX);
    athi_value *v = *out = athi_value_new(r->arena, list ? ATHI_LIST : ATHI_MAP);
    if (!v) return ATH_E_NOMEM;
    set_place(v, e);
    const char *tag = (const char *)(list ? e->data.sequence_start.tag : e->data.mapping_start.tag);
    ATH_TRY(apply_tag(r, e, tag, v));
    ATH_TRY(list ? read_list(r, depth, v) : read_map(r, depth, v));
    return untag_json(r, out);
}

static ath_status read_node(reader *r, yaml_event_t *e, int depth, athi_value **out) {
    int64_t before = r->values;
    ATH_TRY(count_values(r, 1, e));
    const yaml_char_t *name = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT: return read_alias(r, e, depth, out);
    case YAML_SCALAR_EVENT:
        ATH_TRY(read_scalar(r, e, out));
        name = e->data.scalar.anchor;
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        ATH_TRY(read_collection(r, e, depth, out));
        name = e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor : e->data.mapping_start.anchor;
        break;
    default: return FAIL_EVENT(r, e, "a value was expected");
    }
    return add_anchor(r, (const char *)name, *out, r->values - before);
}

/* ---- documents ----------------------------------------------------------------------------------- */

static ath_status expect_end(reader *r) {
    for (;;) {
        yaml_event_t e;
        ATH_TRY(next_event(r, &e));
        yaml_event_type_t type = e.type;
        ath_status status = ATH_OK;
        if (type == YAML_DOCUMENT_START_EVENT)
            status = FAIL_EVENT(r, &e, "a second document begins here; one file holds one");
        yaml_event_delete(&e);
        if (status != ATH_OK || type == YAML_STREAM_END_EVENT) return status;
    }
}

static ath_status read_document(reader *r, athi_value **out) {
    for (;;) {
        yaml_event_t e;
        ATH_TRY(next_event(r, &e));
        bool before = e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_START_EVENT;
        bool nothing = e.type == YAML_STREAM_END_EVENT;
        ath_status status = ATH_OK;
        if (nothing) {
            *out = athi_value_new(r->arena, ATHI_NULL), status = *out ? ATH_OK : ATH_E_NOMEM;
            if (*out) (*out)->line = (*out)->column = 1;
        }
        if (!before && !nothing) status = read_node(r, &e, 1, out);
        yaml_event_delete(&e);
        if (before) continue;
        return status != ATH_OK || nothing ? status : expect_end(r);
    }
}

ath_status athi_yaml_read(ath_ctx *ctx, athi_arena *arena, const char *name, const char *text, int64_t n,
                          athi_value **out) {
    *out = NULL;
    reader r = {.ctx = ctx, .arena = arena, .name = name, .text = text, .length = n};
    if (n > ATHI_RECIPE_BYTES_MAX)
        return athi_fail(ctx, ATH_E_SYNTAX, "%s: %lld bytes; a recipe has at most %d", name, (long long)n,
                         ATHI_RECIPE_BYTES_MAX);
    if (!yaml_parser_initialize(&r.parser)) return athi_nomem(ctx, (int64_t)sizeof r.parser);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, (size_t)n);
    ath_status status = read_document(&r, out);
    yaml_parser_delete(&r.parser);
    if (status != ATH_OK) *out = NULL;
    return status;
}
