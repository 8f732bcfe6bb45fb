# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the packages say of themselves agrees with what is in them."""

from __future__ import annotations

import ast
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROS_IMPORT = re.compile(
    r'^\s*(?:from|import) (\w+_(?:msgs|srvs|interfaces)|cv_bridge|rclpy)\b', re.MULTILINE
)
MANIFESTS = ['package.xml', 'sam2_tracker_msgs/package.xml']


def setup_metadata(*fields: str) -> list[str]:
    command = [sys.executable, 'setup.py', *(f'--{field}' for field in fields)]
    return subprocess.check_output(command, cwd=ROOT, text=True, timeout=60).splitlines()


def executables() -> dict[str, str]:
    entries = re.findall(r"'(\w+) = ([\w.]+:\w+)'", (ROOT / 'setup.py').read_text())
    return dict(entries)


def test_both_packages_and_setup_py_agree_on_the_version() -> None:
    versions = [ElementTree.parse(ROOT / name).findtext('version') for name in MANIFESTS]
    assert versions == setup_metadata('version') * 2


@pytest.mark.parametrize('name', MANIFESTS)
def test_maintainer_address_is_valid(name: str) -> None:
    maintainer = ElementTree.parse(ROOT / name).find('maintainer')
    assert maintainer is not None
    assert re.fullmatch(r'[\w.+-]+@[\w-]+(\.[\w-]+)+', maintainer.get('email', ''))


@pytest.mark.parametrize('name', MANIFESTS)
def test_licence_s_text_lies_beside_the_manifest(name: str) -> None:
    licence = ElementTree.parse(ROOT / name).find('license')
    assert licence is not None
    assert licence.text == 'Apache-2.0'
    path = (ROOT / name).parent / licence.get('file', 'is not named')
    assert path.read_bytes() == (ROOT / 'LICENSE').read_bytes()


@pytest.mark.parametrize('name', MANIFESTS)
def test_author_and_repository_are_named(name: str) -> None:
    root = ElementTree.parse(ROOT / name).getroot()
    assert root.findtext('author')
    urls = {element.get('type'): element.text or '' for element in root.findall('url')}
    assert urls['repository'].startswith('https://')
    assert urls['bugtracker'].startswith(urls['repository'])


def test_contract_s_executables_are_installed() -> None:
    assert {'tracker', 'video_source', 'process', 'fetch_checkpoint'} <= set(executables())


@pytest.mark.parametrize('name', executables())
def test_executable_s_function_exists(name: str) -> None:
    module, function = executables()[name].split(':')
    path = ROOT / Path(*module.split('.')).with_suffix('.py')
    names = {node.name for node in ast.parse(path.read_text()).body if hasattr(node, 'name')}
    assert function in names


def test_ros_packages_that_the_code_imports_are_dependencies() -> None:
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    declared = {element.text for element in root if element.tag.endswith('depend')}
    imported = {
        name
        for path in (ROOT / 'sam2_tracker' / 'ros').rglob('*.py')
        for name in ROS_IMPORT.findall(path.read_text())
    }
    assert imported
    assert imported <= declared


def test_torch_is_pinned_exactly() -> None:
    assert 'torch==2.13.0' in (ROOT / 'requirements' / 'torch.txt').read_text().splitlines()
    others = [path for path in (ROOT / 'requirements').glob('*.txt') if path.stem != 'torch']
    for path in others:
        assert not re.search(r'^torch\b', path.read_text(), re.MULTILINE), path.name


def test_the_weights_come_with_their_own_terms(tmp_path: Path) -> None:
    command = [sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, capture_output=True)
    folder = tmp_path / 'sam2_tracker' / 'models' / 'nano'
    assert (folder / 'nano.pt').is_file()
    assert 'non-commercial research only' in (folder / 'LICENSE').read_text()
