/* Studies for the programs of others: make_study FILE.db. "curves" has one objective, reports, and every state that a
 * trial can be in; "front" has two objectives, constraints and repeats. Parameters below a choice exist in some trials
 * only. The same file every time, but for its times. */
#include "tune/space_test.h"

#include "tune/store.h"

#include <math.h>

enum { TRIALS = 40, STEPS = 12 };

static void make_space(fixture *f) {
    athi_branch branches[3] = {{.key = "adam"}, {.key = "sgd"}, {.key = "a \"quoted\" <name>"}};
    add(f, float_param("lr", 1e-4, 1e-1, 0, ATHI_PRIOR_LOG));
    add(f, int_param("units", 16, 128, 16, ATHI_PRIOR_UNIFORM));
    int parent = add(f, (athi_space_param){.name = "optimizer",
                                           .type = ATHI_PARAM_CHOICE,
                                           .branches = branches,
                                           .n_branches = 3,
                                           .fallback = NAN});
    add_under(f, float_param("momentum", 0, 0.99, 0, ATHI_PRIOR_UNIFORM), parent, 1, 1);
}

/* Complete but for a few of each other state; the last one runs. */
static athi_trial_state state_of(int64_t i) {
    if (i == TRIALS - 1) return ATHI_TRIAL_RUNNING;
    return i % 7 == 3 ? ATHI_TRIAL_FAILED : i % 5 == 4 ? ATHI_TRIAL_PRUNED : ATHI_TRIAL_COMPLETE;
}

static double loss_of(const double *point) {
    double momentum = isnan(point[3]) ? 0.2 : fabs(point[3] - 0.8);
    return fabs(log10(point[0]) + 2) + fabs(point[1] - 80) / 100 + momentum;
}

static void report_steps(fixture *f, athi_store *store, int64_t number, double loss, int64_t steps) {
    for (int64_t step = 1; step <= steps; step++) {
        char json[96];
        double value = loss + exp(-(double)step / 3);
        snprintf(json, sizeof json, "{\"val_loss\":%.17g,\"loss\":%.17g}", value, 0.9 * value);
        assert_ok(f->ctx, athi_store_report(store, number, 0, (athi_report){step, value}, json));
    }
}

static void finish(fixture *f, athi_store *store, int64_t number, const double *point, int n_objectives) {
    const double values[2] = {loss_of(point), point[1] / 128 + (isnan(point[3]) ? 0.1 : 0.3)};
    const double constraints[1] = {point[1] - 112};
    athi_outcome outcome = {.state = state_of(number)};
    if (outcome.state == ATHI_TRIAL_RUNNING) return;
    if (outcome.state == ATHI_TRIAL_FAILED)
        outcome.reason = ATHI_REASON_MEMORY, outcome.message = "out of memory: \"3 GiB\" <on> device 0";
    else
        outcome.values = values;
    if (n_objectives == 2) outcome.constraints = constraints, outcome.n_constraints = 1;
    if (outcome.state == ATHI_TRIAL_COMPLETE)
        assert_ok(f->ctx, athi_store_execution(store, number, 0, values, STEPS));
    assert_ok(f->ctx, athi_store_finish(store, number, &outcome));
}

static void make_study(fixture *f, const char *path, const char *name, int n_objectives) {
    static const char *const names[] = {"val_loss", "speed"};
    static const bool maximize[] = {false, true};
    athi_store *store;
    athi_study_info info = {.name = name,
                            .n_objectives = n_objectives,
                            .maximize = maximize,
                            .objective_names = names,
                            .definition = athi_value_new(f->arena, ATHI_MAP)};
    athi_rng rng = athi_rng_at(7, 1);
    double point[4], repeated[4];
    assert_ok(f->ctx, athi_store_open(f->ctx, path, &info, &store));
    for (int64_t i = 0; i < TRIALS; i++) {
        int64_t number;
        athi_space_sample(f->space, &rng, point);
        athi_beginning beginning = {.point = point, .seen = i};
        if (i == 0) memcpy(repeated, point, sizeof point);
        if (i == 8 && n_objectives == 2)
            beginning = (athi_beginning){.point = repeated, .seen = i, .relation = ATHI_RELATION_REPEAT}, memcpy(point, repeated, sizeof point);
        assert_ok(f->ctx, athi_store_begin(store, f->space, &beginning, &number));
        int64_t steps = state_of(i) == ATHI_TRIAL_COMPLETE ? STEPS : 3;
        if (n_objectives == 1) report_steps(f, store, number, loss_of(point), steps);
        finish(f, store, number, point, n_objectives);
    }
    athi_store_close(store);
}

static const char *path;
static void make_all(void **state) {
    fixture *f = *state;
    make_space(f);
    make_study(f, path, "curves", 1);
    make_study(f, path, "front", 2);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    path = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(make_all, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
