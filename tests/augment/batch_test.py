import collections
import dataclasses
import functools
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

import tfdicom
from tests import synthetic
from tests.augment import ways
from tfdicom.augment import batch
from tfdicom.augment.augment_options import (
    ARTEFACTS,
    FILTERS,
    MOVES,
    POINTWISE,
    AugmentOptions,
)
from tfdicom.augment.batch import augment_batch
from tfdicom.augment_sheet import SHOWN

pytestmark = pytest.mark.long

SIZE = (24, 20)
RANDOM = np.random.default_rng(3)
KEYS = ways.KEYS[:5]
IMAGE = RANDOM.normal(2, 1, (len(KEYS), *SIZE, 2)).astype(np.float32)
MASK = (RANDOM.random((len(KEYS), *SIZE, 3)) < 0.4).astype(np.uint8)

EVERYTHING = dataclasses.replace(
    SHOWN, random_crop=0.0, foreground_crop=0.0, gamma_keeps_mean=True
)
MOVES_ONLY = "rotation=40,scale=0.3,shear=10,shift=0.1,elastic=0.1,flip_left_right=0.5"
LITTLE = "rotation=40,noise=0.2,gamma=0.5,gamma_probability=0.5"
SOME = f"{MOVES_ONLY},brightness=0.3,noise=0.2,gamma=0.5,gamma_probability=0.5,blur=1"


def _augmented(augment=SOME, *, way="eager", image=IMAGE, mask=MASK, **keywords):
    keywords = {"key_hash": KEYS[: len(image)], "epoch": 3, "seed": 9, **keywords}
    function = functools.partial(augment_batch, augment=augment, **keywords)
    found = ways.run(function, way, tf.constant(image), tf.constant(mask))
    return [one.numpy() for one in found]


def _same(found, wanted, *, atol=1e-4):
    np.testing.assert_allclose(found[0], wanted[0], atol=atol)
    np.testing.assert_array_equal(found[1], wanted[1])


_SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("augment", "jit_compile"),
    [
        ("rotation=40,elastic=0.1,edge=reflect,noise=0.3,cutout=0.5", False),
        pytest.param("heavy,image_interpolation=cubic", False, **_SLOW),
        pytest.param("mr,ghosting_probability=0.5", True, **_SLOW),
    ],
)
def test_it_is_what_the_reader_makes_of_the_same_examples(
    tmp_path, augment, jit_compile
):
    frames = synthetic.frames(4, shape=(24, 20, 1), spacing=(2.0, 1.25))
    synthetic.write_dataset(tmp_path, {"train": {"p0": frames[:2], "p1": frames[2:]}})
    # Of the image: what the record and augment_batch say of it are then the same.
    choices = {"normalize": "zscore_image", "jit_compile": jit_compile, "seed": 5}
    read = functools.partial(
        tfdicom.input_fn, tmp_path, batch_size=3, num_epochs=2, **choices
    )
    place = 0
    for wanted, (image, mask, info) in zip(
        read(augment=augment), read(with_info=True), strict=True
    ):
        names = [key.decode() for key in info["key"].numpy()]
        keys = [
            int.from_bytes(bytes.fromhex(n[:16]), "big", signed=True) for n in names
        ]
        found = augment_batch(
            image,
            mask,
            augment=augment,
            seed=5,
            epoch=tf.range(place, place + len(keys)) // len(frames),
            key_hash=keys,
            pixel_spacing=info["spacing"],
            jit_compile=jit_compile,
        )
        assert (found[0].numpy() != image.numpy()).any()
        _same(found, wanted)
        place += len(keys)
    assert place == 2 * len(frames)


def test_image_and_mask_stay_aligned():
    mask = np.zeros((len(KEYS), *SIZE, 1), np.uint8)
    mask[:, 6:15, 4:13] = 1
    image = mask.astype(np.float32)
    moved, moved_mask = _augmented(MOVES_ONLY, image=image, mask=mask, fill=0.0)
    undecided = abs(moved - 0.5) < 1e-4
    np.testing.assert_array_equal((moved >= 0.5)[~undecided], moved_mask[~undecided])
    assert undecided.mean() < 0.01
    assert all((moved_mask[n] != mask[n]).any() for n in range(len(KEYS)))


