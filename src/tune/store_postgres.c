/* The store on PostgreSQL, through libpq: connection, statements, and what is said when it cannot. Transactions stand in
 * store_postgres_transaction.c. */
#include "tune/store_postgres.h"

#ifdef ATHI_POSTGRES

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { TRIES = 5 };               /* of a statement outside of a transaction */
enum { VALUES_MAX = 8 };          /* of a statement */
enum { INT8 = 20, FLOAT8 = 701 }; /* types' numbers in pg_type.h; 0: what the column is */

/* Classes of error codes: a serialisation failure or a deadlock, and a server that ends its connections. */
#define IN_THE_WAY   "40"
#define SHUTTING_OFF "57P"

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
    {SHUTTING_OFF, ATH_E_BUSY, "the server ends its connections; see that it runs, and try again later"},
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

bool athi_postgres_is_lost(const athi_store *s) { return PQstatus(s->connection->pg) != CONNECTION_OK; }

ath_status athi_postgres_fail(athi_store *s, const PGresult *result) {
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (athi_postgres_is_lost(s))
        return athi_fail(
            s->ctx, ATH_E_BUSY,
            "%s: the connection is lost; see that the server runs, and try again; no finished trial is lost",
            s->path);
    s->connection->in_the_way = code && (!strncmp(code, IN_THE_WAY, strlen(IN_THE_WAY)) ||
                                         !strncmp(code, SHUTTING_OFF, strlen(SHUTTING_OFF)));
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
    c->n_pending = 0, c->lock_timeout = 0;
    c->within = false;
    c->pg = PQconnectdbParams(keys, values, 1);
    athi_free(s->ctx, url);
    if (!c->pg) return ATH_E_NOMEM;
    if (athi_postgres_is_lost(s)) return fail_first_line(s, ATH_E_IO, "", PQerrorMessage(c->pg));
    PQsetNoticeReceiver(c->pg, be_quiet, NULL);
    return athi_postgres_script(
        s, "SET datestyle TO ISO; SET extra_float_digits TO 1; SET synchronous_commit TO off" /* see commit */, NULL);
}

/* A server that went away may come back: tried again, ever more slowly, as long as a call waits for others. */
ath_status athi_postgres_reconnect(athi_store *s) {
    enum { FIRST_MS = 50, LAST_MS = 2000 };
    for (int waited = 0, ms = FIRST_MS;; waited += ms, ms = ATHI_MIN(2 * ms, LAST_MS)) {
        ath_status status = connect_once(s);
        if (status == ATH_E_IO && athi_postgres_is_lost(s))
            status = ATH_E_BUSY; /* it was there before, and may be again */
        if (status != ATH_E_BUSY || waited >= s->patience_ms) return status;
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
    }
}

