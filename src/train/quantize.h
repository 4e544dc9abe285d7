/* int8 inference of a trained model: see quantize.c. */
#ifndef ATHI_TRAIN_QUANTIZE_H
#define ATHI_TRAIN_QUANTIZE_H

#include "passes/quantize.h"
#include "train/train.h"

/** Ways to choose the range in which inputs are rounded: calibrate.c. */
extern const athi_kind athi_calibrations;

/* What the float model is run over: `samples` of the part, spread evenly. */
typedef struct athi_calibration_data {
    const athi_part *part;
    const athi_preprocess *preprocess;
    int64_t samples;
} athi_calibration_data;

/** ranges[n]: the magnitude up to which inputs of the list's int8 convolutions are told apart, chosen by `how`, a row of
 *  athi_calibrations; 0 for other layers. */
ath_status athi_model_calibrate(ath_model *model, athi_arena *arena, const athi_quantizable *list, int64_t n,
                                const athi_calibration_data *data, ath_spec how, float *ranges);
/** Gives the named layers of a model that is not prepared yet their int8 form; it can then only predict and evaluate.
 *  Weights come by athi_model_load, or from a float model. */
ath_status athi_model_int8(ath_model *model, const char *const *layers, int64_t n);
/** Fills a prepared int8 model from the float model that `list` tells of. */
ath_status athi_model_fill_int8(ath_model *to, const ath_model *from, athi_arena *arena, const athi_quantizable *list,
                                int64_t n, const float *ranges);

#endif
