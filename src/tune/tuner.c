/* The public define-by-run search: the space grows while the user's function asks, one execution after the
 * other runs in this process. */
#include "tune/tuner_internal.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define SPACE_KEY "space"

/* ---- a trial ------------------------------------------------------------------------------------- */

static ath_status store_space(ath_tuner *t) {
    if (t->stored_n == t->space->n) return ATH_OK;
    athi_value *value = NULL;
    ATH_TRY(athi_space_write(t->arena, t->space, &value));
    athi_text text = {.ctx = t->ctx};
    ath_status status = athi_json_write(&text, value, 0);
    if (status == ATH_OK) status = text.failed ? ATH_E_NOMEM : athi_store_put(t->store, SPACE_KEY, text.text);
    athi_text_free(&text);
    if (status == ATH_OK) t->stored_n = t->space->n;
    return status;
}

/* What the function has asked for so far is what the trial is. */
static ath_status store_point(ath_trial *trial) {
    ath_hp *hp = trial->hp;
    int64_t asked = 0;
    for (int64_t i = 0; i < hp->n; i++) asked += hp->asked[i];
    if (asked == trial->written) return ATH_OK;
    ATH_TRY(store_space(trial->tuner));
    double *point = athi_alloc_array(trial->tuner->ctx, hp->n, sizeof(double));
    if (!point) return ATH_E_NOMEM;
    for (int64_t i = 0; i < hp->n; i++) point[i] = hp->asked[i] ? hp->point[i] : NAN;
    ath_status status = athi_search_set_point(trial->search, &trial->task, point);
    athi_free(trial->tuner->ctx, point);
    if (status == ATH_OK) trial->written = asked;
    return status;
}

ath_status ath_trial_report_values(ath_trial *trial, int64_t step, const double *values) {
    const athi_study_info *info = athi_store_info(trial->tuner->store);
    const char *keys[ATH_OBJECTIVES_MAX];
    athi_value numbers[ATH_OBJECTIVES_MAX] = {{0}}, *items[ATH_OBJECTIVES_MAX];
    athi_value map = {
        .type = ATHI_MAP, .n = info->n_objectives, .cap = info->n_objectives, .items = items, .keys = keys};
    if (trial->hp->status != ATH_OK)
        return athi_fail(trial->tuner->ctx, trial->hp->status, "%s", trial->hp->sentence);
    ATH_TRY(store_point(trial));
    for (int k = 0; k < info->n_objectives; k++) {
        numbers[k] = (athi_value){.type = ATHI_FLOAT, .number = values[k]};
        items[k] = &numbers[k], keys[k] = info->objective_names[k];
    }
    return athi_search_report(trial->search, &trial->task, step, &map);
}

ath_status ath_trial_report(ath_trial *trial, int64_t step, double value) {
    const int n = athi_store_info(trial->tuner->store)->n_objectives;
    if (n == 1) return ath_trial_report_values(trial, step, &value);
    return athi_fail(trial->tuner->ctx, ATH_E_OPTION,
                     "trial: there are %d objectives, but one value was reported; call ath_trial_report_values", n);
}

int64_t ath_trial_number(const ath_trial *trial) { return trial->task.trial; }
int64_t ath_trial_execution(const ath_trial *trial) { return trial->task.execution; }
uint64_t ath_trial_seed(const ath_trial *trial) { return trial->task.seed; }

/* ---- the tuner ----------------------------------------------------------------------------------- */

static const struct {
    const char *part;
    ath_direction direction;
} directions[] = {
    {"loss", ATH_MINIMIZE},      {"error", ATH_MINIMIZE},  {"mse", ATH_MINIMIZE}, {"mae", ATH_MINIMIZE},
    {"seconds", ATH_MINIMIZE},   {"acc", ATH_MAXIMIZE},    {"auc", ATH_MAXIMIZE}, {"score", ATH_MAXIMIZE},
    {"precision", ATH_MAXIMIZE}, {"recall", ATH_MAXIMIZE}, {"f1", ATH_MAXIMIZE},
};

static ath_status find_direction(ath_ctx *ctx, const char *objective, ath_direction direction, bool *maximize) {
    for (int i = 0; direction == ATH_BY_NAME && i < ATHI_COUNT(directions); i++)
        if (strstr(objective, directions[i].part)) direction = directions[i].direction;
    *maximize = direction == ATH_MAXIMIZE;
    if (direction == ATH_MINIMIZE || direction == ATH_MAXIMIZE) return ATH_OK;
    return athi_fail(
        ctx, ATH_E_OPTION,
        "tuner: nothing is known of the objective '%s'; give its direction, ATH_MINIMIZE or ATH_MAXIMIZE", objective);
}

