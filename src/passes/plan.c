/* Lays all values of a program out in one slab and makes the kernel calls.
 *
 *   slab:  | input slots | values and scratch, packed by when they live |     every start a multiple of 64 bytes
 *
 * A buffer is what one or several values share: views (reshape) share their input's, elementwise results take over
 * the buffer of an input that dies. A gradient whose value is read by nobody later is computed right where the
 * optimiser reads it. Buffers are placed largest first into the smallest gap that fits among those that live at the
 * same time. All of it depends on the graph alone, so a plan is deterministic and its peak is known before it runs. */
#include "passes/plan.h"

#include <stdlib.h>

typedef struct buffer buffer;
struct buffer {
    buffer *merged; /* the one that it became part of */
    athi_memory space;
    const athi_variable *variable;
    int64_t bytes, offset;
    int first, last; /* units */
    bool fixed;      /* an input slot */
    int index;
};

typedef struct planning {
    athi_plan *plan;
    athi_graph *graph;
    athi_arena *scratch;
    buffer **buffers;
    int64_t n_buffers, cap_buffers;
    buffer **scratches; /* by unit */
    bool *skipped;      /* by unit: no call is needed */
} planning;

static const int FOREVER = INT32_MAX;

static buffer *root(buffer *b) {
    while (b->merged) b = b->merged;
    return b;
}

static buffer *buffer_of(const ath_tensor *t) { return root(t->mark); }

static buffer *buffer_new(planning *p, athi_memory space, int64_t bytes, int first) {
    buffer *b = athi_arena_alloc(p->scratch, sizeof *b);
    if (!b || ATHI_GROW(p->graph->ctx, p->buffers, p->n_buffers, p->cap_buffers) != ATH_OK) return NULL;
    *b = (buffer){.space = space, .bytes = bytes, .first = first, .last = first, .index = (int)p->n_buffers};
    p->buffers[p->n_buffers++] = b;
    return b;
}

/* Sources: slots of the slab, the block, the constants. */
static ath_status place_sources(planning *p) {
    for (int64_t i = 0; i < p->graph->n_nodes; i++) {
        athi_node *node = p->graph->nodes[i];
        if (!athi_op_is_source(node->op)) continue;
        ath_tensor *t = &node->out[0];
        athi_memory space = node->op == ATHI_OP_INPUT      ? ATHI_SPACE_SLAB
                            : node->op == ATHI_OP_VARIABLE ? ATHI_SPACE_BLOCK
                                                           : ATHI_SPACE_CONST;
        buffer *b = buffer_new(p, space, athi_tensor_bytes(t), -1);
        if (!b) return ATH_E_NOMEM;
        b->fixed = true;
        b->last = FOREVER;
        if (node->op == ATHI_OP_VARIABLE) b->variable = node->attr.variable.variable;
        t->mark = b;
        if (node->op == ATHI_OP_INPUT) {
            b->offset = p->plan->slab_bytes;
            p->plan->slab_bytes += athi_aligned(b->bytes);
        } else if (node->op == ATHI_OP_CONSTANT) {
            b->offset = p->plan->constant_bytes;
            p->plan->constant_bytes += athi_aligned(b->bytes);
        }
    }
    return ATH_OK;
}

static ath_status make_buffers(planning *p) {
    athi_graph *g = p->graph;
    ATH_TRY(place_sources(p));
    for (int64_t u = 0; u < g->n_units; u++) {
        athi_unit *unit = g->units[u];
        for (int i = 0; i < unit->n_in; i++) {
            buffer *b = buffer_of(unit->in[i]);
            b->last = ATHI_MAX(b->last, (int)u);
        }
        if (athi_unit_is_view(unit)) {
            unit->out[0]->mark = buffer_of(unit->in[0]);
            unit->why = "nothing runs: the same bytes in another shape";
            p->skipped[u] = true;
            continue;
        }
        for (int i = 0; i < unit->n_out; i++) {
            unit->out[i]->mark = buffer_new(p, ATHI_SPACE_SLAB, athi_tensor_bytes(unit->out[i]), (int)u);
            if (!unit->out[i]->mark) return ATH_E_NOMEM;
        }
    }
    for (int i = 0; i < g->n_outputs; i++) buffer_of(g->outputs[i])->last = FOREVER;
    return ATH_OK;
}

