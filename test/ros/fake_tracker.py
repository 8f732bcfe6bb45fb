# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker's own process on a model without a network: it starts in a second.

FAKE_LOAD_S is how long the model takes to load; it cannot be interrupted, like a real one.
FAKE_STEP_S is how long each frame takes.
While there is a file with the name FAKE_HOLD, frames wait; one that does makes FAKE_HOLD.entered.
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
import time

from sam2_tracker.ros.stop_request import StopRequest

if __name__ == '__main__':
    stop = StopRequest()
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from node_rig import FakeLoader, GatedPredictor
    from sam2_tracker.ros.node.tracker_process import run

    class HeldPredictor(GatedPredictor):

        def encode(self, image_rgb):
            hold = Path(os.environ.get('FAKE_HOLD', '/nowhere'))
            while hold.exists():
                Path(f'{hold}.entered').touch()
                time.sleep(0.01)
            return super().encode(image_rgb)

    class SlowLoader(FakeLoader):

        def __init__(self):
            super().__init__()
            self.predictor = HeldPredictor()

        def load(self, config, cancelled):
            sys.stdout.write('the model is being loaded\n')
            sys.stdout.flush()
            time.sleep(float(os.environ.get('FAKE_LOAD_S', '0')))
            self.predictor.slow_s = float(os.environ.get('FAKE_STEP_S', '0'))
            return self.predictor

    sys.exit(run(sys.argv[1:], stop, SlowLoader()))
