import assert from "node:assert/strict";
import { test } from "node:test";
import { boxSpans, distanceToSegment, polygonSpans, simplify, strokeSpans } from "../../ui/js/mask/raster.js";

function draw(size, shape) {
  const pixels = new Uint8Array(size * size);
  shape((y, x0, x1) => {
    for (let x = Math.max(0, x0); x < Math.min(size, x1); x++) if (y >= 0 && y < size) pixels[y * size + x]++;
  });
  return pixels;
}

function rows(pixels, size) {
  return Array.from({ length: size }, (_, y) => [...pixels.subarray(y * size, (y + 1) * size)].join(""));
}

test("a disc holds the pixels whose centres are in it, each once", () => {
  const size = 40;
  for (const radius of [0.5, 1, 2.5, 7, 15]) {
    const pixels = draw(size, (emit) => strokeSpans([20.3, 19.8], [20.3, 19.8], radius, radius, emit));
    for (let i = 0; i < pixels.length; i++) {
      const inside = Math.hypot((i % size) + 0.5 - 20.3, Math.floor(i / size) + 0.5 - 19.8) <= radius;
      if (radius > 0.75) assert.equal(pixels[i], inside ? 1 : 0);
    }
    assert.ok(pixels.includes(1));
  }
});

test("a stroke is the pixels within the radius of the line", () => {
  const size = 60;
  const pixels = draw(size, (emit) => strokeSpans([10, 12], [48, 37], 5, 5, emit));
  for (let i = 0; i < pixels.length; i++) {
    const distance = distanceToSegment([(i % size) + 0.5, Math.floor(i / size) + 0.5], [10, 12], [48, 37]);
    if (Math.abs(distance - 5) > 1e-9) assert.equal(pixels[i], distance < 5 ? 1 : 0);
  }
});

test("a brush of one pixel draws a line without gaps", () => {
  const pixels = draw(30, (emit) => strokeSpans([2.5, 2.5], [25.5, 14.5], 0.5, 0.5, emit));
  for (let x = 2; x <= 25; x++)
    assert.ok(
      [...Array(30).keys()].some((y) => pixels[y * 30 + x]),
      `column ${x}`,
    );
  assert.equal(pixels[2 * 30 + 2], 1);
  assert.equal(pixels[14 * 30 + 25], 1);
});

test("pen pressure makes the stroke thicker towards its end", () => {
  const pixels = draw(60, (emit) => strokeSpans([10, 30], [50, 30], 1, 10, emit));
  const height = (x) => [...Array(60).keys()].filter((y) => pixels[y * 60 + x]).length;
  assert.ok(height(12) < height(30) && height(30) < height(48));
});

test("polygons hold the pixels whose centres are inside, by the even-odd rule", () => {
  assert.deepEqual(
    rows(
      draw(6, (emit) =>
        polygonSpans(
          [
            [1, 1],
            [5, 1],
            [5, 4],
            [1, 4],
          ],
          emit,
        ),
      ),
      6,
    ),
    ["000000", "011110", "011110", "011110", "000000", "000000"],
  );
  const bow = rows(
    draw(8, (emit) =>
      polygonSpans(
        [
          [0, 0.2],
          [8, 7.8],
          [8, 0.2],
          [0, 7.8],
        ],
        emit,
      ),
    ),
    8,
  );
  assert.deepEqual(bow, [
    "00000000",
    "10000001",
    "11000011",
    "11100111",
    "11100111",
    "11000011",
    "10000001",
    "00000000",
  ]);
});

test("a box is filled whichever corner comes first", () => {
  assert.deepEqual(
    draw(5, (emit) => boxSpans([4, 4, 1, 2], emit)),
    draw(5, (emit) => boxSpans([1, 2, 4, 4], emit)),
  );
  assert.deepEqual(
    rows(
      draw(5, (emit) => boxSpans([4, 4, 1, 2], emit)),
      5,
    ),
    ["00000", "00000", "01110", "01110", "00000"],
  );
});

test("simplify keeps corners and drops what lies on the line", () => {
  const points = [
    [0, 0],
    [5, 0.1],
    [10, 0],
    [10, 5],
    [10, 10],
  ];
  assert.deepEqual(simplify(points, 0.5), [
    [0, 0],
    [10, 0],
    [10, 10],
  ]);
});
