import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodePng, encodePng } from "../../ui/js/mask/png.js";

const folder = mkdtempSync(join(tmpdir(), "png-"));
const python = process.env.PYTHON ?? "python3";
const hasPillow = (() => {
  try {
    execFileSync(python, ["-c", "import PIL, numpy"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const run = (code) =>
  execFileSync(python, ["-c", `import numpy as np; from PIL import Image; ${code}`], { cwd: folder }).toString();

test("what is written is read back", async () => {
  for (const [width, height] of [
    [1, 1],
    [7, 5],
    [640, 480],
  ]) {
    const data = Uint8Array.from({ length: width * height }, (_, i) => (i * 7 + (i >> 5)) & 255);
    const again = await decodePng(await (await encodePng(data, width, height)).arrayBuffer());
    assert.deepEqual(again, { width, height, data });
  }
});

test("Pillow reads what is written", { skip: !hasPillow }, async () => {
  const data = Uint8Array.from({ length: 33 * 21 }, (_, i) => i % 251);
  writeFileSync(join(folder, "a.png"), Buffer.from(await (await encodePng(data, 33, 21)).arrayBuffer()));
  assert.equal(
    run(
      "i = Image.open('a.png'); i.load(); print(i.mode, i.size, np.array_equal(np.asarray(i).ravel(), np.arange(693) % 251))",
    ).trim(),
    "L (33, 21) True",
  );
});

test("grey, 1-bit, 16-bit and palette files of Pillow are read", { skip: !hasPillow }, async () => {
  run(
    "y, x = np.mgrid[:37, :53]; a = ((x * y) % 200).astype('uint8'); Image.fromarray(a).save('l.png', optimize=True); Image.fromarray(a > 90).save('1.png'); Image.fromarray(a.astype('uint16')).save('16.png'); p = Image.fromarray(a % 7, 'P'); p.putpalette(list(range(21))); p.save('p.png')",
  );
  const expected = Uint8Array.from({ length: 37 * 53 }, (_, i) => ((i % 53) * Math.floor(i / 53)) % 200);
  const read = async (name) => {
    const file = readFileSync(join(folder, name));
    return (await decodePng(file.buffer.slice(file.byteOffset, file.byteOffset + file.length))).data;
  };
  assert.deepEqual(await read("l.png"), expected);
  assert.deepEqual(await read("16.png"), expected);
  assert.deepEqual(
    await read("1.png"),
    expected.map((value) => (value > 90 ? 1 : 0)),
  );
  assert.deepEqual(
    await read("p.png"),
    expected.map((value) => value % 7),
  );
});

test("what is no plain grey PNG is refused in words", async () => {
  await assert.rejects(decodePng(new Uint8Array(100).buffer), /not a PNG file/);
});
