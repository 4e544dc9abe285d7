/* Nets: names and numbers of layers, counts of parameters, what compiling adds, and the sentences of errors.
 */
#include "nn_test.h"

static int64_t count(const athi_net *net, athi_role role) {
    int64_t n = 0;
    for (int64_t i = 0; i < net->graph->n_variables; i++)
        if (net->graph->variables[i]->role == role) n += athi_shape_count(net->graph->variables[i]->shape);
    return n;
}
static const athi_variable *variable(const athi_net *net, const char *name) {
    for (int64_t i = 0; i < net->graph->n_variables; i++)
        if (strcmp(net->graph->variables[i]->name, name) == 0) return net->graph->variables[i];
    return NULL;
}
static int64_t nodes_of(const athi_net *net, athi_op op) {
    int64_t n = 0;
    for (int64_t i = 0; i < net->graph->n_nodes; i++) n += net->graph->nodes[i]->op == op;
    return n;
}

/* The MLP of the fourth document: 669,706 parameters in Keras. */
static void mlp(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(28, 28), ATH_F32);
    x = ath_flatten(x);
    assert_shape(x, "[batch, 784]");
    x = ath_dense(x, .units = 512, .activation = ATH_RELU);
    x = ath_dense(x, .units = 512, .activation = ATH_RELU, .name = "middle");
    x = ath_dropout(x, .rate = 0.2);
    x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    assert_shape(x, "[batch, 10]");
    assert_int_equal(count(f.net, ATHI_TRAINABLE), 669706);
    assert_int_equal(f.net->n_layers, 5);
    assert_string_equal(f.net->layers[1].name, "dense");
    assert_string_equal(f.net->layers[2].name, "middle");
    assert_string_equal(f.net->layers[4].name, "dense_1"); /* named layers do not advance the count */
    assert_int_equal(f.net->layers[1].n_params, 784 * 512 + 512);
    assert_non_null(variable(f.net, "dense_1/kernel"));

    assert_ok(f.ctx, compile(&f, "\"sparse_categorical_crossentropy\"", "[\"accuracy\"]",
                             "{\"adam\": {\"clipnorm\": 1.0}}", ATHI_SCALAR, false));
    assert_int_equal(f.net->target_slot, 1);
    assert_int_equal(f.net->weight_slot, -1);
    assert_int_equal(f.net->target_dtype, ATH_I32);
    assert_int_equal(count(f.net, ATHI_SLOT), 2 * 669706);
    assert_non_null(variable(f.net, "optimizer/velocity/middle/bias"));
    assert_int_equal(f.net->n_sums, 2);
    assert_string_equal(f.net->sums[0].name, "loss");
    assert_string_equal(f.net->sums[1].name, "accuracy");
    assert_int_equal(nodes_of(f.net, ATHI_OP_SPARSE_XENT), 1);
    assert_int_equal(nodes_of(f.net, ATHI_OP_SPARSE_CORRECT), 1);
    /* The loss is computed from the logits, and the metric from the loss's probabilities. */
    for (int64_t i = 0; i < f.net->graph->n_nodes; i++) {
        const athi_node *node = f.net->graph->nodes[i];
        if (node->op == ATHI_OP_SPARSE_XENT) assert_int_equal(node->in[0]->node->op, ATHI_OP_ADD);
        if (node->op == ATHI_OP_SPARSE_CORRECT) assert_int_equal(node->in[0]->node->op, ATHI_OP_SPARSE_XENT);
    }
    assert_float_equal(athi_learning_rate(f.net, 7), 0.001, 0);
    fixture_end(&f);
}

/* Dense on the last axis of more than two. */
static void dense_rank_3(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(5, 3), ATH_F32);
    assert_shape(layer(&f, x, "{\"dense\": 7}"), "[batch, 5, 7]");
    assert_shape(layer(&f, x, "{\"reshape\": [3, -1]}"), "[batch, 3, 5]");
    assert_shape(layer(&f, x, "{\"permute\": [2, 1]}"), "[batch, 3, 5]");
    fixture_end(&f);
}

typedef struct mistake {
    const char *layer;
    ath_status status;
    const char *part;
} mistake;

