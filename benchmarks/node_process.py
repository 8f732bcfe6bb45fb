# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker's own process, with a clock around its engine; started by `benchmarks.node`.

    python -m benchmarks.node_process ENGINE TIMES --ros-args ...

ENGINE is `still` (a model that takes no time) or `real` (that of the parameters). Into the file
TIMES goes one line for each result: the seconds that the engine took for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import sys
import threading
import time
from typing import Any

from benchmarks.still_engine import StillPredictor
from sam2_tracker.core.config import CoreConfig
from sam2_tracker.ros.node.engine import Sam2Loader
from sam2_tracker.ros.stop_request import StopRequest

_TIMED = ('encode', 'track', 'summarise')


class TimedPredictor:
    """A predictor that writes down how long it took for each frame, and is it in all else."""

    def __init__(self, predictor: Any, times: Path) -> None:
        self._predictor = predictor
        self._taken_s = 0.0
        self._sink = times.open('w', buffering=1)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._predictor, name)
        return self._timed(name, found) if name in _TIMED else found

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            found = method(*arguments, **named)
            self._taken_s += time.perf_counter() - begun
            if name == 'summarise':
                self._sink.write(f'{self._taken_s:.7f}\n')
                self._taken_s = 0.0
            return found
        return call


class TimedLoader(Sam2Loader):
    """Loads a model and puts the clock around it."""

    def __init__(self, engine: str, times: Path) -> None:
        super().__init__()
        self._engine = engine
        self._times = times

    def load(self, config: CoreConfig, cancelled: threading.Event) -> Any:
        """Build and warm the model."""
        predictor = (StillPredictor() if self._engine == 'still'
                     else super().load(config, cancelled))
        return TimedPredictor(predictor, self._times)


if __name__ == '__main__':
    stop = StopRequest()
    from sam2_tracker.ros.node.tracker_process import run

    engine, times, *ros_arguments = sys.argv[1:]
    sys.exit(run(ros_arguments, stop, TimedLoader(engine, Path(times))))
