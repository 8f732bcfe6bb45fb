# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Install the `sam2_tracker` ROS package."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'sam2_tracker'

setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        f'{PACKAGE}.models': ['*.yaml', '*.pt', '**/*.yaml', '**/*.pt'],
        f'{PACKAGE}.web': ['static/*', 'static/**/*'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', sorted(glob('launch/*.launch.py'))),
        (f'share/{PACKAGE}/config', sorted(glob('config/*.yaml'))),
    ],
    zip_safe=False,
    maintainer='The sam2_tracker authors',
    maintainer_email='maintainers@sam2-tracker.example',
    description='Tracks the objects that you point at in a camera stream, with SAM 2.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'fetch_checkpoint = sam2_tracker.models.fetch:main',
            'process = sam2_tracker.offline.command:main',
            'tracker = sam2_tracker.ros.tracker_main:main',
            'video_source = sam2_tracker.ros.video_source:main',
        ],
    },
)
