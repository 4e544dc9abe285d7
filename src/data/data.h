/* Data: files -> arrays of samples -> parts (train, validation, test) -> batches of float32.
 *
 *   reader rows (idx, npy, csv) ─> athi_array ─> cache file, mapped by every worker
 *                                                └─> athi_part ─> athi_batch_*
 *
 * Pixels stay as they are stored (u8); scaling and normalisation happen while a batch is gathered. */
#ifndef ATHI_DATA_H
#define ATHI_DATA_H

#include "augment/augment.h"
#include "base/file.h"
#include "base/options.h"
#include "base/philox.h"
#include "tensor/tensor.h"

/* Samples in front: x [n, ...], y [n] or [n, ...]. */
typedef struct athi_array {
    ath_dtype dtype;
    athi_shape shape;
    const void *data;
} athi_array;
int64_t athi_array_row_bytes(const athi_array *a);

/* What one reader call gives; y.data NULL when the file holds x only. */
typedef struct athi_table {
    athi_array x, y;
    const char *const *class_names; /* NULL: labels are numbers */
    int64_t n_classes;              /* of class_names */
} athi_table;

/** impl of a reader row. `label`: csv's label column, NULL for the others. Arrays lie in the arena or in
 * `file`, which lives as long. */
typedef struct athi_reader_impl {
    const char *const *suffixes;                   /* NULL-ended: ".npy", … ; ".gz" may follow */
    bool (*sniff)(const char *data, int64_t size); /* by its first bytes, or NULL */
    ath_status (*parse)(ath_ctx *ctx, athi_arena *arena, const char *path, const char *file, int64_t size,
                        const char *label, athi_table *table);
} athi_reader_impl;
extern const athi_kind athi_readers;

/** Reads a file by its suffix or first bytes. With a cache folder, what costs time to decode (gz, csv) is
 * decoded once into a safetensors file there and mapped from then on (*map, to be unmapped by the owner);
 * cache NULL, or not writable: decoded into the arena. Errors: missing, truncated, of another kind, NaN or
 * infinity in it: sentences with path and place. */
ath_status athi_table_load(ath_ctx *ctx, athi_arena *arena, const char *path, const char *label, const char *cache,
                           athi_map *map, athi_table *table);

/* ---- the data of a recipe ------------------------------------------------------------------------ */

typedef enum athi_normalize {
    ATHI_NORMALIZE_NONE,
    ATHI_NORMALIZE_FEATUREWISE,
    ATHI_NORMALIZE_SAMPLEWISE,
    ATHI_NORMALIZE_FEATUREWISE_CENTER, /* the mean alone */
    ATHI_NORMALIZE_SAMPLEWISE_CENTER
} athi_normalize;
extern const char *const athi_normalize_names[]; /* NULL-ended */

/* The `data:` section; rows in athi_data_row. */
typedef struct athi_data_opts {
    size_t struct_size;
    bool exact;
    const char *source; /* a named set ("fashion-mnist"), or the kind of the files */
    const athi_value *train, *validation, *test;
    int64_t samples; /* use the first so many training samples; 0: all */
    int64_t batch;
    double scale;  /* 0: 1/255 for u8, else 1 */
    int normalize; /* athi_normalize */
    bool shuffle;
    const athi_value *augment;
    bool one_hot;
} athi_data_opts;
extern const athi_row athi_data_row;
extern const athi_kind athi_sources; /* named sets, for `athanor list sources` */

/* x -> (x * scale - mean[c]) / (std[c] + 1e-6): what travels with the model. */
typedef struct athi_preprocess {
    double scale;
    athi_normalize normalize;
    int64_t n; /* 0, 1 or channels */
    double *mean, *std;
    /* made by athi_preprocess_ready: x * factor[c % period] + shift[c % period], by the processor's kernel */
    const float *factor, *shift;
    int64_t period;
    int threads;
} athi_preprocess;
/** Prepares the fast gather, unless the numbers are each sample's own; without it batches are converted by a plain loop. */
ath_status athi_preprocess_ready(ath_ctx *ctx, athi_arena *arena, athi_preprocess *p);
/** n samples of `size` values each as they are stored -> as the model sees them; `to` may be `from`. */
void athi_preprocess_apply(const athi_preprocess *p, const float *from, int64_t n, int64_t size, float *to);
ath_status athi_preprocess_write(athi_arena *arena, const athi_preprocess *p, athi_value **out);
ath_status athi_preprocess_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_preprocess *out);

