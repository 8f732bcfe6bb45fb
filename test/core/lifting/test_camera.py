# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Rays of pixels, against OpenCV's own projection."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.lifting import camera as module
from sam2_tracker.core.lifting.camera import Camera

SIZE, FOCAL, CENTRE = (64, 48), (50.0, 52.0), (30.0, 25.0)
MATRIX = np.array([[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1]])
LENSES = {
    'plumb_bob': (-0.28, 0.07, 0.0012, -0.0008, 0.01),
    'rational_polynomial': (0.6, -0.4, 0.001, 0.0005, 0.05, 0.9, -0.3, 0.02),
    'equidistant': (-0.02, 0.003, -0.001, 0.0002),
}


def projected(rays: np.ndarray, model: str, lens: tuple[float, ...]) -> np.ndarray:
    """Project rays as OpenCV does: (n, 2) pixels."""
    points = np.column_stack([rays.reshape(-1, 2), np.ones(rays[..., 0].size)])[:, None]
    nowhere = np.zeros(3)
    if model == 'equidistant':
        return cv2.fisheye.projectPoints(points, nowhere, nowhere, MATRIX, np.array(lens))[0][:, 0]
    return cv2.projectPoints(points, nowhere, nowhere, MATRIX, np.array(lens))[0][:, 0]


def pixels() -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.column_stack([columns.ravel(), rows.ravel()])


@pytest.mark.parametrize('model', LENSES)
def test_each_ray_is_projected_to_its_own_pixel(model):
    rays = Camera(SIZE, FOCAL, CENTRE, model, LENSES[model]).rays()
    assert rays.shape == (48, 64, 2) and rays.dtype == np.float32
    assert np.abs(projected(rays.astype(float), model, LENSES[model]) - pixels()).max() < 0.01


def test_a_large_picture_takes_no_more_steps_than_it_needs_and_little_memory(monkeypatch):
    lens, counted = Camera((640, 480), (500.0, 500.0), (320.0, 240.0), 'plumb_bob',
                           (-0.1, 0.02, 0.001, -0.001, 0.0)), []
    step = module._radial_and_tangential
    monkeypatch.setattr(module, '_radial_and_tangential',
                        lambda rays, k: counted.append(rays.shape[1]) or step(rays, k))
    tracemalloc.start()
    rays = lens.rays()
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(counted) < 20 * 640 * 480 and max(counted) < 10_000
    assert most_bytes < 2 * rays.nbytes


def test_without_distortion_the_rays_are_a_pinhole_s():
    for lens in ((), (0.0, 0.0, 0.0, 0.0, 0.0)):
        rays = Camera(SIZE, FOCAL, CENTRE, 'whatever', lens).rays()
        assert np.allclose(rays[25, 30], 0) and np.allclose(rays[24, 40], (0.2, -1 / 52))


def test_a_pixel_that_no_ray_ends_on_has_none():
    """So strong a lens bends nothing to the corners."""
    rays = Camera(SIZE, FOCAL, CENTRE, 'plumb_bob', (-0.9, 0.0, 0.0, 0.0)).rays()
    assert np.isnan(rays[0, 0]).all() and np.isfinite(rays[20:30, 25:35]).all()
    seen = np.isfinite(rays).all(axis=-1).ravel()
    back = projected(np.nan_to_num(rays).astype(float), 'plumb_bob', (-0.9, 0.0, 0.0, 0.0))
    assert np.abs(back - pixels())[seen].max() < 0.1


def test_a_fisheye_s_pixel_beyond_the_side_has_none():
    rays = Camera((400, 48), FOCAL, (200.0, 25.0), 'equidistant', (0.01, 0.0, 0.0, 0.0)).rays()
    assert np.isnan(rays[25, 0]).all() and np.isfinite(rays[25, 190:210]).all()


@pytest.mark.parametrize('scale', [0.5, 2, 3])
def test_another_resolution_sees_the_same_view(scale):
    camera = Camera(SIZE, FOCAL, CENTRE, 'plumb_bob', LENSES['plumb_bob'])
    other = camera.scaled_to((round(64 * scale), round(48 * scale)))
    # The corner of the picture stays where it is: half a pixel before the middle of the first.
    assert (other.centre_xy[0] + 0.5) / other.focal_xy[0] == pytest.approx(30.5 / 50)
    if scale == 3:
        assert np.allclose(other.rays()[1::3, 1::3], camera.rays(), atol=1e-6)


def test_heights_may_be_rounded_and_another_view_is_refused():
    camera = Camera((1280, 720), (900.0, 900.0), (640.0, 360.0))
    assert camera.scaled_to((848, 477)).size == (848, 477)
    with pytest.raises(FrameError, match='depth is 640x480, the camera 1280x720: both have to'):
        camera.scaled_to((640, 480))


@pytest.mark.parametrize(('change', 'sentence'), [
    ({'focal_xy': (0.0, 0.0)}, 'camera of 64x48 pixels with focal lengths 0 and 0 is not calib'),
    ({'focal_xy': (float('nan'), 1.0)}, 'camera of 64x48 pixels has a calibration with nan in it'),
    ({'distortion': (0.1, float('inf'))}, 'with inf in it: finite numbers are right'),
    ({'size': (0, 0)}, 'camera of 0x0 pixels'),
    ({'model': 'thin_prism', 'distortion': (0.1,)}, "distortion model 'thin_prism' is not known: "
                                                    'use one of plumb_bob, rational_polynomial'),
    ({'model': 'equidistant', 'distortion': (0.1,) * 5}, 'equidistant has 5 coefficients: up '
                                                         'to 4'),
])
def test_what_cannot_be_used_is_refused(change, sentence):
    with pytest.raises(FrameError, match=sentence):
        Camera(**{'size': SIZE, 'focal_xy': FOCAL, 'centre_xy': CENTRE, **change})


def test_further_coefficients_may_be_0():
    lens = (*LENSES['plumb_bob'], 0.0, 0.0, 0.0)
    assert Camera(SIZE, FOCAL, CENTRE, 'plumb_bob', lens).is_distorted
