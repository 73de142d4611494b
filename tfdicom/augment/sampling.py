"""Samples image and mask at the places that ``spatial`` says, at the same places.

Two ways to the same result. ``warp`` takes any image. ``pack``, ``warp_packed`` and
``unpack`` take grey images of up to 16 bits with up to 8 planes: a pixel and its planes
travel as one 32-bit word, so that one gather serves both; gathers are what it costs.

Places and bits are uint32: TensorFlow keeps int32 in the memory of the CPU, and works
on it there, also where a GPU does the rest.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfdicom.augment import PACKED_PLANES
from tfdicom.kernel import kernel

LINEAR, CUBIC = "linear", "cubic"
CONSTANT, NEAREST, REFLECT = "constant", "nearest", "reflect"
_GREY_BITS = 23  # of a packed result; with 8 planes they fill a positive int32
_CATMULL_ROM = -0.5  # the cubic kernel's parameter (Keys, 1981), as OpenCV and PIL


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample.

    Attributes:
      size: Rows and columns of the output.
      image_interpolation: ``linear`` or ``cubic``.
      mask_interpolation: ``linear`` (1 where the interpolated plane reaches 0.5), or
        ``nearest``.
      edge: What lies outside of the source: ``constant``, ``nearest`` or ``reflect``.
    """

    size: tuple[int, int]
    image_interpolation: str = LINEAR
    mask_interpolation: str = LINEAR
    edge: str = CONSTANT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """Where to sample.

    Attributes:
      matrix: float32 ``[batch, 3, 3]``: output pixel -> source pixel.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds; what lies
        beyond them in the tensor is not looked at.
      field: float32 ``[batch, 2, rows, columns]``: pixels to add to the row and column
        of each output pixel before the matrix; None for nothing.
    """

    matrix: tf.Tensor
    extent: tf.Tensor
    field: tf.Tensor | None = None

    def __iter__(self) -> Iterator[tf.Tensor]:
        """The tensors that are there, as arguments of a kernel."""
        yield from (t for t in (self.matrix, self.extent, self.field) if t is not None)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Indices and weights of the neighbours along one axis, ``[batch, *size]`` each."""

    indices: tuple[tf.Tensor, ...]
    weights: tuple[tf.Tensor, ...]


def warp(
    image: tf.Tensor,
    mask: tf.Tensor,
    places: Places,
    *,
    how: Sampling,
    fill: tf.Tensor,
    jit_compile: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples image and mask.

    Args:
      image: float32 ``[batch, rows, columns, channels]``, any value range.
      mask: uint8 ``[batch, rows, columns, classes]``, 0 or 1; or float32, which is
        interpolated linearly and stays float32.
      places: Where.
      how: How.
      fill: float32 ``[batch]``: the image's value outside of the source with a constant
        edge; the mask's is 0.
      jit_compile: Compile with XLA.

    Returns:
      Image and mask of ``how.size``. At whole pixels the values are the source's.
    """
    compiled = functools.partial(kernel, jit_compile=jit_compile, how=how)
    pixels = compiled(_warp_image)(image, fill, *places)
    if tf.as_dtype(mask.dtype).is_floating:
        linear = dataclasses.replace(how, image_interpolation=LINEAR)
        sample = kernel(_warp_image, jit_compile=jit_compile, how=linear)
        return pixels, sample(mask, tf.zeros_like(fill), *places)
    planes = []
    for first in range(0, mask.shape[3], PACKED_PLANES):
        some = mask[..., first : first + PACKED_PLANES]
        codes = compiled(_codes)(tf.transpose(some, [0, 3, 1, 2]))
        codes = compiled(_warp_codes, planes=some.shape[3])(codes, *places)
        planes.append(compiled(unpack_mask, planes=some.shape[3])(codes))
    return pixels, planes[0] if len(planes) == 1 else tf.concat(planes, axis=3)


