# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The console's parts by themselves: pictures joined, bytes, undo, and what a page may ask."""

from __future__ import annotations

import asyncio
import json
import struct

from console_rig import result_of
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import ObjectState, Prompt, TrackedObject
from sam2_tracker.web.encoding import frame_message, picture_as_jpeg, runs_of, scaled_labels
from sam2_tracker.web.history import History, Made
from sam2_tracker.web.requests import PageError, parse
from sam2_tracker.web.stream import MAX_PICTURES, PATIENCE_S, Shown, Stream
from sam2_tracker.web.tracker_client import Health, Picture

HW = (48, 64)
CUP = (TrackedObject(1, 'cup', ObjectState.VISIBLE, 0.9),)
ACTIVE = Health('ok', 'active', '')


def picture(stamp_ns: int, payload: bytes | None = None) -> Picture:
    pixels = np.full((*HW, 3), stamp_ns % 256, np.uint8)
    return Picture(stamp_ns, HW, lambda: pixels, payload)


def no_labels() -> np.ndarray:
    return np.zeros(HW, np.uint16)


class Clock:
    """A clock that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(name='clock')
def clock_fixture() -> Clock:
    return Clock()


@pytest.fixture(name='stream')
def stream_fixture(clock: Clock) -> Stream:
    stream = Stream(clock)
    stream.on_health(ACTIVE)
    return stream


def test_without_objects_every_picture_is_shown_at_once(stream: Stream) -> None:
    for stamp_ns in (1, 2):
        stream.on_picture(picture(stamp_ns))
        assert stream.newest.picture.stamp_ns == stamp_ns
        assert stream.newest.labels is None and not stream.newest.is_result


@pytest.mark.parametrize('order', ['picture first', 'picture last'])
def test_a_picture_is_shown_with_the_objects_and_masks_of_its_own_stamp(
        stream: Stream, order: str) -> None:
    stream.on_objects(0, CUP)
    if order == 'picture first':
        stream.on_picture(picture(7))
    stream.on_objects(7, CUP)
    stream.on_labels(7, no_labels)
    if order == 'picture last':
        stream.on_picture(picture(7))
    shown = stream.newest
    assert (shown.picture.stamp_ns, shown.objects, shown.labels) == (7, CUP, no_labels)
    assert shown.is_result


def test_pictures_whose_results_are_missing_are_never_shown_with_others(
        stream: Stream, clock: Clock) -> None:
    stream.on_objects(0, CUP)
    for stamp_ns in (1, 2, 3):
        stream.on_picture(picture(stamp_ns))
    assert stream.newest is None
    stream.on_objects(2, CUP)
    stream.on_labels(2, no_labels)
    assert stream.newest.picture.stamp_ns == 2
    clock.now_s += PATIENCE_S + 3 * PATIENCE_S
    stream.on_picture(picture(4))
    assert stream.newest.picture.stamp_ns == 4
    assert not stream.newest.is_result and stream.newest.labels is None


@pytest.mark.parametrize('health', [
    Health('ok', 'active', 'paused', {'paused': 'true'}), Health('error', 'away', ''),
    Health('ok', 'inactive', '')])
def test_while_no_results_can_come_pictures_do_not_wait(stream: Stream, health: Health) -> None:
    stream.on_objects(0, CUP)
    stream.on_health(health)
    stream.on_picture(picture(5))
    assert stream.newest.picture.stamp_ns == 5


def test_a_slow_tracker_s_pictures_wait_longer(stream: Stream, clock: Clock) -> None:
    stream.on_objects(0, CUP)
    for stamp_ns in range(1, 6):
        clock.now_s += 0.9
        stream.on_picture(picture(stamp_ns))
        stream.on_objects(stamp_ns, CUP)
        stream.on_labels(stamp_ns, no_labels)
    clock.now_s += 1.8
    stream.on_picture(picture(9))
    assert stream.newest.picture.stamp_ns == 5


def test_what_waits_for_masks_is_bounded(stream: Stream) -> None:
    stream.on_objects(0, CUP)
    for stamp_ns in range(1, 3 * MAX_PICTURES):
        stream.on_picture(picture(stamp_ns))
        stream.on_labels(-stamp_ns, no_labels)
    assert len(stream._pictures) == MAX_PICTURES
    assert len(stream._labels) <= 2 * MAX_PICTURES


def test_who_waits_for_a_newer_picture_gets_the_newest(stream: Stream) -> None:
    async def wait() -> Shown:
        waiting = asyncio.ensure_future(stream.newer_than(1))
        for stamp_ns in (1, 2, 3):
            stream.on_picture(picture(stamp_ns))
        return await waiting

    assert result_of(wait()).picture.stamp_ns == 3


def unfolded(runs: bytes, hw: tuple[int, int]) -> np.ndarray:
    pairs = np.frombuffer(runs, '<u2').reshape(-1, 2)
    return np.repeat(pairs[:, 0], pairs[:, 1]).reshape(hw)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_masks_are_the_same_after_their_runs_are_unfolded(
        height: int, width: int, seed: int, ids: int) -> None:
    labels = np.random.default_rng(seed).integers(0, ids, (height, width)).astype(np.uint16)
    assert (unfolded(runs_of(labels), labels.shape) == labels).all()


def test_runs_longer_than_two_bytes_are_told_in_pieces() -> None:
    labels = np.zeros((500, 700), np.uint16)
    labels[400:, :] = 65535
    assert (unfolded(runs_of(labels), labels.shape) == labels).all()


def test_masks_are_scaled_like_the_picture() -> None:
    labels = np.zeros((4, 8), np.uint16)
    labels[:, 4:] = 3
    assert scaled_labels(labels, (2, 4)).tolist() == [[0, 0, 3, 3]] * 2


def test_a_frame_s_message_has_its_stamp_as_text_and_all_its_parts() -> None:
    stamp_ns = 1_700_000_000_123_456_789
    labels = no_labels()
    labels[:10] = 1
    shown = Shown(1, picture(stamp_ns), CUP, lambda: labels, is_result=True)
    message = frame_message(shown, max_side=32, quality=80)
    length = struct.unpack('<I', message[:4])[0]
    header = json.loads(message[4:4 + length])
    assert (header['stamp'], header['width'], header['height']) == (str(stamp_ns), 64, 48)
    assert header['labels'] == {'bytes': header['labels']['bytes'], 'height': 24, 'width': 32}
    payload = message[4 + length:4 + length + header['jpeg']]
    assert jpeg.decode(payload).shape == (24, 32, 3)
    runs = message[4 + length + header['jpeg']:]
    assert (unfolded(runs, (24, 32)) == scaled_labels(labels, (24, 32))).all()


def test_a_jpeg_goes_on_as_it_came_unless_it_is_too_large_or_would_be_turned() -> None:
    payload = jpeg.encode(np.zeros((*HW, 3), np.uint8), 90)
    assert picture_as_jpeg(picture(1, payload), 0, 50) is payload
    assert picture_as_jpeg(picture(1, payload), 32, 50) != payload
    turned = payload[:2] + b'\xff\xe1\x00\x08Exif\0\0' + payload[2:]
    assert b'Exif' not in picture_as_jpeg(picture(1, turned), 0, 50)


def made(object_id: int, stamp_ns: int, x: float, is_first: bool = False) -> Made:
    prompt = Prompt(object_id=object_id, points_xy=np.array([[x, 1]], np.float32),
                    point_labels=np.ones(1, np.int32))
    return Made(stamp_ns, prompt, is_first)


def calls_of(history: History) -> list[tuple[bool, list[float]]]:
    undo = history.undo()
    assert not undo.remove
    return [(call.clear_previous, call.prompt.points_xy[:, 0].tolist()) for call in undo.calls]


def test_undo_of_the_prompt_that_made_an_object_removes_it() -> None:
    history = History()
    assert history.undo() is None
    history.add(made(1, 10, 5, is_first=True))
    assert history.undo().remove


def test_undo_on_another_frame_takes_back_all_there_and_sends_the_others_again() -> None:
    history = History()
    for each in (made(1, 10, 5, is_first=True), made(1, 20, 6), made(2, 20, 9, is_first=True),
                 made(1, 20, 7), made(1, 20, 8)):
        history.add(each)
    assert calls_of(history) == [(True, []), (False, [6]), (False, [7])]
    history.undone(history.undo())
    assert calls_of(history) == [(True, []), (False, [6])]


def test_undo_on_an_object_s_only_frame_never_leaves_it_without_a_prompt() -> None:
    history = History()
    for each in (made(1, 10, 5, is_first=True), made(1, 10, 6), made(1, 10, 7)):
        history.add(each)
    assert calls_of(history) == [(True, [5]), (False, [6])]


def test_prompts_of_objects_that_are_gone_are_forgotten() -> None:
    history = History()
    history.add(made(1, 10, 5, is_first=True))
    history.add(made(2, 10, 5, is_first=True))
    history.drop({2})
    assert history.last.object_id == 1


@pytest.mark.parametrize('message', [
    '', '[]', 'null', '{', '{"do": "fly", "n": 1}', '{"do": "undo"}', '{"do": "undo", "n": -1}',
    '{"do": "undo", "n": true}', '{"do": ["undo"], "n": 1}', '{"do": {}, "n": 1}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": 12, "points": [[1, 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "-1", "points": [[1, 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1"}',
    '{"do": "prompt", "n": 1, "object": 65536, "stamp": "1", "points": [[1, 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "points": [[1, 2, 2]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "points": [[NaN, 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "points": [[1e999, 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "points": [["1", 2, 1]]}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "points": "all"}',
    '{"do": "prompt", "n": 1, "object": 0, "stamp": "1", "box": [1, 2, 3]}',
    '{"do": "remove", "n": 1, "object": 0}', '{"do": "pause", "n": 1, "on": "yes"}',
    '{"do": "save", "n": 1, "name": 5}', '{"do": "rename", "n": 1, "object": 1, "label": []}',
    '[' * 5000,
])
def test_what_no_page_of_ours_sends_is_refused_in_a_sentence(message: str) -> None:
    with pytest.raises(PageError):
        parse(message)


@given(st.recursive(
    st.none() | st.booleans() | st.floats(allow_subnormal=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(['do', 'n', 'object', 'stamp', 'points', 'box', 'name', 'on']), inner)))
def test_whatever_json_a_page_sends_nothing_but_a_refusal_comes_of_it(value: object) -> None:
    try:
        parse(json.dumps(value))
    except PageError:
        return
    assert value['do'] in {'ack', 'hello'}


def test_a_prompt_is_read_as_it_was_meant() -> None:
    request = parse('{"do": "prompt", "n": 4, "object": 2, "stamp": "1700000000123456789", '
                    '"points": [[1.5, 2, 1], [3, 4, 0]], "preview": true}')
    assert (request.number, request.stamp_ns) == (4, 1_700_000_000_123_456_789)
    assert request.preview_only
    assert request.prompt.points_xy.tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert request.prompt.point_labels.tolist() == [1, 0]
