/* Reads the canonical text (print.c shows it). Types of values may be left out; where they stand they must be what
 * the shape rules infer. Every node goes through the builder, so what is read is as valid as what is built. */
#include "graph/text.h"

#include <stdio.h>

typedef struct reading {
    ath_ctx *ctx;
    athi_graph *graph;
    int line;
    const char *at;
} reading;

enum { MAX_IN = 64, MAX_OUTPUTS = 64 };

static ath_status syntax(const reading *r, const char *expected) {
    char got[24];
    snprintf(got, sizeof got, "%s", r->at);
    for (char *c = got; *c; c++)
        if (*c == '\n' || *c == '\r') *c = 0;
    return athi_fail(r->ctx, ATH_E_SYNTAX, "graph text, line %d: expected %s, got '%s'", r->line, expected, got);
}

static void skip(reading *r) {
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r') r->at++;
}

static bool take(reading *r, const char *text) {
    skip(r);
    size_t n = strlen(text);
    if (strncmp(r->at, text, n)) return false;
    r->at += n;
    return true;
}

static bool at_end(reading *r) {
    skip(r);
    return !*r->at || *r->at == '\n';
}

static ath_status read_value(reading *r, ath_tensor **out) {
    int64_t id, index = 0;
    if (!take(r, "%") || !athi_read_int(&r->at, &id)) return syntax(r, "a value (%number)");
    if (*r->at == '.') {
        r->at++;
        if (!athi_read_int(&r->at, &index)) return syntax(r, "the number of an output");
    }
    bool known = id >= 0 && id < r->graph->n_nodes && index >= 0 && index < r->graph->nodes[id]->n_out;
    if (!known) return syntax(r, "a value of an earlier line");
    *out = &r->graph->nodes[id]->out[index];
    return ATH_OK;
}

typedef struct type {
    ath_dtype dtype;
    athi_layout layout;
    athi_shape shape;
} type;

static ath_status read_type(reading *r, type *out) {
    char word[16];
    skip(r);
    *out = (type){.layout = ATHI_PLAIN};
    if (!athi_read_word(&r->at, word, sizeof word) || !athi_dtype_from_name(word, &out->dtype))
        return syntax(r, "a type");
    if (*r->at == ':') {
        r->at++;
        if (!athi_read_word(&r->at, word, sizeof word)) return syntax(r, "a layout");
        int l = 0;
        while (l <= ATHI_BLOCKED16 && strcmp(word, athi_layout_name((athi_layout)l))) l++;
        if (l > ATHI_BLOCKED16) return syntax(r, "a layout");
        out->layout = (athi_layout)l;
    }
    if (!athi_read_dims(&r->at, out->shape.dim, ATHI_MAX_RANK, &out->shape.rank)) return syntax(r, "a shape");
    return ATH_OK;
}

static ath_status read_variable(reading *r) {
    char word[16], name[256];
    type t;
    skip(r);
    int role = 0;
    if (!athi_read_word(&r->at, word, sizeof word)) return syntax(r, "a role");
    while (role < ATHI_COUNT(athi_role_names) && strcmp(word, athi_role_names[role])) role++;
    if (role == ATHI_COUNT(athi_role_names)) return syntax(r, "trainable, slot, statistic, best or train");
    ATH_TRY(read_type(r, &t));
    skip(r);
    if (!athi_read_name(&r->at, name, sizeof name)) return syntax(r, "a quoted name");
    athi_variable_add(r->graph, name, t.shape, t.dtype, (athi_role)role);
    return athi_graph_check(r->graph);
}

static ath_status read_modes(reading *r, unsigned *modes) {
    *modes = 0;
    do {
        char word[16];
        int i = 0;
        if (!athi_read_word(&r->at, word, sizeof word)) return syntax(r, "a mode");
        while (i < ATHI_COUNT(athi_mode_names) && strcmp(word, athi_mode_names[i])) i++;
        if (i == ATHI_COUNT(athi_mode_names)) return syntax(r, "train, evaluate or predict");
        *modes |= 1u << i;
    } while (take(r, "+"));
    return ATH_OK;
}

static ath_status read_compute(reading *r) {
    char word[16];
    bool known = athi_read_word(&r->at, word, sizeof word) && athi_dtype_from_name(word, &r->graph->compute);
    if (known && (r->graph->compute == ATH_F32 || r->graph->compute == ATH_BF16)) return ATH_OK;
    return syntax(r, "f32 or bf16");
}

static ath_status read_attributes(reading *r, athi_op op, athi_attr *attr, unsigned *modes) {
    char name[32];
    while (!at_end(r) && *r->at != ';') {
        if (!athi_read_word(&r->at, name, sizeof name) || !take(r, "=")) return syntax(r, "name=value");
        if (!strcmp(name, "modes"))
            ATH_TRY(read_modes(r, modes));
        else if (!strcmp(name, "compute"))
            ATH_TRY(read_compute(r));
        else if (!athi_attr_read(r->graph, athi_op_table[op].attr, name, &r->at, attr))
            return syntax(r, "a value of an attribute that the op has");
    }
    return ATH_OK;
}

