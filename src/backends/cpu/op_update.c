/* The optimiser's step: one call over all trainable variables where weights, gradients and slots lie alike.
 *
 *   block   | dense/kernel | dense/bias |pad| ...      train's layout puts every slot's region in the same order,
 *   slot s  | dense/kernel | dense/bias |pad| ...      so variables and the pads between them form runs; a pad's
 *   grads   | dense/kernel | dense/bias | 0 | ...      gradient is zero, and its weight stays zero.
 */
#include "athanor/optimizers.h"
#include "backends/cpu/cpu.h"
#include "base/options.h"
#include "graph/optimizer_math.h"

#include <stdio.h>

enum { SLOTS = 3 };

/* ---- the optimisers ------------------------------------------------------------------------------ */

/* By kernel: its slots in order, what prepares a step's numbers, and whether each variable is a call of its own:
 * norms are taken over a variable, and ftrl divides by the accumulator, which is zero in a pad. */
/* clang-format off */
static const struct {
    const char *slots[SLOTS]; void (*prepare)(const athi_opt_hyper *o, int64_t step, float *h); bool alone;
} steps[ATHI_STEP_COUNT] = {
    [ATHI_STEP_SGD]                       = {{NULL}, .prepare = athi_sgd_prepare},
    [ATHI_STEP_SGD_MOMENTUM]              = {{"momentum"}, .prepare = athi_sgd_prepare},
    [ATHI_STEP_SGD_NESTEROV]              = {{"momentum"}, .prepare = athi_sgd_prepare},
    [ATHI_STEP_RMSPROP]                   = {{"velocity"}, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_MOMENTUM]          = {{"velocity", "momentum"}, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_CENTERED]          = {{"velocity", "average_gradient"}, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_CENTERED_MOMENTUM] = {{"velocity", "average_gradient", "momentum"}, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_ADAM]                      = {{"momentum", "velocity"}, .prepare = athi_adam_prepare},
    [ATHI_STEP_AMSGRAD]                   = {{"momentum", "velocity", "velocity_hat"}, .prepare = athi_adam_prepare},
    [ATHI_STEP_NADAM]                     = {{"momentum", "velocity"}, .prepare = athi_nadam_prepare},
    [ATHI_STEP_ADAMAX]                    = {{"momentum", "norm"}, .prepare = athi_adamax_prepare},
    [ATHI_STEP_ADAGRAD]                   = {{"accumulator"}, .prepare = athi_adagrad_prepare},
    [ATHI_STEP_ADADELTA]                  = {{"accumulated_grad", "accumulated_delta_var"}, .prepare = athi_adadelta_prepare},
    [ATHI_STEP_FTRL]                      = {{"accumulator", "linear"}, .prepare = athi_ftrl_prepare, .alone = true},
    [ATHI_STEP_FTRL_ANY_POWER]            = {{"accumulator", "linear"}, .prepare = athi_ftrl_prepare, .alone = true},
    [ATHI_STEP_LION]                      = {{"momentum"}, .prepare = athi_lion_prepare},
    [ATHI_STEP_LAMB]                      = {{"momentum", "velocity"}, .prepare = athi_lamb_prepare, .alone = true},
    [ATHI_STEP_LARS]                      = {{"momentum"}, .prepare = athi_lars_prepare, .alone = true},
};
/* clang-format on */

