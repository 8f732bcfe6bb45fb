# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Many random requests: nothing breaks, and who is left has a history as in a plain session."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
import random

from fakes import click, FakeMemory, FakePredictor, frame
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptTarget
import sam2_tracker.core.tracking.tracker
from sam2_tracker.core.types import Prompt
from tracker_rig import Rig, token_of

LOOK_BACK = 9


@dataclass
class Plain:
    """One object in a plain session, every refinement propagated again at once."""

    model: FakePredictor
    memory: FakeMemory = field(default_factory=lambda: FakeMemory((48, 64)))
    done: list[tuple] = field(default_factory=list)

    def features(self, index: int):
        return self.model.encode(frame(index).image_rgb)

    def prompt(self, index: int, prompt: Prompt, clear: bool, newest: int) -> None:
        self.done.append(('prompt', index, prompt, clear, newest))
        self.model.prompt(self.memory, index, self.features(index), prompt, clear)
        self.memory.rewind(index)
        for later in range(index + 1, newest + 1):
            self._step(later)

    def track(self, index: int) -> None:
        self.done.append(('track', index))
        if self.memory.cond:
            self._step(index)

    def _step(self, index: int) -> None:
        self.model.track([TrackStep(self.memory, index, self.features(index))])

    def prompted(self) -> set[int]:
        return {index for what, index, *_ in self.done if what == 'prompt'}

    def take_back(self, index: int) -> None:
        """Be an object that never had the prompts on a frame."""
        done, self.done, self.memory = self.done, [], FakeMemory((48, 64))
        for what, *values in done:
            if what == 'track':
                self.track(*values)
            elif values[0] != index:
                self.prompt(*values)


class Churn:
    """A tracker and a plain session for each of its objects, under the same random requests."""

    def __init__(self, seed: int, patient: bool) -> None:
        self.random = random.Random(seed)
        self.patient = patient
        self.rig = Rig(look_back_frames=LOOK_BACK, max_objects=6)
        self.plain: dict[int, Plain] = {}
        self.refused = self.taken_back = 0
        self.refusals: list[str] = []

    @property
    def newest(self) -> int:
        return self.rig.tracker.next_index - 1

    def step(self) -> None:
        self.rig.play(1)
        for plain in self.plain.values():
            plain.track(self.newest)

    def prompt(self) -> None:
        object_id = self.random.choice([0, *self.plain, *self.plain, *self.plain, 999])
        index = self.random.randint(max(0, self.newest - LOOK_BACK - 2), self.newest)
        clear = self.random.random() < 0.3
        prompt = click(object_id, x=self.random.choice([5, 9, 20, 500]))
        try:
            result = self.rig.prompt(index, prompt, clear=clear)
        except PromptError:
            self.refused += 1
            return
        plain = self.plain.setdefault(result.objects[0].id, Plain(FakePredictor()))
        plain.prompt(index, prompt, clear, self.newest)
        if self.patient:
            self.rig.catch_up()

    def take_back(self) -> None:
        object_id = self.random.choice([*self.plain, 999])
        prompted = self.plain[object_id].prompted() if object_id in self.plain else ()
        recent = [index for index in prompted if index >= self.newest - LOOK_BACK - 1]
        index = self.random.choice([self.newest, *recent, *recent])
        try:
            self.rig.prompt(index, Prompt(object_id), clear=True)
        except PromptError as error:
            if index in prompted and len(prompted) > 1 and index >= self.newest - LOOK_BACK:
                self.refusals.append(str(error))
            return
        assert index in prompted
        self.taken_back += 1
        self.plain[object_id].take_back(index)
        if self.patient:
            self.rig.catch_up()

    def remove(self) -> None:
        object_id = self.random.choice([*self.plain, 999])
        try:
            self.rig.tracker.remove(object_id)
        except PromptError:
            self.refused += 1
        self.plain.pop(object_id, None)

    def reset(self) -> None:
        self.rig.tracker.reset()
        self.plain.clear()

    def run(self, count: int) -> None:
        self.step()
        for _ in range(count):
            self.random.choices(
                [self.step, self.prompt, self.take_back, self.remove, self.reset,
                 self.rig.tracker.catch_up],
                [8, 6, 3, 1, 0.1, 3],
            )[0]()

    def tokens(self) -> dict[int, tuple[int, int]]:
        return {
            object_id: (
                token_of(self.rig, object_id, self.newest),
                plain.memory.output(self.newest).token,
            )
            for object_id, plain in self.plain.items()
        }


@pytest.mark.parametrize('seed', range(8))
def test_after_any_requests_every_object_is_as_in_a_plain_session(seed):
    churn = Churn(seed, patient=True)
    for _ in range(20):
        churn.run(20)
        tokens = churn.tokens()
        assert all(ours == plain for ours, plain in tokens.values()), tokens
        assert [each.id for each in churn.rig.tracker.objects()] == sorted(churn.plain)
    assert churn.refused > 5 and churn.taken_back > 3
    assert all('look_back_frames' in each for each in churn.refusals), churn.refusals
    assert len(churn.refusals) < churn.taken_back


@pytest.mark.parametrize('seed', range(8))
def test_requests_in_the_middle_of_replays_break_nothing_and_all_catch_up(seed):
    churn = Churn(seed, patient=False)
    churn.run(400)
    churn.rig.catch_up()
    churn.rig.play(1)
    objects = churn.rig.newest.objects
    assert [each.id for each in objects] == sorted(churn.plain)
    assert all(each.box is not None and not each.catching_up for each in objects)
    assert churn.rig.frames.kept_from is None


def test_the_same_requests_give_the_same_results():
    def run():
        churn = Churn(3, patient=False)
        churn.run(200)
        return [
            (result.frame.index, result.objects, result.label_image.tobytes())
            for result in churn.rig.results
        ]

    assert run() == run()


def test_a_preview_between_any_requests_changes_nothing():
    def run(previews: bool):
        churn = Churn(5, patient=False)
        for _ in range(40):
            churn.run(5)
            if previews:
                churn.rig.draft(churn.newest, click())
                churn.rig.tracker.draft(
                    PromptTarget(churn.newest + 1, frame(churn.newest + 1)), [click()]
                )
        return [(result.objects, result.label_image.tobytes()) for result in churn.rig.results]

    assert run(True) == run(False)


def imported_by(path: Path) -> set[str]:
    """Return the modules of the core that a file imports, and all that those import."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_the_tracker_has_no_clock_no_thread_and_no_chance():
    root = Path(sam2_tracker.core.tracking.tracker.__file__).parents[3]
    seen, todo = set(), {'sam2_tracker.core.tracking.tracker'}
    while todo:
        module = todo.pop()
        seen.add(module)
        if module.startswith('sam2_tracker.core.'):
            todo |= imported_by(root / f'{module.replace(".", "/")}.py') - seen
    assert 'sam2_tracker.core.tracking.catch_up' in seen
    assert not seen & {'time', 'datetime', 'threading', 'random', 'secrets', 'torch', 'sam2'}
