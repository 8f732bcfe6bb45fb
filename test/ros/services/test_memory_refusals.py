# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every refusal of save_memory and load_memory with its sentence; nothing has changed then."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_rig import files_in, load, RememberingLoader, save
from node_rig import ask, click, NodeRig
import numpy as np
from prompt_rig import listed
import pytest
from safetensors.numpy import save_file

from sam2_tracker_msgs.srv import RemoveObject

DOMAIN_ID = 68


@pytest.fixture(name='rig')
def rig_fixture(tracker):
    rig = tracker()
    rig.track(2)
    return rig


@pytest.fixture(scope='module', name='shared')
def shared_fixture(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp('parent') / 'memories'
    rig = NodeRig(graph, f'memory.directory:={folder}', namespace='named',
                  loader=RememberingLoader())
    rig.track()
    ask(rig, click())
    yield rig, folder
    rig.close()


@pytest.mark.parametrize(('name', 'sentence'), [
    ('', 'file_name is empty'), ('../cups', "file_name '../cups' is a path"),
    ('/etc/cups', "file_name '/etc/cups' is a path"), ('a/b', 'is a path: a plain name'),
    ('a\\b', 'is a path'), ('..', 'begins with a dot'), ('.cups', 'begins with a dot'),
    ('.safetensors', 'begins with a dot'), ('cu\nps', 'characters that cannot be printed'),
    ('c' * 300, 'file_name has 312 bytes: at most 200 are expected')])
def test_a_file_name_that_is_no_plain_name_is_refused(shared, name, sentence):
    rig, folder = shared
    for reply in (save(rig, name), load(rig, name)):
        assert not reply.success and sentence in reply.message and not reply.object_ids
    assert files_in(folder.parent) == []


def test_what_cannot_be_saved_is_refused(rig, folder):
    assert save(rig).message == 'there is no object whose memory could be saved: prompt one'
    object_id = ask(rig, click()).objects[0].id
    assert save(rig, 'cups', object_id, 77).message == (
        f'object 77 is unknown: tracked are {object_id}')
    assert save(rig, 'cups', object_id, object_id).message == (
        f'object {object_id} is named twice in one request')
    assert files_in(folder) == []


def test_an_object_that_was_lost_with_its_stream_is_not_saved(rig, folder):
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    rig.result(rig.send(hw=(90, 30)))
    reply = save(rig)
    assert reply.message == (f'object {object_id} was lost with its stream, nothing is remembered '
                             'of it: prompt it again')
    assert files_in(folder) == []


def test_a_missing_file_is_refused_with_the_names_of_those_that_are_there(rig, folder):
    assert load(rig).message == f'no object memory cups.safetensors in {folder}: there is none'
    ask(rig, click())
    save(rig, 'mugs')
    assert load(rig).message == (
        f'no object memory cups.safetensors in {folder}: there are mugs.safetensors')
    assert load(rig, 'mugs', 1, 1).message == 'object 1 is named twice in one request'


def test_a_file_of_other_weights_or_another_image_size_is_refused(rig, tracker):
    ask(rig, click())
    assert save(rig).success
    other = tracker(weights='b' * 64)
    other.track()
    assert 'was made with other weights (nano, aaaaaaaaaaaa) than these (bbbbbbbbbbbb)' in load(
        other).message
    larger = tracker(image_size=128)
    larger.track()
    assert 'was made with image size 64, this model has 128: set image_size to 64' in load(
        larger).message
    assert listed(other) == listed(larger) == []


def test_a_damaged_file_is_refused(rig, folder):
    ask(rig, click())
    assert save(rig).success
    path = folder / 'cups.safetensors'
    path.write_bytes(path.read_bytes()[:-5])
    reply = load(rig)
    assert not reply.success and 'cups.safetensors is damaged, or no object memory' in (
        reply.message)
    path.write_bytes(b'')
    assert 'is damaged, or no object memory' in load(rig).message
    save_file({'maps': np.ones(3, np.float32)}, path)
    assert 'is no object memory: it was not written by save_memory' in load(rig).message
    assert len(listed(rig)) == 1


def test_more_objects_than_there_is_room_for_are_refused_all_together(tracker):
    rig = tracker('tracking.max_objects:=3')
    rig.track()
    ask(rig, click(), click(x=30.0))
    assert save(rig).success
    reply = load(rig)
    assert reply.message == ('too many objects: 2 new beside 2 tracked, at most 3 in all '
                             '(tracking.max_objects)')
    assert len(listed(rig)) == 2
    assert list(load(rig, 'cups', 2).object_ids) == [3]


def test_a_directory_that_cannot_be_written_is_an_error_in_a_sentence(start, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    rig = start(f'memory.directory:={tmp_path}/file/memories', loader=RememberingLoader())
    rig.track()
    ask(rig, click())
    reply = save(rig)
    assert not reply.success and 'cups.safetensors cannot be written: ' in reply.message


@settings(max_examples=40)
@given(name=st.text(max_size=12) | st.sampled_from(['a', 'b.safetensors', 'c.']),
       ids=st.lists(st.integers(0, 4) | st.integers(0, 65535), max_size=3))
def test_any_request_is_answered_and_nothing_is_written_outside_the_directory(shared, name, ids):
    rig, folder = shared
    for reply in (save(rig, name, *ids), load(rig, name, *ids)):
        assert reply.success or len(reply.message) > 10
    assert set(files_in(folder.parent)) <= {'memories'}
    assert all(file.endswith('.safetensors') and file[0] != '.' for file in files_in(folder))
    for each in listed(rig)[1:]:
        assert rig.call(RemoveObject, 'remove_object', object_id=each.id).success
