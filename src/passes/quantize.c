/* Rewrites a model's graph for int8 inference. It then serves evaluation and prediction only.
 *
 *   conv2d (+ bias) (+ batch_norm)  ->  quantize, quantized_conv2d, add of a bias that the normalisation is folded into
 *   matmul (dense)                  ->  quantize_rows, quantized_matmul
 *
 * Kernels become variables of type i8 under their old names; beside them <kernel>_scale, for convolutions also
 * <layer>/input_scale. Their values are train's to fill in (train/quantize.c), since they follow from the float
 * model's weights. Rounding does not change which of two values is larger, so a quantize moves in front of the max
 * pooling before it, which then works on bytes. */
#include "passes/quantize.h"

/* ---- what can be int8 ---------------------------------------------------------------------------- */

static int count_readers(const athi_graph *g, const ath_tensor *t) {
    int n = g->loss == t;
    for (int i = 0; i < g->n_outputs; i++) n += g->outputs[i] == t;
    for (int64_t i = t->node->id + 1; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++) n += g->nodes[i]->in[k] == t;
    return n;
}

/* The only reader of a value, with it as input k; NULL: there are others, or it is kept. */
static athi_node *only_reader(const athi_graph *g, const ath_tensor *t, int *k) {
    if (count_readers(g, t) != 1) return NULL;
    for (int64_t i = t->node->id + 1; i < g->n_nodes; i++)
        for (*k = 0; *k < g->nodes[i]->n_in; ++*k)
            if (g->nodes[i]->in[*k] == t) return g->nodes[i];
    return NULL;
}

static bool is_variable(const ath_tensor *t) { return t->node->op == ATHI_OP_VARIABLE; }

/* What follows the product: a bias, and behind a convolution the normalisation. */
static void find_followers(const athi_graph *g, athi_quantizable *q) {
    int k;
    athi_node *next = only_reader(g, &q->product->out[0], &k);
    if (next && next->op == ATHI_OP_ADD && is_variable(next->in[1 - k]) && next->in[1 - k]->shape.rank == 1 &&
        next->layer == q->product->layer) {
        q->bias = next;
        q->bias_variable = next->in[1 - k]->node->attr.variable.variable;
        next = only_reader(g, &next->out[0], &k);
    }
    if (q->product->op == ATHI_OP_CONV2D && next && next->op == ATHI_OP_BATCH_NORM && k == 0) q->norm = next;
}

static const char *refusal(const athi_graph *g, const athi_node *product) {
    if (!is_variable(product->in[1])) return "it multiplies two values";
    if (product->op == ATHI_OP_MATMUL && (product->attr.matmul.transpose_a || product->attr.matmul.transpose_b))
        return "its kernel is transposed";
    if (product->op == ATHI_OP_CONV2D && product->attr.window.groups != 1) return "it has groups of channels";
    const char *name = product->in[1]->node->attr.variable.variable->name, *slash = strrchr(name, '/');
    if (!slash || strcmp(slash, "/kernel") != 0) return "its weights are no kernel";
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i] != product && g->nodes[i]->n_in > 1 && g->nodes[i]->in[1] == product->in[1])
            return "its kernel is shared";
    return NULL;
}

ath_status athi_quantizable_find(const athi_graph *g, athi_arena *arena, athi_quantizable **list, int64_t *n) {
    *n = 0;
    *list = athi_arena_array(arena, ATHI_MAX(g->n_nodes, 1), sizeof **list);
    if (!*list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        athi_node *node = g->nodes[i];
        if (node->op != ATHI_OP_MATMUL && node->op != ATHI_OP_CONV2D) continue;
        athi_quantizable *q = &(*list)[(*n)++];
        *q = (athi_quantizable){.layer = node->layer, .product = node, .refusal = refusal(g, node)};
        if (is_variable(node->in[1])) q->kernel = node->in[1]->node->attr.variable.variable;
        find_followers(g, q);
    }
    return ATH_OK;
}

/* ---- rewriting ----------------------------------------------------------------------------------- */

/* A value that convolutions read, and its int8 form. */
typedef struct twin {
    const ath_tensor *x;
    ath_tensor *q, *scale;
} twin;

typedef struct rewriting {
    athi_graph *g;
    athi_arena *scratch;
    const athi_quantizable *list;
    int64_t n;
    athi_node **old; /* the nodes before */
    int64_t n_old;
    bool *bytes_only; /* by old id: read by int8 convolutions alone */
    twin *twins;
    int64_t n_twins;
} rewriting;

static const athi_quantizable *member_of(const rewriting *r, const athi_node *node, bool *last) {
    for (int64_t i = 0; i < r->n; i++) {
        const athi_quantizable *q = &r->list[i];
        if (q->refusal || (node != q->product && node != q->bias && node != q->norm)) continue;
        const athi_node *end = q->norm ? q->norm : q->bias ? q->bias : q->product;
        *last = node == end;
        return q;
    }
    return NULL;
}

