# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Start the tracker on a camera.

For example:
    ros2 launch sam2_tracker tracker.launch.py image:=/camera/image_raw model:=sam2.1_hiera_tiny
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare
from sam2_tracker.core.config import PARAMETERS
from sam2_tracker.core.settings import ParameterSpec, When

# Arguments that stand for the parameter of the same name.
PARAMETER_ARGUMENTS = [
    *(spec for spec in PARAMETERS.values() if spec.launch),
    # rclpy declares it in every node.
    ParameterSpec('use_sim_time', False, When.LIVE, 'Take the time from /clock.'),
]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'image', default_value='image', description='topic of the camera'
            ),
            DeclareLaunchArgument(
                'params_file',
                default_value=PathJoinSubstitution(
                    [FindPackageShare('sam2_tracker'), 'config', 'tracker.yaml']
                ),
                description='YAML file of parameters; the arguments here override it where given',
            ),
            *(argument_of(spec) for spec in PARAMETER_ARGUMENTS),
            DeclareLaunchArgument('namespace', default_value='', description='of the node'),
            DeclareLaunchArgument('log_level', default_value='info', description='of the node'),
            OpaqueFunction(function=start_tracker),
        ]
    )


def argument_of(spec: ParameterSpec) -> DeclareLaunchArgument:
    """Declare the argument of a parameter; empty, its default, stands for not given."""
    # launch itself lists choices in its help.
    accepted = '' if spec.choices else f' Accepted: {spec.accepted}.'
    return DeclareLaunchArgument(
        spec.name,
        default_value='',
        choices=['', *spec.choices] if spec.choices else None,
        description=f'{spec.description}{accepted} If not given, as in params_file.',
    )


def start_tracker(context: LaunchContext) -> list[Node]:
    """
    Make the node's action; that takes the arguments' values, since only given ones count.

    :raises FileNotFoundError: `params_file` is not there: launch would start with the defaults
    """
    params_file = context.launch_configurations['params_file']
    if not Path(params_file).is_file():
        raise FileNotFoundError(f'params_file {params_file!r} is not there, or is no file')
    given = {
        # A value like `1` or `off` would otherwise be taken for what it looks like.
        spec.name: ParameterValue(LaunchConfiguration(spec.name), value_type=type(spec.default))
        for spec in PARAMETER_ARGUMENTS
        if context.launch_configurations[spec.name]
    }
    return [
        Node(
            package='sam2_tracker',
            executable='tracker',
            name='sam2_tracker',
            namespace=LaunchConfiguration('namespace'),
            parameters=[ParameterFile(LaunchConfiguration('params_file')), given],
            remappings=[('image', LaunchConfiguration('image'))],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
        )
    ]
