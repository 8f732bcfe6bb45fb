# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Files of object memories that change under the node, block it, or hold what nobody expects."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import re
import signal
import struct
import subprocess
import time
from typing import Any

import numpy as np
from reliability.processes import offline_command
from reliability.stage import ANSWER_S, Live, Stage
from reliability.verdicts import DiedError, expect, fault, FrozeError, lied

NAME = 'cups'
VISIBLE = 1


def _saving(stage: Stage, is_still: bool = False, **parameters: object) -> tuple[Live, Path]:
    """Start a node with one object, whose memory is saved."""
    folder = stage.folder / 'memories'
    folder.mkdir()
    live = stage.live({'memory.directory': folder, 'prompt.timeout_s': 6.0, **parameters},
                      is_still=is_still)
    live.accepted(live.robot.save(NAME), 'save_memory')
    return live, folder / f'{NAME}.safetensors'


def _loaded(stage: Stage) -> tuple[Live, Path, Any]:
    """And loaded again, so that its object is tracked by the file."""
    # Memory is of places as much as of looks.
    live, file = _saving(stage, is_still=True)
    live.accepted(live.robot.trigger('reset'), 'reset')
    live.accepted(live.robot.load(NAME), 'load_memory')
    live.track()
    live.begin()
    return live, file, next(iter(live.objects().values()))


@fault('A loaded memory file is truncated (`cp` onto it): the object is tracked on.')
def memory_file_truncated(stage: Stage) -> None:
    live, file, _ = _loaded(stage)
    os.truncate(file, 0)
    live.track()


@fault('A loaded memory file is overwritten with zeros: the object stays what it was.')
def memory_file_zeroed(stage: Stage) -> None:
    live, file, before = _loaded(stage)
    # A second object of an equal file, to compare with.
    live.accepted(live.robot.trigger('reset'), 'reset')
    file.with_name('equal.safetensors').write_bytes(file.read_bytes())
    live.accepted(live.robot.load(NAME), 'load_memory')
    live.accepted(live.robot.load('equal'), 'load_memory')
    with file.open('r+b') as opened:
        opened.write(bytes(file.stat().st_size))
    live.shoot(3)
    live.track()
    changed, equal = (each for _, each in sorted(live.objects().items()))
    expect(before.state == VISIBLE and equal.state == VISIBLE,
           'the loaded objects are not even seen with a whole file')
    expect(changed.state == VISIBLE and abs(changed.area - equal.area) <= 2
           and abs(changed.score - equal.score) < 0.001,
           f'the object has become another without a word: score {changed.score:.4f} and area '
           f'{changed.area}, {equal.score:.4f} and {equal.area} of an equal file')


