/* What is seen while something runs: lines that stay, and on a terminal one line that is written over. Both go to
 * standard error, so that standard output holds results alone. */
#include "cli/cli.h"
#include "report/table.h"
#include "tune/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

static bool line_open; /* a line that the next one replaces stands on the terminal */

static int columns(void) {
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

static void clear_line(void) {
    if (line_open) fputs("\r\033[K", stderr);
    line_open = false;
}

const char *athi_cli_word(const athi_cli *cli, const char *word) {
    athi_text quoted = {.ctx = cli->ctx};
    athi_command_quote(word, &quoted);
    const char *kept = quoted.failed || !quoted.text ? NULL : athi_arena_strdup(cli->arena, quoted.text);
    athi_text_free(&quoted);
    return kept;
}

/* Names, values and last words come from anywhere: what would move the cursor or change a terminal is shown as text. */
void athi_cli_plain(FILE *out, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        const bool c1 = *p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0; /* U+0080 to U+009F */
        if (c1)
            fprintf(out, "\\u%04x", *++p);
        else if ((*p < ' ' && *p != '\t') || *p == 0x7F)
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
}

void athi_cli_params(const athi_cli *cli, const athi_value *params) {
    for (int64_t i = 0; i < params->n; i++) {
        athi_text one = {.ctx = cli->ctx};
        if (athi_json_write(&one, params->items[i], 0) == ATH_OK && !one.failed) {
            printf("  ");
            athi_cli_plain(stdout, params->keys[i]);
            printf(": %s\n", one.text);
        }
        athi_text_free(&one);
    }
}

void athi_cli_line(const char *fmt, ...) {
    char line[4096];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    clear_line();
    athi_cli_plain(stderr, line);
    fputc('\n', stderr);
}

void athi_cli_progress(const char *fmt, ...) {
    char line[512];
    if (!isatty(STDERR_FILENO)) return;
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    clear_line();
    fprintf(stderr, "%.*s", columns(), line);
    fflush(stderr);
    line_open = true;
}

ath_status athi_cli_json(athi_cli *cli, const athi_value *value) {
    athi_text text = {.ctx = cli->ctx};
    ath_status status = athi_json_write(&text, value, 2);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) printf("%s\n", text.text);
    athi_text_free(&text);
    return status;
}

ath_status athi_cli_table(athi_cli *cli, const athi_value *report) {
    athi_text text = {.ctx = cli->ctx};
    athi_report_table(&text, report, athi_cli_utf8(stdout));
    if (!text.failed && text.text) printf("%s", text.text);
    ath_status status = text.failed ? ATH_E_NOMEM : ATH_OK;
    athi_text_free(&text);
    return status;
}
