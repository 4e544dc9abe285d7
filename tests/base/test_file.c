/* Files: whole reads (gz too), atomic writes under failures, maps, folders, locks between processes. */
#include "oom.h"

#include "base/file.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static ath_ctx *ctx;
static char root[64], path[128];

static int setup(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/athanor-test-XXXXXX");
    if (!mkdtemp(root)) return -1;
    return (int)ath_ctx_create(NULL, &ctx);
}
static int teardown(void **state) {
    (void)state;
    ath_status status = athi_remove_tree(ctx, root);
    ath_ctx_destroy(ctx);
    return (int)status;
}
static const char *at(const char *name) {
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}
static void assert_content(const char *name, const char *wanted) {
    char *data;
    int64_t size;
    assert_ok(ctx, athi_file_read(ctx, at(name), false, 0, &data, &size));
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(data, wanted);
    athi_free(ctx, data);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    assert_ok(ctx, athi_file_write(ctx, at("a"), "hello", 5));
    assert_content("a", "hello");
    athi_piece pieces[] = {{"one ", 4}, {"", 0}, {"two", 3}};
    assert_ok(ctx, athi_file_write_pieces(ctx, at("a"), pieces, 3, false));
    assert_content("a", "one two");
    assert_false(athi_file_exists(at("a.tmp")));
    assert_ok(ctx, athi_file_write(ctx, at("empty"), "", 0));
    assert_content("empty", "");
    athi_map map;
    assert_ok(ctx, athi_file_map(ctx, at("a"), &map));
    assert_int_equal(map.size, 7);
    assert_memory_equal(map.data, "one two", 7);
    athi_file_unmap(&map);
    assert_ok(ctx, athi_file_map(ctx, at("empty"), &map));
    assert_true(map.size == 0 && map.data);
    athi_file_unmap(&map);
    /* what a killed process left beside is used again, and gone afterwards */
    FILE *left = fopen(at("a.tmp"), "w");
    fputs("a much longer rest of a write that was cut off", left);
    fclose(left);
    assert_ok(ctx, athi_file_write(ctx, at("a"), "new", 3));
    assert_content("a", "new");
    assert_false(athi_file_exists(at("a.tmp")));
}

static void missing_and_wrong_files_get_a_sentence(void **state) {
    (void)state;
    char *data;
    int64_t size;
    athi_map map;
    assert_fails(ctx, athi_file_read(ctx, at("nothing"), false, 0, &data, &size), ATH_E_NOTFOUND, "no such file");
    assert_fails(ctx, athi_file_read(ctx, root, false, 0, &data, &size), ATH_E_IO, "is a folder");
    assert_fails(ctx, athi_file_map(ctx, at("nothing"), &map), ATH_E_NOTFOUND, "nothing: no such file");
    assert_fails(ctx, athi_file_map(ctx, root, &map), ATH_E_IO, "is a folder");
    assert_fails(ctx, athi_file_write(ctx, at("no/folder"), "x", 1), ATH_E_NOTFOUND, "no/folder");
    assert_ok(ctx, athi_file_write(ctx, at("big"), "0123456789", 10));
    assert_fails(ctx, athi_file_read(ctx, at("big"), false, 9, &data, &size), ATH_E_DATA, "larger than the 9 bytes");
    assert_ok(ctx, athi_file_read(ctx, at("big"), false, 10, &data, &size));
    athi_free(ctx, data);
}

/* Two gzip members of 100000 bytes each, then zero padding. Returns the size of the first member. */
static long write_gz(const char *name) {
    char line[101];
    long first = 0;
    unlink(at(name));
    for (int member = 0; member < 2; member++) {
        gzFile gz = gzopen(at(name), "ab");
        for (int i = 0; i < 1000; i++) {
            snprintf(line, sizeof line, "%099d\n", i * 7919 + member);
            gzwrite(gz, line, 100);
        }
        gzclose(gz);
        struct stat st;
        assert_int_equal(stat(at(name), &st), 0);
        if (!member) first = st.st_size;
    }
    FILE *f = fopen(at(name), "ab");
    fwrite("\0\0\0", 1, 3, f);
    fclose(f);
    return first;
}

