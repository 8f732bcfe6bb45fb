# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402

from dataclasses import replace

import numpy as np
import pytest
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.types import (
    Box,
    Frame,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    TrackedObject,
)

pytest.importorskip('supervision')

from sam2_tracker.render.overlay import contact_sheet, label_text, Overlay, spread
from sam2_tracker.render.palette import colour_rgb, HEX_COLOURS, label_picture

HW = (120, 160)
NOTHING = AnnotateConfig(mask=False, box=False, label=False, trace=False)
HIDDEN = TrackedObject(4, 'cup', ObjectState.OCCLUDED, 0.2)


def visible(object_id: int, left: int = 40, score: float = 0.97) -> TrackedObject:
    return TrackedObject(object_id, 'bag', ObjectState.VISIBLE, score, Box(left, 50, 30, 20), 600)


def result(*objects: TrackedObject, index: int = 0, image=None) -> TrackedFrame:
    image = np.full((*HW, 3), 90, np.uint8) if image is None else image
    masks = []
    for item in objects:
        mask = np.zeros(HW, bool)
        if item.box is not None:
            mask[
                item.box.y:item.box.y + item.box.height, item.box.x:item.box.x + item.box.width
            ] = True
        masks.append(mask)
    frame = Frame(index, 0, FrameHeader(0, ''), image, HW)
    return TrackedFrame(frame, tuple(objects), tuple(masks))


def bgr(object_id: int) -> np.ndarray:
    return np.array(colour_rgb(object_id)[::-1])


def test_the_picture_is_bgr_and_the_frame_stays_as_it_was():
    image = np.zeros((*HW, 3), np.uint8)
    image[..., 0] = 200
    tracked = result(visible(1), image=image)
    drawn = Overlay().draw(tracked)
    assert drawn.dtype == np.uint8 and drawn.shape == (*HW, 3)
    assert drawn[0, 0].tolist() == [0, 0, 200]
    assert (image == [200, 0, 0]).all()


def test_nothing_is_drawn_where_nothing_is_asked_for():
    assert (Overlay(NOTHING).draw(result(visible(1), HIDDEN)) == 90).all()


def test_an_object_has_the_colour_of_its_id_whatever_else_is_there():
    overlay = Overlay(replace(NOTHING, mask=True, opacity=1.0))
    alone = overlay.draw(result(visible(2)))
    among_others = overlay.draw(result(visible(1, left=100), visible(2)))
    assert (alone[60, 50] == bgr(2)).all()
    assert (among_others[60, 50] == bgr(2)).all()
    assert (among_others[60, 110] == bgr(1)).all()


def test_the_mask_is_drawn_with_its_opacity():
    drawn = Overlay(replace(NOTHING, mask=True, opacity=0.25)).draw(result(visible(3)))
    assert drawn[60, 50] == pytest.approx(0.75 * 90 + 0.25 * bgr(3), abs=1)
    assert (drawn[10, 10] == 90).all()


def test_a_result_without_masks_still_has_its_boxes():
    drawn = Overlay().draw(replace(result(visible(1)), masks=()))
    assert (drawn[50, 60] == bgr(1)).all()


def test_an_object_that_is_not_visible_is_listed_in_the_corner():
    drawn = Overlay(replace(NOTHING, label=True)).draw(result(HIDDEN))
    corner = drawn[:25, :120].reshape(-1, 3)
    assert (corner == bgr(4)).all(axis=1).any()
    assert (corner > 200).all(axis=1).any()
    assert (drawn[30:] == 90).all()


def test_labels_say_id_name_and_score_or_state():
    assert label_text(visible(2)) == '2 bag 0.97'
    assert label_text(TrackedObject(3, '', ObjectState.LOST, 0.1)) == '3 lost'
    assert label_text(HIDDEN) == '4 cup occluded'
    late = TrackedObject(5, 'cup', ObjectState.UNKNOWN, 0.0, catching_up=True)
    assert label_text(late) == '5 cup catching up'


def test_the_trace_follows_an_object_and_starts_anew_in_a_new_session():
    overlay = Overlay(replace(NOTHING, trace=True))
    assert (overlay.draw(result(visible(1, left=10), index=0)) == 90).all()
    second = overlay.draw(result(visible(1, left=80), index=1))
    assert (second[60, 60] == bgr(1)).all()
    assert (overlay.draw(result(visible(1, left=20), index=0)) == 90).all()


def test_settings_can_change_between_frames():
    overlay = Overlay(NOTHING)
    overlay.configure(replace(NOTHING, box=True))
    assert (overlay.draw(result(visible(1))) != 90).any()


def test_a_frame_that_was_stored_smaller_is_drawn_at_the_source_s_size():
    drawn = Overlay().draw(result(visible(1), image=np.full((60, 80, 3), 90, np.uint8)))
    assert drawn.shape == (*HW, 3)


def test_a_frame_without_objects_is_drawn_as_it_is():
    assert (Overlay(AnnotateConfig(trace=True)).draw(result()) == 90).all()


def test_the_first_colours_are_all_different_and_the_largest_id_has_one():
    colours = {colour_rgb(object_id) for object_id in range(1, len(HEX_COLOURS) + 1)}
    assert len(colours) == len(HEX_COLOURS)
    assert colour_rgb(65535) in colours


def test_a_label_picture_keeps_the_ids(tmp_path):
    from PIL import Image

    for ids in ([0, 1, 2], [0, 7, 300]):
        labels = np.repeat(np.array(ids, np.uint16)[None], 2, axis=0)
        label_picture(labels).save(tmp_path / 'labels.png')
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'labels.png')), labels)


def test_a_contact_sheet_has_every_picture_in_order():
    colours = [10, 60, 110, 160, 210]
    images = [np.full((50, 100, 3), value, np.uint8) for value in colours]
    sheet = contact_sheet(images, [str(value) for value in colours], columns=2, tile_width=100)
    assert sheet.shape == (3 * (50 + 22 + 4) + 4, 2 * 104 + 4, 3)
    centres = [
        sheet[4 + 76 * row + 22 + 25, 4 + 104 * column + 50, 0]
        for row in range(3)
        for column in range(2)
    ]
    assert centres == [*colours, 255]


def test_a_spread_has_the_first_and_the_last():
    assert spread(55, 3) == [0, 27, 54]
    assert spread(2, 12) == [0, 1]
