// Elements, colours and small figures.
const kExpertColours = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#d8b02f", "#4fa8a2", "#ee7f9d", "#9c755f",
                        "#86a83c"];

function expertColour(expert, count) {
  if (count <= kExpertColours.length) return kExpertColours[expert];
  return `oklch(${expert % 2 ? 0.72 : 0.6} 0.13 ${((expert * 137.5) % 360).toFixed(1)})`;
}
// Of pairs: the down vector's.
function siteColour(site, level, expert) {
  if (site.shape === "pairs") return expertColour(Math.floor(expert / site.pairs[1]), site.pairs[0]);
  return expertColour(expert, site.gates[level].experts);
}
const percent = (share) => `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`;
// 0 … 1, and -1 … 1.
const ramp = (x) => `color-mix(in oklab, var(--high) ${percent(x)}, var(--low))`;
const diverging = (x) => `color-mix(in oklab, var(${x < 0 ? "--negative" : "--high"}) ${percent(Math.abs(x))}, var(--low))`;

const show = (value, digits = 2) =>
    value === null || value === undefined ? "–" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");
const asPercent = (value) => (100 * value).toFixed(value < 0.1 ? 1 : 0) + " %";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children || []) if (child) node.append(child);
  return node;
}
const el = (tag, attributes, children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const figure = (width, height, children, label) =>
    svg("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label}, children);
const label = (x, y, text, attributes) => svg("text", {x, y, text, ...attributes});

// Attributes that show `content()` beside the pointer.
const tipNode = document.getElementById("tip");
function withTip(content) {
  const move = (event) => {
    const box = tipNode.getBoundingClientRect(), gap = 14;
    const x = event.clientX + gap + box.width > innerWidth ? event.clientX - gap - box.width : event.clientX + gap;
    const y = event.clientY + gap + box.height > innerHeight ? event.clientY - gap - box.height : event.clientY + gap;
    tipNode.style.left = Math.max(4, x) + "px";
    tipNode.style.top = Math.max(4, y) + "px";
  };
  return {
    onmouseenter: (event) => {
      tipNode.replaceChildren(...content());
      tipNode.hidden = false;
      move(event);
    },
    onmousemove: move,
    onmouseleave: () => { tipNode.hidden = true; }
  };
}
const tipLines = (head, ...lines) =>
    [el("div", {class: "head", text: head}), ...lines.map((text) => el("div", {class: "soft", text}))];

// Rows of {name, value, colour, text}; bars as long as value / most.
function barChart(rows, most) {
  const parts = [];
  for (const row of rows) {
    const width = percent(most > 0 ? Math.abs(row.value) / most : 0);
    parts.push(el("span", {text: row.name}),
               el("div", {class: "track"}, [el("div", {class: "fill", style: `width:${width};background:${row.colour}`})]),
               el("span", {class: "number", text: row.text}));
  }
  return el("div", {class: "bars"}, parts);
}

// values[y][x] as squares, with their numbers where there is room. options: colour(v), strength(v) (0 … 1, of the
// colour), rowName(y), columnName(x), title(y, x, v), rowTitle, columnTitle, size.
function heatMap(values, options) {
  const size = options.size, left = 58, top = 38, rows = values.length, columns = values[0].length, parts = [];
  parts.push(label(left, 12, options.columnTitle, {class: "soft"}));
  parts.push(label(12, top + (rows * size) / 2, options.rowTitle,
                   {class: "soft", "text-anchor": "middle", transform: `rotate(-90 12 ${top + (rows * size) / 2})`}));
  const every = Math.max(1, Math.ceil(22 / size));
  for (let x = 0; x < columns; x += every)
    parts.push(label(left + (x + 0.5) * size, top - 7, options.columnName(x), {class: "soft", "text-anchor": "middle"}));
  for (let y = 0; y < rows; y += Math.max(1, Math.ceil(13 / size)))
    parts.push(label(left - 7, top + (y + 0.5) * size + 4, options.rowName(y), {class: "soft", "text-anchor": "end"}));
  values.forEach((row, y) => row.forEach((value, x) => parts.push(svg("rect", {
    x: left + x * size, y: top + y * size, width: size - 1, height: size - 1, rx: Math.min(3, size / 6),
    style: `fill:${options.colour(value)}`, ...withTip(() => tipLines(...options.title(y, x, value)))
  }))));
  if (size >= 30)
    values.forEach((row, y) => row.forEach((value, x) => parts.push(label(
        left + (x + 0.5) * size, top + (y + 0.5) * size + 3.5, show(value),
        {"text-anchor": "middle", "pointer-events": "none",
         style: `font-size:10px;fill:var(${options.strength(value) > 0.6 ? "--card" : "--ink"})`}))));
  return figure(left + columns * size + 4, top + rows * size + 4, parts, options.label);
}

const scale = (low, high, background) => el("span", {class: "scale"}, [
  el("span", {text: low}), el("i", {style: `background:linear-gradient(to right, ${background})`}), el("span", {text: high})
]);