/* By row: its options as hyperparameters, and the kernel that they ask for. */
static athi_step sgd(const void *opts, athi_opt_hyper *h) {
    const ath_sgd_opts *o = opts;
    h->momentum = o->momentum;
    return !(o->momentum > 0) ? ATHI_STEP_SGD : o->nesterov ? ATHI_STEP_SGD_NESTEROV : ATHI_STEP_SGD_MOMENTUM;
}
static athi_step rmsprop(const void *opts, athi_opt_hyper *h) {
    const ath_rmsprop_opts *o = opts;
    h->rho = o->rho, h->momentum = o->momentum, h->epsilon = o->epsilon;
    if (o->centered) return o->momentum > 0 ? ATHI_STEP_RMSPROP_CENTERED_MOMENTUM : ATHI_STEP_RMSPROP_CENTERED;
    return o->momentum > 0 ? ATHI_STEP_RMSPROP_MOMENTUM : ATHI_STEP_RMSPROP;
}
static athi_step adam(const void *opts, athi_opt_hyper *h) {
    const ath_adam_opts *o = opts;
    h->beta_1 = o->beta_1, h->beta_2 = o->beta_2, h->epsilon = o->epsilon;
    return o->amsgrad ? ATHI_STEP_AMSGRAD : ATHI_STEP_ADAM;
}
static athi_step moments(const ath_nadam_opts *o, athi_opt_hyper *h, athi_step step) {
    h->beta_1 = o->beta_1, h->beta_2 = o->beta_2, h->epsilon = o->epsilon;
    return step;
}
static athi_step nadam(const void *opts, athi_opt_hyper *h) { return moments(opts, h, ATHI_STEP_NADAM); }
static athi_step adamax(const void *opts, athi_opt_hyper *h) { return moments(opts, h, ATHI_STEP_ADAMAX); }
static athi_step lamb(const void *opts, athi_opt_hyper *h) { return moments(opts, h, ATHI_STEP_LAMB); }
static athi_step lars(const void *opts, athi_opt_hyper *h) {
    const ath_lars_opts *o = opts;
    h->momentum = o->momentum, h->eeta = o->eeta, h->epsilon = o->epsilon, h->nesterov = o->nesterov;
    return ATHI_STEP_LARS;
}
static athi_step adagrad(const void *opts, athi_opt_hyper *h) {
    h->epsilon = ((const ath_adagrad_opts *)opts)->epsilon;
    return ATHI_STEP_ADAGRAD;
}
static athi_step adadelta(const void *opts, athi_opt_hyper *h) {
    const ath_adadelta_opts *o = opts;
    h->rho = o->rho, h->epsilon = o->epsilon;
    return ATHI_STEP_ADADELTA;
}
static athi_step ftrl(const void *opts, athi_opt_hyper *h) {
    const ath_ftrl_opts *o = opts;
    h->learning_rate_power = o->learning_rate_power, h->beta = o->beta;
    h->l1 = o->l1_regularization_strength, h->l2 = o->l2_regularization_strength;
    h->l2_shrinkage = o->l2_shrinkage_regularization_strength;
    return o->learning_rate_power == -0.5 ? ATHI_STEP_FTRL : ATHI_STEP_FTRL_ANY_POWER;
}
static athi_step lion(const void *opts, athi_opt_hyper *h) {
    const ath_lion_opts *o = opts;
    h->beta_1 = o->beta_1, h->beta_2 = o->beta_2;
    return ATHI_STEP_LION;
}

typedef struct optimizer {
    const char *name;
    athi_step (*read)(const void *opts, athi_opt_hyper *h);
} optimizer;
static const optimizer optimizers[] = {
    {"sgd", sgd},     {"rmsprop", rmsprop}, {"adam", adam},       {"adamw", adam},
    {"nadam", nadam}, {"adamax", adamax},   {"adagrad", adagrad}, {"adadelta", adadelta},
    {"ftrl", ftrl},   {"lion", lion},       {"lamb", lamb},       {"lars", lars},
};

static const optimizer *find_optimizer(const athi_node *node) {
    for (int i = 0; i < ATHI_COUNT(optimizers); i++)
        if (strcmp(optimizers[i].name, node->attr.update.row->name) == 0) return &optimizers[i];
    return NULL;
}

/* ---- variables and runs -------------------------------------------------------------------------- */

/* A variable with its slots, and when bound the run that it begins: n elements up to the end of the last variable
 * that lies behind it in the same way; 0 when it belongs to the run of one before. */
typedef struct part {
    const athi_variable *v, *slots[SLOTS];
    int64_t n;
} part;

typedef struct update_state {
    athi_cpu_base base;
    const optimizer *optimizer;
    athi_step step;
    int n_slots;
    part *parts;
    int64_t n_parts;
} update_state;

static int64_t bytes_of(const athi_variable *v) { return athi_shape_count(v->shape) * athi_dtype_size(v->dtype); }
static int64_t end_of(const athi_variable *v) { return v->offset + bytes_of(v); }

/* Does `b` lie behind `a` with nothing but a pad between, in the weights and in all slots? */
static bool follows(const update_state *s, const part *a, const part *b) {
    const int64_t distance = b->v->offset - a->v->offset, gap = b->v->offset - end_of(a->v);
    if (gap < 0 || gap >= ATHI_ALIGN) return false;
    for (int k = 0; k < s->n_slots; k++)
        if (b->slots[k]->offset - a->slots[k]->offset != distance) return false;
    return true;
}

