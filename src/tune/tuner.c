/* The public define-by-run search: the space grows while the user's function asks, one execution after the
 * other runs in this process. */
#include "athanor/tune.h"

#include "base/file.h"
#include "tune/search.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define SPACE_KEY "space"

struct ath_tuner {
    ath_ctx *ctx;
    athi_arena *arena; /* the space and what best() gave out */
    athi_space *space;
    athi_store *store;
    athi_search_opts search;
    int lock;
    int64_t stored_n; /* parameters of the space that the study knows */
};

struct ath_hp {
    ath_tuner *tuner;
    bool fixed; /* of a finished trial: nothing is added */
    double *point;
    bool *asked;
    int64_t n, point_cap, asked_cap;
    ath_status status; /* the first error */
    char sentence[ATHI_ERRMSG_MAX];
};

struct ath_trial {
    ath_tuner *tuner;
    ath_hp *hp;
    athi_search *search;
    athi_task task;
    int64_t written; /* parameters that the study knows this trial to have, -1: none were written */
};

/* ---- parameters ---------------------------------------------------------------------------------- */

static void give_up(ath_hp *hp, ath_status status) {
    if (hp->status != ATH_OK) return;
    hp->status = status;
    snprintf(hp->sentence, sizeof(hp->sentence), "%s", ath_errmsg(hp->tuner->ctx));
}

/* Room for the space's parameters; new ones are not asked for yet. */
static ath_status fit(ath_hp *hp) {
    ath_ctx *ctx = hp->tuner->ctx;
    while (hp->n < hp->tuner->space->n) {
        ATH_TRY(ATHI_GROW(ctx, hp->point, hp->n, hp->point_cap));
        ATH_TRY(ATHI_GROW(ctx, hp->asked, hp->n, hp->asked_cap));
        hp->point[hp->n] = NAN, hp->asked[hp->n] = false;
        hp->n++;
    }
    return ATH_OK;
}

static void free_values(ath_hp *hp) {
    athi_free(hp->tuner->ctx, hp->point);
    athi_free(hp->tuner->ctx, hp->asked);
}

/* The trial's value of a parameter, which becomes part of the space if it is new. */
static ath_status ask(ath_hp *hp, const athi_space_param *wanted, int *index) {
    ath_tuner *t = hp->tuner;
    if (!wanted->name || !*wanted->name)
        return athi_fail(t->ctx, ATH_E_OPTION, "a parameter was asked for without a name");
    int known = athi_space_find(t->space, wanted->name);
    if (known < 0 && hp->fixed)
        return athi_fail(t->ctx, ATH_E_NOTFOUND, "the study has no parameter '%s'", wanted->name);
    ATH_TRY(athi_space_add(t->ctx, t->space, wanted, index)); /* a known one is compared */
    ATH_TRY(fit(hp));
    hp->asked[*index] = true;
    if (isnan(hp->point[*index])) hp->point[*index] = t->space->params[*index].fallback;
    return ATH_OK;
}

static bool get(ath_hp *hp, const athi_space_param *wanted, int *index) {
    ath_status status = hp->status == ATH_OK ? ask(hp, wanted, index) : hp->status;
    if (status != ATH_OK) give_up(hp, status);
    return status == ATH_OK;
}

/* Shorter structs of older programs are filled up with zeros. */
#define TAKE(type, opts)                                                                                     \
    type o = {0};                                                                                            \
    memcpy(&o, opts, ATHI_MIN(opts->struct_size, sizeof(o)))

static const athi_prior priors[] = {[ATH_PRIOR_UNIFORM] = ATHI_PRIOR_UNIFORM,
                                    [ATH_PRIOR_LOG] = ATHI_PRIOR_LOG,
                                    [ATH_PRIOR_REVERSE_LOG] = ATHI_PRIOR_REVERSE_LOG};

static athi_prior prior_of(ath_prior prior) {
    return (int)prior >= 0 && (int)prior < ATHI_COUNT(priors) ? priors[prior] : ATHI_PRIOR_UNIFORM;
}