/* Ops whose result may overwrite an input of the same shape, element by element. */
static bool is_elementwise(athi_op op) {
    athi_op gradient;
    bool keeps;
    if (athi_op_unary(op, &gradient, &keeps) || op == ATHI_OP_DROPOUT) return true;
    if (op >= ATHI_OP_ADD && op <= ATHI_OP_GREATER_EQUAL) return true;
#define ATH_UNARY(id, ...)                                                                                           \
    if (op == ATHI_OP_##id##_GRAD) return true;
#include "graph/unary.def"
#undef ATH_UNARY
    return false;
}

static void merge_in_place(planning *p, int u) {
    athi_unit *unit = p->graph->units[u];
    if (unit->n_nodes != 1 || !is_elementwise(unit->nodes[0]->op)) return;
    ath_tensor *y = unit->out[0];
    buffer *b = buffer_of(y);
    int n = unit->nodes[0]->op == ATHI_OP_DROPOUT ? 1 : unit->n_in;
    for (int i = 0; i < n; i++) {
        const ath_tensor *x = unit->in[i];
        buffer *a = buffer_of(x);
        bool dies = a->space == ATHI_SPACE_SLAB && !a->fixed && a->last == u;
        if (!dies || a->bytes != b->bytes || x->dtype != y->dtype || x->layout != y->layout ||
            !athi_shape_equal(x->shape, y->shape))
            continue;
        a->last = b->last;
        b->merged = a;
        return;
    }
}

/* A gradient's value, if nobody reads it later and it has its buffer to itself, is computed in its final place. */
static void place_gradient(planning *p, int u) {
    const athi_node *node = p->graph->units[u]->nodes[0];
    if (node->op != ATHI_OP_GRADIENT || p->graph->units[u]->n_nodes != 1) return;
    const athi_variable *v = node->in[0]->node->attr.variable.variable;
    const ath_tensor *t = node->in[1];
    buffer *b = buffer_of(t);
    bool fits = b->bytes == athi_tensor_bytes(node->in[0]) && t->layout == ATHI_PLAIN && t->dtype == v->dtype;
    if (b->space != ATHI_SPACE_SLAB || b->fixed || b->last != u || !fits) return;
    b->space = ATHI_SPACE_GRADS;
    b->variable = v;
    p->graph->units[u]->why = "nothing runs: it is computed where it belongs, in the gradient buffer";
    p->skipped[u] = true;
}

static ath_status make_calls(planning *p) {
    athi_plan *plan = p->plan;
    athi_graph *g = p->graph;
    plan->calls = athi_arena_array(plan->arena, ATHI_MAX(g->n_units, 1), sizeof(athi_call));
    plan->unit_of_call = athi_arena_array(plan->arena, ATHI_MAX(g->n_units, 1), sizeof(int64_t));
    if (!plan->calls || !plan->unit_of_call) return ATH_E_NOMEM;
    for (int64_t u = 0; u < g->n_units; u++) {
        athi_unit *unit = g->units[u];
        unit->scratch_bytes = 0;
        if (p->skipped[u]) continue;
        athi_make m = {.ctx = plan->ctx, .arena = plan->arena, .threads = plan->threads};
        athi_call *call = &plan->calls[plan->n_calls];
        call->unit = unit;
        call->spaces = &plan->spaces;
        ATH_TRY(unit->kernel->make(&m, unit, call));
        plan->unit_of_call[plan->n_calls++] = u;
        if (m.scratch_bytes <= 0) continue;
        unit->scratch_bytes = m.scratch_bytes;
        p->scratches[u] = buffer_new(p, ATHI_SPACE_SLAB, m.scratch_bytes, (int)u);
        if (!p->scratches[u]) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

static int by_size(const void *a, const void *b) {
    const buffer *x = *(buffer *const *)a, *y = *(buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* The smallest gap that fits among the placed buffers that live at the same time; `placed` is sorted by offset. */
static int64_t best_offset(buffer *const *placed, int64_t n, const buffer *b, int64_t start) {
    int64_t size = athi_aligned(b->bytes), cursor = start, best = -1, best_gap = INT64_MAX;
    for (int64_t i = 0; i < n; i++) {
        const buffer *c = placed[i];
        if (c->last < b->first || b->last < c->first) continue;
        int64_t gap = c->offset - cursor;
        if (gap >= size && gap < best_gap) {
            best = cursor;
            best_gap = gap;
        }
        cursor = ATHI_MAX(cursor, c->offset + athi_aligned(c->bytes));
    }
    return best >= 0 ? best : cursor;
}

static ath_status pack(planning *p) {
    int64_t start = p->plan->slab_bytes, n = 0, n_placed = 0;
    buffer **order = athi_arena_array(p->scratch, ATHI_MAX(p->n_buffers, 1), sizeof(buffer *));
    buffer **placed = athi_arena_array(p->scratch, ATHI_MAX(p->n_buffers, 1), sizeof(buffer *));
    if (!order || !placed) return ATH_E_NOMEM;
    for (int64_t i = 0; i < p->n_buffers; i++) {
        buffer *b = p->buffers[i];
        if (!b->merged && b->space == ATHI_SPACE_SLAB && !b->fixed) order[n++] = b;
    }
    if (n) qsort(order, (size_t)n, sizeof(buffer *), by_size);
    for (int64_t i = 0; i < n; i++) {
        buffer *b = order[i];
        b->offset = best_offset(placed, n_placed, b, start);
        int64_t at = n_placed++;
        for (; at > 0 && placed[at - 1]->offset > b->offset; at--) placed[at] = placed[at - 1];
        placed[at] = b;
        p->plan->slab_bytes = ATHI_MAX(p->plan->slab_bytes, b->offset + athi_aligned(b->bytes));
    }
    return ATH_OK;
}

static athi_place place_of(const ath_tensor *t) {
    const buffer *b = buffer_of(t);
    return (athi_place){b->space, b->offset, b->variable};
}

static ath_status record_places(planning *p) {
    athi_plan *plan = p->plan;
    plan->in_places = athi_arena_array(plan->arena, ATHI_MAX(plan->n_calls, 1), sizeof(athi_place *));
    plan->out_places = athi_arena_array(plan->arena, ATHI_MAX(plan->n_calls, 1), sizeof(athi_place *));
    if (!plan->in_places || !plan->out_places) return ATH_E_NOMEM;
    for (int64_t c = 0; c < plan->n_calls; c++) {
        athi_call *call = &plan->calls[c];
        const athi_unit *unit = call->unit;
        plan->in_places[c] = athi_arena_array(plan->arena, ATHI_MAX(unit->n_in, 1), sizeof(athi_place));
        plan->out_places[c] = athi_arena_array(plan->arena, ATHI_MAX(unit->n_out, 1), sizeof(athi_place));
        call->in = athi_arena_array(plan->arena, ATHI_MAX(unit->n_in, 1), sizeof(void *));
        call->out = athi_arena_array(plan->arena, ATHI_MAX(unit->n_out, 1), sizeof(void *));
        if (!plan->in_places[c] || !plan->out_places[c] || !call->in || !call->out) return ATH_E_NOMEM;
        for (int i = 0; i < unit->n_in; i++) plan->in_places[c][i] = place_of(unit->in[i]);
        for (int i = 0; i < unit->n_out; i++) plan->out_places[c][i] = place_of(unit->out[i]);
    }
    for (int64_t u = 0; u < p->graph->n_units; u++)
        p->graph->units[u]->scratch_offset = p->scratches[u] ? p->scratches[u]->offset : 0;
    return ATH_OK;
}

/* Spaces and offsets onto the values; members' results inside a group have none. */
static void mark_values(planning *p) {
    for (int64_t i = 0; i < p->graph->n_nodes; i++) {
        athi_node *node = p->graph->nodes[i];
        for (int k = 0; k < node->n_out; k++) {
            ath_tensor *t = &node->out[k];
            if (!t->mark) continue;
            athi_place at = place_of(t);
            t->space = at.space;
            t->offset = at.offset;
            if (at.variable) t->offset = at.variable->offset;
        }
    }
}

static void clear_marks(athi_graph *g) {
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            g->nodes[i]->out[k].mark = NULL;
            g->nodes[i]->out[k].space = ATHI_SPACE_NONE;
        }
}

static ath_status run_planning(planning *p) {
    athi_graph *g = p->graph;
    p->scratches = athi_arena_array(p->scratch, ATHI_MAX(g->n_units, 1), sizeof(buffer *));
    p->skipped = athi_arena_array(p->scratch, ATHI_MAX(g->n_units, 1), sizeof(bool));
    if (!p->scratches || !p->skipped) return ATH_E_NOMEM;
    clear_marks(g);
    ATH_TRY(make_buffers(p));
    for (int64_t u = 0; u < g->n_units; u++) merge_in_place(p, (int)u);
    for (int64_t u = 0; u < g->n_units; u++) place_gradient(p, (int)u);
    ATH_TRY(make_calls(p));
    ATH_TRY(pack(p));
    ATH_TRY(record_places(p));
    mark_values(p);
    return athi_plan_fill_constants(p->plan);
}

ath_status athi_pass_plan(athi_graph *graph, const athi_backend *backend, int threads, athi_plan **out) {
    ATH_TRY(athi_graph_verify(graph, ATHI_INV_TYPED | ATHI_INV_GROUPED | ATHI_INV_PLACED));
    athi_arena *arena = athi_arena_create(graph->ctx), *scratch = athi_arena_create(graph->ctx);
    athi_plan *plan = arena && scratch ? athi_arena_alloc(arena, sizeof *plan) : NULL;
    if (!plan) {
        athi_arena_destroy(arena);
        athi_arena_destroy(scratch);
        return ATH_E_NOMEM;
    }
    *plan = (athi_plan){
        .ctx = graph->ctx, .arena = arena, .graph = graph, .backend = backend, .threads = ATHI_MAX(threads, 1)};
    planning p = {.plan = plan, .graph = graph, .scratch = scratch};
    ath_status status = run_planning(&p);
    for (int64_t i = 0; i < graph->n_nodes; i++) /* the buffers go */
        for (int k = 0; k < graph->nodes[i]->n_out; k++) graph->nodes[i]->out[k].mark = NULL;
    athi_free(graph->ctx, p.buffers);
    athi_arena_destroy(scratch);
    if (status == ATH_OK) {
        graph->invariants |= ATHI_INV_PLANNED;
        status = athi_graph_verify(graph, graph->invariants);
    }
    if (status == ATH_OK)
        *out = plan;
    else
        athi_plan_destroy(plan);
    return status;
}
