# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Train ``nano`` on real clips and stills, on a CPU or a GPU.

A run ends after its minutes, or steps, and writes checkpoints on its way; ``--resume`` goes on
as if it had not stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
import math
import os
from pathlib import Path
import signal
import time
from typing import Any

from sam2_tracker.core.command_line import refusing
from sam2_tracker.core.errors import ModelError
from sam2_tracker.models.device import is_out_of_memory, resolve_device
import torch
from training.attention import arithmetic
from training.compose import Composer, Recipe
from training.heldback import measure
from training.model import build_nano, size_refusal
from training.pool import load_pool, Pool, SIDE, STILL_SIDE
from training.practice import choose_practice, draw_chances, micro_batch
from training.prompts import Points, prompt
from training.record import Recorder
from training.report import Report
from training.tracking import Batch, Draws, Outcome, picture_features, Practice, track
from training.trainer import Chance, Pace, save, Trainer
from training.weights import load_start_into, MASKS, read_saved

PROG = 'python -m training.train'
WARM_UP_STEPS = 20
LARGEST_SEED = 2 ** 64 - 1         # of torch's generators
# What a run is like from its first step to its last; the paces of its parts are kept, too.
KEPT = ('seed', 'size', 'clips', 'gather', 'objects', 'singles', 'real', 'whole', 'rate',
        'end_rate', 'average_steps', 'side', 'still_side')
ABOVE_ZERO = ('minutes', 'steps', 'stop_after', 'size', 'clips', 'gather', 'objects', 'rate',
              'average_steps', 'report_steps', 'side', 'still_side')


@dataclass(frozen=True)
class Plan:
    """
    How long a run takes, what a step is and how it is told of; the options of the same names.

    :ivar minutes: of the whole run, resumed parts together
    :ivar steps: of the whole run, or None for one that ends by the clock
    :ivar stop_after: steps after which this part of the run ends, or None
    :ivar rate: learning rate at the start; it falls to ``end_rate`` along a half cosine
    :ivar clips: of a micro batch
    :ivar gather: micro batches a step
    :ivar objects: prompted objects a clip
    :ivar singles: share of micro batches of single frames
    :ivar size: side of the input in pixels
    """

    minutes: float
    steps: int | None
    stop_after: int | None
    rate: float
    end_rate: float
    clips: int
    gather: int
    objects: int
    singles: float
    size: int
    report_steps: int
    save_minutes: float
    measure_minutes: float


