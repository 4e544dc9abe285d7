/* What the files of the store share: the object, its statements and how they are run. */
#ifndef ATHI_STORE_INTERNAL_H
#define ATHI_STORE_INTERNAL_H

#include "tune/store.h"

#include <sqlite3.h>

/* Every statement is prepared once and kept. The table of their texts is in store_sql.c. */
typedef enum athi_sql {
    SQL_STUDY_FIND,
    SQL_STUDY_INSERT,
    SQL_DIRECTION_INSERT,
    SQL_DIRECTIONS,
    SQL_STUDY_ATTR_INSERT,
    SQL_STUDY_ATTR,
    SQL_STUDY_PUT,
    SQL_STUDY_DELETE,
    SQL_STUDY_GET,
    SQL_STUDY_TEXTS,
    SQL_NEXT_NUMBER,
    SQL_TRIAL_INSERT,
    SQL_TRIAL_EXTRA_INSERT,
    SQL_TRIAL_ID,
    SQL_TRIAL_STATE,
    SQL_LEASE,
    SQL_LEASE_OTHERS,
    SQL_LEASE_TAKE,
    SQL_LEASE_DROP,
    SQL_LEASE_RENEW,
    SQL_LEASE_RELEASE,
    SQL_TRIAL_FINISH,
    SQL_TRIAL_EXTRA_FINISH,
    SQL_TRIAL_PAUSE,
    SQL_TRIALS_AFTER,
    SQL_TRIAL_ROWS,
    SQL_TRIALS_ENDED,
    SQL_PARAM_INSERT,
    SQL_PARAMS_DELETE,
    SQL_PARAMS,
    SQL_PARAM_GROUPS,
    SQL_PARAMS_MOVE,
    SQL_DISTRIBUTIONS,
    SQL_VALUE_INSERT,
    SQL_VALUES,
    SQL_INTERMEDIATE_INSERT,
    SQL_INTERMEDIATE_DELETE,
    SQL_INTERMEDIATES,
    SQL_TRIAL_ATTR_INSERT,
    SQL_TRIAL_SYSTEM_INSERT,
    SQL_TRIAL_ATTRS,
    SQL_TRIAL_SYSTEM_ATTRS,
    SQL_TRIAL_CONSTRAINTS,
    SQL_REPORT_INSERT,
    SQL_REPORTS_DELETE,
    SQL_REPORTS,
    SQL_REPORTS_ALL,
    SQL_REPORTS_COPY,
    SQL_INTERMEDIATES_COPY,
    SQL_EXECUTION_INSERT,
    SQL_EXECUTION_DELETE,
    SQL_EXECUTIONS,
    SQL_TURN,
    SQL_SNAPSHOT,
    SQL_COUNT
} athi_sql;

/* What a begin can be, and the statements without values. */
typedef enum athi_simple {
    ATHI_SQL_READ,  /* one instant, nothing is written */
    ATHI_SQL_QUICK, /* may be lost when the database goes down hard */
    ATHI_SQL_KNOWN, /* may be lost in a power cut, but not while those live who know of it: as a server's crash would */
    ATHI_SQL_DURABLE, /* on the disk when the commit returns */
    ATHI_SQL_COMMIT,
    ATHI_SQL_SYNC_FULL,
    ATHI_SQL_SYNC_NORMAL,
    ATHI_SQL_VERSION,
    ATHI_SIMPLE_COUNT
} athi_simple;

/* The rows of a statement under way: of SQLite the statement, of PostgreSQL its result. */
typedef struct athi_rows {
    const struct athi_database *database;
    void *handle;
    int at, n;
} athi_rows;

/* What a database has to be able to do; store_sql.c has the same for whichever is open. */
typedef struct athi_database {
    ath_status (*open)(athi_store *s, bool create);
    void (*close)(athi_store *s);
    ath_status (*query)(athi_store *s, athi_sql which, athi_rows *q, const char *types, va_list args);
    ath_status (*step)(athi_store *s, athi_rows *q, bool *row);
    void (*reset)(athi_rows *q);
    int64_t (*given)(athi_store *s, athi_rows *q); /* the key of the row that it has inserted */
    bool (*null)(athi_rows *q, int column);
    int64_t (*integer)(athi_rows *q, int column);
    double (*number)(athi_rows *q, int column);
    const char *(*text)(athi_rows *q, int column);
    /* *done: this transaction is one that was tried before, and it did happen */
    ath_status (*begin)(athi_store *s, athi_simple kind, bool again, bool *done);
    ath_status (*end)(athi_store *s, ath_status status); /* commits if it is ATH_OK, else rolls back */
    bool (*again)(athi_store *s, ath_status *status);    /* should what ended so be done again? NULL: never */
    ath_status (*version)(athi_store *s, int64_t *version);
    bool defers; /* a statement is run when its rows are wanted, or with the commit; it goes wrong there then */
} athi_database;

