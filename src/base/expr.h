/* Expressions over named values: derived constants (`!expr "2 * width"`) and constraints between parameters
 * ("layers * units <= 512 or optimizer == 'sgd'"). They compute and do nothing else. */
#ifndef ATHI_EXPR_H
#define ATHI_EXPR_H

#include "base/value.h"

/* What a name stands for: a number, or a text, which can be compared by == and != only. */
typedef struct athi_operand {
    double number;
    bool whole;
    const char *text; /* NULL: it is the number */
} athi_operand;

/** A name's operand; when there is none, a status with a sentence on the context. */
typedef struct athi_names {
    ath_status (*value)(void *user, ath_ctx *ctx, const char *name, athi_operand *operand);
    void *user;
} athi_names;

/** Computes `text` to an int, a float or a bool; the sentence of an error names the column in it. */
ath_status athi_expr(ath_ctx *ctx, athi_arena *arena, const char *text, const athi_names *names, athi_value **out);
/** Whether `text` holds: its value is not 0. Allocates nothing. */
ath_status athi_expr_holds(ath_ctx *ctx, const char *text, const athi_names *names, bool *holds);

#endif