/* What stands for an old value now. */
static ath_tensor *now(ath_tensor *t) {
    while (t->mark) t = t->mark;
    return t;
}

static ath_tensor *new_variable(rewriting *r, const char *layer, const char *suffix, athi_shape shape) {
    const char *name = athi_arena_printf(r->g->arena, "%s/%s", layer, suffix);
    if (!name) return athi_poison(r->g, ATH_E_NOMEM, "out of memory while a model was quantized");
    return athi_variable_tensor(r->g, athi_variable_add(r->g, name, shape, ATH_F32, ATHI_STATISTIC));
}

/* The kernel's variable, from now on i8. */
static ath_tensor *as_int8(ath_tensor *kernel) {
    athi_variable *v = kernel->node->attr.variable.variable;
    v->dtype = kernel->dtype = ATH_I8;
    v->role = ATHI_STATISTIC;
    return kernel;
}

/* In int8 under a scale; what is max-pooled first is pooled as bytes. */
static ath_tensor *quantize(rewriting *r, ath_tensor *x, ath_tensor *scale) {
    bool pooled = x->node->op == ATHI_OP_MAX_POOL2D && r->bytes_only[x->node->id];
    if (!pooled) return athi_op2(r->g, ATHI_OP_QUANTIZE, x, scale, NULL);
    ath_tensor *q = quantize(r, now(x->node->in[0]), scale);
    return athi_op1(r->g, ATHI_OP_MAX_POOL2D, q, &x->node->attr);
}

/* Convolutions of one value share its int8 form, whose scale is called after the first of them. */
static const twin *twin_of(rewriting *r, const athi_quantizable *q) {
    ath_tensor *x = now(q->product->in[0]);
    for (int64_t i = 0; i < r->n_twins; i++)
        if (r->twins[i].x == x) return &r->twins[i];
    twin *made = &r->twins[r->n_twins++];
    made->x = x;
    made->scale = new_variable(r, q->layer, "input_scale", ATHI_SCALAR);
    made->q = athi_is_poison(made->scale) ? made->scale : quantize(r, x, made->scale);
    return made;
}

static ath_tensor *convolution(rewriting *r, const athi_quantizable *q) {
    const int64_t filters = q->kernel->shape.dim[3];
    const twin *x = twin_of(r, q);
    ath_tensor *in[] = {x->q, as_int8(q->product->in[1]), x->scale,
                        new_variable(r, q->layer, "kernel_scale", athi_dims(filters))};
    ath_tensor *y = athi_node_add(r->g, ATHI_OP_QUANTIZED_CONV2D, in, 4, &q->product->attr);
    if (!q->bias && !q->norm) return y;
    ath_tensor *bias = q->bias_variable ? athi_variable_tensor(r->g, q->bias_variable)
                                        : new_variable(r, q->layer, "bias", athi_dims(filters));
    return athi_op2(r->g, ATHI_OP_ADD, y, bias, NULL);
}

static ath_tensor *product(rewriting *r, const athi_quantizable *q) {
    ath_tensor *x = athi_op1(r->g, ATHI_OP_QUANTIZE_ROWS, now(q->product->in[0]), NULL);
    if (athi_is_poison(x)) return x;
    ath_tensor *in[] = {x, as_int8(q->product->in[1]), &x->node->out[1],
                        new_variable(r, q->layer, "kernel_scale", athi_dims(q->kernel->shape.dim[1]))};
    ath_tensor *y = athi_node_add(r->g, ATHI_OP_QUANTIZED_MATMUL, in, 4, NULL);
    return q->bias ? athi_op2(r->g, ATHI_OP_ADD, y, athi_variable_tensor(r->g, q->bias_variable), NULL) : y;
}

static ath_status keep_node(rewriting *r, athi_node *node) {
    for (int k = 0; k < node->n_in; k++) node->in[k] = now(node->in[k]);
    ATH_TRY(ATHI_GROW(r->g->ctx, r->g->nodes, r->g->n_nodes, r->g->cap_nodes));
    r->g->nodes[r->g->n_nodes++] = node; /* its id stays the old one until the end */
    return ATH_OK;
}

static ath_status rewrite_node(rewriting *r, athi_node *node) {
    bool last = false;
    const athi_quantizable *q = member_of(r, node, &last);
    if (node->op == ATHI_OP_DROPOUT) return node->out[0].mark = now(node->in[0]), ATH_OK;
    if (!q) return keep_node(r, node);
    if (!last) return ATH_OK;
    r->g->layer = q->layer;
    r->g->modes = node->modes;
    ath_tensor *y = q->product->op == ATHI_OP_CONV2D ? convolution(r, q) : product(r, q);
    ATH_TRY(athi_graph_check(r->g));
    node->out[0].mark = y;
    return ATH_OK;
}

