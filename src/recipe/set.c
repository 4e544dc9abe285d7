/* --set path=value: one value of a recipe by its path, "train.epochs=3". */
#include "recipe/internal.h"

#include <ctype.h>
#include <stdio.h>

typedef struct setting {
    ath_ctx *ctx;
    athi_arena *arena;
    const char *option, *assignment; /* for the sentences */
} setting;

static ath_status fail(const setting *s, const char *fmt, ...) ATHI_PRINTF(2, 3);
static ath_status fail(const setting *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ath_status status = athi_failv(s->ctx, ATH_E_OPTION, fmt, args);
    va_end(args);
    return athi_fail_prefix(s->ctx, status, "%s %.100s", s->option, s->assignment);
}

static bool list_index(const char *step, int64_t *index) {
    *index = 0;
    for (const char *p = step; *p; p++) {
        if (!isdigit((unsigned char)*p) || p - step > 8) return false;
        *index = *index * 10 + (*p - '0');
    }
    return *step != 0;
}

/* The branches of a !choice, else the value itself. */
static athi_value *inside(athi_value *v) {
    if (athi_range_of(v) != ATHI_RANGE_CHOICE || v->type != ATHI_MAP) return v;
    athi_value *of = athi_value_get(v, "of");
    return of ? of : v;
}

/* Is it a name without options, such as `rmsprop`? */
static bool is_name(const athi_value *v, const char *name) {
    return v->type == ATHI_STRING && !v->tag && strcmp(v->text, name) == 0;
}

/* The name becomes {name: {}}, so that options can stand in it. */
static ath_status open_name(athi_arena *arena, athi_value **v) {
    athi_value *map = athi_value_new(arena, ATHI_MAP), *options = athi_value_new(arena, ATHI_MAP);
    if (!map || !options) return ATH_E_NOMEM;
    ATH_TRY(athi_value_push(arena, map, (*v)->text, options));
    map->line = options->line = (*v)->line, map->column = options->column = (*v)->column;
    *v = map;
    return ATH_OK;
}

/* A branch by its key: what stands behind the key, as in a parameter's path. */
static athi_value **branch_slot(athi_value *list, const char *step) {
    for (int64_t i = 0; i < list->n; i++) {
        athi_value *b = list->items[i], *as = athi_value_get(b, "as");
        if (as && as->text && b->n == 2 && strcmp(as->text, step) == 0)
            for (int64_t k = 0; k < b->n; k++)
                if (strcmp(b->keys[k], "value") == 0) return &b->items[k];
        if (b->type == ATHI_MAP && b->n == 1 && strcmp(b->keys[0], step) == 0) return &b->items[0];
    }
    return NULL;
}

/* Where the value of one step is kept; a key that a map lacks is made. */
static ath_status find_slot(const setting *s, athi_value **at, const char *step, const char *so_far,
                            athi_value ***slot) {
    int64_t i;
    if (is_name(*at, step)) ATH_TRY(open_name(s->arena, at));
    athi_value *v = *at, *in = inside(v);
    if (in->type == ATHI_LIST && list_index(step, &i)) {
        if (i >= in->n) return fail(s, "%s has %lld elements, numbered from 0", so_far, (long long)in->n);
        *slot = &in->items[i];
        return ATH_OK;
    }
    if (in->type == ATHI_LIST) {
        const bool choice = athi_range_of(v) == ATHI_RANGE_CHOICE;
        for (i = 0; choice && i < in->n; i++)
            if (is_name(in->items[i], step)) ATH_TRY(open_name(s->arena, &in->items[i]));
        *slot = choice ? branch_slot(in, step) : NULL;
        if (*slot) return ATH_OK;
        return fail(s, "%s is a list: expected a number%s, got '%.60s'", so_far, choice ? " or a branch's name" : "",
                    step);
    }
    if (in->type != ATHI_MAP)
        return fail(s, "%s is %s: nothing stands inside it", so_far, athi_value_type_name(in->type));
    for (i = 0; i < in->n; i++)
        if (strcmp(in->keys[i], step) == 0) break;
    if (i == in->n) {
        athi_value *made = athi_value_new(s->arena, ATHI_MAP);
        ATH_TRY(athi_value_push(s->arena, in, step, made));
    }
    *slot = &in->items[i];
    return ATH_OK;
}

/* Follows "a.b.c"; the text of the path is cut into its steps. */
static ath_status follow(const setting *s, athi_value **root, char *path, athi_value ***slot) {
    const char *so_far = "the recipe";
    *slot = root;
    for (char *step = path; step;) {
        char *dot = strchr(step, '.');
        if (dot) *dot = 0;
        if (!*step) return fail(s, "the path has an empty step; write a.b=value");
        ATH_TRY(find_slot(s, *slot, step, so_far, slot));
        so_far = step;
        step = dot ? dot + 1 : NULL;
    }
    return ATH_OK;
}

/* Its places are in the assignment, not in the file. */
static void forget_places(athi_value *v) {
    v->line = v->column = 0;
    for (int64_t i = 0; i < v->n; i++) {
        if (v->type == ATHI_MAP) v->key_lines[i] = v->key_columns[i] = 0;
        forget_places(v->items[i]);
    }
}

static int depth_of(const athi_value *v) {
    int most = 0;
    for (int64_t i = 0; i < v->n; i++) {
        int one = depth_of(v->items[i]);
        most = ATHI_MAX(most, one);
    }
    return most + 1;
}

ath_status athi_value_set_path(ath_ctx *ctx, athi_arena *arena, athi_value *root, const char *assignment) {
    return athi_value_set_option(ctx, arena, "--set", root, assignment);
}

ath_status athi_value_set_option(ath_ctx *ctx, athi_arena *arena, const char *option, athi_value *root,
                                 const char *assignment) {
    setting s = {ctx, arena, option, assignment};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) return fail(&s, "expected path=value, such as train.epochs=3");
    char *path = athi_arena_strndup(arena, assignment, equals - assignment);
    const char *name = path ? athi_arena_printf(arena, "%s %.100s", option, path) : NULL;
    if (!path || !name) return ATH_E_NOMEM;
    athi_value *value, **slot = NULL;
    ATH_TRY(athi_yaml_read(ctx, arena, name, equals + 1, (int64_t)strlen(equals + 1), &value));
    forget_places(value);
    ATH_TRY(follow(&s, &root, path, &slot));
    value->line = (*slot)->line, value->column = (*slot)->column; /* where the old one stood */
    *slot = value;
    if (depth_of(root) > ATHI_DEPTH_MAX)
        return fail(&s, "lists and maps would be nested deeper than %d", ATHI_DEPTH_MAX);
    return ATH_OK;
}