def _warp_image(
    image: tf.Tensor, fill: tf.Tensor, *places: tf.Tensor, how: Sampling
) -> tf.Tensor:
    _, rows, columns, depth = image.shape
    flat = tf.reshape(tf.transpose(image, [0, 3, 1, 2]), [-1])
    # Channels as further images: gathers of single values are the fast ones.
    repeated = (tf.repeat(one, depth, axis=0) for one in places)
    row, column = _axes(*repeated, how=how, interpolation=how.image_interpolation)
    fill = tf.repeat(fill, depth)[:, tf.newaxis, tf.newaxis]
    total = (1.0 - sum(row.weights) * sum(column.weights)) * fill
    for at, weight in _taps(row, column, rows, columns):
        total += tf.gather(flat, at) * weight
    return tf.transpose(tf.reshape(total, [-1, depth, *how.size]), [0, 2, 3, 1])


def _codes(planes: tf.Tensor, how: Sampling) -> tf.Tensor:
    """Planes ``[batch, planes, rows, columns]`` as bits of one uint32."""
    del how
    code = tf.cast(planes[:, 0], tf.uint32)
    for index in range(1, planes.shape[1]):
        code |= tf.bitwise.left_shift(tf.cast(planes[:, index], tf.uint32), index)
    return code


def _warp_codes(
    codes: tf.Tensor, *places: tf.Tensor, planes: int, how: Sampling
) -> tf.Tensor:
    _, rows, columns = codes.shape
    row, column = _axes(*places, how=how, interpolation=LINEAR)
    flat = tf.bitcast(tf.reshape(codes, [-1]), tf.int32)  # as gathers want it
    taps = list(_taps(row, column, rows, columns))
    words = [tf.gather(flat, at) for at, _ in taps]
    return _decided(
        words, [weight for _, weight in taps], planes, how.mask_interpolation
    )


def _decided(
    words: Sequence[tf.Tensor], weights: Sequence[tf.Tensor], planes: int, mask: str
) -> tf.Tensor:
    """The planes of a pixel as bits of a uint32, from those of its neighbours."""
    words = [tf.bitcast(word, tf.uint32) for word in words]
    zero = tf.constant(0, tf.uint32)
    if mask == NEAREST:
        best, code = weights[0], words[0]
        for word, weight in zip(words[1:], weights[1:], strict=True):
            code = tf.where(weight > best, word, code)
            best = tf.maximum(weight, best)
        # Where most of the weight lies outside of the source, nothing is nearest.
        outside = tf.add_n(list(weights)) < 0.5
        return tf.where(outside, zero, code & ((1 << planes) - 1))
    result = tf.zeros_like(words[0])
    for plane in range(planes):
        bit = tf.constant(1 << plane, tf.uint32)
        total = tf.add_n(
            [
                tf.where(tf.equal(word & bit, zero), 0.0, weight)
                for word, weight in zip(words, weights, strict=True)
            ]
        )
        result |= tf.where(total >= 0.5, bit, zero)
    return result


def pack(
    pixels: tf.Tensor, planes: tf.Tensor, padding: tf.Tensor, minimum: tf.Tensor
) -> tf.Tensor:
    """Pixels and planes as words.

    Args:
      pixels: ``[batch, rows, columns]`` of up to 16 bits.
      planes: uint8 ``[batch, planes, rows, columns]``, 0 or 1, up to 8.
      padding: float32 ``[batch, 2]``: stored values that are no pixels; NaN for none.
      minimum: int32 ``[batch]``: the stored value to put there.

    Returns:
      int32 ``[batch, rows, columns]``: the pixel in the upper 16 bits.
    """
    values = tf.cast(pixels, tf.int32)
    stored = tf.cast(values, tf.float32)
    low, high = (_for_each_image(padding[:, i]) for i in (0, 1))
    is_padding = (stored >= low) & (stored <= high)
    values = tf.where(is_padding, minimum[:, tf.newaxis, tf.newaxis], values)
    codes = tf.bitcast(_codes(planes, Sampling(size=(0, 0))), tf.int32)
    return tf.bitwise.left_shift(values, 16) | codes


