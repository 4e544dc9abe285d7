/* report.json: what a run found. Fields named seconds or *_bytes tell of this run's costs; all others are the same
 * however often the run was interrupted. */
#include "recipe/stages.h"

#include "base/file.h"
#include "recipe/sweep.h"

#include <math.h>
#include <sys/resource.h>

static void put_int(athi_map_maker *m, const char *key, int64_t v) {
    athi_map_put(m, key, athi_value_int(m->arena, v));
}
static void put_text(athi_map_maker *m, const char *key, const char *v) {
    athi_map_put(m, key, athi_value_string(m->arena, v));
}
static void put_number(athi_map_maker *m, const char *key, double v) {
    if (!isnan(v)) athi_map_put(m, key, athi_value_float(m->arena, v));
}
static void put_score(athi_map_maker *m, const char *key, athi_ensemble_score s) {
    if (isnan(s.loss)) return;
    athi_map_maker score = athi_map_make(m->arena);
    put_number(&score, "loss", s.loss);
    put_number(&score, "accuracy", s.accuracy);
    if (score.status != ATH_OK) m->status = score.status;
    athi_map_put(m, key, score.map);
}
static void add(athi_map_maker *m, athi_value *list, athi_map_maker item) {
    if (m->status == ATH_OK) m->status = item.status;
    if (m->status == ATH_OK) m->status = athi_value_append(m->arena, list, item.map);
}

/* ---- the search ---------------------------------------------------------------------------------- */

static athi_map_maker trial_value(athi_stages *s, const athi_trial *t) {
    athi_map_maker m = athi_map_make(s->arena);
    athi_value *params = NULL, *executions = athi_value_new(s->arena, ATHI_LIST);
    put_int(&m, "number", t->number);
    put_text(&m, "state", athi_state_name(t->state));
    if (t->reason != ATHI_REASON_NONE) put_text(&m, "reason", athi_reason_name(t->reason));
    if (t->message) put_text(&m, "message", t->message);
    if (m.status == ATH_OK) m.status = athi_space_point_write(s->arena, s->recipe->space, t->point, &params);
    athi_map_put(&m, "params", params);
    if (t->state == ATHI_TRIAL_COMPLETE) put_number(&m, "value", t->values[0]);
    if (t->state == ATHI_TRIAL_COMPLETE && s->objectives.n > 1) {
        athi_map_maker values = athi_map_make(s->arena);
        for (int k = 0; k < s->objectives.n; k++) put_number(&values, s->objectives.names[k], t->values[k]);
        if (values.status != ATH_OK) m.status = values.status;
        athi_map_put(&m, "values", values.map);
    }
    for (int64_t e = 0; executions && e < t->n_executions; e++) {
        athi_map_maker x = athi_map_make(s->arena);
        put_number(&x, "value", t->execution_values[e * s->objectives.n]);
        put_int(&x, "best_step", t->execution_best[e]);
        add(&m, executions, x);
    }
    athi_map_put(&m, "executions", executions);
    if (t->ended > 0) put_number(&m, "seconds", t->ended - t->started);
    return m;
}

static void put_front(athi_stages *s, athi_map_maker *m) {
    athi_value *list = athi_value_new(s->arena, ATHI_LIST);
    int64_t n = athi_search_front(s->search, s->ranking, s->n_ranking);
    if (!list) m->status = ATH_E_NOMEM;
    for (int64_t i = 0; list && i < n; i++) add(m, list, trial_value(s, s->ranking[i]));
    athi_map_put(m, "front", list);
}

static void put_search(athi_stages *s, athi_map_maker *m) {
    const athi_trial *const *trials = NULL;
    int64_t n = 0;
    if (!s->recipe->tunes || m->status != ATH_OK) return;
    athi_map_maker search = athi_map_make(s->arena);
    athi_value *list = athi_value_new(s->arena, ATHI_LIST);
    if (search.status == ATH_OK)
        search.status = list ? athi_store_trials(s->store, s->recipe->space, &trials, &n) : ATH_E_NOMEM;
    for (int64_t i = 0; search.status == ATH_OK && i < n; i++) add(&search, list, trial_value(s, trials[i]));
    athi_map_put(&search, "trials", list);
    if (s->n_ranking) athi_map_put(&search, "best", trial_value(s, s->ranking[0]).map);
    if (s->objectives.n > 1) put_front(s, &search);
    for (int64_t i = 0; s->verdict && i < s->verdict->n; i++)
        athi_map_put(&search, s->verdict->keys[i], athi_value_copy(s->arena, s->verdict->items[i]));
    put_text(&search, "ended", s->why ? s->why : "");
    put_number(&search, "seconds", s->tune_seconds);
    if (search.status != ATH_OK) m->status = search.status;
    athi_map_put(m, "search", search.map);
}

