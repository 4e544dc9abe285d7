/* The study store: opening, making or comparing the study, and its named texts. Trials are changed in store_write.c. */
#include "tune/store_internal.h"

#define METRIC_NAMES "study:metric_names" /* Optuna's own attribute */
#define DEFINITION   "definition"
#define SPACE        "space"

/* ---- the study ----------------------------------------------------------------------------------- */

static ath_status get_json(athi_store *s, const char *text, athi_value **out) {
    ath_status status = athi_json_read(s->ctx, s->arena, text, (int64_t)strlen(text), out);
    return status == ATH_E_SYNTAX ? athi_fail_prefix(s->ctx, ATH_E_DATA, "%s: the study's own record", s->path)
                                  : status;
}

/* As it will be read back: what is compared has gone through the same writing. */
static ath_status normal_form(athi_store *s, const athi_value *definition, char **text, athi_value **out) {
    athi_text t = {.ctx = s->ctx};
    athi_value empty = {.type = ATHI_MAP};
    ath_status status = athi_json_write(&t, definition ? definition : &empty, 0);
    if (status == ATH_OK && t.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) {
        *text = athi_arena_strdup(s->arena, t.text);
        status = *text ? get_json(s, *text, out) : ATH_E_NOMEM;
    }
    athi_text_free(&t);
    return status;
}

static const char *short_form(athi_store *s, const athi_value *v) {
    if (!v) return "absent";
    athi_text t = {.ctx = s->ctx};
    const char *text =
        athi_json_write(&t, v, 0) == ATH_OK && !t.failed ? athi_arena_strndup(s->scratch, t.text, 60) : NULL;
    athi_text_free(&t);
    return text ? text : "…";
}

/* The sentence of the first difference, depth first in the stored order. */
static ath_status differ(athi_store *s, const char *path, const athi_value *was, const athi_value *is) {
    if (was && is && athi_value_equal(was, is)) return ATH_OK;
    bool maps = was && is && was->type == ATHI_MAP && is->type == ATHI_MAP;
    bool lists = was && is && was->type == ATHI_LIST && is->type == ATHI_LIST && was->n == is->n;
    if (!maps && !lists)
        return athi_fail(s->ctx, ATH_E_STATE,
                         "%s: the study is of another definition: %s was %s, is %s; change it back, choose another "
                         "folder (--dir, or --set name=NAME), or start over with --overwrite",
                         s->path, path, short_form(s, was), short_form(s, is));
    for (int64_t i = 0; i < was->n; i++) {
        const char *sub = maps ? athi_arena_printf(s->scratch, "%s%s%s", path, *path ? "." : "", was->keys[i])
                               : athi_arena_printf(s->scratch, "%s%s%lld", path, *path ? "." : "", (long long)i);
        if (!sub) return ATH_E_NOMEM;
        ATH_TRY(differ(s, sub, was->items[i], maps ? athi_value_get(is, was->keys[i]) : is->items[i]));
    }
    for (int64_t i = 0; maps && i < is->n; i++)
        if (!athi_value_get(was, is->keys[i])) {
            const char *sub = athi_arena_printf(s->scratch, "%s%s%s", path, *path ? "." : "", is->keys[i]);
            return sub ? differ(s, sub, NULL, is->items[i]) : ATH_E_NOMEM;
        }
    return ATH_OK;
}

static ath_status find_study(athi_store *s, const char *name, bool *found) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_STUDY_FIND, &q, "t", name));
    ATH_TRY(athi_sql_step(s, q, found));
    if (!*found) return ATH_OK;
    s->study_id = athi_sql_int(q, 0);
    const char *text = athi_sql_text(q, 1);
    s->info.name = athi_arena_strdup(s->arena, text ? text : "");
    athi_sql_reset(q);
    return s->info.name ? ATH_OK : ATH_E_NOMEM;
}

static ath_status read_directions(athi_store *s) {
    bool maximize[64];
    int n = 0;
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_DIRECTIONS, &q, "i", s->study_id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) break;
        const char *text = athi_sql_text(q, 0);
        if (n < ATHI_COUNT(maximize)) maximize[n++] = text && !strcmp(text, "MAXIMIZE");
    }
    if (!n) return athi_fail(s->ctx, ATH_E_DATA, "%s: study '%s' has no objective", s->path, s->info.name);
    s->info.n_objectives = n;
    s->info.maximize = athi_arena_memdup(s->arena, maximize, n * (int64_t)sizeof(bool));
    return s->info.maximize ? ATH_OK : ATH_E_NOMEM;
}