static void gz_files_are_inflated(void **state) {
    (void)state;
    char *data, *raw;
    int64_t size, raw_size;
    long first = write_gz("z.gz");
    assert_ok(ctx, athi_file_read(ctx, at("z.gz"), true, 0, &data, &size));
    assert_int_equal(size, 200000);
    assert_memory_equal(data + 100000 + 99 - 4, "0001\n", 5);
    athi_free(ctx, data);
    assert_fails(ctx, athi_file_read(ctx, at("z.gz"), true, 150000, &data, &size), ATH_E_DATA, "larger");
    assert_ok(ctx, athi_file_read(ctx, at("z.gz"), false, 0, &raw, &raw_size));
    assert_true(raw_size < 100000);
    assert_ok(ctx, athi_file_write(ctx, at("cut.gz"), raw, first / 2));
    assert_fails(ctx, athi_file_read(ctx, at("cut.gz"), true, 0, &data, &size), ATH_E_DATA, "cut short");
    assert_ok(ctx, athi_file_write(ctx, at("cut.gz"), raw, first - 4));
    assert_fails(ctx, athi_file_read(ctx, at("cut.gz"), true, 0, &data, &size), ATH_E_DATA, "cut short");
    raw[first - 6] ^= 1; /* the checksum */
    assert_ok(ctx, athi_file_write(ctx, at("bad.gz"), raw, raw_size));
    assert_fails(ctx, athi_file_read(ctx, at("bad.gz"), true, 0, &data, &size), ATH_E_DATA, "damaged");
    athi_free(ctx, raw);
    assert_ok(ctx, athi_file_write(ctx, at("plain.gz"), "plain", 5)); /* not gzip after all: as it is */
    assert_ok(ctx, athi_file_read(ctx, at("plain.gz"), true, 0, &data, &size));
    assert_string_equal(data, "plain");
    athi_free(ctx, data);
}

