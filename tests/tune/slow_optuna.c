/* Optuna reads what we wrote, adds ten trials, and we go on: a search of every kind of parameter and ending, compared by
 * tests/peers/optuna_roundtrip.py. Argument: the Python that has Optuna (tests/slow/peers.py gives it). Below
 * with_postgres.sh in a database of PostgreSQL. */
#include "tune/study_test.h"

#include <math.h>

static const char *python;

static void every_kind_of_parameter(study *t) {
    athi_value null = {.type = ATHI_NULL}, yes = {.type = ATHI_BOOL, .boolean = true}, list = {.type = ATHI_LIST};
    athi_value two = {.type = ATHI_INT, .integer = 2, .number = 2}, half = {.type = ATHI_FLOAT, .number = 0.5};
    athi_branch branches[] = {{.key = "null", .value = &null},
                              {.key = "true", .value = &yes},
                              {.key = "2", .value = &two},
                              {.key = "0.5", .value = &half},
                              {.key = "[1,2]", .value = &list}};
    study_space(t);
    add(&t->f, int_param("layers", 1, 128, 0, ATHI_PRIOR_LOG));
    add(&t->f, float_param("dropout", 0, 0.5, 0.1, ATHI_PRIOR_UNIFORM));
    add(&t->f, float_param("decay", 0.5, 0.99, 0, ATHI_PRIOR_REVERSE_LOG));
    add(&t->f, (athi_space_param){.name = "mixed",
                                  .type = ATHI_PARAM_CHOICE,
                                  .branches = branches,
                                  .n_branches = ATHI_COUNT(branches),
                                  .fallback = NAN});
}

static void search_on(study *t, int64_t max_trials) {
    athi_search_opts opts = {.space = t->f.space,
                             .sampler = athi_row_find(&athi_samplers, "random"),
                             .store = t->store,
                             .seed = 7,
                             .max_trials = max_trials,
                             .executions = 1,
                             .jobs = 1};
    athi_search *s;
    athi_task task;
    athi_next next;
    const char *why;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s));
    for (;;) {
        assert_ok(t->f.ctx, athi_search_next(s, &task, &next, &why));
        if (next != ATHI_NEXT_TASK) break;
        for (int step = 1; step <= 3; step++) {
            const double odd[] = {NAN, INFINITY, -INFINITY};
            double value = task.trial == 2 && step < 3 ? odd[step - 1] : task.point[1] * step;
            athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
            athi_value_set(t->f.arena, map, "score", athi_value_float(t->f.arena, value));
            assert_ok(t->f.ctx, athi_search_report(s, &task, step, map));
        }
        if (task.trial == 4)
            assert_ok(t->f.ctx, athi_search_fail(s, &task, ATHI_REASON_MEMORY, "no \"more\" memory – none"));
        else if (task.trial == 11 && max_trials == 12) /* left running */
            break;
        else
            assert_ok(t->f.ctx, athi_search_finish(s, &task));
    }
    athi_search_close(s);
}

static void write_number(FILE *f, double v) {
    char text[32];
    athi_format_double(v, text);
    fputs(isnan(v) ? "null" : isinf(v) ? (v < 0 ? "-Infinity" : "Infinity") : text, f);
}

/* Values as a point has them, so an int is written as one. */
static void dump_params(study *t, FILE *f, const double *point) {
    const char *separator = "";
    for (int64_t i = 0; i < t->f.space->n; i++) {
        const athi_space_param *p = &t->f.space->params[i];
        if (isnan(point[i])) continue;
        fprintf(f, "%s\"%s\": ", separator, p->name);
        separator = ", ";
        const char *key = p->type == ATHI_PARAM_CHOICE ? p->branches[(int)point[i]].key : "";
        if (p->type != ATHI_PARAM_CHOICE)
            write_number(f, point[i]);
        else
            fprintf(f, strcmp(p->name, "mixed") ? "\"%s\"" : "%s", key);
    }
}

static void dump(study *t, const char *path) {
    const athi_trial *const *trials;
    int64_t n;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_ok(t->f.ctx, athi_store_trials(t->store, t->f.space, &trials, &n));
    fputs("{\"trials\": [", f);
    for (int64_t i = 0; i < n; i++) {
        const athi_trial *x = trials[i];
        bool complete = x->state == ATHI_TRIAL_COMPLETE;
        fprintf(f, "%s{\"number\": %d, \"state\": \"%s\", \"params\": {", i ? ",\n" : "", (int)i,
                complete                        ? "COMPLETE"
                : x->state == ATHI_TRIAL_FAILED ? "FAILED"
                                                : "RUNNING");
        dump_params(t, f, x->point);
        fputs("}, \"values\": [", f);
        if (complete) write_number(f, x->values[0]);
        fputs("], \"intermediate\": {", f);
        for (int64_t k = 0; k < x->n_reports; k++) {
            fprintf(f, "%s\"%d\": ", k ? ", " : "", (int)x->reports[k].step);
            write_number(f, x->reports[k].value);
        }
        fputs("}}", f);
    }
    fputs("]}\n", f);
    fclose(f);
}

