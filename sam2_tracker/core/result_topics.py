# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What results are published and recorded as: by the live node, and in the bags of `process`."""

from __future__ import annotations

import enum
import re

NODE = '/sam2_tracker'
# Of annotated pictures, as cv2 counts it.
JPEG_QUALITY = 90
# Objects with a higher score are visible: LabelInfo says so.
SCORE_THRESHOLD = 0.5

_MASK = re.compile('object_[0-9]+/mask')


class ResultTopic(enum.Enum):
    """A topic with results of all objects; its value is the name below the node's own."""

    OBJECTS = 'objects'
    LABEL_IMAGE = 'label_image'
    ANNOTATED = 'annotated'
    ANNOTATED_JPEG = 'annotated/compressed'
    DETECTIONS = 'detections'
    LABEL_INFO = 'label_info'
    ANNOTATIONS = 'annotations'

    @property
    def private_name(self) -> str:
        """Return the name as a node gives it to a topic of its own."""
        return f'~/{self.value}'


def mask_topic(object_id: int) -> str:
    """Return the name of one object's masks, below the node's own."""
    return f'object_{object_id}/mask'


def is_result_topic(topic: str) -> bool:
    """
    Return whether results are written on a topic, of whatever objects and options.

    :param topic: with the name of a node that is called as ours is by itself
    """
    name = '/' + topic.strip('/')
    if not name.startswith(f'{NODE}/'):
        return False
    below = name.removeprefix(f'{NODE}/')
    return below in {each.value for each in ResultTopic} or _MASK.fullmatch(below) is not None
