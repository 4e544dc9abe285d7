/* The members: the best trials trained to the end. With `retrain`, a fresh training on the training part finds the best
 * epoch and gives validation predictions; then a fresh model trains factor x as long on training + validation
 * ("Deep Learning with Python", best practices). Without, the search's own best-epoch weights serve. */
#include "recipe/stages.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>

/* Seeds of retraining: beside those of (trial, execution), which count from 0. */
enum { SEED_RETRAIN = 1 << 24 };

/* Predictions of the model on a part, in the run's arena. */
static ath_status predict(athi_stages *s, ath_model *m, const athi_data *data, const athi_part *part,
                          const float **out) {
    *out = NULL;
    if (!part->n) return ATH_OK;
    float *p = athi_arena_array(s->arena, part->n * s->classes, sizeof *p);
    if (!p) return ATH_E_NOMEM;
    ATH_TRY(athi_predict(m, part, &data->preprocess, data->batch, p));
    *out = p;
    return ATH_OK;
}

/* What all members share is learned from the first: width of the predictions, kind of targets. */
static void learn_output(athi_stages *s, const athi_job *job) {
    athi_shape out = job->model->net->graph->outputs[0]->shape;
    s->classes = 1;
    for (int d = 1; d < out.rank; d++) s->classes *= out.dim[d];
    s->labelled = s->classes > 1 && strstr(job->train.loss.name, "categorical_crossentropy") != NULL;
}

static ath_status score(athi_stages *s, const athi_part *part, const float *p, athi_ensemble_score *out) {
    *out = (athi_ensemble_score){(double)NAN, (double)NAN};
    if (!p) return ATH_OK;
    athi_members one;
    int n = s->n_members;
    s->n_members = 0; /* the targets alone */
    ath_status status = athi_stage_predictions(s, part, ATHI_ON_VALIDATION, &one);
    s->n_members = n;
    if (status == ATH_OK) *out = athi_ensemble_evaluate(&one, p);
    return status;
}

/* ---- one training of a member -------------------------------------------------------------------- */

typedef struct training {
    const athi_value *bound;
    athi_data *data;
    athi_training_opts opts;
    athi_job job;
} training;

static void on_batch(void *user, int64_t epoch, int64_t batch, int64_t batches) {
    const athi_stages *s = user;
    (void)epoch, (void)batch, (void)batches;
    if (s->opts->begun) *s->opts->begun = true;
}

static ath_status open_training(athi_stages *s, const double *point, uint64_t seed, training *t) {
    athi_value *bound = NULL;
    ATH_TRY(athi_recipe_bind(s->recipe, s->arena, point, seed, &bound));
    t->bound = bound;
    ATH_TRY(athi_bound_data(s->ctx, bound, s->recipe->folder, s->opts->cache, &t->data));
    t->opts = (athi_training_opts){.bound = bound,
                                   .data = t->data,
                                   .n_callbacks = -1,
                                   .on_batch = on_batch,
                                   .user = s,
                                   .interrupted = s->opts->interrupted};
    return ATH_OK;
}

static void close_training(training *t) {
    athi_model_destroy(t->job.model);
    athi_data_close(t->data);
}

/* Is the state that lies there of this very training? */
static ath_status read_owner(athi_stages *s, const training *t, const char *path, bool *ours) {
    athi_map map = {0};
    athi_contents contents;
    athi_value *metadata = NULL;
    int64_t data_offset;
    ATH_TRY(athi_bound_metadata(s->ctx, s->arena, t->bound, t->data, &metadata));
    ATH_TRY(athi_file_map(s->ctx, path, &map));
    ath_status status = athi_contents_parse(s->ctx, s->arena, path, map.data, map.size, &contents, &data_offset);
    athi_file_unmap(&map);
    if (status == ATH_OK) *ours = contents.metadata && athi_value_equal(contents.metadata, metadata);
    return status;
}

/* A raised budget may give a rank to another trial: what was trained there for the former one goes. */
static ath_status clear_former(athi_stages *s, const training *t) {
    const char *path = athi_arena_printf(s->arena, "%s/state.safetensors", t->opts.directory);
    bool ours = true;
    if (!path) return ATH_E_NOMEM;
    if (athi_file_exists(path)) ATH_TRY(read_owner(s, t, path, &ours));
    return ours ? ATH_OK : athi_remove_tree(s->ctx, t->opts.directory);
}

