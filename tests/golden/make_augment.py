"""augment.json: what Keras's random layers give where a range is a single number, what its ImageDataGenerator makes of given
transforms, and SciPy's affine map at every border. Wants `pip install scipy pillow` too."""
from common import VERSIONS, keras, np, tensor, write

import PIL
import scipy
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy import ndimage

VERSIONS |= {"scipy": scipy.__version__, "pillow": PIL.__version__}
L = keras.layers
RNG = np.random.default_rng(21)


def pixels(*shape):
    return RNG.integers(0, 256, shape).astype(np.float32)


def layer_cases():
    """The layer of one image; two equal ends leave nothing to be drawn."""
    fills = ["reflect", "constant", "nearest"]  # for wrap see scipy_cases
    grid = [("random_rotation", "RandomRotation", {"factor": [f, f]}) for f in (0.07, -0.2, 0.5)]
    grid += [("random_zoom", "RandomZoom", {"height_factor": [a, a], "width_factor": [b, b]})
             for a, b in ((0.3, 0.2), (-0.4, 0.6))]
    grid += [("random_zoom", "RandomZoom", {"height_factor": [0.25, 0.25]})]
    grid += [("random_translation", "RandomTranslation", {"height_factor": [a, a], "width_factor": [b, b]})
             for a, b in ((0.2, -0.3), (0.5, 0.25), (-0.45, 0.0))]
    for row, cls, options in grid:
        for fill in fills:
            full = {**options, "fill_mode": fill, "fill_value": 7.0}
            yield row, cls, full, pixels(6, 8, 1 if fill == "reflect" else 2)
        yield row, cls, {**options, "interpolation": "nearest"}, pixels(5, 7, 1)
    for factor in (0.3, -0.15):
        yield "random_brightness", "RandomBrightness", {"factor": [factor, factor]}, pixels(3, 4, 2)
    yield ("random_brightness", "RandomBrightness", {"factor": [0.2, 0.2], "value_range": [-1.0, 1.0]},
           (pixels(3, 4, 1) / 127.5 - 1).astype(np.float32))
    yield "random_contrast", "RandomContrast", {"factor": [0.0, 0.0]}, pixels(3, 3, 2) * 1.5


def crop_case(image, height, width):
    """Outside training, as its documentation says: the middle window of the proportions, resized."""
    h, w = image.shape[:2]
    tall, wide = min(h, w * height // width), min(w, h * width // height)
    top, left = (h - tall) // 2, (w - wide) // 2
    window = image[top:top + tall, left:left + wide]
    return {"name": f"crop_{height}x{width}", "augmentation": "random_crop", "options": {"height": height, "width": width},
            "input": tensor(image), "output": tensor(keras.ops.image.resize(window, (height, width)))}


TRANSFORMS = [
    ({"tx": 1.0}, {}), ({"ty": -2.0}, {}), ({"tx": 1.5, "ty": 0.25}, {"fill_mode": "reflect"}),
    ({"tx": -2.75, "ty": 3.5}, {"fill_mode": "wrap"}), ({"tx": 2.5, "ty": -1.5}, {"fill_mode": "constant", "cval": 9.0}),
    ({"theta": 20.0}, {}), ({"theta": -130.0}, {"fill_mode": "reflect"}), ({"shear": 15.0}, {}),
    ({"zx": 1.3, "zy": 0.7}, {}), ({"zx": 0.6, "zy": 1.5}, {"fill_mode": "constant", "cval": 3.0}),
    ({"theta": 33.0, "tx": 0.7, "ty": -1.2, "shear": -10.0, "zx": 0.9, "zy": 1.2}, {"fill_mode": "wrap"}),
    ({"flip_horizontal": True}, {}), ({"flip_vertical": True}, {}),
    ({"theta": 10.0, "tx": 1.25, "flip_horizontal": True, "flip_vertical": True}, {}),
    ({"channel_shift_intensity": 40.0}, {}), ({"channel_shift_intensity": -25.0, "tx": 0.5}, {}),
    ({"brightness": 0.55}, {}), ({"brightness": 1.7}, {}), ({"brightness": 0.8, "tx": 0.5}, {}),
]


def generator_cases():
    """Square images, where Keras's tx moves columns: see augment/generator.c."""
    for transform, options in TRANSFORMS:
        image = pixels(6, 6, 3 if len(transform) % 2 else 1)
        result = ImageDataGenerator(**options).apply_transform(image, dict(transform))
        yield {"options": options, "transform": transform, "input": tensor(image), "output": tensor(result)}
    image = (pixels(6, 6, 1) * 2 - 100).astype(np.float32)
    result = ImageDataGenerator().apply_transform(image, {"brightness": 0.6})
    yield {"options": {}, "transform": {"brightness": 0.6}, "input": tensor(image), "output": tensor(result)}


def scipy_cases():
    """grid-wrap is wrap of Keras's layers, but for TensorFlow's jump at the seam."""
    for mode in ("nearest", "constant", "reflect", "wrap", "grid-wrap"):
        for matrix in ([1, 0, 2.25, 0, 1, -9.5], [0.8, 0.3, -3.0, -0.4, 1.2, 1.0], [-1, 0, 4, 0, -1, 20], [1, 0, -8, 0, 1, -6]):
            image = pixels(5, 7)
            m = np.array(matrix).reshape(2, 3)
            result = ndimage.affine_transform(image, m[:, :2], m[:, 2], order=1, mode=mode, cval=5.0)
            yield {"mode": mode, "matrix": matrix, "input": tensor(image[..., None]), "output": tensor(result[..., None])}


cases = []
for number, (row, cls, options, image) in enumerate(layer_cases()):
    result = getattr(L, cls)(**options)(image[None], training=True)
    cases.append({"name": f"{row}_{number}", "augmentation": row, "options": options, "input": tensor(image),
                  "output": tensor(np.asarray(result)[0])})
cases += [crop_case(pixels(7, 9, 1), 4, 4), crop_case(pixels(8, 6, 2), 4, 3), crop_case(pixels(5, 9, 1), 5, 2)]
cases += [{"name": f"generator_{i}", **case} for i, case in enumerate(generator_cases())]
cases += [{"name": f"scipy_{i}", **case} for i, case in enumerate(scipy_cases())]
write("augment.json", cases)
