/* The `data:` section: named sets and own files, validation parts, normalisation statistics. */
#include "data/data.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define OPT(field) offsetof(athi_data_opts, field)
static const athi_option options[] = {
    {"source", ATHI_OPT_STRING, OPT(source), "files",
     .doc = "a named set (`athanor list sources`), or files: own files"},
    {"train", ATHI_OPT_VALUE, OPT(train), "null", .nullable = true,
     .doc = "training files: {x: F, y: F} or {file: F, label: COLUMN}"},
    {"validation", ATHI_OPT_VALUE, OPT(validation), "null", .nullable = true,
     .doc = "the last N training samples, a fraction < 1 of them, or files of its own"},
    {"test", ATHI_OPT_VALUE, OPT(test), "null", .nullable = true, .doc = "test files"},
    {"samples", ATHI_OPT_INT, OPT(samples), "0", .min = 0, .max = 1e15,
     .doc = "use the first so many training samples; 0: all"},
    {"batch", ATHI_OPT_INT, OPT(batch), "32", .min = 1, .max = 1 << 24, .search_min = 16, .search_max = 1024,
     .scale = ATHI_LOG, .doc = "samples per update; the last batch of an epoch may be smaller"},
    {"scale", ATHI_OPT_FLOAT, OPT(scale), "0", .doc = "factor of the inputs; 0: 1/255 for u8 pixels, else 1"},
    {"normalize", ATHI_OPT_ENUM, OPT(normalize), "none", .names = athi_normalize_names,
     .doc = "subtract mean and divide by deviation, of the training part per channel (featurewise) or of "
            "each sample (samplewise); …_center: the mean alone"},
    {"shuffle", ATHI_OPT_BOOL, OPT(shuffle), "true", .doc = "a new order every epoch, a function of seed and epoch"},
    {"augment", ATHI_OPT_VALUE, OPT(augment), "null", .nullable = true,
     .doc = "random changes of the training images, before scale and normalize: a list of augmentations, or options of "
            "image_data_generator"},
    {"one_hot", ATHI_OPT_BOOL, OPT(one_hot), "false",
     .doc = "class numbers as rows of zeros and a one, for losses that take such rows (to_categorical)"},
    {0}};
const athi_row athi_data_row = {"data",  "what is trained on, validated and tested with",
                                options, sizeof(athi_data_opts),
                                NULL,    NULL};

/* ---- named sets ---------------------------------------------------------------------------------- */

typedef struct named_set {
    const char *folder, *files[4]; /* train x, y, test x, y */
    const char *package;
    const char *const *class_names;
    int64_t n_classes;
} named_set;

