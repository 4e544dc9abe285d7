/* The checks of the sweep. */
#include "backends/sweep.h"

#include "base/philox.h"

#include <math.h>
#include <stdio.h>

enum { MAX_CHECKED = 48 /* elements of an input that finite differences look at */ };

/* What the floating inputs are. bf16 ones are made from f32 variables by casts, as in models. */
typedef enum numbers {
    IN_F32,
    IN_F64,
    IN_BF16,    /* those of the op's compute type */
    IN_ROUNDED, /* the same values, in f32 */
} numbers;

typedef struct program {
    ath_ctx *ctx;
    athi_graph *graph;
    athi_plan *plan;
    athi_spaces spaces;
    int64_t block_bytes;
    char *start; /* the block before the first run */
    athi_variable *in[SWEEP_INPUTS];
    athi_variable *loss;
} program;

/* ---- values -------------------------------------------------------------------------------------- */

static double away_from_kinks(const sweep_input *in, double x) {
    for (int i = 0; i < in->n_kinks; i++)
        if (fabs(x - in->kinks[i]) < 0.05) return in->kinks[i] + (x < in->kinks[i] ? -0.05 : 0.05);
    return x;
}

static double draw(const sweep_input *in, int index, athi_rng *rng, int64_t i, int64_t n) {
    const double u = athi_rng_uniform(rng);
    switch (in->fill) {
    case SWEEP_DISTINCT: {
        int64_t step = n % 7 ? 7 : n % 11 ? 11 : 13; /* coprime with n for the sizes in use: a permutation */
        return away_from_kinks(in, in->low + (in->high - in->low) * ((double)(i * step % n) + 0.5) / (double)n);
    }
    case SWEEP_GRID: return floor(u * 20 - 10) * 0.2 + (index % 2) * 0.1;
    case SWEEP_TIES: return floor(u * 5 - 2) * 0.5;
    case SWEEP_SIMPLEX: return u + 0.1;
    case SWEEP_ONE_HOT: return 0;
    case SWEEP_BITS: return u < 0.5;
    case SWEEP_INTEGERS: return floor(in->low + u * (in->high - in->low));
    case SWEEP_COUNTERS: return i ? 7 : 12345;
    case SWEEP_UNIFORM: break;
    }
    return away_from_kinks(in, in->low + u * (in->high - in->low));
}

static void put(void *data, ath_dtype type, int64_t i, double x) {
    switch (type) {
    case ATH_F64: ((double *)data)[i] = x; break;
    case ATH_I32: ((int32_t *)data)[i] = (int32_t)x; break;
    case ATH_I64: ((int64_t *)data)[i] = (int64_t)x; break;
    case ATH_U8: ((uint8_t *)data)[i] = (uint8_t)x; break;
    case ATH_I8: ((int8_t *)data)[i] = (int8_t)x; break;
    default: ((float *)data)[i] = (float)x; break;
    }
}

static double get(const void *data, ath_dtype type, int64_t i) {
    switch (type) {
    case ATH_F64: return ((const double *)data)[i];
    case ATH_I32: return ((const int32_t *)data)[i];
    case ATH_I64: return (double)((const int64_t *)data)[i];
    case ATH_U8: return ((const uint8_t *)data)[i];
    case ATH_I8: return ((const int8_t *)data)[i];
    default: return (double)((const float *)data)[i];
    }
}

static void normalise_rows(void *data, ath_dtype type, int64_t rows, int64_t C) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < C; c++) sum += get(data, type, r * C + c);
        for (int64_t c = 0; c < C; c++) put(data, type, r * C + c, get(data, type, r * C + c) / sum);
    }
}

static void fill(const sweep_input *in, int index, void *data, ath_dtype type) {
    const int64_t n = athi_shape_count(in->shape), C = in->shape.rank ? in->shape.dim[in->shape.rank - 1] : 1;
    athi_rng rng = athi_rng_at(99, ATHI_PURPOSE(ATHI_RNG_TEST, index));
    for (int64_t i = 0; i < n; i++) put(data, type, i, draw(in, index, &rng, i, n));
    if (in->fill == SWEEP_SIMPLEX) normalise_rows(data, type, n / C, C);
    if (in->fill == SWEEP_ONE_HOT)
        for (int64_t r = 0; r < n / C; r++) put(data, type, r * C + (int64_t)athi_rng_below(&rng, (uint64_t)C), 1);
}

