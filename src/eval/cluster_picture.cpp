#include "eval/cluster_picture.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "eval/principal_plane.h"
#include "text/utf8.h"

namespace morex::eval {
namespace {

constexpr double kPlot = 640, kMargin = 24, kTop = 76, kLegend = kPlot + 2 * kMargin + 16, kWidth = 1180;
constexpr double kLine = 22;  // of the legend
constexpr size_t kShapes = 4, kHues = 9;

// For the text of an element; control characters, which XML forbids, become blanks.
std::string escaped(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return escape_html(text);
}

// The first `most` characters, an ellipsis where there are more.
std::string beginning(const std::string& text, size_t most) {
  const std::string valid = text::to_valid_utf8(text);
  size_t at = 0;
  for (size_t count = 0; at < valid.size() && count < most; ++count)
    at += text::utf8_length(static_cast<unsigned char>(valid[at]));
  return escaped(at < valid.size() ? valid.substr(0, at) + "…" : valid);
}

// Neighbouring clusters differ in hue and, every ninth, in shape; darkness alternates so that hues stay apart.
std::string colour(size_t cluster) {
  const size_t hue = cluster % kHues;
  const bool dark = (hue + cluster / kHues) % 2 == 1;
  return fmt::format("hsl({:.0f},{}%,{}%)", 360.0 * static_cast<double>(hue * 2 % kHues) / kHues + 8.0, dark ? 60 : 72,
                     dark ? 36 : 52);
}

std::string mark(size_t cluster, double x, double y, double size) {
  switch (cluster / kHues % kShapes) {
    case 0:
      return fmt::format("M{:.1f} {:.1f}a{} {} 0 1 0 {} 0a{} {} 0 1 0 -{} 0z", x - size, y, size, size, 2 * size, size,
                         size, 2 * size);
    case 1:
      return fmt::format("M{:.1f} {:.1f}h{}v{}h-{}z", x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8,
                         size * 1.8);
    case 2:
      return fmt::format("M{:.1f} {:.1f}l{} {}h-{}z", x, y - size * 1.2, size * 1.15, size * 2.1, size * 2.3);
    default:
      return fmt::format("M{:.1f} {:.1f}l{} {}l-{} {}l-{} -{}z", x, y - size * 1.3, size * 1.1, size * 1.3, size * 1.1,
                         size * 1.3, size * 1.1, size * 1.3);
  }
}

struct Placed {
  double x, y;
};

// Coordinates [M, 2] into the plot's square, both axes with one scale; `low` and `span` are those of the prompts.
class Frame {
 public:
  explicit Frame(const at::Tensor& xy) {
    const at::Tensor low = xy.amin(0), high = xy.amax(0);
    span_ = std::max((high - low).max().item<double>(), 1e-12);
    for (int64_t axis = 0; axis < 2; ++axis)
      middle_[axis] = 0.5 * (low[axis].item<double>() + high[axis].item<double>());
  }
  std::vector<Placed> place(const at::Tensor& xy) const {
    const at::Tensor values = xy.contiguous();
    std::vector<Placed> placed;
    for (int64_t i = 0; i < values.size(0); ++i) {
      const double* at = values.const_data_ptr<double>() + 2 * i;
      const auto inside = [&](double value, double middle) {
        return std::clamp(0.5 + (value - middle) / span_, 0.0, 1.0) * (kPlot - 36) + 18;
      };
      placed.push_back({kMargin + inside(at[0], middle_[0]), kTop + kPlot - inside(at[1], middle_[1])});
    }
    return placed;
  }

