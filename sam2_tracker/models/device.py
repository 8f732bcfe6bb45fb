# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a model runs on and with: device, precision, threads; and whether its memory ran out."""

from __future__ import annotations

import os
import re

from sam2_tracker.core.errors import ModelError
import torch


def resolve_device(name: str) -> torch.device:
    """
    Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that exists.

    :raises ModelError: the name is none of these, or this machine has no such device
    """
    if name == 'cpu' or (name == 'auto' and not torch.cuda.is_available()):
        return torch.device('cpu')
    if name == 'auto':
        return torch.device('cuda', torch.cuda.current_device())
    match = re.fullmatch(r'cuda(?::(\d+))?', name)
    if match is None:
        raise ModelError(f'unknown device {name!r}; there are: auto, cpu, cuda, cuda:N')
    if not torch.cuda.is_available():
        raise ModelError(
            f'device {name!r} was asked for, but PyTorch {torch.__version__} finds '
            'no CUDA device here; use cpu or auto'
        )
    index = int(match[1]) if match[1] else torch.cuda.current_device()
    if index >= (count := torch.cuda.device_count()):
        raise ModelError(
            f'device {name!r} does not exist: there are {count} CUDA devices, '
            f'cuda:0 to cuda:{count - 1}'
        )
    return torch.device('cuda', index)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """
    Turn ``auto``, ``bfloat16`` or ``float32`` into the type to compute with.

    ``auto`` is bfloat16 on a CUDA device that has it in hardware, else float32. Weights are
    float32 either way; bfloat16 means autocast.

    :raises ModelError: the name is none of these, or the device cannot do it
    """
    if name == 'float32':
        return torch.float32
    if name not in ('auto', 'bfloat16'):
        raise ModelError(f'unknown precision {name!r}; there are: auto, bfloat16, float32')
    if name == 'auto' and device.type != 'cuda':
        return torch.float32
    if device.type == 'cuda' and torch.cuda.get_device_capability(device)[0] < 8:
        if name == 'auto':
            return torch.float32
        raise ModelError(f'{torch.cuda.get_device_name(device)} has no bfloat16; use float32')
    return torch.bfloat16


def core_count_for_two() -> int:
    """Return half the cores of this process, for work that is done in two threads at a time."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def use_threads(count: int) -> None:
    """
    Let torch compute with so many threads.

    Sums are split by threads: with another number of them masks differ in single pixels.

    :param count: 1 or more
    """
    torch.set_num_threads(count)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or what caused it, is that device or host has no memory left."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
