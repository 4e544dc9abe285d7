/* The wire format of protocol buffers, and TFRecord's frames. */
#include "report/proto.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_varint(athi_text *out, uint64_t v) {
    unsigned char bytes[10];
    int n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (unsigned char)(v | 0x80);
    bytes[n++] = (unsigned char)v;
    athi_text_add(out, (const char *)bytes, n);
}

/* Little-endian, whatever this machine is. */
static void put_fixed(athi_text *out, uint64_t v, int bytes) {
    unsigned char data[8];
    for (int i = 0; i < bytes; i++, v >>= 8) data[i] = (unsigned char)v;
    athi_text_add(out, (const char *)data, bytes);
}

static void put_key(athi_text *out, int field, int type) { put_varint(out, (uint64_t)field << 3 | (uint64_t)type); }

void athi_proto_int(athi_text *out, int field, int64_t v) {
    put_key(out, field, VARINT);
    put_varint(out, (uint64_t)v);
}

void athi_proto_double(athi_text *out, int field, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_key(out, field, FIXED64);
    put_fixed(out, bits, 8);
}

void athi_proto_float(athi_text *out, int field, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_key(out, field, FIXED32);
    put_fixed(out, bits, 4);
}

void athi_proto_bytes(athi_text *out, int field, const void *data, int64_t n) {
    put_key(out, field, BYTES);
    put_varint(out, (uint64_t)n);
    athi_text_add(out, data ? data : "", n);
}

void athi_proto_text(athi_text *out, int field, const char *text) {
    athi_proto_bytes(out, field, text, (int64_t)strlen(text));
}

void athi_proto_message(athi_text *out, int field, athi_text *message) {
    if (message->failed) out->failed = true;
    athi_proto_bytes(out, field, message->text, message->length);
    message->length = 0;
}

/* ---- TFRecord ------------------------------------------------------------------------------------ */

uint32_t athi_crc32c_masked(const void *data, int64_t n) {
    static const uint32_t polynomial = 0x82F63B78u,
                          mask = 0xA282EAD8u; /* Castagnoli, reflected; TensorFlow's kMaskDelta */
    const unsigned char *bytes = data;
    uint32_t crc = ~0u;
    for (int64_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + mask;
}

void athi_tfrecord(athi_text *out, athi_text *record) {
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)record->length >> 8 * i);
    if (record->failed) out->failed = true;
    athi_text_add(out, (const char *)length, 8);
    put_fixed(out, athi_crc32c_masked(length, 8), 4);
    athi_text_add(out, record->text ? record->text : "", record->length);
    put_fixed(out, athi_crc32c_masked(record->text, record->length), 4);
    record->length = 0;
}
