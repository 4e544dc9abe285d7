/* Worker processes: fork, exec, pipes, and an end for certain. */
#include "tune/worker_process.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- starting ------------------------------------------------------------------------------------ */

char **athi_environment_with(athi_arena *arena, char *const *base, char *const *own, int64_t n_own) {
    int64_t n = 0, k = 0;
    while (base[n]) n++;
    char **list = athi_arena_array(arena, n + n_own + 1, sizeof(*list));
    if (!list) return NULL;
    for (int64_t i = 0; i < n; i++) {
        bool replaced = false;
        for (int64_t o = 0; o < n_own && !replaced; o++)
            replaced = !strncmp(base[i], own[o], (size_t)(strchr(own[o], '=') - own[o] + 1));
        if (!replaced) list[k++] = base[i];
    }
    for (int64_t o = 0; o < n_own; o++) list[k++] = own[o];
    return list;
}

/* How often a thread looks for work before it sleeps: some 50 us, against the gaps of a training step, which are
 * shorter. libgomp's 300000 hold a processor for milliseconds that a thread with work may be waiting for. */
static char spinning[] = "GOMP_SPINCOUNT=2000";

static bool says_how_to_wait(char *const *environment) {
    static const char *const names[] = {"GOMP_SPINCOUNT=", "OMP_WAIT_POLICY="};
    for (; *environment; environment++)
        for (int i = 0; i < ATHI_COUNT(names); i++)
            if (!strncmp(*environment, names[i], strlen(names[i]))) return true;
    return false;
}

char **athi_process_environment(athi_arena *arena, int threads) {
    char *own[] = {athi_arena_printf(arena, "OMP_NUM_THREADS=%d", threads),
                   athi_arena_printf(arena, "OPENBLAS_NUM_THREADS=%d", threads), spinning};
    if (!own[0] || !own[1]) return NULL;
    const int64_t n = threads <= 0 ? 0 : says_how_to_wait(environ) ? ATHI_COUNT(own) - 1 : ATHI_COUNT(own);
    return athi_environment_with(arena, environ, own, n);
}

enum { IN, OUT, ERR, PROBLEM, PIPES };
enum { AT_ONCE = 1 << 20 }; /* bytes: nobody can keep us from hearing the others */

/* Between fork and exec: only calls that are safe after the fork of a process with threads. */
static _Noreturn void become(int pipes[PIPES][2], pid_t parent, const athi_process_opts *o) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); /* it died before the line above */
    struct rlimit limit = {(rlim_t)o->memory_limit, (rlim_t)o->memory_limit}, no_core = {0, 0};
    if (o->memory_limit > 0) setrlimit(RLIMIT_DATA, &limit);
    if (o->cores) sched_setaffinity(0, sizeof(*o->cores), o->cores);
    setrlimit(RLIMIT_CORE, &no_core);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    dup2(pipes[IN][0], 0);
    dup2(pipes[OUT][1], 1);
    dup2(pipes[ERR][1], 2);
    char *const *arguments;
    memcpy(&arguments, &o->argv, sizeof(arguments)); /* execvpe takes pointers it does not write through */
    execvpe(o->argv[0], arguments, o->environment);
    int problem = errno;
    if (write(pipes[PROBLEM][1], &problem, sizeof(problem)) < 0) _exit(126);
    _exit(127);
}

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static ath_status make_pipes(ath_ctx *ctx, int pipes[PIPES][2]) {
    for (int i = 0; i < PIPES; i++) pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < PIPES; i++)
        if (pipe2(pipes[i], O_CLOEXEC)) {
            int problem = errno;
            for (int k = 0; k < i; k++) close(pipes[k][0]), close(pipes[k][1]);
            return athi_fail(ctx, ATH_E_FAILED, "starting a worker: no pipe: %s; use fewer jobs or raise ulimit -n",
                             strerror(problem));
        }
    return ATH_OK;
}

/* What the child wrote when exec failed; end of file when it did not. */
static ath_status started(ath_ctx *ctx, int fd, const char *noun, const char *program) {
    int problem = 0;
    ssize_t n;
    do n = read(fd, &problem, sizeof(problem));
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)sizeof(problem)) return ATH_OK;
    return athi_fail(ctx, ATH_E_FAILED, "%s '%s' cannot be started: %s; expected a program that can be executed",
                     noun, program, strerror(problem));
}

ath_status athi_process_start(ath_ctx *ctx, athi_process *p, const athi_process_opts *opts) {
    int pipes[PIPES][2];
    *p = (athi_process){
        .in = -1, .out = -1, .err = -1, .log.fd = -1, .input.ctx = ctx, .output.ctx = ctx, .noun = opts->noun};
    ATH_TRY(make_pipes(ctx, pipes));
    pid_t parent = getpid();
    p->pid = fork();
    int problem = errno;
    if (p->pid == 0) become(pipes, parent, opts);
    close(pipes[IN][0]), close(pipes[OUT][1]), close(pipes[ERR][1]), close(pipes[PROBLEM][1]);
    p->in = pipes[IN][1], p->out = pipes[OUT][0], p->err = pipes[ERR][0];
    for (int i = 0; i < 3; i++) fcntl((int[]){p->in, p->out, p->err}[i], F_SETFL, O_NONBLOCK);
    ath_status status = ATH_OK;
    if (p->pid < 0) {
        p->pid = 0;
        status = athi_fail(ctx, ATH_E_FAILED, "starting a worker: %s; use fewer jobs", strerror(problem));
    } else {
        setpgid(p->pid, p->pid); /* here and there: whoever comes first */
        status = started(ctx, pipes[PROBLEM][0], p->noun, opts->argv[0]);
    }
    close(pipes[PROBLEM][0]);
    if (status != ATH_OK) athi_process_end(p, 0, &(athi_ending){0});
    return status;
}

