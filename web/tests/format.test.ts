import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, compact, milliseconds, niceCeiling, perSecond, rateIn, rateUnit, share } from "../src/format/numbers.ts";
import { shortenApart, shortenMiddle } from "../src/format/shorten.ts";
import { keyLabel, visible } from "../src/format/text.ts";
import { ago, duration } from "../src/format/time.ts";

test("numbers carry units and thousands separators", () => {
  assert.equal(milliseconds(1234.4), "1,234 ms");
  assert.equal(milliseconds(9.94), "9.9 ms");
  assert.equal(milliseconds(12_345), "12.3 s");
  assert.equal(perSecond(4210.4), "4,210/s");
  assert.equal(perSecond(0), "0/s");
  assert.equal(perSecond(0.05), "3.0/min");
  assert.equal(perSecond(0.005), "18/h");
  assert.equal(rateIn(rateUnit(0.4), 0.1), "6.0/min");
  assert.equal(bytes(1_536), "1.5 KiB");
  assert.equal(compact(20_000), "20k");
  assert.equal(milliseconds(null), "–");
});

test("a small share never reads as none", () => {
  assert.equal(share(0), "0 %");
  assert.equal(share(0.0004), "<0.1 %");
  assert.equal(share(0.0123), "1.2 %");
  assert.equal(share(0.0994), "9.9 %");
  assert.equal(share(0.0997), share(0.1));
  assert.equal(share(0.1), "10 %");
  assert.equal(share(1), "100 %");
});

test("scales end at round numbers at or above the value", () => {
  for (const [value, end] of [[0, 1], [0.7, 1], [101, 200], [2_400, 2_500], [5_000, 5_000]] as const) assert.equal(niceCeiling(value), end);
});

test("durations and ages in words", () => {
  assert.equal(duration(430), "0.4 s");
  assert.equal(duration(300_000), "5 min");
  assert.equal(duration(12_000_000), "3 h 20 min");
  const now = Date.UTC(2026, 10, 23, 12);
  assert.equal(ago(now - 400, now), "just now");
  assert.equal(ago(now - 1_400, now), "1.4 s ago");
  assert.equal(ago(now + 60_000, now), "60 s ahead of this node's clock");
  assert.match(ago(Date.UTC(2015, 4, 20, 12), now), /^20 May 2015$/);
});

test("long names are cut in the middle and never exceed the width", () => {
  const measure = (text: string): number => Array.from(text).length;
  const name = "/api/v2/customers/{customer_id}/orders/{order_id}";
  for (let width = 1; width <= name.length + 1; width += 1) assert.ok(measure(shortenMiddle(name, width, measure)) <= width);
  const cut = shortenMiddle(name, 21, measure);
  assert.ok(cut.startsWith("/api/v2/") && cut.endsWith("{order_id}") && cut.includes("…"));
  assert.equal(shortenMiddle("/login", 20, measure), "/login");
});

test("names that share beginning and end stay apart when they are cut", () => {
  const measure = (text: string): number => Array.from(text).length;
  const action = (middle: string): string => `/api/v3/organizations/{id}/${middle}/deployments/{id}/rollback-and-verify`;
  const names = [...["projects", "environments", "teams", "teams-2"].map(action), "/login", `${action("teams")}/now`, `${action("teams")}/now/then`];
  for (const width of [24, 32, 44]) {
    const short = shortenApart(names, width, measure);
    assert.equal(new Set(short.values()).size, names.length, [...short.values()].join("\n"));
    for (const shown of short.values()) assert.ok(measure(shown) <= width, shown);
    assert.equal(short.get("/login"), "/login");
  }
  const short = shortenApart(names.slice(0, 2), 44, measure);
  assert.ok(short.get(names[0] as string)?.startsWith("…/projects/"), short.get(names[0] as string));
  // Too narrow to tell them apart: then whole rather than alike.
  assert.deepEqual([...shortenApart(names.slice(0, 2), 2, measure).values()], names.slice(0, 2));
});

test("control characters and direction marks are written out", () => {
  assert.equal(visible("a\u202eb\u0000\u001b[31m"), "a\\u202eb\\u0000\\u001b[31m");
  assert.equal(visible("/ünï/日本語"), "/ünï/日本語");
  assert.equal(keyLabel(null, "endpoint"), "(no endpoint)");
  assert.equal(keyLabel("", "endpoint"), "(empty endpoint)");
});
