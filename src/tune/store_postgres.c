/* The store on PostgreSQL, through libpq: connection, statements, transactions, and what is said when it cannot. A study's
 * writers take turns at its row in `studies`, which is the row that Optuna locks for a new trial. */
#include "tune/store_internal.h"

#ifdef ATHI_POSTGRES

#include "base/file.h"

#include <libpq-fe.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

enum {
    TRIES = 5,
    PENDING_MAX = 64,
    VALUES_MAX = 8,
    INT8 = 20,
    FLOAT8 = 701 /* types' numbers in pg_type.h; 0: what the column is */
};

#define IN_THE_WAY "40" /* class of error codes: a serialisation failure, a deadlock */

#define STUDIES_LOCK 0x617468616e6f72LL /* "athanor": held by who makes tables and studies */

/* A statement that was sent within a transaction, and whose result nobody has waited for. */
typedef struct sent {
    athi_sql which;
    bool prepares;   /* it, rather than runs it */
    athi_rows *rows; /* where its result goes, NULL: nowhere */
} sent;

struct athi_connection {
    PGconn *pg;
    sent pending[PENDING_MAX]; /* in libpq's pipeline */
    int n_pending;
    bool prepared[SQL_COUNT];
    bool within;     /* a transaction */
    bool in_the_way; /* the last one was: others were, and it may be done again */
    char token[40];  /* of this store in athanor_commits, "" until its first transaction on a study */
    int64_t commits; /* its transactions so far, the one under way included */
    double since;    /* when the first try of that began */
};

/* ---- what is said -------------------------------------------------------------------------------- */

/* https://www.postgresql.org/docs/15/errcodes-appendix.html; a shorter code is a class. */
static const struct {
    const char *code;
    ath_status status;
    const char *sentence;
} failures[] = {
    {"55P03", ATH_E_BUSY, "another process has held the study for too long; end it, or try again later"},
    {IN_THE_WAY, ATH_E_BUSY,
     "other processes were in the way again and again (a serialisation failure); try again later"},
    {"53100", ATH_E_IO, "no space left on the server's disk; free some and start again; no finished trial is lost"},
    {"53200", ATH_E_IO, "the server is out of memory; try again later"},
    {"42501", ATH_E_IO, "the user may not do this; let the database's owner grant the rights, or name another user"},
    {"25006", ATH_E_IO, "the database is read-only; name the primary server"},
    {"42P01", ATH_E_DATA, "a table of the study is missing; the database was changed by hand"},
    {"42703", ATH_E_DATA, "a column of the study is missing; the database was changed by hand"},
};

/* libpq's words end with a new line, and go on with hints. */
static ath_status fail_first_line(athi_store *s, ath_status status, const char *what, const char *words) {
    return athi_fail(s->ctx, status, "%s: %s%.*s", s->path, what, (int)strcspn(words, "\n"), words);
}

static bool is_lost(const athi_store *s) { return PQstatus(s->connection->pg) != CONNECTION_OK; }

static ath_status fail(athi_store *s, const PGresult *result) {
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (is_lost(s))
        return athi_fail(
            s->ctx, ATH_E_BUSY,
            "%s: the connection is lost; see that the server runs, and try again; no finished trial is lost",
            s->path);
    s->connection->in_the_way = code && !strncmp(code, IN_THE_WAY, strlen(IN_THE_WAY));
    for (int i = 0; code && i < ATHI_COUNT(failures); i++)
        if (!strncmp(code, failures[i].code, strlen(failures[i].code)))
            return athi_fail(s->ctx, failures[i].status, "%s: %s", s->path, failures[i].sentence);
    if (!result) return ATH_E_NOMEM;
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return fail_first_line(s, ATH_E_IO, "", words ? words : "the server gave no reason");
}

/* ---- the connection ------------------------------------------------------------------------------ */

static void be_quiet(void *user, const PGresult *notice) { /* the library prints nothing */
    (void)user;
    (void)notice;
}

