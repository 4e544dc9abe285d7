/* The loop. An epoch is: order, steps, validation, record, callbacks, log. Everything it needs to go on after
 * a kill lies in the block (progress, sums, counters, callbacks) or is a function of (seed, epoch). */
#include "train/internal.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>

typedef struct run {
    ath_ctx *ctx;
    ath_model *model;
    const athi_fit_opts *o;
    athi_arena *arena;
    athi_feed feed, validation;
    athi_pipeline *pipeline; /* makes the next batch; NULL: the loop makes it */
    int64_t asked;           /* place in the order of the batch that it makes; -1: none */
    int64_t *order;
    int64_t *progress;        /* in the block */
    double *values;           /* in the block */
    int64_t *counters;        /* in the block: {seed, step} */
    float *rate;              /* in the block */
    const char *const *names; /* of the reports */
    double *reports;
    int n_reports;
    double saved_at, save_cost; /* when the last checkpoint ended, what it took */
    double begun;               /* of this epoch */
    double training;            /* seconds of training in this epoch */
    int64_t samples;            /* trained on in this epoch by this process */
} run;

static bool has_validation(const run *r) { return r->o->validation && r->o->validation->n > 0; }

/* ---- checkpoints --------------------------------------------------------------------------------- */

static ath_status save(run *r) {
    if (!r->o->state_path) return ATH_OK;
    double begin = athi_now();
    ATH_TRY(athi_state_save(r->ctx, r->model->state, r->o->state_path));
    r->saved_at = athi_now();
    r->save_cost = r->saved_at - begin;
    return ATH_OK;
}

/* As often as costs less than 1 % of the time. */
static ath_status save_if_due(run *r) {
    if (athi_now() - r->saved_at < 100 * r->save_cost) return ATH_OK;
    return save(r);
}

/* ---- what an epoch reports ----------------------------------------------------------------------- */

ath_status athi_report_names(const ath_model *m, athi_arena *arena, bool validation, const athi_callback *callbacks,
                             int n_callbacks, const char *const **names, int *n) {
    static const char *const of_every_epoch[] = {"learning_rate", "seconds", "samples_per_second"};
    const athi_net *net = m->net;
    const char **list =
        athi_arena_array(arena, 2 * net->n_sums + ATHI_COUNT(of_every_epoch) + n_callbacks, sizeof *list);
    *n = 0;
    if (!list) return ATH_E_NOMEM;
    for (int part = 0; part <= validation; part++)
        for (int64_t i = 0; i < net->n_sums; i++) {
            const char *name = net->sums[i].name;
            if (part) name = athi_arena_printf(arena, "val_%s", name);
            if (!name) return ATH_E_NOMEM;
            list[(*n)++] = name;
        }
    for (int i = 0; i < ATHI_COUNT(of_every_epoch); i++) list[(*n)++] = of_every_epoch[i];
    for (int i = 0; i < n_callbacks; i++) {
        const char *added = ((const athi_callback_impl *)callbacks[i].row->impl)->report;
        if (added) list[(*n)++] = added;
    }
    *names = list;
    return ATH_OK;
}

static void keep_best(run *r, const athi_epoch *e) {
    if (!r->o->monitor) return;
    bool found;
    double value = athi_epoch_value(e, r->o->monitor, &found), *best = &r->values[ATHI_BEST_VALUE];
    bool first = r->progress[ATHI_BEST_EPOCH] <= r->o->inherited;
    if (isnan(value) || (!first && !(r->o->maximize ? value > *best : value < *best))) return;
    *best = value;
    r->progress[ATHI_BEST_EPOCH] = e->epoch;
    athi_model_keep(r->model, ATHI_SNAPSHOT_MONITOR);
}

