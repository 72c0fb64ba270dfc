/** SHA-256 (FIPS 180-4) for workflows, which have no `node:crypto`. Pure. */

/** The first 32 bits of the fractional part of a root of each of the first primes. */
function fractions(count: number, root: (prime: number) => number): Uint32Array {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate += 1) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return Uint32Array.from(primes, (prime) => Math.floor((root(prime) % 1) * 2 ** 32));
}

const initial = fractions(8, Math.sqrt);
const constants = fractions(64, Math.cbrt);

const at = (words: Uint32Array, index: number): number => words[index] ?? 0;
const rotated = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits));

/** SHA-256 of the UTF-8 of the text, in hex. */
export function sha256Hex(text: string): string {
  const state = initial.slice();
  const message = padded(new TextEncoder().encode(text));
  for (let start = 0; start < message.byteLength; start += 64) compress(state, message, start);
  return Array.from(state, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** The bytes, a one bit, zeros, and the number of bits in the last eight bytes of a block. */
function padded(bytes: Uint8Array): DataView {
  const blocks = Math.ceil((bytes.length + 9) / 64);
  const whole = new Uint8Array(blocks * 64);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const view = new DataView(whole.buffer);
  view.setUint32(whole.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(whole.length - 4, (bytes.length * 8) >>> 0);
  return view;
}

function schedule(message: DataView, start: number): Uint32Array {
  const words = new Uint32Array(64);
  for (let index = 0; index < 16; index += 1) words[index] = message.getUint32(start + index * 4);
  for (let index = 16; index < 64; index += 1) {
    const [late, early] = [at(words, index - 2), at(words, index - 15)];
    const one = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    const zero = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    words[index] = at(words, index - 16) + zero + at(words, index - 7) + one;
  }
  return words;
}

function compress(state: Uint32Array, message: DataView, start: number): void {
  const words = schedule(message, start);
  const v = state.slice();
  for (let index = 0; index < 64; index += 1) {
    const [a, b, c, d, e, f, g, h] = [...v] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const one = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const choice = (e & f) ^ (~e & g);
    const first = h + one + choice + at(constants, index) + at(words, index);
    const zero = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const most = (a & b) ^ (a & c) ^ (b & c);
    v.set([first + zero + most, a, b, c, d + first, e, f, g]);
  }
  v.forEach((word, index) => (state[index] = at(state, index) + word));
}