/* What is optimised: .objective, or .objectives. */
typedef struct objectives {
    int n;
    const char *names[ATH_OBJECTIVES_MAX];
    bool maximize[ATH_OBJECTIVES_MAX];
} objectives;

static ath_status read_objectives(ath_ctx *ctx, const ath_tuner_opts *o, objectives *out) {
    *out = (objectives){0};
    const bool one = o->objective && *o->objective;
    if (one && o->objectives[0])
        return athi_fail(ctx, ATH_E_OPTION, "tuner: both .objective and .objectives are given; leave one out");
    if (one) {
        out->names[out->n++] = o->objective;
        return find_direction(ctx, o->objective, o->direction, &out->maximize[0]);
    }
    for (; out->n < ATH_OBJECTIVES_MAX && o->objectives[out->n]; out->n++) {
        const char *name = out->names[out->n] = o->objectives[out->n];
        for (int k = 0; k < out->n; k++)
            if (!strcmp(out->names[k], name))
                return athi_fail(ctx, ATH_E_OPTION, "tuner: the objective '%s' stands twice", name);
        ATH_TRY(find_direction(ctx, name, o->directions[out->n], &out->maximize[out->n]));
    }
    return out->n ? ATH_OK : athi_fail(ctx, ATH_E_OPTION, "tuner: .objective is missing");
}

static ath_status find_sampler(ath_tuner *t, const ath_tuner_opts *o) {
    const char *name = o->sampler ? o->sampler : "auto";
    void *opts = NULL;
    const athi_row *row = athi_row_find(&athi_samplers, name);
    if (!row) {
        int64_t n = 0;
        while (athi_samplers.rows[n].name) n++;
        const char *near = athi_nearest(name, athi_samplers.rows, n, sizeof(athi_row));
        return athi_fail(t->ctx, ATH_E_OPTION, "tuner: there is no sampler '%s'%s%s", name,
                         near ? "; did you mean " : "", near ? near : "");
    }
    if (row->opts_size) {
        opts = athi_arena_alloc(t->arena, (int64_t)row->opts_size);
        if (!opts) return ATH_E_NOMEM;
        ATH_TRY(athi_options_read(t->ctx, t->arena, row, NULL, NULL, row->name, opts));
    }
    t->search.sampler = row;
    t->search.sampler_opts = opts;
    return ATH_OK;
}

static ath_status forget_study(ath_ctx *ctx, const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    char file[4096];
    for (int i = 0; i < ATHI_COUNT(endings); i++) {
        snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        if (athi_file_exists(file) && unlink(file))
            return athi_fail(ctx, ATH_E_IO,
                             "%s: cannot be removed to start over; change the permissions of its folder", file);
    }
    return ATH_OK;
}

/* One objective by its name, several as a list: studies of one are as they always were. */
static ath_status set_objectives(ath_tuner *t, const objectives *what, athi_value *definition) {
    athi_value *list = athi_value_new(t->arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    if (what->n == 1)
        return athi_value_set(t->arena, definition, "objective", athi_value_string(t->arena, what->names[0]));
    for (int k = 0; k < what->n; k++)
        ATH_TRY(athi_value_append(t->arena, list, athi_value_string(t->arena, what->names[k])));
    return athi_value_set(t->arena, definition, "objectives", list);
}

static ath_status open_study(ath_tuner *t, const ath_tuner_opts *o, const objectives *what, const char *path) {
    athi_value *definition = athi_value_new(t->arena, ATHI_MAP);
    if (!definition) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(t->arena, definition, "define_by_run", athi_value_bool(t->arena, true)));
    ATH_TRY(set_objectives(t, what, definition));
    ATH_TRY(athi_value_set(t->arena, definition, "seed", athi_value_int(t->arena, (int64_t)o->seed)));
    const char *slash = strrchr(o->directory, '/');
    athi_study_info info = {.name = slash && slash[1] ? slash + 1 : o->directory,
                            .n_objectives = what->n,
                            .maximize = what->maximize,
                            .objective_names = what->names,
                            .definition = definition};
    return athi_store_open(t->ctx, path, &info, &t->store);
}

