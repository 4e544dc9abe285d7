/* Cases of normalisation. */
#include "backends/sweep.h"

/* clang-format off */
#define EPSILON .attr.norm = {1e-3, 0.9, false}
#define CHANNELS(C) FROM(0.5, 1.5, C), REAL(C)
#define MOVING(C) FIXED(-0.5, 0.5, C), FIXED(0.5, 1.5, C)

static const sweep_case norm[] = {
    {.op = ATHI_OP_BATCH_NORM, .becomes = true, INPUTS(5, REAL(6, 3), CHANNELS(3), MOVING(3)), EPSILON, WRONG(1, 4)},
    {.op = ATHI_OP_BATCH_NORM, .note = "frozen", .becomes = true, INPUTS(5, REAL(6, 3), CHANNELS(3), MOVING(3)), .attr.norm = {1e-3, 0.9, true}, WRONG(4, 4)},
    {.op = ATHI_OP_BATCH_NORM_TRAIN, INPUTS(3, REAL(9, 5), CHANNELS(5)), EPSILON, WRONG(1, 4)},
    {.op = ATHI_OP_BATCH_NORM_TRAIN, .note = "images", INPUTS(3, REAL(3, 4, 5, 16), CHANNELS(16)), EPSILON, WRONG(2, 1, 16), .tolerance = 5e-5},
    {.op = ATHI_OP_BATCH_NORM_INFER, INPUTS(5, REAL(7, 5), CHANNELS(5), MOVING(5)), EPSILON, WRONG(3, 4)},
    {.op = ATHI_OP_BATCH_NORM_INFER, .note = "images", INPUTS(5, REAL(2, 3, 5, 8), CHANNELS(8), MOVING(8)), EPSILON, WRONG(4, 9)},
    {.op = ATHI_OP_BATCH_NORM_GRAD, INPUTS(5, REAL(9, 5), REAL(9, 5), FROM(0.5, 1.5, 5), MOVING(5)), EPSILON, WRONG(0, 9, 4)},
    {.op = ATHI_OP_BATCH_NORM_GRAD, .note = "images", INPUTS(5, REAL(2, 3, 5, 8), REAL(2, 3, 5, 8), FROM(0.5, 1.5, 8), MOVING(8)), EPSILON, WRONG(2, 7), .tolerance = 5e-5},
    {.op = ATHI_OP_LAYER_NORM, INPUTS(3, REAL(4, 7), CHANNELS(7)), EPSILON, WRONG(1, 6)},
    {.op = ATHI_OP_LAYER_NORM, .note = "rank 3", INPUTS(3, REAL(3, 2, 33), CHANNELS(33)), EPSILON, WRONG(2, 32), .tolerance = 5e-5},
    {.op = ATHI_OP_LAYER_NORM_GRAD, INPUTS(5, REAL(9, 5), REAL(9, 5), FROM(0.5, 1.5, 5), MOVING(9)), EPSILON, WRONG(0, 9, 4)},
    {.op = ATHI_OP_LAYER_NORM_GRAD, .note = "wide", INPUTS(5, REAL(3, 67), REAL(3, 67), FROM(0.5, 1.5, 67), MOVING(3)), EPSILON, WRONG(2, 5), .tolerance = 5e-5},
};
/* clang-format on */

const sweep_family sweep_norm = {"norm", norm, ATHI_COUNT(norm)};
