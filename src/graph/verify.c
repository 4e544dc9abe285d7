/* The specification of a graph, as a check: structure always, and each invariant that is claimed. It recomputes what
 * it checks and shares no code with the passes. Sentences name the node by number, op and layer. */
#include "graph/backend.h"

typedef struct checking {
    const athi_graph *g;
    const athi_node *node; /* the one looked at */
} checking;

#define BAD(c, ...) bad((c), __VA_ARGS__)
static ath_status bad(const checking *c, const char *fmt, ...) ATHI_PRINTF(2, 3);

static ath_status bad(const checking *c, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    athi_failv(c->g->ctx, ATH_E_FAILED, fmt, args);
    va_end(args);
    if (!c->node) return athi_fail_prefix(c->g->ctx, ATH_E_FAILED, "graph");
    return athi_fail_prefix(c->g->ctx, ATH_E_FAILED, "node %%%d %s '%s'", c->node->id, athi_op_name(c->node->op),
                            c->node->layer);
}

static bool holds(const athi_graph *g, const ath_tensor *t) {
    if (!t || !t->node || t->graph != g || t->node->id < 0 || t->node->id >= g->n_nodes) return false;
    return g->nodes[t->node->id] == t->node && t->index >= 0 && t->index < t->node->n_out &&
           t == &t->node->out[t->index];
}

static ath_status check_structure(checking *c) {
    for (int64_t i = 0; i < c->g->n_nodes; i++) {
        const athi_node *node = c->node = c->g->nodes[i];
        const athi_op_info *info = &athi_op_table[node->op];
        if (node->id != i) return BAD(c, "it stands at place %lld", (long long)i);
        if (node->n_in < info->min_in || node->n_in > info->max_in || node->n_out != info->n_out)
            return BAD(c, "%d inputs and %d outputs, expected %d to %d and %d", node->n_in, node->n_out, info->min_in,
                       info->max_in, info->n_out);
        for (int k = 0; k < node->n_in; k++) {
            if (!holds(c->g, node->in[k])) return BAD(c, "input %d is no value of this graph", k);
            if (node->in[k]->node->id >= i)
                return BAD(c, "input %d is computed later, by %%%d", k, node->in[k]->node->id);
        }
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k].node != node || node->out[k].index != k || node->out[k].graph != c->g)
                return BAD(c, "output %d does not point back", k);
    }
    c->node = NULL;
    for (int i = 0; i < c->g->n_outputs; i++)
        if (!holds(c->g, c->g->outputs[i])) return BAD(c, "output %d is no value of this graph", i);
    if (c->g->loss && !holds(c->g, c->g->loss)) return BAD(c, "the loss is no value of this graph");
    return ATH_OK;
}

/* bf16 stands only where the op's row lets it, and not beside another floating type. */
static ath_status check_types(checking *c, const athi_node *node) {
    const int computes = athi_op_table[node->op].compute;
    bool low = false, wide = false;
    for (int k = 0; k < node->n_in && computes != ATHI_COMPUTE_ANY; k++) {
        const ath_dtype t = node->in[k]->dtype;
        if (k < computes)
            low |= t == ATH_BF16, wide |= t == ATH_F32 || t == ATH_F64;
        else if (t == ATH_BF16)
            return BAD(c, "input %d is bf16", k);
    }
    return low && wide ? BAD(c, "its inputs are of different types") : ATH_OK;
}

static ath_status check_typed(checking *c) {
    char text[96];
    for (int64_t i = 0; i < c->g->n_nodes; i++) {
        const athi_node *node = c->node = c->g->nodes[i];
        ATH_TRY(check_types(c, node));
        for (int k = 0; k < node->n_out; k++) {
            const ath_tensor *t = &node->out[k];
            for (int d = 0; d < t->shape.rank; d++) {
                if (t->shape.dim[d] >= 1) continue;
                if (node->op == ATHI_OP_INPUT)
                    return athi_fail(c->g->ctx, ATH_E_SHAPE,
                                     "input '%s': its shape %s is not fully known; give the shape of slot %d",
                                     node->attr.input.name, athi_shape_str(t->shape, text), node->attr.input.slot);
                return BAD(c, "output %d has the shape %s, which is not fully known", k,
                           athi_shape_str(t->shape, text));
            }
            if (athi_shape_count(t->shape) < 0) return BAD(c, "output %d has too many elements", k);
        }
    }
    return ATH_OK;
}

