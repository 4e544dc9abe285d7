/* `athanor tune --simulate CURVES`: a SPACE file's search over recorded curves in place of trainings, and its report. */
#include "recipe/internal.h"

#include "tune/simulate.h"

#include <math.h>
#include <stdlib.h>

#define ROW_PARAMETER "row" /* the number of a row, where no column has this name */

typedef struct simulating {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_space_file *file;
    const athi_recorded *recorded;
    int64_t *columns; /* of the parameters; -1: the row's number */
    athi_curve *curves;
    int64_t n_curves;
    athi_store *store;
    athi_search *search;
    double clock; /* of the simulation */
    athi_simulated result;
} simulating;

/* ---- rows as points ------------------------------------------------------------------------------ */

static ath_status find_columns(simulating *s) {
    const athi_recorded *r = s->recorded;
    const athi_space *space = s->file->space;
    if (!(s->columns = athi_arena_array(s->arena, space->n, sizeof *s->columns))) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) {
        const char *name = space->params[i].name;
        s->columns[i] = -1;
        for (int64_t k = 0; k < r->n_columns; k++)
            if (strcmp(r->columns[k], name) == 0) s->columns[i] = k;
        if (s->columns[i] >= 0 || strcmp(name, ROW_PARAMETER) == 0) continue;
        const char *near = athi_nearest(name, r->columns, r->n_columns, sizeof *r->columns);
        return athi_fail(s->ctx, ATH_E_OPTION, "%s: there is no column '%s', which is a parameter of %s%s%s%s",
                         r->path, name, s->file->path, near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
    }
    return ATH_OK;
}

static ath_status read_number(const simulating *s, int64_t row, int64_t column, double *out) {
    const athi_recorded *r = s->recorded;
    const char *text = r->cells[row * r->n_columns + column];
    char *end;
    *out = athi_strtod(text, &end);
    if (end != text && !*end && isfinite(*out)) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_DATA, "%s: line %lld, column '%s': expected a number, got \"%.40s\"", r->path,
                     (long long)r->lines[row], r->columns[column], text);
}

/* One parameter of a row. *inside: is the value one that the space has? */
static ath_status read_parameter(const simulating *s, int64_t row, int64_t i, double *out, bool *inside) {
    const athi_space_param *p = &s->file->space->params[i];
    if (s->columns[i] < 0) {
        *out = (double)row;
    } else {
        const char *text = s->recorded->cells[row * s->recorded->n_columns + s->columns[i]];
        *out = NAN;
        if (!*text) return ATH_OK; /* it does not exist here */
        for (int k = 0; k < p->n_branches; k++)
            if (strcmp(p->branches[k].key, text) == 0) *out = k;
        if (p->type == ATHI_PARAM_CHOICE) return *inside = *inside && !isnan(*out), ATH_OK;
        ATH_TRY(read_number(s, row, s->columns[i], out));
    }
    *inside = *inside && *out >= p->min && *out <= p->max;
    return ATH_OK;
}

static ath_status read_curve(const simulating *s, int64_t row, athi_curve *curve, bool *inside) {
    const athi_recorded *r = s->recorded;
    const athi_space *space = s->file->space;
    double *point = athi_arena_array(s->arena, space->n, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    *inside = true;
    for (int64_t i = 0; i < space->n; i++) ATH_TRY(read_parameter(s, row, i, &point[i], inside));
    *curve = (athi_curve){.point = point, .values = r->values + row * r->steps, .seconds = 1, .row = row};
    if (r->seconds_column >= 0 && *r->cells[row * r->n_columns + r->seconds_column]) {
        ATH_TRY(read_number(s, row, r->seconds_column, &curve->seconds));
        if (curve->seconds < 0)
            return athi_fail(s->ctx, ATH_E_DATA, "%s: line %lld: a step cannot take %g seconds", r->path,
                             (long long)r->lines[row], curve->seconds);
    }
    if (!*inside) return ATH_OK;
    athi_space_normalize(space, point);
    *inside = athi_space_allows(space, point);
    return ATH_OK;
}

/* The rows that lie in the space: nothing is known of others that it could propose. */
static ath_status read_curves(simulating *s) {
    const athi_recorded *r = s->recorded;
    ATH_TRY(find_columns(s));
    if (!(s->curves = athi_arena_array(s->arena, r->n_rows, sizeof *s->curves))) return ATH_E_NOMEM;
    for (int64_t row = 0; row < r->n_rows; row++) {
        bool inside;
        ATH_TRY(read_curve(s, row, &s->curves[s->n_curves], &inside));
        s->n_curves += inside;
    }
    if (s->n_curves) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_OPTION, "%s: none of its %lld rows lies in the space of %s", r->path,
                     (long long)r->n_rows, s->file->path);
}

