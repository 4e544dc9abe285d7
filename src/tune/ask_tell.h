/* ask-tell: a search whose trials somebody else runs, one JSON object a line each way.
 *
 *   {"op":"ask"}                                     -> {"trial":0,"params":{…}}, with "n":4 {"trials":[…]}
 *                                                       {"done":"max_trials"}, {"wait":seconds}
 *   {"op":"tell","trial":0,"values":{"y":1.5}}       -> {"ok":true}; or "state":"failed","reason":"memory"; "pruned"
 *   {"op":"report","trial":0,"step":3,"values":{…}}  -> {"action":"continue"}; "prune": stop it, and tell "pruned";
 *                                                       "pause": stop it with its state saved, it may be asked again
 *   {"op":"tell","trials":[{"trial":0,"values":…},…]} -> {"ok":true}: all of them or, with an error, none
 *   {"op":"add","params":{…},"values":{…}}           -> {"ok":true,"trial":7}
 *   {"op":"best"}                                    -> {"trial":…,"params":…,"values":…}, of several objectives
 *                                                       {"front":[…]}
 *
 * "values" hold every objective. tell and add take "constraints":[…] too, which are kept where none is above 0.
 *
 * An error is {"error":"…"} and changes nothing. Trials that were asked for and never told are handed out again
 * by the next server on the study. */
#ifndef ATHI_ASK_TELL_H
#define ATHI_ASK_TELL_H

#include "tune/search.h"

typedef struct athi_ask_tell {
    ath_ctx *ctx;
    athi_search *search;
    athi_store *store;
    const athi_space *space;
    /* The study cannot be reached for now: waits a moment; false: for no longer, the sentence is the answer. NULL: it is
     * at once. */
    bool (*wait)(void *user, const char *sentence);
    void *user;
} athi_ask_tell;

/** Answers one line (without its end) with one line. What the line is to blame for is an answer too; a status
 *  other than ATH_OK means that the server cannot go on (memory). */
ath_status athi_ask_tell_line(const athi_ask_tell *server, const char *line, int64_t n, athi_text *answer);

#endif
