/* The optimisers' steps, one function of an element each, in the words of Keras 3. What is shared by the
 * elements of a step (learning rate, bias corrections) is computed before. The equations stand in
 * athanor/optimizers.h. */
#include "athanor/optimizers.h"
#include "backends/ref/ref.h"
#include "base/options.h"

#include <math.h>
#include <stdio.h>

enum { SLOTS = 3 };

/* One update: what its elements share. */
typedef struct step {
    const void *opts;
    double lr, t;                   /* t counts from 1 */
    double ratio;                   /* trust ratio of the variable */
    double mu, mu_next, mu_product; /* nadam */
} step;

/* Everything of one variable by element. */
typedef struct cells {
    const athi_variable *v;
    void *w;
    const void *g;
    void *slot[SLOTS];
    int64_t n;
} cells;

typedef struct optimizer {
    const char *name;
    const char *slots[SLOTS];
    unsigned (*uses)(const void *opts); /* bit s: slot s exists; NULL: all named ones */
    /** The new weight; changes the slots. */
    double (*element)(const step *s, double w, double g, double slot[SLOTS]);
    /* What few have, or NULL: what a step computes once, and for each variable (its weights have decayed). */
    void (*begin)(step *s);
    double (*ratio)(const step *s, const cells *c);
    bool own_decay; /* weight_decay means something else to it */
} optimizer;

/* Of every variable its slots, by the optimiser's order. */
typedef struct update_state {
    const optimizer *optimizer;
    const athi_variable *(*slots)[SLOTS]; /* [spaces->n_variables] */
} update_state;

/* a moves towards b: rho a + (1 - rho) b */
static double moved(double rho, double a, double b) { return rho * a + (1 - rho) * b; }

static void load_slots(const cells *c, int64_t i, double slot[SLOTS]) {
    for (int k = 0; k < SLOTS; k++) slot[k] = c->slot[k] ? athi_ref_read(c->slot[k], c->v->dtype, i) : 0;
}

static unsigned sgd_uses(const void *opts) { return ((const ath_sgd_opts *)opts)->momentum > 0; }
static double sgd(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_sgd_opts *o = s->opts;
    if (!sgd_uses(o)) return w - s->lr * g;
    slot[0] = o->momentum * slot[0] - s->lr * g;
    return o->nesterov ? w + o->momentum * slot[0] - s->lr * g : w + slot[0];
}

static unsigned rmsprop_uses(const void *opts) {
    const ath_rmsprop_opts *o = opts;
    return 1u | (o->momentum > 0 ? 2u : 0) | (o->centered ? 4u : 0);
}
static double rmsprop(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_rmsprop_opts *o = s->opts;
    slot[0] = moved(o->rho, slot[0], g * g);
    double variance = slot[0];
    if (o->centered) {
        slot[2] = moved(o->rho, slot[2], g);
        variance -= slot[2] * slot[2];
    }
    const double move = s->lr * g / sqrt(variance + o->epsilon);
    if (!(o->momentum > 0)) return w - move;
    slot[1] = o->momentum * slot[1] + move;
    return w - slot[1];
}

static unsigned adam_uses(const void *opts) { return 3u | (((const ath_adam_opts *)opts)->amsgrad ? 4u : 0); }
static double adam(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_adam_opts *o = s->opts;
    const double lr = s->lr * sqrt(1 - pow(o->beta_2, s->t)) / (1 - pow(o->beta_1, s->t));
    slot[0] = moved(o->beta_1, slot[0], g);
    slot[1] = moved(o->beta_2, slot[1], g * g);
    if (o->amsgrad) slot[2] = fmax(slot[2], slot[1]);
    return w - lr * slot[0] / (sqrt(slot[o->amsgrad ? 2 : 1]) + o->epsilon);
}

/* mu_t = beta_1 (1 - 0.96^t / 2), and their product up to t; below 1e-20 it no longer changes 1 - product. */
static void nadam_schedule(step *s) {
    const ath_nadam_opts *o = s->opts;
    s->mu = o->beta_1 * (1 - 0.5 * pow(0.96, s->t));
    s->mu_next = o->beta_1 * (1 - 0.5 * pow(0.96, s->t + 1));
    s->mu_product = 1;
    for (double i = 1; i <= s->t && s->mu_product > 1e-20; i++)
        s->mu_product *= o->beta_1 * (1 - 0.5 * pow(0.96, i));
}

