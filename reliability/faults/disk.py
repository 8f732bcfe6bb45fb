# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Disks under the frame buffer that fill up, turn read-only, hang, or lose what is on them."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import shutil
import signal
import time

from reliability import disks
from reliability.robot import click
from reliability.stage import Live, Stage
from reliability.verdicts import DiedError, expect, fault, FrozeError, lied

_STALL_S = 9.0
_ANSWER_S = 3.0
# /diagnostics comes once a second.
_FEWEST_DIAGNOSES = 5
WARN = 1
_ABOUT_DISK = r'disk|written|space|[Rr]ead-only|storage'


def _on_disk(stage: Stage, disk: Path, **parameters: object) -> Live:
    # A camera driver's usual depth.
    return stage.live({'buffer.directory': disk, 'buffer.max_frames': 40, **parameters},
                      camera_depth=10)


def _stalled(stage: Stage, policy: str) -> tuple[Live, list[int]]:
    """Freeze the disk under a tracking node; send pictures meanwhile, and return their stamps."""
    disk = disks.mount_ext4(stage.folder / 'disk')
    live = _on_disk(stage, disk, frame_policy=policy)
    disks.freeze(disk)
    return live, live.shoot(4)


@fault('The disk hangs for 9 s (`fsfreeze`): services answer within 3 s and /diagnostics '
       'goes on.', disks.no_freezing)
def disk_hangs_services(stage: Stage) -> None:
    live, _ = _stalled(stage, 'latest')
    begun_s, late = time.monotonic(), []
    for name, ask in (('list_objects', live.robot.list), ('get_state', live.robot.state),
                      ('reset', lambda limit_s: live.robot.trigger('reset', limit_s))):
        if not ask(_ANSWER_S):
            late.append(name)
    live.robot.wait(lambda: time.monotonic() > begun_s + _STALL_S, _STALL_S)
    came = sum(each.received_s > begun_s for each in live.robot.health)
    disks.thaw(stage.folder / 'disk')
    live.track()
    if late or came < _FEWEST_DIAGNOSES:
        raise FrozeError(f'unanswered within {_ANSWER_S:.0f} s: {", ".join(late) or "nothing"}; '
                         f'{came} diagnoses in {_STALL_S:.0f} s')


@fault('The disk hangs for 9 s under `latest`: results go on meanwhile.', disks.no_freezing)
def disk_hangs_latest(stage: Stage) -> None:
    live, _ = _stalled(stage, 'latest')
    since, begun_s = len(live.robot.results), time.monotonic()
    while time.monotonic() < begun_s + _STALL_S:
        live.shoot(1, 0.2)
    came = len(live.robot.results) - since
    disks.thaw(stage.folder / 'disk')
    live.track()
    if not came:
        raise FrozeError(f'no result in {_STALL_S:.0f} s')


@fault('The disk hangs for 9 s under `every`: every picture has its result in the end, or '
       'is counted as lost.', disks.no_freezing)
def disk_hangs_every(stage: Stage) -> None:
    live, stamps = _stalled(stage, 'every')
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + _STALL_S:
        stamps += live.shoot(1, 0.2)
    disks.thaw(stage.folder / 'disk')
    live.track()
    missing = len(stamps) - live.wait_for_results(stamps)
    counted = live.figure('frames lost')
    stage.lost = f'{missing} of {len(stamps)} frames, {counted:.0f} counted'
    expect(missing <= counted, f'{missing} of {len(stamps)} results never came, '
                               f"'frames lost' is {counted:.0f}")


@fault('Ctrl-C while the disk hangs: the node ends with code 0, at the latest when the disk '
       'works again (no process can end that waits for one).', disks.no_freezing)
def disk_hangs_stop(stage: Stage) -> None:
    live, _ = _stalled(stage, 'latest')
    live.program.send(signal.SIGINT)
    live.robot.wait(lambda: live.program.exit_code is not None, _STALL_S)
    disks.thaw(stage.folder / 'disk')
    live.robot.wait(lambda: live.program.exit_code is not None, _STALL_S)
    code = live.program.exit_code
    if code is None:
        raise FrozeError('it does not end, though the disk works again')
    if code:
        raise DiedError(f'it ends with exit code {code}')


@fault('The disk is full: tracking goes on, /diagnostics says WARN, the log says it once.',
       disks.no_tmpfs)
def disk_full(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 1024)
    live = _on_disk(stage, disk)
    filler = disks.fill(disk)
    live.shoot(12)
    live.track()
    said = live.said
    message = live.health(WARN, about=_ABOUT_DISK)
    filler.unlink()
    live.shoot(10)
    live.track()
    stage.said = f'{said} / diagnostics: {message}'
    expect(said, 'the log does not say it')
    expect(live.figure('frames lost') == 0, 'frames are counted as lost under latest')


@fault('The disk turns read-only: tracking goes on, /diagnostics says WARN, the log says '
       'it.', disks.no_tmpfs)
def disk_read_only(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 8192)
    live = _on_disk(stage, disk)
    disks.make_read_only(disk)
    live.shoot(50, 0.06)
    live.track()
    said = live.said
    message = live.health(WARN, about=_ABOUT_DISK)
    disks.make_writable(disk)
    live.shoot(5)
    live.track()
    stage.said = f'{said} / diagnostics: {message}'
    expect(said, 'the log does not say it')


@fault('The disk is full when the node starts, and has room later: it says so and can be '
       'configured.', disks.no_tmpfs)
