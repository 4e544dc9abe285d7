/* Shapes, element types and memory layouts. */
#ifndef ATHI_TENSOR_H
#define ATHI_TENSOR_H

#include "athanor/tensor.h"
#include "base/base.h"

enum { ATHI_MAX_RANK = 6, ATHI_DYN = -1 /* a dimension that is not known before the batch is */ };

typedef struct athi_shape {
    int rank;
    int64_t dim[ATHI_MAX_RANK];
} athi_shape;

/* athi_dims(128, 784): a shape from its dimensions. */
#define athi_dims(...)                                                                                       \
    ((athi_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
#define ATHI_SCALAR ((athi_shape){0, {0}})

bool athi_shape_equal(athi_shape a, athi_shape b);
/** Number of elements; 1 for rank 0; -1 with a dynamic dimension or on overflow. */
int64_t athi_shape_count(athi_shape s);
/** "[batch, 784]": dynamic dimensions are "batch" in front and "?" elsewhere. */
const char *athi_shape_str(athi_shape s, char out[96]);
/** NumPy's broadcasting of two shapes; false if they do not fit. A dynamic size against a
 *  known one above 1 gives the known one. */
bool athi_shape_broadcast(athi_shape a, athi_shape b, athi_shape *out);

int64_t athi_dtype_size(ath_dtype t);
const char *athi_dtype_name(ath_dtype t);           /* "f32" */
const char *athi_dtype_file_name(ath_dtype t);      /* "F32", as in safetensors */
bool athi_dtype_from_file_name(const char *name, ath_dtype *t);
bool athi_dtype_is_float(ath_dtype t);
bool athi_dtype_from_name(const char *name, ath_dtype *t);

/* How the elements of a [N, H, W, C] value lie in memory. Plain is row-major. Blocked splits the channels into
 * blocks of 8 or 16 that lie innermost: [N, C/b, H, W, b]; C is then a multiple of b. */
typedef enum athi_layout { ATHI_PLAIN, ATHI_BLOCKED8, ATHI_BLOCKED16 } athi_layout;

const char *athi_layout_name(athi_layout l); /* "plain", "blocked8", "blocked16" */
/** Channels a block: 1, 8 or 16. */
int64_t athi_layout_block(athi_layout l);

#endif
