"use strict";
// Filter, search and sort the list of claims; without scripts all of it is shown.
const tools = document.getElementById("tools"), list = document.getElementById("list"), body = list.tBodies[0];
const rows = [...body.rows], count = tools.querySelector("output");
const words = rows.map((row) => (row.textContent + document.getElementById(row.dataset.claim).textContent).toLowerCase());
tools.hidden = false;

function filter() {
  const asked = tools.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, k) => {
    const fits =
      asked.every((word) => words[k].includes(word)) &&
      (!tools.elements.verdict.value || row.dataset.verdict === tools.elements.verdict.value) &&
      (!tools.elements.method.value || row.dataset.methods.split(" ").includes(tools.elements.method.value));
    row.hidden = !fits;
    document.getElementById(row.dataset.claim).hidden = !fits;
    shown += fits;
  });
  count.textContent = `${shown} of ${rows.length} claims`;
  document.documentElement.dataset.theme = tools.elements.theme.value;
}

// a number as it was computed, not as it is shown; else the words, in which A2 comes before A10
function value(row, column) {
  const cell = row.cells[column], number = parseFloat(cell.dataset.value ?? cell.textContent);
  return cell.className === "n" ? (Number.isNaN(number) ? Infinity : number) : cell.textContent;
}

[...list.tHead.rows[0].cells].forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of list.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    rows.slice().sort((a, b) => (up ? 1 : -1) * order(value(a, column), value(b, column))).forEach((row) => body.append(row));
  });
});

tools.addEventListener("input", filter);
tools.addEventListener("submit", (event) => event.preventDefault());
// an empty theme is the system's
filter();
