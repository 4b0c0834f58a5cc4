import assert from "node:assert/strict";
import { test } from "node:test";

import { fragmentAt, offsetOf, term, withTerm } from "../src/explore/terms.ts";

test("a filter is written so that the value is taken as it is", () => {
  assert.equal(term("level", 'a "b" \\'), 'level:"a \\"b\\" \\\\"');
  assert.equal(term("status", "500", true), "status:500");
  assert.equal(term("my field", "x"), '"my field":"x"');
  assert.equal(term("level", null), "not level:*");
});

test("a condition more holds for all of the search", () => {
  assert.equal(withTerm("", "a:1"), "a:1");
  assert.equal(withTerm("x or y", "a:1"), "(x or y) a:1");
  assert.equal(withTerm("x", "a:1"), "x a:1");
});

test("what is being written is a field or a value of one", () => {
  assert.deepEqual(fragmentAt("level:err", 9), { start: 6, field: "level", text: "err" });
  assert.deepEqual(fragmentAt('level:"err', 10), { start: 6, field: "level", text: "err" });
  assert.deepEqual(fragmentAt("a (sta", 6), { start: 3, field: null, text: "sta" });
});

test("lines and columns of the server are places in the text", () => {
  assert.equal(offsetOf("a\n and (b", 2, 6), 7);
});