static double nadam(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_nadam_opts *o = s->opts;
    slot[0] = moved(o->beta_1, slot[0], g);
    slot[1] = moved(o->beta_2, slot[1], g * g);
    const double m =
        s->mu_next * slot[0] / (1 - s->mu_product * s->mu_next) + (1 - s->mu) * g / (1 - s->mu_product);
    const double v = slot[1] / (1 - pow(o->beta_2, s->t));
    return w - s->lr * m / (sqrt(v) + o->epsilon);
}

static double adamax(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_adamax_opts *o = s->opts;
    slot[0] = moved(o->beta_1, slot[0], g);
    slot[1] = fmax(o->beta_2 * slot[1], fabs(g));
    return w - s->lr * slot[0] / ((1 - pow(o->beta_1, s->t)) * (slot[1] + o->epsilon));
}

static double adagrad(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_adagrad_opts *o = s->opts;
    slot[0] += g * g;
    return w - s->lr * g / sqrt(slot[0] + o->epsilon);
}

static double adadelta(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_adadelta_opts *o = s->opts;
    slot[0] = moved(o->rho, slot[0], g * g);
    const double move = -sqrt(slot[1] + o->epsilon) / sqrt(slot[0] + o->epsilon) * g;
    slot[1] = moved(o->rho, slot[1], move * move);
    return w + s->lr * move;
}

static double ftrl(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_ftrl_opts *o = s->opts;
    const double before = pow(slot[0], -o->learning_rate_power);
    slot[0] += g * g;
    const double after = pow(slot[0], -o->learning_rate_power), l1 = o->l1_regularization_strength;
    slot[1] += g + 2 * o->l2_shrinkage_regularization_strength * w - (after - before) / s->lr * w;
    const double quadratic = after / s->lr + 2 * (o->l2_regularization_strength + o->beta / (2 * s->lr));
    return (fmin(fmax(slot[1], -l1), l1) - slot[1]) / quadratic;
}

static double lion(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_lion_opts *o = s->opts;
    const double way = moved(o->beta_1, slot[0], g);
    slot[0] = moved(o->beta_2, slot[0], g);
    return w - s->lr * ((way > 0) - (way < 0));
}

/* lamb's direction, before the trust ratio */
static double lamb_move(const step *s, double g, double slot[SLOTS]) {
    const ath_lamb_opts *o = s->opts;
    slot[0] = moved(o->beta_1, slot[0], g);
    slot[1] = moved(o->beta_2, slot[1], g * g);
    const double m = slot[0] / (1 - pow(o->beta_1, s->t)), v = slot[1] / (1 - pow(o->beta_2, s->t));
    return m / (sqrt(v) + o->epsilon);
}
static double lamb(const step *s, double w, double g, double slot[SLOTS]) {
    return w - s->lr * s->ratio * lamb_move(s, g, slot);
}

/* |w| / |move|, or 1 where one of them is zero. */
static double lamb_ratio(const step *s, const cells *c) {
    double weights = 0, moves = 0, slot[SLOTS];
    for (int64_t i = 0; i < c->n; i++) {
        load_slots(c, i, slot);
        const double w = athi_ref_read(c->w, c->v->dtype, i);
        const double move = lamb_move(s, athi_ref_read(c->g, c->v->dtype, i), slot);
        weights += w * w, moves += move * move;
    }
    return weights > 0 && moves > 0 ? sqrt(weights / moves) : 1;
}

static double lars(const step *s, double w, double g, double slot[SLOTS]) {
    const ath_lars_opts *o = s->opts;
    slot[0] = o->momentum * slot[0] + g;
    return w - s->lr * s->ratio * (o->nesterov ? o->momentum * slot[0] + g : slot[0]);
}
static double lars_ratio(const step *s, const cells *c) {
    const ath_lars_opts *o = s->opts;
    double weights = 0, gradients = 0;
    for (int64_t i = 0; i < c->n; i++) {
        const double w = athi_ref_read(c->w, c->v->dtype, i), g = athi_ref_read(c->g, c->v->dtype, i);
        weights += w * w, gradients += g * g;
    }
    weights = sqrt(weights), gradients = sqrt(gradients);
    if (!(weights > 0 && gradients > 0)) return 1;
    return o->eeta * weights / (gradients + o->weight_decay * weights + o->epsilon);
}

