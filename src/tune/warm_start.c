/* Warm starts: the other study is read as any program's study is, its trials by the distributions that stand beside them. */
#include "tune/warm_start.h"

#include "tune/pareto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TAKEN "warm_start"

typedef struct taking {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_store *store;
    const athi_space *space;
    const athi_warm_start *from;
    const athi_study_info *info;
    athi_store *other;
    const athi_study_info *other_info;
    athi_space *other_space;
    const athi_trial **trials; /* of the other one that count, best first */
    int64_t n_trials;
    double *points; /* theirs, in our space */
    int64_t n;
    athi_value *record;
    const char *shown; /* the other study, for sentences */
} taking;

static double *row(const taking *t, int64_t i) { return t->points + i * t->space->n; }

/* ---- the other study ----------------------------------------------------------------------------- */

static ath_status open_other(taking *t) {
    struct stat about;
    const char *path = t->from->study;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) path = athi_arena_printf(t->arena, "%s/study.db", path);
    if (!path) return ATH_E_NOMEM;
    ATH_TRY(athi_store_open_existing(t->ctx, path, t->from->name, &t->other));
    t->other_info = athi_store_info(t->other);
    return athi_store_space(t->other, t->arena, &t->other_space);
}

/* What a study is called whose objectives nobody has named. */
static bool is_unnamed(const athi_study_info *info, int k) {
    char stand_in[24];
    snprintf(stand_in, sizeof stand_in, info->n_objectives == 1 ? "value" : "value_%d", k);
    return !strcmp(info->objective_names[k], stand_in);
}

static ath_status check_objectives(const taking *t) {
    const athi_study_info *a = t->info, *b = t->other_info;
    if (a->n_objectives != b->n_objectives)
        return athi_fail(t->ctx, ATH_E_OPTION, "%s: the study has %d objectives, this one %d", t->shown,
                         b->n_objectives, a->n_objectives);
    for (int k = 0; k < a->n_objectives; k++) {
        if (strcmp(a->objective_names[k], b->objective_names[k]) && !is_unnamed(b, k))
            return athi_fail(t->ctx, ATH_E_OPTION, "%s: the objective of the study is '%s', of this one '%s'",
                             t->shown, b->objective_names[k], a->objective_names[k]);
        if (a->maximize[k] != b->maximize[k])
            return athi_fail(t->ctx, ATH_E_OPTION, "%s: the study makes '%s' %s, this one %s", t->shown,
                             a->objective_names[k], b->maximize[k] ? "large" : "small",
                             a->maximize[k] ? "large" : "small");
    }
    return ATH_OK;
}

/* Points come first or not at all; observations may come at any time. */
static ath_status check_beginning(const taking *t) {
    const athi_trial *const *trials;
    int64_t n, begun = 0;
    if (t->from->observations) return ATH_OK;
    ATH_TRY(athi_store_trials(t->store, t->space, &trials, &n));
    for (int64_t i = 0; i < n; i++) begun += trials[i]->seen >= 0;
    if (!begun) return ATH_OK;
    return athi_fail(t->ctx, ATH_E_STATE,
                     "%s: the search has begun already, so there are no first points; take what is known there as "
                     "observations, or start over with --overwrite",
                     t->shown);
}

/* Observations are of the whole space: a value that was chosen elsewhere without one of its parameters is of another
 * function. */
static ath_status check_spaces(const taking *t) {
    const athi_space *a = t->space, *b = t->other_space;
    int64_t common = 0;
    for (int64_t i = 0; i < a->n; i++) {
        const bool there = athi_space_find(b, a->params[i].name) >= 0;
        common += there;
        if (!there && t->from->observations)
            return athi_fail(
                t->ctx, ATH_E_OPTION,
                "%s: the study has no parameter '%s', so its values are not of this space; take its points", t->shown,
                a->params[i].name);
    }
    for (int64_t i = 0; i < b->n && t->from->observations; i++)
        if (athi_space_find(a, b->params[i].name) < 0)
            return athi_fail(t->ctx, ATH_E_OPTION,
                             "%s: the study has a parameter '%s' more, so its values are not of this space; take its "
                             "points",
                             t->shown, b->params[i].name);
    if (common) return ATH_OK;
    return athi_fail(t->ctx, ATH_E_OPTION, "%s: none of the study's parameters is one of this space", t->shown);
}

/* ---- its trials ---------------------------------------------------------------------------------- */

static bool counts(const taking *t, const athi_trial *trial) {
    for (int k = 0; k < t->info->n_objectives; k++)
        if (isnan(trial->values[k])) return false;
    for (int i = 0; i < trial->n_constraints && !t->from->observations; i++)
        if (!(trial->constraints[i] <= 0)) return false;
    return trial->state == ATHI_TRIAL_COMPLETE;
}

typedef struct ranked {
    const athi_trial *trial;
    int64_t layer;
    double loss; /* of the first objective */
} ranked;

