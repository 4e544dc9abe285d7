/* The store on SQLite: statements, transactions, and what is said when it cannot. The file is opened in store_schema.c. */
#include "tune/store_internal.h"

static const struct {
    int code;
    ath_status status;
    const char *sentence;
} failures[] = {
    {SQLITE_NOTADB, ATH_E_SYNTAX, "this is not an SQLite database; name another file, or remove this one"},
    {SQLITE_CORRUPT, ATH_E_DATA,
     "the database is damaged; restore a copy, or recover it with: sqlite3 FILE .recover"},
    {SQLITE_FULL, ATH_E_IO, "no space left on the disk; free some and start again; no finished trial is lost"},
    {SQLITE_BUSY, ATH_E_BUSY, "another process has held the database for too long; end it, or try again later"},
    {SQLITE_LOCKED, ATH_E_BUSY, "another process has held the database for too long; end it, or try again later"},
    {SQLITE_READONLY, ATH_E_IO,
     "the file or its folder cannot be written; change its permissions or choose another place"},
    {SQLITE_PERM, ATH_E_IO, "no permission to open the file; change its permissions or choose another place"},
    {SQLITE_CANTOPEN, ATH_E_IO, "the file cannot be opened; the folder must exist and be writable"},
    {SQLITE_NOMEM, ATH_E_NOMEM, "out of memory"},
};

ath_status athi_sqlite_fail(athi_store *s, int rc) {
    for (int i = 0; i < ATHI_COUNT(failures); i++)
        if (failures[i].code == (rc & 0xff))
            return athi_fail(s->ctx, failures[i].status, "%s: %s", s->path, failures[i].sentence);
    return athi_fail(s->ctx, ATH_E_IO, "%s: %s (SQLite code %d)", s->path, sqlite3_errmsg(s->db), rc);
}

static ath_status prepare(athi_store *s, athi_sql which, athi_rows *q) {
    static const athi_dialect dialect = {"?", "((julianday('now') - 2440587.5) * 86400.0)", ""};
    char *text = athi_sql_text_of(s->ctx, which, &dialect);
    if (!text) return ATH_E_NOMEM;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    athi_free(s->ctx, text);
    q->handle = statement;
    return rc == SQLITE_OK ? ATH_OK : athi_sqlite_fail(s, rc);
}

static ath_status query(athi_store *s, athi_sql which, athi_rows *q, const char *types, va_list args) {
    if (!q->handle) ATH_TRY(prepare(s, which, q));
    int rc = SQLITE_OK;
    for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
        if (types[i] == 'i')
            rc = sqlite3_bind_int64(q->handle, i + 1, va_arg(args, int64_t));
        else if (types[i] == 'd')
            rc = sqlite3_bind_double(q->handle, i + 1, va_arg(args, double));
        else
            rc = sqlite3_bind_text(q->handle, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
    }
    return rc == SQLITE_OK ? ATH_OK : athi_sqlite_fail(s, rc);
}

static ath_status step(athi_store *s, athi_rows *q, bool *row) {
    int rc = sqlite3_step(q->handle);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ATH_OK : athi_sqlite_fail(s, rc);
}

static void reset(athi_rows *q) {
    if (!q->handle) return; /* it was never prepared */
    sqlite3_reset(q->handle);
    sqlite3_clear_bindings(q->handle);
}

/* RETURNING would make a table for its one row. */
static int64_t given(athi_store *s, athi_rows *q) {
    (void)q;
    return sqlite3_last_insert_rowid(s->db);
}

static bool is_null(athi_rows *q, int column) { return sqlite3_column_type(q->handle, column) == SQLITE_NULL; }
static int64_t integer(athi_rows *q, int column) { return sqlite3_column_int64(q->handle, column); }
static double number(athi_rows *q, int column) { return sqlite3_column_double(q->handle, column); }
static const char *text(athi_rows *q, int column) { return (const char *)sqlite3_column_text(q->handle, column); }

/* Statements without values: prepared once, since each commit needs them. */
static ath_status simple(athi_store *s, athi_simple which) {
    static const char *const scripts[ATHI_SIMPLE_COUNT] = {
        [ATHI_SQL_READ] = "BEGIN",
        [ATHI_SQL_QUICK] = "BEGIN IMMEDIATE",
        [ATHI_SQL_COMMIT] = "COMMIT",
        [ATHI_SQL_SYNC_FULL] = "PRAGMA synchronous=FULL",
        [ATHI_SQL_SYNC_NORMAL] = "PRAGMA synchronous=NORMAL",
    };
    sqlite3_stmt **statement = &s->simple[which];
    int rc = *statement ? SQLITE_OK
                        : sqlite3_prepare_v3(s->db, scripts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (rc != SQLITE_OK) return athi_sqlite_fail(s, rc);
    rc = sqlite3_step(*statement);
    ath_status status = rc == SQLITE_DONE || rc == SQLITE_ROW ? ATH_OK : athi_sqlite_fail(s, rc);
    sqlite3_reset(*statement);
    return status;
}

static ath_status begin(athi_store *s, athi_simple kind, bool again, bool *done) {
    (void)again, (void)done; /* a file is not lost under way */
    if (kind == ATHI_SQL_READ) return simple(s, ATHI_SQL_READ);
    const bool durable = kind == ATHI_SQL_DURABLE;
    if (s->durable != durable || !s->synced) ATH_TRY(simple(s, durable ? ATHI_SQL_SYNC_FULL : ATHI_SQL_SYNC_NORMAL));
    s->durable = durable, s->synced = true;
    return simple(s, ATHI_SQL_QUICK);
}

static ath_status end(athi_store *s, ath_status status) {
    if (status == ATH_OK) status = simple(s, ATHI_SQL_COMMIT);
    /* Some failures (a full disk) roll back by themselves; the sentence that stands is the first one. */
    if (status != ATH_OK && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Changes when another connection commits. */
static ath_status version(athi_store *s, int64_t *out) {
    sqlite3_stmt **statement = &s->simple[ATHI_SQL_VERSION];
    int rc = *statement
                 ? SQLITE_OK
                 : sqlite3_prepare_v3(s->db, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(*statement);
    if (rc != SQLITE_ROW) return athi_sqlite_fail(s, rc);
    *out = sqlite3_column_int64(*statement, 0);
    sqlite3_reset(*statement);
    return ATH_OK;
}

static void close_file(athi_store *s) {
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(s->rows[i].handle);
    for (int i = 0; i < ATHI_SIMPLE_COUNT; i++) sqlite3_finalize(s->simple[i]);
    if (s->db) sqlite3_close_v2(s->db);
}

const athi_database athi_sqlite = {athi_schema_open, close_file, query, step, reset, given,   is_null, integer,
                                   number,           text,       begin, end,  NULL,  version, false};
