/* Groups of nodes that run as one kernel, by priority: what matches more comes first. */
#include "backends/cpu/cpu.h"

extern const athi_pattern athi_cpu_patterns[];

#define OPS(...)   .ops = {__VA_ARGS__}, .n_ops = (int)(sizeof((athi_op[]){__VA_ARGS__}) / sizeof(athi_op))
#define ESCAPES(i) (1u << (i)) /* member i is also used outside: relu's gradient by the layer below */

/* clang-format off */
const athi_pattern athi_cpu_patterns[] = {
    {"matmul+add+relu", OPS(ATHI_OP_MATMUL, ATHI_OP_ADD, ATHI_OP_RELU), .kernels = athi_cpu_matmul_bias},
    {"matmul+add",      OPS(ATHI_OP_MATMUL, ATHI_OP_ADD),               .kernels = athi_cpu_matmul_bias},
    {"matmul+relu_grad+sum_to", OPS(ATHI_OP_MATMUL, ATHI_OP_RELU_GRAD, ATHI_OP_SUM_TO), .escapes = ESCAPES(1),
     .kernels = athi_cpu_matmul_relu_grad_sum},
    {"matmul+relu_grad", OPS(ATHI_OP_MATMUL, ATHI_OP_RELU_GRAD),        .kernels = athi_cpu_matmul_relu_grad},
    {"matmul+cast",     OPS(ATHI_OP_MATMUL, ATHI_OP_CAST),              .kernels = athi_cpu_matmul_cast},
    {"conv2d_grad_w+cast", OPS(ATHI_OP_CONV2D_GRAD_W, ATHI_OP_CAST),    .kernels = athi_cpu_conv_grad_w},
    {"conv2d+add+relu+max_pool2d", OPS(ATHI_OP_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU, ATHI_OP_MAX_POOL2D), .kernels = athi_cpu_conv1_pool},
    {"max_pool2d_grad+conv2d_grad_w", OPS(ATHI_OP_MAX_POOL2D_GRAD, ATHI_OP_CONV2D_GRAD_W), .kernels = athi_cpu_pool_conv1_grad},
    {"conv2d+add+relu", OPS(ATHI_OP_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU), .kernels = athi_cpu_conv},
    {"conv2d+add",      OPS(ATHI_OP_CONV2D, ATHI_OP_ADD),               .kernels = athi_cpu_conv},
    {"quantized_conv2d+add+relu+quantize+max_pool2d", OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU, ATHI_OP_QUANTIZE, ATHI_OP_MAX_POOL2D),
     .kernels = athi_cpu_int8},
    {"quantized_conv2d+add+relu+quantize", OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU, ATHI_OP_QUANTIZE), .kernels = athi_cpu_int8},
    {"quantized_conv2d+add+relu+max_pool2d", OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU, ATHI_OP_MAX_POOL2D), .kernels = athi_cpu_int8},
    {"quantized_conv2d+add+quantize", OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD, ATHI_OP_QUANTIZE), .kernels = athi_cpu_int8},
    {"quantized_conv2d+add+relu",   OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD, ATHI_OP_RELU), .kernels = athi_cpu_int8},
    {"quantized_conv2d+add",        OPS(ATHI_OP_QUANTIZED_CONV2D, ATHI_OP_ADD), .kernels = athi_cpu_int8},
    {"quantized_matmul+add+relu",   OPS(ATHI_OP_QUANTIZED_MATMUL, ATHI_OP_ADD, ATHI_OP_RELU), .kernels = athi_cpu_int8},
    {"quantized_matmul+add",        OPS(ATHI_OP_QUANTIZED_MATMUL, ATHI_OP_ADD), .kernels = athi_cpu_int8},
    {"relu_grad+batch_norm_grad+sum_to", OPS(ATHI_OP_RELU_GRAD, ATHI_OP_BATCH_NORM_GRAD, ATHI_OP_SUM_TO), .escapes = ESCAPES(1),
     .kernels = athi_cpu_relu_norm_grad},
    {"relu_grad+batch_norm_grad", OPS(ATHI_OP_RELU_GRAD, ATHI_OP_BATCH_NORM_GRAD), .kernels = athi_cpu_relu_norm_grad},
    {"batch_norm_train+relu", OPS(ATHI_OP_BATCH_NORM_TRAIN, ATHI_OP_RELU), .kernels = athi_cpu_norm},
    {"batch_norm_infer+relu", OPS(ATHI_OP_BATCH_NORM_INFER, ATHI_OP_RELU), .kernels = athi_cpu_norm},
    {"max_pool2d_grad+relu_grad+sum_to", OPS(ATHI_OP_MAX_POOL2D_GRAD, ATHI_OP_RELU_GRAD, ATHI_OP_SUM_TO), .escapes = ESCAPES(1),
     .kernels = athi_cpu_pool_relu_grad},
    {"max_pool2d_grad+relu_grad", OPS(ATHI_OP_MAX_POOL2D_GRAD, ATHI_OP_RELU_GRAD), .kernels = athi_cpu_pool_relu_grad},
    {"relu_grad+sum_to", OPS(ATHI_OP_RELU_GRAD, ATHI_OP_SUM_TO), .escapes = ESCAPES(0), .kernels = athi_cpu_relu_grad_sum},
    {"add+relu",         OPS(ATHI_OP_ADD, ATHI_OP_RELU),                .kernels = athi_cpu_add_relu},
    {0},
};
/* clang-format on */
