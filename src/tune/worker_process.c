/* Worker processes: fork, exec, pipes, and what their endings mean. */
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

char **athi_process_environment(athi_arena *arena, int threads) {
    static const char *const own[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"};
    int64_t n = 0, k = 0;
    while (environ[n]) n++;
    char **list = athi_arena_array(arena, n + ATHI_COUNT(own) + 1, sizeof(*list));
    if (!list) return NULL;
    for (int64_t i = 0; i < n; i++) {
        bool replaced = false;
        for (int o = 0; o < ATHI_COUNT(own); o++) {
            size_t length = strlen(own[o]);
            replaced |= !strncmp(environ[i], own[o], length) && environ[i][length] == '=';
        }
        if (!replaced) list[k++] = environ[i];
    }
    for (int o = 0; o < ATHI_COUNT(own); o++)
        if (!(list[k++] = athi_arena_printf(arena, "%s=%d", own[o], threads))) return NULL;
    return list;
}

enum { IN, OUT, ERR, PROBLEM, PIPES };

/* Between fork and exec: only calls that are safe after the fork of a process with threads. */
static _Noreturn void become(int pipes[PIPES][2], pid_t parent, const char *const *argv,
                             char *const *environment, int64_t memory_limit) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); /* it died before the line above */
    struct rlimit limit = {(rlim_t)memory_limit, (rlim_t)memory_limit}, no_core = {0, 0};
    if (memory_limit > 0) setrlimit(RLIMIT_AS, &limit);
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
    memcpy(&arguments, &argv, sizeof(arguments)); /* execvpe takes pointers it does not write through */
    execvpe(argv[0], arguments, environment);
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
            return athi_fail(ctx, ATH_E_FAILED,
                             "starting a worker: no pipe: %s; use fewer jobs or raise ulimit -n",
                             strerror(problem));
        }
    return ATH_OK;
}

/* What the child wrote when exec failed; end of file when it did not. */
static ath_status started(ath_ctx *ctx, int fd, const char *program) {
    int problem = 0;
    ssize_t n;
    do n = read(fd, &problem, sizeof(problem));
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)sizeof(problem)) return ATH_OK;
    return athi_fail(ctx, ATH_E_FAILED,
                     "worker '%s' cannot be started: %s; expected a program that can be executed", program,
                     strerror(problem));
}

