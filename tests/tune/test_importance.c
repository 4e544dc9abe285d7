/* Importances: PED-ANOVA's figures are Optuna's; fANOVA finds what functions with known shares are made of. */
#include "space_test.h"

#include "base/file.h"
#include "tune/importance.h"

/* ---- against Optuna ------------------------------------------------------------------------------ */

static double number(const athi_value *v) {
    double d = NAN;
    if (v && v->type == ATHI_STRING) return strcmp(v->text, "inf") == 0 ? INFINITY : NAN;
    (void)athi_value_number(v, &d);
    return d;
}

static void add_golden(fixture *f, const athi_value *p) {
    const char *type = athi_value_get(p, "type")->text, *name = athi_value_get(p, "name")->text;
    const athi_value *choices = athi_value_get(p, "choices");
    athi_branch branches[8] = {0};
    if (choices) {
        for (int64_t i = 0; i < choices->n; i++) branches[i].key = choices->items[i]->text;
        add(f, (athi_space_param){.name = name,
                                  .type = ATHI_PARAM_CHOICE,
                                  .branches = branches,
                                  .n_branches = (int)choices->n,
                                  .fallback = NAN});
        return;
    }
    athi_space_param q = float_param(name, number(athi_value_get(p, "min")), number(athi_value_get(p, "max")),
                                     number(athi_value_get(p, "step")),
                                     athi_value_get(p, "log")->boolean ? ATHI_PRIOR_LOG : ATHI_PRIOR_UNIFORM);
    if (strcmp(type, "int") == 0) q.type = ATHI_PARAM_INT;
    add(f, q);
}

static const athi_trial **golden_trials(fixture *f, const athi_value *list) {
    const athi_trial **trials = athi_arena_array(f->arena, list->n, sizeof *trials);
    for (int64_t i = 0; i < list->n; i++) {
        const athi_value *point = athi_value_get(list->items[i], "point"),
                         *values = athi_value_get(list->items[i], "values");
        athi_trial *t = athi_arena_alloc(f->arena, sizeof *t);
        t->number = i, t->state = ATHI_TRIAL_COMPLETE;
        t->point = athi_arena_array(f->arena, point->n, sizeof(double));
        t->values = athi_arena_array(f->arena, values->n, sizeof(double));
        for (int64_t k = 0; k < point->n; k++) t->point[k] = number(point->items[k]);
        for (int64_t k = 0; k < values->n; k++) t->values[k] = number(values->items[k]);
        trials[i] = t;
    }
    return trials;
}

static void assert_importances(fixture *f, const char *name, const double *got, const athi_value *want,
                               double relative, double absolute) {
    for (int64_t i = 0; i < want->n; i++) {
        double there = number(want->items[i]), ours = got[athi_space_find(f->space, want->keys[i])];
        if (!(fabs(ours - there) <= relative * there + absolute))
            fail_msg("%s, %s: got %.15g, Optuna has %.15g", name, want->keys[i], ours, there);
    }
}

static void a_golden_case(const athi_value *c) {
    void *state = NULL;
    assert_int_equal(setup(&state), 0);
    fixture *f = state;
    const athi_value *params = athi_value_get(c, "params"), *list = athi_value_get(c, "trials"),
                     *ped = athi_value_get(c, "ped_anova"), *fanova = athi_value_get(c, "fanova"),
                     *maximize = athi_value_get(c, "maximize");
    for (int64_t i = 0; i < params->n; i++) add_golden(f, params->items[i]);
    double *got = athi_arena_array(f->arena, f->space->n, sizeof *got);
    for (int64_t k = 0; k < ped->n; k++) {
        athi_importance_task task = {.space = f->space,
                                     .trials = golden_trials(f, list),
                                     .n = list->n,
                                     .objective = (int)k,
                                     .maximize = maximize->items[k]->boolean};
        const char *name = athi_value_get(c, "name")->text;
        assert_ok(f->ctx, athi_importance_ped_anova(f->arena, &task, got));
        assert_importances(f, name, got, ped->items[k], 1e-9, 1e-15);
        if (k >= fanova->n) continue;
        assert_ok(f->ctx, athi_importance_fanova(f->arena, &task, got));
        assert_importances(f, name, got, fanova->items[k], 0, 0.1); /* other trees, so about */
    }
    teardown(&state);
}

