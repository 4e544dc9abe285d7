/* Kernel choice, layouts and the plan, on backends made here: a blocked convolution, elementwise kernels that take
 * any layout, the reference for the rest. The kernels compute nothing; that plans compute right is test_compile. */
#include "test.h"

#include "passes/passes.h"

static void nothing(const athi_call *call) { (void)call; }

static ath_status make(athi_make *m, const athi_unit *unit, athi_call *call) {
    if (unit->nodes[0]->op == ATHI_OP_CONV2D) m->scratch_bytes = 1000;
    call->run = nothing;
    return ATH_OK;
}

static bool yes(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    (void)unit;
    snprintf(why, ATHI_WHY_MAX, "f32");
    return true;
}

static bool only_wide(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    int64_t channels = unit->in[0]->shape.dim[3];
    snprintf(why, ATHI_WHY_MAX, channels >= 8 ? "blocked by 8" : "%d channels", (int)channels);
    return channels >= 8 && unit->out[0]->layout == ATHI_BLOCKED8;
}

static bool no_broadcast(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    for (int i = 0; i < unit->n_in; i++) {
        if (athi_shape_equal(unit->in[i]->shape, unit->out[0]->shape) && unit->in[i]->layout == unit->out[0]->layout)
            continue;
        if (unit->out[0]->layout == ATHI_PLAIN) continue;
        snprintf(why, ATHI_WHY_MAX, "broadcasts a blocked value");
        return false;
    }
    return true;
}

static bool only_blocked_group(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    bool same = unit->in[0]->layout == unit->in[1]->layout;
    snprintf(why, ATHI_WHY_MAX, same ? "alike" : "layouts differ");
    return same && unit->in[0]->layout == ATHI_PLAIN;
}

#define ROW(id, ...) static const athi_kernel id[] = {__VA_ARGS__, {0}}
ROW(convs, {.name = "test:blocked", .accepts = only_wide, .make = make, .layouts = ATHI_LAYOUT_BLOCKED},
    {.name = "test:plain", .accepts = yes, .make = make});
ROW(pointwise, {.name = "test:any", .accepts = no_broadcast, .make = make, .layouts = ATHI_LAYOUT_ANY});
ROW(reorders, {.name = "test:reorder", .accepts = yes, .make = make});
ROW(group, {.name = "test:group", .accepts = only_blocked_group, .make = make, .layouts = ATHI_LAYOUT_ANY});

static const athi_kernel *const kernels[ATHI_OP_COUNT_OF] = {
    [ATHI_OP_CONV2D] = convs, [ATHI_OP_RELU] = pointwise, [ATHI_OP_ADD] = pointwise, [ATHI_OP_REORDER] = reorders};
static const athi_pattern patterns[] = {
    {.name = "add+relu", .ops = {ATHI_OP_ADD, ATHI_OP_RELU}, .n_ops = 2, .kernels = group}, {0}};
static athi_layout blocked8(void) { return ATHI_BLOCKED8; }
static const athi_backend backend = {.name = "test", .kernels = kernels, .blocked = blocked8};
static const athi_backend with_groups = {.name = "test",
                                         .kernels = kernels,
                                         .patterns = patterns,
                                         .blocked = blocked8};

typedef struct planned {
    ath_ctx *ctx;
    athi_graph *graph;
    athi_plan *plan;
} planned;

static planned plan_text(const char *text, const athi_backend *b) {
    planned p = {0};
    assert_int_equal(ath_ctx_create(NULL, &p.ctx), ATH_OK);
    assert_ok(p.ctx, athi_graph_parse(p.ctx, text, &p.graph));
    assert_ok(p.ctx, athi_pass_fuse(p.graph, b));
    assert_ok(p.ctx, athi_pass_place(p.graph, b));
    assert_ok(p.ctx, athi_pass_plan(p.graph, b, 1, &p.plan));
    return p;
}

static void drop(planned *p) {
    athi_plan_destroy(p->plan);
    athi_graph_destroy(p->graph);
    ath_ctx_destroy(p->ctx);
}

static const athi_unit *unit_of(const planned *p, athi_op op, int n) {
    for (int64_t u = 0; u < p->graph->n_units; u++)
        for (int m = 0; m < p->graph->units[u]->n_nodes; m++)
            if (p->graph->units[u]->nodes[m]->op == op && n-- == 0) return p->graph->units[u];
    return NULL;
}

#define CONVS                                                                                                        \
    "%0 = input() shape=[2,10,10,1] name=\"x\"\n%1 = constant() shape=[3,3,1,16]\n%2 = constant() "                  \
    "shape=[3,3,16,16]\n"                                                                                            \
    "%3 = conv2d(%0, %1) same=true  ; \"stem\"\n%4 = relu(%3)\n%5 = conv2d(%4, %2) same=true  ; \"second\"\n"        \
    "%6 = relu(%5)\n%7 = conv2d(%6, %2) same=true\n%8 = add(%7, %5)\n"

