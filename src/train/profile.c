/* Timing the units of a step. */
#include "train/profile.h"

#include "base/file.h"
#include "train/internal.h"

#include <stdlib.h>

enum { WARM_UP = 2 };

/* ---- costs --------------------------------------------------------------------------------------- */

static double tensor_bytes(const ath_tensor *t) {
    return (double)athi_shape_count(t->shape) * (double)athi_dtype_size(t->dtype);
}

void athi_unit_cost(const athi_unit *u, double *flops, double *bytes) {
    *flops = *bytes = 0;
    for (int i = 0; i < u->n_nodes; i++) *flops += athi_node_flops(u->nodes[i]);
    if (u->n_nodes == 1) {
        *bytes = athi_node_bytes(u->nodes[0]);
        return;
    }
    for (int i = 0; i < u->n_in; i++) {
        bool again = false; /* a value that is used twice stands twice */
        for (int j = 0; j < i && !again; j++) again = u->in[j] == u->in[i];
        if (!again) *bytes += tensor_bytes(u->in[i]);
    }
    for (int i = 0; i < u->n_out; i++) *bytes += tensor_bytes(u->out[i]);
}

static void set_bound(const athi_machine *m, athi_profile_unit *u) {
    athi_unit_cost(u->unit, &u->flops, &u->bytes);
    if (!m->threads) return;
    double arithmetic = 0, memory = u->bytes / athi_machine_rate(m, u->bytes);
    for (int i = 0; i < u->unit->n_nodes; i++)
        arithmetic += athi_node_flops(u->unit->nodes[i]) / athi_machine_flops(m, u->unit->nodes[i]);
    u->by_memory = memory > arithmetic;
    u->bound = u->by_memory ? memory : arithmetic;
}

/* ---- steps --------------------------------------------------------------------------------------- */

typedef struct timing {
    ath_model *model;
    athi_feed feed; /* part NULL: the slots stay as they are */
    athi_plan *plan;
    athi_slots slots;
    int64_t *order;
    int64_t batch, n_units, steps;
    double *seconds; /* [steps][n_units], then [steps] of gathering, then [steps] of whole steps */
} timing;

static void gather(const timing *t) {
    const athi_batch_key key = {1, 0, 0};
    if (t->feed.part) athi_feed_batch(&t->feed, &t->slots, &key, t->order, t->batch);
}

/* Numbers in [0, 1) where inputs and targets are such, and class 0. */
static void fill_slots(const timing *t) {
    const athi_net *net = t->model->net;
    athi_rng rng = athi_rng_at(1, 0);
    for (int slot = 0; slot <= ATHI_MAX(net->target_slot, net->weight_slot); slot++) {
        const ath_tensor *tensor = NULL;
        void *data = athi_plan_input(t->plan, slot, &tensor);
        if (!data) continue;
        int64_t n = athi_shape_count(tensor->shape);
        memset(data, 0, (size_t)(n * athi_dtype_size(tensor->dtype)));
        for (int64_t i = 0; tensor->dtype == ATH_F32 && i < n; i++)
            ((float *)data)[i] = slot == net->weight_slot ? 1 : (float)athi_rng_uniform(&rng);
    }
}