static void bind_update(athi_call *call) {
    update_state *s = call->state;
    part *run = NULL;
    for (int64_t i = 0; i < s->n_parts; i++) {
        part *p = &s->parts[i];
        p->n = 0;
        if (!run || steps[s->step].alone || !follows(s, p - 1, p)) {
            run = p;
        } else {
            const int64_t end = end_of(p[-1].v);
            memset(call->spaces->grads + (end - call->spaces->trainable_offset), 0, (size_t)(p->v->offset - end));
        }
        run->n = (end_of(p->v) - run->v->offset) / (int64_t)sizeof(float);
    }
}

static float *floats(const athi_call *call, const athi_variable *v) {
    return (float *)(void *)(call->spaces->block + v->offset);
}

static void run_update(const athi_call *call) {
    const update_state *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    const int64_t *counters = call->in[1]; /* {seed, updates made} */
    const ath_optimizer_opts *common = node->attr.update.opts;
    athi_opt_hyper hyper = {.learning_rate = (double)*(const float *)call->in[0],
                            .weight_decay = common->weight_decay,
                            .gradient_scale = 1};
    float h[ATHI_OPT_SCALARS];
    s->optimizer->read(common, &hyper);
    steps[s->step].prepare(&hyper, counters[1] + 1, h);
    for (int64_t i = 0; i < s->n_parts; i++) {
        const part *p = &s->parts[i];
        if (!p->n) continue;
        float *slots[SLOTS] = {NULL};
        for (int k = 0; k < s->n_slots; k++) slots[k] = floats(call, p->slots[k]);
        const char *g = call->spaces->grads + (p->v->offset - call->spaces->trainable_offset);
        s->base.k->step[s->step](s->base.threads, p->n, floats(call, p->v), (const float *)(const void *)g, slots, h);
    }
}

static const athi_variable *find_variable(const athi_graph *graph, const char *name) {
    for (int64_t i = 0; i < graph->n_variables; i++)
        if (strcmp(graph->variables[i]->name, name) == 0) return graph->variables[i];
    return NULL;
}

static ath_status find_slots(athi_make *m, const athi_graph *graph, update_state *s, part *p) {
    for (int k = 0; k < s->n_slots; k++) {
        const char *name = athi_arena_printf(m->arena, "optimizer/%s/%s", steps[s->step].slots[k], p->v->name);
        if (!name) return ATH_E_NOMEM;
        p->slots[k] = find_variable(graph, name);
        if (!p->slots[k])
            return athi_fail(m->ctx, ATH_E_STATE, "update: %s expects a variable '%s', and there is none",
                             s->optimizer->name, name);
    }
    return ATH_OK;
}

static ath_status make_update(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    const athi_graph *graph = node->in[0]->graph;
    update_state *s = athi_cpu_state(m, call, sizeof *s, run_update);
    if (!s) return ATH_E_NOMEM;
    s->optimizer = find_optimizer(node);
    s->step = s->optimizer->read(node->attr.update.opts, &(athi_opt_hyper){.learning_rate = 1});
    while (s->n_slots < SLOTS && steps[s->step].slots[s->n_slots]) s->n_slots++;
    s->parts = athi_arena_array(m->arena, ATHI_MAX(graph->n_variables, 1), sizeof *s->parts);
    if (!s->parts) return ATH_E_NOMEM;
    for (int64_t i = 0; i < graph->n_variables; i++) {
        if (graph->variables[i]->role != ATHI_TRAINABLE) continue;
        part *p = &s->parts[s->n_parts++];
        p->v = graph->variables[i];
        ATH_TRY(find_slots(m, graph, s, p));
    }
    call->bind = bind_update;
    return ATH_OK;
}

static bool accepts_update(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    const athi_graph *graph = node->in[0]->graph;
    if (!find_optimizer(node)) return athi_cpu_no(why, "knows no %s", node->attr.update.row->name);
    if (node->in[0]->dtype != ATH_F32) return athi_cpu_no(why, "the learning rate is not f32");
    for (int64_t i = 0; i < graph->n_variables; i++)
        if (graph->variables[i]->role <= ATHI_SLOT && graph->variables[i]->dtype != ATH_F32)
            return athi_cpu_no(why, "'%.60s' is not f32", graph->variables[i]->name);
    return athi_cpu_yes(why, "one pass over weights, gradients and slots");
}

const athi_kernel athi_cpu_update[] = {{"own:update", accepts_update, make_update, ATHI_LAYOUT_PLAIN}, {0}};
