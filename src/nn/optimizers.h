/* What an update kernel must know of an optimiser beside its option struct (athanor/optimizers.h, by the
 * row's name): its slots, the variables optimizer/<slot>/<variable>, as `slots` of its row names them.
 *
 * The number of the update t = counters[1] + 1 comes from train/counters, never from a call's state, so that
 * a resumed run goes on with the same bits. Nadam's product of mu is a function of t alone. */
#ifndef ATHI_OPTIMIZERS_H
#define ATHI_OPTIMIZERS_H

#include "athanor/optimizers.h"
#include "nn/net.h"

/** The fields that every optimiser's options begin with. */
static inline const ath_optimizer_opts *athi_optimizer_common(const void *opts) { return opts; }

#endif
