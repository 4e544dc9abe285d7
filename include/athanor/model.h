/* Data and models: opening, compiling, training, evaluating, predicting, saving.
 *
 *     ath_data *data;
 *     ath_data_open(ctx, &data, .source = "fashion-mnist", .validation = 10000, .batch = 128);
 *     ath_model *model;
 *     ath_model_create(ctx, &model);
 *     ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28));
 *     x = ath_dense(ath_flatten(x), .units = 10, .activation = ATH_SOFTMAX);
 *     ath_model_compile(model, data, .loss = {"sparse_categorical_crossentropy"}, .metrics = {{"accuracy"}});
 *     ath_model_fit(model, data, .epochs = 5);
 *
 * Everything returns a status; the sentence is ath_errmsg(ctx). */
#ifndef ATHANOR_MODEL_H
#define ATHANOR_MODEL_H

#include "athanor/augment.h"
#include "athanor/callbacks.h"
#include "athanor/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- data ---------------------------------------------------------------------------------------- */

typedef struct ath_data ath_data;
typedef enum ath_part { ATH_TRAIN, ATH_VALIDATION, ATH_TEST } ath_part;

/** Where the samples come from: a named set, or own files (.npy, IDX, gzipped or not). */
typedef struct ath_data_opts {
    size_t struct_size;
    const char *source; /* "fashion-mnist"; NULL: the files below */
    const char *train_x, *train_y;
    const char *test_x, *test_y; /* NULL: no test part */
    double validation;           /* the last so many training samples, or a fraction < 1; 0: none */
    int64_t samples;             /* use the first so many training samples; 0: all */
    int64_t batch;               /* 32 */
    double scale;                /* 1/255 for u8, else 1 */
    bool standardize;            /* subtract mean, divide by deviation of the training part, per channel */
    bool no_shuffle;
    const char *cache; /* folder for decoded files, mapped by all who read them; NULL: none */
    bool one_hot;      /* class numbers as rows of zeros and a one, for losses that take such rows */
    /** Random changes of training images as they are stored, in this order, ended by an empty one: rows of
     * `athanor list augmentations` with the options of athanor/augment.h, {"random_flip", &flips}. */
    ath_spec augment[8];
} ath_data_opts;
/** Reads the samples, or maps them from the cache. x is [samples, …], y [samples] or [samples, …]; images of bytes stay
 *  bytes, 0 to 255, until a batch of them is used. *data is set on success only, and is closed before the context.
 *  Errors: ATH_E_OPTION (unknown source or augmentation, no file, a part larger than the data), ATH_E_NOTFOUND,
 *  ATH_E_SYNTAX and ATH_E_DATA (no such format, damaged, x and y of different lengths, not finite), ATH_E_SHAPE,
 *  ATH_E_UNSUPPORTED, ATH_E_IO, ATH_E_NOMEM. */
ATH_API ath_status ath_data_open_with(ath_ctx *ctx, ath_data **data, const ath_data_opts *opts);
#define ath_data_open(ctx, data, ...)                                                                                \
    ath_data_open_with((ctx), (data), &(ath_data_opts){.struct_size = sizeof(ath_data_opts), __VA_ARGS__})
/** Frees it; no model may use it afterwards. NULL is allowed. */
ATH_API void ath_data_close(ath_data *data);
/** Samples of a part, 0 where the data has none. */
ATH_API int64_t ath_data_count(const ath_data *data, ath_part part);

/* ---- models -------------------------------------------------------------------------------------- */

/** An empty model that computes on the context's backend and threads. It must not outlive the context.
 *  Errors: ATH_E_NOMEM. */
ATH_API ath_status ath_model_create(ath_ctx *ctx, ath_model **model);
/** Frees the model with all its tensors and weights. NULL is allowed. */
ATH_API void ath_model_destroy(ath_model *model);

/** How the layers that are appended from now on compute: "float32", as at first, or "mixed_bfloat16" (`athanor list
 *  "dtype policies"`). Called between layers it sets some of them apart. Weights are float32 in either.
 *  Errors: ATH_E_OPTION another name. That this machine cannot do it is said by ath_model_compile. */
ATH_API ath_status ath_model_set_dtype_policy(ath_model *model, const char *policy);

/** Adds an input [batch, shape...], f32. */
ATH_API ath_tensor *ath_input_with(ath_model *model, const ath_input_opts *opts);
#define ath_input(model, ...)                                                                                        \
    ath_input_with((model), &(ath_input_opts){.struct_size = sizeof(ath_input_opts), __VA_ARGS__})