static ath_status read_space(ath_tuner *t) {
    const char *text = NULL;
    athi_value *value = NULL;
    ATH_TRY(athi_store_get(t->store, t->arena, SPACE_KEY, &text));
    if (!text) return athi_space_create(t->arena, &t->space);
    ATH_TRY(athi_json_read(t->ctx, t->arena, text, (int64_t)strlen(text), &value));
    ATH_TRY(athi_space_read(t->ctx, t->arena, value, &t->space));
    t->stored_n = t->space->n;
    return ATH_OK;
}

static ath_status create(ath_tuner *t, const ath_tuner_opts *o) {
    if (!o->directory || !*o->directory) return athi_fail(t->ctx, ATH_E_OPTION, "tuner: .directory is missing");
    objectives what;
    ATH_TRY(read_objectives(t->ctx, o, &what));
    if (!(t->arena = athi_arena_create(t->ctx))) return ATH_E_NOMEM;
    const char *path = athi_arena_printf(t->arena, "%s/study.db", o->directory);
    const char *lock = athi_arena_printf(t->arena, "%s/lock", o->directory);
    if (!path || !lock) return ATH_E_NOMEM;
    ATH_TRY(find_sampler(t, o));
    ATH_TRY(athi_make_dirs(t->ctx, o->directory));
    ATH_TRY(athi_lock_take(t->ctx, lock, &t->lock));
    if (o->overwrite) ATH_TRY(forget_study(t->ctx, path));
    ATH_TRY(open_study(t, o, &what, path));
    ATH_TRY(read_space(t));
    t->search.space = t->space;
    t->search.store = t->store;
    t->search.seed = o->seed;
    t->search.max_trials = o->max_trials || o->exact ? o->max_trials : 10;
    t->search.executions = o->executions_per_trial || o->exact ? o->executions_per_trial : 1;
    t->search.jobs = 1;
    athi_search *check = NULL; /* wrong options are told here, before anything is run */
    ATH_TRY(athi_search_open(t->ctx, &t->search, &check));
    athi_search_close(check);
    return ATH_OK;
}

ath_status ath_tuner_create_with(ath_ctx *ctx, ath_tuner **tuner, const ath_tuner_opts *opts) {
    TAKE(ath_tuner_opts, opts);
    *tuner = NULL;
    ath_tuner *t = athi_alloc(ctx, sizeof(*t));
    if (!t) return ATH_E_NOMEM;
    t->ctx = ctx;
    t->lock = -1;
    ath_status status = create(t, &o);
    if (status != ATH_OK) return ath_tuner_destroy(t), status;
    *tuner = t;
    return ATH_OK;
}

void ath_tuner_destroy(ath_tuner *t) {
    if (!t) return;
    athi_store_close(t->store);
    if (t->lock >= 0) athi_lock_release(t->lock);
    if (t->arena) athi_arena_destroy(t->arena);
    athi_free(t->ctx, t);
}

/* ---- searching ----------------------------------------------------------------------------------- */

static ath_status record(ath_trial *trial, ath_status outcome) {
    ath_hp *hp = trial->hp;
    ath_ctx *ctx = trial->tuner->ctx;
    char message[ATHI_ERRMSG_MAX];
    snprintf(message, sizeof(message), "%s", ath_errmsg(ctx)[0] ? ath_errmsg(ctx) : ath_status_text(outcome));
    if (hp->status != ATH_OK) return athi_fail(ctx, hp->status, "%s", hp->sentence);
    if (outcome == ATH_E_INTERRUPTED) return outcome;
    ATH_TRY(store_point(trial));
    if (outcome == ATH_OK) return athi_search_finish(trial->search, &trial->task);
    athi_reason reason = outcome == ATH_E_NOMEM ? ATHI_REASON_MEMORY : ATHI_REASON_CRASH;
    return athi_search_fail(trial->search, &trial->task, reason, message);
}

static ath_status run_task(ath_tuner *t, athi_search *search, const athi_task *task, ath_tuner_fn fn, void *user) {
    ath_hp hp = {.tuner = t};
    ath_trial trial = {.tuner = t, .hp = &hp, .search = search, .task = *task, .written = -1};
    int64_t given = t->space->n;
    ath_status status = athi_hp_fit(&hp);
    if (status == ATH_OK) {
        if (given) memcpy(hp.point, task->point, (size_t)given * sizeof(double));
        t->ctx->errmsg[0] = 0;
        status = record(&trial, fn(&hp, &trial, user));
    }
    athi_hp_free_values(&hp);
    return status;
}

