import assert from "node:assert/strict";
import { test } from "node:test";
import { Annotation } from "../../ui/js/mask/annotation.js";
import { applyClicks, applyMask, applyThreshold, overruleHand, releaseHand } from "../../ui/js/mask/answer.js";
import { Clock, PAUSE } from "../../ui/js/mask/clock.js";
import { insertPoint, movePoint, removePoint, toRequest } from "../../ui/js/mask/guidance.js";

const item = { id: "a", name: "a.png", width: 40, height: 30, bits: 8, state: "unlabelled", comment: "", version: 0 };
const plane = (width, height, value) => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height }, (_, i) => value(i % width, Math.floor(i / width))),
});
const row = (annotation, y) => [...annotation.mask.labels.subarray(y * 40, (y + 1) * 40)].join("");

test("undo and redo go over pixels, clicks and the polygon", () => {
  const annotation = new Annotation(item);
  annotation.perform("Brush", (edit) => edit.fillSpan(3, 2, 8, 1));
  annotation.perform("Click", null, { clicks: [{ x: 1, y: 1, positive: true, value: 1 }] });
  annotation.perform("Point", null, {
    polygon: {
      points: [
        [10, 10],
        [20, 10],
        [20, 20],
      ],
      closed: true,
      value: 1,
    },
  });
  annotation.bakePolygon();
  assert.equal(annotation.guidance.polygon, null);
  assert.equal(annotation.mask.labels[15 * 40 + 18], 1);
  assert.deepEqual([annotation.undo(), annotation.guidance.polygon?.closed], ["Polygon", true]);
  assert.equal(annotation.mask.labels[15 * 40 + 18], 0);
  annotation.undo();
  assert.equal(annotation.undo(), "Click");
  assert.equal(annotation.guidance.clicks.length, 0);
  assert.equal(annotation.undo(), "Brush");
  assert.equal(annotation.undo(), null);
  assert.ok(!annotation.mask.labels.includes(1));
  for (const name of ["Brush", "Click", "Point", "Polygon"]) assert.equal(annotation.redo(), name);
  assert.equal(annotation.redo(), null);
  assert.equal(annotation.mask.labels[15 * 40 + 18], 1);
});

test("a click and its answer are one step; an answer after another step is its own", () => {
  const annotation = new Annotation(item);
  const answer = { mask: plane(40, 30, () => 1), probability: new Map(), maps: {} };
  annotation.perform("Click", null, { clicks: [{ x: 1, y: 1, positive: true, value: 1 }] });
  annotation.performAnswer(answer, (edit) => applyMask(edit, answer.mask), annotation.history.last);
  assert.equal(annotation.undo(), "Click");
  assert.ok(!annotation.mask.labels.includes(1));
  assert.equal(annotation.guidance.answer, null);
  assert.equal(annotation.redo(), "Click");
  assert.equal(annotation.guidance.answer, answer);
  assert.ok(!annotation.mask.labels.includes(0));
  const asked = annotation.history.last;
  annotation.perform("Brush", (edit) => edit.fillSpan(3, 2, 8, 0));
  annotation.performAnswer(answer, (edit) => edit.fillSpan(9, 0, 9, 0), asked);
  assert.equal(annotation.undo(), "The model's answer");
});

test("an answer waits for the end of a stroke", () => {
  const annotation = new Annotation(item);
  const answer = { mask: plane(40, 30, () => 1), probability: new Map(), maps: {} };
  annotation.begin().fillSpan(3, 2, 8, 0);
  annotation.performAnswer(answer, (edit) => applyMask(edit, answer.mask), undefined);
  assert.ok(!annotation.mask.labels.includes(1));
  assert.equal(annotation.undo(), null, "nothing is undone during a stroke");
  annotation.perform("Eraser", null);
  assert.equal(row(annotation, 3), "11" + "000000" + "1".repeat(32));
  annotation.undo();
  assert.ok(!annotation.mask.labels.includes(1));
});

