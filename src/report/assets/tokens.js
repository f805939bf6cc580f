// The text, each token coloured by what was chosen for it.
// {colour, strength, mark} of one token.
function lookOf(site, level, token, mode) {
  const gate = site.gates[level];
  if (mode === "router") {
    const weights = unpack(gate.tokens.main).row(token), router = heaviest(weights);
    return {colour: expertColour(router, weights.length), strength: weights[router], mark: "r" + router};
  }
  if (mode === "agreement") {
    const firsts = unpack(gate.tokens.firsts).row(token), agree = firsts.every((f) => f === firsts[0]);
    return {colour: agree ? "var(--third)" : "var(--after)", strength: 0.8, mark: unique(firsts).join("≠")};
  }
  const weights = expertWeights(site, level, token), expert = heaviest(weights);
  const total = sum(weights.map(Math.abs));
  if (total === 0) return {colour: "transparent", strength: 0, mark: "–"};
  // Nothing where all weigh the same, full where there is only one.
  const even = 1 / weights.length, part = Math.abs(weights[expert]) / total;
  const strength = weights.length > 1 ? Math.sqrt(Math.max(0, (part - even) / (1 - even))) : 1;
  return {colour: siteColour(site, level, expert), strength, mark: expertName(site, expert)};
}

// What the tip and the token's card say first.
const quoted = (text) => (text === "" ? "(part of the next character)" : "“" + text.replace(/\n/g, "↵") + "”");

function expertRows(site, level, token, most) {
  const weights = expertWeights(site, level, token);
  return weights.map((value, expert) => ({expert, value}))
      .filter((row) => row.value !== 0)
      .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
      .slice(0, most)
      .map((row) => ({
        name: (site.shape === "pairs" ? "pair " : "expert ") + expertName(site, row.expert), value: row.value,
        colour: siteColour(site, level, row.expert), text: show(row.value)
      }));
}

function tokenTip(site, level, sequence, position) {
  const token = sequence.begin + position, rows = expertRows(site, level, token, 6);
  const most = Math.max(1e-9, ...rows.map((row) => Math.abs(row.value)));
  const parts = tipLines(quoted(sequence.texts[position]), `token ${position}, id ${sequence.ids[position]}`);
  parts.push(barChart(rows, most));
  const main = unpack(site.gates[level].tokens.main);
  if (main) {
    const firsts = unpack(site.gates[level].tokens.firsts);
    main.row(token).forEach((weight, n) => parts.push(el("div", {
      class: "soft", text: `sub-router ${n}: weight ${show(weight)}, puts expert ${firsts.at(token, n)} first`
    })));
  }
  return parts;
}

function tokenLegend(site, level, mode) {
  const gate = site.gates[level], entries = [];
  const add = (colour, text) =>
      entries.push(el("span", {}, [el("i", {style: `background:${colour}`}), el("span", {text})]));
  if (mode === "router") {
    gate.main.forEach((_, n) => add(expertColour(n, gate.main.length), `sub-router ${n} weighs most`));
  } else if (mode === "agreement") {
    add("var(--third)", "all sub-routers put the same expert first");
    add("var(--after)", "they differ");
  } else if (site.shape === "pairs") {
    for (let i = 0; i < site.pairs[0]; ++i) add(expertColour(i, site.pairs[0]), `down vector ${i}`);
  } else {
    for (let e = 0; e < gate.experts; ++e) add(siteColour(site, level, e), `expert ${e}`);
  }
  const what = site.shape === "pairs" ? "below each token: down·up vector of its heaviest pair" :
                                        "below each token: its heaviest expert";
  if (mode === "expert") entries.push(el("span", {text: what + "; the fuller the colour, the larger its part"}));
  return el("div", {class: "legend"}, entries);
}

function drawTokens(state, choose) {
  const {site, level, mode, sequence} = state, nodes = [];
  sequence.texts.forEach((text, position) => {
    const look = lookOf(site, level, sequence.begin + position, mode);
    const special = /^<\|.*\|>$|^<\/?[a-z]+>$/.test(text);
    nodes.push(el("button", {
      class: "token" + (special ? " special" : "") + (position === state.position ? " chosen" : ""), type: "button",
      style: `background:color-mix(in oklab, ${look.colour} ${percent(0.08 + 0.5 * look.strength)}, transparent);` +
             `border-bottom-color:${look.colour}`,
      onclick: () => choose({position}), ...withTip(() => tokenTip(site, level, sequence, position))
    }, [
      el("span", {class: "text", text: text === "" ? "◦" : text.replace(/\n/g, "↵")}),
      el("span", {class: "mark", text: look.mark})
    ]));
    if (text.includes("\n")) nodes.push(el("span", {class: "break"}));
  });
  if (sequence.length > sequence.texts.length)
    nodes.push(el("span", {class: "legend", text: `… ${sequence.length - sequence.texts.length} more tokens`}));
  return [
    el("h2", {text: `Tokens at layer ${site.layer}, ${projectionOf(site)}${levelText(site, level)}`}),
    el("p", {class: "note", text: ["Point at a token for its gates, click it to see it in detail below.", ...trace.notes].join(" ")}),
    tokenLegend(site, level, mode), el("div", {class: "tokens"}, nodes)
  ];
}

function levelText(site, level) {
  if (site.gates.length === 1) return "";
  const place = level === site.gates.length - 1 ? " (top)" : level === 0 ? " (bottom)" : "";
  return `, level ${level}${place}`;
}
