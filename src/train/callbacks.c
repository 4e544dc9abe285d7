/* Callbacks, a row each, with Keras's semantics. What one remembers lies in the block, as doubles. */
#include "train/internal.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* ---- monitors ------------------------------------------------------------------------------------ */

const char *const athi_modes[] = {"auto", "min", "max", NULL};

/* `auto` is the metric's own direction; a loss or an unknown name goes down. */
bool athi_goes_up(ath_monitor_mode mode, const char *monitor) {
    bool known = false, up = athi_metric_direction(monitor, &known);
    return mode == ATH_MONITOR_MAX || (mode == ATH_MONITOR_AUTO && known && up);
}

bool athi_improves(bool up, double value, double reference, double min_delta) {
    return up ? value - fabs(min_delta) > reference : value + fabs(min_delta) < reference;
}

double athi_worst(bool up) { return up ? -(double)INFINITY : (double)INFINITY; }

/* ---- early_stopping ------------------------------------------------------------------------------ */

#define OPT(field) offsetof(ath_early_stopping_opts, field)
static const athi_option early_stopping_options[] = {
    {"monitor", ATHI_OPT_STRING, OPT(monitor), "val_loss", .doc = "the report that is watched"},
    {"min_delta", ATHI_OPT_FLOAT, OPT(min_delta), "0", .min = 0, .max = 1e30,
     .doc = "smallest change that counts as an improvement"},
    {"patience", ATHI_OPT_INT, OPT(patience), "0", .min = 0, .max = 1e9, .search_min = 2, .search_max = 20,
     .doc = "epochs without improvement after which training stops"},
    {"mode", ATHI_OPT_ENUM, OPT(mode), "auto", .names = athi_modes,
     .doc = "direction of improvement; auto: the metric's own"},
    {"baseline", ATHI_OPT_FLOATS, OPT(baseline), "null", .nullable = true,
     .doc = "patience is only renewed by values better than this"},
    {"restore_best_weights", ATHI_OPT_BOOL, OPT(restore_best_weights), "false",
     .doc = "end with the weights of the best epoch"},
    {"start_from_epoch", ATHI_OPT_INT, OPT(start_from_epoch), "0", .min = 0, .max = 1e9,
     .doc = "epochs before monitoring begins"},
    {0}};
#undef OPT

enum { ES_BEST, ES_WAIT, ES_KEPT, ES_SIZE };

static const char *es_monitor(const void *opts) { return ((const ath_early_stopping_opts *)opts)->monitor; }
static bool es_restores(const void *opts) { return ((const ath_early_stopping_opts *)opts)->restore_best_weights; }

static ath_status es_check(ath_ctx *ctx, const void *opts, const char *const *reports, int n) {
    const ath_early_stopping_opts *o = opts;
    (void)reports, (void)n;
    if (o->baseline.n <= 1) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "early_stopping: baseline: expected one number, got %lld",
                     (long long)o->baseline.n);
}

static ath_status es_begin(athi_callback_call *c, const void *opts) {
    const ath_early_stopping_opts *o = opts;
    c->state[ES_BEST] = athi_worst(athi_goes_up(o->mode, o->monitor));
    return ATH_OK;
}

static void es_keep(athi_callback_call *c, const ath_early_stopping_opts *o) {
    if (o->restore_best_weights) athi_model_keep(c->model, ATHI_SNAPSHOT_EARLY_STOPPING);
    c->state[ES_KEPT] = 1;
}

static ath_status es_epoch(athi_callback_call *c, const void *opts) {
    const ath_early_stopping_opts *o = opts;
    bool found, up = athi_goes_up(o->mode, o->monitor);
    double value = athi_epoch_value(c->epoch, o->monitor, &found);
    if (c->epoch->epoch <= o->start_from_epoch) return ATH_OK;
    bool first = c->state[ES_KEPT] == 0; /* what is watched first is the best so far, a NaN too */
    c->state[ES_WAIT]++;
    if (first || athi_improves(up, value, c->state[ES_BEST], o->min_delta)) {
        c->state[ES_BEST] = value;
        es_keep(c, o);
        if (!o->baseline.n || athi_improves(up, value, o->baseline.v[0], o->min_delta)) c->state[ES_WAIT] = 0;
        return ATH_OK;
    }
    c->stop = c->state[ES_WAIT] >= (double)o->patience && c->epoch->epoch > 1;
    return ATH_OK;
}

static void es_end(athi_callback_call *c, const void *opts) {
    if (es_restores(opts) && c->state[ES_KEPT] != 0) athi_model_restore(c->model, ATHI_SNAPSHOT_EARLY_STOPPING);
}

static const athi_callback_impl early_stopping = {.n_state = ES_SIZE,
                                                  .monitor = es_monitor,
                                                  .restores = es_restores,
                                                  .check = es_check,
                                                  .begin = es_begin,
                                                  .epoch_end = es_epoch,
                                                  .train_end = es_end};

/* ---- reduce_lr_on_plateau ------------------------------------------------------------------------ */

