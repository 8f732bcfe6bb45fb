# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of the code: which way imports point, how long things get, what colcon finds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'sam2_tracker'
NOT_OURS = {'.git', '.venv', '.jazzy', 'build', 'install', 'log', 'demo_output', '.cache'}

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
HEADER = [
    '# Copyright 2026 The sam2_tracker authors',
    '# SPDX-License-Identifier: Apache-2.0',
]

# What each part of the package may import of the others, besides itself.
MAY_IMPORT = {
    'core': set(),
    'render': {'core'},
    'models': {'core'},
    'offline': {'core', 'render', 'models'},
    'ros': {'core', 'render', 'models', 'offline', 'web'},
    'web': {'core', 'render'},
}
ROS_PACKAGE = re.compile(r'(rcl|ros|ament|launch|cv_bridge|tf2|message_filters|\w+_(msgs|srvs)$)')
NOT_ROS = {'rosbags'}
# The only room of the core that runs SAM 2.
ENGINE = Path('sam2_tracker/core/engine')
# What each room of a part may import of the part's other rooms, besides itself.
ROOMS_MAY_IMPORT = {
    'core': {
        'frames': set(),
        'prompts': set(),
        'detections': set(),
        'lifting': set(),
        'engine': set(),
        'tracking': {'frames', 'prompts'},
        'sharing': set(),
        'worker': {'frames', 'prompts', 'detections', 'tracking'},
    },
    'offline': {
        'sources': set(),
        'sinks': {'sources'},
        'run': {'sources', 'sinks'},
    },
    # The node alone puts others together.
    'ros': {
        'inputs': set(),
        'outputs': set(),
        'services': set(),
        'node': {'inputs', 'outputs', 'services'},
        'camera': set(),
        'lift': set(),
        'client': set(),
    },
}
# The command line stands on top of its rooms; all else beside rooms is for them and imports none.
ON_TOP = {'offline': {'__main__', 'command', 'arguments'}}

SMALL_MODULE = 100
MOST_SMALL_MODULES = 12
EVERYTHING = {'Exception', 'BaseException'}
CAUGHT_BECAUSE = re.compile(r'# noqa: BLE001 - \w')
APART = re.compile(r'^Apart: (import|thread|process|platform), \w', re.MULTILINE)


def python_files(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.rglob('*.py')):
        if not NOT_OURS & set(path.relative_to(ROOT).parts):
            yield path


def imported_modules(path: Path) -> Iterator[str]:
    yield from imported_by_source(path.read_text(), path.relative_to(ROOT).parts[:-1])


def imported_by_source(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Yield absolute names; what `from a import b` names may be a module or in one: both."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f'{module}.{alias.name}' for alias in node.names)


def package_modules() -> dict[str, Path]:
    """Return the file of each module of the package, packages themselves included."""
    return {
        '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
        for path in python_files(PACKAGE)
    }


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules that all reach each other by imports."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = imports[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reach = {module: reachable(module) for module in imports}
    groups: list[set[str]] = []
    for module in imports:
        group = {other for other in reach[module] if module in reach[other]}
        if group - {module} and group not in groups:
            groups.append(group)
    return groups


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def imports_by_part() -> Iterator[tuple[Path, str, str]]:
    for path in python_files(PACKAGE):
        for module in imported_modules(path):
            yield path.relative_to(ROOT), part_of(path), module


def uses(module: str, *packages: str) -> bool:
    return module.split('.')[0] in packages


def test_every_part_of_the_package_is_known_to_this_test() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / '__init__.py').exists()}
    assert folders
    assert folders <= set(MAY_IMPORT)


def test_imports_point_towards_the_core() -> None:
    wrong = {
        f'{path} imports {module}'
        for path, part, module in imports_by_part()
        if uses(module, 'sam2_tracker')
        and len(module.split('.')) > 1
        and (target := module.split('.')[1]) in MAY_IMPORT
        and target not in {part, *MAY_IMPORT.get(part, set())}
    }
    assert not wrong


def room_of(part: str, module: str) -> str | None:
    """Return the room of a part that a module lies in, None for what lies in none or elsewhere."""
    names = module.split('.')
    return names[2] if names[:2] == ['sam2_tracker', part] and names[2:] else None


@pytest.mark.parametrize('part', ROOMS_MAY_IMPORT)
def test_rooms_import_each_other_in_one_direction(part: str) -> None:
    rooms = ROOMS_MAY_IMPORT[part]
    folders = {path.name for path in (PACKAGE / part).iterdir() if path.is_dir()}
    assert folders - {'__pycache__'} == set(rooms)
    wrong = {
        f'{path.relative_to(ROOT)} imports {module}'
        for room, may_import in rooms.items()
        for path in python_files(PACKAGE / part / room)
        for module in imported_modules(path)
        if (target := room_of(part, module)) in rooms and target not in {room, *may_import}
    }
    assert not wrong


