/* Opening a study to look into it, and which of its trials are best. */
#include "report/study.h"

#include "base/file.h"
#include "tune/pareto.h"

#include <math.h>
#include <sys/stat.h>

/* ---- opening ------------------------------------------------------------------------------------- */

static ath_status find_file(athi_study *s, const char *given) {
    struct stat about;
    if (strstr(given, "://")) { /* a database elsewhere: the store knows which there are */
        s->path = athi_arena_strdup(s->arena, given);
        return s->path ? ATH_OK : ATH_E_NOMEM;
    }
    if (stat(given, &about) != 0)
        return athi_fail(s->ctx, ATH_E_NOTFOUND,
                         "%s: there is no such folder or file; give a run's folder or a study.db", given);
    if (S_ISDIR(about.st_mode)) {
        s->folder = athi_arena_strdup(s->arena, given);
        s->path = athi_arena_printf(s->arena, "%s/study.db", given);
        if (!s->path || !s->folder) return ATH_E_NOMEM;
        if (!athi_file_exists(s->path))
            return athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: there is no study.db in it; `athanor run` makes one",
                             given);
        return ATH_OK;
    }
    const char *slash = strrchr(given, '/');
    s->path = athi_arena_strdup(s->arena, given);
    if (slash && strcmp(slash, "/study.db") == 0) s->folder = athi_arena_strndup(s->arena, given, slash - given);
    return s->path ? ATH_OK : ATH_E_NOMEM;
}

/* The space of a command's or a C program's study stands in it and of a recipe that this version does not understand. */
static ath_status stored_space(athi_study *s, const char *text) {
    athi_value *value = NULL;
    athi_space *space = NULL;
    ATH_TRY(athi_json_read(s->ctx, s->arena, text, (int64_t)strlen(text), &value));
    ATH_TRY(athi_space_read(s->ctx, s->arena, value, &space));
    s->space = space;
    return ATH_OK;
}

/* A recipe's follows from the recipe. One that this version does not understand any more is no reason not to look. */
static ath_status recipe_space(athi_study *s) {
    athi_text json = {.ctx = s->ctx};
    ath_status status = athi_json_write(&json, s->info->definition, 0);
    if (status == ATH_OK && json.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) {
        status = athi_recipe_parse(s->ctx, s->info->name, json.text, json.length, NULL, 0, &s->recipe);
        if (status == ATH_OK) s->space = s->recipe->space;
        if (status != ATH_E_NOMEM) status = ATH_OK;
    }
    athi_text_free(&json);
    return status;
}

static ath_status find_space(athi_study *s) {
    const char *text = NULL;
    athi_space *space = NULL;
    ATH_TRY(athi_store_get(s->store, s->arena, "space", &text));
    if (athi_value_get(s->info->definition, "model")) ATH_TRY(recipe_space(s));
    if (s->space) return ATH_OK;
    if (text) return stored_space(s, text);
    ATH_TRY(athi_store_space(s->store, s->arena, &space));
    s->space = space;
    return ATH_OK;
}

ath_status athi_study_open(ath_ctx *ctx, athi_arena *arena, const char *given, const char *name, athi_study *s) {
    *s = (athi_study){.ctx = ctx, .arena = arena};
    ATH_TRY(find_file(s, given));
    ATH_TRY(athi_store_open_existing(ctx, s->path, name, &s->store));
    s->info = athi_store_info(s->store);
    ATH_TRY(find_space(s));
    return athi_study_refresh(s);
}

ath_status athi_study_refresh(athi_study *s) { return athi_store_trials(s->store, s->space, &s->trials, &s->n); }

void athi_study_close(athi_study *s) {
    athi_store_close(s->store);
    athi_recipe_destroy(s->recipe);
    *s = (athi_study){0};
}

/* ---- the best ------------------------------------------------------------------------------------ */

bool athi_study_counts(const athi_study *s, const athi_trial *t) {
    for (int k = 0; k < s->info->n_objectives; k++)
        if (!isfinite(t->values[k])) return false;
    return t->state == ATHI_TRIAL_COMPLETE;
}

bool athi_study_feasible(const athi_trial *t) {
    for (int i = 0; i < t->n_constraints; i++)
        if (!(t->constraints[i] <= 0)) return false;
    return true;
}

static void put_losses(const athi_study *s, const athi_trial *t, double *losses) {
    for (int k = 0; k < s->info->n_objectives; k++) losses[k] = s->info->maximize[k] ? -t->values[k] : t->values[k];
}

/* The front so far against one trial more: whom it beats leaves; equal ones stay side by side. */
static int64_t join_front(const athi_study *s, const athi_trial **front, double *losses, int64_t n,
                          const athi_trial *t) {
    int m = s->info->n_objectives;
    double own[ATHI_OBJECTIVES_MAX];
    put_losses(s, t, own);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (athi_dominates(losses + i * m, own, m)) return n;
    for (int64_t i = 0; i < n; i++) {
        if (athi_dominates(own, losses + i * m, m)) continue;
        front[kept] = front[i];
        memmove(losses + kept++ * m, losses + i * m, (size_t)m * sizeof *losses);
    }
    front[kept] = t;
    memcpy(losses + kept * m, own, (size_t)m * sizeof *losses);
    return kept + 1;
}

static bool repeats(const athi_study *s, const athi_trial *t) {
    return (t->relation == ATHI_RELATION_REPEAT || t->relation == ATHI_RELATION_RESCORE) && t->relative >= 0 &&
           t->relative < s->n;
}

/* The trial whose mean with its repeats is best: the luckiest of several is not. */
static ath_status find_best(const athi_study *s, athi_arena *arena, const athi_trial **best, int64_t *n) {
    double *sum = athi_arena_array(arena, s->n + 1, (int64_t)sizeof *sum), least = INFINITY;
    int64_t *count = athi_arena_array(arena, s->n + 1, (int64_t)sizeof *count);
    if (!sum || !count) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        int64_t owner = repeats(s, t) ? t->relative : i;
        if (!athi_study_counts(s, t)) continue;
        sum[owner] += s->info->maximize[0] ? -t->values[0] : t->values[0];
        count[owner]++;
    }
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (!athi_study_counts(s, t) || !athi_study_feasible(t) || repeats(s, t)) continue;
        double loss = sum[i] / (double)count[i];
        if (*n && !(loss < least)) continue;
        *best = t, *n = 1, least = loss;
    }
    return ATH_OK;
}

ath_status athi_study_best(const athi_study *s, athi_arena *arena, const athi_trial ***best, int64_t *n) {
    int m = s->info->n_objectives;
    *n = 0;
    if (m > ATHI_OBJECTIVES_MAX)
        return athi_fail(s->ctx, ATH_E_UNSUPPORTED, "study '%s' has %d objectives; at most %d can be looked at",
                         s->info->name, m, ATHI_OBJECTIVES_MAX);
    const athi_trial **front = athi_arena_array(arena, s->n + 1, (int64_t)sizeof *front);
    double *losses = athi_arena_array(arena, (s->n + 1) * m, (int64_t)sizeof *losses);
    if (!front || !losses) return ATH_E_NOMEM;
    *best = front;
    if (m == 1) return find_best(s, arena, front, n);
    for (int64_t i = 0; i < s->n; i++)
        if (athi_study_counts(s, s->trials[i]) && athi_study_feasible(s->trials[i]))
            *n = join_front(s, front, losses, *n, s->trials[i]);
    return ATH_OK;
}

bool athi_study_is_best(const athi_trial *const *best, int64_t n, const athi_trial *t) {
    for (int64_t i = 0; i < n; i++)
        if (best[i] == t) return true;
    return false;
}
