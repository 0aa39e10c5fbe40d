// Every rung over the gap, in units of the truth: 1 is the truth, above it upper bounds, below it lower ones.

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
  const rungs = Object.keys(NUMBERS.rungs).filter((rung) => NUMBERS.rungs[rung].quantity === name && curves[rung].some((v) => v !== null));
  return { truth: curves[name], rungs, curves, name };
}

// [low, high] of decades around positive values
function decades(values, least, most) {
  const positive = values.filter((v) => v !== null && v > 0);
  const low = Math.max(least, Math.min(...positive)), high = Math.min(most, Math.max(...positive));
  return { low: 10 ** Math.floor(Math.log10(low)), high: 10 ** Math.ceil(Math.log10(high)), log: true };
}

function draw() {
  const { truth, rungs, curves, name } = shown(), relative = scale() === 0, at = gap();
  const value = (rung, k) => (curves[rung][k] === null ? null : relative ? curves[rung][k] / truth[k] : curves[rung][k]);
  const points = (rung) => NUMBERS.gaps.map((g, k) => [g, value(rung, k)]);
  const all = [...rungs.flatMap((rung) => points(rung).map(([, v]) => v)), ...(relative ? [1] : truth)];
  const x = { low: NUMBERS.gaps[0], high: NUMBERS.gaps[NUMBERS.gaps.length - 1], log: true, label: "gap g" };
  const told =
    `At g = ${digits(NUMBERS.gaps[at])} ${QUANTITIES[name]} is ${digits(truth[at])}${name === "kl" ? " nats" : ""}. ` +
    rungs.map((rung) => `${NUMBERS.rungs[rung].statement} (${NUMBERS.rungs[rung].side}) ${digits(curves[rung][at])}`).join(", ") + ".";
  chart.begin(x, { ...decades(all, relative ? 0.1 : 1e-6, relative ? 100 : 1e4), label: "" }, told);
  chart.line(NUMBERS.gaps.map((g, k) => [g, relative ? 1 : truth[k]]), "var(--ink)");
  rungs.forEach((rung, k) => chart.line(points(rung), PALETTE[k], NUMBERS.rungs[rung].side === "upper" ? "" : "5 4"));
  chart.line([[NUMBERS.gaps[at], chart.y.low], [NUMBERS.gaps[at], chart.y.high]], "var(--middle)", "2 3");
  rungs.forEach((rung, k) => {
    const y = value(rung, at);
    if (y === null || y < chart.y.low || y > chart.y.high) return;
    const [cx, cy] = chart.at(NUMBERS.gaps[at], y);
    element("circle", { cx, cy, r: 4, style: `fill: ${PALETTE[k]}` }, chart.svg);
  });
  const next = legend([["var(--ink)", "the truth"], ...rungs.map((rung, k) => [PALETTE[k], `${NUMBERS.rungs[rung].statement} ${NUMBERS.rungs[rung].side}`])]);
  key.replaceWith(next);
  key = next;
  words.textContent = told;
}
