/* A step's profile (train/profile.h) as text and as JSON: what explain --profile and bench print. */
#ifndef ATHI_CLI_PROFILE_H
#define ATHI_CLI_PROFILE_H

#include "cli/cli.h"
#include "train/profile.h"

/** "3.1 M" and the unit. */
void athi_put_scaled(athi_text *out, double v, const char *unit);
/** The unit's ops joined by +, cut to the room. */
void athi_unit_ops(const athi_unit *unit, char *out, size_t size);
/** "bf16[128, 16]", float32 without its name; of a unit that of its first output, "" if it has none. */
const char *athi_typed_shape(ath_dtype type, athi_shape shape, char out[112]);
const char *athi_unit_type(const athi_unit *unit, char out[112]);
/** The machine's bounds, a line. */
void athi_put_machine(athi_text *out, const athi_machine *m);
/** The table: kinds of calls by their share, then the single calls that take 1 % and more. */
ath_status athi_put_profile(athi_cli *cli, const athi_profile *p, athi_text *out);
/** {"threads", "flops", "flops_bf16" where the processor has that, "rates": [{"bytes", "rate"}]} */
ath_status athi_machine_value(athi_arena *arena, const athi_machine *m, athi_value **out);
/** {"ops", "layer", "shape", "type", "kernel", "flops", "bytes", "seconds", "bound_seconds", "bound_by", "of_bound"}; without
 *  seconds where nothing was timed. */
ath_status athi_unit_value(athi_arena *arena, const athi_profile_unit *u, athi_value **out);

#endif
