# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Single odd pictures, stamps and sizes between ordinary ones, and streams that change."""

from __future__ import annotations

import time

import numpy as np
from reliability.pictures import encoded, picture, red_centre
from reliability.robot import click, NS_PER_S
from reliability.stage import Live, Stage
from reliability.verdicts import expect, fault

VISIBLE, OCCLUDED, LOST = 1, 2, 3
_YEAR_NS = 365 * 86400 * NS_PER_S


def _unharmed(live: Live, past_ns: int) -> None:
    """Make sure that object 1 is tracked, and that prompts reach back to before the fault."""
    live.shoot(4)
    live.track()
    objects = live.objects()
    expect(1 in objects, f'object 1 is gone; there are {sorted(objects)}')
    expect(objects[1].state == VISIBLE,
           f'object 1 is {("unknown", "visible", "occluded", "lost")[objects[1].state]}')
    reply = live.answer(live.robot.add([click(120, 60)], past_ns, preview_only=True))
    expect(reply.success, f'a prompt on a frame before it is refused: {reply.message}')
    size = f'{live.hw[1]}x{live.hw[0]}'
    expect(f'from {size} to {size}' not in live.log,
           f'the log says that the picture changed from {size} to {size}')


def _flip_height(payload: bytes) -> bytes:
    """Flip one bit of the height that a JPEG says of itself."""
    flipped = bytearray(payload)
    flipped[flipped.index(b'\xff\xc0') + 5] ^= 0x02
    return bytes(flipped)


@fault("One bit of a JPEG's size is flipped: that picture is dropped and counted, the "
       'object is tracked on, prompts reach back.')
def flipped_bit_in_size(stage: Stage) -> None:
    live = stage.live(compressed=True, is_still=True)
    past_ns = live.shoot(5)[0]
    before = live.figure('images refused') + live.figure('frames dropped')
    live.robot.send(live.robot.jpeg(_flip_height(encoded(picture(0))), live.robot.next_stamp()))
    _unharmed(live, past_ns)
    after = live.figure('images refused') + live.figure('frames dropped')
    expect(after > before, 'the picture is counted nowhere')


@fault('One whole picture of another size between two of the old: dropped and counted, the '
       'object is tracked on.')
def one_picture_of_another_size(stage: Stage) -> None:
    live = stage.live(is_still=True)
    past_ns = live.shoot(5)[0]
    live.robot.send(live.robot.image(picture(0, (60, 90)), live.robot.next_stamp()))
    _unharmed(live, past_ns)


def _one_odd_stamp(stage: Stage, first_ns: int, odd_ns: int) -> None:
    live = stage.live(is_active=False)
    live.robot.is_still = True
    live.robot.stamp_ns = first_ns
    live.wait_until_active()
    live.shoot(3)
    live.add_red()
    past_ns = live.shoot(5)[0]
    live.begin()
    live.robot.send(live.robot.image(picture(0), odd_ns))
    _unharmed(live, past_ns)


@fault("One stamp of 0 between ordinary ones of a clock that is not the receiver's: the "
       'object is tracked on.')
def single_stamp_of_zero(stage: Stage) -> None:
    _one_odd_stamp(stage, 1000 * NS_PER_S, 0)


@fault('One stamp a year ahead between ordinary ones: the object is tracked on.')
def single_stamp_far_ahead(stage: Stage) -> None:
    now_ns = time.time_ns()
    _one_odd_stamp(stage, now_ns, now_ns + _YEAR_NS)


@fault('The size changes for good under `every`: objects are carried over and every picture '
       'has its result.')
def size_changes_for_good(stage: Stage) -> None:
    live = stage.live({'frame_policy': 'every'}, is_still=True)
    stamps = live.shoot(4)
    live.hw = (90, 120)
    stamps += live.shoot(6)
    live.track()
    came = live.wait_for_results(stamps)
    stage.lost = f'{len(stamps) - came} of {len(stamps)} results'
    expect(came == len(stamps), f'{len(stamps) - came} of {len(stamps)} pictures have no result')
    expect(live.objects()[1].state == VISIBLE, 'the object was not carried over')


def _without_red(live: Live) -> int:
    """Send the picture without the red square; return its stamp."""
    stamp_ns = live.robot.next_stamp()
    live.robot.send(live.robot.image(picture(0, live.hw, has_red=False), stamp_ns))
    time.sleep(0.1)
    return stamp_ns