static const optimizer optimizers[] = {
    {"sgd", {"momentum"}, sgd_uses, .element = sgd},
    {"rmsprop", {"velocity", "momentum", "average_gradient"}, rmsprop_uses, .element = rmsprop},
    {"adam", {"momentum", "velocity", "velocity_hat"}, adam_uses, .element = adam},
    {"adamw", {"momentum", "velocity", "velocity_hat"}, adam_uses, .element = adam},
    {"nadam", {"momentum", "velocity"}, NULL, .element = nadam, .begin = nadam_schedule},
    {"adamax", {"momentum", "norm"}, NULL, .element = adamax},
    {"adagrad", {"accumulator"}, NULL, .element = adagrad},
    {"adadelta", {"accumulated_grad", "accumulated_delta_var"}, NULL, .element = adadelta},
    {"ftrl", {"accumulator", "linear"}, NULL, .element = ftrl},
    {"lion", {"momentum"}, NULL, .element = lion},
    {"lamb", {"momentum", "velocity"}, NULL, .element = lamb, .ratio = lamb_ratio},
    {"lars", {"momentum"}, NULL, .element = lars, .ratio = lars_ratio, .own_decay = true},
};

/* ---- one step over all variables ----------------------------------------------------------------- */

static const optimizer *find(const athi_node *node) {
    for (int i = 0; i < ATHI_COUNT(optimizers); i++)
        if (strcmp(optimizers[i].name, node->attr.update.row->name) == 0) return &optimizers[i];
    return NULL;
}

bool athi_ref_update_known(const athi_node *node) { return find(node) != NULL; }

static const athi_variable *find_variable(const athi_graph *graph, const char *name) {
    for (int64_t i = 0; i < graph->n_variables; i++)
        if (strcmp(graph->variables[i]->name, name) == 0) return graph->variables[i];
    return NULL;
}

ath_status athi_ref_update_make(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    const athi_graph *graph = node->in[0]->graph;
    update_state *state = athi_arena_alloc(m->arena, sizeof *state);
    if (!state) return ATH_E_NOMEM;
    state->optimizer = find(node);
    state->slots = athi_arena_array(m->arena, graph->n_variables, sizeof *state->slots);
    if (!state->slots) return ATH_E_NOMEM;
    const optimizer *o = state->optimizer;
    const unsigned uses = o->uses ? o->uses(node->attr.update.opts) : ~0u;
    for (int64_t i = 0; i < graph->n_variables; i++)
        for (int k = 0; k < SLOTS && o->slots[k] && graph->variables[i]->role == ATHI_TRAINABLE; k++) {
            if (!(uses >> k & 1)) continue;
            char name[512];
            snprintf(name, sizeof name, "optimizer/%s/%s", o->slots[k], graph->variables[i]->name);
            state->slots[i][k] = find_variable(graph, name);
            if (!state->slots[i][k])
                return athi_fail(m->ctx, ATH_E_STATE, "update: %s expects a variable '%s', and there is none",
                                 o->name, name);
        }
    call->state = state;
    call->run = athi_ref_update;
    return ATH_OK;
}

static cells cells_of(const athi_call *call, const update_state *state, int64_t i) {
    const athi_variable *v = call->spaces->variables[i];
    cells c = {.v = v, .w = athi_ref_variable_data(call, v), .g = athi_ref_gradient_data(call, v)};
    c.n = athi_shape_count(v->shape);
    for (int k = 0; k < SLOTS; k++)
        c.slot[k] = state->slots[i][k] ? athi_ref_variable_data(call, state->slots[i][k]) : NULL;
    return c;
}

void athi_ref_update(const athi_call *call) {
    const update_state *state = call->state;
    const optimizer *o = state->optimizer;
    const athi_node *node = athi_ref_node(call);
    const int64_t *counters = athi_ref_in(call, 1); /* {seed, updates made} */
    step s = {.opts = node->attr.update.opts, .t = (double)counters[1] + 1};
    s.lr = athi_ref_read(athi_ref_in(call, 0), node->in[0]->dtype, 0);
    const double decay = o->own_decay ? 0 : ((const ath_optimizer_opts *)s.opts)->weight_decay;
    if (o->begin) o->begin(&s);
    for (int64_t v = 0; v < call->spaces->n_variables; v++) {
        if (call->spaces->variables[v]->role != ATHI_TRAINABLE) continue;
        const cells c = cells_of(call, state, v);
        const ath_dtype type = c.v->dtype;
        for (int64_t i = 0; decay != 0 && i < c.n; i++) {
            const double w = athi_ref_read(c.w, type, i);
            athi_ref_write(c.w, type, i, w - s.lr * decay * w);
        }
        if (o->ratio) s.ratio = o->ratio(&s, &c);
        for (int64_t i = 0; i < c.n; i++) {
            double slot[SLOTS];
            load_slots(&c, i, slot);
            const double w = athi_ref_read(c.w, type, i), g = athi_ref_read(c.g, type, i);
            athi_ref_write(c.w, type, i, o->element(&s, w, g, slot));
            for (int k = 0; k < SLOTS; k++)
                if (c.slot[k]) athi_ref_write(c.slot[k], type, i, slot[k]);
        }
    }
}
