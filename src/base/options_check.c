/* What is wrong with an option, in one sentence: where, what was expected, what came, the nearest name.
 * And the check of the rows themselves, which the tests run on every row that exists. */
#include "base/options_internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

enum { LISTED = 12 }; /* up to so many names are listed in a sentence */

typedef struct sentence {
    char text[640];
} sentence;

static void say(sentence *s, const char *fmt, ...) ATHI_PRINTF(2, 3);
static void say(sentence *s, const char *fmt, ...) {
    size_t n = strlen(s->text);
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(s->text + n, sizeof s->text - n, fmt, args);
    va_end(args);
}

static const char *article(const char *noun) { return strchr("aeiou", noun[0]) ? "an" : "a"; }

void athi_value_place(const athi_value *v, char out[48]) {
    out[0] = 0;
    if (v && v->line > 0) snprintf(out, 48, "line %d, column %d: ", v->line, v->column);
}

const char *athi_where(athi_arena *arena, const char *where, const char *name) {
    return athi_arena_printf(arena, "%s.%s", where, name);
}

/* ---- ranges -------------------------------------------------------------------------------------- */

static bool has_range(const athi_option *o) { return o->min != 0 || o->max != 0; }
static bool has_max(const athi_option *o) { return has_range(o) && o->max >= o->min && isfinite(o->max); }
static bool has_min(const athi_option *o) { return has_range(o) && isfinite(o->min); }

bool athi_option_in_range(const athi_option *o, double number) {
    return isfinite(number) && (!has_min(o) || number >= o->min) && (!has_max(o) || number <= o->max);
}

static void say_range(sentence *s, const athi_option *o) {
    char min[32], max[32];
    athi_format_double(o->min, min);
    athi_format_double(o->max, max);
    if (has_min(o) && has_max(o))
        say(s, " in %s..%s", min, max);
    else if (has_min(o))
        say(s, " >= %s", min);
    else if (has_max(o))
        say(s, " <= %s", max);
}

/* ---- expectations -------------------------------------------------------------------------------- */

static void say_names(sentence *s, const char *const *names) {
    int n = 0;
    while (names[n]) n++;
    if (n > LISTED) {
        say(s, "one of %d names", n);
        return;
    }
    say(s, "%s", n > 1 ? "one of " : "");
    for (int i = 0; i < n; i++) say(s, "%s%s", i ? ", " : "", names[i]);
}

static void say_expected(sentence *s, const athi_option *o) {
    switch (o->type) {
    case ATHI_OPT_INT: say(s, "an integer"); break;
    case ATHI_OPT_FLOAT: say(s, "a number"); break;
    case ATHI_OPT_BOOL:
    case ATHI_OPT_SWITCH: say(s, "true or false"); break;
    case ATHI_OPT_STRING: say(s, "a text"); break;
    case ATHI_OPT_ENUM: say_names(s, o->names); break;
    case ATHI_OPT_INTS:
        if (o->repeat > 1)
            say(s, "an integer or a list of %d integers", o->repeat);
        else
            say(s, "a list of at most 8 integers");
        break;
    case ATHI_OPT_FLOATS: say(s, "a list of numbers"); break;
    case ATHI_OPT_SPEC: say(s, "%s %s", article(o->kind->name), o->kind->name); break;
    case ATHI_OPT_VALUE: say(s, "a value"); break;
    }
    if (o->type != ATHI_OPT_ENUM) say_range(s, o);
    if (athi_option_takes_null(o)) say(s, " or null");
}

static void say_value(sentence *s, const athi_value *v) {
    char number[32];
    if (v->tag) {
        say(s, "the range %.40s, which is not bound to one value here", v->tag);
        return;
    }
    switch (v->type) {
    case ATHI_STRING: say(s, "\"%.60s%s\"", v->text, strlen(v->text) > 60 ? "…" : ""); break;
    case ATHI_BOOL: say(s, "%s", v->boolean ? "true" : "false"); break;
    case ATHI_INT: say(s, "%lld", (long long)v->integer); break;
    case ATHI_FLOAT:
        athi_format_double(v->number, number);
        if (v->text)
            say(s, "%.60s", v->text); /* as it was written */
        else
            say(s, "%s%s", number, isfinite(v->number) && !strpbrk(number, ".e") ? ".0" : "");
        break;
    case ATHI_LIST: say(s, "a list of %lld", (long long)v->n); break;
    default: say(s, "%s", athi_value_type_name(v->type)); break;
    }
}

