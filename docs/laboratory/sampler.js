// A picture from a plan (plan.py), a prompt and a seed; `network(x, timestep, states)` gives the network's output.

const SIZE = 3 * 32 * 32;

// Σ_j factors[j] vectors[j], in double precision
function combined(factors, vectors) {
  const sum = new Float64Array(SIZE);
  vectors.forEach((vector, j) => {
    const factor = factors[j];
    if (factor) for (let k = 0; k < SIZE; k++) sum[k] += factor * vector[k];
  });
  return sum;
}

// the average image guided by the normalised rule c − (1 − 1/w) u
const guided = (cond, uncond, weight) => combined(weight > 1 ? [1, 1 / weight - 1] : [1], [cond.mean, uncond.mean]);

// the start from noise; or α ȳ + σ n, with √(α² s² + σ²) in the place of σ along directions of deviation s where it is matched
function started(plan, start, noise, cond, uncond, basis, weight) {
  const x = combined([plan.noise, plan.mean], [noise, guided(cond, uncond, weight)]);
  if (start !== "matched") return x;
  basis.forEach((direction, j) => {
    const along = direction.reduce((sum, value, k) => sum + value * noise[k], 0);
    const wider = (Math.hypot(plan.mean * cond.std[j], plan.noise) - plan.noise) * along;
    for (let k = 0; k < SIZE; k++) x[k] += wider * direction[k];
  });
  return x;
}

// the pixels, 32 × 32 in RGBA; `told` hears of each step
async function picture({ plan, start, seed, weight, cond, uncond, basis }, network, told) {
  const steps = plan.timesteps.length, source = new TorchNoise(seed), noise = source.normal(SIZE);
  const noises = Array.from({ length: plan.rows[0].length - 1 - steps }, () => source.normal(SIZE));
  let x = started(plan, start, noise, cond, uncond, basis, weight);
  const vectors = [x, ...Array.from({ length: steps }, () => new Float64Array(SIZE)), ...noises];
  for (let k = 0; k < steps; k++) {
    const seen = Float32Array.from(x, (value) => value * plan.scales[k]), t = plan.timesteps[k];
    const halves = weight > 1 ? [cond, uncond] : [cond];
    const outputs = await Promise.all(halves.map(({ states }) => network(seen, t, states)));
    vectors[k + 1] = weight > 1 ? combined([weight, 1 - weight], outputs) : outputs[0];
    x = combined(plan.rows[k], vectors);
    told(k + 1, steps);
  }
  return pixels(x);
}

function pixels(x) {
  const found = new Uint8ClampedArray(4 * 32 * 32).fill(255);
  for (let k = 0; k < SIZE; k++) found[4 * (k % 1024) + Math.floor(k / 1024)] = Math.round(255 * Math.min(1, Math.max(0, x[k] / 2 + 0.5)));
  return found;
}
