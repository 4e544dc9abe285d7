/* Model files that stand alone: the bound recipe, preprocessing, classes and shapes in their metadata, each a
 * JSON text, since safetensors' metadata are texts. */
#include "recipe/internal.h"

#include "base/file.h"
#include "recipe/quantize.h"
#include "train/quantize.h"

/* ---- writing ------------------------------------------------------------------------------------- */

ath_status athi_metadata_put(ath_ctx *ctx, athi_arena *arena, athi_value *map, const char *key, const athi_value *v) {
    if (!v) return ATH_E_NOMEM;
    athi_text text = {.ctx = ctx};
    ath_status status = athi_json_write(&text, v, 0);
    if (status == ATH_OK) status = athi_value_set(arena, map, key, athi_value_string(arena, text.text));
    athi_text_free(&text);
    return status;
}

static athi_value *shape_value(athi_arena *arena, athi_shape shape) {
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    for (int i = 0; list && i < shape.rank; i++)
        if (athi_value_append(arena, list, athi_value_int(arena, shape.dim[i])) != ATH_OK) return NULL;
    return list;
}

/* The names of the classes, or how many there are. */
static athi_value *classes_value(athi_arena *arena, const athi_data *data) {
    if (!data->class_names) return athi_value_int(arena, data->n_classes);
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    for (int64_t i = 0; list && i < data->n_classes; i++)
        if (athi_value_append(arena, list, athi_value_string(arena, data->class_names[i])) != ATH_OK) return NULL;
    return list;
}

ath_status athi_bound_metadata(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                               athi_value **out) {
    athi_value *map = athi_value_new(arena, ATHI_MAP), *preprocess;
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_preprocess_write(arena, &data->preprocess, &preprocess));
    ATH_TRY(athi_metadata_put(ctx, arena, map, "recipe", bound));
    ATH_TRY(athi_metadata_put(ctx, arena, map, "preprocess", preprocess));
    ATH_TRY(athi_metadata_put(ctx, arena, map, "classes", classes_value(arena, data)));
    ATH_TRY(athi_metadata_put(ctx, arena, map, "sample_shape", shape_value(arena, data->sample_shape)));
    ATH_TRY(athi_metadata_put(ctx, arena, map, "target_shape", shape_value(arena, data->target_shape)));
    *out = map;
    return ATH_OK;
}

/* ---- reading ------------------------------------------------------------------------------------- */

typedef struct opening {
    ath_ctx *ctx;
    const char *path;
    athi_loaded *loaded;
} opening;

static ath_status damaged(const opening *o, const char *key, const char *expected) {
    return athi_fail(o->ctx, ATH_E_DATA, "%s: its metadata '%s' should be %s; write the model again", o->path, key,
                     expected);
}

static ath_status get_json(const opening *o, const char *key, athi_value **out) {
    const athi_value *text = athi_value_get(o->loaded->metadata, key);
    if (!text || text->type != ATHI_STRING)
        return athi_fail(o->ctx, ATH_E_DATA, "%s: no model of Athanor's: its metadata has no '%s'", o->path, key);
    ath_status status = athi_json_read(o->ctx, o->loaded->arena, text->text, (int64_t)strlen(text->text), out);
    return status == ATH_OK ? ATH_OK : athi_fail_prefix(o->ctx, status, "%s: metadata '%s'", o->path, key);
}

static ath_status get_shape(const opening *o, const char *key, athi_shape *shape) {
    athi_value *v;
    ATH_TRY(get_json(o, key, &v));
    if (v->type != ATHI_LIST || v->n >= ATHI_MAX_RANK) return damaged(o, key, "a list of sizes");
    *shape = (athi_shape){(int)v->n, {0}};
    for (int i = 0; i < shape->rank; i++) {
        if (v->items[i]->type != ATHI_INT || v->items[i]->integer < 1) return damaged(o, key, "a list of sizes");
        shape->dim[i] = v->items[i]->integer;
    }
    return ATH_OK;
}

static ath_status get_classes(const opening *o) {
    athi_value *v;
    athi_loaded *l = o->loaded;
    ATH_TRY(get_json(o, "classes", &v));
    if (v->type == ATHI_INT && v->integer >= 0) return l->n_classes = v->integer, ATH_OK;
    if (v->type != ATHI_LIST) return damaged(o, "classes", "a list of names or their number");
    const char **names = athi_arena_array(l->arena, v->n, (int64_t)sizeof *names);
    if (!names) return ATH_E_NOMEM;
    for (int64_t i = 0; i < v->n; i++) {
        if (v->items[i]->type != ATHI_STRING) return damaged(o, "classes", "a list of names or their number");
        names[i] = v->items[i]->text;
    }
    l->class_names = names, l->n_classes = v->n;
    return ATH_OK;
}