/* One text of a two-column table, copied; NULL without a row. */
static ath_status get_text(athi_store *s, athi_arena *arena, athi_sql which, const char *key, const char **out) {
    *out = NULL;
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, which, &q, "it", s->study_id, key));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row) return ATH_OK;
    const char *text = athi_sql_text(q, 0);
    *out = text ? athi_arena_strdup(arena, text) : NULL;
    athi_sql_reset(q);
    return text && !*out ? ATH_E_NOMEM : ATH_OK;
}

/* Names as Optuna keeps them; without, "value" or "value_<i>" stand in. */
static ath_status read_names(athi_store *s) {
    int n = s->info.n_objectives;
    const char **names = athi_arena_array(s->arena, n, sizeof(*names));
    if (!names) return ATH_E_NOMEM;
    const char *text = NULL;
    athi_value *list = NULL;
    ATH_TRY(get_text(s, s->arena, SQL_STUDY_ATTR, METRIC_NAMES, &text));
    if (text) ATH_TRY(get_json(s, text, &list));
    for (int i = 0; i < n; i++) {
        bool given = list && list->type == ATHI_LIST && i < list->n && list->items[i]->type == ATHI_STRING;
        names[i] = given ? list->items[i]->text : (n == 1 ? "value" : athi_arena_printf(s->arena, "value_%d", i));
        if (!names[i]) return ATH_E_NOMEM;
    }
    s->info.objective_names = names;
    return ATH_OK;
}

static ath_status read_study(athi_store *s) {
    ATH_TRY(read_directions(s));
    ATH_TRY(read_names(s));
    const char *text = NULL;
    athi_value *definition = NULL;
    ATH_TRY(get_text(s, s->arena, SQL_STUDY_GET, DEFINITION, &text));
    if (text) ATH_TRY(get_json(s, text, &definition));
    s->info.definition = definition;
    return athi_edits_read(s);
}

static ath_status insert_names(athi_store *s, const athi_study_info *info) {
    athi_value list = {.type = ATHI_LIST};
    for (int i = 0; i < info->n_objectives; i++)
        ATH_TRY(athi_value_append(s->arena, &list, athi_value_string(s->arena, info->objective_names[i])));
    athi_text t = {.ctx = s->ctx};
    ath_status status = athi_json_write(&t, &list, 0);
    if (status == ATH_OK)
        status =
            t.failed ? ATH_E_NOMEM : athi_sql_run(s, SQL_STUDY_ATTR_INSERT, "itt", s->study_id, METRIC_NAMES, t.text);
    athi_text_free(&t);
    return status;
}

static ath_status insert_study(athi_store *s, const athi_study_info *info) {
    ATH_TRY(athi_sql_insert(s, SQL_STUDY_INSERT, &s->study_id, "t", info->name));
    for (int i = 0; i < info->n_objectives; i++)
        ATH_TRY(athi_sql_run(s, SQL_DIRECTION_INSERT, "tii", info->maximize[i] ? "MAXIMIZE" : "MINIMIZE", s->study_id,
                             (int64_t)i));
    return insert_names(s, info);
}

static ath_status compare_study(athi_store *s, const athi_study_info *info) {
    if (s->info.n_objectives != info->n_objectives)
        return athi_fail(s->ctx, ATH_E_STATE,
                         "%s: study '%s' has %d objectives, expected %d; choose another folder or "
                         "start over with --overwrite",
                         s->path, info->name, s->info.n_objectives, info->n_objectives);
    for (int i = 0; i < info->n_objectives; i++)
        if (s->info.maximize[i] != info->maximize[i])
            return athi_fail(s->ctx, ATH_E_STATE,
                             "%s: study '%s' was started to %s '%s', is now to %s it; choose "
                             "another folder or start over with --overwrite",
                             s->path, info->name, s->info.maximize[i] ? "maximize" : "minimize",
                             info->objective_names[i], info->maximize[i] ? "maximize" : "minimize");
    return ATH_OK;
}

static ath_status keep_space(athi_store *s, const athi_space *space) {
    athi_value *value = NULL;
    athi_text text = {.ctx = s->ctx};
    if (!space) return ATH_OK;
    athi_arena_reset(s->scratch);
    ATH_TRY(athi_space_write(s->scratch, space, &value));
    ath_status status = athi_json_write(&text, value, 0);
    if (status == ATH_OK)
        status = text.failed ? ATH_E_NOMEM : athi_sql_run(s, SQL_STUDY_PUT, "itt", s->study_id, SPACE, text.text);
    athi_text_free(&text);
    return status;
}