/* ---- programs ------------------------------------------------------------------------------------ */

static bool has_gradient(const sweep_case *c) { return c->becomes || athi_op_table[c->op].grad != NULL; }

static ath_dtype type_of(const sweep_input *in, numbers form) {
    return in->dtype == ATH_F32 && form == IN_F64 ? ATH_F64 : in->dtype;
}

static ath_tensor *widened(athi_graph *g, ath_tensor *t) {
    return t->dtype == ATH_BF16 ? athi_cast(g, t, ATH_F32) : t;
}
static ath_tensor *rounded(athi_graph *g, ath_tensor *t) { return widened(g, athi_cast(g, t, ATH_BF16)); }

static ath_tensor *input_of(athi_graph *g, const sweep_case *c, int i, athi_variable *v, numbers form) {
    ath_tensor *t = athi_variable_tensor(g, v);
    if (form < IN_BF16 || i >= athi_op_table[c->op].compute || t->dtype != ATH_F32) return t;
    return form == IN_BF16 ? athi_cast(g, t, ATH_BF16) : rounded(g, t);
}

/* output -> variable "y<k>" */
static void keep_output(athi_graph *g, ath_tensor *y, int k) {
    char name[16];
    y = widened(g, y);
    snprintf(name, sizeof name, "y%d", k);
    athi_variable *v = athi_variable_add(g, name, y->shape, y->dtype, ATHI_STATISTIC);
    if (v) athi_op2(g, ATHI_OP_MOVE_TOWARDS, athi_variable_tensor(g, v), y, &(athi_attr){.norm = {0}});
}

/* sum(y * random); the random numbers are y's gradient, and the same in bf16. */
static ath_tensor *loss_of(athi_graph *g, ath_tensor *y, int k, numbers form) {
    char name[16];
    y = widened(g, y);
    snprintf(name, sizeof name, "r%d", k);
    athi_variable *v = athi_variable_add(g, name, y->shape, y->dtype, ATHI_STATISTIC);
    if (!v) return &g->poison;
    ath_tensor *r = athi_variable_tensor(g, v);
    ath_tensor *product = athi_op2(g, ATHI_OP_MUL, y, form >= IN_BF16 ? rounded(g, r) : r, NULL);
    return athi_op1(g, ATHI_OP_SUM, product, &(athi_attr){.axes = {.mask = (1u << y->shape.rank) - 1}});
}

static ath_status build(program *p, const sweep_case *c, numbers form) {
    athi_graph *g = p->graph;
    ath_tensor *in[SWEEP_INPUTS] = {0};
    for (int i = 0; i < c->n_in; i++) {
        const char *names[] = {"x0", "x1", "x2", "x3", "x4", "x5"};
        const ath_dtype type = type_of(&c->in[i], form);
        const bool wanted = has_gradient(c) && !c->in[i].fixed && c->in[i].dtype == ATH_F32;
        p->in[i] = athi_variable_add(g, names[i], c->in[i].shape, type, wanted ? ATHI_TRAINABLE : ATHI_STATISTIC);
        in[i] = input_of(g, c, i, p->in[i], form);
    }
    ath_tensor *y = c->build ? c->build(g, c, in) : athi_node_add(g, c->op, in, c->n_in, &c->attr);
    ATH_TRY(athi_graph_check(g));
    athi_node *node = y->node;
    for (int k = 0; k < node->n_out; k++)
        if (athi_dtype_is_float(node->out[k].dtype)) keep_output(g, &node->out[k], k);
    if (has_gradient(c)) {
        for (int k = 0; k < ATHI_MAX(c->loss_outputs, 1); k++) {
            ath_tensor *term = loss_of(g, &node->out[k], k, form);
            g->loss = g->loss ? athi_op2(g, ATHI_OP_ADD, g->loss, term, NULL) : term;
        }
        p->loss = athi_variable_add(g, "loss", athi_dims(2), ATH_F64, ATHI_TRAIN);
        athi_op2(g, ATHI_OP_ACCUMULATE, athi_variable_tensor(g, p->loss), g->loss, NULL);
    }
    return athi_graph_check(g);
}

