#!/usr/bin/env bash
# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# Tracks for a moment as a user would: a camera, the node with its bundled model, a click.
set -euo pipefail

pictures=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$pictures"' EXIT

# A disc that moves over noise, and is always where the click is.
python3 - "$pictures" << 'END'
import sys

import cv2
import numpy as np

noise = np.random.default_rng(0).integers(90, 130, (240, 320, 3), dtype=np.uint8)
for number in range(40):
    picture = cv2.circle(noise.copy(), (100 + number, 120), 30, (40, 60, 220), -1)
    cv2.imwrite(f'{sys.argv[1]}/{number:05d}.jpg', picture)
END

ros2 run sam2_tracker tracker &
ros2 run sam2_tracker video_source --ros-args -p path:="$pictures" -p rate:=5.0 -p loop:=true &
ros2 run sam2_tracker wait_until_active --timeout 300

# Refused as long as no picture has come.
for _ in {1..60}; do
  ros2 run sam2_tracker prompt --point 120,120 --label disc && break
  sleep 1
done
sleep 3
ros2 run sam2_tracker prompt --list --json | tee /dev/stderr | grep -q '"state": "VISIBLE"'
