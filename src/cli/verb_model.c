/* predict and evaluate: finished models. Everything about a model comes from its file. */
#include "base/file.h"
#include "cli/model_data.h"

const athi_flag athi_flags_predict[] = {
    {"input", ATHI_FLAG_TEXT, "FILE", "samples: npy, idx (gz or not) or csv"},
    {"output", ATHI_FLAG_TEXT, "FILE", "what the last layer gives goes there: float32 npy"},
    {"label", ATHI_FLAG_TEXT, "COLUMN", "the column of a csv file that is left out"},
    {"batch", ATHI_FLAG_COUNT, "N", "samples at a time (default: 256)"},
    ATHI_FLAG_THREADS_ROW,
    ATHI_FLAG_BACKEND_ROW,
    {0},
};
const athi_flag athi_flags_evaluate[] = {
    {"data", ATHI_FLAG_TEXT, "RECIPE",
     "the recipe whose data serves (default: the data that the model was made with)"},
    {"part", ATHI_FLAG_TEXT, "PART", "test, validation or train (default: test)"},
    {"batch", ATHI_FLAG_COUNT, "N", "samples at a time (default: 256)"},
    ATHI_FLAG_SET_ROW,
    ATHI_FLAG_THREADS_ROW,
    ATHI_FLAG_BACKEND_ROW,
    ATHI_FLAG_JSON_ROW,
    {0},
};
enum { BATCH = 256 };

/* Samples of another shape are refused before anything is computed. */
ath_status athi_cli_check_samples(athi_cli *cli, const athi_loaded *model, const char *where, athi_shape x) {
    char expected[96], got[96];
    athi_shape sample = {x.rank - 1, {0}};
    for (int i = 0; i < sample.rank; i++) sample.dim[i] = x.dim[i + 1];
    if (x.rank > 0 && athi_shape_equal(sample, model->sample_shape)) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_SHAPE, "%s: expected samples of shape %s as %s was trained on, got %s", where,
                     athi_shape_str(model->sample_shape, expected), cli->arguments[0], athi_shape_str(sample, got));
}

/* ---- predict ------------------------------------------------------------------------------------- */

/* NumPy's format 1.0: magic, version, length of the header, header padded to a multiple of 64, data. */
static ath_status write_npy(athi_cli *cli, const char *path, athi_shape shape, const float *data, int64_t n) {
    athi_text dims = {.ctx = cli->ctx};
    char header[512];
    for (int i = 0; i < shape.rank; i++)
        athi_text_printf(&dims, "%lld%s", (long long)shape.dim[i],
                         i + 1 < shape.rank ? ", "
                         : shape.rank == 1  ? ","
                                            : "");
    int used = snprintf(header + 10, sizeof header - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }",
                        dims.text ? dims.text : "");
    bool failed = dims.failed;
    athi_text_free(&dims);
    if (failed) return ATH_E_NOMEM;
    int total = (10 + used + 1 + 63) / 64 * 64;
    memset(header + 10 + used, ' ', (size_t)(total - 10 - used));
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - 10) & 0xff), header[9] = (char)((total - 10) >> 8);
    athi_piece pieces[] = {{header, total}, {data, n * (int64_t)sizeof *data}};
    return athi_file_write_pieces(cli->ctx, path, pieces, 2, false);
}

static ath_status predict_file(athi_cli *cli, athi_loaded *model, const athi_table *table, const char *input,
                               const char *output) {
    ATH_TRY(athi_cli_check_samples(cli, model, input, table->x.shape));
    athi_part part = {.x = table->x, .n = table->x.shape.dim[0]};
    athi_shape shape = model->model->net->graph->outputs[0]->shape;
    shape.dim[0] = part.n;
    int64_t n = athi_shape_count(shape);
    if (n < 0) return athi_fail(cli->ctx, ATH_E_UNSUPPORTED, "predict: the model's output has no fixed shape");
    float *out = athi_arena_array(cli->arena, n + 1, sizeof *out);
    if (!out) return ATH_E_NOMEM;
    cli->started = true;
    if (part.n > 0)
        ATH_TRY(athi_predict(model->model, &part, &model->preprocess, athi_cli_count(cli, "batch", BATCH), out));
    ATH_TRY(write_npy(cli, output, shape, out, n));
    char text[96];
    athi_cli_line("predictions %s: %s", athi_shape_str(shape, text), output);
    return ATH_OK;
}

