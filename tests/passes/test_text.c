/* Passes as text: cases/<pass>/<name>.in is read, the pass runs, and what is printed must be <name>.out. With
 * ATHANOR_BLESS set the .out files are written instead; read the difference before committing it.
 *
 * fuse runs on a backend whose patterns stand below and whose kernels refuse results of more than 1000 rows. */
#include "test.h"

#include <dirent.h>

#include "passes/passes.h"

static bool accepts(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const ath_tensor *t = unit->n_out ? unit->out[0] : unit->in[0];
    bool yes = t->shape.rank == 0 || t->shape.dim[0] <= 1000;
    snprintf(why, ATHI_WHY_MAX, yes ? "small" : "too many rows");
    return yes;
}
static const athi_kernel group_kernels[] = {{.name = "test:group", .accepts = accepts}, {0}};

static bool bias_is_vector(athi_node *const *nodes) {
    for (int i = 0; i < 2; i++)
        if (nodes[1]->in[i] != &nodes[0]->out[0]) return nodes[1]->in[i]->shape.rank == 1;
    return false;
}

static const athi_pattern patterns[] = {
    {.name = "matmul+add+relu",
     .ops = {ATHI_OP_MATMUL, ATHI_OP_ADD, ATHI_OP_RELU},
     .n_ops = 3,
     .guard = bias_is_vector,
     .kernels = group_kernels},
    {.name = "matmul+add",
     .ops = {ATHI_OP_MATMUL, ATHI_OP_ADD},
     .n_ops = 2,
     .guard = bias_is_vector,
     .kernels = group_kernels},
    {.name = "batch_norm_train+relu",
     .ops = {ATHI_OP_BATCH_NORM_TRAIN, ATHI_OP_RELU},
     .n_ops = 2,
     .escapes = 1,
     .kernels = group_kernels},
    {.name = "add+move_towards",
     .ops = {ATHI_OP_ADD, ATHI_OP_MOVE_TOWARDS},
     .n_ops = 2,
     .escapes = 1,
     .kernels = group_kernels},
    {0},
};
static const athi_backend backend = {.name = "test", .patterns = patterns};

static ath_status fuse(athi_graph *g) { return athi_pass_fuse(g, &backend); }

static const struct {
    const char *folder;
    ath_status (*run)(athi_graph *g);
} passes[] = {{"precision", athi_pass_precision}, {"differentiate", athi_pass_differentiate}, {"fuse", fuse}};

static char *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, f);
    assert_true(n < (1 << 16) - 1);
    fclose(f);
    return text;
}

static void one_case(const char *folder, const char *name, ath_status (*run)(athi_graph *g)) {
    char path[1024];
    ath_ctx *ctx = NULL;
    athi_graph *g = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *in = read_file(path);
    assert_non_null(in);
    if (athi_graph_parse(ctx, in, &g) != ATH_OK) fail_msg("%s: %s", path, ath_errmsg(ctx));
    athi_text out = {.ctx = ctx};
    if (run(g) == ATH_OK)
        athi_graph_print(g, &out);
    else
        athi_text_printf(&out, "error: %s\n", ath_errmsg(ctx));
    snprintf(path + strlen(path) - 2, 8, "out");
    char *wanted = read_file(path);
    if (getenv("ATHANOR_BLESS")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(out.text, f);
        fclose(f);
    } else if (!wanted || strcmp(wanted, out.text)) {
        fail_msg("%s: got\n%s", path, out.text);
    }
    free(wanted);
    free(in);
    athi_text_free(&out);
    athi_graph_destroy(g);
    ath_ctx_destroy(ctx);
}

static void each_case(void **state) {
    (void)state;
    for (int p = 0; p < ATHI_COUNT(passes); p++) {
        char folder[768];
        int n = 0;
        snprintf(folder, sizeof folder, "%s/tests/passes/cases/%s", getenv("ATHANOR_SOURCE"), passes[p].folder);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
            const char *dot = strrchr(e->d_name, '.');
            if (!dot || strcmp(dot, ".in")) continue;
            one_case(folder, e->d_name, passes[p].run);
            n++;
        }
        closedir(d);
        assert_true(n >= 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