int64_t ath_hp_int_with(ath_hp *hp, const char *name, const ath_hp_int_opts *opts) {
    TAKE(ath_hp_int_opts, opts);
    int64_t fallback = o.fallback || o.exact ? o.fallback : o.min;
    bool log = o.prior == ATH_PRIOR_LOG;
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_INT,
                          .min = (double)o.min,
                          .max = (double)o.max,
                          .step = o.step || log ? (double)o.step : 1,
                          .prior = prior_of(o.prior),
                          .fallback = (double)fallback};
    int i;
    return get(hp, &p, &i) ? (int64_t)hp->point[i] : fallback;
}

double ath_hp_float_with(ath_hp *hp, const char *name, const ath_hp_float_opts *opts) {
    TAKE(ath_hp_float_opts, opts);
    double fallback = o.fallback != 0 || o.exact ? o.fallback : o.min;
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_FLOAT,
                          .min = o.min,
                          .max = o.max,
                          .step = o.step,
                          .prior = prior_of(o.prior),
                          .fallback = fallback};
    int i;
    return get(hp, &p, &i) ? hp->point[i] : fallback;
}

bool ath_hp_bool(ath_hp *hp, const char *name) {
    athi_value no = {.type = ATHI_BOOL}, yes = {.type = ATHI_BOOL, .boolean = true};
    athi_branch branches[] = {{.key = "false", .value = &no}, {.key = "true", .value = &yes}};
    athi_space_param p = {
        .name = name, .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = 2, .boolean = true};
    int i;
    return get(hp, &p, &i) && hp->point[i] == 1;
}

const char *ath_hp_choice_with(ath_hp *hp, const char *name, const ath_hp_choice_opts *opts) {
    TAKE(ath_hp_choice_opts, opts);
    athi_value values[ATH_HP_VALUES_MAX] = {{0}};
    athi_branch branches[ATH_HP_VALUES_MAX] = {{0}};
    int n = 0, i;
    for (; n < ATH_HP_VALUES_MAX && o.values[n]; n++) {
        values[n] = (athi_value){.type = ATHI_STRING, .text = o.values[n]};
        branches[n] = (athi_branch){.key = o.values[n], .value = &values[n]};
    }
    athi_space_param p = {.name = name,
                          .type = ATHI_PARAM_CHOICE,
                          .branches = branches,
                          .n_branches = n,
                          .ordered = o.ordered,
                          .fallback = o.fallback};
    if (!get(hp, &p, &i)) return o.fallback >= 0 && o.fallback < n ? o.values[o.fallback] : "";
    return hp->tuner->space->params[i].branches[(int)hp->point[i]].key;
}

const char *ath_hp_json(ath_hp *hp) {
    athi_value *map = NULL;
    athi_text text = {.ctx = hp->tuner->ctx};
    const char *copy = NULL;
    if (fit(hp) == ATH_OK &&
        athi_space_point_write(hp->tuner->arena, hp->tuner->space, hp->point, &map) == ATH_OK &&
        athi_json_write(&text, map, 0) == ATH_OK && !text.failed)
        copy = athi_arena_strdup(hp->tuner->arena, text.text);
    athi_text_free(&text);
    return copy;
}

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

ath_status ath_trial_report(ath_trial *trial, int64_t step, double value) {
    if (trial->hp->status != ATH_OK)
        return athi_fail(trial->tuner->ctx, trial->hp->status, "%s", trial->hp->sentence);
    ATH_TRY(store_point(trial));
    const char *keys[] = {athi_store_info(trial->tuner->store)->objective_names[0]};
    athi_value number = {.type = ATHI_FLOAT, .number = value}, *items[] = {&number};
    athi_value map = {.type = ATHI_MAP, .n = 1, .cap = 1, .items = items, .keys = keys};
    return athi_search_report(trial->search, &trial->task, step, &map);
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

static ath_status find_direction(ath_ctx *ctx, const ath_tuner_opts *o, bool *maximize) {
    ath_direction direction = o->direction;
    for (int i = 0; direction == ATH_BY_NAME && i < ATHI_COUNT(directions); i++)
        if (strstr(o->objective, directions[i].part)) direction = directions[i].direction;
    *maximize = direction == ATH_MAXIMIZE;
    if (direction == ATH_MINIMIZE || direction == ATH_MAXIMIZE) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION,
                     "tuner: nothing is known of the objective '%s'; give .direction = ATH_MINIMIZE or "
                     "ATH_MAXIMIZE",
                     o->objective);
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
                             "%s: cannot be removed to start over; change the permissions of its folder",
                             file);
    }
    return ATH_OK;
}

