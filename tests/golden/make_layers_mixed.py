"""layers_mixed.json: some cases of make_layers.py under mixed_bfloat16, on PyTorch, whose sums over bfloat16 are
float32 (TensorFlow's on a CPU lose more). Inputs are bfloat16 values, as within a model."""
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from common import VERSIONS, np, numbers, tensor, write
from make_layers import RNG, rows, weights_for

# Each kind of arithmetic.
NAMES = ["dense", "dense_relu", "dense_rank3", "conv2d_valid", "conv2d_same_strides", "conv2d_groups",
         "max_pooling2d_same_odd", "average_pooling2d_valid_odd", "global_average_pooling2d", "add",
         "multiply_broadcast", "concatenate", "batch_normalization_inference", "batch_normalization_training",
         "batch_normalization_images", "layer_normalization", "activation_gelu", "activation_silu", "activation_tanh",
         "activation_softmax", "activation_softplus", "prelu", "depthwise_conv2d", "separable_conv2d",
         "group_normalization"]


def given(t):
    return tensor(t.detach().float().numpy())


def case(name, layer, layer_name, options, shapes, training=True):
    scale = 2.5 if layer_name == "activation" else 1.0
    inputs = [torch.tensor(numbers(RNG, s, scale)).bfloat16().float().requires_grad_() for s in shapes]
    layer.build(shapes if len(inputs) > 1 else shapes[0])
    weights_for(layer)
    before = {v.name: given(v.value) for v in layer.weights}
    call = inputs if len(inputs) > 1 else inputs[0]
    takes_training = isinstance(layer, keras.layers.BatchNormalization)
    out = layer(call, training=training) if takes_training else layer(call)
    out_gradient = numbers(RNG, out.shape)
    (out.float() * torch.tensor(out_gradient)).sum().backward()
    return {"name": name, "layer": layer_name, "options": options, "training": training,
            "inputs": [given(i) for i in inputs], "weights": before, "output": given(out),
            "output_type": str(out.dtype).removeprefix("torch."), "out_gradient": tensor(out_gradient),
            "input_gradients": [given(i.grad) for i in inputs],
            "weight_gradients": {v.name: given(v.value.grad) for v in layer.trainable_weights},
            "statistics_after": {v.name: given(v.value) for v in layer.non_trainable_weights}}


def main():
    keras.config.set_dtype_policy("mixed_bfloat16")
    VERSIONS["torch"] = torch.__version__
    del VERSIONS["tensorflow"]
    write("layers_mixed.json", [case(name, cls(**options), layer, options, shapes, *training)
                                for name, cls, layer, options, shapes, *training in rows() if name in NAMES])


if __name__ == "__main__":
    main()