/* Another definition: an error, unless it is the same with a larger space. */
static ath_status redefine(athi_store *s, const athi_study_info *info, const athi_value *definition) {
    athi_growth growth = {.path = "", .before = s->info.definition, .now = definition};
    ath_status status = info->grown ? info->grown(info->user, s->arena, s->info.definition, &growth) : ATH_OK;
    if (status == ATH_OK && !growth.was) return differ(s, growth.path, growth.before, growth.now);
    if (status == ATH_OK) status = athi_store_grow(s, info, &growth);
    if (status != ATH_E_STATE) return status;
    const char *difference = athi_arena_strdup(s->arena, ath_errmsg(s->ctx));
    if (!difference) return ATH_E_NOMEM;
    return athi_fail(s->ctx, status,
                     "%s: the space of a study can only grow: %s; change it back, choose another folder (--dir, or "
                     "--set name=NAME), or start over with --overwrite",
                     s->path, difference);
}

/* A study of Optuna without a definition gets ours. */
static ath_status define(athi_store *s, const athi_study_info *info, const athi_value *definition, const char *text) {
    if (!info->definition || (s->info.definition && athi_value_equal(s->info.definition, definition))) return ATH_OK;
    if (s->info.definition) ATH_TRY(redefine(s, info, definition));
    ATH_TRY(athi_sql_run(s, SQL_STUDY_PUT, "itt", s->study_id, DEFINITION, text));
    return keep_space(s, info->space);
}

/* A folder holds one run: a second study would write into the trials of the first. */
static ath_status check_alone(athi_store *s, const char *name) {
    athi_rows *q;
    bool other;
    ATH_TRY(athi_sql_query(s, SQL_STUDY_FIND, &q, "t", (const char *)NULL));
    ATH_TRY(athi_sql_step(s, q, &other));
    if (!other) return ATH_OK;
    ath_status status = athi_fail(s->ctx, ATH_E_STATE,
                                  "%s: the folder holds the run '%s', and '%s' is another; choose another folder "
                                  "(--dir), or start over with --overwrite",
                                  s->path, athi_sql_text(q, 1), name);
    athi_sql_reset(q);
    return status;
}

/* Within one transaction: finds and compares, or makes. */
static ath_status join(athi_store *s, void *args) {
    const athi_study_info *info = *(const athi_study_info **)args;
    bool found = false;
    char *text = NULL;
    athi_value *definition = NULL;
    ATH_TRY(normal_form(s, info->definition, &text, &definition));
    ATH_TRY(find_study(s, info->name, &found));
    if (!found && info->alone) ATH_TRY(check_alone(s, info->name));
    if (!found) ATH_TRY(insert_study(s, info));
    if (!found) ATH_TRY(find_study(s, info->name, &found));
    ATH_TRY(read_study(s));
    ATH_TRY(compare_study(s, info));
    if (!s->info.definition) {
        ATH_TRY(insert_names(s, info));
        ATH_TRY(read_names(s));
    }
    ATH_TRY(define(s, info, definition, text));
    if (info->definition) s->info.definition = definition;
    return ATH_OK;
}

/* scheme://user:password@host/…?password=…: what stands for it in sentences. A file's path stays as it is. */
static char *without_password(ath_ctx *ctx, const char *url) {
    athi_text out = {.ctx = ctx};
    const char *host = strstr(url, "://"), *p = url;
    const char *user = host && athi_database_of(url, &p) != &athi_sqlite ? host + 3 : NULL;
    const char *at = NULL, *colon = user ? user + strcspn(user, ":@/?") : NULL;
    for (const char *c = user; c && *c && *c != '?'; c++)
        if (*c == '@') at = c; /* the last one: a password may hold another by mistake */
    p = url;
    if (at && *colon == ':' && colon < at) {
        athi_text_printf(&out, "%.*s:***", (int)(colon - url), url);
        p = at;
    }
    static const char key[] = "password=";
    for (const char *found; user && (found = strstr(p, key)); p = found + strcspn(found, "&"))
        athi_text_printf(&out, "%.*s%s***", (int)(found - p), p, key);
    athi_text_printf(&out, "%s", p);
    if (out.failed) athi_text_free(&out);
    return out.text;
}

