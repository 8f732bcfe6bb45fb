# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Track a man, a bag and a bollard in a real video, with real processes over real topics.

For example:
    python -m demo.run --output demo_output
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
import json
import os
from pathlib import Path
import shutil
import sys

from tqdm import tqdm

from demo.fetch_clip import VIDEO
from demo.operator_node import Operator, spinning, TRACKER
from demo.outputs import annotated_pictures, mean_hand_box_iou, report, write_sheet, write_video
from demo.processes import DemoError, RosProcess
from demo.recording import Recording, save
from demo.scene import FIRST_FRAME, FRAME_COUNT, LAST_FRAME, STEPS, VIDEO_RATE_HZ
from sam2_tracker.core.types import Prompt

# Away from whatever robot this machine takes part in.
ENVIRONMENT = {
    'ROS_DOMAIN_ID': '87',
    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA',
}
MASK_IDS = (1, 2, 3)
# The same everywhere, for results that are the same everywhere.
THREADS = 1


def run_scene(operator: Operator, check: Callable[[], None]) -> None:
    """
    Prompt as the scene says while the video plays, until its last frame has been tracked.

    :param check: raises when one of the processes has failed
    """
    ids: dict[str, int] = {}
    for step in STEPS:
        wanted = step.after_frame + 1
        operator.wait_until(
            partial(_has_frames, operator, wanted),
            check,
            f'waiting for frame {step.after_frame}',
        )
        call = operator.add_prompts(
            step.on_frame, [_with_id(prompt, ids) for prompt in step.prompts]
        )
        ids.update({prompt.label: prompt.object_id for prompt in call.prompts})
        if step is STEPS[0]:
            operator.play()
    operator.wait_until(
        lambda: operator.frame_count >= FRAME_COUNT, check, 'waiting for the last frame'
    )
    operator.wait_until(
        lambda: operator.frames()[-1].annotated_bgr is not None,
        check,
        'waiting for the last picture',
    )


def _has_frames(operator: Operator, wanted: int) -> bool:
    return operator.frame_count >= wanted


def record(output: Path, model: str) -> tuple[Recording, Operator]:
    """
    Run the node and the video publisher, and record what happens.

    :raises DemoError: something does not work; the logs are in the output folder
    """
    logs = output / 'logs'
    parameters = {
        'model': model,
        'frame_policy': 'every',
        'device': 'cpu',
        'precision': 'float32',
        'buffer.max_frames': 1000,
    }
    video = {
        'path': VIDEO,
        'first_frame': FIRST_FRAME,
        'last_frame': LAST_FRAME,
        'hold_first': True,
        'wait_for_subscriber': True,
    }
    threads = {'OMP_NUM_THREADS': str(THREADS)}
    with (
        tqdm(total=FRAME_COUNT, unit='frame', desc='tracking', disable=None) as bar,
        spinning(lambda: Operator(MASK_IDS, lambda count: bar.update(count - bar.n))) as operator,
        RosProcess('tracker', logs / 'tracker.log', parameters, threads) as tracker,
    ):
        operator.wait_active(tracker.check)
        operator.wait_for_picture_topics(tracker.check)
        with RosProcess('video_source', logs / 'video_source.log', video) as source:

            def check() -> None:
                tracker.check()
                source.check()

            run_scene(operator, check)
            source.wait(20.0)
        operator.wait_for_figures(tracker.check)
        _keep_frames(Path(operator.snapshot()), output / 'frames')
        return Recording(model, THREADS, operator.frames(), tuple(operator.calls)), operator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when all went well, 1 with a sentence when not."""
    options = _parser().parse_args(arguments)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        if not VIDEO.is_file():
            raise DemoError(f'{VIDEO} is missing; run: python -m demo.fetch_clip')
        _make_empty(options.output)
        print(f'starting {TRACKER} with model {options.model}, and video_source')
        recording, operator = record(options.output, options.model)
        _write(options.output, recording, operator)
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    return 0


def _write(output: Path, recording: Recording, operator: Operator) -> None:
    save(recording, output)
    pictures = annotated_pictures(recording, output / 'frames')
    write_video(output / 'annotated.mp4', pictures, VIDEO_RATE_HZ)
    write_sheet(output / 'sheet.png', recording, pictures)
    summary = report(recording, FRAME_COUNT, operator.frames_per_second(), operator.diagnostics)
    (output / 'report.json').write_text(json.dumps(summary, indent=1) + '\n')
    print(
        f'{summary["frames_tracked"]} of {summary["frames_in"]} frames tracked, '
        f'{summary["fps"]} a second'
    )
    for item in summary['objects']:
        print(
            f'  {item["id"]} {item["label"]}: visible on {item["frames_visible"]} of '
            f'{item["frames"]} frames, mean score {item["mean_score"]}'
        )
    print(f'mean box IoU with boxes drawn by hand: {mean_hand_box_iou(recording):.2f}')
    for name, what in (
        ('annotated.mp4', 'the annotated stream'),
        ('sheet.png', 'a contact sheet to look at'),
        ('masks', "one label image a frame, and each object's own masks"),
        ('report.json', 'figures'),
    ):
        print(f'{output / name}: {what}')
    print('compare with stock SAM 2: make verify-demo')


def _with_id(prompt: Prompt, ids: dict[str, int]) -> Prompt:
    return replace(prompt, object_id=ids.get(prompt.label, 0))


def _keep_frames(snapshot: Path, destination: Path) -> None:
    if not snapshot.is_dir():
        raise DemoError(f'the snapshot {snapshot} is not a folder')
    shutil.copytree(snapshot, destination)


def _make_empty(output: Path) -> None:
    """Make the output folder; only an earlier demo's may be replaced."""
    if output.is_dir() and any(output.iterdir()):
        if not (output / 'logs').is_dir():
            raise DemoError(f'{output} has other files in it; name another folder with --output')
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m demo.run',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('demo_output'),
        help='folder to write to (default: demo_output)',
    )
    parser.add_argument('--model', default='nano', help='model of the zoo (default: nano)')
    return parser


if __name__ == '__main__':
    sys.exit(main())