static ath_status end_epoch(run *r, bool *stop) {
    const athi_net *net = r->model->net;
    int64_t n = net->n_sums;
    athi_sums_read(r->model, r->reports);
    athi_sums_clear(r->model);
    if (has_validation(r))
        ATH_TRY(athi_evaluate(r->model, r->o->validation, r->o->preprocess, r->o->batch, r->reports + n));
    double *costs = r->reports + n * (1 + has_validation(r));
    const athi_epoch_costs took = {r->samples, athi_now() - r->begun};
    costs[0] = (double)*r->rate;
    costs[1] = took.seconds;
    costs[2] = r->training > 0 ? (double)r->samples / r->training : 0;
    athi_callbacks_measure(r->model, r->o, &took, costs + 3);
    athi_epoch e = {++r->progress[ATHI_EPOCHS_DONE], r->counters[1], r->names, r->reports, r->n_reports};
    r->progress[ATHI_BATCHES_DONE] = 0;
    keep_best(r, &e);
    ATH_TRY(athi_callbacks_run(r->model, r->o, ATHI_CALLBACK_EPOCH, &e, stop));
    if (r->o->log_path) ATH_TRY(athi_log_append(r->ctx, r->o->log_path, &e));
    if (r->o->on_epoch) ATH_TRY(r->o->on_epoch(r->o->user, &e, stop));
    if (*stop)
        r->progress[ATHI_FINISHED] = ATHI_STOPPED;
    else if (e.epoch >= r->o->epochs)
        r->progress[ATHI_FINISHED] = ATHI_ALL_EPOCHS;
    return ATH_OK;
}

/* ---- steps --------------------------------------------------------------------------------------- */

static void set_rate(run *r) {
    double rate = r->values[ATHI_RATE];
    *r->rate = (float)(rate > 0 ? rate : athi_learning_rate(r->model->net, r->counters[1]));
}

static ath_status check_loss(run *r) {
    const double *sum = athi_state_at(r->model->state, r->model->net->sums[0].variable);
    if (!r->o->stop_on_nan || isfinite(sum[0])) return ATH_OK;
    return athi_fail(r->ctx, ATH_E_FAILED,
                     "the loss became %s at step %lld (epoch %lld, learning rate %g); a smaller "
                     "learning rate or clipnorm may help",
                     isnan(sum[0]) ? "NaN" : "infinite", (long long)r->counters[1],
                     (long long)r->progress[ATHI_EPOCHS_DONE] + 1, (double)*r->rate);
}

/* The batch into the plan's input slots; and the next one is begun. */
static void fill(run *r, athi_plan *plan, int64_t first, int64_t n) {
    athi_batch_key key = {r->o->seed, r->progress[ATHI_EPOCHS_DONE], first};
    athi_slots slots = athi_feed_slots(&r->feed, plan);
    if (!r->pipeline) {
        athi_feed_batch(&r->feed, &slots, &key, r->order + first, n);
        return;
    }
    if (r->asked != first) athi_pipeline_ask(r->pipeline, &key, r->order + first, n);
    athi_pipeline_take(r->pipeline, &slots);
    key.first = r->asked = first + n < r->o->train->n ? first + n : -1;
    if (r->asked >= 0)
        athi_pipeline_ask(r->pipeline, &key, r->order + key.first, ATHI_MIN(r->o->batch, r->o->train->n - key.first));
}

static ath_status step(run *r, int64_t first, int64_t n) {
    athi_plan *plan = NULL;
    ATH_TRY(athi_model_plan(r->model, ATHI_MODE_TRAIN, n, &plan));
    set_rate(r);
    fill(r, plan, first, n);
    athi_plan_run(plan);
    r->model->version++;
    r->progress[ATHI_BATCHES_DONE]++;
    r->samples += n;
    return ATH_OK;
}

/* Between two executions: is it told to stop? */
static ath_status look_up(run *r, int64_t epoch) {
    if (!r->o->interrupted || !*r->o->interrupted) return ATH_OK;
    ATH_TRY(save(r));
    return athi_fail(r->ctx, ATH_E_INTERRUPTED, "interrupted in epoch %lld%s", (long long)epoch + 1,
                     r->o->state_path ? "; the state is saved, the same command goes on" : "");
}

/* The rest of the current epoch; *ended is false when max_steps came first. Executions of several steps are counted from
 * the epoch's beginning, wherever a run goes on. */