/* ---- talking ------------------------------------------------------------------------------------- */

ath_status athi_process_send(athi_process *p, const char *line) {
    athi_text_printf(&p->input, "%s\n", line);
    if (p->input.failed) return ATH_E_NOMEM;
    athi_process_flush(p);
    return ATH_OK;
}

/* A write to a worker that died raises SIGPIPE, whose disposition belongs to the program: it is held back and
 * taken. */
void athi_process_flush(athi_process *p) {
    sigset_t broken, before;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    while (p->in >= 0 && p->input.length > 0) {
        ssize_t n = write(p->in, p->input.text, (size_t)p->input.length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            if (errno == EPIPE) {
                sigtimedwait(&broken, NULL, &(struct timespec){0, 0});
                close_fd(&p->in);
            }
            break;
        }
        p->input.length -= n;
        memmove(p->input.text, p->input.text + n, (size_t)p->input.length);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void athi_process_close_input(athi_process *p) { close_fd(&p->in); }

/* Bytes that were read; 0: none now; -1: end. */
static ssize_t take(int *fd, char *buffer, size_t size) {
    if (*fd < 0) return -1;
    ssize_t n;
    do n = read(*fd, buffer, size);
    while (n < 0 && errno == EINTR);
    if (n > 0) return n;
    if (n < 0 && errno == EAGAIN) return 0;
    close_fd(fd);
    return -1;
}

/* Lines that were taken leave the buffer here, all at once: a program may write millions of short ones. */
ath_status athi_process_read(athi_process *p, bool *ended) {
    char buffer[16384];
    ssize_t n = 0;
    p->output.length -= p->taken;
    if (p->taken) memmove(p->output.text, p->output.text + p->taken, (size_t)p->output.length);
    p->taken = 0;
    for (int64_t got = 0; got < AT_ONCE && (n = take(&p->out, buffer, sizeof(buffer))) > 0; got += n) {
        athi_text_add(&p->output, buffer, n);
        if (p->output.failed) return ATH_E_NOMEM;
    }
    *ended = n < 0;
    return ATH_OK;
}

static void keep_words(athi_process *p, const char *data, int64_t n) {
    int64_t drop = ATHI_MAX(p->n_words + n - ATHI_LAST_WORDS, 0), cut = ATHI_MIN(drop, p->n_words);
    memmove(p->words, p->words + cut, (size_t)(p->n_words - cut));
    p->n_words -= cut;
    data += drop - cut, n -= drop - cut;
    memcpy(p->words + p->n_words, data, (size_t)n);
    p->n_words += n;
    p->words[p->n_words] = 0;
}

void athi_process_read_errors(athi_process *p) {
    char buffer[16384];
    ssize_t n;
    for (int64_t got = 0; got < AT_ONCE && (n = take(&p->err, buffer, sizeof(buffer))) > 0; got += n) {
        keep_words(p, buffer, n);
        athi_capture_write(&p->log, buffer, n);
    }
}

/* The next n bytes as a line. */
static char *take_bytes(athi_process *p, int64_t n, int64_t *length) {
    char *line = athi_alloc(p->output.ctx, n + 1);
    if (!line) return NULL;
    memcpy(line, p->output.text + p->taken, (size_t)n);
    *length = n;
    return line;
}

char *athi_process_line(athi_process *p, int64_t *length) {
    int64_t left = p->output.length - p->taken;
    char *begin = left ? p->output.text + p->taken : NULL;
    char *end = begin ? memchr(begin, '\n', (size_t)left) : NULL;
    char *line = end ? take_bytes(p, end - begin, length) : NULL;
    if (line) p->taken += *length + 1;
    return line;
}

char *athi_process_rest(athi_process *p, int64_t *length) {
    int64_t left = p->output.length - p->taken;
    char *line = left ? take_bytes(p, left, length) : NULL;
    if (line) p->taken += left;
    return line;
}

/* ---- ending -------------------------------------------------------------------------------------- */

void athi_process_signal(const athi_process *p, int signal) {
    if (p->pid > 0) kill(-p->pid, signal), kill(p->pid, signal);
}

/* Its group is ended before it is waited for: until then its number cannot be given to a stranger. */
bool athi_process_reap(athi_process *p, athi_ending *ending) {
    struct rusage usage = {0};
    siginfo_t about = {0};
    if (p->pid <= 0) return true;
    if (waitid(P_PID, (id_t)p->pid, &about, WEXITED | WNOHANG | WNOWAIT) == 0 && about.si_pid == 0) return false;
    kill(-p->pid, SIGKILL); /* what it started itself */
    wait4(p->pid, &ending->how, 0, &usage);
    ending->peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    p->pid = 0;
    athi_process_read_errors(p);
    close_fd(&p->in), close_fd(&p->err);
    athi_capture_close(&p->log);
    return true;
}

void athi_process_end(athi_process *p, double patience, athi_ending *ending) {
    double until = athi_now() + patience;
    close_fd(&p->in);
    while (p->pid > 0 && athi_now() < until) {
        if (athi_process_reap(p, ending)) break;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    athi_process_signal(p, SIGKILL);
    while (!athi_process_reap(p, ending)) nanosleep(&(struct timespec){0, 1000000}, NULL);
    athi_process_free(p);
}

void athi_process_free(athi_process *p) {
    close_fd(&p->in), close_fd(&p->out), close_fd(&p->err);
    athi_capture_close(&p->log);
    athi_text_free(&p->input);
    athi_text_free(&p->output);
    p->taken = 0;
}
