# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Read the bag that `process --output` wrote: where each object went.

Neither ROS nor this package is needed, only `pip install rosbags`.
For example: python examples/read_bag.py out_bag
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from collections import defaultdict
from itertools import pairwise
from math import dist
from pathlib import Path

from rosbags.highlevel import AnyReader

VISIBLE = 1
PLACES_SHOWN = 6


def read(bag: Path) -> tuple[int, dict[tuple[int, str], list[tuple[float, float]]]]:
    """Return the number of frames, and each object's places (x, y) on those where it is seen."""
    frame_count, paths = 0, defaultdict(list)
    # The bag has the definitions of its messages in it.
    with AnyReader([bag]) as reader:
        wanted = [each for each in reader.connections if each.topic == '/sam2_tracker/objects']
        for connection, _recorded_ns, payload in reader.messages(wanted):
            frame_count += 1
            for item in reader.deserialize(payload, connection.msgtype).objects:
                path = paths[item.id, item.label]
                if item.state == VISIBLE:
                    path.append((item.centroid.x, item.centroid.y))
    return frame_count, paths


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument('bag', type=Path, help='a folder with metadata.yaml, or an .mcap file')
    frame_count, paths = read(parser.parse_args().bag)
    for (object_id, label), path in sorted(paths.items()):
        length = sum(dist(before, after) for before, after in pairwise(path))
        print(f'object {object_id} {label}: visible on {len(path)} of {frame_count} frames, '
              f'its centre went {length:.0f} pixels')
        shown = path[:: max(1, len(path) // PLACES_SHOWN)]
        print('  ' + ' -> '.join(f'({x:.0f}, {y:.0f})' for x, y in shown))
