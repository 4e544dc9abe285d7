/* Transactions of the store on PostgreSQL, done again where a connection was lost. A study's writers take turns at its row in
 * `studies`, which is the row that Optuna locks for a new trial. */
#include "tune/store_postgres.h"

#ifdef ATHI_POSTGRES

#include "base/file.h"

#include <stdlib.h>

#define STUDIES_LOCK 0x617468616e6f72LL /* "athanor": held by who makes tables and studies */

#define NEW_TOKEN                                                                                                    \
    "DELETE FROM athanor_commits WHERE at < now() - interval '7 days'; SELECT CAST(gen_random_uuid() AS TEXT)"

static ath_status make_token(athi_store *s) {
    const char *token;
    ATH_TRY(athi_postgres_script(s, NEW_TOKEN, &token));
    snprintf(s->connection->token, sizeof s->connection->token, "%s", token ? token : "");
    return ATH_OK;
}

void athi_postgres_forget_token(athi_store *s) {
    char script[128];
    snprintf(script, sizeof script, "DELETE FROM athanor_commits WHERE token='%s'", s->connection->token);
    ath_status left = athi_postgres_leave_pipeline(s);
    (void)left;
    if (s->connection->token[0] && !athi_postgres_is_lost(s)) PQclear(PQexec(s->connection->pg, script));
}

static ath_status set_lock_timeout(athi_store *s) {
    char text[64];
    const int ms = ATHI_MAX(s->patience_ms, 1);
    if (s->connection->lock_timeout == ms) return ATH_OK;
    snprintf(text, sizeof text, "SET lock_timeout TO %d", ms);
    ATH_TRY(athi_postgres_script(s, text, NULL));
    s->connection->lock_timeout = ms;
    return ATH_OK;
}

/* Writers wait for one another here. How a commit is recognised whose answer was lost: each store counts its transactions in a
 * row of its own, which commits with them; the lock comes first, so what an earlier try of ours did on a connection that is
 * lost has ended by then, well or badly. A row that has the number already is not changed, and is not given. */
static ath_status take_turn(athi_store *s, bool again, bool *done) {
    struct athi_connection *c = s->connection;
    athi_rows *q;
    bool row = true;
    ATH_TRY(athi_sql_query(s, SQL_TURN, &q, "iti", s->study_id, c->token, c->commits));
    if (!again) return ATH_OK; /* a new number: nobody needs to wait for what is known */
    ATH_TRY(athi_sql_step(s, q, &row));
    if (row) athi_sql_reset(q);
    *done = !row;
    return ATH_OK;
}

static ath_status begin(athi_store *s, athi_simple kind, bool again, bool *done) {
    struct athi_connection *c = s->connection;
    if (athi_postgres_is_lost(s)) ATH_TRY(athi_postgres_reconnect(s));
    if (kind == ATHI_SQL_READ) {
        c->within = true;
        return athi_postgres_send(s, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    }
    ATH_TRY(set_lock_timeout(s));
    if (s->study_id && !c->token[0]) ATH_TRY(make_token(s));
    c->within = true;
    ATH_TRY(athi_postgres_send(s, "BEGIN"));
    if (s->study_id) return take_turn(s, again, done);
    char text[64];
    snprintf(text, sizeof text, "SELECT pg_advisory_xact_lock(%lld)", (long long)STUDIES_LOCK);
    return athi_postgres_send(s, text);
}

/* Takes a transaction back that went wrong; the sentence that stands is the first one. */
static void roll_back(athi_store *s) {
    char sentence[ATHI_ERRMSG_MAX];
    if (athi_postgres_is_lost(s)) return;
    memcpy(sentence, s->ctx->errmsg, sizeof sentence);
    ath_status left = athi_postgres_leave_pipeline(s);
    (void)left;
    PQclear(PQexec(s->connection->pg, "ROLLBACK"));
    memcpy(s->ctx->errmsg, sentence, sizeof sentence);
}

/* The transaction's first statements go with those of its work. */
ath_status athi_postgres_begin(athi_store *s, athi_simple kind, bool again, bool *done) {
    struct athi_connection *c = s->connection;
    if (!again) c->commits++, c->since = athi_now();
    c->kind = kind;
    ath_status status = begin(s, kind, again, done);
    if (status == ATH_OK) return ATH_OK;
    c->within = false;
    roll_back(s);
    return status;
}

/* The commit goes with the last statements; where one of them was wrong, it is not run. Nobody waits for the disk while
 * others wait for the study: the commit lets them go on, and then a record that follows it in the server's log is waited for.
 * What others commit that have seen this one comes to the disk after it. */
static const char to_the_disk[] =
    "SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'athanor', '')";

static ath_status commit(athi_store *s) {
    const athi_simple kind = s->connection->kind;
    ATH_TRY(athi_postgres_send(s, "COMMIT"));
    if (kind == ATHI_SQL_READ) return athi_postgres_flush(s); /* it has nothing to tell */
    if (kind != ATHI_SQL_QUICK) ATH_TRY(athi_postgres_send(s, to_the_disk));
    return athi_postgres_leave_pipeline(s);
}

ath_status athi_postgres_end(athi_store *s, ath_status status) {
    s->connection->within = false;
    if (status == ATH_OK) status = commit(s);
    if (status != ATH_OK) roll_back(s);
    return status;
}

/* A lost connection costs a try, not the call, nor do others that were in the way; both end some time. */
bool athi_postgres_again(athi_store *s, ath_status *status) {
    struct athi_connection *c = s->connection;
    const bool tried = *status == ATH_E_BUSY && (athi_postgres_is_lost(s) || c->in_the_way);
    c->in_the_way = false;
    if (!tried || 1000 * (athi_now() - c->since) > s->patience_ms) return false;
    if (!athi_postgres_is_lost(s)) return true;
    ath_status back = athi_postgres_reconnect(s);
    if (back != ATH_OK) *status = back;
    return back == ATH_OK;
}

/* What is visible differs only where a transaction has got a number or ended since. */
ath_status athi_postgres_version(athi_store *s, int64_t *out) {
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, SQL_SNAPSHOT, &q, ""));
    ATH_TRY(athi_sql_step(s, q, &row));
    *out = row ? athi_sql_int(q, 0) : 0;
    athi_sql_reset(q);
    return ATH_OK;
}

#endif
