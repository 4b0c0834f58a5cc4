import assert from "node:assert/strict";
import { test } from "node:test";
import { autoStep, hasNumbers, rowsOf, seriesOf } from "../src/dashboards/answer.ts";
import { mapName } from "../src/dashboards/countries.ts";
import { drillParams, ruleFor, searchFor } from "../src/dashboards/drill.ts";
import { parseField } from "../src/dashboards/expression.ts";
import { levelOf } from "../src/dashboards/levels.ts";
import { duplicate, newPanel, overlaps, type PanelModel, uidFrom } from "../src/dashboards/model.ts";
import { axisFormat, formatOf } from "../src/dashboards/units.ts";
import { unwrapped } from "../src/dashboards/worldShapes.ts";
import { chosenFrom, conjuncts, filledCondition, filledSql } from "../src/dashboards/variables.ts";

const read = (values: Record<string, number | null>) => (column: string) => values[column] ?? null;

test("a field is a column or arithmetic, and nothing where a number is missing", () => {
  const field = parseField("error_percent = 100 * server_errors / (requests - 1)");
  assert.equal(field.name, "error_percent");
  assert.deepEqual(field.columns, ["server_errors", "requests"]);
  assert.equal(field.value(read({ server_errors: 3, requests: 61 })), 5);
  assert.equal(field.value(read({ server_errors: 3, requests: 1 })), null);
  assert.equal(field.value(read({ server_errors: 3 })), null);
  assert.equal(parseField("-a + 2 * b - c").value(read({ a: 1, b: 3, c: 4 })), 1);
  for (const wrong of ["", "a +", "(a", "a b", "a ? b", "= a"]) assert.throws(() => parseField(wrong), undefined, wrong);
});

test("a variable with nothing chosen takes its part of the condition with it", () => {
  const where = "endpoint IN ($endpoint) AND status BETWEEN 500 AND 599 and note = 'a AND b'";
  assert.deepEqual(conjuncts(where), ["endpoint IN ($endpoint)", "status BETWEEN 500 AND 599", "note = 'a AND b'"]);
  assert.equal(filledCondition(where, { endpoint: [] }), "status BETWEEN 500 AND 599 AND note = 'a AND b'");
  assert.equal(filledCondition("endpoint IN ($endpoint)", { endpoint: ["/a", "it's"] }), "endpoint IN ('/a', 'it''s')");
  assert.equal(filledCondition("endpoint IN ($endpoint)", { endpoint: [] }), null);
  assert.deepEqual(conjuncts("a = 1 OR b = 2 AND c = 3"), ["a = 1 OR b = 2 AND c = 3"]);
  const from = Date.UTC(2026, 0, 2, 3, 4, 5);
  assert.equal(filledSql("x >= $from AND e IN ($e) AND y = $y", { e: [] }, from, from), "x >= TIMESTAMP '2026-01-02 03:04:05.000' AND e IN (NULL) AND y = $y");
});

test("the address chooses over the default, and may choose all", () => {
  const variable = { name: "endpoint", label: "", view: null, field: null, values: [], multi: true, default: ["/a"] };
  assert.deepEqual(chosenFrom(new URLSearchParams(), [variable]), { endpoint: ["/a"] });
  assert.deepEqual(chosenFrom(new URLSearchParams("v.endpoint="), [variable]), { endpoint: [] });
  assert.deepEqual(chosenFrom(new URLSearchParams("v.endpoint=/b&v.endpoint=/c"), [variable]), { endpoint: ["/b", "/c"] });
});

test("rows of an answer become series, the rest last and named", () => {
  const answer = {
    columns: ["window_start", "endpoint", "requests"],
    rows: [
      ["2026-11-23T10:00:00Z", "/a", 10],
      ["2026-11-23T10:00:00Z", null, 7],
      ["2026-11-23T10:00:10Z", "/b", 30],
      ["2026-11-23T10:00:10Z", "/a", 12],
    ],
    others: 3,
  };
  const series = seriesOf(answer, [parseField("requests")], "endpoint", null);
  assert.deepEqual(series.map((each) => [each.name, each.isRest]), [["/b", false], ["/a", false], ["3 others", true]]);
  assert.deepEqual([...(series[1]?.points.values() ?? [])], [10, 12]);
  const perSecond = seriesOf(answer, [parseField("requests")], "endpoint", () => 10);
  assert.deepEqual([...(perSecond[1]?.points.values() ?? [])], [1, 1.2]);
  const rows = rowsOf({ ...answer, rows: answer.rows.slice(0, 2) }, [parseField("requests * 2")], ["endpoint"], null);
  assert.deepEqual(rows, [
    { keys: ["/a"], isRest: false, values: [20] },
    { keys: [null], isRest: true, values: [14] },
  ]);
});

test("a null key is the rest only where keys were merged", () => {
  const answer = { columns: ["window_start", "endpoint", "requests"], rows: [["2026-11-23T10:00:00Z", null, 7]], others: 0 };
  assert.deepEqual(seriesOf(answer, [parseField("requests")], "endpoint", null).map((each) => [each.name, each.isRest]), [["(none)", false]]);
});

test("steps are multiples of the view's windows and give some hundreds of points", () => {
  assert.equal(autoStep(900_000, 10_000), 10_000);
  assert.equal(autoStep(21_600_000, 10_000), 120_000);
  assert.equal(autoStep(30 * 86_400_000, 10_000), 10_800_000);
  assert.equal(autoStep(900_000, 60_000), 60_000);
});

