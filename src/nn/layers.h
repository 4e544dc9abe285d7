/* What the files of layers share. A new layer: its option struct and function in athanor/nn.h, build function
 * and option rows in a layers_*.c, and a line in ATHI_LAYER_LIST. */
#ifndef ATHI_LAYERS_H
#define ATHI_LAYERS_H

#include "athanor/activations.h"
#include "athanor/augment.h"
#include "nn/build.h"
#include "nn/rows.h"

/* Every layer, in the order of `athanor list layers`. WITH(name, main option, doc) has options, PLAIN(name,
 * doc) none. */
#define ATHI_LAYER_LIST(WITH, PLAIN)                                                                         \
    WITH(input, "shape", "an input of the model; as first layer it checks the shape of the data")            \
    WITH(dense, "units", "fully connected on the last axis: activation(x kernel + bias)")                    \
    WITH(conv2d, NULL, "convolution over images: activation(x * kernel + bias)")                             \
    WITH(depthwise_conv2d, "kernel_size", "convolution of each channel by itself: activation(x * kernel + bias)") \
    WITH(separable_conv2d, NULL, "depthwise convolution, then a 1x1 convolution (Chollet 2017)")             \
    WITH(max_pooling2d, "pool_size", "the largest value of each window")                                     \
    WITH(average_pooling2d, "pool_size", "the mean of each window")                                          \
    WITH(global_max_pooling2d, NULL, "the largest value of each channel")                                    \
    WITH(global_average_pooling2d, NULL, "the mean of each channel")                                         \
    WITH(batch_normalization, NULL,                                                                          \
         "each channel by its batch's mean and variance (Ioffe and Szegedy 2015)")                           \
    WITH(layer_normalization, NULL, "each sample by its own mean and variance (Ba et al. 2016)")             \
    WITH(group_normalization, "groups",                                                                      \
         "each sample's groups of channels by their own mean and variance (Wu and He 2018)")                 \
    WITH(dropout, "rate", "in training, zeroes values at random and scales the others by 1 / (1 - rate)")    \
    WITH(random_flip, "mode", "in training, mirrors every second image; of both axes together")              \
    WITH(random_rotation, "factor", "in training, turns images")                                             \
    WITH(random_zoom, "height_factor", "in training, zooms in and out")                                      \
    WITH(random_translation, NULL, "in training, moves images")                                              \
    WITH(random_crop, NULL, "in training, a window at a random place; otherwise the middle, resized")        \
    WITH(random_contrast, "factor", "in training, draws channels towards their means, or away from them")    \
    WITH(random_brightness, "factor", "in training, adds one number to all values of an image")              \
    WITH(random_erasing, "factor", "in training, fills a rectangle with noise or a value (Zhong et al. 2017)")\
    WITH(cutout, "size", "in training, fills a square (DeVries and Taylor 2017)")                            \
    WITH(activation, "activation", "an activation as a layer of its own")                                    \
    WITH(relu, "max_value", "max(x, 0) with a bound, a slope and a threshold")                               \
    WITH(leaky_relu, "negative_slope", "x above 0, negative_slope x below")                                  \
    WITH(elu, "alpha", "x above 0, alpha (exp(x) - 1) below")                                                \
    WITH(prelu, "alpha_initializer", "x above 0, alpha x below, with an alpha that is learned (He et al. 2015)")\
    WITH(softmax, "axis", "exp(x) / sum(exp(x)) over an axis")                                               \
    PLAIN(flatten, "all axes behind the batch as one, row-major")                                            \
    WITH(reshape, "target_shape", "the same elements in other sizes")                                        \
    WITH(permute, "dims", "the axes behind the batch in another order")                                      \
    WITH(rescaling, "scale", "scale x + offset")                                                             \
    PLAIN(add, "the sum of its inputs")                                                                      \
    PLAIN(subtract, "the first input minus the second")                                                      \
    PLAIN(multiply, "the product of its inputs")                                                             \
    PLAIN(average, "the mean of its inputs")                                                                 \
    PLAIN(maximum, "the largest of its inputs, element by element")                                          \
    PLAIN(minimum, "the smallest of its inputs, element by element")                                         \
    WITH(concatenate, "axis", "its inputs one after another along an axis")

#define ATHI_DECLARE(name, ...) extern const athi_layer_impl athi_layer_##name;
ATHI_LAYER_LIST(ATHI_DECLARE, ATHI_DECLARE)
#undef ATHI_DECLARE
#define ATHI_DECLARE(name, ...) extern const athi_option athi_options_##name[];
#define ATHI_NOTHING(...)
ATHI_LAYER_LIST(ATHI_DECLARE, ATHI_NOTHING)
#undef ATHI_DECLARE
#undef ATHI_NOTHING

#endif
