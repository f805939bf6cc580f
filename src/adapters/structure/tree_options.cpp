#include "adapters/structure/tree_options.h"

#include <algorithm>

#include "adapters/level_list.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

template <typename T, size_t N>
T read_choice(const JsonReader& options, const std::string& key, const std::pair<const char*, T> (&choices)[N],
              T fallback) {
  const auto text = options.find<std::string>(key);
  if (!text) return fallback;
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) {
    if (*text == name) return value;
    names.emplace_back(name);
  }
  fail(options.kind(), "[{}] {} must be one of {}, got '{}'.{}", options.where(), key, join(names, ", "), *text,
       did_you_mean(*text, names));
}

constexpr std::pair<const char*, TreePosition> kPositions[] = {
    {"all", TreePosition::kAll}, {"child", TreePosition::kChild}, {"child_v2", TreePosition::kChildV2}};

constexpr std::pair<const char*, TreeInit> kInits[] = {{"b_zero", TreeInit::kBZero},
                                                       {"bw_zero", TreeInit::kBWZero},
                                                       {"normal", TreeInit::kNormal},
                                                       {"w_final_zero", TreeInit::kFinalZero},
                                                       {"eq_1_layer", TreeInit::kOneLayer}};

void warn_dead_starts(const TreeOptions& tree, Warnings& warnings) {
  const bool zero_b = tree.init == TreeInit::kBZero || tree.init == TreeInit::kBWZero;
  if (zero_b && tree.activation.kind == SmallActivation::Kind::kRelu && tree.position == TreePosition::kAll)
    warnings.add(
        "tree_dead_relu",
        "activation relu with init b_zero or bw_zero is dead: every pre-activation is exactly 0, where relu's "
        "derivative is 0, so only the output bias and the router move. Use init w_final_zero or activation tanh");
  if (tree.init == TreeInit::kBWZero && tree.levels() > 1)
    warnings.add("tree_dead_levels",
                 "init bw_zero with more than one level freezes all levels below the top for ever. Use b_zero or "
                 "w_final_zero");
}

}  // namespace

double TreeOptions::scale(size_t level) const {
  return alpha.empty() ? 1.0 : alpha[level] / static_cast<double>(ranks[level]);
}

int64_t TreeOptions::width(size_t level) const {
  if (shared_pool) return level == 0 ? 0 : pool[0] * ranks[0];
  int64_t width = 0;
  for (size_t l = 0; l < level; ++l) width += pool[l] * ranks[l];
  return width;
}

int64_t TreeOptions::down_rows() const { return shared_pool ? pool[0] * ranks[0] : width(ranks.size()); }

int64_t TreeOptions::nodes(size_t level, bool dense) const {
  int64_t nodes = 1;
  for (size_t l = level; l < ranks.size(); ++l) nodes *= dense ? pool[l] : active[l];
  return nodes;
}

GateShape TreeOptions::gates() const {
  GateShape shape{GateKind::kTree, {}};
  for (size_t l = 0; l < ranks.size(); ++l) shape.levels.push_back({pool[l], active[l]});
  return shape;
}

TreeOptions read_tree_options(const Json& json, Warnings& warnings) {
  const JsonReader options(json, "experts", ErrorKind::kConfig);
  options.refuse_unknown_keys(
      {"kind", "ranks", "pool", "active", "activation", "activation_position", "alpha", "init", "shared_pool"});
  TreeOptions tree;
  MOREX_CHECK(options.raw("ranks").is_array() && !options.raw("ranks").empty(), ErrorKind::kConfig,
              "[experts] ranks must be a list with one rank per level, bottom first, got {}",
              options.raw("ranks").dump());
  const auto levels = static_cast<int64_t>(options.raw("ranks").size());
  tree.ranks = level_integers(options, "ranks", levels, 0, 1);
  tree.pool = level_integers(options, "pool", levels, 4, 1);
  tree.active = level_integers(options, "active", levels, 2, 1);
  for (size_t l = 0; l < tree.ranks.size(); ++l)
    MOREX_CHECK(tree.active[l] <= tree.pool[l], ErrorKind::kConfig,
                "[experts] active must not be more than pool at any level, got {} of {} at level {}", tree.active[l],
                tree.pool[l], l);
  tree.alpha = level_numbers(options, "alpha", levels);
  tree.activation = parse_small_activation(options.get_or<std::string>("activation", "tanh"), "experts.activation");
  tree.position = read_choice(options, "activation_position", kPositions, TreePosition::kAll);
  tree.init = read_choice(options, "init", kInits, TreeInit::kFinalZero);
  tree.shared_pool = options.get_or<bool>("shared_pool", false);
  const auto differs = [](const std::vector<int64_t>& values) {
    return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) != values.end();
  };
  MOREX_CHECK(!tree.shared_pool || !(differs(tree.ranks) || differs(tree.pool)), ErrorKind::kConfig,
              "[experts] shared_pool needs the same rank and pool at every level, got ranks {} and pool {}",
              options.raw("ranks").dump(), options.raw("pool").dump());
  warn_dead_starts(tree, warnings);
  return tree;
}

}  // namespace morex::adapters
