// One core's share of the laboratory: it holds the networks, and runs one where it is asked to.

const sessions = {};

const tasks = {
  start({ wasm, module }) {
    ort.env.wasm.numThreads = 1; // threads need a server that isolates the page
    ort.env.wasm.wasmBinary = wasm.buffer;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([module], { type: "text/javascript" })) };
  },
  async load({ name, model }) {
    sessions[name] = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  },
  async run({ name, x, timestep, states }) {
    const feeds = {
      x: new ort.Tensor("float32", x, [1, 3, 32, 32]),
      t: new ort.Tensor("float32", Float32Array.of(timestep), [1]),
      c: new ort.Tensor("float32", states, [1, states.length / 192, 192]),
    };
    return (await sessions[name].run(feeds)).out.data;
  },
};

// one after the other
let before = Promise.resolve();
onmessage = ({ data }) => {
  before = before.then(async () => {
    try {
      postMessage({ id: data.id, found: await tasks[data.task](data) });
    } catch (error) {
      postMessage({ id: data.id, error: String(error) });
    }
  });
};
