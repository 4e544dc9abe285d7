/* int8 inference of a trained model: see quantize.c. */
#ifndef ATHI_TRAIN_QUANTIZE_H
#define ATHI_TRAIN_QUANTIZE_H

#include "passes/quantize.h"
#include "train/train.h"

/** Largest magnitudes abs_max[n] of what the int8 convolutions of the list will read, over `samples` of the part. */
ath_status athi_model_calibrate(ath_model *model, athi_arena *arena, const athi_quantizable *list, int64_t n,
                                const athi_part *part, const athi_preprocess *p, int64_t samples, float *abs_max);
/** Gives the named layers of a model that is not prepared yet their int8 form; it can then only predict and evaluate.
 *  Weights come by athi_model_load, or from a float model. */
ath_status athi_model_int8(ath_model *model, const char *const *layers, int64_t n);
/** Fills a prepared int8 model from the float model that `list` tells of. */
ath_status athi_model_fill_int8(ath_model *to, const ath_model *from, athi_arena *arena, const athi_quantizable *list,
                                int64_t n, const float *abs_max);

#endif
