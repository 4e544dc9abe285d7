/* `data.augment`: reading it, and training batches with it.
 *
 *   stored samples ─> f32 ─> each sample's augmentations, or the whole batch mixed, in order ─> scale, normalize
 *
 * They see the values as they are stored, as ImageDataGenerator does: u8 pixels are 0 to 255. */
#include "data/data.h"

/* ---- reading ------------------------------------------------------------------------------------- */

/* ImageDataGenerator standardises too; here that is data.normalize, which also holds when nothing is augmented. */
static ath_status take_standardization(ath_ctx *ctx, const athi_generator_opts *o, int *normalize) {
    bool feature = o->featurewise_center || o->featurewise_std_normalization,
         sample = o->samplewise_center || o->samplewise_std_normalization;
    int wanted = o->featurewise_std_normalization  ? ATHI_NORMALIZE_FEATUREWISE
                 : o->featurewise_center           ? ATHI_NORMALIZE_FEATUREWISE_CENTER
                 : o->samplewise_std_normalization ? ATHI_NORMALIZE_SAMPLEWISE
                                                   : ATHI_NORMALIZE_SAMPLEWISE_CENTER;
    if (!feature && !sample) return ATH_OK;
    if (feature && sample)
        return athi_fail(
            ctx, ATH_E_OPTION,
            "data.augment: featurewise and samplewise standardisation exclude each other; leave one away");
    if (*normalize != ATHI_NORMALIZE_NONE && *normalize != wanted)
        return athi_fail(ctx, ATH_E_OPTION,
                         "data.augment: asks for the standardisation '%s', but data.normalize is '%s'",
                         athi_normalize_names[wanted], athi_normalize_names[*normalize]);
    *normalize = wanted;
    return ATH_OK;
}

static ath_status read_one(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_augment *out, int *normalize) {
    void *opts;
    ATH_TRY(athi_spec_read(ctx, arena, &athi_augments, v, "data.augment", &out->row, &opts));
    out->opts = opts;
    if (strcmp(out->row->name, "image_data_generator") != 0) return ATH_OK;
    return take_standardization(ctx, opts, normalize);
}

/* {width_shift_range: 0.1, …}: options of ImageDataGenerator, not {random_flip: …}. */
static bool is_generator(const athi_value *v) {
    return v->type == ATHI_MAP && !v->tag && !(v->n == 1 && athi_row_find(&athi_augments, v->keys[0]));
}

static ath_status read_generator(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_augment *out,
                                 int *normalize) {
    const athi_row *row = athi_row_find(&athi_augments, "image_data_generator");
    void *opts = athi_arena_alloc(arena, (int64_t)row->opts_size);
    if (!opts) return ATH_E_NOMEM;
    ATH_TRY(athi_options_read(ctx, arena, row, v, NULL, "data.augment", opts));
    *out = (athi_augment){row, opts};
    return take_standardization(ctx, opts, normalize);
}

ath_status athi_augment_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_augment_list *list,
                             int *normalize) {
    *list = (athi_augment_list){0};
    if (!v || v->type == ATHI_NULL) return ATH_OK;
    bool many = v->type == ATHI_LIST;
    int n = many ? (int)ATHI_MIN(v->n, 64) : 1;
    athi_augment *items = athi_arena_array(arena, n + 1, (int64_t)sizeof *items);
    if (!items) return ATH_E_NOMEM;
    if (many && v->n > n) return athi_fail(ctx, ATH_E_OPTION, "data.augment: more than %d augmentations", n);
    for (int i = 0; i < n; i++) {
        const athi_value *item = many ? v->items[i] : v;
        if (item->type == ATHI_NULL) continue; /* a branch of a choice: nothing */
        if (is_generator(item) && !many)
            ATH_TRY(read_generator(ctx, arena, item, &items[list->n++], normalize));
        else
            ATH_TRY(read_one(ctx, arena, item, &items[list->n++], normalize));
    }
    list->items = items;
    return ATH_OK;
}

ath_status athi_augment_fit(ath_ctx *ctx, athi_augment_list *list, athi_shape s) {
    char text[96];
    if (!list->n) return ATH_OK;
    if (s.rank != 2 && s.rank != 3)
        return athi_fail(
            ctx, ATH_E_SHAPE,
            "data.augment: expected images [height, width] or [height, width, channels], but the samples are "
            "%s",
            athi_shape_str(s, text));
    list->frame = (athi_frame){s.dim[0], s.dim[1], s.rank == 3 ? s.dim[2] : 1};
    for (int i = 0; i < list->n; i++) {
        const athi_row *row = list->items[i].row;
        const athi_augment_impl *impl = row->impl;
        if (impl->size)
            return athi_fail(ctx, ATH_E_OPTION,
                             "data.augment: %s changes the size of an image; write it as a layer of the model",
                             row->name);
        ath_status status = athi_augment_check(ctx, row, list->items[i].opts, list->frame);
        if (status != ATH_OK) return athi_fail_prefix(ctx, status, "data.augment");
        list->mixes = list->mixes || impl->mix;
    }
    return ATH_OK;
}

