/* Short forms of the option rows that many layers share. Each expands to one row and declares nothing. */
#ifndef ATHI_ROWS_H
#define ATHI_ROWS_H

#include "nn/net.h"

#define ATHI_ROW_INITIALIZER(T, field, of, value)                                                            \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_SPEC, .offset = offsetof(T, field), .fallback = (value),            \
        .kind = &athi_initializers, .doc = "initial values of the " of                                       \
    }
#define ATHI_ROW_REGULARIZER(T, field, of)                                                                   \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_SPEC, .offset = offsetof(T, field), .fallback = "null",             \
        .nullable = true, .kind = &athi_regularizers, .doc = "penalty on the " of ", added to the loss"      \
    }
#define ATHI_ROW_ACTIVATION(T)                                                                               \
    {                                                                                                        \
        .name = "activation", .type = ATHI_OPT_SPEC, .offset = offsetof(T, activation), .fallback = "null",  \
        .nullable = true, .kind = &athi_activations, .doc = "function applied to the result"                 \
    }
#define ATHI_ROW_SWITCH(T, field, text)                                                                      \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_SWITCH, .offset = offsetof(T, field), .fallback = "true",           \
        .doc = (text)                                                                                        \
    }
#define ATHI_ROW_BOOL(T, field, text)                                                                        \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_BOOL, .offset = offsetof(T, field), .fallback = "false",            \
        .doc = (text)                                                                                        \
    }
/* A number with its default, legal range (max < min: no upper end), sensible search range and its scale. */
#define ATHI_ROW_FLOAT(T, field, value, low, high, from, to, scale_, text)                                   \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_FLOAT, .offset = offsetof(T, field), .fallback = (value),           \
        .min = (low), .max = (high), .search_min = (from), .search_max = (to), .scale = (scale_),            \
        .doc = (text)                                                                                        \
    }
#define ATHI_ROW_INT(T, field, value, low, high, from, to, scale_, text)                                     \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_INT, .offset = offsetof(T, field), .fallback = (value),             \
        .min = (low), .max = (high), .search_min = (from), .search_max = (to), .scale = (scale_),            \
        .doc = (text)                                                                                        \
    }
/* Height and width; one integer stands for both. */
#define ATHI_ROW_PAIR(T, field, value, text)                                                                 \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_INTS, .offset = offsetof(T, field), .fallback = (value), .min = 1,  \
        .max = 0, .repeat = 2, .doc = (text)                                                                 \
    }
#define ATHI_ROW_ENUM(T, field, value, list, text)                                                           \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_ENUM, .offset = offsetof(T, field), .fallback = (value),            \
        .names = (list), .doc = (text)                                                                       \
    }

#endif
