/* Composites: rows of networks and blocks whose build function appends ordinary layers. What they append is recorded
 * layer by layer, so that nothing behind them (passes, checkpoints, explain) knows of them.
 * A new composite: its option struct and function in athanor/zoo.h, a file here, a row in zoo.c. */
#ifndef ATHI_ZOO_H
#define ATHI_ZOO_H

#include "athanor/zoo.h"
#include "nn/net.h"

/** The impl of a row is an athi_layer_impl. */
extern const athi_kind athi_composites;

extern const athi_layer_impl athi_composite_wide_resnet;
extern const athi_option athi_options_wide_resnet[];

/** Appends the layers of a composite. `name` (NULL: none) is that of its result. An error inside is told as the
 *  composite's. */
ath_tensor *athi_composite_apply(athi_net *net, const athi_row *row, const void *opts, const char *name,
                                 ath_tensor *const *in, int n_in);
/** The same for the public functions, as athi_layer_call does it for layers. */
ath_tensor *athi_composite_call(const char *row, ath_tensor *x, const void *opts);

#endif
