/* Population-based training on a process with a state: who is replaced, where children begin and with which values, the same
 * trials whoever is quicker and after a start in the middle. */
#include "tune/scheduler_internal.h"
#include "tune/study_test.h"

#include <math.h>

/* ---- a search over processes ---------------------------------------------------------------------- */

enum { TRIALS_MAX = 200, SLOTS = 4 };

/* A trial's state is its error, which falls quickly with a large rate and far with a small one: the best rate changes. */
typedef struct process {
    int64_t step;
    double error;
} process;

typedef struct slot {
    bool busy;
    athi_task task;
} slot;

typedef struct campaign {
    study *t;
    athi_search *search;
    athi_search_opts opts;
    process processes[TRIALS_MAX];
    slot slots[SLOTS];
    int64_t most, inherited, next_slot;
    int64_t stride; /* so many steps to a report */
    double decay;   /* what is taken from the score at each step */
    int64_t fails;  /* this trial crashes in its first step, -1: none */
} campaign;

static ath_status inherit(void *user, int64_t child, int64_t parent, bool fresh) {
    campaign *c = user;
    if (!fresh && c->processes[child].step) return ATH_OK;
    c->processes[child] = c->processes[parent];
    c->inherited++;
    return ATH_OK;
}

static void set_up(campaign *c, study *t, const char *scheduler, const char *json) {
    *c = (campaign){.t = t, .most = 40, .stride = 1, .fails = -1};
    c->opts = (athi_search_opts){.space = t->f.space,
                                 .sampler = athi_row_find(&athi_samplers, "random"),
                                 .store = t->store,
                                 .seed = 3,
                                 .max_trials = 8,
                                 .executions = 1,
                                 .jobs = 1,
                                 .max_t = 40,
                                 .inherit = inherit,
                                 .inherit_user = c};
    if (!scheduler) return;
    c->opts.scheduler = athi_row_find(&athi_schedulers, scheduler);
    c->opts.scheduler_opts = study_options(t, c->opts.scheduler, json);
}

static void open_search(campaign *c) { assert_ok(c->t->f.ctx, athi_search_open(c->t->f.ctx, &c->opts, &c->search)); }

static void begin(campaign *c, study *t, const char *scheduler, const char *json) {
    add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
    study_open(t);
    set_up(c, t, scheduler, json);
    open_search(c);
}

/* Mean squared error under gradient noise: falls by (1 - rate)^2 a step, down to what the noise of the rate allows. */
static double advance(campaign *c, const athi_task *task) {
    process *p = &c->processes[task->trial];
    double rate = task->point[0];
    if (!p->step) p->error = 1;
    p->step++;
    p->error = p->error * (1 - rate) * (1 - rate) + 0.1 * rate * rate;
    return -log(p->error) - c->decay * (double)p->step;
}

/* One step of one slot. */
static void work(campaign *c, slot *w) {
    athi_value *map = athi_value_new(c->t->f.arena, ATHI_MAP);
    athi_action action;
    athi_task *task = &w->task;
    if (task->trial == c->fails) {
        assert_ok(c->t->f.ctx, athi_search_fail(c->search, task, ATHI_REASON_CRASH, "as it was told"));
        w->busy = false;
        return;
    }
    double score;
    do score = advance(c, task);
    while (c->processes[task->trial].step % c->stride && c->processes[task->trial].step < c->most);
    int64_t step = c->processes[task->trial].step;
    athi_value_set(c->t->f.arena, map, "score", athi_value_float(c->t->f.arena, score));
    assert_ok(c->t->f.ctx, athi_search_report(c->search, task, step, map));
    assert_ok(c->t->f.ctx, athi_search_action(c->search, task, &action));
    assert_int_not_equal(action, ATHI_ACTION_PRUNE);
    if (action == ATHI_ACTION_PAUSE) assert_ok(c->t->f.ctx, athi_search_pause(c->search, task));
    assert_int_equal(action == ATHI_ACTION_FINISH, c->opts.scheduler && step == c->most);
    if (step == c->most) assert_ok(c->t->f.ctx, athi_search_finish(c->search, task));
    w->busy = action == ATHI_ACTION_CONTINUE && step < c->most;
}