static ath_status check_gradients(checking *c) {
    for (int64_t i = 0; i < c->g->n_variables; i++) {
        const athi_variable *v = c->g->variables[i];
        if (v->role != ATHI_TRAINABLE) continue;
        int n = 0;
        for (int64_t k = 0; k < c->g->n_nodes; k++) {
            const athi_node *node = c->g->nodes[k];
            n += node->op == ATHI_OP_GRADIENT && node->in[0]->node->attr.variable.variable == v;
        }
        c->node = NULL;
        if (n != 1) return BAD(c, "variable '%s' has %d gradients, expected 1", v->name, n);
    }
    return ATH_OK;
}

/* Every node but the sources stands in one unit; the units' nodes in order are the program; nothing is read from a
 * unit that comes later. Since the nodes are in topological order, it suffices that the two orders agree. */
static ath_status check_grouped(checking *c) {
    int64_t at = 0;
    while (at < c->g->n_nodes && athi_op_is_source(c->g->nodes[at]->op)) at++;
    for (int64_t u = 0; u < c->g->n_units; u++) {
        const athi_unit *unit = c->g->units[u];
        for (int m = 0; m < unit->n_nodes; m++, at++) {
            c->node = unit->nodes[m];
            if (at >= c->g->n_nodes || c->g->nodes[at] != unit->nodes[m])
                return BAD(c, "unit %lld runs it out of the order of the program", (long long)u);
            if (unit->nodes[m]->unit != unit) return BAD(c, "it does not know its unit");
        }
    }
    c->node = at < c->g->n_nodes ? c->g->nodes[at] : NULL;
    return at == c->g->n_nodes ? ATH_OK : BAD(c, "it belongs to no unit");
}

static ath_status check_layout(checking *c, const ath_tensor *t) {
    if (t->layout == ATHI_PLAIN) return ATH_OK;
    if (t->shape.rank == 4 && t->shape.dim[3] % athi_layout_block(t->layout) == 0) return ATH_OK;
    char text[96];
    return BAD(c, "a value of shape %s cannot lie %s", athi_shape_str(t->shape, text), athi_layout_name(t->layout));
}

static ath_status check_placed(checking *c) {
    for (int64_t u = 0; u < c->g->n_units; u++) {
        const athi_unit *unit = c->g->units[u];
        c->node = unit->nodes[0];
        if (!unit->kernel || !unit->kernel->name) return BAD(c, "its unit has no kernel");
        bool plain = unit->kernel->layouts == ATHI_LAYOUT_PLAIN && c->node->op != ATHI_OP_REORDER;
        for (int i = 0; i < unit->n_in + unit->n_out; i++) {
            const ath_tensor *t = i < unit->n_in ? unit->in[i] : unit->out[i - unit->n_in];
            ATH_TRY(check_layout(c, t));
            if (plain && t->layout != ATHI_PLAIN)
                return BAD(c, "kernel %s takes plain values only, but one lies %s", unit->kernel->name,
                           athi_layout_name(t->layout));
        }
    }
    return ATH_OK;
}

/* ---- the plan: what lies in the slab is followed through the program -------------------------------- */

typedef struct held {
    const ath_tensor *t;
    int64_t begin, end;
} held;

typedef struct slab {
    held *v;
    int64_t n;
} slab;

static int64_t bytes_of(const ath_tensor *t) { return athi_shape_count(t->shape) * athi_dtype_size(t->dtype); }

static void write_range(slab *s, int64_t begin, int64_t end) {
    for (int64_t i = 0; i < s->n;)
        if (s->v[i].begin < end && begin < s->v[i].end)
            s->v[i] = s->v[--s->n];
        else
            i++;
}

static void hold(slab *s, const ath_tensor *t) { s->v[s->n++] = (held){t, t->offset, t->offset + bytes_of(t)}; }

static bool is_held(const slab *s, const ath_tensor *t) {
    for (int64_t i = 0; i < s->n; i++)
        if (s->v[i].t == t) return true;
    return false;
}