/* The trainable variables first, everything aligned, all filled. */
static ath_status lay_out(program *p, const sweep_case *c) {
    athi_graph *g = p->graph;
    int64_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < g->n_variables; i++) {
            athi_variable *v = g->variables[i];
            if ((v->role == ATHI_TRAINABLE) != (pass == 0)) continue;
            v->offset = at;
            at += (athi_shape_count(v->shape) * athi_dtype_size(v->dtype) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
        }
        if (pass == 0) p->spaces.trainable_bytes = at;
    }
    p->block_bytes = at;
    p->spaces.block = athi_alloc(p->ctx, at);
    p->start = athi_alloc(p->ctx, at);
    p->spaces.grads = athi_alloc(p->ctx, p->spaces.trainable_bytes);
    if (!p->spaces.block || !p->start || !p->spaces.grads) return ATH_E_NOMEM;
    for (int i = 0; i < c->n_in; i++) fill(&c->in[i], i, p->start + p->in[i]->offset, p->in[i]->dtype);
    const sweep_input random = {.low = 0.5, .high = 1.5};
    for (int64_t i = 0; i < g->n_variables; i++) {
        sweep_input like = random;
        like.shape = g->variables[i]->shape;
        const bool slot = strncmp(g->variables[i]->name, "optimizer/", 10) == 0;
        if (slot || g->variables[i]->name[0] == 'r')
            fill(&like, 100 + (int)i, p->start + g->variables[i]->offset, g->variables[i]->dtype);
    }
    return ATH_OK;
}

static void program_close(program *p) {
    athi_plan_destroy(p->plan);
    athi_free(p->ctx, p->spaces.slab);
    athi_free(p->ctx, p->spaces.block);
    athi_free(p->ctx, p->spaces.grads);
    athi_free(p->ctx, p->start);
    athi_graph_destroy(p->graph);
    *p = (program){0};
}

static ath_status program_open(program *p, ath_ctx *ctx, const sweep_case *c, const athi_backend *backend,
                               numbers form) {
    *p = (program){.ctx = ctx};
    ath_status status;
    /* emit's user is the case, which it does not change */
    union {
        const sweep_case *from;
        void *to;
    } user = {.from = c};
    ATH_GOTO(status, failed, athi_graph_create(ctx, &p->graph));
    ATH_GOTO(status, failed, build(p, c, form));
    ATH_GOTO(status, failed, lay_out(p, c));
    athi_compile_opts opts = {.mode = p->graph->loss ? ATHI_MODE_TRAIN : ATHI_MODE_EVALUATE,
                              .backend = backend,
                              .threads = 1,
                              .emit_update = c->emit,
                              .user = user.to};
    ATH_GOTO(status, failed, athi_compile(p->graph, &opts, &p->plan));
    p->spaces.slab = athi_alloc(ctx, athi_plan_slab_bytes(p->plan));
    status = p->spaces.slab ? ATH_OK : ATH_E_NOMEM;
    if (status != ATH_OK) goto failed;
    ATH_GOTO(status, failed, athi_plan_bind(p->plan, &p->spaces));
    return ATH_OK;
failed:
    program_close(p);
    return status;
}

static void program_run(program *p) {
    memcpy(p->spaces.block, p->start, (size_t)p->block_bytes);
    memset(p->spaces.grads, 0, (size_t)p->spaces.trainable_bytes);
    athi_plan_run(p->plan);
}

static double loss_value(const program *p) { return ((const double *)(p->spaces.block + p->loss->offset))[0]; }

/* ---- checks -------------------------------------------------------------------------------------- */

static const char *note(const sweep_case *c) { return c->note ? c->note : ""; }

