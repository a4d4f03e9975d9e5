// The split of docs/split.md in plain JavaScript: no dependencies, any runtime with TextEncoder and BigInt.
// The keys of a salt are read from its BLAKE2s-256 (RFC 7693, unkeyed): compute them once per route.

export const BUCKETS = 10000;

const IV = Uint32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);
const SIGMA = [
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

const rotate = (x, by) => (x >>> by) | (x << (32 - by));

function compress(h, block, length, last) {
  const view = new DataView(block.buffer, block.byteOffset, 64);
  const m = new Uint32Array(16);
  for (let i = 0; i < 16; i++) m[i] = view.getUint32(4 * i, true);
  const v = new Uint32Array(16);
  v.set(h);
  v.set(IV, 8);
  v[12] ^= length; // salts are short: the high word of the counter stays 0
  if (last) v[14] = ~v[14];
  const mix = (a, b, c, d, x, y) => {
    v[a] = v[a] + v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
  };
  for (const s of SIGMA) {
    mix(0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}

/** BLAKE2s-256 of a text's UTF-8 bytes. */
export function blake2s(text) {
  const data = new TextEncoder().encode(text);
  const h = Uint32Array.from(IV);
  h[0] ^= 0x01010020; // 32 bytes of digest, no key, sequential
  const blocks = Math.max(1, Math.ceil(data.length / 64));
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(64);
    block.set(data.subarray(64 * i, 64 * i + 64));
    compress(h, block, Math.min(64 * (i + 1), data.length), i === blocks - 1);
  }
  const out = new DataView(new ArrayBuffer(32));
  h.forEach((word, i) => out.setUint32(4 * i, word, true));
  return new Uint8Array(out.buffer);
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (that of zlib) of a text's UTF-8 bytes. */
export function crc32(text) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(text)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The two keys of a salt, as BigInt. */
export function keys(salt) {
  const view = new DataView(blake2s(salt).buffer);
  return [(view.getBigUint64(0) >> 4n) | 1n, view.getBigUint64(8) >> 4n];
}

const P1 = 11400714785074694791n;
const P2 = 14029467366897019727n;
const P5 = 2870177450012600261n;
const ALL = (1n << 64n) - 1n;

/** The unit's 64-bit number under the keys of a salt, as BigInt. */
export function number([k1, k2], unit) {
  let acc = P5;
  for (const lane of [(BigInt(crc32(unit)) * k1) % ((1n << 61n) - 1n), k2]) {
    acc = (acc + lane * P2) & ALL;
    acc = ((((acc << 31n) | (acc >> 33n)) & ALL) * P1) & ALL;
  }
  acc = (acc + (2n ^ P5 ^ 3527539n)) & ALL;
  if (acc === ALL) acc = 1546275796n;
  return acc ^ (1n << 63n);
}

/** The unit's bucket, 0 to 9999. */
export function bucket(salt, unit) {
  const high = Number(number(keys(salt), unit) >> 32n);
  return Math.floor((high * BUCKETS) / 2 ** 32); // exact: below 2^46
}

/** The unit's group, "0" to "15". */
export function group(salt, unit) {
  return String((number(keys(salt), unit) >> 28n) & 15n);
}

/** "stable", "canary" or "holdback" for a unit under a route item. */
export function track(route, unit) {
  const b = bucket(route.salt, unit);
  if (route.phase === "canary" && b < route.weight) return "canary";
  if (route.phase === "watch" && b >= BUCKETS - route.holdback) return "holdback";
  return "stable";
}
