import assert from "node:assert/strict";
import { test } from "node:test";
import { makePalette, paintOverlay } from "../../ui/js/view/overlay.js";
import { Viewport } from "../../ui/js/view/viewport.js";

test("zooming keeps the point under the pointer, fit shows all", () => {
  const view = new Viewport();
  view.resize(800, 600);
  view.setImage(6000, 4000);
  const shown = view.visible();
  assert.deepEqual(shown, { x: 0, y: 0, width: 6000, height: 4000 });
  const before = view.toImage([300, 200]);
  view.zoomTo(3, [300, 200]);
  const after = view.toImage([300, 200]);
  assert.ok(Math.hypot(after[0] - before[0], after[1] - before[1]) < 1e-6);
  const part = view.visible();
  assert.ok(part.width <= 268 && part.height <= 201);
  view.pan(1e6, 1e6);
  assert.ok(view.toScreen([0, 0])[0] < 800);
  view.zoomTo(1e9);
  assert.equal(view.scale, 64);
});

test("a part painted is the same as that part of the whole", () => {
  const mask = {
    width: 30,
    height: 20,
    labels: Uint8Array.from({ length: 600 }, (_, i) => (Math.hypot((i % 30) - 14, Math.floor(i / 30) - 9) < 6 ? 1 : 0)),
  };
  const palette = makePalette(new Map([[1, [255, 0, 0]]]), 0.3, 1);
  for (const transform of [
    { scale: 4.3, x: -11, y: 7 },
    { scale: 0.7, x: 3, y: 2 },
  ]) {
    const whole = paintOverlay(mask, transform, { x: 0, y: 0, width: 100, height: 80 }, palette, 2);
    const part = paintOverlay(mask, transform, { x: 13, y: 21, width: 40, height: 30 }, palette, 2);
    for (let y = 0; y < 30; y++)
      for (let x = 0; x < 40; x++) assert.equal(part[y * 40 + x], whole[(y + 21) * 100 + x + 13]);
    assert.ok(whole.includes(0xff0000ff) && whole.includes(palette.fill[1]) && whole.includes(0));
  }
});
