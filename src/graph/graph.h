/* The graph: typed nodes in program order, variables, and the builder that every layer appends with.
 *
 *   athi_graph ── nodes[0..n): a topological order that is also the order of effects
 *      node ── in[] ─> ath_tensor (the output of an earlier node)
 *           └─ out[] : ath_tensor, owned by the node
 *   athi_graph ── variables[]: what lies in the state block (weights, slots, statistics, counters)
 *
 * A failed build poisons the graph: the first error stays, later calls return the poison tensor. */
#ifndef ATHI_GRAPH_H
#define ATHI_GRAPH_H

#include "graph/attr.h"
#include "tensor/tensor.h"

typedef enum athi_op {
#define ATH_OP(id, ...) ATHI_OP_##id,
#include "graph/ops.def"
#undef ATH_OP
    ATHI_OP_COUNT_OF /* how many there are */
} athi_op;

typedef struct athi_node athi_node;
typedef struct athi_graph athi_graph;
typedef struct athi_unit athi_unit;

/* ---- what the block holds ------------------------------------------------------------------------ */

typedef enum athi_role {
    ATHI_TRAINABLE, /* weights; order of creation */
    ATHI_SLOT,      /* optimizer/<slot>/<variable>, in the same order */
    ATHI_STATISTIC, /* moving means and variances, frozen weights */
    ATHI_BEST,      /* best/<variable>: copies for early stopping */
    ATHI_TRAIN,     /* train/<name>: steps, counters, metric sums, callback state */
} athi_role;

struct athi_variable {
    const char *name; /* "dense/kernel" */
    athi_shape shape;
    ath_dtype dtype;
    athi_role role;
    int index;         /* in graph->variables */
    int64_t offset;    /* in the block; set by train's layout */
    const void *owner; /* nn's record of it (initialiser, regulariser); opaque here */
};

/* ---- nodes --------------------------------------------------------------------------------------- */

/* Where a value lives once planned. */
typedef enum athi_memory {
    ATHI_SPACE_NONE,
    ATHI_SPACE_SLAB,  /* activations, scratch, input slots */
    ATHI_SPACE_BLOCK, /* variables */
    ATHI_SPACE_GRADS, /* gradients: the trainable region of the block, offset for offset */
    ATHI_SPACE_CONST  /* scalars and fills of the plan */
} athi_memory;

struct ath_tensor {
    athi_node *node; /* producer; NULL for the poison */
    int index;       /* which of its outputs */
    athi_shape shape;
    ath_dtype dtype;
    athi_layout layout;
    athi_graph *graph;
    athi_memory space; /* set by plan */
    int64_t offset;
    void *mark; /* scratch of the running pass */
};

/* In which programs a node takes part. */
typedef enum athi_mode { ATHI_MODE_TRAIN = 1, ATHI_MODE_EVALUATE = 2, ATHI_MODE_PREDICT = 4, ATHI_MODE_ALL = 7 } athi_mode;

struct athi_node {
    athi_op op;
    int id;            /* position in graph->nodes */
    unsigned modes;    /* bits of athi_mode */
    const char *layer; /* the layer that made it ("conv2d_1"), "" for the rest */
    ath_dtype compute; /* the type that its layer computes in: f32 or bf16; athi_pass_precision makes it so */
    bool backward;     /* made by differentiation */
    int n_in, n_out;
    ath_tensor **in;
    ath_tensor *out; /* n_out of them */
    athi_attr attr;
    athi_unit *unit; /* set by fuse */
};

struct athi_graph {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_node **nodes;
    int64_t n_nodes, cap_nodes;
    athi_variable **variables;
    int64_t n_variables, cap_variables;
    ath_status failed;     /* first build error, its sentence in `error` */
    const char *error;
    ath_tensor poison;
    unsigned modes;        /* given to nodes made now */
    const char *layer;     /* given to nodes made now */
    ath_dtype compute;     /* given to nodes made now */
    bool backward;         /* given to nodes made now */
    ath_tensor *loss;      /* scalar, or NULL */
    ath_tensor **outputs;  /* predictions, kept alive */
    int n_outputs;
    athi_unit **units;     /* set by fuse: all nodes but the sources, grouped, in order of running */
    int64_t n_units;
    unsigned invariants;   /* bits of athi_invariant that hold */
    void *owner;           /* nn's net, opaque here */
};

/* ---- the op table -------------------------------------------------------------------------------- */

typedef struct athi_grad athi_grad; /* the running differentiation; athi_grad_wants(g, tensor) */
/* How many of an op's inputs, from the first, may be bf16 if they are floating; ops.def says more. */
enum { ATHI_COMPUTE_F32, ATHI_COMPUTE_X, ATHI_COMPUTE_DY_X, ATHI_COMPUTE_ALL = 64, ATHI_COMPUTE_ANY };
typedef struct athi_op_info {
    const char *name;
    int min_in, max_in, n_out;
    athi_attr_kind attr;
    int compute;
    ath_status (*shape)(athi_node *node);                                /* fills shapes and types of out */
    void (*grad)(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx); /* or NULL */
    const char *no_grad;                                                  /* the reason when there is none */
} athi_op_info;
extern const athi_op_info athi_op_table[ATHI_OP_COUNT_OF];
const char *athi_op_name(athi_op op);
bool athi_op_find(const char *name, athi_op *op);
bool athi_op_has_effect(athi_op op);
/** input, variable or constant: nothing runs for it. */
bool athi_op_is_source(athi_op op);
/** For unary ops: the op of the gradient, and whether it keeps the output (else the input). */
bool athi_op_unary(athi_op op, athi_op *gradient, bool *keeps_output);

