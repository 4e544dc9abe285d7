/* Element types, and the handle of a value in a model's graph. */
#ifndef ATHANOR_TENSOR_H
#define ATHANOR_TENSOR_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One row a type: name, value, bytes, name in safetensors files. */
#define ATH_DTYPE_LIST(X)                                                                                   \
    X(F32, 0, 4, "F32")                                                                                      \
    X(F64, 1, 8, "F64")                                                                                      \
    X(BF16, 2, 2, "BF16")                                                                                    \
    X(F16, 3, 2, "F16")                                                                                      \
    X(I32, 4, 4, "I32")                                                                                      \
    X(I64, 5, 8, "I64")                                                                                      \
    X(U8, 6, 1, "U8")                                                                                        \
    X(I8, 7, 1, "I8")

typedef enum ath_dtype {
#define ATH_DTYPE_ENUM(name, value, bytes, file_name) ATH_##name = value,
    ATH_DTYPE_LIST(ATH_DTYPE_ENUM)
#undef ATH_DTYPE_ENUM
} ath_dtype;

/** A value in a model's graph. Builder calls return one and never NULL: after an error they hand a poison on,
 *  and ath_model_compile reports the first error. Owned by its model. */
typedef struct ath_tensor ath_tensor;

#ifdef __cplusplus
}
#endif
#endif
