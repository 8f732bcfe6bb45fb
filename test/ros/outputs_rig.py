# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The node's outputs alone, and results to hand over to them."""

from __future__ import annotations

import numpy as np
from ros_graph import Graph
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.types import (
    Box,
    Frame,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    TrackedObject,
)
from sam2_tracker.ros.outputs.publishers import OutputPublishers
from waiting import wait_until

HEIGHT, WIDTH = 60, 80
HEADER = FrameHeader(12_000_000_345, 'camera_optical')
HEADER_STAMP = (12, 345)


def tracked_frame(*object_ids: int, masks: bool = True, label_image: bool = True) -> TrackedFrame:
    frame = Frame(0, HEADER.stamp_ns, HEADER, np.full((HEIGHT, WIDTH, 3), 90, np.uint8),
                  (HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 20:50] = True
    objects = tuple(
        TrackedObject(object_id, f'thing {object_id}', ObjectState.VISIBLE, 0.875,
                      Box(20, 10, 30, 20), 600, (34.5, 19.5)) for object_id in object_ids)
    labels = np.where(mask, max(object_ids, default=0), 0).astype(np.uint16)
    return TrackedFrame(frame, objects, (mask,) * len(objects) if masks else (),
                        labels if label_image else None)


class Outputs:

    def __init__(self, graph: Graph, name: str) -> None:
        self.node = graph.node.__class__(name, context=graph.context)
        self.graph = graph
        self.config = AnnotateConfig()
        self.stages: list[tuple[str, float]] = []
        self.outputs = OutputPublishers(
            self.node, lambda: self.config, lambda stage, s: self.stages.append((stage, s)))
        self.outputs.start(lossless=True)
        self.prefix = f'/{name}'

    def inbox(self, kind, topic, qos=10):
        inbox = self.graph.inbox(kind, f'{self.prefix}/{topic}', qos)
        wait_until(lambda: self.subscribers(topic), what=f'a subscription of {topic}')
        return inbox

    def subscribers(self, topic: str) -> int:
        return self.node.count_subscribers(f'{self.prefix}/{topic}')

    def publishes(self, topic: str) -> int:
        return self.node.count_publishers(f'{self.prefix}/{topic}')
