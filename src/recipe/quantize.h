/* int8 copies of model files: see quantize.c. */
#ifndef ATHI_RECIPE_QUANTIZE_H
#define ATHI_RECIPE_QUANTIZE_H

#include "recipe/recipe.h"

/** Another key of a model file's metadata, as JSON text. */
ath_status athi_metadata_put(ath_ctx *ctx, athi_arena *arena, athi_value *metadata, const char *key,
                             const athi_value *value);
/** The loaded model's net once more, compiled but not prepared, its loss without the regularisers. */
ath_status athi_loaded_rebuild(ath_ctx *ctx, const athi_loaded *loaded, ath_model **model);

ath_status athi_quantize_opts_check(ath_ctx *ctx, const athi_quantize_opts *opts);
/* What a model is calibrated with, and what both are compared on. */
typedef struct athi_quantize_data {
    const athi_part *calibration, *judged; /* judged->n = 0: they are not compared */
    const char *judged_name;
} athi_quantize_data;
/** The training part, and the test part or else the validation part. */
athi_quantize_data athi_quantize_data_of(const athi_data *data);
/** Writes the int8 form of the float model file `before` to `after`. ATH_E_UNSUPPORTED: none of its layers can be int8,
 *  or it is int8 already. `report`: {"to", "file", "layers": [{"layer", "became", "inputs" or "reason"}], "part",
 *  "float32" and "int8": {"bytes", "samples_per_second", "loss", metrics…}}. */
ath_status athi_quantize_file(ath_ctx *ctx, athi_arena *arena, const char *before, const char *after,
                              const athi_quantize_opts *opts, const athi_quantize_data *data, athi_value **report);

#endif
