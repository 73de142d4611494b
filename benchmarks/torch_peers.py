"""Peers whose batches a torch DataLoader with workers makes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
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

Transform = Callable[[np.ndarray, np.ndarray], Any]


class Transformed:
    """Examples of a torch DataLoader: arrays, changed one by one."""

    def __init__(self, arrays: Arrays, transform: Transform) -> None:
        """Takes what to do with an image and its mask."""
        self.arrays, self.transform = arrays, transform

    def __len__(self) -> int:
        """As many as there are arrays."""
        return len(self.arrays)

    def __getitem__(self, index: int) -> Any:
        """One changed example."""
        return self.transform(*self.arrays[index])


def _one_thread(_: int) -> None:
    torch = package("torch")
    torch.set_num_threads(1)
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    try:
        package("cv2").setNumThreads(0)
    except ModuleNotFoundError:
        pass


def _loaded(arrays: Arrays, transform: Transform, batch_size: int) -> Iterator[Any]:
    """Batches of a torch DataLoader with workers."""
    torch = package("torch")
    # Before the workers fork: a thread pool made here would not live there.
    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        Transformed(arrays, transform),
        batch_size=batch_size,
        num_workers=WORKERS,
        worker_init_fn=_one_thread,
    )
    return iter(loader)


def monai(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """MONAI's dictionary transforms, without meta data, with a cached grid."""
    transforms = package("monai.transforms")
    package("monai.data").set_track_meta(False)
    steps = [
        transforms.RandAffined(
            ("image", "mask"),
            prob=1.0,
            rotate_range=math.radians(ANGLE),
            scale_range=(ZOOM, ZOOM),
            translate_range=(SHIFT * arrays.size,) * 2,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
            spatial_size=(arrays.size, arrays.size),
            cache_grid=True,
        )
    ]
    if job == FULL:
        steps += [
            transforms.RandScaleIntensityFixedMeand("image", factors=CONTRAST, prob=1),
            transforms.RandShiftIntensityd("image", offsets=BRIGHTNESS, prob=1.0),
            transforms.RandGaussianNoised("image", std=NOISE, prob=1.0),
        ]
    chain = transforms.Compose(steps)

    def transform(image: np.ndarray, mask: np.ndarray) -> Any:
        return chain({"image": image[np.newaxis], "mask": np.moveaxis(mask, -1, 0)})

    return _loaded(arrays, transform, batch_size)


def torchio(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """TorchIO, the slice as a volume of one; its random affine runs in SimpleITK."""
    tio, torch = package("torchio"), package("torch")
    pixels = SHIFT * arrays.size
    steps = [
        tio.RandomAffine(
            scales=(1 - ZOOM, 1 + ZOOM) * 2 + (1, 1),
            degrees=(0, 0, 0, 0, -ANGLE, ANGLE),
            translation=(-pixels, pixels) * 2 + (0, 0),
        )
    ]
    if job == FULL:  # TorchIO has neither brightness nor contrast.
        steps += [tio.Lambda(_brighter, types_to_apply=[tio.INTENSITY])]
        steps += [tio.RandomNoise(std=(0, NOISE))]
    chain = tio.Compose(steps)

    def transform(image: np.ndarray, mask: np.ndarray) -> Any:
        volume = torch.from_numpy(image)[None, :, :, None]
        planes = torch.from_numpy(mask).permute(2, 0, 1)[..., None]
        subject = tio.Subject(
            image=tio.ScalarImage(tensor=volume), mask=tio.LabelMap(tensor=planes)
        )
        done = chain(subject)
        return done["image"].data, done["mask"].data

    return _loaded(arrays, transform, batch_size)


def _brighter(image: Any) -> Any:
    """Contrast about the mean and brightness."""
    factor = 1 + np.random.uniform(-CONTRAST, CONTRAST)
    addition = np.random.uniform(-BRIGHTNESS, BRIGHTNESS)
    mean = image.mean()
    return (image - mean) * factor + (mean + addition)


def albumentations(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """Albumentations, whose work OpenCV does."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    alb = package("albumentations")
    steps = [
        alb.Affine(
            rotate=(-ANGLE, ANGLE),
            scale=(1 - ZOOM, 1 + ZOOM),
            translate_percent=(-SHIFT, SHIFT),
            p=1.0,
        )
    ]
    if job == FULL:
        steps += [
            alb.RandomBrightnessContrast(BRIGHTNESS, CONTRAST, p=1.0),
            alb.GaussNoise(std_range=(0, NOISE), p=1.0),
        ]
    chain = alb.Compose(steps)

    def transform(image: np.ndarray, mask: np.ndarray) -> Any:
        done = chain(image=image[..., np.newaxis], mask=mask)
        return done["image"], done["mask"]

    return _loaded(arrays, transform, batch_size)


def batchgeneratorsv2(arrays: Arrays, job: str, batch_size: int) -> Iterator[Any]:
    """batchgeneratorsv2, which nnU-Net uses."""
    base, torch = "batchgeneratorsv2.transforms", package("torch")
    spatial = package(f"{base}.spatial.spatial").SpatialTransform(
        (arrays.size, arrays.size),
        patch_center_dist_from_border=arrays.size / 2 - SHIFT * arrays.size,
        random_crop=True,
        p_rotation=1.0,
        rotation=(-math.radians(ANGLE), math.radians(ANGLE)),
        p_scaling=1.0,
        scaling=(1 - ZOOM, 1 + ZOOM),
        p_synchronize_scaling_across_axes=1.0,
        mode_seg="nearest",
    )
    steps = [spatial]
    if job == FULL:
        steps += _batchgenerators_intensity(f"{base}.intensity")

    def transform(image: np.ndarray, mask: np.ndarray) -> Any:
        done = {
            "image": torch.from_numpy(image)[None],
            "segmentation": torch.from_numpy(mask).permute(2, 0, 1),
        }
        for step in steps:
            done = step(**done)
        return done["image"], done["segmentation"]

    return _loaded(arrays, transform, batch_size)


def _batchgenerators_intensity(base: str) -> list[Any]:
    contrast = package(f"{base}.contrast").ContrastTransform
    brightness = package(f"{base}.brightness").BrightnessAdditiveTransform
    noise = package(f"{base}.gaussian_noise").GaussianNoiseTransform
    return [
        contrast((1 - CONTRAST, 1 + CONTRAST), False, True),
        brightness(-BRIGHTNESS, BRIGHTNESS),
        noise((0, NOISE**2), p_per_channel=1.0, synchronize_channels=True),
    ]