static ath_status read_layer(reading *r) {
    char name[256];
    r->graph->layer = "";
    r->graph->backward = false;
    if (!take(r, ";")) return ATH_OK;
    r->graph->backward = take(r, "^");
    skip(r);
    if (!athi_read_name(&r->at, name, sizeof name)) return syntax(r, "a quoted name");
    r->graph->layer = athi_arena_strdup(r->graph->arena, name);
    return r->graph->layer ? ATH_OK : ATH_E_NOMEM;
}

static ath_status check_types(reading *r, const athi_node *node, const type *types, int n) {
    if (n == 0) return ATH_OK;
    bool agree = n == node->n_out;
    for (int i = 0; i < n && agree; i++) {
        ath_tensor *t = &node->out[i];
        int64_t block = athi_layout_block(types[i].layout);
        agree = t->dtype == types[i].dtype && athi_shape_equal(t->shape, types[i].shape) &&
                (block == 1 || (t->shape.rank == 4 && t->shape.dim[3] % block == 0));
        if (agree) t->layout = types[i].layout;
    }
    char text[96];
    return agree
               ? ATH_OK
               : athi_fail(r->ctx, ATH_E_SYNTAX, "graph text, line %d: the type of %%%d is not what %s gives (%s%s)",
                           r->line, node->id, athi_op_name(node->op), athi_dtype_name(node->out[0].dtype),
                           athi_shape_str(node->out[0].shape, text));
}

static ath_status read_node(reading *r) {
    int64_t id;
    type types[8];
    int n_types = 0, n_in = 0;
    if (!athi_read_int(&r->at, &id) || id != r->graph->n_nodes) return syntax(r, "the next node's number");
    while (!take(r, "=")) {
        if (n_types == ATHI_COUNT(types) || (n_types && !take(r, ","))) return syntax(r, "'='");
        ATH_TRY(read_type(r, &types[n_types++]));
    }
    skip(r);
    char name[32];
    athi_op op;
    if (!athi_read_word(&r->at, name, sizeof name) || !athi_op_find(name, &op)) return syntax(r, "an op");
    if (!take(r, "(")) return syntax(r, "'('");
    ath_tensor *in[MAX_IN];
    while (!take(r, ")")) {
        if (n_in == MAX_IN || (n_in && !take(r, ","))) return syntax(r, "')'");
        ATH_TRY(read_value(r, &in[n_in++]));
    }
    athi_attr attr = {0};
    unsigned modes = ATHI_MODE_ALL;
    r->graph->compute = ATH_F32;
    ATH_TRY(read_attributes(r, op, &attr, &modes));
    ATH_TRY(read_layer(r));
    r->graph->modes = modes;
    ath_tensor *out = athi_node_add(r->graph, op, in, n_in, &attr);
    ATH_TRY(athi_graph_check(r->graph));
    return check_types(r, out->node, types, n_types);
}

static ath_status read_outputs(reading *r) {
    ath_tensor *values[MAX_OUTPUTS];
    int n = 0;
    do {
        if (n == MAX_OUTPUTS) return syntax(r, "fewer outputs");
        ATH_TRY(read_value(r, &values[n++]));
    } while (take(r, ","));
    r->graph->outputs = athi_arena_memdup(r->graph->arena, values, n * (int64_t)sizeof(ath_tensor *));
    r->graph->n_outputs = r->graph->outputs ? n : 0;
    return r->graph->outputs ? ATH_OK : ATH_E_NOMEM;
}

static ath_status read_line(reading *r) {
    if (at_end(r) || *r->at == '#') return ATH_OK;
    if (take(r, "group ")) return ATH_OK;
    ath_status status;
    if (take(r, "variable "))
        status = read_variable(r);
    else if (take(r, "loss "))
        status = read_value(r, &r->graph->loss);
    else if (take(r, "outputs "))
        status = read_outputs(r);
    else if (take(r, "%"))
        status = read_node(r);
    else
        return syntax(r, "variable, %number, loss, outputs or group");
    if (status != ATH_OK) return status;
    return at_end(r) ? ATH_OK : syntax(r, "the end of the line");
}

ath_status athi_graph_parse(ath_ctx *ctx, const char *text, athi_graph **out) {
    reading r = {.ctx = ctx, .line = 1};
    ATH_TRY(athi_graph_create(ctx, &r.graph));
    ath_status status = ATH_OK;
    for (const char *line = text; line && *line && status == ATH_OK; r.line++) {
        r.at = line;
        status = read_line(&r);
        line = strchr(line, '\n');
        if (line) line++;
    }
    r.graph->modes = ATHI_MODE_ALL;
    r.graph->compute = ATH_F32;
    r.graph->layer = "";
    r.graph->backward = false;
    if (status != ATH_OK)
        athi_graph_destroy(r.graph);
    else
        *out = r.graph;
    return status;
}
