/* Cases of convolution and pooling. Images [B, H, W, C], kernels [kh, kw, C/groups, F]. */
#include "backends/sweep.h"

/* clang-format off */
#define CONV(text, x, kernel, ...) {.op = ATHI_OP_CONV2D, .note = text, INPUTS(2, x, kernel), .attr.window = {__VA_ARGS__}, WRONG(0, 784, 3), .tolerance = 2e-5}
#define POOL(id, text, x, ...) {.op = ATHI_OP_##id, .note = text, INPUTS(1, x), .attr.window = {__VA_ARGS__}, WRONG(0, 2, 49, 3)}
#define POOL_CASES(id)                                                                                              \
    POOL(id, "2x2", FILLED(DISTINCT, 2, 6, 4, 3), .size = {2, 2}, .stride = {2, 2}),                                \
    POOL(id, "odd, same", FILLED(DISTINCT, 2, 7, 5, 8), .size = {2, 2}, .stride = {2, 2}, .same = true),            \
    POOL(id, "overlapping, same", FILLED(DISTINCT, 1, 7, 7, 16), .size = {3, 3}, .stride = {2, 2}, .same = true),   \
    POOL(id, "3x2 valid", FILLED(DISTINCT, 1, 8, 7, 5), .size = {3, 2}, .stride = {1, 2})

static const sweep_case window[] = {
    CONV("1x1", REAL(2, 3, 3, 4), REAL(1, 1, 4, 5), .groups = 1),
    CONV("valid", REAL(2, 6, 5, 3), REAL(3, 3, 3, 4), .groups = 1),
    CONV("same", REAL(1, 5, 7, 2), REAL(3, 3, 2, 3), .same = true),
    CONV("even kernel, same", REAL(1, 6, 6, 2), REAL(2, 4, 2, 3), .same = true),
    CONV("stride", REAL(2, 7, 8, 3), REAL(3, 3, 3, 8), .stride = {2, 2}),
    CONV("stride, same", REAL(1, 8, 7, 3), REAL(3, 3, 3, 2), .stride = {2, 3}, .same = true),
    CONV("dilation", REAL(1, 9, 8, 2), REAL(3, 2, 2, 3), .dilation = {2, 3}),
    CONV("dilation, same", REAL(1, 7, 7, 2), REAL(3, 3, 2, 2), .dilation = {2, 2}, .same = true),
    CONV("groups", REAL(2, 5, 5, 6), REAL(3, 3, 2, 9), .groups = 3),
    CONV("depthwise", REAL(1, 6, 6, 4), REAL(3, 3, 1, 8), .groups = 4, .same = true),
    CONV("image", REAL(2, 12, 12, 1), REAL(3, 3, 1, 16), .groups = 1),
    CONV("blocked channels", REAL(2, 8, 8, 16), REAL(3, 3, 16, 32), .same = true),
    {.op = ATHI_OP_CONV2D_GRAD_X, INPUTS(2, REAL(2, 4, 3, 5), REAL(3, 3, 2, 5)), .attr.window = {.size = {3, 3}, .x = DIMS(2, 6, 5, 2)}, WRONG(0, 2, 5, 3, 5), .tolerance = 2e-5},
    {.op = ATHI_OP_CONV2D_GRAD_X, .note = "stride, same", INPUTS(2, REAL(2, 4, 3, 16), REAL(3, 3, 8, 16)), .attr.window = {.size = {3, 3}, .stride = {2, 2}, .same = true, .x = DIMS(2, 7, 5, 8)}, WRONG(0, 2, 5, 3, 16), .tolerance = 2e-5},
    {.op = ATHI_OP_CONV2D_GRAD_W, INPUTS(2, REAL(2, 6, 5, 2), REAL(2, 4, 3, 5)), .attr.window = {.size = {3, 3}}, WRONG(1, 4, 5), .tolerance = 5e-5},
    {.op = ATHI_OP_CONV2D_GRAD_W, .note = "groups", INPUTS(2, REAL(2, 6, 5, 4), REAL(2, 6, 5, 6)), .attr.window = {.size = {3, 3}, .groups = 2, .same = true}, WRONG(0, 2, 6), .tolerance = 5e-5},
    POOL_CASES(MAX_POOL2D), POOL_CASES(AVERAGE_POOL2D),
    {.op = ATHI_OP_MAX_POOL2D_GRAD, INPUTS(2, REAL(2, 3, 2, 3), {.shape = DIMS(2, 3, 2, 3), .high = 4, .dtype = ATH_U8, .fill = SWEEP_INTEGERS}), .attr.window = {.size = {2, 2}, .stride = {2, 2}, .x = DIMS(2, 6, 5, 3)}, WRONG(0, 2, 3, 3, 3)},
    {.op = ATHI_OP_AVERAGE_POOL2D_GRAD, INPUTS(1, REAL(2, 4, 3, 5)), .attr.window = {.size = {3, 2}, .stride = {2, 2}, .same = true, .x = DIMS(2, 7, 5, 5)}, WRONG(0, 2, 3, 3, 5)},
};
/* clang-format on */

const sweep_family sweep_window = {"window", window, ATHI_COUNT(window)};
