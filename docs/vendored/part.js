// Parts of a page that are loaded when they are needed: scripts beside the page, each of which holds bytes.

// the bytes of a part; `base` is the folder of the parts
async function part(base, name) {
  if (globalThis.PARTS?.[name] === undefined) await loaded(`${base}${name}.js`);
  const packed = globalThis.PARTS[name];
  delete globalThis.PARTS[name];
  const letters = atob(packed), bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) bytes[k] = letters.charCodeAt(k);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

function loaded(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => {
      script.remove();
      resolve();
    };
    script.onerror = () => reject(new Error("this build of the site was made without npm and lacks what runs here; make docs where npm can be reached adds it"));
    document.head.append(script);
  });
}

// text of a part as an address from which it can be loaded as a module or a worker
const addressOf = (...texts) => URL.createObjectURL(new Blob(texts, { type: "text/javascript" }));
