"""Peers with a pipeline of their own: DALI, and Keras of both generations."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
from collections.abc import Iterator
from typing import Any

import numpy as np
from peer_job import (
    ANGLE,
    BRIGHTNESS,
    CONTRAST,
    FULL,
    NOISE,
    SHIFT,
    WORKERS,
    ZOOM,
    Arrays,
    package,
)


def dali(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """DALI on the CPU, two threads, one composed affine."""
    nvidia, fn = package("nvidia.dali"), package("nvidia.dali.fn")
    types = nvidia.types
    masks, images = arrays.masks, arrays.images[..., np.newaxis]
    middle = [arrays.size / 2] * 2

    def source() -> Iterator[tuple[list, list]]:
        for start in itertools.count(step=batch_size):
            at = [(start + n) % len(images) for n in range(batch_size)]
            yield [images[n] for n in at], [masks[n] for n in at]

    def uniform(limit: float, middle: float = 0.0, **shape: Any) -> Any:
        return fn.random.uniform(range=[middle - limit, middle + limit], **shape)

    pipe = nvidia.Pipeline(batch_size, WORKERS, device_id=None)
    with pipe:
        image, mask = fn.external_source(source(), num_outputs=2, no_copy=True)
        zoom = fn.stack(*[uniform(ZOOM, 1.0)] * 2)
        matrix = fn.transforms.scale(scale=zoom, center=middle)
        matrix = fn.transforms.rotation(matrix, angle=uniform(ANGLE), center=middle)
        shift = uniform(SHIFT * arrays.size, shape=[2])
        matrix = fn.transforms.translation(matrix, offset=shift)
        image = fn.warp_affine(image, matrix, interp_type=types.INTERP_LINEAR)
        mask = fn.warp_affine(mask, matrix, interp_type=types.INTERP_NN)
        if job == FULL:
            image = fn.brightness_contrast(
                image,
                brightness_shift=uniform(BRIGHTNESS),
                contrast=uniform(CONTRAST, 1.0),
                contrast_center=0.5,
                dtype=types.FLOAT,
            )
            deviation = fn.random.uniform(range=[0.0, NOISE])
            image = fn.noise.gaussian(image, stddev=deviation)
        pipe.set_outputs(image, mask)
    pipe.build()
    return (pipe.run() for _ in itertools.count())


def keras_generator(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """Keras's ImageDataGenerator: two flows with one seed, as its documentation has."""
    image = package("tensorflow").keras.preprocessing.image
    moves: dict[str, Any] = {
        "rotation_range": ANGLE,
        "zoom_range": ZOOM,
        "width_shift_range": SHIFT,
        "height_shift_range": SHIFT,
        "fill_mode": "constant",
    }
    change = {"preprocessing_function": _changed} if job == FULL else {}
    flow = {"batch_size": batch_size, "seed": 0, "shuffle": False}
    images, masks = arrays.images[..., np.newaxis], arrays.masks
    flows = (
        image.ImageDataGenerator(**moves, **change).flow(images, **flow),
        image.ImageDataGenerator(**moves, interpolation_order=0).flow(masks, **flow),
    )
    return _in_processes(flows)


def _changed(image: np.ndarray) -> np.ndarray:
    """Contrast about the mean, brightness and noise of one image."""
    # Keras seeds NumPy's global generator with the example's number, for the moves.
    random = np.random.default_rng()
    factor = 1 + random.uniform(-CONTRAST, CONTRAST)
    mean, addition = image.mean(), random.uniform(-BRIGHTNESS, BRIGHTNESS)
    noise = random.standard_normal(image.shape, np.float32)
    return (image - mean) * factor + (mean + addition) + noise * NOISE


_flows: tuple[Any, ...] = ()


def _in_processes(flows: tuple[Any, ...]) -> Iterator[Any]:
    """Batches in order from worker processes, as Keras's enqueuer makes them."""
    global _flows
    _flows = flows
    waiting: collections.deque = collections.deque()
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        for number in itertools.count():
            waiting.append(pool.apply_async(_flow_batch, (number,)))
            if len(waiting) > 2 * WORKERS:
                yield waiting.popleft().get()


def _flow_batch(number: int) -> tuple[np.ndarray, ...]:
    return tuple(flow[number % len(flow)] for flow in _flows)


def keras_layers(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """Keras 3's preprocessing layers, in Dataset.map; each resamples anew."""
    tf, layers = package("tensorflow"), package("keras").layers
    steps = [
        layers.RandomRotation(ANGLE / 360, fill_mode="constant"),
        layers.RandomZoom(ZOOM, fill_mode="constant"),
        layers.RandomTranslation(SHIFT, SHIFT, fill_mode="constant"),
    ]
    if job == FULL:
        steps.append(layers.RandomContrast(CONTRAST, value_range=(0, 1)))
        steps.append(layers.RandomBrightness(BRIGHTNESS, value_range=(0, 1)))
    noise = layers.GaussianNoise(NOISE)

    def augment(image: Any, mask: Any) -> Any:
        done = {"images": image, "segmentation_masks": mask}
        for step in steps:
            done = step(done, training=True)
        if job == FULL:
            done["images"] = noise(done["images"], training=True)
        return done["images"], done["segmentation_masks"]

    dataset = tf.data.Dataset.from_tensor_slices(
        (arrays.images[..., np.newaxis], arrays.masks)
    )
    dataset = dataset.repeat().batch(batch_size)
    dataset = dataset.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return iter(dataset.prefetch(tf.data.AUTOTUNE))
