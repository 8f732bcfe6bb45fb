# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
save_memory and load_memory: what is learnt of objects outlives the node.

Every refusal with its sentence; nothing has changed then.
"""

from __future__ import annotations

import os
from pathlib import Path
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_rig import files_in, load, RememberingLoader, save
from node_rig import ask, click, NodeRig, SUCCESS, until_done
import numpy as np
from prompt_rig import listed
import pytest
from rcl_interfaces.msg import Log
from ros_graph import HELD_S
from safetensors.numpy import save_file
from sam2_tracker.core.engine.memory import file as memory_file
from sam2_tracker.ros.messages import stamp_from_msg
from sam2_tracker_msgs.msg import TrackedObject
from sam2_tracker_msgs.srv import ListObjects, RemoveObject, SaveMemory
from std_srvs.srv import SetBool, Trigger
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 66


@pytest.fixture(name='rig')
def rig_fixture(tracker):
    rig = tracker()
    rig.track(2)
    return rig


def test_objects_are_saved_and_found_again_by_another_node(rig, tracker, folder):
    ask(rig, click(label='cup'), click(x=40.0, label='plate'))
    rig.track(2)
    saved = save(rig)
    assert saved.success and saved.message == str(folder / 'cups.safetensors')
    assert list(saved.object_ids) == [1, 2]
    other = tracker()
    other.track()
    ask(other, click(label='already there'))
    loaded = load(other)
    assert loaded.success and loaded.message == '' and list(loaded.object_ids) == [2, 3]
    rig.wait_for_line(f'saved object 1, object 2 to {saved.message}', Log.INFO)
    other.wait_for_line(f'loaded {saved.message}: new object 2, object 3', Log.INFO)
    other.track()
    assert [(each.id, each.label, each.state) for each in listed(other)] == [
        (1, 'already there', TrackedObject.VISIBLE), (2, 'cup', TrackedObject.VISIBLE),
        (3, 'plate', TrackedObject.VISIBLE)]


def test_loaded_objects_are_listed_and_published_at_once_and_tracked_from_the_next_frame(rig):
    ask(rig, click(label='cup'))
    stamp_ns = rig.track()
    assert save(rig).success
    assert rig.call(Trigger, 'reset').success
    results = len(rig.objects.messages)
    object_id = load(rig).object_ids[0]
    at_once = rig.objects.wait_for(lambda msg: len(msg.objects) == 1, results)
    assert stamp_from_msg(at_once.header.stamp) == stamp_ns
    assert (at_once.objects[0].id, at_once.objects[0].label) == (object_id, 'cup')
    assert at_once.objects[0].state == TrackedObject.UNKNOWN and not at_once.objects[0].area
    assert not at_once.objects[0].catching_up
    assert listed(rig) == list(at_once.objects)
    rig.track()
    assert listed(rig)[0].state == TrackedObject.VISIBLE and listed(rig)[0].area


def test_loaded_objects_take_ids_that_were_never_used(rig):
    object_id = ask(rig, click()).objects[0].id
    assert save(rig).success
    assert rig.call(RemoveObject, 'remove_object', object_id=object_id).success
    assert [list(load(rig).object_ids), list(load(rig).object_ids)] == [
        [object_id + 1], [object_id + 2]]


def test_only_the_objects_asked_for_are_saved_and_loaded_in_that_order(rig):
    first, second, third = (each.id for each in ask(
        rig, click(label='a'), click(x=30.0, label='b'), click(x=40.0, label='c')).objects)
    assert list(save(rig, 'two', third, first).object_ids) == [third, first]
    assert rig.call(Trigger, 'reset').success
    reply = load(rig, 'two', first, third)
    assert [each.label for each in listed(rig)] == ['a', 'c']
    assert list(reply.object_ids) == [third + 1, third + 2]
    refused = load(rig, 'two', second)
    assert refused.message == (
        f'object {second} is not in two.safetensors: it has {third} (c), {first} (a)')


def test_a_loaded_object_can_be_saved_and_refined_like_any_other(rig):
    ask(rig, click(label='cup'))
    assert save(rig).success
    assert rig.call(Trigger, 'reset').success
    object_id = load(rig).object_ids[0]
    assert ask(rig, click(object_id, positive=0)).success
    rig.track(2)
    assert ask(rig, click(object_id), stamp_ns=rig.stamp_ns(rig.sent - 2)).success
    rig.track(2)
    assert listed(rig)[0].state == TrackedObject.VISIBLE
    assert list(save(rig, 'again', object_id).object_ids) == [object_id]


def test_objects_can_be_loaded_before_the_first_frame(rig, tracker):
    ask(rig, click(label='cup'))
    assert save(rig).success
    other = tracker()
    assert load(other).success
    reply = other.call(ListObjects, 'list_objects')
    assert [each.label for each in reply.objects] == ['cup'] and not reply.header.frame_id
    stamp_ns = other.send(hw=(120, 160))
    shown = other.result(stamp_ns).objects[0]
    assert shown.state == TrackedObject.VISIBLE
    # Prompts on it are in pixels of these pictures.
    assert ask(other, click(shown.id, x=155.0, y=115.0)).success


def test_objects_loaded_just_before_the_picture_changes_its_size_are_tracked_there(rig):
    ask(rig, click(label='cup'))
    assert save(rig).success
    assert rig.call(Trigger, 'reset').success
    assert load(rig).success
    assert rig.result(rig.send(hw=(100, 100))).objects[0].state == TrackedObject.VISIBLE


def test_a_memory_is_found_again_in_pictures_of_another_size_and_aspect(rig, tracker):
    ask(rig, click())
    assert save(rig).success
    other = tracker()
    other.result(other.send(hw=(90, 30)))
    assert load(other).success
    assert other.result(other.send(hw=(90, 30))).objects[0].state == TrackedObject.VISIBLE


def test_objects_loaded_during_a_pause_are_listed_and_tracked_after_it(rig):
    ask(rig, click())
    assert save(rig).success
    assert rig.call(Trigger, 'reset').success
    assert rig.call(SetBool, 'pause', data=True).success
    object_id = load(rig).object_ids[0]
    assert [(each.id, each.state) for each in listed(rig)] == [(object_id, TrackedObject.UNKNOWN)]
    assert save(rig, 'paused').success
    assert rig.call(SetBool, 'pause', data=False).success
    rig.track()
    assert listed(rig)[0].state == TrackedObject.VISIBLE


def test_both_services_say_why_they_cannot_while_the_node_is_inactive(rig, folder):
    ask(rig, click())
    assert rig.node.trigger_deactivate() == SUCCESS
    for reply in (save(rig), load(rig)):
        assert not reply.success and 'the tracker is inactive' in reply.message
    assert files_in(folder) == []


def test_a_saved_file_replaces_an_older_one_whole_and_leaves_nothing_else(rig, folder):
    ask(rig, click(label='old'))
    assert save(rig).success
    ask(rig, click(1, label='new'))
    assert save(rig, 'cups.safetensors').success
    assert files_in(folder) == ['cups.safetensors']
    assert [each.label for each in memory_file.load_memory(folder / 'cups.safetensors')] == ['new']


def test_a_file_that_is_no_object_memory_is_never_replaced(rig, folder):
    ask(rig, click())
    folder.mkdir()
    save_file({'weights': np.ones(3, np.float32)}, folder / 'model.safetensors')
    before = (folder / 'model.safetensors').read_bytes()
    reply = save(rig, 'model')
    assert not reply.success and 'is no object memory, so it is not replaced' in reply.message
    assert (folder / 'model.safetensors').read_bytes() == before


def test_without_a_directory_files_lie_where_xdg_says(start, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    rig = start(loader=RememberingLoader())
    rig.track()
    ask(rig, click())
    assert save(rig).message == str(tmp_path / 'sam2_tracker' / 'memories' / 'cups.safetensors')


def test_a_slow_disk_holds_up_neither_frames_nor_other_services(rig, monkeypatch):
    ask(rig, click())
    slow, written = threading.Event(), os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (slow.wait(HELD_S), written(file)))
    pending = [rig.graph.call_async(SaveMemory, f'{rig.prefix}/save_memory',
                                    SaveMemory.Request(file_name=f'cups{number}'))
               for number in range(6)]
    rig.track(3)
    assert len(listed(rig)) == 1
    assert not any(each.done() for each in pending)
    slow.set()
    rig.track()
    wait_until(lambda: all(each.done() for each in pending))
    assert all(each.result().success for each in pending)


@pytest.fixture(name='hurried')
def hurried_fixture(rig, tracker):
    """Start a tracker of one object that gives requests half a second; there is a file."""
    ask(rig, click())
    assert save(rig).success
    hurried = tracker('prompt.timeout_s:=0.5')
    hurried.track()
    until_done(lambda: ask(hurried, click()))
    return hurried


def count_listed(rig):
    return len(until_done(lambda: rig.call(ListObjects, 'list_objects')).objects)


def test_a_load_that_cannot_be_done_in_time_is_answered_and_never_applied(hurried, folder):
    hurried.predictor.gate.clear()
    hurried.predictor.arrived.clear()
    stamp_ns = hurried.send()
    assert hurried.predictor.arrived.wait(TIMEOUT_S)
    reply = load(hurried)
    hurried.predictor.gate.set()
    assert not reply.success and 'took longer than 0.5 s (prompt.timeout_s)' in reply.message
    hurried.result(stamp_ns)
    hurried.track()
    assert count_listed(hurried) == 1 and Path(folder / 'cups.safetensors').exists()


def test_a_disk_that_hangs_is_not_waited_for_longer_than_for_anything_else(
        hurried, folder, monkeypatch):
    mended, read = threading.Event(), memory_file.read_tensor_file
    monkeypatch.setattr(memory_file, 'read_tensor_file',
                        lambda path: (mended.wait(HELD_S), read(path))[1])
    for reply in (load(hurried), save(hurried, 'mugs')):
        assert not reply.success
        assert 'the disk took longer than 0.5 s (prompt.timeout_s)' in reply.message
    mended.set()
    until_done(lambda: save(hurried, 'jars'))
    assert files_in(folder) == ['cups.safetensors', 'jars.safetensors']
    assert count_listed(hurried) == 1


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
    # What is no file is none of them, be it called as the one that is looked for.
    os.mkfifo(folder / 'cups.safetensors')
    (folder / 'pots.safetensors').mkdir()
    assert load(rig).message == (
        f'no object memory cups.safetensors in {folder}: there are mugs.safetensors')
    for number in range(30):
        (folder / f'{number:02}.safetensors').touch()
    assert load(rig).message.endswith(', 18.safetensors, 19.safetensors and 11 more')
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


def test_a_loaded_object_is_tracked_on_when_its_file_is_cut_short(rig, folder):
    ask(rig, click(label='cup'))
    assert save(rig).success
    loaded = load(rig).object_ids[0]
    os.truncate(folder / 'cups.safetensors', 0)
    # Such memory is mapped for as long as its tensors live: none may be of this file.
    assert 'cups.safetensors' not in Path('/proc/self/maps').read_text(encoding='utf-8')
    rig.track(2)
    assert {each.id: each.state for each in listed(rig)}[loaded] == TrackedObject.VISIBLE


def test_saving_onto_a_pipe_is_refused_at_once(rig, folder):
    ask(rig, click(label='cup'))
    folder.mkdir()
    os.mkfifo(folder / 'cups.safetensors')
    assert save(rig).message == (f'{folder}/cups.safetensors is there and is no object memory, '
                                 'so it is not replaced: take another name')
    assert 'no object memory cups.safetensors' in load(rig).message
    assert len(listed(rig)) == 1


def test_an_object_whose_label_would_move_the_cursor_is_not_loaded(rig, folder):
    ask(rig, click(label='cup'))
    assert save(rig).success
    path = folder / 'cups.safetensors'
    path.write_bytes(path.read_bytes().replace(rb'\"cup\"', rb'\"\\u001b\"'[:9]))
    assert 'cups.safetensors' in load(rig).message
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