@pytest.mark.parametrize("way", ["map", "map_xla"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_is_the_same_in_every_way(way, jit_compile):
    _same(_augmented(way=way, jit_compile=jit_compile), _augmented(way="eager"))


def test_the_same_numbers_give_the_same_picture_and_others_another():
    first = _augmented()
    _same(_augmented(), first, atol=0)
    for other in ({"seed": 1}, {"epoch": 4}, {"key_hash": KEYS[::-1].copy()}):
        assert all(
            (_augmented(**other)[0][n] != first[0][n]).any()
            for n in range(len(KEYS))
            if n != len(KEYS) // 2 or "key_hash" not in other
        )


def test_an_example_looks_the_same_in_any_batch():
    whole = _augmented()
    some = _augmented(image=IMAGE[1:3], mask=MASK[1:3], key_hash=KEYS[1:3])
    _same(some, [one[1:3] for one in whole])


def test_each_example_may_have_its_own_epoch_and_fill():
    epochs = np.array([3, 3, 7, 3, 3])
    found, whole, other = (_augmented(epoch=e)[0] for e in (epochs, 3, 7))
    wanted = np.where((epochs == 7)[:, None, None, None], other, whole)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    fills = np.arange(5, dtype=np.float32) * 100
    found = _augmented("shift=1", fill=fills)[0]
    outside = [(found[n] == fills[n]).sum() for n in range(1, 5)]
    assert sum(pixels > 20 for pixels in outside) >= 3


def test_by_default_the_place_in_the_batch_is_the_key():
    _same(_augmented(key_hash=None), _augmented(key_hash=np.arange(len(KEYS))), atol=0)


def test_the_fill_is_each_images_minimum():
    image = IMAGE + 10 * np.arange(len(KEYS), dtype=np.float32)[:, None, None, None]
    moved = _augmented("shift=1", image=image)[0]
    lowest = image.min(axis=(1, 2, 3))
    np.testing.assert_allclose(moved.min(axis=(1, 2, 3)), lowest, rtol=1e-6)
    assert sum((moved[n] == lowest[n]).sum() > 20 for n in range(len(KEYS))) >= 3


def test_a_rotation_turns_millimetres():
    square = _augmented("rotation=90")[0]
    flat = _augmented("rotation=90", pixel_spacing=[3.0, 3.0])[0]
    np.testing.assert_allclose(flat, square, atol=1e-4)
    tall = _augmented("rotation=90", pixel_spacing=np.array([[2.0, 1.0]] * 5))[0]
    assert abs(tall - square).max() > 0.1


def test_figures_are_those_of_each_image():
    found = batch.frame_figures(tf.constant(IMAGE))
    flat = IMAGE.reshape(len(KEYS), -1).astype(float)
    wanted = {"mean": flat.mean(1), "deviation": flat.std(1)}
    wanted |= {"minimum": flat.min(1), "maximum": flat.max(1)}
    assert set(found) == set(batch.FIGURES)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_batch_may_have_any_size(jit_compile):
    graph = tf.function(
        functools.partial(augment_batch, augment=LITTLE, jit_compile=jit_compile),
        input_signature=[
            tf.TensorSpec([None, *IMAGE.shape[1:]]),
            tf.TensorSpec([None, *MASK.shape[1:]], tf.uint8),
        ],
    )
    for count in (5, 2):
        found = graph(IMAGE[:count], MASK[:count])
        assert found[0].shape == IMAGE[:count].shape
        _same(found, augment_batch(IMAGE[:count], MASK[:count], augment=LITTLE))
    assert graph.get_concrete_function().structured_outputs[0].shape[1:] == (24, 20, 2)


def test_it_works_in_a_graph_of_tensorflow_1():
    wanted = _augmented()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pair = augment_batch(
            tf.constant(IMAGE),
            tf.constant(MASK),
            augment=SOME,
            key_hash=KEYS,
            epoch=3,
            seed=9,
        )
        _same(session.run(pair), wanted)


@pytest.mark.parametrize(
    "augment", [None, "none", AugmentOptions(noise=1.0, noise_probability=0.0)]
)
def test_what_is_off_changes_nothing(augment):
    found = augment_batch(IMAGE, MASK, augment=augment)
    _same(found, (IMAGE, MASK), atol=0)


class AugmentedModel(tf.keras.Model):
    """Augments within the training step, by the step's number."""

    def train_step(self, data):
        step = tf.cast(self.optimizer.iterations, tf.int64)
        image, mask = augment_batch(*data, augment=SOME, epoch=step)
        return super().train_step((image, mask))


def _model(kind=tf.keras.Model):
    inputs = tf.keras.Input(IMAGE.shape[1:])
    outputs = tf.keras.layers.Conv2D(3, 3, padding="same", activation="sigmoid")(inputs)
    model = kind(inputs, outputs)
    # A rate of 0: the losses are then of the pictures, not of the training.
    optimizer = tf.keras.optimizers.SGD(0.0)
    model.compile(optimizer, loss="binary_crossentropy")
    return model


def test_keras_trains_on_it():
    model = _model(AugmentedModel)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGE, MASK)).batch(2)
    found = model.fit(dataset, epochs=2, verbose=0).history["loss"]
    plain = _model()
    plain.set_weights(model.get_weights())
    wanted = []
    for step in range(6):
        some = slice(step % 3 * 2, step % 3 * 2 + 2)
        pair = augment_batch(IMAGE[some], MASK[some], augment=SOME, epoch=step)
        wanted.append(plain.evaluate(*pair, verbose=0))
    sizes = [2, 2, 1]
    for epoch in range(2):
        mean = np.average(wanted[epoch * 3 :][:3], weights=sizes)
        assert found[epoch] == pytest.approx(mean, rel=1e-4)
    assert found[0] != found[1]


