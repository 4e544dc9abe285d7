/* int8 copies of the final models, each compared with its float form; and of an ensemble its int8 form. */
#include "recipe/quantize.h"
#include "recipe/stages.h"

/* What the int8 ensemble is made of. */
static ath_status predict_test(athi_stages *s, athi_member *m, const char *path, const athi_data *data) {
    athi_loaded *model = NULL;
    float *p = athi_arena_array(s->arena, data->test.n * s->classes, sizeof *p);
    if (!p) return ATH_E_NOMEM;
    ATH_TRY(athi_model_open(s->ctx, path, &model));
    ath_status status = athi_predict(model->model, &data->test, &model->preprocess, data->batch, p);
    athi_model_close(model);
    m->int8_on_test = p;
    return status;
}

/* The ranges of a recipe may stand in its data too, so each member's own data calibrate it. */
static ath_status quantize_member(athi_stages *s, athi_member *m) {
    athi_data *data = NULL;
    athi_value *report = NULL;
    const char *before = athi_stage_path(s, "%s", m->model),
               *file = athi_arena_printf(s->arena, "models/%d-int8.safetensors", m->rank + 1),
               *after = file ? athi_stage_path(s, "%s", file) : NULL;
    if (!before || !after) return ATH_E_NOMEM;
    ATH_TRY(athi_bound_data(s->ctx, m->bound, s->recipe->folder, s->opts->cache, &data));
    athi_quantize_data parts = athi_quantize_data_of(data);
    ath_status status = athi_quantize_file(s->ctx, s->arena, before, after, &s->recipe->quantize, &parts, &report);
    if (status == ATH_OK && athi_stage_has_int8_ensemble(s)) status = predict_test(s, m, after, data);
    if (status == ATH_OK) status = athi_value_set(s->arena, report, "file", athi_value_string(s->arena, file));
    athi_data_close(data);
    m->quantized = report;
    return status;
}

/* ", accuracy 0.8912 -> 0.8908" of what both evaluations report behind the loss. */
static const char *changes(athi_stages *s, const athi_value *report) {
    const athi_value *before = athi_value_get(report, "float32"), *after = athi_value_get(report, "int8");
    const char *text = "";
    for (int64_t i = 2; before && i < before->n && text; i++)
        text = athi_arena_printf(s->arena, "%s, %s %.4f -> %.4f", text, before->keys[i], before->items[i]->number,
                                 athi_value_get(after, before->keys[i])->number);
    return text ? text : "";
}

ath_status athi_stage_quantize(athi_stages *s) {
    if (!s->recipe->quantizes) return ATH_OK;
    for (int i = 0; i < s->n_members; i++) {
        ATH_TRY(quantize_member(s, &s->members[i]));
        athi_stage_say(s, "quantize", "model %d: int8%s", i + 1, changes(s, s->members[i].quantized));
    }
    return athi_stage_int8_ensemble(s);
}
