# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Start trackers on several cameras, with one model for all.

For example:
    ros2 launch sam2_tracker trackers.launch.py cameras:="[front, left]" \
        image:=/{camera}_camera/image_raw model:=sam2.1_hiera_tiny
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
import yaml

# Stands for the name of each camera.
PLACE = '{camera}'


def _beside(name: str) -> ModuleType:
    """Load the launch file of this name: what it has of parameters holds here too."""
    spec = importlib.util.spec_from_file_location(
        name.replace('.', '_'), Path(__file__).with_name(name)
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRACKER = _beside('tracker.launch.py')


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'cameras', description='names of the cameras, as in "[front, left]"'
            ),
            DeclareLaunchArgument(
                'image',
                default_value=f'{PLACE}/image',
                description=f'topic of each camera; {PLACE} stands for its name',
            ),
            *TRACKER.process_arguments('of all nodes'),
            OpaqueFunction(function=start_trackers),
        ]
    )


def start_trackers(context: LaunchContext) -> list[Node]:
    """
    Make the action of the process with all cameras.

    :raises ValueError: `cameras` is no list of names, or `image` one topic for several
    :raises FileNotFoundError: `params_file` is not there
    """
    given = context.launch_configurations
    names = yaml.safe_load(given['cameras'])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'cameras {given["cameras"]!r} is no list of names as "[front, left]"')
    if len(names) > 1 and PLACE not in given['image']:
        raise ValueError(f'image {given["image"]!r} is one topic for {len(names)} cameras: write '
                         f'{PLACE} where the name of each stands')
    from_file, from_arguments = TRACKER.parameters_of(context)
    # Without a name of the node launch gives parameters to all nodes of the process.
    return [
        Node(
            package='sam2_tracker',
            executable='trackers',
            namespace=LaunchConfiguration('namespace'),
            parameters=[
                from_file,
                {'cameras': names},
                from_arguments,
            ],
            remappings=remappings_of(names, given['namespace'], given['image']),
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
        )
    ]


def remappings_of(names: list[str], namespace: str, image: str) -> list[tuple[str, str]]:
    """Say which topic each camera's `image` is; a relative one is in the namespace of all."""
    above = f'/{namespace.strip("/")}/'.replace('//', '/')
    topic = image if image.startswith('/') else above + image
    return [(f'{above}{name}/image', topic.replace(PLACE, name)) for name in names]
