/* Derived constants: `!expr "2 * width"`. Numbers, names of parameters, + - * / // % **, comparisons, and a
 * table of functions; nothing else can be called, changed or reached. Whole numbers stay whole but for `/`;
 * // and % round towards minus infinity.
 *
 *   comparison = sum [ (< <= > >= == !=) sum ]      sum   = product { (+ -) product }
 *   product    = unary { (* / // %) unary }         unary = [+ -] unary | power
 *   power      = atom [ ** unary ]                  atom  = number | name | function(…) | (comparison) */
#include "recipe/internal.h"

#include <ctype.h>
#include <math.h>

enum { NESTED_MAX = 64, ARGUMENTS_MAX = 16, NAME_MAX_LENGTH = 256 };

typedef enum kind { WHOLE, REAL, TRUTH } kind;

typedef struct number {
    kind kind;
    double value;
} number;

typedef struct parser {
    ath_ctx *ctx;
    const char *text, *p;
    const athi_names *names;
    int depth;
} parser;

static ath_status fail(parser *s, const char *at, const char *fmt, ...) ATHI_PRINTF(3, 4);
static ath_status fail(parser *s, const char *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ath_status status = athi_failv(s->ctx, ATH_E_OPTION, fmt, args);
    va_end(args);
    return athi_fail_prefix(s->ctx, status, "at character %d of \"%.60s\"", (int)(at - s->text) + 1, s->text);
}

static void skip_space(parser *s) {
    while (isspace((unsigned char)*s->p)) s->p++;
}

static bool take(parser *s, const char *token) {
    skip_space(s);
    size_t n = strlen(token);
    if (strncmp(s->p, token, n) != 0) return false;
    s->p += n;
    return true;
}

/* ---- arithmetic ---------------------------------------------------------------------------------- */

static double add(double a, double b) { return a + b; }
static double subtract(double a, double b) { return a - b; }
static double multiply(double a, double b) { return a * b; }
static double divide(double a, double b) { return a / b; }
static double divide_down(double a, double b) { return floor(a / b); }
static double modulo(double a, double b) { return a - b * floor(a / b); }
static double less(double a, double b) { return a < b; }
static double less_equal(double a, double b) { return a <= b; }
static double greater(double a, double b) { return a > b; }
static double greater_equal(double a, double b) { return a >= b; }
static double equal(double a, double b) { return a == b; }
static double not_equal(double a, double b) { return a != b; }
static double lowest(double a, double b) { return a < b ? a : b; }
static double highest(double a, double b) { return a > b ? a : b; }
static double to_even(double a) { return nearbyint(a); }

typedef enum result { RESULT_AS_OPERANDS, RESULT_REAL, RESULT_WHOLE, RESULT_TRUTH } result;

typedef struct binary {
    const char *token;
    double (*compute)(double a, double b);
    result result;
    bool divides;
} binary;

/* Longer tokens first. */
static const binary comparisons[] = {{"<=", less_equal, RESULT_TRUTH, false},
                                     {">=", greater_equal, RESULT_TRUTH, false},
                                     {"==", equal, RESULT_TRUTH, false},
                                     {"!=", not_equal, RESULT_TRUTH, false},
                                     {"<", less, RESULT_TRUTH, false},
                                     {">", greater, RESULT_TRUTH, false},
                                     {0}};
static const binary sums[] = {{"+", add, RESULT_AS_OPERANDS, false}, {"-", subtract, RESULT_AS_OPERANDS, false}, {0}};
static const binary products[] = {{"//", divide_down, RESULT_AS_OPERANDS, true},
                                  {"*", multiply, RESULT_AS_OPERANDS, false},
                                  {"/", divide, RESULT_REAL, true},
                                  {"%", modulo, RESULT_AS_OPERANDS, true},
                                  {0}};

typedef struct function {
    const char *name;
    double (*one)(double a);
    double (*fold)(double a, double b); /* any number of arguments */
    result result;
} function;

