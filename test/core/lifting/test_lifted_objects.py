# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Centroid, extent and points of things whose depth is generated from their shape."""

from __future__ import annotations

from depth_scenes import box, CAMERA, plate, sphere, WALL_M
import numpy as np
import pytest
from sam2_tracker.core.errors import ConfigError, FrameError
from sam2_tracker.core.lifting.camera import Camera
from sam2_tracker.core.lifting.objects import lift_objects, LiftConfig, sampled

CENTRE = np.array([0.2, -0.1, 2.0])
RADIUS = 0.3


def lift(scene, *, labels=None, **settings):
    """Lift the one object of a scene."""
    labels = scene.labels() if labels is None else labels
    found = lift_objects(
        scene.depth_m, labels, scene.camera.rays(), [7], LiftConfig(**settings))
    assert [each.id for each in found] == [7]
    return found[0]


def assert_centroid(lifted, true_xyz, share=0.01):
    """Within a share of the distance."""
    error_m = np.linalg.norm(np.subtract(lifted.centroid_xyz, true_xyz))
    assert error_m < share * np.linalg.norm(true_xyz), (lifted.centroid_xyz, true_xyz)


def assert_on_sphere(points):
    assert np.abs(np.linalg.norm(points - CENTRE, axis=1) - RADIUS).max() < 1e-4


def visible_centroid(centre, radius):
    """Return the mean of what is seen, each part by its area and its plane's distance."""
    distance = np.linalg.norm(centre)
    height = radius * (2 + radius / distance) / 3
    return np.asarray(centre) * (1 - height / distance)


@pytest.fixture(name='ball')
def ball_fixture():
    return sphere(CENTRE, RADIUS)


def test_a_sphere_s_points_lie_on_it_and_its_visible_half_is_measured(ball):
    lifted = lift(ball)
    assert_on_sphere(lifted.points_xyz)
    assert len(lifted.points_xyz) > 0.85 * np.count_nonzero(ball.mask)
    assert_centroid(lifted, visible_centroid(CENTRE, RADIUS))
    # The rim is left out: what is seen at the smallest angles.
    assert np.allclose(lifted.box_centre_xyz[:2], CENTRE[:2], atol=0.02)
    assert 1.8 * RADIUS < lifted.box_size_xyz[0] < 2 * RADIUS


@pytest.mark.parametrize('normal', [(0, 0, -1), (1, 0, -1), (0, 2, -1), (-1.5, 1, -1)])
def test_a_plate_s_middle_is_found_however_it_is_turned(normal):
    scene = plate(CENTRE, normal, 0.4)
    lifted = lift(scene)
    # Its near half has more pixels: the plain mean of the points would be wrong.
    assert_centroid(lifted, CENTRE, 0.005)
    unit = np.asarray(normal) / np.linalg.norm(normal)
    assert np.abs((lifted.points_xyz - CENTRE) @ unit).max() < 1e-4


def test_the_plain_mean_of_the_points_would_not_do():
    scene = plate(CENTRE, (1, 0, -0.5), 0.4)
    lifted = lift(scene)
    assert_centroid(lifted, CENTRE, 0.005)
    off = np.linalg.norm(lifted.points_xyz.mean(axis=0) - CENTRE)
    assert off > 2 * np.linalg.norm(np.subtract(lifted.centroid_xyz, CENTRE))


def test_a_box_s_visible_sides_give_its_extent():
    low, high = np.array([0.4, 0.3, 1.5]), np.array([0.75, 0.55, 2.0])
    scene = box(low, high)
    lifted = lift(scene, edge_px=1, trim_percent=0.0)
    assert np.allclose(lifted.box_size_xyz, high - low, atol=0.03)
    assert np.allclose(lifted.box_centre_xyz, (low + high) / 2, atol=0.015)
    on_a_side = np.minimum(np.abs(lifted.points_xyz - low), np.abs(lifted.points_xyz - high))
    assert on_a_side.min(axis=1).max() < 1e-4
    # Left, upper and front side; of the first two the camera sees all, too.
    # A side counts by its area, and by how far its plane is: what is seen of it from here.
    weights = np.array([0.25 * 0.5 * 0.4, 0.35 * 0.5 * 0.3, 0.35 * 0.25 * 1.5])
    middle = (low + high) / 2
    sides = np.array([[low[0], middle[1], middle[2]], [middle[0], low[1], middle[2]],
                      [middle[0], middle[1], low[2]]])
    assert_centroid(lifted, weights @ sides / weights.sum())


@pytest.mark.parametrize('pixels', [1, 2])
def test_a_mask_that_reaches_over_the_wall_adds_no_points(ball, pixels):
    lifted = lift(ball.grown(pixels))
    assert_on_sphere(lifted.points_xyz)
    assert_centroid(lifted, visible_centroid(CENTRE, RADIUS))


def test_a_mask_that_reaches_far_over_the_wall_leaves_the_nearer_surface_alone(ball):
    lifted = lift(ball.grown(6))
    assert_on_sphere(lifted.points_xyz)


@pytest.mark.parametrize('pixels', [0, 2, 4])
def test_points_that_hang_between_thing_and_wall_are_left_out(ball, pixels):
    scene = ball.blurred().grown(pixels)
    points = lift(scene).points_xyz
    off_m = np.linalg.norm(points - CENTRE, axis=1) - RADIUS
    # Blurring moves the rim's own depth a little, too.
    assert np.abs(off_m).max() < 0.1 * RADIUS
    assert_centroid(lift(scene), visible_centroid(CENTRE, RADIUS))


