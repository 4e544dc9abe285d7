/* quantize: an int8 copy of a finished model. */
#include "base/file.h"
#include "cli/model_data.h"
#include "recipe/quantize.h"
#include "report/quantized.h"

const athi_flag athi_flags_quantize[] = {
    {"to", ATHI_FLAG_TEXT, "TYPE", "int8 (default)"},
    {"out", ATHI_FLAG_TEXT, "FILE", "the int8 model goes there (default: MODEL-int8.safetensors beside it)"},
    {"calibrate", ATHI_FLAG_TEXT, "FILE",
     "samples that tell the range of what convolutions read: npy, idx or csv (default: the training data that the "
     "model was made with)"},
    {"samples", ATHI_FLAG_COUNT, "N", "how many of them (default: 1024)"},
    {"calibration", ATHI_FLAG_TEXT, "HOW",
     "how the range follows from them: abs_max (default), percentile or 'percentile: 99.9'"},
    {"data", ATHI_FLAG_TEXT, "RECIPE",
     "the recipe whose data serves to calibrate and compare (default: the data that the model was made with)"},
    {"except", ATHI_FLAG_TEXT, "LAYERS", "layers that stay in float32: dense_1,conv2d"},
    ATHI_FLAG_SET_ROW,
    ATHI_FLAG_THREADS_ROW,
    ATHI_FLAG_BACKEND_ROW,
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* "runs/cnn/model.safetensors" -> "runs/cnn/model-int8.safetensors" */
static const char *beside(athi_arena *arena, const char *path) {
    static const char ending[] = ".safetensors";
    const size_t n = strlen(path), tail = sizeof ending - 1;
    const bool ends = n > tail && strcmp(path + n - tail, ending) == 0;
    return athi_arena_printf(arena, "%.*s-int8%s", (int)(ends ? n - tail : n), path, ending);
}

/* "dense_1,conv2d" -> a list of names */
static ath_status split(athi_arena *arena, const char *names, const athi_value **out) {
    if (!names) return ATH_OK;
    athi_value *list = athi_value_new(arena, ATHI_LIST);
    while (list && *names) {
        const size_t n = strcspn(names, ",");
        const char *name = athi_arena_strndup(arena, names, (int64_t)n);
        if (!name) return ATH_E_NOMEM;
        ATH_TRY(athi_value_append(arena, list, athi_value_string(arena, name)));
        names += n + (names[n] == ',');
    }
    *out = list;
    return list ? ATH_OK : ATH_E_NOMEM;
}

/* --calibration is written as in a recipe. */
static ath_status put_calibration(athi_cli *cli, athi_value *map) {
    const char *how = athi_cli_text(cli, "calibration", "abs_max");
    athi_value *value = NULL;
    ATH_TRY(athi_yaml_read(cli->ctx, cli->arena, "--calibration", how, (int64_t)strlen(how), &value));
    return athi_value_set(cli->arena, map, "calibration", value);
}

static ath_status read_options(athi_cli *cli, athi_quantize_opts *opts) {
    athi_value *map = athi_value_new(cli->arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(cli->arena, map, "to", athi_value_string(cli->arena, athi_cli_text(cli, "to", "int8"))));
    ATH_TRY(
        athi_value_set(cli->arena, map, "samples", athi_value_int(cli->arena, athi_cli_count(cli, "samples", 1024))));
    ATH_TRY(put_calibration(cli, map));
    ATH_TRY(athi_options_read(cli->ctx, cli->arena, &athi_quantize_row, map, NULL, "quantize", opts));
    return split(cli->arena, athi_cli_text(cli, "except", NULL), &opts->except);
}

static ath_status show(athi_cli *cli, const athi_value *report, const char *out) {
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
    athi_text text = {.ctx = cli->ctx};
    athi_report_quantized(&text, report);
    if (!text.failed) printf("%s", text.text);
    ath_status status = text.failed ? ATH_E_NOMEM : ATH_OK;
    athi_text_free(&text);
    if (status == ATH_OK) athi_cli_line("the int8 model: %s", out);
    return status;
}

/* With samples of its own a model can be quantised where its data is gone; then nothing is compared. */
static ath_status quantize(athi_cli *cli, const athi_quantize_opts *opts, const athi_table *table,
                           const athi_data *data) {
    static const athi_part none = {0};
    const char *model = cli->arguments[0], *out = athi_cli_text(cli, "out", beside(cli->arena, model));
    athi_quantize_data parts = {&none, &none, ""};
    athi_value *report = NULL;
    athi_part own = {.x = table->x, .n = table->x.shape.dim[0]};
    if (!out) return ATH_E_NOMEM;
    if (data) parts = athi_quantize_data_of(data);
    if (athi_cli_has(cli, "calibrate")) parts.calibration = &own;
    ATH_TRY(athi_cli_check_output(cli, out));
    ATH_TRY(athi_cli_check_spared(cli, out, model));
    if (athi_cli_has(cli, "calibrate")) ATH_TRY(athi_cli_check_spared(cli, out, athi_cli_text(cli, "calibrate", "")));
    ath_status status = athi_quantize_file(cli->ctx, cli->arena, model, out, opts, &parts, &report);
    cli->started = status != ATH_E_OPTION && status != ATH_E_UNSUPPORTED; /* these refuse before anything runs */
    return status == ATH_OK ? show(cli, report, out) : status;
}

ath_status athi_verb_quantize(athi_cli *cli) {
    const char *samples = athi_cli_text(cli, "calibrate", NULL);
    athi_quantize_opts opts;
    athi_loaded *model = NULL;
    athi_data *data = NULL;
    athi_table table = {0};
    athi_map map = {0};
    ATH_TRY(read_options(cli, &opts));
    ATH_TRY(
        athi_model_open(cli->ctx, cli->arguments[0], &model)); /* what is no model is refused before data is read */
    ath_status status = athi_cli_model_data(cli, model, &data);
    if (samples && status != ATH_E_NOMEM && !athi_cli_has(cli, "data")) status = ATH_OK;
    if (status == ATH_OK && samples)
        status = athi_table_load(cli->ctx, cli->arena, samples, NULL, NULL, &map, &table);
    if (status == ATH_OK && samples) status = athi_cli_check_samples(cli, model, samples, table.x.shape);
    athi_model_close(model);
    if (status == ATH_OK) status = quantize(cli, &opts, &table, data);
    athi_file_unmap(&map);
    athi_data_close(data);
    return status;
}