/* Adds the node alone to a new graph; ATH_OK or the refusal, whose sentence is in `sentence`. */
static ath_status try_node(ath_ctx *ctx, const sweep_case *c, int n_in, bool wrong, char sentence[SWEEP_MESSAGE]) {
    athi_graph *g = NULL;
    ATH_TRY(athi_graph_create(ctx, &g));
    ath_tensor *in[SWEEP_INPUTS + 1];
    for (int i = 0; i < n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        const sweep_input *given = &c->in[ATHI_MIN(i, ATHI_MAX(c->n_in - 1, 0))];
        athi_shape shape = wrong && !c->wrong_attr && i == c->wrong_in ? c->wrong : given->shape;
        in[i] = athi_variable_tensor(g, athi_variable_add(g, name, shape, given->dtype, ATHI_STATISTIC));
    }
    athi_node_add(g, c->op, in, n_in, wrong && c->wrong_attr ? &c->wrong_attrs : &c->attr);
    ath_status status = athi_graph_check(g);
    snprintf(sentence, SWEEP_MESSAGE, "%s", status == ATH_OK ? "" : ath_errmsg(ctx));
    athi_graph_destroy(g);
    return status;
}

bool sweep_check_shapes(ath_ctx *ctx, const sweep_case *c, char message[SWEEP_MESSAGE]) {
    char sentence[SWEEP_MESSAGE];
    const char *name = athi_op_name(c->op);
    if (!c->build && try_node(ctx, c, c->n_in, false, sentence) != ATH_OK) {
        snprintf(message, SWEEP_MESSAGE, "%s %s: refused: %.300s", name, note(c), sentence);
        return false;
    }
    const bool too_many = athi_op_table[c->op].max_in < SWEEP_INPUTS;
    if (too_many && try_node(ctx, c, athi_op_table[c->op].max_in + 1, false, sentence) == ATH_OK) {
        snprintf(message, SWEEP_MESSAGE, "%s %s: took an input too many", name, note(c));
        return false;
    }
    if (c->any_shape || c->build) return true;
    const ath_status status = try_node(ctx, c, c->n_in, true, sentence);
    if (status == ATH_E_SHAPE && strstr(sentence, name) && strstr(sentence, "expected")) return true;
    snprintf(message, SWEEP_MESSAGE, "%s %s: the wrong shape gave %s: '%.300s'", name, note(c),
             ath_status_text(status), sentence);
    return false;
}

static bool far_apart(double a, double b, double tolerance) {
    if (isnan(a) || isnan(b)) return !(isnan(a) && isnan(b));
    return a != b && !(fabs(a - b) <= tolerance * (1 + fabs(a)));
}

/* All variables, and the gradients of the trainable ones. A loss over bf16 sums up the roundings of values that are
 * compared themselves. */
static bool programs_agree(const program *a, const program *b, double tolerance, bool with_loss,
                           char message[SWEEP_MESSAGE]) {
    for (int64_t i = 0; i < a->graph->n_variables; i++) {
        const athi_variable *v = a->graph->variables[i], *w = b->graph->variables[i];
        const int64_t n = athi_shape_count(v->shape);
        if (v == a->loss && !with_loss) continue;
        for (int what = 0; what < (v->role == ATHI_TRAINABLE ? 2 : 1); what++) {
            const char *from = what ? a->spaces.grads : a->spaces.block,
                       *to = what ? b->spaces.grads : b->spaces.block;
            for (int64_t k = 0; k < n; k++) {
                const double x = get(from + v->offset, v->dtype, k), y = get(to + w->offset, w->dtype, k);
                if (!far_apart(x, y, tolerance)) continue;
                snprintf(message, SWEEP_MESSAGE, "%s%s[%lld]: expected %.9g, got %.9g", what ? "gradient of " : "",
                         v->name, (long long)k, x, y);
                return false;
            }
        }
    }
    return true;
}

