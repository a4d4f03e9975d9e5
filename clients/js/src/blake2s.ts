// BLAKE2s (RFC 7693) with key and personalization, which Node's crypto has not: for salts' keys and units' marks.

const IV = Uint32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);
const SIGMA: readonly (readonly number[])[] = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const MIXES: readonly (readonly [number, number, number, number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];
const BLOCK = 64;

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

function compress(h: Uint32Array, block: Uint8Array, length: number, last: boolean): void {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK);
  const v = new Uint32Array(16);
  v.set(h);
  v.set(IV, 8);
  v[12]! ^= length; // texts are short: the high word of the counter stays 0
  if (last) v[14] = ~v[14]!;
  for (const s of SIGMA) {
    MIXES.forEach(([a, b, c, d], i) => {
      const x = view.getUint32(4 * s[2 * i]!, true);
      const y = view.getUint32(4 * s[2 * i + 1]!, true);
      v[a] = v[a]! + v[b]! + x;
      v[d] = rotate(v[d]! ^ v[a]!, 16);
      v[c] = v[c]! + v[d]!;
      v[b] = rotate(v[b]! ^ v[c]!, 12);
      v[a] = v[a]! + v[b]! + y;
      v[d] = rotate(v[d]! ^ v[a]!, 8);
      v[c] = v[c]! + v[d]!;
      v[b] = rotate(v[b]! ^ v[c]!, 7);
    });
  }
  for (let i = 0; i < 8; i++) h[i]! ^= v[i]! ^ v[i + 8]!;
}

/** The digest, `size` bytes. `person` has 8 bytes, `key` at most 32. */
export function blake2s(
  data: Uint8Array,
  {
    key = new Uint8Array(),
    person = new Uint8Array(8),
    size = 32,
  }: { key?: Uint8Array; person?: Uint8Array; size?: number } = {},
): Buffer {
  const h = Uint32Array.from(IV);
  h[0]! ^= 0x01010000 | (key.length << 8) | size;
  const named = new DataView(person.buffer, person.byteOffset, 8);
  h[6]! ^= named.getUint32(0, true);
  h[7]! ^= named.getUint32(4, true);
  const start = key.length ? BLOCK : 0;
  const length = start + data.length;
  const padded = new Uint8Array(Math.max(1, Math.ceil(length / BLOCK)) * BLOCK);
  padded.set(key);
  padded.set(data, start);
  for (let at = 0; at < padded.length; at += BLOCK) {
    const last = at + BLOCK === padded.length;
    compress(h, padded.subarray(at, at + BLOCK), last ? length : at + BLOCK, last);
  }
  const digest = Buffer.alloc(32);
  h.forEach((word, i) => digest.writeUInt32LE(word, 4 * i));
  return digest.subarray(0, size);
}
