/* Callbacks of experiments on throughput and time to accuracy: a target that ends the training, a learning rate by epoch,
 * and what an epoch cost as reports of their own. */
#include "train/internal.h"

#include <stddef.h>

/* ---- stop_at_accuracy ---------------------------------------------------------------------------- */

#define OPT(field) offsetof(ath_stop_at_accuracy_opts, field)
const athi_option athi_stop_at_accuracy_options[] = {
    {"target", ATHI_OPT_FLOAT, OPT(target), NULL, .doc = "the value to be reached"},
    {"monitor", ATHI_OPT_STRING, OPT(monitor), "val_accuracy", .doc = "the report that is watched"},
    {"patience", ATHI_OPT_INT, OPT(patience), "2", .min = 1, .max = 1e9,
     .doc = "epochs at the target or beyond after which training stops"},
    {"consecutive", ATHI_OPT_SWITCH, OPT(consecutive), "true", .doc = "only epochs in a row count"},
    {"mode", ATHI_OPT_ENUM, OPT(mode), "auto", .names = athi_modes,
     .doc = "whether the target lies above (max) or below; auto: the metric's own direction"},
    {0}};
#undef OPT

static const char *stop_at_monitor(const void *opts) { return ((const ath_stop_at_accuracy_opts *)opts)->monitor; }

static ath_status stop_at_epoch(athi_callback_call *c, const void *opts) {
    const ath_stop_at_accuracy_opts *o = opts;
    bool found;
    double value = athi_epoch_value(c->epoch, o->monitor, &found), *reached = &c->state[0];
    if (athi_goes_up(o->mode, o->monitor) ? value >= o->target : value <= o->target)
        ++*reached;
    else if (o->consecutive == ATH_ON)
        *reached = 0;
    c->stop = *reached >= (double)o->patience;
    return ATH_OK;
}

const athi_callback_impl athi_stop_at_accuracy = {.n_state = 1,
                                                  .monitor = stop_at_monitor,
                                                  .epoch_end = stop_at_epoch};

bool athi_callbacks_target(const athi_callback *callbacks, int n, const char **monitor, double *target,
                           bool *maximize) {
    for (int i = 0; i < n; i++) {
        if (callbacks[i].row->impl != &athi_stop_at_accuracy) continue;
        const ath_stop_at_accuracy_opts *o = callbacks[i].opts;
        *monitor = o->monitor, *target = o->target, *maximize = athi_goes_up(o->mode, o->monitor);
        return true;
    }
    return false;
}

/* ---- learning_rate_scheduler --------------------------------------------------------------------- */

#define OPT(field) offsetof(ath_learning_rate_scheduler_opts, field)
const athi_option athi_learning_rate_scheduler_options[] = {
    {"epochs", ATHI_OPT_FLOATS, OPT(epochs), NULL, .min = 1, .max = 1e9,
     .doc = "after how many epochs the factor changes, ascending: [15, 25, 35]"},
    {"factors", ATHI_OPT_FLOATS, OPT(factors), NULL,
     .doc = "of the optimizer's learning rate, one more than epochs: [1, 0.1, 0.01, 0.001]"},
    {0}};
#undef OPT

static ath_status scheduler_check(ath_ctx *ctx, const void *opts, const char *const *reports, int n) {
    const ath_learning_rate_scheduler_opts *o = opts;
    (void)reports, (void)n;
    if (o->factors.n != o->epochs.n + 1)
        return athi_fail(ctx, ATH_E_OPTION,
                         "learning_rate_scheduler: expected one factor more than epochs, got %lld factors and %lld "
                         "epochs; the last factor holds to the end",
                         (long long)o->factors.n, (long long)o->epochs.n);
    for (int64_t i = 0; i < o->factors.n; i++)
        if (!(o->factors.v[i] > 0)) /* a rate of 0 would mean the schedule's */
            return athi_fail(ctx, ATH_E_OPTION, "learning_rate_scheduler: a factor must be a number > 0, got %g",
                             o->factors.v[i]);
    for (int64_t i = 1; i < o->epochs.n; i++)
        if (o->epochs.v[i] <= o->epochs.v[i - 1])
            return athi_fail(ctx, ATH_E_OPTION, "learning_rate_scheduler: epochs must ascend, got %g after %g",
                             o->epochs.v[i], o->epochs.v[i - 1]);
    return ATH_OK;
}

/* The rate of the epoch that follows `done` others. */
static void set_rate(athi_callback_call *c, const ath_learning_rate_scheduler_opts *o, int64_t done) {
    int64_t i = 0;
    while (i < o->epochs.n && (double)done >= o->epochs.v[i]) i++;
    *c->rate = athi_learning_rate(c->model->net, 0) * o->factors.v[i];
}

static ath_status scheduler_begin(athi_callback_call *c, const void *opts) {
    set_rate(c, opts, 0);
    return ATH_OK;
}
static ath_status scheduler_epoch(athi_callback_call *c, const void *opts) {
    set_rate(c, opts, c->epoch->epoch);
    return ATH_OK;
}

const athi_callback_impl athi_learning_rate_scheduler = {.needs_constant_rate = true,
                                                         .check = scheduler_check,
                                                         .begin = scheduler_begin,
                                                         .epoch_end = scheduler_epoch};

/* ---- throughput, total_time ---------------------------------------------------------------------- */

static double throughput(athi_callback_call *c, const void *opts, const athi_epoch_costs *costs) {
    (void)c, (void)opts;
    return costs->seconds > 0 ? (double)costs->samples / costs->seconds : 0;
}
const athi_callback_impl athi_throughput = {.report = "throughput", .measure = throughput};

static double total_time(athi_callback_call *c, const void *opts, const athi_epoch_costs *costs) {
    (void)opts;
    return c->state[0] += costs->seconds;
}
const athi_callback_impl athi_total_time = {.n_state = 1, .report = "total_seconds", .measure = total_time};
