/* Any bytes as a CSV file whose label is the column `y`, and the first column by number. */
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_reader(&athi_reader_csv, data, size, "y");
    fuzz_reader(&athi_reader_csv, data, size, "0");
    return 0;
}