static ath_status train(athi_stages *s, training *t) {
    ATH_TRY(athi_train_one(s->ctx, s->arena, &t->opts, &t->job));
    learn_output(s, &t->job);
    return ATH_OK;
}

static ath_status save_model(athi_stages *s, athi_member *m, const training *t, int snapshot) {
    athi_value *metadata = NULL;
    const char *path = athi_stage_path(s, "models/%d.safetensors", m->rank + 1);
    m->model = athi_arena_printf(s->arena, "models/%d.safetensors", m->rank + 1);
    if (!path || !m->model) return ATH_E_NOMEM;
    ATH_TRY(athi_bound_metadata(s->ctx, s->arena, t->bound, t->data, &metadata));
    m->bound = t->bound;
    return athi_model_save(t->job.model, path, metadata, snapshot);
}

/* ---- with retraining ----------------------------------------------------------------------------- */

/* The best epoch, and validation predictions of its weights. */
static ath_status find_best_epoch(athi_stages *s, athi_member *m, const double *point) {
    const athi_retrain_opts *r = &s->recipe->retrain;
    training t = {0};
    ath_status status =
        open_training(s, point, athi_seed_derive(s->recipe->seed, SEED_RETRAIN + (uint64_t)m->rank, 0), &t);
    const athi_row *row = athi_row_find(&athi_callbacks, "early_stopping");
    athi_value *map = athi_value_new(s->arena, ATHI_MAP);
    athi_callback stopping = {row, athi_arena_alloc(s->arena, (int64_t)row->opts_size)};
    if (!map || !stopping.opts) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_value_set(s->arena, map, "monitor", athi_value_string(s->arena, "val_loss"));
    if (status == ATH_OK) status = athi_value_set(s->arena, map, "patience", athi_value_int(s->arena, r->patience));
    union {
        const void *read;
        void *write;
    } opts = {stopping.opts}; /* made here, so it may be written */
    if (status == ATH_OK) status = athi_options_read(s->ctx, s->arena, row, map, NULL, "retrain", opts.write);
    if (status == ATH_OK) {
        t.opts.directory = athi_stage_path(s, "retrain/%d/best", m->rank + 1);
        t.opts.monitor = "val_loss", t.opts.callbacks = &stopping, t.opts.n_callbacks = 1,
        t.opts.epochs = r->max_epochs;
        status = t.opts.directory ? clear_former(s, &t) : ATH_E_NOMEM;
    }
    if (status == ATH_OK) status = train(s, &t);
    if (status == ATH_OK) {
        double value;
        m->best_epoch = athi_best_epoch(t.job.model, &value);
        athi_model_restore(t.job.model, ATHI_SNAPSHOT_MONITOR);
        status = predict(s, t.job.model, t.data, &t.data->validation, &m->on_validation);
    }
    close_training(&t);
    return status;
}

static ath_status retrain(athi_stages *s, athi_member *m, const double *point) {
    ATH_TRY(find_best_epoch(s, m, point));
    m->epochs = (int64_t)((double)m->best_epoch * s->recipe->retrain.epochs_factor);
    if (m->epochs < 1) m->epochs = 1;
    training t = {0};
    athi_part joined, none = {0};
    ath_status status =
        open_training(s, point, athi_seed_derive(s->recipe->seed, SEED_RETRAIN + (uint64_t)m->rank, 1), &t);
    if (status == ATH_OK) status = athi_data_join(s->ctx, t.data, &joined);
    if (status == ATH_OK) {
        t.opts.directory = athi_stage_path(s, "retrain/%d/final", m->rank + 1);
        t.opts.train = &joined, t.opts.validation = &none, t.opts.n_callbacks = 0, t.opts.epochs = m->epochs;
        status = t.opts.directory ? clear_former(s, &t) : ATH_E_NOMEM;
    }
    if (status == ATH_OK) status = train(s, &t);
    if (status == ATH_OK) status = save_model(s, m, &t, -1);
    if (status == ATH_OK) status = predict(s, t.job.model, t.data, &t.data->test, &m->on_test);
    close_training(&t);
    return status;
}

/* ---- without ------------------------------------------------------------------------------------- */

