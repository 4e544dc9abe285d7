/* Arenas and heap helpers: zeroed, aligned, stable addresses, checked sizes, every allocation failing in
 * turn. */
#include "oom.h"

static ath_ctx *ctx;
static int setup(void **state) { return (void)state, (int)ath_ctx_create(NULL, &ctx); }
static int teardown(void **state) { return (void)state, ath_ctx_destroy(ctx), 0; }

static void objects_are_zeroed_aligned_and_apart(void **state) {
    (void)state;
    athi_arena *a = athi_arena_create(ctx);
    unsigned char *seen[300];
    int64_t size[300];
    for (int i = 0; i < 300; i++) {
        size[i] = (i * 37) % 5000;
        seen[i] = i % 3 ? athi_arena_alloc(a, size[i]) : athi_arena_aligned(a, size[i]);
        assert_non_null(seen[i]);
        assert_int_equal((uintptr_t)seen[i] % (i % 3 ? 16 : 64), 0);
        for (int64_t k = 0; k < size[i]; k++) assert_int_equal(seen[i][k], 0);
        memset(seen[i], i % 251 + 1, (size_t)size[i]);
    }
    for (int i = 0; i < 300; i++)
        for (int64_t k = 0; k < size[i]; k++) assert_int_equal(seen[i][k], i % 251 + 1);
    int64_t before = athi_arena_bytes(a);
    athi_arena_reset(a);
    assert_true(athi_arena_bytes(a) < before);
    unsigned char *again = athi_arena_alloc(a, 100);
    for (int k = 0; k < 100; k++) assert_int_equal(again[k], 0);
    athi_arena_destroy(a);
}

static void sizes_are_checked(void **state) {
    (void)state;
    athi_arena *a = athi_arena_create(ctx);
    assert_null(athi_arena_alloc(a, -1));
    assert_null(athi_arena_alloc(a, INT64_MAX));
    assert_null(athi_arena_array(a, INT64_MAX / 4, 8));
    assert_non_null(strstr(ath_errmsg(ctx), "out of memory"));
    athi_arena_destroy(a);
    int64_t out;
    assert_true(athi_mul(INT64_MAX / 2, 2, &out) && out == INT64_MAX - 1);
    assert_false(athi_mul(INT64_MAX / 2 + 1, 2, &out));
    assert_false(athi_mul(-1, 2, &out));
    assert_true(athi_mul(0, INT64_MAX, &out) && out == 0);
    assert_true(athi_add(INT64_MAX - 1, 1, &out) && out == INT64_MAX);
    assert_false(athi_add(INT64_MAX, 1, &out));
}

static void arrays_grow_and_keep_their_content(void **state) {
    (void)state;
    int *array = NULL;
    int64_t n = 0, cap = 0;
    for (int i = 0; i < 1000; i++) {
        assert_ok(ctx, ATHI_GROW(ctx, array, n, cap));
        array[n++] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(array[i], i);
    athi_free(ctx, array);
}

static void sentences_may_hold_the_old_sentence(void **state) {
    (void)state;
    athi_fail(ctx, ATH_E_IO, "first");
    athi_fail(ctx, ATH_E_IO, "second after %s", ath_errmsg(ctx));
    assert_string_equal(ath_errmsg(ctx), "second after first");
    assert_int_equal(athi_fail_prefix(ctx, ATH_E_DATA, "file %d", 3), ATH_E_DATA);
    assert_string_equal(ath_errmsg(ctx), "file 3: second after first");
    char text[5000];
    for (size_t i = 0; i < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 2);
    text[sizeof text - 1] = text[sizeof text - 2] = 0;
    athi_fail(ctx, ATH_E_IO, "x%s", text);
    size_t n = strlen(ath_errmsg(ctx));
    assert_true(n < ATHI_ERRMSG_MAX && n % 2 == 1); /* no half character at the end */
}

static ath_status fill(ath_ctx *c) {
    athi_arena *a = athi_arena_create(c);
    if (!a) return ATH_E_NOMEM;
    ath_status status = ATH_OK;
    for (int i = 0; i < 200 && status == ATH_OK; i++)
        if (!athi_arena_printf(a, "%0*d", i * 20, i)) status = ATH_E_NOMEM;
    athi_arena_destroy(a);
    athi_text t = {.ctx = c};
    for (int i = 0; i < 100; i++) athi_text_printf(&t, "%d,", i);
    if (t.failed) status = ATH_E_NOMEM;
    athi_text_free(&t);
    return status;
}
static void every_allocation_may_fail(void **state) {
    (void)state;
    oom_sweep(fill);
}

static void contexts_take_options(void **state) {
    (void)state;
    ath_ctx *c = NULL;
    assert_int_equal(ath_ctx_create(&(ath_ctx_opts){.threads = 2}, &c), ATH_E_OPTION); /* no struct_size */
    assert_int_equal(ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1025}, &c),
                     ATH_E_OPTION);
    assert_int_equal(ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = -1}, &c),
                     ATH_E_OPTION);
    assert_null(c);
    char backend[] = "ref";
    assert_int_equal(ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .backend = backend},
                                    &c),
                     ATH_OK);
    backend[0] = 'x';
    assert_string_equal(c->backend, "ref");
    assert_true(c->threads >= 1);
    ath_ctx_destroy(c);
    ath_ctx_destroy(NULL);
}

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
static void unused_parts_are_poisoned(void **state) {
    (void)state;
    athi_arena *a = athi_arena_create(ctx);
    char *p = athi_arena_alloc(a, 20), *q = athi_arena_alloc(a, 16);
    assert_false(__asan_address_is_poisoned(p + 19));
    assert_true(__asan_address_is_poisoned(p + 20) && __asan_address_is_poisoned(q - 1));
    assert_true(__asan_address_is_poisoned(q + 16));
    athi_arena_reset(a);
    assert_true(__asan_address_is_poisoned(p) && __asan_address_is_poisoned(q));
    athi_arena_destroy(a);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(arrays_grow_and_keep_their_content),
        cmocka_unit_test(sentences_may_hold_the_old_sentence),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(contexts_take_options),
#if defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(unused_parts_are_poisoned),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
