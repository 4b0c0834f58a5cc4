"""What a change of the lake must be, said in errors, and what it adds to the trims. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tailrace.batch.base import LakeFile, LakeMark, LakeMerge, LakeTrim, StagedFile
from tailrace.errors import Conflict, Invalid


def check_marks(files: Sequence[StagedFile], before: Mapping[str, LakeMark], marks: Mapping[str, LakeMark]) -> None:
    """Raises Invalid unless every mark moves forward and every file lies between its shard's old mark and the new one."""
    for shard, mark in marks.items():
        held = before.get(shard, LakeMark())
        if mark.epoch < held.epoch or mark.last_offset < held.last_offset:
            raise Invalid(f"shard `{shard}` is read to epoch `{held.epoch}`, and cannot go back to `{mark.epoch}`")
    for file in files:
        held, mark = before.get(file.shard_id, LakeMark()), marks.get(file.shard_id, LakeMark())
        if not held.epoch < file.epoch_first <= file.epoch_last <= mark.epoch:
            raise Invalid(
                f"`{file.path.name}` holds epochs `{file.epoch_first}` to `{file.epoch_last}` of `{file.shard_id}`,"
                f" and the append is for `{held.epoch + 1}` to `{mark.epoch}`"
            )


def check_merges(merges: Sequence[LakeMerge], held: Sequence[LakeFile]) -> None:
    """Raises Conflict unless all parts are among `held` (by shard and epoch), Invalid unless each merge is of neighbours and whole."""
    places = {file.path: place for place, file in enumerate(held)}
    _check_held((file for merge in merges for file in merge.files), places)
    parts = [file.path for merge in merges for file in merge.files]
    if len(set(parts)) < len(parts):
        raise Invalid("a file of the lake cannot be merged twice at once")
    for merge in merges:
        first = places[merge.files[0].path]
        neighbours = [places[f.path] for f in merge.files] == list(range(first, first + len(merge.files)))
        if not neighbours or {f.shard_id for f in merge.files} != {merge.merged.shard_id}:
            raise Invalid(f"`{merge.merged.path.name}` would merge files that are not neighbours")
        rows = sum(f.rows for f in merge.files)
        if merge.merged.rows != rows:
            raise Invalid(f"`{merge.merged.path.name}` has `{merge.merged.rows}` rows, and its parts have `{rows}`")


def check_drop(files: Sequence[LakeFile], held: Sequence[LakeFile]) -> None:
    """Raises Conflict unless all of `files` are among `held`, Invalid unless each shard's are its oldest."""
    _check_held(files, {file.path: place for place, file in enumerate(held)})
    going = {file.path for file in files}
    stays: set[str] = set()
    for file in held:
        if file.path not in going:
            stays.add(file.shard_id)
        elif file.shard_id in stays:
            raise Invalid(f"`{file.path.name}` cannot go before older files of `{file.shard_id}`")


def trims_after(trims: Mapping[str, LakeTrim], files: Sequence[LakeFile]) -> dict[str, LakeTrim]:
    after = dict(trims)
    for file in files:
        held = after.get(file.shard_id, LakeTrim())
        after[file.shard_id] = LakeTrim(held.rows + file.rows, max(held.through_epoch, file.epoch_last))
    return after


def _check_held(files: Iterable[LakeFile], places: Mapping[Path, int]) -> None:
    for file in files:
        if file.path not in places:
            raise Conflict(f"`{file.path.name}` is no longer in the lake", hint="read the lake again and redo the step")
