/* The space: rules and their sentences, unit maps, conditions, size, keys, and both ways through values. */
#include "tune/space_test.h"

#define FAILS(param, part)                                                                                           \
    do {                                                                                                             \
        athi_space_param p_ = (param);                                                                               \
        assert_fails(f->ctx, athi_space_add(f->ctx, f->space, &p_, NULL), ATH_E_OPTION, part);                       \
    } while (0)

static void rules(void **state) {
    fixture *f = *state;
    FAILS(int_param("units", 64, 16, 0, ATHI_PRIOR_UNIFORM), "'units': min 64 is greater than max 16; swap them");
    FAILS(int_param("units", 1.5, 16, 0, ATHI_PRIOR_UNIFORM), "whole numbers");
    FAILS(int_param("units", 1, 16, 0.5, ATHI_PRIOR_UNIFORM), "step of an int must be a whole number");
    FAILS(float_param("lr", 0, 1, 0, ATHI_PRIOR_LOG), "prior log needs min > 0");
    FAILS(float_param("lr", 0.1, 1, 0.5, ATHI_PRIOR_REVERSE_LOG), "must be greater than 1");
    FAILS(float_param("lr", 0, 1, -1, ATHI_PRIOR_UNIFORM), "step must be positive");
    FAILS(float_param("lr", 0, 1, 1e-300, ATHI_PRIOR_UNIFORM), "'lr': step 1e-300 is too small for min 0 and max 1");
    FAILS(float_param("lr", 1e-300, 1e300, 1 + 3e-16, ATHI_PRIOR_LOG), "more than 2^53 values; leave it out");
    FAILS(float_param("lr", NAN, 1, 0, ATHI_PRIOR_UNIFORM), "finite");
    FAILS(float_param("", 0, 1, 0, ATHI_PRIOR_UNIFORM), "needs a name");
    athi_space_param p = float_param("lr", 0, 1, 0, ATHI_PRIOR_UNIFORM);
    p.fallback = 2;
    FAILS(p, "default 2 lies outside min 0 and max 1");
    p.fallback = 0.3, p.step = 0.25, p.line = 4, p.column = 9;
    FAILS(p, "line 4, column 9: parameter 'lr': default 0.3 is not one of its values; the "
             "nearest is 0.25");
    p = float_param("n", 0, 1, 0, ATHI_PRIOR_NORMAL);
    FAILS(p, "std must be positive");
    p.std = 1, p.mean = 3;
    FAILS(p, "mean must lie within");
    athi_branch b[6];
    FAILS(choice_param("c", 0, b), "at least one branch");
    p = choice_param("c", 2, b);
    p.fallback = 2;
    FAILS(p, "default must be one of its 2 branches");
    p.fallback = NAN, b[1].weight = 1;
    FAILS(p, "the weight of 'a' must be positive, got 0");
    b[1].key = "a";
    FAILS(p, "two branches are called 'a'");
    p = int_param("x", 0, 3, 0, ATHI_PRIOR_UNIFORM);
    athi_condition c = {0, 0, 1};
    p.conditions = &c, p.n_conditions = 1;
    FAILS(p, "its condition names parameter number 0 of 0");
    assert_int_equal(f->space->n, 0);
}

