// Python in a worker, so that the page stays awake and a run can be stopped: it is loaded once, and runs the cells of a page by steps.py.

let python;

// Python takes workers that are modules alone, and of a page that is a file there are none; this one loads modules, too
self.importScripts = () => {
  throw new Error("scripts are loaded as modules here");
};

const address = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));

const tasks = {
  async start({ parts }) {
    // all that Python asks for is here already
    const given = { "pyodide.asm.wasm": ["pyodide-wasm", "application/wasm"], "python_stdlib.zip": ["pyodide-library", "application/zip"] };
    self.fetch = async (url) => {
      const [name, type] = given[String(url).split("/").pop()] ?? [];
      if (!name) throw new Error(`${url}: nothing is fetched here`);
      return new Response(parts[name], { headers: { "Content-Type": type } });
    };
    const { loadPyodide } = await import(address(parts.pyodide));
    const createPyodideModule = (await import(address(parts["pyodide-module"]))).default;
    const lockFileContents = new TextDecoder().decode(parts["pyodide-lock"]);
    python = await loadPyodide({ indexURL: "file:///parts/", packageBaseUrl: "file:///parts/", lockFileContents, createPyodideModule, stdout: () => {}, stderr: () => {} });
    python.unpackArchive(parts.sympy, "zip", { extractDir: "/sympy" });
    python.unpackArchive(parts.proofs, "zip", { extractDir: "/proofs" });
    python.runPython("import sys; sys.path[:0] = ['/sympy', '/proofs']; from pathlib import Path; import steps; steps.install(Path('/proofs'))");
    return python.runPython("sorted(path.name for path in Path('/proofs/singtheory/formula').glob('*.py') if path.name != '__init__.py')").toJs();
  },
  read: ({ name }) => python.FS.readFile(`/proofs/singtheory/formula/${name}`, { encoding: "utf8" }),
  run({ id, cells, texts, formulas }) {
    for (const [name, text] of Object.entries(formulas)) python.FS.writeFile(`/proofs/singtheory/formula/${name}`, text);
    const told = (cell, holds, words) => postMessage({ id, ran: { cell, holds, words } });
    python.globals.set("told", told);
    python.globals.set("cells", python.toPy(cells));
    python.globals.set("texts", python.toPy(new Map(texts)));
    python.runPython("for ran in steps.run(cells, texts): told(*ran)");
  },
};

onmessage = async ({ data }) => {
  try {
    postMessage({ id: data.id, found: await tasks[data.task](data) });
  } catch (error) {
    postMessage({ id: data.id, error: String(error.message ?? error).trim().split("\n").pop() });
  }
};
