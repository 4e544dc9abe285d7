/* Chooses the kernel of every unit and the layout of every image, and inserts reorders where they disagree.
 *
 * Units are taken in order of running. A kernel's need fixes the layouts of the images that it reads and writes; the
 * first kernel of the list that accepts with these layouts is taken. A kernel that takes any layout gets
 * blocked values where one of its inputs was made so or fewer bytes must be reordered, and the other if it refuses. A reordered value is kept for later readers. */
#include "passes/units.h"

enum { MAX_IMAGES = ATHI_UNIT_IO_MAX };

typedef struct placing {
    athi_graph *graph;
    const athi_backend *backend, *fallback;
    athi_unit **units; /* the new list, with reorders */
    int64_t n_units, cap_units;
} placing;

/* The places of a unit's images: member and position there. */
typedef struct image {
    athi_node *node;
    int index;
    ath_tensor *t;
    int at;             /* in unit->in; -1 for outputs */
    athi_layout before; /* to restore outputs after a refusal */
} image;
typedef struct images {
    image v[MAX_IMAGES];
    int n, n_in; /* inputs first */
} images;

static void find_images(const athi_unit *unit, images *out) {
    int at = 0;
    *out = (images){.n = 0};
    for (int m = 0; m < unit->n_nodes; m++) {
        athi_node *node = unit->nodes[m];
        for (int k = 0; k < node->n_in; k++) {
            if (athi_unit_makes(unit, node->in[k])) continue;
            if (athi_is_image(node, false, k) && out->n < MAX_IMAGES)
                out->v[out->n++] = (image){node, k, node->in[k], at, node->in[k]->layout};
            at++;
        }
    }
    out->n_in = out->n;
    for (int m = 0; m < unit->n_nodes; m++)
        for (int k = 0; k < unit->nodes[m]->n_out; k++)
            if (athi_is_image(unit->nodes[m], true, k) && out->n < MAX_IMAGES)
                out->v[out->n++] = (image){unit->nodes[m], k, &unit->nodes[m]->out[k], -1, ATHI_PLAIN};
}

static athi_layout fitting(const ath_tensor *t, athi_layout wanted) {
    int64_t block = athi_layout_block(wanted);
    return t->shape.dim[3] % block == 0 ? wanted : ATHI_PLAIN;
}

/* The same value in another layout, if it has been made: the twins form a list. */
static ath_tensor *twin(ath_tensor *t, athi_layout layout) {
    while (t && t->layout != layout) t = t->mark;
    return t;
}

/* Bytes to reorder if all images of the unit are wanted in `layout`. */
static int64_t reorder_cost(const images *im, athi_layout layout) {
    int64_t bytes = 0;
    for (int i = 0; i < im->n_in; i++)
        if (!twin(im->v[i].t, fitting(im->v[i].t, layout))) bytes += athi_tensor_bytes(im->v[i].t);
    return bytes;
}

/* Was one of the images blocked when it was made? Then the unit stands among convolutions, and what it gives is
 * wanted blocked too: its output may be far larger than the input that is cheap to reorder. */
static bool some_is_blocked(const images *im) {
    for (int i = 0; i < im->n_in; i++)
        if (im->v[i].t->layout != ATHI_PLAIN) return true;
    return false;
}

/* Sets layouts of the images as the kernel would meet them: inputs through stand-ins, outputs in place. */
static void assume(athi_unit *unit, images *im, athi_layout layout, ath_tensor *stand_ins) {
    for (int i = 0; i < im->n; i++) {
        image *v = &im->v[i];
        athi_layout l = fitting(v->t, layout);
        if (v->at < 0) {
            v->t->layout = l;
            continue;
        }
        stand_ins[i] = *v->t;
        stand_ins[i].layout = l;
        v->node->in[v->index] = unit->in[v->at] = &stand_ins[i];
    }
}

static void restore(athi_unit *unit, const images *im) {
    for (int i = 0; i < im->n; i++) {
        const image *v = &im->v[i];
        if (v->at < 0)
            v->t->layout = v->before;
        else
            v->node->in[v->index] = unit->in[v->at] = v->t;
    }
}

