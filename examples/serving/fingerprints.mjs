// FarmHash Fingerprint64 of many strings, in Node and in browsers: what `model.fingerprints.onnx` takes in place of strings.
//
//     session.run({ "town/fingerprint": new ort.Tensor("int64", fingerprints(["Köln", ""]), [2, 1]) });
//
// A number of 64 bits is a pair of 32 bits each: several times as fast as BigInt.

const pair = (high, low) => ({ high: high | 0, low: low | 0 });
const [K0, K1, K2] = [pair(0xc3a5c85c, 0x97cb3127), pair(0xb492b66f, 0xbe98f273), pair(0x9ae16a3b, 0x2f90404f)];
const ZERO = pair(0, 0);

/** The fingerprint of the UTF-8 bytes of each of an array of strings, as a BigInt64Array. */
export function fingerprints(strings) {
  const odd = strings.findIndex((text) => typeof text !== "string");
  if (odd >= 0) throw new TypeError(`strings[${odd}] is to be a string, not ${strings[odd]}`);
  const longest = strings.reduce((most, text) => Math.max(most, text.length), 0);
  const bytes = new Uint8Array(3 * longest);
  const [data, encoder] = [new DataView(bytes.buffer), new TextEncoder()];
  const answers = new DataView(new ArrayBuffer(8 * strings.length));
  strings.forEach((text, row) => {
    const { high, low } = fingerprint(data, encoder.encodeInto(text, bytes).written);
    answers.setUint32(8 * row, low, true);
    answers.setUint32(8 * row + 4, high, true);
  });
  return new BigInt64Array(answers.buffer);
}

function plus(a, b, c = ZERO) {
  const low = (a.low >>> 0) + (b.low >>> 0) + (c.low >>> 0);
  return pair(a.high + b.high + c.high + Math.floor(low / 2 ** 32), low);
}

function times(a, b) {
  const [a0, a1, b0, b1] = [a.low & 0xffff, a.low >>> 16, b.low & 0xffff, b.low >>> 16];
  const carry = a1 * b1 + Math.floor((a1 * b0 + a0 * b1 + ((a0 * b0) >>> 16)) / 2 ** 16);
  return pair(carry + Math.imul(a.low, b.high) + Math.imul(a.high, b.low), Math.imul(a.low, b.low));
}

function right({ high, low }, bits) {
  if (bits > 31) [high, low, bits] = [low, high, bits - 32];
  return pair((high >>> bits) | (low << (32 - bits)), (low >>> bits) | (high << (32 - bits)));
}

const xor = (a, b) => pair(a.high ^ b.high, a.low ^ b.low);
const shift = (x) => pair(x.high, x.low ^ (x.high >>> 15)); // x ^ (x >> 47)
const mix = (u, v, by) => times(shift(times(xor(v, shift(times(xor(u, v), by))), by)), by);

function blend(a, b, c, d, e, by) {
  const y = plus(right(plus(a, b), 43), right(c, 30), d);
  return [y, mix(y, plus(a, right(plus(b, e), 18), c), by)];
}

function fingerprint(data, n) {
  const word = (at) => pair(data.getInt32(at + 4, true), data.getInt32(at, true));
  const by = plus(K2, pair(0, 2 * n));
  if (n === 0) return K2;
  if (n < 4) {
    const y = times(K2, pair(0, data.getUint8(0) + (data.getUint8(n >> 1) << 8)));
    return times(shift(xor(y, times(K0, pair(0, n + (data.getUint8(n - 1) << 2))))), K2);
  }
  if (n < 8) {
    const [first, last] = [data.getUint32(0, true), data.getUint32(n - 4, true)];
    return mix(pair(first >>> 29, n + (first << 3)), pair(0, last), by);
  }
  if (n <= 16) {
    const [a, b] = [plus(word(0), K2), word(n - 8)];
    return mix(plus(times(right(b, 37), by), a), times(plus(right(a, 25), b), by), by);
  }
  if (n > 64) return fingerprintOfMany(word, n);
  const a = times(word(0), n <= 32 ? K1 : K2);
  const [y, z] = blend(a, word(8), times(word(n - 8), by), times(word(n - 16), K2), K2, by);
  if (n <= 32) return z;
  const [g, h] = [times(plus(y, word(n - 32)), by), times(plus(z, word(n - 24)), by)];
  return blend(times(word(16), by), word(24), g, h, a, by)[1];
}

function fingerprintOfMany(word, n) {
  const seed = pair(0, 81);
  const y0 = plus(times(seed, K1), pair(0, 113));
  const z0 = times(shift(plus(times(y0, K2), pair(0, 113))), K2);
  let state = [plus(word(0), times(seed, K2)), y0, z0, ZERO, ZERO, ZERO, ZERO];
  for (let at = 0; at + 64 < n; at += 64) state = absorb(word, at, state, pair(0, 1), K1);
  let [x, y, z, v0, v1, w0, w1] = state;
  const by = plus(K1, pair(0, (z.low & 0xff) << 1));
  w0 = plus(w0, pair(0, (n - 1) & 63));
  v0 = plus(v0, w0);
  [x, y, z, v0, v1, w0, w1] = absorb(word, n - 64, [x, y, z, v0, v1, plus(w0, v0), w1], pair(0, 9), by);
  return mix(plus(mix(v0, w0, by), times(shift(y), K0), z), plus(mix(v1, w1, by), x), by);
}

function absorb(word, at, [x, y, z, v0, v1, w0, w1], nine, by) {
  x = xor(times(right(plus(plus(x, y), v0, word(at + 8)), 37), by), times(w1, nine));
  y = plus(times(right(plus(y, v1, word(at + 48)), 42), by), times(v0, nine), word(at + 40));
  z = times(right(plus(z, w0), 33), by);
  const v = absorbHalf(word, at, times(v1, by), plus(x, w0));
  return [z, y, x, ...v, ...absorbHalf(word, at + 32, plus(z, w1), plus(y, word(at + 16)))];
}

function absorbHalf(word, at, a, b) {
  const [c, last] = [plus(a, word(at)), word(at + 24)];
  const sum = plus(c, word(at + 8), word(at + 16));
  return [plus(sum, last), plus(right(plus(b, c, last), 21), right(sum, 44), c)];
}
