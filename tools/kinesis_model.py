"""Write what Kinesis takes, as a table of our own, from the service model of the installed botocore.

    python tools/kinesis_model.py          writes src/tailrace/ingest/protocols/kinesis/api.json

The table has, for each operation that Tailrace speaks, its input and the errors that it may answer, and for each input shape what a
value must be. A test holds the committed table against the installed botocore; the product reads the table alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

TARGET = Path(__file__).parents[1] / "src/tailrace/ingest/protocols/kinesis/api.json"
OPERATIONS = (
    "AddTagsToStream",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
)
_CONSTRAINTS = ("min", "max", "pattern", "enum")


def table(model: dict[str, Any]) -> dict[str, Any]:
    """`operations`: name -> input shape and errors. `shapes`: name -> type, constraints, members. `others`: operations not spoken."""
    operations, names = {}, set[str]()
    for name in OPERATIONS:
        found = model["operations"][name]
        shape = found["input"]["shape"]
        operations[name] = {"input": shape, "errors": sorted(each["shape"] for each in found.get("errors", []))}
        names |= _reachable(model["shapes"], shape)
    others = sorted(set(model["operations"]) - set(OPERATIONS))
    return {
        "operations": operations,
        "shapes": {name: _shape(model["shapes"][name]) for name in sorted(names)},
        "others": others,
    }


def _reachable(shapes: dict[str, Any], name: str) -> set[str]:
    found, todo = set[str](), [name]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _inner(shapes[name]).values()
    return found


def _inner(shape: dict[str, Any]) -> dict[str, str]:
    parts = {**shape.get("members", {}), **{k: shape[k] for k in ("member", "key", "value") if k in shape}}
    return {name: part["shape"] for name, part in parts.items()}


def _shape(shape: dict[str, Any]) -> dict[str, Any]:
    found = {"type": shape["type"]} | {each: shape[each] for each in _CONSTRAINTS if each in shape}
    if shape["type"] == "structure":
        found |= {"members": _inner(shape), "required": list(shape.get("required", ()))}
    else:
        found |= _inner(shape)
    return found


def encoded() -> str:
    model = json.loads(json.dumps(Loader().load_service_model("kinesis", "service-2")))
    return json.dumps(table(model), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(encoded(), encoding="utf-8")
    print(TARGET, file=sys.stderr)