/* One of the augmentations of training batches. */
typedef struct athi_augment {
    const athi_row *row; /* of athi_augments */
    const void *opts;
} athi_augment;

/* What training batches go through, in order; n = 0: nothing. */
typedef struct athi_augment_list {
    const athi_augment *items;
    int n;
    bool mixes; /* one of them mixes images and targets of a batch */
    athi_frame frame;
} athi_augment_list;
/** Reads `data.augment`: a list of augmentations, one, or the options of ImageDataGenerator, whose standardisation becomes
 * `*normalize`. */
ath_status athi_augment_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_augment_list *list,
                             int *normalize);
/** Do they fit samples of this shape? Sets the list's frame and whether it mixes. */
ath_status athi_augment_fit(ath_ctx *ctx, athi_augment_list *list, athi_shape sample);

/* n samples of arrays, from `begin` on. Where a fold was taken out of the middle, those from number gap_at on lie `gap`
 * rows further. */
typedef struct athi_part {
    athi_array x, y;
    int64_t begin, n;
    int64_t gap_at, gap;
} athi_part;

typedef struct athi_data {
    athi_arena *arena;
    athi_part train, validation, test; /* n = 0: none */
    athi_shape sample_shape, target_shape;
    const char *const *class_names;
    int64_t n_classes; /* 1 + largest integer label of all parts, or of class_names; 0: targets are no classes */
    athi_preprocess preprocess;
    athi_augment_list augment;
    int64_t batch;
    bool shuffle;
    athi_map maps[8]; /* of the files */
    int n_maps;
} athi_data;

/** Opens all parts. `folder`: what relative paths start from. `validation`: N samples, or a fraction < 1,
 * from the end of the training set before shuffling (floor(n (1 - f)) stay), {fold: i, of: k}: the i-th (from 0) of k
 * equal pieces, or files of its own. */
ath_status athi_data_open(ath_ctx *ctx, const athi_data_opts *opts, const char *folder, const char *cache,
                          athi_data **data);
/** A part made of the training and the validation samples together; of files of their own, in new memory of the data. */
ath_status athi_data_join(ath_ctx *ctx, const athi_data *data, athi_part *joined);
/** Could athi_data_join? Sentence if dtypes or shapes differ. */
ath_status athi_data_can_join(ath_ctx *ctx, const athi_data *data);
void athi_data_close(athi_data *data);
/** What athi_data_open does last: augmentations and preprocessing, whose statistics are fitted on the training part. */
ath_status athi_preprocess_open(ath_ctx *ctx, athi_data *data, const athi_data_opts *opts);

/* ---- batches ------------------------------------------------------------------------------------- */

/** The order of an epoch (from 0): a Fisher-Yates shuffle keyed by (seed, epoch), or 0..n-1. */
void athi_epoch_order(uint64_t seed, int64_t epoch, int64_t n, bool shuffle, int64_t *order);
/** Gathers samples order[0..n) of the part as float32, preprocessed, into x [n, ...]. */
void athi_batch_x(const athi_part *part, const athi_preprocess *p, const int64_t *order, int64_t n, float *x);
/** The same for training: with the augmentations, keyed by (seed, epoch, sample) and, where a batch is mixed, by (seed, epoch,
 * number of its first sample). `targets` [n, classes]: already gathered, mixed with the images; NULL where nothing is mixed.
 * scratch: athi_augment_scratch floats. */
typedef struct athi_batch_key {
    uint64_t seed;
    int64_t epoch, first; /* `first`: place of the batch's first sample in the order of the epoch */
} athi_batch_key;
int64_t athi_augment_scratch(const athi_augment_list *list, int64_t batch, int64_t classes);
void athi_batch_augmented(const athi_part *part, const athi_preprocess *p, const athi_augment_list *list,
                          const athi_batch_key *key, const int64_t *order, int64_t n, float *x, float *targets,
                          int64_t classes, float *scratch);
/** Targets as the loss wants them: class numbers i32 [n] (one-hot rows are turned back), or float32 [n, ...]
 *  (class numbers become one-hot rows when `classes` > 1 and the target is a vector). */
void athi_batch_classes(const athi_part *part, const int64_t *order, int64_t n, int32_t *y);
void athi_batch_targets(const athi_part *part, const int64_t *order, int64_t n, int64_t classes, float *y);
/** Can the part's targets serve? Sentence if a label lies outside 0..classes-1 or the shapes differ. */
ath_status athi_part_check_classes(ath_ctx *ctx, const athi_part *part, const char *what, int64_t classes);

#endif
