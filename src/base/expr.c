/* Expressions: numbers, names, texts in quotes, + - * / // % **, comparisons, and, or, not, and a table of functions;
 * nothing else can be called, changed or reached. Whole numbers stay whole but for `/`; // and % round towards minus
 * infinity.
 *
 *   either     = both { or both }                   product    = unary { (* / // %) unary }
 *   both       = negation { and negation }          unary      = [+ -] unary | power
 *   negation   = not negation | comparison          power      = atom [ ** unary ]
 *   comparison = sum [ (< <= > >= == !=) sum ]      atom       = number | text | name | function(…) | (either)
 *   sum        = product { (+ -) product }          */
#include "base/expr.h"

#include <ctype.h>
#include <math.h>

enum { NESTED_MAX = 64, ARGUMENTS_MAX = 16, NAME_MAX_LENGTH = 256 };

typedef enum kind { WHOLE, REAL, TRUTH, TEXT } kind;

typedef struct number {
    kind kind;
    double value;
    const char *text; /* TEXT: not ended by a zero */
    size_t length;
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
    if (n->kind == TEXT) return fail(s, at, "%s takes numbers, not texts", what);
    if (!isfinite(n->value)) return fail(s, at, "%s has no finite value here", what);
    if (n->kind == WHOLE && fabs(n->value) > 0x1p53) return fail(s, at, "%s gives an integer beyond 2^53", what);
    return ATH_OK;
}

static bool same_text(const number *a, const number *b) {
    return a->kind == b->kind && a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static ath_status apply(parser *s, const char *at, const binary *op, number *a, const number *b) {
    if (a->kind == TEXT || b->kind == TEXT) {
        if (op->compute != equal && op->compute != not_equal)
            return fail(s, at, "a text can be compared by == and != only");
        *a = (number){.kind = TRUTH, .value = same_text(a, b) == (op->compute == equal)};
        return ATH_OK;
    }
    if (op->divides && b->value == 0) return fail(s, at, "division by zero");
    a->kind = result_kind(op->result, a->kind != REAL && b->kind != REAL);
    a->value = op->compute(a->value, b->value);
    return check(s, at, op->token, a);
}

/* ---- atoms --------------------------------------------------------------------------------------- */

static ath_status either(parser *s, number *out);
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
    *out = (number){.kind = real ? REAL : WHOLE, .value = athi_strtod(text, NULL)};
    s->p = p;
    return check(s, start, "the number", out);
}