@pytest.mark.parametrize('part', ROOMS_MAY_IMPORT)
def test_what_stands_beside_the_rooms_imports_none_and_what_stands_on_top_is_not_imported(
    part: str,
) -> None:
    on_top = ON_TOP.get(part, set())
    beside = {path for path in (PACKAGE / part).glob('*.py') if path.stem not in on_top}
    wrong = {
        f'{path.relative_to(ROOT)} imports {module}'
        for path in python_files(PACKAGE / part)
        for module in imported_modules(path)
        if (path in beside and room_of(part, module) in ROOMS_MAY_IMPORT[part])
        or (path.stem not in on_top and room_of(part, module) in on_top)
    }
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for type checkers and those inside functions count too."""
    modules = package_modules()
    imports = {
        module: {name for name in imported_modules(path) if name in modules}
        for module, path in modules.items()
    }
    assert circles(imports) == []


def test_circles_of_imports_are_found() -> None:
    imports = {'a': {'b'}, 'b': {'c'}, 'c': {'b', 'd'}, 'd': {'e'}, 'e': {'f'}, 'f': {'d'}}
    assert circles(imports) == [{'b', 'c'}, {'d', 'e', 'f'}]
    assert circles({'a': {'b', 'c'}, 'b': {'c'}, 'c': set()}) == []


def small_modules_with_one_user() -> dict[str, str]:
    """Return the docstring of each module that is short and that at most one other one imports."""
    modules = {
        name: path for name, path in package_modules().items() if path.name != '__init__.py'
    }
    users: dict[str, int] = dict.fromkeys(modules, 0)
    for name, path in modules.items():
        for imported in set(imported_modules(path)) - {name}:
            if imported in users:
                users[imported] += 1
    return {
        name: ast.get_docstring(ast.parse(path.read_text())) or ''
        for name, path in modules.items()
        if users[name] <= 1 and len(path.read_text().splitlines()) < SMALL_MODULE
    }


def test_a_small_module_with_one_user_says_why_it_stands_alone() -> None:
    small = small_modules_with_one_user()
    assert not {name for name, docstring in small.items() if not APART.search(docstring)}
    assert len(small) <= MOST_SMALL_MODULES


def test_the_size_of_the_package_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = sorted(
        len(path.read_text().splitlines())
        for path in package_modules().values()
        if path.name != '__init__.py'
    )
    with capsys.disabled():
        sys.stdout.write(
            f'\n{len(lengths)} modules, {sum(lengths)} lines, median '
            f'{lengths[len(lengths) // 2]}, longest {lengths[-1]}; small ones with one user: '
            f'{len(small_modules_with_one_user())}\n'
        )
    assert lengths


def test_standing_commands_reach_into_the_package_in_one_place() -> None:
    folder = ROOT / 'reliability'
    reaching = {
        path.name
        for path in python_files(folder)
        if any(uses(module, 'sam2_tracker') for module in imported_modules(path))
    }
    assert reaching == {'package_parts.py'}


def test_the_package_imports_no_folder_that_is_not_installed() -> None:
    wrong = {
        f'{path} imports {module}'
        for path, _, module in imports_by_part()
        if uses(module, 'benchmarks', 'demo', 'examples', 'reliability', 'tools', 'training')
    }
    assert not wrong


def test_only_the_ros_folder_imports_ros() -> None:
    wrong = {
        f'{path} imports {module}'
        for path, part, module in imports_by_part()
        if part != 'ros'
        and ROS_PACKAGE.match(module.split('.')[0])
        and module.split('.')[0] not in NOT_ROS
    }
    assert not wrong


def test_only_the_engine_and_the_models_import_torch_and_sam2() -> None:
    wrong = {
        f'{path} imports {module}'
        for path, part, module in imports_by_part()
        if uses(module, 'torch', 'sam2', 'hydra', 'omegaconf')
        and part != 'models'
        and ENGINE not in path.parents
    }
    assert not wrong


def test_the_import_rules_see_every_form_of_import() -> None:
    source = 'import a.b\nfrom ..ros import node\ndef late():\n    from . import types\n'
    assert set(imported_by_source(source, ('sam2_tracker', 'core'))) == {
        'a.b',
        'sam2_tracker.ros',
        'sam2_tracker.ros.node',
        'sam2_tracker.core',
        'sam2_tracker.core.types',
    }
    assert ROS_PACKAGE.match('rclpy')
    assert ROS_PACKAGE.match('sensor_msgs')
    assert not ROS_PACKAGE.match('torch')


def test_no_file_is_over_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files()
    }
    assert lengths
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_no_function_is_over_40_lines() -> None:
    too_long = {
        f'{path.relative_to(ROOT)}:{node.lineno} {node.name}': lines
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert not too_long


def test_each_test_module_has_a_ros_domain_of_its_own() -> None:
    domains = [
        number
        for path in python_files(ROOT / 'test')
        for number in re.findall(r'^DOMAIN_ID = (\d+)$', path.read_text(), re.MULTILINE)
    ]
    assert domains
    assert sorted(set(domains)) == sorted(domains)


def test_every_file_names_its_licence() -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.read_text().splitlines()[: len(HEADER)] != HEADER
    ]
    assert not missing


def test_colcon_finds_both_packages() -> None:
    colcon = shutil.which('colcon')
    if colcon is None:
        pytest.skip('colcon is not installed')
    output = subprocess.check_output([colcon, 'list', '-n'], cwd=ROOT, text=True, timeout=60)
    assert output.split() == ['sam2_tracker', 'sam2_tracker_msgs']


def catches_everything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in EVERYTHING for kind in kinds)


def test_whoever_catches_everything_raises_it_again_or_says_why_not():
    unexplained = [place for path in python_files() for place in unexplained_in(path)]
    assert unexplained == []


def unexplained_in(path: Path) -> Iterator[str]:
    source = path.read_text()
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and catches_everything(node):
            raises = isinstance(node.body[-1], ast.Raise)
            is_explained = raises or CAUGHT_BECAUSE.search(lines[node.lineno - 1])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith('suppress'):
            # What is suppressed is lost without a word.
            is_explained = not EVERYTHING & set(map(ast.unparse, node.args))
        else:
            continue
        if not is_explained:
            yield f'{path.relative_to(ROOT)}:{node.lineno}'
