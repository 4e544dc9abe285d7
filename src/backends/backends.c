/* The backends that there are, and finding one by name. */
#include "graph/backend.h"

#include "backends/cpu/cpu.h"
#include "backends/ref/ref.h"

const athi_backend *const athi_backends[] = {&athi_cpu_backend, &athi_ref_backend, NULL};

static ath_status unknown(ath_ctx *ctx, const char *name) {
    const char *names[ATHI_COUNT(athi_backends)];
    athi_text list = {.ctx = ctx};
    int n = 0;
    for (; athi_backends[n]; n++) {
        names[n] = athi_backends[n]->name;
        athi_text_printf(&list, "%s%s", n ? ", " : "", names[n]);
    }
    const char *nearest = athi_nearest(name, names, n, sizeof names[0]);
    ath_status status =
        list.failed ? athi_nomem(ctx, list.length)
                    : athi_fail(ctx, ATH_E_OPTION, "backend: there is none called '%s'%s%s%s; there are %s",
                                name, nearest ? ", did you mean '" : "", nearest ? nearest : "",
                                nearest ? "'" : "", list.text);
    athi_text_free(&list);
    return status;
}

ath_status athi_backend_find(ath_ctx *ctx, const char *name, const athi_backend **out) {
    for (int i = 0; athi_backends[i]; i++) {
        const char *missing = athi_backends[i]->unavailable ? athi_backends[i]->unavailable() : NULL;
        if (!*name ? missing != NULL : strcmp(athi_backends[i]->name, name) != 0) continue;
        if (missing)
            return athi_fail(ctx, ATH_E_UNSUPPORTED,
                             "backend '%s': %s; leave the name out to take the best that runs", name,
                             missing);
        *out = athi_backends[i];
        return ATH_OK;
    }
    return unknown(ctx, name);
}
