/* A float model file -> an int8 model file, and what that changed: layers, size, speed, accuracy. */
#include "recipe/quantize.h"

#include "base/file.h"
#include "recipe/internal.h"
#include "train/quantize.h"

#include <time.h>

/* ---- options ------------------------------------------------------------------------------------- */

#define OPT(field) offsetof(athi_quantize_opts, field)
static const char *const targets[] = {"int8", NULL};
static const athi_option options[] = {
    {"to", ATHI_OPT_ENUM, OPT(to), "int8", .names = targets, .doc = "what weights and products become"},
    {"samples", ATHI_OPT_INT, OPT(samples), "1024", .min = 1, .max = 1e9,
     .doc = "samples of the training part from which convolutions learn the range of their inputs"},
    {"calibration", ATHI_OPT_SPEC, OPT(calibration), "abs_max", .kind = &athi_calibrations,
     .doc = "how that range follows from the samples"},
    {"except", ATHI_OPT_VALUE, OPT(except), "null", .nullable = true, .doc = "a list of layers that stay in float32"},
    {0}};
#undef OPT
const athi_row athi_quantize_row = {"quantize", "int8 copies of the final models",
                                    options,    sizeof(athi_quantize_opts),
                                    NULL,       "to"};

ath_status athi_quantize_opts_check(ath_ctx *ctx, const athi_quantize_opts *opts) {
    const athi_value *v = opts->except;
    bool fits = !v || v->type == ATHI_LIST;
    for (int64_t i = 0; fits && v && i < v->n; i++) fits = v->items[i]->type == ATHI_STRING;
    return fits ? ATH_OK : athi_fail_at(ctx, v, "quantize: except must be a list of names of layers");
}

/* ---- which layers -------------------------------------------------------------------------------- */

static bool is_listed(const athi_value *list, const char *name) {
    for (int64_t i = 0; list && i < list->n; i++)
        if (strcmp(list->items[i]->text, name) == 0) return true;
    return false;
}

static ath_status refuse_exception(ath_ctx *ctx, const athi_value *name, const athi_quantizable *list, int64_t n) {
    const char *near = n ? athi_nearest(name->text, &list->layer, n, sizeof *list) : NULL;
    athi_text layers = {.ctx = ctx};
    for (int64_t i = 0; i < n && !near; i++) athi_text_printf(&layers, "%s%s", i ? ", " : ": ", list[i].layer);
    ath_status status =
        athi_fail_at(ctx, name, "quantize: except: '%.60s' is no convolution or dense layer%s%s%s%.300s", name->text,
                     near ? "; did you mean '"
                     : n  ? "; there are"
                          : "; there are none",
                     near ? near : "", near ? "'?" : "", layers.text ? layers.text : "");
    athi_text_free(&layers);
    return status;
}

static ath_status take_exceptions(ath_ctx *ctx, const athi_value *except, athi_quantizable *list, int64_t n) {
    for (int64_t i = 0; except && i < except->n; i++) {
        bool found = false;
        for (int64_t k = 0; k < n && !found; k++) found = strcmp(list[k].layer, except->items[i]->text) == 0;
        if (!found) return refuse_exception(ctx, except->items[i], list, n);
    }
    for (int64_t i = 0; i < n; i++)
        if (is_listed(except, list[i].layer)) list[i].refusal = "it was asked to stay";
    return ATH_OK;
}

/* ---- the int8 model ------------------------------------------------------------------------------ */

typedef struct quantizing {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_loaded *from;
    athi_quantizable *list;
    int64_t n, n_layers;
    const char **layers; /* that become int8 */
    float *ranges;
} quantizing;

static ath_status find_layers(quantizing *q, const athi_quantize_opts *opts) {
    ATH_TRY(athi_quantizable_find(q->from->model->net->graph, q->arena, &q->list, &q->n));
    ATH_TRY(take_exceptions(q->ctx, opts->except, q->list, q->n));
    q->layers = athi_arena_array(q->arena, q->n + 1, (int64_t)sizeof *q->layers);
    q->ranges = athi_arena_array(q->arena, q->n + 1, sizeof *q->ranges);
    if (!q->layers || !q->ranges) return ATH_E_NOMEM;
    for (int64_t i = 0; i < q->n; i++)
        if (!q->list[i].refusal) q->layers[q->n_layers++] = q->list[i].layer;
    if (q->n_layers) return ATH_OK;
    if (!q->n)
        return athi_fail(q->ctx, ATH_E_UNSUPPORTED, "quantize: the model has no convolution and no dense layer");
    return athi_fail(q->ctx, ATH_E_UNSUPPORTED, "quantize: no layer can be int8; of '%s': %s", q->list[0].layer,
                     q->list[0].refusal);
}

