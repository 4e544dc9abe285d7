/* The builder and its poison, specialisation, the canonical text, verification, cost. */
#include "decimal_comma.h"
#include "test.h"

#include "graph/backend.h"

static ath_ctx *ctx;

static int start(void **state) {
    (void)state;
    return ath_ctx_create(NULL, &ctx);
}

static int stop(void **state) {
    (void)state;
    ath_ctx_destroy(ctx);
    return 0;
}

static const char model[] =
    "variable trainable f32[3,3,1,8] \"conv2d/kernel\"\n"
    "variable trainable f32[8] \"bn/gamma\"\n"
    "variable statistic f32[8] \"bn/mean\"\n"
    "variable train i64[2] \"train/dropout\"\n"
    "variable train f64[2] \"train/loss\"\n"
    "%0 f32[?,28,28,1] = input() shape=[?,28,28,1] name=\"x\"\n"
    "%1 f32[3,3,1,8] = variable() variable=\"conv2d/kernel\"\n"
    "%2 f32[?,28,28,8] = conv2d(%0, %1) size=[3,3] stride=[1,1] dilation=[1,1] groups=1 same=true  ; \"conv2d\"\n"
    "%3 f32[8] = variable() variable=\"bn/gamma\"\n"
    "%4 f32[8] = variable() variable=\"bn/mean\"\n"
    "%5 f32[?,28,28,8] = batch_norm(%2, %3, %3, %4, %4) epsilon=0.001 momentum=0.9  ; \"bn\"\n"
    "%6 i64[2] = variable() variable=\"train/dropout\"\n"
    "%7 f32[?,28,28,8] = dropout(%5, %6) rate=0.25 id=1  ; \"a \\22strange\\22 name\"\n"
    "%8 f32[?,8] = mean(%7) mask=6\n"
    "%9 i32[?] = input() slot=1 shape=[?] dtype=i32 name=\"y\"\n"
    "%10 f32[?], f32[?,8] = sparse_xent(%8, %9) modes=train+evaluate\n"
    "%11 f32[] = mean(%10) mask=1 modes=train+evaluate\n"
    "%12 f64[2] = variable() variable=\"train/loss\"\n"
    "%13 = accumulate(%12, %10) modes=train+evaluate\n"
    "%14 f32[?,8] = softmax(%8)\n"
    "loss %11\n"
    "outputs %14\n";

static athi_graph *parse(const char *text) {
    athi_graph *g = NULL;
    assert_ok(ctx, athi_graph_parse(ctx, text, &g));
    return g;
}

static char *print(const athi_graph *g) {
    athi_text out = {.ctx = ctx};
    athi_graph_print(g, &out);
    assert_false(out.failed);
    return out.text;
}

static void text_reads_back(void **state) {
    (void)state;
    athi_graph *g = parse(model);
    char *text = print(g);
    assert_string_equal(text, model);
    assert_ok(ctx, athi_graph_verify(g, 0));
    athi_free(ctx, text);
    athi_graph_destroy(g);
}

static void a_decimal_comma_changes_no_text(void **state) {
    if (!set_decimal_comma()) skip();
    text_reads_back(state);
    setlocale(LC_ALL, "C");
}

static void text_errors_name_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"hello", "line 1: expected variable, %number, loss, outputs or group, got 'hello'"},
        {"\n%0 = nothing()\n", "line 2: expected an op"},
        {"%0 = relu(%0)\n", "a value of an earlier line"},
        {"%0 = constant() shape=[2]\n%1 = relu(%0.1)\n", "line 2: expected a value of an earlier line"},
        {"%0 f32[3] = constant() shape=[2]\n", "line 1: the type of %0 is not what constant gives (f32[2])"},
        {"%0 = constant() size=[2]\n", "an attribute that the op has"},
        {"%0 = constant() shape=[1,2,3,4,5,6,7]\n", "an attribute that the op has"},
        {"%0 = variable() variable=\"w\"\n", "an attribute that the op has"},
        {"variable weight f32[2] \"w\"\n", "expected trainable, slot"},
        {"variable trainable f32[?] \"w\"\n", "variable 'w': expected a shape of known sizes >= 1, got [batch]"},
        {"variable trainable f32[2] \"w\"\nvariable slot f32[2] \"w\"\n", "variable 'w' exists twice"},
        {"outputs %3\n", "a value of an earlier line"},
        {"%1 = constant()\n", "the next node's number"},
        {"%0 = constant() modes=always\n", "train, evaluate or predict"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_graph *g = NULL;
        ath_status status = athi_graph_parse(ctx, rows[i].text, &g);
        if (status == ATH_OK || !strstr(ath_errmsg(ctx), rows[i].error))
            fail_msg("%s: got '%s', wanted '%s'", rows[i].text, status ? ath_errmsg(ctx) : "no error", rows[i].error);
    }
}

