/* What an update kernel must know of an optimiser: its option struct (athanor/optimizers.h, found by the row's name)
 * and its slots, by number:
 *
 *   row        slots                                                       kernels find slot s of variable i as the
 *   sgd        momentum (if momentum > 0)                                  variable with role ATHI_SLOT that stands
 *   rmsprop    velocity, momentum (if > 0), average_gradient (if centered) s regions behind the trainable one, offset
 *   adam(w)    momentum, velocity, velocity_hat (if amsgrad)               for offset: train's layout puts each
 *   nadam      momentum, velocity                                          optimizer/<slot>/... region after the other.
 *   adamax     momentum, norm
 *   adagrad    accumulator
 *   adadelta   accumulated_grad, accumulated_delta_var
 *   ftrl       accumulator, linear
 *   lion       momentum
 *   lamb       momentum, velocity
 *
 * The step number t = counters[1] + 1 comes from train/counters, never from a call's state, so that a resumed run goes on
 * with the same bits. Nadam's product of mu is a function of t alone. */
#ifndef ATHI_OPTIMIZERS_H
#define ATHI_OPTIMIZERS_H

#include "athanor/optimizers.h"
#include "nn/net.h"

/** The fields that every optimiser's options begin with. */
static inline const ath_optimizer_opts *athi_optimizer_common(const void *opts) { return opts; }

#endif