/* Idle slots get tasks; true when the search is done and nobody works. */
static bool give(campaign *c) {
    bool busy = false, done = false;
    for (int i = 0; i < c->opts.jobs; i++) {
        athi_next next = ATHI_NEXT_TASK;
        const char *why;
        slot *w = &c->slots[i];
        if (!w->busy && !done)
            assert_ok(c->t->f.ctx, athi_search_next(c->search, &w->task, &next, &why));
        else if (!w->busy)
            continue;
        if (!w->busy && next == ATHI_NEXT_TASK) {
            assert_true(w->task.trial < TRIALS_MAX);
            assert_int_equal(w->task.resumed, c->processes[w->task.trial].step > 0);
            w->busy = true;
        }
        done = next == ATHI_NEXT_DONE;
        busy = busy || w->busy;
    }
    assert_true(busy || done); /* somebody has something to do until the end */
    return !busy;
}

/* order: which slots are quicker; 0: all alike. */
static void run(campaign *c, uint64_t order, int64_t steps) {
    for (int64_t i = 0; i < steps && !give(c); i++) {
        uint32_t words[4];
        athi_philox(order, ATHI_PURPOSE(ATHI_RNG_TEST, 0), (uint64_t)c->next_slot, words);
        for (int64_t k = order ? words[0] % (uint32_t)c->opts.jobs : c->next_slot;; k++)
            if (c->slots[k % c->opts.jobs].busy) {
                work(c, &c->slots[k % c->opts.jobs]);
                break;
            }
        c->next_slot++;
    }
}

enum { ALL = 100000 };

static void again(void **state, campaign *c) {
    void *next = c->t;
    if (c->search) athi_search_close(c->search);
    study_teardown(&next);
    assert_int_equal(study_setup(state), 0);
}

static double best_score(campaign *c) {
    const athi_trial **ranking;
    int64_t n;
    assert_ok(c->t->f.ctx, athi_search_ranking(c->search, c->t->f.arena, &ranking, &n));
    assert_true(n > 0);
    return -log(c->processes[ranking[0]->number].error);
}

/* ---- tests ---------------------------------------------------------------------------------------- */

/* Eight, of which two are replaced at 10, 20 and 30. */
static void the_worst_are_replaced(void **state) {
    study *t = *state;
    campaign c;
    begin(&c, t, "pbt", "{\"perturbation_interval\": 10}");
    run(&c, 0, ALL);
    assert_int_equal(study_count(t), 8 + 3 * 2);
    assert_int_equal(c.inherited, 6);
    int64_t complete = 0, pruned = 0;
    for (int64_t i = 0; i < 14; i++) {
        const athi_trial *x = study_trial(t, i);
        complete += x->state == ATHI_TRIAL_COMPLETE, pruned += x->state == ATHI_TRIAL_PRUNED;
        if (x->state == ATHI_TRIAL_COMPLETE) assert_int_equal(c.processes[i].step, 40);
        if (x->relation != ATHI_RELATION_CHILD) continue;
        assert_true(i >= 8);
        const athi_trial *parent = study_trial(t, x->relative);
        assert_int_equal(x->relative_step, (i - 8) / 2 * 10 + 10);
        assert_true(x->point[0] >= 1e-3 && x->point[0] <= 1 && x->point[0] != parent->point[0]);
        /* its curve begins with its parent's, and goes on from there alone */
        assert_true(x->n_reports > x->relative_step && parent->n_reports >= x->relative_step);
        for (int64_t k = 0; k < x->relative_step; k++) {
            assert_int_equal(x->reports[k].step, k + 1);
            assert_true(x->reports[k].value == parent->reports[k].value);
        }
    }
    assert_int_equal(complete, 8);
    assert_int_equal(pruned, 6);
    athi_search_close(c.search);
}

/* Scores fall from step to step, so each child's curve begins with its parent's best; that is not what it is worth. */
static void a_child_is_worth_its_own_steps(void **state) {
    for (int last = 0; last < 2; last++) {
        study *t = *state;
        campaign c;
        add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
        study_open(t);
        set_up(&c, t, "pbt", "{\"perturbation_interval\": 10}");
        c.decay = 10, c.opts.last_value = last;
        open_search(&c);
        run(&c, 0, 150);
        athi_search_close(c.search); /* what was taken over counts the same */
        study_reopen(t);
        c.opts.store = t->store;
        memset(c.slots, 0, sizeof c.slots);
        open_search(&c);
        run(&c, 0, ALL);
        int64_t children = 0;
        for (int64_t i = 0; i < study_count(t); i++) {
            const athi_trial *x = study_trial(t, i);
            const athi_report *first = &x->reports[athi_trial_first(x)], *end = &x->reports[x->n_reports - 1];
            assert_true(x->values[0] == (last ? end : first)->value);
            if (x->state == ATHI_TRIAL_COMPLETE && !last) assert_int_equal(x->execution_best[0], first->step);
            if (x->relation != ATHI_RELATION_CHILD) continue;
            children++;
            assert_int_equal(first->step, x->relative_step + 1);
        }
        assert_int_equal(children, 6);
        const athi_trial **ranking;
        int64_t n;
        assert_ok(t->f.ctx, athi_search_ranking(c.search, t->f.arena, &ranking, &n));
        assert_int_equal(n, 8);
        if (!last) assert_int_equal(ranking[0]->relation, ATHI_RELATION_NONE); /* a first step of all is the best */
        again(state, &c);
    }
}