/* One allocation holds a trial and its arrays, so that reading a changed one again is one exchange. */
typedef struct athi_cached {
    athi_trial *trial;
    int64_t id;
    bool stale, grouped; /* grouped: changed by a group that is not committed yet */
} athi_cached;

struct athi_store {
    ath_ctx *ctx;
    const athi_database *database;
    sqlite3 *db;
    sqlite3_stmt *simple[ATHI_SIMPLE_COUNT];
    const struct athi_group *group;     /* under way, NULL: none */
    bool durable, synced;               /* the last begin's kind, once there was one */
    struct athi_connection *connection; /* to PostgreSQL */
    athi_arena *arena;                  /* as long as the store: names, definition */
    athi_arena *scratch;
    char *place; /* file, or URL with its password */
    char *path;  /* the same for sentences: without the password */
    int64_t study_id;
    int patience_ms, waited_ms; /* for others' transactions; of the wait under way */
    const char *owner;          /* of leases, NULL: none are looked at */
    double lease_seconds;
    athi_study_info info;
    int64_t edits;       /* of the space, when the study was opened */
    const char *changes; /* that were made then */
    athi_rows rows[SQL_COUNT];
    athi_cached *cached; /* by number */
    const athi_trial **view;
    int64_t n, cap, view_cap;
    const athi_space *space; /* that the cached points are of */
    int64_t space_n, data_version;
    char **distributions; /* per parameter of `space`: Optuna's JSON */
};

typedef struct athi_flow { /* of infinities and NaN, as Optuna writes them */
    double value;
    const char *type;
} athi_flow;

/* ---- store_sql.c --------------------------------------------------------------------------------- */

extern const athi_database athi_sqlite, athi_postgres;
/** Which database a path or URL means, and what of it names the place. */
const athi_database *athi_database_of(const char *url, const char **place);
/** A URL whose scheme is none of ours is no file's name: ATH_E_OPTION. */
ath_status athi_database_check(ath_ctx *ctx, const char *url);
/* How a database writes what differs. */
typedef struct athi_dialect {
    const char *mark;  /* before the number of a value */
    const char *clock; /* seconds since the epoch */
    const char *given; /* at the end of an INSERT whose row is given a key */
} athi_dialect;
/** A statement's text. NULL: out of memory. */
char *athi_sql_text_of(ath_ctx *ctx, athi_sql which, const athi_dialect *dialect);

/** Runs a statement; a row that it gives is not looked at. Letters of `types`: i int64_t, d double (NaN is NULL), t
 * text (may be NULL). */
ath_status athi_sql_run(athi_store *s, athi_sql which, const char *types, ...);
/** Binds, for reading rows with athi_sql_step; athi_sql_reset where one stops before the last. */
ath_status athi_sql_query(athi_store *s, athi_sql which, athi_rows **out, const char *types, ...);
/** *row: whether there is one. */
ath_status athi_sql_step(athi_store *s, athi_rows *q, bool *row);
void athi_sql_reset(athi_rows *q);
/** Inserts a row that is given a key. */
ath_status athi_sql_insert(athi_store *s, athi_sql which, int64_t *key, const char *types, ...);
/** The key that the INSERT of an athi_sql_query has given. */
ath_status athi_sql_inserted(athi_store *s, athi_rows *q, int64_t *key);
/* The columns of the row, by index. */
bool athi_sql_null(athi_rows *q, int column);
int64_t athi_sql_int(athi_rows *q, int column);
double athi_sql_double(athi_rows *q, int column);
const char *athi_sql_text(athi_rows *q, int column);
/** What a transaction does. It may be done again from its beginning, where a connection was lost or others were in the
 * way: so it sets all that it gives out anew. */
