/* Sweeps and single trainings of a report (recipe/stage_sweep.c, stage_report.c): tables, CSV, JSON and charts. */
#ifndef ATHI_REPORT_SWEEP_H
#define ATHI_REPORT_SWEEP_H

#include "base/value.h"

/** Appends the table of each sweep, and when the training of a run without search reached its target. */
void athi_sweep_tables(athi_text *out, const athi_value *report, bool utf8);
/** Writes sweep.json, sweep.csv and the chart of each sweep into its folder below the run's, and time-to-accuracy.svg of
 *  its trainings; the one of a run without search goes into the run's own folder. */
ath_status athi_sweep_files(ath_ctx *ctx, athi_arena *arena, const char *directory, const athi_value *report);

#endif