test("the model's answer leaves what a hand drew", () => {
  const annotation = new Annotation(item);
  annotation.perform("Brush", (edit) => edit.fillSpan(3, 2, 8, 1));
  annotation.perform("Eraser", (edit) => edit.fillSpan(4, 2, 8, 0));
  annotation.perform("Model", (edit) =>
    applyMask(
      edit,
      plane(20, 15, (x) => (x < 10 ? 1 : 0)),
    ),
  );
  assert.equal(row(annotation, 3), "1".repeat(20) + "0".repeat(20));
  assert.equal(row(annotation, 4), "11000000" + "1".repeat(12) + "0".repeat(20));
  annotation.perform("Model", (edit) =>
    applyMask(
      edit,
      plane(40, 30, () => 0),
    ),
  );
  assert.equal(row(annotation, 3), "00111111" + "0".repeat(32));
  annotation.perform("Release", (edit) => releaseHand(edit));
  annotation.perform("Model", (edit) =>
    applyMask(
      edit,
      plane(40, 30, () => 0),
    ),
  );
  assert.ok(!annotation.mask.labels.includes(1));
});

test("the threshold on the probability moves the outline; a smaller plane is interpolated", () => {
  const annotation = new Annotation(item);
  const ramp = plane(40, 30, (x) => Math.round((x / 39) * 255));
  annotation.perform("Threshold", (edit) => applyThreshold(edit, ramp, 50, 1));
  assert.equal(row(annotation, 0).indexOf("1"), 20);
  annotation.perform("Threshold", (edit) => applyThreshold(edit, ramp, 80, 1));
  assert.equal(row(annotation, 0).indexOf("1"), 32);
  annotation.perform("Other class", (edit) =>
    applyThreshold(
      edit,
      plane(40, 30, (x) => (x < 5 ? 255 : 0)),
      50,
      2,
    ),
  );
  assert.equal(row(annotation, 0), "22222" + "0".repeat(27) + "1".repeat(8));
  annotation.perform("Small", (edit) =>
    applyThreshold(
      edit,
      plane(2, 1, (x) => x * 255),
      50,
      3,
    ),
  );
  assert.equal(row(annotation, 0), "22222" + "0".repeat(15) + "3".repeat(20));
});

test("over several tiles the threshold and the mask change the same pixels as one by one", () => {
  const large = { ...item, width: 700, height: 520 };
  const blob = plane(70, 52, (x, y) => Math.max(0, Math.round(255 - 6 * Math.hypot(x - 20, y - 15))));
  const annotation = new Annotation(large);
  annotation.perform("Hand", (edit) => edit.fillSpan(150, 180, 420, 2));
  annotation.perform("Threshold", (edit) => applyThreshold(edit, blob, 60, 1));
  const drawn = annotation.mask.labels.slice();
  const single = new Annotation({ ...large });
  for (let y = 0; y < large.height; y++) {
    for (let x = 0; x < large.width; x++) {
      const [px, py] = [(x + 0.5) / 10 - 0.5, (y + 0.5) / 10 - 0.5].map((at, i) =>
        Math.max(0, Math.min([69, 51][i], at)),
      );
      const [x0, y0] = [Math.floor(px), Math.floor(py)];
      const at = (/** @type {number} */ i, /** @type {number} */ j) =>
        blob.data[Math.min(51, y0 + j) * 70 + Math.min(69, x0 + i)];
      const upper = at(0, 0) * (1 - (px - x0)) + at(1, 0) * (px - x0);
      const lower = at(0, 1) * (1 - (px - x0)) + at(1, 1) * (px - x0);
      const hand = y === 150 && x >= 180 && x < 420;
      single.mask.labels[y * 700 + x] = hand ? 2 : upper * (1 - (py - y0)) + lower * (py - y0) >= 153 - 1e-4 ? 1 : 0;
    }
  }
  const different = drawn.filter((value, i) => value !== single.mask.labels[i]).length;
  assert.equal(different, 0);
  annotation.perform("Mask", (edit) =>
    applyMask(edit, { width: 700, height: 520, data: drawn.map((value) => (value === 1 ? 0 : 1)) }, 1),
  );
  const expected = drawn.map((value) => (value === 2 ? 2 : value === 1 ? 0 : 1));
  assert.deepEqual(annotation.mask.labels, expected);
  annotation.undo();
  assert.deepEqual(annotation.mask.labels, drawn);
});

