/* How much each parameter matters for an objective, from the finished trials of a study.
 *
 *   PED-ANOVA  what the best tenth has in common against all trials: Watanabe et al. 2023, "PED-ANOVA: efficiently
 *              quantifying hyperparameter importance in arbitrary subspaces", with conditional parameters as in
 *              arXiv 2601.20800. Figures are those of Optuna 5's default, before they are scaled to a sum of 1.
 *   fANOVA     the share of the variance that a parameter explains alone: Hutter et al. 2014, "An efficient approach for
 *              assessing hyperparameter importance", exact over the boxes of a random forest (forest.h). A conditional
 *              parameter is judged within the trials that have it. Shares need not add up to 1: the rest are
 *              interactions. */
#ifndef ATHI_IMPORTANCE_H
#define ATHI_IMPORTANCE_H

#include "tune/sampler.h"

typedef struct athi_importance_task {
    const athi_space *space;
    const athi_trial *const *trials; /* complete ones with a finite value count */
    int64_t n;
    int objective;
    bool maximize;
} athi_importance_task;

typedef ath_status (*athi_importance)(athi_arena *arena, const athi_importance_task *task, double *importance);

/** importance: per parameter; NaN where nothing can be said of it (no trial has it, or too few for a forest). */
ath_status athi_importance_ped_anova(athi_arena *arena, const athi_importance_task *task, double *importance);
ath_status athi_importance_fanova(athi_arena *arena, const athi_importance_task *task, double *importance);

/** The trials that count, in the arena. */
ath_status athi_importance_trials(athi_arena *arena, const athi_importance_task *task, const athi_trial ***out,
                                  int64_t *n);

#endif
