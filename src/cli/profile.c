/* Where a step's time goes, for people and for programs. */
#include "cli/profile.h"

#include <stdlib.h>

void athi_put_scaled(athi_text *out, double v, const char *unit) {
    static const char *const scales[] = {"", "k", "M", "G", "T", "P"};
    int i = 0;
    for (; v >= 1000 && i + 1 < ATHI_COUNT(scales); i++) v /= 1000;
    athi_text_printf(out, "%.3g %s%s", v, scales[i], unit);
}

void athi_unit_ops(const athi_unit *u, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < u->n_nodes && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "+" : "", athi_op_name(u->nodes[i]->op));
}

const char *athi_typed_shape(ath_dtype type, athi_shape shape, char out[112]) {
    char dims[96];
    snprintf(out, 112, "%s%s", type == ATH_F32 ? "" : athi_dtype_name(type), athi_shape_str(shape, dims));
    return out;
}

const char *athi_unit_type(const athi_unit *u, char out[112]) {
    return u->n_out ? athi_typed_shape(u->out[0]->dtype, u->out[0]->shape, out) : "";
}

void athi_put_machine(athi_text *out, const athi_machine *m) {
    athi_text_printf(out, "%d thread%s: ", m->threads, ATHI_PLURAL(m->threads));
    athi_put_scaled(out, m->flops, "FLOP/s");
    if (m->flops_bf16 > 0) {
        athi_text_printf(out, " (bfloat16: ");
        athi_put_scaled(out, m->flops_bf16, "FLOP/s)");
    }
    for (int i = 0; i < ATHI_MACHINE_LEVELS; i++) {
        athi_text_printf(out, ", ");
        athi_put_scaled(out, m->levels[i].rate, "B/s");
        athi_text_printf(out, " in ");
        athi_put_scaled(out, m->levels[i].bytes, "B");
    }
    athi_text_printf(out, "\n");
}

/* ---- calls of one kind --------------------------------------------------------------------------- */

/* From this share of a step on the table says why calls need more than twice the time of their bound. */
static const double EXPLAINED = 0.02;

/* The same ops by the same kernel. */
typedef struct kind {
    char ops[128];
    const char *kernel, *note;
    int64_t calls;
    double seconds, flops, bytes, bound, by_memory; /* by_memory: the seconds of bound that are the memory's */
} kind;

static const char *kernel_of(const athi_unit *u) { return u->kernel ? u->kernel->name : ""; }

static const char *note_of(const athi_unit *u) { return u->kernel ? u->kernel->bound_note : NULL; }

static void add_unit(kind *kinds, int64_t *n, const athi_profile_unit *u) {
    kind new = {.kernel = kernel_of(u->unit), .note = note_of(u->unit)};
    athi_unit_ops(u->unit, new.ops, sizeof new.ops);
    int64_t i = 0;
    while (i < *n && (strcmp(kinds[i].ops, new.ops) != 0 || strcmp(kinds[i].kernel, new.kernel) != 0)) i++;
    if (i == *n) kinds[(*n)++] = new;
    kind *k = &kinds[i];
    k->calls++;
    k->seconds += u->seconds, k->flops += u->flops, k->bytes += u->bytes;
    k->bound += u->bound, k->by_memory += u->by_memory ? u->bound : 0;
}