static ath_status layers_value(const quantizing *q, athi_value **out) {
    athi_value *map = athi_value_new(q->arena, ATHI_MAP), *list = athi_value_new(q->arena, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < q->n_layers; i++)
        ATH_TRY(athi_value_append(q->arena, list, athi_value_string(q->arena, q->layers[i])));
    ATH_TRY(athi_value_set(q->arena, map, "to", athi_value_string(q->arena, "int8")));
    ATH_TRY(athi_value_set(q->arena, map, "layers", list));
    *out = map;
    return ATH_OK;
}

static ath_status write_model(quantizing *q, ath_model *model, const char *path) {
    athi_value *metadata = athi_value_copy(q->arena, q->from->metadata), *layers;
    if (!metadata) return ATH_E_NOMEM;
    ATH_TRY(layers_value(q, &layers));
    ATH_TRY(athi_metadata_put(q->ctx, q->arena, metadata, "quantization", layers));
    ATH_TRY(athi_model_int8(model, q->layers, q->n_layers));
    ATH_TRY(athi_model_prepare(model, 0, 0, 0, NULL));
    ATH_TRY(athi_model_fill_int8(model, q->from->model, q->arena, q->list, q->n, q->ranges));
    return athi_model_save(model, path, metadata, -1);
}

/* One map a product: {"layer", "became": "int8", "inputs": "calibrated"} or {"layer", "became": "float32", "reason"}. */
static ath_status describe_layers(const quantizing *q, athi_value **out) {
    athi_value *list = athi_value_new(q->arena, ATHI_LIST);
    for (int64_t i = 0; i < q->n; i++) {
        const athi_quantizable *p = &q->list[i];
        athi_value *map = athi_value_new(q->arena, ATHI_MAP);
        if (!list || !map) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(q->arena, map, "layer", athi_value_string(q->arena, p->layer)));
        ATH_TRY(
            athi_value_set(q->arena, map, "became", athi_value_string(q->arena, p->refusal ? "float32" : "int8")));
        if (p->refusal)
            ATH_TRY(athi_value_set(q->arena, map, "reason", athi_value_string(q->arena, p->refusal)));
        else
            ATH_TRY(athi_value_set(q->arena, map, "inputs",
                                   athi_value_string(q->arena, p->product->op == ATHI_OP_CONV2D ? "calibrated"
                                                                                                : "row by row")));
        ATH_TRY(athi_value_append(q->arena, list, map));
    }
    *out = list;
    return list ? ATH_OK : ATH_E_NOMEM;
}

static ath_status quantize_model(quantizing *q, const athi_quantize_opts *opts, const athi_part *calibration,
                                 const char *path) {
    ath_model *model = NULL;
    if (q->from->int8) return athi_fail(q->ctx, ATH_E_UNSUPPORTED, "quantize: the model is int8 already");
    ATH_TRY(find_layers(q, opts));
    const athi_calibration_data data = {calibration, &q->from->preprocess, opts->samples};
    ATH_TRY(athi_model_calibrate(q->from->model, q->arena, q->list, q->n, &data, opts->calibration, q->ranges));
    ATH_TRY(athi_loaded_rebuild(q->ctx, q->from, &model));
    ath_status status = write_model(q, model, path);
    athi_model_destroy(model);
    return status;
}

/* ---- what it changed ----------------------------------------------------------------------------- */

enum { BATCH = 256, ROUNDS = 500 };
static const double ENOUGH_SECONDS = 3;

typedef struct side {
    athi_loaded *model;
    double *values; /* of evaluation */
    double seconds; /* of the fastest round of prediction */
} side;

static ath_status open_side(ath_ctx *ctx, athi_arena *arena, const char *path, const athi_part *part, side *s) {
    ATH_TRY(athi_model_open(ctx, path, &s->model));
    s->values = athi_arena_array(arena, s->model->model->net->n_sums + 1, sizeof *s->values);
    if (!s->values) return ATH_E_NOMEM;
    return athi_evaluate(s->model->model, part, &s->model->preprocess, BATCH, s->values);
}

