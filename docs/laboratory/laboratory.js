// The package's models at work: pictures from three starts of the same noise, and their brightness beside the data's and the law's.

const START_WORDS = { noise: "noise, as everyone samples", mean: "the mean", matched: "mean and spread matched" };
const COLOURS = { data: "var(--middle)", noise: "var(--one)", mean: "var(--six)", matched: "var(--three)" };
const PICTURES = [1, 2, 4, 8, 16];
const HEIGHT = 56;
const pool = new Pool(NUMBERS.base, NUMBERS.worker);
let drawn = {}, busy = false;

function field(label, control) {
  const made = document.createElement("div"), name = document.createElement("label");
  control.id = name.htmlFor = `laboratory-${label.toLowerCase().replaceAll(" ", "-")}`;
  name.textContent = label;
  made.append(name, control);
  controls.append(made);
  return control;
}

// a choice from a list; answers with its index
function choice(label, entries, chosen, changed = forget) {
  const made = field(label, document.createElement("select"));
  const fill = (words, index) => {
    made.replaceChildren(...words.map((word, k) => new Option(word, k)));
    made.value = index;
  };
  fill(entries, chosen);
  made.addEventListener("change", changed);
  return Object.assign(() => Number(made.value), { fill });
}

const names = Object.keys(NUMBERS.models);
const model = choice("Model", ["diffusion (predicts the noise)", "flow (predicts the velocity)"], 0, () => {
  const told = NUMBERS.models[names[model()]];
  scheduler.fill(told.samplers, 0);
  steps.fill(NUMBERS.steps, told.steps);
  forget();
});
const first = NUMBERS.models[names[0]];
const prompt = choice("Prompt", NUMBERS.prompts.map((one) => one.name), 0);
const scheduler = choice("Sampler", first.samplers, 0);
const steps = choice("Steps", NUMBERS.steps, first.steps);
const guidance = choice("Guidance", NUMBERS.guidance, first.guidance);
const count = choice("Pictures a start", PICTURES, 0);
const seed = field("Seed of the first", Object.assign(document.createElement("input"), { type: "number", min: 0, max: 4294967295, step: 1, value: 0, required: true }));
seed.addEventListener("input", forget);
const chosen = starts();
const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Draw" });
controls.append(button);
button.addEventListener("click", () => void begin());
const words = paragraph();
const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0, hidden: true });
bar.setAttribute("aria-label", "How much is drawn");
BOX.append(bar);
const strips = document.createElement("div");
strips.className = "strips";
BOX.append(strips);
const chart = new Chart(BOX, HEIGHT * 4 + 56, 12);
legend([["var(--ink)", "dot: a picture, or the data's mean; bar: mean ± standard deviation; diamond and thin bar: the cosine law, without guidance"]]);
say("Nothing is loaded yet. The first drawing loads the model, about 22 MB, from this site alone.");

function starts() {
  const box = document.createElement("fieldset"), title = document.createElement("legend");
  title.textContent = "Starts, from the same noise";
  box.append(title);
  const boxes = NUMBERS.starts.map((start) => {
    const made = document.createElement("label"), input = Object.assign(document.createElement("input"), { type: "checkbox", checked: start !== "mean" });
    input.addEventListener("change", forget);
    made.append(input, ` ${START_WORDS[start]}`);
    box.append(made);
    return [start, input];
  });
  controls.append(box);
  return () => boxes.filter(([, input]) => input.checked).map(([start]) => start);
}

function say(text) {
  words.textContent = text;
}

// a choice has changed: what was drawn belongs to another
function forget() {
  drawn = {};
  strips.replaceChildren();
  draw();
}