def warp_packed(
    words: tf.Tensor,
    span: tf.Tensor,
    clip: tf.Tensor,
    fill: tf.Tensor,
    *places: tf.Tensor,
    how: Sampling,
    planes: int,
    signed: bool,
) -> tf.Tensor:
    """Samples packed words.

    Args:
      words: From ``pack``.
      span: float32 ``[batch, 2]``: lowest and highest stored value that can result.
      clip: float32 ``[batch, 2]``: stored values are clipped to these.
      fill: float32 ``[batch]``: stored value outside of the source.
      *places: ``Places``, unpacked.
      how: How; linear images only.
      planes: Number of planes.
      signed: Whether the stored values are.

    Returns:
      int32 ``[batch, *size]``: the image as a fraction of its span in the upper bits,
      to 2**-23 of it; the planes in the lowest 8.
    """
    _, rows, columns = words.shape
    row, column = _axes(*places, how=how, interpolation=LINEAR)
    flat = tf.reshape(words, [-1])
    taps = list(_taps(row, column, rows, columns))
    weights = [weight for _, weight in taps]
    # A gather with one user is computed where it is used; with two, XLA writes it out
    # to memory first. No value is NaN, which XLA cannot know: the users are of this.
    nothing = tf.cast(tf.math.is_nan(span[0, 0]), tf.int32)
    gathered = [tf.bitwise.bitwise_xor(tf.gather(flat, at), nothing) for at, _ in taps]
    low, high = (_for_each_image(clip[:, i]) for i in (0, 1))
    total = (1.0 - sum(row.weights) * sum(column.weights)) * _for_each_image(fill)
    for word, weight in zip(gathered, weights, strict=True):
        stored = tf.bitwise.right_shift(word, 16)
        stored = tf.cast(stored if signed else stored & 0xFFFF, tf.float32)
        total += tf.minimum(tf.maximum(stored, low), high) * weight
    first, last = (_for_each_image(span[:, i]) for i in (0, 1))
    scale = (2.0**_GREY_BITS - 1.0) / tf.maximum(last - first, 1e-30)
    fraction = tf.cast((total - first) * scale + 0.5, tf.int32)
    fraction = tf.clip_by_value(fraction, 0, 2**_GREY_BITS - 1)
    decided = _decided(gathered, weights, planes, how.mask_interpolation)
    decided = tf.bitcast(decided, tf.int32)
    return tf.bitwise.left_shift(fraction, PACKED_PLANES) | decided


def unpack_image(packed: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """The image of ``warp_packed``, float32 ``[batch, rows, columns, 1]``.

    Args:
      packed: From ``warp_packed``.
      lowest: float32 ``[batch]``: what the lowest value of the span becomes.
      highest: float32 ``[batch]``: what the highest becomes.
    """
    low, high = (_for_each_image(one) for one in (lowest, highest))
    fraction = tf.cast(tf.bitwise.right_shift(packed, PACKED_PLANES), tf.float32)
    image = low + fraction * ((high - low) / (2.0**_GREY_BITS - 1.0))
    return image[..., tf.newaxis]


def unpack_mask(
    packed: tf.Tensor, *, planes: int, how: Sampling | None = None
) -> tf.Tensor:
    """The planes as mask, uint8 ``[batch, rows, columns, planes]``."""
    del how
    words = tf.bitcast(packed, tf.uint32)[..., tf.newaxis]
    shifted = tf.bitwise.right_shift(words, tf.constant([*range(planes)], tf.uint32))
    return tf.cast(shifted & 1, tf.uint8)


def _for_each_image(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1, 1, 1])


def _axes(
    matrix: tf.Tensor,
    extent: tf.Tensor,
    field: tf.Tensor | None = None,
    *,
    how: Sampling,
    interpolation: str,
) -> tuple[_Axis, _Axis]:
    """Neighbours of each output pixel along rows and along columns."""
    row = tf.range(how.size[0], dtype=tf.float32)[tf.newaxis, :, tf.newaxis]
    column = tf.range(how.size[1], dtype=tf.float32)[tf.newaxis, tf.newaxis, :]
    if field is not None:
        row, column = row + field[:, 0], column + field[:, 1]
    m = matrix[:, :, :, tf.newaxis, tf.newaxis]
    x = m[:, 0, 0] * column + m[:, 0, 1] * row + m[:, 0, 2]
    y = m[:, 1, 0] * column + m[:, 1, 1] * row + m[:, 1, 2]
    last = tf.cast(extent - 1, tf.float32)[:, :, tf.newaxis, tf.newaxis]
    return (
        _neighbours(y, last[:, 0], how.edge, interpolation),
        _neighbours(x, last[:, 1], how.edge, interpolation),
    )