static ath_status train_epoch(run *r, bool *ended) {
    const athi_fit_opts *o = r->o;
    int64_t epoch = r->progress[ATHI_EPOCHS_DONE], n = o->train->n, batches = (n + o->batch - 1) / o->batch,
            at_once = ATHI_MAX(o->steps_per_execution, 1);
    athi_epoch_order(o->seed, epoch, n, o->shuffle, r->order);
    double begin = athi_now(), told = 0; /* the first batch is told at once, before it is saved */
    r->begun = begin, r->samples = 0, r->asked = -1;
    *ended = true;
    for (int64_t b = r->progress[ATHI_BATCHES_DONE]; b < batches; b++) {
        if (o->max_steps && r->counters[1] >= o->max_steps) {
            *ended = false;
            ATH_TRY(check_loss(r));
            break;
        }
        if (b % at_once == 0) ATH_TRY(look_up(r, epoch));
        ATH_TRY(step(r, b * o->batch, ATHI_MIN(o->batch, n - b * o->batch)));
        bool last = b + 1 == batches;
        if (!last && (b + 1) % at_once != 0) continue;
        ATH_TRY(check_loss(r));
        double now = athi_now();
        if (o->on_batch && (now - told > 0.2 || last)) {
            o->on_batch(o->user, epoch + 1, b + 1, batches);
            told = now;
        }
        if (!last) ATH_TRY(save_if_due(r));
    }
    r->training = athi_now() - begin;
    return ATH_OK;
}

/* ---- going on --------------------------------------------------------------------------- */

/* Tells the epochs of the log again: whoever listens may have died before it took them down. */
static ath_status replay(run *r) {
    char *text = NULL;
    int64_t size = 0;
    if (!r->o->on_epoch || !r->o->log_path || !athi_file_exists(r->o->log_path)) return ATH_OK;
    ATH_TRY(athi_file_read(r->ctx, r->o->log_path, false, INT64_MAX, &text, &size));
    ath_status status = ATH_OK;
    for (char *line = text, *end; status == ATH_OK && line < text + size && (end = strchr(line, '\n'));
         line = end + 1) {
        athi_value *v = NULL;
        bool stop = false;
        status = athi_json_read(r->ctx, r->arena, line, end - line, &v);
        if (status == ATH_E_SYNTAX)
            status = athi_fail_prefix(r->ctx, ATH_E_DATA, "%s: the log of the epochs so far", r->o->log_path);
        if (status != ATH_OK) break;
        for (int i = 0; i < r->n_reports; i++) {
            const athi_value *number = athi_value_get(v, r->names[i]);
            if (!number || !athi_value_number(number, &r->reports[i])) r->reports[i] = (double)NAN;
        }
        const athi_value *epoch = athi_value_get(v, "epoch"), *step = athi_value_get(v, "step");
        athi_epoch e = {epoch ? epoch->integer : 0, step ? step->integer : 0, r->names, r->reports, r->n_reports};
        status = r->o->on_epoch(r->o->user, &e, &stop);
    }
    athi_free(r->ctx, text);
    return status;
}

/* It had fewer epochs at the last start: it is as if it had been stopped there, unless its end has changed the weights. */
static ath_status lengthen(run *r) {
    if (r->progress[ATHI_FINISHED] != ATHI_ALL_EPOCHS || r->progress[ATHI_EPOCHS_DONE] >= r->o->epochs) return ATH_OK;
    for (int i = 0; i < r->o->n_callbacks; i++) {
        const athi_callback_impl *impl = r->o->callbacks[i].row->impl;
        if (!impl->restores || !impl->restores(r->o->callbacks[i].opts)) continue;
        return athi_fail(r->ctx, ATH_E_STATE,
                         "train.epochs: the training has ended after %lld epochs with the weights of its best one "
                         "(%s), so that with more epochs it is another training; use another folder, or --overwrite",
                         (long long)r->progress[ATHI_EPOCHS_DONE], r->o->callbacks[i].row->name);
    }
    r->progress[ATHI_FINISHED] = ATHI_UNFINISHED;
    return ATH_OK;
}

/* ---- beginning and end --------------------------------------------------------------------------- */

/* Nobody but a disk or a hand cuts such a file short: it is written beside and renamed. */
static ath_status load_state(const run *r) {
    char sentence[ATHI_ERRMSG_MAX];
    ath_status status = athi_state_load(r->ctx, r->model->state, r->o->state_path);
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    snprintf(sentence, sizeof sentence, "%s", ath_errmsg(r->ctx));
    return athi_fail(r->ctx, status, "%s; delete it to begin this training again", sentence);
}

static ath_status begin_augmentation(run *r) {
    int64_t batch = ATHI_MIN(r->o->batch, r->o->train->n), scratch = athi_feed_scratch(&r->feed, batch);
    if (!scratch) return ATH_OK;
    r->feed.scratch = athi_arena_array(r->arena, scratch, sizeof *r->feed.scratch);
    if (!r->feed.scratch) return ATH_E_NOMEM;
    return r->ctx->threads > 1 ? athi_pipeline_start(r->arena, &r->feed, batch, &r->pipeline) : ATH_OK;
}