/* ---- building ------------------------------------------------------------------------------------ */

ath_status athi_graph_create(ath_ctx *ctx, athi_graph **graph);
void athi_graph_destroy(athi_graph *graph);
/** Appends a node; attr NULL means zeros. Returns its first output (for effects: a tensor without shape), or the
 *  poison. `in` are copied. The other outputs are at node->out[i]. */
ath_tensor *athi_node_add(athi_graph *graph, athi_op op, ath_tensor *const *in, int n_in, const athi_attr *attr);
/* The last argument is the attributes; it may hold the commas of a compound literal. */
#define athi_op1(g, op, a, ...)       athi_node_add((g), (op), (ath_tensor *[]){(a)}, 1, (__VA_ARGS__))
#define athi_op2(g, op, a, b, ...)    athi_node_add((g), (op), (ath_tensor *[]){(a), (b)}, 2, (__VA_ARGS__))
#define athi_op3(g, op, a, b, c, ...) athi_node_add((g), (op), (ath_tensor *[]){(a), (b), (c)}, 3, (__VA_ARGS__))
/** Registers a variable (name copied, unique) without a node. NULL after a failure. */
athi_variable *athi_variable_add(athi_graph *graph, const char *name, athi_shape shape, ath_dtype dtype, athi_role role);
/** The node that reads a variable, made on first use. */
ath_tensor *athi_variable_tensor(athi_graph *graph, athi_variable *variable);
/** t as floating type `dtype`: t itself if it is of that type, else a cast. */
ath_tensor *athi_cast(athi_graph *graph, ath_tensor *t, ath_dtype dtype);
ath_tensor *athi_constant(athi_graph *graph, double value, athi_shape shape);
ath_tensor *athi_input(athi_graph *graph, int slot, const char *name, athi_shape shape, ath_dtype dtype);
/** Poisons the graph with a sentence (unless it is already) and returns the poison. */
ath_tensor *athi_poison(athi_graph *graph, ath_status status, const char *fmt, ...) ATHI_PRINTF(3, 4);
bool athi_is_poison(const ath_tensor *t);
/** ATH_OK, or the first build error with its sentence on the context. */
ath_status athi_graph_check(athi_graph *graph);

/** Copies the nodes of `mode` that outputs and effects need into a new graph, shapes inferred again with the given
 *  input shapes (by slot; rank -1 keeps the declared shape). batch_norm becomes its form for the mode, dropout
 *  disappears outside training. The variables are shared, not copied: `graph` must outlive `out`. A training
 *  program keeps the loss but no predictions, the others the reverse. */
ath_status athi_graph_specialize(const athi_graph *graph, athi_mode mode, const athi_shape *input_shapes, int n_slots,
                                 athi_graph **out);

/* ---- looking ------------------------------------------------------------------------------------- */

/** The canonical text: one line a node, "%5 f32[128,64] = matmul(%3, %4) transpose_b=true  ; \"dense\"":
 *  see print.c. */
void athi_graph_print(const athi_graph *graph, athi_text *out);
/** Reads what athi_graph_print wrote (tests, and the fuzzer). */
ath_status athi_graph_parse(ath_ctx *ctx, const char *text, athi_graph **out);
void athi_attr_print(athi_attr_kind kind, const athi_attr *attr, athi_text *out);

/* What may be relied on, in the order in which passes establish it. */
typedef enum athi_invariant {
    ATHI_INV_TYPED = 1,     /* every shape is known, no dynamic dimension */
    ATHI_INV_GRADIENTS = 2, /* every trainable variable has its gradient node */
    ATHI_INV_GROUPED = 4,   /* units partition the nodes in a valid order */
    ATHI_INV_PLACED = 8,    /* every unit has a kernel, layouts agree */
    ATHI_INV_PLANNED = 16,  /* every value has a space and an offset; live values do not overlap */
} athi_invariant;
/** Checks structure and the named invariants; the sentence names the node. */
ath_status athi_graph_verify(const athi_graph *graph, unsigned invariants);

/* ---- for shape rules and kernels ----------------------------------------------------------------- */

/** Output size and padding in front of a window over n cells (-1 for dynamic n). */
int64_t athi_window_out(int64_t n, int64_t size, int64_t stride, int64_t dilation, bool same);
int64_t athi_window_pad(int64_t n, int64_t size, int64_t stride, int64_t dilation, bool same);
/** Floating-point operations of one node (multiply and add count as two), and bytes it must touch. */
double athi_node_flops(const athi_node *node);
double athi_node_bytes(const athi_node *node);

#endif
