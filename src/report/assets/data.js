// The trace, unpacked where it is asked for.
const trace = JSON.parse(document.getElementById("data").textContent);

// A packed table as {rows, n, at(row, column)}.
function unpack(packed) {
  if (!packed) return null;
  if (packed.at) return packed;
  const text = atob(packed.b), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  const step = packed.hi === undefined ? 1 : (packed.hi - packed.lo) / 255, low = packed.lo || 0;
  packed.rows = bytes.length / packed.n;
  packed.at = (row, column) => low + step * bytes[row * packed.n + column];
  packed.row = (row) => Array.from({length: packed.n}, (_, i) => packed.at(row, i));
  return packed;
}

const unique = (values) => [...new Set(values)];
const sum = (values) => values.reduce((a, b) => a + b, 0);
// What a site is called within its layer: the last part of its path, or the whole where that is not enough.
const lastPart = (site) => site.module.slice(site.module.lastIndexOf(".") + 1);
const lastIsEnough = new Set(trace.sites.map((site) => site.layer + "/" + lastPart(site))).size === trace.sites.length;
const projectionOf = (site) => (lastIsEnough ? lastPart(site) : site.module.replace(/^.*layers\.\d+\./, ""));
const projections = unique(trace.sites.map(projectionOf));
const siteIndex = new Map(trace.sites.map((site) => [site.layer + "/" + projectionOf(site), site]));
const siteAt = (layer, projection) => siteIndex.get(layer + "/" + projection);
const layersOf = (projection) => trace.sites.filter((s) => projectionOf(s) === projection).map((s) => s.layer);

// Sequences and where their tokens start among all shown ones.
let begin = 0;
for (const sequence of trace.sequences) {
  sequence.begin = begin;
  begin += sequence.ids.length;
}

// What an expert of the gate is called: pairs by their two vectors.
function expertName(site, expert) {
  if (site.shape !== "pairs") return String(expert);
  return Math.floor(expert / site.pairs[1]) + "·" + (expert % site.pairs[1]);
}

// The nodes of one token, top level first: [[{expert, weight, path: total along the way, parent}]]. Flat: one level.
function nodesOf(site, token) {
  const levels = [];
  let above = [{path: 1}];
  for (let l = site.gates.length - 1; l >= 0; --l) {
    const weights = unpack(site.gates[l].tokens.weights), ids = unpack(site.gates[l].tokens.ids);
    const fan = weights.n / above.length, nodes = [];
    for (let n = 0; n < weights.n; ++n) {
      const parent = Math.floor(n / fan), weight = weights.at(token, n);
      nodes.push({expert: ids ? ids.at(token, n) : n % fan, weight, parent, path: above[parent].path * weight});
    }
    levels.push(nodes);
    above = nodes;
  }
  return levels;
}

// The weight that each expert of a level gets from one token, over all nodes.
function expertWeights(site, level, token) {
  const totals = new Array(site.gates[level].experts).fill(0);
  for (const node of nodesOf(site, token)[site.gates.length - 1 - level]) totals[node.expert] += node.path;
  return totals;
}

const heaviest = (values) => values.reduce((best, v, i) => (Math.abs(v) > Math.abs(values[best]) ? i : best), 0);
