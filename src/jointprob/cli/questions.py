"""Questions as text: ``P(age > 40 | sex = 'F', income = '>50K')``.

question   = ("P" | "E" | "median" | "mode") "(" what ["|" events] ")"
what       = events for P, a column for the others
events     = event {("," | "and") event}
event      = column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
           | column ["not"] "in" "{" value {"," value} "}"
           | value ("<" | "<=") column ("<" | "<=") value
column     = a name, in double quotes or backticks where it is more than one word
value      = a number, a word, or text in single or double quotes
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, nextafter
from typing import Any, NamedTuple

import numpy as np

from jointprob.query import Joint
from jointprob.query.evidence import read_given
from jointprob.schema import Column, Level, Schema, preview

TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
  | (?P<word>[^\W\d][\w.-]*)
  | (?P<sign>==|!=|<>|<=|>=|[=<>(){}|,])
    )""",
    re.VERBOSE,
)
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
SIGNS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in")
ASKED = ("P", "E", "median", "mode")


class Token(NamedTuple):
    """A piece of a question."""

    kind: str  # text, number, word, sign, end
    text: str
    at: int


class Event(NamedTuple):
    """A condition on one column."""

    column: str
    sign: str
    values: tuple[Token, ...]


@dataclass(frozen=True)
class Question:
    """What is asked, of what, given what."""

    asked: str
    events: tuple[Event, ...]
    column: str
    given: tuple[Event, ...]

    def answer(self, joint: Joint) -> Any:
        """A number, or a level.

        Raises
        ------
        ValueError
            Unknown columns and levels, comparisons of levels, conditions of probability 0.
        """
        given = _Evidence(joint.schema)
        for event in self.given:
            given.add(event, known=True)
        evidence = read_given(given.as_dict(), joint.schema)
        log_given = float(joint._log_prob(evidence, None)[0])
        if given.impossible or log_given == -inf:
            raise ValueError("the condition has probability 0: nothing follows from it")
        if self.asked != "P":
            return _ask(joint, self.asked, self.column, given)
        for event in self.events:
            given.add(event, known=False)
        if given.impossible:
            return 0.0
        log_both = float(joint._log_prob(read_given(given.as_dict(), joint.schema), None)[0])
        return min(1.0, exp(log_both - log_given))


def _ask(joint: Joint, asked: str, name: str, given: _Evidence) -> Any:
    column = find_column(joint.schema, name)
    conditional = joint.condition(given.as_dict())
    if asked == "mode":
        return conditional.mode(column.name)[0]
    if column.is_categorical:
        raise ValueError(f"{asked} needs a column of numbers, and {name!r} has levels; mode does")
    answers: dict[str, Callable[[], Any]] = {
        "E": lambda: conditional.mean(column.name),
        "median": lambda: conditional.quantile(column.name, 0.5),
    }
    return float(np.ravel(answers[asked]())[0])


# ---- what is known of each column ----


class _Evidence:
    """Events, those on one column joined into one."""

    def __init__(self, schema: Schema) -> None:
        self.schema, self.impossible = schema, False
        self.levels: dict[str | int, set[Level]] = {}
        self.values: dict[str | int, set[float]] = {}
        self.exact: set[str | int] = set()  # numbers that are known, not asked for
        self.ends: dict[str | int, tuple[float, float]] = {}

    def add(self, event: Event, known: bool) -> None:
        column = find_column(self.schema, event.column)
        if column.is_categorical:
            self._add_levels(column, event)
        else:
            self._add_numbers(column, event, known)

    def _add_levels(self, column: Column, event: Event) -> None:
        if event.sign not in ("=", "!=", "in", "not in"):
            raise ValueError(
                f"column {column.name!r} has levels, which {event.sign!r} does not compare; "
                "allowed are =, != and in {...}"
            )
        named = {find_level(column, token) for token in event.values}
        allowed = set(column.levels) - named if event.sign in ("!=", "not in") else named
        kept = self.levels.get(column.name, set(column.levels)) & allowed
        self.levels[column.name] = kept
        self.impossible |= not kept

    def _add_numbers(self, column: Column, event: Event, known: bool) -> None:
        name, numbers = column.name, {_number(column, token) for token in event.values}
        if event.sign in ("!=", "not in"):
            raise ValueError(
                f"column {name!r} holds numbers: ask for 1 - P({name} = ...), or for an interval"
            )
        if event.sign in ("=", "in"):
            if known and event.sign == "=" and name not in self.values:
                self.exact.add(name)
            self.values[name] = self.values.get(name, numbers) & numbers
        else:
            (end,) = numbers
            low, high = self.ends.get(name, (-inf, inf))
            above, below = _ends(event.sign, end)
            self.ends[name] = max(low, above), min(high, below)
        self._settle(name)

    def _settle(self, name: str | int) -> None:
        """Values outside of the interval are out, and an empty interval is impossible."""
        low, high = self.ends.get(name, (-inf, inf))
        if name in self.values:
            self.values[name] = {v for v in self.values[name] if low <= v <= high}
            self.impossible |= not self.values[name]
        self.impossible |= low > high

    def as_dict(self) -> dict[str | int, Any]:
        """As `Joint.condition` takes it; not to be asked where it is impossible."""
        if self.impossible:
            return {}
        told: dict[str | int, Any] = {**self.levels}
        for name, (low, high) in self.ends.items():
            told[name] = (None if low == -inf else low, None if high == inf else high)
        for name, values in self.values.items():
            told[name] = next(iter(values)) if name in self.exact else values
        return told


