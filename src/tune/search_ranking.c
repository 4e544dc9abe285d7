/* Trials by value: the best first. With several objectives, by how many layers of the Pareto front lie before them. */
#include "tune/pareto.h"
#include "tune/search_internal.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    const athi_trial *trial;
    double key; /* less is better */
} ranked;

static int best_first(const void *pa, const void *pb) {
    const ranked *a = pa, *b = pb;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->trial->number < b->trial->number ? -1 : a->trial->number > b->trial->number;
}

static ath_status set_keys(const athi_search *s, athi_arena *arena, ranked *list, int64_t n) {
    int m = s->info->n_objectives;
    if (m == 1) {
        for (int64_t i = 0; i < n; i++)
            list[i].key = s->info->maximize[0] ? -list[i].trial->values[0] : list[i].trial->values[0];
        return ATH_OK;
    }
    double *losses = athi_arena_array(arena, n * m, sizeof *losses);
    int64_t *layer = athi_arena_array(arena, n, sizeof *layer);
    if (!losses || !layer) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < m; k++)
            losses[i * m + k] = s->info->maximize[k] ? -list[i].trial->values[k] : list[i].trial->values[k];
    ATH_TRY(athi_pareto_layers(arena, losses, n, m, layer));
    for (int64_t i = 0; i < n; i++) list[i].key = (double)layer[i];
    return ATH_OK;
}

static bool valued(const athi_search *s, const athi_trial *t) {
    for (int k = 0; k < s->info->n_objectives; k++)
        if (isnan(t->values[k])) return false;
    return t->state == ATHI_TRIAL_COMPLETE;
}

ath_status athi_search_ranking(athi_search *s, athi_arena *arena, const athi_trial ***ranking, int64_t *n) {
    const athi_trial *const *trials;
    int64_t total;
    *ranking = NULL, *n = 0;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &total));
    const athi_trial **out = athi_arena_array(arena, total, sizeof(*out));
    ranked *list = athi_arena_array(arena, total, sizeof *list);
    if (!out || !list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < total; i++)
        if (valued(s, trials[i])) list[(*n)++].trial = trials[i];
    ATH_TRY(set_keys(s, arena, list, *n));
    qsort(list, (size_t)*n, sizeof *list, best_first);
    for (int64_t i = 0; i < *n; i++) out[i] = list[i].trial;
    *ranking = out;
    return ATH_OK;
}
