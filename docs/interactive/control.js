// Sliders, a line of words, and a legend. Every change draws the figure again, and so does every change of width.

const controls = document.createElement("div");
controls.className = "controls";
BOX.append(controls);

// a slider over the entries of a list; `told` makes words of an entry; answers with the chosen index
function slider(label, entries, told, start) {
  const made = document.createElement("label"), shown = document.createElement("output"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: entries.length - 1, step: 1, value: start });
  input.setAttribute("aria-label", label);
  const say = () => {
    shown.textContent = told(entries[input.value]);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => {
    say();
    draw();
  });
  made.append(`${label}: `, shown, input);
  controls.append(made);
  say();
  return () => Number(input.value);
}

function paragraph() {
  const made = document.createElement("p");
  made.className = "told";
  made.setAttribute("aria-live", "polite");
  BOX.append(made);
  return made;
}

function legend(entries) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const [colour, words] of entries) {
    const item = document.createElement("li"), mark = document.createElement("i");
    mark.style.background = colour;
    item.append(mark, words);
    list.append(item);
  }
  BOX.append(list);
  return list;
}

// once the script that defines `draw` has run
queueMicrotask(() => {
  draw();
  new ResizeObserver(() => draw()).observe(BOX);
});
