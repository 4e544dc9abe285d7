/* The state block: laying out, saving, loading. */
#include "train/internal.h"

#include "base/file.h"

#include <zlib.h>

static const char checksum_name[] = "train/checksum"; /* crc32 of the data with this at 0 */

static ath_status collect(athi_state *s, athi_graph *graph, athi_variable **order) {
    athi_contents *c = &s->contents;
    for (int role = ATHI_TRAINABLE; role <= ATHI_TRAIN; role++)
        for (int64_t i = 0; i < graph->n_variables; i++) {
            athi_variable *v = graph->variables[i];
            if ((int)v->role != role) continue;
            order[c->n] = v;
            c->entries[c->n++] = (athi_entry){.name = v->name, .dtype = v->dtype, .shape = v->shape};
        }
    ATH_TRY(athi_contents_layout(s->ctx, c));
    s->trainable_bytes = c->data_bytes;
    for (int64_t i = c->n; i-- > 0;) {
        order[i]->offset = c->entries[i].offset;
        if (order[i]->role != ATHI_TRAINABLE) s->trainable_bytes = c->entries[i].offset;
    }
    return ATH_OK;
}

ath_status athi_state_create(ath_ctx *ctx, athi_graph *graph, const athi_value *metadata, athi_state **state) {
    if (!athi_variable_add(graph, checksum_name, ATHI_SCALAR, ATH_I64, ATHI_TRAIN)) return athi_graph_check(graph);
    athi_arena *arena = athi_arena_create(ctx);
    athi_state *s = arena ? athi_arena_alloc(arena, sizeof *s) : NULL;
    if (!s) return athi_arena_destroy(arena), ATH_E_NOMEM;
    *s = (athi_state){.ctx = ctx, .arena = arena, .graph = graph};
    ath_status status = ATH_OK;
    athi_variable **order = athi_arena_array(arena, graph->n_variables + 1, sizeof *order);
    s->contents.entries = athi_arena_array(arena, graph->n_variables + 1, sizeof *s->contents.entries);
    if (!order || !s->contents.entries) status = ATH_E_NOMEM;
    char *header = NULL;
    int64_t header_bytes = 0;
    if (status == ATH_OK) status = collect(s, graph, order);
    if (status == ATH_OK && metadata && !(s->contents.metadata = athi_value_copy(arena, metadata)))
        status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_contents_header(ctx, arena, &s->contents, &header, &header_bytes);
    if (status == ATH_OK) {
        s->bytes = header_bytes + s->contents.data_bytes;
        status = athi_memory_fits(ctx, s->bytes + s->trainable_bytes, "the model with optimizer and gradients");
        if (status == ATH_OK && !(s->memory = athi_alloc(ctx, s->bytes))) status = ATH_E_NOMEM;
    }
    if (status != ATH_OK) return athi_state_destroy(s), status;
    memcpy(s->memory, header, (size_t)header_bytes);
    s->data = s->memory + header_bytes;
    *state = s;
    return ATH_OK;
}

void athi_state_destroy(athi_state *state) {
    if (!state) return;
    athi_free(state->ctx, state->memory);
    athi_arena_destroy(state->arena);
}

void *athi_state_at(const athi_state *state, const athi_variable *variable) { return state->data + variable->offset; }

/* ---- files --------------------------------------------------------------------------------------- */

static uint64_t checksum(const char *data, int64_t bytes) {
    return crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)data, (size_t)bytes);
}

ath_status athi_state_save(ath_ctx *ctx, const athi_state *s, const char *path) {
    uint64_t *sum = (uint64_t *)(void *)(s->data + athi_contents_find(&s->contents, checksum_name)->offset);
    *sum = 0;
    *sum = checksum(s->data, s->contents.data_bytes);
    return athi_file_write_pieces(ctx, path, &(athi_piece){s->memory, s->bytes}, 1, true);
}

static ath_status compare(ath_ctx *ctx, const athi_state *s, const athi_contents *c, const char *path) {
    for (int64_t i = 0; i < ATHI_MAX(c->n, s->contents.n); i++) {
        const athi_entry *want = i < s->contents.n ? &s->contents.entries[i] : NULL,
                         *have = i < c->n ? &c->entries[i] : NULL;
        if (want && have && strcmp(want->name, have->name) == 0 && want->dtype == have->dtype &&
            want->offset == have->offset && athi_shape_equal(want->shape, have->shape))
            continue;
        char a[96], b[96];
        return athi_fail(ctx, ATH_E_STATE,
                         "%s: it is the state of another model: %s %s is expected, the file has %s %s; "
                         "start with --overwrite, or in another folder",
                         path, want ? want->name : "nothing more", want ? athi_shape_str(want->shape, a) : "",
                         have ? have->name : "nothing more", have ? athi_shape_str(have->shape, b) : "");
    }
    return ATH_OK;
}

ath_status athi_state_load(ath_ctx *ctx, athi_state *s, const char *path) {
    athi_arena *arena = athi_arena_create(ctx);
    char *file = NULL;
    int64_t size = 0, begin = 0;
    athi_contents c;
    ath_status status = arena ? ATH_OK : ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_read(ctx, path, false, INT64_MAX, &file, &size);
    if (status == ATH_OK) status = athi_contents_parse(ctx, arena, path, file, size, &c, &begin);
    if (status == ATH_OK) status = compare(ctx, s, &c, path);
    if (status == ATH_OK) {
        char *data = file + begin;
        char *sum = data + athi_contents_find(&c, checksum_name)->offset; /* a foreign header may misalign it */
        uint64_t expected;
        memcpy(&expected, sum, sizeof expected);
        memset(sum, 0, sizeof expected);
        if (size - begin != s->contents.data_bytes || checksum(data, size - begin) != expected)
            status = athi_fail(ctx, ATH_E_DATA, "%s: damaged: its checksum does not fit its content", path);
        else
            memcpy(s->data, data, (size_t)s->contents.data_bytes);
    }
    athi_free(ctx, file);
    athi_arena_destroy(arena);
    return status;
}
