/* A plan in use: constants, base pointers, running. */
#include "passes/plan.h"
#include "tensor/bf16.h"

#include <time.h>

static void fill(char *to, ath_dtype dtype, int64_t n, double value) {
    for (int64_t i = 0; i < n; i++) {
        switch (dtype) {
        case ATH_F32: ((float *)(void *)to)[i] = (float)value; break;
        case ATH_F64: ((double *)(void *)to)[i] = value; break;
        case ATH_I32: ((int32_t *)(void *)to)[i] = (int32_t)value; break;
        case ATH_I64: ((int64_t *)(void *)to)[i] = (int64_t)value; break;
        case ATH_U8: ((uint8_t *)to)[i] = (uint8_t)value; break;
        case ATH_I8: ((int8_t *)to)[i] = (int8_t)value; break;
        case ATH_BF16: ((uint16_t *)(void *)to)[i] = athi_bf16_of((float)value); break;
        case ATH_F16: break; /* refused by athi_plan_fill_constants */
        }
    }
}

ath_status athi_plan_fill_constants(athi_plan *plan) {
    if (!plan->constant_bytes) return ATH_OK;
    plan->constants = athi_alloc(plan->ctx, plan->constant_bytes);
    if (!plan->constants) return ATH_E_NOMEM;
    for (int64_t i = 0; i < plan->graph->n_nodes; i++) {
        const athi_node *node = plan->graph->nodes[i];
        if (node->op != ATHI_OP_CONSTANT) continue;
        ath_dtype dtype = node->out[0].dtype;
        if (dtype == ATH_F16)
            return athi_fail(plan->ctx, ATH_E_UNSUPPORTED, "constant: f16 is for files only; take f32 or bf16");
        fill(plan->constants + node->out[0].offset, dtype, athi_shape_count(node->out[0].shape),
             node->attr.constant.value);
    }
    return ATH_OK;
}

void athi_plan_destroy(athi_plan *plan) {
    if (!plan) return;
    for (int64_t c = 0; c < plan->n_calls; c++)
        if (plan->calls[c].destroy) plan->calls[c].destroy(&plan->calls[c]);
    athi_free(plan->ctx, plan->constants);
    if (plan->owns_graph) athi_graph_destroy(plan->graph);
    athi_arena_destroy(plan->arena);
}

int64_t athi_plan_slab_bytes(const athi_plan *plan) { return plan->slab_bytes; }
const athi_graph *athi_plan_graph(const athi_plan *plan) { return plan->graph; }

static void *address(const athi_plan *plan, athi_place at) {
    const athi_spaces *s = &plan->spaces;
    switch (at.space) {
    case ATHI_SPACE_SLAB: return s->slab + at.offset;
    case ATHI_SPACE_BLOCK: return s->block + at.variable->offset;
    case ATHI_SPACE_GRADS: return s->grads + (at.variable->offset - s->trainable_offset);
    case ATHI_SPACE_CONST: return s->constants + at.offset;
    case ATHI_SPACE_NONE: break;
    }
    return NULL;
}

static bool is_aligned(const void *p) { return (uintptr_t)p % ATHI_ALIGN == 0; }

ath_status athi_plan_bind(athi_plan *plan, const athi_spaces *spaces) {
    if (plan->slab_bytes && !spaces->slab)
        return athi_fail(plan->ctx, ATH_E_STATE, "plan: expected a slab of %lld bytes, got none",
                         (long long)plan->slab_bytes);
    if (!is_aligned(spaces->slab) || !is_aligned(spaces->block) || !is_aligned(spaces->grads))
        return athi_fail(plan->ctx, ATH_E_STATE, "plan: expected memory at multiples of %d bytes", ATHI_ALIGN);
    plan->spaces = *spaces;
    plan->spaces.constants = plan->constants;
    plan->spaces.variables = plan->graph->variables;
    plan->spaces.n_variables = plan->graph->n_variables;
    for (int64_t c = 0; c < plan->n_calls; c++) {
        athi_call *call = &plan->calls[c];
        const void **in = (const void **)(uintptr_t)call->in; /* the plan's own arrays */
        void **out = (void **)(uintptr_t)call->out;
        for (int i = 0; i < call->unit->n_in; i++) in[i] = address(plan, plan->in_places[c][i]);
        for (int i = 0; i < call->unit->n_out; i++) out[i] = address(plan, plan->out_places[c][i]);
        call->scratch = call->unit->scratch_bytes ? spaces->slab + call->unit->scratch_offset : NULL;
        if (call->bind) call->bind(call);
    }
    plan->bound = true;
    return ATH_OK;
}

void *athi_plan_input(const athi_plan *plan, int slot, const ath_tensor **tensor) {
    for (int64_t i = 0; i < plan->graph->n_nodes; i++) {
        const athi_node *node = plan->graph->nodes[i];
        if (node->op != ATHI_OP_INPUT || node->attr.input.slot != slot) continue;
        if (tensor) *tensor = &node->out[0];
        return plan->spaces.slab ? plan->spaces.slab + node->out[0].offset : NULL;
    }
    return NULL;
}

const void *athi_plan_output(const athi_plan *plan, int index, const ath_tensor **tensor) {
    if (index < 0 || index >= plan->graph->n_outputs) return NULL;
    const ath_tensor *t = plan->graph->outputs[index];
    if (tensor) *tensor = t;
    if (t->space == ATHI_SPACE_BLOCK) return plan->spaces.block ? plan->spaces.block + t->offset : NULL;
    if (t->space == ATHI_SPACE_CONST) return plan->constants + t->offset;
    return plan->spaces.slab ? plan->spaces.slab + t->offset : NULL;
}

void athi_plan_run(const athi_plan *plan) {
    assert(plan->bound || !plan->n_calls);
    for (int64_t c = 0; c < plan->n_calls; c++) plan->calls[c].run(&plan->calls[c]);
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void athi_plan_run_profiled(const athi_plan *plan, double *seconds) {
    const clockid_t clock = plan->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    for (int64_t c = 0; c < plan->n_calls; c++) {
        double start = now(clock);
        plan->calls[c].run(&plan->calls[c]);
        seconds[plan->unit_of_call[c]] += now(clock) - start;
    }
}