/* ---- batches ------------------------------------------------------------------------------------- */

/* An image; with mixing also a copy of the batch, of its targets, and the partners. */
int64_t athi_augment_scratch(const athi_augment_list *list, int64_t batch, int64_t classes) {
    int64_t size = athi_frame_count(list->frame), partners = batch * (int64_t)(sizeof(int64_t) / sizeof(float));
    if (!list->n) return 0;
    return size + (list->mixes ? batch * (size + classes) + partners + 2 : 0); /* 2: partners are aligned */
}

typedef struct working {
    const athi_augment_list *list;
    const athi_batch_key *key;
    const int64_t *order;
    int64_t n, size, classes;
    float *x, *targets; /* of the batch */
    float *image;
    float *x_copy, *targets_copy;
    int64_t *partner;
} working;

static void lay_out(working *w, float *scratch) {
    w->image = scratch, scratch += w->size;
    if (!w->list->mixes) return;
    w->partner = (int64_t *)(((uintptr_t)scratch + 7) / 8 * 8);
    w->x_copy = (float *)(void *)(w->partner + w->n), w->targets_copy = w->x_copy + w->n * w->size;
}

/* The augmentations [from, to) of sample i of the batch. */
static void change_sample(const working *w, int from, int to, int64_t i) {
    float *at = w->x + i * w->size, *other = w->image;
    athi_frame f = w->list->frame;
    for (int k = from; k < to; k++) {
        const athi_augment *a = &w->list->items[k];
        athi_rng rng =
            athi_augment_rng(w->key->seed, ATHI_PURPOSE(ATHI_RNG_AUGMENT, w->key->epoch), (uint64_t)w->order[i], k);
        if (!((const athi_augment_impl *)a->row->impl)->image(a->opts, &rng, at, f, other, f)) continue;
        float *t = at;
        at = other, other = t;
    }
    if (at == w->image) memcpy(w->x + i * w->size, at, (size_t)w->size * sizeof *at);
}

/* Of the batch whose first sample is `first`: numbers of batches and of samples never meet. */
static uint64_t batch_index(int64_t first) { return (uint64_t)1 << 62 | (uint64_t)first; }

static void mix_batch(const working *w, int k) {
    const athi_augment *a = &w->list->items[k];
    athi_rng rng =
        athi_augment_rng(w->key->seed, ATHI_PURPOSE(ATHI_RNG_AUGMENT, w->key->epoch), batch_index(w->key->first), k);
    for (int64_t i = 0; i < w->n; i++) w->partner[i] = i;
    for (int64_t i = w->n - 1; i > 0; i--) {
        int64_t j = (int64_t)athi_rng_below(&rng, (uint64_t)i + 1), t = w->partner[i];
        w->partner[i] = w->partner[j], w->partner[j] = t;
    }
    memcpy(w->x_copy, w->x, (size_t)(w->n * w->size) * sizeof(float));
    memcpy(w->targets_copy, w->targets, (size_t)(w->n * w->classes) * sizeof(float));
    athi_mixing m = {w->n, w->classes, w->list->frame, w->x_copy, w->targets_copy, w->x, w->targets, w->partner};
    ((const athi_augment_impl *)a->row->impl)->mix(a->opts, &rng, &m);
}

static int next_mix(const athi_augment_list *list, int from) {
    while (from < list->n && !((const athi_augment_impl *)list->items[from].row->impl)->mix) from++;
    return from;
}

void athi_batch_augmented(const athi_part *part, const athi_preprocess *p, const athi_augment_list *list,
                          const athi_batch_key *key, const int64_t *order, int64_t n, float *x, float *targets,
                          int64_t classes, float *scratch) {
    static const float one = 1, zero = 0;
    const athi_preprocess as_stored = {.scale = 1, .factor = &one, .shift = &zero, .period = 1, .threads = 1};
    working w = {list, key, order, n, athi_frame_count(list->frame), classes, x, targets, NULL, NULL, NULL, NULL};
    lay_out(&w, scratch);
    athi_batch_x(part, &as_stored, order, n, x);
    for (int from = 0, to; from < list->n; from = to + 1) {
        to = next_mix(list, from);
        for (int64_t i = 0; i < n; i++) change_sample(&w, from, to, i);
        if (to < list->n) mix_batch(&w, to);
    }
    athi_preprocess_apply(p, x, n, w.size, x);
}