static void one_name_twice(void **state) {
    fixture *f = *state;
    athi_branch b[6];
    int c = add(f, choice_param("opt", 3, b));
    athi_space_param p = float_param("lr", 0.01, 1, 0, ATHI_PRIOR_LOG);
    p.line = 3, p.column = 5;
    int first = add_under(f, p, c, 0, 0);
    double point[4] = {2, NAN, NAN, NAN};
    assert_false(athi_space_exists(f->space, point, first));
    p.line = 7;
    assert_int_equal(add_under(f, p, c, 2, 2), first);
    assert_true(athi_space_exists(f->space, point, first));
    point[0] = 1;
    assert_false(athi_space_exists(f->space, point, first));
    p.max = 2;
    FAILS(p, "line 7, column 5: parameter 'lr': its name is taken at line 3, column 5 by another definition "
             "(max 1 against 2)");
    FAILS(choice_param("opt", 2, b), "the number of branches 3 against 2");
    /* a second place that stands later in the order: the order changes, the index does not */
    int d = add(f, choice_param("head", 2, b));
    p.max = 1;
    assert_int_equal(add_under(f, p, d, 1, 1), first);
    assert_int_equal(f->space->order[2], first);
    point[d] = 1;
    assert_true(athi_space_exists(f->space, point, first));
    /* a circle */
    int e = add_under(f, int_param("e", 0, 1, 0, ATHI_PRIOR_UNIFORM), first, 0.5, 1);
    athi_condition circle = {e, 1, 1};
    p.conditions = &circle, p.n_conditions = 1;
    FAILS(p, "exists only through itself");
    point[e] = NAN;
}

static void unit_maps(void **state) {
    (void)state;
    const athi_space_param cases[] = {
        float_param("x", 0, 1, 0.2, ATHI_PRIOR_UNIFORM), float_param("x", -0.3, 0.3, 0.1, ATHI_PRIOR_UNIFORM),
        float_param("x", 0.001, 1, 10, ATHI_PRIOR_LOG),  float_param("x", 0.001, 1, 10, ATHI_PRIOR_REVERSE_LOG),
        float_param("x", 2, 2, 0, ATHI_PRIOR_UNIFORM),   int_param("x", 16, 64, 16, ATHI_PRIOR_UNIFORM),
        int_param("x", 4, 512, 0, ATHI_PRIOR_LOG),       int_param("x", 1, 33, 0, ATHI_PRIOR_REVERSE_LOG),
        int_param("x", 2, 32, 2, ATHI_PRIOR_LOG),        int_param("x", 2, 32, 2, ATHI_PRIOR_REVERSE_LOG),
        int_param("x", -5, 5, 1, ATHI_PRIOR_UNIFORM),    int_param("x", 1, 100, 7, ATHI_PRIOR_UNIFORM),
    };
    const int64_t counts[] = {6, 7, 4, 4, 1, 4, 509, 33, 5, 5, 11, 15};
    for (int k = 0; k < ATHI_COUNT(cases); k++) {
        const athi_space_param *p = &cases[k];
        assert_int_equal(athi_param_count(p), counts[k]);
        double last = -INFINITY;
        for (int64_t i = 0; i < counts[k]; i++) {
            double v = athi_param_nth(p, i), u = athi_param_to_unit(p, v);
            assert_true(v > last && v >= p->min && v <= p->max);
            assert_true(u >= 0 && u <= 1);
            assert_true(athi_param_from_unit(p, u) == v);
            assert_true(athi_param_snap(p, v) == v);
            last = v;
        }
        assert_true(athi_param_from_unit(p, 0) == athi_param_nth(p, 0));
        assert_true(athi_param_from_unit(p, 1) == athi_param_nth(p, counts[k] - 1));
        assert_true(athi_param_from_unit(p, NAN) == athi_param_nth(p, 0));
    }
    assert_true(athi_param_nth(&cases[0], 3) == 0.6 && athi_param_nth(&cases[0], 5) == 1.0);
    assert_true(athi_param_nth(&cases[1], 3) == 0.0 && athi_param_nth(&cases[1], 6) == 0.3);
    assert_true(athi_param_nth(&cases[8], 1) == 4 && athi_param_nth(&cases[9], 3) == 30);
    const athi_prior priors[] = {ATHI_PRIOR_UNIFORM, ATHI_PRIOR_LOG, ATHI_PRIOR_REVERSE_LOG, ATHI_PRIOR_NORMAL};
    for (int k = 0; k < 4; k++) {
        athi_space_param p = float_param("x", 1e-3, 2, 0, priors[k]);
        p.mean = 0.5, p.std = 0.4;
        assert_int_equal(athi_param_count(&p), 0);
        assert_true(athi_param_from_unit(&p, 0) == p.min && athi_param_from_unit(&p, 1) == p.max);
        for (int i = 0; i <= 40; i++)
            assert_true(fabs(athi_param_to_unit(&p, athi_param_from_unit(&p, i / 40.0)) - i / 40.0) < 1e-9);
    }
    /* KerasTuner's formulas: min * (max / min)^u and max + min - min * (max / min)^(1 - u) */
    athi_space_param log = float_param("x", 1e-4, 1e-2, 0, ATHI_PRIOR_LOG);
    assert_true(fabs(athi_param_from_unit(&log, 0.5) - 1e-3) < 1e-15);
    log.prior = ATHI_PRIOR_REVERSE_LOG;
    assert_true(fabs(athi_param_from_unit(&log, 0.5) - (1e-2 + 1e-4 - 1e-3)) < 1e-15);
    /* median of a normal prior that is cut on one side only */
    athi_space_param normal = float_param("x", 0, 10, 0, ATHI_PRIOR_NORMAL);
    normal.std = 1;
    assert_true(fabs(athi_param_from_unit(&normal, 0.5) - 0.6744897501960817) < 1e-12);
    normal.step = 0.5;
    for (int i = 0; i < 12; i++) {
        double v = athi_param_nth(&normal, i);
        assert_true(athi_param_from_unit(&normal, athi_param_to_unit(&normal, v)) == v);
    }
}