static ath_status open_study(ath_tuner *t, const ath_tuner_opts *o, const char *path) {
    bool maximize;
    ATH_TRY(find_direction(t->ctx, o, &maximize));
    athi_value *definition = athi_value_new(t->arena, ATHI_MAP);
    if (!definition) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(t->arena, definition, "define_by_run", athi_value_bool(t->arena, true)));
    ATH_TRY(athi_value_set(t->arena, definition, "objective", athi_value_string(t->arena, o->objective)));
    ATH_TRY(athi_value_set(t->arena, definition, "seed", athi_value_int(t->arena, (int64_t)o->seed)));
    const char *slash = strrchr(o->directory, '/');
    athi_study_info info = {.name = slash && slash[1] ? slash + 1 : o->directory,
                            .n_objectives = 1,
                            .maximize = &maximize,
                            .objective_names = &o->objective,
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
    if (!o->directory || !*o->directory)
        return athi_fail(t->ctx, ATH_E_OPTION, "tuner: .directory is missing");
    if (!o->objective || !*o->objective)
        return athi_fail(t->ctx, ATH_E_OPTION, "tuner: .objective is missing");
    if (!(t->arena = athi_arena_create(t->ctx))) return ATH_E_NOMEM;
    const char *path = athi_arena_printf(t->arena, "%s/study.db", o->directory);
    const char *lock = athi_arena_printf(t->arena, "%s/lock", o->directory);
    if (!path || !lock) return ATH_E_NOMEM;
    ATH_TRY(find_sampler(t, o));
    ATH_TRY(athi_make_dirs(t->ctx, o->directory));
    ATH_TRY(athi_lock_take(t->ctx, lock, &t->lock));
    if (o->overwrite) ATH_TRY(forget_study(t->ctx, path));
    ATH_TRY(open_study(t, o, path));
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

static ath_status run_task(ath_tuner *t, athi_search *search, const athi_task *task, ath_tuner_fn fn,
                           void *user) {
    ath_hp hp = {.tuner = t};
    ath_trial trial = {.tuner = t, .hp = &hp, .search = search, .task = *task, .written = -1};
    int64_t given = t->space->n;
    ath_status status = fit(&hp);
    if (status == ATH_OK) {
        if (given) memcpy(hp.point, task->point, (size_t)given * sizeof(double));
        t->ctx->errmsg[0] = 0;
        status = record(&trial, fn(&hp, &trial, user));
    }
    free_values(&hp);
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

ath_status ath_tuner_best(ath_tuner *t, int64_t rank, ath_tuner_result *result) {
    athi_search *search = NULL;
    const athi_trial **ranking = NULL;
    int64_t n = 0;
    *result = (ath_tuner_result){0};
    ATH_TRY(athi_search_open(t->ctx, &t->search, &search));
    ath_status status = athi_search_ranking(search, t->arena, &ranking, &n);
    athi_search_close(search);
    ATH_TRY(status);
    if (rank < 0 || rank >= n)
        return athi_fail(t->ctx, ATH_E_NOTFOUND, "tuner: there is no trial of rank %lld: %lld are complete",
                         (long long)rank, (long long)n);
    const athi_trial *best = ranking[rank];
    result->trial = best->number;
    result->value = best->values[0];
    result->best_step = best->n_executions > 0 ? best->execution_best[0] : 0;
    return fixed_hp(t, best, &result->hp);
}