static ath_status run_all(ath_tuner *t, athi_search *search, ath_tuner_fn fn, void *user) {
    for (;;) {
        athi_task task;
        athi_next next;
        const char *why = NULL;
        ATH_TRY(athi_search_next(search, &task, &next, &why));
        if (next == ATHI_NEXT_WAIT)
            return athi_fail(t->ctx, ATH_E_STATE,
                             "tuner: the study waits for trials of another process; end it and start again");
        if (next == ATHI_NEXT_DONE && !strcmp(why, "failures"))
            return athi_fail(t->ctx, ATH_E_FAILED,
                             "tuner: every trial so far has failed, so the search ends; the last one: %s",
                             athi_search_last_failure(search));
        if (next == ATHI_NEXT_DONE) return ATH_OK;
        ATH_TRY(run_task(t, search, &task, fn, user));
    }
}

ath_status ath_tuner_search(ath_tuner *t, ath_tuner_fn fn, void *user) {
    athi_search *search = NULL;
    ATH_TRY(athi_search_open(t->ctx, &t->search, &search));
    ath_status status = ATH_OK;
    const double nothing = 0;
    if (!t->space->n)
        status = athi_search_enqueue(search, &nothing); /* the first trial finds the space by its defaults */
    if (status == ATH_OK) status = run_all(t, search, fn, user);
    athi_search_close(search);
    return status;
}

/* ---- results ------------------------------------------------------------------------------------- */

static ath_status fixed_hp(ath_tuner *t, const athi_trial *trial, ath_hp **out) {
    ath_hp *hp = athi_arena_alloc(t->arena, sizeof(*hp));
    if (!hp) return ATH_E_NOMEM;
    *hp = (ath_hp){.tuner = t, .fixed = true, .n = t->space->n};
    hp->point = athi_arena_memdup(t->arena, trial->point, hp->n * (int64_t)sizeof(double));
    hp->asked = athi_arena_array(t->arena, hp->n, sizeof(bool));
    *out = hp;
    return hp->n && (!hp->point || !hp->asked) ? ATH_E_NOMEM : ATH_OK;
}

/* Ranked anew each time: another process may have added trials. */
static ath_status rank_all(ath_tuner *t, const athi_trial ***ranking, int64_t *n, int64_t *front) {
    athi_search *search = NULL;
    ATH_TRY(athi_search_open(t->ctx, &t->search, &search));
    ath_status status = athi_search_ranking(search, t->arena, ranking, n);
    if (status == ATH_OK) *front = athi_search_front(search, *ranking, *n);
    athi_search_close(search);
    return status;
}

static ath_status ranked(ath_tuner *t, int64_t rank, const athi_trial **trial) {
    const athi_trial **ranking = NULL;
    int64_t n = 0, front;
    ATH_TRY(rank_all(t, &ranking, &n, &front));
    if (rank < 0 || rank >= n)
        return athi_fail(t->ctx, ATH_E_NOTFOUND, "tuner: there is no trial of rank %lld: %lld are complete",
                         (long long)rank, (long long)n);
    *trial = ranking[rank];
    return ATH_OK;
}

ath_status ath_tuner_best(ath_tuner *t, int64_t rank, ath_tuner_result *result) {
    const athi_trial *best = NULL;
    *result = (ath_tuner_result){0};
    ATH_TRY(ranked(t, rank, &best));
    result->trial = best->number;
    result->value = best->values[0];
    result->best_step = best->n_executions > 0 ? best->execution_best[0] : 0;
    return fixed_hp(t, best, &result->hp);
}

ath_status ath_tuner_front(ath_tuner *t, int64_t *n) {
    const athi_trial **ranking = NULL;
    int64_t all = 0;
    *n = 0;
    ATH_TRY(rank_all(t, &ranking, &all, n));
    if (athi_store_info(t->store)->n_objectives == 1) *n = ATHI_MIN(all, 1);
    return ATH_OK;
}

ath_status ath_tuner_values(ath_tuner *t, int64_t rank, double *values) {
    const athi_trial *trial = NULL;
    ATH_TRY(ranked(t, rank, &trial));
    memcpy(values, trial->values, (size_t)athi_store_info(t->store)->n_objectives * sizeof *values);
    return ATH_OK;
}
