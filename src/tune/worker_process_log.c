/* Logs of limited size: a program that prints without end fills neither the disk nor the memory. */
#include "tune/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEBIBYTE = 1 << 20 };

static bool write_all(int fd, const char *data, int64_t n) {
    while (n > 0) {
        ssize_t done = write(fd, data, (size_t)n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        data += done, n -= done;
    }
    return true;
}

static bool open_capture(athi_capture *c) {
    struct stat about;
    c->fd = open(c->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (c->fd < 0) return false;
    c->room = c->limit > 0 ? c->limit : INT64_MAX;
    if (fstat(c->fd, &about) == 0) c->room -= ATHI_MIN(c->room, (int64_t)about.st_size); /* of an earlier start */
    return c->room > 0;
}

static bool cut(athi_capture *c) {
    char line[96];
    int n = snprintf(line, sizeof(line), "\n[cut by athanor: more than output_limit, %.3g MiB]\n",
                     (double)c->limit / MEBIBYTE);
    write_all(c->fd, line, n);
    return false;
}

void athi_capture_write(athi_capture *c, const char *data, int64_t n) {
    if (!c->path || n <= 0) return;
    int64_t part;
    bool kept = c->fd >= 0 || open_capture(c);
    if (kept) {
        part = ATHI_MIN(n, c->room);
        kept = write_all(c->fd, data, part);
        c->room -= part;
        if (kept && part < n) kept = cut(c);
    }
    if (!kept) athi_capture_close(c);
}

void athi_capture_close(athi_capture *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->path = NULL;
}