const panel = (over: Partial<PanelModel> & { where?: string | null; by?: string | null }): PanelModel => {
  const made = newPanel("bar", []);
  const data = { ...(made.data as object), view: "endpoint_health", fields: ["p = 100 * server_errors / requests"], where: over.where ?? null, by: over.by ?? null };
  return { ...made, ...over, data: data as PanelModel["data"] };
};

test("what is pointed at becomes a search, or SQL where the search language has no words", () => {
  const shown = { from: 0, to: 60_000 };
  const range = { from: "1970-01-01T00:00:00.000Z", to: "1970-01-01T00:01:00.000Z" };
  const pick = { keys: { endpoint: '/a "b"' }, from: null, to: null };
  assert.deepEqual(drillParams(panel({ where: "status >= 500 AND endpoint IN ($e)" }), pick, { e: [] }, shown), { q: 'status:>=500 endpoint:"/a \\"b\\""', ...range });
  assert.deepEqual(drillParams(panel({ where: "lower(endpoint) = '/a'" }), { keys: { status: "500" }, from: 10, to: 20 }, {}, shown), {
    sql: "(lower(endpoint) = '/a') AND CAST(status AS VARCHAR) = '500'",
    from: "1970-01-01T00:00:00.010Z",
    to: "1970-01-01T00:00:00.020Z",
  });
  assert.equal(searchFor("endpoint IN ('/a', 'it''s')"), `(endpoint:/a or endpoint:"it's")`);
  assert.equal(searchFor("endpoint = 'and'"), 'endpoint:"and"');
  assert.equal(searchFor("endpoint > 'a'"), null);
  assert.deepEqual(drillParams(panel({}), { keys: { endpoint: null }, from: null, to: null }, {}, shown), { q: "not endpoint:*", ...range });
});

test("a panel becomes a rule about its first number", () => {
  const made = panel({ by: "endpoint", where: "endpoint IN ($endpoint)", title: "Errors" });
  const rule = ruleFor({ ...made, options: { ...made.options, unit: "percent", thresholds: [{ value: 5, level: "bad" }, { value: 1, level: "warn" }] } });
  assert.deepEqual(rule, { kind: "threshold", view: "endpoint_health", value: "100 * server_errors / requests", by: ["endpoint"], above: 5, unit: "%", over: "1m", annotations: { summary: "Errors" } });
  assert.equal(ruleFor(newPanel("text", [])), null);
});

test("a copy of a panel stands beside it or at the end, never on another", () => {
  const first = { ...newPanel("line", []), place: { x: 0, y: 0, w: 12, h: 6 } };
  const beside = duplicate(first, [first]);
  assert.deepEqual(beside.place, { x: 12, y: 0, w: 12, h: 6 });
  const below = duplicate(first, [first, beside]);
  assert.ok(![first, beside].some((other) => overlaps(other.place, below.place)));
  assert.equal(new Set([first.id, beside.id, below.id]).size, 3);
});

test("names of files, levels, units and countries", () => {
  assert.equal(uidFrom("Über uns, 2", []), "ber-uns-2");
  assert.equal(uidFrom("Shop", ["shop", "shop-2"]), "shop-3");
  assert.equal(uidFrom("???", []), "dashboard");
  const thresholds = [{ value: 5, level: "bad" }, { value: 1, level: "warn" }] as const;
  assert.deepEqual([0, 1, 7, null].map((value) => levelOf(value, thresholds)), [null, "warn", "bad", null]);
  assert.equal(formatOf({ unit: "percent", decimals: null })(0.004), "<0.01 %");
  assert.equal(formatOf({ unit: "share", decimals: 1 })(0.25), "25.0 %");
  assert.equal(formatOf({ unit: "ms", decimals: null })(null), "–");
  assert.equal(mapName("US"), "United States of America");
  assert.equal(mapName("de"), "Germany");
  assert.equal(mapName("Germany"), "Germany");
});

test("a ring that crosses the date line goes on instead of back", () => {
  const crossing = { type: "Polygon" as const, coordinates: [[[170, 60], [179, 61], [-179, 62], [-170, 60], [170, 60]]] };
  const flat = unwrapped(crossing);
  assert.deepEqual(flat.type === "Polygon" && flat.coordinates[0]?.map(([x]) => x), [170, 179, 181, 190, 170]);
  const plain = { type: "Polygon" as const, coordinates: [[[-10, 0], [10, 0], [10, 10], [-10, 0]]] };
  assert.deepEqual(unwrapped(plain), plain);
});

test("events without the number that a panel asks for are told from no events", () => {
  const answer = { columns: ["endpoint", "requests", "response_ms_avg"], rows: [["/a", 3, null], ["/b", 1, null]], others: 0 };
  assert.equal(hasNumbers(answer, [parseField("response_ms_avg")]), false);
  assert.equal(hasNumbers(answer, [parseField("response_ms_avg"), parseField("requests")]), true);
  assert.equal(hasNumbers({ ...answer, rows: [] }, [parseField("requests")]), false);
});

test("ticks of milliseconds are never thousands of thousandths", () => {
  assert.deepEqual([0, 0.5, 250, 1000, 2500, 20_000].map(axisFormat("ms")), ["0 ms", "0.5 ms", "250 ms", "1,000 ms", "2,500 ms", "20 s"]);
});