/* Without a search: the course of the one training. */
static void put_training(athi_stages *s, athi_map_maker *m) {
    athi_value *curve = NULL;
    if (s->recipe->tunes || s->recipe->retrains || !s->n_members || m->status != ATH_OK) return;
    const char *log = athi_stage_path(s, "train/log.jsonl");
    m->status = log ? athi_curve_read(s->ctx, s->arena, log, s->members[0].bound, s->objectives.names[0], &curve)
                    : ATH_E_NOMEM;
    if (curve) athi_map_put(m, "training", curve);
}

/* ---- models and ensemble ------------------------------------------------------------------------- */

static void put_models(athi_stages *s, athi_map_maker *m) {
    if (!s->n_members || m->status != ATH_OK) return;
    athi_value *list = athi_value_new(s->arena, ATHI_LIST);
    for (int i = 0; list && i < s->n_members; i++) {
        const athi_member *member = &s->members[i];
        athi_map_maker x = athi_map_make(s->arena);
        put_int(&x, "rank", member->rank + 1);
        if (member->trial >= 0) put_int(&x, "trial", member->trial);
        athi_map_put(&x, "params", athi_value_copy(s->arena, member->params));
        put_int(&x, "best_epoch", member->best_epoch);
        put_int(&x, "epochs", member->epochs);
        put_score(&x, "validation", member->validation);
        put_score(&x, "test", member->test);
        if (s->recipe->ensembles && s->n_members > 1) {
            put_number(&x, "weight", member->weight);
            put_score(&x, "without", member->without);
        }
        put_text(&x, "file", member->model);
        if (member->quantized) athi_map_put(&x, "quantized", athi_value_copy(s->arena, member->quantized));
        put_number(&x, "seconds", member->seconds);
        add(m, list, x);
    }
    athi_map_put(m, "models", list);
}

static void put_ensemble(athi_stages *s, athi_map_maker *m) {
    if (!s->recipe->ensembles || s->n_members < 2 || m->status != ATH_OK) return;
    athi_map_maker e = athi_map_make(s->arena);
    put_text(&e, "method", s->recipe->ensemble.method.name);
    put_score(&e, "validation", s->ensemble_validation);
    put_score(&e, "test", s->ensemble_test);
    if (athi_stage_has_int8_ensemble(s)) put_score(&e, "int8_test", s->ensemble_int8_test);
    if (e.status != ATH_OK) m->status = e.status;
    athi_map_put(m, "ensemble", e.map);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* "objective": what trainings watch; of several, "objectives" lists all. */
static void put_objectives(athi_stages *s, athi_map_maker *m) {
    athi_value *list = athi_value_new(s->arena, ATHI_LIST);
    for (int k = 0; list && k < s->objectives.n; k++) {
        athi_map_maker one = athi_map_make(s->arena);
        put_text(&one, "metric", s->objectives.names[k]);
        put_text(&one, "direction", s->objectives.maximize[k] ? "max" : "min");
        if (k == 0) athi_map_put(m, "objective", one.map);
        add(m, list, one);
    }
    if (s->objectives.n > 1) athi_map_put(m, "objectives", list);
}

ath_status athi_stage_report(athi_stages *s, athi_value **report) {
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    athi_map_maker m = athi_map_make(s->arena);
    put_text(&m, "name", s->recipe->name);
    put_int(&m, "seed", (int64_t)s->recipe->seed);
    put_objectives(s, &m);
    if (s->sweeps) athi_map_put(&m, "sweeps", s->sweeps);
    put_search(s, &m);
    put_training(s, &m);
    put_models(s, &m);
    put_ensemble(s, &m);
    put_number(&m, "seconds", athi_now() - s->begun);
    if (s->peak_worker_bytes) put_int(&m, "peak_worker_bytes", s->peak_worker_bytes);
    put_int(&m, "peak_bytes", (int64_t)usage.ru_maxrss * 1024);
    const char *path = athi_stage_path(s, "report.json");
    if (!path) m.status = ATH_E_NOMEM;
    athi_text text = {.ctx = s->ctx};
    if (m.status == ATH_OK) m.status = athi_json_write(&text, m.map, 2);
    athi_text_add(&text, "\n", 1);
    if (text.failed) m.status = ATH_E_NOMEM;
    if (m.status == ATH_OK) m.status = athi_file_write(s->ctx, path, text.text, text.length);
    athi_text_free(&text);
    *report = m.map;
    return m.status;
}
