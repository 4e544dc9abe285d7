/* One worker process: started by exec, spoken to in lines, ended for certain. Nothing here waits, except for
 * the end. */
#ifndef ATHI_WORKER_PROCESS_H
#define ATHI_WORKER_PROCESS_H

#include "tune/sampler.h"

#include <sched.h>
#include <sys/types.h>

enum { ATHI_LAST_WORDS = 400 };

/* A log of limited size: what goes beyond is dropped, with a line that says so. A log is not worth a trial: one that
 * cannot be written is given up. */
typedef struct athi_capture {
    const char *path; /* opened at the first byte, at its end; borrowed; NULL: nothing is kept */
    int64_t limit;    /* bytes, 0: any */
    int fd;           /* -1: not open */
    int64_t room;
} athi_capture;
void athi_capture_write(athi_capture *c, const char *data, int64_t n);
/** Closes it and forgets its path. */
void athi_capture_close(athi_capture *c);

typedef struct athi_process {
    pid_t pid;        /* 0: none */
    int in, out, err; /* our ends of its standard streams, -1: closed */
    athi_text input;  /* not taken by it yet */
    athi_text output; /* read from it, lines not taken yet */
    int64_t taken;    /* bytes of output that were */
    const char *noun;
    athi_capture log;                /* its standard error */
    char words[ATHI_LAST_WORDS + 1]; /* the end of its standard error */
    int64_t n_words;
} athi_process;

typedef struct athi_ending {
    int how;            /* as waitpid tells */
    int64_t peak_bytes; /* largest resident size */
} athi_ending;

/** environ with OMP_NUM_THREADS and OPENBLAS_NUM_THREADS set to `threads` (0: as they are), and with threads that soon
 * sleep when they wait, unless it says how they do; NULL-ended, in the arena. */
char **athi_process_environment(athi_arena *arena, int threads);
/** `base` with the n texts NAME=VALUE in place of what it has under these names. */
char **athi_environment_with(athi_arena *arena, char *const *base, char *const *own, int64_t n);
typedef struct athi_process_opts {
    const char *const *argv; /* NULL-ended */
    char *const *environment;
    const char *noun;       /* what sentences call it: "worker" */
    int64_t memory_limit;   /* RLIMIT_DATA in bytes: private memory of each process that can be written; 0: none */
    const cpu_set_t *cores; /* NULL: all */
} athi_process_opts;
/** It gets a process group of its own, and dies with this thread. */
ath_status athi_process_start(ath_ctx *ctx, athi_process *p, const athi_process_opts *opts);
/** Queues a line; athi_process_flush writes what fits. */
ath_status athi_process_send(athi_process *p, const char *line);
void athi_process_flush(athi_process *p);
void athi_process_close_input(athi_process *p);
/** Reads what is there, about a mebibyte at most. *ended: it has closed its output. ATH_E_NOMEM only. */
ath_status athi_process_read(athi_process *p, bool *ended);
/** About a mebibyte at most, too. */
void athi_process_read_errors(athi_process *p);
/** The next whole line without its end, NULL: none yet (or no memory, with the sentence). Free it with athi_free. */
char *athi_process_line(athi_process *p, int64_t *length);
/** What is left of its output, a line without an end; NULL: nothing. Free it with athi_free. */
char *athi_process_rest(athi_process *p, int64_t *length);
/** Signals the whole group. */
void athi_process_signal(const athi_process *p, int signal);
/** True and the ending once it is gone; then everything is closed, and nothing of its group lives. */
bool athi_process_reap(athi_process *p, athi_ending *ending);
/** Ends it at once, or after `patience` seconds to leave by itself. */
void athi_process_end(athi_process *p, double patience, athi_ending *ending);
void athi_process_free(athi_process *p);

/** Out-of-memory kills on this machine since it started. */
int64_t athi_oom_kills(void);
/** What an ending means: the reason, and "exited with status 3: last words". */
athi_reason athi_ending_explain(const athi_process *p, const athi_ending *ending, bool oom, char *text, size_t size);

#endif
