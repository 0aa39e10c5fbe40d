// A chart in SVG, drawn at the width that the page has, so that its words keep their size on a phone.

function element(name, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

// base64 of 16-bit integers, least byte first, as numbers from 0 to `scale`
function unpacked(text, scale) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, k) => (view.getUint16(2 * k, true) * scale) / 65535);
}

// three digits, as 0.00123, 12.3, 1,230
function digits(value) {
  if (value === null) return "∞";
  if (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-4)) return value.toExponential(1).replace(/e\+?/, "·10^");
  return String(Number(value.toPrecision(3)));
}

class Chart {
  // x and y: {low, high, log, label}; `left` is what the numbers of the y axis need
  constructor(box, height, left) {
    this.box = box;
    this.height = height;
    this.margin = { left, right: 12, top: 10, bottom: 42 };
    this.svg = element("svg", { role: "img", height }, box);
  }

  begin(x, y, words) {
    this.x = x;
    this.y = y;
    this.width = this.box.clientWidth;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("aria-label", words);
    this.svg.replaceChildren();
    const { left, right, top, bottom } = this.margin;
    for (const value of this.ticks(x)) {
      const at = this.at(value, y.low)[0];
      element("line", { class: "grid", x1: at, x2: at, y1: top, y2: this.height - bottom }, this.svg);
      this.text(at, this.height - bottom + 17, this.tick(value, x), "middle");
    }
    for (const value of y.label === undefined ? [] : this.ticks(y)) {
      const at = this.at(x.low, value)[1];
      element("line", { class: "grid", x1: left, x2: this.width - right, y1: at, y2: at }, this.svg);
      this.text(left - 6, at + 4, this.tick(value, y), "end");
    }
    const floor = this.height - bottom;
    element("line", { class: "axis", x1: left, x2: this.width - right, y1: floor, y2: floor }, this.svg);
    this.text((left + this.width - right) / 2, this.height - 6, x.label, "middle");
  }

  place(axis, value, low, high) {
    const map = axis.log ? Math.log10 : (v) => v;
    return low + ((map(value) - map(axis.low)) / (map(axis.high) - map(axis.low))) * (high - low);
  }

  at(x, y) {
    const { left, right, top, bottom } = this.margin;
    return [this.place(this.x, x, left, this.width - right), this.place(this.y, y, this.height - bottom, top)];
  }

  ticks(axis) {
    if (axis.log) {
      const first = Math.ceil(Math.log10(axis.low) - 1e-9), last = Math.floor(Math.log10(axis.high) + 1e-9);
      return Array.from({ length: last - first + 1 }, (_, k) => 10 ** (first + k));
    }
    const rough = (axis.high - axis.low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const first = Math.ceil(axis.low / step);
    return Array.from({ length: Math.floor(axis.high / step) - first + 1 }, (_, k) => (first + k) * step);
  }

  tick(value, axis) {
    return axis.log && (value < 0.01 || value > 100) ? `10^${Math.round(Math.log10(value))}` : digits(Number(value.toPrecision(6)));
  }

  text(x, y, words, anchor) {
    const made = element("text", { x, y, "text-anchor": anchor }, this.svg);
    const [base, power] = String(words).split("^");
    made.textContent = base;
    if (power !== undefined) element("tspan", { dy: -5, "font-size": 10 }, made).textContent = power;
    return made;
  }

  // points [[x, y], …]; nulls and what lies outside of the chart break the line
  line(points, colour, dash = "") {
    let path = "", down = false;
    for (const [x, y] of points) {
      const inside = y !== null && y >= this.y.low && y <= this.y.high;
      if (inside) path += `${down ? "L" : "M"}${this.at(x, y).map((v) => v.toFixed(1)).join(" ")}`;
      down = inside;
    }
    return element("path", { class: "line", d: path, style: `stroke: ${colour}`, "stroke-dasharray": dash }, this.svg);
  }

  area(points, colour) {
    const floor = this.at(points[0][0], this.y.low)[1];
    const top = points.map(([x, y]) => this.at(x, y).map((v) => v.toFixed(1)).join(" "));
    const [first, last] = [points[0], points[points.length - 1]].map(([x]) => this.at(x, this.y.low)[0].toFixed(1));
    const d = `M${first} ${floor}L${top.join("L")}L${last} ${floor}Z`;
    return element("path", { d, style: `fill: ${colour}; opacity: .55` }, this.svg);
  }
}
