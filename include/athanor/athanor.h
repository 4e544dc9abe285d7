/* All of Athanor. */
#ifndef ATHANOR_H
#define ATHANOR_H

#include "athanor/augment.h"
#include "athanor/base.h"
#include "athanor/callbacks.h"
#include "athanor/losses.h"
#include "athanor/model.h"
#include "athanor/nn.h"
#include "athanor/optimizers.h"
#include "athanor/tensor.h"
#include "athanor/tune.h"
#include "athanor/zoo.h"

#endif
