// The selected site: over all tokens, and for one token.
function treeFigure(site, flowsTop, flows, caption) {
  const levels = site.gates.length, width = 560, nodeWidth = 16, top = 30, gap = 8;
  const most = Math.max(...site.gates.map((gate) => gate.experts)), height = Math.max(190, 46 * most);
  const column = (c) => 70 + (c * (width - 200)) / levels;  // 0: the token
  const weightsOf = (l) => {  // what reaches each expert of level l
    if (l === levels - 1) return flowsTop;
    return Array.from({length: site.gates[l].experts}, (_, j) => sum(flows[l].map((row) => Math.abs(row[j]))));
  };
  const total = Math.max(1e-9, sum(flowsTop.map(Math.abs)));
  const room = height - gap * (most - 1), places = [], parts = [];
  for (let l = levels - 1; l >= 0; --l) {
    const weights = weightsOf(l), here = Math.max(1e-9, sum(weights.map(Math.abs)));
    let y = top;
    const pitch = (height - gap * (weights.length - 1)) / weights.length;
    places[l] = weights.map((weight) => {
      const size = Math.max(2, (room * Math.abs(weight)) / Math.max(total, here));
      // Small experts keep room for their label.
      const place = {y, size, weight, here, out: 0, in: 0};
      y += Math.max(size, Math.min(18, pitch)) + gap;
      return place;
    });
  }
  const bottom = Math.max(...places.flat().map((p) => p.y + Math.max(p.size, 18)));
  const root = {y: top, size: Math.min(room, sum(places[levels - 1].map((p) => p.size))), out: 0};
  const ribbon = (from, to, x0, x1, share, colour, tip) => {
    const h0 = Math.max(1, from.size * share.from), h1 = Math.max(1, to.size * share.to), mid = (x0 + x1) / 2;
    const a = from.y + from.out, b = to.y + to.in;
    from.out += from.size * share.from;
    to.in += to.size * share.to;
    parts.push(svg("path", {
      d: `M${x0},${a}C${mid},${a} ${mid},${b} ${x1},${b}L${x1},${b + h1}C${mid},${b + h1} ${mid},${a + h0} ${x0},${a + h0}Z`,
      style: `fill:${colour};opacity:0.42`, ...withTip(() => tipLines(...tip))
    }));
  };
  const rootTotal = Math.max(1e-9, sum(flowsTop.map(Math.abs)));
  places[levels - 1].forEach((place, i) => {
    if (place.weight === 0) return;
    ribbon(root, place, column(0) + nodeWidth, column(1), {from: Math.abs(place.weight) / rootTotal, to: 1},
           siteColour(site, levels - 1, i), [`token → expert ${i}`, `weight ${show(place.weight, 3)}`]);
  });
  for (let l = levels - 2; l >= 0; --l)
    flows[l].forEach((row, i) => row.forEach((weight, j) => {
      if (weight === 0) return;
      const from = places[l + 1][i], to = places[l][j], all = sum(row.map(Math.abs));
      ribbon(from, to, column(levels - 1 - l) + nodeWidth, column(levels - l),
             {from: Math.abs(weight) / all, to: Math.abs(weight) / Math.max(1e-9, weightsOf(l)[j])}, siteColour(site, l, j),
             [`level ${l + 1} expert ${i} → level ${l} expert ${j}`, `weight ${show(weight, 3)}`]);
    }));
  parts.push(svg("rect", {x: column(0), y: root.y, width: nodeWidth, height: root.size, rx: 3, style: "fill:var(--soft)"}));
  parts.push(label(column(0) - 8, root.y + root.size / 2 + 4, "token", {"text-anchor": "end"}));
  for (let l = levels - 1; l >= 0; --l) {
    const x = column(levels - l);
    const name = `level ${l}` + (l === levels - 1 ? " (top)" : l === 0 ? " (bottom)" : "");
    parts.push(label(x + nodeWidth / 2, 16, name, {class: "soft", "text-anchor": "middle"}));
    places[l].forEach((place, e) => {
      if (place.weight === 0) return;
      parts.push(svg("rect", {
        x, y: place.y, width: nodeWidth, height: place.size, rx: 3, style: `fill:${siteColour(site, l, e)}`
      }));
      const text = `${e} · ${asPercent(Math.abs(place.weight) / place.here)}`;
      parts.push(label(x + nodeWidth + 6, place.y + Math.max(place.size, 14) / 2 + 4, text,
                       {style: "paint-order:stroke;stroke:var(--card);stroke-width:3px"}));
    });
  }
  return el("figure", {}, [
    el("figcaption", {text: caption}), figure(width, bottom + 8, parts, caption)
  ]);
}

function treeOfAll(site) {
  const top = site.gates.length - 1;
  return treeFigure(site, site.gates[top].weight, site.flows, "weight of each way through the tree, mean over all tokens");
}

function treeOfToken(site, token) {
  const levels = nodesOf(site, token), top = site.gates.length - 1;
  const weights = expertWeights(site, top, token);
  const flows = site.flows.map((level) => level.map((row) => row.map(() => 0)));
  for (let l = top - 1; l >= 0; --l) {
    const above = levels[top - l - 1];
    for (const node of levels[top - l]) flows[l][above[node.parent].expert][node.expert] += node.path;
  }
  return treeFigure(site, weights, flows, "its ways through the tree");
}

