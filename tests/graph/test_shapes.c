/* Every shape rule: what it gives, and the sentence of what it refuses. The cases are graph texts; the last line is
 * the node in question. Also: every op stands in at least one case. */
#include "test.h"

#include "graph/graph.h"

#define X4   "%0 = input() shape=[?,28,28,4] name=\"x\"\n"
#define X2   "%0 = input() shape=[?,784] name=\"x\"\n"
#define C(n) "variable statistic f32[" #n "] \"c\"\n"

typedef struct shape_case {
    const char *text, *type; /* expected type of the last node, or */
    const char *error;       /* a part of the sentence */
} shape_case;

static const shape_case cases[] = {
    /* sources */
    {X2, "f32[batch, 784]", NULL},
    {"%0 = input() shape=[0,3]\n", NULL, "expected sizes >= 1, got [0, 3]"},
    {"%0 = input() shape=[99999999999,99999999999]\n", NULL, "more elements than can be counted"},
    {"variable trainable f64[3,4] \"w\"\n%0 = variable() variable=\"w\"\n", "f64[3, 4]", NULL},
    {"%0 = constant() value=2 shape=[3] dtype=i32\n", "i32[3]", NULL},
    /* elementwise */
    {X2 "%1 = relu(%0)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = scale(%0) alpha=0.5 beta=1\n", "f32[batch, 784]", NULL},
    {X2 "%1 = relu_grad(%0, %0)\n", "f32[batch, 784]", NULL},
    {X2 X4 "", NULL, "expected the next node's number"},
    {X2 "%1 = input() shape=[?,10]\n%2 = gelu_grad(%0, %1)\n", NULL, "same shape, got [batch, 784] and [batch, 10]"},
    {X2 "%1 = constant() shape=[784]\n%2 = add(%0, %1)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = constant() shape=[1,784]\n%2 = mul(%1, %0)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = constant() shape=[783]\n%2 = sub(%0, %1)\n", NULL,
     "broadcast together, got f32[batch, 784] and f32[783]"},
    {X2 "%1 = constant() shape=[784] dtype=f64\n%2 = div(%0, %1)\n", NULL, "inputs of one type"},
    {X2 "%1 = maximum(%0, %0)\n%2 = minimum(%0, %1)\n%3 = greater_equal(%1, %2)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = sub(%0, %0)\n%2 = div(%0, %1)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = add(%0)\n", NULL, "add: expected 2 inputs, got 1"},
    {"variable train i64[2] \"n\"\n"
     "%0 = variable() variable=\"n\"\n%1 = input() shape=[?,8]\n%2 = dropout(%1, %0) rate=0.5\n",
     "f32[batch, 8]", NULL},
    {X2 "%1 = dropout(%0, %0) rate=0.5\n", NULL, "expected counters i64[2]"},
    /* types */
    {X2 "%1 = cast(%0) dtype=bf16\n", "bf16[batch, 784]", NULL},
    {X2 "%1 = cast(%0) dtype=i32\n", NULL, "expected a cast to f32, f64 or bf16, got f32 to i32"},
    {X2 "%1 = cast(%0) dtype=bf16\n%2 = relu(%1)\n%3 = relu_grad(%1, %2)\n", "bf16[batch, 784]", NULL},
    {X2 "%1 = cast(%0) dtype=bf16\n%2 = relu_grad(%0, %1)\n", NULL, "expected inputs of one type, got f32 and bf16"},
    {X2 "%1 = cast(%0) dtype=bf16\n%2 = add(%1, %0)\n", NULL, "inputs of one type"},
    {X2 C(784) "%1 = variable() variable=\"c\"\n%2 = cast(%0) dtype=bf16\n%3 = layer_norm(%2, %1, %1)\n",
     "bf16[batch, 784]", NULL},
    {X2 C(784) "%1 = variable() variable=\"c\"\n%2 = cast(%1) dtype=bf16\n%3 = layer_norm(%0, %1, %2)\n", NULL,
     "expected input 3 in f32, got bf16"},
    {X2 "%1 = cast(%0) dtype=bf16\n%2 = sigmoid_xent(%1, %1)\n", NULL, "expected input 1 in f32, got bf16"},
    /* reductions and rearrangements */
    {X4 "%1 = sum(%0) mask=6\n", "f32[batch, 4]", NULL},
    {X4 "%1 = mean(%0) mask=6 keep=true\n", "f32[batch, 1, 1, 4]", NULL},
    {X4 "%1 = max(%0) mask=15\n", "f32[]", NULL},
    {X2 "%1 = sum(%0) mask=4\n", NULL, "axes below the input's rank"},
    {X4 "%1 = max(%0) mask=6\n%2 = max_grad(%1, %0, %1) mask=6\n", "f32[batch, 28, 28, 4]", NULL},
    {X2 "%1 = broadcast_to(%0) shape=[5,?,784]\n", "f32[5, ?, 784]", NULL},
    {X2 "%1 = broadcast_to(%0) shape=[5,10]\n", NULL, "broadcasts from [batch, 784] to [5, 10]"},
    {X2 "%1 = sum_to(%0) shape=[784]\n", "f32[784]", NULL},
    {X2 "%1 = sum_to(%0) shape=[785]\n", NULL, "broadcasts from [785] to [batch, 784]"},
    {X4 "%1 = reshape(%0) shape=[0,-1]\n", "f32[batch, 3136]", NULL},
    {X4 "%1 = reshape(%0) shape=[0,784,4]\n", "f32[batch, 784, 4]", NULL},
    {X2 "%1 = reshape(%0) shape=[0,28,28,1]\n", "f32[batch, 28, 28, 1]", NULL},
    {X2 "%1 = reshape(%0) shape=[0,28,27]\n", NULL, "expected a target of 784 elements"},
    {X2 "%1 = reshape(%0) shape=[?,?]\n", NULL, "at most one -1"},
    {"%0 = input() shape=[6,4]\n%1 = reshape(%0) shape=[5,-1]\n", NULL, "expected a target of 24 elements"},
    {X2 "%1 = reshape(%0) shape=[2,2,0]\n", NULL, "axis 2 of the target is taken from the input"},
    {X4 "%1 = transpose(%0) axis=[0,3,1,2]\n", "f32[batch, 4, 28, 28]", NULL},
    {X4 "%1 = transpose(%0) axis=[0,3,1,1]\n", NULL, "every axis below 4 once"},
    {X4 "%1 = concat(%0, %0, %0) axis=-1\n", "f32[batch, 28, 28, 12]", NULL},
    {X4 "%1 = input() shape=[?,27,28,4]\n%2 = concat(%0, %1) axis=3\n", NULL, "differ in axis 3 only"},
    {X4 "%1 = concat(%0, %0) axis=4\n", NULL, "expected an axis from -4 to 3, got 4"},
    {X4 "%1 = slice(%0) begin=[0,3,0,1] size=[-1,5,-1,-1]\n", "f32[batch, 5, 28, 3]", NULL},
    {X4 "%1 = slice(%0) begin=[0,26] size=[-1,5,-1,-1]\n", NULL, "axis 1: expected a part of the 28 cells"},
    {X4 "%1 = slice(%0) begin=[0,3] size=[-1,5,-1,-1]\n%2 = slice_grad(%1, %0) begin=[0,3] size=[-1,5,-1,-1]\n",
     "f32[batch, 28, 28, 4]", NULL},
    {X4 "%1 = copy(%0)\n%2 = reorder(%1)\n", "f32[batch, 28, 28, 4]", NULL},
    /* products */
    {X2 "%1 = constant() shape=[784,10]\n%2 = matmul(%0, %1)\n", "f32[batch, 10]", NULL},
    {X2 "%1 = constant() shape=[10,784]\n%2 = matmul(%0, %1) transpose_b=true\n", "f32[batch, 10]", NULL},
    {X2 "%1 = matmul(%0, %0) transpose_a=true\n", "f32[784, 784]", NULL},
    {X2 "%1 = constant() shape=[785,10]\n%2 = matmul(%0, %1)\n", NULL, "expected inner sizes that agree, got 784"},
    {X4 "%1 = constant() shape=[4,10]\n%2 = matmul(%0, %1)\n", NULL, "add flatten or reshape"},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1)\n", "f32[batch, 26, 26, 16]", NULL},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1) same=true stride=[2,3]\n", "f32[batch, 14, 10, 16]",
     NULL},
    {X4 "%1 = constant() shape=[3,3,2,16]\n%2 = conv2d(%0, %1) groups=2 dilation=[2,2]\n", "f32[batch, 24, 24, 16]",
     NULL},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1) stride=[2,2] dilation=[2,1]\n", NULL,
     "strides or dilations above 1, not both"},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1) groups=3\n", NULL,
     "groups that divide the 4 channels and the 16 filters, got 3"},
    {X4 "%1 = constant() shape=[3,3,3,16]\n%2 = conv2d(%0, %1)\n", NULL, "a kernel over 4 channels"},
    {X4 "%1 = constant() shape=[29,3,4,16]\n%2 = conv2d(%0, %1)\n", NULL,
     "a window of 29 cells does not fit into the 28 of [batch, 28, 28, 4] (height)"},
    {"%0 = input() shape=[128,784]\n%1 = constant() shape=[3,3,1,8]\n%2 = conv2d(%0, %1)  ; \"stem\"\n", NULL,
     "conv2d 'stem': expected input of rank 4 [batch, height, width, channels], got [128, 784]; add reshape: "
     "{target_shape: [28, 28, 1]}"},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1) same=true\n%3 = conv2d_grad_x(%2, %1) x=[?,28,28,4] "
        "size=[3,3] same=true\n",
     "f32[batch, 28, 28, 4]", NULL},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1)\n%3 = conv2d_grad_x(%2, %1) x=[?,28,28,4] size=[3,3] "
        "same=true\n",
     NULL, "expected dy of shape [batch, 28, 28, 16]"},
    {X4 "%1 = constant() shape=[3,3,4,16]\n%2 = conv2d(%0, %1)\n%3 = conv2d_grad_w(%0, %2) size=[3,3]\n",
     "f32[3, 3, 4, 16]", NULL},
    /* pooling */
    {X4 "%1 = max_pool2d(%0) size=[2,2] stride=[2,2]\n", "f32[batch, 14, 14, 4]", NULL},
    {"%0 = input() shape=[?,7,7,4]\n%1 = max_pool2d(%0) size=[2,2] stride=[2,2] same=true\n", "f32[batch, 4, 4, 4]",
     NULL},
    {X4 "%1 = max_pool2d(%0) size=[17,17]\n", NULL, "at most 256 cells, got 289"},
    /* int8 */
    {X2 "%1 = constant()\n%2 = quantize(%0, %1)\n", "i8[batch, 784]", NULL},
    {X2 "%1 = constant() shape=[2]\n%2 = quantize(%0, %1)\n", NULL, "expected a scale of shape [], got [2]"},
    {X2 "%1 = quantize_rows(%0)\n", "i8[batch, 784]", NULL},
    {X4 "%1 = quantize_rows(%0)\n", NULL, "expected input of rank 2"},
    {"variable statistic i8[784,10] \"w\"\n" X2 "%1 = variable() variable=\"w\"\n%2 = quantize_rows(%0)\n"
     "%3 = constant() shape=[10]\n%4 = quantized_matmul(%2, %1, %2.1, %3)\n",
     "f32[batch, 10]", NULL},
    {X2 "%1 = constant() shape=[784,10]\n%2 = constant() shape=[10]\n%3 = quantized_matmul(%0, %1, %2, %2)\n", NULL,
     "expected input 1 of type i8, got f32"},
    {"variable statistic i8[3,3,4,8] \"w\"\n" X4 "%1 = variable() variable=\"w\"\n%2 = constant()\n"
     "%3 = quantize(%0, %2)\n%4 = constant() shape=[8]\n%5 = quantized_conv2d(%3, %1, %2, %4) same=true\n",
     "f32[batch, 28, 28, 8]", NULL},
    {"variable statistic i8[3,3,2,8] \"w\"\n" X4 "%1 = variable() variable=\"w\"\n%2 = constant()\n"
     "%3 = quantize(%0, %2)\n%4 = constant() shape=[8]\n%5 = quantized_conv2d(%3, %1, %2, %4) groups=2\n",
     NULL, "expected one group, got 2"},
    {X4 "%1 = average_pool2d(%0) size=[3,2]\n", "f32[batch, 26, 27, 4]", NULL},
    {X4 "%1 = average_pool2d(%0) size=[0,2]\n", NULL, "window sizes, strides and dilations from 1"},
    {X4 "%1 = average_pool2d(%0) size=[2,2] stride=[2,2]\n%2 = average_pool2d_grad(%1) x=[?,28,28,4] size=[2,2] "
        "stride=[2,2]\n",
     "f32[batch, 28, 28, 4]", NULL},
    {X4 "%1 = max_pool2d(%0) size=[2,2] stride=[2,2]\n%2 = max_pool2d_grad(%1, %1.1) x=[?,28,28,4] size=[2,2] "
        "stride=[2,2]\n",
     "f32[batch, 28, 28, 4]", NULL},
    /* normalisation */
    {C(4) X4 "%1 = variable() variable=\"c\"\n%2 = batch_norm(%0, %1, %1, %1, %1) epsilon=0.001\n",
     "f32[batch, 28, 28, 4]", NULL},
    {C(5) X4 "%1 = variable() variable=\"c\"\n%2 = batch_norm(%0, %1, %1, %1, %1)\n", NULL,
     "a vector of 4 channels for the input [batch, 28, 28, 4], got [5]"},
    {C(4) X4 "%1 = variable() variable=\"c\"\n%2 = batch_norm_train(%0, %1, %1)\n%3 = batch_norm_grad(%0, %0, %1, "
             "%2.1, %2.2)\n",
     "f32[batch, 28, 28, 4]", NULL},
    {C(4) X4 "%1 = variable() variable=\"c\"\n%2 = batch_norm_infer(%0, %1, %1, %1, %1)\n", "f32[batch, 28, 28, 4]",
     NULL},
    {C(784) X2
     "%1 = variable() variable=\"c\"\n%2 = layer_norm(%0, %1, %1)\n%3 = layer_norm_grad(%0, %0, %1, %2.1, %2.2)\n",
     "f32[batch, 784]", NULL},
    {C(4) "%0 = input() shape=[4]\n%1 = layer_norm(%0, %0, %0)\n", NULL, "rank 2 or more"},
    /* losses and metrics */
    {X2 "%1 = softmax(%0)\n%2 = softmax_grad(%0, %1)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = input() shape=[?] dtype=i32\n%2 = sparse_xent(%0, %1)\n", "f32[batch]", NULL},
    {X2 "%1 = input() shape=[?] dtype=i32\n%2 = sparse_xent(%0, %1)\n%3 = sparse_xent_grad(%2, %2.1, %1)\n",
     "f32[batch, 784]", NULL},
    {X2 "%1 = sparse_xent(%0, %0)\n", NULL, "use categorical_crossentropy"},
    {X2 "%1 = input() shape=[?]\n%2 = sparse_xent(%0, %1)\n", NULL, "labels of type i32, got f32"},
    {X2 "%1 = dense_xent(%0, %0) smoothing=0.1\n%2 = dense_xent_grad(%1, %1.1, %0)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = input() shape=[?] dtype=i32\n%2 = dense_xent(%0, %1)\n", NULL, "targets of shape [batch, 784]"},
    {X2 "%1 = sigmoid_xent(%0, %0)\n%2 = sigmoid_xent_grad(%1, %0, %0)\n", "f32[batch, 784]", NULL},
    {X2 "%1 = input() shape=[?] dtype=i32\n%2 = sparse_correct(%0, %1)\n%3 = sparse_top_k(%0, %1) k=5\n",
     "f32[batch]", NULL},
    {X2 "%1 = dense_correct(%0, %0)\n%2 = dense_top_k(%0, %0) k=5\n%3 = binary_correct(%0, %0) threshold=0.5\n",
     "f32[batch]", NULL},
    /* effects */
    {"variable train f64[2] \"s\"\n" X2 "%1 = variable() variable=\"s\"\n%2 = accumulate(%1, %0)\n", "", NULL},
    {"variable train f32[2] \"s\"\n" X2 "%1 = variable() variable=\"s\"\n%2 = accumulate(%1, %0)\n", NULL,
     "expected a variable f64[2], got f32[2]"},
    {"variable train f64[2] \"s\"\n" X2 "%1 = variable() variable=\"s\"\n%2 = accumulate(%1, %0, %0)\n", NULL,
     "one weight a sample"},
    {X2 "%1 = accumulate(%0, %0)\n", NULL, "expected a variable as first input, got the result of input"},
    {C(784) X2 "%1 = variable() variable=\"c\"\n%2 = mean(%0) mask=1\n%3 = move_towards(%1, %2) momentum=0.9\n", "",
     NULL},
    {C(784) X2 "%1 = variable() variable=\"c\"\n%2 = gradient(%1, %0)\n", NULL, "a value like the variable f32[784]"},
    {"variable trainable f32[3] \"w\"\n%0 = variable() variable=\"w\"\n%1 = gradient(%0, %0)\n%2 = clip_gradients() "
     "mode=norm limit=1\n",
     "", NULL},
    {"variable train i64[2] \"n\"\n%0 = input() slot=0 shape=[?,4,5,3]\n%1 = variable() variable=\"n\"\n%2 = augment(%0, "
     "%1)\n",
     "f32[batch, 4, 5, 3]", NULL},
    {"%0 = input() slot=0 shape=[?,4]\n%1 = augment(%0)\n", NULL, "expected images [batch, height, width, channels]"},
    {"variable train f32[] \"lr\"\nvariable train i64[] \"n\"\n%0 = variable() variable=\"lr\"\n%1 = variable() "
     "variable=\"n\"\n%2 = update(%0, %1)\n",
     "", NULL},
    {"variable train i64[] \"n\"\n%0 = variable() variable=\"n\"\n%1 = count(%0)\n", "", NULL},
    {"variable train f32[] \"n\"\n%0 = variable() variable=\"n\"\n%1 = count(%0)\n", NULL,
     "expected a variable i64[]"},
};

