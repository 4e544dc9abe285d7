/* Units, as the passes make and walk them. For src/passes only. */
#ifndef ATHI_UNITS_H
#define ATHI_UNITS_H

#include "passes/passes.h"

/** Makes the unit of nodes[0..n): its inputs and outputs as backend.h says. NULL without memory. */
athi_unit *athi_unit_create(athi_graph *graph, const athi_pattern *pattern, athi_node *const *nodes, int n_nodes);

/** Is `t` an output of a member of the unit? */
bool athi_unit_makes(const athi_unit *unit, const ath_tensor *t);
/** Puts nodes in the order of the units, sources in front, and numbers them again. */
ath_status athi_renumber(athi_graph *graph);
/** Input or output `index` is [batch, height, width, channels], which may lie blocked. */
bool athi_is_image(const athi_node *node, bool output, int index);
/** A reshape of plain values: its result is its input, seen differently. */
bool athi_unit_is_view(const athi_unit *unit);
int64_t athi_tensor_bytes(const ath_tensor *t);

#endif
