/* The net: inputs, the numbering and recording of layers, and their variables. */
#include "nn/net.h"

#include <stdio.h>

ath_status athi_net_create(ath_ctx *ctx, athi_net **out) {
    *out = NULL;
    athi_net *net = athi_alloc(ctx, (int64_t)sizeof *net);
    if (!net) return ATH_E_NOMEM;
    net->ctx = ctx, net->target_slot = net->weight_slot = -1;
    net->arena = athi_arena_create(ctx);
    if (!net->arena || athi_graph_create(ctx, &net->graph) != ATH_OK) {
        athi_net_destroy(net);
        return ATH_E_NOMEM;
    }
    net->graph->owner = net;
    net->counters = athi_train_variable(net, "counters", athi_dims(2), ATH_I64);
    *out = net;
    return ATH_OK;
}

void athi_net_destroy(athi_net *net) {
    if (!net) return;
    ath_ctx *ctx = net->ctx;
    athi_graph_destroy(net->graph);
    athi_arena_destroy(net->arena);
    athi_free(ctx, net->inputs);
    athi_free(ctx, net->layers);
    athi_free(ctx, net->params);
    athi_free(ctx, net->sums);
    athi_free(ctx, net);
}

athi_net *athi_net_of(const ath_tensor *t) { return t->graph->owner; }

/* ---- errors -------------------------------------------------------------------------------------- */

ath_tensor *athi_net_fail(athi_net *net, ath_status status) {
    char sentence[ATHI_ERRMSG_MAX]; /* the context's own buffer may be written meanwhile */
    snprintf(sentence, sizeof sentence, "%s", net->ctx->errmsg);
    return athi_poison(net->graph, status, "%s", sentence);
}

ath_tensor *athi_layer_error(athi_net *net, ath_status status, const char *row, const char *layer,
                             const char *fmt, ...) {
    char sentence[ATHI_ERRMSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return athi_poison(net->graph, status, "%s '%s': %s", row, layer, sentence);
}

/* ---- inputs and variables ------------------------------------------------------------------------ */

ath_tensor *athi_net_input_add(athi_net *net, const char *name, athi_shape shape, ath_dtype dtype) {
    athi_shape whole = {shape.rank + 1, {ATHI_DYN}};
    if (whole.rank > ATHI_MAX_RANK)
        return athi_poison(net->graph, ATH_E_SHAPE,
                           "input '%s': at most %d dimensions with the batch, got %d", name, ATHI_MAX_RANK,
                           whole.rank);
    memcpy(whole.dim + 1, shape.dim, sizeof(int64_t) * (size_t)shape.rank);
    char *copy = athi_arena_strdup(net->arena, name);
    if (!copy || ATHI_GROW(net->ctx, net->inputs, net->n_inputs, net->cap_inputs) != ATH_OK)
        return athi_net_fail(net, ATH_E_NOMEM);
    int slot = (int)net->n_inputs;
    net->inputs[net->n_inputs++] = (athi_net_input){copy, whole, dtype};
    return athi_input(net->graph, slot, copy, whole, dtype);
}

athi_variable *athi_train_variable(athi_net *net, const char *name, athi_shape shape, ath_dtype dtype) {
    char *path = athi_arena_printf(net->arena, "train/%s", name);
    if (!path) {
        athi_net_fail(net, ATH_E_NOMEM);
        return NULL;
    }
    return athi_variable_add(net->graph, path, shape, dtype, ATHI_TRAIN);
}

static ath_status param_specs(athi_net *net, athi_param *p, const char *where, ath_spec initializer,
                              ath_spec regularizer) {
    void *opts;
    ATH_TRY(athi_spec_resolve(net->ctx, net->arena, &athi_initializers, initializer, where, &p->initializer,
                              &opts));
    p->initializer_opts = opts;
    ATH_TRY(athi_spec_resolve(net->ctx, net->arena, &athi_regularizers, regularizer, where, &p->regularizer,
                              &opts));
    p->regularizer_opts = opts;
    if (p->initializer) return ATH_OK;
    return athi_fail(net->ctx, ATH_E_OPTION,
                     "%s: it needs an initializer; leave the option away for the default", where);
}

ath_tensor *athi_param_add(athi_net *net, const char *layer, const char *suffix, athi_shape shape,
                           bool trainable, ath_spec initializer, ath_spec regularizer, int64_t fan_in,
                           int64_t fan_out) {
    if (net->graph->failed) return &net->graph->poison;
    char *name = athi_arena_printf(net->arena, "%s/%s", layer, suffix);
    athi_param p = {.fan_in = fan_in, .fan_out = fan_out};
    if (!name || ATHI_GROW(net->ctx, net->params, net->n_params, net->cap_params) != ATH_OK)
        return athi_net_fail(net, ATH_E_NOMEM);
    ath_status status = param_specs(net, &p, name, initializer, regularizer);
    if (status != ATH_OK) return athi_net_fail(net, status);
    p.variable =
        athi_variable_add(net->graph, name, shape, ATH_F32, trainable ? ATHI_TRAINABLE : ATHI_STATISTIC);
    if (!p.variable) return &net->graph->poison;
    net->params[net->n_params++] = p;
    return athi_variable_tensor(net->graph, p.variable);
}

ath_status athi_param_init(ath_ctx *ctx, const athi_net *net, int64_t param, uint64_t seed, float *w) {
    const athi_param *p = &net->params[param];
    const athi_initializer_impl *impl = p->initializer->impl;
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_INIT, param));
    return impl->fill(ctx, p->initializer_opts, p, &rng, athi_shape_count(p->variable->shape), w);
}

