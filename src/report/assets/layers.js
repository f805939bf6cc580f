// Across layers: one column per layer, panels below each other.
const kLayersLeft = 150, kLayersWidth = 1300;

function layerPanels(state, choose) {
  const {projection, level} = state, layers = layersOf(projection), sites = layers.map((l) => siteAt(l, projection));
  const step = Math.min(90, (kLayersWidth - kLayersLeft - 10) / layers.length), parts = [];
  const x = (i) => kLayersLeft + i * step;
  let y = 22;
  const gates = sites.map((site) => site.gates[Math.min(level, site.gates.length - 1)]);
  const experts = Math.max(...gates.map((gate) => gate.experts));
  const every = Math.max(1, Math.ceil(26 / step));
  layers.forEach((layer, i) => {
    if (i % every === 0) parts.push(label(x(i) + step / 2, 12, layer, {class: "soft", "text-anchor": "middle"}));
  });
  parts.push(label(kLayersLeft - 10, 12, "layer", {class: "soft", "text-anchor": "end"}));

  const byWeight = gates.every((gate) => gate.share.every((s) => s === 0 || s === 1));
  const partsOf = gates.map((gate) => {
    const values = (byWeight ? gate.weight : gate.share).map(Math.abs), total = Math.max(1e-9, sum(values));
    return values.map((v) => v / total);
  });
  const most = Math.max(1e-9, ...partsOf.flat());
  const cell = Math.max(5, Math.min(22, 220 / experts));
  const name = byWeight ? "part of all weight" : "part of all choices";
  const nameEvery = Math.max(1, Math.ceil(12 / cell));
  for (let e = 0; e < experts; e += nameEvery)
    parts.push(label(kLayersLeft - 10, y + (e + 0.5) * cell + 4,
                     (sites[0].shape === "pairs" ? "pair " : "expert ") + expertName(sites[0], e),
                     {class: "soft", "text-anchor": "end"}));
  gates.forEach((gate, i) => partsOf[i].forEach((part, e) => parts.push(svg("rect", {
    class: "cell", x: x(i), y: y + e * cell, width: Math.max(1, step - 1), height: cell - 1, rx: 2,
    style: `fill:${gate.dead.includes(e) ? "var(--card)" : ramp(part / most)};` +
           (gate.dead.includes(e) ? "stroke:var(--negative);stroke-dasharray:3 2" : ""),
    onclick: () => choose({layer: layers[i]}),
    ...withTip(() => tipLines(`layer ${layers[i]}, ${projection}, ${expertName(sites[i], e)}`, `${name}: ${asPercent(part)}`,
                              `mean weight ${show(gate.weight[e], 3)}`, gate.dead.includes(e) ? "dead: no token chose it" : ""))
  }))));
  const mapTop = y;
  y += experts * cell + 22;

  const lines = [{name: "entropy of the router", colour: "var(--before)", values: gates.map((g) => g.entropy)},
                 {name: "entropy of the gates", colour: "var(--after)", values: gates.map((g) => g.entropy_after)}];
  y = linePanel(parts, y, lines, layers, x, step, 0, 1, "entropy / ln E");
  const more = [];
  if (gates.some((g) => g.agreement !== undefined))
    more.push({name: "sub-routers agree", colour: "var(--third)", values: gates.map((g) => g.agreement)});
  if (gates[0].main && gates[0].main.length > 1)
    gates[0].main.forEach((_, n) => more.push({
      name: `weight of sub-router ${n}`, colour: expertColour(n, gates[0].main.length), values: gates.map((g) => g.main[n])
    }));
  if (sites.some((s) => s.omega !== undefined))
    more.push({name: "ω, token against clusters", colour: "var(--third)", values: sites.map((s) => s.omega)});
  if (sites.some((s) => s.gamma !== undefined))
    more.push({name: "γ, output gate", colour: "var(--after)", values: sites.map((s) => s.gamma)});
  if (more.length) y = linePanel(parts, y, more, layers, x, step, 0, 1, gates[0].main ? "mixture" : "learned gates");
  const alike = gates.map((g) => g.similarity);
  if (alike.some((v) => v !== null)) {
    const reach = Math.max(0.1, ...alike.map((v) => Math.abs(v || 0)));
    y = linePanel(parts, y, [{name: "mean cosine of updates", colour: "var(--accent)", values: alike}], layers, x, step,
                  Math.min(0, -reach * Math.sign(-Math.min(0, ...alike))), reach, "similarity");
  }
  const at = layers.indexOf(state.site.layer);
  parts.push(svg("rect", {class: "cursor", x: x(at) - 1, y: mapTop - 2, width: step + 1, height: y - mapTop - 18, rx: 3}));
  return {
    svg: figure(kLayersWidth, y, parts, "routing across layers"),
    legend: el("div", {class: "legend"}, [
      scale("0", asPercent(most), "var(--low), var(--high)"), el("span", {text: name}),
      gates.some((g) => g.dead.length) ? el("span", {}, [
        el("i", {style: "border:1px dashed var(--negative)"}), el("span", {text: "dead: no token chose it"})
      ]) : null
    ])
  };
}

