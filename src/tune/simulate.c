/* The simulated clock: a queue of steps that workers have begun, the earliest first. */
#include "tune/simulate.h"

#include "tune/sampler_internal.h"

#include <math.h>

/* A worker's step that ends at `time`. As many are in the queue as workers are busy. */
typedef struct event {
    double time;
    int64_t order; /* of being queued: decides between equal times */
    athi_task task;
} event;

/* What a trial has done; it keeps its curve while it is paused. */
typedef struct progress {
    const athi_curve *curve; /* NULL: it has not begun */
    int64_t step;
} progress;

typedef struct simulation {
    ath_ctx *ctx;
    const athi_simulate_opts *o;
    athi_arena *arena, *scratch; /* the result; one report */
    event *queue;                /* a binary heap */
    int64_t n, queued, workers;
    progress *trials; /* by number */
    bool *taken;      /* curves */
    double now;
    bool done;
    athi_simulated *out;
    int64_t cap_improvements;
} simulation;

/* ---- the queue ----------------------------------------------------------------------------------- */

static bool before(const event *a, const event *b) {
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void swap(event *a, event *b) {
    event c = *a;
    *a = *b, *b = c;
}

static void push(simulation *s, const athi_task *task, double time) {
    int64_t i = s->n++;
    s->queue[i] = (event){time, s->queued++, *task};
    for (; i > 0 && before(&s->queue[i], &s->queue[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->queue[i], &s->queue[(i - 1) / 2]);
}

static event pop(simulation *s) {
    event first = s->queue[0];
    s->queue[0] = s->queue[--s->n];
    for (int64_t i = 0, child; (child = 2 * i + 1) < s->n; i = child) {
        if (child + 1 < s->n && before(&s->queue[child + 1], &s->queue[child])) child++;
        if (!before(&s->queue[child], &s->queue[i])) break;
        swap(&s->queue[child], &s->queue[i]);
    }
    return first;
}

/* ---- trials -------------------------------------------------------------------------------------- */

static int64_t nearest_curve(const simulation *s, const double *point) {
    int64_t best = -1;
    double least = 0;
    for (int64_t i = 0; i < s->o->n_curves; i++) {
        if (s->taken[i]) continue;
        double d = athi_point_distance(s->o->space, point, s->o->curves[i].point);
        if (best < 0 || d < least) best = i, least = d;
    }
    return best;
}

/* The study holds the curve's point: what the sampler learns is true. */
static ath_status take_curve(simulation *s, const athi_task *task) {
    int64_t i = task->trial < s->o->n_curves ? nearest_curve(s, task->point) : -1;
    if (i < 0)
        return athi_fail(s->ctx, ATH_E_STATE, "simulation: trial %lld finds no curve among %lld that none has taken",
                         (long long)task->trial, (long long)s->o->n_curves);
    s->taken[i] = true;
    s->trials[task->trial].curve = &s->o->curves[i];
    return athi_search_set_point(s->o->search, task, s->o->curves[i].point);
}

/* Every idle worker asks, until there is nothing to do before another ends. */
static ath_status hand_out(simulation *s) {
    while (!s->done && s->n < s->workers) {
        athi_task task;
        athi_next next;
        ATH_TRY(athi_search_next(s->o->search, &task, &next, &s->out->why));
        s->done = next == ATHI_NEXT_DONE;
        if (next != ATHI_NEXT_TASK) break;
        if (task.trial >= s->o->n_curves || !s->trials[task.trial].curve) ATH_TRY(take_curve(s, &task));
        push(s, &task, s->now + s->trials[task.trial].curve->seconds);
    }
    return ATH_OK;
}

static ath_status note(simulation *s, const athi_curve *curve, double value) {
    athi_simulated *out = s->out;
    if (out->best) {
        double best = out->improvements[out->n_improvements - 1].value;
        if (s->o->maximize ? value <= best : value >= best) return ATH_OK;
    }
    if (out->n_improvements == s->cap_improvements) {
        int64_t cap = s->cap_improvements ? 2 * s->cap_improvements : 64;
        athi_improvement *grown = athi_arena_array(s->arena, cap, sizeof *grown);
        if (!grown) return ATH_E_NOMEM;
        if (out->n_improvements) memcpy(grown, out->improvements, (size_t)out->n_improvements * sizeof *grown);
        out->improvements = grown, s->cap_improvements = cap;
    }
    out->best = curve;
    out->improvements[out->n_improvements++] = (athi_improvement){out->steps, s->now, value};
    return ATH_OK;
}

static ath_status report(simulation *s, const athi_task *task, int64_t step, double value) {
    athi_arena_reset(s->scratch);
    athi_value *map = athi_value_new(s->scratch, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(s->scratch, map, s->o->objective, athi_value_float(s->scratch, value)));
    return athi_search_report(s->o->search, task, step, map);
}

/* A worker has ended a step: its trial goes on, or the worker is free. */
static ath_status end_step(simulation *s, const athi_task *task, bool *idle) {
    progress *p = &s->trials[task->trial];
    athi_search *search = s->o->search;
    double value = p->curve->values[p->step++];
    athi_action action;
    s->out->steps++;
    *idle = true;
    if (!isfinite(value))
        return athi_search_fail(search, task, ATHI_REASON_NAN, "the recorded training had failed here");
    ATH_TRY(note(s, p->curve, value));
    ATH_TRY(report(s, task, p->step, value));
    ATH_TRY(athi_search_action(search, task, &action));
    if (action == ATHI_ACTION_PRUNE) return athi_search_prune(search, task, NULL);
    if (action == ATHI_ACTION_PAUSE) return athi_search_pause(search, task);
    if (action == ATHI_ACTION_FINISH || p->step == s->o->steps) return athi_search_finish(search, task);
    push(s, task, s->now + p->curve->seconds);
    *idle = false;
    return ATH_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static ath_status run(simulation *s) {
    bool idle = true;
    for (;;) {
        if (idle) ATH_TRY(hand_out(s)); /* steps alone give others nothing to do */
        if (s->n == 0) break;
        if (s->o->interrupted && *s->o->interrupted)
            return athi_fail(s->ctx, ATH_E_INTERRUPTED, "simulation: interrupted; nothing of it is kept");
        event e = pop(s);
        s->out->seconds = s->now = e.time;
        if (s->o->clock) *s->o->clock = s->now;
        ATH_TRY(end_step(s, &e.task, &idle));
    }
    if (s->done) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_STATE, "simulation: the search waits, but no worker has anything to do");
}

ath_status athi_simulate(ath_ctx *ctx, athi_arena *arena, const athi_simulate_opts *opts, athi_simulated *out) {
    simulation s = {.ctx = ctx, .o = opts, .arena = arena, .out = out};
    s.workers = ATHI_MIN(opts->workers, opts->n_curves); /* others would never have anything to do */
    *out = (athi_simulated){0};
    s.queue = athi_arena_array(arena, s.workers, sizeof *s.queue);
    s.trials = athi_arena_array(arena, opts->n_curves, sizeof *s.trials);
    s.taken = athi_arena_array(arena, opts->n_curves, sizeof *s.taken);
    if (!s.queue || !s.trials || !s.taken || !(s.scratch = athi_arena_create(ctx))) return ATH_E_NOMEM;
    ath_status status = run(&s);
    athi_arena_destroy(s.scratch);
    return status;
}
