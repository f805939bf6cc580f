#include "adapters/bank_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "adapters/expert_rows.h"
#include "adapters/group_products.h"
#include "adapters/mix_node.h"
#include "adapters/tally_gates.h"
#include "ops/expert_low_rank.h"
#include "ops/low_rank.h"
#include "ops/time_recorder.h"

namespace morex::adapters {
namespace {

// Elements of the widest tensor in the middle of one chunk: 4 MiB in float32, what a core's cache holds.
constexpr int64_t kChunkElements = int64_t{1} << 20;
// What the chunks of one site's forward pass left behind.
struct Collected {
  std::vector<nn::GateReport> gates;
  std::vector<std::pair<std::string, std::vector<at::Tensor>>> details;

  void add(Recorder& recorder) {
    for (size_t i = 0; i < recorder.gates.size(); ++i) {
      nn::GateReport& gate = recorder.gates[i];
      if (i == gates.size()) {
        gates.push_back(std::move(gate));
      } else {
        gates[i].counts = gates[i].counts + gate.counts;
        gates[i].rows = gates[i].rows + gate.rows;
      }
    }
    for (const auto& [name, value] : recorder.details) {
      auto found = std::find_if(details.begin(), details.end(), [&](const auto& entry) { return entry.first == name; });
      if (found == details.end()) found = details.insert(found, {name, {}});
      found->second.push_back(value);
    }
  }
};

}  // namespace

BankAdapter::BankAdapter(std::vector<BankSite> sites) : sites_(std::move(sites)), locations_(sites_.size()) {
  for (const BankSite& site : sites_)
    MOREX_CHECK(
        site.structure->dropout() == sites_.front().structure->dropout(), ErrorKind::kConfig,
        "[adapters] lora_dropout must be the same for projections that read the same input, got {} for {} and {} "
        "for {}",
        sites_.front().structure->dropout(), sites_.front().site.module, site.structure->dropout(), site.site.module);
  const BankSite* routed = nullptr;  // the first with router rows
  for (const BankSite& site : sites_) {
    if (site.router->rows() == 0) continue;
    if (routed == nullptr) routed = &site;
    jitter_ = routed->router->jitter();
    MOREX_CHECK(site.router->jitter() == jitter_, ErrorKind::kConfig,
                "[router] jitter_noise must be the same for projections that read the same input, got {} for {} and {} "
                "for {}",
                jitter_, routed->site.module, site.router->jitter(), site.site.module);
  }
}

template <typename Count>
std::vector<at::Tensor> BankAdapter::split(const at::Tensor& columns, const Count& count) const {
  if (sites_.size() == 1) return {columns};
  std::vector<int64_t> sizes;
  for (const BankSite& site : sites_) sizes.push_back(count(site));
  return columns.split_with_sizes(sizes, 1);
}

void BankAdapter::declare(nn::ParameterStore& store) {
  store_ = &store;
  int64_t route_rows = 0;
  for (size_t i = 0; i < sites_.size(); ++i) {
    locations_[i].down_row = down_rows_;
    down_rows_ += sites_[i].structure->down_rows();
  }
  for (size_t i = 0; i < sites_.size(); ++i) {
    locations_[i].route_row = down_rows_ + route_rows;
    route_rows += sites_[i].router->rows();
  }
  std::vector<nn::LeafRows> rows;
  for (const BankSite& site : sites_) rows.push_back({site.structure->down_rows(), site.rules.options(Axis::kExperts)});
  for (const BankSite& site : sites_) rows.push_back({site.router->rows(), site.rules.options(Axis::kRouter)});
  const Site& first = sites_.front().site;
  down_leaf_ = store.declare(first.module + ".down", {down_rows_ + route_rows, first.d_in}, rows);
  for (size_t i = 0; i < sites_.size(); ++i) declare_site(store, sites_[i], locations_[i]);
}

void BankAdapter::declare_site(nn::ParameterStore& store, BankSite& site, Location& location) {
  nn::LeafOptions up;
  for (const TensorSpec& spec : site.structure->tensors())
    if (spec.place == Place::kUp) up = site.rules.options(Axis::kExperts, spec);
  location.up_leaf = store.declare(site.site.module + ".up", {site.structure->up_rows(), site.site.d_out}, up);
  declare_tensors(store, Axis::kExperts, site.structure->tensors(), site, location, location.structure_leaves);
  declare_tensors(store, Axis::kRouter, site.router->tensors(), site, location, location.router_leaves);
  declare_tensors(store, Axis::kPrior, site.prior->tensors(), site, location, location.prior_leaves);
}

void BankAdapter::declare_tensors(nn::ParameterStore& store, Axis axis, const std::vector<TensorSpec>& specs,
                                  const BankSite& bank_site, Location& location, std::vector<int64_t>& leaves) {
  const Site& site = bank_site.site;
  for (const TensorSpec& spec : specs) {
    nn::NamedView view{kFilePrefix + site.module + "." + spec.name, -1, {}};
    int64_t own = -1;
    const std::vector<int64_t> shape = spec.shape;
    if (spec.place == Place::kDown || spec.place == Place::kRoute) {
      const int64_t row = (spec.place == Place::kDown ? location.down_row : location.route_row) + spec.first_row;
      const int64_t count = c10::multiply_integers(shape) / site.d_in;
      view.leaf = down_leaf_;
      view.view = [=](const at::Tensor& leaf) { return leaf.narrow(0, row, count).view(shape); };
    } else if (spec.place == Place::kUp) {
      const int64_t row = spec.first_row, count = c10::multiply_integers(shape) / site.d_out;
      view.leaf = location.up_leaf;
      view.view = [=](const at::Tensor& leaf) { return leaf.narrow(0, row, count).t(); };
    } else {
      view.leaf = store.declare(site.module + "." + spec.name, shape, bank_site.rules.options(axis, spec));
      view.view = [](const at::Tensor& leaf) { return leaf; };
      (spec.place == Place::kUpBias ? location.up_bias_leaf : own) = view.leaf;
    }
    leaves.push_back(own);
    store.add_view(view);
    named_.push_back({view, spec.init});
  }
}

void BankAdapter::initialize(uint64_t seed) const { fill_initial(*store_, named_, seed); }

std::vector<at::Tensor> BankAdapter::own_tensors(const std::vector<int64_t>& leaves) const {
  std::vector<at::Tensor> own;
  for (const int64_t leaf : leaves) own.push_back(leaf < 0 ? at::Tensor() : store_->leaf(leaf));
  return own;
}

void BankAdapter::apply(const at::Tensor& x, nn::GroupOutputs& y, const nn::BatchContext& ctx,
                        nn::RoutingReport& report) const {
  const at::Tensor& down = store_->leaf(down_leaf_);
  const BankSite& first = sites_.front();
  const GroupProducts products({x, down, down_rows_, first.structure->dropout(), jitter_, first.site.module}, ctx);
  std::vector<bool> gathers;
  bool routed = false;
  for (const BankSite& site : sites_) {
    gathers.push_back(site.structure->gathers(x));
    routed = routed || site.structure->gates().kind != GateKind::kNone;
  }
  // [T, R] and [T, Q] of each site; experts that are gathered form their own products.
  std::vector<at::Tensor> hs(sites_.size()), us;
  at::Tensor u;
  if (std::find(gathers.begin(), gathers.end(), true) == gathers.end()) {
    const GroupProducts::Both both = products.both();
    hs = split(both.h, [](const BankSite& site) { return site.structure->down_rows(); });
    u = both.u;
  } else {
    u = products.routed();
    for (size_t i = 0; i < sites_.size(); ++i)
      if (!gathers[i]) hs[i] = products.down(locations_[i].down_row, sites_[i].structure->down_rows());
  }
  if (u.defined()) {
    us = split(u, [](const BankSite& site) { return site.router->rows(); });
  } else {
    // A router may do without rows of its own; its site still has a place for them.
    us.assign(sites_.size(), at::empty({x.size(0), 0}, down.options().requires_grad(false)));
  }
  const auto shared_ctx = routed ? std::make_shared<const nn::BatchContext>(ctx) : nullptr;

  for (size_t i = 0; i < sites_.size(); ++i) {
    const BankSite& site = sites_[i];
    const ops::PlaceScope place(site.site.module, /*adapter=*/true);
    const Location& location = locations_[i];
    const std::vector<at::Tensor> own = own_tensors(location.structure_leaves);
    const at::Tensor up = ctx.fixed_cast(store_->leaf(location.up_leaf), x.scalar_type());
    const auto member = static_cast<size_t>(site.member_index);
    if (gathers[i]) {
      const at::Tensor weights = routed_mix(i, {us[i]}, shared_ctx, report);  // [T, E]
      const RowsByExpert chosen = rows_by_expert({{}, weights.unsqueeze(1)}, weights.size(1));
      const at::Tensor a =
          ctx.fixed_cast(down, x.scalar_type()).narrow(0, location.down_row, site.structure->down_rows());
      at::Tensor& target = y.formed(member);
      target = ops::expert_low_rank(target, products.experts_input(), chosen.weights, a, up, chosen.rows);
      continue;
    }
    const at::Tensor z = site.structure->gates().kind == GateKind::kNone
                             ? site.structure->mix(hs[i], {}, own, {ctx, site.site, 0, x.size(0), {}, nullptr})
                             : routed_mix(i, {us[i], hs[i]}, shared_ctx, report);  // [T, R']
    y.add(member, {z, up, location.up_bias_leaf < 0 ? at::Tensor() : store_->leaf(location.up_bias_leaf)});
    if (!site.structure->scales_output()) continue;
    SiteTensors parts = tensors(i);
    parts.own = own;
    Recorder recorder;
    const at::Tensor scale =
        site.structure->output_scale(parts, *site.member, report.keep_details ? &recorder : nullptr);
    at::Tensor& target = y.formed(member);
    target = target * scale.to(target.scalar_type());
    for (auto& [name, value] : recorder.details) report.details[site.site.module + "." + name] = std::move(value);
  }
}

at::Tensor BankAdapter::routed_mix(size_t index, const std::vector<at::Tensor>& u_h,
                                   const std::shared_ptr<const nn::BatchContext>& ctx,
                                   nn::RoutingReport& report) const {
  const BankSite& site = sites_[index];
  const Location& location = locations_[index];
  std::vector<at::Tensor> shared;
  std::vector<int64_t> counts;
  for (const auto* leaves : {&location.structure_leaves, &location.router_leaves, &location.prior_leaves}) {
    const std::vector<at::Tensor> own = own_tensors(*leaves);
    shared.insert(shared.end(), own.begin(), own.end());
    counts.push_back(static_cast<int64_t>(own.size()));
  }
  // Undefined entries cannot pass through an autograd node: only the defined ones go, and come back to their places.
  std::vector<at::Tensor> defined;
  for (const at::Tensor& tensor : shared)
    if (tensor.defined()) defined.push_back(tensor);
  std::vector<bool> is_defined;
  for (const at::Tensor& tensor : shared) is_defined.push_back(tensor.defined());

  const auto collected = std::make_shared<Collected>();
  const bool details = report.keep_details;
  const at::Tensor mask = token_mask(*ctx, store_->dtype());
  nn::RoutingTally* const tally = report.tally;
  const bool report_gates = ctx->phase != nn::Phase::kDecode || details || tally != nullptr;

  const auto body = std::make_shared<const MixBody>(
      [&site, ctx, collected, counts, is_defined, mask, details, tally, report_gates](
          const std::vector<at::Tensor>& rows, const std::vector<at::Tensor>& tensors, int64_t first, bool recording) {
        std::vector<at::Tensor> all;
        for (size_t i = 0, next = 0; i < is_defined.size(); ++i)
          all.push_back(is_defined[i] ? tensors[next++] : at::Tensor());
        const auto router_begin = all.begin() + counts[0], prior_begin = router_begin + counts[1];
        const std::vector<at::Tensor> structure_own(all.begin(), router_begin), router_own(router_begin, prior_begin),
            prior_own(prior_begin, all.end());

        Recorder recorder;
        recorder.keep_details = details && recording;
        recorder.keep_distributions = tally != nullptr && recording;
        recorder.needs = &site.needs;
        const int64_t count = rows[0].size(0);
        const TokenRows tokens{*ctx,
                               site.site,
                               first,
                               count,
                               mask.defined() ? mask.narrow(0, first, count) : at::Tensor(),
                               report_gates ? &recorder : nullptr};
        const at::Tensor& u = rows[0];
        Gates gates = site.router->route(u, router_own, *site.prior, prior_own, tokens);
        gates = site.prior->after_choice(std::move(gates), prior_own, tokens);
        if (recorder.keep_distributions) tally_gates(gates, recorder, tokens, *tally);
        MixResult result;
        if (rows.size() == 1) {
          result.z = site.structure->expert_weights(gates);
        } else {
          const at::Tensor h = site.structure->mixes_activations() ? rows[1] : rows[1].to(u.scalar_type());
          result.z = site.structure->mix(h, gates, structure_own, tokens);
        }
        for (const nn::GateReport& gate : recorder.gates)
          for (const auto& [name, sum] : gate.sums) result.sums.push_back(sum);
        if (recording) collected->add(recorder);
        return result;
      });
  int64_t chunk = std::max<int64_t>(64, kChunkElements / std::max<int64_t>(1, site.structure->mix_width()));
  if (site.router->whole_sequences()) chunk = std::max<int64_t>(1, chunk / ctx->length) * ctx->length;
  // A middle no wider than the site's input keeps its graph; a wider one is formed again. On SmolLM2 S'MoRE's preset
  // takes a fifth more memory and 8 % less time that way.
  const bool keep = site.structure->mix_width() <= site.site.d_in;
  MixResult result = run_mix(body, u_h, defined, chunk, keep);

  size_t next = 0;
  for (nn::GateReport& gate : collected->gates) {
    gate.site = site.site.module;
    gate.layer = site.site.layer;
    for (auto& [name, sum] : gate.sums) sum = result.sums[next++];
    report.gates.push_back(std::move(gate));
  }
  for (const auto& [name, parts] : collected->details)
    report.details[site.site.module + "." + name] = at::cat(parts, 0);
  return result.z;
}

bool BankAdapter::reads_other_tokens() const {
  return std::any_of(sites_.begin(), sites_.end(), [](const BankSite& site) { return site.router->whole_sequences(); });
}

int64_t BankAdapter::parameter_count(const BankSite& site) const {
  int64_t total = 0;
  for (const auto* specs : {&site.structure->tensors(), &site.router->tensors(), &site.prior->tensors()})
    for (const TensorSpec& spec : *specs) total += c10::multiply_integers(spec.shape);
  return total;
}

SiteTensors BankAdapter::tensors(size_t site) const {
  const Location& location = locations_[site];
  SiteTensors tensors;
  tensors.down = store_->leaf(down_leaf_).detach().narrow(0, location.down_row, sites_[site].structure->down_rows());
  tensors.up = store_->leaf(location.up_leaf).detach();
  if (location.up_bias_leaf >= 0) tensors.up_bias = store_->leaf(location.up_bias_leaf).detach();
  for (const at::Tensor& own : own_tensors(location.structure_leaves))
    tensors.own.push_back(own.defined() ? own.detach() : own);
  return tensors;
}

bool BankAdapter::reads_no_token(size_t site) const {
  const int64_t rows = sites_[site].router->rows();
  return rows == 0 ||
         store_->leaf(down_leaf_).detach().narrow(0, locations_[site].route_row, rows).eq(0).all().item<bool>();
}

at::Tensor BankAdapter::middle_matrix(size_t index, const nn::BatchContext& ctx) const {
  const at::NoGradGuard guard;
  const BankSite& site = sites_[index];
  const Location& location = locations_[index];
  MOREX_ASSERT(site.structure->linear_for_fixed_gates());
  const int64_t rank = site.structure->down_rows();
  const at::TensorOptions options = store_->leaf(down_leaf_).options().requires_grad(false);
  // Every row of the identity is a token of one sequence.
  nn::BatchContext each = ctx;
  each.batch = 1, each.length = rank;
  const TokenRows rows{each, site.site, 0, rank, {}, nullptr};
  Gates gates;
  if (site.structure->gates().kind != GateKind::kNone) {
    const std::vector<at::Tensor> prior_own = own_tensors(location.prior_leaves);
    gates = site.router->route(at::zeros({rank, site.router->rows()}, options), own_tensors(location.router_leaves),
                               *site.prior, prior_own, rows);
    gates = site.prior->after_choice(std::move(gates), prior_own, rows);
  }
  return site.structure->mix(at::eye(rank, options), gates, own_tensors(location.structure_leaves), rows);
}

}  // namespace morex::adapters