static void layouts_follow_the_kernels(void **state) {
    (void)state;
    planned p = plan_text(CONVS "outputs %8\n", &backend);
    const athi_unit *stem = unit_of(&p, ATHI_OP_CONV2D, 0), *second = unit_of(&p, ATHI_OP_CONV2D, 1);
    assert_string_equal(stem->kernel->name, "test:plain");
    assert_string_equal(stem->why, "test:blocked: 1 channels; test:plain: f32");
    assert_string_equal(second->kernel->name, "test:blocked");
    assert_int_equal(second->in[0]->layout, ATHI_BLOCKED8);
    assert_int_equal(second->in[1]->layout, ATHI_PLAIN); /* the kernel of a convolution is no image */
    assert_int_equal(unit_of(&p, ATHI_OP_RELU, 0)->out[0]->layout, ATHI_PLAIN); /* follows its input */
    assert_int_equal(unit_of(&p, ATHI_OP_RELU, 1)->out[0]->layout, ATHI_BLOCKED8);
    assert_int_equal(unit_of(&p, ATHI_OP_ADD, 0)->out[0]->layout, ATHI_BLOCKED8);
    assert_int_equal(p.graph->outputs[0]->layout, ATHI_PLAIN);
    assert_non_null(unit_of(&p, ATHI_OP_REORDER, 1)); /* one into the second convolution, one for the output */
    assert_null(unit_of(&p, ATHI_OP_REORDER, 2));
    drop(&p);
}

static void other_layout_when_refused(void **state) {
    (void)state;
    planned p = plan_text(
        "%0 = input() shape=[2,10,10,16] name=\"x\"\n%1 = constant() shape=[3,3,16,16]\n%2 = conv2d(%0, %1)\n"
        "%3 = constant() shape=[16]\n%4 = add(%2, %3)\n%5 = relu(%4)\noutputs %5\n",
        &backend);
    assert_int_equal(unit_of(&p, ATHI_OP_CONV2D, 0)->out[0]->layout, ATHI_BLOCKED8);
    assert_int_equal(unit_of(&p, ATHI_OP_ADD, 0)->in[0]->layout, ATHI_PLAIN); /* it refuses to broadcast blocked */
    drop(&p);
}

static void group_falls_apart_and_reference_helps(void **state) {
    (void)state;
    planned p = plan_text(
        "%0 = input() shape=[2,10,10,16] name=\"x\"\n%1 = constant() shape=[3,3,16,16]\n%2 = conv2d(%0, %1)\n"
        "%3 = conv2d(%0, %1)\n%4 = add(%2, %3)\n%5 = relu(%4)\n%6 = tanh(%5)\n%7 = constant() shape=[2,8,8,16]\n"
        "%8 = add(%6, %7)\n%9 = relu(%8)\noutputs %9\n",
        &with_groups);
    assert_string_equal(unit_of(&p, ATHI_OP_TANH, 0)->kernel->name, "ref:tanh"); /* this backend has none */
    assert_int_equal(unit_of(&p, ATHI_OP_TANH, 0)->in[0]->layout, ATHI_PLAIN);
    assert_int_equal(unit_of(&p, ATHI_OP_ADD, 1)->n_nodes, 2);
    assert_string_equal(unit_of(&p, ATHI_OP_ADD, 1)->kernel->name, "test:group");
    drop(&p);
}

static bool refuses(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    (void)unit;
    snprintf(why, ATHI_WHY_MAX, "not today");
    return false;
}
ROW(never, {.name = "test:never", .accepts = refuses, .make = make});

static void refusals_are_listed(void **state) {
    (void)state;
    static const athi_kernel *const none[ATHI_OP_COUNT_OF] = {[ATHI_OP_RELU] = never};
    static const athi_backend poor = {.name = "poor", .kernels = none};
    ath_ctx *ctx = NULL;
    athi_graph *g = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    assert_ok(ctx, athi_graph_parse(
                       ctx, "%0 = input() shape=[4] dtype=u8 name=\"x\"\n%1 = relu(%0)  ; \"r\"\noutputs %1\n", &g));
    assert_ok(ctx, athi_pass_fuse(g, &poor));
    assert_fails(ctx, athi_pass_place(g, &poor), ATH_E_UNSUPPORTED,
                 "relu 'r': no kernel of backend poor takes u8[4] (test:never: not today");
    athi_graph_destroy(g);
    ath_ctx_destroy(ctx);
}

static void values_share_and_reuse(void **state) {
    (void)state;
    /* 4 values of 64 KiB in a chain: elementwise in place, the view and the last relu too */
    planned p =
        plan_text("%0 = input() shape=[128,128] name=\"x\"\n%1 = constant() shape=[128,128]\n%2 = matmul(%0, %1)\n"
                  "%3 = relu(%2)\n%4 = reshape(%3) shape=[16384]\n%5 = exp(%4)\n%6 = sum(%5) mask=1\noutputs %6\n",
                  &backend);
    const athi_graph *g = p.graph;
    const ath_tensor *mm = unit_of(&p, ATHI_OP_MATMUL, 0)->out[0], *e = unit_of(&p, ATHI_OP_EXP, 0)->out[0];
    assert_int_equal(mm->space, ATHI_SPACE_SLAB);
    assert_int_equal(mm->offset, e->offset);
    assert_int_equal(athi_plan_slab_bytes(p.plan), 2 * 65536 + 64); /* input, the chain, the sum */
    assert_int_equal(g->nodes[0]->out[0].offset, 0);
    drop(&p);
}

