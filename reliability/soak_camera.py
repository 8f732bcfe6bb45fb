# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The soak's camera, a process of its own: its stamps jump, its size changes, it pauses.

    python -m reliability.soak_camera LOG [--seed 7] [--period-s 0.25]

Into LOG goes a line for each picture that has to have a result: its stamp. Pictures whose stamp
goes back by less than a second are dropped by contract, and not listed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from random import Random
import threading
import time

from reliability.pictures import picture
from reliability.robot import NS_PER_S, Robot

SIZES = ((120, 160), (90, 120), (128, 128), (60, 80))
# More than that and it waits: the soak is about losses, not about speed.
MOST_OUTSTANDING = 30
_SETTLES = 6
_RESTART_NS = NS_PER_S


class Camera:
    """Publishes one picture after the other, and now and then does something odd."""

    def __init__(self, robot: Robot, log: Path, seed: int, period_s: float) -> None:
        self._robot = robot
        self._log = log.open('w', buffering=1)
        self._random = Random(seed)
        self._period_s = period_s
        self._hw = SIZES[0]
        self._newest_ns = 0
        self._number = 0
        self._since_odd = 0
        self._listed: set[int] = set()

    def shoot(self) -> None:
        """Publish the next picture when the tracker is not too far behind."""
        self._since_odd += 1
        # Each oddity lasts for a while: a single odd picture counts as a bad one.
        if self._since_odd > _SETTLES:
            self._maybe_odd()
        stamp_ns = self._robot.next_stamp(self._period_s)
        back_ns = self._newest_ns - stamp_ns
        if not 0 <= back_ns < _RESTART_NS:
            self._newest_ns = stamp_ns
            self._listed.add(stamp_ns)
            self._log.write(f'{stamp_ns}\n')
        self._robot.send(self._robot.image(picture(self._number, self._hw), stamp_ns))
        self._number += 1
        time.sleep(self._period_s)
        self._robot.wait(lambda: len(self._listed - self._robot.stamps()) < MOST_OUTSTANDING, 5.0)

    def _maybe_odd(self) -> None:
        chance = self._random.random()
        if chance < 0.004:
            self._robot.stamp_ns -= 8 * NS_PER_S
        elif chance < 0.012:
            self._robot.stamp_ns -= NS_PER_S * 8 // 10
        elif chance < 0.018:
            self._robot.stamp_ns += 30 * NS_PER_S
        elif chance < 0.026:
            self._hw = self._random.choice(SIZES)
        elif chance < 0.034:
            pause_s = self._random.uniform(1.0, 4.0)
            self._robot.stamp_ns += round(pause_s * NS_PER_S)
            time.sleep(pause_s)
        else:
            return
        self._since_odd = 0


def main() -> None:
    """Publish until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('log', type=Path)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--period-s', type=float, default=0.25)
    options = parser.parse_args()
    robot = Robot(int(os.environ.get('ROS_DOMAIN_ID', '0')), name='camera')
    # Its own parent is gone: nobody will end it.
    parent = os.getppid()
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    robot.wait(robot.camera.get_subscription_count, 60.0)
    camera = Camera(robot, options.log, options.seed, options.period_s)
    while True:
        camera.shoot()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == '__main__':
    main()
