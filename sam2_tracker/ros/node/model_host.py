# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""One model for all cameras of a process: loaded for the first, freed after the last."""

from __future__ import annotations

from dataclasses import dataclass
import threading

from sam2_tracker.core.config import CoreConfig
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.protocols import PredictorProtocol
from sam2_tracker.core.sharing.shared_model import SharedModel, SharingReport
from sam2_tracker.core.text import counted
from sam2_tracker.ros.node.engine import check_cancelled, ModelLoader

# How long what is under way is waited for when the last camera goes.
STOP_TIMEOUT_S = 2.0
LOOK_PERIOD_S = 0.05


@dataclass(frozen=True)
class HostReport:
    """
    Who has the model, and what each had of it.

    :param model_name: '' while none is loaded
    :param is_loading: while one is being loaded
    :param sharing: None while none is loaded
    """

    model_name: str
    is_loading: bool
    sharing: SharingReport | None


class ModelHost:
    """
    Loads a model when the first camera is configured and frees it when the last is cleaned up.

    :param loader: loads the model itself
    """

    def __init__(self, loader: ModelLoader, log: Log) -> None:
        self._loader = loader
        self._log = log
        # Held while the model is loaded or freed, which may take its time.
        self._changing = threading.Lock()
        self._is_loading = False
        self._model: SharedModel | None = None
        self._model_name = ''
        self._cameras: set[str] = set()

    def loader_for(self, camera: str) -> CameraLoader:
        """Return the loader of one camera, which gives it its part of the model."""
        return CameraLoader(self, camera)

    def report(self) -> HostReport:
        """Return the state; from any thread."""
        model = self._model
        return HostReport(self._model_name, self._is_loading,
                          None if model is None else model.report())

    def join(self, camera: str, config: CoreConfig, cancelled: threading.Event
             ) -> PredictorProtocol:
        """Load the model, or wait until it is loaded for another camera, and share it."""
        while not self._changing.acquire(timeout=LOOK_PERIOD_S):
            check_cancelled(cancelled)
        try:
            if self._model is None:
                self._load(config, cancelled)
            assert self._model is not None
            predictor = self._model.join(camera)
            self._cameras.add(camera)
            self._log(Level.INFO, f'{camera} tracks with model {self._model_name}, '
                                  f'{counted(len(self._cameras), "camera")} by now')
            return predictor
        finally:
            self._changing.release()

    def _load(self, config: CoreConfig, cancelled: threading.Event) -> None:
        self._is_loading = True
        try:
            self._model = SharedModel(self._loader.load(config, cancelled))
            self._model_name = config.model.name
        finally:
            self._is_loading = False

    def leave(self, camera: str) -> None:
        """Let a camera go, if it has the model; with the last one the model goes too."""
        if camera not in self._cameras:
            self._tidy_up()
            return
        with self._changing:
            model = self._model
            assert model is not None
            self._cameras.remove(camera)
            model.leave(camera)
            if not self._cameras:
                self._free(model)
            del model
            self._loader.release()

    def _tidy_up(self) -> None:
        """Give back what a load that failed has left, unless another is under way."""
        if self._changing.acquire(blocking=False):
            try:
                if self._model is None:
                    self._loader.release()
            finally:
                self._changing.release()

    def _free(self, model: SharedModel) -> None:
        self._model, self._model_name = None, ''
        if model.close(STOP_TIMEOUT_S):
            self._log(Level.INFO, 'no camera is configured any more: the model is freed')
        else:
            self._log(Level.ERROR, f'what the model does takes longer than {STOP_TIMEOUT_S} s: '
                                   'it is freed after it')


class CameraLoader:
    """A `ModelLoader` for one camera of several, as `ModelHost.loader_for` makes it."""

    def __init__(self, host: ModelHost, camera: str) -> None:
        self._host = host
        self._camera = camera

    def load(self, config: CoreConfig, cancelled: threading.Event) -> PredictorProtocol:
        """
        Return the shared model, loaded if this is the first camera.

        :raises ModelError: it is missing, damaged, or does not fit the device
        :raises WithdrawnError: the camera stops
        """
        return self._host.join(self._camera, config, cancelled)

    def release(self) -> None:
        """Give back this camera's part."""
        self._host.leave(self._camera)
