/* Any bytes as an IDX file. */
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_reader(&athi_reader_idx, data, size, NULL);
    return 0;
}