/* Which values do int8 convolutions alone read (a dropout between them is nothing here)? */
static void find_bytes_only(rewriting *r) {
    const athi_graph *g = r->g;
    for (int64_t i = 0; i < g->n_nodes; i++) r->bytes_only[i] = true;
    for (int i = 0; i < g->n_outputs; i++) r->bytes_only[g->outputs[i]->node->id] = false;
    if (g->loss) r->bytes_only[g->loss->node->id] = false;
    for (int64_t i = g->n_nodes - 1; i >= 0; i--) {
        const athi_node *node = g->nodes[i];
        bool last;
        const athi_quantizable *q = member_of(r, node, &last);
        bool bytes = (q && q->product == node && node->op == ATHI_OP_CONV2D) ||
                     (node->op == ATHI_OP_DROPOUT && r->bytes_only[i]);
        for (int k = 0; k < node->n_in && !bytes; k++) r->bytes_only[node->in[k]->node->id] = false;
    }
}

/* ---- what nobody needs any more ------------------------------------------------------------------ */

static ath_status drop_unneeded(rewriting *r) {
    athi_graph *g = r->g;
    int64_t n = 0, n_variables = 0;
    bool *needed = athi_arena_array(r->scratch, ATHI_MAX(g->n_nodes, 1), sizeof *needed);
    bool *used = athi_arena_array(r->scratch, ATHI_MAX(g->n_variables, 1), sizeof *used);
    if (!needed || !used) return ATH_E_NOMEM;
    for (int64_t i = 0; i < g->n_nodes; i++) g->nodes[i]->id = (int)i;
    for (int i = 0; i < g->n_outputs; i++) needed[g->outputs[i]->node->id] = true;
    if (g->loss) needed[g->loss->node->id] = true;
    for (int64_t i = g->n_nodes - 1; i >= 0; i--) {
        if (athi_op_has_effect(g->nodes[i]->op)) needed[i] = true;
        for (int k = 0; needed[i] && k < g->nodes[i]->n_in; k++) needed[g->nodes[i]->in[k]->node->id] = true;
    }
    for (int64_t i = 0; i < g->n_nodes; i++) {
        athi_node *node = g->nodes[i];
        if (!needed[i]) continue;
        if (node->op == ATHI_OP_VARIABLE) used[node->attr.variable.variable->index] = true;
        node->id = (int)n;
        g->nodes[n++] = node;
    }
    g->n_nodes = n;
    for (int64_t i = 0; i < g->n_variables; i++) {
        athi_variable *v = g->variables[i];
        if (!used[i] && (v->role == ATHI_TRAINABLE || v->role == ATHI_STATISTIC)) continue;
        v->index = (int)n_variables;
        g->variables[n_variables++] = v;
    }
    g->n_variables = n_variables;
    return ATH_OK;
}

static ath_status rewrite(rewriting *r) {
    athi_graph *g = r->g;
    r->bytes_only = athi_arena_array(r->scratch, ATHI_MAX(g->n_nodes, 1), sizeof *r->bytes_only);
    r->twins = athi_arena_array(r->scratch, ATHI_MAX(r->n, 1), sizeof *r->twins);
    if (!r->bytes_only || !r->twins) return ATH_E_NOMEM;
    find_bytes_only(r);
    for (int64_t i = 0; i < g->n_nodes; i++) {
        g->nodes[i]->compute = ATH_F32; /* what stays in float is float32, whatever the model's policy was */
        for (int k = 0; k < ATHI_MAX(g->nodes[i]->n_out, 1); k++) g->nodes[i]->out[k].mark = NULL;
    }
    r->old = g->nodes, r->n_old = g->n_nodes;
    g->nodes = NULL, g->n_nodes = g->cap_nodes = 0;
    unsigned modes = g->modes;
    ath_status status = ATH_OK;
    for (int64_t i = 0; i < r->n_old && status == ATH_OK; i++) status = rewrite_node(r, r->old[i]);
    g->modes = modes;
    g->layer = "";
    for (int i = 0; i < g->n_outputs; i++) g->outputs[i] = now(g->outputs[i]);
    if (g->loss) g->loss = now(g->loss);
    athi_free(g->ctx, r->old);
    return status == ATH_OK ? drop_unneeded(r) : status;
}

ath_status athi_pass_quantize(athi_graph *graph, const athi_quantizable *list, int64_t n) {
    ATH_TRY(athi_graph_check(graph));
    rewriting r = {.g = graph, .scratch = athi_arena_create(graph->ctx), .list = list, .n = n};
    if (!r.scratch) return ATH_E_NOMEM;
    ath_status status = rewrite(&r);
    athi_arena_destroy(r.scratch);
    return status == ATH_OK ? athi_graph_verify(graph, 0) : status;
}
