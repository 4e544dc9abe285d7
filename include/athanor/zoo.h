/* The zoo: networks of the literature, built of ordinary layers.
 *
 *     ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28, 1));
 *     x = ath_wide_resnet(x, .depth = 16, .width = 10, .classes = 10);
 *
 * A composite appends the layers that it is made of; they are numbered with the others ("conv2d", "conv2d_1", …) and
 * can be named, frozen, printed and looked at as if they had been written out. Otherwise as athanor/nn.h. */
#ifndef ATHANOR_ZOO_H
#define ATHANOR_ZOO_H

#include "athanor/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Wide residual network (Zagoruyko and Komodakis 2016): a convolution of 16 channels, then three groups of
 *  (depth - 4) / 6 residual blocks of two 3x3 convolutions with 16, 32 and 64 times `width` channels, each group at half
 *  the resolution of the one before.
 *  By itself convolution, batch normalisation, ReLU, with a max-pooling between the groups and nothing behind the
 *  addition. With pre_activation it is the paper's: batch normalisation, ReLU, convolution without bias, strides of 2 in
 *  the first block of a group, and a last batch normalisation and ReLU.
 *  x [batch, height, width, channels]; returns [batch, height / 4, width / 4, 64 width], with classes [batch, classes].
 *  Errors: ATH_E_OPTION a depth that is not 6 n + 4; ATH_E_SHAPE no image, or one that is too small. */
typedef struct ath_wide_resnet_opts {
    size_t struct_size;
    bool exact;
    const char *name;            /* of its result; the layers inside are numbered */
    int64_t depth;               /* required: 10, 16, 22, 28, 40, … */
    int64_t width;               /* 1 */
    int64_t classes;             /* 0: the features; else global average pooling and a softmax of so many classes */
    bool pre_activation;         /* the paper's order */
    double dropout;              /* 0.01: rate between the two convolutions of a block; the paper has 0 or 0.3 */
    ath_spec kernel_initializer; /* glorot_uniform; the paper has he_normal */
    ath_spec kernel_regularizer; /* none */
} ath_wide_resnet_opts;
ATH_API ath_tensor *ath_wide_resnet_with(ath_tensor *x, const ath_wide_resnet_opts *opts);
#define ath_wide_resnet(x, ...)                                                                                      \
    ath_wide_resnet_with((x), &(ath_wide_resnet_opts){.struct_size = sizeof(ath_wide_resnet_opts), __VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
