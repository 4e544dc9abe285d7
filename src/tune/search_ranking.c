/* Trials by value: the best first. With several objectives, by how many layers of the Pareto front lie before them. */
#include "tune/observed.h"
#include "tune/pareto.h"
#include "tune/posterior.h"
#include "tune/search_internal.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    const athi_trial *trial;
    double violation, key; /* less is better in both */
} ranked;

static int best_first(const void *pa, const void *pb) {
    const ranked *a = pa, *b = pb;
    if (a->violation != b->violation) return a->violation < b->violation ? -1 : 1;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->trial->number < b->trial->number ? -1 : a->trial->number > b->trial->number;
}

static bool repeats(const athi_trial *t) {
    return t->relation == ATHI_RELATION_REPEAT || t->relation == ATHI_RELATION_RESCORE;
}

/* What a trial and its repeats are worth together: the luckiest of several is not the best. */
static double mean_value(const athi_trial *const *trials, int64_t total, const athi_trial *t) {
    double sum = t->values[0], n = 1;
    for (int64_t i = t->number + 1; i < total; i++)
        if (repeats(trials[i]) && trials[i]->relative == t->number && trials[i]->state == ATHI_TRIAL_COMPLETE)
            sum += trials[i]->values[0], n++;
    return sum / n;
}

static bool any_repeats(const athi_trial *const *trials, int64_t total) {
    for (int64_t i = 0; i < total; i++)
        if (repeats(trials[i])) return true;
    return false;
}

static ath_status set_keys(const athi_search *s, athi_arena *arena, const athi_trial *const *trials, int64_t total,
                           ranked *list, int64_t n) {
    int m = s->info->n_objectives;
    if (m == 1) {
        bool any = any_repeats(trials, total);
        for (int64_t i = 0; i < n; i++) {
            double value = any ? mean_value(trials, total, list[i].trial) : list[i].trial->values[0];
            list[i].key = s->info->maximize[0] ? -value : value;
        }
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
        if (!isfinite(t->values[k])) return false;
    return t->state == ATHI_TRIAL_COMPLETE && !(s->info->n_objectives == 1 && repeats(t));
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
        if (valued(s, trials[i])) {
            ranked *r = &list[(*n)++];
            r->trial = trials[i], r->violation = athi_trial_violation(trials[i]);
        }
    int64_t kept = 0; /* the layers are those of trials that keep their constraints */
    for (int64_t i = 0; i < *n; i++)
        if (list[i].violation <= 0 || s->info->n_objectives == 1) {
            ranked first = list[kept];
            list[kept++] = list[i], list[i] = first;
        }
    ATH_TRY(set_keys(s, arena, trials, total, list, kept));
    qsort(list, (size_t)*n, sizeof *list, best_first);
    for (int64_t i = 0; i < *n; i++) out[i] = list[i].trial;
    *ranking = out;
    return ATH_OK;
}

static void losses_of(const athi_search *s, const athi_trial *t, double *losses) {
    for (int k = 0; k < s->info->n_objectives; k++) losses[k] = s->info->maximize[k] ? -t->values[k] : t->values[k];
}

int64_t athi_search_front(const athi_search *s, const athi_trial *const *ranking, int64_t n) {
    double a[ATHI_OBJECTIVES_MAX], b[ATHI_OBJECTIVES_MAX];
    for (int64_t i = 1; i < n; i++) {
        if (athi_trial_violation(ranking[i]) > athi_trial_violation(ranking[0])) return i;
        losses_of(s, ranking[i], a);
        for (int64_t j = 0; j < i; j++) {
            losses_of(s, ranking[j], b);
            if (athi_dominates(b, a, s->info->n_objectives)) return i;
        }
    }
    return n;
}

/* Three standard errors of the fresh trials' mean, or of one trial where there is only one to judge by. */
ath_status athi_search_rescored(athi_search *s, athi_rescored *out) {
    const athi_trial *const *trials;
    int64_t total;
    double sum = 0, squares = 0;
    *out = (athi_rescored){.deviation = (double)NAN};
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &total));
    int64_t winner = -1; /* the last that was scored again: a search that went on may have found another */
    for (int64_t i = 0; i < total; i++)
        if (trials[i]->relation == ATHI_RELATION_RESCORE && trials[i]->state == ATHI_TRIAL_COMPLETE)
            winner = trials[i]->relative;
    for (int64_t i = 0; winner >= 0 && i < total; i++) {
        if (trials[i]->relation != ATHI_RELATION_RESCORE || trials[i]->relative != winner) continue;
        if (trials[i]->state != ATHI_TRIAL_COMPLETE) continue;
        sum += trials[i]->values[0], squares += trials[i]->values[0] * trials[i]->values[0], out->n++;
    }
    if (!out->n || winner >= total) return ATH_OK;
    double n = (double)out->n;
    out->trial = trials[winner], out->mean = sum / n;
    if (out->n < 2) return ATH_OK;
    double variance = fmax(squares - sum * sum / n, 0) / (n - 1);
    out->deviation = sqrt(variance / n);
    double lost = s->info->maximize[0] ? out->trial->values[0] - out->mean : out->mean - out->trial->values[0];
    out->fitted = lost > 3 * sqrt(variance) / sqrt(n) && lost > 0;
    return ATH_OK;
}

ath_status athi_search_incumbent(athi_search *s, athi_incumbent *out) {
    const athi_trial *const *trials;
    int64_t total, seen, best;
    athi_view view;
    athi_posterior posterior;
    *out = (athi_incumbent){0};
    if (s->info->n_objectives != 1) return ATH_OK;
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &total));
    athi_arena_reset(s->scratch);
    ATH_TRY(athi_search_view(s, trials, total, &view, &seen));
    ath_status status = athi_posterior_fit(s->ctx, s->scratch, &view, &posterior);
    if (status == ATH_E_NOTFOUND || status == ATH_E_FAILED) return ATH_OK; /* nothing to model */
    ATH_TRY(status);
    ATH_TRY(athi_posterior_best(&posterior, &best, &out->mean, &out->deviation));
    if (best >= 0) out->trial = trials[view.trials[best]->number], out->noise = posterior.noise;
    return ATH_OK;
}