static ath_status call(parser *s, const char *at, const function *f, number *out) {
    number a;
    bool whole = true;
    for (int n = 0;; n++) {
        if (n == ARGUMENTS_MAX) return fail(s, s->p, "at most %d arguments", ARGUMENTS_MAX);
        ATH_TRY(either(s, &a));
        if (a.kind == TEXT) return fail(s, at, "%s takes numbers, not texts", f->name);
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
    athi_operand operand = {0};
    ath_status status = s->names->value(s->names->user, s->ctx, text, &operand);
    *out = (number){.kind = operand.whole ? WHOLE : REAL, .value = operand.number};
    if (operand.text) *out = (number){.kind = TEXT, .text = operand.text, .length = strlen(operand.text)};
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    return athi_fail_prefix(s->ctx, status, "at character %d of \"%.60s\"", (int)(start - s->text) + 1, s->text);
}

/* 'adam' or "adam"; nothing is escaped. */
static ath_status quoted(parser *s, number *out) {
    const char *start = s->p + 1, *end = strchr(start, *s->p);
    if (!end) return fail(s, s->p, "the text has no end; expected a second %c", *s->p);
    *out = (number){.kind = TEXT, .text = start, .length = (size_t)(end - start)};
    s->p = end + 1;
    return ATH_OK;
}

static ath_status atom(parser *s, number *out) {
    skip_space(s);
    const char *start = s->p;
    unsigned char c = (unsigned char)*start;
    if (take(s, "(")) {
        ATH_TRY(either(s, out));
        return take(s, ")") ? ATH_OK
                            : fail(s, s->p, "expected ')' for the '(' at character %d", (int)(start - s->text) + 1);
    }
    if (isdigit(c) || (c == '.' && isdigit((unsigned char)start[1]))) return literal(s, out);
    if (isalpha(c) || c == '_') return name(s, out);
    if (c == '\'' || c == '"') return quoted(s, out);
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
    if (out->kind == TEXT || exponent.kind == TEXT) return fail(s, at, "** takes numbers, not texts");
    bool whole = out->kind != REAL && exponent.kind != REAL && exponent.value >= 0;
    *out = (number){.kind = whole ? WHOLE : REAL, .value = pow(out->value, exponent.value)};
    return check(s, at, "**", out);
}

static ath_status unary(parser *s, number *out) {
    if (++s->depth > NESTED_MAX) return fail(s, s->p, "nested deeper than %d", NESTED_MAX);
    ath_status status;
    bool minus = take(s, "-");
    if (minus || take(s, "+")) {
        const char *at = s->p;
        status = unary(s, out);
        if (status == ATH_OK && out->kind == TEXT) status = fail(s, at, "a text has no sign");
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

/* A word, not the beginning of a longer name. */
static bool take_word(parser *s, const char *word) {
    skip_space(s);
    size_t n = strlen(word);
    unsigned char after = strncmp(s->p, word, n) == 0 ? (unsigned char)s->p[n] : 'x';
    if (isalnum(after) || after == '_' || after == '.') return false;
    s->p += n;
    return true;
}

static ath_status truth(parser *s, const char *at, number *n) {
    if (n->kind == TEXT) return fail(s, at, "a text is neither true nor false; compare it by == or !=");
    *n = (number){.kind = TRUTH, .value = n->value != 0};
    return ATH_OK;
}

static ath_status negation(parser *s, number *out) {
    if (!take_word(s, "not")) return comparison(s, out);
    if (++s->depth > NESTED_MAX) return fail(s, s->p, "nested deeper than %d", NESTED_MAX);
    const char *at = s->p;
    ATH_TRY(negation(s, out));
    s->depth--;
    ATH_TRY(truth(s, at, out));
    out->value = out->value == 0;
    return ATH_OK;
}

/* Both sides are computed in any case, so that a mistake in the second shows. */
static ath_status joined(parser *s, const char *word, ath_status (*operand)(parser *, number *), number *out) {
    const char *at = s->p;
    ATH_TRY(operand(s, out));
    while (take_word(s, word)) {
        number b;
        const char *second = s->p;
        ATH_TRY(truth(s, at, out));
        ATH_TRY(operand(s, &b));
        ATH_TRY(truth(s, second, &b));
        out->value = *word == 'a' ? out->value != 0 && b.value != 0 : out->value != 0 || b.value != 0;
    }
    return ATH_OK;
}

static ath_status both(parser *s, number *out) { return joined(s, "and", negation, out); }
static ath_status either(parser *s, number *out) { return joined(s, "or", both, out); }

/* ---- whole texts --------------------------------------------------------------------------------- */

static ath_status compute(ath_ctx *ctx, const char *text, const athi_names *names, number *n) {
    parser s = {.ctx = ctx, .text = text, .p = text, .names = names};
    *n = (number){.kind = REAL};
    ATH_TRY(either(&s, n));
    skip_space(&s);
    if (*s.p) return fail(&s, s.p, "expected an operator or the end");
    return n->kind == TEXT ? fail(&s, text, "expected a number or a comparison, got a text") : ATH_OK;
}

ath_status athi_expr(ath_ctx *ctx, athi_arena *arena, const char *text, const athi_names *names, athi_value **out) {
    number n;
    *out = NULL;
    ATH_TRY(compute(ctx, text, names, &n));
    *out = n.kind == TRUTH   ? athi_value_bool(arena, n.value != 0)
           : n.kind == WHOLE ? athi_value_int(arena, (int64_t)n.value)
                             : athi_value_float(arena, n.value);
    return *out ? ATH_OK : ATH_E_NOMEM;
}

ath_status athi_expr_holds(ath_ctx *ctx, const char *text, const athi_names *names, bool *holds) {
    number n;
    ATH_TRY(compute(ctx, text, names, &n));
    *holds = n.value != 0;
    return ATH_OK;
}