#define OPT(field) offsetof(ath_reduce_lr_on_plateau_opts, field)
static const athi_option plateau_options[] = {
    {"monitor", ATHI_OPT_STRING, OPT(monitor), "val_loss", .doc = "the report that is watched"},
    {"factor", ATHI_OPT_FLOAT, OPT(factor), "0.1", .min = 0, .max = 1, .search_min = 0.1, .search_max = 0.7,
     .doc = "new rate = rate * factor"},
    {"patience", ATHI_OPT_INT, OPT(patience), "10", .min = 0, .max = 1e9, .search_min = 2, .search_max = 20,
     .doc = "epochs without improvement after which the rate is reduced"},
    {"mode", ATHI_OPT_ENUM, OPT(mode), "auto", .names = athi_modes,
     .doc = "direction of improvement; auto: the metric's own"},
    {"min_delta", ATHI_OPT_FLOAT, OPT(min_delta), "0.0001", .min = 0, .max = 1e30,
     .doc = "smallest change that counts as an improvement"},
    {"cooldown", ATHI_OPT_INT, OPT(cooldown), "0", .min = 0, .max = 1e9,
     .doc = "epochs to wait after a reduction before watching again"},
    {"min_lr", ATHI_OPT_FLOAT, OPT(min_lr), "0", .min = 0, .max = 1e30, .doc = "the rate never goes below this"},
    {0}};
#undef OPT

enum { PL_BEST, PL_WAIT, PL_COOLDOWN, PL_SIZE };

static const char *plateau_monitor(const void *opts) {
    return ((const ath_reduce_lr_on_plateau_opts *)opts)->monitor;
}

static ath_status plateau_begin(athi_callback_call *c, const void *opts) {
    const ath_reduce_lr_on_plateau_opts *o = opts;
    c->state[PL_BEST] = athi_worst(athi_goes_up(o->mode, o->monitor));
    return ATH_OK;
}

static ath_status plateau_epoch(athi_callback_call *c, const void *opts) {
    const ath_reduce_lr_on_plateau_opts *o = opts;
    bool found;
    double value = athi_epoch_value(c->epoch, o->monitor, &found), *s = c->state;
    if (s[PL_COOLDOWN] > 0) s[PL_COOLDOWN]--, s[PL_WAIT] = 0;
    if (athi_improves(athi_goes_up(o->mode, o->monitor), value, s[PL_BEST], o->min_delta)) {
        s[PL_BEST] = value, s[PL_WAIT] = 0;
        return ATH_OK;
    }
    if (s[PL_COOLDOWN] > 0 || ++s[PL_WAIT] < (double)o->patience) return ATH_OK;
    double rate = *c->rate > 0 ? *c->rate : athi_learning_rate(c->model->net, 0);
    if (rate <= o->min_lr) return ATH_OK;
    *c->rate = fmax(fmax(rate * o->factor, o->min_lr), DBL_MIN); /* 0 would mean the schedule's */
    s[PL_COOLDOWN] = (double)o->cooldown, s[PL_WAIT] = 0;
    return ATH_OK;
}

static const athi_callback_impl plateau = {.n_state = PL_SIZE,
                                           .monitor = plateau_monitor,
                                           .needs_constant_rate = true,
                                           .begin = plateau_begin,
                                           .epoch_end = plateau_epoch};

/* ---- terminate_on_nan ---------------------------------------------------------------------------- */

static ath_status nan_epoch(athi_callback_call *c, const void *opts) {
    (void)opts;
    bool found;
    c->stop = !isfinite(athi_epoch_value(c->epoch, "loss", &found));
    return ATH_OK;
}
static const athi_callback_impl terminate_on_nan = {.epoch_end = nan_epoch};

/* ---- the table ----------------------------------------------------------------------------------- */

const athi_kind athi_callbacks = {
    "callback", "callbacks",
    (const athi_row[]){
        {"early_stopping", "stops when a report no longer improves", early_stopping_options,
         sizeof(ath_early_stopping_opts), &early_stopping, NULL},
        {"reduce_lr_on_plateau", "lowers the learning rate when a report no longer improves", plateau_options,
         sizeof(ath_reduce_lr_on_plateau_opts), &plateau, NULL},
        {"model_checkpoint", "writes model files during training", athi_model_checkpoint_options,
         sizeof(ath_model_checkpoint_opts), &athi_model_checkpoint, "file"},
        {"csv_logger", "writes the reports of every epoch as a line of a CSV file", athi_csv_logger_options,
         sizeof(ath_csv_logger_opts), &athi_csv_logger, "file"},
        {"terminate_on_nan", "stops when the loss is NaN or infinite", NULL, 0, &terminate_on_nan, NULL},
        {"stop_at_accuracy", "stops when a report has reached a target for several epochs",
         athi_stop_at_accuracy_options, sizeof(ath_stop_at_accuracy_opts), &athi_stop_at_accuracy, "target"},
        {"learning_rate_scheduler", "the learning rate by epoch: the optimizer's times a factor",
         athi_learning_rate_scheduler_options, sizeof(ath_learning_rate_scheduler_opts),
         &athi_learning_rate_scheduler, NULL},
        {"throughput",
         "reports throughput: training samples a second of the whole epoch, its validation included "
         "(samples_per_second is that of the training alone)",
         NULL, 0, &athi_throughput, NULL},
        {"total_time", "reports total_seconds: of all epochs so far, over all starts", NULL, 0, &athi_total_time,
         NULL},
        {0}}};

