// The split of docs/split.md, on signed 32-bit words: BigInt would cost ten times as much.

import { blake2s } from "./blake2s.js";

export const BUCKETS = 10_000;
export const MAX_UNIT_BYTES = 1024;

/** What of a salt every unit is split by: its first key, and its second one as the rounds take it, in words. */
export interface Keys {
  readonly k1hi: number;
  readonly k1lo: number;
  readonly lane2hi: number;
  readonly lane2lo: number;
}

const CRC = Int32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (that of zlib) of a text's UTF-8 bytes, as a signed word. */
export function crc32(text: string): number {
  let crc = ~0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return crcOf(Buffer.from(text));
    crc = CRC[(crc ^ code) & 255]! ^ (crc >>> 8);
  }
  return ~crc;
}

function crcOf(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc;
}

/** The upper word of a product of two words, without a sign. */
function upper(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const one = Math.imul(ah, bl);
  const other = Math.imul(al, bh);
  const middle = (Math.imul(al, bl) >>> 16) + (one & 0xffff) + (other & 0xffff);
  return (Math.imul(ah, bh) + (one >>> 16) + (other >>> 16) + (middle >>> 16)) | 0;
}

/** Whether a sum of two words, cut to one, was larger than a word. */
function carried(sum: number, term: number): number {
  return sum >>> 0 < term >>> 0 ? 1 : 0;
}

const word = (value: bigint, at: bigint): number => Number(BigInt.asIntN(32, value >> at));
const P1 = 11400714785074694791n;
const P2 = 14029467366897019727n;
const P5 = 2870177450012600261n;
const CLOSING = 2n ^ P5 ^ 3527539n;
const [P1_HI, P1_LO] = [word(P1, 32n), word(P1, 0n)];
const [P2_HI, P2_LO] = [word(P2, 32n), word(P2, 0n)];
const [P5_HI, P5_LO] = [word(P5, 32n), word(P5, 0n)];
const [CLOSING_HI, CLOSING_LO] = [word(CLOSING, 32n), word(CLOSING, 0n)];

/** The two keys of a salt: compute them once per route. */
export function keys(salt: string): Keys {
  const digest = blake2s(Buffer.from(salt));
  const k1 = (digest.readBigUInt64BE(0) >> 4n) | 1n;
  const lane2 = BigInt.asUintN(64, (digest.readBigUInt64BE(8) >> 4n) * P2);
  return { k1hi: word(k1, 32n), k1lo: word(k1, 0n), lane2hi: word(lane2, 32n), lane2lo: word(lane2, 0n) };
}

let lower = 0;

/** The upper word of the unit's 64-bit number; the lower one is in `lower` until the next call. */
export function upperOf({ k1hi, k1lo, lane2hi, lane2lo }: Keys, unit: string): number {
  const x = crc32(unit);
  // x k1 in three words
  const p0 = Math.imul(x, k1lo);
  const low = Math.imul(x, k1hi);
  const p1 = (upper(x, k1lo) + low) | 0;
  const p2 = (upper(x, k1hi) + carried(p1, low)) | 0;
  // modulo 2^61 - 1: what is above 61 bits is added to what is below
  const above = (p2 << 3) | (p1 >>> 29);
  let lo = (p0 + above) | 0;
  let hi = (p1 & 0x1fffffff) + carried(lo, above);
  if (hi >= 0x20000000) {
    hi -= 0x20000000;
    lo = (lo + 1) | 0;
    if (lo === 0) hi += 1;
  } else if (hi === 0x1fffffff && lo === -1) {
    hi = lo = 0;
  }
  // two rounds: the first over this, the second over the other key
  let acc = Math.imul(lo, P2_LO);
  let top = (upper(lo, P2_LO) + Math.imul(lo, P2_HI) + Math.imul(hi, P2_LO)) | 0;
  for (let lane = 0; lane < 2; lane++) {
    const addLo = lane ? lane2lo : P5_LO;
    acc = (acc + addLo) | 0;
    top = (top + (lane ? lane2hi : P5_HI) + carried(acc, addLo)) | 0;
    const rotated = (acc << 31) | (top >>> 1);
    top = (top << 31) | (acc >>> 1);
    acc = Math.imul(rotated, P1_LO);
    top = (upper(rotated, P1_LO) + Math.imul(rotated, P1_HI) + Math.imul(top, P1_LO)) | 0;
  }
  acc = (acc + CLOSING_LO) | 0;
  top = (top + CLOSING_HI + carried(acc, CLOSING_LO)) | 0;
  if (top === -1 && acc === -1) {
    top = 0;
    acc = 1546275796;
  }
  lower = acc;
  return (top ^ 0x80000000) >>> 0;
}

/** The unit's 64-bit number under a salt. */
export function number(salt: string, unit: string): bigint {
  const top = upperOf(keys(salt), unit);
  return (BigInt(top) << 32n) | BigInt(lower >>> 0);
}

/** The bucket is below so many exactly when the number's upper word is below this. */
export function below(buckets: number): number {
  return Math.ceil((buckets * 2 ** 32) / BUCKETS);
}

/** The unit's bucket, 0 to 9999. */
export function bucket(salt: string, unit: string): number {
  return Math.floor((upperOf(keys(salt), unit) * BUCKETS) / 2 ** 32); // exact: below 2^46
}

/** The unit's group, "0" to "15". */
export function group(salt: Keys | string, unit: string): string {
  upperOf(typeof salt === "string" ? keys(salt) : salt, unit);
  return String(lower >>> 28);
}

/** The half of the groups that a group is in, "0" or "1". */
export function half(of: string): string {
  return Number(of) >= 8 ? "1" : "0";
}

/** "stable", "canary" or "holdback" for a unit under a route item. */
export function track(
  route: { salt: string; phase: string; weight: number; holdback: number },
  unit: string,
): "stable" | "canary" | "holdback" {
  const at = bucket(route.salt, unit);
  if (route.phase === "canary" && at < route.weight) return "canary";
  if (route.phase === "watch" && at >= BUCKETS - route.holdback) return "holdback";
  return "stable";
}
