#include "report/routing_page.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/nan_to_num.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "report/html_text.h"
#include "report/page_assets.h"

namespace morex::report {
namespace {

// {n, b} of whole numbers below 256, one byte each; {n, lo, hi, b} of others: lo + (hi - lo)·byte/255.
Json packed(const at::Tensor& values) {
  MOREX_ASSERT(values.dim() == 2);
  Json json = {{"n", values.size(1)}};
  at::Tensor bytes = values;
  if (values.is_floating_point()) {
    const at::Tensor v = at::nan_to_num(values.to(at::kDouble), 0.0);
    // The range holds 0, so that what was not chosen reads back as exactly 0 where nothing is negative.
    const double lo = v.numel() > 0 ? std::min(0.0, v.min().item<double>()) : 0.0;
    const double hi = v.numel() > 0 ? std::max(lo + 1e-9, v.max().item<double>()) : 1.0;
    json["lo"] = lo;
    json["hi"] = hi;
    bytes = ((v - lo) * (255.0 / (hi - lo))).round();
  } else {
    MOREX_CHECK(values.numel() == 0 || values.max().item<int64_t>() < 256, ErrorKind::kConfig,
                "[page] pools of at most 256 experts can be shown");
  }
  bytes = bytes.to(at::kByte).contiguous();
  json["b"] = base64({static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.numel())});
  return json;
}

std::string build(const RoutingTrace& trace, const TraceLabels& labels, const TraceCut& cut) {
  Json data = describe_trace(trace, labels, cut, packed);
  Json notes = Json::array();
  if (cut.shown < trace.tokens)
    notes.push_back(
        fmt::format("The first {} of {} tokens are shown one by one; numbers over tokens count all of them.", cut.shown,
                    trace.tokens));
  if (!cut.cosines) notes.push_back("The similarity matrices are left out for the page's size.");
  data["notes"] = std::move(notes);
  return fill_template(kPageTemplate, {{"TITLE", escape_html("Routing of " + labels.adapter)},
                                       {"STYLE", std::string(kPageStyle)},
                                       {"SCRIPT", std::string(kPageScript)},
                                       {"DATA", script_json(data)}});
}

}  // namespace

std::string routing_page(const RoutingTrace& trace, const TraceLabels& labels, int64_t limit) {
  TraceCut cut{trace.shown, true};
  std::string page = build(trace, labels, cut);
  while (static_cast<int64_t>(page.size()) > limit) {
    if (cut.shown > 1) {
      // What one token costs follows from a page with one.
      const auto with_one = static_cast<double>(build(trace, labels, {1, cut.cosines}).size());
      const double each = (static_cast<double>(page.size()) - with_one) / static_cast<double>(cut.shown - 1);
      const double room = each > 0 ? (static_cast<double>(limit) - with_one) / each : 0;
      cut.shown = std::clamp<int64_t>(static_cast<int64_t>(room), 1, cut.shown - 1);
    } else if (cut.cosines) {
      cut = {trace.shown, false};
    } else {
      fail(ErrorKind::kRun,
           "[page] must not be larger than {}, it is {} with a single token. Hint: show one layer only with --layer",
           format_bytes(static_cast<double>(limit)), format_bytes(static_cast<double>(page.size())));
    }
    page = build(trace, labels, cut);
  }
  return page;
}

}  // namespace morex::report