ath_status athi_option_mismatch(const athi_reading *r, const athi_option *o, const athi_value *v) {
    char place[48];
    sentence s = {""};
    athi_value_place(v, place);
    say_expected(&s, o);
    say(&s, ", got ");
    say_value(&s, v);
    if (o->type == ATHI_OPT_STRING && v->text && !v->tag) say(&s, "; put it in quotes");
    if (o->type == ATHI_OPT_ENUM && v->type == ATHI_STRING) {
        int n = 0;
        while (o->names[n]) n++;
        const char *near = athi_nearest(v->text, o->names, n, sizeof *o->names);
        if (near) say(&s, "; did you mean '%s'?", near);
    }
    return athi_fail(r->ctx, ATH_E_OPTION, "%s: %s%s must be %s", r->where, place, o->name, s.text);
}

/* A legal value that a remedy can show. */
static void say_example(sentence *s, const athi_option *o) {
    double number = o->search_min != o->search_max ? o->search_max : has_min(o) ? o->min : 1;
    char text[32];
    athi_format_double(number, text);
    switch (o->type) {
    case ATHI_OPT_INT:
    case ATHI_OPT_FLOAT: say(s, "%s", text); break;
    case ATHI_OPT_INTS:
    case ATHI_OPT_FLOATS: say(s, o->repeat > 1 ? "%s" : "[%s]", text); break;
    case ATHI_OPT_BOOL:
    case ATHI_OPT_SWITCH: say(s, "true"); break;
    case ATHI_OPT_ENUM: say(s, "%s", o->names[0]); break;
    case ATHI_OPT_SPEC: say(s, "%s", o->kind->rows[0].name ? o->kind->rows[0].name : "…"); break;
    default: say(s, "…"); break;
    }
}

ath_status athi_option_missing(const athi_reading *r, const athi_option *o, const athi_value *map) {
    char place[48];
    sentence s = {""};
    athi_value_place(map, place);
    say_example(&s, o);
    return athi_fail(r->ctx, ATH_E_OPTION, "%s: %s%s is required: write %s: {%s: %s}", r->where, place,
                     o->name, r->row->name, o->name, s.text);
}

ath_status athi_option_unknown(const athi_reading *r, const athi_value *map, int64_t key,
                               const char *const *also) {
    const char *name = map->keys[key], *near = NULL;
    int n = athi_row_options(r->row), others = 0;
    while (also && also[others]) others++;
    char place[48];
    athi_value at = {.line = map->key_lines[key], .column = map->key_columns[key]};
    athi_value_place(&at, place);
    sentence s = {""};
    near = athi_nearest(name, r->row->options, n, sizeof *r->row->options);
    if (!near && also) near = athi_nearest(name, also, others, sizeof *also);
    if (near)
        say(&s, "did you mean '%s'?", near);
    else if (n + others == 0)
        say(&s, "%s takes no options", r->row->name);
    else
        say(&s, "it has: ");
    for (int i = 0; !near && i < n; i++) say(&s, "%s%s", i ? ", " : "", r->row->options[i].name);
    for (int i = 0; !near && i < others; i++) say(&s, "%s%s", n + i ? ", " : "", also[i]);
    return athi_fail(r->ctx, ATH_E_OPTION, "%s: %s'%.60s' is not an option of %s; %s", r->where, place, name,
                     r->row->name, s.text);
}

ath_status athi_options_not_map(const athi_reading *r, const athi_value *v) {
    char place[48];
    sentence s = {""};
    athi_value_place(v, place);
    say_value(&s, v);
    if (athi_row_options(r->row) == 0)
        return athi_fail(r->ctx, ATH_E_OPTION, "%s: %s%s takes no options, got %s; write just %s", r->where,
                         place, r->row->name, s.text, r->row->name);
    return athi_fail(r->ctx, ATH_E_OPTION, "%s: %sexpected a map of options such as {%s: …}, got %s",
                     r->where, place, r->row->options[0].name, s.text);
}

/* The name that a spec gives, or NULL when it has not the form of one. */
static const char *spec_name(const athi_value *v) {
    if (v->tag) return NULL;
    if (v->type == ATHI_STRING) return v->text;
    return v->type == ATHI_MAP && v->n == 1 ? v->keys[0] : NULL;
}

