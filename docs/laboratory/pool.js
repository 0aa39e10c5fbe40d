// Workers, one a core and at most two. Each holds the network itself, so that both halves of guidance, or two pictures, are computed at a time.

class Pool {
  constructor(base, source) {
    this.base = base;
    this.source = source;
    this.workers = [];
    this.waiting = new Map();
    this.models = {};
    this.next = 0;
  }

  // runtime and workers, which are made once
  ready() {
    this.begun ??= this.begin().catch((error) => {
      this.begun = undefined; // another try loads again
      throw error;
    });
    return this.begun;
  }

  async begin() {
    const [ort, module, wasm] = await Promise.all(["ort", "ort-module", "ort-wasm"].map((name) => part(this.base, name)));
    const address = addressOf(ort, "\n", this.source);
    const count = Math.max(1, Math.min(2, navigator.hardwareConcurrency ?? 1));
    this.workers = Array.from({ length: count }, () => this.worker(address));
    await this.all({ task: "start", wasm, module });
  }

  worker(address) {
    const made = Object.assign(new Worker(address), { asked: 0 });
    made.onmessage = ({ data }) => {
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      made.asked -= 1;
      if (data.error === undefined) resolve(data.found);
      else reject(new Error(data.error));
    };
    made.onerror = () => {
      for (const { reject } of this.waiting.values()) reject(new Error("the browser runs no worker here"));
      this.waiting.clear();
    };
    return made;
  }

  ask(worker, message) {
    const id = this.next++;
    worker.asked += 1;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ ...message, id });
    });
  }

  all(message) {
    return Promise.all(this.workers.map((worker) => this.ask(worker, message)));
  }

  // the numbers of a model, once every worker has its network
  model(name) {
    this.models[name] ??= this.load(name).catch((error) => {
      delete this.models[name];
      throw error;
    });
    return this.models[name];
  }

  async load(name) {
    const [model, text] = await Promise.all([part(this.base, name), part(this.base, `${name}-numbers`), this.ready()]);
    await this.all({ task: "load", name, model });
    return JSON.parse(new TextDecoder().decode(text));
  }

  // the network's output, by the worker that has least to do
  run(name, x, timestep, states) {
    const free = this.workers.reduce((least, worker) => (worker.asked < least.asked ? worker : least));
    return this.ask(free, { task: "run", name, x, timestep, states });
  }
}