const lists = (text) => Float32Array.from({ length: text.length / 4 }, (_, k) => new DataView(text.buffer).getFloat32(4 * k, true));
const floats = (text) => lists(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
const opened = (one) => ({ states: floats(one.states), mean: floats(one.mean), std: one.std });

function requests(told) {
  const number = Math.floor(Number(seed.value)), weight = NUMBERS.guidance[guidance()];
  const shared = { weight, cond: opened(told.prompts[prompt()]), uncond: opened(told.none), basis: told.basis.map(floats) };
  const plans = told.plans[scheduler()][steps()];
  const made = [];
  for (let k = 0; k < PICTURES[count()]; k++) {
    for (const start of chosen()) made.push({ ...shared, start, seed: number + k, plan: plans[start === "noise" ? "noise" : "mended"] });
  }
  return made;
}

async function begin() {
  if (busy) return;
  if (!seed.reportValidity()) return say("The seed is a whole number from 0 to 4294967295.");
  if (!chosen().length) return say("Choose a start.");
  busy = true;
  for (const one of controls.querySelectorAll("select, input, button")) one.disabled = true;
  bar.hidden = false;
  bar.removeAttribute("value");
  try {
    forget();
    await run();
  } catch (error) {
    say(`Cannot draw: ${error.message}.`);
  } finally {
    busy = false;
    for (const one of controls.querySelectorAll("select, input, button")) one.disabled = false;
    bar.hidden = true;
    button.focus({ preventScroll: true });
  }
}

async function run() {
  const begun = performance.now(), name = names[model()];
  say(`Loading ${NUMBERS.runtime} and the model …`);
  const asked = requests(await pool.model(name)), done = asked.map(() => 0);
  for (const start of chosen()) strip(start);
  let first = 0;
  say("Drawing …");
  const network = (x, timestep, states) => pool.run(name, x, timestep, states);
  let taken = 0;
  const others = async () => {
    while (taken < asked.length) {
      const k = taken++;
      const drawing = picture(asked[k], network, (step, all) => {
        done[k] = step / all;
        bar.value = done.reduce((sum, share) => sum + share, 0) / done.length;
      });
      keep(asked[k], await drawing);
      first ||= performance.now() - begun;
    }
  };
  // without guidance a picture keeps one core busy, with it two
  const many = NUMBERS.guidance[guidance()] > 1 ? 1 : pool.workers.length;
  await Promise.all(Array.from({ length: many }, others));
  const seconds = (time) => `${(time / 1000).toFixed(1)} s`;
  say(`${told()} The first picture took ${seconds(first)}, all ${asked.length} ${seconds(performance.now() - begun)}.`);
}

function strip(start) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption"), row = document.createElement("div");
  figure.dataset.start = start;
  caption.textContent = `From ${START_WORDS[start]}`;
  figure.append(caption, row);
  strips.append(figure);
}

function keep({ start, seed }, pixels) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), 32, 32), 0, 0);
  const level = pixels.reduce((sum, value, k) => (k % 4 < 3 ? sum + value : sum), 0) / 3072;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${NUMBERS.prompts[prompt()].name}, from ${start}, seed ${seed}, brightness ${level.toFixed(0)}`);
  canvas.dataset.seed = seed;
  strips.querySelector(`figure[data-start="${start}"] div`).append(canvas);
  (drawn[start] ??= []).push(level);
  draw();
}

const law = () => NUMBERS.models[names[model()]].law[scheduler()][steps()];

function spread(levels) {
  const mean = levels.reduce((sum, level) => sum + level, 0) / levels.length;
  return { mean, std: Math.sqrt(levels.reduce((sum, level) => sum + (level - mean) ** 2, 0) / levels.length) };
}

const brief = ({ mean, std }, many = true) => (many ? `${mean.toFixed(0)} ± ${std.toFixed(0)}` : mean.toFixed(0));

function told() {
  const parts = Object.entries(drawn).map(([start, levels]) => `from ${start} ${brief(spread(levels), levels.length > 1)}`);
  return `Brightness: the data's is ${brief(NUMBERS.prompts[prompt()])}; ${parts.join(", ")}.`;
}

function row(name, number, levels, predicted) {
  const middle = chart.margin.top + number * HEIGHT + 32, found = levels.length ? spread(levels) : null;
  const label = name === "data" ? `data: ${brief(NUMBERS.prompts[prompt()])}` : `${name}: ${found ? brief(found, levels.length > 1) : "–"}; law ${brief(predicted)}`;
  chart.text(chart.margin.left, middle - 14, label, "start");
  const place = (level) => chart.at(Math.min(255, Math.max(0, level)), 0)[0];
  const span = (one, y, width) => element("line", { x1: place(one.mean - one.std), x2: place(one.mean + one.std), y1: y, y2: y, style: `stroke: var(--ink); stroke-width: ${width}` }, chart.svg);
  for (const level of levels) element("circle", { cx: place(level), cy: middle, r: 5, style: `fill: ${COLOURS[name]}; opacity: .8` }, chart.svg);
  if (found && levels.length > 1) span(found, middle, 3);
  if (!predicted) {
    const one = NUMBERS.prompts[prompt()];
    span(one, middle, 3);
    element("circle", { cx: place(one.mean), cy: middle, r: 5, style: `fill: ${COLOURS.data}` }, chart.svg);
    return;
  }
  const x = place(predicted.mean), y = middle + 11;
  span(predicted, y, 1);
  element("path", { d: `M${x - 6} ${y}l6 -6l6 6l-6 6Z`, style: "fill: none; stroke: var(--ink); stroke-width: 1.5" }, chart.svg);
}

function draw() {
  chart.begin({ low: 0, high: 255, label: "brightness, 0 black to 255 white" }, { low: 0, high: 1 }, `Brightness of the pictures. ${told()}`);
  row("data", 0, [], null);
  NUMBERS.starts.forEach((start, k) => {
    const [mean, std] = law()[k][prompt()];
    row(start, k + 1, drawn[start] ?? [], { mean, std });
  });
}
