/* What the files of layers share. A new layer: its option struct and function in athanor/nn.h, build function
 * and option rows in a layers_*.c, and a line in ATHI_LAYER_LIST. */
#ifndef ATHI_LAYERS_H
#define ATHI_LAYERS_H

#include "athanor/activations.h"
#include "nn/build.h"
#include "nn/rows.h"

/* Every layer, in the order of `athanor list layers`. WITH(name, main option, doc) has options, PLAIN(name,
 * doc) none. */
#define ATHI_LAYER_LIST(WITH, PLAIN)                                                                         \
    WITH(dense, "units", "fully connected on the last axis: activation(x kernel + bias)")                    \
    WITH(activation, "activation", "an activation as a layer of its own")                                    \
    WITH(dropout, "rate", "in training, zeroes values at random and scales the others by 1 / (1 - rate)")    \
    PLAIN(flatten, "all axes behind the batch as one, row-major")                                            \
    WITH(reshape, "target_shape", "the same elements in other sizes")                                        \
    WITH(permute, "dims", "the axes behind the batch in another order")                                      \
    WITH(rescaling, "scale", "scale x + offset")

#define ATHI_DECLARE(name, ...) extern const athi_layer_impl athi_layer_##name;
ATHI_LAYER_LIST(ATHI_DECLARE, ATHI_DECLARE)
#undef ATHI_DECLARE
#define ATHI_DECLARE(name, ...) extern const athi_option athi_options_##name[];
#define ATHI_NOTHING(...)
ATHI_LAYER_LIST(ATHI_DECLARE, ATHI_NOTHING)
#undef ATHI_DECLARE
#undef ATHI_NOTHING

#endif