ath_status athi_spec_mismatch(ath_ctx *ctx, const athi_kind *kind, const athi_value *v, const char *where) {
    char place[48];
    sentence s = {""};
    athi_value_place(v, place);
    const char *name = spec_name(v), *gap = where && *where ? ": " : "";
    if (!where) where = "";
    if (!name) {
        say_value(&s, v);
        return athi_fail(ctx, ATH_E_OPTION, "%s%s%sexpected %s %s, by name or as {name: {options}}, got %s",
                         where, gap, place, article(kind->name), kind->name, s.text);
    }
    const char *near = athi_kind_nearest(kind, name);
    if (near)
        say(&s, "did you mean '%s'?", near);
    else
        say(&s, "`athanor list %s` shows them", kind->plural);
    return athi_fail(ctx, ATH_E_OPTION, "%s%s%s'%.60s' is not %s %s; %s", where, gap, place, name,
                     article(kind->name), kind->name, s.text);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

ath_status athi_option_fallback(ath_ctx *ctx, athi_arena *arena, const athi_option *o, athi_value **v) {
    const char *text = o->fallback;
    if (text[0] == '[' || text[0] == '{' || text[0] == '"')
        return athi_json_read(ctx, arena, text, (int64_t)strlen(text), v);
    *v = athi_value_scalar(arena, text);
    return *v ? ATH_OK : ATH_E_NOMEM;
}

static const char *row_fault(const athi_row *row, const athi_option *o, int index) {
    bool ranged = o->type == ATHI_OPT_INT || o->type == ATHI_OPT_FLOAT || o->type == ATHI_OPT_INTS ||
                  o->type == ATHI_OPT_FLOATS;
    bool searched = o->search_min != 0 || o->search_max != 0;
    if (!o->doc || !*o->doc) return "it has no doc";
    if ((unsigned)o->type > ATHI_OPT_VALUE) return "its type is not known";
    if (o->offset < offsetof(athi_opts_head, exact) + sizeof(bool) ||
        o->offset + athi_option_size(o->type) > row->opts_size)
        return "its offset lies outside the option struct";
    if (o->type == ATHI_OPT_ENUM && (!o->names || !o->names[0])) return "an ENUM without names";
    if (o->type == ATHI_OPT_SPEC && !o->kind) return "a SPEC without kind";
    if (o->type == ATHI_OPT_INTS && (o->repeat < 0 || o->repeat > 8)) return "repeat is not in 0..8";
    if (!ranged && (has_range(o) || searched)) return "a range on something that is no number";
    if (searched && (!(o->search_min < o->search_max) || !athi_option_in_range(o, o->search_min) ||
                     !athi_option_in_range(o, o->search_max)))
        return "its search range is empty or outside its legal range";
    if (searched && o->scale == ATHI_LOG && o->search_min <= 0) return "a logarithmic search range from <= 0";
    for (int i = 0; i < index; i++)
        if (strcmp(row->options[i].name, o->name) == 0) return "the name stands twice";
    return NULL;
}

/* The default is read as a recipe's value would be, alone, since others may be required. */
static ath_status check_fallback(ath_ctx *ctx, athi_arena *arena, const athi_row *row, const athi_option *o) {
    const athi_option only[] = {*o, {0}};
    const athi_row alone = {.name = row->name, .options = only, .opts_size = row->opts_size};
    void *opts = athi_arena_alloc(arena, (int64_t)row->opts_size);
    if (!opts) return ATH_E_NOMEM;
    return o->fallback ? athi_options_read(ctx, arena, &alone, NULL, NULL, NULL, opts) : ATH_OK;
}

static ath_status check_row(ath_ctx *ctx, athi_arena *arena, const athi_row *row) {
    if (!row->name || !*row->name) return athi_fail(ctx, ATH_E_OPTION, "a row has no name");
    if (!row->doc || !*row->doc) return athi_fail(ctx, ATH_E_OPTION, "row %s: it has no doc", row->name);
    bool main_found = !row->main_option;
    for (int i = 0; i < athi_row_options(row); i++) {
        const athi_option *o = &row->options[i];
        const char *fault = row_fault(row, o, i);
        if (fault) return athi_fail(ctx, ATH_E_OPTION, "row %s: option %s: %s", row->name, o->name, fault);
        main_found |= row->main_option && strcmp(row->main_option, o->name) == 0;
        ATH_TRY(check_fallback(ctx, arena, row, o));
    }
    if (main_found) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "row %s: main_option %s is none of its options", row->name,
                     row->main_option);
}

ath_status athi_row_check(ath_ctx *ctx, const athi_row *row) {
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = check_row(ctx, arena, row);
    athi_arena_destroy(arena);
    return status;
}

ath_status athi_kind_check(ath_ctx *ctx, const athi_kind *kind) {
    for (const athi_row *row = kind->rows; row->name; row++) {
        if (athi_row_find(kind, row->name) != row)
            return athi_fail(ctx, ATH_E_OPTION, "%s: row %s stands twice", kind->plural, row->name);
        ath_status status = athi_row_check(ctx, row);
        if (status != ATH_OK) return athi_fail_prefix(ctx, status, "%s", kind->plural);
    }
    return ATH_OK;
}
