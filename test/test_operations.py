# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the node and `process` warn of, and docs/operations.md, which says what each line means."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'sam2_tracker'
PAGE = ROOT / 'docs' / 'operations.md'

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Stands for a value in a text of the source.
VALUE = '\0'
LEVELS = ('WARN', 'ERROR')
# Images that are not stored are said with the reason that the buffer gives.
OUTCOMES = {'DROPPED': 'WARN', 'LOST': 'ERROR'}
# Fewer letters are a frame around what was made elsewhere: that is looked for.
FEWEST_LETTERS = 6
# Functions that return what they are given, for our purpose.
TRANSPARENT = {'str', 'printable', 'printable_lines', 'one_line'}
# What passes on lines that are collected where they are made.
PASSED_ON = {
    'sam2_tracker/offline/command.py: sentence',
    'sam2_tracker/ros/log.py: sentence',
    'sam2_tracker/ros/node/diagnostics.py: verdict.message',
}
# What says an error's own sentence and nothing else, with how the row begins that stands for it.
ERRORS = {
    "sam2_tracker/core/worker/frame_steps.py: f'{due.source.where}: {refusal}'":
        ('WARN', 'FILE, line N (prompt M): '),
    'sam2_tracker/ros/parameters.py: str(error)': ('WARN', "parameter 'NAME' is VALUE"),
    'sam2_tracker/offline/command.py: str(error)': ('ERROR', 'REASON'),
    'sam2_tracker/offline/run/run_job.py: str(outcome.error)': ('ERROR', 'SOURCE: REASON'),
    'sam2_tracker/offline/run/run_job.py: str(error)': ('ERROR', 'FILE cannot be written: '),
    'sam2_tracker/offline/sinks/sink.py: str(error)': ('ERROR', 'output FILE cannot be written: '),
}
# A row has to share so many words with what is said, or all if there are fewer.
SHARED_WORDS = 4
MARKED = re.compile('(OK|INFO|WARN|ERROR)|`([^`]+)`')
WORD = re.compile(f'{VALUE}|…|[^\\W\\d]+')
# What a row has in place of a value: a word in capitals, N, WxH.
PLACE = re.compile('…|[A-Z]+(x[A-Z])?')
ANY = '*'


@dataclass(frozen=True)
class Said:
    """
    A text as the source has it, with `VALUE` where it has a value.

    :param is_here: whether it is made where it is said; names elsewhere can be those of others,
        with another level
    """

    level: str
    text: str
    place: str
    is_here: bool