static void sentences_of_layers(void **state) {
    (void)state;
    static const mistake mistakes[] = {
        {"{\"input\": [3]}", ATH_E_SHAPE, "input 'input': expected data of shape [batch, 3], got [batch, ?]"},
        {"{\"input\": [3, 0]}", ATH_E_OPTION, "sizes >= 1, or -1"},
        {"{\"dense\": 7}", ATH_E_SHAPE,
         "dense 'dense': the last dimension of its input must be known, got [batch, ?]"},
        {"\"flatten\"", ATH_E_SHAPE, "flatten 'flatten': the sizes behind the batch must be known"},
        {"{\"reshape\": [2, 3]}", ATH_E_SHAPE, "does not fit into"},
        {"{\"reshape\": [-1, -1]}", ATH_E_OPTION, "one of which may be -1"},
        {"{\"permute\": [2]}", ATH_E_OPTION, "each of the axes 1 to 1"},
        {"{\"activation\": {\"activation\": {\"softmax\": {\"axis\": 3}}}}", ATH_E_OPTION,
         "axis 3 is not one of"},
    };
    for (int i = 0; i < ATHI_COUNT(mistakes); i++) {
        fixture f = fixture_begin();
        ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(ATHI_DYN), ATH_F32);
        ath_tensor *y = layer(&f, x, mistakes[i].layer);
        assert_true(athi_is_poison(y));
        assert_true(athi_is_poison(ath_flatten(y))); /* passed on */
        assert_poisoned(&f, mistakes[i].status, mistakes[i].part);
        fixture_end(&f);
    }
}

static void sentences_of_calls(void **state) {
    (void)state;
    fixture f = fixture_begin();
    ath_tensor *x = athi_net_input_add(f.net, "x", athi_dims(4), ATH_F32);
    ath_dense(x, .units = 2, .name = "a");
    assert_true(athi_is_poison(ath_dense(x, .units = 2, .name = "a")));
    assert_poisoned(&f, ATH_E_OPTION, "dense: the name 'a' is taken by an earlier layer");
    fixture_end(&f);

    f = fixture_begin();
    x = athi_net_input_add(f.net, "x", athi_dims(4), ATH_F32);
    assert_true(athi_is_poison(ath_dense(x, .activation = ATH_RELU)));
    assert_poisoned(&f, ATH_E_OPTION, "units is required");
    fixture_end(&f);

    f = fixture_begin();
    x = athi_net_input_add(f.net, "x", athi_dims(4), ATH_F32);
    assert_true(athi_is_poison(ath_dense(x, .units = 3, .activation = {.name = "rellu"})));
    assert_poisoned(&f, ATH_E_OPTION, "did you mean 'relu'?");
    fixture_end(&f);
}

typedef struct compile_mistake {
    const char *loss, *metrics, *optimizer;
    int64_t target; /* 0: a class number */
    const char *part;
} compile_mistake;

static void sentences_of_compiling(void **state) {
    (void)state;
    static const compile_mistake mistakes[] = {
        {"\"categorical_crossentropy\"", NULL, NULL, 0,
         "use sparse_categorical_crossentropy for class numbers"},
        {"\"sparse_categorical_crossentropy\"", NULL, NULL, 10,
         "use categorical_crossentropy for one-hot targets"},
        {"\"mse\"", NULL, NULL, 3, "loss 'mse': expected targets of shape [batch, 10]"},
        {"\"mse\"", "[\"sparse_categorical_accuracy\"]", NULL, 10, "use accuracy"},
        {"\"mse\"", "[\"mae\", \"mae\"]", NULL, 10, "'mae' stands twice"},
        {"\"mse\"", NULL, "{\"sgd\": {\"clipnorm\": 1, \"clipvalue\": 1}}", 10, "only one of clipnorm"},
        {"\"mse\"", NULL,
         "{\"sgd\": {\"learning_rate\": {\"piecewise_constant_decay\": {\"boundaries\": [5], \"values\": "
         "[1]}}}}",
         10, "one value more than boundaries"},
    };
    for (int i = 0; i < ATHI_COUNT(mistakes); i++) {
        const compile_mistake *m = &mistakes[i];
        fixture f = fixture_begin();
        ath_dense(athi_net_input_add(f.net, "x", athi_dims(4), ATH_F32), .units = 10,
                  .activation = ATH_SOFTMAX);
        ath_status status = compile(&f, m->loss, m->metrics, m->optimizer,
                                    m->target ? athi_dims(m->target) : ATHI_SCALAR, false);
        assert_int_not_equal(status, ATH_OK);
        if (!strstr(ath_errmsg(f.ctx), m->part)) fail_msg("'%s' lacks '%s'", ath_errmsg(f.ctx), m->part);
        fixture_end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp),
        cmocka_unit_test(dense_rank_3),
        cmocka_unit_test(sentences_of_layers),
        cmocka_unit_test(sentences_of_calls),
        cmocka_unit_test(sentences_of_compiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
