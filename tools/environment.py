# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Make the virtual environment, and make one that holds ROS 2's wheels fit to build with."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import re
import subprocess
import sys

from tools.machine import MachineError, RosSource

LOCAL_SETUP = """\
# Written by the set-up: lets `colcon build` and the ament index find the ROS 2 wheels.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
for name in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
  eval "value=\\${{$name:-}}"
  case ":$value:" in
    *":{venv}:"*) ;;
    *) export "$name={venv}${{value:+:$value}}" ;;
  esac
done
unset name value
"""
ACTIVATE_LINE = '\n. "{venv}/local_setup.sh"  # written by the set-up\n'

# Exported by the wheels' message packages, with the folders of the machine that built them.
FOREIGN_INCLUDES = re.compile(
    r'(INTERFACE_INCLUDE_DIRECTORIES ")[^";]*/include/python3\.\d+;[^";]*/numpy/_core/include"'
)
ASK_INCLUDES = (
    'import sysconfig, numpy; print(sysconfig.get_path("include") + ";" + numpy.get_include())'
)


def venv_is_whole(venv: Path) -> bool:
    """Tell whether a virtual environment's Python runs, has pip, and was made in this place."""
    python = venv / 'bin' / 'python'
    activate = venv / 'bin' / 'activate'
    if not (python.exists() and activate.exists() and str(venv) in activate.read_text()):
        return False
    return subprocess.run([python, '-c', 'import pip'], capture_output=True).returncode == 0


def check_same_ros(venv: Path, ros: RosSource) -> None:
    """
    Refuse to mix a ROS installation and the wheels in one virtual environment.

    :raises MachineError: with the two ways out
    """
    inherits = 'include-system-site-packages = true' in (venv / 'pyvenv.cfg').read_text()
    if inherits == ros.uses_wheels:
        made_for = 'a ROS installation' if inherits else 'the ROS 2 wheels'
        raise MachineError(
            f'{venv} was made for {made_for}, and this shell has {ros}. '
            'Use a shell like the one it was made in, or start again with `make clean-all`.'
        )


def refuse_link(venv: Path) -> None:
    """
    Refuse to make a virtual environment where a link leads to another one, which would be emptied.

    :raises MachineError: with the way out
    """
    if venv.is_symlink():
        raise MachineError(
            f'{venv} is a link to {venv.resolve()}, which was made for another place: '
            f'remove the link with `rm {venv}`, and the next run makes an environment here.'
        )


def venv_command(venv: Path, ros: RosSource) -> list[str | Path]:
    inherit = [] if ros.uses_wheels else ['--system-site-packages']
    return [sys.executable, '-m', 'venv', '--clear', *inherit, venv]


def environment_for(venv: Path, ros: RosSource) -> dict[str, str]:
    """Give the environment variables under which everything is installed and built."""
    variables = _without_other_wheels(os.environ) if ros.uses_wheels else dict(os.environ)
    variables.pop('PYTHONHOME', None)
    variables['VIRTUAL_ENV'] = str(venv)
    variables['PATH'] = f'{venv / "bin"}{os.pathsep}{variables["PATH"]}'
    variables['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    variables['PYTHONUNBUFFERED'] = '1'
    if ros.uses_wheels:
        variables['AMENT_PREFIX_PATH'] = variables['CMAKE_PREFIX_PATH'] = str(venv)
    return variables


def make_wheels_buildable(venv: Path) -> None:
    """
    Let CMake find the ROS 2 wheels, from the set-up and from an activated shell.

    Correct the include folders that the wheels' CMake files name, and add the environment to
    the paths that CMake and the ament index search. May be repeated.
    """
    includes = subprocess.check_output([venv / 'bin' / 'python', '-c', ASK_INCLUDES], text=True)
    for path in (venv / 'share').glob('*/cmake/*Export.cmake'):
        text = path.read_text()
        corrected = FOREIGN_INCLUDES.sub(rf'\g<1>{includes.strip()}"', text)
        if corrected != text:
            path.write_text(corrected)
    _write_local_setup(venv)


def _write_local_setup(venv: Path) -> None:
    for suffix in ('sh', 'bash'):
        (venv / f'local_setup.{suffix}').write_text(LOCAL_SETUP.format(venv=venv))
    activate = venv / 'bin' / 'activate'
    line = ACTIVATE_LINE.format(venv=venv)
    if line not in activate.read_text():
        with activate.open('a') as file:
            file.write(line)


def _without_other_wheels(variables: Mapping[str, str]) -> dict[str, str]:
    # A parent process in another environment with these wheels leaves its library folders and
    # a guard behind, which would keep this environment from setting its own.
    left_behind = ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'LD_LIBRARY_PATH', 'PYTHONPATH')
    return {name: value for name, value in variables.items() if name not in left_behind}
