/* The reference kernels over float. */
#define T              float
#define ATHI_REF_TABLE athi_ref_f32
#include "backends/ref/families.h"
