/* Preprocessing: scale and standardisation, and how they travel with a model. */
#include "data/data.h"

#include "backends/cpu/cpu.h"

#include <math.h>

const char *const athi_normalize_names[] = {
    "none", "featurewise", "samplewise", "featurewise_center", "samplewise_center", NULL};

static bool is_featurewise(const athi_preprocess *p) {
    return p->normalize == ATHI_NORMALIZE_FEATUREWISE || p->normalize == ATHI_NORMALIZE_FEATUREWISE_CENTER;
}
static bool is_samplewise(const athi_preprocess *p) {
    return p->normalize == ATHI_NORMALIZE_SAMPLEWISE || p->normalize == ATHI_NORMALIZE_SAMPLEWISE_CENTER;
}
/* What is divided by. */
static double deviation(const athi_preprocess *p, double std) {
    bool centers =
        p->normalize == ATHI_NORMALIZE_FEATUREWISE_CENTER || p->normalize == ATHI_NORMALIZE_SAMPLEWISE_CENTER;
    return centers ? 1 : std + 1e-6;
}

/* ---- applying ------------------------------------------------------------------------------------ */

static void standardize(const athi_preprocess *p, float *x, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        int64_t c = p->n == 1 ? 0 : j % p->n;
        x[j] = (float)(((double)x[j] - p->mean[c]) / deviation(p, p->std[c]));
    }
}

static void standardize_sample(const athi_preprocess *p, float *x, int64_t n) {
    double sum = 0, squares = 0;
    for (int64_t j = 0; j < n; j++) sum += (double)x[j];
    double mean = sum / (double)n;
    for (int64_t j = 0; j < n; j++) squares += ((double)x[j] - mean) * ((double)x[j] - mean);
    double std = deviation(p, sqrt(squares / (double)n));
    for (int64_t j = 0; j < n; j++) x[j] = (float)(((double)x[j] - mean) / std);
}

void athi_preprocess_apply(const athi_preprocess *p, const float *from, int64_t n, int64_t size, float *to) {
    if (p->factor) { /* by the processor's kernel, as one long sample: the period divides its size */
        athi_cpu()->gather_f32(1, 1, n * size, from, &(int64_t){0}, p->factor, p->shift, p->period, to);
        return;
    }
    float scale = (float)p->scale;
    for (int64_t i = 0; i < n; i++, from += size, to += size) {
        for (int64_t j = 0; j < size; j++) to[j] = from[j] * scale;
        if (is_featurewise(p)) standardize(p, to, size);
        if (is_samplewise(p)) standardize_sample(p, to, size);
    }
}

/* ---- fitting ------------------------------------------------------------------------------------- */

/* Mean and deviation per channel over the training part, of the scaled values; two passes in double. */
static ath_status fit_statistics(athi_data *d) {
    athi_preprocess *p = &d->preprocess;
    int rank = d->sample_shape.rank;
    int64_t row = ATHI_MAX(athi_shape_count(d->sample_shape), 1);
    p->n = rank == 1 || rank >= 3 ? d->sample_shape.dim[rank - 1] : 1;
    p->mean = athi_arena_array(d->arena, p->n, sizeof(double));
    p->std = athi_arena_array(d->arena, p->n, sizeof(double));
    double *squares = athi_arena_array(d->arena, p->n, sizeof(double));
    float *x = athi_arena_array(d->arena, row, sizeof(float));
    if (!p->mean || !p->std || !squares || !x) return ATH_E_NOMEM;
    athi_preprocess plain = {.scale = p->scale};
    double per_channel = (double)d->train.n * (double)(row / p->n);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < d->train.n; i++) {
            int64_t at = i;
            athi_batch_x(&d->train, &plain, &at, 1, x);
            for (int64_t j = 0; j < row; j++) {
                double v = (double)x[j], c = v - p->mean[j % p->n];
                if (pass)
                    squares[j % p->n] += c * c;
                else
                    p->std[j % p->n] += v; /* the sum, until it becomes the mean */
            }
        }
        for (int64_t c = 0; c < p->n; c++)
            if (pass)
                p->std[c] = sqrt(squares[c] / per_channel);
            else
                p->mean[c] = p->std[c] / per_channel;
    }
    return ATH_OK;
}

/* ---- preparing, writing, reading ----------------------------------------------------------------- */