/* ---- the search ---------------------------------------------------------------------------------- */

/* What recorded curves have no answer to. */
static ath_status check(const simulating *s) {
    const athi_tune_opts *tune = &s->file->tune;
    const struct {
        const char *option, *why;
        bool given;
    } without[] = {{"executions_per_trial", "a row was trained once", tune->executions_per_trial > 1},
                   {"rescore", "a row was trained once", tune->rescore > 0},
                   {"max_seconds", "it counts the real clock's; see the improvements of --json",
                    tune->max_seconds > 0}};
    for (int i = 0; i < ATHI_COUNT(without); i++)
        if (without[i].given)
            return athi_fail(s->ctx, ATH_E_OPTION, "%s: %s is not for --simulate: %s", s->file->path,
                             without[i].option, without[i].why);
    return ATH_OK;
}

/* Trials: all rows unless the file says how many. */
static ath_status search(simulating *s, const char *folder, int64_t workers, const volatile int *interrupted) {
    const athi_space_file *f = s->file;
    const char *path = athi_arena_printf(s->arena, "%s/study.db", folder);
    athi_search_opts opts;
    if (!path) return ATH_E_NOMEM;
    if (f->objectives.n != 1)
        return athi_fail(s->ctx, ATH_E_OPTION, "%s: the curves are of one objective, but %d are named; name one",
                         s->recorded->path, f->objectives.n);
    ATH_TRY(athi_space_file_study(f, path, NULL, NULL, true, &s->store));
    ATH_TRY(athi_tune_search(s->ctx, s->arena, &f->tune, "", f->space, f->seed, s->store, &opts));
    opts.max_trials = athi_value_get(f->root, "max_trials") ? ATHI_MIN(opts.max_trials, s->n_curves) : s->n_curves;
    opts.max_t = s->recorded->steps, opts.jobs = (int)workers, opts.max_failures = s->n_curves + 1;
    opts.clock = &s->clock;
    ATH_TRY(athi_search_open(s->ctx, &opts, &s->search));
    athi_simulate_opts simulate = {.search = s->search,
                                   .space = f->space,
                                   .objective = f->objectives.names[0],
                                   .maximize = f->objectives.maximize[0],
                                   .curves = s->curves,
                                   .n_curves = s->n_curves,
                                   .steps = s->recorded->steps,
                                   .workers = workers,
                                   .clock = &s->clock,
                                   .interrupted = interrupted};
    return athi_simulate(s->ctx, s->arena, &simulate, &s->result);
}

/* ---- the report ---------------------------------------------------------------------------------- */

/* What stands in the row beside values and seconds. */
static ath_status row_value(const simulating *s, int64_t row, athi_value **out) {
    const athi_recorded *r = s->recorded;
    if (!(*out = athi_value_new(s->arena, ATHI_MAP))) return ATH_E_NOMEM;
    for (int64_t i = 0; i < r->n_columns; i++) {
        const char *cell = r->cells[row * r->n_columns + i];
        bool step = i == r->seconds_column || !*cell;
        for (int64_t k = 0; k < r->steps; k++) step = step || r->step_column[k] == i;
        if (!step) ATH_TRY(athi_value_set(s->arena, *out, r->columns[i], athi_value_scalar(s->arena, cell)));
    }
    return ATH_OK;
}

