/* Between the files of the store on PostgreSQL: the connection, and the statements that are under way on it. */
#ifndef ATHI_STORE_POSTGRES_H
#define ATHI_STORE_POSTGRES_H

#include "tune/store_internal.h"

#ifdef ATHI_POSTGRES

#include <libpq-fe.h>

enum { ATHI_PENDING_MAX = 64 };

/* A statement that was sent within a transaction, and whose result nobody has waited for. */
typedef struct athi_sent {
    athi_sql which;
    bool prepares;   /* it, rather than runs it */
    bool ends;       /* no statement: an end of the pipeline that nobody has waited for */
    athi_rows *rows; /* where its result goes, NULL: nowhere */
} athi_sent;

struct athi_connection {
    PGconn *pg;
    athi_sent pending[ATHI_PENDING_MAX]; /* in libpq's pipeline */
    int n_pending;
    bool prepared[SQL_COUNT];
    bool within;      /* a transaction */
    athi_simple kind; /* of it, or of the last one */
    bool in_the_way;  /* the last one was: others were, and it may be done again */
    int lock_timeout; /* as the server was told last, in ms; 0: it was not */
    char token[40];   /* of this store in athanor_commits, "" until its first transaction on a study */
    int64_t commits;  /* its transactions so far, the one under way included */
    double since;     /* when the first try of that began */
};

/* ---- store_postgres.c ---------------------------------------------------------------------------- */

/** The sentence of what went wrong; result NULL: libpq could not even ask. */
ath_status athi_postgres_fail(athi_store *s, const PGresult *result);
bool athi_postgres_is_lost(const athi_store *s);
/** A server that went away may come back: tried again, ever more slowly, as long as a call waits for others. */
ath_status athi_postgres_reconnect(athi_store *s);
/** Waits for all that was sent. */
ath_status athi_postgres_receive(athi_store *s);
/** The same, and statements are waited for one by one again. */
ath_status athi_postgres_leave_pipeline(athi_store *s);
/** Something was sent. */
void athi_postgres_push(struct athi_connection *c, athi_sent one);
/** Sends a statement that is not in the store's table, whose result nobody wants. */
ath_status athi_postgres_send(athi_store *s, const char *text);
/** Has the server do what was sent, without waiting for it. */
ath_status athi_postgres_flush(athi_store *s);

/* ---- store_postgres_transaction.c ---------------------------------------------------------------- */

ath_status athi_postgres_begin(athi_store *s, athi_simple kind, bool again, bool *done);
ath_status athi_postgres_end(athi_store *s, ath_status status);
bool athi_postgres_again(athi_store *s, ath_status *status);
ath_status athi_postgres_version(athi_store *s, int64_t *version);
/** The count of this store's commits is not needed any more. */
void athi_postgres_forget_token(athi_store *s);

#endif
#endif