/* SQLAlchemy's postgresql+psycopg2:// without the driver. */
static char *libpq_url(athi_store *s) {
    athi_text out = {.ctx = s->ctx};
    const char *rest = strstr(s->place, "://");
    athi_text_printf(&out, "postgresql%s", rest ? rest : "");
    if (out.failed) athi_text_free(&out);
    return out.text;
}

/* A password with an @ or a / in it would be read as a part of the host's name, which libpq's sentences repeat. */
static bool is_split_wrongly(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    const int n = (int)strcspn(host, "?"), user = (int)strcspn(host, "@/?");
    const int behind = user + (host[user] == '@');
    return memchr(host + behind, '@', (size_t)(n - behind)) != NULL;
}

static ath_status connect_once(athi_store *s) {
    struct athi_connection *c = s->connection;
    char *url = libpq_url(s), *why = NULL;
    if (!url) return ATH_E_NOMEM;
    PQconninfoOption *parts = PQconninfoParse(url, &why);
    PQconninfoFree(parts);
    const bool wrong = !parts || is_split_wrongly(url);
    PQfreemem(why); /* it repeats the URL, with its password */
    if (wrong)
        return athi_free(s->ctx, url),
               athi_fail(s->ctx, ATH_E_SYNTAX,
                         "%s: expected postgresql://user:password@host:port/database; what has a "
                         "meaning in a URL is written %%40 for @, %%3A for :, %%2F for /",
                         s->path);
    const char *const keys[] = {"dbname", "connect_timeout", "application_name", "client_encoding", NULL};
    const char *const values[] = {url, "10", "athanor", "UTF8", NULL};
    if (c->pg) PQfinish(c->pg);
    memset(c->prepared, 0, sizeof c->prepared);
    c->n_pending = 0;
    c->within = false;
    c->pg = PQconnectdbParams(keys, values, 1);
    athi_free(s->ctx, url);
    if (!c->pg) return ATH_E_NOMEM;
    if (is_lost(s)) return fail_first_line(s, ATH_E_IO, "", PQerrorMessage(c->pg));
    PQsetNoticeReceiver(c->pg, be_quiet, NULL);
    return athi_postgres_script(s, "SET datestyle TO ISO; SET extra_float_digits TO 1", NULL);
}

/* A server that went away may come back: tried again, ever more slowly, as long as a call waits for others. */
static ath_status reconnect(athi_store *s) {
    enum { FIRST_MS = 50, LAST_MS = 2000 };
    for (int waited = 0, ms = FIRST_MS;; waited += ms, ms = ATHI_MIN(2 * ms, LAST_MS)) {
        ath_status status = connect_once(s);
        if (status == ATH_E_IO && is_lost(s)) status = ATH_E_BUSY; /* it was there before, and may be again */
        if (status != ATH_E_BUSY || waited >= s->patience_ms) return status;
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
    }
}

static void forget_token(athi_store *s) {
    char script[128];
    snprintf(script, sizeof script, "DELETE FROM athanor_commits WHERE token='%s'", s->connection->token);
    if (s->connection->token[0] && !is_lost(s)) PQclear(PQexec(s->connection->pg, script));
}

static void close_connection(athi_store *s) {
    for (int i = 0; i < SQL_COUNT; i++) PQclear(s->rows[i].handle);
    if (s->connection) forget_token(s);
    if (s->connection) PQfinish(s->connection->pg);
    athi_free(s->ctx, s->connection);
}

static ath_status open_database(athi_store *s, bool create) {
    s->connection = athi_alloc(s->ctx, sizeof *s->connection);
    if (!s->connection) return ATH_E_NOMEM;
    *s->connection = (struct athi_connection){0};
    ATH_TRY(connect_once(s));
    return athi_postgres_tables(s, create);
}

/* ---- statements ---------------------------------------------------------------------------------- */

static bool is_good(const PGresult *result) {
    ExecStatusType kind = PQresultStatus(result);
    return kind == PGRES_TUPLES_OK || kind == PGRES_COMMAND_OK;
}

