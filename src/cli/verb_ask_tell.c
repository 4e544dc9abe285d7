/* ask-tell: the samplers as a server on standard input and output. */
#include "cli/cli.h"
#include "base/file.h"
#include "recipe/recipe.h"
#include "tune/ask_tell.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

const athi_flag athi_flags_ask_tell[] = {
    {"study", ATHI_FLAG_TEXT, "FILE.db", "where the trials are kept; the same file goes on (default: nowhere)"},
    ATHI_FLAG_SET_ROW,
    ATHI_FLAG_PARAM_ROW,
    {0},
};

static ath_status open_search(athi_cli *cli, const athi_space_file *file, const char *owner, athi_ask_tell *server) {
    const athi_tune_opts *o = &file->tune;
    athi_search_opts opts;
    ATH_TRY(athi_tune_search(cli->ctx, cli->arena, o, "", file->space, file->seed, server->store, &opts));
    opts.executions = 1, opts.max_failures = INT64_MAX;
    opts.owner = owner;
    if (!o->deterministic) opts.jobs = ATHI_MAX(opts.jobs, 2); /* only in order is there anything to wait for */
    return athi_search_open(cli->ctx, &opts, &server->search);
}

/* When the study cannot be reached: since when. */
typedef struct absence {
    const athi_cli *cli;
    double since; /* 0: it can */
} absence;

/* Waits a moment, for ten minutes at most, and says so once. */
static bool wait_for_study(void *user, const char *sentence) {
    enum { AGAIN_MS = 1000, MOST_SECONDS = 600 };
    absence *a = user;
    double now = athi_now();
    if (a->since > 0 && now - a->since > MOST_SECONDS) return a->since = 0, false;
    if (!(a->since > 0)) {
        a->since = now;
        athi_cli_line("athanor: %s; it is asked again every second, for ten minutes at most", sentence);
    }
    poll(NULL, 0, AGAIN_MS);
    return !*a->cli->interrupted;
}

static void is_back(absence *a) {
    if (a->since > 0) athi_cli_line("athanor: the study can be reached again");
    a->since = 0;
}

static ath_status answer_line(athi_cli *cli, const athi_ask_tell *server, const char *line, int64_t n) {
    athi_text answer = {.ctx = cli->ctx};
    if (n > 0 && line[n - 1] == '\r') n--;
    ath_status status = athi_ask_tell_line(server, line, n, &answer);
    if (status == ATH_OK && (printf("%s\n", answer.text) < 0 || fflush(stdout)))
        status = athi_fail(cli->ctx, ATH_E_IO, "standard output cannot be written: %s", strerror(errno));
    athi_text_free(&answer);
    return status;
}

/* Answers the whole lines, and at the end what is left too. */
static ath_status answer_lines(athi_cli *cli, const athi_ask_tell *server, athi_text *in, bool at_end) {
    int64_t taken = 0;
    ath_status status = ATH_OK;
    while (status == ATH_OK && taken < in->length) {
        const char *line = in->text + taken, *end = memchr(line, '\n', (size_t)(in->length - taken));
        if (!end && !at_end) break;
        int64_t n = end ? end - line : in->length - taken;
        status = answer_line(cli, server, line, n);
        taken += n + (end != NULL);
    }
    in->length -= taken;
    if (taken) memmove(in->text, in->text + taken, (size_t)in->length);
    return status;
}

/* What has come within a second; *ended: nothing more will. */
static ath_status read_more(athi_cli *cli, athi_text *in, bool *ended) {
    enum { RENEW_MS = 1000 };
    char buffer[16384];
    struct pollfd polled = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&polled, 1, RENEW_MS) <= 0) return ATH_OK;
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return athi_fail(cli->ctx, ATH_E_IO, "ask-tell: standard input cannot be read: %s", strerror(errno));
    *ended = n == 0;
    if (n > 0) athi_text_add(in, buffer, n);
    return in->failed ? ATH_E_NOMEM : ATH_OK;
}

/* Until the end of the input. The leases on what was asked for are renewed however long nobody says anything. */
static ath_status answer_all(athi_cli *cli, const athi_ask_tell *server) {
    athi_text in = {.ctx = cli->ctx};
    ath_status status = ATH_OK;
    for (bool ended = false; status == ATH_OK && !ended && !*cli->interrupted;) {
        status = read_more(cli, &in, &ended);
        if (status == ATH_OK) status = answer_lines(cli, server, &in, ended);
        if (status == ATH_OK) status = athi_search_renew(server->search);
        if (status == ATH_OK) is_back(server->user);
        if (status == ATH_E_BUSY && wait_for_study(server->user, ath_errmsg(cli->ctx))) status = ATH_OK;
    }
    athi_text_free(&in);
    if (status == ATH_OK && *cli->interrupted) status = ATH_E_INTERRUPTED;
    return status;
}

/* `owner`: of the leases, where others may work on the study too. */
static ath_status serve(athi_cli *cli, const athi_space_file *file, const char *path, const char *owner) {
    absence away = {.cli = cli};
    athi_ask_tell server = {.ctx = cli->ctx, .space = file->space, .wait = wait_for_study, .user = &away};
    ath_status status = athi_space_file_study(file, path, NULL, owner, false, &server.store);
    if (status == ATH_OK) status = open_search(cli, file, owner, &server);
    if (status == ATH_OK) cli->started = true, status = answer_all(cli, &server);
    athi_search_close(server.search);
    athi_store_close(server.store);
    return status;
}

/* Without --study the trials live in a folder that goes with the server. */
static ath_status serve_for_now(athi_cli *cli, const athi_space_file *file) {
    const char *folder;
    cli->forgets = true;
    ATH_TRY(athi_cli_temporary(cli, false, &folder));
    const char *path = athi_arena_printf(cli->arena, "%s/study.db", folder);
    return athi_cli_remove(cli, folder, path ? serve(cli, file, path, NULL) : ATH_E_NOMEM);
}

ath_status athi_verb_ask_tell(athi_cli *cli) {
    athi_space_file *file = NULL;
    int n_sets, n_params;
    const char *const *sets = athi_cli_texts(cli, "set", &n_sets), *const *params =
                                                                       athi_cli_texts(cli, "param", &n_params);
    const char *study = athi_cli_text(cli, "study", NULL), *path = cli->n_arguments ? cli->arguments[0] : NULL;
    if (!sets || !params) return ATH_E_NOMEM;
    ATH_TRY(athi_space_file_read(cli->ctx, path, sets, n_sets, params, n_params, &file));
    ath_status status = ATH_OK;
    if (file->tune.executions_per_trial > 1)
        status = athi_fail(cli->ctx, ATH_E_OPTION,
                           "%s: executions_per_trial: a trial is told once, so it must be 1 here; tell the mean",
                           file->path);
    const char *owner = athi_driver_name(cli->arena, NULL);
    if (status == ATH_OK && !owner) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = study ? serve(cli, file, study, owner) : serve_for_now(cli, file);
    athi_space_file_destroy(file);
    return status;
}