@fault('The file of `--load-memory` is truncated while the command runs: all frames come.')
def offline_memory_truncated(stage: Stage) -> None:
    learning = stage.process(stage.clip(4, 'short'), *stage.box, '--save-memory',
                             stage.folder / 'm.safetensors')
    expect(learning.code == 0, learning.last_words)
    process = subprocess.Popen(
        offline_command(stage.clip(150), '--load-memory', stage.folder / 'm.safetensors',
                        '--masks', stage.folder / 'masks', '--save-every', '0'),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end_s = time.monotonic() + ANSWER_S
    # Once there are results the file has been read.
    while not any(stage.folder.glob('.masks*/**/*.png')) and time.monotonic() < end_s:
        time.sleep(0.02)
    is_running = process.poll() is None
    os.truncate(stage.folder / 'm.safetensors', 0)
    _, err = process.communicate(timeout=60)
    stage.said = err.strip()[-200:]
    if process.returncode < 0:
        raise DiedError(f'ended by {signal.Signals(-process.returncode).name}')
    expect(is_running, 'the command had ended before the file was truncated')
    expect(process.returncode == 0, f'exit code {process.returncode}')


@fault('`save_memory` onto a FIFO: refused, and meanwhile services answer and Ctrl-C works.')
def save_onto_fifo(stage: Stage) -> None:
    live, file = _saving(stage)
    os.mkfifo(file.with_name('pipe.safetensors'))
    reply = live.robot.save('pipe', 8.0)
    if not live.robot.state(5.0):
        raise FrozeError('after it nothing is answered, not even get_state')
    live.refused(reply, 'save_memory onto a FIFO')
    live.track()
    live.stop()


@fault('`load_memory` of a FIFO: refused, and the next request is answered.')
def load_from_fifo(stage: Stage) -> None:
    live, file = _saving(stage)
    os.mkfifo(file.with_name('pipe.safetensors'))
    reply = live.robot.load('pipe', 10.0)
    live.track()
    live.refused(reply, 'load_memory of a FIFO')
    live.accepted(live.robot.save('after'), 'save_memory afterwards')


@fault('`load_memory` of a 3 GiB file of zeros: refused at once, without reading it.')
def load_of_huge_file(stage: Stage) -> None:
    from reliability.processes import usage

    live, file = _saving(stage)
    with file.with_name('huge.safetensors').open('wb') as opened:
        opened.write(struct.pack('<Q', 90_000_000))
        opened.truncate(3 * 1024 ** 3)
    before = usage(live.program.pid)
    begun_s = time.monotonic()
    live.refused(live.robot.load('huge', 30.0), 'a file of zeros')
    took_s, after = time.monotonic() - begun_s, usage(live.program.pid)
    expect(took_s < 5.0, f'refused after {took_s:.0f} s')
    grown = ((after.memory_kib if after else 0) - (before.memory_kib if before else 0)) // 1024
    expect(grown < 200, f'the node holds {grown} MiB more')
    live.track()


class Rewritten:
    """A saved memory file, taken apart so that a changed one can be put together."""

    def __init__(self, file: Path) -> None:
        self.file = file
        content = file.read_bytes()
        length = struct.unpack('<Q', content[:8])[0]
        self.head: dict[str, Any] = json.loads(content[8:8 + length])
        self.body = bytearray(content[8 + length:])

    def write(self, name: str) -> None:
        """Write it beside the original."""
        head = json.dumps(self.head).encode()
        self.file.with_name(f'{name}.safetensors').write_bytes(
            struct.pack('<Q', len(head)) + head + bytes(self.body))

    def change_object(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what the head says of the object."""
        entries = json.loads(self.head['__metadata__']['objects'])
        change(entries[0])
        self.head['__metadata__']['objects'] = json.dumps(entries)

    def fill(self, tensor: str, pattern: dict[str, bytes]) -> None:
        """Fill a tensor with a pattern, by its type."""
        entry = self.head[f'0.{tensor}']
        begin, end = entry['data_offsets']
        unit = pattern[entry['dtype']]
        self.body[begin:end] = (unit * (end - begin))[:end - begin]


_LARGEST = {'BF16': b'\x7f\x7f', 'F16': b'\xff\x7b', 'F32': b'\xff\xff\x7f\x7f'}
_NOT_A_NUMBER = {'BF16': b'\xc0\x7f', 'F16': b'\x00\x7e', 'F32': b'\x00\x00\xc0\x7f'}


def _refuse_or_score(live: Live, name: str) -> str:
    """Load a file and track; a score that is no number is a lie. Return what was said."""
    import math

    before = live.objects()
    reply = live.answer(live.robot.load(name), f'load_memory {name}')
    if not reply.success:
        return f'{name}: {reply.message}'
    live.track()
    new = {number: each for number, each in live.objects().items() if number not in before}
    bad = [each.score for each in new.values() if not math.isfinite(each.score)]
    if bad:
        lied(f'{name} was taken, and its object has the score {bad[0]}')
    for number in new:
        live.accepted(live.robot.remove(number), 'remove_object')
    return f'{name}: taken'


@fault('Memory files of huge finite numbers and of NaN: refused, or tracked with scores '
       'that are numbers.')
def memory_of_huge_numbers(stage: Stage) -> None:
    live, file = _saving(stage)
    said = []
    for name, pattern in (('largest', _LARGEST), ('nan', _NOT_A_NUMBER)):
        for tensor in ('maps', 'pointers', 'score_logits'):
            changed = Rewritten(file)
            changed.fill(tensor, pattern)
            changed.write(f'{name}_{tensor}')
            said.append(_refuse_or_score(live, f'{name}_{tensor}'))
    stage.said = ' / '.join(said)


@fault('A label with terminal escapes, by memory file and by prompt: refused, or shown '
       'without them; no escape reaches the log.')
def escapes_in_label(stage: Stage) -> None:
    from reliability.robot import click

    live, file = _saving(stage, **{'tracking.lost_after_s': 0.2})
    changed = Rewritten(file)
    changed.change_object(lambda entry: entry.update(label='\x1b[31mred\n'))
    changed.write('ansi')
    said = live.answer(live.robot.load('ansi'), 'load_memory').message
    reply = live.answer(live.robot.add([click(40, 60, 0, 'a\x1b[31mRED\x1b[2J')]), 'a prompt')
    # Where there is nothing to see, objects are lost, which the log tells by their labels.
    for _ in range(12):
        live.robot.send(live.robot.image(np.zeros((*live.hw, 3), np.uint8),
                                         live.robot.next_stamp()))
        time.sleep(0.1)
    live.track()
    live.stop()
    stage.said = ' / '.join(filter(None, (said, reply.message)))
    expect(not re.search(rb'\x1b\[(2J|31m(red|RED))', live.program.log.read_bytes()),
           'escapes of a label are in the log')


@fault('Damaged memory files (cut, empty, no JSON, nested, pickle, wrong shapes, ids '
       'and labels): each refused with a sentence, the object is tracked on.')
def damaged_memories(stage: Stage) -> None:
    live, file = _saving(stage)
    good = file.read_bytes()
    contents = {
        'empty': b'', 'short': good[:5], 'half': good[:len(good) // 2], 'zeros': bytes(5000),
        'trailing': good + b'x' * 100, 'long_head': struct.pack('<Q', 2 ** 63) + good[8:],
        'pickle': b'\x80\x04cos\nsystem\n(S"true"\ntR.'}
    for name, content in contents.items():
        file.with_name(f'{name}.safetensors').write_bytes(content)
    changes: dict[str, Callable[[dict[str, Any]], None]] = {
        'id_0': lambda entry: entry.update(object_id=0),
        'id_70000': lambda entry: entry.update(object_id=70000),
        'id_text': lambda entry: entry.update(object_id='1'),
        'key': lambda entry: entry.update(more=1),
        'size_digit': lambda entry: entry['bank'].update(image_size='²'),
        'size_long': lambda entry: entry['bank'].update(image_size='9' * 5000),
        'model': lambda entry: entry['bank'].update(model='f' * 64)}
    for name, change in changes.items():
        changed = Rewritten(file)
        changed.change_object(change)
        changed.write(name)
    nested = Rewritten(file)
    nested.head['__metadata__']['objects'] = '[' * 100_000
    nested.write('nested')
    for name in (*contents, *changes, 'nested'):
        message = live.refused(live.robot.load(name), f'load_memory {name}')
        expect(message and len(message) < 600, f'{name}: {len(message)} characters are answered')
        expect('unexpected error' not in message, f'{name}: {message}')
    live.track()
    expect('Traceback' not in live.log, 'the log has a traceback')


@fault('Links are planted where save_memory writes: none is followed, what they point to '
       'stays.')
def planted_memory_links(stage: Stage) -> None:
    live, file = _saving(stage)
    secret = stage.folder / 'secret.txt'
    secret.write_text('precious')
    file.with_name('link.safetensors').symlink_to(secret)
    file.with_name(f'.part.safetensors.{live.program.pid}.part').symlink_to(secret)
    live.answer(live.robot.save('link'), 'save_memory over a link')
    live.answer(live.robot.save('part'), 'save_memory with a planted part')
    live.track()
    expect(secret.read_bytes() == b'precious', 'what a planted link points to was overwritten')


@fault('The same run twice with `--save-memory`: the same bytes.')
def memory_bytes_repeat(stage: Stage) -> None:
    clip, digests = stage.clip(4), set()
    for name in ('one', 'two'):
        file = stage.folder / f'{name}.safetensors'
        ended = stage.process(clip, *stage.box, '--threads', '1', '--save-memory', file)
        expect(ended.code == 0, ended.last_words)
        digests.add(file.read_bytes())
    expect(len(digests) == 1, 'two equal runs wrote other bytes')