class Texts:
    """
    Finds what texts an expression can be, by names alone: those of its own module, or else any.

    :param trees: kept, as their nodes are known by their identity
    """

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self._made: dict[str, list[ast.expr]] = {}
        self._modules: dict[int, ast.Module] = {}
        self._functions: dict[int, Function] = {}
        for tree in trees:
            for name, made in named_expressions(tree):
                self._made.setdefault(name, []).append(made)
            for node in ast.walk(tree):
                self._modules[id(node)] = tree
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self._functions.update((id(inner), node) for inner in ast.walk(node))

    def of(self, expression: ast.expr, function: Function, seen: frozenset[str] = frozenset()
           ) -> set[str]:
        """Return the texts, the longest beginning that is known of each."""
        if isinstance(expression, ast.Constant):
            return {expression.value} - {''} if isinstance(expression.value, str) else set()
        if isinstance(expression, ast.JoinedStr):
            text = ''.join(str(part.value) if isinstance(part, ast.Constant) else VALUE
                           for part in expression.values)
            if letters(text) >= FEWEST_LETTERS:
                return {text}
            parts = [part.value for part in expression.values
                     if isinstance(part, ast.FormattedValue)]
            return self._all(parts, function, seen)
        if isinstance(expression, ast.BinOp):
            left, right = (self.of(side, function, seen) or {VALUE}
                           for side in (expression.left, expression.right))
            return {first + second for first in left for second in right}
        if isinstance(expression, ast.BoolOp):
            return self._all(expression.values, function, seen)
        if isinstance(expression, ast.IfExp):
            return self._all([expression.body, expression.orelse], function, seen)
        if isinstance(expression, ast.Call) and name_of(expression.func) in TRANSPARENT:
            return self._all(expression.args, function, seen)
        return self._by_name(expression, function, seen)

    def _all(self, expressions: list[ast.expr], function: Function, seen: frozenset[str]
             ) -> set[str]:
        return {text for each in expressions for text in self.of(each, function, seen)}

    def _by_name(self, expression: ast.expr, function: Function, seen: frozenset[str]) -> set[str]:
        name = name_of(expression)
        step = f'{type(expression).__name__} {name}'
        if not name or step in seen:
            return set()
        made = []
        if isinstance(expression, ast.Name):
            if name in caught(function):
                return set()
            made = list(assigned(name, function)) or self._passed(name, function)
        made = made or self._made.get(name, [])
        own = [each for each in made if self._modules[id(each)] is self._modules[id(function)]]
        return self._at_home(own, function, seen | {step}) or self._at_home(
            made, function, seen | {step})

    def _at_home(self, made: list[ast.expr], function: Function, seen: frozenset[str]) -> set[str]:
        return {text for each in made
                for text in self.of(each, self._functions.get(id(each), function), seen)}

    def _passed(self, name: str, function: Function) -> list[ast.expr]:
        """Return what a function's parameter is given where its own module calls it."""
        names = [argument.arg for argument in function.args.args if argument.arg != 'self']
        if name not in names:
            return []
        at = names.index(name)
        return [node.args[at] for node in ast.walk(self._modules[id(function)])
                if isinstance(node, ast.Call) and name_of(node) == function.name
                and len(node.args) > at]


def assigned(name: str, function: Function) -> Iterator[ast.expr]:
    """Yield what a variable of a function is set to, or goes through."""
    for node in ast.walk(function):
        is_set = isinstance(node, ast.Assign) and name in map(name_of, node.targets)
        if is_set or (isinstance(node, ast.NamedExpr) and node.target.id == name):
            yield node.value
        elif isinstance(node, ast.For) and name_of(node.target) == name:
            yield node.iter


def caught(function: Function) -> set[str | None]:
    """Return the names of errors in a function."""
    return {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)}


