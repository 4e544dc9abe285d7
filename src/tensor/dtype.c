/* Element types: sizes and names. */
#include "tensor/tensor.h"

typedef struct dtype_row {
    int64_t bytes;
    const char *file_name;
} dtype_row;

#define BYTES_ROW(id, value, bytes, file) [value] = {bytes, file},
static const dtype_row rows[] = {ATH_DTYPE_LIST(BYTES_ROW)};
#undef BYTES_ROW

/* The lower-case names, written out since the list above has only one spelling. */
static const char *const names[] = {"f32", "f64", "bf16", "f16", "i32", "i64", "u8", "i8"};
_Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(rows) / sizeof(rows[0]), "one name a type");

int64_t athi_dtype_size(ath_dtype t) { return rows[t].bytes; }
const char *athi_dtype_name(ath_dtype t) { return names[t]; }
bool athi_dtype_is_float(ath_dtype t) { return t == ATH_F32 || t == ATH_F64 || t == ATH_BF16 || t == ATH_F16; }
const char *athi_dtype_file_name(ath_dtype t) { return rows[t].file_name; }

bool athi_dtype_from_file_name(const char *name, ath_dtype *t) {
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        if (strcmp(rows[i].file_name, name) != 0) continue;
        *t = (ath_dtype)i;
        return true;
    }
    return false;
}

bool athi_dtype_from_name(const char *name, ath_dtype *t) {
    for (int i = 0; i < ATHI_COUNT(names); i++) {
        if (strcmp(names[i], name) != 0) continue;
        *t = (ath_dtype)i;
        return true;
    }
    return false;
}
