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
# With the console: time to look at a frozen picture, 20 s at 30 frames a second. An exact stamp is
# asked for then, so that no prompt is taken for the neighbour of a picture that has gone.
FOR_CONSOLE = {
    'buffer.max_frames': 600,
    'tracking.look_back_frames': 600,
    'prompt.stamp_tolerance_s': 0.0,
}


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'image', default_value='image', description='topic of the camera'
            ),
            *process_arguments('of the node'),
            *client_arguments(),
            OpaqueFunction(function=start_tracker),
        ]
    )


def process_arguments(whose: str) -> list[DeclareLaunchArgument]:
    """Declare the arguments that every process of trackers has: its parameters, name and log."""
    return [
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution(
                [FindPackageShare('sam2_tracker'), 'config', 'tracker.yaml']
            ),
            description='YAML file of parameters; the arguments here override it where given',
        ),
        *(argument_of(spec) for spec in PARAMETER_ARGUMENTS),
        DeclareLaunchArgument('namespace', default_value='', description=whose),
        DeclareLaunchArgument('log_level', default_value='info', description=whose),
    ]


def client_arguments() -> list[DeclareLaunchArgument]:
    """Declare the arguments of what can be started beside the tracker."""
    return [
        DeclareLaunchArgument(
            'console',
            default_value='false',
            choices=['true', 'false'],
            description='serve the prompt console, too, and keep frames for 20 s and more',
        ),
        DeclareLaunchArgument(
            'console_host', default_value='127.0.0.1', description='address of the console'
        ),
        DeclareLaunchArgument(
            'console_port', default_value='8090', description='port of the console'
        ),
        DeclareLaunchArgument(
            'lift',
            default_value='false',
            choices=['true', 'false'],
            description='say where objects are in space, too, with the two topics below',
        ),
        DeclareLaunchArgument(
            'depth', default_value='depth', description='topic of depth aligned to the image'
        ),
        DeclareLaunchArgument(
            'camera_info', default_value='camera_info', description='topic of its calibration'
        ),
    ]


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
    Make the nodes' actions; that takes the arguments' values, since only given ones count.

    :raises FileNotFoundError: `params_file` is not there: launch would start with the defaults
    """
    from_file, given = parameters_of(context)
    has_console = context.launch_configurations.get('console') == 'true'
    tracker = Node(
        package='sam2_tracker',
        executable='tracker',
        name='sam2_tracker',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            from_file,
            *([FOR_CONSOLE] if has_console else []),
            given,
        ],
        remappings=[('image', LaunchConfiguration('image'))],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )
    has_lift = context.launch_configurations.get('lift') == 'true'
    return [
        tracker,
        *([console_node()] if has_console else []),
        *([lift_node()] if has_lift else []),
    ]


def parameters_of(context: LaunchContext) -> tuple[ParameterFile, dict[str, ParameterValue]]:
    """
    Return the parameters of the file, and those of the arguments that are given.

    :raises FileNotFoundError: `params_file` is not there: launch would start with the defaults
    """
    params_file = context.launch_configurations['params_file']
    if not Path(params_file).is_file():
        raise FileNotFoundError(f'params_file {params_file!r} is not there, or is no file')
    return ParameterFile(LaunchConfiguration('params_file')), {
        # A value like `1` or `off` would otherwise be taken for what it looks like.
        spec.name: ParameterValue(LaunchConfiguration(spec.name), value_type=type(spec.default))
        for spec in PARAMETER_ARGUMENTS
        if context.launch_configurations[spec.name]
    }


def lift_node() -> Node:
    """Make the action of lift; its tracker is the one of its namespace."""
    return Node(
        package='sam2_tracker',
        executable='lift',
        name='lift',
        namespace=LaunchConfiguration('namespace'),
        parameters=[{'tracker': 'sam2_tracker'}],
        remappings=[(name, LaunchConfiguration(name)) for name in ('depth', 'camera_info')],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )


def console_node() -> Node:
    """Make the action of the console; its tracker is the one of its namespace."""
    host, port = (LaunchConfiguration(f'console_{name}') for name in ('host', 'port'))
    return Node(
        package='sam2_tracker',
        executable='console',
        name='console',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            {
                'tracker': 'sam2_tracker',
                'host': ParameterValue(host, value_type=str),
                'port': ParameterValue(port, value_type=int),
            }
        ],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )
