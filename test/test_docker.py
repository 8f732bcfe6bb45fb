# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the Dockerfile names exists, and agrees with docs/install.md and the workflow."""

from __future__ import annotations

import os
from pathlib import Path
import re

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / 'docker' / 'Dockerfile').read_text().replace('\\\n', ' ')
INSTALL = (ROOT / 'docs' / 'install.md').read_text()
JOBS = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text())['jobs']
IGNORED = (ROOT / '.dockerignore').read_text().split('\n')


def requirements_of(text: str) -> list[str]:
    """Return what each `pip install` of a text is given, in order, without folders."""
    lines = re.findall(r'pip install (.*?)(?:&&|$)', text, re.MULTILINE)
    return [' '.join(re.findall(r'(-[rc] |--no-\S*isolation|--no-deps|[\w-]+\.txt)', line))
            for line in lines if '.txt' in line]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    copied = re.findall(r'^COPY (\S+) ', DOCKERFILE, re.MULTILINE)
    assert '.' in copied
    assert not [path for path in copied if not (ROOT / path).exists()]
    assert not set(copied) & set(IGNORED)


def test_what_the_image_starts_is_there_and_executable() -> None:
    entrypoint = re.search(r'ENTRYPOINT \["/opt/sam2_tracker/(\S+)"\]', DOCKERFILE)[1]
    for name in (entrypoint, 'docker/check.sh'):
        assert os.access(ROOT / name, os.X_OK), name


def test_the_image_is_installed_as_the_page_says() -> None:
    workspace = INSTALL.partition('## In a ROS 2 workspace')[2].partition('## ')[0]
    by_hand = requirements_of(workspace)
    assert len(by_hand) == 2
    assert requirements_of(DOCKERFILE) == by_hand


def test_what_git_ignores_does_not_go_into_the_image() -> None:
    ignored = {line.strip('/') for line in (ROOT / '.gitignore').read_text().split()}
    assert ignored <= {line.removeprefix('**/').strip('/') for line in IGNORED}


@pytest.mark.parametrize(('job', 'column'), [('with-ros', 4), ('image', 6)])
def test_the_table_says_which_distributions_the_workflow_has(job: str, column: int) -> None:
    rows = [[cell.strip() for cell in row.split('|')[1:-1]]
            for row in INSTALL.partition('## What was tested')[2].splitlines()
            if row.startswith('|')]
    claimed = {row[0].lower() for row in rows[2:] if row[column] == 'workflow'}
    assert claimed == set(JOBS[job]['strategy']['matrix']['ros_distro'])


def test_the_page_says_which_distributions_can_be_built() -> None:
    named = re.search(r'^\| `ROS_DISTRO` \| (.*) \|$', INSTALL, re.MULTILINE)[1]
    assert set(re.findall(r'\w+', named)) - {'default', 'or'} == set(
        JOBS['image']['strategy']['matrix']['ros_distro'])
