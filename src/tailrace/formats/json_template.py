"""Many JSON lines at once: lines that share one shape are read by it, whole columns at a time.

A shape is learned from one line: the literal text between its values (keys, punctuation, blanks) and, for each value, which
of the line's quotes bound it. Another line has the same shape if it has as many quotes, every literal stands byte for byte
between the same quotes, and every value is valid JSON of the same sort (a string, or something without quotes). Lines that
deviate are left to `json_careful`; for those that do not, the outcome is the same as its (property test).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
SLOTS_MAX = 96
BRACKETS_MAX = 200
LINE_BYTES_MAX = 16 << 10


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that may differ from line to line. It ends where literal number `literal + 1` begins.

    `quote`: the ordinal of the line's quote that comes last before it (for a string: the one that opens it). It starts
    `after` bytes behind that quote. A string ends at the next quote; other text ends `before` bytes ahead of the next quote,
    or of the end of the line where `last`. `depth`: how many brackets are open around it.
    """

    string: bool
    quote: int
    after: int
    before: int
    last: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the object itself. `slot`: the value is just that slot, else -1 and it reaches from byte `first[1]` of
    literal `first[0]` to before byte `last[1]` of literal `last[0]`."""

    key: str
    slot: int
    first: tuple[int, int]
    last: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Template:
    """`literals`: one more than `slots`, before, between and after them. `quotes`, `controls`: counts in a line of this shape."""

    quotes: int
    controls: int
    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    members: tuple[Member, ...]

    @property
    def depth(self) -> int:
        """How many brackets are open around its deepest value."""
        return max(slot.depth for slot in self.slots)


@dataclass(slots=True)
class _Node:
    """A value of the line that is learned from: bytes `start`..`end`; `children`: (key or None, node)."""

    start: int
    end: int
    string: bool = False
    quoted: bool = False
    children: list[tuple[str | None, _Node]] = field(default_factory=list)


def learn(line: bytes) -> Template | None:
    """The shape of a line that is known to be a valid object. None if lines like it must be read one at a time."""
    if len(line) > LINE_BYTES_MAX:
        return None
    root = _tree(line)
    leaves = list(_leaves(root, 1))
    if not root.quoted or not 0 < len(leaves) <= SLOTS_MAX:
        return None
    quotes = [
        at for match in _TOKEN.finditer(line) if line[match.start()] == 0x22 for at in (match.start(), match.end() - 1)
    ]
    slots = [_slot(node, depth, quotes, len(line)) for node, depth in leaves]
    anchors = [slot.quote for slot in slots if not slot.string]
    if len(set(anchors)) != len(anchors):
        return None  # two values without a quote between them: nothing tells where the first ends
    bounds = [(node.start + node.string, node.end - node.string) for node, _ in leaves]
    starts, ends = [0, *(end for _, end in bounds)], [*(start for start, _ in bounds), len(line)]
    literals = tuple(line[start:end] for start, end in zip(starts, ends, strict=True))
    members = {key: _member(key, node, leaves, starts, ends) for key, node in root.children if key is not None}
    controls = sum(byte < 0x20 for literal in literals for byte in literal)
    return Template(len(quotes), controls, literals, tuple(slots), tuple(members.values()))


def _tree(line: bytes) -> _Node:
    """The values of a valid object, with their places."""
    root = _Node(0, 0)
    stack, key = [root], None
    for match in _TOKEN.finditer(line):
        kind, parent = match[0][:1], stack[-1]
        if kind == b":" or kind == b",":
            continue
        if kind in (b"}", b"]"):
            parent.end = match.end()
            stack.pop()
            stack[-1].quoted |= parent.quoted
            continue
        if kind == b'"':
            parent.quoted = True
            if key is None and line[parent.start : parent.start + 1] == b"{" and parent is not root:
                key = msgspec.json.decode(match[0], type=str)
                continue
        node = _Node(match.start(), match.end(), string=kind == b'"', quoted=kind == b'"')
        parent.children.append((key, node))
        key = None
        if kind in (b"{", b"["):
            stack.append(node)
    return root.children[0][1]


def _leaves(node: _Node, depth: int) -> Iterator[tuple[_Node, int]]:
    """The largest values without a quote inside, and strings; with the number of brackets open around each."""
    for _, child in node.children:
        if child.string or not child.quoted:
            yield child, depth
        else:
            yield from _leaves(child, depth + 1)


def _slot(node: _Node, depth: int, quotes: list[int], size: int) -> Slot:
    start = node.start + node.string
    before = sum(quote < start for quote in quotes)
    last = before == len(quotes)
    end = size if last else quotes[before]
    return Slot(node.string, before - 1, start - quotes[before - 1], end - (node.end - node.string), last, depth)


def _member(key: str, node: _Node, leaves: list[tuple[_Node, int]], starts: list[int], ends: list[int]) -> Member:
    """`starts`, `ends`: where the literals stand in the line."""
    for at, (leaf, _) in enumerate(leaves):
        if leaf is node:
            return Member(key, at, (0, 0), (0, 0))
    first = next(at for at, end in enumerate(ends) if node.start < end)
    last = next(at for at, end in enumerate(ends) if node.end <= end)
    return Member(key, -1, (first, node.start - starts[first]), (last, node.end - starts[last]))