def disk_full_at_start(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 1024)
    filler = disks.fill(disk)
    live = stage.live({'buffer.directory': disk}, is_active=False)
    # It says why before the attempt has come to its end.
    ends = {'active', 'unconfigured'}
    live.robot.wait(lambda: live.robot.state(2.0) in (ends if live.said else {'active'}), 40.0)
    said = live.said
    filler.unlink()
    if live.robot.state() != 'active':
        expect(said, 'it is not active and says nothing')
        expect(live.robot.change(1) and live.robot.change(3), 'it cannot be configured afterwards')
    live.wait_until_active()
    live.track()


@fault("The buffer's folder is deleted under the node: it says so, tracks on, and keeps "
       'its word on what can be prompted.', disks.no_tmpfs)
def buffer_deleted(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 8192)
    live = _on_disk(stage, disk)
    past_ns = live.shoot(6)[0]
    for folder in disk.iterdir():
        shutil.rmtree(folder)
    live.answer(live.robot.add([click(40, 40)], past_ns), 'a prompt on a deleted frame')
    live.shoot(8)
    live.track()
    expect(live.said, 'the log does not say it')
    live.hw = (96, 128)
    live.shoot(4)
    live.track()


@fault('Buffered JPEGs are truncated, emptied, replaced by a folder: prompts on them are '
       'refused with a reason, tracking goes on.', disks.no_tmpfs)
def buffered_frames_damaged(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 8192)
    live = _on_disk(stage, disk)
    stamps = live.shoot(14)
    live.wait_for_results(stamps[-1:])
    files = sorted(disk.rglob('*.jpeg'))
    expect(len(files) >= len(stamps), f'{len(files)} files for {len(stamps)} frames')
    damaged = dict(zip(stamps[2:8:2], files[-12:-6:2], strict=True))
    truncated, emptied, folder = damaged.values()
    truncated.write_bytes(truncated.read_bytes()[:1500])
    emptied.write_bytes(b'')
    folder.unlink()
    folder.mkdir()
    for stamp_ns, file in damaged.items():
        reply = live.answer(live.robot.add([click(60, 60)], stamp_ns), 'a prompt on a damaged one')
        stage.said = reply.message
        if reply.success:
            lied(f'a prompt on {file.name}, which is damaged, was taken')
    live.track()
    live.shoot(50, 0.05)
    live.track()


@fault('A buffered JPEG is replaced by a FIFO: a prompt on it is answered, and the stream '
       'does not wait for it.', disks.no_tmpfs)
def buffered_frame_is_a_fifo(stage: Stage) -> None:
    disk = disks.mount_tmpfs(stage.folder / 'disk', 8192)
    live = _on_disk(stage, disk, **{'prompt.timeout_s': 5.0})
    stamps = live.shoot(10)
    live.wait_for_results(stamps[-1:])
    file = sorted(disk.rglob('*.jpeg'))[-6]
    file.unlink()
    os.mkfifo(file)
    try:
        live.refused(live.robot.add([click(60, 60)], stamps[-6], 12.0), 'a prompt on a FIFO')
        live.track(8.0)
    finally:
        # Whoever waits in its open goes on; unless it was found unreadable and deleted.
        with suppress(FileNotFoundError):
            os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))


@fault("The session's folder is replaced by a link to a user's pictures: not one is "
       'overwritten or deleted.')
def planted_session_link(stage: Stage) -> None:
    disk, mine = stage.folder / 'buffer', stage.folder / 'mine'
    live = _on_disk(stage, disk)
    live.shoot(6)
    mine.mkdir()
    for number in range(400):
        (mine / f'{number:05d}.jpeg').write_bytes(b'my own')
    session = next(each for each in disk.iterdir() if each.is_dir())
    shutil.rmtree(session)
    session.symlink_to(mine)
    live.shoot(60, 0.05)
    live.track()
    live.stop()
    left = sum(each.read_bytes() == b'my own' for each in mine.iterdir())
    stage.lost = f'{400 - left} pictures of a user'
    expect(left == 400, f'{400 - left} of 400 pictures of a user were overwritten or deleted')


@fault("After SIGKILL the next start removes what was left, and nothing of a user's.")
def left_by_a_kill(stage: Stage) -> None:
    disk = stage.folder / 'buffer'
    (disk / 'mine').mkdir(parents=True)
    own = [disk / 'mine' / '00000.jpeg', disk / '00001.jpeg', disk / 'notes.txt']
    for path in own:
        path.write_bytes(b'my own')
    live = _on_disk(stage, disk)
    live.shoot(5)
    live.program.kill()
    live.robot.close()
    before = {each for each in disk.iterdir() if each.is_dir()} - {disk / 'mine'}
    again = _on_disk(stage, disk)
    stays = [each.name for each in before if each.exists()]
    again.stop()
    expect(before and not stays, f'what a killed run left is still there: {stays}')
    expect(all(path.read_bytes() == b'my own' for path in own), "a user's file was changed")


@fault('Two nodes share a directory and one is killed: the other one keeps its frames.')
def shared_directory(stage: Stage) -> None:
    disk = stage.folder / 'buffer'
    live = stage.live({'buffer.directory': disk})
    other = stage.live({'buffer.directory': disk}, namespace='other', objects=0)
    stamps = live.shoot(6)
    live.wait_for_results(stamps[-1:])
    other.program.kill()
    third = stage.live({'buffer.directory': disk}, namespace='third', objects=0)
    live.accepted(live.robot.add([click(120, 60)], stamps[2]), 'a prompt on a past frame')
    live.track()
    third.stop()
    live.stop()
    expect(not any(disk.rglob('*.jpeg')), 'frames are left behind')