class Run:
    """A trainer at work: batches in, checkpoints and figures out."""

    def __init__(self, trainer: Trainer, composer: Composer, chance: Chance, plan: Plan,
                 held_back: Pool | None, output: Path, record: bool,
                 options: dict[str, float]) -> None:
        self.trainer, self.composer, self.chance, self.plan = trainer, composer, chance, plan
        self.options = options
        self.held_back, self.output = held_back, output
        self.device = composer.pool.device
        self.began = time.monotonic()
        self.best = -1.0
        self.stopped = False
        self.recorder = Recorder(self._backward) if record else None
        self.report = Report()

    def state(self) -> dict[str, Any]:
        """Give everything that going on needs."""
        return {**self.trainer.state(), 'chance': self.chance.state(), 'best': self.best,
                'seconds': self.seconds(), 'options': self.options}

    def load(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.trainer.load(saved)
        self.chance.load(saved['chance'])
        self.best, self.began = saved['best'], time.monotonic() - saved['seconds']
        best = self.output / 'best.pt'
        if best.exists():       # it may be newer than the checkpoint that is gone on from
            with reading_checkpoint(best) as newer:
                self.best = max(self.best, newer['best'])

    def seconds(self) -> float:
        """Tell for how long the run has gone on, earlier parts of it included."""
        return time.monotonic() - self.began

    def done(self) -> float:
        """Tell the share of the run that is over."""
        if self.plan.steps is not None:
            return self.trainer.steps / self.plan.steps
        return self.seconds() / (60 * self.plan.minutes)

    def go(self) -> None:
        """Train to the end, printing figures, measuring and saving now and then."""
        saved = measured = time.monotonic()
        while (done := self.done()) < 1 and not self.stopped:
            self._step(done)
            if self.plan.stop_after is not None:
                self.stopped |= self.trainer.steps >= self.plan.stop_after
            if self.trainer.steps % self.plan.report_steps == 0:
                print(self.report.line(self.trainer.steps, self.seconds()), flush=True)
            if time.monotonic() - measured > 60 * self.plan.measure_minutes:
                self.measure()
                measured = time.monotonic()
            if time.monotonic() - saved > 60 * self.plan.save_minutes:
                save(self.output / 'last.pt', self.state())
                saved = time.monotonic()
        save(self.output / 'last.pt', self.state())
        if not self.stopped:
            self.measure()

    def stop(self, number: int, _: object) -> None:
        """End after the step under way, with a checkpoint; a second signal ends at once."""
        self.stopped = True
        signal.signal(number, signal.SIG_DFL)

    def _step(self, done: float) -> None:
        """Gather the gradients of some batches and take a step."""
        plan = self.plan
        for _ in range(plan.gather):
            practice = choose_practice(self.chance.host, done, plan.singles)
            batch = self.composer.draw(*micro_batch(practice, plan.clips, plan.objects),
                                       practice.numbers)
            points = prompt(practice.kind, batch.masks[0], self.chance.device)
            draws = draw_chances(batch, done, self.chance.device)
            work = self.recorder or self._backward
            self.report.add(practice, work(batch, points, practice, draws))
        rate = plan.end_rate + (plan.rate - plan.end_rate) * (
            0.5 + 0.5 * math.cos(math.pi * done))
        self.trainer.learn(rate * min(1.0, (self.trainer.steps + 1) / WARM_UP_STEPS))

    def _backward(self, batch: Batch, points: Points | None, practice: Practice,
                  draws: Draws) -> Outcome:
        """Add a batch's gradients to those gathered."""
        with arithmetic(self.device):
            features = picture_features(self.trainer.model, batch.images,
                                        self.trainer.trains_trunk)
            outcome = track(self.trainer.model, features, batch, points, practice, draws)
        (outcome.loss / self.plan.gather).backward()
        return outcome.detached()

    def measure(self) -> None:
        """Measure the averaged weights on held-back clips, and keep the best ones."""
        if self.held_back is None:
            return
        with self.trainer.averaged() as model, arithmetic(self.device):
            result = measure(model, self.held_back, self.plan.size)
        print(f'step {self.trainer.steps} {self.seconds():.0f} s {result.line()}', flush=True)
        print(result.table(), flush=True)
        if result.score > self.best:
            self.best = result.score
            save(self.output / 'best.pt', self.state())


def parse_arguments(line: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=PROG, description=__doc__)
    add = parser.add_argument
    add('--data', type=Path, required=True, help='what training.pack wrote')
    add('--output', type=Path, required=True,
        help='folder for last.pt and best.pt; of another run only with --resume')
    add('--start', type=Path, help='weights to begin with: an exported file or a state dict')
    add('--sharpened', type=int, default=4,
        help='masks that are sharpened in an exported start: 4, or 1 in older files')
    add('--resume', action='store_true', help="go on from the output folder's last.pt")
    add('--device', type=_device, default='cpu', help='auto, cpu, cuda or cuda:N')
    add('--minutes', type=float, default=60.0, help='of the whole run, resumed parts together')
    add('--steps', type=int, help='end by steps instead of minutes')
    add('--stop-after', type=int, help='steps after which this part of the run ends')
    add('--seed', type=_seed, default=0)
    add('--size', type=int, default=384, help='side of the input in pixels')
    add('--clips', type=int, default=4, help='clips a micro batch; more fill a GPU better')
    add('--gather', type=int, default=4, help='micro batches a step')
    add('--objects', type=int, default=2, help='prompted objects a clip')
    add('--singles', type=float, default=0.5, help='share of micro batches of single frames')
    add('--real', type=float, default=0.65, help='share of clips that are real video')
    add('--whole', type=float, default=Recipe.whole,
        help='share of clips in which two touching objects count as one')
    add('--rate', type=float, default=5e-5)
    add('--end-rate', type=float, default=2e-6)
    add('--trunk', type=float, default=0.0, help="the trunk's share of the rate; 0: frozen")
    add('--matched', type=float, default=0.2, help='share of what places are compared by')
    add('--memory', type=float, default=0.5, help='share of the other memory parts')
    add('--average-steps', type=int, default=60)
    add('--report-steps', type=int, default=25)
    add('--save-minutes', type=float, default=2.0)
    add('--measure-minutes', type=float, default=10.0)
    add('--side', type=int, default=SIDE, help='pixels at which clips are kept')
    add('--still-side', type=int, default=STILL_SIDE)
    add('--record', action='store_true', help='CUDA: record steps as graphs')
    arguments = parser.parse_args(line)
    if wrong := refusal(arguments):
        parser.error(wrong)
    return arguments


def _device(text: str) -> torch.device:
    try:
        return resolve_device(text)
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a whole number from 0 to {LARGEST_SEED}')
    return int(text)


def refusal(arguments: argparse.Namespace) -> str | None:
    """Say in one sentence why a run can't be done as it is asked for, or None."""
    for name in ABOVE_ZERO:
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            return f'--{name.replace("_", "-")} must be above 0, not {value}'
    for name in ('singles', 'real', 'whole'):
        if not 0 <= getattr(arguments, name) <= 1:
            return f'--{name} must be from 0 to 1, not {getattr(arguments, name)}'
    if wrong := size_refusal(arguments.size):
        return wrong
    if not 0 <= arguments.sharpened <= MASKS:
        return f'--sharpened must be from 0 to {MASKS}, not {arguments.sharpened}'
    for path in (arguments.data, arguments.start):
        if path is not None and not path.is_file():
            return f'there is no file {path}'
    if arguments.output.exists() and not arguments.output.is_dir():
        return f'--output {arguments.output} is a file: name a folder'
    last = arguments.output / 'last.pt'
    if last.exists() and not arguments.resume:
        return f'{last} is of another run: go on with it by --resume, or name another folder'
    if arguments.resume and not last.exists():
        return f'there is no {last} to resume: leave --resume out to begin'
    if arguments.record and arguments.device.type != 'cuda':
        return f'--record is for a GPU, not --device {arguments.device}'
    return None


@contextmanager
def reading_checkpoint(path: Path) -> Iterator[dict[str, Any]]:
    """
    Read what :func:`training.trainer.save` wrote, to go on from it within.

    :raises ValueError: if it is damaged, or something in it is missing or of another kind
    """
    try:
        saved = read_saved(path)
    except ValueError as error:
        raise ValueError(f'{error}: put a copy of it there, or begin in another '
                         'folder') from error
    try:
        yield saved
    except (AttributeError, LookupError, RuntimeError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(f'{path} is no checkpoint of a run: put a copy of one there, or begin in '
                         'another folder') from error


def options_of_run(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the options that a run keeps to its end."""
    return {name: getattr(arguments, name) for name in KEPT}


def check_options(arguments: argparse.Namespace, before: dict[str, float]) -> None:
    """
    Make sure that a run is gone on with as it began.

    :param before: its options, nothing if it was written before they were kept
    :raises ValueError: if it is not
    """
    for name, value in options_of_run(arguments).items():
        if name in before and before[name] != value:
            option = f'--{name.replace("_", "-")}'
            raise ValueError(f'the run to resume has {option} {before[name]}, not {value}: give '
                             f'{option} {before[name]}, or begin in another folder')


def prepare(arguments: argparse.Namespace) -> Run:
    """Read weights and data, which takes longest, and set everything up."""
    device = arguments.device
    model = build_nano(arguments.size)
    if arguments.start:
        load_start_into(model, arguments.start, arguments.sharpened)
    print(f'reading {arguments.data}', flush=True)
    pool = load_pool(arguments.data, device, side=arguments.side,
                     still_side=arguments.still_side)
    try:
        held_back = load_pool(arguments.data, device, held_back=True, side=arguments.side)
    except ValueError as missing:
        print(f'nothing is measured on the way: {missing}', flush=True)
        held_back = None
    trainer = Trainer(model.to(device), Pace(arguments.trunk, arguments.matched,
                                             arguments.memory), arguments.average_steps)
    chance = Chance.seeded(arguments.seed, device)
    composer = Composer(pool, Recipe(arguments.size, arguments.real, whole=arguments.whole),
                        chance.host, chance.device)
    plan = Plan(**{field.name: getattr(arguments, field.name) for field in fields(Plan)})
    return Run(trainer, composer, chance, plan, held_back, arguments.output, arguments.record,
               options_of_run(arguments))


def main(line: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    arguments = parse_arguments(line)
    torch.manual_seed(arguments.seed)
    if arguments.device.type == 'cpu':
        torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    torch.backends.cudnn.benchmark = False      # its search takes longer than it saves here
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    with refusing(PROG):
        arguments.output.mkdir(parents=True, exist_ok=True)
        last = arguments.output / 'last.pt'
        if arguments.resume:
            with reading_checkpoint(last) as saved:
                check_options(arguments, saved.get('options', {}))
        run = prepare(arguments)
        if arguments.resume:
            with reading_checkpoint(last) as saved:
                run.load(saved)
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:      # nohup's and the shell's own
            signal.signal(number, run.stop)
    run.go()


if __name__ == '__main__':
    main()