static bool accepted(athi_unit *unit, images *im, const athi_kernel *k, athi_layout layout, char *why) {
    ath_tensor stand_ins[MAX_IMAGES];
    why[0] = 0;
    assume(unit, im, layout, stand_ins);
    bool yes = k->accepts(unit, why);
    restore(unit, im);
    return yes;
}

/* Layouts to try with a kernel, best first. */
static int candidates(const placing *p, const athi_kernel *k, const images *im, athi_layout out[2]) {
    athi_layout blocked = p->backend->blocked ? p->backend->blocked() : ATHI_PLAIN;
    if (k->layouts == ATHI_LAYOUT_PLAIN || blocked == ATHI_PLAIN || im->n == 0) {
        out[0] = ATHI_PLAIN;
        return 1;
    }
    if (k->layouts == ATHI_LAYOUT_BLOCKED) {
        out[0] = blocked;
        return 1;
    }
    bool prefer_blocked = reorder_cost(im, blocked) < reorder_cost(im, ATHI_PLAIN) || some_is_blocked(im);
    out[0] = prefer_blocked ? blocked : ATHI_PLAIN;
    out[1] = prefer_blocked ? ATHI_PLAIN : blocked;
    return 2;
}

/* The first kernel of the list that accepts; what each said goes to `why`. */
static const athi_kernel *choose(const placing *p, athi_unit *unit, images *im, const athi_kernel *list,
                                 athi_layout *layout, athi_text *why) {
    for (const athi_kernel *k = list; k && k->name; k++) {
        athi_layout tries[2];
        int n = candidates(p, k, im, tries);
        char text[ATHI_WHY_MAX] = "";
        for (int i = 0; i < n; i++) {
            if (!accepted(unit, im, k, tries[i], text)) continue;
            athi_text_printf(why, "%s%s: %s", why->length ? "; " : "", k->name, text[0] ? text : "takes it");
            *layout = tries[i];
            return k;
        }
        athi_text_printf(why, "%s%s: %s", why->length ? "; " : "", k->name, text[0] ? text : "refuses");
    }
    return NULL;
}

static ath_status push(placing *p, athi_unit *unit) {
    ATH_TRY(ATHI_GROW(p->graph->ctx, p->units, p->n_units, p->cap_units));
    p->units[p->n_units++] = unit;
    return ATH_OK;
}

static const athi_kernel *list_of(const athi_backend *b, athi_op op) { return b->kernels ? b->kernels[op] : NULL; }

static ath_status no_kernel(const placing *p, const athi_unit *unit, const athi_text *why) {
    const athi_node *node = unit->nodes[0];
    char a[96];
    return athi_fail(p->graph->ctx, ATH_E_UNSUPPORTED, "%s '%s': no kernel of backend %s takes %s%s (%s)",
                     athi_op_name(node->op), node->layer, p->backend->name,
                     unit->n_in ? athi_dtype_name(unit->in[0]->dtype) : "",
                     unit->n_in ? athi_shape_str(unit->in[0]->shape, a) : "", why->text ? why->text : "it has none");
}

static ath_status set_kernel(placing *p, athi_unit *unit, const athi_kernel *k, const athi_text *why) {
    unit->kernel = k;
    unit->why = why->failed ? NULL : athi_arena_strdup(p->graph->arena, why->text ? why->text : "");
    for (int m = 0; m < unit->n_nodes; m++) unit->nodes[m]->unit = unit;
    return unit->why ? ATH_OK : ATH_E_NOMEM;
}

/* A reorder of `t` to `layout` as a unit of its own, in front of what is pushed next. */
static ath_status reorder(placing *p, ath_tensor *t, athi_layout layout, ath_tensor **out) {
    athi_graph *g = p->graph;
    *out = twin(t, layout);
    if (*out) return ATH_OK;
    unsigned invariants = g->invariants;
    g->layer = t->node->layer;
    g->backward = t->node->backward;
    ath_tensor *made = athi_op1(g, ATHI_OP_REORDER, t, NULL);
    g->layer = "";
    g->backward = false;
    ATH_TRY(athi_graph_check(g));
    g->invariants = invariants;
    made->layout = layout;
    made->mark = t->mark;
    t->mark = made;
    athi_unit *unit = athi_unit_create(g, NULL, &made->node, 1);
    if (!unit) return ATH_E_NOMEM;
    athi_text why = {.ctx = g->ctx};
    images none = {.n = 0};
    athi_layout ignored;
    const athi_kernel *k = choose(p, unit, &none, list_of(p->backend, ATHI_OP_REORDER), &ignored, &why);
    if (!k && p->fallback) k = choose(p, unit, &none, list_of(p->fallback, ATHI_OP_REORDER), &ignored, &why);
    ath_status status = k ? set_kernel(p, unit, k, &why) : no_kernel(p, unit, &why);
    athi_text_free(&why);
    ATH_TRY(status);
    *out = made;
    return push(p, unit);
}

