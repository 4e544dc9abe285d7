/* The table of composites, and how one is applied. */
#include "zoo/zoo.h"

static const athi_row rows[] = {
    {.name = "wide_resnet",
     .doc = "wide residual network (Zagoruyko and Komodakis 2016): 3 groups of (depth - 4) / 6 blocks of two "
            "convolutions, 16, 32 and 64 times width channels",
     .options = athi_options_wide_resnet,
     .opts_size = sizeof(ath_wide_resnet_opts),
     .impl = &athi_composite_wide_resnet},
    {0},
};
const athi_kind athi_composites = {"composite", "composites", rows};

ath_tensor *athi_composite_apply(athi_net *net, const athi_row *row, const void *opts, const char *name,
                                 ath_tensor *const *in, int n_in) {
    const athi_layer_impl *impl = row->impl;
    athi_graph *graph = net->graph;
    if (graph->failed) return &graph->poison;
    if (n_in < impl->min_in || n_in > impl->max_in)
        return athi_poison(graph, ATH_E_OPTION, "%s: expected %d input%s, got %d; see `from:`", row->name,
                           impl->min_in, ATHI_PLURAL(impl->min_in), n_in);
    ath_tensor *out = impl->build(net, in, n_in, opts, name);
    /* The result gets its name from a layer that only passes it on. */
    if (name && !graph->failed) out = ath_activation(out, .name = name, .activation = {"linear", NULL});
    if (!graph->failed) return out;
    const char *sentence = athi_arena_printf(graph->arena, "%s: %s", row->name, graph->error);
    if (sentence) graph->error = sentence;
    return &graph->poison;
}

ath_tensor *athi_composite_call(const char *row_name, ath_tensor *x, const void *opts) {
    athi_net *net = athi_net_of(x);
    if (athi_is_poison(x) || net->graph->failed) return &net->graph->poison;
    const athi_row *row = athi_row_find(&athi_composites, row_name);
    const char *name;
    void *resolved;
    if (athi_layer_opts(net, row, opts, &name, &resolved) != ATH_OK) return &net->graph->poison;
    return athi_composite_apply(net, row, resolved, name, &x, 1);
}