/* Runs the case on both and compares. */
static bool compare(ath_ctx *ctx, const sweep_case *c, const athi_backend *first, numbers first_form,
                    const athi_backend *second, numbers second_form, double tolerance, char message[SWEEP_MESSAGE]) {
    program a, b;
    char difference[SWEEP_MESSAGE - 128] = "";
    const char *name = athi_op_name(c->op);
    if (program_open(&a, ctx, c, first, first_form) != ATH_OK) {
        snprintf(message, SWEEP_MESSAGE, "%s %s on %s: %.300s", name, note(c), first->name, ath_errmsg(ctx));
        return false;
    }
    if (program_open(&b, ctx, c, second, second_form) != ATH_OK) {
        snprintf(message, SWEEP_MESSAGE, "%s %s on %s: %.300s", name, note(c), second->name, ath_errmsg(ctx));
        program_close(&a);
        return false;
    }
    program_run(&a);
    program_run(&b);
    char text[SWEEP_MESSAGE];
    const bool agree = programs_agree(&a, &b, tolerance, second_form != IN_BF16, text);
    if (!agree) {
        snprintf(difference, sizeof difference, "%.300s", text);
        snprintf(message, SWEEP_MESSAGE, "%s %s on %s: %s", name, note(c), second->name, difference);
    }
    program_close(&a);
    program_close(&b);
    return agree;
}

static const athi_backend *reference(ath_ctx *ctx) {
    const athi_backend *ref = NULL;
    return athi_backend_find(ctx, "ref", &ref) == ATH_OK ? ref : NULL;
}

bool sweep_check_types(ath_ctx *ctx, const sweep_case *c, char message[SWEEP_MESSAGE]) {
    const athi_backend *ref = reference(ctx);
    return compare(ctx, c, ref, IN_F64, ref, IN_F32, 1e-4, message);
}

bool sweep_check_backend(ath_ctx *ctx, const sweep_case *c, const athi_backend *other, char message[SWEEP_MESSAGE]) {
    return compare(ctx, c, reference(ctx), IN_F32, other, IN_F32, c->tolerance > 0 ? c->tolerance : 1e-5, message);
}

/* A value is rounded by at most 2^-9 of it, and a gradient may go through several. */
bool sweep_check_bf16(ath_ctx *ctx, const sweep_case *c, const athi_backend *backend, char message[SWEEP_MESSAGE]) {
    const int computes = athi_op_table[c->op].compute;
    if (computes == ATHI_COMPUTE_F32 || computes == ATHI_COMPUTE_ANY) return true;
    return compare(ctx, c, reference(ctx), IN_ROUNDED, backend, IN_BF16, 0x1p-6, message);
}

static double difference_quotient(program *p, double *x) {
    const double at = *x, h = 1e-5 * fmax(1, fabs(at));
    *x = at + h;
    program_run(p);
    const double above = loss_value(p);
    *x = at - h;
    program_run(p);
    const double below = loss_value(p);
    *x = at;
    return (above - below) / (2 * h);
}

bool sweep_check_gradients(ath_ctx *ctx, const sweep_case *c, double distort, char message[SWEEP_MESSAGE]) {
    if (!has_gradient(c) || c->op == ATHI_OP_CLIP_GRADIENTS) return true; /* clipped gradients are no gradients */
    program p;
    const char *name = athi_op_name(c->op);
    if (program_open(&p, ctx, c, reference(ctx), IN_F64) != ATH_OK) {
        snprintf(message, SWEEP_MESSAGE, "%s %s: %.300s", name, note(c), ath_errmsg(ctx));
        return false;
    }
    program_run(&p);
    double *analytic = athi_alloc(ctx, p.spaces.trainable_bytes);
    bool good = analytic != NULL;
    if (good)
        memcpy(analytic, p.spaces.grads, (size_t)p.spaces.trainable_bytes);
    else
        snprintf(message, SWEEP_MESSAGE, "%s: out of memory", name);
    for (int i = 0; good && i < c->n_in; i++) {
        const athi_variable *v = p.in[i];
        if (v->role != ATHI_TRAINABLE) continue;
        const int64_t n = athi_shape_count(v->shape), step = n / MAX_CHECKED + 1;
        for (int64_t k = 0; good && k < n; k += step) {
            const double numeric = difference_quotient(&p, (double *)(p.start + v->offset) + k);
            const double rule = analytic[v->offset / 8 + k] * distort;
            good = !far_apart(numeric, rule, 1e-6);
            if (!good)
                snprintf(message, SWEEP_MESSAGE, "%s %s: d/d%s[%lld]: differences give %.10g, the rule %.10g", name,
                         note(c), v->name, (long long)k, numeric, rule);
        }
    }
    athi_free(ctx, analytic);
    program_close(&p);
    return good;
}