ath_status athi_verb_predict(athi_cli *cli) {
    const char *input = athi_cli_text(cli, "input", NULL), *output = athi_cli_text(cli, "output", NULL);
    if (!input || !output)
        return athi_fail(cli->ctx, ATH_E_OPTION, "predict: --%s FILE is missing", input ? "output" : "input");
    athi_loaded *model = NULL;
    athi_table table = {0};
    athi_map map = {0};
    ATH_TRY(athi_cli_check_output(cli, output));
    ATH_TRY(athi_cli_check_spared(cli, output, cli->arguments[0]));
    ATH_TRY(athi_cli_check_spared(cli, output, input));
    ATH_TRY(athi_model_open(cli->ctx, cli->arguments[0], &model));
    ath_status status =
        athi_table_load(cli->ctx, cli->arena, input, athi_cli_text(cli, "label", NULL), NULL, &map, &table);
    if (status == ATH_OK) status = predict_file(cli, model, &table, input, output);
    athi_file_unmap(&map);
    athi_model_close(model);
    return status;
}

/* ---- evaluate ------------------------------------------------------------------------------------ */

ath_status athi_cli_model_data(athi_cli *cli, const athi_loaded *model, athi_data **data) {
    const char *path = athi_cli_text(cli, "data", NULL);
    const char *cache = athi_cli_cache(cli->arena);
    if (!path) {
        if (cli->n_sets)
            return athi_fail(cli->ctx, ATH_E_OPTION,
                             "%s: --set changes the recipe that --data names; name one", cli->verb->name);
        return athi_bound_data(cli->ctx, model->bound, "", cache, data);
    }
    athi_recipe *recipe = NULL;
    athi_value *bound = NULL;
    ATH_TRY(athi_recipe_read(cli->ctx, path, cli->sets, cli->n_sets, &recipe));
    ath_status status = athi_recipe_bind(recipe, cli->arena, NULL, recipe->seed, &bound);
    if (status == ATH_OK)
        status = athi_place_in(cli->ctx, athi_bound_data(cli->ctx, bound, recipe->folder, cache, data), recipe->path);
    athi_recipe_destroy(recipe);
    return status;
}

static ath_status find_part(athi_cli *cli, const athi_data *data, const char **name, const athi_part **part) {
    *name = athi_cli_text(cli, "part", "test");
    const struct {
        const char *name;
        const athi_part *part;
    } parts[] = {{"test", &data->test}, {"validation", &data->validation}, {"train", &data->train}};
    *part = NULL;
    for (int i = 0; i < ATHI_COUNT(parts); i++)
        if (strcmp(parts[i].name, *name) == 0) *part = parts[i].part;
    if (!*part)
        return athi_fail(cli->ctx, ATH_E_OPTION, "evaluate: --part is test, validation or train, got '%s'", *name);
    if ((*part)->n) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_DATA, "evaluate: the data has no part '%s'; name another with --part", *name);
}

static ath_status show_values(athi_cli *cli, const athi_net *net, const char *name, const athi_part *part,
                              const double *values) {
    if (athi_cli_has(cli, "json")) {
        athi_value *map = athi_value_new(cli->arena, ATHI_MAP);
        if (!map) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(cli->arena, map, "part", athi_value_string(cli->arena, name)));
        ATH_TRY(athi_value_set(cli->arena, map, "samples", athi_value_int(cli->arena, part->n)));
        for (int64_t i = 0; i < net->n_sums; i++)
            ATH_TRY(athi_value_set(cli->arena, map, net->sums[i].name, athi_value_float(cli->arena, values[i])));
        return athi_cli_json(cli, map);
    }
    printf("%s, %lld sample%s:", name, (long long)part->n, ATHI_PLURAL(part->n));
    for (int64_t i = 0; i < net->n_sums; i++) printf("%s %s %.6g", i ? "," : "", net->sums[i].name, values[i]);
    printf("\n");
    return ATH_OK;
}

static ath_status evaluate(athi_cli *cli, athi_loaded *model, const athi_data *data) {
    const athi_part *part = NULL;
    const char *name = NULL;
    const athi_net *net = model->model->net;
    ATH_TRY(find_part(cli, data, &name, &part));
    ATH_TRY(athi_cli_check_samples(cli, model, name, part->x.shape));
    double *values = athi_arena_array(cli->arena, net->n_sums + 1, sizeof *values);
    if (!values) return ATH_E_NOMEM;
    cli->started = true;
    ATH_TRY(athi_evaluate(model->model, part, &model->preprocess, athi_cli_count(cli, "batch", BATCH), values));
    return show_values(cli, net, name, part, values);
}

ath_status athi_verb_evaluate(athi_cli *cli) {
    athi_loaded *model = NULL;
    athi_data *data = NULL;
    ATH_TRY(athi_model_open(cli->ctx, cli->arguments[0], &model));
    ath_status status = athi_cli_model_data(cli, model, &data);
    if (status == ATH_OK) status = evaluate(cli, model, data);
    athi_data_close(data);
    athi_model_close(model);
    return status;
}
