/* What the files of the store share: the object, its statements and how they are run. */
#ifndef ATHI_STORE_INTERNAL_H
#define ATHI_STORE_INTERNAL_H

#include "tune/store.h"

#include <sqlite3.h>

/* Every statement is prepared once and kept. The table of their texts is in store_sql.c. */
typedef enum athi_sql {
    SQL_BEGIN,
    SQL_READ,
    SQL_COMMIT,
    SQL_DURABLE,
    SQL_QUICK,
    SQL_DATA_VERSION,
    SQL_STUDY_FIND,
    SQL_STUDY_INSERT,
    SQL_DIRECTION_INSERT,
    SQL_DIRECTIONS,
    SQL_STUDY_ATTR_INSERT,
    SQL_STUDY_ATTR,
    SQL_STUDY_PUT,
    SQL_STUDY_DELETE,
    SQL_STUDY_GET,
    SQL_NEXT_NUMBER,
    SQL_TRIAL_INSERT,
    SQL_TRIAL_EXTRA_INSERT,
    SQL_TRIAL_ID,
    SQL_TRIAL_STATE,
    SQL_LEASE,
    SQL_LEASE_TAKE,
    SQL_LEASE_DROP,
    SQL_LEASE_RENEW,
    SQL_LEASE_RELEASE,
    SQL_TRIAL_FINISH,
    SQL_TRIAL_EXTRA_FINISH,
    SQL_TRIAL_PAUSE,
    SQL_TRIALS_AFTER,
    SQL_TRIAL_ROW,
    SQL_PARAM_INSERT,
    SQL_PARAMS_DELETE,
    SQL_PARAMS,
    SQL_DISTRIBUTIONS,
    SQL_VALUE_INSERT,
    SQL_VALUES,
    SQL_INTERMEDIATE_INSERT,
    SQL_INTERMEDIATE_DELETE,
    SQL_INTERMEDIATES,
    SQL_TRIAL_ATTR_INSERT,
    SQL_TRIAL_SYSTEM_INSERT,
    SQL_TRIAL_CONSTRAINTS,
    SQL_REPORT_INSERT,
    SQL_REPORTS_DELETE,
    SQL_REPORTS,
    SQL_EXECUTION_INSERT,
    SQL_EXECUTION_DELETE,
    SQL_EXECUTIONS,
    SQL_COUNT
} athi_sql;

/* One allocation holds a trial and its arrays, so that reading a changed one again is one exchange. */
typedef struct athi_cached {
    athi_trial *trial;
    int64_t id;
    bool stale;
} athi_cached;

struct athi_store {
    ath_ctx *ctx;
    sqlite3 *db;
    athi_arena *arena; /* as long as the store: names, definition */
    athi_arena *scratch;
    char *path;
    int64_t study_id;
    int patience_ms, waited_ms; /* for others' transactions; of the wait under way */
    const char *owner; /* of leases, NULL: none are looked at */
    double lease_seconds;
    athi_study_info info;
    sqlite3_stmt *statements[SQL_COUNT];
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

/** Runs a statement that gives no rows. Letters of `types`: i int64_t, d double (NaN is NULL), t text (may be
 * NULL). */
ath_status athi_sql_run(athi_store *s, athi_sql which, const char *types, ...);
/** Binds, for reading rows with athi_sql_step; finish with athi_sql_reset. */
ath_status athi_sql_query(athi_store *s, athi_sql which, sqlite3_stmt **out, const char *types, ...);
/** *row: whether there is one. */
ath_status athi_sql_step(athi_store *s, sqlite3_stmt *statement, bool *row);
void athi_sql_reset(sqlite3_stmt *statement);
/** A transaction that writes; durable: its end is on the disk when the commit returns. Every begin has one
 * end, which commits if `status` is ATH_OK and rolls back otherwise, and returns the status of the whole. */
ath_status athi_sql_begin(athi_store *s, bool durable);
ath_status athi_sql_end(athi_store *s, ath_status status);
/** The sentence of a failed SQLite call. */
ath_status athi_sql_fail(athi_store *s, int rc);

/* ---- store_schema.c ------------------------------------------------------------------------------ */

/** Opens the file; create: makes file and tables where missing. Otherwise nothing in the file is changed. */
ath_status athi_schema_open(athi_store *s, bool create);

/* ---- store.c and store_read.c -------------------------------------------------------------------- */

ath_status athi_store_id(athi_store *s, int64_t number, int64_t *id);
ath_status athi_store_is_running(athi_store *s, int64_t id, bool *running);
/** Makes `space` the one whose points are cached, with its distributions. */
ath_status athi_store_use_space(athi_store *s, const athi_space *space);
void athi_store_forget(athi_store *s);

/* ---- store_lease.c ------------------------------------------------------------------------------- */

/* Within a transaction. Without an owner they do nothing. */
ath_status athi_lease_check(athi_store *s, int64_t number, int64_t id);
ath_status athi_lease_take(athi_store *s, int64_t id);
ath_status athi_lease_drop(athi_store *s, int64_t id);

/* ---- store_optuna.c ------------------------------------------------------------------------------ */

ath_status athi_optuna_distribution(ath_ctx *ctx, const athi_space_param *param, char **json);
/** The value in a point of a value that was stored under `json`; *inside: whether it lies in the parameter's
 * range. */
ath_status athi_optuna_value(athi_store *s, const athi_space_param *param, const char *own_json,
                             const char *json, double stored, double *value, bool *inside);
const char *athi_optuna_state(athi_trial_state state);
athi_trial_state athi_optuna_state_read(const char *text, bool paused);
/** "2026-11-23 17:14:05.108183", local time as Optuna writes it. */
void athi_optuna_time(double seconds, char out[32]);
double athi_optuna_time_read(const char *text);
athi_flow athi_optuna_flow(double value);
double athi_optuna_flow_read(double value, bool null, const char *type);
ath_status athi_optuna_string(ath_ctx *ctx, const char *text, char **json);

#endif
