import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelMask, union } from "../../ui/js/mask/label.js";
import { decodeRuns, encodeRuns } from "../../ui/js/mask/rle.js";

test("runs come back as they were", () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i % 700 < 400 ? 3 : i % 5));
  assert.deepEqual(decodeRuns(encodeRuns(bytes), new Uint8Array(bytes.length)), bytes);
  assert.equal(encodeRuns(new Uint8Array(1000)).length, 1);
  assert.throws(() => decodeRuns(encodeRuns(bytes), new Uint8Array(4999)), /4999 were expected/);
});

test("runs are the longest there are, wherever the bytes begin", () => {
  let seed = 3;
  const random = (/** @type {number} */ below) => (seed = (seed * 16807) % 2147483647) % below;
  for (let round = 0; round < 200; round++) {
    const buffer = new Uint8Array(300);
    for (let at = 0; at < 300;) {
      const end = at + 1 + random(round % 2 ? 5 : 60);
      buffer.fill(random(3) && 200, at, end);
      at = end;
    }
    const bytes = buffer.subarray(random(8), 300 - random(8));
    const runs = encodeRuns(bytes);
    assert.deepEqual(decodeRuns(runs, new Uint8Array(bytes.length)), bytes.slice());
    for (let i = 1; i < runs.length; i++) assert.notEqual(runs[i] & 255, runs[i - 1] & 255);
  }
});

test("an edit over several tiles is undone and redone exactly", () => {
  const mask = new LabelMask(600, 300);
  const first = mask.edit();
  for (let y = 100; y < 290; y++) first.fillSpan(y, 200, 580, 1);
  first.commit();
  const before = mask.labels.slice();
  const second = mask.edit();
  for (let y = 240; y < 310; y++) second.fillSpan(y, -20, 300, 2);
  const change = second.commit();
  assert.deepEqual([...change.tiles.keys()].sort(), [0, 1, 3, 4]);
  const after = mask.labels.slice();
  mask.apply(change, "before");
  assert.deepEqual(mask.labels, before);
  mask.apply(change, "after");
  assert.deepEqual(mask.labels, after);
  assert.equal(after[299 * 600], 2);
});

test("an edit that changes nothing is no change, and a cancelled one leaves nothing", () => {
  const mask = new LabelMask(300, 300);
  mask.edit().commit();
  const edit = mask.edit();
  edit.fillSpan(10, 0, 300, 1);
  edit.cancel();
  assert.equal(mask.labels.indexOf(1), -1);
  assert.equal(mask.hand.indexOf(1), -1);
  const again = mask.edit();
  again.fillSpan(10, 5, 5, 1);
  assert.equal(again.commit(), null);
});

test("clearing is one change, undone exactly", () => {
  const mask = new LabelMask(600, 300);
  const first = mask.edit();
  first.fillSpan(120, 200, 400, 3);
  first.commit();
  const before = mask.labels.slice();
  const edit = mask.edit();
  edit.clear();
  const change = edit.commit();
  assert.ok(!mask.labels.includes(3) && !mask.hand.includes(0));
  mask.apply(change, "before");
  assert.deepEqual(mask.labels, before);
  assert.equal(
    mask.hand.reduce((sum, value) => sum + value, 0),
    200,
  );
  mask.apply(change, "after");
  assert.ok(!mask.labels.includes(3) && !mask.hand.includes(0));
});

test("a protected span leaves other classes alone", () => {
  const mask = new LabelMask(10, 1);
  const edit = mask.edit();
  edit.fillSpan(0, 3, 6, 2);
  edit.fillSpan(0, 0, 10, 1, true);
  edit.commit();
  assert.deepEqual([...mask.labels], [1, 1, 1, 2, 2, 2, 1, 1, 1, 1]);
});

test("listeners hear of the rectangle that changed only", () => {
  const mask = new LabelMask(1000, 1000);
  const heard = [];
  mask.onChange((bounds) => heard.push(bounds));
  const edit = mask.edit();
  edit.fillSpan(10, 5, 9, 1);
  edit.flush();
  edit.fillSpan(20, 5, 9, 1);
  edit.commit();
  assert.deepEqual(heard, [
    { x: 5, y: 10, width: 4, height: 1 },
    { x: 5, y: 20, width: 4, height: 1 },
  ]);
  assert.deepEqual(union(heard[0], heard[1]), { x: 5, y: 10, width: 4, height: 11 });
});

test("a draft's tiles give the label back, and hold only what is not empty", () => {
  const mask = new LabelMask(700, 500);
  const edit = mask.edit();
  for (let y = 300; y < 310; y++) edit.fillSpan(y, 300, 310, 4);
  edit.commit();
  const tiles = mask.encode();
  assert.deepEqual([...tiles.keys()], [4]);
  const other = new LabelMask(700, 500);
  other.edit().fillSpan(0, 0, 700, 1);
  other.decode(structuredClone(tiles));
  assert.deepEqual(other.labels, mask.labels);
  assert.deepEqual(other.hand, mask.hand);
});