ath_status athi_preprocess_ready(ath_ctx *ctx, athi_arena *arena, athi_preprocess *p) {
    bool featurewise = is_featurewise(p);
    if (is_samplewise(p)) return ATH_OK; /* no numbers of its own */
    p->period = featurewise ? p->n : 1;
    float *factor = athi_arena_array(arena, p->period, sizeof *factor),
          *shift = athi_arena_array(arena, p->period, sizeof *shift);
    if (!factor || !shift) return ATH_E_NOMEM;
    for (int64_t c = 0; c < p->period; c++) {
        double std = featurewise ? deviation(p, p->std[c]) : 1, mean = featurewise ? p->mean[c] : 0;
        factor[c] = (float)(p->scale / std), shift[c] = (float)(-mean / std);
    }
    p->factor = factor, p->shift = shift, p->threads = ctx->threads;
    return ATH_OK;
}

ath_status athi_preprocess_open(ath_ctx *ctx, athi_data *d, const athi_data_opts *o) {
    athi_preprocess *p = &d->preprocess;
    int normalize = o->normalize;
    ATH_TRY(athi_augment_read(ctx, d->arena, o->augment, &d->augment, &normalize));
    ATH_TRY(athi_augment_fit(ctx, &d->augment, d->sample_shape));
    p->scale = o->scale != 0 ? o->scale : d->train.x.dtype == ATH_U8 ? 1.0 / 255 : 1;
    p->normalize = (athi_normalize)normalize;
    if (is_featurewise(p)) ATH_TRY(fit_statistics(d));
    return athi_preprocess_ready(ctx, d->arena, p);
}

static ath_status put_numbers(athi_arena *arena, athi_value *map, const char *key, const double *v, int64_t n) {
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) ATH_TRY(athi_value_append(arena, list, athi_value_float(arena, v[i])));
    return athi_value_set(arena, map, key, list);
}

ath_status athi_preprocess_write(athi_arena *arena, const athi_preprocess *p, athi_value **out) {
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, map, "scale", athi_value_float(arena, p->scale)));
    ATH_TRY(athi_value_set(arena, map, "normalize", athi_value_string(arena, athi_normalize_names[p->normalize])));
    if (p->n) {
        ATH_TRY(put_numbers(arena, map, "mean", p->mean, p->n));
        ATH_TRY(put_numbers(arena, map, "std", p->std, p->n));
    }
    *out = map;
    return ATH_OK;
}

static ath_status get_numbers(ath_ctx *ctx, athi_arena *arena, const athi_value *list, double **v, int64_t *n) {
    *n = list && list->type == ATHI_LIST ? list->n : 0;
    *v = athi_arena_array(arena, *n + 1, sizeof **v);
    if (!*v) return ATH_E_NOMEM;
    for (int64_t i = 0; i < *n; i++)
        if (!athi_value_number(list->items[i], &(*v)[i]))
            return athi_fail(ctx, ATH_E_DATA, "preprocess: mean and std must be lists of numbers");
    return ATH_OK;
}

ath_status athi_preprocess_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_preprocess *out) {
    *out = (athi_preprocess){.scale = 1};
    const athi_value *normalize = athi_value_get(v, "normalize"), *scale = athi_value_get(v, "scale");
    if (!scale || !athi_value_number(scale, &out->scale) || !normalize || normalize->type != ATHI_STRING)
        return athi_fail(ctx, ATH_E_DATA, "preprocess: expected {scale: NUMBER, normalize: NAME}");
    bool known = false;
    for (int i = 0; athi_normalize_names[i]; i++)
        if (strcmp(athi_normalize_names[i], normalize->text) == 0) out->normalize = (athi_normalize)i, known = true;
    int64_t n_std = 0;
    ATH_TRY(get_numbers(ctx, arena, athi_value_get(v, "mean"), &out->mean, &out->n));
    ATH_TRY(get_numbers(ctx, arena, athi_value_get(v, "std"), &out->std, &n_std));
    if (!known || n_std != out->n || (is_featurewise(out) && !out->n))
        return athi_fail(ctx, ATH_E_DATA,
                         "preprocess: '%s' with %lld means and %lld deviations does not fit together",
                         normalize->text, (long long)out->n, (long long)n_std);
    return athi_preprocess_ready(ctx, arena, out);
}
