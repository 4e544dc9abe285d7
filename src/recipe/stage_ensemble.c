/* The ensemble: weights learned on validation predictions alone, then used on the test set. */
#include "recipe/stages.h"

#include <math.h>

static const float *predicted(const athi_member *m, athi_predicted which) {
    const float *const all[] = {m->on_validation, m->on_test, m->int8_on_test};
    return all[which];
}

ath_status athi_stage_predictions(athi_stages *s, const athi_part *part, athi_predicted which, athi_members *out) {
    const float **p = athi_arena_array(s->arena, s->n_members + 1, sizeof *p);
    int64_t *order = athi_arena_array(s->arena, part->n + 1, sizeof *order);
    if (!p || !order) return ATH_E_NOMEM;
    for (int i = 0; i < s->n_members; i++) p[i] = predicted(&s->members[i], which);
    athi_epoch_order(0, 0, part->n, false, order);
    *out = (athi_members){.n_members = s->n_members, .p = p, .n = part->n, .classes = s->classes};
    if (s->labelled) {
        int32_t *labels = athi_arena_array(s->arena, part->n + 1, sizeof *labels);
        if (!labels) return ATH_E_NOMEM;
        athi_batch_classes(part, order, part->n, labels);
        out->labels = labels;
    } else {
        float *targets = athi_arena_array(s->arena, part->n * s->classes + 1, sizeof *targets);
        if (!targets) return ATH_E_NOMEM;
        athi_batch_targets(part, order, part->n, s->classes, targets);
        out->targets = targets;
    }
    return ATH_OK;
}

static ath_status combine(athi_stages *s, const athi_part *part, athi_predicted which, const double *weights,
                          bool geometric, athi_ensemble_score *score) {
    athi_members members;
    *score = (athi_ensemble_score){(double)NAN, (double)NAN};
    if (!part->n) return ATH_OK;
    ATH_TRY(athi_stage_predictions(s, part, which, &members));
    float *p = athi_arena_array(s->arena, part->n * s->classes, sizeof *p);
    if (!p) return ATH_E_NOMEM;
    athi_ensemble_combine(&members, weights, geometric, p);
    *score = athi_ensemble_evaluate(&members, p);
    return ATH_OK;
}

static ath_status find_contributions(athi_stages *s, const athi_members *members, const double *weights,
                                     bool geometric) {
    double *loss = athi_arena_array(s->arena, s->n_members, sizeof *loss),
           *accuracy = athi_arena_array(s->arena, s->n_members, sizeof *accuracy);
    if (!loss || !accuracy) return ATH_E_NOMEM;
    ATH_TRY(athi_ensemble_contributions(s->ctx, members, weights, geometric, loss, accuracy));
    for (int i = 0; i < s->n_members; i++) {
        s->members[i].weight = weights[i];
        s->members[i].without = (athi_ensemble_score){loss[i], accuracy[i]};
    }
    return ATH_OK;
}

ath_status athi_stage_ensemble(athi_stages *s) {
    if (!s->recipe->ensembles || s->n_members < 2) return ATH_OK;
    const athi_row *method = NULL;
    void *opts = NULL;
    athi_members members;
    ATH_TRY(athi_spec_resolve(s->ctx, s->arena, &athi_ensembles, s->recipe->ensemble.method, "ensemble.method",
                              &method, &opts));
    const athi_ensemble_impl *impl = method->impl;
    ATH_TRY(athi_stage_predictions(s, &s->data->validation, ATHI_ON_VALIDATION, &members));
    double *weights = athi_arena_array(s->arena, s->n_members, sizeof *weights);
    if (!weights) return ATH_E_NOMEM;
    ATH_TRY(impl->learn(s->ctx, opts, &members, s->recipe->seed, weights));
    ATH_TRY(find_contributions(s, &members, weights, impl->geometric));
    ATH_TRY(combine(s, &s->data->validation, ATHI_ON_VALIDATION, weights, impl->geometric, &s->ensemble_validation));
    ATH_TRY(combine(s, &s->data->test, ATHI_ON_TEST, weights, impl->geometric, &s->ensemble_test));
    athi_stage_say(s, "ensemble", "%s of %d%s%s", method->name, s->n_members,
                   athi_stage_score(s, "validation", s->ensemble_validation),
                   athi_stage_score(s, "test", s->ensemble_test));
    return ATH_OK;
}

bool athi_stage_has_int8_ensemble(const athi_stages *s) {
    return s->recipe->ensembles && s->recipe->quantizes && s->n_members > 1 && s->data->test.n > 0;
}

ath_status athi_stage_int8_ensemble(athi_stages *s) {
    if (!athi_stage_has_int8_ensemble(s)) return ATH_OK;
    const athi_row *method = athi_row_find(&athi_ensembles, s->recipe->ensemble.method.name);
    const athi_ensemble_impl *impl = method->impl;
    double *weights = athi_arena_array(s->arena, s->n_members, sizeof *weights);
    if (!weights) return ATH_E_NOMEM;
    for (int i = 0; i < s->n_members; i++) weights[i] = s->members[i].weight;
    ATH_TRY(combine(s, &s->data->test, ATHI_INT8_ON_TEST, weights, impl->geometric, &s->ensemble_int8_test));
    athi_stage_say(s, "quantize", "ensemble of %d: int8%s", s->n_members,
                   athi_stage_score(s, "test", s->ensemble_int8_test));
    return ATH_OK;
}