class AugmentingLayer(tf.keras.layers.Layer):
    """A network's layer that moves and changes its input."""

    def call(self, inputs):
        return augment_batch(*inputs, augment=SOME, seed=9, epoch=3)


def test_a_keras_layer_may_hold_it():
    image = tf.keras.Input(IMAGE.shape[1:])
    mask = tf.keras.Input(MASK.shape[1:], dtype="uint8")
    model = tf.keras.Model([image, mask], AugmentingLayer()([image, mask]))
    _same(model.predict([IMAGE, MASK], verbose=0), _augmented(key_hash=None))


_REFUSED = [
    ({"augment": "foreground_crop=0.5"}, "foreground_crop=0.5: .* 0 is allowed"),
    ({"augment": "random_crop=1"}, "random_crop=1.0: augment_batch keeps the size"),
    ({"augment": "nonsense"}, "known are none, light"),
    ({"image": IMAGE.astype(np.float64)}, "image is float64; float32 is wanted"),
    ({"mask": MASK.astype(np.float32)}, "mask is float32; uint8 is wanted"),
    ({"image": IMAGE[0]}, r"image has the shape \(24, 20, 2\)"),
    ({"mask": MASK[:, :5]}, "differ in batch, rows or columns"),
    ({"mask": MASK[:3]}, "differ in batch, rows or columns"),
    ({"epoch": 1.5}, "epoch is float32; whole numbers are wanted"),
    ({"key_hash": IMAGE[:, 0, 0, 0]}, "key_hash is float32; whole numbers"),
]


@pytest.mark.parametrize(("wrong", "message"), _REFUSED)
def test_what_is_not_allowed_is_said(wrong, message):
    given = {"image": IMAGE, "mask": MASK, "augment": "light", **wrong}
    with pytest.raises(ValueError, match=message):
        augment_batch(given.pop("image"), given.pop("mask"), **given)


@pytest.mark.parametrize(
    "wrong", [{"key_hash": KEYS[:2]}, {"epoch": [1, 2]}, {"fill": [1.0, 2.0]}]
)
def test_numbers_of_another_batch_are_refused(wrong):
    with pytest.raises(tf.errors.InvalidArgumentError):
        _augmented(**wrong)


@pytest.mark.parametrize("way", ["eager", "map"])
def test_a_mask_with_unknown_pixels_is_refused(way):
    mask = MASK.copy()
    mask[2, 5, 5, 1] = 255
    with pytest.raises(tf.errors.InvalidArgumentError, match="other values than 0"):
        _augmented(way=way, mask=mask)


# Without a kernel on a GPU for a reason: names and messages of the one assertion, whose
# condition is one number.
_ON_THE_CPU = {("Const", "string")}
# The numbers 0, 1, 2, ... of the pixels, which do not depend on the images: made once
# when the graph is optimised.
_CONSTANT = {"Range"}
_MANY = 400  # elements; the images have 480 for each channel


def _operations(concrete):
    """Every operation of a function and of those that it calls."""
    waiting, seen = [concrete.graph], set()
    while waiting:
        graph = waiting.pop()
        yield from graph.get_operations()
        for name, function in graph._functions.items():
            if name not in seen:
                seen.add(name)
                waiting.append(function.graph)


@functools.cache
def _kernels(kind):
    found = kernels.get_registered_kernels_for_op(kind).kernel
    return [k for k in found if k.device_type in ("GPU", "DEFAULT") and not k.label]


def _gpu_kernels(operation):
    """The kernels that a GPU has for an operation and its dtypes."""
    for kernel in _kernels(operation.type):
        if all(_allows(one, operation) for one in kernel.constraint):
            yield kernel


