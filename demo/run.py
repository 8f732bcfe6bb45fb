# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Track a man, a bag and a bollard in a real video, with real processes over real topics.

For example:
    python -m demo.run --output demo_output
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys

from demo.fetch_clip import VIDEO
from demo.outputs import annotated_pictures, mean_hand_box_iou, report, write_sheet, write_video
from demo.processes import DemoError
from demo.recording import save
from demo.scene import (
    FIRST_FRAME,
    FRAME_COUNT,
    LAST_FRAME,
    MASK_RULES,
    STEPS,
    VIDEO_RATE_HZ,
)
from demo.session import make_empty, Outcome, record, Show
from sam2_tracker.core.config import MODEL_NAMES, PARAMETERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when all went well, 1 with a sentence when not, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    source = {'path': VIDEO, 'first_frame': FIRST_FRAME, 'last_frame': LAST_FRAME}
    try:
        if not VIDEO.is_file():
            raise DemoError(f'{VIDEO} is missing; run: python -m demo.fetch_clip')
        make_empty(options.output)
        print(f'starting tracker with model {options.model}, and video_source')
        show = Show(options.model, source, FRAME_COUNT, STEPS, mask_rules=MASK_RULES,
                    memory=options.memory)
        _write(options.output, record(options.output, show))
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ndemo: interrupted', file=sys.stderr)
        return 130
    return 0


def _write(output: Path, outcome: Outcome) -> None:
    recording = outcome.recording
    save(recording, output)
    pictures = annotated_pictures(recording, output / 'frames')
    write_video(output / 'annotated.mp4', pictures, VIDEO_RATE_HZ)
    write_sheet(output / 'sheet.png', recording, pictures)
    summary = report(recording, FRAME_COUNT, outcome.frames_per_second, outcome.diagnostics)
    (output / 'report.json').write_text(json.dumps(summary, indent=1) + '\n')
    print(
        f'{summary["frames_tracked"]} of {summary["frames_in"]} frames tracked, '
        f'{summary["fps"]} a second'
    )
    for item in summary['objects']:
        print(
            f'  {item["id"]} {item["label"]}: visible on {item["frames_visible"]} of the '
            f'{item["frames_in_picture"]} frames that it is in and on '
            f'{item["frames_visible_when_gone"]} others, mean score {item["mean_score"]}'
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
    parser.add_argument('--model', default='nano', choices=MODEL_NAMES, metavar='MODEL',
                        help='model of the zoo (default: nano)')
    parser.add_argument(
        '--memory',
        choices=PARAMETERS['tracking.memory'].choices,
        default='stock',
        help='what the model reads of its memory (docs/memory.md); verify-demo compares stock',
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
