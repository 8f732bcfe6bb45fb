# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""A model without a network whose memories can be saved, and calls of the services that do it."""

from __future__ import annotations

from pathlib import Path
import sys
from types import SimpleNamespace
from typing import Any

from node_rig import FakeLoader, GatedPredictor, NodeRig
from sam2_tracker.core.engine.memory.transfer import CondBank
from sam2_tracker_msgs.srv import LoadMemory, SaveMemory
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / 'core'))
from fakes import FakeMemory, FakeOutput

WEIGHTS = 'a' * 64
TOKEN_BYTES = 8


class RememberingFake(GatedPredictor):
    """
    A fake model whose prompted frames can be taken out and put in.

    :ivar weights: its fingerprint
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = WEIGHTS
        self.model = SimpleNamespace(image_size=self.image_size, backbone_stride=16, mem_dim=1,
                                     hidden_dim=TOKEN_BYTES)

    def fingerprint(self) -> str:
        return self.weights

    def export_cond(self, memory: FakeMemory) -> CondBank:
        side = self.image_size // self.model.backbone_stride
        # A file has no values as large as a token.
        rows = [list(seen.token.to_bytes(TOKEN_BYTES, 'little'))
                for _, seen in sorted(memory.cond.items())]
        maps = torch.ones(len(rows), 1, side, side)
        return CondBank(maps, torch.tensor(rows, dtype=torch.float64), torch.ones(len(rows), 1),
                        self.weights, self.image_size)

    def import_cond(self, memory: FakeMemory, bank: CondBank) -> None:
        assert not memory.cond
        for row, pointer in enumerate(bank.pointers):
            token = int.from_bytes(bytes(pointer.int().tolist()), 'little')
            memory.cond[row - len(bank)] = FakeOutput(token, 0.9)


class RememberingLoader(FakeLoader):
    """Brings a new such model with each configuring, as a real loader does."""

    def __init__(self, weights: str = WEIGHTS, image_size: int = 64) -> None:
        super().__init__()
        self.predictor = RememberingFake()
        self.predictor.weights = weights
        self.predictor.image_size = self.predictor.model.image_size = image_size


def save(rig: NodeRig, file_name: str = 'cups', *object_ids: int) -> Any:
    """Call save_memory."""
    return rig.call(SaveMemory, 'save_memory', file_name=file_name, object_ids=list(object_ids))


def load(rig: NodeRig, file_name: str = 'cups', *object_ids: int) -> Any:
    """Call load_memory."""
    return rig.call(LoadMemory, 'load_memory', file_name=file_name, object_ids=list(object_ids))


def files_in(folder: Path) -> list[str]:
    """Return the names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
