/**
 * PNG files of one channel, written and read without a canvas, so that every class number arrives exactly.
 * PNG specification (third edition): https://www.w3.org/TR/png-3/
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

/**
 * @param {Uint8Array} pixels row by row
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>} 8-bit grey PNG
 */
export async function encodePng(pixels, width, height) {
  const raw = new Uint8Array((width + 1) * height); // filter byte 0 before each row
  for (let y = 0; y < height; y++) raw.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits a sample; then grey, deflate, adaptive filters, not interlaced: all 0
  const data = await pipe(raw, new CompressionStream("deflate"));
  return new Blob(
    [Uint8Array.from(SIGNATURE), chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array())],
    {
      type: "image/png",
    },
  );
}

/**
 * @param {ArrayBuffer} buffer a grey or indexed PNG, not interlaced, of 1 to 16 bits
 * @returns {Promise<{width: number, height: number, data: Uint8Array}>} values (of 16 bits the lower byte; of a palette the index)
 */
export async function decodePng(buffer) {
  const bytes = new Uint8Array(buffer);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("The server's picture is not a PNG file.");
  const view = new DataView(buffer);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const [bits, colour, , , interlaced] = bytes.subarray(24, 29);
  if ((colour !== 0 && colour !== 3) || interlaced) throw new Error("The server's PNG is not a plain grey one.");
  const parts = [];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "IDAT")
      parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const raw = await pipe(new Blob(parts), new DecompressionStream("deflate"));
  return {
    width,
    height,
    data: unpack(unfilter(raw, Math.ceil((width * bits) / 8), height, Math.max(1, bits / 8)), width, height, bits),
  };
}

/**
 * @param {Uint8Array} raw filter byte and row, row after row
 * @param {number} stride bytes a row
 * @param {number} height
 * @param {number} unit bytes a pixel
 * @returns {Uint8Array} rows
 */
function unfilter(raw, stride, height, unit) {
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    if (filter === 0) {
      rows.set(raw.subarray(from, from + stride), to);
      continue;
    }
    for (let i = 0; i < stride; i++) {
      const left = i >= unit ? rows[to + i - unit] : 0;
      const up = y ? rows[to + i - stride] : 0;
      const corner = y && i >= unit ? rows[to + i - stride - unit] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) guess = paeth(left, up, corner);
      rows[to + i] = raw[from + i] + guess;
    }
  }
  return rows;
}

/**
 * @param {number} left
 * @param {number} up
 * @param {number} corner
 */
function paeth(left, up, corner) {
  const base = left + up - corner;
  const a = Math.abs(base - left);
  const b = Math.abs(base - up);
  const c = Math.abs(base - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/**
 * @param {Uint8Array} rows
 * @param {number} width
 * @param {number} height
 * @param {number} bits a pixel
 */
function unpack(rows, width, height, bits) {
  if (bits === 8) return rows;
  const data = new Uint8Array(width * height);
  const stride = Math.ceil((width * bits) / 8);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (bits === 16) {
        data[y * width + x] = rows[y * stride + 2 * x + 1];
      } else {
        const byte = rows[y * stride + ((x * bits) >> 3)];
        data[y * width + x] = (byte >> (8 - bits - ((x * bits) & 7))) & ((1 << bits) - 1);
      }
    }
  }
  return data;
}

/**
 * @param {string} name
 * @param {Uint8Array} data
 */
function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (let i = 4; i < data.length + 8; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  view.setUint32(data.length + 8, ~crc >>> 0);
  return bytes;
}

/**
 * @param {Uint8Array | Blob} data
 * @param {CompressionStream | DecompressionStream} transform
 */
async function pipe(data, transform) {
  const stream = new Blob([/** @type {BlobPart} */ (data)]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