static ath_status read_metadata(opening *o) {
    athi_value *preprocess;
    athi_map map = {0};
    athi_contents contents;
    int64_t data_offset;
    athi_arena *arena = o->loaded->arena;
    ATH_TRY(athi_file_map(o->ctx, o->path, &map));
    ath_status status = athi_contents_parse(o->ctx, arena, o->path, map.data, map.size, &contents, &data_offset);
    athi_file_unmap(&map);
    ATH_TRY(status);
    o->loaded->metadata = contents.metadata;
    ATH_TRY(get_json(o, "recipe", &o->loaded->bound));
    ATH_TRY(get_json(o, "preprocess", &preprocess));
    status = athi_preprocess_read(o->ctx, arena, preprocess, &o->loaded->preprocess);
    if (status != ATH_OK) return athi_fail_prefix(o->ctx, status, "%s", o->path);
    ATH_TRY(get_shape(o, "sample_shape", &o->loaded->sample_shape));
    ATH_TRY(get_shape(o, "target_shape", &o->loaded->target_shape));
    return get_classes(o);
}

/* The layers that "quantization" says are int8; none where it is missing. */
static ath_status get_int8_layers(const opening *o, const char *const **layers, int64_t *n) {
    athi_value *v;
    *n = 0, *layers = NULL;
    if (!athi_value_get(o->loaded->metadata, "quantization")) return ATH_OK;
    ATH_TRY(get_json(o, "quantization", &v));
    const athi_value *to = athi_value_get(v, "to"), *list = athi_value_get(v, "layers");
    bool sound = to && to->type == ATHI_STRING && strcmp(to->text, "int8") == 0 && list && list->type == ATHI_LIST;
    const char **names = sound ? athi_arena_array(o->loaded->arena, list->n + 1, (int64_t)sizeof *names) : NULL;
    if (sound && !names) return ATH_E_NOMEM;
    for (int64_t i = 0; sound && i < list->n; i++) {
        sound = list->items[i]->type == ATHI_STRING;
        names[i] = list->items[i]->text;
    }
    if (!sound) return damaged(o, "quantization", "{\"to\": \"int8\", \"layers\": [NAME, …]}");
    *layers = names, *n = list->n;
    o->loaded->int8 = true;
    return ATH_OK;
}

/* The net with loss and metrics, but without what only training needs. */
static ath_status build_net(ath_ctx *ctx, const athi_loaded *l, bool no_penalties, ath_model **model) {
    athi_training_specs specs;
    ATH_TRY(athi_training_read(ctx, l->arena, l->bound, &specs));
    specs.no_penalties = no_penalties;
    return athi_bound_model(ctx, l->arena, l->bound, l->sample_shape, l->target_shape, &specs, false, model);
}

ath_status athi_loaded_rebuild(ath_ctx *ctx, const athi_loaded *loaded, ath_model **model) {
    return build_net(ctx, loaded, true, model);
}

static ath_status open_model(opening *o) {
    athi_loaded *l = o->loaded;
    const char *const *layers;
    int64_t n_layers;
    ATH_TRY(read_metadata(o));
    ATH_TRY(get_int8_layers(o, &layers, &n_layers));
    ath_status status = build_net(o->ctx, l, l->int8, &l->model);
    if (status == ATH_OK && l->int8) status = athi_model_int8(l->model, layers, n_layers);
    if (status != ATH_OK) return athi_fail_prefix(o->ctx, status, "%s: its recipe", o->path);
    ATH_TRY(athi_model_prepare(l->model, 0, 0, 0, NULL));
    return athi_model_load(l->model, o->path);
}

ath_status athi_model_open(ath_ctx *ctx, const char *path, athi_loaded **out) {
    *out = NULL;
    athi_arena *arena = athi_arena_create(ctx);
    athi_loaded *l = arena ? athi_arena_alloc(arena, (int64_t)sizeof *l) : NULL;
    if (!l) return athi_arena_destroy(arena), ATH_E_NOMEM;
    l->arena = arena;
    opening o = {.ctx = ctx, .path = path, .loaded = l};
    ath_status status = open_model(&o);
    if (status != ATH_OK)
        athi_model_close(l);
    else
        *out = l;
    return status;
}

void athi_model_close(athi_loaded *l) {
    if (!l) return;
    athi_model_destroy(l->model);
    athi_arena_destroy(l->arena);
}
