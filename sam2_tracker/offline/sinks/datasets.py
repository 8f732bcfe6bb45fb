# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A COCO data set of one recording: RLE masks, with the object's id as track id."""

from __future__ import annotations

import json
from pathlib import Path
import shutil
from typing import Any

from sam2_tracker.core.frames.lookup import format_stamp
from sam2_tracker.core.types import BoolArray, TrackedObject, Wanted
from sam2_tracker.offline.classes import Classes
from sam2_tracker.offline.frame_sink import file_name
from sam2_tracker.offline.sink import Result

WANTED = Wanted(label_image=False, masks=True)


class CocoFile:
    """
    Writes the annotations as they come; the list of images, which is short, waits beside them.

    :param path: of the JSON
    :param sequence: the recording's name
    :param classes: become the categories, numbered from 1 as COCO does
    """

    def __init__(self, path: Path, sequence: str, classes: Classes) -> None:
        self._sequence = sequence
        self._classes = classes
        self._count = 0
        self._images_path = path.with_name(f'{path.name}.images')
        self._annotations = path.open('w', encoding='utf-8')
        self._images = self._images_path.open('w+', encoding='utf-8')
        self._annotations.write('{"annotations": [')

    def write(self, result: Result) -> None:
        """Add one frame."""
        image = self._image(result)
        self._images.write((',\n' if result.number else '\n') + json.dumps(image))
        for item, mask in zip(result.tracked.objects, result.tracked.masks, strict=True):
            if item.box is None:
                continue
            self._count += 1
            record = self._annotation(image['id'], item, mask)
            self._annotations.write((',\n' if self._count > 1 else '\n') + json.dumps(record))

    def _image(self, result: Result) -> dict[str, Any]:
        height, width = result.tracked.frame.source_hw
        return {
            'id': result.number + 1,
            'video_id': 1,
            'frame_index': result.number,
            'file_name': f'{self._sequence}/{file_name(result)}',
            'width': width,
            'height': height,
            'stamp': format_stamp(result.tracked.frame.stamp_ns),
        }

    def _annotation(self, image_id: int, item: TrackedObject, mask: BoolArray) -> dict[str, Any]:
        from supervision import mask_to_rle

        assert item.box is not None
        return {
            'id': self._count,
            'image_id': image_id,
            'video_id': 1,
            'category_id': self._classes.number(item.label) + 1,
            'track_id': item.id,
            'segmentation': {'size': list(mask.shape), 'counts': mask_to_rle(mask, True)},
            'area': item.area_px,
            'iscrowd': 0,
            'score': round(item.score, 6),
            'bbox': [item.box.x, item.box.y, item.box.width, item.box.height],
        }

    def finish(self) -> None:
        """Write the images behind the annotations, and what names them."""
        self._annotations.write('\n],\n"images": [')
        self._images.seek(0)
        shutil.copyfileobj(self._images, self._annotations)
        categories = [
            {'id': number, 'name': name, 'supercategory': ''}
            for number, name in enumerate(self._classes.names, 1)
        ]
        rest = {
            'videos': [{'id': 1, 'name': self._sequence}],
            'categories': categories,
            'licenses': [],
            'info': {'description': f'Masks of {self._sequence}, tracked with SAM 2'},
        }
        self._annotations.write('\n],\n')
        self._annotations.write(
            ',\n'.join(f'"{key}": {json.dumps(value)}' for key, value in rest.items())
        )
        self._annotations.write('}\n')
        self.abort()

    def abort(self) -> None:
        """Close the files."""
        self._annotations.close()
        self._images.close()
        self._images_path.unlink(missing_ok=True)