/* The chosen kernel's layouts become real. */
static ath_status settle(placing *p, athi_unit *unit, images *im, athi_layout layout) {
    for (int i = 0; i < im->n; i++) {
        image *v = &im->v[i];
        athi_layout l = fitting(v->t, layout);
        if (v->at < 0) {
            v->t->layout = l;
            continue;
        }
        ath_tensor *in = NULL;
        ATH_TRY(reorder(p, v->t, l, &in));
        v->node->in[v->index] = unit->in[v->at] = in;
    }
    return push(p, unit);
}

static ath_status place_unit(placing *p, athi_unit *unit, bool *placed, athi_text *why) {
    images im;
    find_images(unit, &im);
    athi_op op = unit->nodes[0]->op;
    athi_layout layout = ATHI_PLAIN;
    const athi_kernel *own = unit->pattern ? unit->pattern->kernels : list_of(p->backend, op);
    const athi_kernel *k = choose(p, unit, &im, own, &layout, why);
    if (!k && !unit->pattern && p->fallback) k = choose(p, unit, &im, list_of(p->fallback, op), &layout, why);
    *placed = k != NULL;
    if (!k) return ATH_OK;
    ATH_TRY(set_kernel(p, unit, k, why));
    return settle(p, unit, &im, layout);
}

static ath_status place_one(placing *p, athi_unit *unit) {
    athi_text why = {.ctx = p->graph->ctx};
    bool placed = false;
    ath_status status = place_unit(p, unit, &placed, &why);
    if (status == ATH_OK && !placed && unit->n_nodes == 1) status = no_kernel(p, unit, &why);
    athi_text_free(&why);
    if (status != ATH_OK || placed) return status;
    for (int m = 0; m < unit->n_nodes; m++) { /* the group falls apart */
        athi_unit *single = athi_unit_create(p->graph, NULL, &unit->nodes[m], 1);
        if (!single) return ATH_E_NOMEM;
        ATH_TRY(place_one(p, single));
    }
    return ATH_OK;
}

static ath_status place(placing *p) {
    athi_graph *g = p->graph;
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) g->nodes[i]->out[k].mark = NULL;
    for (int64_t u = 0; u < g->n_units; u++) ATH_TRY(place_one(p, g->units[u]));
    for (int i = 0; i < g->n_outputs; i++) /* whoever reads predictions expects them plain */
        ATH_TRY(reorder(p, g->outputs[i], ATHI_PLAIN, &g->outputs[i]));
    athi_unit **units = athi_arena_memdup(g->arena, p->units, ATHI_MAX(p->n_units, 1) * (int64_t)sizeof(athi_unit *));
    if (!units) return ATH_E_NOMEM;
    g->units = units;
    g->n_units = p->n_units;
    return athi_renumber(g);
}

static const athi_backend *last_backend(void) {
    int n = 0;
    while (athi_backends[n]) n++;
    return n ? athi_backends[n - 1] : NULL;
}

ath_status athi_pass_place(athi_graph *graph, const athi_backend *backend) {
    ATH_TRY(athi_graph_verify(graph, ATHI_INV_TYPED | ATHI_INV_GROUPED));
    placing p = {.graph = graph, .backend = backend, .fallback = last_backend()};
    if (p.fallback == backend) p.fallback = NULL;
    ath_status status = ATHI_GROW(graph->ctx, p.units, p.n_units, p.cap_units); /* never NULL */
    if (status == ATH_OK) status = place(&p);
    athi_free(graph->ctx, p.units);
    if (status != ATH_OK) return status;
    graph->invariants |= ATHI_INV_PLACED;
    return athi_graph_verify(graph, graph->invariants);
}