static int by_rank(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return x->trial->number < y->trial->number ? -1 : 1;
}

/* Best first; of several objectives the front, then the next. */
static ath_status rank_trials(taking *t) {
    const athi_trial *const *all;
    int64_t n_all, n = 0, m = t->info->n_objectives;
    ATH_TRY(athi_store_trials(t->other, t->other_space, &all, &n_all));
    ranked *list = athi_arena_array(t->arena, n_all + 1, (int64_t)sizeof *list);
    double *losses = athi_arena_array(t->arena, (n_all + 1) * m, (int64_t)sizeof *losses);
    int64_t *layer = athi_arena_array(t->arena, n_all + 1, (int64_t)sizeof *layer);
    t->trials = athi_arena_array(t->arena, n_all + 1, (int64_t)sizeof *t->trials);
    if (!list || !losses || !layer || !t->trials) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n_all; i++) {
        if (!counts(t, all[i])) continue;
        for (int64_t k = 0; k < m; k++)
            losses[n * m + k] = t->info->maximize[k] ? -all[i]->values[k] : all[i]->values[k];
        list[n++] = (ranked){.trial = all[i]};
    }
    if (m > 1) ATH_TRY(athi_pareto_layers(t->arena, losses, n, (int)m, layer));
    for (int64_t i = 0; i < n; i++) list[i].layer = layer[i], list[i].loss = losses[i * m];
    /* All observations come in their own order, which samplers may read as time. */
    if (!t->from->observations || t->from->trials) qsort(list, (size_t)n, sizeof *list, by_rank);
    for (int64_t i = 0; i < n; i++) t->trials[i] = list[i].trial;
    t->n_trials = n;
    return ATH_OK;
}

/* ---- their points -------------------------------------------------------------------------------- */

/* `map` holds what is known of a point: what our space does not know is left away. *fits: it lies inside, and is whole
 * where it must be. */
static ath_status read_point(const taking *t, const athi_value *map, bool whole, double *point, bool *fits) {
    const athi_space *space = t->space;
    *fits = true;
    for (int64_t i = 0; i < space->n; i++) point[i] = NAN;
    for (int64_t i = 0; i < space->n && *fits; i++) {
        const athi_value *v = athi_value_get(map, space->params[i].name);
        ath_status status = v ? athi_param_value_read(t->ctx, &space->params[i], v, &point[i]) : ATH_OK;
        if (status == ATH_E_NOMEM) return status;
        *fits = status == ATH_OK;
    }
    athi_space_normalize(space, point);
    for (int64_t i = 0; i < space->n && whole && *fits; i++)
        *fits = isnan(point[i]) || athi_value_get(map, space->params[i].name);
    *fits = *fits && athi_space_allows(space, point);
    return ATH_OK;
}

static bool is_known(const taking *t, const double *point) {
    for (int64_t i = 0; i < t->n; i++) {
        bool same = true;
        for (int64_t k = 0; k < t->space->n && same; k++)
            same = row(t, i)[k] == point[k] || (isnan(row(t, i)[k]) && isnan(point[k]));
        if (same) return true;
    }
    return false;
}

static ath_status make_room(taking *t, int64_t n) {
    int64_t cells;
    if (!athi_mul(n, t->space->n, &cells)) return ATH_E_NOMEM;
    t->points = athi_arena_array(t->arena, cells + 1, (int64_t)sizeof *t->points);
    return t->points ? ATH_OK : ATH_E_NOMEM;
}

/* The trials that remain are those whose points are taken, in the same order. */
static ath_status take_points(taking *t) {
    const int64_t most = t->from->trials ? t->from->trials : t->n_trials;
    ATH_TRY(make_room(t, t->n_trials));
    for (int64_t i = 0; i < t->n_trials && t->n < most; i++) {
        athi_value *map = NULL;
        bool fits;
        ATH_TRY(athi_space_point_write(t->arena, t->other_space, t->trials[i]->point, &map));
        ATH_TRY(read_point(t, map, t->from->observations, row(t, t->n), &fits));
        if (!fits || (!t->from->observations && is_known(t, row(t, t->n)))) continue;
        t->trials[t->n++] = t->trials[i];
    }
    if (t->n) return ATH_OK;
    return athi_fail(t->ctx, ATH_E_OPTION, "%s: none of the study's %lld complete trials lies in this space",
                     t->shown, (long long)t->n_trials);
}

/* ---- the record ---------------------------------------------------------------------------------- */

static ath_status describe(const taking *t, athi_value **out) {
    athi_value *map = athi_value_new(t->arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(t->arena, map, "study", athi_value_string(t->arena, t->shown)));
    if (t->from->name) ATH_TRY(athi_value_set(t->arena, map, "name", athi_value_string(t->arena, t->from->name)));
    ATH_TRY(athi_value_set(t->arena, map, "trials", athi_value_int(t->arena, t->from->trials)));
    ATH_TRY(athi_value_set(t->arena, map, "as",
                           athi_value_string(t->arena, t->from->observations ? "observations" : "points")));
    *out = map;
    return ATH_OK;
}