static void each_case(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    bool seen[ATHI_OP_COUNT_OF] = {false};
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        const shape_case *c = &cases[i];
        athi_graph *g = NULL;
        ath_status status = athi_graph_parse(ctx, c->text, &g);
        if (c->error) {
            if (status == ATH_OK || !strstr(ath_errmsg(ctx), c->error))
                fail_msg("%s: got '%s', wanted '%s'", c->text, status ? ath_errmsg(ctx) : "no error", c->error);
            if (g) athi_graph_destroy(g);
            continue;
        }
        if (status != ATH_OK) fail_msg("%s: %s", c->text, ath_errmsg(ctx));
        const athi_node *last = g->nodes[g->n_nodes - 1];
        char type[128] = "", shape[96];
        if (last->n_out)
            snprintf(type, sizeof type, "%s%s", athi_dtype_name(last->out[0].dtype),
                     athi_shape_str(last->out[0].shape, shape));
        if (strcmp(type, c->type)) fail_msg("%s: got %s, wanted %s", c->text, type, c->type);
        for (int64_t n = 0; n < g->n_nodes; n++) seen[g->nodes[n]->op] = true;
        athi_graph_destroy(g);
    }
    for (int op = 0; op < ATHI_OP_COUNT_OF; op++) {
        athi_op gradient;
        bool keeps;
        const char *name = athi_op_name((athi_op)op);
        bool unary = athi_op_unary((athi_op)op, &gradient, &keeps) || strstr(name, "_grad"); /* share their rule */
        if (!seen[op] && !unary) fail_msg("no case for the op %s", name);
    }
    ath_ctx_destroy(ctx);
}

static void windows(void **state) {
    (void)state;
    /* notes: total padding = max((out-1)*stride + extent - n, 0), the smaller half in front */
    assert_int_equal(athi_window_out(7, 2, 2, 1, true), 4);
    assert_int_equal(athi_window_pad(7, 2, 2, 1, true), 0);
    assert_int_equal(athi_window_pad(28, 3, 1, 1, true), 1);
    assert_int_equal(athi_window_pad(28, 3, 2, 1, true), 0);
    assert_int_equal(athi_window_pad(28, 5, 1, 2, true), 4);
    assert_int_equal(athi_window_pad(28, 1, 3, 1, true), 0);
    assert_int_equal(athi_window_pad(28, 3, 1, 1, false), 0);
    assert_int_equal(athi_window_out(28, 3, 2, 1, false), 13);
    assert_int_equal(athi_window_out(2, 3, 1, 1, false), 0);
    assert_int_equal(athi_window_out(ATHI_DYN, 3, 1, 1, true), ATHI_DYN);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_case), cmocka_unit_test(windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
