/* The table at the end of a run, from report.json's content (recipe/stage_report.c). */
#ifndef ATHI_REPORT_TABLE_H
#define ATHI_REPORT_TABLE_H

#include "base/value.h"

/** Appends the table; parts that the report lacks are left out. utf8: lines drawn with box characters. */
void athi_report_table(athi_text *out, const athi_value *report, bool utf8);
/** Why a search ended, for people: a reason's name in words, or as it is where it has none. */
const char *athi_report_why(const char *why);

#endif