/* Waits for all that was sent. The first that went wrong is what is told: the others were not run. */
static ath_status receive(athi_store *s) {
    struct athi_connection *c = s->connection;
    PGresult *bad = NULL;
    bool good = c->n_pending == 0 || PQpipelineSync(c->pg);
    for (int i = 0; i < c->n_pending; i++) {
        const sent *p = &c->pending[i];
        PGresult *result = PQgetResult(c->pg);
        if (result) PQclear(PQgetResult(c->pg)); /* NULL: there is one of each */
        const bool ran = is_good(result);
        good &= ran;
        if (p->prepares) c->prepared[p->which] = ran;
        if (p->rows && ran) {
            PQclear(p->rows->handle);
            p->rows->handle = result, p->rows->n = PQntuples(result);
        } else if (!ran && !bad) {
            bad = result;
        } else {
            PQclear(result);
        }
    }
    if (c->n_pending) PQclear(PQgetResult(c->pg)); /* the end of the pipeline, or of the connection */
    c->n_pending = 0;
    ath_status status = good ? ATH_OK : fail(s, bad);
    PQclear(bad);
    return status;
}

/* The same, and statements are waited for one by one again. */
static ath_status leave_pipeline(athi_store *s) {
    if (PQpipelineStatus(s->connection->pg) == PQ_PIPELINE_OFF) return ATH_OK;
    ath_status status = receive(s);
    PQexitPipelineMode(s->connection->pg);
    return status;
}

static void push(struct athi_connection *c, sent one) { c->pending[c->n_pending++] = one; }

ath_status athi_postgres_script(athi_store *s, const char *script, const char **first) {
    ATH_TRY(leave_pipeline(s));
    PGresult *result = PQexec(s->connection->pg, script);
    ath_status status = is_good(result) ? ATH_OK : fail(s, result);
    if (first) *first = NULL;
    if (status == ATH_OK && first && PQntuples(result)) {
        *first = athi_arena_strdup(s->scratch, PQgetvalue(result, 0, 0));
        if (!*first) status = ATH_E_NOMEM;
    }
    PQclear(result);
    return status;
}

static void statement_name(athi_sql which, char name[16]) { snprintf(name, 16, "s%d", (int)which); }

static ath_status send_prepare(athi_store *s, athi_sql which, const char *name, const char *types) {
    Oid oids[VALUES_MAX];
    int n = (int)strlen(types);
    for (int i = 0; i < n; i++) oids[i] = types[i] == 'i' ? INT8 : types[i] == 'd' ? FLOAT8 : 0;
    static const athi_dialect dialect = {"$", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)",
                                         " RETURNING *"};
    char *text = athi_sql_text_of(s->ctx, which, &dialect);
    if (!text) return ATH_E_NOMEM;
    bool good = PQsendPrepare(s->connection->pg, name, text, n, oids);
    athi_free(s->ctx, text);
    if (!good) return fail(s, NULL);
    s->connection->prepared[which] = true; /* unless it turns out otherwise */
    push(s->connection, (sent){.which = which, .prepares = true});
    return ATH_OK;
}

