// The split of docs/split.md, on pairs of 32-bit words: BigInt would cost ten times as much.

import { blake2s } from "./blake2s.js";

export const BUCKETS = 10_000;
export const MAX_UNIT_BYTES = 1024;

/** A 64-bit number in two words. */
interface Words {
  hi: number;
  lo: number;
}

/** What of a salt every unit is split by: its first key, and its second one as the rounds take it. */
export interface Keys {
  readonly k1hi: number;
  readonly k1lo: number;
  readonly lane2: Readonly<Words>;
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (that of zlib) of a text's UTF-8 bytes. */
export function crc32(text: string): number {
  let crc = ~0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return crcOf(Buffer.from(text));
    crc = CRC[(crc ^ code) & 255]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function crcOf(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The upper word of a product of two words. */
function upper(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = ah * bl + ((al * bl) / 65536 >>> 0); // below 2^33
  const other = al * bh + (middle & 0xffff);
  return ah * bh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

function words(value: bigint): Words {
  return { hi: Number((value >> 32n) & 0xffffffffn), lo: Number(value & 0xffffffffn) };
}

const P1 = words(11400714785074694791n);
const P2 = words(14029467366897019727n);
const P5 = words(2870177450012600261n);
const CLOSING = words(2n ^ 2870177450012600261n ^ 3527539n);

/** The product's lower 64 bits, in `out`. */
function times(hi: number, lo: number, by: Words, out: Words): void {
  out.hi = (upper(lo, by.lo) + Math.imul(lo, by.hi) + Math.imul(hi, by.lo)) >>> 0;
  out.lo = Math.imul(lo, by.lo) >>> 0;
}

const scratch: Words = { hi: 0, lo: 0 };

function round(acc: Words, lane: Readonly<Words>): void {
  const lo = acc.lo + lane.lo;
  const hi = (acc.hi + lane.hi + (lo > 0xffffffff ? 1 : 0)) >>> 0;
  const low = lo >>> 0;
  times(((hi << 31) | (low >>> 1)) >>> 0, ((low << 31) | (hi >>> 1)) >>> 0, P1, acc);
}

/** The two keys of a salt: compute them once per route. */
export function keys(salt: string): Keys {
  const digest = blake2s(Buffer.from(salt));
  const k1 = words((digest.readBigUInt64BE(0) >> 4n) | 1n);
  const k2 = words(digest.readBigUInt64BE(8) >> 4n);
  const lane2: Words = { hi: 0, lo: 0 };
  times(k2.hi, k2.lo, P2, lane2);
  return { k1hi: k1.hi, k1lo: k1.lo, lane2 };
}

const result: Words = { hi: 0, lo: 0 };

/** The unit's 64-bit number, in a pair that the next call overwrites. */
export function number({ k1hi, k1lo, lane2 }: Keys, unit: string): Readonly<Words> {
  const x = crc32(unit);
  // x k1 in three words
  const p0 = Math.imul(x, k1lo) >>> 0;
  const middle = upper(x, k1lo) + (Math.imul(x, k1hi) >>> 0);
  const p1 = middle >>> 0;
  const p2 = upper(x, k1hi) + (middle > 0xffffffff ? 1 : 0);
  // modulo 2^61 - 1: what is above 61 bits is added to what is below
  let lo = p0 + (((p2 << 3) | (p1 >>> 29)) >>> 0);
  let hi = (p1 & 0x1fffffff) + (lo > 0xffffffff ? 1 : 0);
  lo >>>= 0;
  if (hi >= 0x20000000) {
    hi -= 0x20000000;
    lo += 1;
    if (lo > 0xffffffff) {
      lo = 0;
      hi += 1;
    }
  } else if (hi === 0x1fffffff && lo === 0xffffffff) {
    hi = lo = 0;
  }
  times(hi, lo, P2, scratch);
  result.hi = P5.hi;
  result.lo = P5.lo;
  round(result, scratch);
  round(result, lane2);
  const low = result.lo + CLOSING.lo;
  hi = (result.hi + CLOSING.hi + (low > 0xffffffff ? 1 : 0)) >>> 0;
  lo = low >>> 0;
  if (hi === 0xffffffff && lo === 0xffffffff) {
    hi = 0;
    lo = 1546275796;
  }
  result.hi = (hi ^ 0x80000000) >>> 0;
  result.lo = lo;
  return result;
}

/** The bucket is below so many exactly when the number's upper word is below this. */
export function below(buckets: number): number {
  return Math.ceil((buckets * 2 ** 32) / BUCKETS);
}

/** The unit's bucket, 0 to 9999. */
export function bucket(salt: string, unit: string): number {
  return Math.floor((number(keys(salt), unit).hi * BUCKETS) / 2 ** 32); // exact: below 2^46
}

/** The unit's group, "0" to "15". */
export function group(salt: Keys | string, unit: string): string {
  return String(number(typeof salt === "string" ? keys(salt) : salt, unit).lo >>> 28);
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
