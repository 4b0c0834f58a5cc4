"""Requests as JSON lines, a column at a time: Arrow joins the pieces of all lines in one pass.

The joined column's bytes are the body to send, so no line is ever an object of its own. Each line carries a trace id that is made
of the run, the post and the line, and is the same whenever the post is made: by it verify tells a run's lines from all others, a
doubled one from its twin, and finds what became of a post that was never acknowledged.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.window import iso
from tailrace.producers.addresses import attackers, population
from tailrace.producers.chance import hashed
from tailrace.producers.draft import BAD_TIMESTAMP, FINE, MALFORMED, NO_TIMESTAMP, Draft
from tailrace.producers.profile.model import Endpoint, Profile

SLOW_US = 600_000
"""From here on a line says that it was slow."""
RUN_DIGITS, POST_DIGITS, LINE_DIGITS = 8, 12, 12
_KINDS = ("fine", "slow", "refused", "failed")
_LEVELS = ("INFO", "WARN", "WARN", "ERROR")
_USER = "{user}"
_HEX = np.frombuffer(b"".join(f"{n:04x}".encode() for n in range(1 << 16)), dtype=np.uint32)
_POINT_DIGITS = pa.array([f".{n:03d}" for n in range(1000)], pa.string())
_LINE_MASK = np.uint64((1 << 48) - 1)
_LINE_STEP = np.uint64(0x9E3779B97F4B)
"""Odd, so that lines of one post have different ids."""
_STAMPS_MAX = 1 << 16


class Renderer:
    """For one run: 8 hex digits."""

    def __init__(self, profile: Profile, statuses: Any, run: str) -> None:
        self._run = run
        self._statuses = statuses
        self._templates = pa.array(
            [_template(endpoint, int(code)) for endpoint in profile.endpoints for code in statuses], pa.string()
        )
        parts = [_message(endpoint, kind) for endpoint in profile.endpoints for kind in _KINDS]
        self._before = pa.array([f'","message":"{before}' for before, _ in parts], pa.string())
        self._after = pa.array([f'{after}"}}\n' for _, after in parts], pa.string())
        addresses = pa.concat_arrays([population(profile.addresses.count, profile.addresses.networks), attackers()])
        self._addresses = pc.binary_join_element_wise(',"ip":"', addresses, "")
        self._attackers_from = profile.addresses.count

    def body(self, draft: Draft, post: int) -> memoryview:
        """All requests as newline-ended JSON lines."""
        kind = np.select([draft.status >= 500, draft.status >= 400, draft.response_us >= SLOW_US], [3, 2, 1], 0)
        template = draft.endpoint * len(self._statuses) + np.searchsorted(self._statuses, draft.status)
        message = pa.array(draft.endpoint * len(_KINDS) + kind)
        prefix = self._run + f"{post:0{POST_DIGITS}x}"
        levels = pa.array([f'","level":"{level}","trace_id":"{prefix}' for level in _LEVELS], pa.string())
        joined = pc.binary_join_element_wise(
            _stamps(draft.at_us // 1000),
            self._templates.take(pa.array(template)),
            _digits(draft.response_us // 1000),
            _POINT_DIGITS.take(pa.array(draft.response_us % 1000)),
            self._addresses.take(pa.array(draft.address + np.where(draft.hostile, self._attackers_from, 0))),
            levels.take(pa.array(kind)),
            _line_ids(len(draft), post),
            self._before.take(message),
            _digits(draft.user),
            self._after.take(message),
            "",
        )
        poisoned = draft.poison != FINE
        if poisoned.any():
            joined = pc.replace_with_mask(joined, pa.array(poisoned), _poison(draft, poisoned, prefix))
        return _text_bytes(joined)


def post_of_trace(trace: str) -> int:
    """The post that a line of a run belongs to."""
    return int(trace[RUN_DIGITS : RUN_DIGITS + POST_DIGITS], 16)


def _template(endpoint: Endpoint, code: int) -> str:
    service, path, method = (json.dumps(text) for text in (endpoint.service, endpoint.path, endpoint.method))
    return f'Z","service":{service},"endpoint":{path},"method":{method},"status":{code},"response_ms":'


def _message(endpoint: Endpoint, kind: str) -> tuple[str, str]:
    """What stands before and after the number of the user, as JSON without quotes."""
    outcome = {"fine": "served", "slow": "served slowly", "refused": "refused", "failed": "failed"}[kind]
    text = endpoint.messages.get(kind) or f"{endpoint.method} {endpoint.path} {outcome} for user {_USER}"
    before, found, after = text.partition(_USER)
    escaped = [json.dumps(part)[1:-1] for part in (before if found else f"{before}, user ", after)]
    return escaped[0], escaped[1]


def _stamps(at_ms: Any) -> pa.StringArray:
    """The beginning of each line, up to its milliseconds."""
    first, last = int(at_ms.min(initial=1 << 62)), int(at_ms.max(initial=0))
    if last - first < _STAMPS_MAX:
        distinct, place = np.arange(first, last + 1), at_ms - first
    else:
        distinct, place = np.unique(at_ms, return_inverse=True)
    seconds, second = np.unique(distinct // 1000, return_inverse=True)
    texts = pa.array([f'{{"timestamp":"{iso(int(s) * 1_000_000)[:-1]}' for s in seconds], pa.string())
    table = pc.binary_join_element_wise(texts.take(pa.array(second)), _POINT_DIGITS.take(pa.array(distinct % 1000)), "")
    return table.take(pa.array(place))


def _digits(numbers: Any) -> pa.StringArray:
    return pa.array(numbers).cast(pa.string())


def _line_ids(count: int, post: int) -> pa.StringArray:
    """12 hex digits each, all different within the post."""
    with np.errstate(over="ignore"):
        values = (np.arange(count, dtype=np.uint64) * _LINE_STEP + hashed(0, post)) & _LINE_MASK
    digits = np.empty((count, 3), np.uint32)
    for place, shift in enumerate((32, 16, 0)):
        digits[:, place] = _HEX[(values >> np.uint64(shift)) & np.uint64(0xFFFF)]
    offsets = np.arange(0, LINE_DIGITS * count + 1, LINE_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))


def _poison(draft: Draft, poisoned: Any, prefix: str) -> pa.StringArray:
    """Lines that no reader can take; each names its post, as good ones do."""
    texts = []
    for row in np.flatnonzero(poisoned).tolist():
        trace = f"{prefix}{row:012x}"
        match int(draft.poison[row]):
            case kind if kind == MALFORMED:
                text = f'{{"timestamp":"{iso(int(draft.at_us[row]))}","trace_id":"{trace}'
            case kind if kind == NO_TIMESTAMP:
                text = f'{{"status":{draft.status[row]},"trace_id":"{trace}"}}'
            case kind if kind == BAD_TIMESTAMP:
                text = f'{{"timestamp":"yesterday, about noon","trace_id":"{trace}"}}'
            case _:
                text = f'["a list","{trace}"]'
        texts.append(text + "\n")
    return pa.array(texts, pa.string())


def _text_bytes(texts: pa.StringArray) -> memoryview:
    """The bytes of all texts, one behind the other, without a copy."""
    if len(texts) == 0:
        return memoryview(b"")
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)
    first, last = int(offsets[texts.offset]), int(offsets[texts.offset + len(texts)])
    return memoryview(texts.buffers()[2])[first:last]
