import assert from "node:assert/strict";
import { test } from "node:test";

import { linePath, scaleOf } from "../src/alerts/scale.ts";
import { draftOf, keyText, lacks, numberText, ruleFromAddress, ruleOf } from "../src/alerts/text.ts";

test("a rule goes through the form unchanged", () => {
  for (const rule of [
    { kind: "threshold", view: "v", value: "a / b", above: 5, unit: "%", where: "k = 1", when: "a > 1", by: ["k"], over: "1m", for: "10s", keep_firing_for: "1m", labels: { severity: "critical", team: "x" }, annotations: { summary: "s", runbook: "r" }, lines: "status >= 500", missing: "zero" },
    { kind: "change", view: "v", value: "a", below: -80, over: "1m", against: "10m", baseline_min: 60 },
    { kind: "threshold", sql: "SELECT 1 AS value", at_least: 0, over: "1m", enabled: false },
    { kind: "no_data", stream: "slow", over: "5m" },
    { kind: "ledger", over: "10s" },
  ]) {
    assert.deepEqual(ruleOf(draftOf("r", rule)), rule);
  }
});

test("what a form lacks is said before anything is asked", () => {
  assert.match(lacks(draftOf("", {})) ?? "", /number/);
  assert.match(lacks(draftOf("", { view: "v", value: "a" })) ?? "", /threshold/);
  assert.equal(lacks(draftOf("", { view: "v", value: "a", above: 0 })), null);
  assert.equal(lacks(draftOf("", { kind: "ledger" })), null);
});

test("an address that is no rule is an empty form", () => {
  assert.deepEqual(ruleFromAddress("1"), {});
  assert.deepEqual(ruleFromAddress("{"), {});
  assert.deepEqual(ruleFromAddress('{"view":"v"}'), { view: "v" });
});

test("axes hold all values with round ticks", () => {
  for (const values of [[], [0], [3, 97], [-12, 5], [1e6], [0.0004]]) {
    const scale = scaleOf(values);
    assert.ok(scale.low <= Math.min(0, ...values) && scale.high >= Math.max(...values, 0), JSON.stringify(scale));
    assert.ok(scale.ticks.length <= 8);
  }
});

test("a line is broken where there is no number", () => {
  assert.equal(linePath([1, 2, null, 3], (at) => at, (value) => value), "M0.0 1.0h0.01L1.0 2.0M3.0 3.0h0.01");
});

test("keys and numbers in words", () => {
  assert.equal(keyText({}), "all together");
  assert.equal(keyText({ endpoint: null, service: "a\u202eb" }), "endpoint (none), service a\\u202eb");
  assert.equal(numberText(12.34, "%"), "12.3 %");
  assert.equal(numberText(null, "ms"), "no data");
});