static void weights(void **state) {
    fixture *f = *state;
    athi_branch b[6];
    athi_space_param p = choice_param("c", 3, b);
    b[0].weight = 1, b[1].weight = 6, b[2].weight = 3;
    int index = add(f, p);
    const athi_space_param *c = &f->space->params[index];
    assert_true(fabs(c->branches[1].weight - 0.6) < 1e-15 && b[1].weight == 6);
    int seen[3] = {0};
    for (int i = 0; i < 1000; i++) seen[(int)athi_param_from_unit(c, (i + 0.5) / 1000)]++;
    assert_int_equal(seen[0], 100);
    assert_int_equal(seen[1], 600);
    for (int i = 0; i < 3; i++) assert_true(athi_param_from_unit(c, athi_param_to_unit(c, i)) == i);
    athi_space_param flag = {.name = "flag", .type = ATHI_PARAM_CHOICE, .boolean = true, .fallback = 1};
    index = add(f, flag);
    c = &f->space->params[index];
    assert_int_equal(c->n_branches, 2);
    assert_string_equal(c->branches[1].key, "true");
}

static void demo_space(fixture *f) {
    athi_branch b[6];
    add(f, int_param("units", 16, 64, 16, ATHI_PRIOR_UNIFORM));
    int c = add(f, choice_param("optimizer", 2, b));
    add_under(f, float_param("lr", 0.001, 1, 10, ATHI_PRIOR_LOG), c, 0, 0);
}

static void points(void **state) {
    fixture *f = *state;
    demo_space(f);
    double point[3];
    athi_space_default(f->space, point);
    assert_true(point[0] == 16 && point[1] == 0 && point[2] == 0.001);
    double moved[3] = {41, 1, 0.1};
    athi_space_normalize(f->space, moved);
    assert_true(moved[0] == 48 && moved[1] == 1 && isnan(moved[2]));
    assert_true(athi_space_size(f->space) == 4 * (4 + 1));
    athi_text a = {.ctx = f->ctx}, b = {.ctx = f->ctx};
    athi_space_key(f->space, moved, &a);
    athi_space_key(f->space, point, &b);
    assert_string_equal(a.text, "0=48;1=1;");
    assert_string_not_equal(a.text, b.text);
    athi_text_free(&a), athi_text_free(&b);
    athi_value *map;
    assert_ok(f->ctx, athi_space_point_write(f->arena, f->space, moved, &map));
    assert_int_equal(map->n, 2);
    assert_int_equal(athi_value_get(map, "units")->integer, 48);
    assert_string_equal(athi_value_get(map, "optimizer")->text, "b");
    double back[3];
    assert_ok(f->ctx, athi_space_point_read(f->ctx, f->space, map, back));
    assert_true(back[0] == 48 && back[1] == 1 && isnan(back[2]));
}