static const function functions[] = {
    {"min", NULL, lowest, RESULT_AS_OPERANDS}, {"max", NULL, highest, RESULT_AS_OPERANDS},
    {"round", to_even, NULL, RESULT_WHOLE},    {"floor", floor, NULL, RESULT_WHOLE},
    {"ceil", ceil, NULL, RESULT_WHOLE},        {"abs", fabs, NULL, RESULT_AS_OPERANDS},
    {"log", log, NULL, RESULT_REAL},           {"exp", exp, NULL, RESULT_REAL},
    {"sqrt", sqrt, NULL, RESULT_REAL},
};

static kind result_kind(result r, bool all_whole) {
    if (r == RESULT_AS_OPERANDS) return all_whole ? WHOLE : REAL;
    return r == RESULT_WHOLE ? WHOLE : r == RESULT_TRUTH ? TRUTH : REAL;
}

static ath_status check(parser *s, const char *at, const char *what, number *n) {
    if (!isfinite(n->value)) return fail(s, at, "%s has no finite value here", what);
    if (n->kind == WHOLE && fabs(n->value) > 0x1p53) return fail(s, at, "%s gives an integer beyond 2^53", what);
    return ATH_OK;
}

static ath_status apply(parser *s, const char *at, const binary *op, number *a, const number *b) {
    if (op->divides && b->value == 0) return fail(s, at, "division by zero");
    a->kind = result_kind(op->result, a->kind != REAL && b->kind != REAL);
    a->value = op->compute(a->value, b->value);
    return check(s, at, op->token, a);
}

/* ---- atoms --------------------------------------------------------------------------------------- */

static ath_status comparison(parser *s, number *out);
static ath_status unary(parser *s, number *out);

static ath_status literal(parser *s, number *out) {
    const char *start = s->p, *p = start;
    while (isdigit((unsigned char)*p)) p++;
    bool real = *p == '.' || *p == 'e' || *p == 'E';
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p);) p++;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (!isdigit((unsigned char)*p)) return fail(s, p, "expected the digits of an exponent");
        while (isdigit((unsigned char)*p)) p++;
    }
    if (isalpha((unsigned char)*p) || *p == '_' || *p == '.')
        return fail(s, p, "expected an operator after the number");
    char text[64];
    if (p - start >= (int)sizeof text) return fail(s, start, "the number is too long");
    memcpy(text, start, (size_t)(p - start));
    text[p - start] = 0;
    *out = (number){real ? REAL : WHOLE, athi_strtod(text, NULL)};
    s->p = p;
    return check(s, start, "the number", out);
}

static ath_status call(parser *s, const char *at, const function *f, number *out) {
    number a;
    bool whole = true;
    for (int n = 0;; n++) {
        if (n == ARGUMENTS_MAX) return fail(s, s->p, "at most %d arguments", ARGUMENTS_MAX);
        ATH_TRY(comparison(s, &a));
        whole = whole && a.kind != REAL;
        out->value = n ? f->fold(out->value, a.value) : f->one ? f->one(a.value) : a.value;
        if (f->fold && take(s, ",")) continue;
        break;
    }
    if (!take(s, ")"))
        return fail(s, s->p, f->fold ? "expected ',' or ')'" : "expected ')': %s takes one argument", f->name);
    out->kind = result_kind(f->result, whole);
    return check(s, at, f->name, out);
}

