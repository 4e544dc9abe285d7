/* Any bytes as an NPY file. */
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_reader(&athi_reader_npy, data, size, NULL);
    return 0;
}
