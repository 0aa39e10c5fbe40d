// Above: the angles of the steps along one eigenvalue, and pictures drawn with these steps. Below: what is kept along every eigenvalue.

const steps = slider("steps", NUMBERS.steps, (n) => String(n), 2);
const shift = slider("timestep shift", NUMBERS.shifts, (s) => String(s), 0);
const eta = slider("η, fresh noise", NUMBERS.etas, (e) => String(e), 0);
const lambda = slider("eigenvalue λ", NUMBERS.eigenvalues, (l) => digits(l), 30);
const RADIUS = 180, ABOVE = RADIUS + 44;
const chart = new Chart(BOX, ABOVE + 290, 44);
chart.margin.top = ABOVE + 20;
legend([
  ["var(--one)", "first step"],
  ["var(--exact)", "the other steps"],
  ["var(--five)", "whole sampler"],
  ["var(--middle)", "dotted: the chosen λ; dashed: brightness of these pictures"],
]);
const words = paragraph();

function sector(from, to, colour, strong) {
  const x = chart.margin.left, y = ABOVE - 14, turn = Math.PI / 2;
  const place = (share) => `${(x + RADIUS * Math.cos(share * turn)).toFixed(1)} ${(y - RADIUS * Math.sin(share * turn)).toFixed(1)}`;
  const d = `M${x} ${y}L${place(from)}A${RADIUS} ${RADIUS} 0 0 0 ${place(to)}Z`;
  element("path", { d, style: `fill: ${colour}; opacity: ${strong ? 0.8 : 0.4}; stroke: var(--ink); stroke-width: .7` }, chart.svg);
}

function quarter(theta) {
  theta.slice(1).forEach((to, k) => sector(theta[k], to, k === 0 ? "var(--one)" : "var(--exact)", k % 2 === 0));
  chart.text(chart.margin.left + RADIUS, ABOVE + 2, "noise", "end");
  chart.text(chart.margin.left, ABOVE - RADIUS - 20, "data", "middle");
}

function strip(addresses) {
  const left = chart.margin.left + RADIUS + 22, across = chart.width - left - chart.margin.right;
  const columns = across > 300 ? 4 : 2, rows = addresses.length / columns;
  const size = Math.min((across - 4 * (columns - 1)) / columns, (RADIUS - 4 * (rows - 1)) / rows);
  addresses.forEach((href, k) => {
    const x = left + (k % columns) * (size + 4), y = ABOVE - 14 - RADIUS + Math.floor(k / columns) * (size + 4);
    element("image", { href, x, y, width: size, height: size, style: "image-rendering: pixelated" }, chart.svg);
  });
}

function draw() {
  const grid = steps() * NUMBERS.shifts.length + shift(), state = NUMBERS.states[grid * NUMBERS.etas.length + eta()];
  const count = NUMBERS.steps[steps()] + 1, chosen = lambda(), value = NUMBERS.eigenvalues[chosen];
  const theta = unpacked(NUMBERS.grids[grid].theta, 1).slice(chosen * count, (chosen + 1) * count);
  const curve = (packed) => unpacked(packed, NUMBERS.scale).map((share, k) => [NUMBERS.eigenvalues[k], share]);
  const kept = curve(state.kept), first = curve(state.first), percent = (share) => `${Math.round(100 * share)} %`;
  const told =
    `${count - 1} steps, shift ${NUMBERS.shifts[shift()]}, η = ${NUMBERS.etas[eta()]}: along λ = ${digits(value)} of Gaussian data ` +
    `${percent(kept[chosen][1])} of the standard deviation arrives, and the first step alone keeps ${percent(first[chosen][1])}. ` +
    `Of the brightness spread of these pictures ${percent(state.drawn)} was drawn (${NUMBERS.samples} samples).`;
  chart.begin({ low: 0.01, high: 10000, log: true, label: "eigenvalue λ" }, { low: 0, high: 1.1, label: "kept" }, told);
  quarter(theta);
  chart.text(chart.margin.left, ABOVE + 14, "kept", "middle");
  strip(state.pictures);
  chart.line([[value, 0], [value, 1.1]], "var(--middle)", "2 3");
  chart.line([[NUMBERS.brightness, 0], [NUMBERS.brightness, 1.1]], "var(--middle)", "7 5");
  chart.line(first, "var(--one)");
  chart.line(kept, "var(--five)");
  element("circle", { cx: chart.at(value, 0)[0], cy: chart.at(value, kept[chosen][1])[1], r: 5, style: "fill: var(--five)" }, chart.svg);
  words.textContent = told;
}