/* At each boundary those who end are worse than those who stay, and parents are among the best two of eight. */
static void parents_are_among_the_best(void **state) {
    study *t = *state;
    campaign c;
    begin(&c, t, "pbt", "{\"perturbation_interval\": 10}");
    run(&c, 0, ALL);
    for (int64_t at = 10; at < 40; at += 10)
        for (int64_t i = 0; i < 14; i++) {
            const athi_trial *x = study_trial(t, i);
            if (x->relation != ATHI_RELATION_CHILD || x->relative_step != at) continue;
            double own = study_trial(t, x->relative)->reports[at - 1].value;
            int64_t better = 0, n = 0;
            for (int64_t k = 0; k < 14; k++) {
                const athi_trial *other = study_trial(t, k);
                bool born = other->relation == ATHI_RELATION_CHILD && other->relative_step >= at;
                if (born || other->n_reports < at) continue;
                n++, better += other->reports[at - 1].value > own;
            }
            assert_int_equal(n, 8);
            assert_true(better < 2);
        }
    athi_search_close(c.search);
}

/* The same number of steps, six seeds. */
static void it_beats_constant_rates(void **state) {
    int64_t won = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        double scores[2];
        for (int pass = 0; pass < 2; pass++) {
            study *t = *state;
            campaign c;
            add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
            study_open(t);
            set_up(&c, t, pass ? "pbt" : NULL, "{\"perturbation_interval\": 2}");
            c.opts.seed = seed;
            open_search(&c);
            run(&c, 0, ALL);
            scores[pass] = best_score(&c);
            again(state, &c);
        }
        won += scores[1] > scores[0];
    }
    assert_int_equal(won, 6); /* by chance: one in 64 */
}

typedef struct record {
    int64_t n;
    struct {
        double rate, error;
        int64_t relative, step;
        athi_trial_state state;
    } trials[TRIALS_MAX];
} record;

static void take_record(campaign *c, record *r) {
    memset(r, 0, sizeof *r);
    r->n = study_count(c->t);
    for (int64_t i = 0; i < r->n; i++) {
        const athi_trial *x = study_trial(c->t, i);
        r->trials[i].rate = x->point[0], r->trials[i].error = c->processes[i].error;
        r->trials[i].relative = x->relative, r->trials[i].step = c->processes[i].step;
        r->trials[i].state = x->state;
    }
}

static void assert_same(const record *a, const record *b) {
    assert_int_equal(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++) {
        if (a->trials[i].rate != b->trials[i].rate || a->trials[i].error != b->trials[i].error)
            fail_msg("trial %lld: rate %.17g, error %.17g; then %.17g, %.17g", (long long)i, a->trials[i].rate,
                     a->trials[i].error, b->trials[i].rate, b->trials[i].error);
        assert_int_equal(a->trials[i].relative, b->trials[i].relative);
        assert_int_equal(a->trials[i].step, b->trials[i].step);
        assert_int_equal(a->trials[i].state, b->trials[i].state);
    }
}

/* Three slots, now one and now another the quicker. */
static void who_is_quicker_decides_nothing(void **state) {
    static record first, other;
    for (uint64_t order = 0; order < 4; order++) {
        study *t = *state;
        campaign c;
        add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
        study_open(t);
        set_up(&c, t, "pbt", "{\"perturbation_interval\": 7}");
        c.opts.jobs = 3, c.opts.deterministic = true;
        c.opts.sampler = athi_row_find(&athi_samplers, "tpe");
        open_search(&c);
        run(&c, order, ALL);
        take_record(&c, order ? &other : &first);
        if (order) assert_same(&first, &other);
        again(state, &c);
    }
    assert_true(first.n > 8);
}

