/* Calibration: the float model runs over samples, and the magnitudes of what int8 layers will read say in which range
 * their inputs are rounded. A row for each way to choose the range. */
#include "train/internal.h"
#include "train/quantize.h"

#include <math.h>

/* ---- magnitudes ---------------------------------------------------------------------------------- */

/* Of one layer's input: the largest, and how many there are by the upper half of their bits, which is the exponent and 7
 * bits behind it. */
enum { BINS = 1 << 15, LOW_BITS = 16 };
typedef struct magnitudes {
    float most;
    int64_t n, *bins; /* NULL: not counted */
} magnitudes;

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The largest number of a bin. */
static float end_of(int64_t bin) {
    const uint32_t bits = (uint32_t)bin << LOW_BITS | ((1u << LOW_BITS) - 1);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void take(magnitudes *m, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        m->most = fmaxf(m->most, size);
        if (m->bins) m->bins[bits_of(size) >> LOW_BITS]++;
    }
    m->n += n;
}

/* ---- ways to choose a range ---------------------------------------------------------------------- */

typedef struct calibration {
    bool counts; /* looks at the bins */
    float (*range)(const magnitudes *m, const void *opts);
} calibration;

static float largest(const magnitudes *m, const void *opts) {
    (void)opts;
    return m->most;
}

typedef struct percentile_opts {
    size_t struct_size;
    bool exact;
    double percent;
} percentile_opts;

/* The end of the bin up to which so many lie; of what is not a number nothing is known. */
static float percentile(const magnitudes *m, const void *opts) {
    const percentile_opts *o = opts;
    const int64_t wanted = (int64_t)ceil((double)m->n * o->percent / 100);
    int64_t seen = 0, bin = -1;
    while (seen < wanted && bin < BINS - 1) seen += m->bins[++bin];
    return bin < 0 ? m->most : fminf(end_of(bin), m->most);
}

static const athi_option percentile_options[] = {
    {"percent", ATHI_OPT_FLOAT, offsetof(percentile_opts, percent), "99.99", .min = 50, .max = 100,
     .doc = "of the magnitudes, so many lie in the range; what is larger is cut off"},
    {0}};
static const athi_row rows[] = {
    {.name = "abs_max", .doc = "up to the largest magnitude", .impl = &(const calibration){false, largest}},
    {.name = "percentile",
     .doc = "up to a magnitude that few exceed, which leaves finer steps for all others (Wu et al. 2020, Integer "
            "Quantization for Deep Learning Inference, section 5.1)",
     .options = percentile_options,
     .opts_size = sizeof(percentile_opts),
     .impl = &(const calibration){true, percentile},
     .main_option = "percent"},
    {0},
};
const athi_kind athi_calibrations = {"calibration", "calibrations", rows};

/* ---- running ------------------------------------------------------------------------------------- */

typedef struct calibrating {
    const athi_quantizable *list;
    int64_t n;
    magnitudes *of; /* [n] */
} calibrating;

static bool is_calibrated(const athi_quantizable *q) { return !q->refusal && q->product->op == ATHI_OP_CONV2D; }

static void measure(void *user, athi_plan *plan, int64_t begin, int64_t n) {
    const calibrating *c = user;
    int out = 0;
    (void)begin, (void)n;
    for (int64_t i = 0; i < c->n; i++) {
        const ath_tensor *t;
        if (!is_calibrated(&c->list[i])) continue;
        const float *x = athi_plan_output(plan, out++, &t);
        take(&c->of[i], x, athi_shape_count(t->shape));
    }
}

/* The samples lie evenly over the part, which may be sorted by class. */
static ath_status choose_samples(ath_model *m, athi_arena *arena, const athi_part *part, int64_t samples,
                                 const int64_t **order, int64_t *n) {
    *n = ATHI_MIN(samples, part->n);
    int64_t *chosen = athi_arena_array(arena, *n + 1, sizeof *chosen);
    if (!chosen) return ATH_E_NOMEM;
    if (*n < 1) return athi_fail(m->ctx, ATH_E_DATA, "quantize: there are no samples to calibrate with");
    for (int64_t i = 0; i < *n; i++) chosen[i] = i * part->n / *n;
    *order = chosen;
    return ATH_OK;
}

/* A batch's activations of all layers are kept at once, so it is small. */
enum { CALIBRATION_BATCH = 16 };

static ath_status run(ath_model *m, athi_arena *arena, const athi_calibration_data *data, calibrating *c,
                      ath_tensor **inputs, int n_inputs) {
    athi_graph *g = m->net->graph;
    ath_tensor **kept = g->outputs;
    const int n_kept = g->n_outputs;
    const int64_t *order = NULL;
    int64_t n = 0;
    ATH_TRY(choose_samples(m, arena, data->part, data->samples, &order, &n));
    athi_feed feed = {.model = m, .part = data->part, .preprocess = data->preprocess};
    athi_model_forget_plans(m);
    g->outputs = inputs, g->n_outputs = n_inputs; /* what the convolutions read, in place of predictions */
    ath_status status = athi_feed_samples(&feed, ATHI_MODE_PREDICT, order, n, CALIBRATION_BATCH, measure, c);
    g->outputs = kept, g->n_outputs = n_kept;
    athi_model_forget_plans(m);
    return status;
}

ath_status athi_model_calibrate(ath_model *m, athi_arena *arena, const athi_quantizable *list, int64_t n,
                                const athi_calibration_data *data, ath_spec how, float *ranges) {
    const athi_row *row = NULL;
    void *opts = NULL;
    int n_inputs = 0;
    ATH_TRY(athi_spec_resolve(m->ctx, arena, &athi_calibrations, how, "calibration", &row, &opts));
    const calibration *impl = row->impl;
    calibrating c = {list, n, athi_arena_array(arena, n + 1, sizeof *c.of)};
    ath_tensor **inputs = athi_arena_array(arena, n + 1, sizeof *inputs);
    if (!inputs || !c.of) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        ranges[i] = 0;
        if (!is_calibrated(&list[i])) continue;
        inputs[n_inputs++] = list[i].product->in[0];
        if (impl->counts && !(c.of[i].bins = athi_arena_array(arena, BINS, sizeof *c.of[i].bins))) return ATH_E_NOMEM;
    }
    if (n_inputs == 0) return ATH_OK;
    ATH_TRY(run(m, arena, data, &c, inputs, n_inputs));
    for (int64_t i = 0; i < n; i++)
        if (is_calibrated(&list[i])) ranges[i] = impl->range(&c.of[i], opts);
    return ATH_OK;
}
