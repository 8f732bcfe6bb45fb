# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker's own process on a model without a network: it starts in a second.

FAKE_LOAD_S is how long the model takes to load; it cannot be interrupted, like a real one.
FAKE_STEP_S is how long each frame takes.
"""

from __future__ import annotations

import os
import sys
import time

from sam2_tracker.ros.stop_request import StopRequest

if __name__ == '__main__':
    stop = StopRequest()
    from node_rig import FakeLoader

    from sam2_tracker.ros.tracker_process import run

    class SlowLoader(FakeLoader):
        def load(self, config, cancelled):
            time.sleep(float(os.environ.get('FAKE_LOAD_S', '0')))
            self.predictor.slow_s = float(os.environ.get('FAKE_STEP_S', '0'))
            return self.predictor

    sys.exit(run(sys.argv[1:], stop, SlowLoader()))