static ath_status best_value(const simulating *s, athi_value **out) {
    const athi_simulated *r = &s->result;
    athi_value *params = NULL;
    if (!(*out = athi_value_new(s->arena, ATHI_MAP))) return ATH_E_NOMEM;
    double value = r->improvements[r->n_improvements - 1].value;
    ATH_TRY(row_value(s, r->best->row, &params));
    ATH_TRY(athi_value_set(s->arena, *out, "value", athi_value_float(s->arena, value)));
    ATH_TRY(athi_value_set(s->arena, *out, "row", athi_value_int(s->arena, r->best->row)));
    return athi_value_set(s->arena, *out, "params", params);
}

static ath_status improvements_value(const simulating *s, athi_value **out) {
    if (!(*out = athi_value_new(s->arena, ATHI_LIST))) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->result.n_improvements; i++) {
        const athi_improvement *m = &s->result.improvements[i];
        athi_value *item = athi_value_new(s->arena, ATHI_LIST);
        if (!item) return ATH_E_NOMEM;
        ATH_TRY(athi_value_append(s->arena, item, athi_value_int(s->arena, m->steps)));
        ATH_TRY(athi_value_append(s->arena, item, athi_value_float(s->arena, m->seconds)));
        ATH_TRY(athi_value_append(s->arena, item, athi_value_float(s->arena, m->value)));
        ATH_TRY(athi_value_append(s->arena, *out, item));
    }
    return ATH_OK;
}

static ath_status make_report(const simulating *s, int64_t workers, athi_value **report) {
    const athi_trial *const *trials;
    int64_t n, states[ATHI_STATES] = {0};
    athi_value *best = NULL, *improvements = NULL;
    ATH_TRY(athi_store_trials(s->store, s->file->space, &trials, &n));
    for (int64_t i = 0; i < n; i++) states[trials[i]->state]++;
    if (!s->result.best)
        return athi_fail(s->ctx, ATH_E_FAILED, "%s: no row that was tried has a value of its first step",
                         s->recorded->path);
    ATH_TRY(best_value(s, &best));
    ATH_TRY(improvements_value(s, &improvements));
    const struct {
        const char *key;
        athi_value *value;
    } entries[] = {{"objective", athi_value_string(s->arena, s->file->objectives.names[0])},
                   {"rows", athi_value_int(s->arena, s->n_curves)},
                   {"workers", athi_value_int(s->arena, workers)},
                   {"trials", athi_value_int(s->arena, n)},
                   {"complete", athi_value_int(s->arena, states[ATHI_TRIAL_COMPLETE])},
                   {"stopped", athi_value_int(s->arena, states[ATHI_TRIAL_PRUNED])},
                   {"failed", athi_value_int(s->arena, states[ATHI_TRIAL_FAILED])},
                   {"ended", athi_value_string(s->arena, s->result.why ? s->result.why : "")},
                   {"steps", athi_value_int(s->arena, s->result.steps)},
                   {"seconds", athi_value_float(s->arena, s->result.seconds)},
                   {"best", best},
                   {"improvements", improvements}};
    if (!(*report = athi_value_new(s->arena, ATHI_MAP))) return ATH_E_NOMEM;
    for (int i = 0; i < ATHI_COUNT(entries); i++)
        ATH_TRY(athi_value_set(s->arena, *report, entries[i].key, entries[i].value));
    return ATH_OK;
}

ath_status athi_tune_simulate(const athi_space_file *file, athi_arena *arena, const athi_recorded *recorded,
                              int64_t workers, const char *folder, const volatile int *interrupted,
                              athi_value **report) {
    simulating s = {.ctx = file->ctx, .arena = arena, .file = file, .recorded = recorded};
    *report = NULL;
    workers = ATHI_MIN(workers > 0 ? workers : athi_tune_jobs(&file->tune, 0, 0), INT32_MAX);
    ATH_TRY(check(&s));
    ATH_TRY(read_curves(&s));
    ath_status status = search(&s, folder, workers, interrupted);
    if (status == ATH_OK) status = make_report(&s, workers, report);
    athi_search_close(s.search);
    athi_store_close(s.store);
    return status;
}
