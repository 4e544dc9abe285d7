/* The interface of a backend: kernels as priority lists per op and per fused pattern.
 *
 * A unit is what one kernel call computes: a single node, or a group of nodes that a pattern matched. The same
 * list decides what is supported and what runs: the first kernel that accepts wins, and says why. */
#ifndef ATHI_BACKEND_H
#define ATHI_BACKEND_H

#include "graph/graph.h"

typedef struct athi_kernel athi_kernel;
typedef struct athi_pattern athi_pattern;
typedef struct athi_call athi_call;

enum { ATHI_WHY_MAX = 160, ATHI_PATTERN_MAX = 6, ATHI_UNIT_IO_MAX = 72 };

struct athi_unit {
    const athi_pattern *pattern; /* NULL: a single node */
    athi_node *nodes[ATHI_PATTERN_MAX];
    int n_nodes;
    ath_tensor **in; /* the members' inputs in order, without those made inside; a value that is used
                                  * twice stands twice, so that positions follow from the pattern alone */
    int n_in;
    ath_tensor **out; /* of the last (or only) member all outputs, of those before it the ones that are
                                  * used outside; in the members' order */
    int n_out;
    const athi_kernel *kernel; /* set by place */
    const char *why;           /* the accepting kernel's reason, and before it the refusals: "a: no; b: yes" */
    int64_t scratch_offset, scratch_bytes; /* set by plan */
};

/* Base pointers of the spaces, the same for all calls of a plan. */
typedef struct athi_spaces {
    char *slab, *block, *grads;
    char *constants;                 /* filled in by the plan, which owns them */
    int64_t trainable_bytes;         /* length of the gradient buffer and of the block's trainable region */
    int64_t trainable_offset;        /* where that region starts in the block */
    athi_variable *const *variables; /* of the graph, for per-variable norms; filled in by the plan */
    int64_t n_variables;
    /* Counts the changes of the block's weights: a call may keep what it derived from them while it stays the same.
     * NULL: they may change before any call. */
    const int64_t *version;
} athi_spaces;

/* One kernel call of a plan. Elementwise ops of one node (unary.def and their gradients, add .. greater_equal,
 * dropout) may be called with an out that is one of the ins of the same shape. reshape of plain values is not called
 * at all, nor is a gradient whose value already lies in its place. */
struct athi_call {
    void (*run)(const athi_call *call);
    void (*bind)(athi_call *call);    /* optional: after in/out/scratch changed */
    void (*destroy)(athi_call *call); /* optional: frees what `state` holds beyond the arena */
    const athi_unit *unit;
    void *state;           /* the kernel's own, from the plan's arena */
    const void *const *in; /* unit->n_in pointers */
    void *const *out;      /* unit->n_out pointers; effects write through `in` of their variable */
    void *scratch;         /* 64-byte aligned, scratch_bytes */
    const athi_spaces *spaces;
};

/* What `make` may use and must say. */
typedef struct athi_make {
    ath_ctx *ctx;
    athi_arena *arena; /* lives as long as the plan */
    int threads;
    int64_t scratch_bytes; /* out: scratch that the call needs */
} athi_make;

struct athi_kernel {
    const char *name; /* "<library>:<what>", e.g. "onednn:convolution", "own:gemm", "ref:relu" */
    /** Can it run this unit (shapes, types and layouts known)? Writes the reason either way, short. */
    bool (*accepts)(const athi_unit *unit, char why[ATHI_WHY_MAX]);
    ath_status (*make)(athi_make *m, const athi_unit *unit, athi_call *call);
    /** Which layouts it takes and gives, in the backend's block size: see place.c. */
    enum athi_layout_need {
        ATHI_LAYOUT_PLAIN,   /* all 4-d activations plain */
        ATHI_LAYOUT_BLOCKED, /* all 4-d activations blocked (if their channels are a multiple of the block) */
        ATHI_LAYOUT_ANY,     /* whatever comes, the same for all */
    } layouts;
    /** Why it may need more than twice the time of its bound: what operations and bytes do not count. NULL: nothing known. */
    const char *bound_note;
};

/* A group that the backend can run as one: ops[0] feeds ops[1] feeds …, each through its first output. */
struct athi_pattern {
    const char *name; /* "matmul+add+relu" */
    athi_op ops[ATHI_PATTERN_MAX];
    int n_ops;
    unsigned escapes; /* bit i: the first output of ops[i] may also be used outside the group; others always */
    bool (*guard)(athi_node *const *nodes); /* optional further condition; nodes[0..n_ops) */
    const athi_kernel *kernels;             /* ended by a row without name; none accepts: the group is not formed */
};

/* How fast a machine can be at best. Work is bound by the larger of its operations / flops and its bytes / rate. */
enum { ATHI_MACHINE_LEVELS = 3 };
typedef struct athi_machine {
    int threads;
    double flops;      /* float32 operations a second, a multiply-add being two */
    double flops_bf16; /* of products of bfloat16 values, added up in float32; 0: this processor has none */
    struct {
        double bytes, rate;        /* values of so many bytes together are read and written at so many a second */
    } levels[ATHI_MACHINE_LEVELS]; /* smallest first */
} athi_machine;
/** Bytes a second for work that touches so many: between two levels by the logarithm, since caches end softly. */
double athi_machine_rate(const athi_machine *m, double bytes);
/** Operations a second for those of a node: of a product over bfloat16 that type's, else float32's. */
double athi_machine_flops(const athi_machine *m, const athi_node *node);

typedef struct athi_backend {
    const char *name; /* "ref", "cpu" */
    const char *doc;
    const athi_kernel *const *kernels; /* [ATHI_OP_COUNT_OF], each ended by a row without name; NULL: none */
    const athi_pattern *patterns;      /* by priority, ended by a row without name; NULL: none */
    /** The blocked layout of this processor; NULL: all values lie plain. */
    athi_layout (*blocked)(void);
    /** Why it cannot run on this machine, or NULL. */
    const char *(*unavailable)(void);
    /** Does it compute in a type on this machine? Else `why`: "this processor has no …". NULL: in all. */
    bool (*computes)(ath_dtype type, char why[ATHI_WHY_MAX]);
    /** Once per process and thread count before the first run (FTZ/DAZ, library threads). */
    void (*enter)(int threads);
    /** Holds the process to a lesser instruction set by its name, before anything is compiled; NULL: there is one only. */
    ath_status (*hold_to)(ath_ctx *ctx, const char *instruction_set);
    /** What it found: "AVX2, oneDNN 2.6.3, OpenBLAS 0.3.21". */
    void (*describe)(athi_text *out);
    /** Measures the machine, in less than a second; NULL: it has no bounds to be held against. */
    ath_status (*measure)(ath_ctx *ctx, int threads, athi_machine *out);
} athi_backend;

/** NULL-ended, best first; the reference last. */
extern const athi_backend *const athi_backends[];
/** The named one, or for "" the best that is available. */
ath_status athi_backend_find(ath_ctx *ctx, const char *name, const athi_backend **out);

#endif
