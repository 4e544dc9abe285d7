/* Suggestions done again from a study alone. A suggestion is a function of what it had seen, and the study says what that
 * was: how many trials had ended (`seen`), in which order they did, and under "starts" what each start searched with:
 *
 *   [{"from": 0, "how": {"version", "sampler", "options", "seed", "max_trials", "jobs", "deterministic", "points", …}}, …]
 *
 * where `from` is the first trial that could be of that start. */
#include "tune/search_internal.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#define STARTS "starts"

/* ---- recording ----------------------------------------------------------------------------------- */

/* FNV-1a of the space as it would be written: enough to see that it has changed. */
static ath_status space_mark(ath_ctx *ctx, athi_arena *arena, const athi_space *space, athi_value **out) {
    athi_value *written = NULL;
    athi_text text = {.ctx = ctx};
    uint64_t hash = 0xcbf29ce484222325u;
    ATH_TRY(athi_space_write(arena, space, &written));
    ath_status status = athi_json_write(&text, written, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    for (int64_t i = 0; status == ATH_OK && i < text.length; i++)
        hash = (hash ^ (unsigned char)text.text[i]) * 0x100000001b3u;
    athi_text_free(&text);
    ATH_TRY(status);
    const char *mark = athi_arena_printf(arena, "%016llx", (unsigned long long)hash);
    *out = mark ? athi_value_string(arena, mark) : NULL;
    return *out ? ATH_OK : ATH_E_NOMEM;
}

static ath_status points_value(athi_arena *arena, const athi_search_opts *o, athi_value **out) {
    if (!(*out = athi_value_new(arena, ATHI_LIST))) return ATH_E_NOMEM;
    for (int64_t i = 0; i < o->n_points; i++) {
        athi_value *row = athi_value_new(arena, ATHI_LIST);
        if (!row) return ATH_E_NOMEM;
        for (int64_t k = 0; k < o->space->n; k++)
            ATH_TRY(athi_value_append(arena, row, athi_value_float(arena, o->points[i * o->space->n + k])));
        ATH_TRY(athi_value_append(arena, *out, row));
    }
    return ATH_OK;
}

/* Does the sampler learn from reports of trials that run? Nobody writes down which of those were there. */
static bool learns_under_way(const athi_search *s) { return s->scheduler && s->scheduler->fidelity; }

static ath_status how_value(const athi_search *s, athi_arena *arena, athi_value **out) {
    const athi_search_opts *o = &s->opts;
    athi_value *options = NULL, *points = NULL, *space = NULL, *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    if (o->sampler->options) ATH_TRY(athi_options_write(arena, o->sampler, o->sampler_opts, true, &options));
    ATH_TRY(points_value(arena, o, &points));
    ATH_TRY(space_mark(s->ctx, arena, o->space, &space));
    const struct {
        const char *key;
        athi_value *value;
    } entries[] = {{"version", athi_value_string(arena, ath_version())},
                   {"space", space},
                   {"sampler", athi_value_string(arena, o->sampler->name)},
                   {"options", options ? options : athi_value_new(arena, ATHI_MAP)},
                   {"seed", athi_value_int(arena, (int64_t)o->seed)},
                   {"max_trials", athi_value_int(arena, o->max_trials)},
                   {"jobs", athi_value_int(arena, o->jobs)},
                   {"deterministic", athi_value_bool(arena, o->deterministic)},
                   {"points", points},
                   {"learns_under_way", athi_value_bool(arena, learns_under_way(s))}};
    for (int i = 0; i < ATHI_COUNT(entries); i++)
        ATH_TRY(athi_value_push(arena, map, entries[i].key, entries[i].value));
    *out = map;
    return ATH_OK;
}

/* What reading gives of what writing made: 1.0 is 1 then. */
static ath_status through_text(ath_ctx *ctx, athi_arena *arena, athi_value **value) {
    athi_text text = {.ctx = ctx};
    ath_status status = athi_json_write(&text, *value, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_json_read(ctx, arena, text.text, text.length, value);
    athi_text_free(&text);
    return status;
}

/* An empty list where there is none, or none that can be read. */
static ath_status read_starts(athi_store *store, ath_ctx *ctx, athi_arena *arena, athi_value **list) {
    const char *text = NULL;
    ATH_TRY(athi_store_get(store, arena, STARTS, &text));
    ath_status status = text ? athi_json_read(ctx, arena, text, (int64_t)strlen(text), list) : ATH_E_SYNTAX;
    if (status == ATH_E_NOMEM) return status;
    if (status != ATH_OK || (*list)->type != ATHI_LIST) *list = athi_value_new(arena, ATHI_LIST);
    return *list ? ATH_OK : ATH_E_NOMEM;
}

static ath_status add_start(athi_search *s, athi_arena *arena, athi_value *list, int64_t from, athi_value *how) {
    athi_value *entry = athi_value_new(arena, ATHI_MAP);
    athi_text text = {.ctx = s->ctx};
    if (!entry) return ATH_E_NOMEM;
    ATH_TRY(athi_value_push(arena, entry, "from", athi_value_int(arena, from)));
    ATH_TRY(athi_value_push(arena, entry, "how", how));
    ATH_TRY(athi_value_append(arena, list, entry));
    ath_status status = athi_json_write(&text, list, 0);
    if (status == ATH_OK) status = text.failed ? ATH_E_NOMEM : athi_store_put(s->opts.store, STARTS, text.text);
    athi_text_free(&text);
    return status;
}

/* Within a group: others may begin at the same time. */
static ath_status record(void *user) {
    athi_search *s = user;
    const athi_trial *const *trials;
    int64_t n;
    athi_value *how = NULL, *list = NULL;
    athi_arena_reset(s->scratch);
    ATH_TRY(how_value(s, s->scratch, &how));
    ATH_TRY(through_text(s->ctx, s->scratch, &how));
    ATH_TRY(read_starts(s->opts.store, s->ctx, s->scratch, &list));
    const athi_value *last = list->n ? athi_value_get(list->items[list->n - 1], "how") : NULL;
    if (last && athi_value_equal(last, how)) return ATH_OK;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    return add_start(s, s->scratch, list, n, how);
}

static void nothing(void *user) { (void)user; }

ath_status athi_search_record(athi_search *s) {
    return athi_store_group(s->opts.store,
                            &(athi_group){.work = record, .undo = nothing, .user = s, .durable = true});
}

/* ---- doing again --------------------------------------------------------------------------------- */

typedef struct replay {
    athi_search search; /* of the start that the trial is of; only what a suggestion needs */
    athi_arena *arena;
    const athi_value *starts;
    int64_t start; /* the one that `search` is of, -1: none yet */
    bool grown, learns_under_way;
    const athi_trial *const *trials;
    const athi_trial **then;  /* as they were */
    const athi_trial **ended; /* in that order */
    int64_t n, n_ended;
} replay;

static int64_t integer_of(const athi_value *map, const char *key, int64_t otherwise) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_INT ? v->integer : otherwise;
}

static bool is_true(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_BOOL && v->boolean;
}

static ath_status read_points(replay *r, const athi_value *list) {
    athi_search_opts *o = &r->search.opts;
    int64_t d = o->space->n;
    o->n_points = list && list->type == ATHI_LIST ? list->n : 0;
    double *points = athi_arena_array(r->arena, o->n_points * d + 1, (int64_t)sizeof *points);
    if (!points) return ATH_E_NOMEM;
    for (int64_t i = 0; i < o->n_points; i++)
        for (int64_t k = 0; k < d; k++) {
            const athi_value *row = list->items[i];
            points[i * d + k] = NAN;
            if (row->type == ATHI_LIST && k < row->n) athi_report_number(row->items[k], &points[i * d + k]);
        }
    o->points = points;
    return ATH_OK;
}

/* Makes the search what it was at a start. */
static ath_status go_back(replay *r, int64_t start) {
    athi_search *s = &r->search;
    const athi_value *how = athi_value_get(r->starts->items[start], "how");
    const athi_value *name = athi_value_get(how, "sampler"), *space = athi_value_get(how, "space");
    athi_value *mark = NULL;
    void *options = NULL;
    ATH_TRY(space_mark(s->ctx, r->arena, s->opts.space, &mark));
    r->start = start;
    r->grown = !space || !athi_value_equal(space, mark);
    r->learns_under_way = is_true(how, "learns_under_way");
    s->opts.sampler = name && name->type == ATHI_STRING ? athi_row_find(&athi_samplers, name->text) : NULL;
    if (!s->opts.sampler)
        return athi_fail(s->ctx, ATH_E_STATE,
                         "the study was searched with a sampler that this version does not have");
    if (s->opts.sampler->opts_size) {
        if (!(options = athi_arena_alloc(r->arena, (int64_t)s->opts.sampler->opts_size))) return ATH_E_NOMEM;
        ATH_TRY(athi_options_read(s->ctx, r->arena, s->opts.sampler, athi_value_get(how, "options"), NULL, name->text,
                                  options));
    }
    s->sampler = s->opts.sampler->impl, s->opts.sampler_opts = options;
    s->opts.seed = (uint64_t)integer_of(how, "seed", 0);
    const int64_t max_trials = integer_of(how, "max_trials", 0), jobs = integer_of(how, "jobs", 1);
    if (max_trials < 1 || jobs < 1 || jobs > INT_MAX)
        return athi_fail(s->ctx, ATH_E_DATA,
                         "the study says of its start %lld: max_trials %lld, jobs %lld; expected both from 1: it was "
                         "changed by hand, and its suggestions cannot be done again",
                         (long long)start, (long long)max_trials, (long long)jobs);
    s->opts.max_trials = max_trials, s->opts.jobs = (int)jobs;
    s->opts.deterministic = is_true(how, "deterministic");
    athi_cache_clear(&s->cache);
    return read_points(r, athi_value_get(how, "points"));
}

static int by_end(const void *pa, const void *pb) {
    const athi_trial *a = *(const athi_trial *const *)pa, *b = *(const athi_trial *const *)pb;
    if (a->finished != b->finished && a->finished && b->finished) return a->finished < b->finished ? -1 : 1;
    if (a->ended != b->ended) return a->ended < b->ended ? -1 : 1; /* another program keeps no order */
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The trials before `t` as they were to its suggestion: the first `seen` that ended have, the others run. */
static ath_status as_they_were(replay *r, const athi_trial *t) {
    athi_search *s = &r->search;
    for (int64_t i = 0; i < t->number; i++) {
        r->then[i] = athi_trial_finished(r->trials[i]) ? athi_search_hidden(s, r->trials[i]) : r->trials[i];
        if (!r->then[i]) return ATH_E_NOMEM;
    }
    int64_t seen = 0;
    for (int64_t i = 0; i < r->n_ended && seen < t->seen; i++) {
        const athi_trial *e = r->ended[i];
        if (e->number >= t->number || e->outside || athi_search_hides(s, e->number, t->number)) continue;
        r->then[e->number] = e;
        seen++;
    }
    return ATH_OK;
}

static bool same_bits(const double *a, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))) return false;
    return true;
}