/* The weights of the best epoch of the trial's best execution lie in its state; a state that is gone is made again. */
static ath_status reuse(athi_stages *s, athi_member *m, const athi_trial *trial, const double *point) {
    int64_t best = 0, width = s->objectives.n;
    for (int64_t e = 1; trial && e < trial->n_executions; e++)
        if (s->objectives.maximize[0] ? trial->execution_values[e * width] > trial->execution_values[best * width]
                                      : trial->execution_values[e * width] < trial->execution_values[best * width])
            best = e;
    training t = {0};
    uint64_t seed =
        trial ? athi_seed_derive(s->recipe->seed, (uint64_t)trial->number, (uint64_t)best) : s->recipe->seed;
    ath_status status = open_training(s, point, seed, &t);
    bool watches = s->data->validation.n > 0;
    if (status == ATH_OK) {
        t.opts.directory = trial ? athi_stage_path(s, "trials/%lld/%lld", (long long)trial->number, (long long)best)
                                 : athi_stage_path(s, "train");
        if (trial || watches) t.opts.monitor = s->objectives.names[0], t.opts.maximize = s->objectives.maximize[0];
        status = t.opts.directory ? train(s, &t) : ATH_E_NOMEM;
    }
    if (status == ATH_OK) {
        double value;
        m->epochs = athi_epochs_done(t.job.model);
        m->best_epoch = t.opts.monitor ? athi_best_epoch(t.job.model, &value) : m->epochs;
        if (t.opts.monitor) athi_model_restore(t.job.model, ATHI_SNAPSHOT_MONITOR);
        status = predict(s, t.job.model, t.data, &t.data->validation, &m->on_validation);
    }
    if (status == ATH_OK) status = predict(s, t.job.model, t.data, &t.data->test, &m->on_test);
    if (status == ATH_OK) status = save_model(s, m, &t, -1);
    close_training(&t);
    return status;
}

/* ---- the stage ----------------------------------------------------------------------------------- */

static ath_status make_member(athi_stages *s, int rank, const athi_trial *trial) {
    athi_member *m = &s->members[rank];
    double begin = athi_now();
    *m = (athi_member){.rank = rank,
                       .trial = trial ? trial->number : -1,
                       .params = athi_value_new(s->arena, ATHI_MAP)};
    if (!m->params) return ATH_E_NOMEM;
    double *point = athi_arena_array(s->arena, s->recipe->space->n + 1, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    if (trial) {
        athi_value *params = NULL;
        memcpy(point, trial->point, (size_t)s->recipe->space->n * sizeof *point);
        ATH_TRY(athi_space_point_write(s->arena, s->recipe->space, point, &params));
        m->params = params;
    } else
        athi_space_default(s->recipe->space, point);
    const char *stage = s->recipe->retrains ? "retrain" : "train";
    ATH_TRY(s->recipe->retrains ? retrain(s, m, point) : reuse(s, m, trial, point));
    ATH_TRY(score(s, &s->data->validation, m->on_validation, &m->validation));
    ATH_TRY(score(s, &s->data->test, m->on_test, &m->test));
    m->seconds = athi_now() - begin;
    athi_stage_say(s, stage, "model %d: best epoch %lld, trained %lld%s%s", rank + 1, (long long)m->best_epoch,
                   (long long)m->epochs, athi_stage_score(s, "validation", m->validation),
                   athi_stage_score(s, "test", m->test));
    return ATH_OK;
}

ath_status athi_stage_members(athi_stages *s) {
    int64_t wanted = s->recipe->retrains ? s->recipe->retrain.top : s->recipe->ensembles ? s->recipe->tune.keep : 1;
    if (!s->recipe->tunes)
        wanted = 1;
    else
        wanted = ATHI_MIN(wanted, s->n_ranking);
    const char *models = athi_stage_path(s, "models");
    s->members = athi_arena_array(s->arena, wanted, sizeof *s->members);
    if (!s->members || !models) return ATH_E_NOMEM;
    ATH_TRY(athi_make_dirs(s->ctx, models));
    for (int i = 0; i < (int)wanted; i++) {
        ATH_TRY(make_member(s, i, s->recipe->tunes ? s->ranking[i] : NULL));
        s->n_members++;
    }
    return ATH_OK;
}
