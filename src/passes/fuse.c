/* Groups nodes into units by the backend's patterns; every other node becomes a unit of its own.
 *
 * Each node has a place in the order of running, at first its number. A group runs at the place of one of its
 * members: the last one after which no value that escapes is read too early, and before which all its inputs are
 * there. Patterns are tried by priority, each over all nodes in program order, so the result is deterministic. */
#include "passes/units.h"

typedef struct fusing {
    athi_graph *graph;
    const athi_backend *backend;
    int *place;          /* by node id: where it runs */
    athi_unit **unit_of; /* by node id: its group, NULL for none */
    athi_node ***users;  /* by node id: the nodes that read an output of it, in program order, NULL-ended */
} fusing;

static bool reads(const athi_node *node, const ath_tensor *t) {
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] == t) return true;
    return false;
}

static bool is_kept(const athi_graph *g, const athi_node *node) {
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i]->node == node) return true;
    return g->loss && g->loss->node == node;
}

static bool is_member(athi_node *const *nodes, int n, const athi_node *node) {
    for (int i = 0; i < n; i++)
        if (nodes[i] == node) return true;
    return false;
}

static ath_status list_users(fusing *f, athi_arena *scratch) {
    athi_graph *g = f->graph;
    int *n = athi_arena_array(scratch, ATHI_MAX(g->n_nodes, 1), sizeof(int));
    f->users = athi_arena_array(scratch, ATHI_MAX(g->n_nodes, 1), sizeof(athi_node **));
    if (!n || !f->users) return ATH_E_NOMEM;
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++) n[g->nodes[i]->in[k]->node->id]++;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        f->users[i] = athi_arena_array(scratch, n[i] + 1, sizeof(athi_node *));
        if (!f->users[i]) return ATH_E_NOMEM;
        n[i] = 0;
    }
    for (int64_t i = 0; i < g->n_nodes; i++) {
        athi_node *node = g->nodes[i];
        for (int k = 0; k < node->n_in; k++) {
            int from = node->in[k]->node->id;
            if (n[from] && f->users[from][n[from] - 1] == node) continue;
            f->users[from][n[from]++] = node;
        }
    }
    return ATH_OK;
}

/* The chain that starts at `first`, or false. */
static bool match_chain(const fusing *f, const athi_pattern *p, athi_node *first, athi_node **nodes) {
    if (first->op != p->ops[0] || f->unit_of[first->id]) return false;
    nodes[0] = first;
    for (int i = 1; i < p->n_ops; i++) {
        nodes[i] = NULL;
        for (athi_node **u = f->users[nodes[i - 1]->id]; *u && !nodes[i]; u++)
            if ((*u)->op == p->ops[i] && !f->unit_of[(*u)->id] && reads(*u, &nodes[i - 1]->out[0])) nodes[i] = *u;
        if (!nodes[i]) return false;
    }
    for (int i = 0; i < p->n_ops - 1; i++) { /* first outputs that may not escape must not */
        if (p->escapes >> i & 1u) continue;
        if (is_kept(f->graph, nodes[i])) return false;
        for (athi_node **u = f->users[nodes[i]->id]; *u; u++)
            if (!is_member(nodes, p->n_ops, *u) && reads(*u, &nodes[i]->out[0])) return false;
    }
    return !p->guard || p->guard(nodes);
}

/* An effect between the members that changes what one of them reads forbids to move them over it; members that are
 * effects themselves keep their order among all effects. */
static bool crosses_effect(const fusing *f, athi_node *const *nodes, int n) {
    bool member_effect = false;
    for (int i = 0; i < n; i++) member_effect |= athi_op_has_effect(nodes[i]->op);
    for (int id = nodes[0]->id + 1; id < nodes[n - 1]->id; id++) {
        const athi_node *e = f->graph->nodes[id];
        if (!athi_op_has_effect(e->op) || is_member(nodes, n, e)) continue;
        if (member_effect || e->op == ATHI_OP_UPDATE || e->op == ATHI_OP_CLIP_GRADIENTS) return true;
        for (int i = 0; i < n; i++)
            if (e->n_in && reads(nodes[i], e->in[0])) return true;
    }
    return false;
}