static bool is_suggestion(const athi_trial *t) {
    return t->seen >= 0 && !t->outside && t->relation != ATHI_RELATION_RESCORE && t->relation != ATHI_RELATION_CHILD;
}

static ath_status do_again(replay *r, const athi_trial *t, double *point, athi_replayed *verdict) {
    athi_search *s = &r->search;
    int64_t start = -1, seen;
    athi_view view;
    *verdict = ATHI_REPLAYED_NONE;
    if (!is_suggestion(t)) return ATH_OK;
    *verdict = ATHI_REPLAYED_UNKNOWN;
    while (start + 1 < r->starts->n && integer_of(r->starts->items[start + 1], "from", INT64_MAX) <= t->number)
        start++;
    if (start < 0) return ATH_OK;
    if (start != r->start) ATH_TRY(go_back(r, start));
    if (r->grown || r->learns_under_way) return ATH_OK;
    athi_arena_reset(s->scratch);
    ATH_TRY(as_they_were(r, t));
    ATH_TRY(athi_search_view(s, r->then, t->number, &view, &seen));
    s->exhausted = false;
    ATH_TRY(athi_search_suggest(s, &view, point));
    *verdict =
        !s->exhausted && same_bits(point, t->point, s->opts.space->n) ? ATHI_REPLAYED_SAME : ATHI_REPLAYED_DIFFERENT;
    return ATH_OK;
}