function pathList(site) {
  const most = Math.max(1e-9, ...site.paths.map((p) => Math.abs(p.weight)));
  return barChart(site.paths.slice(0, 8).map((path) => ({
    name: path.experts.join(" → "), value: path.weight, colour: siteColour(site, 0, path.experts[path.experts.length - 1]),
    text: show(path.weight, 3)
  })), most);
}

function pairMap(site, weights, caption) {
  const [down, up] = site.pairs, most = Math.max(1e-9, ...weights.map(Math.abs));
  const values = Array.from({length: down}, (_, i) => weights.slice(i * up, (i + 1) * up));
  const size = Math.max(10, Math.min(34, 330 / up));
  const low = Math.min(...weights) < 0 ? "var(--negative), var(--low), var(--high)" : "var(--low), var(--high)";
  return el("figure", {}, [
    el("figcaption", {text: caption}), heatMap(values, {
      size, colour: (v) => diverging(v / most), strength: (v) => Math.abs(v / most), rowName: String, columnName: String, rowTitle: "down vector",
      columnTitle: "up vector", label: caption, title: (y, x, v) => [`pair ${y}·${x}`, `weight ${show(v, 3)}`]
    }),
    scale(Math.min(...weights) < 0 ? show(-most) : "0", show(most), low)
  ]);
}

function routerBars(weights, digits) {
  return barChart(weights.map((value, n) => ({
    name: `sub-router ${n}`, value, colour: expertColour(n, weights.length), text: show(value, digits)
  })), 1);
}

function flatBars(site, gate) {
  const rows = (values, text) => barChart(values.map((value, e) => ({
    name: `expert ${e}`, value, colour: siteColour(site, 0, e), text: text(value)
  })), Math.max(1e-9, ...values.map(Math.abs)));
  const chosenByAll = gate.share.every((share) => share === 1);
  return [
    chosenByAll ? null : el("h3", {text: "Share of tokens that choose it"}),
    chosenByAll ? null : rows(gate.share, asPercent),
    el("h3", {text: "Mean weight over all tokens"}), rows(gate.weight, (v) => show(v, 3))
  ];
}

function drawSite(state) {
  const {site, level} = state, gate = site.gates[level];
  const parts = [
    el("h2", {text: `All tokens at layer ${site.layer}, ${projectionOf(site)}`}),
    el("p", {class: "note", text: `${site.experts} routed by ${site.router}` +
                                  (site.prior === "none" ? "" : `, prior ${site.prior}`) + `, ${trace.tokens} tokens`})
  ];
  if (site.shape === "tree") {
    parts.push(treeOfAll(site), el("h3", {text: "Heaviest paths, from the top: mean weight"}), pathList(site));
  } else if (site.shape === "pairs") {
    parts.push(el("div", {class: "figures"}, [
      pairMap(site, gate.weight, "mean weight of each pair"), clusterMap(state)
    ]));
    parts.push(el("p", {class: "note", text: gatesText(site)}));
  } else {
    parts.push(...flatBars(site, gate));
    if (site.omega !== undefined) parts.push(el("p", {class: "note", text: gatesText(site)}));
  }
  if (gate.main)
    parts.push(el("h3", {text: `Mean weight of the sub-routers; ${asPercent(gate.agreement)} of choices agree`}),
               routerBars(gate.main, 3));
  return parts;
}

function gatesText(site) {
  const parts = [];
  if (site.omega !== undefined)
    parts.push(`ω = ${show(site.omega, 3)}: 1 listens to the token's router only, 0 to the clusters only`);
  if (site.gamma !== undefined) parts.push(`γ = ${show(site.gamma, 3)}: how much of the update goes in`);
  return parts.join("; ") + ".";
}

// The sequence's similarity to each cluster, laid out as the pairs that the clusters stand for.
function clusterMap(state) {
  const gate = state.site.gates[state.site.gates.length - 1];
  const scores = state.sequence.cluster_scores && state.sequence.cluster_scores[gate.experts];
  if (!scores || state.site.shape !== "pairs" || state.site.prior !== "clusters") return null;
  return pairMap(state.site, scores, `cluster scores of ${state.sequence.name}`);
}

function drawToken(state) {
  const {site, level, sequence, position} = state, gate = site.gates[level], token = sequence.begin + position;
  const parts = [
    el("h2", {text: "Token " + quoted(sequence.texts[position])}),
    el("p", {class: "note", text: `position ${position} of ${sequence.name}, id ${sequence.ids[position]}`})
  ];
  if (site.shape === "tree") parts.push(treeOfToken(site, token));
  if (site.shape === "pairs")
    parts.push(pairMap(site, expertWeights(site, level, token), "weight of each pair for this token"));
  const rows = expertRows(site, level, token, 8);
  const most = Math.max(1e-9, ...rows.map((row) => Math.abs(row.value)));
  parts.push(el("h3", {text: site.shape === "tree" ? `Weight at level ${level}` : "Weight"}), barChart(rows, most));
  if (gate.main) {
    const firsts = unpack(gate.tokens.firsts).row(token);
    parts.push(el("h3", {text: "Weight of the sub-routers"}), routerBars(unpack(gate.tokens.main).row(token), 2));
    parts.push(el("p", {class: "note", text: firsts.map((e, n) => `sub-router ${n} puts expert ${e} first`).join("; ")}));
  }
  return parts;
}
