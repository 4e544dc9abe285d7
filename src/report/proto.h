/* Protocol buffers and TFRecords as texts that grow: enough of both for TensorBoard's event files. */
#ifndef ATHI_REPORT_PROTO_H
#define ATHI_REPORT_PROTO_H

#include "base/base.h"

/** A field of each wire type (protobuf encoding: key = number << 3 | type). */
void athi_proto_int(athi_text *out, int field, int64_t v);
void athi_proto_double(athi_text *out, int field, double v);
void athi_proto_float(athi_text *out, int field, float v);
void athi_proto_bytes(athi_text *out, int field, const void *data, int64_t n);
void athi_proto_text(athi_text *out, int field, const char *text);
/** A message as a field; `message` is emptied for the next one. */
void athi_proto_message(athi_text *out, int field, athi_text *message);

/** CRC-32C (Castagnoli), as TFRecord masks it: rotated by 15 bits plus a constant. */
uint32_t athi_crc32c_masked(const void *data, int64_t n);
/** uint64 length, masked CRC of it, the bytes, masked CRC of them; `record` is emptied. */
void athi_tfrecord(athi_text *out, athi_text *record);

#endif
