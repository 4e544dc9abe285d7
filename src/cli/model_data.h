/* What verbs about finished models share: verb_model.c. */
#ifndef ATHI_CLI_MODEL_DATA_H
#define ATHI_CLI_MODEL_DATA_H

#include "cli/cli.h"
#include "recipe/recipe.h"

/** Samples of another shape than the model's are refused; `where` begins the sentence. */
ath_status athi_cli_check_samples(athi_cli *cli, const athi_loaded *model, const char *where, athi_shape x);
/** The data that --data names, else the data that the model was made with. */
ath_status athi_cli_model_data(athi_cli *cli, const athi_loaded *model, athi_data **data);

#endif