static int longer_kind(const void *a, const void *b) {
    double x = ((const kind *)a)->seconds, y = ((const kind *)b)->seconds;
    return (x < y) - (x > y);
}
static int longer_unit(const void *a, const void *b) {
    double x = (*(const athi_profile_unit *const *)a)->seconds, y = (*(const athi_profile_unit *const *)b)->seconds;
    return (x < y) - (x > y);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static void put_times(athi_text *out, double seconds, double whole, double bound, bool by_memory, double flops,
                      double bytes) {
    athi_text rate = {.ctx = out->ctx};
    athi_put_scaled(&rate, (by_memory ? bytes : flops) / seconds, by_memory ? "B/s" : "FLOP/s");
    athi_text_printf(out, "  %5.1f %%  %9.3f ms", 100 * seconds / whole, 1e3 * seconds);
    if (bound > 0)
        athi_text_printf(out, "  %4.0f %%  %-7s", 100 * bound / seconds, by_memory ? "memory" : "FLOPs");
    else
        athi_text_printf(out, "  %6s  %-7s", "", "");
    athi_text_printf(out, "  %14s", rate.text ? rate.text : "");
    athi_text_free(&rate);
}

static void put_kinds(const kind *kinds, int64_t n, const athi_profile *p, double whole, athi_text *out) {
    athi_text_printf(out, "\n%9s  %12s  %6s  %-7s  %14s  calls of one kind\n", "share", "time", "bound", "by",
                     "rate");
    for (int64_t i = 0; i < n; i++) {
        const kind *k = &kinds[i];
        if (k->seconds <= 0) continue;
        put_times(out, k->seconds, whole, k->bound, k->by_memory > k->bound / 2, k->flops, k->bytes);
        athi_text_printf(out, "  %s  %s  x %lld\n", k->ops, k->kernel, (long long)k->calls);
        if (k->seconds >= EXPLAINED * whole && k->bound > 0 && k->bound < k->seconds / 2)
            athi_text_printf(out, "%11sbelow half of its bound: %s\n", "", k->note ? k->note : "no reason is known");
    }
    athi_text_printf(out, "  %5.1f %%  %9.3f ms  %6s  %-7s  %14s  the batch into its place\n",
                     100 * p->gather / whole, 1e3 * p->gather, "", "", "");
}

static void put_units(const athi_profile_unit *const *units, int64_t n, double whole, athi_text *out) {
    char ops[128], type[112];
    athi_text_printf(out, "\n%9s  %12s  %6s  %-7s  %14s  calls that take 1 %% and more\n", "share", "time", "bound",
                     "by", "rate");
    for (int64_t i = 0; i < n && units[i]->seconds >= 0.01 * whole; i++) {
        const athi_profile_unit *u = units[i];
        athi_unit_ops(u->unit, ops, sizeof ops);
        put_times(out, u->seconds, whole, u->bound, u->by_memory, u->flops, u->bytes);
        athi_text_printf(out, "  %s  %s  %s  %s\n", ops, u->unit->nodes[u->unit->n_nodes - 1]->layer,
                         athi_unit_type(u->unit, type), kernel_of(u->unit));
    }
}

ath_status athi_put_profile(athi_cli *cli, const athi_profile *p, athi_text *out) {
    kind *kinds = athi_arena_array(cli->arena, p->n + 1, (int64_t)sizeof *kinds);
    const athi_profile_unit **units = athi_arena_array(cli->arena, p->n + 1, (int64_t)sizeof *units);
    if (!kinds || !units) return ATH_E_NOMEM;
    int64_t n = 0;
    double whole = p->gather;
    for (int64_t i = 0; i < p->n; i++) {
        add_unit(kinds, &n, &p->units[i]);
        units[i] = &p->units[i];
        whole += p->units[i].seconds;
    }
    qsort(kinds, (size_t)n, sizeof *kinds, longer_kind);
    qsort(units, (size_t)p->n, sizeof *units, longer_unit);
    athi_text_printf(out, "\nmachine, ");
    if (p->machine.threads)
        athi_put_machine(out, &p->machine);
    else
        athi_text_printf(out, "not measured by this backend\n");
    athi_text_printf(out,
                     "step of batch %lld: %.3f ms, %.0f samples/s; with timers between its calls %.3f ms (medians "
                     "of %lld)\n",
                     (long long)p->batch, 1e3 * p->step, (double)p->batch / p->step, 1e3 * whole,
                     (long long)p->steps);
    put_kinds(kinds, n, p, whole, out);
    put_units(units, p->n, whole, out);
    return ATH_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static ath_status put_number(athi_arena *arena, athi_value *map, const char *key, double v) {
    return athi_value_set(arena, map, key, athi_value_float(arena, v));
}
static ath_status put_text(athi_arena *arena, athi_value *map, const char *key, const char *v) {
    return athi_value_set(arena, map, key, athi_value_string(arena, v));
}

ath_status athi_machine_value(athi_arena *arena, const athi_machine *m, athi_value **out) {
    athi_value *map = *out = athi_value_new(arena, ATHI_MAP), *rates = athi_value_new(arena, ATHI_LIST);
    if (!map || !rates) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, map, "threads", athi_value_int(arena, m->threads)));
    ATH_TRY(put_number(arena, map, "flops", m->flops));
    if (m->flops_bf16 > 0) ATH_TRY(put_number(arena, map, "flops_bf16", m->flops_bf16));
    for (int i = 0; i < ATHI_MACHINE_LEVELS; i++) {
        athi_value *level = athi_value_new(arena, ATHI_MAP);
        if (!level) return ATH_E_NOMEM;
        ATH_TRY(put_number(arena, level, "bytes", m->levels[i].bytes));
        ATH_TRY(put_number(arena, level, "rate", m->levels[i].rate));
        ATH_TRY(athi_value_append(arena, rates, level));
    }
    return athi_value_set(arena, map, "rates", rates);
}

ath_status athi_unit_value(athi_arena *arena, const athi_profile_unit *u, athi_value **out) {
    char ops[128], shape[96];
    athi_value *map = *out = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    athi_unit_ops(u->unit, ops, sizeof ops);
    ATH_TRY(put_text(arena, map, "ops", ops));
    ATH_TRY(put_text(arena, map, "layer", u->unit->nodes[u->unit->n_nodes - 1]->layer));
    if (u->unit->n_out) {
        ATH_TRY(put_text(arena, map, "shape", athi_shape_str(u->unit->out[0]->shape, shape)));
        ATH_TRY(put_text(arena, map, "type", athi_dtype_name(u->unit->out[0]->dtype)));
    }
    ATH_TRY(put_text(arena, map, "kernel", kernel_of(u->unit)));
    ATH_TRY(put_number(arena, map, "flops", u->flops));
    ATH_TRY(put_number(arena, map, "bytes", u->bytes));
    if (u->seconds <= 0) return ATH_OK;
    ATH_TRY(put_number(arena, map, "seconds", u->seconds));
    if (u->bound <= 0) return ATH_OK;
    ATH_TRY(put_number(arena, map, "bound_seconds", u->bound));
    ATH_TRY(put_text(arena, map, "bound_by", u->by_memory ? "memory" : "flops"));
    if (u->bound < u->seconds / 2 && note_of(u->unit)) ATH_TRY(put_text(arena, map, "below_half", note_of(u->unit)));
    return put_number(arena, map, "of_bound", u->bound / u->seconds);
}