/* A child process that runs fn; its exit status. 77: cannot be tried here. */
static int in_child(int (*fn)(void)) {
    pid_t pid = fork();
    if (pid == 0) _exit(fn());
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int write_too_much(void) {
    static char large[1 << 20];
    ath_status status = athi_file_write(ctx, at("kept"), large, (int64_t)sizeof large);
    return status == ATH_E_IO && strstr(ath_errmsg(ctx), root) ? 0 : 1;
}
static int with_a_file_limit(void) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {65536, 65536};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 77;
    return write_too_much();
}
/* Mounts of this process alone: as root, or as root of a user namespace of its own. */
static bool own_mounts(void) {
    char map[32];
    snprintf(map, sizeof map, "0 %d 1", (int)getuid());
    if (unshare(CLONE_NEWNS) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
        FILE *f = fopen("/proc/self/uid_map", "w");
        if (!f || fputs(map, f) < 0 || fclose(f) != 0) return false;
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
static int on_a_full_disk(void) {
    if (!own_mounts()) return 77;
    char full[80], file[96], *data;
    int64_t size;
    static char large[1 << 20];
    snprintf(full, sizeof full, "%s/full", root);
    snprintf(file, sizeof file, "%s/kept", full);
    if (athi_make_dirs(ctx, full) != ATH_OK || mount("none", full, "tmpfs", 0, "size=64k") != 0) return 77;
    if (athi_file_write(ctx, file, "old", 3) != ATH_OK) return 2;
    if (athi_file_write(ctx, file, large, (int64_t)sizeof large) != ATH_E_IO) return 3;
    if (!strstr(ath_errmsg(ctx), "no space left on device: free some and start again; nothing was changed")) return 4;
    if (athi_file_read(ctx, file, false, 0, &data, &size) != ATH_OK || strcmp(data, "old") != 0) return 5;
    athi_free(ctx, data);
    snprintf(file, sizeof file, "%s/kept.tmp", full);
    return athi_file_exists(file) ? 6 : 0;
}

static void a_failed_write_changes_nothing(void **state) {
    (void)state;
    assert_ok(ctx, athi_file_write(ctx, at("kept"), "old", 3));
    assert_int_equal(in_child(with_a_file_limit), 0);
    assert_content("kept", "old");
    assert_false(athi_file_exists(at("kept.tmp")));
    int full = in_child(on_a_full_disk);
    if (full != 77) assert_int_equal(full, 0);
}

static int write_often(void) {
    char content[1000];
    for (int i = 0; i < 200; i++) {
        memset(content, 'a' + (getpid() + i) % 26, sizeof content);
        if (athi_file_write_pieces(ctx, at("shared"), &(athi_piece){content, sizeof content}, 1, false) != ATH_OK)
            return 1;
    }
    return 0;
}
static void writers_of_one_file_take_turns(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) _exit(write_often());
    for (int i = 0; i < 200; i++) {
        assert_int_equal(write_often(), 0);
        char *data;
        int64_t size;
        assert_ok(ctx, athi_file_read(ctx, at("shared"), false, 0, &data, &size));
        assert_int_equal(size, 1000);
        for (int k = 1; k < 1000; k++) assert_int_equal(data[k], data[0]);
        athi_free(ctx, data);
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            assert_int_equal(status, 0);
            return;
        }
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static int without_permission(void) {
    if (chmod(root, 0755) != 0 || mkdir(at("closed"), 0555) != 0 || (getuid() == 0 && setuid(65534) != 0)) return 77;
    if (athi_make_dirs(ctx, at("closed/a/b")) != ATH_E_IO) return 1;
    return strstr(ath_errmsg(ctx),
                  "closed/a: making the folder is not permitted; check owner and mode, or choose another")
               ? 0
               : 2;
}

static void a_folder_that_is_closed(void **state) {
    (void)state;
    int closed = in_child(without_permission);
    if (closed != 77) assert_int_equal(closed, 0);
}

static void folders_are_made_and_removed(void **state) {
    (void)state;
    char outside[128];
    snprintf(outside, sizeof outside, "%s/outside", root);
    assert_ok(ctx, athi_file_write(ctx, outside, "x", 1));
    assert_ok(ctx, athi_make_dirs(ctx, at("d/e/f/")));
    assert_ok(ctx, athi_make_dirs(ctx, at("d/e/f")));
    assert_ok(ctx, athi_file_write(ctx, at("d/e/f/file"), "x", 1));
    assert_fails(ctx, athi_make_dirs(ctx, at("d/e/f/file/g")), ATH_E_IO, "a file stands where a folder is needed");
    assert_fails(ctx, athi_make_dirs(ctx, at("d/e/f/file")), ATH_E_IO, "a file stands where");
    assert_int_equal(symlink(root, at("d/e/link")), 0);
    assert_ok(ctx, athi_remove_tree(ctx, at("d")));
    assert_false(athi_file_exists(at("d")));
    assert_true(athi_file_exists(outside)); /* the link was removed, not what it points to */
    assert_ok(ctx, athi_remove_tree(ctx, at("d")));
}

static int take_in_child(void) {
    int fd;
    char holder[32];
    snprintf(holder, sizeof holder, "process %ld;", (long)getppid());
    ath_status status = athi_lock_take(ctx, at("lock"), &fd);
    if (status == ATH_OK) return 1;
    return status == ATH_E_BUSY && fd == -1 && strstr(ath_errmsg(ctx), holder) ? 0 : 2;
}
static int take_and_die(void) {
    int fd;
    return athi_lock_take(ctx, at("lock"), &fd) == ATH_OK ? 0 : 1; /* dies without releasing */
}
static void locks_hold_between_processes(void **state) {
    (void)state;
    int fd;
    assert_int_equal(in_child(take_and_die), 0);
    assert_ok(ctx, athi_lock_take(ctx, at("lock"), &fd)); /* a dead holder holds nothing */
    assert_int_equal(in_child(take_in_child), 0);
    athi_lock_release(fd);
    assert_int_equal(in_child(take_and_die), 0);
    assert_fails(ctx, athi_lock_take(ctx, at("no/lock"), &fd), ATH_E_NOTFOUND, "no/lock");
}

static ath_status read_gz_and_write(ath_ctx *c) {
    char *data;
    int64_t size;
    ATH_TRY(athi_file_read(c, at("oom.gz"), true, 0, &data, &size));
    ath_status status = athi_file_write(c, at("oom"), data, size);
    athi_free(c, data);
    return status == ATH_OK ? athi_make_dirs(c, at("oom-dir/a")) : status;
}
static void every_allocation_may_fail(void **state) {
    (void)state;
    write_gz("oom.gz");
    oom_sweep(read_gz_and_write);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),        cmocka_unit_test(missing_and_wrong_files_get_a_sentence),
        cmocka_unit_test(gz_files_are_inflated),          cmocka_unit_test(a_failed_write_changes_nothing),
        cmocka_unit_test(writers_of_one_file_take_turns), cmocka_unit_test(a_folder_that_is_closed),
        cmocka_unit_test(folders_are_made_and_removed),   cmocka_unit_test(locks_hold_between_processes),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