typedef ath_status (*athi_work)(athi_store *s, void *args);
/** Does the work in a transaction of that kind (the first four), once: it has happened if the status is ATH_OK,
 * and has not otherwise. Within a group it becomes a part of that. */
ath_status athi_sql_transaction(athi_store *s, athi_simple kind, athi_work work, void *args);
/** A number that is another one when somebody else has committed since. */
ath_status athi_sql_version(athi_store *s, int64_t *version);

/* ---- store_sqlite.c ------------------------------------------------------------------------------ */

/** The sentence of a failed SQLite call. */
ath_status athi_sqlite_fail(athi_store *s, int rc);

/* ---- store_schema.c ------------------------------------------------------------------------------ */

#define ATHI_OPTUNA_SCHEMA "v3.2.0.a" /* alembic_version of Optuna 3.2 to 5.0 */
/** Are the tables of the version that we write? `place`: "file" or "database", for the sentence. */
ath_status athi_schema_version(athi_store *s, const char *version, const char *place);
/** Opens the file; create: makes file and tables where missing. Otherwise nothing in the file is changed. */
ath_status athi_schema_open(athi_store *s, bool create);

/* ---- store_postgres.c and store_postgres_schema.c ------------------------------------------------ */

/** Runs a script; the first column of its last statement's first row as text of the scratch arena, NULL without. */
ath_status athi_postgres_script(athi_store *s, const char *script, const char **first);
ath_status athi_postgres_tables(athi_store *s, bool create);

/* ---- store_write.c, store_trial.c and store_read.c -------------------------------------------------------------------- */

ath_status athi_store_id(athi_store *s, int64_t number, int64_t *id);
ath_status athi_store_is_running(athi_store *s, int64_t id, bool *running);
/** Makes `space` the one whose points are cached, with its distributions. */
ath_status athi_store_use_space(athi_store *s, const athi_space *space);
void athi_store_forget(athi_store *s);
/** Reads the trials from one number up to before another, all of which are known by their keys. */
ath_status athi_store_read(athi_store *s, int64_t from, int64_t to);
/** A trial as it will be read once it has begun, but for its number and time; NULL: it has to be read. */
ath_status athi_store_foresee(athi_store *s, const athi_beginning *beginning, athi_trial **trial);
/** Work of a transaction: makes the cache what the database holds. */
ath_status athi_store_refresh(athi_store *s, void *args);

/* ---- store_edit.c -------------------------------------------------------------------------------- */

/** Within the transaction of an opening: nothing but the space has changed, so the trials become points of info->space. */
ath_status athi_store_grow(athi_store *s, const athi_study_info *info, const athi_growth *growth);
/** Remembers how often the space was changed so far. */
ath_status athi_edits_read(athi_store *s);

/* ---- store_lease.c ------------------------------------------------------------------------------- */

/* Within a transaction. Without an owner they do nothing. */
/** Asks who holds a trial; *q is NULL without an owner. */
ath_status athi_lease_ask(athi_store *s, int64_t id, athi_rows **q);
/** ATH_E_STATE if the answer is another driver. */
ath_status athi_lease_check(athi_store *s, int64_t number, athi_rows *q);
ath_status athi_lease_take(athi_store *s, int64_t id);
ath_status athi_lease_drop(athi_store *s, int64_t id);

/* ---- store_optuna.c ------------------------------------------------------------------------------ */

ath_status athi_optuna_distribution(ath_ctx *ctx, const athi_space_param *param, char **json);
/** The value in a point of a value that was stored under `json`; *inside: whether it lies in the parameter's
 * range. */
ath_status athi_optuna_value(athi_store *s, const athi_space_param *param, const char *own_json, const char *json,
                             double stored, double *value, bool *inside);
const char *athi_optuna_state(athi_trial_state state);
athi_trial_state athi_optuna_state_read(const char *text, bool paused);
/** "2026-11-23 17:14:05.108183", local time as Optuna writes it. */
void athi_optuna_time(double seconds, char out[32]);
double athi_optuna_time_read(const char *text);
athi_flow athi_optuna_flow(double value);
double athi_optuna_flow_read(double value, bool null, const char *type);
ath_status athi_optuna_string(ath_ctx *ctx, const char *text, char **json);

#endif
