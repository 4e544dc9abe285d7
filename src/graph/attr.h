/* The typed attributes of ops. Each kind is described by rows in attr.c, from which printing and reading follow. */
#ifndef ATHI_ATTR_H
#define ATHI_ATTR_H

#include "tensor/tensor.h"

typedef struct athi_variable athi_variable;
struct athi_row;

typedef enum athi_attr_kind {
    ATHI_ATTR_NONE,
    ATHI_ATTR_ALPHA,
    ATHI_ATTR_MATMUL,
    ATHI_ATTR_AXES,
    ATHI_ATTR_SHAPE,
    ATHI_ATTR_PERM,
    ATHI_ATTR_AXIS,
    ATHI_ATTR_SLICE,
    ATHI_ATTR_WINDOW,
    ATHI_ATTR_NORM,
    ATHI_ATTR_DROPOUT,
    ATHI_ATTR_INPUT,
    ATHI_ATTR_VARIABLE,
    ATHI_ATTR_CONSTANT,
    ATHI_ATTR_LOSS,
    ATHI_ATTR_CLIP,
    ATHI_ATTR_UPDATE,
    ATHI_ATTR_AUGMENT,
    ATHI_ATTR_CAST,
} athi_attr_kind;

typedef enum athi_clip { ATHI_CLIP_VALUE, ATHI_CLIP_NORM, ATHI_CLIP_GLOBAL_NORM } athi_clip;

typedef union athi_attr {
    struct { double alpha, beta; } alpha;          /* slope, delta, low/high bound, … of an elementwise op */
    struct { bool transpose_a, transpose_b; } matmul;
    struct { uint32_t mask; bool keep; } axes;     /* bit i: reduce axis i; keep: leave a 1 in its place */
    struct { athi_shape shape; } shape;            /* reshape: 0 keeps the input's size of that axis, one -1
                                                    * is inferred; broadcast_to, sum_to: -1 keeps it */
    struct { int axis[ATHI_MAX_RANK]; } perm;
    struct { int axis; } axis;
    struct { int64_t begin[ATHI_MAX_RANK], size[ATHI_MAX_RANK]; } slice;
    struct {                                       /* convolution and pooling, [height, width]; stride,
                                                    * dilation, groups 0 mean 1; convolution takes size from
                                                    * its kernel */
        int64_t size[2], stride[2], dilation[2], groups;
        bool same;                                 /* else valid; 'same' puts the extra row at the end */
        athi_shape x;                              /* *_grad_x only: the shape of x */
    } window;
    struct { double epsilon, momentum; bool frozen; } norm; /* frozen: inference mode always */
    struct { double rate; int64_t id; } dropout;   /* id: number of the dropout in the model */
    struct { int slot; athi_shape shape; ath_dtype dtype; const char *name; } input;
    struct { athi_variable *variable; } variable;
    struct { double value; athi_shape shape; ath_dtype dtype; } constant;
    struct { double smoothing, threshold; int64_t k; } loss; /* losses and metrics */
    struct { athi_clip mode; double limit; } clip;
    struct { ath_dtype dtype; } cast;
    struct { const struct athi_row *row; const void *opts; } update; /* optimiser and its options */
    struct { const struct athi_row *row; const void *opts; int64_t id; } augment; /* id: its number in the model */
} athi_attr;

#endif