static ath_status begin(run *r) {
    const athi_fit_opts *o = r->o;
    ath_model *m = r->model;
    r->feed = (athi_feed){.model = m,
                          .part = o->train,
                          .preprocess = o->preprocess,
                          .class_weight = o->class_weight,
                          .augment = o->augment};
    ATH_TRY(athi_feed_check(r->ctx, &r->feed, "train"));
    ATH_TRY(begin_augmentation(r));
    if (has_validation(r)) {
        r->validation = (athi_feed){.model = m, .part = o->validation, .preprocess = o->preprocess};
        ATH_TRY(athi_feed_check(r->ctx, &r->validation, "validation"));
    }
    r->order = athi_arena_array(r->arena, o->train->n + 1, sizeof *r->order);
    if (!r->order) return ATH_E_NOMEM;
    r->progress = athi_state_at(m->state, m->progress);
    r->values = athi_state_at(m->state, m->values);
    r->counters = athi_state_at(m->state, m->net->counters);
    r->rate = athi_state_at(m->state, m->net->learning_rate);
    ATH_TRY(
        athi_report_names(m, r->arena, has_validation(r), o->callbacks, o->n_callbacks, &r->names, &r->n_reports));
    r->reports = athi_arena_array(r->arena, r->n_reports, sizeof *r->reports);
    if (!r->reports) return ATH_E_NOMEM;
    ATH_TRY(athi_callbacks_check(m, o->callbacks, o->n_callbacks, r->names, r->n_reports));
    bool resumed = o->resume && o->state_path && athi_file_exists(o->state_path), stop = false;
    if (resumed) ATH_TRY(load_state(r));
    if (resumed) ATH_TRY(lengthen(r));
    m->version++;
    if (o->log_path) ATH_TRY(athi_lines_keep(r->ctx, o->log_path, r->progress[ATHI_EPOCHS_DONE]));
    if (resumed) ATH_TRY(replay(r));
    r->saved_at = athi_now();
    return athi_callbacks_run(m, o, resumed ? ATHI_CALLBACK_RESUME : ATHI_CALLBACK_BEGIN, NULL, &stop);
}

static ath_status train(run *r) {
    bool stop = false, ended = true;
    while (!r->progress[ATHI_FINISHED] && r->progress[ATHI_EPOCHS_DONE] < r->o->epochs) {
        ATH_TRY(train_epoch(r, &ended));
        if (!ended) break;
        ATH_TRY(end_epoch(r, &stop));
        if (r->progress[ATHI_FINISHED]) ATH_TRY(athi_callbacks_run(r->model, r->o, ATHI_CALLBACK_END, NULL, &stop));
        if (!r->progress[ATHI_FINISHED]) ATH_TRY(save_if_due(r));
    }
    return save(r);
}

ath_status athi_fit(ath_model *m, const athi_fit_opts *opts) {
    run r = {.ctx = m->ctx, .model = m, .o = opts, .arena = athi_arena_create(m->ctx)};
    if (!r.arena) return ATH_E_NOMEM;
    ath_status status = begin(&r);
    if (status == ATH_OK) status = train(&r);
    athi_pipeline_stop(r.pipeline);
    athi_arena_destroy(r.arena);
    return status;
}

void athi_model_begin_again(ath_model *m) {
    memset(athi_state_at(m->state, m->progress), 0, ATHI_PROGRESS_SIZE * sizeof(int64_t));
    memset(athi_state_at(m->state, m->callbacks), 0, (size_t)athi_shape_count(m->callbacks->shape) * sizeof(double));
    athi_sums_clear(m); /* of an epoch that was not ended */
}

int64_t athi_epochs_done(const ath_model *m) {
    return ((const int64_t *)athi_state_at(m->state, m->progress))[ATHI_EPOCHS_DONE];
}

int64_t athi_best_epoch(const ath_model *m, double *value) {
    *value = ((const double *)athi_state_at(m->state, m->values))[ATHI_BEST_VALUE];
    return ((const int64_t *)athi_state_at(m->state, m->progress))[ATHI_BEST_EPOCH];
}