static ath_status replay_all(replay *r, athi_replay *out) {
    const int64_t d = r->search.opts.space->n;
    r->then = athi_arena_array(r->arena, r->n + 1, (int64_t)sizeof *r->then);
    r->ended = athi_arena_array(r->arena, r->n + 1, (int64_t)sizeof *r->ended);
    out->verdicts = athi_arena_array(r->arena, r->n + 1, (int64_t)sizeof *out->verdicts);
    out->points = athi_arena_array(r->arena, r->n * d + 1, (int64_t)sizeof *out->points);
    if (!r->then || !r->ended || !out->verdicts || !out->points) return ATH_E_NOMEM;
    for (int64_t i = 0; i < r->n; i++)
        if (athi_trial_finished(r->trials[i])) r->ended[r->n_ended++] = r->trials[i];
    qsort((void *)r->ended, (size_t)r->n_ended, sizeof *r->ended, by_end);
    for (int64_t i = 0; i < r->n; i++) {
        ATH_TRY(do_again(r, r->trials[i], out->points + i * d, &out->verdicts[i]));
        out->count[out->verdicts[i]]++;
    }
    return ATH_OK;
}

ath_status athi_search_replay(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_space *space,
                              athi_replay *out) {
    replay r = {.arena = arena, .start = -1};
    athi_value *starts = NULL;
    *out = (athi_replay){0};
    ATH_TRY(read_starts(store, ctx, arena, &starts));
    ATH_TRY(athi_store_trials(store, space, &r.trials, &r.n));
    r.starts = starts, out->n = r.n;
    r.search = (athi_search){.ctx = ctx, .opts = {.space = space, .store = store}, .info = athi_store_info(store)};
    r.search.scratch = athi_arena_create(ctx);
    ath_status status = r.search.scratch ? replay_all(&r, out) : ATH_E_NOMEM;
    athi_cache_clear(&r.search.cache);
    if (r.search.scratch) athi_arena_destroy(r.search.scratch);
    return status;
}