static ath_status create(ath_ctx *ctx, const char *path, athi_store **out) {
    athi_store *s = athi_alloc(ctx, sizeof(*s));
    const char *place = NULL;
    *out = NULL;
    if (!s) return ATH_E_NOMEM;
    s->ctx = ctx;
    ath_status status = athi_database_check(ctx, path);
    if (status != ATH_OK) return athi_store_close(s), status;
    s->patience_ms = ATHI_PATIENCE_MS;
    s->data_version = -1;
    s->arena = athi_arena_create(ctx);
    s->scratch = s->arena ? athi_arena_create(ctx) : NULL;
    s->database = athi_database_of(path, &place);
    s->place = s->scratch ? athi_strdup(ctx, place) : NULL;
    s->path = s->place ? without_password(ctx, place) : NULL;
    if (!s->path) return athi_store_close(s), ATH_E_NOMEM;
    *out = s;
    return ATH_OK;
}

const char *athi_store_shown(athi_arena *arena, const char *url) {
    char *text = without_password(athi_arena_ctx(arena), url);
    const char *shown = text ? athi_arena_strdup(arena, text) : NULL;
    athi_free(athi_arena_ctx(arena), text);
    return shown;
}

ath_status athi_store_open(ath_ctx *ctx, const char *path, const athi_study_info *info, athi_store **store) {
    athi_store *s = NULL;
    *store = NULL;
    ATH_TRY(create(ctx, path, &s));
    ath_status status = s->database->open(s, true);
    if (status == ATH_OK) status = athi_sql_transaction(s, ATHI_SQL_DURABLE, join, &info);
    if (status != ATH_OK) return athi_store_close(s), status;
    *store = s;
    return ATH_OK;
}

/* The sentence when the study is not there, or when it is unclear which is meant. */
static ath_status which_study(athi_store *s, const char *wanted) {
    athi_text names = {.ctx = s->ctx};
    int64_t n = 0;
    athi_rows *q;
    ath_status status = athi_sql_query(s, SQL_STUDY_FIND, &q, "t", (const char *)NULL);
    for (bool row = true; status == ATH_OK;) {
        status = athi_sql_step(s, q, &row);
        if (status != ATH_OK || !row) break;
        athi_text_printf(&names, "%s'%s'", n++ ? ", " : "", athi_sql_text(q, 1));
    }
    if (status == ATH_OK && names.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK && !n)
        status = athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: the database holds no study", s->path);
    else if (status == ATH_OK && wanted)
        status =
            athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: there is no study '%s'; it holds %s", s->path, wanted, names.text);
    else if (status == ATH_OK && n > 1)
        status = athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: name one of its studies: %s", s->path, names.text);
    athi_text_free(&names);
    return status;
}

static ath_status look(athi_store *s, const char *study) {
    bool found = false;
    ATH_TRY(s->database->open(s, false));
    if (!study) ATH_TRY(which_study(s, NULL));
    ATH_TRY(find_study(s, study, &found));
    return found ? read_study(s) : which_study(s, study);
}

ath_status athi_store_open_existing(ath_ctx *ctx, const char *path, const char *study, athi_store **store) {
    athi_store *s = NULL;
    *store = NULL;
    ATH_TRY(create(ctx, path, &s));
    ath_status status = look(s, study);
    if (status != ATH_OK) return athi_store_close(s), status;
    *store = s;
    return ATH_OK;
}

void athi_store_close(athi_store *s) {
    if (!s) return;
    ath_ctx *ctx = s->ctx;
    if (s->database) s->database->close(s);
    athi_store_forget(s);
    athi_free(ctx, s->cached);
    athi_free(ctx, (void *)s->view);
    athi_free(ctx, s->path);
    athi_free(ctx, s->place);
    if (s->scratch) athi_arena_destroy(s->scratch);
    if (s->arena) athi_arena_destroy(s->arena);
    athi_free(ctx, s);
}

void athi_store_patience(athi_store *s, int milliseconds) { s->patience_ms = milliseconds; }

const athi_study_info *athi_store_info(const athi_store *s) { return &s->info; }

/* ---- texts of the study -------------------------------------------------------------------------- */

typedef struct named {
    const char *key, *value;
} named;

static ath_status write_text(athi_store *s, void *args) {
    const named *text = args;
    return text->value ? athi_sql_run(s, SQL_STUDY_PUT, "itt", s->study_id, text->key, text->value)
                       : athi_sql_run(s, SQL_STUDY_DELETE, "it", s->study_id, text->key);
}

ath_status athi_store_put(athi_store *s, const char *key, const char *value) {
    if (!strcmp(key, DEFINITION))
        return athi_fail(s->ctx, ATH_E_STATE, "%s: the study's definition is written once, when it is made", s->path);
    return athi_sql_transaction(s, ATHI_SQL_DURABLE, write_text, &(named){key, value});
}

ath_status athi_store_get(athi_store *s, athi_arena *arena, const char *key, const char **value) {
    return get_text(s, arena, SQL_STUDY_GET, key, value);
}