static ath_status read_text(fixture *f, const char *text, double *point) {
    athi_value *v;
    assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text, (int64_t)strlen(text), &v));
    return athi_space_point_read(f->ctx, f->space, v, point);
}

static void reading_points(void **state) {
    fixture *f = *state;
    demo_space(f);
    double p[4];
    assert_ok(f->ctx, read_text(f, "{\"units\": 32.0}", p));
    assert_true(p[0] == 32 && p[1] == 0 && p[2] == 0.001);
    assert_fails(f->ctx, read_text(f, "[1]", p), ATH_E_DATA, "expected a map");
    assert_fails(f->ctx, read_text(f, "{\"units\": 17}", p), ATH_E_DATA, "not one of its values; the nearest is 16");
    assert_fails(f->ctx, read_text(f, "{\"units\": 80}", p), ATH_E_DATA, "expected 16..64, got 80");
    assert_fails(f->ctx, read_text(f, "{\"units\": \"x\"}", p), ATH_E_DATA, "expected an integer");
    assert_fails(f->ctx, read_text(f, "{\"unit\": 16}", p), ATH_E_DATA, "did you mean 'units'?");
    assert_fails(f->ctx, read_text(f, "{\"optimizer\": \"x\"}", p), ATH_E_DATA, "expected one of a, b; got x");
    assert_fails(f->ctx, read_text(f, "{\"optimizer\": \"b\", \"lr\": 0.1}", p), ATH_E_DATA,
                 "does not exist with this value of 'optimizer'");
    /* scalar branches stand for themselves */
    athi_branch b[3] = {{.key = "64", .value = athi_value_int(f->arena, 64)},
                        {.key = "null", .value = athi_value_new(f->arena, ATHI_NULL)},
                        {.key = "gelu", .value = athi_value_string(f->arena, "gelu")}};
    athi_space_param c = {.name = "s", .type = ATHI_PARAM_CHOICE, .branches = b, .n_branches = 3, .fallback = NAN};
    add(f, c);
    const char *const texts[] = {"{\"s\": 64}", "{\"s\": null}", "{\"s\": \"gelu\"}"};
    for (int i = 0; i < 3; i++) {
        athi_value *map;
        assert_ok(f->ctx, read_text(f, texts[i], p));
        assert_true(p[3] == i);
        assert_ok(f->ctx, athi_space_point_write(f->arena, f->space, p, &map));
        assert_true(athi_value_equal(athi_value_get(map, "s"), b[i].value));
    }
}