static void run_steps(const timing *t) {
    double *gathers = t->seconds + t->steps * t->n_units, *wholes = gathers + t->steps;
    for (int i = 0; i < WARM_UP; i++) gather(t), athi_plan_run(t->plan);
    for (int64_t s = 0; s < t->steps; s++) { /* in turn, since the machine's clock drifts */
        double begin = athi_now();
        gather(t);
        gathers[s] = athi_now() - begin;
        athi_plan_run_profiled(t->plan, t->seconds + s * t->n_units);
        begin = athi_now();
        gather(t);
        athi_plan_run(t->plan);
        wholes[s] = athi_now() - begin;
    }
    athi_sums_clear(t->model);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of values[0], values[step], …; `room` is overwritten. */
static double median(const double *values, int64_t n, int64_t step, double *room) {
    for (int64_t i = 0; i < n; i++) room[i] = values[i * step];
    qsort(room, (size_t)n, sizeof *room, ascending);
    return n % 2 ? room[n / 2] : (room[n / 2 - 1] + room[n / 2]) / 2;
}

/* ---- the profile --------------------------------------------------------------------------------- */

static ath_status prepare(timing *t, athi_arena *arena, const athi_data *data) {
    t->feed = (athi_feed){.model = t->model};
    if (data) t->feed.part = &data->train, t->feed.preprocess = &data->preprocess, t->feed.augment = &data->augment;
    if (data) ATH_TRY(athi_feed_check(t->model->ctx, &t->feed, "train"));
    int64_t scratch = athi_feed_scratch(&t->feed, t->batch);
    if (scratch && !(t->feed.scratch = athi_arena_array(arena, scratch, sizeof *t->feed.scratch))) return ATH_E_NOMEM;
    ATH_TRY(athi_model_plan(t->model, ATHI_MODE_TRAIN, t->batch, &t->plan));
    t->slots = athi_feed_slots(&t->feed, t->plan);
    t->n_units = athi_plan_graph(t->plan)->n_units;
    t->order = athi_arena_array(arena, t->batch, sizeof *t->order);
    t->seconds = athi_arena_array(arena, t->steps * (t->n_units + 2), sizeof *t->seconds);
    if (!t->order || !t->seconds) return ATH_E_NOMEM;
    for (int64_t i = 0; i < t->batch; i++) t->order[i] = data ? i % data->train.n : i;
    if (!data) fill_slots(t);
    float *rate = athi_state_at(t->model->state, t->model->net->learning_rate);
    *rate = (float)athi_learning_rate(t->model->net, 0);
    return ATH_OK;
}

ath_status athi_profile_steps(ath_model *model, athi_arena *arena, const athi_data *data, int64_t batch,
                              int64_t steps, const athi_machine *machine, athi_profile *out) {
    timing t = {.model = model, .batch = batch, .steps = steps};
    *out = (athi_profile){.batch = batch, .steps = steps};
    if (machine)
        out->machine = *machine;
    else if (model->backend->measure)
        ATH_TRY(model->backend->measure(model->ctx, model->ctx->threads, &out->machine));
    ATH_TRY(prepare(&t, arena, data));
    run_steps(&t);
    double *room = athi_arena_array(arena, steps, sizeof *room);
    out->n = t.n_units;
    out->units = athi_arena_array(arena, t.n_units, sizeof *out->units);
    if (!room || !out->units) return ATH_E_NOMEM;
    for (int64_t i = 0; i < t.n_units; i++) {
        out->units[i] = (athi_profile_unit){.unit = athi_plan_graph(t.plan)->units[i],
                                            .seconds = median(t.seconds + i, steps, t.n_units, room)};
        set_bound(&out->machine, &out->units[i]);
    }
    out->gather = median(t.seconds + steps * t.n_units, steps, 1, room);
    out->step = median(t.seconds + steps * (t.n_units + 1), steps, 1, room);
    return ATH_OK;
}

/* ---- whole steps --------------------------------------------------------------------------------- */

ath_status athi_time_steps(ath_model *model, athi_arena *arena, const athi_data *data, uint64_t seed, int64_t warm_up,
                           int64_t steps, const volatile int *interrupted, double *seconds) {
    const int64_t n = data->train.n, batch = ATHI_MIN(data->batch, n), batches = n / batch;
    timing t = {.model = model, .batch = batch, .steps = 1};
    ATH_TRY(prepare(&t, arena, data));
    int64_t *order = athi_arena_array(arena, n, sizeof *order);
    double *each = athi_arena_array(arena, 2 * steps, sizeof *each);
    if (!order || !each) return ATH_E_NOMEM;
    athi_epoch_order(seed, 0, n, data->shuffle, order);
    for (int64_t s = -warm_up; s < steps; s++) {
        if (interrupted && *interrupted)
            return athi_fail(model->ctx, ATH_E_INTERRUPTED, "interrupted while steps were timed");
        const int64_t first = (s + warm_up) % batches * batch;
        const athi_batch_key key = {seed, 0, first};
        double begin = athi_now();
        athi_feed_batch(&t.feed, &t.slots, &key, order + first, batch);
        athi_plan_run(t.plan);
        if (s >= 0) each[s] = athi_now() - begin;
    }
    *seconds = median(each, steps, 1, each + steps);
    return ATH_OK;
}