// Lines over the layers between low and high; returns where the next panel starts.
function linePanel(parts, top, lines, layers, x, step, low, high, title) {
  const height = 84, y = (v) => top + height - (height * (v - low)) / (high - low);
  const right = x(layers.length);
  for (const v of [low, (low + high) / 2, high]) {
    parts.push(svg("line", {class: "axis", x1: kLayersLeft, x2: right, y1: y(v), y2: y(v)}));
    parts.push(label(kLayersLeft - 10, y(v) + 4, show(v), {class: "soft", "text-anchor": "end"}));
  }
  parts.push(label(4, top + height / 2 + 4, title, {class: "soft"}));
  let nameX = kLayersLeft;
  for (const line of lines) {
    const points = line.values.map((v, i) => (v === null || v === undefined ? null : [x(i) + step / 2, y(v)]));
    const known = points.filter(Boolean);
    parts.push(svg("polyline", {
      points: known.map((p) => p.join(",")).join(" "), style: `fill:none;stroke:${line.colour};stroke-width:2`
    }));
    points.forEach((p, i) => {
      if (p) parts.push(svg("circle", {
        cx: p[0], cy: p[1], r: 3, style: `fill:${line.colour}`,
        ...withTip(() => tipLines(`layer ${layers[i]}`, `${line.name}: ${show(line.values[i], 3)}`))
      }));
    });
    parts.push(svg("rect", {x: nameX, y: top + height + 9, width: 14, height: 4, rx: 2, style: `fill:${line.colour}`}));
    parts.push(label(nameX + 20, top + height + 15, line.name, {class: "soft"}));
    nameX += 44 + line.name.length * 6.2;
  }
  return top + height + 40;
}

function drawLayers(state, choose) {
  const panels = layerPanels(state, choose);
  return [
    el("h2", {text: `Across layers: ${state.projection}${levelText(state.site, state.level)}`}),
    el("p", {class: "note", text: "Click a column to look at that layer. Entropy: 0 is one certain expert, 1 is all alike."}),
    panels.legend, el("div", {class: "scroll"}, [panels.svg])
  ];
}

function drawSimilarity(state) {
  const {site, level} = state, gate = site.gates[level], cosines = unpack(gate.cosines);
  const parts = [el("h2", {text: "How alike the experts are"})];
  if (!cosines) {
    const why = gate.similarity === null ? "These experts have no update to compare: it is zero." :
                                           "The matrix was left out for the page's size.";
    return [...parts, el("p", {class: "note", text: why})];
  }
  const values = Array.from({length: cosines.n}, (_, i) => cosines.row(i));
  const size = Math.max(9, Math.min(40, 380 / cosines.n));
  parts.push(el("p", {class: "note", text: `Cosine between the experts' updates at layer ${site.layer}, ` +
                                           `${projectionOf(site)}${levelText(site, level)}; mean ${show(gate.similarity, 3)}.`}));
  parts.push(heatMap(values, {
    size, colour: diverging, strength: Math.abs, rowName: (i) => expertName(site, i), columnName: (i) => expertName(site, i),
    rowTitle: "expert", columnTitle: "expert", label: "similarity of experts",
    title: (y, x, v) => [`${expertName(site, y)} and ${expertName(site, x)}`, `cosine ${show(v, 3)}`]
  }));
  parts.push(scale("-1", "1", "var(--negative), var(--low), var(--high)"));
  return parts;
}

function drawDead(choose) {
  const dead = [];
  for (const site of trace.sites)
    site.gates.forEach((gate, level) => {
      if (gate.dead.length) dead.push({site, level, experts: gate.dead});
    });
  const count = sum(dead.map((entry) => entry.experts.length));
  const parts = [el("h2", {text: "Dead experts"})];
  parts.push(el("p", {class: "note", text: count === 0 ?
      `None: each of the ${trace.summary.experts} experts was chosen by some token.` :
      `${count} of ${trace.summary.experts} experts were chosen by none of the ${trace.tokens} tokens.`}));
  parts.push(el("div", {class: "list"}, dead.map((entry) => el("button", {
    type: "button", onclick: () => choose({layer: entry.site.layer, projection: projectionOf(entry.site), level: entry.level}),
    text: `layer ${entry.site.layer} ${projectionOf(entry.site)}${levelText(entry.site, entry.level)}: ` +
          entry.experts.map((e) => expertName(entry.site, e)).join(", ")
  }))));
  return parts;
}
