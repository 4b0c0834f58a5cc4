"""Rules as files: those shipped in the package, and those of a folder. One file is one rule; its name is the rule's.

Looked at again and again. A file that cannot be used leaves the last rule that could, and its error is shown; a file that is gone
takes its rule along. A file of the same name as a shipped rule takes its place. `channels.toml` is not a rule.
"""

from __future__ import annotations

import logging
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tailrace.alerts.rule import NAME, Rule, read_rule
from tailrace.alerts.toml import toml_text
from tailrace.errors import Conflict, Invalid, NotFound, Unavailable
from tailrace.runtime.files import sync_folder, write_atomic

LOG = logging.getLogger(__name__)
CHANNELS_FILE = "channels.toml"
FILE_BYTES_MAX = 100_000
RULES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """A file that cannot be used as it stands. `name`: of the rule, which goes on as it was if it was good before."""

    file: str
    name: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Rules by name, the names of those that are shipped and stand as they are, and the problems."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    shipped: frozenset[str] = frozenset()
    problems: tuple[RuleProblem, ...] = ()


def shipped_rules() -> dict[str, Rule]:
    folder = resources.files("tailrace.alerts").joinpath("shipped")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    named = [(f.name.removesuffix(".toml"), f.read_text(encoding="utf-8")) for f in files]
    return {name: read_rule(name, tomllib.loads(text)) for name, text in named}


def read_rule_file(path: Path) -> Rule:
    """Raises Invalid with what is wrong and where."""
    return read_rule(path.stem, read_table(path))


def read_table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise Invalid(f"`{path.name}` is longer than {FILE_BYTES_MAX:,} bytes")
        return tomllib.loads(content.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"`{path.name}` cannot be read: {error}", hint="it must be a UTF-8 text file") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            f"`{path.name}` is not TOML: {error}", hint='values look like: above = 5 or over = "1m"'
        ) from error


class RuleFolder:
    """Remembers files by size and modification time, so that a look costs a folder listing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shipped = shipped_rules()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._good: dict[Path, Rule] = {}
        self._problems: dict[Path, RuleProblem] = {}
        self.book = self._combine()

    def look(self) -> bool:
        """Read what has changed; True if the book is another one now."""
        stamps = file_stamps(self.folder)
        if stamps == self._stamps:
            return False
        for path in self._stamps.keys() - stamps.keys():
            self._good.pop(path, None)
            self._problems.pop(path, None)
        for path, stamp in stamps.items():
            if stamp != self._stamps.get(path):
                self._read(path)
        self._stamps = stamps
        self.book = self._combine()
        return True

    def put(self, name: str, given: Mapping[str, Any]) -> Rule:
        """Write the rule's file, durable on return. Raises Invalid for what is no rule: then nothing has changed."""
        rule = read_rule(name, given)
        if name not in self.book.rules and len(self.book.rules) >= RULES_MAX:
            raise Conflict(f"there are `{RULES_MAX:,}` rules", hint="delete some: tailrace alerts rules")
        try:
            write_atomic(self.folder / f"{name}.toml", toml_text(given).encode())
        except OSError as error:
            raise Unavailable(f"the rule cannot be written: {error.strerror}", hint=f"look at {self.folder}") from error
        return rule

    def delete(self, name: str) -> None:
        """Its file; a shipped rule whose place it took is back then. Raises NotFound, Conflict for a shipped one."""
        if not NAME.fullmatch(name) or not (self.folder / f"{name}.toml").exists():
            if name in self._shipped:
                raise Conflict(
                    f"rule `{name}` comes with Tailrace and cannot be deleted", hint="put it with enabled = false"
                )
            raise no_rule(name)
        try:
            (self.folder / f"{name}.toml").unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise Unavailable(f"the rule cannot be deleted: {error.strerror}", hint=f"look at {self.folder}") from error

    def _read(self, path: Path) -> None:
        self._problems.pop(path, None)
        try:
            self._good[path] = read_rule_file(path)
        except Invalid as error:
            self._problems[path] = RuleProblem(path.name, path.stem, error.message, error.hint)
            LOG.error("rule file %s cannot be used: %s (%s)", path.name, error.message, error.hint)

    def _combine(self) -> RuleBook:
        own = {rule.name: rule for path, rule in sorted(self._good.items())}
        problems = tuple(self._problems[path] for path in sorted(self._problems))
        return RuleBook(self._shipped | own, frozenset(self._shipped) - own.keys(), problems)


def no_rule(name: str) -> NotFound:
    return NotFound(f"there is no rule `{name[:80]}`", hint="see: tailrace alerts rules")


def file_stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and modification time of each regular `*.toml` file but the channels'; an absent folder has none."""
    found: dict[Path, tuple[int, int]] = {}
    if folder.is_dir():
        for path in folder.glob("[!.]*.toml"):
            if path.name == CHANNELS_FILE:
                continue
            try:
                known = path.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(known.st_mode):  # a pipe would be waited for without end
                found[path] = (known.st_size, known.st_mtime_ns)
    return found
