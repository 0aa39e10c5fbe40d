// The normal numbers of torch.Generator("cpu").manual_seed(seed): Mersenne twister, 24 bits a uniform number, Box and Muller in blocks of 16.

class TorchNoise {
  // seed: a whole number of which torch, too, takes the lowest 32 bits
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = Number(BigInt(seed) & 0xffffffffn);
    for (let k = 1; k < 624; k++) {
      const last = this.state[k - 1] ^ (this.state[k - 1] >>> 30);
      this.state[k] = Math.imul(1812433253, last) + k;
    }
    this.next = 624;
  }

  twist() {
    const s = this.state;
    for (let k = 0; k < 624; k++) {
      const y = (s[k] & 0x80000000) | (s[(k + 1) % 624] & 0x7fffffff);
      s[k] = s[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }

  bits() {
    if (this.next === 624) this.twist();
    let y = this.state[this.next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  // as torch.randn(count) does it in float32; count is a multiple of 16
  normal(count) {
    if (count % 16) throw new Error(`${count} normal numbers: torch draws a multiple of 16 in this order`);
    const uniform = Float64Array.from({ length: count }, () => (this.bits() & 0xffffff) / 0x1000000);
    const found = new Float32Array(count);
    for (let block = 0; block < count; block += 16) {
      for (let k = block; k < block + 8; k++) {
        const radius = Math.sqrt(-2 * Math.log(1 - uniform[k])), angle = 2 * Math.PI * uniform[k + 8];
        found[k] = radius * Math.cos(angle);
        found[k + 8] = radius * Math.sin(angle);
      }
    }
    return found;
  }
}
