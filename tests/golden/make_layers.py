"""layers.json: what layers give and what flows back through them, loss = sum(output * out_gradient)."""
from common import keras, np, numbers, tensor, tf, write

L = keras.layers
RNG = np.random.default_rng(7)
ACTIVATIONS = ["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "hard_sigmoid", "hard_silu",
               "tanh", "softplus", "softsign", "exponential", "softmax", "log_softmax", "log_sigmoid", "mish",
               "linear", "celu"]
ACTIVATION_OPTIONS = [
    ("relu_options", "ReLU", "relu", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    ("leaky_relu_options", "LeakyReLU", "leaky_relu", {"negative_slope": 0.05}),
    ("elu_options", "ELU", "elu", {"alpha": 0.5}),
    ("softmax_axis", "Softmax", "softmax", {"axis": 1}),
]

# name, Keras class, recipe name, options, input shapes
DENSE = [
    ("dense", {"units": 3}, [(4, 5)]),
    ("dense_relu", {"units": 3, "activation": "relu"}, [(4, 5)]),
    ("dense_no_bias", {"units": 3, "use_bias": False, "activation": "tanh"}, [(4, 5)]),
    ("dense_rank3", {"units": 3}, [(2, 3, 5)]),
]
CONV = [
    ("conv2d_valid", {"filters": 3, "kernel_size": [3, 3]}, [(2, 5, 6, 2)]),
    ("conv2d_same", {"filters": 3, "kernel_size": [3, 3], "padding": "same"}, [(2, 5, 6, 2)]),
    ("conv2d_same_strides", {"filters": 3, "kernel_size": [3, 3], "padding": "same", "strides": [2, 2]}, [(2, 6, 7, 2)]),
    ("conv2d_same_even_kernel", {"filters": 2, "kernel_size": [2, 4], "padding": "same"}, [(2, 5, 5, 2)]),
    ("conv2d_valid_strides", {"filters": 3, "kernel_size": [3, 2], "strides": [2, 3]}, [(2, 7, 7, 2)]),
    ("conv2d_dilation", {"filters": 2, "kernel_size": [3, 3], "dilation_rate": [2, 2]}, [(2, 7, 7, 2)]),
    ("conv2d_same_dilation", {"filters": 2, "kernel_size": [3, 3], "padding": "same", "dilation_rate": [2, 1]},
     [(2, 6, 6, 2)]),
    ("conv2d_groups", {"filters": 6, "kernel_size": [3, 3], "groups": 2}, [(2, 5, 5, 4)]),
    ("conv2d_groups_depthwise", {"filters": 3, "kernel_size": [3, 3], "groups": 3, "padding": "same"}, [(2, 4, 4, 3)]),
    ("conv2d_no_bias_relu", {"filters": 3, "kernel_size": [1, 1], "use_bias": False, "activation": "relu"},
     [(2, 4, 4, 3)]),
    ("conv2d_one_channel", {"filters": 4, "kernel_size": [5, 5], "padding": "same", "strides": [2, 2]}, [(2, 9, 9, 1)]),
]
POOL = [
    (f"{kind}_pooling2d_{name}", cls, f"{kind}_pooling2d", options, [shape])
    for kind, cls in (("max", "MaxPooling2D"), ("average", "AveragePooling2D"))
    for name, options, shape in (
        ("default", {"pool_size": 2}, (2, 4, 6, 2)),
        ("valid_odd", {"pool_size": [2, 2]}, (2, 5, 7, 2)),
        ("same_odd", {"pool_size": [2, 2], "padding": "same"}, (2, 5, 7, 2)),
        ("same_3x3_stride2", {"pool_size": [3, 3], "strides": [2, 2], "padding": "same"}, (2, 6, 7, 2)),
        ("valid_3x3_stride2", {"pool_size": [3, 3], "strides": [2, 2]}, (2, 6, 7, 2)),
        ("same_3x3_stride1", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}, (2, 4, 5, 2)),
    )
]
GLOBAL = [
    (f"global_{kind}_pooling2d{suffix}", cls, f"global_{kind}_pooling2d", options, [(2, 3, 5, 4)])
    for kind, cls in (("average", "GlobalAveragePooling2D"), ("max", "GlobalMaxPooling2D"))
    for suffix, options in (("", {}), ("_keepdims", {"keepdims": True}))
]
MERGE = [
    ("add", "Add", "add", {}, [(2, 3, 4)] * 3),
    ("multiply", "Multiply", "multiply", {}, [(2, 3, 4)] * 3),
    ("add_broadcast", "Add", "add", {}, [(2, 3, 4), (2, 1, 4)]),
    ("multiply_broadcast", "Multiply", "multiply", {}, [(2, 3, 4), (2, 1, 4)]),
    ("concatenate", "Concatenate", "concatenate", {}, [(2, 3, 4), (2, 3, 1), (2, 3, 2)]),
    ("concatenate_axis", "Concatenate", "concatenate", {"axis": 1}, [(2, 3, 4), (2, 1, 4)]),
    ("flatten", "Flatten", "flatten", {}, [(2, 3, 4, 2)]),
    ("reshape", "Reshape", "reshape", {"target_shape": [4, -1]}, [(2, 3, 8)]),
]
NORM = [
    ("batch_normalization_inference", "BatchNormalization", "batch_normalization", {}, [(6, 5)], False),
    ("batch_normalization_training", "BatchNormalization", "batch_normalization", {}, [(6, 5)], True),
    ("batch_normalization_images", "BatchNormalization", "batch_normalization",
     {"momentum": 0.9, "epsilon": 0.01}, [(2, 3, 4, 3)], True),
    ("batch_normalization_no_scale", "BatchNormalization", "batch_normalization", {"scale": False}, [(6, 3)], True),
    ("batch_normalization_no_center", "BatchNormalization", "batch_normalization", {"center": False}, [(6, 3)], True),
    ("layer_normalization", "LayerNormalization", "layer_normalization", {}, [(4, 6)], True),
    ("layer_normalization_images", "LayerNormalization", "layer_normalization", {"epsilon": 0.01}, [(2, 3, 2, 4)], True),
    ("layer_normalization_no_scale", "LayerNormalization", "layer_normalization",
     {"scale": False, "center": False}, [(4, 6)], True),
    ("dropout_inference", "Dropout", "dropout", {"rate": 0.5}, [(3, 4)], False),
    ("dropout_zero", "Dropout", "dropout", {"rate": 0.0}, [(3, 4)], True),
]
# Behind the others, whose random numbers stay.
LATER = [
    ("prelu", "PReLU", "prelu", {}, [(3, 5)]),
    ("prelu_shared", "PReLU", "prelu", {"shared_axes": [1, 2]}, [(2, 3, 4, 3)]),
    ("depthwise_conv2d", "DepthwiseConv2D", "depthwise_conv2d", {"kernel_size": [3, 3]}, [(2, 5, 6, 4)]),
    ("depthwise_conv2d_same_strides", "DepthwiseConv2D", "depthwise_conv2d",
     {"kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "use_bias": False}, [(2, 6, 7, 3)]),
    ("depthwise_conv2d_multiplier", "DepthwiseConv2D", "depthwise_conv2d",
     {"kernel_size": [2, 3], "depth_multiplier": 3, "padding": "same", "activation": "relu"}, [(2, 5, 5, 2)]),
    ("depthwise_conv2d_dilation", "DepthwiseConv2D", "depthwise_conv2d",
     {"kernel_size": [3, 3], "dilation_rate": [2, 2]}, [(2, 7, 7, 2)]),
    ("separable_conv2d", "SeparableConv2D", "separable_conv2d", {"filters": 5, "kernel_size": [3, 3]}, [(2, 5, 6, 4)]),
    ("separable_conv2d_multiplier", "SeparableConv2D", "separable_conv2d",
     {"filters": 3, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "depth_multiplier": 2,
      "activation": "tanh"}, [(2, 7, 6, 2)]),
    ("group_normalization", "GroupNormalization", "group_normalization", {"groups": 2}, [(2, 3, 4, 6)]),
    ("group_normalization_one", "GroupNormalization", "group_normalization", {"groups": 1, "epsilon": 0.01}, [(3, 8)]),
    ("group_normalization_vector", "GroupNormalization", "group_normalization", {"groups": 4}, [(3, 8)]),
    ("group_normalization_each", "GroupNormalization", "group_normalization",
     {"groups": -1, "scale": False}, [(2, 3, 4, 4)]),
    ("group_normalization_sequence", "GroupNormalization", "group_normalization",
     {"groups": 3, "center": False}, [(2, 5, 6)]),
]


def weights_for(layer):
    """Random weights; variances positive."""
    for v in layer.weights:
        value = numbers(RNG, v.shape, 0.5)
        v.assign(np.abs(value) + np.float32(0.5) if v.name in ("moving_variance", "gamma") else value)


def case(name, layer, layer_name, options, shapes, training=True):
    scale = 2.5 if layer_name == "activation" else 1.0  # far enough to meet every kink
    inputs = [tf.constant(numbers(RNG, s, scale)) for s in shapes]
    call = inputs if len(inputs) > 1 else inputs[0]
    layer.build(shapes if len(inputs) > 1 else shapes[0])
    weights_for(layer)
    before = {v.name: tensor(v) for v in layer.weights}
    values = [v.value for v in layer.trainable_weights]
    takes_training = isinstance(layer, (L.BatchNormalization, L.Dropout))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        out = layer(call, training=training) if takes_training else layer(call)
        out_gradient = numbers(RNG, out.shape)
        loss = tf.reduce_sum(out * out_gradient)
    grads = tape.gradient(loss, inputs + values)
    kept = {v.name: tensor(v) for v in layer.non_trainable_weights if "seed" not in v.name}
    return {"name": name, "layer": layer_name, "options": options, "training": training,
            "inputs": [tensor(i) for i in inputs], "weights": {k: v for k, v in before.items() if "seed" not in k},
            "output": tensor(out), "out_gradient": tensor(out_gradient),
            "input_gradients": [tensor(g) for g in grads[:len(inputs)]],
            "weight_gradients": {v.name: tensor(g) for v, g in zip(layer.trainable_weights, grads[len(inputs):])},
            "statistics_after": kept}


def rows():
    for name, options, shapes in DENSE:
        yield name, L.Dense, "dense", options, shapes
    for name, options, shapes in CONV:
        yield name, L.Conv2D, "conv2d", options, shapes
    for name, cls, layer, options, shapes, *training in POOL + GLOBAL + MERGE + NORM:
        yield name, getattr(L, cls), layer, options, shapes, *training
    for activation in ACTIVATIONS:
        yield f"activation_{activation}", L.Activation, "activation", {"activation": activation}, [(3, 6)]
    for name, cls, layer, options in ACTIVATION_OPTIONS:
        yield name, getattr(L, cls), layer, options, [(2, 3, 4)]
    for name, cls, layer, options, shapes in LATER:
        yield name, getattr(L, cls), layer, options, shapes


def main():
    cases = [case(name, cls(**options), layer, options, shapes, *training)
             for name, cls, layer, options, shapes, *training in rows()]
    write("layers.json", cases)


if __name__ == "__main__":
    main()
