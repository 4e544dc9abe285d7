/* Reading, writing, mapping and locking files. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

double athi_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ath_status athi_fail_errno(ath_ctx *ctx, const char *path, const char *what) {
    int e = errno;
    switch (e) {
    case ENOMEM: return athi_nomem(ctx, 0);
    case ENOENT: return athi_fail(ctx, ATH_E_NOTFOUND, "%s: no such file or folder; check the path", path);
    case EISDIR: return athi_fail(ctx, ATH_E_IO, "%s: is a folder, a file was expected", path);
    case ENOTDIR: return athi_fail(ctx, ATH_E_IO, "%s: a part of the path is a file, not a folder", path);
    case EACCES:
    case EPERM:
        return athi_fail(ctx, ATH_E_IO, "%s: %s is not permitted; check owner and mode, or choose another place", path,
                         what);
    case EROFS:
        return athi_fail(ctx, ATH_E_IO, "%s: the file system is read-only; choose another folder", path);
    case ENOSPC:
    case EDQUOT:
        return athi_fail(ctx, ATH_E_IO,
                         "%s: no space left on device: free some and start again; nothing was changed", path);
    default: return athi_fail(ctx, ATH_E_IO, "%s: %s failed: %s", path, what, strerror(e));
    }
}

/* ---- reading ------------------------------------------------------------------------------------- */

static ath_status too_large(ath_ctx *ctx, const char *path, int64_t max_size) {
    return athi_fail(ctx, ATH_E_DATA, "%s: larger than the %lld bytes that are read of such a file", path,
                     (long long)max_size);
}

/* A buffer that grows; one byte more than `cap` is always there for the NUL. */
typedef struct buffer {
    char *data;
    int64_t size, cap;
} buffer;

static ath_status buffer_room(ath_ctx *ctx, buffer *b, int64_t wanted) {
    if (wanted <= b->cap) return ATH_OK;
    int64_t cap = ATHI_MAX(wanted, b->cap * 2);
    void *data = b->data;
    ATH_TRY(athi_realloc(ctx, &data, b->size, cap + 1));
    b->data = data;
    b->cap = cap;
    return ATH_OK;
}

static ath_status read_all(ath_ctx *ctx, const char *path, int fd, int64_t max_size, buffer *b) {
    struct stat st;
    if (fstat(fd, &st) != 0) return athi_fail_errno(ctx, path, "reading");
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return athi_fail_errno(ctx, path, "reading");
    }
    if (max_size > 0 && st.st_size > max_size) return too_large(ctx, path, max_size);
    ATH_TRY(buffer_room(ctx, b, st.st_size + 1)); /* + 1: the end is seen without growing */
    for (;;) {
        ATH_TRY(buffer_room(ctx, b, b->size + 1));
        ssize_t n = read(fd, b->data + b->size, (size_t)ATHI_MIN(b->cap - b->size, (int64_t)1 << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return athi_fail_errno(ctx, path, "reading");
        if (n == 0) return ATH_OK;
        b->size += n;
        if (max_size > 0 && b->size > max_size) return too_large(ctx, path, max_size);
    }
}

static void *zlib_alloc(void *ctx, unsigned n, unsigned size) {
    return athi_alloc_array(ctx, (int64_t)n, (int64_t)size);
}
static void zlib_free(void *ctx, void *ptr) { athi_free(ctx, ptr); }

static ath_status gz_damaged(ath_ctx *ctx, const char *path, int code) {
    if (code == Z_MEM_ERROR) return ATH_E_NOMEM; /* zlib_alloc left the sentence */
    const char *what = code == Z_BUF_ERROR ? "is cut short" : "is damaged";
    return athi_fail(ctx, ATH_E_DATA, "%s: the gzip file %s; fetch it again", path, what);
}

/* Inflates all members of `in` into `out`. Zero bytes may follow the last one (tape padding). */
static ath_status inflate_members(ath_ctx *ctx, const char *path, z_stream *z, const buffer *in,
                                  int64_t max_size, buffer *out) {
    int64_t used = 0;
    for (;;) {
        ATH_TRY(buffer_room(ctx, out, out->size + 65536));
        int64_t give = ATHI_MIN(in->size - used, (int64_t)1 << 30),
                room = ATHI_MIN(out->cap - out->size, (int64_t)1 << 30);
        z->next_in = (unsigned char *)in->data + used, z->avail_in = (unsigned)give;
        z->next_out = (unsigned char *)out->data + out->size, z->avail_out = (unsigned)room;
        int code = inflate(z, Z_NO_FLUSH);
        used += give - z->avail_in;
        out->size += room - z->avail_out;
        if (max_size > 0 && out->size > max_size) return too_large(ctx, path, max_size);
        if (code != Z_OK && code != Z_STREAM_END) return gz_damaged(ctx, path, code);
        if (code == Z_OK) continue;
        while (used < in->size && in->data[used] == 0) used++;
        if (used == in->size) return ATH_OK;
        if (inflateReset(z) != Z_OK) return gz_damaged(ctx, path, Z_DATA_ERROR);
    }
}

static ath_status gunzip(ath_ctx *ctx, const char *path, int64_t max_size, buffer *b) {
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = ctx};
    buffer out = {0};
    int code = inflateInit2(&z, 15 + 16); /* + 16: gzip's header and checksum */
    if (code != Z_OK) return gz_damaged(ctx, path, code);
    ath_status status = inflate_members(ctx, path, &z, b, max_size, &out);
    inflateEnd(&z);
    buffer freed = status == ATH_OK ? *b : out;
    if (status == ATH_OK) *b = out;
    athi_free(ctx, freed.data);
    return status;
}