bool athi_callbacks_end_on_nan(const athi_callback *callbacks, int n) {
    for (int i = 0; i < n; i++)
        if (callbacks[i].row->impl == &terminate_on_nan) return true;
    return false;
}

void athi_callbacks_need(const athi_callback *callbacks, int n, int *n_snapshots, int64_t *n_state) {
    for (int i = 0; i < n; i++) {
        const athi_callback_impl *impl = callbacks[i].row->impl;
        *n_state += impl->n_state;
        if (impl->restores && impl->restores(callbacks[i].opts)) *n_snapshots = ATHI_SNAPSHOT_EARLY_STOPPING + 1;
    }
}

/* Only C's `.exact` can leave one out. */
static ath_status check_texts(ath_ctx *ctx, const athi_callback *cb) {
    for (const athi_option *o = cb->row->options; o && o->name; o++)
        if (o->type == ATHI_OPT_STRING && !*(const char *const *)((const char *)cb->opts + o->offset))
            return athi_fail(ctx, ATH_E_OPTION, "%s: %s is required with .exact; its default is \"%s\"",
                             cb->row->name, o->name, o->fallback);
    return ATH_OK;
}

ath_status athi_callbacks_check(const ath_model *m, const athi_callback *callbacks, int n_callbacks,
                                const char *const *reports, int n) {
    for (int i = 0; i < n_callbacks; i++) {
        const athi_callback *cb = &callbacks[i];
        const athi_callback_impl *impl = cb->row->impl;
        ATH_TRY(check_texts(m->ctx, cb));
        if (impl->check) ATH_TRY(impl->check(m->ctx, cb->opts, reports, n));
        const char *monitor = impl->monitor ? impl->monitor(cb->opts) : NULL;
        bool found = !monitor;
        for (int j = 0; j < n; j++) found = found || strcmp(reports[j], monitor) == 0;
        if (!found) {
            const char *near = athi_nearest(monitor, reports, n, sizeof *reports);
            return athi_fail(m->ctx, ATH_E_OPTION, "%s: monitor '%s' is not reported%s%s%s", cb->row->name, monitor,
                             near                               ? "; did you mean '"
                             : strncmp(monitor, "val_", 4) == 0 ? "; give data.validation"
                                                                : "",
                             near ? near : "", near ? "'?" : "");
        }
        if (impl->needs_constant_rate && m->net->schedule && strcmp(m->net->schedule->name, "constant") != 0)
            return athi_fail(m->ctx, ATH_E_OPTION,
                             "%s sets the learning rate, but the schedule %s does so too; use one "
                             "of them",
                             cb->row->name, m->net->schedule->name);
    }
    return ATH_OK;
}

ath_status athi_callbacks_run(ath_model *m, const athi_fit_opts *fit, athi_callback_event event,
                              const athi_epoch *epoch, bool *stop) {
    double *state = athi_state_at(m->state, m->callbacks), *values = athi_state_at(m->state, m->values);
    for (int i = 0; i < fit->n_callbacks; i++) {
        const athi_callback_impl *impl = fit->callbacks[i].row->impl;
        const void *opts = fit->callbacks[i].opts;
        athi_callback_call c = {m->ctx, m, fit, epoch, state, &values[ATHI_RATE], false};
        if (event == ATHI_CALLBACK_BEGIN && impl->begin) ATH_TRY(impl->begin(&c, opts));
        if (event == ATHI_CALLBACK_RESUME && impl->resume) ATH_TRY(impl->resume(&c, opts));
        if (event == ATHI_CALLBACK_EPOCH && impl->epoch_end) ATH_TRY(impl->epoch_end(&c, opts));
        if (event == ATHI_CALLBACK_END && impl->train_end) impl->train_end(&c, opts);
        *stop = *stop || c.stop;
        state += impl->n_state;
    }
    return ATH_OK;
}

void athi_callbacks_measure(ath_model *m, const athi_fit_opts *fit, const athi_epoch_costs *costs, double *values) {
    double *state = athi_state_at(m->state, m->callbacks), *set = athi_state_at(m->state, m->values);
    for (int i = 0; i < fit->n_callbacks; i++) {
        const athi_callback_impl *impl = fit->callbacks[i].row->impl;
        athi_callback_call c = {m->ctx, m, fit, NULL, state, &set[ATHI_RATE], false};
        if (impl->report) *values++ = impl->measure(&c, fit->callbacks[i].opts, costs);
        state += impl->n_state;
    }
}
