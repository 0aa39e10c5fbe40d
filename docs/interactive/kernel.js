// One reverse step: the exact kernel, filled, and two Gaussians.

const LAWS = NUMBERS.laws.map((law) => ({ ...law, densities: unpacked(law.densities, 1) }));
const law = slider("data", LAWS, (one) => one.name, 2);
const time = slider("time t", NUMBERS.times, (t) => String(t), 6);
const gap = slider("gap g", NUMBERS.gaps, (g) => digits(g), 7);
const chart = new Chart(BOX, 300, 14);
legend([
  ["var(--exact)", "exact kernel q(x_s|x_t)"],
  ["var(--one)", "plug-in Gaussian, which samplers use"],
  ["var(--two)", "Gaussian of the right variance"],
]);
const words = paragraph();

function draw() {
  const chosen = LAWS[law()], index = time() * NUMBERS.gaps.length + gap(), state = chosen.states[index];
  const curve = (number) => {
    const first = (3 * index + number) * NUMBERS.nodes, step = (state.high - state.low) / (NUMBERS.nodes - 1);
    return Array.from({ length: NUMBERS.nodes }, (_, k) => [state.low + k * step, chosen.densities[first + k]]);
  };
  const told =
    `From t = ${NUMBERS.times[time()]} to s = ${digits(state.s)}. KL to the plug-in ${digits(state.kl)} nats, ` +
    `total variation ${digits(state.tv)}. The exact kernel has ${state.humps === 1 ? "one hump" : state.humps + " humps"}. ` +
    (state.b10 === null ? "" : `Bounds on KL: B10 ${digits(state.b10)}, `) +
    `${state.b10 === null ? "Bounds on KL: " : ""}B3 ${digits(state.b3)}, B2 ${digits(state.b2)}.`;
  chart.begin({ low: state.low, high: state.high, label: "x_s" }, { low: 0, high: 1.05 }, told);
  chart.area(curve(0), "var(--exact)");
  chart.line(curve(1), "var(--one)");
  chart.line(curve(2), "var(--two)", "6 4");
  words.textContent = told;
}
