/* The reference kernels over double. */
#define T              double
#define ATHI_REF_TABLE athi_ref_f64
#include "backends/ref/families.h"