static void optuna_says_the_same(void **state) {
    fixture *f = *state;
    const char *source = getenv("ATHANOR_SOURCE");
    char path[512], *text;
    int64_t size;
    athi_value *root = NULL;
    snprintf(path, sizeof path, "%s/tests/golden/importance.json", source ? source : ".");
    assert_ok(f->ctx, athi_file_read(f->ctx, path, false, 1 << 24, &text, &size));
    assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text, size, &root));
    athi_free(f->ctx, text);
    const athi_value *cases = athi_value_get(root, "cases");
    assert_true(cases->n >= 6);
    for (int64_t i = 0; i < cases->n; i++) a_golden_case(cases->items[i]);
}

/* ---- functions with known shares ----------------------------------------------------------------- */

static double additive(const double *p) { return p[0] + p[1]; }                     /* two equal shares */
static double interaction(const double *p) { return (p[0] > 0.5) != (p[1] > 0.5); } /* nothing of one alone */
static double by_choice(const double *p) { return p[3] == 2 ? 5 : 0.1 * p[0]; }
static double below_a_branch(const double *p) { return isnan(p[4]) ? p[0] : 10 + 3 * p[4]; }

/* x, y, z in 0..1; kind of three; w below kind = 1. */
static const athi_trial **draw_trials(fixture *f, int64_t n, double (*function)(const double *point)) {
    athi_branch branches[6];
    athi_rng rng = athi_rng_at(1, 2);
    const athi_trial **trials = athi_arena_array(f->arena, n, sizeof *trials);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"x", "y", "z"};
        add(f, float_param(names[i], 0, 1, 0, ATHI_PRIOR_UNIFORM));
    }
    int kind = add(f, choice_param("kind", 3, branches));
    add_under(f, float_param("w", 0, 1, 0, ATHI_PRIOR_UNIFORM), kind, 1, 1);
    for (int64_t i = 0; i < n; i++) {
        athi_trial *t = athi_arena_alloc(f->arena, sizeof *t);
        t->number = i, t->state = ATHI_TRIAL_COMPLETE;
        t->point = athi_arena_array(f->arena, f->space->n, sizeof(double));
        t->values = athi_arena_array(f->arena, 1, sizeof(double));
        athi_space_sample(f->space, &rng, t->point);
        t->values[0] = function(t->point);
        trials[i] = t;
    }
    return trials;
}

static void fanova_of(fixture *f, double (*function)(const double *point), double got[5]) {
    athi_importance_task task = {.n = 400, .trials = draw_trials(f, 400, function)};
    task.space = f->space;
    assert_ok(f->ctx, athi_importance_fanova(f->arena, &task, got));
}

static void equal_shares(void **state) {
    double got[5];
    fanova_of(*state, additive, got);
    assert_true(fabs(got[0] - 0.5) < 0.06 && fabs(got[1] - 0.5) < 0.06);
    assert_true(got[2] < 0.02 && got[3] < 0.02 && got[4] < 0.05);
}
static void an_interaction_is_nobodys(void **state) {
    double got[5];
    fanova_of(*state, interaction, got);
    assert_true(got[0] < 0.15 && got[1] < 0.15);
}
static void a_choice_that_decides(void **state) {
    double got[5];
    fanova_of(*state, by_choice, got);
    assert_true(got[3] > 0.95 && got[0] < 0.05);
}
static void a_conditional_one_is_judged_where_it_exists(void **state) {
    double got[5];
    fanova_of(*state, below_a_branch, got);
    assert_true(got[4] > 0.95); /* within kind = 1 it is all that matters */
    assert_true(got[3] > 0.9);  /* among all trials it is kind */
}

/* ---- the edges ----------------------------------------------------------------------------------- */

static void nothing_can_be_said(void **state) {
    fixture *f = *state;
    double got[5];
    const athi_trial **trials = draw_trials(f, 5, additive);
    athi_importance_task task = {.space = f->space, .trials = trials, .n = 0};
    const athi_importance both[] = {athi_importance_ped_anova, athi_importance_fanova};
    for (int i = 0; i < 2; i++) {
        assert_ok(f->ctx, both[i](f->arena, &task, got));
        for (int k = 0; k < 5; k++) assert_true(isnan(got[k]));
    }
    task.n = 5; /* too few for a forest */
    assert_ok(f->ctx, athi_importance_fanova(f->arena, &task, got));
    assert_true(isnan(got[0]));
}

static double constant(const double *p) { return 0 * p[0]; }
static void equal_values_matter_to_nobody(void **state) {
    fixture *f = *state;
    double got[5];
    fanova_of(f, constant, got);
    for (int k = 0; k < 4; k++) assert_true(got[k] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(optuna_says_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(an_interaction_is_nobodys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_choice_that_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(a_conditional_one_is_judged_where_it_exists, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_can_be_said, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_values_matter_to_nobody, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
