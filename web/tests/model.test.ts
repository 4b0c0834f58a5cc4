import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "../src/live/backoff.ts";
import { parseFrame } from "../src/live/frames.ts";
import { joined, LateWatch } from "../src/model/late.ts";
import { median, Slots, steadyOrder } from "../src/model/order.ts";
import { endpoints, overall, seriesByEndpoint, statuses } from "../src/model/rows.ts";
import { coveredMs, onGrid, rangeUpTo, spanMs } from "../src/model/windows.ts";

test("the merged row is told apart from lines without an endpoint", () => {
  const columns = ["window_start", "endpoint", "requests", "response_ms_avg"];
  const rows = [[null, "/a", 5, 10.5], [null, null, 2, null], [null, null, 90, 7]];
  const read = endpoints({ columns, rows, others: 40 });
  assert.deepEqual(read.map((row) => [row.endpoint, row.others, row.requests, row.average]), [["/a", 0, 5, 10.5], [null, 0, 2, null], [null, 40, 90, 7]]);
});

test("a range without requests is no health, and a missing column is null", () => {
  assert.equal(overall({ columns: ["window_start", "requests"], rows: [], others: 0 }), null);
  assert.equal(overall({ columns: ["requests"], rows: [[0]], others: 0 }), null);
  assert.equal(overall({ columns: ["requests"], rows: [[3]], others: 0 })?.average, null);
});

test("status codes add up to their classes", () => {
  const columns = ["window_start", "endpoint", "status", "requests"];
  const rows = [[null, "/a", 200, 7], [null, "/a", 503, 2], [null, "/a", null, 1], [null, "/a", 700, 4], [null, null, 404, 9]];
  const [a, others] = statuses({ columns, rows, others: 3 });
  assert.deepEqual(a?.byClass, { "2xx": 7, "3xx": 0, "4xx": 0, "5xx": 2, other: 5 });
  assert.equal(a?.total, 14);
  assert.deepEqual(a?.codes.map(({ code }) => code), [200, 503, 700, null]);
  assert.deepEqual([others?.others, others?.byClass["4xx"]], [3, 9]);
});

test("lines leave the merged row out", () => {
  const columns = ["window_start", "endpoint", "requests"];
  const rows = [["2026-11-23T00:00:00Z", "/a", 1], ["2026-11-23T00:00:00Z", null, 9], ["2026-11-23T00:00:10Z", "/a", 2]];
  const found = seriesByEndpoint({ columns, rows, others: 5 });
  assert.deepEqual([...found.keys()], ["/a"]);
  assert.deepEqual(found.get("/a")?.map((point) => point.requests), [1, 2]);
});

test("rows keep their place until one is clearly larger", () => {
  const key = (item: { k: string }): string => item.k;
  const size = (item: { n: number }): number => item.n;
  const at = (...n: number[]): { k: string; n: number }[] => n.map((value, i) => ({ k: "abc"[i] as string, n: value }));
  assert.deepEqual(steadyOrder(at(1, 3, 2), [], key, size).map(key), ["b", "c", "a"]);
  assert.deepEqual(steadyOrder(at(100, 105, 50), ["a", "b", "c"], key, size).map(key), ["a", "b", "c"]);
  assert.deepEqual(steadyOrder(at(100, 120, 50), ["a", "b", "c"], key, size).map(key), ["b", "a", "c"]);
  assert.deepEqual(steadyOrder(at(100, 120, 500), ["a", "b"], key, size).map(key), ["c", "b", "a"]);
});

test("a name keeps its colour while it stays", () => {
  const slots = new Slots();
  const first = slots.assign(["a", "b", "c"], 3);
  const second = slots.assign(["b", "c", "d"], 3);
  assert.equal(second.get("b"), first.get("b"));
  assert.equal(second.get("d"), first.get("a"));
  assert.equal(new Set(second.values()).size, 3);
});

test("windows: spans, what is covered, gaps", () => {
  assert.deepEqual(["10s", "5m", "1h"].map(spanMs), [10_000, 300_000, 3_600_000]);
  // At 12:01:07 the last 60 s are the windows from 12:00:10 on: 57 s so far.
  assert.equal(coveredMs(67_000, 60_000, 10_000), 57_000);
  assert.equal(coveredMs(60_000, 60_000, 10_000), 50_000);
  const point = { start: 20_000, requests: 1, average: 5, p99: null, serverErrors: null, visitors: null };
  assert.deepEqual(onGrid([point], 5_000, 40_000, 10_000, (p) => p.average), [[0, null], [10_000, null], [20_000, 5], [30_000, null]]);
  assert.deepEqual(rangeUpTo(1_234_567, 300_000, 10_000), { from: 940_000, to: 1_240_000 });
});

test("the median of even and odd counts", () => {
  assert.deepEqual([median([]), median([3, 1, 2]), median([4, 1, 2, 3])], [null, 2, 2.5]);
});

test("waits grow, stay capped, and differ", () => {
  assert.ok(backoffMs(0, 3_000, 0) >= 250 && backoffMs(0, 3_000, 0.999) <= 500);
  assert.ok(backoffMs(50, 3_000, 0.999) <= 3_000);
  assert.notEqual(backoffMs(3, 3_000, 0.1), backoffMs(3, 3_000, 0.9));
});

test("what is no frame is ignored", () => {
  for (const text of ["", "null", "[1]", "{}", '{"kind":"news"}', '{"kind":"snapshot"}']) assert.equal(parseFrame(text), null);
  assert.equal(parseFrame('{"kind":"heartbeat","server_now":"2026-11-23T00:00:00Z"}')?.kind, "heartbeat");
});

test("lines that come late are found, those that come in time are not", () => {
  const columns = ["window_start", "endpoint", "requests"];
  const at = (second: number): string => new Date(Date.UTC(2026, 10, 23, 10, 0, second)).toISOString();
  const frame = (rows: [number, string | null, number][], newest: number, version = "v1") => ({
    version, columns, rows: rows.map(([second, endpoint, n]) => [at(second), endpoint, n]), newest_event_at: at(newest), server_now: at(newest + 1),
  });
  const watch = new LateWatch();
  assert.equal(watch.take(frame([[0, "/a", 5], [10, "/a", 5], [100, "/a", 1]], 105)), null);
  assert.equal(watch.take(frame([[0, "/a", 5], [10, "/a", 5], [100, "/a", 9]], 109)), null, "the newest window grows");
  assert.equal(watch.take(frame([[0, "/a", 3], [0, null, 2], [10, "/a", 5]], 109)), null, "a key may move into the row of the others");
  const late = watch.take(frame([[0, "/a", 5], [10, "/a", 6], [20, "/b", 2], [100, "/a", 9]], 110));
  assert.deepEqual([late?.lines, late?.first, late?.last], [3, Date.parse(at(10)), Date.parse(at(20))]);
  assert.equal(watch.take(frame([[10, "/a", 6], [20, "/b", 2]], 111)), null, "the range moves on");
  assert.equal(watch.take(frame([[10, "/a", 60]], 112, "v2")), null, "another version counts otherwise");
  assert.deepEqual(joined(late, { lines: 4, first: 1, last: 2, at: 3 }), { lines: 7, first: 1, last: Date.parse(at(20)), at: 3 });
  assert.equal(new LateWatch().take({ ...frame([], 1), columns: ["requests"] }), null);
});
