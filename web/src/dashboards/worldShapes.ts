// Shapes of countries as a flat map can draw them.

import type { Geometry, Position } from "geojson";

const HALF_TURN = 180;

/** Rings that cross the date line go on beyond 180 degrees, instead of back across the whole map. */
export function unwrapped(geometry: Geometry): Geometry {
  if (geometry.type === "Polygon") return { ...geometry, coordinates: geometry.coordinates.map(ring) };
  if (geometry.type === "MultiPolygon") return { ...geometry, coordinates: geometry.coordinates.map((polygon) => polygon.map(ring)) };
  return geometry;
}

function ring(positions: Position[]): Position[] {
  let turn = 0;
  let last: number | null = null;
  return positions.map(([longitude = 0, latitude = 0]) => {
    if (last !== null && longitude - last > HALF_TURN) turn -= 2 * HALF_TURN;
    if (last !== null && longitude - last < -HALF_TURN) turn += 2 * HALF_TURN;
    last = longitude;
    return [longitude + turn, latitude];
  });
}