/* ---- layers -------------------------------------------------------------------------------------- */

static bool name_taken(const athi_net *net, const char *name) {
    for (int64_t i = 0; i < net->n_layers; i++)
        if (strcmp(net->layers[i].name, name) == 0) return true;
    return false;
}

/* dense, dense_1, …: layers that have a name of their own do not advance the count. */
static const char *numbered_name(const athi_net *net, const char *row) {
    int64_t count = 0;
    for (int64_t i = 0; i < net->n_layers; i++)
        count += net->layers[i].numbered && strcmp(net->layers[i].row->name, row) == 0;
    for (;; count++) {
        const char *name = count ? athi_arena_printf(net->arena, "%s_%lld", row, (long long)count)
                                 : athi_arena_strdup(net->arena, row);
        if (!name || !name_taken(net, name)) return name;
    }
}

static const char *own_name(athi_net *net, const athi_row *row, const char *name) {
    if (!*name || strchr(name, '/')) {
        athi_poison(net->graph, ATH_E_OPTION, "%s: a layer's name is a word without '/', got '%s'", row->name,
                    name);
        return NULL;
    }
    if (name_taken(net, name)) {
        athi_poison(net->graph, ATH_E_OPTION,
                    "%s: the name '%s' is taken by an earlier layer; choose another, or leave it away",
                    row->name, name);
        return NULL;
    }
    char *copy = athi_arena_strdup(net->arena, name);
    if (!copy) athi_net_fail(net, ATH_E_NOMEM);
    return copy;
}

static bool inputs_fit(athi_net *net, const athi_row *row, const char *name, int n_in) {
    const athi_layer_impl *impl = row->impl;
    if (n_in >= impl->min_in && n_in <= impl->max_in) return true;
    if (impl->min_in == impl->max_in)
        athi_layer_error(net, ATH_E_OPTION, row->name, name, "expected %d input%s, got %d; see `from:`",
                         impl->min_in, ATHI_PLURAL(impl->min_in), n_in);
    else
        athi_layer_error(net, ATH_E_OPTION, row->name, name, "expected %d to %d inputs, got %d; see `from:`",
                         impl->min_in, impl->max_in, n_in);
    return false;
}

ath_tensor *athi_layer_apply(athi_net *net, const athi_row *row, const void *opts, const char *name,
                             ath_tensor *const *in, int n_in) {
    const athi_layer_impl *impl = row->impl;
    athi_graph *graph = net->graph;
    for (int i = 0; i < n_in; i++)
        if (athi_is_poison(in[i])) return in[i];
    if (graph->failed) return &graph->poison;
    bool numbered = !name;
    name = numbered ? numbered_name(net, row->name) : own_name(net, row, name);
    if (!name) return numbered ? athi_net_fail(net, ATH_E_NOMEM) : &graph->poison;
    if (!inputs_fit(net, row, name, n_in)) return &graph->poison;
    if (ATHI_GROW(net->ctx, net->layers, net->n_layers, net->cap_layers) != ATH_OK)
        return athi_net_fail(net, ATH_E_NOMEM);
    const char *outer = graph->layer;
    graph->layer = name;
    graph->compute = net->compute;
    int64_t first = net->n_params, elements = 0;
    ath_tensor *out = impl->build(net, in, n_in, opts, name);
    graph->layer = outer;
    graph->compute = ATH_F32;
    for (int64_t i = first; i < net->n_params; i++)
        elements += athi_shape_count(net->params[i].variable->shape);
    net->layers[net->n_layers++] = (athi_layer){name, row, opts, out, elements, numbered};
    return out;
}

/* How the option struct of every public layer function begins. */
typedef struct layer_head {
    size_t struct_size;
    bool exact;
    const char *name;
} layer_head;

ath_status athi_layer_opts(athi_net *net, const athi_row *row, const void *opts, const char **name, void **resolved) {
    const layer_head *head = opts;
    *name = head ? head->name : NULL;
    ath_status status =
        athi_options_resolve(net->ctx, net->arena, row, opts, *name ? *name : row->name, resolved);
    if (status != ATH_OK) athi_net_fail(net, status);
    return status;
}

ath_tensor *athi_layer_call(const char *row_name, ath_tensor *const *in, int n_in, const void *opts) {
    athi_net *net = athi_net_of(in[0]);
    if (athi_is_poison(in[0]) || net->graph->failed) return &net->graph->poison;
    for (int i = 1; i < n_in; i++)
        if (athi_net_of(in[i]) != net)
            return athi_poison(net->graph, ATH_E_STATE, "%s: its inputs belong to different models",
                               row_name);
    const athi_row *row = athi_row_find(&athi_layers, row_name);
    const char *name;
    void *resolved;
    if (athi_layer_opts(net, row, opts, &name, &resolved) != ATH_OK) return &net->graph->poison;
    return athi_layer_apply(net, row, resolved, name, in, n_in);
}