/* The closed count against the walk, and the walk's points: valid, different, the default first. */
static void size_is_the_walk(void **state) {
    fixture *f = *state;
    athi_rng rng = athi_rng_at(7, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
    for (int round = 0; round < 60; round++) {
        assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
        random_space(f, &rng, true);
        double point[6], home[6];
        athi_walk walk;
        assert_ok(f->ctx, athi_walk_create(f->arena, f->space, 0, &walk));
        athi_walk_first(&walk, point);
        athi_space_default(f->space, home);
        assert_true(athi_point_distance(f->space, point, home) == 0);
        int64_t n = 0;
        do {
            assert_valid(f->space, point);
            n++;
        } while (athi_walk_next(&walk, point));
        assert_true(athi_space_size(f->space) == (double)n);
    }
    add(f, float_param("open", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    assert_true(isinf(athi_space_size(f->space)));
}

static void draws(void **state) {
    fixture *f = *state;
    athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 2));
    for (int round = 0; round < 200; round++) {
        assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
        random_space(f, &rng, false);
        double point[6];
        for (int i = 0; i < 20; i++) {
            athi_space_sample(f->space, &rng, point);
            assert_valid(f->space, point);
        }
    }
}

static void definition_round_trip(void **state) {
    fixture *f = *state;
    athi_rng rng = athi_rng_at(5, ATHI_PURPOSE(ATHI_RNG_TEST, 3));
    for (int round = 0; round < 60; round++) {
        assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
        random_space(f, &rng, false);
        athi_value *first, *parsed, *second;
        athi_space *back;
        athi_text text = {.ctx = f->ctx};
        assert_ok(f->ctx, athi_space_write(f->arena, f->space, &first));
        assert_ok(f->ctx, athi_json_write(&text, first, 0));
        assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text.text, text.length, &parsed));
        assert_ok(f->ctx, athi_space_read(f->ctx, f->arena, parsed, &back));
        assert_ok(f->ctx, athi_space_write(f->arena, back, &second));
        assert_true(athi_value_equal(first, second));
        assert_memory_equal(f->space->order, back->order, (size_t)back->n * sizeof *back->order);
        athi_text_free(&text);
    }
    athi_value *v;
    athi_space *s;
    const char *text = "[{\"name\": \"x\", \"type\": \"flot\"}]";
    assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text, (int64_t)strlen(text), &v));
    assert_fails(f->ctx, athi_space_read(f->ctx, f->arena, v, &s), ATH_E_DATA,
                 "expected 'type' to be int, float or choice");
}

static void constraints(void **state) {
    fixture *f = *state;
    athi_branch branches[6];
    add(f, int_param("units", 8, 64, 8, ATHI_PRIOR_UNIFORM));
    int kind = add(f, choice_param("kind", 2, branches));
    add_under(f, float_param("rate", 0, 1, 0, ATHI_PRIOR_UNIFORM), kind, 1, 1);
    assert_ok(f->ctx, athi_space_rule(f->ctx, f->space, "units <= 32 or kind == 'a'"));
    assert_ok(f->ctx, athi_space_rule(f->ctx, f->space, "rate * units < 10"));
    assert_fails(f->ctx, athi_space_rule(f->ctx, f->space, "unit < 3"), ATH_E_OPTION,
                 "'unit' is no parameter; did you mean 'units'?");
    assert_fails(f->ctx, athi_space_rule(f->ctx, f->space, "units <"), ATH_E_OPTION, "expected a number or a name");
    assert_true(athi_space_allows(f->space, (double[]){64, 0, NAN})); /* without rate nothing is said of it */
    assert_false(athi_space_allows(f->space, (double[]){64, 1, 0}));
    assert_true(athi_space_allows(f->space, (double[]){32, 1, 0.25}));
    assert_false(athi_space_allows(f->space, (double[]){32, 1, 0.5}));
    athi_rng rng = athi_rng_at(1, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
    for (int i = 0; i < 200; i++) {
        double point[3];
        athi_space_sample(f->space, &rng, point);
        assert_true(athi_space_allows(f->space, point));
    }
    athi_value *value;
    athi_space *again;
    assert_ok(f->ctx, athi_space_write(f->arena, f->space, &value));
    assert_ok(f->ctx, athi_space_read(f->ctx, f->arena, value, &again));
    assert_int_equal(again->n_rules, 2);
    assert_string_equal(again->rules[1], "rate * units < 10");
    assert_fails(f->ctx, athi_space_rule(f->ctx, f->space, "units > 8"), ATH_E_OPTION,
                 "the defaults break the constraint \"units > 8\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(constraints, setup, teardown),
        cmocka_unit_test_setup_teardown(rules, setup, teardown),
        cmocka_unit_test_setup_teardown(one_name_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(unit_maps, setup, teardown),
        cmocka_unit_test_setup_teardown(weights, setup, teardown),
        cmocka_unit_test_setup_teardown(points, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_points, setup, teardown),
        cmocka_unit_test_setup_teardown(size_is_the_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(draws, setup, teardown),
        cmocka_unit_test_setup_teardown(definition_round_trip, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
