// Every bound over the gap, in units of the truth: 1 is the truth, above it upper bounds, below it lower ones.

const QUANTITIES = { kl: "KL(P‖Q)", tv: "TV(P, Q)" };
const law = slider("data", NUMBERS.laws, (one) => one.name, 2);
const gap = slider("gap g", NUMBERS.gaps, (g) => digits(g), 16);
const quantity = slider("quantity", Object.keys(QUANTITIES), (name) => QUANTITIES[name], 0);
const scale = slider("shown as", ["bound over truth", "the values"], (name) => name, 0);
const PALETTE = ["var(--one)", "var(--five)", "var(--three)", "var(--four)", "var(--six)", "var(--middle)", "var(--exact)"];
const chart = new Chart(BOX, 340, 46);
let key = legend([]);
const words = paragraph();

function shown() {
  const name = Object.keys(QUANTITIES)[quantity()], curves = NUMBERS.laws[law()].curves;
  const bounds = Object.keys(NUMBERS.bounds).filter((bound) => NUMBERS.bounds[bound].quantity === name && curves[bound].some((v) => v !== null));
  return { truth: curves[name], bounds, curves, name };
}

// [low, high] of decades around positive values
function decades(values, least, most) {
  const positive = values.filter((v) => v !== null && v > 0);
  const low = Math.max(least, Math.min(...positive)), high = Math.min(most, Math.max(...positive));
  return { low: 10 ** Math.floor(Math.log10(low)), high: 10 ** Math.ceil(Math.log10(high)), log: true };
}

function draw() {
  const { truth, bounds, curves, name } = shown(), relative = scale() === 0, at = gap();
  const value = (bound, k) => (curves[bound][k] === null ? null : relative ? curves[bound][k] / truth[k] : curves[bound][k]);
  const points = (bound) => NUMBERS.gaps.map((g, k) => [g, value(bound, k)]);
  const all = [...bounds.flatMap((bound) => points(bound).map(([, v]) => v)), ...(relative ? [1] : truth)];
  const x = { low: NUMBERS.gaps[0], high: NUMBERS.gaps[NUMBERS.gaps.length - 1], log: true, label: "gap g" };
  const told =
    `At g = ${digits(NUMBERS.gaps[at])} ${QUANTITIES[name]} is ${digits(truth[at])}${name === "kl" ? " nats" : ""}. ` +
    bounds.map((bound) => `${NUMBERS.bounds[bound].statement} (${NUMBERS.bounds[bound].side}) ${digits(curves[bound][at])}`).join(", ") + ".";
  chart.begin(x, { ...decades(all, relative ? 0.1 : 1e-6, relative ? 100 : 1e4), label: "" }, told);
  chart.line(NUMBERS.gaps.map((g, k) => [g, relative ? 1 : truth[k]]), "var(--ink)");
  bounds.forEach((bound, k) => chart.line(points(bound), PALETTE[k], NUMBERS.bounds[bound].side === "upper" ? "" : "5 4"));
  chart.line([[NUMBERS.gaps[at], chart.y.low], [NUMBERS.gaps[at], chart.y.high]], "var(--middle)", "2 3");
  bounds.forEach((bound, k) => {
    const y = value(bound, at);
    if (y === null || y < chart.y.low || y > chart.y.high) return;
    const [cx, cy] = chart.at(NUMBERS.gaps[at], y);
    element("circle", { cx, cy, r: 4, style: `fill: ${PALETTE[k]}` }, chart.svg);
  });
  const next = legend([["var(--ink)", "the truth"], ...bounds.map((bound, k) => [PALETTE[k], `${NUMBERS.bounds[bound].statement} ${NUMBERS.bounds[bound].side}`])]);
  key.replaceWith(next);
  key = next;
  words.textContent = told;
}
