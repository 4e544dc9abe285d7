/* The pieces of the canonical text, shared by its writer and its reader. For src/graph only. */
#ifndef ATHI_TEXT_H
#define ATHI_TEXT_H

#include "graph/graph.h"

void athi_text_dims(athi_text *out, const int64_t *dims, int n); /* "[?,784]" */
void athi_text_name(athi_text *out, const char *name);           /* quoted, odd bytes as \hh */

/* Each reads from *at and moves it; false: what stands there is something else. */
bool athi_read_int(const char **at, int64_t *out);
bool athi_read_dims(const char **at, int64_t *dims, int most, int *n);
bool athi_read_name(const char **at, char *out, int size);
bool athi_read_word(const char **at, char *out, int size); /* [a-z0-9_]+ */
/** The value of the field `name` of that kind. */
bool athi_attr_read(athi_graph *graph, athi_attr_kind kind, const char *name, const char **at, athi_attr *attr);

/* Names of roles and modes, by value and by bit. */
extern const char *const athi_role_names[5];
extern const char *const athi_mode_names[3];

#endif