def named_expressions(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield what attributes, module constants and arguments are set to, and functions return."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) or node in tree.body:
                    yield name_of(target), node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield node.name, inner.value


def name_of(expression: ast.AST) -> str:
    """Return the last name of `a.b.c`, or of a call of it; '' for anything else."""
    if isinstance(expression, ast.Call):
        return name_of(expression.func)
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ''


def letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def said_calls(tree: ast.Module) -> Iterator[tuple[str, ast.expr, Function]]:
    """Yield level, text and function of each WARN or ERROR, in the log or on /diagnostics."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    yield from ((level, text, function) for level, text in said_by(call))


def said_by(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    arguments = call.args
    if len(arguments) >= 2 and ast.unparse(arguments[0]) in {f'Level.{each}' for each in LEVELS}:
        yield name_of(arguments[0]), arguments[1]
    method = name_of(call.func)
    if method in {'warning', 'error'} and 'logger' in ast.unparse(call.func).lower():
        yield 'WARN' if method == 'warning' else 'ERROR', arguments[0]
    if method == 'Arrival' and len(arguments) >= 2:
        outcome = name_of(arguments[0])
        if outcome in OUTCOMES:
            yield OUTCOMES[outcome], arguments[1]
    if method == 'Verdict' and len(arguments) >= 2:
        level = ast.unparse(arguments[0]).rpartition('.')[2].upper()
        if level in LEVELS:
            yield level, arguments[1]


def everything_said() -> tuple[list[Said], list[str]]:
    """Return all texts, and the places of those whose texts cannot be found."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob('*.py'))}
    texts = Texts(trees.values())
    found, unknown = set(), []
    for path, tree in trees.items():
        for level, text, function in said_calls(tree):
            place = f'{path.relative_to(ROOT)}: {ast.unparse(text)}'
            made = {each for each in texts.of(text, function) if letters(each) >= FEWEST_LETTERS}
            is_here = isinstance(text, (ast.Constant, ast.JoinedStr))
            if place not in PASSED_ON:
                found |= {Said(level, each, place, is_here) for each in made}
            if not made:
                unknown.append(place)
    return sorted(found, key=lambda said: (said.place, said.text)), unknown


def rows() -> Iterator[tuple[str, str]]:
    """Yield level and text of everything that the page's tables have in their first column."""
    for line in PAGE.read_text().splitlines():
        level = ''
        for marked in MARKED.finditer(line.split('|')[1] if line.startswith('|') else ''):
            level = marked[1] or level
            if marked[2] and level in LEVELS:
                yield level, marked[2]


def words(text: str, place: re.Pattern[str]) -> tuple[str, ...]:
    """Return a text's words, with `ANY` for values."""
    return tuple(ANY if place.fullmatch(word) else word for word in WORD.findall(text))


def shared_words(said: tuple[str, ...], row: tuple[str, ...]) -> int:
    """Return how many words two texts share if both can be the same line, -1 if they cannot."""

    @cache
    def best(at: int, row_at: int) -> int:
        # A row may stop anywhere: its beginning is what is looked for.
        if row_at == len(row):
            return 0
        if at == len(said):
            return 0 if set(row[row_at:]) <= {ANY} else -1
        found = -1
        if said[at] == row[row_at] != ANY:
            rest = best(at + 1, row_at + 1)
            found = max(found, rest + 1 if rest >= 0 else -1)
        if said[at] == ANY:
            found = max(found, best(at + 1, row_at), best(at, row_at + 1))
        if row[row_at] == ANY:
            found = max(found, best(at, row_at + 1), best(at + 1, row_at))
        return found

    return best(0, 0)


def has_row(said: Said) -> bool:
    spoken = words(said.text, re.compile(VALUE))
    enough = min(SHARED_WORDS, len([word for word in spoken if word != ANY]))
    return any(shared_words(spoken, words(text, PLACE)) >= enough for level, text in rows()
               if level == said.level or not said.is_here)


EVERYTHING, UNKNOWN = everything_said()


def test_texts_are_found_in_the_source() -> None:
    found = {each.text for each in EVERYTHING}
    assert f'an image of {VALUE} is refused: {VALUE}' in found
    assert f'the worker died: {VALUE}' in found
    assert len(found) > 50


def test_where_a_text_cannot_be_found_it_is_said_what_stands_for_it() -> None:
    assert set(UNKNOWN) - PASSED_ON == set(ERRORS)


@pytest.mark.parametrize('said', EVERYTHING, ids=lambda said: said.text.replace(VALUE, '~'))
def test_the_page_has_a_row_for_everything_that_is_said(said: Said) -> None:
    assert has_row(said), f'{PAGE.name} has no row for {said.level} of {said.place}'


@pytest.mark.parametrize('place', ERRORS)
def test_the_page_has_a_row_for_what_errors_say(place: str) -> None:
    assert any(level == ERRORS[place][0] and text.startswith(ERRORS[place][1])
               for level, text in rows())


@pytest.mark.parametrize('row', sorted({text for _, text in rows()}))
def test_no_row_is_about_what_nobody_says(row: str) -> None:
    pairs = pairs_of(words(row, PLACE))
    # A row joins texts of several places, and has words where they have values.
    assert len(pairs & all_pairs()) >= 0.7 * len(pairs) or len(pairs) < 3


def pairs_of(written: tuple[str, ...]) -> set[tuple[str, str]]:
    return {pair for pair in pairwise(written) if ANY not in pair}


@cache
def all_pairs() -> frozenset[tuple[str, str]]:
    """Return which words follow each other in any text of the package, errors' included."""
    found = set()
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = ''.join(str(part.value) if isinstance(part, ast.Constant) else VALUE
                               for part in node.values)
                found |= pairs_of(words(text, re.compile(VALUE)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= pairs_of(words(node.value, re.compile(VALUE)))
    return frozenset(found)