ath_status athi_file_read(ath_ctx *ctx, const char *path, bool gz, int64_t max_size, char **data,
                          int64_t *size) {
    *data = NULL, *size = 0;
    buffer b = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return athi_fail_errno(ctx, path, "reading");
    ath_status status = read_all(ctx, path, fd, max_size, &b);
    close(fd);
    if (status == ATH_OK && gz && b.size >= 2 && memcmp(b.data, "\x1f\x8b", 2) == 0)
        status = gunzip(ctx, path, max_size, &b);
    if (status != ATH_OK) {
        athi_free(ctx, b.data);
        return status;
    }
    b.data[b.size] = 0;
    *data = b.data, *size = b.size;
    return ATH_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* The file beside: its name is fixed, so that what a killed process leaves is used again, and its lock makes
 * two writers of one path take turns. */
static int open_beside(const char *temp) {
    for (;;) {
        int fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return -1;
        while (flock(fd, LOCK_EX) != 0)
            if (errno != EINTR) goto failed;
        struct stat mine, named;
        if (fstat(fd, &mine) != 0) goto failed;
        /* the writer before may have renamed it away while this one waited */
        if (stat(temp, &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) return fd;
        close(fd);
        continue;
    failed:;
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
}

static bool write_all(int fd, const char *data, int64_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, (size_t)ATHI_MIN(size, (int64_t)1 << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n, size -= n;
    }
    return true;
}

/* Makes the rename itself durable. */
static bool sync_folder(char *temp) {
    char *slash = strrchr(temp, '/');
    if (slash) slash[slash == temp] = 0;
    int fd = open(slash ? temp : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot sync a folder */
    int e = errno;
    close(fd);
    errno = e;
    return ok;
}

static bool write_beside(int fd, const char *temp, const char *path, const athi_piece *pieces, int n,
                         bool durable) {
    if (ftruncate(fd, 0) != 0) return false;
    for (int i = 0; i < n; i++)
        if (!write_all(fd, pieces[i].data, pieces[i].size)) return false;
    if (durable && fsync(fd) != 0) return false;
    return rename(temp, path) == 0;
}

ath_status athi_file_write_pieces(ath_ctx *ctx, const char *path, const athi_piece *pieces, int n,
                                  bool durable) {
    int64_t length = (int64_t)strlen(path);
    char *temp = athi_alloc(ctx, length + 8);
    if (!temp) return ATH_E_NOMEM;
    memcpy(temp, path, (size_t)length);
    memcpy(temp + length, ".tmp", 5);
    int fd = open_beside(temp);
    bool ok = fd >= 0 && write_beside(fd, temp, path, pieces, n, durable);
    int e = errno;
    if (fd >= 0 && !ok) unlink(temp);
    if (fd >= 0) close(fd);
    if (ok && durable && !sync_folder(temp)) ok = false, e = errno;
    athi_free(ctx, temp);
    errno = e;
    return ok ? ATH_OK : athi_fail_errno(ctx, path, "writing");
}

ath_status athi_file_write(ath_ctx *ctx, const char *path, const void *data, int64_t size) {
    return athi_file_write_pieces(ctx, path, &(athi_piece){data, size}, 1, true);
}

/* ---- maps and locks ------------------------------------------------------------------------------ */

ath_status athi_file_map(ath_ctx *ctx, const char *path, athi_map *map) {
    *map = (athi_map){(const unsigned char *)"", 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return athi_fail_errno(ctx, path, "reading");
    struct stat st;
    void *data = NULL;
    bool ok = fstat(fd, &st) == 0;
    if (ok && S_ISDIR(st.st_mode)) ok = false, errno = EISDIR;
    if (ok && st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        ok = data != MAP_FAILED;
    }
    int e = errno;
    close(fd);
    errno = e;
    if (!ok) return athi_fail_errno(ctx, path, "mapping");
    if (data) *map = (athi_map){data, st.st_size};
    return ATH_OK;
}

void athi_file_unmap(athi_map *map) {
    if (map->size > 0) munmap((void *)(uintptr_t)map->data, (size_t)map->size);
    *map = (athi_map){0};
}

ath_status athi_lock_take(ath_ctx *ctx, const char *path, int *out) {
    *out = -1;
    char text[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return athi_fail_errno(ctx, path, "locking");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        close(fd);
        errno = e;
        if (e != EWOULDBLOCK) return athi_fail_errno(ctx, path, "locking");
        return athi_fail(ctx, ATH_E_BUSY, "%s: in use by process %ld; wait until it ends, or stop it", path,
                         n > 0 ? strtol(text, NULL, 10) : 0L);
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        ath_status status = athi_fail_errno(ctx, path, "locking");
        close(fd);
        return status;
    }
    *out = fd;
    return ATH_OK;
}

void athi_lock_release(int fd) {
    if (fd >= 0) close(fd); /* the file stays: removing it would race with the next holder */
}