static const char *const fashion_names[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                            "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
static const named_set fashion_mnist = {"/usr/share/datasets/fashion-mnist",
                                        {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"},
                                        "dataset-fashion-mnist",
                                        fashion_names,
                                        10};

const athi_kind athi_sources = {
    "source", "sources",
    (const athi_row[]){{"fashion-mnist",
                        "60,000 + 10,000 images of clothes, 28x28 grey, 10 classes (Xiao et al., arXiv:1708.07747)",
                        NULL, 0, &fashion_mnist, NULL},
                       {"files", "own files, named under train, validation and test", NULL, 0, NULL, NULL},
                       {0}}};

/* ---- loading ------------------------------------------------------------------------------------- */

typedef struct loader {
    ath_ctx *ctx;
    athi_data *data;
    const char *folder, *cache;
    bool texts; /* the labels of the training file are texts */
} loader;

static ath_status load_table(loader *l, const char *path, const char *label, athi_table *table) {
    athi_data *d = l->data;
    if (path[0] != '/' && l->folder && *l->folder) path = athi_arena_printf(d->arena, "%s/%s", l->folder, path);
    if (!path) return ATH_E_NOMEM;
    ath_status status = athi_table_load(l->ctx, d->arena, path, label, l->cache, &d->maps[d->n_maps], table);
    d->n_maps += status == ATH_OK && d->maps[d->n_maps].data;
    if (status != ATH_OK) athi_file_unmap(&d->maps[d->n_maps]);
    return status;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static ath_status expect_same_count(loader *l, const char *what, const athi_part *p) {
    if (p->y.shape.rank < 1 || p->y.shape.dim[0] != p->x.shape.dim[0])
        return athi_fail(l->ctx, ATH_E_DATA, "data.%s: %lld inputs but %lld targets; each input needs one", what,
                         (long long)p->x.shape.dim[0], (long long)(p->y.shape.rank ? p->y.shape.dim[0] : 0));
    if (p->x.shape.dim[0] < 1) return athi_fail(l->ctx, ATH_E_DATA, "data.%s: holds no sample", what);
    return ATH_OK;
}

/* The first file of texts as labels says the classes; those of the others are numbered by its names. */
static ath_status same_classes(loader *l, const char *what, athi_table *t) {
    athi_data *d = l->data;
    if (!d->train.y.data) {
        d->class_names = t->class_names, d->n_classes = t->n_classes, l->texts = t->class_names != NULL;
        return ATH_OK;
    }
    if (l->texts != (t->class_names != NULL))
        return athi_fail(l->ctx, ATH_E_DATA, "data.%s: its labels are %s, but those of the training file are %s",
                         what, t->class_names ? "texts" : "numbers", l->texts ? "texts" : "numbers");
    if (!l->texts) return ATH_OK;
    int32_t *y = athi_arena_array(d->arena, t->y.shape.dim[0], sizeof *y);
    if (!y) return ATH_E_NOMEM;
    for (int64_t i = 0; i < t->y.shape.dim[0]; i++) {
        const char *name = t->class_names[((const int32_t *)t->y.data)[i]];
        const char *const *at = bsearch(&name, d->class_names, (size_t)d->n_classes, sizeof *at, by_text);
        if (!at)
            return athi_fail(l->ctx, ATH_E_DATA,
                             "data.%s: sample %lld has the label '%.60s', which no training sample has", what,
                             (long long)i, name);
        y[i] = (int32_t)(at - d->class_names);
    }
    t->y.data = y;
    return ATH_OK;
}

/* {x: F, y: F} or {file: F, label: COLUMN} */
static ath_status load_files(loader *l, const char *what, const athi_value *v, athi_part *part) {
    char place[48];
    athi_value_place(v, place);
    const athi_value *x = athi_value_get(v, "x"), *y = athi_value_get(v, "y"), *file = athi_value_get(v, "file"),
                     *label = athi_value_get(v, "label");
    bool pair = x && y && v->n == 2 && x->type == ATHI_STRING && y->type == ATHI_STRING;
    bool csv = file && label && v->n == 2 && file->type == ATHI_STRING &&
               (label->type == ATHI_STRING || label->type == ATHI_INT);
    athi_table a, b;
    if (pair) {
        ATH_TRY(load_table(l, x->text, NULL, &a));
        ATH_TRY(load_table(l, y->text, NULL, &b));
        part->x = a.x, part->y = b.x;
    } else if (csv) {
        const char *name = label->type == ATHI_STRING
                               ? label->text
                               : athi_arena_printf(l->data->arena, "%lld", (long long)label->integer);
        if (!name) return ATH_E_NOMEM;
        ATH_TRY(load_table(l, file->text, name, &a));
        if (!a.y.data)
            return athi_fail(l->ctx, ATH_E_OPTION, "%sdata.%s: {file, label} is for csv files; name x and y instead",
                             place, what);
        ATH_TRY(same_classes(l, what, &a));
        part->x = a.x, part->y = a.y;
    } else
        return athi_fail(l->ctx, ATH_E_OPTION,
                         "%sdata.%s: expected {x: FILE, y: FILE} or {file: FILE, label: COLUMN}", place, what);
    part->begin = 0, part->n = part->x.shape.dim[0];
    return expect_same_count(l, what, part);
}

static ath_status load_named(loader *l, const char *name) {
    const athi_row *row = athi_row_find(&athi_sources, name);
    const named_set *set = row ? row->impl : NULL;
    if (!set) {
        const char *near = athi_nearest(name, athi_sources.rows, 2, sizeof(athi_row));
        return athi_fail(l->ctx, ATH_E_OPTION,
                         "data.source: '%s' is not a named set%s%s%s; see `athanor list sources`", name,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    athi_part *parts[] = {&l->data->train, &l->data->test};
    for (int i = 0; i < 4; i++) {
        athi_table t;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", set->folder, set->files[i]);
        if (!athi_file_exists(path))
            return athi_fail(l->ctx, ATH_E_DATA,
                             "data.source: %s is not there: install the Debian package %s, or name "
                             "your own files under data.train",
                             path, set->package);
        ATH_TRY(load_table(l, path, NULL, &t));
        *(i % 2 ? &parts[i / 2]->y : &parts[i / 2]->x) = t.x;
    }
    for (int i = 0; i < 2; i++) {
        parts[i]->n = parts[i]->x.shape.dim[0];
        ATH_TRY(expect_same_count(l, i ? "test" : "train", parts[i]));
    }
    l->data->class_names = set->class_names, l->data->n_classes = set->n_classes;
    return ATH_OK;
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* {fold: i, of: k}: pieces whose sizes differ by one at most, the larger ones first. */
static ath_status split_fold(loader *l, const athi_value *v, const char *place) {
    athi_data *d = l->data;
    const athi_value *fold = athi_value_get(v, "fold"), *of = athi_value_get(v, "of");
    int64_t n = d->train.n;
    if (!fold || !of || v->n != 2 || fold->type != ATHI_INT || of->type != ATHI_INT || of->integer < 2 ||
        of->integer > n || fold->integer < 0 || fold->integer >= of->integer)
        return athi_fail(l->ctx, ATH_E_OPTION,
                         "%sdata.validation: expected {fold: I, of: K} with 2 <= K <= %lld and 0 <= I < K", place,
                         (long long)n);
    int64_t k = of->integer, i = fold->integer, size = n / k, larger = n % k;
    int64_t begin = i * size + ATHI_MIN(i, larger), count = size + (i < larger);
    d->validation = d->train;
    d->validation.begin += begin, d->validation.n = count;
    d->train.n = n - count, d->train.gap_at = begin, d->train.gap = count;
    return ATH_OK;
}

static ath_status split_validation(loader *l, const athi_value *v) {
    athi_data *d = l->data;
    double number = 0;
    char place[48], got[32] = "";
    athi_value_place(v, place);
    if (!v || v->type == ATHI_NULL) return ATH_OK;
    if (athi_value_get(v, "fold")) return split_fold(l, v, place);
    if (v->type == ATHI_MAP) return load_files(l, "validation", v, &d->validation);
    if (!athi_value_number(v, &number) || !(number >= 0) || (v->type == ATHI_FLOAT && number >= 1)) {
        if (athi_value_number(v, &number)) athi_format_double(number, got);
        return athi_fail(l->ctx, ATH_E_OPTION,
                         "%sdata.validation: expected a number of samples, a fraction < 1, {fold: I, of: K}, {x: "
                         "FILE, y: FILE} or "
                         "{file: FILE, label: COLUMN}, got %s",
                         place, *got ? got : athi_value_type_name(v->type));
    }
    int64_t n = d->train.n, keep = v->type == ATHI_INT ? n - v->integer : (int64_t)floor((double)n * (1 - number));
    if (keep < 1)
        return athi_fail(l->ctx, ATH_E_OPTION, "%sdata.validation: %g of %lld samples leave nothing to train on",
                         place, number, (long long)n);
    d->validation = d->train;
    d->validation.begin = keep, d->validation.n = n - keep;
    d->train.n = keep;
    return ATH_OK;
}

static athi_shape sample_shape(const athi_array *a) {
    athi_shape s = {a->shape.rank - 1, {0}};
    for (int d = 0; d < s.rank; d++) s.dim[d] = a->shape.dim[d + 1];
    return s;
}

static ath_status check_same_samples(ath_ctx *ctx, const athi_data *d, const athi_part *p, const char *what) {
    char a[96], b[96];
    if (!p->n || athi_shape_equal(sample_shape(&p->x), d->sample_shape)) return ATH_OK;
    return athi_fail(ctx, ATH_E_SHAPE, "data.%s: its samples are %s, the training samples %s", what,
                     athi_shape_str(sample_shape(&p->x), a), athi_shape_str(d->sample_shape, b));
}

static int64_t count_classes(const athi_part *p) {
    int64_t most = -1;
    if (p->y.dtype == ATH_F32 || p->y.dtype == ATH_F64 || p->y.shape.rank != 1) return 0;
    int32_t label;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t at = i;
        athi_batch_classes(p, &at, 1, &label);
        if (label < 0) return 0; /* numbers, not classes */
        most = ATHI_MAX(most, label);
    }
    return most + 1;
}

/* Of all parts: a class may be missing in the training samples alone. */
static int64_t count_all_classes(const athi_data *d) {
    const int64_t train = count_classes(&d->train), validation = count_classes(&d->validation),
                  test = count_classes(&d->test);
    if (!train || (d->validation.n && !validation) || (d->test.n && !test)) return 0;
    return ATHI_MAX(train, ATHI_MAX(validation, test));
}

/* Class numbers become rows when a batch is gathered. */
static ath_status make_one_hot(ath_ctx *ctx, athi_data *d) {
    if (athi_shape_count(d->target_shape) != 1 || d->n_classes < 2)
        return athi_fail(ctx, ATH_E_OPTION, "data.one_hot: the targets are no class numbers; leave it away");
    d->target_shape = (athi_shape){1, {d->n_classes}};
    return ATH_OK;
}

static ath_status open_parts(loader *l, const athi_data_opts *o) {
    athi_data *d = l->data;
    if (strcmp(o->source, "files") == 0) {
        if (!o->train)
            return athi_fail(l->ctx, ATH_E_OPTION,
                             "data: name a set (source: fashion-mnist) or files (train: {x: FILE, "
                             "y: FILE})");
        ATH_TRY(load_files(l, "train", o->train, &d->train));
        if (o->test) ATH_TRY(load_files(l, "test", o->test, &d->test));
    } else if (o->train || o->test)
        return athi_fail(l->ctx, ATH_E_OPTION,
                         "data: source: %s brings its own training and test files; leave out "
                         "data.%s, or write source: files",
                         o->source, o->train ? "train" : "test");
    else
        ATH_TRY(load_named(l, o->source));
    if (o->samples > d->train.n)
        return athi_fail(l->ctx, ATH_E_OPTION, "data.samples: %lld asked for, but there are %lld",
                         (long long)o->samples, (long long)d->train.n);
    if (o->samples) d->train.n = o->samples;
    if (d->train.n > INT32_MAX) return athi_fail(l->ctx, ATH_E_DATA, "data.train: more than %d samples", INT32_MAX);
    d->sample_shape = sample_shape(&d->train.x), d->target_shape = sample_shape(&d->train.y);
    ATH_TRY(split_validation(l, o->validation));
    ATH_TRY(check_same_samples(l->ctx, d, &d->validation, "validation"));
    return check_same_samples(l->ctx, d, &d->test, "test");
}

ath_status athi_data_open(ath_ctx *ctx, const athi_data_opts *opts, const char *folder, const char *cache,
                          athi_data **out) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_data *d = arena ? athi_arena_alloc(arena, sizeof *d) : NULL;
    if (!d) return athi_arena_destroy(arena), ATH_E_NOMEM;
    d->arena = arena;
    loader l = {ctx, d, folder, cache, false};
    d->batch = opts->batch, d->shuffle = opts->shuffle;
    ath_status status = open_parts(&l, opts);
    if (status == ATH_OK && !d->n_classes) d->n_classes = count_all_classes(d);
    if (status == ATH_OK && opts->one_hot) status = make_one_hot(ctx, d);
    if (status == ATH_OK) status = athi_preprocess_open(ctx, d, opts);
    if (status != ATH_OK)
        athi_data_close(d);
    else
        *out = d;
    return status;
}

ath_status athi_data_can_join(ath_ctx *ctx, const athi_data *d) {
    const struct {
        const char *what;
        const athi_array *train, *validation;
    } pairs[] = {{"inputs", &d->train.x, &d->validation.x}, {"targets", &d->train.y, &d->validation.y}};
    if (!d->validation.n) return ATH_OK;
    for (int i = 0; i < ATHI_COUNT(pairs); i++) {
        char a[96], b[96];
        athi_shape of_train = sample_shape(pairs[i].train), of_validation = sample_shape(pairs[i].validation);
        if (pairs[i].train->dtype == pairs[i].validation->dtype && athi_shape_equal(of_train, of_validation))
            continue;
        return athi_fail(
            ctx, ATH_E_UNSUPPORTED,
            "retrain: training and validation files cannot be joined: their %s are %s %s and %s %s; save "
            "them alike, or write retrain: false",
            pairs[i].what, athi_dtype_name(pairs[i].train->dtype), athi_shape_str(of_train, a),
            athi_dtype_name(pairs[i].validation->dtype), athi_shape_str(of_validation, b));
    }
    return ATH_OK;
}

/* The rows of a, then those of b, in new memory. */
static ath_status append_rows(athi_arena *arena, athi_array *out, const athi_array *a, int64_t a_begin, int64_t a_n,
                              const athi_array *b, int64_t b_begin, int64_t b_n) {
    int64_t row = athi_array_row_bytes(a);
    char *to = athi_arena_array(arena, a_n + b_n, row);
    if (!to) return ATH_E_NOMEM;
    memcpy(to, (const char *)a->data + a_begin * row, (size_t)(a_n * row));
    memcpy(to + a_n * row, (const char *)b->data + b_begin * row, (size_t)(b_n * row));
    *out = *a, out->data = to, out->shape.dim[0] = a_n + b_n;
    return ATH_OK;
}

ath_status athi_data_join(ath_ctx *ctx, const athi_data *d, athi_part *joined) {
    const athi_part *t = &d->train, *v = &d->validation;
    *joined = *t;
    if (!v->n) return ATH_OK;
    bool end = v->begin == t->begin + t->n && !t->gap,
         middle = t->gap && v->begin == t->begin + t->gap_at && v->n == t->gap;
    if (v->x.data == t->x.data && (end || middle)) { /* it was taken out of the training samples */
        joined->n += v->n, joined->gap_at = joined->gap = 0;
        return ATH_OK;
    }
    ATH_TRY(athi_data_can_join(ctx, d));
    ATH_TRY(append_rows(d->arena, &joined->x, &t->x, t->begin, t->n, &v->x, v->begin, v->n));
    ATH_TRY(append_rows(d->arena, &joined->y, &t->y, t->begin, t->n, &v->y, v->begin, v->n));
    joined->begin = 0, joined->n = t->n + v->n;
    return ATH_OK;
}

void athi_data_close(athi_data *d) {
    if (!d) return;
    for (int i = 0; i < d->n_maps; i++) athi_file_unmap(&d->maps[i]);
    athi_arena_destroy(d->arena);
}
