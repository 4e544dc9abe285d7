/* Files: whole reads, durable atomic writes (write beside, fsync, rename), maps and locks.
 * Every failure is a sentence with the path and what to do. */
#ifndef ATHI_FILE_H
#define ATHI_FILE_H

#include "base/base.h"

/** The whole file, NUL-terminated beyond `size`; free with athi_free. gz: inflates gzip files transparently.
 *  max_size <= 0: no limit; it holds for the inflated size too.
 *  Errors: ATH_E_NOTFOUND, ATH_E_IO, ATH_E_DATA (too large, damaged or cut gzip), ATH_E_NOMEM. */
ath_status athi_file_read(ath_ctx *ctx, const char *path, bool gz, int64_t max_size, char **data,
                          int64_t *size);
/** errno as a status and a sentence on a file or folder; what: "reading", "writing", … */
ath_status athi_fail_errno(ath_ctx *ctx, const char *path, const char *what);
/** Writes beside, fsyncs, renames over `path`, fsyncs the folder: the old file or the new, never a part.
 *  Errors: ATH_E_IO ("… no space left on device: free some and start again; nothing was changed"). */
ath_status athi_file_write(ath_ctx *ctx, const char *path, const void *data, int64_t size);
/** The same from several pieces. */
typedef struct athi_piece {
    const void *data;
    int64_t size;
} athi_piece;
ath_status athi_file_write_pieces(ath_ctx *ctx, const char *path, const athi_piece *pieces, int n,
                                  bool durable);

typedef struct athi_map {
    const unsigned char *data;
    int64_t size;
} athi_map;
ath_status athi_file_map(ath_ctx *ctx, const char *path, athi_map *map);
void athi_file_unmap(athi_map *map);

/** Creates a folder and its parents. */
ath_status athi_make_dirs(ath_ctx *ctx, const char *path);
/** Removes a folder and all below it. A missing one is fine. */
ath_status athi_remove_tree(ath_ctx *ctx, const char *path);
/** Copies a folder and all below it, durably: afterwards `to` is the whole copy, or what it was. ATH_E_NOTFOUND: there is
 *  no such folder. */
ath_status athi_copy_tree(ath_ctx *ctx, const char *from, const char *to);
bool athi_file_exists(const char *path);

/** Takes the advisory lock (flock) of `path`, made if missing, holding the process id as text.
 *  ATH_E_BUSY with the holder's process id when a living process has it. */
ath_status athi_lock_take(ath_ctx *ctx, const char *path, int *fd);
void athi_lock_release(int fd);

double athi_now(void); /* seconds, monotonic */

#endif