def _allows(constraint, operation):
    value = operation.get_attr(constraint.name)
    dtypes = value if isinstance(value, list) else [value]
    allowed = constraint.allowed_values.list.type
    return all(dtype.as_datatype_enum in allowed for dtype in dtypes)


def _kept_on_the_host(operation, kernel):
    """Inputs and outputs that this kernel wants in the memory of the CPU."""
    for arguments, tensors in (
        (operation.op_def.input_arg, list(operation.inputs)),
        (operation.op_def.output_arg, list(operation.outputs)),
    ):
        place = 0
        for one in arguments:
            count = 1
            if one.number_attr:
                count = operation.get_attr(one.number_attr)
            elif one.type_list_attr:
                count = len(operation.get_attr(one.type_list_attr))
            if one.name in kernel.host_memory_arg:
                yield from tensors[place : place + count]
            place += count


def _is_large(tensor):
    if tensor.shape.rank is None:
        return True
    return np.prod([length or 1 for length in tensor.shape]) >= _MANY


def _traced(augment):
    graph = tf.function(functools.partial(augment_batch, augment=augment, epoch=1))
    return graph.get_concrete_function(
        tf.TensorSpec([None, *IMAGE.shape[1:]]),
        tf.TensorSpec([None, *SIZE, 9], tf.uint8),  # more than fit into one word
        key_hash=tf.TensorSpec([None], tf.int64),
        pixel_spacing=tf.TensorSpec([None, 2]),
    )


_HOW = [
    {
        "image_interpolation": "cubic",
        "mask_interpolation": "nearest",
        "edge": "reflect",
    },
    {},
]


@pytest.mark.parametrize("how", _HOW, ids=lambda how: "-".join(how.values()) or "plain")
def test_a_gpu_can_do_all_of_it(how):
    """TensorFlow's list of kernels knows those of a GPU, where there is none too."""
    without, copied, seen = collections.Counter(), collections.Counter(), set()
    for operation in _operations(_traced(dataclasses.replace(EVERYTHING, **how))):
        names = [one.dtype.name for one in (*operation.inputs, *operation.outputs)]
        seen.add(operation.type)
        found = list(_gpu_kernels(operation))
        if not found and (operation.type, *names) not in _ON_THE_CPU:
            without[operation.type, *names] += 1
        hosts = [[*filter(_is_large, _kept_on_the_host(operation, k))] for k in found]
        # int32 as an argument of a function is kept by the CPU, whatever makes it.
        calls = [
            one
            for one in (*operation.inputs, *operation.outputs)
            if "Call" in operation.type and one.dtype == tf.int32 and _is_large(one)
        ]
        if (found and min(hosts, key=len) or calls) and operation.type not in _CONSTANT:
            copied[operation.type, *names] += 1
    assert (without, copied) == ({}, {})
    assert {"GatherV2", "RFFT2D", "Einsum", "PopulationCount", "SelectV2"} <= seen


def test_the_list_of_kernels_tells_cpu_from_gpu():
    @tf.function(input_signature=[tf.TensorSpec([600], tf.int32)])
    def function(x):
        return tf.unique(x)[0], x + x, tf.cast(x, tf.uint32) + tf.cast(x, tf.uint32)

    found = {}
    for operation in _operations(function.get_concrete_function()):
        some = list(_gpu_kernels(operation))
        host = [len([*_kept_on_the_host(operation, kernel)]) for kernel in some]
        key = (
            operation.type,
            operation.outputs[0].dtype.name if operation.outputs else "",
        )
        found[key] = min(host) if some else None
    assert found["AddV2", "int32"] == 3
    assert found["AddV2", "uint32"] == 0


def test_everything_is_on_in_that_test():
    assert not EVERYTHING.any_of(("random_crop", "foreground_crop"))
    names = {*MOVES, *ARTEFACTS, *FILTERS, *POINTWISE} - {
        "random_crop",
        "foreground_crop",
    }
    assert all(EVERYTHING.may(name) for name in names)


@pytest.mark.slow
def test_everything_compiles():
    wanted = _augmented(EVERYTHING)
    _same(_augmented(EVERYTHING, jit_compile=True), wanted, atol=1e-3)
    _same(_augmented(EVERYTHING, way="map_xla", jit_compile=True), wanted, atol=1e-3)


def test_options_are_keyword_only():
    assert ways.positional(batch)["augment_batch"] == ["image", "mask"]
    assert tfdicom.augment_batch is augment_batch


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
