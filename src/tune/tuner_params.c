/* The parameters of a define-by-run search: each name that a trial asks for becomes part of the space. */
#include "tune/tuner_internal.h"

#include <math.h>
#include <stdio.h>

static void give_up(ath_hp *hp, ath_status status) {
    if (hp->status != ATH_OK) return;
    hp->status = status;
    snprintf(hp->sentence, sizeof(hp->sentence), "%s", ath_errmsg(hp->tuner->ctx));
}

ath_status athi_hp_fit(ath_hp *hp) {
    ath_ctx *ctx = hp->tuner->ctx;
    while (hp->n < hp->tuner->space->n) {
        ATH_TRY(ATHI_GROW(ctx, hp->point, hp->n, hp->point_cap));
        ATH_TRY(ATHI_GROW(ctx, hp->asked, hp->n, hp->asked_cap));
        hp->point[hp->n] = NAN, hp->asked[hp->n] = false;
        hp->n++;
    }
    return ATH_OK;
}

void athi_hp_free_values(ath_hp *hp) {
    athi_free(hp->tuner->ctx, hp->point);
    athi_free(hp->tuner->ctx, hp->asked);
}

/* The trial's value of a parameter, which becomes part of the space if it is new. */
static ath_status ask(ath_hp *hp, const athi_space_param *wanted, int *index) {
    ath_tuner *t = hp->tuner;
    if (!wanted->name || !*wanted->name)
        return athi_fail(t->ctx, ATH_E_OPTION, "a parameter was asked for without a name");
    int known = athi_space_find(t->space, wanted->name);
    if (known < 0 && hp->fixed)
        return athi_fail(t->ctx, ATH_E_NOTFOUND, "the study has no parameter '%s'", wanted->name);
    ATH_TRY(athi_space_add(t->ctx, t->space, wanted, index)); /* a known one is compared */
    ATH_TRY(athi_hp_fit(hp));
    hp->asked[*index] = true;
    if (isnan(hp->point[*index])) hp->point[*index] = t->space->params[*index].fallback;
    return ATH_OK;
}

static bool get(ath_hp *hp, const athi_space_param *wanted, int *index) {
    ath_status status = hp->status == ATH_OK ? ask(hp, wanted, index) : hp->status;
    if (status != ATH_OK) give_up(hp, status);
    return status == ATH_OK;
}

static const athi_prior priors[] = {[ATH_PRIOR_UNIFORM] = ATHI_PRIOR_UNIFORM,
                                    [ATH_PRIOR_LOG] = ATHI_PRIOR_LOG,
                                    [ATH_PRIOR_REVERSE_LOG] = ATHI_PRIOR_REVERSE_LOG};

static athi_prior prior_of(ath_prior prior) {
    return (int)prior >= 0 && (int)prior < ATHI_COUNT(priors) ? priors[prior] : ATHI_PRIOR_UNIFORM;
}

int64_t ath_hp_int_with(ath_hp *hp, const char *name, const ath_hp_int_opts *opts) {
    TAKE(ath_hp_int_opts, opts);
    int64_t fallback = o.fallback || o.exact ? o.fallback : o.min;
    bool log = o.prior == ATH_PRIOR_LOG;
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_INT,
                          .min = (double)o.min,
                          .max = (double)o.max,
                          .step = o.step || log ? (double)o.step : 1,
                          .prior = prior_of(o.prior),
                          .fallback = (double)fallback};
    int i;
    return get(hp, &p, &i) ? (int64_t)hp->point[i] : fallback;
}

double ath_hp_float_with(ath_hp *hp, const char *name, const ath_hp_float_opts *opts) {
    TAKE(ath_hp_float_opts, opts);
    double fallback = o.fallback != 0 || o.exact ? o.fallback : o.min;
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_FLOAT,
                          .min = o.min,
                          .max = o.max,
                          .step = o.step,
                          .prior = prior_of(o.prior),
                          .fallback = fallback};
    int i;
    return get(hp, &p, &i) ? hp->point[i] : fallback;
}

bool ath_hp_bool(ath_hp *hp, const char *name) {
    athi_value no = {.type = ATHI_BOOL}, yes = {.type = ATHI_BOOL, .boolean = true};
    athi_branch branches[] = {{.key = "false", .value = &no}, {.key = "true", .value = &yes}};
    athi_space_param p = {
        .name = name, .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = 2, .boolean = true};
    int i;
    return get(hp, &p, &i) && hp->point[i] == 1;
}

const char *ath_hp_choice_with(ath_hp *hp, const char *name, const ath_hp_choice_opts *opts) {
    TAKE(ath_hp_choice_opts, opts);
    athi_value values[ATH_HP_VALUES_MAX] = {{0}};
    athi_branch branches[ATH_HP_VALUES_MAX] = {{0}};
    int n = 0, i;
    for (; n < ATH_HP_VALUES_MAX && o.values[n]; n++) {
        values[n] = (athi_value){.type = ATHI_STRING, .text = o.values[n]};
        branches[n] = (athi_branch){.key = o.values[n], .value = &values[n]};
    }
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_CHOICE,
                          .branches = branches,
                          .n_branches = n,
                          .ordered = o.ordered,
                          .fallback = o.fallback};
    if (!get(hp, &p, &i)) return o.fallback >= 0 && o.fallback < n ? o.values[o.fallback] : "";
    return hp->tuner->space->params[i].branches[(int)hp->point[i]].key;
}

const char *ath_hp_json(ath_hp *hp) {
    athi_value *map = NULL;
    athi_text text = {.ctx = hp->tuner->ctx};
    const char *copy = NULL;
    if (athi_hp_fit(hp) == ATH_OK &&
        athi_space_point_write(hp->tuner->arena, hp->tuner->space, hp->point, &map) == ATH_OK &&
        athi_json_write(&text, map, 0) == ATH_OK && !text.failed)
        copy = athi_arena_strdup(hp->tuner->arena, text.text);
    athi_text_free(&text);
    return copy;
}
