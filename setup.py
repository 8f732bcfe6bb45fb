# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Install the `sam2_tracker` ROS package."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'sam2_tracker'


def files_of(folder: str, pattern: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).glob(pattern))


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        f'{PACKAGE}.core.engine': ['*.json'],
        f'{PACKAGE}.models': ['*.yaml', '*.pt', '**/*.yaml', '**/*.pt', '**/LICENSE'],
        f'{PACKAGE}.web': ['static/*'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', files_of('launch', '*.launch.py')),
        (f'share/{PACKAGE}/config', files_of('config', '*.*')),
        (f'share/{PACKAGE}/viewers', files_of('viewers', 'sam2_tracker*')),
    ],
    zip_safe=False,
    maintainer='The sam2_tracker authors',
    maintainer_email='maintainers@sam2-tracker.example',
    description='Tracks the objects that you point at in a camera stream, with SAM 2.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'console = sam2_tracker.ros.client.console:main',
            'fetch_checkpoint = sam2_tracker.models.fetch:main',
            'lift = sam2_tracker.ros.lift.lift:main',
            'process = sam2_tracker.offline.command:main',
            'prompt = sam2_tracker.ros.client.prompt:main',
            'tracker = sam2_tracker.ros.node.tracker_main:main',
            'trackers = sam2_tracker.ros.node.tracker_main:main_cameras',
            'video_source = sam2_tracker.ros.camera.video_source:main',
            'wait_until_active = sam2_tracker.ros.client.wait_until_active:main',
        ],
    },
)
