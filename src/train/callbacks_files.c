/* Callbacks that write files: model files while it trains, and the reports as CSV. */
#include "train/internal.h"

#include "base/file.h"

#include <stddef.h>
#include <stdio.h>

/* Relative names lie in the run's folder. */
static void add_folder(const athi_callback_call *c, const char *file, athi_text *out) {
    if (file[0] != '/' && c->fit->folder) athi_text_printf(out, "%s/", c->fit->folder);
}

/* ---- model_checkpoint ---------------------------------------------------------------------------- */

#define OPT(field) offsetof(ath_model_checkpoint_opts, field)
const athi_option athi_model_checkpoint_options[] = {
    {"file", ATHI_OPT_STRING, OPT(file), "model.safetensors",
     .doc = "model file, relative to the run's folder; {epoch} and report names in braces are filled in"},
    {"monitor", ATHI_OPT_STRING, OPT(monitor), "val_loss", .doc = "the report that is watched"},
    {"save_best_only", ATHI_OPT_BOOL, OPT(save_best_only), "false", .doc = "only write when the monitor improved"},
    {"mode", ATHI_OPT_ENUM, OPT(mode), "auto", .names = athi_modes,
     .doc = "direction of improvement; auto: the metric's own"},
    {0}};
#undef OPT

static const char *checkpoint_monitor(const void *opts) {
    const ath_model_checkpoint_opts *o = opts;
    return o->save_best_only ? o->monitor : NULL;
}

static ath_status checkpoint_begin(athi_callback_call *c, const void *opts) {
    const ath_model_checkpoint_opts *o = opts;
    c->state[0] = athi_worst(athi_goes_up(o->mode, o->monitor));
    return ATH_OK;
}

/* Goes on behind the name in braces that begins at *p; false: behind the one character of text that stands there. */
static bool next_field(const char **p, char name[64]) {
    const char *begin = *p, *end = *begin == '{' ? strchr(begin, '}') : NULL;
    if (!end || end - begin > 64) return ++*p, false;
    snprintf(name, 64, "%.*s", (int)(end - begin - 1), begin + 1);
    *p = end + 1;
    return true;
}

static ath_status checkpoint_check(ath_ctx *ctx, const void *opts, const char *const *reports, int n) {
    const ath_model_checkpoint_opts *o = opts;
    char name[64];
    for (const char *p = o->file; *p;) {
        bool found = !next_field(&p, name) || strcmp(name, "epoch") == 0;
        for (int i = 0; i < n && !found; i++) found = strcmp(reports[i], name) == 0;
        if (found) continue;
        const char *near = athi_nearest(name, reports, n, sizeof *reports);
        return athi_fail(ctx, ATH_E_OPTION, "model_checkpoint: file: {%s} is not reported; use {epoch} or %s%s%s",
                         name, near ? "{" : "a report's name", near ? near : "", near ? "}" : "");
    }
    return ATH_OK;
}

/* "a-{epoch}-{val_loss}.safetensors" below the run's folder. */
static ath_status fill_name(const athi_callback_call *c, const char *pattern, athi_text *out) {
    char name[64];
    bool found;
    add_folder(c, pattern, out);
    for (const char *p = pattern, *text = p; *p; text = p) {
        if (!next_field(&p, name))
            athi_text_add(out, text, 1);
        else if (strcmp(name, "epoch") == 0)
            athi_text_printf(out, "%02lld", (long long)c->epoch->epoch);
        else
            athi_text_printf(out, "%.4f", athi_epoch_value(c->epoch, name, &found)); /* it is: checkpoint_check */
    }
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status checkpoint_epoch(athi_callback_call *c, const void *opts) {
    const ath_model_checkpoint_opts *o = opts;
    if (o->save_best_only) {
        bool found;
        double value = athi_epoch_value(c->epoch, o->monitor, &found);
        if (!athi_improves(athi_goes_up(o->mode, o->monitor), value, c->state[0], 0)) return ATH_OK;
        c->state[0] = value;
    }
    athi_text path = {.ctx = c->ctx};
    ath_status status = fill_name(c, o->file, &path);
    if (status == ATH_OK) status = athi_model_save(c->model, path.text, c->fit->metadata, -1);
    athi_text_free(&path);
    return status;
}

const athi_callback_impl athi_model_checkpoint = {.n_state = 1,
                                                  .monitor = checkpoint_monitor,
                                                  .check = checkpoint_check,
                                                  .begin = checkpoint_begin,
                                                  .epoch_end = checkpoint_epoch};

/* ---- csv_logger ---------------------------------------------------------------------------------- */

#define OPT(field) offsetof(ath_csv_logger_opts, field)
const athi_option athi_csv_logger_options[] = {{"file", ATHI_OPT_STRING, OPT(file), "log.csv",
                                                .doc = "relative to the run's folder"},
                                               {"separator", ATHI_OPT_STRING, OPT(separator), ",",
                                                .doc = "between columns"},
                                               {0}};
#undef OPT

static ath_status csv_path(const athi_callback_call *c, const char *file, athi_text *out) {
    add_folder(c, file, out);
    athi_text_printf(out, "%s", file);
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status csv_keep(athi_callback_call *c, const void *opts) {
    athi_text path = {.ctx = c->ctx};
    const ath_csv_logger_opts *o = opts;
    int64_t epochs = athi_epochs_done(c->model);
    ath_status status = csv_path(c, o->file, &path);
    if (status == ATH_OK) status = athi_lines_keep(c->ctx, path.text, epochs ? epochs + 1 : 0);
    athi_text_free(&path);
    return status;
}

static ath_status csv_epoch(athi_callback_call *c, const void *opts) {
    const ath_csv_logger_opts *o = opts;
    athi_text path = {.ctx = c->ctx}, line = {.ctx = c->ctx};
    ath_status status = csv_path(c, o->file, &path);
    if (status == ATH_OK && c->epoch->epoch == 1) {
        athi_text_printf(&line, "epoch");
        for (int i = 0; i < c->epoch->n; i++) athi_text_printf(&line, "%s%s", o->separator, c->epoch->names[i]);
        athi_text_printf(&line, "\n");
    }
    athi_text_printf(&line, "%lld", (long long)c->epoch->epoch);
    for (int i = 0; i < c->epoch->n; i++) {
        char number[32];
        athi_format_double(c->epoch->values[i], number);
        athi_text_printf(&line, "%s%s", o->separator, number);
    }
    athi_text_printf(&line, "\n");
    if (status == ATH_OK && line.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_line_append(c->ctx, path.text, line.text, line.length);
    athi_text_free(&path);
    athi_text_free(&line);
    return status;
}

const athi_callback_impl athi_csv_logger = {.begin = csv_keep, .resume = csv_keep, .epoch_end = csv_epoch};