static void first_error_stays(void **state) {
    (void)state;
    athi_graph *g = NULL;
    assert_ok(ctx, athi_graph_create(ctx, &g));
    ath_tensor *x = athi_input(g, 0, "x", athi_dims(ATHI_DYN, 10), ATH_F32);
    assert_false(athi_is_poison(x));
    g->layer = "first";
    ath_tensor *bad = athi_op2(g, ATHI_OP_MATMUL, x, athi_constant(g, 1, athi_dims(11, 10)), NULL);
    assert_true(athi_is_poison(bad));
    g->layer = "second";
    ath_tensor *later = athi_op1(g, ATHI_OP_RELU, bad, NULL);
    assert_true(athi_is_poison(later));
    assert_true(athi_is_poison(athi_op1(g, ATHI_OP_RELU, x, NULL)));
    assert_null(athi_variable_add(g, "w", athi_dims(3), ATH_F32, ATHI_TRAINABLE));
    athi_fail(ctx, ATH_E_IO, "something else");
    assert_fails(ctx, athi_graph_check(g), ATH_E_SHAPE, "matmul 'first': expected inner sizes that agree");
    athi_graph *copy = NULL;
    assert_fails(ctx, athi_graph_specialize(g, ATHI_MODE_PREDICT, NULL, 0, &copy), ATH_E_SHAPE, "matmul 'first'");
    athi_graph_destroy(g);
}

static void values_belong_to_one_graph(void **state) {
    (void)state;
    athi_graph *a = NULL, *b = NULL;
    assert_ok(ctx, athi_graph_create(ctx, &a));
    assert_ok(ctx, athi_graph_create(ctx, &b));
    ath_tensor *x = athi_constant(a, 1, athi_dims(3));
    assert_true(athi_is_poison(athi_op1(b, ATHI_OP_RELU, x, NULL)));
    assert_fails(ctx, athi_graph_check(b), ATH_E_STATE, "belongs to another model");
    assert_ok(ctx, athi_graph_check(a));
    athi_graph_destroy(a);
    athi_graph_destroy(b);
}

static int count_op(const athi_graph *g, athi_op op) {
    int n = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op;
    return n;
}

static void programs_of_the_modes(void **state) {
    (void)state;
    static const struct {
        athi_mode mode;
        int dropout, train, infer, moves, accumulate, softmax, inputs;
    } rows[] = {{ATHI_MODE_TRAIN, 1, 1, 0, 2, 1, 0, 2},
                {ATHI_MODE_EVALUATE, 0, 0, 1, 0, 1, 1, 2},
                {ATHI_MODE_PREDICT, 0, 0, 1, 0, 0, 1, 1}};
    athi_graph *g = parse(model);
    athi_shape shapes[] = {athi_dims(32, 28, 28, 1), {.rank = -1}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_graph *p = NULL;
        shapes[1] = rows[i].mode == ATHI_MODE_PREDICT ? (athi_shape){.rank = -1} : athi_dims(32);
        assert_ok(ctx, athi_graph_specialize(g, rows[i].mode, shapes, 2, &p));
        assert_ok(ctx, athi_graph_verify(p, ATHI_INV_TYPED));
        assert_int_equal(count_op(p, ATHI_OP_DROPOUT), rows[i].dropout);
        assert_int_equal(count_op(p, ATHI_OP_BATCH_NORM), 0);
        assert_int_equal(count_op(p, ATHI_OP_BATCH_NORM_TRAIN), rows[i].train);
        assert_int_equal(count_op(p, ATHI_OP_BATCH_NORM_INFER), rows[i].infer);
        assert_int_equal(count_op(p, ATHI_OP_MOVE_TOWARDS), rows[i].moves);
        assert_int_equal(count_op(p, ATHI_OP_ACCUMULATE), rows[i].accumulate);
        assert_int_equal(count_op(p, ATHI_OP_SOFTMAX), rows[i].softmax);
        assert_int_equal(count_op(p, ATHI_OP_INPUT), rows[i].inputs);
        assert_int_equal(p->n_variables, g->n_variables);
        athi_graph_destroy(p);
    }
    athi_graph_destroy(g);
}