/* A parameter's name: segments joined by dots, the later ones may be numbers. */
static ath_status name(parser *s, number *out) {
    const char *start = s->p, *p = start;
    while (isalnum((unsigned char)*p) || *p == '_' || (*p == '.' && (isalnum((unsigned char)p[1]) || p[1] == '_')))
        p++;
    char text[NAME_MAX_LENGTH];
    if (p - start >= (int)sizeof text) return fail(s, start, "the name is too long");
    memcpy(text, start, (size_t)(p - start));
    text[p - start] = 0;
    s->p = p;
    if (take(s, "(")) {
        for (int i = 0; i < ATHI_COUNT(functions); i++)
            if (strcmp(functions[i].name, text) == 0) return call(s, start, &functions[i], out);
        const char *near = athi_nearest(text, functions, ATHI_COUNT(functions), sizeof *functions);
        return fail(s, start,
                    "'%.60s' is no function%s%s%s; there are min, max, round, floor, ceil, abs, log, exp, sqrt", text,
                    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    }
    bool whole = false;
    ath_status status = s->names->value(s->names->user, s->ctx, text, &out->value, &whole);
    out->kind = whole ? WHOLE : REAL;
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    return athi_fail_prefix(s->ctx, status, "at character %d of \"%.60s\"", (int)(start - s->text) + 1, s->text);
}

static ath_status atom(parser *s, number *out) {
    skip_space(s);
    const char *start = s->p;
    unsigned char c = (unsigned char)*start;
    if (take(s, "(")) {
        ATH_TRY(comparison(s, out));
        return take(s, ")") ? ATH_OK
                            : fail(s, s->p, "expected ')' for the '(' at character %d", (int)(start - s->text) + 1);
    }
    if (isdigit(c) || (c == '.' && isdigit((unsigned char)start[1]))) return literal(s, out);
    if (isalpha(c) || c == '_') return name(s, out);
    if (!c) return fail(s, start, "expected a number or a name, but it ends");
    return fail(s, start, "expected a number or a name, got '%c'", isprint(c) ? c : '?');
}

/* ---- operators ----------------------------------------------------------------------------------- */

static ath_status power(parser *s, number *out) {
    number exponent;
    ATH_TRY(atom(s, out));
    skip_space(s);
    const char *at = s->p;
    if (!take(s, "**")) return ATH_OK;
    ATH_TRY(unary(s, &exponent));
    bool whole = out->kind != REAL && exponent.kind != REAL && exponent.value >= 0;
    *out = (number){whole ? WHOLE : REAL, pow(out->value, exponent.value)};
    return check(s, at, "**", out);
}

static ath_status unary(parser *s, number *out) {
    if (++s->depth > NESTED_MAX) return fail(s, s->p, "nested deeper than %d", NESTED_MAX);
    ath_status status;
    bool minus = take(s, "-");
    if (minus || take(s, "+")) {
        status = unary(s, out);
        if (out->kind == TRUTH) out->kind = WHOLE;
        if (minus && status == ATH_OK) out->value = 0 - out->value;
    } else {
        status = power(s, out);
    }
    s->depth--;
    return status;
}

static ath_status chain(parser *s, const binary *ops, ath_status (*operand)(parser *, number *), bool once,
                        number *out) {
    ATH_TRY(operand(s, out));
    for (;;) {
        number b;
        skip_space(s);
        const char *at = s->p;
        const binary *op = ops;
        while (op->token && !take(s, op->token)) op++;
        if (!op->token) return ATH_OK;
        ATH_TRY(operand(s, &b));
        ATH_TRY(apply(s, at, op, out, &b));
        if (once) return ATH_OK;
    }
}

static ath_status product(parser *s, number *out) { return chain(s, products, unary, false, out); }
static ath_status sum(parser *s, number *out) { return chain(s, sums, product, false, out); }
static ath_status comparison(parser *s, number *out) { return chain(s, comparisons, sum, true, out); }

ath_status athi_expr(ath_ctx *ctx, athi_arena *arena, const char *text, const athi_names *names, athi_value **out) {
    *out = NULL;
    parser s = {.ctx = ctx, .text = text, .p = text, .names = names};
    number n = {REAL, 0};
    ATH_TRY(comparison(&s, &n));
    skip_space(&s);
    if (*s.p) return fail(&s, s.p, "expected an operator or the end");
    *out = n.kind == TRUTH   ? athi_value_bool(arena, n.value != 0)
           : n.kind == WHOLE ? athi_value_int(arena, (int64_t)n.value)
                             : athi_value_float(arena, n.value);
    return *out ? ATH_OK : ATH_E_NOMEM;
}
