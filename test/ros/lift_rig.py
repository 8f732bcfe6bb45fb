# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A running `lift` with what stands for tracker and camera, and a listener."""

from __future__ import annotations

import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from depth_scenes import Scene
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rclpy.qos import QoSProfile
from sam2_tracker.core.lifting.camera import Camera
from sam2_tracker.ros.messages import label_image_to_msg, stamp_to_msg
from sam2_tracker.ros.qos import LATCHED, OUTPUT
from sam2_tracker_msgs.msg import TrackedObject, TrackedObjects
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from tracker_runner import executable
from waiting import wait_until

DOMAIN_ID = 94
FOLDER = Path(__file__).resolve().parent
CAMERA = Camera((320, 240), (300.0, 300.0), (159.5, 119.5))
POINT = np.dtype([('xyz', '<f4', 3), ('id', '<u4')])


def camera_info(camera: Camera, frame_id: str = 'camera') -> CameraInfo:
    (width, height), (fx, fy), (cx, cy) = camera.size, camera.focal_xy, camera.centre_xy
    return CameraInfo(
        header=Header(frame_id=frame_id), width=width, height=height,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        distortion_model=camera.model, d=list(camera.distortion))


def depth_msg(depth_m: np.ndarray, encoding: str = '32FC1', order: str = '<', padding: int = 0,
              frame_id: str = 'camera') -> Image:
    if encoding == '16UC1':
        values = np.rint(np.nan_to_num(depth_m, posinf=0.0) * 1000).astype(f'{order}u2')
    else:
        values = depth_m.astype(f'{order}f4')
    height, width = values.shape
    rows = np.frombuffer(values.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(header=Header(frame_id=frame_id), width=width, height=height, encoding=encoding,
                 is_bigendian=int(order == '>'), step=rows.shape[1], data=rows.tobytes())


def seen(scene: Scene, object_id: int = 7) -> tuple[np.ndarray, list[TrackedObject]]:
    return scene.labels(object_id), [TrackedObject(
        id=object_id, label='ball', state=TrackedObject.VISIBLE, score=0.875)]


class Rig:
    """A running `lift`, a listener of its detections, and what stands for tracker and camera."""

    def __init__(self, graph, environment: dict[str, str], folder: Path, tracker: str,
                 *arguments: str, depth_qos: QoSProfile | int = 10,
                 info_qos: QoSProfile | int = 10) -> None:
        self.graph = graph
        self.name = f'/{tracker[1:].replace("/", "_")}_lift'
        # None that a `TestCamera` has.
        self.next_stamp_ns = 1_600_000_000_000_000_000
        self._labels = graph.publisher(Image, f'{tracker}/label_image', OUTPUT)
        self._objects = graph.publisher(TrackedObjects, f'{tracker}/objects', LATCHED)
        self.depth = graph.publisher(Image, f'{self.name}/depth', depth_qos)
        self.info = graph.publisher(CameraInfo, f'{self.name}/camera_info', info_qos)
        self.points = graph.inbox(PointCloud2, f'{self.name}/points')
        self.diagnostics = graph.inbox(DiagnosticArray, '/diagnostics')
        variables = {**environment, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}
        self._heard = folder / 'heard.jsonl'
        with self._heard.open('wb') as sink:
            self._listener = subprocess.Popen(
                [sys.executable, str(FOLDER / 'listener.py'), f'{self.name}/detections',
                 'vision_msgs', 'Detection3DArray'], stdout=sink, env=variables)
        self._log = folder / 'lift.log'
        command = [executable('lift'), '--ros-args', '-r', f'__node:={self.name[1:]}', '-r',
                   f'depth:={self.name}/depth', '-r', f'camera_info:={self.name}/camera_info',
                   '-p', f'tracker:={tracker}', *arguments]
        with self._log.open('wb') as sink:
            self.process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, env=variables)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_it_listens(self) -> None:
        wait_until(lambda: all(each.get_subscription_count() for each in (
            self._labels, self._objects, self.depth, self.info)), what=f'lift: {self.log}')

    def wait_until_it_is_heard(self) -> None:
        """Show frames without objects until something of them comes on both topics."""
        nothing = np.zeros((240, 320), np.float32)

        def is_heard() -> bool:
            self.show(nothing.astype(np.uint16), [], depth_msg(nothing), camera_info(CAMERA))
            time.sleep(0.1)
            return f'{self.name}/detections' in self._heard.read_text().partition('\n')[2] and (
                bool(self.points.messages))
        wait_until(is_heard, what=f'results; lift says: {self.log}')

    def show(self, labels: np.ndarray, objects: list[TrackedObject], depth: Image,
             info: CameraInfo | None, depth_off_ns: int = 0, frame_id: str = 'camera') -> int:
        """Publish a frame as tracker and camera do, and return its stamp."""
        stamp_ns = self.next_stamp_ns
        self.next_stamp_ns += 100_000_000
        header = Header(stamp=stamp_to_msg(stamp_ns), frame_id=frame_id)
        depth.header.stamp = stamp_to_msg(stamp_ns + depth_off_ns)
        if info is not None:
            info.header.stamp = header.stamp
            self.info.publish(info)
        self.depth.publish(depth)
        self._objects.publish(TrackedObjects(header=header, objects=objects))
        self._labels.publish(label_image_to_msg(labels, header))
        return stamp_ns

    def heard(self, stamp_ns: int) -> dict | None:
        """Return the detections of a frame, None if none were heard yet."""
        stamp = {'sec': stamp_ns // 10**9, 'nanosec': stamp_ns % 10**9}
        for line in self._heard.read_text().splitlines(keepends=True):
            topic, content = json.loads(line) if line.endswith('\n') else ('', {})
            if topic == f'{self.name}/detections' and content['header']['stamp'] == stamp:
                return content
        return None

    def detections(self, stamp_ns: int) -> dict:
        """Wait for the detections of a frame."""
        return wait_until(lambda: self.heard(stamp_ns),
                          what=f'detections; lift says: {self.log}')

    def cloud(self, stamp_ns: int) -> np.ndarray:
        """Wait for the points of a frame."""
        msg = self.points.wait_for(lambda msg: msg.header.stamp == stamp_to_msg(stamp_ns))
        assert [(field.name, field.offset) for field in msg.fields] == [
            ('x', 0), ('y', 4), ('z', 8), ('id', 12)]
        assert (msg.height, msg.row_step) == (1, msg.width * msg.point_step)
        assert msg.header.frame_id == 'camera' and not msg.is_bigendian
        return np.frombuffer(bytes(msg.data), POINT)

    def values(self, wanted: dict[str, int]) -> None:
        """Wait until /diagnostics says so."""
        def fits(msg: DiagnosticArray) -> bool:
            status = msg.status[0]
            values = {each.key: each.value for each in status.values}
            return status.hardware_id == self.name and all(
                values[key] == str(value) for key, value in wanted.items())
        self.diagnostics.wait_for(fits)

    def wait_for_line(self, text: str) -> None:
        wait_until(lambda: text in self.log, what=f'{text!r} in:\n{self.log}')

    def close(self) -> None:
        self._listener.kill()
        self._listener.wait()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(15) == 0, self.log
        assert 'Traceback' not in self.log, self.log
