# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Detections in COCO's JSON: a list of results, or a data set of one video or of several.

Of several, those of one recording are read: of the video that is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from sam2_tracker.core.detections.detection import Detection
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.text import shown
from sam2_tracker.offline.sources.open_source import BAG_SUFFIXES
from sam2_tracker.offline.sources.video import PICTURE_SUFFIXES

# Other dots are of the name itself, as in run.2 or 2026.05.02.
_VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts',
                   '.m2ts', '.wmv', '.flv', '.ogv', '.3gp', '.gif', '.y4m')
# As many videos as a sentence names.
_SHOWN_VIDEOS = 5


class UnclearVideoError(ValueError):
    """There are several videos, and which of them is the recording cannot be told."""


@dataclass(frozen=True)
class _Image:
    """
    A frame of a video.

    :param video: the video's name, '' where nothing tells of one
    :param frame: its number from 0, or its picture's name
    """

    video: str
    frame: int | str


def coco_rows(
    content: Any, recording: Path, log: Log = silent
) -> Iterator[tuple[int | str, Detection]]:
    """
    Yield frames and what was found there.

    A list names frames by their numbers from 0 or their pictures' names, and has no class names.

    :param content: of the file
    :param recording: whose frames are wanted
    :param log: told which of several videos is read
    :raises UnclearVideoError: if which of several videos is the recording cannot be told
    :raises ValueError: if something in it is wrong
    :raises KeyError: if a part of it is missing
    """
    is_set = isinstance(content, dict)
    rows = content['annotations'] if is_set else content
    categories = content.get('categories', ()) if is_set else ()
    names = {each['id']: str(each['name']) for each in categories}
    images = _images_of(content) if is_set else {}
    # By the type as well: True is no 1.
    by_id = images.__getitem__ if is_set else lru_cache(None, typed=True)(_image_of_id)
    found = list(_found(rows, names, by_id))
    looked_at = images.values() if is_set else (image for image, _ in found)
    videos = {image.video for image in looked_at} - {''}
    # Of what has no video's name all may be the recording's.
    wanted = {'', _video_of(videos, recording)}
    if is_set:
        _refuse_repeated(images, wanted)
    if len(videos) > 1:
        log(Level.INFO, f'of the {len(videos)} videos that were looked at for detections, those '
                        f'of {shown(max(wanted))} are read')
    yield from ((image.frame, each) for image, each in found if image.video in wanted)


def name_without_suffix(name: str) -> str:
    """Return a picture's name without `.png` and its like: other dots are of the name itself."""
    path = Path(name)
    return path.stem if path.suffix.lower() in PICTURE_SUFFIXES else name


def _image_of_id(image_id: Any) -> _Image:
    if isinstance(image_id, str) and Path(image_id).name:
        return _Image(_folder_of(image_id), name_without_suffix(Path(image_id).name))
    number = _whole(image_id)
    if isinstance(number, int) and number >= 0:
        return _Image('', number)
    raise ValueError(f'image_id {image_id!r} is neither a frame number from 0 nor a name')


def _images_of(content: Mapping[str, Any]) -> dict[Any, _Image]:
    """Return the images of a data set by their ids."""
    videos = {each['id']: _video_name(each) for each in content.get('videos', ())}
    places: dict[str, int] = {}
    images: dict[Any, _Image] = {}
    for each in content['images']:
        if each['id'] in images:
            raise ValueError(f'two images have the id {shown(each["id"])}')
        video_id = each.get('video_id')
        video = (_folder_of(str(each.get('file_name', ''))) if video_id is None
                 else videos.get(video_id) or str(video_id))
        place = places[video] = places.get(video, -1) + 1
        images[each['id']] = _Image(video, int(each.get('frame_index', place)))
    return images


def _video_name(video: Mapping[str, Any]) -> str:
    return _as_path(str(video.get('name') or video.get('file_name') or video['id']))


def _folder_of(file_name: str) -> str:
    return _as_path(str(PurePosixPath(_as_path(file_name)).parent))


def _as_path(name: str) -> str:
    """Return a name with the slashes of this platform; '' where it names nothing."""
    path = str(PurePosixPath(name.replace('\\', '/')))
    return '' if path in ('.', '/') else path


def _found(
    rows: Iterable[Any], names: Mapping[Any, str], image_of: Callable[[Any], _Image]
) -> Iterator[tuple[_Image, Detection]]:
    for place, row in enumerate(rows):
        try:
            left, top, width, height = _four(row['bbox'])
            class_id = _class_key(row['category_id'])
            yield image_of(row['image_id']), Detection(
                (left, top, left + width, top + height), float(row.get('score', 1.0)),
                names.get(class_id, str(class_id)))
        except KeyError as error:
            raise ValueError(f'entry {place}, {shown(row)}: {error} is missing') from error
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f'entry {place}, {shown(row)}: {error}') from error


def _video_of(videos: Collection[str], recording: Path) -> str:
    """
    Return the video that a recording is: the only one, or that of its name.

    :raises UnclearVideoError: if none of several is, or more than one
    """
    if len(videos) <= 1:
        return next(iter(videos), '')
    place = _spellings(recording.absolute().parts)
    common = {video: max(_common_end(one, other) for one in _spellings(PurePosixPath(video).parts)
                         for other in place) for video in videos}
    if not any(common.values()):
        # Pictures often lie in a folder of the video's, beside what else belongs to it.
        own = {spelling[-1] for spelling in place}
        common = {video: int(bool(own & {*PurePosixPath(video).parts})) for video in videos}
    best = [video for video in sorted(videos) if common[video] == max(common.values())]
    if len(best) == 1:
        return best[0]
    shown_videos = ', '.join(map(shown, best[:_SHOWN_VIDEOS]))
    more = ', ...' if len(best) > _SHOWN_VIDEOS else ''
    raise UnclearVideoError(
        f'its pictures are of {len(videos)} videos, and by its name {recording} may be any of '
        f'{len(best)}: {shown_videos}{more}; call it as its video is called, or give a file with '
        'that video alone')


def _spellings(parts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return a path's parts with the suffix of its name and without, if that is a recording's."""
    *folders, name = parts
    path = Path(name)
    is_file = path.suffix.lower() in (*BAG_SUFFIXES, *_VIDEO_SUFFIXES)
    return (parts, (*folders, path.stem)) if is_file else (parts,)


def _common_end(these: tuple[str, ...], those: tuple[str, ...]) -> int:
    """Return how many parts two paths have in common at their ends."""
    pairs = enumerate(zip(reversed(these), reversed(those), strict=False))
    return next((count for count, (one, other) in pairs if one != other),
                min(len(these), len(those)))


def _refuse_repeated(images: Mapping[Any, _Image], videos: Collection[str]) -> None:
    seen: dict[int | str, Any] = {}
    for image_id, image in images.items():
        if image.video not in videos:
            continue
        if image.frame in seen:
            raise ValueError(
                f'the images with the ids {shown(seen[image.frame])} and {shown(image_id)} are '
                f'both frame {image.frame}: each frame of a video has one')
        seen[image.frame] = image_id


def _four(bbox: Any) -> Iterable[float]:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f'bbox {shown(bbox)} is not [x, y, width, height]')
    return map(float, bbox)


def _class_key(category_id: Any) -> int | str:
    key = _whole(category_id)
    if isinstance(key, int | str):
        return key
    raise ValueError(f'category_id {category_id!r} is neither a whole number nor a name')


def _whole(number: Any) -> Any:
    """Return a float that is a whole number as such, as tables write those; no truth is one."""
    if isinstance(number, bool):
        return None
    return int(number) if isinstance(number, float) and number.is_integer() else number
