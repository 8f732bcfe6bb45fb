# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the tracker and the video publisher as processes, prompt, and record what comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
from dataclasses import dataclass, replace
from functools import partial
import os
from pathlib import Path
import shutil

from demo.operator_node import Operator, spinning
from demo.processes import DemoError, RosProcess
from demo.recording import Recording
from demo.scene import Step
from sam2_tracker.core.types import MaskRules, PLAIN_MASKS, Prompt
from tools.transport import own_network
from tqdm import tqdm

# The same everywhere, for results that are the same everywhere.
THREADS = 1
TRACKER_PARAMETERS = {
    'frame_policy': 'every',
    'device': 'cpu',
    'precision': 'float32',
    'buffer.max_frames': 10_000,
}
SOURCE_PARAMETERS = {'hold_first': True, 'wait_for_subscriber': True}


@dataclass(frozen=True)
class Show:
    """
    What is played and prompted.

    :param model: name in the zoo
    :param source: parameters of video_source
    :param frame_count: frames that will come
    :param steps: in the order of the stream; the first is made while the first frame is held
    :param mask_rules: holes that are filled, and parts that are dropped, in what is published
    :param memory: what the model reads of its memory: stock, selective or distractor
    """

    model: str
    source: Mapping[str, object]
    frame_count: int
    steps: tuple[Step, ...]
    image_transport: str = 'raw'
    mask_rules: MaskRules = PLAIN_MASKS
    memory: str = 'stock'


@dataclass(frozen=True, eq=False)
class Outcome:
    """
    What came of it.

    :param frames_per_second: results, from the second frame on
    :param diagnostics: the tracker's own figures at the end
    """

    recording: Recording
    frames_per_second: float
    diagnostics: Mapping[str, str]


def record(output: Path, show: Show) -> Outcome:
    """
    Run both processes to the end of the source.

    Leaves the tracker's frames in ``output/frames`` and the processes' output in ``output/logs``.

    :raises DemoError: something does not work
    """
    os.environ.update(own_network())
    mask_ids = range(1, 1 + sum(len(step.prompts) for step in show.steps))
    parameters = {
        **TRACKER_PARAMETERS,
        'model': show.model,
        'image_transport': show.image_transport,
        'tracking.fill_hole_area': show.mask_rules.fill_hole_area,
        'tracking.min_island_area': show.mask_rules.min_island_area,
        'tracking.memory': show.memory,
    }
    with (
        tqdm(total=show.frame_count, unit='frame', desc='tracking', disable=None) as bar,
        spinning(lambda: Operator(mask_ids, lambda count: bar.update(count - bar.n))) as operator,
        RosProcess(
            'tracker',
            output / 'logs' / 'tracker.log',
            parameters,
            {'OMP_NUM_THREADS': str(THREADS)},
        ) as tracker,
    ):
        operator.wait_active(tracker.check)
        operator.wait_for_picture_topics(tracker.check)
        _play(operator, tracker, output, show)
        operator.wait_for_figures(tracker.check)
        _keep_frames(Path(operator.snapshot()), output / 'frames')
        recording = Recording(show.model, THREADS, operator.frames(), tuple(operator.calls))
        return Outcome(recording, operator.frames_per_second(), operator.diagnostics)


def make_empty(output: Path) -> None:
    """
    Make the output folder; only what an earlier run left may be replaced.

    :raises DemoError: there is something else in it
    """
    if output.is_dir() and any(output.iterdir()):
        if not (output / 'logs').is_dir():
            raise DemoError(f'{output} has other files in it; name another folder with --output')
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)


def _play(operator: Operator, tracker: RosProcess, output: Path, show: Show) -> None:
    source = {**SOURCE_PARAMETERS, **show.source, 'image_transport': show.image_transport}
    with RosProcess('video_source', output / 'logs' / 'video_source.log', source) as player:

        def check() -> None:
            tracker.check()
            player.check()

        _prompt(operator, check, show.steps)
        _wait_for_frame(operator, check, show.frame_count - 1)
        # A picture that the network loses for good is one tile less, not the end of the demo.
        with contextlib.suppress(DemoError):
            operator.wait_until(operator.has_everything, check, 'waiting for pictures', 15.0)
        player.wait(20.0)


def _prompt(operator: Operator, check: Callable[[], None], steps: tuple[Step, ...]) -> None:
    ids: dict[str, int] = {}
    for number, step in enumerate(steps):
        _wait_for_frame(operator, check, step.after_frame)
        call = operator.add_prompts(
            step.on_frame, [_with_id(prompt, ids) for prompt in step.prompts]
        )
        ids.update({prompt.label: prompt.object_id for prompt in call.prompts})
        if number == 0:
            operator.play()


def _wait_for_frame(operator: Operator, check: Callable[[], None], index: int) -> None:
    operator.wait_until(partial(operator.has_frame, index), check, f'waiting for frame {index}')


def _with_id(prompt: Prompt, ids: Mapping[str, int]) -> Prompt:
    return replace(prompt, object_id=ids.get(prompt.label, 0))


def _keep_frames(snapshot: Path, destination: Path) -> None:
    if not snapshot.is_dir():
        raise DemoError(f'the snapshot {snapshot} is not a folder')
    shutil.copytree(snapshot, destination)
