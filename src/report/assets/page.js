// What is selected, the controls that change it, and the order in which everything is drawn.
const state = {sequence: trace.sequences[0], projection: projections[0], layer: 0, level: 0, mode: "expert", position: 0};

// The nearest valid selection to what is asked for.
function select(change) {
  Object.assign(state, change);
  if (!projections.includes(state.projection)) state.projection = projections[0];
  const layers = layersOf(state.projection);
  if (!layers.includes(state.layer))
    state.layer = layers.reduce((a, b) => (Math.abs(b - state.layer) < Math.abs(a - state.layer) ? b : a));
  state.site = siteAt(state.layer, state.projection);
  state.level = Math.max(0, Math.min(state.site.gates.length - 1, state.level));
  state.position = Math.max(0, Math.min(state.sequence.ids.length - 1, state.position));
  if (!state.site.gates[state.level].main) state.mode = "expert";
}

function choose(change) {
  select(change);
  history.replaceState(null, "", "#" + new URLSearchParams({
    sequence: trace.sequences.indexOf(state.sequence), layer: state.layer, projection: state.projection,
    level: state.level, mode: state.mode, token: state.position
  }));
  draw();
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name, otherwise) => (/^\d+$/.test(given.get(name) || "") ? Number(given.get(name)) : otherwise);
  const layers = layersOf(projections[0]);
  const roles = ["system", "user", "assistant"];
  const firstText = trace.sequences[0].texts.findIndex(
      (text) => /\w{3}/.test(text) && !text.startsWith("<") && !roles.includes(text.trim()));
  select({
    sequence: trace.sequences[number("sequence", 0)] || trace.sequences[0],
    layer: number("layer", layers[Math.floor(layers.length / 2)]), projection: given.get("projection") || projections[0],
    level: number("level", 99), mode: given.get("mode") || "expert", position: number("token", Math.max(0, firstText))
  });
}

function buttons(name, entries, current, pick) {
  return el("div", {class: "control"}, [
    el("span", {class: "label", text: name}),
    el("div", {class: "buttons", role: "group", "aria-label": name}, entries.map(([value, text]) => el("button", {
      type: "button", text, "aria-pressed": String(value === current), onclick: () => pick(value)
    })))
  ]);
}

function drawControls() {
  const layers = layersOf(state.projection), parts = [];
  if (trace.sequences.length > 1) {
    const options = trace.sequences.map((sequence, i) => el("option", {
      value: i, text: sequence.name, selected: sequence === state.sequence ? "selected" : null
    }));
    parts.push(el("div", {class: "control"}, [
      el("label", {for: "sequence", text: "sequence"}),
      el("select", {id: "sequence", onchange: (e) => choose({sequence: trace.sequences[e.target.value], position: 0})}, options)
    ]));
  }
  const slider = el("input", {
    type: "range", id: "layer", min: 0, max: layers.length - 1, step: 1,
    oninput: (e) => choose({layer: layers[e.target.value]})
  });
  slider.value = layers.indexOf(state.layer);
  if (layers.length > 1)
    parts.push(el("div", {class: "control"}, [
      el("label", {for: "layer", text: "layer"}), slider, el("span", {class: "layer-number", text: state.layer})
    ]));
  if (projections.length > 1)
    parts.push(buttons("projection", projections.map((p) => [p, p.replace(/_proj$/, "")]), state.projection,
                       (projection) => choose({projection})));
  if (state.site.gates.length > 1) {
    const levels = state.site.gates.map((_, l) => [l, String(l)]).reverse();
    levels[0][1] += " top";
    parts.push(buttons("level", levels, state.level, (level) => choose({level})));
  }
  if (state.site.gates[state.level].main)
    parts.push(buttons("colour by", [["expert", "expert"], ["router", "main router"], ["agreement", "agreement"]],
                       state.mode, (mode) => choose({mode})));
  document.getElementById("controls").replaceChildren(...parts);
}

function drawHeader() {
  const methods = unique(trace.sites.map((site) => `${site.method}: ${site.experts}, ${site.router}` +
                                                   (site.prior === "none" ? "" : `, ${site.prior}`)));
  const pair = (name, value) => el("span", {text: name + " "}, [el("b", {text: value})]);
  document.getElementById("header").replaceChildren(
      el("h1", {text: "Routing of " + trace.adapter}),
      el("p", {class: "sub"}, [
        pair("method", methods.join("; ")), pair("base", trace.model), pair("text", trace.source)
      ]));
  const summary = trace.summary;
  const tiles = [[show(summary.entropy), "entropy of the routers, before they choose"],
                 [show(summary.entropy_after), "entropy of the gates, after"],
                 [asPercent(summary.max_share), "of choices go to the busiest expert, mean over gates"],
                 [`${summary.dead_experts} of ${summary.experts}`, "experts are dead: no token chose them"]];
  // Where every expert is always on, choices say nothing, weights do.
  if (summary.max_share !== null && trace.sites.every((site) => site.gates.every((g) => g.share.every((s) => s === 1))))
    tiles[2] = [asPercent(summary.max_weight), "of the weight goes to the heaviest expert, mean over gates"];
  if (summary.similarity !== null) tiles.push([show(summary.similarity), "mean cosine between experts' updates"]);
  if (summary.agreement !== undefined) tiles.push([asPercent(summary.agreement), "of choices: sub-routers agree"]);
  const mean = (name) => {
    const values = trace.sites.map((site) => site[name]).filter((v) => v !== undefined);
    return values.length ? sum(values) / values.length : null;
  };
  if (mean("omega") !== null) tiles.push([show(mean("omega")), "ω, mean: token against clusters"]);
  if (mean("gamma") !== null) tiles.push([show(mean("gamma")), "γ, mean: output gate"]);
  document.getElementById("tiles").replaceChildren(...tiles.map(([value, name]) => el("div", {class: "tile"}, [
    el("div", {class: "value", text: value}), el("div", {class: "name", text: name})
  ])));
  document.getElementById("footer").textContent =
      `${trace.tokens} tokens, ${trace.sites.length} sites, ${trace.summary.gates} gates; gates of tokens to 1/255 of their range.`;
}

function draw() {
  tipNode.hidden = true;
  const put = (id, parts) => document.getElementById(id).replaceChildren(...parts.filter(Boolean));
  const scrolled = document.querySelector(".tokens"), place = scrolled ? scrolled.scrollTop : 0;
  const focused = document.activeElement && document.activeElement.id;
  drawControls();
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  put("tokens-card", drawTokens(state, choose));
  document.querySelector(".tokens").scrollTop = place;
  put("site-card", drawSite(state));
  put("token-card", drawToken(state));
  put("layers-card", drawLayers(state, choose));
  put("similarity-card", drawSimilarity(state));
  put("dead-card", drawDead(choose));
}

readAddress();
drawHeader();
draw();
addEventListener("hashchange", () => { readAddress(); draw(); });
