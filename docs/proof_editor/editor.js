// Steps of the proofs on this page that can be changed and run. Python and sympy load when they are asked for, and from beside the page.

const NAMES = ["pyodide", "pyodide-module", "pyodide-wasm", "pyodide-library", "pyodide-lock", "sympy", "proofs"];

class Python {
  constructor(base, source) {
    Object.assign(this, { base, source, waiting: new Map(), next: 0 });
  }

  // loads the parts once; a worker that was stopped is made again of them
  async start() {
    this.parts ??= Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await part(this.base, name)])));
    this.worker = new Worker(addressOf(this.source));
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = () => this.stop("the browser runs no worker here");
    this.formulas = await this.ask({ task: "start", parts: this.parts });
  }

  hear({ id, ran, found, error }) {
    const { resolve, reject, told } = this.waiting.get(id);
    if (ran) return told(ran);
    this.waiting.delete(id);
    return error === undefined ? resolve(found) : reject(new Error(error));
  }

  ask(message, told) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, told });
      this.worker.postMessage({ ...message, id });
    });
  }

  stop(why = "stopped") {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new Error(why));
    this.waiting.clear();
    this.worker = undefined;
  }
}

const made = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

class Editor {
  constructor(numbers, box) {
    this.python = new Python(numbers.base, numbers.worker);
    this.box = box;
    this.steps = new Map(); // by number of the cell: its text area and what is said of it
    this.changed = {}; // formulas by the name of their file
    this.button = made("button", { type: "button", textContent: "Edit and run the proofs" });
    this.said = made("p", { className: "told" });
    this.said.setAttribute("role", "status");
    this.button.addEventListener("click", () => void this.press());
    box.append(
      made("p", {}, "Change a sign in a step, or in a formula, and see which step fails: sympy runs here, in your browser. It loads when you ask for it, about 13 MB, from this site alone (Pyodide, MPL 2.0; sympy, BSD)."),
      this.button,
      this.said,
    );
  }

  async press() {
    if (this.running) return this.python.stop();
    this.running = true;
    this.button.textContent = "Stop";
    try {
      this.inputs ??= [...document.querySelectorAll("div.cell_input")]; // below this script
      this.cells ??= this.inputs.map((input) => input.querySelector("pre").textContent);
      if (!this.python.worker) {
        this.say("Loading Python and sympy …");
        await this.python.start();
        if (!this.formulasBox) this.offerFormulas();
      }
      await this.run();
    } catch (error) {
      this.say(error.message === "stopped" ? "Stopped." : `Cannot run: ${error.message}.`);
    } finally {
      this.running = false;
      this.button.textContent = "Run all steps";
    }
  }

  async run() {
    const texts = [...this.steps].filter(([cell, { area }]) => area.value !== this.cells[cell]).map(([cell, { area }]) => [cell, area.value]);
    for (const { result } of this.steps.values()) Object.assign(result, { textContent: "…", className: "result" });
    const failed = [];
    let count = 0;
    this.say("Running …");
    await this.python.ask({ task: "run", cells: this.cells, texts, formulas: this.changed }, ({ cell, holds, words }) => {
      const step = this.step(cell);
      count += 1;
      if (!holds) failed.push(step);
      step.result.className = `result ${holds ? "held" : "failed"}`;
      step.result.textContent = `${holds ? "Holds: " : "Fails: "}${words}`;
      this.say(`Running: ${count} steps so far …`);
    });
    this.say(failed.length ? `${failed.length} of ${count} steps ${failed.length > 1 ? "fail" : "fails"}: ` : `All ${count} steps hold. Change one, then run again.`);
    failed.forEach((step, k) => this.said.append(k ? ", " : "", made("a", { href: `#${step.area.id}`, textContent: step.name })));
    if (failed.length) this.said.append(".");
  }

  say(text) {
    this.said.textContent = text;
  }

  // the text area of a step stands in the place of its code
  step(cell) {
    if (this.steps.has(cell)) return this.steps.get(cell);
    const input = this.inputs[cell], heading = this.headingOf(input);
    const number = [...this.steps.values()].filter((step) => step.heading === heading).length + 1;
    const name = `${heading}, cell ${number}`;
    const area = made("textarea", { id: `step-${cell}`, value: this.cells[cell].trimEnd(), spellcheck: false, className: "step" });
    this.cells[cell] = area.value;
    area.rows = area.value.split("\n").length + 1;
    area.setAttribute("aria-label", name);
    const result = made("output", { className: "result" }), undo = made("button", { type: "button", textContent: "As it was" }), run = made("button", { type: "button", textContent: "Run" });
    run.setAttribute("aria-label", `Run all steps, from ${name}`);
    undo.setAttribute("aria-label", `${name} as it was`);
    run.addEventListener("click", () => this.running || void this.press());
    undo.addEventListener("click", () => (area.value = this.cells[cell]));
    const bar = made("div", { className: "buttons" }, made("strong", { textContent: name }), run, undo);
    input.replaceChildren(made("div", { className: "interactive editing" }, bar, area, result));
    const step = { area, result, heading, name };
    this.steps.set(cell, step);
    return step;
  }

  headingOf(input) {
    const text = input.closest("section")?.querySelector("h2, h1")?.firstChild?.textContent ?? "page";
    return text.trim().split(" ")[0];
  }

  offerFormulas() {
    const select = made("select", {}, new Option("choose a file of singtheory/formula", ""), ...this.python.formulas.map((name) => new Option(name, name)));
    const area = made("textarea", { className: "step", rows: 14, spellcheck: false, hidden: true });
    const undo = made("button", { type: "button", textContent: "As it was", hidden: true }), first = {};
    area.setAttribute("aria-label", "Formulas of that module");
    undo.setAttribute("aria-label", "Formulas of that module as they were");
    select.addEventListener("change", async () => {
      const name = select.value;
      if (name) first[name] ??= await this.python.ask({ task: "read", name });
      area.hidden = undo.hidden = !name;
      area.value = this.changed[name] ?? first[name] ?? "";
    });
    area.addEventListener("input", () => (this.changed[select.value] = area.value));
    undo.addEventListener("click", () => (this.changed[select.value] = area.value = first[select.value]));
    this.formulasBox = made("details", {}, made("summary", { textContent: "The formulas that the steps use" }), made("label", {}, "File ", select), area, undo);
    this.box.append(this.formulasBox);
  }
}

new Editor(NUMBERS, BOX);
