# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Iterator
import fcntl
from http.server import ThreadingHTTPServer
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time

from checkpoint_site import archive_of, Handler, NAME, PATIENCE_BYTES, Site
import pytest
from sam2_tracker.models import download, fetch, zoo
from sam2_tracker.models.zoo import MODELS

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
OK = b'HTTP/1.0 200 OK\r\n'


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    site = Site()
    site.may_finish.set()
    handler = type('SiteHandler', (Handler,), {'site': site})
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        site.url = f'http://127.0.0.1:{server.server_port}/{NAME}.pt'
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield site
        server.shutdown()


@pytest.fixture
def run(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Run the command against the site; the result is its exit code and what it wrote."""

    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(zoo, 'MODELS', {NAME: site.spec()})
        code = fetch.main([NAME, *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    monkeypatch.setenv('SAM2_TRACKER_CACHE', str(tmp_path))
    return command


def test_a_checkpoint_is_fetched_into_the_cache(run, site, tmp_path):
    code, text = run()
    assert code == 0
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content
    assert f'checked and stored as {tmp_path / NAME}.pt' in ' '.join(text.split())
    assert [path.name for path in tmp_path.iterdir()] == [f'{NAME}.pt']


def test_a_checkpoint_that_is_there_is_not_fetched_again(run, site):
    run()
    site.asked.clear()
    code, text = run()
    assert (code, site.asked) == (0, [])
    assert 'already there' in text


def test_a_damaged_checkpoint_in_the_cache_is_replaced(run, site, tmp_path):
    (tmp_path / f'{NAME}.pt').write_bytes(b'half')
    code, text = run()
    assert code == 0
    assert 'fetching it again' in text
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_where_only_the_hash_is_published_it_decides(run, site, tmp_path, monkeypatch):
    site.knows_size = False
    site.breaks = [300_000]
    assert run()[0] == 0
    assert site.asked == [None, 'bytes=300000-']
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content
    (tmp_path / f'{NAME}.pt').write_bytes(archive_of(900_000))
    code, text = run()
    assert 'is not the published sam2.1_hiera_tiny.pt: its SHA-256 is' in ' '.join(text.split())
    assert code == 0
    monkeypatch.setattr(download, 'MOST_BYTES', 400_000)
    (tmp_path / f'{NAME}.pt').unlink()
    code, text = run()
    assert code == 1
    assert 'sends more than 400000 bytes, but no checkpoint is that large' in text


def test_a_broken_connection_is_taken_up_where_it_broke(run, site, tmp_path):
    site.breaks = [300_000, 200_000]
    assert run()[0] == 0
    assert site.asked == [None, 'bytes=300000-', 'bytes=500000-']
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_a_connection_that_brings_nothing_ends_with_advice_and_the_next_run_goes_on(
    run, site, tmp_path
):
    site.breaks = [300_000, 0]
    code, text = run()
    assert code == 1
    assert 'breaks off after 300000 bytes; run the same command again' in text
    assert not (tmp_path / f'{NAME}.pt').exists()
    assert (tmp_path / f'{NAME}.pt.part').stat().st_size == 300_000
    site.asked.clear()
    assert run()[0] == 0
    assert site.asked == ['bytes=300000-']
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_an_interrupted_command_is_resumed_by_the_next(site, tmp_path):
    site.may_finish.clear()
    script = (
        'import sys; from dataclasses import replace\n'
        'from sam2_tracker.models import fetch, zoo\n'
        f'zoo.MODELS = {{{NAME!r}: replace(zoo.MODELS[{NAME!r}], url={site.url!r}, '
        f'size_bytes={len(site.content)}, sha256={site.spec().sha256!r})}}\n'
        f'sys.exit(fetch.main([{NAME!r}]))'
    )
    command = [sys.executable, '-c', script]
    environment = {**os.environ, 'SAM2_TRACKER_CACHE': str(tmp_path)}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    part = tmp_path / f'{NAME}.pt.part'
    end_s = time.monotonic() + PATIENCE_S
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < end_s and first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130
    assert 'interrupted; run the same command again' in errors and 'Traceback' not in errors
    assert 0 < part.stat().st_size < len(site.content)
    site.may_finish.set()
    again = subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE_S)
    assert again.returncode == 0
    assert site.asked[1].startswith('bytes=')
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_a_server_without_ranges_sends_all_of_it_again(run, site, tmp_path):
    site.ranges = False
    (tmp_path / f'{NAME}.pt.part').write_bytes(site.content[:1000])
    assert run()[0] == 0
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_a_complete_part_is_only_checked(run, site, tmp_path):
    (tmp_path / f'{NAME}.pt.part').write_bytes(site.content)
    assert run()[0] == 0
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_a_part_longer_than_the_file_is_dropped(run, site, tmp_path):
    (tmp_path / f'{NAME}.pt.part').write_bytes(site.content + b'more')
    code, text = run()
    assert code == 1
    assert f'{tmp_path / NAME}.pt.part was longer than the file on the server' in text
    assert run()[0] == 0
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


def test_a_part_of_another_file_is_found_out_and_dropped(run, site, tmp_path):
    (tmp_path / f'{NAME}.pt.part').write_bytes(b'x' * 1000)
    code, text = run()
    assert code == 1
    assert 'its SHA-256 is' in text
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_published_one_is_refused(run, site, tmp_path, monkeypatch):
    spec = site.spec()
    site.content = archive_of(len(site.content))
    site.spec = lambda: spec
    code, text = run()
    assert code == 1
    assert 'but the published' in text
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_for_ever_is_left_at_the_published_size(run, site, tmp_path):
    site.raw, site.endless = OK + b'\r\n', True
    code, text = run()
    assert code == 1
    assert f'sends more than {len(site.content)} bytes, but the published file has no' in text
    assert site.sent_bytes < PATIENCE_BYTES
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_not_even_begun_and_the_part_stays(run, site, tmp_path):
    site.raw, site.endless = OK + b'Content-Length: 10000000000000\r\n\r\n', True
    part = tmp_path / f'{NAME}.pt.part'
    part.write_bytes(site.content[:1000])
    code, text = run()
    assert code == 1
    size = len(site.content)
    assert f'has a file of 10000000000000 bytes, but the published one has {size}' in text
    assert part.read_bytes() == site.content[:1000]


@pytest.mark.parametrize('length', ['abc', '-5', '1' * 30, ''])
def test_a_length_that_is_none_is_as_if_none_was_given(run, site, tmp_path, length):
    site.raw = OK + f'Content-Length: {length}\r\n\r\n'.encode() + site.content
    assert run()[0] == 0
    assert (tmp_path / f'{NAME}.pt').read_bytes() == site.content


@pytest.mark.parametrize(
    ('raw', 'sentence'),
    [
        (b'HTTP/1.0 302 Found\r\nLocation: http://[::bad\r\n\r\n', 'names no usable address: '),
        (b'HTTP/1.0 302 Found\r\nLocation: http://a b/\r\n\r\n', 'cannot reach|no usable'),
        (b'HTTP/1.0 500 \x1b[31mred\r\n\r\n', r'answers 500 \?\[31mred for'),
        (b'\0\xff' * 500, 'breaks off after 0 bytes'),
    ],
)
def test_an_answer_that_is_none_is_one_sentence(run, site, tmp_path, raw, sentence):
    site.raw = raw
    code, text = run()
    assert code == 1
    assert re.search(sentence, text) and 'Traceback' not in text and '\x1b' not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'url', ['nonsense', 'http://[::bad', 'http:///x', 'ftp://host/x', 'data:,x', 'http://a b/']
)
def test_what_is_no_address_is_refused_with_what_is(run, tmp_path, url, capsys):
    with pytest.raises(SystemExit, match='2'):
        run('--url', url)
    text = capsys.readouterr().err
    assert f'{url!r} is no address of a file: http://HOST/FILE, https://HOST/FILE' in text
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_may_be_a_file(run, site, tmp_path):
    mirror = tmp_path / 'share' / 'file.pt'
    mirror.parent.mkdir()
    mirror.write_bytes(site.content)
    assert run('--url', mirror.as_uri(), '--directory', str(tmp_path / 'here'))[0] == 0
    assert (tmp_path / 'here' / f'{NAME}.pt').read_bytes() == site.content


def test_a_link_where_the_part_is_written_is_not_followed(run, tmp_path):
    mine = tmp_path / 'thesis.tex'
    mine.write_text('precious')
    (tmp_path / f'{NAME}.pt.part').symlink_to(mine)
    code, text = run()
    assert code == 1
    assert 'it is a symbolic link, which is not followed: remove it' in text
    assert mine.read_text() == 'precious'


@pytest.mark.parametrize('name', [f'{NAME}.pt', f'{NAME}.pt.part'])
@pytest.mark.parametrize('put', [os.mkfifo, os.mkdir])
def test_nothing_but_a_file_is_replaced(run, tmp_path, name, put):
    put(tmp_path / name)
    before = (tmp_path / name).lstat()
    code, text = run()
    assert code == 1
    assert f'cannot write {tmp_path / name}: ' in text and 'a file is expected' in text
    assert os.path.samestat((tmp_path / name).lstat(), before)


def test_a_missing_file_is_one_sentence_with_the_address_and_the_way_by_hand(run, site, tmp_path):
    site.status = 404
    code, text = run()
    assert code == 1
    assert f'answers 404 Not Found for {site.url}' in text
    assert f'By hand: download {site.url} and put it at {tmp_path / NAME}.pt' in text
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_sentence(run, site, tmp_path):
    site.url = 'http://127.0.0.1:9/model.pt'
    code, text = run()
    assert code == 1
    assert 'cannot reach 127.0.0.1:9: ' in text and 'Traceback' not in text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(run, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    code, text = run('--directory', str(tmp_path / 'file'))
    assert code == 1
    assert 'cannot write' in text


def test_two_fetches_of_one_file_do_not_mix(run, site, tmp_path):
    with (tmp_path / f'{NAME}.pt.part').open('ab') as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        code, text = run()
    assert code == 1
    assert 'being written by another fetch' in text


def test_a_mirror_can_be_named(run, site, tmp_path):
    mirror = site.url
    site.url = 'http://127.0.0.1:9/model.pt'
    assert run('--url', mirror)[0] == 0


def test_an_unknown_model_ends_with_the_list(capsys):
    with pytest.raises(SystemExit, match='2'):
        fetch.main(['sam9'])
    assert "unknown model 'sam9'; there are: nano, " in capsys.readouterr().err


def test_nano_needs_no_fetching(capsys):
    assert fetch.main(['nano']) == 0
    assert 'nothing to fetch' in capsys.readouterr().out


def test_the_list_shows_every_model(capsys):
    assert fetch.main(['--list']) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in MODELS)


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as end:
        fetch.main(['--help'])
    assert end.value.code == 0
    assert 'ros2 run sam2_tracker fetch_checkpoint sam2.1_hiera_tiny' in capsys.readouterr().out
