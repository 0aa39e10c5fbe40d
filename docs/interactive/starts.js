// Brightness of every sample from four starts beside the data's, and what the law C7 says of mean and spread.

const prompt = slider("prompt", NUMBERS.prompts, (one) => one.name, 4);
const guidance = slider("guidance w", NUMBERS.guidance, (w) => String(w), 0);
const kind = slider("statistics of mean and matched", ["closed form", "trained"], (name) => name, 0);
const COLOURS = { data: "var(--middle)", noise: "var(--one)", mean: "var(--six)", matched: "var(--three)", exact: "var(--five)" };
const HEIGHT = 70;
const chart = new Chart(BOX, HEIGHT * 5 + 56, 12);
legend([["var(--ink)", "bar: mean ± standard deviation; diamond and thin bar: C7, at w = 1"]]);
const words = paragraph();

// where a sample lies across its strip: the same every time, and evenly spread
const lift = (k) => ((k * 0.618034) % 1) * 26;

function row(name, number, told, predicted) {
  const top = chart.margin.top + number * HEIGHT, middle = top + 36, colour = COLOURS[name];
  chart.text(chart.margin.left, top + 12, `${name}: ${told.mean.toFixed(0)} ± ${told.std.toFixed(0)}`, "start");
  unpacked(told.levels, 255).forEach((level, k) => {
    element("circle", { cx: chart.at(level, 0)[0].toFixed(1), cy: (middle - 13 + lift(k)).toFixed(1), r: 2, style: `fill: ${colour}; opacity: var(--dots)` }, chart.svg);
  });
  const span = (one, y, width) => {
    const ends = [one.mean - one.std, one.mean + one.std].map((v) => chart.at(Math.min(255, Math.max(0, v)), 0)[0]);
    element("line", { x1: ends[0], x2: ends[1], y1: y, y2: y, style: `stroke: var(--ink); stroke-width: ${width}` }, chart.svg);
    return chart.at(one.mean, 0)[0];
  };
  const at = span(told, middle + 20, 4);
  element("circle", { cx: at, cy: middle + 20, r: 5, style: "fill: var(--ink)" }, chart.svg);
  if (predicted) {
    const x = span(predicted, middle + 30, 1);
    element("path", { d: `M${x - 6} ${middle + 30}l6 -6l6 6l-6 6Z`, style: "fill: none; stroke: var(--ink); stroke-width: 1.5" }, chart.svg);
  }
}

function draw() {
  const chosen = NUMBERS.prompts[prompt()], weight = NUMBERS.guidance[guidance()], cells = chosen.cells[guidance()];
  const of = (start) => cells[start][kind()];
  const told =
    `“${chosen.name}” at guidance ${weight}: the data's brightness is ${chosen.data.mean.toFixed(0)} ± ${chosen.data.std.toFixed(0)}; ` +
    NUMBERS.starts.map((start) => `from ${start} ${of(start).mean.toFixed(0)} ± ${of(start).std.toFixed(0)}`).join(", ") + ".";
  chart.begin({ low: 0, high: 255, label: "brightness, 0 black to 255 white" }, { low: 0, high: 1 }, told);
  row("data", 0, chosen.data, null);
  NUMBERS.starts.forEach((start, k) => row(start, k + 1, of(start), weight === 1 ? chosen.law[start] : null));
  words.textContent = told;
}
