/* Between the files of the space: checking a definition, and building a space whose order is settled at the end. */
#ifndef ATHI_SPACE_INTERNAL_H
#define ATHI_SPACE_INTERNAL_H

#include "tune/space.h"

/** Checks one definition and writes it with what may be left out filled in. `place` texts begin the sentences. */
ath_status athi_param_check(ath_ctx *ctx, athi_arena *arena, const athi_space_param *param,
                            athi_space_param *checked);
/** Parents are below `n` and conditions are not empty. */
ath_status athi_conditions_check(ath_ctx *ctx, const athi_space *space, const athi_space_param *param,
                                 int64_t n);
/** Both define the same parameter, conditions aside; else a sentence with both places and the first difference. */
ath_status athi_param_same(ath_ctx *ctx, const athi_space_param *old, const athi_space_param *new);
/** Appends a copy without any check; the order holds after athi_space_sort. */
ath_status athi_space_append(athi_space *space, const athi_space_param *param);
ath_status athi_space_sort(ath_ctx *ctx, athi_space *space);

/** Of the standard normal distribution. */
double athi_normal_cdf(double z);
double athi_normal_quantile(double q);

static inline bool athi_param_is_fixed(const athi_space_param *p) { return athi_param_count(p) == 1; }

#endif