/* Nobody waits until a result is looked at: a transaction is a few exchanges then, though it is a dozen statements. */
static ath_status execute(athi_store *s, athi_sql which, athi_rows *q, const char *types, const char *const *values) {
    struct athi_connection *c = s->connection;
    char name[16];
    statement_name(which, name);
    if (c->n_pending + 2 > PENDING_MAX) ATH_TRY(receive(s));
    if (PQpipelineStatus(c->pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(c->pg)) return fail(s, NULL);
    if (!c->prepared[which]) ATH_TRY(send_prepare(s, which, name, types));
    if (!PQsendQueryPrepared(c->pg, name, (int)strlen(types), values, NULL, NULL, 0)) return fail(s, NULL);
    push(c, (sent){.which = which, .rows = q});
    q->at = -1, q->n = 0;
    return ATH_OK;
}

static ath_status query(athi_store *s, athi_sql which, athi_rows *q, const char *types, va_list args) {
    const char *values[VALUES_MAX];
    char digits[VALUES_MAX][32];
    for (int i = 0; types[i]; i++) {
        values[i] = digits[i];
        if (types[i] == 'i') {
            snprintf(digits[i], sizeof digits[i], "%lld", (long long)va_arg(args, int64_t));
        } else if (types[i] == 'd') {
            double v = va_arg(args, double);
            snprintf(digits[i], sizeof digits[i], "%.17g", v);
            if (isnan(v)) values[i] = NULL;
        } else {
            values[i] = va_arg(args, const char *);
        }
    }
    if (s->connection->within) return execute(s, which, q, types, values);
    ath_status status = ATH_E_BUSY; /* outside a transaction only reading is done, which may be done again */
    for (int i = 0; i < TRIES && status == ATH_E_BUSY; i++) {
        if (is_lost(s)) ATH_TRY(reconnect(s));
        status = execute(s, which, q, types, values);
        ath_status ended = leave_pipeline(s);
        if (status == ATH_OK) status = ended;
        if (!is_lost(s)) break;
    }
    return status;
}

static ath_status step(athi_store *s, athi_rows *q, bool *row) {
    *row = false;
    if (s->connection->n_pending) ATH_TRY(receive(s));
    *row = ++q->at < q->n;
    return ATH_OK;
}

static void reset(athi_rows *q) {
    PQclear(q->handle);
    q->handle = NULL;
}

static bool is_null(athi_rows *q, int column) { return PQgetisnull(q->handle, q->at, column); }
static const char *text(athi_rows *q, int column) {
    return is_null(q, column) ? NULL : PQgetvalue(q->handle, q->at, column);
}
static int64_t integer(athi_rows *q, int column) { return strtoll(PQgetvalue(q->handle, q->at, column), NULL, 10); }
static double number(athi_rows *q, int column) { return strtod(PQgetvalue(q->handle, q->at, column), NULL); }

/* The key is the first column of both tables that give one. */
static int64_t given(athi_store *s, athi_rows *q) {
    (void)s;
    return integer(q, 0);
}

/* ---- transactions -------------------------------------------------------------------------------- */

/* How a commit is recognised whose answer was lost: each store counts its transactions in a row of its own, which
 * commits with them. A row that has the number already is not changed, and then the script gives no row. */
#define COUNT_COMMIT                                                                                                 \
    "; INSERT INTO athanor_commits(token, n, at) VALUES('%s', %lld, now()) ON CONFLICT(token) DO UPDATE SET"         \
    " n=excluded.n, at=excluded.at WHERE athanor_commits.n < excluded.n RETURNING n"
#define NEW_TOKEN                                                                                                    \
    "DELETE FROM athanor_commits WHERE at < now() - interval '7 days'; SELECT CAST(gen_random_uuid() AS TEXT)"

static ath_status make_token(athi_store *s) {
    const char *token;
    ATH_TRY(athi_postgres_script(s, NEW_TOKEN, &token));
    snprintf(s->connection->token, sizeof s->connection->token, "%s", token ? token : "");
    return ATH_OK;
}

/* The beginning of a transaction in one exchange. The study's row is locked first: what an earlier try of ours did on a
 * connection that is lost has ended by then, well or badly. */
static ath_status begin_text(athi_store *s, athi_simple kind, athi_text *out) {
    if (kind == ATHI_SQL_READ) {
        athi_text_printf(out, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1");
        return out->failed ? ATH_E_NOMEM : ATH_OK;
    }
    athi_text_printf(out, "BEGIN; SET LOCAL lock_timeout TO %d; ", ATHI_MAX(s->patience_ms, 1));
    if (kind == ATHI_SQL_QUICK) athi_text_printf(out, "SET LOCAL synchronous_commit TO off; ");
    if (s->study_id)
        athi_text_printf(out, "SELECT 1 FROM studies WHERE study_id=%lld FOR UPDATE" COUNT_COMMIT,
                         (long long)s->study_id, s->connection->token, (long long)s->connection->commits);
    else
        athi_text_printf(out, "SELECT pg_advisory_xact_lock(%lld)", (long long)STUDIES_LOCK);
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status begin(athi_store *s, athi_simple kind, bool again, bool *done) {
    struct athi_connection *c = s->connection;
    athi_text script = {.ctx = s->ctx};
    const char *row = NULL;
    if (!again) c->commits++, c->since = athi_now();
    ath_status status = is_lost(s) ? reconnect(s) : ATH_OK;
    if (status == ATH_OK && s->study_id && !c->token[0] && kind != ATHI_SQL_READ) status = make_token(s);
    if (status == ATH_OK) status = begin_text(s, kind, &script);
    if (status == ATH_OK) status = athi_postgres_script(s, script.text, &row);
    athi_text_free(&script);
    *done = status == ATH_OK && !row;
    if (status != ATH_OK && !is_lost(s)) PQclear(PQexec(c->pg, "ROLLBACK"));
    c->within = status == ATH_OK;
    return status;
}

/* The commit goes with the last statements; where one of them was wrong, it is not run. */
static ath_status commit(athi_store *s) {
    struct athi_connection *c = s->connection;
    if (PQpipelineStatus(c->pg) == PQ_PIPELINE_OFF) return athi_postgres_script(s, "COMMIT", NULL);
    if (c->n_pending == PENDING_MAX) ATH_TRY(receive(s));
    if (!PQsendQueryParams(c->pg, "COMMIT", 0, NULL, NULL, NULL, NULL, 0)) return fail(s, NULL);
    push(c, (sent){.rows = NULL});
    return leave_pipeline(s);
}

static ath_status end(athi_store *s, ath_status status) {
    s->connection->within = false;
    if (status == ATH_OK) status = commit(s);
    if (status == ATH_OK || is_lost(s)) return status;
    char sentence[ATHI_ERRMSG_MAX]; /* of what went wrong first */
    memcpy(sentence, s->ctx->errmsg, sizeof sentence);
    ath_status left = leave_pipeline(s);
    (void)left;
    memcpy(s->ctx->errmsg, sentence, sizeof sentence);
    PQclear(PQexec(s->connection->pg, "ROLLBACK"));
    return status;
}

/* A lost connection costs a try, not the call, nor do others that were in the way; both end some time. */
static bool again(athi_store *s, ath_status *status) {
    struct athi_connection *c = s->connection;
    const bool tried = *status == ATH_E_BUSY && (is_lost(s) || c->in_the_way);
    c->in_the_way = false;
    if (!tried || 1000 * (athi_now() - c->since) > s->patience_ms) return false;
    if (!is_lost(s)) return true;
    ath_status back = reconnect(s);
    if (back != ATH_OK) *status = back;
    return back == ATH_OK;
}

/* What is visible differs only where a transaction has got a number or ended since. */
static ath_status version(athi_store *s, int64_t *out) {
    const char *text_of = NULL;
    ATH_TRY(athi_postgres_script(s, "SELECT hashtextextended(CAST(pg_current_snapshot() AS TEXT), 0)", &text_of));
    *out = text_of ? strtoll(text_of, NULL, 10) : 0;
    return ATH_OK;
}

#else

static ath_status open_database(athi_store *s, bool create) {
    (void)create;
    return athi_fail(
        s->ctx, ATH_E_STATE,
        "%s: this program was built without PostgreSQL; build it with -Dpostgres=enabled, or name a file", s->path);
}
static void close_connection(athi_store *s) { (void)s; }
#define query   NULL
#define step    NULL
#define reset   NULL
#define given   NULL
#define is_null NULL
#define integer NULL
#define number  NULL
#define text    NULL
#define begin   NULL
#define end     NULL
#define again   NULL
#define version NULL

#endif

const athi_database athi_postgres = {open_database, close_connection, query,  step, reset, given,
                                     is_null,       integer,          number, text, begin, end,
                                     again,         version,          true};