@pytest.mark.parametrize('is_ruled', [True, False])
def test_the_rule_for_hanging_points_is_what_leaves_them_out(is_ruled, monkeypatch):
    """The wall is so near that what hangs leaves no gap."""
    if not is_ruled:
        monkeypatch.setattr('sam2_tracker.core.lifting.objects._between_surfaces',
                            lambda depth_m, rays: np.zeros(depth_m.shape, bool))
    scene = sphere(CENTRE, 0.1, wall_m=2.4).blurred().grown(2)
    points = lift(scene, edge_px=0).points_xyz
    off_m = np.abs(np.linalg.norm(points - CENTRE, axis=1) - 0.1).max()
    assert (off_m < 0.02) == is_ruled


@pytest.mark.parametrize('hole', [0.0, np.nan, np.inf, -np.inf, -1.0])
def test_holes_are_no_points(ball, hole):
    random = np.random.default_rng(0)
    ball.depth_m[random.random(ball.depth_m.shape) < 0.2] = hole
    lifted = lift(ball)
    assert_on_sphere(lifted.points_xyz)
    assert len(lifted.points_xyz) > 0.4 * np.count_nonzero(ball.mask)
    assert_centroid(lifted, visible_centroid(CENTRE, RADIUS))


@pytest.mark.parametrize('nothing', [0.0, np.nan])
def test_without_depth_there_is_no_object(ball, nothing):
    ball.depth_m[ball.mask] = nothing
    assert lift_objects(ball.depth_m, ball.labels(), CAMERA.rays(), [7], LiftConfig()) == ()


def test_an_object_with_few_points_is_left_out(ball):
    ball.depth_m[ball.mask] = 0
    ball.depth_m[200:203, 370:375] = 2.0
    settings = {'min_points': 16, 'edge_px': 0}
    assert lift_objects(ball.depth_m, ball.labels(), CAMERA.rays(), [7],
                        LiftConfig(**settings)) == ()
    settings['min_points'] = 8
    assert len(lift(ball, **settings).points_xyz) >= 8


def test_noise_of_the_sensor_moves_the_centroid_little(ball):
    noise = np.random.default_rng(0).normal(0, 0.01, ball.depth_m.shape)
    ball.depth_m[:] += noise.astype(np.float32)
    assert_centroid(lift(ball), visible_centroid(CENTRE, RADIUS))


def test_several_objects_keep_their_ids_and_their_points():
    left, right = sphere((-0.5, 0, 2.0), 0.3), sphere((0.5, 0, 3.0), 0.3)
    depth = np.minimum(left.depth_m, right.depth_m)
    labels = left.labels(3) + right.labels(5)
    found = lift_objects(depth, labels, CAMERA.rays(), [5, 4, 3], LiftConfig())
    assert [each.id for each in found] == [5, 3]
    assert found[0].centroid_xyz[0] > 0.4 and found[1].centroid_xyz[0] < -0.4


def test_depth_beyond_the_limit_counts_as_none(ball):
    assert lift_objects(ball.depth_m, ball.labels(), CAMERA.rays(), [7],
                        LiftConfig(max_depth_m=1.5)) == ()
    assert_on_sphere(lift(ball, max_depth_m=3.0).points_xyz)


def test_a_thin_mask_keeps_its_rim():
    scene = plate((0, 0, 2.0), (0, 0, -1), 0.4)
    scene.mask[:, :318] = scene.mask[:, 321:] = False
    points = lift(scene, edge_px=2).points_xyz
    assert len(points) == np.count_nonzero(scene.mask)


@pytest.mark.parametrize(('width', 'height'), [(1280, 960), (320, 240), (1920, 1440), (480, 360)])
def test_labels_of_another_resolution_are_read_in_the_middle_of_pixels(ball, width, height):
    """The mask comes from a picture of another size than the depth."""
    other = sphere(CENTRE, RADIUS, CAMERA.scaled_to((width, height)))
    lifted = lift(ball, labels=other.labels())
    assert_on_sphere(lifted.points_xyz)
    assert_centroid(lifted, visible_centroid(CENTRE, RADIUS))
    assert abs(np.count_nonzero(sampled(other.labels(), (480, 640)))
               - np.count_nonzero(ball.mask)) < 0.05 * np.count_nonzero(ball.mask)


def test_labels_of_another_view_are_refused(ball):
    with pytest.raises(FrameError, match='depth is 640x480, the label image 640x400: both have'):
        lift(ball, labels=np.zeros((400, 640), np.uint16))


def test_a_distorted_camera_s_points_lie_on_the_sphere():
    camera = Camera((320, 240), (200.0, 200.0), (161.0, 118.0), 'plumb_bob',
                    (-0.3, 0.1, 0.002, -0.001, -0.02))
    scene = sphere((0.9, 0.5, 2.0), RADIUS, camera)
    points = lift(scene).points_xyz
    off_m = np.abs(np.linalg.norm(points - (0.9, 0.5, 2.0), axis=1) - RADIUS)
    assert off_m.max() < 1e-4
    pinhole = Camera((320, 240), (200.0, 200.0), (161.0, 118.0))
    wrong = lift_objects(scene.depth_m, scene.labels(), pinhole.rays(), [7], LiftConfig())
    assert np.linalg.norm(np.subtract(wrong[0].centroid_xyz, points.mean(axis=0))) > 0.05


def test_a_wall_that_most_of_the_mask_shows_is_the_object(ball):
    labels = np.full(ball.mask.shape, 7, np.uint16)
    assert np.allclose(lift(ball, labels=labels).points_xyz[:, 2], WALL_M)


def test_a_tolerance_longer_than_what_is_kept_is_refused():
    with pytest.raises(ConfigError, match="'stamp_tolerance_s' is 6: it is at most keep_s"):
        LiftConfig(stamp_tolerance_s=6.0).check()