def _neighbours(
    position: tf.Tensor, last: tf.Tensor, edge: str, interpolation: str
) -> _Axis:
    if edge == NEAREST:
        position = tf.clip_by_value(position, 0.0, last)
    elif edge == REFLECT:
        position = _reflected(position, last)
    start = tf.floor(position)
    fraction = position - start
    offsets: tuple[float, ...] = (0.0, 1.0)
    weights = [1.0 - fraction, fraction]
    if interpolation == CUBIC:
        offsets, weights = (-1.0, 0.0, 1.0, 2.0), _cubic_weights(fraction)
    indices = []
    for number, offset in enumerate(offsets):
        at = start + offset
        if edge == CONSTANT:
            inside = (at >= 0.0) & (at <= last)
            weights[number] = tf.where(inside, weights[number], 0.0)
        elif edge == REFLECT:
            at = _reflected(at, last)
        at = tf.cast(tf.clip_by_value(at, 0.0, last), tf.int32)
        indices.append(tf.bitcast(at, tf.uint32))
    return _Axis(tuple(indices), tuple(weights))


def _reflected(position: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Mirrored about the centres of the first and the last pixel."""
    period = tf.maximum(2.0 * last, 1.0)
    turned = position - tf.floor(position / period) * period
    return tf.minimum(turned, tf.maximum(2.0 * last - turned, 0.0))


def _cubic_weights(t: tf.Tensor) -> list[tf.Tensor]:
    a = _CATMULL_ROM
    u = 1.0 - t
    return [
        a * t * u * u,
        1.0 + t * t * ((a + 2.0) * t - (a + 3.0)),
        1.0 + u * u * ((a + 2.0) * u - (a + 3.0)),
        a * u * t * t,
    ]


def _taps(
    row: _Axis, column: _Axis, rows: int, columns: int
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Flat index and weight of each neighbour, rows first."""
    batch = tf.shape(row.weights[0])[0]
    base = tf.cast(tf.range(batch) * (rows * columns), tf.uint32)
    base = base[:, tf.newaxis, tf.newaxis]
    for at_row, weight in zip(row.indices, row.weights, strict=True):
        line = at_row * columns + base
        for at_column, other in zip(column.indices, column.weights, strict=True):
            yield tf.bitcast(line + at_column, tf.int32), weight * other


def crop_or_pad(
    planes: tf.Tensor,
    fill: tf.Tensor,
    extent: tf.Tensor,
    start: tf.Tensor,
    *,
    size: tuple[int, int],
) -> tf.Tensor:
    """A window of an image or mask; values are not touched.

    Args:
      planes: ``[batch, rows, columns, depth]``, any dtype.
      fill: ``[batch]`` of that dtype: the value outside of the source.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
      start: int32 ``[batch, 2]``: source pixel under the first output pixel.
      size: Rows and columns of the output.

    Returns:
      ``[batch, *size, depth]``.
    """
    batch, _, width, depth = planes.shape
    start = tf.repeat(start, depth, axis=0)
    last = tf.repeat(extent, depth, axis=0)[..., tf.newaxis, tf.newaxis] - 1
    row = (start[:, :1] + tf.range(size[0]))[:, :, tf.newaxis]
    column = (start[:, 1:] + tf.range(size[1]))[:, tf.newaxis, :]
    inside = (row >= 0) & (row <= last[:, 0]) & (column >= 0) & (column <= last[:, 1])
    at = tf.clip_by_value(row, 0, last[:, 0]) * width
    at += tf.clip_by_value(column, 0, last[:, 1])
    # Channels as further images, as in _warp_image.
    flat = tf.reshape(tf.transpose(planes, [0, 3, 1, 2]), [batch * depth, -1])
    found = tf.gather(flat, at, batch_dims=1)
    outside = tf.repeat(fill, depth)[:, tf.newaxis, tf.newaxis]
    window = tf.where(inside, found, outside)
    return tf.transpose(tf.reshape(window, [batch, depth, *size]), [0, 2, 3, 1])
