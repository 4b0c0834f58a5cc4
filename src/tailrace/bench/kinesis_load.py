"""The loader of the Kinesis API: PutRecords of 500 records, the bodies as boto3 writes them, made before the first is sent.

Speaks as `load` does: `ready`, a line on its input, one JSON object when done.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from functools import partial

import numpy as np

from tailrace.bench.lines import freshen, pool
from tailrace.bench.load import Connection
from tailrace.bench.tallies import Tally, run_load

RECORDS = 500
_BODIES = 120
_HEADERS = (
    "X-Amz-Target: Kinesis_20131202.PutRecords\r\nContent-Type: application/x-amz-json-1.1\r\n"
    "User-Agent: Boto3/1.44 md/Botocore#1.44 lang/python#3.11\r\nX-Amz-Date: 20261123T120000Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/kinesis/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0" * 64 + "\r\n"
)


def body_of(lines: list[bytes]) -> bytes:
    """A body of PutRecords with the endpoint of each line as its key."""
    records = [
        {"Data": base64.b64encode(line).decode(), "PartitionKey": json.loads(line)["endpoint"]} for line in lines
    ]
    return json.dumps({"StreamName": "logs", "Records": records}).encode()


def bodies() -> list[bytes]:
    chance = np.random.default_rng(7)
    made = []
    for rows in pool(_BODIES, RECORDS):
        freshen(rows, time.time_ns() // 1_000_000, chance, 100, 0)
        made.append(body_of([bytes(row).rstrip(b"\n") for row in rows]))
    return made


def drive(port: int, made: list[bytes], requests: int, tally: Tally) -> None:
    connection = Connection(port)
    while tally.posts < requests:
        body = made[tally.posts % len(made)]
        started_s = time.monotonic()
        while True:
            status, wait_s = connection.send("/", _HEADERS, memoryview(body))
            if status == 200 and b'"FailedRecordCount":0' in connection.answer[:40]:
                break
            if status not in (0, 400, 503) or (status == 400 and b"ProvisionedThroughput" not in connection.answer):
                tally.failure = f"the node answered {status}: {connection.answer[:500]!r}"
                return
            tally.retries += 1
            time.sleep(wait_s or 0.05)
        tally.ack_s.append(time.monotonic() - started_s)
        tally.posts += 1
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lines", type=int, required=True, help="records to put")
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    made, each = bodies(), -(-options.lines // (RECORDS * options.connections))
    drives = [partial(drive, options.port, made[n :: options.connections], each) for n in range(options.connections)]
    run_load(drives, RECORDS)


if __name__ == "__main__":
    main()
