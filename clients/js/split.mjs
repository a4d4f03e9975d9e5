// The split of docs/split.md in plain JavaScript: no dependencies, any runtime with TextEncoder.
// BLAKE2s-256 after RFC 7693, unkeyed.

export const BUCKETS = 10000;
export const GROUPS = 8;

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
  v[12] ^= length; // units are at most 1,024 bytes: the high word of the counter stays 0
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

/** The 32 bytes that bucket and group are read from. */
export function digest(salt, unit) {
  const data = new TextEncoder().encode(`${salt}\0${unit}`);
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

/** The unit's bucket, 0 to 9999. */
export function bucket(salt, unit) {
  const d = digest(salt, unit);
  const number = new DataView(d.buffer).getUint32(0, false);
  return Math.floor((number * BUCKETS) / 2 ** 32); // exact: below 2^46
}

/** The unit's group, "0" to "7". */
export function group(salt, unit) {
  return String(digest(salt, unit)[4] % GROUPS);
}

/** "stable", "canary" or "holdback" for a unit under a route item. */
export function track(route, unit) {
  const b = bucket(route.salt, unit);
  if (route.phase === "canary" && b < route.weight) return "canary";
  if (route.phase === "watch" && b >= BUCKETS - route.holdback) return "holdback";
  return "stable";
}
