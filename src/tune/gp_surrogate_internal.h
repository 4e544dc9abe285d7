/* Between the surrogate of a study and its process for the values. */
#ifndef ATHI_GP_SURROGATE_INTERNAL_H
#define ATHI_GP_SURROGATE_INTERNAL_H

#include "tune/gp_rows.h"
#include "tune/gp_surrogate.h"

enum { ATHI_GP_MOST_FITTED = 120, ATHI_GP_MOST_MODELLED = 500 };
#define ATHI_GP_SHORTEST 0.01 /* length */

ath_status athi_gp_model_values(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, athi_gp_turn turn,
                                athi_gp_surrogate *s);

#endif