static void frozen_batch_norm_infers(void **state) {
    (void)state;
    athi_graph *g = parse(model), *p = NULL;
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == ATHI_OP_BATCH_NORM) g->nodes[i]->attr.norm.frozen = true;
    athi_shape shapes[] = {athi_dims(4, 28, 28, 1), athi_dims(4)};
    assert_ok(ctx, athi_graph_specialize(g, ATHI_MODE_TRAIN, shapes, 2, &p));
    assert_int_equal(count_op(p, ATHI_OP_BATCH_NORM_INFER), 1);
    assert_int_equal(count_op(p, ATHI_OP_MOVE_TOWARDS), 0);
    athi_graph_destroy(p);
    athi_graph_destroy(g);
}

static void reshapes_follow_the_batch(void **state) {
    (void)state;
    athi_graph *g = parse("%0 = input() shape=[?,4,6] name=\"x\"\n%1 = reshape(%0) shape=[0,-1,3]\n"
                          "%2 = reshape(%1) shape=[-1,24]\noutputs %2\n"),
               *p = NULL;
    athi_shape shape = athi_dims(7, 4, 6);
    assert_ok(ctx, athi_graph_specialize(g, ATHI_MODE_PREDICT, &shape, 1, &p));
    assert_true(athi_shape_equal(p->nodes[1]->out[0].shape, athi_dims(7, 8, 3)));
    assert_true(athi_shape_equal(p->outputs[0]->shape, athi_dims(7, 24)));
    athi_graph_destroy(p);
    athi_graph_destroy(g);
}

/* Each kind of damage is found and named: a check that finds nothing would pass everything. */
static void damage_is_found(void **state) {
    (void)state;
    athi_graph *g = parse(model);
    assert_fails(ctx, athi_graph_verify(g, ATHI_INV_TYPED), ATH_E_SHAPE,
                 "input 'x': its shape [batch, 28, 28, 1] is not fully known");
    assert_fails(ctx, athi_graph_verify(g, ATHI_INV_GRADIENTS), ATH_E_FAILED, "'conv2d/kernel' has 0 gradients");
    assert_fails(ctx, athi_graph_verify(g, ATHI_INV_GROUPED), ATH_E_FAILED,
                 "node %2 conv2d 'conv2d': it belongs to no unit");
    ath_tensor *kept = g->nodes[8]->in[0];
    g->nodes[8]->in[0] = &g->nodes[14]->out[0];
    assert_fails(ctx, athi_graph_verify(g, 0), ATH_E_FAILED, "node %8 mean '': input 0 is computed later, by %14");
    g->nodes[8]->in[0] = &g->poison;
    assert_fails(ctx, athi_graph_verify(g, 0), ATH_E_FAILED, "no value of this graph");
    g->nodes[8]->in[0] = kept;
    g->nodes[8]->id = 3;
    assert_fails(ctx, athi_graph_verify(g, 0), ATH_E_FAILED, "it stands at place 8");
    g->nodes[8]->id = 8;
    g->nodes[8]->n_in = 2;
    assert_fails(ctx, athi_graph_verify(g, 0), ATH_E_FAILED, "2 inputs and 1 outputs, expected 1 to 1 and 1");
    g->nodes[8]->n_in = 1;
    assert_ok(ctx, athi_graph_verify(g, 0));
    athi_graph_destroy(g);
}