ath_status athi_process_start(ath_ctx *ctx, athi_process *p, const char *const *argv,
                              char *const *environment, int64_t memory_limit) {
    int pipes[PIPES][2];
    *p = (athi_process){.in = -1, .out = -1, .err = -1, .log = -1, .input.ctx = ctx, .output.ctx = ctx};
    ATH_TRY(make_pipes(ctx, pipes));
    pid_t parent = getpid();
    p->pid = fork();
    int problem = errno;
    if (p->pid == 0) become(pipes, parent, argv, environment, memory_limit);
    close(pipes[IN][0]), close(pipes[OUT][1]), close(pipes[ERR][1]), close(pipes[PROBLEM][1]);
    p->in = pipes[IN][1], p->out = pipes[OUT][0], p->err = pipes[ERR][0];
    for (int i = 0; i < 3; i++) fcntl((int[]){p->in, p->out, p->err}[i], F_SETFL, O_NONBLOCK);
    ath_status status = ATH_OK;
    if (p->pid < 0) {
        p->pid = 0;
        status = athi_fail(ctx, ATH_E_FAILED, "starting a worker: %s; use fewer jobs", strerror(problem));
    } else {
        setpgid(p->pid, p->pid); /* here and there: whoever comes first */
        status = started(ctx, pipes[PROBLEM][0], argv[0]);
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

ath_status athi_process_read(athi_process *p, bool *ended) {
    char buffer[16384];
    ssize_t n;
    while ((n = take(&p->out, buffer, sizeof(buffer))) > 0) {
        athi_text_add(&p->output, buffer, n);
        if (p->output.failed) return ATH_E_NOMEM;
        if (p->output.length > (8 << 20)) break; /* let the lines be looked at first */
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
    char buffer[4096];
    ssize_t n;
    while ((n = take(&p->err, buffer, sizeof(buffer))) > 0) {
        keep_words(p, buffer, n);
        if (p->log < 0 && p->log_path)
            p->log = open(p->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (p->log >= 0 && write(p->log, buffer, (size_t)n) < 0)
            close_fd(&p->log); /* a log is not worth a trial */
    }
}

char *athi_process_line(athi_process *p, int64_t *length) {
    char *end = p->output.length ? memchr(p->output.text, '\n', (size_t)p->output.length) : NULL;
    if (!end) return NULL;
    int64_t n = end - p->output.text;
    char *line = athi_alloc(p->output.ctx, n + 1);
    if (!line) return NULL;
    memcpy(line, p->output.text, (size_t)n);
    p->output.length -= n + 1;
    memmove(p->output.text, end + 1, (size_t)p->output.length);
    *length = n;
    return line;
}

/* ---- ending -------------------------------------------------------------------------------------- */

void athi_process_signal(const athi_process *p, int signal) {
    if (p->pid > 0) kill(-p->pid, signal), kill(p->pid, signal);
}

bool athi_process_reap(athi_process *p, athi_ending *ending) {
    struct rusage usage = {0};
    if (p->pid <= 0) return true;
    pid_t got = wait4(p->pid, &ending->how, WNOHANG, &usage);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    ending->peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    kill(-p->pid, SIGKILL); /* what it started itself */
    p->pid = 0;
    athi_process_read_errors(p);
    close_fd(&p->in), close_fd(&p->err), close_fd(&p->log);
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
    close_fd(&p->in), close_fd(&p->out), close_fd(&p->err), close_fd(&p->log);
    athi_text_free(&p->input);
    athi_text_free(&p->output);
}

int64_t athi_oom_kills(void) {
    FILE *f = fopen("/proc/vmstat", "re");
    char line[128];
    long long kills = 0;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "oom_kill %lld", &kills) == 1) break;
    if (f) fclose(f);
    return kills;
}

static bool speaks_of_memory(const char *words) {
    static const char *const phrases[] = {
        "out of memory", "Out of memory", "Cannot allocate memory", "cannot allocate memory",
        "MemoryError",   "bad_alloc",     "memory exhausted",       "Memory exhausted"};
    for (int i = 0; i < ATHI_COUNT(phrases); i++)
        if (strstr(words, phrases[i])) return true;
    return false;
}

/* The last line that says something. */
static void last_line(const char *words, char *out, size_t size) {
    size_t end = strlen(words);
    while (end > 0 && (words[end - 1] == '\n' || words[end - 1] == '\r' || words[end - 1] == ' ')) end--;
    size_t begin = end;
    while (begin > 0 && words[begin - 1] != '\n') begin--;
    snprintf(out, size, "%.*s", (int)(end - begin), words + begin);
}

athi_reason athi_ending_explain(const athi_process *p, const athi_ending *e, bool oom, char *text,
                                size_t size) {
    char words[ATHI_LAST_WORDS + 1];
    last_line(p->words, words, sizeof(words));
    const char *colon = words[0] ? ": " : "";
    bool signalled = WIFSIGNALED(e->how), killed = signalled && WTERMSIG(e->how) == SIGKILL;
    bool memory = speaks_of_memory(p->words) || (killed && oom);
    if (killed && oom)
        snprintf(text, size, "the worker was killed because the machine was out of memory%s%s", colon, words);
    else if (signalled)
        snprintf(text, size, "the worker was ended by signal %d (%s)%s%s", WTERMSIG(e->how),
                 strsignal(WTERMSIG(e->how)), colon, words);
    else
        snprintf(text, size, "the worker exited with status %d before its task was done%s%s",
                 WEXITSTATUS(e->how), colon, words);
    return memory ? ATHI_REASON_MEMORY : ATHI_REASON_CRASH;
}
