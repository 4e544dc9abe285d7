/* What the files that call oneDNN share: primitives that are worth running, calls made of them, descriptors of values.
 * (Version 2.6's C interface; version 3 changes every descriptor, so no dnnl_ name stands in any file but onednn*.)
 *
 * A call is a few primitives that run one after the other over memories whose addresses come from the unit's inputs
 * and outputs or from the call's scratch. Weights lie in the block as Keras has them, [kh, kw, in, out]; a reorder to
 * and from the format that the primitive likes is part of the call. */
#ifndef ATHI_ONEDNN_INTERNAL_H
#define ATHI_ONEDNN_INTERNAL_H

#include "backends/cpu/onednn.h"

#include <dnnl.h>

typedef dnnl_memory_desc_t desc;

/* ---- primitives ---------------------------------------------------------------------------------- */

/* NULL: none could be made */
dnnl_engine_t athi_onednn_engine(void);
/* The descriptor of a primitive that is worth running; NULL: none, the reason in `why`. Those whose implementation is a
 * reference loop are refused: our own or ref's is no slower. */
dnnl_primitive_desc_t athi_onednn_primitive(const void *op, bool relu, dnnl_primitive_desc_t hint, int threads,
                                            char why[ATHI_WHY_MAX]);
/* Is there one? Destroys it. */
bool athi_onednn_is_described(dnnl_primitive_desc_t pd);

/* ---- calls --------------------------------------------------------------------------------------- */

enum { MAX_MEMORIES = 16, MAX_STEPS = 3, MAX_ARGS = 10 };

typedef enum source { FROM_IN, FROM_OUT, FROM_SCRATCH } source;

typedef struct memory {
    dnnl_memory_t memory;
    source from;
    int64_t at; /* which input or output, or the offset in scratch */
} memory;

typedef struct step {
    dnnl_primitive_t primitive;
    int n_args;
    dnnl_exec_arg_t args[MAX_ARGS];
} step;

typedef struct onednn_state {
    athi_cpu_base base;
    dnnl_stream_t stream;
    memory memories[MAX_MEMORIES];
    step steps[MAX_STEPS];
    int n_memories, n_steps;
    int64_t scratch_bytes;
    bool failed;
} onednn_state;

/* NULL: no memory. What fails between here and athi_onednn_finish is said by the latter. */
onednn_state *athi_onednn_state_create(athi_make *m, athi_call *call);
ath_status athi_onednn_finish(athi_make *m, athi_call *call);

dnnl_memory_t athi_onednn_memory(onednn_state *s, const desc *md, source from, int64_t at);
dnnl_memory_t athi_onednn_scratch(onednn_state *s, const desc *md);
/* An output, or scratch when nobody reads it. */
dnnl_memory_t athi_onednn_out(onednn_state *s, const desc *md, int at);

/* Takes pd; its scratchpad becomes an argument. */
step *athi_onednn_step(onednn_state *s, dnnl_primitive_desc_t pd);
void athi_onednn_arg(step *to, int key, dnnl_memory_t m);
void athi_onednn_reorder(onednn_state *s, const desc *from, dnnl_memory_t a, const desc *to, dnnl_memory_t b);

/* ---- descriptors of values ----------------------------------------------------------------------- */

/* What oneDNN calls the type of a value that accepts functions let through. */
dnnl_data_type_t athi_onednn_type(const ath_tensor *t);
/* An image in its layout. */
bool athi_onednn_image(const ath_tensor *t, desc *md);
bool athi_onednn_vector(int64_t n, dnnl_data_type_t type, desc *md);

#endif