@fault('The size changes while the object is occluded: it is carried by its memory and '
       'found again when it is seen.')
def occluded_at_change_of_size(stage: Stage) -> None:
    live = stage.live({'tracking.lost_after_s': 60.0}, is_still=True)
    live.shoot(4)
    live.wait_for_results([_without_red(live) for _ in range(8)][-1:])
    expect(live.objects()[1].state != VISIBLE, 'it counts as visible where it is hidden')
    live.hw = (90, 120)
    live.wait_for_results([_without_red(live) for _ in range(5)][-1:])
    live.shoot(8)
    live.track()
    found = live.objects().get(1)
    x, y = red_centre(0, live.hw)
    expect(found and found.state == VISIBLE, 'it is not found again')
    expect(abs(found.centroid.x - x) < 12 and abs(found.centroid.y - y) < 12,
           f'it is taken to be at ({found.centroid.x:.0f}, {found.centroid.y:.0f}), '
           f'not ({x}, {y})')


@fault('Stamps go back by 8 s, as a looped bag does: every object is LOST once, then '
       'new ones can be prompted.')
def stamps_go_back(stage: Stage) -> None:
    live = stage.live()
    live.shoot(3)
    since = len(live.robot.results)
    live.robot.stamp_ns -= 8 * NS_PER_S
    live.shoot(3)
    live.track()
    states = [each.states.get(1) for each in live.robot.results[since:]]
    expect(LOST in states, 'no result says that the object is lost')
    live.add_red()
    live.track()


@fault('A text that is no UTF-8 as frame_id and as encoding, as a C++ driver can send '
       'it: the stream goes on.')
def texts_that_are_no_utf8(stage: Stage) -> None:
    from rclpy.serialization import serialize_message

    live = stage.live()
    for good, bad in ((b'camera\0', b'\xff\xfe\xfdabc\0'), (b'rgb8\0', b'\xff\xc0b8\0')):
        message = live.robot.image(picture(0), live.robot.next_stamp())
        live.robot.camera.publish(serialize_message(message).replace(good, bad, 1))
        live.track()
    expect(1 in live.objects(), 'the object is gone')


@fault('The clock (`use_sim_time`) and the stamps jump back, then are 0: the stream '
       'goes on.')
def simulated_time_jumps(stage: Stage) -> None:
    from reliability.robot import to_stamp
    from rosgraph_msgs.msg import Clock

    live = stage.live({'use_sim_time': True}, is_active=False)
    clock = live.robot.node.create_publisher(Clock, '/clock', 10)
    live.robot.stamp_ns = 100 * NS_PER_S
    live.wait_until_active()
    for back_s in (0.0, 50.0, 90.0):
        live.robot.stamp_ns -= int(back_s * NS_PER_S) if back_s == 50.0 else 0
        for _ in range(4):
            clock.publish(Clock(clock=to_stamp(max(0, live.robot.stamp_ns
                                                   - int(back_s * NS_PER_S)))))
            live.shoot()
        live.track()
    live.robot.send(live.robot.image(picture(0), 0))
    live.track()


@fault('A burst of noise beyond buffer.max_bytes under `every`: each lost frame is '
       'counted and reported as an ERROR.')
def burst_beyond_the_buffer(stage: Stage) -> None:
    live = stage.live({'frame_policy': 'every', 'buffer.max_bytes': 1048576,
                       'buffer.jpeg_quality': 100}, hw=(240, 320), objects=4)
    noise, stamps = np.random.default_rng(0), []
    for _ in range(60):
        stamps.append(live.robot.next_stamp())
        pixels = noise.integers(0, 255, (*live.hw, 3), np.uint8)
        live.robot.send(live.robot.image(pixels, stamps[-1]))
        time.sleep(0.01)
    came = live.wait_for_results(stamps, 25.0)
    live.track()
    counted = live.figure('frames lost')
    stage.lost = f'{len(stamps) - came} of {len(stamps)} frames, {counted:.0f} counted'
    expect(len(stamps) - came == counted, f'{len(stamps) - came} frames have no result, '
                                          f'{counted:.0f} are counted as lost')
    expect(not counted or 'ERROR' in live.said, 'the log does not say it')