/** Loss, metrics, optimiser and callbacks, by the names of their rows (`athanor list losses`, …). */
typedef struct ath_compile_opts {
    size_t struct_size;
    ath_tensor *output;  /* predictions; NULL: the last layer's */
    ath_spec loss;       /* required */
    ath_spec metrics[8]; /* ended by an empty one */
    ath_spec optimizer;  /* rmsprop, as Keras */
    uint64_t seed;       /* 0; of the initial weights, the order of the samples, augmentation and dropout */
    /** What happens between the epochs of every ath_model_fit of this model, asked in this order, ended by an empty one:
     * rows of `athanor list callbacks` with the options of athanor/callbacks.h. */
    ath_spec callbacks[8];
} ath_compile_opts;
/** Completes the model for the data's targets and initialises its weights. Reports the first error of the layer
 *  calls. Errors: ATH_E_SHAPE, ATH_E_OPTION (a monitor of a callback that is not reported, too), ATH_E_NOMEM; ATH_E_STATE
 *  when called twice. */
ATH_API ath_status ath_model_compile_with(ath_model *model, const ath_data *data, const ath_compile_opts *opts);
#define ath_model_compile(model, data, ...)                                                                          \
    ath_model_compile_with((model), (data), &(ath_compile_opts){.struct_size = sizeof(ath_compile_opts), __VA_ARGS__})

/** A finished epoch: reports in the order loss, metrics, val_loss, val_metrics, learning_rate, seconds, … */
typedef struct ath_epoch {
    int64_t epoch; /* from 1 */
    int64_t step;  /* updates so far */
    int n;
    const char *const *names;
    const double *values;
} ath_epoch;

typedef struct ath_fit_opts {
    size_t struct_size;
    int64_t epochs;    /* 1; the last epoch's number when a saved state is continued */
    const char *state; /* checkpoints go there, and the training goes on from there; NULL: none */
    const char *log;   /* JSON lines, one an epoch; NULL: none */
    /** Called after each epoch; true stops the training. */
    bool (*on_epoch)(void *user, const ath_epoch *epoch);
    void *user;
    int64_t steps_per_execution; /* 1: updates in a row between two checkpoints at most */
} ath_fit_opts;
/** Trains on the training part; the validation part, if there is one, is evaluated after every epoch. Where no saved state is
 *  continued, another call trains on with the weights and the optimiser as they are, its epochs from 1 again.
 *  Errors: ATH_E_STATE (not compiled), ATH_E_DATA, ATH_E_SHAPE (data and model do not fit), ATH_E_FAILED (NaN), ATH_E_IO,
 *  ATH_E_NOMEM; the model keeps the weights of the last step. */
ATH_API ath_status ath_model_fit_with(ath_model *model, const ath_data *data, const ath_fit_opts *opts);
#define ath_model_fit(model, data, ...)                                                                              \
    ath_model_fit_with((model), (data), &(ath_fit_opts){.struct_size = sizeof(ath_fit_opts), __VA_ARGS__})

/** Loss and metrics over a part: values[0] the loss, then the metrics in their order; n: room in values.
 *  Errors: ATH_E_STATE (not compiled), ATH_E_OPTION (n too small), ATH_E_SHAPE, ATH_E_NOMEM. */
ATH_API ath_status ath_model_evaluate(ath_model *model, const ath_data *data, ath_part part, double *values, int n);
/** What the last layer gives for a part: out [count, outputs...] f32, count that of ath_data_count.
 *  Errors: ATH_E_STATE (not compiled), ATH_E_SHAPE, ATH_E_NOMEM. */
ATH_API ath_status ath_model_predict(ath_model *model, const ath_data *data, ath_part part, float *out);
/** Weights and statistics into a safetensors file, by name: the old file or the new one, never a part.
 *  Errors: ATH_E_STATE (not compiled), ATH_E_IO, ATH_E_NOMEM. */
ATH_API ath_status ath_model_save_weights(ath_model *model, const char *path);
/** The same back into a model with the same names and shapes; the optimiser's state stays.
 *  Errors: ATH_E_STATE (not compiled), ATH_E_NOTFOUND, ATH_E_SYNTAX and ATH_E_DATA (damaged, or a weight is
 *  missing), ATH_E_SHAPE (one has another shape), ATH_E_IO, ATH_E_NOMEM; then the weights are as they were. */
ATH_API ath_status ath_model_load_weights(ath_model *model, const char *path);
/** Elements of all weights that are trained. */
ATH_API int64_t ath_model_parameters(const ath_model *model);

#ifdef __cplusplus
}
#endif
#endif
