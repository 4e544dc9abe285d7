/* The ask-tell protocol: requests are rows {op, function}; each reads its whole request before it changes anything. */
#include "tune/ask_tell.h"

#include "tune/command.h"

#include <math.h>

enum { ASK_MAX = 10000 };

typedef struct request {
    const athi_ask_tell *server;
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_value *map;
    const athi_study_info *info;
} request;

static ath_status put(const request *q, athi_value *map, const char *key, athi_value *v) {
    return athi_value_set(q->arena, map, key, v);
}

static ath_status accepted(const request *q, athi_value *answer) {
    return put(q, answer, "ok", athi_value_bool(q->arena, true));
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* Keys that nobody reads are mistakes. */
static ath_status check_keys(const request *q, const char *const *known, int n) {
    for (int64_t i = 0; i < q->map->n; i++) {
        bool found = false;
        for (int k = 0; k < n; k++) found |= strcmp(known[k], q->map->keys[i]) == 0;
        if (found) continue;
        const char *near = athi_nearest(q->map->keys[i], known, n, sizeof *known);
        return athi_fail(q->ctx, ATH_E_OPTION, "'%.60s' is not a key of this request%s%s%s", q->map->keys[i],
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return ATH_OK;
}

static ath_status read_count(const request *q, const char *key, int64_t min, int64_t max, int64_t *out) {
    const athi_value *v = athi_value_get(q->map, key);
    if (!v) return athi_fail(q->ctx, ATH_E_OPTION, "the key '%s' is missing", key);
    if (v->type != ATHI_INT || v->integer < min || v->integer > max)
        return athi_fail(q->ctx, ATH_E_OPTION, "%s: expected an integer in %lld..%lld, got %s", key, (long long)min,
                         (long long)max,
                         v->type == ATHI_INT || v->type == ATHI_FLOAT ? ATHI_SHORTEST(v->number)
                                                                      : athi_value_type_name(v->type));
    *out = v->integer;
    return ATH_OK;
}

/* The objectives' numbers of "values". */
static ath_status read_values(const request *q, const athi_value **map, double values[ATHI_OBJECTIVES_MAX]) {
    *map = athi_value_get(q->map, "values");
    if (!*map || (*map)->type != ATHI_MAP)
        return athi_fail(q->ctx, ATH_E_OPTION, "\"values\": expected a map such as {\"%s\": 1.5}, got %s",
                         q->info->objective_names[0], *map ? athi_value_type_name((*map)->type) : "nothing");
    for (int k = 0; k < q->info->n_objectives; k++) {
        const athi_value *v = athi_value_get(*map, q->info->objective_names[k]);
        if (!v || !athi_report_number(v, &values[k]))
            return athi_fail(q->ctx, ATH_E_OPTION, "\"values\": expected a number for the objective '%s', got %s",
                             q->info->objective_names[k], v ? athi_value_type_name(v->type) : "nothing");
    }
    return ATH_OK;
}

static bool any_nan(const request *q, const double *values) {
    for (int k = 0; k < q->info->n_objectives; k++)
        if (isnan(values[k])) return true;
    return false;
}

typedef struct constraints {
    double values[ATHI_CONSTRAINTS_MAX];
    int n;
} constraints;
static ath_status read_constraints(const request *q, constraints *c) {
    return athi_constraints_read(q->ctx, athi_value_get(q->map, "constraints"), c->values, &c->n);
}

/* Comes after all other checks: an error changes nothing. */
static ath_status claim(const request *q, athi_task *task) {
    int64_t trial = 0;
    ATH_TRY(read_count(q, "trial", 0, INT64_MAX, &trial));
    return athi_search_claim(q->server->search, trial, task);
}

/* ---- ask ----------------------------------------------------------------------------------------- */

static ath_status put_trial(const request *q, int64_t number, const double *point, athi_value *map) {
    athi_value *params = NULL;
    ATH_TRY(athi_space_point_write(q->arena, q->server->space, point, &params));
    ATH_TRY(put(q, map, "trial", athi_value_int(q->arena, number)));
    return put(q, map, "params", params);
}

/* Nothing more will come: `done`, even where trials are still under way. */
static ath_status nothing(const request *q, athi_next next, const char *why, athi_value *answer) {
    static const double wait_seconds = 1;
    if (why || next == ATHI_NEXT_DONE)
        return put(q, answer, "done", athi_value_string(q->arena, why ? why : "exhausted"));
    return put(q, answer, "wait", athi_value_float(q->arena, wait_seconds));
}

/* *there: a trial was written into the map; if none was, the answer says why. */
static ath_status ask_one(const request *q, athi_value *map, bool *there, athi_value *answer) {
    athi_task task;
    athi_next next;
    const char *why = NULL;
    ATH_TRY(athi_search_next(q->server->search, &task, &next, &why));
    *there = next == ATHI_NEXT_TASK;
    if (!*there) return nothing(q, next, why, answer);
    ATH_TRY(put_trial(q, task.trial, task.point, map));
    if (task.resumed) ATH_TRY(put(q, map, "resumed", athi_value_bool(q->arena, true)));
    return task.until ? put(q, map, "until", athi_value_int(q->arena, task.until)) : ATH_OK;
}

/* Several in one commit. */
typedef struct batch {
    const request *q;
    athi_value *answer;
    int64_t n;
} batch;

static ath_status ask_many(void *user) {
    const batch *b = user;
    const request *q = b->q;
    bool there = true;
    athi_value *list = athi_value_new(q->arena, ATHI_LIST), *none = athi_value_new(q->arena, ATHI_MAP);
    if (!list || !none) return ATH_E_NOMEM;
    for (int64_t i = 0; there && i < b->n; i++) {
        athi_value *one = athi_value_new(q->arena, ATHI_MAP);
        if (!one) return ATH_E_NOMEM;
        ATH_TRY(ask_one(q, one, &there, none));
        if (there) ATH_TRY(athi_value_append(q->arena, list, one));
    }
    b->answer->n = 0; /* of an earlier try */
    return list->n ? put(q, b->answer, "trials", list) : put(q, b->answer, none->keys[0], none->items[0]);
}

static ath_status ask(const request *q, athi_value *answer) {
    batch b = {.q = q, .answer = answer};
    bool there;
    if (!athi_value_get(q->map, "n")) return ask_one(q, answer, &there, answer);
    ATH_TRY(read_count(q, "n", 1, ASK_MAX, &b.n));
    return athi_search_group(q->server->search, false, ask_many, &b);
}

/* ---- tell, report, add --------------------------------------------------------------------------- */

static ath_status tell_failed(const request *q) {
    athi_task task;
    const athi_value *name = athi_value_get(q->map, "reason"), *message = athi_value_get(q->map, "message");
    athi_reason reason = ATHI_REASON_CRASH;
    if (name && (name->type != ATHI_STRING || !athi_reason_find(name->text, &reason)))
        return athi_fail(q->ctx, ATH_E_OPTION, "reason: expected crash, memory, timeout, nan, lost or none, got %s",
                         name->type == ATHI_STRING ? name->text : athi_value_type_name(name->type));
    if (message && message->type != ATHI_STRING)
        return athi_fail(q->ctx, ATH_E_OPTION, "message: expected a text, got %s",
                         athi_value_type_name(message->type));
    ATH_TRY(claim(q, &task));
    return athi_search_fail(q->server->search, &task, reason, message ? message->text : NULL);
}

static ath_status tell_pruned(const request *q) {
    athi_task task;
    const athi_value *values;
    constraints c;
    double told[ATHI_OBJECTIVES_MAX];
    bool valued = athi_value_get(q->map, "values") != NULL;
    if (valued) ATH_TRY(read_values(q, &values, told));
    ATH_TRY(read_constraints(q, &c));
    ATH_TRY(claim(q, &task));
    ATH_TRY(athi_search_constrain(q->server->search, &task, c.values, c.n));
    return athi_search_prune(q->server->search, &task, valued ? told : NULL);
}

static ath_status tell_complete(const request *q) {
    athi_task task;
    const athi_value *values;
    constraints c;
    double told[ATHI_OBJECTIVES_MAX];
    ATH_TRY(read_values(q, &values, told));
    ATH_TRY(read_constraints(q, &c));
    ATH_TRY(claim(q, &task));
    ATH_TRY(athi_search_constrain(q->server->search, &task, c.values, c.n));
    if (any_nan(q, told))
        return athi_search_fail(q->server->search, &task, ATHI_REASON_NAN, "the value that was told is not a number");
    ATH_TRY(athi_search_report(q->server->search, &task, 0, values));
    return athi_search_finish(q->server->search, &task);
}

static ath_status tell_one(const request *q) {
    static const struct {
        const char *name;
        ath_status (*tell)(const request *q);
    } states[] = {{"complete", tell_complete}, {"failed", tell_failed}, {"pruned", tell_pruned}};
    const athi_value *state = athi_value_get(q->map, "state");
    for (int i = 0; i < ATHI_COUNT(states); i++) {
        if (state ? state->type != ATHI_STRING || strcmp(states[i].name, state->text) != 0 : i > 0) continue;
        return states[i].tell(q);
    }
    return athi_fail(q->ctx, ATH_E_OPTION, "state: expected complete, failed or pruned, got %s",
                     state->type == ATHI_STRING ? state->text : athi_value_type_name(state->type));
}

static const char *const tell_keys[] = {"trial", "values", "state", "reason", "message", "constraints"};

static ath_status tell_many(void *user) {
    const batch *b = user;
    const athi_value *list = athi_value_get(b->q->map, "trials");
    for (int64_t i = 0; i < list->n; i++) {
        request one = *b->q;
        one.map = list->items[i];
        ath_status status =
            one.map->type == ATHI_MAP
                ? check_keys(&one, tell_keys, ATHI_COUNT(tell_keys))
                : athi_fail(one.ctx, ATH_E_OPTION, "expected a map such as {\"trial\":0,\"values\":{…}}");
        if (status == ATH_OK) status = tell_one(&one);
        if (status != ATH_OK) return athi_fail_prefix(one.ctx, status, "trials, %lld", (long long)i);
    }
    return ATH_OK;
}

static ath_status tell(const request *q, athi_value *answer) {
    const athi_value *list = athi_value_get(q->map, "trials");
    batch b = {.q = q};
    if (!list) {
        ATH_TRY(tell_one(q));
        return accepted(q, answer);
    }
    if (list->type != ATHI_LIST || q->map->n != 2)
        return athi_fail(q->ctx, ATH_E_OPTION,
                         "trials: expected a list of trials with their values, and nothing beside it");
    ATH_TRY(athi_search_group(q->server->search, true, tell_many, &b));
    return accepted(q, answer);
}

static ath_status report(const request *q, athi_value *answer) {
    const athi_value *values;
    athi_task task;
    int64_t step = 0;
    double told[ATHI_OBJECTIVES_MAX];
    ATH_TRY(read_count(q, "step", 1, INT64_MAX, &step));
    ATH_TRY(read_values(q, &values, told));
    ATH_TRY(claim(q, &task));
    static const char *const actions[] = {"continue", "pause", "prune", "continue" /* and tell, at the end */};
    athi_action action;
    ATH_TRY(athi_search_report(q->server->search, &task, step, values));
    ATH_TRY(athi_search_action(q->server->search, &task, &action));
    if (action == ATHI_ACTION_PAUSE) ATH_TRY(athi_search_pause(q->server->search, &task));
    return put(q, answer, "action", athi_value_string(q->arena, actions[action]));
}

static ath_status add(const request *q, athi_value *answer) {
    const athi_space *space = q->server->space;
    const athi_value *values, *params = athi_value_get(q->map, "params");
    double *point = athi_arena_array(q->arena, space->n, (int64_t)sizeof *point), told[ATHI_OBJECTIVES_MAX];
    constraints c;
    int64_t number;
    if (!point) return ATH_E_NOMEM;
    ATH_TRY(athi_space_point_read(q->ctx, space, params, point));
    ATH_TRY(read_values(q, &values, told));
    ATH_TRY(read_constraints(q, &c));
    if (any_nan(q, told))
        return athi_fail(q->ctx, ATH_E_OPTION, "add: the value is not a number; there is nothing to record");
    ATH_TRY(athi_search_add(q->server->search, point, told, c.values, c.n, &number));
    ATH_TRY(accepted(q, answer));
    return put(q, answer, "trial", athi_value_int(q->arena, number));
}

/* ---- best ---------------------------------------------------------------------------------------- */

static ath_status put_result(const request *q, const athi_trial *t, athi_value *map) {
    athi_value *values = athi_value_new(q->arena, ATHI_MAP);
    if (!values) return ATH_E_NOMEM;
    for (int k = 0; k < q->info->n_objectives; k++)
        ATH_TRY(put(q, values, q->info->objective_names[k], athi_value_float(q->arena, t->values[k])));
    ATH_TRY(put_trial(q, t->number, t->point, map));
    return put(q, map, "values", values);
}

/* One objective: the trial; several: {"front": [trials]}. */
static ath_status best(const request *q, athi_value *answer) {
    const athi_trial **ranking = NULL;
    int64_t n = 0;
    ATH_TRY(athi_search_ranking(q->server->search, q->arena, &ranking, &n));
    if (!n) return athi_fail(q->ctx, ATH_E_NOTFOUND, "no trial is complete yet");
    if (q->info->n_objectives == 1) return put_result(q, ranking[0], answer);
    athi_value *front = athi_value_new(q->arena, ATHI_LIST);
    if (!front) return ATH_E_NOMEM;
    n = athi_search_front(q->server->search, ranking, n);
    for (int64_t i = 0; i < n; i++) {
        athi_value *one = athi_value_new(q->arena, ATHI_MAP);
        if (!one) return ATH_E_NOMEM;
        ATH_TRY(put_result(q, ranking[i], one));
        ATH_TRY(athi_value_append(q->arena, front, one));
    }
    return put(q, answer, "front", front);
}

/* ---- one line ------------------------------------------------------------------------------------ */

enum { KEYS_MAX = 8 };
static const struct {
    const char *op;
    ath_status (*run)(const request *q, athi_value *answer);
    const char *keys[KEYS_MAX];
} ops[] = {
    {"ask", ask, {"op", "n"}},
    {"tell", tell, {"op", "trials", "trial", "values", "state", "reason", "message", "constraints"}},
    {"report", report, {"op", "trial", "step", "values"}},
    {"add", add, {"op", "params", "values", "constraints"}},
    {"best", best, {"op"}},
};

static ath_status perform(request *q, const char *line, int64_t n, athi_value *answer) {
    athi_value *map = NULL;
    ATH_TRY(athi_json_read_loose(q->ctx, q->arena, line, n, &map));
    if (map->type != ATHI_MAP)
        return athi_fail(q->ctx, ATH_E_OPTION, "expected a JSON object such as {\"op\":\"ask\"}, got %s",
                         athi_value_type_name(map->type));
    q->map = map;
    const athi_value *op = athi_value_get(map, "op");
    for (int i = 0; op && op->type == ATHI_STRING && i < ATHI_COUNT(ops); i++) {
        int keys = 0;
        if (strcmp(ops[i].op, op->text) != 0) continue;
        while (keys < KEYS_MAX && ops[i].keys[keys]) keys++;
        ATH_TRY(check_keys(q, ops[i].keys, keys));
        return ops[i].run(q, answer);
    }
    return athi_fail(q->ctx, ATH_E_OPTION, "op: expected ask, tell, report, add or best, got %s",
                     !op                       ? "nothing"
                     : op->type == ATHI_STRING ? op->text
                                               : athi_value_type_name(op->type));
}

ath_status athi_ask_tell_line(const athi_ask_tell *server, const char *line, int64_t n, athi_text *answer) {
    request q = {.server = server,
                 .ctx = server->ctx,
                 .arena = athi_arena_create(server->ctx),
                 .info = athi_store_info(server->store)};
    if (!q.arena) return ATH_E_NOMEM;
    athi_value *map;
    ath_status status;
    do {
        map = athi_value_new(q.arena, ATHI_MAP);
        status = map ? perform(&q, line, n, map) : ATH_E_NOMEM;
    } while (status == ATH_E_BUSY && server->wait && server->wait(server->user, ath_errmsg(q.ctx)));
    if (status != ATH_OK && status != ATH_E_NOMEM) {
        map = athi_value_new(q.arena, ATHI_MAP);
        status = map ? put(&q, map, "error", athi_value_string(q.arena, ath_errmsg(q.ctx))) : ATH_E_NOMEM;
    }
    if (status == ATH_OK) status = athi_json_write(answer, map, 0);
    if (status == ATH_OK && answer->failed) status = ATH_E_NOMEM;
    athi_arena_destroy(q.arena);
    return status;
}