static void cost(void **state) {
    (void)state;
    athi_graph *g = parse(
        "%0 = constant() shape=[128,784]\n%1 = constant() shape=[784,64]\n%2 = matmul(%0, %1)\n"
        "%3 = constant() shape=[2,28,28,4]\n%4 = constant() shape=[3,3,2,8]\n%5 = conv2d(%3, %4) groups=2 same=true\n"
        "%6 = reshape(%5) shape=[2,-1]\n%7 = relu(%2)\n");
    assert_true(athi_node_flops(g->nodes[2]) == 2.0 * 128 * 784 * 64);
    assert_true(athi_node_bytes(g->nodes[2]) == 4.0 * (128 * 784 + 784 * 64 + 128 * 64));
    assert_true(athi_node_flops(g->nodes[5]) == 2.0 * (2 * 28 * 28 * 8) * 9 * 2);
    assert_true(athi_node_flops(g->nodes[6]) == 0 && athi_node_bytes(g->nodes[6]) == 0);
    assert_true(athi_node_flops(g->nodes[7]) == 128 * 64);
    athi_graph_destroy(g);
}

/* Products of bfloat16 values have a peak of their own, where the machine has it; everything else counts as float32. */
static void peak_of_a_type(void **state) {
    (void)state;
    athi_graph *g = parse("%0 = constant() shape=[16,32]\n%1 = constant() shape=[32,8]\n%2 = matmul(%0, %1)\n"
                          "%3 = cast(%0) dtype=bf16\n%4 = cast(%1) dtype=bf16\n%5 = matmul(%3, %4)\n%6 = relu(%5)\n");
    const athi_machine with = {.threads = 1, .flops = 3, .flops_bf16 = 7}, without = {.threads = 1, .flops = 3};
    assert_true(athi_machine_flops(&with, g->nodes[2]) == 3);
    assert_true(athi_machine_flops(&with, g->nodes[5]) == 7);
    assert_true(athi_machine_flops(&with, g->nodes[6]) == 3);
    assert_true(athi_machine_flops(&without, g->nodes[5]) == 3);
    athi_graph_destroy(g);
}

static void op_table(void **state) {
    (void)state;
    for (int i = 0; i < ATHI_OP_COUNT_OF; i++) {
        athi_op found;
        const athi_op_info *info = &athi_op_table[i];
        assert_non_null(info->shape);
        assert_true((info->grad != NULL) != (info->no_grad != NULL)); /* a rule, or the reason why not */
        assert_true(athi_op_find(info->name, &found) && found == (athi_op)i);
    }
    athi_op gradient;
    bool keeps_output;
    assert_true(athi_op_unary(ATHI_OP_TANH, &gradient, &keeps_output));
    assert_true(gradient == ATHI_OP_TANH_GRAD && keeps_output);
    assert_true(athi_op_unary(ATHI_OP_GELU, &gradient, &keeps_output) && !keeps_output);
    assert_false(athi_op_unary(ATHI_OP_ADD, &gradient, &keeps_output));
    assert_true(athi_op_has_effect(ATHI_OP_CLIP_GRADIENTS) && !athi_op_is_source(ATHI_OP_CLIP_GRADIENTS));
    assert_true(athi_op_is_source(ATHI_OP_CONSTANT) && !athi_op_has_effect(ATHI_OP_CONSTANT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(a_decimal_comma_changes_no_text),
        cmocka_unit_test(text_errors_name_the_line),
        cmocka_unit_test(first_error_stays),
        cmocka_unit_test(values_belong_to_one_graph),
        cmocka_unit_test(programs_of_the_modes),
        cmocka_unit_test(frozen_batch_norm_infers),
        cmocka_unit_test(reshapes_follow_the_batch),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(cost),
        cmocka_unit_test(peak_of_a_type),
        cmocka_unit_test(op_table),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