def _ends(sign: str, end: float) -> tuple[float, float]:
    """Both ends belong to an interval, so an open end is the next number."""
    return {
        "<": (-inf, nextafter(end, -inf)),
        "<=": (-inf, end),
        ">": (nextafter(end, inf), inf),
        ">=": (end, inf),
    }[sign]


def find_column(schema: Schema, name: str) -> Column:
    """The column of this name; ValueError where there is none."""
    for column in schema:
        if str(column.name) == name:
            return column
    raise ValueError(f"no column {name!r}; the columns are {preview(schema.names)}")


def find_level(column: Column, token: Token) -> Level:
    """The level that a piece of text means; ValueError where there is none."""
    text = token.text.lower() if token.kind == "word" else token.text
    for level in column.levels:
        if str(level) == token.text or (isinstance(level, bool) and str(level).lower() == text):
            return level
        if token.kind == "number" and not isinstance(level, str) and level == float(token.text):
            return level
    raise ValueError(
        f"column {column.name!r} has no level {token.text!r}; its levels are "
        f"{preview(column.levels)}"
    )


def _number(column: Column, token: Token) -> float:
    if token.kind != "number":
        raise ValueError(f"column {column.name!r} holds numbers, and {token.text!r} is none")
    return float(token.text)


# ---- reading ----


def parse(question: str) -> Question:
    """Read a question; ValueError says what was expected, and where."""
    return _Parser(question).question()


class _Parser:
    """One token of look-ahead, a method for each rule."""

    def __init__(self, question: str) -> None:
        self.source, self.tokens, self.at = question, _split(question), 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def question(self) -> Question:
        asked = self.take("word", "P, E, median or mode").text
        if asked not in ASKED:
            self.at -= 1
            self.fail("P, E, median or mode")
        self.sign("(")
        events, column = (self.events(), "") if asked == "P" else ((), self.column())
        given = self.events() if self.passes("|") else ()
        self.sign(")")
        self.take("end", "the end")
        return Question(asked, events, column, given)

    def events(self) -> tuple[Event, ...]:
        events = [*self.event()]
        while self.passes(",") or self.passes("and"):
            events += self.event()
        return tuple(events)

    def event(self) -> list[Event]:
        if self.token.kind == "number":
            return self.between()
        column, sign = self.column(), self.comparison()
        values = self.values() if sign.endswith("in") else (self.value(),)
        return [Event(column, sign, values)]

    def between(self) -> list[Event]:
        low, first, column = self.value(), self.comparison(), self.column()
        second = self.comparison()
        if first not in TURNED or second not in TURNED:
            self.fail("<, <=, > or >= on both sides of a column")
        return [Event(column, TURNED[first], (low,)), Event(column, second, (self.value(),))]

    def comparison(self) -> str:
        token, found = self.token, self.token.text
        self.at += token.kind != "end"
        if token.kind == "word" and found == "not" and self.token.text == "in":
            self.at += 1
            found = "not in"
        found = {"==": "=", "<>": "!="}.get(found, found)
        if token.kind == "text" or found not in SIGNS:
            self.at = self.tokens.index(token)
            self.fail("=, !=, <, <=, >, >= or in")
        return found

    def values(self) -> tuple[Token, ...]:
        closing = ")" if self.passes("(") else "}"
        if closing == "}":
            self.sign("{")
        values = [self.value()]
        while self.passes(","):
            values.append(self.value())
        self.sign(closing)
        return tuple(values)

    def value(self) -> Token:
        if self.token.kind not in ("text", "number", "word"):
            self.fail("a value")
        self.at += 1
        return self.tokens[self.at - 1]

    def column(self) -> str:
        if self.token.kind not in ("text", "word"):
            self.fail("a column")
        self.at += 1
        return self.tokens[self.at - 1].text

    def passes(self, text: str) -> bool:
        found = self.token.kind in ("sign", "word") and self.token.text == text
        self.at += found
        return found

    def sign(self, text: str) -> None:
        if not self.passes(text):
            self.fail(repr(text))

    def take(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            self.fail(what)
        self.at += kind != "end"
        return self.tokens[self.at - (kind != "end")]

    def fail(self, wanted: str) -> None:
        found = repr(self.token.text) if self.token.kind != "end" else "the end"
        raise ValueError(
            f"question {self.source!r}: expected {wanted} at character {self.token.at + 1}, "
            f"found {found}"
        )


def _split(question: str) -> list[Token]:
    tokens, at = [], 0
    while at < len(question.rstrip()):
        match = TOKEN.match(question, at)
        if match is None:
            rest = question[at:].lstrip()
            place = len(question) - len(rest) + 1
            raise ValueError(f"question {question!r}: {rest[:10]!r} at character {place} is odd")
        kind = str(match.lastgroup)
        text = match[kind]
        start = match.start(kind)
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        tokens.append(Token(kind, text, start))
        at = match.end()
    return [*tokens, Token("end", "", len(question))]