static void there_and_back(void **state) {
    study *t = *state;
    every_kind_of_parameter(t);
    study_open(t);
    search_on(t, 12);
    const char *file = athi_arena_printf(t->f.arena, "%s/dump.json", t->folder);
    dump(t, file);
    const char *command =
        athi_arena_printf(t->f.arena, "'%s' '%s/tests/peers/optuna_roundtrip.py' '%s' '%s' --dashboard", python,
                          getenv("ATHANOR_SOURCE"), t->path, file);
    assert_int_equal(system(command), 0); /* while the study is open here */
    assert_int_equal(study_count(t), 22);
    for (int i = 12; i < 22; i++) {
        const athi_trial *x = study_trial(t, i);
        assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
        assert_false(x->outside);
        assert_false(isnan(x->point[0]) || isnan(x->point[2]) || isnan(x->values[0]));
        assert_int_equal(x->n_reports, 1);
        for (int64_t k = 0; k < t->f.space->n; k++)
            if (!isnan(x->point[k]))
                assert_true(fabs(athi_param_snap(&t->f.space->params[k], x->point[k]) - x->point[k]) < 1e-9);
    }
    search_on(t, 20); /* of our own */
    assert_int_equal(study_count(t), 30);
    for (int i = 22; i < 30; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
}

/* Everything wider, choices in another order with one more, a parameter more that all past trials count as having. */
static athi_space *larger(study *t) {
    athi_space *space;
    int index;
    athi_value seven = {.type = ATHI_INT, .integer = 7, .number = 7};
    assert_ok(t->f.ctx, athi_space_create(t->f.arena, &space));
    for (int64_t i = 0; i < t->f.space->n; i++) {
        athi_space_param p = t->f.space->params[i];
        athi_branch more[8] = {{.key = "new"}};
        if (!strcmp(p.name, "mixed")) more[0] = (athi_branch){.key = "7", .value = &seven};
        for (int k = 0; k < p.n_branches; k++) more[k + 1] = p.branches[p.n_branches - 1 - k];
        for (int k = 0; k <= p.n_branches; k++) more[k].weight = 0;
        athi_condition other = {p.n_conditions ? p.conditions[0].parent : 0, 1, 1}; /* sgd was 1 of 2, is 1 of 3 */
        if (p.n_branches) p.branches = more, p.n_branches++, p.fallback = 0;
        if (p.n_conditions) p.conditions = &other;
        if (!p.n_branches) p.max = p.step ? p.max + 4 * p.step : 2 * p.max;
        assert_ok(t->f.ctx, athi_space_add(t->f.ctx, space, &p, &index));
    }
    const athi_space_param added = float_param("added", 1, 2, 0, ATHI_PRIOR_UNIFORM);
    assert_ok(t->f.ctx, athi_space_add(t->f.ctx, space, &added, &index));
    return space;
}

static ath_status grown(const void *user, athi_arena *arena, const athi_value *was, athi_growth *growth) {
    const study *t = user;
    (void)was;
    double *past = athi_arena_array(arena, t->f.space->n + 1, (int64_t)sizeof *past);
    for (int64_t i = 0; i <= t->f.space->n; i++) past[i] = NAN;
    *growth = (athi_growth){.was = t->f.space, .past = past};
    return ATH_OK;
}

static void after_the_space_has_grown(void **state) {
    study *t = *state;
    every_kind_of_parameter(t);
    study_open(t);
    search_on(t, 12);
    athi_store_close(t->store);
    athi_study_info info = study_info(t);
    info.definition = athi_value_new(t->f.arena, ATHI_MAP), info.space = larger(t), info.grown = grown, info.user = t;
    assert_ok(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &t->store));
    t->f.space = (athi_space *)(uintptr_t)info.space;
    search_on(t, 24);
    const char *file = athi_arena_printf(t->f.arena, "%s/dump.json", t->folder);
    dump(t, file);
    const char *command =
        athi_arena_printf(t->f.arena, "'%s' '%s/tests/peers/optuna_roundtrip.py' '%s' '%s' --importance", python,
                          getenv("ATHANOR_SOURCE"), t->path, file);
    assert_int_equal(system(command), 0);
    assert_int_equal(study_count(t), 34);
    for (int i = 24; i < 34; i++) assert_false(study_trial(t, i)->outside);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    python = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(there_and_back, study_setup, study_teardown),
                                       cmocka_unit_test_setup_teardown(after_the_space_has_grown, study_setup,
                                                                       study_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
