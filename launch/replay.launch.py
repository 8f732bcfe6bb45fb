# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a bag into the tracker, every frame, on the bag's clock.

For example:
    ros2 launch sam2_tracker replay.launch.py bag:=my_bag image:=/camera/image prompts_file:=p.yaml

Playing begins when the tracker is active. When the bag has ended the tracker stays, to finish what
waits in its buffer and to answer questions, until Ctrl-C.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from sam2_tracker.core.config import FramePolicy

# Time for the player's publishers and the tracker to find each other.
DISCOVERY_S = '2.0'
# The last images are still on their way when the player is done.
ACKNOWLEDGED_WITHIN_MS = '10000'


def generate_launch_description() -> LaunchDescription:
    wait = Node(
        package='sam2_tracker',
        executable='wait_until_active',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='rosbag2 to play'),
            DeclareLaunchArgument('rate', default_value='1.0', description='of the playing'),
            DeclareLaunchArgument(
                'loop',
                default_value='false',
                choices=['true', 'false'],
                description='begin again at the end; each round is a session of its own',
            ),
            # Declared in tracker.launch.py too; what is set here holds there.
            DeclareLaunchArgument(
                'frame_policy',
                default_value=FramePolicy.EVERY.value,
                choices=['', *(policy.value for policy in FramePolicy)],
                description='of the tracker',
            ),
            DeclareLaunchArgument(
                'use_sim_time', default_value='true', description='of the tracker'
            ),
            DeclareLaunchArgument('namespace', default_value='', description='of the tracker'),
            OpaqueFunction(function=check_bag),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution(
                        [FindPackageShare('sam2_tracker'), 'launch', 'tracker.launch.py']
                    )
                )
            ),
            RegisterEventHandler(OnProcessExit(target_action=wait, on_exit=play_if_active)),
            wait,
        ]
    )


def check_bag(context: LaunchContext) -> None:
    """
    Look for the bag before a model is loaded.

    :raises FileNotFoundError: `bag` is not there
    """
    bag = Path(context.launch_configurations['bag'])
    if not bag.exists():
        raise FileNotFoundError(f'there is no bag {bag}')


def play_if_active(
    event: ProcessExited, context: LaunchContext
) -> list[LaunchDescriptionEntity] | None:
    """Start the player, or nothing when the wait was ended by Ctrl-C."""
    if event.returncode or context.is_shutdown:
        return None
    options = ['--rate', LaunchConfiguration('rate'), '--delay', DISCOVERY_S]
    options += ['--wait-for-all-acked', ACKNOWLEDGED_WITHIN_MS, '--disable-keyboard-controls']
    if context.launch_configurations['loop'] == 'true':
        options.append('--loop')
    player = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', *options],
        output='screen',
    )
    return [player, RegisterEventHandler(OnProcessExit(target_action=player, on_exit=say_end))]


def say_end(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
    """Say that the bag has ended, or was not played to its end."""
    if context.is_shutdown:
        return None
    end = 'has ended' if event.returncode == 0 else (
        f'was not played to its end: ros2 bag play ended with code {event.returncode}, see above')
    return [LogInfo(msg=f'The bag {end}; the tracker goes on. Ctrl-C stops it.')]