/* Closed and opened again after every few steps; what slots had under way is handed out again. */
static void a_start_in_the_middle_decides_the_same(void **state) {
    static record first, other;
    for (int64_t steps = 0; steps < 12; steps += 1 + steps) {
        study *t = *state;
        campaign c;
        begin(&c, t, "pbt", "{\"perturbation_interval\": 5}");
        for (int i = 0; i < 1000; i++) {
            run(&c, 0, steps ? steps : ALL);
            if (!steps) break;
            athi_search_close(c.search);
            study_reopen(t);
            c.opts.store = t->store;
            memset(c.slots, 0, sizeof c.slots);
            open_search(&c);
            if (give(&c)) break;
        }
        take_record(&c, steps ? &other : &first);
        if (steps) assert_same(&first, &other);
        again(state, &c);
    }
    assert_int_equal(first.n, 8 + 7 * 2);
}

/* Reports at 3, 6, 9, …: who is to pause at 10 does at 12, and its child begins there. */
static void reports_may_be_rare(void **state) {
    study *t = *state;
    campaign c;
    begin(&c, t, "pbt", "{\"perturbation_interval\": 10}");
    c.stride = 3;
    run(&c, 0, ALL);
    static const int64_t begins[] = {12, 21, 30};
    int64_t complete = 0;
    assert_int_equal(study_count(t), 8 + 3 * 2);
    for (int64_t i = 0; i < 14; i++) {
        const athi_trial *x = study_trial(t, i);
        complete += x->state == ATHI_TRIAL_COMPLETE;
        if (x->relation == ATHI_RELATION_CHILD) assert_int_equal(x->relative_step, begins[(i - 8) / 2]);
    }
    assert_int_equal(complete, 8);
    athi_search_close(c.search);
}

/* A member that fails is replaced at the next boundary, beside the worst two of the seven. */
static void who_fails_is_replaced(void **state) {
    study *t = *state;
    campaign c;
    begin(&c, t, "pbt", "{\"perturbation_interval\": 20}");
    c.fails = 2;
    run(&c, 0, ALL);
    int64_t children = 0, complete = 0;
    for (int64_t i = 0; i < study_count(t); i++) {
        const athi_trial *x = study_trial(t, i);
        children += x->relation == ATHI_RELATION_CHILD, complete += x->state == ATHI_TRIAL_COMPLETE;
        assert_true(x->relation != ATHI_RELATION_CHILD || x->relative != 2);
    }
    assert_int_equal(children, 3);
    assert_int_equal(complete, 8);
    athi_search_close(c.search);
}

/* Three populations of four: the next begins when the one before has ended. */
static void populations_follow_one_another(void **state) {
    study *t = *state;
    campaign c;
    add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
    study_open(t);
    set_up(&c, t, "pbt", "{\"perturbation_interval\": 20, \"population\": 4}");
    c.opts.max_trials = 12, c.opts.jobs = 2;
    open_search(&c);
    run(&c, 5, ALL);
    assert_int_equal(study_count(t), 3 * 5);
    for (int64_t i = 0; i < 15; i++) {
        const athi_trial *x = study_trial(t, i);
        assert_int_equal(x->relation == ATHI_RELATION_CHILD, i % 5 == 4);
        assert_true(i % 5 != 4 || x->relative / 5 == i / 5);
        for (int64_t k = 0; k < i / 5 * 5; k++) assert_true(study_trial(t, k)->ended <= x->started);
    }
    athi_search_close(c.search);
}

