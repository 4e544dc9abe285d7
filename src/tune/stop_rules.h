/* When a search has gained what there is to gain: rows, each a function of the visible trials. */
#ifndef ATHI_STOP_RULES_H
#define ATHI_STOP_RULES_H

#include "tune/sampler.h"

typedef struct athi_stop_impl {
    /** Sets *stop when no further trial should begin. Asked whenever a trial has ended. */
    ath_status (*reached)(ath_ctx *ctx, const void *opts, const athi_view *view, bool *stop);
} athi_stop_impl;

extern const athi_kind athi_stop_rules; /* rows: target, stagnation, regret_bound */

#endif
