/* Where the program stands: environment, own path, terminal, and the folder of a run. The library knows none of these. */
#include "cli/cli.h"

#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *athi_cli_cache(athi_arena *arena) {
    static const struct {
        const char *variable, *below;
    } places[] = {{"ATHANOR_CACHE", ""}, {"XDG_CACHE_HOME", "/athanor"}, {"HOME", "/.cache/athanor"}};
    for (int i = 0; i < ATHI_COUNT(places); i++) {
        const char *folder = getenv(places[i].variable);
        if (folder && *folder) return athi_arena_printf(arena, "%s%s", folder, places[i].below);
    }
    return NULL;
}

const char *athi_cli_program(athi_arena *arena) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    return n > 0 ? athi_arena_strndup(arena, path, n) : "athanor";
}

/* What others see is overwritten in place; who reads the arguments here gets a copy. */
ath_status athi_cli_hide_passwords(athi_arena *arena, int n, char **argv) {
    static const char scheme[] = "postgres";
    for (int i = 0; i < n; i++) {
        const char *url = strstr(argv[i], scheme);
        const char *shown = url ? athi_store_shown(arena, url) : NULL;
        if (url && !shown) return ATH_E_NOMEM;
        if (!url || strcmp(url, shown) == 0) continue;
        char *seen = argv[i], *copy = athi_arena_strdup(arena, seen);
        if (!copy) return ATH_E_NOMEM;
        const size_t before = (size_t)(url - seen), room = strlen(url);
        argv[i] = copy;
        strncpy(seen + before, shown, room); /* the rest becomes zeroes */
    }
    return ATH_OK;
}

ath_status athi_cli_run_opts(athi_cli *cli, const char *name, athi_run_opts *opts) {
    *opts = (athi_run_opts){.directory = athi_cli_text(cli, "dir", athi_arena_printf(cli->arena, "runs/%s", name)),
                            .cache = athi_cli_cache(cli->arena),
                            .program = athi_cli_program(cli->arena),
                            .jobs = (int)athi_cli_count(cli, "jobs", 0),
                            .threads = (int)athi_cli_count(cli, "threads", 0),
                            .study = athi_cli_text(cli, "study", NULL),
                            .overwrite = athi_cli_has(cli, "overwrite"),
                            .interrupted = cli->interrupted,
                            .begun = &cli->started};
    signal(SIGPIPE, SIG_IGN);
    return opts->directory && opts->program ? ATH_OK : ATH_E_NOMEM;
}

static bool is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

ath_status athi_cli_check_output(athi_cli *cli, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? athi_arena_strndup(cli->arena, path, ATHI_MAX(slash - path, 1)) : ".";
    if (!folder) return ATH_E_NOMEM;
    if (is_folder(path)) return athi_fail(cli->ctx, ATH_E_IO, "%s: a folder stands there; name a file in it", path);
    if (!is_folder(folder))
        return athi_fail(cli->ctx, ATH_E_IO, "%s: there is no folder %s; make it first", path, folder);
    if (access(folder, W_OK) != 0)
        return athi_fail(cli->ctx, ATH_E_IO,
                         "%s: writing is not permitted in %s; check owner and mode, or choose another place", path,
                         folder);
    return ATH_OK;
}

ath_status athi_cli_check_spared(athi_cli *cli, const char *output, const char *input) {
    struct stat written, read;
    if (stat(output, &written) != 0 || stat(input, &read) != 0) return ATH_OK; /* a new one, or no file */
    if (!S_ISREG(read.st_mode) || written.st_dev != read.st_dev || written.st_ino != read.st_ino) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_OPTION, "%s: %s would be written over the file that it reads; name another file",
                     output, cli->verb->name);
}

ath_status athi_cli_temporary(athi_cli *cli, bool memory, const char **folder) {
    static const char shared_memory[] = "/dev/shm";
    const char *place = getenv("TMPDIR");
    if (!place || !*place) place = "/tmp";
    if (memory && is_folder(shared_memory) && access(shared_memory, W_OK) == 0) place = shared_memory;
    char *made = athi_arena_printf(cli->arena, "%s/athanor-XXXXXX", place);
    if (!made) return ATH_E_NOMEM;
    if (!mkdtemp(made))
        return athi_fail(cli->ctx, ATH_E_IO, "%s: no folder can be made: %s; name another place with TMPDIR", made,
                         strerror(errno));
    *folder = made;
    return ATH_OK;
}

ath_status athi_cli_remove(athi_cli *cli, const char *folder, ath_status status) {
    if (status == ATH_OK) return athi_remove_tree(cli->ctx, folder);
    char sentence[ATHI_ERRMSG_MAX];
    snprintf(sentence, sizeof sentence, "%s", ath_errmsg(cli->ctx));
    ath_status removed = athi_remove_tree(cli->ctx, folder);
    (void)removed;
    return status == ATH_E_NOMEM ? status : athi_fail(cli->ctx, status, "%s", sentence);
}

bool athi_cli_utf8(FILE *out) {
    if (!isatty(fileno(out))) return false;
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"}; /* the first that is set decides */
    for (int i = 0; i < ATHI_COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && *value) return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}