test("an answer to guidance changes its own class only", () => {
  const annotation = new Annotation(item);
  annotation.perform("Model", (edit) =>
    applyMask(
      edit,
      plane(40, 30, (x) => (x < 10 ? 1 : x < 20 ? 2 : 0)),
    ),
  );
  annotation.perform("Model", (edit) =>
    applyMask(
      edit,
      plane(40, 30, (x) => (x >= 15 && x < 25 ? 1 : 0)),
      2,
    ),
  );
  assert.equal(row(annotation, 0), "1".repeat(10) + "0".repeat(5) + "2".repeat(10) + "0".repeat(15));
});

test("clicks hold in the answer, a new click overrules the hand, a later stroke an older click", () => {
  const annotation = new Annotation(item);
  const inside = { x: 20.5, y: 15.5, positive: true, value: 1 };
  annotation.perform("Model", (edit) => {
    applyMask(
      edit,
      plane(40, 30, () => 0),
    );
    applyClicks(edit, [inside], 3);
  });
  assert.equal(annotation.mask.labels[15 * 40 + 20], 1);
  annotation.perform("Eraser", (edit) => {
    for (let y = 10; y < 20; y++) edit.fillSpan(y, 10, 30, 0);
  });
  annotation.perform("Model", (edit) => applyClicks(edit, [inside], 3));
  assert.equal(annotation.mask.labels[15 * 40 + 20], 0, "the eraser came after the click");
  annotation.perform("Click", (edit) => assert.ok(overruleHand(edit, inside, 3)));
  assert.equal(annotation.mask.labels[15 * 40 + 20], 1);
  annotation.perform("Click", (edit) => assert.ok(!overruleHand(edit, inside, 3), "says the same already"));
});

test("a draft restores label, guidance, comment, time and clicks", () => {
  const annotation = new Annotation(item);
  annotation.perform("Brush", (edit) => edit.fillSpan(3, 2, 8, 1), { threshold: 40 });
  annotation.clock.seconds = 12.5;
  annotation.logClick(4.7, 5.2, false);
  annotation.setComment("hair");
  const other = new Annotation(item);
  other.fromDraft(structuredClone(annotation.toDraft()));
  assert.deepEqual(other.mask.labels, annotation.mask.labels);
  assert.deepEqual(other.clicks, [{ x: 4, y: 5, positive: false, t: 12.5 }]);
  assert.equal(other.guidance.threshold, 40);
  assert.equal(other.comment, "hair");
  assert.equal(other.clock.seconds, 12.5);
});

test("time counts work and stops after a pause", () => {
  let now = 0;
  const clock = new Clock(() => now);
  clock.tick();
  assert.equal(clock.seconds, 0);
  clock.act();
  now = 5000;
  clock.tick();
  assert.equal(clock.seconds, 5);
  assert.ok(clock.running);
  now = 100000;
  clock.tick();
  assert.equal(clock.seconds, PAUSE);
  assert.ok(!clock.running);
  clock.act();
  now = 102000;
  clock.stop();
  now = 110000;
  clock.tick();
  assert.equal(clock.seconds, PAUSE + 2);
});

test("guidance in the server's words; polygons by their points", () => {
  const annotation = new Annotation(item);
  annotation.perform("all", null, {
    clicks: [
      { x: 1.9, y: 2.2, positive: true, value: 1 },
      { x: 3, y: 4, positive: false, value: 1 },
    ],
    scribbles: [
      {
        points: [
          [1, 2],
          [3.6, 4],
        ],
        positive: false,
        value: 1,
      },
    ],
  });
  assert.deepEqual(toRequest(annotation.guidance, 1), {
    foreground: [[1, 2]],
    background: [[3, 4]],
    foreground_scribbles: [],
    background_scribbles: [
      [
        [1, 2],
        [3, 4],
      ],
    ],
    box: null,
  });
  assert.deepEqual(toRequest(annotation.guidance, 2).foreground, [], "clicks of another class are not told");
  const triangle = {
    points: [
      [0, 0],
      [4, 0],
      [4, 4],
    ],
    closed: true,
    value: 1,
  };
  assert.deepEqual(movePoint(triangle, 1, [5, 1]).points, [
    [0, 0],
    [5, 1],
    [4, 4],
  ]);
  assert.equal(insertPoint(triangle, 3, [0, 4]).points.length, 4);
  assert.equal(removePoint(triangle, 0), null);
});
