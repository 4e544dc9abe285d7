/* Folders: making them with their parents, removing them with what is below. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64 };

bool athi_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static ath_status make_one(ath_ctx *ctx, const char *path) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && is_folder(path))) return ATH_OK;
    if (errno == EEXIST || errno == ENOTDIR)
        return athi_fail(ctx, ATH_E_IO, "%s: a file stands where a folder is needed; move it or choose another",
                         path);
    return athi_fail_errno(ctx, path, "making the folder");
}

ath_status athi_make_dirs(ath_ctx *ctx, const char *path) {
    if (is_folder(path)) return ATH_OK;
    char *part = athi_strdup(ctx, path);
    if (!part) return ATH_E_NOMEM;
    ath_status status = ATH_OK;
    for (char *p = part + 1; *part && *p && status == ATH_OK; p++) {
        if (*p != '/') continue;
        *p = 0;
        if (!is_folder(part)) status = make_one(ctx, part);
        *p = '/';
    }
    athi_free(ctx, part);
    return status == ATH_OK ? make_one(ctx, path) : status;
}

/* Removes what `name` in the folder `at` is. Links are removed, never followed. */
static bool remove_at(int at, const char *name, int depth) {
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) return false; /* Linux says EISDIR, POSIX EPERM */
    if (depth > DEPTH_MAX) {
        errno = ELOOP;
        return false;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return false;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && (errno = 0, e = readdir(folder));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) ok = remove_at(fd, e->d_name, depth + 1);
    if (ok && errno) ok = false;
    int e = errno;
    closedir(folder);
    errno = e;
    return ok && unlinkat(at, name, AT_REMOVEDIR) == 0;
}

ath_status athi_remove_tree(ath_ctx *ctx, const char *path) {
    if (remove_at(AT_FDCWD, path, 0)) return ATH_OK;
    if (errno == ENOMEM) return athi_nomem(ctx, 0);
    return athi_fail(ctx, ATH_E_IO, "%s: removing failed: %s; what is left can be removed by hand", path,
                     strerror(errno));
}