/* Ranges of every kind: inside, on the grid, and never the same grid value again but at an end. */
static void children_stay_in_the_space(void **state) {
    study *t = *state;
    athi_branch sizes[3] = {{.key = "s"}, {.key = "m"}, {.key = "l"}}, kinds[2] = {{.key = "adam"}, {.key = "sgd"}};
    athi_space_param size = {.name = "size",
                             .type = ATHI_PARAM_CHOICE,
                             .branches = sizes,
                             .n_branches = 3,
                             .ordered = true,
                             .fallback = NAN};
    athi_space_param kind = {
        .name = "kind", .type = ATHI_PARAM_CHOICE, .branches = kinds, .n_branches = 2, .fallback = NAN};
    add(&t->f, float_param("lr", 1e-4, 1e-1, 0, ATHI_PRIOR_LOG));
    add(&t->f, float_param("decay", 0.9, 0.999, 0, ATHI_PRIOR_REVERSE_LOG));
    add(&t->f, float_param("dropout", 0, 0.5, 0.1, ATHI_PRIOR_UNIFORM));
    add(&t->f, int_param("batch", 16, 256, 2, ATHI_PRIOR_LOG));
    add(&t->f, int_param("warmup", 0, 1000, 0, ATHI_PRIOR_UNIFORM));
    add(&t->f, size);
    int parent = add(&t->f, kind);
    add_under(&t->f, float_param("momentum", 0, 0.99, 0, ATHI_PRIOR_UNIFORM), parent, 1, 1);
    bool fixed[8] = {[4] = true};
    const athi_pbt_opts *o =
        study_options(t, athi_row_find(&athi_schedulers, "pbt"), "{\"resample_probability\": 0}");
    athi_schedule s = {.space = t->f.space, .fixed = fixed};
    double point[8], child[8];
    int64_t shrunk = 0, grown = 0, appeared = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        athi_rng rng = athi_rng_at(i, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
        athi_space_sample(t->f.space, &rng, point);
        athi_pbt_explore(o, &s, point, &rng, child);
        for (int k = 0; k < 8; k++) {
            const athi_space_param *p = &t->f.space->params[k];
            assert_int_equal(isnan(child[k]), !athi_space_exists(t->f.space, child, k));
            if (isnan(child[k])) continue;
            assert_true(child[k] == athi_param_snap(p, child[k]));
            if (p->type != ATHI_PARAM_CHOICE) assert_true(child[k] >= p->min && child[k] <= p->max);
        }
        assert_true(child[0] == fmin(fmax(point[0] * 1.2, 1e-4), 1e-1) ||
                    child[0] == fmin(fmax(point[0] * 0.8, 1e-4), 1e-1));
        shrunk += child[0]<point[0], grown += child[0]> point[0];
        assert_true(fabs(child[2] - point[2]) < 0.11);
        if (child[2] == point[2]) assert_true(point[2] == 0 || point[2] == 0.5);
        assert_true(child[3] == point[3] * 2 || child[3] == point[3] / 2 || point[3] == 16 || point[3] == 256);
        assert_true(child[4] == point[4]);
        assert_true(fabs(child[5] - point[5]) <= 1);
        appeared += isnan(point[7]) && !isnan(child[7]);
    }
    assert_true(shrunk > 800 && grown > 800 && appeared > 200);
}

static void what_does_not_fit(void **state) {
    study *t = *state;
    campaign c;
    athi_search *s;
    add(&t->f, float_param("rate", 1e-3, 1, 0, ATHI_PRIOR_LOG));
    study_open(t);
    static const struct {
        const char *json, *sentence;
    } cases[] = {{"{\"perturbation_interval\": 40}", "perturbation_interval 40 is not below max_t 40"},
                 {"{\"perturbation_factors\": [1.2, 0]}", "expected finite numbers above 0, got 0"},
                 {"{\"perturbation_factors\": []}", "perturbation_factors is empty"}};
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        set_up(&c, t, "pbt", cases[i].json);
        assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, cases[i].sentence);
    }
    set_up(&c, t, "pbt", "{}");
    double infinite[] = {INFINITY};
    athi_pbt_opts opts = *(const athi_pbt_opts *)c.opts.scheduler_opts;
    opts.perturbation_factors.v = infinite, opts.perturbation_factors.n = 1;
    c.opts.scheduler_opts = &opts;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "finite numbers above 0, got inf");
    set_up(&c, t, "pbt", "{}");
    c.opts.executions = 2;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "pbt takes one execution a trial");
    c.opts.executions = 1, c.opts.no_pause = true;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "resumable: true");
    c.opts.no_pause = false, c.opts.inherit = NULL;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "nobody copies here");
    c.opts.inherit = inherit, c.opts.max_t = 0;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION,
                 "give scheduler: {pbt: {max_t: 27}}");
    bool fixed[] = {true};
    c.opts.max_t = 40, c.opts.fixed = fixed;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "no parameter can change");
    c.opts.fixed = NULL, c.opts.rescore = 1;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &s), ATH_E_OPTION, "leave out rescore");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_worst_are_replaced),
        TEST(a_child_is_worth_its_own_steps),
        TEST(parents_are_among_the_best),
        TEST(it_beats_constant_rates),
        TEST(who_is_quicker_decides_nothing),
        TEST(a_start_in_the_middle_decides_the_same),
        TEST(reports_may_be_rare),
        TEST(who_fails_is_replaced),
        TEST(populations_follow_one_another),
        TEST(children_stay_in_the_space),
        TEST(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
