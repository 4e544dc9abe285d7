/* The kind of all layers: one row each, made of what ATHI_LAYER_LIST says and of the option rows and build
 * functions in layers_*.c. */
#include "nn/layers.h"

#define WITH(name_, main, text)                                                                              \
    {.name = #name_,                                                                                         \
     .doc = text,                                                                                            \
     .options = athi_options_##name_,                                                                        \
     .opts_size = sizeof(ath_##name_##_opts),                                                                \
     .impl = &athi_layer_##name_,                                                                            \
     .main_option = main},
#define PLAIN(name_, text) {.name = #name_, .doc = text, .impl = &athi_layer_##name_},
static const athi_row rows[] = {ATHI_LAYER_LIST(WITH, PLAIN){0}};
#undef WITH
#undef PLAIN

const athi_kind athi_layers = {"layer", "layers", rows};