static ath_status write_record(taking *t, athi_text *text) {
    athi_value *map = athi_value_new(t->arena, ATHI_MAP), *from = NULL, *list = athi_value_new(t->arena, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    ATH_TRY(describe(t, &from));
    for (int64_t i = 0; i < t->n && !t->from->observations; i++) {
        athi_value *point = NULL;
        ATH_TRY(athi_space_point_write(t->arena, t->space, row(t, i), &point));
        ATH_TRY(athi_value_append(t->arena, list, point));
    }
    ATH_TRY(athi_value_set(t->arena, map, "from", from));
    ATH_TRY(athi_value_set(t->arena, map, "points", list));
    ATH_TRY(athi_json_write(text, map, 0));
    return text->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status read_record(taking *t) {
    const char *text = NULL;
    ATH_TRY(athi_store_get(t->store, t->arena, TAKEN, &text));
    return text ? athi_json_read(t->ctx, t->arena, text, (int64_t)strlen(text), &t->record) : ATH_OK;
}

/* A point that the space has outgrown in the meantime cannot be: spaces only grow. */
static ath_status use_record(taking *t) {
    const athi_value *list = athi_value_get(t->record, "points"), *was = athi_value_get(t->record, "from");
    athi_value *is = NULL;
    if (t->from) ATH_TRY(describe(t, &is));
    if (is && !athi_value_equal(is, was)) {
        const athi_value *study = athi_value_get(was, "study");
        return athi_fail(t->ctx, ATH_E_STATE,
                         "the study was begun with what %s knew, and begins once: leave warm_start as it was, or out",
                         study && study->type == ATHI_STRING ? study->text : "another one");
    }
    ATH_TRY(make_room(t, list ? list->n : 0));
    for (int64_t i = 0; list && i < list->n; i++) {
        bool fits;
        ATH_TRY(read_point(t, list->items[i], false, row(t, t->n), &fits));
        t->n += fits;
    }
    return ATH_OK;
}

/* ---- taking -------------------------------------------------------------------------------------- */

static ath_status add_observation(const taking *t, int64_t i) {
    const athi_trial *trial = t->trials[i];
    int64_t number;
    athi_beginning beginning = {.point = row(t, i), .seen = -1 /* no suggestion of ours */};
    athi_outcome outcome = {.state = ATHI_TRIAL_COMPLETE,
                            .values = trial->values,
                            .last_values = trial->values,
                            .constraints = trial->constraints,
                            .n_constraints = trial->n_constraints};
    ATH_TRY(athi_store_begin(t->store, t->space, &beginning, &number));
    return athi_store_finish(t->store, number, &outcome);
}

/* One change of the study, whatever is killed; another driver may have made it meanwhile. */
static ath_status record(void *user) {
    taking *t = user;
    athi_text text = {.ctx = t->ctx};
    ATH_TRY(read_record(t));
    if (t->record) return ATH_OK;
    ath_status status = write_record(t, &text);
    if (status == ATH_OK) status = athi_store_put(t->store, TAKEN, text.text);
    athi_text_free(&text);
    for (int64_t i = 0; i < t->n && t->from->observations && status == ATH_OK; i++) status = add_observation(t, i);
    return status;
}

static void undo(void *user) { ((taking *)user)->record = NULL; }

static ath_status take_from_other(taking *t) {
    ATH_TRY(check_beginning(t));
    ATH_TRY(check_objectives(t));
    ATH_TRY(check_spaces(t));
    ATH_TRY(rank_trials(t));
    ATH_TRY(take_points(t));
    ATH_TRY(athi_store_group(t->store, &(athi_group){record, undo, t, .durable = true}));
    t->n = 0;
    ATH_TRY(read_record(t));
    return use_record(t);
}

ath_status athi_warm_start_take(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_space *space,
                                const athi_warm_start *from, double **points, int64_t *n) {
    taking t = {
        .ctx = ctx, .arena = arena, .store = store, .space = space, .from = from, .info = athi_store_info(store)};
    if (from && !(t.shown = athi_store_shown(arena, from->study))) return ATH_E_NOMEM;
    ATH_TRY(read_record(&t));
    ath_status status = ATH_OK;
    if (t.record) {
        status = use_record(&t);
    } else if (from) {
        status = open_other(&t);
        if (status == ATH_OK) status = take_from_other(&t);
        athi_store_close(t.other);
    }
    *points = t.points, *n = t.n;
    return status == ATH_E_OPTION || status == ATH_E_STATE || status == ATH_E_NOTFOUND
               ? athi_fail_prefix(ctx, status, "warm_start")
               : status;
}
