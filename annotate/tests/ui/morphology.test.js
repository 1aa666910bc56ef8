import assert from "node:assert/strict";
import { test } from "node:test";
import { outlinePolygon, traceContour } from "../../ui/js/mask/contour.js";
import { LabelMask } from "../../ui/js/mask/label.js";
import { fillHoles, keepLargest, smooth, smoothingMargin } from "../../ui/js/mask/morphology.js";
import { boundingBox, paintSpans, patchOf } from "../../ui/js/mask/patch.js";
import { polygonSpans } from "../../ui/js/mask/raster.js";

function maskOf(...lines) {
  const mask = new LabelMask(lines[0].length, lines.length);
  lines.forEach((line, y) => [...line].forEach((value, x) => (mask.labels[y * mask.width + x] = Number(value))));
  return mask;
}

function linesOf(mask) {
  return Array.from({ length: mask.height }, (_, y) =>
    [...mask.labels.subarray(y * mask.width, (y + 1) * mask.width)].join(""),
  );
}

/** Repair a class and paint what changed; gives the pixels that changed. */
function repair(edit, value, job, margin = 0, ...options) {
  const spans = job(patchOf(edit.mask, value, margin), value, ...options);
  paintSpans(edit, spans);
  let pixels = 0;
  for (let i = 0; i < spans.length; i += 4) pixels += spans[i + 2] - spans[i + 1];
  return pixels;
}

test("fill holes closes what is enclosed and leaves bays and other classes", () => {
  const mask = maskOf("1111100", "1000100", "1020100", "1111100", "1000000", "1111111", "1000001", "1111111");
  const edit = mask.edit();
  assert.equal(repair(edit, 1, fillHoles), 10);
  assert.deepEqual(linesOf(mask), [
    "1111100",
    "1111100",
    "1121100",
    "1111100",
    "1000000",
    "1111111",
    "1111111",
    "1111111",
  ]);
  assert.ok(edit.commit());
  assert.equal(mask.hand[8], 1);
  assert.equal(mask.hand[0], 0);
});

test("a diagonal gap does not open a hole", () => {
  const mask = maskOf("0110", "1001", "1001", "0110");
  repair(mask.edit(), 1, fillHoles);
  assert.deepEqual(linesOf(mask), ["0110", "1111", "1111", "0110"]);
});

test("smooth removes specks and notches, keeps the size of a disc, and other classes", () => {
  const mask = new LabelMask(120, 120);
  let area = 0;
  for (let i = 0; i < mask.labels.length; i++) {
    if (Math.hypot((i % 120) - 60, Math.floor(i / 120) - 60) < 35) {
      mask.labels[i] = 1;
      area++;
    }
  }
  mask.labels[5 * 120 + 5] = 1;
  for (let y = 58; y < 60; y++) for (let x = 90; x < 96; x++) mask.labels[y * 120 + x] = 0;
  mask.labels[60 * 120 + 60] = 2;
  const edit = mask.edit();
  assert.ok(repair(edit, 1, smooth, smoothingMargin(2), 2) > 0);
  assert.equal(mask.labels[5 * 120 + 5], 0);
  assert.equal(mask.labels[59 * 120 + 91], 1);
  assert.equal(mask.labels[60 * 120 + 60], 2);
  const now = mask.labels.reduce((sum, value) => sum + (value === 1 ? 1 : 0), 0);
  assert.ok(Math.abs(now - area) < 0.01 * area, `${now} of ${area}`);
});

test("smooth does not eat a lesion at the image's border", () => {
  const mask = maskOf(...Array(12).fill("111111000000"));
  repair(mask.edit(), 1, smooth, smoothingMargin(2), 2);
  assert.deepEqual(linesOf(mask), Array(12).fill("111111000000"));
});

test("keep largest", () => {
  const mask = maskOf("1100010", "1100000", "0000011", "2000000");
  assert.equal(repair(mask.edit(), 1, keepLargest), 3);
  assert.deepEqual(linesOf(mask), ["1100000", "1100000", "0000000", "2000000"]);
  assert.equal(boundingBox(mask, 7), null);
});

test("the traced outline, filled, is the piece again", () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 60; round++) {
    const mask = new LabelMask(24, 20);
    for (let i = 0; i < mask.labels.length; i++) mask.labels[i] = random() < 0.62 ? 1 : 0;
    repair(mask.edit(), 1, fillHoles);
    repair(mask.edit(), 1, keepLargest);
    const pixel = mask.labels.indexOf(1);
    const corners = traceContour(mask.labels, 24, 20, pixel % 24, Math.floor(pixel / 24));
    const filled = new LabelMask(24, 20);
    const edit = filled.edit();
    polygonSpans(corners, (y, x0, x1) => edit.fillSpan(y, x0, x1, 1));
    assert.deepEqual(linesOf(filled), linesOf(mask));
  }
});

test("an outline as a polygon takes its own class out and leaves what lies in its holes", () => {
  const mask = maskOf("00000000", "01111100", "01200100", "01000100", "01111100", "00000010");
  const { points, spans } = outlinePolygon(patchOf(mask, 1), 1, 3, 1, 0.1);
  paintSpans(mask.edit(), spans);
  assert.deepEqual(linesOf(mask), ["00000000", "00000000", "00200000", "00000000", "00000000", "00000010"]);
  assert.deepEqual(points.map(String).sort(), ["1,1", "1,5", "6,1", "6,5"]);
});
