/* A worker process while it has nothing to do. */
#include "recipe/recipe_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const char setup[] =
    "{\"folder\": \".\", \"objective\": \"val_loss\", \"maximize\": false, \"file\": \"t.yaml\","
    " \"recipe\": \"data: {source: fashion-mnist, batch: 128}\\n"
    "model: [flatten, dense: {units: 10}]\\ntrain: {loss: mean_squared_error}\\n\"}";

/* Another process says so, which is as a signal whose handler ran just before the worker began to wait: nothing ends the
 * wait. */
static void leaves_though_nothing_woke_it(void **state) {
    (void)state;
    char path[] = "/tmp/athanor-worker-XXXXXX";
    int file = mkstemp(path), in[2];
    assert_true(file >= 0 && write(file, setup, sizeof setup - 1) == (ssize_t)sizeof setup - 1 && pipe(in) == 0);
    volatile int *interrupted =
        mmap(NULL, sizeof *interrupted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(interrupted != MAP_FAILED);
    const pid_t other = fork();
    if (other == 0) {
        usleep(100000);
        *interrupted = 1;
        _exit(0);
    }
    alarm(20); /* else it may wait for ever */
    assert_ok(ctx, athi_worker_serve(ctx, path, in[0], STDERR_FILENO, interrupted));
    alarm(0);
    assert_int_equal(*interrupted, 1);
    waitpid(other, NULL, 0);
    munmap((void *)(uintptr_t)interrupted, sizeof *interrupted);
    close(in[0]), close(in[1]), close(file);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(leaves_though_nothing_woke_it)};
    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
