# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Start the tracker on a camera.

For example:
    ros2 launch sam2_tracker tracker.launch.py image:=/camera/image_raw model:=sam2.1_hiera_tiny
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

# Arguments that stand for the parameter of the same name, with its type and what it is.
PARAMETER_ARGUMENTS = {
    'image_transport': (str, 'raw or compressed'),
    'frame_policy': (str, 'latest: live, skip what cannot be kept up with; every: lose nothing'),
    'model': (str, 'nano (bundled, for demos), sam2.1_hiera_tiny, _small, _base_plus, _large'),
    'checkpoint': (str, "path of the weights, where they are not in fetch_checkpoint's cache"),
    'device': (str, 'auto, cpu, cuda or cuda:N'),
    'prompts_file': (str, 'YAML file of prompts to apply by themselves'),
    'use_sim_time': (bool, 'take the time from /clock'),
    'autostart': (bool, 'false leaves configure and activate to a lifecycle manager'),
}


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
            *(
                DeclareLaunchArgument(
                    name, default_value='', description=f'{text}; if not given, as in params_file'
                )
                for name, (_, text) in PARAMETER_ARGUMENTS.items()
            ),
            DeclareLaunchArgument('namespace', default_value='', description='of the node'),
            DeclareLaunchArgument('log_level', default_value='info', description='of the node'),
            OpaqueFunction(function=start_tracker),
        ]
    )


def start_tracker(context: LaunchContext) -> list[Node]:
    """Make the node's action; that takes the arguments' values, since only given ones count."""
    given = {
        # A value like `1` or `off` would otherwise be taken for what it looks like.
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, (value_type, _) in PARAMETER_ARGUMENTS.items()
        if context.launch_configurations[name]
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
