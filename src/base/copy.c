/* Copies of folders that are there whole or not at all. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, AT_ONCE = 1 << 16 };

/* Closes, and keeps what errno says of before. */
static bool close_after(int fd, bool ok) {
    int e = errno;
    if (fd >= 0) close(fd);
    errno = e;
    return ok;
}

static bool copy_bytes(int in, int out) {
    char buffer[AT_ONCE];
    for (;;) {
        ssize_t n = read(in, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 && fsync(out) == 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(out, buffer + done, (size_t)(n - done));
            if (written < 0 && errno != EINTR) return false;
            if (written > 0) done += written;
        }
    }
}

static bool copy_file(int from, int to, const char *name, mode_t mode) {
    int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = in >= 0 && out >= 0 && copy_bytes(in, out);
    return close_after(in, close_after(out, ok));
}

/* A link stays what it says: it may lead out of the folder. */
static bool copy_link(int from, int to, const char *name) {
    char target[4096];
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0) return false;
    target[n] = 0;
    return symlinkat(target, to, name) == 0;
}

/* What stands in the folder `from` into the folder `to`; both are closed. */
static bool copy_all(int from, int to, int depth);

/* Sockets and pipes of a program that has ended are of no use to another. */
static bool copy_one(int from, int to, const char *name, int depth) {
    struct stat about;
    if (fstatat(from, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (S_ISREG(about.st_mode)) return copy_file(from, to, name, about.st_mode & 0777);
    if (S_ISLNK(about.st_mode)) return copy_link(from, to, name);
    if (!S_ISDIR(about.st_mode)) return true;
    if (depth > DEPTH_MAX) return errno = ELOOP, false;
    if (mkdirat(to, name, 0777) != 0) return false;
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int out = in < 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out < 0 ? close_after(in, false) : copy_all(in, out, depth + 1);
}

static bool copy_all(int from, int to, int depth) {
    DIR *folder = fdopendir(from);
    if (!folder) return close_after(from, close_after(to, false));
    bool ok = true;
    for (struct dirent *e; ok && (errno = 0, e = readdir(folder));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) ok = copy_one(from, to, e->d_name, depth);
    ok = ok && errno == 0 && (fsync(to) == 0 || errno == EINVAL); /* some file systems cannot sync a folder */
    int e = errno;
    closedir(folder);
    errno = e;
    return close_after(to, ok);
}

static bool copy_beside(const char *from, const char *beside) {
    if (mkdir(beside, 0777) != 0) return false;
    int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return out < 0 ? close_after(in, false) : copy_all(in, out, 0);
}

static bool sync_parent(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = 0;
    int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && close_after(fd, fsync(fd) == 0 || errno == EINVAL);
}

ath_status athi_copy_tree(ath_ctx *ctx, const char *from, const char *to) {
    athi_text beside = {.ctx = ctx};
    athi_text_printf(&beside, "%s.part", to);
    if (beside.failed) return athi_text_free(&beside), ATH_E_NOMEM;
    ath_status status = athi_remove_tree(ctx, beside.text);
    bool ok = status == ATH_OK && copy_beside(from, beside.text);
    if (ok) status = athi_remove_tree(ctx, to);
    if (ok && status == ATH_OK) ok = rename(beside.text, to) == 0 && sync_parent(beside.text);
    if (status == ATH_OK && !ok)
        status = athi_fail(ctx, errno == ENOENT ? ATH_E_NOTFOUND : ATH_E_IO, "%s: copying it to %s failed: %s", from,
                           to, strerror(errno));
    athi_text_free(&beside);
    return status;
}
