/* Optuna reads what we wrote, adds ten trials, and we go on: a search of every kind of parameter and ending, compared by
 * tests/peers/optuna_roundtrip.py. Argument: the Python that has Optuna (bench/peers/setup makes one); without it the
 * test is skipped. */
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
    search_on(t, 30);
    assert_int_equal(study_count(t), 30);
    for (int i = 22; i < 30; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
}

int main(int argc, char **argv) {
    if (argc < 2 || access(argv[1], X_OK)) return 77; /* Meson's word for skipped */
    python = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(there_and_back, study_setup, study_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
