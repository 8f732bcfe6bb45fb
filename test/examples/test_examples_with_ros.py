# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The examples that use rclpy: real processes, a real video, the bundled model."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

import cv2
import numpy as np
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401

from demo.fetch_clip import VIDEO
from demo.scene import box_iou, FIRST_FRAME, HAND_BOXES, LAST_FRAME
from sam2_tracker.core.types import Box

DOMAIN_ID = 47
RATE_HZ = 5.0
needs_video = pytest.mark.skipif(
    not VIDEO.is_file(), reason=f'{VIDEO} is missing: python -m demo.fetch_clip'
)


def box_of(mask: np.ndarray) -> Box:
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    return Box(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)


def prompt_in(graph: Any, box: Box, preview_only: bool) -> Any:
    """Prompt the newest frame as soon as there is one."""
    from ros_graph import wait_until
    from sensor_msgs.msg import RegionOfInterest

    from sam2_tracker_msgs.msg import Prompt
    from sam2_tracker_msgs.srv import AddPrompts

    region = RegionOfInterest(
        x_offset=box.x, y_offset=box.y, width=box.width, height=box.height
    )
    request = AddPrompts.Request(prompts=[Prompt(box=region)], preview_only=preview_only)
    name = '/sam2_tracker/add_prompts'
    return wait_until(lambda: (reply := graph.call(AddPrompts, name, request)).success and reply)


@pytest.fixture
def play(graph: Any, start: Any) -> Any:
    """Start a tracker and a video that stands on its first frame; return what lets it go on."""
    from std_srvs.srv import Trigger

    start('tracker', **{'device': 'cpu', 'tracking.lost_after_s': 0.3}).wait_until_active()
    start(
        'video_source', path=VIDEO, first_frame=FIRST_FRAME, last_frame=LAST_FRAME,
        rate=RATE_HZ, loop=True, hold_first=True, wait_for_subscriber=True,
    )
    return lambda: graph.call(Trigger, '/video_source/play')


def test_a_click_gives_the_mask_of_the_thing_pointed_at(
    graph: Any, start: Any, tmp_path: Path
) -> None:
    from ros_graph import wait_until
    from tracker_runner import TestCamera

    start('tracker', device='cpu').wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    camera.publish()
    x, y = camera.centre(0)
    prompt_in(graph, Box(int(x), int(y), 8, 8), preview_only=True)
    png = tmp_path / 'disc.png'
    click = start('click.py', f'{x:.0f}', f'{y:.0f}', '--label', 'disc', '--output', str(png))
    click.wait_for('object 1: ')
    wait_until(lambda: camera.publish() and click.process.poll() is not None, what='the mask')
    assert click.process.returncode == 0, click.output
    disc = (camera.picture(0) == (230, 40, 30)).all(axis=2)
    area, *box = (int(number) for number in re.findall(r'\d+', click.output)[1:6])
    assert box_iou(Box(*box), box_of(disc)) > 0.8
    assert area == pytest.approx(np.count_nonzero(disc), rel=0.2)
    mask = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(disc & (mask > 0)) > 0.8 * np.count_nonzero(disc | (mask > 0))


def test_a_click_without_a_tracker_says_so(start: Any) -> None:
    click = start('click.py', '1', '1')
    assert click.process.wait(60) == 1
    assert '/sam2_tracker/add_prompts is not there: is the tracker running?' in click.output


@needs_video
def test_a_follower_steers_after_the_man_and_says_when_he_is_lost_and_found_again(
    graph: Any, start: Any, play: Any
) -> None:
    prompt_in(graph, HAND_BOXES[0]['man'], preview_only=False)
    follow = start('follow.py', '1')
    follow.wait_for('steer -')
    play()
    follow.wait_for('object 1 is lost')
    follow.wait_for('object 1 is found again')
    follow.assert_ends_cleanly()