static ath_status check_unit_plan(checking *c, const athi_unit *unit, slab *s) {
    for (int i = 0; i < unit->n_in; i++) {
        const ath_tensor *t = unit->in[i];
        if (t->space == ATHI_SPACE_NONE) return BAD(c, "input %d has no place", i);
        if (t->space == ATHI_SPACE_SLAB && !is_held(s, t))
            return BAD(c, "input %d (of %%%d) has been overwritten", i, t->node->id);
    }
    bool view = unit->n_nodes == 1 && c->node->op == ATHI_OP_RESHAPE;
    if (unit->scratch_bytes) {
        int64_t begin = unit->scratch_offset, end = begin + unit->scratch_bytes;
        for (int i = 0; i < unit->n_in + unit->n_out; i++) {
            const ath_tensor *t = i < unit->n_in ? unit->in[i] : unit->out[i - unit->n_in];
            if (t->space == ATHI_SPACE_SLAB && begin < t->offset + bytes_of(t) && t->offset < end)
                return BAD(c, "its scratch overlaps its own values");
        }
        write_range(s, begin, end);
    }
    for (int i = 0; i < unit->n_out; i++) {
        const ath_tensor *t = unit->out[i];
        if (t->space == ATHI_SPACE_NONE || t->offset % ATHI_ALIGN) return BAD(c, "output %d has no place", i);
        if (t->space != ATHI_SPACE_SLAB) continue;
        if (!view) write_range(s, t->offset, t->offset + bytes_of(t));
    }
    for (int i = 0; i < unit->n_out; i++) {
        const ath_tensor *t = unit->out[i];
        for (int k = 0; k < i && !view; k++)
            if (unit->out[k]->space == t->space && t->space == ATHI_SPACE_SLAB &&
                unit->out[k]->offset < t->offset + bytes_of(t) &&
                t->offset < unit->out[k]->offset + bytes_of(unit->out[k]))
                return BAD(c, "two of its outputs overlap");
        if (t->space == ATHI_SPACE_SLAB) hold(s, t);
    }
    return ATH_OK;
}

static ath_status check_planned(checking *c) {
    int64_t most = 1;
    for (int64_t i = 0; i < c->g->n_nodes; i++) most += c->g->nodes[i]->n_out;
    slab s = {.v = athi_alloc_array(c->g->ctx, most, sizeof(held))};
    if (!s.v) return ATH_E_NOMEM;
    ath_status status = ATH_OK;
    for (int64_t i = 0; i < c->g->n_nodes; i++)
        if (c->g->nodes[i]->op == ATHI_OP_INPUT) hold(&s, &c->g->nodes[i]->out[0]);
    for (int64_t u = 0; u < c->g->n_units && status == ATH_OK; u++) {
        c->node = c->g->units[u]->nodes[0];
        status = check_unit_plan(c, c->g->units[u], &s);
    }
    for (int i = 0; i < c->g->n_outputs && status == ATH_OK; i++) {
        c->node = c->g->outputs[i]->node;
        if (c->g->outputs[i]->space == ATHI_SPACE_SLAB && !is_held(&s, c->g->outputs[i]))
            status = BAD(c, "output %d has been overwritten", i);
    }
    athi_free(c->g->ctx, s.v);
    return status;
}

ath_status athi_graph_verify(const athi_graph *graph, unsigned invariants) {
    if (graph->failed != ATH_OK) return athi_fail(graph->ctx, graph->failed, "%s", graph->error);
    static const struct {
        unsigned bit;
        ath_status (*check)(checking *c);
    } checks[] = {{ATHI_INV_TYPED, check_typed},
                  {ATHI_INV_GRADIENTS, check_gradients},
                  {ATHI_INV_GROUPED, check_grouped},
                  {ATHI_INV_PLACED, check_placed},
                  {ATHI_INV_PLANNED, check_planned}};
    checking c = {.g = graph};
    ATH_TRY(check_structure(&c));
    for (int i = 0; i < ATHI_COUNT(checks); i++) {
        c.node = NULL;
        if (invariants & checks[i].bit) ATH_TRY(checks[i].check(&c));
    }
    return ATH_OK;
}
