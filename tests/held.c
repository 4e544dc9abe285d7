/* Linked into every test and bench: ATHANOR_CPU=avx2 holds them to what another processor has, as it does the program. */
#include "graph/backend.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void hold_processor(void) {
    const char *name = getenv("ATHANOR_CPU");
    const athi_backend *cpu;
    ath_ctx *ctx = NULL;
    if (!name || !*name) return;
    if (ath_ctx_create(NULL, &ctx) != ATH_OK || athi_backend_find(ctx, "cpu", &cpu) != ATH_OK ||
        cpu->hold_to(ctx, name) != ATH_OK) {
        fprintf(stderr, "ATHANOR_CPU: %s\n", ctx ? ath_errmsg(ctx) : "out of memory");
        exit(2);
    }
    ath_ctx_destroy(ctx);
}