static void gradients_lie_in_their_place(void **state) {
    (void)state;
    planned p = plan_text(
        "variable trainable f32[8] \"a\"\nvariable trainable f32[8] \"b\"\nvariable trainable f32[8] \"c\"\n"
        "%0 = variable() variable=\"a\"\n%1 = variable() variable=\"b\"\n%2 = variable() variable=\"c\"\n"
        "%3 = exp(%0)\n%4 = mul(%3, %1)\n%5 = gradient(%0, %4)\n%6 = gradient(%1, %4)\n"
        "%7 = square(%2)\n%8 = gradient(%2, %7)\n",
        &backend);
    /* %4 is wanted twice: the later one has it in place, the other gets a copy */
    const ath_tensor *shared = unit_of(&p, ATHI_OP_MUL, 0)->out[0], *own = unit_of(&p, ATHI_OP_SQUARE, 0)->out[0];
    assert_int_equal(shared->space, ATHI_SPACE_GRADS);
    assert_int_equal(own->space, ATHI_SPACE_GRADS);
    double seconds[8] = {0};
    athi_variable *const *v = p.graph->variables;
    for (int i = 0; i < 3; i++) v[i]->offset = 64 * i;
    char *memory = athi_alloc(p.ctx, 4096);
    athi_spaces spaces = {.slab = memory, .block = memory + 1024, .grads = memory + 2048, .trainable_bytes = 192};
    assert_ok(p.ctx, athi_plan_bind(p.plan, &spaces));
    float *a = (float *)(void *)(memory + 1024), *g = (float *)(void *)(memory + 2048);
    for (int i = 0; i < 8; i++) a[i] = 0, a[16 + i] = 3, a[32 + i] = 5;
    athi_plan_run_profiled(p.plan, seconds);
    for (int i = 0; i < 8; i++) assert_true(g[i] == 3 && g[16 + i] == 3 && g[32 + i] == 25);
    spaces.slab = memory + 8;
    assert_fails(p.ctx, athi_plan_bind(p.plan, &spaces), ATH_E_STATE, "multiples of 64 bytes");
    athi_free(p.ctx, memory);
    drop(&p);
}

/* The check of plans finds what a wrong plan would do. */
static void overlaps_are_found(void **state) {
    (void)state;
    planned p = plan_text(
        "%0 = input() shape=[128,128] name=\"x\"\n%1 = matmul(%0, %0)\n%2 = matmul(%1, %0)\n%3 = matmul(%2, %1)\n"
        "outputs %3\n",
        &backend);
    unsigned all = ATHI_INV_TYPED | ATHI_INV_GROUPED | ATHI_INV_PLACED | ATHI_INV_PLANNED;
    assert_ok(p.ctx, athi_graph_verify(p.graph, all));
    ath_tensor *second = p.graph->units[1]->out[0];
    int64_t kept = second->offset;
    second->offset = p.graph->units[0]->out[0]->offset;
    assert_fails(p.ctx, athi_graph_verify(p.graph, all), ATH_E_FAILED, "has been overwritten");
    second->offset = kept;
    p.graph->units[1]->scratch_bytes = 64;
    p.graph->units[1]->scratch_offset = kept;
    assert_fails(p.ctx, athi_graph_verify(p.graph, all), ATH_E_FAILED, "its scratch overlaps its own values");
    p.graph->units[1]->scratch_bytes = 0;
    athi_unit *unit = p.graph->units[0];
    p.graph->units[0] = p.graph->units[1];
    p.graph->units[1] = unit;
    assert_fails(p.ctx, athi_graph_verify(p.graph, all), ATH_E_FAILED, "out of the order of the program");
    drop(&p);
}

static void plans_are_deterministic(void **state) {
    (void)state;
    planned a = plan_text(CONVS "outputs %8\n", &backend), b = plan_text(CONVS "outputs %8\n", &backend);
    assert_int_equal(a.graph->n_nodes, b.graph->n_nodes);
    assert_int_equal(athi_plan_slab_bytes(a.plan), athi_plan_slab_bytes(b.plan));
    for (int64_t i = 0; i < a.graph->n_nodes; i++)
        assert_int_equal(a.graph->nodes[i]->out[0].offset, b.graph->nodes[i]->out[0].offset);
    drop(&a);
    drop(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_follow_the_kernels),
        cmocka_unit_test(other_layout_when_refused),
        cmocka_unit_test(group_falls_apart_and_reference_helps),
        cmocka_unit_test(refusals_are_listed),
        cmocka_unit_test(values_share_and_reuse),
        cmocka_unit_test(gradients_lie_in_their_place),
        cmocka_unit_test(overlaps_are_found),
        cmocka_unit_test(plans_are_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