 private:
  double middle_[2] = {0, 0}, span_ = 1.0;
};

}  // namespace

std::string cluster_picture(const ClusterSet& set, const at::Tensor& points, const std::vector<int64_t>& assignment,
                            const std::vector<std::string>& texts) {
  MOREX_ASSERT(points.size(0) == static_cast<int64_t>(texts.size()) && texts.size() == assignment.size());
  const PrincipalPlane plane = principal_plane(points);
  const at::Tensor xy = project(plane, points);
  const Frame frame(xy);
  const std::vector<Placed> prompts = frame.place(xy), centres = frame.place(project(plane, set.centroids));
  const size_t clusters = set.sizes.size();
  const double height = std::max(kTop + kPlot + kMargin, kTop + static_cast<double>(clusters + 1) * kLine + kMargin);

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"system-ui,sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      kWidth, height);
  svg += fmt::format(
      "<text x=\"{}\" y=\"34\" font-size=\"20\" font-weight=\"600\" fill=\"#222\">{} prompts in {} "
      "clusters</text>\n",
      kMargin, texts.size(), clusters);
  svg += fmt::format(
      "<text x=\"{}\" y=\"58\" fill=\"#666\">first two principal components, {:.0f} % of the variance · "
      "silhouette {:.2f} · point at a mark to read its prompt</text>\n",
      kMargin, 100.0 * plane.share, mean_silhouette(set));
  svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#f7f7f9\"/>\n", kMargin, kTop,
                     kPlot, kPlot);
  const double size = texts.size() > 800 ? 3.0 : texts.size() > 200 ? 4.0 : 5.0;
  for (size_t k = 0; k < clusters; ++k) {
    svg += fmt::format("<g fill=\"{}\" fill-opacity=\"0.72\" stroke=\"#fff\" stroke-width=\"0.6\">\n", colour(k));
    for (size_t i = 0; i < texts.size(); ++i)
      if (assignment[i] == static_cast<int64_t>(k))
        svg += fmt::format("<path d=\"{}\"><title>cluster {}: {}</title></path>\n",
                           mark(k, prompts[i].x, prompts[i].y, size), k, beginning(texts[i], 200));
    svg += "</g>\n";
  }
  const double badge = clusters > 12 ? 7.5 : 9.0;
  for (size_t k = 0; k < clusters; ++k) {
    if (set.sizes[k] == 0) continue;
    svg += fmt::format(
        "<g pointer-events=\"none\"><circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"{2}\" fill=\"#fff\" "
        "fill-opacity=\"0.8\" stroke=\"{3}\" stroke-width=\"1.6\"/><text x=\"{0:.1f}\" y=\"{4:.1f}\" "
        "font-size=\"{5}\" font-weight=\"600\" text-anchor=\"middle\" fill=\"#222\">{6}</text></g>\n",
        centres[k].x, centres[k].y, badge, colour(k), centres[k].y + 0.4 * badge, badge + 1, k);
  }
  const auto legend = [&](double y, const std::string& number, const std::string& size_of, const std::string& nearest,
                          const char* look) {
    svg += fmt::format(
        "<g fill=\"{}\"><text x=\"{}\" y=\"{:.1f}\" font-weight=\"600\">{}</text>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text><text x=\"{}\" y=\"{:.1f}\">{}</text>",
        look, kLegend + 22, y + 4.5, number, kLegend + 94, y + 4.5, size_of, kLegend + 108, y + 4.5, nearest);
  };
  legend(kTop + 0.5 * kLine, "", "prompts", "nearest to the centre", "#888");
  svg += "</g>\n";
  for (size_t k = 0; k < clusters; ++k) {
    const double y = kTop + (static_cast<double>(k) + 1.5) * kLine;
    const std::string nearest = k < set.nearest.size() && !set.nearest[k].empty() ? set.nearest[k].front() : "";
    legend(y, std::to_string(k), std::to_string(set.sizes[k]), beginning(nearest, 46), "#333");
    svg += fmt::format("<path d=\"{}\" fill=\"{}\"/><title>{}</title></g>\n", mark(k, kLegend + 8, y, 6), colour(k),
                       beginning(nearest, 200));
  }
  return svg + "</svg>\n";
}

}  // namespace morex::eval