static void close_connection(athi_store *s) {
    for (int i = 0; i < SQL_COUNT; i++) PQclear(s->rows[i].handle);
    if (s->connection) athi_postgres_forget_token(s);
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

void athi_postgres_push(struct athi_connection *c, athi_sent one) { c->pending[c->n_pending++] = one; }

ath_status athi_postgres_flush(athi_store *s) {
    if (!PQpipelineSync(s->connection->pg)) return athi_postgres_fail(s, NULL);
    athi_postgres_push(s->connection, (athi_sent){.ends = true});
    return ATH_OK;
}

/* Waits for all that was sent. The first that went wrong is what is told: the others were not run. */
ath_status athi_postgres_receive(athi_store *s) {
    struct athi_connection *c = s->connection;
    PGresult *bad = NULL;
    bool good = c->n_pending == 0 || c->pending[c->n_pending - 1].ends || athi_postgres_flush(s) == ATH_OK;
    for (int i = 0; i < c->n_pending; i++) {
        const athi_sent *p = &c->pending[i];
        PGresult *result = PQgetResult(c->pg);
        if (p->ends) {
            good &= PQresultStatus(result) == PGRES_PIPELINE_SYNC;
            PQclear(result);
            continue;
        }
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
    c->n_pending = 0;
    ath_status status = good ? ATH_OK : athi_postgres_fail(s, bad);
    PQclear(bad);
    return status;
}

/* The same, and statements are waited for one by one again. */
ath_status athi_postgres_leave_pipeline(athi_store *s) {
    if (PQpipelineStatus(s->connection->pg) == PQ_PIPELINE_OFF) return ATH_OK;
    ath_status status = athi_postgres_receive(s);
    PQexitPipelineMode(s->connection->pg);
    return status;
}

ath_status athi_postgres_script(athi_store *s, const char *script, const char **first) {
    ATH_TRY(athi_postgres_leave_pipeline(s));
    PGresult *result = PQexec(s->connection->pg, script);
    ath_status status = is_good(result) ? ATH_OK : athi_postgres_fail(s, result);
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
    if (!good) return athi_postgres_fail(s, NULL);
    s->connection->prepared[which] = true; /* unless it turns out otherwise */
    athi_postgres_push(s->connection, (athi_sent){.which = which, .prepares = true});
    return ATH_OK;
}

/* Room for one more, a statement that has to be prepared first, and the end of the pipeline. */
static ath_status make_room(athi_store *s) {
    struct athi_connection *c = s->connection;
    if (c->n_pending + 3 > ATHI_PENDING_MAX) ATH_TRY(athi_postgres_receive(s));
    if (PQpipelineStatus(c->pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(c->pg)) return athi_postgres_fail(s, NULL);
    return ATH_OK;
}

ath_status athi_postgres_send(athi_store *s, const char *text) {
    ATH_TRY(make_room(s));
    if (!PQsendQueryParams(s->connection->pg, text, 0, NULL, NULL, NULL, NULL, 0)) return athi_postgres_fail(s, NULL);
    athi_postgres_push(s->connection, (athi_sent){.rows = NULL});
    return ATH_OK;
}

/* Nobody waits until a result is looked at: a transaction is a few exchanges then, though it is a dozen statements. */
static ath_status execute(athi_store *s, athi_sql which, athi_rows *q, const char *types, const char *const *values) {
    struct athi_connection *c = s->connection;
    char name[16];
    statement_name(which, name);
    ATH_TRY(make_room(s));
    if (!c->prepared[which]) ATH_TRY(send_prepare(s, which, name, types));
    if (!PQsendQueryPrepared(c->pg, name, (int)strlen(types), values, NULL, NULL, 0))
        return athi_postgres_fail(s, NULL);
    athi_postgres_push(c, (athi_sent){.which = which, .rows = q});
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
            athi_format_double(v, digits[i]);
            if (isnan(v)) values[i] = NULL;
        } else {
            values[i] = va_arg(args, const char *);
        }
    }
    if (s->connection->within) return execute(s, which, q, types, values);
    ath_status status = ATH_E_BUSY; /* outside a transaction only reading is done, which may be done again */
    for (int i = 0; i < TRIES && status == ATH_E_BUSY; i++) {
        if (athi_postgres_is_lost(s)) ATH_TRY(athi_postgres_reconnect(s));
        status = execute(s, which, q, types, values);
        ath_status ended = athi_postgres_leave_pipeline(s);
        if (status == ATH_OK) status = ended;
        if (!athi_postgres_is_lost(s)) break;
    }
    return status;
}

static ath_status step(athi_store *s, athi_rows *q, bool *row) {
    *row = false;
    if (s->connection->n_pending) ATH_TRY(athi_postgres_receive(s));
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
static double number(athi_rows *q, int column) { return athi_strtod(PQgetvalue(q->handle, q->at, column), NULL); }

/* The key is the first column of both tables that give one. */
static int64_t given(athi_store *s, athi_rows *q) {
    (void)s;
    return integer(q, 0);
}

#else

static ath_status open_database(athi_store *s, bool create) {
    (void)create;
    return athi_fail(
        s->ctx, ATH_E_STATE,
        "%s: this program was built without PostgreSQL; build it with -Dpostgres=enabled, or name a file", s->path);
}
static void close_connection(athi_store *s) { (void)s; }
#define query                 NULL
#define step                  NULL
#define reset                 NULL
#define given                 NULL
#define is_null               NULL
#define integer               NULL
#define number                NULL
#define text                  NULL
#define athi_postgres_begin   NULL
#define athi_postgres_end     NULL
#define athi_postgres_again   NULL
#define athi_postgres_version NULL

#endif

const athi_database athi_postgres = {open_database,
                                     close_connection,
                                     query,
                                     step,
                                     reset,
                                     given,
                                     is_null,
                                     integer,
                                     number,
                                     text,
                                     athi_postgres_begin,
                                     athi_postgres_end,
                                     athi_postgres_again,
                                     athi_postgres_version,
                                     true};