/* Of one thread its processor time, which other programs on the machine do not disturb. */
static double seconds_now(const ath_ctx *ctx) {
    struct timespec t;
    clock_gettime(ctx->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Both predict a batch in turn, so that a drifting machine serves both alike. */
static ath_status race(athi_arena *arena, const athi_part *part, side s[2]) {
    const double begun = athi_now();
    athi_part few = *part;
    few.n = ATHI_MIN(few.n, BATCH);
    athi_shape shape = s[0].model->model->net->graph->outputs[0]->shape;
    shape.dim[0] = few.n;
    float *out = athi_arena_array(arena, athi_shape_count(shape) + 1, sizeof *out);
    if (!out) return ATH_E_NOMEM;
    for (int round = 0; round <= ROUNDS && (round < 2 || athi_now() - begun < ENOUGH_SECONDS); round++)
        for (int i = 0; i < 2; i++) {
            const double start = seconds_now(athi_arena_ctx(arena));
            ATH_TRY(athi_predict(s[i].model->model, &few, &s[i].model->preprocess, BATCH, out));
            const double seconds = seconds_now(athi_arena_ctx(arena)) - start;
            if (round == 1 || seconds < s[i].seconds) s[i].seconds = seconds; /* round 0 makes the plans */
        }
    s[0].seconds /= (double)ATHI_MAX(few.n, 1), s[1].seconds /= (double)ATHI_MAX(few.n, 1);
    return ATH_OK;
}

static ath_status put_side(athi_arena *arena, const char *path, const side *s, athi_value *to, const char *key) {
    const athi_net *net = s->model->model->net;
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    athi_map file = {0};
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_file_map(athi_arena_ctx(arena), path, &file));
    ATH_TRY(athi_value_set(arena, map, "bytes", athi_value_int(arena, file.size)));
    athi_file_unmap(&file);
    ATH_TRY(athi_value_set(arena, map, "samples_per_second", athi_value_float(arena, 1 / s->seconds)));
    for (int64_t i = 0; i < net->n_sums; i++)
        ATH_TRY(athi_value_set(arena, map, net->sums[i].name, athi_value_float(arena, s->values[i])));
    return athi_value_set(arena, to, key, map);
}

/* "float32" and "int8" into the map. */
static ath_status compare(ath_ctx *ctx, athi_arena *arena, const char *before, const char *after,
                          const athi_part *part, athi_value *to) {
    const char *const paths[] = {before, after}, *const keys[] = {"float32", "int8"};
    side sides[2] = {0};
    ath_status status = ATH_OK;
    for (int i = 0; i < 2 && status == ATH_OK; i++) status = open_side(ctx, arena, paths[i], part, &sides[i]);
    if (status == ATH_OK) status = race(arena, part, sides);
    for (int i = 0; i < 2 && status == ATH_OK; i++) status = put_side(arena, paths[i], &sides[i], to, keys[i]);
    for (int i = 0; i < 2; i++) athi_model_close(sides[i].model);
    return status;
}

ath_status athi_quantize_file(ath_ctx *ctx, athi_arena *arena, const char *before, const char *after,
                              const athi_quantize_opts *opts, const athi_quantize_data *data, athi_value **report) {
    athi_loaded *from = NULL;
    athi_value *map = athi_value_new(arena, ATHI_MAP), *layers = NULL;
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_model_open(ctx, before, &from));
    quantizing q = {.ctx = ctx, .arena = arena, .from = from};
    ath_status status = quantize_model(&q, opts, data->calibration, after);
    if (status == ATH_OK) status = describe_layers(&q, &layers);
    athi_model_close(from);
    ATH_TRY(status);
    ATH_TRY(athi_value_set(arena, map, "to", athi_value_string(arena, "int8")));
    ATH_TRY(athi_value_set(arena, map, "file", athi_value_string(arena, after)));
    ATH_TRY(athi_value_set(arena, map, "layers", layers));
    if (data->judged->n) {
        ATH_TRY(athi_value_set(arena, map, "part", athi_value_string(arena, data->judged_name)));
        ATH_TRY(compare(ctx, arena, before, after, data->judged, map));
    }
    *report = map;
    return ATH_OK;
}

athi_quantize_data athi_quantize_data_of(const athi_data *data) {
    const athi_quantize_data test = {&data->train, &data->test, "test"},
                             validation = {&data->train, &data->validation, "validation"};
    return data->test.n ? test : validation;
}