/* The place at which the group can run, or -1. */
static int find_place(const fusing *f, athi_node *const *nodes, int n) {
    int after = -1, before = INT32_MAX;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < nodes[i]->n_in; k++) {
            const athi_node *from = nodes[i]->in[k]->node;
            if (is_member(nodes, n, from) || athi_op_is_source(from->op)) continue;
            after = ATHI_MAX(after, f->place[from->id]);
        }
        for (athi_node **u = f->users[nodes[i]->id]; *u; u++)
            if (!is_member(nodes, n, *u)) before = ATHI_MIN(before, f->place[(*u)->id]);
    }
    for (int i = n - 1; i >= 0; i--)
        if (nodes[i]->id > after && nodes[i]->id < before) return nodes[i]->id;
    return -1;
}

static bool some_kernel_accepts(const athi_unit *unit, const athi_kernel *kernels) {
    char why[ATHI_WHY_MAX] = "";
    for (const athi_kernel *k = kernels; k && k->name; k++)
        if (k->accepts(unit, why)) return true;
    return false;
}

static ath_status form_groups(fusing *f, const athi_pattern *p) {
    athi_node *nodes[ATHI_PATTERN_MAX];
    for (int64_t i = 0; i < f->graph->n_nodes; i++) {
        if (!match_chain(f, p, f->graph->nodes[i], nodes) || crosses_effect(f, nodes, p->n_ops)) continue;
        int place = find_place(f, nodes, p->n_ops);
        if (place < 0) continue;
        athi_unit *unit = athi_unit_create(f->graph, p, nodes, p->n_ops);
        if (!unit) return ATH_E_NOMEM;
        if (!some_kernel_accepts(unit, p->kernels)) continue;
        for (int m = 0; m < p->n_ops; m++) {
            f->unit_of[nodes[m]->id] = unit;
            f->place[nodes[m]->id] = place;
        }
    }
    return ATH_OK;
}

/* Units by place: a group stands where the member of that number stood. */
static ath_status order_units(fusing *f) {
    athi_graph *g = f->graph;
    g->units = athi_arena_array(g->arena, ATHI_MAX(g->n_nodes, 1), sizeof(athi_unit *));
    if (!g->units) return ATH_E_NOMEM;
    g->n_units = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        athi_node *node = g->nodes[i];
        if (athi_op_is_source(node->op)) continue;
        athi_unit *unit = f->unit_of[i];
        if (!unit) {
            unit = athi_unit_create(g, NULL, &node, 1);
            if (!unit) return ATH_E_NOMEM;
        } else if (f->place[i] != i) {
            continue;
        }
        g->units[g->n_units++] = unit;
    }
    for (int64_t u = 0; u < g->n_units; u++)
        for (int m = 0; m < g->units[u]->n_nodes; m++) g->units[u]->nodes[m]->unit = g->units[u];
    return ATH_OK;
}

static ath_status fuse(fusing *f, athi_arena *scratch) {
    int64_t n = ATHI_MAX(f->graph->n_nodes, 1);
    f->place = athi_arena_array(scratch, n, sizeof(int));
    f->unit_of = athi_arena_array(scratch, n, sizeof(athi_unit *));
    if (!f->place || !f->unit_of) return ATH_E_NOMEM;
    for (int64_t i = 0; i < f->graph->n_nodes; i++) f->place[i] = (int)i;
    ATH_TRY(list_users(f, scratch));
    for (const athi_pattern *p = f->backend->patterns; p && p->name; p++) ATH_TRY(form_groups(f, p));
    ATH_TRY(order_units(f));
    return athi_renumber(f->graph);
}

ath_status athi_pass_fuse(athi_graph *graph, const athi_backend *backend) {
    ATH_TRY(athi_graph_verify(graph, ATHI_INV_TYPED));
    athi_arena *scratch = athi_arena_create(graph->ctx);
    if (!scratch) return ATH_E_NOMEM;
    fusing f = {.graph = graph, .backend = backend};
    ath_status status = fuse(&f, scratch);
    athi_arena_destroy(scratch);
    if (status != ATH_OK) return status;
    graph->invariants |= ATHI_INV_TYPED | ATHI_INV_GROUPED;
    return athi_graph_verify(graph, graph->invariants);
}
